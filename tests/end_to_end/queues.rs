//! Two workers at once.

use std::net::SocketAddrV4;

use lab::topology::Routed;
use lab::traffic::pace::Pace;
use lab::traffic::udp;
use lab::{poll, probe};

use super::{DEADLINE, QUIET, Router};

#[test]
fn two_workers_forward_at_once_and_their_counters_add_up() {
    const FLOWS: u32 = 16;
    let net = Routed::new().expect("a network");
    let configuration = net
        .configuration()
        .replace("[workers]\n", "[workers]\ncount = 2\n")
        .replace("iface=left", "iface=left,qpairs=2")
        .replace("iface=right", "iface=right,qpairs=2");
    let router = Router::start_with(&net, &configuration);
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 1 -W 5")
            .expect("a ping")
            .received,
        1
    );
    let to = SocketAddrV4::new(Routed::B, 9000);
    let receiver = udp::Receiver::start(&net.b, to).expect("a receiver");
    // The driver spreads by flow, so each keeps its order.
    let pace = Pace {
        rate_pps: 1_000,
        packets: 3_000,
    };
    let start = |id| {
        let from = SocketAddrV4::new(Routed::A, 10_000 + id as u16);
        udp::send(
            &net.a,
            udp::Flow {
                id,
                from,
                to,
                payload_octets: 100,
                pace,
            },
        )
        .expect("a sender")
    };
    let senders: Vec<_> = (0..FLOWS).map(|id| (id, start(id))).collect();
    let sent: Vec<_> = senders
        .into_iter()
        .map(|(id, sender)| (id, sender.finish().expect("sent")))
        .collect();
    let report = receiver.finish(&sent, QUIET).expect("counts");
    assert_eq!(
        (report.socket_drops, net.link_drops().expect("drops")),
        (0, 0),
        "the network itself lost something"
    );
    assert!(
        report.flows.values().all(|count| count.is_exact()),
        "{report:?}"
    );

    let answer = router.json("show lcores").expect("workers");
    let each = |name: &str| -> Vec<u64> {
        let workers = answer["workers"].as_array().expect("workers");
        workers
            .iter()
            .map(|worker| worker[name].as_u64().expect("a count"))
            .collect()
    };
    assert!(
        each("rx_packets").iter().all(|received| *received > 1_000),
        "both worked: {answer}"
    );
    // The drivers count for themselves. A stray frame between two questions is counted by both at the next.
    let both_count = || {
        let [workers, drivers] = ["show fwd stats all", "show port stats all"]
            .map(|line| router.json(line).expect("counters"));
        let ports = drivers["ports"].as_array().expect("ports");
        let agree = ["rx_packets", "tx_packets"].iter().all(|name| {
            let of_workers = workers["total"][name].as_u64().expect("a count");
            let of_drivers: u64 = ports.iter().filter_map(|port| port[name].as_u64()).sum();
            of_workers == of_drivers && of_workers >= u64::from(FLOWS) * pace.packets
        });
        Ok(agree.then_some(()))
    };
    poll::until("workers and drivers to count alike", DEADLINE, both_count).expect("alike");
    router.finish();
}
