//! How many packets one worker moves, beside a bare loop in C and dpdk-testpmd, with no network card: a port that
//! replays a file without end, and one that swallows what it is given.
//!
//! `scripts/bench`, or `cargo bench --bench throughput -- --help`. What is compared is measured in turns, a fraction of a second
//! each, as a machine that others use changes its speed. DPDK starts once in a process, and where its memory lies differs from
//! process to process: so there are many runs, each with processes of its own.

mod child;
mod monitoring;
mod others;
mod picture;
mod report;
mod subject;
#[path = "../traffic.rs"]
mod traffic;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::json;

use child::ROUTER_MAC;
use report::{Rates, Run, Scale};
use subject::Subject;
use traffic::Load;

/// How often a run goes through its phases.
const ROUNDS: u32 = 60;

/// In how many of the runs dpdk-testpmd is measured, which takes seconds.
const TESTPMD_RUNS: u32 = 5;

const PHASES: [&str; 4] = ["io", "route", "route_shared", "discard"];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures what one worker forwards.
#[derive(Parser)]
struct Arguments {
    /// Alternating runs; the figures are medians over them
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// Milliseconds that each phase of a round is measured for
    #[arg(long, default_value_t = 5)]
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
    /// A process that measures what it is asked to
    #[command(hide = true)]
    Child {
        load: Load,
        pcap: PathBuf,
        workers: u16,
        #[arg(long)]
        huge: bool,
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
            huge,
        }) => child::serve(load, &pcap, workers, huge),
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

fn measure(arguments: &Arguments, huge: bool) -> Result<()> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let pcap = |load: Load| directory.join(format!("{}.pcap", load.name()));
    for load in [Load::Small, Load::Large] {
        load.write_pcap(&pcap(load), ROUTER_MAC.0)?;
    }
    let (small, large) = (pcap(Load::Small), pcap(Load::Large));
    let c_loop = others::compile_c_loop(&directory)?;
    let length = Duration::from_millis(arguments.phase_ms);
    let mut runs = Vec::new();
    for number in 1..=arguments.runs {
        eprintln!("run {number} of {}", arguments.runs);
        let mut run = Run::default();

        let mut subjects = [
            in_child(Load::Small, &small, 1, huge)?,
            Subject::start("the loop in C", &mut others::c_loop(&c_loop, &small, huge))?,
        ];
        [run.small, run.c_loop] = in_turns(&mut subjects, [&PHASES, &["io"]], length)?;
        run.resident_mib.small = subjects[0].ask("resident_mib")?;
        end(subjects)?;

        let mut subjects = [in_child(Load::Large, &large, 1, huge)?];
        run.start_ms = subjects[0].ask("start_ms")?;
        [run.large] = in_turns(&mut subjects, [&PHASES], length)?;
        run.resident_mib.large = subjects[0].ask("resident_mib")?;
        run.swap = subjects[0].ask("swap")?;
        end(subjects)?;

        let mut subjects = [in_child(Load::Small, &small, 2, huge)?];
        [run.two_workers] = in_turns(&mut subjects, [&["io", "route"]], length)?;
        end(subjects)?;

        if number <= TESTPMD_RUNS {
            for mode in ["io", "mac"] {
                if let Some(mpps) = others::testpmd(mode, &small, huge)? {
                    run.testpmd.insert(mode.to_owned(), vec![mpps]);
                }
            }
        }
        runs.push(run);
    }
    let scale = scale_in_child(&small)?;
    report::print(arguments, &report::of(&runs, &scale, huge))
}

/// Measures the phases of each subject, round by round, there and back, so that a machine that becomes slower does so to all alike.
/// Returns the rates by subject and phase.
fn in_turns<const N: usize>(
    subjects: &mut [Subject; N],
    phases: [&[&str]; N],
    length: Duration,
) -> Result<[Rates; N]> {
    let mut turns: Vec<(usize, &str)> = (0..)
        .zip(phases)
        .flat_map(|(subject, phases)| phases.iter().map(move |&phase| (subject, phase)))
        .collect();
    let mut rates = [const { Rates::new() }; N];
    for _ in 0..ROUNDS {
        for &(subject, phase) in &turns {
            let mpps = subjects[subject].phase(phase, length)?;
            let of_phase = rates[subject].entry(phase.to_owned()).or_default();
            of_phase.push(mpps);
        }
        turns.reverse();
    }
    Ok(rates)
}

fn end(subjects: impl IntoIterator<Item = Subject>) -> Result<()> {
    subjects.into_iter().try_for_each(Subject::end)
}

fn this_program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

fn in_child(load: Load, pcap: &Path, workers: u16, huge: bool) -> Result<Subject> {
    let mut command = this_program()?;
    command.args(["child", load.name()]).arg(pcap);
    command.arg(workers.to_string());
    command.args(huge.then_some("--huge"));
    Subject::start("the router", &mut command)
}

fn scale_in_child(pcap: &Path) -> Result<Scale> {
    let mut command = this_program()?;
    let mut subject = Subject::start("the router", command.arg("scale").arg(pcap))?;
    let scale = subject.ask("scale")?;
    subject.end()?;
    Ok(scale)
}

/// Whether there are huge pages for the packet buffers of two processes, some 650 MiB each, and room to place them.
fn huge_pages_suffice() -> bool {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    of("HugePages_Free:") * of("Hugepagesize:") >= 1700 * 1024
}
