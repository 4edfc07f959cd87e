use std::sync::Arc;

use super::super::header::{PROTOCOL_AT, VRRP};
use super::*;
use crate::backlog::{BEYOND_MAX, Backlog, Held};
use crate::dpdk::{Device, Eal, Mempool, Port, QueueDemand, Rss};
use crate::handover::WorkerPart;
use crate::road::HeldLimit;
use crate::shared::{RingSizes, Shared};

const DESCRIPTORS: u16 = 1024;
/// None is used.
const RINGS: RingSizes = RingSizes {
    vrrp: 1,
    arp: 1,
    rest: 1,
    outgoing: 1,
    commands: 1,
    learned: 1,
    wanted: 1,
};

/// The EAL starts once in a process, so that this is one test.
#[test]
fn a_full_queue_counts_as_such_and_has_vrrp_wait_even_if_the_backlog_has_no_room_for_others() {
    let id = std::process::id();
    let prefix = format!("--file-prefix=transmit{id}");
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "64", &prefix]).unwrap();
    let pool = Mempool::new(&eal, "frames", 2048, 0, 2048, -1).unwrap();
    // Nobody takes out of it what goes into it, and its driver does not say how much that is.
    let device = Device::probe(&eal, "net_ring0").unwrap();
    let mut port = Port::new(device).unwrap();
    let demand = QueueDemand {
        rx_queues: 1,
        tx_queues: 1,
        rx_descriptors: DESCRIPTORS,
        tx_descriptors: DESCRIPTORS,
        mtu: 1500,
        rss: Rss::None,
    };
    port.configure(&demand, &pool).unwrap();
    let (_receive, transmit) = port.start().unwrap();
    let mut egress = Egress::new(0, transmit.into_iter().next().unwrap());
    let shared = Arc::new(Shared::new(1, RINGS).unwrap());
    let backlog = Backlog::new(1, 1);
    let part = WorkerPart::default();
    let mut doors = Doors::new(Arc::clone(&shared), backlog, HeldLimit(1), part);

    let frame = || {
        let mut mbuf = pool.alloc().unwrap();
        assert!(mbuf.append_copy(&[0; 60]));
        mbuf
    };
    let held = Held {
        condition: 0,
        fingerprint: 0,
        port: 0,
        via: 0,
        packet: frame(),
    };
    doors.backlog.hold(held).unwrap();
    assert_eq!(egress.state(&shared.counters).full_at, None);
    let counts = loop {
        egress.stage(frame(), NO_CONDITION, &mut doors);
        egress.send_staged(Origin::Road, &mut doors);
        doors.free_discarded();
        let counts = shared.counters.snapshot();
        if counts.discarded(DiscardReason::EgressOverflow) > 0 {
            break counts;
        }
    };
    assert_eq!(counts.ports[0].backlog, 0);
    let state = egress.state(&shared.counters);
    assert_eq!((state.idle, state.full_at), (None, Some(state.sent)));

    let vrrp = || {
        let mut mbuf = frame();
        mbuf.data_mut()[12..14].copy_from_slice(&[0x08, 0x00]);
        mbuf.data_mut()[PROTOCOL_AT] = VRRP;
        mbuf
    };
    let mut send_control = |frames: u32, frame: &dyn Fn() -> Mbuf| {
        for _ in 0..frames {
            egress.stage(frame(), NO_CONDITION, &mut doors);
        }
        let kept = egress.send_control(&mut doors);
        doors.free_discarded();
        kept
    };
    assert_eq!(
        send_control(100, &frame),
        0,
        "answers of the host wait as the traffic does"
    );
    assert_eq!(send_control(20, &vrrp), 20);
    let left = BEYOND_MAX - 20;
    assert_eq!(send_control(left + 6, &vrrp), left as usize);
    assert_eq!(send_control(1, &vrrp), 0);
    let waiting = shared.counters.snapshot().ports[0].backlog;
    assert_eq!(waiting, BEYOND_MAX.into());
}
