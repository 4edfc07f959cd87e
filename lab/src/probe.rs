//! What an operator types to find out what a network does, with the answer as data.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::frame::sum;
use crate::link::End;
use crate::namespace::Namespace;
use crate::packet_socket::PacketSocket;
use crate::{LabError, Result};

/// How long a program may take to start serving.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for what is on the way when a probe ends, in a network whose ways take microseconds.
const ON_THE_WAY: Duration = Duration::from_millis(200);

/// What `ping` saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Requests sent.
    pub sent: u32,
    /// Replies received.
    pub received: u32,
    /// Time to live of the last reply, when there was one.
    pub ttl: Option<u8>,
}

/// Pings, with further options of ping(8) such as `-c 3` or `-M do`.
///
/// # Errors
/// When ping's answer is not understood. No reply is an answer.
pub fn ping(from: &Namespace, to: Ipv4Addr, options: &str) -> Result<Ping> {
    let to = to.to_string();
    let mut words = vec!["ping", "-n"];
    words.extend(options.split_whitespace());
    words.push(&to);
    let finished = from.try_run(&words)?;
    read_ping(&finished.stdout).ok_or_else(|| LabError::Unreadable {
        what: words.join(" "),
        text: finished.stdout + &finished.stderr,
    })
}

fn read_ping(text: &str) -> Option<Ping> {
    let summary = text
        .lines()
        .find(|line| line.contains("packets transmitted"))?;
    let mut counts = summary
        .split(", ")
        .filter_map(|part| part.split_whitespace().next()?.parse().ok());
    let ttl = text.lines().rev().find_map(|line| {
        line.split_once(" ttl=")?
            .1
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    Some(Ping {
        sent: counts.next()?,
        received: counts.next()?,
        ttl,
    })
}

/// The routers on the way and its end, as `traceroute` names them; `None` where nobody answered. The method is an option
/// of traceroute(8): `-I` for echo requests, `-U` for UDP.
///
/// # Errors
/// When traceroute fails.
pub fn traceroute(from: &Namespace, to: Ipv4Addr, method: &str) -> Result<Vec<Option<Ipv4Addr>>> {
    let text = from.sh(&format!("traceroute {method} -n -q 1 -w 2 -m 8 {to}"))?;
    Ok(read_traceroute(&text))
}

fn read_traceroute(text: &str) -> Vec<Option<Ipv4Addr>> {
    let hops = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1));
    hops.map(|hop| hop.parse().ok()).collect()
}

/// What `iperf3` measured of one TCP transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iperf {
    /// Octets that arrived.
    pub octets: u64,
    /// Bit/s at the receiver.
    pub bits_per_second: f64,
    /// Segments sent again.
    pub retransmits: u64,
}

/// Which way the octets of a transfer go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Transfers some mebibytes by TCP.
///
/// # Errors
/// When the transfer fails.
pub fn iperf3(
    client: &Namespace,
    server: &Namespace,
    at: Ipv4Addr,
    way: Way,
    mebibytes: u32,
) -> Result<Iperf> {
    let mut serving = server.spawn(&[
        "iperf3",
        "--server",
        "--one-off",
        "--forceflush",
        "--bind",
        &at.to_string(),
    ])?;
    serving.wait_for("Server listening", PATIENCE)?;
    let reverse = if way == Way::Down { "--reverse" } else { "" };
    let text = client.sh(&format!(
        "iperf3 --client {at} --json --bytes {mebibytes}M --connect-timeout 5000 {reverse}"
    ))?;
    serving.succeed(PATIENCE)?;
    read_iperf3(&text).ok_or_else(|| LabError::Unreadable {
        what: "iperf3".into(),
        text,
    })
}

fn read_iperf3(text: &str) -> Option<Iperf> {
    let report: serde_json::Value = serde_json::from_str(text).ok()?;
    let end = report.get("end")?;
    Some(Iperf {
        octets: end.pointer("/sum_received/bytes")?.as_u64()?,
        bits_per_second: end.pointer("/sum_received/bits_per_second")?.as_f64()?,
        retransmits: end.pointer("/sum_sent/retransmits")?.as_u64()?,
    })
}

/// An ICMP message as it arrived, with what tells one error from another (RFC 792, RFC 1191).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IcmpMessage {
    /// Who sent it.
    pub from: Ipv4Addr,
    /// To whom.
    pub to: Ipv4Addr,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// The next hop's MTU in octets, of a "fragmentation needed".
    pub mtu: Option<u16>,
    /// Destination of the packet that an error quotes.
    pub quoted_to: Option<Ipv4Addr>,
}

impl IcmpMessage {
    /// Reads one from an Ethernet frame; `None` when it is something else. Checksums are verified.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        const IPV4: [u8; 2] = [0x08, 0x00];
        const ICMP: u8 = 1;
        let packet = frame
            .get(14..)
            .filter(|_| frame.get(12..14) == Some(&IPV4))?;
        let header = packet
            .get(..usize::from(packet.first()? & 0x0f) * 4)
            .filter(|header| header.len() >= 20)?;
        let whole = packet.get(..usize::from(u16::from_be_bytes([header[2], header[3]])))?;
        let message = whole
            .get(header.len()..)
            .filter(|message| message.len() >= 8)?;
        if header[9] != ICMP || sum(header) != 0xffff || sum(message) != 0xffff {
            return None;
        }
        let (kind, code) = (message[0], message[1]);
        let is_error = matches!(kind, 3 | 4 | 5 | 11 | 12);
        Some(Self {
            from: address(header, 12)?,
            to: address(header, 16)?,
            kind,
            code,
            mtu: ((kind, code) == (3, 4)).then(|| u16::from_be_bytes([message[6], message[7]])),
            quoted_to: if is_error {
                address(message, 8 + 16)
            } else {
                None
            },
        })
    }
}

impl fmt::Display for IcmpMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.code, self.mtu) {
            (0, 0, _) => write!(f, "echo reply")?,
            (3, 0, _) => write!(f, "net unreachable")?,
            (3, 1, _) => write!(f, "host unreachable")?,
            (3, 2, _) => write!(f, "protocol unreachable")?,
            (3, 3, _) => write!(f, "port unreachable")?,
            (3, 4, Some(mtu)) => write!(f, "fragmentation needed, mtu {mtu},")?,
            (11, 0, _) => write!(f, "time exceeded")?,
            (kind, code, _) => write!(f, "ICMP type {kind} code {code}")?,
        }
        write!(f, " from {}", self.from)
    }
}

fn address(octets: &[u8], at: usize) -> Option<Ipv4Addr> {
    octets
        .get(at..)?
        .first_chunk::<4>()
        .map(|octets| Ipv4Addr::from(*octets))
}

/// Does something, and hands over what it came to with every ICMP message that arrived at an interface meanwhile.
///
/// # Errors
/// When the work fails.
pub fn icmp_arriving<T>(
    at: End<'_>,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<IcmpMessage>)> {
    let socket = PacketSocket::open(at)?;
    let done = work()?;
    let mut messages = Vec::new();
    while let Some(frame) = socket.receive(ON_THE_WAY)? {
        messages.extend(IcmpMessage::read(&frame));
    }
    Ok((done, messages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ping_is_read_with_and_without_replies() {
        let answered = "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n64 bytes from 10.0.0.1: icmp_seq=1 ttl=63 time=0.1 ms\n\n\
            --- 10.0.0.1 ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, time 0ms\n";
        assert_eq!(
            read_ping(answered),
            Some(Ping {
                sent: 1,
                received: 1,
                ttl: Some(63)
            })
        );
        let refused = "--- 10.0.0.1 ping statistics ---\n2 packets transmitted, 0 received, +2 errors, 100% packet loss\n";
        assert_eq!(
            read_ping(refused),
            Some(Ping {
                sent: 2,
                received: 0,
                ttl: None
            })
        );
        assert_eq!(read_ping("ping: connect: Network is unreachable"), None);
    }

    #[test]
    fn traceroute_is_read_with_silent_hops() {
        let text = "traceroute to 10.0.2.2\n 1  10.0.1.1  0.03 ms\n 2  *\n 3  10.0.2.2  0.05 ms\n";
        let hops = [Some([10, 0, 1, 1]), None, Some([10, 0, 2, 2])];
        assert_eq!(
            read_traceroute(text),
            hops.map(|hop| hop.map(Ipv4Addr::from))
        );
    }

    #[test]
    fn a_fragmentation_needed_is_read_and_a_damaged_one_is_not() {
        let mut frame = vec![0; 14];
        frame[12] = 8;
        let mut header = vec![
            0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 1, 1, 10, 0, 1, 2,
        ];
        fill_checksum(&mut header, 10);
        let mut message = vec![3, 4, 0, 0, 0, 0, 5, 0];
        message.extend([
            0x45, 0, 0, 100, 0, 0, 0x40, 0, 63, 17, 0, 0, 10, 0, 1, 2, 10, 0, 2, 2, 0, 1, 0, 2, 0,
            80, 0, 0,
        ]);
        fill_checksum(&mut message, 2);
        frame.extend(header);
        frame.extend(message);
        let read = IcmpMessage::read(&frame).expect("a whole message");
        assert_eq!((read.kind, read.code, read.mtu), (3, 4, Some(1280)));
        assert_eq!(read.quoted_to, Some(Ipv4Addr::new(10, 0, 2, 2)));
        *frame.last_mut().expect("octets") ^= 1;
        assert_eq!(IcmpMessage::read(&frame), None);
        for length in 0..frame.len() {
            assert_eq!(IcmpMessage::read(&frame[..length]), None, "{length} octets");
        }
    }

    fn fill_checksum(octets: &mut [u8], at: usize) {
        let sum: u64 = octets
            .chunks(2)
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1]))
            .sum();
        let checksum = 0xffff - (sum % 0xffff) as u16;
        octets[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}
