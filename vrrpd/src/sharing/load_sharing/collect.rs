//! What a new authority has to know before it allocates: the newest table, and the moves that the others are in the middle of. And how the others
//! help it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::authority::{Authority, Levelling, Ruling, Unfinished};
use super::{Event, LoadSharing};
use crate::Time;
use crate::sharing::membership::silence_max;
use crate::sharing::names::{Condition, MemberState, MoveName, RouterId, Version};
use crate::sharing::table::{Issued, Row};
use crate::sharing::wire::{Body, Head, MoveStatus, Response};

/// For how long a table that somebody has is waited for at least.
const TABLE_PATIENCE: Duration = Duration::from_secs(1);

/// The answers so far.
#[derive(Debug)]
pub(super) struct Collection {
    since: Time,
    answers: BTreeMap<RouterId, Answered>,
    /// When a router was last heard that is still to prove itself.
    greeted_at: Option<Time>,
    /// Whether the table here is one that another router had.
    recovering: bool,
}

/// What there is of a router's type 2.
#[derive(Debug, Default)]
struct Answered {
    /// The number of its first fragment.
    first: u64,
    fragments: BTreeSet<u16>,
    complete: bool,
}

impl Collection {
    pub(super) fn new(now: Time) -> Collection {
        Collection {
            since: now,
            answers: BTreeMap::new(),
            greeted_at: None,
            recovering: false,
        }
    }
}

impl LoadSharing {
    /// Somebody is there who is not believed yet.
    pub(super) fn greeted(&mut self) {
        let now = self.now;
        if let Authority::Collecting(collection) = &mut self.authority {
            collection.greeted_at = Some(now);
        }
    }

    /// Takes a type 2 while collecting.
    pub(super) fn collect(&mut self, head: &Head, _response: &Response) {
        let Authority::Collecting(collection) = &mut self.authority else {
            return;
        };
        let answered = collection.answers.entry(head.router).or_default();
        let first = head.number.saturating_sub(head.fragment.into());
        if answered.first != first {
            answered.first = first;
            answered.fragments.clear();
        }
        answered.fragments.insert(head.fragment);
        answered.complete |= answered.fragments.len() >= usize::from(head.fragments);
    }

    /// When collecting is to be looked at again even if nothing is heard.
    pub(super) fn collecting_until(&self, collection: &Collection) -> Option<Time> {
        let silence = silence_max(self.interval, self.config.priority);
        [
            self.first_table_at.map(|at| at + self.interval),
            Some(collection.since + silence),
            Some(self.since + silence),
            Some(collection.since + silence.max(TABLE_PATIENCE)),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > self.now)
        .min()
    }

    /// Begins to allocate if everything is known, or has been waited for long enough.
    pub(super) fn finish_collecting(&mut self) {
        let now = self.now;
        let silence = silence_max(self.interval, self.config.priority);
        let newest = self
            .membership
            .iter()
            .filter(|(_, member)| member.is_alive())
            .map(|(_, member)| member.installed)
            .max()
            .unwrap_or_default();
        // A substitution server disputes nobody's mastership.
        let outranked = !self.is_server() && self.is_outranked();
        let other_rules = self.is_another_ruling();
        let first_under_way = self.is_first_table_under_way();
        let Authority::Collecting(collection) = &mut self.authority else {
            return;
        };
        let late = now >= collection.since + silence;
        if newest > self.table.installed() {
            // With a table already, this router knows its part in the moves there.
            collection.recovering |= self.table.installed() == Version::default();
            self.table.recover(newest);
            self.voice.ask(now, &self.config);
            if now < collection.since + silence.max(TABLE_PATIENCE) {
                return;
            }
        }
        if !late && (outranked || other_rules) {
            return;
        }
        let answered = self.membership.iter().all(|(router, member)| {
            let answer = collection.answers.get(&router);
            !member.is_alive() || answer.is_some_and(|answer| answer.complete)
        });
        // Nor is anyone lost whom only the table knows so far: a router that is new itself has to be believed first.
        let unmet = self.table.members().any(|record| {
            record.router != self.config.router
                && matches!(record.state, MemberState::Working | MemberState::Draining)
                && self.membership.get(record.router).is_none()
        });
        let answered = answered && !unmet && !first_under_way;
        // Somebody may be there who cannot be understood yet, and who has what this router lacks.
        let alone = collection
            .greeted_at
            .is_none_or(|at| now.since(at) > self.interval);
        let has_table = self.table.installed() != Version::default();
        let has_listened = now >= self.since + silence;
        if (answered && (has_table || (alone && has_listened))) || (late && has_listened) {
            let recovered = collection.recovering;
            self.begin_ruling(recovered);
        }
    }

    /// Whether another router says that it is master, and will stay it. This one yields as soon as it hears its advertisement, and does
    /// not dispute its authority until then.
    fn is_outranked(&self) -> bool {
        let own = (self.config.priority, self.config.local);
        self.membership.iter().any(|(router, member)| {
            let address = self.trust.address(router);
            member.is_alive()
                && member.master
                && address.is_some_and(|address| (member.priority, address) > own)
        })
    }

    /// Whether another router that answers says that it allocates. It ends that when it hears of this one, and may have issued something until then.
    fn is_another_ruling(&self) -> bool {
        let mut members = self.membership.iter();
        members.any(|(_, member)| member.is_alive() && member.authority)
    }

    /// Whether a router that answers has no table, and the one here, which names it, is so new that it may be on its way there.
    fn is_first_table_under_way(&self) -> bool {
        let is_new = self
            .first_table_at
            .is_some_and(|at| self.now.since(at) < self.interval);
        is_new
            && self.holders().into_iter().any(|router| {
                self.membership.get(router).is_some_and(|member| {
                    member.is_alive() && member.installed == Version::default()
                })
            })
    }

    /// Whoever is in charge of something by the table here, or has a part in a move.
    fn holders(&self) -> BTreeSet<RouterId> {
        let rows = self.table.rows();
        rows.flat_map(|(_, row)| {
            let parties = row.unfinished.map(|name| [name.from, name.to]);
            [row.router]
                .into_iter()
                .chain(parties.into_iter().flatten())
        })
        .collect()
    }

    fn begin_ruling(&mut self, recovered: bool) {
        let me = self.config.router;
        let mut epoch = self.table.next_epoch(me);
        epoch.counter = epoch
            .counter
            .max(self.highest.epoch.counter.saturating_add(1));
        let is_fresh = self.table.installed() == Version::default() && self.table.rows().len() == 0;
        let mut unfinished: BTreeMap<MoveName, Unfinished> = BTreeMap::new();
        for (condition, row) in self.table.rows() {
            if let Some(name) = row.unfinished {
                note_unfinished(&mut unfinished, self.now, name, condition);
            }
        }
        self.end_systems.look_for_configured();
        let adopted = self.adopt(&mut unfinished);
        // Whoever has no table, or was not seen to take part since it came, is in charge of nothing.
        for router in self.holders().into_iter().filter(|router| *router != me) {
            let holds = self.membership.get(router).is_some_and(|member| {
                use crate::sharing::names::MemberState::{Draining, Working};
                matches!(member.state, Working | Draining) && member.installed != Version::default()
            });
            if !holds {
                self.lost.insert(router);
            }
        }
        if is_fresh {
            let members: Vec<RouterId> = self.membership.iter().map(|(router, _)| router).collect();
            for router in members {
                self.membership.included(router);
            }
        }
        self.authority = Authority::Ruling(Box::new(Ruling {
            epoch,
            generation: 0,
            issued: Issued::new(Version::default(), Version::default(), Vec::new()),
            issued_at: self.now,
            repeat: None,
            unfinished,
            adopted,
            recovered,
            plan: BTreeMap::new(),
            takers: Vec::new(),
            levelling: Levelling::No,
            followed: None,
            pins: BTreeMap::new(),
            allocate_at: Some(self.now),
            review: true,
            review_at: None,
        }));
        self.counters.authorities_taken += 1;
        self.event(Event::AuthorityTaken(epoch));
    }

    /// Moves that others are in the middle of and this router never heard of: they take place.
    fn adopt(&self, unfinished: &mut BTreeMap<MoveName, Unfinished>) -> BTreeMap<Condition, Row> {
        let mut adopted = BTreeMap::new();
        for (name, _, report) in self.reports.iter() {
            let ended = matches!(report.status, MoveStatus::Kept | MoveStatus::StoodDown);
            let known = unfinished.contains_key(name) && report.conditions.is_empty();
            if name.version <= self.table.installed() || ended || known {
                continue;
            }
            for condition in &report.conditions {
                let Some(row) = self.table.row(*condition) else {
                    continue;
                };
                let row = Row {
                    router: name.to,
                    unfinished: Some(*name),
                    ..*row
                };
                if adopted.insert(*condition, row).is_none() {
                    note_unfinished(unfinished, self.now, *name, *condition);
                }
            }
        }
        adopted
    }

    /// Takes a type 2 as any router: helps a new authority that lacks the table installed here. Of those who have it, the one with the lowest id does. A router
    /// that has heard a part of a later one, and so no whole one any more, helps if nobody else can: every row that it has was right at some time, and what
    /// follows from that table is checked against its digest.
    pub(super) fn relay(&mut self, head: &Head, response: &Response) {
        let installed = self.table.installed();
        let begins = response.master || response.state == MemberState::SubstitutionServer;
        let asks = begins && response.wants_table && response.heard == installed;
        if !asks || head.version >= installed {
            return;
        }
        let (me, is_whole) = (self.config.router, self.table.is_whole());
        let others_turn = self.membership.iter().any(|(router, member)| {
            router != head.router
                && (router < me || !is_whole)
                && member.is_alive()
                && member.installed == installed
        });
        if others_turn || self.voice.is_allocating(self.now, self.config.moves.repeat) {
            return;
        }
        let mut issued = match self.voice.relayed.take() {
            Some((version, issued)) if version == installed => issued,
            _ => Issued::new(installed, Version::default(), Vec::new()),
        };
        let full = || self.split(Body::Allocation(self.table.full(self.now)));
        if let Some(repetition) = issued.lacking(head.version, response, full) {
            self.counters.fragments_repeated += repetition.bodies.len() as u64;
            self.voice.allocate(self.now, installed, repetition);
        }
        self.voice.relayed = Some((installed, issued));
    }
}

pub(super) fn note_unfinished(
    unfinished: &mut BTreeMap<MoveName, Unfinished>,
    since: Time,
    name: MoveName,
    condition: Condition,
) {
    unfinished
        .entry(name)
        .or_insert_with(|| Unfinished {
            conditions: Vec::new(),
            since,
        })
        .conditions
        .push(condition);
}
