//! What must hold of trust: it is gained by an exchange, lost by a restart, and by nothing that was recorded.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Vrid;
use crate::sharing::names::{MemberState, Mode};
use crate::sharing::wire::RateRequest;

const NONE: Version = Version {
    epoch: crate::sharing::names::Epoch {
        counter: 0,
        issuer: None,
    },
    generation: 0,
};

fn router(id: u32) -> RouterId {
    RouterId::new(id).unwrap()
}

fn address(id: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xc000_0200 + id).into()
}

fn key(id: u8) -> Key {
    let secret = [id; 20];
    Key::new(id, &secret, Vrid::new(7).unwrap(), crate::Family::Ipv4).unwrap()
}

fn identity(id: u32, boot: u64) -> Identity {
    Identity {
        group: Group {
            version: 3,
            vrid: Vrid::new(7).unwrap(),
            destination: address(1),
        },
        local: address(id),
        router: router(id),
        boot: BootId(boot),
        keys: vec![key(1)],
        plain_members: vec![address(99)],
    }
}

fn trust(id: u32, boot: u64) -> Trust {
    Trust::new(identity(id, boot))
}

fn response(from: &Trust) -> Body {
    Body::Response(Response {
        state: MemberState::Working,
        master: false,
        authority: false,
        wants_table: false,
        weight: 1,
        mode: Mode::Sequence,
        entries: 0,
        digest: 0,
        heard: NONE,
        keys: from.key_ids(),
        acquaintances: from.acquaintances(),
        missing: Vec::new(),
        moves: Vec::new(),
        sightings: Vec::new(),
    })
}

fn greet(from: &mut Trust) -> Transmit {
    let body = response(from);
    from.seal(100, NONE, (0, 1), &body).unwrap()
}

fn say(from: &mut Trust) -> Transmit {
    let body = Body::RateRequest(RateRequest { request: 1 });
    from.seal(100, NONE, (0, 1), &body).unwrap()
}

fn deliver(to: &mut Trust, message: &Transmit) -> Result<Incoming, Refusal> {
    to.receive(&Received {
        src: message.src,
        dst: message.dst,
        ttl: 255,
        payload: &message.payload,
    })
}

fn admission(incoming: Result<Incoming, Refusal>) -> Option<Admission> {
    match incoming {
        Ok(Incoming::Message(message)) => message.admission,
        _ => None,
    }
}

/// Rounds of type 2 until nothing new can come of more.
fn acquaint(routers: &mut [Trust]) {
    for _ in 0..4 {
        for from in 0..routers.len() {
            let message = greet(&mut routers[from]);
            for to in (0..routers.len()).filter(|to| *to != from) {
                let _ = deliver(&mut routers[to], &message);
            }
        }
    }
}

#[test]
fn two_routers_believe_each_other_after_an_exchange_and_not_before() {
    let (mut a, mut b) = (trust(2, 20), trust(3, 30));
    assert_eq!(deliver(&mut b, &say(&mut a)), Err(Refusal::Stranger));
    assert_eq!(
        deliver(&mut b, &greet(&mut a)),
        Ok(Incoming::Greeting(router(2)))
    );
    assert_eq!(deliver(&mut b, &say(&mut a)), Err(Refusal::Stranger));
    assert_eq!(
        deliver(&mut a, &greet(&mut b)),
        Ok(Incoming::Greeting(router(3)))
    );
    assert!(!b.believes(router(2)));
    assert_eq!(
        admission(deliver(&mut b, &greet(&mut a))),
        Some(Admission::New)
    );
    assert!(matches!(
        deliver(&mut b, &say(&mut a)),
        Ok(Incoming::Message(_))
    ));
    assert_eq!(
        admission(deliver(&mut a, &greet(&mut b))),
        Some(Admission::New)
    );
    assert_eq!(b.address(router(2)), Some(address(2)));
    assert_eq!(b.router_at(address(2)), Some(router(2)));
    assert_eq!(b.refusals().of(Refusal::Stranger), 2);
}

#[test]
fn a_message_is_taken_once_and_none_from_before_the_proof() {
    let mut routers = [trust(2, 20), trust(3, 30)];
    let early = say(&mut routers[0]);
    acquaint(&mut routers);
    let [a, b] = &mut routers;
    assert_eq!(deliver(b, &early), Err(Refusal::Number));
    let (first, second) = (say(a), say(a));
    assert!(deliver(b, &second).is_ok());
    assert!(deliver(b, &first).is_ok(), "late is not repeated");
    assert_eq!(deliver(b, &second), Err(Refusal::Number));
    assert_eq!(deliver(b, &first), Err(Refusal::Number));
}

#[test]
fn a_restart_is_noticed_when_proved_and_ends_the_former_life() {
    let mut routers = [trust(2, 20), trust(3, 30)];
    acquaint(&mut routers);
    let [a, b] = &mut routers;
    let old = say(a);
    let mut restarted = trust(2, 21);
    assert_eq!(
        deliver(b, &greet(&mut restarted)),
        Ok(Incoming::Greeting(router(2)))
    );
    assert!(deliver(b, &old).is_ok(), "nothing is proved yet");
    let _ = deliver(&mut restarted, &greet(b));
    assert_eq!(
        admission(deliver(b, &greet(&mut restarted))),
        Some(Admission::Restarted)
    );
    assert_eq!(deliver(b, &say(a)), Err(Refusal::Boot));
    assert_eq!(
        deliver(b, &greet(a)),
        Err(Refusal::Boot),
        "a life that is over proves nothing, and gets no answer"
    );
    assert!(deliver(b, &say(&mut restarted)).is_ok());
}

#[test]
fn a_message_under_the_own_router_id_is_refused() {
    let (mut a, mut double) = (trust(2, 20), trust(2, 22));
    double.identity.local = address(4);
    assert_eq!(
        deliver(&mut a, &greet(&mut double)),
        Err(Refusal::OwnRouterId)
    );
}

#[test]
fn more_routers_than_a_group_can_have_are_refused() {
    let mut a = trust(100, 1);
    for id in 2..=ROUTERS_MAX as u32 {
        let mut routers = [a, trust(id, 9)];
        acquaint(&mut routers);
        [a, _] = routers;
    }
    let mut one_more = trust(90, 9);
    assert_eq!(
        deliver(&mut a, &greet(&mut one_more)),
        Err(Refusal::TooManyRouters)
    );
    a.forget(router(2));
    assert!(deliver(&mut a, &greet(&mut one_more)).is_ok());
}

#[test]
fn who_has_proved_nothing_keeps_nobody_out() {
    let mut a = trust(100, 1);
    let mut routers: Vec<Trust> = (0..60).map(|id| trust(2 + id, 9)).collect();
    for router in &mut routers {
        assert!(deliver(&mut a, &greet(router)).is_ok());
    }
    // The latest are still known, and can go on with their proof.
    let heard = greet(&mut a);
    let last = routers.last_mut().unwrap();
    let _ = deliver(last, &heard);
    assert_eq!(
        admission(deliver(&mut a, &greet(last))),
        Some(Admission::New)
    );
}

#[test]
fn a_new_key_is_used_when_all_who_answer_have_it() {
    let mut routers = [trust(2, 20), trust(3, 30), trust(4, 40)];
    acquaint(&mut routers);
    let used = |routers: &[Trust]| -> Vec<u8> {
        routers
            .iter()
            .map(|trust| trust.sending_key().unwrap().id())
            .collect()
    };
    for updated in 0..3 {
        assert_eq!(used(&routers), [1, 1, 1]);
        routers[updated].set_keys(vec![key(1), key(2)]);
        acquaint(&mut routers);
    }
    assert_eq!(used(&routers), [2, 2, 2]);
    for updated in 0..3 {
        routers[updated].set_keys(vec![key(2)]);
        acquaint(&mut routers);
        assert_eq!(used(&routers), [2, 2, 2]);
    }
    for trust in &routers {
        assert_eq!(trust.refusals().of(Refusal::Key), 0, "no interruption");
        assert!(trust.refusals().iter().all(|(_, count)| count == 0));
    }
    // One that does not answer keeps nobody from going on.
    routers[0].set_keys(vec![key(2), key(3)]);
    routers[1].set_keys(vec![key(2), key(3)]);
    acquaint(&mut routers);
    assert_eq!(used(&routers), [2, 2, 2]);
    routers[0].set_faulty(router(4), true);
    assert_eq!(used(&routers), [3, 2, 2]);
}

#[test]
fn an_advertisement_is_heeded_from_members_only() {
    let mut routers = [trust(2, 20), trust(3, 30)];
    let [a, _] = &mut routers;
    assert_eq!(a.heed_advertisement(address(3)), Err(Refusal::Stranger));
    assert_eq!(a.heed_advertisement(address(99)), Ok(()), "plain member");
    acquaint(&mut routers);
    let [a, _] = &mut routers;
    assert_eq!(a.heed_advertisement(address(3)), Ok(()));
    assert_eq!(a.heed_advertisement(address(5)), Err(Refusal::Stranger));
    assert_eq!(a.refusals().of(Refusal::Stranger), 2);

    let mut open = identity(2, 20);
    open.keys = vec![Key::none(open.group.vrid, crate::Family::Ipv4).unwrap()];
    let mut open = Trust::new(open);
    assert_eq!(open.heed_advertisement(address(5)), Ok(()));
    assert!(!open.is_authenticated());
}

#[derive(Clone, Debug)]
enum Step {
    Greet(usize),
    Say(usize),
    Replay(prop::sample::Index, usize),
    Restart(usize),
    Lose(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3).prop_map(Step::Greet),
        3 => (0usize..3).prop_map(Step::Say),
        8 => (any::<prop::sample::Index>(), 0usize..3).prop_map(|(which, to)| Step::Replay(which, to)),
        1 => (0usize..3).prop_map(Step::Restart),
        1 => (0usize..3).prop_map(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// An attacker records everything, and plays anything to anyone at any time. Each message of a believed router is
    /// taken once by each life of a receiver; none by a life that began after it was sent; none of a life of the sender
    /// whose successor was believed. And afterwards all still come to believe each other.
    #[test]
    fn recordings_gain_nothing(steps in vec(step(), 1..200)) {
        let mut boot = 100u64;
        let mut routers: Vec<Trust> = (0..3u32).map(|id| trust(2 + id, 10 + u64::from(id))).collect();
        // (message, sender's router, sender's boot, all boots when it was sent)
        let mut recorded: Vec<(Transmit, RouterId, BootId, BTreeSet<BootId>)> = Vec::new();
        let mut taken: HashSet<(BootId, usize)> = HashSet::new();
        let mut succeeded: HashMap<BootId, HashSet<BootId>> = HashMap::new();
        let mut believed: HashMap<(BootId, RouterId), BootId> = HashMap::new();
        for step in steps {
            let mut deliveries: Vec<(usize, usize)> = Vec::new();
            match step {
                Step::Greet(from) | Step::Say(from) | Step::Lose(from) => {
                    let message = match step {
                        Step::Say(_) => say(&mut routers[from]),
                        _ => greet(&mut routers[from]),
                    };
                    let boots = routers.iter().map(|trust| trust.identity.boot).collect();
                    let sender = &routers[from].identity;
                    recorded.push((message, sender.router, sender.boot, boots));
                    if !matches!(step, Step::Lose(_)) {
                        deliveries.extend((0..3).filter(|to| *to != from).map(|to| (recorded.len() - 1, to)));
                    }
                }
                Step::Replay(which, to) if !recorded.is_empty() => {
                    deliveries.push((which.index(recorded.len()), to));
                }
                Step::Replay(..) => {}
                Step::Restart(which) => {
                    boot += 1;
                    routers[which] = trust(2 + which as u32, boot);
                }
            }
            for (which, to) in deliveries {
                let (message, sender, sender_boot, boots) = &recorded[which];
                let receiver = routers[to].identity.boot;
                if let Ok(Incoming::Message(_)) = deliver(&mut routers[to], message) {
                    prop_assert!(taken.insert((receiver, which)), "taken twice");
                    prop_assert!(boots.contains(&receiver), "sent before the receiver started");
                    let former = succeeded.entry(receiver).or_default();
                    prop_assert!(!former.contains(sender_boot), "of a former life");
                    if let Some(before) = believed.insert((receiver, *sender), *sender_boot)
                        && before != *sender_boot
                    {
                        former.insert(before);
                    }
                }
            }
        }
        acquaint(&mut routers);
        for trust in &routers {
            for other in &routers {
                prop_assert!(
                    trust.identity.router == other.identity.router
                        || trust.believes(other.identity.router)
                );
            }
            let last = say(&mut routers[0].clone());
            let mut receiver = trust.clone();
            prop_assert!(
                trust.identity.router == routers[0].identity.router
                    || matches!(deliver(&mut receiver, &last), Ok(Incoming::Message(_)))
            );
        }
    }
}
