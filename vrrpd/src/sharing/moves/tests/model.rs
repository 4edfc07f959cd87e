//! A group of routers on one link under virtual time: ports that keep the order of one sender but not across senders, receive
//! queues, workers that look at them when they get to it, a control loop that hears of everything late, an authority that orders
//! moves. Enough of each to go wrong; what must not go wrong is in the scenarios.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use super::super::*;
use crate::sharing::names::{Epoch, Fingerprint, Version};
use crate::sharing::wire::Accepted;

pub(super) const US: u64 = 1_000;
pub(super) const MS: u64 = 1_000 * US;

const ROUTERS: usize = 3;
const WORKERS: usize = 2;
/// Frames a worker takes at a time.
const BURST: usize = 4;
/// The way over the link, and by how much it varies between senders: less than the skew that is configured.
const LINK: u64 = 50 * US;
const LINK_VARIES: u64 = 900 * US;

/// What makes a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) mode: Mode,
    /// Control messages lost, in percent.
    pub(super) control_loss: u64,
    /// Control messages doubled, in percent.
    pub(super) control_doubled: u64,
    /// Frames lost at each receiver, in thousandths.
    pub(super) receive_loss: u64,
    /// Whether workers are held up for milliseconds now and then.
    pub(super) stalls: bool,
    /// A router that can send less than it gets.
    pub(super) congested: Option<usize>,
    /// Whether all frames of the first condition are the same to the last bit.
    pub(super) identical: bool,
    /// How many moves are ordered.
    pub(super) moves: u32,
    /// A router that dies, and after how many milliseconds.
    pub(super) crash: Option<(usize, u64)>,
    /// Whether it comes back soon.
    pub(super) restart: bool,
}

impl Settings {
    pub(super) const fn calm(seed: u64) -> Settings {
        Settings {
            seed,
            mode: Mode::Sequence,
            control_loss: 0,
            control_doubled: 0,
            receive_loss: 0,
            stalls: false,
            congested: None,
            identical: false,
            moves: 20,
            crash: None,
            restart: false,
        }
    }
}

pub(super) fn router(node: usize) -> RouterId {
    RouterId::new(node as u32 + 1).unwrap()
}

fn node_of(router: RouterId) -> usize {
    router.get() as usize - 1
}

const CONDITIONS: u32 = 6;

fn condition(number: u32) -> Condition {
    Condition::Address(Ipv4Addr::from_bits(0x0a00_0001 + number).into())
}

/// A frame, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) sent: u64,
    pub(super) condition: Condition,
    pub(super) flow: u32,
    fingerprint: Fingerprint,
    /// Which routers' queues it got into.
    pub(super) delivered: [bool; ROUTERS],
    /// Which routers accepted it.
    accepted: [bool; ROUTERS],
    /// Who sent it on, and when.
    pub(super) routed: Vec<(usize, u64)>,
}

/// What routers tell each other.
#[derive(Clone, Debug)]
enum Message {
    Table(Rows),
    Reports(RouterId, Vec<MoveReport>),
    Confirmation(Confirmation),
    Answer((u16, u16), Answer),
}

#[derive(Clone, Debug)]
struct Rows {
    generation: u32,
    rows: BTreeMap<Condition, (RouterId, Option<MoveName>)>,
}

#[derive(Clone, Debug)]
enum Item {
    Frame(usize),
    Message(Rc<Message>),
}

#[derive(Debug)]
enum Event {
    /// A host sends.
    Traffic(u32),
    /// Something reaches a worker's queue.
    Arrive(usize, usize, Item),
    /// A worker gets to its queue; of which life of the router.
    Poll(usize, u32, usize),
    /// The control loop hears a message.
    Control(usize, u32, Rc<Message>),
    /// The control loop hears of a completion.
    Complete(usize, u32, MoveName, Completion),
    Tick(usize, u32),
    /// A router says how its moves are; the authority repeats its table.
    Periodic(usize, u32),
    /// The authority thinks of a move.
    Order,
    Crash(usize),
    /// A router learns that another is lost.
    Lost(usize, RouterId),
    Reallocate(usize),
    Revive(usize),
}

#[derive(Default)]
struct Worker {
    queue: VecDeque<Item>,
    verdicts: Rc<BTreeMap<Condition, Verdict>>,
    verdicts_version: u64,
    commands: VecDeque<u64>,
    recorded: BTreeMap<Condition, Vec<Fingerprint>>,
    held: BTreeMap<Condition, VecDeque<usize>>,
    /// Conditions whose held packets were let go, so that what still comes is sent behind them.
    released: BTreeSet<Condition>,
    backlog: VecDeque<usize>,
}

/// A command that not every worker has done yet.
struct Pending {
    name: MoveName,
    conditions: Arc<[Condition]>,
    command: Command,
    /// For a verdict: the table version that has it.
    verdicts_version: u64,
    workers: BTreeSet<usize>,
    accepted: Vec<Accepted>,
}

struct Node {
    alive: bool,
    life: u32,
    moves: Moves,
    table: Rows,
    verdicts: Rc<BTreeMap<Condition, Verdict>>,
    verdicts_version: u64,
    workers: Vec<Worker>,
    pending: BTreeMap<u64, Pending>,
}

impl Node {
    fn new(number: usize, life: u32) -> Node {
        let config = Config {
            hold_time: Duration::from_millis(5),
            hold_limit: Duration::from_millis(50),
            drain_limit: Duration::from_secs(10),
            repeat: Duration::from_millis(2),
            active_max: 2,
            message_len_max: 1200,
            ..Config::default()
        };
        Node {
            alive: true,
            life,
            moves: Moves::new(router(number), Family::Ipv4, config),
            table: Rows {
                generation: 0,
                rows: BTreeMap::new(),
            },
            verdicts: Rc::default(),
            verdicts_version: 0,
            workers: (0..WORKERS).map(|_| Worker::default()).collect(),
            pending: BTreeMap::new(),
        }
    }

    fn set_verdict(&mut self, conditions: &[Condition], verdict: Verdict) {
        let mut verdicts = (*self.verdicts).clone();
        verdicts.extend(conditions.iter().map(|condition| (*condition, verdict)));
        self.verdicts = Rc::new(verdicts);
        self.verdicts_version += 1;
    }
}

/// A run.
pub(super) struct Model {
    pub(super) settings: Settings,
    random: u64,
    pub(super) now: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    payloads: HashMap<u64, Event>,
    next_event: u64,
    next_command: u64,
    /// When the last thing of a sender reaches a port.
    last_arrival: HashMap<(usize, usize), u64>,
    nodes: Vec<Node>,
    pub(super) frames: Vec<Frame>,
    pub(super) ordered: u32,
    /// Frames that were held by N, released, and not accepted by P before: what identical frames can cost at most.
    pub(super) unlisted: u64,
    sending: bool,
    pub(super) settled_at: Option<u64>,
}

/// Hosts send as different senders than routers.
const HOSTS: usize = 100;

impl Model {
    pub(super) fn new(settings: Settings) -> Model {
        let mut model = Model {
            settings,
            random: settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: 0,
            events: BinaryHeap::new(),
            payloads: HashMap::new(),
            next_event: 0,
            next_command: 0,
            last_arrival: HashMap::new(),
            nodes: (0..ROUTERS).map(|node| Node::new(node, 0)).collect(),
            frames: Vec::new(),
            ordered: 0,
            unlisted: 0,
            sending: true,
            settled_at: None,
        };
        // Everyone agrees in the beginning.
        let rows: BTreeMap<_, _> = (0..CONDITIONS)
            .map(|number| (condition(number), (router(number as usize % ROUTERS), None)))
            .collect();
        for (number, node) in model.nodes.iter_mut().enumerate() {
            for (condition, (in_charge, _)) in &rows {
                if node_of(*in_charge) == number {
                    node.set_verdict(&[*condition], Verdict::Route);
                }
            }
            node.table = Rows {
                generation: 1,
                rows: rows.clone(),
            };
        }
        for number in 0..CONDITIONS {
            model.schedule(0, Event::Traffic(number));
        }
        for node in 0..ROUTERS {
            model.start(node);
        }
        model.schedule(MS, Event::Order);
        if let Some((node, ms)) = settings.crash {
            model.schedule(ms * MS, Event::Crash(node));
        }
        model
    }

    fn start(&mut self, node: usize) {
        let life = self.nodes[node].life;
        for worker in 0..WORKERS {
            self.schedule(0, Event::Poll(node, life, worker));
        }
        self.schedule(0, Event::Periodic(node, life));
    }

    /// Runs until everything is settled and what was sent afterwards has arrived. Whether that comes within the time.
    pub(super) fn run(&mut self) -> bool {
        while let Some(Reverse((at, number))) = self.events.pop() {
            self.now = at;
            let Some(event) = self.payloads.remove(&number) else {
                continue;
            };
            self.handle(event);
            match self.settled_at {
                Some(settled) if self.now > settled + 40 * MS => return true,
                Some(settled) => self.sending = self.now < settled + 20 * MS,
                None if self.is_settled() => self.settled_at = Some(self.now),
                None if self.now > 20_000 * MS => return false,
                None => {}
            }
        }
        false
    }

    fn is_settled(&self) -> bool {
        let crash_over = self.settings.crash.is_none_or(|(node, ms)| {
            self.now > (ms + 60) * MS && (!self.settings.restart || self.nodes[node].alive)
        });
        let authority = &self.nodes[0];
        let unfinished = authority
            .table
            .rows
            .values()
            .any(|(_, name)| name.is_some());
        let agreed = self.nodes.iter().filter(|node| node.alive).all(|node| {
            node.table.generation == authority.table.generation && node.pending.is_empty()
        });
        crash_over && self.ordered == self.settings.moves && !unfinished && agreed
    }

    fn chance(&mut self, of: u64, in_all: u64) -> bool {
        self.draw(0, in_all) < of
    }

    /// A number from `low` up to but not including `high`.
    fn draw(&mut self, low: u64, high: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        low + (self.random >> 16) % (high - low)
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.events
            .push(Reverse((self.now + after, self.next_event)));
        self.payloads.insert(self.next_event, event);
        self.next_event += 1;
    }

    fn time(&self) -> Time {
        Time::from_nanos(self.now)
    }

    fn is_current(&self, node: usize, life: u32) -> bool {
        self.nodes[node].alive && self.nodes[node].life == life
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Traffic(number) => self.traffic(number),
            Event::Arrive(node, worker, item) if self.nodes[node].alive => {
                self.nodes[node].workers[worker].queue.push_back(item);
            }
            Event::Poll(node, life, worker) if self.is_current(node, life) => {
                self.poll(node, worker);
                let pause = if self.settings.stalls && self.chance(1, 300) {
                    self.draw(MS, 6 * MS)
                } else {
                    self.draw(5 * US, 120 * US)
                };
                self.schedule(pause, Event::Poll(node, life, worker));
            }
            Event::Control(node, life, message) if self.is_current(node, life) => {
                self.control(node, &message);
                self.outputs(node);
            }
            Event::Complete(node, life, name, completion) if self.is_current(node, life) => {
                let now = self.time();
                self.nodes[node].moves.completed(now, name, completion);
                self.outputs(node);
            }
            Event::Tick(node, life) if self.is_current(node, life) => {
                let now = self.time();
                self.nodes[node].moves.tick(now);
                self.outputs(node);
            }
            Event::Periodic(node, life) if self.is_current(node, life) => {
                self.report(node);
                if node == 0 {
                    self.send(0, Message::Table(self.nodes[0].table.clone()));
                }
                self.schedule(4 * MS, Event::Periodic(node, life));
            }
            Event::Order => {
                self.order();
                let pause = self.draw(MS / 2, 4 * MS);
                if self.ordered < self.settings.moves {
                    self.schedule(pause, Event::Order);
                }
            }
            Event::Crash(node) => self.crash(node),
            Event::Lost(node, lost) if self.nodes[node].alive => {
                let now = self.time();
                self.nodes[node].moves.lost(now, lost);
                self.outputs(node);
            }
            Event::Reallocate(lost) => self.reallocate(lost),
            Event::Revive(node) => {
                let life = self.nodes[node].life + 1;
                self.nodes[node] = Node::new(node, life);
                self.start(node);
            }
            _ => {}
        }
    }

    // The link.

    fn traffic(&mut self, number: u32) {
        if self.sending {
            let flow = self.draw(0, 3) as u32;
            let frame = self.frames.len();
            let identical = self.settings.identical && number == 0;
            let mut delivered = [false; ROUTERS];
            for (node, delivered) in delivered.iter_mut().enumerate() {
                *delivered =
                    self.nodes[node].alive && !self.chance(self.settings.receive_loss, 1000);
                if *delivered {
                    // Each router spreads flows over its workers in its own way; identical frames are one flow.
                    let flow = if identical { 0 } else { flow };
                    let worker = (flow as usize + node * (1 + number as usize)) / 2 % WORKERS;
                    self.arrive(HOSTS + number as usize, node, worker, Item::Frame(frame));
                }
            }
            self.frames.push(Frame {
                sent: self.now,
                condition: condition(number),
                flow,
                fingerprint: Fingerprint(if identical { 0 } else { 1 + frame as u64 }),
                delivered,
                accepted: [false; ROUTERS],
                routed: Vec::new(),
            });
        }
        let pause = self.draw(20 * US, 400 * US);
        self.schedule(pause, Event::Traffic(number));
    }

    fn arrive(&mut self, from: usize, node: usize, worker: usize, item: Item) {
        let way = LINK + self.draw(0, LINK_VARIES);
        let earliest = self.last_arrival.get(&(from, node)).copied().unwrap_or(0);
        let at = (self.now + way).max(earliest + 1);
        self.last_arrival.insert((from, node), at);
        self.schedule(at - self.now, Event::Arrive(node, worker, item));
    }

    fn send(&mut self, from: usize, message: Message) {
        let message = Rc::new(message);
        for to in (0..ROUTERS).filter(|to| *to != from) {
            let copies = u64::from(!self.chance(self.settings.control_loss, 100))
                + u64::from(self.chance(self.settings.control_doubled, 100));
            for _ in 0..copies {
                let worker = self.draw(0, WORKERS as u64) as usize;
                self.arrive(from, to, worker, Item::Message(Rc::clone(&message)));
            }
        }
    }

    // The workers.

    fn poll(&mut self, node: usize, worker: usize) {
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
    fn take(&mut self, node: usize, worker: usize) -> bool {
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

    fn obey(&mut self, node: usize, worker: usize, id: u64) {
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
    fn settle(&mut self, node: usize, worker: usize) {
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

    fn done(&mut self, node: usize, worker: usize, id: u64) {
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

    fn control(&mut self, node: usize, message: &Message) {
        let now = self.time();
        match message {
            Message::Table(rows) => self.install(node, rows.clone()),
            Message::Reports(from, reports) => {
                for report in reports {
                    self.nodes[node].moves.reported(now, *from, report);
                    if node == 0 {
                        self.heed(*from, report.name, report.status);
                    }
                }
            }
            Message::Confirmation(confirmation) => {
                let _ = self.nodes[node].moves.confirmed(now, confirmation);
            }
            Message::Answer(place, answer) => {
                if answer.name.to == router(node) {
                    self.nodes[node]
                        .moves
                        .answered(now, *place, answer)
                        .unwrap();
                }
            }
        }
    }

    fn outputs(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].moves.poll_output() {
            match output {
                Output::Command {
                    name,
                    conditions,
                    command,
                } => self.command(node, name, conditions, command),
                Output::Confirm(confirmation) => {
                    self.send(node, Message::Confirmation(confirmation))
                }
                Output::Answer { fragments, parts } => {
                    for (number, answer) in parts {
                        self.send(node, Message::Answer((number, fragments), answer));
                    }
                }
                Output::Status(name, status) => {
                    self.report(node);
                    if node == 0 {
                        self.heed(router(0), name, status);
                    }
                }
            }
        }
        if let Some(due) = self.nodes[node].moves.poll_timeout() {
            let after = due.as_nanos().saturating_sub(self.now);
            self.schedule(after, Event::Tick(node, self.nodes[node].life));
        }
    }

    fn command(
        &mut self,
        node: usize,
        name: MoveName,
        conditions: Arc<[Condition]>,
        command: Command,
    ) {
        let router = &mut self.nodes[node];
        if let Command::SetVerdict(verdict) = command {
            router.set_verdict(&conditions, verdict);
        }
        let id = self.next_command;
        self.next_command += 1;
        for worker in &mut router.workers {
            worker.commands.push_back(id);
        }
        let pending = Pending {
            name,
            conditions,
            command,
            verdicts_version: router.verdicts_version,
            workers: (0..WORKERS).collect(),
            accepted: Vec::new(),
        };
        router.pending.insert(id, pending);
    }

    fn report(&mut self, node: usize) {
        let reports = self.nodes[node].moves.reports();
        self.send(node, Message::Reports(router(node), reports));
    }

    /// Does what a later table asks for, compared with the one before.
    fn install(&mut self, node: usize, table: Rows) {
        let now = self.time();
        let me = router(node);
        if table.generation <= self.nodes[node].table.generation {
            return;
        }
        let before = std::mem::replace(&mut self.nodes[node].table, table.clone());
        let mut orders: BTreeMap<MoveName, Vec<Condition>> = BTreeMap::new();
        for (condition, (in_charge, unfinished)) in &table.rows {
            let (was_in_charge, was_unfinished) = match before.rows.get(condition) {
                Some((router, unfinished)) => (Some(*router), *unfinished),
                None => (None, None),
            };
            let router = &mut self.nodes[node];
            if was_unfinished == *unfinished && was_in_charge == Some(*in_charge) {
                continue;
            }
            if let Some(name) = was_unfinished
                && *unfinished != was_unfinished
            {
                let now_from = unfinished.map_or(*in_charge, |next| next.from);
                if now_from == name.to {
                    router.moves.conclude(now, name);
                } else if name.from == me || name.to == me {
                    router.moves.cancel(now, name, [*condition], now_from == me);
                }
            } else if was_unfinished.is_none() && unfinished.is_none() {
                let verdict = if *in_charge == me {
                    Verdict::Route
                } else {
                    Verdict::Discard
                };
                router.set_verdict(&[*condition], verdict);
            }
            if let Some(name) = *unfinished
                && Some(name) != was_unfinished
            {
                let gives = name.from == me && was_in_charge == Some(me);
                if gives || name.to == me {
                    orders.entry(name).or_default().push(*condition);
                }
            }
        }
        for (name, conditions) in orders {
            let mode = self.settings.mode;
            self.nodes[node]
                .moves
                .order(now, name, mode, conditions)
                .unwrap();
        }
    }

    // The authority.

    fn issue(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<Condition, (RouterId, Option<MoveName>)>),
    ) {
        let mut table = self.nodes[0].table.clone();
        table.generation += 1;
        change(&mut table.rows);
        self.install(0, table.clone());
        self.send(0, Message::Table(table));
        self.outputs(0);
    }

    fn order(&mut self) {
        let rows = self.nodes[0].table.rows.clone();
        let from = self.draw(0, ROUTERS as u64) as usize;
        let to = (from + self.draw(1, ROUTERS as u64) as usize) % ROUTERS;
        let mut free: Vec<Condition> = rows
            .iter()
            .filter(|(_, row)| **row == (router(from), None))
            .map(|(condition, _)| *condition)
            .collect();
        free.truncate(self.draw(1, 4) as usize);
        let living = self.nodes[from].alive && self.nodes[to].alive;
        // Only what P knows that it is in charge of can be ordered from it.
        let told = self.nodes[from].table.generation == self.nodes[0].table.generation;
        if free.is_empty() || !living || !told {
            return;
        }
        self.ordered += 1;
        let name = MoveName {
            version: Version {
                epoch: Epoch {
                    counter: 1,
                    issuer: Some(router(0)),
                },
                generation: self.nodes[0].table.generation + 1,
            },
            from: router(from),
            to: router(to),
            batch: 0,
        };
        self.issue(|rows| {
            for condition in free {
                rows.insert(condition, (router(to), Some(name)));
            }
        });
    }

    fn heed(&mut self, from: RouterId, name: MoveName, status: MoveStatus) {
        let open = self.nodes[0]
            .table
            .rows
            .values()
            .any(|(_, unfinished)| *unfinished == Some(name));
        let in_charge = match status {
            MoveStatus::Finished => name.to,
            MoveStatus::StoodDown => name.from,
            _ => return,
        };
        if open && from == name.to {
            self.issue(|rows| {
                for row in rows.values_mut().filter(|row| row.1 == Some(name)) {
                    *row = (in_charge, None);
                }
            });
        }
    }

    // Disaster.

    fn crash(&mut self, node: usize) {
        self.nodes[node].alive = false;
        let notice = if self.settings.restart {
            let away = self.draw(MS, 10 * MS);
            self.schedule(away, Event::Revive(node));
            away + 2 * MS
        } else {
            30 * MS
        };
        for other in (0..ROUTERS).filter(|other| *other != node) {
            let late = self.draw(0, 4 * MS);
            self.schedule(notice + late, Event::Lost(other, router(node)));
        }
        self.schedule(
            notice + self.settings.seed % 5 * MS,
            Event::Reallocate(node),
        );
    }

    fn reallocate(&mut self, lost: usize) {
        let lost = router(lost);
        let heirs: Vec<RouterId> = (0..ROUTERS)
            .map(router)
            .filter(|router| *router != lost)
            .collect();
        let mut turn = 0;
        self.issue(|rows| {
            for row in rows.values_mut() {
                match *row {
                    (in_charge, None) if in_charge == lost => {
                        turn += 1;
                        *row = (heirs[turn % heirs.len()], None);
                    }
                    (in_charge, Some(name)) if in_charge == lost => *row = (name.from, None),
                    _ => {}
                }
            }
        });
    }

    /// Whether anything is still kept anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.iter().filter(|node| node.alive).all(|node| {
            node.workers.iter().all(|worker| {
                worker.backlog.is_empty() && worker.held.values().all(VecDeque::is_empty)
            })
        })
    }

    /// Where the moves stand, for whoever has to find out why they stand there.
    pub(super) fn state(&self) -> String {
        let mut lines = vec![format!("{:?}", self.settings)];
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            lines.push(format!(
                "{}: table {}, {} commands pending",
                router(number),
                node.table.generation,
                node.pending.len()
            ));
            for report in node.moves.reports() {
                lines.push(format!("  {}: {:?}", report.name, report.status));
            }
        }
        for (condition, row) in &self.nodes[0].table.rows {
            lines.push(format!("{condition}: {row:?}"));
        }
        lines.join("\n")
    }

    /// What the living routers counted.
    pub(super) fn count(&self, counter: impl Fn(&Counters) -> u64) -> u64 {
        self.nodes
            .iter()
            .map(|node| counter(node.moves.counters()))
            .sum()
    }

    /// How many living routers route `condition`.
    pub(super) fn routing(&self, condition: Condition) -> usize {
        self.nodes
            .iter()
            .filter(|node| node.alive && node.verdicts.get(&condition) == Some(&Verdict::Route))
            .count()
    }
}
