//! A group of routers on one link under virtual time: ports that keep the order of one sender but not across senders, receive
//! queues, workers that look at them when they get to it, a control loop that hears of everything late, an authority that orders
//! moves. Enough of each to go wrong; what must not go wrong is in the scenarios.

mod control;
mod link;
mod view;
mod workers;

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
}
