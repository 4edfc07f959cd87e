//! How many packets one worker moves, beside a bare loop in C and dpdk-testpmd, with no network card: a port that
//! replays a file without end, and one that swallows what it is given.
//!
//! `scripts/bench`, or `cargo bench --bench throughput -- --help`. Every run is a process of its own (DPDK starts once in
//! a process) for each load, which alternates between its phases; the figures are medians over the phases of all runs.

mod child;
mod monitoring;
mod others;
mod picture;
#[path = "../traffic.rs"]
mod traffic;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use child::{Figures, ROUTER_MAC};
use traffic::Load;

/// How often a process goes through its phases. Runs are many and short, as a machine that others use changes its speed.
const ROUNDS: u32 = 8;

/// In how many of the runs dpdk-testpmd is measured, which takes seconds.
const TESTPMD_RUNS: u32 = 5;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures what one worker forwards.
#[derive(Parser)]
struct Arguments {
    /// Alternating runs; the figures are medians over them
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// Milliseconds that each phase of a run is measured for
    #[arg(long, default_value_t = 50)]
    phase_ms: u64,
    /// End with one JSON object
    #[arg(long)]
    json: bool,
    /// Write the JSON object to this file
    #[arg(long)]
    json_file: Option<PathBuf>,
    /// Write a picture to this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Exit with 1 if a figure is below what must be reached
    #[arg(long)]
    check: bool,
    /// Given by `cargo bench`; without meaning here
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// One measured process
    #[command(hide = true)]
    Child {
        load: Load,
        pcap: PathBuf,
        workers: u16,
        phase_ms: u64,
    },
    /// What it costs to count 65,536 conditions each by itself, and to read the counters; ends with one JSON object
    Monitoring {
        /// Rounds, each with every phase; the figures are medians over them
        #[arg(long, default_value_t = 15)]
        rounds: u32,
        /// Milliseconds that each phase is measured for
        #[arg(long, default_value_t = 500)]
        phase_ms: u64,
    },
    /// The process that holds a million routes
    #[command(hide = true)]
    Scale { pcap: PathBuf },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let huge = huge_pages_suffice();
    match arguments.role {
        Some(Role::Child {
            load,
            pcap,
            workers,
            phase_ms,
        }) => {
            let length = Duration::from_millis(phase_ms);
            let figures = child::run(load, &pcap, workers, ROUNDS, length, huge)?;
            println!("{}", serde_json::to_string(&figures)?);
            Ok(())
        }
        Some(Role::Monitoring { rounds, phase_ms }) => {
            let pcap = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("monitoring.pcap");
            Load::Large.write_pcap(&pcap, ROUTER_MAC.0)?;
            let length = Duration::from_millis(phase_ms);
            println!("{}", monitoring::run(&pcap, rounds, length, huge)?);
            Ok(())
        }
        Some(Role::Scale { pcap }) => {
            let (resident_mib, load_s) = child::scale(&pcap, huge)?;
            println!(
                "{}",
                json!({"resident_mib": resident_mib, "load_s": load_s})
            );
            Ok(())
        }
        None => measure(&arguments, huge),
    }
}

/// Figures of all runs, by load and phase, and what else the processes said.
#[derive(Default)]
struct Gathered {
    mpps: BTreeMap<(&'static str, String), Vec<f64>>,
    /// Of two workers together, by phase, the small load.
    two_workers: BTreeMap<String, Vec<f64>>,
    c_loop: Vec<f64>,
    testpmd: BTreeMap<&'static str, Vec<f64>>,
    start_ms: Vec<f64>,
    resident_mib: BTreeMap<&'static str, Vec<f64>>,
    swaps: Vec<child::Swap>,
}

fn measure(arguments: &Arguments, huge: bool) -> Result<()> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let pcap = |load: Load| directory.join(format!("{}.pcap", load.name()));
    for load in [Load::Small, Load::Large] {
        load.write_pcap(&pcap(load), ROUTER_MAC.0)?;
    }
    let c_loop = others::compile_c_loop(&directory)?;
    let length = Duration::from_millis(arguments.phase_ms);
    let small = pcap(Load::Small);
    let mut gathered = Gathered::default();
    for run in 1..=arguments.runs {
        eprintln!("run {run} of {}", arguments.runs);
        for load in [Load::Small, Load::Large] {
            let of_c = others::c_loop(&c_loop, &small, ROUNDS / 2, length, huge)?;
            gathered.c_loop.extend(of_c);
            let figures = in_child(load, &pcap(load), 1, arguments.phase_ms)?;
            gathered.take(load, figures);
        }
        let figures = in_child(Load::Small, &small, 2, arguments.phase_ms)?;
        for (phase, rounds) in figures.mpps {
            gathered
                .two_workers
                .entry(phase)
                .or_default()
                .extend(rounds);
        }
        let modes = ["io", "mac"].into_iter();
        for mode in modes.filter(|_| run <= TESTPMD_RUNS) {
            if let Some(mpps) = others::testpmd(mode, &small, huge)? {
                gathered.testpmd.entry(mode).or_default().push(mpps);
            }
        }
    }
    let scale = scale_in_child(&small)?;
    let report = report(&gathered, &scale, arguments.runs, huge);
    print_table(&report);
    if let Some(path) = &arguments.svg {
        fs::write(path, picture::draw(&bars(&report)))?;
    }
    let text = serde_json::to_string(&report)?;
    if let Some(path) = &arguments.json_file {
        fs::write(path, format!("{text}\n"))?;
    }
    if arguments.json {
        println!("{text}");
    }
    let missed = missed(&report);
    for line in &missed {
        eprintln!("not reached: {line}");
    }
    if arguments.check && !missed.is_empty() {
        Err("a figure is below what must be reached".into())
    } else {
        Ok(())
    }
}

impl Gathered {
    fn take(&mut self, load: Load, figures: Figures) {
        for (phase, rounds) in figures.mpps {
            self.mpps
                .entry((load.name(), phase))
                .or_default()
                .extend(rounds);
        }
        if load == Load::Large {
            self.start_ms.push(figures.start_ms);
            self.swaps.extend(figures.swap);
        }
        self.resident_mib
            .entry(load.name())
            .or_default()
            .push(figures.resident_mib);
    }
}

/// This program again, as a process to be measured.
fn this_program(words: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(std::env::current_exe()?)
        .args(words)
        .stderr(Stdio::inherit())
        .output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{} failed", words.join(" ")).into())
    }
}

fn in_child(load: Load, pcap: &Path, workers: u16, phase_ms: u64) -> Result<Figures> {
    let output = this_program(&[
        "child",
        load.name(),
        &pcap.to_string_lossy(),
        &workers.to_string(),
        &phase_ms.to_string(),
    ])?;
    let text = String::from_utf8(output)?;
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with('{'))
        .ok_or("a child printed no figures")?;
    Ok(serde_json::from_str(line)?)
}

fn scale_in_child(pcap: &Path) -> Result<Value> {
    let text = String::from_utf8(this_program(&["scale", &pcap.to_string_lossy()])?)?;
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with('{'))
        .ok_or("a child printed no figures")?;
    Ok(serde_json::from_str(line)?)
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn report(gathered: &Gathered, scale: &Value, runs: u32, huge: bool) -> Value {
    let mpps = |load: Load, phase: &str| {
        gathered
            .mpps
            .get(&(load.name(), phase.to_owned()))
            .map_or(f64::NAN, |figures| median(figures))
    };
    let of_load = |load: Load| {
        json!({
            "io": mpps(load, "io"),
            "route": mpps(load, "route"),
            "route_shared": mpps(load, "route_shared"),
            "discard": mpps(load, "discard"),
        })
    };
    let swap = |figure: fn(&child::Swap) -> f64| {
        median(&gathered.swaps.iter().map(figure).collect::<Vec<_>>())
    };
    // Each pair of runs gives one ratio; the median of ratios is steadier than the ratio of medians.
    let swap_ratio = swap(|swap| swap.p999_burst_us_swapping / swap.p999_burst_us_idle);
    let two_workers = |phase| {
        let figures = gathered.two_workers.get(phase);
        figures.map_or(f64::NAN, |figures| median(figures))
    };
    let testpmd = |mode| gathered.testpmd.get(mode).map(|figures| median(figures));
    let c_loop = median(&gathered.c_loop);
    let resident = |load: Load| {
        gathered
            .resident_mib
            .get(load.name())
            .map_or(f64::NAN, |figures| median(figures))
    };
    json!({
        "small": of_load(Load::Small),
        "large": of_load(Load::Large),
        "two_workers": {"io": two_workers("io"), "route": two_workers("route")},
        "c_loop_io": c_loop,
        "testpmd": {"io": testpmd("io"), "mac": testpmd("mac")},
        "ratio": {
            "route_io_small": mpps(Load::Small, "route") / mpps(Load::Small, "io"),
            "route_io_large": mpps(Load::Large, "route") / mpps(Load::Large, "io"),
            "io_c": mpps(Load::Small, "io") / c_loop,
            "two_workers_one": two_workers("route") / mpps(Load::Small, "route"),
            "discard_io": mpps(Load::Small, "discard") / mpps(Load::Small, "io"),
            "shared_plain": mpps(Load::Small, "route_shared") / mpps(Load::Small, "route"),
            "shared_plain_large": mpps(Load::Large, "route_shared") / mpps(Load::Large, "route"),
        },
        "swap": {
            "p999_burst_us_idle": swap(|swap| swap.p999_burst_us_idle),
            "p999_burst_us_swapping": swap(|swap| swap.p999_burst_us_swapping),
            "p999_ratio": swap_ratio,
            "longest_us_idle": swap(|swap| swap.longest_us_idle),
            "longest_us_swapping": swap(|swap| swap.longest_us_swapping),
            "lost": gathered.swaps.iter().map(|swap| swap.lost).sum::<u64>(),
            "swaps": gathered.swaps.iter().map(|swap| u64::from(swap.swaps)).sum::<u64>(),
            "build_ms": swap(|swap| swap.build_ms),
        },
        "memory_mib": {
            "small": resident(Load::Small),
            "large": resident(Load::Large),
            "million_routes": scale["resident_mib"],
        },
        "million_routes_load_s": scale["load_s"],
        "start_ms": median(&gathered.start_ms),
        "huge_pages": huge,
        "runs": runs,
    })
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

/// Whether there are huge pages for the packet buffers (some 650 MiB, and room to place them).
fn huge_pages_suffice() -> bool {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    of("HugePages_Free:") * of("Hugepagesize:") >= 900 * 1024
}
