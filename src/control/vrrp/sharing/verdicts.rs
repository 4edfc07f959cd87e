//! What the workers are to do with each condition's packets, as far as it has been decided: tables for them, at most one a
//! round, and who waits until they have taken one up.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use dataplane::addr::Ipv4Prefix;
use dataplane::verdict::{CONNECTED_MAX, Verdict, VerdictTable};
use vrrpd::sharing::moves;
use vrrpd::sharing::names::{Condition, MoveName};

use super::numbers::{Numbers, UNSHARED};

/// What a published table is asked for by, whether the workers have taken it up.
pub type Taken = u64;

/// A move that waits for its verdict to be taken up.
type Waiter = (MoveName, moves::Verdict);

/// The verdicts of one group.
#[derive(Debug)]
pub(super) struct Verdicts {
    /// The network of the link, and the index of its first address; each of its addresses has that of its place. None if it is too large, or there are not so
    /// many indices: then each end system gets one by itself.
    connected: Option<(Ipv4Prefix, u32)>,
    /// Whether end systems are to be learned from the rest while it is routed here.
    learns: bool,
    rest: Judged,
    end_systems: HashMap<Ipv4Addr, Judged>,
    conditions: HashMap<u32, Condition>,
    changed: bool,
    next: Publication,
    published: VecDeque<(Taken, Publication)>,
}

#[derive(Clone, Copy, Debug)]
struct Judged {
    verdict: Verdict,
    index: u32,
    watched: bool,
}

/// What goes with a table: who waits for it, and the numbers that it does not use any more.
#[derive(Debug, Default)]
struct Publication {
    waiters: Vec<Waiter>,
    unused: Vec<u32>,
}

impl Verdicts {
    /// Everything is discarded until it is decided otherwise.
    pub(super) fn new(connected: Ipv4Prefix, learns: bool, numbers: &mut Numbers) -> Self {
        let rest = Judged {
            verdict: Verdict::Discard,
            index: numbers.take(),
            watched: false,
        };
        let size = u32::try_from(connected.size()).ok();
        let block = size
            .filter(|&size| u64::from(size) <= CONNECTED_MAX)
            .and_then(|size| numbers.take_block(size));
        Self {
            connected: block.map(|first| (connected, first)),
            learns,
            rest,
            end_systems: HashMap::new(),
            conditions: HashMap::from([(rest.index, Condition::Rest)]),
            changed: true,
            next: Publication::default(),
            published: VecDeque::new(),
        }
    }

    /// Whether end systems are to be learned from now on.
    pub(super) fn set_learns(&mut self, learns: bool) {
        self.changed |= std::mem::replace(&mut self.learns, learns) != learns;
    }

    /// Has a table published though nothing has changed.
    pub(super) const fn renew(&mut self) {
        self.changed = true;
    }

    /// Decides on a condition; `None`: it is none any more, and the rest decides.
    pub(super) fn set(
        &mut self,
        condition: Condition,
        verdict: Option<moves::Verdict>,
        numbers: &mut Numbers,
    ) {
        let Some(verdict) = verdict.map(of_workers) else {
            self.remove(condition);
            return;
        };
        if let Some(judged) = self.judged(condition, numbers)
            && judged.verdict != verdict
        {
            judged.verdict = verdict;
            self.changed = true;
        }
    }

    /// Has what happens to a condition's packets followed, or not any more.
    pub(super) fn watch(&mut self, condition: Condition, watched: bool, numbers: &mut Numbers) {
        if let Some(judged) = self.judged(condition, numbers)
            && judged.watched != watched
        {
            judged.watched = watched;
            self.changed = true;
        }
    }

    /// The index of a condition's counter.
    pub(super) fn index(&mut self, condition: Condition, numbers: &mut Numbers) -> Option<u32> {
        Some(self.judged(condition, numbers)?.index)
    }

    /// The index of the counter that a condition has to itself, if it has one.
    pub(super) fn counted_at(&self, condition: Condition) -> Option<u32> {
        let index = match condition {
            Condition::Rest => self.rest.index,
            Condition::Address(IpAddr::V4(address)) => self.end_systems.get(&address)?.index,
            Condition::Address(IpAddr::V6(_)) => return None,
        };
        (index != UNSHARED).then_some(index)
    }

    /// The condition that an index is of.
    pub(super) fn condition(&self, index: u32) -> Option<Condition> {
        self.conditions.get(&index).copied()
    }

    /// What is done with a condition's packets.
    pub(super) fn verdict(&self, condition: Condition) -> Verdict {
        match condition {
            Condition::Address(IpAddr::V4(address)) => {
                let judged = self.end_systems.get(&address);
                judged.unwrap_or(&self.rest).verdict
            }
            _ => self.rest.verdict,
        }
    }

    /// Has a move told when the next table is taken up, even if nothing changes by it.
    pub(super) fn wait(&mut self, name: MoveName, verdict: moves::Verdict) {
        self.changed = true;
        self.next.waiters.push((name, verdict));
    }

    /// The next table, if anything has changed.
    pub(super) fn take_table(&mut self) -> Option<VerdictTable> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut builder = VerdictTable::builder(self.rest.verdict, self.rest.index);
        if let Some((network, first)) = self.connected {
            builder = builder.connected(network, first);
        }
        if self.rest.watched || (self.learns && self.rest.verdict == Verdict::Route) {
            builder = builder.watch_rest();
        }
        for (address, judged) in &self.end_systems {
            let Judged {
                verdict,
                index,
                watched,
            } = *judged;
            builder = if watched {
                builder.watched(*address, verdict, index)
            } else {
                builder.condition(*address, verdict, index)
            };
        }
        builder
            .build()
            .inspect_err(|error| tracing::error!("no verdict table: {error}"))
            .ok()
    }

    /// The last table taken has been published.
    pub(super) fn published(&mut self, taken: Taken) {
        let publication = std::mem::take(&mut self.next);
        self.published.push_back((taken, publication));
    }

    /// Whether the workers have yet to take up a table.
    pub(super) fn is_settling(&self) -> bool {
        !self.published.is_empty()
    }

    /// Who waited for tables that have been taken up, in order.
    pub(super) fn settle(
        &mut self,
        has_taken_up: impl Fn(Taken) -> bool,
        numbers: &mut Numbers,
    ) -> Vec<Waiter> {
        let mut waiters = Vec::new();
        while self
            .published
            .front()
            .is_some_and(|(taken, _)| has_taken_up(*taken))
            && let Some((_, publication)) = self.published.pop_front()
        {
            for index in publication.unused {
                numbers.give_back(index);
            }
            waiters.extend(publication.waiters);
        }
        waiters
    }

    /// Gives all numbers back; the workers know the group no more.
    pub(super) fn end(self, numbers: &mut Numbers) {
        let published = self.published.into_iter();
        let unused = published
            .map(|(_, publication)| publication)
            .chain([self.next])
            .flat_map(|publication| publication.unused);
        let indices = self.conditions.into_keys().chain(unused);
        for index in indices.filter(|&index| !is_in_block(self.connected, index)) {
            numbers.give_back(index);
        }
        if let Some((network, first)) = self.connected {
            numbers.give_block_back(first, network.size() as u32);
        }
    }

    fn remove(&mut self, condition: Condition) {
        let Condition::Address(IpAddr::V4(address)) = condition else {
            return;
        };
        if let Some(judged) = self.end_systems.remove(&address) {
            self.conditions.remove(&judged.index);
            if !is_in_block(self.connected, judged.index) {
                self.next.unused.push(judged.index);
            }
            self.changed = true;
        }
    }

    /// What is decided of a condition; of one that is new, what is decided of the rest. None of an IPv6 address.
    fn judged(&mut self, condition: Condition, numbers: &mut Numbers) -> Option<&mut Judged> {
        let address = match condition {
            Condition::Rest => return Some(&mut self.rest),
            Condition::Address(IpAddr::V4(address)) => address,
            Condition::Address(IpAddr::V6(_)) => return None,
        };
        let (rest, conditions) = (self.rest.verdict, &mut self.conditions);
        Some(self.end_systems.entry(address).or_insert_with(|| {
            let index = match self.connected {
                Some((network, first)) if network.contains(address) => {
                    first + (address.to_bits() - network.network().to_bits())
                }
                _ => numbers.take(),
            };
            if index != UNSHARED {
                conditions.insert(index, condition);
            }
            Judged {
                verdict: rest,
                index,
                watched: false,
            }
        }))
    }
}

/// Whether an index is one that the addresses of the connected network have by their places.
fn is_in_block(connected: Option<(Ipv4Prefix, u32)>, index: u32) -> bool {
    connected.is_some_and(|(network, first)| {
        index
            .checked_sub(first)
            .is_some_and(|place| u64::from(place) < network.size())
    })
}

const fn of_workers(verdict: moves::Verdict) -> Verdict {
    match verdict {
        moves::Verdict::Route => Verdict::Route,
        moves::Verdict::Discard => Verdict::Discard,
        moves::Verdict::Hold => Verdict::Hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 17);
    const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 18);
    /// Behind a further router.
    const C: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const D: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    fn of(address: Ipv4Addr) -> Condition {
        Condition::Address(address.into())
    }

    fn verdicts(numbers: &mut Numbers) -> Verdicts {
        Verdicts::new("192.0.2.0/24".parse().unwrap(), false, numbers)
    }

    fn published(verdicts: &mut Verdicts, taken: Taken) -> VerdictTable {
        let table = verdicts.take_table().expect("something has changed");
        verdicts.published(taken);
        table
    }

    #[test]
    fn a_group_begins_by_discarding_and_makes_a_table_only_when_something_changes() {
        let mut numbers = Numbers::up_to(100);
        let mut verdicts = verdicts(&mut numbers);
        let table = published(&mut verdicts, 1);
        assert_eq!(table.get(A.to_bits()).verdict(), Verdict::Discard);
        verdicts.set(of(A), Some(moves::Verdict::Route), &mut numbers);
        let table = published(&mut verdicts, 2);
        assert_eq!(table.get(A.to_bits()).verdict(), Verdict::Route);
        assert_eq!(table.get(B.to_bits()).verdict(), Verdict::Discard);
        verdicts.set(of(A), Some(moves::Verdict::Route), &mut numbers);
        assert!(verdicts.take_table().is_none());
    }

    #[test]
    fn who_is_on_the_link_has_the_index_of_its_place_there() {
        let mut numbers = Numbers::up_to(1000);
        let mut verdicts = verdicts(&mut numbers);
        let index = |verdicts: &mut Verdicts, address, numbers: &mut Numbers| {
            verdicts.index(of(address), numbers).unwrap()
        };
        let of_a = index(&mut verdicts, A, &mut numbers);
        assert_eq!(index(&mut verdicts, B, &mut numbers), of_a + 1);
        let of_c = index(&mut verdicts, C, &mut numbers);
        verdicts.set(of(A), Some(moves::Verdict::Route), &mut numbers);
        let table = published(&mut verdicts, 1);
        for (address, index) in [(A, of_a), (B, of_a + 1), (C, of_c)] {
            assert_eq!(table.get(address.to_bits()).condition(), index);
        }
        verdicts.set(of(A), None, &mut numbers);
        assert_eq!(
            index(&mut verdicts, A, &mut numbers),
            of_a,
            "the next time too"
        );
    }

    #[test]
    fn a_link_that_has_no_block_has_indices_one_by_one() {
        let mut numbers = Numbers::up_to(200);
        let mut verdicts = verdicts(&mut numbers);
        verdicts.set(of(B), Some(moves::Verdict::Route), &mut numbers);
        verdicts.set(of(A), Some(moves::Verdict::Discard), &mut numbers);
        let table = published(&mut verdicts, 1);
        let found = [B, A].map(|address| {
            let entry = table.get(address.to_bits());
            (entry.verdict(), entry.condition())
        });
        assert_eq!(found, [(Verdict::Route, 2), (Verdict::Discard, 3)]);
    }

    #[test]
    fn an_index_is_used_anew_only_when_the_table_without_it_was_taken_up() {
        // The unshared one, the rest's, one more, and the link's.
        let mut numbers = Numbers::up_to(3 + 256);
        let mut verdicts = verdicts(&mut numbers);
        verdicts.set(of(C), Some(moves::Verdict::Route), &mut numbers);
        published(&mut verdicts, 1);
        verdicts.set(of(C), None, &mut numbers);
        published(&mut verdicts, 2);
        assert_eq!(numbers.take(), UNSHARED);
        verdicts.settle(|taken| taken <= 1, &mut numbers);
        assert_eq!(numbers.take(), UNSHARED);
        verdicts.settle(|taken| taken <= 2, &mut numbers);
        assert_eq!(numbers.take(), 2);
    }

    #[test]
    fn a_group_that_ends_gives_back_the_indices_too_that_it_has_just_stopped_using() {
        // The unshared one, the rest's, two more, and the link's.
        let mut numbers = Numbers::up_to(4 + 256);
        let mut verdicts = verdicts(&mut numbers);
        for condition in [of(A), of(C), of(D)] {
            verdicts.set(condition, Some(moves::Verdict::Route), &mut numbers);
        }
        verdicts.set(of(C), None, &mut numbers);
        published(&mut verdicts, 1);
        verdicts.set(of(D), None, &mut numbers);
        assert_eq!(numbers.take_block(256), None);
        verdicts.end(&mut numbers);
        let mut free: Vec<u32> = (0..4).map(|_| numbers.take()).collect();
        free.sort_unstable();
        assert_eq!(free, [UNSHARED, 1, 2, 3]);
        assert_eq!(numbers.take_block(256), Some(4));
    }

    #[test]
    fn who_waits_is_told_when_the_table_was_taken_up_and_in_order() {
        let name = |batch| MoveName {
            version: vrrpd::sharing::names::Version::default(),
            from: vrrpd::sharing::names::RouterId::new(1).unwrap(),
            to: vrrpd::sharing::names::RouterId::new(2).unwrap(),
            batch,
        };
        let mut numbers = Numbers::up_to(100);
        let mut verdicts = verdicts(&mut numbers);
        let waiter = |batch| (name(batch), moves::Verdict::Hold);
        verdicts.wait(name(1), moves::Verdict::Hold);
        published(&mut verdicts, 7);
        verdicts.wait(name(2), moves::Verdict::Hold);
        published(&mut verdicts, 8);
        assert!(verdicts.settle(|_| false, &mut numbers).is_empty());
        assert!(verdicts.is_settling());
        assert_eq!(
            verdicts.settle(|_| true, &mut numbers),
            [waiter(1), waiter(2)]
        );
        assert!(!verdicts.is_settling());
    }

    #[test]
    fn the_rest_is_watched_while_it_is_routed_here_and_end_systems_are_learned() {
        let mut numbers = Numbers::up_to(100);
        let mut verdicts = verdicts(&mut numbers);
        verdicts.set_learns(true);
        assert!(!published(&mut verdicts, 1).rest().is_watched());
        verdicts.set(Condition::Rest, Some(moves::Verdict::Route), &mut numbers);
        assert!(published(&mut verdicts, 2).rest().is_watched());
        verdicts.set_learns(false);
        assert!(!published(&mut verdicts, 3).rest().is_watched());
    }
}
