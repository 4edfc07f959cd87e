//! A relay in a cable: a thread that takes every frame from one end to the other, and may lose, double or delay it on the way.
//! For links that misbehave in a way that no queueing discipline has, as towards certain messages only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::link::End;
use crate::packet_socket::{self, PacketSocket};
use crate::{LabError, Result};

/// How long it waits for a frame before it looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From the first end to the second: to the machine.
    Machine,
    /// From the second end to the first: to the network.
    Network,
}

/// What becomes of a frame: it arrives once for each of these delays, and not at all without one.
pub type Fate = Vec<Duration>;

/// Decides about each frame, in the order in which they come.
pub type Treatment = Box<dyn FnMut(Towards, &[u8]) -> Fate + Send>;

/// Numbers at random, the same for the same seed (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number below `below`.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % below.max(1)
    }
}

/// A running relay. Without it the cable is cut.
#[derive(Debug)]
pub struct Relay {
    stop: Arc<AtomicBool>,
    treated: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Relay {
    /// Starts one between two interfaces of a machine, of which `machine` is the one that leads to the machine.
    ///
    /// # Errors
    /// When there are no such interfaces.
    pub fn start(network: End<'_>, machine: End<'_>, mut treatment: Treatment) -> Result<Self> {
        let ends = [PacketSocket::open(network)?, PacketSocket::open(machine)?];
        let (stop, treated) = (Arc::default(), Arc::default());
        let thread = std::thread::spawn({
            let (stop, treated) = (Arc::clone(&stop), Arc::clone(&treated));
            move || run(&ends, &mut treatment, &stop, &treated)
        });
        Ok(Self {
            stop,
            treated,
            thread: Some(thread),
        })
    }

    /// Frames so far that did not simply arrive once and at once.
    #[must_use]
    pub fn treated(&self) -> u64 {
        self.treated.load(Ordering::Relaxed)
    }

    /// Stops it; what is still under way in it is lost.
    ///
    /// # Errors
    /// When a frame could not be sent or received.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| LabError::Panicked("a relay"))??;
        }
        Ok(self.treated())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only after a failure elsewhere, which matters more than this one.
            let _ = thread.join();
        }
    }
}

/// Frames under way: when each is due, the order in which they came, the end to which it goes, and it.
type UnderWay = BinaryHeap<Reverse<(Instant, u64, usize, Vec<u8>)>>;

fn run(
    ends: &[PacketSocket; 2],
    treatment: &mut Treatment,
    stop: &AtomicBool,
    treated: &AtomicU64,
) -> Result<()> {
    let mut under_way = UnderWay::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let pause = match under_way.peek() {
            Some(Reverse((due, ..))) => due.saturating_duration_since(Instant::now()),
            None => LOOK,
        };
        if !pause.is_zero() {
            packet_socket::wait([&ends[0], &ends[1]], pause.min(LOOK))?;
        }
        for (from, towards) in [(0, Towards::Machine), (1, Towards::Network)] {
            while let Some(frame) = ends[from].take()? {
                let fate = treatment(towards, &frame);
                if fate.as_slice() != [Duration::ZERO] {
                    treated.fetch_add(1, Ordering::Relaxed);
                }
                let now = Instant::now();
                for delay in fate {
                    number += 1;
                    under_way.push(Reverse((now + delay, number, 1 - from, frame.clone())));
                }
            }
        }
        let now = Instant::now();
        while let Some(Reverse((due, ..))) = under_way.peek()
            && *due <= now
        {
            if let Some(Reverse((_, _, to, frame))) = under_way.pop() {
                ends[to].send(&frame)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_fall_alike_for_the_same_seed_and_not_always_alike() {
        let throw = |seed| -> Vec<u64> {
            let mut dice = Dice(seed);
            (0..100).map(|_| dice.roll(6)).collect()
        };
        assert_eq!(throw(1), throw(1));
        assert_ne!(throw(1), throw(2));
        assert_eq!(throw(1).iter().max(), Some(&5));
    }
}
