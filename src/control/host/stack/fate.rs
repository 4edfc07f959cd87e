//! What becomes of a punted frame: the decisions of RFC 1812 section 5.2.1, and the way of the packets that answer it.

use std::net::Ipv4Addr;

use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::ipv4::Packet;
use vrrpd::Time;

use super::{HostStack, Waiting};
use crate::control::host::arp;
use crate::control::host::driver::{Originated, Output, Route, Routes};
use crate::control::host::fragment::{FragmentError, fragment};
use crate::control::host::icmp::{Incoming, Problem};
use crate::control::host::local::{self, Answer};
use crate::control::host::neighbours::{Evidence, Key};
use crate::control::host::port::{PortIndex, Virtual, is_host};

/// What becomes of a frame.
pub(super) enum Fate {
    /// It ends here.
    Dropped,
    /// It goes to this neighbour as it is.
    Forwarded(Key),
    /// It goes to this neighbour in these pieces, IPv4 packets without link header.
    Fragmented(Key, Vec<Vec<u8>>),
    /// It ends here, and this goes back.
    Answered(Originated),
}

impl<P: AsRef<[u8]> + AsMut<[u8]>> HostStack<P> {
    pub(super) fn fate(
        &mut self,
        now: Time,
        routes: &impl Routes,
        ingress: PortIndex,
        octets: &[u8],
    ) -> Fate {
        let Some(port) = self.ports.get(&ingress) else {
            self.packets.no_port += 1;
            return Fate::Dropped;
        };
        let Ok(frame) = Frame::parse(octets) else {
            self.packets.malformed += 1;
            return Fate::Dropped;
        };
        match frame.ether_type {
            EtherType::ARP => {
                let received = arp::receive(port, &self.virtuals, &frame, &mut self.arp);
                self.take_in(now, ingress, received);
                Fate::Dropped
            }
            EtherType::IPV4 => {
                let Ok(packet) = Packet::parse(frame.payload) else {
                    self.packets.malformed += 1;
                    return Fate::Dropped;
                };
                let offender = Incoming {
                    link_destination: frame.destination,
                    packet: &packet,
                    octets: frame.payload,
                };
                self.fate_of_packet(now, routes, ingress, offender)
            }
            _ => {
                self.packets.other_protocol += 1;
                Fate::Dropped
            }
        }
    }

    fn take_in(&mut self, now: Time, port: PortIndex, received: arp::Received) {
        if let Some((address, mac, evidence)) = received.neighbour {
            self.neighbours
                .heard(now, Key { port, address }, mac, evidence);
            if evidence == Evidence::Answer {
                self.outputs.push_back(Output::Answered { port, address });
            }
        }
        if let Some(frame) = received.answer {
            self.outputs.push_back(Output::Transmit { port, frame });
        }
        if let Some(conflict) = received.conflict
            && self.conflict_reports.take(now)
        {
            self.outputs.push_back(Output::Conflict { port, conflict });
        }
    }

    fn fate_of_packet(
        &mut self,
        now: Time,
        routes: &impl Routes,
        ingress: PortIndex,
        received: Incoming<'_>,
    ) -> Fate {
        let packet = received.packet;
        // RFC 1812 section 5.3.4: what was sent to many by its link address is not for one by its IP address.
        if !is_host(packet.destination) || received.link_destination.is_multicast() {
            self.packets.not_unicast += 1;
            return Fate::Dropped;
        }
        if !is_host(packet.source) {
            self.packets.martian_source += 1;
            return Fate::Dropped;
        }
        let route = routes.route(packet.destination);
        if route == Some(Route::Local) || self.is_ours(packet.destination) {
            return self.put_together_and_deliver(now, ingress, received);
        }
        let key = match route {
            Some(Route::Connected { port }) => Key {
                port,
                address: packet.destination,
            },
            Some(Route::Gateway { port, address }) => Key { port, address },
            Some(Route::Blackhole) => {
                self.packets.blackhole += 1;
                return Fate::Dropped;
            }
            Some(Route::Broadcast | Route::Local) => {
                self.packets.not_unicast += 1;
                return Fate::Dropped;
            }
            Some(Route::Unreachable) => {
                self.packets.unreachable += 1;
                return self.complain(now, Problem::HostUnreachable, ingress, None, received);
            }
            None => {
                self.packets.unreachable += 1;
                return self.complain(now, Problem::NetUnreachable, ingress, None, received);
            }
        };
        if packet.ttl <= 1 {
            self.packets.ttl_exceeded += 1;
            return self.complain(now, Problem::TtlExceeded, ingress, None, received);
        }
        let Some(egress) = self.ports.get(&key.port) else {
            self.packets.no_port += 1;
            return Fate::Dropped;
        };
        let mtu_octets = egress.mtu_octets;
        if packet.total_octets() <= mtu_octets {
            return Fate::Forwarded(key);
        }
        let aged = Packet {
            ttl: packet.ttl - 1,
            ..*packet
        };
        match fragment(&aged, mtu_octets) {
            Ok(fragments) => Fate::Fragmented(key, fragments),
            Err(FragmentError::DontFragment) => {
                self.packets.too_long += 1;
                let problem = Problem::FragmentationNeeded { mtu_octets };
                self.complain(now, problem, ingress, None, received)
            }
            Err(FragmentError::Mtu | FragmentError::Packet(_)) => {
                self.packets.not_fragmented += 1;
                Fate::Dropped
            }
        }
    }

    fn is_ours(&self, address: Ipv4Addr) -> bool {
        self.ports.values().any(|port| port.owns(address))
            || group_with(&self.virtuals, address).is_some()
    }

    fn put_together_and_deliver(
        &mut self,
        now: Time,
        ingress: PortIndex,
        received: Incoming<'_>,
    ) -> Fate {
        if !received.packet.is_fragment() {
            return self.deliver(now, ingress, received);
        }
        let Some(payload) = self.reassembly.add(now, received.packet) else {
            return Fate::Dropped;
        };
        let whole = Packet {
            more_fragments: false,
            fragment_offset_octets: 0,
            payload: &payload,
            ..*received.packet
        };
        let mut octets = Vec::with_capacity(whole.total_octets());
        if whole.emit(&mut octets).is_err() {
            self.packets.malformed += 1;
            return Fate::Dropped;
        }
        let received = Incoming {
            packet: &whole,
            octets: &octets,
            ..received
        };
        self.deliver(now, ingress, received)
    }

    fn deliver(&mut self, now: Time, ingress: PortIndex, received: Incoming<'_>) -> Fate {
        let destination = received.packet.destination;
        let group = group_with(&self.virtuals, destination);
        match local::deliver(received.packet, group, &mut self.packets) {
            Answer::Silence => Fate::Dropped,
            Answer::Reply(reply) => Fate::Answered(reply),
            Answer::Echoed {
                identifier,
                sequence,
            } => {
                self.outputs.push_back(Output::EchoReply {
                    source: received.packet.source,
                    identifier,
                    sequence,
                });
                Fate::Dropped
            }
            Answer::Informed {
                identifier,
                sequence,
            } => {
                self.outputs.push_back(Output::InformationReply {
                    port: ingress,
                    source: received.packet.source,
                    identifier,
                    sequence,
                });
                Fate::Dropped
            }
            Answer::Reset(reset) if self.errors.permit_tcp_reset(now, ingress) => {
                Fate::Answered(reset)
            }
            Answer::Reset(_) => Fate::Dropped,
            Answer::Error(problem) => {
                self.complain(now, problem, ingress, Some(destination), received)
            }
        }
    }

    /// Reports `problem` to who sent the packet, if that may be.
    pub(super) fn complain(
        &mut self,
        now: Time,
        problem: Problem,
        ingress: PortIndex,
        local: Option<Ipv4Addr>,
        offender: Incoming<'_>,
    ) -> Fate {
        let Some(port) = self.ports.get(&ingress) else {
            self.packets.no_port += 1;
            return Fate::Dropped;
        };
        self.errors
            .about(now, problem, port, local, offender)
            .map_or(Fate::Dropped, Fate::Answered)
    }

    /// Sends a packet of the host's own.
    pub(super) fn originate(&mut self, now: Time, routes: &impl Routes, originated: &Originated) {
        let destination = originated.destination;
        let key = match routes.route(destination) {
            Some(Route::Connected { port }) => Some(Key {
                port,
                address: destination,
            }),
            Some(Route::Gateway { port, address }) => Some(Key { port, address }),
            _ => None,
        };
        let Some((key, egress)) = key.and_then(|key| Some((key, self.ports.get(&key.port)?)))
        else {
            self.packets.own_unroutable += 1;
            return;
        };
        let source = originated
            .source
            .or_else(|| egress.address_towards(key.address));
        let Some(source) = source else {
            self.packets.own_unroutable += 1;
            return;
        };
        self.identification = self.identification.wrapping_add(1);
        let packet = Packet {
            traffic_class: originated.traffic_class,
            identification: self.identification,
            reserved_flag: false,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset_octets: 0,
            ttl: originated.ttl,
            protocol: originated.protocol,
            source,
            destination,
            options: &[],
            payload: &originated.payload,
        };
        match fragment(&packet, egress.mtu_octets) {
            Ok(fragments) => {
                for fragment in fragments {
                    self.neighbours.submit(now, key, Waiting::Made(fragment));
                }
            }
            Err(_) => self.packets.not_fragmented += 1,
        }
    }
}

/// The virtual router that has `address`, whatever its port.
fn group_with(virtuals: &[Virtual], address: Ipv4Addr) -> Option<&Virtual> {
    virtuals
        .iter()
        .find(|group| group.addresses.contains(&address))
}
