//! Waiting for a group's end systems and their moves, and what to tell when they do not come about.

use std::time::Duration;

use super::Group;
use crate::manifold::Manifold;
use crate::{LabError, Result, poll};

/// How many of a router's latest log lines are told whatever they say.
const LATEST: usize = 60;

impl Group<'_> {
    /// Waits until all routers have the same table with so many conditions, the rest included.
    ///
    /// # Errors
    /// [`LabError::Deadline`] if they do not come to agree.
    pub fn wait_until_known(&self, conditions: usize, deadline: Duration) -> Result<()> {
        let known = poll::until("every end system in the table", deadline, || {
            Ok((self.in_charge()?.len() == conditions).then_some(()))
        });
        self.told(known)?;
        self.wait_until_agreed(deadline)
    }

    /// Waits until a router is in charge of a condition, and nothing moves any more.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with the moves of each router, if it takes longer.
    pub fn wait_until_moved(&self, condition: &str, to: u8, deadline: Duration) -> Result<()> {
        let moved = poll::until("an end of the move", deadline, || {
            let moved = self.in_charge()?.get(condition) == Some(&to);
            Ok((moved && self.is_quiet()?).then_some(()))
        });
        self.told(moved)
    }

    /// With what the routers have to say, if something did not come about in time.
    fn told<T>(&self, came: Result<T>) -> Result<T> {
        came.map_err(|error| match error {
            LabError::Deadline {
                awaited, deadline, ..
            } => LabError::Deadline {
                awaited,
                deadline,
                detail: self.story(),
            },
            other => other,
        })
    }

    /// What each router shows of moves and of what it has discarded, and what it logged, of ordinary moves only the latest: for whoever has to find
    /// out why something failed.
    #[must_use]
    pub fn story(&self) -> String {
        let story = |(index, router): (u8, &Manifold<'_>)| {
            let moves = Self::shown(router, "show moves");
            let counters = router.ask("show counters");
            let discards = counters.map(|counters| counters["discards"].clone());
            let log = router.process().stderr();
            let is_ordinary = |line: &str| {
                let ordinary = [" issued generation", " are to move: ", " moved: "];
                ordinary.iter().any(|words| line.contains(words))
            };
            let old = log.lines().count().saturating_sub(LATEST);
            let tells = |(number, line): &(usize, &str)| *number >= old || !is_ordinary(line);
            let lines = log.lines().enumerate().filter(tells).map(|(_, line)| line);
            let lines: Vec<&str> = lines.collect();
            format!(
                "\nr{}: {moves:?}\n{discards:?}\n{}",
                index + 1,
                lines.join("\n")
            )
        };
        self.running().map(story).collect()
    }
}
