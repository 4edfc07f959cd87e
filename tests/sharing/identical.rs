//! Packets identical to the last bit, which have the same fingerprint.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lab::frame::{Ipv4Frame, Mac, read_mac};
use lab::group::Group;
use lab::link::End;
use lab::load::Load;
use lab::packet_socket::PacketSocket;
use lab::topology::sharing::{LAN, Sharing};

use super::moves::move_around;
use super::{DEADLINE, END_SYSTEMS, RATES, expect_exact, told, told_group};

const PORT: u16 = 9999;
/// From one such packet to the next.
const PAUSE: Duration = Duration::from_micros(500);
const MOVES: u8 = 20;
/// The end system that sends them, and nothing else.
const SENDER: u8 = END_SYSTEMS - 1;

/// Packets that all routers have dropped when they let go of what they held, because they were on the other router's list.
fn accepted_before(group: &Group<'_>) -> u64 {
    let of = |(_, router): (u8, &lab::manifold::Manifold<'_>)| {
        let counters = router.ask("show counters").expect("counters");
        let count = counters["discards"]["accepted-before"].as_u64();
        count.expect("a counter")
    };
    group.running().map(of).sum()
}

#[test]
fn only_packets_identical_to_the_last_bit_are_miscounted_and_no_more_than_the_bound_says() {
    let net = Sharing::new(3, 2, 1).expect("a network");
    let guest = net.guest("x", LAN).expect("a machine");
    let group = told_group(&net, &told(""));
    let since = group.mark();
    let others = Load::start(&net, RATES).expect("a load");

    let sender = End::of(&guest, "eth0");
    let virtual_mac: Mac = [0, 0, 0x5e, 0, 1, Sharing::VRID];
    let from_mac = read_mac(&sender.mac().expect("a MAC")).expect("a MAC");
    let frame = Ipv4Frame::udp(
        virtual_mac,
        from_mac,
        (Sharing::host(SENDER), PORT),
        (Sharing::server(0), PORT),
        b"always the same",
    )
    .octets();
    let sending = PacketSocket::open(sender).expect("a socket");
    let counting = PacketSocket::open(net.server_end(0)).expect("a socket");
    let is_one = |frame: &Vec<u8>| frame.get(36..38) == Some(&PORT.to_be_bytes());
    let mut arrived = 0;
    let mut count = || {
        let frames = counting.drain().expect("frames");
        arrived += frames.iter().filter(|frame| is_one(frame)).count() as u64;
    };
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut dropped = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sending.send(&frame).expect("sent");
                sent.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        let condition = Sharing::host(SENDER).to_string();
        for _ in 0..MOVES {
            let before = accepted_before(&group);
            let to = 1 - group.in_charge().expect("a table")[&condition];
            group.move_to(&condition, to).expect("an order");
            let moved = group.wait_until_moved(&condition, to, DEADLINE);
            moved.expect("an end of the move");
            // Whatever was dropped in this move was of this end system.
            dropped += accepted_before(&group) - before;
            count();
        }
        // The others move too, and are not concerned.
        move_around(&group, 3, 2);
        stop.store(true, Ordering::Relaxed);
    });
    let report = others.stop().expect("counts");
    count();
    let sent = sent.load(Ordering::Relaxed);
    let lost = sent.saturating_sub(arrived);
    println!(
        "identical packets: {sent} sent, {arrived} arrived, {dropped} dropped as accepted before, so that {lost} of them were not"
    );
    assert!(arrived <= sent, "none is doubled");
    assert!(
        dropped > 0,
        "some were held and listed, or this shows nothing"
    );
    assert!(lost <= dropped, "docs/protocol.md, section 6");
    expect_exact(&net, &group, &since, &report);
}
