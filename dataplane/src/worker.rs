//! A worker: one thread that takes frames down the road, round after round. What each station does is in `road/`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use crate::backlog::Place;
use crate::counters::DiscardReason;
use crate::dpdk::{BURST_MAX, RegisterError, Registration, schedule_realtime, tsc_cycles, tsc_hz};
use crate::grace::EndsWith;
use crate::handover::{EgressState, Order};
use crate::road::{
    Doors, Egress, Ingress, Missing, NO_CONDITION, Packets, drain_backlog, neighbour, paired,
    parse, receive, release, rewrite, route, send_settled, transmit, verdict,
};
use crate::shared::{BacklogCopy, Command, Reply, Shared};
use crate::sweep::Sweeper;
use crate::tables::{ForwardingMode, Tables};

/// The most commands, and frames of the control thread, that a worker takes in one round, so that a storm of them does
/// not keep frames waiting.
const COMMANDS_PER_ROUND: usize = 32;

/// The frames of a round are staged together.
const _: () = assert!(COMMANDS_PER_ROUND <= BURST_MAX);

/// How long at most a worker that ends goes on sending what waits for congested ports.
const LAST_FRAMES_MS: u64 = 10;

/// A worker before it runs.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tables: Arc<ArcSwap<Tables>>,
    pub(crate) ingress: Vec<Ingress>,
    /// By port index.
    pub(crate) egress: Vec<Egress>,
    pub(crate) doors: Doors,
    pub(crate) sweeper: Sweeper,
    /// The most frames to a burst.
    pub(crate) burst: usize,
    /// How long to sleep after a round that found nothing to do; zero to poll without a pause.
    pub(crate) idle_sleep: Duration,
    /// Runs before ordinary threads, by this priority.
    pub(crate) realtime_priority: Option<u8>,
}

impl Worker {
    /// Registers the calling thread with the EAL, says how that went, and works until asked to stop. Returns the
    /// worker, so that its queues outlive it.
    pub(crate) fn run(mut self, started: impl FnOnce(Result<(), RegisterError>)) -> Self {
        let _ends = EndsWith(Arc::clone(&self.shared.taken_up));
        if let Some(priority) = self.realtime_priority {
            // What is not permitted here was not permitted to the control thread, which has said so.
            let _ = schedule_realtime(priority);
        }
        let registration = Registration::new();
        started(registration.as_ref().map(|_| ()).map_err(|&error| error));
        if registration.is_ok() {
            self.work();
        }
        self
    }

    fn work(&mut self) {
        let shared = Arc::clone(&self.shared);
        let tables = Arc::clone(&self.tables);
        let mut tables = Cache::new(&*tables);
        let mut packets = Packets::new();
        while !shared.is_stopping() {
            // In this order, so that what the control thread sends finds the room that others leave. And before the tables, so that no command is
            // followed by packets under tables older than it: what is to be dropped is not held again.
            let mut moved = drain_backlog(&mut self.egress, &mut self.doors) + self.take_commands();
            let tables: &Tables = tables.load();
            shared.taken_up.set(tables.generation);
            if !self.doors.part.is_idle() || self.doors.backlog.awaits_any() {
                moved += self.begin_round(tables, &mut packets);
            }
            if tables.forwarding {
                let mut more = false;
                for queue in 0..self.ingress.len() {
                    let received = self.forward(queue, tables, &mut packets);
                    more |= received == self.burst;
                    moved += received;
                }
                // In the other modes nothing reaches the control thread.
                if tables.mode == ForwardingMode::Route {
                    self.sweeper.end_round(more, &shared.sweeps);
                }
            }
            if !self.doors.part.is_idle() {
                moved += self.end_round();
            }
            self.rest(moved);
        }
        // What was asked for before the end is still sent: masters resign by it.
        let give_up_at = tsc_cycles() + tsc_hz() / 1000 * LAST_FRAMES_MS;
        loop {
            drain_backlog(&mut self.egress, &mut self.doors);
            if self.take_commands() == 0
                && (self.doors.backlog.is_clear() || tsc_cycles() >= give_up_at)
            {
                break;
            }
        }
    }

    /// Takes one burst down the road; returns how many frames it had.
    #[inline]
    fn forward(&mut self, queue: usize, tables: &Tables, packets: &mut Packets) -> usize {
        let Self {
            ingress,
            egress,
            doors,
            ..
        } = self;
        let Some(ingress) = ingress.get_mut(queue) else {
            return 0;
        };
        let port = ingress.port;
        let begin = if tables.burst_times { tsc_cycles() } else { 0 };
        let received = receive(ingress, packets, self.burst, doors);
        if received == 0 {
            return 0;
        }
        if tables.mode == ForwardingMode::Route {
            parse(packets, port, tables, doors);
            verdict(packets, port, tables, doors);
            route(packets, tables);
            neighbour(packets, port, tables, doors, Missing::Waits(Place::Bounded));
            rewrite(packets, port, tables, doors);
            transmit(packets, egress, doors);
            doors.free_discarded();
        } else {
            paired(packets, port, tables, egress, doors);
        }
        if tables.burst_times {
            self.shared
                .burst_times
                .record(tsc_cycles().wrapping_sub(begin));
        }
        received
    }

    /// Does what the control thread asks; returns how many commands that was.
    #[inline]
    fn take_commands(&mut self) -> usize {
        // Whether a queue is empty costs two loads; popping from an empty one costs a full fence.
        if self.shared.commands.is_empty() && self.shared.outgoing.is_empty() {
            0
        } else {
            self.obey()
        }
    }

    #[cold]
    fn obey(&mut self) -> usize {
        let mut taken = 0;
        while taken < COMMANDS_PER_ROUND
            && let Some(command) = self.shared.commands.pop()
        {
            taken += 1;
            match command {
                Command::InspectBacklog(copy) => {
                    let copy = self.copy_backlog(copy);
                    let _ = self.shared.replies.push(Reply::Backlog(copy));
                }
                Command::HandOver(order) => self.take_order(order),
                Command::Settle(neighbour) => self.doors.backlog.settle(neighbour),
            }
        }
        let mut sent = 0;
        while sent < COMMANDS_PER_ROUND
            && let Some(frame) = self.shared.outgoing.pop()
        {
            sent += 1;
            if let Some(egress) = self.egress.get_mut(usize::from(frame.port)) {
                egress.stage(frame.mbuf, NO_CONDITION, &mut self.doors);
            }
        }
        for egress in &mut self.egress {
            let kept = egress.send_control(&mut self.doors);
            self.shared.counters.control_frames.add(kept as u64);
        }
        self.doors.free_discarded();
        taken + sent
    }

    fn take_order(&mut self, order: Order) {
        let mut dropped = 0;
        let Doors { part, backlog, .. } = &mut self.doors;
        part.obey(order, backlog, |mbuf| {
            dropped += 1;
            drop(mbuf);
        });
        let counters = &self.shared.counters;
        counters.discards(DiscardReason::NotInCharge).add(dropped);
        self.doors.count_held();
    }

    fn copy_backlog(&self, mut copy: BacklogCopy) -> BacklogCopy {
        let backlog = &self.doors.backlog;
        let (held, waiting) = (copy.held.capacity(), copy.waiting.capacity());
        let unresolved = copy.unresolved.capacity();
        let conditions = backlog.iter_held().map(|held| held.condition);
        copy.held.extend(conditions.take(held));
        let ports = (0..self.egress.len()).map(|port| backlog.waiting(port));
        copy.waiting.extend(ports.take(waiting));
        let neighbours = backlog.iter_unresolved();
        let counted = neighbours.map(|(neighbour, packets)| (neighbour, packets.count()));
        copy.unresolved.extend(counted.take(unresolved));
        copy
    }

    /// What hand-overs want, and neighbours that were waited for, before anything is received. Returns how many packets that moved.
    #[cold]
    fn begin_round(&mut self, tables: &Tables, packets: &mut Packets) -> usize {
        self.doors.part.begin_round(tables.generation);
        // More than can come in a round, so that there is an end to it.
        let bursts = self.ingress.len() + 1;
        let (egress, doors) = (&mut self.egress, &mut self.doors);
        send_settled(bursts, tables, packets, egress, doors)
            + release(bursts, tables, packets, egress, doors)
    }

    /// What hand-overs want when everything received has gone its way. Returns how much there was to do.
    #[cold]
    fn end_round(&mut self) -> usize {
        let egress = |port: usize| {
            self.egress.get(port).map_or(EgressState::NONE, |egress| {
                egress.state(&self.shared.counters)
            })
        };
        let Doors { part, backlog, .. } = &mut self.doors;
        part.end_round(backlog, egress, tsc_cycles());
        let mut done = 0;
        while let Some(answer) = part.poll_answer() {
            done += 1;
            let _ = self.shared.replies.push(Reply::HandOver(answer));
        }
        done
    }

    /// Ends a round.
    #[inline]
    fn rest(&self, moved: usize) {
        let counters = &self.shared.counters;
        if moved > 0 {
            counters.busy_rounds.add(1);
        } else {
            counters.idle_rounds.add(1);
            if !self.idle_sleep.is_zero() {
                thread::sleep(self.idle_sleep);
            }
        }
    }
}
