//! The forwarding table: IPv4 address → next-hop index, by longest prefix match (DIR-24-8, Gupta, Lin and McKeown 1998).
//! What a next hop is lives in `hop.rs`.
//!
//! One table serves readers and the writer at once. Every entry is an atomic of two octets, so that a reader sees an
//! entry before or after a change and nothing between; a group of the second level is filled before the first level
//! refers to it, and once unlinked is used again only when every worker has passed on (`grace.rs`).

use std::collections::BTreeMap;
use std::io;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering, fence};

use thiserror::Error;

use crate::addr::Ipv4Prefix;
use crate::dpdk::{Table, prefetch};

/// The index of a next hop. Zero, the entry of a fresh table, stands for "no route".
pub type HopIndex = u16;

/// The number of next hops that an entry can name; the top bit marks a group.
pub const HOPS_MAX: usize = 1 << 15;

const GROUP_FLAG: u16 = 1 << 15;
const GROUP_ENTRIES: usize = 256;
const GROUPS_MAX: usize = 1 << 15;
const BLOCKS: usize = 1 << 24;

/// What workers read.
#[derive(Debug)]
pub struct FibTable {
    /// One entry for each /24: a next hop, or with [`GROUP_FLAG`] the group that has one entry for each address.
    blocks: Table<AtomicU16>,
    groups: Table<AtomicU16>,
}

impl FibTable {
    fn new() -> io::Result<Self> {
        Ok(Self {
            blocks: Table::new(BLOCKS)?,
            groups: Table::new(GROUPS_MAX * GROUP_ENTRIES)?,
        })
    }

    #[inline(always)]
    fn block(&self, address: u32) -> &AtomicU16 {
        // The table has an entry for every value of the top 24 bits; the fallback is for the compiler alone.
        static NO_ROUTE: AtomicU16 = AtomicU16::new(0);
        self.blocks
            .get((address >> 8) as usize)
            .unwrap_or(&NO_ROUTE)
    }

    /// Asks for the cache line that a look-up of `address` reads first.
    #[inline(always)]
    pub fn prefetch(&self, address: u32) {
        prefetch(self.block(address));
    }

    /// The next hop of the longest prefix that contains `address` (host order); 0 if there is none.
    #[inline]
    #[must_use]
    pub fn lookup(&self, address: u32) -> HopIndex {
        let mut hop = 0;
        self.lookup_all(&[address], slice::from_mut(&mut hop));
        hop
    }

    /// As [`FibTable::lookup`], for many addresses at once: no look-up waits for another, so that their cache misses
    /// overlap.
    #[inline]
    pub fn lookup_all(&self, addresses: &[u32], hops: &mut [HopIndex]) {
        // A table has this length; once that is known, no index needs a check.
        let Some(blocks) = self.blocks.first_chunk::<BLOCKS>() else {
            return;
        };
        let mut any_in_group = 0;
        for (&address, hop) in addresses.iter().zip(&mut *hops) {
            *hop = blocks[(address >> 8) as usize].load(Ordering::Relaxed);
            any_in_group |= *hop;
        }
        if any_in_group & GROUP_FLAG != 0 {
            for (&address, hop) in addresses.iter().zip(hops) {
                *hop = self.in_group(*hop, address);
            }
        }
    }

    /// What the entry of a block says of an address in it.
    #[inline(always)]
    fn in_group(&self, entry: u16, address: u32) -> HopIndex {
        if entry & GROUP_FLAG == 0 {
            return entry;
        }
        // Pairs with the release in `Fib::link`: the group was filled before it was linked.
        fence(Ordering::Acquire);
        let group = usize::from(entry & !GROUP_FLAG) * GROUP_ENTRIES;
        match self.groups.get(group + (address & 0xff) as usize) {
            Some(entry) => entry.load(Ordering::Relaxed),
            None => 0,
        }
    }
}

/// Why a route could not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FibError {
    /// Every group of the second level is used, or waits for the workers to pass on.
    #[error(
        "the forwarding table has no room for {0}: at most 32,768 networks of length 24 can hold longer prefixes"
    )]
    Full(Ipv4Prefix),
}

/// A group that was unlinked; [`Fib::free`] takes it back once no worker can be reading it.
#[derive(Debug, PartialEq, Eq)]
pub struct UnlinkedGroup(u16);

/// The writer's side: the routes as prefixes, and the table that it keeps in step.
#[derive(Debug)]
pub struct Fib {
    table: Arc<FibTable>,
    /// Ordered by network, then length, so that the longer prefixes inside a prefix follow it directly.
    routes: BTreeMap<RouteKey, HopIndex>,
    free_groups: Vec<u16>,
    /// Groups from here on were never used.
    fresh_group: u16,
    unlinked: Vec<UnlinkedGroup>,
}

/// Network (32 bits) and length (6 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RouteKey(u64);

impl RouteKey {
    const LENGTH_BITS: u32 = 6;

    fn new(network: u32, length: u8) -> Self {
        Self(u64::from(network) << Self::LENGTH_BITS | u64::from(length))
    }

    fn of(prefix: Ipv4Prefix) -> Self {
        Self::new(prefix.network().to_bits(), prefix.len())
    }

    /// Above the key of every prefix that begins at `address` or before.
    fn after_all_in(address: u32) -> Self {
        Self::new(address, (1 << Self::LENGTH_BITS) - 1)
    }

    fn network(self) -> u32 {
        (self.0 >> Self::LENGTH_BITS) as u32
    }

    fn length(self) -> u8 {
        (self.0 & ((1 << Self::LENGTH_BITS) - 1)) as u8
    }

    fn last(self) -> u32 {
        last_address(self.network(), self.length())
    }
}

fn last_address(network: u32, length: u8) -> u32 {
    network | u32::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

impl Fib {
    /// An empty table.
    ///
    /// # Errors
    /// The process has no address space left for its 48 MiB, of which only what routes need becomes resident.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            table: Arc::new(FibTable::new()?),
            routes: BTreeMap::new(),
            free_groups: Vec::new(),
            fresh_group: 0,
            unlinked: Vec::new(),
        })
    }

    /// What workers read.
    #[must_use]
    pub fn table(&self) -> &Arc<FibTable> {
        &self.table
    }

    /// The number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The next hop of exactly this prefix.
    #[must_use]
    pub fn get(&self, prefix: Ipv4Prefix) -> Option<HopIndex> {
        self.routes.get(&RouteKey::of(prefix)).copied()
    }

    /// All routes, by network and then length.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Prefix, HopIndex)> {
        self.routes.iter().filter_map(|(key, &hop)| {
            Some((
                Ipv4Prefix::new(key.network().into(), key.length()).ok()?,
                hop,
            ))
        })
    }

    /// Adds a route, or changes its next hop; returns the next hop that it had.
    ///
    /// # Errors
    /// [`FibError::Full`], and nothing was done.
    pub fn add(&mut self, prefix: Ipv4Prefix, hop: HopIndex) -> Result<Option<HopIndex>, FibError> {
        let key = RouteKey::of(prefix);
        if key.length() > 24 && !self.has_group(key.network()) {
            let group = self.take_group().ok_or(FibError::Full(prefix))?;
            self.link(key.network(), group);
        }
        let before = self.routes.insert(key, hop);
        self.paint(key, hop);
        Ok(before)
    }

    /// Removes a route; returns the next hop that it had. What it covered falls to the next shorter prefix.
    pub fn delete(&mut self, prefix: Ipv4Prefix) -> Option<HopIndex> {
        let key = RouteKey::of(prefix);
        let before = self.routes.remove(&key)?;
        let covering = self.covering(key);
        self.paint(key, covering);
        if key.length() > 24 {
            self.unlink_if_uniform(key.network());
        }
        Some(before)
    }

    /// The groups unlinked since the last call; give each back by [`Fib::free`] when no worker can be reading it.
    pub fn take_unlinked(&mut self) -> Vec<UnlinkedGroup> {
        std::mem::take(&mut self.unlinked)
    }

    /// Takes a group back for use.
    pub fn free(&mut self, group: UnlinkedGroup) {
        self.free_groups.push(group.0);
    }

    /// The next hop of the longest prefix that contains `key` and is shorter.
    fn covering(&self, key: RouteKey) -> HopIndex {
        (0..key.length())
            .rev()
            .find_map(|length| {
                let mask = !last_address(0, length);
                self.routes
                    .get(&RouteKey::new(key.network() & mask, length))
                    .copied()
            })
            .unwrap_or(0)
    }

    /// Writes `hop` wherever `key` is the longest prefix.
    fn paint(&mut self, key: RouteKey, hop: HopIndex) {
        let last = key.last();
        let mut start = key.network();
        let mut search = RouteKey(key.0 + 1);
        loop {
            let longer = self
                .routes
                .range(search..=RouteKey::after_all_in(last))
                .next()
                .map(|(&longer, _)| longer);
            match longer {
                Some(longer) => {
                    if longer.network() > start {
                        self.fill(start, longer.network() - 1, hop);
                    }
                    let Some(next) = longer.last().checked_add(1).filter(|&next| next <= last)
                    else {
                        return;
                    };
                    start = next;
                    search = RouteKey::new(next, 0);
                }
                None => return self.fill(start, last, hop),
            }
        }
    }

    /// Writes `hop` for the addresses from `first` to `last`, in none of which a longer prefix begins.
    fn fill(&mut self, first: u32, last: u32, hop: HopIndex) {
        let (first_block, last_block) = (first >> 8, last >> 8);
        let mut inner = first_block..=last_block;
        if first & 0xff != 0 {
            self.fill_within(first, last.min(first | 0xff), hop);
            inner = first_block + 1..=last_block;
        }
        if last & 0xff != 0xff && !inner.is_empty() {
            self.fill_within(last & !0xff, last, hop);
            if last_block == 0 {
                return;
            }
            inner = *inner.start()..=last_block - 1;
        }
        for block in inner {
            self.unlink(block << 8, hop);
        }
    }

    /// As [`Fib::fill`], within one block; a block that has no group is filled wholly.
    fn fill_within(&mut self, first: u32, last: u32, hop: HopIndex) {
        let entry = self.table.block(first).load(Ordering::Relaxed);
        if entry & GROUP_FLAG == 0 {
            // Part of a block without a group would be a longer prefix inside it, which has one.
            self.table.block(first).store(hop, Ordering::Relaxed);
            return;
        }
        let group = usize::from(entry & !GROUP_FLAG) * GROUP_ENTRIES;
        let range = group + (first & 0xff) as usize..=group + (last & 0xff) as usize;
        for entry in self.table.groups.get(range).unwrap_or_default() {
            entry.store(hop, Ordering::Relaxed);
        }
    }

    fn has_group(&self, address: u32) -> bool {
        self.table.block(address).load(Ordering::Relaxed) & GROUP_FLAG != 0
    }

    /// Whether the block of `address` holds a prefix longer than 24.
    fn holds_longer(&self, address: u32) -> bool {
        let block = address & !0xff;
        self.routes
            .range(RouteKey::new(block, 25)..=RouteKey::new(block | 0xff, 32))
            .any(|(key, _)| key.length() > 24)
    }

    fn take_group(&mut self) -> Option<u16> {
        self.free_groups.pop().or_else(|| {
            let group = self.fresh_group;
            (usize::from(group) < GROUPS_MAX).then(|| {
                self.fresh_group += 1;
                group
            })
        })
    }

    /// Puts `group`, filled with what the block says now, in the block's place.
    fn link(&mut self, address: u32, group: u16) {
        let block = self.table.block(address);
        let hop = block.load(Ordering::Relaxed);
        let start = usize::from(group) * GROUP_ENTRIES;
        for entry in self
            .table
            .groups
            .get(start..start + GROUP_ENTRIES)
            .unwrap_or_default()
        {
            entry.store(hop, Ordering::Relaxed);
        }
        block.store(GROUP_FLAG | group, Ordering::Release);
    }

    /// Puts `hop` in the block's place, and the group that was there, if any, on the list of unlinked ones.
    fn unlink(&mut self, address: u32, hop: HopIndex) {
        let block = self.table.block(address);
        let before = block.load(Ordering::Relaxed);
        block.store(hop, Ordering::Relaxed);
        if before & GROUP_FLAG != 0 {
            self.unlinked.push(UnlinkedGroup(before & !GROUP_FLAG));
        }
    }

    /// Unlinks the block's group if no longer prefix needs it.
    fn unlink_if_uniform(&mut self, address: u32) {
        if self.has_group(address) && !self.holds_longer(address) {
            let hop = self.table.lookup(address);
            self.unlink(address, hop);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Ipv4Prefix {
        text.parse().unwrap()
    }

    fn lookup(fib: &Fib, text: &str) -> HopIndex {
        fib.table()
            .lookup(text.parse::<Ipv4Addr>().unwrap().to_bits())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut fib = Fib::new().unwrap();
        assert_eq!(lookup(&fib, "192.0.2.1"), 0);
        for (text, hop) in [
            ("0.0.0.0/0", 1),
            ("192.0.0.0/16", 2),
            ("192.0.2.0/24", 3),
            ("192.0.2.128/25", 4),
            ("192.0.2.200/32", 5),
        ] {
            assert_eq!(fib.add(prefix(text), hop), Ok(None));
        }
        for (text, hop) in [
            ("8.8.8.8", 1),
            ("192.0.3.1", 2),
            ("192.0.2.1", 3),
            ("192.0.2.129", 4),
            ("192.0.2.200", 5),
            ("255.255.255.255", 1),
        ] {
            assert_eq!(lookup(&fib, text), hop, "{text}");
        }
    }

    #[test]
    fn a_deleted_route_falls_to_the_next_shorter() {
        let mut fib = Fib::new().unwrap();
        for (text, hop) in [("10.0.0.0/8", 1), ("10.1.2.0/24", 2), ("10.1.2.4/30", 3)] {
            fib.add(prefix(text), hop).unwrap();
        }
        assert_eq!(fib.delete(prefix("10.1.2.0/24")), Some(2));
        assert_eq!((lookup(&fib, "10.1.2.1"), lookup(&fib, "10.1.2.5")), (1, 3));
        assert_eq!(fib.take_unlinked(), []);
        assert_eq!(fib.delete(prefix("10.1.2.4/30")), Some(3));
        assert_eq!(lookup(&fib, "10.1.2.5"), 1);
        assert_eq!(
            fib.take_unlinked().len(),
            1,
            "no longer prefix is left in the block"
        );
        assert_eq!(fib.delete(prefix("10.1.2.4/30")), None);
    }

    #[test]
    fn the_table_says_when_it_is_full_and_recovers() {
        let mut fib = Fib::new().unwrap();
        let host = |block: u32| Ipv4Prefix::host(Ipv4Addr::from(block << 8 | 1));
        for block in 0..GROUPS_MAX as u32 {
            fib.add(host(block), 1).unwrap();
        }
        let one_more = host(GROUPS_MAX as u32);
        assert_eq!(fib.add(one_more, 1), Err(FibError::Full(one_more)));
        assert_eq!(fib.get(one_more), None);
        fib.delete(host(7));
        assert_eq!(
            fib.add(one_more, 1),
            Err(FibError::Full(one_more)),
            "a worker may still read the group"
        );
        for group in fib.take_unlinked() {
            fib.free(group);
        }
        assert_eq!(fib.add(one_more, 1), Ok(None));
    }

    /// Prefixes of which many nest and many share a block.
    fn crowded() -> impl Strategy<Value = Ipv4Prefix> {
        (0u32..4, 0u32..3, any::<u8>(), 0u8..=32).prop_map(|(a, b, c, length)| {
            Ipv4Prefix::new(Ipv4Addr::from(a << 30 | b << 8 | u32::from(c)), length)
                .unwrap()
                .masked()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn look_ups_agree_with_a_search_of_all_prefixes(
            changes in prop::collection::vec((crowded(), 0u16..6), 1..40),
        ) {
            let mut fib = Fib::new().unwrap();
            let mut model: Vec<(Ipv4Prefix, u16)> = Vec::new();
            for &(prefix, hop) in &changes {
                let before = model.iter().position(|(known, _)| *known == prefix).map(|place| model.swap_remove(place).1);
                if hop == 0 {
                    prop_assert_eq!(fib.delete(prefix), before);
                } else {
                    prop_assert_eq!(fib.add(prefix, hop), Ok(before));
                    model.push((prefix, hop));
                }
                for group in fib.take_unlinked() {
                    fib.free(group);
                }
            }
            prop_assert_eq!(fib.len(), model.len());
            let interesting = changes.iter().flat_map(|(prefix, _)| {
                let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
                [first, last, first.wrapping_sub(1), last.wrapping_add(1), first ^ 0x80, last ^ 0x100]
            });
            for address in interesting {
                let best = model.iter().filter(|(prefix, _)| prefix.contains(address.into())).max_by_key(|(prefix, _)| prefix.len());
                prop_assert_eq!(fib.table().lookup(address), best.map_or(0, |&(_, hop)| hop), "{}", Ipv4Addr::from(address));
            }
        }
    }
}
