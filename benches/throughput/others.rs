//! What the program is compared with: the bare loop in C, and dpdk-testpmd.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// EAL arguments of a process of its own on the worker's processor, with the two ports of the benchmark.
fn eal_arguments(name: &str, cpus: &str, pcap: &Path, huge: bool) -> Vec<String> {
    let quiet = "--log-level=lib.*:error";
    let mut arguments: Vec<String> = [
        "--in-memory",
        "--no-pci",
        "--no-telemetry",
        quiet,
        "-l",
        cpus,
    ]
    .map(String::from)
    .into();
    arguments.push(format!(
        "--file-prefix=manifold-bench-{name}-{}",
        std::process::id()
    ));
    arguments.push(format!(
        "--vdev=net_pcap0,rx_pcap={},infinite_rx=1",
        pcap.display()
    ));
    arguments.push("--vdev=net_null0,no-rx=1".into());
    if !huge {
        arguments.extend(["--no-huge", "-m", "1024"].map(String::from));
    }
    arguments
}

/// Builds the bare loop beside the other artefacts.
pub(crate) fn compile_c_loop(directory: &Path) -> Result<PathBuf> {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libdpdk"])
        .output()?;
    let program = directory.join("c_loop");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/throughput/c_loop.c");
    let status = Command::new("cc")
        .args(["-O3", "-o"])
        .arg(&program)
        .arg(source)
        .args(String::from_utf8(flags.stdout)?.split_whitespace())
        .status()?;
    if status.success() {
        Ok(program)
    } else {
        Err("the bare loop in C does not compile".into())
    }
}

/// How the bare loop is started.
pub(crate) fn c_loop(program: &Path, pcap: &Path, huge: bool) -> Command {
    let mut command = Command::new(program);
    command.args(eal_arguments("c", "1", pcap, huge));
    command
}

/// Millions of packets a second that dpdk-testpmd receives in a forwarding mode; none without dpdk-testpmd.
pub(crate) fn testpmd(mode: &str, pcap: &Path, huge: bool) -> Result<Option<f64>> {
    let spawned = Command::new("dpdk-testpmd")
        .args(eal_arguments("testpmd", "0,1", pcap, huge))
        .args([
            "--",
            "--nb-cores=1",
            "--auto-start",
            "--stats-period=1",
            "--total-num-mbufs=262143",
        ])
        .arg(format!("--forward-mode={mode}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut process) = spawned else {
        return Ok(None);
    };
    let lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
    let begin = Instant::now();
    let mut rates = Vec::new();
    for line in lines.map_while(std::result::Result::ok) {
        // Of the two ports only the replaying one receives.
        let rate = line
            .split_once("Rx-pps:")
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<f64>().ok());
        rates.extend(rate.filter(|rate| *rate > 0.0));
        if rates.len() >= 4 || begin.elapsed() > Duration::from_secs(15) {
            break;
        }
    }
    process.kill()?;
    process.wait()?;
    // The first rate covers the start.
    let mut rates = rates.split_off(rates.len().min(1));
    rates.sort_by(f64::total_cmp);
    Ok(rates.get(rates.len() / 2).map(|rate| rate / 1e6))
}
