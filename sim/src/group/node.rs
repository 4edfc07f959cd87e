//! One router: the program's own decisions ([`Router`]) as its configuration file has them, over simulated workers, by a clock of its own.

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use dataplane::addr::MacAddr;
use manifold::config::{Config, Machine};
use manifold::control::host::HostConfig;
use manifold::control::router::Router;
use manifold::control::vrrp::GroupKey;
use vrrpd::sharing::names::Condition;
use vrrpd::{Moment, Time};

use super::plan::{HOLD_LIMIT_MS, PRIORITY_MIN, Plan};
use super::plane::Plane;
use super::worker::{Doings, Frame, PORTS, WORKERS};

/// The VRIDs of the LAN's side and of the carrier's.
pub(crate) const VRIDS: [u8; PORTS] = [7, 8];

pub(crate) fn group(port: u16) -> GroupKey {
    GroupKey {
        port,
        vrid: VRIDS[usize::from(port)],
    }
}

pub(crate) fn end_system(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 128 + host as u8)
}

/// A router's address on a port.
pub(crate) fn address(router: usize, port: u16) -> Ipv4Addr {
    Ipv4Addr::new(10, port as u8, 0, 10 + router as u8)
}

/// What a configuration file would say.
fn configuration(plan: &Plan, node: usize) -> String {
    let mut text = String::new();
    let ports = plan.ports(node);
    // Writing to a string does not fail.
    for port in 0..ports {
        let own = address(node, port);
        let _ = writeln!(
            text,
            "[[port]]\nname = \"p{port}\"\ndevice = \"net_null{port}\"\naddresses = [\"{own}/24\"]"
        );
    }
    for port in 0..plan.sides.min(ports) {
        let vrid = VRIDS[usize::from(port)];
        let mode = if plan.timer_mode { "timer" } else { "sequence" };
        // A group that follows has another master.
        let priority = match (port, plan.follows) {
            (1, true) => PRIORITY_MIN as usize + 5 * (plan.nodes() - node),
            _ => PRIORITY_MIN as usize + 5 * node,
        };
        let _ = writeln!(
            text,
            "[[virtual-router]]\nvrid = {vrid}\nport = \"p{port}\"\npriority = {priority}\n\
             virtual-addresses = [\"10.{port}.0.1\"]\nadvertisement-interval = \"{}ms\"\n\
             [virtual-router.load-sharing]\nmode = \"{mode}\"\nlearn = false\n\
             confirm-interval = \"3ms\"\nhold-time = \"10ms\"\nhold-limit = \"{HOLD_LIMIT_MS}ms\"\n\
             drain-limit = \"2s\"\nbatch-size = 6\n\
             keys = [{{ id = 1, secret = \"a secret of sixteen octets\" }}]",
            plan.interval_ms,
        );
        if plan.is_server(node) {
            text += "role = \"substitution-server\"\n";
        }
        text += &end_systems(plan, port);
    }
    text
}

/// What the group of a side shares.
fn end_systems(plan: &Plan, port: u16) -> String {
    let hosts: Vec<String> = (0..plan.hosts)
        .map(|host| format!("\"{}/32\"", end_system(host)))
        .collect();
    let named = format!("end-systems = [{}]\n", hosts.join(", "));
    match (port, plan.follows) {
        (0, _) => format!("match = \"source\"\n{named}"),
        (_, true) => format!("match = \"destination\"\nfollow = \"p0/{}\"\n", VRIDS[0]),
        // They are behind a further router.
        (_, false) => format!(
            "match = \"destination\"\n[[virtual-router.load-sharing.node]]\naddress = \"10.1.0.2\"\n{named}"
        ),
    }
}

/// A router's own time.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started_at: u64,
    drift_ppm: i64,
}

impl Clock {
    fn local(self, now: u64) -> Time {
        let since = now.saturating_sub(self.started_at);
        let wrong = since as i64 / 1_000_000 * self.drift_ppm;
        Time::ZERO
            + Duration::from_secs(1)
            + Duration::from_nanos(since.saturating_add_signed(wrong))
    }

    /// Not before `at` comes by this clock.
    fn global(self, at: Time) -> u64 {
        let since = at.since(Time::ZERO + Duration::from_secs(1)).as_nanos() as u64;
        let wrong = since as i64 / 1_000_000 * self.drift_ppm;
        self.started_at + since.saturating_add_signed(-wrong) + 2_000
    }
}

pub(crate) struct Node {
    number: usize,
    config: Config,
    macs: Vec<MacAddr>,
    /// `None` while it is down.
    router: Option<Router<Vec<u8>>>,
    pub(crate) plane: Plane,
    inbox: VecDeque<(u16, Rc<[u8]>)>,
    pub(crate) links: [bool; PORTS],
    clock: Clock,
    /// Counts its starts, so that what was meant for an earlier one is known.
    pub(crate) life: u32,
    pub(crate) control_stalled_until: u64,
    pub(crate) workers_stalled_until: u64,
    pub(crate) round_at: [Option<u64>; WORKERS],
    pub(crate) control_at: Option<u64>,
    is_draining: bool,
    /// Moves that it has finished without an answer in this life, as far as that was noticed.
    taken_without_answer: u64,
}

impl Node {
    /// A router that is down.
    ///
    /// # Errors
    ///
    /// The configuration is refused.
    pub(crate) fn new(plan: &Plan, number: usize, traced: bool) -> Result<Node, String> {
        let text = configuration(plan, number);
        let config =
            Config::parse("router.toml", &text, &Machine::default()).map_err(|problems| {
                let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
                texts.join("\n")
            })?;
        let mac = |port: u16| MacAddr([2, 0, 0, 0, number as u8, port as u8]);
        Ok(Node {
            number,
            config,
            macs: (0..plan.ports(number)).map(mac).collect(),
            router: None,
            plane: Self::plane(plan, traced),
            inbox: VecDeque::new(),
            links: [true; PORTS],
            clock: Clock {
                started_at: 0,
                drift_ppm: plan.drift_ppm[number],
            },
            life: 0,
            control_stalled_until: 0,
            workers_stalled_until: 0,
            round_at: [None; WORKERS],
            control_at: None,
            is_draining: false,
            taken_without_answer: 0,
        })
    }

    fn plane(plan: &Plan, traced: bool) -> Plane {
        Plane::new(
            (0..plan.hosts).map(end_system).collect(),
            plan.planted,
            traced,
        )
    }

    pub(crate) fn is_up(&self) -> bool {
        self.router.is_some()
    }

    pub(crate) fn router(&self) -> Option<&Router<Vec<u8>>> {
        self.router.as_ref()
    }

    /// Starts, as a program does: with nothing.
    pub(crate) fn start(&mut self, plan: &Plan, now: u64, seed: u64) -> Result<(), String> {
        self.stop();
        self.plane = Self::plane(plan, self.plane.notes.is_some());
        self.clock.started_at = now;
        let mut router = Router::new(HostConfig::default(), seed);
        let at = self.clock.local(now);
        router
            .configure(at, &self.config, &self.macs, &mut self.plane)
            .map_err(|error| error.to_string())?;
        self.router = Some(router);
        Ok(())
    }

    /// Is gone without a word.
    pub(crate) fn stop(&mut self) {
        self.life += 1;
        self.router = None;
        self.inbox.clear();
        self.round_at = [None; WORKERS];
        self.control_at = None;
        self.control_stalled_until = 0;
        self.workers_stalled_until = 0;
        self.is_draining = false;
        self.taken_without_answer = 0;
        self.plane.packet_ns = 0;
    }

    /// A frame is at a port; whether there was room for it.
    pub(crate) fn arrive(&mut self, worker: usize, port: u16, frame: Frame) -> bool {
        self.is_up() && self.links[usize::from(port)] && self.plane.deliver(worker, port, frame)
    }

    /// A worker's round.
    pub(crate) fn round(&mut self, worker: usize, now: u64) -> Doings {
        let mut doings = Doings::default();
        self.plane.round(worker, now, &mut doings);
        self.inbox.extend(doings.punted.drain(..));
        doings
    }

    /// Whether the control thread has something to do before its timers are due.
    pub(crate) fn has_news(&self) -> bool {
        !self.inbox.is_empty() || self.plane.has_news()
    }

    /// When its timers are due.
    pub(crate) fn due(&self) -> Option<u64> {
        let at = self.router.as_ref()?.poll_timeout()?;
        Some(self.clock.global(at))
    }

    /// A round of the control thread, as `src/control/mod.rs` has it.
    pub(crate) fn control(&mut self, now: u64) -> Vec<(u16, Vec<u8>)> {
        let Some(router) = &mut self.router else {
            return Vec::new();
        };
        let at = Moment {
            now: self.clock.local(now),
            heard: self.clock.local(self.plane.heard(now)),
        };
        for (port, frame) in self.inbox.drain(..) {
            if frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&112) {
                router.on_vrrp(at, port, &frame);
            } else {
                router.on_punt(at.now, port, frame.to_vec());
            }
        }
        for (port, up) in (0..).zip(self.links) {
            router.on_link(at, port, up);
        }
        router.hear_workers(at, &mut self.plane);
        router.carry_out(at, &mut self.plane);
        router.tick(at);
        router.carry_out(at, &mut self.plane);
        router.publish(&mut self.plane);
        std::mem::take(&mut self.plane.outgoing)
    }

    /// Whether it has taken anything since the last call whose router was lost, as it was told.
    pub(crate) fn has_taken_from_the_lost(&mut self) -> bool {
        let parts = self.router.iter().flat_map(|router| router.vrrp().parts());
        let taken = parts
            .map(|(_, part)| part.moves().counters().taken_without_answer)
            .sum();
        std::mem::replace(&mut self.taken_without_answer, taken) < taken
    }

    /// The operator orders a condition elsewhere; whether this router is one that may.
    pub(crate) fn order(&mut self, now: u64, host: usize, to: Ipv4Addr) -> bool {
        let at = self.clock.local(now);
        let condition = Condition::Address(end_system(host).into());
        self.router
            .as_mut()
            .is_some_and(|router| router.vrrp_mut().move_to(at, condition, to).is_ok())
    }

    /// The operator has everything given away.
    pub(crate) fn drain(&mut self, now: u64) {
        let at = self.clock.local(now);
        if let Some(router) = &mut self.router {
            router.vrrp_mut().drain(at);
            self.is_draining = true;
        }
    }

    /// Ends, if everything has been given away; what it sends at last.
    pub(crate) fn end_if_drained(&mut self, now: u64) -> Option<Vec<(u16, Vec<u8>)>> {
        let at = self.clock.local(now);
        let router = self.router.as_mut()?;
        if !self.is_draining || !router.vrrp().is_drained() {
            return None;
        }
        router.shutdown(at, &mut self.plane);
        let sent = std::mem::take(&mut self.plane.outgoing);
        self.stop();
        Some(sent)
    }

    /// What it thinks of the group, for whoever has to find out why.
    pub(crate) fn describe(&self) -> Vec<String> {
        let parts = self.router.iter().flat_map(|router| router.vrrp().parts());
        let mut lines = Vec::new();
        for (key, part) in parts {
            let table = part.table();
            lines.push(format!(
                "router {} on port {}: {}, authority {:?}, installed {}, members {:?}",
                self.number,
                key.port,
                part.state(),
                part.authority(),
                table.installed(),
                table.members().collect::<Vec<_>>()
            ));
            for (condition, row) in table.rows() {
                let unfinished = row.unfinished.map(|name| name.to_string());
                lines.push(format!(
                    "  {condition} with {}, {}",
                    row.router,
                    unfinished.unwrap_or_default()
                ));
            }
            for report in part.moves().reports() {
                lines.push(format!("  {}: {:?}", report.name, report.status));
            }
        }
        lines
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }
}
