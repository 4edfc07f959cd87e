//! How the data plane comes up: ports, pool, queues dealt to workers, threads.

use std::sync::{Arc, mpsc};
use std::thread;

use arc_swap::ArcSwap;

use super::backlog::Inspection;
use super::config::{PortConfig, PortHandle, StartError, StartReport, WorkerConfig};
use super::handover::Handovers;
use super::neighbours::Asked;
use super::pool::{PoolDemand, make_pool};
use super::routing::Routing;
use super::{Dataplane, OpenPort, Running, telemetry};
use crate::addr::MacAddr;
use crate::backlog::Backlog;
use crate::counters::Counters;
use crate::dpdk::{
    BURST_MAX, Carrier, Device, Eal, Mempool, Port, PortInfo, QueueDemand, Rss, TxQueue, pin,
};
use crate::grace::Grace;
use crate::handover::{ASKED_MAX, WorkerPart};
use crate::road::{Doors, Egress, HeldLimit, Ingress};
use crate::shared::{RingSizes, Shared};
use crate::sweep::{Listening, Sweeper};
use crate::tables::{ForwardingMode, PortTable, Tables};
use crate::worker::Worker;

/// Rings between a worker and the control thread, in frames. VRRP's holds advertisements of 255 groups several times over.
pub(super) const RINGS: RingSizes = RingSizes {
    vrrp: 2048,
    arp: 1024,
    rest: 1024,
    outgoing: 2048,
    commands: 2 * ASKED_MAX,
    learned: 1024,
    wanted: 1024,
};

impl Dataplane {
    /// Opens the ports and starts the workers, which forward nothing until [`Dataplane::start_forwarding`].
    ///
    /// # Errors
    /// [`StartError`], which names the port and the remedy; whatever was opened is closed again.
    pub fn start(
        eal: Eal,
        ports: Vec<PortConfig>,
        config: &WorkerConfig,
    ) -> Result<(Self, StartReport), StartError> {
        if ports.is_empty() || config.count == 0 {
            return Err(StartError::Nothing);
        }
        let mut report = StartReport::default();
        let probed = probe(&eal, ports)?;
        let demand = PoolDemand::of(probed.iter().map(|(port, _)| port), config);
        let pool = make_pool(&eal, &probed, demand)?;
        let mut opened = Vec::new();
        for (index, (config_of_port, port)) in probed.into_iter().enumerate() {
            let name = config_of_port.name.clone();
            let open = open(
                index as u16,
                config_of_port,
                port,
                &pool,
                config.count,
                &mut report,
            )
            .map_err(|error| StartError::Port { name, error })?;
            opened.push(open);
        }
        let queues = opened.iter().map(|port| port.ingress.len()).sum::<usize>();
        if queues < usize::from(config.count) {
            return Err(StartError::IdleWorkers {
                workers: config.count,
                queues: queues as u16,
            });
        }
        launch(eal, pool, demand, opened, config).map(|plane| (plane, report))
    }
}

fn probe(eal: &Eal, ports: Vec<PortConfig>) -> Result<Vec<(PortConfig, Port)>, StartError> {
    let mut probed: Vec<(Device, PortConfig, Port)> = Vec::new();
    for config in ports {
        let name = || config.name.clone();
        let device = Device::probe(eal, &config.device).map_err(|error| StartError::Device {
            name: name(),
            error,
        })?;
        if let Some((_, other, _)) = probed.iter().find(|(known, ..)| *known == device) {
            return Err(StartError::SameDevice(other.name.clone(), config.name));
        }
        let port = Port::new(device).map_err(|error| StartError::Port {
            name: name(),
            error,
        })?;
        probed.push((device, config, port));
    }
    Ok(probed
        .into_iter()
        .map(|(_, config, port)| (config, port))
        .collect())
}

/// A port with its queues before they are dealt to workers.
struct Opened {
    port: OpenPort,
    table: PortTable,
    ingress: Vec<Ingress>,
    transmit: Vec<TxQueue>,
    /// Of each receive queue.
    rx_descriptors: u16,
}

fn open(
    index: u16,
    config: PortConfig,
    mut port: Port,
    pool: &Mempool,
    workers: u16,
    report: &mut StartReport,
) -> Result<Opened, crate::dpdk::PortError> {
    let info = port.info()?;
    let name = &config.name;
    let rx_queues = config
        .rx_queues
        .unwrap_or_else(|| workers.min(info.max_rx_queues))
        .max(1);
    let demand = QueueDemand {
        rx_queues,
        tx_queues: workers,
        rx_descriptors: config.rx_descriptors,
        tx_descriptors: config.tx_descriptors,
        mtu: config.mtu,
        rss: if rx_queues > 1 { config.rss } else { Rss::None },
    };
    let configured = port.configure(&demand, pool)?;
    if rx_queues > 1 {
        report
            .warnings
            .extend(rss_warning(name, &info, config.rss, configured.rss));
    }
    if !configured.mtu_set {
        report.warnings.push(format!(
            "port {name}: driver {} takes no MTU of {}; the device's own limit remains",
            info.driver, config.mtu
        ));
    }
    let mut receives_everything = false;
    let mac = match (config.mac, port.mac()?) {
        (None, own) if own.is_station() => own,
        (wanted, _) => {
            let mac = wanted.unwrap_or(MacAddr([
                0x02,
                0x6d,
                0x66,
                0,
                (index >> 8) as u8,
                index as u8,
            ]));
            if port.set_mac(mac).is_err() {
                // Virtual devices without an address of their own receive everything anyway.
                let _ = port.receive_everything();
                receives_everything = true;
            }
            mac
        }
    };
    let (receive, transmit) = port.start()?;
    let carrier = config.kernel_interface.as_deref().map(Carrier::new);
    let carrier = carrier.transpose().unwrap_or_else(|error| {
        report.warnings.push(format!(
            "port {name}: whether its link is up cannot be told: {error}"
        ));
        None
    });
    if port.receive_all_multicast().is_err() && port.receive_everything().is_err() {
        report.warnings.push(format!(
            "port {name}: driver {} cannot be told to receive multicast",
            info.driver
        ));
    }
    Ok(Opened {
        table: PortTable::new(mac, config.mtu),
        ingress: receive
            .into_iter()
            .map(|queue| Ingress { port: index, queue })
            .collect(),
        transmit,
        rx_descriptors: configured.rx_descriptors,
        port: OpenPort {
            handle: PortHandle {
                index,
                name: config.name,
                device: info.device,
                driver: info.driver,
                mac,
                mtu: config.mtu,
                rx_queues,
                tx_queues: workers,
                rss: configured.rss,
                socket: info.socket,
            },
            port,
            carrier,
            receives_everything,
        },
    })
}

fn rss_warning(name: &str, info: &PortInfo, wanted: Rss, got: Rss) -> Option<String> {
    if wanted == got {
        return None;
    }
    let driver = &info.driver;
    Some(match got {
        Rss::None => format!(
            "port {name}: driver {driver} spreads packets over its queues in a way of its own, not by IPv4 address"
        ),
        _ => format!(
            "port {name}: driver {driver} spreads packets over its queues by both IPv4 addresses, not by one: \
             packets of one end system to different destinations may overtake each other"
        ),
    })
}

fn launch(
    eal: Eal,
    pool: Mempool,
    demand: PoolDemand,
    opened: Vec<Opened>,
    config: &WorkerConfig,
) -> Result<Dataplane, StartError> {
    let ports = opened.len();
    let workers = usize::from(config.count);
    let routing = Routing::new()?;
    let mut ingress: Vec<Vec<Ingress>> = (0..workers).map(|_| Vec::new()).collect();
    let mut egress: Vec<Vec<Egress>> = (0..workers).map(|_| Vec::new()).collect();
    let mut tables = Vec::new();
    let mut open_ports = Vec::new();
    let longest_queue = opened.iter().map(|port| port.rx_descriptors).max();
    let longest_queue = usize::from(longest_queue.unwrap_or(0));
    let burst = config.burst.clamp(1, BURST_MAX);
    let mut next = 0;
    for (index, port) in opened.into_iter().enumerate() {
        // Queue by queue round all workers, so that none is left idle and each gets some of every port.
        for queue in port.ingress {
            ingress[next % workers].push(queue);
            next += 1;
        }
        for (worker, queue) in port.transmit.into_iter().enumerate() {
            egress[worker].push(Egress::new(index, queue));
        }
        tables.push(Arc::new(port.table));
        open_ports.push(port.port);
    }
    let tables = Arc::new(ArcSwap::from_pointee(Tables {
        generation: 1,
        forwarding: false,
        mode: ForwardingMode::Route,
        burst_times: false,
        ports: tables,
        fib: Arc::clone(routing.fib_table()),
        hops: routing.hops(),
        own: Arc::default(),
    }));
    let mut shared = Vec::new();
    for _ in 0..workers {
        shared.push(Arc::new(Shared::new(ports, RINGS)?));
    }
    let handles = open_ports.iter().map(|port: &OpenPort| &port.handle);
    let mut plane = Dataplane {
        _telemetry: telemetry::tell(&eal, handles, &shared).map_err(StartError::Telemetry)?,
        workers: Vec::new(),
        ports: open_ports,
        pool,
        _eal: eal,
        tables: Arc::clone(&tables),
        retired: Vec::new(),
        grace: Grace::new(
            shared
                .iter()
                .map(|shared| Arc::clone(&shared.taken_up))
                .collect(),
        ),
        listening: Listening::new(
            shared
                .iter()
                .map(|shared| Arc::clone(&shared.sweeps))
                .collect(),
        ),
        routing,
        cleared: Counters {
            workers: shared
                .iter()
                .map(|shared| shared.counters.snapshot())
                .collect(),
        },
        first_punts: 0,
        backlogs: (0..workers).map(|_| Inspection::default()).collect(),
        backlog_capacity: config.backlog as usize,
        handovers: Handovers::default(),
        asked: (0..workers).map(|_| Asked::default()).collect(),
        first_learned: 0,
        _one_thread: std::marker::PhantomData,
    };
    let (started, reports) = mpsc::channel();
    for (index, ((shared, ingress), egress)) in
        shared.into_iter().zip(ingress).zip(egress).enumerate()
    {
        // A quarter of the backlog stays for congestion, whatever is on hold.
        let worker = Worker {
            doors: Doors::new(
                Arc::clone(&shared),
                Backlog::new(config.backlog, ports),
                HeldLimit(demand.held as usize),
                WorkerPart::default(),
            ),
            shared: Arc::clone(&shared),
            tables: Arc::clone(&tables),
            ingress,
            egress,
            sweeper: Sweeper::new(longest_queue, burst),
            burst,
            idle_sleep: config.idle_sleep,
            realtime_priority: config
                .realtime_priority
                .filter(|_| !config.idle_sleep.is_zero()),
        };
        let (started, cpu) = (started.clone(), config.pinning.cpu(index));
        let tell = move |result: Result<(), StartError>| {
            // Nobody listens only if the start has failed already.
            let _ = started.send(result);
        };
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                if let Some(cpu) = cpu
                    && let Err(error) = pin(cpu)
                {
                    tell(Err(StartError::Cpu {
                        worker: index,
                        cpu,
                        error,
                    }));
                    return worker;
                }
                // `tell` goes with its call: the start waits until nobody can tell any more.
                worker.run(move |registered| tell(registered.map_err(StartError::Register)))
            })?;
        plane.workers.push(Running {
            shared,
            thread: Some(thread),
        });
    }
    drop(started);
    for result in reports {
        result?;
    }
    Ok(plane)
}
