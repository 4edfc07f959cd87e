//! Who shall have what: the allocation, by count until traffic is known, then by rate (A19), applied to a group, with what the operator wants, and what cannot move yet. When
//! it becomes true is decided in `issue`.

use std::collections::{BTreeMap, BTreeSet};

use super::authority::{Levelling, Ruling};
use super::issue::Draft;
use super::{Drain, LoadSharing};
use crate::sharing::allocation::{Load, Measure, Share, allocate};
use crate::sharing::names::{Condition, MemberState, RouterId};
use crate::sharing::table::Row;

/// What is to be moved from whom to whom.
pub(super) type Plan = BTreeMap<(RouterId, RouterId), BTreeSet<Condition>>;

impl LoadSharing {
    /// The routers that take a share.
    pub(super) fn takers(&self) -> impl Iterator<Item = Share> + '_ {
        let own = Share {
            router: self.config.router,
            weight: self.weight(),
        };
        let own = (self.drain == Drain::No).then_some(own);
        let others = self
            .membership
            .iter()
            .filter(|(_, member)| member.state == MemberState::Working)
            .filter(|(router, _)| !self.lost.contains(router))
            .map(|(router, member)| Share {
                router,
                weight: member.weight,
            });
        own.into_iter()
            .chain(others)
            .filter(|share| share.weight > 0)
    }

    /// Gives a router to each condition that nobody is in charge of any more, or yet. The others stay where they are.
    pub(super) fn assign(&self, ruling: &Ruling, draft: &mut Draft) {
        let unowned = std::mem::take(&mut draft.unowned);
        if unowned.is_empty() {
            return;
        }
        let mut shares: Vec<Share> = self.takers().collect();
        if shares.is_empty() {
            // Better than nobody.
            shares.extend(self.whoever_is_there());
        }
        let rows: Vec<(Condition, Row)> = draft
            .rows(&self.table)
            .filter(|(condition, _)| *condition != Condition::Rest)
            .collect();
        let loads: Vec<Load> = rows
            .iter()
            .map(|(condition, row)| {
                let owner = match unowned.contains(condition) {
                    true => ruling.leading(*condition, &shares),
                    false => Some(row.router),
                };
                Load {
                    bit_per_s: row.bit_per_s(),
                    router: owner,
                    pinned: owner.is_some(),
                }
            })
            .collect();
        let shares = self.balance.reliefs.apply(&shares);
        let heirs = allocate(self.measure(), &shares, &loads);
        for ((condition, row), heir) in rows.into_iter().zip(heirs) {
            if let Some(router) = heir.filter(|_| unowned.contains(&condition)) {
                draft.changes.insert(
                    condition,
                    Some(Row {
                        router,
                        unfinished: None,
                        ..row
                    }),
                );
            }
        }
        if unowned.contains(&Condition::Rest)
            && let Some(row) = draft.row(&self.table, Condition::Rest)
        {
            let router = ruling
                .leading(Condition::Rest, &shares)
                .or_else(|| self.home_of_rest(&shares))
                .unwrap_or(row.router);
            let row = Row {
                router,
                unfinished: None,
                ..row
            };
            draft.changes.insert(Condition::Rest, Some(row));
        }
    }

    /// Whose the rest should be if it has nobody: the authority's, if that takes a share.
    fn home_of_rest(&self, shares: &[Share]) -> Option<RouterId> {
        let me = self.config.router;
        let own = shares.iter().find(|share| share.router == me);
        own.or_else(|| shares.iter().max_by_key(|share| share.weight))
            .map(|share| share.router)
    }

    /// Whether every router that takes a share is in charge of half as many end systems as are due to it, or more.
    pub(super) fn have_all_some(&self, draft: &Draft) -> bool {
        let mut counts: BTreeMap<RouterId, usize> = BTreeMap::new();
        for (condition, row) in draft.rows(&self.table) {
            if condition != Condition::Rest {
                *counts.entry(row.router).or_default() += 1;
            }
        }
        let conditions: usize = counts.values().sum();
        let weights: usize = self.takers().map(|share| usize::from(share.weight)).sum();
        self.takers().all(|share| {
            let count = counts.get(&share.router).copied().unwrap_or(0);
            2 * count * weights >= conditions * usize::from(share.weight)
        })
    }

    /// What has to move where, as things are; `retired` are conditions that go to where the rest is.
    pub(super) fn plan(&self, ruling: &mut Ruling, draft: &Draft, retired: &[Condition]) -> Plan {
        let shares: Vec<Share> = self.takers().collect();
        let takes = |router: RouterId| shares.iter().any(|share| share.router == router);
        ruling.pins.retain(|_, router| takes(*router));
        let wanted_at = |condition: &Condition| {
            let by_hand = || ruling.pins.get(condition).copied();
            ruling.leading(*condition, &shares).or_else(by_hand)
        };
        let mut plan = Plan::new();
        // What is on its way to a router that is not to have it goes on from there, when it has come.
        let mut move_to = |condition: Condition, row: &Row, to: RouterId| {
            if row.router != to {
                plan.entry((row.router, to)).or_default().insert(condition);
            }
        };

        let rest = draft.row(&self.table, Condition::Rest);
        let home = match rest {
            _ if wanted_at(&Condition::Rest).is_some() => wanted_at(&Condition::Rest),
            Some(row) if takes(row.router) => Some(row.router),
            _ => self.home_of_rest(&shares),
        };
        if let (Some(row), Some(home)) = (rest, home) {
            move_to(Condition::Rest, &row, home);
        }

        let rows: Vec<(Condition, Row)> = draft
            .rows(&self.table)
            .filter(|(condition, _)| *condition != Condition::Rest)
            .collect();
        let retired: BTreeSet<Condition> = retired.iter().copied().collect();
        let measure = self.measure();
        let rests = ruling.levelling == Levelling::No;
        let mut loads: Vec<Load> = rows
            .iter()
            .map(|(condition, row)| {
                let wanted = match retired.contains(condition) {
                    true => rest.map(|rest| rest.router),
                    false => wanted_at(condition),
                };
                // A newcomer without traffic yet costs nobody anything, so it may go where there are fewest.
                let anywhere = measure != Measure::Count
                    && wanted.is_none()
                    && self.table.row(*condition).is_none();
                // Of its own accord a group that follows moves nothing.
                let stays = (self.config.follows || rests) && !anywhere && takes(row.router);
                Load {
                    bit_per_s: row.bit_per_s(),
                    router: (!anywhere).then(|| wanted.unwrap_or(row.router)),
                    pinned: wanted.is_some()
                        || stays
                        || row.unfinished.is_some() && takes(row.router),
                }
            })
            .collect();
        if let (Measure::Rate { .. }, Some(rest)) = (measure, rest) {
            // What it costs its router leaves the less for others.
            loads.push(Load {
                bit_per_s: rest.bit_per_s(),
                router: home,
                pinned: true,
            });
        }
        let shares = self.balance.reliefs.apply(&shares);
        for ((condition, row), to) in rows.iter().zip(allocate(measure, &shares, &loads)) {
            if let Some(to) = to {
                move_to(*condition, row, to);
            }
        }
        plan
    }
}
