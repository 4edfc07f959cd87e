//! A network in a box: what the end-to-end tests and the demo lay out, send and count.
//!
//! Everything here lives in network namespaces without a name, held by a child process each: when the test or demo ends,
//! however it ends, the kernel takes down namespaces, links and files with it. Nothing is left behind, so nothing needs
//! to be swept up. Root is needed.
//!
//! What is not here: anything that knows DPDK or VRRP. The router under test is a program like any other
//! ([`manifold::Manifold`]), or the kernel's own forwarding, with which it is compared.

pub mod answers;
pub mod capture;
pub mod carried;
pub mod error;
pub mod flows;
pub mod frame;
pub mod group;
pub mod informer;
pub mod keepalived;
pub mod link;
pub mod load;
pub mod manifold;
pub mod namespace;
pub mod packet_socket;
pub mod poll;
pub mod probe;
pub mod process;
pub mod relay;
pub mod skew;
pub mod soak;
mod stalls;
pub mod table;
pub mod terminal;
pub mod testpmd;
pub mod topology;
pub mod traffic;
pub mod turn;

pub use error::{LabError, Result};
