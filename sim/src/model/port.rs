//! A router's port and its workers. Control threads speak to a worker by commands, which it carries out one after the other when it gets to them.

use vrrpd::sharing::moves::Verdict;

/// A set of packets, one bit each.
pub(super) type Frames = u8;

/// What a worker is asked to do: [`vrrpd::sharing::moves::Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    StartRecording,
    StopRecording,
    EmptyReceiveQueues,
    SetVerdict(Verdict),
    DrainBacklog,
    Inspect,
    /// Release but for these.
    Release(Frames),
    DropBacklog,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Worker {
    /// The receive queue.
    pub(super) queue: Vec<u8>,
    pub(super) commands: Vec<Command>,
    pub(super) verdict: Verdict,
    recording: bool,
    recorded: Frames,
    pub(super) held: Vec<u8>,
    /// Whether what was held is released, so that what still comes is sent behind it.
    released: bool,
    /// What is accepted and waits for its egress.
    pub(super) backlog: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Port {
    pub(super) alive: bool,
    /// How many of the host's packets are here, or lost here.
    pub(super) delivered: u8,
    pub(super) lost: Frames,
    pub(super) workers: Vec<Worker>,
    /// What was recorded, once inspected.
    pub(super) listed: Frames,
    /// What any worker ever held.
    pub(super) ever_held: Frames,
}

impl Worker {
    fn new(verdict: Verdict) -> Worker {
        Worker {
            queue: Vec::new(),
            commands: Vec::new(),
            verdict,
            recording: false,
            recorded: 0,
            held: Vec::new(),
            released: false,
            backlog: Vec::new(),
        }
    }

    /// Takes the packet that came first; whether it is accepted.
    fn take(&mut self, ever_held: &mut Frames) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let frame = self.queue.remove(0);
        match self.verdict {
            Verdict::Discard => false,
            Verdict::Hold if !self.released => {
                self.held.push(frame);
                *ever_held |= 1 << frame;
                false
            }
            Verdict::Hold | Verdict::Route => {
                if self.recording {
                    self.recorded |= 1 << frame;
                }
                self.backlog.push(frame);
                true
            }
        }
    }
}

impl Port {
    pub(super) fn new(workers: u8, verdict: Verdict) -> Port {
        Port {
            alive: true,
            delivered: 0,
            lost: 0,
            workers: (0..workers).map(|_| Worker::new(verdict)).collect(),
            listed: 0,
            ever_held: 0,
        }
    }

    pub(super) fn die(&mut self) {
        let workers = self.workers.len();
        self.alive = false;
        self.workers = (0..workers)
            .map(|_| Worker::new(Verdict::Discard))
            .collect();
    }

    pub(super) fn command(&mut self, command: Command) {
        for worker in &mut self.workers {
            worker.commands.push(command);
        }
    }

    /// Whether every worker has done whatever was asked.
    pub(super) fn has_done(&self) -> bool {
        self.workers.iter().all(|worker| worker.commands.is_empty())
    }

    pub(super) fn all_have(&self, verdict: Verdict) -> bool {
        self.workers.iter().all(|worker| worker.verdict == verdict)
    }

    /// Whether nothing is kept or under way.
    pub(super) fn is_empty(&self) -> bool {
        self.workers.iter().all(|worker| {
            worker.queue.is_empty()
                && worker.held.is_empty()
                && worker.backlog.is_empty()
                && worker.commands.is_empty()
                && !worker.recording
        })
    }

    /// Takes one packet out of a receive queue.
    pub(super) fn poll(&mut self, worker: usize) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.take(&mut self.ever_held);
        }
    }

    /// Whether a worker could carry out its next command now.
    pub(super) fn can_obey(&self, worker: usize) -> bool {
        let worker = self.workers.get(worker);
        worker.is_some_and(|worker| match worker.commands.first() {
            Some(Command::DrainBacklog) => worker.backlog.is_empty(),
            Some(_) => true,
            None => false,
        })
    }

    /// Has a worker carry out its next command.
    pub(super) fn obey(&mut self, worker: usize) {
        let Some(worker) = self.workers.get_mut(worker) else {
            return;
        };
        match worker.commands.remove(0) {
            Command::StartRecording => worker.recording = true,
            Command::StopRecording => {
                worker.recording = false;
                worker.recorded = 0;
            }
            Command::EmptyReceiveQueues => {
                while !worker.queue.is_empty() {
                    worker.take(&mut self.ever_held);
                }
            }
            Command::SetVerdict(verdict) => {
                worker.verdict = verdict;
                worker.released &= verdict == Verdict::Hold;
            }
            Command::DrainBacklog => {}
            Command::Inspect => {
                worker.recording = false;
                self.listed |= std::mem::take(&mut worker.recorded);
            }
            Command::Release(accepted) => {
                let held = std::mem::take(&mut worker.held);
                let free = |frame: &u8| accepted & 1 << frame == 0;
                worker.backlog.extend(held.into_iter().filter(free));
                worker.released = true;
            }
            Command::DropBacklog => worker.held.clear(),
        }
    }
}
