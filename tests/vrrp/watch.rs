//! Who advertises on the hub, as the host sees it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataplane::wire::ethernet::Frame;
use dataplane::wire::ipv4::{Packet, Protocol};
use lab::link::End;
use lab::packet_socket::PacketSocket;

const LOOK: Duration = Duration::from_millis(20);

/// An advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advertisement {
    /// Since the watch began.
    pub(crate) at: Duration,
    pub(crate) from: Ipv4Addr,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
}

/// A thread that collects them.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Advertisement>>,
}

impl Watch {
    pub(crate) fn start(end: End<'_>) -> Watch {
        let socket = PacketSocket::open(end).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let began = Instant::now();
                let mut seen = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let frame = socket.receive(LOOK).expect("a frame");
                    let read = |frame| read(began.elapsed(), frame);
                    seen.extend(frame.as_deref().and_then(read));
                }
                seen
            }
        });
        Watch { stop, thread }
    }

    pub(crate) fn finish(self) -> Vec<Advertisement> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a watch")
    }
}

fn read(at: Duration, frame: &[u8]) -> Option<Advertisement> {
    let frame = Frame::parse(frame).ok()?;
    let packet = Packet::parse(frame.payload).ok()?;
    match packet.payload {
        [_, vrid, priority, ..] if packet.protocol == Protocol::VRRP => Some(Advertisement {
            at,
            from: packet.source,
            vrid: *vrid,
            priority: *priority,
        }),
        _ => None,
    }
}

/// The longest dispute of two masters: the most advertisements in a row of which each came from another router than the one before and the
/// one after. A clean succession has none; when the first advertisement of the new master crosses the last one of the old, there are
/// two. Resignations do not count.
pub(crate) fn longest_dispute(seen: &[Advertisement]) -> Vec<Advertisement> {
    let claims = seen.iter().filter(|claim| claim.priority > 0);
    let claims: Vec<Advertisement> = claims.copied().collect();
    let (mut dispute, mut longest) = (Vec::new(), Vec::new());
    for around in claims.windows(3) {
        let alone = around[0].from != around[1].from && around[1].from != around[2].from;
        if alone {
            dispute.push(around[1]);
        } else {
            dispute.clear();
        }
        if dispute.len() > longest.len() {
            longest.clone_from(&dispute);
        }
    }
    longest
}

#[test]
fn a_dispute_is_as_long_as_the_advertisements_that_alternate() {
    let seen = |letters: &str| -> Vec<Advertisement> {
        let octet = |letter: u8| if letter == b'x' { 1 } else { 2 };
        letters
            .bytes()
            .map(|letter| Advertisement {
                at: Duration::ZERO,
                from: Ipv4Addr::new(10, 0, 0, octet(letter)),
                vrid: 1,
                priority: 100,
            })
            .collect()
    };
    for (letters, longest) in [
        ("", 0),
        ("xxxx", 0),
        ("xxyy", 0),
        ("xxyxyy", 2),
        ("xxyxxx", 1),
        ("xxyxyxyxx", 5),
    ] {
        assert_eq!(longest_dispute(&seen(letters)).len(), longest, "{letters}");
    }
}
