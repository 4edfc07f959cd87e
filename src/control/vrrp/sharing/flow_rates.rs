//! Fills in `show flow-rates` from a group's part.

use std::collections::BTreeMap;

use vrrpd::Time;
use vrrpd::sharing::names::{Condition, RouterId};
use vrrpd::sharing::review::{Config, Verdict};

use super::Sharing;
use super::show::{id, milliseconds};
use crate::control::vrrp::Vrrp;
use crate::control::vrrp::config::GroupConfig;
use crate::show::{ConditionFlow, FlowRates, GroupFlowRates, LastReview, RouterFlow, Thresholds};

/// `show flow-rates`.
#[must_use]
pub fn shown(vrrp: &Vrrp, now: Time) -> FlowRates {
    FlowRates {
        groups: vrrp
            .sharing()
            .map(|(config, _, sharing)| group(config, sharing, now))
            .collect(),
    }
}

fn group(config: &GroupConfig, sharing: &Sharing, now: Time) -> GroupFlowRates {
    let part = sharing.part();
    let review = &part.config().review;
    let counts = part.counters();
    let (port, vrid) = (config.port_name.clone(), config.protocol.vrid.get());
    let mut shown = GroupFlowRates::new(port, vrid, thresholds(review));
    shown.window_ms = milliseconds(part.totals().window);
    shown.routers = routers(sharing, now);
    shown.last_review = part.last_review().map(|last| LastReview {
        ms_ago: milliseconds(now.since(last.at)),
        verdict: match last.decision.verdict {
            Verdict::Balanced => "balanced",
            Verdict::NoBetter => "no-better",
            Verdict::Reallocate => "reallocate",
        },
        max_over_mean: thousandths(last.decision.max_over_mean_permille),
        rate_difference: thousandths(last.decision.rate_difference_permille),
        overflow_difference_s: last.decision.overflow_difference_per_s,
        missing: last.missing,
    });
    shown.counters = BTreeMap::from([
        ("reviews-requested", counts.reviews_requested),
        ("reviews-ignored", counts.reviews_ignored),
        ("collections", counts.collections),
        ("reallocations", counts.reallocations),
    ]);
    shown.with_conditions(conditions(sharing))
}

fn thresholds(review: &Config) -> Thresholds {
    Thresholds {
        rate_bit_s: review.rate_bit_per_s,
        overflows_s: review.overflows_per_s,
        difference_percent: f64::from(review.rate_difference_permille) / 10.0,
        overflow_difference_s: review.overflow_difference_per_s,
    }
}

/// Of this router what it measures, of the others what they said in the last review.
fn routers(sharing: &Sharing, now: Time) -> Vec<RouterFlow> {
    let part = sharing.part();
    let me = part.config().router;
    let mut in_charge: BTreeMap<RouterId, (usize, u64)> = BTreeMap::new();
    for (_, row) in part.table().rows() {
        let (conditions, bit_s) = in_charge.entry(row.router).or_default();
        *conditions += 1;
        *bit_s += row.bit_per_s();
    }
    let reliefs: BTreeMap<_, _> = part.reliefs().iter().collect();
    let mut routers: Vec<RouterFlow> = sharing
        .routers()
        .map(|(router, _)| {
            let figures = if router == me {
                Some((part.totals(), 0.0))
            } else {
                part.last_review().and_then(|review| {
                    let totals = review.routers.get(&router)?;
                    Some((*totals, milliseconds(now.since(review.at))))
                })
            };
            let figures = figures.filter(|(totals, _)| !totals.window.is_zero());
            let (conditions, conditions_bit_s) =
                in_charge.get(&router).copied().unwrap_or_default();
            RouterFlow {
                router_id: id(router),
                is_this: router == me,
                measured_ms_ago: figures.map(|(_, ago)| ago),
                bit_s: figures.map(|(totals, _)| totals.bit_per_s),
                overflows: figures.map(|(totals, _)| totals.overflows),
                overflows_s: figures
                    .map(|(totals, _)| totals.overflows as f64 / totals.window.as_secs_f64()),
                conditions,
                conditions_bit_s,
                weight_percent: reliefs
                    .get(&router)
                    .map_or(100.0, |relief| f64::from(relief.weight_permille) / 10.0),
            }
        })
        .collect();
    routers.sort_by_key(|router| router.router_id);
    routers
}

/// Those that have traffic, here or anywhere.
fn conditions(sharing: &Sharing) -> Vec<ConditionFlow> {
    let part = sharing.part();
    let mut here = part.rates().peekable();
    let mut rate_here = |condition: Condition| {
        while here.next_if(|(other, _)| *other < condition).is_some() {}
        here.next_if(|(other, _)| *other == condition)
            .map_or(0, |(_, rate)| rate)
    };
    part.table()
        .rows()
        .map(|(condition, row)| (condition, row, rate_here(condition)))
        .filter(|(_, row, here)| *here > 0 || row.rate_kbit_per_s > 0)
        .map(|(condition, row, here)| ConditionFlow {
            condition: condition.to_string(),
            router: id(row.router),
            bit_s: here,
            known_bit_s: row.bit_per_s(),
        })
        .collect()
}

fn thousandths(count: u64) -> f64 {
    count as f64 / 1000.0
}
