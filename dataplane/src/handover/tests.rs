//! What each part of a hand-over does by itself; a whole one is in `exchange`, and between threads in `threads`.

mod exchange;
mod threads;

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::*;
use crate::addr::MacAddr;
use crate::backlog::{Backlog, Held, Waiting};

/// An IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ip(Vec<u8>);

impl Packet for Ip {
    fn ip_octets(&self) -> &[u8] {
        &self.0
    }
}

/// A TCP packet of 10.0.0.`host` with this sequence number.
fn tcp(host: u8, sequence_number: u32) -> Ip {
    let mut octets = vec![
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, host, 192, 0, 2, 1, 0x04, 0x00, 0, 80,
    ];
    octets.extend(sequence_number.to_be_bytes());
    octets.extend([0; 12]);
    Ip(octets)
}

fn mark(host: u8, sequence_number: u32) -> TcpMark {
    TcpMark {
        source: Ipv4Addr::new(10, 0, 0, host),
        destination: Ipv4Addr::new(192, 0, 2, 1),
        source_port: 1024,
        destination_port: 80,
        sequence_number,
    }
}

fn hold(backlog: &mut Backlog<Ip>, condition: u32, packet: Ip) {
    let held = Held {
        condition,
        fingerprint: fingerprint(&packet),
        port: 0,
        via: 1,
        packet,
    };
    backlog.hold(held).unwrap();
}

fn list(condition: u32, packets: &[Ip]) -> AcceptedPackets {
    AcceptedPackets {
        condition,
        overflowed: false,
        first_unrouted: None,
        fingerprints: packets.iter().map(fingerprint).collect(),
    }
}

/// What a worker sends of what it holds.
fn released(release: &Arc<Release>, worker: usize, backlog: &mut Backlog<Ip>) -> Vec<Ip> {
    let mut sent = Vec::new();
    let mut releasing = Releasing::new(release, worker);
    releasing.step(backlog, usize::MAX, |held, is_dropped| {
        if !is_dropped {
            sent.push(held.packet);
        }
    });
    assert!(releasing.is_through());
    sent
}

#[test]
fn a_fingerprint_is_the_published_hash() {
    // XXH3-64 with seed 0 of nothing and of three octets, as the specification's test vectors have them.
    assert_eq!(fingerprint(&Ip(vec![])), 0x2d06_8005_38d3_94c2);
    assert_eq!(fingerprint(&Ip(b"abc".to_vec())), 0x78af_5f94_892f_3950);
}

#[test]
fn only_the_beginning_of_a_tcp_packet_is_a_mark() {
    assert_eq!(TcpMark::of(&tcp(9, 77)), Some(mark(9, 77)));
    let changed = |at: usize, octet: u8| {
        let mut packet = tcp(9, 77);
        packet.0[at] = octet;
        TcpMark::of(&packet)
    };
    assert_eq!(changed(9, 17), None, "UDP");
    assert_eq!(changed(7, 1), None, "a later fragment");
    assert_eq!(changed(6, 0x20), Some(mark(9, 77)), "a first fragment");
    assert_eq!(changed(0, 0x4f), None, "options up to the end");
    for length in 0..28 {
        assert_eq!(TcpMark::of(&Ip(tcp(9, 77).0[..length].to_vec())), None);
    }
}

#[test]
fn a_ring_keeps_the_newest_and_says_whose_are_missing() {
    let conditions = Arc::new(ConditionSet::new(&[5, 6, 7]));
    let mut recording = Recording::new(&conditions, 3);
    let accept = |recording: &mut Recording, condition, number| {
        recording.accept(condition, &tcp(1, number));
    };
    accept(&mut recording, 5, 0);
    accept(&mut recording, 6, 1);
    accept(&mut recording, 9, 2);
    accept(&mut recording, 6, 3);
    accept(&mut recording, 6, 4);
    let merged = Recording::merge(&[recording]);
    assert_eq!(
        merged,
        [
            AcceptedPackets {
                overflowed: true,
                ..list(5, &[])
            },
            list(6, &[tcp(1, 1), tcp(1, 3), tcp(1, 4)]),
        ]
    );
}

#[test]
fn the_first_tcp_packet_that_any_worker_left_is_the_mark() {
    let conditions = Arc::new(ConditionSet::new(&[5, 6]));
    let mut workers = [0, 1].map(|_| Recording::new(&conditions, 8));
    let mut udp = tcp(1, 9);
    udp.0[9] = 17;
    workers[0].refuse(5, &udp, 100);
    workers[0].refuse(5, &tcp(1, 10), 300);
    workers[0].refuse(5, &tcp(1, 11), 310);
    workers[1].refuse(5, &tcp(2, 20), 200);
    workers[1].accept(6, &tcp(3, 1));
    let merged = Recording::merge(&workers);
    assert_eq!(merged[0].first_unrouted, Some(mark(2, 20)));
    assert_eq!(merged[1], list(6, &[tcp(3, 1)]));
}

#[test]
fn an_entry_drops_one_packet_whichever_worker_holds_it() {
    let mut backlogs = [0, 1].map(|_| Backlog::new(8, 1));
    // The same packet three times, held by both workers, and twice on the list.
    hold(&mut backlogs[0], 5, tcp(1, 1));
    hold(&mut backlogs[0], 5, tcp(1, 1));
    hold(&mut backlogs[1], 5, tcp(1, 1));
    hold(&mut backlogs[1], 5, tcp(1, 2));
    hold(&mut backlogs[1], 4, tcp(1, 3));
    let lists = [list(5, &[tcp(1, 1), tcp(1, 1), tcp(1, 3)])];
    let release = Arc::new(Release::new(&[5], &lists, 2));
    let [one, two] = &mut backlogs;
    assert_eq!(released(&release, 1, two), [tcp(1, 2)]);
    assert_eq!(released(&release, 0, one), [tcp(1, 1)]);
    assert_eq!(two.held(), 1, "another condition's stay");
}

#[test]
fn where_a_list_is_not_complete_the_mark_or_else_the_newest_entry_says_where_to_begin() {
    let holding = || {
        let mut backlog = Backlog::new(16, 1);
        for number in 0..6 {
            hold(&mut backlog, 5, tcp(1, number));
            hold(&mut backlog, 6, tcp(2, number));
        }
        backlog
    };
    let incomplete = |first_unrouted| AcceptedPackets {
        overflowed: true,
        first_unrouted,
        // Packet 4 is listed after the place of the mark.
        ..list(5, &[tcp(1, 2), tcp(1, 4), tcp(1, 99)])
    };
    let sent = |first_unrouted, worker| {
        let lists = [incomplete(first_unrouted), list(6, &[tcp(2, 3)])];
        let release = Arc::new(Release::new(&[5, 6], &lists, 2));
        let sent = released(&release, worker, &mut holding());
        sent.iter()
            .filter_map(TcpMark::of)
            .filter(|mark| mark.source.octets()[3] == 1)
            .map(|mark| mark.sequence_number)
            .collect::<Vec<u32>>()
    };
    for worker in 0..2 {
        assert_eq!(sent(Some(mark(1, 3)), worker), [3, 5]);
        assert_eq!(sent(None, worker), [5], "the newest entry is 4");
        assert_eq!(sent(Some(mark(1, 77)), worker), [5], "nobody holds that");
    }
    let nothing_known = AcceptedPackets {
        overflowed: true,
        ..list(5, &[])
    };
    let release = Arc::new(Release::new(&[5], &[nothing_known], 1));
    assert_eq!(released(&release, 0, &mut holding()).len(), 6);
}

#[test]
fn a_release_is_over_when_tables_without_the_hold_are_taken_up() {
    let mut backlog = Backlog::new(8, 1);
    let mut part = WorkerPart::default();
    for number in 0..3 {
        hold(&mut backlog, 5, tcp(1, number));
    }
    let release = Arc::new(Release::new(&[5], &[], 1));
    let task = Task::Release(Releasing::new(&release, 0));
    let (ticket, id) = (1, HandoverId(1));
    part.obey(Order { ticket, id, task }, &mut backlog, drop::<Ip>);
    let step = |part: &mut WorkerPart, backlog: &mut Backlog<Ip>| {
        let mut sent = Vec::new();
        part.release(backlog, 2, |held, _| sent.push(held.packet));
        sent
    };
    part.begin_round(7);
    assert_eq!(step(&mut part, &mut backlog), [tcp(1, 0), tcp(1, 1)]);
    assert!(!part.lets_pass(5), "one is held that came before");
    assert!(part.poll_answer().is_none());
    hold(&mut backlog, 5, tcp(1, 3));
    part.begin_round(7);
    assert_eq!(step(&mut part, &mut backlog), [tcp(1, 2), tcp(1, 3)]);
    assert!(part.lets_pass(5) && !part.lets_pass(6));
    assert_eq!(part.poll_answer().unwrap().ticket, 1);
    release.end_at(9);
    part.begin_round(8);
    assert!(part.lets_pass(5), "the hold is still in force");
    part.begin_round(9);
    assert!(!part.lets_pass(5) && part.is_idle());
    assert_eq!(Arc::strong_count(&release), 1);
}

#[test]
fn memory_goes_back_to_where_it_came_from() {
    let mut backlog = Backlog::new(8, 1);
    let mut part = WorkerPart::default();
    let conditions = Arc::new(ConditionSet::new(&[5]));
    let id = HandoverId(3);
    let mut ask = |part: &mut WorkerPart, ticket, task| {
        let mut dropped = 0;
        part.obey(Order { ticket, id, task }, &mut backlog, |_: Ip| {
            dropped += 1
        });
        let answer = part.poll_answer().unwrap();
        assert_eq!(answer.ticket, ticket);
        answer.returned
    };
    let recording = || Task::StartRecording(Box::new(Recording::new(&conditions, 4)));
    assert!(ask(&mut part, 1, recording()).is_none());
    part.accept(5, &tcp(1, 1));
    // Begun again, it is a new recording, and the old one comes back.
    let Some(Returned::Recording(first)) = ask(&mut part, 2, recording()) else {
        panic!("no recording");
    };
    assert_eq!(Recording::merge(&[*first]), [list(5, &[tcp(1, 1)])]);
    let returned = ask(&mut part, 3, Task::StopRecording);
    assert!(matches!(returned, Some(Returned::Recording(_))));
    assert!(ask(&mut part, 4, Task::StopRecording).is_none());
    let returned = ask(&mut part, 5, Task::DropBacklog(Arc::clone(&conditions)));
    assert!(matches!(returned, Some(Returned::Conditions(_))));
}

#[test]
fn one_more_recording_than_there_is_room_for_comes_back_at_once() {
    let mut backlog = Backlog::<Ip>::new(1, 1);
    let mut part = WorkerPart::default();
    let conditions = Arc::new(ConditionSet::new(&[5]));
    for ticket in 0..=ACTIVE_MAX as u64 {
        let task = Task::StartRecording(Box::new(Recording::new(&conditions, 1)));
        let id = HandoverId(ticket as u32);
        part.obey(Order { ticket, id, task }, &mut backlog, drop);
        let returned = part.poll_answer().unwrap().returned;
        assert_eq!(returned.is_some(), ticket == ACTIVE_MAX as u64);
    }
}

/// A transmit ring of 8 packets.
fn ring(sent: u64, idle: Option<bool>) -> impl Fn(usize) -> EgressState {
    move |_| EgressState {
        sent,
        full_at: None,
        idle,
        descriptors: 8,
    }
}

/// A backlog in which packets of conditions 4, 5, 4 and 5 wait for one port.
fn congested() -> Backlog<Ip> {
    let mut backlog = Backlog::new(8, 1);
    for (condition, number) in [(4, 0), (5, 1), (4, 2), (5, 3)] {
        let packet = tcp(1, number);
        backlog.enqueue(0, Waiting { condition, packet }).unwrap();
    }
    backlog
}

#[test]
fn what_is_to_be_drained_goes_first_and_must_have_left_the_ring_too() {
    let mut backlog = congested();
    let mut draining = Draining::new(&[5], 1, 1000);
    assert!(!draining.poll(&mut backlog, ring(20, Some(false)), 1));
    let next = |backlog: &mut Backlog<Ip>| backlog.dequeue(0).unwrap().packet;
    assert_eq!(next(&mut backlog), tcp(1, 1));
    assert!(!draining.poll(&mut backlog, ring(21, Some(false)), 2));
    assert_eq!(next(&mut backlog), tcp(1, 3));
    assert!(!draining.poll(&mut backlog, ring(22, Some(false)), 3));
    assert_eq!(next(&mut backlog), tcp(1, 0));
    assert!(draining.poll(&mut backlog, ring(22, Some(true)), 4));
}

#[test]
fn a_ring_into_which_as_much_has_gone_as_it_holds_has_let_the_rest_out() {
    for idle in [Some(false), None] {
        let mut backlog = congested();
        let mut draining = Draining::new(&[9], 1, 1000);
        assert!(!draining.poll(&mut backlog, ring(20, idle), 1));
        assert!(!draining.poll(&mut backlog, ring(27, idle), 2));
        assert!(draining.poll(&mut backlog, ring(28, idle), 3));
    }
}

#[test]
fn a_ring_that_does_not_say_it_is_empty_is_given_up_when_it_must_be() {
    // Congestion lasts until time 400, and 4 packets leave meanwhile.
    let wait = |patience, idle| {
        let mut backlog = congested();
        let mut draining = Draining::new(&[9], 1, patience);
        assert!(!draining.poll(&mut backlog, ring(20, idle), 0));
        assert!(!draining.poll(&mut backlog, ring(20, idle), 399));
        while backlog.dequeue(0).is_some() {}
        (400..)
            .find(|now| draining.poll(&mut backlog, ring(24, idle), *now))
            .unwrap()
            - 400
    };
    for idle in [Some(false), None] {
        assert_eq!(wait(10, idle), 2 * 8 * 400 / 4, "at the pace of the ring");
        assert_eq!(wait(5000, idle), 5000);
    }
    let mut draining = Draining::new(&[5], 1, 1000);
    let mut backlog = Backlog::<Ip>::new(8, 1);
    assert!(!draining.poll(&mut backlog, ring(20, Some(false)), 5));
    assert!(!draining.poll(&mut backlog, ring(20, Some(false)), 1004));
    assert!(draining.poll(&mut backlog, ring(20, Some(false)), 1005));
}

#[test]
fn a_ring_of_a_driver_that_says_nothing_is_believed_if_it_was_not_full_lately() {
    for (full_at, is_believed) in [(None, true), (Some(12), true), (Some(13), false)] {
        let state = EgressState {
            full_at,
            ..ring(20, None)(0)
        };
        let mut backlog = Backlog::<Ip>::new(8, 1);
        let mut draining = Draining::new(&[5], 1, 1000);
        assert_eq!(draining.poll(&mut backlog, |_| state, 1), is_believed);
        assert!(draining.poll(&mut backlog, |_| state, 1001));
    }
}

#[test]
fn an_address_is_offered_once_for_each_generation_of_tables() {
    let ring = ArrayQueue::new(4);
    let mut learner = Learner::default();
    let address = |host| Learned {
        port: 1,
        vrid: 2,
        address: Ipv4Addr::new(10, 0, 0, host),
        from: MacAddr([2, 0, 0, 0, 0, host]),
    };
    for _ in 0..3 {
        assert!(learner.offer(address(1), 1, &ring));
        assert!(learner.offer(address(2), 1, &ring));
    }
    let mut offered = std::iter::from_fn(|| ring.pop()).collect::<Vec<_>>();
    offered.sort_unstable();
    assert_eq!(offered, [address(1), address(2)]);
    assert!(learner.offer(address(1), 2, &ring));
    assert_eq!(ring.pop(), Some(address(1)));
    // What found no room is offered again.
    for host in 10..14 {
        assert!(learner.offer(address(host), 3, &ring));
    }
    assert!(!learner.offer(address(14), 3, &ring));
    assert_eq!(ring.pop(), Some(address(10)));
    assert!(learner.offer(address(14), 3, &ring));
}
