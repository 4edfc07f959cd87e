//! Frames that no honest machine sends: noise, messages of the group with octets changed, cut off or sent once more, packets from strangers. None of them
//! may change what becomes of honest ones.
//!
//! What the standard leaves open is left out: a sound VRRP advertisement from anybody makes anybody master (RFC 9568 section 10).

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::act::Random;
use crate::Result;
use crate::frame::{ETHERNET_OCTETS, Ipv4Frame, Mac};
use crate::link::End;
use crate::packet_socket::PacketSocket;
use crate::topology::sharing::Sharing;

/// For how long messages are listened to first, at most.
const LISTEN: Duration = Duration::from_millis(120);
/// Frames one behind the other, and the pause behind them.
const BURST: u16 = 8;
const PAUSE: Duration = Duration::from_millis(2);
const VIRTUAL_MAC: Mac = [0, 0, 0x5e, 0, 1, Sharing::VRID];
const VRRP: u8 = 112;
const ADVERTISEMENT: u8 = 1;

/// Sends them from an end system; returns how many.
pub(super) fn send(from: End<'_>, random: &mut Random, frames: u16) -> Result<u64> {
    let socket = PacketSocket::open(from)?;
    let messages = listen(&socket)?;
    for number in 0..frames {
        let frame = match random.draw(0, 4) {
            0 => noise(random),
            1 => stranger(random),
            _ => message(&messages, random).unwrap_or_else(|| noise(random)),
        };
        socket.send(&frame)?;
        if number % BURST == BURST - 1 {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(frames.into())
}

/// Messages of the group, as a hub brings them to everybody.
fn listen(socket: &PacketSocket) -> Result<Vec<Vec<u8>>> {
    let start = Instant::now();
    let mut frames = Vec::new();
    // Everybody's packets are among them, and on a busy machine there is no end to those.
    while start.elapsed() < LISTEN
        && let Some(frame) = socket.receive(LISTEN)?
    {
        let is_message = frame.get(12..14) == Some(&[8, 0])
            && frame.get(ETHERNET_OCTETS + 9) == Some(&VRRP)
            && kind(&frame).is_some();
        if is_message {
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// The type of a VRRP message.
fn kind(frame: &[u8]) -> Option<u8> {
    Some(frame.get(ETHERNET_OCTETS + 20)? & 0x0f)
}

/// Octets without a sense behind a link header that every router takes.
fn noise(random: &mut Random) -> Vec<u8> {
    const TYPES: [[u8; 2]; 6] = [
        [0x08, 0x00],
        [0x08, 0x06],
        [0x86, 0xdd],
        [0x81, 0x00],
        [0x88, 0xcc],
        [0x00, 0x10],
    ];
    let mut frame = VIRTUAL_MAC.to_vec();
    frame.extend([0x02, 0xbd, 0, 0, 0, 0x66]);
    frame.extend(TYPES[random.draw(0, TYPES.len() as u64) as usize]);
    let octets = random.draw(0, 600);
    frame.extend((0..octets).map(|_| random.next() as u8));
    frame
}

/// A sound packet from an address that nobody has.
fn stranger(random: &mut Random) -> Vec<u8> {
    let from = Ipv4Addr::new(10, 75, 1, random.draw(128, 255) as u8);
    let to = Ipv4Addr::from(random.next() as u32);
    let mac = [0x02, 0xbd, 0, 0, 0, 0x67];
    let mut frame = Ipv4Frame::udp(VIRTUAL_MAC, mac, (from, 9), (to, 9), b"from a stranger");
    frame.ttl = random.draw(0, 256) as u8;
    frame.protocol = random.next() as u8;
    if frame.protocol == VRRP {
        frame.protocol = 0;
    }
    frame.octets()
}

/// A message of the group that is not what it was, or comes once more.
fn message(messages: &[Vec<u8>], random: &mut Random) -> Option<Vec<u8>> {
    let index = random.draw(0, messages.len() as u64) as usize;
    let mut frame = messages.get(index)?.clone();
    let is_advertisement = kind(&frame)? == ADVERTISEMENT;
    match random.draw(0, 3) {
        // Only what has a number of its own is known by it.
        0 if !is_advertisement => {}
        1 => frame.truncate(random.draw(ETHERNET_OCTETS as u64, frame.len() as u64) as usize),
        _ => {
            // One changed bit is certain to be seen by a checksum of 16 bits.
            let bits = if is_advertisement {
                1
            } else {
                random.draw(1, 9)
            };
            for _ in 0..bits {
                let at = random.draw(ETHERNET_OCTETS as u64, frame.len() as u64) as usize;
                frame[at] ^= 1 << random.draw(0, 8);
            }
        }
    }
    Some(frame)
}
