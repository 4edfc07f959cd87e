//! Groups of which one follows the other: each router carries what the one decides to the other.

use std::collections::BTreeMap;

use vrrpd::Moment;
use vrrpd::sharing::names::Condition;

use super::{GroupKey, Vrrp};
use crate::control::vrrp::sharing::Sharing;

/// A group, and the one that it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tie {
    pub(super) follower: GroupKey,
    pub(super) leader: GroupKey,
}

impl Vrrp {
    /// Notes which groups follow which.
    pub(super) fn note_ties(&mut self) {
        let follows = |sharing: &Sharing| sharing.config().follow;
        self.ties = self
            .groups
            .iter()
            .filter_map(|(key, group)| {
                Some(Tie {
                    follower: *key,
                    leader: group.sharing.as_ref().and_then(follows)?,
                })
            })
            .collect();
    }

    /// Shows followers what is decided for them, and tells those that they follow whether they can.
    pub(super) fn tie(&mut self, at: Moment) {
        let ties = std::mem::take(&mut self.ties);
        for tie in &ties {
            // Put aside, because the leader's table is looked at meanwhile.
            let taken = self.groups.get_mut(&tie.follower);
            let Some(mut follower) = taken.and_then(|group| group.sharing.take()) else {
                continue;
            };
            let leader = self.groups.get(&tie.leader);
            if let Some(leader) = leader.and_then(|group| group.sharing.as_ref()) {
                follower.follow(at.now, leader.part().table(), &mut self.numbers);
            }
            if let Some(group) = self.groups.get_mut(&tie.follower) {
                group.sharing = Some(follower);
            }
            self.attend(tie.follower);
        }
        for tie in &ties {
            let followers = ties.iter().filter(|other| other.leader == tie.leader);
            let able = followers
                .filter_map(|tie| self.groups.get(&tie.follower)?.sharing.as_ref())
                .all(|follower| follower.part().takes_part());
            self.share(tie.leader, |sharing, numbers| {
                sharing.set_able(at.now, able, numbers);
            });
        }
        self.ties = ties;
    }

    /// What was routed of each condition in the groups that follow this one: the same end systems' packets the other way.
    pub(super) fn other_way(
        &self,
        leader: GroupKey,
        octets: impl Fn(u32) -> u64,
    ) -> BTreeMap<Condition, u64> {
        let mut other_way = BTreeMap::new();
        for tie in self.ties.iter().filter(|tie| tie.leader == leader) {
            let group = self.groups.get(&tie.follower);
            let counted = group.and_then(|group| group.sharing.as_ref());
            for (condition, count) in counted.into_iter().flat_map(|group| group.octets(&octets)) {
                *other_way.entry(condition).or_default() += count;
            }
        }
        other_way
    }
}
