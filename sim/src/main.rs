//! Runs whole groups under faults, one from each seed, and says what held.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sim::group::{Outcome, relevant, run};

const USAGE: &str = "usage: sim [--seeds N] [--from SEED] [--json] [--trace]";

struct Arguments {
    seeds: u64,
    from: u64,
    json: bool,
    trace: bool,
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments {
        seeds: 500,
        from: 0,
        json: false,
        trace: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => arguments.seeds = words.next()?.parse().ok()?,
            "--from" => arguments.from = words.next()?.parse().ok()?,
            "--json" => arguments.json = true,
            "--trace" => arguments.trace = true,
            _ => return None,
        }
    }
    Some(arguments)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let outcomes = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let outcome = run(seed, false);
                    if !arguments.json && !outcome.holds() {
                        tell(&outcome, arguments.trace);
                    }
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes.push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for outcome in &outcomes {
        for (what, count) in &outcome.counts {
            let known = counts.entry(what).or_default();
            // Times are told as the longest, everything else as the sum.
            *known = match *what {
                "first" | "again" | "blocked" => (*known).max(*count / 1_000_000),
                _ => *known + count,
            };
        }
    }
    let seeds_of = |wrong: fn(&Outcome) -> bool| -> Vec<u64> {
        outcomes
            .iter()
            .filter(|outcome| wrong(outcome))
            .map(|outcome| outcome.seed)
            .collect()
    };
    let unsafe_seeds = seeds_of(|outcome| !outcome.safety.is_empty());
    let unsettled_seeds = seeds_of(|outcome| !outcome.liveness.is_empty());
    let seconds = begun.elapsed().as_secs_f64();
    if arguments.json {
        let figures: Vec<String> = counts
            .iter()
            .map(|(what, count)| format!("\"{}\": {count}", name(what)))
            .collect();
        println!(
            "{{\"seeds\": {}, \"from\": {}, \"seconds\": {seconds:.1}, \"safety\": {unsafe_seeds:?}, \
             \"liveness\": {unsettled_seeds:?}, \"counts\": {{{}}}}}",
            outcomes.len(),
            arguments.from,
            figures.join(", ")
        );
    } else {
        for (what, count) in &counts {
            println!("{count:>12}  {}", name(what));
        }
        println!(
            "{} seeds from {} in {seconds:.1} s: {} with a violation of safety, {} of liveness",
            outcomes.len(),
            arguments.from,
            unsafe_seeds.len(),
            unsettled_seeds.len()
        );
    }
    let holds = unsafe_seeds.is_empty() && unsettled_seeds.is_empty();
    ExitCode::from(u8::from(!holds))
}

fn name(what: &str) -> &str {
    match what {
        "first" => "ms at most until a group has settled for the first time",
        "again" => "ms at most until it has settled after the last fault",
        "blocked" => "ms at most that an end system was without service",
        what => what,
    }
}

/// Runs a seed that failed once more, and shows what happened before.
fn tell(outcome: &Outcome, all: bool) {
    let again = run(outcome.seed, true);
    let mut text = format!("seed {}:\n", outcome.seed);
    for line in &again.safety {
        text += &format!("  SAFETY  {line}\n");
    }
    for line in &again.liveness {
        text += &format!("  LIVENESS  {line}\n");
    }
    let lines = match all {
        true => again.trace.iter().map(String::as_str).collect(),
        false => relevant(&again),
    };
    for line in lines {
        text += &format!("    {line}\n");
    }
    text += &format!(
        "  again: ./scripts/sim --seeds 1 --from {} --trace\n",
        outcome.seed
    );
    println!("{text}");
}
