//! Numbered UDP datagrams.

use std::collections::BTreeMap;
use std::net::{SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;

use super::pace::{Pace, Sender};
use super::tally::{Count, Tally};
use crate::error::Doing;
use crate::namespace::Namespace;
use crate::{LabError, Result};

/// Starts each payload, so that a stray datagram is not taken for one of ours.
const MARK: [u8; 4] = *b"lab1";
/// The mark, the flow and the number.
const SHORTEST_PAYLOAD: usize = 16;
/// Kernel memory for datagrams not yet read, in octets.
const RECEIVE_BUFFER: usize = 64 << 20;
/// How long the receiver's thread waits for a datagram before it looks whether to stop.
const LOOK: Duration = Duration::from_millis(20);

/// One flow of datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Told apart by this at the receiver.
    pub id: u32,
    /// The sender's address and port.
    pub from: SocketAddrV4,
    /// The receiver's.
    pub to: SocketAddrV4,
    /// Octets behind the UDP header; at least 16 are sent.
    pub payload_octets: usize,
    /// How many, how fast.
    pub pace: Pace,
}

/// Starts sending a flow from a machine.
///
/// # Errors
/// When the address is not this machine's, or the port is taken.
pub fn send(from: &Namespace, flow: Flow) -> Result<Sender> {
    send_noting(from, flow, || {})
}

/// As [`send`], and notes when each datagram was sent.
///
/// # Errors
/// As [`send`].
pub fn send_timed(from: &Namespace, flow: Flow, times: &Arc<SendTimes>) -> Result<Sender> {
    let times = Arc::clone(times);
    send_noting(from, flow, move || times.note())
}

fn send_noting(
    from: &Namespace,
    flow: Flow,
    mut note: impl FnMut() + Send + 'static,
) -> Result<Sender> {
    let socket = from.enter(|| {
        let socket = UdpSocket::bind(flow.from).doing(|| format!("bind {}", flow.from))?;
        socket
            .connect(flow.to)
            .doing(|| format!("connect {} to {}", flow.from, flow.to))?;
        Ok(socket)
    })?;
    let mut payload = vec![0; flow.payload_octets.max(SHORTEST_PAYLOAD)];
    payload[..4].copy_from_slice(&MARK);
    payload[4..8].copy_from_slice(&flow.id.to_be_bytes());
    Ok(Sender::start(flow.pace, move |number| {
        payload[8..16].copy_from_slice(&number.to_be_bytes());
        note();
        match socket.send(&payload) {
            // An ICMP error answers an earlier datagram; this one was not sent, so try once more. The second refusal counts.
            Err(_) => socket
                .send(&payload)
                .map(drop)
                .doing(|| format!("send to {}", flow.to)),
            Ok(_) => Ok(()),
        }
    }))
}

/// When each datagram of a flow was sent.
#[derive(Debug)]
pub struct SendTimes {
    start: Instant,
    /// In tens of microseconds, which last for eleven hours, by number.
    at: Mutex<Vec<u32>>,
}

impl SendTimes {
    /// Of a flow whose times count from `start`.
    #[must_use]
    pub fn since(start: Instant) -> Arc<Self> {
        Arc::new(Self {
            start,
            at: Mutex::default(),
        })
    }

    fn note(&self) {
        let at = u32::try_from(self.start.elapsed().as_micros() / 10).unwrap_or(u32::MAX);
        self.at().push(at);
    }

    /// When a datagram was sent, if it was.
    #[must_use]
    pub fn of(&self, number: u64) -> Option<Duration> {
        let at = *self.at().get(usize::try_from(number).ok()?)?;
        Some(Duration::from_micros(u64::from(at) * 10))
    }

    /// How many datagrams were sent before a moment.
    #[must_use]
    pub fn before(&self, moment: Duration) -> u64 {
        let moment = moment.as_micros() / 10;
        self.at().partition_point(|at| u128::from(*at) < moment) as u64
    }

    fn at(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What arrived of all flows.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Per flow id.
    pub flows: BTreeMap<u32, Count>,
    /// Datagrams that arrived but found the socket's buffer full.
    pub socket_drops: u64,
}

impl Report {
    /// All flows together.
    #[must_use]
    pub fn total(&self) -> Count {
        let mut total = Count::default();
        self.flows.values().for_each(|count| total += *count);
        total
    }
}

/// A thread that receives flows on one address and port.
#[derive(Debug)]
pub struct Receiver<'a> {
    machine: &'a Namespace,
    port: u16,
    tallies: Arc<Mutex<BTreeMap<u32, Tally>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl<'a> Receiver<'a> {
    /// Starts receiving.
    ///
    /// # Errors
    /// When the address is not this machine's, or the port is taken.
    pub fn start(machine: &'a Namespace, at: SocketAddrV4) -> Result<Self> {
        let socket = machine.enter(|| {
            let doing = || format!("receive at {at}");
            let socket = UdpSocket::bind(at).doing(doing)?;
            setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).doing(doing)?;
            socket.set_read_timeout(Some(LOOK)).doing(doing)?;
            Ok(socket)
        })?;
        let tallies = Arc::new(Mutex::new(BTreeMap::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (tallies, stop) = (Arc::clone(&tallies), Arc::clone(&stop));
            move || {
                let mut payload = [0; SHORTEST_PAYLOAD];
                while !stop.load(Ordering::Relaxed) {
                    match socket.recv(&mut payload) {
                        Ok(SHORTEST_PAYLOAD) => note(&tallies, payload),
                        Ok(_) => {}
                        Err(error)
                            if matches!(
                                error.kind(),
                                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                            ) => {}
                        Err(error) => return Err(error).doing(|| format!("receive at {at}")),
                    }
                }
                Ok(())
            }
        });
        Ok(Self {
            machine,
            port: at.port(),
            tallies,
            stop,
            thread: Some(thread),
        })
    }

    /// Datagrams of a flow that arrived so far, each counted once.
    #[must_use]
    pub fn received(&self, flow: u32) -> u64 {
        self.tallies().get(&flow).map_or(0, Tally::received)
    }

    /// What became of a flow so far.
    #[must_use]
    pub fn tally(&self, flow: u32) -> Tally {
        self.tallies().get(&flow).cloned().unwrap_or_default()
    }

    /// Counts, once everything sent has arrived or nothing more has for a `quiet` time.
    ///
    /// # Errors
    /// When receiving failed.
    pub fn finish(mut self, sent: &[(u32, u64)], quiet: Duration) -> Result<Report> {
        self.wait_until_quiet(sent, quiet);
        let socket_drops = self.socket_drops()?;
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| LabError::Panicked("a receiver"))??;
        }
        let tallies = self.tallies();
        let counted = |&(flow, sent): &(u32, u64)| {
            (
                flow,
                tallies.get(&flow).cloned().unwrap_or_default().count(sent),
            )
        };
        Ok(Report {
            flows: sent.iter().map(counted).collect(),
            socket_drops,
        })
    }

    fn wait_until_quiet(&self, sent: &[(u32, u64)], quiet: Duration) {
        let arrived = || {
            sent.iter()
                .map(|(flow, _)| self.received(*flow))
                .sum::<u64>()
        };
        let wanted = sent.iter().map(|(_, sent)| sent).sum::<u64>();
        let (mut last, mut since) = (arrived(), Instant::now());
        // A duplicate may follow the last packet, so all having arrived shortens the wait but does not end it.
        while since.elapsed()
            < if last == wanted {
                quiet.min(LOOK * 5)
            } else {
                quiet
            }
        {
            std::thread::sleep(LOOK / 4);
            let now = arrived();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
    }

    /// The last column of this socket's line in `/proc/net/udp`.
    fn socket_drops(&self) -> Result<u64> {
        let path = "/proc/thread-self/net/udp";
        let text = self
            .machine
            .enter(|| std::fs::read_to_string(path).doing(|| format!("read {path}")))?;
        let port = format!(":{:04X}", self.port);
        let line = text.lines().find(|line| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|local| local.ends_with(&port))
        });
        line.and_then(|line| line.split_whitespace().last()?.parse().ok())
            .ok_or_else(|| LabError::Unreadable {
                what: format!("the drops of port {}", self.port),
                text,
            })
    }

    fn tallies(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only after a failure elsewhere, which matters more than this one.
            let _ = thread.join();
        }
    }
}

fn note(tallies: &Mutex<BTreeMap<u32, Tally>>, payload: [u8; SHORTEST_PAYLOAD]) {
    let [m0, m1, m2, m3, f0, f1, f2, f3, number @ ..] = payload;
    if [m0, m1, m2, m3] == MARK {
        let flow = u32::from_be_bytes([f0, f1, f2, f3]);
        tallies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(flow)
            .or_default()
            .record(u64::from_be_bytes(number));
    }
}
