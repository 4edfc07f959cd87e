//! A whole hand-over between two routers whose workers are threads: what they share with the control thread is what the program's do (tables, generations, sweeps,
//! command and reply queues, the claims of a release), and the round is the one of `worker.rs`. Small enough for Miri, which tries many schedules, and the orders in
//! which memory of weaker machines shows writes: `scripts/concurrency`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, scope, yield_now};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use super::*;
use crate::grace::{Grace, TakenUp};
use crate::sweep::{Listening, Mark, Sweeper, Sweeps};
use crate::verdict::{Verdict, VerdictTable};

const WORKERS: usize = 2;
/// End systems, each of which is spread to a worker of its own.
const FLOWS: u8 = 2;
const BURST: usize = 2;
/// Packets of each end system.
const PACKETS: u32 = if cfg!(miri) { 6 } else { 400 };
/// What a receive queue takes: everything, however late its worker is.
const QUEUE: usize = FLOWS as usize * PACKETS as usize;
const HANDOVER: HandoverId = HandoverId(1);

fn end_system(flow: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, flow)
}

/// The condition of each end system.
const CONDITIONS: [u32; FLOWS as usize] = [3, 4];

/// What a worker reads.
struct Tables {
    generation: u64,
    verdicts: VerdictTable,
}

/// What one worker shares with the control thread and the network.
struct Meeting {
    queue: ArrayQueue<(u8, Ip)>,
    commands: ArrayQueue<Order>,
    replies: ArrayQueue<Answer>,
    taken_up: Arc<TakenUp>,
    sweeps: Arc<Sweeps>,
}

/// One router, as its control thread has it.
struct Router {
    tables: ArcSwap<Tables>,
    meetings: Vec<Meeting>,
    grace: Grace,
    stop: AtomicBool,
}

/// What the control thread alone has of a router.
struct Control<'a> {
    router: &'a Router,
    steps: Steps<Mark>,
    listening: Listening,
    generation: u64,
}

impl Router {
    fn new(verdict: Verdict) -> Self {
        let meetings: Vec<Meeting> = (0..WORKERS)
            .map(|_| Meeting {
                queue: ArrayQueue::new(QUEUE),
                commands: ArrayQueue::new(8),
                replies: ArrayQueue::new(8),
                taken_up: Arc::default(),
                sweeps: Arc::default(),
            })
            .collect();
        let taken_up = meetings.iter().map(|of| Arc::clone(&of.taken_up));
        Self {
            tables: ArcSwap::from_pointee(tables(1, verdict, false)),
            grace: Grace::new(taken_up.collect()),
            meetings,
            stop: AtomicBool::new(false),
        }
    }

    /// Rounds, as `worker.rs` has them, until told to stop; what was sent.
    fn work(&self, worker: usize) -> Vec<(u8, Ip)> {
        let meeting = &self.meetings[worker];
        let mut tables = Cache::new(&self.tables);
        let mut sweeper = Sweeper::new(QUEUE, BURST);
        let mut part = WorkerPart::default();
        let mut backlog: Backlog<Ip> = Backlog::new(1024, 1);
        let mut sent = Vec::new();
        while !self.stop.load(Ordering::Acquire) {
            while let Some(order) = meeting.commands.pop() {
                part.obey(order, &mut backlog, drop);
            }
            yield_now();
            let tables: &Tables = tables.load();
            meeting.taken_up.set(tables.generation);
            part.begin_round(tables.generation);
            part.release(&mut backlog, BURST, |held, is_dropped| {
                if !is_dropped {
                    sent.push((held.packet.0[15], held.packet));
                }
            });
            let mut received = 0;
            while received < BURST
                && let Some((flow, packet)) = meeting.queue.pop()
            {
                received += 1;
                let entry = tables.verdicts.get(end_system(flow).to_bits());
                let condition = entry.condition();
                match entry.verdict() {
                    Verdict::Route => {
                        if entry.is_watched() {
                            part.accept(condition, &packet);
                        }
                        sent.push((flow, packet));
                    }
                    Verdict::Hold if part.lets_pass(condition) => sent.push((flow, packet)),
                    Verdict::Hold => hold(&mut backlog, condition, packet),
                    Verdict::Discard => {}
                }
            }
            sweeper.end_round(received == BURST, &meeting.sweeps);
            part.end_round(&mut backlog, |_| EgressState::NONE, 0);
            while let Some(answer) = part.poll_answer() {
                meeting.replies.push(answer).expect("room for an answer");
            }
        }
        assert_eq!(backlog.held(), 0, "packets are held for good");
        sent
    }
}

fn tables(generation: u64, verdict: Verdict, watched: bool) -> Tables {
    let builder = VerdictTable::builder(Verdict::Discard, 0);
    let builder = (0..FLOWS)
        .zip(CONDITIONS)
        .fold(builder, |builder, (flow, condition)| match watched {
            true => builder.watched(end_system(flow), verdict, condition),
            false => builder.condition(end_system(flow), verdict, condition),
        });
    Tables {
        generation,
        verdicts: builder.build().expect("a table"),
    }
}

impl<'a> Control<'a> {
    fn new(router: &'a Router) -> Self {
        let sweeps = router.meetings.iter().map(|of| Arc::clone(&of.sweeps));
        Self {
            router,
            steps: Steps::default(),
            listening: Listening::new(sweeps.collect()),
            generation: 1,
        }
    }

    /// As `Dataplane::set_verdicts`, until it is taken up.
    fn publish(&mut self, verdict: Verdict, watched: bool) {
        self.set(verdict, watched);
        while !self.router.grace.has_passed(self.generation) {
            yield_now();
        }
    }

    /// As `Dataplane::set_verdicts`.
    fn set(&mut self, verdict: Verdict, watched: bool) {
        self.generation += 1;
        let tables = tables(self.generation, verdict, watched);
        let is_held = tables.verdicts.holds(CONDITIONS[0]);
        self.router.tables.store(Arc::new(tables));
        self.steps.end_releases(self.generation, |_| is_held);
    }

    /// As `Dataplane::hand_over` and `poll_handovers`, until it is done.
    fn step(&mut self, step: HandoverStep) -> HandoverDone {
        let present = Present {
            workers: WORKERS,
            ports: 1,
            patience: 0,
            generation: self.generation,
        };
        let mark = || self.listening.mark();
        let orders = self.steps.ask(HANDOVER, &CONDITIONS, step, present, mark);
        for (meeting, order) in self.router.meetings.iter().zip(orders) {
            meeting.commands.push(order).expect("room for an order");
        }
        loop {
            for meeting in &self.router.meetings {
                while let Some(answer) = meeting.replies.pop() {
                    self.steps.answered(answer);
                }
            }
            let done = self.steps.poll(|generation, mark| {
                self.router.grace.has_passed(generation)
                    && mark.is_none_or(|mark| self.listening.has_swept(mark, 2))
            });
            if let Some((_, done)) = done {
                return done;
            }
            yield_now();
        }
    }
}

/// The hand-over of `docs/protocol.md` section 6, as `giver` and `taker` are told to do it. `fence` returns when everything that was on the way has
/// arrived, which the protocol waits `skew` for: before the hold, the withdrawal and the release.
fn hand_over(giver: &mut Control<'_>, taker: &mut Control<'_>, fence: impl Fn()) {
    giver.publish(Verdict::Route, true);
    giver.step(HandoverStep::StartRecording { room: 4096 });
    fence();
    taker.step(HandoverStep::EmptyReceiveQueues);
    taker.publish(Verdict::Hold, false);
    taker.step(HandoverStep::EmptyReceiveQueues);
    fence();
    giver.step(HandoverStep::EmptyReceiveQueues);
    giver.publish(Verdict::Discard, true);
    giver.step(HandoverStep::DrainBacklog);
    let HandoverDone::Inspected(lists) = giver.step(HandoverStep::Inspect) else {
        panic!("an inspection");
    };
    fence();
    taker.step(HandoverStep::EmptyReceiveQueues);
    taker.step(HandoverStep::Release(lists));
    taker.publish(Verdict::Route, false);
}

/// Starts a router's workers; what each of them sent comes when they are told to stop.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    router: &'scope Router,
) -> Vec<std::thread::ScopedJoinHandle<'scope, Vec<(u8, Ip)>>> {
    (0..WORKERS)
        .map(|worker| scope.spawn(move || router.work(worker)))
        .collect()
}

#[test]
fn between_threads_every_packet_is_sent_once_and_in_its_order() {
    let (giver, taker) = (Router::new(Verdict::Route), Router::new(Verdict::Discard));
    // Whoever has it puts a frame on the link, which brings it to both routers before the next.
    let link = Mutex::new(());
    let mut sent: Vec<Vec<(u8, Ip)>> = Vec::new();
    scope(|scope| {
        let workers = [start(scope, &giver), start(scope, &taker)];
        let network = scope.spawn(|| {
            for number in 0..PACKETS {
                for flow in 0..FLOWS {
                    let _link = link.lock().unwrap_or_else(PoisonError::into_inner);
                    // The routers spread end systems over their workers in different ways.
                    for (router, worker) in [(&giver, flow), (&taker, flow + 1)] {
                        let worker = usize::from(worker) % WORKERS;
                        let packet = tcp(flow, number);
                        let queue = &router.meetings[worker].queue;
                        queue.push((flow, packet)).expect("room for a packet");
                    }
                }
                yield_now();
            }
        });
        let (mut one, mut other) = (Control::new(&giver), Control::new(&taker));
        hand_over(&mut one, &mut other, || {
            drop(link.lock().unwrap_or_else(PoisonError::into_inner));
        });
        network.join().expect("the network");
        for control in [&mut one, &mut other] {
            control.step(HandoverStep::EmptyReceiveQueues);
            control.router.stop.store(true, Ordering::Release);
        }
        let workers = workers.into_iter().flatten();
        sent.extend(workers.map(|worker| worker.join().expect("a worker")));
    });
    for flow in 0..FLOWS {
        // The giver's workers come first, and one alone has packets of a flow in each router.
        let of_flow = sent.iter().flatten().filter(|(of, _)| *of == flow);
        let numbers: Vec<u32> = of_flow
            .map(|(_, packet)| TcpMark::of(packet).expect("a segment").sequence_number)
            .collect();
        assert_eq!(numbers, (0..PACKETS).collect::<Vec<_>>(), "of {flow}");
    }
}

#[test]
fn workers_that_claim_the_same_listed_packet_drop_as_many_as_are_listed() {
    let same = tcp(1, 7);
    let listed = 3;
    let held = if cfg!(miri) { 4 } else { 1000 };
    let lists = [list(5, &vec![same.clone(); listed])];
    let release = Arc::new(Release::new(&[5], &lists, WORKERS));
    let sent: usize = scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (release, same) = (&release, &same);
                scope.spawn(move || {
                    let mut backlog = Backlog::new(1024, 1);
                    (0..held).for_each(|_| hold(&mut backlog, 5, same.clone()));
                    released(release, worker, &mut backlog).len()
                })
            })
            .collect();
        let sent = workers.into_iter().map(|worker| worker.join());
        sent.map(|sent| sent.expect("a worker")).sum()
    });
    assert_eq!(sent, WORKERS * held - listed);
}

#[test]
fn between_threads_nothing_is_held_behind_a_drop_that_follows_the_end_of_the_hold_at_once() {
    for _ in 0..if cfg!(miri) { 1 } else { 100 } {
        let router = Router::new(Verdict::Hold);
        scope(|scope| {
            let workers = start(scope, &router);
            for number in 0..PACKETS {
                for (flow, meeting) in (0..FLOWS).zip(&router.meetings) {
                    let packet = (flow, tcp(flow, number));
                    meeting.queue.push(packet).expect("room for a packet");
                }
            }
            let mut control = Control::new(&router);
            control.set(Verdict::Discard, false);
            control.step(HandoverStep::DropBacklog);
            control.step(HandoverStep::EmptyReceiveQueues);
            router.stop.store(true, Ordering::Release);
            for worker in workers {
                assert_eq!(worker.join().expect("a worker"), []);
            }
        });
    }
}
