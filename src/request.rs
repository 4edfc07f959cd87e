//! The way from whoever asks (prompt, socket) to the control thread and back: a bounded queue of requests, and a reply
//! for each. What a command does and what is in an answer is not known here.

use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use thiserror::Error;

use crate::command::{Command, Line, NotACommand};
use crate::show::Answer;

/// Requests that may wait for the control thread.
pub const QUEUE: usize = 64;
/// How long an asker waits for the control thread, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the control thread answers: something to show, or why it did not do it.
pub type Reply = Result<Answer, String>;

/// A command on its way to the control thread.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    reply: Sender<Reply>,
}

impl Request {
    /// Answers. An asker that has given up meanwhile misses it.
    pub fn answer(self, reply: Reply) {
        // The channel holds one reply, and this is the one: it cannot be full, only abandoned.
        let _ = self.reply.try_send(reply);
    }
}

/// In which form an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Tables for people.
    Text,
    /// A JSON object on one line.
    Json,
}

impl Form {
    /// JSON or not.
    #[must_use]
    pub const fn json(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// The line is no command; this says what was expected.
    #[error("{0}")]
    Wrong(String),
    /// The router understood, but did not do it; this is why.
    #[error("{0}")]
    Refused(String),
    /// Too many requests wait for the control thread.
    #[error("{QUEUE} commands wait already; try again")]
    Busy,
    /// The control thread did not answer in time. What was asked may still happen.
    #[error("the control thread has not answered for {} s; the command may still be carried out", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// The control thread is gone.
    #[error("the router is ending")]
    Ending,
    /// No router can be reached; this is why.
    #[error("{0}")]
    Unreachable(String),
}

/// Whoever carries lines to a router and brings its answers: within the process, or over the socket.
pub trait Ask {
    /// The answer to `line`, fit to be printed; in JSON if `form` or the line says so.
    ///
    /// # Errors
    /// [`AskError`] when there is none.
    fn ask(&self, line: &str, form: Form) -> Result<String, AskError>;
}

/// Asks the control thread of this process. Clones share its queue.
#[derive(Clone, Debug)]
pub struct Asker {
    requests: Sender<Request>,
    patience: Duration,
}

/// A queue of requests: its asking end, whose users wait for `patience` at most, and the control thread's.
#[must_use]
pub fn queue(patience: Duration) -> (Asker, Receiver<Request>) {
    let (requests, receiver) = bounded(QUEUE);
    (Asker { requests, patience }, receiver)
}

impl Asker {
    /// Waits for the control thread to carry out `command`.
    ///
    /// # Errors
    /// [`AskError`] when it did not.
    pub fn answer(&self, command: Command) -> Result<Answer, AskError> {
        let (reply, replies) = bounded(1);
        self.requests
            .try_send(Request { command, reply })
            .map_err(|error| match error {
                TrySendError::Full(_) => AskError::Busy,
                TrySendError::Disconnected(_) => AskError::Ending,
            })?;
        match replies.recv_timeout(self.patience) {
            Ok(reply) => reply.map_err(AskError::Refused),
            Err(RecvTimeoutError::Timeout) => Err(AskError::NoAnswer(self.patience)),
            Err(RecvTimeoutError::Disconnected) => Err(AskError::Ending),
        }
    }
}

impl Ask for Asker {
    fn ask(&self, line: &str, form: Form) -> Result<String, AskError> {
        let Line { command, json } = match Line::read(line) {
            Ok(line) => line,
            Err(NotACommand::Help(text)) => return Ok(text),
            Err(wrong) => return Err(AskError::Wrong(wrong.to_string())),
        };
        let answer = self.answer(command)?;
        if !json && form == Form::Text {
            return Ok(answer.text());
        }
        answer
            .json()
            .map(|object| object + "\n")
            .map_err(|error| AskError::Refused(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::Done;

    #[test]
    fn an_answer_comes_back_to_its_asker() {
        let (asker, requests) = queue(PATIENCE);
        let control = std::thread::spawn(move || {
            for request in requests {
                let reply = match request.command {
                    Command::Stop => Err("no".into()),
                    _ => Ok(Answer::Done(Done::new("yes"))),
                };
                request.answer(reply);
            }
        });
        assert_eq!(asker.ask("start", Form::Text).unwrap(), "yes\n");
        for (line, form) in [("start", Form::Json), ("start --json", Form::Text)] {
            assert_eq!(asker.ask(line, form).unwrap(), "{\"done\":\"yes\"}\n");
        }
        assert_eq!(
            asker.ask("stop", Form::Text),
            Err(AskError::Refused("no".into()))
        );
        assert!(matches!(
            asker.ask("stob", Form::Text),
            Err(AskError::Wrong(_))
        ));
        drop(asker);
        control.join().unwrap();
    }

    #[test]
    fn a_control_thread_that_does_not_answer_is_told_of() {
        let patience = Duration::from_millis(1);
        let (asker, requests) = queue(patience);
        assert_eq!(
            asker.answer(Command::Start),
            Err(AskError::NoAnswer(patience))
        );
        // A late answer finds nobody, which is no error.
        let late = Answer::Done(Done::new("late"));
        requests.recv().unwrap().answer(Ok(late));
    }

    #[test]
    fn the_queue_has_a_bound() {
        let (asker, _requests) = queue(Duration::ZERO);
        for _ in 0..QUEUE {
            assert!(matches!(
                asker.answer(Command::Start),
                Err(AskError::NoAnswer(_))
            ));
        }
        assert_eq!(asker.answer(Command::Start), Err(AskError::Busy));
    }

    #[test]
    fn an_ending_router_says_so() {
        let (asker, requests) = queue(PATIENCE);
        drop(requests);
        assert_eq!(asker.answer(Command::Start), Err(AskError::Ending));
    }
}
