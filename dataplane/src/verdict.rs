//! The verdict table: which packets a router routes, discards or holds, by the address of an end system.
//! Immutable once built; the control thread builds the next one and swaps. No DPDK, no packet.

use std::net::Ipv4Addr;

use thiserror::Error;

use crate::addr::Ipv4Prefix;
use crate::dpdk::prefetch;
use crate::hashed::Hashed;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This router is in charge: route it.
    Route,
    /// Another router is: discard it.
    Discard,
    /// It is being moved here: keep it in the backlog.
    Hold,
}

/// A verdict, whether the condition is watched, and the index of its counter of octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(u32);

/// One more than the highest index of a condition's counter: 255 groups of the largest size find room, so that a reload can
/// bring more end systems.
pub const CONDITIONS_MAX: u32 = (1 << 24) - 1;

impl Entry {
    // Never zero, so that a hash slot of zeros is empty. Plain routes have all these bits set, so that a conjunction tells
    // whether nothing else is among many.
    const HOLD: u32 = 1 << 30;
    const DISCARD: u32 = 2 << 30;
    const ROUTE: u32 = 3 << 30;
    const VERDICT: u32 = 3 << 30;
    const UNWATCHED: u32 = 1 << 29;
    const CONDITION: u32 = CONDITIONS_MAX;

    /// Route it, under no condition: nobody was asked.
    pub(crate) const NONE: Self = Self::route(CONDITIONS_MAX);

    /// Route it.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn route(condition: u32) -> Self {
        Self::new(Verdict::Route, condition)
    }

    const fn new(verdict: Verdict, condition: u32) -> Self {
        let verdict = match verdict {
            Verdict::Route => Self::ROUTE,
            Verdict::Discard => Self::DISCARD,
            Verdict::Hold => Self::HOLD,
        };
        Self(verdict | Self::UNWATCHED | condition & Self::CONDITION)
    }

    const fn watched(self) -> Self {
        Self(self.0 & !Self::UNWATCHED)
    }

    /// Whether the packet is to be routed, and nothing else is to be done about it.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn is_plain_route(self) -> bool {
        self.0 & (Self::VERDICT | Self::UNWATCHED) == Self::ROUTE | Self::UNWATCHED
    }

    /// Whether that is so of all packets.
    #[inline(always)]
    #[must_use]
    pub(crate) fn are_plain_routes(entries: &[Self]) -> bool {
        let all = entries.iter().fold(u32::MAX, |all, entry| all & entry.0);
        Self(all).is_plain_route()
    }

    /// Whether the packet is to be discarded, and nothing else is to be done about it.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn is_plain_discard(self) -> bool {
        self.0 & (Self::VERDICT | Self::UNWATCHED) == Self::DISCARD | Self::UNWATCHED
    }

    /// What becomes of the packet.
    #[inline(always)]
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self.0 & Self::VERDICT {
            Self::ROUTE => Verdict::Route,
            Self::HOLD => Verdict::Hold,
            _ => Verdict::Discard,
        }
    }

    /// The index of the condition's counter; [`CONDITIONS_MAX`] of an entry that names none.
    #[inline(always)]
    #[must_use]
    pub const fn condition(self) -> u32 {
        self.0 & Self::CONDITION
    }

    /// Whether what happens to the packets of this condition is followed.
    #[inline(always)]
    #[must_use]
    pub const fn is_watched(self) -> bool {
        self.0 & Self::UNWATCHED == 0
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let watched = if self.is_watched() { ", watched" } else { "" };
        write!(f, "{:?}({}{watched})", self.verdict(), self.condition())
    }
}

/// Why a verdict table cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VerdictError {
    /// A condition's counter has an index beyond the counters there are.
    #[error("condition {0} is beyond the largest index of a counter")]
    Condition(u32),
}

/// Gathers conditions for a [`VerdictTable`].
#[derive(Clone, Debug)]
pub struct VerdictTableBuilder {
    rest: Entry,
    direct: Option<Ipv4Prefix>,
    conditions: Vec<(u32, Entry)>,
    wrong: Option<VerdictError>,
}

impl VerdictTableBuilder {
    /// The verdict on one end system; the last one given for an address counts.
    #[must_use]
    pub fn condition(mut self, address: Ipv4Addr, verdict: Verdict, condition: u32) -> Self {
        self.check(condition);
        self.conditions
            .push((address.to_bits(), Entry::new(verdict, condition)));
        self
    }

    /// As [`condition`](Self::condition), and the condition is watched: under [`Verdict::Route`] its packets are recorded
    /// if a hand-over wants that, under [`Verdict::Discard`] the first TCP packet is remembered for it.
    #[must_use]
    pub fn watched(mut self, address: Ipv4Addr, verdict: Verdict, condition: u32) -> Self {
        self.check(condition);
        self.conditions
            .push((address.to_bits(), Entry::new(verdict, condition).watched()));
        self
    }

    /// Watches the rest too; while it is to be routed, the addresses of its packets are offered to be learned.
    #[must_use]
    pub const fn watch_rest(mut self) -> Self {
        self.rest = self.rest.watched();
        self
    }

    /// The network whose addresses are looked up by index rather than by hash: the connected one. Networks larger
    /// than a /14 are hashed all the same.
    #[must_use]
    pub fn connected(mut self, prefix: Ipv4Prefix) -> Self {
        self.direct = (prefix.size() <= DIRECT_MAX).then_some(prefix);
        self
    }

    fn check(&mut self, condition: u32) {
        if condition >= CONDITIONS_MAX {
            self.wrong = Some(VerdictError::Condition(condition));
        }
    }

    /// # Errors
    /// A condition's index is at least [`CONDITIONS_MAX`].
    pub fn build(self) -> Result<VerdictTable, VerdictError> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let first = self.direct.map_or(0, |prefix| prefix.network().to_bits());
        let length = self
            .direct
            .map_or(0, |prefix| usize::try_from(prefix.size()).unwrap_or(0));
        let mut direct = vec![self.rest; length].into_boxed_slice();
        let mut further = Vec::new();
        for (address, entry) in self.conditions {
            match direct.get_mut(address.wrapping_sub(first) as usize) {
                Some(place) => *place = entry,
                None => further.push((address, entry)),
            }
        }
        let hashed = Hashed::new(
            further
                .into_iter()
                .map(|(address, entry): (u32, Entry)| (address, entry.0)),
        );
        Ok(VerdictTable {
            held: held(&direct, &hashed, self.rest),
            first,
            direct,
            hashed,
            rest: self.rest,
        })
    }
}

/// The most addresses that are indexed directly, at four octets each.
const DIRECT_MAX: u64 = 1 << 18;

/// Address of an end system → verdict and counter: by index in the connected network, by hash elsewhere, and one entry
/// for the rest, every address that no condition names.
#[derive(Debug)]
pub struct VerdictTable {
    first: u32,
    direct: Box<[Entry]>,
    hashed: Hashed,
    rest: Entry,
    held: Box<[u32]>,
}

impl VerdictTable {
    /// Begins a table whose rest has this verdict and counter.
    #[must_use]
    pub fn builder(rest: Verdict, condition: u32) -> VerdictTableBuilder {
        let mut builder = VerdictTableBuilder {
            rest: Entry::new(rest, condition.min(CONDITIONS_MAX)),
            direct: None,
            conditions: Vec::new(),
            wrong: None,
        };
        builder.check(condition);
        builder
    }

    /// One verdict on everything, counted under `condition`: a group without load sharing.
    #[must_use]
    pub fn uniform(verdict: Verdict, condition: u16) -> Self {
        let (hashed, rest) = (
            Hashed::new([].into_iter()),
            Entry::new(verdict, u32::from(condition)),
        );
        Self {
            held: held(&[], &hashed, rest),
            first: 0,
            direct: Box::new([]),
            hashed,
            rest,
        }
    }

    /// Whether the condition is on hold.
    #[must_use]
    pub fn holds(&self, condition: u32) -> bool {
        self.held.binary_search(&condition).is_ok()
    }

    /// What becomes of packets of every address that no condition names.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> Entry {
        self.rest
    }

    /// What becomes of packets of the end system at `address` (host order).
    #[inline(always)]
    #[must_use]
    pub fn get(&self, address: u32) -> Entry {
        match self.direct.get(address.wrapping_sub(self.first) as usize) {
            Some(&entry) => entry,
            None => self.indirect(address),
        }
    }

    /// What becomes of everyone's packets, if no condition names anyone: a group without load sharing.
    #[inline(always)]
    #[must_use]
    pub(crate) fn on_everyone(&self) -> Option<Entry> {
        (self.direct.is_empty() && self.hashed.is_empty()).then_some(self.rest)
    }

    /// Asks for what a look-up reads first.
    #[inline]
    pub(crate) fn ask_ahead(&self) {
        prefetch(&self.first);
        if let Some(entry) = self.direct.first() {
            prefetch(entry);
        }
    }

    /// As [`VerdictTable::get`], for several addresses at once; none if one of them is not of the connected network.
    #[inline(always)]
    #[must_use]
    pub(crate) fn get_connected<const N: usize>(&self, addresses: &[u32; N]) -> Option<[Entry; N]> {
        let mut entries = [self.rest; N];
        for (&address, entry) in addresses.iter().zip(&mut entries) {
            *entry = *self.direct.get(address.wrapping_sub(self.first) as usize)?;
        }
        Some(entries)
    }

    /// As [`VerdictTable::get`], for many addresses at once.
    #[inline(never)]
    pub(crate) fn get_all(&self, addresses: &[u32], entries: &mut [Entry]) {
        if let Some(entry) = self.on_everyone() {
            return entries.fill(entry);
        }
        // By eights without a call among them: most often all are of the connected network.
        let (eights, last) = addresses.as_chunks::<8>();
        let (eights_of_entries, last_entries) = entries.as_chunks_mut::<8>();
        for (addresses, entries) in eights.iter().zip(eights_of_entries) {
            match self.get_connected(addresses) {
                Some(found) => *entries = found,
                None => self.get_each(addresses, entries),
            }
        }
        self.get_each(last, last_entries);
    }

    #[inline(never)]
    fn get_each(&self, addresses: &[u32], entries: &mut [Entry]) {
        for (&address, entry) in addresses.iter().zip(entries) {
            *entry = self.get(address);
        }
    }

    #[inline(never)]
    fn indirect(&self, address: u32) -> Entry {
        self.hashed.get(address).map_or(self.rest, Entry)
    }
}

/// The conditions on hold, ascending.
fn held(direct: &[Entry], hashed: &Hashed, rest: Entry) -> Box<[u32]> {
    let mut held: Vec<u32> = direct
        .iter()
        .copied()
        .filter(|entry| *entry != rest)
        .chain(hashed.values().map(Entry))
        .chain([rest])
        .filter(|entry| entry.verdict() == Verdict::Hold)
        .map(Entry::condition)
        .collect();
    held.sort_unstable();
    held.dedup();
    held.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Route),
            Just(Verdict::Discard),
            Just(Verdict::Hold)
        ]
    }

    proptest! {
        #[test]
        fn a_look_up_finds_the_condition_given_last_or_the_rest(
            connected in prop::option::of(10u8..=32),
            conditions in prop::collection::vec((0u32..600, verdict(), any::<bool>()), 0..300),
            rest in (verdict(), any::<bool>()),
        ) {
            // Addresses on both sides of the border of the connected network.
            let base = Ipv4Addr::new(10, 0, 0, 0).to_bits().wrapping_sub(300);
            let mut builder = VerdictTable::builder(rest.0, 1000);
            if rest.1 {
                builder = builder.watch_rest();
            }
            if let Some(length) = connected {
                builder = builder.connected(Ipv4Prefix::new(Ipv4Addr::new(10, 0, 0, 0), length).unwrap());
            }
            let mut model = HashMap::new();
            for (offset, verdict, watched) in conditions {
                let address = (base + offset).into();
                builder = match watched {
                    true => builder.watched(address, verdict, offset),
                    false => builder.condition(address, verdict, offset),
                };
                model.insert(base + offset, (verdict, offset, watched));
            }
            let table = builder.build().unwrap();
            for address in base - 2..base + 602 {
                let entry = table.get(address);
                let expected = model.get(&address).copied().unwrap_or((rest.0, 1000, rest.1));
                prop_assert_eq!((entry.verdict(), entry.condition(), entry.is_watched()), expected);
                let (verdict, condition, watched) = expected;
                prop_assert_eq!(entry.is_plain_route(), verdict == Verdict::Route && !watched);
                prop_assert_eq!(entry.is_plain_discard(), verdict == Verdict::Discard && !watched);
                prop_assert_eq!(table.holds(condition), verdict == Verdict::Hold);
            }
            prop_assert_eq!(table.holds(1000), rest.0 == Verdict::Hold);
        }
    }

    #[test]
    fn a_uniform_table_says_the_same_of_everyone() {
        let table = VerdictTable::uniform(Verdict::Discard, 3);
        for address in [0, 1, u32::MAX] {
            assert_eq!(
                (table.get(address).verdict(), table.get(address).condition()),
                (Verdict::Discard, 3)
            );
        }
    }

    #[test]
    fn a_counter_index_that_does_not_fit_is_refused() {
        let builder = VerdictTable::builder(Verdict::Route, 0).condition(
            Ipv4Addr::LOCALHOST,
            Verdict::Route,
            CONDITIONS_MAX,
        );
        assert_eq!(
            builder.build().err(),
            Some(VerdictError::Condition(CONDITIONS_MAX))
        );
        assert!(
            VerdictTable::builder(Verdict::Route, u32::MAX)
                .build()
                .is_err()
        );
    }
}
