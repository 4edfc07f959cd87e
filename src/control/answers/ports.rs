//! What is shown of ports.

use super::Sources;
use crate::config::Rss;
use crate::show::{
    ExtendedCounters, FwdCounters, FwdStats, LinkInfo, PortCounters, PortDetails, PortFwd,
    PortInfo, PortStats, PortXstats, Rates,
};

pub(super) fn info(ports: &[u16], sources: &Sources<'_>) -> PortInfo {
    let dataplane = &sources.road.dataplane;
    let details = ports.iter().filter_map(|&number| {
        let configured = sources.config.ports.get(usize::from(number))?;
        let port = dataplane.port(number)?;
        let link = dataplane.link(number).ok().flatten();
        Some(PortDetails {
            number,
            name: port.name.clone(),
            device: port.device.clone(),
            driver: port.driver.clone(),
            numa_node: port.socket.try_into().ok(),
            mac: port.mac,
            addresses: configured
                .addresses
                .iter()
                .map(|address| address.value)
                .collect(),
            link: link.map(|link| LinkInfo {
                up: link.up,
                speed_mbps: link.speed_mbps,
                full_duplex: link.full_duplex,
                autonegotiated: link.autonegotiated,
            }),
            mtu_octets: port.mtu,
            rx_queues: port.rx_queues,
            tx_queues: port.tx_queues,
            rss: match port.rss {
                dataplane::dpdk::Rss::None => Rss::None,
                dataplane::dpdk::Rss::Both => Rss::Both,
                dataplane::dpdk::Rss::Source => Rss::Source,
                dataplane::dpdk::Rss::Destination => Rss::Destination,
            },
        })
    });
    PortInfo {
        ports: details.collect(),
    }
}

/// The driver's counters of a port.
fn driver_counts(number: u16, sources: &Sources<'_>) -> Result<dataplane::dpdk::PortStats, String> {
    let counts = sources.road.dataplane.port_stats(number);
    counts
        .map(Option::unwrap_or_default)
        .map_err(|error| format!("port {}: {error}", sources.port_name(number)))
}

pub(super) fn stats(ports: &[u16], sources: &Sources<'_>) -> Result<PortStats, String> {
    let counters = ports.iter().map(|&number| {
        let counts = driver_counts(number, sources)?;
        Ok(PortCounters {
            number,
            name: sources.port_name(number),
            rx_packets: counts.rx_packets,
            rx_missed: counts.rx_missed,
            rx_octets: counts.rx_octets,
            rx_errors: counts.rx_errors,
            rx_no_mbuf: counts.rx_no_mbuf,
            tx_packets: counts.tx_packets,
            tx_errors: counts.tx_errors,
            tx_octets: counts.tx_octets,
            since_last_show: Rates::default(),
        })
    });
    Ok(PortStats {
        ports: counters.collect::<Result<_, String>>()?,
    })
}

pub(super) fn xstats(ports: &[u16], sources: &Sources<'_>) -> PortXstats {
    let counters = ports.iter().map(|&number| ExtendedCounters {
        number,
        name: sources.port_name(number),
        xstats: sources
            .road
            .dataplane
            .port_xstats(number)
            .into_iter()
            .map(|xstat| (xstat.name, xstat.value))
            .collect(),
    });
    PortXstats {
        ports: counters.collect(),
    }
}

pub(super) fn fwd_stats(sources: &Sources<'_>) -> Result<FwdStats, String> {
    let total = sources.road.dataplane.counters().total();
    let ports = (0..).zip(&total.ports).map(|(number, counts)| {
        let driver = driver_counts(number, sources)?;
        Ok(PortFwd {
            number,
            name: sources.port_name(number),
            counters: FwdCounters {
                rx_packets: counts.rx_packets,
                rx_octets: counts.rx_octets,
                rx_dropped: driver.rx_missed,
                tx_packets: counts.tx_packets,
                tx_octets: counts.tx_octets,
                tx_dropped: driver.tx_errors,
            },
        })
    });
    Ok(FwdStats::new(ports.collect::<Result<_, String>>()?))
}
