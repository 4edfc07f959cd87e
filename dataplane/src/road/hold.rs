//! The door to the backlog, for packets whose condition is on hold.

use super::Doors;
use crate::backlog::{Full, Waiting};
use crate::counters::DiscardReason;
use crate::dpdk::Mbuf;

/// The most packets that a worker keeps on hold; below the backlog's capacity, so that congestion finds room too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldLimit(pub(crate) usize);

impl Doors {
    /// Keeps a packet in the backlog; if that is full, discards it.
    #[cold]
    pub(crate) fn hold(&mut self, mbuf: Mbuf, condition: u32) {
        let waiting = Waiting {
            condition,
            packet: mbuf,
        };
        let done = if self.backlog.held() < self.held_limit.0 {
            self.backlog.hold(waiting)
        } else {
            Err(Full(waiting))
        };
        if let Err(Full(waiting)) = done {
            self.discard(waiting.packet, DiscardReason::HoldOverflow);
        }
        self.shared.counters.held.set(self.backlog.held() as u64);
    }
}
