//! The serving end of the control socket: a thread that accepts, and one for each client. They carry lines to the control
//! thread and its answers back; each client has bounds, so that none can keep the others or the memory.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::{Condvar, Mutex};

use super::socket::{Socket, SocketError};
use super::{Answered, Query};
use crate::request::{Ask, Asker, Form};

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Clients at once.
    pub clients: usize,
    /// The length of a request, in octets.
    pub line_octets: usize,
    /// The time from the connection or the last answer to the end of a request.
    pub request_within: Duration,
    /// The time in which an answer must be taken.
    pub answer_taken_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 16,
            line_octets: 4096,
            request_within: Duration::from_secs(60),
            answer_taken_within: Duration::from_secs(10),
        }
    }
}

/// The running server. Dropped, it lets commands under way finish, closes every connection and removes the socket.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    /// Closed to wake the accepting thread.
    wake: Option<UnixStream>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    asker: Asker,
    limits: Limits,
    stopping: AtomicBool,
    clients: Mutex<HashMap<u64, UnixStream>>,
    client_gone: Condvar,
    counters: SocketCounters,
}

/// Declares what the server counts, with the names under which it is shown.
macro_rules! counters {
    ($($field:ident = $shown:literal,)*) => {
        #[derive(Debug, Default)]
        struct Counts { $($field: AtomicU64,)* }

        /// What the server counts; clones are of the same counters.
        #[derive(Clone, Debug, Default)]
        pub struct SocketCounters(Arc<Counts>);

        impl SocketCounters {
            /// Every counter with its name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($shown, self.0.$field.load(Ordering::Relaxed)),)*].into_iter()
            }

            /// Counts from zero again.
            pub fn clear(&self) {
                $(self.0.$field.store(0, Ordering::Relaxed);)*
            }
        }
    };
}

counters! {
    accepted = "accepted",
    refused_full = "refused-full",
    requests = "requests",
    malformed = "malformed",
    too_long = "too-long",
    timed_out = "timed-out",
    not_taken = "not-taken",
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Server {
    /// Serves at `path` what `asker` answers.
    ///
    /// # Errors
    /// [`SocketError`], with a remedy.
    pub fn start(path: &Path, asker: Asker) -> Result<Self, SocketError> {
        Self::with_limits(path, asker, Limits::default())
    }

    /// Serves within these limits.
    ///
    /// # Errors
    /// [`SocketError`], with a remedy.
    pub fn with_limits(path: &Path, asker: Asker, limits: Limits) -> Result<Self, SocketError> {
        let system = |source| SocketError::System {
            path: path.to_owned(),
            source,
        };
        let socket = Socket::listen(path)?;
        socket.listener.set_nonblocking(true).map_err(system)?;
        let (wake, woken) = UnixStream::pair().map_err(system)?;
        let shared = Arc::new(Shared {
            asker,
            limits,
            stopping: AtomicBool::new(false),
            clients: Mutex::default(),
            client_gone: Condvar::new(),
            counters: SocketCounters::default(),
        });
        let accepting = thread::Builder::new()
            .name("ctl".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.accept(&socket, &woken)
            })
            .map_err(system)?;
        Ok(Self {
            shared,
            wake: Some(wake),
            accepting: Some(accepting),
        })
    }

    /// What the server counts.
    #[must_use]
    pub fn counters(&self) -> SocketCounters {
        self.shared.counters.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.wake = None;
        if let Some(accepting) = self.accepting.take()
            && accepting.join().is_err()
        {
            tracing::error!("the thread of the control socket panicked");
        }
        let deadline = Instant::now() + self.shared.limits.answer_taken_within;
        let mut clients = self.shared.clients.lock();
        for client in clients.values() {
            // Requests end, answers under way do not. A client that left already needs no shutdown.
            let _ = client.shutdown(Shutdown::Read);
        }
        while !clients.is_empty() {
            if self
                .shared
                .client_gone
                .wait_until(&mut clients, deadline)
                .timed_out()
            {
                tracing::warn!(
                    clients = clients.len(),
                    "clients of the control socket stay"
                );
                return;
            }
        }
    }
}

/// How waiting for a request ended without one.
enum NoRequest {
    Closed,
    TooLong,
    TimedOut,
}

impl Shared {
    /// Accepts until the other end of `woken` is closed; then the socket goes with its file.
    fn accept(self: &Arc<Self>, socket: &Socket, woken: &UnixStream) {
        let mut next_id = 0;
        loop {
            let mut ready = [
                PollFd::new(socket.listener.as_fd(), PollFlags::POLLIN),
                PollFd::new(woken.as_fd(), PollFlags::POLLIN),
            ];
            // An interrupted poll is only another round.
            let _ = poll(&mut ready, PollTimeout::NONE);
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            match socket.listener.accept() {
                Ok((stream, _)) => {
                    next_id += 1;
                    self.welcome(next_id, stream);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::Interrupted
                            | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    // Most likely no file descriptor is free. Without a pause the loop would only repeat it.
                    tracing::warn!(%error, "cannot accept at the control socket");
                    let mut stop = [PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
                    let _ = poll(&mut stop, PollTimeout::from(100_u8));
                }
            }
        }
    }

    fn welcome(self: &Arc<Self>, id: u64, stream: UnixStream) {
        let most = self.limits.clients;
        let registered = {
            let mut clients = self.clients.lock();
            if clients.len() >= most {
                count(&self.counters.0.refused_full);
                Err(format!("{most} clients are connected already; try again"))
            } else {
                stream
                    .try_clone()
                    .map(|clone| {
                        clients.insert(id, clone);
                    })
                    .map_err(|error| error.to_string())
            }
        };
        if let Err(reason) = registered {
            // A socket that nothing was written to yet takes a line at once, or the client is gone.
            let _ = send(&stream, &Answered::Error(reason), Duration::from_millis(1));
            return;
        }
        count(&self.counters.0.accepted);
        let serving = thread::Builder::new().name("ctl client".into()).spawn({
            let shared = Arc::clone(self);
            move || {
                shared.serve(&stream);
                shared.leave(id);
            }
        });
        if let Err(error) = serving {
            tracing::warn!(%error, "cannot serve a client of the control socket");
            self.leave(id);
        }
    }

    fn leave(&self, id: u64) {
        self.clients.lock().remove(&id);
        self.client_gone.notify_all();
    }

    /// Answers one client's requests until it leaves or breaks a rule.
    fn serve(&self, stream: &UnixStream) {
        let mut received = Vec::new();
        loop {
            let (answer, goes_on) = match self.next_request(stream, &mut received) {
                Ok(line) => self.answer(&line),
                Err(NoRequest::Closed) => return,
                Err(NoRequest::TooLong) => {
                    count(&self.counters.0.too_long);
                    let most = self.limits.line_octets;
                    let reason = format!("a request has at most {most} octets");
                    (Answered::Error(reason), false)
                }
                Err(NoRequest::TimedOut) => {
                    count(&self.counters.0.timed_out);
                    let within = self.limits.request_within.as_secs_f32();
                    let reason = format!("no request came for {within} s");
                    (Answered::Error(reason), false)
                }
            };
            if let Err(error) = send(stream, &answer, self.limits.answer_taken_within) {
                count(&self.counters.0.not_taken);
                tracing::debug!(%error, "a client of the control socket did not take its answer");
                return;
            }
            if !goes_on {
                return;
            }
        }
    }

    /// The answer to a line, and whether its sender speaks the protocol.
    fn answer(&self, line: &[u8]) -> (Answered, bool) {
        count(&self.counters.0.requests);
        let query: Query = match serde_json::from_slice(line) {
            Ok(query) => query,
            Err(error) => {
                count(&self.counters.0.malformed);
                let reason = format!("not a request: {error}");
                return (Answered::Error(reason), false);
            }
        };
        let answer = match self.asker.ask(&query.command, Form::json(query.json)) {
            Ok(text) => Answered::Ok(text),
            Err(error) => Answered::Error(error.to_string()),
        };
        (answer, true)
    }

    /// Waits for a whole line. `received` holds what came behind it.
    fn next_request(
        &self,
        mut stream: &UnixStream,
        received: &mut Vec<u8>,
    ) -> Result<Vec<u8>, NoRequest> {
        let deadline = Instant::now() + self.limits.request_within;
        let mut searched = 0;
        loop {
            let end = received[searched..]
                .iter()
                .position(|octet| *octet == b'\n');
            if let Some(end) = end.map(|end| searched + end)
                && end <= self.limits.line_octets
            {
                let mut line: Vec<u8> = received.drain(..=end).collect();
                line.pop();
                return Ok(line);
            }
            if received.len() > self.limits.line_octets {
                return Err(NoRequest::TooLong);
            }
            searched = received.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoRequest::TimedOut);
            }
            let mut chunk = [0; 1024];
            let read = stream
                .set_read_timeout(Some(left))
                .and_then(|()| stream.read(&mut chunk));
            match read {
                Ok(0) => return Err(NoRequest::Closed),
                Ok(octets) => received.extend_from_slice(&chunk[..octets]),
                Err(error) => match error.kind() {
                    // The deadline decides.
                    io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::Interrupted => {}
                    _ => return Err(NoRequest::Closed),
                },
            }
        }
    }
}

/// Sends an answer, which must be taken `within` this time.
fn send(mut stream: &UnixStream, answer: &Answered, within: Duration) -> io::Result<()> {
    let deadline = Instant::now() + within;
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(octets) => rest = &rest[octets..],
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    Ok(())
}
