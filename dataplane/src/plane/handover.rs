//! Hand-overs through the workers' queues: what is asked for, and when it is done, is [`Steps`]'.

use super::{Dataplane, Full};
use crate::dpdk::tsc_hz;
use crate::handover::{HandoverDone, HandoverId, HandoverStep, Learned, Present, Steps};
use crate::shared::Command;
use crate::sweep::{Listening, Mark};
use crate::tables::{ForwardingMode, Tables};

/// The part of a second for which a transmit ring is waited for whose driver does not say that it is empty: the time that one
/// of 1024 large frames takes at 1 Gbit/s, and some.
const RING_PATIENCE_PER_SECOND: u64 = 50;

/// How often the receive queues have to be found empty: once would do but for drivers that stop where their ring begins again.
const SWEEPS: u64 = 2;

/// Steps under way.
pub(super) type Handovers = Steps<Mark>;

impl Dataplane {
    /// Has every worker do a step of a hand-over, for the conditions with these counters;
    /// [`poll_handovers`](Dataplane::poll_handovers) says when it is done. Steps are taken up in their order, and none is done
    /// before every table that was published earlier is [taken up](Dataplane::has_taken_up). After a step a worker takes no packet under an older one.
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
        let present = Present {
            workers: self.workers.len(),
            ports: self.ports.len(),
            patience: tsc_hz() / RING_PATIENCE_PER_SECOND,
            generation: self.generation(),
        };
        let mark = || self.listening.mark();
        let orders = self.handovers.ask(id, conditions, step, present, mark);
        for (worker, order) in self.workers.iter().zip(orders) {
            // There is room: nobody else puts anything there.
            let _ = worker.shared.commands.push(Command::HandOver(order));
        }
        if is_release {
            self.end_releases();
        }
        Ok(())
    }

    /// The next step that every worker has done.
    pub fn poll_handovers(&mut self) -> Option<(HandoverId, HandoverDone)> {
        self.take_replies();
        let Self {
            handovers,
            tables,
            grace,
            listening,
            ..
        } = self;
        handovers.poll(|generation, mark| {
            grace.has_passed(generation)
                && mark.is_none_or(|mark| have_emptied_queues(&tables.load(), listening, mark))
        })
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
        let tables = self.tables.load();
        let is_held = |condition| tables.ports.iter().any(|port| port.holds(condition));
        self.handovers.end_releases(tables.generation, is_held);
    }
}

/// Whether the workers have taken everything that was in their queues at the mark, if they take anything.
fn have_emptied_queues(tables: &Tables, listening: &Listening, mark: &Mark) -> bool {
    !tables.forwarding || tables.mode != ForwardingMode::Route || listening.has_swept(mark, SWEEPS)
}
