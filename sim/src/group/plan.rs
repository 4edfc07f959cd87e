//! What a seed decides: how large the group is, what the link does to frames, and which faults come when.

use super::random::Random;
use super::worker::PORTS;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const US: u64 = 1_000;

/// For how long faults come, once the group has settled for the first time.
pub(crate) const FAULTS_NS: u64 = 1_500 * MS;

/// Longer than any run.
const NEVER_NS: u64 = 1_000_000 * MS;
/// What messages, and rounds of control threads, take until a lost router's end systems are with others.
const AGREEMENT_NS: u64 = 15 * MS;

/// For how long an unfinished move holds packets, as configured.
pub(crate) const HOLD_LIMIT_MS: u64 = 200;
/// The lowest priority of a group.
pub(crate) const PRIORITY_MIN: u64 = 100;

/// What may go wrong with a router, or with the link to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is gone without a word, and starts again at the end.
    Crash,
    /// Workers and control thread stand still; frames wait, and are lost when queues are full.
    Stall,
    /// The workers stand still for less than any silence that matters.
    WorkerStall,
    /// The control thread stands still for less than any silence that matters.
    ControlStall,
    /// It cannot be heard by some others, nor hear them.
    Partition,
    /// It hears some others, which do not hear it.
    OneWayPartition,
    /// A port has no link.
    LinkFlap,
    /// Its egress takes a packet every two milliseconds.
    Congestion,
    /// An end system sends more than a receive queue takes, all at once.
    Burst,
    /// It gives everything away, ends, and starts again at the end.
    Drain,
}

impl FaultKind {
    /// Whether a router may be taken for faulty because of it, or lose what it had.
    const fn is_rough(self) -> bool {
        !matches!(
            self,
            FaultKind::WorkerStall
                | FaultKind::ControlStall
                | FaultKind::Congestion
                | FaultKind::Burst
                | FaultKind::Drain
        )
    }

    /// The same, if it is a substitution server's: only who does not hear the others may take them for faulty.
    const fn is_rough_at_server(self) -> bool {
        matches!(self, FaultKind::Partition | FaultKind::OneWayPartition)
    }

    const fn name_at_server(self) -> &'static str {
        match self {
            FaultKind::Crash => "crashes and restarts of a substitution server",
            FaultKind::Stall => "stalls of a substitution server",
            FaultKind::Partition => "partitions of a substitution server",
            FaultKind::OneWayPartition => "one-way partitions of a substitution server",
            FaultKind::LinkFlap => "link flaps of a substitution server",
            FaultKind::Drain => "ends and restarts of a substitution server",
            kind => kind.name(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            FaultKind::Crash => "crashes and restarts",
            FaultKind::Stall => "stalls of a router",
            FaultKind::WorkerStall => "short stalls of workers",
            FaultKind::ControlStall => "short stalls of a control thread",
            FaultKind::Partition => "partitions",
            FaultKind::OneWayPartition => "one-way partitions",
            FaultKind::LinkFlap => "link flaps",
            FaultKind::Congestion => "congested egresses",
            FaultKind::Burst => "bursts beyond a receive queue",
            FaultKind::Drain => "drains and restarts",
        }
    }
}

/// A fault, from when to when after the group has settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) at: u64,
    pub(crate) until: u64,
    /// Of which router or substitution server.
    pub(crate) node: usize,
    /// Which others, or which port, as the kind wants it.
    pub(crate) detail: u64,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) routers: usize,
    /// Substitution servers, which are numbered behind the routers.
    pub(crate) servers: usize,
    pub(crate) hosts: usize,
    /// On how many sides there are groups, the LAN's the first: whether packets go from the carrier's side to the hosts too.
    pub(crate) sides: u16,
    /// Whether the carrier side's group follows the LAN's, or decides for itself.
    pub(crate) follows: bool,
    pub(crate) timer_mode: bool,
    pub(crate) interval_ms: u64,
    /// The mean time between packets of a host in one direction.
    pub(crate) pause_ns: u64,
    /// Of a thousand control messages: lost, doubled, late.
    pub(crate) control_loss: u64,
    pub(crate) control_doubled: u64,
    pub(crate) control_late: u64,
    /// Of a thousand packets, lost at one port.
    pub(crate) receive_loss: u64,
    /// Of a thousand rounds of a worker, how many come some milliseconds late.
    pub(crate) late_rounds: u64,
    /// By how much each node's ports lag behind the others.
    pub(crate) lag_ns: Vec<u64>,
    /// How wrong each node's clock goes, in millionths.
    pub(crate) drift_ppm: Vec<i64>,
    /// The mean time between moves that the operator orders.
    pub(crate) orders_ns: u64,
    pub(crate) faults: Vec<Fault>,
    /// For how long an end system may be without service at most, if that can be said.
    pub(crate) blocked_max_ns: Option<u64>,
    /// What the workers do wrong.
    pub(crate) planted: Option<Planted>,
}

/// Something that workers do wrong, to see that the checks notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// What is held is released as if the other router had accepted nothing.
    ReleaseWithoutList,
    /// What is on hold is discarded.
    HoldNothing,
    /// Receive queues count as emptied at once.
    NoSweep,
    /// A backlog counts as drained at once.
    NoDrain,
}

impl Plan {
    pub(crate) fn new(seed: u64, planted: Option<Planted>) -> Plan {
        let mut random = Random::new(seed);
        let random = &mut random;
        // Few large groups, as they take long.
        let routers = match random.draw(0, 10) {
            0 => random.draw(6, 17),
            1..4 => random.draw(4, 6),
            4..7 => 3,
            _ => 2,
        } as usize;
        let is_calm = random.chance(500);
        let is_exact = is_calm && random.chance(500);
        let percent = |random: &mut Random, most: u64| match is_exact {
            true => 0,
            false => random.draw(0, most * 10) * random.draw(0, 2),
        };
        let mut plan = Plan {
            seed,
            routers,
            servers: 0,
            hosts: random.draw(4, 11) as usize,
            sides: random.draw(1, 3) as u16,
            follows: false,
            timer_mode: random.chance(150),
            interval_ms: random.draw(5, 11) * 10,
            pause_ns: random.draw(3, 10) * MS,
            control_loss: percent(random, 20),
            control_doubled: percent(random, 20),
            control_late: percent(random, 10),
            receive_loss: random.draw(0, 10) * random.draw(0, 2),
            late_rounds: random.draw(0, 50) * random.draw(0, 2),
            lag_ns: (0..routers)
                .map(|_| random.draw(0, 500) * US * random.draw(0, 2))
                .collect(),
            drift_ppm: (0..routers)
                .map(|_| random.draw(0, 400) as i64 - 200)
                .collect(),
            orders_ns: random.draw(5, 40) * MS,
            faults: Vec::new(),
            blocked_max_ns: None,
            planted,
        };
        for _ in 0..random.draw(1, 7) {
            let fault = plan.fault(random, is_calm);
            plan.faults.push(fault);
        }
        plan.add_others(is_calm);
        plan
    }

    /// A run in which nothing happens but one fault of a router's. It may block an end system until the others miss it, and have agreed.
    pub(crate) fn with_one_fault(seed: u64, kind: FaultKind) -> Plan {
        let mut plan = Plan::new(seed, None);
        let random = &mut Random::new(seed);
        plan.timer_mode = false;
        plan.control_loss = 0;
        plan.control_doubled = 0;
        plan.control_late = 0;
        plan.receive_loss = 0;
        plan.late_rounds = 0;
        plan.orders_ns = NEVER_NS;
        plan.blocked_max_ns = Some(plan.silence_max_ns() + AGREEMENT_NS);
        let at = random.draw(0, FAULTS_NS / 4);
        plan.faults = vec![Fault {
            kind,
            at,
            until: at + random.draw(10 * MS, 800 * MS),
            node: random.index(plan.routers),
            detail: random.next(),
        }];
        plan
    }

    /// Until a router is missed: 3 intervals and the skew of the lowest priority (RFC 9568 section 6.1).
    fn silence_max_ns(&self) -> u64 {
        let interval = self.interval_ms * MS;
        3 * interval + interval * (256 - PRIORITY_MIN) / 256
    }

    /// For how long a group may take to settle, when nothing is wrong any more: a master is missed, the next authority waits for whoever does not answer it, and a
    /// move comes to its end.
    pub(crate) fn settle_max_ns(&self) -> u64 {
        2 * self.silence_max_ns() + HOLD_LIMIT_MS * MS + AGREEMENT_NS
    }

    /// Substitution servers with their faults, and a carrier side that follows. Drawn apart, so that a run without them is what it was before there were any.
    fn add_others(&mut self, is_calm: bool) {
        let mut random = Random::new(self.seed ^ 0x5e47_e45a_17d7_1e5a);
        let random = &mut random;
        self.follows = self.sides > 1 && random.chance(600);
        self.servers = match random.draw(0, 20) {
            0 => 2,
            1..8 => 1,
            _ => 0,
        };
        for server in self.routers..self.nodes() {
            self.lag_ns
                .push(random.draw(0, 500) * US * random.draw(0, 2));
            self.drift_ppm.push(random.draw(0, 400) as i64 - 200);
            for _ in 0..random.draw(0, 4) {
                let fault = Self::server_fault(random, server, is_calm);
                self.faults.push(fault);
            }
        }
    }

    fn server_fault(random: &mut Random, server: usize, is_calm: bool) -> Fault {
        const KINDS: [FaultKind; 6] = [
            FaultKind::Crash,
            FaultKind::Stall,
            FaultKind::LinkFlap,
            FaultKind::Drain,
            FaultKind::Partition,
            FaultKind::OneWayPartition,
        ];
        // The last two are for runs in which routers may be taken for faulty.
        let kind = KINDS[random.index(if is_calm { 4 } else { KINDS.len() })];
        let at = random.draw(0, FAULTS_NS - 200 * MS);
        Fault {
            kind,
            at,
            until: (at + random.draw(10 * MS, 800 * MS)).min(FAULTS_NS),
            node: server,
            detail: random.next(),
        }
    }

    /// Routers and substitution servers together.
    pub(crate) fn nodes(&self) -> usize {
        self.routers + self.servers
    }

    pub(crate) fn is_server(&self, node: usize) -> bool {
        node >= self.routers
    }

    /// How many sides a node is on.
    pub(crate) fn ports(&self, node: usize) -> u16 {
        match self.is_server(node) {
            true => 1,
            false => PORTS as u16,
        }
    }

    /// Whether a router may be taken for faulty because of a fault, or lose what it had.
    pub(crate) fn is_rough(&self, fault: &Fault) -> bool {
        match self.is_server(fault.node) {
            true => fault.kind.is_rough_at_server(),
            false => fault.kind.is_rough(),
        }
    }

    /// What a fault is counted as.
    pub(crate) fn name(&self, fault: &Fault) -> &'static str {
        match self.is_server(fault.node) {
            true => fault.kind.name_at_server(),
            false => fault.kind.name(),
        }
    }

    fn fault(&self, random: &mut Random, is_calm: bool) -> Fault {
        const SOFT: [FaultKind; 4] = [
            FaultKind::WorkerStall,
            FaultKind::ControlStall,
            FaultKind::Congestion,
            FaultKind::Burst,
        ];
        const ROUGH: [FaultKind; 6] = [
            FaultKind::Crash,
            FaultKind::Stall,
            FaultKind::Partition,
            FaultKind::OneWayPartition,
            FaultKind::LinkFlap,
            FaultKind::Drain,
        ];
        let kind = if is_calm || random.chance(400) {
            SOFT[random.index(SOFT.len())]
        } else {
            ROUGH[random.index(ROUGH.len())]
        };
        let at = random.draw(0, FAULTS_NS - 200 * MS);
        let lasts = match kind {
            FaultKind::WorkerStall | FaultKind::ControlStall => random.draw(MS, 15 * MS),
            FaultKind::Burst => MS,
            FaultKind::Congestion => random.draw(50 * MS, 400 * MS),
            _ => random.draw(10 * MS, 800 * MS),
        };
        Fault {
            kind,
            at,
            until: (at + lasts).min(FAULTS_NS),
            node: random.index(self.routers),
            detail: random.next(),
        }
    }

    /// Whether nothing can make one router take another for faulty.
    pub(crate) fn is_exact(&self) -> bool {
        self.control_loss == 0
            && self.control_late == 0
            && self
                .faults
                .iter()
                .all(|fault| !self.is_rough(fault) && fault.kind != FaultKind::Burst)
    }
}
