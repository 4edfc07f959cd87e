//! What the doors of one worker share: its counters, the rings to the control thread, the backlog, and its part in
//! hand-overs.

use std::sync::Arc;

use super::HeldLimit;
use crate::backlog::Backlog;
use crate::dpdk::{Burst, Mbuf};
use crate::handover::{Learner, WorkerPart};
use crate::octets::Tally;
use crate::shared::Shared;

/// The doors of one worker's road. What goes through each is in the file of its name.
pub(crate) struct Doors {
    pub(super) shared: Arc<Shared>,
    /// Counts octets by condition.
    pub(super) tally: Tally,
    /// Packets to be freed in one call when the burst is done.
    pub(super) discarded: Burst,
    pub(crate) backlog: Backlog<Mbuf>,
    pub(super) held_limit: HeldLimit,
    pub(crate) part: WorkerPart,
    pub(super) learner: Learner,
}

impl Doors {
    pub(crate) fn new(
        shared: Arc<Shared>,
        backlog: Backlog<Mbuf>,
        held_limit: HeldLimit,
        part: WorkerPart,
    ) -> Self {
        Self {
            tally: Tally::new(Arc::clone(&shared.conditions)),
            shared,
            discarded: Burst::new(),
            backlog,
            held_limit,
            part,
            learner: Learner::default(),
        }
    }
}
