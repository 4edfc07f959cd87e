//! What the router shows: one file a subject, each a plain structure that the control thread fills, with a table for
//! people (testpmd's layout where testpmd has one) and, by serde, a JSON object for programs. Where the figures come from
//! is not known here.
//!
//! The names of the JSON fields are stable and written in snake case; `docs/operation.md` lists them. Lists that can grow
//! without end are cut at [`ROWS_MAX`] rows and say how many there are.

mod allocation;
mod backlog;
mod config;
mod counters;
mod done;
mod end_systems;
mod flow_rates;
mod fwd_stats;
mod lcores;
mod mempool;
mod moves;
mod neighbours;
mod port_info;
mod port_stats;
mod port_xstats;
mod route;
mod routers;
mod table;
mod vrrp;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use allocation::{Allocated, Allocation, GroupAllocation};
pub use backlog::{Backlog, OnHold, Unresolved, Waiting, WorkerBacklog};
pub use config::ConfigInForce;
pub use counters::{CounterGroup, Counters};
pub use done::Done;
pub use end_systems::{EndSystem, EndSystems, GroupEndSystems};
pub use flow_rates::{
    ConditionFlow, FlowRates, GroupFlowRates, LastReview, RouterFlow, Thresholds,
};
pub use fwd_stats::{FwdCounters, FwdStats, PortFwd};
pub use lcores::{Control, Lcores, Worker};
pub use mempool::{Mempool, Pool};
pub use moves::{GroupMoves, Move, Moves};
pub use neighbours::{Neighbour, NeighbourState, Neighbours};
pub use port_info::{LinkInfo, PortDetails, PortInfo};
pub use port_stats::{PortCounters, PortStats, RateMeter, Rates};
pub use port_xstats::{ExtendedCounters, PortXstats};
pub use route::{Leads, Route, RouteEntry};
pub use routers::{GroupRouter, GroupRouters, Installed, Routers};
pub use vrrp::{VirtualRouter, VirtualRouterTrack, VirtualRouterTransition, Vrrp};

/// The most rows of a list that one answer shows, so that an answer keeps the control thread only for a moment.
pub const ROWS_MAX: usize = 4096;

/// An answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub enum Answer {
    Done(Done),
    PortInfo(PortInfo),
    PortStats(PortStats),
    PortXstats(PortXstats),
    FwdStats(FwdStats),
    Lcores(Lcores),
    Counters(Counters),
    Route(Route),
    Neighbours(Neighbours),
    Vrrp(Vrrp),
    Routers(Routers),
    Allocation(Allocation),
    Moves(Moves),
    EndSystems(EndSystems),
    FlowRates(FlowRates),
    Backlog(Backlog),
    Mempool(Mempool),
    Config(ConfigInForce),
}

impl Answer {
    /// For people: lines, each with its end.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Done(shown) => shown.table(),
            Self::PortInfo(shown) => shown.table(),
            Self::PortStats(shown) => shown.table(),
            Self::PortXstats(shown) => shown.table(),
            Self::FwdStats(shown) => shown.table(),
            Self::Lcores(shown) => shown.table(),
            Self::Counters(shown) => shown.table(),
            Self::Route(shown) => shown.table(),
            Self::Neighbours(shown) => shown.table(),
            Self::Vrrp(shown) => shown.table(),
            Self::Routers(shown) => shown.table(),
            Self::Allocation(shown) => shown.table(),
            Self::Moves(shown) => shown.table(),
            Self::EndSystems(shown) => shown.table(),
            Self::FlowRates(shown) => shown.table(),
            Self::Backlog(shown) => shown.table(),
            Self::Mempool(shown) => shown.table(),
            Self::Config(shown) => shown.table(),
        }
    }

    /// For programs: one object, on one line without its end.
    ///
    /// # Errors
    /// A value that JSON cannot say; none of the answers has one.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// `rows` cut at [`ROWS_MAX`], and how many there were.
fn cut<T>(rows: impl IntoIterator<Item = T>) -> (usize, Vec<T>) {
    let mut rows = rows.into_iter();
    let shown: Vec<T> = rows.by_ref().take(ROWS_MAX).collect();
    (shown.len() + rows.count(), shown)
}

/// The line below a table that was cut.
fn cut_notice(shown: usize, total: usize) -> String {
    if shown == total {
        return String::new();
    }
    format!("{shown} of {total} shown\n")
}
