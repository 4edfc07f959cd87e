//! ARP (RFC 826): what a packet proves, whether it is answered and with which addresses, and how this router asks.
//! What is remembered of it, and for how long, is not decided here (`neighbours.rs`).
//!
//! A virtual address is answered for by its master alone, with the virtual MAC *in the packet*. The frame around it
//! comes from the port's own MAC, so that no switch learns where the virtual MAC is and every router of the group goes on
//! receiving what is sent there; `source-mac = "virtual"` makes it the virtual MAC (RFC 9568 section 8.1.2), which
//! groups without load sharing may use.
//!
//! A port answers for its own addresses only, not for those of other ports.

use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use dataplane::wire::arp::{ArpError, Operation, Packet};
use dataplane::wire::ethernet::{EtherType, Frame};

use super::counters::ArpCounters;
use super::neighbours::Evidence;
use super::port::{Port, Virtual, is_host, virtual_with};

/// What a packet meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its sender is a neighbour.
    pub neighbour: Option<(Ipv4Addr, MacAddr, Evidence)>,
    /// The frame that answers it.
    pub answer: Option<Vec<u8>>,
    /// Its sender claims an address that is this router's, or the virtual router's.
    pub conflict: Option<Conflict>,
}

/// Another station claims an address of this router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: Ipv4Addr,
    /// The link address that claims it.
    pub mac: MacAddr,
}

/// Reads the packet in `frame`, which came in at `port`.
#[must_use]
pub fn receive(
    port: &Port,
    virtuals: &[Virtual],
    frame: &Frame<'_>,
    counters: &mut ArpCounters,
) -> Received {
    let mut received = Received::default();
    let packet = match Packet::parse(frame.payload) {
        Ok(packet) => packet,
        Err(refusal) => {
            *match refusal {
                ArpError::Short => &mut counters.short,
                ArpError::Hardware => &mut counters.hardware,
                ArpError::Protocol => &mut counters.protocol,
                ArpError::Operation => &mut counters.operation,
            } += 1;
            return received;
        }
    };
    if frame.source == port.mac || packet.sender_mac == port.mac {
        counters.looped += 1;
        return received;
    }
    if !packet.sender_mac.is_station() {
        counters.sender_mac += 1;
        return received;
    }
    let is_virtual = virtual_with(virtuals, port.index, packet.sender);
    let is_master_speaking = is_virtual.is_some_and(|group| group.mac() == packet.sender_mac);
    if packet.sender.is_unspecified() || is_master_speaking {
        // A probe (RFC 5227) claims nothing; the virtual address is no neighbour.
    } else if is_virtual.is_some() || port.owns(packet.sender) {
        counters.conflicts += 1;
        received.conflict = Some(Conflict {
            address: packet.sender,
            mac: packet.sender_mac,
        });
        return received;
    } else if !is_host(packet.sender) {
        counters.sender_martian += 1;
        return received;
    } else if !port.is_on_link(packet.sender) {
        counters.sender_off_link += 1;
        return received;
    } else if !port.is_host_on_link(packet.sender) {
        counters.sender_martian += 1;
        return received;
    }

    let voice = voice(port, virtuals, packet.target);
    let evidence = match (packet.operation, voice) {
        (Operation::Request, Voice::None) => {
            counters.requests_for_others += 1;
            Evidence::Mention
        }
        (Operation::Request, Voice::Master) => {
            // Who asks for the virtual address will send to the virtual router, that is to this router too.
            counters.requests_for_master += 1;
            Evidence::Question
        }
        (Operation::Request, Voice::Own { mac, from }) => {
            counters.requests_for_us += 1;
            counters.answers_sent += 1;
            let answer = Packet {
                operation: Operation::Reply,
                sender_mac: mac,
                sender: packet.target,
                target_mac: packet.sender_mac,
                target: packet.sender,
            };
            received.answer = Some(framed(from, packet.sender_mac, &answer));
            Evidence::Question
        }
        (Operation::Reply, Voice::Own { .. }) => {
            counters.replies += 1;
            Evidence::Answer
        }
        // The answer to a probe goes to no address, but to this port alone.
        (Operation::Reply, _)
            if packet.target.is_unspecified() && frame.destination == port.mac =>
        {
            counters.replies += 1;
            Evidence::Answer
        }
        (Operation::Reply, _) => {
            counters.replies += 1;
            Evidence::Mention
        }
    };
    if !packet.sender.is_unspecified() && !is_master_speaking {
        received.neighbour = Some((packet.sender, packet.sender_mac, evidence));
    }
    received
}

/// The frame that asks for `target`: everyone, or the neighbour `alone`.
#[must_use]
pub fn request(
    port: &Port,
    virtuals: &[Virtual],
    target: Ipv4Addr,
    alone: Option<MacAddr>,
) -> Vec<u8> {
    let sender = port.address_towards(target);
    let (sender, mac, from) = match sender.map(|sender| (sender, voice(port, virtuals, sender))) {
        Some((sender, Voice::Own { mac, from })) => (sender, mac, from),
        // Without an address that may be spoken from, the question claims none (RFC 5227); it is answered all the same.
        _ => (Ipv4Addr::UNSPECIFIED, port.mac, port.mac),
    };
    let packet = Packet {
        operation: Operation::Request,
        sender_mac: mac,
        sender,
        target_mac: MacAddr::ZERO,
        target,
    };
    framed(from, alone.unwrap_or(MacAddr::BROADCAST), &packet)
}

/// The frame by which the master tells everyone where the virtual `address` is (gratuitous ARP, RFC 9568 section 6.4).
#[must_use]
pub fn announcement(port: &Port, group: &Virtual, address: Ipv4Addr) -> Vec<u8> {
    let packet = Packet {
        operation: Operation::Request,
        sender_mac: group.mac(),
        sender: address,
        target_mac: MacAddr::ZERO,
        target: address,
    };
    framed(frame_source(port, group), MacAddr::BROADCAST, &packet)
}

/// Whether, and how, this router speaks for an address.
enum Voice {
    /// With this MAC in the packet, from this one.
    Own { mac: MacAddr, from: MacAddr },
    /// The address is virtual, and its master speaks.
    Master,
    /// The address is somebody else's.
    None,
}

/// An address that is both virtual and the port's own (its owner's, priority 255) is the virtual router's.
fn voice(port: &Port, virtuals: &[Virtual], address: Ipv4Addr) -> Voice {
    match virtual_with(virtuals, port.index, address) {
        Some(group) if group.is_master => Voice::Own {
            mac: group.mac(),
            from: frame_source(port, group),
        },
        Some(_) => Voice::Master,
        None if port.owns(address) => Voice::Own {
            mac: port.mac,
            from: port.mac,
        },
        None => Voice::None,
    }
}

fn frame_source(port: &Port, group: &Virtual) -> MacAddr {
    if group.sends_from_virtual_mac {
        group.mac()
    } else {
        port.mac
    }
}

fn framed(source: MacAddr, destination: MacAddr, packet: &Packet) -> Vec<u8> {
    let mut payload = Vec::new();
    packet.emit(&mut payload);
    let mut out = Vec::new();
    Frame {
        destination,
        source,
        ether_type: EtherType::ARP,
        payload: &payload,
    }
    .emit(&mut out);
    out
}

#[cfg(test)]
mod tests;
