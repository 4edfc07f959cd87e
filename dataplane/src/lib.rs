//! The data plane: what turns received frames into sent ones.
//!
//! [`Dataplane`] is the control thread's handle on it. `dpdk` holds the safe wrappers of DPDK and all `unsafe` there is;
//! `road` the stations of a packet's way; the rest are the tables that stand beside it. Nothing here knows a protocol
//! beyond the headers of the packets it forwards.

pub mod addr;
mod atomic;
pub mod backlog;
pub mod burst_times;
pub mod counters;
pub mod dpdk;
pub mod fib;
mod grace;
pub mod handover;
mod hashed;
mod hop;
#[cfg(all(test, loom))]
mod interleavings;
mod neighbours;
mod octets;
mod plane;
mod road;
mod shared;
mod sweep;
mod tables;
pub mod verdict;
pub mod wire;
mod worker;

pub use backlog::Neighbour;
pub use hop::NextHop;
pub use neighbours::TooWide;
pub use plane::{
    Dataplane, Full, Pinning, PortConfig, PortHandle, Published, RouteChange, RouteError,
    StartError, StartReport, WorkerConfig, WorkerLost, pool_octets,
};
pub use road::{PuntReason, Punted};
pub use shared::BacklogView;
pub use tables::{ForwardingMode, Group, MatchOn};
