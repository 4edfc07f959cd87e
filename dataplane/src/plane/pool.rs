//! The pool of packet buffers: how large it is, and how much of it moves may occupy.

use super::config::{PortConfig, StartError, WorkerConfig};
use super::start::RINGS;
use crate::backlog::BEYOND_MAX;
use crate::dpdk::{BURST_MAX, Eal, Mempool, Port};

/// Ethernet header, two VLAN tags, frame check sequence.
const FRAME_OVERHEAD_OCTETS: u16 = 14 + 8 + 4;

/// Buffers that each thread may keep at hand.
const CACHE_MBUFS: u16 = 512;

/// What ports and workers ask of the pool of packet buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolDemand {
    /// Buffers, so that no queue starves another.
    pub(super) mbufs: u32,
    /// The room for data in each: the largest frame of any port fits.
    pub(super) data_room: u16,
    /// The most packets that each worker may keep on hold. A quarter of the backlog stays for congestion, and what receive and
    /// transmit queues need stays for them, even if the operator has given fewer buffers.
    pub(super) held: u32,
}

impl PoolDemand {
    pub(super) fn of<'a>(
        ports: impl Iterator<Item = &'a PortConfig>,
        config: &WorkerConfig,
    ) -> Self {
        let workers = u32::from(config.count);
        let mut queues = 0;
        let mut largest = 0;
        for port in ports {
            let rx = u32::from(port.rx_queues.unwrap_or(config.count));
            queues +=
                rx * u32::from(port.rx_descriptors) + workers * u32::from(port.tx_descriptors);
            largest = largest.max(frame_octets(port));
        }
        let rings = (RINGS.vrrp + RINGS.arp + RINGS.rest + RINGS.outgoing) as u32;
        let at_hand = 2 * u32::from(CACHE_MBUFS) + 4 * BURST_MAX as u32;
        let mbufs = config
            .mbufs
            .unwrap_or(queues + workers * (config.backlog + BEYOND_MAX + rings + at_hand) + 4096);
        let spare = mbufs.saturating_sub(queues + workers * at_hand) / workers.max(1);
        Self {
            mbufs,
            data_room: largest
                .max(2048)
                .checked_next_multiple_of(ROOM_UNIT)
                .unwrap_or(largest),
            held: spare.min(config.backlog - config.backlog / 4),
        }
    }
}

/// Some network cards know the size of a buffer only in such units (ixgbe), and would spread over two what fits the rest of one.
const ROOM_UNIT: u16 = 1024;

/// The largest frame that a port may bring. A driver with buffers of its own says how large they are: net_af_packet's socket
/// puts fragments together, so that they may have to be larger than any frame on the wire.
fn frame_octets(port: &PortConfig) -> u16 {
    let mut arguments = port.device.split(',');
    let own = arguments.find_map(|argument| argument.strip_prefix("framesz=")?.parse().ok());
    let on_the_wire = port.mtu.saturating_add(FRAME_OVERHEAD_OCTETS);
    own.unwrap_or(0).max(on_the_wire)
}

/// The octets that the pool of packet buffers will take, within a few hundredths.
#[must_use]
pub fn pool_octets(ports: &[PortConfig], config: &WorkerConfig) -> u64 {
    let demand = PoolDemand::of(ports.iter(), config);
    u64::from(demand.mbufs) * u64::from(Mempool::object_octets(demand.data_room))
}

/// The pool, near the first port.
pub(super) fn make_pool(
    eal: &Eal,
    ports: &[(PortConfig, Port)],
    demand: PoolDemand,
) -> Result<Mempool, StartError> {
    let socket = ports
        .first()
        .and_then(|(_, port)| port.info().ok())
        .map_or(-1, |info| info.socket);
    Ok(Mempool::new(
        eal,
        "frames",
        demand.mbufs,
        CACHE_MBUFS,
        demand.data_room,
        socket,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_room_for_what_its_driver_may_bring() {
        let room = |device: &str| {
            let port = PortConfig::new("a", device);
            PoolDemand::of([&port].into_iter(), &WorkerConfig::default()).data_room
        };
        assert_eq!(room("net_af_packet0,iface=x"), 2048);
        assert_eq!(room("net_af_packet0,iface=x,framesz=8192"), 8192);
        assert_eq!(room("net_af_packet0,iface=x,framesz=1024"), 2048);
    }

    #[test]
    fn a_buffer_is_of_a_size_that_every_network_card_knows() {
        for mtu in [68, 1500, 2030, 9000, 9600] {
            let port = PortConfig {
                mtu,
                ..PortConfig::new("a", "0000:03:00.0")
            };
            let room = PoolDemand::of([&port].into_iter(), &WorkerConfig::default()).data_room;
            assert!(
                room >= mtu + FRAME_OVERHEAD_OCTETS && room.is_multiple_of(1024),
                "{mtu}: {room}"
            );
        }
    }

    #[test]
    fn what_is_held_leaves_the_queues_their_buffers() {
        let ports = [PortConfig::new("a", "x"), PortConfig::new("b", "y")];
        let held = |mbufs| {
            let config = WorkerConfig {
                count: 2,
                mbufs,
                ..WorkerConfig::default()
            };
            PoolDemand::of(ports.iter(), &config).held
        };
        assert_eq!(held(None), 3072);
        // Two ports with two queues of 1024 either way, and what two workers have at hand.
        let queues = 2 * 2 * 2 * 1024 + 2 * 1280;
        assert_eq!(held(Some(queues + 2 * 1000)), 1000);
        assert_eq!(held(Some(queues / 2)), 0);
    }
}
