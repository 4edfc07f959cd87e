use std::net::{IpAddr, Ipv4Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(8);

fn condition(number: u32) -> Condition {
    Condition::Address(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)))
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

#[test]
fn a_steady_flow_reads_as_its_rate_from_the_second_reading_on() {
    let mut monitor = Monitor::new(WINDOW);
    for second in (0..40).step_by(2) {
        assert!(monitor.read(
            at(second),
            [(condition(1), 7000 + 1000 * second)],
            5 * second
        ));
        let rates: Vec<_> = monitor.rates().collect();
        if second == 0 {
            assert_eq!(rates, []);
            continue;
        }
        assert_eq!(rates, [(condition(1), 8000)]);
        assert_eq!(monitor.totals().bit_per_s, 8000);
        assert_eq!(monitor.totals().overflows_per_s(), 5);
        assert_eq!(monitor.is_whole(), second >= 8);
    }
    assert_eq!(monitor.measured(), WINDOW);
}

#[test]
fn what_is_older_than_the_window_counts_no_more() {
    let mut monitor = Monitor::new(WINDOW);
    monitor.read(at(0), [(condition(1), 0)], 0);
    monitor.read(at(2), [(condition(1), 8000)], 16);
    for second in [4, 6, 8] {
        monitor.read(at(second), [(condition(1), 8000)], 16);
    }
    assert_eq!(monitor.totals().bit_per_s, 8000);
    assert_eq!(monitor.totals().overflows, 16);
    monitor.read(at(10), [(condition(1), 8000)], 16);
    assert_eq!(monitor.totals().bit_per_s, 0);
    assert_eq!(monitor.totals().overflows, 0);
}

#[test]
fn a_reading_too_early_changes_nothing_and_a_late_one_averages_over_its_time() {
    let mut monitor = Monitor::new(WINDOW);
    assert_eq!(monitor.due(), None);
    monitor.read(at(0), [(condition(1), 0)], 0);
    assert_eq!(monitor.due(), Some(at(2)));
    assert!(!monitor.read(at(1), [(condition(1), 1_000_000)], 0));
    assert!(monitor.read(at(100), [(condition(1), 1_000)], 0));
    assert_eq!(monitor.totals().bit_per_s, 80);
}

#[test]
fn a_counter_that_begins_anew_adds_nothing_and_one_that_vanished_is_forgotten() {
    let mut monitor = Monitor::new(WINDOW);
    monitor.read(at(0), [(condition(1), 1 << 40), (condition(2), 0)], 1 << 30);
    monitor.read(at(2), [(condition(1), 3)], 2);
    assert_eq!(monitor.totals().bit_per_s, 0);
    assert_eq!(monitor.totals().overflows, 0);
    // Its former octets are those of before it went.
    monitor.read(at(4), [(condition(1), 3), (condition(2), 1 << 40)], 2);
    assert_eq!(monitor.rates().next(), None);
}

proptest! {
    /// Two routers, and a condition that goes from one to the other at any time.
    #[test]
    fn a_condition_that_moves_has_its_rate_as_a_sum(moved in 0u64..40, rate in 1u64..1_000_000) {
        let mut routers = [Monitor::new(WINDOW), Monitor::new(WINDOW)];
        for second in (0..40).step_by(2) {
            let first = second.min(moved) * rate;
            routers[0].read(at(second), [(condition(1), first)], 0);
            routers[1].read(at(second), [(condition(1), second * rate - first)], 0);
            let sum: u64 = routers.iter().flat_map(Monitor::rates).map(|(_, rate)| rate).sum();
            if second > 0 {
                // Each is rounded down.
                prop_assert!((8 * rate - 1..=8 * rate).contains(&sum), "{sum} at {second}");
            }
        }
    }

    #[test]
    fn the_order_of_the_counters_does_not_matter(
        counters in vec((0u32..50, 0u64..1_000_000), 0..60),
        later in vec((0u32..50, 0u64..1_000_000), 0..60),
    ) {
        let named = |counters: &[(u32, u64)]| -> Vec<_> {
            counters.iter().map(|(number, octets)| (condition(*number), *octets)).collect()
        };
        let sorted = |counters: &[(u32, u64)]| {
            let map: std::collections::BTreeMap<_, _> = named(counters).into_iter().collect();
            map
        };
        let mut any = Monitor::new(WINDOW);
        let mut ascending = Monitor::new(WINDOW);
        for (second, counters) in [(0, &counters), (2, &later)] {
            any.read(at(second), named(counters), 0);
            ascending.read(at(second), sorted(counters), 0);
        }
        prop_assert!(any.rates().eq(ascending.rates()));
    }
}
