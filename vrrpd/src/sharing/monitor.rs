//! What a router routes, as averages over a window: bit/s for each condition, overflows for the router (A7). Where the counters come from, and
//! what follows from the figures, is not here.
//!
//! # Method
//!
//! The window is divided into [`PARTS`]. At the end of each the driver reads its counters; what has been added since is that part's, and the
//! oldest part is forgotten. A reading of counters that come in order costs one subtraction and one addition for each, without a search, so that this can
//! be on with 65,536 conditions. A condition that moves during the window counts at both routers, for the part of the window in which each had it: the
//! *sum* over the routers is its rate at any time.

use std::time::Duration;

use super::names::Condition;
use crate::Time;

/// Into how many parts the window is divided.
pub const PARTS: u32 = 4;

const SLOTS: usize = PARTS as usize;

/// Averages over a sliding window.
#[derive(Clone, Debug)]
pub struct Monitor {
    window: Duration,
    /// When the counters were read last; `None` before the first reading.
    read_at: Option<Time>,
    /// How many parts there are, up to all.
    filled: usize,
    /// Which part is written next.
    next: usize,
    lengths: [Duration; SLOTS],
    overflows: Counted,
    /// In ascending order of the conditions.
    conditions: Vec<(Condition, Counted)>,
}

/// A counter: as it was read last, and what was added in each part.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    read: u64,
    parts: [u64; SLOTS],
}

impl Counted {
    /// A counter that is met for the first time: what it had before is nobody's.
    const fn from(read: u64) -> Counted {
        Counted {
            read,
            parts: [0; SLOTS],
        }
    }

    fn advance(&mut self, slot: usize, read: u64) {
        if let Some(part) = self.parts.get_mut(slot) {
            // One that went back has begun anew, at an unknown time.
            *part = read.saturating_sub(self.read);
        }
        self.read = read;
    }

    fn sum(&self) -> u64 {
        self.parts
            .iter()
            .fold(0, |sum, part| sum.saturating_add(*part))
    }
}

/// What a router carries, all conditions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The time that is averaged over.
    pub window: Duration,
    /// What it routes, in bit/s.
    pub bit_per_s: u64,
    /// Overflows in the window.
    pub overflows: u64,
}

impl Totals {
    /// Overflows a second, rounded down.
    #[must_use]
    pub fn overflows_per_s(&self) -> u64 {
        per_second(self.overflows, self.window)
    }
}

impl Monitor {
    /// A monitor that has read nothing yet. A window of zero is taken as the shortest possible, of [`PARTS`] nanoseconds.
    #[must_use]
    pub fn new(window: Duration) -> Monitor {
        Monitor {
            window: window.max(Duration::from_nanos(PARTS.into())),
            read_at: None,
            filled: 0,
            next: 0,
            lengths: [Duration::ZERO; SLOTS],
            overflows: Counted::default(),
            conditions: Vec::new(),
        }
    }

    /// When the counters are to be read next; `None`: as soon as possible, for nothing was read yet.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        Some(self.read_at? + self.window / PARTS)
    }

    /// Takes the counters as they are `now`: octets routed of each condition that this router knows, and overflows, both since any beginning. A
    /// reading before it is [due](Self::due) is not taken up, and answered with `false`. Conditions that are left out are forgotten.
    ///
    /// Counters in ascending order of the conditions are cheapest. Of a condition given twice, the last figure counts.
    pub fn read(
        &mut self,
        now: Time,
        octets: impl IntoIterator<Item = (Condition, u64)>,
        overflows: u64,
    ) -> bool {
        if self.due().is_some_and(|due| now < due) {
            return false;
        }
        let Some(before) = self.read_at.replace(now) else {
            self.overflows = Counted::from(overflows);
            self.conditions = ordered(octets)
                .into_iter()
                .map(|(condition, read)| (condition, Counted::from(read)))
                .collect();
            return true;
        };
        let slot = self.next;
        self.next = (slot + 1) % SLOTS;
        self.filled = (self.filled + 1).min(SLOTS);
        if let Some(length) = self.lengths.get_mut(slot) {
            *length = now.since(before);
        }
        self.overflows.advance(slot, overflows);
        let readings = ordered(octets);
        let mut known = std::mem::take(&mut self.conditions).into_iter().peekable();
        self.conditions.reserve_exact(readings.len());
        for (condition, read) in readings {
            while known.next_if(|(other, _)| *other < condition).is_some() {}
            let counted = match known.next_if(|(other, _)| *other == condition) {
                Some((_, mut counted)) => {
                    counted.advance(slot, read);
                    counted
                }
                None => Counted::from(read),
            };
            self.conditions.push((condition, counted));
        }
        true
    }

    /// Whether a whole window has been measured. Before, the averages are over less.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.filled == SLOTS
    }

    /// The time that is averaged over at the moment; zero before the second reading.
    #[must_use]
    pub fn measured(&self) -> Duration {
        self.lengths.iter().sum()
    }

    /// Everything together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let octets = self
            .conditions
            .iter()
            .fold(0u64, |sum, (_, counted)| sum.saturating_add(counted.sum()));
        Totals {
            window: self.measured(),
            bit_per_s: bit_per_s(octets, self.measured()),
            overflows: self.overflows.sum(),
        }
    }

    /// What was routed of each condition, in bit/s, in ascending order of the conditions; those without traffic are left out.
    pub fn rates(&self) -> impl Iterator<Item = (Condition, u64)> + '_ {
        let measured = self.measured();
        self.conditions
            .iter()
            .map(move |(condition, counted)| (*condition, bit_per_s(counted.sum(), measured)))
            .filter(|(_, rate)| *rate > 0)
    }
}

/// The counters in ascending order, each condition once.
fn ordered(octets: impl IntoIterator<Item = (Condition, u64)>) -> Vec<(Condition, u64)> {
    let mut readings: Vec<_> = octets.into_iter().collect();
    if !readings.is_sorted_by(|one, next| one.0 < next.0) {
        // Stable, and the last of equal ones is to remain.
        readings.reverse();
        readings.sort_by_key(|(condition, _)| *condition);
        readings.dedup_by_key(|(condition, _)| *condition);
    }
    readings
}

fn bit_per_s(octets: u64, time: Duration) -> u64 {
    per_second(octets.saturating_mul(8), time)
}

/// `count` in `time` as a number a second, rounded down; 0 if there was no time.
pub(super) fn per_second(count: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos();
    let per_s = (u128::from(count) * 1_000_000_000).checked_div(nanos);
    per_s.map_or(0, |per_s| u64::try_from(per_s).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
