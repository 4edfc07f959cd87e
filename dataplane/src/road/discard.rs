//! The door for what goes nowhere: freed, and counted under one reason.

use super::Doors;
use crate::counters::DiscardReason;
use crate::dpdk::Mbuf;

impl Doors {
    /// Discards a packet.
    #[inline]
    pub(crate) fn discard(&mut self, mbuf: Mbuf, reason: DiscardReason) {
        self.shared.counters.discards(reason).add(1);
        self.discard_counted(mbuf);
    }

    /// Discards a packet that the caller counts.
    #[inline(always)]
    pub(super) fn discard_counted(&mut self, mbuf: Mbuf) {
        if let Err(mbuf) = self.discarded.push(mbuf) {
            self.discarded.clear();
            // The burst is empty now, so it takes the packet.
            let _ = self.discarded.push(mbuf);
        }
    }

    /// Frees what was discarded.
    #[inline]
    pub(crate) fn free_discarded(&mut self) {
        self.discarded.clear();
    }
}
