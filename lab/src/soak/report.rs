//! The figures of a soak.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::BOUND;
use super::account::{Account, Cause, Tolls};
use super::memory::Memory;
use crate::stalls::{Stall, Stalled};
use crate::table::Table;

/// Times for which something of the machine stood still.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stalls {
    /// How many there were.
    pub times: usize,
    /// All together, in ms.
    pub sum_ms: u128,
    /// The longest, in ms.
    pub longest_ms: u128,
}

impl Stalls {
    fn of(what: Stalled, stalls: &[Stall]) -> Self {
        let mut sum = Self::default();
        for stall in stalls.iter().filter(|stall| stall.of == what) {
            let length = stall.length().as_millis();
            sum.times += 1;
            sum.sum_ms += length;
            sum.longest_ms = sum.longest_ms.max(length);
        }
        sum
    }
}

impl fmt::Display for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} times, {} ms in all, {} ms at most",
            self.times, self.sum_ms, self.longest_ms
        )
    }
}

/// What a soak showed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What decided the acts.
    pub seed: u64,
    /// For how long there was load.
    pub seconds: f64,
    /// How many acts there were.
    pub acts: u64,
    /// Moves that the authority took on, and refused: of an end system that the router has already, or to one that was not there.
    pub moves: u64,
    /// See [`Report::moves`].
    pub moves_refused: u64,
    /// Frames that no honest machine sends.
    pub hostile_frames: u64,
    /// Packets that the end systems sent.
    pub sent: u64,
    /// What became of them, by cause.
    pub causes: BTreeMap<Cause, Tolls>,
    /// The longest time that the routers took to have one table again, in ms.
    pub longest_until_agreed_ms: u128,
    /// For how long a fault may block an end system, in ms.
    pub bound_ms: u128,
    /// Times for which a processor of this machine stood still, for more than 5 ms.
    pub processors: Stalls,
    /// Times for which a router's thread had to wait for a processor, for more than 4 ms.
    pub routers: Stalls,
    /// Those for which a thread of the kernel that carries frames had to.
    pub network: Stalls,
    /// Of the router that was neither killed nor stopped.
    pub memory: Memory,
    /// Packets on hold at the end, in all routers.
    pub held_at_end: u64,
    /// Packets that the laboratory's own links dropped at the end systems and servers.
    pub dropped_by_the_network: u64,
    /// What should not have happened.
    pub wrong: Vec<String>,
}

impl Report {
    /// What is known when all routers have agreed in the end, which is why it is not asked here.
    pub(super) fn new(
        (seed, seconds, acts): (u64, f64, u64),
        account: &Account,
        stalls: &[Stall],
        memory: Memory,
        held_at_end: u64,
        dropped_by_the_network: u64,
    ) -> Self {
        let mut wrong = account.wrong.clone();
        if held_at_end > 0 {
            wrong.push(format!("{held_at_end} packets are still on hold"));
        }
        if !memory.is_flat() {
            wrong.push(format!("memory has grown: {memory:?}"));
        }
        Self {
            seed,
            seconds,
            acts,
            moves: account.moves,
            moves_refused: account.moves_refused,
            hostile_frames: account.hostile_frames,
            sent: account.sent,
            causes: account.by_cause.clone(),
            longest_until_agreed_ms: account.longest_until_agreed.as_millis(),
            bound_ms: BOUND.as_millis(),
            processors: Stalls::of(Stalled::Processor, stalls),
            routers: Stalls::of(Stalled::Router, stalls),
            network: Stalls::of(Stalled::Network, stalls),
            memory,
            held_at_end,
            dropped_by_the_network,
            wrong,
        }
    }

    /// Whether everything was as it should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.wrong.is_empty() && self.sent > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            "in the time of",
            "times",
            "lost",
            "duplicated",
            "reordered",
            "blocked at most, ms",
            "beyond the bound",
            "met a stall",
        ]);
        for (cause, tolls) in &self.causes {
            table.row(&[
                &cause,
                &tolls.times,
                &tolls.lost,
                &tolls.duplicated,
                &tolls.reordered,
                &format!("{:.0}", tolls.blocked_ms),
                &tolls.beyond_bound,
                &tolls.stalled,
            ]);
        }
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "{} packets in {:.0} s, {} acts from seed {}, {} moves ({} refused), {} hostile frames",
            self.sent,
            self.seconds,
            self.acts,
            self.seed,
            self.moves,
            self.moves_refused,
            self.hostile_frames
        )?;
        writeln!(
            f,
            "a fault may block an end system for {} ms: 3 intervals, skew and 50 ms; one table again after {} ms at most",
            self.bound_ms, self.longest_until_agreed_ms
        )?;
        writeln!(
            f,
            "processors stood still {}\nrouters' threads waited for one {}; the kernel's, which carry frames, {}; dropped by the laboratory's links: {}",
            self.processors, self.routers, self.network, self.dropped_by_the_network
        )?;
        let memory = &self.memory;
        writeln!(
            f,
            "r3 occupied, in KiB, from the start to the end: {}; {} packet buffers in use, then {}; on hold at the end: {}",
            memory
                .rss_kib
                .iter()
                .map(u64::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            memory.mbufs_at_start,
            memory.mbufs_at_end,
            self.held_at_end
        )?;
        for line in &self.wrong {
            writeln!(f, "WRONG  {line}")?;
        }
        write!(
            f,
            "{}",
            if self.holds() {
                "everything held; all tables are equal"
            } else {
                "not everything held"
            }
        )
    }
}
