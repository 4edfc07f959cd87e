//! A router's watch over its own figures (A8), and the silence after a request (A12).

use super::Config;
use crate::Time;
use crate::sharing::monitor::Totals;
use crate::sharing::wire::{ReviewRequest, Threshold};

/// Whether a router has more than it wants, and when it said so last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    asked_at: Option<Time>,
}

impl Watch {
    /// The request to send, if `totals` pass a threshold and none was sent for the hold, reallocated or not. Overflows come first: they
    /// are harm, a rate is only a suspicion.
    pub fn check(&mut self, now: Time, config: &Config, totals: &Totals) -> Option<ReviewRequest> {
        if self.asked_at.is_some_and(|asked| now < asked + config.hold) {
            return None;
        }
        let overflows = (
            Threshold::Overflows,
            totals.overflows_per_s(),
            config.overflows_per_s,
        );
        let rate = (Threshold::Rate, totals.bit_per_s, config.rate_bit_per_s);
        let request = [overflows, rate]
            .into_iter()
            .find_map(|(passed, figure, threshold)| {
                let threshold = threshold.filter(|threshold| figure > *threshold)?;
                Some(ReviewRequest {
                    passed,
                    figure,
                    threshold,
                })
            })?;
        self.asked_at = Some(now);
        Some(request)
    }
}
