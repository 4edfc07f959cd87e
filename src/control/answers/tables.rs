//! What is shown of routes and neighbours.

use std::net::Ipv4Addr;

use dataplane::addr::Ipv4Prefix;

use super::port_name;
use crate::control::host::{HostStack, Route as Destination, State};
use crate::control::routes::RouteTable;
use crate::show::{Leads, Neighbour, NeighbourState, Neighbours, Route, RouteEntry};

/// Every route, or the one that packets to `address` take.
pub(super) fn routes(table: &RouteTable, address: Option<Ipv4Addr>, names: &[&str]) -> Route {
    match address {
        Some(address) => {
            let route = table.longest_match(address);
            Route::new(route.map(|(prefix, leads)| entry(prefix, leads, names)))
        }
        None => Route::new(
            table
                .iter()
                .map(|(prefix, leads)| entry(prefix, leads, names)),
        ),
    }
}

fn entry(prefix: Ipv4Prefix, destination: Destination, names: &[&str]) -> RouteEntry {
    let (leads, port, gateway) = match destination {
        Destination::Local => (Leads::Local, None, None),
        Destination::Broadcast => (Leads::Broadcast, None, None),
        Destination::Connected { port } => (Leads::Connected, Some(port), None),
        Destination::Gateway { port, address } => (Leads::Gateway, Some(port), Some(address)),
        Destination::Unreachable => (Leads::Unreachable, None, None),
        Destination::Blackhole => (Leads::Blackhole, None, None),
    };
    RouteEntry {
        prefix,
        leads,
        port: port.map(|port| port_name(names, port)),
        gateway,
    }
}

/// Every neighbour, and how many packets wait for one: those of the host, and `unresolved` at the workers.
pub(super) fn neighbours<P: AsRef<[u8]> + AsMut<[u8]>>(
    host: &HostStack<P>,
    unresolved: u64,
    names: &[&str],
) -> Neighbours {
    let neighbours = host.neighbours().map(|(key, state)| Neighbour {
        port: port_name(names, key.port),
        address: key.address,
        mac: state.mac(),
        state: match state {
            State::Incomplete { .. } => NeighbourState::Incomplete,
            State::Reachable { .. } => NeighbourState::Reachable,
            State::Probe { .. } => NeighbourState::Probe,
            State::Failed => NeighbourState::Failed,
        },
    });
    Neighbours::new(host.packets_waiting() as u64 + unresolved, neighbours)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::control::routes::Change;
    use crate::show::Answer;

    fn shown_as_json(shown: Route) -> Value {
        serde_json::from_str(&Answer::Route(shown).json().unwrap()).unwrap()
    }

    fn table() -> RouteTable {
        let mut table = RouteTable::default();
        for (prefix, leads) in [
            ("10.0.0.0/24", Destination::Connected { port: 1 }),
            ("10.0.0.1/32", Destination::Local),
            (
                "0.0.0.0/0",
                Destination::Gateway {
                    port: 0,
                    address: Ipv4Addr::new(192, 0, 2, 254),
                },
            ),
            ("198.51.100.0/24", Destination::Blackhole),
        ] {
            table.apply(Change::Set(prefix.parse().unwrap(), leads));
        }
        table
    }

    #[test]
    fn every_route_is_shown_in_order() {
        let shown = routes(&table(), None, &["lan", "wan"]);
        assert_eq!(
            shown_as_json(shown),
            json!({"total": 4, "routes": [
                {"prefix": "0.0.0.0/0", "leads": "gateway", "port": "lan", "gateway": "192.0.2.254"},
                {"prefix": "10.0.0.0/24", "leads": "connected", "port": "wan", "gateway": null},
                {"prefix": "10.0.0.1/32", "leads": "local", "port": null, "gateway": null},
                {"prefix": "198.51.100.0/24", "leads": "blackhole", "port": null, "gateway": null},
            ]})
        );
    }

    #[test]
    fn of_an_address_the_route_that_its_packets_take_is_shown() {
        let prefix = |address: &str| {
            let shown = routes(&table(), Some(address.parse().unwrap()), &["lan", "wan"]);
            shown_as_json(shown)["routes"][0]["prefix"].clone()
        };
        assert_eq!(prefix("10.0.0.1"), "10.0.0.1/32");
        assert_eq!(prefix("10.0.0.2"), "10.0.0.0/24");
        assert_eq!(prefix("10.0.1.2"), "0.0.0.0/0");
        let none = routes(&RouteTable::default(), Some(Ipv4Addr::LOCALHOST), &[]);
        assert_eq!(shown_as_json(none)["total"], 0);
    }
}
