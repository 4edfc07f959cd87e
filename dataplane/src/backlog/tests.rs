//! Any sequence of steps against lists.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const PORTS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Hold(u32),
    Enqueue(usize, u32),
    EnqueueControl(usize, u32),
    Dequeue(usize),
    PutBack(usize),
    TakeHeld(u32, usize),
    Advance(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u32..3).prop_map(Step::Hold),
        (0..PORTS, 0u32..3).prop_map(|(port, condition)| Step::Enqueue(port, condition)),
        (0..PORTS, 0u32..3).prop_map(|(port, condition)| Step::EnqueueControl(port, condition)),
        (0..PORTS).prop_map(Step::Dequeue),
        (0..PORTS).prop_map(Step::PutBack),
        (0u32..3, prop::option::of(0usize..4))
            .prop_map(|(condition, max)| Step::TakeHeld(condition, max.unwrap_or(usize::MAX))),
        (0u32..3).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn each_queue_keeps_its_order_and_all_together_the_bound(
        capacity in 0u32..12,
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let mut backlog = Backlog::new(capacity, PORTS);
        let mut held: VecDeque<(u32, usize)> = VecDeque::new();
        let mut egress: [VecDeque<(u32, usize)>; PORTS] = Default::default();
        for (packet, step) in steps.into_iter().enumerate() {
            let packets = held.len() + egress.iter().map(VecDeque::len).sum::<usize>();
            let full = packets >= capacity as usize;
            let full_for_all = packets == (capacity + BEYOND_MAX) as usize;
            match step {
                Step::Hold(condition) => {
                    let done = backlog.hold(Held { condition, fingerprint: 1, port: 2, via: 3, packet });
                    prop_assert_eq!(done.is_err(), full);
                    if !full { held.push_back((condition, packet)) }
                }
                Step::Enqueue(port, condition) => {
                    prop_assert_eq!(backlog.enqueue(port, Waiting { condition, packet }).is_err(), full);
                    if !full { egress[port].push_back((condition, packet)) }
                }
                Step::EnqueueControl(port, condition) => {
                    let done = backlog.enqueue_beyond(port, Waiting { condition, packet });
                    prop_assert_eq!(done.is_err(), full_for_all);
                    if !full_for_all { egress[port].push_back((condition, packet)) }
                }
                Step::Dequeue(port) => {
                    let waiting = backlog.dequeue(port).map(|waiting| (waiting.condition, waiting.packet));
                    prop_assert_eq!(waiting, egress[port].pop_front());
                }
                Step::PutBack(port) => {
                    prop_assert_eq!(backlog.put_back(port, Waiting { condition: 9, packet }).is_err(), full_for_all);
                    if !full_for_all { egress[port].push_front((9, packet)) }
                }
                Step::TakeHeld(condition, max) => {
                    let mut taken = Vec::new();
                    let all = backlog.take_held(max, |chosen| chosen == condition, |held| {
                        assert_eq!((held.fingerprint, held.port, held.via), (1, 2, 3));
                        taken.push((held.condition, held.packet));
                    });
                    let chosen = held.iter().filter(|held| held.0 == condition).copied();
                    prop_assert_eq!(&taken, &chosen.clone().take(max).collect::<Vec<_>>());
                    prop_assert_eq!(all, chosen.count() == taken.len());
                    held.retain(|held| !taken.contains(held));
                }
                Step::Advance(condition) => {
                    backlog.advance(|chosen| chosen == condition);
                    for queue in &mut egress {
                        // A stable sort.
                        queue.make_contiguous().sort_by_key(|waiting| waiting.0 != condition);
                    }
                }
            }
            prop_assert_eq!(backlog.held(), held.len());
            let now: Vec<(u32, usize)> = backlog.iter_held().map(|held| (held.condition, held.packet)).collect();
            prop_assert_eq!(now, Vec::from(held.clone()));
            for (port, queue) in egress.iter().enumerate() {
                prop_assert_eq!(backlog.waiting(port), queue.len());
                let now: Vec<(u32, usize)> = backlog.iter_waiting(port).map(|(condition, packet)| (condition, *packet)).collect();
                prop_assert_eq!(now, Vec::from(queue.clone()));
            }
            for condition in 0..3 {
                let waiting = egress.iter().flatten().any(|waiting| waiting.0 == condition);
                prop_assert_eq!(backlog.is_waiting(|chosen| chosen == condition), waiting);
            }
            prop_assert_eq!(backlog.is_clear(), egress.iter().all(VecDeque::is_empty));
        }
    }
}

#[test]
fn a_port_that_is_not_there_takes_nothing() {
    let mut backlog = Backlog::new(4, 1);
    assert_eq!(
        backlog.enqueue(
            1,
            Waiting {
                condition: 0,
                packet: 'p'
            }
        ),
        Err(Full(Waiting {
            condition: 0,
            packet: 'p'
        }))
    );
    assert_eq!(backlog.dequeue(1), None);
}

const fn neighbour(number: u8) -> Neighbour {
    Neighbour {
        port: 1,
        address: std::net::Ipv4Addr::new(192, 0, 2, number),
    }
}

const fn of(condition: u32, packet: usize) -> Held<usize> {
    Held {
        condition,
        fingerprint: 0,
        port: 0,
        via: 7,
        packet,
    }
}

#[derive(Clone, Debug)]
enum Wait {
    Park(u8, bool),
    Settle(u8),
    Take(usize),
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        6 => (0u8..3, any::<bool>()).prop_map(|(number, kept)| Wait::Park(number, kept)),
        1 => (0u8..3).prop_map(Wait::Settle),
        2 => (1usize..40).prop_map(Wait::Take),
    ]
}

proptest! {
    #[test]
    fn packets_for_a_neighbour_leave_once_and_in_order_or_give_way_to_newer_ones(
        capacity in 0u32..600,
        steps in prop::collection::vec(wait(), 0..600),
    ) {
        let mut backlog = Backlog::new(capacity, PORTS);
        // By neighbour: what waits, and whether it is settled.
        let mut waiting: Vec<(u8, VecDeque<usize>, bool)> = Vec::new();
        for (packet, step) in steps.into_iter().enumerate() {
            match step {
                Wait::Park(number, kept) => {
                    backlog.await_neighbour(neighbour(number), |_| unreachable!());
                    if !waiting.iter().any(|(known, ..)| *known == number) {
                        waiting.push((number, VecDeque::new(), false));
                    }
                    let mut dropped = Vec::new();
                    let place = if kept { Place::Kept } else { Place::Bounded };
                    backlog.park(neighbour(number), of(3, packet), place, |packet| dropped.push(packet));
                    let queue = &mut waiting.iter_mut().find(|(known, ..)| *known == number).unwrap().1;
                    queue.push_back(packet);
                    prop_assert!(dropped.len() <= 2);
                    for packet in dropped {
                        // The packet itself, or the oldest for some neighbour.
                        let place = waiting.iter().position(|(_, queue, _)| queue.front() == Some(&packet) || queue.back() == Some(&packet));
                        waiting[place.unwrap()].1.retain(|waits| *waits != packet);
                    }
                }
                Wait::Settle(number) => {
                    backlog.settle(neighbour(number));
                    for (known, _, settled) in &mut waiting {
                        *settled |= *known == number;
                    }
                }
                Wait::Take(max) => {
                    let mut taken = Vec::new();
                    let count = backlog.take_settled(max, |held| taken.push(held.packet));
                    prop_assert_eq!(count, taken.len());
                    let mut expected = Vec::new();
                    for (_, queue, _) in waiting.iter_mut().filter(|(.., settled)| *settled) {
                        let some = queue.len().min(max - expected.len());
                        expected.extend(queue.drain(..some));
                    }
                    prop_assert_eq!(taken, expected);
                    // Those behind one that still has packets have their turn another time.
                    let mut has_some_left = false;
                    waiting.retain(|(_, queue, settled)| {
                        has_some_left |= *settled && !queue.is_empty();
                        !settled || has_some_left
                    });
                }
            }
            let now: Vec<(Neighbour, Vec<usize>)> = backlog
                .iter_unresolved()
                .map(|(neighbour, packets)| (neighbour, packets.map(|held| held.packet).collect()))
                .collect();
            let expected: Vec<(Neighbour, Vec<usize>)> = waiting
                .iter()
                .map(|(number, queue, _)| (neighbour(*number), queue.iter().copied().collect()))
                .collect();
            prop_assert_eq!(&now, &expected);
            let packets: usize = waiting.iter().map(|(_, queue, _)| queue.len()).sum();
            prop_assert_eq!(backlog.unresolved(), packets);
            prop_assert!(packets <= (capacity + BEYOND_MAX) as usize);
            prop_assert_eq!(backlog.awaits_any(), !waiting.is_empty());
            prop_assert_eq!(backlog.is_unresolved(|condition| condition == 3), packets > 0);
            prop_assert!(!backlog.is_unresolved(|condition| condition == 4));
        }
    }
}

#[test]
fn few_packets_wait_for_one_neighbour_unless_they_were_on_hold() {
    let mut backlog = Backlog::new(4096, PORTS);
    backlog.await_neighbour(neighbour(1), |_| unreachable!());
    let mut dropped = Vec::new();
    for packet in 0..70 {
        backlog.park(neighbour(1), of(0, packet), Place::Kept, |packet| {
            dropped.push(packet)
        });
    }
    assert_eq!((dropped.len(), backlog.unresolved()), (0, 70));
    backlog.await_neighbour(neighbour(2), |_| unreachable!());
    for packet in 0..66 {
        backlog.park(neighbour(2), of(0, packet), Place::Bounded, |packet| {
            dropped.push(packet)
        });
    }
    assert_eq!((dropped, backlog.unresolved()), (vec![0, 1], 70 + 64));
}

#[test]
fn packets_that_were_on_hold_give_way_to_none_that_comes_after_them() {
    let mut dropped = Vec::new();
    // At the bound of one neighbour, and at that of all together, an eighth of the backlog.
    for (capacity, kept, to) in [(4096, 70, 1), (128, 20, 2)] {
        let mut backlog = Backlog::new(capacity, PORTS);
        backlog.await_neighbour(neighbour(1), |_| unreachable!());
        backlog.await_neighbour(neighbour(2), |_| unreachable!());
        for packet in 0..kept {
            backlog.park(neighbour(1), of(0, packet), Place::Kept, |_| unreachable!());
        }
        let newcomer = of(0, kept);
        backlog.park(neighbour(to), newcomer, Place::Bounded, |packet| {
            dropped.push(packet)
        });
        assert_eq!(backlog.unresolved(), kept);
    }
    assert_eq!(dropped, [70, 20]);
}

#[test]
fn with_too_many_neighbours_the_one_waited_for_longest_gives_way() {
    let mut backlog = Backlog::new(4096, PORTS);
    let mut dropped = Vec::new();
    for number in 0..=128u8 {
        backlog.await_neighbour(neighbour(number), |packet| dropped.push(packet));
        backlog.park(
            neighbour(number),
            of(0, number.into()),
            Place::Bounded,
            |_| unreachable!(),
        );
    }
    assert_eq!(dropped, [0]);
    assert!(!backlog.awaits(neighbour(0)) && backlog.awaits(neighbour(128)));
    assert_eq!(backlog.unresolved(), NEIGHBOURS_MAX);
}
