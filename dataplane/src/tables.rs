//! What workers read: one immutable snapshot, replaced as a whole. Its large parts are shared between snapshots.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::addr::MacAddr;
use crate::fib::{FibTable, HopIndex};
use crate::grace::Generation;
use crate::hop::Hop;
use crate::neighbours::mac_word;
use crate::verdict::VerdictTable;

/// What is done with a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardingMode {
    /// Out of the paired port (0 and 1, 2 and 3, …; an odd last one with itself), unchanged.
    Io,
    /// As `Io`, with the MAC addresses rewritten as dpdk-testpmd does.
    Mac,
    /// As a router does.
    #[default]
    Route,
}

/// Which address of a packet names its end system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOn {
    /// On a LAN-side group.
    Source,
    /// On a carrier-side group.
    Destination,
}

/// A virtual router on a port, as workers see it.
#[derive(Clone, Debug)]
pub struct Group {
    /// What becomes of whose packets.
    pub verdicts: Arc<VerdictTable>,
    /// Which address names an end system.
    pub match_on: MatchOn,
}

/// A port as workers see it.
#[derive(Clone, Debug)]
pub(crate) struct PortTable {
    /// Its own MAC ([`mac_word`]).
    pub(crate) mac: u64,
    /// The largest IP packet that it sends, in octets.
    pub(crate) mtu: u16,
    /// Bit VRID of the groups that there are.
    present: [u64; 4],
    groups: Vec<Option<Group>>,
}

impl PortTable {
    /// A port without groups.
    #[must_use]
    pub(crate) fn new(mac: MacAddr, mtu: u16) -> Self {
        Self {
            mac: mac_word(mac),
            mtu,
            present: [0; 4],
            groups: vec![None; 256],
        }
    }

    /// Adds, replaces or removes the group with this VRID.
    pub(crate) fn set_group(&mut self, vrid: u8, group: Option<Group>) {
        let bit = 1 << (vrid % 64);
        let word = &mut self.present[usize::from(vrid / 64)];
        *word = if group.is_some() {
            *word | bit
        } else {
            *word & !bit
        };
        self.groups[usize::from(vrid)] = group;
    }

    /// Whether there is a group with this VRID.
    #[inline(always)]
    #[must_use]
    pub(crate) fn has_group(&self, vrid: u8) -> bool {
        self.present[usize::from(vrid / 64)] >> (vrid % 64) & 1 != 0
    }

    /// Whether a condition is on hold in one of its groups.
    #[must_use]
    pub(crate) fn holds(&self, condition: u32) -> bool {
        self.groups
            .iter()
            .flatten()
            .any(|group| group.verdicts.holds(condition))
    }

    /// The group with this VRID; none for a number that is no VRID.
    #[inline(always)]
    #[must_use]
    pub(crate) fn group(&self, vrid: u16) -> Option<&Group> {
        self.groups.get(usize::from(vrid))?.as_ref()
    }
}

/// The router's own addresses, on all ports, virtual ones that it answers for included.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnAddresses {
    addresses: BTreeSet<u32>,
    filter: AddressFilter,
}

/// One bit for each hash value of an own address: nearly every other address is told apart by it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AddressFilter(u64);

impl AddressFilter {
    #[inline(always)]
    fn bit(address: u32) -> u32 {
        address.wrapping_mul(0x9e37_79b9) >> 26
    }

    /// Whether `address`, as a word in the order in which it stands in a header, may be an own one. Few others answer yes.
    #[inline(always)]
    #[must_use]
    pub(crate) fn may_contain(self, address: u32) -> bool {
        self.top_bit_if_it_may_contain(address) >> 31 != 0
    }

    /// As [`may_contain`](Self::may_contain), in the top bit of a word of which the rest means nothing: so it is said of
    /// several addresses at once.
    #[inline(always)]
    #[must_use]
    pub(crate) fn top_bit_if_it_may_contain(self, address: u32) -> u32 {
        let (low, high) = (self.0 as u32, (self.0 >> 32) as u32);
        let bit = Self::bit(address);
        // All ones if the bit is in the high word.
        let in_high = (bit >> 5).wrapping_neg();
        (low ^ (low ^ high) & in_high) << (31 - (bit & 31))
    }
}

impl OwnAddresses {
    /// Which addresses may be among them.
    #[inline(always)]
    #[must_use]
    pub(crate) fn filter(&self) -> AddressFilter {
        self.filter
    }

    /// Whether `address` (host order) is an own one.
    #[inline]
    #[must_use]
    pub(crate) fn contains(&self, address: u32) -> bool {
        self.filter.may_contain(address.to_be()) && self.addresses.contains(&address)
    }
}

impl FromIterator<Ipv4Addr> for OwnAddresses {
    fn from_iter<I: IntoIterator<Item = Ipv4Addr>>(addresses: I) -> Self {
        let addresses: BTreeSet<u32> = addresses.into_iter().map(Ipv4Addr::to_bits).collect();
        let filter = addresses.iter().fold(0, |filter, &address| {
            filter | 1 << AddressFilter::bit(address.to_be())
        });
        Self {
            addresses,
            filter: AddressFilter(filter),
        }
    }
}

/// The snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// One above that of the snapshot before.
    pub(crate) generation: Generation,
    /// Whether frames are received at all.
    pub(crate) forwarding: bool,
    /// What is done with them.
    pub(crate) mode: ForwardingMode,
    /// Whether the time that each burst takes is recorded.
    pub(crate) burst_times: bool,
    /// By port index.
    pub(crate) ports: Vec<Arc<PortTable>>,
    /// Address → index of a next hop.
    pub(crate) fib: Arc<FibTable>,
    /// The next hops; index 0 is "no route".
    pub(crate) hops: Arc<Vec<Arc<Hop>>>,
    /// The router's own addresses.
    pub(crate) own: Arc<OwnAddresses>,
}

impl Tables {
    /// The next hop with this index.
    #[inline(always)]
    #[must_use]
    pub(crate) fn hop(&self, index: HopIndex) -> Option<&Hop> {
        self.hops.get(usize::from(index)).map(|hop| &**hop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_told_from_others() {
        let own: OwnAddresses = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1)]
            .into_iter()
            .collect();
        assert!(own.contains(Ipv4Addr::new(192, 0, 2, 1).to_bits()));
        assert!(
            (0..=255)
                .filter(|&host| own.contains(Ipv4Addr::new(192, 0, 2, host).to_bits()))
                .eq([1])
        );
        assert!(!OwnAddresses::default().contains(0));
    }

    #[test]
    fn a_group_is_present_until_it_is_removed() {
        let mut port = PortTable::new(MacAddr::ZERO, 1500);
        let group = Group {
            verdicts: Arc::new(VerdictTable::uniform(crate::verdict::Verdict::Route, 0)),
            match_on: MatchOn::Source,
        };
        for vrid in [0, 63, 64, 255] {
            assert!(!port.has_group(vrid));
            port.set_group(vrid, Some(group.clone()));
            assert!(port.has_group(vrid) && port.group(vrid.into()).is_some());
        }
        port.set_group(64, None);
        assert!(!port.has_group(64) && port.group(64).is_none() && port.has_group(63));
        assert!(port.group(256).is_none());
    }
}
