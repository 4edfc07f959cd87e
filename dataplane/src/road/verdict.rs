//! Station 3: whether this router is in charge of a packet that came to a group's virtual MAC. Frames for the port's own
//! MAC are always its own to route.

use super::watch::{Judged, watch};
use super::{Doors, OWN_MAC, Packets, close_ranks};
use crate::counters::DiscardReason;
use crate::tables::{MatchOn, Tables};
use crate::verdict::Verdict;

/// Keeps the packets that this router is to route, and counts their octets under their condition.
#[inline]
pub(crate) fn verdict(packets: &mut Packets, port_index: u16, tables: &Tables, doors: &mut Doors) {
    let Some(port) = tables.ports.get(usize::from(port_index)) else {
        return;
    };
    let (mut gone, mut discarded) = (false, 0);
    for packet in packets.iter_mut() {
        if packet.via == OWN_MAC {
            continue;
        }
        let Some(group) = port.group(packet.via) else {
            continue;
        };
        let address = match group.match_on {
            MatchOn::Source => packet.source,
            MatchOn::Destination => packet.destination,
        };
        let entry = group.verdicts.get(address);
        let mut is_routed = entry.is_plain_route();
        if !is_routed
            && !entry.is_plain_discard()
            && let Some(mbuf) = &packet.mbuf
        {
            let judged = Judged {
                mbuf,
                entry,
                address,
                group,
                via: packet.via,
                port: port_index,
            };
            is_routed = watch(&judged, tables, doors);
        }
        if is_routed {
            packet.condition = entry.condition();
            doors
                .shared
                .conditions
                .add(entry.condition(), u64::from(packet.total_octets));
        } else if !tables.own.contains(packet.destination)
            && let Some(mbuf) = packet.mbuf.take()
        {
            // Only who answers for an address has it among its own, and answers whoever asks.
            gone = true;
            if entry.verdict() == Verdict::Hold {
                doors.hold(mbuf, entry.condition(), port_index, packet.via);
            } else {
                discarded += 1;
                doors.discard_counted(mbuf);
            }
        }
    }
    if gone {
        doors
            .shared
            .counters
            .discards(DiscardReason::NotInCharge)
            .add(discarded);
        close_ranks(packets);
    }
}
