//! The neighbours on a connected network, as workers read them: address → MAC. The control thread writes in place.
//! Resolution (ARP, retries, ageing) is the control thread's business and does not live here.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use crate::addr::{Ipv4Prefix, MacAddr};

/// A MAC as one word: its six octets in wire order from the lowest, and a mark that it is known.
#[derive(Debug, Default)]
pub(crate) struct MacCell(AtomicU64);

const KNOWN: u64 = 1 << 63;

impl MacCell {
    /// The word for [`mac_word`] in the low 48 bits, or none.
    #[inline(always)]
    #[must_use]
    pub(crate) fn load(&self) -> Option<u64> {
        let word = self.0.load(Ordering::Relaxed);
        (word != 0).then_some(word & !KNOWN)
    }

    /// Sets the MAC, or forgets it.
    pub(crate) fn store(&self, mac: Option<MacAddr>) {
        self.0.store(
            mac.map_or(0, |mac| KNOWN | mac_word(mac)),
            Ordering::Relaxed,
        );
    }
}

/// The six octets of a MAC, in wire order from the lowest.
#[inline]
#[must_use]
pub(crate) const fn mac_word(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

const PAGE_CELLS: usize = 64;

type Page = [MacCell; PAGE_CELLS];

/// The shortest connected prefix: its table of pages takes 4 MiB.
pub(crate) const PREFIX_LENGTH_MIN: u8 = 8;

/// Why there can be no table of neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} is too large for a connected network; the largest is a /8")]
pub struct TooWide(pub Ipv4Prefix);

/// The neighbours of one connected network, indexed by address, in pages that are made when first written.
#[derive(Debug)]
pub(crate) struct Neighbours {
    first: u32,
    pages: Box<[OnceLock<Box<Page>>]>,
}

impl Neighbours {
    /// # Errors
    /// [`TooWide`] for a prefix shorter than [`PREFIX_LENGTH_MIN`].
    pub(crate) fn new(prefix: Ipv4Prefix) -> Result<Self, TooWide> {
        if prefix.len() < PREFIX_LENGTH_MIN {
            return Err(TooWide(prefix));
        }
        let pages = usize::try_from(prefix.size())
            .unwrap_or(usize::MAX)
            .div_ceil(PAGE_CELLS);
        Ok(Self {
            first: prefix.network().to_bits(),
            pages: (0..pages).map(|_| OnceLock::new()).collect(),
        })
    }

    /// The MAC word ([`mac_word`]) of the neighbour at `address` (host order), if it is resolved.
    #[inline(always)]
    #[must_use]
    pub(crate) fn get(&self, address: u32) -> Option<u64> {
        let offset = address.wrapping_sub(self.first) as usize;
        self.pages.get(offset / PAGE_CELLS)?.get()?[offset % PAGE_CELLS].load()
    }

    /// Sets a neighbour's MAC, or forgets it; false if `address` is not on this network.
    pub(crate) fn set(&self, address: u32, mac: Option<MacAddr>) -> bool {
        let offset = address.wrapping_sub(self.first) as usize;
        let Some(page) = self.pages.get(offset / PAGE_CELLS) else {
            return false;
        };
        let page = match mac {
            Some(_) => {
                page.get_or_init(|| Box::new([const { MacCell(AtomicU64::new(0)) }; PAGE_CELLS]))
            }
            None => match page.get() {
                Some(page) => page,
                None => return true,
            },
        };
        page[offset % PAGE_CELLS].store(mac);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn neighbours_are_what_was_set_last(
            length in 8u8..=32,
            changes in prop::collection::vec((any::<u32>(), prop::option::of(any::<[u8; 6]>())), 0..200),
        ) {
            let prefix = Ipv4Prefix::new(Ipv4Addr::new(10, 20, 30, 40), length).unwrap();
            let neighbours = Neighbours::new(prefix).unwrap();
            let mut model = HashMap::new();
            for (bits, mac) in changes {
                let address = prefix.network().to_bits() | bits & !prefix.mask();
                prop_assert!(neighbours.set(address, mac.map(MacAddr)));
                model.insert(address, mac.map(|mac| mac_word(MacAddr(mac))));
            }
            for (address, word) in model {
                prop_assert_eq!(neighbours.get(address), word);
            }
        }
    }

    #[test]
    fn an_address_of_another_network_is_no_neighbour() {
        let neighbours = Neighbours::new("192.0.2.0/24".parse().unwrap()).unwrap();
        for text in ["192.0.1.255", "192.0.3.0", "0.0.0.0", "255.255.255.255"] {
            let address = text.parse::<Ipv4Addr>().unwrap().to_bits();
            assert!(!neighbours.set(address, Some(MacAddr::BROADCAST)), "{text}");
            assert_eq!(neighbours.get(address), None, "{text}");
        }
    }

    #[test]
    fn even_the_mac_of_zeros_is_told_from_none() {
        let cell = MacCell::default();
        assert_eq!(cell.load(), None);
        cell.store(Some(MacAddr::ZERO));
        assert_eq!(cell.load(), Some(0));
    }

    #[test]
    fn a_network_wider_than_a_slash_8_is_refused() {
        let prefix = "0.0.0.0/7".parse().unwrap();
        assert_eq!(Neighbours::new(prefix).err(), Some(TooWide(prefix)));
    }
}
