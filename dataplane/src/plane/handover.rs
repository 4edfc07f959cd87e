//! Hand-overs as the control thread sees them: each step goes to all workers, and is done when all have answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Dataplane, Full};
use crate::dpdk::tsc_hz;
use crate::grace::Generation;
use crate::handover::{
    ACTIVE_MAX, ASKED_MAX, Answer, ConditionSet, Draining, HandoverDone, HandoverId, HandoverStep,
    Learned, Order, Recording, Release, Releasing, Returned, Task,
};
use crate::shared::Command;
use crate::sweep::Mark;
use crate::tables::ForwardingMode;

/// The part of a second for which a transmit ring is waited for whose driver does not say that it is empty: the time that one
/// of 1024 large frames takes at 1 Gbit/s, and some.
const RING_PATIENCE_PER_SECOND: u64 = 50;

/// How often the receive queues have to be found empty: once would do but for drivers that stop where their ring begins again.
const SWEEPS: u64 = 2;

/// Steps under way, and what workers have of the control thread's memory.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    /// By ticket.
    asked: BTreeMap<u64, Asked>,
    next_ticket: u64,
    recording: BTreeSet<HandoverId>,
    /// Those whose conditions are on hold still, or that a worker still refers to.
    releases: Vec<Arc<Release>>,
}

/// A step that not all workers have done.
#[derive(Debug)]
struct Asked {
    id: HandoverId,
    /// What to say when it is done, but for what was recorded.
    done: Option<HandoverDone>,
    /// The tables that were published before.
    generation: Generation,
    unanswered: usize,
    /// Where the sweeps stood, if the receive queues are to be emptied.
    emptied_since: Option<Mark>,
    recorded: Vec<Recording>,
}

impl Handovers {
    pub(super) fn answered(&mut self, answer: Answer) {
        if let Some(asked) = self.asked.get_mut(&answer.ticket) {
            asked.unanswered -= 1;
            if let Some(Returned::Recording(recording)) = answer.returned {
                asked.recorded.push(*recording);
            }
        }
    }

    /// Takes back what no worker refers to any more.
    pub(super) fn maintain(&mut self) {
        self.releases
            .retain(|release| !release.is_ending() || Arc::strong_count(release) > 1);
    }

    fn has_room(&self, id: HandoverId, step: &HandoverStep) -> bool {
        self.asked.len() < ASKED_MAX
            && match step {
                HandoverStep::StartRecording { .. } => {
                    self.recording.len() < ACTIVE_MAX && !self.recording.contains(&id)
                }
                HandoverStep::Release(_) => self.releases.len() < ACTIVE_MAX,
                _ => true,
            }
    }

    /// What each worker is to do, if anything.
    fn tasks(
        &mut self,
        id: HandoverId,
        conditions: &[u32],
        step: HandoverStep,
        workers: usize,
        ports: usize,
    ) -> (Vec<Task>, Option<HandoverDone>) {
        let all = |task: &dyn Fn(usize) -> Task| (0..workers).map(task).collect();
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
                let patience = tsc_hz() / RING_PATIENCE_PER_SECOND;
                let task = |_| {
                    let draining = Draining::new(conditions, ports, patience);
                    Task::DrainBacklog(Box::new(draining))
                };
                (all(&task), Some(HandoverDone::Drained))
            }
            HandoverStep::Release(lists) => {
                let release = Arc::new(Release::new(conditions, &lists, workers));
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
}

impl Dataplane {
    /// Has every worker do a step of a hand-over, for the conditions with these counters;
    /// [`poll_handovers`](Dataplane::poll_handovers) says when it is done. Steps are taken up in their order, and none is done
    /// before every table that was published earlier is [taken up](Dataplane::has_taken_up).
    ///
    /// One router gives conditions away: it publishes them as watched and asks for `StartRecording`; then
    /// `EmptyReceiveQueues`, publishes [`Verdict::Discard`](crate::verdict::Verdict) (still watched), `DrainBacklog`, `Inspect`.
    /// The other asks for `EmptyReceiveQueues`, publishes [`Verdict::Hold`](crate::verdict::Verdict), `EmptyReceiveQueues`,
    /// `Release`, and when that is done publishes [`Verdict::Route`](crate::verdict::Verdict), which ends the release.
    ///
    /// # Errors
    /// Gives the step back, to be asked for again later, if a worker's command queue is full, too much is under way, or a
    /// recording with this number still is.
    pub fn hand_over(
        &mut self,
        id: HandoverId,
        conditions: &[u32],
        step: HandoverStep,
    ) -> Result<(), Full<HandoverStep>> {
        self.handovers.maintain();
        let has_room = self
            .workers
            .iter()
            .all(|worker| !worker.shared.commands.is_full());
        if !has_room || !self.handovers.has_room(id, &step) {
            return Err(Full(step));
        }
        let is_release = matches!(step, HandoverStep::Release(_));
        let emptied_since =
            matches!(step, HandoverStep::EmptyReceiveQueues).then(|| self.listening.mark());
        let (workers, ports) = (self.workers.len(), self.ports.len());
        let (tasks, done) = self.handovers.tasks(id, conditions, step, workers, ports);
        let ticket = self.handovers.next_ticket;
        self.handovers.next_ticket += 1;
        let asked = Asked {
            id,
            done,
            generation: self.generation(),
            unanswered: tasks.len(),
            emptied_since,
            recorded: Vec::with_capacity(workers),
        };
        self.handovers.asked.insert(ticket, asked);
        for (worker, task) in self.workers.iter().zip(tasks) {
            // There is room: nobody else puts anything there.
            let _ = worker
                .shared
                .commands
                .push(Command::HandOver(Order { ticket, id, task }));
        }
        if is_release {
            self.end_releases();
        }
        Ok(())
    }

    /// The next step that every worker has done.
    pub fn poll_handovers(&mut self) -> Option<(HandoverId, HandoverDone)> {
        self.take_replies();
        while let Some((&ticket, _)) = self
            .handovers
            .asked
            .iter()
            .find(|(_, asked)| self.is_done(asked))
        {
            let asked = self.handovers.asked.remove(&ticket)?;
            match asked.done {
                Some(HandoverDone::Inspected(_)) => {
                    self.handovers.recording.remove(&asked.id);
                    let accepted = Recording::merge(&asked.recorded);
                    return Some((asked.id, HandoverDone::Inspected(accepted)));
                }
                Some(done) => return Some((asked.id, done)),
                None => {
                    self.handovers.recording.remove(&asked.id);
                }
            }
        }
        None
    }

    fn is_done(&self, asked: &Asked) -> bool {
        asked.unanswered == 0
            && self.grace.has_passed(asked.generation)
            && asked
                .emptied_since
                .as_ref()
                .is_none_or(|mark| self.have_emptied_queues(mark))
    }

    /// Whether the workers have taken everything that was in their queues at the mark, if they take anything.
    fn have_emptied_queues(&self, mark: &Mark) -> bool {
        let tables = self.tables.load();
        !tables.forwarding
            || tables.mode != ForwardingMode::Route
            || self.listening.has_swept(mark, SWEEPS)
    }

    /// The next address that a worker saw in a watched rest under [`Verdict::Route`](crate::verdict::Verdict) and that no
    /// condition of the tables of that moment names. Each comes once or a few times, and again after other tables were published.
    pub fn poll_learned(&mut self) -> Option<Learned> {
        let workers = self.workers.len().max(1);
        let first = self.first_learned;
        self.first_learned = (first + 1) % workers;
        (0..workers)
            .filter_map(|offset| self.workers.get((first + offset) % workers))
            .find_map(|worker| worker.shared.learned.pop())
    }

    /// Ends releases none of whose conditions is on hold in the present tables.
    pub(super) fn end_releases(&mut self) {
        if self.handovers.releases.is_empty() {
            return;
        }
        let tables = self.tables.load();
        for release in &self.handovers.releases {
            let is_held = |condition: &u32| tables.ports.iter().any(|port| port.holds(*condition));
            if !release.conditions().iter().any(is_held) {
                release.end_at(tables.generation);
            }
        }
    }
}
