//! What is answered to a packet for this router itself. Nobody listens here yet, so every UDP and TCP port is closed: UDP
//! gets port unreachable, TCP a reset (RFC 9293 section 3.10.7.1), as the kernel answers for closed ports.

use dataplane::wire::icmp::{Message, Type};
use dataplane::wire::ipv4::{Packet, Protocol};
use dataplane::wire::tcp::{Flags, Segment};
use dataplane::wire::udp::Datagram;

use super::counters::PacketCounters;
use super::driver::{DEFAULT_TTL, Originated};
use super::icmp::{Problem, echo_reply};
use super::port::Virtual;

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Silence,
    /// This packet.
    Reply(Originated),
    /// Nothing: it is the answer to an echo request of this router's.
    Echoed {
        /// The request's identifier.
        identifier: u16,
        /// The request's sequence number.
        sequence: u16,
    },
    /// Nothing: it is the answer to an information request of this router's.
    Informed {
        /// The request's identifier.
        identifier: u16,
        /// The request's sequence number.
        sequence: u16,
    },
    /// This TCP reset, if the rate allows it.
    Reset(Originated),
    /// An error about the packet.
    Error(Problem),
}

/// The answer to `packet`, which is whole, from one host, and whose destination is the router's own or that of the virtual router `group`.
#[must_use]
pub fn deliver(
    packet: &Packet<'_>,
    group: Option<&Virtual>,
    counters: &mut PacketCounters,
) -> Answer {
    if group.is_some_and(|group| !group.is_master) {
        counters.virtual_of_master += 1;
        return Answer::Silence;
    }
    if group.is_some_and(|group| !group.accepts) {
        counters.virtual_not_accepted += 1;
        return Answer::Silence;
    }
    if packet.protocol == Protocol::ICMP {
        return match Message::parse(packet.payload) {
            Ok(message) if message.kind == Type::ECHO_REQUEST => {
                counters.echo_answered += 1;
                Answer::Reply(echo_reply(packet, &message))
            }
            Ok(message) if message.kind == Type::ECHO_REPLY => {
                counters.echo_replies += 1;
                let [i0, i1, s0, s1] = message.rest;
                Answer::Echoed {
                    identifier: u16::from_be_bytes([i0, i1]),
                    sequence: u16::from_be_bytes([s0, s1]),
                }
            }
            Ok(message) if message.kind == Type::INFORMATION_REPLY => {
                counters.information_replies += 1;
                let [i0, i1, s0, s1] = message.rest;
                Answer::Informed {
                    identifier: u16::from_be_bytes([i0, i1]),
                    sequence: u16::from_be_bytes([s0, s1]),
                }
            }
            Ok(_) => {
                counters.icmp_ignored += 1;
                Answer::Silence
            }
            Err(_) => {
                counters.bad_payload += 1;
                Answer::Silence
            }
        };
    }
    match packet.protocol {
        Protocol::UDP => match Datagram::parse(packet.payload, packet.source, packet.destination) {
            Ok(_) => {
                counters.port_unreachable += 1;
                Answer::Error(Problem::PortUnreachable)
            }
            Err(_) => {
                counters.bad_payload += 1;
                Answer::Silence
            }
        },
        Protocol::TCP => match Segment::parse(packet.payload, packet.source, packet.destination) {
            Ok(segment) => {
                counters.connection_refused += 1;
                reset(packet, &segment).map_or(Answer::Silence, Answer::Reset)
            }
            Err(_) => {
                counters.bad_payload += 1;
                Answer::Silence
            }
        },
        _ => {
            counters.protocol_unreachable += 1;
            Answer::Error(Problem::ProtocolUnreachable)
        }
    }
}

/// The reset that answers `segment`; a reset is not answered.
fn reset(packet: &Packet<'_>, segment: &Segment<'_>) -> Option<Originated> {
    if segment.flags.contains(Flags::RST) {
        return None;
    }
    let (sequence, acknowledgement, flags) = if segment.flags.contains(Flags::ACK) {
        (segment.acknowledgement, 0, Flags::RST)
    } else {
        let next = segment.sequence.wrapping_add(segment.sequence_length());
        (0, next, Flags::RST | Flags::ACK)
    };
    let reset = Segment {
        source_port: segment.destination_port,
        destination_port: segment.source_port,
        sequence,
        acknowledgement,
        flags,
        window: 0,
        urgent: 0,
        options: &[],
        payload: &[],
    };
    let mut payload = Vec::new();
    reset
        .emit(packet.destination, packet.source, &mut payload)
        .ok()?;
    Some(Originated {
        traffic_class: 0,
        ttl: DEFAULT_TTL,
        protocol: Protocol::TCP,
        source: Some(packet.destination),
        destination: packet.source,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
    const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn packet(protocol: Protocol, payload: &[u8]) -> Packet<'_> {
        Packet {
            traffic_class: 0x28,
            identification: 1,
            reserved_flag: false,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset_octets: 0,
            ttl: 1,
            protocol,
            source: PEER,
            destination: OWN,
            options: &[],
            payload,
        }
    }

    fn group(is_master: bool, accepts: bool) -> Virtual {
        Virtual {
            port: 0,
            vrid: 7,
            addresses: vec![OWN],
            is_master,
            accepts,
            sends_from_virtual_mac: false,
        }
    }

    fn echo_request() -> Vec<u8> {
        let mut payload = Vec::new();
        Message {
            kind: Type::ECHO_REQUEST,
            code: 0,
            rest: [1, 2, 3, 4],
            payload: b"hello",
        }
        .emit(&mut payload);
        payload
    }

    fn udp() -> Vec<u8> {
        let mut payload = Vec::new();
        Datagram {
            source_port: 1,
            destination_port: 33434,
            has_checksum: true,
            payload: &[],
        }
        .emit(PEER, OWN, &mut payload)
        .unwrap();
        payload
    }

    const SYN: Segment<'static> = Segment {
        source_port: 49152,
        destination_port: 22,
        sequence: u32::MAX,
        acknowledgement: 0,
        flags: Flags::SYN,
        window: 1000,
        urgent: 0,
        options: &[],
        payload: &[],
    };

    /// What is answered, and the one counter that moved.
    fn delivered(packet: &Packet<'_>, group: Option<&Virtual>) -> (Answer, &'static str) {
        let mut counters = PacketCounters::default();
        let answer = deliver(packet, group, &mut counters);
        let moved: Vec<_> = counters.iter().filter(|(_, count)| *count > 0).collect();
        let &[(name, 1)] = moved.as_slice() else {
            panic!("{moved:?}");
        };
        (answer, name)
    }

    #[test]
    fn an_echo_request_is_answered_from_the_address_it_was_for() {
        let request = echo_request();
        let (answer, name) = delivered(&packet(Protocol::ICMP, &request), None);
        let Answer::Reply(reply) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(name, "host-echo-answered");
        assert_eq!((reply.source, reply.destination), (Some(OWN), PEER));
        assert_eq!(reply.traffic_class, 0x28);
        let message = Message::parse(&reply.payload).unwrap();
        assert_eq!(message.kind, Type::ECHO_REPLY);
        assert_eq!(
            (message.rest, message.payload),
            ([1, 2, 3, 4], b"hello".as_slice())
        );
    }

    #[test]
    fn the_virtual_address_accepts_packets_at_its_master_alone_and_only_if_told_so() {
        let (echo, datagram) = (echo_request(), udp());
        for (protocol, payload, counted) in [
            (Protocol::ICMP, &echo, "host-echo-answered"),
            (Protocol::UDP, &datagram, "host-port-unreachable"),
        ] {
            let packet = packet(protocol, payload);
            let (answer, counter) = delivered(&packet, Some(&group(true, true)));
            assert!(
                answer != Answer::Silence && counter == counted,
                "{answer:?}"
            );
            for (is_master, accepts, counted) in [
                (true, false, "host-virtual-not-accepted"),
                (false, true, "host-virtual-of-master"),
                (false, false, "host-virtual-of-master"),
            ] {
                assert_eq!(
                    delivered(&packet, Some(&group(is_master, accepts))),
                    (Answer::Silence, counted)
                );
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_what_is_broken_is_not_answered() {
        let (good, broken) = (udp(), [1; 7]);
        for (protocol, payload, answer, counted) in [
            (
                Protocol::UDP,
                good.as_slice(),
                Answer::Error(Problem::PortUnreachable),
                "host-port-unreachable",
            ),
            (
                Protocol(89),
                &broken,
                Answer::Error(Problem::ProtocolUnreachable),
                "host-protocol-unreachable",
            ),
            (Protocol::UDP, &broken, Answer::Silence, "host-bad-payload"),
            (Protocol::TCP, &broken, Answer::Silence, "host-bad-payload"),
            (Protocol::ICMP, &broken, Answer::Silence, "host-bad-payload"),
        ] {
            assert_eq!(
                delivered(&packet(protocol, payload), None),
                (answer, counted)
            );
        }
    }

    #[test]
    fn a_syn_is_refused_by_acknowledging_it_and_a_reset_is_not_answered() {
        for (segment, reset) in [
            (
                SYN,
                Some(Segment {
                    sequence: 0,
                    acknowledgement: 0,
                    flags: Flags::RST | Flags::ACK,
                    ..SYN
                }),
            ),
            (
                Segment {
                    flags: Flags::ACK,
                    acknowledgement: 77,
                    ..SYN
                },
                Some(Segment {
                    sequence: 77,
                    flags: Flags::RST,
                    ..SYN
                }),
            ),
            (
                Segment {
                    flags: Flags::RST | Flags::ACK,
                    ..SYN
                },
                None,
            ),
        ] {
            let mut payload = Vec::new();
            segment.emit(PEER, OWN, &mut payload).unwrap();
            let (answer, counted) = delivered(&packet(Protocol::TCP, &payload), None);
            assert_eq!(counted, "host-connection-refused");
            match (answer, reset) {
                (Answer::Reset(answer), Some(reset)) => {
                    let expected = Segment {
                        source_port: SYN.destination_port,
                        destination_port: SYN.source_port,
                        window: 0,
                        ..reset
                    };
                    assert_eq!(Segment::parse(&answer.payload, OWN, PEER), Ok(expected));
                }
                (Answer::Silence, None) => {}
                (answer, _) => panic!("{answer:?} to {segment:?}"),
            }
        }
    }
}
