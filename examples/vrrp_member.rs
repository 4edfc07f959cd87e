//! A router over one packet socket in place of a data plane: the host and the virtual routers exactly as in `manifold`, from
//! the same configuration file, but nothing forwards packets at any rate to speak of. For trying the protocol against
//! other implementations where DPDK is not to be had; the end-to-end tests of the protocol run it.
//!
//! It prints every change of state with the time, writes what `show vrrp --json` shows to a file on SIGUSR1, and
//! resigns on SIGTERM.

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use dataplane::addr::MacAddr;
use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::ipv4::{Packet, Protocol};
use lab::packet_socket::PacketSocket;
use manifold::config::{Config, Machine};
use manifold::control::host::{HostConfig, PortIndex};
use manifold::control::router::{Router, Workers};
use manifold::control::routes::Change;
use manifold::control::vrrp::{self, Charge, GroupKey, HookCall, HookRunner, hooks};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use vrrpd::Time;

/// The only port.
const PORT: PortIndex = 0;

/// How often the link is looked at.
const LINK_INTERVAL: Duration = Duration::from_millis(10);

/// Most frames taken in one round, so that a flood does not stop the timers.
const FRAMES_MAX: usize = 4096;

#[derive(Parser)]
struct Arguments {
    /// The configuration, with one port on a kernel interface that has no address of the kernel's.
    #[arg(short, long)]
    config: PathBuf,
    /// Where to write what is shown.
    #[arg(long)]
    show: PathBuf,
}

/// What the workers do elsewhere: which frames come in, and how frames go out.
struct Wire {
    socket: PacketSocket,
    mac: MacAddr,
    /// Of which virtual MACs this router is in charge, by VRID.
    in_charge: [bool; 256],
    hooks: HookRunner,
}

impl Wire {
    /// Whether a frame to `destination` is for this router.
    fn takes(&self, destination: MacAddr) -> bool {
        let in_charge = |vrid: u8| self.in_charge[usize::from(vrid)];
        destination == self.mac
            || destination.is_multicast()
            || destination.vrid_v4().is_some_and(in_charge)
    }
}

impl Workers for Wire {
    type Packet = Vec<u8>;

    /// A frame that the link does not take is lost, as on any link.
    fn transmit(&mut self, _: PortIndex, frame: &[u8]) {
        if let Err(error) = self.socket.send(frame) {
            tracing::debug!("not sent: {error}");
        }
    }

    fn forward(&mut self, port: PortIndex, packet: Vec<u8>) {
        self.transmit(port, &packet);
    }

    /// The host, which sends everything here, knows its neighbours itself.
    fn set_neighbour(&mut self, _: PortIndex, _: Ipv4Addr, _: Option<MacAddr>) {}

    fn set_charge(&mut self, group: GroupKey, charge: Option<Charge>) {
        self.in_charge[usize::from(group.vrid)] = charge == Some(Charge::Ours);
    }

    /// The host has the routes.
    fn change_routes(&mut self, _: &[Change]) -> Result<(), String> {
        Ok(())
    }

    fn run_hook(&mut self, call: HookCall) {
        self.hooks.submit(call);
    }
}

struct Member {
    wire: Wire,
    carrier: PathBuf,
    router: Router<Vec<u8>>,
    start: Instant,
}

impl Member {
    fn new(config: &Config) -> Result<Member, Box<dyn Error>> {
        let [port] = &config.ports[..] else {
            return Err("one port is wanted".into());
        };
        let interface = port.device.kernel_interface().ok_or("no interface")?;
        let system = PathBuf::from("/sys/class/net").join(interface);
        let mac: MacAddr = fs::read_to_string(system.join("address"))?.trim().parse()?;
        let mut wire = Wire {
            socket: PacketSocket::open_here(interface)?,
            mac,
            in_charge: [false; 256],
            hooks: HookRunner::start(hooks::TIME_LIMIT)?,
        };
        let mut router = Router::new(HostConfig::default());
        router.configure(Time::ZERO, config, &[mac], &mut wire)?;
        Ok(Member {
            wire,
            carrier: system.join("carrier"),
            router,
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
                None => self.wire.socket.receive(Duration::ZERO)?,
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
            self.router.on_link(now, PORT, up);
        }
        self.router.carry_out(now, &mut self.wire);
        self.router.tick(now);
        self.router.carry_out(now, &mut self.wire);
        Ok(())
    }

    fn take(&mut self, now: Time, frame: Vec<u8>) {
        let Ok(parsed) = Frame::parse(&frame) else {
            return;
        };
        if !self.wire.takes(parsed.destination) {
            return;
        }
        let is_vrrp = parsed.ether_type == EtherType::IPV4
            && Packet::parse(parsed.payload).is_ok_and(|packet| packet.protocol == Protocol::VRRP);
        if is_vrrp {
            self.router.on_vrrp(now, PORT, &frame);
        } else {
            self.router.on_punt(now, PORT, frame);
        }
    }

    /// Waits until something arrives or a timer is due.
    fn wait(&self) -> Option<Vec<u8>> {
        let now = self.now();
        let due = self.router.poll_timeout().map(|due| due.since(now));
        let patience = due.unwrap_or(LINK_INTERVAL).min(LINK_INTERVAL);
        // An interface that went down is an error of the socket once; the next look at the link finds it.
        self.wire.socket.receive(patience).unwrap_or_default()
    }

    /// Writes what is shown, all at once.
    fn show(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let shown = vrrp::show(self.router.vrrp(), self.now());
        let beside = file.with_extension("new");
        fs::write(&beside, serde_json::to_string(&shown)?)?;
        Ok(fs::rename(&beside, file)?)
    }

    fn run(mut self, shown: &Path) -> Result<(), Box<dyn Error>> {
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
                self.show(shown)?;
            }
            frame = self.wait();
        }
        let now = self.now();
        self.router.shutdown(now, &mut self.wire);
        self.wire.hooks.finish(Duration::from_secs(2));
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
    let config = Config::load(&arguments.config, &Machine::look())?;
    Member::new(&config)?.run(&arguments.show)
}
