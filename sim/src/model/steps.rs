//! The steps from a state: which are possible, and what each does.

use stateright::{Model, Property};

use super::state::{Action, Role, State};
use super::{Fault, Planted, Settings, giver, invariants, taker};

impl Model for Settings {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut offer = |possible: bool, action: Action| {
            if possible {
                actions.push(action);
            }
        };
        let suspected = |role| state.struck && self.fault == Fault::Suspicion(role);
        offer(state.sent < self.frames, Action::Send);
        for role in [Role::P, Role::N] {
            let port = state.port(role);
            let coming = port.delivered < state.sent;
            offer(coming, Action::Deliver(role));
            offer(
                coming && port.alive && state.losses < self.receive_losses,
                Action::Overflow(role),
            );
            let strikes = !state.struck && port.alive;
            offer(
                strikes && self.fault == Fault::Crash(role),
                Action::Crash(role),
            );
            let may_be_declared = !port.alive
                || suspected(role)
                || !state.struck && self.fault == Fault::Suspicion(role);
            let newest = state.newest();
            let concerned = newest.in_charge == role || newest.is_moving;
            offer(may_be_declared && concerned, Action::Declare(role));
            if !port.alive {
                continue;
            }
            for worker in 0..port.workers.len() {
                let of_worker = port.workers.get(worker);
                offer(
                    of_worker.is_some_and(|worker| !worker.queue.is_empty()),
                    Action::Poll(role, worker),
                );
                offer(
                    of_worker.is_some_and(|worker| !worker.backlog.is_empty()),
                    Action::Transmit(role, worker),
                );
                offer(port.can_obey(worker), Action::Obey(role, worker));
            }
            let (awaits, installed) = match role {
                Role::P => (state.giver.awaits(), state.giver.installed),
                Role::N => (state.taker.awaits(), state.taker.installed),
            };
            offer(awaits && port.has_done(), Action::Completed(role));
            for number in installed + 1..=state.newest_number() {
                offer(true, Action::Install(role, number));
            }
        }
        if state.p.alive {
            let due = match state.giver.phase {
                giver::Phase::Fenced(sent) => state.is_everywhere(sent),
                giver::Phase::Early => true,
                _ => false,
            };
            offer(due, Action::Tick(Role::P));
            offer(
                state.said.fence && state.giver.heeds_fence(),
                Action::HearFence,
            );
            let open = !matches!(state.giver.phase, giver::Phase::Idle | giver::Phase::Over);
            offer(state.said.finished && open, Action::HearFinished);
            offer(
                state.said.stood_down && state.giver.phase == giver::Phase::Kept,
                Action::HearStoodDown,
            );
        }
        if state.n.alive {
            let taker = &state.taker;
            let due = match taker.phase {
                taker::Phase::Approaching(sent)
                | taker::Phase::Held(sent)
                | taker::Phase::Answered(sent) => state.is_everywhere(sent),
                _ => false,
            };
            offer(due, Action::Tick(Role::N));
            let ready = state.said.ready || self.is_planted(Planted::NoReady);
            offer(
                ready && taker.phase == taker::Phase::Waiting,
                Action::HearReady,
            );
            offer(
                state.said.answer.is_some() && taker.phase == taker::Phase::Confirming,
                Action::HearAnswer,
            );
            offer(state.said.kept && taker.can_stand_down(), Action::HearKept);
            let lost = !state.p.alive
                || suspected(Role::P)
                || !state.struck && self.fault == Fault::Suspicion(Role::P);
            offer(lost && taker.heeds_loss(), Action::Miss);
        }
        let moving = state.newest().is_moving;
        offer(moving && state.said.finished, Action::Conclude);
        offer(moving && state.said.stood_down, Action::Return);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Send => state.sent += 1,
            Action::Deliver(role) => {
                let frame = state.port(role).delivered;
                let worker = state.worker_of(role, frame);
                let port = state.port_mut(role);
                port.delivered += 1;
                if port.alive
                    && let Some(worker) = port.workers.get_mut(worker)
                {
                    worker.queue.push(frame);
                } else {
                    port.lost |= 1 << frame;
                }
            }
            Action::Overflow(role) => {
                let port = state.port_mut(role);
                port.lost |= 1 << port.delivered;
                port.delivered += 1;
                state.losses += 1;
            }
            Action::Poll(role, worker) => state.port_mut(role).poll(worker),
            Action::Transmit(role, worker) => state.transmit(role, worker),
            Action::Obey(role, worker) => state.port_mut(role).obey(worker),
            Action::Completed(Role::P) => state.giver.completed(&mut state.p, self),
            Action::Completed(Role::N) => {
                state.taker.completed(&mut state.n, before.sent, self);
            }
            Action::Tick(Role::P) => state.giver.tick(&mut state.p, self),
            Action::Tick(Role::N) => state.taker.tick(&mut state.n, self),
            Action::Install(role, number) => state.install(role, number, self),
            Action::HearReady => state.taker.heard_ready(before.sent, self),
            Action::HearFence => state.giver.confirmed(before.sent, self),
            Action::HearAnswer => {
                let list = before.said.answer?;
                state.taker.answered(list, before.sent, self);
            }
            Action::HearKept => state.taker.kept(&mut state.n),
            Action::HearFinished => state.giver.conclude(&mut state.p),
            Action::HearStoodDown => state.giver.heard_stood_down(),
            Action::Miss => {
                state.struck = true;
                state.taker.lost(&mut state.n, self);
            }
            Action::Conclude => state.issue(Role::N),
            Action::Return => state.issue(Role::P),
            Action::Declare(role) => {
                state.struck = true;
                state.issue(match role {
                    Role::P => Role::N,
                    Role::N => Role::P,
                });
            }
            Action::Crash(role) => {
                state.struck = true;
                state.port_mut(role).die();
            }
        }
        state.transmit_freely(self);
        state.say();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::properties()
    }
}
