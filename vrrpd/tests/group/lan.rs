//! A LAN with routers on it: frames take a fixed time, drivers come when they are asked to, and both can fail.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrpd::wire::{Header, TTL};
use vrrpd::{
    Checksum, Config, Moment, Output, Received, State, Time, Transition, Transmit, Version,
    VirtualRouter, Vrid,
};

/// How long a frame is on its way.
pub(crate) const LATENCY: Duration = Duration::from_micros(50);

/// How often the control loop looks again while nobody brings it what has arrived.
const LOOK: Duration = Duration::from_millis(1);

/// Nobody brings the control loop frames, or takes them from it.
#[derive(Clone, Copy)]
struct Deaf {
    since: Time,
    until: Time,
    next_look: Time,
}

/// A node: a machine with a control loop that drives virtual routers.
pub(crate) struct Node {
    configs: Vec<Config>,
    local: IpAddr,
    /// Empty while crashed.
    pub(crate) routers: Vec<VirtualRouter>,
    /// Until when the control loop is away.
    stalled_until: Option<Time>,
    /// Whether frames that arrive meanwhile are lost, as from a receive queue that overflows.
    stall_loses: bool,
    /// The control loop goes on, but the thread between it and the wire does not run.
    deaf: Option<Deaf>,
    link_up: bool,
    inbox: Vec<Transmit>,
    /// Everything that happened, for assertions.
    pub(crate) transitions: Vec<Transition>,
    /// Which addresses were announced, and when.
    pub(crate) announced: Vec<(Time, IpAddr)>,
    /// What was sent, and when.
    pub(crate) sent: Vec<(Time, Transmit)>,
    /// Stalls noticed.
    pub(crate) stalls: Vec<Duration>,
}

impl Node {
    /// Whether the node can act: it runs, it is on the LAN, and its control loop is there.
    pub(crate) fn is_present(&self) -> bool {
        let runs = self.stalled_until.is_none() && self.deaf.is_none();
        !self.routers.is_empty() && self.link_up && runs
    }

    /// The node's only virtual router.
    pub(crate) fn router(&self) -> &VirtualRouter {
        assert_eq!(self.routers.len(), 1);
        &self.routers[0]
    }

    fn timeout(&self) -> Option<Time> {
        if self.stalled_until.is_some() {
            return self.stalled_until;
        }
        if let Some(deaf) = self.deaf {
            return Some(deaf.next_look.min(deaf.until));
        }
        self.routers
            .iter()
            .filter_map(VirtualRouter::poll_timeout)
            .min()
    }
}

/// The LAN, with its time.
pub(crate) struct Lan {
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Node>,
    /// Frames under way, in order of arrival and then of sending: the receiver and the message.
    flying: BTreeMap<(Time, u64), (usize, Transmit)>,
    frames: u64,
    /// Decides, by a number that every frame and receiver gets, which are lost.
    pub(crate) loses: fn(u64) -> bool,
    /// Since when there have been two masters of one virtual router that could both act.
    double_since: Option<Time>,
    /// The longest that was.
    pub(crate) double_longest: Duration,
}

/// Node `index`'s address.
pub(crate) fn address(index: usize) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 10 + u8::try_from(index).unwrap()).into()
}

/// The virtual address of most tests.
pub(crate) fn gateway() -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 1).into()
}

/// A version 3 configuration of priority `priority`.
pub(crate) fn config(priority: u8, interval_ms: u64) -> Config {
    let version = Version::V3 {
        checksum: Checksum::Auto,
    };
    let mut config = Config::new(Vrid::new(7).unwrap(), version, vec![gateway()]);
    config.priority = priority;
    config.interval = Duration::from_millis(interval_ms);
    config
}

impl Lan {
    /// A LAN with one router per configuration, all started at time zero.
    pub(crate) fn new(configs: impl IntoIterator<Item = Config>) -> Lan {
        Lan::with_groups(configs.into_iter().map(|config| vec![config]))
    }

    /// A LAN with nodes of several virtual routers each.
    pub(crate) fn with_groups(nodes: impl IntoIterator<Item = Vec<Config>>) -> Lan {
        let mut lan = Lan {
            now: Time::ZERO,
            nodes: Vec::new(),
            flying: BTreeMap::new(),
            frames: 0,
            loses: |_| false,
            double_since: None,
            double_longest: Duration::ZERO,
        };
        for (index, configs) in nodes.into_iter().enumerate() {
            lan.nodes.push(Node {
                configs,
                local: address(index),
                routers: Vec::new(),
                stalled_until: None,
                stall_loses: false,
                deaf: None,
                link_up: true,
                inbox: Vec::new(),
                transitions: Vec::new(),
                announced: Vec::new(),
                sent: Vec::new(),
                stalls: Vec::new(),
            });
            lan.restart(index);
        }
        lan
    }

    /// Runs for `span`.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let arrival = self.flying.keys().next().map(|(time, _)| *time);
            let timeout = self.nodes.iter().filter_map(Node::timeout).min();
            let Some(next) = [arrival, timeout]
                .into_iter()
                .flatten()
                .min()
                .filter(|next| *next <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            let mut due: Vec<usize> = Vec::new();
            while let Some(entry) = self
                .flying
                .first_entry()
                .filter(|entry| entry.key().0 <= self.now)
            {
                let (index, message) = entry.remove();
                self.arrive(index, message);
                due.push(index);
            }
            due.extend((0..self.nodes.len()).filter(|index| {
                self.nodes[*index]
                    .timeout()
                    .is_some_and(|timeout| timeout <= self.now)
            }));
            due.sort_unstable();
            due.dedup();
            for index in due {
                self.pass(index);
            }
        }
        self.now = end;
        self.watch_masters();
    }

    /// Runs until `done`, for at most `limit`. Returns how long it took.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Lan) -> bool) -> Duration {
        let start = self.now;
        while !done(self) {
            assert!(self.now.since(start) < limit, "not within {limit:?}");
            self.run(Duration::from_micros(1).max(LATENCY / 10));
        }
        self.now.since(start)
    }

    /// Stops node `index` without a word.
    pub(crate) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.routers.clear();
        node.inbox.clear();
        node.stalled_until = None;
        node.deaf = None;
        self.faults_changed();
    }

    /// Starts node `index` anew.
    pub(crate) fn restart(&mut self, index: usize) {
        self.crash(index);
        let now = self.now;
        let node = &mut self.nodes[index];
        for config in &node.configs {
            let mut router = VirtualRouter::new(config.clone(), node.local, now).unwrap();
            router.port_link(now, node.link_up);
            node.routers.push(router);
        }
        self.drain(index);
    }

    /// Takes node `index`'s control loop away for `span`; `loses` tells what becomes of frames that arrive meanwhile.
    pub(crate) fn stall(&mut self, index: usize, span: Duration, loses: bool) {
        let node = &mut self.nodes[index];
        if !node.routers.is_empty() {
            node.stalled_until = Some(self.now + span);
            node.stall_loses = loses;
            node.deaf = None;
        }
        self.faults_changed();
    }

    /// Takes away what carries frames between node `index`'s control loop and the wire for `span`; the loop goes on, and
    /// frames of either direction wait.
    pub(crate) fn deafen(&mut self, index: usize, span: Duration) {
        self.nodes[index].deaf = Some(Deaf {
            since: self.now,
            until: self.now + span,
            next_look: self.now + LOOK,
        });
        self.faults_changed();
    }

    /// Plugs node `index` in or out.
    pub(crate) fn link(&mut self, index: usize, up: bool) {
        self.nodes[index].link_up = up;
        if self.nodes[index].stalled_until.is_none() {
            self.act(index, |router, now| router.port_link(now, up));
        }
        self.faults_changed();
    }

    /// Does something to every virtual router of node `index`.
    pub(crate) fn act(&mut self, index: usize, action: impl Fn(&mut VirtualRouter, Moment)) {
        let node = &mut self.nodes[index];
        let at = Moment {
            now: self.now,
            heard: node.deaf.map_or(self.now, |deaf| deaf.since),
        };
        for router in &mut node.routers {
            action(router, at);
        }
        self.drain(index);
    }

    /// The nodes that are master of their `group`-th virtual router and can act.
    pub(crate) fn masters_of(&self, group: usize) -> Vec<usize> {
        let is_master = |node: &Node| node.is_present() && node.routers[group].is_master();
        (0..self.nodes.len())
            .filter(|index| is_master(&self.nodes[*index]))
            .collect()
    }

    /// The masters of the only virtual router.
    pub(crate) fn masters(&self) -> Vec<usize> {
        self.masters_of(0)
    }

    /// One pass of node `index`'s control loop, in the order that the crate asks for.
    fn pass(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.stalled_until.is_some_and(|until| until > now) {
            return;
        }
        if node.stalled_until.take().is_some() {
            let link_up = node.link_up;
            self.act(index, |router, now| {
                router.heartbeat(now);
                router.port_link(now, link_up);
            });
        }
        if let Some(deaf) = &mut self.nodes[index].deaf {
            if now < deaf.until {
                deaf.next_look = now + LOOK;
                return self.act(index, VirtualRouter::tick);
            }
            self.nodes[index].deaf = None;
            self.act(index, VirtualRouter::heartbeat);
        }
        for message in std::mem::take(&mut self.nodes[index].inbox) {
            let vrid = Header::parse(&message.payload).unwrap().vrid;
            let received = Received {
                src: message.src,
                dst: message.dst,
                ttl: TTL,
                payload: &message.payload,
            };
            let routers = self.nodes[index].routers.iter_mut();
            for router in routers.filter(|router| router.config().vrid.get() == vrid) {
                router.receive(now, &received).unwrap();
            }
            self.drain(index);
        }
        self.act(index, VirtualRouter::tick);
    }

    fn arrive(&mut self, index: usize, message: Transmit) {
        let node = &mut self.nodes[index];
        let lost = node.routers.is_empty()
            || !node.link_up
            || (node.stalled_until.is_some() && node.stall_loses);
        if !lost {
            node.inbox.push(message);
        }
    }

    /// Carries out what node `index` asks for, and checks that only a master asks for what only a master may.
    fn drain(&mut self, index: usize) {
        let now = self.now;
        let mut outgoing = Vec::new();
        let node = &mut self.nodes[index];
        for router in &mut node.routers {
            while let Some(output) = router.poll_output() {
                match output {
                    Output::Transmit(message) => {
                        let resigns = message.payload[2] == 0;
                        assert!(
                            router.is_master() || resigns,
                            "a {} advertises",
                            router.state()
                        );
                        outgoing.push(message);
                    }
                    Output::Announce(address) => {
                        assert!(router.is_master(), "a {} announces", router.state());
                        node.announced.push((now, address));
                    }
                    Output::StateChanged(transition) => {
                        assert_ne!(transition.from, transition.to);
                        node.transitions.push(transition);
                    }
                    Output::MasterLost { .. } => unreachable!("every router may become master"),
                    Output::Stalled { away } => node.stalls.push(away),
                }
            }
            assert_eq!(router.counters().output_overflows, 0);
            assert_eq!(
                router.poll_timeout().is_none(),
                router.state() == State::Initialise
            );
        }
        for message in outgoing {
            self.send(index, message);
        }
        self.watch_masters();
    }

    fn send(&mut self, from: usize, message: Transmit) {
        self.nodes[from].sent.push((self.now, message.clone()));
        let deaf = self.nodes[from].deaf;
        let leaves = deaf.map_or(self.now, |deaf| deaf.until);
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            if !message.dst.is_multicast() && message.dst != self.nodes[to].local {
                continue;
            }
            self.frames += 1;
            if self.nodes[from].link_up && !(self.loses)(self.frames) {
                self.flying
                    .insert((leaves + LATENCY, self.frames), (to, message.clone()));
            }
        }
    }

    /// Measures for how long there are two masters.
    fn watch_masters(&mut self) {
        let groups = self
            .nodes
            .iter()
            .map(|node| node.routers.len())
            .min()
            .unwrap_or(0);
        let double = (0..groups).any(|group| self.masters_of(group).len() > 1);
        match (double, self.double_since) {
            (true, None) => self.double_since = Some(self.now),
            (true, Some(since)) => {
                self.double_longest = self.double_longest.max(self.now.since(since))
            }
            (false, Some(since)) => {
                self.double_longest = self.double_longest.max(self.now.since(since));
                self.double_since = None;
            }
            (false, None) => {}
        }
    }

    /// A fault, or its end, begins the measurement anew.
    fn faults_changed(&mut self) {
        self.double_since = None;
        self.watch_masters();
    }
}
