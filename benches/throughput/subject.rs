//! A process that measures when it is asked to, and sleeps meanwhile, so that several take turns while the machine is the same to all:
//! what one asks it, and how it answers. One line each way; a line that asks is a word and its arguments.

use std::error::Error;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The process, from the side of whoever asks.
pub(crate) struct Subject {
    name: &'static str,
    process: Child,
    /// Closed to have it end.
    asks: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Subject {
    /// Starts it.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        let asks = process.stdin.take();
        let answers = process.stdout.take().ok_or("no output")?;
        Ok(Self {
            name,
            process,
            asks,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Millions of packets a second of the worker's processor time in a phase of so long.
    pub(crate) fn phase(&mut self, phase: &str, length: Duration) -> Result<f64> {
        self.ask(&format!("phase {phase} {}", length.as_millis()))
    }

    /// Asks for something else.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, line: &str) -> Result<T> {
        if let Some(asks) = &mut self.asks {
            // One that is gone says so by not answering.
            let _ = writeln!(asks, "{line}");
        }
        // What is no figure the EAL has said.
        loop {
            let answer = self.answers.next();
            let answer =
                answer.ok_or_else(|| format!("{} did not answer {line:?}", self.name))??;
            if let Ok(figure) = serde_json::from_str(answer.trim()) {
                return Ok(figure);
            }
        }
    }

    /// Has it end, and sees that it ends well.
    pub(crate) fn end(mut self) -> Result<()> {
        self.asks = None;
        let status = self.process.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} ended with {status}", self.name).into())
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.asks = None;
        // After `end`, or when something failed and what it still does is of no interest.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
