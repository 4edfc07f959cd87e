//! Packets identical to the last bit, which have the same fingerprint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lab::frame::{Ipv4Frame, Mac, read_mac};
use lab::load::Load;
use lab::packet_socket::PacketSocket;
use lab::topology::sharing::Sharing;

use super::moves::move_around;
use super::{RATES, expect_exact, told, told_group};

const PORT: u16 = 9999;
/// From one such packet to the next.
const PAUSE: Duration = Duration::from_millis(2);

#[test]
fn only_packets_identical_to_the_last_bit_are_miscounted_and_no_more_than_were_held() {
    let net = Sharing::new(3, 2, 1).expect("a network");
    let group = told_group(&net, &told(""));
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");

    let host = net.host_end(0);
    let virtual_mac: Mac = [0, 0, 0x5e, 0, 1, Sharing::VRID];
    let from_mac = read_mac(&host.mac().expect("a MAC")).expect("a MAC");
    let frame = Ipv4Frame::udp(
        virtual_mac,
        from_mac,
        (Sharing::host(0), PORT),
        (Sharing::server(0), PORT),
        b"always the same",
    )
    .octets();
    let sending = PacketSocket::open(host).expect("a socket");
    let counting = PacketSocket::open(net.server_end(0)).expect("a socket");
    let stop = AtomicBool::new(false);
    let sent = Arc::new(AtomicU64::new(0));
    // Where an end system's packets stood when its move was ordered, and when it was over.
    let mut held_at_most = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sending.send(&frame).expect("sent");
                sent.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        for _ in 0..10 {
            let before = sent.load(Ordering::Relaxed);
            move_around(&group, 1, 1);
            held_at_most += sent.load(Ordering::Relaxed) - before;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let report = load.stop().expect("counts");
    let is_one = |frame: &Vec<u8>| frame.get(36..38) == Some(&PORT.to_be_bytes());
    let frames = counting.drain().expect("frames");
    let arrived = frames.iter().filter(|frame| is_one(frame)).count() as u64;
    let sent = sent.load(Ordering::Relaxed);
    println!(
        "identical packets: {sent} sent, {arrived} arrived, {held_at_most} while moves went on"
    );
    assert!(arrived <= sent, "none is doubled");
    assert!(
        sent - arrived <= held_at_most,
        "only of those that were held"
    );
    expect_exact(&net, &group, &since, &report);
}
