//! How end systems are found: each way can be switched off.

use std::time::Duration;

use serde::Serialize;

use crate::config::section::{Mistakes, Section};
use crate::config::value;

/// How end systems are found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiscoveryConfig {
    /// Whether end systems on the link are learned from their packets.
    pub learn: bool,
    /// Whether those behind further routers are.
    pub learn_behind: bool,
    /// How many addresses a second are asked whether they are there before they are learned.
    pub learn_rate: u32,
    /// Whether all addresses of the link are asked for by ARP.
    pub sweep: bool,
    /// How many a second.
    pub sweep_rate: u32,
    /// Whether everyone on the link is asked by ICMP.
    pub information_requests: bool,
    /// The time after which they are asked again, if there was no reason to before.
    #[serde(serialize_with = "value::serialize_duration")]
    pub discovery_interval: Duration,
}

impl DiscoveryConfig {
    pub(super) fn read(table: &mut Section<'_, '_>, mistakes: &mut Mistakes) -> Self {
        let mut way = |key| {
            let on = table.with_default(mistakes, key, true, value::boolean);
            on.value
        };
        let [learn, learn_behind] = ["learn", "learn-behind"].map(&mut way);
        let [sweep, information_requests] = ["sweep", "information-requests"].map(way);
        let mut rate = |key, most| {
            let per_second = value::integer(1..=most, "addresses a second");
            table.with_default(mistakes, key, 100, per_second).value
        };
        Self {
            learn,
            learn_behind,
            learn_rate: rate("learn-rate", 100_000),
            sweep,
            sweep_rate: rate("sweep-rate", 10_000),
            information_requests,
            discovery_interval: table
                .with_default(
                    mistakes,
                    "discovery-interval",
                    Duration::from_secs(600),
                    value::duration(Duration::from_secs(1)..=Duration::from_secs(86_400)),
                )
                .value,
        }
    }
}
