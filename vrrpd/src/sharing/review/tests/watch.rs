use std::time::Duration;

use proptest::prelude::*;

use super::super::{Config, Watch};
use crate::Time;
use crate::sharing::monitor::Totals;
use crate::sharing::wire::Threshold;

const HOUR: Duration = Duration::from_secs(3600);

fn totals(bit_per_s: u64, overflows_per_s: u64) -> Totals {
    Totals {
        window: Duration::from_secs(10),
        bit_per_s,
        overflows: 10 * overflows_per_s,
    }
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

#[test]
fn only_what_is_above_a_threshold_is_a_reason() {
    let config = Config {
        rate_bit_per_s: Some(1000),
        overflows_per_s: Some(10),
        ..Config::default()
    };
    let asks = |config: &Config, bit_per_s, overflows_per_s| {
        Watch::default()
            .check(at(0), config, &totals(bit_per_s, overflows_per_s))
            .map(|request| (request.passed, request.figure, request.threshold))
    };
    assert_eq!(asks(&config, 1000, 10), None);
    assert_eq!(asks(&config, 1001, 10), Some((Threshold::Rate, 1001, 1000)));
    assert_eq!(asks(&config, 0, 11), Some((Threshold::Overflows, 11, 10)));
    assert_eq!(
        asks(&config, 1001, 11),
        Some((Threshold::Overflows, 11, 10))
    );
    let deaf = Config {
        rate_bit_per_s: None,
        overflows_per_s: None,
        ..config
    };
    assert_eq!(asks(&deaf, u64::MAX, 1 << 40), None);
}

proptest! {
    /// However often it looks, and whatever the quiet period.
    #[test]
    fn an_hour_above_the_threshold_brings_as_many_requests_as_the_quiet_period_allows(
        hold_ms in 10_000u64..600_000,
        look_ms in 100u64..10_000,
    ) {
        let hold = Duration::from_millis(hold_ms);
        let config = Config { hold, ..Config::default() };
        let mut watch = Watch::default();
        let mut requests = Vec::new();
        let mut now = at(0);
        while now < Time::ZERO + HOUR {
            if watch.check(now, &config, &totals(u64::MAX, 1 << 40)).is_some() {
                requests.push(now);
            }
            now = now + Duration::from_millis(look_ms);
        }
        // It asks at the first look after each period.
        let period_ms = hold_ms.div_ceil(look_ms) * look_ms;
        prop_assert_eq!(requests.len() as u64, 3_600_000u64.div_ceil(period_ms));
        for pair in requests.windows(2) {
            prop_assert!(pair[1].since(pair[0]) >= hold);
        }
    }
}
