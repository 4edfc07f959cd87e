//! The virtual routers that share their load: what else comes to them than VRRP alone knows of, and what they ask for.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dataplane::addr::MacAddr;
use dataplane::handover::{HandoverDone, HandoverId, Learned};
use dataplane::verdict::VerdictTable;
use thiserror::Error;
use vrrpd::sharing::load_sharing::MoveError;
use vrrpd::sharing::names::{BootId, Condition, RouterId};
use vrrpd::wire::TYPE_ADVERTISEMENT;
use vrrpd::{Moment, Received, State, VirtualRouter};

use super::apply::{ApplyError, sharing_error};
use super::{Charge, GroupKey, Output, Vrrp};
use crate::control::host::PortIndex;
use crate::control::vrrp::sharing::{self, Numbers, Question, Sharing, Sighting, Taken};
use crate::control::vrrp::{config::GroupConfig, frame};

/// Lives of this router, one for each time that it takes part in a group anew.
#[derive(Debug, Default)]
pub(super) struct Boots {
    state: u64,
}

impl Boots {
    pub(super) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Another than all before (SplitMix64, which gives every number once).
    fn next(&mut self) -> BootId {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        BootId(mixed ^ mixed >> 31)
    }
}

/// Why a condition is not moved.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// No group has such a router.
    #[error("no group that shares its load has a router {0}; see `show routers`")]
    UnknownRouter(Ipv4Addr),
    /// The protocol refuses.
    #[error(transparent)]
    Refused(#[from] MoveError),
}

impl Vrrp {
    /// The workers have done what a move asked for.
    pub fn handed_over(&mut self, at: impl Into<Moment>, id: HandoverId, done: HandoverDone) {
        let at = at.into();
        let Some(key) = self.group_of(id) else {
            return;
        };
        self.share(key, |sharing, numbers| {
            sharing.handed_over(at.now, id, done, numbers);
        });
    }

    /// The verdict tables that are to be published now, each with its group; [`Vrrp::published`] is to be called for each.
    pub fn take_tables(&mut self) -> Vec<(GroupKey, Arc<VerdictTable>)> {
        std::mem::take(&mut self.unpublished)
            .into_iter()
            .filter_map(|key| {
                let sharing = self.groups.get_mut(&key)?.sharing.as_mut()?;
                Some((key, sharing.take_table()?))
            })
            .collect()
    }

    /// A table has been published; `taken` is what the workers are asked for, whether they have taken it up.
    pub fn published(&mut self, key: GroupKey, taken: Taken) {
        let group = self.groups.get_mut(&key);
        if let Some(sharing) = group.and_then(|group| group.sharing.as_mut()) {
            sharing.published(taken);
            self.settling.insert(key);
        }
    }

    /// Goes on with what waited for the workers to take up tables.
    pub fn settle(&mut self, at: impl Into<Moment>, has_taken_up: impl Fn(Taken) -> bool) {
        let at = at.into();
        for key in std::mem::take(&mut self.settling) {
            let settling = self.share(key, |sharing, numbers| {
                sharing.settle(at.now, &has_taken_up, numbers);
                sharing.is_settling()
            });
            if settling == Some(true) {
                self.settling.insert(key);
            }
        }
    }

    /// How many frames each port has received so far.
    pub fn frames_received(&mut self, frames: impl Fn(PortIndex) -> u64) {
        for (port, state) in &mut self.ports {
            state.frames = frames(*port);
        }
    }

    /// A worker saw a packet of an end system that no condition names. `node` is the further router on the same link that packets to it go to.
    pub fn packet_seen(&mut self, at: impl Into<Moment>, learned: Learned, node: Option<Ipv4Addr>) {
        let at = at.into();
        let Learned {
            port,
            vrid,
            address,
            from,
        } = learned;
        self.share(GroupKey { port, vrid }, |sharing, _| {
            sharing.packet_seen(at.now, address, node, from);
        });
    }

    /// What [`Output::Vouch`] asked is known: whether the further router has that link address.
    pub fn vouched(
        &mut self,
        at: impl Into<Moment>,
        group: GroupKey,
        sighting: Sighting,
        is_its: bool,
    ) {
        let at = at.into();
        self.share(group, |sharing, numbers| {
            sharing.vouched(at.now, sighting, is_its, numbers);
        });
    }

    /// Hands the workers' counters to the groups whose turn it is: octets by a condition's index, and overflows.
    pub fn measure(
        &mut self,
        at: impl Into<Moment>,
        octets: impl Fn(u32) -> u64,
        overflows: impl Fn() -> u64,
    ) {
        let now = at.into().now;
        let is_due = |sharing: &Sharing| sharing.measures_at().is_some_and(|at| at <= now);
        let due: Vec<GroupKey> = self
            .groups
            .iter()
            .filter(|(_, group)| group.sharing.as_ref().is_some_and(is_due))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            let other_way = self.other_way(key, &octets);
            self.share(key, |sharing, numbers| {
                let octets = sharing.octets(&octets).map(|(condition, count)| {
                    let other_way = other_way.get(&condition).copied().unwrap_or_default();
                    (condition, count.saturating_add(other_way))
                });
                let octets: Vec<_> = octets.collect();
                sharing.measure(now, octets, overflows(), numbers);
            });
        }
    }

    /// Someone on the link replied to an information request.
    pub fn informed(
        &mut self,
        at: impl Into<Moment>,
        port: PortIndex,
        from: Ipv4Addr,
        (identifier, sequence): (u16, u16),
    ) {
        let at = at.into();
        for key in self.sharing_keys(|key| key.port == port) {
            self.share(key, |sharing, numbers| {
                sharing.informed(at.now, from, (identifier, sequence), numbers);
            });
        }
    }

    /// A neighbour on a port has answered that it is there.
    pub fn neighbour_there(&mut self, at: impl Into<Moment>, port: PortIndex, address: Ipv4Addr) {
        let at = at.into();
        for key in self.sharing_keys(|key| key.port == port) {
            self.share(key, |sharing, numbers| {
                sharing.neighbour_there(at.now, address, numbers);
            });
        }
    }

    /// The operator wants a condition with the router that has this id or address.
    ///
    /// # Errors
    /// `OrderError`: no group has such a router, or none of those that have may move the condition there.
    pub fn move_to(
        &mut self,
        at: impl Into<Moment>,
        condition: Condition,
        to: Ipv4Addr,
    ) -> Result<(), OrderError> {
        let at = at.into();
        let mut outcome = Err(OrderError::UnknownRouter(to));
        for key in self.leading_keys() {
            let ordered = self.share(key, |sharing, numbers| {
                let router = router_named(sharing, to)?;
                Some(sharing.move_to(at.now, condition, router, numbers))
            });
            match ordered.flatten() {
                Some(Ok(())) => return Ok(()),
                Some(Err(refused)) => outcome = Err(refused.into()),
                None => {}
            }
        }
        outcome
    }

    /// Has all groups give their conditions away, those too that a later configuration begins.
    pub fn drain(&mut self, at: impl Into<Moment>) {
        let at = at.into();
        self.draining = true;
        for key in self.sharing_keys(|_| true) {
            self.share(key, |sharing, numbers| sharing.drain(at.now, numbers));
        }
    }

    /// Whether no group has anything left to give away.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let mut sharing = self
            .groups
            .values()
            .filter_map(|group| group.sharing.as_ref());
        sharing.all(Sharing::is_drained)
    }

    /// The part of every group that shares its load, to be looked at.
    pub fn parts(&self) -> impl Iterator<Item = (GroupKey, &vrrpd::sharing::LoadSharing)> {
        self.sharing()
            .map(|(config, _, sharing)| (config.key(), sharing.part()))
    }

    /// The groups that share their load.
    pub(in crate::control::vrrp) fn sharing(
        &self,
    ) -> impl Iterator<Item = (&GroupConfig, &VirtualRouter, &Sharing)> {
        self.groups
            .values()
            .filter_map(|group| Some((&group.config, &group.router, group.sharing.as_ref()?)))
    }

    pub(super) fn sharing_keys(&self, is_meant: impl Fn(GroupKey) -> bool) -> Vec<GroupKey> {
        let sharing = self
            .groups
            .iter()
            .filter(|(_, group)| group.sharing.is_some());
        let keys = sharing.map(|(key, _)| *key);
        keys.filter(|key| is_meant(*key)).collect()
    }

    /// Those that share load and follow none.
    pub(super) fn leading_keys(&self) -> Vec<GroupKey> {
        self.sharing_keys(|key| self.ties.iter().all(|tie| tie.follower != key))
    }

    fn group_of(&self, id: HandoverId) -> Option<GroupKey> {
        let mut groups = self.groups.iter();
        let found = groups.find(|(_, group)| {
            let sharing = group.sharing.as_ref();
            sharing.is_some_and(|sharing| sharing.knows(id))
        });
        found.map(|(key, _)| *key)
    }

    /// The one way to a group's load sharing: acts on it, and carries out what it then asks for.
    pub(super) fn share<T>(
        &mut self,
        key: GroupKey,
        act: impl FnOnce(&mut Sharing, &mut Numbers) -> T,
    ) -> Option<T> {
        let sharing = self.groups.get_mut(&key)?.sharing.as_mut()?;
        let result = act(sharing, &mut self.numbers);
        self.attend(key);
        Some(result)
    }

    /// Hands a message of load sharing over, and looks who sends an advertisement; whether VRRP is to hear it.
    pub(super) fn shares(
        &mut self,
        at: Moment,
        key: GroupKey,
        message_type: u8,
        received: &Received<'_>,
    ) -> bool {
        let heard = self.share(key, |sharing, numbers| {
            if message_type == TYPE_ADVERTISEMENT {
                return sharing.heeds(received.src);
            }
            sharing.receive(at.now, received, numbers);
            false
        });
        heard.unwrap_or(true)
    }

    /// VRRP has accepted an advertisement.
    pub(super) fn accepted(&mut self, at: Moment, key: GroupKey, by: IpAddr) {
        let Some(group) = self.groups.get(&key) else {
            return;
        };
        let interval = group.router.status().master_interval;
        self.share(key, |sharing, numbers| {
            sharing.advertised(at.now, by, interval, numbers);
        });
    }

    /// Makes a group's load sharing what `config` says.
    pub(super) fn adopt_sharing(
        &mut self,
        at: Moment,
        key: GroupKey,
        config: &GroupConfig,
    ) -> Result<(), ApplyError> {
        let named = |source| sharing_error(config, source);
        let Some(group) = self.groups.get_mut(&key) else {
            return Ok(());
        };
        match (&mut group.sharing, &config.sharing) {
            (None, None) => return Ok(()),
            (Some(sharing), Some(wanted)) if sharing.config().continues_as(wanted) => {
                let adopted = sharing.reconfigure(at.now, wanted.clone(), &mut self.numbers);
                self.attend(key);
                return adopted.map_err(named);
            }
            _ => {}
        }
        let (state, is_master) = (group.router.state(), group.router.is_master());
        let (next, charge) = match &config.sharing {
            None if is_master => (None, Charge::Ours),
            None => (None, Charge::Others),
            Some(wanted) => {
                let boot = self.boots.next();
                let mut sharing =
                    Sharing::new(at.now, wanted.clone(), boot, &mut self.numbers).map_err(named)?;
                sharing.vrrp_changed(at.now, state, None, &mut self.numbers);
                if self.draining {
                    sharing.drain(at.now, &mut self.numbers);
                }
                (Some(sharing), Charge::Shared(wanted.settings.match_on))
            }
        };
        // What the workers have of the moves of the part before is abandoned, as when VRRP takes part no more.
        self.share(key, |before, numbers| {
            before.vrrp_changed(at.now, State::Initialise, None, numbers);
        });
        if let Some(group) = self.groups.get_mut(&key) {
            let before = std::mem::replace(&mut group.sharing, next);
            self.forget_sharing(key, before);
        }
        self.outbox.push(Output::Charge {
            group: key,
            charge: Some(charge),
        });
        self.attend(key);
        Ok(())
    }

    pub(super) fn forget_sharing(&mut self, key: GroupKey, sharing: Option<Sharing>) {
        if let Some(sharing) = sharing {
            sharing.end(&mut self.numbers);
            self.unpublished.remove(&key);
            self.settling.remove(&key);
        }
    }
}

/// The router of a group that has this id or this address.
fn router_named(sharing: &Sharing, name: Ipv4Addr) -> Option<RouterId> {
    let id = RouterId::new(name.to_bits())?;
    let mut members = sharing.routers();
    members.find_map(|(router, address)| {
        (router == id || address == Some(IpAddr::V4(name))).then_some(router)
    })
}

/// What a group's load sharing asks for, as the control loop carries it out.
pub(super) fn output(
    config: &GroupConfig,
    mac: Option<MacAddr>,
    output: sharing::Output,
) -> Option<Output> {
    Some(match output {
        sharing::Output::Transmit(transmit) => {
            let (IpAddr::V4(source), IpAddr::V4(destination)) = (transmit.src, transmit.dst) else {
                return None;
            };
            let vrid = config.protocol.vrid.get();
            let frame = frame::to_group(mac?, vrid, source, destination, &transmit.payload)
                .inspect_err(|error| tracing::error!("a message cannot be sent: {error}"))
                .ok()?;
            Output::Transmit {
                port: config.port,
                frame,
            }
        }
        sharing::Output::HandOver {
            id,
            conditions,
            step,
        } => Output::HandOver {
            id,
            conditions,
            step,
        },
        sharing::Output::Ask(address) => Output::Ask {
            port: config.port,
            address,
        },
        sharing::Output::Question(Question::Neighbour(address)) => Output::Sweep {
            port: config.port,
            address,
        },
        sharing::Output::Question(Question::Everyone {
            identifier,
            sequence,
        }) => Output::RequestInformation {
            port: config.port,
            local: config.local,
            identifier,
            sequence,
        },
        sharing::Output::Vouch(sighting) => Output::Vouch {
            group: config.key(),
            sighting,
        },
        sharing::Output::Prepare(address) => Output::Prepare(address),
        sharing::Output::PrepareGateways => Output::PrepareGateways,
    })
}
