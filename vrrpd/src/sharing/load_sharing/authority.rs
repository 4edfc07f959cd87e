//! When this router allocates: it is the master, and knows what there is to know. What it then decides is in `issue` and `plan`.
//!
//! ```text
//!                 master                     everyone has answered, or late
//! none ────────────────────────► collecting ────────────────────────────────► ruling
//!   ▲                              │    ▲                                     │    │
//!   └──────── not master ──────────┴────│──────────── not master ─────────────┘    │
//!                                       └──────────── a higher epoch is heard ─────┘
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::collect::Collection;
use super::plan::Plan;
use super::tied::Followed;
use super::{Event, LoadSharing, MoveError};
use crate::Time;
use crate::sharing::allocation::Share;
use crate::sharing::membership::silence_max;
use crate::sharing::names::{Condition, Epoch, MemberState, MoveName, RouterId, Version};
use crate::sharing::table::{Issued, Row};
use crate::sharing::wire::{Body, Head, MoveStatus, Response};

/// What this router has to do with allocating.
#[derive(Debug, Default)]
pub(super) enum Authority {
    /// Nothing.
    #[default]
    None,
    /// It will, when it knows how things are.
    Collecting(Collection),
    /// It does.
    Ruling(Box<Ruling>),
}

/// What an authority remembers besides the table.
#[derive(Debug)]
pub(super) struct Ruling {
    pub(super) epoch: Epoch,
    /// The last generation issued; 0 before the first.
    pub(super) generation: u32,
    pub(super) issued: Issued,
    pub(super) issued_at: Time,
    pub(super) repeat: Option<Repeat>,
    /// The moves that are not finished.
    pub(super) unfinished: BTreeMap<MoveName, Unfinished>,
    /// What others were told by an authority before, and this router was not.
    pub(super) adopted: BTreeMap<Condition, Row>,
    /// Whether this router has only now learnt the table, so that it has forgotten its own part in the moves there.
    pub(super) recovered: bool,
    /// What is to be moved.
    pub(super) plan: Plan,
    /// The routers that it was made for.
    pub(super) takers: Vec<Share>,
    /// Whether traffic is to be shared anew.
    pub(super) levelling: Levelling,
    /// What the group has that is followed, once it is known.
    pub(super) followed: Option<Followed>,
    /// What the operator has moved, and where it stays.
    pub(super) pins: BTreeMap<Condition, RouterId>,
    /// When it is to be decided anew who shall have what.
    pub(super) allocate_at: Option<Time>,
    /// Whether something has changed that an allocation may have to follow.
    pub(super) review: bool,
    /// When to look anyway.
    pub(super) review_at: Option<Time>,
}

/// Whether the plan may move what could stay, so that routers have the traffic that is due to them. That is for a review to decide, or when a router comes or goes:
/// that another router allocates, or the operator moves an end system, moves nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Levelling {
    No,
    Wanted,
    /// The plan does that, and is not carried out.
    UnderWay,
}

/// A move that the table has not finished.
#[derive(Clone, Debug)]
pub(super) struct Unfinished {
    pub(super) conditions: Vec<Condition>,
    /// Since when this router, as the authority, knows of it.
    pub(super) since: Time,
}

/// Sending an allocation again, less and less often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    pub(super) at: Time,
    pub(super) wait: Duration,
    /// How often it is to be sent again even if everyone who answers has it.
    pub(super) least: u8,
}

/// How many fragments of a difference are repeated as a whole. Of a longer one the last shows that there is something to ask for.
const REPEATED_MAX: usize = 16;

impl LoadSharing {
    /// Becomes the authority, or ceases to be it, as VRRP says.
    pub(super) fn review_authority(&mut self) {
        match (self.shall_rule(), &self.authority) {
            (true, Authority::None) => self.begin_collecting(),
            (false, Authority::Collecting(_) | Authority::Ruling(_)) => {
                self.end_authority();
                self.event(Event::AuthorityEnded);
            }
            _ => {}
        }
    }

    pub(super) fn begin_collecting(&mut self) {
        self.voice.stop_allocating();
        self.authority = Authority::Collecting(Collection::new(self.now));
        self.voice.respond_soon(self.now);
        self.event(Event::Collecting);
    }

    /// Issues nothing any more, what is under way included.
    pub(super) fn end_authority(&mut self) {
        self.authority = Authority::None;
        self.balance.end_authority();
        self.lost.clear();
        self.voice.stop_allocating();
        // Whoever takes over waits for this.
        self.voice.respond_soon(self.now);
    }

    /// Does what is due as the authority.
    pub(super) fn rule(&mut self) {
        if let Authority::Collecting(_) = self.authority {
            self.finish_collecting();
        }
        let now = self.now;
        let Authority::Ruling(ruling) = &mut self.authority else {
            return;
        };
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let new = self.end_systems.take_up_at(now);
        if ruling.review || due(ruling.review_at) || due(ruling.allocate_at) || due(new) {
            ruling.review = false;
            ruling.review_at = None;
            self.review_allocation();
        }
        self.repeat_allocation();
    }

    pub(super) fn authority_timeout(&self) -> Option<Time> {
        match &self.authority {
            Authority::None => None,
            Authority::Collecting(collection) => self.collecting_until(collection),
            Authority::Ruling(ruling) => {
                let repeat = ruling.repeat.map(|repeat| repeat.at);
                let new = self
                    .end_systems
                    .take_up_at(self.now)
                    .filter(|at| *at > self.now);
                [ruling.review_at, ruling.allocate_at, repeat, new]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    /// The next allocation may have to be another.
    pub(super) fn review_soon(&mut self) {
        if let Authority::Ruling(ruling) = &mut self.authority {
            ruling.review = true;
        }
    }

    /// It is to be decided anew who shall have what.
    pub(super) fn reallocate_soon(&mut self) {
        let now = self.now;
        if let Authority::Ruling(ruling) = &mut self.authority {
            ruling.allocate_at = Some(now);
        }
    }

    /// The routers' traffic is to be shared anew.
    pub(super) fn level_soon(&mut self) {
        if let Authority::Ruling(ruling) = &mut self.authority {
            ruling.levelling = Levelling::Wanted;
        }
        self.reallocate_soon();
    }

    /// Takes a type 2 as the ruling authority.
    pub(super) fn serve(&mut self, head: &Head, response: &Response) {
        let now = self.now;
        let patience = self.config.moves.repeat;
        let Authority::Ruling(ruling) = &mut self.authority else {
            return;
        };
        if self.highest > ruling.version() {
            // Somebody else allocates, or did, be it this router in a life before: whatever that led to comes first.
            self.begin_collecting();
            return;
        }
        ruling.review = true;
        if ruling.generation == 0 {
            return;
        }
        let version = ruling.version();
        // What was sent a moment ago is not known there yet.
        let lists = response.heard == version && !response.missing.is_empty();
        if !lists && self.voice.is_allocating(now, patience) {
            return;
        }
        let table = &self.table;
        let (family, limit) = (
            self.config.group.family(),
            self.config.moves.message_len_max,
        );
        let full = || Body::Allocation(table.full(now)).split(family, limit);
        if let Some(repetition) = ruling.issued.lacking(head.version, response, full) {
            self.counters.fragments_repeated += repetition.bodies.len() as u64;
            self.voice.allocate(now, version, repetition);
        }
    }

    /// Sends the last allocation again as long as somebody lacks it.
    fn repeat_allocation(&mut self) {
        let (now, interval) = (self.now, self.interval);
        let lacking = !self.is_installed_by_all();
        let Authority::Ruling(ruling) = &mut self.authority else {
            return;
        };
        let Some(repeat) = ruling.repeat.as_mut().filter(|repeat| repeat.at <= now) else {
            return;
        };
        if !lacking && repeat.least == 0 {
            ruling.repeat = None;
            return;
        }
        repeat.least = repeat.least.saturating_sub(1);
        repeat.wait = (repeat.wait * 2).min(interval);
        repeat.at = now + repeat.wait;
        let mut repetition = ruling.issued.whole_difference();
        if repetition.bodies.len() > REPEATED_MAX {
            repetition.bodies = repetition.bodies.split_off(repetition.bodies.len() - 1);
        }
        self.counters.fragments_repeated += repetition.bodies.len() as u64;
        self.voice.repeat(now, ruling.version(), repetition);
    }

    /// Whether every other router that answers has installed the newest allocation.
    pub(super) fn is_installed_by_all(&self) -> bool {
        let installed = self.table.installed();
        self.membership
            .iter()
            .all(|(_, member)| !member.routes() || member.installed == installed)
    }

    /// Whether `router` answers, and has lost nothing of late.
    pub(super) fn is_there(&self, router: RouterId) -> bool {
        let answers = self
            .membership
            .get(router)
            .is_some_and(|member| member.routes());
        router == self.config.router || (answers && !self.lost.contains(&router))
    }

    /// How far `router` is with the move, if it has said so of late.
    pub(super) fn status_of(&self, name: &MoveName, router: RouterId) -> Option<MoveStatus> {
        if router == self.config.router {
            return self.moves.status(name);
        }
        let report = self.reports.of(name, router)?;
        (self.now.since(report.at) <= self.move_patience()).then_some(report.status)
    }

    /// For how long a move may be unknown to a party before it is given up.
    pub(super) fn move_patience(&self) -> Duration {
        2 * silence_max(self.interval, self.config.priority)
    }

    /// What the operator wants.
    pub(super) fn order_by_hand(
        &mut self,
        conditions: &[Condition],
        to: RouterId,
    ) -> Result<(), MoveError> {
        if self.config.follows {
            return Err(MoveError::Follows);
        }
        let authority = self.authority();
        let working = match to == self.config.router {
            true => self.state() == MemberState::Working,
            false => self
                .membership
                .get(to)
                .is_some_and(|member| member.state == MemberState::Working),
        };
        let ruling = match &mut self.authority {
            Authority::None => return Err(MoveError::NotAuthority { authority }),
            Authority::Collecting(_) => return Err(MoveError::Collecting),
            Authority::Ruling(ruling) => ruling,
        };
        if !working {
            return Err(MoveError::NotWorking(to));
        }
        let unknown = conditions
            .iter()
            .find(|condition| self.table.row(**condition).is_none());
        if let Some(unknown) = unknown {
            return Err(MoveError::UnknownCondition(*unknown));
        }
        for condition in conditions {
            ruling.pins.insert(*condition, to);
        }
        ruling.allocate_at = Some(self.now);
        Ok(())
    }
}

impl Ruling {
    /// The last allocation issued.
    pub(super) fn version(&self) -> Version {
        Version {
            epoch: self.epoch,
            generation: self.generation,
        }
    }
}
