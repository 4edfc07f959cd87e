//! Whole groups that share their load, on a virtual LAN under virtual time, through the public interface alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may stop at the impossible as tests do"
)]

mod deaf;
mod end_systems;
mod faults;
mod lan;
mod life;
mod orders;
mod plane;
mod review;
mod scale;
mod server;
mod tied;
mod vrids;
