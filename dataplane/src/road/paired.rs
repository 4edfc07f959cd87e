//! The short cut of the modes `io` and `mac`: everything out of the paired port, as dpdk-testpmd does it.

use super::receive::count_octets;
use super::transmit::Origin;
use super::{Doors, Egress, NO_CONDITION, Packets};
use crate::addr::MacAddr;
use crate::neighbours::mac_word;
use crate::tables::{ForwardingMode, Tables};

/// Destination and source at the beginning of a frame.
const MACS_OCTETS: usize = 12;

/// Sends a whole burst out of the port paired with `port`.
#[inline]
pub(crate) fn paired(
    packets: &mut Packets,
    port: u16,
    tables: &Tables,
    egress: &mut [Egress],
    doors: &mut Doors,
) {
    let pair = match port ^ 1 {
        other if usize::from(other) < egress.len() => other,
        _ => port,
    };
    if tables.mode == ForwardingMode::Mac
        && let Some(table) = tables.ports.get(usize::from(pair))
    {
        // Where dpdk-testpmd sends to unless told otherwise: 02:00:00:00:00:PORT.
        let to = mac_word(MacAddr([0x02, 0, 0, 0, 0, pair as u8]));
        for mbuf in packets.mbufs.as_mut_slice() {
            if let Some(macs) = mbuf.data_mut().first_chunk_mut::<MACS_OCTETS>() {
                macs[..8].copy_from_slice(&(to | table.mac << 48).to_le_bytes());
                macs[8..].copy_from_slice(&((table.mac >> 16) as u32).to_le_bytes());
            }
        }
    }
    let octets = packets.mbufs.octets();
    count_octets(octets, port, doors);
    if let Some(egress) = egress.get_mut(usize::from(pair)) {
        let none = |_| NO_CONDITION;
        egress.send(&mut packets.mbufs, octets, none, Origin::Road, doors);
    }
}
