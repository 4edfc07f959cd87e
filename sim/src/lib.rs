//! Proof of what a group of routers promises, without a machine, a clock or a network.
//!
//! | module | what lives there |
//! |---|---|
//! | [`model`] | one move, restated in a few states, and every order of events that there is |

pub mod model;
