//! Questions that a router is asked, and its answers in words, so that two routers in the same place can be compared.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use crate::frame::{DONT_FRAGMENT, Ipv4Frame, Mac, UDP, read_mac};
use crate::packet_socket::PacketSocket;
use crate::probe::{self, IcmpMessage};
use crate::topology::Routed;
use crate::{LabError, Result};

/// Long enough for what is on the way; a router that gives a neighbour up takes longer and is waited for.
const ON_THE_WAY: Duration = Duration::from_millis(200);
/// In which a router must have given up a neighbour that never answers: three requests, a second apart, and some.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(8);
/// Port where nobody listens.
const NOBODY: u16 = 40_000;

/// A question and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What was asked.
    pub question: &'static str,
    /// What came back, or through, in words.
    pub answer: String,
}

/// Asks the router of a network everything that does not depend on its MTUs.
///
/// # Errors
/// When a question cannot be asked. A router that does not answer is an answer.
pub fn ask(net: &Routed) -> Result<Vec<Answer>> {
    let ping = |question, to| {
        Ok(Answer {
            question,
            answer: said(&probe::ping(&net.a, to, "-c 3 -i 0.2 -W 2")?),
        })
    };
    let back = probe::ping(&net.b, Routed::A, "-c 3 -i 0.2 -W 2")?;
    let trace = |question, method| {
        let hops = probe::traceroute(&net.a, Routed::B, method)?;
        let named = hops
            .iter()
            .map(|hop| hop.map_or("*".into(), |hop| hop.to_string()));
        Ok(Answer {
            question,
            answer: named.collect::<Vec<_>>().join(", "),
        })
    };
    let wire = Wire::open(net)?;
    let mut answers = vec![
        ping("ping the other host", Routed::B)?,
        Answer {
            question: "ping back",
            answer: said(&back),
        },
        ping("ping the router's near address", Routed::LEFT)?,
        ping("ping the router's far address", Routed::RIGHT)?,
        trace("traceroute by echo request", "-I")?,
        trace("traceroute by UDP", "-U")?,
    ];
    for (question, change) in questions() {
        let mut frame = wire.datagram();
        change(&mut frame);
        answers.push(Answer {
            question,
            answer: wire.ask(&frame.octets(), ON_THE_WAY)?,
        });
    }
    let mut frame = wire.datagram();
    frame.to = Ipv4Addr::new(10, 71, 2, 99);
    let answer = wire.ask_until_answered(&frame.octets(), GIVEN_UP_WITHIN)?;
    answers.push(Answer {
        question: "a neighbour that never answers",
        answer,
    });
    Ok(answers)
}

/// Asks the router of a network whose right link has a smaller MTU than its left.
///
/// # Errors
/// When a question cannot be asked.
pub fn ask_about_mtu(net: &Routed) -> Result<Vec<Answer>> {
    let wire = Wire::open(net)?;
    let mut large = wire.datagram();
    large.payload.resize(1400, 0);
    large.fragment = DONT_FRAGMENT;
    let refused = wire.ask(&large.octets(), ON_THE_WAY)?;
    large.fragment = 0;
    let fragmented = wire.ask(&large.octets(), ON_THE_WAY)?;
    // This one is refused, and the host learns from that.
    probe::ping(&net.a, Routed::B, "-c 1 -W 1 -M want -s 1400")?;
    let route = net.a.sh(&format!("ip route get {}", Routed::B))?;
    let mtu = route
        .split_whitespace()
        .skip_while(|word| *word != "mtu")
        .nth(1)
        .unwrap_or("none")
        .to_owned();
    let learned = probe::ping(&net.a, Routed::B, "-c 3 -i 0.2 -W 2 -M want -s 1400")?;
    Ok(vec![
        Answer {
            question: "too large, not to be fragmented",
            answer: refused,
        },
        Answer {
            question: "too large, may be fragmented",
            answer: fragmented,
        },
        Answer {
            question: "path MTU that the host learned",
            answer: mtu,
        },
        Answer {
            question: "large pings from then on",
            answer: said(&learned),
        },
    ])
}

type Change = fn(&mut Ipv4Frame);

/// A datagram to the other host's unused port, changed in one thing each.
fn questions() -> Vec<(&'static str, Change)> {
    vec![
        ("a datagram to a port where nobody listens", |_| {}),
        ("a time to live of 1", |frame| frame.ttl = 1),
        ("a time to live of 1, to the router itself", |frame| {
            (frame.ttl, frame.to) = (1, Routed::RIGHT)
        }),
        ("no route", |frame| frame.to = Ipv4Addr::new(203, 0, 113, 1)),
        ("directed broadcast", |frame| {
            frame.to = Ipv4Addr::new(10, 71, 2, 255)
        }),
        ("limited broadcast", |frame| {
            (frame.to, frame.to_mac) = (Ipv4Addr::BROADCAST, [0xff; 6])
        }),
        ("multicast", |frame| {
            (frame.to, frame.to_mac) = (Ipv4Addr::new(239, 1, 1, 1), [0x01, 0x00, 0x5e, 1, 1, 1]);
        }),
        ("unicast packet in a broadcast frame", |frame| {
            frame.to_mac = [0xff; 6]
        }),
        ("a frame for another's MAC", |frame| {
            frame.to_mac = [0x02, 0, 0, 0, 0, 0x77]
        }),
        ("source on the loopback network", |frame| {
            frame.from = Ipv4Addr::LOCALHOST
        }),
        ("source that is multicast", |frame| {
            frame.from = Ipv4Addr::new(224, 0, 0, 9)
        }),
        ("source that is broadcast", |frame| {
            frame.from = Ipv4Addr::BROADCAST
        }),
        ("destination on the loopback network", |frame| {
            frame.to = Ipv4Addr::LOCALHOST
        }),
        ("the largest datagram", |frame| {
            frame.payload.resize(1480, 0)
        }),
    ]
}

fn said(ping: &probe::Ping) -> String {
    let ttl = ping.ttl.map_or(String::new(), |ttl| format!(", ttl {ttl}"));
    format!("{} of {} answered{ttl}", ping.received, ping.sent)
}

/// Both hosts' ends of the network, and the link addresses to write on frames.
struct Wire {
    left: PacketSocket,
    right: PacketSocket,
    router_mac: Mac,
    host_mac: Mac,
}

impl Wire {
    fn open(net: &Routed) -> Result<Self> {
        // So that neither side has to ask for link addresses while something else is being observed.
        probe::ping(&net.a, Routed::B, "-c 1 -W 5")?;
        let neighbour = net
            .a
            .sh(&format!("ip neigh show {} dev eth0", Routed::LEFT))?;
        let mac = |text: &str| {
            read_mac(text).ok_or_else(|| LabError::Unreadable {
                what: "a link address".into(),
                text: text.into(),
            })
        };
        let router_mac = mac(neighbour
            .split_whitespace()
            .skip_while(|word| *word != "lladdr")
            .nth(1)
            .unwrap_or(&neighbour))?;
        let host_mac = mac(&net.a_end().mac()?)?;
        Ok(Self {
            left: PacketSocket::open(net.a_end())?,
            right: PacketSocket::open(net.b_end())?,
            router_mac,
            host_mac,
        })
    }

    fn datagram(&self) -> Ipv4Frame {
        Ipv4Frame::udp(
            self.router_mac,
            self.host_mac,
            (Routed::A, NOBODY),
            (Routed::B, NOBODY),
            b"a question",
        )
    }

    /// Sends a frame; what arrived at either host, in words.
    fn ask(&self, frame: &[u8], within: Duration) -> Result<String> {
        self.left.drain()?;
        self.right.drain()?;
        self.left.send(frame)?;
        let mut seen = Vec::new();
        while let Some(frame) = self.right.receive(within)? {
            seen.extend(forwarded(&frame));
        }
        for frame in self.left.drain()? {
            seen.extend(IcmpMessage::read(&frame).map(|message| message.to_string()));
        }
        Ok(if seen.is_empty() {
            "nothing".into()
        } else {
            seen.join(", ")
        })
    }

    /// As [`Wire::ask`], for an answer that takes its time.
    fn ask_until_answered(&self, frame: &[u8], within: Duration) -> Result<String> {
        self.left.drain()?;
        self.left.send(frame)?;
        match self.left.expect("an answer", within, |frame| {
            IcmpMessage::read(frame).is_some()
        }) {
            Ok(frame) => {
                Ok(IcmpMessage::read(&frame)
                    .map_or_else(String::new, |message| message.to_string()))
            }
            Err(LabError::Deadline { .. }) => Ok("nothing".into()),
            Err(other) => Err(other),
        }
    }
}

/// A datagram that came through, in words.
fn forwarded(frame: &[u8]) -> Option<String> {
    let header = frame
        .get(14..34)
        .filter(|header| header[0] == 0x45 && header[9] == UDP)?;
    let sound = if crate::frame::sum(header) == 0xffff {
        ""
    } else {
        ", checksum wrong"
    };
    Some(format!(
        "{} octets forwarded with ttl {}{sound}",
        frame.len() - 14,
        header[8]
    ))
}
