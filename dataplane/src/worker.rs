//! A worker: one thread that takes frames down the road, round after round. What each station does is in `road/`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use core_affinity::CoreId;

use crate::dpdk::{Burst, RegisterError, Registration, tsc_cycles};
use crate::road::{
    Doors, Egress, Ingress, NO_CONDITION, Packets, drain_backlog, neighbour, paired, parse,
    receive, rewrite, route, transmit, verdict,
};
use crate::shared::{BacklogView, Command, Reply, Shared};
use crate::sweep::Sweeper;
use crate::tables::{ForwardingMode, Tables};

/// The most commands that a worker takes in one round, so that a storm of them does not keep frames waiting.
const COMMANDS_PER_ROUND: usize = 32;

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
}

impl Worker {
    /// Pins the calling thread, registers it with the EAL, says how that went, and works until asked to stop. Returns the
    /// worker, so that its queues outlive it.
    pub(crate) fn run(
        mut self,
        cpu: Option<CoreId>,
        started: impl FnOnce(Result<(), RegisterError>),
    ) -> Self {
        if let Some(cpu) = cpu {
            core_affinity::set_for_current(cpu);
        }
        let registration = Registration::new();
        started(registration.as_ref().map(|_| ()).map_err(|&error| error));
        if registration.is_ok() {
            self.work();
        }
        self.shared.taken_up.end();
        self
    }

    fn work(&mut self) {
        let shared = Arc::clone(&self.shared);
        let tables = Arc::clone(&self.tables);
        let mut tables = Cache::new(&*tables);
        let mut burst = Burst::new();
        let mut packets = Packets::new();
        while !shared.is_stopping() {
            let tables: &Tables = tables.load();
            shared.taken_up.set(tables.generation);
            let mut moved = self.take_commands() + drain_backlog(&mut self.egress, &mut self.doors);
            if tables.forwarding {
                let mut more = false;
                for queue in 0..self.ingress.len() {
                    let received = self.forward(queue, tables, &mut burst, &mut packets);
                    more |= received == self.burst;
                    moved += received;
                }
                // In the other modes nothing reaches the control thread.
                if tables.mode == ForwardingMode::Route {
                    self.sweeper.end_round(more, &shared.sweeps);
                }
            }
            self.rest(moved);
        }
        // What was asked for before the end is still sent: masters resign by it.
        while self.take_commands() > 0 {}
        drain_backlog(&mut self.egress, &mut self.doors);
    }

    /// Takes one burst down the road; returns how many frames it had.
    #[inline]
    fn forward(
        &mut self,
        queue: usize,
        tables: &Tables,
        burst: &mut Burst,
        packets: &mut Packets,
    ) -> usize {
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
        let received = receive(ingress, burst, self.burst, doors);
        if received == 0 {
            return 0;
        }
        if tables.mode == ForwardingMode::Route {
            parse(burst, port, tables, packets, doors);
            verdict(packets, port, tables, doors);
            route(packets, tables);
            neighbour(packets, port, tables, doors);
            rewrite(packets, port, tables, doors);
            transmit(packets, egress, doors);
            doors.free_discarded();
        } else {
            paired(burst, port, tables, egress, doors);
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
        // Whether the queue is empty costs two loads; popping from an empty one costs a full fence.
        if self.shared.commands.is_empty() {
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
                Command::Transmit { port, mbuf } => {
                    if let Some(egress) = self.egress.get_mut(usize::from(port)) {
                        egress.stage(mbuf, NO_CONDITION, &mut self.doors);
                        self.shared.counters.control_frames.add(1);
                    }
                }
                Command::InspectBacklog => {
                    // A control thread that leaves its replies unread gets no more of them.
                    let _ = self
                        .shared
                        .replies
                        .push(Reply::Backlog(self.backlog_view()));
                }
            }
        }
        for egress in &mut self.egress {
            egress.send(&mut self.doors);
        }
        self.doors.free_discarded();
        taken
    }

    fn backlog_view(&self) -> BacklogView {
        let backlog = &self.doors.backlog;
        let mut held: Vec<u32> = backlog
            .iter_held()
            .map(|waiting| waiting.condition)
            .collect();
        held.sort_unstable();
        BacklogView {
            held: held
                .chunk_by(|one, two| one == two)
                .map(|same| (same[0], same.len()))
                .collect(),
            waiting: (0..self.egress.len())
                .map(|port| backlog.waiting(port))
                .collect(),
        }
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
