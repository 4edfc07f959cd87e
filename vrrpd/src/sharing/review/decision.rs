//! Whether a review calls for another allocation (A11).
//!
//! # What relieves a router that overflows
//!
//! The conditions' rates say what each costs, not what a router can carry. A router that has more overflows than the others, by the configured
//! difference, carries more than it can, whatever its rate: from then on it is to have a quarter less than it has. So its weight counts as less than it
//! is (its *relief*), and the allocation by rate does the rest. That stays so, since once relieved the router has no overflows to show, until
//! the traffic of the group has fallen by a quarter, or the router or the authority is another.
//!
//! # Why it comes to rest
//!
//! Under steady traffic conditions keep their rates, whoever routes them, as those are sums over the routers, and nothing is collected before a
//! window without a move has passed. An allocation is made only if it brings
//! the heaviest router, relative to the weights, down by at least the tolerance of the bound. Each time that load falls by so much, and never below the
//! bound, so this ends; within the tolerance of the bound there is nothing left to gain, so one that succeeded has no second. Reliefs only ever grow
//! under steady traffic, in steps of at least a quarter, and there is a greatest one, so these end too. Measured figures waver: between the tolerance that
//! an allocation aims at, and the difference and the gain that call for another, there is room for that.

use std::collections::BTreeMap;
use std::fmt;

use super::Config;
use crate::sharing::allocation::{Load, Measure, Share, allocate};
use crate::sharing::names::RouterId;

/// What a router that overflows is to have of what it has, as a fraction of 1000.
const RELIEVED_TO_PERMILLE: u128 = 750;

/// The least a weight can count as, as a fraction of 1000.
const RELIEF_LEAST_PERMILLE: u16 = 16;

/// How far the group's traffic has to fall for a relief to end, as a fraction of 1000.
const RELIEF_ENDS_PERMILLE: u128 = 750;

/// A router's figures, but for its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterLoad {
    /// Who takes a share.
    pub share: Share,
    /// Overflows a second.
    pub overflows_per_s: u64,
}

/// How much less a router's weight counts, because it overflowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relief {
    /// What its weight counts as, in thousandths of what it is.
    pub weight_permille: u16,
    /// The traffic of the group at that time, in bit/s.
    pub total_bit_per_s: u64,
}

/// Who is relieved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reliefs(BTreeMap<RouterId, Relief>);

/// What a review came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether to reallocate.
    pub verdict: Verdict,
    /// The difference between the most and the least loaded router, in thousandths of the mean.
    pub rate_difference_permille: u64,
    /// The difference between the most and the fewest overflows a second.
    pub overflow_difference_per_s: u64,
    /// What the most loaded router has, in thousandths of the mean.
    pub max_over_mean_permille: u64,
}

/// Whether to reallocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The routers differ by no more than they may.
    Balanced,
    /// They differ, and no other allocation would be worth the moves.
    NoBetter,
    /// They differ, and another allocation is better.
    Reallocate,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Balanced => "the load is balanced",
            Verdict::NoBetter => "the load is not balanced, and no moves would be worth it",
            Verdict::Reallocate => "the load is not balanced, sharing it anew",
        };
        let fraction = |permille: u64| format!("{}.{:03}", permille / 1000, permille % 1000);
        write!(
            f,
            "{verdict}: heaviest router at {} of the mean, rates differ by {} of it, overflows by {} a second",
            fraction(self.max_over_mean_permille),
            fraction(self.rate_difference_permille),
            self.overflow_difference_per_s
        )
    }
}

impl Reliefs {
    /// The shares with the weights that count.
    #[must_use]
    pub fn apply(&self, shares: &[Share]) -> Vec<Share> {
        let permille = |share: &Share| -> u64 {
            let relief = self.0.get(&share.router);
            relief.map_or(1000, |relief| relief.weight_permille).into()
        };
        let weigh = |share: &Share| u64::from(share.weight) * permille(share);
        let heaviest = shares.iter().map(weigh).max().unwrap_or(0);
        if heaviest == 0 || shares.iter().all(|share| permille(share) == 1000) {
            return shares.to_vec();
        }
        let scaled = |share: &Share| match weigh(share) {
            0 => 0,
            // As fine as a weight can be.
            weight => u16::try_from(weight * u64::from(u16::MAX) / heaviest)
                .unwrap_or(u16::MAX)
                .max(1),
        };
        shares
            .iter()
            .map(|share| Share {
                weight: scaled(share),
                ..*share
            })
            .collect()
    }

    /// Who is relieved, and how much.
    pub fn iter(&self) -> impl Iterator<Item = (RouterId, Relief)> + '_ {
        self.0.iter().map(|(router, relief)| (*router, *relief))
    }

    /// Ends what is not to last: of routers that are not `there`, or because there is less traffic now.
    fn expire(&mut self, total_bit_per_s: u128, there: impl Fn(RouterId) -> bool) {
        self.0.retain(|router, relief| {
            let then = u128::from(relief.total_bit_per_s);
            there(*router) && total_bit_per_s * 1000 >= then * RELIEF_ENDS_PERMILLE
        });
    }

    /// Relieves a router that has `has_permille` of the share that its weight would give it.
    fn relieve(&mut self, router: RouterId, has_permille: u128, total_bit_per_s: u128) {
        let before = self.0.get(&router).map_or(1000, |r| r.weight_permille);
        let to = has_permille.min(before.into()) * RELIEVED_TO_PERMILLE / 1000;
        let weight_permille = u16::try_from(to)
            .unwrap_or(before)
            .max(RELIEF_LEAST_PERMILLE);
        let total_bit_per_s = u64::try_from(total_bit_per_s).unwrap_or(u64::MAX);
        self.0.insert(
            router,
            Relief {
                weight_permille,
                total_bit_per_s,
            },
        );
    }
}

/// Decides from the figures of `routers`, and the rates of the conditions they are in charge of, whether to reallocate, and whom to relieve.
pub fn decide(
    config: &Config,
    routers: &[RouterLoad],
    loads: &[Load],
    reliefs: &mut Reliefs,
) -> Decision {
    let shares: Vec<Share> = routers
        .iter()
        .map(|router| router.share)
        .filter(|share| share.weight > 0)
        .collect();
    let at: Vec<Option<RouterId>> = loads.iter().map(|load| load.router).collect();
    let total = loads.iter().map(|load| u128::from(load.bit_per_s)).sum();
    reliefs.expire(total, |router| {
        shares.iter().any(|share| share.router == router)
    });

    let plain = Relative::of(&shares, loads, &at);
    let fewest = routers.iter().map(|router| router.overflows_per_s).min();
    let fewest = fewest.unwrap_or(0);
    let mut relieved = false;
    let mut overflow_difference_per_s = 0;
    for router in routers {
        let difference = router.overflows_per_s - fewest;
        overflow_difference_per_s = overflow_difference_per_s.max(difference);
        if difference > config.overflow_difference_per_s && router.share.weight > 0 {
            let has_permille = plain.permille_of_mean(router.share.router);
            reliefs.relieve(router.share.router, has_permille, total);
            relieved = true;
        }
    }

    let shares = reliefs.apply(&shares);
    let now = Relative::of(&shares, loads, &at);
    let rate_difference_permille =
        permille(now.heaviest().saturating_sub(now.lightest()), now.mean);
    let verdict =
        if !relieved && rate_difference_permille <= u64::from(config.rate_difference_permille) {
            Verdict::Balanced
        } else {
            let measure = Measure::Rate {
                tolerance_permille: config.tolerance_permille,
            };
            let then = Relative::of(&shares, loads, &allocate(measure, &shares, loads));
            let gain = now.heaviest().saturating_sub(then.heaviest());
            match gain * 1000 >= now.bound * u128::from(config.tolerance_permille) && gain > 0 {
                true => Verdict::Reallocate,
                false => Verdict::NoBetter,
            }
        };
    Decision {
        verdict,
        rate_difference_permille,
        overflow_difference_per_s,
        max_over_mean_permille: permille(plain.heaviest(), plain.mean),
    }
}

fn permille(part: u128, whole: u128) -> u64 {
    let permille = (part * 1000).checked_div(whole).unwrap_or(0);
    u64::try_from(permille).unwrap_or(u64::MAX)
}

/// Loads relative to weights, as multiples of 1/[`SCALE`] bit/s.
struct Relative {
    loads: BTreeMap<RouterId, u128>,
    mean: u128,
    /// What the heaviest router has at least, however well it is shared.
    bound: u128,
}

const SCALE: u128 = 1 << 20;

impl Relative {
    fn of(shares: &[Share], loads: &[Load], at: &[Option<RouterId>]) -> Relative {
        let mut sums: BTreeMap<RouterId, u128> =
            shares.iter().map(|share| (share.router, 0)).collect();
        for (load, at) in loads.iter().zip(at) {
            if let Some(sum) = at.and_then(|at| sums.get_mut(&at)) {
                *sum += u128::from(load.bit_per_s);
            }
        }
        let total: u128 = loads.iter().map(|load| u128::from(load.bit_per_s)).sum();
        let weight: u128 = shares.iter().map(|share| u128::from(share.weight)).sum();
        let strongest = shares.iter().map(|share| share.weight).max().unwrap_or(1);
        let elephant = loads.iter().map(|load| load.bit_per_s).max().unwrap_or(0);
        let mean = total * SCALE / weight.max(1);
        for share in shares {
            if let Some(sum) = sums.get_mut(&share.router) {
                *sum = *sum * SCALE / u128::from(share.weight.max(1));
            }
        }
        Relative {
            loads: sums,
            mean,
            bound: mean.max(u128::from(elephant) * SCALE / u128::from(strongest.max(1))),
        }
    }

    fn heaviest(&self) -> u128 {
        self.loads.values().copied().max().unwrap_or(0)
    }

    fn lightest(&self) -> u128 {
        self.loads.values().copied().min().unwrap_or(0)
    }

    fn permille_of_mean(&self, router: RouterId) -> u128 {
        let load = self.loads.get(&router).copied().unwrap_or(0);
        (load * 1000).checked_div(self.mean).unwrap_or(1000)
    }
}
