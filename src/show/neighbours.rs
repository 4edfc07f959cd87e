//! `show neighbours`: who has which link address, and how well that is known.

use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use serde::{Serialize, Serializer};

use super::table::{Table, or_hyphen};
use super::{cut, cut_notice};

/// The answer. In JSON it has the number of all neighbours, and as many of them as one answer shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbours {
    total: usize,
    packets_waiting: u64,
    neighbours: Vec<Neighbour>,
}

/// One neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// The name of the port.
    pub port: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its link address, if known.
    #[serde(serialize_with = "mac")]
    pub mac: Option<MacAddr>,
    /// How well it is known.
    pub state: NeighbourState,
}

/// How well a neighbour is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighbourState {
    /// It was asked for and has not answered yet.
    Incomplete,
    /// It is there.
    Reachable,
    /// It is being asked whether it is still there.
    Probe,
    /// Nobody answered for it.
    Failed,
}

impl NeighbourState {
    const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Probe => "probe",
            Self::Failed => "failed",
        }
    }
}

fn mac<S: Serializer>(mac: &Option<MacAddr>, serializer: S) -> Result<S::Ok, S::Error> {
    match mac {
        Some(mac) => serializer.collect_str(mac),
        None => serializer.serialize_none(),
    }
}

impl Neighbours {
    /// Of these neighbours, for whose link addresses so many packets wait.
    pub fn new(packets_waiting: u64, neighbours: impl IntoIterator<Item = Neighbour>) -> Self {
        let (total, mut neighbours) = cut(neighbours);
        neighbours.sort_by(|a, b| (&a.port, a.address).cmp(&(&b.port, b.address)));
        Self {
            total,
            packets_waiting,
            neighbours,
        }
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["port", "address", "mac", "state"]);
        for neighbour in &self.neighbours {
            table.row(&[
                &neighbour.port,
                &neighbour.address,
                &or_hyphen(neighbour.mac),
                &neighbour.state.name(),
            ]);
        }
        format!(
            "{table}{}packets waiting for a neighbour: {}\n",
            cut_notice(self.neighbours.len(), self.total),
            self.packets_waiting
        )
    }
}
