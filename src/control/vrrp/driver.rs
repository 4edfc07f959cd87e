//! All virtual routers of all ports: brings frames, links and time to them, and has done what they ask for. What they
//! decide is the business of [`vrrpd`]; who sends the frames and asks the time is the control loop's.
//!
//! | file | what lives there |
//! |---|---|
//! | this one | [`Vrrp`]: who is told what, and when |
//! | `apply.rs` | a configuration comes into force |
//! | `complaints.rs` | which packets that are refused, or odd, the operator is told of |
//! | `group.rs` | one virtual router, and what it asks for |
//! | `output.rs` | what the control loop is asked to do |
//! | `review.rs` | reviews at the operator's word |
//! | `shared.rs` | virtual routers that share their load |
//! | `ties.rs` | groups of which one follows the other |
//! | `tracks.rs` | what virtual routers watch |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dataplane::addr::MacAddr;
use vrrpd::wire::Header;
use vrrpd::{Moment, Time, Transition, VirtualRouter};

use super::config::{GroupConfig, Watch};
use super::frame;
use super::sharing::{Numbers, Sharing};
use super::tracking::{Ping, Tracker};
use crate::control::host::{PortIndex, Virtual};

mod apply;
mod complaints;
mod group;
mod output;
mod review;
mod shared;
mod ties;
mod tracks;

pub use apply::{ApplyError, check};
pub use output::{Charge, GroupKey, Output};
pub use review::Asked;
pub use shared::OrderError;

use complaints::{Complaint, Complaints};
use group::Group;
use output::Outbox;
use shared::Boots;
use ties::Tie;

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
    complaints: Complaints,
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
    ties: Vec<Tie>,
    /// Whether everything is to be given away, by groups too that begin later.
    draining: bool,
}

#[derive(Clone, Copy, Debug)]
struct PortState {
    mac: MacAddr,
    link_up: bool,
    /// Frames received so far.
    frames: u64,
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
            Some(Ok(mismatch)) => {
                self.accepted(at, key, received.src);
                if let Some(mismatch) = mismatch {
                    self.complain(at, key, received.src, Complaint::Mismatch(mismatch));
                }
            }
            // Counted by the virtual router under its reason.
            Some(Err(refusal)) => {
                self.complain(at, key, received.src, Complaint::Refused(refusal));
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
            let frames = self.ports.get(&key.port).map_or(0, |port| port.frames);
            self.share(key, |sharing, numbers| sharing.tick(at, frames, numbers));
        }
        self.tie(at);
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
        self.outbox.pop()
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

    fn link_up(&self, port: PortIndex) -> bool {
        self.ports.get(&port).is_some_and(|port| port.link_up)
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

#[cfg(test)]
mod tests;
