//! The distributed-processing data table: which router is in charge of what, as far as this router knows, and as the
//! authority tells it. How the table is told in octets is in [`super::wire`], what it should be in [`super::allocation`].

mod issued;
mod row;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;

pub use issued::{Issued, Repetition};
pub use row::{Change, Row};

use super::names::{Condition, Epoch, MemberState, Mode, MoveName, RouterId, Seen, Version};
use super::refusal::Refusal;
use super::wire::{Allocation, Entry, FragmentRange, Head, Kind, Response, RouterRecord};
use crate::{Family, Time};

/// The table of one group.
#[derive(Clone, Debug)]
pub struct Table {
    family: Family,
    mode: Mode,
    rows: BTreeMap<Condition, Row>,
    members: BTreeMap<RouterId, RouterRecord>,
    digest: u64,
    /// The last allocation that is here as a whole.
    installed: Version,
    /// The newest one that anything is here of.
    heard: Version,
    /// What is here of it, if not all.
    assembly: Option<Assembly>,
    /// Whether fragments cannot mend what is here.
    wants_table: bool,
}

/// An allocation that is coming in.
#[derive(Clone, Debug)]
struct Assembly {
    /// The allocation it is the difference to; `None` for a full table.
    base: Option<Version>,
    /// Which fragments are here.
    here: Vec<bool>,
    entries_total: u32,
    digest: u64,
}

impl Table {
    /// An empty table, before the first allocation.
    #[must_use]
    pub fn new(family: Family, mode: Mode) -> Table {
        Table {
            family,
            mode,
            rows: BTreeMap::new(),
            members: BTreeMap::new(),
            digest: 0,
            installed: Version::default(),
            heard: Version::default(),
            assembly: None,
            wants_table: false,
        }
    }

    /// The mode in force.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The conditions, in ascending order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (Condition, &Row)> {
        self.rows.iter().map(|(condition, row)| (*condition, row))
    }

    /// What is known of a condition.
    #[must_use]
    pub fn row(&self, condition: Condition) -> Option<&Row> {
        self.rows.get(&condition)
    }

    /// The routers as the authority regards them.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &RouterRecord> {
        self.members.values()
    }

    /// How the authority regards `router`.
    #[must_use]
    pub fn state_of(&self, router: RouterId) -> Option<MemberState> {
        self.members.get(&router).map(|record| record.state)
    }

    /// The digest: the same on routers that have the same conditions with the same routers in charge.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The last allocation that is here as a whole.
    #[must_use]
    pub const fn installed(&self) -> Version {
        self.installed
    }

    /// The newest allocation heard of.
    #[must_use]
    pub const fn heard(&self) -> Version {
        self.heard
    }

    /// Whether an allocation is here as a whole, and nothing newer in part.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.wants_table && self.assembly.is_none()
    }

    /// The epoch that `router` begins as authority, above all heard.
    #[must_use]
    pub fn next_epoch(&self, router: RouterId) -> Epoch {
        Epoch {
            counter: self.heard.epoch.counter.saturating_add(1),
            issuer: Some(router),
        }
    }

    /// As an authority that begins: takes `version`, which another router says it has installed, from whoever sends it.
    pub fn recover(&mut self, version: Version) {
        if self.heard != version || self.is_whole() {
            self.heard = version;
            self.assembly = None;
            self.wants_table = true;
        }
    }

    /// An end system was noticed.
    pub fn seen(&mut self, now: Time, condition: Condition, seen: Seen) {
        if let Some(row) = self.rows.get_mut(&condition) {
            row.seen = seen;
            row.seen_at = now;
        }
    }

    /// What is routed of a condition is known anew, in bit/s. Nobody is told before the next allocation names it.
    pub fn set_rate(&mut self, condition: Condition, bit_per_s: u64) {
        if let Some(row) = self.rows.get_mut(&condition) {
            row.rate_kbit_per_s = u32::try_from(bit_per_s.div_ceil(1000)).unwrap_or(u32::MAX);
        }
    }

    /// Notes an allocation that another router says it has installed, so that [`next_epoch`](Self::next_epoch) is above it.
    pub fn note_heard(&mut self, version: Version) {
        if version.epoch > self.heard.epoch {
            self.heard = version;
            self.assembly = None;
            self.wants_table = true;
        }
    }

    /// Fills in what a type 2 says about the table.
    pub fn report(&self, response: &mut Response) {
        response.entries = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        response.digest = self.digest;
        response.heard = self.heard;
        response.wants_table = self.wants_full();
        response.missing = self.missing();
    }

    /// Whether nothing but a full table will do.
    fn wants_full(&self) -> bool {
        self.wants_table
            || self
                .assembly
                .as_ref()
                .is_some_and(|assembly| assembly.base != Some(self.installed))
    }

    /// The fragments that are not here of what is coming in: of a full table if one is wanted, else of a difference.
    #[must_use]
    pub fn missing(&self) -> Vec<FragmentRange> {
        let useful = |assembly: &&Assembly| assembly.base.is_none() || !self.wants_full();
        let assembly = self.assembly.as_ref().filter(useful);
        let here = assembly.iter().flat_map(|assembly| &assembly.here);
        FragmentRange::missing(here.copied())
    }

    /// Takes a fragment of an allocation from a believed router.
    ///
    /// # Errors
    ///
    /// [`Refusal::Issuer`] if the sender is not the epoch's issuer, [`Refusal::Epoch`] or [`Refusal::Generation`] if a later
    /// allocation is known, [`Refusal::Fragment`] if it does not belong with the fragments before. Nothing has changed then.
    pub fn receive(
        &mut self,
        now: Time,
        head: &Head,
        allocation: &Allocation,
    ) -> Result<Vec<Change>, Refusal> {
        if head.version.epoch.issuer != Some(head.router) {
            return Err(Refusal::Issuer);
        }
        self.take(now, head, allocation)
    }

    /// Takes a fragment of the full table that is to be [recovered](Self::recover) from a believed router, whoever issued it.
    ///
    /// # Errors
    ///
    /// [`Refusal::Issuer`] if that is not what is wanted, [`Refusal::Fragment`] if it does not belong with the fragments before. Nothing
    /// has changed then.
    pub fn receive_relayed(
        &mut self,
        now: Time,
        head: &Head,
        allocation: &Allocation,
    ) -> Result<Vec<Change>, Refusal> {
        let is_full = matches!(allocation.kind, Kind::Full { .. });
        if head.version != self.heard || !self.wants_full() || !is_full {
            return Err(Refusal::Issuer);
        }
        self.take(now, head, allocation)
    }

    fn take(
        &mut self,
        now: Time,
        head: &Head,
        allocation: &Allocation,
    ) -> Result<Vec<Change>, Refusal> {
        let version = head.version;
        if version.epoch < self.heard.epoch {
            return Err(Refusal::Epoch);
        }
        if version < self.heard {
            return Err(Refusal::Generation);
        }
        if version == self.installed {
            return Ok(Vec::new());
        }
        let base = match allocation.kind {
            Kind::Full { .. } => None,
            Kind::Difference { base } => Some(base),
        };
        let fresh = Assembly {
            base,
            here: vec![false; usize::from(head.fragments)],
            entries_total: allocation.entries_total,
            digest: allocation.digest,
        };
        let assembly = if version > self.heard {
            self.heard = version;
            self.assembly.insert(fresh)
        } else {
            match &mut self.assembly {
                Some(assembly) if assembly.base == base => {
                    if !assembly.belongs_with(&fresh) {
                        return Err(Refusal::Fragment);
                    }
                    assembly
                }
                // Sent for others, and right all the same: the difference will do here.
                Some(assembly) if assembly.base == Some(self.installed) => {
                    return Ok(self.apply(now, allocation));
                }
                // A full table mends what differences could not; a difference has had its say.
                replaced if base.is_none() => replaced.insert(fresh),
                _ => return Ok(Vec::new()),
            }
        };
        match assembly.here.get_mut(usize::from(head.fragment)) {
            Some(here) if !*here => *here = true,
            Some(_) => return Ok(Vec::new()),
            None => return Err(Refusal::Fragment),
        }
        let changes = self.apply(now, allocation);
        self.conclude();
        Ok(changes)
    }

    /// Installs the allocation heard of if it is all here, and right.
    fn conclude(&mut self) {
        let Some(assembly) = &self.assembly else {
            return;
        };
        if assembly.here.contains(&false) {
            return;
        }
        let founded = assembly.base.is_none_or(|base| base == self.installed);
        let right = assembly.digest == self.digest
            && usize::try_from(assembly.entries_total) == Ok(self.rows.len());
        self.wants_table = !(founded && right);
        if !self.wants_table {
            self.installed = self.heard;
        }
        self.assembly = None;
    }

    /// Applies what one fragment says; each is right by itself.
    fn apply(&mut self, now: Time, allocation: &Allocation) -> Vec<Change> {
        self.mode = allocation.mode;
        // Every fragment names all of them.
        let routers = allocation.routers.iter();
        self.members = routers.map(|record| (record.router, *record)).collect();
        let mut changes = Vec::new();
        if let Kind::Full { first, last } = allocation.kind {
            let listed = |condition: &Condition| {
                allocation
                    .entries
                    .binary_search_by_key(condition, |entry| entry.condition)
                    .is_ok()
            };
            let gone: Vec<Condition> = self
                .rows
                .range(first..=last)
                .map(|(condition, _)| *condition)
                .filter(|condition| !listed(condition))
                .collect();
            changes.extend(gone.into_iter().filter_map(|gone| self.set(gone, None)));
        }
        for entry in &allocation.entries {
            let row = entry.router.map(|router| Row::read(now, entry, router));
            changes.extend(self.set(entry.condition, row));
        }
        changes
    }

    /// Puts a row in the place of another, and keeps the digest.
    fn set(&mut self, condition: Condition, row: Option<Row>) -> Option<Change> {
        let family = self.family;
        let before = match (self.rows.entry(condition), row) {
            (MapEntry::Occupied(mut entry), Some(row)) => Some(entry.insert(row)),
            (MapEntry::Occupied(entry), None) => Some(entry.remove()),
            (MapEntry::Vacant(entry), Some(row)) => {
                entry.insert(row);
                None
            }
            (MapEntry::Vacant(_), None) => None,
        };
        let digest_of =
            |row: Option<&Row>| row.map_or(0, |row| row::digest_of(condition, row.router, family));
        self.digest = self
            .digest
            .wrapping_sub(digest_of(before.as_ref()))
            .wrapping_add(digest_of(row.as_ref()));
        let change = Change {
            condition,
            before: before.map(|row| (row.router, row.unfinished)),
            after: row.map(|row| (row.router, row.unfinished)),
        };
        (change.before != change.after).then_some(change)
    }

    /// Notes that a move is finished. The digest does not depend on it.
    pub fn finish(&mut self, name: &MoveName) {
        for row in self.rows.values_mut() {
            if row.unfinished.as_ref() == Some(name) {
                row.unfinished = None;
            }
        }
    }

    /// As authority: makes `changes` the allocation `version`, and returns what changed and the difference to send.
    pub fn issue(
        &mut self,
        now: Time,
        version: Version,
        mode: Mode,
        members: Vec<RouterRecord>,
        changes: &BTreeMap<Condition, Option<Row>>,
    ) -> (Vec<Change>, Allocation) {
        let base = self.installed;
        let changed = changes
            .iter()
            .filter_map(|(condition, row)| self.set(*condition, *row))
            .collect();
        self.mode = mode;
        self.members = members
            .into_iter()
            .map(|record| (record.router, record))
            .collect();
        self.installed = version;
        self.heard = version;
        self.assembly = None;
        self.wants_table = false;
        let entries: Vec<Entry> = changes
            .iter()
            .map(|(condition, row)| row::write(now, *condition, row.as_ref()))
            .collect();
        (changed, self.allocation(Kind::Difference { base }, entries))
    }

    /// As authority: the whole table as installed.
    #[must_use]
    pub fn full(&self, now: Time) -> Allocation {
        let entries = self
            .rows
            .iter()
            .map(|(condition, row)| row::write(now, *condition, Some(row)))
            .collect();
        self.allocation(Kind::everything(self.family), entries)
    }

    fn allocation(&self, kind: Kind, entries: Vec<Entry>) -> Allocation {
        let mut routers = self.members.clone();
        // Whoever is named needs a record, also when it is no member any more.
        let named = entries.iter().flat_map(|entry| {
            let moving = entry.unfinished.map(|name| [name.from, name.to]);
            entry.router.into_iter().chain(moving.into_iter().flatten())
        });
        for router in named {
            routers.entry(router).or_insert(RouterRecord {
                router,
                state: MemberState::Faulty,
                weight: 0,
            });
        }
        Allocation {
            kind,
            mode: self.mode,
            entries_total: u32::try_from(self.rows.len()).unwrap_or(u32::MAX),
            digest: self.digest,
            routers: routers.into_values().collect(),
            entries,
        }
    }
}

impl Assembly {
    fn belongs_with(&self, other: &Assembly) -> bool {
        self.here.len() == other.here.len()
            && self.entries_total == other.entries_total
            && self.digest == other.digest
    }
}

#[cfg(test)]
mod tests;
