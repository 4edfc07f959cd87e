//! The advertisement of VRRP version 2 (RFC 3768 §5), IPv4 only, with the authentication data that it
//! inherited from RFC 2338. Version 3 is next door.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |   2   |   1   |     VRID      |   Priority    |     Count     |
//! +-------+-------+---------------+---------------+---------------+
//! |   Auth Type   | Interval (s)  |           Checksum            |
//! +---------------+---------------+-------------------------------+
//! |                    IPv4 address × Count                       |
//! +---------------------------------------------------------------+
//! |                 Authentication data, 8 octets                 |
//! |                                                               |
//! +---------------------------------------------------------------+
//! ```

use std::net::IpAddr;
use std::time::Duration;

use super::checksum::Sum;
use super::{
    Family, Fields, HEADER_LEN, TYPE_ADVERTISEMENT, addresses, check_advertisement, put_checksum,
};
use crate::Refusal;

/// The version number.
pub const VERSION: u8 = 2;

/// Octets of authentication data; they are there whatever the authentication type.
pub const AUTHENTICATION_LEN: usize = 8;

/// Authentication type 0: none (RFC 3768 §5.3.6).
pub const AUTHENTICATION_NONE: u8 = 0;

/// Authentication type 1: a password in clear text (RFC 2338 §5.3.6).
pub const AUTHENTICATION_TEXT: u8 = 1;

/// Authentication type 2: an IPsec authentication header (RFC 2338 §5.3.6), known by name only.
pub const AUTHENTICATION_HEADER: u8 = 2;

/// How the members of a version 2 group prove themselves to each other.
///
/// RFC 3768 abolished everything but `None`; a clear-text password never protected against more than a mistake in
/// the configuration. It is kept for peers that insist on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Type 0.
    None,
    /// Type 1, the password padded with zeros.
    Text([u8; AUTHENTICATION_LEN]),
}

impl Authentication {
    /// Type 1 with `password`, cut after eight octets as every implementation does.
    #[must_use]
    pub fn text(password: &str) -> Authentication {
        let mut data = [0; AUTHENTICATION_LEN];
        for (octet, from) in data.iter_mut().zip(password.bytes()) {
            *octet = from;
        }
        Authentication::Text(data)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn authentication_type(&self) -> u8 {
        match self {
            Authentication::None => AUTHENTICATION_NONE,
            Authentication::Text(_) => AUTHENTICATION_TEXT,
        }
    }

    const fn data(&self) -> [u8; AUTHENTICATION_LEN] {
        match self {
            Authentication::None => [0; AUTHENTICATION_LEN],
            Authentication::Text(data) => *data,
        }
    }
}

impl std::fmt::Debug for Authentication {
    /// Does not show the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Authentication::None => "None",
            Authentication::Text(_) => "Text(…)",
        })
    }
}

/// A received advertisement whose version, type, length and checksum are right.
#[derive(Clone, Copy, Debug)]
pub struct Advertisement<'a> {
    header: &'a [u8; HEADER_LEN],
    addresses: &'a [u8],
    authentication: &'a [u8; AUTHENTICATION_LEN],
}

impl<'a> Advertisement<'a> {
    /// The view of `message`, the octets behind the IP header.
    ///
    /// # Errors
    ///
    /// [`Refusal::Version`], [`Refusal::Type`], [`Refusal::Length`] unless the length is exactly what the address
    /// count asks for, [`Refusal::Checksum`]; checked in this order.
    pub fn parse(message: &'a [u8]) -> Result<Advertisement<'a>, Refusal> {
        check_advertisement(message, VERSION)?;
        let too_short = Refusal::Length {
            expected: HEADER_LEN + AUTHENTICATION_LEN,
            received: message.len(),
        };
        let (header, rest) = message.split_first_chunk::<HEADER_LEN>().ok_or(too_short)?;
        let (addresses, authentication) = rest
            .split_last_chunk::<AUTHENTICATION_LEN>()
            .ok_or(too_short)?;

        let addresses_len = usize::from(header[3]) * Family::Ipv4.address_len();
        if addresses.len() != addresses_len {
            let expected = HEADER_LEN + addresses_len + AUTHENTICATION_LEN;
            return Err(Refusal::Length {
                expected,
                received: message.len(),
            });
        }
        if !Sum::default().add(message).is_intact() {
            return Err(Refusal::Checksum);
        }
        Ok(Advertisement {
            header,
            addresses,
            authentication,
        })
    }

    /// The virtual router identifier.
    #[must_use]
    pub fn vrid(&self) -> u8 {
        self.header[1]
    }

    /// The sender's priority.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.header[2]
    }

    /// The authentication type.
    #[must_use]
    pub fn authentication_type(&self) -> u8 {
        self.header[4]
    }

    /// The time between two advertisements of the sender.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.header[5]))
    }

    /// The virtual addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + Clone + 'a {
        addresses(Family::Ipv4, self.addresses)
    }

    /// Checks that the sender authenticates itself as `expected`.
    ///
    /// # Errors
    ///
    /// [`Refusal::AuthenticationType`] for a type that no RFC knows, [`Refusal::AuthenticationMismatch`] for
    /// another than the expected one, [`Refusal::Password`] for the wrong password.
    pub fn authenticate(&self, expected: &Authentication) -> Result<(), Refusal> {
        let received = self.authentication_type();
        if received > AUTHENTICATION_HEADER {
            return Err(Refusal::AuthenticationType { received });
        }
        if received != expected.authentication_type() {
            return Err(Refusal::AuthenticationMismatch {
                expected: expected.authentication_type(),
                received,
            });
        }
        match expected {
            Authentication::None => Ok(()),
            Authentication::Text(password) => {
                // Every octet is compared, so that the time taken tells nothing about a matching prefix.
                let differing = password
                    .iter()
                    .zip(self.authentication)
                    .fold(0, |bits, (a, b)| bits | (a ^ b));
                if differing == 0 {
                    Ok(())
                } else {
                    Err(Refusal::Password)
                }
            }
        }
    }
}

/// The octets of an advertisement, to go behind an IPv4 header.
#[must_use]
pub fn emit(fields: &Fields<'_>, authentication: &Authentication) -> Vec<u8> {
    let interval_seconds = u8::try_from(fields.interval.as_secs()).unwrap_or(u8::MAX);
    let len =
        HEADER_LEN + usize::from(fields.count()) * Family::Ipv4.address_len() + AUTHENTICATION_LEN;
    let mut message = Vec::with_capacity(len);
    message.extend_from_slice(&[
        VERSION << 4 | TYPE_ADVERTISEMENT,
        fields.vrid.get(),
        fields.priority,
        fields.count(),
        authentication.authentication_type(),
        interval_seconds,
        0,
        0,
    ]);
    fields.emit_addresses(&mut message);
    message.extend_from_slice(&authentication.data());
    let checksum = Sum::default().add(&message).checksum();
    put_checksum(&mut message, checksum);
    message
}

#[cfg(test)]
mod tests;
