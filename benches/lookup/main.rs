//! Longest prefix match alone: the project's table beside DPDK's `rte_lpm` and `rte_fib`, with the routes and
//! destinations of the throughput benchmark. This is the comparison that chose the table.
//!
//! `cargo bench --bench lookup [-- ROUNDS]`. Needs root for the EAL, and a C compiler.

#[allow(dead_code, reason = "shared with the throughput benchmark")]
#[path = "../traffic.rs"]
mod traffic;

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use dataplane::addr::Ipv4Prefix;
use dataplane::fib::Fib;

use traffic::Load;

const BURST: usize = 64;

struct Measured {
    table: String,
    /// Nanoseconds a look-up, the median of all rounds.
    lookup_ns: f64,
    /// All next hops found, added up: the tables must agree.
    hops: u64,
    /// Milliseconds to add all routes.
    add_ms: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args()
        .filter_map(|word| word.parse().ok())
        .next()
        .unwrap_or(101);
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let dpdk = compile(&directory)?;
    println!(
        "{:<8}{:<18}{:>12}{:>14}",
        "load", "table", "ns/look-up", "add all (ms)"
    );
    for load in [Load::Small, Load::Large] {
        let mut rows = vec![ours(load, rounds)?];
        rows.extend(theirs(load, rounds, &dpdk, &directory)?);
        for row in &rows {
            println!(
                "{:<8}{:<18}{:>12.3}{:>14.1}",
                load.name(),
                row.table,
                row.lookup_ns,
                row.add_ms
            );
            if row.hops != rows[0].hops {
                return Err(
                    format!("{} found other next hops than {}", row.table, rows[0].table).into(),
                );
            }
        }
    }
    Ok(())
}

/// The next hop of route `index`.
fn hop(index: usize) -> u16 {
    1 + (index % 1000) as u16
}

fn ours(load: Load, rounds: usize) -> Result<Measured, Box<dyn Error>> {
    let mut fib = Fib::new()?;
    let start = Instant::now();
    for (index, (network, length)) in load.routes().into_iter().enumerate() {
        fib.add(Ipv4Prefix::new(network, length)?, hop(index))?;
    }
    let add_ms = start.elapsed().as_secs_f64() * 1e3;
    let table = fib.table();
    let destinations: Vec<u32> = (0..load.packets())
        .map(|index| load.destination(index).to_bits())
        .collect();
    let mut hops = 0;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        hops = 0;
        for burst in destinations.chunks_exact(BURST) {
            let mut found = [0; BURST];
            for (hop, &destination) in found.iter_mut().zip(burst) {
                *hop = table.lookup(destination);
            }
            hops += black_box(found).iter().copied().map(u64::from).sum::<u64>();
        }
        times.push(start.elapsed().as_nanos() as f64 / destinations.len() as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(Measured {
        table: "manifold".into(),
        lookup_ns: times[rounds / 2],
        hops,
        add_ms,
    })
}

/// Builds the C half beside the other artefacts.
fn compile(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libdpdk"])
        .output()?;
    let program = directory.join("dpdk_lookup");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/lookup/dpdk.c");
    let status = Command::new("cc")
        .arg("-O3")
        .arg("-o")
        .arg(&program)
        .arg(source)
        .args(String::from_utf8(flags.stdout)?.split_whitespace())
        .status()?;
    if !status.success() {
        return Err("the C half does not compile".into());
    }
    Ok(program)
}

fn theirs(
    load: Load,
    rounds: usize,
    program: &Path,
    directory: &Path,
) -> Result<Vec<Measured>, Box<dyn Error>> {
    let routes = load.routes();
    let mut words = vec![routes.len() as u32];
    for (index, (network, length)) in routes.into_iter().enumerate() {
        words.extend([network.to_bits(), length.into(), hop(index).into()]);
    }
    words.push(load.packets());
    words.extend((0..load.packets()).map(|index| load.destination(index).to_bits()));
    let file = directory.join(format!("lookup-{}.words", load.name()));
    fs::write(
        &file,
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<_>>(),
    )?;
    let output = Command::new(program)
        .arg(&file)
        .arg(rounds.to_string())
        .args([
            "--in-memory",
            "--no-pci",
            "--force-max-simd-bitwidth=512",
            "-l",
            "0",
        ])
        .arg(format!(
            "--file-prefix=manifold-lookup-{}",
            std::process::id()
        ))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let rows = text
        .lines()
        .filter(|line| line.starts_with("rte_"))
        .map(|line| {
            let mut words = line.split(' ');
            let mut next = || words.next().ok_or("a line too short");
            Ok(Measured {
                table: next()?.into(),
                lookup_ns: next()?.parse()?,
                hops: next()?.parse()?,
                add_ms: next()?.parse()?,
            })
        });
    rows.collect()
}
