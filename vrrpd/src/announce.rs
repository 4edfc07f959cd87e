//! When the addresses of a new master are announced: repeated, and paced so that many addresses are no storm.
//! What an announcement looks like as a frame is the driver's business.

use std::ops::Range;
use std::time::Duration;

use crate::config::Announcements;
use crate::time::Time;

/// The pacing of one virtual router's announcements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announcer {
    /// The round under way or to come; `None` when nothing is to be announced.
    round: Option<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    /// Rounds after this one, before refreshing.
    left: u8,
    /// When this one began, or will.
    began: Time,
    /// The next address to announce.
    next: usize,
    /// When.
    due: Time,
}

impl Announcer {
    /// Starts announcing everything, from `now`.
    pub(crate) fn start(&mut self, now: Time, config: &Announcements) {
        let left = config.rounds.saturating_sub(1);
        self.round = Some(Round {
            left,
            began: now,
            next: 0,
            due: now,
        });
    }

    /// Announces nothing more.
    pub(crate) fn stop(&mut self) {
        self.round = None;
    }

    /// When [`poll`](Self::poll) has something next.
    pub(crate) fn timeout(&self) -> Option<Time> {
        self.round.as_ref().map(|round| round.due)
    }

    /// Which of `count` addresses to announce now, at most one burst.
    pub(crate) fn poll(&mut self, now: Time, config: &Announcements, count: usize) -> Range<usize> {
        let Some(round) = self.round.as_mut().filter(|round| round.due <= now) else {
            return 0..0;
        };
        let first = round.next.min(count);
        let end = count.min(first + usize::from(config.burst));
        round.next = end;
        if end < count {
            round.due = now + config.burst_interval;
        } else {
            self.round = round.following(now, config);
        }
        first..end
    }
}

impl Round {
    /// The round after this one, if there is to be one.
    fn following(&self, now: Time, config: &Announcements) -> Option<Round> {
        let (left, interval) = match (self.left.checked_sub(1), config.refresh) {
            (Some(left), _) => (left, config.round_interval),
            // A refresh of zero would announce without a pause.
            (None, Some(refresh)) => (0, refresh.max(Duration::from_millis(1))),
            (None, None) => return None,
        };
        let began = now.max(self.began + interval);
        Some(Round {
            left,
            began,
            next: 0,
            due: began,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every announcement within `span`, as (milliseconds, index).
    fn announced(config: &Announcements, count: usize, span: Duration) -> Vec<(u64, usize)> {
        let mut announcer = Announcer::default();
        announcer.start(Time::ZERO, config);
        let mut seen = Vec::new();
        while let Some(due) = announcer.timeout().filter(|due| *due <= Time::ZERO + span) {
            let indices = announcer.poll(due, config, count);
            seen.extend(indices.map(|index| (due.as_nanos() / 1_000_000, index)));
        }
        seen
    }

    #[test]
    fn every_address_is_announced_once_a_round_in_paced_bursts() {
        let config = Announcements {
            rounds: 2,
            burst: 2,
            ..Announcements::default()
        };
        let seen = announced(&config, 5, Duration::from_secs(3600));
        let round = |start| {
            [
                (start, 0),
                (start, 1),
                (start + 1, 2),
                (start + 1, 3),
                (start + 2, 4),
            ]
        };
        assert_eq!(seen, [round(0), round(1000)].concat());
    }

    #[test]
    fn a_refresh_goes_on_after_the_rounds_until_stopped() {
        let config = Announcements {
            rounds: 1,
            refresh: Some(Duration::from_secs(60)),
            ..Announcements::default()
        };
        let seen = announced(&config, 1, Duration::from_secs(180));
        assert_eq!(seen, [(0, 0), (60_000, 0), (120_000, 0), (180_000, 0)]);

        let mut announcer = Announcer::default();
        announcer.start(Time::ZERO, &config);
        announcer.stop();
        assert_eq!(announcer.timeout(), None);
        assert_eq!(announcer.poll(Time::ZERO, &config, 1), 0..0);
    }

    #[test]
    fn a_round_longer_than_its_interval_is_finished_before_the_next() {
        let config = Announcements {
            rounds: 2,
            round_interval: Duration::from_millis(1),
            burst: 1,
            burst_interval: Duration::from_millis(5),
            refresh: None,
        };
        let seen = announced(&config, 2, Duration::from_secs(1));
        assert_eq!(seen, [(0, 0), (5, 1), (5, 0), (10, 1)]);
    }
}
