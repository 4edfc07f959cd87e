//! Station 3: whether this router is in charge of a packet that came to a group's virtual MAC. Frames for the port's own
//! MAC are always its own to route.

use super::packets::{Places, runs};
use super::watch::{Judged, watch};
use super::{Doors, Packets};
use crate::counters::DiscardReason;
use crate::dpdk::BURST_MAX;
use crate::shared::ConditionOctets;
use crate::tables::{MatchOn, PortTable, Tables};
use crate::verdict::{Entry, Verdict};

/// Keeps the packets that this router is to route, and counts their octets under their condition.
#[inline]
pub(crate) fn verdict(packets: &mut Packets, port_index: u16, tables: &Tables, doors: &mut Doors) {
    if packets.any_to_group
        && let Some(port) = tables.ports.get(usize::from(port_index))
    {
        if !judge(packets, port) {
            turn_away(packets, port, port_index, tables, doors);
        }
        count(packets, &doors.shared.conditions);
    } else {
        packets.notes.entries.fill(Entry::NONE);
    }
}

/// Looks up the verdicts; whether all are plain ones to route.
#[inline(never)]
fn judge(packets: &mut Packets, port: &PortTable) -> bool {
    let places = packets.places();
    let notes = &mut packets.notes;
    let mut all = true;
    for run in runs(&notes.vias[places]) {
        let Some(group) = port.group(notes.vias[run.start]) else {
            notes.entries[run].fill(Entry::NONE);
            continue;
        };
        let addresses = match group.match_on {
            MatchOn::Source => &notes.sources,
            MatchOn::Destination => &notes.destinations,
        };
        all &= group
            .verdicts
            .judge_all(&addresses[run.clone()], &mut notes.entries[run]);
    }
    all
}

/// Counts the octets of what is routed.
#[inline(never)]
pub(super) fn count(packets: &Packets, conditions: &ConditionOctets) {
    let places = packets.places();
    let entries = packets.notes.entries[places.clone()].iter();
    let octets = packets.notes.total_octets[places].iter();
    let by_condition = entries
        .zip(octets)
        .map(|(entry, &octets)| (entry.condition(), u64::from(octets)));
    conditions.add_all(by_condition);
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
