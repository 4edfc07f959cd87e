//! Moves: a router hands conditions over to another, in timer mode (A4) or packet by packet in sequence mode (A5, A6). Here is what
//! both sides have in common and how moves are told apart; P's side is in `leaving`, N's in `arriving`. Which moves there should be is not decided
//! here, and packets are not touched: the data plane is asked by [`Command`]s, and says when it is done.
//!
//! # Driving
//!
//! The driver hands over what the table, the messages and the data plane say, and carries out the [`Output`]s, commands in
//! their order. A router is ordered to hand over only what it was in charge of: after a restart it is in charge of nothing.

mod arriving;
mod command;
mod config;
mod leaving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use command::{Command, Completion, Verdict};
pub use config::Config;
use thiserror::Error;

use super::names::{Condition, Mode, MoveName, RouterId};
use super::refusal::Refusal;
use super::wire::{Answer, AnswerStatus, Body, Confirmation, MoveReport, MoveStatus};
use crate::{Family, Time};
use arriving::Arriving;
use leaving::Leaving;

/// How many moves that are over are remembered.
const OVER_MAX: usize = 1024;

/// What moves ask of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Have the data plane do this.
    Command {
        /// For which move.
        name: MoveName,
        /// For which packets.
        conditions: Arc<[Condition]>,
        /// What.
        command: Command,
    },
    /// Send a type 4.
    Confirm(Confirmation),
    /// Send these fragments of a type 5.
    Answer {
        /// Of how many fragments.
        fragments: u16,
        /// Number and content of each.
        parts: Vec<(u16, Answer)>,
    },
    /// A move has got further: send a type 2 soon.
    Status(MoveName, MoveStatus),
}

/// More moves than [`Config::moves_max`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many moves at a time")]
pub struct TooManyMoves;

/// What happened to moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Moves that came here, finished.
    pub taken: u64,
    /// Moves that left here, answered.
    pub given: u64,
    /// Moves given up by N because P keeps the conditions.
    pub stood_down: u64,
    /// Moves that N finished without P's answer, P being lost: packets may have been doubled.
    pub taken_without_answer: u64,
    /// Confirmations sent, repetitions included.
    pub confirmations_sent: u64,
    /// Answers sent, repetitions included.
    pub answers_sent: u64,
    /// Confirmations of moves that P was not ready for.
    pub early_confirmations: u64,
    /// Answers given before the backlog was drained: packets may have been reordered.
    pub drain_timeouts: u64,
    /// Moves not taken up because there were too many.
    pub too_many: u64,
}

/// The moves that this router has a part in.
#[derive(Clone, Debug)]
pub struct Moves {
    family: Family,
    me: RouterId,
    config: Config,
    leaving: BTreeMap<MoveName, Leaving>,
    arriving: BTreeMap<MoveName, Arriving>,
    /// Moves that are over, with how they ended.
    over: VecDeque<(MoveName, MoveStatus)>,
    /// Moves that are ordered although they are over here, or cannot be: what the others are told of them.
    settled: BTreeMap<MoveName, (MoveStatus, Arc<[Condition]>)>,
    counters: Counters,
    outputs: VecDeque<Output>,
}

/// What a step of a move may do besides changing its state.
struct Context<'a> {
    now: Time,
    family: Family,
    config: &'a Config,
    counters: &'a mut Counters,
    outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    fn command(&mut self, name: MoveName, conditions: &Arc<[Condition]>, command: Command) {
        self.outputs.push_back(Output::Command {
            name,
            conditions: Arc::clone(conditions),
            command,
        });
    }
}

impl Moves {
    /// No moves yet, for the router `me`.
    #[must_use]
    pub fn new(me: RouterId, family: Family, config: Config) -> Moves {
        Moves {
            family,
            me,
            config,
            leaving: BTreeMap::new(),
            arriving: BTreeMap::new(),
            over: VecDeque::new(),
            settled: BTreeMap::new(),
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// An allocation orders a move. As P only of what this router is in charge of. A move that is known, or over, is not
    /// begun again; of one that is over here without anything given, or with everything taken, the others are told so again, as those whose allocation
    /// this is may never have heard it.
    ///
    /// # Errors
    ///
    /// [`TooManyMoves`]. It is counted, and nothing else happened.
    pub fn order(
        &mut self,
        now: Time,
        name: MoveName,
        mode: Mode,
        conditions: impl Into<Arc<[Condition]>>,
    ) -> Result<(), TooManyMoves> {
        if let Some(arriving) = self.arriving.get_mut(&name) {
            arriving.order_again();
            return Ok(());
        }
        if self.leaving.contains_key(&name) {
            return Ok(());
        }
        if let Some(ending) = self.ending_of(&name) {
            if ending != MoveStatus::Withdrawn {
                self.settle(name, ending, conditions.into());
            }
            return Ok(());
        }
        if self.leaving.len() + self.arriving.len() >= self.config.moves_max {
            self.counters.too_many += 1;
            return Err(TooManyMoves);
        }
        if name.from == self.me {
            let leaving = Leaving::new(name, mode, conditions.into());
            self.leaving.insert(name, leaving);
        } else if name.to == self.me {
            let mut arriving = Arriving::new(name, mode, conditions.into());
            let (_, context) = self.arriving(now);
            arriving.begin(context);
            self.arriving.insert(name, arriving);
        }
        self.admit(now);
        Ok(())
    }

    /// An allocation orders a move of what this router, which is P, is not in charge of. It has nothing to hand over, and says that it has kept the
    /// conditions: their verdict is that of an allocation that gives them back.
    pub fn refuse(&mut self, name: MoveName, conditions: impl Into<Arc<[Condition]>>) {
        if !self.leaving.contains_key(&name) && self.ending_of(&name).is_none() {
            self.note_over(name, MoveStatus::Kept);
            self.settle(name, MoveStatus::Kept, conditions.into());
        }
    }

    /// A believed router reports how far a move is.
    pub fn reported(&mut self, now: Time, router: RouterId, report: &MoveReport) {
        let name = report.name;
        if router == name.to && self.leaving.contains_key(&name) {
            match report.status {
                MoveStatus::Finished => self.conclude(now, name),
                MoveStatus::StoodDown => {
                    let kept = |leaving: &Leaving| leaving.status() == MoveStatus::Kept;
                    if self.leaving.get(&name).is_some_and(kept) {
                        self.leaving.remove(&name);
                        self.note_over(name, MoveStatus::Kept);
                    }
                }
                _ => {}
            }
        }
        if router == name.from {
            let (moves, mut context) = self.arriving(now);
            if let Some(arriving) = moves.get_mut(&name) {
                match report.status {
                    MoveStatus::Ready => arriving.ready(),
                    MoveStatus::Kept => arriving.kept(&mut context),
                    MoveStatus::Withdrawn => arriving.withdrawn(&mut context),
                    _ => {}
                }
            }
        }
        self.admit(now);
    }

    /// N confirms.
    ///
    /// # Errors
    ///
    /// [`Refusal::Move`] if this router is P of the move and does not know it: because it has restarted, or has not heard of it yet.
    pub fn confirmed(&mut self, now: Time, confirmation: &Confirmation) -> Result<(), Refusal> {
        let name = confirmation.name;
        if name.from != self.me {
            return Ok(());
        }
        let ending = self.ending_of(&name);
        let (moves, mut context) = self.leaving(now);
        match (moves.get_mut(&name), ending) {
            (Some(leaving), _) => leaving.confirmed(confirmation, &mut context),
            (None, Some(MoveStatus::Kept)) => {
                leaving::refuse(name, confirmation.mode, AnswerStatus::Kept, &mut context);
                Ok(())
            }
            (None, Some(_)) => Ok(()),
            (None, None) => Err(Refusal::Move),
        }
    }

    /// P answers, with one fragment of `fragments`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Fragment`] if it does not belong with the fragments before.
    pub fn answered(
        &mut self,
        now: Time,
        (fragment, fragments): (u16, u16),
        answer: &Answer,
    ) -> Result<(), Refusal> {
        let (moves, mut context) = self.arriving(now);
        match moves.get_mut(&answer.name) {
            Some(arriving) => arriving.answered((fragment, fragments), answer, &mut context),
            None => Ok(()),
        }
    }

    /// The data plane has done what it was asked last for the move.
    pub fn completed(&mut self, now: Time, name: MoveName, completion: Completion) {
        let (moves, mut context) = self.leaving(now);
        if let Some(leaving) = moves.get_mut(&name) {
            leaving.completed(completion, &mut context);
        } else {
            let (moves, mut context) = self.arriving(now);
            if let Some(arriving) = moves.get_mut(&name) {
                arriving.completed(completion, &mut context);
                if arriving.is_abandoned()
                    && let Some(arriving) = self.arriving.remove(&name)
                {
                    self.note_over(name, arriving.ending());
                    if arriving.is_ordered_again() {
                        let conditions = Arc::clone(arriving.conditions());
                        self.settle(name, arriving.ending(), conditions);
                    }
                }
            }
        }
        self.admit(now);
    }

    /// `router` is faulty, or has restarted: it answers nothing any more.
    pub fn lost(&mut self, now: Time, router: RouterId) {
        let (moves, mut context) = self.arriving(now);
        for (_, arriving) in moves.iter_mut().filter(|(name, _)| name.from == router) {
            arriving.orphaned(&mut context);
        }
        let (me, mut settled) = (self.me, std::mem::take(&mut self.settled));
        let (_, mut context) = self.arriving(now);
        for (name, (status, conditions)) in &mut settled {
            // There is nobody left to have stood down for.
            if (name.from, name.to, *status) == (router, me, MoveStatus::StoodDown) {
                context.command(*name, conditions, Command::SetVerdict(Verdict::Route));
                context.counters.taken_without_answer += 1;
                *status = MoveStatus::Finished;
                context.outputs.push_back(Output::Status(*name, *status));
            }
        }
        self.settled = settled;
        self.admit(now);
    }

    /// A later allocation has ended the move of `conditions` otherwise than by its success; `in_charge` says whether this
    /// router is in charge of them now. They get the verdict for that even if the move was over here: N may have been lost after P had
    /// heard that it was finished.
    pub fn cancel(
        &mut self,
        now: Time,
        name: MoveName,
        conditions: impl Into<Arc<[Condition]>>,
        in_charge: bool,
    ) {
        self.settled.remove(&name);
        if let Some(leaving) = self.leaving.remove(&name) {
            let (_, mut context) = self.leaving(now);
            leaving.cancelled(in_charge, &mut context);
            // Whatever fence is still under way finds that the conditions are not given to its sender.
            self.note_over(name, MoveStatus::Kept);
            self.admit(now);
            return;
        }
        let (moves, mut context) = self.arriving(now);
        match moves.get_mut(&name) {
            Some(arriving) if arriving.status() != MoveStatus::Finished => {
                arriving.cancelled(in_charge, &mut context);
                if arriving.is_abandoned() {
                    self.arriving.remove(&name);
                    self.note_over(name, MoveStatus::StoodDown);
                }
            }
            over => {
                if over.is_some() {
                    self.arriving.remove(&name);
                    self.note_over(name, MoveStatus::StoodDown);
                }
                let (_, mut context) = self.arriving(now);
                let verdict = if in_charge {
                    Verdict::Route
                } else {
                    Verdict::Discard
                };
                context.command(name, &conditions.into(), Command::SetVerdict(verdict));
            }
        }
        self.admit(now);
    }

    /// The move is finished, by N's report or because the authority says so.
    pub fn conclude(&mut self, now: Time, name: MoveName) {
        self.settled.remove(&name);
        match self.leaving.get(&name) {
            Some(leaving) if leaving.has_answered() => {
                self.leaving.remove(&name);
                self.note_over(name, MoveStatus::Withdrawn);
            }
            // N is in charge without having had an answer: it was told that this router is lost.
            Some(leaving) => {
                let conditions = Arc::clone(leaving.conditions());
                self.cancel(now, name, conditions, false);
            }
            None => {}
        }
        let (moves, mut context) = self.arriving(now);
        match moves.get_mut(&name) {
            Some(arriving) if arriving.status() == MoveStatus::Finished => {
                self.arriving.remove(&name);
                self.note_over(name, MoveStatus::Finished);
            }
            Some(arriving) => arriving.conclude(&mut context),
            None => {}
        }
        self.admit(now);
    }

    /// Gives up every move, and lets go of what is held: another router than any of these routes everything, or this router has
    /// been away for so long that others do.
    pub fn abandon(&mut self, now: Time) {
        let leaving = std::mem::take(&mut self.leaving);
        let arriving = std::mem::take(&mut self.arriving);
        self.over.clear();
        self.settled.clear();
        let (_, mut context) = self.leaving(now);
        for move_away in leaving.into_values() {
            move_away.cancelled(false, &mut context);
        }
        for (name, arriving) in arriving {
            let conditions = arriving.conditions();
            context.command(name, conditions, Command::SetVerdict(Verdict::Discard));
            context.command(name, conditions, Command::DropBacklog);
        }
    }

    /// Gives up every move, lets go of what is held and routes nothing of it, and remembers that: if nobody takes over meanwhile, this router goes on
    /// with the table that orders them, and says that it has kept what it was to give, and stood down from what it was to take. Otherwise the other
    /// party would go on asking, and the authority waiting, for what will never come. What P has answered stays answered.
    pub fn give_up(&mut self, now: Time) {
        let (moves, mut context) = self.leaving(now);
        for leaving in moves.values_mut() {
            leaving.give_up(&mut context);
        }
        let (moves, mut context) = self.arriving(now);
        for arriving in moves.values_mut() {
            arriving.give_up(&mut context);
        }
    }

    /// Forgets the moves that nothing orders any more, and does nothing else about them: what they left is told elsewhere.
    pub fn forget_unless(&mut self, ordered: impl Fn(&MoveName) -> bool) {
        self.leaving.retain(|name, _| ordered(name));
        self.arriving.retain(|name, _| ordered(name));
        self.settled.retain(|name, _| ordered(name));
    }

    /// Takes other patience and limits, for what begins from now on.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Whether `name` is a move to this router that is not over.
    #[must_use]
    pub fn is_arriving(&self, name: &MoveName) -> bool {
        self.arriving.contains_key(name)
    }

    /// Whether `name` is a move away from this router that is not over.
    #[must_use]
    pub fn is_leaving(&self, name: &MoveName) -> bool {
        self.leaving.contains_key(name)
    }

    /// How far the move `name` is here, unless it is unknown, or over and no longer ordered.
    #[must_use]
    pub fn status(&self, name: &MoveName) -> Option<MoveStatus> {
        let leaving = self.leaving.get(name).map(Leaving::status);
        leaving
            .or_else(|| self.arriving.get(name).map(Arriving::status))
            .or_else(|| self.settled.get(name).map(|(status, _)| *status))
    }

    /// Whether what is held for a move is still to be dropped, if anything is: this router takes nothing by it any more.
    #[must_use]
    pub fn is_to_drop(&self, name: &MoveName) -> bool {
        name.to == self.me && self.arriving.get(name).is_none_or(Arriving::is_to_drop)
    }

    /// Lets due timers act.
    pub fn tick(&mut self, now: Time) {
        let (moves, mut context) = self.leaving(now);
        for leaving in moves.values_mut() {
            leaving.tick(&mut context);
        }
        let (moves, mut context) = self.arriving(now);
        for arriving in moves.values_mut() {
            arriving.tick(&mut context);
        }
        self.admit(now);
    }

    /// When [`tick`](Self::tick) is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let leaving = self.leaving.values().filter_map(Leaving::timeout);
        let arriving = self.arriving.values().filter_map(Arriving::timeout);
        leaving.chain(arriving).min()
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How far every move is, for this router's type 2.
    #[must_use]
    pub fn reports(&self) -> Vec<MoveReport> {
        let report = |name: &MoveName, status, conditions: &Arc<[Condition]>| MoveReport {
            name: *name,
            status,
            conditions: conditions.to_vec(),
        };
        let leaving = self
            .leaving
            .iter()
            .map(|(name, leaving)| report(name, leaving.status(), leaving.conditions()));
        let arriving = self
            .arriving
            .iter()
            .map(|(name, arriving)| report(name, arriving.status(), arriving.conditions()));
        let settled = self
            .settled
            .iter()
            .map(|(name, (status, conditions))| report(name, *status, conditions));
        leaving.chain(arriving).chain(settled).collect()
    }

    /// What happened.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Begins what waits for its turn, the oldest first.
    fn admit(&mut self, now: Time) {
        let active = self.leaving.values().filter(|leaving| leaving.is_active());
        let mut room = self.config.active_max.saturating_sub(active.count());
        let (moves, mut context) = self.leaving(now);
        for leaving in moves.values_mut().filter(|leaving| leaving.is_queued()) {
            if leaving.needs_room() {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            leaving.begin(&mut context);
        }
        let active = self
            .arriving
            .values()
            .filter(|arriving| arriving.is_active());
        let room = self.config.active_max.saturating_sub(active.count());
        let (moves, mut context) = self.arriving(now);
        let waiting = moves.values_mut().filter(|arriving| arriving.can_hold());
        for arriving in waiting.take(room) {
            arriving.approach(&mut context);
        }
    }

    fn ending_of(&self, name: &MoveName) -> Option<MoveStatus> {
        self.over
            .iter()
            .find_map(|(over, status)| (over == name).then_some(*status))
    }

    /// Tells the others, for as long as it is ordered, how a move has ended.
    fn settle(&mut self, name: MoveName, ending: MoveStatus, conditions: Arc<[Condition]>) {
        self.settled.insert(name, (ending, conditions));
        self.outputs.push_back(Output::Status(name, ending));
    }

    fn note_over(&mut self, name: MoveName, status: MoveStatus) {
        if self.over.len() == OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back((name, status));
    }

    fn leaving(&mut self, now: Time) -> (&mut BTreeMap<MoveName, Leaving>, Context<'_>) {
        let context = Context {
            now,
            family: self.family,
            config: &self.config,
            counters: &mut self.counters,
            outputs: &mut self.outputs,
        };
        (&mut self.leaving, context)
    }

    fn arriving(&mut self, now: Time) -> (&mut BTreeMap<MoveName, Arriving>, Context<'_>) {
        let context = Context {
            now,
            family: self.family,
            config: &self.config,
            counters: &mut self.counters,
            outputs: &mut self.outputs,
        };
        (&mut self.arriving, context)
    }
}
