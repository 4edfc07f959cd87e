//! `show end-systems`: which end systems are known, behind what they are, and how they were seen.

use serde::Serialize;

use super::table::{Table, or_hyphen};
use super::{cut, cut_notice};

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndSystems {
    /// The groups that share their load, by port and VRID.
    pub groups: Vec<GroupEndSystems>,
}

/// One group's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupEndSystems {
    port: String,
    vrid: u8,
    total: usize,
    end_systems: Vec<EndSystem>,
}

/// An end system.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndSystem {
    /// Its address.
    pub address: String,
    /// The further router behind which it is.
    pub behind: Option<String>,
    /// `configured`, `information-reply`, `neighbour`, `traffic`: how it was seen last.
    pub seen: &'static str,
    /// How long ago, if at all.
    pub seen_ms_ago: Option<f64>,
    /// Its average rate in kbit/s, as far as it has been asked for.
    pub rate_kbit_s: u32,
}

impl GroupEndSystems {
    /// Of one group, with as many of its end systems as one answer shows.
    pub fn new(port: String, vrid: u8, end_systems: impl IntoIterator<Item = EndSystem>) -> Self {
        let (total, end_systems) = cut(end_systems);
        Self {
            port,
            vrid,
            total,
            end_systems,
        }
    }
}

impl EndSystems {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&[
            "port", "vrid", "address", "behind", "seen", "s ago", "kbit/s",
        ]);
        let mut notices = String::new();
        for group in &self.groups {
            for system in &group.end_systems {
                let ago = system.seen_ms_ago.map(|ms| format!("{:.1}", ms / 1000.0));
                table.row(&[
                    &group.port,
                    &group.vrid,
                    &system.address,
                    &or_hyphen(system.behind.as_ref()),
                    &system.seen,
                    &or_hyphen(ago),
                    &system.rate_kbit_s,
                ]);
            }
            notices += &cut_notice(group.end_systems.len(), group.total);
        }
        format!("{table}{notices}")
    }
}
