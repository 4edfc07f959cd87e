//! What is done beside judging a packet when its condition is being moved, or is still unknown.

use std::net::Ipv4Addr;

use super::Doors;
use crate::addr::MacAddr;
use crate::dpdk::{Mbuf, tsc_cycles};
use crate::handover::Learned;
use crate::tables::{Group, Tables};
use crate::verdict::{Entry, Verdict};

/// A packet under a verdict that is watched, or on hold.
pub(super) struct Judged<'a> {
    pub(super) mbuf: &'a Mbuf,
    pub(super) entry: Entry,
    /// The address that names its end system.
    pub(super) address: u32,
    pub(super) group: &'a Group,
    /// The VRID.
    pub(super) via: u16,
    /// The index of the port that received it.
    pub(super) port: u16,
}

/// Records or remembers the packet, or offers its address, as its condition wants. Whether it is to be routed.
#[cold]
pub(super) fn watch(judged: &Judged<'_>, tables: &Tables, doors: &mut Doors) -> bool {
    let condition = judged.entry.condition();
    match judged.entry.verdict() {
        Verdict::Route => {
            let overflowed = doors.part.accept(condition, judged.mbuf);
            if overflowed > 0 {
                doors.shared.counters.record_overflow.add(overflowed);
            }
            if condition == judged.group.verdicts.rest().condition() {
                learn(judged, tables, doors);
            }
            true
        }
        Verdict::Discard => {
            doors.part.refuse(condition, judged.mbuf, tsc_cycles());
            false
        }
        Verdict::Hold => doors.part.lets_pass(condition),
    }
}

fn learn(judged: &Judged<'_>, tables: &Tables, doors: &mut Doors) {
    let learned = Learned {
        port: judged.port,
        vrid: judged.via as u8,
        address: Ipv4Addr::from_bits(judged.address),
        from: sender(judged.mbuf),
    };
    if !doors
        .learner
        .offer(learned, tables.generation, &doors.shared.learned)
    {
        doors.shared.counters.learn_overflow.add(1);
    }
}

/// The link address that a frame came from.
fn sender(mbuf: &Mbuf) -> MacAddr {
    let source = mbuf.data().get(6..).and_then(<[u8]>::first_chunk);
    source.map_or(MacAddr::default(), |source| MacAddr(*source))
}
