//! A host that answers ICMP information requests (RFC 792), as hosts did once and Linux never has.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;
use crate::frame::{ETHERNET_OCTETS, Ipv4Frame, Mac, sum};
use crate::link::End;
use crate::packet_socket::PacketSocket;

const ICMP: u8 = 1;
const REQUEST: u8 = 15;
const REPLY: u8 = 16;
/// How long the thread waits for a frame before it looks whether to stop.
const LOOK: Duration = Duration::from_millis(20);

/// A thread that answers for a machine, until dropped.
#[derive(Debug)]
pub struct Informer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Informer {
    /// Starts answering at an interface, from this address, in a network with a prefix of 24 bits.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn start(end: End<'_>, address: Ipv4Addr) -> Result<Self> {
        let socket = PacketSocket::open(end)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let frame = socket.receive(LOOK)?;
                if let Some(reply) = frame.and_then(|frame| answer(&frame, address)) {
                    socket.send(&reply)?;
                }
            }
            Ok(())
        });
        let thread = Some(thread);
        Ok(Self { stop, thread })
    }
}

impl Drop for Informer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it could not send is missed by the test.
            let _ = thread.join();
        }
    }
}

/// The reply to a request: back to who asked, the network's part of both addresses filled in.
fn answer(frame: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let packet = frame.get(ETHERNET_OCTETS..)?;
    let header_octets = usize::from(packet.first()? & 0x0f) * 4;
    let message = packet.get(header_octets..header_octets + 8)?;
    if frame.get(12..14)? != [0x08, 0x00] || *packet.get(9)? != ICMP || *message.first()? != REQUEST
    {
        return None;
    }
    let asker: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let [n0, n1, n2, _] = address.octets();
    let asker = match asker {
        [0, 0, 0, host] => Ipv4Addr::new(n0, n1, n2, host),
        whole => whole.into(),
    };
    let from_mac: Mac = frame.get(6..12)?.try_into().ok()?;
    let mut payload = message.to_vec();
    payload[..4].copy_from_slice(&[REPLY, 0, 0, 0]);
    let checksum = !sum(&payload);
    payload[2..4].copy_from_slice(&checksum.to_be_bytes());
    let reply = Ipv4Frame {
        to_mac: from_mac,
        // A locally administered one, so that no neighbour is learned from it.
        from_mac: [2, 0, 0, 0, 0, 15],
        from: address,
        to: asker,
        ttl: 64,
        protocol: ICMP,
        identification: 0,
        fragment: 0,
        options: Vec::new(),
        payload,
    };
    Some(reply.octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_network_of_zero_is_answered_with_whole_addresses_and_nothing_else_is() {
        let request = |kind| {
            let mut payload = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 7];
            let checksum = !sum(&payload);
            payload[2..4].copy_from_slice(&checksum.to_be_bytes());
            Ipv4Frame {
                to_mac: [0xff; 6],
                from_mac: [2, 0, 0, 0, 0, 1],
                from: Ipv4Addr::new(0, 0, 0, 2),
                to: Ipv4Addr::BROADCAST,
                ttl: 1,
                protocol: ICMP,
                identification: 0,
                fragment: 0,
                options: Vec::new(),
                payload,
            }
            .octets()
        };
        let own = Ipv4Addr::new(192, 0, 2, 9);
        let reply = answer(&request(REQUEST), own).expect("a reply");
        assert_eq!(reply[..6], [2, 0, 0, 0, 0, 1]);
        assert_eq!(reply[26..34], [192, 0, 2, 9, 192, 0, 2, 2]);
        assert_eq!(reply[34..36], [REPLY, 0]);
        assert_eq!(reply[38..42], [0x12, 0x34, 0, 7]);
        assert_eq!(sum(&reply[34..]), 0xffff);
        assert_eq!(answer(&request(8), own), None);
        assert_eq!(answer(&reply, own), None);
    }
}
