//! Conditions that a router's priority depends on: another port's link, an address that must answer. Who watches them
//! and how is the driver's business; this file turns verdicts into a priority.

use crate::wire::PRIORITY_OWNER;

/// A condition, and what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The name under which the driver reports it, and under which it is shown.
    pub name: String,
    /// What happens to the priority.
    pub weight: Weight,
}

/// What a tracked condition does to the priority, as keepalived's weights do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It is essential: while it fails the virtual router is down, whatever its priority (keepalived's fault state).
    Essential,
    /// A positive weight is added while the condition holds, a negative one while it fails. An owner's priority
    /// does not change.
    Priority(i16),
}

/// What is known of one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet. It changes no priority; an essential one delays the start, but stops nobody who runs.
    Unknown,
    /// It holds.
    Holds,
    /// It fails.
    Fails,
}

/// The tracked conditions of one virtual router with their verdicts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracks(Vec<(Track, Verdict)>);

impl Tracks {
    /// These conditions, with what `self` knows of those that have the same name.
    pub(crate) fn reconfigured(&self, tracks: &[Track]) -> Tracks {
        let verdict = |track: &Track| {
            let known = self.0.iter().find(|(old, _)| old.name == track.name);
            known.map_or(Verdict::Unknown, |(_, verdict)| *verdict)
        };
        Tracks(
            tracks
                .iter()
                .map(|track| (track.clone(), verdict(track)))
                .collect(),
        )
    }

    /// Notes a verdict. Returns whether anything changed; a name that nobody tracks changes nothing.
    pub(crate) fn note(&mut self, name: &str, holds: bool) -> bool {
        let verdict = if holds {
            Verdict::Holds
        } else {
            Verdict::Fails
        };
        match self.0.iter_mut().find(|(track, _)| track.name == name) {
            Some((_, known)) if *known != verdict => {
                *known = verdict;
                true
            }
            _ => false,
        }
    }

    /// The first essential condition that fails.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.essential(Verdict::Fails)
    }

    /// The first essential condition of which nothing is known.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.essential(Verdict::Unknown)
    }

    fn essential(&self, wanted: Verdict) -> Option<&str> {
        self.0
            .iter()
            .find(|(track, verdict)| track.weight == Weight::Essential && *verdict == wanted)
            .map(|(track, _)| track.name.as_str())
    }

    /// The priority in force for a configured priority of `base`: 1 to 254, or 255 for an owner.
    pub(crate) fn priority(&self, base: u8) -> u8 {
        if base == PRIORITY_OWNER {
            return base;
        }
        let weights = self
            .0
            .iter()
            .map(|(track, verdict)| match (track.weight, verdict) {
                (Weight::Priority(weight), Verdict::Holds) => i64::from(weight.max(0)),
                (Weight::Priority(weight), Verdict::Fails) => i64::from(weight.min(0)),
                _ => 0,
            });
        let priority =
            (i64::from(base) + weights.sum::<i64>()).clamp(1, i64::from(PRIORITY_OWNER - 1));
        u8::try_from(priority).unwrap_or(base)
    }

    /// Every condition with its verdict.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Track, Verdict)> {
        self.0.iter().map(|(track, verdict)| (track, *verdict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(name: &str, weight: Weight) -> Track {
        Track {
            name: name.to_owned(),
            weight,
        }
    }

    #[test]
    fn positive_weights_count_while_they_hold_and_negative_ones_while_they_fail() {
        let mut tracks = Tracks::default().reconfigured(&[
            track("up", Weight::Priority(20)),
            track("down", Weight::Priority(-30)),
        ]);
        assert_eq!(tracks.priority(100), 100);
        assert!(tracks.note("up", true));
        assert!(tracks.note("down", true));
        assert_eq!(tracks.priority(100), 120);
        assert!(tracks.note("down", false));
        assert_eq!(tracks.priority(100), 90);
        assert!(tracks.note("up", false));
        assert_eq!(tracks.priority(100), 70);
        assert!(!tracks.note("up", false));
        assert!(!tracks.note("nobody", false));
    }

    #[test]
    fn weights_never_make_a_router_owner_or_mute_and_never_touch_an_owner() {
        let mut tracks = Tracks::default().reconfigured(&[
            track("up", Weight::Priority(i16::MAX)),
            track("down", Weight::Priority(i16::MIN)),
        ]);
        tracks.note("up", true);
        assert_eq!(tracks.priority(100), 254);
        tracks.note("up", false);
        tracks.note("down", false);
        assert_eq!(tracks.priority(100), 1);
        assert_eq!(tracks.priority(255), 255);
    }

    #[test]
    fn a_reload_keeps_the_verdicts_of_conditions_that_stay() {
        let mut tracks = Tracks::default().reconfigured(&[track("a", Weight::Essential)]);
        assert_eq!(tracks.unknown(), Some("a"));
        tracks.note("a", false);
        let tracks =
            tracks.reconfigured(&[track("b", Weight::Essential), track("a", Weight::Essential)]);
        assert_eq!(tracks.failed(), Some("a"));
        assert_eq!(tracks.unknown(), Some("b"));
    }
}
