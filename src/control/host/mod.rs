//! What a router does as a host: it finds its neighbours and answers for itself (ARP), answers echo requests, reports
//! what went wrong with a packet (ICMP), and finishes what the workers could not: packets whose neighbour is not resolved, or
//! that have to be cut. Pure: no socket, no clock, no DPDK; [`HostStack`] takes frames and the time and returns what to do.
//!
//! The control loop drives it so:
//!
//! 1. At the start, and when the configuration changes: [`HostStack::set_ports`]; whenever a virtual router
//!    changes its state: [`HostStack::set_virtuals`].
//! 2. For each frame from the punt rings that is ARP or plain IPv4 (VRRP goes elsewhere): [`HostStack::on_punt`]. The frame
//!    is as it was received, its TTL included, and the reason of the punt is not needed: the host decides anew from
//!    the same routes, so that a neighbour or a route that came meanwhile counts.
//! 3. Once a round, or at [`HostStack::poll_timeout`]: [`HostStack::tick`].
//! 4. After each of these: [`HostStack::poll_output`] until there is none. What one call leaves there is bounded by the
//!    bounds of the [`HostConfig`].
//!
//! One file each: the neighbour cache (`neighbours.rs`) and what waits in it (`pending.rs`), ARP (`arp.rs`), ICMP errors
//! (`icmp.rs`), packets for this router (`local.rs`), fragments (`fragment.rs`,
//! `reassembly.rs`); `stack.rs` ties them together.

pub mod arp;
pub mod bucket;
pub mod counters;
pub mod driver;
pub mod fragment;
pub mod icmp;
pub mod local;
pub mod neighbours;
pub mod pending;
pub mod port;
pub mod reassembly;
pub mod stack;

pub use arp::Conflict;
pub use bucket::{Rate, TokenBucket};
pub use counters::Counters;
pub use driver::{DEFAULT_TTL, Originated, Output, Route, Routes};
pub use neighbours::{Key, NeighbourConfig, State};
pub use pending::PendingLimits;
pub use port::{Port, PortIndex, Virtual};
pub use reassembly::ReassemblyConfig;
pub use stack::{HostConfig, HostStack};
