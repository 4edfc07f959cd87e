//! When this machine did not run what it should have run. What a hypervisor takes away, or another program of this machine, is no router's fault, and no router can
//! help it. Seen in two ways: a thread on each processor, before all others, that sleeps for a millisecond again and again; and what the kernel counts of each
//! thread that frames and messages depend on, for how long it was ready and had to wait for a processor.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, gettid};

use crate::error::Doing;
use crate::process::schedule_first;
use crate::{LabError, Result};

/// How long each sleep is to take.
const NAP: Duration = Duration::from_millis(1);
/// What is longer than that by so much is noted.
const NOTED: Duration = Duration::from_millis(4);
/// How many are noted at most.
const STALLS_MAX: usize = 1 << 20;
/// How often it is looked for how long threads have waited.
const LOOK: Duration = Duration::from_millis(2);
/// What is told at once.
const TOLD: Duration = Duration::from_millis(50);
/// The scheduling policy `SCHED_RR` in `/proc/PID/stat`, and where it stands behind the name.
const ROUND_ROBIN: &str = "2";
const POLICY_FIELD: usize = 38;

/// A time in which something did not run that should have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) of: Stalled,
    /// Since the start of the watch.
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// What stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// A processor, and with it a part of the network.
    Processor,
    /// A router's thread, while other programs ran.
    Router,
    /// A thread of the kernel that carries frames, likewise: the network was late.
    Network,
}

impl Stall {
    pub(crate) fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// For how long, within a time, something stood still.
pub(crate) fn stood_still(stalls: &[Stall], from: Duration, until: Duration) -> Duration {
    let mut within: Vec<(Duration, Duration)> = stalls
        .iter()
        .map(|stall| (stall.from.max(from), stall.until.min(until)))
        .filter(|(from, until)| from < until)
        .collect();
    within.sort_unstable();
    // Several may stand still at the same time.
    let (mut sum, mut counted) = (Duration::ZERO, from);
    for (from, until) in within {
        sum += until.saturating_sub(from.max(counted));
        counted = counted.max(until);
    }
    sum
}

/// A thread whose waiting is watched.
#[derive(Debug)]
struct Waiting {
    of: Stalled,
    /// Its `schedstat`.
    file: File,
    waited: Duration,
}

impl Waiting {
    fn new(of: Stalled, thread: u32) -> Option<Self> {
        let file = File::open(format!("/proc/{thread}/schedstat")).ok()?;
        Some(Self {
            of,
            waited: waited(&file)?,
            file,
        })
    }
}

/// For how long a thread has been ready and not run, so far: the second number.
fn waited(schedstat: &File) -> Option<Duration> {
    let mut text = [0; 80];
    let octets = schedstat.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..octets]).ok()?;
    let waited = text.split_whitespace().nth(1)?;
    Some(Duration::from_nanos(waited.parse().ok()?))
}

/// The threads of a process that run before ordinary ones.
fn realtime_threads(process: u32) -> Vec<u32> {
    let is_realtime = |thread: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/task/{thread}/stat"));
        // The name may have spaces; it ends with the last parenthesis.
        let stat = stat.unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_whitespace().nth(POLICY_FIELD) == Some(ROUND_ROBIN)
    };
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let numbers = threads.into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_realtime)
        .collect()
}

/// The kernel's threads that carry frames when a processor has much to do.
fn softirq_threads() -> Result<Vec<u32>> {
    let processes = fs::read_dir("/proc").doing(|| "read /proc".into())?;
    let numbers = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers
        .filter(|process: &u32| {
            let name = fs::read_to_string(format!("/proc/{process}/comm"));
            name.is_ok_and(|name| name.starts_with("ksoftirqd/"))
        })
        .collect())
}

/// Those whose waiting is watched, by their number.
type Watched = Arc<Mutex<BTreeMap<u32, Waiting>>>;

/// The watch over all processors and the threads that matter, until dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    stalls: Arc<Mutex<Vec<Stall>>>,
    watched: Watched,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Of the processors and the kernel's threads that carry frames. Times count from `start`.
    pub(crate) fn start(start: Instant) -> Result<Self> {
        let mut watch = Self::over_processors(start)?;
        for thread in softirq_threads()? {
            watch.add(Stalled::Network, thread);
        }
        let (stalls, watched) = (Arc::clone(&watch.stalls), Arc::clone(&watch.watched));
        let stop = Arc::clone(&watch.stop);
        watch.spawn(move || look_at_threads(start, &stalls, &watched, &stop))?;
        Ok(watch)
    }

    /// Of the processors alone.
    pub(crate) fn over_processors(start: Instant) -> Result<Self> {
        let mut watch = Self {
            stalls: Arc::default(),
            watched: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for processor in 0..processors {
            let (stalls, stop) = (Arc::clone(&watch.stalls), Arc::clone(&watch.stop));
            watch.spawn(move || {
                let mut this = CpuSet::new();
                // On another processor it sees less, but nothing wrong.
                let _ = this.set(processor);
                let _ = sched_setaffinity(Pid::from_raw(0), &this);
                look_at_processor(start, &stalls, &stop);
            })?;
        }
        Ok(watch)
    }

    /// Has a thread look, before all others.
    fn spawn(&mut self, look: impl FnOnce() + Send + 'static) -> Result<()> {
        let (say, hear) = std::sync::mpsc::channel();
        self.threads.push(std::thread::spawn(move || {
            let _ = say.send(gettid());
            look();
        }));
        let thread = hear.recv().map_err(|_| LabError::Panicked("a watch"))?;
        schedule_first(thread, 99)
    }

    /// Watches a router's threads too, for as long as they are there.
    pub(crate) fn add_router(&self, process: u32) {
        realtime_threads(process)
            .into_iter()
            .for_each(|thread| self.add(Stalled::Router, thread));
    }

    fn add(&self, of: Stalled, thread: u32) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.extend(Waiting::new(of, thread).map(|waiting| (thread, waiting)));
    }

    /// What was seen so far.
    pub(crate) fn so_far(&self) -> Vec<Stall> {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.clone()
    }
}

fn note(stalls: &Mutex<Vec<Stall>>, stall: Stall) {
    let mut stalls = stalls.lock().unwrap_or_else(PoisonError::into_inner);
    if stalls.len() < STALLS_MAX {
        stalls.push(stall);
    }
}

fn look_at_processor(start: Instant, stalls: &Mutex<Vec<Stall>>, stop: &AtomicBool) {
    let mut before = start.elapsed();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(NAP);
        let now = start.elapsed();
        if now.saturating_sub(before) > NAP + NOTED {
            let stall = Stall {
                of: Stalled::Processor,
                from: before,
                until: now,
            };
            note(stalls, stall);
        }
        before = now;
    }
}

fn look_at_threads(
    start: Instant,
    stalls: &Mutex<Vec<Stall>>,
    watched: &Mutex<BTreeMap<u32, Waiting>>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        let until = start.elapsed();
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        // The kernel adds up a wait when it ends.
        watched.retain(|_, thread| {
            let Some(waited) = waited(&thread.file) else {
                return false;
            };
            let more = waited.saturating_sub(std::mem::replace(&mut thread.waited, waited));
            if more > NOTED {
                let stall = Stall {
                    of: thread.of,
                    from: until.saturating_sub(more + LOOK),
                    until,
                };
                if more >= TOLD {
                    let (of, ms) = (thread.of, more.as_millis());
                    eprintln!("             ({of:?}: a thread waited for a processor for {ms} ms)");
                }
                note(stalls, stall);
            }
            true
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_stands_still_at_the_same_time_counts_once() {
        let stall = |from, until| Stall {
            of: Stalled::Router,
            from: ms(from),
            until: ms(until),
        };
        let stalls = [
            stall(300, 400),
            stall(100, 200),
            stall(150, 250),
            stall(160, 170),
        ];
        assert_eq!(stood_still(&stalls, ms(0), ms(1000)), ms(250));
        assert_eq!(stood_still(&stalls, ms(180), ms(310)), ms(80));
        assert_eq!(stood_still(&stalls, ms(400), ms(500)), ms(0));
    }

    #[test]
    fn a_thread_that_has_to_wait_for_a_processor_is_seen_to() {
        let (say, hear) = std::sync::mpsc::channel();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (say, stop) = (say.clone(), &stop);
                scope.spawn(move || {
                    // Two that never sleep, on one processor.
                    let mut first = CpuSet::new();
                    first.set(0).expect("a processor");
                    sched_setaffinity(Pid::from_raw(0), &first).expect("to be bound");
                    say.send(gettid().as_raw() as u32).expect("a listener");
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let thread = Waiting::new(Stalled::Router, hear.recv().expect("a thread"));
            let thread = thread.expect("its times");
            crate::poll::until("it to wait", Duration::from_secs(20), || {
                let now = waited(&thread.file).expect("its times");
                Ok((now > thread.waited + ms(1)).then_some(()))
            })
            .expect("a wait");
            stop.store(true, Ordering::Relaxed);
        });
    }
}
