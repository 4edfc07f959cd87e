//! Two virtual routers of the same machines on one LAN, each with a master of its own: they share their load independently of each other.

use vrrpd::Received;
use vrrpd::sharing::refusal::Refusal;
use vrrpd::wire::TTL;

use crate::lan::{Lan, MS, gateway, host};
use crate::life::{check, exact};
use crate::review::{HOLD, max_over_mean, settings, settled, skew};

/// Hands every router of `to` what the routers of `from` have said since.
fn overhear(from: &Lan, since: usize, to: &mut Lan) {
    for message in &from.recorded[since..] {
        for node in 0..to.nodes.len() {
            let received = Received {
                src: message.src,
                dst: gateway(),
                ttl: TTL,
                payload: &message.payload,
            };
            to.receive(node, &received);
        }
    }
}

fn refused(lan: &Lan, node: usize) -> u64 {
    let refusals = lan.sharing(node).refusals();
    let of_other_vrids = refusals.iter().filter(|(why, _)| *why == Refusal::Vrid);
    of_other_vrids.map(|(_, count)| count).sum()
}

#[test]
fn two_vrids_with_different_masters_share_load_independently() {
    let mut first = settled(settings(1));
    let mut second = settled(crate::lan::Settings {
        vrid: 8,
        reversed: true,
        ..settings(2)
    });
    assert_eq!((first.master(), second.master()), (Some(0), Some(2)));
    for lan in [&mut first, &mut second] {
        lan.run(2 * HOLD);
    }
    let from = (first.now, second.now);
    let allocation =
        |lan: &Lan| -> Vec<_> { (0..24).map(|number| lan.routing(host(number))).collect() };
    let (before, version) = (allocation(&second), second.sharing(2).table().installed());
    skew(&mut first, 0);
    assert!(max_over_mean(&first) > 2.0);
    let mut moved = false;
    for _ in 0..2_000 {
        let said = (first.recorded.len(), second.recorded.len());
        first.run(MS);
        second.run(MS);
        // One link carries both.
        overhear(&first, said.0, &mut second);
        overhear(&second, said.1, &mut first);
        moved |= max_over_mean(&first) < 1.1;
        if moved && first.is_settled() {
            break;
        }
    }
    assert!(moved, "{}", first.state());
    assert_eq!(allocation(&second), before);
    assert_eq!(
        second.sharing(2).table().installed(),
        version,
        "{}",
        second.state()
    );
    for (lan, from) in [(&first, from.0), (&second, from.1)] {
        assert!(refused(lan, 1) > 0);
        check(lan);
        exact(lan, from);
    }
}
