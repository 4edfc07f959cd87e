//! `show route`: the routes, or the one that packets to an address take.

use std::net::Ipv4Addr;

use dataplane::addr::Ipv4Prefix;
use serde::Serialize;

use super::table::{Table, or_hyphen};
use super::{cut, cut_notice};

/// The answer. In JSON it has the number of all routes asked for, and as many of them as one answer shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    total: usize,
    routes: Vec<RouteEntry>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteEntry {
    /// The destinations.
    #[serde(serialize_with = "super::route::prefix")]
    pub prefix: Ipv4Prefix,
    /// Where packets to them go.
    pub leads: Leads,
    /// The name of the port, if they leave by one.
    pub port: Option<String>,
    /// The gateway, if they go to one.
    pub gateway: Option<Ipv4Addr>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leads {
    /// To hosts on the port's own network.
    Connected,
    /// To a gateway.
    Gateway,
    /// To this router itself.
    Local,
    /// To every host on the port's network; such packets are discarded.
    Broadcast,
    /// Nowhere, and the sender is told.
    Unreachable,
    /// Nowhere, in silence.
    Blackhole,
}

impl Leads {
    const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Gateway => "gateway",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Unreachable => "unreachable",
            Self::Blackhole => "blackhole",
        }
    }
}

fn prefix<S: serde::Serializer>(prefix: &Ipv4Prefix, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(prefix)
}

impl Route {
    /// Of these routes.
    pub fn new(routes: impl IntoIterator<Item = RouteEntry>) -> Self {
        let (total, mut routes) = cut(routes);
        routes.sort_by_key(|route| (route.prefix.network(), route.prefix.len()));
        Self { total, routes }
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["prefix", "leads", "gateway", "port"]);
        for route in &self.routes {
            table.row(&[
                &route.prefix,
                &route.leads.name(),
                &or_hyphen(route.gateway),
                &or_hyphen(route.port.as_ref()),
            ]);
        }
        format!("{table}{}", cut_notice(self.routes.len(), self.total))
    }
}
