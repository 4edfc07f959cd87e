//! `[[virtual-router.track]]`: what the priority of a virtual router depends on.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;
use toml::de::DeValue;

use super::mistake::{Located, Mistake};
use super::port::Ports;
use super::section::{Mistakes, Section};
use super::value;

/// Something that is watched, and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrackConfig {
    /// What is watched.
    #[serde(flatten)]
    pub target: TrackTarget,
    /// Added to the priority while the condition holds if positive, while it fails if negative. Without it the
    /// virtual router stops while the condition fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i16>,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TrackTarget {
    /// The link of a port.
    Port {
        /// The port.
        port: Located<String>,
    },
    /// An address that must answer echo requests.
    Address {
        /// The address.
        address: Located<Ipv4Addr>,
        /// The time from one request to the next.
        #[serde(serialize_with = "value::serialize_duration")]
        interval: Duration,
        /// Missed requests in a row that make it fail.
        fall: u8,
        /// Answers in a row that make it hold again.
        rise: u8,
    },
}

impl TrackConfig {
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Option<Self> {
        let before = mistakes.len();
        let port = table.optional(mistakes, "port", value::text);
        let address = table.optional(
            mistakes,
            "address",
            value::parsed("an IPv4 address", "198.51.100.1"),
        );
        let readable = mistakes.len() == before;
        let weight = table.optional(mistakes, "weight", weight);
        let mut count = |key, default| {
            table
                .optional(mistakes, key, value::integer(1..=100, "requests"))
                .map_or((default, None), |count| (count.value, Some(count.span)))
        };
        let (fall, fall_at) = count("fall", 3);
        let (rise, rise_at) = count("rise", 2);
        let interval = table.optional(
            mistakes,
            "interval",
            value::duration(Duration::from_millis(10)..=Duration::from_secs(60)),
        );
        let of_addresses = [
            fall_at,
            rise_at,
            interval.as_ref().map(|interval| interval.span.clone()),
        ];
        let span = table.span().clone();
        table.close(mistakes);
        let target = match (port, address) {
            (Some(port), None) => {
                for at in of_addresses.into_iter().flatten() {
                    mistakes.note(
                        &at,
                        Mistake::new(
                            "a port's link is not asked, it tells",
                            "remove this: only an `address` is asked time and again",
                        ),
                    );
                }
                TrackTarget::Port { port }
            }
            (None, Some(address)) => TrackTarget::Address {
                address,
                interval: interval.map_or(Duration::from_secs(1), |interval| interval.value),
                fall,
                rise,
            },
            (port, _) => {
                if readable {
                    let cause = match port {
                        Some(_) => "this track watches a port and an address at once",
                        None => "this track watches nothing",
                    };
                    mistakes.note(
                        &span,
                        Mistake::new(
                            cause,
                            "give it either `port = \"wan\"` or `address = \"198.51.100.1\"`",
                        ),
                    );
                }
                return None;
            }
        };
        Some(Self {
            target,
            weight: weight.map(|weight| weight.value),
        })
    }
}

pub(super) fn check(tracks: &[TrackConfig], ports: &Ports, mistakes: &mut Mistakes) {
    let mut seen = HashSet::new();
    for track in tracks {
        let (name, span) = match &track.target {
            TrackTarget::Port { port } => {
                ports.find(port, mistakes);
                (port.value.clone(), &port.span)
            }
            TrackTarget::Address { address, .. } => (address.to_string(), &address.span),
        };
        if !seen.insert(name.clone()) {
            mistakes.note(
                span,
                Mistake::new(
                    format!("{} is watched twice", name.escape_debug()),
                    "keep one of the two tracks",
                ),
            );
        }
    }
}

fn weight(value: &DeValue<'_>) -> Result<i16, Mistake> {
    match value::integer(-254..=254, "")(value)? {
        0 => Err(Mistake::new(
            "a weight of 0 changes nothing",
            "choose what to add to the priority (above 0: while it holds; below: while it fails), or leave `weight` out",
        )),
        weight => Ok(weight),
    }
}
