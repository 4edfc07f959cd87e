//! `show backlog`: the packets that workers hold back.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::table::{Table, or_hyphen};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Each worker's.
    pub workers: Vec<WorkerBacklog>,
}

/// What one worker holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerBacklog {
    /// Its number.
    pub worker: u16,
    /// Packets now.
    pub packets: u64,
    /// Packets at most.
    pub limit: u64,
    /// Packets discarded, because it was full.
    pub overflowed: u64,
    /// The packets by what they wait for.
    pub held: Vec<Held>,
}

/// Packets that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The address on hold; absent for packets that wait for their port to take them.
    pub address: Option<Ipv4Addr>,
    /// The name of the port that they leave by, once that is decided.
    pub port: Option<String>,
    /// How many.
    pub packets: u64,
}

impl Backlog {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&[
            "lcore",
            "waiting for",
            "port",
            "packets",
            "limit",
            "overflowed",
        ]);
        for worker in &self.workers {
            let name = format!("worker {}", worker.worker);
            table.row(&[
                &name,
                &"all",
                &"-",
                &worker.packets,
                &worker.limit,
                &worker.overflowed,
            ]);
            for held in &worker.held {
                let reason = held
                    .address
                    .map_or_else(|| "transmit queue".to_owned(), |held| held.to_string());
                let port = or_hyphen(held.port.as_ref());
                table.row(&[&name, &reason, &port, &held.packets, &"-", &"-"]);
            }
        }
        table.to_string()
    }
}
