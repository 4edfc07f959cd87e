//! A whole hand-over between two routers with several workers each, as `docs/protocol.md` section 6 has it: in whatever order things
//! happen within its rules, every packet is sent once.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const CONDITION: u32 = 7;
const WORKERS: usize = 2;
const FLOWS: u8 = 4;
/// Packets that are let go in one round, at most.
const ROUND: usize = 2;

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A host sends a packet of a flow, or one that is the same to the last bit as others of it.
    Sent { flow: u8, identical: bool },
    /// A worker of the router that gives takes what is in its queue; its next one is taken under the next verdict if that is out.
    Given(usize),
    /// The same of a worker of the router that takes.
    Taken(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..FLOWS, prop::bool::weighted(0.2))
            .prop_map(|(flow, identical)| Happening::Sent { flow, identical }),
        2 => (0..WORKERS).prop_map(Happening::Given),
        2 => (0..WORKERS).prop_map(Happening::Taken),
    ]
}

/// A worker of either router.
struct Worker {
    queue: VecDeque<Ip>,
    part: WorkerPart,
    backlog: Backlog<Ip>,
    /// What it sent, in order.
    sent: Vec<Ip>,
    /// The router that gives: whether it discards.
    discards: bool,
}

impl Worker {
    fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            part: WorkerPart::default(),
            backlog: Backlog::new(1024, 1),
            sent: Vec::new(),
            discards: false,
        }
    }

    fn ask(&mut self, task: Task) {
        let (ticket, id) = (1, HandoverId(1));
        self.part
            .obey(Order { ticket, id, task }, &mut self.backlog, |_| {});
    }

    /// Takes everything in the queue, as the router that gives.
    fn give(&mut self, now: u64) {
        while let Some(packet) = self.queue.pop_front() {
            if self.discards {
                self.part.refuse(CONDITION, &packet, now);
            } else {
                self.part.accept(CONDITION, &packet);
                self.sent.push(packet);
            }
        }
    }

    /// A round of the router that takes: lets some of what is held go, and takes one packet from the queue.
    fn take(&mut self) {
        self.part.begin_round(1);
        let sent = &mut self.sent;
        self.part
            .release(&mut self.backlog, ROUND, |held, dropped| {
                if !dropped {
                    sent.push(held.packet);
                }
            });
        if let Some(packet) = self.queue.pop_front() {
            if self.part.lets_pass(CONDITION) {
                self.sent.push(packet);
            } else {
                hold(&mut self.backlog, CONDITION, packet);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.backlog.held() == 0
    }
}

/// The flow of a packet and its number in it, zero if it is one of many.
fn name(packet: &Ip) -> (u8, u32) {
    TcpMark::of(packet).map_or((0, 0), |mark| {
        (mark.source.octets()[3], mark.sequence_number)
    })
}

fn send(workers: &mut [Worker], place: usize, packet: &Ip) {
    workers[place % WORKERS].queue.push_back(packet.clone());
}

proptest! {
    #[test]
    fn every_packet_is_sent_once_and_in_its_order(
        before in prop::collection::vec(happening(), 0..60),
        between in prop::collection::vec(happening(), 0..40),
        after in prop::collection::vec(happening(), 0..60),
        release_order in any::<bool>(),
    ) {
        let mut giver: Vec<Worker> = (0..WORKERS).map(|_| Worker::new()).collect();
        let mut taker: Vec<Worker> = (0..WORKERS).map(|_| Worker::new()).collect();
        let conditions = Arc::new(ConditionSet::new(&[CONDITION]));
        for worker in &mut giver {
            worker.ask(Task::StartRecording(Box::new(Recording::new(&conditions, 256))));
            prop_assert!(worker.part.poll_answer().unwrap().returned.is_none());
        }
        let mut host: BTreeMap<(u8, u32), usize> = BTreeMap::new();
        let (mut number, mut now) = (0, 0);
        let mut happen = |happening, giver: &mut [Worker], taker: &mut [Worker], withdrawn: bool| {
            now += 1;
            match happening {
                Happening::Sent { flow, identical } => {
                    number += 1;
                    let packet = tcp(flow, if identical { 0 } else { number });
                    *host.entry(name(&packet)).or_default() += 1;
                    // Each router spreads flows over its workers in its own way.
                    send(giver, flow.into(), &packet);
                    send(taker, usize::from(flow) / 2, &packet);
                }
                Happening::Given(worker) => {
                    giver[worker].give(now);
                    giver[worker].discards |= withdrawn;
                }
                Happening::Taken(worker) => taker[worker].take(),
            }
        };

        // The taker holds, the giver accepts; then what was sent before the fence is accepted, and the workers withdraw, each in its
        // time.
        for happening in before {
            happen(happening, &mut giver, &mut taker, false);
        }
        for worker in 0..WORKERS {
            happen(Happening::Given(worker), &mut giver, &mut taker, false);
        }
        for happening in between {
            happen(happening, &mut giver, &mut taker, true);
        }
        for worker in 0..WORKERS {
            happen(Happening::Given(worker), &mut giver, &mut taker, true);
        }
        prop_assert!(giver.iter().all(|worker| worker.discards));
        let recordings: Vec<Recording> = giver
            .iter_mut()
            .map(|worker| {
                worker.ask(Task::StopRecording);
                match worker.part.poll_answer().unwrap().returned {
                    Some(Returned::Recording(recording)) => *recording,
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        let lists = Recording::merge(&recordings);
        let accepted: usize = lists.iter().map(|list| list.fingerprints.len()).sum();
        prop_assert_eq!(accepted, giver.iter().map(|worker| worker.sent.len()).sum::<usize>());

        // The taker empties its queues, and lets go.
        for worker in 0..WORKERS {
            while !taker[worker].queue.is_empty() {
                happen(Happening::Taken(worker), &mut giver, &mut taker, true);
            }
        }
        let release = Arc::new(Release::new(&[CONDITION], &lists, WORKERS));
        let (first, second) = if release_order { (0, 1) } else { (1, 0) };
        taker[first].ask(Task::Release(Releasing::new(&release, first)));
        let half = after.len() / 2;
        for happening in &after[..half] {
            happen(*happening, &mut giver, &mut taker, true);
        }
        taker[second].ask(Task::Release(Releasing::new(&release, second)));
        for happening in &after[half..] {
            happen(*happening, &mut giver, &mut taker, true);
        }
        for worker in &mut taker {
            for _ in 0..1000 {
                worker.take();
            }
            prop_assert!(worker.is_empty());
            prop_assert_eq!(worker.part.poll_answer().map(|answer| answer.ticket), Some(1));
        }

        let mut sent: BTreeMap<(u8, u32), usize> = BTreeMap::new();
        for packet in giver.iter().chain(&taker).flat_map(|worker| &worker.sent) {
            *sent.entry(name(packet)).or_default() += 1;
        }
        // Of identical packets, too, none is too many here and none missing: none was lost on its way to either router.
        prop_assert_eq!(sent, host);
        for flow in 0..FLOWS {
            let of_flow = |worker: &Worker| -> Vec<u32> {
                let names = worker.sent.iter().map(name);
                names.filter(|name| name.0 == flow && name.1 > 0).map(|name| name.1).collect()
            };
            let mut all = of_flow(&giver[usize::from(flow) % WORKERS]);
            all.extend(of_flow(&taker[usize::from(flow) / 2 % WORKERS]));
            prop_assert!(all.is_sorted(), "{:?}", all);
        }
    }
}
