//! End systems behind a further router on the link of a group.

use std::net::Ipv4Addr;

use super::sharing::{INTERFACE, LAN, Sharing, settle};
use crate::Result;
use crate::link::{ETHERNET_MTU, End, cable, hub, plug};
use crate::namespace::Namespace;

/// Beside the end systems of a [`Sharing`] network, a router that is the kernel's, and what is behind it:
///
/// ```text
/// c1 (10.75.1.100) on the end systems' hub, (10.75.3.1) ── d1 … (10.75.3.11 …)
/// ```
///
/// Its gateway is the end systems'; the group's routers need a [route](Branch::ROUTE) to it.
#[derive(Debug)]
pub struct Branch {
    /// The further router.
    pub router: Namespace,
    /// The end systems behind it, from `d1`.
    pub hosts: Vec<Namespace>,
}

impl Branch {
    /// The further router's address on the link.
    pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 75, 1, 100);
    /// Its address before the end systems, their gateway.
    const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 75, 3, 1);
    /// The table of a router's configuration that leads there.
    pub const ROUTE: &str = "\n[[route]]\nprefix = \"10.75.3.0/24\"\nvia = \"10.75.1.100\"\n";

    /// Lays it out with so many end systems, at most 200.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn attach(net: &Sharing, hosts: u8) -> Result<Self> {
        let router = net.guest("c1", LAN)?;
        settle(&router, Self::ROUTER, Sharing::GATEWAY)?;
        router.sysctl("ipv4/ip_forward", "1")?;
        hub(&router, "inside")?;
        End::of(&router, "inside").address(&format!("{}/24", Self::INSIDE))?;
        let mut branch = Self {
            router,
            hosts: Vec::new(),
        };
        for index in 0..hosts {
            let host = Namespace::new(&format!("d{}", index + 1))?;
            let port = format!("{}-{INTERFACE}", host.name());
            let port = End::of(&branch.router, &port);
            cable(End::of(&host, INTERFACE), port, ETHERNET_MTU)?;
            plug(port, "inside")?;
            settle(&host, Self::host(index), Self::INSIDE)?;
            branch.hosts.push(host);
        }
        Ok(branch)
    }

    /// The address of an end system behind it, counted from 0.
    #[must_use]
    pub const fn host(index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 75, 3, 11 + index)
    }
}
