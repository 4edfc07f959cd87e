//! What goes into an election, and what comes out of it.

use std::net::IpAddr;
use std::time::Duration;

use crate::output::{Cause, Transition};

/// What the election needs of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// Which version's timers.
    pub(crate) timers: Timers,
    /// This router's own address, which decides between equal priorities.
    pub(crate) address: IpAddr,
    /// The priority in force.
    pub(crate) priority: u8,
    /// The time between two advertisements of this router.
    pub(crate) interval: Duration,
    /// Whether a lower master is ousted.
    pub(crate) preempt: bool,
    /// How long it is tolerated first.
    pub(crate) preempt_delay: Duration,
    /// Whether this router may become master.
    pub(crate) candidate: bool,
}

/// How the versions differ in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timers {
    /// The skew is a part of a second, the interval is everybody's.
    V2,
    /// The skew is a part of the interval, which is the master's.
    V3,
}

/// What happens to an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Nothing stands in the way any more.
    Startup(Cause),
    /// Something does.
    Shutdown(Cause),
    /// Everything heard up to now was told; some timer may be due.
    Tick,
    /// A valid advertisement.
    Advertisement(Heard),
    /// Nobody listened for longer than an interval.
    Away(Duration),
}

/// What an advertisement said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// From whom.
    pub(crate) router: IpAddr,
    /// Its priority.
    pub(crate) priority: u8,
    /// Its interval.
    pub(crate) interval: Duration,
}

impl Heard {
    /// Why a master of `priority` yields to the sender.
    pub(super) fn cause_of_yielding(&self, priority: u8) -> Cause {
        let router = self.router;
        if self.priority > priority {
            Cause::HigherPriority {
                router,
                priority: self.priority,
            }
        } else {
            Cause::HigherAddress { router }
        }
    }
}

/// What follows from an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Send an advertisement of this priority.
    pub(crate) advertise: Option<u8>,
    /// The state changed.
    pub(crate) transition: Option<Transition>,
    /// Nobody listened for so long that listening starts anew.
    pub(crate) stalled: Option<Duration>,
    /// This master fell silent or resigned, and this router may not take its place.
    pub(crate) lost: Option<IpAddr>,
}
