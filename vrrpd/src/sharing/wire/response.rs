//! The body of type 2, the advertisement response: how a router is, what it has installed, whom it hears, what it lacks, how far its
//! moves are.

use super::allocation::SEEN;
use super::octets::{Reader, Writer};
use super::{EmitError, ROUTERS_MAX, count_of, flag, mode_octet, mode_of};
use std::net::IpAddr;

use crate::Family;
use crate::sharing::names::{
    BootId, Condition, MemberState, Mode, MoveName, RouterId, Seen, Version,
};
use crate::sharing::refusal::Refusal;

/// A router's own state. Every fragment has all of it but for `missing`, `moves` and `sightings`, of which it has a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How the sender regards itself.
    pub state: MemberState,
    /// Whether the sender is VRRP master.
    pub master: bool,
    /// Whether the sender is the authority, and may issue an allocation at any time.
    pub authority: bool,
    /// Whether what it has installed is damaged or outdated beyond what fragments could mend, so that it needs a full table.
    pub wants_table: bool,
    /// Its share relative to the others'; 0 for none.
    pub weight: u16,
    /// The mode it is configured for, in force while it is master (A20).
    pub mode: Mode,
    /// Number of conditions in the table installed.
    pub entries: u32,
    /// Digest of that table.
    pub digest: u64,
    /// The newest allocation heard of.
    pub heard: Version,
    /// Key ids it accepts.
    pub keys: Vec<u8>,
    /// Whom it hears.
    pub acquaintances: Vec<Acquaintance>,
    /// Fragments of the allocation `heard` that it has not got.
    pub missing: Vec<FragmentRange>,
    /// Moves it has a part in.
    pub moves: Vec<MoveReport>,
    /// End systems that it has noticed and the table lacks.
    pub sightings: Vec<Sighting>,
}

/// An end system that was noticed by a router that does not allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its address.
    pub address: IpAddr,
    /// The further router behind which it is; `None` when it is on the link.
    pub node: Option<IpAddr>,
    /// How it was noticed.
    pub seen: Seen,
}

/// A router that the sender hears, believed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquaintance {
    /// Who.
    pub router: RouterId,
    /// Which life of it.
    pub boot: BootId,
    /// What that router has to echo to be believed.
    pub challenge: u32,
    /// Its challenge to the sender, returned; 0 if none was heard.
    pub echo: u32,
}

/// Consecutive fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// How far a move is at the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveReport {
    /// Which move.
    pub name: MoveName,
    /// How far.
    pub status: MoveStatus,
    /// The conditions it moves, or part of them. For an authority that never heard of the move.
    pub conditions: Vec<Condition>,
}

/// How far a move is. The first four are P's to say, the others N's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoveStatus {
    /// P: not every worker records yet.
    Preparing,
    /// P: every worker records.
    Ready,
    /// P: withdrawn, at the fence.
    Withdrawn,
    /// P: not withdrawn, and whatever fence comes for this move will be ignored.
    Kept,
    /// N: knows of it, and does not hold.
    Waiting,
    /// N: holds.
    Holding,
    /// N: routes.
    Finished,
    /// N: has let go of it without routing.
    StoodDown,
}

const MOVE_STATUSES: [MoveStatus; 8] = [
    MoveStatus::Preparing,
    MoveStatus::Ready,
    MoveStatus::Withdrawn,
    MoveStatus::Kept,
    MoveStatus::Waiting,
    MoveStatus::Holding,
    MoveStatus::Finished,
    MoveStatus::StoodDown,
];

const STATES: [MemberState; 6] = [
    MemberState::Working,
    MemberState::Suspended,
    MemberState::Draining,
    MemberState::Faulty,
    MemberState::SubstitutionServer,
    MemberState::SubstitutionServerFaulty,
];

const FLAG_MASTER: u8 = 0x01;
const FLAG_WANTS_TABLE: u8 = 0x02;
const FLAG_AUTHORITY: u8 = 0x04;

/// Octets of a response without lists.
const FIXED_LEN: usize = 34;
const ACQUAINTANCE_LEN: usize = 20;
const RANGE_LEN: usize = 4;
/// Octets of a move's report without its conditions.
const MOVE_LEN: usize = 24;

impl Response {
    pub(super) fn parse(
        family: Family,
        count: u8,
        body: &mut Reader<'_>,
    ) -> Result<Response, Refusal> {
        let state = state_of(body.u8()?)?;
        let flags = body.u8()?;
        let weight = body.u16()?;
        let mode = mode_of(body.u8()?)?;
        let key_count = body.u8()?;
        let missing_count = body.u8()?;
        let move_count = body.u8()?;
        let entries = body.u32()?;
        let digest = body.u64()?;
        let heard = body.version()?;
        let sighting_count = body.u16()?;
        if usize::from(count) > 2 * ROUTERS_MAX {
            return Err(Refusal::Count);
        }
        Ok(Response {
            state,
            master: flags & FLAG_MASTER != 0,
            authority: flags & FLAG_AUTHORITY != 0,
            wants_table: flags & FLAG_WANTS_TABLE != 0,
            weight,
            mode,
            entries,
            digest,
            heard,
            keys: body.list(key_count, Reader::u8)?,
            acquaintances: body.list(count, |body| {
                Ok(Acquaintance {
                    router: body.router()?,
                    boot: BootId(body.u64()?),
                    challenge: body.u32()?,
                    echo: body.u32()?,
                })
            })?,
            missing: body.list(missing_count, FragmentRange::parse)?,
            moves: body.list(move_count, |body| MoveReport::parse(family, body))?,
            sightings: body.list(sighting_count, |body| Sighting::parse(family, body))?,
        })
    }

    pub(super) fn emit(&self, family: Family, out: &mut Writer) -> Result<u8, EmitError> {
        let flags = flag(self.master, FLAG_MASTER)
            | flag(self.wants_table, FLAG_WANTS_TABLE)
            | flag(self.authority, FLAG_AUTHORITY);
        let sighting_count = u16::try_from(self.sightings.len()).map_err(|_| EmitError::TooLong)?;
        out.u8(state_octet(self.state))
            .u8(flags)
            .u16(self.weight)
            .u8(mode_octet(self.mode))
            .u8(count_of(&self.keys)?)
            .u8(count_of(&self.missing)?)
            .u8(count_of(&self.moves)?)
            .u32(self.entries)
            .u64(self.digest)
            .version(self.heard)
            .u16(sighting_count)
            .octets(&self.keys);
        for acquaintance in &self.acquaintances {
            out.router(acquaintance.router)
                .u64(acquaintance.boot.0)
                .u32(acquaintance.challenge)
                .u32(acquaintance.echo);
        }
        for range in &self.missing {
            range.emit(out);
        }
        for report in &self.moves {
            report.emit(family, out)?;
        }
        for sighting in &self.sightings {
            sighting.emit(family, out);
        }
        count_of(&self.acquaintances)
    }

    /// What does not fit in full is shortened: the lists of keys and acquaintances to what a group can have.
    pub(super) fn split(mut self, family: Family, limit: usize) -> Vec<Response> {
        self.keys.truncate(ROUTERS_MAX);
        // Each router can be known in two lives, but not all of them at once.
        self.acquaintances
            .truncate((limit * 2 / 3).saturating_sub(FIXED_LEN) / ACQUAINTANCE_LEN);
        let missing = std::mem::take(&mut self.missing);
        let moves = std::mem::take(&mut self.moves);
        let sightings = std::mem::take(&mut self.sightings);
        let base_len = FIXED_LEN + self.keys.len() + self.acquaintances.len() * ACQUAINTANCE_LEN;

        let mut fragments = Vec::new();
        let mut fragment = self.clone();
        let mut len = base_len;
        for range in missing {
            if len + RANGE_LEN > limit || fragment.missing.len() == usize::from(u8::MAX) {
                fragments.push(std::mem::replace(&mut fragment, self.clone()));
                len = base_len;
            }
            fragment.missing.push(range);
            len += RANGE_LEN;
        }
        let condition_len = family.address_len();
        for report in moves {
            let mut conditions = report.conditions.iter().copied().peekable();
            // At least once, for a move without conditions has something to report too.
            loop {
                if len + MOVE_LEN + condition_len > limit
                    || fragment.moves.len() == usize::from(u8::MAX)
                {
                    fragments.push(std::mem::replace(&mut fragment, self.clone()));
                    len = base_len;
                }
                let room = (limit - len - MOVE_LEN) / condition_len;
                let part: Vec<_> = conditions
                    .by_ref()
                    .take(room.min(usize::from(u8::MAX)))
                    .collect();
                len += MOVE_LEN + part.len() * condition_len;
                fragment.moves.push(MoveReport {
                    conditions: part,
                    ..report
                });
                if conditions.peek().is_none() {
                    break;
                }
            }
        }
        let sighting_len = 2 * condition_len + 1;
        for sighting in sightings {
            if len + sighting_len > limit {
                fragments.push(std::mem::replace(&mut fragment, self.clone()));
                len = base_len;
            }
            fragment.sightings.push(sighting);
            len += sighting_len;
        }
        fragments.push(fragment);
        fragments
    }
}

impl FragmentRange {
    /// The fragments that are not here, `here` saying so for each from 0.
    #[must_use]
    pub fn missing(here: impl IntoIterator<Item = bool>) -> Vec<FragmentRange> {
        let mut ranges: Vec<FragmentRange> = Vec::new();
        let missing = (0..=u16::MAX)
            .zip(here)
            .filter_map(|(number, here)| (!here).then_some(number));
        for number in missing {
            match ranges.last_mut() {
                Some(range) if range.last + 1 == number => range.last = number,
                _ => ranges.push(FragmentRange {
                    first: number,
                    last: number,
                }),
            }
        }
        ranges
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<FragmentRange, Refusal> {
        let range = FragmentRange {
            first: body.u16()?,
            last: body.u16()?,
        };
        if range.first > range.last {
            return Err(Refusal::Value);
        }
        Ok(range)
    }

    pub(super) fn emit(self, out: &mut Writer) {
        out.u16(self.first).u16(self.last);
    }
}

impl MoveReport {
    fn parse(family: Family, body: &mut Reader<'_>) -> Result<MoveReport, Refusal> {
        let name = MoveName {
            version: body.version()?,
            from: body.router()?,
            to: body.router()?,
            batch: body.u16()?,
        };
        let status = body.u8()?;
        let condition_count = body.u8()?;
        Ok(MoveReport {
            name,
            status: *MOVE_STATUSES
                .get(usize::from(status).wrapping_sub(1))
                .ok_or(Refusal::Value)?,
            conditions: body.list(condition_count, |body| body.condition(family))?,
        })
    }

    fn emit(&self, family: Family, out: &mut Writer) -> Result<(), EmitError> {
        out.version(self.name.version)
            .router(self.name.from)
            .router(self.name.to)
            .u16(self.name.batch)
            .u8(self.status as u8 + 1)
            .u8(count_of(&self.conditions)?);
        for condition in &self.conditions {
            out.condition(*condition, family);
        }
        Ok(())
    }
}

impl Sighting {
    fn parse(family: Family, body: &mut Reader<'_>) -> Result<Sighting, Refusal> {
        let address = body.address(family)?;
        let node = body.address(family)?;
        let seen = usize::from(body.u8()?);
        if address.is_unspecified() {
            return Err(Refusal::Value);
        }
        Ok(Sighting {
            address,
            node: (!node.is_unspecified()).then_some(node),
            seen: *SEEN.get(seen).ok_or(Refusal::Value)?,
        })
    }

    fn emit(&self, family: Family, out: &mut Writer) {
        let node = self.node.map_or(Condition::Rest, Condition::from);
        out.address(self.address)
            .condition(node, family)
            .u8(self.seen as u8);
    }
}

/// The octet of a state.
pub(super) const fn state_octet(state: MemberState) -> u8 {
    state as u8 + 1
}

/// The state of an octet.
pub(super) fn state_of(octet: u8) -> Result<MemberState, Refusal> {
    STATES
        .get(usize::from(octet).wrapping_sub(1))
        .copied()
        .ok_or(Refusal::Value)
}
