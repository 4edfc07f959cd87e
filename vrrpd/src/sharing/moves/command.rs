//! What moves ask of the data plane, and what it says when it is done.

use crate::sharing::wire::Accepted;

/// What workers do with a condition's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Route them.
    Route,
    /// Discard them: another router is in charge.
    Discard,
    /// Keep them in the backlog.
    Hold,
}

/// What the data plane shall do for a move. It says so when every worker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Record a fingerprint of every packet accepted under [`Verdict::Route`], from now on.
    StartRecording,
    /// Stop that, and forget what was recorded. Nobody waits for it.
    StopRecording,
    /// Take everything out of the receive queue that is in it now.
    EmptyReceiveQueues,
    /// Publish a verdict table with this verdict, and take it up.
    SetVerdict(Verdict),
    /// Send the backlog's packets of these conditions before others; done when neither backlog nor transmit ring
    /// has any.
    DrainBacklog,
    /// Stop recording and hand over what was recorded, and the first TCP packet that was discarded since.
    Inspect,
    /// Find the routes and neighbours that these packets will need. Nobody waits for it.
    Resolve,
    /// Drop from what is held the packets listed, one for each entry, and send the rest in its order. From then on, what
    /// comes under [`Verdict::Hold`] is sent behind that. Where a list is marked as overflowed, drop besides whatever is before its first unrouted
    /// TCP packet, or else up to its newest fingerprint.
    Release(Vec<Accepted>),
    /// Drop what is held.
    DropBacklog,
}

/// That every worker has done what was asked last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// [`Command::StartRecording`].
    Recording,
    /// [`Command::EmptyReceiveQueues`].
    QueuesEmptied,
    /// [`Command::SetVerdict`] with this verdict.
    VerdictSet(Verdict),
    /// [`Command::DrainBacklog`].
    Drained,
    /// [`Command::Inspect`], with what all workers accepted.
    Inspected(Vec<Accepted>),
    /// [`Command::Release`].
    Released,
    /// [`Command::DropBacklog`].
    Dropped,
}
