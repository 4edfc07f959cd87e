//! Every mistake that a configuration can hold is named.

use super::*;
use crate::track::Weight;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

fn v3() -> Version {
    Version::V3 {
        checksum: Checksum::Auto,
    }
}

fn right() -> Config {
    Config::new(
        Vrid::new(7).unwrap(),
        v3(),
        vec!["192.0.2.1".parse().unwrap()],
    )
}

/// What is wrong with the right configuration after `change`.
fn mistake(change: impl FnOnce(&mut Config)) -> ConfigError {
    let mut config = right();
    change(&mut config);
    config.validate(LOCAL).unwrap_err()
}

#[test]
fn defaults_are_valid() {
    assert_eq!(right().validate(LOCAL), Ok(()));
    let v6 = ["fe80::1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let config = Config::new(Vrid::new(7).unwrap(), v3(), v6.to_vec());
    assert_eq!(config.validate("fe80::2".parse().unwrap()), Ok(()));
}

#[test]
fn wrong_addresses_are_named() {
    let [other, v6, group]: [IpAddr; 3] =
        ["192.0.2.9", "2001:db8::1", "224.0.0.18"].map(|address| address.parse().unwrap());
    assert_eq!(
        mistake(|c| c.addresses.clear()),
        ConfigError::AddressCount(0)
    );
    assert_eq!(
        mistake(|c| c.addresses = vec![other; 256]),
        ConfigError::AddressCount(256)
    );
    assert_eq!(
        mistake(|c| c.addresses = vec![other; 2]),
        ConfigError::Duplicate(other)
    );
    assert_eq!(
        mistake(|c| c.addresses = vec![group]),
        ConfigError::NotUnicast(group)
    );
    let family = Family::Ipv4;
    assert_eq!(
        mistake(|c| c.addresses.push(v6)),
        ConfigError::Family {
            address: v6,
            family
        }
    );
    let family = Family::Ipv6;
    assert_eq!(
        mistake(|c| c.addresses = vec![v6]),
        ConfigError::Family {
            address: LOCAL,
            family
        }
    );

    let mut config = right();
    config.addresses = vec![v6];
    assert_eq!(config.validate(v6), Err(ConfigError::NotLinkLocal(v6)));
    let link_local: IpAddr = "fe80::1".parse().unwrap();
    config.addresses.insert(0, link_local);
    assert_eq!(config.validate(v6), Err(ConfigError::LocalNotLinkLocal(v6)));
    config.version = Version::V2 {
        authentication: Authentication::None,
    };
    assert_eq!(config.validate(v6), Err(ConfigError::VersionFamily));
}

#[test]
fn intervals_are_what_the_version_can_say() {
    let accepted = |version: Version, interval| {
        let mut config = right();
        config.version = version;
        config.interval = interval;
        config.validate(LOCAL).is_ok()
    };
    let v2 = || Version::V2 {
        authentication: Authentication::None,
    };
    let millis = Duration::from_millis;
    for (version, interval, right) in [
        (v3(), 0, false),
        (v3(), 5, false),
        (v3(), 10, true),
        (v3(), 15, false),
        (v3(), 40_950, true),
        (v3(), 40_960, false),
        (v2(), 10, false),
        (v2(), 1_000, true),
        (v2(), 1_500, false),
        (v2(), 255_000, true),
        (v2(), 256_000, false),
    ] {
        assert_eq!(
            accepted(version.clone(), millis(interval)),
            right,
            "{version:?} {interval} ms"
        );
    }
}

#[test]
fn wrong_peers_tracks_and_numbers_are_named() {
    let peer: IpAddr = "192.0.2.3".parse().unwrap();
    let unicast = |addresses: Vec<IpAddr>, ttl_min| Peers::Unicast { addresses, ttl_min };
    assert_eq!(
        mistake(|c| c.peers = unicast(vec![], 255)),
        ConfigError::PeerCount(0)
    );
    assert_eq!(
        mistake(|c| c.peers = unicast(vec![peer], 0)),
        ConfigError::TtlMin
    );
    assert_eq!(
        mistake(|c| c.peers = unicast(vec![LOCAL], 255)),
        ConfigError::NotUnicast(LOCAL)
    );
    assert_eq!(
        mistake(|c| c.peers = unicast(vec![peer, peer], 255)),
        ConfigError::Duplicate(peer)
    );

    let track = Track {
        name: "uplink".to_owned(),
        weight: Weight::Essential,
    };
    assert_eq!(
        mistake(|c| c.tracks = vec![track.clone(), track]),
        ConfigError::DuplicateTrack("uplink".to_owned())
    );
    assert_eq!(mistake(|c| c.priority = 0), ConfigError::Priority);
    assert_eq!(
        mistake(|c| c.announcements.rounds = 0),
        ConfigError::Announcements
    );
}
