//! What must hold of every message: it reads as it was written, and nothing else reads at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::sharing::names::{Condition, Epoch, Fingerprint, MemberState, MoveName, Seen};

const SECRET: &[u8] = b"a secret of sixteen octets";

fn group(family: Family) -> Group {
    Group {
        version: 3,
        vrid: Vrid::new(7).unwrap(),
        destination: match family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            Family::Ipv6 => "fe80::1".parse().unwrap(),
        },
    }
}

fn source(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
        Family::Ipv6 => "fe80::2".parse().unwrap(),
    }
}

fn local(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3)),
        Family::Ipv6 => "fe80::3".parse().unwrap(),
    }
}

fn key(family: Family) -> Key {
    Key::new(5, SECRET, group(family).vrid, family).unwrap()
}

fn received<'a>(family: Family, payload: &'a [u8]) -> Received<'a> {
    Received {
        src: source(family),
        dst: group(family).destination,
        ttl: 255,
        payload,
    }
}

fn read(family: Family, payload: &[u8]) -> Result<(Head, Body), Refusal> {
    let keys = [key(family)];
    let opened = open(
        &group(family),
        local(family),
        &keys,
        &received(family, payload),
    )?;
    Ok((opened.head, opened.body()?))
}

fn write(family: Family, head: &Head, body: &Body) -> Vec<u8> {
    seal(&group(family), source(family), &key(family), head, body).unwrap()
}

/// Seals after `change` has been made to the octets, so that the code and checksum are right.
fn reseal(family: Family, message: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = message[..message.len() - HMAC_LEN].to_vec();
    put_checksum(&mut message, 0);
    change(&mut message);
    let (src, dst) = (source(family), group(family).destination);
    let code = key(family).code(src, dst, &message);
    message.extend_from_slice(&code);
    let checksum = sum(&message, src, dst).checksum();
    put_checksum(&mut message, checksum);
    message
}

fn router() -> impl Strategy<Value = RouterId> {
    (1..=u32::MAX).prop_map(|id| RouterId::new(id).unwrap())
}

fn version() -> impl Strategy<Value = Version> {
    (any::<u32>(), option::of(router()), any::<u32>()).prop_map(|(counter, issuer, generation)| {
        Version {
            epoch: Epoch { counter, issuer },
            generation,
        }
    })
}

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ipv4 => any::<u32>()
            .prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
            .boxed(),
        Family::Ipv6 => any::<u128>()
            .prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
            .boxed(),
    }
}

fn condition(family: Family) -> impl Strategy<Value = Condition> {
    prop_oneof![
        1 => Just(Condition::Rest),
        9 => address(family).prop_map(Condition::from),
    ]
}

fn name() -> impl Strategy<Value = MoveName> {
    (version(), router(), router(), any::<u16>())
        .prop_filter("two routers", |(_, from, to, _)| from != to)
        .prop_map(|(version, from, to, batch)| MoveName {
            version,
            from,
            to,
            batch,
        })
}

fn range() -> impl Strategy<Value = FragmentRange> {
    (any::<u16>(), any::<u16>()).prop_map(|(a, b)| FragmentRange {
        first: a.min(b),
        last: a.max(b),
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Timer, Mode::Sequence])
}

fn state() -> impl Strategy<Value = MemberState> {
    select(vec![
        MemberState::Working,
        MemberState::Suspended,
        MemberState::Draining,
        MemberState::Faulty,
        MemberState::SubstitutionServer,
        MemberState::SubstitutionServerFaulty,
    ])
}

fn move_report(family: Family) -> impl Strategy<Value = MoveReport> {
    let status = select(vec![
        MoveStatus::Preparing,
        MoveStatus::Ready,
        MoveStatus::Withdrawn,
        MoveStatus::Kept,
        MoveStatus::Waiting,
        MoveStatus::Holding,
        MoveStatus::Finished,
        MoveStatus::StoodDown,
    ]);
    (name(), status, vec(condition(family), 0..600)).prop_map(|(name, status, conditions)| {
        MoveReport {
            name,
            status,
            conditions,
        }
    })
}

fn sighting(family: Family) -> impl Strategy<Value = Sighting> {
    let some = address(family).prop_filter("an end system", |address| !address.is_unspecified());
    (some.clone(), option::of(some), 0usize..4).prop_map(|(address, node, seen)| Sighting {
        address,
        node,
        seen: [
            Seen::Configured,
            Seen::InformationReply,
            Seen::Neighbour,
            Seen::Traffic,
        ][seen],
    })
}

fn response(family: Family) -> impl Strategy<Value = Body> {
    let acquaintance = (router(), any::<u64>(), any::<u32>(), any::<u32>()).prop_map(
        |(router, boot, challenge, echo)| Acquaintance {
            router,
            boot: BootId(boot),
            challenge,
            echo,
        },
    );
    (
        (state(), any::<(bool, bool, bool)>(), any::<u16>(), mode()),
        (any::<u32>(), any::<u64>(), version()),
        vec(any::<u8>(), 0..5),
        vec(acquaintance, 0..20),
        vec(range(), 0..600),
        vec(move_report(family), 0..5),
        vec(sighting(family), 0..200),
    )
        .prop_map(
            |(
                (state, (master, authority, wants_table), weight, mode),
                (entries, digest, heard),
                keys,
                acquaintances,
                missing,
                moves,
                sightings,
            )| {
                Body::Response(Response {
                    state,
                    master,
                    authority,
                    wants_table,
                    weight,
                    mode,
                    entries,
                    digest,
                    heard,
                    keys,
                    acquaintances,
                    missing,
                    moves,
                    sightings,
                })
            },
        )
}

fn allocation(family: Family) -> impl Strategy<Value = Body> {
    let routers = btree_set(router(), 2..17);
    let nodes = vec(address(family), 1..40);
    let moves = vec((version(), any::<u16>(), any::<(u8, u8)>()), 1..40);
    let rows = vec(
        (
            (
                any::<u8>(),
                option::of(any::<u8>()),
                option::of(any::<u8>()),
            ),
            (0usize..4, any::<u16>(), any::<u32>()),
        ),
        400,
    );
    (
        (option::of(version()), mode(), any::<u32>(), any::<u64>()),
        (routers, vec((state(), any::<u16>()), 17)),
        nodes,
        moves,
        (btree_set(condition(family), 0..400), rows),
    )
        .prop_map(
            move |(
                (base, mode, entries_total, digest),
                (routers, details),
                nodes,
                moves,
                (conditions, rows),
            )| {
                let routers: Vec<RouterRecord> = routers
                    .into_iter()
                    .zip(details)
                    .map(|(router, (state, weight))| RouterRecord {
                        router,
                        state,
                        weight,
                    })
                    .collect();
                let router_at = |index: u8| routers[usize::from(index) % routers.len()].router;
                let entries = conditions
                    .into_iter()
                    .zip(rows)
                    .map(
                        |(
                            condition,
                            ((router, name, node), (seen, seen_ago_s, rate_kbit_per_s)),
                        )| Entry {
                            condition,
                            router: (base.is_none() || router < 200).then(|| router_at(router)),
                            unfinished: name.map(|index| {
                                let (version, batch, (from, to)) =
                                    moves[usize::from(index) % moves.len()];
                                MoveName {
                                    version,
                                    from: router_at(from),
                                    to: router_at(to),
                                    batch,
                                }
                            }),
                            node: node.map(|index| nodes[usize::from(index) % nodes.len()]),
                            seen: [
                                Seen::Configured,
                                Seen::InformationReply,
                                Seen::Neighbour,
                                Seen::Traffic,
                            ][seen],
                            seen_ago_s,
                            rate_kbit_per_s,
                        },
                    )
                    .collect();
                Body::Allocation(Allocation {
                    kind: match base {
                        Some(base) => Kind::Difference { base },
                        None => Kind::everything(family),
                    },
                    mode,
                    entries_total,
                    digest,
                    routers,
                    entries,
                })
            },
        )
}

fn answer(family: Family) -> impl Strategy<Value = Body> {
    let mark = (
        address(family),
        address(family),
        any::<u16>(),
        any::<u16>(),
        any::<u32>(),
    )
        .prop_map(|(src, dst, src_port, dst_port, sequence_number)| TcpMark {
            src,
            dst,
            src_port,
            dst_port,
            sequence_number,
        });
    let fingerprints = prop_oneof![vec(any::<u64>(), 0..4), vec(any::<u64>(), 0..1000)];
    let accepted = (
        condition(family),
        any::<bool>(),
        option::of(mark),
        fingerprints,
    )
        .prop_map(
            |(condition, overflowed, first_unrouted, fingerprints)| Accepted {
                condition,
                overflowed,
                first_unrouted,
                fingerprints: fingerprints.into_iter().map(Fingerprint).collect(),
            },
        );
    let status = select(vec![
        AnswerStatus::Withdrawn,
        AnswerStatus::StillRouting,
        AnswerStatus::Kept,
    ]);
    (name(), mode(), status, vec(accepted, 0..20)).prop_map(|(name, mode, status, accepted)| {
        Body::Answer(Answer {
            name,
            mode,
            status,
            accepted,
        })
    })
}

fn whole(family: Family) -> impl Strategy<Value = Body> {
    let confirmation = (name(), mode(), vec(range(), 0..200)).prop_map(|(name, mode, missing)| {
        Body::Confirmation(Confirmation {
            name,
            mode,
            missing,
        })
    });
    let passed = select(vec![Threshold::Rate, Threshold::Overflows]);
    let review = (passed, any::<u64>(), any::<u64>()).prop_map(|(passed, figure, threshold)| {
        Body::ReviewRequest(ReviewRequest {
            passed,
            figure,
            threshold,
        })
    });
    let rate_request = any::<u32>().prop_map(|request| Body::RateRequest(RateRequest { request }));
    let rate = (condition(family), any::<u64>()).prop_map(|(condition, bit_per_s)| ConditionRate {
        condition,
        bit_per_s,
    });
    let rates = (any::<[u32; 2]>(), any::<[u64; 2]>(), vec(rate, 0..400)).prop_map(
        |([request, window_ms], [total_bit_per_s, overflows], rates)| {
            Body::RateResponse(RateResponse {
                request,
                window_ms,
                total_bit_per_s,
                overflows,
                rates,
            })
        },
    );
    prop_oneof![confirmation, review, rate_request, rates]
}

fn body(family: Family) -> impl Strategy<Value = Body> {
    prop_oneof![
        response(family),
        allocation(family),
        answer(family),
        whole(family),
    ]
}

fn family() -> impl Strategy<Value = Family> {
    select(vec![Family::Ipv4, Family::Ipv6])
}

fn family_and_body() -> impl Strategy<Value = (Family, Body)> {
    family().prop_flat_map(|family| (Just(family), body(family)))
}

fn head() -> impl Strategy<Value = Head> {
    (any::<u8>(), router(), any::<u64>(), 1..=u64::MAX, version()).prop_map(
        |(priority, router, boot, number, version)| Head {
            priority,
            router,
            boot: BootId(boot),
            number,
            version,
            fragment: 0,
            fragments: 1,
        },
    )
}

/// `head` as it has to be before `body`: moves are confirmed by N and answered by P, and name the allocation.
fn fitting(mut head: Head, body: &Body) -> Head {
    match body {
        Body::Confirmation(confirmation) => head.router = confirmation.name.to,
        Body::Answer(answer) => head.router = answer.name.from,
        _ => {}
    }
    head.version = body.version().unwrap_or(head.version);
    head
}

/// What `fragments` say together.
fn joined(fragments: Vec<Body>) -> Body {
    fragments
        .into_iter()
        .reduce(|all, part| match (all, part) {
            (Body::Response(mut all), Body::Response(part)) => {
                all.missing.extend(part.missing);
                for report in part.moves {
                    match all.moves.last_mut() {
                        Some(last) if last.name == report.name && last.status == report.status => {
                            last.conditions.extend(report.conditions);
                        }
                        _ => all.moves.push(report),
                    }
                }
                all.sightings.extend(part.sightings);
                Body::Response(all)
            }
            (Body::Allocation(mut all), Body::Allocation(part)) => {
                if let (Kind::Full { last, .. }, Kind::Full { first, last: end }) =
                    (&mut all.kind, part.kind)
                {
                    assert_eq!(*last, first.before(), "ranges leave no gap");
                    *last = end;
                }
                all.entries.extend(part.entries);
                Body::Allocation(all)
            }
            (Body::Answer(mut all), Body::Answer(part)) => {
                for accepted in part.accepted {
                    match all.accepted.last_mut() {
                        Some(last) if last.condition == accepted.condition => {
                            last.fingerprints.extend(accepted.fingerprints);
                        }
                        _ => all.accepted.push(accepted),
                    }
                }
                Body::Answer(all)
            }
            (Body::RateResponse(mut all), Body::RateResponse(part)) => {
                all.rates.extend(part.rates);
                Body::RateResponse(all)
            }
            (all, part) => panic!("{all:?} has a fragment {part:?}"),
        })
        .unwrap()
}

/// `body` with adjacent parts that [`joined`] cannot tell apart made one.
fn normal(body: Body) -> Body {
    match body {
        Body::Response(response) => joined(vec![
            Body::Response(Response {
                moves: Vec::new(),
                missing: Vec::new(),
                sightings: Vec::new(),
                ..response.clone()
            }),
            Body::Response(response),
        ]),
        Body::Answer(answer) => joined(vec![
            Body::Answer(Answer {
                accepted: Vec::new(),
                ..answer.clone()
            }),
            Body::Answer(answer),
        ]),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn fragments_fit_read_as_written_and_say_all_together(
        (family, body) in family_and_body(),
        head in head(),
        message_len_max in MESSAGE_LEN_MAX_LEAST..2000,
    ) {
        let head = fitting(head, &body);
        let mut read_back = Vec::new();
        for fragment in body.clone().split(family, message_len_max) {
            let message = write(family, &head, &fragment);
            prop_assert!(message.len() <= message_len_max, "{} octets", message.len());
            let (head_read, fragment_read) = read(family, &message).unwrap();
            prop_assert_eq!(head_read, head);
            prop_assert_eq!(&fragment_read, &fragment);
            read_back.push(fragment_read);
        }
        prop_assert_eq!(normal(joined(read_back)), normal(body));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed(
        (family, body) in family_and_body(),
        head in head(),
        octet in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let head = fitting(head, &body);
        let fragment = body.split(family, MESSAGE_LEN_MAX_DEFAULT).swap_remove(0);
        let mut message = write(family, &head, &fragment);
        let octet = octet.index(message.len());
        message[octet] ^= 1 << bit;
        prop_assert!(read(family, &message).is_err());
        // With the checksum mended, the authentication code tells.
        put_checksum(&mut message, 0);
        let checksum = sum(&message, source(family), group(family).destination).checksum();
        put_checksum(&mut message, checksum);
        prop_assert!(octet == 6 || octet == 7 || read(family, &message).is_err());
    }

    #[test]
    fn no_part_of_a_message_is_taken_for_one(
        (family, body) in family_and_body(),
        head in head(),
        len in any::<prop::sample::Index>(),
        tail in vec(any::<u8>(), 1..20),
    ) {
        let head = fitting(head, &body);
        let fragment = body.split(family, MESSAGE_LEN_MAX_DEFAULT).swap_remove(0);
        let mut message = write(family, &head, &fragment);
        let len = len.index(message.len());
        prop_assert!(read(family, &message[..len]).is_err());
        message.extend_from_slice(&tail);
        prop_assert!(read(family, &message).is_err());
    }

    #[test]
    fn random_octets_are_refused(
        family in family(),
        mut octets in vec(any::<u8>(), 0..300),
        message_type in 0u8..16,
    ) {
        prop_assert!(read(family, &octets).is_err());
        if let [first, vrid, ..] = &mut octets[..] {
            *first = 0x30 | message_type;
            *vrid = group(family).vrid.get();
        }
        prop_assert!(read(family, &octets).is_err());
    }

    /// Whoever has the key can write anything; it must still make sense or be refused, and never panic.
    #[test]
    fn a_sealed_body_of_random_octets_is_read_safely(
        (family, body) in family_and_body(),
        head in head(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in option::of(any::<prop::sample::Index>()),
    ) {
        let head = fitting(head, &body);
        let fragment = body.split(family, MESSAGE_LEN_MAX_DEFAULT).swap_remove(0);
        let message = write(family, &head, &fragment);
        let message = reseal(family, &message, |message| {
            for (octet, value) in changes {
                let octet = octet.index(message.len());
                message[octet] = value;
            }
            if let Some(cut) = cut {
                message.truncate(HEAD_LEN + cut.index(message.len() - HEAD_LEN + 1));
                let len = (message.len() - HEAD_LEN) as u16;
                message[10..12].copy_from_slice(&len.to_be_bytes());
            }
        });
        if let Ok((head, body)) = read(family, &message) {
            // What is accepted can be said again.
            let again = write(family, &head, &body);
            prop_assert_eq!(read(family, &again).unwrap(), (head, body));
        }
    }
}

/// A message of each family to spoil.
fn sample(family: Family) -> Vec<u8> {
    let head = Head {
        priority: 100,
        router: RouterId::new(2).unwrap(),
        boot: BootId(11),
        number: 1,
        version: Version::default(),
        fragment: 0,
        fragments: 1,
    };
    write(
        family,
        &head,
        &Body::RateRequest(RateRequest { request: 9 }),
    )
}

#[test]
fn every_spoilt_field_is_refused_for_its_own_reason() {
    type Change = fn(&mut Vec<u8>);
    let changes: &[(&str, Change, Refusal)] = &[
        ("version", |m| m[0] = 0x27, Refusal::Version),
        ("type 1", |m| m[0] = 0x31, Refusal::Type),
        ("type 9", |m| m[0] = 0x39, Refusal::Type),
        ("vrid", |m| m[1] = 8, Refusal::Vrid),
        ("count", |m| m[3] = 1, Refusal::Count),
        ("authentication", |m| m[4] = 0, Refusal::AuthenticationType),
        ("authentication", |m| m[4] = 4, Refusal::AuthenticationType),
        ("extension version", |m| m[8] = 2, Refusal::ExtensionVersion),
        ("key", |m| m[9] = 6, Refusal::Key),
        ("body length", |m| m[11] += 1, Refusal::Length),
        ("router id", |m| m[12..16].fill(0), Refusal::Value),
        ("number", |m| m[24..32].fill(0), Refusal::Value),
        ("fragment", |m| m[45] = 1, Refusal::Fragment),
        ("fragments", |m| m[47] = 0, Refusal::Fragment),
        ("fragments", |m| m[47] = 2, Refusal::Fragment),
    ];
    for family in [Family::Ipv4, Family::Ipv6] {
        for (field, change, refusal) in changes {
            let message = reseal(family, &sample(family), change);
            assert_eq!(read(family, &message).unwrap_err(), *refusal, "{field}");
        }
        let mut damaged = sample(family);
        damaged[50] ^= 1;
        assert_eq!(read(family, &damaged).unwrap_err(), Refusal::Checksum);
        let other = Key::new(5, b"another secret, as long", group(family).vrid, family).unwrap();
        let forged = seal(
            &group(family),
            source(family),
            &other,
            &read(family, &sample(family)).unwrap().0,
            &Body::RateRequest(RateRequest { request: 9 }),
        )
        .unwrap();
        assert_eq!(read(family, &forged).unwrap_err(), Refusal::Hmac);
    }
}

#[test]
fn a_message_is_good_only_on_its_own_way() {
    for family in [Family::Ipv4, Family::Ipv6] {
        let message = sample(family);
        let keys = [key(family)];
        let good = received(family, &message);
        let check = |received: Received<'_>| {
            open(&group(family), local(family), &keys, &received).map(|opened| opened.head.number)
        };
        assert_eq!(check(good), Ok(1));
        assert_eq!(check(Received { ttl: 254, ..good }), Err(Refusal::Ttl));
        let dst = family.group();
        assert_eq!(check(Received { dst, ..good }), Err(Refusal::Destination));
        let src = local(family);
        assert_eq!(check(Received { src, ..good }), Err(Refusal::OwnSource));
        let other_family = match family {
            Family::Ipv4 => Family::Ipv6,
            Family::Ipv6 => Family::Ipv4,
        };
        let src = source(other_family);
        assert_eq!(check(Received { src, ..good }), Err(Refusal::Vrid));
        // Over IPv6 the checksum covers the addresses, over IPv4 only the code does.
        let src: IpAddr = match family {
            Family::Ipv4 => "192.0.2.9".parse().unwrap(),
            Family::Ipv6 => "fe80::9".parse().unwrap(),
        };
        let refusal = match family {
            Family::Ipv4 => Refusal::Hmac,
            Family::Ipv6 => Refusal::Checksum,
        };
        assert_eq!(check(Received { src, ..good }), Err(refusal));
    }
}

#[test]
fn a_key_is_good_for_one_group_and_family_only() {
    let vrid = |number| Vrid::new(number).unwrap();
    let codes: Vec<_> = [
        Key::new(5, SECRET, vrid(7), Family::Ipv4),
        Key::new(6, SECRET, vrid(7), Family::Ipv4),
        Key::new(5, SECRET, vrid(8), Family::Ipv4),
        Key::new(5, SECRET, vrid(7), Family::Ipv6),
        Key::none(vrid(7), Family::Ipv4),
    ]
    .into_iter()
    .map(|key| {
        let address = source(Family::Ipv4);
        key.unwrap().code(address, address, b"message")
    })
    .collect();
    for (position, code) in codes.iter().enumerate() {
        assert!(!codes[..position].contains(code), "{position}");
    }
    assert_eq!(
        Key::new(0, SECRET, vrid(7), Family::Ipv4).unwrap_err(),
        KeyError::Id
    );
    assert_eq!(
        Key::new(1, b"short", vrid(7), Family::Ipv4).unwrap_err(),
        KeyError::Short(5)
    );
}

/// Computed with other software (Python's hmac and hashlib) from the octet tables alone.
#[test]
fn a_message_computed_elsewhere_is_read() {
    let message = vector();
    let (head, body) = read(Family::Ipv4, &message).unwrap();
    assert_eq!(head.router.to_string(), "192.0.2.2");
    assert_eq!(head.boot, BootId(0x0123_4567_89ab_cdef));
    assert_eq!(head.number, 42);
    assert_eq!(head.version.epoch.counter, 3);
    assert_eq!(head.version.epoch.issuer, RouterId::new(0xc000_0202));
    assert_eq!(head.version.generation, 17);
    assert_eq!(body, Body::RateRequest(RateRequest { request: 9 }));
    assert_eq!(write(Family::Ipv4, &head, &body), message);
}

fn vector() -> Vec<u8> {
    VECTOR
        .as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

const VECTOR: &str = "370764000300460c01050004c00002020123456789abcdef000000000000002a00000003c0000202000000110000000100000009f26d60ba4c2d85419a43f18a7fa3c866";

#[test]
fn a_full_table_of_65536_conditions_takes_under_a_thousand_messages_over_ipv4() {
    for (family, fragments_max) in [(Family::Ipv4, 1000), (Family::Ipv6, 1700)] {
        let routers: Vec<_> = (1..=16)
            .map(|id| RouterRecord {
                router: RouterId::new(id).unwrap(),
                state: MemberState::Working,
                weight: 1,
            })
            .collect();
        let entries = (0..65_536u32)
            .map(|number| Entry {
                condition: Condition::Address(match family {
                    Family::Ipv4 => Ipv4Addr::from_bits(0x0a00_0000 + number).into(),
                    Family::Ipv6 => {
                        Ipv6Addr::from_bits((0xfd00 << 112) + u128::from(number)).into()
                    }
                }),
                router: RouterId::new(number % 16 + 1),
                unfinished: None,
                node: None,
                seen: Seen::Traffic,
                seen_ago_s: 1,
                rate_kbit_per_s: number,
            })
            .collect();
        let table = Body::Allocation(Allocation {
            kind: Kind::everything(family),
            mode: Mode::Sequence,
            entries_total: 65_536,
            digest: 0,
            routers,
            entries,
        });
        let fragments = table.split(family, MESSAGE_LEN_MAX_DEFAULT);
        assert!(fragments.len() < fragments_max, "{}", fragments.len());
    }
}
