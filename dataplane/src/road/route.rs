//! Station 4: longest prefix match.

use super::Packets;
use crate::tables::Tables;

/// Finds each packet's next hop. The look-ups of a burst do not wait for each other, so that their cache misses overlap.
#[inline]
pub(crate) fn route(packets: &mut Packets, tables: &Tables) {
    for packet in packets.iter_mut() {
        packet.hop = tables.fib.lookup(packet.destination);
    }
}
