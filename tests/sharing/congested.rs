//! The router that gives away is congested: what it sends to goes slower than what comes in, so that its backlog is never empty.

use std::net::SocketAddrV4;
use std::time::Duration;

use lab::group::Group;
use lab::manifold::Manifold;
use lab::topology::sharing::{CARRIER, Setup, Sharing};
use lab::traffic::pace::Pace;
use lab::traffic::udp;
use lab::{poll, probe};

use super::{DEADLINE, END_SYSTEMS, blames_the_machine, program, told};

const PORT: u16 = 9000;
/// The congested router.
const SLOW: u8 = 0;
/// The end system that keeps it congested, and stays with it.
const HEAVY: u8 = 5;
const HEAVY_PPS: u64 = 1_000;
/// Those that move.
const LIGHT: u8 = 2;
const LIGHT_PPS: u64 = 100;
const SECONDS_MAX: u64 = 60;

/// The other end of a slow router's memif: takes what is in its ring of eight places, sends it on to the carrier's side, and sleeps for
/// 10 ms. Only `io` is done, so the router behind it is as if it were on the bridge itself.
pub(super) fn peer_configuration(net: &Sharing, router: u8) -> String {
    let socket = net.memif_socket(router);
    format!(
        "[eal]\nhuge-pages = \"off\"\n\n[workers]\nidle-sleep = \"10ms\"\n\n\
         [[port]]\nname = \"memif\"\ndevice = \"net_memif0,role=client,id=0,socket={},socket-abstract=no,rsize=3\"\n\n\
         [[port]]\nname = \"out\"\ndevice = \"net_af_packet1,iface=eth0\"\n",
        socket.display()
    )
}

/// Packets that a router's backlogs could not keep, be it that they waited for the egress, or for a move.
pub(super) fn overflows(group: &Group<'_>, router: u8) -> u64 {
    let router = group.router(router).expect("a router");
    let counters = router.ask("show counters").expect("counters");
    let reasons = ["egress-overflow", "hold-overflow"].into_iter();
    let of = |reason| counters["discards"][reason].as_u64().expect("a count");
    reasons.map(of).sum()
}

/// Packets that wait at a slow router, and those that it could not keep.
pub(super) fn congestion(group: &Group<'_>, slow: u8) -> (u64, u64) {
    let router = group.router(slow).expect("a router");
    let backlog = router.ask("show backlog").expect("a backlog");
    let workers = backlog["workers"].as_array().into_iter().flatten();
    let ports = workers.flat_map(|worker| worker["waiting"].as_array().into_iter().flatten());
    let waiting = ports
        .filter(|port| port["port"] == CARRIER)
        .filter_map(|port| port["packets"].as_u64());
    (waiting.sum(), overflows(group, slow))
}

fn move_to(group: &Group<'_>, host: u8, to: u8) {
    let condition = Sharing::host(host).to_string();
    if group.in_charge().expect("a table")[&condition] != to {
        group.move_to(&condition, to).expect("an order");
        let moved = group.wait_until_moved(&condition, to, DEADLINE);
        moved.expect("an end of the move");
    }
}

#[test]
fn moves_from_a_congested_router_lose_what_overflowed_and_nothing_else() {
    let net = Sharing::new(END_SYSTEMS, 2, 1).expect("a network");
    let machine = net.guest("peer", CARRIER).expect("a machine");
    let setup = Setup {
        memif: Some(SLOW),
        ..told("drain-limit = \"20s\"")
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    let peer = Manifold::start(&machine, program(), &peer_configuration(&net, SLOW), &[]);
    let peer = peer.expect("a peer");
    peer.ctl("set fwd io").expect("a peer that forwards");
    let known = group.wait_until_known(usize::from(END_SYSTEMS) + 1, DEADLINE);
    known.expect("agreement");
    move_to(&group, HEAVY, SLOW);
    // The slow router shall know the server before the load begins: packets that wait for ARP may be overtaken by those behind it.
    let heavy = &net.hosts[usize::from(HEAVY)];
    let ping = probe::ping(heavy, Sharing::server(0), "-c 3 -i 0.2 -W 5").expect("a ping");
    assert!(ping.received > 0, "the server answers");

    let since = group.mark();
    let at = SocketAddrV4::new(Sharing::server(0), PORT);
    let receiver = udp::Receiver::start(&net.servers[0], at).expect("a receiver");
    let start = |host: u8, rate_pps| {
        let from = SocketAddrV4::new(Sharing::host(host), PORT);
        let pace = Pace {
            rate_pps,
            packets: rate_pps * SECONDS_MAX,
        };
        let flow = udp::Flow {
            id: host.into(),
            from,
            to: at,
            payload_octets: 64,
            pace,
        };
        let sender = udp::send(&net.hosts[usize::from(host)], flow).expect("a sender");
        (u32::from(host), sender)
    };
    let mut senders = vec![start(HEAVY, HEAVY_PPS)];
    senders.extend((0..LIGHT).map(|host| start(host, LIGHT_PPS)));
    let mut least = u64::MAX;
    for host in (0..LIGHT).chain(0..LIGHT) {
        move_to(&group, host, SLOW);
        poll::until("congestion", DEADLINE, || {
            Ok((congestion(&group, SLOW).0 > 0).then_some(()))
        })
        .expect("congestion");
        move_to(&group, host, 1);
        least = least.min(congestion(&group, SLOW).0);
    }
    let sent: Vec<(u32, u64)> = senders
        .into_iter()
        .map(|(id, sender)| (id, sender.stop().expect("sent")))
        .collect();
    poll::until("an end of the congestion", DEADLINE, || {
        Ok((congestion(&group, SLOW).0 == 0).then_some(()))
    })
    .expect("an empty backlog");
    let report = receiver.finish(&sent, Duration::from_secs(1));
    let report = report.expect("counts");
    let (_, overflowed) = congestion(&group, SLOW);
    println!("never fewer than {least} packets waited; {overflowed} overflowed; {report:?}");
    let total = report.total();
    let exact = (total.lost, total.duplicated, total.reordered) == (overflowed, 0, 0);
    if !exact {
        println!("{}", group.story());
    }
    assert!(least > 0, "the router was congested whenever it gave away");
    assert!(exact || !blames_the_machine(&group, &since, &[]));
    assert!(exact, "{report:#?}");
}
