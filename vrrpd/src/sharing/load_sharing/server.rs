//! The substitution server (A14): a member that does the control work in the master's place and routes nothing. Whichever router does it runs the same
//! code; here is which one that is.
//!
//! A master that believes a substitution server, and hears it, leaves the authority to it; when the server is silent for too long, or says that it ends,
//! the master is the authority again. Either way the next one begins as any does: it asks all others first, and begins an epoch above all others.

use super::{Config, Drain, LoadSharing, Role};
use crate::State;
use crate::sharing::allocation::Share;
use crate::sharing::names::{MemberState, RouterId};

impl LoadSharing {
    pub(super) fn is_server(&self) -> bool {
        self.config.role == Role::SubstitutionServer
    }

    /// How a substitution server regards itself.
    pub(super) fn server_state(&self) -> MemberState {
        match self.drain {
            Drain::No if !self.hearing.is_impaired() => MemberState::SubstitutionServer,
            // About to stop, or useless: nobody is to wait until it is missed.
            _ => MemberState::SubstitutionServerFaulty,
        }
    }

    /// Whether this router is the one to allocate. Of several substitution servers the one with the lowest router id is.
    pub(super) fn shall_rule(&self) -> bool {
        let Config { role, router, .. } = self.config;
        let other_server = self.servers().min();
        !self.quiet
            && match role {
                Role::Router => self.vrrp == State::Master && other_server.is_none(),
                Role::SubstitutionServer => {
                    self.drain == Drain::No
                        && other_server.is_none_or(|other| router < other)
                        && self.has_routers()
                }
            }
    }

    /// The substitution servers that answer, other than this router.
    fn servers(&self) -> impl Iterator<Item = RouterId> + '_ {
        let members = self.membership.iter();
        members
            .filter(|(_, member)| member.state == MemberState::SubstitutionServer)
            .map(|(router, _)| router)
    }

    /// Whether there is anybody who could be in charge of anything.
    fn has_routers(&self) -> bool {
        let mut members = self.membership.iter();
        members.any(|(_, member)| member.routes())
    }

    /// Whom everything goes to if nobody takes a share: this router, or, if that routes nothing, those that answer at all.
    pub(super) fn whoever_is_there(&self) -> Vec<Share> {
        let share = |router| Share { router, weight: 1 };
        match self.config.role {
            Role::Router => vec![share(self.config.router)],
            Role::SubstitutionServer => {
                let members = self.membership.iter();
                let there = members.filter(|(_, member)| member.routes());
                there.map(|(router, _)| share(router)).collect()
            }
        }
    }
}
