//! Octets by condition: counted by one worker, read by the control thread while it counts.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::dpdk::Table;
use crate::verdict::{CONDITIONS_MAX, Entry};

/// Octets routed, by index of the condition; written by one worker. Behind those of conditions there is a place for what is
/// routed under none. They take memory only where they are used.
///
/// Counters lie in halves, since the lower ones of 65,536 conditions go through the caches with the traffic: with whole ones it is
/// twice the memory, and a worker that is short of it routes some 3 % less.
#[derive(Debug)]
pub(crate) struct ConditionOctets {
    low: Table<AtomicU32>,
    high: Table<AtomicU32>,
}

/// Every index that an entry can hold is a place, so that none needs a check.
const COUNTERS: usize = CONDITIONS_MAX as usize + 1;

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

    /// Adds octets, each to its condition's; only the owner may.
    #[inline(always)]
    pub(crate) fn add_all(&self, entries: &[Entry], octets: &[u16]) {
        for (&entry, &octets) in entries.iter().zip(octets) {
            self.add(entry, octets.into());
        }
    }

    /// Adds octets to those of a condition, fewer than 2^31 at a time; only the owner may.
    #[inline(always)]
    pub(crate) fn add(&self, entry: Entry, octets: u32) {
        if let Some(counters) = self.low.first_chunk::<COUNTERS>() {
            let condition = entry.condition() as usize;
            if let Some(sum) = add(&counters[condition], octets) {
                self.carry(condition, sum);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn carry(&self, condition: usize, sum: u32) {
        if let (Some(low), Some(high)) = (self.low.get(condition), self.high.get(condition)) {
            carry(low, high, sum);
        }
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

/// Adds to the lower 32 bits of a counter; returns their sum instead if that carries.
#[inline(always)]
fn add(low: &AtomicU32, octets: u32) -> Option<u32> {
    let (sum, carries) = low.load(Ordering::Relaxed).overflowing_add(octets);
    if carries {
        return Some(sum);
    }
    low.store(sum, Ordering::Release);
    None
}

/// Carries into `high`, which is twice the upper 31 bits, and odd in between.
fn carry(low: &AtomicU32, high: &AtomicU32, sum: u32) {
    let before = high.load(Ordering::Relaxed);
    high.store(before.wrapping_add(1), Ordering::Relaxed);
    low.store(sum, Ordering::Release);
    high.store(before.wrapping_add(2), Ordering::Release);
}

/// What the counter has come to. Whoever has seen a sum sees what was stored before it, so that both halves are of one time if
/// `high` is afterwards what it was.
fn get(low: &AtomicU32, high: &AtomicU32) -> u64 {
    loop {
        let upper = high.load(Ordering::Acquire);
        let lower = low.load(Ordering::Acquire);
        if high.load(Ordering::Relaxed) == upper {
            // While it carries, it is either nearly full still or nearly empty already.
            let carried = upper & 1 != 0 && lower < 1 << 31;
            return (u64::from(upper >> 1) + u64::from(carried)) << 32 | u64::from(lower);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// As [`ConditionOctets::add`].
    fn count(low: &AtomicU32, high: &AtomicU32, octets: u32) {
        if let Some(sum) = add(low, octets) {
            carry(low, high, sum);
        }
    }

    proptest! {
        #[test]
        fn a_counter_in_halves_is_the_sum_of_what_was_added(
            octets in prop::collection::vec(0u32..1 << 31, 0..50)
        ) {
            let (low, high) = (AtomicU32::new(0), AtomicU32::new(0));
            let mut sum = 0;
            for octets in octets {
                count(&low, &high, octets);
                sum += u64::from(octets);
                prop_assert_eq!(get(&low, &high), sum);
            }
        }
    }

    #[test]
    fn a_carry_that_stops_half_way_is_read_as_before_or_behind_it() {
        let low = AtomicU32::new(u32::MAX - 1);
        // As a worker leaves it that another thread interrupts: before the lower half, and behind it.
        let high = AtomicU32::new(2 * 6 + 1);
        assert_eq!(get(&low, &high), (6 << 32) + u64::from(u32::MAX) - 1);
        low.store(44, Ordering::Relaxed);
        assert_eq!(get(&low, &high), (7 << 32) + 44);
    }

    #[test]
    fn threads_that_read_a_counter_never_see_it_run_backwards_or_ahead() {
        let (low, high) = (AtomicU32::new(0), AtomicU32::new(0));
        let counter = Arc::new((low, high));
        let worker = {
            let counter = Arc::clone(&counter);
            // A carry every third time.
            move || (0..60).for_each(|_| count(&counter.0, &counter.1, 0x6000_0001))
        };
        let worker = thread::spawn(worker);
        let (mut last, end) = (0, 60 * 0x6000_0001_u64);
        while last < end {
            let seen = get(&counter.0, &counter.1);
            assert!(seen >= last && seen <= end, "{seen:#x} after {last:#x}");
            assert_eq!(seen % 0x6000_0001, 0, "{seen:#x} is not a sum");
            last = seen;
            thread::yield_now();
        }
        worker.join().expect("a worker");
    }
}
