//! What a group's routers log when one was taken for dead or stood still: where no crash is meant, that is this machine's doing, and the
//! reason of what follows.

use std::collections::BTreeMap;

use super::Group;
use crate::manifold::Manifold;
use crate::topology::sharing::Sharing;

/// The lines that tell of it.
const UPSETS: [&str; 5] = [
    "nothing from master",
    "does not answer, or has restarted",
    "control loop was away",
    "because the control loop or a worker did not run",
    "cause=\"stalled\"",
];

/// How far the routers' logs had come.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    /// Lines, by process.
    lines: BTreeMap<u32, usize>,
}

impl Group<'_> {
    /// How far the logs have come.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let lines = |(_, router): (u8, &Manifold<'_>)| {
            let process = router.process();
            (process.id(), process.stderr().lines().count())
        };
        Mark {
            lines: self.running().map(lines).collect(),
        }
    }

    /// What the routers have logged since then of others that were silent, and of themselves that stood still; but for what concerns
    /// routers that are `gone` because the test has ended them.
    #[must_use]
    pub fn upsets(&self, since: &Mark, gone: &[u8]) -> Vec<String> {
        let addresses: Vec<String> = gone
            .iter()
            .flat_map(|index| [Sharing::router(*index), Sharing::router_at_carrier(*index)])
            .map(|address| address.to_string())
            .collect();
        let is_meant = |line: &str| {
            // Up to ten routers: no address is the beginning of another.
            addresses.iter().any(|address| line.contains(address))
        };
        let mut upsets = Vec::new();
        for (index, router) in self.running() {
            let process = router.process();
            let known = since.lines.get(&process.id()).copied().unwrap_or(0);
            let log = process.stderr();
            let tell = |line: &&str| is_upset(line);
            let lines = log.lines().skip(known).filter(tell);
            let lines = lines.filter(|line| !is_meant(line));
            upsets.extend(lines.map(|line| format!("r{}: {line}", index + 1)));
        }
        upsets
    }
}

/// Whether a line of a router's log tells that it, or another, was taken for dead or stood still.
#[must_use]
pub fn is_upset(line: &str) -> bool {
    UPSETS.iter().any(|upset| line.contains(upset))
}
