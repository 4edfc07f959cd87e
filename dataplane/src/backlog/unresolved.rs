//! Packets whose next hop's link address is not known: one queue for each neighbour that is waited for. They leave in their order, and what comes for the
//! same neighbour meanwhile queues behind them, so that none is overtaken by one that came when the address was known.

use std::net::Ipv4Addr;

use arrayvec::ArrayVec;

use super::{Backlog, Held, Queue};

/// Neighbours that a worker waits for at most.
pub(crate) const NEIGHBOURS_MAX: usize = 128;

/// Packets that wait for one of them at most.
const PACKETS_MAX: usize = 64;

/// Packets for all of them together take one part in so many of the backlog at most.
const PART_MAX: usize = 8;

/// A station on the network of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour {
    /// The index of the port.
    pub port: u16,
    /// Its address.
    pub address: Ipv4Addr,
}

/// What place a packet has that waits for a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of the few that may wait there.
    Bounded,
    /// The one that it had on hold, however many wait.
    Kept,
}

#[derive(Debug)]
pub(super) struct Unresolved {
    /// In the order in which they were first waited for.
    awaited: ArrayVec<Awaited, NEIGHBOURS_MAX>,
    packets: usize,
    packets_max: usize,
    /// How many of `awaited` are settled.
    settled: usize,
}

#[derive(Debug)]
struct Awaited {
    neighbour: Neighbour,
    queue: Queue,
    /// Whether its packets need wait no longer.
    settled: bool,
}

impl Unresolved {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            awaited: ArrayVec::new(),
            packets: 0,
            packets_max: (capacity / PART_MAX).max(1),
            settled: 0,
        }
    }

    fn place(&self, neighbour: Neighbour) -> Option<usize> {
        let mut awaited = self.awaited.iter();
        awaited.position(|awaited| awaited.neighbour == neighbour)
    }
}

impl<P> Backlog<P> {
    /// Whether any neighbour is waited for.
    #[inline(always)]
    #[must_use]
    pub fn awaits_any(&self) -> bool {
        !self.unresolved.awaited.is_empty()
    }

    /// Whether this one is.
    #[must_use]
    pub fn awaits(&self, neighbour: Neighbour) -> bool {
        self.unresolved.place(neighbour).is_some()
    }

    /// The number of packets that wait for neighbours.
    #[must_use]
    pub fn unresolved(&self) -> usize {
        self.unresolved.packets
    }

    /// The neighbours that are waited for, and for each of them the packets.
    pub fn iter_unresolved(
        &self,
    ) -> impl Iterator<Item = (Neighbour, impl Iterator<Item = &Held<P>>)> {
        let awaited = self.unresolved.awaited.iter();
        awaited.map(|awaited| (awaited.neighbour, self.iter(awaited.queue)))
    }

    /// Whether a packet of a chosen condition waits for any of them.
    pub fn is_unresolved(&self, choose: impl Fn(u32) -> bool) -> bool {
        let mut queues = self.iter_unresolved();
        queues.any(|(_, mut packets)| packets.any(|held| choose(held.condition)))
    }

    /// Waits for a neighbour from now on, if it does not yet. If there are too many, the packets for the one that was waited for longest go
    /// to `drop`.
    pub fn await_neighbour(&mut self, neighbour: Neighbour, mut drop: impl FnMut(P)) {
        if self.awaits(neighbour) {
            return;
        }
        if self.unresolved.awaited.is_full() {
            while let Some(held) = self.pop_awaited(0) {
                drop(held.packet);
            }
            self.forget(0);
        }
        self.unresolved.awaited.push(Awaited {
            neighbour,
            queue: Queue::EMPTY,
            settled: false,
        });
    }

    /// Keeps a packet until a neighbour that [is waited for](Self::await_neighbour) is settled. What has to make room for it goes to `drop`:
    /// the oldest for this neighbour, or of those for the neighbour that was waited for longest (RFC 1122 section 2.3.2.2 has the newest kept);
    /// the packet itself where the oldest is one to be [kept](Place::Kept).
    pub fn park(
        &mut self,
        neighbour: Neighbour,
        held: Held<P>,
        place: Place,
        mut drop: impl FnMut(P),
    ) {
        let Some(at) = self.unresolved.place(neighbour) else {
            return drop(held.packet);
        };
        if place == Place::Bounded {
            let unresolved = &self.unresolved;
            let is_full = |awaited: &Awaited| awaited.queue.length >= PACKETS_MAX;
            let from = if unresolved.awaited.get(at).is_some_and(is_full) {
                Some(at..at + 1)
            } else if unresolved.packets >= unresolved.packets_max {
                Some(0..unresolved.awaited.len())
            } else {
                None
            };
            if let Some(mut from) = from {
                let from = from.find(|&from| self.gives_way(from));
                match from.and_then(|from| self.pop_awaited(from)) {
                    Some(displaced) => drop(displaced.packet),
                    None => return drop(held.packet),
                }
            }
            if !self.has_room() {
                return drop(held.packet);
            }
        }
        let Some(mut queue) = self.unresolved.awaited.get(at).map(|awaited| awaited.queue) else {
            return drop(held.packet);
        };
        match self.append(&mut queue, held) {
            Ok(()) => {
                self.unresolved.packets += 1;
                self.set_queue(at, queue);
                if let Some(slot) = self.slots.get_mut(queue.tail as usize) {
                    slot.place = place;
                }
            }
            Err(super::Full(held)) => drop(held.packet),
        }
    }

    /// A neighbour's link address is known now, or was given up.
    pub fn settle(&mut self, neighbour: Neighbour) {
        if let Some(at) = self.unresolved.place(neighbour)
            && let Some(awaited) = self.unresolved.awaited.get_mut(at)
            && !std::mem::replace(&mut awaited.settled, true)
        {
            self.unresolved.settled += 1;
        }
    }

    /// Takes at most `max` packets that need wait no longer, neighbour by neighbour, oldest first for each. Returns how many; a neighbour for which none
    /// is left is waited for no more, as soon as it has its turn.
    pub fn take_settled(&mut self, max: usize, mut take: impl FnMut(Held<P>)) -> usize {
        let mut taken = 0;
        while self.unresolved.settled > 0
            && let Some(at) = self
                .unresolved
                .awaited
                .iter()
                .position(|awaited| awaited.settled)
        {
            while taken < max
                && let Some(held) = self.pop_awaited(at)
            {
                taken += 1;
                take(held);
            }
            let left = self
                .unresolved
                .awaited
                .get(at)
                .map_or(0, |awaited| awaited.queue.length);
            if left > 0 {
                break;
            }
            self.forget(at);
        }
        taken
    }

    /// Whether the oldest packet for the neighbour at a place may be displaced.
    fn gives_way(&self, at: usize) -> bool {
        let awaited = self.unresolved.awaited.get(at);
        awaited
            .and_then(|awaited| self.slots.get(awaited.queue.head as usize))
            .is_some_and(|oldest| oldest.place == Place::Bounded)
    }

    fn pop_awaited(&mut self, at: usize) -> Option<Held<P>> {
        let mut queue = self.unresolved.awaited.get(at)?.queue;
        let held = self.pop(&mut queue)?;
        self.unresolved.packets -= 1;
        self.set_queue(at, queue);
        Some(held)
    }

    fn set_queue(&mut self, at: usize, queue: Queue) {
        if let Some(awaited) = self.unresolved.awaited.get_mut(at) {
            awaited.queue = queue;
        }
    }

    /// Waits no more for the neighbour at a place, for which no packet is left.
    fn forget(&mut self, at: usize) {
        if let Some(awaited) = self.unresolved.awaited.pop_at(at) {
            self.unresolved.settled -= usize::from(awaited.settled);
        }
    }
}
