//! Conditions on routers, and the steps that make the heaviest router lighter: taking off, placing, single moves and exchanges.

use std::cmp::Reverse;

use super::{Load, Measure, Share};

/// Loads relative to weights are compared as fractions of this denominator.
const SCALE: u128 = 1 << 24;

/// How many pairs of conditions are looked at for exchanges, so that the time has a bound.
const PAIRS_MAX: usize = 2_000_000;

/// Conditions, by position, on routers, by position.
#[derive(Clone)]
pub(super) struct Packing {
    sizes: Vec<u64>,
    movable: Vec<bool>,
    /// Where each condition is; `None` if on no router that takes a share.
    pub(super) at: Vec<Option<usize>>,
    weights: Vec<u128>,
    /// The sum of the sizes on each router.
    loads: Vec<u128>,
    /// The number of conditions on each router.
    counts: Vec<u128>,
    /// The relative load that is no better for being less.
    limit: u128,
    /// What each router may carry.
    capacities: Vec<u128>,
}

impl Packing {
    pub(super) fn new(measure: Measure, shares: &[Share], loads: &[Load]) -> Packing {
        let sizes: Vec<u64> = match measure {
            Measure::Count => vec![1; loads.len()],
            Measure::Rate { .. } => loads.iter().map(|load| load.bit_per_s).collect(),
        };
        let at: Vec<Option<usize>> = loads
            .iter()
            .map(|load| {
                shares
                    .binary_search_by_key(&load.router?, |share| share.router)
                    .ok()
            })
            .collect();
        let weights: Vec<u128> = shares.iter().map(|share| share.weight.into()).collect();
        let mut packing = Packing {
            movable: loads.iter().map(|load| !load.pinned).collect(),
            loads: vec![0; shares.len()],
            counts: vec![0; shares.len()],
            limit: 0,
            capacities: Vec::new(),
            at: vec![None; sizes.len()],
            sizes,
            weights,
        };
        packing.limit = packing.allowed(measure);
        packing.capacities = packing.capacities(measure);
        for (condition, router) in at.into_iter().enumerate() {
            if let Some(router) = router {
                packing.put(condition, router);
            }
        }
        packing
    }

    fn allowed(&self, measure: Measure) -> u128 {
        // What is pinned elsewhere is no load of these routers, but it will be soon.
        let total: u128 = self.sizes.iter().map(|size| u128::from(*size)).sum();
        let weight: u128 = self.weights.iter().sum();
        let heaviest: u128 = self.sizes.iter().copied().max().unwrap_or(0).into();
        let strongest = self.weights.iter().copied().max().unwrap_or(1);
        let mean = total * SCALE / weight.max(1);
        let bound = mean.max(heaviest * SCALE / strongest);
        match measure {
            Measure::Count => mean,
            Measure::Rate { tolerance_permille } => {
                bound + bound * u128::from(tolerance_permille) / 1000
            }
        }
    }

    fn capacities(&self, measure: Measure) -> Vec<u128> {
        let conditions = self.sizes.len() as u128;
        let weight: u128 = self.weights.iter().sum();
        let capacity = |own: &u128| match measure {
            // A part of a condition more than its share is the best that some counts allow.
            Measure::Count => (conditions * own).div_ceil(weight.max(1)),
            Measure::Rate { .. } => self.limit * own / SCALE,
        };
        self.weights.iter().map(capacity).collect()
    }

    /// The load of `router` relative to its weight, if it were `load`.
    pub(super) fn relative(&self, router: usize, load: u128) -> u128 {
        load * SCALE / self.weight(router)
    }

    pub(super) fn weight(&self, router: usize) -> u128 {
        self.weights.get(router).copied().unwrap_or(1)
    }

    /// The relative load that is no better for being less.
    pub(super) fn limit(&self) -> u128 {
        self.limit
    }

    /// The sum of the sizes on each router.
    pub(super) fn loads(&self) -> &[u128] {
        &self.loads
    }

    /// Where a condition is.
    pub(super) fn at(&self, condition: usize) -> Option<usize> {
        self.at.get(condition).copied().flatten()
    }

    /// The movable conditions that have traffic.
    pub(super) fn laden(&self) -> Vec<usize> {
        let movable = self.movable.iter().zip(&self.sizes).enumerate();
        let laden = movable.filter(|(_, (movable, size))| **movable && **size > 0);
        laden.map(|(condition, _)| condition).collect()
    }

    fn load(&self, router: usize) -> u128 {
        self.loads.get(router).copied().unwrap_or(0)
    }

    pub(super) fn size(&self, condition: usize) -> u64 {
        self.sizes.get(condition).copied().unwrap_or(0)
    }

    /// What `router` may carry.
    fn capacity(&self, router: usize) -> u128 {
        self.capacities.get(router).copied().unwrap_or(0)
    }

    pub(super) fn put(&mut self, condition: usize, router: usize) {
        self.lift(condition);
        let size = self.size(condition);
        if let (Some(at), Some(load), Some(count)) = (
            self.at.get_mut(condition),
            self.loads.get_mut(router),
            self.counts.get_mut(router),
        ) {
            *at = Some(router);
            *load += u128::from(size);
            *count += 1;
        }
    }

    pub(super) fn lift(&mut self, condition: usize) {
        let size = self.size(condition);
        let Some(router) = self.at.get_mut(condition).and_then(Option::take) else {
            return;
        };
        if let (Some(load), Some(count)) = (self.loads.get_mut(router), self.counts.get_mut(router))
        {
            *load -= u128::from(size);
            *count -= 1;
        }
    }

    /// The router with the greatest relative load, and that load.
    pub(super) fn heaviest(&self) -> (usize, u128) {
        (0..self.loads.len())
            .map(|router| (router, self.relative(router, self.load(router))))
            .max_by_key(|(router, relative)| (*relative, Reverse(*router)))
            .unwrap_or_default()
    }

    pub(super) fn is_too_heavy(&self) -> bool {
        (0..self.loads.len()).any(|router| self.load(router) > self.capacity(router))
    }

    /// The movable conditions with traffic on each router, lightest first.
    fn lists(&self) -> Vec<Vec<usize>> {
        let mut lists = vec![Vec::new(); self.loads.len()];
        for (condition, router) in self.at.iter().enumerate() {
            if self.movable.get(condition) == Some(&true)
                && self.size(condition) > 0
                && let Some(list) = router.and_then(|router| lists.get_mut(router))
            {
                list.push(condition);
            }
        }
        for list in &mut lists {
            list.sort_unstable_by_key(|condition| self.key(*condition));
        }
        lists
    }

    /// The order of conditions by weight.
    fn key(&self, condition: usize) -> (u64, usize) {
        (self.size(condition), condition)
    }

    /// Takes off each router what it has beyond its capacity, and preferably what fits elsewhere.
    pub(super) fn relieve(&mut self) {
        let room = |packing: &Packing, router: usize| {
            packing
                .capacity(router)
                .saturating_sub(packing.load(router))
        };
        let most_room = (0..self.loads.len())
            .map(|router| room(self, router))
            .max()
            .unwrap_or(0);
        for (router, list) in self.lists().into_iter().enumerate() {
            let excess = self.load(router).saturating_sub(self.capacity(router));
            if excess == 0 {
                continue;
            }
            let size = |condition: &usize| u128::from(self.size(*condition));
            let (fitting, _) =
                list.split_at(list.partition_point(|condition| size(condition) <= most_room));
            let enough = fitting.iter().map(size).sum::<u128>() >= excess;
            for condition in self.least(if enough { fitting } else { &list }, excess) {
                self.lift(condition);
            }
        }
    }

    /// Conditions out of `list`, which is sorted, that together have at least `excess` and not much more; all if
    /// that is not enough.
    fn least(&self, list: &[usize], excess: u128) -> Vec<usize> {
        let size = |condition: &usize| u128::from(self.size(*condition));
        let mut rest = list.to_vec();
        let mut chosen = Vec::new();
        let mut missing = excess;
        while missing > 0 && !rest.is_empty() {
            let first_enough = rest.partition_point(|condition| size(condition) < missing);
            let exact = rest
                .get(first_enough)
                .is_some_and(|condition| size(condition) == missing);
            // The heaviest that is not too much, or else the lightest of all, which is.
            let position = if exact {
                first_enough
            } else {
                first_enough.saturating_sub(1)
            };
            let condition = rest.remove(position);
            missing = missing.saturating_sub(size(&condition));
            chosen.push(condition);
        }
        // One alone may do with less.
        let single = list.partition_point(|condition| size(condition) < excess);
        let together: u128 = chosen.iter().map(size).sum();
        match list.get(single) {
            Some(single) if size(single) <= together => vec![*single],
            _ => chosen,
        }
    }

    /// Gives a router to every condition that has none, the heaviest first.
    pub(super) fn place(&mut self) {
        let mut pool: Vec<usize> = self
            .at
            .iter()
            .zip(&self.movable)
            .enumerate()
            .filter_map(|(condition, (at, movable))| {
                (at.is_none() && *movable).then_some(condition)
            })
            .collect();
        pool.sort_unstable_by_key(|condition| (Reverse(self.size(*condition)), *condition));
        for condition in pool {
            let router = self.roomiest(condition);
            self.put(condition, router);
        }
    }

    /// Gives every movable condition a router anew; each stays where it is if that has room when its turn comes.
    pub(super) fn place_anew(&mut self) {
        let before = self.at.clone();
        let mut pool: Vec<usize> = (0..self.sizes.len())
            .filter(|condition| self.movable.get(*condition) == Some(&true))
            .collect();
        pool.sort_unstable_by_key(|condition| (Reverse(self.size(*condition)), *condition));
        for condition in &pool {
            self.lift(*condition);
        }
        for condition in pool {
            let size = u128::from(self.size(condition));
            let router = before
                .get(condition)
                .copied()
                .flatten()
                .filter(|router| self.load(*router) + size <= self.capacity(*router))
                .unwrap_or_else(|| self.roomiest(condition));
            self.put(condition, router);
        }
    }

    /// The router that would be least loaded with `condition`. Those without traffic are spread by number.
    fn roomiest(&self, condition: usize) -> usize {
        let size = u128::from(self.size(condition));
        (0..self.loads.len())
            .min_by_key(|router| {
                let count = self.counts.get(*router).copied().unwrap_or(0) + 1;
                let by_count = self.relative(*router, count);
                match size {
                    0 => (by_count, 0),
                    _ => (self.relative(*router, self.load(*router) + size), by_count),
                }
            })
            .unwrap_or(0)
    }

    /// Moves and exchanges single conditions as long as the heaviest router is too heavy and gets lighter by it.
    pub(super) fn improve(&mut self) {
        let mut lists = self.lists();
        let mut pairs = 0;
        while self.is_too_heavy() && pairs < PAIRS_MAX {
            let (heaviest, relative) = self.heaviest();
            let mut change = self.best_move(&lists, heaviest);
            if change.is_none_or(|change| change.relative > self.limit) {
                let exchange = self.best_exchange(&lists, heaviest, &mut pairs);
                change = change.into_iter().chain(exchange).min_by_key(Change::key);
            }
            let Some(change) = change.filter(|change| change.relative < relative) else {
                return;
            };
            self.apply(&mut lists, change.given, change.to);
            if let Some(taken) = change.taken {
                self.apply(&mut lists, taken, heaviest);
            }
        }
    }

    fn apply(&mut self, lists: &mut [Vec<usize>], condition: usize, to: usize) {
        let key = self.key(condition);
        let from = self.at.get(condition).copied().flatten();
        if let Some(list) = from.and_then(|from| lists.get_mut(from)) {
            list.retain(|other| *other != condition);
        }
        if let Some(list) = lists.get_mut(to) {
            let position = list.partition_point(|other| self.key(*other) < key);
            list.insert(position, condition);
        }
        self.put(condition, to);
    }

    /// How much more `from` should have given to `to`: so much that it is no more too heavy, and so much that both are
    /// equally loaded.
    fn targets(&self, from: usize, to: usize) -> [u128; 2] {
        let weight = |router: usize| self.weight(router);
        let excess = self.load(from).saturating_sub(self.capacity(from));
        let even = (self.load(from) * weight(to)).saturating_sub(self.load(to) * weight(from))
            / (weight(from) + weight(to));
        [excess.min(even), even]
    }

    /// What it would mean that `from` gives `given` to `to`, and takes `taken` back.
    fn change(&self, from: usize, to: usize, given: usize, taken: Option<usize>) -> Change {
        let given_size = u128::from(self.size(given));
        let taken_size = taken.map_or(0, |taken| u128::from(self.size(taken)));
        let from_load = (self.load(from) + taken_size).saturating_sub(given_size);
        let to_load = (self.load(to) + given_size).saturating_sub(taken_size);
        let relative = self
            .relative(from, from_load)
            .max(self.relative(to, to_load));
        Change {
            // Lighter than necessary is no better.
            relative: relative.max(self.limit),
            traffic: given_size + taken_size,
            to,
            given,
            taken,
        }
    }

    fn best_move(&self, lists: &[Vec<usize>], from: usize) -> Option<Change> {
        let list = lists.get(from)?;
        (0..self.loads.len())
            .filter(|to| *to != from)
            .flat_map(|to| self.targets(from, to).map(|target| (to, target)))
            .flat_map(|(to, target)| {
                let at =
                    list.partition_point(|condition| u128::from(self.size(*condition)) < target);
                [at.checked_sub(1), Some(at)].map(|at| (to, at))
            })
            .filter_map(|(to, at)| Some(self.change(from, to, *list.get(at?)?, None)))
            .min_by_key(Change::key)
    }

    fn best_exchange(
        &self,
        lists: &[Vec<usize>],
        from: usize,
        pairs: &mut usize,
    ) -> Option<Change> {
        let given_list = lists.get(from)?;
        let mut best: Option<Change> = None;
        for (to, taken_list) in lists.iter().enumerate().filter(|(to, _)| *to != from) {
            for target in self.targets(from, to) {
                *pairs += given_list.len() + taken_list.len();
                let mut at = 0;
                for given in given_list {
                    let wanted = u128::from(self.size(*given)).saturating_sub(target);
                    while taken_list
                        .get(at)
                        .is_some_and(|taken| u128::from(self.size(*taken)) < wanted)
                    {
                        at += 1;
                    }
                    for taken in [at.checked_sub(1), Some(at)].into_iter().flatten() {
                        if let Some(taken) = taken_list.get(taken) {
                            let change = self.change(from, to, *given, Some(*taken));
                            best = best.into_iter().chain([change]).min_by_key(Change::key);
                        }
                    }
                }
            }
        }
        best
    }
}

/// A step of [`Packing::improve`].
#[derive(Clone, Copy)]
struct Change {
    /// The greater relative load of the two routers afterwards, at least the limit.
    relative: u128,
    /// What is moved.
    traffic: u128,
    to: usize,
    given: usize,
    taken: Option<usize>,
}

impl Change {
    fn key(&self) -> (u128, u128, usize, usize, Option<usize>) {
        (self.relative, self.traffic, self.to, self.given, self.taken)
    }
}
