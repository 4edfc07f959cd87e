//! A router of either make, as far as the other one and a host can tell: what the tests of ours beside keepalived have both do in turn.

use lab::poll;

use crate::keepalived::Keepalived;
use crate::member::{Member, PATIENCE};
use crate::network::Lan;
use crate::settings::Settings;

/// More advertisements than a backup lets pass in silence before it takes over.
const ENOUGH_HEARD: u64 = 5;

/// A running router.
pub(crate) trait Router<'a>: Sized {
    const NAME: &'static str;

    fn start(lan: &'a Lan, index: usize, settings: &Settings) -> Self;

    fn is_master(&self) -> bool;

    /// How often it became master.
    fn times_master(&self) -> u64;

    /// How many advertisements it has accepted.
    fn heard(&self) -> u64;

    /// What it refused, by its own counters and words.
    fn refusals(&self) -> Vec<String>;

    /// What it said, for a failing test.
    fn said(&self) -> String;

    /// Ends it as a crash would.
    fn kill(self);

    /// Ends it as an operator would.
    fn stop(self);
}

impl<'a> Router<'a> for Member<'a> {
    const NAME: &'static str = "manifold";

    fn start(lan: &'a Lan, index: usize, settings: &Settings) -> Self {
        Member::start(lan, index, settings)
    }

    fn is_master(&self) -> bool {
        self.is_master()
    }

    fn times_master(&self) -> u64 {
        self.counter("master-transitions")
    }

    fn heard(&self) -> u64 {
        self.counter("advertisement-rcvd")
    }

    fn refusals(&self) -> Vec<String> {
        let refused = self.refusals().into_iter();
        refused
            .map(|(name, count)| format!("{name} = {count}"))
            .collect()
    }

    fn said(&self) -> String {
        self.said()
    }

    fn kill(self) {
        self.kill();
    }

    fn stop(self) {
        drop(self.stop());
    }
}

impl<'a> Router<'a> for Keepalived<'a> {
    const NAME: &'static str = "keepalived";

    fn start(lan: &'a Lan, index: usize, settings: &Settings) -> Self {
        Keepalived::start(lan, index, settings)
    }

    fn is_master(&self) -> bool {
        self.is_master()
    }

    fn times_master(&self) -> u64 {
        self.statistics()["Became master"]
    }

    fn heard(&self) -> u64 {
        self.statistics()["Advertisements: Received"]
    }

    fn refusals(&self) -> Vec<String> {
        self.refusals()
    }

    fn said(&self) -> String {
        self.said()
    }

    fn kill(self) {
        self.kill();
    }

    fn stop(self) {
        self.stop();
    }
}

/// Waits until the first is master and the second is not.
pub(crate) fn await_master<'a, M: Router<'a>, B: Router<'a>>(master: &M, backup: &B) {
    let seen = poll::until(
        &format!("{} as master, {} as backup", M::NAME, B::NAME),
        PATIENCE,
        || Ok((master.is_master() && !backup.is_master()).then_some(())),
    );
    assert!(
        seen.is_ok(),
        "{seen:?}\n{}:\n{}\n{}:\n{}",
        M::NAME,
        master.said(),
        B::NAME,
        backup.said()
    );
}

/// Waits until one is master, whatever others are.
pub(crate) fn await_alone<'a, M: Router<'a>>(master: &M) {
    poll::until(&format!("{} as master", M::NAME), PATIENCE, || {
        Ok(master.is_master().then_some(()))
    })
    .expect("a master");
}

/// Waits until a backup has heard so much more that it would have taken over if it did not heed it.
pub(crate) fn await_heard<'a, B: Router<'a>>(backup: &B) {
    let before = backup.heard();
    poll::until(&format!("advertisements at {}", B::NAME), PATIENCE, || {
        Ok((backup.heard() - before >= ENOUGH_HEARD).then_some(()))
    })
    .expect("advertisements");
}

/// Neither has refused anything of the other's.
pub(crate) fn nothing_was_refused<'a, A: Router<'a>, B: Router<'a>>(a: &A, b: &B) {
    let none: &[String] = &[];
    assert_eq!(a.refusals(), none, "{}:\n{}", A::NAME, a.said());
    assert_eq!(b.refusals(), none, "{}:\n{}", B::NAME, b.said());
}
