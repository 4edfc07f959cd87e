//! Answers to the operator's commands: each is carried out on what the control thread has, or shown from it. The loop itself
//! answers those that concern the loop (`reload`, `quit`).
//!
//! One file each: ports (`ports.rs`), routes and neighbours (`tables.rs`), counters and workers (`counts.rs`), the workers'
//! backlogs, which have to be asked for (`backlog.rs`), reviews of the load (`review.rs`).

mod backlog;
mod counts;
mod ports;
mod review;
mod tables;

use std::time::Instant;

use dataplane::ForwardingMode;
use dataplane::dpdk::Mbuf;
use vrrpd::Moment;
use vrrpd::sharing::names::Condition;

use super::road::Road;
use super::router::Router;
use super::vrrp;
use super::vrrp::sharing::{flow_rates, show as sharing};
use crate::command::{
    Clear, ClearPort, Command, ConditionChoice, Fwd, Mode, PortChoice, Review, Set, Show, ShowPort,
};
use crate::config::Config;
use crate::ctl::SocketCounters;
use crate::request::{Reply, Request};
use crate::show::{Answer, ConfigInForce, Done, RateMeter};
use backlog::Inspection;

/// What answers are made from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The time.
    pub at: Moment,
    /// The configuration in force.
    pub config: &'a mut Config,
    /// Host, virtual routers and routes.
    pub router: &'a mut Router<Mbuf>,
    /// The data plane.
    pub road: &'a mut Road,
}

impl Sources<'_> {
    /// Why the workers do not route, if they do not.
    fn halt(&self) -> Option<&'static str> {
        let dataplane = &self.road.dataplane;
        match (dataplane.is_forwarding(), dataplane.mode()) {
            (false, _) => Some("workers stopped"),
            (true, ForwardingMode::Route) => None,
            (true, _) => Some("workers do not route"),
        }
    }

    /// The names of the ports, by number.
    fn port_names(&self) -> Vec<&str> {
        let ports = self.config.ports.iter();
        ports.map(|port| port.name.as_str()).collect()
    }

    /// The ports meant, by number.
    fn select(&self, choice: &PortChoice) -> Result<Vec<u16>, String> {
        let numbers = choice
            .select(&self.port_names())
            .map_err(|unknown| unknown.to_string())?;
        Ok(numbers
            .into_iter()
            .filter_map(|number| u16::try_from(number).ok())
            .collect())
    }

    fn port_name(&self, port: u16) -> String {
        port_name(&self.port_names(), port)
    }
}

/// The name of a port; its number where it has none, which no checked configuration brings about.
fn port_name(names: &[&str], port: u16) -> String {
    match names.get(usize::from(port)) {
        Some(name) => (*name).to_owned(),
        None => port.to_string(),
    }
}

/// What has to be remembered between commands.
#[derive(Debug)]
pub struct Answers {
    socket: SocketCounters,
    rates: RateMeter,
    inspection: Option<Inspection>,
}

impl Answers {
    /// With the counters of the control socket, to be shown with the others.
    #[must_use]
    pub fn new(socket: SocketCounters) -> Self {
        Self {
            socket,
            rates: RateMeter::default(),
            inspection: None,
        }
    }

    /// Answers a request; one that needs the workers' help once they have given it.
    pub fn take(&mut self, request: Request, sources: &mut Sources<'_>) {
        if request.command == Command::Show(Show::Backlog) {
            self.inspection
                .get_or_insert_with(|| Inspection::begin(sources))
                .join(request);
            self.poll(sources);
            return;
        }
        let reply = self.reply(&request.command, sources);
        request.answer(reply);
    }

    /// Goes on with what waits for the workers. To be called every round.
    pub fn poll(&mut self, sources: &mut Sources<'_>) {
        if let Some(mut inspection) = self.inspection.take()
            && !inspection.poll(sources)
        {
            self.inspection = Some(inspection);
        }
    }

    fn reply(&mut self, command: &Command, sources: &mut Sources<'_>) -> Reply {
        match command {
            Command::Show(show) => self.show(show, sources),
            Command::Clear(Clear::Counters) => {
                sources.road.clear_counters();
                sources.router.clear_counters(sources.at);
                self.socket.clear();
                done("counters cleared")
            }
            Command::Clear(Clear::Port(ClearPort::Stats { port })) => {
                let ports = sources.select(port)?;
                let mut lines = Vec::with_capacity(ports.len());
                for port in ports {
                    sources.road.dataplane.clear_port_stats(port);
                    let name = sources.port_name(port);
                    lines.push(format!("  NIC statistics for port {port} ({name}) cleared"));
                }
                done(lines.join("\n"))
            }
            Command::Set(Set::Fwd { mode }) => {
                let (mode, name) = match mode {
                    Mode::Io => (ForwardingMode::Io, "io"),
                    Mode::Mac => (ForwardingMode::Mac, "mac"),
                    Mode::Route => (ForwardingMode::Route, "route"),
                };
                sources.road.dataplane.set_mode(mode);
                done(format!("Set {name} packet forwarding mode"))
            }
            Command::Set(Set::ReviewThreshold(threshold)) => {
                review::set_threshold(*threshold, sources).and_then(done)
            }
            Command::Review(Review::Now) => {
                review::now(sources.router.vrrp_mut(), sources.at).and_then(done)
            }
            Command::Start => {
                let dataplane = &mut sources.road.dataplane;
                if dataplane.is_forwarding() {
                    return done("Packet forwarding already started");
                }
                dataplane.start_forwarding();
                done("Packet forwarding started")
            }
            Command::Stop => {
                let dataplane = &mut sources.road.dataplane;
                if !dataplane.is_forwarding() {
                    return done("Packet forwarding not started");
                }
                dataplane.stop_forwarding();
                done("Packet forwarding stopped")
            }
            Command::Move {
                condition,
                router,
                to: _,
            } => {
                let wanted = match condition {
                    ConditionChoice::Rest => Condition::Rest,
                    ConditionChoice::Address(address) => Condition::Address((*address).into()),
                };
                let ordered = sources
                    .router
                    .vrrp_mut()
                    .move_to(sources.at, wanted, *router);
                ordered.map_err(|refused| refused.to_string())?;
                done(format!("{condition} moves to {router}; see `show moves`"))
            }
            Command::Drain | Command::Reload | Command::Quit | Command::Exit => {
                Err("this is no command for here".to_owned())
            }
        }
    }

    fn show(&mut self, show: &Show, sources: &mut Sources<'_>) -> Reply {
        match show {
            Show::Port(ShowPort::Info { port }) => {
                let ports = sources.select(port)?;
                Ok(Answer::PortInfo(ports::info(&ports, sources)))
            }
            Show::Port(ShowPort::Stats { port }) => {
                let ports = sources.select(port)?;
                let mut shown = ports::stats(&ports, sources)?;
                let now = Instant::now();
                for port in &mut shown.ports {
                    self.rates.measure(now, port);
                }
                Ok(Answer::PortStats(shown))
            }
            Show::Port(ShowPort::Xstats { port }) => {
                let ports = sources.select(port)?;
                Ok(Answer::PortXstats(ports::xstats(&ports, sources)))
            }
            Show::Fwd(Fwd::Stats { .. }) => Ok(Answer::FwdStats(ports::fwd_stats(sources)?)),
            Show::Lcores => Ok(Answer::Lcores(counts::lcores(sources))),
            Show::Counters => Ok(Answer::Counters(counts::counters(sources, &self.socket))),
            Show::Mempool => Ok(Answer::Mempool(counts::mempool(sources))),
            Show::Route { address } => Ok(Answer::Route(tables::routes(
                sources.router.routes(),
                *address,
                &sources.port_names(),
            ))),
            Show::Neighbours => Ok(Answer::Neighbours(tables::neighbours(
                sources.router.host(),
                sources.road.dataplane.counters().total().unresolved,
                &sources.port_names(),
            ))),
            Show::Vrrp => {
                let shown = vrrp::show(sources.router.vrrp(), sources.at.now);
                Ok(Answer::Vrrp(shown.halted(sources.halt())))
            }
            Show::Routers => Ok(Answer::Routers(sharing::routers(
                sources.router.vrrp(),
                sources.at.now,
            ))),
            Show::Allocation { address } => Ok(Answer::Allocation(sharing::allocation(
                sources.router.vrrp(),
                *address,
            ))),
            Show::Moves => Ok(Answer::Moves(sharing::moves(sources.router.vrrp()))),
            Show::EndSystems => Ok(Answer::EndSystems(sharing::end_systems(
                sources.router.vrrp(),
                sources.at.now,
            ))),
            Show::FlowRates => Ok(Answer::FlowRates(flow_rates::shown(
                sources.router.vrrp(),
                sources.at.now,
            ))),
            Show::Config => ConfigInForce::new(sources.config).map(Answer::Config),
            // Answered once the workers have said what they hold.
            Show::Backlog => Err("the workers have not been asked".to_owned()),
        }
    }
}

fn done(what: impl Into<String>) -> Reply {
    Ok(Answer::Done(Done::new(what)))
}
