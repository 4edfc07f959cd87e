//! The program end to end: real processes, kernel hosts on both sides, in namespaces.
#![expect(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

mod answers;
mod fragments;
mod hostile;
mod life;
mod queues;
mod reload;
mod router;
mod start;
mod traffic;

use std::time::Duration;

use router::Router;

/// For what takes milliseconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// A count is closed when nothing arrived for so long.
const QUIET: Duration = Duration::from_secs(1);
