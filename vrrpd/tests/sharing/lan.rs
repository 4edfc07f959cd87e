//! A LAN with routers that share load, under virtual time: ports that keep the order of one sender but not across senders,
//! control messages lost and doubled, routers that crash, restart, freeze, or know VRRP alone, hosts that never stop sending.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use vrrpd::sharing::LoadSharing;
use vrrpd::sharing::load_sharing::{self, Event};
use vrrpd::sharing::moves;
use vrrpd::sharing::names::{BootId, Condition, Mode, RouterId, Seen};
use vrrpd::sharing::wire::{Group, Key};
use vrrpd::wire::{Header, TTL};
use vrrpd::{
    Cause, Checksum, Config, Family, Output, Received, Time, Transmit, Version, VirtualRouter, Vrid,
};

use crate::plane::{Order, Packet, Plane};

pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000 * US;

/// The time between advertisements.
pub(crate) const INTERVAL: u64 = 20 * MS;

/// The way over the link, and by how much it varies between senders: less than the skew that is configured.
const LINK: u64 = 50 * US;
const LINK_VARIES: u64 = 900 * US;

/// Packets that a worker takes at a time.
const BURST: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) routers: usize,
    pub(crate) mode: Mode,
    /// Messages of the extension lost, in percent.
    pub(crate) loss: u64,
    /// Messages doubled, in percent.
    pub(crate) doubled: u64,
    /// Hosts that send.
    pub(crate) hosts: usize,
    /// How many of them are configured end systems.
    pub(crate) configured: usize,
    /// The time from one packet of a host to the next, at most.
    pub(crate) pause: u64,
    /// Routers that know VRRP alone.
    pub(crate) plain: BTreeSet<usize>,
    /// Conditions of one move at most.
    pub(crate) batch_len_max: usize,
    /// Octets of each host's packets; 100 of those that are not listed.
    pub(crate) octets: Vec<u64>,
    /// Routers that can send no more than so many octets a second: what is beyond that overflows.
    pub(crate) capacities: BTreeMap<usize, u64>,
    pub(crate) review: vrrpd::sharing::review::Config,
    pub(crate) end_system_age: Option<Duration>,
}

impl Settings {
    pub(crate) fn new(seed: u64) -> Settings {
        Settings {
            seed,
            routers: 3,
            mode: Mode::Sequence,
            loss: 0,
            doubled: 0,
            hosts: 9,
            configured: 6,
            pause: 400 * US,
            plain: BTreeSet::new(),
            batch_len_max: 2,
            octets: Vec::new(),
            capacities: BTreeMap::new(),
            review: vrrpd::sharing::review::Config::default(),
            end_system_age: None,
        }
    }
}

/// A machine.
pub(crate) struct Node {
    pub(crate) vrrp: VirtualRouter,
    pub(crate) sharing: Option<LoadSharing>,
    pub(crate) plane: Plane,
    pub(crate) drained: bool,
    /// Until when its control loop is away.
    frozen_until: u64,
    inbox: Vec<Rc<Transmit>>,
    completed: Vec<(vrrpd::sharing::names::MoveName, moves::Completion)>,
    learned: BTreeSet<Condition>,
    pub(crate) meter: Meter,
    pass_at: Option<u64>,
    polled: bool,
}

/// What a router's workers count.
#[derive(Default)]
pub(crate) struct Meter {
    octets: BTreeMap<Condition, u64>,
    overflows: u64,
    since_read: u64,
    read_at: u64,
}

impl Meter {
    fn count(&mut self, condition: Condition, octets: u64) {
        *self.octets.entry(condition).or_default() += octets;
        self.since_read += octets;
    }

    fn octets(&self, condition: Condition) -> u64 {
        self.octets.get(&condition).copied().unwrap_or(0)
    }

    /// A reading is due: what was more than could be sent has overflowed, in packets of 100 octets.
    fn read(&mut self, now: u64, octets_per_s: Option<u64>) {
        let could = octets_per_s.map(|rate| rate * (now - self.read_at) / 1_000_000_000);
        let beyond = could.map_or(0, |could| self.since_read.saturating_sub(could));
        self.overflows += beyond / 100;
        self.since_read = 0;
        self.read_at = now;
    }
}

/// The octets of a packet from there.
pub(crate) fn octets_of(settings: &Settings, source: Condition) -> u64 {
    let known = (0..settings.octets.len()).find(|number| host(*number) == source);
    known.map_or(100, |number| settings.octets[number])
}

/// What happened to a packet.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) sent: u64,
    pub(crate) source: Condition,
    /// By whom, and when.
    pub(crate) routed: Vec<(usize, u64)>,
}

#[derive(Debug)]
enum Happening {
    Send(usize),
    Frame(usize, u32, Packet),
    Message(usize, u32, Rc<Transmit>),
    Poll(usize, u32),
    Pass(usize, u32),
    Control(
        usize,
        u32,
        vrrpd::sharing::names::MoveName,
        Rc<moves::Completion>,
    ),
}

pub(crate) struct Lan {
    pub(crate) settings: Settings,
    random: u64,
    pub(crate) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: HashMap<u64, Happening>,
    next: u64,
    last_arrival: HashMap<(usize, usize), u64>,
    pub(crate) nodes: Vec<Option<Node>>,
    lives: Vec<u32>,
    /// Whether a router's cable is plugged in.
    pub(crate) plugged: Vec<bool>,
    pub(crate) priorities: Vec<u8>,
    pub(crate) packets: Vec<Fate>,
    pub(crate) events: Vec<(u64, usize, Event)>,
    pub(crate) sending: bool,
    /// Everything that was ever sent of the extension, for whoever wants to replay it.
    pub(crate) recorded: Vec<Rc<Transmit>>,
    /// Verdicts seen per node; for assertions about silence.
    pub(crate) sent_types: Vec<BTreeMap<u8, u64>>,
}

const HOSTS: usize = 100;

pub(crate) fn router(node: usize) -> RouterId {
    RouterId::new(u32::try_from(node).unwrap() + 1).unwrap()
}

pub(crate) fn address(node: usize) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 11 + u8::try_from(node).unwrap()).into()
}

pub(crate) fn gateway() -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 1).into()
}

pub(crate) fn host(number: usize) -> Condition {
    Condition::Address(Ipv4Addr::from_bits(0x0a00_0001 + u32::try_from(number).unwrap()).into())
}

pub(crate) fn vrid() -> Vrid {
    Vrid::new(7).unwrap()
}

impl Lan {
    pub(crate) fn new(settings: Settings) -> Lan {
        let routers = settings.routers;
        let mut lan = Lan {
            random: settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: 0,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            next: 0,
            last_arrival: HashMap::new(),
            nodes: (0..routers).map(|_| None).collect(),
            lives: vec![0; routers],
            plugged: vec![true; routers],
            priorities: (0..routers).map(|node| 200 - 10 * node as u8).collect(),
            packets: Vec::new(),
            events: Vec::new(),
            sending: true,
            recorded: Vec::new(),
            sent_types: vec![BTreeMap::new(); routers],
            settings,
        };
        for number in 0..lan.settings.hosts {
            lan.schedule(number as u64 * 10 * US, Happening::Send(number));
        }
        lan
    }

    /// A LAN on which every router has been started.
    pub(crate) fn started(settings: Settings) -> Lan {
        let mut lan = Lan::new(settings);
        for node in 0..lan.nodes.len() {
            lan.start(node);
        }
        lan
    }

    pub(crate) fn config(&self, node: usize) -> load_sharing::Config {
        let group = Group {
            version: 3,
            vrid: vrid(),
            destination: gateway(),
        };
        let key = Key::new(1, b"a secret of sixteen octets", vrid(), Family::Ipv4).unwrap();
        let boot = BootId(1_000_000 * (1 + node as u64) + 1_000 * u64::from(self.lives[node]));
        let mut config =
            load_sharing::Config::new(group, address(node), router(node), boot, vec![key]);
        config.priority = self.priorities[node];
        config.interval = Duration::from_nanos(INTERVAL);
        config.mode = self.settings.mode;
        config.batch_len_max = self.settings.batch_len_max;
        config.review = self.settings.review.clone();
        config.end_system_age = self
            .settings
            .end_system_age
            .unwrap_or(config.end_system_age);
        config.plain_members = self
            .settings
            .plain
            .iter()
            .map(|node| address(*node))
            .collect();
        config.end_systems = (0..self.settings.configured)
            .map(|number| match host(number) {
                Condition::Address(address) => (address, None),
                Condition::Rest => unreachable!(),
            })
            .collect();
        config.moves = moves::Config {
            hold_time: Duration::from_millis(5),
            hold_limit: Duration::from_millis(50),
            repeat: Duration::from_millis(2),
            message_len_max: 1200,
            ..moves::Config::default()
        };
        config
    }

    // What is done to routers.

    pub(crate) fn start(&mut self, node: usize) {
        self.lives[node] += 1;
        let now = self.time();
        let version = Version::V3 {
            checksum: Checksum::Auto,
        };
        let mut config = Config::new(vrid(), version, vec![gateway()]);
        config.priority = self.priorities[node];
        config.interval = Duration::from_nanos(INTERVAL);
        let mut vrrp = VirtualRouter::new(config, address(node), now).unwrap();
        vrrp.port_link(now, self.plugged[node]);
        let plain = self.settings.plain.contains(&node);
        let sharing = (!plain).then(|| LoadSharing::new(self.config(node), now).unwrap());
        let plane = Plane::default();
        self.nodes[node] = Some(Node {
            vrrp,
            sharing,
            plane,
            drained: false,
            frozen_until: 0,
            inbox: Vec::new(),
            completed: Vec::new(),
            learned: BTreeSet::new(),
            meter: Meter::default(),
            pass_at: None,
            polled: false,
        });
        self.pass_soon(node, 0);
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    /// Takes the control loop away; the workers go on.
    pub(crate) fn freeze(&mut self, node: usize, span: u64) {
        let until = self.now + span;
        if let Some(node) = &mut self.nodes[node] {
            node.frozen_until = until;
        }
        self.pass_soon(node, span);
    }

    pub(crate) fn plug(&mut self, node: usize, plugged: bool) {
        self.plugged[node] = plugged;
        let now = self.time();
        if let Some(node) = &mut self.nodes[node] {
            node.vrrp.port_link(now, plugged);
        }
        self.drain_outputs(node);
        self.pass_soon(node, 0);
    }

    /// Does something to a router's part.
    pub(crate) fn act<T>(
        &mut self,
        node: usize,
        action: impl FnOnce(&mut LoadSharing, Time) -> T,
    ) -> T {
        let now = self.time();
        let sharing = self.nodes[node].as_mut().unwrap().sharing.as_mut().unwrap();
        let result = action(sharing, now);
        self.drain_outputs(node);
        self.pass_soon(node, 0);
        result
    }

    /// Stops a router in order, as after a drain.
    pub(crate) fn resign(&mut self, node: usize) {
        let now = self.time();
        self.nodes[node].as_mut().unwrap().vrrp.shutdown(now);
        self.drain_outputs(node);
    }

    // What is to be seen.

    pub(crate) fn time(&self) -> Time {
        Time::from_nanos(self.now)
    }

    pub(crate) fn sharing(&self, node: usize) -> &LoadSharing {
        self.nodes[node].as_ref().unwrap().sharing.as_ref().unwrap()
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(number, node)| Some((number, node.as_ref()?)))
    }

    /// The routers that share load and are there.
    pub(crate) fn members(&self) -> impl Iterator<Item = (usize, &LoadSharing)> {
        self.living()
            .filter(|(number, _)| self.plugged[*number])
            .filter_map(|(number, node)| Some((number, node.sharing.as_ref()?)))
    }

    pub(crate) fn master(&self) -> Option<usize> {
        let mut masters = self.living().filter(|(_, node)| node.vrrp.is_master());
        let master = masters.next().map(|(number, _)| number);
        masters.next().is_none().then_some(master).flatten()
    }

    /// Whether everyone agrees on who is in charge of everything, and nothing is on the way.
    pub(crate) fn is_settled(&self) -> bool {
        let Some(master) = self.master() else {
            return false;
        };
        let Some((_, authority)) = self.members().find(|(number, _)| *number == master) else {
            return false;
        };
        let table = authority.table();
        let unfinished = table.rows().any(|(_, row)| row.unfinished.is_some());
        authority.is_authority()
            && table.rows().len() > self.settings.hosts.max(self.settings.configured)
            && !unfinished
            && self.members().all(|(_, member)| {
                member.table().installed() == table.installed()
                    && member.table().digest() == table.digest()
                    && member.moves().reports().is_empty()
            })
            && table
                .members()
                .filter(|record| record.state == vrrpd::sharing::names::MemberState::Working)
                .count()
                == self.members().count()
    }

    /// Who routes packets of `source`.
    pub(crate) fn routing(&self, source: Condition) -> Vec<usize> {
        self.living()
            .filter(|(number, node)| node.plane.routes(source) && self.plugged[*number])
            .map(|(number, _)| number)
            .collect()
    }

    pub(crate) fn state(&self) -> String {
        let mut lines = vec![format!("at {} us: {:?}", self.now / US, self.settings)];
        for (number, node) in self.living() {
            lines.push(format!("node {number}: {}", node.vrrp.state()));
            if let Some(sharing) = &node.sharing {
                lines.push(format!(
                    "  installed {}, heard {}, {} rows, digest {:016x}, quiet {}, authority {:?} ({}), {}",
                    sharing.table().installed(),
                    sharing.table().heard(),
                    sharing.table().rows().len(),
                    sharing.table().digest(),
                    sharing.is_quiet(),
                    sharing.authority(),
                    sharing.is_authority(),
                    sharing.state(),
                ));
                for record in sharing.table().members() {
                    lines.push(format!("  {}: {}", record.router, record.state));
                }
                for report in sharing.moves().reports() {
                    lines.push(format!("  {}: {:?}", report.name, report.status));
                }
                for (condition, row) in sharing.table().rows() {
                    let routes = node.plane.routes(condition);
                    lines.push(format!(
                        "  {condition}: {} {:?} {routes}",
                        row.router,
                        row.unfinished.map(|name| name.to_string())
                    ));
                }
            }
        }
        for (at, node, event) in self.events.iter().rev().take(60).rev() {
            lines.push(format!("{:>8} us, {node}: {event}", at / US));
        }
        lines.join("\n")
    }

    // Time.

    pub(crate) fn run(&mut self, span: u64) {
        let end = self.now + span;
        self.run_while(end, |_| true);
        self.now = end;
    }

    /// Runs until `done`, for at most `limit`.
    pub(crate) fn run_until(&mut self, limit: u64, done: impl Fn(&Lan) -> bool) -> u64 {
        let start = self.now;
        while !done(self) {
            assert!(
                self.now < start + limit,
                "not within {limit} ns: {}",
                self.state()
            );
            self.run(MS / 2);
        }
        self.now - start
    }

    fn run_while(&mut self, end: u64, going: impl Fn(&Lan) -> bool) {
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > end || !going(self) {
                return;
            }
            self.queue.pop();
            self.now = at;
            if let Some(happening) = self.happenings.remove(&number) {
                self.handle(happening);
            }
        }
    }

    pub(crate) fn draw(&mut self, low: u64, high: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        low + (self.random >> 16) % (high - low)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.draw(0, 100) < percent
    }

    fn schedule(&mut self, after: u64, happening: Happening) {
        self.queue.push(Reverse((self.now + after, self.next)));
        self.happenings.insert(self.next, happening);
        self.next += 1;
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Send(number) => self.host_sends(number),
            Happening::Frame(node, life, packet) if self.is_current(node, life) => {
                if let Some(node) = self.nodes[node]
                    .as_mut()
                    .filter(|node| node.sharing.is_some())
                {
                    node.plane.queue.push_back(packet);
                }
                self.poll_soon(node);
            }
            Happening::Message(node, life, message) if self.is_current(node, life) => {
                if let Some(node) = &mut self.nodes[node] {
                    node.inbox.push(message);
                }
                let late = self.draw(5 * US, 50 * US);
                self.pass_soon(node, late);
            }
            Happening::Poll(node, life) if self.is_current(node, life) => self.poll(node),
            Happening::Pass(node, life) if self.is_current(node, life) => self.pass(node),
            Happening::Control(node, life, name, completion) if self.is_current(node, life) => {
                if let Some(node) = &mut self.nodes[node] {
                    node.completed.push((name, (*completion).clone()));
                }
                self.pass_soon(node, 0);
            }
            _ => {}
        }
    }

    fn is_current(&self, node: usize, life: u32) -> bool {
        self.nodes[node].is_some() && self.lives[node] == life
    }

    // The link.

    fn arrival(&mut self, from: usize, to: usize) -> u64 {
        let way = LINK + self.draw(0, LINK_VARIES);
        let earliest = self.last_arrival.get(&(from, to)).copied().unwrap_or(0);
        let at = (self.now + way).max(earliest + 1);
        self.last_arrival.insert((from, to), at);
        at - self.now
    }

    fn host_sends(&mut self, number: usize) {
        if self.sending {
            let packet = Packet {
                number: self.packets.len(),
                source: host(number),
            };
            self.packets.push(Fate {
                sent: self.now,
                source: packet.source,
                routed: Vec::new(),
            });
            for node in 0..self.nodes.len() {
                let way = self.arrival(HOSTS + number, node);
                if self.plugged[node] {
                    self.schedule(way, Happening::Frame(node, self.lives[node], packet));
                }
            }
        }
        let pause = self.settings.pause;
        let pause = self.draw(pause / 10, pause);
        self.schedule(pause, Happening::Send(number));
    }

    fn send(&mut self, from: usize, message: Transmit) {
        let kind = Header::parse(&message.payload).unwrap().message_type;
        *self.sent_types[from].entry(kind).or_default() += 1;
        let message = Rc::new(message);
        let extension = kind != 1;
        if extension && self.recorded.len() < 20_000 {
            self.recorded.push(Rc::clone(&message));
        }
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            if !self.plugged[from] || !self.plugged[to] {
                continue;
            }
            // A router that knows nothing of it does not see what is sent to the virtual MAC.
            if extension && self.settings.plain.contains(&to) {
                continue;
            }
            let (loss, doubled) = (self.settings.loss, self.settings.doubled);
            let copies =
                u64::from(!(extension && self.chance(loss))) + u64::from(self.chance(doubled));
            for _ in 0..copies {
                let way = self.arrival(from, to);
                self.schedule(
                    way,
                    Happening::Message(to, self.lives[to], Rc::clone(&message)),
                );
            }
        }
    }

    // A machine.

    fn poll_soon(&mut self, node: usize) {
        let pause = self.draw(5 * US, 120 * US);
        let life = self.lives[node];
        if let Some(polled) = self.nodes[node].as_mut().map(|node| &mut node.polled)
            && !std::mem::replace(polled, true)
        {
            self.schedule(pause, Happening::Poll(node, life));
        }
    }

    fn poll(&mut self, number: usize) {
        let (now, life) = (self.now, self.lives[number]);
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        node.polled = false;
        let done = node.plane.poll(BURST);
        for packet in &done.routed {
            let octets = octets_of(&self.settings, packet.source);
            node.meter.count(packet.source, octets);
        }
        let again = !node.plane.is_idle();
        if !done.learned.is_empty() {
            node.learned.extend(done.learned);
            self.pass_soon(number, 100 * US);
        }
        for packet in done.routed {
            self.packets[packet.number].routed.push((number, now));
        }
        for (name, completion) in done.completions {
            let late = self.draw(5 * US, 100 * US);
            self.schedule(
                late,
                Happening::Control(number, life, name, Rc::new(completion)),
            );
        }
        if again {
            self.poll_soon(number);
        }
    }

    fn pass_soon(&mut self, node: usize, after: u64) {
        let (now, life) = (self.now, self.lives[node]);
        if let Some(pass_at) = self.nodes[node].as_mut().map(|node| &mut node.pass_at) {
            if pass_at.is_some_and(|at| at <= now + after && at >= now) {
                return;
            }
            *pass_at = Some(now + after);
            self.schedule(after, Happening::Pass(node, life));
        }
    }

    /// One pass of the control loop.
    fn pass(&mut self, number: usize) {
        let now = self.time();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        node.pass_at = None;
        if node.frozen_until > self.now {
            return;
        }
        node.vrrp.heartbeat(now);
        self.drain_outputs(number);
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        for message in std::mem::take(&mut node.inbox) {
            let received = Received {
                src: message.src,
                dst: message.dst,
                ttl: TTL,
                payload: &message.payload,
            };
            self.receive(number, &received);
        }
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        node.vrrp.tick(now);
        if let Some(sharing) = &mut node.sharing {
            for (name, completion) in std::mem::take(&mut node.completed) {
                sharing.completed(now, name, completion);
            }
            if sharing.measure_at().is_none_or(|at| at <= now) {
                let capacity = self.settings.capacities.get(&number);
                node.meter.read(self.now, capacity.copied());
                let octets = (0..self.settings.hosts).map(host);
                let octets = octets.map(|host| (host, node.meter.octets(host)));
                sharing.measured(now, octets, node.meter.overflows);
            }
            for condition in std::mem::take(&mut node.learned) {
                if let Condition::Address(address) = condition {
                    sharing.end_system_seen(now, address, Seen::Traffic, None);
                }
            }
        }
        self.drain_outputs(number);
        if let Some(sharing) = self.nodes[number]
            .as_mut()
            .and_then(|node| node.sharing.as_mut())
        {
            sharing.tick(now);
        }
        self.drain_outputs(number);
        let Some(node) = &self.nodes[number] else {
            return;
        };
        let sharing = node.sharing.as_ref().and_then(LoadSharing::poll_timeout);
        let due = [node.vrrp.poll_timeout(), sharing]
            .into_iter()
            .flatten()
            .min();
        if let Some(due) = due {
            // A control loop comes round no more often than this.
            let after = due.as_nanos().saturating_sub(self.now).max(50 * US);
            self.pass_soon(number, after);
        }
    }

    /// Hands a router a packet.
    pub(crate) fn receive(&mut self, number: usize, received: &Received<'_>) {
        let now = self.time();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        let kind = Header::parse(received.payload).map_or(0, |header| header.message_type);
        match (&mut node.sharing, kind) {
            (Some(sharing), 1) => {
                let heeded = sharing.heed_advertisement(received.src).is_ok();
                if heeded && node.vrrp.receive(now, received).is_ok() {
                    let interval = node.vrrp.status().master_interval;
                    self.drain_vrrp(number);
                    if let Some(node) = &mut self.nodes[number]
                        && let Some(sharing) = &mut node.sharing
                    {
                        sharing.advertised(now, received.src, interval);
                    }
                }
            }
            (Some(sharing), _) => {
                let _ = sharing.receive(now, received);
            }
            (None, _) => {
                let _ = node.vrrp.receive(now, received);
            }
        }
        self.drain_outputs(number);
    }

    fn drain_vrrp(&mut self, number: usize) {
        let now = self.time();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        let mut sent = Vec::new();
        while let Some(output) = node.vrrp.poll_output() {
            match output {
                Output::Transmit(transmit) => sent.push(transmit),
                Output::StateChanged(transition) => {
                    let missed = match transition.cause {
                        Cause::MasterSilent { master, .. } => master,
                        Cause::MasterResigned { master } => Some(master),
                        _ => None,
                    };
                    if let Some(sharing) = &mut node.sharing {
                        sharing.vrrp_changed(now, transition.to, missed);
                    }
                }
                _ => {}
            }
        }
        let master = node.vrrp.is_master();
        for transmit in sent {
            let interval = Duration::from_nanos(INTERVAL);
            self.send(number, transmit);
            if let Some(sharing) = self.nodes[number]
                .as_mut()
                .and_then(|node| node.sharing.as_mut())
                && master
            {
                sharing.advertised(now, address(number), interval);
            }
        }
    }

    fn drain_outputs(&mut self, number: usize) {
        self.drain_vrrp(number);
        let mut sent = Vec::new();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        let Some(sharing) = &mut node.sharing else {
            return;
        };
        let mut busy = false;
        while let Some(output) = sharing.poll_output() {
            match output {
                load_sharing::Output::Transmit(transmit) => sent.push(transmit),
                load_sharing::Output::Verdicts(verdicts) => {
                    node.plane.set(verdicts);
                    busy = true;
                }
                load_sharing::Output::Command {
                    name,
                    conditions,
                    command,
                } => {
                    node.plane.order(Order {
                        name,
                        conditions,
                        command,
                    });
                    busy = true;
                }
                load_sharing::Output::Drained => node.drained = true,
                load_sharing::Output::Event(event) => self.events.push((self.now, number, event)),
            }
        }
        for transmit in sent {
            self.send(number, transmit);
        }
        if busy {
            self.poll_soon(number);
        }
    }
}
