//! When a worker can no longer be reading what was taken out of its reach. Snapshots are numbered; a worker says which
//! one it has taken up at the start of each round, and whatever was out of reach of that one is free then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::utils::CachePadded;

use crate::atomic::{AtomicU64, Ordering};

/// How long the control thread sleeps between two looks: a few rounds of a worker.
const PAUSE: Duration = Duration::from_micros(20);

/// The number of a snapshot; each is one above the one before.
pub(crate) type Generation = u64;

/// The snapshot that one worker reads; written by it, read by the control thread.
#[derive(Debug, Default)]
pub(crate) struct TakenUp(CachePadded<AtomicU64>);

impl TakenUp {
    /// Says that a round begins that reads `generation`, and so that nothing of an earlier one is read any more.
    #[inline(always)]
    pub(crate) fn set(&self, generation: Generation) {
        // Release: what the worker read before, it read before the control thread can see the new number.
        self.0.store(generation, Ordering::Release);
    }

    /// Says that the worker has ended and reads nothing any more.
    pub(crate) fn end(&self) {
        self.0.store(Generation::MAX, Ordering::Release);
    }
}

/// Says when it is dropped, also by a panic, that [a worker has ended](TakenUp::end).
pub(crate) struct EndsWith(pub(crate) Arc<TakenUp>);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// All workers, as the control thread sees them.
#[derive(Debug)]
pub(crate) struct Grace {
    workers: Vec<Arc<TakenUp>>,
}

impl Grace {
    /// For these workers, whether they run yet or not.
    #[must_use]
    pub(crate) fn new(workers: Vec<Arc<TakenUp>>) -> Self {
        Self { workers }
    }

    /// Whether every worker has taken up this snapshot or a later one.
    #[must_use]
    pub(crate) fn has_passed(&self, generation: Generation) -> bool {
        self.workers
            .iter()
            .all(|worker| worker.0.load(Ordering::Acquire) >= generation)
    }

    /// Waits until every worker has taken up this snapshot. A worker looks for one every few microseconds; when idle,
    /// after its idle sleep.
    pub(crate) fn wait(&self, generation: Generation) {
        while !self.has_passed(generation) {
            // Asleep, not only yielding: a worker that is bound to this processor may have the lower priority, and would never run.
            thread::sleep(PAUSE);
        }
    }
}

/// Things that were taken out of the workers' reach, until none can be reading them.
#[derive(Debug)]
pub(crate) struct Retired<T> {
    /// By the first generation that does not reach them, ascending.
    waiting: VecDeque<(Generation, Vec<T>)>,
}

impl<T> Default for Retired<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }
}

impl<T> Retired<T> {
    /// Retires `things`, which snapshot `generation` and later ones do not reach.
    pub(crate) fn retire(&mut self, things: Vec<T>, generation: Generation) {
        if !things.is_empty() {
            self.waiting.push_back((generation, things));
        }
    }

    /// Hands back what no worker can be reading any more.
    pub(crate) fn reclaim(&mut self, grace: &Grace) -> Vec<T> {
        let mut free = Vec::new();
        while self
            .waiting
            .front()
            .is_some_and(|(generation, _)| grace.has_passed(*generation))
        {
            free.extend(
                self.waiting
                    .pop_front()
                    .into_iter()
                    .flat_map(|(_, things)| things),
            );
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retired_comes_back_once_every_worker_has_passed_on() {
        let workers = vec![Arc::new(TakenUp::default()), Arc::new(TakenUp::default())];
        let grace = Grace::new(workers.clone());
        let mut retired = Retired::default();
        retired.retire(vec!["old"], 2);
        workers[0].set(2);
        assert!(
            retired.reclaim(&grace).is_empty(),
            "the second worker is still where it was"
        );
        workers[1].set(1);
        assert!(retired.reclaim(&grace).is_empty());
        workers[1].set(3);
        assert_eq!(retired.reclaim(&grace), ["old"]);
    }

    #[test]
    fn a_worker_that_has_panicked_holds_nothing_back() {
        let worker = Arc::new(TakenUp::default());
        let grace = Grace::new(vec![Arc::clone(&worker)]);
        let mut retired = Retired::default();
        retired.retire(vec![1, 2], 1);
        let ends = EndsWith(worker);
        let thread = thread::spawn(move || {
            let _ends = ends;
            std::panic::resume_unwind(Box::new("as a worker might"));
        });
        assert!(thread.join().is_err());
        assert_eq!(retired.reclaim(&grace), [1, 2]);
        grace.wait(7);
    }
}
