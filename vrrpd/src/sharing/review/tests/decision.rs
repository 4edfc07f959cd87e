use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Config, Reliefs, RouterLoad, Verdict, decide};
use crate::sharing::allocation::{Load, Measure, Share, allocate};
use crate::sharing::names::RouterId;

fn router(number: usize) -> RouterId {
    RouterId::new(1 + number as u32).unwrap()
}

/// Routers and conditions that behave as told, however they are shared out.
#[derive(Clone, Debug)]
struct World {
    weights: Vec<u16>,
    /// What each router can send, in bit/s.
    capacities: Vec<u64>,
    rates: Vec<u64>,
    at: Vec<usize>,
    reliefs: Reliefs,
}

impl World {
    fn new(weights: &[u16], capacity: u64, rates: &[u64], at: &[usize]) -> World {
        World {
            weights: weights.to_vec(),
            capacities: vec![capacity; weights.len()],
            rates: rates.to_vec(),
            at: at.iter().map(|at| at % weights.len()).collect(),
            reliefs: Reliefs::default(),
        }
    }

    fn carried(&self, number: usize) -> u64 {
        let here = self.rates.iter().zip(&self.at);
        here.filter(|(_, at)| **at == number)
            .map(|(rate, _)| rate)
            .sum()
    }

    fn overflows(&self, number: usize) -> u64 {
        self.carried(number).saturating_sub(self.capacities[number])
    }

    fn shares(&self) -> Vec<Share> {
        let share = |(number, weight): (usize, &u16)| Share {
            router: router(number),
            weight: *weight,
        };
        self.weights.iter().enumerate().map(share).collect()
    }

    /// One review of figures that are off by up to `noise_permille`, as `noise` has it; returns the verdict and how much was moved.
    fn review(&mut self, config: &Config, noise_permille: u64, noise: u64) -> (Verdict, u64) {
        let measured = |place: usize, rate: u64| {
            let spread = rate * noise_permille / 1000;
            let draw = noise
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(place as u32 % 64);
            rate - spread + draw % (2 * spread + 1)
        };
        let loads: Vec<Load> = self
            .rates
            .iter()
            .zip(&self.at)
            .enumerate()
            .map(|(place, (rate, at))| Load {
                bit_per_s: measured(place, *rate),
                router: Some(router(*at)),
                pinned: false,
            })
            .collect();
        let routers: Vec<RouterLoad> = self
            .shares()
            .into_iter()
            .enumerate()
            .map(|(number, share)| RouterLoad {
                share,
                overflows_per_s: self.overflows(number),
            })
            .collect();
        let decision = decide(config, &routers, &loads, &mut self.reliefs);
        let mut moved = 0;
        if decision.verdict == Verdict::Reallocate {
            let shares = self.reliefs.apply(&self.shares());
            let measure = Measure::Rate {
                tolerance_permille: config.tolerance_permille,
            };
            let after = allocate(measure, &shares, &loads);
            for ((at, to), rate) in self.at.iter_mut().zip(after).zip(&self.rates) {
                let to = to.unwrap().get() as usize - 1;
                moved += if to == *at { 0 } else { *rate };
                *at = to;
            }
        }
        (decision.verdict, moved)
    }

    fn max_over_mean(&self) -> f64 {
        let weight: f64 = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        let mean = self.rates.iter().sum::<u64>() as f64 / weight;
        let relative = |number| self.carried(number) as f64 / f64::from(self.weights[number]);
        (0..self.weights.len()).map(relative).fold(0.0, f64::max) / mean
    }
}

#[test]
fn a_skewed_load_is_levelled_at_once_and_then_left_alone() {
    let rates: Vec<u64> = (0..300)
        .map(|number| 1_000_000 + 7_919 * (number % 50))
        .collect();
    let at: Vec<usize> = (0..300)
        .map(|number| if number < 210 { 0 } else { 1 + number % 2 })
        .collect();
    let mut world = World::new(&[1, 1, 1], u64::MAX, &rates, &at);
    let config = Config::default();
    assert!(world.max_over_mean() > 2.0);
    let before = world.max_over_mean();
    let (verdict, moved) = world.review(&config, 0, 0);
    assert_eq!(verdict, Verdict::Reallocate);
    assert!(world.max_over_mean() <= 1.05);
    let mean = rates.iter().sum::<u64>() as f64 / 3.0;
    let least = (before - 1.05) * mean;
    assert!(
        moved as f64 <= 1.03 * least,
        "{moved} moved, {least} needed"
    );
    for noise in 0..5 {
        assert_eq!(world.review(&config, 20, noise), (Verdict::Balanced, 0));
    }
}

#[test]
fn small_differences_are_left_alone() {
    let rates = [100, 100, 100, 100, 100, 100, 100, 100, 100, 118];
    let at = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1];
    let mut world = World::new(&[1, 1], u64::MAX, &rates, &at);
    assert_eq!(world.review(&Config::default(), 0, 0).0, Verdict::Balanced);
}

#[test]
fn one_elephant_that_no_move_makes_lighter_is_left_alone() {
    let mut rates = vec![1000; 20];
    rates[0] = 1_000_000;
    let mut at = vec![1; 20];
    at[0] = 0;
    let mut world = World::new(&[1, 1], u64::MAX, &rates, &at);
    assert_eq!(
        world.review(&Config::default(), 0, 0),
        (Verdict::NoBetter, 0)
    );
}

#[test]
fn overflows_alone_relieve_a_router_until_it_has_none_and_it_is_not_burdened_again() {
    let rates = vec![1000; 300];
    let at: Vec<usize> = (0..300).map(|number| number % 3).collect();
    let mut world = World::new(&[1, 1, 1], u64::MAX, &rates, &at);
    world.capacities[2] = 35_000;
    let config = Config::default();
    let mut reviews = 0;
    while world.overflows(2) > 0 {
        assert_eq!(world.review(&config, 0, 0).0, Verdict::Reallocate);
        reviews += 1;
        assert!(reviews <= 5, "{} left", world.carried(2));
    }
    assert!(world.carried(2) >= 35_000 / 2, "not more than necessary");
    let mut settled = world.clone();
    for noise in 0..20 {
        assert_eq!(settled.review(&config, 20, noise).0, Verdict::Balanced);
    }
    // The traffic falls: the router may have its share of it.
    world.rates.iter_mut().for_each(|rate| *rate /= 4);
    assert_eq!(world.review(&config, 0, 0).0, Verdict::Reallocate);
    assert_eq!(world.reliefs, Reliefs::default());
    assert!(world.max_over_mean() <= 1.05);
    assert_eq!(world.overflows(2), 0);
}

#[test]
fn overflows_that_all_routers_have_alike_are_no_reason() {
    let rates = vec![1000; 300];
    let at: Vec<usize> = (0..300).map(|number| number % 3).collect();
    let mut world = World::new(&[1, 1, 1], 50_000, &rates, &at);
    assert_eq!(
        world.review(&Config::default(), 0, 0),
        (Verdict::Balanced, 0)
    );
}

proptest! {
    /// Whatever the traffic, the weights and the start; the figures are off by less than half of the tolerance.
    #[test]
    fn steady_traffic_comes_to_rest(
        rates in vec(prop_oneof![0u64..10, 1000u64..100_000], 1..80),
        weights in vec(1u16..5, 1..6),
        at in vec(0usize..6, 80),
        noise in vec(any::<u64>(), 40),
    ) {
        let mut world = World::new(&weights, u64::MAX, &rates, &at);
        let config = Config::default();
        let mut last = world.max_over_mean();
        let mut reallocations = 0;
        for noise in noise {
            if world.review(&config, 5, noise).0 == Verdict::Reallocate {
                reallocations += 1;
                prop_assert!(world.max_over_mean() < last, "each is better than the last");
                last = world.max_over_mean();
            }
        }
        let before = world.at.clone();
        for noise in 0..5 {
            world.review(&config, 5, noise);
        }
        prop_assert_eq!(&world.at, &before);
        prop_assert!(reallocations <= 3, "{reallocations} reallocations");
    }

    /// The same with routers that cannot carry their share.
    #[test]
    fn routers_that_overflow_come_to_rest_too(
        rates in vec(1000u64..100_000, 20..80),
        weights in vec(1u16..4, 2..5),
        at in vec(0usize..6, 80),
        capacities in vec(10u64..150, 5),
    ) {
        let mut world = World::new(&weights, u64::MAX, &rates, &at);
        let mean = rates.iter().sum::<u64>() / weights.len() as u64;
        world.capacities = capacities[..weights.len()].iter().map(|percent| mean * percent / 100).collect();
        let config = Config::default();
        for _ in 0..100 {
            world.review(&config, 0, 0);
        }
        let before = world.at.clone();
        for _ in 0..10 {
            world.review(&config, 0, 0);
        }
        prop_assert_eq!(&world.at, &before);
    }
}
