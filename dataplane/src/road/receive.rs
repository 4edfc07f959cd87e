//! Station 1: a burst from a receive queue.

use super::{Doors, Packets};
use crate::dpdk::RxQueue;

/// A receive queue, and the index of its port.
#[derive(Debug)]
pub(crate) struct Ingress {
    pub(crate) port: u16,
    pub(crate) queue: RxQueue,
}

/// Takes up to `max` frames, counts them, and returns how many they are. Their octets are counted by who first looks at
/// them ([`count_octets`]): every look at a frame's length costs.
#[inline]
pub(crate) fn receive(
    ingress: &mut Ingress,
    packets: &mut Packets,
    max: usize,
    doors: &Doors,
) -> usize {
    let received = ingress.queue.receive(&mut packets.mbufs, max);
    if received > 0
        && let Some(counters) = doors.shared.counters.ports.get(usize::from(ingress.port))
    {
        counters.rx_packets.add(received as u64);
    }
    received
}

/// Counts the octets of the frames just received on `port`.
#[inline(always)]
pub(super) fn count_octets(octets: u64, port: u16, doors: &Doors) {
    if let Some(counters) = doors.shared.counters.ports.get(usize::from(port)) {
        counters.rx_octets.add(octets);
    }
}
