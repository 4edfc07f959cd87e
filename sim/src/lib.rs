//! Proof of what a group of routers promises, without a machine, a clock or a network.
//!
//! | module | what lives there |
//! |---|---|
//! | [`group`] | whole groups under every fault, each from one seed |
//! | [`model`] | one move, restated in a few states, and every order of events that there is |

pub mod group;
pub mod model;
