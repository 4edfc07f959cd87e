//! Station 1: a burst from a receive queue.

use super::Doors;
use crate::dpdk::{Burst, RxQueue};

/// A receive queue, and the index of its port.
#[derive(Debug)]
pub(crate) struct Ingress {
    pub(crate) port: u16,
    pub(crate) queue: RxQueue,
}

/// Fills `burst` with up to `max` frames, counts them, and returns how many they are.
#[inline]
pub(crate) fn receive(
    ingress: &mut Ingress,
    burst: &mut Burst,
    max: usize,
    doors: &Doors,
) -> usize {
    let received = ingress.queue.receive(burst, max);
    if received > 0
        && let Some(counters) = doors.shared.counters.ports.get(usize::from(ingress.port))
    {
        let octets: u64 = burst
            .as_slice()
            .iter()
            .map(|mbuf| u64::from(mbuf.frame_octets()))
            .sum();
        counters.rx_packets.add(received as u64);
        counters.rx_octets.add(octets);
    }
    received
}
