//! The workers: what each does with the packets in its queue, and with what it is told.

use super::*;

impl Model {
    pub(super) fn poll(&mut self, node: usize, worker: usize) {
        let router = &mut self.nodes[node];
        let of_worker = &mut router.workers[worker];
        of_worker.verdicts = Rc::clone(&router.verdicts);
        of_worker.verdicts_version = router.verdicts_version;
        let verdicts = Rc::clone(&of_worker.verdicts);
        of_worker
            .released
            .retain(|condition| verdicts.get(condition) == Some(&Verdict::Hold));
        for command in std::mem::take(&mut self.nodes[node].workers[worker].commands) {
            self.obey(node, worker, command);
        }
        for _ in 0..BURST {
            self.take(node, worker);
        }
        let congested = self.settings.congested == Some(node) && self.settled_at.is_none();
        let mut room = match congested {
            true => self.draw(0, 3) as usize,
            false => usize::MAX,
        };
        while room > 0
            && let Some(frame) = self.nodes[node].workers[worker].backlog.pop_front()
        {
            self.frames[frame].routed.push((node, self.now));
            room -= 1;
        }
        self.settle(node, worker);
    }

    /// Takes one thing from the queue.
    pub(super) fn take(&mut self, node: usize, worker: usize) -> bool {
        let life = self.nodes[node].life;
        let of_worker = &mut self.nodes[node].workers[worker];
        let frame = match of_worker.queue.pop_front() {
            None => return false,
            Some(Item::Message(message)) => {
                let late = self.draw(5 * US, 50 * US);
                self.schedule(late, Event::Control(node, life, message));
                return true;
            }
            Some(Item::Frame(frame)) => frame,
        };
        let Frame {
            condition,
            fingerprint,
            ..
        } = self.frames[frame];
        match of_worker.verdicts.get(&condition) {
            Some(Verdict::Route) => {
                if let Some(recorded) = of_worker.recorded.get_mut(&condition) {
                    recorded.push(fingerprint);
                }
                self.frames[frame].accepted[node] = true;
                of_worker.backlog.push_back(frame);
            }
            Some(Verdict::Hold) if of_worker.released.contains(&condition) => {
                of_worker.backlog.push_back(frame);
            }
            Some(Verdict::Hold) => of_worker
                .held
                .entry(condition)
                .or_default()
                .push_back(frame),
            Some(Verdict::Discard) | None => {}
        }
        true
    }

    pub(super) fn obey(&mut self, node: usize, worker: usize, id: u64) {
        let Some(pending) = self.nodes[node].pending.get(&id) else {
            return;
        };
        let conditions = Arc::clone(&pending.conditions);
        let command = pending.command.clone();
        let of_worker = &mut self.nodes[node].workers[worker];
        match &command {
            Command::StartRecording => {
                for condition in conditions.iter() {
                    of_worker.recorded.insert(*condition, Vec::new());
                }
            }
            Command::StopRecording => {
                of_worker
                    .recorded
                    .retain(|condition, _| !conditions.contains(condition));
            }
            Command::EmptyReceiveQueues => while self.take(node, worker) {},
            Command::Inspect => {
                let accepted: Vec<Accepted> = conditions
                    .iter()
                    .filter_map(|condition| {
                        let fingerprints = of_worker.recorded.remove(condition)?;
                        Some(Accepted {
                            condition: *condition,
                            overflowed: false,
                            first_unrouted: None,
                            fingerprints,
                        })
                    })
                    .collect();
                if let Some(pending) = self.nodes[node].pending.get_mut(&id) {
                    pending.accepted.extend(accepted);
                }
            }
            Command::Release(accepted) => {
                let mut listed: HashMap<Fingerprint, u64> = HashMap::new();
                for fingerprint in accepted.iter().flat_map(|list| &list.fingerprints) {
                    *listed.entry(*fingerprint).or_default() += 1;
                }
                let giver = self.nodes[node].pending[&id].name.from;
                let of_worker = &mut self.nodes[node].workers[worker];
                for condition in conditions.iter() {
                    for frame in of_worker.held.remove(condition).unwrap_or_default() {
                        if !self.frames[frame].accepted[node_of(giver)] {
                            self.unlisted += 1;
                        }
                        match listed.get_mut(&self.frames[frame].fingerprint) {
                            Some(count) if *count > 0 => *count -= 1,
                            _ => of_worker.backlog.push_back(frame),
                        }
                    }
                    of_worker.released.insert(*condition);
                }
            }
            Command::DropBacklog => {
                of_worker
                    .held
                    .retain(|condition, _| !conditions.contains(condition));
            }
            Command::SetVerdict(_) | Command::DrainBacklog | Command::Resolve => {}
        }
        // What depends on the state of things is looked at after the burst.
        if !matches!(command, Command::SetVerdict(_) | Command::DrainBacklog) {
            self.done(node, worker, id);
        }
    }

    /// Says which commands a worker has done by now.
    pub(super) fn settle(&mut self, node: usize, worker: usize) {
        let router = &self.nodes[node];
        let of_worker = &router.workers[worker];
        let done: Vec<u64> = router
            .pending
            .iter()
            .filter(|(_, pending)| match pending.command {
                Command::SetVerdict(_) => of_worker.verdicts_version >= pending.verdicts_version,
                Command::DrainBacklog => !of_worker
                    .backlog
                    .iter()
                    .any(|frame| pending.conditions.contains(&self.frames[*frame].condition)),
                _ => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            self.done(node, worker, id);
        }
    }

    pub(super) fn done(&mut self, node: usize, worker: usize, id: u64) {
        let router = &mut self.nodes[node];
        let Some(pending) = router.pending.get_mut(&id) else {
            return;
        };
        pending.workers.remove(&worker);
        if !pending.workers.is_empty() {
            return;
        }
        let Some(pending) = router.pending.remove(&id) else {
            return;
        };
        let completion = match pending.command {
            Command::StartRecording => Completion::Recording,
            Command::EmptyReceiveQueues => Completion::QueuesEmptied,
            Command::SetVerdict(verdict) => Completion::VerdictSet(verdict),
            Command::DrainBacklog => Completion::Drained,
            Command::Inspect => Completion::Inspected(pending.accepted),
            Command::Release(_) => Completion::Released,
            Command::DropBacklog => Completion::Dropped,
            Command::StopRecording | Command::Resolve => return,
        };
        let life = router.life;
        let late = self.draw(5 * US, 100 * US);
        self.schedule(late, Event::Complete(node, life, pending.name, completion));
    }

    // The control loop.
}
