//! What follows from a configuration for the parts of the control thread: the host's ports, the configured routes, the
//! virtual routers. Ports are numbered in the order of the file, as the data plane numbers them.

use std::net::Ipv4Addr;

use dataplane::addr::{Ipv4Prefix, MacAddr};
use vrrpd::Weight;

use super::host::{Port, PortIndex, Route};
use super::vrrp::{
    self, AddressWatch, ApplyError, GroupConfig, GroupKey, Leader, SharingConfig, Tracked, Watch,
};
use crate::config::{
    Config, GroupName, RouteTarget, TrackConfig, TrackTarget, VirtualRouterConfig,
};

/// The ports as the host knows them; `macs` are their link addresses in the order of the file.
#[must_use]
pub fn ports(config: &Config, macs: &[MacAddr]) -> Vec<Port> {
    let routes = routes(config);
    config
        .ports
        .iter()
        .zip(macs)
        .zip(0..)
        .map(|((port, mac), index)| Port {
            index,
            mac: *mac,
            mtu_octets: usize::from(port.mtu),
            addresses: port.addresses.iter().map(|address| address.value).collect(),
            further_networks: routes
                .iter()
                .filter(|(_, route)| *route == Route::Connected { port: index })
                .map(|(prefix, _)| *prefix)
                .collect(),
        })
        .collect()
}

/// The configured routes. One that names no port of the configuration leads nowhere and is left out; a checked
/// configuration has none such.
#[must_use]
pub fn routes(config: &Config) -> Vec<(Ipv4Prefix, Route)> {
    config
        .routes
        .iter()
        .filter_map(|route| {
            let leads = match &route.target {
                RouteTarget::Gateway { via, .. } => Route::Gateway {
                    port: connected(config, via.value)?,
                    address: via.value,
                },
                RouteTarget::Port { port } => Route::Connected {
                    port: number(config, port)?,
                },
                RouteTarget::Blackhole { .. } => Route::Blackhole,
                RouteTarget::Unreachable { .. } => Route::Unreachable,
            };
            Some((route.prefix.value, leads))
        })
        .collect()
}

/// Checks what a configuration cannot tell of its own parts: whether the protocol takes the virtual routers.
///
/// # Errors
/// The first mistake found.
pub fn check(config: &Config) -> Result<(), ApplyError> {
    // Their link addresses are the devices' and do not matter here.
    let macs = vec![MacAddr::ZERO; config.ports.len()];
    vrrp::check(&ports(config, &macs), groups(config))
}

/// The virtual routers.
#[must_use]
pub fn groups(config: &Config) -> Vec<GroupConfig> {
    config
        .virtual_routers
        .iter()
        .filter_map(|router| group(config, router))
        .collect()
}

fn group(config: &Config, router: &VirtualRouterConfig) -> Option<GroupConfig> {
    let port = number(config, &router.port)?;
    let local = router.local(config.ports.get(usize::from(port))?)?;
    let protocol = router.protocol()?;
    let sharing = match &router.load_sharing {
        Some(settings) => Some(SharingConfig::new(
            settings,
            &protocol,
            &router.port,
            local.addr(),
            local.masked(),
            settings
                .follow
                .as_ref()
                .and_then(|name| leader(config, name)),
        )?),
        None => None,
    };
    Some(GroupConfig {
        port,
        port_name: router.port.value.clone(),
        local: local.addr(),
        protocol,
        tracked: router
            .tracks
            .iter()
            .filter_map(|track| tracked(config, track))
            .collect(),
        source_mac: router.source_mac,
        hook: (!router.notify.is_empty()).then(|| router.notify.clone()),
        sharing,
    })
}

/// The group of this name, which another follows.
fn leader(config: &Config, name: &GroupName) -> Option<Leader> {
    let router = name.find(&config.virtual_routers)?;
    let port = number(config, &router.port)?;
    let local = router.local(config.ports.get(usize::from(port))?)?;
    let id = router.load_sharing.as_ref()?.router_id.as_ref();
    Some(Leader {
        key: GroupKey {
            port,
            vrid: router.vrid.value,
        },
        router: id.map_or(local.addr(), |id| id.value),
        connected: local.masked(),
    })
}

fn tracked(config: &Config, track: &TrackConfig) -> Option<Tracked> {
    let watch = match &track.target {
        TrackTarget::Port { port } => Watch::Port {
            index: number(config, port)?,
            name: port.value.clone(),
        },
        TrackTarget::Address {
            address,
            interval,
            fall,
            rise,
        } => Watch::Address(AddressWatch {
            address: address.value,
            interval: *interval,
            fall: *fall,
            rise: *rise,
        }),
    };
    Some(Tracked {
        watch,
        weight: track.weight.map_or(Weight::Essential, Weight::Priority),
    })
}

/// The number of the port with this name.
fn number(config: &Config, name: &str) -> Option<PortIndex> {
    let position = config.ports.iter().position(|port| *port.name == name)?;
    PortIndex::try_from(position).ok()
}

/// The number of the port on whose network `address` is.
fn connected(config: &Config, address: Ipv4Addr) -> Option<PortIndex> {
    let position = config
        .ports
        .iter()
        .position(|port| port.addresses.iter().any(|own| own.contains(address)))?;
    PortIndex::try_from(position).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    const TEXT: &str = r#"
        [[port]]
        name = "lan"
        device = "net_null0"
        addresses = ["192.0.2.2/24", "10.1.0.2/16"]
        [[port]]
        name = "wan"
        device = "net_null1"
        addresses = ["198.51.100.2/30"]
        [[route]]
        prefix = "0.0.0.0/0"
        via = "198.51.100.1"
        [[route]]
        prefix = "10.2.0.0/16"
        port = "lan"
        [[route]]
        prefix = "10.3.0.0/16"
        blackhole = true
        [[virtual-router]]
        vrid = 9
        port = "lan"
        virtual-addresses = ["10.1.0.1"]
        notify = ["/bin/true", "x"]
        track = [{ port = "wan", weight = -20 }, { address = "198.51.100.1" }]
    "#;

    fn config() -> Config {
        Config::parse("t", TEXT, &Machine::default()).unwrap()
    }

    #[test]
    fn a_route_leads_to_the_port_whose_prefix_holds_its_gateway() {
        let prefix = |text: &str| text.parse().unwrap();
        let address = Ipv4Addr::new(198, 51, 100, 1);
        assert_eq!(
            routes(&config()),
            [
                (prefix("0.0.0.0/0"), Route::Gateway { port: 1, address }),
                (prefix("10.2.0.0/16"), Route::Connected { port: 0 }),
                (prefix("10.3.0.0/16"), Route::Blackhole),
            ]
        );
    }

    #[test]
    fn a_virtual_router_advertises_from_the_address_on_its_own_network() {
        let [group] = &groups(&config())[..] else {
            panic!("one virtual router");
        };
        assert_eq!(group.local, Ipv4Addr::new(10, 1, 0, 2));
        assert_eq!((group.port, group.protocol.vrid.get()), (0, 9));
        assert_eq!(group.hook.as_ref().unwrap().len(), 2);
        let names: Vec<_> = group
            .tracked
            .iter()
            .map(|tracked| tracked.watch.name())
            .collect();
        assert_eq!(names, ["port wan", "address 198.51.100.1"]);
        assert_eq!(group.tracked[0].weight, Weight::Priority(-20));
        assert_eq!(group.tracked[1].weight, Weight::Essential);
        group.protocol.validate(group.local.into()).unwrap();
    }

    #[test]
    fn ports_are_numbered_in_the_order_of_the_file() {
        let macs = [MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])];
        let ports = ports(&config(), &macs);
        assert_eq!(ports.len(), 2);
        assert_eq!((ports[1].index, ports[1].mac), (1, macs[1]));
        assert_eq!(ports[0].addresses.len(), 2);
        assert_eq!(ports[0].further_networks, ["10.2.0.0/16".parse().unwrap()]);
        assert!(ports[1].further_networks.is_empty());
    }
}
