//! End systems on a hub, several routers that share their load, and servers behind them.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::error::Doing;
use crate::link::{ETHERNET_MTU, End, cable, hub, plug};
use crate::namespace::Namespace;
use crate::relay::{Relay, Treatment};
use crate::turn::{self, Turn};

/// The interface of every machine with one.
pub const INTERFACE: &str = "eth0";
/// A router's interface to the end systems, and its port.
pub const LAN: &str = "lan";
/// A router's interface to the servers, and its port.
pub const CARRIER: &str = "wan";

/// The socket of a router's memif, in its `/run`.
const MEMIF: &str = "memif.sock";

/// The network:
///
/// ```text
/// h1 … (10.75.1.11 …)      r1 … (lan 10.75.1.2 …, wan 10.75.2.2 …)          s1 … (10.75.2.11 …)
///  └── hub ────────────────┘ └──────────────────────────── bridge ────────────┘
/// ```
///
/// The end systems' gateway is the virtual address 10.75.1.1. The servers' is 10.75.2.1, a virtual router that shares
/// nothing and whose master is the last router, so that the way back does not depend on the first ones.
#[derive(Debug)]
pub struct Sharing {
    /// The end systems, from `h1`.
    pub hosts: Vec<Namespace>,
    /// The routers' machines, from `r1`; without addresses, which are the program's.
    pub routers: Vec<Namespace>,
    /// The servers, from `s1`.
    pub servers: Vec<Namespace>,
    /// The hub's machine.
    pub lan: Namespace,
    /// The bridge's machine.
    pub carrier: Namespace,
    _queue: KernelQueue,
    _turn: Turn,
}

/// The secret of the group's key.
pub const SECRET: &str = "a secret of the laboratory";
/// A line of load sharing: the keys.
pub const KEYS: &str = "keys = [{ id = 1, secret = \"a secret of the laboratory\" }]";

/// What a router's configuration says beyond what all have.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The advertisement interval.
    pub interval: Duration,
    /// Further lines for the table of the workers.
    pub workers: &'static str,
    /// Further lines for the table of the control thread.
    pub control: &'static str,
    /// Further lines for the table of the LAN's virtual router.
    pub lan: String,
    /// The lines of its load sharing, authentication among them; none: the master routes alone.
    pub sharing: Option<String>,
    /// Further tables, for all but substitution servers; in them `{priority}` stands for one that is highest at the last router, and `{id}` for the
    /// router's id.
    pub further: String,
    /// How many of the last machines are substitution servers, on the LAN alone.
    pub servers: u8,
    /// By router, how many receive queues each of its ports has, and how many workers it; one for those not named.
    pub queues: Vec<u8>,
    /// Which router, counted from 0, reaches the carrier's side through a memif instead of by its own interface.
    pub memif: Option<u8>,
    /// How many packets that router holds back at most, if not as many as any.
    pub backlog: Option<u32>,
}

impl Default for Setup {
    /// One key, and an interval that no busy machine stretches to a master's silence.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            workers: "",
            control: "",
            lan: String::new(),
            further: String::new(),
            sharing: Some(format!("{KEYS}\n")),
            servers: 0,
            queues: Vec::new(),
            memif: None,
            backlog: None,
        }
    }
}

impl Setup {
    fn device(&self, router: u8, number: usize, interface: &str) -> String {
        if interface == CARRIER && self.memif == Some(router) {
            let socket = format!("socket=/run/{MEMIF},socket-abstract=no");
            return format!("net_memif{number},role=server,id=0,{socket}");
        }
        let device = format!("net_af_packet{number},iface={interface}");
        match self.queues_of(router) {
            1 => device,
            queues => format!("{device},qpairs={queues}"),
        }
    }

    fn queues_of(&self, router: u8) -> u8 {
        self.queues.get(usize::from(router)).copied().unwrap_or(1)
    }
}

impl Sharing {
    /// The end systems' gateway.
    pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 75, 1, 1);
    /// The servers' gateway.
    pub const CARRIER_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 75, 2, 1);
    /// The VRID of the LAN's group.
    pub const VRID: u8 = 7;

    /// Lays it out with so many end systems, routers and servers, at most 200, 9 and 200.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn new(hosts: u8, routers: u8, servers: u8) -> Result<Self> {
        let turn = turn::take();
        let machines = |letter: char, count: u8| -> Result<Vec<Namespace>> {
            (1..=count)
                .map(|number| Namespace::new(&format!("{letter}{number}")))
                .collect()
        };
        let net = Self {
            hosts: machines('h', hosts)?,
            routers: machines('r', routers)?,
            servers: machines('s', servers)?,
            lan: Namespace::new(LAN)?,
            carrier: Namespace::new(CARRIER)?,
            _queue: KernelQueue::lengthen()?,
            _turn: turn,
        };
        hub(&net.lan, "hub")?;
        net.carrier
            .sh("ip link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
        net.carrier.sh("ip link set bridge up")?;
        for (index, host) in (0..).zip(&net.hosts) {
            net.attach(End::of(host, INTERFACE), &net.lan)?;
            settle(host, Self::host(index), Self::GATEWAY)?;
        }
        for router in &net.routers {
            net.attach(End::of(router, LAN), &net.lan)?;
            net.attach(End::of(router, CARRIER), &net.carrier)?;
        }
        for (index, server) in (0..).zip(&net.servers) {
            net.attach(End::of(server, INTERFACE), &net.carrier)?;
            settle(server, Self::server(index), Self::CARRIER_GATEWAY)?;
        }
        Ok(net)
    }

    fn attach(&self, end: End<'_>, to: &Namespace) -> Result<()> {
        let port = format!("{}-{}", end.machine.name(), end.interface);
        cable(end, End::of(to, &port), ETHERNET_MTU)?;
        if std::ptr::eq(to, &self.lan) {
            return plug(End::of(to, &port), "hub");
        }
        to.sh(&format!("ip link set {port} master bridge"))
            .map(drop)
    }

    /// Another machine on one of the sides, [`LAN`] or [`CARRIER`], without an address; its interface is `eth0`.
    ///
    /// # Errors
    /// Mostly: there is one of that name.
    pub fn guest(&self, name: &str, side: &str) -> Result<Namespace> {
        let guest = Namespace::new(name)?;
        let to = if side == LAN {
            &self.lan
        } else {
            &self.carrier
        };
        self.attach(End::of(&guest, INTERFACE), to)?;
        Ok(guest)
    }

    /// Puts a relay into the cable between a router and the end systems' hub.
    ///
    /// # Errors
    /// When there is one already.
    pub fn relay(&self, router: u8, treatment: Treatment) -> Result<Relay> {
        let port = format!("r{}-{LAN}", router + 1);
        let (inside, outside) = (format!("in{router}"), format!("out{router}"));
        let end = |interface| End::of(&self.lan, interface);
        self.lan.sh(&format!("ip link set {port} nomaster"))?;
        cable(end(&inside), end(&outside), ETHERNET_MTU)?;
        plug(end(&outside), "hub")?;
        Relay::start(end(&inside), end(&port), treatment)
    }

    /// Where the memif of a router ([`Setup::memif`]) is found from any machine. The router listens.
    #[must_use]
    pub fn memif_socket(&self, router: u8) -> PathBuf {
        self.routers[usize::from(router)].run_file(MEMIF)
    }

    /// The address of an end system, counted from 0.
    #[must_use]
    pub const fn host(index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 75, 1, 11 + index)
    }

    /// The address of a router on the LAN, counted from 0; also its id.
    #[must_use]
    pub const fn router(index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 75, 1, 2 + index)
    }

    /// The address of a router on the carrier's side, counted from 0.
    #[must_use]
    pub const fn router_at_carrier(index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 75, 2, 2 + index)
    }

    /// The hub's port that a router is plugged into.
    #[must_use]
    pub fn hub_port(index: u8) -> String {
        format!("r{}-{LAN}", index + 1)
    }

    /// The address of a server, counted from 0.
    #[must_use]
    pub const fn server(index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 75, 2, 11 + index)
    }

    /// An end system's interface.
    #[must_use]
    pub fn host_end(&self, index: u8) -> End<'_> {
        End::of(&self.hosts[usize::from(index)], INTERFACE)
    }

    /// A server's interface.
    #[must_use]
    pub fn server_end(&self, index: u8) -> End<'_> {
        End::of(&self.servers[usize::from(index)], INTERFACE)
    }

    /// A router's interface, [`LAN`] or [`CARRIER`].
    #[must_use]
    pub fn router_end<'a>(&'a self, index: u8, interface: &'a str) -> End<'a> {
        End::of(&self.routers[usize::from(index)], interface)
    }

    /// The longest time for which the end systems of a router that crashes may be blocked where advertisements come every `interval`: three of them, the skew of
    /// the lowest priority, and 50 ms.
    #[must_use]
    pub fn blocked_max(&self, interval: Duration) -> Duration {
        let lowest = Self::priority(u8::try_from(self.routers.len()).unwrap_or(u8::MAX) - 1);
        3 * interval + interval * (256 - u32::from(lowest)) / 256 + Duration::from_millis(50)
    }

    /// The VRRP priority of a router on the LAN, counted from 0.
    const fn priority(index: u8) -> u8 {
        200 - 10 * index
    }

    /// Whether a machine is a substitution server.
    #[must_use]
    pub fn is_server(&self, index: u8, setup: &Setup) -> bool {
        usize::from(index) + usize::from(setup.servers) >= self.routers.len()
    }

    /// The configuration of a router. The first router is master on the LAN, the last one on the carrier's side.
    #[must_use]
    pub fn configuration(&self, index: u8, setup: &Setup) -> String {
        let Setup {
            interval,
            workers: of_workers,
            control,
            lan,
            sharing,
            further,
            ..
        } = setup;
        let interval = format!("{}ms", interval.as_millis());
        let is_server = self.is_server(index, setup);
        let workers = setup.queues_of(index);
        // A router at a memif leaves its ring alone for a while, so that the other end can be the slower one.
        let at_memif = setup.memif == Some(index);
        let sleep = if at_memif { "5ms" } else { "50us" };
        let backlog = setup.backlog.filter(|_| at_memif);
        let backlog = backlog.map_or_else(String::new, |most| format!("backlog = {most}\n"));
        // What else happens on the machine shall neither hold the routers up nor take their memory.
        let mut text = format!(
            "[eal]\nhuge-pages = \"off\"\n\n[workers]\ncount = {workers}\nidle-sleep = \"{sleep}\"\n{backlog}{of_workers}\n\n[control]\nrealtime-priority = 10\n{control}\n",
        );
        for (number, name, address) in [
            (0, LAN, Self::router(index)),
            (1, CARRIER, Self::router_at_carrier(index)),
        ] {
            if is_server && name == CARRIER {
                continue;
            }
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "[[port]]\nname = \"{name}\"\ndevice = \"{}\"\naddresses = [\"{address}/24\"]\n",
                setup.device(index, number, name),
            );
        }
        if !is_server {
            let _ = write!(
                text,
                "[[virtual-router]]\nvrid = 8\nport = \"{CARRIER}\"\nvirtual-addresses = [\"{}\"]\npriority = {}\n\
                 advertisement-interval = \"{interval}\"\n\n",
                Self::CARRIER_GATEWAY,
                100 + 10 * index,
            );
        }
        let _ = write!(
            text,
            "[[virtual-router]]\nvrid = {}\nport = \"{LAN}\"\nvirtual-addresses = [\"{}\"]\npriority = {}\n\
             advertisement-interval = \"{interval}\"\n{lan}\n",
            Self::VRID,
            Self::GATEWAY,
            Self::priority(index),
        );
        if let Some(sharing) = sharing {
            let role = match is_server {
                true => "role = \"substitution-server\"\n",
                false => "",
            };
            let _ = write!(text, "[virtual-router.load-sharing]\n{role}{sharing}");
        }
        if !is_server {
            let priority = (100 + 10 * index).to_string();
            let id = Self::router(index).to_string();
            text += &further
                .replace("{priority}", &priority)
                .replace("{id}", &id);
        }
        text
    }

    /// From now on nothing that others say on the LAN reaches a router, or again everything does.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn set_deaf(&self, router: u8, deaf: bool) -> Result<()> {
        let flood = if deaf { "off" } else { "on" };
        let what = format!("flood {flood} mcast_flood {flood} bcast_flood {flood}");
        self.set_hub_port(router, &what)
    }

    /// From now on nothing that a router says on the LAN reaches others, or again everything does.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn set_mute(&self, router: u8, mute: bool) -> Result<()> {
        // A locked port takes frames from link addresses only that the hub has learned, and it learns none.
        let locked = if mute { "on" } else { "off" };
        self.set_hub_port(router, &format!("locked {locked}"))
    }

    fn set_hub_port(&self, router: u8, what: &str) -> Result<()> {
        let machine = &self.routers[usize::from(router)];
        let port = format!("{}-{LAN}", machine.name());
        let line = format!("ip link set {port} type bridge_slave {what}");
        self.lan.sh(&line).map(drop)
    }

    /// Packets that the kernel dropped on any of the links, at either end.
    ///
    /// # Errors
    /// When an interface is gone.
    pub fn link_drops(&self) -> Result<u64> {
        let mut ends = Vec::new();
        for machine in self.hosts.iter().chain(&self.servers) {
            ends.extend([(machine, INTERFACE, self.side_of(machine))]);
        }
        for machine in &self.routers {
            ends.extend([(machine, LAN, &self.lan), (machine, CARRIER, &self.carrier)]);
        }
        let drops = ends.into_iter().map(|(machine, interface, side)| {
            let other = format!("{}-{interface}", machine.name());
            Ok(End::of(machine, interface).drops()? + End::of(side, &other).drops()?)
        });
        drops.sum()
    }

    /// The machine of the bridge that an end system or a server is plugged into.
    fn side_of(&self, machine: &Namespace) -> &Namespace {
        match self.hosts.iter().any(|host| std::ptr::eq(host, machine)) {
            true => &self.lan,
            false => &self.carrier,
        }
    }
}

/// Gives a machine its address and its gateway.
pub(super) fn settle(machine: &Namespace, address: Ipv4Addr, gateway: Ipv4Addr) -> Result<()> {
    End::of(machine, INTERFACE).address(&format!("{address}/24"))?;
    machine.sh(&format!("ip route add default via {gateway}"))?;
    // A tail-loss probe sends a segment again without any loss.
    machine.sysctl("ipv4/tcp_early_retrans", "0")
}

/// The kernel's queue of frames between machines, made longer while this lives: a hub makes one frame many, and its 1,000
/// places are this machine's limit, not the network's.
#[derive(Debug)]
pub(super) struct KernelQueue {
    before: String,
}

const QUEUE: &str = "/proc/sys/net/core/netdev_max_backlog";
const QUEUE_FRAMES: &str = "50000";

impl KernelQueue {
    pub(super) fn lengthen() -> Result<Self> {
        let before = fs::read_to_string(QUEUE).doing(|| format!("read {QUEUE}"))?;
        fs::write(QUEUE, QUEUE_FRAMES).doing(|| format!("write {QUEUE}"))?;
        Ok(Self { before })
    }
}

impl Drop for KernelQueue {
    fn drop(&mut self) {
        // What could be written before can be written again.
        let _ = fs::write(QUEUE, self.before.trim());
    }
}
