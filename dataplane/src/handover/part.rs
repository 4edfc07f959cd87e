//! What one worker has under way for hand-overs: the tasks that it was given, each of which goes back with its memory when done.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::recording::Accepted;
use super::{
    ACTIVE_MAX, ASKED_MAX, ConditionSet, Draining, EgressState, HandoverId, Recording, Releasing,
};
use crate::backlog::{Backlog, Held, Packet};

/// A task for one worker.
#[derive(Debug)]
pub struct Order {
    /// By which the answer is known.
    pub ticket: u64,
    /// The hand-over.
    pub id: HandoverId,
    /// What is to be done.
    pub task: Task,
}

/// What a worker is to do, with the memory that it needs for that.
#[derive(Debug)]
pub enum Task {
    /// Record.
    StartRecording(Box<Recording>),
    /// Record no more, and return what was recorded.
    StopRecording,
    /// Send what waits.
    DrainBacklog(Box<Draining>),
    /// Let go of what is held.
    Release(Releasing),
    /// Drop what is held.
    DropBacklog(Arc<ConditionSet>),
}

/// That a task is done.
#[derive(Debug)]
pub struct Answer {
    /// [`Order::ticket`].
    pub ticket: u64,
    /// Memory that goes back.
    pub returned: Option<Returned>,
}

/// Memory on its way back to the control thread, which frees it.
#[derive(Debug)]
pub enum Returned {
    /// What was recorded.
    Recording(Box<Recording>),
    /// Of [`Task::DrainBacklog`].
    Draining(Box<Draining>),
    /// Of [`Task::DropBacklog`].
    Conditions(Arc<ConditionSet>),
}

/// A worker's part in all hand-overs. Nothing here allocates or frees once made. The control thread has no more tasks under way
/// than there is room for; one too many would not be taken up, and is answered at once.
#[derive(Debug, Default)]
pub struct WorkerPart {
    recordings: ArrayVec<(HandoverId, Box<Recording>), ACTIVE_MAX>,
    releases: ArrayVec<(u64, Releasing), ACTIVE_MAX>,
    drainings: ArrayVec<(u64, Box<Draining>), ASKED_MAX>,
    answers: ArrayVec<Answer, ASKED_MAX>,
}

impl WorkerPart {
    /// Whether a round can go by without the calls marked with *in each round*.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.releases.is_empty() && self.drainings.is_empty() && self.answers.is_empty()
    }

    /// Takes up a task. Packets that are dropped for it go to `drop`.
    pub fn obey<P>(&mut self, order: Order, backlog: &mut Backlog<P>, mut drop: impl FnMut(P)) {
        let Order { ticket, id, task } = order;
        let returned = match task {
            Task::StartRecording(recording) => {
                let before = self.stop_recording(id);
                match self.recordings.try_push((id, recording)) {
                    Ok(()) => before.map(Returned::Recording),
                    Err(full) => Some(Returned::Recording(full.element().1)),
                }
            }
            Task::StopRecording => self.stop_recording(id).map(Returned::Recording),
            Task::DrainBacklog(draining) => match self.drainings.try_push((ticket, draining)) {
                Ok(()) => return,
                Err(full) => Some(Returned::Draining(full.element().1)),
            },
            Task::Release(releasing) => match self.releases.try_push((ticket, releasing)) {
                Ok(()) => return,
                // The control thread has a reference too: nothing is freed.
                Err(_) => None,
            },
            Task::DropBacklog(conditions) => {
                backlog.take_held(
                    usize::MAX,
                    |condition| conditions.contains(condition),
                    |held| drop(held.packet),
                );
                Some(Returned::Conditions(conditions))
            }
        };
        self.answer(ticket, returned);
    }

    fn stop_recording(&mut self, id: HandoverId) -> Option<Box<Recording>> {
        let place = self.recordings.iter().position(|(known, _)| *known == id)?;
        Some(self.recordings.remove(place).1)
    }

    fn answer(&mut self, ticket: u64, returned: Option<Returned>) {
        // There is room for all that can have been asked.
        let _ = self.answers.try_push(Answer { ticket, returned });
    }

    /// The next task that is done.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_at(0)
    }

    // Packets on their way.

    /// A packet of a watched condition was accepted. How many fingerprints had to give way.
    pub fn accept(&mut self, condition: u32, packet: &impl Packet) -> u64 {
        let recordings = self.recordings.iter_mut();
        let outcomes = recordings.map(|(_, recording)| recording.accept(condition, packet));
        outcomes
            .filter(|outcome| *outcome == Accepted::Overflowed)
            .count() as u64
    }

    /// A packet of a watched condition was discarded at time `now`.
    pub fn refuse(&mut self, condition: u32, packet: &impl Packet, now: u64) {
        for (_, recording) in &mut self.recordings {
            recording.refuse(condition, packet, now);
        }
    }

    /// Whether a packet whose condition is on hold is to be routed nevertheless, as what was held before has been let go.
    #[must_use]
    pub fn lets_pass(&self, condition: u32) -> bool {
        self.releases
            .iter()
            .any(|(_, releasing)| releasing.lets_pass(condition))
    }

    // Rounds.

    /// A round begins under tables of this generation. *In each round*, after the tasks and before any packet.
    pub fn begin_round(&mut self, generation: u64) {
        self.releases
            .retain(|(_, releasing)| !releasing.is_over(generation));
    }

    /// Takes at most `max` packets that are to be let go out of the backlog, oldest first, and hands each to `take` with
    /// whether it is to be dropped. Returns how many. *In each round*, before packets are received.
    pub fn release<P: Packet>(
        &mut self,
        backlog: &mut Backlog<P>,
        max: usize,
        take: impl FnMut(Held<P>, bool),
    ) -> usize {
        let Some((ticket, releasing)) = self
            .releases
            .iter_mut()
            .find(|(_, releasing)| !releasing.is_through())
        else {
            return 0;
        };
        let taken = releasing.step(backlog, max, take);
        if releasing.is_through() {
            let ticket = *ticket;
            self.answer(ticket, None);
        }
        taken
    }

    /// A round ends, with nothing staged. *In each round.*
    pub fn end_round<P>(
        &mut self,
        backlog: &mut Backlog<P>,
        egress: impl Fn(usize) -> EgressState,
        now: u64,
    ) {
        let mut place = 0;
        while let Some((ticket, draining)) = self.drainings.get_mut(place) {
            let ticket = *ticket;
            if draining.poll(backlog, &egress, now) {
                let (_, draining) = self.drainings.remove(place);
                self.answer(ticket, Some(Returned::Draining(draining)));
            } else {
                place += 1;
            }
        }
    }
}
