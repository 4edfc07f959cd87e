//! What the end systems send to the servers all the time, and what of it arrives.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::{Account, Gap};
use super::{DEADLINE, HOSTS, SERVERS};
use crate::load::UDP_PORT;
use crate::topology::sharing::Sharing;
use crate::traffic::pace::{Pace, Sender};
use crate::traffic::udp::{self, Flow, Receiver, SendTimes};
use crate::{Result, poll};

/// Datagrams a second of each end system.
const RATE_PPS: u64 = 200;
const EVERY: Duration = Duration::from_millis(1000 / RATE_PPS);

/// How much of a flow is accounted for.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// Datagrams sent.
    sent: u64,
    /// Of those that came again, and of those that came late.
    duplicates: usize,
    overtaken: usize,
}

/// A flow of each end system to one of the servers.
#[derive(Debug)]
pub(super) struct Load<'a> {
    start: Instant,
    receivers: Vec<Receiver<'a>>,
    /// By end system, as what follows.
    senders: Vec<Sender>,
    times: Vec<Arc<SendTimes>>,
    done: Vec<Done>,
}

impl<'a> Load<'a> {
    /// Has the servers listen; times count from `start`.
    pub(super) fn listen(net: &'a Sharing, start: Instant) -> Result<Self> {
        let receivers = (0..).zip(&net.servers).map(|(index, server)| {
            let at = SocketAddrV4::new(Sharing::server(index), UDP_PORT);
            Receiver::start(server, at)
        });
        Ok(Self {
            start,
            receivers: receivers.collect::<Result<_>>()?,
            senders: Vec::new(),
            times: Vec::new(),
            done: vec![Done::default(); usize::from(HOSTS)],
        })
    }

    /// Has the end systems send, and waits until each one's datagrams arrive.
    pub(super) fn begin(&mut self, net: &Sharing) -> Result<()> {
        for (index, host) in (0..).zip(&net.hosts) {
            let flow = Flow {
                id: u32::from(index),
                from: SocketAddrV4::new(Sharing::host(index), UDP_PORT),
                to: SocketAddrV4::new(Sharing::server(index % SERVERS), UDP_PORT),
                payload_octets: 200,
                pace: Pace {
                    rate_pps: RATE_PPS,
                    packets: u64::MAX,
                },
            };
            let times = SendTimes::since(self.start);
            self.senders.push(udp::send_timed(host, flow, &times)?);
            self.times.push(times);
        }
        poll::until("every end system's datagrams arriving", DEADLINE, || {
            let arriving = |index: u8| self.receiver(index).received(u32::from(index)) > RATE_PPS;
            Ok((0..HOSTS).all(arriving).then_some(()))
        })
    }

    fn receiver(&self, host: u8) -> &Receiver<'a> {
        &self.receivers[usize::from(host % SERVERS)]
    }

    /// Has the end systems send no more.
    pub(super) fn stop(&mut self) -> Result<()> {
        for sender in self.senders.drain(..) {
            sender.stop()?;
        }
        Ok(())
    }

    /// Tells `account` of what was sent before a moment, if anything arrived since; `None`: of everything.
    pub(super) fn account(&mut self, account: &mut Account, until: Option<Duration>) {
        for host in 0..HOSTS {
            let tally = self.receiver(host).tally(u32::from(host));
            let times = &self.times[usize::from(host)];
            let done = &mut self.done[usize::from(host)];
            let to = times.before(until.unwrap_or(Duration::MAX));
            let when = |number: u64| times.of(number).unwrap_or(self.start.elapsed());
            let mut missing = tally.missing(done.sent..to).peekable();
            let mut accounted = to.max(done.sent);
            while let Some(first) = missing.next() {
                let mut next = first + 1;
                while missing.next_if_eq(&next).is_some() {
                    next += 1;
                }
                if next == to && until.is_some() {
                    // It goes on, perhaps.
                    accounted = first;
                } else {
                    account.lost(Gap {
                        host,
                        packets: next - first,
                        from: when(first),
                        until: when(next - 1) + EVERY,
                    });
                }
            }
            account.sent += accounted - done.sent;
            done.sent = accounted;
            for number in &tally.duplicates()[done.duplicates..] {
                account.duplicated(host, when(*number));
            }
            done.duplicates = tally.duplicates().len();
            for number in &tally.overtaken()[done.overtaken..] {
                account.reordered(host, when(*number));
            }
            done.overtaken = tally.overtaken().len();
        }
    }

    /// What the laboratory itself dropped where the servers are: full sockets and links.
    pub(super) fn dropped(&mut self, net: &Sharing) -> Result<u64> {
        let mut dropped = 0;
        for receiver in self.receivers.drain(..) {
            dropped += receiver.finish(&[], Duration::ZERO)?.socket_drops;
        }
        for server in 0..SERVERS {
            dropped += net.server_end(server).drops()?;
        }
        Ok(dropped)
    }
}
