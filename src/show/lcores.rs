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
    /// Rounds of its loop.
    pub rounds: u64,
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
    /// Rounds that found a packet.
    pub busy_polls: u64,
    /// Rounds that found none.
    pub idle_polls: u64,
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
            "busy-polls",
            "idle-polls",
            "busy-%",
            "backlog",
        ]);
        for worker in &self.workers {
            let state = if worker.forwarding {
                "forwarding"
            } else {
                "stopped"
            };
            let polls = worker.busy_polls.saturating_add(worker.idle_polls);
            let busy = worker.busy_polls.saturating_mul(100).checked_div(polls);
            table.row(&[
                &format!("worker {}", worker.number),
                &or_hyphen(worker.cpu),
                &state,
                &worker.rx_packets,
                &worker.tx_packets,
                &worker.busy_polls,
                &worker.idle_polls,
                &or_hyphen(busy),
                &worker.backlog_packets,
            ]);
        }
        let Control { cpu, rounds } = self.control;
        let cpu = or_hyphen(cpu);
        format!("{table}control: cpu {cpu}, {rounds} rounds\n")
    }
}
