//! The packet road.

pub mod addr;
pub mod dpdk;
pub mod wire;
