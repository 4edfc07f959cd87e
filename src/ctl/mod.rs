//! The control socket: how another process asks a running router. What can be asked is `command`'s, what is answered
//! `show`'s.
//!
//! A Unix stream socket that only its owner may use. A client sends requests, each one line with a JSON object, and gets
//! an answer to each, again one line with a JSON object:
//!
//! ```text
//! {"command": "show port stats all", "json": true}      json is false if left out
//! {"ok": "…"}                                           what `manifold ctl` prints
//! {"error": "…"}                                        why it was not done
//! ```
//!
//! A client that sends something else, or nothing for a while, is told so and the connection is closed.

mod client;
mod server;
mod socket;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use client::Client;
pub use server::{Limits, Server, SocketCounters};
pub use socket::SocketError;

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    command: String,
    #[serde(default)]
    json: bool,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answered {
    Ok(String),
    Error(String),
}
