//! One virtual router on one port: takes what happens to it, asks the [election](crate::election), and queues what follows
//! from its answers. The checks of what is received are in [`receive`], what is sent is put together in [`send`]; the rules of the
//! election and the layout of messages are elsewhere.

mod receive;
mod send;

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::announce::Announcer;
use crate::config::{Config, ConfigError, Version};
use crate::counters::Counters;
use crate::election::{Election, Event, Parameters, Step, Timers};
use crate::output::{Cause, Output, State, Transition};
use crate::refusal::{Mismatch, Refusal};
use crate::status::{Obstacle, Status};
use crate::time::{Moment, Time};
use crate::track::Tracks;
use crate::wire::PRIORITY_STOP;
use crate::wire::v3::PseudoHeader;

/// The most outputs that wait for the driver. One entry makes at most one per unicast peer, a burst of
/// announcements and a few events, so a driver that drains after each entry never meets it.
const OUTPUTS_MAX: usize = 1024;

/// A received packet of IP protocol 112.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The IP source address.
    pub src: IpAddr,
    /// The IP destination address.
    pub dst: IpAddr,
    /// The TTL or hop limit.
    pub ttl: u8,
    /// The octets behind the IP header (and its options or extensions), as long as that header says.
    pub payload: &'a [u8],
}

/// One virtual router on one port, driven from outside: no sockets, no clock, no threads.
///
/// Every entry takes a [`Moment`], and queues [`Output`]s that the driver drains with [`poll_output`](Self::poll_output)
/// afterwards. Time must not go backwards; if it does, it is taken to stand still. See the [crate] for the order
/// of a driver's loop.
#[derive(Clone, Debug)]
pub struct VirtualRouter {
    config: Config,
    local: IpAddr,
    election: Election,
    tracks: Tracks,
    announcer: Announcer,
    link_up: bool,
    /// When the link failed under this router as master, which could tell nobody that it is none any more.
    cut_off_at: Option<Time>,
    stopped: bool,
    /// What was counted into the checksum of the last version 3 advertisement accepted over IPv4.
    pseudo_header_heard: Option<PseudoHeader>,
    /// The latest time that the driver gave.
    now: Time,
    /// The latest time up to which it has handed over everything.
    heard: Time,
    since: Time,
    last_transition: Option<Transition>,
    counters: Counters,
    counters_since: Time,
    outputs: VecDeque<Output>,
}

impl VirtualRouter {
    /// A virtual router on a port whose own address is `local` (over IPv6 the link-local one). It is
    /// started, but waits in Initialise until [`port_link`](Self::port_link) says that the link is up and every essential
    /// track was [reported](Self::track_changed) to hold.
    ///
    /// # Errors
    ///
    /// Whatever [`Config::validate`] finds.
    pub fn new(config: Config, local: IpAddr, now: Time) -> Result<VirtualRouter, ConfigError> {
        config.validate(local)?;
        let tracks = Tracks::default().reconfigured(&config.tracks);
        Ok(VirtualRouter {
            election: Election::new(parameters(&config, local, &tracks), now),
            config,
            local,
            tracks,
            announcer: Announcer::default(),
            link_up: false,
            cut_off_at: None,
            stopped: false,
            pseudo_header_heard: None,
            now,
            heard: now,
            since: now,
            last_transition: None,
            counters: Counters::default(),
            counters_since: now,
            outputs: VecDeque::new(),
        })
    }

    /// Takes a received packet, whose payload names this virtual router (see
    /// [`Header::parse`](crate::wire::Header::parse)). Returns what is odd about it, if it was accepted all the same.
    ///
    /// # Errors
    ///
    /// Why the message was refused; it is counted, and nothing else happened.
    pub fn receive(
        &mut self,
        at: impl Into<Moment>,
        received: &Received<'_>,
    ) -> Result<Option<Mismatch>, Refusal> {
        self.observe(at.into());
        self.dispatch(received)
            .inspect_err(|refusal| *refusal.counter(&mut self.counters) += 1)
    }

    /// Lets due timers act. Call it when [`poll_timeout`](Self::poll_timeout) says so; more often does no harm.
    /// Messages that have arrived are to be [received](Self::receive) first, or a timer could expire that they would have
    /// stopped: a master counts as silent only up to when everything was handed over.
    pub fn tick(&mut self, at: impl Into<Moment>) {
        self.observe(at.into());
        self.step(Event::Tick);
        let addresses = self.announcer.poll(
            self.now,
            &self.config.announcements,
            self.config.addresses.len(),
        );
        for index in addresses {
            if let Some(address) = self.config.addresses.get(index) {
                self.queue(Output::Announce(*address));
            }
        }
    }

    /// Shows that the driver is alive and listens, and nothing more: no timer acts. For the top of a control loop's pass, before
    /// it reads what has arrived, so that an absence is measured where it ends. The other entries do it too.
    pub fn heartbeat(&mut self, at: impl Into<Moment>) {
        self.observe(at.into());
    }

    /// When [`tick`](Self::tick) is wanted next, at the latest; `None` while the router takes no part. That is when a timer is
    /// due, and otherwise half an advertisement interval after the last entry, to tell silence from absence. A time that
    /// has passed already means: as soon as more has been listened to.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        [self.election.timeout(), self.announcer.timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The port's link is up, or down. A master whose link comes back so soon that nobody may have noticed resigns then.
    pub fn port_link(&mut self, at: impl Into<Moment>, up: bool) {
        self.observe(at.into());
        let was_master = self.is_master();
        self.link_up = up;
        self.reconcile(Cause::LinkUp);
        if !up && was_master {
            self.cut_off_at = Some(self.now);
        } else if up
            && let Some(since) = self.cut_off_at.take()
            && self.now.since(since) < self.election.down_interval()
            && self.state() == State::Backup
        {
            self.advertise(PRIORITY_STOP);
        }
    }

    /// The tracked condition `name` holds, or fails. Unknown names are ignored.
    pub fn track_changed(&mut self, at: impl Into<Moment>, name: &str, holds: bool) {
        self.observe(at.into());
        if self.tracks.note(name, holds) {
            self.refresh_parameters();
            self.reconcile(Cause::TrackHolds(name.to_owned()));
        }
    }

    /// Stops taking part; a master resigns with priority 0.
    pub fn shutdown(&mut self, at: impl Into<Moment>) {
        self.observe(at.into());
        self.stopped = true;
        self.reconcile(Cause::Stopped);
    }

    /// Takes part again after [`shutdown`](Self::shutdown).
    pub fn start(&mut self, at: impl Into<Moment>) {
        self.observe(at.into());
        self.stopped = false;
        self.reconcile(Cause::Started);
    }

    /// Takes up a new configuration at run time. The state stays, unless what identifies the router on
    /// the link changed (VRID, version, family, own address), or whether it may be master: then a master resigns, and the router
    /// starts anew.
    ///
    /// # Errors
    ///
    /// Whatever [`Config::validate`] finds; nothing has changed then.
    pub fn reconfigure(
        &mut self,
        at: impl Into<Moment>,
        config: Config,
        local: IpAddr,
    ) -> Result<(), ConfigError> {
        config.validate(local)?;
        self.observe(at.into());
        let identity = |config: &Config, local| {
            let version = config.version.number();
            let family = config.family();
            (config.vrid, version, family, config.candidate, local)
        };
        let anew = identity(&config, local) != identity(&self.config, self.local);
        if anew {
            self.step(Event::Shutdown(Cause::Reconfigured));
        }
        let addresses_changed = config.addresses != self.config.addresses;
        self.tracks = self.tracks.reconfigured(&config.tracks);
        self.config = config;
        self.local = local;
        if anew {
            self.pseudo_header_heard = None;
            self.election =
                Election::new(parameters(&self.config, local, &self.tracks), self.heard);
        } else {
            self.refresh_parameters();
        }
        self.reconcile(Cause::Reconfigured);
        if addresses_changed && self.is_master() {
            self.announcer.start(self.now, &self.config.announcements);
        }
        Ok(())
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.election.state()
    }

    /// Whether this router answers for the virtual addresses: ARP, neighbour discovery, echo.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.state() == State::Master
    }

    /// Whether packets to the virtual addresses are this router's own: it is master, and owner or in accept mode
    /// (RFC 9568 §6.4.3). Neighbour discovery does not depend on it.
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.is_master() && (self.config.is_owner() || self.config.accept)
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets all counters to zero.
    pub fn clear_counters(&mut self, at: impl Into<Moment>) {
        self.observe(at.into());
        self.counters = Counters::default();
        self.counters_since = self.now;
    }

    /// Everything there is to show.
    #[must_use]
    pub fn status(&self) -> Status {
        let master = self.election.master();
        let family = self.config.family();
        Status {
            vrid: self.config.vrid,
            version: self.config.version.number(),
            family,
            addresses: self.config.addresses.clone(),
            virtual_mac: self.config.vrid.virtual_mac(family),
            local: self.local,
            state: self.state(),
            since: self.since,
            obstacle: self.obstacle(),
            priority_configured: self.config.priority,
            priority: self.election.parameters().priority,
            master: master.map(|(address, _)| address),
            master_priority: master.map(|(_, priority)| priority),
            interval: self.config.interval,
            master_interval: self.election.master_interval(),
            down_interval: self.election.down_interval(),
            skew: self.election.skew(),
            preempt: self.config.preempt,
            preempt_delay: self.config.preempt_delay,
            accept: self.config.accept,
            checksum: match self.config.version {
                Version::V2 { .. } => None,
                Version::V3 { checksum } => Some(self.pseudo_header(checksum)),
            },
            tracks: self
                .tracks
                .iter()
                .map(|(track, verdict)| (track.clone(), verdict))
                .collect(),
            last_transition: self.last_transition.clone(),
            counters: self.counters.clone(),
            counters_since: self.counters_since,
        }
    }

    /// What keeps this router in Initialise. What is not yet known of a track stops nobody who runs.
    fn obstacle(&self) -> Option<Obstacle> {
        if self.stopped {
            return Some(Obstacle::Stopped);
        }
        if !self.link_up {
            return Some(Obstacle::LinkDown);
        }
        if let Some(name) = self.tracks.failed() {
            return Some(Obstacle::TrackFails(name.to_owned()));
        }
        match self.tracks.unknown() {
            Some(name) if self.state() == State::Initialise => {
                Some(Obstacle::TrackUnknown(name.to_owned()))
            }
            _ => None,
        }
    }

    /// Starts or stops the election as the obstacles say; `cause` is what may have removed the last one.
    fn reconcile(&mut self, cause: Cause) {
        let event = match self.obstacle() {
            None => Event::Startup(cause),
            Some(Obstacle::Stopped) => Event::Shutdown(Cause::Stopped),
            Some(Obstacle::LinkDown) => Event::Shutdown(Cause::LinkDown),
            Some(Obstacle::TrackFails(name) | Obstacle::TrackUnknown(name)) => {
                Event::Shutdown(Cause::TrackFails(name))
            }
        };
        self.step(event);
    }

    fn refresh_parameters(&mut self) {
        let parameters = parameters(&self.config, self.local, &self.tracks);
        self.election.set_parameters(self.now, parameters);
    }

    /// Every entry begins here: the time is noted, and an absence measured.
    fn observe(&mut self, Moment { now, heard }: Moment) {
        self.now = self.now.max(now);
        self.heard = self.heard.max(heard).min(self.now);
        if let Some(absence) = self.election.observe(self.heard) {
            self.step(absence);
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            heard: self.heard,
        }
    }

    fn step(&mut self, event: Event) {
        let Step {
            advertise,
            transition,
            stalled,
            lost,
        } = self.election.step(self.moment(), event);
        if let Some(away) = stalled {
            self.counters.stalls += 1;
            self.queue(Output::Stalled { away });
        }
        if let Some(priority) = advertise {
            self.advertise(priority);
        }
        if let Some(master) = lost {
            self.queue(Output::MasterLost { master });
        }
        if let Some(transition) = transition {
            self.since = self.now;
            self.last_transition = Some(transition.clone());
            if transition.to == State::Master {
                self.counters.master_transitions += 1;
                self.announcer.start(self.now, &self.config.announcements);
            } else {
                self.announcer.stop();
            }
            self.queue(Output::StateChanged(transition));
        }
    }

    fn queue(&mut self, output: Output) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(output);
        } else {
            self.counters.output_overflows += 1;
        }
    }
}

/// What the election needs to know.
fn parameters(config: &Config, local: IpAddr, tracks: &Tracks) -> Parameters {
    Parameters {
        timers: match config.version {
            Version::V2 { .. } => Timers::V2,
            Version::V3 { .. } => Timers::V3,
        },
        address: local,
        priority: tracks.priority(config.priority),
        interval: config.interval,
        preempt: config.preempt,
        preempt_delay: config.preempt_delay,
        candidate: config.candidate,
    }
}
