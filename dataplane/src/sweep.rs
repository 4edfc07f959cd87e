//! Up to when everything that arrived has been taken: each worker counts how often it has emptied its receive queues, and
//! the control thread tells from the counts what it can have heard by now. A worker that does not run leaves frames where
//! nobody sees them, and silence says nothing then.

use std::sync::Arc;
use std::time::Instant;

use crossbeam::utils::CachePadded;

use crate::atomic::{AtomicU64, Ordering};

/// How often one worker has emptied its receive queues; written by it, read by the control thread.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(CachePadded<AtomicU64>);

/// A worker's own side of its [`Sweeps`].
#[derive(Debug)]
pub(crate) struct Sweeper {
    /// The rounds after which all that waited in a full queue has been taken, whatever came since.
    rounds_max: usize,
    rounds: usize,
}

impl Sweeper {
    /// For queues of at most `descriptors` frames, taken `burst` at a time.
    #[must_use]
    pub(crate) fn new(descriptors: usize, burst: usize) -> Self {
        Self {
            rounds_max: descriptors.div_ceil(burst.max(1)),
            rounds: 0,
        }
    }

    /// Ends a round that asked every queue; `more` may wait in a queue that gave a whole burst.
    #[inline(always)]
    pub(crate) fn end_round(&mut self, more: bool, sweeps: &Sweeps) {
        self.rounds += 1;
        if !more || self.rounds >= self.rounds_max {
            self.rounds = 0;
            let count = sweeps.0.load(Ordering::Relaxed) + 1;
            // Release: whoever sees the new count sees what was punted before.
            sweeps.0.store(count, Ordering::Release);
        }
    }
}

/// All workers' sweeps, as the control thread follows them.
#[derive(Debug)]
pub(crate) struct Listening {
    workers: Vec<Arc<Sweeps>>,
    /// When the counts were looked at, and what they were then.
    mark: Option<(Instant, Mark)>,
    until: Option<Instant>,
}

/// The counts at one moment.
#[derive(Debug)]
pub(crate) struct Mark(Vec<u64>);

impl Listening {
    /// To these workers, whether they run yet or not.
    #[must_use]
    pub(crate) fn new(workers: Vec<Arc<Sweeps>>) -> Self {
        Self {
            workers,
            mark: None,
            until: None,
        }
    }

    /// How often the workers have emptied their queues by now.
    #[must_use]
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.counts().collect())
    }

    /// Whether every worker has emptied its queues so many times since `mark`, each time from beginning to end.
    #[must_use]
    pub(crate) fn has_swept(&self, mark: &Mark, times: u64) -> bool {
        // The sweep that was under way at the mark may have passed a queue already, the one after it had not begun.
        let mut pairs = self.counts().zip(&mark.0);
        pairs.all(|(now, then)| now > then + times)
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.workers
            .iter()
            .map(|worker| worker.0.load(Ordering::Acquire))
    }

    /// Everything that had arrived by the returned instant has left the receive queues for the punt rings. `now` is the time,
    /// read just before.
    pub(crate) fn until(&mut self, now: Instant) -> Option<Instant> {
        if self
            .mark
            .as_ref()
            .is_none_or(|(_, mark)| self.has_swept(mark, 1))
        {
            let marked = self.mark.replace((now, self.mark()));
            self.until = marked.map(|(at, _)| at).or(self.until);
        }
        self.until
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BURST: usize = 64;

    fn sweep(sweeps: &Sweeps, times: usize) {
        let mut sweeper = Sweeper::new(1024, BURST);
        (0..times).for_each(|_| sweeper.end_round(false, sweeps));
    }

    #[test]
    fn what_arrived_by_a_look_has_been_taken_when_every_worker_began_and_ended_a_sweep_since() {
        let workers = vec![Arc::new(Sweeps::default()), Arc::new(Sweeps::default())];
        let mut listening = Listening::new(workers.clone());
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(listening.until(at(0)), None);
        workers.iter().for_each(|worker| sweep(worker, 1));
        assert_eq!(listening.until(at(1)), None, "it may have begun before");
        sweep(&workers[0], 5);
        assert_eq!(listening.until(at(2)), None, "the second worker sleeps");
        sweep(&workers[1], 1);
        assert_eq!(listening.until(at(3)), Some(at(0)));
        assert_eq!(listening.until(at(4)), Some(at(0)));
        workers.iter().for_each(|worker| sweep(worker, 2));
        assert_eq!(listening.until(at(5)), Some(at(3)));
    }

    #[test]
    fn a_full_burst_ends_no_sweep_until_the_longest_queue_has_been_emptied_once() {
        let sweeps = Sweeps::default();
        let mut sweeper = Sweeper::new(4 * BURST, BURST);
        for round in 1..=12 {
            sweeper.end_round(true, &sweeps);
            assert_eq!(sweeps.0.load(Ordering::Relaxed), round / 4);
        }
        sweeper.end_round(true, &sweeps);
        sweeper.end_round(false, &sweeps);
        assert_eq!(sweeps.0.load(Ordering::Relaxed), 4);
    }
}
