//! The Internet checksum (RFC 1071), with the pseudo-header of TCP and UDP over IPv4.

use std::net::Ipv4Addr;

use super::ipv4::Protocol;

/// A checksum in the making. Every part that is added but the last must have an even number of octets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// Begins with the pseudo-header of a segment of `octets` octets (RFC 9293 section 3.1, RFC 768).
    #[must_use]
    pub fn pseudo_header(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: Protocol,
        octets: usize,
    ) -> Self {
        let mut sum = Self::default();
        sum.add(&source.octets());
        sum.add(&destination.octets());
        sum.0 += u64::from(protocol.0) + octets as u64;
        sum
    }

    /// Adds `octets`; an odd last one counts as if a zero followed.
    pub fn add(&mut self, octets: &[u8]) {
        let (words, odd) = octets.as_chunks::<2>();
        for word in words {
            self.0 += u64::from(u16::from_be_bytes(*word));
        }
        if let [last] = odd {
            self.0 += u64::from(u16::from_be_bytes([*last, 0]));
        }
    }

    /// The one's complement of the one's complement sum: what the checksum field gets if it was added as zero, and
    /// zero if it was added as received and is right.
    #[must_use]
    pub const fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !(sum as u16)
    }
}

/// The checksum of `octets` alone.
#[must_use]
pub fn of(octets: &[u8]) -> u16 {
    let mut sum = Checksum::default();
    sum.add(octets);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_gives_its_sum() {
        assert_eq!(
            of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }

    #[test]
    fn an_odd_octet_counts_as_the_high_half_of_a_word() {
        assert_eq!(of(&[0x12]), of(&[0x12, 0x00]));
        assert_eq!(of(&[]), 0xffff);
    }

    #[test]
    fn octets_that_hold_their_own_checksum_sum_to_zero() {
        let mut octets = [0x45, 0x00, 0xff, 0xff, 0x00, 0x00, 0xde, 0xad];
        let sum = of(&octets).to_be_bytes();
        octets[4..6].copy_from_slice(&sum);
        assert_eq!(of(&octets), 0);
    }

    #[test]
    fn the_pseudo_header_counts_addresses_protocol_and_length() {
        let source = Ipv4Addr::new(192, 0, 2, 1);
        let destination = Ipv4Addr::new(198, 51, 100, 2);
        let by_hand = of(&[192, 0, 2, 1, 198, 51, 100, 2, 0, 17, 0, 8]);
        let sum = Checksum::pseudo_header(source, destination, Protocol::UDP, 8);
        assert_eq!(sum.finish(), by_hand);
    }
}
