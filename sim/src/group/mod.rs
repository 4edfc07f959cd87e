//! Whole groups of routers in one process, from one seed: the program's own control thread ([`manifold::control::router`]) and its own
//! decisions about packets ([`dataplane::handover`], [`dataplane::backlog`], [`dataplane::verdict`]) under virtual time, on a simulated link, under faults.
//!
//! | file | what lives there |
//! |---|---|
//! | `plan.rs` | what a seed decides |
//! | `world.rs` | time, routers, operator |
//! | `link.rs` | the link, and the end systems' packets |
//! | `events.rs` | what is to happen, in its order |
//! | `faults.rs` | faults, as they begin and end |
//! | `node.rs` | a router: configuration, control thread, clock |
//! | `plane.rs` | its data plane, as the control thread sees it |
//! | `worker.rs` | a worker |
//! | `checks.rs` | what must hold |
//!
//! A packet may be lost, doubled or overtaken only while a fault excuses it: a router that was down, unheard or stalled, or the take-over of an end
//! system without hand-over, which is what its router's silence asks for. In a run in which nothing can make a router silent, there may be none of these either.

mod checks;
mod events;
mod faults;
mod link;
mod node;
mod packet;
mod plan;
mod plane;
mod random;
mod worker;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::Plan;
pub use plan::{FaultKind, Planted};
use world::World;

/// How many lines of a trace are shown before the first violation, and after it.
const TRACE_LINES: usize = 60;

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// By which it can be run again.
    pub seed: u64,
    /// What should never have happened and did.
    pub safety: Vec<String>,
    /// What should have happened in the end and did not.
    pub liveness: Vec<String>,
    /// How often each fault was injected, and what else was counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// What happened, if that was wanted.
    pub trace: Vec<String>,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.safety.is_empty() && self.liveness.is_empty()
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, traced: bool) -> Outcome {
    run_planted(seed, None, traced)
}

/// Runs a seed with workers that do something wrong.
#[must_use]
pub fn run_planted(seed: u64, planted: Option<Planted>, traced: bool) -> Outcome {
    carry_out(Plan::new(seed, planted), traced)
}

/// Runs a group to which nothing happens but one fault of one router. That it blocks an end system for longer than it may is a violation of liveness.
#[must_use]
pub fn run_with_one_fault(seed: u64, kind: FaultKind, traced: bool) -> Outcome {
    carry_out(Plan::with_one_fault(seed, kind), traced)
}

fn carry_out(plan: Plan, traced: bool) -> Outcome {
    let seed = plan.seed;
    let first_line = format!("{plan:?}");
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = match World::new(plan, traced) {
            Ok(world) => world,
            Err(error) => {
                return Outcome {
                    safety: vec![error],
                    ..Outcome::default()
                };
            }
        };
        world.run();
        summary(world)
    }));
    let mut outcome = outcome.unwrap_or_else(|_| Outcome {
        safety: vec!["a panic, told above".to_owned()],
        ..Outcome::default()
    });
    outcome.seed = seed;
    if traced {
        outcome.trace.insert(0, first_line);
    }
    outcome
}

fn summary(world: World) -> Outcome {
    let World {
        mut checks,
        mut counts,
        plan,
        nodes,
        trace,
        ..
    } = world;
    let (doubled, lost) = checks.totals();
    let blocked = checks.blocked_ns();
    counts.insert("blocked", blocked);
    if let Some(most) = plan.blocked_max_ns.filter(|most| blocked > *most) {
        let [blocked, most] = [blocked, most].map(|ns| ns as f64 / 1e6);
        let what =
            format!("an end system was without service for {blocked:.3} ms, more than {most:.3}");
        checks.liveness.push(what);
    }
    counts.insert("packets", checks.packets());
    let lagging = plan.lag_ns.iter().filter(|lag| **lag > 0).count();
    let drifting = plan.drift_ppm.iter().filter(|drift| **drift != 0).count();
    counts.extend([
        (
            "groups with a substitution server",
            plan.servers.min(1) as u64,
        ),
        ("groups on both sides", (plan.sides > 1).into()),
        ("carrier sides that follow the LAN's", plan.follows.into()),
        ("routers and servers whose ports lag", lagging as u64),
        ("routers and servers whose clocks drift", drifting as u64),
    ]);
    counts.insert("packets sent on twice, for whatever reason", doubled);
    counts.insert("packets sent on by nobody, for whatever reason", lost);
    for node in &nodes {
        for (_, part) in node
            .router()
            .into_iter()
            .flat_map(|router| router.vrrp().parts())
        {
            let moves = part.moves().counters();
            let mut add = |what, count| *counts.entry(what).or_default() += count;
            add("moves finished", moves.taken);
            add(
                "moves given up, as the other router kept the condition",
                moves.stood_down,
            );
            add(
                "moves finished without an answer",
                moves.taken_without_answer,
            );
            add("confirmations", moves.confirmations_sent);
            add("backlogs not drained in time", moves.drain_timeouts);
        }
    }
    for (what, figure) in checks.figures {
        *counts.entry(what).or_default() += figure;
    }
    Outcome {
        seed: 0,
        safety: checks.safety,
        liveness: checks.liveness,
        counts,
        trace: trace.unwrap_or_default(),
    }
}

/// The part of a trace that a person wants to read first: what came before the violation.
#[must_use]
pub fn relevant(outcome: &Outcome) -> Vec<&str> {
    let violations = outcome.safety.iter().chain(&outcome.liveness);
    let time = violations
        .filter_map(|line| {
            line.strip_prefix("at ")?
                .split(' ')
                .next()?
                .parse::<f64>()
                .ok()
        })
        .fold(f64::INFINITY, f64::min);
    let at = |line: &str| {
        line.split_whitespace()
            .next()
            .and_then(|word| word.parse::<f64>().ok())
    };
    let place = outcome
        .trace
        .iter()
        .position(|line| at(line).is_some_and(|when| when > time))
        .unwrap_or(outcome.trace.len());
    let from = place.saturating_sub(TRACE_LINES);
    let to = outcome.trace.len().min(place + TRACE_LINES / 2);
    outcome.trace[from..to].iter().map(String::as_str).collect()
}
