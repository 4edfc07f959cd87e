//! The neighbour cache: who has which link address on which port, how sure that is, and what waits for an answer.
//! Which frames ask and what a frame proves is not known here (`arp.rs`); neither is what a packet is.
//!
//! ```text
//!              resolve                answered
//!   (unknown) ─────────▶ Incomplete ───────────▶ Reachable ◀──────────┐
//!       ▲                    │ asked in vain        │ its time is over │ answered
//!       │      hold-off over ▼                      ▼                  │
//!       ├───────────────── Failed                 Probe ───────────────┘
//!       └──────────────────────────────────────────┘ probed in vain
//! ```
//!
//! Packets that the router only forwards wait at the workers, which ask for what they need ([`Neighbours::want`]); those of its own, and those that it
//! has cut, wait here.
//!
//! While `Incomplete`, packets wait and everyone is asked, once each `retry_interval`. While `Failed`, packets are given
//! up at once. In `Probe` the neighbour alone is asked, and its link address is used until it has failed to answer. A neighbour
//! that only claimed to exist (it asked for us, or announced another link address) is probed soon; one that answered
//! is believed for `reachable_time`.
//!
//! Neighbours whose time is over are probed at a bounded rate; one that waits for its turn goes on being used.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::addr::MacAddr;
use vrrpd::Time;

use super::PortIndex;
use super::bucket::{Rate, TokenBucket};
use super::counters::NeighbourCounters;
use super::pending::{Pending, PendingLimits};

/// The times and bounds of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// Between two requests for the same neighbour (RFC 1122 section 2.3.2.1: at least a second).
    pub retry_interval: Duration,
    /// Requests, and later probes, before a neighbour is given up.
    pub attempts: u8,
    /// For how long nobody is asked for a neighbour that was given up.
    pub hold_off: Duration,
    /// For how long an answer is believed.
    pub reachable_time: Duration,
    /// How soon a neighbour that only claimed to exist is probed.
    pub confirm_delay: Duration,
    /// Resolutions begun.
    pub resolutions: Rate,
    /// Probes sent.
    pub probes: Rate,
    /// Neighbours in the cache, whatever their state.
    pub max_neighbours: usize,
    /// Neighbours among them that have no link address.
    pub max_unresolved: usize,
    /// Packets that wait.
    pub pending: PendingLimits,
    /// Timers that one round serves; the others are served in the next.
    pub max_timers_a_round: usize,
}

impl Default for NeighbourConfig {
    fn default() -> Self {
        Self {
            retry_interval: Duration::from_secs(1),
            attempts: 3,
            hold_off: Duration::from_secs(3),
            reachable_time: Duration::from_secs(300),
            confirm_delay: Duration::from_secs(5),
            resolutions: Rate {
                per_second: 2000,
                burst: 1000,
            },
            probes: Rate {
                per_second: 1000,
                burst: 100,
            },
            max_neighbours: 131_072,
            max_unresolved: 16_384,
            pending: PendingLimits {
                per_neighbour: 64,
                total: 1024,
            },
            max_timers_a_round: 256,
        }
    }
}

/// A neighbour: an address on the network of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The port.
    pub port: PortIndex,
    /// The address.
    pub address: Ipv4Addr,
}

/// What is known of a neighbour; the diagram above says how one state follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everyone was asked for it, so many times.
    Incomplete {
        /// Requests sent.
        asked: u8,
    },
    /// It is there.
    Reachable {
        /// Its link address.
        mac: MacAddr,
    },
    /// It was asked whether it is still there, so many times.
    Probe {
        /// Its link address, as last known.
        mac: MacAddr,
        /// Probes sent.
        asked: u8,
    },
    /// Nobody answered for it.
    Failed,
}

impl State {
    /// The link address, if there is one.
    #[must_use]
    pub const fn mac(self) -> Option<MacAddr> {
        match self {
            Self::Reachable { mac } | Self::Probe { mac, .. } => Some(mac),
            Self::Incomplete { .. } | Self::Failed => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Incomplete { .. } => "incomplete",
            Self::Reachable { .. } => "reachable",
            Self::Probe { .. } => "probe",
            Self::Failed => "failed",
        })
    }
}

/// What a frame proves about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It answered a question of this router.
    Answer,
    /// It asked for this router, and so is about to talk with it.
    Question,
    /// It told everyone, or asked for someone else. That makes nobody a neighbour who is not one already.
    Mention,
}

/// What the cache wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<P> {
    /// Ask everyone for this neighbour, or if its link address is given, it alone.
    Ask(Key, Option<MacAddr>),
    /// Send this packet to this link address.
    Release(Key, MacAddr, P),
    /// The neighbour has this link address now.
    Resolved(Key, MacAddr),
    /// The neighbour has no link address any more.
    Forgotten(Key),
    /// The workers' packets need not wait for the neighbour: it is not to be found, or was before they asked.
    Settled(Key),
    /// This packet's neighbour cannot be found.
    GaveUp(Key, P),
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// When its timer runs out; the same instant stands in one of the timer sets.
    deadline: Time,
}

/// The cache. Everything it wants done is drained by [`Neighbours::poll_event`].
#[derive(Debug)]
pub struct Neighbours<P> {
    config: NeighbourConfig,
    entries: HashMap<Key, Entry>,
    /// Timers of neighbours without a link address.
    unresolved: BTreeSet<(Time, Key)>,
    /// Timers of neighbours with one.
    resolved: BTreeSet<(Time, Key)>,
    pending: Pending<Key, P>,
    resolutions: TokenBucket,
    probes: TokenBucket,
    events: VecDeque<Event<P>>,
    counters: NeighbourCounters,
}

impl<P> Neighbours<P> {
    /// An empty cache.
    #[must_use]
    pub fn new(config: NeighbourConfig) -> Self {
        Self {
            config,
            entries: HashMap::new(),
            unresolved: BTreeSet::new(),
            resolved: BTreeSet::new(),
            pending: Pending::new(config.pending),
            resolutions: TokenBucket::new(config.resolutions),
            probes: TokenBucket::new(config.probes),
            events: VecDeque::new(),
            counters: NeighbourCounters::default(),
        }
    }

    /// Sends `packet` to a neighbour as soon as its link address is known.
    pub fn submit(&mut self, now: Time, key: Key, packet: P) {
        match self.find(now, key) {
            Some(State::Reachable { mac } | State::Probe { mac, .. }) => {
                self.events.push_back(Event::Release(key, mac, packet));
            }
            Some(State::Incomplete { .. }) => {
                self.counters.packets_queued += 1;
                if self.pending.push(key, packet).is_some() {
                    self.counters.packets_overflowed += 1;
                }
            }
            Some(State::Failed) => {
                self.events.push_back(Event::GaveUp(key, packet));
            }
            None => self.counters.packets_refused += 1,
        }
    }

    /// Packets wait for a neighbour elsewhere: they are told when they need not any longer, by [`Event::Resolved`] or [`Event::Settled`].
    pub fn want(&mut self, now: Time, key: Key) {
        if !matches!(self.find(now, key), Some(State::Incomplete { .. })) {
            self.events.push_back(Event::Settled(key));
        }
    }

    /// The state of a neighbour, which is asked for if it is unknown; `None` if it may not be now.
    pub fn find(&mut self, now: Time, key: Key) -> Option<State> {
        if let Some(entry) = self.entries.get(&key) {
            return Some(entry.state);
        }
        if self.entries.len() >= self.config.max_neighbours
            || self.unresolved.len() >= self.config.max_unresolved
        {
            self.counters.refused_full += 1;
            return None;
        }
        if !self.resolutions.take(now) {
            self.counters.refused_rate += 1;
            return None;
        }
        self.counters.resolutions += 1;
        self.counters.requests_sent += 1;
        self.events.push_back(Event::Ask(key, None));
        let state = State::Incomplete { asked: 1 };
        self.set(key, state, now + self.config.retry_interval);
        Some(state)
    }

    /// Takes note that a frame shows `key` at `mac`.
    pub fn heard(&mut self, now: Time, key: Key, mac: MacAddr, evidence: Evidence) {
        let known = self.entries.get(&key).map(|entry| entry.state);
        let confirmed = now + self.config.reachable_time;
        let claimed = now + self.config.confirm_delay;
        let deadline = match known {
            None if evidence != Evidence::Question => return,
            None if self.entries.len() >= self.config.max_neighbours => {
                self.counters.not_learned_full += 1;
                return;
            }
            None => {
                self.counters.learned += 1;
                claimed
            }
            Some(State::Incomplete { .. } | State::Failed) => {
                self.counters.resolved += 1;
                match evidence {
                    Evidence::Answer => confirmed,
                    Evidence::Question | Evidence::Mention => claimed,
                }
            }
            Some(State::Reachable { mac: old } | State::Probe { mac: old, .. }) => {
                if old != mac {
                    self.counters.moved += 1;
                }
                match evidence {
                    Evidence::Answer => confirmed,
                    _ if old == mac => confirmed,
                    Evidence::Question | Evidence::Mention => claimed,
                }
            }
        };
        self.set(key, State::Reachable { mac }, deadline);
        // What waited goes first, before the workers send newer packets past it.
        for packet in self.pending.take(key) {
            self.counters.packets_released += 1;
            self.events.push_back(Event::Release(key, mac, packet));
        }
        if known.and_then(State::mac) != Some(mac) {
            self.events.push_back(Event::Resolved(key, mac));
        }
    }

    /// Serves the timers that have run out, some of them in a round.
    pub fn tick(&mut self, now: Time) {
        let mut budget = self.config.max_timers_a_round;
        while let Some(&(deadline, key)) = self.unresolved.first()
            && deadline <= now
            && budget > 0
        {
            budget -= 1;
            self.unresolved_timer(now, key);
        }
        while let Some(&(deadline, key)) = self.resolved.first()
            && deadline <= now
            && budget > 0
        {
            budget -= 1;
            if !self.resolved_timer(now, key) {
                return;
            }
        }
    }

    /// Asks again for a neighbour without a link address, or gives it up, or forgets that it was given up.
    fn unresolved_timer(&mut self, now: Time, key: Key) {
        match self.entries.get(&key).map(|entry| entry.state) {
            Some(State::Incomplete { asked }) if asked < self.config.attempts => {
                self.counters.requests_sent += 1;
                self.events.push_back(Event::Ask(key, None));
                let state = State::Incomplete { asked: asked + 1 };
                self.set(key, state, now + self.config.retry_interval);
            }
            Some(State::Incomplete { .. }) => {
                self.counters.gave_up += 1;
                self.set(key, State::Failed, now + self.config.hold_off);
                self.events.push_back(Event::Settled(key));
                for packet in self.pending.take(key) {
                    self.counters.packets_failed += 1;
                    self.events.push_back(Event::GaveUp(key, packet));
                }
            }
            _ => self.remove(key),
        }
    }

    /// Probes a neighbour, or forgets it after probes in vain. False if there may be no probe now.
    fn resolved_timer(&mut self, now: Time, key: Key) -> bool {
        let (mac, asked) = match self.entries.get(&key).map(|entry| entry.state) {
            Some(State::Reachable { mac }) => (mac, 0),
            Some(State::Probe { mac, asked }) => (mac, asked),
            _ => {
                self.remove(key);
                return true;
            }
        };
        if asked >= self.config.attempts {
            self.counters.aged_out += 1;
            self.remove(key);
            self.events.push_back(Event::Forgotten(key));
            return true;
        }
        if !self.probes.take(now) {
            return false;
        }
        self.counters.probes_sent += 1;
        self.events.push_back(Event::Ask(key, Some(mac)));
        let asked = asked + 1;
        self.set(
            key,
            State::Probe { mac, asked },
            now + self.config.retry_interval,
        );
        true
    }

    /// When [`Neighbours::tick`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let unresolved = self.unresolved.first().map(|(deadline, _)| *deadline);
        let resolved = self.resolved.first().and_then(|(deadline, _)| {
            let permitted = self.probes.ready_at()?;
            Some(permitted.max(*deadline))
        });
        match (unresolved, resolved) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_event(&mut self) -> Option<Event<P>> {
        self.events.pop_front()
    }

    /// Removes the neighbours for which `gone` holds and drops what waits for them.
    pub fn flush(&mut self, mut gone: impl FnMut(Key) -> bool) {
        let keys: Vec<Key> = self
            .entries
            .keys()
            .copied()
            .filter(|key| gone(*key))
            .collect();
        for key in keys {
            self.counters.packets_flushed += self.pending.take(key).len() as u64;
            let resolved = self.entries.get(&key).and_then(|entry| entry.state.mac());
            self.remove(key);
            self.events.push_back(match resolved {
                Some(_) => Event::Forgotten(key),
                None => Event::Settled(key),
            });
        }
    }

    /// Every neighbour, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, State)> {
        self.entries.iter().map(|(key, entry)| (*key, entry.state))
    }

    /// Packets that wait.
    #[must_use]
    pub const fn packets_waiting(&self) -> usize {
        self.pending.waiting()
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &NeighbourCounters {
        &self.counters
    }

    /// Starts counting at zero.
    pub fn clear_counters(&mut self) {
        self.counters = NeighbourCounters::default();
    }

    fn timers(&mut self, state: State) -> &mut BTreeSet<(Time, Key)> {
        match state.mac() {
            Some(_) => &mut self.resolved,
            None => &mut self.unresolved,
        }
    }

    fn set(&mut self, key: Key, state: State, deadline: Time) {
        if let Some(old) = self.entries.insert(key, Entry { state, deadline }) {
            self.timers(old.state).remove(&(old.deadline, key));
        }
        self.timers(state).insert((deadline, key));
    }

    fn remove(&mut self, key: Key) {
        if let Some(old) = self.entries.remove(&key) {
            self.timers(old.state).remove(&(old.deadline, key));
        }
    }
}

#[cfg(test)]
mod tests;
