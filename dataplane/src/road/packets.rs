//! A burst on the road: the packets' buffers, and beside them what the stations have found out about each.

use std::mem;
use std::ops::Range;

use super::header::{HEADERS_OCTETS, destination, source, total_octets};
use super::parse::Words;
use crate::backlog::Held;
use crate::dpdk::{BURST_MAX, Burst, Mbuf, top_bits};
use crate::fib::HopIndex;
use crate::tables::MatchOn;
use crate::verdict::Entry;

/// One finding on each packet, at the place of its buffer; behind those, old ones.
pub(super) type Column<T> = [T; BURST_MAX];

/// What the stations have found out, column by column: a station touches the columns of its business and no other, and
/// the compiler takes several packets at once where nothing but columns is read. Every column begins a cache line, so that
/// several packets at once never lie in two.
#[repr(C, align(64))]
pub(super) struct Notes {
    /// Source addresses, host order.
    pub(super) sources: Column<u32>,
    /// Destination addresses, host order.
    pub(super) destinations: Column<u32>,
    /// Total length of the IP packet.
    pub(super) total_octets: Column<u16>,
    /// The VRID of the virtual MAC that it came to, or [`super::OWN_MAC`].
    pub(super) vias: Column<u16>,
    /// The verdict on its end system, and its condition; [`Entry::NONE`] if it came to the port's own MAC.
    pub(super) entries: Column<Entry>,
    pub(super) hops: Column<HopIndex>,
    /// The index of the port that it leaves by.
    pub(super) egress: Column<u16>,
    /// The next hop's MAC, as a word.
    pub(super) macs: Column<u64>,
    /// What all came to, if that is one, and known.
    pub(super) one_via: Option<u16>,
    /// The way that all go, if it is one; the columns of egress ports and MACs mean nothing then.
    pub(super) one_way: Option<Way>,
}

/// How a packet leaves.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// The index of the port.
    pub(super) egress: u16,
    /// The next hop's MAC, as a word.
    pub(super) mac: u64,
}

impl Notes {
    pub(super) const BLANK: Self = Self {
        sources: [0; BURST_MAX],
        destinations: [0; BURST_MAX],
        total_octets: [0; BURST_MAX],
        vias: [0; BURST_MAX],
        entries: [Entry::NONE; BURST_MAX],
        hops: [0; BURST_MAX],
        egress: [0; BURST_MAX],
        macs: [0; BURST_MAX],
        one_via: None,
        one_way: None,
    };

    /// The index of the port by which the packet at a place leaves.
    #[inline(always)]
    pub(super) fn egress(&self, place: usize) -> u16 {
        self.one_way
            .map_or(self.egress[place % BURST_MAX], |way| way.egress)
    }

    /// Splits places into runs of packets that leave by the same port.
    #[inline(always)]
    pub(super) fn runs_by_egress(
        &self,
        places: Range<usize>,
    ) -> impl Iterator<Item = Range<usize>> {
        let column = &self.egress[places];
        split(column, self.one_way.is_some() || is_uniform(column))
    }

    /// What judging by a group looks at, the addresses that it matches and the octets, and the entries to be found.
    #[inline(always)]
    pub(super) fn judged_by(
        &mut self,
        match_on: MatchOn,
    ) -> (&Column<u32>, &Column<u16>, &mut Column<Entry>) {
        let addresses = match match_on {
            MatchOn::Source => &self.sources,
            MatchOn::Destination => &self.destinations,
        };
        (addresses, &self.total_octets, &mut self.entries)
    }

    /// Moves the notes on a packet forward.
    #[inline(always)]
    fn advance(&mut self, from: usize, to: usize) {
        let (from, to) = (from % BURST_MAX, to % BURST_MAX);
        self.sources[to] = self.sources[from];
        self.destinations[to] = self.destinations[from];
        self.total_octets[to] = self.total_octets[from];
        self.vias[to] = self.vias[from];
        self.entries[to] = self.entries[from];
        self.hops[to] = self.hops[from];
        self.egress[to] = self.egress[from];
        self.macs[to] = self.macs[from];
    }
}

/// The packets on the road, in the order in which they came.
pub(crate) struct Packets {
    pub(super) mbufs: Burst,
    pub(super) notes: Notes,
    /// The headers as the parser takes them down.
    pub(super) words: Words,
    /// Whether any may have a TTL that does not suffice for one more hop.
    pub(super) any_old: bool,
    /// Those that are being led out, or past a door.
    aside: Burst,
}

impl Packets {
    pub(crate) fn new() -> Self {
        Self {
            mbufs: Burst::new(),
            notes: Notes::BLANK,
            words: Words::BLANK,
            any_old: false,
            aside: Burst::new(),
        }
    }

    /// The places of the packets.
    #[inline(always)]
    pub(super) fn places(&self) -> Range<usize> {
        0..self.mbufs.len()
    }

    /// Puts a packet behind the others that was parsed and judged before it was held. There has to be room.
    pub(super) fn put_back(&mut self, held: Held<Mbuf>) {
        let headers = held.packet.data().first_chunk();
        let headers = headers.unwrap_or(&[0; HEADERS_OCTETS]);
        let (place, notes) = (self.mbufs.len() % BURST_MAX, &mut self.notes);
        notes.sources[place] = source(headers);
        notes.destinations[place] = destination(headers);
        notes.total_octets[place] = total_octets(headers);
        notes.vias[place] = held.via;
        notes.entries[place] = Entry::route(held.condition);
        self.any_old = true;
        let _ = self.mbufs.push(held.packet);
    }

    /// Leads each of the packets at `places`, in order, to `door`, which gives back those that it does not let out.
    #[cold]
    pub(super) fn sift(
        &mut self,
        places: Places,
        mut door: impl FnMut(Mbuf, &mut Notes, usize) -> Option<Mbuf>,
    ) {
        mem::swap(&mut self.mbufs, &mut self.aside);
        for (place, mbuf) in self.aside.drain().enumerate() {
            let stays = if places.has(place) {
                door(mbuf, &mut self.notes, place)
            } else {
                Some(mbuf)
            };
            if let Some(mbuf) = stays {
                self.notes.advance(place, self.mbufs.len());
                // There is room: what comes back came from a burst.
                let _ = self.mbufs.push(mbuf);
            }
        }
    }

    /// Takes the packets at `places` off the road, in order; the others close ranks. Without a branch on where they are.
    pub(super) fn take_out(&mut self, places: Places) -> &mut Burst {
        let mut next = 0;
        for place in self.places() {
            self.notes.advance(place, next);
            next += usize::from(!places.has(place));
        }
        self.mbufs.part(places.0, &mut self.aside);
        &mut self.aside
    }
}

/// Places in a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places(u64);

const _: () = assert!(BURST_MAX == u64::BITS as usize);

impl Places {
    pub(super) const NONE: Self = Self(0);

    /// Adds a place, or not: without a branch.
    #[inline(always)]
    pub(super) fn add_if(&mut self, add: bool, place: usize) {
        self.0 |= u64::from(add) << (place % BURST_MAX);
    }

    #[inline(always)]
    pub(super) fn add(&mut self, place: usize) {
        self.add_if(true, place);
    }

    /// Those whose words have the top bit set, the first word standing for place `start`.
    #[inline(always)]
    pub(super) fn of_top_bits(words: [u32; 8], start: usize) -> Self {
        Self(u64::from(top_bits(words)) << (start % BURST_MAX))
    }

    #[inline(always)]
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those among the first `length`.
    #[inline(always)]
    pub(super) fn within(self, length: usize) -> Self {
        match length {
            0 => Self::NONE,
            length => Self(self.0 & (u64::MAX >> ((BURST_MAX - length) % BURST_MAX))),
        }
    }

    #[inline(always)]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    fn has(self, place: usize) -> bool {
        self.0 >> (place % BURST_MAX) & 1 != 0
    }
}

/// Splits a column into runs of equal values.
#[inline(always)]
pub(super) fn runs(column: &[u16]) -> impl Iterator<Item = Range<usize>> {
    split(column, is_uniform(column))
}

/// Whether all are equal, as most often: seen at one look.
#[inline(always)]
fn is_uniform(column: &[u16]) -> bool {
    let first = column.first().copied().unwrap_or_default();
    column.iter().fold(0, |all, value| all | (value ^ first)) == 0
}

#[inline(always)]
fn split(column: &[u16], is_uniform: bool) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = column.get(start..)?;
        let &value = rest.first()?;
        let length = if is_uniform {
            rest.len()
        } else {
            rest.iter().take_while(|&&next| next == value).count()
        };
        start += length;
        Some(start - length..start)
    })
}
