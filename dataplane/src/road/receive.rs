//! Station 1: a burst from a receive queue.

use super::{Doors, Packets};
use crate::dpdk::RxQueue;

/// A receive queue, and the index of its port.
#[derive(Debug)]
pub(crate) struct Ingress {
    pub(crate) port: u16,
    pub(crate) queue: RxQueue,
}

/// Takes up to `max` frames, counts them, and returns how many they are.
#[inline]
pub(crate) fn receive(
    ingress: &mut Ingress,
    packets: &mut Packets,
    max: usize,
    doors: &Doors,
) -> usize {
    let received = ingress.queue.receive(&mut packets.mbufs, max);
    if received > 0 {
        packets.received_octets = packets.mbufs.octets();
        if let Some(counters) = doors.shared.counters.ports.get(usize::from(ingress.port)) {
            counters.rx_packets.add(received as u64);
            counters.rx_octets.add(packets.received_octets);
        }
    }
    received
}
