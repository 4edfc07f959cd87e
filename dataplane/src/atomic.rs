//! The atomics that workers and the control thread share: the processor's, or, for tests with `--cfg loom`, those by which `loom` goes through every order in which
//! threads may take turns, and every value that a weaker memory than this machine's may show them.

#[cfg(all(test, loom))]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
