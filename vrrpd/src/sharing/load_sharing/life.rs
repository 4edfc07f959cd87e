//! When this router takes part: how a life begins anew, when a master that knows VRRP alone, or its own deafness, silences it, and when everything is given away.

use std::net::IpAddr;

use super::{Drain, Event, Hearing, LoadSharing, Master, Output, Voice};
use crate::State;
use crate::sharing::membership::{Membership, silence_max};
use crate::sharing::names::{BootId, Version};
use crate::sharing::table::Table;

impl LoadSharing {
    /// Begins anew, as after a restart: this router is in charge of nothing, and the others learn it from the boot id. One that was giving
    /// everything away takes nothing in this life either.
    pub(super) fn begin_life(&mut self) {
        self.moves.abandon(self.now);
        self.discard_everything();
        self.config.boot = BootId(self.config.boot.0.wrapping_add(1));
        self.trust.restart(self.config.boot);
        self.membership = Membership::new(self.now, self.interval);
        self.table = Table::new(self.config.group.family(), self.config.mode);
        self.reports.clear();
        self.end_authority();
        self.voice = Voice::default();
        self.master = Master::Sharing;
        self.hearing = Hearing::new(self.now);
        self.mute = true;
        self.quiet = true;
        self.highest = Version::default();
        self.lost.clear();
        self.since = self.now;
        self.first_table_at = None;
    }

    /// The router at `by` is master, as far as advertisements say. Whoever has no part in VRRP could not have been answered by it, and so takes it
    /// for nothing.
    pub(super) fn note_master(&mut self, by: IpAddr) {
        if self.vrrp == State::Initialise {
            return;
        }
        let sharing = by == self.config.local || self.trust.router_at(by).is_some();
        if sharing && by != self.config.local {
            self.hearing.note_advertisement(self.now);
        }
        self.master = match self.master {
            _ if self.config.plain_members.contains(&by) => Master::Plain(by),
            _ if sharing => Master::Sharing,
            Master::Plain(address) if address == by => Master::Plain(by),
            Master::Unknown(address, since) if address == by => {
                let patience = silence_max(self.interval, self.config.priority);
                match self.now.since(since) > patience {
                    true => Master::Plain(by),
                    false => Master::Unknown(by, since),
                }
            }
            _ => Master::Unknown(by, self.now),
        };
    }

    /// Falls silent, or speaks again, as VRRP and its master make it necessary; routes nothing while it does not speak or hear.
    pub(super) fn review_quiet(&mut self) {
        let plain = match self.master {
            Master::Plain(address) if self.vrrp == State::Backup => Some(address),
            _ => None,
        };
        self.mute = self.vrrp == State::Initialise || plain.is_some();
        let quiet = self.mute || self.hearing.is_impaired();
        if quiet != self.quiet {
            self.quiet = quiet;
            if quiet {
                self.moves.give_up(self.now);
                self.discard_everything();
                if let Some(address) = plain {
                    self.event(Event::PlainMaster(address));
                }
            } else {
                // So far nobody could have spoken to this router.
                self.since = self.now;
                self.publish_everything();
                self.event(Event::Resumed);
            }
        }
        self.review_authority();
    }

    /// Says so when everything is given away.
    pub(super) fn review_drain(&mut self) {
        // While nothing is shared, nothing is this router's.
        if self.drain != Drain::Draining || !(self.quiet || self.is_everything_given_away()) {
            return;
        }
        self.drain = Drain::Drained;
        self.outputs.push_back(Output::Drained);
    }
}
