//! Finding a group's end systems (A18): who is asked whether it is there, whose packets are taken as a sign, and which answers count.
//!
//! | file | what lives there |
//! |---|---|
//! | this one | `Finding`: when there is reason for it, and for whom |
//! | `discovery.rs` | rounds in which everyone on the link is asked |
//! | `learning.rs` | whom packets were seen of, and whether that may be believed |

mod discovery;
mod learning;

use std::net::{IpAddr, Ipv4Addr};

use dataplane::addr::MacAddr;
use vrrpd::Time;
use vrrpd::sharing::LoadSharing;
use vrrpd::sharing::names::{Condition, MemberState, RouterId};

use super::{Output, SharingConfig};

pub(in crate::control::vrrp) use discovery::Question;
pub use learning::Sighting;

use discovery::Discovery;
use learning::Learning;

/// How often it is looked who has not been seen, in the time after which an end system is forgotten.
const LOOKS: u32 = 8;

/// For how many advertisement intervals an authority waits before it looks for end systems: so long that it knows the other routers, which
/// are none.
const INTERVALS_BEFORE_DISCOVERY: u32 = 4;

/// Whom a router asks at a time that doubts its hearing.
const PROBES: usize = 4;

/// What makes an authority share the load anew.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reasons {
    /// How often rates were collected.
    collections: u64,
    /// The routers and their states.
    routers: Vec<(RouterId, MemberState)>,
}

/// How one group's end systems are found.
#[derive(Debug)]
pub(super) struct Finding {
    learning: Learning<Ipv4Addr>,
    /// The same for those behind further routers.
    behind: Learning<Sighting>,
    /// Packets that did not come from the further router behind which they claim to begin.
    strays: u64,
    discovery: Discovery,
    /// What a reallocation follows from, as it was when end systems were looked for last.
    reasons: Reasons,
    /// When it is looked next who has not been seen for long.
    next_look: Time,
    /// Whom this router asks to learn whether it hears anybody.
    probes: Vec<Ipv4Addr>,
    /// When it may ask so again, and how many it has asked.
    next_probe: Time,
    probed: usize,
}

impl Finding {
    /// Nobody has been seen or asked yet. `identifier` is random.
    pub(super) fn new(now: Time, config: &SharingConfig, identifier: u16) -> Self {
        let ways = &config.settings.discovery;
        Self {
            learning: Learning::new(ways.learn_rate),
            behind: Learning::new(ways.learn_rate),
            strays: 0,
            discovery: Discovery::new(ways, config.connected, identifier),
            reasons: Reasons::default(),
            next_look: now,
            probes: Vec::new(),
            next_probe: now,
            probed: 0,
        }
    }

    /// Takes another configuration.
    pub(super) fn set(&mut self, config: &SharingConfig) {
        let ways = &config.settings.discovery;
        self.learning.set_rate(ways.learn_rate);
        self.behind.set_rate(ways.learn_rate);
        self.discovery.set(ways);
    }

    /// A packet was seen of an end system that is in no table. `node` is the further router on this link that packets to it go to, and `from` the
    /// link address that it came from.
    pub(super) fn packet_seen(
        &mut self,
        config: &SharingConfig,
        address: Ipv4Addr,
        node: Option<Ipv4Addr>,
        from: MacAddr,
    ) {
        let is_router = |address| config.routers.contains(&address);
        if config.connected.contains(address) {
            if config.learns() && !is_router(address) {
                self.learning.seen(address);
            }
        } else if let Some(node) = node
            && config.learns_behind()
            && !is_router(node)
        {
            self.behind.seen(Sighting {
                address,
                node,
                from,
            });
        }
    }

    /// What was asked of a further router is known: whether the packet came from it. Whether the end system behind it is to be believed in.
    pub(super) fn vouched(&mut self, sighting: Sighting, is_its: bool) -> bool {
        let asked = self.behind.answered(sighting);
        self.strays += u64::from(asked && !is_its);
        asked && is_its
    }

    /// A neighbour on the link has answered that it is there; whether it had been asked.
    pub(super) fn answered(&mut self, now: Time, address: Ipv4Addr) -> bool {
        self.behind.again(|sighting| sighting.node == address);
        let learned = self.learning.answered(address);
        self.discovery.answered(now, address) || learned
    }

    /// Someone on the link replied to an information request with these numbers; whether they are those of the last one.
    pub(super) fn informed(
        &mut self,
        now: Time,
        from: Ipv4Addr,
        (identifier, sequence): (u16, u16),
    ) -> bool {
        self.discovery.informed(now, from, identifier, sequence)
    }

    /// Lets due timers act, at the router whose part this is.
    pub(super) fn tick(&mut self, now: Time, config: &SharingConfig, part: &LoadSharing) {
        if now >= self.next_look {
            self.next_look = now + config.settings.end_system_age / LOOKS;
            self.ask_again(now, config, part);
        }
        self.look_for_end_systems(now, config, part);
        self.probe(now, config, part);
    }

    /// Asks some who should be on the link, if so little is heard that none of them may be.
    fn probe(&mut self, now: Time, config: &SharingConfig, part: &LoadSharing) {
        if now < self.next_probe || !part.doubts_its_hearing() {
            return;
        }
        self.next_probe = now + part.config().interval / 2;
        let rows = part.table().rows();
        let on_link = rows.filter_map(|(condition, row)| match (row.node, condition) {
            (Some(IpAddr::V4(node)), _) => Some(node),
            (None, Condition::Address(IpAddr::V4(address))) => Some(address),
            _ => None,
        });
        let known: Vec<Ipv4Addr> = on_link
            .filter(|address| config.connected.contains(*address))
            .collect();
        let some = known.iter().cycle().skip(self.probed % known.len().max(1));
        self.probes = some.take(PROBES.min(known.len())).copied().collect();
        self.probed = self.probed.wrapping_add(self.probes.len());
    }

    /// Asks those on the link that have not been seen for half of the time after which they are forgotten.
    fn ask_again(&mut self, now: Time, config: &SharingConfig, part: &LoadSharing) {
        if !part.is_authority() {
            return;
        }
        let patience = config.settings.end_system_age / 2;
        for (condition, row) in part.table().rows() {
            if let Condition::Address(IpAddr::V4(address)) = condition
                && row.node.is_none()
                && now.since(row.seen_at) >= patience
            {
                self.learning.seen(address);
            }
        }
    }

    /// Has a round held if this router allocates and something new may make it do so: rates being collected, or other routers.
    fn look_for_end_systems(&mut self, now: Time, config: &SharingConfig, part: &LoadSharing) {
        let is_asked = part.is_authority() && config.is_at_end_systems();
        let delay = part.config().interval * INTERVALS_BEFORE_DISCOVERY;
        self.discovery.set_active(now, is_asked, delay);
        let members = part.table().members();
        let reasons = Reasons {
            collections: part.counters().collections,
            routers: members
                .map(|member| (member.router, member.state))
                .collect(),
        };
        if is_asked && reasons != self.reasons {
            self.reasons = reasons;
            if self.discovery.counters().rounds > 0 {
                self.discovery.want(now);
            }
        }
    }

    /// Who may be asked now, one after the other.
    pub(super) fn next(&mut self, now: Time, config: &SharingConfig) -> Option<Output> {
        if let Some(address) = self.probes.pop() {
            return Some(Output::Question(Question::Neighbour(address)));
        }
        let is_router = |address| config.routers.contains(&address);
        while let Some(question) = self.discovery.next(now) {
            if !matches!(question, Question::Neighbour(address) if is_router(address)) {
                return Some(Output::Question(question));
            }
        }
        let seen = self.learning.next(now).map(Output::Ask);
        seen.or_else(|| self.behind.next(now).map(Output::Vouch))
    }

    /// When there is something to do again.
    pub(super) fn timeout(&self) -> Time {
        let others = [
            self.learning.timeout(),
            self.behind.timeout(),
            self.discovery.timeout(),
        ];
        let others = others.into_iter().flatten();
        others
            .chain([self.next_look])
            .min()
            .unwrap_or(self.next_look)
    }

    /// What was asked and answered, by name.
    pub(super) fn counters(&self) -> [(&'static str, u64); 7] {
        let rounds = self.discovery.counters();
        [
            (
                "learning-overflows",
                self.learning.overflows() + self.behind.overflows(),
            ),
            ("learning-strays", self.strays),
            ("discovery-rounds", rounds.rounds),
            ("sweep-requests-sent", rounds.sweep_requests),
            ("sweep-replies-rcvd", rounds.sweep_replies),
            ("information-requests-sent", rounds.information_requests),
            ("information-replies-rcvd", rounds.information_replies),
        ]
    }
}
