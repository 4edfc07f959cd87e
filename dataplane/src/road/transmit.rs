//! Station 7: out of the egress ports, in order. What a transmit queue does not take waits in the backlog, and what comes
//! after it for the same port waits behind it.

use super::{Doors, NO_CONDITION, Packets};
use crate::backlog::{Full, Waiting};
use crate::counters::{DiscardReason, WorkerCounters};
use crate::dpdk::{BURST_MAX, Burst, Mbuf, TxQueue};
use crate::handover::EgressState;

/// A worker's transmit queue on one port, and the packets of the present burst that are to leave by it.
pub(crate) struct Egress {
    port: usize,
    queue: TxQueue,
    staged: Burst,
    /// The conditions of the staged packets.
    conditions: [u32; BURST_MAX],
    /// How many packets had gone into the queue when it last took less than it was given.
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

    #[inline(always)]
    pub(crate) fn stage(&mut self, mbuf: Mbuf, condition: u32, doors: &mut Doors) {
        if self.staged.is_full() {
            self.send(doors);
        }
        if let Some(place) = self.conditions.get_mut(self.staged.len()) {
            *place = condition;
        }
        // There is room: the burst was sent if it was full, and sending leaves none.
        let _ = self.staged.push(mbuf);
    }

    /// Sends what is staged, or queues it behind what already waits.
    #[inline]
    pub(crate) fn send(&mut self, doors: &mut Doors) {
        if self.staged.is_empty() {
            return;
        }
        let mut sent = 0;
        if doors.backlog.waiting(self.port) == 0 {
            sent = self.transmit(doors);
        }
        if !self.staged.is_empty() {
            self.enqueue(sent, doors);
        }
    }

    /// Sends as many of the staged packets as the queue takes, and counts them.
    #[inline]
    fn transmit(&mut self, doors: &mut Doors) -> usize {
        let octets = |burst: &Burst| {
            burst
                .as_slice()
                .iter()
                .map(|mbuf| u64::from(mbuf.frame_octets()))
                .sum::<u64>()
        };
        let before = octets(&self.staged);
        let sent = self.queue.transmit(&mut self.staged);
        if let Some(counters) = doors.shared.counters.ports.get(self.port) {
            counters.tx_packets.add(sent as u64);
            counters.tx_octets.add(before - octets(&self.staged));
        }
        sent
    }

    /// Moves staged packets, the first of which was at place `first`, to the backlog.
    #[cold]
    fn enqueue(&mut self, first: usize, doors: &mut Doors) {
        for (place, mbuf) in self.staged.drain().enumerate() {
            let condition = self
                .conditions
                .get(first + place)
                .copied()
                .unwrap_or(NO_CONDITION);
            if let Err(Full(waiting)) = doors.backlog.enqueue(
                self.port,
                Waiting {
                    condition,
                    packet: mbuf,
                },
            ) {
                doors.discard(waiting.packet, DiscardReason::EgressOverflow);
            } else if let Some(counters) = doors.shared.counters.ports.get(self.port) {
                counters.congested.add(1);
            }
        }
        self.count_backlog(doors);
    }

    fn count_backlog(&mut self, doors: &Doors) {
        if let Some(counters) = doors.shared.counters.ports.get(self.port) {
            let waiting = doors.backlog.waiting(self.port);
            counters.backlog.set(waiting as u64);
            if waiting > 0 {
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
        loop {
            while !self.staged.is_full()
                && let Some(waiting) = doors.backlog.dequeue(self.port)
            {
                if let Some(place) = self.conditions.get_mut(self.staged.len()) {
                    *place = waiting.condition;
                }
                let _ = self.staged.push(waiting.packet);
            }
            if self.staged.is_empty() {
                break;
            }
            let sent = self.transmit(doors);
            total += sent;
            if !self.staged.is_empty() {
                // Back they go, the last one first, so that they keep their order.
                let mut left: arrayvec::ArrayVec<Mbuf, BURST_MAX> = self.staged.drain().collect();
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
        self.count_backlog(doors);
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

/// Sends each packet out of its egress port.
#[inline]
pub(crate) fn transmit(packets: &mut Packets, egress: &mut [Egress], doors: &mut Doors) {
    for packet in packets.iter_mut() {
        if let Some(mbuf) = packet.mbuf.take()
            && let Some(egress) = egress.get_mut(usize::from(packet.egress))
        {
            egress.stage(mbuf, packet.condition, doors);
        }
    }
    packets.clear();
    for egress in egress {
        egress.send(doors);
    }
}
