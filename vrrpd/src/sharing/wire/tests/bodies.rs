//! Any head, and any body of every type.

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::sample::select;

use super::*;
use crate::sharing::names::{Condition, Epoch, Fingerprint, MemberState, MoveName, Seen};

pub(super) fn router() -> impl Strategy<Value = RouterId> {
    (1..=u32::MAX).prop_map(|id| RouterId::new(id).unwrap())
}

pub(super) fn version() -> impl Strategy<Value = Version> {
    (any::<u32>(), option::of(router()), any::<u32>()).prop_map(|(counter, issuer, generation)| {
        Version {
            epoch: Epoch { counter, issuer },
            generation,
        }
    })
}

pub(super) fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ipv4 => any::<u32>()
            .prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
            .boxed(),
        Family::Ipv6 => any::<u128>()
            .prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
            .boxed(),
    }
}

pub(super) fn condition(family: Family) -> impl Strategy<Value = Condition> {
    prop_oneof![
        1 => Just(Condition::Rest),
        9 => address(family).prop_map(Condition::from),
    ]
}

pub(super) fn name() -> impl Strategy<Value = MoveName> {
    (version(), router(), router(), any::<u16>())
        .prop_filter("two routers", |(_, from, to, _)| from != to)
        .prop_map(|(version, from, to, batch)| MoveName {
            version,
            from,
            to,
            batch,
        })
}

pub(super) fn range() -> impl Strategy<Value = FragmentRange> {
    (any::<u16>(), any::<u16>()).prop_map(|(a, b)| FragmentRange {
        first: a.min(b),
        last: a.max(b),
    })
}

pub(super) fn mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Timer, Mode::Sequence])
}

pub(super) fn state() -> impl Strategy<Value = MemberState> {
    select(vec![
        MemberState::Working,
        MemberState::Suspended,
        MemberState::Draining,
        MemberState::Faulty,
        MemberState::SubstitutionServer,
        MemberState::SubstitutionServerFaulty,
    ])
}

pub(super) fn move_report(family: Family) -> impl Strategy<Value = MoveReport> {
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

pub(super) fn sighting(family: Family) -> impl Strategy<Value = Sighting> {
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

pub(super) fn response(family: Family) -> impl Strategy<Value = Body> {
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

pub(super) fn allocation(family: Family) -> impl Strategy<Value = Body> {
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

pub(super) fn answer(family: Family) -> impl Strategy<Value = Body> {
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

pub(super) fn whole(family: Family) -> impl Strategy<Value = Body> {
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

pub(super) fn body(family: Family) -> impl Strategy<Value = Body> {
    prop_oneof![
        response(family),
        allocation(family),
        answer(family),
        whole(family),
    ]
}

pub(super) fn family() -> impl Strategy<Value = Family> {
    select(vec![Family::Ipv4, Family::Ipv6])
}

pub(super) fn family_and_body() -> impl Strategy<Value = (Family, Body)> {
    family().prop_flat_map(|family| (Just(family), body(family)))
}

pub(super) fn head() -> impl Strategy<Value = Head> {
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
pub(super) fn fitting(mut head: Head, body: &Body) -> Head {
    match body {
        Body::Confirmation(confirmation) => head.router = confirmation.name.to,
        Body::Answer(answer) => head.router = answer.name.from,
        _ => {}
    }
    head.version = body.version().unwrap_or(head.version);
    head
}
