//! The time, the routers and the operator of one run. What must hold of it is in `checks`.

use std::collections::{BTreeMap, HashMap};

use super::checks::Checks;
use super::events::Events;
use super::node::{Node, address, end_system};
use super::plan::{FAULTS_NS, MS, Plan, US};
use super::random::Random;
use super::worker::{Frame, WORKERS};

/// Within which time routers start.
const STARTS_NS: u64 = 100 * MS;
/// When faults may begin, after the group has settled.
pub(super) const FIRST_FAULT: u64 = 50 * MS;
/// For how long the group has to be settled to count as settled.
const STEADY_NS: u64 = 100 * MS;
/// For how long there is traffic when everything is over.
const LAST_NS: u64 = 150 * MS;

#[derive(Debug)]
pub(super) enum Event {
    /// A host sends, or something is sent to it.
    Traffic(usize, u16),
    Arrive(usize, u16, usize, Frame),
    /// A worker's round, and one of the control thread, of which life.
    Round(usize, u32, usize),
    Control(usize, u32),
    Begin(usize),
    End(usize),
    Order,
    Look,
    Start(usize),
}

/// Which part of the run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The group has to settle for the first time.
    Starting,
    /// Faults come, since when.
    Faulty(u64),
    /// They are over, since when.
    Settling(u64),
    /// Everything has to be as if nothing had been.
    Last(u64),
    /// What is under way arrives.
    Ending(u64),
    Over,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(super) random: Random,
    pub(crate) now: u64,
    events: Events<Event>,
    pub(crate) nodes: Vec<Node>,
    /// When the last frame of a sender reaches a port.
    pub(super) last_arrival: HashMap<(usize, usize, u16), u64>,
    /// Which routers do not hear which.
    pub(super) deaf: BTreeMap<(usize, usize), u64>,
    pub(crate) phase: Phase,
    settled_at: Option<u64>,
    pub(crate) checks: Checks,
    /// How often each fault was injected.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) trace: Option<Vec<String>>,
}

/// More events than any run has.
const EVENTS_MAX: u64 = 20_000_000;

impl World {
    pub(crate) fn new(plan: Plan, traced: bool) -> Result<World, String> {
        let nodes = (0..plan.nodes())
            .map(|number| Node::new(&plan, number, traced))
            .collect::<Result<Vec<_>, _>>()?;
        let mut world = World {
            random: Random::new(plan.seed ^ 0xdead_beef),
            now: 0,
            events: Events::new(),
            nodes,
            last_arrival: HashMap::new(),
            deaf: BTreeMap::new(),
            phase: Phase::Starting,
            settled_at: None,
            checks: Checks::new(&plan),
            counts: BTreeMap::new(),
            trace: traced.then(Vec::new),
            plan,
        };
        for node in 0..world.nodes.len() {
            let after = world.random.draw(0, STARTS_NS);
            world.schedule(after, Event::Start(node));
        }
        world.schedule(MS, Event::Look);
        Ok(world)
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) {
        while self.phase != Phase::Over
            && let Some((at, event)) = self.events.pop()
        {
            self.now = at;
            self.handle(event);
            if self.events.scheduled() > EVENTS_MAX {
                let what = format!("more than {EVENTS_MAX} events, and no end");
                self.checks.liveness(at, what);
                return;
            }
        }
    }

    pub(super) fn schedule(&mut self, after: u64, event: Event) {
        self.events.schedule(self.now + after, event);
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10.3} ms  {}", now as f64 / 1e6, text()));
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Traffic(host, side) => self.traffic(host, side),
            Event::Arrive(node, port, worker, frame) => {
                let packet = match &frame {
                    Frame::Data(_, packet) => Some(packet.number),
                    Frame::Control(_) => None,
                };
                let taken = self.nodes[node].arrive(worker, port, frame);
                if let Some(packet) = packet.filter(|_| !self.plan.is_server(node)) {
                    self.checks.arrived(packet, node, taken);
                }
                if !taken && self.nodes[node].is_up() {
                    self.count("frames lost in full receive queues or for want of a link");
                }
                self.attend(node);
            }
            Event::Round(node, life, worker) if self.nodes[node].life == life => {
                self.nodes[node].round_at[worker] = None;
                let now = self.now;
                let doings = self.nodes[node].round(worker, now);
                for packet in doings.sent {
                    self.checks.routed(packet, node, now);
                }
                if doings.overflowed > 0 {
                    self.count("packets lost in full backlogs");
                    self.checks.overflowed = true;
                }
                self.attend(node);
            }
            // Unless it was wanted earlier meanwhile, and has been.
            Event::Control(node, life)
                if self.nodes[node].life == life
                    && self.nodes[node].control_at == Some(self.now) =>
            {
                self.nodes[node].control_at = None;
                self.control(node);
            }
            Event::Begin(fault) => self.begin(self.plan.faults[fault]),
            Event::End(fault) => self.end(self.plan.faults[fault]),
            Event::Order => self.order(),
            Event::Look => self.look(),
            Event::Start(node) => self.start(node),
            _ => {}
        }
    }

    // Routers.

    pub(super) fn start(&mut self, node: usize) {
        if self.nodes[node].is_up() {
            return;
        }
        let (plan, now, seed) = (self.plan.clone(), self.now, self.random.next());
        if let Err(error) = self.nodes[node].start(&plan, now, seed) {
            self.checks
                .safety(now, format!("router {node} does not start: {error}"));
        }
        self.note(|| format!("router {node} starts"));
        self.attend(node);
    }

    /// Has a router's threads come when they have something to do.
    fn attend(&mut self, node: usize) {
        if !self.nodes[node].is_up() {
            return;
        }
        let now = self.now;
        let life = self.nodes[node].life;
        for worker in 0..WORKERS {
            let of_node = &self.nodes[node];
            if of_node.round_at[worker].is_none() && of_node.plane.is_busy(worker) {
                let mut after = self.random.draw(5 * US, 60 * US);
                if self.random.chance(self.plan.late_rounds) {
                    self.count("rounds of a worker that came late");
                    after += self.random.draw(MS, 4 * MS);
                }
                let at = (now + after).max(self.nodes[node].workers_stalled_until);
                self.nodes[node].round_at[worker] = Some(at);
                self.schedule(at - now, Event::Round(node, life, worker));
            }
        }
        let of_node = &self.nodes[node];
        let soon = of_node.has_news() || !of_node.plane.outgoing.is_empty();
        let after = match (soon, of_node.due()) {
            (true, _) => self.random.draw(10 * US, 150 * US),
            (false, Some(due)) => due.saturating_sub(now).max(20 * US),
            (false, None) => return,
        };
        let at = (now + after).max(self.nodes[node].control_stalled_until);
        self.attend_at(node, at);
    }

    /// Has a router's control thread come at a time, unless it does earlier.
    fn attend_at(&mut self, node: usize, at: u64) {
        let of_node = &mut self.nodes[node];
        if of_node.control_at.is_none_or(|known| at < known) {
            of_node.control_at = Some(at);
            let life = of_node.life;
            self.events.schedule(at, Event::Control(node, life));
        }
    }

    pub(super) fn control(&mut self, node: usize) {
        let now = self.now;
        if self.nodes[node].control_stalled_until > now {
            self.attend(node);
            return;
        }
        let sent = self.nodes[node].control(now);
        self.hear_plane(node);
        for (port, frame) in sent {
            self.send(node, port, frame);
        }
        if let Some(sent) = self.nodes[node].end_if_drained(now) {
            self.note(|| format!("router {node} has given everything away and ends"));
            self.count("drains that came to their end");
            for (port, frame) in sent {
                self.send(node, port, frame);
            }
            return;
        }
        self.attend(node);
    }

    fn hear_plane(&mut self, node: usize) {
        let now = self.now;
        for outright in std::mem::take(&mut self.nodes[node].plane.outright) {
            self.checks.taken_outright(
                now,
                self.phase,
                node,
                outright.group.port,
                outright.address,
            );
        }
        if self.nodes[node].has_taken_from_the_lost() {
            self.checks.taken_from_the_lost(now, node);
            self.note(|| format!("router {node} takes from a router that it was told is lost"));
        }
        let notes = self.nodes[node].plane.notes.as_mut();
        for note in notes.map(std::mem::take).unwrap_or_default() {
            self.note(|| format!("router {node}: {note}"));
        }
    }

    // The operator.

    fn order(&mut self) {
        let Phase::Faulty(_) = self.phase else {
            return;
        };
        let host = self.random.index(self.plan.hosts);
        // One that follows is not ordered anything.
        let sides = if self.plan.follows {
            1
        } else {
            self.plan.sides
        };
        let side = self.random.index(usize::from(sides)) as u16;
        let to = self.random.index(self.plan.routers);
        let (now, to_address) = (self.now, address(to, side));
        for node in 0..self.plan.nodes() {
            // One whose control thread stands takes no command, and does not learn by it what time it is.
            if self.nodes[node].control_stalled_until > now {
                continue;
            }
            if self.nodes[node].order(now, host, to_address) {
                self.note(|| {
                    format!(
                        "the operator orders {} on port {side} to router {to}",
                        end_system(host)
                    )
                });
                self.count("moves ordered");
                self.control(node);
                break;
            }
        }
        let pause = self
            .random
            .draw(self.plan.orders_ns / 2, self.plan.orders_ns * 2);
        self.schedule(pause, Event::Order);
    }

    /// A link is looked at now and then.
    pub(super) fn attend_soon(&mut self, node: usize) {
        self.attend_at(node, self.now + MS);
    }

    // The run.

    fn look(&mut self) {
        let now = self.now;
        if self.phase != Phase::Starting {
            self.checks.look(now, &self.nodes);
        }
        let settle_max_ns = self.plan.settle_max_ns();
        let steady = match self.phase {
            Phase::Settling(_) if self.is_settled() => now - *self.settled_at.get_or_insert(now),
            _ => {
                self.settled_at = None;
                0
            }
        };
        self.phase = match self.phase {
            Phase::Starting if self.is_settled() => {
                self.checks.settled("first", now);
                self.begin_faults();
                Phase::Faulty(now)
            }
            Phase::Starting if now > STARTS_NS + settle_max_ns => self.unsettled("at the start"),
            Phase::Faulty(since) if now >= since + FIRST_FAULT + FAULTS_NS => {
                // Whatever is down comes back.
                for node in 0..self.nodes.len() {
                    self.start(node);
                }
                self.deaf.clear();
                self.note(|| "the faults are over".to_owned());
                self.checks.disturb(now, now);
                Phase::Settling(now)
            }
            Phase::Settling(since) if steady >= STEADY_NS => {
                self.checks.settled("again", now - since - STEADY_NS);
                Phase::Last(now)
            }
            Phase::Settling(since) if now > since + settle_max_ns + STEADY_NS => {
                self.unsettled("after the last fault")
            }
            Phase::Last(since) if now > since + LAST_NS => Phase::Ending(now),
            Phase::Ending(since) if now > since + 20 * MS => {
                let last = since - LAST_NS;
                self.checks.judge(last, &self.nodes);
                Phase::Over
            }
            phase => phase,
        };
        self.schedule(2 * MS, Event::Look);
    }

    fn begin_faults(&mut self) {
        for host in 0..self.plan.hosts {
            for side in 0..self.plan.sides {
                let after = self.random.draw(0, self.plan.pause_ns);
                self.schedule(after, Event::Traffic(host, side));
            }
        }
        for (number, fault) in self.plan.faults.clone().into_iter().enumerate() {
            self.schedule(FIRST_FAULT + fault.at, Event::Begin(number));
            self.schedule(FIRST_FAULT + fault.until, Event::End(number));
        }
        self.schedule(MS, Event::Order);
    }

    fn is_settled(&self) -> bool {
        Checks::unsettled(&self.plan, &self.nodes).is_none()
    }

    fn unsettled(&mut self, when: &str) -> Phase {
        let why = Checks::unsettled(&self.plan, &self.nodes).unwrap_or_default();
        let now = self.now;
        let limit = self.plan.settle_max_ns() / MS;
        let what = format!("not settled {when} within {limit} ms: {why}");
        self.checks.liveness(now, what);
        let states: Vec<String> = self.nodes.iter().flat_map(Node::describe).collect();
        for state in states {
            self.note(|| state);
        }
        Phase::Over
    }
}
