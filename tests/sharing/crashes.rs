//! Routers go, with and without a word, under load, and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::group::Group;
use lab::load::{Load, Report};
use lab::poll;
use lab::topology::sharing::{KEYS, Setup, Sharing};
use nix::sys::signal::Signal;

use super::{DEADLINE, RATES, blames_the_machine, program};

/// How many end systems there are; each is configured.
const HOSTS: u8 = 6;
/// Short enough for a crash to be noticed soon, long enough for a busy machine not to look like one.
const INTERVAL: Duration = Duration::from_millis(500);
/// For how long the load goes on behind a change.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Three routers under load, `work` with them by which one of them is `gone` for a time or for good, and what became of the load, which
/// is to be sound, unless this machine held up a router. Returns what came of the work.
fn under_load<T>(
    gone: u8,
    is_sound: impl Fn(&Report, Duration) -> bool,
    work: impl FnOnce(&mut Group<'_>) -> T,
) -> T {
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    let systems: Vec<String> = (0..HOSTS)
        .map(|host| format!("\"{}\"", Sharing::host(host)))
        .collect();
    let sharing = format!("{KEYS}\nend-systems = [{}]\n", systems.join(", "));
    let setup = Setup {
        interval: INTERVAL,
        sharing: Some(sharing),
        ..Setup::default()
    };
    let mut group = Group::start(&net, program(), &setup).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    wait_for_shares(&group, 3);
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    std::thread::sleep(AFTERWARDS / 2);
    let came_of_it = work(&mut group);
    std::thread::sleep(AFTERWARDS);
    let report = load.stop().expect("counts");
    let sound = is_sound(&report, net.blocked_max(INTERVAL));
    println!(
        "r{} gone: blocked for {:.0} ms, {:?}",
        gone + 1,
        blocked(&report).as_secs_f64() * 1e3,
        report.udp_total()
    );
    assert!(sound || !blames_the_machine(&group, &since, &[gone]));
    assert!(sound, "{report:#?}{}", group.story());
    came_of_it
}

/// Waits until so many routers are in charge of something, and nothing moves any more.
fn wait_for_shares(group: &Group<'_>, routers: usize) {
    poll::until("a share for everyone", DEADLINE, || {
        let in_charge = group.in_charge()?;
        let with_share: BTreeSet<_> = in_charge.values().collect();
        Ok((with_share.len() == routers).then_some(()))
    })
    .expect("shares");
    group.wait_until_whole(DEADLINE).expect("equal tables");
}

/// For how long the end system was blocked that lost most: what it lost over the rate at which it sent.
pub(super) fn blocked(report: &Report) -> Duration {
    let most = report.udp.iter().map(|count| count.lost).max();
    Duration::from_secs_f64(most.unwrap_or_default() as f64 / RATES.udp_pps as f64)
}

/// Nothing is doubled, and nobody is blocked for longer than it takes to miss a router.
fn is_taken_over(report: &Report, blocked_max: Duration) -> bool {
    report.udp_total().duplicated == 0 && blocked(report) <= blocked_max
}

fn is_exact(report: &Report, _: Duration) -> bool {
    report.total().is_exact()
}

#[test]
fn the_share_of_a_backup_that_crashes_goes_to_the_others_and_comes_back() {
    under_load(1, is_taken_over, |group| {
        group.kill(1);
        wait_for_shares(group, 2);
        group.start_router(1).expect("a router");
        wait_for_shares(group, 3);
    });
}

#[test]
fn a_new_master_allocates_what_the_crashed_one_had() {
    under_load(0, is_taken_over, |group| {
        group.kill(0);
        wait_for_shares(group, 2);
        group.start_router(0).expect("a router");
        wait_for_shares(group, 3);
    });
}

#[test]
fn a_router_that_is_drained_and_started_again_loses_nothing() {
    for router in [1, 0] {
        let ended = under_load(router, is_exact, |group| {
            let ended = group.stop(router).expect("an end");
            wait_for_shares(group, 2);
            group.start_router(router).expect("a router");
            wait_for_shares(group, 3);
            ended
        });
        assert!(ended.status.success(), "{ended:?}");
        let limit = "not everything could be given away";
        assert!(!ended.stderr.contains(limit), "{ended:?}");
    }
}

#[test]
fn a_router_told_twice_to_stop_ends_before_everything_is_given_away() {
    let net = Sharing::new(1, 2, 1).expect("a network");
    let setup = Setup {
        control: "stop-limit = \"5min\"",
        sharing: Some(format!("{KEYS}\nend-systems = [\"10.75.1.8/29\"]\n")),
        ..Setup::default()
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    wait_for_shares(&group, 2);
    // Nobody takes anything now.
    group.signal(0, Signal::SIGSTOP).expect("a router");
    group.signal(1, Signal::SIGTERM).expect("a router");
    poll::until("draining", DEADLINE, || {
        let shown = Group::shown(group.router(1)?, "show routers")?;
        let mut routers = shown["routers"].as_array().into_iter().flatten();
        let drains =
            routers.any(|router| router["is_this"] == true && router["state"] == "draining");
        Ok(drains.then_some(()))
    })
    .expect("a drain");
    let mut group = group;
    let ended = group.stop(1).expect("an end");
    assert!(ended.status.success(), "{ended:?}");
    assert!(
        ended.stderr.contains("told to stop a second time"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("INFO stopped"), "{ended:?}");
}
