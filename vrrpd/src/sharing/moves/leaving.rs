//! P's side of a move: record, withdraw at the fence, empty, answer. N's side is in `arriving`.

use std::sync::Arc;

use super::{Body, Command, Completion, Context, Output, Verdict};
use crate::Time;
use crate::sharing::names::{Condition, Mode, MoveName};
use crate::sharing::refusal::Refusal;
use crate::sharing::wire::{Accepted, Answer, AnswerStatus, Confirmation, MoveStatus};

/// A move away from this router.
///
/// ```text
/// queued ─► preparing ─► ready ─► fenced ─► emptying ─► withdrawing ─► draining ─► inspecting ─► answered
///    └──────────┴─ fence ─► early ─► kept
/// ```
///
/// From each of these but `answered` it is `kept` when this router has to give up.
///
/// In timer mode `ready` is the first state, and `withdrawing` is followed by `answered`.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    name: MoveName,
    mode: Mode,
    conditions: Arc<[Condition]>,
    state: State,
    /// The fragments of the answer, once there is one.
    answer: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Too many others are under way.
    Queued,
    /// Not every worker records yet.
    Preparing,
    /// Every worker records.
    Ready,
    /// The fence was heard; what was sent before it may still arrive until then.
    Fenced { until: Time },
    /// What arrived before the fence is taken.
    Emptying,
    /// The workers take up that the packets are not this router's.
    Withdrawing,
    /// What was accepted goes out.
    Draining { until: Time },
    /// What was accepted is collected.
    Inspecting,
    /// It is known, and told whenever asked.
    Answered,
    /// A fence was heard that should not have been sent: what N held before the recording would not be listed. So
    /// this move must not happen any more.
    Early { until: Time },
    /// This router keeps the conditions, and has told so.
    Kept,
}

/// Answers without a list.
pub(super) fn refuse(name: MoveName, mode: Mode, status: AnswerStatus, context: &mut Context<'_>) {
    let answer = Answer {
        name,
        mode,
        status,
        accepted: Vec::new(),
    };
    context.counters.answers_sent += 1;
    context.outputs.push_back(Output::Answer {
        fragments: 1,
        parts: vec![(0, answer)],
    });
}

impl Leaving {
    pub(super) fn new(name: MoveName, mode: Mode, conditions: Arc<[Condition]>) -> Leaving {
        Leaving {
            name,
            mode,
            conditions,
            state: State::Queued,
            answer: Vec::new(),
        }
    }

    pub(super) fn conditions(&self) -> &Arc<[Condition]> {
        &self.conditions
    }

    pub(super) fn is_queued(&self) -> bool {
        self.state == State::Queued
    }

    /// Whether it is one that has to wait for its turn.
    pub(super) fn needs_room(&self) -> bool {
        self.mode == Mode::Sequence
    }

    /// Whether it occupies rings and backlog.
    pub(super) fn is_active(&self) -> bool {
        let over = matches!(self.state, State::Queued | State::Answered | State::Kept);
        self.needs_room() && !over
    }

    pub(super) fn has_answered(&self) -> bool {
        self.state == State::Answered
    }

    pub(super) fn status(&self) -> MoveStatus {
        match self.state {
            State::Queued | State::Preparing | State::Early { .. } => MoveStatus::Preparing,
            State::Ready => MoveStatus::Ready,
            State::Fenced { .. }
            | State::Emptying
            | State::Withdrawing
            | State::Draining { .. }
            | State::Inspecting
            | State::Answered => MoveStatus::Withdrawn,
            State::Kept => MoveStatus::Kept,
        }
    }

    pub(super) fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Fenced { until } | State::Draining { until } | State::Early { until } => {
                Some(until)
            }
            _ => None,
        }
    }

    /// Its turn has come.
    pub(super) fn begin(&mut self, context: &mut Context<'_>) {
        match self.mode {
            Mode::Timer => self.enter(State::Ready, context),
            Mode::Sequence => {
                self.command(Command::StartRecording, context);
                self.enter(State::Preparing, context);
            }
        }
    }

    pub(super) fn confirmed(
        &mut self,
        confirmation: &Confirmation,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        if confirmation.mode != self.mode {
            return Err(Refusal::Move);
        }
        match self.state {
            State::Queued | State::Preparing => {
                context.counters.early_confirmations += 1;
                let until = context.now + context.config.hold_limit;
                self.enter(State::Early { until }, context);
                refuse(self.name, self.mode, AnswerStatus::StillRouting, context);
            }
            State::Early { .. } => {
                context.counters.early_confirmations += 1;
                refuse(self.name, self.mode, AnswerStatus::StillRouting, context);
            }
            State::Kept => refuse(self.name, self.mode, AnswerStatus::Kept, context),
            State::Ready => match self.mode {
                Mode::Timer => self.withdraw(context),
                Mode::Sequence => {
                    let until = context.now + context.config.skew;
                    self.enter(State::Fenced { until }, context);
                }
            },
            State::Answered => self.answer(confirmation, context),
            State::Fenced { .. }
            | State::Emptying
            | State::Withdrawing
            | State::Draining { .. }
            | State::Inspecting => {}
        }
        Ok(())
    }

    pub(super) fn completed(&mut self, completion: Completion, context: &mut Context<'_>) {
        match (self.state, completion) {
            (State::Preparing, Completion::Recording) => self.enter(State::Ready, context),
            (State::Emptying, Completion::QueuesEmptied) => self.withdraw(context),
            (State::Withdrawing, Completion::VerdictSet(Verdict::Discard)) => match self.mode {
                Mode::Timer => self.conclude(Vec::new(), context),
                Mode::Sequence => {
                    self.command(Command::DrainBacklog, context);
                    let until = context.now + context.config.drain_limit;
                    self.enter(State::Draining { until }, context);
                }
            },
            (State::Draining { .. }, Completion::Drained) => self.inspect(context),
            (State::Inspecting, Completion::Inspected(accepted)) => {
                self.conclude(accepted, context);
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
            State::Fenced { .. } => {
                self.command(Command::EmptyReceiveQueues, context);
                self.enter(State::Emptying, context);
            }
            State::Draining { .. } => {
                context.counters.drain_timeouts += 1;
                self.inspect(context);
            }
            State::Early { .. } => {
                self.command(Command::StopRecording, context);
                self.enter(State::Kept, context);
                refuse(self.name, self.mode, AnswerStatus::Kept, context);
            }
            _ => {}
        }
    }

    /// This router routes nothing for now, and lets the move never happen unless it has answered.
    pub(super) fn give_up(&mut self, context: &mut Context<'_>) {
        if self.is_active() {
            self.command(Command::StopRecording, context);
        }
        self.command(Command::SetVerdict(Verdict::Discard), context);
        if self.state != State::Answered {
            self.enter(State::Kept, context);
        }
    }

    /// The conditions are this router's again, or another's than N's.
    pub(super) fn cancelled(self, in_charge: bool, context: &mut Context<'_>) {
        if self.is_active() {
            self.command(Command::StopRecording, context);
        }
        let verdict = if in_charge {
            Verdict::Route
        } else {
            Verdict::Discard
        };
        self.command(Command::SetVerdict(verdict), context);
    }

    fn withdraw(&mut self, context: &mut Context<'_>) {
        self.command(Command::SetVerdict(Verdict::Discard), context);
        self.enter(State::Withdrawing, context);
    }

    fn inspect(&mut self, context: &mut Context<'_>) {
        self.command(Command::Inspect, context);
        self.enter(State::Inspecting, context);
    }

    /// The answer is known: from now on it is the same for everyone who asks.
    fn conclude(&mut self, accepted: Vec<Accepted>, context: &mut Context<'_>) {
        let answer = Body::Answer(Answer {
            name: self.name,
            mode: self.mode,
            status: AnswerStatus::Withdrawn,
            accepted,
        });
        self.answer = answer
            .split(context.family, context.config.message_len_max)
            .into_iter()
            .filter_map(|body| match body {
                Body::Answer(answer) => Some(answer),
                _ => None,
            })
            .collect();
        context.counters.given += 1;
        self.enter(State::Answered, context);
        let all = Confirmation {
            name: self.name,
            mode: self.mode,
            missing: Vec::new(),
        };
        self.answer(&all, context);
    }

    fn answer(&self, confirmation: &Confirmation, context: &mut Context<'_>) {
        let wanted = |number: u16| {
            let mut missing = confirmation.missing.iter();
            confirmation.missing.is_empty()
                || missing.any(|range| (range.first..=range.last).contains(&number))
        };
        let parts = (0..=u16::MAX)
            .zip(&self.answer)
            .filter(|(number, _)| wanted(*number))
            .map(|(number, answer)| (number, answer.clone()))
            .collect();
        context.counters.answers_sent += 1;
        context.outputs.push_back(Output::Answer {
            fragments: u16::try_from(self.answer.len()).unwrap_or(u16::MAX),
            parts,
        });
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
