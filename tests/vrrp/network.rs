//! The network of these tests: a hub, routers on it, and a host that sees and asks.

use std::net::Ipv4Addr;

use lab::link::{ETHERNET_MTU, End, cable, hub, plug};
use lab::namespace::Namespace;
use lab::turn::{self, Turn};

/// The interface of every machine on the hub.
pub(crate) const INTERFACE: &str = "eth0";
/// A router's second interface, if it has one.
pub(crate) const UPLINK: &str = "eth1";
/// The host's address.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 73, 0, 200);
/// The first virtual address; more groups have the following ones.
pub(crate) const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 73, 1, 0);
/// The octets of the network's prefix.
pub(crate) const PREFIX_LEN: u8 = 16;
/// The priority at which everybody's protocol runs, ours and keepalived's: before all ordinary programs.
pub(crate) const REALTIME_PRIORITY: u8 = 10;
/// The first VRID.
pub(crate) const VRID: u8 = 7;

const HUB: &str = "hub0";

/// The hub with its machines.
pub(crate) struct Lan {
    middle: Namespace,
    pub(crate) host: Namespace,
    routers: Vec<Namespace>,
    _turn: Turn,
}

impl Lan {
    pub(crate) fn new(routers: usize) -> Lan {
        let turn = turn::take();
        let middle = Namespace::new("hub").expect("a hub");
        hub(&middle, HUB).expect("a hub");
        let lan = Lan {
            middle,
            host: Namespace::new("host").expect("a host"),
            routers: (0..routers)
                .map(|index| Namespace::new(&format!("r{index}")).expect("a router"))
                .collect(),
            _turn: turn,
        };
        for (index, machine) in lan.routers.iter().enumerate() {
            lan.connect(machine, &port(index));
        }
        lan.connect(&lan.host, "host");
        End::of(&lan.host, INTERFACE)
            .address(&format!("{HOST}/{PREFIX_LEN}"))
            .expect("an address");
        lan
    }

    fn connect(&self, machine: &Namespace, port: &str) {
        let port = End::of(&self.middle, port);
        cable(End::of(machine, INTERFACE), port, ETHERNET_MTU).expect("a cable");
        plug(port, HUB).expect("plugged");
    }

    pub(crate) fn router(&self, index: usize) -> &Namespace {
        &self.routers[index]
    }

    pub(crate) fn host_end(&self) -> End<'_> {
        End::of(&self.host, INTERFACE)
    }

    /// Takes the link of a router away, or gives it back.
    pub(crate) fn set_link(&self, index: usize, up: bool) {
        self.set_far_end(&port(index), up);
    }

    /// Gives a router a second link, which leads nowhere.
    pub(crate) fn add_uplink(&self, index: usize) {
        let far = uplink(index);
        let far = End::of(&self.middle, &far);
        cable(End::of(self.router(index), UPLINK), far, ETHERNET_MTU).expect("a cable");
    }

    /// Takes a router's second link away, or gives it back.
    pub(crate) fn set_uplink(&self, index: usize, up: bool) {
        self.set_far_end(&uplink(index), up);
    }

    fn set_far_end(&self, interface: &str, up: bool) {
        let state = if up { "up" } else { "down" };
        self.middle
            .sh(&format!("ip link set {interface} {state}"))
            .expect("the link set");
    }
}

fn port(index: usize) -> String {
    format!("port{index}")
}

fn uplink(index: usize) -> String {
    format!("uplink{index}")
}

/// The unicast peer of one of the first two routers.
pub(crate) fn peer_of(index: usize) -> Ipv4Addr {
    address_of(1 - index)
}

/// A router's own address.
pub(crate) fn address_of(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 73, 0, 1 + u8::try_from(index).expect("few routers"))
}

/// The virtual address behind the first that has this number.
pub(crate) fn virtual_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(VIRTUAL.to_bits() + u32::from(number))
}
