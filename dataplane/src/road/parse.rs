//! Station 2: which frames are ordinary IPv4 packets to be routed. Whatever is not is looked at again, thoroughly, in
//! `irregular.rs`.

use super::header::{
    ETHERNET_OCTETS, HEADERS_OCTETS, VIRTUAL_MAC, VIRTUAL_MAC_BITS, VRRP, checksum_error,
    destination_octets, first_ipv4_octets, first_octets, from_octets, hop_octets, is_too_old,
    source_octets,
};
use super::irregular::{Fate, examine};
use super::packets::{Column, Notes, Places};
use super::receive::count_octets;
use super::{Doors, OWN_MAC, Packets};
use crate::dpdk::{BURST_MAX, Compute, with_vectors};
use crate::tables::{AddressFilter, PortTable, Tables};

/// The headers of a burst in columns of words, so that the compiler checks several packets at once; laid out as [`Notes`].
#[repr(C, align(64))]
pub(super) struct Words {
    /// Source MAC and EtherType.
    from: Column<u64>,
    /// The IPv4 header: its first eight octets, and the four that follow.
    first: Column<u64>,
    third: Column<u32>,
    source: Column<u32>,
    destination: Column<u32>,
    frame_octets: Column<u16>,
}

impl Words {
    pub(super) const BLANK: Self = Self {
        from: [0; BURST_MAX],
        first: [0; BURST_MAX],
        third: [0; BURST_MAX],
        source: [0; BURST_MAX],
        destination: [0; BURST_MAX],
        frame_octets: [0; BURST_MAX],
    };
}

/// Takes down what the frames received on `port` say, and leads those that are not to be routed to a door.
#[inline]
pub(crate) fn parse(packets: &mut Packets, port_index: u16, tables: &Tables, doors: &mut Doors) {
    let Some(port) = tables.ports.get(usize::from(port_index)) else {
        return;
    };
    let (unread, octets) = take_down(packets, port);
    count_octets(octets, port_index, doors);
    doors.tally.allow(octets);
    if let Some(group) = packets.notes.one_via.and_then(|via| port.group(via)) {
        // It comes while the headers are checked.
        group.verdicts.ask_ahead();
    }
    let doubtful = with_vectors(Check {
        length: packets.mbufs.len(),
        words: &packets.words,
        notes: &mut packets.notes,
        own_mac: port.mac,
        own: tables.own.filter(),
    });
    let irregular = unread.or(doubtful);
    if !irregular.is_empty() {
        examine_each(packets, irregular, port, port_index, tables, doors);
    }
}

/// Takes down headers and recipients; returns where there are none that could be, and the octets of all frames.
#[inline(never)]
fn take_down(packets: &mut Packets, port: &PortTable) -> (Places, u64) {
    let Packets {
        mbufs,
        notes,
        words,
        any_old,
        ..
    } = packets;
    let mut irregular = Places::NONE;
    let mut octets = 0;
    // Who the last packet was for, in the upper bits: most often the next one is for the same.
    let mut recipient = NOBODY;
    (notes.one_via, *any_old) = (None, false);
    let length = mbufs.len();
    let mbufs = &mbufs.as_slice()[..length];
    #[expect(
        clippy::needless_range_loop,
        reason = "a place counted up to the length of a burst needs no check in any column"
    )]
    for place in 0..length {
        let mbuf = &mbufs[place];
        octets += u64::from(mbuf.frame_octets());
        let data = mbuf.data();
        let Some(headers) = data.first_chunk() else {
            irregular.add(place);
            continue;
        };
        let to = first_octets(headers) << 16;
        if to != recipient {
            let Some(via) = via(to >> 16, port) else {
                irregular.add(place);
                continue;
            };
            notes.one_via = (recipient == NOBODY).then_some(via);
            recipient = to;
            fill_from(&mut notes.vias, place, via);
        }
        words.from[place] = from_octets(headers);
        words.first[place] = first_ipv4_octets(headers);
        words.third[place] = hop_octets(headers);
        words.source[place] = source_octets(headers);
        words.destination[place] = destination_octets(headers);
        words.frame_octets[place] = data.len() as u16;
        if !mbuf.is_plain() {
            irregular.add(place);
        }
    }
    (irregular, octets)
}

/// What no MAC address is with 16 zeros behind it.
const NOBODY: u64 = 1;

// Not inlined: the loop would count along for it.
#[cold]
#[inline(never)]
fn fill_from(column: &mut Column<u16>, start: usize, value: u16) {
    if let Some(rest) = column.get_mut(start..) {
        rest.fill(value);
    }
}

/// The VRID of a group on the port whose virtual MAC this is, or [`OWN_MAC`]; none if the MAC is not the router's. A group comes
/// first: a port whose own MAC is the virtual one does not route what another router is in charge of.
#[cold]
pub(super) fn via(mac: u64, port: &PortTable) -> Option<u16> {
    let vrid = (mac >> 40) as u8;
    if mac & VIRTUAL_MAC_BITS == VIRTUAL_MAC && port.has_group(vrid) {
        Some(u16::from(vrid))
    } else {
        (mac == port.mac).then_some(OWN_MAC)
    }
}

/// Notes what the packets say, and finds those that something speaks against.
struct Check<'a> {
    length: usize,
    words: &'a Words,
    notes: &'a mut Notes,
    own_mac: u64,
    own: AddressFilter,
}

/// How many packets are checked side by side.
const ABREAST: usize = 8;

impl Compute for Check<'_> {
    type Output = Places;

    #[inline(always)]
    fn compute(self) -> Places {
        let Self { words, notes, .. } = self;
        let mut doubtful = Places::NONE;
        for start in (0..self.length.min(BURST_MAX)).step_by(ABREAST) {
            let from = part(&words.from, start);
            let first = part(&words.first, start);
            let source = part(&words.source, start);
            let destination = part(&words.destination, start);
            let total_octets = first.map(|first| (first as u32).swap_bytes() & 0xffff);
            let doubts = doubts(
                &total_octets,
                &part(&words.frame_octets, start),
                [&low(&from), &high(&from)],
                [
                    &low(&first),
                    &high(&first),
                    &part(&words.third, start),
                    &source,
                    &destination,
                ],
                self.own_mac,
                self.own,
            );
            doubtful = doubtful.or(Places::of_top_bits(doubts, start));
            *part_mut(&mut notes.sources, start) = source.map(u32::from_be);
            *part_mut(&mut notes.destinations, start) = destination.map(u32::from_be);
            *part_mut(&mut notes.total_octets, start) = total_octets.map(|total| total as u16);
        }
        doubtful.within(self.length)
    }
}

/// What speaks against packets: words whose top bit counts.
#[inline(always)]
fn doubts(
    total_octets: &[u32; ABREAST],
    frame_octets: &[u16; ABREAST],
    from: [&[u32; ABREAST]; 2],
    header: [&[u32; ABREAST]; 5],
    own_mac: u64,
    own: AddressFilter,
) -> [u32; ABREAST] {
    let own_mac = [own_mac as u32, (own_mac >> 32) as u32];
    let mut doubts = [0; ABREAST];
    for place in 0..ABREAST {
        let from = from.map(|column| column[place]);
        let header = header.map(|column| column[place]);
        let [first, _, third, source, destination] = header;
        let total_octets = total_octets[place];
        // From a multicast MAC, not IPv4, with options (whatever the type of service), or wrong.
        let not_ordinary = (from[0] & 1)
            | ((from[1] >> 16) ^ 0x0008)
            | ((first & 0xff) ^ 0x45)
            | checksum_error(header);
        doubts[place] = unless_zero(not_ordinary)
            | if_all_zero((from[0] ^ own_mac[0]) | ((from[1] & 0xffff) ^ own_mac[1]))
            | if_all_zero(
                (from[0] ^ VIRTUAL_MAC as u32) | ((from[1] & 0xff) ^ (VIRTUAL_MAC >> 32) as u32),
            )
            | if_below(total_octets, (HEADERS_OCTETS - ETHERNET_OCTETS) as u32)
            | if_below(
                u32::from(frame_octets[place]),
                total_octets + ETHERNET_OCTETS as u32,
            )
            | if_below(third & 0xff, 2)
            | if_zero((third >> 8 & 0xff) ^ u32::from(VRRP))
            | own.top_bit_if_it_may_contain(source)
            | if_no_host(source & 0xff)
            | if_no_host(destination & 0xff);
    }
    doubts
}

// Doubts, from words that leave the top bit clear. Where truth values stand, the compiler branches.

#[inline(always)]
fn unless_zero(word: u32) -> u32 {
    word.wrapping_neg()
}

#[inline(always)]
fn if_zero(word: u32) -> u32 {
    word.wrapping_sub(1)
}

/// As [`if_zero`], of a word that may have its top bit set.
#[inline(always)]
fn if_all_zero(word: u32) -> u32 {
    word.wrapping_sub(1) & !word
}

#[inline(always)]
fn if_below(word: u32, least: u32) -> u32 {
    word.wrapping_sub(least)
}

/// By the first octet of an address; as [`super::header::is_no_host`].
#[inline(always)]
fn if_no_host(first: u32) -> u32 {
    if_zero(first) | if_zero(first ^ 127) | if_below(223, first)
}

#[inline(always)]
fn part<T: Copy + Default>(column: &Column<T>, start: usize) -> [T; ABREAST] {
    let (parts, _) = column.as_chunks();
    parts.get(start / ABREAST).copied().unwrap_or_default()
}

#[inline(always)]
fn part_mut<T>(column: &mut Column<T>, start: usize) -> &mut [T; ABREAST] {
    let (parts, _) = column.as_chunks_mut();
    &mut parts[start / ABREAST % (BURST_MAX / ABREAST)]
}

#[inline(always)]
fn low(words: &[u64; ABREAST]) -> [u32; ABREAST] {
    words.map(|word| word as u32)
}

#[inline(always)]
fn high(words: &[u64; ABREAST]) -> [u32; ABREAST] {
    words.map(|word| (word >> 32) as u32)
}

/// Decides on the packets that are not ordinary, each by itself.
#[cold]
fn examine_each(
    packets: &mut Packets,
    irregular: Places,
    port: &PortTable,
    port_index: u16,
    tables: &Tables,
    doors: &mut Doors,
) {
    let mut any_old = false;
    packets.sift(irregular, |mbuf, notes, place| {
        let place = place % BURST_MAX;
        match examine(&mbuf, port, &tables.own) {
            Fate::Road {
                source,
                destination,
                total_octets,
                via,
            } => {
                notes.sources[place] = source;
                notes.destinations[place] = destination;
                notes.total_octets[place] = total_octets;
                notes.vias[place] = via;
                notes.one_via = notes.one_via.filter(|&one| one == via);
                any_old |= is_too_old(&mbuf);
                return Some(mbuf);
            }
            Fate::Punt { via, reason } => doors.punt(mbuf, port_index, via, reason),
            Fate::Discard(reason) => doors.discard(mbuf, reason),
        }
        None
    });
    packets.any_old = any_old;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::header::Headers;
    use super::super::irregular::examine_frame;
    use super::*;
    use crate::addr::MacAddr;
    use crate::neighbours::mac_word;
    use crate::tables::{Group, MatchOn, OwnAddresses};
    use crate::verdict::{Verdict, VerdictTable};
    use crate::wire::checksum;

    const OWN_MAC_WORD: u64 = 0xaa00_0000_0002;

    /// What is noted of a frame of so many octets that nothing speaks against: source, destination, and octets.
    fn taken_straight(
        headers: &Headers,
        frame_octets: u16,
        own: &OwnAddresses,
    ) -> Option<(u32, u32, u16)> {
        let (mut words, mut notes) = (Words::BLANK, Notes::BLANK);
        words.from[0] = from_octets(headers);
        words.first[0] = first_ipv4_octets(headers);
        words.third[0] = hop_octets(headers);
        words.source[0] = source_octets(headers);
        words.destination[0] = destination_octets(headers);
        words.frame_octets[0] = frame_octets;
        let check = Check {
            length: 1,
            words: &words,
            notes: &mut notes,
            own_mac: OWN_MAC_WORD,
            own: own.filter(),
        };
        check.compute().is_empty().then_some((
            notes.sources[0],
            notes.destinations[0],
            notes.total_octets[0],
        ))
    }

    fn is_doubtful(headers: &Headers) -> bool {
        taken_straight(headers, 60, &OwnAddresses::default()).is_none()
    }

    fn frame(from: [u8; 6], first: u8, ttl: u8, rest: [u8; 4]) -> Headers {
        let mut headers = [0; HEADERS_OCTETS];
        headers[6..12].copy_from_slice(&from);
        headers[12..14].copy_from_slice(&[8, 0]);
        let [service, high, low, host] = rest;
        let ip = &mut headers[ETHERNET_OCTETS..];
        ip[..8].copy_from_slice(&[first, service, 0, 46, high, low, 0, 0]);
        ip[8..10].copy_from_slice(&[ttl, 17]);
        ip[12..20].copy_from_slice(&[10, high, low, host, 20, low, high, host]);
        let sum = checksum::of(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        headers
    }

    #[test]
    fn a_group_comes_before_the_ports_own_mac() {
        let mac = MacAddr::virtual_v4(7);
        let mut port = PortTable::new(mac, 1500);
        assert_eq!(via(mac_word(mac), &port), Some(OWN_MAC));
        let verdicts = Arc::new(VerdictTable::uniform(Verdict::Discard, 0));
        let match_on = MatchOn::Source;
        port.set_group(7, Some(Group { verdicts, match_on }));
        assert_eq!(via(mac_word(mac), &port), Some(7));
    }

    proptest! {
        #[test]
        fn an_ordinary_packet_is_taken_straight_whoever_sent_it(
            mut from: [u8; 6], ttl in 2u8.., rest: [u8; 4],
        ) {
            from[0] &= !1;
            prop_assume!(from[..5] != [0, 0, 0x5e, 0, 1] && from != [2, 0, 0, 0, 0, 0xaa]);
            prop_assert!(!is_doubtful(&frame(from, 0x45, ttl, rest)));
        }

        #[test]
        fn what_is_taken_straight_is_what_a_thorough_look_finds(
            rest: [u8; 4],
            ttl: u8,
            to_group: bool,
            spoilt in prop::collection::vec((6..HEADERS_OCTETS, any::<u8>()), 0..3),
            is_summed: bool,
            frame_octets in HEADERS_OCTETS..80,
            own in prop::collection::vec(any::<u32>(), 0..3),
        ) {
            let virtual_mac = MacAddr::virtual_v4(7);
            let own_mac = MacAddr([2, 0, 0, 0, 0, 0xaa]);
            let mut port = PortTable::new(own_mac, 1500);
            prop_assert_eq!(port.mac, OWN_MAC_WORD);
            let verdicts = Arc::new(VerdictTable::uniform(Verdict::Discard, 0));
            port.set_group(7, Some(Group { verdicts, match_on: MatchOn::Source }));
            let own: OwnAddresses = own.into_iter().map(Ipv4Addr::from_bits).collect();

            let mut headers = frame([2, 0, 0, 0, 0, 1], 0x45, ttl, rest);
            headers[..6].copy_from_slice(&if to_group { virtual_mac } else { own_mac }.0);
            for (place, octet) in spoilt {
                headers[place] = octet;
            }
            if is_summed {
                headers[24..26].fill(0);
                let sum = checksum::of(&headers[ETHERNET_OCTETS..]);
                headers[24..26].copy_from_slice(&sum.to_be_bytes());
            }
            let mut whole = headers.to_vec();
            whole.resize(frame_octets, 0);
            if let Some(noted) = taken_straight(&headers, frame_octets as u16, &own) {
                match examine_frame(&whole, false, &port, &own) {
                    Fate::Road { source, destination, total_octets, via } => {
                        prop_assert_eq!((source, destination, total_octets), noted);
                        prop_assert_eq!(via, if to_group { 7 } else { OWN_MAC });
                    }
                    fate => prop_assert!(false, "{:?}", fate),
                }
            }
        }

        #[test]
        fn every_other_packet_is_looked_at_again(rest: [u8; 4], last: u8) {
            let host = [2, 0, 0, 0, 0, 1];
            for from in [[1, 0, 0, 0, 0, last], [0, 0, 0x5e, 0, 1, last], [2, 0, 0, 0, 0, 0xaa]] {
                prop_assert!(is_doubtful(&frame(from, 0x45, 64, rest)));
            }
            for (first, ttl) in [(0x46, 64), (0x55, 64), (0x45, 1), (0x45, 0)] {
                prop_assert!(is_doubtful(&frame(host, first, ttl, rest)));
            }
            let mut wrong = frame(host, 0x45, 64, rest);
            wrong[ETHERNET_OCTETS + 5] ^= 1 << (last % 8);
            prop_assert!(is_doubtful(&wrong));
        }
    }
}
