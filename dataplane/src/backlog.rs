//! A worker's backlog: packets received and not sent on, because their condition is on hold, because their egress is
//! congested, or because the link address of their next hop is not known (`unresolved.rs`). One bounded store; in it one queue for what is on hold,
//! one for each egress and one for each neighbour that is asked for, first in, first out. It knows packets only by their octets, so that a
//! simulation can drive it.

mod unresolved;

use thiserror::Error;

pub(crate) use unresolved::NEIGHBOURS_MAX;
pub use unresolved::{Neighbour, Place};

use unresolved::Unresolved;

/// What the backlog, and whoever inspects it, needs to know of a packet.
pub trait Packet {
    /// The IP packet, from its header on, without link-layer header and padding.
    fn ip_octets(&self) -> &[u8];
}

/// A packet that waits, and the condition that it counts under.
#[derive(Debug, PartialEq, Eq)]
pub struct Waiting<P> {
    /// The index of the condition's counter.
    pub condition: u32,
    /// The packet.
    pub packet: P,
}

/// A packet that goes down the rest of the road later, and what will be asked about it then.
#[derive(Debug, PartialEq, Eq)]
pub struct Held<P> {
    /// The index of the condition's counter.
    pub condition: u32,
    /// Of the packet as it was received ([`fingerprint`](crate::handover::fingerprint)).
    pub fingerprint: u64,
    /// The index of the port that received it.
    pub port: u16,
    /// The VRID of the group to whose virtual MAC it came.
    pub via: u16,
    /// The packet.
    pub packet: P,
}

impl<P> Held<P> {
    /// What waits for an egress was routed, and nothing more is asked about it.
    fn routed(waiting: Waiting<P>) -> Self {
        Self {
            condition: waiting.condition,
            fingerprint: 0,
            port: 0,
            via: 0,
            packet: waiting.packet,
        }
    }

    fn waiting(self) -> Waiting<P> {
        Waiting {
            condition: self.condition,
            packet: self.packet,
        }
    }
}

/// The backlog is full, and gives the packet back.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the backlog is full")]
pub struct Full<P>(pub P);

const NONE: u32 = u32::MAX;

/// Room beyond a backlog's capacity, for VRRP that the control thread sends: however much else waits, advertisements go out.
pub(crate) const BEYOND_MAX: u32 = 64;

#[derive(Debug)]
struct Slot<P> {
    next: u32,
    packet: Option<Held<P>>,
    /// Of a packet that waits for a neighbour.
    place: Place,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    head: u32,
    tail: u32,
    length: usize,
}

impl Queue {
    const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
        length: 0,
    };
}

/// A bounded store of waiting packets. Nothing here allocates after it was made.
#[derive(Debug)]
pub struct Backlog<P> {
    slots: Box<[Slot<P>]>,
    /// The packets that it takes, but for those that have room beyond.
    capacity: usize,
    /// Slots without a packet, linked.
    free: u32,
    held: Queue,
    egress: Box<[Queue]>,
    unresolved: Unresolved,
    /// The packets that wait for any egress.
    waiting: usize,
}

impl<P> Backlog<P> {
    /// Room for `capacity` packets, on hold and for all of `ports` egress ports together, and for a few of the control thread's beside.
    #[must_use]
    pub fn new(capacity: u32, ports: usize) -> Self {
        let slots = capacity.saturating_add(BEYOND_MAX).min(NONE - 1);
        Self {
            capacity: capacity as usize,
            slots: (1..=slots)
                .map(|next| Slot {
                    next: if next == slots { NONE } else { next },
                    packet: None,
                    place: Place::Bounded,
                })
                .collect(),
            free: 0,
            held: Queue::EMPTY,
            unresolved: Unresolved::new(capacity as usize),
            egress: vec![Queue::EMPTY; ports].into_boxed_slice(),
            waiting: 0,
        }
    }

    /// The number of packets on hold.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.length
    }

    /// The number of packets that wait for `port`.
    #[inline]
    #[must_use]
    pub fn waiting(&self, port: usize) -> usize {
        self.egress.get(port).map_or(0, |queue| queue.length)
    }

    /// Whether no egress is congested.
    #[inline]
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.waiting == 0
    }

    /// Whether it takes one more packet that is not the control thread's.
    fn has_room(&self) -> bool {
        self.held.length + self.waiting + self.unresolved() < self.capacity
    }

    /// Keeps a packet whose condition is on hold.
    ///
    /// # Errors
    /// [`Full`].
    pub fn hold(&mut self, held: Held<P>) -> Result<(), Full<Held<P>>> {
        if !self.has_room() {
            return Err(Full(held));
        }
        let mut queue = self.held;
        let done = self.append(&mut queue, held);
        self.held = queue;
        done
    }

    /// Keeps a packet that `port` does not take now, behind those that wait for it already.
    ///
    /// # Errors
    /// [`Full`], or there is no such port.
    pub fn enqueue(&mut self, port: usize, waiting: Waiting<P>) -> Result<(), Full<Waiting<P>>> {
        if self.has_room() {
            self.enqueue_beyond(port, waiting)
        } else {
            Err(Full(waiting))
        }
    }

    /// As [`Backlog::enqueue`], for a frame without which the router would count as dead: there is room for it when there is none for others.
    ///
    /// # Errors
    /// [`Full`], or there is no such port.
    pub fn enqueue_beyond(
        &mut self,
        port: usize,
        waiting: Waiting<P>,
    ) -> Result<(), Full<Waiting<P>>> {
        let Some(mut queue) = self.egress.get(port).copied() else {
            return Err(Full(waiting));
        };
        self.append(&mut queue, Held::routed(waiting))
            .map_err(|Full(held)| Full(held.waiting()))?;
        self.egress[port] = queue;
        self.waiting += 1;
        Ok(())
    }

    /// The packet that has waited longest for `port`.
    pub fn dequeue(&mut self, port: usize) -> Option<Waiting<P>> {
        let mut queue = self.egress.get(port).copied()?;
        let packet = self.pop(&mut queue)?;
        self.egress[port] = queue;
        self.waiting -= 1;
        Some(packet.waiting())
    }

    /// Puts a packet back before all others that wait for `port`.
    ///
    /// # Errors
    /// [`Full`], which cannot be directly after a [`Backlog::dequeue`].
    pub fn put_back(&mut self, port: usize, waiting: Waiting<P>) -> Result<(), Full<Waiting<P>>> {
        let Some(&queue) = self.egress.get(port) else {
            return Err(Full(waiting));
        };
        let place = self
            .fill(queue.head, Held::routed(waiting))
            .map_err(|Full(held)| Full(held.waiting()))?;
        let tail = if queue.head == NONE {
            place
        } else {
            queue.tail
        };
        self.egress[port] = Queue {
            head: place,
            tail,
            length: queue.length + 1,
        };
        self.waiting += 1;
        Ok(())
    }

    /// Takes at most `max` packets of chosen conditions out of what is held, oldest first, and hands them to `take`; the
    /// others keep their order. Whether none of the chosen ones is left.
    pub fn take_held(
        &mut self,
        max: usize,
        choose: impl Fn(u32) -> bool,
        mut take: impl FnMut(Held<P>),
    ) -> bool {
        let (mut taken, mut before, mut place) = (0, NONE, self.held.head);
        while let Some(slot) = self.slots.get_mut(place as usize) {
            let next = slot.next;
            match slot.packet.take_if(|held| choose(held.condition)) {
                None => before = place,
                Some(held) if taken == max => {
                    slot.packet = Some(held);
                    return false;
                }
                Some(held) => {
                    slot.next = std::mem::replace(&mut self.free, place);
                    match self.slots.get_mut(before as usize) {
                        Some(before) => before.next = next,
                        None => self.held.head = next,
                    }
                    if next == NONE {
                        self.held.tail = before;
                    }
                    self.held.length -= 1;
                    taken += 1;
                    take(held);
                }
            }
            place = next;
        }
        true
    }

    /// Puts packets of chosen conditions before all others that wait for the same port; either keep their order.
    pub fn advance(&mut self, choose: impl Fn(u32) -> bool) {
        for port in 0..self.egress.len() {
            let (mut chosen, mut others) = (Queue::EMPTY, Queue::EMPTY);
            let mut place = self.egress[port].head;
            while let Some(slot) = self.slots.get(place as usize) {
                let next = slot.next;
                let ahead = slot
                    .packet
                    .as_ref()
                    .is_some_and(|held| choose(held.condition));
                self.link(if ahead { &mut chosen } else { &mut others }, place);
                place = next;
            }
            self.egress[port] = match self.slots.get_mut(chosen.tail as usize) {
                None => others,
                Some(_) if others.length == 0 => chosen,
                Some(last) => {
                    last.next = others.head;
                    Queue {
                        head: chosen.head,
                        tail: others.tail,
                        length: chosen.length + others.length,
                    }
                }
            };
        }
    }

    /// Whether a packet of a chosen condition waits for any port.
    pub fn is_waiting(&self, choose: impl Fn(u32) -> bool) -> bool {
        self.egress
            .iter()
            .any(|queue| self.iter(*queue).any(|held| choose(held.condition)))
    }

    /// The packets on hold, oldest first.
    pub fn iter_held(&self) -> impl Iterator<Item = &Held<P>> {
        self.iter(self.held)
    }

    /// The packets that wait for `port`, oldest first, each with its condition.
    pub fn iter_waiting(&self, port: usize) -> impl Iterator<Item = (u32, &P)> {
        self.iter(self.egress.get(port).copied().unwrap_or(Queue::EMPTY))
            .map(|held| (held.condition, &held.packet))
    }

    fn iter(&self, queue: Queue) -> impl Iterator<Item = &Held<P>> {
        let mut next = queue.head;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next as usize)?;
            next = slot.next;
            slot.packet.as_ref()
        })
    }

    /// Puts a packet into a free slot, which then comes before `next`.
    fn fill(&mut self, next: u32, held: Held<P>) -> Result<u32, Full<Held<P>>> {
        let place = self.free;
        match self.slots.get_mut(place as usize) {
            Some(slot) => {
                self.free = std::mem::replace(&mut slot.next, next);
                slot.packet = Some(held);
                Ok(place)
            }
            None => Err(Full(held)),
        }
    }

    fn append(&mut self, queue: &mut Queue, held: Held<P>) -> Result<(), Full<Held<P>>> {
        let place = self.fill(NONE, held)?;
        self.link(queue, place);
        Ok(())
    }

    /// Makes the slot at `place` the last of `queue`.
    fn link(&mut self, queue: &mut Queue, place: u32) {
        if let Some(slot) = self.slots.get_mut(place as usize) {
            slot.next = NONE;
        }
        match self.slots.get_mut(queue.tail as usize) {
            Some(tail) => tail.next = place,
            None => queue.head = place,
        }
        queue.tail = place;
        queue.length += 1;
    }

    fn pop(&mut self, queue: &mut Queue) -> Option<Held<P>> {
        let place = queue.head;
        let slot = self.slots.get_mut(place as usize)?;
        let packet = slot.packet.take();
        let next = std::mem::replace(&mut slot.next, self.free);
        self.free = place;
        queue.head = next;
        queue.length -= 1;
        if next == NONE {
            queue.tail = NONE;
        }
        packet
    }
}

#[cfg(test)]
mod tests;
