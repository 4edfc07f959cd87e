//! Whether this router hears the others at all. One that does not receives nothing of what end systems send either, or so it has to fear; what it is in charge of
//! is lost for as long as the others count on it. So it gives up, which costs nobody a packet, and says so.
//!
//! ```text
//!         nothing comes in, or nothing to the virtual MAC
//! hears ────────────────────────────────────────────────► deaf ◄────────┐
//!   ▲                                                      │            │ nothing comes in
//!   │ nobody says that the others have gone on             ▼            │
//!   └──────────────────────────────────────────────── listens ──────────┘
//! ```
//!
//! Who hears of a later allocation, while deaf or listening, begins a new life: the others have gone on without it.

use std::time::Duration;

use super::{Event, LoadSharing};
use crate::Time;
use crate::sharing::membership::silence_max;
use crate::sharing::trust::Incoming;
use crate::sharing::wire::Body;

/// For how many intervals nothing has to come in, and for how many nobody to speak once something does.
const PATIENCE: u32 = 2;

/// What has come in, and when.
#[derive(Debug)]
pub(super) struct Hearing {
    state: State,
    /// A frame of anybody's, at the port.
    frame_at: Time,
    /// A message of the types 2 to 8, of any router that has the key.
    message_at: Time,
    /// An advertisement of another router that shares load.
    advertisement_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hears,
    Deaf,
    Listens { since: Time },
}

impl Hearing {
    pub(super) fn new(now: Time) -> Hearing {
        Hearing {
            state: State::Hears,
            frame_at: now,
            message_at: now,
            advertisement_at: None,
        }
    }

    /// Whether it cannot count on hearing anybody.
    pub(super) fn is_impaired(&self) -> bool {
        self.state != State::Hears
    }

    pub(super) fn note_advertisement(&mut self, now: Time) {
        self.advertisement_at = Some(now);
    }
}

impl LoadSharing {
    /// The port has received a frame, of whomever. To be told often; that nothing was received for long means something.
    pub fn frame_received(&mut self, now: Time) {
        self.observe(now);
        self.hearing.frame_at = self.now;
        if self.hearing.is_impaired() {
            self.settle();
        }
    }

    /// Whether so little comes in that this router should look whether it hears anything, by asking whoever should answer.
    #[must_use]
    pub fn doubts_its_hearing(&self) -> bool {
        let since = self.hearing.frame_at.max(self.since);
        !self.quiet
            && self.membership.is_to_be_heard(self.now)
            && self.now.since(since) > self.interval / 2
    }

    /// A router that has the key has said this. Whether it is to be heeded.
    pub(super) fn note_message(&mut self, incoming: &Incoming) -> bool {
        self.hearing.message_at = self.now;
        if !self.hearing.is_impaired() {
            return true;
        }
        let newest = match incoming {
            Incoming::Message(message) => match &message.body {
                Body::Response(response) => Some(message.head.version.max(response.heard)),
                Body::Allocation(_) => Some(message.head.version),
                _ => None,
            },
            Incoming::Greeting(_) => None,
        };
        // Whoever took anything over has issued an allocation. That none is known means little: the message may be an old one.
        if newest.is_some_and(|newest| newest > self.highest) {
            self.begin_life();
        }
        false
    }

    pub(super) fn hearing_timeout(&self) -> Option<Time> {
        let at = match self.hearing.state {
            State::Hears if !self.membership.is_to_be_heard(self.now) => return None,
            State::Hears => {
                let last = self.hearing.message_at.max(self.hearing.frame_at);
                last.max(self.expects_since()) + self.patience()
            }
            State::Deaf => return None,
            State::Listens { since } => since + self.patience(),
        };
        (at > self.now).then_some(at)
    }

    /// Declares faulty who is silent; one that is deaf cannot say who.
    pub(super) fn judge_silence(&mut self) {
        if self.hearing.is_impaired() {
            return;
        }
        for event in self.membership.tick(self.now) {
            self.member_changed(event);
        }
    }

    /// Falls deaf, or hears again.
    pub(super) fn review_hearing(&mut self) {
        let now = self.now;
        let hears_nothing = self.hears_nothing();
        self.hearing.state = match self.hearing.state {
            State::Hears if hears_nothing && !self.quiet => State::Deaf,
            State::Deaf if !hears_nothing => State::Listens { since: now },
            State::Listens { .. } if hears_nothing => State::Deaf,
            State::Listens { since } if since + self.patience() <= now => {
                if self.hearing.message_at > since {
                    // They could not be heard until now, so that none of them has been silent.
                    self.membership.expect_from(now);
                }
                State::Hears
            }
            state => state,
        };
        if self.hearing.is_impaired() && !self.quiet {
            self.event(Event::Deaf);
            self.voice.respond_now(now, self.interval);
        }
    }

    /// Either nothing comes in at all, or the master is heard, whose advertisements go to everyone, and nothing of what goes to the virtual MAC.
    fn hears_nothing(&self) -> bool {
        let expects_since = self.expects_since();
        let silent_for = |last: Time| self.now.since(last.max(expects_since));
        let no_message = silent_for(self.hearing.message_at);
        let no_frame = silent_for(self.hearing.frame_at);
        let is_advertised_to = self
            .hearing
            .advertisement_at
            .is_some_and(|at| self.now.since(at) <= self.patience());
        // Who has been deaf so far is so until something comes in, whatever has become of the others meanwhile.
        let expects_some = self.hearing.is_impaired() || self.membership.is_to_be_heard(self.now);
        (no_message.min(no_frame) >= self.patience() && expects_some)
            || (no_message >= silence_max(self.interval, self.config.priority) && is_advertised_to)
    }

    /// Since when silence means something. Once this router has fallen deaf, what it advertises itself begins no other time.
    fn expects_since(&self) -> Time {
        match self.hearing.state {
            State::Hears => self.since.max(self.membership.expected_since()),
            State::Deaf | State::Listens { .. } => self.since,
        }
    }

    fn patience(&self) -> Duration {
        PATIENCE * self.interval
    }
}
