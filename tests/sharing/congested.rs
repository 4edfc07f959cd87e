//! The router that gives away is congested: what it sends to goes slower than what comes in, so that its backlog is never empty.

use std::net::SocketAddrV4;
use std::time::Duration;

use lab::group::Group;
use lab::manifold::Manifold;
use lab::poll;
use lab::topology::sharing::{CARRIER, Setup, Sharing};
use lab::traffic::pace::Pace;
use lab::traffic::udp;

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

/// Packets that wait at a slow router, and those that it could not keep: of what it sends on, and of what it holds.
pub(super) fn congestion(group: &Group<'_>, slow: u8) -> lab::Result<(u64, [u64; 2])> {
    let router = group.router(slow)?;
    let backlog = router.ask("show backlog")?;
    let workers = backlog["workers"].as_array().into_iter().flatten();
    let ports = workers.flat_map(|worker| worker["waiting"].as_array().into_iter().flatten());
    let waiting = ports
        .filter(|port| port["port"] == CARRIER)
        .filter_map(|port| port["packets"].as_u64());
    let counters = router.ask("show counters")?;
    let overflowed = |reason| counters["discards"][reason].as_u64().unwrap_or_default();
    let overflows = ["egress-overflow", "hold-overflow"].map(overflowed);
    Ok((waiting.sum(), overflows))
}

/// The fewest packets that ever waited at the slow router while end systems moved, and how often it was looked.
#[derive(Debug)]
struct Least {
    waiting: u64,
    looks: u64,
}

/// Moves an end system, and looks at the slow router all the while.
fn move_to(group: &Group<'_>, host: u8, to: u8, least: &mut Least) {
    let condition = Sharing::host(host).to_string();
    if group.in_charge().expect("a table")[&condition] == to {
        return;
    }
    group.move_to(&condition, to).expect("an order");
    let moved = poll::until("an end of the move", DEADLINE, || {
        least.waiting = least.waiting.min(congestion(group, SLOW)?.0);
        least.looks += 1;
        let moved = group.in_charge()?.get(&condition) == Some(&to);
        Ok((moved && group.is_quiet()?).then_some(()))
    });
    moved.expect("an end of the move");
}

#[test]
fn moves_from_a_congested_router_lose_what_overflowed_and_nothing_else() {
    let net = Sharing::new(END_SYSTEMS, 2, 1).expect("a network");
    let machine = net.guest("peer", CARRIER).expect("a machine");
    let setup = Setup {
        memif: Some(SLOW),
        workers: "backlog = 2048",
        ..told("drain-limit = \"20s\"")
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    let peer = Manifold::start(&machine, program(), &peer_configuration(&net, SLOW), &[]);
    let peer = peer.expect("a peer");
    peer.ctl("set fwd io").expect("a peer that forwards");
    let known = group.wait_until_known(usize::from(END_SYSTEMS) + 1, DEADLINE);
    known.expect("agreement");
    let mut least = Least {
        waiting: u64::MAX,
        looks: 0,
    };
    for host in [HEAVY].into_iter().chain(0..LIGHT) {
        move_to(&group, host, SLOW, &mut least);
    }

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
    // Nobody knows the server's link address yet.
    let mut senders = vec![start(HEAVY, HEAVY_PPS)];
    senders.extend((0..LIGHT).map(|host| start(host, LIGHT_PPS)));
    let wait_for = |what, is_so: &dyn Fn(u64, u64) -> bool| {
        poll::until(what, DEADLINE, || {
            let (waiting, [overflowed, _]) = congestion(&group, SLOW)?;
            Ok(is_so(waiting, overflowed).then_some(()))
        })
        .expect(what);
    };
    wait_for("congestion", &|waiting, _| waiting > 0);
    least = Least {
        waiting: u64::MAX,
        looks: 0,
    };
    for host in 0..LIGHT {
        move_to(&group, host, 1, &mut least);
        move_to(&group, host, SLOW, &mut least);
    }
    // Then it is so congested that it cannot keep what comes.
    wait_for("overflows", &|_, overflowed| overflowed > 0);
    for host in 0..LIGHT {
        move_to(&group, host, 1, &mut least);
    }
    let sent: Vec<(u32, u64)> = senders
        .into_iter()
        .map(|(id, sender)| (id, sender.stop().expect("sent")))
        .collect();
    wait_for("an end of the congestion", &|waiting, _| waiting == 0);
    let report = receiver.finish(&sent, Duration::from_secs(1));
    let report = report.expect("counts");
    let (_, [overflowed, not_held]) = congestion(&group, SLOW).expect("counters");
    println!("{least:?}; {overflowed} overflowed; {report:?}");
    let total = report.total();
    let exact = (total.lost, total.duplicated, total.reordered) == (overflowed, 0, 0);
    if !exact {
        println!("{}", group.story());
    }
    assert!(least.waiting > 0, "its backlog was empty in a move");
    assert!(least.looks >= 6, "it was looked at in every move");
    assert!(overflowed > 0 && not_held == 0, "{overflowed}, {not_held}");
    assert!(exact || !blames_the_machine(&group, &since, &[]));
    assert!(exact, "{report:#?}");
}
