//! Letting go of what is held: which packets the router that was in charge has accepted, which therefore go nowhere, and the
//! others in their order. An entry of the lists may belong to a packet of any worker, so all workers claim entries from one table.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::{AcceptedPackets, ConditionSet, TcpMark};
use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::backlog::{Backlog, Held, Packet};

/// A release, shared by all workers. All its memory is the control thread's, which keeps a reference until the workers have given
/// theirs up.
#[derive(Debug)]
pub struct Release {
    conditions: ConditionSet,
    claims: Claims,
    /// Conditions whose list is not complete.
    overflowed: ConditionSet,
    /// By place in `overflowed`: the first unrouted TCP packet.
    marks: Box<[Option<TcpMark>]>,
    /// By worker and place in `overflowed`: how many packets, from the oldest on, are to be dropped.
    older: Box<[AtomicU32]>,
    /// The first generation of tables in which none of the conditions is on hold any more.
    ends_at: AtomicU64,
}

impl Release {
    /// Of what `workers` hold of these conditions, but for what is listed.
    #[must_use]
    pub fn new(conditions: &[u32], lists: &[AcceptedPackets], workers: usize) -> Self {
        let (overflowed, marks): (Vec<u32>, Vec<Option<TcpMark>>) = lists
            .iter()
            .filter(|list| list.overflowed)
            .map(|list| (list.condition, list.first_unrouted))
            .unzip();
        Self {
            conditions: ConditionSet::new(conditions),
            claims: Claims::new(
                lists
                    .iter()
                    .flat_map(|list| list.fingerprints.iter().copied()),
            ),
            older: (0..workers * overflowed.len())
                .map(|_| AtomicU32::new(0))
                .collect(),
            overflowed: ConditionSet::new(&overflowed),
            marks: marks.into_boxed_slice(),
            ends_at: AtomicU64::new(u64::MAX),
        }
    }

    /// The conditions.
    #[must_use]
    pub fn conditions(&self) -> &[u32] {
        self.conditions.as_slice()
    }

    /// Says that from this generation of tables on none of the conditions is on hold. Only the first time counts.
    pub fn end_at(&self, generation: u64) {
        // Published with the tables of that generation; only the control thread writes.
        if !self.is_ending() {
            self.ends_at.store(generation, Ordering::Relaxed);
        }
    }

    /// Whether that was said.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ends_at.load(Ordering::Relaxed) != u64::MAX
    }
}

/// One worker's way through a [`Release`].
#[derive(Debug)]
pub struct Releasing {
    release: Arc<Release>,
    worker: usize,
    /// Whether it is known how much is to be dropped of what is not listed.
    begun: bool,
    /// Whether none is held any more, so that what comes goes straight on.
    through: bool,
}

impl Releasing {
    /// Nothing is done yet.
    #[must_use]
    pub fn new(release: &Arc<Release>, worker: usize) -> Self {
        Self {
            release: Arc::clone(release),
            worker,
            begun: false,
            through: false,
        }
    }

    /// Whether everything that was held is gone.
    #[must_use]
    pub fn is_through(&self) -> bool {
        self.through
    }

    /// Whether packets of a condition that are to be held are to be routed instead.
    #[inline]
    #[must_use]
    pub fn lets_pass(&self, condition: u32) -> bool {
        self.through && self.release.conditions.contains(condition)
    }

    /// Whether it has no more to say about packets that come under tables of this generation.
    #[must_use]
    pub fn is_over(&self, generation: u64) -> bool {
        self.through && self.release.ends_at.load(Ordering::Relaxed) <= generation
    }

    /// Takes at most `max` packets out of the backlog, oldest first, and hands each to `take` with whether it is to be
    /// dropped, as the router that was in charge has accepted it. Returns how many.
    pub fn step<P: Packet>(
        &mut self,
        backlog: &mut Backlog<P>,
        max: usize,
        mut take: impl FnMut(Held<P>, bool),
    ) -> usize {
        if !std::mem::replace(&mut self.begun, true) {
            self.find_places(backlog);
        }
        let mut taken = 0;
        let release = &*self.release;
        let older = self.older();
        self.through = backlog.take_held(
            max,
            |condition| release.conditions.contains(condition),
            |held| {
                taken += 1;
                let listed = release.claims.take(held.fingerprint);
                let old = release
                    .overflowed
                    .place(held.condition)
                    .and_then(|place| older.get(place))
                    .is_some_and(take_one);
                take(held, listed || old);
            },
        );
        taken
    }

    /// This worker's counts of packets to be dropped unlisted.
    fn older(&self) -> &[AtomicU32] {
        let each = self.release.marks.len();
        self.release
            .older
            .get(self.worker * each..(self.worker + 1) * each)
            .unwrap_or_default()
    }

    /// Finds in each overflowed condition's packets the place up to which all are to be dropped.
    fn find_places<P: Packet>(&self, backlog: &Backlog<P>) {
        let release = &*self.release;
        for ((&condition, mark), older) in release
            .overflowed
            .as_slice()
            .iter()
            .zip(&release.marks)
            .zip(self.older())
        {
            let held = || {
                backlog
                    .iter_held()
                    .filter(|held| held.condition == condition)
            };
            let marked = mark
                .and_then(|mark| held().position(|held| TcpMark::of(&held.packet) == Some(mark)));
            let place = marked.or_else(|| {
                let listed = (1..)
                    .zip(held())
                    .filter(|(_, held)| release.claims.lists(held.fingerprint));
                listed.last().map(|(place, _)| place)
            });
            older.store(place.unwrap_or(0) as u32, Ordering::Relaxed);
        }
    }
}

/// Counts down; whether there was anything left.
fn take_one(left: &AtomicU32) -> bool {
    left.load(Ordering::Relaxed) > 0
        && left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
}

/// Fingerprints, each as often as it is listed, for several workers to take.
#[derive(Debug)]
struct Claims {
    /// Open addressing with linear probing, at most half full.
    slots: Box<[Claim]>,
    /// Odd and at random, so that nobody can choose packets that all come to one place.
    multiplier: u64,
    shift: u32,
}

#[derive(Debug, Default)]
struct Claim {
    fingerprint: u64,
    /// How often it is listed; zero when the slot is empty.
    listed: u32,
    /// How often it has not been taken yet.
    left: AtomicU32,
}

impl Claims {
    fn new(fingerprints: impl Iterator<Item = u64> + Clone) -> Self {
        let count = fingerprints.clone().count();
        let bits = (count * 2).next_power_of_two().trailing_zeros().max(1);
        let mut claims = Self {
            slots: (0..1usize << bits).map(|_| Claim::default()).collect(),
            multiplier: RandomState::new().hash_one(count) | 1,
            shift: 64 - bits,
        };
        for fingerprint in fingerprints {
            let place = claims.find(fingerprint);
            if let Some(slot) = claims.slots.get_mut(place) {
                slot.fingerprint = fingerprint;
                slot.listed += 1;
                // Nobody else has it yet.
                slot.left.fetch_add(1, Ordering::Relaxed);
            }
        }
        claims
    }

    /// The slot that has a fingerprint, or the empty one where it is missing.
    fn find(&self, fingerprint: u64) -> usize {
        let last = self.slots.len() - 1;
        let mut place = (fingerprint.wrapping_mul(self.multiplier) >> self.shift) as usize;
        while let Some(slot) = self.slots.get(place)
            && slot.listed > 0
            && slot.fingerprint != fingerprint
        {
            place = (place + 1) & last;
        }
        place
    }

    fn slot(&self, fingerprint: u64) -> Option<&Claim> {
        let slot = self.slots.get(self.find(fingerprint))?;
        (slot.listed > 0).then_some(slot)
    }

    fn lists(&self, fingerprint: u64) -> bool {
        self.slot(fingerprint).is_some()
    }

    fn take(&self, fingerprint: u64) -> bool {
        self.slot(fingerprint)
            .is_some_and(|slot| take_one(&slot.left))
    }
}
