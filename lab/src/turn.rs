//! One network at a time: cargo's own test runner starts tests side by side, and a second network with traffic would
//! change what the first one measures.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// The right to load this machine, until dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] MutexGuard<'static, ()>);

/// Waits for this test's turn.
#[must_use]
pub fn take() -> Turn {
    // A test that failed while it had the turn left nothing behind that could harm the next.
    Turn(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}
