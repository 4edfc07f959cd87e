//! What was lost, doubled and reordered, by the cause in whose time it was sent, and what of it nothing excuses. Pure: knows neither routers nor sockets.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{AFTERWARDS, BOUND, INTERVAL, SKEW};
use crate::stalls::{Stall, Stalled, stood_still};

/// How near to a stall a packet is that it may have met.
const NEAR: Duration = Duration::from_millis(50);

/// What happens to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The first packets: neighbours are not known yet.
    WarmUp,
    /// Nothing.
    Nothing,
    /// Moves that were ordered.
    Moves,
    /// A router that was asked to stop.
    Stop,
    /// A router that starts.
    Start,
    /// A reload with another weight.
    Reload,
    /// Frames that no honest machine sends.
    Hostile,
    /// A router that was killed.
    Kill,
    /// A router whose cable to the end systems was pulled.
    Flap,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WarmUp => "warm-up",
            Self::Nothing => "nothing",
            Self::Moves => "moves",
            Self::Stop => "a polite stop",
            Self::Start => "a start",
            Self::Reload => "a reload",
            Self::Hostile => "hostile frames",
            Self::Kill => "a kill",
            Self::Flap => "a cable pulled",
        })
    }
}

/// The time in which a cause has its effect: from its beginning to the next one's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) cause: Cause,
    pub(super) from: Duration,
    /// Up to when it excuses what happens to packets, if it excuses anything.
    pub(super) rough_until: Option<Duration>,
    /// For how long it may block an end system.
    pub(super) bound: Option<Duration>,
}

/// Packets of an end system, one behind the other, none of which arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) host: u8,
    pub(super) packets: u64,
    /// When the first of them was sent, and when another was due behind the last: so long at least there was no service.
    pub(super) from: Duration,
    pub(super) until: Duration,
}

/// What became of packets in the windows of one cause.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tolls {
    /// How often it came about.
    pub times: u64,
    /// Packets that never arrived.
    pub lost: u64,
    /// Arrivals beyond a packet's first.
    pub duplicated: u64,
    /// Arrivals after that of a packet sent later.
    pub reordered: u64,
    /// For how long one end system was without service, at most, in ms.
    pub blocked_ms: f64,
    /// How many times an end system was blocked for longer than the bound.
    pub beyond_bound: u64,
    /// Of all this, events that a stall of the machine excuses.
    pub stalled: u64,
}

/// Something that happened to a packet, before it is judged.
#[derive(Clone, Copy, Debug)]
enum Found {
    Lost(Gap),
    Duplicated { host: u8, at: Duration },
    Reordered { host: u8, at: Duration },
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Account {
    windows: Vec<Window>,
    found: Vec<Found>,
    pub(super) by_cause: BTreeMap<Cause, Tolls>,
    pub(super) sent: u64,
    pub(super) moves: u64,
    pub(super) moves_refused: u64,
    pub(super) hostile_frames: u64,
    /// The longest time that the routers took to have one table again.
    pub(super) longest_until_agreed: Duration,
    /// What should not have happened, in words.
    pub(super) wrong: Vec<String>,
}

impl Account {
    pub(super) fn begin(&mut self, window: Window) {
        self.by_cause.entry(window.cause).or_default().times += 1;
        self.windows.push(window);
    }

    /// The fault that came last excuses nothing from now on.
    pub(super) fn end_rough(&mut self, at: Duration) {
        if let Some(window) = self.windows.last_mut() {
            window.rough_until = window.rough_until.map(|until| until.min(at));
        }
    }

    pub(super) fn lost(&mut self, gap: Gap) {
        self.found.push(Found::Lost(gap));
    }

    pub(super) fn duplicated(&mut self, host: u8, at: Duration) {
        self.found.push(Found::Duplicated { host, at });
    }

    pub(super) fn reordered(&mut self, host: u8, at: Duration) {
        self.found.push(Found::Reordered { host, at });
    }

    /// The window that a moment is in.
    fn window(&self, at: Duration) -> Option<Window> {
        let windows = self.windows.iter().rev();
        windows.copied().find(|window| window.from <= at)
    }

    /// Adds up what was found since the last call; returns what nothing excuses, in words.
    pub(super) fn judge(&mut self, stalls: &[Stall]) -> Vec<String> {
        let mut wrong = Vec::new();
        for found in std::mem::take(&mut self.found) {
            let (host, from, until) = match found {
                Found::Lost(gap) => (gap.host, gap.from, gap.until),
                Found::Duplicated { host, at } | Found::Reordered { host, at } => (host, at, at),
            };
            let Some(window) = self.window(from) else {
                continue;
            };
            let excused = window.rough_until.is_some_and(|rough| from <= rough);
            let blocked = until.saturating_sub(from);
            let mut is_wrong = !excused && !met_a_stall(stalls, from, until);
            let tolls = self.by_cause.entry(window.cause).or_default();
            tolls.stalled += u64::from(!excused && !is_wrong);
            match found {
                Found::Lost(gap) => {
                    tolls.lost += gap.packets;
                    tolls.blocked_ms = tolls.blocked_ms.max(blocked.as_secs_f64() * 1e3);
                    let beyond = window.bound.map(|bound| blocked.saturating_sub(bound));
                    if let Some(beyond) = beyond.filter(|beyond| !beyond.is_zero()) {
                        tolls.beyond_bound += 1;
                        let stood = stood_still(stalls, from, until) >= beyond;
                        tolls.stalled += u64::from(stood && excused);
                        is_wrong |= !stood;
                    }
                }
                Found::Duplicated { .. } => tolls.duplicated += 1,
                Found::Reordered { .. } => tolls.reordered += 1,
            }
            if is_wrong {
                let what = match found {
                    Found::Lost(gap) => format!("{} packets lost", gap.packets),
                    Found::Duplicated { .. } => "a packet duplicated".to_owned(),
                    Found::Reordered { .. } => "a packet reordered".to_owned(),
                };
                wrong.push(format!(
                    "{what} of h{}, sent from {:.3} s on, blocked for {:.0} ms, in the time of {} that began at {:.3} s",
                    host + 1,
                    from.as_secs_f64(),
                    blocked.as_secs_f64() * 1e3,
                    window.cause,
                    window.from.as_secs_f64()
                ));
            }
        }
        wrong
    }
}

/// Whether a packet, or one of several, may have met a stall: a processor's that was longer than `skew` while it was under way, or any so long that a router may
/// have been taken for faulty. That a router's thread is late may delay packets, and nothing else.
fn met_a_stall(stalls: &[Stall], from: Duration, until: Duration) -> bool {
    stalls.iter().any(|stall| {
        let lasts = match stall.length() {
            length if length >= INTERVAL => BOUND + AFTERWARDS,
            length if length >= SKEW && stall.of == Stalled::Processor => NEAR,
            _ => return false,
        };
        stall.from <= until + NEAR && from <= stall.until + lasts
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn account() -> Account {
        let mut account = Account::default();
        let planned = |cause, from| Window {
            cause,
            from,
            rough_until: None,
            bound: None,
        };
        account.begin(planned(Cause::Moves, ms(0)));
        account.begin(Window {
            cause: Cause::Kill,
            from: ms(1000),
            rough_until: Some(Duration::MAX),
            bound: Some(BOUND),
        });
        account.end_rough(ms(2000));
        account.begin(planned(Cause::Start, ms(3000)));
        account
    }

    fn gap(from: u64, until: u64) -> Gap {
        Gap {
            host: 0,
            packets: 2,
            from: ms(from),
            until: ms(until),
        }
    }

    #[test]
    fn a_fault_excuses_losses_up_to_its_bound_and_duplicates_and_ends() {
        let mut account = account();
        account.lost(gap(1010, 1350));
        account.duplicated(0, ms(1500));
        assert_eq!(account.judge(&[]), Vec::<String>::new());
        let tolls = account.by_cause[&Cause::Kill];
        assert_eq!(
            (tolls.lost, tolls.duplicated, tolls.beyond_bound),
            (2, 1, 0)
        );
        account.lost(gap(1010, 1500));
        account.lost(gap(2500, 2510));
        account.duplicated(0, ms(2600));
        assert_eq!(account.judge(&[]).len(), 3);
    }

    #[test]
    fn what_is_planned_excuses_nothing() {
        let mut account = account();
        account.lost(gap(10, 15));
        account.duplicated(0, ms(20));
        account.reordered(0, ms(3100));
        assert_eq!(account.judge(&[]).len(), 3);
        assert_eq!(account.by_cause[&Cause::Moves].lost, 2);
        assert_eq!(account.by_cause[&Cause::Start].reordered, 1);
    }

    #[test]
    fn a_stall_excuses_what_is_near_it_and_as_much_more_blocking_as_it_is_long() {
        let of_thread = |from, until| Stall {
            of: Stalled::Router,
            from: ms(from),
            until: ms(until),
        };
        let stall = |from, until| Stall {
            of: Stalled::Processor,
            ..of_thread(from, until)
        };
        let mut account = account();
        account.lost(gap(500, 505));
        assert_eq!(account.judge(&[stall(480, 490)]).len(), 0);
        account.lost(gap(500, 505));
        assert_eq!(account.judge(&[of_thread(480, 490)]).len(), 1);
        account.lost(gap(500, 505));
        assert_eq!(account.judge(&[stall(480, 483)]).len(), 1, "too short");
        account.lost(gap(700, 705));
        assert_eq!(account.judge(&[stall(480, 490)]).len(), 1, "too long ago");
        account.duplicated(0, ms(900));
        assert_eq!(account.judge(&[stall(300, 600)]).len(), 0, "a false alarm");
        account.lost(gap(1010, 1010 + 480));
        assert_eq!(account.judge(&[of_thread(1100, 1200)]).len(), 0);
        account.lost(gap(1010, 1010 + 481));
        assert_eq!(account.judge(&[stall(1100, 1200)]).len(), 1);
    }
}
