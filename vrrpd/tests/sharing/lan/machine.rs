//! One machine: its workers, what they count, and the passes of its control loop.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use vrrpd::sharing::LoadSharing;
use vrrpd::sharing::load_sharing;
use vrrpd::sharing::moves;
use vrrpd::sharing::names::{Condition, MoveName, Seen};
use vrrpd::wire::{Header, TTL};
use vrrpd::{Cause, Output, Received, State, Transmit, VirtualRouter};

use super::{Happening, Lan, US, address, host, octets_of};
use crate::plane::{Order, Plane};

/// Packets that a worker takes at a time.
const BURST: usize = 4;

/// A machine.
pub(crate) struct Node {
    pub(crate) vrrp: VirtualRouter,
    pub(crate) sharing: Option<LoadSharing>,
    pub(crate) plane: Plane,
    pub(crate) drained: bool,
    /// Until when its control loop is away.
    pub(super) frozen_until: u64,
    pub(super) inbox: Vec<Rc<Transmit>>,
    /// Whether anything has come in since the last pass.
    pub(super) has_received: bool,
    pub(super) completed: Vec<(MoveName, moves::Completion)>,
    pub(super) learned: BTreeSet<Condition>,
    pub(crate) meter: Meter,
    pub(super) pass_at: Option<u64>,
    pub(super) polled: bool,
}

/// What a router's workers count.
#[derive(Default)]
pub(crate) struct Meter {
    octets: BTreeMap<Condition, u64>,
    overflows: u64,
    since_read: u64,
    read_at: u64,
}

impl Meter {
    fn count(&mut self, condition: Condition, octets: u64) {
        *self.octets.entry(condition).or_default() += octets;
        self.since_read += octets;
    }

    fn octets(&self, condition: Condition) -> u64 {
        self.octets.get(&condition).copied().unwrap_or(0)
    }

    /// A reading is due: what was more than could be sent has overflowed, in packets of 100 octets.
    fn read(&mut self, now: u64, octets_per_s: Option<u64>) {
        let could = octets_per_s.map(|rate| rate * (now - self.read_at) / 1_000_000_000);
        let beyond = could.map_or(0, |could| self.since_read.saturating_sub(could));
        self.overflows += beyond / 100;
        self.since_read = 0;
        self.read_at = now;
    }
}

impl Lan {
    pub(super) fn poll_soon(&mut self, node: usize) {
        let pause = self.draw(5 * US, 120 * US);
        let life = self.lives[node];
        if let Some(polled) = self.nodes[node].as_mut().map(|node| &mut node.polled)
            && !std::mem::replace(polled, true)
        {
            self.schedule(pause, Happening::Poll(node, life));
        }
    }

    pub(super) fn poll(&mut self, number: usize) {
        let (now, life) = (self.now, self.lives[number]);
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        node.polled = false;
        let done = node.plane.poll(BURST);
        for packet in &done.routed {
            let octets = octets_of(&self.settings, packet.source);
            node.meter.count(packet.source, octets);
        }
        let again = !node.plane.is_idle();
        if !done.learned.is_empty() {
            node.learned.extend(done.learned);
            self.pass_soon(number, 100 * US);
        }
        for packet in done.routed {
            self.packets[packet.number].routed.push((number, now));
        }
        for (name, completion) in done.completions {
            let late = self.draw(5 * US, 100 * US);
            self.schedule(
                late,
                Happening::Control(number, life, name, Rc::new(completion)),
            );
        }
        if again {
            self.poll_soon(number);
        }
    }

    pub(super) fn pass_soon(&mut self, node: usize, after: u64) {
        let (now, life) = (self.now, self.lives[node]);
        if let Some(pass_at) = self.nodes[node].as_mut().map(|node| &mut node.pass_at) {
            if pass_at.is_some_and(|at| at <= now + after && at >= now) {
                return;
            }
            *pass_at = Some(now + after);
            self.schedule(after, Happening::Pass(node, life));
        }
    }

    /// One pass of the control loop.
    pub(super) fn pass(&mut self, number: usize) {
        let now = self.time();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        // One that an earlier one has made needless.
        if node.pass_at != Some(self.now) {
            return;
        }
        node.pass_at = None;
        if node.frozen_until > self.now {
            let away = node.frozen_until - self.now;
            self.pass_soon(number, away);
            return;
        }
        node.vrrp.heartbeat(now);
        self.drain_outputs(number);
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        for message in std::mem::take(&mut node.inbox) {
            let received = Received {
                src: message.src,
                dst: message.dst,
                ttl: TTL,
                payload: &message.payload,
            };
            self.receive(number, &received);
        }
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        node.vrrp.tick(now);
        let has_received = std::mem::take(&mut node.has_received);
        if let Some(sharing) = &mut node.sharing {
            if has_received {
                sharing.frame_received(now);
            }
            for (name, completion) in std::mem::take(&mut node.completed) {
                sharing.completed(now, name, completion);
            }
            if sharing.measure_at().is_none_or(|at| at <= now) {
                let capacity = self.settings.capacities.get(&number);
                node.meter.read(self.now, capacity.copied());
                let octets = (0..self.settings.hosts).map(host);
                let octets = octets.map(|host| (host, node.meter.octets(host)));
                sharing.measured(now, octets, node.meter.overflows);
            }
            for condition in std::mem::take(&mut node.learned) {
                if let Condition::Address(address) = condition {
                    sharing.end_system_seen(now, address, Seen::Traffic, None);
                }
            }
        }
        self.drain_outputs(number);
        if let Some(sharing) = self.nodes[number]
            .as_mut()
            .and_then(|node| node.sharing.as_mut())
        {
            sharing.tick(now);
        }
        self.drain_outputs(number);
        let Some(node) = &self.nodes[number] else {
            return;
        };
        let sharing = node.sharing.as_ref();
        let measure = sharing.and_then(LoadSharing::measure_at);
        let sharing = sharing.and_then(LoadSharing::poll_timeout);
        let due = [node.vrrp.poll_timeout(), sharing, measure]
            .into_iter()
            .flatten()
            .min();
        if let Some(due) = due {
            // A control loop comes round no more often than this.
            let after = due.as_nanos().saturating_sub(self.now).max(50 * US);
            self.pass_soon(number, after);
        }
    }

    /// Hands a router a packet.
    pub(crate) fn receive(&mut self, number: usize, received: &Received<'_>) {
        let now = self.time();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        let kind = Header::parse(received.payload).map_or(0, |header| header.message_type);
        match (&mut node.sharing, kind) {
            (Some(sharing), 1) => {
                let heeded = sharing.heed_advertisement(received.src).is_ok();
                if heeded && node.vrrp.receive(now, received).is_ok() {
                    let interval = node.vrrp.status().master_interval;
                    self.drain_vrrp(number);
                    if let Some(node) = &mut self.nodes[number]
                        && let Some(sharing) = &mut node.sharing
                    {
                        sharing.advertised(now, received.src, interval);
                    }
                }
            }
            (Some(sharing), _) => {
                let _ = sharing.receive(now, received);
            }
            (None, _) => {
                let _ = node.vrrp.receive(now, received);
            }
        }
        self.drain_outputs(number);
    }

    pub(super) fn drain_vrrp(&mut self, number: usize) {
        let now = self.time();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        let mut sent = Vec::new();
        while let Some(output) = node.vrrp.poll_output() {
            match output {
                Output::Transmit(transmit) => sent.push(transmit),
                Output::StateChanged(transition) => {
                    let missed = match transition.cause {
                        Cause::MasterSilent { master, .. } => master,
                        Cause::MasterResigned { master } => Some(master),
                        _ => None,
                    };
                    if let Some(sharing) = &mut node.sharing {
                        sharing.vrrp_changed(now, transition.to, missed);
                    }
                }
                Output::MasterLost { master } => {
                    if let Some(sharing) = &mut node.sharing {
                        sharing.vrrp_changed(now, State::Backup, Some(master));
                    }
                }
                _ => {}
            }
        }
        let master = node.vrrp.is_master();
        for transmit in sent {
            let interval = Duration::from_nanos(self.settings.interval);
            self.send(number, transmit);
            if let Some(sharing) = self.nodes[number]
                .as_mut()
                .and_then(|node| node.sharing.as_mut())
                && master
            {
                sharing.advertised(now, address(number), interval);
            }
        }
    }

    pub(super) fn drain_outputs(&mut self, number: usize) {
        self.drain_vrrp(number);
        let mut sent = Vec::new();
        let Some(node) = &mut self.nodes[number] else {
            return;
        };
        let Some(sharing) = &mut node.sharing else {
            return;
        };
        let mut busy = false;
        while let Some(output) = sharing.poll_output() {
            match output {
                load_sharing::Output::Transmit(transmit) => sent.push(transmit),
                load_sharing::Output::Verdicts(verdicts) => {
                    node.plane.set(verdicts);
                    busy = true;
                }
                load_sharing::Output::Command {
                    name,
                    conditions,
                    command,
                } => {
                    node.plane.order(Order {
                        name,
                        conditions,
                        command,
                    });
                    busy = true;
                }
                load_sharing::Output::Drained => node.drained = true,
                load_sharing::Output::Event(event) => self.events.push((self.now, number, event)),
            }
        }
        for transmit in sent {
            self.send(number, transmit);
        }
        if busy {
            self.poll_soon(number);
        }
    }
}
