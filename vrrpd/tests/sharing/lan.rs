//! A LAN with routers that share load, under virtual time: ports that keep the order of one sender but not across senders,
//! control messages lost and doubled, routers that crash, restart, freeze, or know VRRP alone, hosts that never stop sending.
//! Here are time, the link, and what is done to routers; what may befall them is in `harm`, their machines are in `machine`, what is to be seen of them in `view`.

mod harm;
mod machine;
mod settings;
mod view;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use vrrpd::sharing::LoadSharing;
use vrrpd::sharing::load_sharing::{self, Event, Role};
use vrrpd::sharing::moves;
use vrrpd::sharing::names::{BootId, Condition, RouterId};
use vrrpd::sharing::wire::{Group, Key};
use vrrpd::wire::Header;
use vrrpd::{Checksum, Config, Family, Time, Transmit, Version, VirtualRouter, Vrid};

use crate::plane::{Packet, Plane};
pub(crate) use machine::{Meter, Node};
pub(crate) use settings::{Settings, octets_of};

pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000 * US;

/// The time between advertisements, unless a test wants another.
pub(crate) const INTERVAL: u64 = 20 * MS;

/// The way over the link, and by how much it varies between senders: less than the skew that is configured.
const LINK: u64 = 50 * US;
const LINK_VARIES: u64 = 900 * US;

/// What happened to a packet.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) sent: u64,
    pub(crate) source: Condition,
    /// By whom, and when.
    pub(crate) routed: Vec<(usize, u64)>,
}

/// What a router does not hear of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deafness {
    No,
    /// What is sent to the virtual MAC.
    ToVirtualMac,
    /// Anything.
    Entirely,
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
    /// What does not come through to a router, though its cable is plugged in.
    pub(crate) deaf: Vec<Deafness>,
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
            deaf: vec![Deafness::No; routers],
            priorities: (0..routers as u8)
                .map(|node| match settings.reversed {
                    true => 100 + 10 * node,
                    false => 200 - 10 * node,
                })
                .collect(),
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

    fn vrid(&self) -> Vrid {
        Vrid::new(self.settings.vrid).unwrap()
    }

    pub(crate) fn config(&self, node: usize) -> load_sharing::Config {
        let vrid = self.vrid();
        let group = Group {
            version: 3,
            vrid,
            destination: gateway(),
        };
        let key = match self.settings.keyed {
            true => Key::new(1, b"a secret of sixteen octets", vrid, Family::Ipv4).unwrap(),
            false => Key::none(vrid, Family::Ipv4).unwrap(),
        };
        let boot = BootId(1_000_000 * (1 + node as u64) + 1_000 * u64::from(self.lives[node]));
        let mut config =
            load_sharing::Config::new(group, address(node), router(node), boot, vec![key]);
        config.priority = self.priorities[node];
        config.interval = Duration::from_nanos(self.settings.interval);
        config.mode = self.settings.mode;
        config.batch_len_max = self.settings.batch_len_max;
        config.review = self.settings.review.clone();
        config.follows = self.settings.follows;
        if self.settings.servers.contains(&node) {
            config.role = Role::SubstitutionServer;
        }
        config.end_system_age = self
            .settings
            .end_system_age
            .unwrap_or(config.end_system_age);
        config.end_systems_max = self
            .settings
            .end_systems_max
            .unwrap_or(config.end_systems_max);
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
        config.member_age = Duration::from_secs(2);
        config.moves = moves::Config {
            hold_time: Duration::from_millis(5),
            hold_limit: Duration::from_millis(50),
            repeat: Duration::from_nanos(self.settings.repeat),
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
        let mut config = Config::new(self.vrid(), version, vec![gateway()]);
        config.priority = self.priorities[node];
        config.interval = Duration::from_nanos(self.settings.interval);
        config.candidate = !self.settings.servers.contains(&node);
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
            has_received: false,
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
                    node.has_received = true;
                }
                self.poll_soon(node);
            }
            Happening::Message(node, life, message) if self.is_current(node, life) => {
                if let Some(node) = &mut self.nodes[node] {
                    node.inbox.push(message);
                    node.has_received = true;
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
                if self.plugged[node] && self.deaf[node] == Deafness::No {
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
            let is_heard = match self.deaf[to] {
                Deafness::No => true,
                Deafness::ToVirtualMac => !extension,
                Deafness::Entirely => false,
            };
            if !self.plugged[from] || !self.plugged[to] || !is_heard {
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
}
