//! N's control thread: `Arriving` in `vrrpd/src/sharing/moves/arriving.rs`.

use vrrpd::sharing::moves::Verdict;

use super::port::{Command, Frames, Port};
use super::{Planted, Settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// No order was heard.
    Idle,
    Waiting,
    /// Until what the host had sent by then is everywhere.
    Approaching(u8),
    Clearing,
    Settling,
    Held(u8),
    Confirming,
    Answered(u8),
    Emptying,
    Releasing,
    Routing,
    Finished,
    StandingDown,
    Dropping,
    StoodDown,
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Taker {
    pub(super) phase: Phase,
    orphaned: bool,
    pub(super) cancelled: bool,
    last_verdict: Verdict,
    list: Frames,
    /// The newest allocation that is here.
    pub(super) installed: u8,
}

impl Taker {
    pub(super) const fn new() -> Taker {
        Taker {
            phase: Phase::Idle,
            orphaned: false,
            cancelled: false,
            last_verdict: Verdict::Route,
            list: 0,
            installed: 0,
        }
    }

    /// [`Moves::order`](vrrpd::sharing::moves::Moves::order).
    pub(super) fn order(&mut self) {
        self.phase = Phase::Waiting;
    }

    /// [`Moves::reported`](vrrpd::sharing::moves::Moves::reported), that P is ready, with room to hold.
    pub(super) fn heard_ready(&mut self, sent: u8, settings: &Settings) {
        if self.phase == Phase::Waiting {
            let sent = if settings.is_planted(Planted::NoSkewBeforeHold) {
                0
            } else {
                sent
            };
            self.phase = Phase::Approaching(sent);
        }
    }

    /// [`Moves::reported`](vrrpd::sharing::moves::Moves::reported) or
    /// [`Moves::answered`](vrrpd::sharing::moves::Moves::answered), that P keeps the condition.
    pub(super) fn kept(&mut self, port: &mut Port) {
        if self.can_stand_down() {
            self.stand_down(port);
        }
    }

    pub(super) fn can_stand_down(&self) -> bool {
        matches!(
            self.phase,
            Phase::Waiting
                | Phase::Approaching(_)
                | Phase::Clearing
                | Phase::Settling
                | Phase::Held(_)
                | Phase::Confirming
        )
    }

    /// [`Moves::answered`](vrrpd::sharing::moves::Moves::answered), with the whole of P's list.
    pub(super) fn answered(&mut self, list: Frames, sent: u8, settings: &Settings) {
        self.list = list;
        let sent = if settings.is_planted(Planted::NoSkewBeforeRelease) {
            0
        } else {
            sent
        };
        self.phase = Phase::Answered(sent);
    }

    /// Whether [`lost`](Taker::lost) would do anything.
    pub(super) fn heeds_loss(&self) -> bool {
        let waits = matches!(
            self.phase,
            Phase::Waiting
                | Phase::Approaching(_)
                | Phase::Clearing
                | Phase::StoodDown
                | Phase::Held(_)
                | Phase::Confirming
        );
        let busy = matches!(
            self.phase,
            Phase::Settling | Phase::StandingDown | Phase::Dropping
        );
        waits || busy && !self.orphaned
    }

    /// [`Moves::lost`](vrrpd::sharing::moves::Moves::lost): P is.
    pub(super) fn lost(&mut self, port: &mut Port, settings: &Settings) {
        match self.phase {
            Phase::Waiting | Phase::Approaching(_) | Phase::Clearing | Phase::StoodDown => {
                self.route(port);
            }
            Phase::Settling | Phase::StandingDown | Phase::Dropping => self.orphaned = true,
            Phase::Held(_) | Phase::Confirming
                if settings.is_planted(Planted::ForgetWhatIsHeld) =>
            {
                self.route(port);
            }
            Phase::Held(_) | Phase::Confirming => self.release(port, settings),
            _ => {}
        }
    }

    /// Whether [`completed`](Taker::completed) would do anything.
    pub(super) fn awaits(&self) -> bool {
        matches!(
            self.phase,
            Phase::Clearing
                | Phase::Settling
                | Phase::Emptying
                | Phase::Releasing
                | Phase::Routing
                | Phase::StandingDown
                | Phase::Dropping
        )
    }

    /// [`Moves::completed`](vrrpd::sharing::moves::Moves::completed).
    pub(super) fn completed(&mut self, port: &mut Port, sent: u8, settings: &Settings) {
        match self.phase {
            Phase::Clearing => self.hold(port, settings),
            Phase::Settling if self.orphaned => self.release(port, settings),
            Phase::Settling if settings.skips_skew(Planted::NoSkewBeforeFence) => {
                self.phase = Phase::Held(0);
            }
            Phase::Settling => self.phase = Phase::Held(sent),
            Phase::Emptying => self.release(port, settings),
            Phase::Releasing => self.route(port),
            Phase::Routing => self.phase = Phase::Finished,
            Phase::StandingDown => {
                port.command(Command::DropBacklog);
                self.phase = Phase::Dropping;
            }
            Phase::Dropping if self.orphaned && !self.cancelled => self.route(port),
            Phase::Dropping => self.phase = Phase::StoodDown,
            _ => {}
        }
        self.forget();
    }

    /// [`Moves::tick`](vrrpd::sharing::moves::Moves::tick): `skew` is over.
    pub(super) fn tick(&mut self, port: &mut Port, settings: &Settings) {
        match self.phase {
            Phase::Approaching(_) if settings.is_planted(Planted::NoEmptyQueueBeforeHold) => {
                self.hold(port, settings);
            }
            Phase::Approaching(_) => {
                port.command(Command::EmptyReceiveQueues);
                self.phase = Phase::Clearing;
            }
            Phase::Held(_) => self.phase = Phase::Confirming,
            Phase::Answered(_) if settings.is_planted(Planted::NoEmptyQueueBeforeRelease) => {
                self.release(port, settings);
            }
            Phase::Answered(_) => {
                port.command(Command::EmptyReceiveQueues);
                self.phase = Phase::Emptying;
            }
            _ => {}
        }
    }

    /// [`Moves::conclude`](vrrpd::sharing::moves::Moves::conclude).
    pub(super) fn conclude(&mut self, port: &mut Port, settings: &Settings) {
        match self.phase {
            Phase::Finished => self.phase = Phase::Over,
            _ => self.lost(port, settings),
        }
    }

    /// [`Moves::cancel`](vrrpd::sharing::moves::Moves::cancel), P being in charge.
    pub(super) fn cancel(&mut self, port: &mut Port) {
        match self.phase {
            Phase::Idle | Phase::Finished | Phase::Over => {
                port.command(Command::SetVerdict(Verdict::Discard));
                self.phase = Phase::Over;
                return;
            }
            _ => self.cancelled = true,
        }
        match self.phase {
            _ if self.can_stand_down() => self.stand_down(port),
            Phase::Answered(_) | Phase::Emptying | Phase::Releasing => {
                self.last_verdict = Verdict::Discard;
            }
            Phase::Routing => {
                self.last_verdict = Verdict::Discard;
                self.route(port);
            }
            _ => {}
        }
        self.forget();
    }

    /// What is abandoned is forgotten.
    fn forget(&mut self) {
        if self.cancelled && matches!(self.phase, Phase::Finished | Phase::StoodDown) {
            self.phase = Phase::Over;
        }
    }

    fn hold(&mut self, port: &mut Port, settings: &Settings) {
        port.command(Command::SetVerdict(Verdict::Hold));
        self.phase = if settings.is_planted(Planted::FenceBeforeHold) {
            Phase::Confirming
        } else {
            Phase::Settling
        };
    }

    fn release(&mut self, port: &mut Port, settings: &Settings) {
        if settings.is_planted(Planted::RouteBeforeRelease) {
            port.command(Command::SetVerdict(Verdict::Route));
        }
        let list = if settings.is_planted(Planted::ReleaseWithoutList) {
            0
        } else {
            self.list
        };
        port.command(Command::Release(list));
        self.phase = Phase::Releasing;
    }

    fn route(&mut self, port: &mut Port) {
        port.command(Command::SetVerdict(self.last_verdict));
        self.phase = Phase::Routing;
    }

    fn stand_down(&mut self, port: &mut Port) {
        let nothing_held = matches!(
            self.phase,
            Phase::Waiting | Phase::Approaching(_) | Phase::Clearing
        );
        if nothing_held {
            self.phase = Phase::StoodDown;
        } else {
            port.command(Command::SetVerdict(Verdict::Discard));
            self.phase = Phase::StandingDown;
        }
    }
}
