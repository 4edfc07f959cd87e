//! Fragments: over a driver that hands them on as they are, and over net_af_packet, whose socket puts them together.

use std::net::SocketAddrV4;

use lab::frame::{Ipv4Frame, MORE_FRAGMENTS, read_mac};
use lab::packet_socket::PacketSocket;
use lab::probe;
use lab::topology::Routed;
use lab::traffic::pace::Pace;
use lab::traffic::udp;

use super::{DEADLINE, QUIET, Router};

#[test]
fn fragments_are_forwarded_one_by_one_as_they_are() {
    let net = Routed::new().expect("a network");
    let router = Router::start_with(&net, &net.configuration_on_pcap());
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 1 -W 5")
            .expect("a ping")
            .received,
        1
    );
    let left = PacketSocket::open(net.a_end()).expect("a socket");
    let right = PacketSocket::open(net.b_end()).expect("a socket");
    let mac = |text: String| read_mac(&text).expect("an address");
    let router_mac = {
        let neighbour = net
            .a
            .sh(&format!("ip neigh show {}", Routed::LEFT))
            .expect("a neighbour");
        mac(neighbour
            .split_whitespace()
            .skip_while(|word| *word != "lladdr")
            .nth(1)
            .expect("an address")
            .into())
    };
    let host_mac = mac(net.a_end().mac().expect("an address"));
    // The last one first, and one that says to lie beyond the largest packet.
    for (identification, fragment) in [(7, 185), (7, MORE_FRAGMENTS), (8, 0x1fff)] {
        let mut frame = Ipv4Frame::udp(
            router_mac,
            host_mac,
            (Routed::A, 9),
            (Routed::B, 9),
            &[7; 1472],
        );
        (frame.identification, frame.fragment) = (identification, fragment);
        let frame = frame.octets();
        left.send(&frame).expect("sent");
        let arrived = right
            .expect("the fragment", DEADLINE, |seen| {
                seen.len() == frame.len() && seen[18..22] == frame[18..22]
            })
            .expect("forwarded");
        assert_eq!(arrived[22], frame[22] - 1);
        assert_eq!(arrived[26..], frame[26..]);
    }
    router.finish();
}

#[test]
fn datagrams_in_fragments_arrive_exactly_once() {
    let net = Routed::new().expect("a network");
    let router = Router::start_with(&net, &net.configuration_on_pcap());
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 1 -W 5")
            .expect("a ping")
            .received,
        1
    );
    let to = SocketAddrV4::new(Routed::B, 9000);
    let receiver = udp::Receiver::start(&net.b, to).expect("a receiver");
    let pace = Pace {
        rate_pps: 1_000,
        packets: 3_000,
    };
    let flow = udp::Flow {
        id: 1,
        from: SocketAddrV4::new(Routed::A, 9000),
        to,
        payload_octets: 4_000,
        pace,
    };
    let sent = udp::send(&net.a, flow)
        .expect("a sender")
        .finish()
        .expect("sent");
    let report = receiver.finish(&[(1, sent)], QUIET).expect("counts");
    // What the capture socket dropped before the router saw it is the network's loss: at most a datagram for each fragment.
    let stats = router.json("show port stats 0").expect("counters");
    let missed = stats
        .pointer("/ports/0/rx_missed")
        .and_then(serde_json::Value::as_u64);
    let (missed, count) = (missed.expect("a count"), report.total());
    assert!(
        (count.duplicated, count.reordered) == (0, 0) && count.lost <= missed,
        "{missed} fragments missed: {report:?}"
    );
    assert!(count.received > pace.packets / 2, "{report:?}");
    router.finish();
}

#[test]
fn packets_larger_than_the_mtu_pass_and_are_answered_over_af_packet_with_frames_of_that_size() {
    let net = Routed::new().expect("a network");
    let configuration = net
        .configuration()
        .replace("framecnt=4096", "framesz=8192,blocksz=8192,framecnt=512");
    let router = Router::start_with(&net, &configuration);
    for to in [Routed::LEFT, Routed::B] {
        let ping = probe::ping(&net.a, to, "-c 3 -i 0.2 -W 5 -s 4000").expect("a ping");
        assert_eq!(ping.received, 3, "from {to}");
    }
    router.finish();
}
