//! A short soak; `scripts/soak` runs a long one, which judges for how long faults block end systems, too.

use std::time::Duration;

use lab::soak::{Options, run};

use super::program;

#[test]
fn a_short_soak_loses_doubles_and_reorders_nothing_that_no_fault_excuses() {
    let options = Options {
        program: program().into(),
        time: Duration::from_secs(20),
        seed: 1,
        only: None,
        judges_times: false,
    };
    let report = run(&options).expect("a soak");
    println!("{report}");
    assert!(report.acts > 2 && report.sent > 0, "{report}");
    assert!(report.holds(), "{report}");
}
