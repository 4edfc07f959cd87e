//! Load sharing in the program, one group's part: it carries between [`LoadSharing`], which decides, and the workers, the
//! port and the host, which know neither messages nor moves.
//!
//! | file | what lives there |
//! |---|---|
//! | this one | `Sharing`: messages, orders and answers, each to whom it concerns |
//! | `config.rs` | what a group's configuration comes to |
//! | `verdicts.rs` | what the workers are to do with whose packets, and when they do |
//! | `handovers.rs` | moves as the workers number them |
//! | `numbers.rs` | whose packets are counted where |
//! | `learning.rs` | whom packets were seen of, and whether that may be believed |
//! | `show.rs` | fills in what is shown |
//! | `flow_rates.rs` | … of the load |

pub mod config;
pub mod flow_rates;
mod handovers;
mod learning;
mod numbers;
pub mod show;
mod verdicts;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dataplane::handover::{HandoverDone, HandoverId, HandoverStep};
use dataplane::verdict::VerdictTable;
use vrrpd::sharing::LoadSharing;
use vrrpd::sharing::load_sharing::{ConfigError, MoveError, Output as Decided};
use vrrpd::sharing::moves::{Command, Completion};
use vrrpd::sharing::names::{BootId, Condition, MoveName, RouterId, Seen};
use vrrpd::sharing::review::Start;
use vrrpd::{Cause, Received, State, Time, Transmit};

pub use config::SharingConfig;
pub(super) use numbers::Numbers;
pub use verdicts::Taken;

use handovers::Handovers;
use learning::Learning;
use verdicts::Verdicts;

/// How often it is looked who has not been seen, in the time after which an end system is forgotten.
const LOOKS: u32 = 8;

/// What a group's part asks for.
#[derive(Debug)]
pub(super) enum Output {
    /// Send this to the group's virtual MAC.
    Transmit(Transmit),
    /// Have the workers do this for these conditions.
    HandOver {
        id: HandoverId,
        conditions: Vec<u32>,
        step: HandoverStep,
    },
    /// Ask for this neighbour; what is known of it comes back to [`Sharing::neighbour_there`].
    Ask(Ipv4Addr),
    /// Have routes and neighbours ready for packets to this address.
    Prepare(Ipv4Addr),
    /// Have the neighbours ready that packets to anywhere may need.
    PrepareGateways,
}

/// One group's part.
#[derive(Debug)]
pub(super) struct Sharing {
    config: SharingConfig,
    part: LoadSharing,
    verdicts: Verdicts,
    learning: Learning,
    handovers: Handovers,
    outputs: Vec<Output>,
    /// When it is looked next who has not been seen for long.
    next_look: Time,
}

impl Sharing {
    /// A part that has heard nobody; everything is discarded until it is decided otherwise.
    pub(super) fn new(
        now: Time,
        config: SharingConfig,
        boot: BootId,
        numbers: &mut Numbers,
    ) -> Result<Self, ConfigError> {
        let mut sharing = Self {
            part: LoadSharing::new(config.part(boot), now)?,
            verdicts: Verdicts::new(config.connected, config.settings.learn, numbers),
            learning: Learning::new(config.settings.learn_rate),
            handovers: Handovers::default(),
            outputs: Vec::new(),
            next_look: now,
            config,
        };
        sharing.carry_out(numbers);
        Ok(sharing)
    }

    pub(super) const fn config(&self) -> &SharingConfig {
        &self.config
    }

    pub(super) const fn part(&self) -> &LoadSharing {
        &self.part
    }

    /// Takes another configuration, if that needs no new life.
    pub(super) fn reconfigure(
        &mut self,
        now: Time,
        config: SharingConfig,
        numbers: &mut Numbers,
    ) -> Result<(), ConfigError> {
        let boot = self.part.config().boot;
        self.part.reconfigure(now, config.part(boot))?;
        self.verdicts.set_learns(config.settings.learn);
        self.learning.set_rate(config.settings.learn_rate);
        self.config = config;
        self.carry_out(numbers);
        Ok(())
    }

    /// Takes a message of one of the types 2 to 8. A refused one is counted under its reason.
    pub(super) fn receive(&mut self, now: Time, received: &Received<'_>, numbers: &mut Numbers) {
        if let Err(refusal) = self.part.receive(now, received) {
            tracing::debug!(from = %received.src, "load sharing message refused: {refusal}");
        }
        self.carry_out(numbers);
    }

    /// Whether an advertisement from `src` may be heeded. One that may not is counted.
    pub(super) fn heeds(&mut self, src: IpAddr) -> bool {
        self.part.heed_advertisement(src).is_ok()
    }

    /// This router's VRRP part says something; `interval` is the time between two advertisements.
    pub(super) fn hear(
        &mut self,
        now: Time,
        said: &vrrpd::Output,
        interval: Duration,
        numbers: &mut Numbers,
    ) {
        match said {
            vrrpd::Output::Transmit(transmit) => {
                self.advertised(now, transmit.src, interval, numbers);
            }
            vrrpd::Output::StateChanged(transition) => {
                let missed = match transition.cause {
                    Cause::MasterSilent { master, .. } => master,
                    Cause::MasterResigned { master } => Some(master),
                    _ => None,
                };
                self.vrrp_changed(now, transition.to, missed, numbers);
            }
            // A substitution server's, whose state does not change by that.
            vrrpd::Output::MasterLost { master } => {
                self.vrrp_changed(now, State::Backup, Some(*master), numbers);
            }
            vrrpd::Output::Announce(_) | vrrpd::Output::Stalled { .. } => {}
        }
    }

    /// An advertisement of the router at `by` was sent or accepted.
    pub(super) fn advertised(
        &mut self,
        now: Time,
        by: IpAddr,
        interval: Duration,
        numbers: &mut Numbers,
    ) {
        self.part.advertised(now, by, interval);
        self.carry_out(numbers);
    }

    /// This router's VRRP state is another; `missed` is the master whose silence is the cause.
    pub(super) fn vrrp_changed(
        &mut self,
        now: Time,
        state: State,
        missed: Option<IpAddr>,
        numbers: &mut Numbers,
    ) {
        self.part.vrrp_changed(now, state, missed);
        self.carry_out(numbers);
    }

    /// A packet of an end system was seen that is in no table.
    pub(super) fn packet_seen(&mut self, now: Time, address: Ipv4Addr) {
        let is_host = self.config.connected.contains(address)
            && !self.config.routers.contains(&address)
            && self.config.settings.learn;
        if is_host {
            self.learning.seen(address);
            self.ask(now);
        }
    }

    /// When the workers' counters are to be read next.
    pub(super) fn measures_at(&self) -> Time {
        self.part.measure_at().unwrap_or_default()
    }

    /// Takes the workers' counters: octets by index, and overflows.
    pub(super) fn measure(
        &mut self,
        now: Time,
        octets: impl Fn(u32) -> u64,
        overflows: u64,
        numbers: &mut Numbers,
    ) {
        let rows = self.part.table().rows();
        let counters: Vec<(Condition, u64)> = rows
            .filter_map(|(condition, _)| {
                let index = self.verdicts.counted_at(condition)?;
                Some((condition, octets(index)))
            })
            .collect();
        self.part.measured(now, counters, overflows);
        self.carry_out(numbers);
    }

    /// A neighbour on the link has a link address.
    pub(super) fn neighbour_there(&mut self, now: Time, address: Ipv4Addr, numbers: &mut Numbers) {
        if self.learning.answered(address) {
            let seen = Seen::Neighbour;
            self.part.end_system_seen(now, address.into(), seen, None);
            self.carry_out(numbers);
        }
    }

    /// The operator wants a condition elsewhere.
    pub(super) fn move_to(
        &mut self,
        now: Time,
        condition: Condition,
        to: RouterId,
        numbers: &mut Numbers,
    ) -> Result<(), MoveError> {
        let ordered = self.part.move_to(now, &[condition], to);
        self.carry_out(numbers);
        ordered
    }

    /// The operator wants everyone's load looked at.
    pub(super) fn review_now(
        &mut self,
        now: Time,
        numbers: &mut Numbers,
    ) -> Result<Start, MoveError> {
        let started = self.part.review_now(now);
        self.carry_out(numbers);
        started
    }

    /// Everything is to be given away.
    pub(super) fn drain(&mut self, now: Time, numbers: &mut Numbers) {
        self.part.drain(now);
        self.carry_out(numbers);
    }

    pub(super) fn is_drained(&self) -> bool {
        // One that is quiet is in charge of nothing.
        self.part.is_drained() || self.part.is_quiet()
    }

    /// Lets due timers act.
    pub(super) fn tick(&mut self, now: Time, numbers: &mut Numbers) {
        self.part.tick(now);
        if now >= self.next_look {
            self.next_look = now + self.config.settings.end_system_age / LOOKS;
            self.ask_again(now);
        }
        self.ask(now);
        self.carry_out(numbers);
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let part = self.part.poll_timeout();
        let others = [self.next_look, self.measures_at()]
            .into_iter()
            .chain(self.learning.timeout());
        part.into_iter().chain(others).min()
    }

    /// Asks those on the link that have not been seen for half of the time after which they are forgotten.
    fn ask_again(&mut self, now: Time) {
        if !self.part.is_authority() {
            return;
        }
        let patience = self.config.settings.end_system_age / 2;
        for (condition, row) in self.part.table().rows() {
            if let Condition::Address(IpAddr::V4(address)) = condition
                && row.node.is_none()
                && now.since(row.seen_at) >= patience
            {
                self.learning.seen(address);
            }
        }
    }

    /// Asks whom it may ask now.
    fn ask(&mut self, now: Time) {
        while let Some(address) = self.learning.next(now) {
            self.outputs.push(Output::Ask(address));
        }
    }

    /// The routers, this one among them, with their addresses as far as known.
    pub(super) fn routers(&self) -> impl Iterator<Item = (RouterId, Option<IpAddr>)> {
        let others = self.part.membership().iter().map(|(router, _)| router);
        std::iter::once(self.part.config().router)
            .chain(others)
            .map(|router| (router, self.part.address(router)))
    }

    /// Whether a move has this number.
    pub(super) fn knows(&self, id: HandoverId) -> bool {
        self.handovers.name(id).is_some()
    }

    /// What is asked for, in order.
    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The workers have done what was asked for a move.
    pub(super) fn handed_over(
        &mut self,
        now: Time,
        id: HandoverId,
        done: HandoverDone,
        numbers: &mut Numbers,
    ) {
        let Some(name) = self.handovers.name(id) else {
            return;
        };
        let completion = match done {
            HandoverDone::Recording => Completion::Recording,
            HandoverDone::QueuesEmptied => Completion::QueuesEmptied,
            HandoverDone::Drained => Completion::Drained,
            HandoverDone::Inspected(lists) => {
                self.watch(name, false, numbers);
                Completion::Inspected(handovers::accepted(lists, &self.verdicts))
            }
            HandoverDone::Released => Completion::Released,
            HandoverDone::Dropped => Completion::Dropped,
        };
        self.part.completed(now, name, completion);
        self.carry_out(numbers);
    }

    /// The next verdict table, if anything has changed.
    pub(super) fn take_table(&mut self) -> Option<Arc<VerdictTable>> {
        self.verdicts.take_table().map(Arc::new)
    }

    /// The last table taken has been published.
    pub(super) fn published(&mut self, taken: Taken) {
        self.verdicts.published(taken);
    }

    /// Whether the workers have yet to take up a table.
    pub(super) fn is_settling(&self) -> bool {
        self.verdicts.is_settling()
    }

    /// Tells whoever waits for a table that has been taken up.
    pub(super) fn settle(
        &mut self,
        now: Time,
        has_taken_up: impl Fn(Taken) -> bool,
        numbers: &mut Numbers,
    ) {
        for (name, verdict) in self.verdicts.settle(has_taken_up, numbers) {
            let completion = Completion::VerdictSet(verdict);
            self.part.completed(now, name, completion);
        }
        let moves = self.part.moves();
        self.handovers.forget(|name| moves.status(name).is_some());
        self.carry_out(numbers);
    }

    /// The group is no more.
    pub(super) fn end(self, numbers: &mut Numbers) {
        self.verdicts.end(numbers);
    }

    fn watch(&mut self, name: MoveName, watched: bool, numbers: &mut Numbers) {
        for condition in self.handovers.conditions(name).iter() {
            self.verdicts.watch(*condition, watched, numbers);
        }
    }

    fn carry_out(&mut self, numbers: &mut Numbers) {
        while let Some(decided) = self.part.poll_output() {
            match decided {
                Decided::Transmit(transmit) => self.outputs.push(Output::Transmit(transmit)),
                Decided::Verdicts(verdicts) => {
                    for (condition, verdict) in verdicts {
                        self.verdicts.set(condition, verdict, numbers);
                    }
                }
                Decided::Command {
                    name,
                    conditions,
                    command,
                } => self.command(name, &conditions, command, numbers),
                // Whoever wants to know asks.
                Decided::Drained => {}
                Decided::Event(event) => tracing::info!(
                    port = self.config.port_name,
                    vrid = self.config.vrid,
                    "{event}"
                ),
            }
        }
    }

    fn command(
        &mut self,
        name: MoveName,
        conditions: &Arc<[Condition]>,
        command: Command,
        numbers: &mut Numbers,
    ) {
        let step = match command {
            Command::SetVerdict(verdict) => {
                for condition in conditions.iter() {
                    self.verdicts.set(*condition, Some(verdict), numbers);
                }
                self.verdicts.wait(name, verdict);
                return;
            }
            Command::Resolve => {
                self.prepare(conditions);
                return;
            }
            Command::StartRecording => {
                self.handovers.begin(name, conditions, numbers);
                self.watch(name, true, numbers);
                HandoverStep::StartRecording {
                    room: self.config.settings.recording_room as usize,
                }
            }
            Command::StopRecording => {
                self.watch(name, false, numbers);
                HandoverStep::StopRecording
            }
            Command::EmptyReceiveQueues => HandoverStep::EmptyReceiveQueues,
            Command::DrainBacklog => HandoverStep::DrainBacklog,
            Command::Inspect => HandoverStep::Inspect,
            Command::Release(lists) => {
                HandoverStep::Release(handovers::listed(lists, &mut self.verdicts, numbers))
            }
            Command::DropBacklog => HandoverStep::DropBacklog,
        };
        let id = self.handovers.begin(name, conditions, numbers);
        let counted = conditions
            .iter()
            .filter_map(|condition| self.verdicts.index(*condition, numbers));
        self.outputs.push(Output::HandOver {
            id,
            conditions: counted.collect(),
            step,
        });
    }

    /// Has ready what the packets of these conditions will need.
    fn prepare(&mut self, conditions: &[Condition]) {
        if self.config.settings.match_on == dataplane::MatchOn::Source {
            self.outputs.push(Output::PrepareGateways);
            return;
        }
        for condition in conditions {
            if let Condition::Address(IpAddr::V4(address)) = condition {
                self.outputs.push(Output::Prepare(*address));
            }
        }
    }
}
