//! IPv4 packets (RFC 791). Options are kept as octets; cutting a packet into fragments is the host's business.

use std::fmt;
use std::net::Ipv4Addr;

use thiserror::Error;

use super::checksum;

/// The octets of a header without options.
pub const HEADER_OCTETS: usize = 20;
/// The most octets of options.
pub const MAX_OPTIONS_OCTETS: usize = 40;
/// The most octets of a whole packet.
pub const MAX_PACKET_OCTETS: usize = 65_535;
/// The unit of the fragment offset on the wire, in octets.
pub const FRAGMENT_UNIT_OCTETS: usize = 8;

const RESERVED: u16 = 0x8000;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// What the payload of a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP (RFC 792).
    pub const ICMP: Self = Self(1);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// VRRP (RFC 9568).
    pub const VRRP: Self = Self(112);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("icmp"),
            Self::TCP => f.write_str("tcp"),
            Self::UDP => f.write_str("udp"),
            Self::VRRP => f.write_str("vrrp"),
            Self(other) => other.fmt(f),
        }
    }
}

/// Why octets are no IPv4 packet (RFC 1812 section 5.2.2), or why one cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Ipv4Error {
    /// Fewer than [`HEADER_OCTETS`].
    #[error("shorter than an IPv4 header")]
    Short,
    /// The version is not 4.
    #[error("an IP version other than 4")]
    Version,
    /// The header length is below [`HEADER_OCTETS`] or beyond the octets there are.
    #[error("an impossible IPv4 header length")]
    HeaderLength,
    /// The total length is below the header length or beyond the octets there are.
    #[error("an impossible IPv4 total length")]
    TotalLength,
    /// The header checksum is wrong.
    #[error("a wrong IPv4 header checksum")]
    Checksum,
}

/// An IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Differentiated services code point and ECN bits (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// Names the packet among the fragments of others.
    pub identification: u16,
    /// The flag that RFC 791 reserves.
    pub reserved_flag: bool,
    /// Routers may not cut it.
    pub dont_fragment: bool,
    /// This is not the last fragment.
    pub more_fragments: bool,
    /// Where the payload belongs in the whole one, in octets: a multiple of [`FRAGMENT_UNIT_OCTETS`].
    pub fragment_offset_octets: u16,
    /// Time to live, in hops.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: Protocol,
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Who is to receive it.
    pub destination: Ipv4Addr,
    /// The options with their padding: a multiple of four octets, at most [`MAX_OPTIONS_OCTETS`].
    pub options: &'a [u8],
    /// What stands behind the header, without link padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; what follows its total length is padding.
    ///
    /// # Errors
    /// The reason why `octets` do not begin with an IPv4 packet.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Ipv4Error> {
        let fixed = octets
            .first_chunk::<HEADER_OCTETS>()
            .ok_or(Ipv4Error::Short)?;
        #[rustfmt::skip]
        let [
            version_ihl, traffic_class, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _,
            s0, s1, s2, s3, d0, d1, d2, d3,
        ] = *fixed;
        if version_ihl >> 4 != 4 {
            return Err(Ipv4Error::Version);
        }
        let header_octets = usize::from(version_ihl & 0xf) * 4;
        if header_octets < HEADER_OCTETS {
            return Err(Ipv4Error::HeaderLength);
        }
        let header = octets.get(..header_octets).ok_or(Ipv4Error::HeaderLength)?;
        let options = header.get(HEADER_OCTETS..).ok_or(Ipv4Error::HeaderLength)?;
        let total_octets = usize::from(u16::from_be_bytes([l0, l1]));
        let payload = octets
            .get(header_octets..total_octets)
            .ok_or(Ipv4Error::TotalLength)?;
        if checksum::of(header) != 0 {
            return Err(Ipv4Error::Checksum);
        }
        let flags = u16::from_be_bytes([f0, f1]);
        Ok(Self {
            traffic_class,
            identification: u16::from_be_bytes([i0, i1]),
            reserved_flag: flags & RESERVED != 0,
            dont_fragment: flags & DONT_FRAGMENT != 0,
            more_fragments: flags & MORE_FRAGMENTS != 0,
            fragment_offset_octets: (flags & OFFSET) * FRAGMENT_UNIT_OCTETS as u16,
            ttl,
            protocol: Protocol(protocol),
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            options,
            payload,
        })
    }

    /// Whether this is a part of a packet that was cut.
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset_octets != 0
    }

    /// The octets of the header, options included.
    #[must_use]
    pub const fn header_octets(&self) -> usize {
        HEADER_OCTETS + self.options.len()
    }

    /// The octets of header and payload.
    #[must_use]
    pub const fn total_octets(&self) -> usize {
        self.header_octets() + self.payload.len()
    }

    /// Appends the packet to `out`, with its checksum.
    ///
    /// # Errors
    /// [`Ipv4Error::HeaderLength`] if the options are too long or no multiple of four octets,
    /// [`Ipv4Error::TotalLength`] if the whole is longer than [`MAX_PACKET_OCTETS`]; `out` is then as it was.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Ipv4Error> {
        if self.options.len() > MAX_OPTIONS_OCTETS || !self.options.len().is_multiple_of(4) {
            return Err(Ipv4Error::HeaderLength);
        }
        let total_octets =
            u16::try_from(self.total_octets()).map_err(|_| Ipv4Error::TotalLength)?;
        let mut flags = self.fragment_offset_octets / FRAGMENT_UNIT_OCTETS as u16;
        for (flag, bit) in [
            (self.reserved_flag, RESERVED),
            (self.dont_fragment, DONT_FRAGMENT),
            (self.more_fragments, MORE_FRAGMENTS),
        ] {
            if flag {
                flags |= bit;
            }
        }
        let [l0, l1] = total_octets.to_be_bytes();
        let [i0, i1] = self.identification.to_be_bytes();
        let [f0, f1] = flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        #[rustfmt::skip]
        let mut header = [
            0x40 | (self.header_octets() / 4) as u8, self.traffic_class, l0, l1, i0, i1, f0, f1,
            self.ttl, self.protocol.0, 0, 0,
            s0, s1, s2, s3, d0, d1, d2, d3,
        ];
        let mut sum = checksum::Checksum::default();
        sum.add(&header);
        sum.add(self.options);
        [header[10], header[11]] = sum.finish().to_be_bytes();
        out.extend_from_slice(&header);
        out.extend_from_slice(self.options);
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[rustfmt::skip]
    const OCTETS: [u8; 26] = [
        0x46, 0xb8, 0, 26, 0x12, 0x34, 0x20, 0xb9, 64, 17, 0xc5, 0xf2,
        192, 0, 2, 1, 198, 51, 100, 2,
        0x94, 4, 0, 0,
        7, 8,
    ];

    const PACKET: Packet<'static> = Packet {
        traffic_class: 0xb8,
        identification: 0x1234,
        reserved_flag: false,
        dont_fragment: false,
        more_fragments: true,
        fragment_offset_octets: 1480,
        ttl: 64,
        protocol: Protocol::UDP,
        source: Ipv4Addr::new(192, 0, 2, 1),
        destination: Ipv4Addr::new(198, 51, 100, 2),
        options: &[0x94, 4, 0, 0],
        payload: &[7, 8],
    };

    fn altered(at: usize, octet: u8) -> Result<(), Ipv4Error> {
        let mut octets = OCTETS;
        octets[at] = octet;
        Packet::parse(&octets).map(|_| ())
    }

    #[test]
    fn a_packet_is_read_and_its_padding_passed_over() {
        assert_eq!(Packet::parse(&OCTETS), Ok(PACKET));
        let mut padded = OCTETS.to_vec();
        padded.resize(46, 0);
        assert_eq!(Packet::parse(&padded), Ok(PACKET));
        assert!(PACKET.is_fragment());
        assert_eq!(PACKET.total_octets(), 26);
    }

    #[test]
    fn a_packet_is_written() {
        let mut out = Vec::new();
        assert_eq!(PACKET.emit(&mut out), Ok(()));
        assert_eq!(out, OCTETS);
    }

    #[test]
    fn every_impossible_length_is_refused() {
        for octets in 0..HEADER_OCTETS {
            assert_eq!(Packet::parse(&OCTETS[..octets]), Err(Ipv4Error::Short));
        }
        for octets in HEADER_OCTETS..24 {
            assert_eq!(
                Packet::parse(&OCTETS[..octets]),
                Err(Ipv4Error::HeaderLength)
            );
        }
        for octets in 24..26 {
            assert_eq!(
                Packet::parse(&OCTETS[..octets]),
                Err(Ipv4Error::TotalLength)
            );
        }
        for ihl in 0..5 {
            assert_eq!(altered(0, 0x40 | ihl), Err(Ipv4Error::HeaderLength));
        }
        for total in (0..24).chain(27..=255) {
            assert_eq!(altered(3, total), Err(Ipv4Error::TotalLength));
        }
    }

    #[test]
    fn a_wrong_version_or_checksum_is_refused() {
        assert_eq!(altered(0, 0x66), Err(Ipv4Error::Version));
        assert_eq!(altered(8, 63), Err(Ipv4Error::Checksum));
        assert_eq!(altered(10, 0), Err(Ipv4Error::Checksum));
        assert_eq!(altered(22, 1), Err(Ipv4Error::Checksum));
    }

    #[test]
    fn what_no_header_can_say_is_not_written() {
        let long = vec![0; MAX_PACKET_OCTETS];
        let mut out = vec![1];
        for (packet, reason) in [
            (
                Packet {
                    payload: &long,
                    ..PACKET
                },
                Ipv4Error::TotalLength,
            ),
            (
                Packet {
                    options: &long[..44],
                    ..PACKET
                },
                Ipv4Error::HeaderLength,
            ),
            (
                Packet {
                    options: &long[..3],
                    ..PACKET
                },
                Ipv4Error::HeaderLength,
            ),
        ] {
            assert_eq!(packet.emit(&mut out), Err(reason));
            assert_eq!(out, [1]);
        }
    }

    /// Makes the header that `octets` begin with valid, if there are enough of them.
    fn mended(mut octets: Vec<u8>) -> Vec<u8> {
        let header_octets = 20 + usize::from(octets.first().copied().unwrap_or(0)) % 11 * 4;
        if octets.len() >= header_octets {
            octets[0] = 0x40 | (header_octets / 4) as u8;
            let total_octets = octets.len() as u16;
            octets[2..4].copy_from_slice(&total_octets.to_be_bytes());
            octets[10..12].fill(0);
            let sum = checksum::of(&octets[..header_octets]);
            octets[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        octets
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets: Vec<u8>) {
            let _ = Packet::parse(&octets);
        }

        #[test]
        fn what_is_read_is_written_back(octets in any::<Vec<u8>>().prop_map(mended)) {
            match Packet::parse(&octets) {
                Ok(packet) => {
                    let mut out = Vec::new();
                    prop_assert_eq!(packet.emit(&mut out), Ok(()));
                    prop_assert_eq!(out, octets);
                }
                Err(reason) => prop_assert!(octets.len() < 60, "{}", reason),
            }
        }
    }
}
