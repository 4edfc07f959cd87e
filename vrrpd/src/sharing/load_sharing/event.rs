//! What a router's part in a group asks for, tells and counts.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::Transmit;
use crate::sharing::membership;
use crate::sharing::moves::{Command, Verdict};
use crate::sharing::names::{Condition, Epoch, MoveName, RouterId, Version};
use crate::sharing::review::Decision;
use crate::sharing::wire::{ReviewRequest, Threshold};

/// Something for the driver to do or to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this behind an IP header with TTL or hop limit 255 and DSCP 0, in a frame to the virtual MAC address from the port's own.
    Transmit(Transmit),
    /// Publish these verdicts; nobody waits for it. `None`: the condition is no more, so that the rest decides.
    Verdicts(Vec<(Condition, Option<Verdict>)>),
    /// Have the data plane do this for a move; [`completed`](super::LoadSharing::completed) says that it is done.
    Command {
        /// For which move.
        name: MoveName,
        /// For which packets.
        conditions: Arc<[Condition]>,
        /// What.
        command: Command,
    },
    /// Whatever this router was in charge of is given away, or nobody is there to take it: it can stop.
    Drained,
    /// For the log.
    Event(Event),
}

/// What happened, as far as an operator wants to know. `Display` reads as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something became of another router.
    Member(membership::Event),
    /// This router is about to allocate, and asks the others first how things are.
    Collecting,
    /// This router allocates from now on.
    AuthorityTaken(Epoch),
    /// It does not any more.
    AuthorityEnded,
    /// This router has issued an allocation that changed so many conditions.
    Issued {
        /// Which.
        version: Version,
        /// How many conditions it names.
        conditions: usize,
    },
    /// As the authority: a move is to take place.
    MoveOrdered {
        /// Which.
        name: MoveName,
        /// Of how many conditions.
        conditions: usize,
    },
    /// As the authority: a move is over, and N is in charge.
    MoveFinished(MoveName),
    /// As the authority: a move has come to nothing, and P is in charge.
    MoveReverted(MoveName),
    /// A router has more than it wants, this one included.
    ReviewRequested {
        /// Which router.
        by: RouterId,
        /// Of what, and how much.
        request: ReviewRequest,
    },
    /// As the authority: everyone's load was looked at.
    Reviewed {
        /// What came of it.
        decision: Decision,
        /// How many routers had not answered in full.
        missing: usize,
    },
    /// A master that knows VRRP alone routes everything.
    PlainMaster(IpAddr),
    /// Nothing comes in any more: what this router was in charge of is the others'.
    Deaf,
    /// The routers share the load again.
    Resumed,
    /// This router was away for so long that others have taken over; it starts anew.
    Away(Duration),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Member(event) => event.fmt(f),
            Event::Collecting => f.write_str("asking the others how things are, before allocating"),
            Event::AuthorityTaken(epoch) => write!(f, "allocating from now on, in epoch {epoch}"),
            Event::AuthorityEnded => f.write_str("allocating no more"),
            Event::Issued {
                version,
                conditions,
            } => {
                write!(f, "issued {version}, which names {conditions} conditions")
            }
            Event::MoveOrdered { name, conditions } => {
                write!(f, "{conditions} conditions are to move: {name}")
            }
            Event::MoveFinished(name) => write!(f, "moved: {name}"),
            Event::MoveReverted(name) => write!(f, "not moved: {name}"),
            Event::ReviewRequested { by, request } => {
                let (figure, threshold) = (request.figure, request.threshold);
                match request.passed {
                    Threshold::Rate => {
                        write!(
                            f,
                            "router {by} routes {figure} bit/s, more than {threshold}"
                        )
                    }
                    Threshold::Overflows => write!(
                        f,
                        "router {by} has {figure} overflows a second, more than {threshold}"
                    ),
                }
            }
            Event::Reviewed { decision, missing } => {
                decision.fmt(f)?;
                match missing {
                    0 => Ok(()),
                    missing => write!(f, "; {missing} routers did not answer in full"),
                }
            }
            Event::PlainMaster(address) => {
                write!(f, "master {address} shares no load and routes everything")
            }
            Event::Deaf => f.write_str("hearing nobody any more, leaving everything to the others"),
            Event::Resumed => f.write_str("the routers share the load again"),
            Event::Away(away) => write!(f, "own control loop was away for {away:?}, starting anew"),
        }
    }
}

/// Why an operator's order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MoveError {
    /// Another router allocates, if anyone does.
    #[error("this router does not allocate{}", .authority.map(|router| format!(", router {router} does")).unwrap_or_default())]
    NotAuthority {
        /// Who does, as far as known.
        authority: Option<RouterId>,
    },
    /// It is about to allocate, and does not know yet how things are.
    #[error("this router is still asking the others how things are")]
    Collecting,
    /// Another group decides.
    #[error("this group follows another, which decides for both")]
    Follows,
    /// No such condition.
    #[error("{0} is in no table")]
    UnknownCondition(Condition),
    /// A router that cannot take anything.
    #[error("router {0} is not working")]
    NotWorking(RouterId),
}

/// What happened, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent, by type from 2.
    pub sent: [u64; 7],
    /// Messages taken, by type from 2.
    pub received: [u64; 7],
    /// How often this router began to allocate.
    pub authorities_taken: u64,
    /// Allocations issued.
    pub allocations_issued: u64,
    /// Fragments of allocations sent again, because someone lacked them or for safety.
    pub fragments_repeated: u64,
    /// Moves ordered as the authority.
    pub moves_ordered: u64,
    /// Moves that came to nothing, as the authority.
    pub moves_reverted: u64,
    /// Conditions given to another router without hand-over, because theirs was lost.
    pub conditions_taken_over: u64,
    /// How often this router had more than it wanted, and asked for a review.
    pub reviews_requested: u64,
    /// Collections of everyone's figures begun as the authority.
    pub collections: u64,
    /// Reviews of these figures held as the authority.
    pub reviews: u64,
    /// Reviews that called for another allocation, as the authority.
    pub reallocations: u64,
    /// Messages of the types 6 to 8 that were none of this router's business, or came too late.
    pub reviews_ignored: u64,
    /// End systems taken up as the authority.
    pub end_systems_taken_up: u64,
    /// End systems that were not taken up because there are too many.
    pub end_systems_refused: u64,
    /// Messages and events dropped because the driver did not drain its outputs.
    pub output_overflows: u64,
}
