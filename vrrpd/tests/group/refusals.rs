//! What is refused, and that a refusal moves its counter and nothing else.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use vrrpd::wire::{Family, Fields, GROUP_IPV4, TTL, v2, v3};
use vrrpd::{
    Authentication, Config, Counters, Mismatch, Peers, PseudoHeader, Received, Refusal, Time,
    Version, VirtualRouter, Vrid,
};

use crate::lan::{address, config, gateway};

/// The sender of the messages, and the receiver.
const PEER: usize = 1;
const OWN: usize = 0;

/// A packet that version 3 accepts.
struct Packet {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    payload: Vec<u8>,
}

fn fields(addresses: &[IpAddr]) -> Fields<'_> {
    let interval = Duration::from_secs(1);
    Fields {
        vrid: Vrid::new(7).unwrap(),
        priority: 50,
        interval,
        addresses,
    }
}

fn packet_v3() -> Packet {
    let (src, dst) = (address(PEER), GROUP_IPV4.into());
    let payload = v3::emit(&fields(&[gateway()]), src, dst, PseudoHeader::Without);
    Packet {
        src,
        dst,
        ttl: TTL,
        payload,
    }
}

fn packet_v2(fields: &Fields<'_>, authentication: &Authentication) -> Packet {
    Packet {
        payload: v2::emit(fields, authentication),
        ..packet_v3()
    }
}

fn router(config: Config) -> VirtualRouter {
    let mut router = VirtualRouter::new(config, address(OWN), Time::ZERO).unwrap();
    router.port_link(Time::ZERO, true);
    while router.poll_output().is_some() {}
    router
}

fn receive(router: &mut VirtualRouter, packet: &Packet) -> Result<Option<Mismatch>, Refusal> {
    let Packet {
        src,
        dst,
        ttl,
        payload,
    } = packet;
    router.receive(
        Time::ZERO,
        &Received {
            src: *src,
            dst: *dst,
            ttl: *ttl,
            payload,
        },
    )
}

/// The counters that differ, by name.
fn moved(before: &Counters, after: &Counters) -> Vec<(&'static str, u64)> {
    let pairs = before.iter().zip(after.iter());
    pairs
        .filter(|(b, a)| b != a)
        .map(|(b, a)| (a.0, a.1 - b.1))
        .collect()
}

/// Checks that `packet` is refused, under `counter` alone, without an effect.
fn assert_refused(config: Config, packet: &Packet, counter: &'static str) {
    let mut router = router(config);
    let before = router.status();
    let refusal = receive(&mut router, packet).unwrap_err();
    let after = router.status();
    assert_eq!(
        moved(&before.counters, &after.counters),
        [(counter, 1)],
        "{refusal}"
    );
    assert_eq!(router.poll_output(), None, "{refusal}");
    assert_eq!(
        vrrpd::Status {
            counters: before.counters.clone(),
            ..after
        },
        before,
        "{refusal}"
    );
}

fn config_v2(authentication: Authentication) -> Config {
    Config {
        version: Version::V2 { authentication },
        ..config(100, 1000)
    }
}

#[test]
fn what_is_right_is_accepted() {
    let mut three = router(config(100, 1000));
    assert_eq!(receive(&mut three, &packet_v3()), Ok(None));
    let mut two = router(config_v2(Authentication::None));
    assert_eq!(
        receive(
            &mut two,
            &packet_v2(&fields(&[gateway()]), &Authentication::None)
        ),
        Ok(None)
    );
    for router in [three, two] {
        assert_eq!(
            moved(&Counters::default(), router.counters()),
            [("advertisement-rcvd", 1)]
        );
    }
}

#[test]
fn each_refusal_moves_its_own_counter() {
    let three = || config(100, 1000);
    let refused = |change: fn(&mut Packet), counter| {
        let mut packet = packet_v3();
        change(&mut packet);
        assert_refused(three(), &packet, counter);
    };
    refused(|p| p.ttl = 254, "ip-ttl-errors");
    refused(|p| p.payload[0] = 0x21, "version-errors");
    refused(|p| p.payload[0] = 0x30, "invalid-type-pkts-rcvd");
    refused(|p| p.payload[0] = 0x32, "invalid-type-pkts-rcvd");
    refused(|p| p.payload[1] = 8, "vrid-errors");
    refused(|p| p.payload[6] ^= 1, "checksum-errors");
    refused(|p| p.payload.truncate(7), "packet-length-errors");
    refused(|p| p.payload.truncate(0), "packet-length-errors");
    refused(|p| p.payload.push(0), "packet-length-errors");
    refused(|p| p.src = address(OWN), "own-source-pkts-rcvd");
    refused(|p| p.dst = address(OWN), "destination-errors");
    refused(|p| p.src = "fe80::1".parse().unwrap(), "vrid-errors");
    refused(
        |p| {
            let never = Fields {
                interval: Duration::ZERO,
                ..fields(&[])
            };
            p.payload = v3::emit(&never, p.src, p.dst, PseudoHeader::Without);
        },
        "interval-errors",
    );
}

#[test]
fn version_2_refuses_by_its_own_rules() {
    let secret = Authentication::text("secret");
    let addresses = [gateway()];
    let right = fields(&addresses);
    let plain = || config_v2(Authentication::None);
    assert_refused(plain(), &packet_v2(&right, &secret), "auth-type-mismatch");
    assert_refused(
        config_v2(secret),
        &packet_v2(&right, &Authentication::None),
        "auth-type-mismatch",
    );
    let wrong = Authentication::text("wrong");
    assert_refused(
        config_v2(secret),
        &packet_v2(&right, &wrong),
        "auth-failures",
    );
    let slow = Fields {
        interval: Duration::from_secs(2),
        ..right
    };
    assert_refused(
        plain(),
        &packet_v2(&slow, &Authentication::None),
        "interval-errors",
    );
    let others = [address(9)];
    let elsewhere = Fields {
        addresses: &others,
        ..right
    };
    assert_refused(
        plain(),
        &packet_v2(&elsewhere, &Authentication::None),
        "address-list-errors",
    );
}

#[test]
fn an_address_list_that_differs_is_counted_and_accepted_where_the_rfc_says() {
    let others = [address(9)];
    let odd = Ok(Some(Mismatch::AddressList {
        router: address(PEER),
    }));
    let mut three = router(config(100, 1000));
    let (src, dst) = (address(PEER), GROUP_IPV4.into());
    let payload = v3::emit(&fields(&others), src, dst, PseudoHeader::Without);
    assert_eq!(
        receive(
            &mut three,
            &Packet {
                payload,
                ..packet_v3()
            }
        ),
        odd
    );

    // Version 2: from the owner of the addresses.
    let mut two = router(config_v2(Authentication::None));
    let owner = Fields {
        priority: 255,
        ..fields(&others)
    };
    assert_eq!(
        receive(&mut two, &packet_v2(&owner, &Authentication::None)),
        odd
    );
    for router in [three, two] {
        assert_eq!(
            moved(&Counters::default(), router.counters()),
            [("advertisement-rcvd", 1), ("address-list-errors", 1)]
        );
    }
}

#[test]
fn another_owner_and_another_interval_are_told_of() {
    let addresses = [gateway()];
    let heard = |config: Config, priority, interval| {
        let fields = Fields {
            priority,
            interval,
            ..fields(&addresses)
        };
        let (src, dst) = (address(PEER), GROUP_IPV4.into());
        let payload = v3::emit(&fields, src, dst, PseudoHeader::Without);
        let packet = Packet {
            payload,
            ..packet_v3()
        };
        receive(&mut router(config), &packet)
    };
    let peer = address(PEER);
    let (usual, slow) = (Duration::from_secs(1), Duration::from_secs(2));
    for (priority, sent, interval, odd) in [
        (254, 255, usual, None),
        (255, 254, usual, None),
        // The gravest is told.
        (255, 255, slow, Some(Mismatch::Owner { router: peer })),
        (
            100,
            50,
            slow,
            Some(Mismatch::Interval {
                router: peer,
                received: slow,
                configured: usual,
            }),
        ),
    ] {
        assert_eq!(heard(config(priority, 1000), sent, interval), Ok(odd));
    }
}

#[test]
fn the_order_of_the_address_list_does_not_matter() {
    let mut configured = config(100, 1000);
    configured.addresses = vec![address(8), address(9)];
    let mut router = router(configured);
    let (src, dst) = (address(PEER), GROUP_IPV4.into());
    let payload = v3::emit(
        &fields(&[address(9), address(8)]),
        src,
        dst,
        PseudoHeader::Without,
    );
    assert_eq!(
        receive(
            &mut router,
            &Packet {
                payload,
                ..packet_v3()
            }
        ),
        Ok(None)
    );
    assert_eq!(router.counters().address_list_errors, 0);
}

#[test]
fn unicast_peers_are_the_configured_ones() {
    let peers = Peers::Unicast {
        addresses: vec![address(PEER)],
        ttl_min: 250,
    };
    let unicast = || Config {
        peers: peers.clone(),
        ..config(100, 1000)
    };
    let to_own = |src, ttl| {
        let payload = v3::emit(&fields(&[gateway()]), src, address(OWN), PseudoHeader::With);
        Packet {
            src,
            dst: address(OWN),
            ttl,
            payload,
        }
    };
    assert_eq!(
        receive(&mut router(unicast()), &to_own(address(PEER), 250)),
        Ok(None)
    );
    assert_refused(unicast(), &to_own(address(PEER), 249), "ip-ttl-errors");
    assert_refused(
        unicast(),
        &to_own(address(5), 255),
        "unknown-peer-pkts-rcvd",
    );
    assert_refused(unicast(), &packet_v3(), "destination-errors");
}

proptest! {
    #[test]
    fn random_octets_are_accepted_or_counted_under_one_reason(
        payload in prop::collection::vec(any::<u8>(), 0..300), ttl: u8, plausible: bool, version in 2..=3_u8,
    ) {
        let mut payload = payload;
        let mut ttl = ttl;
        if plausible && payload.len() > 3 {
            ttl = TTL;
            (payload[0], payload[1]) = (version << 4 | 1, 7);
            payload[3] = u8::try_from((payload.len() - 4) / 4).unwrap_or(0);
        }
        for config in [config(100, 1000), config_v2(Authentication::text("secret"))] {
            let mut router = router(config);
            let packet = Packet { ttl, payload: payload.clone(), ..packet_v3() };
            let result = receive(&mut router, &packet);
            if result.is_err() {
                let moved = moved(&Counters::default(), router.counters());
                prop_assert!(matches!(moved[..], [(_, 1)]), "{moved:?}");
                prop_assert_eq!(router.poll_output(), None);
            } else {
                prop_assert_eq!(router.counters().advertisement_rcvd, 1);
            }
        }
    }
}

#[test]
fn each_family_has_its_own_virtual_router() {
    let mut six = config(100, 1000);
    six.addresses = vec!["fe80::1".parse().unwrap()];
    let local: IpAddr = "fe80::2".parse().unwrap();
    let mut router = VirtualRouter::new(six, local, Time::ZERO).unwrap();
    router.port_link(Time::ZERO, true);
    assert_eq!(
        receive(&mut router, &packet_v3()),
        Err(Refusal::Vrid { received: 7 })
    );

    let (src, dst) = ("fe80::3".parse().unwrap(), Family::Ipv6.group());
    let addresses = ["fe80::1".parse().unwrap()];
    let payload = v3::emit(&fields(&addresses), src, dst, PseudoHeader::With);
    assert_eq!(
        receive(
            &mut router,
            &Packet {
                src,
                dst,
                ttl: TTL,
                payload
            }
        ),
        Ok(None)
    );
}
