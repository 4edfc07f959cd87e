//! A state of host, link, routers and authority, and how it changes.

use vrrpd::sharing::moves::Verdict;

use super::Settings;
use super::giver::{self, Giver};
use super::port::{Frames, Port};
use super::taker::{self, Taker};

/// One of the two routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Hands over.
    P,
    /// Takes over.
    N,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The host sends a packet.
    Send,
    /// The next packet is at a port.
    Deliver(Role),
    /// It is lost there.
    Overflow(Role),
    /// A worker takes a packet from its receive queue.
    Poll(Role, usize),
    /// A worker's egress takes a packet.
    Transmit(Role, usize),
    /// A worker carries out its next command.
    Obey(Role, usize),
    /// A control thread hears that every worker has.
    Completed(Role),
    /// A control thread's time has come.
    Tick(Role),
    /// A router hears the newest allocation but so many.
    Install(Role, u8),
    /// N hears that P is ready.
    HearReady,
    /// P hears the fence.
    HearFence,
    /// N hears P's answer.
    HearAnswer,
    /// N hears that P keeps the condition.
    HearKept,
    /// P hears that N is finished.
    HearFinished,
    /// P hears that N has stood down.
    HearStoodDown,
    /// N learns by itself that P is faulty.
    Miss,
    /// The authority ends the move, N being finished.
    Conclude,
    /// The authority gives the condition back, N having stood down.
    Return,
    /// The authority takes a router for faulty.
    Declare(Role),
    /// A router dies.
    Crash(Role),
}

/// What was said at least once, and may be heard ever after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Said {
    pub(super) ready: bool,
    pub(super) fence: bool,
    pub(super) answer: Option<Frames>,
    pub(super) kept: bool,
    pub(super) finished: bool,
    pub(super) stood_down: bool,
}

/// An allocation of the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) in_charge: Role,
    pub(super) is_moving: bool,
}

/// How often each router has sent a packet on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Routed {
    pub(super) by_p: u8,
    pub(super) by_n: u8,
}

/// Everything, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// How many packets the host has sent.
    pub(super) sent: u8,
    pub(super) p: Port,
    pub(super) n: Port,
    pub(super) giver: Giver,
    pub(super) taker: Taker,
    pub(super) said: Said,
    /// The authority's allocations, the order of the move the second.
    pub(super) allocations: Vec<Row>,
    pub(super) routed: Vec<Routed>,
    /// Whether a packet was sent on behind a later one that both ports got.
    pub(super) reordered: bool,
    pub(super) losses: u8,
    /// Whether the fault has come.
    pub(super) struck: bool,
}

impl State {
    pub(super) fn new(settings: &Settings) -> State {
        State {
            sent: 0,
            p: Port::new(settings.workers, Verdict::Route),
            n: Port::new(settings.workers, Verdict::Discard),
            giver: Giver::new(),
            taker: Taker::new(),
            said: Said::default(),
            allocations: vec![
                Row {
                    in_charge: Role::P,
                    is_moving: false,
                },
                Row {
                    in_charge: Role::N,
                    is_moving: true,
                },
            ],
            routed: vec![Routed::default(); settings.frames.into()],
            reordered: false,
            losses: 0,
            struck: false,
        }
    }

    pub(super) fn port(&self, role: Role) -> &Port {
        match role {
            Role::P => &self.p,
            Role::N => &self.n,
        }
    }

    pub(super) fn port_mut(&mut self, role: Role) -> &mut Port {
        match role {
            Role::P => &mut self.p,
            Role::N => &mut self.n,
        }
    }

    /// Whether `skew` can be over that began when the host had sent so many.
    pub(super) fn is_everywhere(&self, sent: u8) -> bool {
        self.p.delivered >= sent && self.n.delivered >= sent
    }

    fn allocation(&self, number: u8) -> Row {
        self.allocations
            .get(usize::from(number))
            .copied()
            .unwrap_or(Row {
                in_charge: Role::P,
                is_moving: false,
            })
    }

    pub(super) fn newest(&self) -> Row {
        self.allocation(self.newest_number())
    }

    pub(super) fn newest_number(&self) -> u8 {
        u8::try_from(self.allocations.len() - 1).unwrap_or(u8::MAX)
    }

    pub(super) fn issue(&mut self, in_charge: Role) {
        self.allocations.push(Row {
            in_charge,
            is_moving: false,
        });
    }

    /// Which worker gets a packet: P takes turns, N after two of them.
    pub(super) fn worker_of(&self, role: Role, frame: u8) -> usize {
        let workers = self.p.workers.len();
        match role {
            Role::P => usize::from(frame) % workers,
            Role::N => usize::from(frame / 2) % workers,
        }
    }

    pub(super) fn transmit(&mut self, role: Role, worker: usize) {
        let Some(worker) = self.port_mut(role).workers.get_mut(worker) else {
            return;
        };
        if worker.backlog.is_empty() {
            return;
        }
        let frame = worker.backlog.remove(0);
        let later = self
            .routed
            .iter()
            .enumerate()
            .skip(usize::from(frame) + 1)
            .any(|(later, routed)| routed.by_p + routed.by_n > 0 && self.is_at_both(later));
        // Packets of one worker are one flow; with two workers each is one of its own.
        self.reordered |= later && self.p.workers.len() == 1 && self.is_at_both(frame.into());
        if let Some(routed) = self.routed.get_mut(usize::from(frame)) {
            match role {
                Role::P => routed.by_p += 1,
                Role::N => routed.by_n += 1,
            }
        }
    }

    /// Whether neither port has lost a packet.
    pub(super) fn is_at_both(&self, frame: usize) -> bool {
        (self.p.lost | self.n.lost) & 1 << frame == 0
    }

    /// An egress that is not congested takes everything at once.
    pub(super) fn transmit_freely(&mut self, settings: &Settings) {
        for role in [Role::N, Role::P] {
            if role == Role::P && settings.congested {
                continue;
            }
            for worker in 0..self.port(role).workers.len() {
                while self
                    .port(role)
                    .workers
                    .get(worker)
                    .is_some_and(|worker| !worker.backlog.is_empty())
                {
                    self.transmit(role, worker);
                }
            }
        }
    }

    /// What a router does about an allocation, compared with the one before.
    pub(super) fn install(&mut self, role: Role, number: u8, settings: &Settings) {
        let after = self.allocation(number);
        let installed = match role {
            Role::P => &mut self.giver.installed,
            Role::N => &mut self.taker.installed,
        };
        let before = std::mem::replace(installed, number);
        let before = self.allocation(before);
        match (role, before.is_moving, after.is_moving) {
            (Role::P, false, true) => self.giver.order(&mut self.p),
            (Role::N, false, true) => self.taker.order(),
            (Role::P, true, false) if after.in_charge == Role::N => {
                self.giver.conclude(&mut self.p);
            }
            (Role::N, true, false) if after.in_charge == Role::N => {
                self.taker.conclude(&mut self.n, settings);
            }
            (Role::P, true, false) => self.giver.cancel(&mut self.p, true),
            (Role::N, true, false) => self.taker.cancel(&mut self.n),
            _ if before.in_charge != after.in_charge => {
                let verdict = if role == after.in_charge {
                    Verdict::Route
                } else {
                    Verdict::Discard
                };
                self.port_mut(role)
                    .command(super::port::Command::SetVerdict(verdict));
            }
            _ => {}
        }
    }

    pub(super) fn say(&mut self) {
        if self.p.alive {
            self.said.ready |= self.giver.phase == giver::Phase::Ready;
            self.said.kept |= self.giver.phase == giver::Phase::Kept;
            if self.giver.phase == giver::Phase::Answered {
                self.said.answer = Some(self.p.listed);
            }
        }
        if self.n.alive {
            self.said.fence |= self.taker.phase == taker::Phase::Confirming;
            self.said.finished |= self.taker.phase == taker::Phase::Finished;
            self.said.stood_down |= self.taker.phase == taker::Phase::StoodDown;
        }
    }
}
