//! What workers and the control thread share, under every interleaving and everything that a weak memory may show (`loom`): `scripts/concurrency`. Only the
//! atomics of this crate: the queues (`crossbeam`) and the swap of tables (`arc-swap`) cannot be gone through like this, and stand here as what they promise.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::model;
use loom::sync::Mutex;
use loom::sync::atomic::AtomicBool;
use loom::thread::{spawn, yield_now};

use crate::atomic::{AtomicU64, Ordering};
use crate::backlog::{Backlog, Held, Packet};
use crate::grace::{Grace, Retired, TakenUp};
use crate::handover::{AcceptedPackets, Release, Releasing};
use crate::sweep::{Listening, Sweeper, Sweeps};

/// A packet of which nothing is read.
struct Opaque;

impl Packet for Opaque {
    fn ip_octets(&self) -> &[u8] {
        &[]
    }
}

/// Waits for something that another thread does.
fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        yield_now();
    }
}

#[test]
fn what_was_in_a_receive_queue_when_it_counts_as_emptied_has_been_dealt_with_in_sight() {
    model(|| {
        let queue = Arc::new(Mutex::new(VecDeque::new()));
        let sweeps = Arc::new(Sweeps::default());
        let dealt_with = Arc::new(AtomicBool::new(false));
        let worker = {
            let (queue, sweeps) = (Arc::clone(&queue), Arc::clone(&sweeps));
            let dealt_with = Arc::clone(&dealt_with);
            move || {
                let mut sweeper = Sweeper::new(1, 1);
                for _ in 0..3 {
                    let frame = queue.lock().expect("a queue").pop_front();
                    if frame.is_some() {
                        // What a worker does with it: nothing that orders memory by itself.
                        dealt_with.store(true, Ordering::Relaxed);
                    }
                    sweeper.end_round(false, &sweeps);
                }
            }
        };
        let worker = spawn(worker);
        let listening = Listening::new(vec![sweeps]);
        queue.lock().expect("a queue").push_back(());
        let mark = listening.mark();
        // The worker may have ended too early for it to count.
        let mut looks = 0..3;
        while looks.next().is_some() {
            if listening.has_swept(&mark, 1) {
                assert!(dealt_with.load(Ordering::Relaxed), "not in sight");
            }
            yield_now();
        }
        worker.join().expect("a worker");
    });
}

#[test]
fn what_was_accepted_under_old_tables_is_in_sight_when_new_ones_are_taken_up() {
    model(|| {
        let published = Arc::new(AtomicU64::new(1));
        let taken_up = Arc::new(TakenUp::default());
        let accepted = Arc::new(AtomicU64::new(0));
        let worker = {
            let (published, taken_up) = (Arc::clone(&published), Arc::clone(&taken_up));
            let accepted = Arc::clone(&accepted);
            move || {
                for _ in 0..2 {
                    let generation = published.load(Ordering::Acquire);
                    taken_up.set(generation);
                    if generation == 1 {
                        // As a counter or a recording: plain stores of one writer.
                        let before = accepted.load(Ordering::Relaxed);
                        accepted.store(before + 1, Ordering::Relaxed);
                    }
                }
                taken_up.end();
            }
        };
        let worker = spawn(worker);
        let grace = Grace::new(vec![taken_up]);
        published.store(2, Ordering::Release);
        until(|| grace.has_passed(2));
        let seen = accepted.load(Ordering::Relaxed);
        worker.join().expect("a worker");
        assert_eq!(seen, accepted.load(Ordering::Relaxed), "not all in sight");
    });
}

#[test]
fn nothing_retired_comes_back_while_a_worker_may_read_it() {
    model(|| {
        let published = Arc::new(AtomicU64::new(1));
        let taken_up = Arc::new(TakenUp::default());
        let reading = Arc::new(AtomicBool::new(false));
        let worker = {
            let (published, taken_up) = (Arc::clone(&published), Arc::clone(&taken_up));
            let reading = Arc::clone(&reading);
            move || {
                for _ in 0..2 {
                    let generation = published.load(Ordering::Acquire);
                    taken_up.set(generation);
                    let reads_old = generation == 1;
                    reading.store(reads_old, Ordering::Relaxed);
                    reading.store(false, Ordering::Relaxed);
                }
                taken_up.end();
            }
        };
        let worker = spawn(worker);
        let grace = Grace::new(vec![taken_up]);
        let mut retired = Retired::default();
        retired.retire(vec![()], 2);
        published.store(2, Ordering::Release);
        while retired.reclaim(&grace).is_empty() {
            yield_now();
        }
        assert!(!reading.load(Ordering::Relaxed), "given back too early");
        worker.join().expect("a worker");
    });
}

#[test]
fn workers_that_release_together_drop_every_listed_packet_once() {
    const CONDITION: u32 = 5;
    const SAME: u64 = 77;
    model(|| {
        let list = AcceptedPackets {
            condition: CONDITION,
            fingerprints: vec![SAME, SAME],
            first_unrouted: None,
            overflowed: false,
        };
        let release = Arc::new(Release::new(&[CONDITION], &[list], 2));
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let release = Arc::clone(&release);
                spawn(move || {
                    let mut backlog: Backlog<Opaque> = Backlog::new(4, 1);
                    for _ in 0..2 {
                        let held = Held {
                            condition: CONDITION,
                            fingerprint: SAME,
                            port: 0,
                            via: 7,
                            packet: Opaque,
                        };
                        assert!(backlog.hold(held).is_ok());
                    }
                    let mut dropped = 0;
                    Releasing::new(&release, worker).step(&mut backlog, 4, |_, is_dropped| {
                        dropped += usize::from(is_dropped);
                    });
                    dropped
                })
            })
            .collect();
        let dropped: usize = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker"))
            .sum();
        assert_eq!(dropped, 2);
    });
}
