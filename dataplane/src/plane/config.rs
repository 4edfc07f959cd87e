//! What the data plane is told at its start, and what it answers.

use std::time::Duration;

use thiserror::Error;

use crate::addr::MacAddr;
use crate::dpdk::{DeviceError, Errno, MempoolError, PortError, RegisterError, Rss};

/// A port to be opened.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// The operator's name for it.
    pub name: String,
    /// A PCI address, or a virtual device with its arguments.
    pub device: String,
    /// The kernel's interface that the device works on, if it does; its carrier is the port's link.
    pub kernel_interface: Option<String>,
    /// Its MAC; none to keep the device's own.
    pub mac: Option<MacAddr>,
    /// The largest IP packet on its network, in octets.
    pub mtu: u16,
    /// Receive queues; none for as many as there are workers and the device offers.
    pub rx_queues: Option<u16>,
    /// Descriptors of each receive queue.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue.
    pub tx_descriptors: u16,
    /// By which address to spread packets over several receive queues.
    pub rss: Rss,
}

impl PortConfig {
    /// A port with the usual values: MTU 1500, 1024 descriptors a queue, spread by source address.
    #[must_use]
    pub fn new(name: &str, device: &str) -> Self {
        Self {
            name: name.to_owned(),
            device: device.to_owned(),
            kernel_interface: None,
            mac: None,
            mtu: 1500,
            rx_queues: None,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            rss: Rss::Source,
        }
    }
}

/// On which processors the workers run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Wherever the kernel puts them.
    #[default]
    None,
    /// Worker 0 on the first, and so on.
    Cpus(Vec<usize>),
}

impl Pinning {
    pub(super) fn cpu(&self, worker: usize) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Cpus(cpus) => cpus.get(worker).copied(),
        }
    }
}

/// The workers to be started.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// How many; at least one.
    pub count: u16,
    /// Where.
    pub pinning: Pinning,
    /// How long a worker sleeps after a round that found nothing to do; zero to poll without a pause.
    pub idle_sleep: Duration,
    /// The priority by which a worker that sleeps when idle runs before ordinary threads, 1 to 99; one that polls without
    /// a pause would leave them nothing of its processor.
    pub realtime_priority: Option<u8>,
    /// The most frames to a burst, 1 to 64.
    pub burst: usize,
    /// The most packets in each worker's backlog.
    pub backlog: u32,
    /// Packet buffers in all; none for what queues, backlogs and caches can hold, and some to spare.
    pub mbufs: Option<u32>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            count: 1,
            pinning: Pinning::None,
            idle_sleep: Duration::ZERO,
            realtime_priority: None,
            burst: 64,
            backlog: 4096,
            mbufs: None,
        }
    }
}

/// A port that is open.
#[derive(Clone, Debug)]
pub struct PortHandle {
    /// Its index.
    pub index: u16,
    /// The operator's name for it.
    pub name: String,
    /// DPDK's name of the device.
    pub device: String,
    /// The driver's name.
    pub driver: String,
    /// Its MAC.
    pub mac: MacAddr,
    /// The largest IP packet on its network, in octets.
    pub mtu: u16,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues, one for each worker.
    pub tx_queues: u16,
    /// How packets are spread over the receive queues.
    pub rss: Rss,
    /// The NUMA node that it hangs on, or -1.
    pub socket: i32,
}

/// What the operator should know of a start that went well.
#[derive(Clone, Debug, Default)]
pub struct StartReport {
    /// Full sentences.
    pub warnings: Vec<String>,
}

/// Why the data plane did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A port's device.
    #[error("port {name}: {error}")]
    Device {
        /// The operator's name for the port.
        name: String,
        /// What is wrong.
        error: DeviceError,
    },
    /// A port.
    #[error("port {name}: {error}")]
    Port {
        /// The operator's name for the port.
        name: String,
        /// What is wrong.
        error: PortError,
    },
    /// Two ports are one device.
    #[error("ports {0} and {1} are the same device; give each its own")]
    SameDevice(String, String),
    /// Fewer receive queues than workers in all.
    #[error(
        "there are {workers} workers and {queues} receive queues in all: use fewer workers, or more queues"
    )]
    IdleWorkers {
        /// Workers.
        workers: u16,
        /// Receive queues of all ports.
        queues: u16,
    },
    /// No port, or no worker.
    #[error("a data plane needs at least one port and one worker")]
    Nothing,
    /// A processor that the kernel does not give a worker.
    #[error(
        "worker {worker} may not run on processor {cpu} ({error}): it is not online, or not in the cpuset of this \
         process's control group. Choose another one (`cpus` in [workers]); `manifold check` lists them"
    )]
    Cpu {
        /// The worker.
        worker: usize,
        /// The processor.
        cpu: usize,
        /// What the kernel said.
        error: nix::Error,
    },
    /// The pool of packet buffers.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    /// A worker thread.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The commands of the telemetry socket.
    #[error(
        "DPDK takes no commands for its telemetry socket ({0}): this release has no room for more, or has some of these names \
         already. Use one that was tested (docs/architecture.md)"
    )]
    Telemetry(Errno),
    /// Memory for tables, or a thread.
    #[error(
        "the system gives no memory for the tables, or no thread for a worker: {0}. Raise its limits (ulimit -v, -u; of a service \
         MemoryMax, TasksMax), or ask for less (`count`, `backlog` in [workers])"
    )]
    System(#[from] std::io::Error),
}
