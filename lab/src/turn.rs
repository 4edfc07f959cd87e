//! One network at a time: cargo's own test runner starts tests side by side, and a second network with traffic would
//! change what the first one measures. Whoever fails is told for how long this machine itself stood still meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::stalls::{Watch, stood_still};

static TURN: Mutex<()> = Mutex::new(());

/// The right to load this machine, until dropped.
#[derive(Debug)]
pub struct Turn {
    since: Instant,
    watch: Option<Watch>,
    #[expect(dead_code, reason = "held for its drop")]
    guard: MutexGuard<'static, ()>,
}

/// Waits for this test's turn.
#[must_use]
pub fn take() -> Turn {
    // A test that failed while it had the turn left nothing behind that could harm the next.
    let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let since = Instant::now();
    Turn {
        since,
        // Without it a test is as good.
        watch: Watch::over_processors(since).ok(),
        guard,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let (true, Some(watch)) = (std::thread::panicking(), &self.watch) {
            let (stalls, until) = (watch.so_far(), self.since.elapsed());
            let sum = stood_still(&stalls, Duration::ZERO, until);
            let longest = stalls.iter().map(|stall| stall.length()).max();
            eprintln!(
                "a processor of this machine ran nothing for {sum:.1?} of {until:.1?}, for {:.1?} at a time at most",
                longest.unwrap_or_default(),
            );
        }
    }
}
