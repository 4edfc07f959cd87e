//! One process under measurement: a data plane with its workers between a replaying port and a swallowing one.
//!
//! All its phases have the same frames in the same memory. It does what it is asked to, line by line, and answers each line with a
//! figure or an object in JSON. Not here: who asks, and what becomes of the figures.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
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
use vrrpd::sharing::allocation::{self, Measure, Share, allocate};
use vrrpd::sharing::names::RouterId;

use crate::traffic::Load;

pub(crate) const VRID: u8 = 1;
/// Where all frames go: the virtual MAC of the group, and the replaying port's own, so that the same frames are those of a router
/// without load sharing while there is no group.
pub(crate) const ROUTER_MAC: MacAddr = MacAddr::virtual_v4(VRID);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xbb]);
/// Where the control thread stays once the workers run; a second worker shares the processor with it.
const CONTROL_CPU: usize = 0;
const WORKER_CPUS: [usize; 2] = [1, 0];
const MBUFS: u32 = 262_143;
/// How long an idle worker sleeps: while others are measured it leaves them the processor. In a phase none is idle.
const IDLE_SLEEP: Duration = Duration::from_micros(200);
const SWAPS: u32 = 1000;
/// How long they take together, and as many pauses without one.
const SWAPS_TAKE: Duration = Duration::from_millis(500);

/// Burst times without and with swaps, of one pair of runs.
#[derive(Debug, Default, Serialize, Deserialize)]
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

/// What the worker does while it is measured.
#[derive(Clone, Copy)]
enum Phase {
    Io,
    Route,
    RouteShared,
    Discard,
}

impl Phase {
    fn named(name: &str) -> Option<Self> {
        match name {
            "io" => Some(Self::Io),
            "route" => Some(Self::Route),
            "route_shared" => Some(Self::RouteShared),
            "discard" => Some(Self::Discard),
            _ => None,
        }
    }

    /// Makes the data plane do it; `shared` says of whom this router is in charge.
    fn begin(self, plane: &mut Dataplane, shared: &Arc<VerdictTable>) -> Result<()> {
        let verdicts = match self {
            Self::Io | Self::Route => None,
            Self::RouteShared => Some(Arc::clone(shared)),
            Self::Discard => Some(Arc::new(VerdictTable::uniform(Verdict::Discard, 0))),
        };
        let group = verdicts.map(|verdicts| Group {
            verdicts,
            match_on: MatchOn::Source,
        });
        plane.set_group(0, VRID, group)?;
        plane.set_mode(match self {
            Self::Io => ForwardingMode::Io,
            _ => ForwardingMode::Route,
        });
        Ok(())
    }
}

/// Starts a data plane over the frames of `pcap`, and does what standard input asks until it ends.
pub(crate) fn serve(load: Load, pcap: &Path, workers: u16, huge: bool) -> Result<()> {
    let begin = Instant::now();
    let mut plane = start(pcap, workers, huge)?;
    add_routes(&mut plane, load)?;
    let shared = Arc::new(shared_table(load)?);
    Phase::RouteShared.begin(&mut plane, &shared)?;
    plane.settle();
    plane.start_forwarding();
    while plane.counters().total().ports[1].tx_packets == 0 {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err(format!("nothing was forwarded: {:?}", plane.counters().total()).into());
        }
        thread::sleep(Duration::from_micros(100));
    }
    let start_ms = begin.elapsed().as_secs_f64() * 1e3;
    plane.stop_forwarding();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["phase", name, milliseconds] => {
                let phase = Phase::named(name).ok_or_else(|| format!("no phase {name:?}"))?;
                phase.begin(&mut plane, &shared)?;
                let length = Duration::from_millis(milliseconds.parse()?);
                plane.start_forwarding();
                let mpps = measure(&mut plane, length, !matches!(phase, Phase::Discard))?;
                plane.stop_forwarding();
                say(&mpps)?;
            }
            // From the start of the process to the first packet out.
            ["start_ms"] => say(&start_ms)?,
            // Besides the packet buffers, which lie on huge pages.
            ["resident_mib"] => say(&resident_mib()?)?,
            ["swap"] => {
                Phase::RouteShared.begin(&mut plane, &shared)?;
                say(&swap(&mut plane, SWAPS_TAKE)?)?;
            }
            _ => return Err(format!("not understood: {line:?}").into()),
        }
    }
    let leak = plane.shutdown();
    if leak.mbufs != 0 {
        return Err(format!("{} packet buffers did not come back", leak.mbufs).into());
    }
    Ok(())
}

fn say(answer: &impl Serialize) -> Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(answer)?)?;
    Ok(output.flush()?)
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
    ports[0].mac = Some(ROUTER_MAC);
    let workers = WorkerConfig {
        count: workers,
        pinning: Pinning::Cpus(WORKER_CPUS.to_vec()),
        mbufs: Some(MBUFS),
        idle_sleep: IDLE_SLEEP,
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

/// Every source host a condition of its own, counted by itself; the allocation has this router in charge of all of them, as the only
/// one that works. The rest is another's.
pub(crate) fn shared_table(load: Load) -> Result<VerdictTable> {
    let this_router = RouterId::new(1).ok_or("0 is no router")?;
    let share = Share {
        router: this_router,
        weight: 1,
    };
    let nobodys = allocation::Load {
        bit_per_s: 0,
        router: None,
        pinned: false,
    };
    let conditions = vec![nobodys; load.packets() as usize];
    let mut builder =
        VerdictTable::builder(Verdict::Discard, 0).connected("10.0.0.0/16".parse()?, 1);
    for (index, router) in (0..).zip(allocate(Measure::Count, &[share], &conditions)) {
        let verdict = if router == Some(this_router) {
            Verdict::Route
        } else {
            Verdict::Discard
        };
        builder = builder.condition(load.source(index), verdict, 1 + index);
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

/// How often a phase in which the worker had less than half of the time is measured anew, because the machine was elsewhere.
const TRIES: u32 = 50;

/// Millions of packets that went through in `length`, for each second of processor time that a worker had; all of them left
/// (or, if not `sent`, were discarded).
pub(crate) fn measure(plane: &mut Dataplane, length: Duration, sent: bool) -> Result<f64> {
    for _ in 0..TRIES {
        let (mpps, worked) = measure_while(plane, length / 10, sent, |_| thread::sleep(length))?;
        if worked >= length / 2 {
            return Ok(mpps);
        }
    }
    Err(format!("the worker did not get {length:?} of its processor in {TRIES} tries").into())
}

/// The same for as long as the control thread does something, and the processor time; `before` is for the first bursts after a change,
/// which fill the caches.
pub(crate) fn measure_while(
    plane: &mut Dataplane,
    before: Duration,
    sent: bool,
    work: impl FnOnce(&Dataplane),
) -> Result<(f64, Duration)> {
    plane.settle();
    thread::sleep(before);
    let (begin, before) = (worker_cpu_ns()?, plane.counters().total());
    work(plane);
    let (end, counted) = (worker_cpu_ns()?, plane.counters().total().since(&before));
    let worked = Duration::from_nanos(end - begin);
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
    Ok((through as f64 / worked.as_secs_f64() / 1e6, worked))
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
