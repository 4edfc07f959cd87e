//! A member of VRRP groups over a packet socket: the protocol, ARP and ICMP exactly as in `manifold`, but no data plane behind
//! them, so nothing is routed. For trying the protocol against other implementations where DPDK is not to be had; the
//! end-to-end tests of the protocol run it.
//!
//! It prints every change of state with the time, writes what `show vrrp --json` shows to a file on SIGUSR1, and
//! resigns on SIGTERM.

use std::error::Error;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use dataplane::addr::{Ipv4Prefix, MacAddr};
use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::ipv4::{Packet, Protocol};
use lab::packet_socket::PacketSocket;
use manifold::control::host::{self, HostConfig, HostStack, Port, PortIndex, Route, Routes};
use manifold::control::vrrp::{
    Charge, GroupConfig, HookRunner, Output, Ping, SourceMac, Vrrp, hooks,
};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use vrrpd::{Authentication, Checksum, Config, Time, Version, Vrid};

/// The only port.
const PORT: PortIndex = 0;

/// How often the link is looked at.
const LINK_INTERVAL: Duration = Duration::from_millis(10);

/// Most frames taken in one round, so that a flood does not stop the timers.
const FRAMES_MAX: usize = 4096;

#[derive(Parser)]
struct Arguments {
    /// The interface; the kernel must have no address on it.
    #[arg(long)]
    interface: String,
    /// This router's address and the length of its network's prefix.
    #[arg(long)]
    address: Ipv4Prefix,
    /// The virtual address of the first group; the others follow it.
    #[arg(long)]
    virtual_address: Ipv4Addr,
    /// The VRID of the first group; the others follow it.
    #[arg(long, default_value_t = 7)]
    vrid: u8,
    /// How many groups.
    #[arg(long, default_value_t = 1)]
    groups: u8,
    #[arg(long, default_value_t = 3)]
    version: u8,
    #[arg(long, default_value_t = 100)]
    priority: u8,
    #[arg(long, default_value_t = 1000)]
    interval_ms: u64,
    /// Leave a master of lower priority alone.
    #[arg(long)]
    no_preempt: bool,
    #[arg(long, default_value_t = 0)]
    preempt_delay_ms: u64,
    /// The password of version 2.
    #[arg(long)]
    password: Option<String>,
    /// Send version 3's checksum as RFC 9568 says until a peer is heard.
    #[arg(long)]
    checksum_auto: bool,
    /// Send from the virtual MAC.
    #[arg(long)]
    source_mac_virtual: bool,
    /// Where to write what is shown.
    #[arg(long)]
    show: PathBuf,
    /// A program to run on every change of state.
    #[arg(long)]
    hook: Option<String>,
}

impl Arguments {
    fn group(&self, index: u8) -> Result<GroupConfig, Box<dyn Error>> {
        let version = match self.version {
            2 => Version::V2 {
                authentication: self
                    .password
                    .as_deref()
                    .map_or(Authentication::None, Authentication::text),
            },
            _ => Version::V3 {
                checksum: if self.checksum_auto {
                    Checksum::Auto
                } else {
                    Checksum::With
                },
            },
        };
        let vrid = Vrid::new(self.vrid.wrapping_add(index)).ok_or("VRID 0")?;
        let address = Ipv4Addr::from_bits(self.virtual_address.to_bits() + u32::from(index));
        let mut protocol = Config::new(vrid, version, vec![IpAddr::V4(address)]);
        protocol.priority = self.priority;
        protocol.interval = Duration::from_millis(self.interval_ms);
        protocol.preempt = !self.no_preempt;
        protocol.preempt_delay = Duration::from_millis(self.preempt_delay_ms);
        Ok(GroupConfig {
            port: PORT,
            port_name: self.interface.clone(),
            local: self.address.addr(),
            protocol,
            tracked: Vec::new(),
            source_mac: if self.source_mac_virtual {
                SourceMac::Virtual
            } else {
                SourceMac::Own
            },
            hook: self.hook.clone().map(|program| vec![program]),
        })
    }
}

/// Everything is on the one network.
struct OneNetwork(Ipv4Prefix);

impl Routes for OneNetwork {
    fn route(&self, destination: Ipv4Addr) -> Option<Route> {
        if destination == self.0.addr() {
            Some(Route::Local)
        } else {
            self.0
                .contains(destination)
                .then_some(Route::Connected { port: PORT })
        }
    }
}

struct Member {
    socket: PacketSocket,
    mac: MacAddr,
    carrier: PathBuf,
    routes: OneNetwork,
    vrrp: Vrrp,
    host: HostStack<Vec<u8>>,
    hooks: HookRunner,
    /// The virtual MACs of which this router is in charge, by VRID.
    in_charge: [bool; 256],
    start: Instant,
}

impl Member {
    fn new(arguments: &Arguments) -> Result<Member, Box<dyn Error>> {
        let system = PathBuf::from("/sys/class/net").join(&arguments.interface);
        let mac: MacAddr = fs::read_to_string(system.join("address"))?.trim().parse()?;
        let port = Port {
            index: PORT,
            mac,
            mtu_octets: 1500,
            addresses: vec![arguments.address],
            further_networks: Vec::new(),
        };
        let groups = (0..arguments.groups).map(|index| arguments.group(index));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        let mut vrrp = Vrrp::new();
        vrrp.apply(Time::ZERO, std::slice::from_ref(&port), groups)?;
        let mut host = HostStack::new(HostConfig::default());
        host.set_ports([port]);
        Ok(Member {
            socket: PacketSocket::open_here(&arguments.interface)?,
            mac,
            carrier: system.join("carrier"),
            routes: OneNetwork(arguments.address),
            vrrp,
            host,
            hooks: HookRunner::start(hooks::TIME_LIMIT)?,
            in_charge: [false; 256],
            start: Instant::now(),
        })
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// A round of the loop, `next` being the frame that ended the last one's sleep.
    fn round(
        &mut self,
        mut next: Option<Vec<u8>>,
        look_at_link: bool,
    ) -> Result<(), Box<dyn Error>> {
        let now = self.now();
        for _ in 0..FRAMES_MAX {
            let frame = match next.take() {
                None => self.socket.receive(Duration::ZERO)?,
                first => first,
            };
            let Some(frame) = frame else {
                break;
            };
            self.take(now, frame);
        }
        if look_at_link {
            // An interface that is down has no carrier to read.
            let up = fs::read_to_string(&self.carrier).is_ok_and(|carrier| carrier.trim() == "1");
            self.vrrp.port_link(now, PORT, up);
        }
        self.vrrp.tick(now);
        self.host.tick(now, &self.routes);
        self.carry_out(now);
        Ok(())
    }

    fn take(&mut self, now: Time, frame: Vec<u8>) {
        let Ok(parsed) = Frame::parse(&frame) else {
            return;
        };
        let to = parsed.destination;
        let ours = to == self.mac
            || to.is_multicast()
            || to
                .vrid_v4()
                .is_some_and(|vrid| self.in_charge[usize::from(vrid)]);
        if !ours {
            return;
        }
        let is_vrrp = parsed.ether_type == EtherType::IPV4
            && Packet::parse(parsed.payload).is_ok_and(|packet| packet.protocol == Protocol::VRRP);
        if is_vrrp {
            self.vrrp.on_frame(now, PORT, &frame);
        } else {
            self.host.on_punt(now, &self.routes, PORT, frame);
        }
    }

    fn carry_out(&mut self, now: Time) {
        if let Some(virtuals) = self.vrrp.take_changed_virtuals() {
            self.host.set_virtuals(virtuals);
        }
        while let Some(output) = self.vrrp.poll_output() {
            match output {
                Output::Transmit { frame, .. } => self.send(&frame),
                Output::Send(packet) => self.host.send(now, &self.routes, &packet),
                Output::Announce { group, address } => {
                    self.host.announce(group.port, group.vrid, address);
                }
                Output::Charge { group, charge } => {
                    self.in_charge[usize::from(group.vrid)] = charge == Some(Charge::Ours);
                }
                Output::Ping(Ping {
                    to,
                    identifier,
                    sequence,
                }) => self.host.ping(now, &self.routes, to, identifier, sequence),
                Output::Hook(call) => self.hooks.submit(call),
            }
        }
        while let Some(output) = self.host.poll_output() {
            match output {
                host::Output::Transmit { frame, .. } => self.send(&frame),
                // Nothing is routed, so nobody needs a neighbour.
                host::Output::Forward { .. } | host::Output::SetNeighbour { .. } => {}
                host::Output::EchoReply {
                    source: to,
                    identifier,
                    sequence,
                } => self.vrrp.on_echo_reply(
                    now,
                    Ping {
                        to,
                        identifier,
                        sequence,
                    },
                ),
                host::Output::Conflict { conflict, .. } => {
                    tracing::warn!("{} is claimed by {}", conflict.address, conflict.mac);
                }
            }
        }
    }

    /// A frame that the link does not take is lost, as on any link.
    fn send(&self, frame: &[u8]) {
        if let Err(error) = self.socket.send(frame) {
            tracing::debug!("not sent: {error}");
        }
    }

    /// Waits until something arrives or a timer is due.
    fn wait(&self) -> Option<Vec<u8>> {
        let due = [self.vrrp.poll_timeout(), self.host.poll_timeout()];
        let now = self.now();
        let due = due.into_iter().flatten().map(|due| due.since(now)).min();
        let patience = due.unwrap_or(LINK_INTERVAL).min(LINK_INTERVAL);
        // An interface that went down is an error of the socket once; the next look at the link finds it.
        self.socket.receive(patience).unwrap_or_default()
    }

    /// Writes what is shown, all at once.
    fn show(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let shown = serde_json::to_string(&manifold::control::vrrp::show(&self.vrrp, self.now()))?;
        let beside = file.with_extension("new");
        fs::write(&beside, shown)?;
        Ok(fs::rename(&beside, file)?)
    }

    fn run(mut self, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
        let [stop, show] = [SIGTERM, SIGUSR1].map(|signal| {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag)).map(|_| flag)
        });
        let (stop, show) = (stop?, show?);
        let mut frame = None;
        let mut looked = None;
        println!("{} started", wall_clock());
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let look = looked.is_none_or(|looked| now.duration_since(looked) >= LINK_INTERVAL);
            if look {
                looked = Some(now);
            }
            self.round(frame, look)?;
            if show.swap(false, Ordering::Relaxed) {
                self.show(&arguments.show)?;
            }
            frame = self.wait();
        }
        let now = self.now();
        self.vrrp.shutdown(now);
        self.carry_out(now);
        self.hooks.finish(Duration::from_secs(2));
        Ok(())
    }
}

/// Seconds since 1970, which other processes count too.
fn wall_clock() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    format!("{:.6}", since.unwrap_or_default().as_secs_f64())
}

/// Prints log lines with [`wall_clock`].
struct Clock;

impl tracing_subscriber::fmt::time::FormatTime for Clock {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        w.write_str(&wall_clock())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_timer(Clock)
        .with_ansi(false)
        .with_target(false)
        .init();
    let arguments = Arguments::parse();
    Member::new(&arguments)?.run(&arguments)
}
