//! Station 4: longest prefix match.

use super::Packets;
use crate::tables::Tables;

/// Finds each packet's next hop.
#[inline(never)]
pub(crate) fn route(packets: &mut Packets, tables: &Tables) {
    let places = packets.places();
    let notes = &mut packets.notes;
    tables
        .fib
        .lookup_all(&notes.destinations[places.clone()], &mut notes.hops[places]);
}
