//! All ways to place few conditions, by branch and bound: where moves and exchanges end at a router that is too heavy, there may still be an allocation in
//! which none is. With as many conditions as groups usually have that does not happen, and could not be searched.

use std::cmp::Reverse;

use super::packing::Packing;

/// With more conditions that have traffic than this there are too many ways.
const CONDITIONS_MAX: usize = 24;

/// How many placements are tried, so that the time has a bound: some milliseconds.
const TRIED_MAX: usize = 50_000;

/// What is better if it is less: the heaviest router's relative load, as far as it is beyond what is allowed, and what is moved.
type Cost = (u128, u128);

/// How far the search has come.
struct Search<'p> {
    packing: &'p Packing,
    /// Those that are placed one after the other, the heaviest first.
    conditions: Vec<usize>,
    /// Where each is tried at the moment, in that order.
    at: Vec<usize>,
    /// The load of each router with them.
    loads: Vec<u128>,
    best: Option<Vec<usize>>,
    cost: Cost,
    tried: usize,
}

/// The best way to place all movable conditions of `start` that have traffic, if there is one that makes the heaviest router lighter than `reached`
/// and is found in time.
pub(super) fn search(start: &Packing, reached: u128) -> Option<Packing> {
    let mut conditions = start.laden();
    if conditions.len() > CONDITIONS_MAX {
        return None;
    }
    conditions.sort_unstable_by_key(|condition| (Reverse(start.size(*condition)), *condition));
    let mut empty = start.clone();
    for condition in &conditions {
        empty.lift(*condition);
    }
    let mut search = Search {
        packing: start,
        at: Vec::with_capacity(conditions.len()),
        conditions,
        loads: empty.loads().to_vec(),
        best: None,
        cost: (reached, 0),
        tried: 0,
    };
    let least = search.heaviest();
    search.place((least, 0));
    let Search {
        conditions, best, ..
    } = search;
    for (condition, router) in conditions.into_iter().zip(best?) {
        empty.put(condition, router);
    }
    Some(empty)
}

impl Search<'_> {
    /// The relative load of the heaviest router, or what is allowed.
    fn heaviest(&self) -> u128 {
        let loads = self.loads.iter().enumerate();
        let relative = loads.map(|(router, load)| self.packing.relative(router, *load));
        relative.max().unwrap_or(0).max(self.packing.limit())
    }

    /// Tries all places of the next condition, `cost` being that of those before.
    fn place(&mut self, cost: Cost) {
        let Some(condition) = self.conditions.get(self.at.len()).copied() else {
            self.cost = cost;
            self.best = Some(self.at.clone());
            return;
        };
        let size = u128::from(self.packing.size(condition));
        let home = self.packing.at(condition);
        let others = (0..self.loads.len()).filter(|router| Some(*router) != home);
        for router in home.into_iter().chain(others) {
            let load = self.loads.get(router).copied().unwrap_or(0);
            let (heaviest, moved) = cost;
            let cost = (
                heaviest.max(self.packing.relative(router, load + size)),
                moved + if Some(router) == home { 0 } else { size },
            );
            if cost >= self.cost || self.tried == TRIED_MAX || self.is_like_one_before(router) {
                continue;
            }
            self.tried += 1;
            self.set(router, load + size);
            self.at.push(router);
            self.place(cost);
            self.at.pop();
            self.set(router, load);
        }
    }

    fn set(&mut self, router: usize, load: u128) {
        if let Some(place) = self.loads.get_mut(router) {
            *place = load;
        }
    }

    /// Whether a router with nothing is as good as one that was tried: both have the same weight, and nothing that could stay.
    fn is_like_one_before(&self, router: usize) -> bool {
        let is_empty = |router: usize| {
            self.loads.get(router) == Some(&0)
                && self
                    .conditions
                    .iter()
                    .all(|condition| self.packing.at(*condition) != Some(router))
        };
        let weight = |router| self.packing.weight(router);
        is_empty(router)
            && (0..router).any(|other| weight(other) == weight(router) && is_empty(other))
    }
}
