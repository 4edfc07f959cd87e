//! What a table knows of one condition: how that is read from an allocation and written into one, and its part of the digest.

use std::net::IpAddr;

use crate::sharing::names::{Condition, MoveName, RouterId, Seen};
use crate::sharing::wire::Entry;
use crate::{Family, Time};

/// What is known of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who is in charge.
    pub router: RouterId,
    /// The move by which that router gets it, until that is finished.
    pub unfinished: Option<MoveName>,
    /// The further router behind which the end system is; `None` when it is on the link.
    pub node: Option<IpAddr>,
    /// How it was noticed last.
    pub seen: Seen,
    /// When, by this router's clock.
    pub seen_at: Time,
    /// Its average rate in kbit/s.
    pub rate_kbit_per_s: u32,
}

/// A condition whose router in charge, or whose move, is another than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which packets.
    pub condition: Condition,
    /// Who was in charge, and by which unfinished move.
    pub before: Option<(RouterId, Option<MoveName>)>,
    /// Who is now.
    pub after: Option<(RouterId, Option<MoveName>)>,
}

impl Row {
    /// The average rate in bit/s.
    #[must_use]
    pub fn bit_per_s(&self) -> u64 {
        u64::from(self.rate_kbit_per_s) * 1000
    }

    pub(super) fn read(now: Time, entry: &Entry, router: RouterId) -> Row {
        let ago_ns = u64::from(entry.seen_ago_s) * 1_000_000_000;
        Row {
            router,
            unfinished: entry.unfinished,
            node: entry.node,
            seen: entry.seen,
            seen_at: Time::from_nanos(now.as_nanos().saturating_sub(ago_ns)),
            rate_kbit_per_s: entry.rate_kbit_per_s,
        }
    }
}

pub(super) fn write(now: Time, condition: Condition, row: Option<&Row>) -> Entry {
    Entry {
        condition,
        router: row.map(|row| row.router),
        unfinished: row.and_then(|row| row.unfinished),
        node: row.and_then(|row| row.node),
        seen: row.map(|row| row.seen).unwrap_or_default(),
        seen_ago_s: row.map_or(0, |row| {
            u16::try_from(now.since(row.seen_at).as_secs()).unwrap_or(u16::MAX)
        }),
        rate_kbit_per_s: row.map_or(0, |row| row.rate_kbit_per_s),
    }
}

/// A condition's part of the digest: FNV-1a over address and router, mixed as SplitMix64 does.
pub(super) fn digest_of(condition: Condition, router: RouterId, family: Family) -> u64 {
    let hash = |hash: u64, octets: &[u8]| {
        octets.iter().fold(hash, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let start = 0xcbf2_9ce4_8422_2325;
    let mut h = match condition.address(family) {
        IpAddr::V4(address) => hash(start, &address.octets()),
        IpAddr::V6(address) => hash(start, &address.octets()),
    };
    h = hash(h, &router.get().to_be_bytes());
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}
