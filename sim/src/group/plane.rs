//! The workers of one router, under virtual time. What a worker decides of packets, records, holds and lets go is the data plane's own code
//! ([`dataplane::verdict`], [`dataplane::backlog`], [`dataplane::handover`]); here are the queues around it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use dataplane::MatchOn;
use dataplane::addr::MacAddr;
use dataplane::handover::{Answer, HandoverDone, HandoverId, HandoverStep, Present, Steps};
use dataplane::verdict::{Verdict, VerdictTable};
use manifold::control::router::Workers;
use manifold::control::routes::Change;
use manifold::control::vrrp::{Charge, GroupKey, HookCall, Taken};

use super::plan::Planted;
use super::worker::{Doings, Frame, Group, PORTS, QUEUE_MAX, Round, Tables, WORKERS, Worker};

/// Sweeps that empty a receive queue.
const SWEEPS: u64 = 2;
/// How long a transmit ring is waited for; none here.
const RING_PATIENCE_NS: u64 = 1_000_000;

/// A condition whose packets are routed all at once, without having been on hold before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outright {
    pub(crate) group: GroupKey,
    pub(crate) address: Ipv4Addr,
}

pub(crate) struct Plane {
    workers: Vec<Worker>,
    tables: Rc<Tables>,
    steps: Steps<[u64; WORKERS]>,
    /// Frames received, by port.
    received: [u64; PORTS],
    /// Frames of the control thread's own.
    pub(crate) outgoing: Vec<(u16, Vec<u8>)>,
    /// The time that the egress of a worker takes for a packet.
    pub(crate) packet_ns: u64,
    /// The end systems, to see what becomes of them.
    end_systems: Vec<Ipv4Addr>,
    /// What was taken outright since this was looked at.
    pub(crate) outright: Vec<Outright>,
    planted: Option<Planted>,
    /// What a person would want to know, if anybody does.
    pub(crate) notes: Option<Vec<String>>,
}

impl Plane {
    pub(crate) fn new(end_systems: Vec<Ipv4Addr>, planted: Option<Planted>, traced: bool) -> Plane {
        let tables = Rc::new(Tables::default());
        Plane {
            workers: (0..WORKERS).map(|_| Worker::new(&tables)).collect(),
            tables: Rc::clone(&tables),
            steps: Steps::default(),
            received: [0; PORTS],
            outgoing: Vec::new(),
            packet_ns: 0,
            end_systems,
            outright: Vec::new(),
            planted,
            notes: traced.then(Vec::new),
        }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            notes.push(text());
        }
    }

    /// Puts a frame into a worker's receive queue; whether there was room.
    pub(crate) fn deliver(&mut self, worker: usize, port: u16, frame: Frame) -> bool {
        let queue = &mut self.workers[worker].queue;
        let has_room = queue.len() < QUEUE_MAX;
        if has_room {
            queue.push_back((port, frame));
            self.received[usize::from(port)] += 1;
        }
        has_room
    }

    /// Whether a worker has anything to do.
    pub(crate) fn is_busy(&self, worker: usize) -> bool {
        let of_worker = &self.workers[worker];
        !of_worker.queue.is_empty()
            || !of_worker.commands.is_empty()
            || of_worker.tables.generation < self.tables.generation
            || !of_worker.backlog.is_clear()
            || !of_worker.part.is_idle()
            || self.steps.awaits_sweeps()
    }

    /// Up to when everything that had arrived has been taken.
    pub(crate) fn heard(&self, now: u64) -> u64 {
        let heard = |worker: &Worker| match worker.queue.is_empty() {
            true => now,
            false => worker.swept_at,
        };
        self.workers.iter().map(heard).min().unwrap_or(now)
    }

    /// Whether nothing is held, and nothing waits for an egress.
    pub(crate) fn is_empty(&self) -> bool {
        let empty = |worker: &Worker| worker.backlog.held() == 0 && worker.backlog.is_clear();
        self.workers.iter().all(empty)
    }

    /// What every worker does with the packets of an end system; `None` while they differ.
    pub(crate) fn verdict(&self, group: GroupKey, address: Ipv4Addr) -> Option<Verdict> {
        let of = |worker: &Worker| {
            let group = worker.tables.groups.get(&group);
            group.map_or(Verdict::Discard, |group| {
                group.verdicts.get(address.to_bits()).verdict()
            })
        };
        let first = of(self.workers.first()?);
        self.workers
            .iter()
            .all(|worker| of(worker) == first)
            .then_some(first)
    }

    /// One round of a worker, as `dataplane/src/worker.rs` has it.
    pub(crate) fn round(&mut self, number: usize, now: u64, doings: &mut Doings) {
        let tables = Rc::clone(&self.tables);
        let packet_ns = self.packet_ns;
        let worker = &mut self.workers[number];
        let mut round = Round {
            now,
            room: match packet_ns {
                0 => usize::MAX,
                _ => usize::from(worker.free_at <= now),
            },
            holds: self.planted != Some(Planted::HoldNothing),
            doings,
        };
        let before: u64 = worker.sent.iter().sum();
        worker.tables = Rc::clone(&tables);
        while let Some(order) = worker.commands.pop_front() {
            worker.part.obey(order, &mut worker.backlog, drop);
        }
        worker.drain_backlog(&mut round);
        worker.part.begin_round(tables.generation);
        worker.release(&mut round);
        worker.receive(&tables, &mut round);
        if worker.sent.iter().sum::<u64>() > before {
            worker.free_at = now + packet_ns;
        }
        for answer in worker.end_round(now) {
            self.steps.answered(answer);
        }
    }

    /// Whether the control thread would hear of something.
    pub(crate) fn has_news(&self) -> bool {
        let Self {
            steps,
            workers,
            planted,
            ..
        } = self;
        steps.has_done(|generation, mark| is_in_force(workers, *planted, generation, mark))
    }

    fn publish(&mut self, change: impl FnOnce(&mut BTreeMap<GroupKey, Group>)) -> u64 {
        let mut tables = (*self.tables).clone();
        tables.generation += 1;
        change(&mut tables.groups);
        let generation = tables.generation;
        let before = std::mem::replace(&mut self.tables, Rc::new(tables));
        self.look_for_outright(&before);
        let groups = self.tables.groups.values();
        self.steps.end_releases(generation, |condition| {
            groups.clone().any(|group| group.verdicts.holds(condition))
        });
        self.steps.maintain();
        generation
    }

    /// Notes which end systems are routed from now on that were not on hold for that.
    fn look_for_outright(&mut self, before: &Tables) {
        for (key, group) in &self.tables.groups {
            let old = before.groups.get(key);
            if old.is_some_and(|old| Arc::ptr_eq(&old.verdicts, &group.verdicts)) {
                continue;
            }
            for address in &self.end_systems {
                let now = group.verdicts.get(address.to_bits());
                let was = old.map_or(Verdict::Discard, |old| {
                    old.verdicts.get(address.to_bits()).verdict()
                });
                if was != now.verdict()
                    && let Some(notes) = &mut self.notes
                {
                    notes.push(format!(
                        "{address} on port {}: {was:?} to {:?}",
                        key.port,
                        now.verdict()
                    ));
                }
                let released = self.steps.releases(now.condition());
                if now.verdict() == Verdict::Route && was != Verdict::Route && !released {
                    self.outright.push(Outright {
                        group: *key,
                        address: *address,
                    });
                }
            }
        }
    }
}

impl Workers for Plane {
    type Packet = Vec<u8>;

    fn transmit(&mut self, port: u16, frame: &[u8]) {
        self.outgoing.push((port, frame.to_vec()));
    }

    fn forward(&mut self, _: u16, _: Vec<u8>) {}

    fn set_neighbour(&mut self, _: u16, _: Ipv4Addr, _: Option<MacAddr>) {}

    fn set_charge(&mut self, group: GroupKey, charge: Option<Charge>) {
        let charge = charge.map(|charge| {
            let (verdict, match_on) = match charge {
                Charge::Ours => (Verdict::Route, MatchOn::Source),
                Charge::Others => (Verdict::Discard, MatchOn::Source),
                Charge::Shared(match_on) => (Verdict::Discard, match_on),
            };
            let verdicts = Arc::new(VerdictTable::uniform(verdict, 0));
            Group { verdicts, match_on }
        });
        self.publish(|groups| {
            groups.remove(&group);
            groups.extend(charge.map(|charge| (group, charge)));
        });
    }

    fn change_routes(&mut self, _: &[Change]) -> Result<(), String> {
        Ok(())
    }

    fn run_hook(&mut self, _: HookCall) {}

    fn frames_received(&self, port: u16) -> u64 {
        self.received.get(usize::from(port)).copied().unwrap_or(0)
    }

    fn set_verdicts(&mut self, group: GroupKey, verdicts: Arc<VerdictTable>) -> Option<Taken> {
        let match_on = self.tables.groups.get(&group)?.match_on;
        let generation = self.publish(|groups| {
            groups.insert(group, Group { verdicts, match_on });
        });
        Some(generation)
    }

    fn has_taken_up(&self, taken: Taken) -> bool {
        has_taken_up(&self.workers, taken)
    }

    fn hand_over(
        &mut self,
        id: HandoverId,
        conditions: &[u32],
        step: HandoverStep,
    ) -> Result<(), HandoverStep> {
        self.note(|| match &step {
            HandoverStep::Release(lists) => {
                let listed: usize = lists.iter().map(|list| list.fingerprints.len()).sum();
                format!("move {}: release but for {listed}", id.0)
            }
            step => format!(
                "move {}: {step:?} for {} conditions",
                id.0,
                conditions.len()
            ),
        });
        if !self.steps.has_room(id, &step) {
            return Err(step);
        }
        let step = match (step, self.planted) {
            (HandoverStep::Release(_), Some(Planted::ReleaseWithoutList)) => {
                HandoverStep::Release(Vec::new())
            }
            (step, _) => step,
        };
        let drains = matches!(step, HandoverStep::DrainBacklog);
        let present = Present {
            workers: WORKERS,
            ports: PORTS,
            patience: RING_PATIENCE_NS,
            generation: self.tables.generation,
        };
        let mark = || std::array::from_fn(|worker| self.workers[worker].sweeps);
        let orders = self.steps.ask(id, conditions, step, present, mark);
        for (worker, order) in self.workers.iter_mut().zip(orders) {
            if drains && self.planted == Some(Planted::NoDrain) {
                self.steps.answered(Answer {
                    ticket: order.ticket,
                    returned: None,
                });
            } else {
                worker.commands.push_back(order);
            }
        }
        Ok(())
    }

    fn poll_handover(&mut self) -> Option<(HandoverId, HandoverDone)> {
        let Self {
            steps,
            workers,
            planted,
            ..
        } = self;
        let done =
            steps.poll(|generation, mark| is_in_force(workers, *planted, generation, mark))?;
        self.note(|| match &done {
            (id, HandoverDone::Inspected(lists)) => {
                let listed: usize = lists.iter().map(|list| list.fingerprints.len()).sum();
                format!("move {}: {listed} accepted", id.0)
            }
            (id, done) => format!("move {}: {done:?}", id.0),
        });
        Some(done)
    }
}

/// Whether the workers have taken up tables of this number, and emptied their queues since the mark.
fn is_in_force(
    workers: &[Worker],
    planted: Option<Planted>,
    generation: u64,
    mark: Option<&[u64; WORKERS]>,
) -> bool {
    let has_swept = |before: &[u64; WORKERS]| {
        let mut pairs = workers.iter().zip(before);
        pairs.all(|(worker, before)| worker.sweeps >= before + SWEEPS)
    };
    has_taken_up(workers, generation)
        && (planted == Some(Planted::NoSweep) || mark.is_none_or(has_swept))
}

fn has_taken_up(workers: &[Worker], generation: u64) -> bool {
    workers
        .iter()
        .all(|worker| worker.tables.generation >= generation)
}
