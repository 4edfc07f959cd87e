//! Where packets can be lost on their way from end systems to servers and back, and how many were: so that the account of a load closes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Group;
use crate::manifold::Manifold;
use crate::topology::sharing::{CARRIER, LAN};
use crate::{LabError, Result};

/// What a group's routers discard of what they are not to route: every router receives everything.
const MEANT: [&str; 2] = ["not-in-charge", "accepted-before"];

/// Packets lost since a time, or ever, by the place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// On the laboratory's links and bridges.
    pub links: u64,
    /// Between a router's interfaces and the router: its packet socket was full, because it did not run.
    pub router_sockets: u64,
    /// Between a router and its interfaces, on the way out.
    pub router_egress: u64,
    /// Discarded by the routers, by reason, but for what another router is in charge of.
    pub discards: BTreeMap<String, u64>,
}

impl Places {
    /// What was lost since an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let discards = self.discards.iter().map(|(reason, now)| {
            let then = earlier.discards.get(reason).copied().unwrap_or_default();
            (reason.clone(), now.saturating_sub(then))
        });
        Self {
            links: self.links.saturating_sub(earlier.links),
            router_sockets: self.router_sockets.saturating_sub(earlier.router_sockets),
            router_egress: self.router_egress.saturating_sub(earlier.router_egress),
            discards: discards.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Everything together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let discards: u64 = self.discards.values().sum();
        self.links + self.router_sockets + self.router_egress + discards
    }
}

impl Group<'_> {
    /// What has been lost so far, and where. To be asked when nothing is under way.
    ///
    /// # Errors
    /// When a router does not answer, or an interface is gone.
    pub fn places(&self) -> Result<Places> {
        let mut places = Places {
            links: self.net.link_drops()?,
            ..Places::default()
        };
        for (index, router) in self.running() {
            let ports = passed(router)?;
            for interface in [LAN, CARRIER] {
                let Some((received, sent)) = ports.get(interface).copied() else {
                    continue;
                };
                let end = self.net.router_end(index, interface);
                places.router_sockets += end.statistic("rx_packets")?.saturating_sub(received);
                places.router_egress += sent.saturating_sub(end.statistic("tx_packets")?);
            }
            let counters = router.ask("show counters")?;
            for (reason, count) in counters["discards"].as_object().into_iter().flatten() {
                if !MEANT.contains(&reason.as_str()) {
                    *places.discards.entry(reason.clone()).or_default() +=
                        count.as_u64().unwrap_or_default();
                }
            }
        }
        Ok(places)
    }
}

/// Frames that a router has received and sent at each of its ports, by its own count.
fn passed(router: &Manifold<'_>) -> Result<BTreeMap<String, (u64, u64)>> {
    let shown = router.ask("show fwd stats all")?;
    let ports = shown["ports"].as_array().into_iter().flatten();
    ports
        .map(|port| {
            let count = |field: &str| port[field].as_u64();
            let passed = (count("rx_packets"), count("tx_packets"));
            match (port["name"].as_str(), passed) {
                (Some(name), (Some(received), Some(sent))) => {
                    Ok((name.to_owned(), (received, sent)))
                }
                _ => Err(LabError::Unreadable {
                    what: "the ports' counters".into(),
                    text: port.to_string(),
                }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_lost_since_counts() {
        let places = |links, runts| Places {
            links,
            router_sockets: 3,
            discards: BTreeMap::from([("runt".to_owned(), runts), ("ipv6".to_owned(), 7)]),
            ..Places::default()
        };
        let since = places(5, 4).since(&places(1, 2));
        assert_eq!((since.links, since.router_sockets), (4, 0));
        assert_eq!(since.discards, BTreeMap::from([("runt".to_owned(), 2)]));
        assert_eq!(since.total(), 6);
    }
}
