//! Our routers among themselves: fast intervals, crashes, stalls, many groups.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant, SystemTime};

use lab::poll;
use lab::process::{Process, command};
use nix::sys::signal::Signal;

use crate::member::{Member, PATIENCE};
use crate::network::{Lan, Settings};
use crate::watch::{Watch, longest_dispute};

/// Highest first.
const PRIORITIES: [u8; 3] = [200, 150, 50];
/// What a take-over may last beyond the survivor's down interval.
const ALLOWANCE_MS: f64 = 50.0;
/// One exchange: the first advertisement of the new master and the last of the old one.
const EXCHANGE: usize = 2;

fn fast(priority: u8, whole: bool) -> Settings {
    Settings {
        interval_ms: 10,
        ..Settings::new(3, priority).of(whole)
    }
}

fn three(lan: &Lan, whole: bool) -> Vec<Member<'_>> {
    (0..3)
        .map(|index| Member::start(lan, index, &fast(PRIORITIES[index], whole)))
        .collect()
}

/// Waits until the first is master and the others are not.
fn await_first(members: &[Member<'_>]) {
    poll::until("the highest as the only master", PATIENCE, || {
        let masters: Vec<bool> = members.iter().map(Member::is_master).collect();
        Ok((masters == [true, false, false]).then_some(()))
    })
    .expect("one master");
}

fn times_master(member: &Member<'_>) -> usize {
    let changes = member.changes();
    changes
        .iter()
        .filter(|change| change.to == "master")
        .count()
}

/// What a series of kills came to.
struct Series {
    /// From each kill to the next master, in milliseconds.
    take_overs_ms: Vec<f64>,
    /// How often anybody became master beyond once a kill and once a restart: a lower backup whose timer ran out in the same
    /// moment, for one exchange.
    further_masters: usize,
    longest_dispute: usize,
}

/// Kills the master and starts it again, as often as told.
fn series(lan: &Lan, kills: usize, whole: bool) -> Series {
    let mut members = three(lan, whole);
    await_first(&members);
    let watch = Watch::start(lan.host_end());
    let mut take_overs_ms = Vec::new();
    let before: usize = members[1..].iter().map(times_master).sum();
    // The router killed takes its log with it; how often it had become master is counted before.
    let mut of_first = 0;
    for _ in 0..kills {
        let seen = times_master(&members[1]);
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let at = at.expect("a clock").as_secs_f64();
        of_first += times_master(&members[0]);
        members.remove(0).kill();
        let took_over = poll::until("a take-over", PATIENCE, || {
            let changes = members[0].changes();
            let mut masters = changes.iter().filter(|change| change.to == "master");
            Ok(masters.nth(seen).map(|change| change.at))
        });
        take_overs_ms.push((took_over.expect("a new master") - at) * 1000.0);
        members.insert(0, Member::start(lan, 0, &fast(PRIORITIES[0], whole)));
        await_first(&members);
    }
    let of_first = of_first + times_master(&members[0]);
    let of_others: usize = members[1..].iter().map(times_master).sum();
    let happened = of_first + of_others - before;
    let explained = 1 + 2 * kills;
    Series {
        take_overs_ms,
        further_masters: happened.saturating_sub(explained),
        longest_dispute: longest_dispute(&watch.finish()),
    }
}

/// The longest take-over that is allowed: the survivor has the second priority.
fn bound_ms() -> f64 {
    let settings = fast(PRIORITIES[1], false);
    let skew_ms =
        f64::from(256 - u16::from(settings.priority)) * settings.interval_ms as f64 / 256.0;
    3.0 * settings.interval_ms as f64 + skew_ms + ALLOWANCE_MS
}

fn print(series: &Series) {
    let mut sorted = series.take_overs_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    println!(
        "{} kills at 10 ms: take-over median {:.1} ms, longest {:.1} ms (allowed {:.1} ms); \
         longest dispute {} advertisements; {} times a further master for an exchange",
        sorted.len(),
        at(0.5),
        at(1.0),
        bound_ms(),
        series.longest_dispute,
        series.further_masters,
    );
}

#[test]
fn of_three_routers_at_10_ms_the_next_takes_over_from_each_master_killed() {
    let lan = Lan::new(3);
    let series = series(&lan, 5, false);
    print(&series);
    assert_eq!(series.take_overs_ms.len(), 5);
}

#[test]
fn of_three_whole_programs_at_10_ms_the_next_takes_over_from_each_master_killed() {
    let lan = Lan::new(3);
    let series = series(&lan, 5, true);
    print(&series);
    assert_eq!(series.take_overs_ms.len(), 5);
}

/// Programs that keep every core busy.
fn load() -> Vec<Process> {
    let cores = std::thread::available_parallelism().expect("cores").get();
    (0..cores)
        .map(|_| {
            // In a session of its own, as another service would be, and so scheduled beside the routers, not with them.
            let mut busy = command("setsid");
            busy.args(["sh", "-c", "while :; do :; done"]);
            Process::spawn(busy).expect("a busy program")
        })
        .collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[ignore = "minutes long, and judges times: scripts/vrrp-soak runs it on a machine with nothing else to do"]
fn soak() {
    let kills = number("VRRP_SOAK_KILLS").expect("VRRP_SOAK_KILLS");
    let seconds = number("VRRP_SOAK_SECONDS").expect("VRRP_SOAK_SECONDS");
    let whole = number("VRRP_SOAK_WHOLE") == Some(1);
    let lan = Lan::new(3);
    let series = series(&lan, usize::try_from(kills).expect("a number"), whole);
    print(&series);

    let members = three(&lan, whole);
    await_first(&members);
    let changes = || -> Vec<usize> {
        members
            .iter()
            .map(|member| member.changes().len())
            .collect()
    };
    let before = changes();
    let watch = Watch::start(lan.host_end());
    let busy = load();
    std::thread::sleep(Duration::from_secs(seconds));
    drop(busy);
    let heard = watch.finish().len();
    let after = changes();
    let stalls: Vec<u64> = members
        .iter()
        .map(|member| member.counter("stalls"))
        .collect();
    println!(
        "{seconds} s without a fault, every core loaded: changes of state {before:?} before, {after:?} after; \
         {heard} advertisements, stalls {stalls:?}"
    );
    let longest = series.take_overs_ms.iter().copied().fold(0.0, f64::max);
    assert!(longest <= bound_ms(), "a take-over took {longest:.1} ms");
    assert!(
        series.longest_dispute <= EXCHANGE,
        "two masters for longer than an exchange"
    );
    assert_eq!(before, after, "a change of state without a fault");
}

#[test]
fn a_router_stopped_for_3_s_and_continued_leaves_a_working_master_alone() {
    leaves_a_working_master_alone_after_a_stop(false);
}

#[test]
fn the_whole_program_stopped_for_3_s_and_continued_leaves_a_working_master_alone() {
    leaves_a_working_master_alone_after_a_stop(true);
}

fn leaves_a_working_master_alone_after_a_stop(whole: bool) {
    let lan = Lan::new(2);
    let settings = Settings::new(3, 150).without_preemption().of(whole);
    let first = Member::start(&lan, 0, &settings);
    poll::until("the first as master", PATIENCE, || {
        Ok(first.is_master().then_some(()))
    })
    .expect("a master");
    let second = Member::start(&lan, 1, &Settings::new(3, 100).of(whole));

    let watch = Watch::start(lan.host_end());
    first.signal(Signal::SIGSTOP);
    // 26 advertisements after the take-over make 3 s in all.
    poll::until("3 s of the second as master", PATIENCE, || {
        Ok((second.counter("advertisement-sent") >= 26).then_some(()))
    })
    .expect("a master");
    first.signal(Signal::SIGCONT);
    let heard = first.counter("advertisement-rcvd");
    poll::until("the first listening", PATIENCE, || {
        Ok((first.counter("advertisement-rcvd") >= heard + 10).then_some(()))
    })
    .expect("advertisements");
    assert_eq!(
        (first.states(), second.states()),
        (vec!["backup".into()], vec!["master".into()])
    );
    assert_eq!(first.counter("stalls"), 1);
    assert_eq!(second.counter("master-transitions"), 1);

    // The same for a backup: it does not take what it did not hear for silence.
    first.signal(Signal::SIGSTOP);
    let sent = second.counter("advertisement-sent");
    poll::until("3 s", PATIENCE, || {
        Ok((second.counter("advertisement-sent") >= sent + 30).then_some(()))
    })
    .expect("advertisements");
    first.signal(Signal::SIGCONT);
    let heard = first.counter("advertisement-rcvd");
    poll::until("the first listening", PATIENCE, || {
        Ok((first.counter("advertisement-rcvd") >= heard + 10).then_some(()))
    })
    .expect("advertisements");
    assert_eq!(first.states(), ["backup"]);
    assert_eq!(second.counter("master-transitions"), 1);
    assert_eq!(longest_dispute(&watch.finish()), 0);
}

#[test]
fn a_port_with_255_groups_elects_and_fails_over() {
    elects_and_fails_over_255_groups(false);
}

#[test]
fn a_port_of_the_whole_program_with_255_groups_elects_and_fails_over() {
    elects_and_fails_over_255_groups(true);
}

fn elects_and_fails_over_255_groups(whole: bool) {
    let lan = Lan::new(2);
    let settings = |priority| Settings {
        groups: 255,
        ..Settings::new(3, priority).of(whole)
    };
    let first = Member::start(&lan, 0, &settings(150));
    let second = Member::start(&lan, 1, &settings(100));
    let all = |member: &Member<'_>, state: &str| member.states() == vec![state.to_owned(); 255];
    poll::until("all groups with the first as master", PATIENCE, || {
        Ok((all(&first, "master") && all(&second, "backup")).then_some(()))
    })
    .expect("an election");
    let (began, used) = (
        Instant::now(),
        [first.control_cpu_seconds(), second.control_cpu_seconds()],
    );
    let heard = second.counter("advertisement-rcvd");
    poll::until("20 intervals", PATIENCE, || {
        Ok((second.counter("advertisement-rcvd") >= heard + 20 * 255).then_some(()))
    })
    .expect("advertisements");
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "255 groups at 100 ms: the control thread of the master uses {:.1} % of a core, that of the backup {:.1} %",
        (first.control_cpu_seconds() - used[0]) / seconds * 100.0,
        (second.control_cpu_seconds() - used[1]) / seconds * 100.0,
    );
    assert_eq!(second.refusals(), []);
    first.kill();
    poll::until("all groups with the second as master", PATIENCE, || {
        Ok(all(&second, "master").then_some(()))
    })
    .expect("a fail-over");
}

#[test]
fn a_watched_address_that_falls_silent_hands_mastership_to_another() {
    let lan = Lan::new(2);
    let track = "[[virtual-router.track]]
address = \"10.73.0.200\"
interval = \"100ms\"
weight = -100";
    let first = Member::start_with(&lan, 0, &Settings::new(3, 150), track);
    let second = Member::start(&lan, 1, &Settings::new(3, 100));
    let only_master = |one: &Member<'_>, other: &Member<'_>| {
        poll::until("one master", PATIENCE, || {
            Ok((one.is_master() && !other.is_master()).then_some(()))
        })
        .expect("one master");
    };
    only_master(&first, &second);
    let set_address = |verb: &str| {
        lan.host
            .sh(&format!("ip address {verb} 10.73.0.200/16 dev eth0"))
            .expect("the address set");
    };
    set_address("delete");
    only_master(&second, &first);
    assert_eq!(first.show()["virtual_routers"][0]["priority"], 50);
    set_address("add");
    only_master(&first, &second);
}

#[test]
fn a_command_of_the_operators_runs_on_every_change_of_state() {
    let lan = Lan::new(1);
    let machine = lan.router(0);
    let script = "#!/bin/sh\necho \"$1 $MANIFOLD_NEW_STATE $MANIFOLD_CAUSE\" >>/run/notified\n";
    let command = machine.run_file("notify");
    std::fs::write(&command, script).expect("a command");
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o700)).expect("executable");
    let notify = "notify = [\"/run/notify\", \"$(id)\"]";
    let member = Member::start_with(&lan, 0, &Settings::new(3, 100), notify);
    poll::until("a master", PATIENCE, || {
        Ok(member.is_master().then_some(()))
    })
    .expect("a master");
    member.stop();
    let told = std::fs::read_to_string(machine.run_file("notified")).expect("commands run");
    let expected = "$(id) backup link-up\n$(id) master master-silent\n$(id) initialise stopped\n";
    assert_eq!(told, expected);
}
