//! Tied groups: one that follows another has the same conditions with the same routers in charge, so that both directions of an end system pass
//! one router (A15). The authority of the group that is followed decides for both; the one that follows elects its own master, hands over and takes over by itself.
//!
//! Every router is a member of both groups and has both tables, so the authority of the follower reads there who shall have what, whichever router it
//! is. In turn each router takes a share of the group that is followed only while it takes part in its followers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::authority::{Authority, Ruling};
use super::issue::Draft;
use super::{Drain, LoadSharing};
use crate::Time;
use crate::sharing::allocation::Share;
use crate::sharing::names::{Condition, RouterId};
use crate::sharing::table::Table;

/// What the group has that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    /// Digest and length of its table.
    mark: (u64, usize),
    /// Who is in charge there, or about to be.
    owners: BTreeMap<Condition, RouterId>,
    /// What is here and not there.
    gone: BTreeSet<Condition>,
}

impl Followed {
    /// The end systems there.
    pub(super) fn end_systems(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.owners.keys().filter_map(|condition| match condition {
            Condition::Address(address) => Some(*address),
            Condition::Rest => None,
        })
    }
}

impl Ruling {
    /// Who is in charge of `condition` in the group that is followed, if any is and it can be here.
    pub(super) fn leading(&self, condition: Condition, shares: &[Share]) -> Option<RouterId> {
        let owner = *self.followed.as_ref()?.owners.get(&condition)?;
        let takes = shares.iter().any(|share| share.router == owner);
        takes.then_some(owner)
    }
}

impl LoadSharing {
    /// This is the table that this router has of the group that is followed. To be called in every pass; without a change it costs nothing. A group that
    /// follows none does not look at it.
    pub fn follow(&mut self, now: Time, leader: &Table) {
        let mark = (leader.digest(), leader.rows().len());
        let is_known = |ruling: &Ruling| {
            let followed = ruling.followed.as_ref();
            followed.is_some_and(|followed| followed.mark == mark)
        };
        if !self.config.follows || !leader.is_whole() || mark.1 == 0 {
            return;
        }
        match &mut self.authority {
            Authority::Ruling(ruling) if !is_known(ruling) => {
                let here = self.table.rows().map(|(condition, _)| condition);
                let gone = here.filter(|condition| leader.row(*condition).is_none());
                ruling.followed = Some(Followed {
                    mark,
                    owners: leader
                        .rows()
                        .map(|(condition, row)| (condition, row.router))
                        .collect(),
                    gone: gone.collect(),
                });
                ruling.allocate_at = Some(now);
            }
            _ => return,
        }
        self.observe(now);
        self.end_systems.look_for_configured();
        self.settle();
    }

    /// Whether this router takes part in the group, and means to stay: what the group that this one follows is to be [told](Self::set_able).
    #[must_use]
    pub fn takes_part(&self) -> bool {
        !self.quiet && self.drain == Drain::No
    }

    /// Whether this router takes part in the groups that follow this one. While it does not, its weight counts as 0, so that everything is moved away
    /// from it, in order.
    pub fn set_able(&mut self, now: Time, able: bool) {
        if std::mem::replace(&mut self.able, able) == able {
            return;
        }
        self.observe(now);
        self.reallocate_soon();
        self.voice.respond_soon(self.now);
        self.settle();
    }

    /// The weight that is in force.
    pub(super) fn weight(&self) -> u16 {
        match self.able && !self.is_server() {
            true => self.config.weight,
            false => 0,
        }
    }

    /// What is in the group that is followed no more falls back to the rest, as what was not seen for too long does in others. Returns what is still
    /// to go where that is routed.
    pub(super) fn retire(&self, followed: &Followed, draft: &mut Draft) -> Vec<Condition> {
        let rest = draft.row(&self.table, Condition::Rest);
        let Some(rest) = rest.filter(|rest| rest.unfinished.is_none()) else {
            return Vec::new();
        };
        let gone = followed.gone.iter().filter_map(|condition| {
            let row = draft.row(&self.table, *condition)?;
            let settled = row.unfinished.is_none();
            settled.then_some((*condition, row.router == rest.router))
        });
        let gone: Vec<_> = gone.collect();
        draft.drop_where_the_rest_is(gone)
    }
}
