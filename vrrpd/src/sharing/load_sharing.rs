//! One router's part in one group that shares its load: the way in and out, and what belongs to no other file of it.
//!
//! | file | what lives there |
//! |---|---|
//! | `config`, `event` | what an operator decides; what is asked for, told, counted |
//! | `life` | when it takes part, and when all is given away |
//! | `hear` | what a received message changes |
//! | `hearing` | whether anything is received at all |
//! | `voice` | what is sent, when, how often again |
//! | `verdicts` | what a change of the table means for packets |
//! | `authority`, `collect` | when this router allocates, and what it has to know before |
//! | `issue`, `plan` | the next allocation: what has to change, and who shall have what |
//! | `server` | which router does the control work, if one is there for nothing else |
//! | `tied` | groups of which one follows the other |
//! | `balance` | load that follows traffic: measuring, asking for reviews, answering, collecting |
//! | `reports`, `end_systems` | what is remembered of others' moves, and of end systems |
//!
//! # Driving
//!
//! Beside [`VirtualRouter`](crate::VirtualRouter), in the same pass of the control loop and by the same clock: hand over what has arrived, tell of
//! advertisements and of changes of the VRRP state, let timers act, and carry out the [`Output`]s in their order. Before the first allocation
//! everything is to be discarded.

mod authority;
mod balance;
mod collect;
mod config;
mod end_systems;
mod event;
mod hear;
mod hearing;
mod issue;
mod life;
mod plan;
mod reports;
mod server;
mod tied;
mod verdicts;
mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

pub use balance::Review;
pub use config::{Config, ConfigError, MEMBER_AGE_DEFAULT, Role};
pub use event::{Counters, Event, MoveError, Output};

use super::membership::{Membership, silence_max};
use super::moves::{Completion, Moves};
use super::names::{Condition, MemberState, MoveName, RouterId, Seen, Version};
use super::refusal::{Refusal, Refusals};
use super::table::Table;
use super::trust::Trust;
use super::wire::Key;
use crate::{Received, State, Time};
use authority::Authority;
use balance::Balance;
use end_systems::EndSystems;
use hearing::Hearing;
use reports::Reports;
use voice::Voice;

/// The most messages and events that wait for the driver. What the data plane has to do is never dropped.
const OUTPUTS_MAX: usize = 4096;

/// One router's part in one group.
#[derive(Debug)]
pub struct LoadSharing {
    config: Config,
    /// The latest time that the driver gave.
    now: Time,
    /// Since when those who share load would have been heard: this life's begin, or the end of a silence that a plain master imposed.
    since: Time,
    /// When this router had its first table in this life.
    first_table_at: Option<Time>,
    /// The time between advertisements, as the master has it.
    interval: Duration,
    trust: Trust,
    membership: Membership,
    table: Table,
    moves: Moves,
    reports: Reports,
    end_systems: EndSystems,
    authority: Authority,
    balance: Balance,
    voice: Voice,
    vrrp: State,
    master: Master,
    hearing: Hearing,
    /// Whether nothing is said, because of the VRRP state or a master that knows VRRP alone.
    mute: bool,
    /// Whether everything is discarded, because nothing is said or heard.
    quiet: bool,
    /// The newest allocation that any router has told of.
    highest: Version,
    /// Routers that have lost what they were in charge of, before an allocation said so.
    lost: BTreeSet<RouterId>,
    /// Moves that an allocation orders which is not here as a whole yet, with what this router takes part in them of.
    ordered: BTreeMap<MoveName, Vec<Condition>>,
    /// Whether the rest is this router's as soon as it knows every condition that the rest is not.
    rest_due: bool,
    drain: Drain,
    /// Whether this router can take a share, as far as the groups tied to this one are concerned.
    able: bool,
    counters: Counters,
    outputs: VecDeque<Output>,
}

/// Who advertises, as this router regards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Master {
    /// Nobody yet, or a router that shares load.
    Sharing,
    /// Somebody at this address, since then, who may still prove to share load.
    Unknown(IpAddr, Time),
    /// A router that knows VRRP alone.
    Plain(IpAddr),
}

/// How far this router has given everything away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    No,
    Draining,
    Drained,
}

impl LoadSharing {
    /// A router that has heard nobody, and takes no part until [`vrrp_changed`](Self::vrrp_changed) says that VRRP does.
    ///
    /// # Errors
    ///
    /// Whatever [`Config::validate`] finds.
    pub fn new(config: Config, now: Time) -> Result<LoadSharing, ConfigError> {
        config.validate()?;
        let family = config.group.family();
        Ok(LoadSharing {
            now,
            since: now,
            first_table_at: None,
            interval: config.interval,
            trust: Trust::new(config.identity()),
            membership: Membership::new(now, config.interval),
            table: Table::new(family, config.mode),
            moves: Moves::new(config.router, family, config.moves.clone()),
            reports: Reports::default(),
            end_systems: EndSystems::default(),
            authority: Authority::None,
            balance: Balance::new(&config.review),
            voice: Voice::default(),
            vrrp: State::Initialise,
            master: Master::Sharing,
            hearing: Hearing::new(now),
            mute: true,
            quiet: true,
            highest: Version::default(),
            lost: BTreeSet::new(),
            ordered: BTreeMap::new(),
            rest_due: false,
            drain: Drain::No,
            able: true,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            config,
        })
    }

    /// Takes up another configuration. The boot id of it is not looked at. Another group, address or router id is another member: then this
    /// router begins anew, as after a restart.
    ///
    /// # Errors
    ///
    /// Whatever [`Config::validate`] finds; nothing has changed then.
    pub fn reconfigure(&mut self, now: Time, config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        self.observe(now);
        let boot = self.config.boot;
        let same = config.is_same_member(&self.config);
        self.config = Config { boot, ..config };
        self.interval = self.config.interval;
        self.membership.set_interval(self.interval);
        self.end_systems.look_for_configured();
        if same {
            self.trust.set_keys(self.config.keys.clone());
            self.trust
                .set_plain_members(self.config.plain_members.clone());
            self.moves.set_config(self.config.moves.clone());
            self.balance.set_config(&self.config.review);
            self.reallocate_soon();
        } else {
            self.begin_life();
            self.trust = Trust::new(self.config.identity());
            let family = self.config.group.family();
            self.moves = Moves::new(self.config.router, family, self.config.moves.clone());
            self.balance = Balance::new(&self.config.review);
        }
        self.voice.respond_soon(self.now);
        self.settle();
        Ok(())
    }

    /// Takes a received packet of IP protocol 112 and a type from 2 to 8 for this group.
    ///
    /// # Errors
    ///
    /// Why it was refused. That is counted, and nothing else happened.
    pub fn receive(&mut self, now: Time, received: &Received<'_>) -> Result<(), Refusal> {
        self.observe(now);
        let incoming = self.trust.receive(received)?;
        let result = match self.note_message(&incoming) {
            true => self.hear(incoming),
            false => Ok(()),
        };
        if let Err(refusal) = result {
            self.trust.count_refusal(refusal);
        }
        self.settle();
        result
    }

    /// Whether an advertisement from `src` is heeded: to be asked before it goes to [`VirtualRouter::receive`](crate::VirtualRouter::receive).
    ///
    /// # Errors
    ///
    /// [`Refusal::Stranger`], and [`Refusal::Faulty`] if it is of a router that answers nothing: it is deaf. It is counted.
    pub fn heed_advertisement(&mut self, src: IpAddr) -> Result<(), Refusal> {
        self.trust.heed_advertisement(src)?;
        let sender = self.trust.router_at(src);
        let is_faulty = sender
            .and_then(|router| self.membership.get(router))
            .is_some_and(|member| !member.is_alive());
        if is_faulty && !self.hearing.is_impaired() && !self.mute {
            self.trust.count_refusal(Refusal::Faulty);
            return Err(Refusal::Faulty);
        }
        Ok(())
    }

    /// An advertisement of the router at `by` was accepted, or this router has sent one, which makes `interval` the time between
    /// two of them: it is to be answered.
    pub fn advertised(&mut self, now: Time, by: IpAddr, interval: Duration) {
        self.observe(now);
        if !interval.is_zero() && interval != self.interval {
            self.interval = interval;
            self.membership.set_interval(interval);
        }
        self.membership.advertised(now);
        self.note_master(by);
        self.reports
            .expire(now, 4 * silence_max(self.interval, self.config.priority));
        self.voice.respond_now(now, self.interval);
        self.settle();
    }

    /// The VRRP state is `state` now, or still. If the master fell silent or resigned, `missed` is its address.
    pub fn vrrp_changed(&mut self, now: Time, state: State, missed: Option<IpAddr>) {
        self.observe(now);
        if !self.hearing.is_impaired()
            && let Some(router) = missed.and_then(|address| self.trust.router_at(address))
            && let Some(event) = self.membership.lost(router)
        {
            self.member_changed(event);
        }
        let before = std::mem::replace(&mut self.vrrp, state);
        if before == state {
            return;
        }
        if state == State::Initialise {
            self.begin_life();
        } else if before == State::Initialise {
            self.since = self.now;
        }
        if state == State::Master {
            self.master = Master::Sharing;
        }
        // Without members that know VRRP alone nobody minds a word before the first advertisement.
        let may_speak = self.config.plain_members.is_empty() || state == State::Master;
        self.review_quiet();
        if may_speak {
            self.voice.respond_soon(self.now);
        }
        self.settle();
    }

    /// An end system was noticed, behind the further router `node` if not on the link.
    pub fn end_system_seen(
        &mut self,
        now: Time,
        address: IpAddr,
        seen: Seen,
        node: Option<IpAddr>,
    ) {
        self.observe(now);
        self.note_end_system(address, seen, node);
        self.settle();
    }

    /// The data plane has done what it was asked last for the move `name`.
    pub fn completed(&mut self, now: Time, name: MoveName, completion: Completion) {
        self.observe(now);
        self.moves.completed(now, name, completion);
        self.settle();
    }

    /// The operator wants the router `to` to be in charge of `conditions`. As far as they are not, they move there, and stay until that
    /// router goes, or another one allocates.
    ///
    /// # Errors
    ///
    /// See [`MoveError`]; nothing has changed then.
    pub fn move_to(
        &mut self,
        now: Time,
        conditions: &[Condition],
        to: RouterId,
    ) -> Result<(), MoveError> {
        self.observe(now);
        self.order_by_hand(conditions, to)?;
        self.settle();
        Ok(())
    }

    /// Gives away whatever this router is in charge of, and takes nothing more for as long as this exists. [`Output::Drained`] says when that is over.
    pub fn drain(&mut self, now: Time) {
        self.observe(now);
        if self.drain == Drain::No {
            self.drain = Drain::Draining;
            self.reallocate_soon();
            self.voice.respond_now(now, self.interval);
        }
        self.settle();
    }

    /// Whether [`drain`](Self::drain) is over.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drain == Drain::Drained
    }

    /// Lets due timers act. What has arrived is to be handed over first.
    pub fn tick(&mut self, now: Time) {
        self.observe(now);
        self.moves.tick(now);
        self.judge_silence();
        self.forget_the_gone();
        self.settle();
    }

    /// When [`tick`](Self::tick) is wanted next, at the latest; `None` while this router takes no part.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.vrrp == State::Initialise {
            return None;
        }
        // Silence while no one advertises is nobody's fault, and no reason to come back.
        let silence = self
            .membership
            .poll_timeout()
            .filter(|timeout| *timeout > self.now);
        [
            Some(self.now + self.interval / 2),
            silence,
            self.moves.poll_timeout(),
            self.voice.timeout(),
            self.hearing_timeout(),
            self.authority_timeout(),
            self.balance
                .timeout(&self.config.review, self.is_authority()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who is in charge of what, as far as this router knows.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The other routers.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The moves that this router has a part in.
    #[must_use]
    pub fn moves(&self) -> &Moves {
        &self.moves
    }

    /// The address of a router that is believed; this router's own for itself.
    #[must_use]
    pub fn address(&self, router: RouterId) -> Option<IpAddr> {
        if router == self.config.router {
            return Some(self.config.local);
        }
        self.trust.address(router)
    }

    /// The id of the key that messages are sent with; 0 without a key.
    #[must_use]
    pub fn sending_key_id(&self) -> Option<u8> {
        self.trust.sending_key().map(Key::id)
    }

    /// How often each reason to refuse a message was met.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        self.trust.refusals()
    }

    /// What happened.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Who allocates: the issuer of the newest allocation heard of.
    #[must_use]
    pub fn authority(&self) -> Option<RouterId> {
        match self.authority {
            Authority::None => self.table.heard().epoch.issuer,
            Authority::Collecting(_) | Authority::Ruling(_) => Some(self.config.router),
        }
    }

    /// Whether this router allocates, and knows what it has to know for that.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        matches!(self.authority, Authority::Ruling(_))
    }

    /// Whether this router has no share at the moment: VRRP takes no part, the master knows VRRP alone, or nobody is heard.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How this router regards itself.
    #[must_use]
    pub fn state(&self) -> MemberState {
        if self.is_server() {
            return self.server_state();
        }
        if self.hearing.is_impaired() {
            return MemberState::Faulty;
        }
        if self.drain != Drain::No {
            return MemberState::Draining;
        }
        let included = match self.table.state_of(self.config.router) {
            Some(MemberState::Working | MemberState::Draining) => true,
            Some(_) | None => self.is_authority(),
        };
        match included {
            true => MemberState::Working,
            false => MemberState::Suspended,
        }
    }

    /// Every entry begins here: the time is noted, and an absence in which the others must have taken over.
    fn observe(&mut self, now: Time) {
        let away = now.since(self.now);
        self.now = self.now.max(now);
        if self.vrrp != State::Initialise && away > silence_max(self.interval, self.config.priority)
        {
            self.event(Event::Away(away));
            self.begin_life();
            self.review_quiet();
        }
    }

    /// Every entry ends here.
    fn settle(&mut self) {
        if self.first_table_at.is_none() && self.table.installed() != Version::default() {
            self.first_table_at = Some(self.now);
        }
        self.review_hearing();
        self.review_quiet();
        self.pass_on_moves();
        self.review_loads();
        self.rule();
        self.pass_on_moves();
        self.review_drain();
        self.speak();
    }

    fn event(&mut self, event: Event) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(Output::Event(event));
        } else {
            self.counters.output_overflows += 1;
        }
    }
}
