//! The demo with one router between two networks, and the kernel in its place for comparison.

use std::net::SocketAddrV4;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::Result;
use lab::manifold::Manifold;
use lab::probe::{self, Way};
use lab::table::Table;
use lab::topology::Routed;
use lab::traffic::pace::Pace;
use lab::traffic::{Count, icmp, tcp, udp};
use serde::Serialize;

/// Octets that iperf3 moves each way, in mebibytes.
const TRANSFER_MIB: u32 = 100;
/// How long nothing may arrive before a count is closed.
const QUIET: Duration = Duration::from_secs(1);
/// The counted streams: a few seconds each, all at once.
const UDP: Pace = Pace {
    rate_pps: 10_000,
    packets: 30_000,
};
const ICMP: Pace = Pace {
    rate_pps: 500,
    packets: 1_500,
};
const TCP: Pace = Pace {
    rate_pps: 2_000,
    packets: 6_000,
};

/// What was seen of one router.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    ping_answered: u32,
    ping_sent: u32,
    traceroute: Vec<String>,
    tcp_there_bit_s: f64,
    tcp_back_bit_s: f64,
    udp: Count,
    icmp_requests: Count,
    icmp_replies: Count,
    tcp_records: Count,
    tcp_retransmitted: u64,
    /// Lost in the laboratory, not in the router: full sockets and links.
    dropped_by_the_network: u64,
}

/// Both routers' figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// From the program's start to its first answer, in milliseconds.
    start_ms: f64,
    manifold: Figures,
    kernel: Figures,
}

/// Shows it in a network that is there.
pub(crate) fn show_in(net: &Routed, program: &Path) -> Result<Report> {
    eprintln!("the kernel as the router, for comparison …");
    net.route_by_kernel()?;
    let kernel = measure(net)?;
    net.unroute_by_kernel()?;
    eprintln!("manifold as the router …");
    let start = Instant::now();
    let _router = Manifold::start(&net.r, program, &net.configuration(), &[])?;
    let start_ms = start.elapsed().as_secs_f64() * 1e3;
    let manifold = measure(net)?;
    Ok(Report {
        start_ms,
        manifold,
        kernel,
    })
}

fn measure(net: &Routed) -> Result<Figures> {
    let drops_before = net.link_drops()?;
    // The first packet waits for ARP on both sides.
    let ping = probe::ping(&net.a, Routed::B, "-c 5 -i 0.2 -W 2")?;
    let hops = probe::traceroute(&net.a, Routed::B, "-I")?;
    let there = probe::iperf3(&net.a, &net.b, Routed::B, Way::Up, TRANSFER_MIB)?;
    let back = probe::iperf3(&net.a, &net.b, Routed::B, Way::Down, TRANSFER_MIB)?;

    let receiver = udp::Receiver::start(&net.b, SocketAddrV4::new(Routed::B, 9000))?;
    let flow = udp::Flow {
        id: 1,
        from: SocketAddrV4::new(Routed::A, 9000),
        to: SocketAddrV4::new(Routed::B, 9000),
        payload_octets: 200,
        pace: UDP,
    };
    let datagrams = udp::send(&net.a, flow)?;
    let echo = icmp::echo(&net.a, &net.b, Routed::B, 1, ICMP)?;
    let stream = tcp::stream(
        &net.a,
        Routed::A,
        &net.b,
        SocketAddrV4::new(Routed::B, 9001),
        TCP,
    )?;
    let datagrams = datagrams.finish()?;
    let udp = receiver.finish(&[(1, datagrams)], QUIET)?;
    let echo = echo.finish(QUIET)?;
    let stream = stream.finish()?;

    Ok(Figures {
        ping_answered: ping.received,
        ping_sent: ping.sent,
        traceroute: hops
            .iter()
            .map(|hop| hop.map_or("*".into(), |hop| hop.to_string()))
            .collect(),
        tcp_there_bit_s: there.bits_per_second,
        tcp_back_bit_s: back.bits_per_second,
        udp: udp.total(),
        icmp_requests: echo.requests,
        icmp_replies: echo.replies,
        tcp_records: stream.records,
        tcp_retransmitted: stream.retransmitted_segments,
        dropped_by_the_network: udp.socket_drops + net.link_drops()?.saturating_sub(drops_before),
    })
}

/// Prints the figures for people.
pub(crate) fn print(report: &Report) {
    let Report {
        manifold,
        kernel,
        start_ms,
        ..
    } = report;
    println!("\n  a ── {} ── {} ── b\n", Routed::LEFT, Routed::RIGHT);
    let mut probes = Table::new(&["", "manifold", "kernel"]);
    let both = |of: fn(&Figures) -> String| (of(manifold), of(kernel));
    for (name, (ours, theirs)) in [
        (
            "pings answered",
            both(|of| format!("{} of {}", of.ping_answered, of.ping_sent)),
        ),
        ("traceroute", both(|of| of.traceroute.join(", "))),
        ("iperf3 a to b", both(|of| gigabits(of.tcp_there_bit_s))),
        ("iperf3 b to a", both(|of| gigabits(of.tcp_back_bit_s))),
        (
            "dropped by the network itself",
            both(|of| of.dropped_by_the_network.to_string()),
        ),
        (
            "TCP segments sent again",
            both(|of| of.tcp_retransmitted.to_string()),
        ),
    ] {
        probes.row(&[&name, &ours, &theirs]);
    }
    println!("{probes}");
    let mut counts = Table::new(&[
        "counted at the receiver",
        "router",
        "sent",
        "lost",
        "duplicated",
        "reordered",
    ]);
    for (name, of) in [
        ("UDP datagrams", (|of| of.udp) as fn(&Figures) -> Count),
        ("ICMP echo requests", |of| of.icmp_requests),
        ("ICMP echo replies", |of| of.icmp_replies),
        ("TCP records", |of| of.tcp_records),
    ] {
        for (router, figures) in [("manifold", manifold), ("kernel", kernel)] {
            let Count {
                sent,
                lost,
                duplicated,
                reordered,
                ..
            } = of(figures);
            counts.row(&[&name, &router, &sent, &lost, &duplicated, &reordered]);
        }
    }
    println!("{counts}");
    println!("manifold answered {start_ms:.0} ms after it was started");
}

fn gigabits(bits_per_second: f64) -> String {
    format!("{:.2} Gbit/s", bits_per_second / 1e9)
}
