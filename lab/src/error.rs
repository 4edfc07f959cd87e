//! What can go wrong while a network is laid out or used. A test prints it; nobody recovers from it.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, LabError>;

/// Why the laboratory could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed, both streams.
        output: String,
    },
    /// Something awaited did not come true in time.
    #[error("{awaited} did not happen within {deadline:?}{detail}")]
    Deadline {
        /// What was awaited.
        awaited: String,
        /// How long.
        deadline: Duration,
        /// What was seen instead; empty, or starts with a separator.
        detail: String,
    },
    /// A program's answer was not understood.
    #[error("cannot read {what}: {text}")]
    Unreadable {
        /// What was being read.
        what: String,
        /// The text in question.
        text: String,
    },
    /// A helper thread panicked.
    #[error("the thread of {0} panicked")]
    Panicked(&'static str),
}

/// Names what was being done when the system refused.
pub trait Doing<T> {
    /// Turns the system's error into one that says what was being done.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| LabError::Io {
            doing: what(),
            source: error.into(),
        })
    }
}
