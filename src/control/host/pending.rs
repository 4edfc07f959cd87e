//! Packets that wait for a neighbour's link address: a bounded queue each, and a bound for all of them together.
//! Who is resolved and when is not known here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

/// How many packets may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingLimits {
    /// For one neighbour.
    pub per_neighbour: usize,
    /// For all neighbours together.
    pub total: usize,
}

/// The queues by neighbour. The newest packets are kept, as RFC 1122 section 2.3.2.2 asks.
#[derive(Debug)]
pub struct Pending<K, P> {
    limits: PendingLimits,
    queues: HashMap<K, Queue<P>>,
    /// The neighbours by when their queue began, the oldest first.
    by_age: BTreeMap<u64, K>,
    next_serial: u64,
    waiting: usize,
}

/// Never empty while it is in the map.
#[derive(Debug)]
struct Queue<P> {
    serial: u64,
    packets: VecDeque<P>,
}

impl<K: Copy + Eq + Hash, P> Pending<K, P> {
    /// No packets yet.
    #[must_use]
    pub fn new(limits: PendingLimits) -> Self {
        Self {
            limits,
            queues: HashMap::new(),
            by_age: BTreeMap::new(),
            next_serial: 0,
            waiting: 0,
        }
    }

    /// The packets that wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Puts `packet` at the end of its queue. What comes back has to make room for it: the oldest of a full queue, or if
    /// too many wait in all, the oldest of the queue that began first.
    pub fn push(&mut self, key: K, packet: P) -> Option<P> {
        if self.limits.per_neighbour == 0 || self.limits.total == 0 {
            return Some(packet);
        }
        let full = self
            .queues
            .get(&key)
            .is_some_and(|queue| queue.packets.len() >= self.limits.per_neighbour);
        let displaced = if full {
            self.pop(key)
        } else if self.waiting >= self.limits.total {
            let oldest = self.by_age.first_key_value().map(|(_, oldest)| *oldest);
            oldest.and_then(|oldest| self.pop(oldest))
        } else {
            None
        };
        let queue = self.queues.entry(key).or_insert_with(|| {
            let serial = self.next_serial;
            self.next_serial += 1;
            self.by_age.insert(serial, key);
            Queue {
                serial,
                packets: VecDeque::new(),
            }
        });
        queue.packets.push_back(packet);
        self.waiting += 1;
        displaced
    }

    /// Takes a neighbour's whole queue, the oldest packet first.
    pub fn take(&mut self, key: K) -> VecDeque<P> {
        let Some(queue) = self.queues.remove(&key) else {
            return VecDeque::new();
        };
        self.by_age.remove(&queue.serial);
        self.waiting -= queue.packets.len();
        queue.packets
    }

    fn pop(&mut self, key: K) -> Option<P> {
        let queue = self.queues.get_mut(&key)?;
        let packet = queue.packets.pop_front()?;
        self.waiting -= 1;
        if queue.packets.is_empty() {
            self.take(key);
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn pending(per_neighbour: usize, total: usize) -> Pending<u8, u32> {
        Pending::new(PendingLimits {
            per_neighbour,
            total,
        })
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest_packet() {
        let mut pending = pending(2, 10);
        assert_eq!(pending.push(1, 100), None);
        assert_eq!(pending.push(1, 101), None);
        assert_eq!(pending.push(1, 102), Some(100));
        assert_eq!(pending.take(1), [101, 102]);
        assert_eq!(pending.waiting(), 0);
    }

    #[test]
    fn when_too_many_wait_the_queue_that_began_first_gives_up_its_oldest() {
        let mut pending = pending(3, 3);
        assert_eq!(pending.push(1, 100), None);
        assert_eq!(pending.push(2, 200), None);
        assert_eq!(pending.push(1, 101), None);
        assert_eq!(pending.push(3, 300), Some(100));
        assert_eq!(pending.push(3, 301), Some(101));
        assert_eq!(pending.push(3, 302), Some(200));
        assert!(pending.take(1).is_empty());
        assert!(pending.take(2).is_empty());
        assert_eq!(pending.take(3), [300, 301, 302]);
    }

    #[test]
    fn without_room_for_any_the_packet_comes_straight_back() {
        assert_eq!(pending(0, 10).push(1, 100), Some(100));
        assert_eq!(pending(10, 0).push(1, 100), Some(100));
    }

    proptest! {
        #[test]
        fn bounds_hold_and_every_packet_comes_out_once(
            per_neighbour in 0_usize..6,
            total in 0_usize..12,
            steps in prop::collection::vec((0_u8..6, prop::bool::weighted(0.8)), 0..200),
        ) {
            let mut pending = pending(per_neighbour, total);
            let mut out = Vec::new();
            for (packet, (key, push)) in (0_u32..).zip(&steps) {
                if *push {
                    out.extend(pending.push(*key, packet));
                } else {
                    out.extend(pending.take(*key));
                    out.push(packet);
                }
                let waiting: usize = pending.queues.values().map(|queue| queue.packets.len()).sum();
                prop_assert_eq!(waiting, pending.waiting());
                prop_assert!(waiting <= total);
                prop_assert_eq!(pending.by_age.len(), pending.queues.len());
                for queue in pending.queues.values() {
                    prop_assert!((1..=per_neighbour).contains(&queue.packets.len()));
                }
            }
            for key in 0..6 {
                out.extend(pending.take(key));
            }
            prop_assert_eq!(out.len(), steps.len());
            prop_assert_eq!(out.into_iter().collect::<BTreeSet<_>>().len(), steps.len());
        }
    }
}
