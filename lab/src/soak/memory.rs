//! What a router occupies: memory, packet buffers, packets on hold.

use std::fs;

use serde::Serialize;

use crate::error::Doing;
use crate::manifold::Manifold;
use crate::{LabError, Result};

/// By how much the memory of a router may grow: the pages of its allocator, not what it keeps.
const GROWTH_MAX_KIB: u64 = 4096;
/// Packet buffers that may be in use at the end beyond those at the start: what is under way at a moment.
const MBUFS_MAX: u64 = 128;

/// What the router that lived throughout occupied.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Memory {
    /// The process, in KiB: under load, once every end system was served; then at equal distances in time; and at the end.
    pub rss_kib: Vec<u64>,
    /// Packet buffers in use at the start, under load.
    pub mbufs_at_start: u64,
    /// Those at the end, without load.
    pub mbufs_at_end: u64,
}

impl Memory {
    pub(super) fn is_flat(&self) -> bool {
        let ends = self.rss_kib.first().zip(self.rss_kib.last());
        ends.is_some_and(|(start, end)| *end <= start + GROWTH_MAX_KIB)
            && self.mbufs_at_end <= self.mbufs_at_start + MBUFS_MAX
    }
}

/// Memory that a program occupies, in KiB.
pub(super) fn resident_kib(router: &Manifold<'_>) -> Result<u64> {
    let path = format!("/proc/{}/status", router.process().id());
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .ok_or(LabError::Unreadable { what: path, text })
}

/// Packet buffers that are not free, of all pools.
pub(super) fn mbufs_in_use(router: &Manifold<'_>) -> Result<u64> {
    let answer = router.ask("show mempool")?;
    let pools = answer["pools"].as_array().into_iter().flatten();
    Ok(pools.filter_map(|pool| pool["in_use"].as_u64()).sum())
}

/// Packets that its workers hold.
pub(super) fn packets_on_hold(router: &Manifold<'_>) -> Result<u64> {
    let answer = router.ask("show backlog")?;
    let workers = answer["workers"].as_array().into_iter().flatten();
    let on_hold = workers.flat_map(|worker| worker["on_hold"].as_array().into_iter().flatten());
    Ok(on_hold
        .filter_map(|condition| condition["packets"].as_u64())
        .sum())
}
