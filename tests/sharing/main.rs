//! Load sharing end to end: several real routers at once on a hub, kernel hosts on one side, servers on the other. Asserted
//! is what happens to packets and tables; times are printed, because a busy machine may stretch them.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the impossible should stop there and say so"
)]

mod behind;
mod congested;
mod crashes;
mod deaf;
mod destination;
mod discovery;
mod dissected;
mod faults;
mod forged;
mod identical;
mod insider;
mod keys;
mod live_view;
mod lossy;
mod membership;
mod moves;
mod queues;
mod relieved;
mod reloads;
mod reviews;
mod scale;
mod second;
mod server;
mod shares;
mod soak;
mod two_groups;
mod vpn;

use std::path::Path;
use std::time::Duration;

use lab::group::{Group, Mark};
use lab::load::{Rates, Report};
use lab::topology::sharing::{KEYS, Setup, Sharing};
use lab::traffic::Count;

/// For what takes milliseconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// The program under test.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_manifold"))
}

/// A load that a busy machine carries too.
const RATES: Rates = Rates {
    seconds: 120,
    udp_pps: 200,
    icmp_pps: 50,
    tcp_pps: 50,
    streams: 3,
};

/// How many end systems a group is told of, if it is told of any.
const END_SYSTEMS: u8 = 6;

/// A group that is told of its end systems, with further lines for its load sharing.
fn told(sharing: &str) -> Setup {
    let systems: Vec<String> = (0..END_SYSTEMS)
        .map(|host| format!("\"{}\"", Sharing::host(host)))
        .collect();
    let systems = systems.join(", ");
    Setup {
        sharing: Some(format!("{KEYS}\nend-systems = [{systems}]\n{sharing}\n")),
        ..Setup::default()
    }
}

/// Such a group, when all have the table with all of them, and nothing moves any more.
fn told_group<'a>(net: &'a Sharing, setup: &Setup) -> Group<'a> {
    let group = Group::start(net, program(), setup).expect("routers");
    let known = group.wait_until_known(usize::from(END_SYSTEMS) + 1, DEADLINE);
    known.expect("agreement");
    group
}

/// Expects that everything arrived, once and in order, and that nothing was lost by the laboratory itself, nor because it held up a
/// router for so long that another took its place.
fn expect_exact(net: &Sharing, group: &Group<'_>, since: &Mark, report: &Report) {
    let counted = (report.total(), report.socket_drops);
    if !counted.0.is_exact() {
        println!("{report:#?}");
    }
    expect_exact_count(net, group, since, counted);
}

/// The same of packets counted elsewhere, and those that found a socket full.
fn expect_exact_count(
    net: &Sharing,
    group: &Group<'_>,
    since: &Mark,
    (total, socket_drops): (Count, u64),
) {
    println!("{total:?}");
    let exact = total.is_exact();
    if !exact {
        println!("{}", group.story());
    }
    let network = (socket_drops, net.link_drops().expect("drops"));
    assert_eq!(network, (0, 0), "the network itself lost something");
    assert!(exact || !blames_the_machine(group, since, &[]));
    assert!(exact, "{total:?}");
}

/// Whether routers that nobody has touched took each other for dead, or themselves; then the figures say nothing of what was meant to
/// happen.
fn blames_the_machine(group: &Group<'_>, since: &Mark, gone: &[u8]) -> bool {
    let upsets = group.upsets(since, gone);
    if !upsets.is_empty() {
        println!("this machine held up routers, no fault of theirs:\n{upsets:#?}");
    }
    !upsets.is_empty()
}
