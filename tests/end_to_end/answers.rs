//! What the router answers, compared with the kernel's own forwarding in the same place.

use lab::answers::{Answer, ask, ask_about_mtu};
use lab::link::ETHERNET_MTU;
use lab::topology::Routed;

use super::Router;

type Ask = fn(&Routed) -> lab::Result<Vec<Answer>>;

/// The answers of the kernel and of the program, each in a fresh network.
fn both(right_mtu: u32, ask: Ask) -> [Vec<Answer>; 2] {
    let net = Routed::with_right_mtu(right_mtu).expect("a network");
    net.route_by_kernel().expect("a router");
    let kernel = ask(&net).expect("answers");
    drop(net);
    let net = Routed::with_right_mtu(right_mtu).expect("a network");
    let router = Router::start(&net);
    let ours = ask(&net).expect("answers");
    router.finish();
    [kernel, ours]
}

fn assert_same([kernel, ours]: [Vec<Answer>; 2]) {
    let different: Vec<_> = kernel
        .iter()
        .zip(&ours)
        .filter(|(kernel, ours)| kernel != ours)
        .collect();
    assert!(different.is_empty(), "kernel, then ours: {different:#?}");
    assert_eq!(kernel.len(), ours.len());
}

#[test]
fn manifold_answers_as_the_kernel_does() {
    assert_same(both(ETHERNET_MTU, ask));
}

#[test]
fn path_mtu_discovery_over_a_smaller_next_hop_works_as_through_the_kernel() {
    assert_same(both(1280, ask_about_mtu));
}
