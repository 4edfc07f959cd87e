//! What fuzzing tries, as functions of octets. Each panics if something does not hold that must hold of any octets.
//!
//! | target | what is tried |
//! |---|---|
//! | `frame` | the decoders of frames: Ethernet, ARP, IPv4, ICMP, UDP, TCP |
//! | `host` | the router's own host: ARP, neighbours, ICMP, reassembly, frame after frame |
//! | `vrrp` | the decoder of advertisements, versions 2 and 3 |
//! | `vrrp_instance` | a virtual router under any sequence of messages and delays |
//! | `sharing_message` | the decoder of the extension's messages, types 2 to 8 |
//! | `sharing_state` | what they are told to: trust, table and moves of one router |
//! | `configuration` | the configuration file |
//! | `console` | the console's grammar and completion |
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "to stop is how a target says that something does not hold"
)]

mod frames;
pub mod mutation;
mod program;
mod sealing;
mod sharing;
mod vrrp;

/// Something that is tried with any octets.
pub type Target = fn(&[u8]);

/// Every target by its name, which its binary and its corpus have too.
pub const TARGETS: [(&str, Target); 8] = [
    ("frame", frames::frame),
    ("host", frames::host),
    ("vrrp", vrrp::message),
    ("vrrp_instance", vrrp::instance),
    ("sharing_message", sharing::message),
    ("sharing_state", sharing::state),
    ("configuration", program::configuration),
    ("console", program::console),
];

/// Calls the target of a name.
///
/// # Panics
///
/// If there is none, or if what it tries does not hold.
pub fn run(name: &str, octets: &[u8]) {
    let (_, target) = TARGETS
        .into_iter()
        .find(|(target, _)| *target == name)
        .expect("a target's name");
    target(octets);
}
