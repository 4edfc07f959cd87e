//! How long bursts take: a histogram of cycles that a worker writes and anyone reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets to each doubling of the time, so that a bucket is at most an eighth wide.
const STEPS: u32 = 8;
const STEP_BITS: u32 = STEPS.ilog2();
const BUCKETS: usize = (64 * STEPS) as usize;

/// Counts of bursts by the cycles that they took; one writer.
#[derive(Debug)]
pub struct BurstTimes(Box<[AtomicU64; BUCKETS]>);

impl Default for BurstTimes {
    fn default() -> Self {
        Self(Box::new([const { AtomicU64::new(0) }; BUCKETS]))
    }
}

fn bucket(cycles: u64) -> usize {
    let bits = cycles.max(1).ilog2();
    if bits < STEP_BITS {
        return cycles as usize;
    }
    let step = cycles >> (bits - STEP_BITS) & u64::from(STEPS - 1);
    ((bits - STEP_BITS + 1) * STEPS) as usize + step as usize
}

/// The largest number of cycles in a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let (range, step) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
    match range {
        0 => step,
        _ => ((u64::from(STEPS) + step + 1) << (range - 1)) - 1,
    }
}

impl BurstTimes {
    /// Counts a burst.
    #[inline]
    pub(crate) fn record(&self, cycles: u64) {
        if let Some(count) = self.0.get(bucket(cycles)) {
            count.store(
                count.load(Ordering::Relaxed).wrapping_add(1),
                Ordering::Relaxed,
            );
        }
    }

    /// The counts now.
    #[must_use]
    pub fn snapshot(&self) -> BurstTimeCounts {
        BurstTimeCounts(
            self.0
                .iter()
                .map(|count| count.load(Ordering::Relaxed))
                .collect(),
        )
    }
}

/// Counts of bursts by the cycles that they took, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurstTimeCounts(Vec<u64>);

impl BurstTimeCounts {
    /// What was counted since `then`.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&then.0)
                .map(|(now, then)| now.wrapping_sub(*then))
                .collect(),
        )
    }

    /// The number of bursts.
    #[must_use]
    pub fn bursts(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The cycles that a share of the bursts (0.999 for the 99.9th percentile, 1.0 for all) did not exceed, to within an
    /// eighth; 0 without a burst.
    #[must_use]
    pub fn cycles_at(&self, share: f64) -> u64 {
        let bursts = self.bursts();
        let wanted = ((bursts as f64 * share).ceil() as u64).clamp(1, bursts.max(1));
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound(bucket);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_the_bucket_that_bounds_it_within_an_eighth() {
        for cycles in (0..5000).chain([u64::MAX / 3, u64::from(u32::MAX)]) {
            let bound = upper_bound(bucket(cycles));
            assert!(
                bound >= cycles && bound - cycles <= cycles / 8,
                "{cycles}: {bound}"
            );
            assert_eq!(bucket(bound), bucket(cycles));
        }
    }

    #[test]
    fn a_percentile_is_what_that_share_did_not_exceed() {
        let times = BurstTimes::default();
        assert_eq!(times.snapshot().cycles_at(0.5), 0);
        let before = times.snapshot();
        for cycles in 1..=1000 {
            times.record(cycles);
        }
        let counts = times.snapshot().since(&before);
        assert_eq!(counts.bursts(), 1000);
        for (share, cycles) in [(0.5, 500), (0.999, 999), (1.0, 1000)] {
            let at = counts.cycles_at(share);
            assert!(at >= cycles && at <= cycles * 9 / 8, "{share}: {at}");
        }
    }
}
