//! Octets by condition: counted by one worker, read by the control thread while it counts.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::dpdk::{Masked, Table};
use crate::verdict::{CONDITIONS_MAX, Entry};

/// Octets routed, by index of the condition; written by one worker, by its [`Tally`]. Behind those of conditions there is a place for what is
/// routed under none. They take memory only where they are used.
///
/// Counters lie in halves, the lower ones of 32 bits by themselves: those of 65,536 conditions go through the caches with the traffic, and a
/// worker that is short of memory routes some 3 % less with twice as much of it.
#[derive(Debug)]
pub(crate) struct ConditionOctets {
    low: Table<AtomicU32>,
    /// In units of 2^31 octets, twice; odd while one goes from the lower half to the upper.
    high: Table<AtomicU32>,
}

/// Every index that an entry can hold is a place, so that none needs a check.
const COUNTERS: usize = CONDITIONS_MAX as usize + 1;

/// A lower half with this bit set is to give it to the upper one.
const FULL: u32 = 1 << 31;

impl ConditionOctets {
    /// All zero.
    ///
    /// # Errors
    /// The kernel has no such room in this process's address space.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            low: Table::new(COUNTERS)?,
            high: Table::new(COUNTERS)?,
        })
    }

    /// Octets counted under a condition since the start.
    #[must_use]
    pub(crate) fn get(&self, condition: usize) -> u64 {
        match (self.low.get(condition), self.high.get(condition)) {
            (Some(low), Some(high)) => get(low, high),
            _ => 0,
        }
    }
}

/// A worker's hand that counts. Adding looks at no carry. Instead, while as many octets come in as half a counter takes, every counter
/// in use is looked at once, a few at a time, and what is half full carries.
#[derive(Debug)]
pub(crate) struct Tally {
    counters: Arc<ConditionOctets>,
    /// One more than the highest counter that may be in use.
    end: u32,
    /// The next to be looked at.
    next: u32,
    /// Octets that came in, as far as counters have not been looked at for them.
    owed: u64,
    /// For how many octets [`AT_ONCE`] counters are looked at.
    price: u64,
}

/// In how many octets every counter is looked at: half as many as would do, since towards the end there may be more counters.
const TURN: u64 = FULL as u64 / 4;

/// How many counters are looked at together. All of them are a multiple.
const AT_ONCE: u32 = 64;

impl Tally {
    /// For the one worker that counts here.
    pub(crate) const fn new(counters: Arc<ConditionOctets>) -> Self {
        Self {
            counters,
            end: 0,
            next: 0,
            owed: 0,
            price: TURN,
        }
    }

    /// Counters below `end` may be in use from now on.
    #[inline(always)]
    pub(crate) fn cover(&mut self, end: u32) {
        if end > self.end {
            self.extend(end);
        }
    }

    #[cold]
    #[inline(never)]
    fn extend(&mut self, end: u32) {
        self.end = end.next_multiple_of(AT_ONCE).min(COUNTERS as u32);
        self.price = TURN * u64::from(AT_ONCE) / u64::from(self.end);
    }

    /// Up to so many octets may be counted, those of a burst.
    #[inline(always)]
    pub(crate) fn allow(&mut self, octets: u64) {
        self.owed += octets;
        if self.owed >= self.price {
            self.look();
        }
    }

    #[inline(never)]
    fn look(&mut self) {
        while self.owed >= self.price {
            self.owed -= self.price;
            if self.next >= self.end {
                self.next = 0;
            }
            let places = self.next as usize..(self.next + AT_ONCE) as usize;
            self.next += AT_ONCE;
            let low = self.counters.low.get(places.clone()).unwrap_or_default();
            let high = self.counters.high.get(places).unwrap_or_default();
            for (low, high) in low.iter().zip(high) {
                if low.load(Ordering::Relaxed) & FULL != 0 {
                    carry(low, high);
                }
            }
        }
    }

    /// Adds octets, each to its condition's.
    #[inline(always)]
    pub(crate) fn add_all(&self, entries: &[Entry], octets: &[u16]) {
        if let Some(low) = self.counters.low.first_chunk::<COUNTERS>() {
            for (entry, &octets) in entries.iter().zip(octets) {
                add(&low[entry.condition() as usize], octets.into());
            }
        }
    }

    /// Adds octets, those of a burst, to one condition's.
    #[inline(always)]
    pub(crate) fn add_to_one(&self, entry: Entry, octets: &[u16]) {
        if let Some(low) = self.counters.low.get(entry.condition() as usize) {
            add(low, octets.iter().map(|&octets| u32::from(octets)).sum());
        }
    }

    /// The counters of a connected network's conditions, each for the lowest bits of its address.
    #[inline(always)]
    pub(crate) fn of(&self, conditions: Range<u32>) -> Option<Counters<'_>> {
        let places = conditions.start as usize..conditions.end as usize;
        Masked::new(self.counters.low.get(places)?).map(Counters)
    }
}

/// The counters of a connected network's conditions, as their worker sees them.
pub(crate) struct Counters<'a>(Masked<'a, AtomicU32>);

impl Counters<'_> {
    /// Adds octets, each to its address's.
    #[inline(always)]
    pub(crate) fn add_each<const N: usize>(&self, addresses: &[u32; N], octets: &[u16; N]) {
        for (&address, &octets) in addresses.iter().zip(octets) {
            add(self.0.at(address), octets.into());
        }
    }
}

/// Adds to the lower half of a counter; only the owner may.
#[inline(always)]
fn add(low: &AtomicU32, octets: u32) {
    let sum = low.load(Ordering::Relaxed).wrapping_add(octets);
    low.store(sum, Ordering::Release);
}

/// Carries what the lower half is full of; only the owner may.
#[cold]
#[inline(never)]
fn carry(low: &AtomicU32, high: &AtomicU32) {
    let before = high.load(Ordering::Relaxed);
    high.store(before.wrapping_add(1), Ordering::Relaxed);
    low.store(low.load(Ordering::Relaxed) & !FULL, Ordering::Release);
    high.store(before.wrapping_add(2), Ordering::Release);
}

/// What the counter has come to. Whoever has seen a sum sees what was stored before it, so that both halves are of one time if
/// `high` is afterwards what it was.
fn get(low: &AtomicU32, high: &AtomicU32) -> u64 {
    loop {
        let upper = high.load(Ordering::Acquire);
        let lower = low.load(Ordering::Acquire);
        if high.load(Ordering::Relaxed) == upper {
            // While it carries, it is either full still or no longer.
            let carried = upper & 1 != 0 && lower & FULL == 0;
            return (u64::from(upper >> 1) + u64::from(carried)) * u64::from(FULL)
                + u64::from(lower);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// An entry of a condition.
    fn entry(condition: u32) -> Entry {
        Entry::route(condition)
    }

    fn tally() -> (Arc<ConditionOctets>, Tally) {
        let counters = Arc::new(ConditionOctets::new().unwrap());
        (Arc::clone(&counters), Tally::new(counters))
    }

    /// As many octets as a burst of the largest packets has.
    const LARGEST: [u16; 64] = [u16::MAX; 64];
    const LARGEST_OCTETS: u64 = 64 * u16::MAX as u64;

    #[test]
    fn a_counter_alone_among_many_never_loses_what_was_added_however_late_it_is_looked_at() {
        for (end, condition) in [(1, 0), (64, 63), (65_536, 65_535), (1 << 24, 77)] {
            let (counters, mut tally) = tally();
            tally.cover(end);
            for round in 0..2500 {
                tally.allow(LARGEST_OCTETS);
                tally.add_all(&[entry(condition); 64], &LARGEST);
                assert_eq!(
                    counters.get(condition as usize),
                    (round + 1) * LARGEST_OCTETS
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn counters_are_the_sums_of_what_was_added_also_while_there_are_ever_more_of_them(
            steps in prop::collection::vec((1u32..1 << 16, 0u32..1 << 16, 1u32..300), 1..12),
        ) {
            let (counters, mut tally) = tally();
            let (mut sums, mut end) = (HashMap::new(), 1);
            for (more, condition, bursts) in steps {
                end = more.max(end);
                tally.cover(end);
                for _ in 0..bursts {
                    tally.allow(LARGEST_OCTETS);
                    tally.add_all(&[entry(condition % end); 64], &LARGEST);
                }
                *sums.entry(condition % end).or_insert(0) += u64::from(bursts) * LARGEST_OCTETS;
            }
            for (condition, sum) in sums {
                prop_assert_eq!(counters.get(condition as usize), sum);
            }
        }
    }

    #[test]
    fn a_carry_that_stops_half_way_is_read_as_before_or_behind_it() {
        let low = AtomicU32::new(FULL + 44);
        // As a worker leaves it that another thread interrupts: before the lower half, and behind it.
        let high = AtomicU32::new(2 * 6 + 1);
        assert_eq!(get(&low, &high), 7 * u64::from(FULL) + 44);
        low.store(44, Ordering::Relaxed);
        assert_eq!(get(&low, &high), 7 * u64::from(FULL) + 44);
        high.store(2 * 7, Ordering::Relaxed);
        assert_eq!(get(&low, &high), 7 * u64::from(FULL) + 44);
    }

    #[test]
    fn threads_that_read_a_counter_never_see_it_run_backwards_or_ahead() {
        const STEP: u32 = 0x3000_0001;
        const STEPS: u32 = 60;
        let counter = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let worker = {
            let counter = Arc::clone(&counter);
            // A carry every other time, with as much in the lower half as a tally lets come.
            move || {
                for _ in 0..STEPS {
                    add(&counter.0, STEP);
                    if counter.0.load(Ordering::Relaxed) & FULL != 0 {
                        carry(&counter.0, &counter.1);
                    }
                }
            }
        };
        let worker = thread::spawn(worker);
        let (mut last, end) = (0, u64::from(STEP) * u64::from(STEPS));
        while last < end {
            let seen = get(&counter.0, &counter.1);
            assert!(seen >= last && seen <= end, "{seen:#x} after {last:#x}");
            assert_eq!(seen % u64::from(STEP), 0, "{seen:#x} is not a sum");
            last = seen;
            thread::yield_now();
        }
        worker.join().expect("a worker");
    }
}
