//! The move of one condition from P to N in sequence mode, restated so small that a model checker goes through every order of events: what
//! the routers, their workers, the link and the authority do, message by message and packet by packet.
//!
//! | module | what lives there |
//! |---|---|
//! | `state` | a state of the whole, and how it changes |
//! | `steps` | the steps from a state |
//! | `giver`, `taker` | P's and N's control threads; each step names the function of [`vrrpd::sharing::moves`] that it stands for |
//! | `port` | a router's port and its workers |
//! | `invariants` | what must hold, in every state or at the end |
//!
//! # What the network may do
//!
//! Packets come to each port in the order in which the host sent them, and to the two ports at any time, independently. `skew` is
//! all that is known of time: when a wait of `skew` is over, whatever the host had sent before it began is at both ports.
//!
//! A control message that was sent once may arrive at any time, as often as it likes, or never, and before or after any other. That covers every loss,
//! repetition, delay and overtaking of them without counting any; it is what the protocol relies on, but for one thing: a message that is repeated
//! for ever arrives at last.
//!
//! # What is left out
//!
//! Fragments of an answer, full rings and the limits of time (`hold-limit`, `drain-limit`), more than one move, and packets
//! that are identical to the last bit. The tests of [`vrrpd::sharing::moves`] and the simulation have these.

mod giver;
mod invariants;
mod port;
mod state;
mod steps;
mod taker;

use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

pub use state::{Action, Role, State};

/// The most packets of a run.
pub const FRAMES_MAX: u8 = 6;

/// What may happen besides messages that get lost, doubled and late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// A router dies at any moment, which the others learn later.
    Crash(Role),
    /// A router is declared faulty at any moment, and is not.
    Suspicion(Role),
}

/// A rule of the protocol that is left out, to see that the model finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// N holds without having heard that P records.
    NoReady,
    /// N does not wait for `skew` between that report and its hold.
    NoSkewBeforeHold,
    /// N does not have its receive queues emptied before it holds.
    NoEmptyQueueBeforeHold,
    /// N fences before its workers hold.
    FenceBeforeHold,
    /// N does not wait for `skew` between its hold and the fence.
    NoSkewBeforeFence,
    /// P does not wait for `skew` between the fence and its withdrawal.
    NoSkewBeforeWithdrawal,
    /// Neither does.
    NoSkewAtFence,
    /// P withdraws when it records, without a fence.
    WithdrawWithoutFence,
    /// P does not have its receive queues emptied before it withdraws.
    NoEmptyQueueBeforeWithdrawal,
    /// P drops what waits in its backlog when it withdraws.
    DropBacklogOfP,
    /// P answers before its backlog is empty.
    NoDrain,
    /// P lists what it accepted in the middle of withdrawing.
    InspectBeforeWithdrawal,
    /// N does not wait for `skew` between the answer and the release.
    NoSkewBeforeRelease,
    /// N does not have its receive queues emptied before it releases.
    NoEmptyQueueBeforeRelease,
    /// N sends everything it holds.
    ReleaseWithoutList,
    /// N routes before what it holds is released.
    RouteBeforeRelease,
    /// N routes when P is lost, and forgets what it holds.
    ForgetWhatIsHeld,
}

/// A size of the model.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many packets the host sends, at most [`FRAMES_MAX`].
    pub frames: u8,
    /// Workers of each router, 1 or 2; P and N spread packets over them in different ways.
    pub workers: u8,
    /// How many packets may be lost at one of the ports.
    pub receive_losses: u8,
    /// Whether P's egress takes packets only now and then.
    pub congested: bool,
    /// What else may happen.
    pub fault: Fault,
    /// What is left out.
    pub planted: Option<Planted>,
}

impl Settings {
    /// Without a fault, of one worker.
    #[must_use]
    pub const fn new(frames: u8) -> Settings {
        Settings {
            frames,
            workers: 1,
            receive_losses: 0,
            congested: false,
            fault: Fault::None,
            planted: None,
        }
    }

    /// Whether a rule is left out.
    #[must_use]
    pub fn is_planted(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    /// Whether this wait at the fence is left out.
    fn skips_skew(&self, planted: Planted) -> bool {
        self.is_planted(planted) || self.is_planted(Planted::NoSkewAtFence)
    }
}

/// The sizes that the test suite goes through, each within seconds.
#[must_use]
pub fn small_sizes() -> Vec<Settings> {
    let plain = Settings {
        receive_losses: 1,
        congested: true,
        ..Settings::new(3)
    };
    let mut sizes = vec![
        plain,
        Settings {
            workers: 2,
            receive_losses: 0,
            congested: false,
            ..plain
        },
    ];
    sizes.extend(faults().map(|fault| Settings {
        fault,
        receive_losses: 0,
        congested: false,
        ..plain
    }));
    sizes
}

/// The sizes that take minutes.
#[must_use]
pub fn large_sizes() -> Vec<Settings> {
    let plain = Settings {
        receive_losses: 1,
        congested: true,
        ..Settings::new(5)
    };
    let two_workers = Settings {
        workers: 2,
        ..Settings::new(4)
    };
    let mut sizes = vec![plain, two_workers];
    sizes.extend(faults().map(|fault| Settings {
        // Of a router that is not lost there are far more states.
        frames: match fault {
            Fault::Suspicion(_) => 3,
            _ => 4,
        },
        fault,
        ..two_workers
    }));
    sizes.extend(faults().map(|fault| Settings {
        fault,
        receive_losses: 1,
        ..Settings::new(3)
    }));
    sizes
}

fn faults() -> impl Iterator<Item = Fault> {
    let roles = [Role::P, Role::N].into_iter();
    roles.flat_map(|role| [Fault::Crash(role), Fault::Suspicion(role)])
}

/// What going through every state showed.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How many different states there are.
    pub states: usize,
    /// How long the longest way to one of them is.
    pub depth: usize,
    /// How long it took.
    pub seconds: f64,
    /// Whether there is a way on which the move succeeds.
    pub succeeds: bool,
    /// The invariant that does not hold, with the shortest way there as a text.
    pub violation: Option<(&'static str, String)>,
}

/// Goes through every state of a size, or until an invariant is found not to hold.
#[must_use]
pub fn explore(settings: Settings) -> Finding {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = settings
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let broken = settings
        .properties()
        .into_iter()
        .filter(|property| property.expectation == Expectation::Always)
        .find_map(|property| Some((property.name, found.get(property.name)?.clone())));
    let violation = broken.map(|(name, path)| {
        let steps = path.into_actions();
        let lines: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
        (name, lines.join("\n"))
    });
    Finding {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: begun.elapsed().as_secs_f64(),
        succeeds: found.contains_key(invariants::SUCCESS),
        violation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_holds_in_every_state_of_the_small_sizes() {
        for settings in small_sizes() {
            let finding = explore(settings);
            println!("{settings:?}: {} states", finding.states);
            if let Some((name, steps)) = finding.violation {
                panic!("{settings:?}: not so: {name}\n{steps}");
            }
            assert!(finding.succeeds, "{settings:?}: no way leads to success");
            assert!(finding.states > 1000, "too few to be all");
        }
    }

    #[test]
    fn every_rule_that_is_left_out_is_found_missing() {
        use Planted::*;
        let calm = Settings {
            congested: true,
            ..Settings::new(3)
        };
        let two_workers = Settings {
            workers: 2,
            ..Settings::new(2)
        };
        let crash = Settings {
            fault: Fault::Crash(Role::P),
            ..Settings::new(2)
        };
        let cases = [
            (NoReady, calm),
            (NoSkewBeforeHold, calm),
            (NoEmptyQueueBeforeHold, calm),
            (FenceBeforeHold, calm),
            (NoSkewAtFence, calm),
            (WithdrawWithoutFence, calm),
            (NoEmptyQueueBeforeWithdrawal, calm),
            (DropBacklogOfP, calm),
            (NoDrain, calm),
            (InspectBeforeWithdrawal, two_workers),
            (NoSkewBeforeRelease, calm),
            (NoEmptyQueueBeforeRelease, calm),
            (ReleaseWithoutList, calm),
            (RouteBeforeRelease, calm),
            (ForgetWhatIsHeld, crash),
        ];
        let mut unfound = Vec::new();
        for (planted, settings) in cases {
            let settings = Settings {
                planted: Some(planted),
                ..settings
            };
            match explore(settings).violation {
                Some((name, steps)) => println!(
                    "{planted:?}: not so: {name}, after {} steps",
                    steps.lines().count()
                ),
                None => unfound.push(planted),
            }
        }
        assert_eq!(unfound, []);
    }

    /// So that a `skew` set too short at one of the two harms nothing yet.
    #[test]
    fn of_the_two_waits_at_the_fence_either_is_enough() {
        for planted in [Planted::NoSkewBeforeFence, Planted::NoSkewBeforeWithdrawal] {
            let settings = Settings {
                planted: Some(planted),
                ..Settings::new(3)
            };
            assert_eq!(explore(settings).violation, None, "{planted:?}");
        }
    }
}
