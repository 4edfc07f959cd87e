//! Whole groups that share their load, on a virtual LAN under virtual time, through the public interface alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may stop at the impossible as tests do"
)]

#[allow(dead_code, reason = "faults come with their scenarios")]
mod lan;
mod life;
mod plane;
