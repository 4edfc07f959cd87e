//! The states of a member, walked through.

use super::*;
use crate::sharing::names::{BootId, Mode};

const INTERVAL: Duration = Duration::from_millis(100);

fn router(id: u32) -> RouterId {
    RouterId::new(id).unwrap()
}

fn at(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}

fn answer(members: &mut Membership, now: Time, state: MemberState) -> Vec<Event> {
    answer_as(members, now, state, None)
}

fn answer_as(
    members: &mut Membership,
    now: Time,
    state: MemberState,
    admission: Option<Admission>,
) -> Vec<Event> {
    let head = Head {
        priority: 128,
        router: router(2),
        boot: BootId(1),
        number: 1,
        version: Version::default(),
        fragment: 0,
        fragments: 1,
    };
    let response = Response {
        state,
        master: false,
        authority: false,
        wants_table: false,
        weight: 7,
        mode: Mode::Sequence,
        entries: 0,
        digest: 0,
        heard: Version::default(),
        keys: Vec::new(),
        acquaintances: Vec::new(),
        missing: Vec::new(),
        moves: Vec::new(),
        sightings: Vec::new(),
    };
    members.answered(now, &head, admission, &response)
}

fn state(members: &Membership) -> MemberState {
    members.get(router(2)).unwrap().state
}

#[test]
fn silence_of_three_intervals_and_skew_is_a_fault_and_an_answer_ends_it() {
    use MemberState::{Suspended, Working};
    let mut members = Membership::new(at(0), INTERVAL);
    for ms in (0..1000).step_by(100) {
        members.advertised(at(ms));
    }
    assert_eq!(
        answer(&mut members, at(1000), Suspended),
        [Event::Suspended(router(2))]
    );
    members.included(router(2));
    assert_eq!(state(&members), Working);
    assert_eq!(answer(&mut members, at(1000), Suspended), []);
    assert_eq!(members.records()[0].weight, 7);

    // Half an interval of skew, for priority 128.
    assert_eq!(members.poll_timeout(), Some(at(1350)));
    for ms in (1000..1350).step_by(50) {
        members.advertised(at(ms));
        assert_eq!(members.tick(at(ms)), []);
    }
    members.advertised(at(1300));
    assert_eq!(members.tick(at(1349)), []);
    assert_eq!(members.tick(at(1350)), [Event::Faulty(router(2))]);
    assert_eq!(members.tick(at(1400)), [], "told once");
    assert_eq!(members.poll_timeout(), None);
    members.included(router(2));
    assert_eq!(state(&members), MemberState::Faulty, "not by an allocation");
    assert_eq!(
        answer(&mut members, at(1500), Working),
        [Event::Suspended(router(2))]
    );
}

#[test]
fn nobody_is_blamed_for_silence_while_nobody_advertises() {
    let mut members = Membership::new(at(0), INTERVAL);
    members.advertised(at(0));
    answer(&mut members, at(0), MemberState::Suspended);
    // The master is gone; a new one begins long after.
    assert_eq!(members.tick(at(400)), []);
    members.advertised(at(400));
    assert_eq!(members.tick(at(400)), []);
    members.advertised(at(500));
    members.advertised(at(600));
    members.advertised(at(700));
    assert_eq!(members.tick(at(749)), []);
    assert_eq!(members.tick(at(750)), [Event::Faulty(router(2))]);
}

#[test]
fn a_restart_is_a_fault_and_a_new_beginning_at_once() {
    let mut members = Membership::new(at(0), INTERVAL);
    answer(&mut members, at(0), MemberState::Suspended);
    members.included(router(2));
    let events = answer_as(
        &mut members,
        at(10),
        MemberState::Suspended,
        Some(Admission::Restarted),
    );
    assert_eq!(
        events,
        [Event::Faulty(router(2)), Event::Suspended(router(2))]
    );
    assert_eq!(state(&members), MemberState::Suspended);
}

#[test]
fn only_a_working_router_can_drain() {
    use MemberState::Draining;
    let mut members = Membership::new(at(0), INTERVAL);
    assert_eq!(
        answer(&mut members, at(0), Draining),
        [Event::Suspended(router(2))]
    );
    members.included(router(2));
    assert_eq!(
        answer(&mut members, at(1), Draining),
        [Event::Draining(router(2))]
    );
    assert_eq!(answer(&mut members, at(2), Draining), []);
    assert_eq!(
        answer(&mut members, at(3), MemberState::Working),
        [Event::DrainingEnded(router(2))]
    );
}

#[test]
fn a_substitution_server_answers_or_is_faulty_and_gets_no_share() {
    let mut members = Membership::new(at(0), INTERVAL);
    let server = MemberState::SubstitutionServer;
    assert_eq!(
        answer(&mut members, at(0), server),
        [Event::ServerAnswers(router(2))]
    );
    members.included(router(2));
    assert_eq!(state(&members), server);
    assert_eq!(
        members.lost(router(2)),
        Some(Event::ServerFaulty(router(2)))
    );
    assert_eq!(state(&members), MemberState::SubstitutionServerFaulty);
    assert_eq!(
        answer(&mut members, at(1), server),
        [Event::ServerAnswers(router(2))]
    );
}
