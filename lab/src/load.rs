//! Everything that end systems send at once: UDP and ICMP from each, TCP from some, counted where it arrives.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::topology::sharing::Sharing;
use crate::traffic::pace::{Pace, Sender};
use crate::traffic::{Count, icmp, tcp, udp};

/// The port that datagrams go to.
pub const UDP_PORT: u16 = 9000;
/// The first port that streams go to.
const TCP_PORT: u16 = 9100;
/// How long nothing may arrive before a count is closed.
const QUIET: Duration = Duration::from_secs(1);

/// How much, for how long.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// For how long at most; it can be stopped before.
    pub seconds: u64,
    /// Datagrams a second of each end system.
    pub udp_pps: u64,
    /// Echo requests a second of each end system with a stream.
    pub icmp_pps: u64,
    /// Records a second of each stream.
    pub tcp_pps: u64,
    /// How many end systems, the first ones, have a stream and ask for echoes.
    pub streams: u8,
}

/// The load, running.
#[derive(Debug)]
pub struct Load<'a> {
    receivers: Vec<udp::Receiver<'a>>,
    /// By end system: the server that its datagrams go to, and their sender.
    datagrams: Vec<(usize, Sender)>,
    echoes: Vec<icmp::EchoFlow>,
    streams: Vec<tcp::Stream<'a>>,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Datagrams, by end system.
    pub udp: Vec<Count>,
    /// Echo requests.
    pub icmp: Count,
    /// Their replies.
    pub icmp_replies: Count,
    /// Records of streams.
    pub tcp: Count,
    /// Segments sent again by the end systems.
    pub tcp_retransmitted: u64,
    /// Packets that arrived but found a socket full: lost by this machine, not by the network.
    pub socket_drops: u64,
}

impl Report {
    /// Everything together.
    #[must_use]
    pub fn total(&self) -> Count {
        let mut total = Count::default();
        let all = [self.icmp, self.icmp_replies, self.tcp];
        self.udp
            .iter()
            .copied()
            .chain(all)
            .for_each(|count| total += count);
        total
    }

    /// The datagrams of all end systems together.
    #[must_use]
    pub fn udp_total(&self) -> Count {
        let mut total = Count::default();
        self.udp.iter().for_each(|count| total += *count);
        total
    }
}

impl<'a> Load<'a> {
    /// Starts it: each end system sends to one of the servers, in turn.
    ///
    /// # Errors
    /// When a stream cannot be connected, or a socket is not to be had.
    pub fn start(net: &'a Sharing, rates: Rates) -> Result<Self> {
        Self::start_uneven(net, rates, |_| rates.udp_pps)
    }

    /// The same, with so many datagrams a second of each end system, counted from 0.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_uneven(
        net: &'a Sharing,
        rates: Rates,
        udp_pps: impl Fn(u8) -> u64,
    ) -> Result<Self> {
        let pace = |rate_pps| Pace {
            rate_pps,
            packets: rate_pps * rates.seconds,
        };
        let servers = net.servers.len().max(1);
        let address = |server: usize| Sharing::server(u8::try_from(server).unwrap_or(u8::MAX));
        let receivers = (0..)
            .zip(&net.servers)
            .map(|(index, server)| {
                let at = SocketAddrV4::new(Sharing::server(index), UDP_PORT);
                udp::Receiver::start(server, at)
            })
            .collect::<Result<_>>()?;
        let mut load = Self {
            receivers,
            datagrams: Vec::new(),
            echoes: Vec::new(),
            streams: Vec::new(),
        };
        for (index, host) in (0..).zip(&net.hosts) {
            let server = usize::from(index) % servers;
            let to = address(server);
            if index < rates.streams {
                let port = TCP_PORT + u16::from(index);
                let (source, target) = (Sharing::host(index), SocketAddrV4::new(to, port));
                let (from, at) = (host, &net.servers[server]);
                let stream = tcp::stream(from, source, at, target, pace(rates.tcp_pps))?;
                load.streams.push(stream);
                let identifier = 100 + u16::from(index);
                let echo = icmp::echo(host, at, to, identifier, pace(rates.icmp_pps))?;
                load.echoes.push(echo);
            }
            let flow = udp::Flow {
                id: u32::from(index),
                from: SocketAddrV4::new(Sharing::host(index), UDP_PORT),
                to: SocketAddrV4::new(to, UDP_PORT),
                payload_octets: 200,
                pace: pace(udp_pps(index)),
            };
            load.datagrams.push((server, udp::send(host, flow)?));
        }
        Ok(load)
    }

    /// Has the datagrams keep their pace whatever else the machine does, so that what routers measure of them is as steady as it is meant to be.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn steady(mut self) -> Result<Self> {
        let datagrams = std::mem::take(&mut self.datagrams).into_iter();
        let steady = datagrams.map(|(server, sender)| Ok((server, sender.steady()?)));
        self.datagrams = steady.collect::<Result<_>>()?;
        Ok(self)
    }

    /// Stops it and counts.
    ///
    /// # Errors
    /// When something could not be sent or received.
    pub fn stop(self) -> Result<Report> {
        self.end(Sender::stop, |echo| echo.stop(QUIET), tcp::Stream::stop)
    }

    /// Waits until all is sent, and counts.
    ///
    /// # Errors
    /// When something could not be sent or received.
    pub fn finish(self) -> Result<Report> {
        self.end(
            Sender::finish,
            |echo| echo.finish(QUIET),
            tcp::Stream::finish,
        )
    }

    fn end(
        self,
        sender: fn(Sender) -> Result<u64>,
        echo: fn(icmp::EchoFlow) -> Result<icmp::Report>,
        stream: fn(tcp::Stream<'a>) -> Result<tcp::Report>,
    ) -> Result<Report> {
        let mut sent: Vec<Vec<(u32, u64)>> = self.receivers.iter().map(|_| Vec::new()).collect();
        for (flow, (server, datagrams)) in (0..).zip(self.datagrams) {
            sent[server].push((flow, sender(datagrams)?));
        }
        let mut report = Report {
            udp: Vec::new(),
            icmp: Count::default(),
            icmp_replies: Count::default(),
            tcp: Count::default(),
            tcp_retransmitted: 0,
            socket_drops: 0,
        };
        for flow in self.echoes {
            let counted = echo(flow)?;
            report.icmp += counted.requests;
            report.icmp_replies += counted.replies;
        }
        for flow in self.streams {
            let counted = stream(flow)?;
            report.tcp += counted.records;
            report.tcp_retransmitted += counted.retransmitted_segments;
        }
        let mut by_flow = std::collections::BTreeMap::new();
        for (receiver, sent) in self.receivers.into_iter().zip(sent) {
            let counted = receiver.finish(&sent, QUIET)?;
            report.socket_drops += counted.socket_drops;
            by_flow.extend(counted.flows);
        }
        report.udp = by_flow.into_values().collect();
        Ok(report)
    }
}
