//! TCP segments over IPv4 (RFC 9293): the header only, no connection. Options are kept as octets.

use std::net::Ipv4Addr;
use std::ops::BitOr;

use thiserror::Error;

use super::checksum::Checksum;
use super::ipv4::Protocol;

/// The octets of a header without options.
pub const HEADER_OCTETS: usize = 20;
/// The most octets of options.
pub const MAX_OPTIONS_OCTETS: usize = 40;

const FLAGS: u16 = 0x0fff;

/// The control bits, the reserved ones included: the low twelve bits of their word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronises sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Resets the connection.
    pub const RST: Self = Self(0x04);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(0x10);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why octets are no TCP segment, or why one cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum TcpError {
    /// Fewer than [`HEADER_OCTETS`].
    #[error("shorter than a TCP header")]
    Short,
    /// The data offset is below [`HEADER_OCTETS`] or beyond the octets there are.
    #[error("an impossible TCP data offset")]
    DataOffset,
    /// The checksum is wrong.
    #[error("a wrong TCP checksum")]
    Checksum,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The port that it comes from.
    pub source_port: u16,
    /// The port that it goes to.
    pub destination_port: u16,
    /// The sequence number of its first octet.
    pub sequence: u32,
    /// The next sequence number that the sender expects.
    pub acknowledgement: u32,
    /// The control bits.
    pub flags: Flags,
    /// The octets that the sender will accept, before scaling.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// The options with their padding: a multiple of four octets, at most [`MAX_OPTIONS_OCTETS`].
    pub options: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads the whole of `octets` as a segment that was sent from `source` to `destination`.
    ///
    /// # Errors
    /// The reason why `octets` are no TCP segment.
    pub fn parse(
        octets: &'a [u8],
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> Result<Self, TcpError> {
        let fixed = octets
            .first_chunk::<HEADER_OCTETS>()
            .ok_or(TcpError::Short)?;
        #[rustfmt::skip]
        let [
            s0, s1, d0, d1, n0, n1, n2, n3, a0, a1, a2, a3, f0, f1, w0, w1, _, _, u0, u1,
        ] = *fixed;
        let header_octets = usize::from(f0 >> 4) * 4;
        let options = octets
            .get(HEADER_OCTETS..header_octets)
            .ok_or(TcpError::DataOffset)?;
        let payload = octets.get(header_octets..).ok_or(TcpError::DataOffset)?;
        let mut sum = Checksum::pseudo_header(source, destination, Protocol::TCP, octets.len());
        sum.add(octets);
        if sum.finish() != 0 {
            return Err(TcpError::Checksum);
        }
        Ok(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            sequence: u32::from_be_bytes([n0, n1, n2, n3]),
            acknowledgement: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: Flags(u16::from_be_bytes([f0, f1]) & FLAGS),
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options,
            payload,
        })
    }

    /// The sequence numbers that the segment takes up: its payload, and one each for SYN and FIN.
    #[must_use]
    pub const fn sequence_length(&self) -> u32 {
        self.payload.len() as u32
            + self.flags.contains(Flags::SYN) as u32
            + self.flags.contains(Flags::FIN) as u32
    }

    /// Appends the segment to `out`, as sent from `source` to `destination`.
    ///
    /// # Errors
    /// [`TcpError::DataOffset`] if the options are too long or no multiple of four octets; `out` is then as it was.
    pub fn emit(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        out: &mut Vec<u8>,
    ) -> Result<(), TcpError> {
        if self.options.len() > MAX_OPTIONS_OCTETS || !self.options.len().is_multiple_of(4) {
            return Err(TcpError::DataOffset);
        }
        let header_octets = HEADER_OCTETS + self.options.len();
        let offset_and_flags = (header_octets as u16 / 4) << 12 | (self.flags.0 & FLAGS);
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [n0, n1, n2, n3] = self.sequence.to_be_bytes();
        let [a0, a1, a2, a3] = self.acknowledgement.to_be_bytes();
        let [f0, f1] = offset_and_flags.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urgent.to_be_bytes();
        #[rustfmt::skip]
        let mut header = [
            s0, s1, d0, d1, n0, n1, n2, n3, a0, a1, a2, a3, f0, f1, w0, w1, 0, 0, u0, u1,
        ];
        let mut sum = Checksum::pseudo_header(
            source,
            destination,
            Protocol::TCP,
            header_octets + self.payload.len(),
        );
        sum.add(&header);
        sum.add(self.options);
        sum.add(self.payload);
        [header[16], header[17]] = sum.finish().to_be_bytes();
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

    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const DESTINATION: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    #[rustfmt::skip]
    const OCTETS: [u8; 25] = [
        0xc0, 0x00, 0, 80, 0, 0, 0x10, 0, 0, 0, 0, 9, 0x60, 0x12, 0xff, 0xff, 0x63, 0x84, 0, 0,
        2, 4, 5, 0xb4,
        b'x',
    ];

    const SEGMENT: Segment<'static> = Segment {
        source_port: 49152,
        destination_port: 80,
        sequence: 4096,
        acknowledgement: 9,
        flags: Flags(0x12),
        window: 65_535,
        urgent: 0,
        options: &[2, 4, 5, 0xb4],
        payload: b"x",
    };

    fn parse(octets: &[u8]) -> Result<Segment<'_>, TcpError> {
        Segment::parse(octets, SOURCE, DESTINATION)
    }

    #[test]
    fn a_segment_is_read() {
        assert_eq!(parse(&OCTETS), Ok(SEGMENT));
        assert!(SEGMENT.flags.contains(Flags::SYN | Flags::ACK));
        assert!(!SEGMENT.flags.contains(Flags::SYN | Flags::RST));
        assert_eq!(SEGMENT.sequence_length(), 2);
    }

    #[test]
    fn a_segment_is_written() {
        let mut out = Vec::new();
        assert_eq!(SEGMENT.emit(SOURCE, DESTINATION, &mut out), Ok(()));
        assert_eq!(out, OCTETS);
    }

    #[test]
    fn every_impossible_length_is_refused() {
        for octets in 0..HEADER_OCTETS {
            assert_eq!(parse(&OCTETS[..octets]), Err(TcpError::Short));
        }
        for octets in HEADER_OCTETS..24 {
            assert_eq!(parse(&OCTETS[..octets]), Err(TcpError::DataOffset));
        }
        for offset in (0..5).chain(7..16) {
            let mut octets = OCTETS;
            octets[12] = offset << 4;
            assert_eq!(parse(&octets), Err(TcpError::DataOffset));
        }
        assert_eq!(parse(&OCTETS[..24]), Err(TcpError::Checksum));
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut octets = OCTETS;
        octets[24] ^= 1;
        assert_eq!(parse(&octets), Err(TcpError::Checksum));
    }

    #[test]
    fn what_no_data_offset_can_say_is_not_written() {
        for octets in [3, 44] {
            let options = vec![0; octets];
            let segment = Segment {
                options: &options,
                ..SEGMENT
            };
            let mut out = vec![1];
            let written = segment.emit(SOURCE, DESTINATION, &mut out);
            assert_eq!(written, Err(TcpError::DataOffset));
            assert_eq!(out, [1]);
        }
    }

    /// Makes the header that `octets` begin with valid, if there are enough of them.
    fn mended(mut octets: Vec<u8>) -> Vec<u8> {
        let words = 5 + octets.get(12).copied().unwrap_or(0) % 11;
        if octets.len() >= usize::from(words) * 4 {
            octets[12] = words << 4 | octets[12] & 0xf;
            octets[16..18].fill(0);
            let mut sum = Checksum::pseudo_header(SOURCE, DESTINATION, Protocol::TCP, octets.len());
            sum.add(&octets);
            octets[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        }
        octets
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets: Vec<u8>) {
            let _ = parse(&octets);
        }

        #[test]
        fn what_is_read_is_written_back(octets in any::<Vec<u8>>().prop_map(mended)) {
            match parse(&octets) {
                Ok(segment) => {
                    let mut out = Vec::new();
                    prop_assert_eq!(segment.emit(SOURCE, DESTINATION, &mut out), Ok(()));
                    prop_assert_eq!(out, octets);
                }
                Err(reason) => prop_assert!(octets.len() < 60, "{}", reason),
            }
        }
    }
}
