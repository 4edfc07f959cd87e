//! P's control thread: `Leaving` in `vrrpd/src/sharing/moves/leaving.rs`.

use vrrpd::sharing::moves::Verdict;

use super::port::{Command, Port};
use super::{Planted, Settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// No order was heard.
    Idle,
    Preparing,
    Ready,
    /// Until what the host had sent by then is everywhere.
    Fenced(u8),
    Emptying,
    Withdrawing,
    Draining,
    Inspecting,
    Answered,
    Early,
    Kept,
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Giver {
    pub(super) phase: Phase,
    /// The newest allocation that is here.
    pub(super) installed: u8,
}

impl Giver {
    pub(super) const fn new() -> Giver {
        Giver {
            phase: Phase::Idle,
            installed: 0,
        }
    }

    /// [`Moves::order`](vrrpd::sharing::moves::Moves::order), with its turn come at once.
    pub(super) fn order(&mut self, port: &mut Port) {
        port.command(Command::StartRecording);
        self.phase = Phase::Preparing;
    }

    /// Whether [`completed`](Giver::completed) would do anything.
    pub(super) fn awaits(&self) -> bool {
        matches!(
            self.phase,
            Phase::Preparing
                | Phase::Emptying
                | Phase::Withdrawing
                | Phase::Draining
                | Phase::Inspecting
        )
    }

    /// [`Moves::completed`](vrrpd::sharing::moves::Moves::completed).
    pub(super) fn completed(&mut self, port: &mut Port, settings: &Settings) {
        self.phase = match self.phase {
            Phase::Preparing if settings.is_planted(Planted::WithdrawWithoutFence) => {
                self.withdraw(port, settings)
            }
            Phase::Preparing => Phase::Ready,
            Phase::Emptying => self.withdraw(port, settings),
            Phase::Withdrawing if settings.is_planted(Planted::NoDrain) => {
                port.command(Command::Inspect);
                Phase::Inspecting
            }
            Phase::Withdrawing => {
                port.command(Command::DrainBacklog);
                Phase::Draining
            }
            Phase::Draining => {
                port.command(Command::Inspect);
                Phase::Inspecting
            }
            Phase::Inspecting => Phase::Answered,
            phase => phase,
        };
    }

    fn withdraw(&self, port: &mut Port, settings: &Settings) -> Phase {
        if settings.is_planted(Planted::InspectBeforeWithdrawal) {
            port.command(Command::Inspect);
        }
        port.command(Command::SetVerdict(Verdict::Discard));
        if settings.is_planted(Planted::DropBacklogOfP) {
            for worker in &mut port.workers {
                worker.backlog.clear();
            }
        }
        Phase::Withdrawing
    }

    /// Whether [`confirmed`](Giver::confirmed) would do anything.
    pub(super) fn heeds_fence(&self) -> bool {
        matches!(self.phase, Phase::Preparing | Phase::Ready)
    }

    /// [`Moves::confirmed`](vrrpd::sharing::moves::Moves::confirmed).
    pub(super) fn confirmed(&mut self, sent: u8, settings: &Settings) {
        self.phase = match self.phase {
            Phase::Preparing => Phase::Early,
            Phase::Ready if settings.skips_skew(Planted::NoSkewBeforeWithdrawal) => {
                Phase::Fenced(0)
            }
            Phase::Ready => Phase::Fenced(sent),
            phase => phase,
        };
    }

    /// [`Moves::tick`](vrrpd::sharing::moves::Moves::tick): `skew` is over, or `hold-limit`.
    pub(super) fn tick(&mut self, port: &mut Port, settings: &Settings) {
        self.phase = match self.phase {
            Phase::Fenced(_) if settings.is_planted(Planted::NoEmptyQueueBeforeWithdrawal) => {
                self.withdraw(port, settings)
            }
            Phase::Fenced(_) => {
                port.command(Command::EmptyReceiveQueues);
                Phase::Emptying
            }
            Phase::Early => {
                port.command(Command::StopRecording);
                Phase::Kept
            }
            phase => phase,
        };
    }

    /// [`Moves::reported`](vrrpd::sharing::moves::Moves::reported), that N has stood down.
    pub(super) fn heard_stood_down(&mut self) {
        if self.phase == Phase::Kept {
            self.phase = Phase::Over;
        }
    }

    /// [`Moves::conclude`](vrrpd::sharing::moves::Moves::conclude), also by N's report that it is finished.
    pub(super) fn conclude(&mut self, port: &mut Port) {
        match self.phase {
            Phase::Answered => self.phase = Phase::Over,
            Phase::Idle | Phase::Over => {}
            _ => self.cancel(port, false),
        }
    }

    /// [`Moves::cancel`](vrrpd::sharing::moves::Moves::cancel).
    pub(super) fn cancel(&mut self, port: &mut Port, in_charge: bool) {
        let records = !matches!(
            self.phase,
            Phase::Idle | Phase::Answered | Phase::Kept | Phase::Over
        );
        if records {
            port.command(Command::StopRecording);
        }
        port.command(Command::SetVerdict(if in_charge {
            Verdict::Route
        } else {
            Verdict::Discard
        }));
        self.phase = Phase::Over;
    }
}
