//! Load sharing in the program, one group's part: it carries between [`LoadSharing`], which decides, and the workers, the
//! port and the host, which know neither messages nor moves.
//!
//! | file | what lives there |
//! |---|---|
//! | this one | `Sharing`: whatever comes, to whom it concerns |
//! | `config.rs` | what a group's configuration comes to |
//! | `orders.rs` | what has been decided, to whom it concerns, and what the workers have done of it |
//! | `verdicts.rs` | what the workers are to do with whose packets, and when they do |
//! | `handovers.rs` | moves as the workers number them |
//! | `numbers.rs` | whose packets are counted where |
//! | `finding.rs` | which end systems there are |
//! | `show.rs` | fills in what is shown |
//! | `flow_rates.rs` | … of the load |

pub mod config;
mod finding;
pub mod flow_rates;
mod handovers;
mod numbers;
mod orders;
pub mod show;
mod verdicts;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dataplane::addr::MacAddr;
use dataplane::handover::{HandoverId, HandoverStep};
use dataplane::verdict::VerdictTable;
use vrrpd::sharing::LoadSharing;
use vrrpd::sharing::load_sharing::{ConfigError, MoveError};
use vrrpd::sharing::moves::Completion;
use vrrpd::sharing::names::{BootId, Condition, RouterId, Seen};
use vrrpd::sharing::review::Start;
use vrrpd::sharing::table::Table;
use vrrpd::{Cause, Moment, Received, State, Time, Transmit};

pub use config::{Leader, SharingConfig};
pub(super) use finding::Question;
pub use finding::Sighting;
pub(super) use numbers::Numbers;
pub use verdicts::Taken;

use finding::Finding;
use handovers::Handovers;
use verdicts::Verdicts;

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
    /// Ask this; answers come back to [`Sharing::neighbour_there`] and [`Sharing::informed`].
    Question(Question),
    /// Look whether this further router has that link address; what is known of it comes back to [`Sharing::vouched`].
    Vouch(Sighting),
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
    finding: Finding,
    handovers: Handovers,
    outputs: Vec<Output>,
    /// Frames that the port had received when it last told that this router hears, and when that was.
    frames: (u64, Time),
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
            verdicts: Verdicts::new(config.connected, config.watches_rest(), numbers),
            finding: Finding::new(now, &config, boot.0 as u16),
            handovers: Handovers::default(),
            outputs: Vec::new(),
            frames: (0, now),
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
        self.verdicts.set_learns(config.watches_rest());
        // There may be room for end systems now that were refused before: workers offer them anew with another table.
        self.verdicts.renew();
        self.finding.set(&config);
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

    /// A packet of an end system was seen that is in no table. `node` is the further router on this link that packets to it go to, and `from` the
    /// link address that it came from.
    pub(super) fn packet_seen(
        &mut self,
        now: Time,
        address: Ipv4Addr,
        node: Option<Ipv4Addr>,
        from: MacAddr,
    ) {
        self.finding.packet_seen(&self.config, address, node, from);
        self.ask(now);
    }

    /// Whether a packet came from the further router behind which it claims to begin.
    pub(super) fn vouched(
        &mut self,
        now: Time,
        sighting: Sighting,
        is_its: bool,
        numbers: &mut Numbers,
    ) {
        if self.finding.vouched(sighting, is_its) {
            let node = Some(sighting.node.into());
            let address = sighting.address.into();
            self.part.end_system_seen(now, address, Seen::Traffic, node);
            self.carry_out(numbers);
        }
    }

    /// When the workers' counters are to be read next; not at all for a group that follows another, which has them counted with its own.
    pub(super) fn measures_at(&self) -> Option<Time> {
        let measures = self.config.follow.is_none();
        measures.then(|| self.part.measure_at().unwrap_or_default())
    }

    /// What the workers have counted of each condition that has a counter, by index.
    pub(super) fn octets(
        &self,
        octets: impl Fn(u32) -> u64,
    ) -> impl Iterator<Item = (Condition, u64)> {
        self.part.table().rows().filter_map(move |(condition, _)| {
            let index = self.verdicts.counted_at(condition)?;
            Some((condition, octets(index)))
        })
    }

    /// Takes what was counted: octets by condition, and overflows.
    pub(super) fn measure(
        &mut self,
        now: Time,
        octets: Vec<(Condition, u64)>,
        overflows: u64,
        numbers: &mut Numbers,
    ) {
        self.part.measured(now, octets, overflows);
        self.carry_out(numbers);
    }

    /// A neighbour on the link has answered that it is there.
    pub(super) fn neighbour_there(&mut self, now: Time, address: Ipv4Addr, numbers: &mut Numbers) {
        if self.finding.answered(now, address) {
            self.found(now, address, Seen::Neighbour, numbers);
        }
        self.ask(now);
    }

    /// Someone on the link replied to an information request with these numbers.
    pub(super) fn informed(
        &mut self,
        now: Time,
        from: Ipv4Addr,
        request: (u16, u16),
        numbers: &mut Numbers,
    ) {
        if self.finding.informed(now, from, request) {
            self.found(now, from, Seen::InformationReply, numbers);
        }
    }

    fn found(&mut self, now: Time, address: Ipv4Addr, seen: Seen, numbers: &mut Numbers) {
        if !self.config.routers.contains(&address) {
            self.part.end_system_seen(now, address.into(), seen, None);
            self.carry_out(numbers);
        }
    }

    /// This is the table of the group that this one follows.
    pub(super) fn follow(&mut self, now: Time, leader: &Table, numbers: &mut Numbers) {
        self.part.follow(now, leader);
        self.carry_out(numbers);
    }

    /// Whether the groups that follow this one can route what it gives this router.
    pub(super) fn set_able(&mut self, now: Time, able: bool, numbers: &mut Numbers) {
        self.part.set_able(now, able);
        self.carry_out(numbers);
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

    /// Lets due timers act; the port has received so many frames so far.
    pub(super) fn tick(&mut self, at: Moment, frames: u64, numbers: &mut Numbers) {
        let Moment { now, heard } = at;
        let (before, told_at) = self.frames;
        // While a worker stands, others may receive frames, and what concerns the group may wait at the one that does not look.
        if frames != before && heard > told_at {
            self.frames = (frames, now);
            self.part.frame_received(now);
        }
        self.part.tick(now);
        self.finding.tick(now, &self.config, &self.part);
        self.ask(now);
        self.carry_out(numbers);
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let part = self.part.poll_timeout();
        let others = [Some(self.finding.timeout()), self.measures_at()];
        part.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Asks whom it may ask now.
    fn ask(&mut self, now: Time) {
        while let Some(question) = self.finding.next(now, &self.config) {
            self.outputs.push(question);
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
}
