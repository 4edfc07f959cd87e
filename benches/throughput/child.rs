//! One process under measurement: a data plane with one worker between a replaying port and a swallowing one.
//!
//! It alternates between its phases within the process, so that each round compares like with like, and prints one
//! JSON object. Not here: who starts it, and what becomes of the figures.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dataplane::addr::{Ipv4Prefix, MacAddr};
use dataplane::dpdk::Eal;
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{
    Dataplane, ForwardingMode, Group, MatchOn, NextHop, Pinning, PortConfig, RouteChange,
    WorkerConfig,
};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::ClockId;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::traffic::Load;

/// The address that frames are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum To {
    /// The port's own MAC: a router without load sharing.
    Own,
    /// The virtual MAC of group 1.
    Virtual,
}

/// The router's own MAC on the replaying port.
pub(crate) const OWN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xaa]);
pub(crate) const VRID: u8 = 1;
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xbb]);
/// Where the control thread stays once the workers run; a second worker shares the processor with it.
const CONTROL_CPU: usize = 0;
const WORKER_CPUS: [usize; 2] = [1, 0];
const MBUFS: u32 = 262_143;
const SWAPS: u32 = 1000;

impl To {
    /// Where the frames of the replayed file go.
    pub(crate) fn mac(self) -> MacAddr {
        match self {
            To::Own => OWN_MAC,
            To::Virtual => MacAddr::virtual_v4(VRID),
        }
    }
}

/// What one process measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Millions of packets a second, by phase, one figure a round.
    pub mpps: BTreeMap<String, Vec<f64>>,
    /// Milliseconds from the start of the process to the first packet out.
    pub start_ms: f64,
    /// MiB resident besides the packet buffers (which lie on huge pages).
    pub resident_mib: f64,
    /// How the bursts went while verdict tables were swapped; none where nothing was.
    pub swap: Option<Swap>,
}

/// Burst times without and with swaps, of one pair of runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Swap {
    /// Microseconds that 99.9 % of the bursts did not exceed, nothing being swapped.
    pub p999_burst_us_idle: f64,
    /// The same during the swaps.
    pub p999_burst_us_swapping: f64,
    /// The longest burst, nothing being swapped.
    pub longest_us_idle: f64,
    /// The longest burst during the swaps.
    pub longest_us_swapping: f64,
    /// Packets received and neither sent nor discarded under a reason of the verdicts.
    pub lost: u64,
    /// Tables swapped.
    pub swaps: u32,
    /// Milliseconds to build a table of 65,536 conditions.
    pub build_ms: f64,
}

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures `rounds` rounds of `length` a phase over the frames of `pcap`.
pub(crate) fn run(
    load: Load,
    to: To,
    pcap: &Path,
    workers: u16,
    rounds: u32,
    length: Duration,
    huge: bool,
) -> Result<Figures> {
    let begin = Instant::now();
    let mut plane = start(pcap, workers, huge)?;
    add_routes(&mut plane, load)?;
    let sharing = Arc::new(shared_table(load)?);
    let nobody = Arc::new(VerdictTable::uniform(Verdict::Discard, 0));
    if to == To::Virtual {
        plane.set_group(
            0,
            VRID,
            Some(Group {
                verdicts: Arc::clone(&sharing),
                match_on: MatchOn::Source,
            }),
        )?;
    }
    plane.settle();
    plane.start_forwarding();
    while plane.counters().total().ports[1].tx_packets == 0 {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err(format!("nothing was forwarded: {:?}", plane.counters().total()).into());
        }
        thread::sleep(Duration::from_micros(100));
    }
    let mut figures = Figures {
        start_ms: begin.elapsed().as_secs_f64() * 1e3,
        ..Figures::default()
    };

    for _ in 0..rounds {
        let mut phase = |plane: &mut Dataplane, name: &str, sent: bool| -> Result<()> {
            let mpps = measure(plane, length, sent)?;
            figures.mpps.entry(name.to_owned()).or_default().push(mpps);
            Ok(())
        };
        plane.set_mode(ForwardingMode::Io);
        phase(&mut plane, "io", true)?;
        plane.set_mode(ForwardingMode::Route);
        match to {
            To::Own => phase(&mut plane, "route", true)?,
            To::Virtual => {
                plane.set_verdicts(0, VRID, Arc::clone(&sharing));
                phase(&mut plane, "route_shared", true)?;
                plane.set_verdicts(0, VRID, Arc::clone(&nobody));
                phase(&mut plane, "discard", false)?;
            }
        }
    }
    figures.resident_mib = resident_mib()?;
    if to == To::Virtual {
        figures.swap = Some(swap(&mut plane, length)?);
    }
    plane.stop_forwarding();
    let leak = plane.shutdown();
    if leak.mbufs != 0 {
        return Err(format!("{} packet buffers did not come back", leak.mbufs).into());
    }
    Ok(figures)
}

/// What a million routes and 65,536 conditions take: MiB resident besides the packet buffers, and seconds to load.
pub(crate) fn scale(pcap: &Path, huge: bool) -> Result<(f64, f64)> {
    let mut plane = start(pcap, 1, huge)?;
    add_routes(&mut plane, Load::Large)?;
    let begin = Instant::now();
    let changes: Vec<RouteChange> = (0..1_000_000_u32)
        .map(|route| {
            let network = Ipv4Addr::from(0x3000_0000 + (route << 8));
            Ok(RouteChange::Add {
                prefix: Ipv4Prefix::new(network, 24)?,
                next_hop: gateway(),
            })
        })
        .collect::<Result<_>>()?;
    plane.change_routes(&changes)?;
    let group = Group {
        verdicts: Arc::new(shared_table(Load::Large)?),
        match_on: MatchOn::Source,
    };
    plane.set_group(0, VRID, Some(group))?;
    plane.settle();
    drop(changes);
    let seconds = begin.elapsed().as_secs_f64();
    let resident = resident_mib()?;
    Ok((resident, seconds))
}

/// A data plane between a port that replays `pcap` for each of the workers and one that swallows.
pub(crate) fn start(pcap: &Path, workers: u16, huge: bool) -> Result<Dataplane> {
    let mut arguments = vec![
        "--in-memory".to_owned(),
        "--no-pci".to_owned(),
        "--no-telemetry".to_owned(),
        "--log-level=lib.*:error".to_owned(),
        format!("--file-prefix=manifold-bench-{}", std::process::id()),
        "--lcores".to_owned(),
        "0@(0,1)".to_owned(),
    ];
    if !huge {
        arguments.extend(["--no-huge".to_owned(), "-m".to_owned(), "1024".to_owned()]);
    }
    let eal = Eal::init(arguments)?;
    // A receive queue for each worker replays the file.
    let queues = format!("rx_pcap={},", pcap.display()).repeat(usize::from(workers));
    let replay = format!("net_pcap0,{queues}infinite_rx=1");
    let mut ports = vec![
        PortConfig::new("replay", &replay),
        PortConfig::new("swallow", "net_null0,no-rx=1"),
    ];
    ports[0].mac = Some(OWN_MAC);
    let workers = WorkerConfig {
        count: workers,
        pinning: Pinning::Cpus(WORKER_CPUS.to_vec()),
        mbufs: Some(MBUFS),
        ..WorkerConfig::default()
    };
    let (plane, _) = Dataplane::start(eal, ports, &workers)?;
    let mut control = CpuSet::new();
    control.set(CONTROL_CPU)?;
    sched_setaffinity(Pid::from_raw(0), &control)?;
    Ok(plane)
}

fn gateway() -> NextHop {
    NextHop::Gateway {
        port: 1,
        address: GATEWAY,
    }
}

/// The routes of a load, all of them to the swallowing port.
pub(crate) fn add_routes(plane: &mut Dataplane, load: Load) -> Result<()> {
    let connected = RouteChange::Add {
        prefix: "192.0.2.0/24".parse()?,
        next_hop: NextHop::Connected { port: 1 },
    };
    let routes = load.routes().into_iter().map(|(network, length)| {
        Ok(RouteChange::Add {
            prefix: Ipv4Prefix::new(network, length)?,
            next_hop: gateway(),
        })
    });
    let changes = std::iter::once(Ok(connected))
        .chain(routes)
        .collect::<Result<Vec<_>>>()?;
    plane.change_routes(&changes)?;
    plane.set_neighbour(1, GATEWAY, Some(GATEWAY_MAC));
    Ok(())
}

/// Every source host a condition of its own, counted by itself, all of them this router's; the rest is another's.
fn shared_table(load: Load) -> Result<VerdictTable> {
    table_counted(load, |index| 1 + index)
}

/// The same, each counted under the number that it is given.
pub(crate) fn table_counted(load: Load, number: impl Fn(u32) -> u32) -> Result<VerdictTable> {
    let mut builder = VerdictTable::builder(Verdict::Discard, 0).connected("10.0.0.0/16".parse()?);
    for index in 0..load.packets() {
        builder = builder.condition(load.source(index), Verdict::Route, number(index));
    }
    Ok(builder.build()?)
}

/// Nanoseconds of processor time that a worker has had, on average, so that what else the machine does counts less.
fn worker_cpu_ns() -> Result<u64> {
    let (mut workers, mut total) = (0, 0);
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        if fs::read_to_string(task.path().join("comm"))?.starts_with("worker-") {
            // The clock of a thread's processor time, as pthread_getcpuclockid(3) names it.
            let thread: nix::libc::clockid_t = task.file_name().to_string_lossy().parse()?;
            total += Duration::from(ClockId::from_raw(!thread << 3 | 6).now()?).as_nanos() as u64;
            workers += 1;
        }
    }
    total
        .checked_div(workers)
        .ok_or_else(|| "there is no thread worker-0".into())
}

/// Millions of packets that went through in `length`, for each second of processor time that a worker had; all of them left
/// (or, if not `sent`, were discarded).
pub(crate) fn measure(plane: &mut Dataplane, length: Duration, sent: bool) -> Result<f64> {
    measure_while(plane, length / 10, sent, |_| thread::sleep(length))
}

/// The same for as long as the control thread does something; `before` is for the first bursts after a change, which fill the caches.
pub(crate) fn measure_while(
    plane: &mut Dataplane,
    before: Duration,
    sent: bool,
    work: impl FnOnce(&Dataplane),
) -> Result<f64> {
    plane.settle();
    thread::sleep(before);
    let (begin, before) = (worker_cpu_ns()?, plane.counters().total());
    work(plane);
    let (end, counted) = (worker_cpu_ns()?, plane.counters().total().since(&before));
    let seconds = (end - begin) as f64 / 1e9;
    let received = counted.ports[0].rx_packets;
    let through = if sent {
        counted.ports[1].tx_packets
    } else {
        counted.discarded_total()
    };
    // Counters of a running worker are read one after the other, so they may be a few bursts apart.
    if received.abs_diff(through) > 100_000 {
        return Err(
            format!("of {received} packets {through} went where they should: {counted:?}").into(),
        );
    }
    Ok(through as f64 / seconds / 1e6)
}

fn swap(plane: &mut Dataplane, length: Duration) -> Result<Swap> {
    let begin = Instant::now();
    let tables = [
        Arc::new(shared_table(Load::Large)?),
        Arc::new(shared_table(Load::Large)?),
    ];
    let build_ms = begin.elapsed().as_secs_f64() * 1e3 / 2.0;
    plane.set_verdicts(0, VRID, Arc::clone(&tables[0]));
    plane.set_burst_times(true);
    plane.stop_forwarding();
    let before = plane.counters().total();
    plane.start_forwarding();
    thread::sleep(length / 10);
    let pause = length / SWAPS;
    let mut times = Vec::new();
    for swapping in [false, true] {
        let start = plane.burst_times(0).ok_or("there is no worker 0")?;
        for round in 0..SWAPS {
            // Both runs do the same but for the swap, so that the control thread costs the machine the same.
            if swapping {
                plane.set_verdicts(0, VRID, Arc::clone(&tables[(round % 2) as usize]));
            }
            plane.maintain();
            thread::sleep(pause);
        }
        let end = plane.burst_times(0).ok_or("there is no worker 0")?;
        times.push(end.since(&start));
    }
    plane.set_burst_times(false);
    plane.stop_forwarding();
    let counted = plane.counters().total().since(&before);
    let us = |cycles: u64| cycles as f64 / tsc_hz() * 1e6;
    Ok(Swap {
        p999_burst_us_idle: us(times[0].cycles_at(0.999)),
        p999_burst_us_swapping: us(times[1].cycles_at(0.999)),
        longest_us_idle: us(times[0].cycles_at(1.0)),
        longest_us_swapping: us(times[1].cycles_at(1.0)),
        lost: counted.ports[0]
            .rx_packets
            .abs_diff(counted.ports[1].tx_packets + counted.discarded_total()),
        swaps: SWAPS,
        build_ms,
    })
}

/// The rate of the time stamp counter, measured against the clock.
fn tsc_hz() -> f64 {
    let (begin, cycles) = (Instant::now(), dataplane::dpdk::tsc_cycles());
    thread::sleep(Duration::from_millis(50));
    (dataplane::dpdk::tsc_cycles() - cycles) as f64 / begin.elapsed().as_secs_f64()
}

fn resident_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
