//! A whole hand-over between two routers with several workers each, as `docs/protocol.md` section 6 has it: in whatever order things
//! happen within its rules, every packet is sent once, and those of a flow in their order.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const CONDITION: u32 = 7;
const WORKERS: usize = 2;
const FLOWS: u8 = 4;
/// Packets that are let go in one round, at most.
const ROUND: usize = 2;
/// Packets in a transmit ring, at most.
const RING: usize = 3;

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A host sends a packet of a flow, or one that is the same to the last bit as others of it.
    Sent { flow: u8, identical: bool },
    /// A worker of the router that gives takes what is in its queue; later ones it takes under the next verdict if that is out.
    Given(usize),
    /// A worker of the router that takes goes round once.
    Taken(usize),
    /// A transmit ring of the router that gives lets a packet out.
    Left(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..FLOWS, prop::bool::weighted(0.2))
            .prop_map(|(flow, identical)| Happening::Sent { flow, identical }),
        2 => (0..WORKERS).prop_map(Happening::Given),
        2 => (0..WORKERS).prop_map(Happening::Taken),
        2 => (0..WORKERS).prop_map(Happening::Left),
    ]
}

/// A worker of either router.
struct Worker {
    queue: VecDeque<Ip>,
    part: WorkerPart,
    backlog: Backlog<Ip>,
    ring: VecDeque<Ip>,
    /// Packets that have been put into the ring.
    sent: u64,
    /// The router that gives: whether it discards.
    discards: bool,
}

impl Worker {
    fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            part: WorkerPart::default(),
            backlog: Backlog::new(1024, 1),
            ring: VecDeque::new(),
            sent: 0,
            discards: false,
        }
    }

    fn ask(&mut self, task: Task) {
        let (ticket, id) = (1, HandoverId(1));
        self.part
            .obey(Order { ticket, id, task }, &mut self.backlog, |_| {});
    }

    /// Takes everything in the queue, as the router that gives. Returns how much it accepted.
    fn give(&mut self, now: u64) -> usize {
        let mut accepted = 0;
        while let Some(packet) = self.queue.pop_front() {
            if self.discards {
                self.part.refuse(CONDITION, &packet, now);
            } else {
                self.part.accept(CONDITION, &packet);
                accepted += 1;
                let condition = CONDITION;
                let waiting = Waiting { condition, packet };
                self.backlog.enqueue(0, waiting).unwrap();
            }
        }
        self.fill_ring();
        accepted
    }

    fn fill_ring(&mut self) {
        while self.ring.len() < RING
            && let Some(waiting) = self.backlog.dequeue(0)
        {
            self.ring.push_back(waiting.packet);
            self.sent += 1;
        }
    }

    /// Ends a round of the router that gives. Whether what it drains is gone.
    fn has_drained(&mut self) -> bool {
        let state = EgressState {
            sent: self.sent,
            full_at: None,
            idle: Some(self.ring.is_empty()),
            descriptors: RING as u16,
        };
        self.part.end_round(&mut self.backlog, |_| state, 0);
        self.part.poll_answer().is_some()
    }

    /// A round of the router that takes, whose egress is free: lets some of what is held go, and takes one packet from the queue.
    fn take(&mut self, wire: &mut Vec<Ip>) {
        self.part.begin_round(1);
        self.part
            .release(&mut self.backlog, ROUND, |held, dropped| {
                if !dropped {
                    wire.push(held.packet);
                }
            });
        if let Some(packet) = self.queue.pop_front() {
            if self.part.lets_pass(CONDITION) {
                wire.push(packet);
            } else {
                hold(&mut self.backlog, CONDITION, packet);
            }
        }
    }
}

struct Link {
    giver: Vec<Worker>,
    taker: Vec<Worker>,
    /// How often hosts have sent each packet.
    host: BTreeMap<(u8, u32), usize>,
    /// What has left the routers, in its order.
    wire: Vec<Ip>,
    accepted: usize,
    number: u32,
    now: u64,
    /// The router that gives has published that it discards.
    is_withdrawn: bool,
}

/// The flow of a packet and its number in it, zero if it is one of many.
fn name(packet: &Ip) -> (u8, u32) {
    TcpMark::of(packet).map_or((0, 0), |mark| {
        (mark.source.octets()[3], mark.sequence_number)
    })
}

impl Link {
    fn happen(&mut self, happening: Happening) {
        self.now += 1;
        match happening {
            Happening::Sent { flow, identical } => {
                self.number += 1;
                let packet = tcp(flow, if identical { 0 } else { self.number });
                *self.host.entry(name(&packet)).or_default() += 1;
                // Each router spreads flows over its workers in its own way.
                let (given, taken) = (usize::from(flow), usize::from(flow) / 2);
                self.giver[given % WORKERS].queue.push_back(packet.clone());
                self.taker[taken % WORKERS].queue.push_back(packet);
            }
            Happening::Given(worker) => {
                let worker = &mut self.giver[worker];
                self.accepted += worker.give(self.now);
                worker.discards |= self.is_withdrawn;
            }
            Happening::Taken(worker) => self.taker[worker].take(&mut self.wire),
            Happening::Left(worker) => {
                let worker = &mut self.giver[worker];
                self.wire.extend(worker.ring.pop_front());
                worker.fill_ring();
            }
        }
    }

    fn all(&mut self, happening: fn(usize) -> Happening) {
        for worker in 0..WORKERS {
            self.happen(happening(worker));
        }
    }

    /// What the router that gives has recorded.
    fn inspect(&mut self) -> Vec<AcceptedPackets> {
        let recordings: Vec<Recording> = self
            .giver
            .iter_mut()
            .map(|worker| {
                worker.ask(Task::StopRecording);
                match worker.part.poll_answer().unwrap().returned {
                    Some(Returned::Recording(recording)) => *recording,
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        Recording::merge(&recordings)
    }
}

proptest! {
    #[test]
    fn every_packet_is_sent_once_and_in_its_order(
        before in prop::collection::vec(happening(), 0..60),
        between in prop::collection::vec(happening(), 0..40),
        after in prop::collection::vec(happening(), 0..60),
        order in any::<bool>(),
    ) {
        let mut link = Link {
            giver: (0..WORKERS).map(|_| Worker::new()).collect(),
            taker: (0..WORKERS).map(|_| Worker::new()).collect(),
            host: BTreeMap::new(),
            wire: Vec::new(),
            accepted: 0,
            number: 0,
            now: 0,
            is_withdrawn: false,
        };
        let conditions = Arc::new(ConditionSet::new(&[CONDITION]));
        for worker in &mut link.giver {
            worker.ask(Task::StartRecording(Box::new(Recording::new(&conditions, 256))));
            prop_assert!(worker.part.poll_answer().unwrap().returned.is_none());
        }

        // The taker holds, the giver accepts; then what was sent before the fence is accepted, and the workers withdraw, each in its
        // time.
        for happening in before {
            link.happen(happening);
        }
        link.all(Happening::Given);
        link.is_withdrawn = true;
        for happening in between {
            link.happen(happening);
        }
        link.all(Happening::Given);
        prop_assert!(link.giver.iter().all(|worker| worker.discards));

        // What the giver accepted leaves it before the taker hears of it.
        for number in 0..WORKERS {
            let draining = Draining::new(&[CONDITION], 1, u64::MAX);
            link.giver[number].ask(Task::DrainBacklog(Box::new(draining)));
            while !link.giver[number].has_drained() {
                link.happen(Happening::Left(number));
            }
        }
        prop_assert_eq!(link.wire.len(), link.accepted);
        let lists = link.inspect();
        prop_assert_eq!(lists.iter().map(|list| list.fingerprints.len()).sum::<usize>(), link.accepted);

        // The taker empties its queues, and its workers let go, one after the other.
        for worker in 0..WORKERS {
            while !link.taker[worker].queue.is_empty() {
                link.happen(Happening::Taken(worker));
            }
        }
        let release = Arc::new(Release::new(&[CONDITION], &lists, WORKERS));
        let (first, second) = if order { (0, 1) } else { (1, 0) };
        link.taker[first].ask(Task::Release(Releasing::new(&release, first)));
        let half = after.len() / 2;
        for happening in &after[..half] {
            link.happen(*happening);
        }
        link.taker[second].ask(Task::Release(Releasing::new(&release, second)));
        for happening in &after[half..] {
            link.happen(*happening);
        }
        for number in 0..WORKERS {
            let is_empty = |worker: &Worker| worker.queue.is_empty() && worker.backlog.held() == 0;
            while !is_empty(&link.taker[number]) {
                link.happen(Happening::Taken(number));
            }
            link.happen(Happening::Taken(number));
            prop_assert_eq!(link.taker[number].part.poll_answer().map(|answer| answer.ticket), Some(1));
        }

        // Of identical packets, too, none is too many and none missing: none was lost on its way to either router.
        let mut sent: BTreeMap<(u8, u32), usize> = BTreeMap::new();
        for packet in &link.wire {
            *sent.entry(name(packet)).or_default() += 1;
        }
        prop_assert_eq!(sent, link.host);
        for flow in 0..FLOWS {
            let numbers = || link.wire.iter().map(name).filter(|name| name.0 == flow && name.1 > 0);
            prop_assert!(numbers().is_sorted(), "{:?}", numbers().collect::<Vec<_>>());
        }
    }
}
