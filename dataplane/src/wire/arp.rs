//! ARP for IPv4 over Ethernet (RFC 826). Whether what a packet claims is to be believed is not decided here.

use std::net::Ipv4Addr;

use thiserror::Error;

use crate::addr::MacAddr;

/// The octets of a packet; an Ethernet frame pads them.
pub const PACKET_OCTETS: usize = 28;

const HARDWARE_ETHERNET: u16 = 1;
const PROTOCOL_IPV4: u16 = 0x0800;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// What a packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has its address.
    Reply,
}

/// Why octets are no ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ArpError {
    /// Fewer than [`PACKET_OCTETS`].
    #[error("shorter than an ARP packet")]
    Short,
    /// The hardware type is not Ethernet, or its address length not 6.
    #[error("a hardware type or length other than Ethernet's")]
    Hardware,
    /// The protocol type is not IPv4, or its address length not 4.
    #[error("a protocol type or length other than IPv4's")]
    Protocol,
    /// Neither a request nor a reply.
    #[error("an operation other than request and reply")]
    Operation,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it wants.
    pub operation: Operation,
    /// The link address that the sender claims.
    pub sender_mac: MacAddr,
    /// The IPv4 address that the sender claims; unspecified in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// In a reply, the link address of who asked; in a request, without meaning.
    pub target_mac: MacAddr,
    /// The address asked for, or that of who asked.
    pub target: Ipv4Addr,
}

impl Packet {
    /// Reads a packet; what follows it is padding.
    ///
    /// # Errors
    /// The reason why `octets` do not begin with such a packet.
    pub fn parse(octets: &[u8]) -> Result<Self, ArpError> {
        let (packet, _padding) = octets
            .split_first_chunk::<PACKET_OCTETS>()
            .ok_or(ArpError::Short)?;
        #[rustfmt::skip]
        let [
            h0, h1, p0, p1, hardware_octets, protocol_octets, o0, o1,
            m0, m1, m2, m3, m4, m5, s0, s1, s2, s3,
            n0, n1, n2, n3, n4, n5, t0, t1, t2, t3,
        ] = *packet;
        if u16::from_be_bytes([h0, h1]) != HARDWARE_ETHERNET || hardware_octets != 6 {
            return Err(ArpError::Hardware);
        }
        if u16::from_be_bytes([p0, p1]) != PROTOCOL_IPV4 || protocol_octets != 4 {
            return Err(ArpError::Protocol);
        }
        let operation = match u16::from_be_bytes([o0, o1]) {
            REQUEST => Operation::Request,
            REPLY => Operation::Reply,
            _ => return Err(ArpError::Operation),
        };
        Ok(Self {
            operation,
            sender_mac: MacAddr([m0, m1, m2, m3, m4, m5]),
            sender: Ipv4Addr::new(s0, s1, s2, s3),
            target_mac: MacAddr([n0, n1, n2, n3, n4, n5]),
            target: Ipv4Addr::new(t0, t1, t2, t3),
        })
    }

    /// Appends the packet to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let operation = match self.operation {
            Operation::Request => REQUEST,
            Operation::Reply => REPLY,
        };
        out.extend_from_slice(&HARDWARE_ETHERNET.to_be_bytes());
        out.extend_from_slice(&PROTOCOL_IPV4.to_be_bytes());
        out.extend_from_slice(&[6, 4]);
        out.extend_from_slice(&operation.to_be_bytes());
        out.extend_from_slice(&self.sender_mac.0);
        out.extend_from_slice(&self.sender.octets());
        out.extend_from_slice(&self.target_mac.0);
        out.extend_from_slice(&self.target.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[rustfmt::skip]
    const OCTETS: [u8; PACKET_OCTETS] = [
        0, 1, 8, 0, 6, 4, 0, 2,
        2, 0, 0, 0, 0, 1, 192, 0, 2, 1,
        2, 0, 0, 0, 0, 2, 192, 0, 2, 2,
    ];

    const PACKET: Packet = Packet {
        operation: Operation::Reply,
        sender_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        sender: Ipv4Addr::new(192, 0, 2, 1),
        target_mac: MacAddr([2, 0, 0, 0, 0, 2]),
        target: Ipv4Addr::new(192, 0, 2, 2),
    };

    fn altered(at: usize, octet: u8) -> Result<Packet, ArpError> {
        let mut octets = OCTETS;
        octets[at] = octet;
        Packet::parse(&octets)
    }

    #[test]
    fn a_packet_is_read_and_its_padding_passed_over() {
        assert_eq!(Packet::parse(&OCTETS), Ok(PACKET));
        let mut padded = OCTETS.to_vec();
        padded.resize(46, 0xee);
        assert_eq!(Packet::parse(&padded), Ok(PACKET));
    }

    #[test]
    fn a_packet_is_written() {
        let mut out = Vec::new();
        PACKET.emit(&mut out);
        assert_eq!(out, OCTETS);
    }

    #[test]
    fn every_impossible_length_is_refused() {
        for octets in 0..PACKET_OCTETS {
            assert_eq!(Packet::parse(&OCTETS[..octets]), Err(ArpError::Short));
        }
    }

    #[test]
    fn other_hardware_protocols_and_operations_are_refused_under_their_reason() {
        assert_eq!(altered(1, 6), Err(ArpError::Hardware));
        assert_eq!(altered(4, 8), Err(ArpError::Hardware));
        assert_eq!(altered(2, 0x86), Err(ArpError::Protocol));
        assert_eq!(altered(5, 16), Err(ArpError::Protocol));
        for operation in [0, 3, 4, 8, 9, 255] {
            assert_eq!(altered(7, operation), Err(ArpError::Operation));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(mut octets: Vec<u8>, ours: bool) {
            if ours && let Some(start) = octets.first_chunk_mut::<8>() {
                start.copy_from_slice(&OCTETS[..8]);
            }
            if let Ok(packet) = Packet::parse(&octets) {
                let mut out = Vec::new();
                packet.emit(&mut out);
                prop_assert_eq!(&out, &octets[..PACKET_OCTETS]);
            }
        }
    }
}
