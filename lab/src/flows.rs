//! Datagrams, and a stream if wanted, between each of several pairs of machines, counted where they arrive.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::Result;
use crate::load::UDP_PORT;
use crate::namespace::Namespace;
use crate::traffic::pace::{Pace, Sender};
use crate::traffic::{Count, tcp, udp};

/// The first port that streams go to.
const TCP_PORT: u16 = 9100;
/// Octets of a datagram's payload.
const PAYLOAD_OCTETS: usize = 200;
/// How long nothing may arrive before a count is closed.
const QUIET: Duration = Duration::from_secs(1);

/// A machine by one of its addresses.
pub type Place<'a> = (&'a Namespace, Ipv4Addr);

/// How much, for how long.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// For how long at most; it can be stopped before.
    pub seconds: u64,
    /// Datagrams a second of each pair.
    pub udp_pps: u64,
    /// Records a second of each pair's stream; 0 for none.
    pub tcp_pps: u64,
}

/// The flows, running.
#[derive(Debug)]
pub struct Flows<'a> {
    /// By where they go to: the receiver, and the senders.
    datagrams: BTreeMap<Ipv4Addr, (udp::Receiver<'a>, Vec<(u32, Sender)>)>,
    streams: Vec<tcp::Stream<'a>>,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Datagrams.
    pub udp: Count,
    /// Records of streams.
    pub tcp: Count,
    /// Segments that the machines sent again.
    pub tcp_retransmitted: u64,
    /// Datagrams that arrived but found a socket full: lost by this machine, not by the network.
    pub socket_drops: u64,
}

impl Report {
    /// Everything together.
    #[must_use]
    pub fn total(&self) -> Count {
        let mut total = self.udp;
        total += self.tcp;
        total
    }
}

impl<'a> Flows<'a> {
    /// Starts them, each from the first machine of a pair to the second.
    ///
    /// # Errors
    /// When a stream cannot be connected, or a socket is not to be had.
    pub fn start(
        pairs: impl IntoIterator<Item = (Place<'a>, Place<'a>)>,
        rates: Rates,
    ) -> Result<Self> {
        let pace = |rate_pps| Pace {
            rate_pps,
            packets: rate_pps * rates.seconds,
        };
        let mut flows = Self {
            datagrams: BTreeMap::new(),
            streams: Vec::new(),
        };
        for (index, (from, to)) in (0..).zip(pairs) {
            if rates.tcp_pps > 0 {
                let target = SocketAddrV4::new(to.1, TCP_PORT + index);
                let stream = tcp::stream(from.0, from.1, to.0, target, pace(rates.tcp_pps))?;
                flows.streams.push(stream);
            }
            let target = SocketAddrV4::new(to.1, UDP_PORT);
            let (_, senders) = match flows.datagrams.entry(to.1) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert((udp::Receiver::start(to.0, target)?, Vec::new()))
                }
            };
            let flow = udp::Flow {
                id: index.into(),
                from: SocketAddrV4::new(from.1, UDP_PORT + 1 + index),
                to: target,
                payload_octets: PAYLOAD_OCTETS,
                pace: pace(rates.udp_pps),
            };
            senders.push((flow.id, udp::send(from.0, flow)?));
        }
        Ok(flows)
    }

    /// Stops them and counts.
    ///
    /// # Errors
    /// When something could not be sent or received.
    pub fn stop(self) -> Result<Report> {
        let mut report = Report::default();
        // All senders first, so that nothing is still on its way to a receiver that counts.
        let mut receivers = Vec::new();
        for (receiver, senders) in self.datagrams.into_values() {
            let sent = senders
                .into_iter()
                .map(|(id, sender)| Ok((id, sender.stop()?)))
                .collect::<Result<Vec<_>>>()?;
            receivers.push((receiver, sent));
        }
        for stream in self.streams {
            let counted = stream.stop()?;
            report.tcp += counted.records;
            report.tcp_retransmitted += counted.retransmitted_segments;
        }
        for (receiver, sent) in receivers {
            let counted = receiver.finish(&sent, QUIET)?;
            report.udp += counted.total();
            report.socket_drops += counted.socket_drops;
        }
        Ok(report)
    }
}
