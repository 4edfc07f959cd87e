//! The fields of an Ethernet and IPv4 header as the road reads them: from one array of 34 octets, without bounds checks.
//! Complete views with every check are in `wire/`.

use crate::dpdk::Mbuf;

pub(super) const ETHERNET_OCTETS: usize = 14;
pub(super) const HEADERS_OCTETS: usize = 34;

/// An Ethernet header and an IPv4 header without options.
pub(super) type Headers = [u8; HEADERS_OCTETS];

/// The low 48 bits: a MAC as a word.
pub(super) const MAC_BITS: u64 = (1 << 48) - 1;

/// The first five octets of an IPv4 virtual MAC, and where they stand in a word.
pub(super) const VIRTUAL_MAC: u64 = u64::from_le_bytes([0x00, 0x00, 0x5e, 0x00, 0x01, 0, 0, 0]);
pub(super) const VIRTUAL_MAC_BITS: u64 = (1 << 40) - 1;

/// The IP protocol of VRRP.
pub(super) const VRRP: u8 = 112;

/// Whether a frame is of VRRP over IPv4: an advertisement, or a message of the extension.
pub(crate) fn is_vrrp(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x00]) && frame.get(PROTOCOL_AT) == Some(&VRRP)
}

macro_rules! field {
    ($(#[$doc:meta])* $name:ident: $type:ident = $from:ident at $at:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name(headers: &Headers) -> $type {
            const END: usize = $at + size_of::<$type>();
            const { assert!(END <= HEADERS_OCTETS) };
            // One load: the position is known to lie within the array.
            headers[$at..].first_chunk().map_or(0, |octets| <$type>::$from(*octets))
        }
    };
}

field!(first_octets: u64 = from_le_bytes at 0);
field!(
    /// The source MAC and the EtherType.
    from_octets: u64 = from_le_bytes at 6
);
field!(
    /// The IP packet's total length.
    total_octets: u16 = from_be_bytes at 16
);
field!(
    /// Flags and fragment offset.
    fragment_bits: u16 = from_be_bytes at 20
);
field!(
    /// Source address.
    source: u32 = from_be_bytes at 26
);
field!(
    /// Destination address.
    destination: u32 = from_be_bytes at 30
);
field!(
    /// The first eight octets of the IPv4 header.
    first_ipv4_octets: u64 = from_le_bytes at 14
);
field!(
    /// TTL, protocol and checksum.
    hop_octets: u32 = from_le_bytes at 22
);
field!(
    /// The source address, as it stands.
    source_octets: u32 = from_le_bytes at 26
);
field!(
    /// The destination address, as it stands.
    destination_octets: u32 = from_le_bytes at 30
);

pub(super) const TTL_AT: usize = 22;
pub(super) const PROTOCOL_AT: usize = 23;

/// "Do not fragment" in [`fragment_bits`].
pub(super) const DONT_FRAGMENT: u16 = 0x4000;

/// The source MAC, as a word.
#[inline(always)]
pub(super) fn source_mac(headers: &Headers) -> u64 {
    from_octets(headers) & MAC_BITS
}

/// The destination MAC, as a word.
#[inline(always)]
pub(super) fn destination_mac(headers: &Headers) -> u64 {
    first_octets(headers) & MAC_BITS
}

/// Zero if the sum over an IPv4 header without options is right, which is in five words (RFC 1071: the order of octets does
/// not matter).
#[inline(always)]
pub(super) fn checksum_error(header: [u32; 5]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let [a, b, c, d, e] = header.map(fold);
    // A sum of ten words of 16 bits is below 2^20, so that two more folds leave at most 0xffff and 15: of the multiples of
    // 0xffff that is 0xffff itself, or zero for a header of zeros alone.
    fold(fold(a + b + c + d + e)) ^ 0xffff
}

/// Whether the TTL of an IPv4 packet does not suffice for one more hop.
pub(super) fn is_too_old(mbuf: &Mbuf) -> bool {
    mbuf.data().get(TTL_AT).is_none_or(|&ttl| ttl <= 1)
}

/// [`hop_octets`] after the TTL went down by one; the TTL is not zero. The checksum goes up by as much, in one's
/// complement (RFC 1624 equation 3, where m - m' = 1 in the order of the octets as read here).
#[inline(always)]
pub(super) fn after_a_hop(hop_octets: u32) -> u32 {
    const BY_ONE: u32 = (1 << 16) - 1;
    if hop_octets < 0xfffe_0000 {
        hop_octets + BY_ONE
    } else {
        end_around(hop_octets)
    }
}

#[cold]
fn end_around(hop_octets: u32) -> u32 {
    hop_octets.wrapping_add((2 << 16) - 1)
}

/// Whether an address cannot be that of a host: 0/8, 127/8, or 224/3.
#[inline(always)]
pub(super) const fn is_no_host(address: u32) -> bool {
    matches!(address >> 24, 0 | 127 | 224..)
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
            let error = |headers: &Headers| {
                let (words, _) = headers[ETHERNET_OCTETS..].as_chunks();
                checksum_error(std::array::from_fn(|word| u32::from_le_bytes(words[word])))
            };
            let mut headers = with_checksum(header);
            prop_assert_eq!(error(&headers), 0);
            let right = u16::from_be_bytes([headers[24], headers[25]]);
            headers[24..26].copy_from_slice(&wrong.to_be_bytes());
            // Zero has two forms in this arithmetic.
            let is_zero = |sum: u16| matches!(sum, 0 | 0xffff);
            let same = wrong == right || is_zero(wrong) && is_zero(right);
            prop_assert_eq!(error(&headers) == 0, same);
        }

        #[test]
        fn the_checksum_after_a_hop_is_what_a_full_sum_gives(mut header: [u8; 20], ttl in 1u8..) {
            header[8] = ttl;
            let before = with_checksum(header);
            header[8] = ttl - 1;
            let after = with_checksum(header);
            prop_assert_eq!(after_a_hop(hop_octets(&before)), hop_octets(&after));
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
