//! Two routers on one link, each a group of its own on ports of its own, in one data plane with two workers: end systems
//! move between them while they send.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::DiscardReason;
use dataplane::dpdk::Eal;
use dataplane::handover::{AcceptedPackets, HandoverDone, HandoverId, HandoverStep, Learned};
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{
    Dataplane, Group, MatchOn, NextHop, PortConfig, Published, RouteChange, WorkerConfig,
};

const VRID: u8 = 7;
const WAN: u16 = 4;
/// The end systems that move, 10.0.0.1 and so on.
const HOSTS: u32 = 3;
const FLOWS: u32 = 6;
const MOVES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(20);
/// Frames on their way at most.
const UNDER_WAY: u64 = 400;

/// A packet of an end system in a frame to the group.
fn frame(host: u32, flow: u32, number: u32) -> Vec<u8> {
    let mut frame = MacAddr::virtual_v4(VRID).0.to_vec();
    frame.extend([2, 0, 0, 0, 9, host as u8, 8, 0]);
    frame.extend([
        0x45, 0, 0, 48, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, host as u8,
    ]);
    frame.extend([20, 0, 0, flow as u8]);
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame.extend([0; 24]);
    frame
}

struct Link {
    plane: Dataplane,
    random: u64,
    /// By router: what hosts have sent that has not come to its ports.
    pending: [VecDeque<(u16, Vec<u8>)>; 2],
    /// Frames that have come to any port.
    arrived: u64,
    /// Whether hosts send.
    sending: bool,
    /// Packets that they have sent.
    sent: u32,
    deadline: Instant,
}

/// A router's port that gets a flow: each router spreads flows over its workers in its own way.
fn port(router: usize, flow: u32) -> u16 {
    match router {
        0 => (flow % 2) as u16,
        _ => 2 + (flow / 2 % 2) as u16,
    }
}

fn condition(router: usize, host: u32) -> u32 {
    10 * (router as u32 + 1) + host
}

fn conditions(router: usize) -> Vec<u32> {
    (1..=HOSTS).map(|host| condition(router, host)).collect()
}

impl Link {
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below
    }

    /// Frames that came out of the ports' rings, and went into them.
    fn in_rings(&self) -> (u64, u64) {
        let ports = &self.plane.counters().total().ports;
        let lan = &ports[..usize::from(WAN)];
        (
            lan.iter().map(|port| port.rx_packets).sum(),
            lan.iter().map(|port| port.tx_packets).sum(),
        )
    }

    fn arrive(&mut self, router: usize) {
        if let Some((port, frame)) = self.pending[router].pop_front() {
            let mut mbuf = self.plane.new_frame(&frame).unwrap();
            while let Err(full) = self.plane.transmit(port, mbuf) {
                mbuf = full.0;
            }
            self.arrived += 1;
        }
    }

    /// A moment passes: hosts send, and something arrives, not at the same time at both routers.
    fn pass(&mut self) {
        assert!(
            Instant::now() < self.deadline,
            "{:?}",
            self.plane.counters()
        );
        if !self.sending || self.arrived - self.in_rings().0 > UNDER_WAY {
            return;
        }
        for _ in 0..self.draw(8) {
            let flow = self.draw(FLOWS.into()) as u32;
            let host = 1 + flow % HOSTS;
            let frame = frame(host, flow, self.sent);
            self.sent += 1;
            for router in 0..2 {
                self.pending[router].push_back((port(router, flow), frame.clone()));
            }
        }
        for router in 0..2 {
            for _ in 0..self.draw(16) {
                self.arrive(router);
            }
        }
    }

    /// Longer than what has been sent needs to arrive anywhere.
    fn skew(&mut self) {
        for router in 0..2 {
            for _ in 0..self.pending[router].len() {
                self.arrive(router);
            }
        }
        let arrived = self.arrived;
        while self.in_rings().1 < arrived {
            assert!(
                Instant::now() < self.deadline,
                "{:?}",
                self.plane.counters()
            );
        }
    }

    /// Publishes a verdict on all end systems, and waits until it is in force.
    fn publish(&mut self, router: usize, verdict: Verdict, is_watched: bool) {
        let published = self.announce(router, verdict, is_watched);
        while !self.plane.has_taken_up(published) {
            self.pass();
        }
    }

    fn announce(&mut self, router: usize, verdict: Verdict, is_watched: bool) -> Published {
        for port in [2 * router as u16, 2 * router as u16 + 1] {
            let mut table = VerdictTable::builder(Verdict::Discard, 0);
            for host in 1..=HOSTS {
                let (address, condition) = ([10, 0, 0, host as u8].into(), condition(router, host));
                table = match is_watched {
                    true => table.watched(address, verdict, condition),
                    false => table.condition(address, verdict, condition),
                };
            }
            let table = Arc::new(table.build().unwrap());
            self.plane.set_verdicts(port, VRID, table).unwrap();
        }
        self.plane.published()
    }

    fn hand_over(&mut self, id: u32, router: usize, step: HandoverStep) -> HandoverDone {
        let id = HandoverId(id);
        self.plane.hand_over(id, &conditions(router), step).unwrap();
        loop {
            self.pass();
            if let Some((done, what)) = self.plane.poll_handovers() {
                assert_eq!(done, id);
                return what;
            }
        }
    }

    /// Moves all end systems, as `docs/protocol.md` section 6 has it. Returns how many packets were listed.
    fn move_all(&mut self, id: u32, from: usize, to: usize) -> usize {
        use HandoverStep as Step;

        // A step is not done before what was published before it is in force.
        self.announce(from, Verdict::Route, true);
        self.hand_over(id, from, Step::StartRecording { room: 65_536 });
        self.skew();
        self.hand_over(id, to, Step::EmptyReceiveQueues);
        self.publish(to, Verdict::Hold, false);
        for _ in 0..self.draw(40) {
            self.pass();
        }
        self.skew();
        self.hand_over(id, from, Step::EmptyReceiveQueues);
        self.publish(from, Verdict::Discard, true);
        self.hand_over(id, from, Step::DrainBacklog);
        let HandoverDone::Inspected(mut lists) = self.hand_over(id, from, Step::Inspect) else {
            panic!("no lists");
        };
        self.publish(from, Verdict::Discard, false);
        for list in &mut lists {
            assert!(!list.overflowed);
            list.condition = list.condition - condition(from, 0) + condition(to, 0);
        }
        let listed = |list: &AcceptedPackets| list.fingerprints.len();
        let listed = lists.iter().map(listed).sum();
        for _ in 0..self.draw(40) {
            self.pass();
        }
        self.skew();
        self.hand_over(id, to, Step::EmptyReceiveQueues);
        let released = self.hand_over(id, to, Step::Release(lists));
        assert_eq!(released, HandoverDone::Released);
        for _ in 0..self.draw(10) {
            self.pass();
        }
        self.publish(to, Verdict::Route, false);
        listed
    }

    /// Waits until everything that was sent has gone its way.
    fn calm(&mut self) {
        self.skew();
        while self.in_rings().0 < self.arrived || !self.plane.is_settled() {
            assert!(
                Instant::now() < self.deadline,
                "{:?}",
                self.plane.counters()
            );
        }
        for worker in 0..self.plane.workers() {
            self.plane.ask_backlog(worker).unwrap();
            let view = loop {
                if let Some(view) = self.plane.take_backlog(worker) {
                    break view;
                }
                assert!(Instant::now() < self.deadline);
            };
            assert_eq!(view.held, []);
        }
    }

    fn learn(&mut self) {
        let table = VerdictTable::builder(Verdict::Route, 1).watch_rest();
        let table = Arc::new(table.build().unwrap());
        self.plane.set_verdicts(0, VRID, table).unwrap();
        self.plane.settle();
        for number in 0..5 {
            self.pending[0].push_back((0, frame(77, 0, number)));
        }
        self.calm();
        let expected = Learned {
            port: 0,
            vrid: VRID,
            address: [10, 0, 0, 77].into(),
            from: MacAddr([2, 0, 0, 0, 9, 77]),
        };
        assert_eq!(self.plane.poll_learned(), Some(expected));
        assert_eq!(self.plane.poll_learned(), None);
    }

    /// What is held and not wanted is dropped, and what a host sends from the group's MAC raises the alarm.
    fn refuse(&mut self) {
        let before = self.plane.counters().total();
        self.publish(1, Verdict::Hold, false);
        let mut from_group = frame(1, 0, 0);
        from_group.copy_within(0..6, 6);
        for _ in 0..6 {
            self.pending[1].push_back((2, frame(1, 0, 0)));
            self.pending[1].push_back((3, frame(2, 0, 0)));
        }
        self.pending[1].push_back((2, from_group.clone()));
        from_group[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        self.pending[1].push_back((3, from_group));
        self.skew();
        while self.plane.counters().total().held < 12 {
            assert!(
                Instant::now() < self.deadline,
                "{:?}",
                self.plane.counters()
            );
        }
        self.plane
            .hand_over(HandoverId(0), &conditions(1), HandoverStep::DropBacklog)
            .unwrap();
        while self.plane.poll_handovers().is_none() {
            assert!(Instant::now() < self.deadline);
        }
        let counted = self.plane.counters().total().since(&before);
        assert_eq!(counted.held, 0);
        assert_eq!(counted.discarded(DiscardReason::NotInCharge), 12);
        assert_eq!(counted.discarded(DiscardReason::VirtualSource), 2);
    }
}

/// Flow and number of a packet that went out.
fn name(frame: &[u8]) -> (u8, u32) {
    assert_eq!(frame[22], 63, "a hop");
    let number = frame[34..38].try_into().unwrap();
    (frame[33], u32::from_be_bytes(number))
}

fn start(dir: &Path, outputs: &[PathBuf; 2]) -> Dataplane {
    let nothing = dir.join("nothing.pcap");
    capture::write(&nothing, []);
    let prefix = format!("--file-prefix=handover{}", std::process::id());
    let eal = ["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix];
    let eal = Eal::init(eal).unwrap();
    // What goes into such a ring comes out of it again, at the same port.
    let mut ports: Vec<PortConfig> = (0..WAN)
        .map(|ring| PortConfig {
            mac: Some(MacAddr([2, 0, 0, 0, 0, ring as u8])),
            rx_queues: Some(1),
            ..PortConfig::new(&format!("lan{ring}"), &format!("net_ring{ring}"))
        })
        .collect();
    ports.push(PortConfig {
        rx_queues: Some(1),
        ..PortConfig::new(
            "wan",
            &format!(
                "net_pcap0,rx_pcap={},tx_pcap={},tx_pcap={}",
                nothing.display(),
                outputs[0].display(),
                outputs[1].display()
            ),
        )
    });
    let config = WorkerConfig {
        count: 2,
        idle_sleep: Duration::from_micros(20),
        // So that something waits in the queues whenever they are to be emptied.
        burst: 4,
        ..WorkerConfig::default()
    };
    let (mut plane, report) = Dataplane::start(eal, ports, &config).unwrap();
    println!("{report:?}");
    let gateway = [192, 0, 2, 1].into();
    plane
        .change_routes(&[RouteChange::Add {
            prefix: "20.0.0.0/8".parse().unwrap(),
            next_hop: NextHop::Gateway {
                port: WAN,
                address: gateway,
            },
        }])
        .unwrap();
    plane.set_neighbour(WAN, gateway, Some(MacAddr([2, 0, 0, 0, 0, 9])));
    for port in 0..WAN {
        let group = Group {
            verdicts: Arc::new(VerdictTable::uniform(Verdict::Discard, 0)),
            match_on: MatchOn::Source,
        };
        plane.set_group(port, VRID, Some(group)).unwrap();
    }
    plane.start_forwarding();
    plane
}

#[test]
fn end_systems_move_while_they_send_and_every_packet_is_routed_once_in_its_order() {
    let dir = std::env::temp_dir().join(format!("handover-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let outputs = [dir.join("0.pcap"), dir.join("1.pcap")];
    let plane = start(&dir, &outputs);
    let mbufs = plane.mempool().in_use;
    let mut link = Link {
        plane,
        random: 0x9e37_79b9_7f4a_7c15,
        pending: Default::default(),
        arrived: 0,
        sending: true,
        sent: 0,
        deadline: Instant::now() + PATIENCE,
    };
    link.publish(0, Verdict::Route, false);
    link.skew();
    let mut listed = 0;
    for id in 0..MOVES {
        link.deadline = Instant::now() + PATIENCE;
        listed += link.move_all(id as u32, id % 2, (id + 1) % 2);
    }
    link.sending = false;
    link.calm();
    let counts = link.plane.counters().total();
    println!("{} sent, {listed} listed, {counts:?}", link.sent);
    let dropped = counts.discarded(DiscardReason::AcceptedBefore);
    assert!(dropped > 0 && dropped <= listed as u64);
    assert_eq!(counts.ports[usize::from(WAN)].tx_packets, link.sent.into());
    link.learn();
    link.refuse();
    link.calm();
    assert_eq!(link.plane.mempool().in_use, mbufs);
    let sent = link.sent;
    assert_eq!(link.plane.shutdown().mbufs, 0);

    // By flow: when each packet went out, and its number.
    let mut flows: BTreeMap<u8, Vec<(u64, u32)>> = BTreeMap::new();
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    for output in &outputs {
        let mut last: BTreeMap<u8, u32> = BTreeMap::new();
        for (at, frame) in capture::read(output) {
            let (flow, number) = name(&frame);
            if frame[29] == 77 {
                continue;
            }
            flows.entry(flow).or_default().push((at, number));
            *times.entry(number).or_default() += 1;
            let before = last.insert(flow, number);
            assert!(before < Some(number), "{number} after {before:?}");
        }
        assert!(!last.is_empty());
    }
    assert!(times.keys().copied().eq(0..sent), "some are lost");
    assert!(times.values().all(|times| *times == 1), "some are doubled");
    for packets in flows.values_mut() {
        packets.sort_unstable();
        assert!(packets.is_sorted_by_key(|packet| packet.1), "{packets:?}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}
