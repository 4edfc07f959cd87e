//! What an authority has issued last, kept to be repeated to those who lack it.

use crate::sharing::names::Version;
use crate::sharing::wire::{Body, Response};

/// What an authority has issued last, to be repeated to those who lack it.
#[derive(Clone, Debug)]
pub struct Issued {
    version: Version,
    base: Version,
    difference: Vec<Body>,
    /// Made when somebody needs it.
    full: Option<Vec<Body>>,
}

/// Fragments to send, with their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// Of how many fragments they are.
    pub fragments: u16,
    /// Number and body of each.
    pub bodies: Vec<(u16, Body)>,
}

impl Issued {
    /// An allocation just issued, `difference` being its fragments and `base` what they are the difference to.
    #[must_use]
    pub fn new(version: Version, base: Version, difference: Vec<Body>) -> Issued {
        Issued {
            version,
            base,
            difference,
            full: None,
        }
    }

    /// The whole difference, for everyone.
    #[must_use]
    pub fn whole_difference(&self) -> Repetition {
        Repetition {
            fragments: u16::try_from(self.difference.len()).unwrap_or(u16::MAX),
            bodies: (0..=u16::MAX)
                .zip(self.difference.iter().cloned())
                .collect(),
        }
    }

    /// What the sender of a type 2, which has `installed`, lacks; `full` makes the fragments of the full table. `None` if it
    /// lacks nothing.
    pub fn lacking(
        &mut self,
        installed: Version,
        response: &Response,
        full: impl FnOnce() -> Vec<Body>,
    ) -> Option<Repetition> {
        if installed >= self.version {
            return None;
        }
        let listed = response.heard == self.version && !response.missing.is_empty();
        let wants_difference = installed == self.base && !response.wants_table;
        let fragments = if wants_difference {
            &self.difference
        } else {
            self.full.get_or_insert_with(full)
        };
        let lacks = |number: u16| {
            !listed
                || response
                    .missing
                    .iter()
                    .any(|range| (range.first..=range.last).contains(&number))
        };
        Some(Repetition {
            fragments: u16::try_from(fragments.len()).unwrap_or(u16::MAX),
            bodies: (0..=u16::MAX)
                .zip(fragments)
                .filter(|(number, _)| lacks(*number))
                .map(|(number, body)| (number, body.clone()))
                .collect(),
        })
    }
}
