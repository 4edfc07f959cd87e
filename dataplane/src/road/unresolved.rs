//! The door to the backlog for packets whose next hop's MAC is not known. They wait at the worker that received them, so that they keep their order
//! whenever the MAC becomes known; the control thread finds it out.

use super::Doors;
use crate::backlog::{Held, Neighbour, Place};
use crate::counters::DiscardReason;
use crate::dpdk::Mbuf;
use crate::tables::Tables;

impl Doors {
    /// Keeps a packet until its neighbour is settled. If the control thread cannot be asked, or there is no room, a packet is discarded.
    #[cold]
    pub(super) fn park(&mut self, neighbour: Neighbour, held: Held<Mbuf>, place: Place) {
        if !self.want(neighbour) {
            return self.discard(held.packet, DiscardReason::PuntRestOverflow);
        }
        let mut displaced = 0;
        self.backlog.park(neighbour, held, place, |mbuf| {
            displaced += 1;
            drop(mbuf);
        });
        self.shared.counters.parked.add(1);
        self.count_displaced(displaced);
    }

    /// Has the MAC found out that a packet will need, which is to be let go later.
    #[cold]
    pub(super) fn prepare(&mut self, destination: u32, tables: &Tables) {
        if let Some(hop) = tables.hop(tables.fib.lookup(destination))
            && hop.mac_for(destination).is_none()
            && let Some(neighbour) = hop.kind.neighbour(destination)
        {
            self.want(neighbour);
        }
    }

    /// Asks the control thread for a neighbour's MAC, unless that was done; whether it was, or could be.
    fn want(&mut self, neighbour: Neighbour) -> bool {
        if self.backlog.awaits(neighbour) {
            return true;
        }
        if self.shared.wanted.push(neighbour).is_err() {
            return false;
        }
        let mut displaced = 0;
        self.backlog.await_neighbour(neighbour, |mbuf| {
            displaced += 1;
            drop(mbuf);
        });
        self.count_displaced(displaced);
        true
    }

    fn count_displaced(&self, displaced: u64) {
        let counters = &self.shared.counters;
        counters
            .discards(DiscardReason::NeighbourOverflow)
            .add(displaced);
        self.count_unresolved();
    }

    /// Says how many packets wait for their next hop's MAC.
    pub(super) fn count_unresolved(&self) {
        let waiting = self.backlog.unresolved() as u64;
        self.shared.counters.unresolved.set(waiting);
    }
}
