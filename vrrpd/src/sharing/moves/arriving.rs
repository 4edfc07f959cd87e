//! N's side of a move: hold, fence, collect the answer, release. P's side is in `leaving`.

use std::sync::Arc;

use super::{Command, Completion, Context, Output, Verdict};
use crate::Time;
use crate::sharing::names::{Condition, Mode, MoveName};
use crate::sharing::refusal::Refusal;
use crate::sharing::wire::{
    Accepted, Answer, AnswerStatus, Confirmation, FragmentRange, MoveStatus,
};

/// The most fragments of an answer that are collected.
const FRAGMENTS_MAX: u16 = 4096;

/// The most ranges of missing fragments that a confirmation lists; the others are asked for later.
const RANGES_MAX: usize = 200;

/// A move to this router.
///
/// ```text
/// waiting ─► approaching ─► clearing ─► settling ─► held ─► confirming
///                                                                │
///            finished ◄─ routing ◄─ releasing ◄─ emptying ◄─ answered
/// ```
///
/// In timer mode `confirming` is the first state, and `emptying` is followed by `routing`. When P is lost, what is held goes to
/// `releasing` at once, and what is not held yet to `routing`. When P keeps the conditions, or a later allocation takes them
/// away, `standing down`, `dropping` and `stood down` follow, as far as anything is held; so do the latter two when this router has to give up.
#[derive(Clone, Debug)]
pub(super) struct Arriving {
    name: MoveName,
    mode: Mode,
    conditions: Arc<[Condition]>,
    state: State,
    /// Whether P records.
    ready: bool,
    /// Whether P is lost.
    orphaned: bool,
    /// What the conditions' packets get in the end.
    last_verdict: Verdict,
    /// Whether a later allocation has ended the move.
    cancelled: bool,
    /// Whether one later still has ordered it again.
    ordered_again: bool,
    /// Whether the authority takes it for finished, so that there is nobody to tell.
    concluded: bool,
    /// The answer's fragments, where they are here.
    fragments: Vec<Option<Vec<Accepted>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// P is not ready, or too many others are under way.
    Waiting,
    /// P records; what it took before may still arrive here until then, and must not be held.
    Approaching { until: Time },
    /// It is taken, and discarded.
    Clearing,
    /// The workers take up that the packets are to be held.
    Settling,
    /// They are held; what P takes before may still arrive there until then.
    Held { until: Time },
    /// P is asked. In timer mode nothing is routed before `not_before`.
    Confirming { next: Time, not_before: Time },
    /// P has answered; what it took may still arrive here until then.
    Answered { until: Time },
    /// It is taken.
    Emptying,
    /// What is held goes out, but for what P took.
    Releasing,
    /// The workers take up the last verdict.
    Routing,
    /// This router is in charge, or was until the move was cancelled.
    Finished,
    /// The workers take up that the packets are not this router's.
    StandingDown,
    /// What is held is dropped.
    Dropping,
    /// This router is not in charge.
    StoodDown,
}

impl Arriving {
    pub(super) fn new(name: MoveName, mode: Mode, conditions: Arc<[Condition]>) -> Arriving {
        Arriving {
            name,
            mode,
            conditions,
            state: State::Waiting,
            ready: false,
            orphaned: false,
            last_verdict: Verdict::Route,
            cancelled: false,
            ordered_again: false,
            concluded: false,
            fragments: Vec::new(),
        }
    }

    pub(super) fn conditions(&self) -> &Arc<[Condition]> {
        &self.conditions
    }

    /// Whether it could hold if there is room.
    pub(super) fn can_hold(&self) -> bool {
        self.state == State::Waiting && self.ready
    }

    /// Whether it occupies the backlog.
    pub(super) fn is_active(&self) -> bool {
        let holds = !matches!(
            self.state,
            State::Waiting | State::Finished | State::StoodDown
        );
        self.mode == Mode::Sequence && holds
    }

    /// Whether nothing is left to do or to tell.
    pub(super) fn is_abandoned(&self) -> bool {
        let ended = matches!(self.state, State::Finished | State::StoodDown);
        (self.cancelled || self.concluded) && ended
    }

    /// An allocation orders it that knows nothing of its having been ended.
    pub(super) fn order_again(&mut self) {
        self.ordered_again = self.cancelled;
    }

    /// Whether, once it is abandoned, the others are still to be told how it ended.
    pub(super) fn is_ordered_again(&self) -> bool {
        self.ordered_again
    }

    /// The authority does not wait for P's answer any more, nor for the end.
    pub(super) fn conclude(&mut self, context: &mut Context<'_>) {
        self.concluded = true;
        self.orphaned(context);
    }

    /// How the move ended, once it is abandoned.
    pub(super) fn ending(&self) -> MoveStatus {
        match self.concluded && !self.cancelled {
            true => MoveStatus::Finished,
            false => MoveStatus::StoodDown,
        }
    }

    pub(super) fn status(&self) -> MoveStatus {
        match self.state {
            State::Waiting => MoveStatus::Waiting,
            State::Finished => MoveStatus::Finished,
            State::StoodDown => MoveStatus::StoodDown,
            _ => MoveStatus::Holding,
        }
    }

    pub(super) fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Approaching { until } | State::Held { until } | State::Answered { until } => {
                Some(until)
            }
            State::Confirming { next, .. } => Some(next),
            _ => None,
        }
    }

    /// The allocation is here. In timer mode that is enough to confirm.
    pub(super) fn begin(&mut self, mut context: Context<'_>) {
        if self.mode == Mode::Timer {
            self.command(Command::Resolve, &mut context);
            let not_before = context.now + context.config.hold_time;
            self.confirm(not_before, &mut context);
        }
    }

    /// P records.
    pub(super) fn ready(&mut self) {
        self.ready = true;
    }

    /// There is room to hold.
    pub(super) fn approach(&mut self, context: &mut Context<'_>) {
        self.command(Command::Resolve, context);
        let until = context.now + context.config.skew;
        self.enter(State::Approaching { until }, context);
    }

    pub(super) fn answered(
        &mut self,
        (fragment, fragments): (u16, u16),
        answer: &Answer,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let State::Confirming { not_before, .. } = self.state else {
            return Ok(());
        };
        match answer.status {
            AnswerStatus::StillRouting => return Ok(()),
            AnswerStatus::Kept => {
                self.kept(context);
                return Ok(());
            }
            AnswerStatus::Withdrawn => {}
        }
        if fragments > FRAGMENTS_MAX {
            return Err(Refusal::Fragment);
        }
        if self.fragments.is_empty() {
            self.fragments = vec![None; fragments.into()];
        }
        if self.fragments.len() != usize::from(fragments) {
            return Err(Refusal::Fragment);
        }
        match self.fragments.get_mut(usize::from(fragment)) {
            Some(part) => *part = Some(answer.accepted.clone()),
            None => return Err(Refusal::Fragment),
        }
        if self.fragments.iter().all(Option::is_some) {
            let until = not_before.max(context.now + context.config.skew);
            self.enter(State::Answered { until }, context);
        }
        Ok(())
    }

    /// P keeps the conditions, for good.
    pub(super) fn kept(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Waiting
            | State::Approaching { .. }
            | State::Clearing
            | State::Settling
            | State::Held { .. }
            | State::Confirming { .. } => {
                context.counters.stood_down += 1;
                self.stand_down(context);
            }
            _ => {}
        }
    }

    /// P has withdrawn. If nobody has been asked to here, the fence was of this router's former life, and nobody routes.
    pub(super) fn withdrawn(&mut self, context: &mut Context<'_>) {
        if self.state == State::Waiting {
            self.route(context);
        }
    }

    /// P is lost: rather a packet twice than never.
    pub(super) fn orphaned(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Waiting | State::Approaching { .. } | State::Clearing | State::StoodDown => {
                self.route(context);
            }
            State::Settling | State::StandingDown | State::Dropping if self.orphaned => return,
            State::Settling | State::StandingDown | State::Dropping => self.orphaned = true,
            State::Held { .. } | State::Confirming { .. } => match self.mode {
                Mode::Timer => self.route(context),
                Mode::Sequence => self.release(context),
            },
            // P's answer is here.
            _ => return,
        }
        context.counters.taken_without_answer += 1;
    }

    /// This router routes nothing for now. What is held is dropped, and if P is lost, that is to be told again.
    pub(super) fn give_up(&mut self, context: &mut Context<'_>) {
        self.orphaned = false;
        self.fragments.clear();
        self.command(Command::SetVerdict(Verdict::Discard), context);
        self.command(Command::DropBacklog, context);
        self.enter(State::Dropping, context);
    }

    pub(super) fn is_to_drop(&self) -> bool {
        matches!(self.state, State::StandingDown | State::Dropping)
    }

    pub(super) fn cancelled(&mut self, in_charge: bool, context: &mut Context<'_>) {
        self.ordered_again = false;
        if in_charge {
            // The condition is this router's without P's consent: P is lost.
            self.orphaned(context);
            return;
        }
        self.cancelled = true;
        match self.state {
            State::Waiting
            | State::Approaching { .. }
            | State::Clearing
            | State::Settling
            | State::Held { .. }
            | State::Confirming { .. } => {
                self.stand_down(context);
            }
            // P has withdrawn, so what is held is nobody else's to send.
            State::Answered { .. } | State::Emptying | State::Releasing => {
                self.last_verdict = Verdict::Discard;
            }
            State::Routing if self.last_verdict != Verdict::Discard => {
                self.last_verdict = Verdict::Discard;
                self.route(context);
            }
            State::Routing
            | State::Finished
            | State::StandingDown
            | State::Dropping
            | State::StoodDown => {}
        }
    }

    pub(super) fn completed(&mut self, completion: Completion, context: &mut Context<'_>) {
        match (self.state, completion) {
            (State::Clearing, Completion::QueuesEmptied) => {
                self.command(Command::SetVerdict(Verdict::Hold), context);
                self.enter(State::Settling, context);
            }
            (State::Settling, Completion::VerdictSet(Verdict::Hold)) => {
                if self.orphaned {
                    self.release(context);
                } else {
                    let until = context.now + context.config.skew;
                    self.enter(State::Held { until }, context);
                }
            }
            (State::Emptying, Completion::QueuesEmptied) => match self.mode {
                Mode::Timer => self.route(context),
                Mode::Sequence => self.release(context),
            },
            (State::Releasing, Completion::Released) => self.route(context),
            (State::Routing, Completion::VerdictSet(verdict)) if verdict == self.last_verdict => {
                context.counters.taken += 1;
                self.enter(State::Finished, context);
            }
            (State::StandingDown, Completion::VerdictSet(Verdict::Discard)) => {
                self.command(Command::DropBacklog, context);
                self.enter(State::Dropping, context);
            }
            (State::Dropping, Completion::Dropped) => {
                // With P lost there is nobody left to stand down for.
                if self.orphaned && !self.cancelled {
                    self.route(context);
                } else {
                    self.enter(State::StoodDown, context);
                }
            }
            // Of a command that does not matter any more.
            _ => {}
        }
    }

    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        if self.timeout().is_none_or(|until| until > context.now) {
            return;
        }
        match self.state {
            State::Approaching { .. } => {
                self.command(Command::EmptyReceiveQueues, context);
                self.enter(State::Clearing, context);
            }
            State::Held { .. } => self.confirm(context.now, context),
            State::Confirming { not_before, .. } => self.confirm(not_before, context),
            State::Answered { .. } => {
                self.command(Command::EmptyReceiveQueues, context);
                self.enter(State::Emptying, context);
            }
            _ => {}
        }
    }

    /// Sends the fence, for the first time or again.
    fn confirm(&mut self, not_before: Time, context: &mut Context<'_>) {
        let mut missing = FragmentRange::missing(self.fragments.iter().map(Option::is_some));
        missing.truncate(RANGES_MAX);
        context.counters.confirmations_sent += 1;
        context.outputs.push_back(Output::Confirm(Confirmation {
            name: self.name,
            mode: self.mode,
            missing,
        }));
        let next = context.now + context.config.repeat;
        self.enter(State::Confirming { next, not_before }, context);
    }

    /// Lets go of what is held, but for what P is known to have taken.
    fn release(&mut self, context: &mut Context<'_>) {
        let accepted = std::mem::take(&mut self.fragments);
        let accepted = accepted.into_iter().flatten().flatten().collect();
        self.command(Command::Release(accepted), context);
        self.enter(State::Releasing, context);
    }

    fn route(&mut self, context: &mut Context<'_>) {
        self.command(Command::SetVerdict(self.last_verdict), context);
        self.enter(State::Routing, context);
    }

    fn stand_down(&mut self, context: &mut Context<'_>) {
        let nothing_held = matches!(
            self.state,
            State::Waiting | State::Approaching { .. } | State::Clearing
        );
        if nothing_held || self.mode == Mode::Timer {
            self.enter(State::StoodDown, context);
        } else {
            self.command(Command::SetVerdict(Verdict::Discard), context);
            self.enter(State::StandingDown, context);
        }
    }

    fn command(&self, command: Command, context: &mut Context<'_>) {
        context.command(self.name, &self.conditions, command);
    }

    fn enter(&mut self, state: State, context: &mut Context<'_>) {
        let before = self.status();
        self.state = state;
        if self.status() != before {
            context
                .outputs
                .push_back(Output::Status(self.name, self.status()));
        }
    }
}
