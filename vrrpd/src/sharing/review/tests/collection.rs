use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Collector, Config, PATIENCE, REPEAT, Start};
use crate::Time;
use crate::sharing::names::{Condition, RouterId};
use crate::sharing::refusal::Refusal;
use crate::sharing::wire::{ConditionRate, RateResponse};

fn router(number: u32) -> RouterId {
    RouterId::new(number).unwrap()
}

fn condition(number: u32) -> Condition {
    Condition::Address(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)))
}

fn response(request: u32, rates: &[(u32, u64)]) -> RateResponse {
    RateResponse {
        request,
        window_ms: 10_000,
        total_bit_per_s: 1000,
        overflows: 20,
        rates: rates
            .iter()
            .map(|(number, bit_per_s)| ConditionRate {
                condition: condition(*number),
                bit_per_s: *bit_per_s,
            })
            .collect(),
    }
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

const fn anyone(_: RouterId) -> bool {
    true
}

#[test]
fn a_collection_is_over_when_everyone_has_answered_in_full() {
    let config = Config::default();
    let mut collector = Collector::default();
    assert_eq!(collector.poll(at(0), &config, [router(1)]), None);
    assert_eq!(collector.want(at(0), &config), Start::Begun);
    let others = [router(1), router(2)];
    assert_eq!(collector.poll(at(0), &config, others), Some(1));
    let mut answered = |from, place, response: &RateResponse| {
        collector.answered(router(from), place, response, 100)
    };
    answered(1, (0, 1), &response(1, &[(1, 5)])).unwrap();
    answered(2, (1, 2), &response(1, &[(3, 7)])).unwrap();
    // Of another request, of nobody who was asked, of another division.
    answered(2, (0, 2), &response(9, &[(4, 7)])).unwrap();
    answered(3, (0, 1), &response(1, &[(5, 7)])).unwrap();
    let other = answered(2, (0, 3), &response(1, &[]));
    assert_eq!(other, Err(Refusal::Fragment));
    assert_eq!(collector.finish(at(1), anyone), None);
    collector
        .answered(router(2), (0, 2), &response(1, &[(2, 6)]), 100)
        .unwrap();
    let (collected, missing) = collector.finish(at(1), anyone).unwrap();
    assert_eq!(missing, 0);
    let rates = |number| -> Vec<_> {
        collected[&router(number)]
            .rates
            .clone()
            .into_iter()
            .collect()
    };
    assert_eq!(rates(1), [(condition(1), 5)]);
    assert_eq!(rates(2), [(condition(2), 6), (condition(3), 7)]);
    assert_eq!(collected.len(), 2);
    assert!(!collector.is_collecting());
}

#[test]
fn who_does_not_answer_is_asked_again_and_left_out_in_the_end() {
    let config = Config::default();
    let mut collector = Collector::default();
    collector.want(at(0), &config);
    let others = [router(1), router(2)];
    assert_eq!(collector.poll(at(0), &config, others), Some(1));
    collector
        .answered(router(1), (0, 1), &response(1, &[]), 100)
        .unwrap();
    let mut asked = 0;
    let mut now;
    let (collected, missing) = loop {
        now = collector.timeout(&config).unwrap();
        asked += usize::from(collector.poll(now, &config, others).is_some());
        if let Some(end) = collector.finish(now, anyone) {
            break end;
        }
    };
    assert_eq!(now, Time::ZERO + PATIENCE);
    assert_eq!(asked as u128, PATIENCE.as_millis() / REPEAT.as_millis());
    assert!(collected.contains_key(&router(1)) && collected.len() == 1);
    assert_eq!(missing, 1);
}

#[test]
fn nobody_waits_for_a_router_that_is_gone() {
    let config = Config::default();
    let mut collector = Collector::default();
    collector.want(at(0), &config);
    collector.poll(at(0), &config, [router(1)]);
    let (collected, missing) = collector.finish(at(1), |_| false).unwrap();
    assert!(collected.is_empty());
    assert_eq!(missing, 0);
}

#[test]
fn a_wish_during_the_quiet_period_is_remembered() {
    let config = Config::default();
    let mut collector = Collector::default();
    collector.want(at(0), &config);
    assert_eq!(collector.poll(at(0), &config, []), Some(1));
    assert!(collector.finish(at(0), anyone).is_some());
    assert_eq!(collector.timeout(&config), None);
    let free = Time::ZERO + config.hold;
    assert_eq!(collector.want(at(10), &config), Start::Remembered(free));
    assert_eq!(collector.poll(at(10), &config, []), None);
    assert_eq!(collector.timeout(&config), Some(free));
    assert_eq!(collector.poll(free, &config, []), Some(2));
}

#[test]
fn an_answer_takes_no_more_room_than_there_are_conditions() {
    let config = Config::default();
    let mut collector = Collector::default();
    collector.want(at(0), &config);
    collector.poll(at(0), &config, [router(1)]);
    let many: Vec<_> = (0..100).map(|number| (number, 1)).collect();
    collector
        .answered(router(1), (0, 1), &response(1, &many), 10)
        .unwrap();
    let (collected, _) = collector.finish(at(1), anyone).unwrap();
    assert_eq!(collected[&router(1)].rates.len(), 10);
}

proptest! {
    /// Whoever asks, however often, whether or not anyone answers.
    #[test]
    fn an_hour_of_requests_brings_as_many_collections_as_the_quiet_period_allows(
        gaps_ms in vec(1u64..2000, 1..20),
        answers in any::<bool>(),
    ) {
        let config = Config::default();
        let mut collector = Collector::default();
        let mut began = Vec::new();
        let mut now = at(0);
        for gap_ms in gaps_ms.iter().cycle() {
            if now >= at(3_600_000) {
                break;
            }
            collector.want(now, &config);
            let running = collector.is_collecting();
            if let Some(request) = collector.poll(now, &config, [router(1)]) {
                if !running {
                    began.push(now);
                }
                if answers {
                    collector.answered(router(1), (0, 1), &response(request, &[]), 10).unwrap();
                }
            }
            collector.finish(now, anyone);
            let next = now + Duration::from_millis(*gap_ms);
            // The driver comes back when it is wanted.
            now = collector.timeout(&config).filter(|at| *at > now).map_or(next, |at| at.min(next));
        }
        for pair in began.windows(2) {
            prop_assert!(pair[1].since(pair[0]) == config.hold, "{began:?}");
        }
        prop_assert_eq!(began.len(), 60);
    }
}
