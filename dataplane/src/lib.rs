//! The packet road.

pub mod addr;
