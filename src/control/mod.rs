//! The control thread, which owns every table, all protocol state and every decision.
//! Console and socket threads only bring it requests.
//!
//! | file | what lives there |
//! |---|---|
//! | this one | the loop: when what is done |
//! | `router.rs` | the decisions: host, virtual routers and routes put together |
//! | `road.rs` | the data plane's side: what is decided becomes commands for the workers |
//! | `plan.rs`, `reload.rs` | what follows from a configuration, and what of it can change while running |
//! | `host/`, `vrrp/`, `routes.rs` | what a host does, the virtual routers, the routes |

pub mod answers;
pub mod host;
pub mod plan;
pub mod reload;
pub mod road;
pub mod router;
pub mod routes;
pub mod vrrp;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use dataplane::WorkerLost;
use dataplane::addr::MacAddr;
use dataplane::counters::PuntClass;
use dataplane::dpdk::Mbuf;
use thiserror::Error;
use vrrpd::{Moment, Time};

use crate::command::Command;
use crate::config::{Config, LoadError, Machine, duration_text};
use crate::log::Log;
use crate::request::Request;
use crate::show::{Answer, Done};
use crate::signals::Signals;
use crate::supervisor::Supervisor;
use answers::{Answers, Sources};
use host::{HostConfig, PortIndex};
use reload::{Reload, ReloadError};
use road::Road;
use router::{ConfigureError, Router};

/// Frames of VRRP taken up in a round: all that wait in the rings of several workers, and yet no more than a moment's work
/// under a flood.
const VRRP_BUDGET: usize = 16_384;
/// Frames of ARP taken up in a round.
const ARP_BUDGET: usize = 256;
/// Other frames taken up in a round.
const REST_BUDGET: usize = 256;
/// Requests answered in a round.
const REQUEST_BUDGET: usize = 16;
/// How long hooks may go on at the end.
const HOOKS_PATIENCE: Duration = Duration::from_secs(1);
/// How often the drivers are asked for the state of their links.
const LINK_LOOK: Duration = Duration::from_millis(10);
/// The shortest sleep: what is due may have to wait for a worker, which may have to wait for this processor.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);

/// The control thread's state. It stays on the thread that started DPDK.
#[derive(Debug)]
pub struct Control {
    file: PathBuf,
    config: Config,
    road: Road,
    router: Router<Mbuf>,
    answers: Answers,
    outside: Outside,
    /// A new configuration that is being read, and who asked for it.
    reading: Option<Reading>,
    clock: Instant,
    /// Everything that had arrived by then has been handed over.
    heard: Time,
    /// By port: whether its link was up at the last look.
    links: Vec<bool>,
    next_link_look: Time,
    quit: bool,
    /// By when everything is to be given away; the router ends then.
    drain_until: Option<Time>,
}

/// What connects the control thread with the outside.
#[derive(Debug)]
pub struct Outside {
    /// What is asked of it.
    pub requests: Receiver<Request>,
    /// What signals ask of it.
    pub signals: Signals,
    /// The log, whose level the configuration names.
    pub log: Log,
    /// The service manager.
    pub supervisor: Supervisor,
}

/// A new configuration that is being read. A large file, or a slow disk, must not hold the protocol up, so that another
/// thread reads it.
#[derive(Debug)]
struct Reading {
    result: Receiver<Result<Config, LoadError>>,
    /// Who is told what became of it; a signal is told by the log.
    asked_by: Vec<Request>,
    /// Who asked since, if anybody did.
    next: Option<Vec<Request>>,
}

/// Why a new configuration is not in force.
#[derive(Debug, Error)]
enum ReloadFailed {
    #[error("no thread to read the file: {0}")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Reload(#[from] ReloadError),
    #[error(transparent)]
    Configure(#[from] ConfigureError),
}

impl Control {
    /// Puts `config`, which was read from `file`, in force over a data plane that was started with it. `seed` is random.
    ///
    /// # Errors
    /// The routes do not fit, or the protocol refuses a virtual router.
    pub fn new(
        file: &Path,
        config: Config,
        road: Road,
        answers: Answers,
        outside: Outside,
        seed: u64,
    ) -> Result<Self, ConfigureError> {
        let ports = road.dataplane.ports().len();
        let mut control = Self {
            file: file.to_owned(),
            config,
            road,
            router: Router::new(HostConfig::default(), seed),
            answers,
            outside,
            reading: None,
            clock: Instant::now(),
            heard: Time::ZERO,
            links: vec![false; ports],
            next_link_look: Time::ZERO,
            quit: false,
            drain_until: None,
        };
        let config = control.config.clone();
        control.configure(&config)?;
        control.road.dataplane.start_forwarding();
        Ok(control)
    }

    /// Goes round until a signal or a command ends it, which gives away first what it is in charge of; then masters resign,
    /// workers and ports stop, and what was lost of the packet buffers is logged.
    ///
    /// # Errors
    /// A worker has ended by itself, and the router with it, so that another one takes over.
    pub fn run(mut self) -> Result<(), WorkerLost> {
        self.outside.supervisor.ready();
        let mut workers = Ok(());
        while workers.is_ok() && !self.ends() {
            let busy = self.round();
            if !busy {
                self.wait();
            }
            workers = self.road.dataplane.check_workers();
        }
        if let Err(lost) = &workers {
            tracing::error!("{lost}");
        }
        self.stop();
        workers
    }

    /// Whether it is time to end. Told to stop, the router first gives away what it is in charge of; told so again, it ends.
    fn ends(&mut self) -> bool {
        if self.outside.signals.take_stop() {
            if self.drain_until.is_some() {
                tracing::warn!(
                    "told to stop a second time; ending before everything is given away"
                );
                return true;
            }
            self.begin_drain();
        }
        let Some(until) = self.drain_until else {
            return self.quit;
        };
        let drained = self.router.vrrp().is_drained();
        if !drained && self.at().now >= until {
            tracing::warn!(
                "not everything could be given away within {}; ending all the same",
                duration_text(self.config.control.stop_limit)
            );
            return true;
        }
        self.quit || drained
    }

    fn begin_drain(&mut self) {
        self.outside.supervisor.stopping();
        let at = self.at();
        self.drain_until
            .get_or_insert(at.now + self.config.control.stop_limit);
        self.router.vrrp_mut().drain(at);
    }

    /// One round: everything of VRRP that has arrived, then so much of the rest, then timers. Returns whether more frames wait.
    fn round(&mut self) -> bool {
        // The time is taken before the frames, so that none that arrived in time is taken for late; and the workers, which may
        // not have run, are asked how far they are before their rings are emptied.
        let at = self.listen();
        let now = at.now;
        self.look_at_links(at);
        let vrrp = self.take_vrrp(at);
        let arp = self.take(now, PuntClass::Arp, ARP_BUDGET);
        let rest = self.take(now, PuntClass::Rest, REST_BUDGET);
        self.router.hear_workers(at, &mut self.road);
        self.router.carry_out(at, &mut self.road);
        self.router.tick(at);
        self.router.carry_out(at, &mut self.road);
        self.router.publish(&mut self.road);
        if self.outside.signals.take_reload() {
            self.begin_reload(Vec::new());
        }
        self.end_reload();
        for _ in 0..REQUEST_BUDGET {
            let Ok(request) = self.outside.requests.try_recv() else {
                break;
            };
            self.serve(request);
        }
        let (answers, mut sources) = self.sources(at);
        answers.poll(&mut sources);
        self.road.dataplane.maintain();
        self.outside.supervisor.alive(now);
        vrrp == VRRP_BUDGET || arp == ARP_BUDGET || rest == REST_BUDGET
    }

    /// Now, and up to when everything that has arrived will have been handed over once the punt rings have been emptied.
    fn listen(&mut self) -> Moment {
        let now = Instant::now();
        let since_start = |at: Instant| Time::ZERO + at.duration_since(self.clock);
        if let Some(polled) = self.road.dataplane.polled_until(now) {
            self.heard = since_start(polled);
        }
        Moment {
            now: since_start(now),
            heard: self.heard,
        }
    }

    fn take_vrrp(&mut self, at: Moment) -> usize {
        let router = &mut self.router;
        self.road
            .dataplane
            .poll_punts(PuntClass::Vrrp, VRRP_BUDGET, &mut |punted| {
                router.on_vrrp(at, punted.port, punted.mbuf.data());
            })
    }

    fn take(&mut self, now: Time, class: PuntClass, budget: usize) -> usize {
        let router = &mut self.router;
        self.road
            .dataplane
            .poll_punts(class, budget, &mut |punted| {
                router.on_punt(now, punted.port, punted.mbuf);
            })
    }

    fn look_at_links(&mut self, at: Moment) {
        if at.now < self.next_link_look {
            return;
        }
        self.next_link_look = at.now + LINK_LOOK;
        for (port, was_up) in (0 as PortIndex..).zip(&mut self.links) {
            // A driver that does not say has a link: frames will tell.
            let up = match self.road.dataplane.link(port) {
                Ok(Some(link)) => link.up,
                Ok(None) | Err(_) => true,
            };
            if up != *was_up {
                let name = self.config.ports.get(usize::from(port));
                let name = name.map_or("", |port| port.name.as_str());
                tracing::info!(port = name, "link {}", if up { "up" } else { "down" });
                if !up {
                    self.router.forget_neighbours(port);
                }
            }
            *was_up = up;
            self.router.on_link(at, port, up);
        }
    }

    /// Sleeps until the next timer or request, a tick at most.
    fn wait(&mut self) {
        let tick = self.config.control.tick;
        let pause = match self.router.poll_timeout() {
            Some(due) => tick.min(due.since(self.at().now).max(SHORTEST_PAUSE)),
            None => tick,
        };
        match self.outside.requests.recv_timeout(pause) {
            Ok(request) => self.serve(request),
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody can ask any more, which happens only at the end.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(pause),
        }
    }

    fn serve(&mut self, request: Request) {
        match &request.command {
            Command::Reload => self.begin_reload(vec![request]),
            Command::Drain => {
                self.begin_drain();
                let text = "the router gives everything away, then ends";
                request.answer(Ok(Answer::Done(Done::new(text))));
            }
            Command::Quit => {
                self.quit = true;
                request.answer(Ok(Answer::Done(Done::new("the router ends"))));
            }
            _ => {
                let at = self.at();
                let (answers, mut sources) = self.sources(at);
                answers.take(request, &mut sources);
            }
        }
    }

    /// The answers to commands, and what they are made from.
    fn sources(&mut self, at: Moment) -> (&mut Answers, Sources<'_>) {
        let sources = Sources {
            at,
            config: &mut self.config,
            router: &mut self.router,
            road: &mut self.road,
        };
        (&mut self.answers, sources)
    }

    /// Has the file read again; those who asked wait for what comes of it.
    fn begin_reload(&mut self, asked_by: Vec<Request>) {
        if let Some(reading) = &mut self.reading {
            // The file may have been read before the change that is meant now: it is read once more.
            reading.next.get_or_insert_default().extend(asked_by);
            return;
        }
        let (sender, result) = bounded(1);
        let file = self.file.clone();
        let thread = thread::Builder::new().name("reload".into()).spawn(move || {
            // Only at the end does nobody wait for it any more.
            let _ = sender.send(Config::load(&file, &Machine::look()));
        });
        match thread {
            Ok(_) => {
                self.reading = Some(Reading {
                    result,
                    asked_by,
                    next: None,
                });
            }
            Err(error) => tell(asked_by, &Err(error.into())),
        }
    }

    /// Puts in force what has been read, if it has.
    fn end_reload(&mut self) {
        let Some(reading) = self.reading.take() else {
            return;
        };
        let result = match reading.result.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => {
                self.reading = Some(reading);
                return;
            }
            Err(TryRecvError::Disconnected) => Err(LoadError::Unreadable {
                path: self.file.clone(),
                source: io::Error::other("the thread that read it has panicked"),
            }),
        };
        let outcome = self.take_over(result);
        tell(reading.asked_by, &outcome);
        if let Some(next) = reading.next {
            self.begin_reload(next);
        }
    }

    /// Puts in force what can change. Returns what to say about it.
    fn take_over(&mut self, new: Result<Config, LoadError>) -> Result<String, ReloadFailed> {
        let Reload {
            config,
            needs_restart,
        } = reload::merge(&self.config, new?)?;
        self.configure(&config)?;
        self.outside.log.set_level(config.log.level);
        self.config = config;
        if needs_restart.is_empty() {
            return Ok("the configuration is in force".to_owned());
        }
        Ok(format!(
            "the configuration is in force, but for what needs a restart: {}",
            needs_restart.join(", ")
        ))
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConfigureError> {
        let macs: Vec<MacAddr> = self.road.dataplane.ports().map(|port| port.mac).collect();
        self.router
            .configure(self.at(), config, &macs, &mut self.road)
    }

    fn at(&self) -> Moment {
        Moment {
            now: Time::ZERO + self.clock.elapsed(),
            heard: self.heard,
        }
    }

    /// Masters resign; then everything ends, in the order in which it depends on each other.
    fn stop(mut self) {
        if self.drain_until.is_none() {
            self.outside.supervisor.stopping();
        }
        let at = self.at();
        self.router.shutdown(at, &mut self.road);
        let Self {
            router,
            road,
            outside,
            ..
        } = self;
        // Nobody shall wait for an answer while the rest ends.
        for request in outside.requests.try_iter() {
            request.answer(Err("the router is ending".to_owned()));
        }
        drop(outside.requests);
        // What waits for neighbours holds packet buffers.
        drop(router);
        let Road {
            dataplane, hooks, ..
        } = road;
        hooks.finish(HOOKS_PATIENCE);
        match dataplane.shutdown().mbufs {
            0 => tracing::info!("stopped"),
            lost => tracing::warn!("stopped; {lost} packet buffers did not come back"),
        }
    }
}

/// Tells the log, and everyone who asked, what became of a reload.
fn tell(asked_by: Vec<Request>, outcome: &Result<String, ReloadFailed>) {
    match outcome {
        Ok(text) => tracing::info!("{text}"),
        Err(error) => tracing::error!("the configuration stays as it was:\n{error}"),
    }
    for request in asked_by {
        request.answer(match outcome {
            Ok(text) => Ok(Answer::Done(Done::new(text.clone()))),
            Err(error) => Err(error.to_string()),
        });
    }
}
