//! What the host knows of its ports and of the virtual routers on them: the addresses that are its own.

use std::net::Ipv4Addr;

use dataplane::addr::{Ipv4Prefix, MacAddr};

/// The number of a port, as the data plane counts them.
pub type PortIndex = u16;

/// A port of this router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub index: PortIndex,
    /// Its own link address.
    pub mac: MacAddr,
    /// The longest IP packet that its network takes, in octets.
    pub mtu_octets: usize,
    /// Its addresses, each with the network that is connected there.
    pub addresses: Vec<Ipv4Prefix>,
    /// Further networks whose hosts are on the link, by routes that name the port and no gateway.
    pub further_networks: Vec<Ipv4Prefix>,
}

impl Port {
    /// Whether `address` is one of its own.
    #[must_use]
    pub fn owns(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|own| own.addr() == address)
    }

    /// Whether `address` lies on a network of the port.
    #[must_use]
    pub fn is_on_link(&self, address: Ipv4Addr) -> bool {
        let mut networks = self.addresses.iter().chain(&self.further_networks);
        networks.any(|network| network.contains(address))
    }

    /// Whether `address` is one that a host on the port's networks may have: neither the first nor the broadcast address
    /// of one (a /31 and a /32 have neither, RFC 3021).
    #[must_use]
    pub fn is_host_on_link(&self, address: Ipv4Addr) -> bool {
        let is_end_of = |own: &Ipv4Prefix| {
            own.len() < 31 && (address == own.network() || address == own.broadcast())
        };
        self.is_on_link(address) && !self.addresses.iter().any(is_end_of)
    }

    /// The own address to speak from towards `peer`: the one on the same network, else the first.
    #[must_use]
    pub fn address_towards(&self, peer: Ipv4Addr) -> Option<Ipv4Addr> {
        self.addresses
            .iter()
            .find(|own| own.contains(peer))
            .or(self.addresses.first())
            .map(|own| own.addr())
    }
}

/// A virtual router of which this one is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Virtual {
    /// The port on whose network it is.
    pub port: PortIndex,
    /// Its VRID.
    pub vrid: u8,
    /// Its addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether this router is its master, who alone answers for the addresses.
    pub is_master: bool,
    /// Whether the master accepts packets for the addresses other than echo requests (RFC 9568 section 6.1,
    /// `Accept_Mode`, or it owns the addresses).
    pub accepts: bool,
    /// Whether frames about the virtual addresses are sent *from* the virtual MAC (`source-mac = "virtual"`), as the
    /// RFC wants it, but as no group that shares its load may do it.
    pub sends_from_virtual_mac: bool,
}

impl Virtual {
    /// The link address of the virtual router.
    #[must_use]
    pub const fn mac(&self) -> MacAddr {
        MacAddr::virtual_v4(self.vrid)
    }
}

/// The virtual router on `port` that has `address`.
#[must_use]
pub fn virtual_with(virtuals: &[Virtual], port: PortIndex, address: Ipv4Addr) -> Option<&Virtual> {
    virtuals
        .iter()
        .find(|group| group.port == port && group.addresses.contains(&address))
}

/// Whether one host may have `address` (RFC 1812 section 5.3.7): it is not of network zero, loopback, multicast, reserved or
/// broadcast.
#[must_use]
pub const fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(addresses: &[&str]) -> Port {
        Port {
            index: 0,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu_octets: 1500,
            addresses: addresses.iter().map(|own| own.parse().unwrap()).collect(),
            further_networks: vec!["203.0.113.128/25".parse().unwrap()],
        }
    }

    #[test]
    fn a_network_has_no_host_at_its_ends_unless_it_has_only_two() {
        let port = port(&["192.0.2.1/24", "198.51.100.0/31"]);
        for (address, is_host) in [
            ([192, 0, 2, 0], false),
            ([192, 0, 2, 7], true),
            ([192, 0, 2, 255], false),
            ([198, 51, 100, 1], true),
            ([198, 51, 100, 2], false),
            ([203, 0, 113, 200], true),
            ([203, 0, 113, 100], false),
        ] {
            assert_eq!(port.is_host_on_link(address.into()), is_host, "{address:?}");
        }
    }

    #[test]
    fn one_speaks_from_the_address_on_the_peers_network() {
        let two = port(&["192.0.2.1/24", "198.51.100.1/24"]);
        for (peer, own) in [
            ([198, 51, 100, 9], [198, 51, 100, 1]),
            ([203, 0, 113, 9], [192, 0, 2, 1]),
        ] {
            assert_eq!(two.address_towards(peer.into()), Some(own.into()));
        }
        assert_eq!(port(&[]).address_towards(Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn addresses_that_no_host_has_are_known() {
        for address in [
            [0, 0, 0, 0],
            [0, 1, 2, 3],
            [127, 0, 0, 1],
            [224, 0, 0, 18],
            [240, 0, 0, 1],
            [255, 255, 255, 255],
        ] {
            assert!(!is_host(address.into()), "{address:?}");
        }
        for address in [[1, 0, 0, 1], [10, 0, 0, 1], [223, 255, 255, 254]] {
            assert!(is_host(address.into()), "{address:?}");
        }
    }
}
