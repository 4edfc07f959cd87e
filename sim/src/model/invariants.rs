//! What must hold: of every state, and of those from which nothing can happen any more.

use stateright::{Model, Property};
use vrrpd::sharing::moves::Verdict;

use super::state::{Role, State};
use super::taker::Phase;
use super::{Fault, Settings};

/// That the model is able to do what it is there for.
pub(super) const SUCCESS: &str = "the move succeeds";

pub(super) fn properties() -> Vec<Property<Settings>> {
    vec![
        Property::always(
            "a move without a fault doubles no packet",
            |settings: &Settings, state: &State| {
                let counts = |routed: &super::state::Routed| routed.by_p + routed.by_n <= 1;
                settings.fault != Fault::None || state.routed.iter().all(counts)
            },
        ),
        Property::always(
            "whatever fails, no router sends a packet on twice",
            |_, state: &State| {
                let mut routed = state.routed.iter();
                routed.all(|routed| routed.by_p <= 1 && routed.by_n <= 1)
            },
        ),
        Property::always(
            "N holds before it fences",
            |settings: &Settings, state: &State| {
                state.taker.phase != Phase::Confirming
                    || state.n.all_have(Verdict::Hold)
                    || settings.fault != Fault::None && !state.n.alive
            },
        ),
        Property::always("P withdraws only after the fence", |_, state: &State| {
            let withdrawn = |worker: &super::port::Worker| worker.verdict == Verdict::Discard;
            let ended = state.giver.installed > 1 || state.said.finished;
            !state.p.alive || state.said.fence || ended || !state.p.workers.iter().any(withdrawn)
        }),
        Property::always(
            "a move without a fault reorders no flow",
            |settings: &Settings, state: &State| settings.fault != Fault::None || !state.reordered,
        ),
        Property::always(
            "at the end, a move without a fault has lost no packet",
            |settings: &Settings, state: &State| {
                settings.fault != Fault::None
                    || !is_over(settings, state)
                    || (0..state.routed.len()).all(|frame| {
                        let routed = state.routed.get(frame).copied().unwrap_or_default();
                        routed.by_p + routed.by_n >= 1 || !state.is_at_both(frame)
                    })
            },
        ),
        Property::always(
            "at the end, what N held for a lost P is not lost",
            |settings: &Settings, state: &State| {
                settings.fault != Fault::Crash(Role::P)
                    || !is_over(settings, state)
                    || (0..state.routed.len()).all(|frame| {
                        let routed = state.routed.get(frame).copied().unwrap_or_default();
                        state.n.ever_held & 1 << frame == 0 || routed.by_p + routed.by_n >= 1
                    })
            },
        ),
        Property::always(
            "at the end, one living router is in charge",
            |settings: &Settings, state: &State| {
                !is_over(settings, state) || {
                    let living = [&state.p, &state.n].into_iter().filter(|port| port.alive);
                    let in_charge = living.clone().filter(|port| port.all_have(Verdict::Route));
                    let not = living.filter(|port| port.all_have(Verdict::Discard));
                    let all = usize::from(state.p.alive) + usize::from(state.n.alive);
                    in_charge.count() == 1 && not.count() + 1 == all
                }
            },
        ),
        Property::always(
            "at the end, nothing is held, queued or recorded",
            |settings: &Settings, state: &State| {
                !is_over(settings, state) || [&state.p, &state.n].iter().all(|port| port.is_empty())
            },
        ),
        Property::sometimes(SUCCESS, |_, state: &State| {
            state.said.finished
                && state
                    .routed
                    .iter()
                    .all(|routed| routed.by_p + routed.by_n == 1)
        }),
    ]
}

/// Whether nothing can happen any more. Every step brings something further that never goes back, so that every way ends in such a state.
fn is_over(settings: &Settings, state: &State) -> bool {
    let mut actions = Vec::new();
    settings.actions(state, &mut actions);
    actions.is_empty()
}
