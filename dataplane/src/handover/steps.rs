//! Hand-overs as the control thread sees them: each step goes to all workers, and is done when all have answered. Neither queues nor tables are known
//! here, only how tables are numbered, so that a simulation can drive it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    ACTIVE_MAX, ASKED_MAX, Answer, ConditionSet, Draining, HandoverDone, HandoverId, HandoverStep,
    Order, Recording, Release, Releasing, Returned, Task,
};

/// Steps under way, and what workers have of the control thread's memory. `M` says where the workers' sweeps of their receive queues stood.
#[derive(Debug)]
pub struct Steps<M> {
    /// By ticket.
    asked: BTreeMap<u64, Asked<M>>,
    next_ticket: u64,
    recording: BTreeSet<HandoverId>,
    /// Those whose conditions are on hold still, or that a worker still refers to.
    releases: Vec<Arc<Release>>,
}

impl<M> Default for Steps<M> {
    fn default() -> Self {
        Self {
            asked: BTreeMap::new(),
            next_ticket: 0,
            recording: BTreeSet::new(),
            releases: Vec::new(),
        }
    }
}

/// How things are when a step is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// The number of workers, and of ports.
    pub workers: usize,
    /// See [`Present::workers`].
    pub ports: usize,
    /// How long a transmit ring is waited for whose driver does not say that it is empty, in the unit of [`WorkerPart::end_round`](super::WorkerPart::end_round).
    pub patience: u64,
    /// The number of the tables published last.
    pub generation: u64,
}

/// A step that not all workers have done.
#[derive(Debug)]
struct Asked<M> {
    id: HandoverId,
    /// What to say when it is done, but for what was recorded.
    done: Option<HandoverDone>,
    /// The tables that were published before.
    generation: u64,
    unanswered: usize,
    /// Where the sweeps stood, if the receive queues are to be emptied.
    emptied_since: Option<M>,
    recorded: Vec<Recording>,
}

impl<M> Steps<M> {
    /// Takes back what no worker refers to any more.
    pub fn maintain(&mut self) {
        self.releases
            .retain(|release| !release.is_ending() || Arc::strong_count(release) > 1);
    }

    /// Whether a step can be asked for: not too much is under way, and no recording with this number.
    #[must_use]
    pub fn has_room(&self, id: HandoverId, step: &HandoverStep) -> bool {
        self.asked.len() < ASKED_MAX
            && match step {
                HandoverStep::StartRecording { .. } => {
                    self.recording.len() < ACTIVE_MAX && !self.recording.contains(&id)
                }
                HandoverStep::Release(_) => self.releases.len() < ACTIVE_MAX,
                _ => true,
            }
    }

    /// Takes a step that there is [room](Steps::has_room) for, and returns what each worker is to do, if anything. `mark` is where the sweeps stand.
    pub fn ask(
        &mut self,
        id: HandoverId,
        conditions: &[u32],
        step: HandoverStep,
        present: Present,
        mark: impl FnOnce() -> M,
    ) -> Vec<Order> {
        let emptied_since = matches!(step, HandoverStep::EmptyReceiveQueues).then(mark);
        let (tasks, done) = self.tasks(id, conditions, step, present);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let asked = Asked {
            id,
            done,
            generation: present.generation,
            unanswered: tasks.len(),
            emptied_since,
            recorded: Vec::with_capacity(present.workers),
        };
        self.asked.insert(ticket, asked);
        let order = |task| Order { ticket, id, task };
        tasks.into_iter().map(order).collect()
    }

    fn tasks(
        &mut self,
        id: HandoverId,
        conditions: &[u32],
        step: HandoverStep,
        present: Present,
    ) -> (Vec<Task>, Option<HandoverDone>) {
        let all = |task: &dyn Fn(usize) -> Task| (0..present.workers).map(task).collect();
        match step {
            HandoverStep::StartRecording { room } => {
                self.recording.insert(id);
                let set = Arc::new(ConditionSet::new(conditions));
                let task = |_| Task::StartRecording(Box::new(Recording::new(&set, room)));
                (all(&task), Some(HandoverDone::Recording))
            }
            HandoverStep::StopRecording => (all(&|_| Task::StopRecording), None),
            HandoverStep::Inspect => (
                all(&|_| Task::StopRecording),
                Some(HandoverDone::Inspected(Vec::new())),
            ),
            HandoverStep::EmptyReceiveQueues => (Vec::new(), Some(HandoverDone::QueuesEmptied)),
            HandoverStep::DrainBacklog => {
                let Present {
                    ports, patience, ..
                } = present;
                let task = |_| {
                    let draining = Draining::new(conditions, ports, patience);
                    Task::DrainBacklog(Box::new(draining))
                };
                (all(&task), Some(HandoverDone::Drained))
            }
            HandoverStep::Release(lists) => {
                let release = Arc::new(Release::new(conditions, &lists, present.workers));
                let task = |worker| Task::Release(Releasing::new(&release, worker));
                let tasks = all(&task);
                self.releases.push(release);
                (tasks, Some(HandoverDone::Released))
            }
            HandoverStep::DropBacklog => {
                let set = Arc::new(ConditionSet::new(conditions));
                let task = |_| Task::DropBacklog(Arc::clone(&set));
                (all(&task), Some(HandoverDone::Dropped))
            }
        }
    }

    /// A worker has done its part.
    pub fn answered(&mut self, answer: Answer) {
        if let Some(asked) = self.asked.get_mut(&answer.ticket) {
            asked.unanswered = asked.unanswered.saturating_sub(1);
            if let Some(Returned::Recording(recording)) = answer.returned {
                asked.recorded.push(*recording);
            }
        }
    }

    /// The next step that every worker has done. `is_in_force` says whether all workers have taken up tables of this number, and emptied their
    /// receive queues since the mark, if there is one.
    pub fn poll(
        &mut self,
        is_in_force: impl Fn(u64, Option<&M>) -> bool,
    ) -> Option<(HandoverId, HandoverDone)> {
        while let Some(ticket) = self.first_done(&is_in_force) {
            let asked = self.asked.remove(&ticket)?;
            match asked.done {
                Some(HandoverDone::Inspected(_)) => {
                    self.recording.remove(&asked.id);
                    let accepted = Recording::merge(&asked.recorded);
                    return Some((asked.id, HandoverDone::Inspected(accepted)));
                }
                Some(done) => return Some((asked.id, done)),
                None => {
                    self.recording.remove(&asked.id);
                }
            }
        }
        None
    }

    /// Whether [`poll`](Steps::poll) has something to do.
    #[must_use]
    pub fn has_done(&self, is_in_force: impl Fn(u64, Option<&M>) -> bool) -> bool {
        self.first_done(&is_in_force).is_some()
    }

    fn first_done(&self, is_in_force: &impl Fn(u64, Option<&M>) -> bool) -> Option<u64> {
        let is_done = |asked: &Asked<M>| {
            asked.unanswered == 0 && is_in_force(asked.generation, asked.emptied_since.as_ref())
        };
        let (ticket, _) = self.asked.iter().find(|(_, asked)| is_done(asked))?;
        Some(*ticket)
    }

    /// Whether receive queues are to be emptied.
    #[must_use]
    pub fn awaits_sweeps(&self) -> bool {
        self.asked
            .values()
            .any(|asked| asked.emptied_since.is_some())
    }

    /// Whether packets of a condition are being let go, or were and it is on hold still.
    #[must_use]
    pub fn releases(&self, condition: u32) -> bool {
        let mut releases = self.releases.iter();
        releases.any(|release| release.conditions().contains(&condition))
    }

    /// Ends releases none of whose conditions is on hold in the tables of this number, which are published.
    pub fn end_releases(&self, generation: u64, is_held: impl Fn(u32) -> bool) {
        for release in &self.releases {
            if !release.conditions().iter().copied().any(&is_held) {
                release.end_at(generation);
            }
        }
    }
}
