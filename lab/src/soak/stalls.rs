//! When this machine's processors stood still: a thread on each, before all others, that sleeps for a millisecond again and again. What a hypervisor
//! takes away is no router's fault, and no router can help it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, gettid};

use crate::process::{Process, command};
use crate::{LabError, Result};

/// How long each sleep is to take.
const NAP: Duration = Duration::from_millis(1);
/// What is longer than that by so much is noted.
const NOTED: Duration = Duration::from_millis(4);
/// How many are noted at most.
const STALLS_MAX: usize = 1 << 20;

/// A time in which a processor did not run what it should have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    /// Since the start of the watch.
    pub(super) from: Duration,
    pub(super) until: Duration,
}

impl Stall {
    pub(super) fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// The watch over all processors, until dropped.
#[derive(Debug)]
pub(super) struct Watch {
    stalls: Arc<Mutex<Vec<Stall>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Times count from `start`.
    pub(super) fn start(start: Instant) -> Result<Self> {
        let mut watch = Self {
            stalls: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for processor in 0..processors {
            let (stalls, stop) = (Arc::clone(&watch.stalls), Arc::clone(&watch.stop));
            let (say, hear) = std::sync::mpsc::channel();
            watch.threads.push(std::thread::spawn(move || {
                let mut this = CpuSet::new();
                // On another processor it sees less, but nothing wrong.
                let _ = this.set(processor);
                let _ = sched_setaffinity(Pid::from_raw(0), &this);
                let _ = say.send(gettid());
                look(start, &stalls, &stop);
            }));
            let thread = hear.recv().map_err(|_| LabError::Panicked("a watch"))?;
            let mut first = command("chrt");
            first.args(["--rr", "--pid", "99", &thread.to_string()]);
            Process::spawn(first)?.succeed(Duration::from_secs(10))?;
        }
        Ok(watch)
    }

    /// What was seen so far, by processor in turn.
    pub(super) fn so_far(&self) -> Vec<Stall> {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.clone()
    }
}

fn look(start: Instant, stalls: &Mutex<Vec<Stall>>, stop: &AtomicBool) {
    let mut before = start.elapsed();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(NAP);
        let now = start.elapsed();
        if now.saturating_sub(before) > NAP + NOTED {
            let mut stalls = stalls.lock().unwrap_or_else(PoisonError::into_inner);
            if stalls.len() < STALLS_MAX {
                stalls.push(Stall {
                    from: before,
                    until: now,
                });
            }
        }
        before = now;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
