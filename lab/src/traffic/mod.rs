//! Traffic whose every packet has a number, counted where it arrives: lost, duplicated, reordered.
//!
//! What a receiving socket dropped because nobody read it in time is told apart: it is this machine's loss, not the
//! network's.

pub mod icmp;
pub mod pace;
pub mod tally;
pub mod tcp;
pub mod udp;

pub use tally::{Count, Tally};
