//! What is to happen, in the order of its time; what is due at the same time, in the order in which it was scheduled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events of one kind.
#[derive(Debug)]
pub(crate) struct Events<E> {
    waiting: BinaryHeap<Reverse<Entry<E>>>,
    scheduled: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: u64,
    number: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (u64, u64) {
        (self.at, self.number)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> Events<E> {
    pub(crate) fn new() -> Events<E> {
        Events {
            waiting: BinaryHeap::new(),
            scheduled: 0,
        }
    }

    pub(crate) fn schedule(&mut self, at: u64, event: E) {
        self.waiting.push(Reverse(Entry {
            at,
            number: self.scheduled,
            event,
        }));
        self.scheduled += 1;
    }

    /// The next one, and its time.
    pub(crate) fn pop(&mut self) -> Option<(u64, E)> {
        let Reverse(entry) = self.waiting.pop()?;
        Some((entry.at, entry.event))
    }

    /// How many there were so far.
    pub(crate) fn scheduled(&self) -> u64 {
        self.scheduled
    }
}
