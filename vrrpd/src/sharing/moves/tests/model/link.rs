//! The link: who gets what is sent, and when.

use super::*;

impl Model {
    pub(super) fn traffic(&mut self, number: u32) {
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

    pub(super) fn arrive(&mut self, from: usize, node: usize, worker: usize, item: Item) {
        let way = LINK + self.draw(0, LINK_VARIES);
        let earliest = self.last_arrival.get(&(from, node)).copied().unwrap_or(0);
        let at = (self.now + way).max(earliest + 1);
        self.last_arrival.insert((from, node), at);
        self.schedule(at - self.now, Event::Arrive(node, worker, item));
    }

    pub(super) fn send(&mut self, from: usize, message: Message) {
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
}
