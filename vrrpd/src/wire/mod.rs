//! VRRP messages as octets: what all of them share (constants, the first octets, the fields of an
//! advertisement). The layouts of version 2 and version 3 have a file each; reasons to refuse are in
//! [`crate::Refusal`]. What a message *means* is decided in [`crate::election`].
//!
//! Every message has a checked view (`parse`), which refuses anything a later access could stumble over, and an
//! `emit`. No input can make either panic.

pub(crate) mod checksum;
pub mod v2;
pub mod v3;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use crate::Refusal;

/// The IP protocol number, and IPv6 next header, of VRRP (RFC 9568 §5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// The TTL or hop limit of every VRRP packet, so that none can come from beyond the link (RFC 9568 §5.1.1.3).
pub const TTL: u8 = 255;

/// Where advertisements over IPv4 go (RFC 9568 §5.1.1.2).
pub const GROUP_IPV4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Where advertisements over IPv6 go (RFC 9568 §5.1.2.2).
pub const GROUP_IPV6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The type of an advertisement, the only one that RFC 3768 and RFC 9568 define.
pub const TYPE_ADVERTISEMENT: u8 = 1;

/// The priority that says "I stop being master" (RFC 9568 §5.2.4).
pub const PRIORITY_STOP: u8 = 0;

/// The priority of the router that owns the virtual addresses (RFC 9568 §5.2.4).
pub const PRIORITY_OWNER: u8 = 255;

/// Octets before the address list, in both versions.
pub const HEADER_LEN: usize = 8;

/// An IP version. Virtual routers of the two are independent of each other, even under one VRID (RFC 9568 §1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of `address`.
    #[must_use]
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// The multicast group of VRRP in this family.
    #[must_use]
    pub const fn group(self) -> IpAddr {
        match self {
            Family::Ipv4 => IpAddr::V4(GROUP_IPV4),
            Family::Ipv6 => IpAddr::V6(GROUP_IPV6),
        }
    }

    /// Octets of one address.
    pub(crate) const fn address_len(self) -> usize {
        match self {
            Family::Ipv4 => 4,
            Family::Ipv6 => 16,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        })
    }
}

/// A virtual router identifier: 1 to 255, unique per port and family (RFC 9568 §5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// The identifier `value`, if it is not 0.
    #[must_use]
    pub const fn new(value: u8) -> Option<Vrid> {
        match NonZeroU8::new(value) {
            Some(value) => Some(Vrid(value)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The virtual MAC address in `family` (RFC 9568 §7.3).
    #[must_use]
    pub const fn virtual_mac(self, family: Family) -> [u8; 6] {
        let family = match family {
            Family::Ipv4 => 1,
            Family::Ipv6 => 2,
        };
        [0x00, 0x00, 0x5e, 0x00, family, self.get()]
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the first two octets say. They are laid out alike in every version and type, so this is what a driver
/// needs to find the virtual router that a message is for, and that router to find who decodes the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version, 2 or 3 in messages that anyone here understands.
    pub version: u8,
    /// The type; [`TYPE_ADVERTISEMENT`] or another.
    pub message_type: u8,
    /// The virtual router identifier, 0 in no valid message.
    pub vrid: u8,
}

impl Header {
    /// Reads the header of `message`, the octets behind the IP header.
    ///
    /// # Errors
    ///
    /// [`Refusal::Length`] if they are fewer than the [`HEADER_LEN`] of the shortest message.
    pub fn parse(message: &[u8]) -> Result<Header, Refusal> {
        let Some([version_and_type, vrid, ..]) = message.first_chunk::<HEADER_LEN>() else {
            return Err(Refusal::Length {
                expected: HEADER_LEN,
                received: message.len(),
            });
        };
        Ok(Header {
            version: version_and_type >> 4,
            message_type: version_and_type & 0x0f,
            vrid: *vrid,
        })
    }
}

/// Checks that `message` is an advertisement of `version`, the first two things that every decoder asks.
pub(crate) fn check_advertisement(message: &[u8], version: u8) -> Result<(), Refusal> {
    let header = Header::parse(message)?;
    if header.version != version {
        return Err(Refusal::Version {
            received: header.version,
        });
    }
    if header.message_type != TYPE_ADVERTISEMENT {
        return Err(Refusal::Type {
            received: header.message_type,
        });
    }
    Ok(())
}

/// What an advertisement of either version says; the input of both `emit`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The virtual router.
    pub vrid: Vrid,
    /// The sender's priority.
    pub priority: u8,
    /// The time between two advertisements; rounded down to what the version can say, and never beyond it.
    pub interval: Duration,
    /// The virtual addresses, at most 255, all of one family.
    pub addresses: &'a [IpAddr],
}

impl Fields<'_> {
    /// How many addresses are written.
    fn count(&self) -> u8 {
        u8::try_from(self.addresses.len()).unwrap_or(u8::MAX)
    }

    /// Appends the address list.
    fn emit_addresses(&self, out: &mut Vec<u8>) {
        for address in self.addresses.iter().take(usize::from(self.count())) {
            match address {
                IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
            }
        }
    }
}

/// The offset of the checksum, in both versions.
const CHECKSUM_OFFSET: usize = 6;

/// Writes `checksum` into `message`.
pub(crate) fn put_checksum(message: &mut [u8], checksum: u16) {
    if let Some(field) = message.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The addresses in `octets`, which hold a whole number of them.
fn addresses(family: Family, octets: &[u8]) -> impl Iterator<Item = IpAddr> + Clone + '_ {
    octets
        .chunks_exact(family.address_len())
        .filter_map(|octets| {
            <[u8; 4]>::try_from(octets)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
                .ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_refused_below_eight_octets() {
        for len in 0..HEADER_LEN {
            assert_eq!(
                Header::parse(&[0x31; HEADER_LEN][..len]),
                Err(Refusal::Length {
                    expected: HEADER_LEN,
                    received: len
                })
            );
        }
        assert_eq!(
            Header::parse(&[0x21, 7, 0, 0, 0, 0, 0, 0]),
            Ok(Header {
                version: 2,
                message_type: 1,
                vrid: 7
            })
        );
    }

    #[test]
    fn virtual_mac_differs_by_family() {
        let vrid = Vrid::new(0x2a).unwrap();
        assert_eq!(vrid.virtual_mac(Family::Ipv4), [0, 0, 0x5e, 0, 1, 0x2a]);
        assert_eq!(vrid.virtual_mac(Family::Ipv6), [0, 0, 0x5e, 0, 2, 0x2a]);
        assert_eq!(Vrid::new(0), None);
    }
}
