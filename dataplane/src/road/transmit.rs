//! Station 7: out of the egress ports, in order. What a transmit queue does not take waits in the backlog, and what comes
//! after it for the same port waits behind it.

use std::mem;

use super::header::{ETHERNET_OCTETS, is_vrrp};
use super::packets::Notes;
use super::{Doors, NO_CONDITION, Packets};
use crate::backlog::{Full, Waiting};
use crate::counters::{DiscardReason, WorkerCounters};
use crate::dpdk::{BURST_MAX, Burst, Mbuf, TxQueue};
use crate::handover::EgressState;

/// Whose frames are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// They came down the road.
    Road,
    /// The control thread's. The backlog has room of its own for those of VRRP.
    Control,
}

/// A worker's transmit queue on one port.
pub(crate) struct Egress {
    port: usize,
    queue: TxQueue,
    /// Packets gathered to leave together.
    staged: Burst,
    /// Their conditions.
    conditions: [u32; BURST_MAX],
    /// How many packets had gone into the queue when it was last known to be full.
    full_at: Option<u64>,
}

impl Egress {
    pub(crate) fn new(port: usize, queue: TxQueue) -> Self {
        Self {
            port,
            queue,
            staged: Burst::new(),
            conditions: [NO_CONDITION; BURST_MAX],
            full_at: None,
        }
    }

    /// Gathers a packet, to leave with the others at the next [`Egress::send_staged`].
    #[inline(always)]
    pub(crate) fn stage(&mut self, mbuf: Mbuf, condition: u32, doors: &mut Doors) {
        if self.staged.is_full() {
            self.send_staged(Origin::Road, doors);
        }
        if let Some(place) = self.conditions.get_mut(self.staged.len()) {
            *place = condition;
        }
        // There is room: the burst was sent if it was full, and sending leaves none.
        let _ = self.staged.push(mbuf);
    }

    /// Sends what is staged, all of it the control thread's, or queues it behind what already waits. Returns how many frames were not discarded.
    pub(crate) fn send_control(&mut self, doors: &mut Doors) -> usize {
        let frames = self.staged.len();
        frames - self.send_staged(Origin::Control, doors)
    }

    /// Sends what is staged, or queues it behind what already waits. Returns how many packets found no room.
    fn send_staged(&mut self, origin: Origin, doors: &mut Doors) -> usize {
        let mut staged = mem::take(&mut self.staged);
        let conditions = self.conditions;
        let condition = |place: usize| conditions.get(place).copied().unwrap_or(NO_CONDITION);
        let octets = staged.octets();
        let discarded = self.send(&mut staged, octets, condition, origin, doors);
        self.staged = staged;
        discarded
    }

    /// Sends a burst of so many octets, or queues it behind what already waits. `condition` says that of the packet at a
    /// place. Returns how many packets found no room.
    #[inline(always)]
    pub(super) fn send(
        &mut self,
        burst: &mut Burst,
        octets: u64,
        condition: impl Fn(usize) -> u32,
        origin: Origin,
        doors: &mut Doors,
    ) -> usize {
        let mut sent = 0;
        if doors.backlog.waiting(self.port) == 0 {
            sent = self.transmit(burst, octets, doors);
        }
        if burst.is_empty() {
            0
        } else {
            self.enqueue(burst, |place| condition(sent + place), origin, doors)
        }
    }

    /// Sends as many packets of a burst of so many octets as the queue takes, and counts them; the rest stays in it.
    #[inline(always)]
    fn transmit(&mut self, burst: &mut Burst, octets: u64, doors: &Doors) -> usize {
        let sent = self.queue.transmit(burst);
        if let Some(counters) = doors.shared.counters.ports.get(self.port) {
            counters.tx_packets.add(sent as u64);
            counters.tx_octets.add(octets - burst.octets());
        }
        sent
    }

    /// Moves the packets of a burst to the backlog. Returns how many found no room and were discarded.
    #[cold]
    fn enqueue(
        &mut self,
        burst: &mut Burst,
        condition: impl Fn(usize) -> u32,
        origin: Origin,
        doors: &mut Doors,
    ) -> usize {
        let mut discarded = 0;
        for (place, packet) in burst.drain().enumerate() {
            let waiting = Waiting {
                condition: condition(place),
                packet,
            };
            let enqueued = match origin {
                Origin::Control if is_vrrp(waiting.packet.data()) => {
                    doors.backlog.enqueue_beyond(self.port, waiting)
                }
                Origin::Control | Origin::Road => doors.backlog.enqueue(self.port, waiting),
            };
            if let Err(Full(waiting)) = enqueued {
                discarded += 1;
                doors.discard(waiting.packet, DiscardReason::EgressOverflow);
            } else if let Some(counters) = doors.shared.counters.ports.get(self.port) {
                counters.congested.add(1);
            }
        }
        self.count_backlog(true, doors);
        discarded
    }

    /// Says how many packets wait for this port, and remembers if the queue is full: also when the backlog has no room for what it does not take.
    fn count_backlog(&mut self, is_full: bool, doors: &Doors) {
        if let Some(counters) = doors.shared.counters.ports.get(self.port) {
            counters
                .backlog
                .set(doors.backlog.waiting(self.port) as u64);
            if is_full {
                self.full_at = Some(counters.tx_packets.get());
            }
        }
    }

    /// What is known of the transmit ring.
    pub(crate) fn state(&self, counters: &WorkerCounters) -> EgressState {
        let port = counters.ports.get(self.port);
        EgressState {
            sent: port.map_or(0, |port| port.tx_packets.get()),
            full_at: self.full_at,
            idle: self.queue.is_idle(),
            descriptors: self.queue.descriptors(),
        }
    }

    /// Sends what waits for this port, as far as the queue takes it. Returns how many went.
    #[cold]
    fn drain(&mut self, doors: &mut Doors) -> usize {
        let mut total = 0;
        let mut burst = Burst::new();
        loop {
            while !burst.is_full()
                && let Some(waiting) = doors.backlog.dequeue(self.port)
            {
                if let Some(place) = self.conditions.get_mut(burst.len()) {
                    *place = waiting.condition;
                }
                let _ = burst.push(waiting.packet);
            }
            if burst.is_empty() {
                break;
            }
            let octets = burst.octets();
            let sent = self.transmit(&mut burst, octets, doors);
            total += sent;
            if !burst.is_empty() {
                // Back they go, the last one first, so that they keep their order.
                let mut left: arrayvec::ArrayVec<Mbuf, BURST_MAX> = burst.drain().collect();
                while let Some(packet) = left.pop() {
                    let condition = self
                        .conditions
                        .get(sent + left.len())
                        .copied()
                        .unwrap_or(NO_CONDITION);
                    if let Err(Full(waiting)) = doors
                        .backlog
                        .put_back(self.port, Waiting { condition, packet })
                    {
                        doors.discard(waiting.packet, DiscardReason::EgressOverflow);
                    }
                }
                break;
            }
        }
        self.count_backlog(doors.backlog.waiting(self.port) > 0, doors);
        total
    }
}

/// Sends what waits in the backlog for congested ports. Returns how many went.
#[inline]
pub(crate) fn drain_backlog(egress: &mut [Egress], doors: &mut Doors) -> usize {
    let mut sent = 0;
    if !doors.backlog.is_clear() {
        for egress in egress {
            if doors.backlog.waiting(egress.port) > 0 {
                sent += egress.drain(doors);
            }
        }
    }
    sent
}

/// Sends each packet out of its egress port. A burst that leaves by one port does so as it is.
#[inline]
pub(crate) fn transmit(packets: &mut Packets, egress: &mut [Egress], doors: &mut Doors) {
    let places = packets.places();
    if places.is_empty() {
        return;
    }
    let Packets { mbufs, notes, .. } = packets;
    if notes.runs_by_egress(places.clone()).next() != Some(places.clone()) {
        disperse(mbufs, notes, egress, doors);
    } else if let Some(egress) = egress.get_mut(usize::from(notes.egress(0))) {
        let totals = notes.total_octets[places.clone()].iter();
        // Of a burst they fit 32 bits.
        let octets = totals.map(|&total| u32::from(total)).sum::<u32>()
            + (places.len() * ETHERNET_OCTETS) as u32;
        let condition = |place: usize| notes.entries[place % BURST_MAX].condition();
        egress.send(mbufs, u64::from(octets), condition, Origin::Road, doors);
    }
}

/// Sends packets that leave by several ports.
#[inline(never)]
fn disperse(mbufs: &mut Burst, notes: &Notes, egress: &mut [Egress], doors: &mut Doors) {
    for (place, mbuf) in mbufs.drain().enumerate() {
        let place = place % BURST_MAX;
        if let Some(egress) = egress.get_mut(usize::from(notes.egress[place])) {
            egress.stage(mbuf, notes.entries[place].condition(), doors);
        }
    }
    for egress in egress {
        egress.send_staged(Origin::Road, doors);
    }
}

#[cfg(test)]
mod tests;
