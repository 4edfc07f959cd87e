//! The control thread's handle on the data plane: [`Dataplane`].

mod backlog;
mod config;
mod handover;
mod neighbours;
mod pool;
mod routing;
mod start;
mod telemetry;

use std::marker::PhantomData;
use std::mem;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use arc_swap::ArcSwap;
use thiserror::Error;

pub use config::{Pinning, PortConfig, PortHandle, StartError, StartReport, WorkerConfig};
pub use pool::pool_octets;
pub use routing::{RouteChange, RouteError};

use crate::addr::MacAddr;
use crate::burst_times::BurstTimeCounts;
use crate::counters::{Counters, DiscardReason, PuntClass};
use crate::dpdk::{
    Carrier, Eal, Link, Mbuf, Mempool, Port, PortError, PortStats, Telemetry, Xstat,
};
use crate::grace::{Generation, Grace};
use crate::hop::NextHop;
use crate::road::{Punted, is_vrrp};
use crate::shared::{Outgoing, Reply, Shared};
use crate::sweep::Listening;
use crate::tables::{ForwardingMode, Group, Tables};
use crate::verdict::VerdictTable;
use crate::worker::Worker;
use backlog::Inspection;
use handover::Handovers;
use neighbours::Asked;
use routing::Routing;

/// The data plane, as the control thread holds it: it owns ports, pools and workers, and is the only writer of what
/// workers read. Not to be shared between threads, as there is one control thread.
///
/// Ports and workers are named by their index in the configuration. Changes take effect within a round of the workers
/// (microseconds, or their idle sleep), and lose no packet. [`Dataplane::maintain`] is to be called now and then.
#[derive(Debug)]
pub struct Dataplane {
    /// Holds on to what workers count.
    _telemetry: Telemetry,
    // Dropped in this order: workers end before the ports that they use close, ports before pools, the EAL last.
    workers: Vec<Running>,
    ports: Vec<OpenPort>,
    pool: Mempool,
    _eal: Eal,
    tables: Arc<ArcSwap<Tables>>,
    /// Earlier snapshots that a worker may still hold: kept, so that no worker frees one.
    retired: Vec<Arc<Tables>>,
    grace: Grace,
    listening: Listening,
    routing: Routing,
    /// The counters when they were last cleared.
    cleared: Counters,
    /// The worker whose punt ring is emptied first next time.
    first_punts: usize,
    /// By worker.
    backlogs: Vec<Inspection>,
    /// Packets in each worker's backlog, at most.
    backlog_capacity: usize,
    handovers: Handovers,
    /// By worker.
    asked: Vec<Asked>,
    /// The worker whose ring of addresses is looked into first next time.
    first_learned: usize,
    _one_thread: PhantomData<*mut ()>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Worker>>,
}

#[derive(Debug)]
struct OpenPort {
    handle: PortHandle,
    port: Port,
    /// Of the kernel's interface that the device works on.
    carrier: Option<Carrier>,
    /// The driver receives everything, as it could not be given a further MAC.
    receives_everything: bool,
}

/// A worker has ended that nobody asked to. Whatever comes to its queues is lost, so that the program had better end too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "worker {0} has ended by a mistake in the program, which stands on standard error; report it"
)]
pub struct WorkerLost(
    /// Its index.
    pub usize,
);

/// A worker's queue is full, and gives back what was for it.
#[derive(Debug, Error)]
#[error("the worker's queue is full")]
pub struct Full<T>(pub T);

/// Tables that were published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published(Generation);

/// What became of the packet buffers when the data plane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Buffers that had not come back to the pool.
    pub mbufs: u32,
}

/// Buffers in use and in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolUse {
    /// Buffers that a queue, the backlog, or somebody else has.
    pub in_use: u32,
    /// All buffers.
    pub size: u32,
}

impl Dataplane {
    /// The ports, by index.
    pub fn ports(&self) -> impl ExactSizeIterator<Item = &PortHandle> {
        self.ports.iter().map(|port| &port.handle)
    }

    /// One port.
    #[must_use]
    pub fn port(&self, port: u16) -> Option<&PortHandle> {
        self.ports.get(usize::from(port)).map(|port| &port.handle)
    }

    /// The number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Makes a new snapshot the workers' own.
    fn publish(&mut self, change: impl FnOnce(&mut Tables)) {
        let mut next = Tables::clone(&self.tables.load());
        next.generation += 1;
        change(&mut next);
        self.retired.push(self.tables.swap(Arc::new(next)));
    }

    fn generation(&self) -> Generation {
        self.tables.load().generation
    }

    /// What is done with received frames from now on.
    pub fn set_mode(&mut self, mode: ForwardingMode) {
        self.publish(|tables| tables.mode = mode);
    }

    /// What is done with received frames.
    #[must_use]
    pub fn mode(&self) -> ForwardingMode {
        self.tables.load().mode
    }

    /// Lets the workers receive.
    pub fn start_forwarding(&mut self) {
        self.publish(|tables| tables.forwarding = true);
    }

    /// Lets the workers receive no more; they still send what the control thread gives them. Returns when none is in the
    /// middle of a burst.
    pub fn stop_forwarding(&mut self) {
        self.publish(|tables| tables.forwarding = false);
        self.grace.wait(self.generation());
    }

    /// Whether the workers receive.
    #[must_use]
    pub fn is_forwarding(&self) -> bool {
        self.tables.load().forwarding
    }

    /// Whether the time that each burst takes is recorded, at the cost of reading the clock twice a burst.
    pub fn set_burst_times(&mut self, on: bool) {
        self.publish(|tables| tables.burst_times = on);
    }

    /// The cycles that a worker's bursts took while they were recorded.
    #[must_use]
    pub fn burst_times(&self, worker: usize) -> Option<BurstTimeCounts> {
        self.workers
            .get(worker)
            .map(|worker| worker.shared.burst_times.snapshot())
    }

    /// Adds, replaces or removes a virtual router on a port: frames to its virtual MAC are received and judged by its
    /// verdict table. Without one they are discarded as not for this router.
    ///
    /// # Errors
    /// The driver can receive frames for the virtual MAC neither by a filter nor by receiving everything.
    pub fn set_group(
        &mut self,
        port: u16,
        vrid: u8,
        group: Option<Group>,
    ) -> Result<(), PortError> {
        if group.is_some() {
            self.receive_virtual_mac(port, vrid)?;
        } else if self.has_group(port, vrid)
            && let Some(open) = self.ports.get_mut(usize::from(port))
            && !open.receives_everything
        {
            // A driver that cannot forget an address costs nothing: the road discards what comes to it.
            let _ = open.port.remove_mac(MacAddr::virtual_v4(vrid));
        }
        self.publish(|tables| {
            if let Some(table) = tables.ports.get_mut(usize::from(port)) {
                Arc::make_mut(table).set_group(vrid, group);
            }
        });
        self.end_releases();
        Ok(())
    }

    /// Has a port receive frames to the virtual MAC of a virtual router, which [`Dataplane::set_group`] does too: by the driver's filter of addresses, or by receiving
    /// everything if that has no room. Until there is such a group they are discarded.
    ///
    /// # Errors
    /// The driver can do neither.
    pub fn receive_virtual_mac(&mut self, port: u16, vrid: u8) -> Result<(), PortError> {
        let is_received = self.has_group(port, vrid);
        let Some(open) = self.ports.get_mut(usize::from(port)) else {
            return Ok(());
        };
        if !is_received
            && !open.receives_everything
            && open.port.add_mac(MacAddr::virtual_v4(vrid)).is_err()
        {
            open.port.receive_everything()?;
            open.receives_everything = true;
        }
        Ok(())
    }

    fn has_group(&self, port: u16, vrid: u8) -> bool {
        let tables = self.tables.load();
        let port = tables.ports.get(usize::from(port));
        port.is_some_and(|port| port.has_group(vrid))
    }

    /// Replaces the verdict table of a group; none if there is no such group. It is in force once it
    /// [has been taken up](Dataplane::has_taken_up).
    pub fn set_verdicts(
        &mut self,
        port: u16,
        vrid: u8,
        verdicts: Arc<VerdictTable>,
    ) -> Option<Published> {
        let tables = self.tables.load_full();
        let group = tables.ports.get(usize::from(port))?.group(vrid.into())?;
        let group = Group {
            verdicts,
            match_on: group.match_on,
        };
        self.publish(|tables| {
            if let Some(table) = tables.ports.get_mut(usize::from(port)) {
                Arc::make_mut(table).set_group(vrid, Some(group));
            }
        });
        self.end_releases();
        Some(self.published())
    }

    /// All that was changed so far.
    #[must_use]
    pub fn published(&self) -> Published {
        Published(self.generation())
    }

    /// Whether every worker has taken up these tables, so that it treats whatever it takes from a queue by them or later ones.
    #[must_use]
    pub fn has_taken_up(&self, published: Published) -> bool {
        self.grace.has_passed(published.0)
    }

    /// Whether every worker has taken up all that was changed so far.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.grace.has_passed(self.generation())
    }

    /// Waits until every worker has taken up all that was changed so far: microseconds, or the idle sleep.
    pub fn settle(&self) {
        self.grace.wait(self.generation());
    }

    /// Everything that had arrived at the ports by the returned instant is in the punt rings, or was dealt with by the workers;
    /// none if a worker has not received yet. Stands still while a worker does not run, or [does not
    /// receive](Dataplane::stop_forwarding). `now` is the time, read just before; the rings are to be emptied after.
    pub fn polled_until(&mut self, now: Instant) -> Option<Instant> {
        self.listening.until(now)
    }

    /// Hands at most `max` frames of one class to `take`, from all workers in turn. Returns how many.
    pub fn poll_punts(
        &mut self,
        class: PuntClass,
        max: usize,
        take: &mut impl FnMut(Punted),
    ) -> usize {
        let workers = self.workers.len().max(1);
        let mut taken = 0;
        for offset in 0..workers {
            let Some(worker) = self.workers.get((self.first_punts + offset) % workers) else {
                break;
            };
            while taken < max
                && let Some(punted) = worker.shared.punts[class as usize].pop()
            {
                taken += 1;
                take(punted);
            }
        }
        self.first_punts = (self.first_punts + 1) % workers;
        taken
    }

    /// A packet buffer with a copy of `octets`; none if the pool is empty or the frame does not fit.
    #[must_use]
    pub fn new_frame(&self, octets: &[u8]) -> Option<Mbuf> {
        let mut mbuf = self.pool.alloc()?;
        mbuf.append_copy(octets).then_some(mbuf)
    }

    /// Sends a complete frame out of a port, through a worker.
    ///
    /// # Errors
    /// Gives the frame back if the queue is full; a quarter of it is kept for VRRP.
    pub fn transmit(&mut self, port: u16, mbuf: Mbuf) -> Result<(), Full<Mbuf>> {
        // One worker sends everything of the control thread's, so that it keeps its order.
        let Some(worker) = self.workers.first() else {
            return Err(Full(mbuf));
        };
        let outgoing = &worker.shared.outgoing;
        let is_crowded = outgoing.len() >= outgoing.capacity().div_ceil(4) * 3;
        if is_crowded && !is_vrrp(mbuf.data()) {
            return Err(Full(mbuf));
        }
        outgoing
            .push(Outgoing { port, mbuf })
            .map_err(|frame| Full(frame.mbuf))
    }

    /// What the workers counted since the start, or since [`Dataplane::clear_counters`].
    #[must_use]
    pub fn counters(&self) -> Counters {
        let workers = self.counters_since_start().workers;
        Counters {
            workers: workers
                .iter()
                .zip(&self.cleared.workers)
                .map(|(now, then)| now.since(then))
                .collect(),
        }
    }

    fn counters_since_start(&self) -> Counters {
        Counters {
            workers: self
                .workers
                .iter()
                .map(|worker| worker.shared.counters.snapshot())
                .collect(),
        }
    }

    /// Counts from zero from now on.
    pub fn clear_counters(&mut self) {
        self.cleared = self.counters_since_start();
    }

    /// Octets routed under a condition since the start, by all workers.
    #[must_use]
    pub fn condition_octets(&self, condition: u32) -> u64 {
        self.workers
            .iter()
            .map(|worker| worker.shared.conditions.get(condition as usize))
            .fold(0, u64::wrapping_add)
    }

    /// Frames that a port has received since the start, whatever was cleared.
    #[must_use]
    pub fn frames_received(&self, port: u16) -> u64 {
        let counters = self.workers.iter().map(|worker| &worker.shared.counters);
        counters
            .filter_map(|counters| counters.ports.get(usize::from(port)))
            .map(|port| port.rx_packets.get())
            .fold(0, u64::wrapping_add)
    }

    /// Packets that the workers' backlogs could not take since the start, whatever was cleared.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.workers
            .iter()
            .map(|worker| {
                let counters = worker.shared.counters.snapshot();
                counters.discarded(DiscardReason::HoldOverflow)
                    + counters.discarded(DiscardReason::EgressOverflow)
            })
            .fold(0, u64::wrapping_add)
    }

    /// Takes in what workers have answered.
    fn take_replies(&mut self) {
        for (worker, inspection) in self.workers.iter().zip(&mut self.backlogs) {
            while let Some(reply) = worker.shared.replies.pop() {
                match reply {
                    Reply::Backlog(copy) => inspection.answered(copy),
                    Reply::HandOver(answer) => self.handovers.answered(answer),
                }
            }
        }
    }

    /// The link of a port, as its driver last heard; of a device on a kernel's interface, as the kernel says.
    ///
    /// # Errors
    /// The driver does not say.
    pub fn link(&self, port: u16) -> Result<Option<Link>, PortError> {
        let Some(port) = self.ports.get(usize::from(port)) else {
            return Ok(None);
        };
        let link = port.port.link()?;
        Ok(Some(Link {
            up: link.up && port.carrier.as_ref().is_none_or(Carrier::is_up),
            ..link
        }))
    }

    /// The driver's counters of a port, since its start or [`Dataplane::clear_port_stats`].
    ///
    /// # Errors
    /// The driver does not count.
    pub fn port_stats(&self, port: u16) -> Result<Option<PortStats>, PortError> {
        self.ports
            .get(usize::from(port))
            .map(|port| port.port.stats())
            .transpose()
    }

    /// The driver's own named counters of a port.
    #[must_use]
    pub fn port_xstats(&self, port: u16) -> Vec<Xstat> {
        self.ports
            .get(usize::from(port))
            .map(|port| port.port.xstats())
            .unwrap_or_default()
    }

    /// Sets the driver's counters of a port to zero.
    pub fn clear_port_stats(&mut self, port: u16) {
        if let Some(port) = self.ports.get_mut(usize::from(port)) {
            port.port.clear_stats();
        }
    }

    /// How full the pool of packet buffers is.
    #[must_use]
    pub fn mempool(&self) -> MempoolUse {
        MempoolUse {
            in_use: self.pool.in_use(),
            size: self.pool.size(),
        }
    }

    /// Where packets to `address` go; none if there is no route.
    #[must_use]
    pub fn route(&self, address: Ipv4Addr) -> Option<NextHop> {
        let tables = self.tables.load();
        match tables.fib.lookup(address.to_bits()) {
            0 => None,
            hop => tables.hop(hop).map(|hop| hop.kind),
        }
    }

    /// Whether every worker runs. To be asked now and then.
    ///
    /// # Errors
    /// [`WorkerLost`].
    pub fn check_workers(&self) -> Result<(), WorkerLost> {
        check_workers(self.workers.iter().map(|worker| worker.thread.as_ref()))
    }

    /// Takes back what no worker can be reading any more. To be called now and then.
    pub fn maintain(&mut self) {
        self.retired.retain(|tables| Arc::strong_count(tables) > 1);
        self.handovers.maintain();
        self.tell_settled();
        self.reclaim();
    }

    /// Ends workers, ports and DPDK, and says whether all packet buffers came back.
    #[must_use]
    pub fn shutdown(mut self) -> Leak {
        self.end_workers();
        self.ports.clear();
        Leak {
            mbufs: self.pool.in_use(),
        }
    }

    fn end_workers(&mut self) {
        for worker in &self.workers {
            worker.shared.stop();
        }
        let ended: Vec<Worker> = self
            .workers
            .iter_mut()
            .filter_map(|worker| worker.thread.take()?.join().ok())
            .collect();
        drop(ended);
        for worker in mem::take(&mut self.workers) {
            worker.shared.drain();
        }
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.end_workers();
    }
}

fn check_workers<'a, T: 'a>(
    mut threads: impl Iterator<Item = Option<&'a JoinHandle<T>>>,
) -> Result<(), WorkerLost> {
    let lost = threads.position(|thread| thread.is_none_or(JoinHandle::is_finished));
    lost.map_or(Ok(()), |worker| Err(WorkerLost(worker)))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_worker_that_has_panicked_is_missed() {
        let (end, until) = mpsc::channel::<()>();
        let runs = thread::spawn(move || until.recv().is_ok());
        assert_eq!(check_workers([Some(&runs)].into_iter()), Ok(()));
        let lost = thread::spawn(|| -> bool {
            std::panic::resume_unwind(Box::new("as a worker might"));
        });
        while !lost.is_finished() {
            thread::yield_now();
        }
        let threads = [Some(&runs), Some(&lost)].into_iter();
        assert_eq!(check_workers(threads), Err(WorkerLost(1)));
        drop(end);
        assert!(!runs.join().unwrap());
    }
}
