//! Loads to share out, and how well that can be done. For the benchmark, and for the unit tests of the allocation.

/// The kinds of load.
pub(crate) const KINDS: [&str; 4] = ["uniform", "Zipf 1.0", "Zipf 1.3", "one elephant"];

/// Rates of `count` conditions in bit/s, in an order that says nothing about them.
pub(crate) fn rates(kind: &str, count: usize) -> Vec<u64> {
    let mut rates: Vec<u64> = (1..=count)
        .map(|rank| match kind {
            "uniform" => 1_000_000 + (rank as u64 * 7919) % 500_000,
            "Zipf 1.0" => (1e9 / rank as f64) as u64,
            "Zipf 1.3" => (1e9 / (rank as f64).powf(1.3)) as u64,
            _ if rank == 1 => 1_000_000 * count as u64,
            _ => 1_000_000,
        })
        .collect();
    rates.sort_by_key(|rate| rate.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    rates
}

/// Weights of `routers`: all alike, or 1, 2, 3, 4, 1, 2, …
pub(crate) fn weights(routers: usize, equal: bool) -> Vec<u16> {
    let weight = |number| if equal { 1 } else { 1 + number as u16 % 4 };
    (0..routers).map(weight).collect()
}

/// What the heaviest router has at least, relative to its weight: the mean, or the heaviest condition on the strongest router.
pub(crate) fn bound(weights: &[u16], rates: &[u64]) -> f64 {
    let weight: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let strongest = weights.iter().copied().max().unwrap_or(1);
    let heaviest = rates.iter().copied().max().unwrap_or(0);
    let mean = rates.iter().sum::<u64>() as f64 / weight;
    mean.max(heaviest as f64 / f64::from(strongest))
}

/// The least that the heaviest router has of all allocations there are, relative to its weight, by branch and bound: for few conditions, since it takes
/// time that grows with the number of allocations. `start` is what some allocation has.
pub(crate) fn optimum(weights: &[u16], rates: &[u64], start: f64) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    let mut search = Search {
        weights: weights.iter().map(|weight| f64::from(*weight)).collect(),
        left: sorted.iter().sum::<u64>() as f64,
        loads: vec![0.0; weights.len()],
        best: start,
        bound: bound(weights, rates),
        rates: sorted.into_iter().map(|rate| rate as f64).collect(),
    };
    search.place(0, 0.0);
    search.best
}

/// The conditions in the order in which they are placed, heaviest first, and how far that has come.
struct Search {
    weights: Vec<f64>,
    rates: Vec<f64>,
    loads: Vec<f64>,
    /// The sum of those that are not placed.
    left: f64,
    best: f64,
    bound: f64,
}

impl Search {
    fn place(&mut self, condition: usize, heaviest: f64) {
        let Some(rate) = self.rates.get(condition).copied() else {
            self.best = self.best.min(heaviest);
            return;
        };
        // What can still be taken without being as heavy as the best known: a router with less room than the lightest has none.
        let lightest = self.rates.last().copied().unwrap_or(0.0);
        let room: f64 = (self.weights.iter().zip(&self.loads))
            .map(|(weight, load)| self.best * weight - load)
            .filter(|room| *room > lightest)
            .sum();
        if room <= self.left {
            return;
        }
        for router in 0..self.loads.len() {
            if self.best <= self.bound {
                return;
            }
            let (weight, load) = (self.weights[router], self.loads[router]);
            let mut before = (self.weights.iter().zip(&self.loads)).take(router);
            // One of several that are alike.
            if before.any(|other| other == (&weight, &load)) {
                continue;
            }
            let relative = (load + rate) / weight;
            if relative < self.best {
                self.loads[router] = load + rate;
                self.left -= rate;
                self.place(condition + 1, heaviest.max(relative));
                self.left += rate;
                self.loads[router] = load;
            }
        }
    }
}
