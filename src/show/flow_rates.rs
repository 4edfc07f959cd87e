//! `show flow-rates`: what this router routes of whom, what the others carry as far as known, and the last review.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::table::{Table, or_hyphen};
use super::{cut, cut_notice};

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowRates {
    /// The groups that share their load, by port and VRID.
    pub groups: Vec<GroupFlowRates>,
}

/// One group's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupFlowRates {
    /// The port's name.
    pub port: String,
    /// The VRID.
    pub vrid: u8,
    /// The time that this router's figures are averaged over; 0 before the first.
    pub window_ms: f64,
    /// What calls for a review, and for another allocation.
    pub thresholds: Thresholds,
    /// The routers, this one among them, by id.
    pub routers: Vec<RouterFlow>,
    /// The last review of which this router was the authority.
    pub last_review: Option<LastReview>,
    /// What happened, by name.
    pub counters: BTreeMap<&'static str, u64>,
    total: usize,
    conditions: Vec<ConditionFlow>,
}

/// What calls for a review (the first two), and what for another allocation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Thresholds {
    /// A router that routes more asks for a review.
    pub rate_bit_s: Option<u64>,
    /// A router that overflows more often asks for a review.
    pub overflows_s: Option<u64>,
    /// Routers may differ by so much of the mean.
    pub difference_percent: f64,
    /// Routers may differ by so many overflows.
    pub overflow_difference_s: u64,
}

/// One router's load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouterFlow {
    /// Its id.
    pub router_id: Ipv4Addr,
    /// Whether it is this one.
    pub is_this: bool,
    /// How old its figures are; none of a router that this one has not asked.
    pub measured_ms_ago: Option<f64>,
    /// What it routes, in bit/s.
    pub bit_s: Option<u64>,
    /// Packets that its backlogs could not take, in the window.
    pub overflows: Option<u64>,
    /// The same, a second.
    pub overflows_s: Option<f64>,
    /// How many conditions it is in charge of, the rest counted.
    pub conditions: usize,
    /// What those have, as far as the allocation says, in bit/s.
    pub conditions_bit_s: u64,
    /// What its weight counts as, in percent, after overflows.
    pub weight_percent: f64,
}

/// What a review found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastReview {
    /// When.
    pub ms_ago: f64,
    /// `balanced`, `no-better` or `reallocate`.
    pub verdict: &'static str,
    /// What the most loaded router had by its weight, as a multiple of the mean.
    pub max_over_mean: f64,
    /// By how much the most and the least loaded differed, as a multiple of the mean.
    pub rate_difference: f64,
    /// By how many overflows a second.
    pub overflow_difference_s: u64,
    /// How many routers had not answered in full.
    pub missing: usize,
}

/// One condition's traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionFlow {
    /// An address, or `rest`.
    pub condition: String,
    /// The router in charge.
    pub router: Ipv4Addr,
    /// What this router routes of it, in bit/s.
    pub bit_s: u64,
    /// What all routers did, as far as the allocation says, in bit/s.
    pub known_bit_s: u64,
}

impl GroupFlowRates {
    /// With so many of these conditions, the heaviest first, as one answer shows.
    #[must_use]
    pub fn with_conditions(mut self, mut conditions: Vec<ConditionFlow>) -> Self {
        conditions.sort_by_cached_key(|one| std::cmp::Reverse(one.bit_s.max(one.known_bit_s)));
        (self.total, self.conditions) = cut(conditions);
        self
    }

    /// Without conditions yet.
    #[must_use]
    pub const fn new(port: String, vrid: u8, thresholds: Thresholds) -> Self {
        Self {
            port,
            vrid,
            window_ms: 0.0,
            thresholds,
            routers: Vec::new(),
            last_review: None,
            counters: BTreeMap::new(),
            total: 0,
            conditions: Vec::new(),
        }
    }
}

impl FlowRates {
    pub(super) fn table(&self) -> String {
        let mut routers = Table::new(&[
            "port",
            "vrid",
            "router",
            "Mbit/s",
            "overflows/s",
            "s ago",
            "conditions",
            "their Mbit/s",
            "weight %",
        ]);
        let mut conditions = Table::new(&[
            "port",
            "vrid",
            "condition",
            "router",
            "here kbit/s",
            "known kbit/s",
        ]);
        let mut notices = String::new();
        for group in &self.groups {
            for router in &group.routers {
                let name = match router.is_this {
                    true => format!("{} (this)", router.router_id),
                    false => router.router_id.to_string(),
                };
                routers.row(&[
                    &group.port,
                    &group.vrid,
                    &name,
                    &or_hyphen(router.bit_s.map(mega)),
                    &or_hyphen(router.overflows_s.map(|rate| format!("{rate:.1}"))),
                    &or_hyphen(
                        router
                            .measured_ms_ago
                            .map(|ms| format!("{:.1}", ms / 1000.0)),
                    ),
                    &router.conditions,
                    &mega(router.conditions_bit_s),
                    &format!("{:.1}", router.weight_percent),
                ]);
            }
            for one in &group.conditions {
                conditions.row(&[
                    &group.port,
                    &group.vrid,
                    &one.condition,
                    &one.router,
                    &format!("{:.1}", one.bit_s as f64 / 1e3),
                    &format!("{:.1}", one.known_bit_s as f64 / 1e3),
                ]);
            }
            notices += &cut_notice(group.conditions.len(), group.total);
            let (port, vrid) = (&group.port, group.vrid);
            notices += &format!("{port} {vrid}: {}\n", group.review_text());
            for (name, count) in group.counters.iter().filter(|(_, count)| **count > 0) {
                notices += &format!("{port} {vrid} {name}: {count}\n");
            }
        }
        format!("{routers}\n{conditions}{notices}")
    }
}

impl GroupFlowRates {
    fn review_text(&self) -> String {
        let Some(last) = &self.last_review else {
            return format!(
                "figures over {:.1} s; no review held here",
                self.window_ms / 1000.0
            );
        };
        let missing = match last.missing {
            0 => String::new(),
            missing => format!(", {missing} did not answer in full"),
        };
        format!(
            "figures over {:.1} s; last review {:.1} s ago: {}, heaviest router at {:.3} of the mean, difference {:.3} of it, \
             {} overflows a second{missing}",
            self.window_ms / 1000.0,
            last.ms_ago / 1000.0,
            last.verdict,
            last.max_over_mean,
            last.rate_difference,
            last.overflow_difference_s,
        )
    }
}

fn mega(bit_s: u64) -> String {
    format!("{:.3}", bit_s as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::{Answer, ROWS_MAX};

    fn group() -> GroupFlowRates {
        let thresholds = Thresholds {
            rate_bit_s: Some(10_000_000),
            overflows_s: None,
            difference_percent: 20.0,
            overflow_difference_s: 1,
        };
        let router = |last: u8, bit_s: Option<u64>| RouterFlow {
            router_id: Ipv4Addr::new(192, 0, 2, last),
            is_this: last == 2,
            measured_ms_ago: bit_s.map(|_| 0.0),
            bit_s,
            overflows: bit_s.map(|_| 25),
            overflows_s: bit_s.map(|_| 2.5),
            conditions: 3,
            conditions_bit_s: 2_000_000,
            weight_percent: 75.0,
        };
        let mut group = GroupFlowRates::new("lan".into(), 7, thresholds);
        group.window_ms = 10_000.0;
        group.routers = vec![router(2, Some(1_500_000)), router(3, None)];
        group.counters = [("collections", 4), ("reallocations", 0)].into();
        group
    }

    fn flow(condition: &str, bit_s: u64, known_bit_s: u64) -> ConditionFlow {
        ConditionFlow {
            condition: condition.into(),
            router: Ipv4Addr::new(192, 0, 2, 2),
            bit_s,
            known_bit_s,
        }
    }

    #[test]
    fn routers_stand_above_conditions_of_which_the_heaviest_come_first() {
        let mut group =
            group().with_conditions(vec![flow("rest", 100, 0), flow("192.0.2.9", 0, 8000)]);
        group.last_review = Some(LastReview {
            ms_ago: 1500.0,
            verdict: "reallocate",
            max_over_mean: 2.25,
            rate_difference: 1.5,
            overflow_difference_s: 2,
            missing: 1,
        });
        let shown = Answer::FlowRates(FlowRates {
            groups: vec![group],
        });
        assert_eq!(
            shown.text(),
            "port  vrid  router            Mbit/s  overflows/s  s ago  conditions  their Mbit/s  weight %\n\
             lan      7  192.0.2.2 (this)   1.500          2.5    0.0           3         2.000      75.0\n\
             lan      7  192.0.2.3              -            -      -           3         2.000      75.0\n\
             \n\
             port  vrid  condition  router     here kbit/s  known kbit/s\n\
             lan      7  192.0.2.9  192.0.2.2          0.0           8.0\n\
             lan      7  rest       192.0.2.2          0.1           0.0\n\
             lan 7: figures over 10.0 s; last review 1.5 s ago: reallocate, heaviest router at 2.250 of the mean, difference \
             1.500 of it, 2 overflows a second, 1 did not answer in full\n\
             lan 7 collections: 4\n"
        );
        let object: serde_json::Value = serde_json::from_str(&shown.json().unwrap()).unwrap();
        let group = &object["groups"][0];
        assert_eq!(group["total"], 2);
        assert_eq!(group["conditions"][0]["known_bit_s"], 8000);
        assert_eq!(group["routers"][1]["bit_s"], serde_json::Value::Null);
        assert_eq!(group["last_review"]["max_over_mean"], 2.25);
        assert_eq!(group["thresholds"]["difference_percent"], 20.0);
    }

    #[test]
    fn of_too_many_conditions_the_lightest_are_left_out() {
        let many = (0..=ROWS_MAX as u64)
            .map(|rate| flow("x", rate, 0))
            .collect();
        let group = group().with_conditions(many);
        assert_eq!(
            (group.total, group.conditions.len()),
            (ROWS_MAX + 1, ROWS_MAX)
        );
        assert_eq!(group.conditions.first().unwrap().bit_s, ROWS_MAX as u64);
        let text = FlowRates {
            groups: vec![group],
        }
        .table();
        assert!(text.contains("4096 of 4097 shown\n"));
        assert!(
            text.contains("lan 7: figures over 10.0 s; no review held here\n"),
            "{text}"
        );
    }
}
