//! The laboratory itself, proven with the kernel as the router.
#![expect(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

use std::net::SocketAddrV4;
use std::time::Duration;

use lab::answers;
use lab::capture::Capture;
use lab::link::{End, cable, hub, plug};
use lab::namespace::Namespace;
use lab::packet_socket::PacketSocket;
use lab::probe::{self, Way};
use lab::topology::Routed;
use lab::traffic::pace::Pace;
use lab::traffic::{icmp, tcp, udp};
use lab::{poll, turn};

const QUIET: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(10);

fn kernel_routed() -> Routed {
    let net = Routed::new().expect("a network");
    net.route_by_kernel().expect("a router");
    net
}

fn udp_flow(id: u32, payload_octets: usize, pace: Pace) -> udp::Flow {
    let port = 9000 + id as u16;
    udp::Flow {
        id,
        from: SocketAddrV4::new(Routed::A, port),
        to: SocketAddrV4::new(Routed::B, 9000),
        payload_octets,
        pace,
    }
}

#[test]
fn udp_through_the_kernel_arrives_exactly_once() {
    let net = kernel_routed();
    let receiver =
        udp::Receiver::start(&net.b, SocketAddrV4::new(Routed::B, 9000)).expect("a receiver");
    let pace = Pace {
        rate_pps: 20_000,
        packets: 20_000,
    };
    let flows = [1, 2].map(|id| udp::send(&net.a, udp_flow(id, 200, pace)).expect("a sender"));
    let [one, two] = flows.map(|sender| sender.finish().expect("sending"));
    let report = receiver
        .finish(&[(1, one), (2, two)], QUIET)
        .expect("counts");
    assert_eq!(
        (report.socket_drops, net.link_drops().expect("drops")),
        (0, 0),
        "{report:?}"
    );
    assert!(
        report.flows[&1].is_exact() && report.flows[&2].is_exact(),
        "{report:?}"
    );
    assert_eq!(report.total().sent, 40_000);
}

#[test]
fn what_a_router_drops_is_counted_as_lost_and_nothing_else() {
    let net = kernel_routed();
    let receiver =
        udp::Receiver::start(&net.b, SocketAddrV4::new(Routed::B, 9000)).expect("a receiver");
    let pace = Pace {
        rate_pps: 20_000,
        packets: 1_000_000,
    };
    let sender = udp::send(&net.a, udp_flow(1, 64, pace)).expect("a sender");
    let sent_past = |number| {
        poll::until("sending", DEADLINE, || {
            Ok((sender.sent() > number).then_some(()))
        })
    };
    sent_past(2_000).expect("sent");
    net.r
        .sh("ip route add blackhole 10.71.2.2/32")
        .expect("a hole");
    let fallen_from = sender.sent();
    sent_past(fallen_from + 3_000).expect("sent");
    net.r
        .sh("ip route delete blackhole 10.71.2.2/32")
        .expect("no hole");
    sent_past(sender.sent() + 1_000).expect("sent");
    let sent = sender.stop().expect("sending");
    let report = receiver.finish(&[(1, sent)], QUIET).expect("counts");
    let count = report.flows[&1];
    assert!(count.lost >= 3_000 && count.received >= 2_000, "{report:?}");
    assert_eq!(
        (
            count.received + count.lost,
            count.duplicated,
            count.reordered
        ),
        (sent, 0, 0),
        "{report:?}"
    );
    assert_eq!(report.socket_drops, 0);
}

#[test]
fn a_second_copy_of_each_packet_is_counted_as_a_duplicate() {
    let net = kernel_routed();
    let receiver =
        udp::Receiver::start(&net.b, SocketAddrV4::new(Routed::B, 9000)).expect("a receiver");
    let pace = Pace {
        rate_pps: 20_000,
        packets: 2_000,
    };
    for port in [9001, 9002] {
        let flow = udp::Flow {
            from: SocketAddrV4::new(Routed::A, port),
            ..udp_flow(1, 64, pace)
        };
        assert_eq!(
            udp::send(&net.a, flow)
                .expect("a sender")
                .finish()
                .expect("sending"),
            2_000
        );
        poll::until("arrival", DEADLINE, || {
            Ok((receiver.received(1) == 2_000).then_some(()))
        })
        .expect("arrival");
    }
    let count = receiver.finish(&[(1, 2_000)], QUIET).expect("counts").flows[&1];
    assert_eq!(
        (count.received, count.lost, count.duplicated),
        (2_000, 0, 2_000),
        "{count:?}"
    );
}

#[test]
fn icmp_and_tcp_through_the_kernel_arrive_exactly_once() {
    let net = kernel_routed();
    let pace = Pace {
        rate_pps: 1_000,
        packets: 1_000,
    };
    let echo = icmp::echo(&net.a, &net.b, Routed::B, 42, pace).expect("an echo flow");
    let stream = tcp::stream(
        &net.a,
        Routed::A,
        &net.b,
        SocketAddrV4::new(Routed::B, 9001),
        pace,
    )
    .expect("a stream");
    let echo = echo.finish(QUIET).expect("counts");
    let stream = stream.finish().expect("counts");
    assert!(
        echo.requests.is_exact() && echo.replies.is_exact(),
        "{echo:?}"
    );
    assert!(stream.records.is_exact(), "{stream:?}");
    assert_eq!(stream.retransmitted_segments, 0);
}

#[test]
fn iperf3_transfers_both_ways() {
    let net = kernel_routed();
    for way in [Way::Up, Way::Down] {
        let transfer = probe::iperf3(&net.a, &net.b, Routed::B, way, 20).expect("a transfer");
        // iperf3's receiver stops counting when the sender has handed all to its kernel.
        assert!(transfer.octets >= 10 << 20, "{transfer:?}");
    }
}

#[test]
fn the_kernel_is_named_by_traceroute_and_decrements_the_ttl() {
    let net = kernel_routed();
    for method in ["-I", "-U"] {
        let hops = probe::traceroute(&net.a, Routed::B, method).expect("a trace");
        assert_eq!(hops, [Some(Routed::LEFT), Some(Routed::B)]);
    }
    let ping = probe::ping(&net.a, Routed::B, "-c 3 -i 0.2").expect("a ping");
    assert_eq!(
        ping,
        probe::Ping {
            sent: 3,
            received: 3,
            ttl: Some(63)
        }
    );
}

#[test]
fn a_smaller_next_hop_is_reported_with_its_mtu() {
    let net = Routed::with_right_mtu(1280).expect("a network");
    net.route_by_kernel().expect("a router");
    let ask = || probe::ping(&net.a, Routed::B, "-c 1 -W 1 -M do -s 1472");
    let (ping, messages) = probe::icmp_arriving(net.a_end(), ask).expect("a ping");
    assert_eq!(ping.received, 0);
    let [message] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (message.from, message.kind, message.code, message.mtu),
        (Routed::LEFT, 3, 4, Some(1280))
    );
    assert_eq!(message.quoted_to, Some(Routed::B));
}

#[test]
fn the_questions_find_out_what_the_kernel_does() {
    let net = kernel_routed();
    let answers = answers::ask(&net).expect("answers");
    drop(net);
    let net = Routed::with_right_mtu(1280).expect("a network");
    net.route_by_kernel().expect("a router");
    let answers = [answers, answers::ask_about_mtu(&net).expect("answers")].concat();
    let through = "octets forwarded with ttl 63";
    for (question, expected) in [
        ("ping back", "3 of 3 answered, ttl 63".into()),
        ("traceroute by UDP", "10.71.1.1, 10.71.2.2".into()),
        (
            "a datagram to a port where nobody listens",
            format!("38 {through}, port unreachable from 10.71.2.2"),
        ),
        ("a time to live of 1", "time exceeded from 10.71.1.1".into()),
        ("no route", "net unreachable from 10.71.1.1".into()),
        ("directed broadcast", "nothing".into()),
        (
            "a neighbour that never answers",
            "host unreachable from 10.71.1.1".into(),
        ),
        (
            "too large, not to be fragmented",
            "fragmentation needed, mtu 1280, from 10.71.1.1".into(),
        ),
        ("path MTU that the host learned", "1280".into()),
    ] {
        let found = answers
            .iter()
            .find(|answer| answer.question == question)
            .expect("asked");
        assert_eq!(found.answer, expected, "{question}");
    }
}

#[test]
fn a_frame_that_no_kernel_would_send_reaches_the_wire_as_it_is() {
    let net = kernel_routed();
    let (sender, receiver) = (
        PacketSocket::open(net.a_end()).expect("a socket"),
        PacketSocket::open(net.left()).expect("a socket"),
    );
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 0x88, 0xb5, 1, 2, 3]);
    sender.send(&frame).expect("sent");
    receiver
        .expect("the frame", DEADLINE, |seen| seen == frame)
        .expect("seen");
    assert!(
        !sender.drain().expect("frames").contains(&frame),
        "a socket does not hear itself"
    );
}

#[test]
fn a_hub_shows_every_frame_to_every_port() {
    let _turn = turn::take();
    let middle = Namespace::new("hub").expect("a hub");
    hub(&middle, "hub0").expect("a hub");
    let hosts = ["one", "two", "three"].map(|name| Namespace::new(name).expect("a host"));
    for (index, host) in hosts.iter().enumerate() {
        let port = format!("port{index}");
        cable(End::of(host, "eth0"), End::of(&middle, &port), 1500).expect("a cable");
        plug(End::of(&middle, &port), "hub0").expect("plugged");
        End::of(host, "eth0")
            .address(&format!("10.72.0.{}/24", index + 1))
            .expect("an address");
    }
    let bystander = PacketSocket::open(End::of(&hosts[2], "eth0")).expect("a socket");
    let to = "10.72.0.2".parse().expect("an address");
    assert_eq!(
        probe::ping(&hosts[0], to, "-c 2 -i 0.2")
            .expect("a ping")
            .received,
        2
    );
    let unicast = |frame: &[u8]| frame.len() > 40 && frame[0] & 1 == 0 && frame[23] == 1;
    for _ in 0..4 {
        bystander
            .expect("another's echo", DEADLINE, unicast)
            .expect("seen");
    }
}

#[test]
fn a_capture_is_decoded_by_tshark() {
    let net = kernel_routed();
    let capture = Capture::start(net.b_end(), "icmp").expect("a capture");
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 2 -i 0.2")
            .expect("a ping")
            .received,
        2
    );
    capture.wait_for(4, DEADLINE).expect("packets");
    let lines = capture
        .finish()
        .expect("a capture")
        .fields("icmp.type == 8", &["ip.src", "ip.ttl"])
        .expect("fields");
    assert_eq!(lines, ["10.71.1.2\t63", "10.71.1.2\t63"]);
}

#[test]
fn a_machine_takes_its_programs_and_files_with_it() {
    let _turn = turn::take();
    let machine = Namespace::new("short-lived").expect("a machine");
    std::fs::write(machine.run_file("note"), "x").expect("a file");
    assert_eq!(machine.sh("cat /run/note").expect("read"), "x");
    assert!(
        !std::path::Path::new("/run/note").exists(),
        "its /run is its own"
    );
    let program = machine.spawn(&["sleep", "1000"]).expect("a program");
    let (pid, keeper) = (program.id(), machine.pid());
    let alive = |pid: u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(alive(pid) && alive(keeper));
    drop((program, machine));
    assert!(!alive(pid) && !alive(keeper));
}

#[test]
fn a_program_that_goes_on_is_told_with_what_it_said() {
    let _turn = turn::take();
    let machine = Namespace::new("slow").expect("a machine");
    let mut program = machine
        .spawn(&["sh", "-c", "echo here; exec sleep 1000"])
        .expect("a program");
    program.wait_for("here", DEADLINE).expect("printed");
    let refused = program
        .finish(Duration::from_millis(50))
        .expect_err("goes on")
        .to_string();
    assert!(
        refused.contains("here") && refused.contains("sleep"),
        "{refused}"
    );
}

#[test]
fn a_wait_ends_at_its_deadline() {
    let refused = poll::until("nothing", Duration::from_millis(20), || Ok(None::<()>))
        .expect_err("nothing comes");
    assert_eq!(refused.to_string(), "nothing did not happen within 20ms");
}
