//! By what numbers the workers know conditions and moves: every condition of every group has an index of its own, which is
//! given anew only when no worker can be using it for the condition before; every move of every group has a number.

use std::collections::{BTreeMap, VecDeque};

use dataplane::handover::HandoverId;

/// The index that groups without load sharing count under.
pub(super) const UNSHARED: u32 = 0;

/// How many indices are given out before one is used anew, so that this happens late without the counters taking ever more memory.
const FRESH_FIRST: u32 = 1 << 17;

/// The same of those that are given out in blocks: as many as four networks of 65,536 addresses.
const FRESH_BLOCKS_FIRST: u32 = 1 << 18;

/// The numbers of all groups.
#[derive(Debug)]
pub(in crate::control::vrrp) struct Numbers {
    /// The lowest that was never given out.
    next: u32,
    /// Below it fresh ones come before those that came back.
    fresh_first: u32,
    /// One more than the highest that is not of a block.
    end: u32,
    free: VecDeque<u32>,
    /// Above it fresh blocks come before those that came back.
    fresh_blocks_first: u32,
    /// The first ones of blocks that came back, by how many indices they are.
    free_blocks: BTreeMap<u32, VecDeque<u32>>,
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
            fresh_blocks_first: end.saturating_sub(FRESH_BLOCKS_FIRST),
            free_blocks: BTreeMap::new(),
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

    /// The first of so many indices in a row that nothing uses, for the addresses of a connected network; none if there are not so many.
    pub(super) fn take_block(&mut self, count: u32) -> Option<u32> {
        let fresh = self
            .end
            .checked_sub(count)
            .filter(|&first| first >= self.next);
        let is_fresh_due = fresh.is_some_and(|first| first >= self.fresh_blocks_first);
        let freed = self.free_blocks.get_mut(&count).filter(|_| !is_fresh_due);
        freed.and_then(VecDeque::pop_front).or_else(|| {
            self.end = fresh?;
            fresh
        })
    }

    /// No worker uses any of them any more.
    pub(super) fn give_block_back(&mut self, first: u32, count: u32) {
        self.free_blocks.entry(count).or_default().push_back(first);
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
    fn blocks_are_given_out_from_above_and_again_only_when_they_came_back() {
        let mut numbers = Numbers::up_to(100);
        assert_eq!(
            [numbers.take_block(32), numbers.take_block(32)],
            [Some(68), Some(36)]
        );
        assert_eq!(
            (numbers.take_block(64), numbers.take_block(35)),
            (None, Some(1))
        );
        assert_eq!(
            numbers.take(),
            UNSHARED,
            "nothing is left beside the blocks"
        );
        numbers.give_block_back(68, 32);
        numbers.give_block_back(36, 32);
        assert_eq!(
            (numbers.take_block(16), numbers.take_block(32)),
            (None, Some(68))
        );
    }

    #[test]
    fn a_block_that_came_back_waits_until_fresh_ones_have_been_given_out() {
        let mut numbers = Numbers {
            fresh_blocks_first: 80,
            ..Numbers::up_to(100)
        };
        let first = numbers.take_block(10);
        assert_eq!(first, Some(90));
        numbers.give_block_back(90, 10);
        assert_eq!(
            [numbers.take_block(10), numbers.take_block(10)],
            [Some(80), first]
        );
        assert_eq!(numbers.take_block(10), Some(70), "none has come back");
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
