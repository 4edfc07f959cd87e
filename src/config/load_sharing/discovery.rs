//! How end systems are found: each way can be switched off.

use std::time::Duration;

use serde::Serialize;

use crate::config::section::{Mistakes, Section};
use crate::config::value;

/// How end systems are found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiscoveryConfig {
    /// Whether end systems are learned from their packets.
    pub learn: bool,
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
        Self {
            learn: table
                .with_default(mistakes, "learn", true, value::boolean)
                .value,
            learn_rate: table
                .with_default(
                    mistakes,
                    "learn-rate",
                    100,
                    value::integer(1..=100_000, "addresses a second"),
                )
                .value,
            sweep: table
                .with_default(mistakes, "sweep", true, value::boolean)
                .value,
            sweep_rate: table
                .with_default(
                    mistakes,
                    "sweep-rate",
                    100,
                    value::integer(1..=10_000, "addresses a second"),
                )
                .value,
            information_requests: table
                .with_default(mistakes, "information-requests", true, value::boolean)
                .value,
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
