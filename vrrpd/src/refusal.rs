//! Why a received message is refused, and under which counter; nothing else happens on a refusal. And what of an accepted one
//! an operator should look at.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use crate::counters::Counters;

/// Why a message was refused. Each reason has its counter in [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// The packet may have come from beyond the link.
    #[error("TTL or hop limit {received} below {required}")]
    Ttl {
        /// What the IP header said.
        received: u8,
        /// The least that is accepted, 255 unless configured otherwise for unicast peers.
        required: u8,
    },
    /// Another version than the configured one.
    #[error("version {received}")]
    Version {
        /// What the message said.
        received: u8,
    },
    /// A type that this router does not know.
    #[error("message type {received}")]
    Type {
        /// What the message said.
        received: u8,
    },
    /// Shorter or longer than its own address count says.
    #[error("length {received}, expected {expected}")]
    Length {
        /// The right number of octets.
        expected: usize,
        /// The number received.
        received: usize,
    },
    /// Neither way of computing the checksum confirms it.
    #[error("wrong checksum")]
    Checksum,
    /// Meant for another virtual router, by number or by address family.
    #[error("virtual router {received} is not configured here")]
    Vrid {
        /// What the message said.
        received: u8,
    },
    /// An interval of zero (RFC 9568 §7.1), or in version 2 another than the configured one (RFC 3768 §7.1).
    #[error("advertisement interval {received:?}")]
    Interval {
        /// What the message said.
        received: Duration,
    },
    /// A list of addresses other than the configured one (RFC 3768 §7.1).
    #[error("address list differs from the configured one")]
    AddressList,
    /// An authentication type that no RFC defines.
    #[error("authentication type {received} does not exist")]
    AuthenticationType {
        /// What the message said.
        received: u8,
    },
    /// Another authentication type than the configured one.
    #[error("authentication type {received}, expected {expected}")]
    AuthenticationMismatch {
        /// What is configured.
        expected: u8,
        /// What the message said.
        received: u8,
    },
    /// The wrong password.
    #[error("wrong password")]
    Password,
    /// Sent to an address where this group does not expect advertisements: unicast in a multicast group or
    /// the reverse.
    #[error("unexpected destination address")]
    Destination,
    /// From this router's own address: a frame looped back, or an address given out twice.
    #[error("sent from this router's own address")]
    OwnSource,
    /// From an address that is not among the configured unicast peers.
    #[error("sender is not a configured peer")]
    UnknownPeer,
}

impl Refusal {
    /// The counter of this reason.
    pub(crate) fn counter(self, counters: &mut Counters) -> &mut u64 {
        match self {
            Refusal::Ttl { .. } => &mut counters.ip_ttl_errors,
            Refusal::Version { .. } => &mut counters.version_errors,
            Refusal::Type { .. } => &mut counters.invalid_type_pkts_rcvd,
            Refusal::Length { .. } => &mut counters.packet_length_errors,
            Refusal::Checksum => &mut counters.checksum_errors,
            Refusal::Vrid { .. } => &mut counters.vrid_errors,
            Refusal::Interval { .. } => &mut counters.interval_errors,
            Refusal::AddressList => &mut counters.address_list_errors,
            Refusal::AuthenticationType { .. } => &mut counters.invalid_auth_type,
            Refusal::AuthenticationMismatch { .. } => &mut counters.auth_type_mismatch,
            Refusal::Password => &mut counters.auth_failures,
            Refusal::Destination => &mut counters.destination_errors,
            Refusal::OwnSource => &mut counters.own_source_pkts_rcvd,
            Refusal::UnknownPeer => &mut counters.unknown_peer_pkts_rcvd,
        }
    }
}

/// In what an advertisement that is accepted differs from the configuration here: the standard lets it pass, and yet somebody has
/// most likely made a mistake. Each has its counter in [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Mismatch {
    /// Two routers believe that the virtual addresses are their own (RFC 9568 §7.1).
    #[error("{router} has priority 255 as well, which is for the one owner of the addresses")]
    Owner {
        /// The other one.
        router: IpAddr,
    },
    /// Another list of addresses, from which version 3 does not protect (RFC 9568 §7.1); some peers refuse what is sent here then.
    #[error("{router} lists other virtual addresses than those configured here")]
    AddressList {
        /// Whose list.
        router: IpAddr,
    },
    /// Another interval, which version 3 follows (RFC 9568 §6.4.2).
    #[error("{router} advertises every {received:?}, here {configured:?} is configured")]
    Interval {
        /// Whose interval.
        router: IpAddr,
        /// What it says.
        received: Duration,
        /// What is configured.
        configured: Duration,
    },
}
