use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const KEY: Key = key(7);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

const fn key(host: u32) -> Key {
    Key {
        port: 1,
        address: Ipv4Addr::from_bits(0x0a00_0000 + host),
    }
}

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn cache() -> Neighbours<u32> {
    Neighbours::new(NeighbourConfig::default())
}

fn events(cache: &mut Neighbours<u32>) -> Vec<Event<u32>> {
    std::iter::from_fn(|| cache.poll_event()).collect()
}

/// Ticks whenever the cache wants it until `end`, and gives what happened with the instants.
fn run(cache: &mut Neighbours<u32>, end: Time) -> Vec<(Time, Event<u32>)> {
    let mut seen = Vec::new();
    while let Some(next) = cache.poll_timeout().filter(|next| *next <= end) {
        cache.tick(next);
        seen.extend(events(cache).into_iter().map(|event| (next, event)));
    }
    seen
}

/// A cache that knows `KEY` at `MAC` by its answer at time `now`.
fn resolved(now: Time) -> Neighbours<u32> {
    let mut cache = cache();
    cache.find(now, KEY);
    cache.heard(now, KEY, MAC, Evidence::Answer);
    events(&mut cache);
    cache
}

fn state(cache: &Neighbours<u32>, key: Key) -> Option<State> {
    cache.entries.get(&key).map(|entry| entry.state)
}

#[test]
fn packets_wait_for_the_answer_and_leave_in_order_before_newer_ones_may() {
    let mut cache = cache();
    for packet in [1, 2, 3] {
        cache.submit(at(1), KEY, packet);
    }
    assert_eq!(events(&mut cache), [Event::Ask(KEY, None)]);
    assert_eq!(cache.packets_waiting(), 3);
    cache.heard(at(1), KEY, MAC, Evidence::Answer);
    assert_eq!(
        events(&mut cache),
        [
            Event::Release(KEY, MAC, 1),
            Event::Release(KEY, MAC, 2),
            Event::Release(KEY, MAC, 3),
            Event::Resolved(KEY, MAC),
        ]
    );
    assert_eq!(cache.packets_waiting(), 0);
    cache.submit(at(1), KEY, 4);
    assert_eq!(events(&mut cache), [Event::Release(KEY, MAC, 4)]);
}

#[test]
fn a_silent_neighbour_is_asked_for_once_a_second_and_then_given_up() {
    let mut cache = cache();
    cache.submit(at(1), KEY, 1);
    assert_eq!(events(&mut cache), [Event::Ask(KEY, None)]);
    assert_eq!(
        run(&mut cache, at(4)),
        [
            (at(2), Event::Ask(KEY, None)),
            (at(3), Event::Ask(KEY, None)),
            (at(4), Event::Settled(KEY)),
            (at(4), Event::GaveUp(KEY, 1)),
        ]
    );
    assert_eq!(cache.counters().gave_up, 1);
    assert_eq!(cache.counters().requests_sent, 3);
}

#[test]
fn a_neighbour_that_was_given_up_is_held_off_and_then_asked_for_anew() {
    let mut cache = cache();
    cache.find(at(1), KEY);
    run(&mut cache, at(4));
    events(&mut cache);
    cache.submit(at(5), KEY, 1);
    assert_eq!(events(&mut cache), [Event::GaveUp(KEY, 1)]);
    assert_eq!(run(&mut cache, at(7)), []);
    assert_eq!(cache.iter().count(), 0);
    cache.submit(at(7), KEY, 2);
    assert_eq!(events(&mut cache), [Event::Ask(KEY, None)]);
}

#[test]
fn a_neighbour_that_was_given_up_is_back_as_soon_as_it_is_heard() {
    let mut cache = cache();
    cache.find(at(1), KEY);
    run(&mut cache, at(4));
    cache.heard(at(5), KEY, MAC, Evidence::Mention);
    assert_eq!(events(&mut cache), [Event::Resolved(KEY, MAC)]);
}

#[test]
fn a_neighbour_whose_time_is_over_is_probed_alone_and_used_meanwhile() {
    let mut cache = resolved(at(0));
    assert_eq!(
        run(&mut cache, at(301)),
        [
            (at(300), Event::Ask(KEY, Some(MAC))),
            (at(301), Event::Ask(KEY, Some(MAC)))
        ]
    );
    cache.submit(at(301), KEY, 1);
    assert_eq!(events(&mut cache), [Event::Release(KEY, MAC, 1)]);
    cache.heard(at(301), KEY, MAC, Evidence::Answer);
    assert_eq!(events(&mut cache), []);
    assert_eq!(cache.poll_timeout(), Some(at(601)));
}

#[test]
fn a_neighbour_that_answers_no_probe_is_forgotten() {
    let mut cache = resolved(at(0));
    let seen = run(&mut cache, at(1000));
    assert_eq!(seen.last(), Some(&(at(303), Event::Forgotten(KEY))));
    assert_eq!(seen.len(), 4);
    assert_eq!(cache.counters().aged_out, 1);
    assert_eq!(cache.iter().count(), 0);
    assert_eq!(cache.poll_timeout(), None);
}

#[test]
fn a_neighbour_that_speaks_needs_no_probe() {
    let mut cache = resolved(at(0));
    cache.heard(at(200), KEY, MAC, Evidence::Mention);
    assert_eq!(cache.poll_timeout(), Some(at(500)));
}

#[test]
fn who_asks_for_this_router_becomes_a_neighbour_and_is_probed_soon() {
    let mut cache = cache();
    cache.heard(at(1), KEY, MAC, Evidence::Question);
    assert_eq!(events(&mut cache), [Event::Resolved(KEY, MAC)]);
    assert_eq!(
        run(&mut cache, at(6)),
        [(at(6), Event::Ask(KEY, Some(MAC)))]
    );
}

#[test]
fn who_is_only_mentioned_does_not_become_a_neighbour() {
    let mut cache = cache();
    cache.heard(at(1), KEY, MAC, Evidence::Mention);
    cache.heard(at(1), KEY, MAC, Evidence::Answer);
    assert_eq!(events(&mut cache), []);
    assert_eq!(cache.iter().count(), 0);
}

#[test]
fn a_neighbour_that_moves_is_followed_and_probed_soon() {
    let mut cache = resolved(at(0));
    cache.heard(at(1), KEY, OTHER, Evidence::Mention);
    assert_eq!(events(&mut cache), [Event::Resolved(KEY, OTHER)]);
    assert_eq!(cache.counters().moved, 1);
    assert_eq!(
        run(&mut cache, at(6)),
        [(at(6), Event::Ask(KEY, Some(OTHER)))]
    );
}

#[test]
fn resolutions_are_begun_at_a_bounded_rate() {
    let mut cache: Neighbours<u32> = Neighbours::new(NeighbourConfig {
        resolutions: Rate {
            per_second: 10,
            burst: 5,
        },
        ..NeighbourConfig::default()
    });
    for host in 0..20 {
        cache.submit(at(1), key(host), host);
    }
    assert_eq!(events(&mut cache).len(), 5);
    assert_eq!(cache.counters().refused_rate, 15);
    assert_eq!(cache.counters().packets_refused, 15);
    assert_eq!(cache.packets_waiting(), 5);
}

#[test]
fn neighbours_beyond_the_bounds_are_refused_and_counted() {
    let mut cache: Neighbours<u32> = Neighbours::new(NeighbourConfig {
        max_neighbours: 3,
        max_unresolved: 2,
        ..NeighbourConfig::default()
    });
    assert!(cache.find(at(1), key(1)).is_some());
    assert!(cache.find(at(1), key(2)).is_some());
    assert!(cache.find(at(1), key(3)).is_none());
    cache.heard(at(1), key(1), MAC, Evidence::Answer);
    assert!(cache.find(at(1), key(3)).is_some());
    cache.heard(at(1), key(3), MAC, Evidence::Answer);
    assert!(cache.find(at(1), key(4)).is_none());
    cache.heard(at(1), key(4), MAC, Evidence::Question);
    assert_eq!(state(&cache, key(4)), None);
    assert_eq!(cache.counters().refused_full, 2);
    assert_eq!(cache.counters().not_learned_full, 1);
}

#[test]
fn a_round_serves_a_bounded_number_of_timers() {
    let config = NeighbourConfig::default();
    let mut cache = cache();
    for host in 0..1000 {
        cache.find(at(1), key(host));
    }
    events(&mut cache);
    cache.tick(at(2));
    assert_eq!(events(&mut cache).len(), config.max_timers_a_round);
    assert!(cache.poll_timeout().is_some_and(|next| next <= at(2)));
}

#[test]
fn flushed_neighbours_are_forgotten_with_what_waits_for_them() {
    let mut cache = resolved(at(0));
    cache.submit(at(0), key(9), 1);
    events(&mut cache);
    cache.flush(|key| key.port == 1);
    let told = events(&mut cache);
    assert_eq!(told.len(), 2);
    assert!(told.contains(&Event::Forgotten(KEY)) && told.contains(&Event::Settled(key(9))));
    assert_eq!(cache.counters().packets_flushed, 1);
    assert_eq!(cache.packets_waiting(), 0);
    assert_eq!(cache.poll_timeout(), None);
}

#[test]
fn a_hundred_thousand_neighbours_are_kept_alive_at_the_paced_rate() {
    const NEIGHBOURS: u32 = 100_000;
    let config = NeighbourConfig::default();
    let mut cache = cache();
    for host in 0..NEIGHBOURS {
        cache.heard(at(0), key(host), MAC, Evidence::Question);
    }
    events(&mut cache);
    let mut probed = 0;
    let mut first_second = 0;
    while let Some(next) = cache.poll_timeout().filter(|next| *next <= at(300)) {
        cache.tick(next);
        for event in events(&mut cache) {
            let Event::Ask(key, Some(mac)) = event else {
                panic!("{event:?}");
            };
            cache.heard(next, key, mac, Evidence::Answer);
            probed += 1;
            first_second += u32::from(next < at(6));
        }
    }
    assert_eq!(probed, NEIGHBOURS);
    assert!(first_second <= config.probes.per_second + config.probes.burst);
    assert_eq!(cache.iter().count(), NEIGHBOURS as usize);
}

#[derive(Clone, Debug)]
enum Step {
    Submit(u32),
    Want(u32),
    Heard(u32, bool, Evidence),
    Pass(u64),
    Tick,
    Flush(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let host = 0_u32..6;
    let evidence = prop_oneof![
        Just(Evidence::Answer),
        Just(Evidence::Question),
        Just(Evidence::Mention)
    ];
    prop_oneof![
        8 => host.clone().prop_map(Step::Submit),
        4 => host.clone().prop_map(Step::Want),
        2 => (host.clone(), any::<bool>(), evidence)
            .prop_map(|(host, moved, evidence)| Step::Heard(host, moved, evidence)),
        4 => (0_u64..2_000_000_000).prop_map(Step::Pass),
        4 => Just(Step::Tick),
        1 => host.prop_map(Step::Flush),
    ]
}

proptest! {
    #[test]
    fn bounds_hold_and_every_packet_is_accounted_for_once(
        steps in prop::collection::vec(step(), 0..200),
        per_neighbour in 0_usize..4,
        total in 0_usize..8,
    ) {
        let config = NeighbourConfig {
            reachable_time: SECOND * 3,
            max_neighbours: 5,
            max_unresolved: 3,
            max_timers_a_round: 2,
            pending: PendingLimits { per_neighbour, total },
            ..NeighbourConfig::default()
        };
        let mut cache = Neighbours::new(config);
        let mut now = at(1);
        let mut submitted = 0;
        let mut sent = 0;
        let mut gave_up = 0;
        let mut table = HashMap::new();
        // What the workers wait for.
        let mut wanted = BTreeSet::new();
        for step in steps {
            match step {
                Step::Want(host) => {
                    wanted.insert(key(host));
                    cache.want(now, key(host));
                }
                Step::Submit(host) => {
                    submitted += 1;
                    cache.submit(now, key(host), submitted);
                }
                Step::Heard(host, moved, evidence) => {
                    cache.heard(now, key(host), if moved { OTHER } else { MAC }, evidence);
                }
                Step::Pass(nanos) => now = now + Duration::from_nanos(nanos),
                Step::Tick => cache.tick(now),
                Step::Flush(host) => cache.flush(|flushed| flushed == key(host)),
            }
            for event in events(&mut cache) {
                match event {
                    Event::Release(..) => sent += 1,
                    Event::GaveUp(..) => gave_up += 1,
                    Event::Resolved(key, mac) => {
                        table.insert(key, mac);
                        wanted.remove(&key);
                    }
                    Event::Settled(key) => {
                        wanted.remove(&key);
                    }
                    Event::Forgotten(key) => {
                        prop_assert!(table.remove(&key).is_some());
                    }
                    Event::Ask(key, alone) => prop_assert_eq!(alone, table.get(&key).copied()),
                }
            }
            // Nobody is waited for in vain: he is being asked.
            for key in &wanted {
                let is_asked = matches!(state(&cache, *key), Some(State::Incomplete { .. }));
                prop_assert!(is_asked, "{key:?}");
            }
            let counters = cache.counters();
            let dropped =
                counters.packets_overflowed + counters.packets_refused + counters.packets_flushed;
            let waiting = cache.packets_waiting();
            prop_assert!(waiting <= total);
            prop_assert_eq!(u64::from(submitted), sent + gave_up + dropped + waiting as u64);
            let left_the_queue = counters.packets_released + counters.packets_failed
                + counters.packets_overflowed + counters.packets_flushed;
            prop_assert_eq!(counters.packets_queued, left_the_queue + waiting as u64);
            prop_assert!(cache.entries.len() <= config.max_neighbours);
            prop_assert!(cache.unresolved.len() <= config.max_unresolved);
            prop_assert_eq!(cache.entries.len(), cache.unresolved.len() + cache.resolved.len());
            let entries: Vec<_> = cache
                .entries
                .iter()
                .map(|(key, entry)| (*key, entry.state, entry.deadline))
                .collect();
            for (key, state, deadline) in entries {
                prop_assert!(cache.timers(state).contains(&(deadline, key)));
                prop_assert_eq!(state.mac(), table.get(&key).copied());
            }
            prop_assert_eq!(table.len(), cache.resolved.len());
        }
    }
}
