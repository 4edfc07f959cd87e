//! The decisions of the control thread, put together: the host, the virtual routers and the routes, fed with frames, links
//! and time, and carried out by the workers. No clock, no thread, no DPDK: the loop brings frames and time, and
//! [`Workers`] stands for the data plane.

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use dataplane::addr::{Ipv4Prefix, MacAddr};
use dataplane::handover::{HandoverDone, HandoverId, HandoverStep, Learned};
use dataplane::verdict::VerdictTable;
use thiserror::Error;
use vrrpd::{Moment, Time};

use super::host::{self, HostConfig, HostStack, PortIndex, Route};
use super::plan;
use super::routes::{Change, RouteTable, derive};
use super::vrrp::{self, ApplyError, Charge, GroupConfig, GroupKey, HookCall, Taken, Vrrp};
use crate::config::Config;

/// Addresses of unknown end systems looked at in a round.
const LEARNED_BUDGET: usize = 64;
/// Neighbours that workers ask for looked at in a round.
const WANTED_BUDGET: usize = 256;
/// Gateways asked for at a time.
const GATEWAYS_MAX: usize = 64;

/// What the control thread has done by others: the workers' part, and commands of the operator's.
pub trait Workers {
    /// A frame as it was punted.
    type Packet: AsRef<[u8]> + AsMut<[u8]>;

    /// Sends a frame out of a port.
    fn transmit(&mut self, port: PortIndex, frame: &[u8]);
    /// Sends a punted packet, rewritten, out of a port.
    fn forward(&mut self, port: PortIndex, packet: Self::Packet);
    /// Tells the link address of a neighbour, or that it is not known any more.
    fn set_neighbour(&mut self, port: PortIndex, address: Ipv4Addr, mac: Option<MacAddr>);
    /// The next neighbour that packets wait for at a worker.
    fn poll_wanted(&mut self) -> Option<(PortIndex, Ipv4Addr)> {
        None
    }
    /// Has packets that wait for a neighbour go on, by what the workers know of it. [`set_neighbour`](Workers::set_neighbour) with a link address does
    /// that too.
    fn settle_neighbour(&mut self, _: PortIndex, _: Ipv4Addr) {}
    /// Has the port receive frames to the virtual MAC of a group.
    ///
    /// # Errors
    /// Why it cannot, in words.
    fn receive_virtual_mac(&mut self, _: GroupKey) -> Result<(), String> {
        Ok(())
    }
    /// Tells who routes what is sent to a virtual MAC; `None`: nobody knows it any more.
    fn set_charge(&mut self, group: GroupKey, charge: Option<Charge>);
    /// Changes routes, in the order given.
    ///
    /// # Errors
    /// The first change that cannot be made, in words; those before it are made, and those after it are not.
    fn change_routes(&mut self, changes: &[Change]) -> Result<(), String>;
    /// Runs a command of the operator's.
    fn run_hook(&mut self, call: HookCall);

    // What follows is for groups that share their load; workers that have none do without.

    /// Publishes the verdicts of a group that shares its load; `None` if there is no such group.
    fn set_verdicts(&mut self, _: GroupKey, _: Arc<VerdictTable>) -> Option<Taken> {
        None
    }
    /// Whether every worker has taken up what was published then.
    fn has_taken_up(&self, _: Taken) -> bool {
        true
    }
    /// Has every worker do a step of a move, for conditions with these indices.
    ///
    /// # Errors
    /// Gives the step back if too many wait already.
    fn hand_over(
        &mut self,
        _: HandoverId,
        _: &[u32],
        step: HandoverStep,
    ) -> Result<(), HandoverStep> {
        Err(step)
    }
    /// The next step that every worker has done.
    fn poll_handover(&mut self) -> Option<(HandoverId, HandoverDone)> {
        None
    }
    /// Octets routed under a condition since the start.
    fn condition_octets(&self, _: u32) -> u64 {
        0
    }
    /// Frames that a port has received, since the start.
    fn frames_received(&self, _: PortIndex) -> u64 {
        0
    }
    /// Packets that backlogs could not take, since the start.
    fn overflows(&self) -> u64 {
        0
    }
    /// The next address that was seen in a packet that no condition names.
    fn poll_learned(&mut self) -> Option<Learned> {
        None
    }
}

/// Why a configuration cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigureError {
    /// The protocol refuses a virtual router.
    #[error(transparent)]
    VirtualRouters(#[from] ApplyError),
    /// A port cannot receive what is sent to a virtual router: as its master this router would lose it all.
    #[error(
        "port {port_name} cannot receive frames to the virtual MAC of VRID {vrid}: {reason}\n  \
         remedy: have the virtual router on a port whose driver has a filter of MAC addresses or a promiscuous mode"
    )]
    VirtualMac {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
        /// What the driver says.
        reason: String,
    },
    /// The workers' table refuses the routes.
    #[error("the routes do not fit: {0}")]
    Routes(String),
}

/// The host, the virtual routers and the routes.
#[derive(Debug)]
pub struct Router<P> {
    host: HostStack<P>,
    vrrp: Vrrp,
    routes: RouteTable,
    /// Steps of moves that are yet to be asked for, or that the workers had no room for.
    steps: VecDeque<(HandoverId, Vec<u32>, HandoverStep)>,
}

impl<P: AsRef<[u8]> + AsMut<[u8]>> Router<P> {
    /// A router without ports. `seed` is random, see [`Vrrp::new`].
    #[must_use]
    pub fn new(config: HostConfig, seed: u64) -> Self {
        Self {
            host: HostStack::new(config),
            vrrp: Vrrp::new(seed),
            routes: RouteTable::default(),
            steps: VecDeque::new(),
        }
    }

    /// Puts `config` in force; `macs` are the ports' link addresses. What stays as it was is not disturbed.
    ///
    /// # Errors
    /// [`ConfigureError`]; everything is as it was then.
    pub fn configure(
        &mut self,
        at: impl Into<Moment>,
        config: &Config,
        macs: &[MacAddr],
        workers: &mut impl Workers<Packet = P>,
    ) -> Result<(), ConfigureError> {
        let at = at.into();
        let ports = plan::ports(config, macs);
        let groups = plan::groups(config);
        // The routes first, because they may not fit; they are put back if a port or the protocol refuses.
        let virtuals: Vec<host::Virtual> = groups
            .iter()
            .map(|group| group.as_virtual(false, false))
            .collect();
        let wanted = derive(&ports, &virtuals, plan::routes(config));
        let changes = self.routes.difference(&wanted);
        workers
            .change_routes(&changes)
            .map_err(ConfigureError::Routes)
            .and_then(|()| receive_virtual_macs(&groups, workers))
            .and_then(|()| Ok(self.vrrp.apply(at, &ports, groups)?))
            .inspect_err(|_| self.put_back(&changes, workers))?;
        for change in changes {
            self.routes.apply(change);
        }
        self.host.set_ports(ports);
        self.carry_out(at, workers);
        Ok(())
    }

    /// Has the workers' routes be again what they are here, after some of `changes` were made.
    fn put_back(&self, changes: &[Change], workers: &mut impl Workers<Packet = P>) {
        let back: Vec<Change> = changes
            .iter()
            .rev()
            .map(|change| match *change {
                Change::Set(prefix, _) | Change::Remove(prefix) => match self.routes.get(prefix) {
                    Some(route) => Change::Set(prefix, route),
                    None => Change::Remove(prefix),
                },
            })
            .collect();
        // There was room for them before. If there is none now, the next reload tries again.
        if let Err(refused) = workers.change_routes(&back) {
            tracing::error!("the workers' routes cannot be put back: {refused}");
        }
    }

    /// Takes a frame that carries VRRP.
    pub fn on_vrrp(&mut self, at: impl Into<Moment>, port: PortIndex, frame: &[u8]) {
        self.vrrp.on_frame(at, port, frame);
    }

    /// Takes any other frame that the workers could not finish.
    pub fn on_punt(&mut self, now: Time, port: PortIndex, packet: P) {
        self.tell_host();
        self.host.on_punt(now, &self.routes, port, packet);
    }

    /// The link of a port is up, or down. Telling what is known already changes nothing.
    pub fn on_link(&mut self, at: impl Into<Moment>, port: PortIndex, up: bool) {
        self.vrrp.port_link(at, port, up);
    }

    /// Tells the host who is master, before it speaks for any virtual address: one that has just become backup does not.
    fn tell_host(&mut self) {
        if let Some(virtuals) = self.vrrp.take_changed_virtuals() {
            self.host.set_virtuals(virtuals);
        }
    }

    /// Forgets the neighbours on a port whose link went down.
    pub fn forget_neighbours(&mut self, port: PortIndex) {
        self.host.flush_port(port);
    }

    /// Takes what the workers have to say of neighbours that they need, moves, verdicts and unknown end systems.
    pub fn hear_workers(&mut self, at: impl Into<Moment>, workers: &mut impl Workers<Packet = P>) {
        let at = at.into();
        for _ in 0..WANTED_BUDGET {
            let Some((port, address)) = workers.poll_wanted() else {
                break;
            };
            self.host.want(at.now, port, address);
        }
        while let Some((id, done)) = workers.poll_handover() {
            self.vrrp.handed_over(at, id, done);
        }
        self.vrrp.settle(at, |taken| workers.has_taken_up(taken));
        for _ in 0..LEARNED_BUDGET {
            let Some(learned) = workers.poll_learned() else {
                break;
            };
            let node = self.further_router(learned);
            self.vrrp.packet_seen(at, learned, node);
        }
        let workers = &*workers;
        let octets = |index| workers.condition_octets(index);
        self.vrrp.measure(at, octets, || workers.overflows());
        self.vrrp
            .frames_received(|port| workers.frames_received(port));
    }

    /// The router on the link of a packet that packets to its source go to, by a route of its own: behind the default route is everything.
    fn further_router(&self, learned: Learned) -> Option<Ipv4Addr> {
        let (prefix, route) = self.route_to(learned.address)?;
        match route {
            Route::Gateway { port, address } if port == learned.port && prefix.len() > 0 => {
                Some(address)
            }
            _ => None,
        }
    }

    /// Tells the workers what has been decided of conditions: at most one table a group.
    pub fn publish(&mut self, workers: &mut impl Workers<Packet = P>) {
        for (group, table) in self.vrrp.take_tables() {
            if let Some(taken) = workers.set_verdicts(group, table) {
                self.vrrp.published(group, taken);
            }
        }
        // A move's steps keep their order. Other moves' go on: what a refused step waits for may be one of theirs.
        let mut refused = BTreeSet::new();
        for (id, conditions, step) in std::mem::take(&mut self.steps) {
            let asked = match refused.contains(&id) {
                true => Err(step),
                false => workers.hand_over(id, &conditions, step),
            };
            if let Err(step) = asked {
                refused.insert(id);
                self.steps.push_back((id, conditions, step));
            }
        }
    }

    /// Has the neighbour asked for that packets to `address` go to.
    fn prepare(&mut self, now: Time, address: Ipv4Addr) {
        let next_hop = match self.route_to(address) {
            Some((_, Route::Connected { port })) => Some((port, address)),
            Some((_, Route::Gateway { port, address })) => Some((port, address)),
            _ => None,
        };
        if let Some((port, address)) = next_hop {
            self.host.resolve(now, port, address);
        }
    }

    /// Has the gateways asked for.
    fn prepare_gateways(&mut self, now: Time) {
        for (port, address) in self.routes.gateways().take(GATEWAYS_MAX) {
            self.host.resolve(now, port, address);
        }
    }

    /// Lets due timers act; everything that has arrived is to be handed over, and carried out, before.
    pub fn tick(&mut self, at: impl Into<Moment>) {
        let at = at.into();
        self.vrrp.tick(at);
        self.tell_host();
        self.host.tick(at.now, &self.routes);
    }

    /// When [`Router::tick`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let timeouts = [self.vrrp.poll_timeout(), self.host.poll_timeout()];
        timeouts.into_iter().flatten().min()
    }

    /// Stops the virtual routers; masters resign.
    pub fn shutdown(&mut self, at: impl Into<Moment>, workers: &mut impl Workers<Packet = P>) {
        let at = at.into();
        self.vrrp.shutdown(at);
        self.carry_out(at, workers);
    }

    /// Has done what the host and the virtual routers want done, until they want nothing more.
    pub fn carry_out(&mut self, at: impl Into<Moment>, workers: &mut impl Workers<Packet = P>) {
        let at = at.into();
        loop {
            self.tell_host();
            if let Some(output) = self.host.poll_output() {
                self.carry_out_for_host(at, output, workers);
            } else if let Some(output) = self.vrrp.poll_output() {
                self.carry_out_for_vrrp(at, output, workers);
            } else {
                return;
            }
        }
    }

    fn carry_out_for_host(
        &mut self,
        at: Moment,
        output: host::Output<P>,
        workers: &mut impl Workers<Packet = P>,
    ) {
        match output {
            host::Output::Transmit { port, frame } => workers.transmit(port, &frame),
            host::Output::Forward { port, packet } => workers.forward(port, packet),
            host::Output::SetNeighbour { port, address, mac } => {
                workers.set_neighbour(port, address, mac);
            }
            host::Output::Settled { port, address } => workers.settle_neighbour(port, address),
            host::Output::Answered { port, address } => {
                self.vrrp.neighbour_there(at, port, address);
            }
            host::Output::InformationReply {
                port,
                source,
                identifier,
                sequence,
            } => self.vrrp.informed(at, port, source, (identifier, sequence)),
            host::Output::EchoReply {
                source,
                identifier,
                sequence,
            } => self.vrrp.on_echo_reply(
                at,
                vrrp::Ping {
                    to: source,
                    identifier,
                    sequence,
                },
            ),
            host::Output::Conflict { port, conflict } => tracing::warn!(
                port,
                address = %conflict.address,
                mac = %conflict.mac,
                "another station claims an address of this router"
            ),
        }
    }

    fn carry_out_for_vrrp(
        &mut self,
        at: Moment,
        output: vrrp::Output,
        workers: &mut impl Workers<Packet = P>,
    ) {
        match output {
            vrrp::Output::Transmit { port, frame } => workers.transmit(port, &frame),
            vrrp::Output::Send(packet) => self.host.send(at.now, &self.routes, &packet),
            vrrp::Output::Announce { group, address } => {
                self.host.announce(group.port, group.vrid, address);
            }
            vrrp::Output::Charge { group, charge } => workers.set_charge(group, charge),
            vrrp::Output::Ping(ping) => {
                self.host.ping(
                    at.now,
                    &self.routes,
                    ping.to,
                    ping.identifier,
                    ping.sequence,
                );
            }
            vrrp::Output::Hook(call) => workers.run_hook(call),
            vrrp::Output::HandOver {
                id,
                conditions,
                step,
            } => self.steps.push_back((id, conditions, step)),
            vrrp::Output::Ask { port, address } => {
                // One that is not known is asked for until it answers; what is known may be over.
                let known = self.host.resolve(at.now, port, address);
                if known.is_some_and(|state| state.mac().is_some()) {
                    self.host.ask(port, address);
                }
            }
            vrrp::Output::Sweep { port, address } => self.host.ask(port, address),
            vrrp::Output::RequestInformation {
                port,
                local,
                identifier,
                sequence,
            } => self
                .host
                .request_information(port, local, identifier, sequence),
            vrrp::Output::Vouch { group, sighting } => {
                // One that is not known is asked for, and this comes again when it has answered.
                let node = self.host.resolve(at.now, group.port, sighting.node);
                if let Some(mac) = node.and_then(host::State::mac) {
                    let is_its = mac == sighting.from;
                    self.vrrp.vouched(at, group, sighting, is_its);
                }
            }
            vrrp::Output::Prepare(address) => self.prepare(at.now, address),
            vrrp::Output::PrepareGateways => self.prepare_gateways(at.now),
        }
    }

    /// The host, to be shown.
    #[must_use]
    pub const fn host(&self) -> &HostStack<P> {
        &self.host
    }

    /// The virtual routers, to be shown.
    #[must_use]
    pub const fn vrrp(&self) -> &Vrrp {
        &self.vrrp
    }

    /// The virtual routers, to be told what the operator wants.
    pub const fn vrrp_mut(&mut self) -> &mut Vrrp {
        &mut self.vrrp
    }

    /// The routes, to be shown.
    #[must_use]
    pub const fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The route that an address takes.
    #[must_use]
    pub fn route_to(&self, address: Ipv4Addr) -> Option<(Ipv4Prefix, Route)> {
        self.routes.longest_match(address)
    }

    /// Counts from zero again.
    pub fn clear_counters(&mut self, at: impl Into<Moment>) {
        self.host.clear_counters();
        self.vrrp.clear_counters(at);
    }
}

fn receive_virtual_macs(
    groups: &[GroupConfig],
    workers: &mut impl Workers,
) -> Result<(), ConfigureError> {
    groups.iter().try_for_each(|group| {
        workers
            .receive_virtual_mac(group.key())
            .map_err(|reason| ConfigureError::VirtualMac {
                vrid: group.key().vrid,
                port_name: group.port_name.clone(),
                reason,
            })
    })
}

#[cfg(test)]
mod tests;
