//! What is sent, when, and how often again. What it says is decided elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use super::authority::Authority;
use super::{Config, LoadSharing, OUTPUTS_MAX, Output};
use crate::sharing::names::Version;
use crate::sharing::table::{Issued, Repetition, Table};
use crate::sharing::wire::{Allocation, Answer, Body, Confirmation, Kind, Response};
use crate::{State, Time};

/// The least time between two of this router's type 2, but for the answers to advertisements.
const RESPONSE_GAP: Duration = Duration::from_millis(1);

/// How often in an interval a router says how it is, so that a living one is not taken for faulty where messages are lost.
const RESPONSES_PER_INTERVAL: u32 = 3;

/// How many fragments of an allocation are sent at a time.
const BURST: usize = 64;

/// The time from one burst to the next.
const BURST_GAP: Duration = Duration::from_millis(1);

/// What is to be said, and when.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// When a type 2 was sent last.
    responded_at: Option<Time>,
    /// When the next is due.
    respond_at: Option<Time>,
    /// Whether it answers an advertisement, and so names the conditions of every move.
    in_full: bool,
    /// When the answer to an advertisement is repeated, how often at most, and after what time each: several in a row are lost less often than one, and so are
    /// those to an advertisement that is lost itself.
    again: Option<(Time, u32, Duration)>,
    /// Asking for what is missing of an allocation.
    asking: Option<Asking>,
    /// Fragments of the allocation `version` that are to be sent, difference before full table: of how many, and what.
    fragments: BTreeMap<(bool, u16), (u16, Body)>,
    version: Version,
    /// When the next of them are due.
    burst_at: Option<Time>,
    /// Whether what somebody lacks is among them, and not only what is sent again to whom it may concern.
    answers: bool,
    /// When the last of such were sent.
    allocated_at: Option<Time>,
    /// The table installed, for an authority that lacks it.
    pub(super) relayed: Option<(Version, Issued)>,
}

/// Asking again and again, less and less often.
#[derive(Clone, Copy, Debug)]
struct Asking {
    at: Time,
    wait: Duration,
}

impl Voice {
    /// An advertisement is to be answered.
    pub(super) fn respond_now(&mut self, now: Time, interval: Duration) {
        self.respond_at = Some(now);
        let pause = interval / RESPONSES_PER_INTERVAL;
        self.again = Some((now + pause, 3 * RESPONSES_PER_INTERVAL, pause));
        self.in_full = true;
    }

    /// Something is to be said, and may wait for so long.
    pub(super) fn respond_within(&mut self, now: Time, delay: Duration) {
        let at = now + delay;
        self.respond_at = Some(self.respond_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Something has changed that the others should know.
    pub(super) fn respond_soon(&mut self, now: Time) {
        let earliest = self
            .responded_at
            .map_or(now, |before| now.max(before + RESPONSE_GAP));
        self.respond_at = Some(self.respond_at.map_or(earliest, |at| at.min(earliest)));
    }

    /// A part of an allocation has come in.
    pub(super) fn allocation_heard(&mut self, now: Time, table: &Table, config: &Config) {
        if table.is_whole() {
            self.asking = None;
            self.respond_soon(now);
        } else {
            // More of it may be on the way.
            let (at, wait) = (config.repeat_at(now), config.moves.repeat);
            self.asking = Some(Asking { at, wait });
        }
    }

    /// A table is lacking of which nothing may come by itself.
    pub(super) fn ask(&mut self, now: Time, config: &Config) {
        if self.asking.is_none() {
            let wait = config.moves.repeat;
            self.asking = Some(Asking { at: now, wait });
        }
    }

    /// Fragments are to be sent that somebody lacks; those of an older allocation are not any more.
    pub(super) fn allocate(&mut self, now: Time, version: Version, repetition: Repetition) {
        self.answers = true;
        self.repeat(now, version, repetition);
    }

    /// The same, of fragments sent before: nobody's answer to them is waited for, however often that is.
    pub(super) fn repeat(&mut self, now: Time, version: Version, repetition: Repetition) {
        if self.version != version {
            self.fragments.clear();
            self.version = version;
        }
        let Repetition { fragments, bodies } = repetition;
        for (number, body) in bodies {
            let full = matches!(
                &body,
                Body::Allocation(Allocation {
                    kind: Kind::Full { .. },
                    ..
                })
            );
            self.fragments.insert((full, number), (fragments, body));
        }
        self.burst_at.get_or_insert(now);
    }

    /// Whether what was sent last of an allocation because somebody lacked it may not have arrived, or been answered, yet.
    pub(super) fn is_allocating(&self, now: Time, patience: Duration) -> bool {
        !self.fragments.is_empty() || self.allocated_at.is_some_and(|at| now.since(at) < patience)
    }

    /// Sends no allocation any more.
    pub(super) fn stop_allocating(&mut self) {
        self.fragments.clear();
        self.answers = false;
        self.burst_at = None;
    }

    pub(super) fn timeout(&self) -> Option<Time> {
        let asking = self.asking.map(|asking| asking.at);
        let again = self.again.map(|(at, ..)| at);
        [self.respond_at, again, asking, self.burst_at]
            .into_iter()
            .flatten()
            .min()
    }
}

impl LoadSharing {
    /// Says what is due.
    pub(super) fn speak(&mut self) {
        let now = self.now;
        if self.mute {
            self.voice.respond_at = None;
            self.voice.again = None;
            self.voice.asking = None;
            self.voice.stop_allocating();
            return;
        }
        self.send_burst();
        let interval = self.interval;
        if let Some(asking) = self.voice.asking.as_mut().filter(|asking| asking.at <= now) {
            asking.wait = (asking.wait * 2).min(interval);
            asking.at = now + asking.wait;
            self.voice.respond_soon(now);
        }
        if let Some((at, left, pause)) = self.voice.again
            && at <= now
        {
            self.voice.again = (left > 1).then(|| (now + pause, left - 1, pause));
            self.voice.in_full = true;
            self.voice.respond_at = Some(now);
        }
        if self.voice.respond_at.is_some_and(|at| at <= now) {
            self.respond();
        }
    }

    fn send_burst(&mut self) {
        if self.voice.burst_at.is_none_or(|at| at > self.now) {
            return;
        }
        let version = self.voice.version;
        for _ in 0..BURST {
            let Some(((_, number), (fragments, body))) = self.voice.fragments.pop_first() else {
                break;
            };
            self.send(version, (number, fragments), &body);
        }
        if self.voice.answers {
            self.voice.allocated_at = Some(self.now);
        }
        let more = !self.voice.fragments.is_empty();
        self.voice.answers &= more;
        self.voice.burst_at = more.then(|| self.now + BURST_GAP);
    }

    /// Sends a type 2.
    fn respond(&mut self) {
        self.voice.respond_at = None;
        self.voice.responded_at = Some(self.now);
        let in_full = std::mem::take(&mut self.voice.in_full);
        let mut response = Response {
            state: self.state(),
            master: self.vrrp == State::Master,
            authority: self.is_authority(),
            wants_table: false,
            weight: self.weight(),
            mode: self.config.mode,
            entries: 0,
            digest: 0,
            heard: Version::default(),
            keys: self.trust.key_ids(),
            acquaintances: self.trust.acquaintances(),
            missing: Vec::new(),
            // While nothing is routed here, it is for the authority to say what becomes of them.
            moves: if self.quiet {
                Vec::new()
            } else {
                self.moves.reports()
            },
            sightings: self.sightings(in_full),
        };
        self.table.report(&mut response);
        if !in_full && !matches!(self.authority, Authority::Collecting(_)) {
            for report in &mut response.moves {
                report.conditions.clear();
            }
        }
        self.send_split(self.table.installed(), Body::Response(response));
    }

    pub(super) fn send_confirmation(&mut self, confirmation: Confirmation) {
        let version = confirmation.name.version;
        self.send(version, (0, 1), &Body::Confirmation(confirmation));
    }

    pub(super) fn send_answer(&mut self, fragments: u16, parts: Vec<(u16, Answer)>) {
        for (number, answer) in parts {
            let version = answer.name.version;
            self.send(version, (number, fragments), &Body::Answer(answer));
        }
    }

    fn send_split(&mut self, version: Version, body: Body) {
        let bodies = self.split(body);
        let fragments = u16::try_from(bodies.len()).unwrap_or(u16::MAX);
        for (number, body) in (0..fragments).zip(&bodies) {
            self.send(version, (number, fragments), body);
        }
    }

    pub(super) fn split(&self, body: Body) -> Vec<Body> {
        let limit = self.config.moves.message_len_max;
        body.split(self.config.group.family(), limit)
    }

    pub(super) fn send(&mut self, version: Version, place: (u16, u16), body: &Body) {
        if self.mute {
            return;
        }
        // A body that was split can be written, and there is a key.
        let priority = self.config.priority;
        let Ok(transmit) = self.trust.seal(priority, version, place, body) else {
            return;
        };
        if self.outputs.len() >= OUTPUTS_MAX {
            self.counters.output_overflows += 1;
            return;
        }
        let type_place = usize::from(body.message_type()).wrapping_sub(2);
        if let Some(sent) = self.counters.sent.get_mut(type_place) {
            *sent += 1;
        }
        self.outputs.push_back(Output::Transmit(transmit));
    }
}
