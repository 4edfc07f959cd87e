//! Which routers answer: liveness by type 2, and what an authority makes of it (A17). Whether an answer is authentic is decided in
//! [`super::trust`]; who gets what, in [`super::allocation`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::names::{MemberState, RouterId, Version};
use super::trust::Admission;
use super::wire::{Head, Response, RouterRecord};
use crate::Time;

/// The routers of a group other than this one, as this one regards them.
///
/// ```text
///            answers                    included in an allocation
/// (unknown) ─────────► suspended ──────────────────────────────► working ◄──► draining
///                        ▲    │ silent, restarted                   │ silent, restarted
///                        │    ▼                                     ▼
///                        └── faulty ◄───────────────────────────────┘
///               answers
/// ```
///
/// A substitution server has two states instead: answering, and faulty.
#[derive(Clone, Debug)]
pub struct Membership {
    interval: Duration,
    members: BTreeMap<RouterId, Member>,
    /// The last advertisement, sent or heard: what members answer to.
    advertised_at: Option<Time>,
    /// Since when advertisements have come without a gap.
    expected_since: Time,
}

/// What is known of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its state.
    pub state: MemberState,
    /// Its share relative to the others'.
    pub weight: u16,
    /// Its VRRP priority.
    pub priority: u8,
    /// Whether it says that it is VRRP master.
    pub master: bool,
    /// Whether it says that it allocates.
    pub authority: bool,
    /// The allocation that it has installed.
    pub installed: Version,
    /// The digest of that table.
    pub digest: u64,
    /// When it was heard last.
    pub heard_at: Time,
    /// The number of its latest answer, so that an older one that comes late is not taken for a newer.
    number: u64,
}

/// What has become of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is there, for the first time or again, and waits for an allocation.
    Suspended(RouterId),
    /// It does not answer, or has restarted: its conditions go to the others.
    Faulty(RouterId),
    /// It wants to give its conditions away.
    Draining(RouterId),
    /// It has changed its mind.
    DrainingEnded(RouterId),
    /// It can do the control work.
    ServerAnswers(RouterId),
    /// It cannot any more.
    ServerFaulty(RouterId),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Suspended(router) => write!(f, "router {router} answers"),
            Event::Faulty(router) => write!(f, "router {router} does not answer, or has restarted"),
            Event::Draining(router) => write!(f, "router {router} gives its conditions away"),
            Event::DrainingEnded(router) => {
                write!(f, "router {router} keeps its conditions after all")
            }
            Event::ServerAnswers(router) => write!(f, "substitution server {router} answers"),
            Event::ServerFaulty(router) => {
                write!(f, "substitution server {router} does not answer")
            }
        }
    }
}

impl Membership {
    /// Nobody else, with an advertisement every `interval`.
    #[must_use]
    pub fn new(now: Time, interval: Duration) -> Membership {
        Membership {
            interval,
            members: BTreeMap::new(),
            advertised_at: None,
            expected_since: now,
        }
    }

    /// Takes the interval of the master's advertisements.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// The routers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (RouterId, &Member)> {
        self.members
            .iter()
            .map(|(router, member)| (*router, member))
    }

    /// What is known of `router`.
    #[must_use]
    pub fn get(&self, router: RouterId) -> Option<&Member> {
        self.members.get(&router)
    }

    /// The routers for an allocation.
    #[must_use]
    pub fn records(&self) -> Vec<RouterRecord> {
        self.iter()
            .map(|(router, member)| RouterRecord {
                router,
                state: member.state,
                weight: member.weight,
            })
            .collect()
    }

    /// An advertisement was sent or accepted: everyone shall answer. Without advertisements nobody does, so the time without
    /// them counts for nobody's silence.
    pub fn advertised(&mut self, now: Time) {
        let gap = self
            .advertised_at
            .is_none_or(|before| now.since(before) > 2 * self.interval);
        if gap {
            self.expected_since = now;
        }
        self.advertised_at = Some(now);
    }

    /// Since when those that are alive have had something to answer, without a gap.
    #[must_use]
    pub const fn expected_since(&self) -> Time {
        self.expected_since
    }

    /// This router could not have heard anybody until now: so nobody has been silent.
    pub fn expect_from(&mut self, now: Time) {
        self.expected_since = now;
    }

    /// A believed router has sent a type 2; `admission` says whether it proved itself by it.
    pub fn answered(
        &mut self,
        now: Time,
        head: &Head,
        admission: Option<Admission>,
        response: &Response,
    ) -> Vec<Event> {
        let router = head.router;
        let mut events = Vec::new();
        if admission == Some(Admission::Restarted) {
            events.extend(self.lost(router));
        }
        if admission.is_none()
            && let Some(member) = self.members.get_mut(&router)
            && member.number > head.number
        {
            member.heard_at = now;
            if member.is_alive() {
                return events;
            }
        }
        if response.state == MemberState::Faulty {
            // It says so itself: it hears nobody. Just after nobody heard anybody it may not have noticed yet that it does again.
            if now.since(self.expected_since) > self.interval {
                events.extend(self.lost(router));
            }
            return events;
        }
        let before = self.members.get(&router).map(|member| member.state);
        let state = match (before, response.state) {
            // The latter says that it ends.
            (
                _,
                state @ (MemberState::SubstitutionServer | MemberState::SubstitutionServerFaulty),
            ) => state,
            (Some(MemberState::Working | MemberState::Draining), MemberState::Draining) => {
                MemberState::Draining
            }
            (Some(MemberState::Working | MemberState::Draining), _) => MemberState::Working,
            _ => MemberState::Suspended,
        };
        self.members.insert(
            router,
            Member {
                state,
                weight: response.weight,
                priority: head.priority,
                master: response.master,
                authority: response.authority,
                installed: head.version,
                digest: response.digest,
                heard_at: now,
                number: head.number,
            },
        );
        if before != Some(state) {
            events.push(match state {
                MemberState::SubstitutionServer => Event::ServerAnswers(router),
                MemberState::SubstitutionServerFaulty => Event::ServerFaulty(router),
                MemberState::Draining => Event::Draining(router),
                MemberState::Working => Event::DrainingEnded(router),
                _ => Event::Suspended(router),
            });
        }
        events
    }

    /// A believed router has sent anything at all: it is there.
    pub fn heard(&mut self, now: Time, router: RouterId) {
        if let Some(member) = self.members.get_mut(&router) {
            member.heard_at = now;
        }
    }

    /// `router` is known to be gone before its time has run out: the election missed it as master.
    pub fn lost(&mut self, router: RouterId) -> Option<Event> {
        let member = self.members.get_mut(&router)?;
        let (state, event) = member.lost(router)?;
        member.state = state;
        Some(event)
    }

    /// An allocation includes `router`.
    pub fn included(&mut self, router: RouterId) {
        if let Some(member) = self.members.get_mut(&router)
            && member.state == MemberState::Suspended
        {
            member.state = MemberState::Working;
        }
    }

    /// Removes a router that is no member any more.
    pub fn forget(&mut self, router: RouterId) {
        self.members.remove(&router);
    }

    /// Declares faulty who is silent for too long. What has arrived is to be taken first.
    pub fn tick(&mut self, now: Time) -> Vec<Event> {
        if !self.is_judging(now) {
            return Vec::new();
        }
        let late: Vec<RouterId> = self
            .deadlines()
            .filter_map(|(router, deadline)| (deadline <= now).then_some(router))
            .collect();
        late.into_iter()
            .filter_map(|router| self.lost(router))
            .collect()
    }

    /// When [`tick`](Self::tick) could have something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.advertised_at?;
        self.deadlines().map(|(_, deadline)| deadline).min()
    }

    /// Whether members that are alive must have said something within the last two intervals: they repeat their answer to an advertisement for three.
    #[must_use]
    pub fn is_to_be_heard(&self, now: Time) -> bool {
        let said = |at: Time| now.since(at) <= 4 * self.interval;
        self.advertised_at.is_some_and(said) && self.iter().any(|(_, member)| member.is_alive())
    }

    /// Whether answers can be expected: there was something to answer of late.
    fn is_judging(&self, now: Time) -> bool {
        self.advertised_at
            .is_some_and(|advertised_at| now.since(advertised_at) <= 2 * self.interval)
    }

    /// When each router that answers would be late.
    fn deadlines(&self) -> impl Iterator<Item = (RouterId, Time)> {
        self.members
            .iter()
            .filter(|(router, member)| member.lost(**router).is_some())
            .map(|(router, member)| {
                let since = member.heard_at.max(self.expected_since);
                (*router, since + silence_max(self.interval, member.priority))
            })
    }
}

impl Member {
    /// Whether it answers.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(
            self.state,
            MemberState::Faulty | MemberState::SubstitutionServerFaulty
        )
    }

    /// Whether it may be in charge of anything.
    #[must_use]
    pub fn routes(&self) -> bool {
        matches!(
            self.state,
            MemberState::Working | MemberState::Suspended | MemberState::Draining
        )
    }

    /// What it becomes when it is lost; nothing if it is.
    fn lost(&self, router: RouterId) -> Option<(MemberState, Event)> {
        match self.state {
            MemberState::Faulty | MemberState::SubstitutionServerFaulty => None,
            MemberState::SubstitutionServer => Some((
                MemberState::SubstitutionServerFaulty,
                Event::ServerFaulty(router),
            )),
            MemberState::Working | MemberState::Suspended | MemberState::Draining => {
                Some((MemberState::Faulty, Event::Faulty(router)))
            }
        }
    }
}

/// For how long a router of `priority` may be silent: three intervals, and its skew as in RFC 9568 §6.1.
#[must_use]
pub fn silence_max(interval: Duration, priority: u8) -> Duration {
    3 * interval + interval * (256 - u32::from(priority)) / 256
}

#[cfg(test)]
mod tests;
