//! The advertisement of VRRP version 3 (RFC 9568 §5.2), over IPv4 and IPv6, and its two checksums.
//! Version 2 is next door.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |   3   |   1   |     VRID      |   Priority    |     Count     |
//! +-------+-------+---------------+---------------+---------------+
//! | Rsvd  |    Interval (cs)      |           Checksum            |
//! +-------+-----------------------+-------------------------------+
//! |              IPv4 or IPv6 address × Count                     |
//! +---------------------------------------------------------------+
//! ```
//!
//! # Which checksum over IPv4
//!
//! RFC 5798 could be read both ways; RFC 9568 §5.2.8 settles that the pseudo-header counts over IPv6 and not over IPv4.
//! keepalived and Wireshark, among others, had settled on counting it over both. So a receiver takes either, and
//! remembers which it was.

use std::net::IpAddr;
use std::time::Duration;

use super::checksum::Sum;
use super::{
    Family, Fields, HEADER_LEN, TYPE_ADVERTISEMENT, addresses, check_advertisement, put_checksum,
};
use crate::Refusal;

/// The version number.
pub const VERSION: u8 = 3;

/// The greatest interval that the 12 bits can say: 40.95 s.
pub const INTERVAL_MAX_CENTISECONDS: u16 = 0x0fff;

/// Whether a checksum counts the pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PseudoHeader {
    /// It does: always over IPv6, and over IPv4 in what keepalived sends.
    With,
    /// It does not: RFC 9568 over IPv4.
    Without,
}

/// A received advertisement whose version, type, length and checksum are right.
#[derive(Clone, Copy, Debug)]
pub struct Advertisement<'a> {
    header: &'a [u8; HEADER_LEN],
    addresses: &'a [u8],
    family: Family,
    pseudo_header: PseudoHeader,
}

impl<'a> Advertisement<'a> {
    /// The view of `message`, the octets behind the IP header of a packet from `src` to `dst`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Version`], [`Refusal::Type`], [`Refusal::Length`] unless the length is exactly what the address
    /// count asks for, [`Refusal::Checksum`]; checked in this order.
    pub fn parse(
        message: &'a [u8],
        src: IpAddr,
        dst: IpAddr,
    ) -> Result<Advertisement<'a>, Refusal> {
        check_advertisement(message, VERSION)?;
        let too_short = Refusal::Length {
            expected: HEADER_LEN,
            received: message.len(),
        };
        let (header, addresses) = message.split_first_chunk::<HEADER_LEN>().ok_or(too_short)?;

        let family = Family::of(src);
        let addresses_len = usize::from(header[3]) * family.address_len();
        if addresses.len() != addresses_len {
            return Err(Refusal::Length {
                expected: HEADER_LEN + addresses_len,
                received: message.len(),
            });
        }
        let sum = Sum::default().add(message);
        let pseudo_header = if sum.add_pseudo_header(src, dst, message.len()).is_intact() {
            PseudoHeader::With
        } else if family == Family::Ipv4 && sum.is_intact() {
            PseudoHeader::Without
        } else {
            return Err(Refusal::Checksum);
        };
        Ok(Advertisement {
            header,
            addresses,
            family,
            pseudo_header,
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

    /// The time between two advertisements of the sender. The four reserved bits beside it are ignored.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let centiseconds =
            u16::from_be_bytes([self.header[4], self.header[5]]) & INTERVAL_MAX_CENTISECONDS;
        Duration::from_millis(u64::from(centiseconds) * 10)
    }

    /// The virtual addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + Clone + 'a {
        addresses(self.family, self.addresses)
    }

    /// How the sender computes its checksum.
    #[must_use]
    pub fn pseudo_header(&self) -> PseudoHeader {
        self.pseudo_header
    }
}

/// The octets of an advertisement, to go behind the IP header of a packet from `src` to `dst`. Over IPv6 the checksum
/// counts the pseudo-header whatever `pseudo_header` says.
#[must_use]
pub fn emit(fields: &Fields<'_>, src: IpAddr, dst: IpAddr, pseudo_header: PseudoHeader) -> Vec<u8> {
    let family = Family::of(dst);
    let centiseconds = u16::try_from(fields.interval.as_millis() / 10)
        .unwrap_or(u16::MAX)
        .min(INTERVAL_MAX_CENTISECONDS);
    let [interval_high, interval_low] = centiseconds.to_be_bytes();
    let mut message =
        Vec::with_capacity(HEADER_LEN + usize::from(fields.count()) * family.address_len());
    message.extend_from_slice(&[
        VERSION << 4 | TYPE_ADVERTISEMENT,
        fields.vrid.get(),
        fields.priority,
        fields.count(),
        interval_high,
        interval_low,
        0,
        0,
    ]);
    fields.emit_addresses(&mut message);
    let mut sum = Sum::default().add(&message);
    if family == Family::Ipv6 || pseudo_header == PseudoHeader::With {
        sum = sum.add_pseudo_header(src, dst, message.len());
    }
    put_checksum(&mut message, sum.checksum());
    message
}

#[cfg(test)]
mod tests;
