//! What one worker of the router that gives conditions away records: a fingerprint of every packet that it accepts, and the
//! first TCP packet that it does not.

use std::sync::Arc;

use super::{AcceptedPackets, ConditionSet, TcpMark, fingerprint};
use crate::backlog::Packet;

/// A ring of fingerprints, the oldest of which give way to new ones. All its memory is there from the beginning.
#[derive(Debug)]
pub struct Recording {
    conditions: Arc<ConditionSet>,
    ring: Box<[Recorded]>,
    /// Where the next fingerprint goes.
    next: usize,
    /// Whether the ring has been round.
    full: bool,
    /// By place of the condition.
    of_condition: Box<[OfCondition]>,
}

#[derive(Clone, Copy, Debug)]
struct Recorded {
    fingerprint: u64,
    /// The place of its condition.
    place: u32,
}

#[derive(Clone, Copy, Debug)]
struct OfCondition {
    overflowed: bool,
    /// And when that was, by the worker's clock.
    first_unrouted: Option<(u64, TcpMark)>,
}

/// What became of a packet's fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is on record.
    Recorded,
    /// It is, and another one had to give way.
    Overflowed,
    /// The recording is of other conditions.
    Other,
}

impl Recording {
    /// Room for `room` fingerprints of these conditions. To be made by the control thread, which touches all the memory here.
    #[must_use]
    pub fn new(conditions: &Arc<ConditionSet>, room: usize) -> Self {
        // Not zero, which an allocator would give without the pages behind it.
        let unused = Recorded {
            fingerprint: u64::MAX,
            place: u32::MAX,
        };
        let nothing = OfCondition {
            overflowed: false,
            first_unrouted: None,
        };
        Self {
            ring: vec![unused; room.max(1)].into_boxed_slice(),
            next: 0,
            full: false,
            of_condition: vec![nothing; conditions.as_slice().len()].into_boxed_slice(),
            conditions: Arc::clone(conditions),
        }
    }

    /// Records a packet that was accepted.
    pub fn accept(&mut self, condition: u32, packet: &impl Packet) -> Accepted {
        let Some(place) = self.conditions.place(condition) else {
            return Accepted::Other;
        };
        let recorded = Recorded {
            fingerprint: fingerprint(packet),
            place: place as u32,
        };
        let Some(slot) = self.ring.get_mut(self.next) else {
            return Accepted::Other;
        };
        let before = std::mem::replace(slot, recorded);
        let overflowed = self.full;
        if overflowed && let Some(of_condition) = self.of_condition.get_mut(before.place as usize) {
            of_condition.overflowed = true;
        }
        self.next += 1;
        if self.next == self.ring.len() {
            (self.next, self.full) = (0, true);
        }
        if overflowed {
            Accepted::Overflowed
        } else {
            Accepted::Recorded
        }
    }

    /// Remembers a packet that was discarded at time `now`, if it is the first TCP packet of its condition.
    pub fn refuse(&mut self, condition: u32, packet: &impl Packet, now: u64) {
        if let Some(place) = self.conditions.place(condition)
            && let Some(of_condition) = self.of_condition.get_mut(place)
            && of_condition.first_unrouted.is_none()
            && let Some(mark) = TcpMark::of(packet)
        {
            of_condition.first_unrouted = Some((now, mark));
        }
    }

    /// What several workers recorded of the same conditions, put together: of their first unrouted packets the earliest
    /// counts, as what comes before that was accepted by every worker. Conditions of which nothing was recorded are left out.
    #[must_use]
    pub fn merge(recordings: &[Self]) -> Vec<AcceptedPackets> {
        let Some(first) = recordings.first() else {
            return Vec::new();
        };
        let mut marked = vec![None; first.of_condition.len()];
        let mut merged: Vec<AcceptedPackets> = first
            .conditions
            .as_slice()
            .iter()
            .map(|&condition| AcceptedPackets {
                condition,
                overflowed: false,
                first_unrouted: None,
                fingerprints: Vec::new(),
            })
            .collect();
        for recording in recordings {
            for recorded in recording.iter() {
                if let Some(list) = merged.get_mut(recorded.place as usize) {
                    list.fingerprints.push(recorded.fingerprint);
                }
            }
            for ((list, marked), of_condition) in merged
                .iter_mut()
                .zip(&mut marked)
                .zip(&recording.of_condition)
            {
                list.overflowed |= of_condition.overflowed;
                if let Some((when, mark)) = of_condition.first_unrouted
                    && marked.is_none_or(|earliest| when < earliest)
                {
                    *marked = Some(when);
                    list.first_unrouted = Some(mark);
                }
            }
        }
        merged.retain(|list| {
            list.overflowed || list.first_unrouted.is_some() || !list.fingerprints.is_empty()
        });
        merged
    }

    /// What is on record, oldest first.
    fn iter(&self) -> impl Iterator<Item = &Recorded> {
        let (newer, older) = self.ring.split_at(self.next);
        let older = if self.full { older } else { &[] };
        older.iter().chain(newer)
    }
}
