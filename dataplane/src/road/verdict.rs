//! Station 3: whether this router is in charge of a packet that came to a group's virtual MAC. Frames for the port's own
//! MAC are always its own to route.

use super::packets::{Places, runs};
use super::watch::{Judged, watch};
use super::{Doors, OWN_MAC, Packets};
use crate::counters::DiscardReason;
use crate::dpdk::BURST_MAX;
use crate::octets::Tally;
use crate::tables::{MatchOn, PortTable, Tables};
use crate::verdict::{Entry, Verdict, VerdictTable};

/// Keeps the packets that this router is to route, and counts their octets under their condition.
#[inline]
pub(crate) fn verdict(packets: &mut Packets, port_index: u16, tables: &Tables, doors: &mut Doors) {
    if packets.notes.one_via != Some(OWN_MAC)
        && let Some(port) = tables.ports.get(usize::from(port_index))
    {
        let places = packets.places();
        let counted = if let Some(group) = packets.notes.one_via.and_then(|via| port.group(via)) {
            let (addresses, octets, entries) = packets.notes.judged_by(group.match_on);
            judge_group(
                &group.verdicts,
                &addresses[places.clone()],
                &octets[places.clone()],
                &mut entries[places],
                &mut doors.tally,
            )
        } else {
            judge_groups(packets, port, &mut doors.tally);
            0
        };
        let rest = counted..packets.places().end;
        if !rest.is_empty() {
            if !Entry::are_plain_routes(&packets.notes.entries[rest]) {
                turn_away(packets, port, port_index, tables, doors);
            }
            count(packets, counted, &doors.tally);
        }
    } else {
        packets.notes.entries.fill(Entry::NONE);
    }
}

/// Looks up the verdicts on packets that came to several groups, or to some and to the port's own MAC.
#[inline(never)]
fn judge_groups(packets: &mut Packets, port: &PortTable, tally: &mut Tally) {
    let (places, notes) = (packets.places(), &mut packets.notes);
    let vias = notes.vias;
    for run in runs(&vias[places]) {
        match port.group(vias[run.start]) {
            Some(group) => {
                tally.cover(group.verdicts.end());
                let (addresses, _, entries) = notes.judged_by(group.match_on);
                let verdicts = &group.verdicts;
                verdicts.get_all(&addresses[run.clone()], &mut entries[run]);
            }
            None => notes.entries[run].fill(Entry::NONE),
        }
    }
}

/// Looks up the verdicts on packets that all came to one group. First packets, as long as they are plainly to be routed, are
/// counted in passing; returns how many those are.
#[inline(always)]
fn judge_group(
    verdicts: &VerdictTable,
    addresses: &[u32],
    octets: &[u16],
    entries: &mut [Entry],
    tally: &mut Tally,
) -> usize {
    tally.cover(verdicts.end());
    if let Some(entry) = verdicts.on_everyone() {
        entries.fill(entry);
        if !entry.is_plain_route() {
            return 0;
        }
        tally.add_to_one(entry, octets);
        return entries.len();
    }
    let mut counted = 0;
    if let Some(connected) = verdicts.connected(addresses, entries)
        && let Some(counters) = tally.of(connected.conditions.clone())
    {
        // By eights, so that there are few jumps: most often all are to be routed.
        let (eights, _) = addresses.as_chunks::<8>();
        let (eights_of_octets, _) = octets.as_chunks::<8>();
        for (addresses, octets) in eights.iter().zip(eights_of_octets) {
            if !connected.are_plain_routes(addresses) {
                break;
            }
            counters.add_each(addresses, octets);
            counted += addresses.len();
        }
    }
    if counted < addresses.len() {
        verdicts.get_all(&addresses[counted..], &mut entries[counted..]);
    }
    counted
}

/// Counts the octets of what is routed, but for the first packets, which are counted already.
#[inline(never)]
pub(super) fn count(packets: &Packets, counted: usize, tally: &Tally) {
    let (notes, rest) = (&packets.notes, counted..packets.places().end);
    tally.add_all(&notes.entries[rest.clone()], &notes.total_octets[rest]);
}

/// Leads out what another router is in charge of, and what is to wait.
#[inline(never)]
fn turn_away(
    packets: &mut Packets,
    port: &PortTable,
    port_index: u16,
    tables: &Tables,
    doors: &mut Doors,
) {
    if is_plain_discard(packets, tables) {
        return doors.discard_all(&mut packets.mbufs, DiscardReason::NotInCharge);
    }
    let (mut discarded, odd) = sort_out(packets, tables);
    if !odd.is_empty() {
        turn_odd_away(packets, odd, port, port_index, tables, doors);
        discarded = sort_out(packets, tables).0;
    }
    doors.discard_all(packets.take_out(discarded), DiscardReason::NotInCharge);
}

/// Whether the whole burst is to be discarded, and there is no more to it.
#[inline(always)]
fn is_plain_discard(packets: &Packets, tables: &Tables) -> bool {
    let (own, places) = (tables.own.filter(), packets.places());
    packets.notes.entries[places.clone()]
        .iter()
        .fold(true, |all, entry| all & entry.is_plain_discard())
        && !packets.notes.destinations[places]
            .iter()
            .any(|destination| own.may_contain(destination.to_be()))
}

/// Where those are that are to be discarded, and those with which there is more to it.
#[inline(always)]
fn sort_out(packets: &Packets, tables: &Tables) -> (Places, Places) {
    let own = tables.own.filter();
    let (mut discarded, mut odd) = (Places::NONE, Places::NONE);
    for place in packets.places() {
        let entry = packets.notes.entries[place];
        let may_be_own = own.may_contain(packets.notes.destinations[place].to_be());
        let plain_discard = entry.is_plain_discard();
        discarded.add_if(plain_discard, place);
        odd.add_if(
            !entry.is_plain_route() & (!plain_discard | may_be_own),
            place,
        );
    }
    (discarded, odd)
}

/// Deals with what is on hold or watched, or may be for this router itself. Of those, only what is
/// to be routed stays.
#[cold]
fn turn_odd_away(
    packets: &mut Packets,
    odd: Places,
    port: &PortTable,
    port_index: u16,
    tables: &Tables,
    doors: &mut Doors,
) {
    packets.sift(odd, |mbuf, notes, place| {
        let place = place % BURST_MAX;
        let (entry, via) = (notes.entries[place], notes.vias[place]);
        let is_routed = !entry.is_plain_discard()
            && port.group(via).is_some_and(|group| {
                let judged = Judged {
                    mbuf: &mbuf,
                    entry,
                    address: match group.match_on {
                        MatchOn::Source => notes.sources[place],
                        MatchOn::Destination => notes.destinations[place],
                    },
                    group,
                    via,
                    port: port_index,
                };
                watch(&judged, tables, doors)
            });
        if is_routed {
            notes.entries[place] = Entry::route(entry.condition());
        } else if tables.own.contains(notes.destinations[place]) {
            // Only who answers for an address has it among its own, and answers whoever asks.
            notes.entries[place] = Entry::NONE;
        } else if entry.verdict() == Verdict::Hold {
            doors.prepare(notes.destinations[place], tables);
            doors.hold(mbuf, entry.condition(), port_index, via);
            return None;
        } else {
            doors.discard(mbuf, DiscardReason::NotInCharge);
            return None;
        }
        Some(mbuf)
    });
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::addr::Ipv4Prefix;
    use crate::octets::ConditionOctets;

    fn verdict() -> impl Strategy<Value = (Verdict, bool)> {
        prop_oneof![
            12 => Just((Verdict::Route, false)),
            1 => Just((Verdict::Discard, false)),
            1 => Just((Verdict::Hold, false)),
            1 => Just((Verdict::Route, true)),
        ]
    }

    const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);

    /// Addresses on both sides of a border of the connected network, most of them inside.
    fn address() -> impl Strategy<Value = Ipv4Addr> {
        (0u32..400).prop_map(|offset| (NETWORK.to_bits() - 8 + offset).into())
    }

    proptest! {
        #[test]
        fn a_burst_is_judged_and_counted_as_each_packet_by_itself(
            connected in prop::option::of(22u8..=32),
            conditions in prop::collection::vec((address(), verdict()), 0..500),
            rest in verdict(),
            packets in prop::collection::vec((address(), any::<u16>()), 0..=BURST_MAX),
        ) {
            let mut builder = VerdictTable::builder(rest.0, 1000);
            if rest.1 {
                builder = builder.watch_rest();
            }
            let connected = connected.map(|length| Ipv4Prefix::new(NETWORK, length).unwrap());
            if let Some(network) = connected {
                builder = builder.connected(network, 2000);
            }
            for (condition, (address, (verdict, watched))) in (0..).zip(conditions) {
                let condition = match connected {
                    Some(network) if network.contains(address) => {
                        2000 + address.to_bits() - NETWORK.to_bits()
                    }
                    _ => condition,
                };
                builder = match watched {
                    true => builder.watched(address, verdict, condition),
                    false => builder.condition(address, verdict, condition),
                };
            }
            let verdicts = builder.build().unwrap();
            let (addresses, octets): (Vec<u32>, Vec<u16>) =
                packets.into_iter().map(|(address, octets)| (address.to_bits(), octets)).unzip();
            let mut entries = vec![Entry::NONE; addresses.len()];
            let counters = Arc::new(ConditionOctets::new().unwrap());
            let mut tally = Tally::new(Arc::clone(&counters));
            let counted = judge_group(&verdicts, &addresses, &octets, &mut entries, &mut tally);

            let expected: Vec<Entry> = addresses.iter().map(|&address| verdicts.get(address)).collect();
            prop_assert_eq!(&entries, &expected);
            prop_assert!(expected[..counted].iter().all(|entry| entry.is_plain_route()));
            prop_assert_eq!(
                Entry::are_plain_routes(&entries[counted..]),
                expected[counted..].iter().all(|entry| entry.is_plain_route())
            );
            let mut by_condition = HashMap::<u32, u64>::new();
            for (entry, octets) in expected.iter().zip(octets).take(counted) {
                *by_condition.entry(entry.condition()).or_default() += u64::from(octets);
            }
            for condition in (0..500).chain([1000]).chain(2000..3024) {
                let octets = by_condition.get(&condition).copied().unwrap_or(0);
                prop_assert_eq!(counters.get(condition as usize), octets);
            }
        }
    }

    #[test]
    fn a_burst_that_is_plainly_to_be_routed_is_counted_as_it_is_looked_up() {
        let counters = Arc::new(ConditionOctets::new().unwrap());
        let mut tally = Tally::new(Arc::clone(&counters));
        let (addresses, octets) = ([NETWORK.to_bits(); BURST_MAX], [46; BURST_MAX]);
        let connected = VerdictTable::builder(Verdict::Discard, 0)
            .connected(Ipv4Prefix::new(NETWORK, 24).unwrap(), 1)
            .condition(NETWORK, Verdict::Route, 1)
            .build()
            .unwrap();
        for verdicts in [connected, VerdictTable::uniform(Verdict::Route, 1)] {
            let before = counters.get(1);
            let mut entries = [Entry::NONE; BURST_MAX];
            let counted = judge_group(&verdicts, &addresses, &octets, &mut entries, &mut tally);
            assert_eq!(counted, BURST_MAX);
            assert_eq!(counters.get(1) - before, 46 * BURST_MAX as u64);
        }
    }
}
