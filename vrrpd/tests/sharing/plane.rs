//! A router's data plane in small: one worker with a receive queue, verdicts, recordings, a backlog; enough to lose, double or
//! reorder packets if it is asked to do the wrong things in the wrong order.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use vrrpd::sharing::moves::{Command, Completion, Verdict};
use vrrpd::sharing::names::{Condition, Fingerprint, MoveName};
use vrrpd::sharing::wire::Accepted;

/// A packet of an end system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) number: usize,
    pub(crate) source: Condition,
}

#[derive(Default)]
pub(crate) struct Plane {
    pub(crate) queue: VecDeque<Packet>,
    /// What the control loop has published, and what the worker has taken up of it.
    published: BTreeMap<Condition, Verdict>,
    verdicts: BTreeMap<Condition, Verdict>,
    recorded: BTreeMap<Condition, Vec<Fingerprint>>,
    held: BTreeMap<Condition, VecDeque<Packet>>,
    released: BTreeSet<Condition>,
    commands: VecDeque<Order>,
}

pub(crate) struct Order {
    pub(crate) name: MoveName,
    pub(crate) conditions: Arc<[Condition]>,
    pub(crate) command: Command,
}

/// What came of a look at the queue.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) routed: Vec<Packet>,
    pub(crate) completions: Vec<(MoveName, Completion)>,
    /// Sources routed by the rest.
    pub(crate) learned: BTreeSet<Condition>,
}

impl Plane {
    pub(crate) fn set(&mut self, verdicts: Vec<(Condition, Option<Verdict>)>) {
        for (condition, verdict) in verdicts {
            match verdict {
                Some(verdict) => self.published.insert(condition, verdict),
                None => self.published.remove(&condition),
            };
        }
    }

    pub(crate) fn order(&mut self, order: Order) {
        if let Command::SetVerdict(verdict) = order.command {
            let conditions = order.conditions.iter();
            self.set(
                conditions
                    .map(|condition| (*condition, Some(verdict)))
                    .collect(),
            );
        }
        self.commands.push_back(order);
    }

    /// Whether nothing was ever asked of it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.published.is_empty() && self.verdicts.is_empty() && self.commands.is_empty()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.commands.is_empty() && self.verdicts == self.published
    }

    /// The condition that decides about `source`, and what it says.
    fn rule(&self, source: Condition) -> (Condition, Verdict) {
        let rest = || {
            let verdict = self.verdicts.get(&Condition::Rest).copied();
            (Condition::Rest, verdict.unwrap_or(Verdict::Discard))
        };
        match self.verdicts.get(&source) {
            Some(verdict) => (source, *verdict),
            None => rest(),
        }
    }

    /// Whether packets of `source` are routed here.
    pub(crate) fn routes(&self, source: Condition) -> bool {
        self.rule(source).1 == Verdict::Route
    }

    /// What is kept, and under which verdict.
    pub(crate) fn holds(&self) -> Vec<Condition> {
        let held = self.held.iter().filter(|(_, packets)| !packets.is_empty());
        let verdicts = self.verdicts.iter();
        held.map(|(condition, _)| *condition)
            .chain(
                verdicts
                    .filter(|(_, verdict)| **verdict == Verdict::Hold)
                    .map(|(condition, _)| *condition),
            )
            .collect()
    }

    /// One look at the queue, for at most `burst` packets.
    pub(crate) fn poll(&mut self, burst: usize) -> Done {
        let mut done = Done::default();
        self.verdicts.clone_from(&self.published);
        let verdicts = &self.verdicts;
        // A release is over with the verdict that follows it.
        self.released
            .retain(|condition| verdicts.get(condition) == Some(&Verdict::Hold));
        while let Some(order) = self.commands.pop_front() {
            self.obey(order, &mut done);
        }
        for _ in 0..burst {
            if !self.take(&mut done) {
                break;
            }
        }
        done
    }

    fn take(&mut self, done: &mut Done) -> bool {
        let Some(packet) = self.queue.pop_front() else {
            return false;
        };
        let (condition, verdict) = self.rule(packet.source);
        match verdict {
            Verdict::Route => {
                if let Some(recorded) = self.recorded.get_mut(&condition) {
                    recorded.push(Fingerprint(packet.number as u64));
                }
                if condition == Condition::Rest {
                    done.learned.insert(packet.source);
                }
                done.routed.push(packet);
            }
            Verdict::Hold if self.released.contains(&condition) => done.routed.push(packet),
            Verdict::Hold => self.held.entry(condition).or_default().push_back(packet),
            Verdict::Discard => {}
        }
        true
    }

    fn obey(&mut self, order: Order, done: &mut Done) {
        let Order {
            name,
            conditions,
            command,
        } = order;
        let completion = match command {
            Command::StartRecording => {
                for condition in conditions.iter() {
                    self.recorded.insert(*condition, Vec::new());
                }
                Completion::Recording
            }
            Command::StopRecording => {
                self.recorded
                    .retain(|condition, _| !conditions.contains(condition));
                return;
            }
            Command::EmptyReceiveQueues => {
                while self.take(done) {}
                Completion::QueuesEmptied
            }
            Command::SetVerdict(verdict) => Completion::VerdictSet(verdict),
            Command::DrainBacklog => Completion::Drained,
            Command::Inspect => {
                let accepted = conditions.iter().filter_map(|condition| {
                    let fingerprints = self.recorded.remove(condition)?;
                    Some(Accepted {
                        condition: *condition,
                        overflowed: false,
                        first_unrouted: None,
                        fingerprints,
                    })
                });
                Completion::Inspected(accepted.collect())
            }
            Command::Resolve => return,
            Command::Release(accepted) => {
                let mut listed: HashMap<Fingerprint, u64> = HashMap::new();
                for fingerprint in accepted.iter().flat_map(|list| &list.fingerprints) {
                    *listed.entry(*fingerprint).or_default() += 1;
                }
                for condition in conditions.iter() {
                    for packet in self.held.remove(condition).unwrap_or_default() {
                        match listed.get_mut(&Fingerprint(packet.number as u64)) {
                            Some(count) if *count > 0 => *count -= 1,
                            _ => done.routed.push(packet),
                        }
                    }
                    self.released.insert(*condition);
                }
                Completion::Released
            }
            Command::DropBacklog => {
                self.held
                    .retain(|condition, _| !conditions.contains(condition));
                Completion::Dropped
            }
        };
        done.completions.push((name, completion));
    }
}
