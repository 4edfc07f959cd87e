//! UDP datagrams over IPv4 (RFC 768).

use std::net::Ipv4Addr;

use thiserror::Error;

use super::checksum::Checksum;
use super::ipv4::Protocol;

/// The octets before the payload.
pub const HEADER_OCTETS: usize = 8;

/// Why octets are no UDP datagram, or why one cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum UdpError {
    /// Fewer than [`HEADER_OCTETS`].
    #[error("shorter than a UDP header")]
    Short,
    /// The length field is below [`HEADER_OCTETS`] or beyond the octets there are.
    #[error("an impossible UDP length")]
    Length,
    /// The checksum is wrong.
    #[error("a wrong UDP checksum")]
    Checksum,
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The port that it comes from.
    pub source_port: u16,
    /// The port that it goes to.
    pub destination_port: u16,
    /// Whether it carries a checksum; over IPv4 the sender may leave it out.
    pub has_checksum: bool,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram that was sent from `source` to `destination`; what follows its length is padding.
    ///
    /// # Errors
    /// The reason why `octets` do not begin with a UDP datagram.
    pub fn parse(
        octets: &'a [u8],
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> Result<Self, UdpError> {
        let header = octets
            .first_chunk::<HEADER_OCTETS>()
            .ok_or(UdpError::Short)?;
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *header;
        let octets = octets
            .get(..usize::from(u16::from_be_bytes([l0, l1])))
            .ok_or(UdpError::Length)?;
        let payload = octets.get(HEADER_OCTETS..).ok_or(UdpError::Length)?;
        let has_checksum = [c0, c1] != [0, 0];
        if has_checksum {
            let mut sum = Checksum::pseudo_header(source, destination, Protocol::UDP, octets.len());
            sum.add(octets);
            if sum.finish() != 0 {
                return Err(UdpError::Checksum);
            }
        }
        Ok(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            has_checksum,
            payload,
        })
    }

    /// Appends the datagram to `out`, as sent from `source` to `destination`.
    ///
    /// # Errors
    /// [`UdpError::Length`] if it is longer than 65,535 octets; `out` is then as it was.
    pub fn emit(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        out: &mut Vec<u8>,
    ) -> Result<(), UdpError> {
        let octets = HEADER_OCTETS + self.payload.len();
        let [l0, l1] = u16::try_from(octets)
            .map_err(|_| UdpError::Length)?
            .to_be_bytes();
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let mut header = [s0, s1, d0, d1, l0, l1, 0, 0];
        if self.has_checksum {
            let mut sum = Checksum::pseudo_header(source, destination, Protocol::UDP, octets);
            sum.add(&header);
            sum.add(self.payload);
            let sum = match sum.finish() {
                0 => 0xffff, // zero says that there is none
                sum => sum,
            };
            [header[6], header[7]] = sum.to_be_bytes();
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const DESTINATION: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    const OCTETS: [u8; 11] = [0x82, 0x9a, 0, 53, 0, 11, 0xcc, 0x6e, b'a', b'b', b'c'];

    const DATAGRAM: Datagram<'static> = Datagram {
        source_port: 33434,
        destination_port: 53,
        has_checksum: true,
        payload: b"abc",
    };

    fn parse(octets: &[u8]) -> Result<Datagram<'_>, UdpError> {
        Datagram::parse(octets, SOURCE, DESTINATION)
    }

    #[test]
    fn a_datagram_is_read_and_its_padding_passed_over() {
        assert_eq!(parse(&OCTETS), Ok(DATAGRAM));
        let mut padded = OCTETS.to_vec();
        padded.resize(26, 0);
        assert_eq!(parse(&padded), Ok(DATAGRAM));
    }

    #[test]
    fn a_datagram_is_written() {
        let mut out = Vec::new();
        assert_eq!(DATAGRAM.emit(SOURCE, DESTINATION, &mut out), Ok(()));
        assert_eq!(out, OCTETS);
    }

    #[test]
    fn every_impossible_length_is_refused() {
        for octets in 0..HEADER_OCTETS {
            assert_eq!(parse(&OCTETS[..octets]), Err(UdpError::Short));
        }
        for octets in HEADER_OCTETS..OCTETS.len() {
            assert_eq!(parse(&OCTETS[..octets]), Err(UdpError::Length));
        }
        for length in (0..8).chain(12..=255) {
            let mut octets = OCTETS;
            octets[5] = length;
            assert_eq!(parse(&octets), Err(UdpError::Length));
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused_and_an_absent_one_is_not() {
        let mut octets = OCTETS;
        octets[8] = b'x';
        assert_eq!(parse(&octets), Err(UdpError::Checksum));
        octets[6..8].fill(0);
        assert!(parse(&octets).is_ok_and(|datagram| !datagram.has_checksum));
    }

    #[test]
    fn a_checksum_of_zero_is_written_as_its_other_form() {
        // The port takes up what is missing to the sum that makes the checksum zero.
        let mut datagram = Datagram {
            source_port: 0,
            payload: &[],
            ..DATAGRAM
        };
        let mut out = Vec::new();
        datagram.emit(SOURCE, DESTINATION, &mut out).unwrap();
        datagram.source_port = u16::from_be_bytes([out[6], out[7]]);
        out.clear();
        datagram.emit(SOURCE, DESTINATION, &mut out).unwrap();
        assert_eq!(out[6..8], [0xff, 0xff]);
        assert_eq!(parse(&out), Ok(datagram));
    }

    #[test]
    fn what_no_length_can_say_is_not_written() {
        let long = vec![0; 65_528];
        let datagram = Datagram {
            payload: &long,
            ..DATAGRAM
        };
        let mut out = vec![1];
        let written = datagram.emit(SOURCE, DESTINATION, &mut out);
        assert_eq!(written, Err(UdpError::Length));
        assert_eq!(out, [1]);
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets: Vec<u8>) {
            let _ = parse(&octets);
        }

        #[test]
        fn what_is_written_is_read_back(
            source_port: u16,
            destination_port: u16,
            has_checksum: bool,
            payload: Vec<u8>,
        ) {
            let datagram = Datagram {
                source_port,
                destination_port,
                has_checksum,
                payload: &payload,
            };
            let mut out = Vec::new();
            prop_assert_eq!(datagram.emit(SOURCE, DESTINATION, &mut out), Ok(()));
            prop_assert_eq!(parse(&out), Ok(datagram));
            let mut again = Vec::new();
            prop_assert_eq!(parse(&out).unwrap().emit(SOURCE, DESTINATION, &mut again), Ok(()));
            prop_assert_eq!(again, out);
        }
    }
}
