//! A worker's backlog: packets received and not routed, because their condition is on hold or because their egress is
//! congested. One bounded store; in it one queue for what is on hold and one for each egress, first in, first out.
//! It knows packets only by their octets, so that a simulation can drive it.

use thiserror::Error;

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

/// The backlog is full, and gives the packet back.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the backlog is full")]
pub struct Full<P>(pub P);

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<P> {
    next: u32,
    waiting: Option<Waiting<P>>,
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

/// A bounded store of waiting packets. Nothing here allocates after it was made, but for what inspection returns.
#[derive(Debug)]
pub struct Backlog<P> {
    slots: Box<[Slot<P>]>,
    /// Slots without a packet, linked.
    free: u32,
    held: Queue,
    egress: Box<[Queue]>,
}

impl<P> Backlog<P> {
    /// Room for `capacity` packets, on hold and for all of `ports` egress ports together.
    #[must_use]
    pub fn new(capacity: u32, ports: usize) -> Self {
        let capacity = capacity.min(NONE - 1);
        Self {
            slots: (1..=capacity)
                .map(|next| Slot {
                    next: if next == capacity { NONE } else { next },
                    waiting: None,
                })
                .collect(),
            free: if capacity == 0 { NONE } else { 0 },
            held: Queue::EMPTY,
            egress: vec![Queue::EMPTY; ports].into_boxed_slice(),
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
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.egress.iter().all(|queue| queue.length == 0)
    }

    /// Keeps a packet whose condition is on hold.
    ///
    /// # Errors
    /// [`Full`].
    pub fn hold(&mut self, waiting: Waiting<P>) -> Result<(), Full<Waiting<P>>> {
        let mut queue = self.held;
        let done = self.append(&mut queue, waiting);
        self.held = queue;
        done
    }

    /// Keeps a packet that `port` does not take now, behind those that wait for it already.
    ///
    /// # Errors
    /// [`Full`], or there is no such port.
    pub fn enqueue(&mut self, port: usize, waiting: Waiting<P>) -> Result<(), Full<Waiting<P>>> {
        let Some(mut queue) = self.egress.get(port).copied() else {
            return Err(Full(waiting));
        };
        let done = self.append(&mut queue, waiting);
        self.egress[port] = queue;
        done
    }

    /// The packet that has waited longest for `port`.
    pub fn dequeue(&mut self, port: usize) -> Option<Waiting<P>> {
        let mut queue = self.egress.get(port).copied()?;
        let waiting = self.pop(&mut queue);
        self.egress[port] = queue;
        waiting
    }

    /// Puts a packet back before all others that wait for `port`.
    ///
    /// # Errors
    /// [`Full`], which cannot be directly after a [`Backlog::dequeue`].
    pub fn put_back(&mut self, port: usize, waiting: Waiting<P>) -> Result<(), Full<Waiting<P>>> {
        let Some(&queue) = self.egress.get(port) else {
            return Err(Full(waiting));
        };
        let place = self.fill(queue.head, waiting)?;
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
        Ok(())
    }

    /// Takes every held packet of `condition` out, oldest first; the others keep their order.
    pub fn release(&mut self, condition: u32) -> Vec<P> {
        let mut queue = self.held;
        let mut rest = Queue::EMPTY;
        let mut released = Vec::new();
        while queue.head != NONE {
            let place = queue.head;
            let Some(slot) = self.slots.get_mut(place as usize) else {
                break;
            };
            queue.head = slot.next;
            match slot
                .waiting
                .take_if(|waiting| waiting.condition == condition)
            {
                Some(waiting) => {
                    slot.next = std::mem::replace(&mut self.free, place);
                    released.push(waiting.packet);
                }
                None => self.link(&mut rest, place),
            }
        }
        self.held = rest;
        released
    }

    /// The packets on hold, oldest first.
    pub fn iter_held(&self) -> impl Iterator<Item = &Waiting<P>> {
        self.iter(self.held)
    }

    /// The packets that wait for `port`, oldest first.
    pub fn iter_waiting(&self, port: usize) -> impl Iterator<Item = &Waiting<P>> {
        self.iter(self.egress.get(port).copied().unwrap_or(Queue::EMPTY))
    }

    fn iter(&self, queue: Queue) -> impl Iterator<Item = &Waiting<P>> {
        let mut next = queue.head;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next as usize)?;
            next = slot.next;
            slot.waiting.as_ref()
        })
    }

    /// Puts a packet into a free slot, which then comes before `next`.
    fn fill(&mut self, next: u32, waiting: Waiting<P>) -> Result<u32, Full<Waiting<P>>> {
        let place = self.free;
        match self.slots.get_mut(place as usize) {
            Some(slot) => {
                self.free = std::mem::replace(&mut slot.next, next);
                slot.waiting = Some(waiting);
                Ok(place)
            }
            None => Err(Full(waiting)),
        }
    }

    fn append(&mut self, queue: &mut Queue, waiting: Waiting<P>) -> Result<(), Full<Waiting<P>>> {
        let place = self.fill(NONE, waiting)?;
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

    fn pop(&mut self, queue: &mut Queue) -> Option<Waiting<P>> {
        let place = queue.head;
        let slot = self.slots.get_mut(place as usize)?;
        let waiting = slot.waiting.take();
        let next = std::mem::replace(&mut slot.next, self.free);
        self.free = place;
        queue.head = next;
        queue.length -= 1;
        if next == NONE {
            queue.tail = NONE;
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const PORTS: usize = 3;

    #[derive(Clone, Debug)]
    enum Step {
        Hold(u32),
        Enqueue(usize),
        Dequeue(usize),
        PutBack(usize),
        Release(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u32..3).prop_map(Step::Hold),
            (0..PORTS).prop_map(Step::Enqueue),
            (0..PORTS).prop_map(Step::Dequeue),
            (0..PORTS).prop_map(Step::PutBack),
            (0u32..3).prop_map(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn each_queue_keeps_its_order_and_all_together_the_bound(
            capacity in 0u32..12,
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut backlog = Backlog::new(capacity, PORTS);
            let mut held: VecDeque<(u32, usize)> = VecDeque::new();
            let mut egress: [VecDeque<usize>; PORTS] = Default::default();
            for (packet, step) in steps.into_iter().enumerate() {
                let full = held.len() + egress.iter().map(VecDeque::len).sum::<usize>() == capacity as usize;
                match step {
                    Step::Hold(condition) => {
                        prop_assert_eq!(backlog.hold(Waiting { condition, packet }).is_err(), full);
                        if !full { held.push_back((condition, packet)) }
                    }
                    Step::Enqueue(port) => {
                        prop_assert_eq!(backlog.enqueue(port, Waiting { condition: 9, packet }).is_err(), full);
                        if !full { egress[port].push_back(packet) }
                    }
                    Step::Dequeue(port) => {
                        prop_assert_eq!(backlog.dequeue(port).map(|waiting| waiting.packet), egress[port].pop_front());
                    }
                    Step::PutBack(port) => {
                        prop_assert_eq!(backlog.put_back(port, Waiting { condition: 9, packet }).is_err(), full);
                        if !full { egress[port].push_front(packet) }
                    }
                    Step::Release(condition) => {
                        let expected: Vec<usize> = held.iter().filter(|held| held.0 == condition).map(|held| held.1).collect();
                        prop_assert_eq!(backlog.release(condition), expected);
                        held.retain(|held| held.0 != condition);
                    }
                }
                prop_assert_eq!(backlog.held(), held.len());
                let now: Vec<(u32, usize)> = backlog.iter_held().map(|waiting| (waiting.condition, waiting.packet)).collect();
                prop_assert_eq!(now, Vec::from(held.clone()));
                for (port, queue) in egress.iter().enumerate() {
                    prop_assert_eq!(backlog.waiting(port), queue.len());
                    let now: Vec<usize> = backlog.iter_waiting(port).map(|waiting| waiting.packet).collect();
                    prop_assert_eq!(now, Vec::from(queue.clone()));
                }
                prop_assert_eq!(backlog.is_clear(), egress.iter().all(VecDeque::is_empty));
            }
        }
    }

    #[test]
    fn a_port_that_is_not_there_takes_nothing() {
        let mut backlog = Backlog::new(4, 1);
        assert_eq!(
            backlog.enqueue(
                1,
                Waiting {
                    condition: 0,
                    packet: 'p'
                }
            ),
            Err(Full(Waiting {
                condition: 0,
                packet: 'p'
            }))
        );
        assert_eq!(backlog.dequeue(1), None);
    }
}
