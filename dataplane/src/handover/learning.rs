//! Learning end systems: the addresses of packets that no condition names, each offered to the control thread once.

use std::net::Ipv4Addr;

use crossbeam::queue::ArrayQueue;

/// An address that was seen in a packet of a watched rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Learned {
    /// The index of the port.
    pub port: u16,
    /// The group's VRID.
    pub vrid: u8,
    /// The source address, or the destination address if the group matches on that.
    pub address: Ipv4Addr,
}

impl Learned {
    /// Never zero, and different for different ones.
    fn key(self) -> u64 {
        1 << 63
            | u64::from(self.port) << 40
            | u64::from(self.vrid) << 32
            | u64::from(self.address.to_bits())
    }
}

/// How many addresses a worker remembers to have offered.
const REMEMBERED: usize = 256;

/// The addresses that one worker has offered lately.
#[derive(Debug)]
pub struct Learner {
    /// Direct-mapped: an address and whichever comes to the same place displace each other.
    offered: Box<[u64; REMEMBERED]>,
    /// The tables under which they were offered. With others all are offered again, as what was learned may have been forgotten.
    generation: u64,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            offered: Box::new([0; REMEMBERED]),
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
            self.offered.fill(0);
        }
        let key = learned.key();
        let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize;
        match self.offered.get_mut(place) {
            Some(offered) if *offered != key => {
                let done = ring.push(learned).is_ok();
                if done {
                    *offered = key;
                }
                done
            }
            _ => true,
        }
    }
}
