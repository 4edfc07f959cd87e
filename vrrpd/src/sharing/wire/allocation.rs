//! The body of type 3, the allocation: a part of the table that says more than it lists, because what a full table does not list in
//! the range it covers does not exist.

use std::net::IpAddr;

use super::octets::{Reader, Writer};
use super::response::{state_octet, state_of};
use super::{EmitError, INDEX_NONE, ROUTERS_MAX, count_of, mode_octet, mode_of};
use crate::Family;
use crate::sharing::names::{Condition, MemberState, Mode, MoveName, RouterId, Seen, Version};
use crate::sharing::refusal::Refusal;

/// Who is in charge of what, from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Everything, or what changed.
    pub kind: Kind,
    /// The mode in force.
    pub mode: Mode,
    /// Number of conditions in the whole table, this allocation applied.
    pub entries_total: u32,
    /// Digest of that table.
    pub digest: u64,
    /// The routers of the group, and any other that `entries` name.
    pub routers: Vec<RouterRecord>,
    /// The conditions, in ascending order.
    pub entries: Vec<Entry>,
}

/// What an allocation says about conditions that it does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Those from `first` to `last`, both included, do not exist.
    Full {
        /// The first condition covered.
        first: Condition,
        /// The last condition covered.
        last: Condition,
    },
    /// They are as in another allocation.
    Difference {
        /// Which.
        base: Version,
    },
}

/// A router, as the authority regards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterRecord {
    /// Who.
    pub router: RouterId,
    /// Its state.
    pub state: MemberState,
    /// Its share relative to the others'.
    pub weight: u16,
}

/// A condition's row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which packets.
    pub condition: Condition,
    /// Who is in charge; in a difference `None` for a condition that is no more.
    pub router: Option<RouterId>,
    /// The move by which it gets there, until that is finished.
    pub unfinished: Option<MoveName>,
    /// The further router behind which the end system is; `None` when it is on the link.
    pub node: Option<IpAddr>,
    /// How it was noticed last.
    pub seen: Seen,
    /// How long ago, in seconds.
    pub seen_ago_s: u16,
    /// Its average rate in kbit/s: 0 only for none.
    pub rate_kbit_per_s: u32,
}

const KIND_FULL: u8 = 1;
const KIND_DIFFERENCE: u8 = 2;

pub(super) const SEEN: [Seen; 4] = [
    Seen::Configured,
    Seen::InformationReply,
    Seen::Neighbour,
    Seen::Traffic,
];

/// Octets of an allocation without its range and lists.
const FIXED_LEN: usize = 32;
const ROUTER_LEN: usize = 8;
const MOVE_LEN: usize = 16;
/// Octets of an entry without its condition.
const ENTRY_LEN: usize = 10;

/// The lists that entries refer to by index.
#[derive(Default)]
struct Lists {
    nodes: Vec<IpAddr>,
    moves: Vec<MoveName>,
}

impl Lists {
    /// Adds what `entry` refers to, and returns how many nodes and moves were new.
    fn add(&mut self, entry: &Entry) -> (usize, usize) {
        let nodes = self.nodes.len();
        let moves = self.moves.len();
        if let Some(node) = entry.node
            && !self.nodes.contains(&node)
        {
            self.nodes.push(node);
        }
        if let Some(name) = entry.unfinished
            && !self.moves.contains(&name)
        {
            self.moves.push(name);
        }
        (self.nodes.len() - nodes, self.moves.len() - moves)
    }

    /// Whether no index into them could be taken for none.
    fn fit(&self) -> bool {
        self.nodes.len() <= usize::from(INDEX_NONE) && self.moves.len() <= usize::from(INDEX_NONE)
    }
}

impl Allocation {
    pub(super) fn parse(
        family: Family,
        count: u8,
        body: &mut Reader<'_>,
    ) -> Result<Allocation, Refusal> {
        let kind = body.u8()?;
        let mode = mode_of(body.u8()?)?;
        let router_count = body.u8()?;
        let node_count = body.u8()?;
        let move_count = body.u8()?;
        let [_, _, _] = body.take()?;
        let base = body.version()?;
        let entries_total = body.u32()?;
        let digest = body.u64()?;
        let first = body.condition(family)?;
        let last = body.condition(family)?;
        let kind = match kind {
            KIND_FULL if first <= last => Kind::Full { first, last },
            KIND_DIFFERENCE => Kind::Difference { base },
            _ => return Err(Refusal::Value),
        };
        if usize::from(router_count) > ROUTERS_MAX {
            return Err(Refusal::Count);
        }
        let routers = body.list(router_count, |body| {
            let router = body.router()?;
            let state = state_of(body.u8()?)?;
            let [_] = body.take()?;
            let weight = body.u16()?;
            Ok(RouterRecord {
                router,
                state,
                weight,
            })
        })?;
        let router_at = |index: u8| {
            routers
                .get(usize::from(index))
                .map(|record| record.router)
                .ok_or(Refusal::Value)
        };
        let nodes = body.list(node_count, |body| body.address(family))?;
        let moves = body.list(move_count, |body| {
            let version = body.version()?;
            let batch = body.u16()?;
            Ok(MoveName {
                version,
                from: router_at(body.u8()?)?,
                to: router_at(body.u8()?)?,
                batch,
            })
        })?;
        let entries = body.list(count, |body| {
            let condition = body.condition(family)?;
            let router = optional(body.u8()?, router_at)?;
            let unfinished = optional(body.u8()?, |index| at(&moves, index))?;
            let node = optional(body.u8()?, |index| at(&nodes, index))?;
            let seen = at(&SEEN, body.u8()?)?;
            let seen_ago_s = body.u16()?;
            let rate_kbit_per_s = body.u32()?;
            Ok(Entry {
                condition,
                router,
                unfinished,
                node,
                seen,
                seen_ago_s,
                rate_kbit_per_s,
            })
        })?;
        let ascending = entries.is_sorted_by(|a, b| a.condition < b.condition);
        let sensible = match kind {
            Kind::Full { first, last } => entries
                .iter()
                .all(|entry| (first..=last).contains(&entry.condition) && entry.router.is_some()),
            Kind::Difference { .. } => true,
        };
        if !ascending || !sensible {
            return Err(Refusal::Value);
        }
        Ok(Allocation {
            kind,
            mode,
            entries_total,
            digest,
            routers,
            entries,
        })
    }

    pub(super) fn emit(&self, family: Family, out: &mut Writer) -> Result<u8, EmitError> {
        let mut lists = Lists::default();
        for entry in &self.entries {
            lists.add(entry);
        }
        if !lists.fit() || self.routers.len() > ROUTERS_MAX {
            return Err(EmitError::TooLong);
        }
        let (kind, base, first, last) = match self.kind {
            Kind::Full { first, last } => (KIND_FULL, Version::default(), first, last),
            Kind::Difference { base } => (KIND_DIFFERENCE, base, Condition::Rest, Condition::Rest),
        };
        out.u8(kind)
            .u8(mode_octet(self.mode))
            .u8(count_of(&self.routers)?)
            .u8(count_of(&lists.nodes)?)
            .u8(count_of(&lists.moves)?)
            .octets(&[0; 3])
            .version(base)
            .u32(self.entries_total)
            .u64(self.digest)
            .condition(first, family)
            .condition(last, family);
        for record in &self.routers {
            out.router(record.router)
                .u8(state_octet(record.state))
                .u8(0)
                .u16(record.weight);
        }
        for node in &lists.nodes {
            out.address(*node);
        }
        for name in &lists.moves {
            out.version(name.version)
                .u16(name.batch)
                .u8(self.index_of(name.from)?)
                .u8(self.index_of(name.to)?);
        }
        for entry in &self.entries {
            let router = entry.router.map(|router| self.index_of(router));
            out.condition(entry.condition, family)
                .u8(router.transpose()?.unwrap_or(INDEX_NONE))
                .u8(position(&lists.moves, entry.unfinished.as_ref()))
                .u8(position(&lists.nodes, entry.node.as_ref()))
                .u8(entry.seen as u8)
                .u16(entry.seen_ago_s)
                .u32(entry.rate_kbit_per_s);
        }
        count_of(&self.entries)
    }

    fn index_of(&self, router: RouterId) -> Result<u8, EmitError> {
        self.routers
            .iter()
            .zip(0..)
            .find_map(|(record, index)| (record.router == router).then_some(index))
            .ok_or(EmitError::UnlistedRouter(router))
    }

    /// The entries of a full table are shared out, and so is the range it covers.
    pub(super) fn split(mut self, family: Family, limit: usize) -> Vec<Allocation> {
        self.entries.sort_unstable_by_key(|entry| entry.condition);
        let entries = std::mem::take(&mut self.entries);
        let address_len = family.address_len();
        let base_len = FIXED_LEN + 2 * address_len + self.routers.len() * ROUTER_LEN;

        let mut parts: Vec<Vec<Entry>> = vec![Vec::new()];
        let mut lists = Lists::default();
        let mut len = base_len;
        for entry in entries {
            let grown = |(nodes, moves): (usize, usize)| {
                ENTRY_LEN + address_len + nodes * address_len + moves * MOVE_LEN
            };
            let mut added = grown(lists.add(&entry));
            let full = parts
                .last()
                .is_some_and(|part| part.len() == usize::from(u8::MAX));
            if full || len + added > limit || !lists.fit() {
                parts.push(Vec::new());
                lists = Lists::default();
                added = grown(lists.add(&entry));
                len = base_len;
            }
            len += added;
            if let Some(part) = parts.last_mut() {
                part.push(entry);
            }
        }

        let starts: Vec<Option<Condition>> = parts
            .iter()
            .map(|part| part.first().map(|entry| entry.condition))
            .collect();
        let mut fragments = Vec::with_capacity(parts.len());
        for (position, entries) in parts.into_iter().enumerate() {
            let kind = match self.kind {
                Kind::Full { first, last } => Kind::Full {
                    first: match starts.get(position) {
                        Some(Some(start)) if position > 0 => *start,
                        _ => first,
                    },
                    last: match starts.get(position + 1) {
                        Some(Some(start)) => start.before(),
                        _ => last,
                    },
                },
                difference @ Kind::Difference { .. } => difference,
            };
            fragments.push(Allocation {
                kind,
                entries,
                routers: self.routers.clone(),
                ..self
            });
        }
        fragments
    }
}

impl Kind {
    /// A full table of a family.
    #[must_use]
    pub const fn everything(family: Family) -> Kind {
        Kind::Full {
            first: Condition::Rest,
            last: Condition::last(family),
        }
    }
}

fn at<T: Copy>(list: &[T], index: u8) -> Result<T, Refusal> {
    list.get(usize::from(index)).copied().ok_or(Refusal::Value)
}

fn optional<T>(index: u8, at: impl Fn(u8) -> Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match index {
        INDEX_NONE => Ok(None),
        index => at(index).map(Some),
    }
}

/// The index of `element`, which is in `list` if it is anything.
fn position<T: PartialEq>(list: &[T], element: Option<&T>) -> u8 {
    list.iter()
        .zip(0..INDEX_NONE)
        .find_map(|(of_list, index)| (Some(of_list) == element).then_some(index))
        .unwrap_or(INDEX_NONE)
}
