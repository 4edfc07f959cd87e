//! What an operator decides about a router's part in a group that shares its load, and which decisions make sense.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use crate::sharing::moves;
use crate::sharing::names::{BootId, Mode, RouterId};
use crate::sharing::review;
use crate::sharing::trust::Identity;
use crate::sharing::wire::{Group, Key, MESSAGE_LEN_MAX_LEAST};
use crate::{Family, Time};

/// For how long nothing may be heard of a router before it is forgotten.
pub const MEMBER_AGE_DEFAULT: Duration = Duration::from_secs(3600);

/// What a member of the group is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Forwarding; as VRRP master also the control work, unless a substitution server answers.
    #[default]
    Router,
    /// The control work, and no forwarding: it is in charge of nothing and asks for no verdicts (A14). Its
    /// [`VirtualRouter`](crate::VirtualRouter) is no [candidate](crate::Config::candidate).
    SubstitutionServer,
}

/// The configuration of one router's part in one group.
#[derive(Clone, Debug)]
pub struct Config {
    /// The group.
    pub group: Group,
    /// This router's address on the port (over IPv6 the link-local one).
    pub local: IpAddr,
    /// This router.
    pub router: RouterId,
    /// This life of it: random, drawn anew at every start.
    pub boot: BootId,
    /// The keys accepted, oldest first; [`Key::none`] alone stands for `authentication = "none"`.
    pub keys: Vec<Key>,
    /// Addresses of members that know VRRP alone. While one of them is master, it routes everything.
    pub plain_members: Vec<IpAddr>,
    /// The VRRP priority.
    pub priority: u8,
    /// The time between two advertisements, until [`advertised`](super::LoadSharing::advertised) gives another.
    pub interval: Duration,
    /// What this router is there for.
    pub role: Role,
    /// This router's share relative to the others'; 0 for none. A substitution server has none.
    pub weight: u16,
    /// How conditions change hands while this router is the authority.
    pub mode: Mode,
    /// The patience and the limits of moves.
    pub moves: moves::Config,
    /// The most conditions of one move.
    pub batch_len_max: usize,
    /// End systems known beforehand: the address, and the further router behind which it is.
    pub end_systems: Vec<(IpAddr, Option<IpAddr>)>,
    /// The most end systems, configured ones included.
    pub end_systems_max: usize,
    /// For how long nothing may be seen of one that is not configured.
    pub end_system_age: Duration,
    /// For how long nothing may be heard of a router before it is forgotten.
    pub member_age: Duration,
    /// When the load is looked at, and shared anew.
    pub review: review::Config,
    /// Whether another group decides who gets what: that whose table [`follow`](super::LoadSharing::follow) is given. No end systems are configured then.
    pub follows: bool,
}

impl Config {
    /// The defaults: priority 100, an interval of 1 s, weight 1, sequence mode, 256 conditions a move, no end system configured,
    /// up to 65,536 learned, forgotten after an hour, as routers are.
    #[must_use]
    pub fn new(
        group: Group,
        local: IpAddr,
        router: RouterId,
        boot: BootId,
        keys: Vec<Key>,
    ) -> Config {
        Config {
            group,
            local,
            router,
            boot,
            keys,
            plain_members: Vec::new(),
            priority: 100,
            interval: Duration::from_secs(1),
            role: Role::Router,
            weight: 1,
            mode: Mode::Sequence,
            moves: moves::Config::default(),
            batch_len_max: 256,
            end_systems: Vec::new(),
            end_systems_max: 65_536,
            end_system_age: Duration::from_secs(3600),
            member_age: MEMBER_AGE_DEFAULT,
            review: review::Config::default(),
            follows: false,
        }
    }

    /// Checks that the parts make sense.
    ///
    /// # Errors
    ///
    /// The first mistake found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let family = self.group.family();
        if self.keys.is_empty() {
            return Err(ConfigError::NoKey);
        }
        let ids: BTreeSet<u8> = self.keys.iter().map(Key::id).collect();
        if ids.len() != self.keys.len() {
            return Err(ConfigError::KeyTwice);
        }
        let nodes = self.end_systems.iter().filter_map(|(_, node)| *node);
        let systems = self.end_systems.iter().map(|(address, _)| *address);
        let addresses = [self.local].into_iter().chain(systems).chain(nodes);
        for address in addresses.chain(self.plain_members.iter().copied()) {
            if Family::of(address) != family {
                return Err(ConfigError::Family { address, family });
            }
            if address.is_unspecified() || address.is_multicast() {
                return Err(ConfigError::NotUnicast(address));
            }
        }
        let systems: BTreeSet<IpAddr> =
            self.end_systems.iter().map(|(system, _)| *system).collect();
        if systems.len() != self.end_systems.len() {
            return Err(ConfigError::EndSystemTwice);
        }
        if self.end_systems.len() > self.end_systems_max {
            return Err(ConfigError::EndSystems {
                configured: self.end_systems.len(),
                max: self.end_systems_max,
            });
        }
        if self.follows && !self.end_systems.is_empty() {
            return Err(ConfigError::FollowerEndSystems);
        }
        if self.interval.is_zero() {
            return Err(ConfigError::Interval);
        }
        if self.batch_len_max == 0 || self.moves.active_max == 0 {
            return Err(ConfigError::NoMoves);
        }
        if self.moves.message_len_max < MESSAGE_LEN_MAX_LEAST {
            return Err(ConfigError::MessageLen(self.moves.message_len_max));
        }
        if !self.review.is_sound() {
            return Err(ConfigError::Review);
        }
        Ok(())
    }

    /// Whether it is the same router in the same group as in `other`.
    pub(super) fn is_same_member(&self, other: &Config) -> bool {
        (self.group, self.local, self.router, self.role)
            == (other.group, other.local, other.router, other.role)
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            group: self.group,
            local: self.local,
            router: self.router,
            boot: self.boot,
            keys: self.keys.clone(),
            plain_members: self.plain_members.clone(),
        }
    }

    /// When something that begins `now` is to be looked at again if it takes too long: after the time that an answer takes, or is lost.
    pub(super) fn repeat_at(&self, now: Time) -> Time {
        now + self.moves.repeat
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nothing to authenticate messages with.
    #[error("no key, and authentication is not \"none\" either")]
    NoKey,
    /// Two keys of the same id.
    #[error("two keys have the same id")]
    KeyTwice,
    /// An address of the other family than the group's.
    #[error("{address} is not an {family} address like the group's")]
    Family {
        /// The address.
        address: IpAddr,
        /// The group's family.
        family: Family,
    },
    /// An address that no host can have.
    #[error("{0} is no host's address")]
    NotUnicast(IpAddr),
    /// An end system given twice.
    #[error("an end system is given twice")]
    EndSystemTwice,
    /// More end systems than may be known.
    #[error("{configured} end systems configured, at most {max} are allowed")]
    EndSystems {
        /// How many.
        configured: usize,
        /// How many may be.
        max: usize,
    },
    /// End systems in a group whose conditions are those of another.
    #[error("a group that follows another has the end systems of that one, and none of its own")]
    FollowerEndSystems,
    /// No time between advertisements.
    #[error("the advertisement interval must not be zero")]
    Interval,
    /// Limits that leave no room for a move.
    #[error("moves need room for at least one condition, and for one at a time")]
    NoMoves,
    /// Reviews that would not see what the last one changed, or undo it.
    #[error(
        "reviews need a window, a hold no shorter than that, and a tolerance above 0 and below the difference that calls for reallocation"
    )]
    Review,
    /// Messages too short to say what has to be said.
    #[error("messages of {0} octets are too short, at least {MESSAGE_LEN_MAX_LEAST} are needed")]
    MessageLen(usize),
}
