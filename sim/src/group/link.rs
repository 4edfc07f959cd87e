//! The link: it brings frames to each port in the order in which their sender sent them, with a delay of the port's own, and does to messages what the plan says.

use std::net::Ipv4Addr;
use std::rc::Rc;

use super::node::{VRIDS, end_system};
use super::packet::Packet;
use super::plan::{MS, US};
use super::worker::{Frame, PORTS, WORKERS};
use super::world::{Event, Phase, World};

/// The way over the link, and by how much it varies; with what a port may lag, less than the skew that is configured.
const LINK: u64 = 20 * US;
const LINK_VARIES: u64 = 250 * US;
/// Hosts send as other senders than routers.
const HOSTS: usize = 1000;

impl World {
    pub(super) fn send(&mut self, from: usize, port: u16, frame: Vec<u8>) {
        if !self.nodes[from].links[usize::from(port)] || port >= self.plan.sides {
            return;
        }
        let frame: Rc<[u8]> = frame.into();
        let faulty = matches!(self.phase, Phase::Faulty(_));
        for to in (0..self.plan.nodes()).filter(|to| *to != from) {
            if port >= self.plan.ports(to) {
                continue;
            }
            if self.deaf.contains_key(&(from, to)) {
                self.count("control messages kept from a partitioned router");
                continue;
            }
            let plan = &self.plan;
            let (lost, doubled, late) = match faulty {
                true => (plan.control_loss, plan.control_doubled, plan.control_late),
                false => (0, 0, 0),
            };
            if self.random.chance(lost) {
                self.count("control messages lost");
                continue;
            }
            let copies = 1 + usize::from(self.random.chance(doubled));
            if copies > 1 {
                self.count("control messages doubled");
            }
            for _ in 0..copies {
                let extra = if self.random.chance(late) {
                    self.count("control messages late");
                    self.random.draw(MS, 30 * MS)
                } else {
                    0
                };
                self.arrive(from, to, port, 0, extra, Frame::Control(Rc::clone(&frame)));
            }
        }
    }

    /// Brings a frame to a port behind everything else of its sender, unless it is `extra` late.
    fn arrive(
        &mut self,
        from: usize,
        to: usize,
        port: u16,
        worker: usize,
        extra: u64,
        frame: Frame,
    ) {
        let way = LINK + self.random.draw(0, LINK_VARIES) + self.plan.lag_ns[to];
        let last = self.last_arrival.entry((from, to, port)).or_default();
        let mut at = (self.now + way).max(*last + 1);
        if extra == 0 {
            *last = at;
        } else {
            at += extra;
        }
        self.schedule(at - self.now, Event::Arrive(to, port, worker, frame));
    }

    pub(super) fn traffic(&mut self, host: usize, side: u16) {
        if !matches!(
            self.phase,
            Phase::Faulty(_) | Phase::Settling(_) | Phase::Last(_)
        ) {
            return;
        }
        self.packet(host, side);
        let pause = self
            .random
            .draw(self.plan.pause_ns / 2, self.plan.pause_ns * 3 / 2);
        self.schedule(pause, Event::Traffic(host, side));
    }

    pub(super) fn packet(&mut self, host: usize, side: u16) {
        let far = Ipv4Addr::new(203, 0, 113, 1 + host as u8);
        let (source, destination) = match side {
            0 => (end_system(host), far),
            _ => (far, end_system(host)),
        };
        let number = self.checks.sent(self.now, host, side);
        let packet = Packet::new(number, source, destination, host.is_multiple_of(2));
        let faulty = matches!(self.phase, Phase::Faulty(_));
        for to in 0..self.plan.nodes() {
            // The link brings everything to a substitution server too.
            let is_server = self.plan.is_server(to);
            if !self.nodes[to].is_up() || is_server && side >= self.plan.ports(to) {
                continue;
            }
            if !is_server {
                self.checks.expected(number, to);
            }
            if faulty && self.random.chance(self.plan.receive_loss) {
                self.count("packets lost at one port");
                continue;
            }
            // Each router spreads flows over its workers in its own way.
            let worker = (host * 7 + to * 3 + usize::from(side)) / 2 % WORKERS;
            let frame = Frame::Data(VRIDS[usize::from(side)], packet.clone());
            self.arrive(
                HOSTS + host * PORTS + usize::from(side),
                to,
                side,
                worker,
                0,
                frame,
            );
        }
    }
}
