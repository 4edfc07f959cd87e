//! Waiting until what a router has accepted has left it: first the backlog, then the transmit rings.

use super::ConditionSet;
use crate::backlog::Backlog;

/// What can be known of a worker's transmit ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressState {
    /// Packets that were put into it since the start.
    pub sent: u64,
    /// Whether everything in it has left; none if its driver does not say.
    pub idle: Option<bool>,
    /// How many packets it holds at most.
    pub descriptors: u16,
}

impl EgressState {
    /// Of a port that is not there.
    pub const NONE: Self = Self {
        sent: 0,
        idle: Some(true),
        descriptors: 0,
    };
}

/// One worker's way of draining certain conditions.
#[derive(Debug)]
pub struct Draining {
    conditions: ConditionSet,
    egress: Box<[OfEgress]>,
    state: State,
    /// The most cycles to wait for transmit rings.
    patience_cycles: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    New,
    /// Packets wait in the backlog.
    Waiting,
    /// They are in the transmit rings, at most until then.
    Sent {
        until: u64,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct OfEgress {
    /// Whether anything waited for it in the beginning.
    congested: bool,
    /// [`EgressState::sent`] when the backlog had none any more.
    sent: u64,
}

impl Draining {
    /// Of these conditions over `ports` egress ports.
    #[must_use]
    pub fn new(conditions: &[u32], ports: usize, patience_cycles: u64) -> Self {
        Self {
            conditions: ConditionSet::new(conditions),
            egress: vec![OfEgress::default(); ports].into_boxed_slice(),
            state: State::New,
            patience_cycles,
        }
    }

    /// Whether all is gone at time `now`. To be asked once a round, when nothing is staged.
    pub fn poll<P>(
        &mut self,
        backlog: &mut Backlog<P>,
        egress: impl Fn(usize) -> EgressState,
        now: u64,
    ) -> bool {
        if matches!(self.state, State::New) {
            self.state = State::Waiting;
            for (port, of_egress) in self.egress.iter_mut().enumerate() {
                of_egress.congested = backlog.waiting(port) > 0;
            }
            backlog.advance(|condition| self.conditions.contains(condition));
        }
        if matches!(self.state, State::Waiting)
            && !backlog.is_waiting(|condition| self.conditions.contains(condition))
        {
            self.state = State::Sent {
                until: now.saturating_add(self.patience_cycles),
            };
            for (port, of_egress) in self.egress.iter_mut().enumerate() {
                of_egress.sent = egress(port).sent;
            }
        }
        match self.state {
            State::Sent { until } if now < until => (0..)
                .zip(&self.egress)
                .all(|(port, before)| before.has_passed(egress(port))),
            State::Sent { .. } => true,
            State::New | State::Waiting => false,
        }
    }
}

impl OfEgress {
    /// Whether what was in the ring has left it: it is empty, or as many packets as it holds have entered it since. Of
    /// a driver that does not say, one that took all that it was given is believed to have sent it.
    fn has_passed(self, now: EgressState) -> bool {
        now.sent.wrapping_sub(self.sent) >= u64::from(now.descriptors)
            || now.idle.unwrap_or(!self.congested)
    }
}
