//! `show backlog`: the packets that workers hold back.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::table::Table;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Each worker's.
    pub workers: Vec<WorkerBacklog>,
}

/// What one worker holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerBacklog {
    /// The worker's number.
    pub number: u16,
    /// Packets at most.
    pub limit: u64,
    /// Packets discarded because it was full.
    pub overflowed: u64,
    /// Packets on hold.
    pub on_hold: Vec<OnHold>,
    /// Packets that wait for a port to take them.
    pub waiting: Vec<Waiting>,
    /// Packets that wait for the link address of their next hop.
    pub unresolved: Vec<Unresolved>,
}

/// Packets of one condition on hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnHold {
    /// The condition: an end system's address, or `rest`.
    pub condition: String,
    /// How many.
    pub packets: u64,
}

/// Packets that wait for one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The port's name.
    pub port: String,
    /// How many.
    pub packets: u64,
}

/// Packets that wait for one neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unresolved {
    /// The name of the port on whose network it is.
    pub port: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// How many.
    pub packets: u64,
}

impl Backlog {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["lcore", "why", "packets", "limit", "overflowed"]);
        for worker in &self.workers {
            let name = format!("worker {}", worker.number);
            let on_hold = worker
                .on_hold
                .iter()
                .map(|held| (format!("{} on hold", held.condition), held.packets));
            let waiting = worker
                .waiting
                .iter()
                .map(|waiting| (format!("waiting for {}", waiting.port), waiting.packets));
            let unresolved = worker.unresolved.iter().map(|unresolved| {
                let Unresolved { port, address, .. } = unresolved;
                (format!("{address} ({port}) unresolved"), unresolved.packets)
            });
            let parts: Vec<_> = on_hold.chain(waiting).chain(unresolved).collect();
            let all: u64 = parts.iter().map(|(_, packets)| packets).sum();
            table.row(&[&name, &"all", &all, &worker.limit, &worker.overflowed]);
            for (why, packets) in parts {
                table.row(&[&name, &why, &packets, &"-", &"-"]);
            }
        }
        table.to_string()
    }
}
