//! The bodies of type 6, the request for a review, of type 7, the request for flow rates, and of type 8, the answer to
//! that.

use super::octets::{Reader, Writer};
use super::{EmitError, count_of};
use crate::Family;
use crate::sharing::names::Condition;
use crate::sharing::refusal::Refusal;

/// A router has more than it wants (A8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReviewRequest {
    /// Which threshold was passed.
    pub passed: Threshold,
    /// By what: bit/s, or overflows a second.
    pub figure: u64,
    /// The threshold, in the same unit.
    pub threshold: u64,
}

/// What a router watches about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threshold {
    /// What it routes.
    Rate,
    /// What its backlogs could not take.
    Overflows,
}

/// The routers shall report what they carry (A9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRequest {
    /// Names this collection among the requester's.
    pub request: u32,
}

/// What a router carries (A7). Every fragment has all of it but for `rates`, of which it has a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateResponse {
    /// The request that is answered.
    pub request: u32,
    /// The time that the figures are averaged over, in milliseconds.
    pub window_ms: u32,
    /// Everything it routes, in bit/s.
    pub total_bit_per_s: u64,
    /// Overflows of its backlogs in the window.
    pub overflows: u64,
    /// What it routes of each condition.
    pub rates: Vec<ConditionRate>,
}

/// The traffic of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConditionRate {
    /// Which packets.
    pub condition: Condition,
    /// How much of them, in bit/s.
    pub bit_per_s: u64,
}

const PASSED_RATE: u8 = 1;
const PASSED_OVERFLOWS: u8 = 2;

/// Octets of a response without rates.
const RESPONSE_LEN: usize = 24;
/// Octets of a rate without its condition.
const RATE_LEN: usize = 8;

/// Only a message without entries may have a count of 0, and only that.
const fn no_entries(count: u8) -> Result<(), Refusal> {
    match count {
        0 => Ok(()),
        _ => Err(Refusal::Count),
    }
}

impl ReviewRequest {
    pub(super) fn parse(count: u8, body: &mut Reader<'_>) -> Result<ReviewRequest, Refusal> {
        no_entries(count)?;
        let passed = match body.u8()? {
            PASSED_RATE => Threshold::Rate,
            PASSED_OVERFLOWS => Threshold::Overflows,
            _ => return Err(Refusal::Value),
        };
        let [_, _, _] = body.take()?;
        Ok(ReviewRequest {
            passed,
            figure: body.u64()?,
            threshold: body.u64()?,
        })
    }

    pub(super) fn emit(self, out: &mut Writer) -> u8 {
        let passed = match self.passed {
            Threshold::Rate => PASSED_RATE,
            Threshold::Overflows => PASSED_OVERFLOWS,
        };
        out.u8(passed)
            .octets(&[0; 3])
            .u64(self.figure)
            .u64(self.threshold);
        0
    }
}

impl RateRequest {
    pub(super) fn parse(count: u8, body: &mut Reader<'_>) -> Result<RateRequest, Refusal> {
        no_entries(count)?;
        Ok(RateRequest {
            request: body.u32()?,
        })
    }

    pub(super) fn emit(self, out: &mut Writer) -> u8 {
        out.u32(self.request);
        0
    }
}

impl RateResponse {
    pub(super) fn parse(
        family: Family,
        count: u8,
        body: &mut Reader<'_>,
    ) -> Result<RateResponse, Refusal> {
        Ok(RateResponse {
            request: body.u32()?,
            window_ms: body.u32()?,
            total_bit_per_s: body.u64()?,
            overflows: body.u64()?,
            rates: body.list(count, |body| {
                Ok(ConditionRate {
                    condition: body.condition(family)?,
                    bit_per_s: body.u64()?,
                })
            })?,
        })
    }

    pub(super) fn emit(&self, family: Family, out: &mut Writer) -> Result<u8, EmitError> {
        out.u32(self.request)
            .u32(self.window_ms)
            .u64(self.total_bit_per_s)
            .u64(self.overflows);
        for rate in &self.rates {
            out.condition(rate.condition, family).u64(rate.bit_per_s);
        }
        count_of(&self.rates)
    }

    pub(super) fn split(mut self, family: Family, limit: usize) -> Vec<RateResponse> {
        let rates = std::mem::take(&mut self.rates);
        if rates.is_empty() {
            return vec![self];
        }
        let room = limit.saturating_sub(RESPONSE_LEN) / (RATE_LEN + family.address_len());
        rates
            .chunks(room.clamp(1, usize::from(u8::MAX)))
            .map(|part| RateResponse {
                rates: part.to_vec(),
                ..self.clone()
            })
            .collect()
    }
}
