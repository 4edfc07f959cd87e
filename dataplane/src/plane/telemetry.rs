//! What the data plane tells on DPDK's telemetry socket, under `/manifold/`: the workers' counters since the start,
//! whatever the console cleared.

use std::sync::Arc;

use super::PortHandle;
use crate::counters::{DiscardReason, PortCounts, PuntCause, WorkerCounts};
use crate::dpdk::{Dictionary, Eal, Errno, Telemetry, Value};
use crate::shared::Shared;

/// What answers are made from.
#[derive(Clone, Debug)]
struct Told {
    workers: Arc<[Arc<Shared>]>,
    /// The names of the ports, by index.
    ports: Arc<[String]>,
}

/// Answers the commands until the returned value is dropped.
pub(super) fn tell<'a>(
    eal: &Eal,
    ports: impl Iterator<Item = &'a PortHandle>,
    workers: &[Arc<Shared>],
) -> Result<Telemetry, Errno> {
    let told = Told {
        workers: workers.into(),
        ports: ports.map(|port| port.name.clone()).collect(),
    };
    let mut telemetry = Telemetry::default();
    let mut answer = |command: &str, help: &str, answer: fn(&Told, &str) -> Option<Dictionary>| {
        let told = told.clone();
        telemetry.answer(eal, command, help, move |parameters| {
            answer(&told, parameters)
        })
    };
    answer(
        "/manifold/ports",
        "Returns the number and name of each port. Takes no parameters",
        |told, _| {
            let ports = told.ports.iter().enumerate();
            Some(
                ports
                    .map(|(port, name)| (port.to_string(), Value::Text(name.clone())))
                    .collect(),
            )
        },
    )?;
    answer(
        "/manifold/port",
        "Returns what workers received on a port and sent to it. Parameters: int port_number",
        |told, port| {
            let port: usize = port.parse().ok()?;
            let name = told.ports.get(port)?.clone();
            let mut answer = vec![("name".to_owned(), Value::Text(name))];
            answer.extend(of_port(told.total().ports.get(port)?));
            Some(answer)
        },
    )?;
    answer(
        "/manifold/worker",
        "Returns what workers did beside. Parameters: int worker_number (optional)",
        |told, worker| Some(of_worker(&told.counts(worker)?)),
    )?;
    answer(
        "/manifold/discards",
        "Returns frames discarded by reason. Parameters: int worker_number (optional)",
        |told, worker| {
            let counts = told.counts(worker)?;
            let reasons = DiscardReason::ALL.iter();
            Some(dictionary(
                reasons.map(|&reason| (reason.name(), counts.discarded(reason))),
            ))
        },
    )?;
    answer(
        "/manifold/punts",
        "Returns frames given to the control thread by cause. Parameters: int worker_number (optional)",
        |told, worker| {
            let counts = told.counts(worker)?;
            let causes = PuntCause::ALL.iter();
            Some(dictionary(
                causes.map(|&cause| (cause.name(), counts.punted(cause))),
            ))
        },
    )?;
    Ok(telemetry)
}

impl Told {
    fn total(&self) -> WorkerCounts {
        let zero = WorkerCounts::zero(self.ports.len());
        let counts = self.workers.iter().map(|worker| worker.counters.snapshot());
        counts.fold(zero, |sum, counts| sum.plus(&counts))
    }

    /// Those of one worker, or without a number all added up.
    fn counts(&self, worker: &str) -> Option<WorkerCounts> {
        if worker.is_empty() {
            return Some(self.total());
        }
        let worker: usize = worker.parse().ok()?;
        Some(self.workers.get(worker)?.counters.snapshot())
    }
}

fn of_port(counts: &PortCounts) -> Dictionary {
    dictionary(
        [
            ("rx_packets", counts.rx_packets),
            ("rx_octets", counts.rx_octets),
            ("tx_packets", counts.tx_packets),
            ("tx_octets", counts.tx_octets),
            ("congested", counts.congested),
            ("backlog", counts.backlog),
        ]
        .into_iter(),
    )
}

fn of_worker(counts: &WorkerCounts) -> Dictionary {
    dictionary(
        [
            ("busy_rounds", counts.busy_rounds),
            ("idle_rounds", counts.idle_rounds),
            ("control_frames", counts.control_frames),
            ("record_overflow", counts.record_overflow),
            ("learn_overflow", counts.learn_overflow),
            ("parked", counts.parked),
            ("held", counts.held),
            ("unresolved", counts.unresolved),
        ]
        .into_iter(),
    )
}

/// With names as DPDK takes them.
fn dictionary(counts: impl Iterator<Item = (&'static str, u64)>) -> Dictionary {
    counts
        .map(|(name, count)| (name.replace('-', "_"), Value::Count(count)))
        .collect()
}
