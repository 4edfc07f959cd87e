//! The workers of one router, under virtual time. What a worker decides of packets, records, holds and lets go is the data plane's own code
//! ([`dataplane::verdict`], [`dataplane::backlog`], [`dataplane::handover`]); here are the queues around it, and what the control thread's half of
//! hand-overs, which needs DPDK, does with these parts.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use dataplane::MatchOn;
use dataplane::addr::MacAddr;
use dataplane::handover::{
    Answer, ConditionSet, Draining, HandoverDone, HandoverId, HandoverStep, Order, Recording,
    Release, Releasing, Returned, Task,
};
use dataplane::verdict::{Verdict, VerdictTable};
use manifold::control::router::Workers;
use manifold::control::routes::Change;
use manifold::control::vrrp::{Charge, GroupKey, HookCall, Taken};

use super::plan::Planted;
use super::worker::{Doings, Frame, Group, PORTS, QUEUE_MAX, Round, Tables, WORKERS, Worker};

/// Sweeps that empty a receive queue.
const SWEEPS: u64 = 2;

/// A step that not all workers have done.
struct Asked {
    id: HandoverId,
    done: Option<HandoverDone>,
    generation: u64,
    unanswered: usize,
    /// The sweeps of each worker when it was asked for, if receive queues are to be emptied.
    swept: Option<[u64; WORKERS]>,
    recorded: Vec<Recording>,
}

/// A condition whose packets are routed all at once, without having been on hold before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outright {
    pub(crate) group: GroupKey,
    pub(crate) address: Ipv4Addr,
}

pub(crate) struct Plane {
    workers: Vec<Worker>,
    tables: Rc<Tables>,
    asked: BTreeMap<u64, Asked>,
    next_ticket: u64,
    releases: Vec<Arc<Release>>,
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
            asked: BTreeMap::new(),
            next_ticket: 0,
            releases: Vec::new(),
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
            || self.asked.values().any(|asked| asked.swept.is_some())
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
            self.answered(answer);
        }
    }

    fn answered(&mut self, answer: Answer) {
        if let Some(asked) = self.asked.get_mut(&answer.ticket) {
            asked.unanswered -= 1;
            if let Some(Returned::Recording(recording)) = answer.returned {
                asked.recorded.push(*recording);
            }
        }
    }

    /// Whether the control thread would hear of something.
    pub(crate) fn has_news(&self) -> bool {
        self.asked.values().any(|asked| self.is_done(asked))
    }

    fn is_done(&self, asked: &Asked) -> bool {
        let swept = |before: [u64; WORKERS]| {
            let mut pairs = self.workers.iter().zip(before);
            pairs.all(|(worker, before)| worker.sweeps >= before + SWEEPS)
        };
        asked.unanswered == 0
            && self.has_taken_up(asked.generation)
            && asked.swept.is_none_or(swept)
    }

    fn publish(&mut self, change: impl FnOnce(&mut BTreeMap<GroupKey, Group>)) -> u64 {
        let mut tables = (*self.tables).clone();
        tables.generation += 1;
        change(&mut tables.groups);
        let generation = tables.generation;
        let before = std::mem::replace(&mut self.tables, Rc::new(tables));
        self.look_for_outright(&before);
        for release in &self.releases {
            let groups = self.tables.groups.values();
            let held =
                |condition: &u32| groups.clone().any(|group| group.verdicts.holds(*condition));
            if !release.conditions().iter().any(held) {
                release.end_at(generation);
            }
        }
        self.releases
            .retain(|release| !release.is_ending() || Arc::strong_count(release) > 1);
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
                let released = self
                    .releases
                    .iter()
                    .any(|release| release.conditions().contains(&now.condition()));
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

    fn set_verdicts(&mut self, group: GroupKey, verdicts: Arc<VerdictTable>) -> Option<Taken> {
        let match_on = self.tables.groups.get(&group)?.match_on;
        let generation = self.publish(|groups| {
            groups.insert(group, Group { verdicts, match_on });
        });
        Some(generation)
    }

    fn has_taken_up(&self, taken: Taken) -> bool {
        let has = |worker: &Worker| worker.tables.generation >= taken;
        self.workers.iter().all(has)
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
        let all = |task: &dyn Fn(usize) -> Task| (0..WORKERS).map(task).collect::<Vec<_>>();
        let swept = matches!(step, HandoverStep::EmptyReceiveQueues)
            && self.planted != Some(Planted::NoSweep);
        let (tasks, done) = match step {
            HandoverStep::DrainBacklog if self.planted == Some(Planted::NoDrain) => {
                (Vec::new(), Some(HandoverDone::Drained))
            }
            HandoverStep::Release(_) if self.planted == Some(Planted::ReleaseWithoutList) => {
                let release = Arc::new(Release::new(conditions, &[], WORKERS));
                let tasks = all(&|worker| Task::Release(Releasing::new(&release, worker)));
                self.releases.push(release);
                (tasks, Some(HandoverDone::Released))
            }
            HandoverStep::StartRecording { room } => {
                let set = Arc::new(ConditionSet::new(conditions));
                let record = |_| Task::StartRecording(Box::new(Recording::new(&set, room)));
                (all(&record), Some(HandoverDone::Recording))
            }
            HandoverStep::StopRecording => (all(&|_| Task::StopRecording), None),
            HandoverStep::Inspect => (
                all(&|_| Task::StopRecording),
                Some(HandoverDone::Inspected(Vec::new())),
            ),
            HandoverStep::EmptyReceiveQueues => (Vec::new(), Some(HandoverDone::QueuesEmptied)),
            HandoverStep::DrainBacklog => {
                let drain =
                    |_| Task::DrainBacklog(Box::new(Draining::new(conditions, PORTS, 1_000_000)));
                (all(&drain), Some(HandoverDone::Drained))
            }
            HandoverStep::Release(lists) => {
                let release = Arc::new(Release::new(conditions, &lists, WORKERS));
                let tasks = all(&|worker| Task::Release(Releasing::new(&release, worker)));
                self.releases.push(release);
                (tasks, Some(HandoverDone::Released))
            }
            HandoverStep::DropBacklog => {
                let set = Arc::new(ConditionSet::new(conditions));
                let drop = |_| Task::DropBacklog(Arc::clone(&set));
                (all(&drop), Some(HandoverDone::Dropped))
            }
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let mut sweeps = [0; WORKERS];
        for (sweeps, worker) in sweeps.iter_mut().zip(&self.workers) {
            *sweeps = worker.sweeps;
        }
        let asked = Asked {
            id,
            done,
            generation: self.tables.generation,
            unanswered: tasks.len(),
            swept: swept.then_some(sweeps),
            recorded: Vec::new(),
        };
        self.asked.insert(ticket, asked);
        for (worker, task) in self.workers.iter_mut().zip(tasks) {
            worker.commands.push_back(Order { ticket, id, task });
        }
        Ok(())
    }

    fn poll_handover(&mut self) -> Option<(HandoverId, HandoverDone)> {
        while let Some((&ticket, _)) = self.asked.iter().find(|(_, asked)| self.is_done(asked)) {
            let asked = self.asked.remove(&ticket)?;
            let done = match asked.done {
                Some(HandoverDone::Inspected(_)) => {
                    HandoverDone::Inspected(Recording::merge(&asked.recorded))
                }
                Some(done) => done,
                None => continue,
            };
            self.note(|| match &done {
                HandoverDone::Inspected(lists) => {
                    let listed: usize = lists.iter().map(|list| list.fingerprints.len()).sum();
                    format!("move {}: {listed} accepted", asked.id.0)
                }
                done => format!("move {}: {done:?}", asked.id.0),
            });
            return Some((asked.id, done));
        }
        None
    }
}
