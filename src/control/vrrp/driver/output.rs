//! What passes between the virtual routers and the control loop: by what a virtual router is named, and what is to be done.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use dataplane::MatchOn;
use dataplane::handover::{HandoverId, HandoverStep};

use crate::control::host::{Originated, PortIndex};
use crate::control::vrrp::hooks::HookCall;
use crate::control::vrrp::sharing::Sighting;
use crate::control::vrrp::tracking::Ping;

/// The most outputs that wait for the control loop: more than all 255 virtual routers of a port can ask for at once, each
/// sending to 255 unicast peers.
const OUTPUTS_MAX: usize = 1 << 17;

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
    /// Ask a watched address whether it is there; the reply comes back to [`super::Vrrp::on_echo_reply`].
    Ping(Ping),
    /// Run a command.
    Hook(HookCall),
    /// Have the workers do this for a move, for conditions with these numbers; what comes of it comes back to
    /// [`super::Vrrp::handed_over`].
    HandOver {
        /// Which move.
        id: HandoverId,
        /// The conditions' numbers.
        conditions: Vec<u32>,
        /// What.
        step: HandoverStep,
    },
    /// Ask for a neighbour on a port; its link address comes back to [`super::Vrrp::neighbour_there`].
    Ask {
        /// The port.
        port: PortIndex,
        /// The neighbour.
        address: Ipv4Addr,
    },
    /// Ask everyone on a port who has this address, once and whatever is known of it; who answers comes back to [`super::Vrrp::neighbour_there`].
    Sweep {
        /// The port.
        port: PortIndex,
        /// The address.
        address: Ipv4Addr,
    },
    /// Ask everyone on the network of the port's address `local` by an ICMP information request; who replies comes back to
    /// [`super::Vrrp::informed`].
    RequestInformation {
        /// The port.
        port: PortIndex,
        /// An own address on it.
        local: Ipv4Addr,
        /// By which the replies are told from others'.
        identifier: u16,
        /// By which they are told from those to earlier requests.
        sequence: u16,
    },
    /// Look whether a packet came from the further router behind which its end system is: whether that router has the link address of the
    /// [`Sighting`]. As soon as that is known, it comes back to [`super::Vrrp::vouched`].
    Vouch {
        /// Which group asks.
        group: GroupKey,
        /// What was seen.
        sighting: Sighting,
    },
    /// Have the neighbour ready that packets to this address go to.
    Prepare(Ipv4Addr),
    /// Have all gateways ready.
    PrepareGateways,
}

/// What waits for the control loop, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Output>,
    /// What was lost because the control loop did not take it.
    pub(super) overflows: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, output: Output) {
        if self.queue.len() < OUTPUTS_MAX {
            self.queue.push_back(output);
        } else {
            self.overflows += 1;
        }
    }

    pub(super) fn extend(&mut self, outputs: impl IntoIterator<Item = Output>) {
        outputs.into_iter().for_each(|output| self.push(output));
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }
}
