//! Learning end systems: the addresses of packets that no condition names, each offered to the control thread once.

use std::net::Ipv4Addr;

use crossbeam::queue::ArrayQueue;

use crate::addr::MacAddr;

/// An address that was seen in a packet of a watched rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Learned {
    /// The index of the port.
    pub port: u16,
    /// The group's VRID.
    pub vrid: u8,
    /// The source address, or the destination address if the group matches on that.
    pub address: Ipv4Addr,
    /// The link address that the packet came from: the end system's own, or that of the router before this one.
    pub from: MacAddr,
}

impl Learned {
    /// Where a worker remembers that it has offered this.
    fn place(&self) -> usize {
        let [m0, m1, m2, m3, m4, m5] = self.from.0;
        let from = u64::from_be_bytes([0, 0, m0, m1, m2, m3, m4, m5]);
        let whence = u64::from(self.port) << 48 ^ u64::from(self.vrid) << 40 ^ from;
        let mixed = whence.rotate_left(32) ^ u64::from(self.address.to_bits());
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
    }
}

/// How many addresses a worker remembers to have offered.
const REMEMBERED: usize = 256;

/// The addresses that one worker has offered lately.
#[derive(Debug)]
pub struct Learner {
    /// Direct-mapped: an address and whichever comes to the same place displace each other.
    offered: Box<[Option<Learned>; REMEMBERED]>,
    /// The tables under which they were offered. With others all are offered again, as what was learned may have been forgotten.
    generation: u64,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            offered: Box::new([None; REMEMBERED]),
            generation: 0,
        }
    }
}

impl Learner {
    /// Offers an address that no condition names in tables of this generation, unless that was done lately. Whether there
    /// was room for it.
    pub fn offer(&mut self, learned: Learned, generation: u64, ring: &ArrayQueue<Learned>) -> bool {
        if self.generation != generation {
            self.generation = generation;
            self.offered.fill(None);
        }
        match self.offered.get_mut(learned.place()) {
            Some(offered) if *offered != Some(learned) => {
                let done = ring.push(learned).is_ok();
                if done {
                    *offered = Some(learned);
                }
                done
            }
            _ => true,
        }
    }
}
