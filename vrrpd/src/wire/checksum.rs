//! The Internet checksum (RFC 1071) and the pseudo-headers that VRRP may put before a message.
//! Which of them a message carries is the business of the message's own file.

use std::net::IpAddr;

use super::PROTOCOL;

/// A running one's complement sum.
///
/// 64 bits wide, so that no message can overflow it before it is folded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds `octets`, which start at an even offset of what is summed; an odd last octet is padded with zero.
    pub(crate) fn add(mut self, octets: &[u8]) -> Sum {
        let (pairs, odd) = octets.as_chunks::<2>();
        for pair in pairs {
            self.0 += u64::from(u16::from_be_bytes(*pair));
        }
        if let [last] = odd {
            self.0 += u64::from(*last) << 8;
        }
        self
    }

    /// Adds the pseudo-header of a VRRP message of `len` octets from `src` to `dst`.
    ///
    /// The IPv4 form of RFC 793 and the IPv6 form of RFC 8200 §8.1 differ in layout but not in what they sum to.
    pub(crate) fn add_pseudo_header(self, src: IpAddr, dst: IpAddr, len: usize) -> Sum {
        let mut sum = self.add_address(src).add_address(dst);
        sum.0 += u64::from(PROTOCOL) + len as u64;
        sum
    }

    fn add_address(self, address: IpAddr) -> Sum {
        match address {
            IpAddr::V4(address) => self.add(&address.octets()),
            IpAddr::V6(address) => self.add(&address.octets()),
        }
    }

    /// The checksum to write into a message whose checksum field was summed as zero.
    pub(crate) fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether what was summed, its checksum field included, is intact.
    pub(crate) fn is_intact(self) -> bool {
        self.fold() == u16::MAX
    }

    fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_matches_the_worked_example_of_rfc_1071() {
        let sum = Sum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
        assert_eq!(sum.checksum(), !0xddf2);
    }

    #[test]
    fn an_odd_last_octet_counts_as_the_high_half_of_a_word() {
        assert_eq!(Sum::default().add(&[0x12]).fold(), 0x1200);
    }
}
