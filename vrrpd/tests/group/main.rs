//! Whole groups on a virtual LAN under virtual time, through the public interface alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may stop at the impossible as tests do"
)]

mod election;
mod faults;
mod lan;
mod operation;
mod refusals;
mod stalls;
