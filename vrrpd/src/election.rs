//! Who is master: the state machine of RFC 9568 §6.4 and RFC 3768 §6.4, its timers, and its stall guard.
//! It knows priorities, addresses and time; octets, tracked conditions and whom to tell are the business of [`crate::VirtualRouter`].
//!
//! ```text
//!                      +---------------+
//!           +--------->|               |<-------------+
//!           |          |  Initialise   |              |
//!           |   +------|               |----------+   |
//!           |   |      +---------------+          |   |
//!  Shutdown |   | Startup,            Startup,    |   | Shutdown
//!           |   | priority 255   priority < 255   |   |
//!           |   V                                 V   |
//!   +---------------+  higher advertisement, +---------------+
//!   |               |  or stalled            |               |
//!   |    Master     |----------------------->|    Backup     |
//!   |               |<-----------------------|               |
//!   +---------------+       down timer       +---------------+
//! ```
//!
//! # Timers
//!
//! Exact to the nanosecond, never rounded:
//!
//! | | version 3 | version 2 |
//! |---|---|---|
//! | skew | (256 − priority) × interval ÷ 256 | (256 − priority) ÷ 256 s |
//! | down interval | 3 × interval + skew | 3 × interval + skew |
//! | interval | learned from the master; the configured one until then | configured |
//!
//! # Where the RFCs leave room
//!
//! - A master that hears a lower priority answers with an advertisement at once. RFC 9568 §6.4.3 asks for that;
//!   in version 2, where RFC 3768 only says to discard what was heard, it ends a double master sooner.
//! - Two routers of priority 255 are a mistake in somebody's configuration. The one with the lower address gives way, as
//!   among other equals (RFC 9568 §7.1 as corrected by erratum 8298).
//! - A master whose link fails can announce nothing. If the link is back within a down interval, others may still count on it, or on an
//!   advertisement that the link carries only now, and so it sends its priority 0 then.
//! - The preemption delay is keepalived's: it runs from the first advertisement heard of a lower master, which is heeded
//!   meanwhile, and ends when a master of at least this router's priority is heard.
//!
//! # The stall guard
//!
//! A down timer means something only if somebody listened while it ran: it expires when everything that arrived before its
//! end has been handed over, not before ([`Moment`]). Whoever drives this comes back at
//! least every half interval ([`poll_timeout`](crate::VirtualRouter::poll_timeout) asks for it), and each entry measures for how long nobody listened:
//!
//! - longer than an interval: in Backup, the time beyond that interval does not count towards the down timer; a Master
//!   says nothing until it hears again, or what it says in its sleep would overrule whoever took over;
//! - longer than the down interval: a Backup listens for a whole down interval anew, and a Master becomes a Backup
//!   that does so. It sends no priority 0, because it knows nothing to announce. If somebody took over meanwhile, the
//!   ordinary rules of preemption decide; if nobody did, it is master again one down interval later.

mod event;

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Duration;

pub(crate) use event::{Event, Heard, Parameters, Step, Timers};

use crate::output::{Cause, State, Transition};
use crate::time::{Moment, Time};
use crate::wire::{PRIORITY_OWNER, PRIORITY_STOP};

/// The state with what belongs to it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Initialise,
    Backup { down_at: Time, waiting: Waiting },
    Master { advertise_at: Time },
}

/// Why the down timer runs, hence why this router becomes master when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Nothing was heard since.
    Silence { since: Time },
    /// This master resigned.
    Resigned { master: IpAddr },
    /// This lower master is not heeded.
    Preempting { master: IpAddr, priority: u8 },
}

/// The election of one virtual router.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    parameters: Parameters,
    role: Role,
    /// `Active_Adver_Interval`: the master's interval as far as known.
    master_interval: Duration,
    /// The master heard last, with its priority.
    master: Option<(IpAddr, u8)>,
    /// When a lower master is heeded no more.
    preempt_at: Option<Time>,
    /// Up to when the driver has listened.
    heard_at: Time,
}

impl Election {
    pub(crate) fn new(parameters: Parameters, heard: Time) -> Election {
        Election {
            parameters,
            role: Role::Initialise,
            master_interval: parameters.interval,
            master: None,
            preempt_at: None,
            heard_at: heard,
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.role {
            Role::Initialise => State::Initialise,
            Role::Backup { .. } => State::Backup,
            Role::Master { .. } => State::Master,
        }
    }

    pub(crate) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The master as far as known, with its priority; this router itself if it is the one.
    pub(crate) fn master(&self) -> Option<(IpAddr, u8)> {
        match self.role {
            Role::Initialise => None,
            Role::Backup { .. } => self.master,
            Role::Master { .. } => Some((self.parameters.address, self.parameters.priority)),
        }
    }

    /// `Active_Adver_Interval`.
    pub(crate) fn master_interval(&self) -> Duration {
        self.master_interval
    }

    /// `Skew_Time`. At most 256 × 255 s before the division, far within range, and never zero.
    pub(crate) fn skew(&self) -> Duration {
        let unit = match self.parameters.timers {
            Timers::V2 => Duration::from_secs(1),
            Timers::V3 => self.master_interval,
        };
        unit * (256 - u32::from(self.parameters.priority)) / 256
    }

    /// `Active_Down_Interval`.
    pub(crate) fn down_interval(&self) -> Duration {
        3 * self.master_interval + self.skew()
    }

    /// When to come back at the latest: a timer is due, or presence must be shown.
    pub(crate) fn timeout(&self) -> Option<Time> {
        let due = match self.role {
            Role::Initialise => return None,
            Role::Backup { down_at, .. } => down_at,
            Role::Master { advertise_at } => advertise_at,
        };
        Some(due.min(self.heard_at + self.master_interval / 2))
    }

    /// Notes that the driver has listened up to `heard`. Returns the event that its absence before was, if it was one.
    pub(crate) fn observe(&mut self, heard: Time) -> Option<Event> {
        let away = heard.since(self.heard_at);
        self.heard_at = heard;
        (away > self.master_interval).then_some(Event::Away(away))
    }

    /// Takes up new parameters. The state stays; timers follow a changed interval at once.
    pub(crate) fn set_parameters(&mut self, now: Time, parameters: Parameters) {
        let interval_changed = parameters.interval != self.parameters.interval;
        self.parameters = parameters;
        if !interval_changed {
            return;
        }
        match &mut self.role {
            Role::Initialise => self.master_interval = parameters.interval,
            Role::Master { advertise_at } => {
                self.master_interval = parameters.interval;
                *advertise_at = (*advertise_at).min(now + parameters.interval);
            }
            // In version 3 what was learned from a master counts for more.
            Role::Backup { .. } if parameters.timers == Timers::V3 && self.master.is_some() => {}
            Role::Backup { .. } => {
                self.master_interval = parameters.interval;
                self.listen(now);
            }
        }
    }

    /// The state machine.
    pub(crate) fn step(&mut self, at: impl Into<Moment>, event: Event) -> Step {
        let at = at.into();
        let Moment { now, heard } = at;
        let priority = self.parameters.priority;
        let candidate = self.parameters.candidate;
        match (self.role, event) {
            (Role::Initialise, Event::Startup(cause))
                if priority == PRIORITY_OWNER && candidate =>
            {
                self.become_master(now, cause)
            }
            (Role::Initialise, Event::Startup(cause)) => self.become_backup(now, None, cause),
            (
                Role::Initialise,
                Event::Shutdown(_) | Event::Tick | Event::Advertisement(_) | Event::Away(_),
            ) => Step::default(),

            (Role::Backup { .. }, Event::Startup(_)) => Step::default(),
            (Role::Backup { .. }, Event::Shutdown(cause)) => self.shut_down(now, cause),
            (Role::Backup { down_at, .. }, Event::Tick) if down_at <= heard && !candidate => {
                let lost = self.master.map(|(master, _)| master);
                self.follow(None);
                self.listen(now);
                Step {
                    lost,
                    ..Step::default()
                }
            }
            (Role::Backup { down_at, waiting }, Event::Tick) if down_at <= heard => {
                let cause = self.cause_of_taking_over(now, waiting);
                self.become_master(now, cause)
            }
            (Role::Backup { .. }, Event::Tick) => Step::default(),
            (Role::Backup { down_at, .. }, Event::Advertisement(advertisement)) => {
                self.watch(now, down_at, advertisement);
                Step::default()
            }
            (Role::Backup { .. }, Event::Away(away)) if away > self.down_interval() => {
                self.listen(now);
                Step {
                    stalled: Some(away),
                    ..Step::default()
                }
            }
            (Role::Backup { down_at, waiting }, Event::Away(away)) => {
                let unheard = away.saturating_sub(self.master_interval);
                self.role = Role::Backup {
                    down_at: down_at + unheard,
                    waiting,
                };
                Step::default()
            }

            (Role::Master { .. }, Event::Startup(_)) => Step::default(),
            (Role::Master { .. }, Event::Shutdown(cause)) => Step {
                advertise: Some(PRIORITY_STOP),
                ..self.shut_down(now, cause)
            },
            (Role::Master { advertise_at }, Event::Tick)
                if advertise_at <= now && !self.is_deaf(at) =>
            {
                // Counted from when it was due, so that lateness does not add up; one that is missed is not made up for.
                let next = advertise_at + self.parameters.interval;
                self.advertise(if next > now {
                    next
                } else {
                    now + self.parameters.interval
                })
            }
            (Role::Master { .. }, Event::Tick) => Step::default(),
            (Role::Master { advertise_at }, Event::Advertisement(heard)) => match self.rank(&heard)
            {
                Ordering::Less if self.is_deaf(at) => Step::default(),
                _ if heard.priority == PRIORITY_STOP => {
                    self.advertise(now + self.parameters.interval)
                }
                Ordering::Greater => {
                    let cause = heard.cause_of_yielding(priority);
                    self.become_backup(now, Some(heard), cause)
                }
                // Asserts mastership; the next regular advertisement stays where it is.
                Ordering::Less => self.advertise(advertise_at),
                Ordering::Equal => Step::default(),
            },
            (Role::Master { .. }, Event::Away(away)) if away > self.down_interval() => {
                let step = self.become_backup(now, None, Cause::Stalled { away });
                Step {
                    stalled: Some(away),
                    ..step
                }
            }
            (Role::Master { .. }, Event::Away(_)) => Step::default(),
        }
    }

    /// Whether nobody has listened for so long that this router, if it is master, says nothing: what is heard now is old.
    fn is_deaf(&self, at: Moment) -> bool {
        at.now.since(at.heard) > self.master_interval
    }

    /// How the sender ranks against this router as master.
    fn rank(&self, heard: &Heard) -> Ordering {
        let own = &self.parameters;
        heard
            .priority
            .cmp(&own.priority)
            .then(heard.router.cmp(&own.address))
    }

    /// Whether a master of `priority` is to be ousted, now that one was heard.
    fn preempts(&mut self, now: Time, priority: u8) -> bool {
        let own = self.parameters;
        if priority >= own.priority || !own.candidate {
            self.preempt_at = None;
            return false;
        }
        if own.priority == PRIORITY_OWNER {
            return true;
        }
        own.preempt && *self.preempt_at.get_or_insert(now + own.preempt_delay) <= now
    }

    /// A backup hears an advertisement (RFC 9568 §6.4.2).
    fn watch(&mut self, now: Time, down_at: Time, heard: Heard) {
        let Heard {
            router: master,
            priority,
            ..
        } = heard;
        if priority == PRIORITY_STOP {
            let waiting = Waiting::Resigned { master };
            self.role = Role::Backup {
                down_at: now + self.skew(),
                waiting,
            };
        } else if self.preempts(now, priority) {
            let waiting = Waiting::Preempting { master, priority };
            self.role = Role::Backup { down_at, waiting };
            self.master = Some((master, priority));
        } else {
            self.follow(Some(heard));
            self.listen(now);
        }
    }

    /// Notes who is master, and in version 3 learns its interval.
    fn follow(&mut self, master: Option<Heard>) {
        self.master = master.map(|heard| (heard.router, heard.priority));
        self.master_interval = match (self.parameters.timers, master) {
            (Timers::V3, Some(heard)) => heard.interval,
            _ => self.parameters.interval,
        };
    }

    /// A backup starts its down timer over.
    fn listen(&mut self, now: Time) {
        self.role = Role::Backup {
            down_at: now + self.down_interval(),
            waiting: Waiting::Silence { since: now },
        };
    }

    fn cause_of_taking_over(&self, now: Time, waiting: Waiting) -> Cause {
        match waiting {
            Waiting::Silence { since } => Cause::MasterSilent {
                master: self.master.map(|(master, _)| master),
                silent_for: now.since(since),
            },
            Waiting::Resigned { master } => Cause::MasterResigned { master },
            Waiting::Preempting { master, priority } => {
                Cause::LowerPriorityMaster { master, priority }
            }
        }
    }

    /// Advertises now, and next at `next`.
    fn advertise(&mut self, next: Time) -> Step {
        self.role = Role::Master { advertise_at: next };
        Step {
            advertise: Some(self.parameters.priority),
            ..Step::default()
        }
    }

    fn become_master(&mut self, now: Time, cause: Cause) -> Step {
        let from = self.state();
        self.preempt_at = None;
        self.follow(None);
        let step = self.advertise(now + self.parameters.interval);
        Step {
            transition: Some(self.transition(now, from, cause)),
            ..step
        }
    }

    fn become_backup(&mut self, now: Time, master: Option<Heard>, cause: Cause) -> Step {
        let from = self.state();
        self.follow(master);
        self.listen(now);
        Step {
            transition: Some(self.transition(now, from, cause)),
            ..Step::default()
        }
    }

    fn shut_down(&mut self, now: Time, cause: Cause) -> Step {
        let from = self.state();
        self.preempt_at = None;
        self.follow(None);
        self.role = Role::Initialise;
        Step {
            transition: Some(self.transition(now, from, cause)),
            ..Step::default()
        }
    }

    fn transition(&self, now: Time, from: State, cause: Cause) -> Transition {
        Transition {
            at: now,
            from,
            to: self.state(),
            cause,
        }
    }
}

#[cfg(test)]
mod tests;
