//! `show fwd stats all`: what the workers received and sent on each port.

use std::fmt::Display;
use std::iter::Sum;

use serde::Serialize;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FwdStats {
    ports: Vec<PortFwd>,
    total: FwdCounters,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortFwd {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Its counters.
    #[serde(flatten)]
    pub counters: FwdCounters,
}

/// What the workers did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FwdCounters {
    /// Packets that they took from the port.
    pub rx_packets: u64,
    /// Octets that they took from it.
    pub rx_octets: u64,
    /// Packets that its driver dropped, because they were too slow to take them.
    pub rx_dropped: u64,
    /// Packets that they gave to the port.
    pub tx_packets: u64,
    /// Octets that they gave to it.
    pub tx_octets: u64,
    /// Packets that its driver could not send.
    pub tx_dropped: u64,
}

impl Sum for FwdCounters {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), |sum, one| Self {
            rx_packets: sum.rx_packets.saturating_add(one.rx_packets),
            rx_octets: sum.rx_octets.saturating_add(one.rx_octets),
            rx_dropped: sum.rx_dropped.saturating_add(one.rx_dropped),
            tx_packets: sum.tx_packets.saturating_add(one.tx_packets),
            tx_octets: sum.tx_octets.saturating_add(one.tx_octets),
            tx_dropped: sum.tx_dropped.saturating_add(one.tx_dropped),
        })
    }
}

impl FwdStats {
    /// Of these ports, with their sum.
    #[must_use]
    pub fn new(ports: Vec<PortFwd>) -> Self {
        let total = ports.iter().map(|port| port.counters).sum();
        Self { ports, total }
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for PortFwd {
            number,
            name,
            counters,
        } in &self.ports
        {
            let title = format!("Forward statistics for port {number} ({name})");
            let (left, right) = ("-".repeat(22), "-".repeat(22));
            let end = "-".repeat(76);
            text += &counters.block(&format!("{left} {title} {right}"), end);
        }
        let frame = "+".repeat(15);
        text += &self.total.block(
            &format!("{frame} Accumulated forward statistics for all ports{frame}"),
            "+".repeat(76),
        );
        text
    }
}

impl FwdCounters {
    fn block(&self, title: &str, end: impl Display) -> String {
        let Self {
            rx_packets,
            rx_dropped,
            tx_packets,
            tx_dropped,
            ..
        } = self;
        let line = |name: &str, packets: &u64, dropped: &u64| {
            let total = packets.saturating_add(*dropped);
            format!(
                "  {name}-packets: {packets:<14} {name}-dropped: {dropped:<14}{name}-total: {total}\n"
            )
        };
        format!(
            "\n  {title}\n{}{}  {end}\n",
            line("RX", rx_packets, rx_dropped),
            line("TX", tx_packets, tx_dropped)
        )
    }
}
