//! Packets of end systems, each of which can be told from all others by what is in it.

use std::net::Ipv4Addr;
use std::rc::Rc;

/// A packet, as a worker has it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// The how manieth of the run.
    pub(crate) number: u32,
    /// Whose source or destination address decides.
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    octets: Rc<[u8]>,
}

impl dataplane::backlog::Packet for Packet {
    fn ip_octets(&self) -> &[u8] {
        &self.octets
    }
}

impl Packet {
    /// A TCP segment, or a UDP datagram, whose number is in it.
    pub(crate) fn new(number: u32, source: Ipv4Addr, destination: Ipv4Addr, tcp: bool) -> Packet {
        let mut octets = vec![
            0x45,
            0,
            0,
            40,
            0,
            0,
            0,
            0,
            64,
            if tcp { 6 } else { 17 },
            0,
            0,
        ];
        octets.extend(source.octets());
        octets.extend(destination.octets());
        octets.extend([0x13, 0x88, 0, 80]);
        octets.extend(number.to_be_bytes());
        octets.resize(40, 0);
        Packet {
            number,
            source,
            destination,
            octets: octets.into(),
        }
    }
}
