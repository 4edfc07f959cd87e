//! Which message numbers of a sender have been taken: the sliding window of RFC 4303 §3.4.3.

/// How far behind the highest number taken another one may arrive.
pub const WINDOW_LEN: u64 = 1024;

const WORDS: usize = (WINDOW_LEN / u64::BITS as u64) as usize;

/// The window of one sender. A number below it counts as taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The highest number taken.
    top: u64,
    /// Whether a number is taken, at the number modulo [`WINDOW_LEN`], for the numbers from `top` down.
    taken: [u64; WORDS],
}

impl Window {
    /// A window in which `number` and everything below it is taken.
    #[must_use]
    pub const fn above(number: u64) -> Window {
        Window {
            top: number,
            taken: [u64::MAX; WORDS],
        }
    }

    /// Whether `number` has not been taken.
    #[must_use]
    pub fn is_fresh(&self, number: u64) -> bool {
        if number > self.top {
            return true;
        }
        let (word, bit) = place(number);
        self.top - number < WINDOW_LEN && self.taken.get(word).is_some_and(|word| word & bit == 0)
    }

    /// Takes `number`.
    pub fn take(&mut self, number: u64) {
        if number > self.top {
            let passed = (number - self.top).min(WINDOW_LEN);
            for skipped in 0..passed {
                self.set(number - skipped, false);
            }
            self.top = number;
        }
        if self.top - number < WINDOW_LEN {
            self.set(number, true);
        }
    }

    fn set(&mut self, number: u64, taken: bool) {
        let (word, bit) = place(number);
        if let Some(word) = self.taken.get_mut(word) {
            if taken {
                *word |= bit;
            } else {
                *word &= !bit;
            }
        }
    }
}

/// Where a number's bit stands: which word, which bit of it.
const fn place(number: u64) -> (usize, u64) {
    let position = number % WINDOW_LEN;
    (
        (position / u64::BITS as u64) as usize,
        1 << (position % u64::BITS as u64),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a set that forgets nothing.
        #[test]
        fn a_number_is_fresh_once_and_only_inside_or_above_the_window(
            start in 0u64..5000,
            steps in proptest::collection::vec((-2000i64..2000, any::<bool>()), 1..300),
        ) {
            let mut window = Window::above(start);
            let mut taken = HashSet::new();
            let mut top = start;
            for (step, far) in steps {
                let number = top.saturating_add_signed(if far { step } else { step % 40 });
                let fresh = number > start && !taken.contains(&number) && number + WINDOW_LEN > top;
                prop_assert_eq!(window.is_fresh(number), fresh, "{} with top {}", number, top);
                if fresh {
                    window.take(number);
                    taken.insert(number);
                    top = top.max(number);
                }
            }
        }
    }

    #[test]
    fn the_last_number_can_be_taken() {
        let mut window = Window::above(u64::MAX - 1);
        assert!(window.is_fresh(u64::MAX));
        window.take(u64::MAX);
        assert!(!window.is_fresh(u64::MAX));
    }
}
