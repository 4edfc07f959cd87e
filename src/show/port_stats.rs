//! `show port stats`: a port's counters as its driver keeps them, and the rates since they were last shown.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Instant;

use serde::Serialize;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortStats {
    /// The ports asked for.
    pub ports: Vec<PortCounters>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortCounters {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Frames received.
    pub rx_packets: u64,
    /// Frames dropped, because the receive queue was full.
    pub rx_missed: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Receptions that found no packet buffer.
    pub rx_no_mbuf: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// The rates since this port's counters were last shown, to whomever.
    pub since_last_show: Rates,
}

/// Rates, each zero when it is shown for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// Frames received a second.
    pub rx_pps: u64,
    /// Bits received a second.
    pub rx_bps: u64,
    /// Frames sent a second.
    pub tx_pps: u64,
    /// Bits sent a second.
    pub tx_bps: u64,
}

/// Remembers what was shown of each port, so that rates can be told.
#[derive(Clone, Debug, Default)]
pub struct RateMeter {
    last: HashMap<u16, (Instant, [u64; 4])>,
}

impl RateMeter {
    /// Fills in the rates of a port that is shown `now`.
    pub fn measure(&mut self, now: Instant, port: &mut PortCounters) {
        let counts = [
            port.rx_packets,
            port.rx_octets,
            port.tx_packets,
            port.tx_octets,
        ];
        let Some((before, last)) = self.last.insert(port.number, (now, counts)) else {
            return;
        };
        let nanoseconds = now.saturating_duration_since(before).as_nanos();
        let [rx_packets, rx_octets, tx_packets, tx_octets] = [0, 1, 2, 3].map(|index| {
            // A counter that was cleared meanwhile starts at zero.
            let grown = counts[index].checked_sub(last[index]);
            u128::from(grown.unwrap_or(counts[index]))
        });
        let rate = |count: u128| {
            let rate = (count * 1_000_000_000).checked_div(nanoseconds);
            u64::try_from(rate.unwrap_or(0)).unwrap_or(u64::MAX)
        };
        port.since_last_show = Rates {
            rx_pps: rate(rx_packets),
            rx_bps: rate(rx_octets * 8),
            tx_pps: rate(tx_packets),
            tx_bps: rate(tx_octets * 8),
        };
    }
}

impl PortStats {
    pub(super) fn table(&self) -> String {
        self.ports.iter().map(PortCounters::table).collect()
    }
}

impl PortCounters {
    fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, f: &mut String) -> std::fmt::Result {
        writeln!(
            f,
            "\n  ######################## NIC statistics for port {} ({}) ########################",
            self.number, self.name
        )?;
        writeln!(
            f,
            "  RX-packets: {:<10} RX-missed: {:<10} RX-bytes:  {}",
            self.rx_packets, self.rx_missed, self.rx_octets
        )?;
        writeln!(f, "  RX-errors: {}", self.rx_errors)?;
        writeln!(f, "  RX-nombuf:  {}", self.rx_no_mbuf)?;
        writeln!(
            f,
            "  TX-packets: {:<10} TX-errors: {:<10} TX-bytes:  {}",
            self.tx_packets, self.tx_errors, self.tx_octets
        )?;
        let Rates {
            rx_pps,
            rx_bps,
            tx_pps,
            tx_bps,
        } = self.since_last_show;
        writeln!(f, "\n  Throughput (since last show)")?;
        writeln!(f, "  Rx-pps: {rx_pps:>12}          Rx-bps: {rx_bps:>12}")?;
        writeln!(f, "  Tx-pps: {tx_pps:>12}          Tx-bps: {tx_bps:>12}")?;
        writeln!(f, "  {}", "#".repeat(76))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn port(packets: u64) -> PortCounters {
        PortCounters {
            number: 3,
            name: "lan".into(),
            rx_packets: packets,
            rx_missed: 0,
            rx_octets: packets * 100,
            rx_errors: 0,
            rx_no_mbuf: 0,
            tx_packets: 0,
            tx_errors: 0,
            tx_octets: 0,
            since_last_show: Rates::default(),
        }
    }

    fn rates(meter: &mut RateMeter, now: Instant, packets: u64) -> Rates {
        let mut port = port(packets);
        meter.measure(now, &mut port);
        port.since_last_show
    }

    #[test]
    fn rates_are_those_since_the_last_show() {
        let mut meter = RateMeter::default();
        let start = Instant::now();
        assert_eq!(rates(&mut meter, start, 10), Rates::default());
        let two_seconds_later = rates(&mut meter, start + Duration::from_secs(2), 30);
        assert_eq!(two_seconds_later.rx_pps, 10);
        assert_eq!(two_seconds_later.rx_bps, 8000);
        assert_eq!(two_seconds_later.tx_pps, 0);
    }

    #[test]
    fn rates_survive_cleared_counters_and_shows_at_one_instant() {
        let mut meter = RateMeter::default();
        let start = Instant::now();
        rates(&mut meter, start, 1000);
        let cleared = rates(&mut meter, start + Duration::from_secs(1), 5);
        assert_eq!(cleared.rx_pps, 5);
        let at_once = rates(&mut meter, start + Duration::from_secs(1), u64::MAX / 100);
        assert_eq!(at_once, Rates::default());
    }
}
