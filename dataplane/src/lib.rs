//! The packet road.

pub mod addr;
pub mod wire;
