//! One worker, as far as it decides: its queue, its egress, and between them the data plane's own code.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use dataplane::MatchOn;
use dataplane::backlog::{Backlog, Full, Held, Waiting};
use dataplane::handover::{Answer, EgressState, Order, WorkerPart, fingerprint};
use dataplane::verdict::{Verdict, VerdictTable};
use manifold::control::vrrp::GroupKey;

use super::packet::Packet;

pub(crate) const WORKERS: usize = 2;
pub(crate) const PORTS: usize = 2;
/// Frames taken at a time.
const BURST: usize = 32;
/// Frames that a receive queue takes.
pub(crate) const QUEUE_MAX: usize = 512;
/// Packets that a backlog takes, and those of them that may be on hold.
const BACKLOG_MAX: u32 = 4096;
const HELD_MAX: usize = 3072;
/// What a port receives.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// A packet of an end system, to the virtual MAC of a group.
    Data(u8, Packet),
    /// Anything that the control thread hears of.
    Control(Rc<[u8]>),
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) verdicts: Arc<VerdictTable>,
    pub(super) match_on: MatchOn,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) generation: u64,
    pub(super) groups: BTreeMap<GroupKey, Group>,
}

pub(super) struct Worker {
    pub(super) queue: VecDeque<(u16, Frame)>,
    pub(super) commands: VecDeque<Order>,
    pub(super) part: WorkerPart,
    pub(super) backlog: Backlog<Packet>,
    pub(super) tables: Rc<Tables>,
    /// How often it has emptied its queue, and when it did so last.
    pub(super) sweeps: u64,
    pub(super) swept_at: u64,
    /// Packets given to each egress.
    pub(super) sent: [u64; PORTS],
    /// When the egress takes another one.
    pub(super) free_at: u64,
}

/// What the workers have done that somebody else has to hear of.
#[derive(Debug, Default)]
pub(crate) struct Doings {
    /// Packets sent on.
    pub(crate) sent: Vec<u32>,
    /// Frames for the control thread.
    pub(crate) punted: Vec<(u16, Rc<[u8]>)>,
    /// Packets that found the backlog full.
    pub(crate) overflowed: u64,
}

/// What a round may do, and has done.
pub(super) struct Round<'a> {
    pub(super) now: u64,
    /// How many packets the egress takes.
    pub(super) room: usize,
    /// Whether what is to be held is.
    pub(super) holds: bool,
    pub(super) doings: &'a mut Doings,
}

impl Worker {
    pub(super) fn new(tables: &Rc<Tables>) -> Worker {
        Worker {
            queue: VecDeque::new(),
            commands: VecDeque::new(),
            part: WorkerPart::default(),
            backlog: Backlog::new(BACKLOG_MAX, PORTS),
            tables: Rc::clone(tables),
            sweeps: 0,
            swept_at: 0,
            sent: [0; PORTS],
            free_at: 0,
        }
    }

    /// Sends what waits for an egress.
    pub(super) fn drain_backlog(&mut self, round: &mut Round<'_>) {
        for port in 0..PORTS {
            while round.room > 0
                && let Some(waiting) = self.backlog.dequeue(port)
            {
                round.room -= 1;
                self.sent[port] += 1;
                round.doings.sent.push(waiting.packet.number);
            }
        }
    }

    /// Lets go of a burst of what is held.
    pub(super) fn release(&mut self, round: &mut Round<'_>) {
        let mut released = Vec::new();
        self.part
            .release(&mut self.backlog, BURST, |held, accepted_before| {
                if !accepted_before {
                    released.push(held);
                }
            });
        for held in released {
            self.transmit(held.port, held.condition, held.packet, round);
        }
    }

    /// Takes a burst.
    pub(super) fn receive(&mut self, tables: &Tables, round: &mut Round<'_>) {
        let mut received = 0;
        while received < BURST
            && let Some((port, frame)) = self.queue.pop_front()
        {
            received += 1;
            match frame {
                Frame::Control(frame) => round.doings.punted.push((port, frame)),
                Frame::Data(vrid, packet) => {
                    self.judge(GroupKey { port, vrid }, packet, tables, round);
                }
            }
        }
        if received < BURST {
            self.sweeps += 1;
            self.swept_at = round.now;
        }
    }

    /// What is done by the end of the round.
    pub(super) fn end_round(&mut self, now: u64) -> Vec<Answer> {
        let sent = self.sent;
        let egress = |port: usize| EgressState {
            sent: sent[port],
            full_at: None,
            idle: Some(true),
            descriptors: 64,
        };
        self.part.end_round(&mut self.backlog, egress, now);
        std::iter::from_fn(|| self.part.poll_answer()).collect()
    }

    /// As the road's verdict station: `dataplane/src/road/verdict.rs` and `watch.rs`.
    pub(super) fn judge(
        &mut self,
        key: GroupKey,
        packet: Packet,
        tables: &Tables,
        round: &mut Round<'_>,
    ) {
        let Some(group) = tables.groups.get(&key) else {
            return;
        };
        let address = match group.match_on {
            MatchOn::Source => packet.source,
            MatchOn::Destination => packet.destination,
        };
        let entry = group.verdicts.get(address.to_bits());
        let condition = entry.condition();
        let is_routed = match entry.verdict() {
            Verdict::Route => {
                if entry.is_watched() {
                    self.part.accept(condition, &packet);
                }
                true
            }
            Verdict::Discard => {
                if entry.is_watched() {
                    self.part.refuse(condition, &packet, round.now);
                }
                return;
            }
            Verdict::Hold => self.part.lets_pass(condition),
        };
        if !is_routed && !round.holds {
            return;
        }
        if is_routed {
            self.transmit(key.port, condition, packet, round);
            return;
        }
        let held = Held {
            condition,
            fingerprint: fingerprint(&packet),
            port: key.port,
            via: u16::from(key.vrid),
            packet,
        };
        if self.backlog.held() >= HELD_MAX || self.backlog.hold(held).is_err() {
            round.doings.overflowed += 1;
        }
    }

    /// Sends a packet on, out of the other port than the one it came by, or has it wait.
    pub(super) fn transmit(
        &mut self,
        ingress: u16,
        condition: u32,
        packet: Packet,
        round: &mut Round<'_>,
    ) {
        let egress = 1 - usize::from(ingress);
        if round.room > 0 && self.backlog.waiting(egress) == 0 {
            round.room -= 1;
            self.sent[egress] += 1;
            round.doings.sent.push(packet.number);
        } else if let Err(Full(_)) = self.backlog.enqueue(egress, Waiting { condition, packet }) {
            round.doings.overflowed += 1;
        }
    }
}
