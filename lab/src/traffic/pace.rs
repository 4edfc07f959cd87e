//! Sending at a bounded rate, for a bounded number of packets, until told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, gettid};

use crate::process::schedule_first;
use crate::{LabError, Result};

/// Most packets sent in a row: a sender that was kept waiting must not flood the queues on the way, the shortest of which
/// (the kernel's backlog) holds 1,000.
const LONGEST_BURST: u64 = 64;
/// Shortest pause between bursts.
const TICK: Duration = Duration::from_micros(250);
/// Longest pause, after which it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The real-time priority of a steady sender: below that of the routers under test.
const PRIORITY: u8 = 5;

/// How much to send, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Packets a second.
    pub rate_pps: u64,
    /// Packets after which the sender stops by itself.
    pub packets: u64,
}

/// A thread that sends numbered packets.
#[derive(Debug)]
pub struct Sender {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
    /// The thread, as the kernel knows it.
    id: Receiver<Pid>,
}

impl Sender {
    /// Starts sending: `send` is given the number of each packet, from 0.
    pub(super) fn start(
        pace: Pace,
        mut send: impl FnMut(u64) -> Result<()> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let (say, id) = channel();
        let thread = std::thread::spawn({
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            move || {
                // Whoever wants to know asks while the sender is there.
                let _ = say.send(gettid());
                let start = Instant::now();
                let mut number = 0;
                while number < pace.packets && !stop.load(Ordering::Relaxed) {
                    let due = (start.elapsed().as_secs_f64() * pace.rate_pps as f64) as u64 + 1;
                    for _ in 0..due
                        .min(pace.packets)
                        .saturating_sub(number)
                        .min(LONGEST_BURST)
                    {
                        send(number)?;
                        number += 1;
                        sent.store(number, Ordering::Relaxed);
                    }
                    let next = Duration::from_secs_f64(number as f64 / pace.rate_pps as f64);
                    let pause = next.saturating_sub(start.elapsed());
                    std::thread::sleep(pause.clamp(TICK, LOOK));
                }
                Ok(())
            }
        });
        Self {
            stop,
            sent,
            thread: Some(thread),
            id,
        }
    }

    /// Keeps its pace whatever else the machine does: its thread runs before all ordinary programs, and after the routers.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn steady(self) -> Result<Self> {
        if let Ok(thread) = self.id.recv() {
            schedule_first(thread, PRIORITY)?;
        }
        Ok(self)
    }

    /// Packets sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until all is sent; how many that is.
    ///
    /// # Errors
    /// When sending failed.
    pub fn finish(mut self) -> Result<u64> {
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| LabError::Panicked("a sender"))??;
        }
        Ok(self.sent())
    }

    /// Stops before all is sent; how many were.
    ///
    /// # Errors
    /// When sending failed.
    pub fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only after a failure elsewhere, which matters more than this one.
            let _ = thread.join();
        }
    }
}
