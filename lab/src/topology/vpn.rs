//! Two sites of a VPN, each with routers of its own between its LAN and the carrier.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::sharing::{CARRIER, INTERFACE, KEYS, KernelQueue, LAN, settle};
use crate::Result;
use crate::link::{ETHERNET_MTU, End, cable, hub, plug};
use crate::namespace::Namespace;
use crate::turn::{self, Turn};

/// The network:
///
/// ```text
/// a1 … (10.76.1.11 …)   r1 … (lan 10.76.1.2 …, wan 10.76.9.11 …)                 r3 … (wan 10.76.9.21 …)     b1 … (10.76.2.11 …)
///  └── hub ─────────────┘ └──────────────── hub: the carrier ────────────────────┘ └──────────── hub ─────────┘
/// ```
///
/// A site's end systems have the gateway 10.76.SITE.1; the other site's routers send what is for them to 10.76.9.SITE, which the
/// site's routers share as well: each by the end system that a packet is for.
#[derive(Debug)]
pub struct Vpn {
    /// The sites.
    pub sites: [Site; 2],
    /// The carrier's machine.
    pub carrier: Namespace,
    _queue: KernelQueue,
    _turn: Turn,
}

/// One site.
#[derive(Debug)]
pub struct Site {
    /// The end systems.
    pub hosts: Vec<Namespace>,
    /// The routers' machines; without addresses, which are the program's.
    pub routers: Vec<Namespace>,
    /// The hub's machine.
    pub lan: Namespace,
}

impl Vpn {
    /// Lays it out with so many end systems and routers a site, at most 200 and 9.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn new(hosts: u8, routers: u8) -> Result<Self> {
        let turn = turn::take();
        let carrier = Namespace::new(CARRIER)?;
        hub(&carrier, "hub")?;
        let machines = |letter: char, first: u8, count: u8| -> Result<Vec<Namespace>> {
            (first..first + count)
                .map(|number| Namespace::new(&format!("{letter}{number}")))
                .collect()
        };
        let site = |letter, first_router| -> Result<Site> {
            Ok(Site {
                hosts: machines(letter, 1, hosts)?,
                routers: machines('r', first_router, routers)?,
                lan: Namespace::new(LAN)?,
            })
        };
        let sites = [site('a', 1)?, site('b', 1 + routers)?];
        for (index, site) in (0..).zip(&sites) {
            hub(&site.lan, "hub")?;
            for (number, host) in (0..).zip(&site.hosts) {
                attach(End::of(host, INTERFACE), &site.lan)?;
                settle(host, Self::host(index, number), Self::gateway(index))?;
            }
            for router in &site.routers {
                attach(End::of(router, LAN), &site.lan)?;
                attach(End::of(router, CARRIER), &carrier)?;
            }
        }
        Ok(Self {
            sites,
            carrier,
            _queue: KernelQueue::lengthen()?,
            _turn: turn,
        })
    }

    /// The address of an end system; sites and end systems are counted from 0.
    #[must_use]
    pub const fn host(site: u8, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 76, 1 + site, 11 + number)
    }

    /// The end systems' gateway.
    #[must_use]
    pub const fn gateway(site: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 76, 1 + site, 1)
    }

    /// The address of a router on its LAN, counted from 0; also its id in both groups.
    #[must_use]
    pub const fn router(site: u8, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 76, 1 + site, 2 + number)
    }

    /// The configuration of a router. On the LAN the site's first router is master, on the carrier's side its last one.
    #[must_use]
    pub fn configuration(&self, site: u8, number: u8) -> String {
        let systems = (0..).zip(&self.sites[usize::from(site)].hosts);
        let systems: Vec<String> = systems
            .map(|(index, _)| format!("\"{}\"", Self::host(site, index)))
            .collect();
        let (own, other) = (1 + site, 2 - site);
        // What else happens on the machine shall neither hold the routers up nor take their memory.
        let mut text = String::from(
            "[eal]\nhuge-pages = \"off\"\n\n[workers]\nidle-sleep = \"200us\"\n\n[control]\nrealtime-priority = 10\n\n",
        );
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "[[port]]\nname = \"{LAN}\"\ndevice = \"net_af_packet0,iface={LAN}\"\naddresses = [\"{}/24\"]\n\n\
             [[port]]\nname = \"{CARRIER}\"\ndevice = \"net_af_packet1,iface={CARRIER}\"\naddresses = [\"10.76.9.{}/24\"]\n\n\
             [[route]]\nprefix = \"10.76.{other}.0/24\"\nvia = \"10.76.9.{other}\"\n\n\
             [[virtual-router]]\nvrid = 7\nport = \"{LAN}\"\nvirtual-addresses = [\"{}\"]\npriority = {}\n\
             [virtual-router.load-sharing]\n{KEYS}\nsweep = false\nend-systems = [{}]\n\n\
             [[virtual-router]]\nvrid = {}\nport = \"{CARRIER}\"\nvirtual-addresses = [\"10.76.9.{own}\"]\npriority = {}\n\
             [virtual-router.load-sharing]\n{KEYS}\nmatch = \"destination\"\nfollow = \"{LAN}/7\"\n",
            Self::router(site, number),
            1 + 10 * own + number,
            Self::gateway(site),
            200 - 10 * number,
            systems.join(", "),
            7 + own,
            100 + 10 * number,
        );
        text
    }
}

fn attach(end: End<'_>, to: &Namespace) -> Result<()> {
    let port = format!("{}-{}", end.machine.name(), end.interface);
    cable(end, End::of(to, &port), ETHERNET_MTU)?;
    plug(End::of(to, &port), "hub")
}
