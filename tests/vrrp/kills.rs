//! Our routers among themselves at 10 ms: how soon the next takes over from a master that is killed, how long there are two, and that
//! nobody takes over without a fault.

use std::time::{Duration, SystemTime};

use lab::poll;
use lab::process::{Process, command};

use crate::member::{Member, PATIENCE};
use crate::network::Lan;
use crate::settings::Settings;
use crate::watch::{Advertisement, Watch, longest_dispute};

/// Highest first.
const PRIORITIES: [u8; 3] = [200, 150, 50];
/// What a take-over may last beyond the survivor's down interval.
const ALLOWANCE_MS: f64 = 50.0;
/// One exchange: the first advertisement of the new master and the last of the old one.
const EXCHANGE: usize = 2;

fn fast(priority: u8) -> Settings {
    Settings {
        interval_ms: 10,
        ..Settings::new(3, priority)
    }
}

fn start_fast(lan: &Lan, index: usize) -> Member<'_> {
    Member::start(lan, index, &fast(PRIORITIES[index]))
}

fn three(lan: &Lan) -> Vec<Member<'_>> {
    (0..3).map(|index| start_fast(lan, index)).collect()
}

/// Waits until the first is master and the others are not, and has been for a while: a kill while it asserts itself would lengthen
/// the dispute before, and be no take-over from a master.
fn await_first(members: &[Member<'_>]) {
    const A_WHILE: u64 = 10;
    poll::until("the highest as the only master", PATIENCE, || {
        let masters: Vec<bool> = members.iter().map(Member::is_master).collect();
        let is_settled = members[0].counter("advertisement-sent") >= A_WHILE;
        Ok((masters == [true, false, false] && is_settled).then_some(()))
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
    longest_dispute: Vec<Advertisement>,
}

/// Kills the master and starts it again, as often as told.
fn series(lan: &Lan, kills: usize) -> Series {
    let mut members = three(lan);
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
        members.insert(0, start_fast(lan, 0));
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
    let settings = fast(PRIORITIES[1]);
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
        series.longest_dispute.len(),
        series.further_masters,
    );
    if series.longest_dispute.len() > EXCHANGE {
        println!("the dispute: {:#?}", series.longest_dispute);
    }
}

#[test]
fn of_three_routers_at_10_ms_the_next_takes_over_from_each_master_killed() {
    let lan = Lan::new(3);
    let series = series(&lan, 5);
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
    let lan = Lan::new(3);
    let series = series(&lan, usize::try_from(kills).expect("a number"));
    print(&series);

    let members = three(&lan);
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
        series.longest_dispute.len() <= EXCHANGE,
        "two masters for longer than an exchange"
    );
    assert_eq!(before, after, "a change of state without a fault");
}
