//! Traffic through the router, counted where it arrives.

use std::net::{Ipv4Addr, SocketAddrV4};

use lab::probe::{self, Way};
use lab::topology::Routed;
use lab::traffic::pace::Pace;
use lab::traffic::{icmp, tcp, udp};

use super::{QUIET, Router};

#[test]
fn udp_icmp_and_tcp_together_lose_nothing() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    // So that nobody has to wait for ARP: what a router holds meanwhile is bounded.
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 1 -W 5")
            .expect("a ping")
            .received,
        1
    );
    let there = SocketAddrV4::new(Routed::B, 9000);
    let back = SocketAddrV4::new(Routed::A, 9000);
    let at_b = udp::Receiver::start(&net.b, there).expect("a receiver");
    let at_a = udp::Receiver::start(&net.a, back).expect("a receiver");
    let pace = Pace {
        rate_pps: 10_000,
        packets: 30_000,
    };
    let up = udp::Flow {
        id: 1,
        from: SocketAddrV4::new(Routed::A, 9001),
        to: there,
        payload_octets: 100,
        pace,
    };
    let down = udp::Flow {
        id: 2,
        from: SocketAddrV4::new(Routed::B, 9001),
        to: back,
        payload_octets: 1400,
        pace,
    };
    let up = udp::send(&net.a, up).expect("a sender");
    let down = udp::send(&net.b, down).expect("a sender");
    let slower = Pace {
        rate_pps: 1_000,
        packets: 3_000,
    };
    let echo = icmp::echo(&net.a, &net.b, Routed::B, 7, slower).expect("an echo flow");
    let stream = tcp::stream(
        &net.b,
        Routed::B,
        &net.a,
        SocketAddrV4::new(Routed::A, 9002),
        slower,
    )
    .expect("a stream");

    let up = at_b
        .finish(&[(1, up.finish().expect("sent"))], QUIET)
        .expect("counts");
    let down = at_a
        .finish(&[(2, down.finish().expect("sent"))], QUIET)
        .expect("counts");
    let echo = echo.finish(QUIET).expect("counts");
    let stream = stream.finish().expect("counts");
    let network = (
        up.socket_drops,
        down.socket_drops,
        net.link_drops().expect("drops"),
    );
    assert_eq!(network, (0, 0, 0), "the network itself lost something");
    assert!(
        up.total().is_exact() && down.total().is_exact(),
        "{up:?} {down:?}"
    );
    assert!(
        echo.requests.is_exact() && echo.replies.is_exact(),
        "{echo:?}"
    );
    assert!(stream.records.is_exact(), "{stream:?}");
    router.finish();
}

#[test]
fn iperf3_transfers_both_ways() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    for way in [Way::Up, Way::Down] {
        let transfer = probe::iperf3(&net.a, &net.b, Routed::B, way, 50).expect("a transfer");
        println!("{way:?}: {transfer:?}");
        assert!(transfer.octets > 25 << 20, "{transfer:?}");
    }
    router.finish();
}

#[test]
fn routes_that_change_under_load_lose_nothing() {
    const CHANGES: u32 = 40;
    let net = Routed::new().expect("a network");
    // The way to the receiver: its own network, or one of these two more specific routes by way of the receiver itself.
    let far = Ipv4Addr::new(10, 99, 0, 1);
    net.b_end()
        .address(&format!("{far}/32"))
        .expect("an address");
    let configuration = |change: u32| {
        let mut text = net.configuration();
        let lengths: &[u8] = if change.is_multiple_of(2) {
            &[16]
        } else {
            &[16, 24, 32]
        };
        for length in lengths {
            let network = u32::from(far) & (u32::MAX << (32 - length));
            text += &route(&format!("{}/{length}", Ipv4Addr::from(network)));
        }
        // And much beside it, so that the table's groups come and go.
        for third in 0..200 {
            text += &route(&format!("10.{}.{third}.0/25", 100 + change % 3));
        }
        text
    };
    let router = Router::start_with(&net, &configuration(0));
    assert_eq!(
        probe::ping(&net.a, far, "-c 1 -W 5")
            .expect("a ping")
            .received,
        1
    );
    let to = SocketAddrV4::new(far, 9000);
    let receiver = udp::Receiver::start(&net.b, to).expect("a receiver");
    let pace = Pace {
        rate_pps: 10_000,
        packets: 1_000_000,
    };
    let flow = udp::Flow {
        id: 1,
        from: SocketAddrV4::new(Routed::A, 9000),
        to,
        payload_octets: 100,
        pace,
    };
    let sender = udp::send(&net.a, flow).expect("a sender");
    for change in 1..=CHANGES {
        router.configure(&configuration(change)).expect("written");
        router.ctl("reload").expect("reloaded");
    }
    let sent = sender.stop().expect("sent");
    let report = receiver.finish(&[(1, sent)], QUIET).expect("counts");
    assert_eq!(
        (report.socket_drops, net.link_drops().expect("drops")),
        (0, 0),
        "the network itself lost something"
    );
    assert!(report.total().is_exact(), "{report:?}");
    router.finish();
}

/// A route by way of the host on the right.
fn route(prefix: &str) -> String {
    format!(
        "\n[[route]]\nprefix = \"{prefix}\"\nvia = \"{}\"\n",
        Routed::B
    )
}
