//! `show allocation`: which router is in charge of which end system.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::routers::Installed;
use super::table::{Table, or_hyphen};
use super::{cut, cut_notice};

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Allocation {
    /// The groups that share their load, by port and VRID.
    pub groups: Vec<GroupAllocation>,
}

/// One group's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupAllocation {
    port: String,
    vrid: u8,
    #[serde(flatten)]
    installed: Installed,
    total: usize,
    conditions: Vec<Allocated>,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allocated {
    /// The end system's address, or `rest`.
    pub condition: String,
    /// The router in charge.
    pub router: Ipv4Addr,
    /// The router that hands it over, while a move is unfinished.
    pub from: Option<Ipv4Addr>,
    /// What this router does with its packets: `route`, `discard` or `hold`.
    pub verdict: &'static str,
}

impl GroupAllocation {
    /// Of one group, with as many of its conditions as one answer shows.
    pub fn new(
        port: String,
        vrid: u8,
        installed: Installed,
        conditions: impl IntoIterator<Item = Allocated>,
    ) -> Self {
        let (total, conditions) = cut(conditions);
        Self {
            port,
            vrid,
            installed,
            total,
            conditions,
        }
    }
}

impl Allocation {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["port", "vrid", "condition", "router", "from", "here"]);
        let mut notices = String::new();
        for group in &self.groups {
            for allocated in &group.conditions {
                table.row(&[
                    &group.port,
                    &group.vrid,
                    &allocated.condition,
                    &allocated.router,
                    &or_hyphen(allocated.from),
                    &allocated.verdict,
                ]);
            }
            notices += &cut_notice(group.conditions.len(), group.total);
        }
        format!("{table}{notices}")
    }
}
