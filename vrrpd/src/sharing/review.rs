//! Reviews: from figures to the decision to reallocate. How the figures come about is in [`monitor`](super::monitor), how messages
//! travel and how a decision is carried out in the router's own part.
//!
//! | file | what lives there |
//! |---|---|
//! | `watch` | when a router asks for a review, and how long it then keeps quiet (A8, A12) |
//! | `collection` | an authority's round of questions and answers, and how long it then asks no more (A9, A10, A13) |
//! | `decision` | whether what was collected calls for another allocation (A11), and why that comes to rest |

mod collection;
mod decision;
mod watch;

use std::time::Duration;

pub use collection::{Collected, Collector, PATIENCE, REPEAT, Start};
pub use decision::{Decision, Relief, Reliefs, RouterLoad, Verdict, decide};
pub use watch::Watch;

/// What an operator decides about reviews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The time that rates and overflows are averaged over.
    pub window: Duration,
    /// A router that routes more than this asks for a review; `None`: its rate is no reason.
    pub rate_bit_per_s: Option<u64>,
    /// A router with more overflows a second than this asks for a review; `None`: they are no reason.
    pub overflows_per_s: Option<u64>,
    /// For how long a router that has asked asks no more, and an authority that has collected collects no more.
    pub hold: Duration,
    /// A review reallocates if the most and the least loaded router, by weight, differ by more than this, in thousandths of the mean.
    pub rate_difference_permille: u16,
    /// A review reallocates if a router has so many overflows a second more than the one with the fewest.
    pub overflow_difference_per_s: u64,
    /// How much more than its share a router may have after that, in thousandths of the share.
    pub tolerance_permille: u16,
}

impl Default for Config {
    /// Averages over 10 s; a review at most once a minute, asked for above 10 Mbit/s or 1 overflow a second; reallocation from a
    /// difference of 20 % or 1 overflow a second, to within 5 %.
    ///
    /// The rate that brings a review is low on purpose: a review without an imbalance costs a few messages.
    fn default() -> Config {
        Config {
            window: Duration::from_secs(10),
            rate_bit_per_s: Some(10_000_000),
            overflows_per_s: Some(1),
            hold: Duration::from_secs(60),
            rate_difference_permille: 200,
            overflow_difference_per_s: 1,
            tolerance_permille: 50,
        }
    }
}

impl Config {
    /// Whether one review can see what the last one changed, and does not undo it: the hold is no shorter than the window, nothing is zero that is waited
    /// for, and the tolerance is less than the difference that calls for a reallocation.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.window.is_zero()
            && self.hold >= self.window
            && self.tolerance_permille > 0
            && self.tolerance_permille < self.rate_difference_permille
    }
}

#[cfg(test)]
mod tests;
