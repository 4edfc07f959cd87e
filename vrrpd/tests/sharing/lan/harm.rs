//! What may befall a router.

use super::{Lan, MS, host, router};

impl Lan {
    /// Something befalls a router, drawn at random: a crash, a start, a restart, a stall of its control loop, its cable, or, if `drains`, its end
    /// in order. Or whoever allocates is ordered to move some end systems.
    pub(crate) fn harm(&mut self, node: usize, drains: bool) {
        let there = self.nodes[node].is_some();
        match self.draw(0, 8) {
            0 if there => self.crash(node),
            1 | 2 if !there => self.start(node),
            3 if there => {
                self.crash(node);
                self.start(node);
            }
            4 if there => {
                let span = self.draw(MS, 200 * MS);
                self.freeze(node, span);
            }
            5 => {
                let plugged = self.plugged[node];
                self.plug(node, !plugged);
            }
            6 if there && drains => self.act(node, |sharing, now| sharing.drain(now)),
            _ => self.order(),
        }
    }

    /// An operator moves some end systems, if anybody allocates.
    fn order(&mut self) {
        let conditions: Vec<_> = (0..3).map(|_| host(self.draw(0, 9) as usize)).collect();
        let to = router(self.any_router());
        if let Some(authority) = self.authority() {
            // One that is still collecting refuses.
            let _ = self.act(authority, |part, now| part.move_to(now, &conditions, to));
        }
    }

    /// Any of the machines that route, there or not.
    fn any_router(&mut self) -> usize {
        let routers = self.settings.routers - self.settings.servers.len();
        self.draw(0, routers as u64) as usize
    }
}
