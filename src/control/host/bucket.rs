//! A token bucket: how often something may be done, and how often at once.

use std::time::Duration;

use vrrpd::Time;

/// A rate and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come in each second.
    pub per_second: u32,
    /// Tokens that the bucket holds at most, and at first.
    pub burst: u32,
}

/// A bucket that fills at a [`Rate`]. With a rate or a burst of zero it never has a token.
///
/// It keeps only the instant at which it will be full again (the virtual scheduling form of the generic cell rate
/// algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    full_at: Time,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: Time::ZERO,
        }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        let Some(interval) = self.interval() else {
            return false;
        };
        if self.ready_at().is_none_or(|ready_at| ready_at > now) {
            return false;
        }
        self.full_at = self.full_at.max(now) + interval;
        true
    }

    /// From when on there is a token; `None` if never.
    #[must_use]
    pub fn ready_at(&self) -> Option<Time> {
        let interval = self.interval()?;
        let fill_but_one = interval.saturating_mul(self.rate.burst.checked_sub(1)?);
        let fill_but_one = u64::try_from(fill_but_one.as_nanos()).unwrap_or(u64::MAX);
        Some(Time::from_nanos(
            self.full_at.as_nanos().saturating_sub(fill_but_one),
        ))
    }

    /// The time in which one token comes in.
    fn interval(&self) -> Option<Duration> {
        Duration::from_secs(1).checked_div(self.rate.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn taken(bucket: &mut TokenBucket, now: Time) -> usize {
        (0..1000).take_while(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
        let mut bucket = TokenBucket::new(Rate {
            per_second: 10,
            burst: 5,
        });
        let start = Time::ZERO + SECOND;
        assert_eq!(taken(&mut bucket, start), 5);
        assert_eq!(bucket.ready_at(), Some(start + SECOND / 10));
        assert_eq!(taken(&mut bucket, start + SECOND / 10), 1);
        assert_eq!(taken(&mut bucket, start + SECOND / 10 * 4), 3);
        assert_eq!(taken(&mut bucket, start + SECOND * 60), 5);
    }

    #[test]
    fn over_a_long_time_no_more_than_the_rate_comes_out() {
        let mut bucket = TokenBucket::new(Rate {
            per_second: 1000,
            burst: 10,
        });
        let taken = (0..100_000_u64)
            .filter(|step| bucket.take(Time::from_nanos(step * 100_000)))
            .count();
        assert!((10_000..=10_010).contains(&taken), "{taken} in 10 s");
    }

    #[test]
    fn a_bucket_without_rate_or_burst_is_always_empty() {
        for rate in [(0, 5), (5, 0)] {
            let mut bucket = TokenBucket::new(Rate {
                per_second: rate.0,
                burst: rate.1,
            });
            assert!(!bucket.take(Time::ZERO + SECOND));
            assert_eq!(bucket.ready_at(), None);
        }
    }
}
