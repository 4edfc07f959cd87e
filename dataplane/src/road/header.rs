//! The fields of an Ethernet and IPv4 header as the road reads them: from one array of 34 octets, without bounds checks.
//! Complete views with every check are in `wire/`.

pub(super) const ETHERNET_OCTETS: usize = 14;
pub(super) const HEADERS_OCTETS: usize = 34;

/// An Ethernet header and an IPv4 header without options.
pub(super) type Headers = [u8; HEADERS_OCTETS];

/// The low 48 bits: a MAC as a word.
pub(super) const MAC_BITS: u64 = (1 << 48) - 1;

/// The first five octets of an IPv4 virtual MAC, and where they stand in a word.
pub(super) const VIRTUAL_MAC: u64 = u64::from_le_bytes([0x00, 0x00, 0x5e, 0x00, 0x01, 0, 0, 0]);
pub(super) const VIRTUAL_MAC_BITS: u64 = (1 << 40) - 1;

macro_rules! field {
    ($(#[$doc:meta])* $name:ident: $type:ty = $from:ident[$($at:literal)*]) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name(headers: &Headers) -> $type {
            <$type>::$from([$(headers[$at]),*])
        }
    };
}

field!(
    /// Octets 0 to 7: the destination MAC and two octets of the source MAC.
    mac_octets: u64 = from_le_bytes[0 1 2 3 4 5 6 7]
);
field!(
    /// Octets 6 to 13: the source MAC and the EtherType.
    source_mac_octets: u64 = from_le_bytes[6 7 8 9 10 11 12 13]
);
field!(
    /// Octets 12 to 15: EtherType, version and header length, type of service.
    type_octets: u32 = from_le_bytes[12 13 14 15]
);
field!(
    /// The IP packet's total length.
    total_octets: u16 = from_be_bytes[16 17]
);
field!(
    /// Flags and fragment offset.
    fragment_bits: u16 = from_be_bytes[20 21]
);
field!(
    /// Source address.
    source: u32 = from_be_bytes[26 27 28 29]
);
field!(
    /// Destination address.
    destination: u32 = from_be_bytes[30 31 32 33]
);
field!(first_half: u64 = from_le_bytes[14 15 16 17 18 19 20 21]);
field!(second_half: u64 = from_le_bytes[22 23 24 25 26 27 28 29]);
field!(last_word: u32 = from_le_bytes[30 31 32 33]);

pub(super) const TTL_AT: usize = 22;
pub(super) const PROTOCOL_AT: usize = 23;
pub(super) const CHECKSUM_AT: usize = 24;

/// "Do not fragment" in [`fragment_bits`].
pub(super) const DONT_FRAGMENT: u16 = 0x4000;

/// Whether the sum over an IPv4 header without options is right (RFC 1071: its order of octets does not matter).
#[inline(always)]
pub(super) fn checksum_is_right(headers: &Headers) -> bool {
    let (sum, carry) = first_half(headers).overflowing_add(second_half(headers));
    let sum = (sum & 0xffff_ffff) + (sum >> 32) + u64::from(carry) + u64::from(last_word(headers));
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum == 0xffff
}

/// The header checksum after the TTL went down by one, from the one before, both as read in little-endian order
/// (RFC 1624 equation 3, with m - m' = 1).
#[inline(always)]
pub(super) fn checksum_after_ttl(checksum: u16) -> u16 {
    let sum = u32::from(!checksum) + 0xfffe;
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Whether an address cannot be that of a host: 0/8, 127/8, or 224/3.
#[inline(always)]
pub(super) fn is_no_host(address: u32) -> bool {
    let top = address >> 24;
    (top.wrapping_sub(1) >= 223) | (top == 127)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::checksum;

    fn with_checksum(mut header: [u8; 20]) -> Headers {
        header[10..12].fill(0);
        let sum = checksum::of(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut headers = [0; HEADERS_OCTETS];
        headers[ETHERNET_OCTETS..].copy_from_slice(&header);
        headers
    }

    proptest! {
        #[test]
        fn a_right_checksum_passes_and_any_other_does_not(header: [u8; 20], wrong: u16) {
            let mut headers = with_checksum(header);
            prop_assert!(checksum_is_right(&headers));
            let right = u16::from_be_bytes([headers[CHECKSUM_AT], headers[CHECKSUM_AT + 1]]);
            headers[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&wrong.to_be_bytes());
            // Zero has two forms in this arithmetic.
            let is_zero = |sum: u16| matches!(sum, 0 | 0xffff);
            let same = wrong == right || is_zero(wrong) && is_zero(right);
            prop_assert_eq!(checksum_is_right(&headers), same);
        }

        #[test]
        fn the_checksum_after_a_hop_is_what_a_full_sum_gives(mut header: [u8; 20], ttl in 1u8..) {
            header[8] = ttl;
            let before = with_checksum(header);
            header[8] = ttl - 1;
            let after = with_checksum(header);
            let read = |headers: &Headers| u16::from_le_bytes([headers[CHECKSUM_AT], headers[CHECKSUM_AT + 1]]);
            prop_assert_eq!(checksum_after_ttl(read(&before)), read(&after));
        }
    }

    #[test]
    fn addresses_that_no_host_has() {
        for (top, none) in [
            (0, true),
            (1, false),
            (126, false),
            (127, true),
            (128, false),
            (223, false),
            (224, true),
            (255, true),
        ] {
            assert_eq!(is_no_host(top << 24 | 1), none, "{top}");
        }
    }
}
