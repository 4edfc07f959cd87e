//! Addresses that must answer echo requests: when each is asked, and what its answers and silences mean. What follows for
//! a priority is the business of [`vrrpd`]; how an echo request is sent is the host's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use vrrpd::Time;

/// An address that must answer, and how it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressWatch {
    /// The address.
    pub address: Ipv4Addr,
    /// The time from one request to the next; a request not answered until the next is missed.
    pub interval: Duration,
    /// How many missed requests in a row make it fail.
    pub fall: u8,
    /// How many answers in a row make it hold again. The first answer of all is enough.
    pub rise: u8,
}

/// An echo request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Who is asked.
    pub to: Ipv4Addr,
    /// The ICMP identifier.
    pub identifier: u16,
    /// The ICMP sequence number.
    pub sequence: u16,
}

/// A watched address of which something new is known: whether it holds.
pub(super) type Verdict = (AddressWatch, bool);

/// All watched addresses. One that several virtual routers watch in the same way is asked once.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    probes: BTreeMap<AddressWatch, Probe>,
    next_identifier: u16,
}

#[derive(Debug)]
struct Probe {
    identifier: u16,
    sequence: u16,
    /// When the next request is due.
    due: Time,
    /// The request under way.
    request: Request,
    missed: u8,
    answered: u8,
    holds: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    None,
    Open,
    Answered,
}

impl Tracker {
    /// These are watched from now on; what is known of those that stay is kept.
    pub(super) fn set(&mut self, now: Time, watches: &BTreeSet<AddressWatch>) {
        self.probes.retain(|watch, _| watches.contains(watch));
        for watch in watches {
            let identifier = &mut self.next_identifier;
            self.probes.entry(*watch).or_insert_with(|| {
                *identifier = identifier.wrapping_add(1);
                Probe {
                    identifier: *identifier,
                    sequence: 0,
                    due: now,
                    request: Request::None,
                    missed: 0,
                    answered: 0,
                    holds: None,
                }
            });
        }
    }

    /// Whether the address holds, as far as known.
    pub(super) fn holds(&self, watch: &AddressWatch) -> Option<bool> {
        self.probes.get(watch)?.holds
    }

    /// When [`Tracker::tick`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.probes.values().map(|probe| probe.due).min()
    }

    /// Asks whom it is time to ask. A loop that was away has missed one answer at most, not as many as the time would say.
    pub(super) fn tick(&mut self, now: Time) -> Vec<(Ping, Option<Verdict>)> {
        let due = self.probes.iter_mut().filter(|(_, probe)| probe.due <= now);
        due.map(|(watch, probe)| {
            let verdict = probe.closed(watch).map(|holds| (*watch, holds));
            probe.sequence = probe.sequence.wrapping_add(1);
            probe.request = Request::Open;
            probe.due = now + watch.interval;
            let ping = Ping {
                to: watch.address,
                identifier: probe.identifier,
                sequence: probe.sequence,
            };
            (ping, verdict)
        })
        .collect()
    }

    /// Takes an echo reply to whatever was asked; only one to the request under way counts, once.
    pub(super) fn on_reply(&mut self, reply: Ping) -> Option<Verdict> {
        let (watch, probe) = self.probes.iter_mut().find(|(watch, probe)| {
            watch.address == reply.to
                && probe.identifier == reply.identifier
                && probe.sequence == reply.sequence
                && probe.request == Request::Open
        })?;
        probe.request = Request::Answered;
        probe.missed = 0;
        probe.answered = probe.answered.saturating_add(1);
        let holds = probe.holds.is_none() || probe.answered >= watch.rise;
        (holds && probe.note(true)).then_some((*watch, true))
    }
}

impl Probe {
    /// The time of the request under way is over; what is new then.
    fn closed(&mut self, watch: &AddressWatch) -> Option<bool> {
        if self.request != Request::Open {
            return None;
        }
        self.answered = 0;
        self.missed = self.missed.saturating_add(1);
        (self.missed >= watch.fall && self.note(false)).then_some(false)
    }

    /// Notes a verdict; whether it is new.
    fn note(&mut self, holds: bool) -> bool {
        self.holds.replace(holds) != Some(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: AddressWatch = AddressWatch {
        address: Ipv4Addr::new(198, 51, 100, 9),
        interval: Duration::from_secs(1),
        fall: 3,
        rise: 2,
    };

    fn second(second: u64) -> Time {
        Time::ZERO + Duration::from_secs(second)
    }

    fn watching() -> Tracker {
        let mut tracker = Tracker::default();
        tracker.set(Time::ZERO, &BTreeSet::from([WATCH]));
        tracker
    }

    /// One request at `now`, answered or not; what was new.
    fn asked(tracker: &mut Tracker, now: Time, answered: bool) -> Vec<bool> {
        let [(ping, closed)] = tracker.tick(now)[..] else {
            panic!("one request a second");
        };
        let reply = answered.then(|| tracker.on_reply(ping)).flatten();
        [closed, reply]
            .into_iter()
            .flatten()
            .map(|(_, holds)| holds)
            .collect()
    }

    #[test]
    fn silence_fails_an_address_after_fall_requests_and_answers_mend_it_after_rise() {
        let mut tracker = watching();
        let answers = [
            true, false, false, true, false, false, false, false, true, true, true,
        ];
        let news: Vec<_> = answers
            .iter()
            .enumerate()
            .map(|(at, answered)| asked(&mut tracker, second(at as u64), *answered))
            .collect();
        let mut expected = vec![vec![]; answers.len()];
        expected[0] = vec![true];
        expected[7] = vec![false];
        expected[9] = vec![true];
        assert_eq!(news, expected);
        assert_eq!(tracker.holds(&WATCH), Some(true));
    }

    #[test]
    fn only_an_answer_to_the_request_under_way_counts() {
        let mut tracker = watching();
        let (first, _) = tracker.tick(second(0))[0];
        let (ping, _) = tracker.tick(second(1))[0];
        for wrong in [
            first,
            Ping {
                to: Ipv4Addr::LOCALHOST,
                ..ping
            },
            Ping {
                identifier: ping.identifier + 1,
                ..ping
            },
        ] {
            assert_eq!(tracker.on_reply(wrong), None);
        }
        assert_eq!(tracker.on_reply(ping), Some((WATCH, true)));
        assert_eq!(tracker.on_reply(ping), None);
    }

    #[test]
    fn a_loop_that_was_away_has_missed_one_answer() {
        let mut tracker = watching();
        asked(&mut tracker, second(0), true);
        asked(&mut tracker, second(1), false);
        assert_eq!(
            asked(&mut tracker, second(60), false),
            Vec::<bool>::default()
        );
        assert_eq!(tracker.poll_timeout(), Some(second(61)));
        assert_eq!(tracker.holds(&WATCH), Some(true));
    }

    #[test]
    fn a_reload_keeps_what_is_known() {
        let mut tracker = watching();
        asked(&mut tracker, second(0), true);
        let other = AddressWatch { fall: 1, ..WATCH };
        tracker.set(second(0), &BTreeSet::from([WATCH, other]));
        assert_eq!(
            (tracker.holds(&WATCH), tracker.holds(&other)),
            (Some(true), None)
        );
        tracker.set(second(0), &BTreeSet::new());
        assert_eq!(
            (tracker.holds(&WATCH), tracker.poll_timeout()),
            (None, None)
        );
    }
}
