//! All virtual routers of all ports: brings frames, links and time to them, and carries out what they ask for. What they
//! decide is the business of [`vrrpd`]; who sends the frames and asks the time is the control loop's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dataplane::MatchOn;
use dataplane::addr::MacAddr;
use dataplane::handover::{HandoverId, HandoverStep};
use thiserror::Error;
use vrrpd::sharing::load_sharing;
use vrrpd::wire::Header;
use vrrpd::{ConfigError, Moment, State, Time, Transition, Transmit, VirtualRouter};

use super::config::{GroupConfig, SourceMac, Watch};
use super::frame;
use super::hooks::HookCall;
use super::sharing::{Numbers, Sharing};
use super::tracking::{Ping, Tracker, Verdict};
use crate::control::host::{Originated, Port, PortIndex, Virtual};

mod review;
mod shared;

pub use review::Asked;
use shared::Boots;

/// The most outputs that wait for the control loop: more than all 255 virtual routers of a port can ask for at once, each
/// sending to 255 unicast peers.
const OUTPUTS_MAX: usize = 1 << 17;

/// How many changes of state each virtual router remembers.
pub(super) const TRANSITIONS_MAX: usize = 8;

/// What tells one virtual router of this program from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Its port.
    pub port: PortIndex,
    /// Its VRID.
    pub vrid: u8,
}

/// Who routes what is sent to the virtual MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// This router, being master.
    Ours,
    /// Another one, or nobody; it is discarded.
    Others,
    /// It depends on a packet's end system, whose address this says where to find; at first everything is discarded.
    Shared(MatchOn),
}

/// Something for the control loop to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a frame.
    Transmit {
        /// Out of this port.
        port: PortIndex,
        /// The frame, from its Ethernet header on.
        frame: Vec<u8>,
    },
    /// Send a packet to a unicast peer, by whatever route leads there; the host does.
    Send(Originated),
    /// Tell everyone on the port's network that `address` is at the virtual MAC: a gratuitous ARP, which the host sends.
    Announce {
        /// Whose address.
        group: GroupKey,
        /// Which.
        address: Ipv4Addr,
    },
    /// From now on the workers treat what is sent to the virtual MAC so; `None`: there is no such virtual router any more.
    Charge {
        /// Which virtual router.
        group: GroupKey,
        /// Who routes.
        charge: Option<Charge>,
    },
    /// Ask a watched address whether it is there; the reply comes back to [`Vrrp::on_echo_reply`].
    Ping(Ping),
    /// Run a command.
    Hook(HookCall),
    /// Have the workers do this for a move, for conditions with these numbers; what comes of it comes back to
    /// [`Vrrp::handed_over`].
    HandOver {
        /// Which move.
        id: HandoverId,
        /// The conditions' numbers.
        conditions: Vec<u32>,
        /// What.
        step: HandoverStep,
    },
    /// Ask for a neighbour on a port; its link address comes back to [`Vrrp::neighbour_there`].
    Ask {
        /// The port.
        port: PortIndex,
        /// The neighbour.
        address: Ipv4Addr,
    },
    /// Have the neighbour ready that packets to this address go to.
    Prepare(Ipv4Addr),
    /// Have all gateways ready.
    PrepareGateways,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// No such port.
    #[error("virtual router {vrid} is on port {port_name}, which does not exist")]
    UnknownPort {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
    },
    /// Two of the same port and VRID.
    #[error("port {port_name} has two virtual routers {vrid}")]
    Duplicate {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
    },
    /// The parts of its load sharing do not make sense together.
    #[error("load sharing of virtual router {vrid} on port {port_name}: {source}")]
    Sharing {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
        /// What is wrong.
        source: load_sharing::ConfigError,
    },
    /// The parts do not make sense together.
    #[error("virtual router {vrid} on port {port_name}: {source}")]
    Protocol {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
        /// What is wrong.
        source: ConfigError,
    },
}

/// VRRP frames that reached no virtual router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StrayCounters {
    /// Frames without a whole VRRP packet: a fragment, a damaged IPv4 header, shorter than a VRRP header.
    pub packet_length_errors: u64,
    /// Packets for a VRID that is not configured on their port (`vrid-errors` of RFC 8347, with those of each virtual router).
    pub vrid_errors: u64,
    /// Outputs lost because the control loop did not carry them out.
    pub output_overflows: u64,
    /// Conditions without a counter of their own.
    pub condition_overflows: u64,
}

/// All virtual routers of all ports. See the [module](super) for how it is driven.
#[derive(Debug, Default)]
pub struct Vrrp {
    ports: BTreeMap<PortIndex, PortState>,
    groups: BTreeMap<GroupKey, Group>,
    /// When each virtual router wants to act next.
    due: BTreeSet<(Time, GroupKey)>,
    tracker: Tracker,
    strays: StrayCounters,
    outbox: Outbox,
    virtuals_changed: bool,
    /// Since the last tick: how many virtual routers noticed a stall, and the longest.
    stalled: Option<(usize, Duration)>,
    boots: Boots,
    numbers: Numbers,
    /// Virtual routers that share their load and may have another verdict table to publish.
    unpublished: BTreeSet<GroupKey>,
    /// Those whose last table the workers have yet to take up.
    settling: BTreeSet<GroupKey>,
}

#[derive(Clone, Copy, Debug)]
struct PortState {
    mac: MacAddr,
    link_up: bool,
}

#[derive(Debug)]
struct Group {
    config: GroupConfig,
    router: VirtualRouter,
    due: Option<Time>,
    /// The latest changes of state, oldest first.
    transitions: VecDeque<Transition>,
    /// Its part in load sharing.
    sharing: Option<Sharing>,
}

#[derive(Debug, Default)]
struct Outbox {
    queue: VecDeque<Output>,
    overflows: u64,
}

impl Outbox {
    fn push(&mut self, output: Output) {
        if self.queue.len() < OUTPUTS_MAX {
            self.queue.push_back(output);
        } else {
            self.overflows += 1;
        }
    }

    fn extend(&mut self, outputs: impl IntoIterator<Item = Output>) {
        outputs.into_iter().for_each(|output| self.push(output));
    }
}

impl Vrrp {
    /// No virtual routers yet. `seed` is random: by it others tell this life of the program from those before.
    #[must_use]
    pub fn new(seed: u64) -> Vrrp {
        Vrrp {
            boots: Boots::new(seed),
            ..Vrrp::default()
        }
    }

    /// These are the ports and the virtual routers from now on. Those that stay keep their state as far as
    /// [`VirtualRouter::reconfigure`] allows, those that go resign, new ones start in Initialise.
    ///
    /// # Errors
    ///
    /// The first mistake found; nothing has changed then.
    pub fn apply(
        &mut self,
        at: impl Into<Moment>,
        ports: &[Port],
        configs: Vec<GroupConfig>,
    ) -> Result<(), ApplyError> {
        let at = at.into();
        let configs = checked(ports, configs)?;
        let gone = |key: &GroupKey| !configs.contains_key(key);
        let gone: Vec<GroupKey> = self.groups.keys().copied().filter(gone).collect();
        for key in gone {
            self.remove(at, key);
        }
        let old = std::mem::take(&mut self.ports);
        self.ports = ports
            .iter()
            .map(|port| {
                let link_up = old.get(&port.index).is_some_and(|old| old.link_up);
                let mac = port.mac;
                (port.index, PortState { mac, link_up })
            })
            .collect();
        let watches = configs.values().flat_map(GroupConfig::address_watches);
        self.tracker.set(at.heard, &watches.collect());
        self.virtuals_changed = true;
        configs
            .into_iter()
            .try_for_each(|(key, config)| self.adopt(at, key, config))
    }

    /// Takes a frame with a VRRP packet, from its Ethernet header on.
    pub fn on_frame(&mut self, at: impl Into<Moment>, port: PortIndex, frame: &[u8]) {
        let Some(received) = frame::read(frame) else {
            self.strays.packet_length_errors += 1;
            return;
        };
        let Ok(header) = Header::parse(received.payload) else {
            self.strays.packet_length_errors += 1;
            return;
        };
        let vrid = header.vrid;
        let key = GroupKey { port, vrid };
        let at = at.into();
        if !self.shares(at, key, header.message_type, &received) {
            return;
        }
        match self.enter(at, key, |router| router.receive(at, &received)) {
            None => self.strays.vrid_errors += 1,
            Some(Ok(())) => self.accepted(at, key, received.src),
            // Counted by the virtual router under its reason.
            Some(Err(refusal)) => {
                tracing::debug!(port, vrid, from = %received.src, "VRRP packet refused: {refusal}");
            }
        }
    }

    /// The link of a port is up, or down. Telling what is known already changes nothing.
    pub fn port_link(&mut self, at: impl Into<Moment>, port: PortIndex, up: bool) {
        let at = at.into();
        let Some(state) = self.ports.get_mut(&port) else {
            return;
        };
        if std::mem::replace(&mut state.link_up, up) == up {
            return;
        }
        for key in self.keys() {
            if key.port == port {
                self.enter(at, key, |router| router.port_link(at, up));
            }
        }
        let is_meant = |watch: &Watch| matches!(watch, Watch::Port { index, .. } if *index == port);
        self.report(at, up, is_meant);
    }

    /// Somebody answered an echo request of this router.
    pub fn on_echo_reply(&mut self, at: impl Into<Moment>, reply: Ping) {
        if let Some(verdict) = self.tracker.on_reply(reply) {
            self.note(at.into(), verdict);
        }
    }

    /// Lets due timers act; everything that has arrived is to be handed over before.
    pub fn tick(&mut self, at: impl Into<Moment>) {
        let at = at.into();
        if self
            .tracker
            .poll_timeout()
            .is_some_and(|due| due <= at.heard)
        {
            for (ping, verdict) in self.tracker.tick(at.heard) {
                if let Some(verdict) = verdict {
                    self.note(at, verdict);
                }
                self.outbox.push(Output::Ping(ping));
            }
        }
        let due: Vec<GroupKey> = self
            .due
            .iter()
            .take_while(|(due, _)| *due <= at.now)
            .map(|(_, key)| *key)
            .collect();
        for key in due {
            self.enter(at, key, |router| router.tick(at));
            self.share(key, |sharing, numbers| sharing.tick(at.now, numbers));
        }
        if let Some((groups, away)) = self.stalled.take() {
            tracing::warn!(
                "nothing was heard for {away:?}, because the control loop or a worker did not run; \
                 {groups} virtual routers count on nothing from before"
            );
        }
    }

    /// When [`Vrrp::tick`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let group = self.due.first().map(|(due, _)| *due);
        group.into_iter().chain(self.tracker.poll_timeout()).min()
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.queue.pop_front()
    }

    /// What the host is to know of the virtual routers, if that has changed since the last call. To be taken before the outputs
    /// are carried out, because the host announces addresses for a master alone.
    pub fn take_changed_virtuals(&mut self) -> Option<Vec<Virtual>> {
        std::mem::take(&mut self.virtuals_changed)
            .then(|| self.groups.values().map(Group::as_virtual).collect())
    }

    /// Stops all virtual routers; masters resign.
    pub fn shutdown(&mut self, at: impl Into<Moment>) {
        let at = at.into();
        for key in self.keys() {
            self.enter(at, key, |router| router.shutdown(at));
        }
    }

    /// Sets all counters to zero.
    pub fn clear_counters(&mut self, at: impl Into<Moment>) {
        let at = at.into();
        for group in self.groups.values_mut() {
            group.router.clear_counters(at);
        }
        self.strays = StrayCounters::default();
        self.outbox.overflows = 0;
    }

    /// Every virtual router with its latest changes of state, oldest first.
    pub fn groups(
        &self,
    ) -> impl Iterator<Item = (&GroupConfig, &VirtualRouter, &VecDeque<Transition>)> {
        self.groups
            .values()
            .map(|group| (&group.config, &group.router, &group.transitions))
    }

    /// What reached no virtual router.
    #[must_use]
    pub const fn stray_counters(&self) -> StrayCounters {
        StrayCounters {
            output_overflows: self.outbox.overflows,
            condition_overflows: self.numbers.refused(),
            ..self.strays
        }
    }

    fn keys(&self) -> Vec<GroupKey> {
        self.groups.keys().copied().collect()
    }

    fn remove(&mut self, at: Moment, key: GroupKey) {
        self.enter(at, key, |router| router.shutdown(at));
        if let Some(group) = self.groups.remove(&key) {
            if let Some(due) = group.due {
                self.due.remove(&(due, key));
            }
            self.forget_sharing(key, group.sharing);
        }
        self.outbox.push(Output::Charge {
            group: key,
            charge: None,
        });
    }

    /// Makes the virtual router `key` what `config` says.
    fn adopt(&mut self, at: Moment, key: GroupKey, config: GroupConfig) -> Result<(), ApplyError> {
        let (protocol, local) = (config.protocol(), IpAddr::V4(config.local));
        let named = |source| protocol_error(&config, source);
        if let Some(group) = self.groups.get_mut(&key) {
            if group.config == config {
                return Ok(());
            }
            let reconfigured =
                self.enter(at, key, |router| router.reconfigure(at, protocol, local));
            reconfigured.unwrap_or(Ok(())).map_err(named)?;
            self.adopt_sharing(at, key, &config)?;
            if let Some(group) = self.groups.get_mut(&key) {
                group.config = config;
            }
        } else {
            let router = VirtualRouter::new(protocol, local, at.now).map_err(named)?;
            self.outbox.push(Output::Charge {
                group: key,
                charge: Some(Charge::Others),
            });
            let group = Group {
                config: config.clone(),
                router,
                due: None,
                transitions: VecDeque::new(),
                sharing: None,
            };
            self.groups.insert(key, group);
            self.adopt_sharing(at, key, &config)?;
            let up = self.link_up(key.port);
            self.enter(at, key, |router| router.port_link(at, up));
        }
        self.tell_tracks(at, key);
        Ok(())
    }

    fn link_up(&self, port: PortIndex) -> bool {
        self.ports.get(&port).is_some_and(|port| port.link_up)
    }

    /// Tells a virtual router what is known of its tracks.
    fn tell_tracks(&mut self, at: Moment, key: GroupKey) {
        let Some(group) = self.groups.get(&key) else {
            return;
        };
        let known: Vec<(String, bool)> = group
            .config
            .tracked
            .iter()
            .filter_map(|tracked| {
                let holds = match &tracked.watch {
                    Watch::Port { index, .. } => Some(self.link_up(*index)),
                    Watch::Address(watch) => self.tracker.holds(watch),
                };
                Some((tracked.watch.name(), holds?))
            })
            .collect();
        for (name, holds) in known {
            self.enter(at, key, |router| router.track_changed(at, &name, holds));
        }
    }

    /// Tells everyone who watches an address what is new of it.
    fn note(&mut self, at: Moment, (address, holds): Verdict) {
        let to = address.address;
        tracing::info!(
            "address {to} {}",
            if holds { "answers" } else { "does not answer" }
        );
        let is_meant = |watch: &Watch| matches!(watch, Watch::Address(of) if *of == address);
        self.report(at, holds, is_meant);
    }

    /// Tells every virtual router that tracks such a thing whether it holds.
    fn report(&mut self, at: Moment, holds: bool, is_meant: impl Fn(&Watch) -> bool) {
        let concerned: Vec<(GroupKey, String)> = self
            .groups
            .iter()
            .flat_map(|(key, group)| {
                let tracked = group.config.tracked.iter();
                let meant = tracked.filter(|tracked| is_meant(&tracked.watch));
                meant.map(|tracked| (*key, tracked.watch.name()))
            })
            .collect();
        for (key, name) in concerned {
            self.enter(at, key, |router| router.track_changed(at, &name, holds));
        }
    }

    /// The one way to a virtual router: acts on it, carries out what it then asks for, and notes when it wants to act next.
    fn enter<T>(
        &mut self,
        at: Moment,
        key: GroupKey,
        act: impl FnOnce(&mut VirtualRouter) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(&key)?;
        let mac = self.ports.get(&key.port).map(|port| port.mac);
        let was_master = group.router.is_master();
        let result = act(&mut group.router);
        while let Some(output) = group.router.poll_output() {
            if let Some(sharing) = &mut group.sharing {
                let interval = group.config.protocol.interval;
                sharing.hear(at.now, &output, interval, &mut self.numbers);
            }
            if let vrrpd::Output::Stalled { away } = output {
                let (groups, longest) = self.stalled.unwrap_or_default();
                self.stalled = Some((groups + 1, longest.max(away)));
            } else {
                group.carry_out(mac, output, &mut self.outbox);
            }
        }
        self.virtuals_changed |= was_master != group.router.is_master();
        self.attend(key);
        Some(result)
    }

    /// Carries out what a group's load sharing asks for, and notes when the group wants to act next.
    fn attend(&mut self, key: GroupKey) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        if let Some(sharing) = &mut group.sharing {
            let mac = self.ports.get(&key.port).map(|port| port.mac);
            for output in sharing.take_outputs() {
                self.outbox
                    .extend(shared::output(&group.config, mac, output));
            }
            self.unpublished.insert(key);
        }
        let sharing = group.sharing.as_ref().and_then(Sharing::poll_timeout);
        let due = group.router.poll_timeout().into_iter().chain(sharing).min();
        if due != group.due {
            if let Some(old) = std::mem::replace(&mut group.due, due) {
                self.due.remove(&(old, key));
            }
            self.due.extend(due.map(|due| (due, key)));
        }
    }
}

impl Group {
    fn carry_out(&mut self, mac: Option<MacAddr>, output: vrrpd::Output, outbox: &mut Outbox) {
        let key = self.config.key();
        match output {
            vrrpd::Output::Transmit(transmit) => self.transmit(mac, &transmit, outbox),
            vrrpd::Output::Announce(IpAddr::V4(address)) => outbox.push(Output::Announce {
                group: key,
                address,
            }),
            vrrpd::Output::StateChanged(transition) => self.changed(transition, outbox),
            vrrpd::Output::MasterLost { master } => tracing::info!(
                port = self.config.port_name,
                vrid = self.config.protocol.vrid.get(),
                "nothing from master {master} any more"
            ),
            // Virtual routers here have IPv4 addresses alone, and stalls are taken together by the caller.
            vrrpd::Output::Announce(IpAddr::V6(_)) | vrrpd::Output::Stalled { .. } => {}
        }
    }

    fn transmit(&self, mac: Option<MacAddr>, transmit: &Transmit, outbox: &mut Outbox) {
        let (Some(own), IpAddr::V4(source), IpAddr::V4(destination)) =
            (mac, transmit.src, transmit.dst)
        else {
            return;
        };
        if !destination.is_multicast() {
            let packet = frame::unicast(source, destination, transmit.payload.clone());
            outbox.push(Output::Send(packet));
            return;
        }
        let mac = match self.config.source_mac {
            SourceMac::Own => own,
            SourceMac::Virtual => MacAddr::virtual_v4(self.config.protocol.vrid.get()),
        };
        match frame::multicast(mac, source, destination, &transmit.payload) {
            Ok(frame) => outbox.push(Output::Transmit {
                port: self.config.port,
                frame,
            }),
            // An advertisement of 255 addresses is far shorter than an IPv4 packet may be.
            Err(error) => tracing::error!("an advertisement cannot be sent: {error}"),
        }
    }

    fn changed(&mut self, transition: Transition, outbox: &mut Outbox) {
        let status = self.router.status();
        let Transition {
            from, to, cause, ..
        } = &transition;
        tracing::info!(
            port = self.config.port_name,
            vrid = status.vrid.get(),
            priority = status.priority,
            %from,
            %to,
            cause = cause.name(),
            "virtual router {} on {}: {transition}",
            status.vrid,
            self.config.port_name,
        );
        // Between Initialise and Backup nothing changes for the workers.
        if self.sharing.is_none() && (*from == State::Master) != (*to == State::Master) {
            let charge = if *to == State::Master {
                Charge::Ours
            } else {
                Charge::Others
            };
            outbox.push(Output::Charge {
                group: self.config.key(),
                charge: Some(charge),
            });
        }
        if let Some(command) = &self.config.hook {
            outbox.push(Output::Hook(HookCall {
                command: command.clone(),
                port: self.config.port_name.clone(),
                vrid: status.vrid.get(),
                priority: status.priority,
                transition: transition.clone(),
            }));
        }
        if self.transitions.len() == TRANSITIONS_MAX {
            self.transitions.pop_front();
        }
        self.transitions.push_back(transition);
    }

    fn as_virtual(&self) -> Virtual {
        self.config
            .as_virtual(self.router.is_master(), self.router.accepts())
    }
}

/// The configurations by what tells them apart, if all of them make sense.
fn checked(
    ports: &[Port],
    configs: Vec<GroupConfig>,
) -> Result<BTreeMap<GroupKey, GroupConfig>, ApplyError> {
    let mut checked = BTreeMap::new();
    for config in configs {
        let (vrid, port_name) = (config.protocol.vrid.get(), config.port_name.clone());
        if !ports.iter().any(|port| port.index == config.port) {
            return Err(ApplyError::UnknownPort { vrid, port_name });
        }
        config
            .protocol()
            .validate(config.local.into())
            .map_err(|source| protocol_error(&config, source))?;
        if let Some(sharing) = &config.sharing {
            sharing
                .validate()
                .map_err(|source| sharing_error(&config, source))?;
        }
        if checked.insert(config.key(), config).is_some() {
            return Err(ApplyError::Duplicate { vrid, port_name });
        }
    }
    Ok(checked)
}

fn protocol_error(config: &GroupConfig, source: ConfigError) -> ApplyError {
    ApplyError::Protocol {
        vrid: config.protocol.vrid.get(),
        port_name: config.port_name.clone(),
        source,
    }
}

fn sharing_error(config: &GroupConfig, source: load_sharing::ConfigError) -> ApplyError {
    ApplyError::Sharing {
        vrid: config.protocol.vrid.get(),
        port_name: config.port_name.clone(),
        source,
    }
}

#[cfg(test)]
mod tests;
