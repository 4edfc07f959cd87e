//! Our routers under hard conditions: stopped, starved, flooded, with as many groups as a port can have.

use std::time::Instant;

use lab::packet_socket::PacketSocket;
use lab::poll;
use lab::process::{Process, command};
use nix::sys::signal::Signal;

use crate::answers::arp_request;
use crate::member::{Member, PATIENCE};
use crate::network::{Lan, address_of};
use crate::settings::Settings;
use crate::watch::{Watch, longest_dispute};

#[test]
fn a_router_stopped_for_3_s_and_continued_leaves_a_working_master_alone() {
    let lan = Lan::new(2);
    let settings = Settings::new(3, 150).without_preemption();
    let first = Member::start(&lan, 0, &settings);
    poll::until("the first as master", PATIENCE, || {
        Ok(first.is_master().then_some(()))
    })
    .expect("a master");
    let second = Member::start(&lan, 1, &Settings::new(3, 100));

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
    let said = || first.said() + &second.said();
    assert_eq!(first.counter("stalls"), 1, "{}", said());
    assert_eq!(second.counter("master-transitions"), 1, "{}", said());

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
    assert_eq!(second.counter("master-transitions"), 1, "{}", said());
    assert_eq!(longest_dispute(&watch.finish()), []);
}

#[test]
fn a_port_with_255_groups_elects_and_fails_over() {
    let lan = Lan::new(2);
    let settings = |priority| Settings {
        groups: 255,
        ..Settings::new(3, priority)
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
fn a_master_whose_workers_are_stopped_is_replaced_and_listens_before_it_is_master_again() {
    let lan = Lan::new(2);
    let first = Member::start(&lan, 0, &Settings::new(3, 150));
    let second = Member::start(&lan, 1, &Settings::new(3, 100));
    let only_master = |one: &Member<'_>, other: &Member<'_>| {
        poll::until("one master", PATIENCE, || {
            Ok((one.is_master() && !other.is_master()).then_some(()))
        })
        .expect("one master");
    };
    only_master(&first, &second);
    let obstacle = |member: &Member<'_>| member.show()["virtual_routers"][0]["obstacle"].clone();
    assert!(obstacle(&first).is_null());
    first.json("stop");
    assert_eq!(obstacle(&first), "workers stopped");
    poll::until("the second as master", PATIENCE, || {
        Ok(second.is_master().then_some(()))
    })
    .expect("a master");
    let watch = Watch::start(lan.host_end());
    let sent = second.counter("advertisement-sent");
    poll::until("advertisements", PATIENCE, || {
        Ok((second.counter("advertisement-sent") >= sent + 5).then_some(()))
    })
    .expect("advertisements");
    let seen = watch.finish();
    assert!(
        seen.iter().all(|seen| seen.from == address_of(1)),
        "{seen:?}"
    );
    first.json("start");
    assert!(obstacle(&first).is_null());
    only_master(&first, &second);
    assert_eq!(first.counter("stalls"), 1);
    assert_eq!(first.last_cause(), "lower-priority-master");
}

/// ARP frames that have come to the control thread, or were dropped because there were too many.
fn arp_frames(member: &Member<'_>) -> u64 {
    let counters = member.json("show counters");
    let count = |group: &str, name: &str| counters[group][name].as_u64().expect("a counter");
    count("punts", "arp") + count("discards", "punt-arp-overflow")
}

#[test]
fn a_storm_of_arp_requests_makes_nobody_take_over() {
    const STORM_FRAMES: u64 = 100_000;
    // Half of what a port's ring takes: what is lost of a longer one may be the advertisements.
    const BURST: u32 = 256;
    let lan = Lan::new(2);
    let first = Member::start(&lan, 0, &Settings::new(3, 150));
    let second = Member::start(&lan, 1, &Settings::new(3, 100));
    poll::until("a master", PATIENCE, || {
        Ok((first.is_master() && !second.is_master()).then_some(()))
    })
    .expect("a master");
    let before = [first.changes().len(), second.changes().len()];
    let heard = second.counter("advertisement-rcvd");

    let storm = PacketSocket::open(lan.host_end()).expect("a socket");
    let (mut number, mut sent) = (0, 0_u64);
    let began = Instant::now();
    let arrived = poll::until("the storm at both", PATIENCE, || {
        for _ in 0..BURST {
            number += 1;
            // What the link does not take is no part of the storm.
            sent += u64::from(storm.send(&arp_request(number)).is_ok());
        }
        let least = arp_frames(&first).min(arp_frames(&second));
        Ok((least >= STORM_FRAMES).then_some(least))
    })
    .expect("a storm");
    let seconds = began.elapsed().as_secs_f64();
    let heard = second.counter("advertisement-rcvd") - heard;
    println!(
        "{sent} ARP requests in {seconds:.1} s, {arrived} of them at either router: {heard} advertisements heard meanwhile"
    );
    assert!(heard > 0);
    assert_eq!(before, [first.changes().len(), second.changes().len()]);
    assert_eq!(second.counter("stalls"), 0);
}

#[test]
fn a_backup_whose_worker_does_not_run_takes_nothing_over() {
    let lan = Lan::new(2);
    let settings = |priority| Settings {
        interval_ms: 30,
        ..Settings::new(3, priority)
    };
    let first = Member::start(&lan, 0, &settings(150));
    let second = Member::start(&lan, 1, &settings(100));
    poll::until("a master", PATIENCE, || {
        Ok((first.is_master() && !second.is_master()).then_some(()))
    })
    .expect("a master");
    let changes = second.changes().len();
    // The worker has one processor, everything else the other; then somebody more urgent takes the worker's.
    first.run_on(0, |_| true);
    second.run_on(0, |thread| !thread.starts_with("worker"));
    second.run_on(1, |thread| thread.starts_with("worker"));
    // Whoever ends it must not wait for that processor, and if nobody does, the kernel shall.
    let mut urgent = command("taskset");
    urgent.args(["--cpu-list", "0", "timeout", "0.3"]);
    urgent.args(["chrt", "--fifo", "50", "taskset", "--cpu-list", "1"]);
    urgent.args(["sh", "-c", "ulimit -t 1; while :; do :; done"]);
    let urgent = Process::spawn(urgent).expect("an urgent program");
    urgent.finish(PATIENCE).expect("its end");
    poll::until("a stall", PATIENCE, || {
        Ok((second.counter("stalls") > 0).then_some(()))
    })
    .expect("a stall that is noticed");
    assert_eq!(changes, second.changes().len());
    assert!(first.is_master());
}
