//! What a router answers at one time, as far as the live view shows it.

use std::net::Ipv4Addr;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::request::{Ask, AskError, Form};

/// What a router answers to each of these commands. More fields may be there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Groups<T> {
    pub(super) groups: Vec<T>,
}

/// All that is shown of a router.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) members: Vec<Members>,
    pub(super) flows: Vec<Flows>,
    pub(super) moves: Vec<Moves>,
    pub(super) allocations: Vec<Allocated>,
}

/// `show routers`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Members {
    pub(super) port: String,
    pub(super) vrid: u8,
    pub(super) mode: String,
    pub(super) authority: Option<Ipv4Addr>,
    pub(super) routers: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Member {
    pub(super) router_id: Ipv4Addr,
    pub(super) is_this: bool,
    pub(super) state: String,
    pub(super) master: bool,
    pub(super) weight: u16,
    pub(super) conditions: usize,
}

/// `show flow-rates`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Flows {
    pub(super) port: String,
    pub(super) vrid: u8,
    pub(super) window_ms: f64,
    pub(super) routers: Vec<RouterFlow>,
    pub(super) last_review: Option<Review>,
    pub(super) conditions: Vec<ConditionFlow>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct RouterFlow {
    pub(super) router_id: Ipv4Addr,
    pub(super) is_this: bool,
    pub(super) bit_s: Option<u64>,
    pub(super) overflows_s: Option<f64>,
    pub(super) conditions_bit_s: u64,
    pub(super) weight_percent: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Review {
    pub(super) ms_ago: f64,
    pub(super) verdict: String,
    pub(super) max_over_mean: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct ConditionFlow {
    pub(super) condition: String,
    pub(super) router: Ipv4Addr,
    pub(super) bit_s: u64,
    pub(super) known_bit_s: u64,
}

/// `show moves`: how many are under way.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Moves {
    pub(super) port: String,
    pub(super) vrid: u8,
    pub(super) total: usize,
}

/// `show allocation`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Allocated {
    pub(super) port: String,
    pub(super) vrid: u8,
    pub(super) conditions: Vec<Placed>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Placed {
    pub(super) condition: String,
    pub(super) router: Ipv4Addr,
}

impl Sample {
    /// Asks a router for everything.
    ///
    /// # Errors
    /// The first question without an answer, or with one that is not understood.
    pub(super) fn take(router: &impl Ask) -> Result<Self, AskError> {
        Ok(Self {
            members: ask(router, "show routers")?,
            flows: ask(router, "show flow-rates")?,
            moves: ask(router, "show moves")?,
            allocations: ask(router, "show allocation")?,
        })
    }
}

fn ask<T: DeserializeOwned>(router: &impl Ask, line: &str) -> Result<Vec<T>, AskError> {
    let answer = router.ask(line, Form::Json)?;
    serde_json::from_str(&answer)
        .map(|Groups { groups }| groups)
        .map_err(|error| {
            AskError::Unreachable(format!("the answer to `{line}` is not understood: {error}"))
        })
}
