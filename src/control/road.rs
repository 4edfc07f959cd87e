//! The control thread's hands on the data plane: what the router decides becomes commands for the workers, and what cannot
//! be carried out is counted.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dataplane::addr::MacAddr;
use dataplane::dpdk::Mbuf;
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{Dataplane, Group, MatchOn, NextHop, RouteChange};

use super::host::{PortIndex, Route};
use super::router::Workers;
use super::routes::Change;
use super::vrrp::{Charge, GroupKey, HookCall, HookRunner};

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
}

impl Road {
    /// Takes both over.
    #[must_use]
    pub fn new(dataplane: Dataplane, hooks: HookRunner) -> Self {
        Self {
            dataplane,
            hooks,
            lost: LostFrames::default(),
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

    fn set_charge(&mut self, group: GroupKey, charge: Option<Charge>) {
        let GroupKey { port, vrid } = group;
        let charge = charge.map(|charge| Group {
            verdicts: Arc::new(VerdictTable::uniform(
                match charge {
                    Charge::Ours => Verdict::Route,
                    Charge::Others => Verdict::Discard,
                },
                0,
            )),
            match_on: MatchOn::Source,
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
