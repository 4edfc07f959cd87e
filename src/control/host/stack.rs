//! The host as one: frames and time in, frames and table changes out. What becomes of a frame is decided in `stack/fate.rs`,
//! what each protocol wants in the files beside this one.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use dataplane::wire::ethernet::{self, EtherType, Frame};
use dataplane::wire::ipv4::Packet;
use vrrpd::Time;

use super::arp;
use super::bucket::{Rate, TokenBucket};
use super::counters::{ArpCounters, Counters, PacketCounters};
use super::driver::{Originated, Output, Routes};
use super::icmp::{self, Errors, Incoming, Problem};
use super::neighbours::{Event, Key, NeighbourConfig, Neighbours, State};
use super::port::{Port, PortIndex, Virtual};
use super::reassembly::{Reassembly, ReassemblyConfig};

mod fate;

use fate::Fate;

/// The bounds and rates of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// The neighbour cache.
    pub neighbours: NeighbourConfig,
    /// Fragments of packets for this router.
    pub reassembly: ReassemblyConfig,
    /// ICMP errors of one class at one port.
    pub icmp_errors: Rate,
    /// Address conflicts reported; all are counted.
    pub conflict_reports: Rate,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            neighbours: NeighbourConfig::default(),
            reassembly: ReassemblyConfig::default(),
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

/// The host side of a router. `P` is a punted frame as the driver holds it (an mbuf); its octets are those of the frame
/// from the Ethernet header on.
#[derive(Debug)]
pub struct HostStack<P> {
    ports: BTreeMap<PortIndex, Port>,
    virtuals: Vec<Virtual>,
    neighbours: Neighbours<Waiting<P>>,
    reassembly: Reassembly,
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
            reassembly: Reassembly::new(config.reassembly),
            errors: Errors::new(config.icmp_errors),
            conflict_reports: TokenBucket::new(config.conflict_reports),
            identification: 0,
            arp: ArpCounters::default(),
            packets: PacketCounters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// These are the ports from now on. The neighbours of ports that went or have other addresses are forgotten.
    pub fn set_ports(&mut self, ports: impl IntoIterator<Item = Port>) {
        let ports: BTreeMap<_, _> = ports.into_iter().map(|port| (port.index, port)).collect();
        let old = std::mem::replace(&mut self.ports, ports);
        let addresses = |port: &Port| (port.mac, port.addresses.clone());
        let changed: Vec<_> = old
            .iter()
            .filter(|(index, port)| self.ports.get(index).map(addresses) != Some(addresses(port)))
            .map(|(index, _)| *index)
            .collect();
        self.neighbours.flush(|key| changed.contains(&key.port));
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

    /// The workers have packets for a neighbour: once they need not wait for it, [`Output::SetNeighbour`] or [`Output::Settled`] says so.
    pub fn want(&mut self, now: Time, port: PortIndex, address: Ipv4Addr) {
        self.neighbours.want(now, Key { port, address });
        self.settle_without_routes();
    }

    /// Asks everyone on a port who has `address`, once, whatever is known of it, and without remembering that; an answer comes as
    /// [`Output::Answered`].
    pub fn ask(&mut self, port: PortIndex, address: Ipv4Addr) {
        if let Some(port) = self.ports.get(&port) {
            self.outputs.push_back(Output::Transmit {
                port: port.index,
                frame: arp::request(port, &self.virtuals, address, None),
            });
        }
    }

    /// Asks everyone on the network of an own address `local` for information; replies come as [`Output::InformationReply`].
    pub fn request_information(
        &mut self,
        port: PortIndex,
        local: Ipv4Addr,
        identifier: u16,
        sequence: u16,
    ) {
        let frame = self.ports.get(&port).and_then(|port| {
            let own = port.addresses.iter().find(|own| own.addr() == local)?;
            icmp::information_request(port.mac, *own, identifier, sequence)
        });
        if let Some(frame) = frame {
            self.outputs.push_back(Output::Transmit { port, frame });
        }
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

    /// Sends a packet of this router's own by whatever route leads to its destination.
    pub fn send(&mut self, now: Time, routes: &impl Routes, packet: &Originated) {
        self.originate(now, routes, packet);
        self.settle(now, routes);
    }

    /// Sends an echo request; its reply comes as [`Output::EchoReply`].
    pub fn ping(
        &mut self,
        now: Time,
        routes: &impl Routes,
        destination: Ipv4Addr,
        identifier: u16,
        sequence: u16,
    ) {
        let request = icmp::echo_request(destination, identifier, sequence);
        self.send(now, routes, &request);
    }

    /// Serves the timers that have run out.
    pub fn tick(&mut self, now: Time, routes: &impl Routes) {
        self.neighbours.tick(now);
        self.reassembly.tick(now);
        self.settle(now, routes);
    }

    /// When [`HostStack::tick`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let timeouts = [
            self.neighbours.poll_timeout(),
            self.reassembly.poll_timeout(),
        ];
        timeouts.into_iter().flatten().min()
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
            reassembly: *self.reassembly.counters(),
            icmp: *self.errors.counters(),
        }
    }

    /// Starts counting at zero.
    pub fn clear_counters(&mut self) {
        self.arp = ArpCounters::default();
        self.packets = PacketCounters::default();
        self.neighbours.clear_counters();
        self.reassembly.clear_counters();
        self.errors.clear_counters();
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
            let Ok(packet) = Packet::parse(frame.payload) else {
                continue;
            };
            let offender = Incoming {
                link_destination: frame.destination,
                packet: &packet,
                octets: frame.payload,
            };
            let problem = Problem::HostUnreachable;
            if let Fate::Answered(error) = self.complain(now, problem, ingress, None, offender) {
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
            Event::Settled(Key { port, address }) => {
                self.outputs.push_back(Output::Settled { port, address });
            }
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
