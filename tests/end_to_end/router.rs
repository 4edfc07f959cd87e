//! The program under test, with what every test checks of it: its counters, and that it ends cleanly with every packet
//! buffer back where it was.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;

use lab::manifold::Manifold;
use lab::poll;
use lab::topology::Routed;
use serde_json::Value;

use super::DEADLINE;

/// Counters by group and name, as in `discards bad-checksum`.
pub(super) type Counters = BTreeMap<String, u64>;

/// A router that is running.
pub(super) struct Router<'a> {
    manifold: Manifold<'a>,
    available: u64,
}

impl<'a> Router<'a> {
    /// The program under test.
    pub(super) fn program() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_manifold"))
    }

    /// Starts it as the router of a network.
    pub(super) fn start(net: &'a Routed) -> Self {
        Self::start_with(net, &net.configuration())
    }

    /// Starts it with a configuration.
    pub(super) fn start_with(net: &'a Routed, configuration: &str) -> Self {
        let manifold =
            Manifold::start(&net.r, Self::program(), configuration, &[]).expect("a router");
        let available = available(&manifold);
        Self {
            manifold,
            available,
        }
    }

    /// Every counter.
    pub(super) fn counters(&self) -> Counters {
        let groups = self.json("show counters").expect("counters");
        let groups = groups.as_object().expect("groups").iter();
        groups
            .flat_map(|(group, counters)| {
                let counters = counters.as_object().expect("counters").iter();
                counters.map(move |(name, count)| {
                    (format!("{group} {name}"), count.as_u64().expect("a count"))
                })
            })
            .collect()
    }

    /// Waits for every packet buffer to be free again, then ends it and expects a clean end.
    pub(super) fn finish(self) {
        let Self {
            manifold,
            available: before,
        } = self;
        let freed = poll::until("every packet buffer back in its pool", DEADLINE, || {
            Ok((available(&manifold) == before).then_some(()))
        });
        assert!(
            freed.is_ok(),
            "{before} were free at the start, now {}",
            available(&manifold)
        );
        let ended = manifold.stop().expect("an end");
        assert!(ended.status.success(), "{ended:?}");
    }
}

impl<'a> Deref for Router<'a> {
    type Target = Manifold<'a>;

    fn deref(&self) -> &Self::Target {
        &self.manifold
    }
}

/// Free packet buffers of all pools.
fn available(manifold: &Manifold<'_>) -> u64 {
    let answer = manifold.json("show mempool").expect("pools");
    let pools = answer["pools"].as_array().expect("pools");
    assert!(!pools.is_empty(), "{answer}");
    pools
        .iter()
        .map(|pool| pool["available"].as_u64().expect("a count"))
        .sum()
}

/// What changed between two readings of the counters.
pub(super) fn moved(before: &Counters, after: &Counters) -> Counters {
    let grown = |(name, now): (&String, &u64)| {
        let grown = now - before.get(name).copied().unwrap_or(0);
        (grown > 0).then(|| (name.clone(), grown))
    };
    after.iter().filter_map(grown).collect()
}

/// Numbers of a JSON answer, added up over its parts: every value called `name`, however deep.
pub(super) fn sum(answer: &Value, name: &str) -> u64 {
    match answer {
        Value::Object(fields) => fields
            .iter()
            .map(|(field, value)| {
                if field == name {
                    value.as_u64().unwrap_or(0)
                } else {
                    sum(value, name)
                }
            })
            .sum(),
        Value::Array(items) => items.iter().map(|item| sum(item, name)).sum(),
        _ => 0,
    }
}
