//! The network of these tests: a hub, routers on it, and a host that sees and asks.

use std::net::Ipv4Addr;

use lab::link::{ETHERNET_MTU, End, cable, hub, plug};
use lab::namespace::Namespace;
use lab::turn::{self, Turn};

/// The interface of every machine.
pub(crate) const INTERFACE: &str = "eth0";
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
            .address(&format!("10.73.0.200/{PREFIX_LEN}"))
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
        let state = if up { "up" } else { "down" };
        let port = port(index);
        self.middle
            .sh(&format!("ip link set {port} {state}"))
            .expect("the link set");
    }
}

fn port(index: usize) -> String {
    format!("port{index}")
}

/// The unicast peer of one of the first two routers.
pub(crate) fn peer_of(index: usize) -> Ipv4Addr {
    address_of(1 - index)
}

/// A router's own address.
pub(crate) fn address_of(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 73, 0, 1 + u8::try_from(index).expect("few routers"))
}

/// How a router takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) version: u8,
    pub(crate) priority: u8,
    pub(crate) interval_ms: u64,
    pub(crate) preempt: bool,
    pub(crate) groups: u8,
    /// Version 2's authentication type 1.
    pub(crate) password: Option<&'static str>,
    /// The first two routers advertise to each other alone.
    pub(crate) unicast: bool,
}

impl Settings {
    pub(crate) fn new(version: u8, priority: u8) -> Settings {
        Settings {
            version,
            priority,
            // The least that the version can say, or not much more.
            interval_ms: if version == 2 { 1000 } else { 100 },
            preempt: true,
            groups: 1,
            password: None,
            unicast: false,
        }
    }

    pub(crate) fn without_preemption(self) -> Settings {
        Settings {
            preempt: false,
            ..self
        }
    }

    /// The silence after which a backup of this priority takes over.
    pub(crate) fn down_interval_ms(&self) -> u64 {
        let skewed = if self.version == 2 {
            1000
        } else {
            self.interval_ms
        };
        3 * self.interval_ms + u64::from(256 - u16::from(self.priority)) * skewed / 256
    }
}
