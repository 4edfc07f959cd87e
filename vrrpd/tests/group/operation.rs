//! What operators do and see: tracking, reload, stop and start, announcements, the checksum option, status.

use std::time::Duration;

use vrrpd::wire::{GROUP_IPV4, TTL, v3};
use vrrpd::{
    Announcements, Authentication, Cause, Checksum, Config, Obstacle, PseudoHeader, Received,
    State, Time, Track, Version, VirtualRouter, Weight,
};

use crate::lan::{LATENCY, Lan, address, config, gateway};

const SECOND: Duration = Duration::from_secs(1);

fn tracking(priority: u8, weight: Weight) -> Config {
    let tracks = vec![Track {
        name: "uplink".to_owned(),
        weight,
    }];
    Config {
        tracks,
        ..config(priority, 1000)
    }
}

/// Says of node `index` whether its uplink works.
fn uplink(lan: &mut Lan, index: usize, works: bool) {
    lan.act(index, |router, now| {
        router.track_changed(now, "uplink", works)
    });
}

#[test]
fn a_failing_uplink_that_weighs_enough_moves_mastership_and_back() {
    let mut lan = Lan::new([tracking(200, Weight::Priority(-101)), config(100, 1000)]);
    uplink(&mut lan, 0, true);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);
    uplink(&mut lan, 0, false);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    let status = lan.nodes[0].router().status();
    assert_eq!((status.priority_configured, status.priority), (200, 99));
    uplink(&mut lan, 0, true);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);
}

#[test]
fn an_essential_uplink_takes_the_router_out_and_its_farewell_is_heard() {
    let mut lan = Lan::new([tracking(200, Weight::Essential), config(100, 1000)]);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1], "nothing is known of the uplink yet");
    let waiting = lan.nodes[0].router().status().obstacle;
    assert_eq!(waiting, Some(Obstacle::TrackUnknown("uplink".to_owned())));

    uplink(&mut lan, 0, true);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);

    let failed = lan.now;
    uplink(&mut lan, 0, false);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    let transition = lan.nodes[1].transitions.last().unwrap();
    assert_eq!(transition.at.since(failed), LATENCY + SECOND * 156 / 256);
    let status = lan.nodes[0].router().status();
    assert_eq!(
        status.obstacle,
        Some(Obstacle::TrackFails("uplink".to_owned()))
    );
    assert_eq!(
        status.last_transition.unwrap().cause,
        Cause::TrackFails("uplink".to_owned())
    );
}

#[test]
fn a_dead_link_ends_mastership_without_a_word_and_the_other_side_takes_over() {
    let mut lan = Lan::new([config(200, 1000), config(100, 1000)]);
    lan.run(10 * SECOND);
    let sent = lan.nodes[0].sent.len();
    lan.link(0, false);
    assert_eq!(
        lan.nodes[0].router().status().obstacle,
        Some(Obstacle::LinkDown)
    );
    assert_eq!(lan.nodes[0].sent.len(), sent);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    lan.link(0, true);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);
}

#[test]
fn stopped_is_stopped_until_started() {
    let mut lan = Lan::new([config(200, 1000), config(100, 1000)]);
    lan.run(10 * SECOND);
    lan.act(0, |router, now| router.shutdown(now));
    lan.link(0, false);
    lan.link(0, true);
    lan.run(10 * SECOND);
    assert_eq!(
        lan.nodes[0].router().status().obstacle,
        Some(Obstacle::Stopped)
    );
    assert_eq!(lan.masters(), [1]);
    lan.act(0, |router, now| router.start(now));
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);
}

#[test]
fn a_new_master_announces_every_address_repeatedly_and_stops_when_ousted() {
    let mut low = config(100, 1000);
    low.addresses = (20..60).map(address).collect();
    low.announcements = Announcements {
        rounds: 100,
        ..Announcements::default()
    };
    let high = Config {
        priority: 200,
        ..low.clone()
    };
    let mut lan = Lan::new([low.clone(), high]);
    lan.crash(1);
    lan.run(10 * SECOND);
    let node = &lan.nodes[0];
    let since = node.router().status().since;
    for address in &low.addresses {
        let times: Vec<Duration> = node
            .announced
            .iter()
            .filter(|(_, a)| a == address)
            .map(|(time, _)| time.since(since))
            .collect();
        assert_eq!(times.len(), 7, "one round a second");
        assert!(
            times[0] <= Duration::from_millis(2),
            "the first at once, 16 a millisecond"
        );
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == SECOND));
    }

    lan.restart(1);
    lan.run(10 * SECOND);
    let ousted = lan.nodes[0].router().status().since;
    assert_eq!(lan.masters(), [1]);
    assert!(
        lan.nodes[0]
            .announced
            .iter()
            .all(|(time, _)| *time <= ousted)
    );
}

#[test]
fn a_reload_of_priorities_changes_the_master_without_a_gap() {
    let mut lan = Lan::new([config(200, 1000), config(100, 1000)]);
    lan.run(10 * SECOND);
    lan.act(0, |router, now| {
        router
            .reconfigure(now, config(50, 1000), address(0))
            .unwrap()
    });
    assert_eq!(lan.masters(), [0]);
    lan.run_until(10 * SECOND, |lan| lan.masters() == [1]);
    assert!(lan.double_longest <= LATENCY);
    let causes: Vec<&str> = lan.nodes[0]
        .transitions
        .iter()
        .map(|t| t.cause.name())
        .collect();
    assert_eq!(causes, ["link-up", "master-silent", "higher-priority"]);
}

#[test]
fn a_reload_that_changes_the_identity_resigns_and_starts_anew() {
    let mut lan = Lan::new([config(200, 1000), config(100, 1000)]);
    lan.run(10 * SECOND);
    let version = Version::V2 {
        authentication: Authentication::None,
    };
    let anew = Config {
        version,
        ..config(200, 1000)
    };
    lan.act(0, |router, now| {
        router.reconfigure(now, anew.clone(), address(0)).unwrap()
    });
    let node = &lan.nodes[0];
    let states: Vec<State> = node
        .transitions
        .iter()
        .map(|transition| transition.to)
        .collect();
    assert_eq!(
        states,
        [
            State::Backup,
            State::Master,
            State::Initialise,
            State::Backup
        ]
    );
    assert_eq!(node.sent.last().unwrap().1.payload[2], 0);
}

#[test]
fn a_master_that_is_no_candidate_any_more_resigns_and_stays_backup() {
    let mut lan = Lan::new([config(200, 1000), config(100, 1000)]);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);
    let server = Config {
        candidate: false,
        ..config(200, 1000)
    };
    lan.act(0, |router, now| {
        router.reconfigure(now, server.clone(), address(0)).unwrap()
    });
    let resignation = lan.nodes[0].sent.last().unwrap();
    assert_eq!(resignation.1.payload[2], 0);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    assert_eq!(lan.nodes[0].router().state(), State::Backup);
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let mut router = VirtualRouter::new(config(200, 1000), address(0), Time::ZERO).unwrap();
    router.port_link(Time::ZERO, true);
    let before = router.status();
    assert!(
        router
            .reconfigure(Time::ZERO, config(0, 1000), address(0))
            .is_err()
    );
    assert_eq!(router.status(), before);
}

#[test]
fn new_addresses_of_a_running_master_are_announced() {
    let mut lan = Lan::new([config(200, 1000)]);
    lan.run(60 * SECOND);
    lan.nodes[0].announced.clear();
    let more = Config {
        addresses: vec![gateway(), address(99)],
        ..config(200, 1000)
    };
    lan.act(0, |router, now| {
        router.reconfigure(now, more.clone(), address(0)).unwrap()
    });
    lan.run(60 * SECOND);
    assert!(
        lan.nodes[0]
            .announced
            .iter()
            .any(|(_, announced)| *announced == address(99))
    );
    assert_eq!(lan.nodes[0].transitions.len(), 2, "it stayed master");
}

#[test]
fn the_checksum_follows_the_peers_or_the_option() {
    let without = PseudoHeader::Without;
    for (option, heard, sent) in [
        (Checksum::Auto, None, PseudoHeader::Without),
        (Checksum::Auto, Some(PseudoHeader::With), PseudoHeader::With),
        (
            Checksum::Auto,
            Some(PseudoHeader::Without),
            PseudoHeader::Without,
        ),
        (
            Checksum::With,
            Some(PseudoHeader::Without),
            PseudoHeader::With,
        ),
        (Checksum::Without, Some(PseudoHeader::With), without),
    ] {
        let configured = Config {
            version: Version::V3 { checksum: option },
            ..config(100, 1000)
        };
        let mut lan = Lan::new([configured]);
        if let Some(heard) = heard {
            let (src, dst) = (address(1), GROUP_IPV4.into());
            let addresses = [gateway()];
            let fields = vrrpd::wire::Fields {
                vrid: lan.nodes[0].router().config().vrid,
                priority: 50,
                interval: SECOND,
                addresses: &addresses,
            };
            let payload = v3::emit(&fields, src, dst, heard);
            lan.act(0, |router, now| {
                router
                    .receive(
                        now,
                        &Received {
                            src,
                            dst,
                            ttl: TTL,
                            payload: &payload,
                        },
                    )
                    .unwrap();
            });
        }
        lan.run(10 * SECOND);
        let (_, message) = lan.nodes[0].sent.last().unwrap();
        let parsed = v3::Advertisement::parse(&message.payload, message.src, message.dst).unwrap();
        assert_eq!(parsed.pseudo_header(), sent, "{option:?}, heard {heard:?}");
        assert_eq!(lan.nodes[0].router().status().checksum, Some(sent));
    }
}

#[test]
fn only_a_master_in_accept_mode_or_an_owner_accepts_packets_to_the_virtual_address() {
    for (priority, accept, accepts) in [(100, true, true), (100, false, false), (255, false, true)]
    {
        let mut lan = Lan::new([Config {
            accept,
            ..config(priority, 1000)
        }]);
        if priority != 255 {
            assert!(!lan.nodes[0].router().accepts());
        }
        lan.run(10 * SECOND);
        assert!(lan.nodes[0].router().is_master());
        assert_eq!(
            lan.nodes[0].router().accepts(),
            accepts,
            "priority {priority}, accept {accept}"
        );
    }
}

#[test]
fn cleared_counters_say_since_when_they_count() {
    let mut lan = Lan::new([config(100, 1000)]);
    lan.run(10 * SECOND);
    assert!(lan.nodes[0].router().counters().advertisement_sent > 0);
    let now = lan.now;
    lan.act(0, VirtualRouter::clear_counters);
    let status = lan.nodes[0].router().status();
    assert!(status.counters.iter().all(|(_, value)| value == 0));
    assert_eq!(status.counters_since, now);
}

#[test]
fn outputs_that_nobody_drains_are_bounded_and_counted() {
    let mut router = VirtualRouter::new(config(255, 10), address(0), Time::ZERO).unwrap();
    router.port_link(Time::ZERO, true);
    for pass in 1..=5000 {
        router.tick(Time::ZERO + pass * Duration::from_millis(10));
    }
    let waiting = std::iter::from_fn(|| router.poll_output()).count();
    assert_eq!(waiting, 1024);
    assert!(router.counters().output_overflows > 3000);
    // The driver is back, and so is the router.
    router.tick(Time::ZERO + Duration::from_secs(51));
    assert!(router.poll_output().is_some());
}
