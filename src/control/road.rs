//! The control thread's hands on the data plane: what the router decides becomes commands for the workers, and what cannot
//! be carried out is counted.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use dataplane::addr::MacAddr;
use dataplane::dpdk::Mbuf;
use dataplane::handover::{HandoverDone, HandoverId, HandoverStep, Learned};
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{Dataplane, Full, Group, MatchOn, Neighbour, NextHop, Published, RouteChange};

use super::host::{PortIndex, Route};
use super::router::Workers;
use super::routes::Change;
use super::vrrp::{Charge, GroupKey, HookCall, HookRunner, Taken};

/// Frames of this router's own that were lost on their way to a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostFrames {
    /// There was no packet buffer.
    pub no_mbuf: u64,
    /// The worker's command queue was full.
    pub queue_full: u64,
}

impl LostFrames {
    /// Every counter with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("transmit-no-mbuf", self.no_mbuf),
            ("transmit-queue-full", self.queue_full),
        ]
        .into_iter()
    }
}

/// The data plane, and the thread that runs hooks.
#[derive(Debug)]
pub struct Road {
    /// The data plane.
    pub dataplane: Dataplane,
    /// The operator's commands on changes of state.
    pub hooks: HookRunner,
    /// What was lost.
    pub lost: LostFrames,
    /// Verdict tables that the workers have yet to take up.
    published: BTreeMap<Taken, Published>,
    next_taken: Taken,
}

impl Road {
    /// Takes both over.
    #[must_use]
    pub fn new(dataplane: Dataplane, hooks: HookRunner) -> Self {
        Self {
            dataplane,
            hooks,
            lost: LostFrames::default(),
            published: BTreeMap::new(),
            next_taken: 0,
        }
    }

    /// What was lost on the way to the workers, and what became of the operator's commands, each with its name.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        self.lost.iter().chain(self.hooks.counters().iter())
    }

    /// Counts from zero again, the workers too.
    pub fn clear_counters(&mut self) {
        self.dataplane.clear_counters();
        self.hooks.clear_counters();
        self.lost = LostFrames::default();
    }
}

impl Workers for Road {
    type Packet = Mbuf;

    fn transmit(&mut self, port: PortIndex, frame: &[u8]) {
        match self.dataplane.new_frame(frame) {
            Some(mbuf) => self.forward(port, mbuf),
            None => self.lost.no_mbuf += 1,
        }
    }

    fn forward(&mut self, port: PortIndex, packet: Mbuf) {
        if self.dataplane.transmit(port, packet).is_err() {
            self.lost.queue_full += 1;
        }
    }

    fn set_neighbour(&mut self, port: PortIndex, address: Ipv4Addr, mac: Option<MacAddr>) {
        self.dataplane.set_neighbour(port, address, mac);
    }

    fn poll_wanted(&mut self) -> Option<(PortIndex, Ipv4Addr)> {
        let Neighbour { port, address } = self.dataplane.poll_wanted()?;
        Some((port, address))
    }

    fn settle_neighbour(&mut self, port: PortIndex, address: Ipv4Addr) {
        self.dataplane.settle_neighbour(Neighbour { port, address });
    }

    fn receive_virtual_mac(&mut self, group: GroupKey) -> Result<(), String> {
        self.dataplane
            .receive_virtual_mac(group.port, group.vrid)
            .map_err(|error| error.to_string())
    }

    fn set_charge(&mut self, group: GroupKey, charge: Option<Charge>) {
        let GroupKey { port, vrid } = group;
        let charge = charge.map(|charge| {
            let (verdict, match_on) = match charge {
                Charge::Ours => (Verdict::Route, MatchOn::Source),
                Charge::Others => (Verdict::Discard, MatchOn::Source),
                Charge::Shared(match_on) => (Verdict::Discard, match_on),
            };
            Group {
                verdicts: Arc::new(VerdictTable::uniform(verdict, 0)),
                match_on,
            }
        });
        if let Err(error) = self.dataplane.set_group(port, vrid, charge) {
            tracing::error!(port, vrid, %error, "frames to the virtual MAC are not received");
        }
    }

    fn change_routes(&mut self, changes: &[Change]) -> Result<(), String> {
        let changes: Vec<RouteChange> = changes
            .iter()
            .map(|change| match *change {
                Change::Set(prefix, route) => RouteChange::Add {
                    prefix,
                    next_hop: next_hop(route),
                },
                Change::Remove(prefix) => RouteChange::Delete { prefix },
            })
            .collect();
        self.dataplane
            .change_routes(&changes)
            .map_err(|error| error.to_string())
    }

    fn run_hook(&mut self, call: HookCall) {
        self.hooks.submit(call);
    }

    fn set_verdicts(&mut self, group: GroupKey, verdicts: Arc<VerdictTable>) -> Option<Taken> {
        let published = self
            .dataplane
            .set_verdicts(group.port, group.vrid, verdicts)?;
        let dataplane = &self.dataplane;
        self.published
            .retain(|_, published| !dataplane.has_taken_up(*published));
        self.next_taken += 1;
        self.published.insert(self.next_taken, published);
        Some(self.next_taken)
    }

    fn has_taken_up(&self, taken: Taken) -> bool {
        self.published
            .get(&taken)
            .is_none_or(|published| self.dataplane.has_taken_up(*published))
    }

    fn hand_over(
        &mut self,
        id: HandoverId,
        conditions: &[u32],
        step: HandoverStep,
    ) -> Result<(), HandoverStep> {
        self.dataplane
            .hand_over(id, conditions, step)
            .map_err(|Full(step)| step)
    }

    fn poll_handover(&mut self) -> Option<(HandoverId, HandoverDone)> {
        self.dataplane.poll_handovers()
    }

    fn condition_octets(&self, condition: u32) -> u64 {
        self.dataplane.condition_octets(condition)
    }

    fn frames_received(&self, port: PortIndex) -> u64 {
        self.dataplane.frames_received(port)
    }

    fn overflows(&self) -> u64 {
        self.dataplane.overflows()
    }

    fn poll_learned(&mut self) -> Option<Learned> {
        self.dataplane.poll_learned()
    }
}

const fn next_hop(route: Route) -> NextHop {
    match route {
        Route::Local => NextHop::Local,
        Route::Broadcast => NextHop::Broadcast,
        Route::Connected { port } => NextHop::Connected { port },
        Route::Gateway { port, address } => NextHop::Gateway { port, address },
        Route::Unreachable => NextHop::Unreachable,
        Route::Blackhole => NextHop::Blackhole,
    }
}
