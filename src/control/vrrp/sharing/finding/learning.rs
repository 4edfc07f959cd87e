//! Learning end systems from their packets: what is asked of whom, and how often. A packet alone proves nothing, or whoever can send one
//! could fill the tables: for one on the link its own answer to ARP counts, for one behind a further router that the packet came from
//! there.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::addr::MacAddr;
use vrrpd::Time;

use crate::control::host::{Rate, TokenBucket};

/// Those that have been asked for and have not answered, or are to be asked for, at most.
const ASKED_MAX: usize = 1024;
/// For how long an answer counts.
const PATIENCE: Duration = Duration::from_secs(5);

/// An end system behind a further router, as a packet has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// The end system.
    pub address: Ipv4Addr,
    /// The further router, which packets to it go to.
    pub node: Ipv4Addr,
    /// The link address that the packet came from.
    pub from: MacAddr,
}

/// What one group has asked for, and will: `T` is what is asked, an address, or a [`Sighting`].
#[derive(Debug)]
pub(super) struct Learning<T> {
    per_second: u32,
    bucket: TokenBucket,
    /// To be asked for, in the order in which they were seen.
    waiting: VecDeque<T>,
    /// When each was asked for.
    asked: BTreeMap<T, Time>,
    /// Not asked for because there were too many.
    overflows: u64,
}

impl<T: Copy + Ord> Learning<T> {
    /// Asks for so many a second at most.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = Rate {
            per_second,
            burst: per_second.div_ceil(10),
        };
        Self {
            per_second,
            bucket: TokenBucket::new(rate),
            waiting: VecDeque::new(),
            asked: BTreeMap::new(),
            overflows: 0,
        }
    }

    /// Takes another rate.
    pub(super) fn set_rate(&mut self, per_second: u32) {
        if per_second != self.per_second {
            *self = Self {
                overflows: self.overflows,
                ..Self::new(per_second)
            };
        }
    }

    /// This was seen, and is to be asked for if it has not been of late.
    pub(super) fn seen(&mut self, seen: T) {
        if self.asked.contains_key(&seen) || self.waiting.contains(&seen) {
            return;
        }
        if self.waiting.len() + self.asked.len() >= ASKED_MAX {
            self.overflows += 1;
            return;
        }
        self.waiting.push_back(seen);
    }

    /// The next that may be asked for now.
    pub(super) fn next(&mut self, now: Time) -> Option<T> {
        self.asked
            .retain(|_, asked_at| now.since(*asked_at) < PATIENCE);
        if self.waiting.is_empty() || !self.bucket.take(now) {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.asked.insert(next, now);
        Some(next)
    }

    /// When there may be a next one.
    pub(super) fn timeout(&self) -> Option<Time> {
        let ready_at = self.bucket.ready_at();
        ready_at.filter(|_| !self.waiting.is_empty())
    }

    /// This was answered; whether it had been asked for.
    pub(super) fn answered(&mut self, asked: T) -> bool {
        self.asked.remove(&asked).is_some()
    }

    /// What has been asked for of that kind is to be asked for again.
    pub(super) fn again(&mut self, is_meant: impl Fn(&T) -> bool) {
        let waiting = &mut self.waiting;
        self.asked.retain(|asked, _| {
            let meant = is_meant(asked);
            waiting.extend(meant.then_some(*asked));
            !meant
        });
    }

    /// Not asked for because there were too many.
    pub(super) const fn overflows(&self) -> u64 {
        self.overflows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 17);

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn an_address_is_asked_for_once_and_counts_only_if_it_answers_in_time() {
        let mut learning = Learning::new(100);
        for _ in 0..2 {
            learning.seen(A);
        }
        assert_eq!(learning.next(at(0)), Some(A));
        learning.seen(A);
        assert_eq!(learning.next(at(1)), None);
        assert!(learning.answered(A));
        assert!(!learning.answered(A));
        learning.seen(A);
        assert_eq!(learning.next(at(2)), Some(A));
        assert_eq!(learning.next(at(6000)), None);
        assert!(!learning.answered(A));
    }

    #[test]
    fn what_has_been_asked_for_is_asked_for_again_when_there_is_reason() {
        let behind = |last, node| Sighting {
            address: Ipv4Addr::new(10, 9, 0, last),
            node: Ipv4Addr::new(192, 0, 2, node),
            from: MacAddr::default(),
        };
        let mut learning = Learning::new(100);
        for sighting in [behind(1, 8), behind(2, 9), behind(3, 9)] {
            learning.seen(sighting);
            assert_eq!(learning.next(at(0)), Some(sighting));
        }
        learning.again(|sighting| sighting.node == behind(0, 9).node);
        assert_eq!(learning.next(at(1)), Some(behind(2, 9)));
        assert_eq!(learning.next(at(1)), Some(behind(3, 9)));
        assert_eq!(learning.next(at(1)), None);
        assert!(learning.answered(behind(2, 9)));
        assert!(!learning.answered(behind(2, 9)));
    }

    #[test]
    fn whoever_is_too_early_waits_for_a_turn() {
        let mut learning = Learning::new(10);
        let other = Ipv4Addr::new(192, 0, 2, 18);
        learning.seen(A);
        learning.seen(other);
        assert_eq!(learning.next(at(0)), Some(A));
        assert_eq!(learning.next(at(0)), None);
        assert_eq!(learning.timeout(), Some(at(100)));
        assert_eq!(learning.next(at(100)), Some(other));
        assert_eq!(learning.timeout(), None);
    }

    #[test]
    fn a_flood_of_addresses_is_asked_for_at_the_rate_and_no_more_are_remembered() {
        let mut learning: Learning<Ipv4Addr> = Learning::new(1000);
        let mut asked = 0;
        for n in 0..10_000 {
            learning.seen((A.to_bits() + n).into());
            asked += u64::from(learning.next(at(u64::from(n / 10))).is_some());
        }
        assert!((900..=1200).contains(&asked), "{asked}");
        let kept = (learning.waiting.len() + learning.asked.len()) as u64;
        assert!(kept <= ASKED_MAX as u64);
        assert_eq!(learning.overflows(), 10_000 - kept);
    }
}
