//! Counting numbered packets at the receiver. Pure: knows neither sockets nor time.

use std::ops::Range;

use serde::Serialize;

/// Highest number that a tally keeps track of, so that a corrupted number cannot make it grow without bound.
const MOST_PACKETS: u64 = 1 << 27;
/// Most packets whose number is remembered because they came twice or late; beyond it they are only counted.
const MOST_REMEMBERED: usize = 1 << 16;

/// What became of a flow's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Packets that the sender sent.
    pub sent: u64,
    /// Packets that arrived at least once.
    pub received: u64,
    /// Packets that never arrived.
    pub lost: u64,
    /// Arrivals beyond a packet's first.
    pub duplicated: u64,
    /// First arrivals after that of a packet with a higher number.
    pub reordered: u64,
}

impl Count {
    /// All packets arrived once and in order, and there were some.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.sent > 0 && self.received == self.sent && self.duplicated == 0 && self.reordered == 0
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

/// The arrivals of one flow, whose packets are numbered from 0.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// One bit a packet.
    seen: Vec<u64>,
    received: u64,
    duplicated: u64,
    reordered: u64,
    /// The numbers of those, as they came.
    duplicates: Vec<u64>,
    overtaken: Vec<u64>,
    /// One more than the highest number seen.
    next: u64,
}

impl Tally {
    /// Takes note of an arrival. A number that no sender here gives is ignored.
    pub fn record(&mut self, number: u64) {
        if number >= MOST_PACKETS {
            return;
        }
        // Below MOST_PACKETS, so it fits.
        let word = (number / 64) as usize;
        let bit = 1_u64 << (number % 64);
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.duplicated += 1;
            remember(&mut self.duplicates, number);
            return;
        }
        self.seen[word] |= bit;
        self.received += 1;
        if number < self.next {
            self.reordered += 1;
            remember(&mut self.overtaken, number);
        } else {
            self.next = number + 1;
        }
    }

    /// Packets that arrived at least once.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The numbers of packets that arrived again, as they came.
    #[must_use]
    pub fn duplicates(&self) -> &[u64] {
        &self.duplicates
    }

    /// The numbers of packets that arrived after one sent later, as they came.
    #[must_use]
    pub fn overtaken(&self) -> &[u64] {
        &self.overtaken
    }

    /// The packets of a range of numbers that did not arrive.
    pub fn missing(&self, numbers: Range<u64>) -> impl Iterator<Item = u64> {
        numbers.filter(|number| {
            let word = usize::try_from(number / 64).ok();
            let seen = word.and_then(|word| self.seen.get(word)).copied();
            seen.unwrap_or(0) >> (number % 64) & 1 == 0
        })
    }

    /// What became of the packets, given how many were sent.
    #[must_use]
    pub fn count(&self, sent: u64) -> Count {
        Count {
            sent,
            received: self.received,
            lost: sent.saturating_sub(self.received),
            duplicated: self.duplicated,
            reordered: self.reordered,
        }
    }
}

fn remember(numbers: &mut Vec<u64>, number: u64) {
    if numbers.len() < MOST_REMEMBERED {
        numbers.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        numbers.into_iter().for_each(|number| tally.record(number));
        tally
    }

    #[test]
    fn packets_that_arrive_once_and_in_order_are_exact() {
        assert!(tally(0..1000).count(1000).is_exact());
    }

    #[test]
    fn a_gap_is_a_loss_and_not_a_reordering() {
        let count = tally([0, 1, 3]).count(4);
        assert_eq!(
            count,
            Count {
                sent: 4,
                received: 3,
                lost: 1,
                duplicated: 0,
                reordered: 0
            }
        );
    }

    #[test]
    fn a_tail_that_never_arrives_is_a_loss() {
        assert_eq!(tally(0..7).count(10).lost, 3);
    }

    #[test]
    fn a_late_packet_is_reordered_and_not_lost() {
        let count = tally([0, 2, 1, 3]).count(4);
        assert_eq!(
            count,
            Count {
                sent: 4,
                received: 4,
                lost: 0,
                duplicated: 0,
                reordered: 1
            }
        );
    }

    #[test]
    fn a_second_arrival_is_a_duplicate_and_nothing_else() {
        let count = tally([0, 1, 1, 0, 2]).count(3);
        assert_eq!(
            count,
            Count {
                sent: 3,
                received: 3,
                lost: 0,
                duplicated: 2,
                reordered: 0
            }
        );
    }

    #[test]
    fn what_is_missing_came_twice_or_late_is_known_by_its_number() {
        let tally = tally([0, 1, 4, 3, 1, 70]);
        assert_eq!(tally.missing(0..6).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(tally.missing(69..130).count(), 60);
        assert_eq!(
            (tally.duplicates(), tally.overtaken()),
            (&[1][..], &[3][..])
        );
    }

    #[test]
    fn a_flow_of_which_nothing_was_sent_is_not_exact() {
        assert!(!tally([]).count(0).is_exact());
    }

    #[test]
    fn a_number_that_nobody_sent_costs_no_memory() {
        let tally = tally([u64::MAX]);
        assert_eq!(tally.received(), 0);
        assert!(tally.seen.is_empty());
    }
}
