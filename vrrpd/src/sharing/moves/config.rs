//! The patience and the limits of moves.

use std::time::Duration;

use crate::sharing::wire::MESSAGE_LEN_MAX_DEFAULT;

/// The patience and the limits of moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// By how much a frame may reach one port of the link later than another.
    pub skew: Duration,
    /// Timer mode: for how long after its confirmation N does not route.
    pub hold_time: Duration,
    /// For how long P answers "still routing" before it keeps the conditions for good.
    pub hold_limit: Duration,
    /// For how long P waits for its backlog to hold none of what it has withdrawn.
    pub drain_limit: Duration,
    /// The time from one confirmation to the next.
    pub repeat: Duration,
    /// On how many moves at a time P records, and N holds.
    pub active_max: usize,
    /// How many moves this router can have a part in.
    pub moves_max: usize,
    /// The longest message in octets.
    pub message_len_max: usize,
}

impl Default for Config {
    /// A skew of 1 ms, a hold time of 100 ms, limits of 1 s, a confirmation every 10 ms, 4 moves at a time of 1,024.
    fn default() -> Config {
        Config {
            skew: Duration::from_millis(1),
            hold_time: Duration::from_millis(100),
            hold_limit: Duration::from_secs(1),
            drain_limit: Duration::from_secs(1),
            repeat: Duration::from_millis(10),
            active_max: 4,
            moves_max: 1024,
            message_len_max: MESSAGE_LEN_MAX_DEFAULT,
        }
    }
}
