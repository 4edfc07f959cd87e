//! What other routers say about moves, remembered for an authority, of now or of later. What is made of it is in `issue`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Time;
use crate::sharing::names::{Condition, MoveName, RouterId};
use crate::sharing::wire::{MoveReport, MoveStatus};

/// The most reports that are remembered; a group within its limits of moves makes far fewer.
const REPORTS_MAX: usize = 16_384;

/// The latest word of each router on each of its moves.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports(BTreeMap<(MoveName, RouterId), Report>);

/// A router's word on a move.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) status: MoveStatus,
    /// The conditions it has named.
    pub(super) conditions: BTreeSet<Condition>,
    /// When it was given last.
    pub(super) at: Time,
}

impl Reports {
    /// `router` has said this.
    pub(super) fn note(&mut self, now: Time, router: RouterId, report: &MoveReport) {
        let key = (report.name, router);
        if self.0.len() >= REPORTS_MAX && !self.0.contains_key(&key) {
            return;
        }
        let known = self.0.entry(key).or_insert_with(|| Report {
            status: report.status,
            conditions: BTreeSet::new(),
            at: now,
        });
        known.status = report.status;
        known.at = now;
        known.conditions.extend(&report.conditions);
    }

    /// What `router` last said about the move.
    pub(super) fn of(&self, name: &MoveName, router: RouterId) -> Option<&Report> {
        self.0.get(&(*name, router))
    }

    /// Everything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&MoveName, RouterId, &Report)> {
        self.0
            .iter()
            .map(|((name, router), report)| (name, *router, report))
    }

    /// `router` is in another life: what it said before means nothing.
    pub(super) fn forget(&mut self, router: RouterId) {
        self.0.retain(|(_, reporter), _| *reporter != router);
    }

    /// Forgets what was not repeated for `age`.
    pub(super) fn expire(&mut self, now: Time, age: Duration) {
        self.0.retain(|_, report| now.since(report.at) <= age);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
