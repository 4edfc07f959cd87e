//! The networks that more than one test uses.

pub mod branch;
pub mod sharing;
pub mod vpn;

use std::net::Ipv4Addr;

use crate::Result;
use crate::link::{ETHERNET_MTU, End, cable};
use crate::namespace::Namespace;
use crate::turn::{self, Turn};
use sharing::KernelQueue;

/// Two hosts and what stands between them:
///
/// ```text
/// a (10.71.1.2) ── left (10.71.1.1)  r  right (10.71.2.1) ── (10.71.2.2) b
/// ```
///
/// `r` has interfaces `left` and `right`, without addresses until [`Routed::route_by_kernel`] gives them to the kernel; a
/// program that routes in its place takes the interfaces as they are.
#[derive(Debug)]
pub struct Routed {
    /// The host on the left; its interface is `eth0`.
    pub a: Namespace,
    /// The router's machine.
    pub r: Namespace,
    /// The host on the right; its interface is `eth0`.
    pub b: Namespace,
    right_mtu: u32,
    _queue: KernelQueue,
    _turn: Turn,
}

/// Frames that the ring of a socket holds.
const RING_FRAMES: u32 = 4096;

impl Routed {
    /// Address of the host on the left.
    pub const A: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 2);
    /// The router's address on the left.
    pub const LEFT: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 1);
    /// The router's address on the right.
    pub const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 1);
    /// Address of the host on the right.
    pub const B: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 2);

    /// Lays it out.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn new() -> Result<Self> {
        Self::with_right_mtu(ETHERNET_MTU)
    }

    /// Lays it out with another MTU on the right, for path MTU discovery.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn with_right_mtu(right_mtu: u32) -> Result<Self> {
        let turn = turn::take();
        let routed = Self {
            a: Namespace::new("a")?,
            r: Namespace::new("r")?,
            b: Namespace::new("b")?,
            right_mtu,
            _queue: KernelQueue::lengthen()?,
            _turn: turn,
        };
        cable(routed.a_end(), routed.left(), ETHERNET_MTU)?;
        cable(routed.b_end(), routed.right(), right_mtu)?;
        for (end, address, gateway) in [
            (routed.a_end(), Self::A, Self::LEFT),
            (routed.b_end(), Self::B, Self::RIGHT),
        ] {
            end.address(&format!("{address}/24"))?;
            end.machine
                .sh(&format!("ip route add default via {gateway}"))?;
        }
        Ok(routed)
    }

    /// Makes the kernel of `r` the router.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn route_by_kernel(&self) -> Result<()> {
        self.left().address(&format!("{}/24", Self::LEFT))?;
        self.right().address(&format!("{}/24", Self::RIGHT))?;
        self.r.sysctl("ipv4/ip_forward", "1")
    }

    /// Takes the addresses away from the kernel of `r` again, and what it learned with them.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn unroute_by_kernel(&self) -> Result<()> {
        self.r.sysctl("ipv4/ip_forward", "0")?;
        for end in [self.left(), self.right()] {
            self.r
                .sh(&format!("ip address flush dev {}", end.interface))?;
        }
        // The hosts shall find their new gateway by themselves.
        for end in [self.a_end(), self.b_end()] {
            end.machine
                .sh(&format!("ip neigh flush dev {}", end.interface))?;
        }
        Ok(())
    }

    /// A configuration that makes manifold the router. Its workers sleep when idle, because the hosts need the CPUs too. The
    /// sockets' rings are long enough for the while that a busy machine may keep a worker waiting: what they cannot take the
    /// kernel drops without a word.
    #[must_use]
    pub fn configuration(&self) -> String {
        self.configuration_on(|index, name| {
            format!("net_af_packet{index},iface={name},framecnt={RING_FRAMES}")
        })
    }

    /// The same over net_pcap, which hands on fragments as they are; net_af_packet's socket puts them together.
    #[must_use]
    pub fn configuration_on_pcap(&self) -> String {
        self.configuration_on(|index, name| {
            format!("net_pcap{index},rx_iface_in={name},tx_iface={name}")
        })
    }

    fn configuration_on(&self, device: impl Fn(u32, &str) -> String) -> String {
        let port = |index: u32, name: &str, address: Ipv4Addr, mtu: u32| {
            let device = device(index, name);
            format!(
                "[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\naddresses = [\"{address}/24\"]\nmtu = {mtu}\n"
            )
        };
        let left = port(0, "left", Self::LEFT, ETHERNET_MTU);
        let right = port(1, "right", Self::RIGHT, self.right_mtu);
        format!("[workers]\nidle-sleep = \"50us\"\n\n{left}\n{right}")
    }

    /// The left host's interface.
    #[must_use]
    pub fn a_end(&self) -> End<'_> {
        End::of(&self.a, "eth0")
    }

    /// The router's interface on the left.
    #[must_use]
    pub fn left(&self) -> End<'_> {
        End::of(&self.r, "left")
    }

    /// The router's interface on the right.
    #[must_use]
    pub fn right(&self) -> End<'_> {
        End::of(&self.r, "right")
    }

    /// The right host's interface.
    #[must_use]
    pub fn b_end(&self) -> End<'_> {
        End::of(&self.b, "eth0")
    }

    /// Packets that the kernel dropped on any of the links.
    ///
    /// # Errors
    /// When an interface is gone.
    pub fn link_drops(&self) -> Result<u64> {
        [self.a_end(), self.left(), self.right(), self.b_end()]
            .iter()
            .map(End::drops)
            .sum()
    }
}
