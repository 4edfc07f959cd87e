//! The routes as the control thread knows them: which prefix leads where, looked up by longest match for the host's own
//! packets, and compared with a new set so that the workers' table gets only what changed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dataplane::addr::Ipv4Prefix;

use super::host::{Port, PortIndex, Route, Routes, Virtual};

/// A set of routes, one to a prefix.
pub type RouteSet = BTreeMap<Ipv4Prefix, Route>;

/// A change of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The prefix leads there now, whether it led anywhere before or not.
    Set(Ipv4Prefix, Route),
    /// The prefix leads nowhere any more.
    Remove(Ipv4Prefix),
}

/// The routes that follow from the ports' addresses, the virtual routers and what is `configured`.
///
/// A port's own address wins over everything, then the ends of its networks, then the networks themselves: no configured
/// route takes them away.
#[must_use]
pub fn derive<'a>(
    ports: impl IntoIterator<Item = &'a Port, IntoIter: Clone>,
    virtuals: &[Virtual],
    configured: impl IntoIterator<Item = (Ipv4Prefix, Route)>,
) -> RouteSet {
    let ports = ports.into_iter();
    let mut routes: RouteSet = configured
        .into_iter()
        .map(|(prefix, route)| (prefix.masked(), route))
        .collect();
    let networks = || {
        ports
            .clone()
            .flat_map(|port| port.addresses.iter().map(move |own| (port, *own)))
    };
    for (port, own) in networks() {
        routes.insert(own.masked(), Route::Connected { port: port.index });
    }
    for (_, own) in networks().filter(|(_, own)| own.len() < 31) {
        routes.insert(Ipv4Prefix::host(own.network()), Route::Broadcast);
        routes.insert(Ipv4Prefix::host(own.broadcast()), Route::Broadcast);
    }
    for group in virtuals {
        for address in &group.addresses {
            routes.insert(Ipv4Prefix::host(*address), Route::Local);
        }
    }
    for (_, own) in networks() {
        routes.insert(Ipv4Prefix::host(own.addr()), Route::Local);
    }
    routes
}

/// The routes by prefix length and network.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// Only lengths that have routes are here.
    by_length: BTreeMap<u8, BTreeMap<u32, Route>>,
    /// Every gateway, by its port, with the number of routes that lead to it.
    gateways: BTreeMap<(PortIndex, Ipv4Addr), usize>,
}

impl RouteTable {
    /// The number of routes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_length.values().map(BTreeMap::len).sum()
    }

    /// The route to a prefix, if there is one to exactly it.
    #[must_use]
    pub fn get(&self, prefix: Ipv4Prefix) -> Option<Route> {
        let network = prefix.network().to_bits();
        self.by_length.get(&prefix.len())?.get(&network).copied()
    }

    /// The longest prefix that contains `address`, and where it leads.
    #[must_use]
    pub fn longest_match(&self, address: Ipv4Addr) -> Option<(Ipv4Prefix, Route)> {
        self.by_length.iter().rev().find_map(|(length, networks)| {
            let prefix = Ipv4Prefix::new(address, *length).ok()?.masked();
            let route = networks.get(&prefix.network().to_bits())?;
            Some((prefix, *route))
        })
    }

    /// Applies a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Set(prefix, route) => {
                if let Route::Gateway { port, address } = route {
                    *self.gateways.entry((port, address)).or_default() += 1;
                }
                let networks = self.by_length.entry(prefix.len()).or_default();
                let before = networks.insert(prefix.network().to_bits(), route);
                self.forget_gateway(before);
            }
            Change::Remove(prefix) => {
                if let Some(networks) = self.by_length.get_mut(&prefix.len()) {
                    let before = networks.remove(&prefix.network().to_bits());
                    if networks.is_empty() {
                        self.by_length.remove(&prefix.len());
                    }
                    self.forget_gateway(before);
                }
            }
        }
    }

    /// A route is no more.
    fn forget_gateway(&mut self, route: Option<Route>) {
        if let Some(Route::Gateway { port, address }) = route
            && let Some(routes) = self.gateways.get_mut(&(port, address))
        {
            *routes -= 1;
            if *routes == 0 {
                self.gateways.remove(&(port, address));
            }
        }
    }

    /// Every gateway with its port.
    pub fn gateways(&self) -> impl Iterator<Item = (PortIndex, Ipv4Addr)> {
        self.gateways.keys().copied()
    }

    /// What has to change for the table to hold exactly `wanted`. Removals come first, so that no more routes are ever there
    /// than the larger of the two sets.
    #[must_use]
    pub fn difference(&self, wanted: &RouteSet) -> Vec<Change> {
        let removed = self
            .iter()
            .map(|(prefix, _)| prefix)
            .filter(|prefix| !wanted.contains_key(prefix))
            .map(Change::Remove);
        let set = wanted
            .iter()
            .filter(|(prefix, route)| self.get(**prefix) != Some(**route))
            .map(|(prefix, route)| Change::Set(*prefix, *route));
        removed.chain(set).collect()
    }

    /// Every route, the shortest prefixes first, and those of one length in the order of their networks.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Prefix, Route)> {
        self.by_length.iter().flat_map(|(length, networks)| {
            networks.iter().filter_map(|(network, route)| {
                let prefix = Ipv4Prefix::new(Ipv4Addr::from_bits(*network), *length).ok()?;
                Some((prefix, *route))
            })
        })
    }
}

impl Routes for RouteTable {
    fn route(&self, destination: Ipv4Addr) -> Option<Route> {
        self.longest_match(destination).map(|(_, route)| route)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dataplane::addr::MacAddr;
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Ipv4Prefix {
        text.parse().unwrap()
    }

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn port(addresses: &[&str]) -> Port {
        Port {
            index: 3,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu_octets: 1500,
            addresses: addresses.iter().map(|own| prefix(own)).collect(),
            further_networks: Vec::new(),
        }
    }

    fn table(routes: &RouteSet) -> RouteTable {
        let mut table = RouteTable::default();
        for change in table.difference(routes) {
            table.apply(change);
        }
        table
    }

    #[test]
    fn a_port_brings_its_network_the_ends_of_it_and_itself() {
        let routes = derive([&port(&["192.0.2.1/24", "198.51.100.0/31"])], &[], []);
        let connected = Route::Connected { port: 3 };
        assert_eq!(
            Vec::from_iter(routes),
            [
                (prefix("192.0.2.0/24"), connected),
                (prefix("192.0.2.0/32"), Route::Broadcast),
                (prefix("192.0.2.1/32"), Route::Local),
                (prefix("192.0.2.255/32"), Route::Broadcast),
                (prefix("198.51.100.0/31"), connected),
                (prefix("198.51.100.0/32"), Route::Local),
            ]
        );
    }

    #[test]
    fn no_configured_route_takes_an_own_address_away() {
        let virtuals = [Virtual {
            port: 3,
            vrid: 7,
            addresses: vec![address("192.0.2.254")],
            is_master: false,
            accepts: false,
            sends_from_virtual_mac: false,
        }];
        let configured = [
            "192.0.2.1/32",
            "192.0.2.254/32",
            "192.0.2.255/32",
            "192.0.2.0/24",
        ]
        .map(|text| (prefix(text), Route::Blackhole));
        let table = table(&derive([&port(&["192.0.2.1/24"])], &virtuals, configured));
        for (text, route) in [
            ("192.0.2.1", Route::Local),
            ("192.0.2.254", Route::Local),
            ("192.0.2.255", Route::Broadcast),
            ("192.0.2.7", Route::Connected { port: 3 }),
        ] {
            assert_eq!(table.route(address(text)), Some(route));
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_the_default_route_comes_last() {
        let gateway = Route::Gateway {
            port: 3,
            address: address("192.0.2.9"),
        };
        let routes = RouteSet::from([
            (Ipv4Prefix::DEFAULT, gateway),
            (prefix("10.0.0.0/8"), Route::Blackhole),
            (prefix("10.1.0.0/16"), Route::Unreachable),
        ]);
        let table = table(&routes);
        assert_eq!(table.route(address("10.1.2.3")), Some(Route::Unreachable));
        assert_eq!(table.route(address("10.2.2.3")), Some(Route::Blackhole));
        assert_eq!(
            table.longest_match(address("192.0.2.7")),
            Some((Ipv4Prefix::DEFAULT, gateway))
        );
        assert_eq!(RouteTable::default().route(address("10.0.0.1")), None);
    }

    #[test]
    fn only_what_differs_changes() {
        let old = RouteSet::from([
            (prefix("10.0.0.0/8"), Route::Blackhole),
            (prefix("10.1.0.0/16"), Route::Unreachable),
            (prefix("10.2.0.0/16"), Route::Unreachable),
        ]);
        let new = RouteSet::from([
            (prefix("10.0.0.0/8"), Route::Blackhole),
            (prefix("10.1.0.0/16"), Route::Blackhole),
            (prefix("10.3.0.0/16"), Route::Unreachable),
        ]);
        assert_eq!(
            table(&old).difference(&new),
            [
                Change::Remove(prefix("10.2.0.0/16")),
                Change::Set(prefix("10.1.0.0/16"), Route::Blackhole),
                Change::Set(prefix("10.3.0.0/16"), Route::Unreachable),
            ]
        );
    }

    fn routes() -> impl Strategy<Value = RouteSet> {
        let route = prop_oneof![
            Just(Route::Blackhole),
            (0_u16..4).prop_map(|port| Route::Connected { port })
        ];
        // Few distinct networks, so that they lie within each other.
        let prefix = (0_u32..16, 0_u8..=32).prop_map(|(bits, length)| {
            let address = Ipv4Addr::from_bits(bits << 28 | bits << 14 | bits);
            Ipv4Prefix::new(address, length).unwrap().masked()
        });
        prop::collection::btree_map(prefix, route, 0..40)
    }

    proptest! {
        #[test]
        fn the_table_says_what_a_walk_over_all_routes_says(
            old in routes(),
            new in routes(),
            probes in prop::collection::vec(0_u32..16, 20),
        ) {
            let mut table = table(&old);
            for change in table.difference(&new) {
                table.apply(change);
            }
            prop_assert_eq!(table.count(), new.len());
            prop_assert_eq!(table.iter().collect::<RouteSet>(), new.clone());
            let gateways = new.values().filter_map(|route| match route {
                Route::Gateway { port, address } => Some((*port, *address)),
                _ => None,
            });
            let gateways: BTreeSet<_> = gateways.collect();
            prop_assert!(table.gateways().eq(gateways));
            for bits in probes {
                let probe = Ipv4Addr::from_bits(bits << 28 | bits << 14 | bits);
                let walked = new
                    .iter()
                    .filter(|(prefix, _)| prefix.contains(probe))
                    .max_by_key(|(prefix, _)| prefix.len())
                    .map(|(_, route)| *route);
                prop_assert_eq!(table.route(probe), walked);
            }
        }
    }
}
