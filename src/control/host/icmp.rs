//! ICMP errors (RFC 792, RFC 1812 section 4.3): whether one may be sent about a packet, and what it says. No redirects.
//!
//! An error comes from the address of the port at which the packet came in, on the network of who sent it if there
//! is one there: the address under which its sender knows this router, and the one that traceroute is to name. An error about a
//! packet *for* this router comes from the address that the packet was for.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use dataplane::addr::{Ipv4Prefix, MacAddr};
use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::icmp::{HEADER_OCTETS, Message, Type};
use dataplane::wire::ipv4::{self, Packet, Protocol};
use vrrpd::Time;

use super::bucket::{Rate, TokenBucket};
use super::counters::IcmpCounters;
use super::driver::{DEFAULT_TTL, Originated};
use super::port::{Port, PortIndex, is_host};

/// The most octets of a whole error (RFC 1812 section 4.3.2.3).
const MAX_ERROR_OCTETS: usize = 576;
const MAX_QUOTE_OCTETS: usize = MAX_ERROR_OCTETS - ipv4::HEADER_OCTETS - HEADER_OCTETS;

/// Internetwork control: what routers tell each other and hosts goes before what hosts tell each other
/// (RFC 1812 section 4.3.2.5).
const PRECEDENCE_INTERNETWORK_CONTROL: u8 = 0xc0;
const TYPE_OF_SERVICE: u8 = 0x1e;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no route.
    NetUnreachable,
    /// There is a route, but the last host or router on it is not there.
    HostUnreachable,
    /// Nobody here speaks the protocol.
    ProtocolUnreachable,
    /// Nobody listens at the port.
    PortUnreachable,
    /// The packet is too long for the next network and may not be cut (RFC 1191).
    FragmentationNeeded {
        /// The longest packet that the next network takes.
        mtu_octets: usize,
    },
    /// Its time to live is over.
    TtlExceeded,
}

impl Problem {
    const fn class(self) -> Class {
        match self {
            Self::FragmentationNeeded { .. } => Class::FragmentationNeeded,
            Self::TtlExceeded => Class::TimeExceeded,
            _ => Class::Unreachable,
        }
    }

    /// Type, code and rest of the header.
    fn header(self) -> (Type, u8, [u8; 4]) {
        match self {
            Self::NetUnreachable => (Type::UNREACHABLE, 0, [0; 4]),
            Self::HostUnreachable => (Type::UNREACHABLE, 1, [0; 4]),
            Self::ProtocolUnreachable => (Type::UNREACHABLE, 2, [0; 4]),
            Self::PortUnreachable => (Type::UNREACHABLE, 3, [0; 4]),
            Self::FragmentationNeeded { mtu_octets } => {
                let mtu_octets = u16::try_from(mtu_octets).unwrap_or(u16::MAX);
                let [m0, m1] = mtu_octets.to_be_bytes();
                (Type::UNREACHABLE, 4, [0, 0, m0, m1])
            }
            Self::TtlExceeded => (Type::TIME_EXCEEDED, 0, [0; 4]),
        }
    }
}

/// What shares a rate. Apart, so that a scan that asks for unreachable hosts cannot keep path MTU discovery from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Destination unreachable.
    Unreachable,
    /// Fragmentation needed.
    FragmentationNeeded,
    /// Time exceeded.
    TimeExceeded,
    /// TCP resets.
    TcpReset,
}

/// A packet as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The link address that its frame was for.
    pub link_destination: MacAddr,
    /// The packet.
    pub packet: &'a Packet<'a>,
    /// The same packet as it came; what follows its end is padding.
    pub octets: &'a [u8],
}

/// Writes errors, no more often than the rate allows for each port and [`Class`].
#[derive(Debug)]
pub struct Errors {
    rate: Rate,
    buckets: HashMap<(PortIndex, Class), TokenBucket>,
    counters: IcmpCounters,
}

impl Errors {
    /// None sent so far.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: HashMap::new(),
            counters: IcmpCounters::default(),
        }
    }

    /// The error that tells of `problem` with a packet that came in at `port` and, unless it was for another address of
    /// this router (`local`), was to go on; `None` if there may be none.
    pub fn about(
        &mut self,
        now: Time,
        problem: Problem,
        port: &Port,
        local: Option<Ipv4Addr>,
        offender: Incoming<'_>,
    ) -> Option<Originated> {
        let packet = offender.packet;
        if let Some(silence) = self.silence(port, offender) {
            *silence += 1;
            return None;
        }
        let Some(source) = local.or_else(|| port.address_towards(packet.source)) else {
            self.counters.no_source += 1;
            return None;
        };
        let class = problem.class();
        if !self.permit(now, port.index, class) {
            return None;
        }
        match class {
            Class::FragmentationNeeded => self.counters.fragmentation_needed_sent += 1,
            Class::TimeExceeded => self.counters.time_exceeded_sent += 1,
            Class::Unreachable | Class::TcpReset => self.counters.unreachable_sent += 1,
        }
        let (kind, code, rest) = problem.header();
        let quote_octets = packet.total_octets().min(MAX_QUOTE_OCTETS);
        let quote = offender.octets.get(..quote_octets).unwrap_or_default();
        let mut payload = Vec::with_capacity(HEADER_OCTETS + quote.len());
        Message {
            kind,
            code,
            rest,
            payload: quote,
        }
        .emit(&mut payload);
        Some(Originated {
            traffic_class: PRECEDENCE_INTERNETWORK_CONTROL
                | (packet.traffic_class & TYPE_OF_SERVICE),
            ttl: DEFAULT_TTL,
            protocol: Protocol::ICMP,
            source: Some(source),
            destination: packet.source,
            payload,
        })
    }

    /// Whether the rate allows one more TCP reset.
    pub fn permit_tcp_reset(&mut self, now: Time, port: PortIndex) -> bool {
        let permitted = self.permit(now, port, Class::TcpReset);
        if permitted {
            self.counters.tcp_reset_sent += 1;
        }
        permitted
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &IcmpCounters {
        &self.counters
    }

    /// Starts counting at zero.
    pub fn clear_counters(&mut self) {
        self.counters = IcmpCounters::default();
    }

    fn permit(&mut self, now: Time, port: PortIndex, class: Class) -> bool {
        let rate = self.rate;
        let permitted = self
            .buckets
            .entry((port, class))
            .or_insert_with(|| TokenBucket::new(rate))
            .take(now);
        if !permitted {
            self.counters.rate_limited += 1;
        }
        permitted
    }

    /// The reason why no error may be sent about a packet, if there is one (RFC 1812 section 4.3.2.7).
    fn silence(&mut self, port: &Port, offender: Incoming<'_>) -> Option<&mut u64> {
        let packet = offender.packet;
        let counters = &mut self.counters;
        if packet.fragment_offset_octets != 0 {
            return Some(&mut counters.about_fragment);
        }
        if packet.protocol == Protocol::ICMP
            && packet
                .payload
                .first()
                .is_none_or(|kind| Type(*kind).is_error())
        {
            return Some(&mut counters.about_error);
        }
        if offender.link_destination.is_multicast() || !is_host(packet.destination) {
            return Some(&mut counters.about_broadcast);
        }
        let from_the_ends_of_a_network =
            port.is_on_link(packet.source) && !port.is_host_on_link(packet.source);
        if !is_host(packet.source) || from_the_ends_of_a_network {
            return Some(&mut counters.to_martian);
        }
        None
    }
}

/// The answer to the echo request `message` in `packet` (RFC 1812 section 4.3.3.6), without the request's options.
#[must_use]
pub fn echo_reply(packet: &Packet<'_>, message: &Message<'_>) -> Originated {
    let mut payload = Vec::with_capacity(packet.payload.len());
    Message {
        kind: Type::ECHO_REPLY,
        ..*message
    }
    .emit(&mut payload);
    Originated {
        traffic_class: packet.traffic_class,
        ttl: DEFAULT_TTL,
        protocol: Protocol::ICMP,
        source: Some(packet.destination),
        destination: packet.source,
        payload,
    }
}

/// An echo request to `destination`, from the address of the port that it leaves by.
#[must_use]
pub fn echo_request(destination: Ipv4Addr, identifier: u16, sequence: u16) -> Originated {
    let mut payload = Vec::with_capacity(HEADER_OCTETS);
    let [i0, i1] = identifier.to_be_bytes();
    let [s0, s1] = sequence.to_be_bytes();
    Message {
        kind: Type::ECHO_REQUEST,
        code: 0,
        rest: [i0, i1, s0, s1],
        payload: &[],
    }
    .emit(&mut payload);
    Originated {
        traffic_class: 0,
        ttl: DEFAULT_TTL,
        protocol: Protocol::ICMP,
        source: None,
        destination,
        payload,
    }
}

/// The frame by which everyone on the network of the `own` address is asked for information (RFC 792). The network part of its source is
/// zero, which a reply fills in; whoever replies thus shows that it is there (A18).
#[must_use]
pub fn information_request(
    mac: MacAddr,
    own: Ipv4Prefix,
    identifier: u16,
    sequence: u16,
) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER_OCTETS);
    let [i0, i1] = identifier.to_be_bytes();
    let [s0, s1] = sequence.to_be_bytes();
    Message {
        kind: Type::INFORMATION_REQUEST,
        code: 0,
        rest: [i0, i1, s0, s1],
        payload: &[],
    }
    .emit(&mut message);
    let mut packet = Vec::new();
    Packet {
        traffic_class: 0,
        identification: sequence,
        reserved_flag: false,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset_octets: 0,
        // For the link alone.
        ttl: 1,
        protocol: Protocol::ICMP,
        source: (own.addr().to_bits() ^ own.network().to_bits()).into(),
        destination: Ipv4Addr::BROADCAST,
        options: &[],
        payload: &message,
    }
    .emit(&mut packet)
    .ok()?;
    let mut frame = Vec::new();
    Frame {
        destination: MacAddr::BROADCAST,
        source: mac,
        ether_type: EtherType::IPV4,
        payload: &packet,
    }
    .emit(&mut frame);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use dataplane::addr::Ipv4Prefix;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 3,
    };
    const NOW: Time = Time::from_nanos(1_000_000_000);
    const OWN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    const PACKET: Packet<'static> = Packet {
        traffic_class: 0x10,
        identification: 1,
        reserved_flag: false,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset_octets: 0,
        ttl: 1,
        protocol: Protocol::UDP,
        source: Ipv4Addr::new(192, 0, 2, 9),
        destination: Ipv4Addr::new(198, 51, 100, 2),
        options: &[],
        payload: &[5; 1000],
    };

    fn port() -> Port {
        Port {
            index: 3,
            mac: OWN_MAC,
            mtu_octets: 1500,
            addresses: vec![
                Ipv4Prefix::new(Ipv4Addr::new(203, 0, 113, 1), 24).unwrap(),
                Ipv4Prefix::new(Ipv4Addr::new(192, 0, 2, 1), 24).unwrap(),
            ],
            further_networks: Vec::new(),
        }
    }

    fn about(errors: &mut Errors, problem: Problem, packet: &Packet<'_>) -> Option<Originated> {
        about_from(errors, problem, packet, OWN_MAC)
    }

    fn about_from(
        errors: &mut Errors,
        problem: Problem,
        packet: &Packet<'_>,
        link_destination: MacAddr,
    ) -> Option<Originated> {
        let mut octets = Vec::new();
        packet.emit(&mut octets).unwrap();
        let offender = Incoming {
            link_destination,
            packet,
            octets: &octets,
        };
        errors.about(NOW, problem, &port(), None, offender)
    }

    #[test]
    fn an_error_quotes_what_fits_and_comes_from_the_address_on_the_senders_network() {
        let error = about(&mut Errors::new(RATE), Problem::TtlExceeded, &PACKET).unwrap();
        assert_eq!(error.source, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(error.destination, PACKET.source);
        assert_eq!(error.traffic_class, 0xd0);
        assert_eq!(error.payload.len(), 556);
        let message = Message::parse(&error.payload).unwrap();
        assert_eq!((message.kind, message.code), (Type::TIME_EXCEEDED, 0));
        let mut octets = Vec::new();
        PACKET.emit(&mut octets).unwrap();
        assert_eq!(message.payload, &octets[..548]);
    }

    #[test]
    fn a_short_packet_is_quoted_whole() {
        let packet = Packet {
            payload: &[1, 2, 3],
            ..PACKET
        };
        let error = about(&mut Errors::new(RATE), Problem::TtlExceeded, &packet).unwrap();
        assert_eq!(error.payload.len(), 8 + 23);
    }

    #[test]
    fn each_problem_has_its_type_and_code() {
        let mtu_octets = 1400;
        for (problem, code, rest) in [
            (Problem::NetUnreachable, 0, [0; 4]),
            (Problem::HostUnreachable, 1, [0; 4]),
            (Problem::ProtocolUnreachable, 2, [0; 4]),
            (Problem::PortUnreachable, 3, [0; 4]),
            (
                Problem::FragmentationNeeded { mtu_octets },
                4,
                [0, 0, 0x05, 0x78],
            ),
        ] {
            let error = about(&mut Errors::new(RATE), problem, &PACKET).unwrap();
            let message = Message::parse(&error.payload).unwrap();
            assert_eq!(
                (message.kind, message.code, message.rest),
                (Type::UNREACHABLE, code, rest)
            );
        }
    }

    #[test]
    fn no_error_is_sent_about_what_must_not_get_one() {
        let echo_reply = [0; 8];
        let error = [3; 8];
        let to = |destination: [u8; 4]| Packet {
            destination: destination.into(),
            ..PACKET
        };
        let from = |source: [u8; 4]| Packet {
            source: source.into(),
            ..PACKET
        };
        let icmp = |payload| Packet {
            protocol: Protocol::ICMP,
            payload,
            ..PACKET
        };
        let fragment = Packet {
            fragment_offset_octets: 8,
            ..PACKET
        };
        for (packet, link_destination, name) in [
            (fragment, OWN_MAC, "icmp-about-fragment"),
            (icmp(&error), OWN_MAC, "icmp-about-error"),
            (icmp(&[]), OWN_MAC, "icmp-about-error"),
            (to([224, 0, 0, 5]), OWN_MAC, "icmp-about-broadcast"),
            (to([255; 4]), OWN_MAC, "icmp-about-broadcast"),
            (PACKET, MacAddr::BROADCAST, "icmp-about-broadcast"),
            (from([0, 0, 0, 0]), OWN_MAC, "icmp-to-martian"),
            (from([127, 0, 0, 1]), OWN_MAC, "icmp-to-martian"),
            (from([239, 0, 0, 1]), OWN_MAC, "icmp-to-martian"),
            (from([192, 0, 2, 255]), OWN_MAC, "icmp-to-martian"),
        ] {
            let mut errors = Errors::new(RATE);
            let problem = Problem::HostUnreachable;
            let sent = about_from(&mut errors, problem, &packet, link_destination);
            assert_eq!(sent, None);
            let moved: Vec<_> = errors.counters.iter().filter(|(_, n)| *n > 0).collect();
            assert_eq!(moved, [(name, 1)]);
        }
        let mut errors = Errors::new(RATE);
        assert!(about(&mut errors, Problem::TtlExceeded, &icmp(&echo_reply)).is_some());
        let first = Packet {
            more_fragments: true,
            ..PACKET
        };
        assert!(about(&mut errors, Problem::TtlExceeded, &first).is_some());
    }

    #[test]
    fn errors_are_limited_by_class_so_that_one_cannot_silence_another() {
        let mut errors = Errors::new(RATE);
        for _ in 0..10 {
            about(&mut errors, Problem::HostUnreachable, &PACKET);
        }
        assert_eq!(errors.counters.unreachable_sent, 3);
        assert_eq!(errors.counters.rate_limited, 7);
        let needed = Problem::FragmentationNeeded { mtu_octets: 1400 };
        assert!(about(&mut errors, needed, &PACKET).is_some());
        assert!(errors.permit_tcp_reset(NOW, 3));
    }

    #[test]
    fn a_port_without_address_sends_no_error() {
        let mut errors = Errors::new(RATE);
        let port = Port {
            addresses: vec![],
            ..port()
        };
        let offender = Incoming {
            link_destination: OWN_MAC,
            packet: &PACKET,
            octets: &[],
        };
        let sent = errors.about(NOW, Problem::TtlExceeded, &port, None, offender);
        assert_eq!(sent, None);
        assert_eq!(errors.counters.no_source, 1);
    }
}
