//! What it costs a worker that every condition is counted by itself, and that the counters are read: 65,536 conditions under traffic.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{Dataplane, ForwardingMode, Group, MatchOn};
use serde_json::{Value, json};
use vrrpd::Time;
use vrrpd::sharing::monitor::Monitor;
use vrrpd::sharing::names::Condition;

use crate::child::{self, Result, VRID};
use crate::report::median;
use crate::traffic::Load;

/// The quarter of `review-window` after which the counters are read, by default.
const PERIOD: Duration = Duration::from_millis(2500);
/// As often they are read here, so that what that costs can be seen.
const OFTEN: Duration = Duration::from_millis(25);

/// Rates of one round: packets a second of the worker's processor time, in millions.
struct Round {
    /// Counted together, and routed without being looked up, as in a group without load sharing.
    together: f64,
    /// Each by itself.
    each: f64,
    /// The same while all counters are read every [`OFTEN`].
    read: f64,
}

/// Measures so many rounds over the large load, each phase for `length`.
pub(crate) fn run(pcap: &Path, rounds: u32, length: Duration, huge: bool) -> Result<Value> {
    let mut plane = child::start(pcap, 1, huge)?;
    child::add_routes(&mut plane, Load::Large)?;
    let each = Arc::new(child::shared_table(Load::Large)?);
    let together = Arc::new(VerdictTable::uniform(Verdict::Route, 1));
    let group = Group {
        verdicts: Arc::clone(&each),
        match_on: MatchOn::Source,
    };
    plane.set_group(0, VRID, Some(group))?;
    plane.set_mode(ForwardingMode::Route);
    plane.start_forwarding();
    thread::sleep(length);
    let mut reader = Reader::new();
    let mut measured = Vec::new();
    for _ in 0..rounds {
        plane.set_verdicts(0, VRID, Arc::clone(&together));
        let together = child::measure(&mut plane, length, true)?;
        plane.set_verdicts(0, VRID, Arc::clone(&each));
        let each = child::measure(&mut plane, length, true)?;
        let (read, _) = child::measure_while(&mut plane, length / 10, true, |plane| {
            let end = Instant::now() + length;
            while Instant::now() < end {
                reader.read(plane);
                thread::sleep(OFTEN);
            }
        })?;
        measured.push(Round {
            together,
            each,
            read,
        });
    }
    plane.stop_forwarding();
    let of = |figure: fn(&Round) -> f64| median(measured.iter().map(figure));
    let read_each = of(|round| round.read / round.each);
    // What one reading costs the worker: the part of its time that is missing, as far as there is one.
    let reading_us = (1.0 - read_each) * reader.every_us();
    Ok(json!({
        "conditions": Load::Large.packets(),
        "mpps": {
            "together": of(|round| round.together),
            "each": of(|round| round.each),
            "each_read": of(|round| round.read),
        },
        "ratio": {
            "each_together": of(|round| round.each / round.together),
            "read_each": read_each,
            "read_each_by_default": 1.0 - reading_us / (PERIOD.as_secs_f64() * 1e6),
        },
        "read_every_ms": reader.every_us() / 1e3,
        "reading_costs_worker_us": reading_us,
        "reading_takes_control_ms": reader.took.as_secs_f64() * 1e3 / f64::from(reader.count.max(1)),
        "rounds": rounds,
    }))
}

/// What the control thread does with the counters.
struct Reader {
    conditions: Vec<Condition>,
    monitor: Monitor,
    window: Duration,
    began: Option<Instant>,
    count: u32,
    took: Duration,
}

impl Reader {
    fn new() -> Self {
        let source = |index| IpAddr::from(Load::Large.source(index));
        let window = PERIOD * 4;
        Self {
            conditions: (0..Load::Large.packets())
                .map(|index| Condition::Address(source(index)))
                .collect(),
            monitor: Monitor::new(window),
            window,
            began: None,
            count: 0,
            took: Duration::ZERO,
        }
    }

    fn read(&mut self, plane: &Dataplane) {
        let begin = Instant::now();
        self.began.get_or_insert(begin);
        // As if a quarter of the window had passed since the last.
        let now = Time::ZERO + self.window / 4 * self.count;
        let octets = (1..).zip(&self.conditions);
        let octets = octets.map(|(index, condition)| (*condition, plane.condition_octets(index)));
        let octets: Vec<(Condition, u64)> = octets.collect();
        self.monitor.read(now, octets, plane.overflows());
        self.count += 1;
        self.took += begin.elapsed();
    }

    /// Microseconds from one reading to the next, while they are read.
    fn every_us(&self) -> f64 {
        let each = self.took / self.count.max(1) + OFTEN;
        each.as_secs_f64() * 1e6
    }
}
