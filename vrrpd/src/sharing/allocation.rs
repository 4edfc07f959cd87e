//! Who shall be in charge of what: conditions are shared out among routers, moving as little as possible (A19). When that is
//! done, and how it becomes known, is not decided here.
//!
//! # Method
//!
//! The *bound* is the larger of the mean load and of the heaviest condition on the strongest router; no allocation can be better.
//! A router may carry the bound, by weight, and the tolerance. What a router has beyond that is taken off it, as little
//! traffic as will do, and goes with what nobody is in charge of to the router that is then the least loaded, the heaviest
//! condition first. Where that still leaves a router too heavy, single moves and exchanges follow as long as they make it
//! lighter, and of few conditions all ways to place them are gone through. An allocation that is within the tolerance, or that cannot be made better, is left alone, so that steady traffic
//! brings no second change.

mod packing;
mod search;

use super::names::RouterId;
use packing::Packing;
use search::search;

/// A router that takes a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who.
    pub router: RouterId,
    /// Its share relative to the others'. One of weight 0 gets nothing.
    pub weight: u16,
}

/// A condition to be shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Its traffic in bit/s.
    pub bit_per_s: u64,
    /// Who is in charge of it.
    pub router: Option<RouterId>,
    /// Whether it has to stay there, because its last move is not finished.
    pub pinned: bool,
}

/// What the routers shall have alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The number of conditions, by weight.
    Count,
    /// The traffic, by weight.
    Rate {
        /// How much more than its share a router may have, in thousandths of the share.
        tolerance_permille: u16,
    },
}

/// Who shall be in charge of each of `loads`, in their order. `None` stays without a router, which happens only
/// when no router has a weight. The same input gives the same result everywhere, the order of `shares` apart.
#[must_use]
pub fn allocate(measure: Measure, shares: &[Share], loads: &[Load]) -> Vec<Option<RouterId>> {
    let mut shares: Vec<Share> = shares
        .iter()
        .copied()
        .filter(|share| share.weight > 0)
        .collect();
    shares.sort_unstable_by_key(|share| share.router);
    shares.dedup_by_key(|share| share.router);
    if shares.is_empty() {
        return loads
            .iter()
            .map(|load| load.router.filter(|_| load.pinned))
            .collect();
    }

    let start = Packing::new(measure, &shares, loads);
    let mut best = start.clone();
    best.relieve();
    best.place();
    best.improve();
    if best.is_too_heavy() {
        // What is there stands in the way: all anew, but whatever fits where it is stays.
        let mut anew = start.clone();
        anew.place_anew();
        anew.improve();
        if anew.heaviest().1 < best.heaviest().1 {
            best = anew;
        }
        if best.is_too_heavy()
            && let Some(mut found) = search(&start, best.heaviest().1)
        {
            found.place();
            best = found;
        }
        // Nothing is moved for nothing.
        let mut kept = start;
        kept.place();
        if kept.heaviest().1 <= best.heaviest().1 {
            best = kept;
        }
    }
    best.at
        .iter()
        .zip(loads)
        .map(|(at, load)| match at {
            Some(at) => shares.get(*at).map(|share| share.router),
            None => load.router.filter(|_| load.pinned),
        })
        .collect()
}

#[cfg(test)]
mod tests;
