//! The next allocation: what has become of moves, what has lost its router, what is to be moved next, and how that becomes known. Who shall
//! have what is decided in `plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::authority::{Authority, Levelling, Repeat, Ruling, Unfinished};
use super::collect::note_unfinished;
use super::{Event, LoadSharing};
use crate::sharing::allocation::{Measure, Share};
use crate::sharing::names::{Condition, MemberState, Mode, MoveName, RouterId, Seen, Version};
use crate::sharing::table::{Issued, Row, Table};
use crate::sharing::wire::{Body, MoveStatus, ROUTERS_MAX, RouterRecord};

/// For how long the next allocation waits for everyone to have the last, unless it is urgent.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often a take-over is told again even if everyone who answers has heard it: the router it is about may still be there.
const TAKE_OVER_REPEATS: u8 = 3;

/// For how long a newcomer waits for others to come, at most.
const JOIN_DELAY_MAX: Duration = Duration::from_secs(1);

/// The next allocation, as far as it is decided.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) changes: BTreeMap<Condition, Option<Row>>,
    /// Conditions that nobody is in charge of.
    pub(super) unowned: BTreeSet<Condition>,
    finished: Vec<MoveName>,
    reverted: Vec<MoveName>,
    ordered: BTreeMap<MoveName, Vec<Condition>>,
    taken_over: usize,
    /// How conditions change hands.
    mode: Mode,
}

/// What has become of a move.
enum Outcome {
    /// It goes on.
    Open,
    /// N is in charge.
    Finished,
    /// P is in charge again, or still.
    Reverted,
    /// Neither can be.
    Unowned,
}

impl Draft {
    fn new(adopted: BTreeMap<Condition, Row>, mode: Mode) -> Draft {
        let changes = adopted.into_iter();
        Draft {
            changes: changes
                .map(|(condition, row)| (condition, Some(row)))
                .collect(),
            unowned: BTreeSet::new(),
            finished: Vec::new(),
            reverted: Vec::new(),
            ordered: BTreeMap::new(),
            taken_over: 0,
            mode,
        }
    }

    /// A condition's row after this allocation.
    pub(super) fn row(&self, table: &Table, condition: Condition) -> Option<Row> {
        match self.changes.get(&condition) {
            Some(row) => *row,
            None => table.row(condition).copied(),
        }
    }

    /// All rows after this allocation, in no order.
    pub(super) fn rows<'a>(
        &'a self,
        table: &'a Table,
    ) -> impl Iterator<Item = (Condition, Row)> + 'a {
        let unchanged = table
            .rows()
            .filter(|(condition, _)| !self.changes.contains_key(condition))
            .map(|(condition, row)| (condition, *row));
        let changed = self
            .changes
            .iter()
            .filter_map(|(condition, row)| Some((*condition, (*row)?)));
        unchanged.chain(changed)
    }

    /// Takes conditions out of the table that are where the rest is, as said of each; the others are still to go there.
    pub(super) fn drop_where_the_rest_is(
        &mut self,
        conditions: Vec<(Condition, bool)>,
    ) -> Vec<Condition> {
        let (home, away): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|(_, home)| *home);
        for (condition, _) in home {
            self.changes.entry(condition).or_insert(None);
        }
        away.into_iter().map(|(condition, _)| condition).collect()
    }

    fn is_over(&self, name: &MoveName) -> bool {
        self.finished.contains(name) || self.reverted.contains(name)
    }

    /// Settles a condition whose move has ended.
    fn settle(&mut self, table: &Table, condition: Condition, router: RouterId) {
        if let Some(row) = self.row(table, condition) {
            let row = Row {
                router,
                unfinished: None,
                ..row
            };
            self.changes.insert(condition, Some(row));
        }
    }
}

impl LoadSharing {
    /// Looks at everything that an allocation may have to follow, and issues one if it has to.
    pub(super) fn review_allocation(&mut self) {
        let Authority::Ruling(mut ruling) = std::mem::take(&mut self.authority) else {
            return;
        };
        let urgent = ruling.generation == 0 || !self.lost.is_empty();
        if !urgent && !self.is_installed_by_all() && self.now.since(ruling.issued_at) < PATIENCE {
            ruling.review_at = Some(ruling.issued_at + PATIENCE);
            if ruling.allocate_at.is_some_and(|at| at <= self.now) {
                ruling.allocate_at = ruling.review_at;
            }
            self.authority = Authority::Ruling(ruling);
            return;
        }
        let adopted = std::mem::take(&mut ruling.adopted);
        let mut draft = Draft::new(adopted, self.table.mode());
        self.settle_moves(&ruling, &mut draft);
        // Both sides of a move go by the mode of the allocation that they have it from, so that another waits for the end of all.
        if ruling.unfinished.keys().all(|name| draft.is_over(name)) {
            draft.mode = self.config.mode;
        }
        self.take_over(&mut draft);
        self.assign(&ruling, &mut draft);
        self.plan_anew(&mut ruling, &mut draft);
        let records = self.records();
        let version = Version {
            epoch: ruling.epoch,
            generation: ruling.generation.saturating_add(1),
        };
        self.order(&mut ruling, &mut draft, version);
        for router in std::mem::take(&mut self.lost) {
            self.moves.lost(self.now, router);
        }
        let nothing_new = draft.changes.is_empty()
            && draft.mode == self.table.mode()
            && records.iter().eq(self.table.members());
        if nothing_new && ruling.generation > 0 {
            self.authority = Authority::Ruling(ruling);
            return;
        }
        self.issue(ruling, draft, version, records);
    }

    /// What has become of the moves that were not finished.
    fn settle_moves(&self, ruling: &Ruling, draft: &mut Draft) {
        for (name, unfinished) in &ruling.unfinished {
            let conditions = unfinished.conditions.iter().copied();
            match self.outcome(ruling, name, unfinished) {
                Outcome::Open => {}
                Outcome::Finished => {
                    draft.finished.push(*name);
                    conditions.for_each(|condition| draft.settle(&self.table, condition, name.to));
                }
                Outcome::Reverted => {
                    draft.reverted.push(*name);
                    conditions
                        .for_each(|condition| draft.settle(&self.table, condition, name.from));
                }
                Outcome::Unowned => {
                    draft.reverted.push(*name);
                    draft.unowned.extend(conditions);
                }
            }
        }
    }

    fn outcome(&self, ruling: &Ruling, name: &MoveName, unfinished: &Unfinished) -> Outcome {
        // A router that has only now learnt of the table knows nothing of its part in a move.
        let forgotten = |router: RouterId| {
            ruling.recovered && ruling.generation == 0 && router == self.config.router
        };
        let giver_there = self.is_there(name.from);
        if !self.is_there(name.to) || forgotten(name.to) {
            return match giver_there {
                true => Outcome::Reverted,
                false => Outcome::Unowned,
            };
        }
        let giver = self.status_of(name, name.from);
        let taker = self.status_of(name, name.to);
        let overdue = self.now.since(unfinished.since) > self.move_patience();
        match taker {
            Some(MoveStatus::Finished) => Outcome::Finished,
            Some(MoveStatus::StoodDown) if giver_there => Outcome::Reverted,
            // It hears of the loss of P by the state in this allocation, and finishes by itself.
            Some(_) if !giver_there => Outcome::Open,
            None if !giver_there && overdue => Outcome::Finished,
            // One of the two will never do its part.
            _ if overdue && (taker.is_none() || giver.is_none()) => Outcome::Reverted,
            _ => Outcome::Open,
        }
    }

    /// Whatever lost routers were in charge of has nobody.
    fn take_over(&self, draft: &mut Draft) {
        let moved: BTreeSet<Condition> = draft.unowned.clone();
        if !self.lost.is_empty() {
            let orphaned: Vec<Condition> = draft
                .rows(&self.table)
                .filter(|(_, row)| row.unfinished.is_none() && self.lost.contains(&row.router))
                .map(|(condition, _)| condition)
                .collect();
            draft.unowned.extend(orphaned);
        }
        draft.unowned.extend(moved);
        draft.taken_over = draft.unowned.len();
        // Every table has the rest. Without it there is none here, or so much of one as came with differences to it.
        if draft.row(&self.table, Condition::Rest).is_none() {
            self.found(draft);
        }
    }

    /// The first table of a group, or what is missing of it: the rest, and what is known beforehand. Nobody hands anything over.
    fn found(&self, draft: &mut Draft) {
        let row = |node| Row {
            router: self.config.router,
            unfinished: None,
            node,
            seen: Seen::Configured,
            seen_at: self.now,
            rate_kbit_per_s: 0,
        };
        let systems = self.config.end_systems.iter();
        let named = systems.map(|(address, node)| ((*address).into(), *node));
        for (condition, node) in named.chain([(Condition::Rest, None)]) {
            if draft.row(&self.table, condition).is_none() {
                draft.changes.insert(condition, Some(row(node)));
                draft.unowned.insert(condition);
            }
        }
    }

    /// Takes up newcomers, and decides anew who shall have what, if it is time.
    fn plan_anew(&mut self, ruling: &mut Ruling, draft: &mut Draft) {
        let installed = self.table.installed();
        let newcomers: Vec<RouterId> = self
            .membership
            .iter()
            .filter(|(_, member)| {
                member.state == MemberState::Suspended && member.installed == installed
            })
            .map(|(router, _)| router)
            .collect();
        if !newcomers.is_empty() && ruling.allocate_at.is_none() {
            ruling.allocate_at = Some(self.now + self.interval.min(JOIN_DELAY_MAX));
        }
        let retired = match &ruling.followed {
            Some(followed) => self.retire(followed, draft),
            None => self.give_up_end_systems(draft),
        };
        let new = self.take_up_end_systems(ruling.followed.as_ref(), draft);
        if !draft.reverted.is_empty() {
            // What came to nothing is tried again, but not at once.
            let again = self.now + self.interval.min(JOIN_DELAY_MAX);
            ruling.allocate_at = Some(ruling.allocate_at.map_or(again, |at| at.min(again)));
        }
        let carried_out = ruling.plan.is_empty() && ruling.unfinished.is_empty();
        if ruling.levelling == Levelling::UnderWay && carried_out && draft.reverted.is_empty() {
            ruling.levelling = Levelling::No;
        }
        let due = ruling.allocate_at.is_some_and(|at| at <= self.now)
            || !self.takers().eq(ruling.takers.iter().copied());
        if !due && !new && retired.is_empty() && draft.taken_over == 0 {
            return;
        }
        if due {
            ruling.allocate_at = None;
            if ruling.generation > 0 {
                for router in newcomers {
                    self.membership.included(router);
                }
            }
        }
        let takers: Vec<Share> = self.takers().collect();
        // Who has only now begun to allocate finds the routers as they are.
        let as_found = ruling.takers.is_empty() && self.have_all_some(draft);
        if takers != ruling.takers && !as_found || new && self.measure() == Measure::Count {
            ruling.levelling = Levelling::Wanted;
        }
        ruling.plan = self.plan(ruling, draft, &retired);
        ruling.takers = takers;
        if ruling.levelling == Levelling::Wanted {
            ruling.levelling = Levelling::UnderWay;
        }
    }

    /// Orders as much of what is planned as the routers can do at a time.
    fn order(&mut self, ruling: &mut Ruling, draft: &mut Draft, version: Version) {
        if draft.mode != self.config.mode {
            // The moves under way are to come to an end.
            return;
        }
        let mut busy: BTreeMap<RouterId, usize> = BTreeMap::new();
        for name in ruling.unfinished.keys().filter(|name| !draft.is_over(name)) {
            *busy.entry(name.from).or_default() += 1;
            *busy.entry(name.to).or_default() += 1;
        }
        let active_max = self.config.moves.active_max;
        let room = |busy: &BTreeMap<RouterId, usize>, router: &RouterId| {
            busy.get(router).copied().unwrap_or(0) < active_max
        };
        let mut plan = std::mem::take(&mut ruling.plan);
        for ((from, to), conditions) in &mut plan {
            // Only who knows that it is in charge can give.
            let told = *from == self.config.router
                || self
                    .membership
                    .get(*from)
                    .is_some_and(|member| member.installed == self.table.installed());
            let possible = told && self.is_there(*from) && self.is_there(*to);
            let mut batch = 0;
            while possible && !conditions.is_empty() && room(&busy, from) && room(&busy, to) {
                let name = MoveName {
                    version,
                    from: *from,
                    to: *to,
                    batch,
                };
                let moved = self.next_batch(draft, conditions, name);
                if moved.is_empty() {
                    break;
                }
                batch = batch.saturating_add(1);
                *busy.entry(*from).or_default() += 1;
                *busy.entry(*to).or_default() += 1;
                draft.ordered.insert(name, moved);
            }
        }
        plan.retain(|_, conditions| !conditions.is_empty());
        ruling.plan = plan;
    }

    /// Puts the next conditions under a move. What is no more as it was planned is left out; what is not settled waits.
    fn next_batch(
        &self,
        draft: &mut Draft,
        conditions: &mut BTreeSet<Condition>,
        name: MoveName,
    ) -> Vec<Condition> {
        let mut moved = Vec::new();
        let mut done = Vec::new();
        for condition in conditions.iter().copied() {
            if moved.len() == self.config.batch_len_max {
                break;
            }
            let row = draft.row(&self.table, condition);
            match row.filter(|row| row.router == name.from) {
                // In the same allocation as it came there it would be news to P.
                Some(row)
                    if row.unfinished.is_none() && !draft.changes.contains_key(&condition) =>
                {
                    let row = Row {
                        router: name.to,
                        unfinished: Some(name),
                        ..row
                    };
                    draft.changes.insert(condition, Some(row));
                    moved.push(condition);
                    done.push(condition);
                }
                Some(_) => {}
                None => done.push(condition),
            }
        }
        for condition in done {
            conditions.remove(&condition);
        }
        moved
    }

    /// The routers as this authority regards them.
    fn records(&self) -> Vec<RouterRecord> {
        let own = RouterRecord {
            router: self.config.router,
            state: match self.drain {
                _ if self.is_server() => self.server_state(),
                super::Drain::No => MemberState::Working,
                super::Drain::Draining | super::Drain::Drained => MemberState::Draining,
            },
            weight: self.weight(),
        };
        let mut records = self.membership.records();
        records.push(own);
        // Whoever is there comes first if there are too many.
        records.sort_by_key(|record| record.state == MemberState::Faulty);
        records.truncate(ROUTERS_MAX);
        records.sort_unstable_by_key(|record| record.router);
        records
    }

    fn issue(
        &mut self,
        mut ruling: Box<Ruling>,
        draft: Draft,
        version: Version,
        records: Vec<RouterRecord>,
    ) {
        let base = self.table.installed();
        let (changed, difference) =
            self.table
                .issue(self.now, version, draft.mode, records, &draft.changes);
        let bodies = self.split(Body::Allocation(difference));
        ruling.generation = version.generation;
        ruling.issued = Issued::new(version, base, bodies);
        ruling.issued_at = self.now;
        let wait = self.config.moves.repeat;
        ruling.repeat = Some(Repeat {
            at: self.now + wait,
            wait,
            least: if draft.taken_over > 0 {
                TAKE_OVER_REPEATS
            } else {
                0
            },
        });
        for name in draft.finished.iter().chain(&draft.reverted) {
            ruling.unfinished.remove(name);
        }
        for (name, conditions) in &draft.ordered {
            for condition in conditions {
                note_unfinished(&mut ruling.unfinished, self.now, *name, *condition);
            }
        }
        self.voice
            .allocate(self.now, version, ruling.issued.whole_difference());
        self.highest = self.highest.max(version);
        // Whatever had to wait for this one is looked at when everyone has it.
        ruling.review_at = Some(self.now + PATIENCE);
        self.authority = Authority::Ruling(ruling);
        if draft.taken_over > 0 {
            self.balance.changed_hands(self.now);
        }
        self.counters.allocations_issued += 1;
        self.counters.conditions_taken_over += draft.taken_over as u64;
        self.counters.moves_ordered += draft.ordered.len() as u64;
        self.counters.moves_reverted += draft.reverted.len() as u64;
        for name in draft.finished {
            self.event(Event::MoveFinished(name));
        }
        for name in draft.reverted {
            self.event(Event::MoveReverted(name));
        }
        for (name, conditions) in draft.ordered {
            let conditions = conditions.len();
            self.event(Event::MoveOrdered { name, conditions });
        }
        let conditions = draft.changes.len();
        self.event(Event::Issued {
            version,
            conditions,
        });
        self.heed_changes(&changed);
        self.take_up();
        self.voice.respond_soon(self.now);
    }
}
