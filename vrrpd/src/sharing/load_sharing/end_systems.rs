//! End systems that were noticed: those that are in no table yet, and those of which nothing was seen for too long. Whoever does not allocate tells the
//! authority of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::LoadSharing;
use super::authority::Authority;
use super::issue::Draft;
use super::tied::Followed;
use crate::sharing::names::{Condition, Seen};
use crate::sharing::table::Row;
use crate::sharing::wire;
use crate::{Family, Time};

/// How many are taken up, or given up, in one allocation.
const CHANGED_MAX: usize = 4096;

/// The least time between two times that some are taken up: each time it is decided anew who shall have what.
const TAKE_UP_GAP: Duration = Duration::from_millis(100);

/// How many the authority is told of in one type 2.
const TOLD_MAX: usize = 64;

/// What part of the end systems there may be can be learned behind further routers: what such a router sends in others' names takes no room from
/// those on the link.
const BEHIND_PART: usize = 2;

/// For how long others are waited for that it can be told of at the same time.
const TELL_DELAY: Duration = Duration::from_millis(10);

/// What is known of end systems besides the table.
#[derive(Debug, Default)]
pub(super) struct EndSystems {
    waiting: BTreeMap<IpAddr, Sighting>,
    /// Up to which of them the authority was told last, to go on from there.
    told: Option<IpAddr>,
    /// Whether some came since.
    untold: bool,
    /// Whether all that are configured were in the table when they were last looked for.
    configured_are_known: bool,
    /// When some were last taken up.
    taken_up_at: Option<Time>,
    /// When the table was last searched for those that have aged.
    aged_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    seen: Seen,
    at: Time,
    node: Option<IpAddr>,
}

impl EndSystems {
    /// The configuration, or the table, is another.
    pub(super) fn look_for_configured(&mut self) {
        self.configured_are_known = false;
    }

    /// A router is believed from now on, which may have been taken for an end system before.
    pub(super) fn look_for_members(&mut self) {
        self.aged_at = None;
    }

    /// When those that wait may be taken up.
    pub(super) fn take_up_at(&self, now: Time) -> Option<Time> {
        let all_known = self.waiting.is_empty() && self.configured_are_known;
        let earliest = self.taken_up_at.map_or(now, |at| at + TAKE_UP_GAP);
        (!all_known).then_some(earliest)
    }
}

impl LoadSharing {
    /// Whether an address is that of the group or of one of its routers, as far as they are known.
    fn is_member(&self, address: IpAddr) -> bool {
        address == self.config.local
            || address == self.config.group.destination
            || self.config.plain_members.contains(&address)
            || self.trust.router_at(address).is_some()
    }

    pub(super) fn note_end_system(&mut self, address: IpAddr, seen: Seen, node: Option<IpAddr>) {
        let unusual = address.is_unspecified() || address.is_multicast();
        let foreign = Family::of(address) != self.config.group.family();
        if self.config.follows || foreign || unusual || self.is_member(address) {
            return;
        }
        let condition = Condition::Address(address);
        if self.table.row(condition).is_some() {
            self.table.seen(self.now, condition, seen);
            self.end_systems.waiting.remove(&address);
            return;
        }
        let now = self.now;
        let is_new = !self.end_systems.waiting.contains_key(&address);
        if is_new && !self.has_room(node.is_some()) {
            self.counters.end_systems_refused += 1;
            return;
        }
        let sighting = Sighting {
            seen,
            at: now,
            node,
        };
        self.end_systems.waiting.insert(address, sighting);
        if is_new && matches!(self.authority, Authority::None) {
            self.end_systems.untold = true;
            self.voice.respond_within(now, TELL_DELAY);
        }
        self.review_soon();
    }

    /// Whether there is room for one more end system, on the link or behind a further router.
    fn has_room(&mut self, behind: bool) -> bool {
        let max = self.config.end_systems_max;
        let behind_max = max / BEHIND_PART;
        let least = if behind { behind_max } else { max };
        // The rest is no end system.
        let in_table = self.table.rows().len().saturating_sub(1);
        if in_table + self.end_systems.waiting.len() < least {
            return true;
        }
        let (table, age_max) = (&self.table, self.config.end_system_age);
        let waiting = &mut self.end_systems.waiting;
        waiting.retain(|address, sighting| {
            let is_old = self.now.since(sighting.at) > age_max;
            !is_old && table.row((*address).into()).is_none()
        });
        let known = in_table + waiting.len();
        let rows_behind = table.rows().filter(|(_, row)| row.node.is_some());
        let waiting_behind = waiting.values().filter(|one| one.node.is_some());
        known < max && (!behind || rows_behind.count() + waiting_behind.count() < behind_max)
    }

    /// What the authority is to be told in a type 2: a part of what the table lacks, each time the next.
    pub(super) fn sightings(&mut self, in_full: bool) -> Vec<wire::Sighting> {
        let EndSystems {
            waiting,
            told,
            untold,
            ..
        } = &mut self.end_systems;
        let due = std::mem::take(untold) || in_full;
        if !due || waiting.is_empty() || !matches!(self.authority, Authority::None) {
            return Vec::new();
        }
        let table = &self.table;
        waiting.retain(|address, _| table.row((*address).into()).is_none());
        let after = |(address, _): &(&IpAddr, &Sighting)| told.is_none_or(|told| **address > told);
        let next = waiting.iter().filter(after).chain(waiting.iter());
        let count = waiting.len().min(TOLD_MAX);
        let part: Vec<wire::Sighting> = next
            .take(count)
            .map(|(address, sighting)| wire::Sighting {
                address: *address,
                node: sighting.node,
                seen: sighting.seen,
            })
            .collect();
        *told = part.last().map(|sighting| sighting.address);
        part
    }

    /// Another router has noticed these.
    pub(super) fn heed_sightings(&mut self, sightings: &[wire::Sighting]) {
        if matches!(self.authority, Authority::None) {
            return;
        }
        for sighting in sightings {
            self.note_end_system(sighting.address, sighting.seen, sighting.node);
        }
    }

    /// Those that are in no table, be it that they were noticed, are configured, or are in the table that is followed. They are still routed as
    /// part of the rest, so whoever has that has them at first.
    pub(super) fn take_up_end_systems(
        &mut self,
        followed: Option<&Followed>,
        draft: &mut Draft,
    ) -> bool {
        let rest = draft.row(&self.table, Condition::Rest);
        let Some(rest) = rest.filter(|rest| rest.unfinished.is_none()) else {
            return false;
        };
        if self
            .end_systems
            .take_up_at(self.now)
            .is_none_or(|at| at > self.now)
        {
            return false;
        }
        let table = &self.table;
        self.end_systems
            .waiting
            .retain(|address, _| table.row((*address).into()).is_none());
        let to_look_for = match self.end_systems.configured_are_known {
            true => &[],
            false => &self.config.end_systems[..],
        };
        let elsewhere = followed.into_iter().flat_map(Followed::end_systems);
        let elsewhere = elsewhere.map(|address| (address, None));
        let configured = to_look_for.iter().copied().chain(elsewhere);
        let configured = configured.map(|(address, node)| {
            let sighting = Sighting {
                seen: Seen::Configured,
                at: self.now,
                node,
            };
            (address, sighting)
        });
        let waiting = self.end_systems.waiting.iter();
        let waiting = waiting.filter(|(address, _)| !self.is_member(**address));
        let new: Vec<(IpAddr, Sighting)> = configured
            .chain(waiting.map(|(address, sighting)| (*address, *sighting)))
            .filter(|(address, _)| draft.row(&self.table, (*address).into()).is_none())
            .take(CHANGED_MAX)
            .collect();
        self.end_systems.configured_are_known = new.len() < CHANGED_MAX;
        if !new.is_empty() {
            self.end_systems.taken_up_at = Some(self.now);
            self.counters.end_systems_taken_up += new.len() as u64;
        }
        for (address, sighting) in &new {
            self.end_systems.waiting.remove(address);
            let row = Row {
                router: rest.router,
                unfinished: None,
                node: sighting.node,
                seen: sighting.seen,
                seen_at: sighting.at,
                rate_kbit_per_s: 0,
            };
            draft.changes.insert((*address).into(), Some(row));
        }
        !new.is_empty()
    }

    /// Those of which nothing was seen for too long, and routers that were taken for end systems before they were believed, fall back to the rest:
    /// they go where that is routed, and then out of the table. Returns those that are still to go there.
    pub(super) fn give_up_end_systems(&mut self, draft: &mut Draft) -> Vec<Condition> {
        let age_max = self.config.end_system_age;
        let due = |at: Time| self.now.since(at) >= age_max / 16;
        if self.end_systems.aged_at.is_some_and(|at| !due(at)) {
            return Vec::new();
        }
        let rest = draft.row(&self.table, Condition::Rest);
        let Some(rest) = rest.filter(|rest| rest.unfinished.is_none()) else {
            return Vec::new();
        };
        self.end_systems.aged_at = Some(self.now);
        let systems = self.config.end_systems.iter();
        let configured: BTreeSet<Condition> =
            systems.map(|(address, _)| (*address).into()).collect();
        let gone = self.table.rows().filter(|(condition, row)| {
            let Condition::Address(address) = condition else {
                return false;
            };
            let is_old = self.now.since(row.seen_at) > age_max;
            (is_old || self.is_member(*address)) && !configured.contains(condition)
        });
        let gone: Vec<(Condition, Row)> = gone
            .map(|(condition, row)| (condition, *row))
            .take(CHANGED_MAX)
            .collect();
        let is_home = |row: &Row| row.unfinished.is_none() && row.router == rest.router;
        if !gone.iter().all(|(_, row)| is_home(row)) {
            // They are looked for again as soon as they have come home.
            self.end_systems.aged_at = None;
        }
        let settled = gone.iter().filter(|(_, row)| row.unfinished.is_none());
        let settled = settled.map(|(condition, row)| (*condition, is_home(row)));
        draft.drop_where_the_rest_is(settled.collect())
    }
}
