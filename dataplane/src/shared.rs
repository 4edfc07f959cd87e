//! What one worker and the control thread share: counters, the punt rings, commands and replies. Every queue is bounded;
//! whoever finds one full counts that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use crate::backlog::{NEIGHBOURS_MAX, Neighbour};
use crate::burst_times::BurstTimes;
use crate::counters::{PuntClass, WorkerCounters};
use crate::dpdk::Mbuf;
use crate::grace::TakenUp;
use crate::handover::{Answer, Learned, Order};
use crate::octets::ConditionOctets;
use crate::road::Punted;
use crate::sweep::Sweeps;

/// A frame of the control thread's, to be sent behind what waits for the port.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The index of the port.
    pub(crate) port: u16,
    /// The frame, complete.
    pub(crate) mbuf: Mbuf,
}

/// What the control thread asks of a worker, with the memory that this takes.
#[derive(Debug)]
pub(crate) enum Command {
    /// Say what the backlog holds.
    InspectBacklog(BacklogCopy),
    /// Do something for a hand-over.
    HandOver(Order),
    /// What waits for this neighbour is to wait no longer: its MAC is known now, or is not to be found out.
    Settle(Neighbour),
}

/// What a worker answers; the memory goes back. The control thread has never asked for more than its queue takes.
#[derive(Debug)]
pub(crate) enum Reply {
    /// To [`Command::InspectBacklog`].
    Backlog(BacklogCopy),
    /// To [`Command::HandOver`].
    HandOver(Answer),
}

/// What a worker writes of its backlog, never more than it was given room for.
#[derive(Debug)]
pub(crate) struct BacklogCopy {
    /// The condition of each packet on hold.
    pub(crate) held: Vec<u32>,
    /// Packets that wait for each port, by index.
    pub(crate) waiting: Vec<usize>,
    /// Packets that wait for each neighbour.
    pub(crate) unresolved: Vec<(Neighbour, usize)>,
}

impl BacklogCopy {
    /// Room for all that a backlog of this capacity can hold.
    pub(crate) fn new(capacity: usize, ports: usize) -> Self {
        Self {
            held: Vec::with_capacity(capacity),
            waiting: Vec::with_capacity(ports),
            unresolved: Vec::with_capacity(NEIGHBOURS_MAX),
        }
    }

    /// Put in order.
    pub(crate) fn view(mut self) -> BacklogView {
        self.held.sort_unstable();
        BacklogView {
            held: self
                .held
                .chunk_by(|one, two| one == two)
                .map(|same| (same[0], same.len()))
                .collect(),
            waiting: self.waiting,
            unresolved: self.unresolved,
        }
    }
}

/// What a worker's backlog holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BacklogView {
    /// Packets on hold: condition and how many, in ascending order of conditions.
    pub held: Vec<(u32, usize)>,
    /// Packets that wait for each port, by index.
    pub waiting: Vec<usize>,
    /// Neighbours whose MAC is not known, and packets that wait for it.
    pub unresolved: Vec<(Neighbour, usize)>,
}

/// How many frames, commands or addresses each ring to or from the control thread holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingSizes {
    pub(crate) vrrp: usize,
    pub(crate) arp: usize,
    pub(crate) rest: usize,
    pub(crate) outgoing: usize,
    pub(crate) commands: usize,
    pub(crate) learned: usize,
    pub(crate) wanted: usize,
}

/// One worker's meeting place with the control thread.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Written by the worker alone.
    pub(crate) counters: CachePadded<WorkerCounters>,
    /// Octets by condition; written by the worker alone.
    pub(crate) conditions: Arc<ConditionOctets>,
    /// How long bursts took, while that is recorded.
    pub(crate) burst_times: BurstTimes,
    /// The snapshot that the worker reads.
    pub(crate) taken_up: Arc<TakenUp>,
    /// How often the worker has emptied its receive queues.
    pub(crate) sweeps: Arc<Sweeps>,
    /// To the control thread, by [`PuntClass`].
    pub(crate) punts: [ArrayQueue<Punted>; PuntClass::COUNT],
    /// Frames from the control thread.
    pub(crate) outgoing: ArrayQueue<Outgoing>,
    /// From the control thread.
    pub(crate) commands: ArrayQueue<Command>,
    /// To the control thread.
    pub(crate) replies: ArrayQueue<Reply>,
    /// Addresses that no condition names.
    pub(crate) learned: ArrayQueue<Learned>,
    /// Neighbours whose MAC is wanted.
    pub(crate) wanted: ArrayQueue<Neighbour>,
    stop: AtomicBool,
}

impl Shared {
    pub(crate) fn new(ports: usize, rings: RingSizes) -> io::Result<Self> {
        Ok(Self {
            counters: CachePadded::new(WorkerCounters::new(ports)),
            conditions: Arc::new(ConditionOctets::new()?),
            burst_times: BurstTimes::default(),
            taken_up: Arc::default(),
            sweeps: Arc::default(),
            punts: [rings.vrrp, rings.arp, rings.rest].map(|frames| ArrayQueue::new(frames.max(1))),
            outgoing: ArrayQueue::new(rings.outgoing.max(1)),
            commands: ArrayQueue::new(rings.commands.max(1)),
            replies: ArrayQueue::new(rings.commands.max(1)),
            learned: ArrayQueue::new(rings.learned.max(1)),
            wanted: ArrayQueue::new(rings.wanted.max(1)),
            stop: AtomicBool::new(false),
        })
    }

    /// Asks the worker to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether the worker is to end.
    #[inline]
    #[must_use]
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Frees what is left in the queues once the worker has ended.
    pub(crate) fn drain(&self) {
        while self.outgoing.pop().is_some() {}
        for ring in &self.punts {
            while ring.pop().is_some() {}
        }
    }
}
