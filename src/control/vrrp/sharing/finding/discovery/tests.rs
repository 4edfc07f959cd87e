//! Rounds under virtual time.

use super::*;

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

fn config() -> DiscoveryConfig {
    DiscoveryConfig {
        learn: true,
        learn_behind: true,
        learn_rate: 100,
        sweep: true,
        sweep_rate: 10,
        information_requests: true,
        discovery_interval: Duration::from_secs(60),
    }
}

fn discovery(config: &DiscoveryConfig) -> Discovery {
    let mut discovery = Discovery::new(config, "192.0.2.0/29".parse().unwrap(), 77);
    discovery.set_active(at(0), true, Duration::ZERO);
    discovery
}

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

/// Everything asked from one time to another, each when the discovery says that it may be, and when.
fn asked(discovery: &mut Discovery, from: u64, to: u64) -> Vec<(u64, Question)> {
    let mut seen = Vec::new();
    let mut now = at(from);
    while let Some(due) = discovery.timeout().filter(|due| *due <= at(to)) {
        now = now.max(due);
        let before = seen.len();
        while let Some(question) = discovery.next(now) {
            seen.push(((now.as_nanos()) / 1_000_000, question));
        }
        assert!(seen.len() > before, "a timer at {now:?} for nothing");
    }
    seen
}

#[test]
fn a_round_asks_everyone_once_and_every_host_address_at_the_rate() {
    let mut discovery = discovery(&config());
    let everyone = Question::Everyone {
        identifier: 77,
        sequence: 1,
    };
    let mut expected = vec![(0, everyone)];
    expected.extend((1..=6).map(|n: u8| (u64::from(n - 1) * 100, Question::Neighbour(host(n)))));
    assert_eq!(asked(&mut discovery, 0, 59_999), expected);
    assert_eq!(asked(&mut discovery, 60_000, 119_999).len(), 7);
    assert_eq!(discovery.counters().rounds, 2);
}

#[test]
fn each_way_can_be_switched_off() {
    let without = |sweep, information_requests| {
        let config = DiscoveryConfig {
            sweep,
            information_requests,
            ..config()
        };
        asked(&mut discovery(&config), 0, 30_000).len()
    };
    assert_eq!(without(true, false), 6);
    assert_eq!(without(false, true), 1);
    let silent = DiscoveryConfig {
        sweep: false,
        information_requests: false,
        ..config()
    };
    let mut discovery = discovery(&silent);
    assert_eq!(discovery.next(at(0)), None);
    assert_eq!(discovery.timeout(), Some(at(60_000)));
}

#[test]
fn only_the_router_that_allocates_asks_and_it_begins_when_the_others_are_known() {
    let mut discovery = Discovery::new(&config(), "192.0.2.0/29".parse().unwrap(), 77);
    assert_eq!(discovery.timeout(), None);
    discovery.want(at(0));
    assert_eq!(discovery.next(at(0)), None);
    discovery.set_active(at(0), true, Duration::from_secs(4));
    assert_eq!(discovery.timeout(), Some(at(4000)));
    assert!(discovery.next(at(4000)).is_some());
    discovery.set_active(at(4100), false, Duration::from_secs(4));
    assert_eq!(discovery.next(at(9000)), None);
}

#[test]
fn a_round_that_is_wanted_comes_soon_but_not_within_a_second_of_the_last_and_not_into_one_under_way()
 {
    let mut discovery = discovery(&config());
    let first = asked(&mut discovery, 0, 300);
    assert_eq!(first.len(), 5);
    for ms in [310, 320, 330] {
        discovery.want(at(ms));
    }
    let rest = asked(&mut discovery, 330, 50_000);
    let begun: Vec<u64> = rest
        .iter()
        .filter(|(_, question)| matches!(question, Question::Everyone { .. }))
        .map(|(ms, _)| *ms)
        .collect();
    assert_eq!(begun, [1000]);
    assert_eq!(rest.len(), 2 + 7);
}

#[test]
fn an_answer_counts_if_it_was_asked_for_of_late() {
    let mut discovery = discovery(&config());
    asked(&mut discovery, 0, 250);
    assert!(discovery.answered(at(260), host(2)));
    assert!(!discovery.answered(at(260), host(6)));
    assert!(!discovery.answered(at(6000), host(2)));
}

#[test]
fn an_information_reply_counts_if_it_answers_the_last_request_and_is_from_the_link() {
    let mut discovery = discovery(&config());
    asked(&mut discovery, 0, 0);
    assert!(discovery.informed(at(10), host(3), 77, 1));
    for (from, identifier, sequence) in [
        (host(3), 78, 1),
        (host(3), 77, 2),
        (host(7), 77, 1),
        (Ipv4Addr::new(198, 51, 100, 1), 77, 1),
    ] {
        assert!(!discovery.informed(at(10), from, identifier, sequence));
    }
    assert!(!discovery.informed(at(5000), host(3), 77, 1));
}
