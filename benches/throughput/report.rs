//! What the runs come to: medians, ratios, whether they suffice; as a table, as JSON, and as a picture.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::child::Swap;
use crate::{Arguments, Result, picture};

/// Millions of packets a second by phase, one figure a round of one run.
pub(crate) type Rates = BTreeMap<String, Vec<f64>>;

/// What one run measured.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) small: Rates,
    pub(crate) large: Rates,
    /// Of two workers together, the small load.
    pub(crate) two_workers: Rates,
    /// Of the bare loop in C, the small load.
    pub(crate) c_loop: Rates,
    /// By mode, the small load; of the first runs alone.
    pub(crate) testpmd: Rates,
    /// Milliseconds from the start of the process to the first packet out, the large load.
    pub(crate) start_ms: f64,
    pub(crate) resident_mib: Resident,
    pub(crate) swap: Swap,
}

/// MiB resident besides the packet buffers, by load.
#[derive(Default)]
pub(crate) struct Resident {
    pub(crate) small: f64,
    pub(crate) large: f64,
}

/// What a million routes and 65,536 conditions take.
#[derive(Deserialize)]
pub(crate) struct Scale {
    resident_mib: f64,
    load_s: f64,
}

pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn rounds<'a>(rates: &'a Rates, phase: &str) -> &'a [f64] {
    rates.get(phase).map_or(&[], Vec::as_slice)
}

fn rate(rates: &Rates, phase: &str) -> f64 {
    median(rounds(rates, phase).iter().copied())
}

/// How much faster the first is, of two that took turns: the median over the rounds.
fn ratio((rates, phase): (&Rates, &str), (other_rates, other): (&Rates, &str)) -> f64 {
    let pairs = rounds(rates, phase).iter().zip(rounds(other_rates, other));
    median(pairs.map(|(rate, other)| rate / other))
}

/// All of it as one object: medians over the runs of each run's own.
pub(crate) fn of(runs: &[Run], scale: &Scale, huge: bool) -> Value {
    let over_runs = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
    let of_load = |rates: fn(&Run) -> &Rates| {
        let of = |phase| median(runs.iter().map(|run| rate(rates(run), phase)));
        json!({
            "io": of("io"),
            "route": of("route"),
            "route_shared": of("route_shared"),
            "discard": of("discard"),
        })
    };
    let testpmd = |mode| {
        let rates: Vec<f64> = runs
            .iter()
            .filter_map(|run| run.testpmd.get(mode)?.first().copied())
            .collect();
        (!rates.is_empty()).then(|| median(rates))
    };
    json!({
        "small": of_load(|run| &run.small),
        "large": of_load(|run| &run.large),
        "two_workers": {
            "io": over_runs(|run| rate(&run.two_workers, "io")),
            "route": over_runs(|run| rate(&run.two_workers, "route")),
        },
        "c_loop_io": over_runs(|run| rate(&run.c_loop, "io")),
        "testpmd": {"io": testpmd("io"), "mac": testpmd("mac")},
        "ratio": {
            "route_io_small": over_runs(|run| ratio((&run.small, "route"), (&run.small, "io"))),
            "route_io_large": over_runs(|run| ratio((&run.large, "route"), (&run.large, "io"))),
            "io_c": over_runs(|run| ratio((&run.small, "io"), (&run.c_loop, "io"))),
            "two_workers_one": over_runs(|run| {
                rate(&run.two_workers, "route") / rate(&run.small, "route")
            }),
            "discard_io": over_runs(|run| ratio((&run.small, "discard"), (&run.small, "io"))),
            "shared_plain": over_runs(|run| {
                ratio((&run.small, "route_shared"), (&run.small, "route"))
            }),
            "shared_plain_large": over_runs(|run| {
                ratio((&run.large, "route_shared"), (&run.large, "route"))
            }),
        },
        "swap": {
            "p999_burst_us_idle": over_runs(|run| run.swap.p999_burst_us_idle),
            "p999_burst_us_swapping": over_runs(|run| run.swap.p999_burst_us_swapping),
            "p999_ratio": over_runs(|run| {
                run.swap.p999_burst_us_swapping / run.swap.p999_burst_us_idle
            }),
            "longest_us_idle": over_runs(|run| run.swap.longest_us_idle),
            "longest_us_swapping": over_runs(|run| run.swap.longest_us_swapping),
            "lost": runs.iter().map(|run| run.swap.lost).sum::<u64>(),
            "swaps": runs.iter().map(|run| u64::from(run.swap.swaps)).sum::<u64>(),
            "build_ms": over_runs(|run| run.swap.build_ms),
        },
        "memory_mib": {
            "small": over_runs(|run| run.resident_mib.small),
            "large": over_runs(|run| run.resident_mib.large),
            "million_routes": scale.resident_mib,
        },
        "million_routes_load_s": scale.load_s,
        "start_ms": over_runs(|run| run.start_ms),
        "huge_pages": huge,
        "runs": runs.len(),
    })
}

/// Prints and writes it as asked for.
///
/// # Errors
/// A file cannot be written; or, if that is to be checked, a figure is below what must be reached.
pub(crate) fn print(arguments: &Arguments, report: &Value) -> Result<()> {
    print_table(report);
    if let Some(path) = &arguments.svg {
        fs::write(path, picture::draw(&bars(report)))?;
    }
    let text = serde_json::to_string(report)?;
    if let Some(path) = &arguments.json_file {
        fs::write(path, format!("{text}\n"))?;
    }
    if arguments.json {
        println!("{text}");
    }
    let missed = missed(report);
    for line in &missed {
        eprintln!("not reached: {line}");
    }
    if arguments.check && !missed.is_empty() {
        return Err("a figure is below what must be reached".into());
    }
    Ok(())
}

/// What must be reached, and what the report says of it.
fn goals(report: &Value) -> Vec<(&'static str, f64, bool, f64)> {
    let at = |pointer: &str| {
        report
            .pointer(pointer)
            .and_then(Value::as_f64)
            .unwrap_or(f64::NAN)
    };
    // Name, figure, whether more is better, bound.
    vec![
        ("route ÷ io, small", at("/ratio/route_io_small"), true, 0.70),
        ("route ÷ io, large", at("/ratio/route_io_large"), true, 0.57),
        ("io ÷ bare C loop", at("/ratio/io_c"), true, 0.95),
        ("discard ÷ io", at("/ratio/discard_io"), true, 0.95),
        (
            "shared ÷ plain, small",
            at("/ratio/shared_plain"),
            true,
            0.95,
        ),
        (
            "shared ÷ plain, large",
            at("/ratio/shared_plain_large"),
            true,
            0.95,
        ),
        (
            "swap: burst p99.9, swapping ÷ idle",
            at("/swap/p999_ratio"),
            false,
            1.2,
        ),
        ("swap: packets lost", at("/swap/lost"), false, 0.0),
        ("memory, small (MiB)", at("/memory_mib/small"), false, 96.0),
        (
            "memory, 1,000,000 routes (MiB)",
            at("/memory_mib/million_routes"),
            false,
            512.0,
        ),
        (
            "start to first packet, large (ms)",
            at("/start_ms"),
            false,
            2000.0,
        ),
    ]
}

fn missed(report: &Value) -> Vec<String> {
    let goals = goals(report).into_iter();
    let missed = goals.filter(|&(_, figure, more, bound)| {
        !(if more {
            figure >= bound
        } else {
            figure <= bound
        })
    });
    missed
        .map(|(name, figure, _, bound)| format!("{name}: {figure:.3}, should be {bound}"))
        .collect()
}

fn print_table(report: &Value) {
    println!("{:<26}{:>12}{:>12}", "Mpps, one worker", "small", "large");
    for phase in ["io", "route", "route_shared", "discard"] {
        let of = |load: &str| report[load][phase].as_f64().unwrap_or(f64::NAN);
        println!("{phase:<26}{:>12.2}{:>12.2}", of("small"), of("large"));
    }
    println!(
        "{:<26}{:>12.2}",
        "bare C loop",
        report["c_loop_io"].as_f64().unwrap_or(f64::NAN)
    );
    for mode in ["io", "mac"] {
        let figure = report["testpmd"][mode]
            .as_f64()
            .map_or("-".into(), |mpps| format!("{mpps:.2}"));
        println!("{:<26}{figure:>12}", format!("dpdk-testpmd {mode}"));
    }
    for phase in ["io", "route"] {
        let figure = report["two_workers"][phase].as_f64().unwrap_or(f64::NAN);
        println!("{:<26}{figure:>12.2}", format!("{phase}, two workers"));
    }
    println!("\n{:<40}{:>10}{:>12}", "figure", "reached", "bound");
    for (name, figure, more, bound) in goals(report) {
        println!(
            "{name:<40}{figure:>10.3}{:>12}",
            format!("{} {bound}", if more { "≥" } else { "≤" })
        );
    }
}

fn bars(report: &Value) -> Vec<(String, Option<f64>, String)> {
    let mut rows = Vec::new();
    for load in ["small", "large"] {
        rows.push((load.to_owned(), None, String::new()));
        let io = report[load]["io"].as_f64().unwrap_or(f64::NAN);
        for phase in ["io", "route", "route_shared", "discard"] {
            let mpps = report[load][phase].as_f64();
            rows.push((
                phase.to_owned(),
                mpps,
                format!("({:.2} of io)", mpps.unwrap_or(f64::NAN) / io),
            ));
        }
    }
    rows.push(("others, small".to_owned(), None, String::new()));
    rows.push((
        "bare C loop".to_owned(),
        report["c_loop_io"].as_f64(),
        String::new(),
    ));
    for mode in ["io", "mac"] {
        if let Some(mpps) = report["testpmd"][mode].as_f64() {
            rows.push((format!("dpdk-testpmd {mode}"), Some(mpps), String::new()));
        }
    }
    rows
}
