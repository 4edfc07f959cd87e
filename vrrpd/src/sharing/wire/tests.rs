//! What must hold of every message: it reads as it was written, and nothing else reads at all.

mod bodies;
mod properties;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::sharing::names::{Condition, MemberState, Seen};

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
