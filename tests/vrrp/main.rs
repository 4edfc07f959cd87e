//! VRRP end to end: our routers against keepalived, and among themselves, on a hub with a host that asks the virtual
//! address. What is asserted are facts of the protocol (who is master, how often that changed, what was refused); times
//! are printed, because a busy machine may stretch them.
#![expect(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

mod answers;
mod decode;
mod elections;
mod hard;
mod keepalived;
mod kills;
mod member;
mod network;
mod operator;
mod options;
mod pinging;
mod refused;
mod router;
mod settings;
mod takeovers;
mod watch;
