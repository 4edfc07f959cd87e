//! Faults: what each does to a router or the link when it begins, and when it ends.

use super::plan::{Fault, FaultKind, MS};
use super::worker::PORTS;
use super::world::{FIRST_FAULT, Phase, World};

impl World {
    pub(super) fn begin(&mut self, fault: Fault) {
        let Fault {
            kind,
            node: router,
            until,
            detail,
            ..
        } = fault;
        let now = self.now;
        let Phase::Faulty(since) = self.phase else {
            return;
        };
        let until = since + FIRST_FAULT + until;
        let routers = self.plan.routers;
        let down = self.nodes[..routers].iter().filter(|node| !node.is_up());
        let is_last = down.count() + 1 >= routers && !self.plan.is_server(router);
        if !self.nodes[router].is_up()
            || is_last && matches!(kind, FaultKind::Crash | FaultKind::Drain)
        {
            return;
        }
        let name = self.plan.name(&fault);
        self.count(name);
        self.note(|| {
            let until = until as f64 / 1e6;
            format!("FAULT: {name}, {router}, until {until:.3} ms")
        });
        if self.plan.is_rough(&fault) {
            // Until others have noticed both the fault and its end.
            self.checks
                .disturb(now.saturating_sub(20 * MS), until + 1_200 * MS);
        }
        let node = &mut self.nodes[router];
        match kind {
            FaultKind::Crash => node.stop(),
            FaultKind::Stall => {
                node.control_stalled_until = until;
                node.workers_stalled_until = until;
            }
            FaultKind::WorkerStall => node.workers_stalled_until = until,
            FaultKind::ControlStall => node.control_stalled_until = until,
            FaultKind::Partition | FaultKind::OneWayPartition => {
                for other in (0..self.nodes.len()).filter(|other| *other != router) {
                    if detail >> other & 1 == 0 {
                        *self.deaf.entry((router, other)).or_default() += 1;
                        if kind == FaultKind::Partition {
                            *self.deaf.entry((other, router)).or_default() += 1;
                        }
                    }
                }
            }
            FaultKind::LinkFlap => {
                let ports = self.plan.sides.min(self.plan.ports(router));
                let port = detail as usize % usize::from(ports);
                node.links[port] = false;
                self.attend_soon(router);
            }
            FaultKind::Congestion => node.plane.packet_ns = 2 * MS,
            FaultKind::Burst => {
                let host = detail as usize % self.plan.hosts;
                for _ in 0..600 {
                    self.packet(host, 0);
                }
            }
            FaultKind::Drain => {
                node.drain(now);
                self.control(router);
            }
        }
    }

    pub(super) fn end(&mut self, fault: Fault) {
        let Fault {
            kind,
            node: router,
            detail,
            ..
        } = fault;
        let name = self.plan.name(&fault);
        self.note(|| format!("end of: {name}, {router}"));
        match kind {
            FaultKind::Partition | FaultKind::OneWayPartition => {
                for other in 0..self.nodes.len() {
                    if detail >> other & 1 == 0 {
                        for pair in [(router, other), (other, router)] {
                            if kind == FaultKind::OneWayPartition && pair.0 != router {
                                continue;
                            }
                            let left = self.deaf.get(&pair).map_or(0, |times| times - 1);
                            match left {
                                0 => self.deaf.remove(&pair),
                                left => self.deaf.insert(pair, left),
                            };
                        }
                    }
                }
            }
            FaultKind::LinkFlap => {
                self.nodes[router].links = [true; PORTS];
                self.attend_soon(router);
            }
            FaultKind::Congestion => self.nodes[router].plane.packet_ns = 0,
            FaultKind::Crash | FaultKind::Drain => self.start(router),
            _ => {}
        }
    }
}
