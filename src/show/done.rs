//! The answer to a command that changes something: what was done.

use serde::Serialize;

/// What was done, in a sentence or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    done: String,
}

impl Done {
    /// `done` is what the operator reads, without an end of line.
    #[must_use]
    pub fn new(done: impl Into<String>) -> Self {
        Self { done: done.into() }
    }

    pub(super) fn table(&self) -> String {
        format!("{}\n", self.done)
    }
}
