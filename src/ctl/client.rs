//! The asking end of the control socket. Each command has a connection of its own, so that a prompt left open takes
//! nothing from the router.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::socket::connect_to;
use super::{Answered, Query};
use crate::command::{Line, NotACommand};
use crate::request::{Ask, AskError, Form, PATIENCE};

/// The longest answer that is believed, in octets.
const ANSWER_OCTETS_MAX: u64 = 64 << 20;

/// Asks the router behind a socket.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
    patience: Duration,
}

impl Client {
    /// Asks at the socket at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            // The router's own patience ends first, and what it says then is worth hearing.
            patience: PATIENCE + Duration::from_secs(5),
        }
    }

    fn exchange(&self, query: &Query) -> Result<Answered, AskError> {
        let lost = |error: io::Error| {
            AskError::Unreachable(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!(
                    "the router at {} has not answered for {} s",
                    self.path.display(),
                    self.patience.as_secs_f32()
                ),
                _ => format!("the router at {} hung up: {error}", self.path.display()),
            })
        };
        let mut stream =
            connect_to(&self.path, self.patience).map_err(|errno| self.unreachable(errno))?;
        stream.set_read_timeout(Some(self.patience)).map_err(lost)?;
        let mut line = serde_json::to_vec(query).map_err(|error| lost(error.into()))?;
        line.push(b'\n');
        // A server that refuses hangs up without reading, and has said why.
        let sent = stream.write_all(&line);
        let mut answer = Vec::new();
        let read = BufReader::new(stream.take(ANSWER_OCTETS_MAX)).read_until(b'\n', &mut answer);
        if answer.last() != Some(&b'\n') {
            sent.map_err(lost)?;
            read.map_err(lost)?;
            return Err(lost(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_slice(&answer).map_err(|error| lost(error.into()))
    }

    fn unreachable(&self, errno: Errno) -> AskError {
        let path = self.path.display();
        AskError::Unreachable(match errno {
            Errno::ENOENT | Errno::ENOTDIR => format!(
                "there is no router at {path}\n  remedy: start one with `manifold run`, or name its socket with --socket"
            ),
            Errno::ECONNREFUSED => {
                format!("the router at {path} has ended\n  remedy: start one with `manifold run`")
            }
            Errno::EACCES | Errno::EPERM => format!(
                "{path} belongs to another user\n  remedy: ask as the user that runs the router, usually root"
            ),
            Errno::EAGAIN => format!("the router at {path} accepts no connection now; try again"),
            errno => format!("cannot connect to {path}: {}", errno.desc()),
        })
    }
}

impl Ask for Client {
    fn ask(&self, line: &str, form: Form) -> Result<String, AskError> {
        match Line::read(line) {
            Ok(_) => {}
            Err(NotACommand::Help(text)) => return Ok(text),
            Err(wrong) => return Err(AskError::Wrong(wrong.to_string())),
        }
        let query = Query {
            command: line.to_owned(),
            json: form == Form::Json,
        };
        match self.exchange(&query)? {
            Answered::Ok(text) => Ok(text),
            Answered::Error(reason) => Err(AskError::Refused(reason)),
        }
    }
}
