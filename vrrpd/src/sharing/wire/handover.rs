//! The bodies of type 4, the confirmation with which N fences P off, and of type 5, P's answer. What P and N do with them is
//! not here.

use std::net::IpAddr;

use super::octets::{Reader, Writer};
use super::response::FragmentRange;
use super::{EmitError, count_of, flag, mode_octet, mode_of};
use crate::Family;
use crate::sharing::names::{Condition, Fingerprint, Mode, MoveName, Version};
use crate::sharing::refusal::Refusal;

/// N holds: P shall stop, and say what it has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Which move.
    pub name: MoveName,
    /// How.
    pub mode: Mode,
    /// The fragments of the answer that N still needs; all, if empty.
    pub missing: Vec<FragmentRange>,
}

/// What P has to say about a move that N has fenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which move.
    pub name: MoveName,
    /// How.
    pub mode: Mode,
    /// Whether P has stopped.
    pub status: AnswerStatus,
    /// What P has accepted, for each condition that it accepted anything of. Without content in timer mode.
    pub accepted: Vec<Accepted>,
}

/// Whether P has stopped routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerStatus {
    /// It has, and this is all it ever accepted.
    Withdrawn,
    /// It has not; N may ask again.
    StillRouting,
    /// It has not, and will not: N shall stand down.
    Kept,
}

/// What P has accepted of a condition since it was ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which packets.
    pub condition: Condition,
    /// Whether there were more than are listed, because a ring overflowed.
    pub overflowed: bool,
    /// The first TCP packet that P did not accept.
    pub first_unrouted: Option<TcpMark>,
    /// The packets, oldest first for each of P's workers.
    pub fingerprints: Vec<Fingerprint>,
}

/// What tells a TCP packet from others of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpMark {
    /// The IP source address.
    pub src: IpAddr,
    /// The IP destination address.
    pub dst: IpAddr,
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// The sequence number.
    pub sequence_number: u32,
}

const STATUSES: [AnswerStatus; 3] = [
    AnswerStatus::Withdrawn,
    AnswerStatus::StillRouting,
    AnswerStatus::Kept,
];

const FLAG_OVERFLOWED: u8 = 0x01;
const FLAG_FIRST_UNROUTED: u8 = 0x02;

/// Octets of an answer without what was accepted.
const ANSWER_LEN: usize = 12;
/// Octets of what was accepted of a condition, without the condition, a mark and fingerprints.
const ACCEPTED_LEN: usize = 4;
/// Octets of a mark without addresses.
const MARK_LEN: usize = 8;
const FINGERPRINT_LEN: usize = 8;

fn parse_name(version: Version, body: &mut Reader<'_>) -> Result<MoveName, Refusal> {
    let name = MoveName {
        version,
        from: body.router()?,
        to: body.router()?,
        batch: body.u16()?,
    };
    if name.from == name.to {
        return Err(Refusal::Move);
    }
    Ok(name)
}

fn emit_name(name: &MoveName, out: &mut Writer) {
    out.router(name.from).router(name.to).u16(name.batch);
}

impl Confirmation {
    pub(super) fn parse(
        version: Version,
        count: u8,
        body: &mut Reader<'_>,
    ) -> Result<Confirmation, Refusal> {
        let name = parse_name(version, body)?;
        let mode = mode_of(body.u8()?)?;
        let [_] = body.take()?;
        Ok(Confirmation {
            name,
            mode,
            missing: body.list(count, FragmentRange::parse)?,
        })
    }

    pub(super) fn emit(&self, out: &mut Writer) -> Result<u8, EmitError> {
        emit_name(&self.name, out);
        out.u8(mode_octet(self.mode)).u8(0);
        for range in &self.missing {
            range.emit(out);
        }
        count_of(&self.missing)
    }
}

impl Answer {
    pub(super) fn parse(
        family: Family,
        version: Version,
        count: u8,
        body: &mut Reader<'_>,
    ) -> Result<Answer, Refusal> {
        let name = parse_name(version, body)?;
        let mode = mode_of(body.u8()?)?;
        let status = body.u8()?;
        Ok(Answer {
            name,
            mode,
            status: *STATUSES
                .get(usize::from(status).wrapping_sub(1))
                .ok_or(Refusal::Value)?,
            accepted: body.list(count, |body| Accepted::parse(family, body))?,
        })
    }

    pub(super) fn emit(&self, family: Family, out: &mut Writer) -> Result<u8, EmitError> {
        emit_name(&self.name, out);
        out.u8(mode_octet(self.mode)).u8(self.status as u8 + 1);
        for accepted in &self.accepted {
            accepted.emit(family, out)?;
        }
        count_of(&self.accepted)
    }

    /// A condition's fingerprints may go on in the next fragment; its mark stands in each.
    pub(super) fn split(mut self, family: Family, limit: usize) -> Vec<Answer> {
        let all = std::mem::take(&mut self.accepted);
        let mut fragments = Vec::new();
        let mut fragment = self.clone();
        let mut len = ANSWER_LEN;
        for accepted in all {
            let base_len = ACCEPTED_LEN
                + family.address_len()
                + accepted
                    .first_unrouted
                    .map_or(0, |_| MARK_LEN + 2 * family.address_len());
            let mut fingerprints = accepted.fingerprints.iter().copied().peekable();
            // At least once: without fingerprints there may still be a mark.
            loop {
                if len + base_len + FINGERPRINT_LEN > limit
                    || fragment.accepted.len() == usize::from(u8::MAX)
                {
                    fragments.push(std::mem::replace(&mut fragment, self.clone()));
                    len = ANSWER_LEN;
                }
                let room = (limit - len - base_len) / FINGERPRINT_LEN;
                let part: Vec<_> = fingerprints.by_ref().take(room).collect();
                len += base_len + part.len() * FINGERPRINT_LEN;
                fragment.accepted.push(Accepted {
                    fingerprints: part,
                    ..accepted
                });
                if fingerprints.peek().is_none() {
                    break;
                }
            }
        }
        fragments.push(fragment);
        fragments
    }
}

impl Accepted {
    fn parse(family: Family, body: &mut Reader<'_>) -> Result<Accepted, Refusal> {
        let condition = body.condition(family)?;
        let flags = body.u8()?;
        let [_] = body.take()?;
        let fingerprint_count = body.u16()?;
        let first_unrouted = if flags & FLAG_FIRST_UNROUTED != 0 {
            Some(TcpMark {
                src: body.address(family)?,
                dst: body.address(family)?,
                src_port: body.u16()?,
                dst_port: body.u16()?,
                sequence_number: body.u32()?,
            })
        } else {
            None
        };
        Ok(Accepted {
            condition,
            overflowed: flags & FLAG_OVERFLOWED != 0,
            first_unrouted,
            fingerprints: body.list(fingerprint_count, |body| body.u64().map(Fingerprint))?,
        })
    }

    fn emit(&self, family: Family, out: &mut Writer) -> Result<(), EmitError> {
        let flags = flag(self.overflowed, FLAG_OVERFLOWED)
            | flag(self.first_unrouted.is_some(), FLAG_FIRST_UNROUTED);
        let fingerprint_count =
            u16::try_from(self.fingerprints.len()).map_err(|_| EmitError::TooLong)?;
        out.condition(self.condition, family)
            .u8(flags)
            .u8(0)
            .u16(fingerprint_count);
        if let Some(mark) = &self.first_unrouted {
            out.address(mark.src)
                .address(mark.dst)
                .u16(mark.src_port)
                .u16(mark.dst_port)
                .u32(mark.sequence_number);
        }
        for fingerprint in &self.fingerprints {
            out.u64(fingerprint.0);
        }
        Ok(())
    }
}
