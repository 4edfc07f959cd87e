//! Moving conditions from one router to another, packet by packet: recording what is accepted, holding and releasing, by a worker ([`WorkerPart`]) and as the
//! control thread asks for it ([`Steps`]). Which moves there are, and when each step is due, is not decided here. Packets are known only by their
//! octets ([`backlog::Packet`](crate::backlog::Packet)), so that a simulation can drive all of it.

mod conditions;
mod draining;
mod learning;
mod part;
mod recording;
mod release;
mod steps;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use xxhash_rust::xxh3::xxh3_64;

pub use conditions::ConditionSet;
pub use draining::{Draining, EgressState};
pub use learning::{Learned, Learner};
pub use part::{Answer, Order, Returned, Task, WorkerPart};
pub use recording::Recording;
pub use release::{Release, Releasing};
pub use steps::{Present, Steps};

use crate::backlog::Packet;
use crate::wire::ipv4::{self, Protocol};

/// The most steps that wait for workers at a time.
pub const ASKED_MAX: usize = 64;

/// The most recordings, and the most releases whose conditions are still on hold.
pub const ACTIVE_MAX: usize = 64;

/// A hand-over, as the driver numbers it: one for each move and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandoverId(pub u32);

/// What workers shall do for a hand-over, for certain conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoverStep {
    /// Record a fingerprint of every packet accepted under a watched [`Verdict::Route`](crate::verdict::Verdict), from now
    /// on, and remember the first TCP packet under a watched [`Verdict::Discard`](crate::verdict::Verdict).
    StartRecording {
        /// For how many packets of all these conditions together there is room in each worker; beyond that the oldest ones are
        /// forgotten, and their conditions marked as overflowed.
        room: usize,
    },
    /// Stop that, and forget what was recorded. Nobody is told when it is done.
    StopRecording,
    /// Take everything out of the receive queues that is in them now. Regards no conditions.
    EmptyReceiveQueues,
    /// Send the packets that wait for a congested egress before all others; done when none waits any more, nor is in
    /// a transmit ring as far as its driver can say.
    DrainBacklog,
    /// Stop recording and hand over what was recorded.
    Inspect,
    /// Drop from the held packets those listed, one for each entry, and send the others in their order; whatever comes
    /// under [`Verdict::Hold`](crate::verdict::Verdict) from then on is sent behind them. Of a condition whose list is marked as
    /// overflowed, each worker drops besides what it holds before the first unrouted TCP packet; if it does not hold that, or
    /// there is none, up to the last packet listed.
    Release(Vec<AcceptedPackets>),
    /// Drop the held packets.
    DropBacklog,
}

/// That every worker has done what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoverDone {
    /// [`HandoverStep::StartRecording`].
    Recording,
    /// [`HandoverStep::EmptyReceiveQueues`].
    QueuesEmptied,
    /// [`HandoverStep::DrainBacklog`].
    Drained,
    /// [`HandoverStep::Inspect`], with what all workers accepted. Conditions of which there is nothing to say are left out.
    Inspected(Vec<AcceptedPackets>),
    /// [`HandoverStep::Release`].
    Released,
    /// [`HandoverStep::DropBacklog`].
    Dropped,
}

/// The packets of one condition that a router has accepted (`docs/protocol.md`, "acceptance lists").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedPackets {
    /// The index of the condition's counter.
    pub condition: u32,
    /// Whether there were more than are listed.
    pub overflowed: bool,
    /// The first TCP packet that was discarded after these.
    pub first_unrouted: Option<TcpMark>,
    /// The fingerprint of each packet, oldest first for each worker.
    pub fingerprints: Vec<u64>,
}

/// What tells a TCP packet from others of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpMark {
    /// The IP source address.
    pub source: Ipv4Addr,
    /// The IP destination address.
    pub destination: Ipv4Addr,
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// The sequence number.
    pub sequence_number: u32,
}

impl TcpMark {
    /// That of an IP packet; none if it is not TCP, or a fragment other than the first.
    #[must_use]
    pub fn of(packet: &impl Packet) -> Option<Self> {
        let octets = packet.ip_octets();
        let fixed = octets.first_chunk::<{ ipv4::HEADER_OCTETS }>()?;
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff;
        if fixed[9] != Protocol::TCP.0 || fragment != 0 {
            return None;
        }
        let tcp = octets
            .get(usize::from(fixed[0] & 0x0f) * 4..)?
            .first_chunk::<8>()?;
        let address =
            |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        Some(Self {
            source: address(12),
            destination: address(16),
            source_port: u16::from_be_bytes([tcp[0], tcp[1]]),
            destination_port: u16::from_be_bytes([tcp[2], tcp[3]]),
            sequence_number: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
        })
    }
}

/// The fingerprint of a packet as it was received: XXH3-64 with seed 0 over the whole IP packet (`docs/protocol.md`).
#[must_use]
pub fn fingerprint(packet: &impl Packet) -> u64 {
    xxh3_64(packet.ip_octets())
}
