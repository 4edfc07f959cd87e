//! What the live view remembers from one sample to the next: who was in charge of what, so that moves are seen, and the latest failure.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sample::{Allocated, Flows, Members, Moves, Sample};
use crate::request::AskError;

/// The latest moves that are remembered of a group.
const MOVES_MAX: usize = 100;

/// What tells a group from others: its port and its VRID.
type GroupName = (String, u8);

/// Everything that is shown. Times are since the start of the view.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) socket: PathBuf,
    sample: Sample,
    /// When it was taken; none before the first.
    taken_at: Option<Duration>,
    /// Why there is no newer one.
    failure: Option<String>,
    /// When there was one again after a failure.
    back_at: Option<Duration>,
    moved: BTreeMap<GroupName, VecDeque<Moved>>,
    selected: usize,
}

/// An end system that changed hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) at: Duration,
    pub(super) condition: String,
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
}

/// What is shown of one group.
#[derive(Debug)]
pub(super) struct Group<'m> {
    /// Its place among the groups, from 1, and their number.
    pub(super) place: (usize, usize),
    pub(super) members: &'m Members,
    pub(super) flows: Option<&'m Flows>,
    pub(super) under_way: usize,
    pub(super) moved: Vec<&'m Moved>,
}

impl Model {
    pub(super) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            sample: Sample::default(),
            taken_at: None,
            failure: None,
            back_at: None,
            moved: BTreeMap::new(),
            selected: 0,
        }
    }

    /// Takes what the router answered, or why it did not. The last figures stay until there are newer ones.
    pub(super) fn take(&mut self, now: Duration, sample: Result<Sample, AskError>) {
        let sample = match sample {
            Ok(sample) => sample,
            Err(error) => {
                let text = error.to_string();
                self.failure = Some(text.lines().next().unwrap_or_default().to_owned());
                return;
            }
        };
        for group in &sample.allocations {
            let is_same =
                |other: &&Allocated| (&other.port, other.vrid) == (&group.port, group.vrid);
            let Some(before) = self.sample.allocations.iter().find(is_same) else {
                continue;
            };
            let before: BTreeMap<&str, Ipv4Addr> = before
                .conditions
                .iter()
                .map(|placed| (placed.condition.as_str(), placed.router))
                .collect();
            let log = self
                .moved
                .entry((group.port.clone(), group.vrid))
                .or_default();
            for placed in &group.conditions {
                match before.get(placed.condition.as_str()) {
                    Some(from) if *from != placed.router => {
                        if log.len() == MOVES_MAX {
                            log.pop_back();
                        }
                        log.push_front(Moved {
                            at: now,
                            condition: placed.condition.clone(),
                            from: *from,
                            to: placed.router,
                        });
                    }
                    _ => {}
                }
            }
        }
        self.sample = sample;
        self.taken_at = Some(now);
        if self.failure.take().is_some() {
            self.back_at = Some(now);
        }
    }

    /// Shows the next group, if there are several.
    pub(super) fn next_group(&mut self) {
        self.selected = (self.selected + 1) % self.sample.members.len().max(1);
    }

    /// Why there are no newer figures, and how old those are that are there.
    pub(super) fn failure(&self, now: Duration) -> Option<(&str, Option<Duration>)> {
        let age = self.taken_at.map(|at| now.saturating_sub(at));
        self.failure.as_deref().map(|failure| (failure, age))
    }

    /// Whether the router has answered again within this time, after it had not.
    pub(super) fn is_back_since(&self, now: Duration, time: Duration) -> bool {
        self.back_at
            .is_some_and(|back| now.saturating_sub(back) < time)
    }

    /// Whether the router has answered yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.taken_at.is_none()
    }

    /// The group that is shown, if the router has any.
    pub(super) fn group(&self) -> Option<Group<'_>> {
        let groups = &self.sample.members;
        let selected = self.selected.min(groups.len().checked_sub(1)?);
        let members = groups.get(selected)?;
        let name = (members.port.clone(), members.vrid);
        let is_this = |port: &str, vrid| port == name.0 && vrid == name.1;
        let of = |moves: &&Moves| is_this(&moves.port, moves.vrid);
        let moved = self.moved.get(&name);
        Some(Group {
            place: (selected + 1, groups.len()),
            members,
            flows: self
                .sample
                .flows
                .iter()
                .find(|flows| is_this(&flows.port, flows.vrid)),
            under_way: self
                .sample
                .moves
                .iter()
                .find(of)
                .map_or(0, |moves| moves.total),
            moved: moved.into_iter().flatten().collect(),
        })
    }
}
