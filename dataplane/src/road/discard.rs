//! The door for what goes nowhere: freed, and counted under one reason.

use super::Doors;
use crate::counters::DiscardReason;
use crate::dpdk::{Burst, Mbuf};

impl Doors {
    /// Discards a packet.
    #[inline]
    pub(crate) fn discard(&mut self, mbuf: Mbuf, reason: DiscardReason) {
        self.shared.counters.discards(reason).add(1);
        if let Err(mbuf) = self.discarded.push(mbuf) {
            self.discarded.clear();
            // The burst is empty now, so it takes the packet.
            let _ = self.discarded.push(mbuf);
        }
    }

    /// Discards a burst.
    #[inline]
    pub(crate) fn discard_all(&self, mbufs: &mut Burst, reason: DiscardReason) {
        self.shared
            .counters
            .discards(reason)
            .add(mbufs.len() as u64);
        mbufs.clear();
    }

    /// Frees what was discarded one by one.
    #[inline]
    pub(crate) fn free_discarded(&mut self) {
        self.discarded.clear();
    }
}
