//! Messages that must be refused, put together from `docs/protocol.md` alone, and messages recorded and sent again: each is counted
//! under its reason and changes nothing, and the group goes on.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::frame::Ipv4Frame;
use lab::group::Group;
use lab::link::End;
use lab::load::Load;
use lab::packet_socket::PacketSocket;
use lab::poll;
use lab::topology::sharing::{LAN, Sharing};
use serde_json::Value;

use super::insider::Insider;
use super::moves::move_around;
use super::second::{Message, Term, empty_difference, hand_over};
use super::{DEADLINE, RATES, expect_exact, told, told_group};

/// Where the stranger is, and the member that is not the program.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 75, 1, 98);
const INSIDER: Ipv4Addr = Ipv4Addr::new(10, 75, 1, 99);
const OTHER_BOOT: u64 = 0x0123_4567_89ab_cdef;
const SEQUENCE: u8 = 2;
/// For how long the member does its duty between two looks.
const A_WHILE: Duration = Duration::from_millis(20);

/// A frame that router `at` is to refuse under `counter`.
struct Case {
    what: &'static str,
    counter: &'static str,
    at: u8,
    frame: Vec<u8>,
}

/// What a router has refused, by reason.
fn refused(group: &Group<'_>, router: u8) -> BTreeMap<String, u64> {
    let router = group.router(router).expect("a router");
    let shown = Group::shown(router, "show routers").expect("routers");
    let counts = shown["refused"].as_object().into_iter().flatten();
    counts
        .filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
        .collect()
}

/// What no refused message may change: every router's table, verdicts included, its moves, and who is master.
fn state(group: &Group<'_>) -> Vec<Value> {
    let of = |(_, router): (u8, &lab::manifold::Manifold<'_>)| {
        let allocation = Group::shown(router, "show allocation").expect("a table");
        let moves = Group::shown(router, "show moves").expect("moves");
        let vrrp = router.ask("show vrrp").expect("virtual routers");
        let routers = vrrp["virtual_routers"].as_array().into_iter().flatten();
        let states: Vec<Value> = routers
            .map(|router| serde_json::json!([router["state"], router["master_address"]]))
            .collect();
        serde_json::json!([allocation, moves["moves"], moves["total"], states])
    };
    group.running().map(of).collect()
}

/// Waits until nothing changes any more, while `meanwhile` is done.
fn settle(group: &Group<'_>, meanwhile: &mut dyn FnMut()) {
    const STILL: Duration = Duration::from_millis(300);
    let mut last = (Instant::now(), state(group));
    let settled = poll::until("nothing changing", DEADLINE, || {
        meanwhile();
        let now = state(group);
        if now != last.1 {
            last = (Instant::now(), now);
        }
        Ok((last.0.elapsed() > STILL).then_some(()))
    });
    settled.expect("a standstill");
}

/// Sends the frame, and expects that it is refused under its counter and no other, and that nothing else happens.
fn expect_refused(group: &Group<'_>, socket: &PacketSocket, case: &Case) {
    let Case {
        what,
        counter,
        at,
        frame,
    } = case;
    let (counts, before) = (refused(group, *at), state(group));
    socket.send(frame).expect("sent");
    let more = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let now = poll::until("a refusal", DEADLINE, || {
        let now = refused(group, *at);
        Ok((more(&now) > more(&counts)).then_some(now))
    });
    let now = now.expect(what);
    let mut expected = counts;
    *expected.get_mut(*counter).expect("a counter") += 1;
    assert_eq!(now, expected, "{what}");
    assert_eq!(state(group), before, "{what}");
}

/// What anyone on the link can send who has no key, or has it and did not prove that he is there now.
fn of_strangers(insider: &mut Insider) -> Vec<Case> {
    let mac = insider.mac;
    let mut right = insider.response();
    right.source = STRANGER;
    right.router = STRANGER;
    right.boot = OTHER_BOOT;
    right.number = 1;
    let case = |what, counter, change: &dyn Fn(&mut Message)| {
        let mut message = right.clone();
        change(&mut message);
        let frame = message.frame(mac);
        Case {
            what,
            counter,
            at: 0,
            frame,
        }
    };
    let octets = |what, counter, change: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = right.octets();
        change(&mut octets);
        let frame = right.frame_of(mac, octets);
        Case {
            what,
            counter,
            at: 0,
            frame,
        }
    };
    let first = Sharing::router(0);
    let mut cases = vec![
        case("from beyond the link", "ttl", &|m| m.ttl = 254),
        octets("cut off within the head", "length", &|o| o.truncate(47)),
        octets("cut off within the code", "length", &|o| o.truncate(63)),
        case("version 2", "version", &|m| m.version = 2),
        case("type 0", "type", &|m| m.kind = 0),
        case("type 9", "type", &|m| m.kind = 9),
        case("to a router itself", "destination", &|m| {
            m.destination = first;
        }),
        case("from the receiver's address", "own-source", &|m| {
            m.source = first;
        }),
        octets("damaged", "checksum", &|o| o[60] ^= 1),
        octets("cut off within the body", "checksum", &|o| o.truncate(80)),
        case("another extension", "extension-version", &|m| {
            m.extension = 2
        }),
        case("a body said to be longer", "length", &|m| m.body_excess = 4),
        case("an unknown key id", "key", &|m| m.key_id = 9),
        case("key id 0", "key", &|m| {
            m.key_id = 0;
            m.authentication = 0;
        }),
        case(
            "a key, and said to have none",
            "authentication-type",
            &|m| {
                m.authentication = 0;
            },
        ),
        case("another secret", "hmac", &|m| {
            m.secret = b"another secret than the group's".to_vec();
        }),
        octets("changed on the way", "hmac", &|o| {
            // Two octets that leave the sum as it was.
            o.swap(50, 52);
            o[50] ^= 0xff;
            o[52] ^= 0xff;
            let message = std::mem::take(o);
            *o = resummed(message);
        }),
        case("router id 0", "value", &|m| {
            m.router = Ipv4Addr::UNSPECIFIED;
        }),
        case("message number 0", "value", &|m| m.number = 0),
        case("fragment 1 of 1", "fragment", &|m| m.fragment = 1),
        case("fragment 0 of 0", "fragment", &|m| m.fragments = 0),
        case("the receiver's router id", "own-router-id", &|m| {
            m.router = first;
        }),
        case("an allocation without proof", "stranger", &|m| {
            m.kind = 3;
            m.count = 0;
            m.body = empty_difference(Term::NONE, 0, 0);
        }),
        case("a confirmation without proof", "stranger", &|m| {
            m.kind = 4;
            m.count = 0;
            m.body = hand_over(first, STRANGER, 0, SEQUENCE, 0);
        }),
        case("a request without proof", "stranger", &|m| {
            m.kind = 7;
            m.count = 0;
            m.body = vec![0, 0, 0, 1];
        }),
    ];
    cases.push(Case {
        what: "a stranger's advertisement",
        counter: "stranger",
        at: 0,
        frame: advertisement(insider, STRANGER),
    });
    cases
}

/// The message with a right checksum.
fn resummed(mut octets: Vec<u8>) -> Vec<u8> {
    octets[6..8].fill(0);
    let checksum = !lab::frame::sum(&octets);
    octets[6..8].copy_from_slice(&checksum.to_be_bytes());
    octets
}

/// An advertisement as RFC 9568 has it, of a router with a priority above all others.
pub(super) fn advertisement(insider: &Insider, source: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0x31, Sharing::VRID, 254, 1, 0, 100, 0, 0];
    message.extend(Sharing::GATEWAY.octets());
    let frame = Ipv4Frame {
        to_mac: [1, 0, 0x5e, 0, 0, 18],
        from_mac: insider.mac,
        from: source,
        to: Ipv4Addr::new(224, 0, 0, 18),
        ttl: 255,
        protocol: 112,
        identification: 0,
        fragment: 0,
        options: Vec::new(),
        payload: resummed(message),
    };
    frame.octets()
}

/// What a member that the others believe may not say.
fn of_the_insider(insider: &mut Insider) -> Vec<Case> {
    let (term, conditions, digest) = insider.installed;
    let [first, second] = [Sharing::router(0), Sharing::router(1)];
    let mac = insider.mac;
    let mut cases = Vec::new();
    let mut add = |what, counter, at, message: &Message| {
        let frame = message.frame(mac);
        cases.push(Case {
            what,
            counter,
            at,
            frame,
        });
    };
    let difference = empty_difference(term, conditions, digest);

    let mut message = insider.response();
    message.count += 1;
    add("more entries than there are", "count", 0, &message);
    let message = insider.message(3, 0, [difference.clone(), vec![0]].concat());
    add("an octet behind the body", "count", 0, &message);
    let mut message = insider.response();
    message.body[0] = 9;
    add("state 9", "value", 0, &message);
    let message = insider.message(4, 0, hand_over(first, INSIDER, 0, 7, 0));
    add("mode 7", "value", 0, &message);
    let message = insider.message(4, 0, hand_over(first, second, 0, SEQUENCE, 0));
    add("a confirmation in N's name", "move", 0, &message);
    let message = insider.message(5, 0, hand_over(second, first, 0, SEQUENCE, 1));
    add("an answer in P's name", "move", 0, &message);
    let message = insider.message(4, 0, hand_over(first, INSIDER, 0, SEQUENCE, 0));
    add("a confirmation of no move", "move", 0, &message);
    let mut message = insider.message(4, 0, hand_over(first, INSIDER, 0, SEQUENCE, 0));
    message.fragments = 2;
    add("half a confirmation", "fragment", 0, &message);

    let mut message = insider.message(3, 0, difference.clone());
    message.term.generation += 1;
    add(
        "an allocation in the authority's name",
        "issuer",
        1,
        &message,
    );
    let mut message = insider.message(3, 0, difference.clone());
    message.term = Term {
        counter: 0,
        issuer: INSIDER,
        generation: 1,
    };
    add("an allocation of an earlier epoch", "epoch", 1, &message);
    // Whoever has the key can write in another's name; the generation is refused all the same.
    let ahead = insider.last.get(&first).expect("a message").clone();
    let mut message = insider.message(3, 0, difference);
    message.source = first;
    message.router = first;
    message.boot = ahead.boot;
    message.number = ahead.number + 500;
    message.term.generation -= 1;
    add("an earlier generation", "generation", 1, &message);

    let message = insider.response();
    insider.send(&message);
    add("a message for the second time", "number", 0, &message);
    let mut message = message;
    message.number = 1;
    add("a number taken long ago", "number", 0, &message);
    cases
}

#[test]
fn forged_messages_are_each_refused_under_their_counter_and_change_nothing() {
    let net = Sharing::new(4, 2, 1).expect("a network");
    let guest = net.guest("x", LAN).expect("a machine");
    let group = told_group(&net, &told("learn = false"));
    let mut insider = Insider::new(&guest, INSIDER, OTHER_BOOT + 1);
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    settle(&group, &mut || {});
    for case in of_strangers(&mut insider) {
        expect_refused(&group, &insider.socket, &case);
    }
    join(&group, &mut insider);
    settle(&group, &mut || insider.attend(A_WHILE));
    for case in of_the_insider(&mut insider) {
        insider.attend(A_WHILE);
        expect_refused(&group, &insider.socket, &case);
    }
    move_around(&group, 2, 1);
    let report = load.stop().expect("counts");
    expect_exact(&net, &group, &since, &report);
}

/// Has the member prove itself to all, and waits until all have the table with it.
fn join(group: &Group<'_>, insider: &mut Insider) {
    poll::until("the member's admission", DEADLINE, || {
        insider.attend(A_WHILE);
        for (_, router) in group.running() {
            let shown = Group::shown(router, "show routers")?;
            let routers = shown["routers"].as_array().into_iter().flatten();
            let mut members = routers.filter(|member| member["state"] == "working");
            let is_there = members.any(|member| member["router_id"] == INSIDER.to_string());
            let has_installed = shown["generation"] == insider.installed.0.generation;
            if !(is_there && has_installed) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .expect("a member");
}

/// Sends recorded messages again, and expects that `router` refuses each under one of the reasons, and that nothing else happens.
fn expect_replay_refused(
    group: &Group<'_>,
    socket: &PacketSocket,
    router: u8,
    frames: &[Vec<u8>],
    reasons: &[&str],
) {
    let (before, counts) = (state(group), refused(group, router));
    for frame in frames {
        socket.send(frame).expect("sent");
    }
    let what = format!("{} recorded messages, {reasons:?}", frames.len());
    println!("at r{}: {what}", router + 1);
    assert!(!frames.is_empty(), "{what}");
    let sum = |counts: &BTreeMap<String, u64>| -> u64 {
        reasons
            .iter()
            .filter_map(|reason| counts.get(*reason))
            .sum()
    };
    let refusals = poll::until(&what, DEADLINE, || {
        let now = refused(group, router);
        Ok((sum(&now) >= sum(&counts) + frames.len() as u64).then_some(()))
    });
    if refusals.is_err() {
        println!("{counts:?}, now {:?}", refused(group, router));
    }
    refusals.expect("refusals");
    assert_eq!(state(group), before, "{what}");
}

#[test]
fn recorded_messages_are_refused_also_when_their_sender_or_receiver_has_restarted() {
    let net = Sharing::new(2, 2, 1).expect("a network");
    let guest = net.guest("x", LAN).expect("a machine");
    let socket = PacketSocket::open(End::of(&guest, "eth0")).expect("a socket");
    let mut group = told_group(&net, &told("learn = false"));
    let [first, second] = [Sharing::router(0), Sharing::router(1)];
    let recorded = |of: Ipv4Addr| -> Vec<Vec<u8>> {
        let frames = socket.drain().expect("frames");
        let is_of = |frame: &Vec<u8>| Message::read(frame).is_some_and(|of_it| of_it.source == of);
        frames.into_iter().filter(is_of).collect()
    };
    let record = |group: &Group<'_>| {
        drop(socket.drain().expect("frames"));
        move_around(group, 2, 2);
    };

    record(&group);
    let of_second = recorded(second);
    record(&group);
    let of_first = recorded(first);
    let kinds = |frames: &[Vec<u8>]| -> std::collections::BTreeSet<u8> {
        let messages = frames.iter().filter_map(|frame| Message::read(frame));
        messages.map(|message| message.kind).collect()
    };
    println!("types: {:?}, {:?}", kinds(&of_first), kinds(&of_second));
    assert_eq!(kinds(&of_first), [2, 3, 4, 5].into());
    assert_eq!(kinds(&of_second), [2, 4, 5].into());
    expect_replay_refused(&group, &socket, 0, &of_second, &["number"]);
    expect_replay_refused(&group, &socket, 1, &of_first, &["number"]);

    // The sender has restarted; then the receiver of what the other sent.
    drop(group.stop(1).expect("an end"));
    group.start_router(1).expect("a router");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    expect_replay_refused(&group, &socket, 0, &of_second, &["boot"]);
    expect_replay_refused(&group, &socket, 1, &of_first, &["number"]);
    move_around(&group, 2, 2);

    // Both have: of a life that the receiver never knew it takes a type 2 for the beginning of a proof, which never comes.
    drop(group.stop(0).expect("an end"));
    group.start_router(0).expect("a router");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    expect_replay_refused(&group, &socket, 1, &of_first, &["boot"]);
    let beyond_type_2: Vec<Vec<u8>> = of_second
        .iter()
        .filter(|frame| Message::read(frame).is_some_and(|message| message.kind != 2))
        .cloned()
        .collect();
    expect_replay_refused(&group, &socket, 0, &beyond_type_2, &["boot"]);
    let before = state(&group);
    for frame in &of_second {
        socket.send(frame).expect("sent");
    }
    settle(&group, &mut || {});
    assert_eq!(state(&group), before);
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    move_around(&group, 2, 2);
    expect_exact(&net, &group, &since, &load.stop().expect("counts"));
}

#[test]
fn no_more_routers_are_believed_than_a_group_can_have() {
    /// Beside the two real ones.
    const MEMBERS: u8 = 30;
    let net = Sharing::new(2, 2, 1).expect("a network");
    let guest = net.guest("x", LAN).expect("a machine");
    let group = told_group(&net, &told("learn = false"));
    let member = |number: u8| {
        let address = Ipv4Addr::new(10, 75, 1, 100 + number);
        let mut member = Insider::new(&guest, address, OTHER_BOOT + u64::from(number));
        member.partners = vec![Sharing::router(0), Sharing::router(1)];
        member
    };
    let mut members: Vec<Insider> = (0..MEMBERS).map(member).collect();
    let attend = |members: &mut [Insider]| {
        for member in members {
            member.attend(Duration::from_millis(5));
        }
    };
    let admitted = poll::until("everyone's admission", DEADLINE, || {
        attend(&mut members);
        for (_, router) in group.running() {
            let shown = Group::shown(router, "show routers")?;
            let routers = shown["routers"].as_array().into_iter().flatten();
            let working = routers.filter(|member| member["state"] == "working");
            if working.count() < usize::from(MEMBERS) + 2 {
                return Ok(None);
            }
        }
        Ok(Some(()))
    });
    if admitted.is_err() {
        println!("{:?}", refused(&group, 0));
        let shown = Group::shown(group.router(0).expect("a router"), "show routers");
        println!("{:#}", shown.expect("routers")["routers"]);
    }
    admitted.expect("a full group");
    settle(&group, &mut || attend(&mut members));
    let mut one_more = member(MEMBERS);
    for at in 0..2 {
        attend(&mut members);
        let frame = one_more.response().frame(one_more.mac);
        let case = Case {
            what: "one router more",
            counter: "too-many-routers",
            at,
            frame,
        };
        expect_refused(&group, &one_more.socket, &case);
    }
    move_around(&group, 2, 1);
}
