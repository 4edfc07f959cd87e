//! Load that follows traffic: what this router measures, when it asks for a review, what it answers, what it collects as the authority,
//! and what a review changes. How figures are averaged, and what they call for, is decided in [`monitor`](crate::sharing::monitor) and
//! [`review`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::authority::Authority;
use super::{Event, LoadSharing, MoveError};
use crate::Time;
use crate::sharing::allocation::{Load, Measure};
use crate::sharing::monitor::{Monitor, PARTS, Totals};
use crate::sharing::names::{BootId, Condition, RouterId, Seen};
use crate::sharing::refusal::Refusal;
use crate::sharing::review::{
    self, Collected, Collector, Decision, Reliefs, RouterLoad, Start, Verdict, Watch,
};
use crate::sharing::wire::{Body, ConditionRate, Head, RateRequest, RateResponse, ReviewRequest};

/// How many fragments of an answer are sent at a time.
const BURST: usize = 64;

/// The time from one burst to the next.
const BURST_GAP: Duration = Duration::from_millis(1);

/// In what part of the time after which an end system is forgotten the authority looks at everyone's rates, load or no load.
const LOOKS: u32 = 4;

/// What this router has measured, asked for, answered and collected.
#[derive(Debug)]
pub(super) struct Balance {
    monitor: Monitor,
    window: Duration,
    watch: Watch,
    answering: Option<Answering>,
    collector: Collector,
    /// When conditions were last on the move, or taken over, as far as this router knows as the authority.
    moved_at: Option<Time>,
    pub(super) reliefs: Reliefs,
    last: Option<Review>,
}

/// An answer on its way, or sent and kept in case it is asked for again.
#[derive(Debug)]
struct Answering {
    to: RouterId,
    /// Which life of it: each counts its requests from the first.
    boot: BootId,
    request: u32,
    fragments: Vec<Body>,
    next: usize,
    burst_at: Time,
}

/// The last review, as its authority saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// When everyone had answered, or time was up.
    pub at: Time,
    /// What each router carried that had measured it.
    pub routers: BTreeMap<RouterId, Totals>,
    /// How many routers had not answered in full.
    pub missing: usize,
    /// What came of it.
    pub decision: Decision,
}

impl Balance {
    pub(super) fn new(config: &review::Config) -> Balance {
        Balance {
            monitor: Monitor::new(config.window),
            window: config.window,
            watch: Watch::default(),
            answering: None,
            collector: Collector::default(),
            moved_at: None,
            reliefs: Reliefs::default(),
            last: None,
        }
    }

    /// Takes up another configuration.
    pub(super) fn set_config(&mut self, config: &review::Config) {
        if config.window != self.window {
            self.window = config.window;
            self.monitor = Monitor::new(config.window);
        }
    }

    /// This router allocates no more.
    pub(super) fn end_authority(&mut self) {
        self.collector.give_up();
        self.reliefs = Reliefs::default();
    }

    /// A condition that changes its router counts at neither for a whole window.
    pub(super) fn changed_hands(&mut self, now: Time) {
        self.moved_at = Some(now);
    }

    /// From when on no router's window has a move in it, even if their readings are not at the same time.
    fn rested_at(&self, config: &review::Config) -> Option<Time> {
        Some(self.moved_at? + config.window + config.window / PARTS)
    }

    pub(super) fn timeout(&self, config: &review::Config, is_authority: bool) -> Option<Time> {
        let unsent = |answering: &&Answering| answering.next < answering.fragments.len();
        let answering = self.answering.as_ref().filter(unsent);
        let collector = self.collector.timeout(config).filter(|_| is_authority);
        let collect_at = collector.map(|at| match self.rested_at(config) {
            Some(rested) if !self.collector.is_collecting() => at.max(rested),
            _ => at,
        });
        [answering.map(|answering| answering.burst_at), collect_at]
            .into_iter()
            .flatten()
            .min()
    }
}

impl LoadSharing {
    /// When the counters are to be read and handed to [`measured`](Self::measured) next; `None`: as soon as possible.
    #[must_use]
    pub fn measure_at(&self) -> Option<Time> {
        self.balance.monitor.due()
    }

    /// The counters as they are `now`: octets routed of each condition that this router knows, best in ascending order, and packets that backlogs
    /// could not take, both since any beginning (A7). Too early, they are not looked at.
    pub fn measured(
        &mut self,
        now: Time,
        octets: impl IntoIterator<Item = (Condition, u64)>,
        overflows: u64,
    ) {
        self.observe(now);
        if self.balance.monitor.read(now, octets, overflows) {
            self.watch_loads();
        }
        self.settle();
    }

    /// What this router routes and what it could not.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.balance.monitor.totals()
    }

    /// What this router routes of each condition, in bit/s, in ascending order; those without traffic are left out.
    pub fn rates(&self) -> impl Iterator<Item = (Condition, u64)> + '_ {
        self.balance.monitor.rates()
    }

    /// The last review of which this router was the authority.
    #[must_use]
    pub const fn last_review(&self) -> Option<&Review> {
        self.balance.last.as_ref()
    }

    /// Whose weights count as less, because they overflowed.
    #[must_use]
    pub const fn reliefs(&self) -> &Reliefs {
        &self.balance.reliefs
    }

    /// The operator wants a review. The hold between two applies to this one too.
    ///
    /// # Errors
    ///
    /// [`MoveError::NotAuthority`] or [`MoveError::Collecting`]: another router reviews, or this one cannot yet. [`MoveError::Follows`]: another group does.
    pub fn review_now(&mut self, now: Time) -> Result<Start, MoveError> {
        self.observe(now);
        if self.config.follows {
            return Err(MoveError::Follows);
        }
        match self.authority {
            Authority::None => {
                return Err(MoveError::NotAuthority {
                    authority: self.authority(),
                });
            }
            Authority::Collecting(_) => return Err(MoveError::Collecting),
            Authority::Ruling(_) => {}
        }
        let start = self.balance.collector.want(now, &self.config.review);
        self.settle();
        // After moves it waits for a window without any.
        let rested = self.balance.rested_at(&self.config.review);
        Ok(match rested.filter(|at| *at > now) {
            Some(at) if !self.balance.collector.is_collecting() => match start {
                Start::Begun => Start::Remembered(at),
                Start::Remembered(free) => Start::Remembered(free.max(at)),
            },
            _ => start,
        })
    }

    /// Asks for a review if this router has more than it wants (A8, A10).
    fn watch_loads(&mut self) {
        if self.quiet || self.config.follows || !self.balance.monitor.is_whole() {
            return;
        }
        let totals = self.balance.monitor.totals();
        let config = &self.config.review;
        let Some(request) = self.balance.watch.check(self.now, config, &totals) else {
            return;
        };
        self.counters.reviews_requested += 1;
        self.event(Event::ReviewRequested {
            by: self.config.router,
            request,
        });
        match self.authority {
            Authority::None => {
                self.send(
                    self.table.installed(),
                    (0, 1),
                    &Body::ReviewRequest(request),
                );
            }
            Authority::Collecting(_) | Authority::Ruling(_) => {
                self.balance.collector.want(self.now, &self.config.review);
            }
        }
    }

    /// Type 6.
    pub(super) fn review_requested(&mut self, head: &Head, request: ReviewRequest) {
        if matches!(self.authority, Authority::None) {
            self.counters.reviews_ignored += 1;
            return;
        }
        self.event(Event::ReviewRequested {
            by: head.router,
            request,
        });
        self.balance.collector.want(self.now, &self.config.review);
    }

    /// Type 7.
    pub(super) fn rates_requested(&mut self, head: &Head, request: RateRequest) {
        if self.table.heard().epoch.issuer != Some(head.router) {
            self.counters.reviews_ignored += 1;
            return;
        }
        let RateRequest { request } = request;
        if let Some(answering) = &mut self.balance.answering
            && (answering.to, answering.boot, answering.request)
                == (head.router, head.boot, request)
        {
            // The same answer to every repetition, but not twice at the same time.
            if answering.next == answering.fragments.len() {
                answering.next = 0;
                answering.burst_at = self.now;
            }
            return;
        }
        let monitor = &self.balance.monitor;
        let totals = monitor.totals();
        let response = RateResponse {
            request,
            window_ms: u32::try_from(totals.window.as_millis()).unwrap_or(u32::MAX),
            total_bit_per_s: totals.bit_per_s,
            overflows: totals.overflows,
            rates: monitor
                .rates()
                .map(|(condition, bit_per_s)| ConditionRate {
                    condition,
                    bit_per_s,
                })
                .collect(),
        };
        self.balance.answering = Some(Answering {
            to: head.router,
            boot: head.boot,
            request,
            fragments: self.split(Body::RateResponse(response)),
            next: 0,
            burst_at: self.now,
        });
    }

    /// Type 8.
    pub(super) fn rates_answered(
        &mut self,
        head: &Head,
        response: &RateResponse,
    ) -> Result<(), Refusal> {
        if !self.balance.collector.is_collecting() {
            self.counters.reviews_ignored += 1;
            return Ok(());
        }
        let place = (head.fragment, head.fragments);
        let conditions_max = self.config.end_systems_max.saturating_add(1);
        let collector = &mut self.balance.collector;
        collector.answered(head.router, place, response, conditions_max)
    }

    /// Answers and collects what is due.
    pub(super) fn review_loads(&mut self) {
        if self.quiet {
            self.balance.answering = None;
            return;
        }
        self.answer_rates();
        let Authority::Ruling(ruling) = &self.authority else {
            return;
        };
        if self.config.follows {
            return;
        }
        if !ruling.unfinished.is_empty() {
            self.balance.changed_hands(self.now);
        }
        let (now, config) = (self.now, &self.config.review);
        let collector = &mut self.balance.collector;
        let before = collector.began_at().unwrap_or(self.since);
        if now.since(before) > self.config.end_system_age / LOOKS {
            // End systems with traffic are not to be forgotten, however little it is.
            collector.want(now, config);
        }
        self.ask_for_rates();
        let there = |router| {
            let member = self.membership.get(router);
            member.is_some_and(|member| member.routes())
        };
        if let Some((collected, missing)) = self.balance.collector.finish(now, there) {
            self.review(collected, missing);
        }
    }

    /// Begins a collection, or asks again, if that is due.
    fn ask_for_rates(&mut self) {
        let (now, config) = (self.now, &self.config.review);
        let rested = self.balance.rested_at(config).is_none_or(|at| now >= at);
        let collector = &mut self.balance.collector;
        let fresh = !collector.is_collecting();
        if fresh && !rested {
            return;
        }
        let others = self.membership.iter();
        let others = others.filter(|(_, member)| member.routes());
        let request = collector.poll(now, config, others.map(|(router, _)| router));
        if let Some(request) = request {
            self.counters.collections += u64::from(fresh);
            let body = Body::RateRequest(RateRequest { request });
            self.send(self.table.installed(), (0, 1), &body);
        }
    }

    fn answer_rates(&mut self) {
        let now = self.now;
        let Some(mut answering) = self.balance.answering.take() else {
            return;
        };
        if answering.burst_at <= now {
            let fragments = u16::try_from(answering.fragments.len()).unwrap_or(u16::MAX);
            let burst = (0..fragments).zip(&answering.fragments);
            for (number, body) in burst.skip(answering.next).take(BURST) {
                self.send(self.table.installed(), (number, fragments), body);
            }
            answering.next = (answering.next + BURST).min(answering.fragments.len());
            answering.burst_at = now + BURST_GAP;
        }
        self.balance.answering = Some(answering);
    }

    /// Everyone's figures are here (A9): notes what is known now of each condition, and reallocates if that is called for (A11).
    fn review(&mut self, collected: BTreeMap<RouterId, Collected>, missing: usize) {
        let me = self.config.router;
        let mut routers: BTreeMap<RouterId, Totals> = collected
            .iter()
            .map(|(router, figures)| (*router, figures.totals()))
            .chain([(me, self.balance.monitor.totals())])
            .collect();
        // Who has measured nothing yet has nothing to say.
        routers.retain(|_, totals| !totals.window.is_zero());
        self.note_rates(&collected, |router| routers.contains_key(&router));

        let loads: Vec<RouterLoad> = self
            .takers()
            .map(|share| RouterLoad {
                share,
                overflows_per_s: routers
                    .get(&share.router)
                    .map_or(0, Totals::overflows_per_s),
            })
            .collect();
        let Authority::Ruling(ruling) = &self.authority else {
            return;
        };
        let conditions: Vec<Load> = self
            .table
            .rows()
            .map(|(condition, row)| Load {
                bit_per_s: row.bit_per_s(),
                router: Some(row.router),
                pinned: condition == Condition::Rest
                    || row.unfinished.is_some()
                    || ruling.pins.contains_key(&condition),
            })
            .collect();
        let reliefs = &mut self.balance.reliefs;
        let decision = review::decide(&self.config.review, &loads, &conditions, reliefs);
        self.counters.reviews += 1;
        if decision.verdict == Verdict::Reallocate {
            self.counters.reallocations += 1;
            self.level_soon();
        }
        self.event(Event::Reviewed {
            decision: decision.clone(),
            missing,
        });
        self.balance.last = Some(Review {
            at: self.now,
            routers,
            missing,
            decision,
        });
    }

    /// Notes the rate of every condition of which it is known: the sum over the routers, as one that moves counts at both.
    fn note_rates(
        &mut self,
        collected: &BTreeMap<RouterId, Collected>,
        has_measured: impl Fn(RouterId) -> bool,
    ) {
        let mut sums: BTreeMap<Condition, u64> = self.balance.monitor.rates().collect();
        for (condition, rate) in collected.values().flat_map(|figures| &figures.rates) {
            let sum = sums.entry(*condition).or_default();
            *sum = sum.saturating_add(*rate);
        }
        let known: BTreeSet<Condition> = self
            .table
            .rows()
            .filter(|(_, row)| {
                let from = row.unfinished.map_or(row.router, |name| name.from);
                has_measured(row.router) && has_measured(from)
            })
            .map(|(condition, _)| condition)
            .collect();
        for condition in &known {
            let rate = sums.get(condition).copied().unwrap_or(0);
            self.table.set_rate(*condition, rate);
            if rate > 0 && *condition != Condition::Rest {
                self.table.seen(self.now, *condition, Seen::Traffic);
            }
        }
    }

    /// What the routers shall have alike: the traffic, once any is known of.
    pub(super) fn measure(&self) -> Measure {
        let mut rows = self.table.rows();
        match rows.any(|(_, row)| row.rate_kbit_per_s > 0) {
            true => Measure::Rate {
                tolerance_permille: self.config.review.tolerance_permille,
            },
            false => Measure::Count,
        }
    }
}
