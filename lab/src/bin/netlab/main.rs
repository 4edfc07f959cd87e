//! `netlab`: what `scripts/demo`, `scripts/moves`, `scripts/soak` and `scripts/bench memif` run. A network in a box with the real program in it, real traffic, and the figures.

mod memif;
mod moves;
mod one_router;
mod picture;
mod rebalance;
mod three_routers;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use lab::error::Doing;
use lab::soak::Options;
use lab::topology::Routed;

/// A network in a box for manifold.
#[derive(Debug, Parser)]
#[command(name = "netlab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// One router beside the kernel in its place; then three that share the load of twelve end systems, and share it anew
    Demo(Demo),
    /// Throughput and loss with dpdk-testpmd as the generator, over a memif into the router and back
    Memif {
        /// The program to measure
        #[arg(long, value_name = "PATH")]
        program: PathBuf,
        /// How long to measure
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Three routers under load, and moves, kills, stops, reloads, pulled cables and hostile frames from one seed
    Soak {
        /// The program to soak
        #[arg(long, value_name = "PATH")]
        program: PathBuf,
        /// For how long new acts begin
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// What decides all acts
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Nothing but acts whose description contains this word, to look for a cause
        #[arg(long, value_name = "WORD")]
        only: Option<String>,
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// End systems moved between three routers under load, and the same load without moves
    Moves {
        /// The program to show
        #[arg(long, value_name = "PATH")]
        program: PathBuf,
        /// How many moves
        #[arg(long, default_value_t = 1000)]
        count: u32,
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// The demo, then the network is kept up until this process ends
    #[command(hide = true)]
    Keep(Demo),
}

#[derive(Args, Debug)]
struct Demo {
    /// The program to show
    #[arg(long, value_name = "PATH")]
    program: PathBuf,
    /// Print one JSON object at the end instead of tables
    #[arg(long)]
    json: bool,
    /// Leave the network up afterwards, to play with
    #[arg(long)]
    keep: bool,
    /// Draw what each router carries while the load is shared anew, as an SVG
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
}

/// Ends what the keeping process prints to us.
const KEPT: &str = "-- kept --";

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Task::Demo(demo) if demo.keep => start_keeper(&demo),
        Task::Demo(demo) => show(&demo).map(drop),
        Task::Memif {
            program,
            seconds,
            json,
        } => memif::measure(&program, seconds, json),
        Task::Moves {
            program,
            count,
            json,
        } => match moves::measure(&program, count, json) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Task::Soak {
            program,
            seconds,
            seed,
            only,
            json,
        } => {
            let options = Options {
                program,
                time: Duration::from_secs(seconds),
                seed,
                only,
                judges_times: true,
            };
            return soak(&options, json);
        }
        Task::Keep(demo) => keep(&demo),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netlab: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends with a success only if everything held.
fn soak(options: &Options, json: bool) -> ExitCode {
    match lab::soak::run(options) {
        Ok(report) => {
            if json {
                println!("{}", serde_json::json!(report));
            } else {
                println!("{report}");
            }
            ExitCode::from(u8::from(!report.holds()))
        }
        Err(error) => {
            eprintln!("netlab: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo in a process that outlives this one and the terminal: the network lives as long as that process.
fn start_keeper(demo: &Demo) -> lab::Result<()> {
    let doing = || "start the keeping process".to_owned();
    let this = std::env::current_exe().doing(doing)?;
    let mut command = Command::new("setsid");
    command
        .arg(this)
        .arg("keep")
        .arg("--program")
        .arg(&demo.program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if demo.json {
        command.arg("--json");
    }
    if let Some(path) = &demo.svg {
        command.arg("--svg").arg(path);
    }
    let mut keeper = command.spawn().doing(doing)?;
    for line in keeper
        .stdout
        .take()
        .into_iter()
        .flat_map(|stdout| BufReader::new(stdout).lines())
    {
        let line = line.doing(doing)?;
        if line == KEPT {
            return Ok(());
        }
        println!("{line}");
    }
    let status = keeper.wait().doing(doing)?;
    Err(lab::LabError::Command {
        command: "netlab keep".into(),
        status,
        output: String::new(),
    })
}

/// All acts: one router in a network of its own, then three in another.
fn show(demo: &Demo) -> lab::Result<()> {
    let one = first_act(demo)?;
    let net = three_routers::network()?;
    let anew = rebalance::show_in(&net, &demo.program)?;
    let (group, figures) = three_routers::show_in(&net, &demo.program)?;
    drop(group);
    print(demo, &one, &anew, &figures)
}

fn first_act(demo: &Demo) -> lab::Result<one_router::Report> {
    let net = Routed::new()?;
    one_router::show_in(&net, &demo.program)
}

fn print(
    demo: &Demo,
    one: &one_router::Report,
    anew: &rebalance::Figures,
    three: &three_routers::Figures,
) -> lab::Result<()> {
    if let Some(path) = &demo.svg {
        let doing = || format!("write {}", path.display());
        std::fs::write(path, anew.track.draw()).doing(doing)?;
    }
    if demo.json {
        let mut object = serde_json::json!(three);
        object["one_router"] = serde_json::json!(one);
        if let (Some(all), serde_json::Value::Object(more)) =
            (object.as_object_mut(), serde_json::json!(anew))
        {
            all.extend(more);
        }
        println!("{object}");
    } else {
        one_router::print(one);
        three_routers::print(three);
        rebalance::print(anew);
    }
    Ok(())
}

/// The demo, whose second network stays.
fn keep(demo: &Demo) -> lab::Result<()> {
    let one = first_act(demo)?;
    let net = three_routers::network()?;
    let anew = rebalance::show_in(&net, &demo.program)?;
    let (_group, figures) = three_routers::show_in(&net, &demo.program)?;
    print(demo, &one, &anew, &figures)?;
    eprintln!("\nThe network stays up. Inside its machines:");
    let machines = net.routers.iter().chain(&net.hosts).chain(&net.servers);
    for machine in machines {
        eprintln!(
            "  {}:  nsenter --target {} --net --mount --root -- bash",
            machine.name(),
            machine.pid()
        );
    }
    eprintln!(
        "  {} ctl   in r1, r2 or r3, for the router's prompt",
        demo.program.display()
    );
    eprintln!("To take it down:  kill {}", std::process::id());
    println!("{KEPT}");
    loop {
        std::thread::park();
    }
}
