//! The program under test, with what every test checks of it: its counters, and that it ends cleanly with every packet
//! buffer back where it was.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;

use lab::manifold::Manifold;
use lab::poll;
use lab::topology::Routed;

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

    /// Expects every frame accounted for and every packet buffer free again, then a clean end.
    pub(super) fn finish(self) {
        let mut counters = Counters::new();
        let accounted = poll::until("every frame accounted for", DEADLINE, || {
            counters = self.counters();
            Ok((fates(&counters) == counters["workers rx-packets"]).then_some(()))
        });
        assert!(
            accounted.is_ok(),
            "{} fates of received frames in {counters:#?}",
            fates(&counters)
        );
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

/// Received frames that were discarded, handed to the control thread, or sent on.
fn fates(counters: &Counters) -> u64 {
    let group = |group: &str| -> u64 {
        counters
            .iter()
            .filter(|(name, _)| name.starts_with(group))
            .map(|(_, count)| count)
            .sum()
    };
    group("discards ") + group("punts ") + counters["workers tx-packets"]
        - counters["workers control-frames"]
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
