//! Waiting until what a router has accepted has left it: first the backlog, what waits there for a link address that comes soon included, then the
//! transmit rings.

use super::ConditionSet;
use crate::backlog::Backlog;

/// What can be known of a worker's transmit ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressState {
    /// Packets that were put into it since the start.
    pub sent: u64,
    /// What `sent` was when it last took less than it was given, if ever.
    pub full_at: Option<u64>,
    /// Whether everything in it has left; none if its driver does not say.
    pub idle: Option<bool>,
    /// How many packets it holds at most.
    pub descriptors: u16,
}

impl EgressState {
    /// Of a port that is not there.
    pub const NONE: Self = Self {
        sent: 0,
        full_at: None,
        idle: Some(true),
        descriptors: 0,
    };

    /// Whether some of what was in it when it was full may still be there.
    fn was_full_lately(self) -> bool {
        self.full_at
            .is_some_and(|at| self.sent.wrapping_sub(at) < u64::from(self.descriptors))
    }
}

/// One worker's way of draining certain conditions.
#[derive(Debug)]
pub struct Draining {
    conditions: ConditionSet,
    egress: Box<[OfEgress]>,
    state: State,
    /// The most cycles to wait for a transmit ring into which nothing more has to go, and for link addresses.
    patience_cycles: u64,
    /// Until when packets are waited for whose next hop's link address is not known.
    unresolved_until: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    New,
    /// Packets wait in the backlog.
    Waiting,
    /// They are in the transmit rings.
    Sent,
}

#[derive(Clone, Copy, Debug, Default)]
struct OfEgress {
    /// If its ring was full in the beginning, or not long before: when that was, and [`EgressState::sent`] then.
    congested: Option<(u64, u64)>,
    /// [`EgressState::sent`] when the backlog had none any more.
    sent: u64,
    /// When its ring is given up, once nothing waits for it.
    until: Option<u64>,
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
            unresolved_until: 0,
        }
    }

    /// Whether all is gone at time `now`, in cycles. To be asked once a round, when nothing is staged.
    pub fn poll<P>(
        &mut self,
        backlog: &mut Backlog<P>,
        egress: impl Fn(usize) -> EgressState,
        now: u64,
    ) -> bool {
        if matches!(self.state, State::New) {
            self.state = State::Waiting;
            self.unresolved_until = now.saturating_add(self.patience_cycles);
            for (port, of_egress) in self.egress.iter_mut().enumerate() {
                let state = egress(port);
                let is_congested = backlog.waiting(port) > 0 || state.was_full_lately();
                of_egress.congested = is_congested.then_some((now, state.sent));
            }
            backlog.advance(|condition| self.conditions.contains(condition));
        }
        let waits = |backlog: &Backlog<P>| {
            let chosen = |condition| self.conditions.contains(condition);
            // A neighbour that has not answered so far may never do.
            let is_hoped_for = now < self.unresolved_until;
            backlog.is_waiting(chosen) || (is_hoped_for && backlog.is_unresolved(chosen))
        };
        if matches!(self.state, State::Waiting) && !waits(backlog) {
            self.state = State::Sent;
            for (port, of_egress) in self.egress.iter_mut().enumerate() {
                of_egress.sent = egress(port).sent;
            }
        }
        let mut is_done = matches!(self.state, State::Sent);
        if is_done {
            for (port, of_egress) in self.egress.iter_mut().enumerate() {
                let (state, waiting) = (egress(port), backlog.waiting(port));
                is_done &= of_egress.has_passed(state)
                    || of_egress.is_given_up(state, waiting, now, self.patience_cycles);
            }
        }
        is_done
    }
}

impl OfEgress {
    /// Whether what was in the ring has left it: it is empty, or as many packets as it holds have entered it since. Of
    /// a driver that does not say, one that has been taking all that it was given is believed to have sent it.
    fn has_passed(&self, state: EgressState) -> bool {
        state.sent.wrapping_sub(self.sent) >= u64::from(state.descriptors)
            || state.idle.unwrap_or(self.congested.is_none())
    }

    /// Whether the ring is not waited for any longer. While packets wait for it, it is known to be full; then twice the time
    /// is enough that a full one has taken lately.
    fn is_given_up(
        &mut self,
        state: EgressState,
        waiting: usize,
        now: u64,
        patience_cycles: u64,
    ) -> bool {
        if waiting > 0 {
            self.until = None;
            return false;
        }
        let ring_cycles = self.congested.map_or(0, |(when, sent)| {
            let packets = state.sent.wrapping_sub(sent).max(1);
            let cycles = u128::from(now.saturating_sub(when)) * u128::from(state.descriptors);
            u64::try_from(2 * cycles / u128::from(packets)).unwrap_or(u64::MAX)
        });
        let wait = patience_cycles.max(ring_cycles);
        now >= *self.until.get_or_insert(now.saturating_add(wait))
    }
}
