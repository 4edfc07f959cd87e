//! Cutting an IPv4 packet into fragments (RFC 791 section 3.2, RFC 1812 section 4.2.2.7).

use dataplane::wire::ipv4::{FRAGMENT_UNIT_OCTETS, HEADER_OCTETS, Ipv4Error, Packet};
use thiserror::Error;

/// The least MTU that an IPv4 network may have, in octets (RFC 791): 60 of header and one unit.
pub const MIN_MTU_OCTETS: usize = 68;

const OPTION_END: u8 = 0;
const OPTION_NO_OPERATION: u8 = 1;
/// The bit in an option's first octet that says: into every fragment.
const OPTION_COPIED: u8 = 0x80;

/// Why a packet was not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FragmentError {
    /// Its sender forbids it.
    #[error("the packet may not be cut")]
    DontFragment,
    /// No fragment fits.
    #[error("the MTU is below 68 octets")]
    Mtu,
    /// It is longer than a packet can be.
    #[error(transparent)]
    Packet(#[from] Ipv4Error),
}

/// Cuts `packet` into packets of at most `mtu_octets`, in order. A packet that fits comes back whole.
///
/// # Errors
/// The reason why it cannot be cut.
pub fn fragment(packet: &Packet<'_>, mtu_octets: usize) -> Result<Vec<Vec<u8>>, FragmentError> {
    let mut fragments = Vec::new();
    if packet.total_octets() <= mtu_octets {
        let mut out = Vec::with_capacity(packet.total_octets());
        packet.emit(&mut out)?;
        fragments.push(out);
        return Ok(fragments);
    }
    if packet.dont_fragment {
        return Err(FragmentError::DontFragment);
    }
    if mtu_octets < MIN_MTU_OCTETS {
        return Err(FragmentError::Mtu);
    }
    let later_options = copied_options(packet.options);
    let mut options = packet.options;
    let mut rest = packet.payload;
    let mut offset_octets = usize::from(packet.fragment_offset_octets);
    while !rest.is_empty() {
        let room = mtu_octets - HEADER_OCTETS - options.len();
        let (payload, behind) = if rest.len() <= room {
            (rest, [].as_slice())
        } else {
            rest.split_at(room - room % FRAGMENT_UNIT_OCTETS)
        };
        let mut out = Vec::with_capacity(HEADER_OCTETS + options.len() + payload.len());
        Packet {
            fragment_offset_octets: u16::try_from(offset_octets)
                .map_err(|_| Ipv4Error::TotalLength)?,
            more_fragments: packet.more_fragments || !behind.is_empty(),
            options,
            payload,
            ..*packet
        }
        .emit(&mut out)?;
        fragments.push(out);
        offset_octets += payload.len();
        rest = behind;
        options = &later_options;
    }
    Ok(fragments)
}

/// The options that go into every fragment, padded to a multiple of four octets. What is malformed ends the list.
fn copied_options(options: &[u8]) -> Vec<u8> {
    let mut copied = Vec::new();
    let mut rest = options;
    while let [kind, behind @ ..] = rest {
        rest = match *kind {
            OPTION_END => break,
            OPTION_NO_OPERATION => behind,
            kind => {
                let octets = usize::from(behind.first().copied().unwrap_or(0));
                let (Some(option), Some(next)) = (rest.get(..octets), rest.get(octets..)) else {
                    break;
                };
                if octets < 2 {
                    break;
                }
                if kind & OPTION_COPIED != 0 {
                    copied.extend_from_slice(option);
                }
                next
            }
        };
    }
    copied.resize(copied.len().next_multiple_of(4), OPTION_END);
    copied
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use dataplane::wire::ipv4::Protocol;
    use proptest::prelude::*;

    use super::*;

    const PACKET: Packet<'static> = Packet {
        traffic_class: 0x10,
        identification: 77,
        reserved_flag: false,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset_octets: 0,
        ttl: 9,
        protocol: Protocol::UDP,
        source: Ipv4Addr::new(192, 0, 2, 1),
        destination: Ipv4Addr::new(198, 51, 100, 2),
        options: &[],
        payload: &[],
    };

    #[test]
    fn a_packet_that_fits_stays_whole() {
        let packet = Packet {
            payload: &[1; 100],
            dont_fragment: true,
            ..PACKET
        };
        let fragments = fragment(&packet, 120).unwrap();
        assert_eq!(fragments.len(), 1);
        assert_eq!(Packet::parse(&fragments[0]), Ok(packet));
    }

    #[test]
    fn a_long_packet_is_cut_at_units_of_eight_octets() {
        let payload = [7; 1480];
        let packet = Packet {
            payload: &payload,
            ..PACKET
        };
        let fragments = fragment(&packet, 579).unwrap();
        let seen: Vec<_> = fragments
            .iter()
            .map(|octets| Packet::parse(octets).unwrap())
            .map(|part| {
                (
                    part.fragment_offset_octets,
                    part.payload.len(),
                    part.more_fragments,
                )
            })
            .collect();
        assert_eq!(seen, [(0, 552, true), (552, 552, true), (1104, 376, false)]);
    }

    #[test]
    fn a_fragment_that_is_cut_again_keeps_its_place_and_its_more_fragments() {
        let packet = Packet {
            payload: &[7; 80],
            fragment_offset_octets: 160,
            more_fragments: true,
            ..PACKET
        };
        let fragments = fragment(&packet, 68).unwrap();
        let seen: Vec<_> = fragments
            .iter()
            .map(|octets| Packet::parse(octets).unwrap())
            .map(|part| (part.fragment_offset_octets, part.more_fragments))
            .collect();
        assert_eq!(seen, [(160, true), (208, true)]);
    }

    #[test]
    fn only_options_marked_for_it_go_into_later_fragments() {
        // Record route (not copied), no operation, router alert (copied), end.
        let options = [7, 3, 4, 1, 0x94, 4, 0, 0, 0, 0, 0, 0];
        let packet = Packet {
            payload: &[7; 100],
            options: &options,
            ..PACKET
        };
        let fragments = fragment(&packet, 80).unwrap();
        assert_eq!(Packet::parse(&fragments[0]).unwrap().options, options);
        for later in &fragments[1..] {
            assert_eq!(Packet::parse(later).unwrap().options, [0x94, 4, 0, 0]);
        }
    }

    #[test]
    fn malformed_options_are_left_out() {
        for options in [[0x94, 0, 0, 0], [0x94, 1, 0, 0], [0x94, 5, 0, 0]] {
            assert_eq!(copied_options(&options), [0; 0]);
        }
        assert_eq!(copied_options(&[1, 1, 1, 0x94]), [0; 0]);
    }

    #[test]
    fn what_may_not_or_cannot_be_cut_is_refused() {
        let mut packet = Packet {
            payload: &[7; 100],
            ..PACKET
        };
        assert_eq!(fragment(&packet, 67), Err(FragmentError::Mtu));
        packet.dont_fragment = true;
        assert_eq!(fragment(&packet, 100), Err(FragmentError::DontFragment));
    }

    proptest! {
        #[test]
        fn fragments_fit_and_make_up_the_packet_again(
            payload in prop::collection::vec(any::<u8>(), 0..3000),
            options in prop::collection::vec(any::<[u8; 4]>(), 0..=10),
            units in 0_u16..1000,
            more_fragments: bool,
            mtu_octets in MIN_MTU_OCTETS..1600,
        ) {
            let options = options.concat();
            let packet = Packet {
                payload: &payload,
                options: &options,
                fragment_offset_octets: units * 8,
                more_fragments,
                ..PACKET
            };
            let fragments = fragment(&packet, mtu_octets).unwrap();
            let mut whole = Vec::new();
            for (number, octets) in fragments.iter().enumerate() {
                prop_assert!(octets.len() <= mtu_octets);
                let part = Packet::parse(octets).unwrap();
                let offset_octets = usize::from(part.fragment_offset_octets);
                prop_assert_eq!(offset_octets, usize::from(units) * 8 + whole.len());
                let last = number + 1 == fragments.len();
                prop_assert_eq!(part.more_fragments, more_fragments || !last);
                if number == 0 {
                    prop_assert_eq!(part.options, packet.options);
                }
                whole.extend_from_slice(part.payload);
            }
            prop_assert_eq!(whole, payload);
        }
    }
}
