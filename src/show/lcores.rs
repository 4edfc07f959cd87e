//! `show lcores`: what each thread that is pinned to a processor does.

use serde::Serialize;

use super::table::{Table, or_hyphen};

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lcores {
    /// The control thread.
    pub control: Control,
    /// The workers.
    pub workers: Vec<Worker>,
}

/// The control thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// The processor that it is pinned to, if it is.
    pub cpu: Option<usize>,
}

/// One worker; what it counted is since the start or since counters were cleared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worker {
    /// Its number, from 0, which is that of its queue of each port, too.
    pub number: u16,
    /// The processor that it is pinned to, if it is.
    pub cpu: Option<usize>,
    /// Whether it forwards.
    pub forwarding: bool,
    /// Packets taken from its receive queues.
    pub rx_packets: u64,
    /// Packets given to its transmit queues.
    pub tx_packets: u64,
    /// Rounds that moved a packet.
    pub busy_rounds: u64,
    /// Rounds that found nothing to do.
    pub idle_rounds: u64,
    /// Packets that it holds back now.
    pub backlog_packets: u64,
}

impl Lcores {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&[
            "lcore",
            "cpu",
            "state",
            "rx-packets",
            "tx-packets",
            "busy-rounds",
            "idle-rounds",
            "busy-%",
            "backlog",
        ]);
        for worker in &self.workers {
            let state = if worker.forwarding {
                "forwarding"
            } else {
                "stopped"
            };
            let rounds = worker.busy_rounds.saturating_add(worker.idle_rounds);
            let busy = worker.busy_rounds.saturating_mul(100).checked_div(rounds);
            table.row(&[
                &format!("worker {}", worker.number),
                &or_hyphen(worker.cpu),
                &state,
                &worker.rx_packets,
                &worker.tx_packets,
                &worker.busy_rounds,
                &worker.idle_rounds,
                &or_hyphen(busy),
                &worker.backlog_packets,
            ]);
        }
        format!(
            "{table}control thread: cpu {}\n",
            or_hyphen(self.control.cpu)
        )
    }
}
