//! Neighbours that workers wait for: what they ask the control thread, and what it tells them.

use std::collections::BTreeSet;

use super::Dataplane;
use crate::backlog::Neighbour;
use crate::shared::Command;

/// What one worker has asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Not settled yet.
    open: BTreeSet<Neighbour>,
    /// Settled, and it has not been told.
    settled: BTreeSet<Neighbour>,
}

impl Dataplane {
    /// The next neighbour that a worker needs the MAC of. Once that is [known](Dataplane::set_neighbour), or given up,
    /// [`settle_neighbour`](Dataplane::settle_neighbour) has what waits for it go on; until then it is kept.
    pub fn poll_wanted(&mut self) -> Option<Neighbour> {
        let mut workers = self.workers.iter().zip(&mut self.asked);
        workers.find_map(|(worker, asked)| {
            let neighbour = worker.shared.wanted.pop()?;
            asked.open.insert(neighbour);
            Some(neighbour)
        })
    }

    /// Has packets that wait for a neighbour go on: to its MAC if that is known, or else to the control thread, as
    /// [`PuntReason::NoNeighbour`](crate::PuntReason).
    pub fn settle_neighbour(&mut self, neighbour: Neighbour) {
        for asked in &mut self.asked {
            if asked.open.remove(&neighbour) {
                asked.settled.insert(neighbour);
            }
        }
        self.tell_settled();
    }

    /// Tells the workers what is settled, as far as half of their queues of commands takes it; the other half is for those who wait for an answer.
    pub(super) fn tell_settled(&mut self) {
        for (worker, asked) in self.workers.iter().zip(&mut self.asked) {
            let commands = &worker.shared.commands;
            while commands.len() < commands.capacity() / 2
                && let Some(neighbour) = asked.settled.pop_first()
            {
                // There is room: nobody else puts anything there.
                let _ = commands.push(Command::Settle(neighbour));
            }
        }
    }
}
