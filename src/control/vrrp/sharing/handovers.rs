//! Moves as the workers number them, and what they accepted in the protocol's words and in the workers'.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dataplane::handover::{AcceptedPackets, HandoverId, TcpMark};
use vrrpd::sharing::names::{Condition, Fingerprint, MoveName};
use vrrpd::sharing::wire;

use super::numbers::Numbers;
use super::verdicts::Verdicts;

/// The moves that the workers have a part in.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    moves: BTreeMap<MoveName, Handover>,
    names: HashMap<HandoverId, MoveName>,
}

#[derive(Debug)]
struct Handover {
    id: HandoverId,
    conditions: Arc<[Condition]>,
}

impl Handovers {
    /// The number of a move, which it gets now if it has none.
    pub(super) fn begin(
        &mut self,
        name: MoveName,
        conditions: &Arc<[Condition]>,
        numbers: &mut Numbers,
    ) -> HandoverId {
        let names = &mut self.names;
        let handover = self.moves.entry(name).or_insert_with(|| {
            let id = numbers.handover();
            names.insert(id, name);
            Handover {
                id,
                conditions: Arc::clone(conditions),
            }
        });
        handover.id
    }

    /// The move with this number.
    pub(super) fn name(&self, id: HandoverId) -> Option<MoveName> {
        self.names.get(&id).copied()
    }

    /// What a move is of.
    pub(super) fn conditions(&self, name: MoveName) -> Arc<[Condition]> {
        let handover = self.moves.get(&name);
        handover.map_or_else(
            || Arc::from([]),
            |handover| Arc::clone(&handover.conditions),
        )
    }

    /// Forgets the moves that are over.
    pub(super) fn forget(&mut self, goes_on: impl Fn(&MoveName) -> bool) {
        let names = &mut self.names;
        self.moves.retain(|name, handover| {
            let goes_on = goes_on(name);
            if !goes_on {
                names.remove(&handover.id);
            }
            goes_on
        });
    }
}

/// What the workers accepted, as a message says it.
pub(super) fn accepted(lists: Vec<AcceptedPackets>, verdicts: &Verdicts) -> Vec<wire::Accepted> {
    let list = |list: AcceptedPackets| {
        Some(wire::Accepted {
            condition: verdicts.condition(list.condition)?,
            overflowed: list.overflowed,
            first_unrouted: list.first_unrouted.map(|mark| wire::TcpMark {
                src: mark.source.into(),
                dst: mark.destination.into(),
                src_port: mark.source_port,
                dst_port: mark.destination_port,
                sequence_number: mark.sequence_number,
            }),
            fingerprints: list.fingerprints.into_iter().map(Fingerprint).collect(),
        })
    };
    lists.into_iter().filter_map(list).collect()
}

/// What a message lists, as the workers say it.
pub(super) fn listed(
    lists: Vec<wire::Accepted>,
    verdicts: &mut Verdicts,
    numbers: &mut Numbers,
) -> Vec<AcceptedPackets> {
    let mark = |mark: wire::TcpMark| match (mark.src, mark.dst) {
        (std::net::IpAddr::V4(source), std::net::IpAddr::V4(destination)) => Some(TcpMark {
            source,
            destination,
            source_port: mark.src_port,
            destination_port: mark.dst_port,
            sequence_number: mark.sequence_number,
        }),
        _ => None,
    };
    let list = |list: wire::Accepted| {
        Some(AcceptedPackets {
            condition: verdicts.index(list.condition, numbers)?,
            overflowed: list.overflowed,
            first_unrouted: list.first_unrouted.and_then(mark),
            fingerprints: list.fingerprints.into_iter().map(|print| print.0).collect(),
        })
    };
    lists.into_iter().filter_map(list).collect()
}
