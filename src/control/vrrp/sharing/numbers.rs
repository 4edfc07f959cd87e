//! By what numbers the workers know conditions and moves: every condition of every group has an index of its own, which is
//! given anew only when no worker can be using it for the condition before; every move of every group has a number.

use std::collections::VecDeque;

use dataplane::handover::HandoverId;

/// The index that groups without load sharing count under.
pub(super) const UNSHARED: u32 = 0;

/// How many indices are given out before one is used anew, so that this happens late without the counters taking ever more memory.
const FRESH_FIRST: u32 = 1 << 17;

/// The numbers of all groups.
#[derive(Debug)]
pub(in crate::control::vrrp) struct Numbers {
    /// The lowest that was never given out.
    next: u32,
    /// Below it fresh ones come before those that came back.
    fresh_first: u32,
    /// One more than the highest.
    end: u32,
    free: VecDeque<u32>,
    refused: u64,
    handovers: u32,
}

impl Default for Numbers {
    /// As many as a data plane counts.
    fn default() -> Self {
        Self::up_to(dataplane::verdict::CONDITIONS_MAX)
    }
}

impl Numbers {
    /// All below `end`, but for [`UNSHARED`].
    pub(in crate::control::vrrp) const fn up_to(end: u32) -> Self {
        Self {
            next: UNSHARED + 1,
            fresh_first: FRESH_FIRST,
            end,
            free: VecDeque::new(),
            refused: 0,
            handovers: 0,
        }
    }

    /// An index that nothing uses; without one, conditions share that of everything unshared: they are judged alike, and
    /// only counted together.
    pub(super) fn take(&mut self) -> u32 {
        let is_fresh_due = self.next < self.fresh_first || self.free.is_empty();
        if is_fresh_due && self.next < self.end {
            self.next += 1;
            return self.next - 1;
        }
        self.free.pop_front().unwrap_or_else(|| {
            self.refused += 1;
            UNSHARED
        })
    }

    /// No worker uses it any more.
    pub(super) fn give_back(&mut self, index: u32) {
        if index != UNSHARED {
            self.free.push_back(index);
        }
    }

    /// Another move's number. They come round after 2^32 moves, of which the first are long over.
    pub(super) const fn handover(&mut self) -> HandoverId {
        self.handovers = self.handovers.wrapping_add(1);
        HandoverId(self.handovers)
    }

    /// How often there was no index.
    pub(in crate::control::vrrp) const fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_given_out_once_and_again_only_when_it_came_back() {
        let mut numbers = Numbers::up_to(4);
        let taken: Vec<u32> = (0..4).map(|_| numbers.take()).collect();
        assert_eq!(taken, [1, 2, 3, UNSHARED]);
        assert_eq!(numbers.refused(), 1);
        numbers.give_back(2);
        numbers.give_back(UNSHARED);
        assert_eq!((numbers.take(), numbers.take()), (2, UNSHARED));
    }

    #[test]
    fn many_are_given_out_before_one_is_used_anew_and_more_only_when_none_came_back() {
        let mut numbers = Numbers {
            fresh_first: 4,
            ..Numbers::up_to(6)
        };
        let first = numbers.take();
        numbers.give_back(first);
        assert_eq!([numbers.take(), numbers.take()], [2, 3]);
        assert_eq!(numbers.take(), first, "the one that came back");
        assert_eq!([numbers.take(), numbers.take()], [4, 5]);
        assert_eq!((numbers.take(), numbers.refused()), (UNSHARED, 1));
    }
}
