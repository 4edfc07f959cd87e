//! What is shown of counters, workers and packet buffers.

use dataplane::counters::{DiscardReason, PuntCause, WorkerCounts};

use super::Sources;
use crate::ctl::SocketCounters;
use crate::show::{Control, Counters, Lcores, Mempool, Pool, Worker};

pub(super) fn counters(sources: &Sources<'_>, socket: &SocketCounters) -> Counters {
    let total = sources.road.dataplane.counters().total();
    let mut shown = Counters::default();
    of_workers(&total, &mut shown);
    shown.group("host", sources.router.host().counters().iter());
    shown.group("control", sources.road.counters());
    shown.group("socket", socket.iter());
    shown
}

fn of_workers(total: &WorkerCounts, shown: &mut Counters) {
    let sum = |count: fn(&dataplane::counters::PortCounts) -> u64| {
        total.ports.iter().map(count).fold(0, u64::wrapping_add)
    };
    shown.group(
        "workers",
        [
            ("rx-packets", sum(|port| port.rx_packets)),
            ("rx-octets", sum(|port| port.rx_octets)),
            ("tx-packets", sum(|port| port.tx_packets)),
            ("tx-octets", sum(|port| port.tx_octets)),
            ("congested", sum(|port| port.congested)),
            ("parked", total.parked),
            ("control-frames", total.control_frames),
            ("record-overflow", total.record_overflow),
            ("learn-overflow", total.learn_overflow),
        ],
    );
    shown.group(
        "discards",
        DiscardReason::ALL
            .iter()
            .map(|reason| (reason, total.discarded(*reason))),
    );
    shown.group(
        "punts",
        PuntCause::ALL
            .iter()
            .map(|cause| (cause, total.punted(*cause))),
    );
}

pub(super) fn lcores(sources: &Sources<'_>) -> Lcores {
    let config = &sources.config.workers;
    let forwarding = sources.road.dataplane.is_forwarding();
    let counters = sources.road.dataplane.counters();
    let workers = (0..).zip(&counters.workers).map(|(number, counts)| Worker {
        number,
        cpu: config.cpus.get(usize::from(number)).map(|cpu| cpu.value),
        forwarding,
        rx_packets: counts.ports.iter().map(|port| port.rx_packets).sum(),
        tx_packets: counts.ports.iter().map(|port| port.tx_packets).sum(),
        busy_rounds: counts.busy_rounds,
        idle_rounds: counts.idle_rounds,
        backlog_packets: counts.held
            + counts.unresolved
            + counts.ports.iter().map(|port| port.backlog).sum::<u64>(),
    });
    Lcores {
        control: Control {
            cpu: config.control_cpu.as_ref().map(|cpu| cpu.value),
        },
        workers: workers.collect(),
    }
}

pub(super) fn mempool(sources: &Sources<'_>) -> Mempool {
    let pool = sources.road.dataplane.mempool();
    Mempool {
        pools: vec![Pool {
            name: "mbufs".to_owned(),
            mbufs: pool.size,
            available: pool.size.saturating_sub(pool.in_use),
            in_use: pool.in_use,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::Answer;

    #[test]
    fn every_reason_and_cause_is_shown_by_its_name() {
        let mut shown = Counters::default();
        of_workers(&WorkerCounts::zero(2), &mut shown);
        let json = Answer::Counters(shown).json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for reason in DiscardReason::ALL {
            assert_eq!(json["discards"][reason.name()], 0);
        }
        for cause in PuntCause::ALL {
            assert_eq!(json["punts"][cause.name()], 0);
        }
        assert_eq!(json["workers"]["rx-packets"], 0);
    }
}
