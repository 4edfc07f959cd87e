//! How a command names what is to be handed over: an end system by its address, or the rest.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;

/// What is to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionChoice {
    /// Every end system that is in no table.
    Rest,
    /// The end system at this address.
    Address(Ipv4Addr),
}

/// The word is neither an address nor `rest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("neither an address nor `rest`")]
pub struct ParseConditionError;

impl FromStr for ConditionChoice {
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, ParseConditionError> {
        match text {
            "rest" => Ok(Self::Rest),
            address => address
                .parse()
                .map(Self::Address)
                .map_err(|_| ParseConditionError),
        }
    }
}

impl fmt::Display for ConditionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rest => f.write_str("rest"),
            Self::Address(address) => address.fmt(f),
        }
    }
}
