//! The packet road.
