//! `manifold run`: brings everything up in order, each failure with its remedy, and hands over to the control loop.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use dataplane::dpdk::{Eal, EalError, Rss as DpdkRss, schedule_realtime};
use dataplane::{Dataplane, Pinning, PortConfig, StartError, WorkerConfig, WorkerLost};
use thiserror::Error;

use crate::config::{Config, LoadError, Machine, Rss};
use crate::console::Console;
use crate::control::answers::Answers;
use crate::control::road::Road;
use crate::control::router::ConfigureError;
use crate::control::vrrp::HookRunner;
use crate::control::vrrp::hooks::TIME_LIMIT;
use crate::control::{Control, Outside};
use crate::ctl::{Server, SocketError};
use crate::eal;
use crate::log::Log;
use crate::request;
use crate::signals::Signals;
use crate::supervisor::Supervisor;

/// Why the router did not start, or did not end well.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// Another router has the control socket, or it cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// DPDK's environment does not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// A port or a worker does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A worker has ended by itself.
    #[error(transparent)]
    Worker(#[from] WorkerLost),
    /// Routes or virtual routers are refused.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// The system does not give what every program needs.
    #[error(
        "the system refuses {what}: {error}. Raise the limits on threads, open files and memory (ulimit -u, -n, -v; of a \
         service TasksMax, LimitNOFILE, MemoryMax)"
    )]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// A line at the prompt or in a batch failed, which was told there.
    #[error("the console failed")]
    Console,
}

fn refused(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |error| RunError::System { what, error }
}

/// Runs the router that `file` describes until it is told to stop, with a prompt if it is `interactive`. `eal_extra` are the
/// operator's arguments for the EAL.
///
/// # Errors
/// [`RunError`], which says what to do.
pub fn run(file: &Path, interactive: bool, eal_extra: &[String]) -> Result<(), RunError> {
    let machine = Machine::look();
    let config = Config::load(file, &machine)?;
    // Ends last, so that everything is written before the caller says why the router did not start.
    let (log, _writer) = Log::start(&config.log).map_err(refused("a thread for the log"))?;
    let signals = Signals::catch().map_err(refused("signal handlers"))?;
    let (asker, requests) = request::queue(request::PATIENCE);
    // First of all, so that a second router on the same socket disturbs nothing of the first one's.
    let server = Server::start(&config.control.socket, asker.clone())?;

    let ports: Vec<PortConfig> = config.ports.iter().map(port).collect();
    let workers = workers(&config);
    let eal = eal::arguments(
        &config,
        eal_extra,
        &machine,
        eal::huge_pages_free(),
        dataplane::pool_octets(&ports, &workers),
    );
    if let Some(note) = eal.note {
        tracing::warn!("{note}");
    }
    let eal = Eal::init(&eal.arguments)?;
    let (dataplane, report) = Dataplane::start(eal, ports, &workers)?;
    for warning in report.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(priority) = config.control.realtime_priority
        && let Err(error) = schedule_realtime(priority)
    {
        tracing::warn!(
            "the system schedules this process like any other ({error}): let it have CAP_SYS_NICE, \
             or remove `realtime-priority` of [control]"
        );
    }
    let answers = Answers::new(server.counters());
    let road = Road::new(
        dataplane,
        HookRunner::start(TIME_LIMIT).map_err(refused("a thread for `notify`"))?,
    );
    let outside = Outside {
        requests,
        signals,
        log,
        supervisor: Supervisor::from_environment(),
    };
    let control = Control::new(
        file,
        config,
        road,
        answers,
        outside,
        random().map_err(refused("random numbers (/dev/urandom)"))?,
    )?;
    tracing::info!("forwarding");

    let console = interactive
        .then(|| Console::open(asker))
        .transpose()
        .map_err(refused("a thread for the console"))?;
    let ended = control.run();
    drop(server);
    ended?;
    match console {
        Some(console) if console.failed() => Err(RunError::Console),
        _ => Ok(()),
    }
}

/// A number that nobody can guess.
fn random() -> io::Result<u64> {
    let mut octets = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(u64::from_ne_bytes(octets))
}

fn port(port: &crate::config::PortConfig) -> PortConfig {
    PortConfig {
        kernel_interface: port.device.kernel_interface().map(str::to_owned),
        mac: port.mac,
        mtu: port.mtu,
        rx_queues: port.rx_queues.as_ref().map(|queues| queues.value),
        rss: match port.rss {
            Rss::None => DpdkRss::None,
            Rss::Both => DpdkRss::Both,
            Rss::Source => DpdkRss::Source,
            Rss::Destination => DpdkRss::Destination,
        },
        ..PortConfig::new(&port.name, &port.device.to_string())
    }
}

fn workers(config: &Config) -> WorkerConfig {
    let workers = &config.workers;
    WorkerConfig {
        count: workers.count.value,
        pinning: if workers.cpus.is_empty() {
            Pinning::None
        } else {
            Pinning::Cpus(workers.cpus.iter().map(|cpu| cpu.value).collect())
        },
        idle_sleep: workers.idle_sleep,
        // The control thread has a say even where a worker has no end of work.
        realtime_priority: config
            .control
            .realtime_priority
            .map(|priority| priority - 1),
        burst: usize::from(workers.burst_size),
        backlog: workers.backlog,
        mbufs: workers.mbufs,
    }
}
