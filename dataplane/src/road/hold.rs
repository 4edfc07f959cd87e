//! The door to the backlog, for packets whose condition is on hold, and the way back to the road.

use arrayvec::ArrayVec;

use super::verdict::count;
use super::{Doors, Egress, Missing, Packets, neighbour, rewrite, route, transmit};
use crate::backlog::{Full, Held, Place};
use crate::counters::DiscardReason;
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::handover::fingerprint;
use crate::tables::Tables;

/// The most packets that a worker keeps on hold; below the backlog's capacity, so that congestion finds room too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldLimit(pub(crate) usize);

impl Doors {
    /// Keeps a packet, received on `port` for the virtual MAC of group `via`, in the backlog; if that is full, discards it.
    #[cold]
    pub(crate) fn hold(&mut self, mbuf: Mbuf, condition: u32, port: u16, via: u16) {
        let held = Held {
            condition,
            // Now that the packet is in the cache, rather than when all that are held are asked for theirs.
            fingerprint: fingerprint(&mbuf),
            port,
            via,
            packet: mbuf,
        };
        let done = if self.backlog.held() < self.held_limit.0 {
            self.backlog.hold(held)
        } else {
            Err(Full(held))
        };
        if let Err(Full(held)) = done {
            self.discard(held.packet, DiscardReason::HoldOverflow);
        }
        self.count_held();
    }

    /// Says how many packets are on hold.
    pub(crate) fn count_held(&self) {
        self.shared.counters.held.set(self.backlog.held() as u64);
    }

    /// Takes up to a burst of packets that are to be let go out of the backlog.
    fn released(&mut self, burst: &mut ArrayVec<Held<Mbuf>, BURST_MAX>) -> usize {
        let mut dropped = ArrayVec::<Mbuf, BURST_MAX>::new();
        let taken = self
            .part
            .release(&mut self.backlog, BURST_MAX, |held, accepted_before| {
                // No more are taken than a burst holds.
                if accepted_before {
                    let _ = dropped.try_push(held.packet);
                } else {
                    let _ = burst.try_push(held);
                }
            });
        for mbuf in dropped {
            self.discard(mbuf, DiscardReason::AcceptedBefore);
        }
        self.count_held();
        taken
    }

    /// Takes up to a burst of packets out of the backlog that need not wait for their next hop's MAC any longer.
    fn settled(&mut self, burst: &mut ArrayVec<Held<Mbuf>, BURST_MAX>) -> usize {
        let taken = self.backlog.take_settled(BURST_MAX, |held| {
            // No more are taken than a burst holds.
            let _ = burst.try_push(held);
        });
        self.count_unresolved();
        taken
    }
}

/// Sends held packets that are to be let go down the rest of the road, at most `max` bursts of them. Returns how many came
/// out of the backlog.
#[cold]
pub(crate) fn release(
    max: usize,
    tables: &Tables,
    packets: &mut Packets,
    egress: &mut [Egress],
    doors: &mut Doors,
) -> usize {
    send_on(
        max,
        Doors::released,
        tables,
        packets,
        egress,
        doors,
        |packets, doors| {
            doors.tally.allow(packets.mbufs.octets());
            count(packets, 0, &doors.tally);
            Missing::Waits(Place::Kept)
        },
    )
}

/// Sends packets on, in the same way, that need not wait for their next hop's MAC any longer.
#[cold]
pub(crate) fn send_settled(
    max: usize,
    tables: &Tables,
    packets: &mut Packets,
    egress: &mut [Egress],
    doors: &mut Doors,
) -> usize {
    send_on(
        max,
        Doors::settled,
        tables,
        packets,
        egress,
        doors,
        |_, _| Missing::GivenUp,
    )
}

/// Sends packets of the backlog down the rest of the road that `take` gives, a burst at a time. `begin` is called for those of each burst that came in by
/// one port, and says what becomes of those whose next hop's MAC is not known.
fn send_on(
    max: usize,
    take: impl Fn(&mut Doors, &mut ArrayVec<Held<Mbuf>, BURST_MAX>) -> usize,
    tables: &Tables,
    packets: &mut Packets,
    egress: &mut [Egress],
    doors: &mut Doors,
    begin: impl Fn(&Packets, &mut Doors) -> Missing,
) -> usize {
    let mut total = 0;
    let mut burst = ArrayVec::new();
    for _ in 0..max {
        let taken = take(doors, &mut burst);
        if taken == 0 {
            break;
        }
        total += taken;
        let mut held = burst.drain(..).peekable();
        while let Some(port) = held.peek().map(|held| held.port) {
            while let Some(held) = held.next_if(|held| held.port == port) {
                // They were a burst before, so there is room.
                packets.put_back(held);
            }
            let missing = begin(packets, doors);
            route(packets, tables);
            neighbour(packets, port, tables, doors, missing);
            rewrite(packets, port, tables, doors);
            transmit(packets, egress, doors);
        }
        drop(held);
        doors.free_discarded();
    }
    total
}
