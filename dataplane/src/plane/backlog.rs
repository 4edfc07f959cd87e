//! What the workers' backlogs hold: only a worker itself touches its own, so it has to be asked.

use super::{Dataplane, Full};
use crate::shared::{BacklogCopy, BacklogView, Command};

/// Where the inspection of one worker's backlog stands.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    is_asked: bool,
    view: Option<BacklogView>,
}

impl Inspection {
    pub(super) fn answered(&mut self, copy: BacklogCopy) {
        self.is_asked = false;
        self.view = Some(copy.view());
    }
}

impl Dataplane {
    /// Asks a worker what its backlog holds; the answer comes through [`Dataplane::take_backlog`].
    ///
    /// # Errors
    /// The worker's command queue is full, the answer to an earlier question has not come, or there is no such worker.
    pub fn ask_backlog(&mut self, worker: usize) -> Result<(), Full<()>> {
        self.take_replies();
        let (Some(running), Some(inspection)) =
            (self.workers.get(worker), self.backlogs.get_mut(worker))
        else {
            return Err(Full(()));
        };
        if inspection.is_asked {
            return Err(Full(()));
        }
        let copy = BacklogCopy::new(self.backlog_capacity, self.ports.len());
        running
            .shared
            .commands
            .push(Command::InspectBacklog(copy))
            .map_err(|_| Full(()))?;
        *inspection = Inspection {
            is_asked: true,
            view: None,
        };
        Ok(())
    }

    /// The answer to the last [`Dataplane::ask_backlog`], once it has come.
    pub fn take_backlog(&mut self, worker: usize) -> Option<BacklogView> {
        self.take_replies();
        self.backlogs.get_mut(worker)?.view.take()
    }
}
