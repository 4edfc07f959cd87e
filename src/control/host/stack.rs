//! The host as one: frames and time in, frames and table changes out. What each protocol wants is decided in the other
//! files; here is the way of a packet between them.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use dataplane::wire::ethernet::{self, EtherType, Frame};
use dataplane::wire::ipv4::Packet;
use vrrpd::Time;

use super::arp;
use super::bucket::{Rate, TokenBucket};
use super::counters::{ArpCounters, Counters, PacketCounters};
use super::driver::{Output, Route, Routes};
use super::fragment::{FragmentError, fragment};
use super::icmp::{Errors, Offender, Originated, Problem};
use super::local::{self, Answer};
use super::neighbours::{Event, Key, NeighbourConfig, Neighbours, State};
use super::port::{Port, PortIndex, Virtual, is_host};

/// The time to live of what this router sends (RFC 1700).
const TTL: u8 = 64;

/// The bounds and rates of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// The neighbour cache.
    pub neighbours: NeighbourConfig,
    /// ICMP errors of one class at one port.
    pub icmp_errors: Rate,
    /// Address conflicts reported; all are counted.
    pub conflict_reports: Rate,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            neighbours: NeighbourConfig::default(),
            icmp_errors: Rate {
                per_second: 1000,
                burst: 50,
            },
            conflict_reports: Rate {
                per_second: 1,
                burst: 5,
            },
        }
    }
}

/// A packet that waits for its neighbour.
#[derive(Debug)]
enum Waiting<P> {
    /// It came in at `ingress` and goes on, its TTL still as it came.
    Routed { ingress: PortIndex, packet: P },
    /// The host made it: an IPv4 packet without link header.
    Made(Vec<u8>),
}

/// What becomes of a packet.
enum Fate {
    Dropped,
    Forwarded(Key),
    Fragmented(Key, Vec<Vec<u8>>),
    Answered(Originated),
}

/// The host side of a router. `P` is a punted frame as the driver holds it (an mbuf); its octets are those of the frame
/// from the Ethernet header on.
#[derive(Debug)]
pub struct HostStack<P> {
    ports: BTreeMap<PortIndex, Port>,
    virtuals: Vec<Virtual>,
    neighbours: Neighbours<Waiting<P>>,
    errors: Errors,
    conflict_reports: TokenBucket,
    identification: u16,
    arp: ArpCounters,
    packets: PacketCounters,
    outputs: VecDeque<Output<P>>,
}

impl<P: AsRef<[u8]> + AsMut<[u8]>> HostStack<P> {
    /// A host without ports.
    #[must_use]
    pub fn new(config: HostConfig) -> Self {
        Self {
            ports: BTreeMap::new(),
            virtuals: Vec::new(),
            neighbours: Neighbours::new(config.neighbours),
            errors: Errors::new(config.icmp_errors),
            conflict_reports: TokenBucket::new(config.conflict_reports),
            identification: 0,
            arp: ArpCounters::default(),
            packets: PacketCounters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// These are the ports from now on. The neighbours of ports that changed or went are forgotten.
    pub fn set_ports(&mut self, ports: impl IntoIterator<Item = Port>) {
        let ports: BTreeMap<_, _> = ports.into_iter().map(|port| (port.index, port)).collect();
        let old = std::mem::replace(&mut self.ports, ports);
        let new = &self.ports;
        self.neighbours
            .flush(|key| old.get(&key.port) != new.get(&key.port));
        self.settle_without_routes();
    }

    /// These are the virtual routers from now on, of which this router is a member.
    pub fn set_virtuals(&mut self, virtuals: Vec<Virtual>) {
        self.virtuals = virtuals;
    }

    /// Forgets the neighbours on a port, as when its link went down.
    pub fn flush_port(&mut self, port: PortIndex) {
        self.neighbours.flush(|key| key.port == port);
        self.settle_without_routes();
    }

    /// Tells everyone on the network of a virtual router where its `address` is, if this router is its master.
    pub fn announce(&mut self, port: PortIndex, vrid: u8, address: Ipv4Addr) {
        let group = self.virtuals.iter().find(|group| {
            group.port == port
                && group.vrid == vrid
                && group.is_master
                && group.addresses.contains(&address)
        });
        if let (Some(port), Some(group)) = (self.ports.get(&port), group) {
            self.arp.announcements_sent += 1;
            self.outputs.push_back(Output::Transmit {
                port: port.index,
                frame: arp::announcement(port, group, address),
            });
        }
    }

    /// The state of a neighbour, which is asked for if it is not known: a gateway before the first packet needs it, an end
    /// system before its condition is moved here. `None` if too many are asked for already.
    pub fn resolve(&mut self, now: Time, port: PortIndex, address: Ipv4Addr) -> Option<State> {
        let state = self.neighbours.find(now, Key { port, address });
        self.settle_without_routes();
        state
    }

    /// Takes a frame that the workers could not, or may not, finish; it came in at port `ingress`.
    pub fn on_punt(&mut self, now: Time, routes: &impl Routes, ingress: PortIndex, packet: P) {
        match self.fate(now, routes, ingress, packet.as_ref()) {
            Fate::Dropped => {}
            Fate::Forwarded(key) => {
                self.packets.forwarded += 1;
                let waiting = Waiting::Routed { ingress, packet };
                self.neighbours.submit(now, key, waiting);
            }
            Fate::Fragmented(key, fragments) => {
                self.packets.forwarded += 1;
                self.packets.fragmented += 1;
                for fragment in fragments {
                    self.neighbours.submit(now, key, Waiting::Made(fragment));
                }
            }
            Fate::Answered(answer) => self.originate(now, routes, &answer),
        }
        self.settle(now, routes);
    }

    /// Serves the timers that have run out.
    pub fn tick(&mut self, now: Time, routes: &impl Routes) {
        self.neighbours.tick(now);
        self.settle(now, routes);
    }

    /// When [`HostStack::tick`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.neighbours.poll_timeout()
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// Every neighbour, in no order.
    pub fn neighbours(&self) -> impl Iterator<Item = (Key, State)> {
        self.neighbours.iter()
    }

    /// Packets that wait for a neighbour's link address.
    #[must_use]
    pub const fn packets_waiting(&self) -> usize {
        self.neighbours.packets_waiting()
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        Counters {
            arp: self.arp,
            neighbours: *self.neighbours.counters(),
            packets: self.packets,
            icmp: *self.errors.counters(),
        }
    }

    /// Starts counting at zero.
    pub fn clear_counters(&mut self) {
        self.arp = ArpCounters::default();
        self.packets = PacketCounters::default();
        self.neighbours.clear_counters();
        self.errors.clear_counters();
    }

    fn fate(&mut self, now: Time, routes: &impl Routes, ingress: PortIndex, octets: &[u8]) -> Fate {
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
            EtherType::IPV4 => self.fate_of_packet(now, routes, ingress, &frame),
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
        frame: &Frame<'_>,
    ) -> Fate {
        let Ok(packet) = Packet::parse(frame.payload) else {
            self.packets.malformed += 1;
            return Fate::Dropped;
        };
        if !is_host(packet.destination) {
            self.packets.not_unicast += 1;
            return Fate::Dropped;
        }
        let route = routes.route(packet.destination);
        if route == Some(Route::Local) || self.is_ours(packet.destination) {
            return self.deliver(now, ingress, frame, &packet);
        }
        if !is_host(packet.source) {
            self.packets.martian_source += 1;
            return Fate::Dropped;
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
                return self.complain(now, Problem::HostUnreachable, ingress, None, frame, &packet);
            }
            None => {
                self.packets.unreachable += 1;
                return self.complain(now, Problem::NetUnreachable, ingress, None, frame, &packet);
            }
        };
        if packet.ttl <= 1 {
            self.packets.ttl_exceeded += 1;
            return self.complain(now, Problem::TtlExceeded, ingress, None, frame, &packet);
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
            ..packet
        };
        match fragment(&aged, mtu_octets) {
            Ok(fragments) => Fate::Fragmented(key, fragments),
            Err(FragmentError::DontFragment) => {
                self.packets.too_long += 1;
                let problem = Problem::FragmentationNeeded { mtu_octets };
                self.complain(now, problem, ingress, None, frame, &packet)
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

    fn deliver(
        &mut self,
        now: Time,
        ingress: PortIndex,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
    ) -> Fate {
        let group = group_with(&self.virtuals, packet.destination);
        match local::deliver(packet, group, &mut self.packets) {
            Answer::Silence => Fate::Dropped,
            Answer::Reply(reply) => Fate::Answered(reply),
            Answer::Reset(reset) if self.errors.permit_tcp_reset(now, ingress) => {
                Fate::Answered(reset)
            }
            Answer::Reset(_) => Fate::Dropped,
            Answer::Error(problem) => {
                let local = Some(packet.destination);
                self.complain(now, problem, ingress, local, frame, packet)
            }
        }
    }

    /// Reports `problem` to who sent `packet`, if that may be.
    fn complain(
        &mut self,
        now: Time,
        problem: Problem,
        ingress: PortIndex,
        local: Option<Ipv4Addr>,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
    ) -> Fate {
        let Some(port) = self.ports.get(&ingress) else {
            self.packets.no_port += 1;
            return Fate::Dropped;
        };
        let offender = Offender {
            link_destination: frame.destination,
            packet,
            octets: frame
                .payload
                .get(..packet.total_octets())
                .unwrap_or(frame.payload),
        };
        self.errors
            .about(now, problem, port, local, offender)
            .map_or(Fate::Dropped, Fate::Answered)
    }

    /// Sends a packet of the host's own.
    fn originate(&mut self, now: Time, routes: &impl Routes, originated: &Originated) {
        let key = match routes.route(originated.destination) {
            Some(Route::Connected { port }) => Some(Key {
                port,
                address: originated.destination,
            }),
            Some(Route::Gateway { port, address }) => Some(Key { port, address }),
            _ => None,
        };
        let Some((key, egress)) =
            key.and_then(|key| self.ports.get(&key.port).map(|egress| (key, egress)))
        else {
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
            ttl: TTL,
            protocol: originated.protocol,
            source: originated.source,
            destination: originated.destination,
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

    /// Does what the neighbour cache wants, and reports the packets that it gave up.
    fn settle(&mut self, now: Time, routes: &impl Routes) {
        while let Some(event) = self.neighbours.poll_event() {
            let Some(Waiting::Routed { ingress, packet }) = self.carry_out(event) else {
                continue;
            };
            let Ok(frame) = Frame::parse(packet.as_ref()) else {
                continue;
            };
            let Ok(parsed) = Packet::parse(frame.payload) else {
                continue;
            };
            let problem = Problem::HostUnreachable;
            if let Fate::Answered(error) =
                self.complain(now, problem, ingress, None, &frame, &parsed)
            {
                self.originate(now, routes, &error);
            }
        }
    }

    /// As [`HostStack::settle`], after what cannot give up packets.
    fn settle_without_routes(&mut self) {
        while let Some(event) = self.neighbours.poll_event() {
            self.carry_out(event);
        }
    }

    /// Does what the neighbour cache wants, but for a packet that it gave up: that one comes back.
    fn carry_out(&mut self, event: Event<Waiting<P>>) -> Option<Waiting<P>> {
        match event {
            Event::Ask(key, alone) => {
                if let Some(port) = self.ports.get(&key.port) {
                    self.outputs.push_back(Output::Transmit {
                        port: key.port,
                        frame: arp::request(port, &self.virtuals, key.address, alone),
                    });
                }
            }
            Event::Release(key, mac, waiting) => self.release(key.port, mac, waiting),
            Event::Resolved(key, mac) => self.set_neighbour(key, Some(mac)),
            Event::Forgotten(key) => self.set_neighbour(key, None),
            Event::GaveUp(_, waiting) => {
                self.packets.neighbour_unreachable += 1;
                return Some(waiting);
            }
        }
        None
    }

    fn set_neighbour(&mut self, key: Key, mac: Option<MacAddr>) {
        self.outputs.push_back(Output::SetNeighbour {
            port: key.port,
            address: key.address,
            mac,
        });
    }

    fn release(&mut self, port: PortIndex, mac: MacAddr, waiting: Waiting<P>) {
        let Some(source) = self.ports.get(&port).map(|port| port.mac) else {
            self.packets.no_port += 1;
            return;
        };
        self.outputs.push_back(match waiting {
            Waiting::Routed { mut packet, .. } => {
                rewrite(packet.as_mut(), mac, source);
                Output::Forward { port, packet }
            }
            Waiting::Made(payload) => {
                let mut frame = Vec::with_capacity(ethernet::HEADER_OCTETS + payload.len());
                Frame {
                    destination: mac,
                    source,
                    ether_type: EtherType::IPV4,
                    payload: &payload,
                }
                .emit(&mut frame);
                Output::Transmit { port, frame }
            }
        });
    }
}

/// The virtual router that has `address`, whatever its port.
fn group_with(virtuals: &[Virtual], address: Ipv4Addr) -> Option<&Virtual> {
    virtuals
        .iter()
        .find(|group| group.addresses.contains(&address))
}

/// Gives a frame with an IPv4 packet the link addresses of its next hop and takes one from its TTL, mending the
/// checksum (RFC 1624).
fn rewrite(frame: &mut [u8], destination: MacAddr, source: MacAddr) {
    const TTL_AT: usize = ethernet::HEADER_OCTETS + 8;
    const CHECKSUM_AT: usize = ethernet::HEADER_OCTETS + 10;
    let Some(header) = frame.first_chunk_mut::<{ CHECKSUM_AT + 2 }>() else {
        return;
    };
    header[..6].copy_from_slice(&destination.0);
    header[6..12].copy_from_slice(&source.0);
    header[TTL_AT] = header[TTL_AT].saturating_sub(1);
    let sum = u32::from(u16::from_be_bytes([
        header[CHECKSUM_AT],
        header[CHECKSUM_AT + 1],
    ])) + 0x100;
    let sum = (sum + u32::from(sum >= 0xffff)) as u16;
    [header[CHECKSUM_AT], header[CHECKSUM_AT + 1]] = sum.to_be_bytes();
}

#[cfg(test)]
mod tests;
