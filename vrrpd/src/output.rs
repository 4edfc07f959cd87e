//! What a virtual router tells its driver: messages to send, addresses to announce, what happened and why.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Time;

/// Something for the driver to do or to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Tell the link that this virtual address is at the virtual MAC address: a gratuitous ARP broadcast, or an
    /// unsolicited neighbour advertisement to all nodes (RFC 9568 §6.4.2). The master alone is asked to.
    Announce(IpAddr),
    /// The state changed. From now on [`crate::VirtualRouter::is_master`] says who answers for the addresses.
    StateChanged(Transition),
    /// This master fell silent, or has resigned, and this router [may not](crate::Config::candidate) take its place.
    MasterLost {
        /// Its address.
        master: IpAddr,
    },
    /// The driver did not listen for so long that what was heard before says nothing any more.
    Stalled {
        /// How long it was away.
        away: Duration,
    },
}

/// A VRRP message to send behind an IP header of protocol [`PROTOCOL`](crate::wire::PROTOCOL), with a TTL or hop limit of
/// [`TTL`](crate::wire::TTL).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The IP source address. The checksum may count it.
    pub src: IpAddr,
    /// The IP destination address. The checksum may count it.
    pub dst: IpAddr,
    /// The octets behind the IP header.
    pub payload: Vec<u8>,
}

/// The states of RFC 9568 §6.3, which calls the last one Active. `Display` gives the names operators know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Takes no part: stopped, or something essential is missing.
    Initialise,
    /// Watches the master.
    Backup,
    /// Answers for the virtual addresses.
    Master,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Initialise => "initialise",
            State::Backup => "backup",
            State::Master => "master",
        })
    }
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Time,
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {}", self.from, self.to, self.cause)
    }
}

/// Why the state changed. `Display` says it to a person, [`Cause::name`] to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator started the virtual router.
    Started,
    /// The operator stopped it, or the program ends.
    Stopped,
    /// The port's link came up.
    LinkUp,
    /// The port's link went down.
    LinkDown,
    /// Nothing essential fails any more; the condition named was the last.
    TrackHolds(String),
    /// An essential condition fails.
    TrackFails(String),
    /// The configuration changed in a way that needs a new start.
    Reconfigured,
    /// No master was heard for a down interval.
    MasterSilent {
        /// The master heard last, if any was.
        master: Option<IpAddr>,
        /// For how long nothing that counts was heard.
        silent_for: Duration,
    },
    /// The master resigned with priority 0.
    MasterResigned {
        /// Who.
        master: IpAddr,
    },
    /// The master has a lower priority and was not heeded for a down interval (preemption).
    LowerPriorityMaster {
        /// Who.
        master: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Another router advertises a higher priority.
    HigherPriority {
        /// Who.
        router: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Another router advertises the same priority from a higher address.
    HigherAddress {
        /// Who.
        router: IpAddr,
    },
    /// Nobody listened for so long that another router may have taken over.
    Stalled {
        /// How long.
        away: Duration,
    },
}

impl Cause {
    /// A stable name, in kebab case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Cause::Started => "started",
            Cause::Stopped => "stopped",
            Cause::LinkUp => "link-up",
            Cause::LinkDown => "link-down",
            Cause::TrackHolds(_) => "track-holds",
            Cause::TrackFails(_) => "track-fails",
            Cause::Reconfigured => "reconfigured",
            Cause::MasterSilent { .. } => "master-silent",
            Cause::MasterResigned { .. } => "master-resigned",
            Cause::LowerPriorityMaster { .. } => "lower-priority-master",
            Cause::HigherPriority { .. } => "higher-priority",
            Cause::HigherAddress { .. } => "higher-address",
            Cause::Stalled { .. } => "stalled",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Started => f.write_str("started"),
            Cause::Stopped => f.write_str("stopped"),
            Cause::LinkUp => f.write_str("link up"),
            Cause::LinkDown => f.write_str("link down"),
            Cause::TrackHolds(name) => write!(f, "{name} holds again"),
            Cause::TrackFails(name) => write!(f, "{name} fails"),
            Cause::Reconfigured => f.write_str("reconfigured"),
            Cause::MasterSilent {
                master: Some(master),
                silent_for,
            } => {
                write!(f, "nothing from master {master} for {silent_for:?}")
            }
            Cause::MasterSilent {
                master: None,
                silent_for,
            } => write!(f, "no master heard for {silent_for:?}"),
            Cause::MasterResigned { master } => write!(f, "master {master} resigned"),
            Cause::LowerPriorityMaster { master, priority } => {
                write!(f, "master {master} has only priority {priority}")
            }
            Cause::HigherPriority { router, priority } => {
                write!(f, "{router} has priority {priority}")
            }
            Cause::HigherAddress { router } => {
                write!(f, "{router} has the same priority and a higher address")
            }
            Cause::Stalled { away } => write!(f, "this router itself was away for {away:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_reads_as_a_sentence() {
        let transition = Transition {
            at: Time::ZERO,
            from: State::Backup,
            to: State::Master,
            cause: Cause::MasterSilent {
                master: Some([192, 0, 2, 1].into()),
                silent_for: Duration::from_millis(3609),
            },
        };
        assert_eq!(
            transition.to_string(),
            "backup to master: nothing from master 192.0.2.1 for 3.609s"
        );
        assert_eq!(transition.cause.name(), "master-silent");
    }
}
