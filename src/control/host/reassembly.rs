//! Putting the fragments of packets for this router together again (RFC 791 section 3.2, RFC 1122 section 3.3.2).
//! Packets that go on are never put together.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::wire::ipv4::{FRAGMENT_UNIT_OCTETS, HEADER_OCTETS, MAX_PACKET_OCTETS, Packet};
use vrrpd::Time;

use super::counters::ReassemblyCounters;

/// How long and how many fragments are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyConfig {
    /// For how long a packet's fragments are kept, from the first that came.
    pub timeout: Duration,
    /// Fragments kept, of all packets together.
    pub max_fragments: usize,
}

impl Default for ReassemblyConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_fragments: 1024,
        }
    }
}

/// What tells the fragments of one packet from those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    identification: u16,
}

#[derive(Debug)]
struct Partial {
    serial: u64,
    deadline: Time,
    /// The payloads by where they begin.
    parts: BTreeMap<usize, Vec<u8>>,
    /// Where the whole ends, once its last fragment is here.
    end: Option<usize>,
}

/// The packets of which some fragments are here.
#[derive(Debug)]
pub struct Reassembly {
    config: ReassemblyConfig,
    partials: HashMap<Name, Partial>,
    /// The packets by age, the oldest, whose time is over first, in front.
    by_age: BTreeMap<u64, Name>,
    next_serial: u64,
    fragments: usize,
    counters: ReassemblyCounters,
}

impl Reassembly {
    /// No fragments yet.
    #[must_use]
    pub fn new(config: ReassemblyConfig) -> Self {
        Self {
            config,
            partials: HashMap::new(),
            by_age: BTreeMap::new(),
            next_serial: 0,
            fragments: 0,
            counters: ReassemblyCounters::default(),
        }
    }

    /// Takes a fragment, and gives the payload of the whole packet if this was the last one missing.
    pub fn add(&mut self, now: Time, fragment: &Packet<'_>) -> Option<Vec<u8>> {
        self.counters.fragments += 1;
        let name = Name {
            source: fragment.source,
            destination: fragment.destination,
            protocol: fragment.protocol.0,
            identification: fragment.identification,
        };
        let start = usize::from(fragment.fragment_offset_octets);
        let end = start + fragment.payload.len();
        let is_last = !fragment.more_fragments;
        if fragment.payload.is_empty()
            || end > MAX_PACKET_OCTETS - HEADER_OCTETS
            || !(is_last || end.is_multiple_of(FRAGMENT_UNIT_OCTETS))
        {
            self.counters.malformed += 1;
            return None;
        }
        let fits = self.partials.get(&name).is_none_or(|partial| {
            let behind = partial.parts.last_key_value();
            let behind = behind.map_or(0, |(start, part)| start + part.len());
            let end_agrees = partial.end.is_none_or(|known| match is_last {
                true => end == known,
                false => end < known,
            });
            end_agrees && (!is_last || end >= behind)
        });
        if self.partials.get(&name).is_some_and(|partial| {
            let part = partial.parts.get(&start);
            part.is_some_and(|part| part == fragment.payload)
        }) {
            self.counters.repeated += 1;
            return None;
        }
        if !fits || self.overlaps(name, start, end) {
            // One of the two is a lie, and nobody can tell which (RFC 5722 section 3 for the same case).
            self.counters.overlapping += 1;
            self.remove(name);
            return None;
        }
        self.make_room();
        let partial = self.partials.entry(name).or_insert_with(|| {
            let serial = self.next_serial;
            self.next_serial += 1;
            self.by_age.insert(serial, name);
            Partial {
                serial,
                deadline: now + self.config.timeout,
                parts: BTreeMap::new(),
                end: None,
            }
        });
        partial.parts.insert(start, fragment.payload.to_vec());
        partial.end = partial.end.or(is_last.then_some(end));
        self.fragments += 1;
        let held: usize = partial.parts.values().map(Vec::len).sum();
        if partial.end != Some(held) {
            return None;
        }
        self.counters.reassembled += 1;
        let parts = self.remove(name)?.parts;
        Some(parts.into_values().flatten().collect())
    }

    /// Drops the packets whose time is over.
    pub fn tick(&mut self, now: Time) {
        while let Some(name) = self.oldest()
            && self
                .partials
                .get(&name)
                .is_none_or(|oldest| oldest.deadline <= now)
        {
            self.counters.timed_out += 1;
            self.remove(name);
        }
    }

    /// When [`Reassembly::tick`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let oldest = self.partials.get(&self.oldest()?)?;
        Some(oldest.deadline)
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &ReassemblyCounters {
        &self.counters
    }

    /// Starts counting at zero.
    pub fn clear_counters(&mut self) {
        self.counters = ReassemblyCounters::default();
    }

    fn overlaps(&self, name: Name, start: usize, end: usize) -> bool {
        self.partials.get(&name).is_some_and(|partial| {
            partial
                .parts
                .range(..end)
                .next_back()
                .is_some_and(|(before, part)| before + part.len() > start)
        })
    }

    fn make_room(&mut self) {
        while self.fragments >= self.config.max_fragments
            && let Some(name) = self.oldest()
        {
            self.counters.displaced += 1;
            self.remove(name);
        }
    }

    fn oldest(&self) -> Option<Name> {
        self.by_age.first_key_value().map(|(_, name)| *name)
    }

    fn remove(&mut self, name: Name) -> Option<Partial> {
        let partial = self.partials.remove(&name)?;
        self.by_age.remove(&partial.serial);
        self.fragments -= partial.parts.len();
        Some(partial)
    }
}

#[cfg(test)]
mod tests {
    use dataplane::wire::ipv4::Protocol;
    use proptest::prelude::*;

    use super::super::fragment::fragment;
    use super::*;

    const NOW: Time = Time::from_nanos(1_000_000_000);

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet {
            traffic_class: 0,
            identification: 7,
            reserved_flag: false,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset_octets: 0,
            ttl: 64,
            protocol: Protocol::ICMP,
            source: Ipv4Addr::new(192, 0, 2, 9),
            destination: Ipv4Addr::new(192, 0, 2, 1),
            options: &[],
            payload,
        }
    }

    fn part(payload: &[u8], offset_octets: u16, more_fragments: bool) -> Packet<'_> {
        Packet {
            fragment_offset_octets: offset_octets,
            more_fragments,
            ..packet(payload)
        }
    }

    fn reassembly(max_fragments: usize) -> Reassembly {
        Reassembly::new(ReassemblyConfig {
            max_fragments,
            ..ReassemblyConfig::default()
        })
    }

    fn moved(reassembly: &Reassembly) -> Vec<(&'static str, u64)> {
        let all = reassembly.counters.iter();
        all.filter(|(name, count)| *count > 0 && *name != "reassembly-fragments")
            .collect()
    }

    #[test]
    fn fragments_in_any_order_make_the_whole() {
        let mut reassembly = reassembly(10);
        assert_eq!(reassembly.add(NOW, &part(&[3; 5], 16, false)), None);
        assert_eq!(reassembly.add(NOW, &part(&[1; 8], 0, true)), None);
        let whole = reassembly.add(NOW, &part(&[2; 8], 8, true)).unwrap();
        assert_eq!(whole, [[1; 8].as_slice(), &[2; 8], &[3; 5]].concat());
        assert_eq!(reassembly.poll_timeout(), None);
        assert_eq!(reassembly.fragments, 0);
    }

    #[test]
    fn fragments_of_another_packet_are_kept_apart() {
        let mut reassembly = reassembly(10);
        assert_eq!(reassembly.add(NOW, &part(&[1; 8], 0, true)), None);
        let other = Packet {
            identification: 8,
            ..part(&[2; 8], 8, false)
        };
        assert_eq!(reassembly.add(NOW, &other), None);
        assert!(reassembly.add(NOW, &part(&[2; 8], 8, false)).is_some());
    }

    #[test]
    fn a_fragment_that_comes_twice_is_taken_once() {
        let mut reassembly = reassembly(10);
        reassembly.add(NOW, &part(&[1; 8], 0, true));
        reassembly.add(NOW, &part(&[1; 8], 0, true));
        assert_eq!(moved(&reassembly), [("reassembly-repeated", 1)]);
        assert!(reassembly.add(NOW, &part(&[2; 8], 8, false)).is_some());
    }

    #[test]
    fn fragments_that_contradict_each_other_end_the_packet() {
        for (first, second) in [
            (part(&[1; 16], 0, true), part(&[2; 16], 8, false)),
            (part(&[1; 16], 8, true), part(&[2; 16], 0, true)),
            (part(&[1; 16], 0, true), part(&[2; 16], 0, true)),
            (part(&[1; 8], 16, false), part(&[2; 8], 24, true)),
            (part(&[1; 8], 16, false), part(&[2; 8], 8, false)),
            (part(&[1; 8], 16, true), part(&[2; 8], 0, false)),
        ] {
            let mut reassembly = reassembly(10);
            assert_eq!(reassembly.add(NOW, &first), None);
            assert_eq!(reassembly.add(NOW, &second), None);
            assert_eq!(moved(&reassembly), [("reassembly-overlapping", 1)]);
            assert!(reassembly.partials.is_empty());
        }
    }

    #[test]
    fn a_fragment_of_an_impossible_length_is_refused() {
        for fragment in [
            part(&[], 8, true),
            part(&[1; 7], 0, true),
            part(&[1; 16], 65_504, false),
        ] {
            let mut reassembly = reassembly(10);
            assert_eq!(reassembly.add(NOW, &fragment), None);
            assert_eq!(moved(&reassembly), [("reassembly-malformed", 1)]);
        }
    }

    #[test]
    fn a_packet_that_stays_incomplete_is_dropped_in_time() {
        let mut reassembly = reassembly(10);
        reassembly.add(NOW, &part(&[1; 8], 0, true));
        let deadline = NOW + Duration::from_secs(30);
        assert_eq!(reassembly.poll_timeout(), Some(deadline));
        reassembly.tick(deadline);
        assert_eq!(moved(&reassembly), [("reassembly-timed-out", 1)]);
        assert_eq!(reassembly.poll_timeout(), None);
    }

    #[test]
    fn when_there_is_no_room_the_oldest_packet_goes() {
        let mut reassembly = reassembly(2);
        for identification in [1, 2, 3] {
            let fragment = Packet {
                identification,
                ..part(&[1; 8], 0, true)
            };
            reassembly.add(NOW, &fragment);
        }
        assert_eq!(moved(&reassembly), [("reassembly-displaced", 1)]);
        assert_eq!(reassembly.fragments, 2);
    }

    proptest! {
        #[test]
        fn what_was_cut_is_put_together_in_whatever_order(
            payload in prop::collection::vec(any::<u8>(), 1..4000),
            mtu_octets in 68_usize..1500,
            order in any::<prop::sample::Index>(),
        ) {
            let mut fragments = fragment(&packet(&payload), mtu_octets).unwrap();
            prop_assume!(fragments.len() > 1);
            let turn = order.index(fragments.len());
            fragments.rotate_left(turn);
            let mut reassembly = reassembly(100);
            let mut whole = None;
            for octets in &fragments {
                prop_assert_eq!(whole, None);
                whole = reassembly.add(NOW, &Packet::parse(octets).unwrap());
            }
            prop_assert_eq!(whole, Some(payload));
        }

        #[test]
        fn bounds_hold_whatever_comes(
            fragments in prop::collection::vec(
                (0_u16..4, 0_u16..6, 0_usize..20, any::<bool>(), 0_u64..20), 0..100),
        ) {
            let mut reassembly = reassembly(5);
            let mut now = NOW;
            for (identification, unit, octets, more_fragments, seconds) in fragments {
                now = now + Duration::from_secs(seconds);
                let payload = vec![0; octets];
                reassembly.tick(now);
                reassembly.add(now, &Packet {
                    identification,
                    ..part(&payload, unit * 8, more_fragments)
                });
                let held: usize = reassembly.partials.values().map(|partial| partial.parts.len()).sum();
                prop_assert_eq!(held, reassembly.fragments);
                prop_assert!(held <= 5);
                prop_assert_eq!(reassembly.by_age.len(), reassembly.partials.len());
                prop_assert!(reassembly.poll_timeout().is_none_or(|deadline| deadline > now));
            }
        }
    }
}
