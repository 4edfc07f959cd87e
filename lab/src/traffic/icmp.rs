//! Numbered ICMP echo requests, counted where they arrive, and their replies, counted where they were asked for.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::Serialize;

use super::pace::{Pace, Sender};
use super::tally::{Count, Tally};
use crate::error::Doing;
use crate::namespace::Namespace;
use crate::{LabError, Result};

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
/// ICMP header, then the whole number: the header's own has only sixteen bits.
const MESSAGE_OCTETS: usize = 16;
const RECEIVE_BUFFER: usize = 16 << 20;
const LOOK_MS: i64 = 20;

/// What became of a flow of echo requests.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Report {
    /// Requests, counted at the machine that was asked.
    pub requests: Count,
    /// Replies, counted at the machine that asked; what was sent is what the other machine received.
    pub replies: Count,
}

/// A running flow of echo requests.
#[derive(Debug)]
pub struct EchoFlow {
    sender: Sender,
    requests: Listener,
    replies: Listener,
}

/// Starts asking `to`, an address of `asked`, from `asking`. The identifier tells flows apart.
///
/// # Errors
/// When raw sockets are not to be had.
pub fn echo(
    asking: &Namespace,
    asked: &Namespace,
    to: Ipv4Addr,
    identifier: u16,
    pace: Pace,
) -> Result<EchoFlow> {
    let requests = Listener::start(asked, ECHO_REQUEST, identifier)?;
    let replies = Listener::start(asking, ECHO_REPLY, identifier)?;
    let socket = open(asking)?;
    let to = SockaddrIn::from(std::net::SocketAddrV4::new(to, 0));
    let sender = Sender::start(pace, move |number| {
        let message = request(identifier, number);
        sendto(socket.as_raw_fd(), &message, &to, MsgFlags::empty())
            .map(drop)
            .doing(|| format!("send an echo request to {to}"))
    });
    Ok(EchoFlow {
        sender,
        requests,
        replies,
    })
}

impl EchoFlow {
    /// Waits until all is sent and has arrived, or nothing more has for a `quiet` time.
    ///
    /// # Errors
    /// When sending or receiving failed.
    pub fn finish(self, quiet: Duration) -> Result<Report> {
        let sent = self.sender.finish()?;
        Self::report(sent, self.requests, self.replies, quiet)
    }

    /// Stops sending, then as [`EchoFlow::finish`].
    ///
    /// # Errors
    /// When sending or receiving failed.
    pub fn stop(self, quiet: Duration) -> Result<Report> {
        let sent = self.sender.stop()?;
        Self::report(sent, self.requests, self.replies, quiet)
    }

    fn report(sent: u64, requests: Listener, replies: Listener, quiet: Duration) -> Result<Report> {
        let requests = requests.finish(sent, quiet)?;
        let replies = replies.finish(requests.received + requests.duplicated, quiet)?;
        Ok(Report { requests, replies })
    }
}

/// A thread that counts one kind of echo message.
#[derive(Debug)]
struct Listener {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Listener {
    fn start(machine: &Namespace, kind: u8, identifier: u16) -> Result<Self> {
        let socket = open(machine)?;
        let doing = || "listen to echo messages".to_owned();
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).doing(doing)?;
        setsockopt(
            &socket,
            sockopt::ReceiveTimeout,
            &TimeVal::milliseconds(LOOK_MS),
        )
        .doing(doing)?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
            move || {
                let mut packet = [0; 128];
                while !stop.load(Ordering::Relaxed) {
                    match recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                        Ok(octets) => {
                            if let Some(number) = number_of(&packet[..octets], kind, identifier) {
                                tally
                                    .lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .record(number);
                            }
                        }
                        Err(Errno::EAGAIN | Errno::EINTR) => {}
                        Err(error) => return Err(error).doing(doing),
                    }
                }
                Ok(())
            }
        });
        Ok(Self {
            tally,
            stop,
            thread: Some(thread),
        })
    }

    fn finish(mut self, sent: u64, quiet: Duration) -> Result<Count> {
        let (mut last, mut since) = (self.received(), Instant::now());
        let grace = Duration::from_millis(LOOK_MS.unsigned_abs()) * 5;
        while since.elapsed()
            < if last == sent {
                quiet.min(grace)
            } else {
                quiet
            }
        {
            std::thread::sleep(grace / 20);
            let now = self.received();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| LabError::Panicked("an echo listener"))??;
        }
        Ok(self
            .tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(sent))
    }

    fn received(&self) -> u64 {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .received()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only after a failure elsewhere, which matters more than this one.
            let _ = thread.join();
        }
    }
}

fn open(machine: &Namespace) -> Result<OwnedFd> {
    machine.enter(|| {
        socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Icmp,
        )
        .doing(|| format!("open a raw socket at {}", machine.name()))
    })
}

fn request(identifier: u16, number: u64) -> [u8; MESSAGE_OCTETS] {
    let mut message = [0; MESSAGE_OCTETS];
    message[0] = ECHO_REQUEST;
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    // The header's sequence number has room for the low half only; the rest stands behind it.
    message[6..8].copy_from_slice(&number.to_be_bytes()[6..]);
    message[8..].copy_from_slice(&number.to_be_bytes());
    let sum: u32 = message
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(((folded & 0xffff) + (folded >> 16)) as u16);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// The number in an IPv4 packet that is an echo message of this kind and flow.
fn number_of(packet: &[u8], kind: u8, identifier: u16) -> Option<u64> {
    let header_octets = usize::from(packet.first()? & 0x0f) * 4;
    let message: &[u8; MESSAGE_OCTETS] = packet.get(header_octets..)?.first_chunk()?;
    let ours = message[0] == kind && message[4..6] == identifier.to_be_bytes();
    ours.then(|| u64::from_be_bytes(*message.last_chunk().unwrap_or(&[0; 8])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_sixteen_bits_survives_the_message() {
        let mut packet = vec![0x45; 20];
        packet.extend(request(7, 0x0001_0002_0003));
        assert_eq!(number_of(&packet, ECHO_REQUEST, 7), Some(0x0001_0002_0003));
        assert_eq!(number_of(&packet, ECHO_REQUEST, 8), None);
        assert_eq!(number_of(&packet, ECHO_REPLY, 7), None);
        assert_eq!(number_of(&packet[..30], ECHO_REQUEST, 7), None);
    }

    #[test]
    fn the_checksum_of_a_request_makes_its_sum_all_ones() {
        for number in [0, 1, 0xffff_ffff, u64::from(u32::MAX) << 7] {
            let message = request(0xbeef, number);
            let sum: u32 = message
                .chunks_exact(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            assert_eq!(sum % 0xffff, 0, "{number}");
        }
    }
}
