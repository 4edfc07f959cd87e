//! Looking for end systems on a group's link (A18): who is asked when, and whose answer counts. In a round everyone is asked at once by
//! an ICMP information request (RFC 792), which few answer, and every address in turn by ARP, at a bounded rate. The router that allocates
//! holds a round when it begins to, before it shares the load anew, and from time to time.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::addr::Ipv4Prefix;
use vrrpd::Time;

use crate::config::DiscoveryConfig;
use crate::control::host::{Rate, TokenBucket};

/// For how long an answer counts.
const PATIENCE: Duration = Duration::from_secs(5);
/// The least time from the beginning of a round to that of the next.
const GAP: Duration = Duration::from_secs(1);

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control::vrrp) enum Question {
    /// Everyone, by an information request with these numbers.
    Everyone { identifier: u16, sequence: u16 },
    /// Whoever has this address, by ARP.
    Neighbour(Ipv4Addr),
}

/// What one group asks.
#[derive(Debug)]
pub(super) struct Discovery {
    link: Ipv4Prefix,
    sweeps: bool,
    requests: bool,
    interval: Duration,
    bucket: TokenBucket,
    rate: Rate,
    /// By which answers to this life's requests are told from others.
    identifier: u16,
    /// When the next round begins; none unless this router allocates.
    next_round: Option<Time>,
    /// When the last one began.
    began_at: Option<Time>,
    /// Its number, and that of its information request.
    sequence: u16,
    /// Whether its information request is still to be sent.
    request_due: bool,
    /// The first and the last of the addresses that are still to be asked for.
    ahead: Option<(u32, u32)>,
    /// Those that may still answer, in ascending order, and when each was asked for.
    asked: VecDeque<(u32, Time)>,
    counters: Counters,
}

/// What was asked and answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Rounds begun.
    pub(super) rounds: u64,
    /// Addresses asked for by ARP.
    pub(super) sweep_requests: u64,
    /// Answers to that.
    pub(super) sweep_replies: u64,
    /// Information requests.
    pub(super) information_requests: u64,
    /// Information replies that count.
    pub(super) information_replies: u64,
}

impl Discovery {
    /// For the link with this prefix; `identifier` is random.
    pub(super) fn new(config: &DiscoveryConfig, link: Ipv4Prefix, identifier: u16) -> Self {
        let rate = Rate {
            per_second: config.sweep_rate,
            burst: config.sweep_rate.div_ceil(100),
        };
        Self {
            link,
            sweeps: config.sweep,
            requests: config.information_requests,
            interval: config.discovery_interval,
            bucket: TokenBucket::new(rate),
            rate,
            identifier,
            next_round: None,
            began_at: None,
            sequence: 0,
            request_due: false,
            ahead: None,
            asked: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes another configuration; a round under way goes on as far as that lets it.
    pub(super) fn set(&mut self, config: &DiscoveryConfig) {
        let fresh = Self::new(config, self.link, self.identifier);
        if fresh.rate != self.rate {
            (self.rate, self.bucket) = (fresh.rate, fresh.bucket);
        }
        self.interval = fresh.interval;
        self.sweeps = fresh.sweeps;
        self.requests = fresh.requests;
        self.ahead = self.ahead.filter(|_| fresh.sweeps);
        self.request_due &= fresh.requests;
    }

    /// Whether this router is the one that looks for end systems; if it has just become that, it begins `delay` later.
    pub(super) fn set_active(&mut self, now: Time, active: bool, delay: Duration) {
        if active && self.next_round.is_none() {
            self.next_round = Some(now + delay);
        } else if !active {
            self.next_round = None;
            self.request_due = false;
            self.ahead = None;
        }
    }

    /// The load is about to be shared anew: a round is wanted soon. One that is under way will do.
    pub(super) fn want(&mut self, now: Time) {
        let earliest = self.began_at.map_or(now, |at| now.max(at + GAP));
        self.next_round = self.next_round.map(|at| at.min(earliest));
    }

    /// The next question that may be asked now.
    pub(super) fn next(&mut self, now: Time) -> Option<Question> {
        let is_over = !self.request_due && self.ahead.is_none();
        if is_over && self.next_round.is_some_and(|at| at <= now) {
            self.begin(now);
        }
        if std::mem::take(&mut self.request_due) {
            self.counters.information_requests += 1;
            return Some(Question::Everyone {
                identifier: self.identifier,
                sequence: self.sequence,
            });
        }
        let (next, last) = self.ahead?;
        if !self.bucket.take(now) {
            return None;
        }
        self.ahead = (next < last).then(|| (next + 1, last));
        while let Some((_, asked_at)) = self.asked.front()
            && now.since(*asked_at) >= PATIENCE
        {
            self.asked.pop_front();
        }
        self.asked.push_back((next, now));
        self.counters.sweep_requests += 1;
        Some(Question::Neighbour(next.into()))
    }

    fn begin(&mut self, now: Time) {
        self.counters.rounds += 1;
        self.began_at = Some(now);
        self.next_round = Some(now + self.interval.max(GAP));
        self.sequence = self.sequence.wrapping_add(1);
        self.request_due = self.requests;
        self.asked.clear();
        let edge = u32::from(self.link.len() < 31);
        let first = self.link.network().to_bits() + edge;
        let last = self.link.broadcast().to_bits() - edge;
        self.ahead = self.sweeps.then_some((first, last));
    }

    /// When there may be a next question.
    pub(super) fn timeout(&self) -> Option<Time> {
        let sweep = self.ahead.and(self.bucket.ready_at());
        if self.request_due {
            return self.began_at;
        }
        sweep.or(self.next_round)
    }

    /// An address answered by ARP; whether it had been asked for in the sweep.
    pub(super) fn answered(&mut self, now: Time, address: Ipv4Addr) -> bool {
        let found = self
            .asked
            .binary_search_by_key(&address.to_bits(), |(asked, _)| *asked);
        let asked_at = found.ok().and_then(|index| self.asked.get(index));
        let counts = asked_at.is_some_and(|(_, at)| now.since(*at) < PATIENCE);
        self.counters.sweep_replies += u64::from(counts);
        counts
    }

    /// Whether an information reply with these numbers, from this address, answers this round's request.
    pub(super) fn informed(
        &mut self,
        now: Time,
        from: Ipv4Addr,
        identifier: u16,
        sequence: u16,
    ) -> bool {
        let is_recent = self.began_at.is_some_and(|at| now.since(at) < PATIENCE);
        let counts = is_recent
            && self.requests
            && (identifier, sequence) == (self.identifier, self.sequence)
            && self.link.contains(from)
            && ![self.link.network(), self.link.broadcast()].contains(&from);
        self.counters.information_replies += u64::from(counts);
        counts
    }

    /// What was asked and answered.
    pub(super) const fn counters(&self) -> Counters {
        self.counters
    }
}

#[cfg(test)]
mod tests;
