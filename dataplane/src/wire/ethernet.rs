//! Ethernet II frames (IEEE 802.3 clause 3), without preamble and frame check sequence.
//! What a VLAN tag holds is not read here: a tagged frame shows as one of type [`EtherType::VLAN`].

use thiserror::Error;

use crate::addr::MacAddr;

/// The octets of destination, source and type.
pub const HEADER_OCTETS: usize = 14;

/// The least octets of a frame on the wire without its frame check sequence; shorter ones are padded by the NIC.
pub const MIN_FRAME_OCTETS: usize = 60;

/// What the payload of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// A customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);
    /// A service VLAN tag (IEEE 802.1ad).
    pub const SERVICE_VLAN: Self = Self(0x88a8);

    /// The least value that is a type; below, the field is an 802.3 length.
    pub const LEAST: u16 = 0x0600;
}

/// Why octets are no Ethernet II frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum EthernetError {
    /// Fewer than [`HEADER_OCTETS`].
    #[error("shorter than an Ethernet header")]
    Short,
    /// The type field is an 802.3 length.
    #[error("an 802.3 length in place of a type")]
    Length,
}

/// An Ethernet II frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Who is to receive it.
    pub destination: MacAddr,
    /// Who sent it.
    pub source: MacAddr,
    /// What the payload is.
    pub ether_type: EtherType,
    /// Everything behind the header, padding included.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// # Errors
    /// The reason why `octets` are no Ethernet II frame.
    pub fn parse(octets: &'a [u8]) -> Result<Self, EthernetError> {
        let (header, payload) = octets
            .split_first_chunk::<HEADER_OCTETS>()
            .ok_or(EthernetError::Short)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let ether_type = EtherType(u16::from_be_bytes([t0, t1]));
        if ether_type.0 < EtherType::LEAST {
            return Err(EthernetError::Length);
        }
        Ok(Self {
            destination: MacAddr([d0, d1, d2, d3, d4, d5]),
            source: MacAddr([s0, s1, s2, s3, s4, s5]),
            ether_type,
            payload,
        })
    }

    /// Appends the frame to `out`, unpadded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.destination.0);
        out.extend_from_slice(&self.source.0);
        out.extend_from_slice(&self.ether_type.0.to_be_bytes());
        out.extend_from_slice(self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OCTETS: [u8; 17] = [
        0x00, 0x00, 0x5e, 0x00, 0x01, 0x07, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 1, 2, 3,
    ];

    const FRAME: Frame<'static> = Frame {
        destination: MacAddr::virtual_v4(7),
        source: MacAddr([2, 0, 0, 0, 0, 1]),
        ether_type: EtherType::IPV4,
        payload: &[1, 2, 3],
    };

    #[test]
    fn a_frame_is_read() {
        assert_eq!(Frame::parse(&OCTETS), Ok(FRAME));
    }

    #[test]
    fn a_frame_is_written() {
        let mut out = Vec::new();
        FRAME.emit(&mut out);
        assert_eq!(out, OCTETS);
    }

    #[test]
    fn every_impossible_length_is_refused() {
        for octets in 0..HEADER_OCTETS {
            assert_eq!(Frame::parse(&OCTETS[..octets]), Err(EthernetError::Short));
        }
        assert!(Frame::parse(&OCTETS[..HEADER_OCTETS]).is_ok());
    }

    #[test]
    fn a_length_field_is_no_type() {
        let mut octets = OCTETS;
        octets[12..14].copy_from_slice(&0x05ff_u16.to_be_bytes());
        assert_eq!(Frame::parse(&octets), Err(EthernetError::Length));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(octets: Vec<u8>) {
            if let Ok(frame) = Frame::parse(&octets) {
                let mut out = Vec::new();
                frame.emit(&mut out);
                prop_assert_eq!(out, octets);
            }
        }
    }
}
