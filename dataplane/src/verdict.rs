//! The verdict table: which packets a router routes, discards or holds, by the address of an end system.
//! Immutable once built; the control thread builds the next one and swaps. No DPDK, no packet.

use std::net::Ipv4Addr;

use thiserror::Error;

use crate::addr::Ipv4Prefix;

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

/// A verdict, and the index of the condition's counter of octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(u32);

/// One more than the highest index of a condition's counter.
pub const CONDITIONS_MAX: u32 = 1 << 30;

impl Entry {
    // Never zero, so that a hash slot of zeros is empty.
    const ROUTE: u32 = 1;
    const DISCARD: u32 = 2;
    const HOLD: u32 = 3;
    const VERDICT: u32 = 3;

    const fn new(verdict: Verdict, condition: u32) -> Self {
        let verdict = match verdict {
            Verdict::Route => Self::ROUTE,
            Verdict::Discard => Self::DISCARD,
            Verdict::Hold => Self::HOLD,
        };
        Self(condition << 2 | verdict)
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

    /// The index of the condition's counter.
    #[inline(always)]
    #[must_use]
    pub const fn condition(self) -> u32 {
        self.0 >> 2
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({})", self.verdict(), self.condition())
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
        Ok(VerdictTable {
            first,
            direct,
            hashed: Hashed::new(&further),
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
}

impl VerdictTable {
    /// Begins a table whose rest has this verdict and counter.
    #[must_use]
    pub fn builder(rest: Verdict, condition: u32) -> VerdictTableBuilder {
        let mut builder = VerdictTableBuilder {
            rest: Entry::new(rest, condition & (CONDITIONS_MAX - 1)),
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
        Self {
            first: 0,
            direct: Box::new([]),
            hashed: Hashed::new(&[]),
            rest: Entry::new(verdict, u32::from(condition)),
        }
    }

    /// What becomes of packets of the end system at `address` (host order).
    #[inline(always)]
    #[must_use]
    pub fn get(&self, address: u32) -> Entry {
        match self.direct.get(address.wrapping_sub(self.first) as usize) {
            Some(&entry) => entry,
            None => self.hashed.get(address).unwrap_or(self.rest),
        }
    }
}

/// Open addressing with linear probing, at most half full; a slot is an address and its entry, zero when empty.
#[derive(Debug)]
struct Hashed {
    slots: Box<[(u32, u32)]>,
    shift: u32,
}

impl Hashed {
    fn new(entries: &[(u32, Entry)]) -> Self {
        if entries.is_empty() {
            return Self {
                slots: Box::new([]),
                shift: 63,
            };
        }
        let bits = (entries.len() * 2)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let mut hashed = Self {
            slots: vec![(0, 0); 1 << bits].into_boxed_slice(),
            shift: 64 - bits,
        };
        for &(address, entry) in entries {
            let mut place = hashed.place(address);
            while let Some(slot) = hashed.slots.get_mut(place) {
                if slot.1 == 0 || slot.0 == address {
                    *slot = (address, entry.0);
                    break;
                }
                place = hashed.after(place);
            }
        }
        hashed
    }

    #[inline(always)]
    fn place(&self, address: u32) -> usize {
        // Fibonacci hashing: the top bits of a product with 2^64 divided by the golden ratio.
        (u64::from(address).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline(always)]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }

    #[inline(always)]
    fn get(&self, address: u32) -> Option<Entry> {
        let mut place = self.place(address);
        loop {
            match self.slots.get(place)? {
                (_, 0) => return None,
                (found, entry) if *found == address => return Some(Entry(*entry)),
                _ => place = self.after(place),
            }
        }
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
            conditions in prop::collection::vec((0u32..600, verdict(), 0u32..100), 0..300),
            rest in verdict(),
        ) {
            // Addresses on both sides of the border of the connected network.
            let base = Ipv4Addr::new(10, 0, 0, 0).to_bits().wrapping_sub(300);
            let mut builder = VerdictTable::builder(rest, 7);
            if let Some(length) = connected {
                builder = builder.connected(Ipv4Prefix::new(Ipv4Addr::new(10, 0, 0, 0), length).unwrap());
            }
            let mut model = HashMap::new();
            for (offset, verdict, condition) in conditions {
                builder = builder.condition((base + offset).into(), verdict, condition);
                model.insert(base + offset, (verdict, condition));
            }
            let table = builder.build().unwrap();
            for address in base - 2..base + 602 {
                let entry = table.get(address);
                let expected = model.get(&address).copied().unwrap_or((rest, 7));
                prop_assert_eq!((entry.verdict(), entry.condition()), expected);
            }
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
