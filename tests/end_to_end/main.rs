//! The program end to end: real processes, kernel hosts on both sides, in namespaces.
#![expect(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

mod answers;
mod life;
mod traffic;

use std::path::Path;
use std::time::Duration;

use lab::manifold::Manifold;
use lab::topology::Routed;

/// For what takes milliseconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// The program under test.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_manifold"))
}

/// Starts it as the router of a network.
fn route(net: &Routed) -> Manifold<'_> {
    Manifold::start(&net.r, program(), &net.configuration(), &[]).expect("a router")
}
