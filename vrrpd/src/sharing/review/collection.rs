//! An authority's collection of everyone's figures by types 7 and 8 (A9, A10), and the silence after it (A13).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Config;
use crate::Time;
use crate::sharing::monitor::Totals;
use crate::sharing::names::{Condition, RouterId};
use crate::sharing::refusal::Refusal;
use crate::sharing::wire::RateResponse;

/// How long an authority waits for answers.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits before it asks again who has not answered in full.
pub const REPEAT: Duration = Duration::from_millis(250);

/// Collects figures, seldom enough.
#[derive(Debug, Default)]
pub struct Collector {
    /// The number of the last request; the next has the next number.
    request: u32,
    began_at: Option<Time>,
    /// Whether a review was asked for that could not begin yet.
    wanted: bool,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    began: Time,
    ask_at: Time,
    /// Who is to answer.
    asked: BTreeSet<RouterId>,
    answers: BTreeMap<RouterId, Answer>,
}

/// What has come of one router's answer.
#[derive(Debug)]
struct Answer {
    here: Vec<bool>,
    window: Duration,
    total_bit_per_s: u64,
    overflows: u64,
    rates: BTreeMap<Condition, u64>,
}

impl Answer {
    fn is_whole(&self) -> bool {
        self.here.iter().all(|here| *here)
    }
}

/// What became of the wish for a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The figures are being collected.
    Begun,
    /// The last collection was not long ago: the next begins at this time.
    Remembered(Time),
}

/// One router's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The time they are averaged over.
    pub window: Duration,
    /// Everything it routes, in bit/s.
    pub bit_per_s: u64,
    /// Overflows in that time.
    pub overflows: u64,
    /// What it routes of each condition, in bit/s.
    pub rates: BTreeMap<Condition, u64>,
}

impl Collected {
    /// What the router carries, all conditions together.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        Totals {
            window: self.window,
            bit_per_s: self.bit_per_s,
            overflows: self.overflows,
        }
    }
}

impl Collector {
    /// A review is wanted, whoever wants it. It begins with the next [`poll`](Self::poll), or as soon as the hold after the last one is over.
    pub fn want(&mut self, now: Time, config: &Config) -> Start {
        self.wanted = true;
        match self.free_at(config).filter(|free| now < *free) {
            Some(free) => Start::Remembered(free),
            None => Start::Begun,
        }
    }

    /// Until when no collection begins.
    #[must_use]
    pub fn free_at(&self, config: &Config) -> Option<Time> {
        Some(self.began_at? + config.hold)
    }

    /// When the last collection began.
    #[must_use]
    pub const fn began_at(&self) -> Option<Time> {
        self.began_at
    }

    /// Whether one is going on.
    #[must_use]
    pub const fn is_collecting(&self) -> bool {
        self.running.is_some()
    }

    /// The number of the request to send now, if one is due: to begin a collection of the figures of `others`, or to ask again.
    pub fn poll(
        &mut self,
        now: Time,
        config: &Config,
        others: impl IntoIterator<Item = RouterId>,
    ) -> Option<u32> {
        if let Some(running) = &mut self.running {
            if now < running.ask_at || running.missing().next().is_none() {
                return None;
            }
            running.ask_at = now + REPEAT;
            return Some(self.request);
        }
        if !self.wanted || self.free_at(config).is_some_and(|free| now < free) {
            return None;
        }
        self.wanted = false;
        self.began_at = Some(now);
        self.request = self.request.wrapping_add(1);
        self.running = Some(Running {
            began: now,
            ask_at: now + REPEAT,
            asked: others.into_iter().collect(),
            answers: BTreeMap::new(),
        });
        Some(self.request)
    }

    /// Takes a fragment of an answer; figures of more than `conditions_max` conditions are left out. What nobody has asked for, or is here
    /// already, is passed over.
    ///
    /// # Errors
    ///
    /// [`Refusal::Fragment`] if it does not belong with the fragments before. Nothing has changed then.
    pub fn answered(
        &mut self,
        router: RouterId,
        (fragment, fragments): (u16, u16),
        response: &RateResponse,
        conditions_max: usize,
    ) -> Result<(), Refusal> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        if response.request != self.request || !running.asked.contains(&router) {
            return Ok(());
        }
        let answer = running.answers.entry(router).or_insert_with(|| Answer {
            here: vec![false; usize::from(fragments)],
            window: Duration::from_millis(response.window_ms.into()),
            total_bit_per_s: response.total_bit_per_s,
            overflows: response.overflows,
            rates: BTreeMap::new(),
        });
        if answer.here.len() != usize::from(fragments) {
            return Err(Refusal::Fragment);
        }
        match answer.here.get_mut(usize::from(fragment)) {
            Some(here) if !*here => *here = true,
            Some(_) => return Ok(()),
            None => return Err(Refusal::Fragment),
        }
        for rate in &response.rates {
            if answer.rates.len() < conditions_max {
                answer.rates.insert(rate.condition, rate.bit_per_s);
            }
        }
        Ok(())
    }

    /// Ends the collection if all routers that are `there` have answered in full, or the time is over: the figures of those that have
    /// answered in full, and how many have not. `None` while it goes on.
    pub fn finish(
        &mut self,
        now: Time,
        there: impl Fn(RouterId) -> bool,
    ) -> Option<(BTreeMap<RouterId, Collected>, usize)> {
        let running = self.running.as_mut()?;
        running.asked.retain(|router| there(*router));
        let missing = running.missing().count();
        if missing > 0 && now < running.began + PATIENCE {
            return None;
        }
        let answers = self.running.take()?.answers;
        let collected = answers
            .into_iter()
            .filter(|(router, answer)| answer.is_whole() && there(*router))
            .map(|(router, answer)| {
                let figures = Collected {
                    window: answer.window,
                    bit_per_s: answer.total_bit_per_s,
                    overflows: answer.overflows,
                    rates: answer.rates,
                };
                (router, figures)
            })
            .collect();
        Some((collected, missing))
    }

    /// Gives up what is going on, as this router is no authority any more. The hold goes on.
    pub fn give_up(&mut self) {
        self.running = None;
        self.wanted = false;
    }

    /// When [`poll`](Self::poll) and [`finish`](Self::finish) are wanted next.
    #[must_use]
    pub fn timeout(&self, config: &Config) -> Option<Time> {
        match &self.running {
            Some(running) => Some(running.ask_at.min(running.began + PATIENCE)),
            None if self.wanted => Some(self.free_at(config).unwrap_or_default()),
            None => None,
        }
    }
}

impl Running {
    /// Who has not answered in full.
    fn missing(&self) -> impl Iterator<Item = RouterId> + '_ {
        let whole = |router: &RouterId| self.answers.get(router).is_some_and(Answer::is_whole);
        self.asked
            .iter()
            .copied()
            .filter(move |router| !whole(router))
    }
}
