//! The verdict table: which packets a router routes, discards or holds, by the address of an end system.
//! Immutable once built; the control thread builds the next one and swaps. No DPDK, no packet.

use std::net::Ipv4Addr;
use std::ops::Range;

use thiserror::Error;

use crate::addr::Ipv4Prefix;
use crate::dpdk::{Masked, prefetch};
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

/// An entry without its condition: of an address whose condition's index follows from its place, or of one that no condition names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind(u8);

impl Kind {
    /// No condition names the address. As an entry it would be none.
    const REST: Self = Self(0);

    const fn of(entry: Entry) -> Self {
        Self((entry.0 >> 24) as u8)
    }

    /// The entry of the condition with this index; `rest` if there is none.
    #[inline(always)]
    const fn entry(self, condition: u32, rest: Entry) -> Entry {
        match self {
            Self::REST => rest,
            Self(kind) => Entry((kind as u32) << 24 | condition),
        }
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
    /// A condition of the connected network has another index than its place there gives it.
    #[error(
        "condition {condition} of {address} has another index than its place in the connected network gives it"
    )]
    Misplaced {
        /// The index that was given.
        condition: u32,
        /// The address that it is of.
        address: Ipv4Addr,
    },
}

/// Gathers conditions for a [`VerdictTable`].
#[derive(Clone, Debug)]
pub struct VerdictTableBuilder {
    rest: Entry,
    connected: Option<(Ipv4Prefix, u32)>,
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

    /// The network whose addresses are looked up by their place in it rather than by hash: the connected one. The conditions of its addresses have
    /// the indices from `first` on, each address its own, so that the table need not hold them. A network of more than
    /// [`CONNECTED_MAX`] addresses is hashed all the same.
    #[must_use]
    pub fn connected(mut self, network: Ipv4Prefix, first: u32) -> Self {
        self.connected = (network.size() <= CONNECTED_MAX).then_some((network, first));
        if self.connected.is_some() {
            self.check(first.saturating_add(network.size() as u32 - 1));
        }
        self
    }

    fn check(&mut self, condition: u32) {
        if condition >= CONDITIONS_MAX {
            self.wrong = Some(VerdictError::Condition(condition));
        }
    }

    /// # Errors
    /// A condition's index is at least [`CONDITIONS_MAX`], or, in the connected network, not the one of its place.
    pub fn build(self) -> Result<VerdictTable, VerdictError> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let (network, first, size) = self.connected.map_or((0, 0, 0), |(network, first)| {
            (network.network().to_bits(), first, network.size() as usize)
        });
        let mut kinds = vec![Kind::REST; size].into_boxed_slice();
        let mut further = Vec::new();
        let mut held = Vec::new();
        for (address, entry) in self.conditions {
            let place = address.wrapping_sub(network);
            match kinds.get_mut(place as usize) {
                Some(kind) if entry.condition() == first + place => *kind = Kind::of(entry),
                Some(_) => {
                    return Err(VerdictError::Misplaced {
                        condition: entry.condition(),
                        address: address.into(),
                    });
                }
                None => further.push((address, entry)),
            }
        }
        let (places, hashed) = (
            first..,
            Hashed::new(
                further
                    .into_iter()
                    .map(|(address, entry)| (address, entry.0)),
            ),
        );
        let connected = places.zip(&kinds).filter(|(_, kind)| **kind != Kind::REST);
        let entries = connected
            .map(|(condition, kind)| kind.entry(condition, self.rest))
            .chain(hashed.values().map(Entry))
            .chain([self.rest]);
        let mut end = first + size as u32;
        for entry in entries {
            end = end.max(entry.condition() + 1);
            if entry.verdict() == Verdict::Hold {
                held.push(entry.condition());
            }
        }
        held.sort_unstable();
        held.dedup();
        Ok(VerdictTable {
            network,
            first,
            kinds,
            hashed,
            rest: self.rest,
            held: held.into_boxed_slice(),
            end,
        })
    }
}

/// The most addresses that a connected network may have for its end systems to be looked up by place: those of a /14.
pub const CONNECTED_MAX: u64 = 1 << 18;

/// Address of an end system → verdict and counter: by place in the connected network, by hash elsewhere, and one entry
/// for the rest, every address that no condition names.
#[derive(Debug)]
pub struct VerdictTable {
    /// The first address of the connected network.
    network: u32,
    /// The index of its condition.
    first: u32,
    /// By place in the connected network: 2ⁿ, or none where no network is looked up so.
    kinds: Box<[Kind]>,
    hashed: Hashed,
    rest: Entry,
    /// The conditions on hold, ascending.
    held: Box<[u32]>,
    /// One more than the highest index of a condition.
    end: u32,
}

impl VerdictTable {
    /// Begins a table whose rest has this verdict and counter.
    #[must_use]
    pub fn builder(rest: Verdict, condition: u32) -> VerdictTableBuilder {
        let mut builder = VerdictTableBuilder {
            rest: Entry::new(rest, condition.min(CONDITIONS_MAX)),
            connected: None,
            conditions: Vec::new(),
            wrong: None,
        };
        builder.check(condition);
        builder
    }

    /// One verdict on everything, counted under `condition`: a group without load sharing.
    #[must_use]
    pub fn uniform(verdict: Verdict, condition: u16) -> Self {
        let condition = u32::from(condition);
        let is_held = verdict == Verdict::Hold;
        Self {
            network: 0,
            first: 0,
            kinds: Box::new([]),
            hashed: Hashed::new([].into_iter()),
            rest: Entry::new(verdict, condition),
            held: is_held.then_some(condition).into_iter().collect(),
            end: condition + 1,
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

    /// One more than the highest index of a condition.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn end(&self) -> u32 {
        self.end
    }

    /// What becomes of packets of the end system at `address` (host order).
    #[inline(always)]
    #[must_use]
    pub fn get(&self, address: u32) -> Entry {
        let place = address.wrapping_sub(self.network);
        match self.kinds.get(place as usize) {
            Some(kind) => kind.entry(self.first + place, self.rest),
            None => self.indirect(address),
        }
    }

    /// What becomes of everyone's packets, if no condition names anyone: a group without load sharing.
    #[inline(always)]
    #[must_use]
    pub(crate) fn on_everyone(&self) -> Option<Entry> {
        (self.kinds.is_empty() && self.hashed.is_empty()).then_some(self.rest)
    }

    /// Asks for what a look-up reads first.
    #[inline]
    pub(crate) fn ask_ahead(&self) {
        prefetch(&self.network);
        if let Some(kind) = self.kinds.first() {
            prefetch(kind);
        }
    }

    /// The connected network, if all `addresses` are of it; `entries` are then those of plain routes.
    #[inline(always)]
    #[must_use]
    pub(crate) fn connected(
        &self,
        addresses: &[u32],
        entries: &mut [Entry],
    ) -> Option<Connected<'_>> {
        let kinds = Masked::new(&self.kinds)?;
        let to_entry = Entry::route(self.first).0.wrapping_sub(self.network);
        let mut beyond = 0;
        for (&address, entry) in addresses.iter().zip(entries) {
            beyond |= address ^ self.network;
            *entry = Entry(address.wrapping_add(to_entry));
        }
        ((beyond as usize) < self.kinds.len()).then_some(Connected {
            kinds,
            conditions: self.first..self.first + self.kinds.len() as u32,
        })
    }

    /// As [`VerdictTable::get`], for many addresses at once.
    #[inline(never)]
    pub(crate) fn get_all(&self, addresses: &[u32], entries: &mut [Entry]) {
        if let Some(entry) = self.on_everyone() {
            return entries.fill(entry);
        }
        for (&address, entry) in addresses.iter().zip(entries) {
            *entry = self.get(address);
        }
    }

    #[inline(never)]
    fn indirect(&self, address: u32) -> Entry {
        self.hashed.get(address).map_or(self.rest, Entry)
    }
}

/// What a table says of the connected network.
pub(crate) struct Connected<'a> {
    kinds: Masked<'a, Kind>,
    /// The indices of its conditions, by place.
    pub(crate) conditions: Range<u32>,
}

impl Connected<'_> {
    /// Whether the packets of these addresses of the network are all plainly to be routed.
    #[inline(always)]
    #[must_use]
    pub(crate) fn are_plain_routes<const N: usize>(&self, addresses: &[u32; N]) -> bool {
        const PLAIN: u8 = Kind::of(Entry::NONE).0;
        addresses
            .iter()
            .fold(u8::MAX, |all, &address| all & self.kinds.at(address).0)
            & PLAIN
            == PLAIN
    }
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
            let (network, first) = (Ipv4Addr::new(10, 0, 0, 0), 5000);
            let base = network.to_bits().wrapping_sub(300);
            let mut builder = VerdictTable::builder(rest.0, 1000);
            if rest.1 {
                builder = builder.watch_rest();
            }
            // One larger than a /14 is hashed.
            let connected = connected.map(|length| Ipv4Prefix::new(network, length).unwrap());
            if let Some(connected) = connected {
                builder = builder.connected(connected, first);
            }
            let by_place = connected.filter(|connected| connected.size() <= CONNECTED_MAX);
            let mut model = HashMap::new();
            for (offset, verdict, watched) in conditions {
                let address = (base + offset).into();
                let condition = match by_place {
                    Some(connected) if connected.contains(address) => first + offset - 300,
                    _ => offset,
                };
                builder = match watched {
                    true => builder.watched(address, verdict, condition),
                    false => builder.condition(address, verdict, condition),
                };
                model.insert(base + offset, (verdict, condition, watched));
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
            prop_assert!(model.values().all(|&(_, condition, _)| condition < table.end()));
        }
    }

    #[test]
    fn a_connected_network_is_told_apart_from_every_address_beside_it() {
        let network = Ipv4Prefix::new(Ipv4Addr::new(10, 1, 2, 0), 24).unwrap();
        let table = VerdictTable::builder(Verdict::Discard, 0)
            .connected(network, 300)
            .condition(Ipv4Addr::new(10, 1, 2, 7), Verdict::Route, 307)
            .build()
            .unwrap();
        let inside = [0, 7, 255].map(|host| Ipv4Addr::new(10, 1, 2, host).to_bits());
        let mut entries = [Entry::NONE; 3];
        let connected = table.connected(&inside, &mut entries).unwrap();
        assert_eq!(connected.conditions, 300..556);
        assert_eq!(entries.map(Entry::condition), [300, 307, 555]);
        assert!(connected.are_plain_routes(&[inside[1]]));
        assert!(!connected.are_plain_routes(&[inside[1], inside[0]]));
        for beside in [[10, 1, 1, 255], [10, 1, 3, 0], [10, 0, 2, 7], [11, 1, 2, 7]] {
            let beside = Ipv4Addr::from(beside).to_bits();
            assert!(
                table
                    .connected(&[inside[1], beside], &mut entries)
                    .is_none()
            );
        }
    }

    #[test]
    fn a_condition_of_the_connected_network_has_the_index_of_its_place() {
        let network = Ipv4Prefix::new(Ipv4Addr::new(10, 0, 0, 0), 24).unwrap();
        let address = Ipv4Addr::new(10, 0, 0, 9);
        let build = |condition| {
            VerdictTable::builder(Verdict::Discard, 0)
                .connected(network, 100)
                .condition(address, Verdict::Route, condition)
                .build()
        };
        assert!(build(109).is_ok());
        let wrong = VerdictError::Misplaced {
            condition: 9,
            address,
        };
        assert_eq!(build(9).err(), Some(wrong));
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
        let network = Ipv4Prefix::new(Ipv4Addr::LOCALHOST, 24).unwrap();
        for (first, fits) in [(CONDITIONS_MAX - 256, true), (CONDITIONS_MAX - 255, false)] {
            let builder = VerdictTable::builder(Verdict::Route, 0).connected(network, first);
            assert_eq!(builder.build().is_ok(), fits);
        }
    }
}
