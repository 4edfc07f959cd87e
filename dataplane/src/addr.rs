//! Link and network addresses as operators write them: `MacAddr` and `Ipv4Prefix`.
//! What a header looks like on the wire lives in `wire/`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;

/// An Ethernet address, in the order of its octets on the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// `00:00:00:00:00:00`, which no station may use.
    pub const ZERO: Self = Self([0; 6]);

    /// The virtual MAC of an IPv4 virtual router: `00:00:5e:00:01:VRID` (RFC 9568 section 7.3).
    #[must_use]
    pub const fn virtual_v4(vrid: u8) -> Self {
        Self([0x00, 0x00, 0x5e, 0x00, 0x01, vrid])
    }

    /// The virtual MAC of an IPv6 virtual router: `00:00:5e:00:02:VRID` (RFC 9568 section 7.3).
    #[must_use]
    pub const fn virtual_v6(vrid: u8) -> Self {
        Self([0x00, 0x00, 0x5e, 0x00, 0x02, vrid])
    }

    /// The VRID, if this is the virtual MAC of an IPv4 virtual router.
    #[must_use]
    pub const fn vrid_v4(self) -> Option<u8> {
        match self.0 {
            [0x00, 0x00, 0x5e, 0x00, 0x01, vrid] => Some(vrid),
            _ => None,
        }
    }

    /// The Ethernet address that carries an IPv4 multicast group: `01:00:5e` and the group's low 23 bits
    /// (RFC 1112 section 6.4).
    #[must_use]
    pub const fn multicast_v4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// Whether the group bit is set; true of the broadcast address too.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether every bit is set.
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        matches!(self.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }

    /// Whether a station may have this address: neither zero nor a group.
    #[must_use]
    pub const fn is_station(self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an Ethernet address is six octets in hexadecimal, as in 02:00:5e:10:00:01")]
pub struct ParseMacError;

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(ParseMacError)?;
            let plain =
                matches!(part.len(), 1 | 2) && part.bytes().all(|digit| digit.is_ascii_hexdigit());
            if !plain {
                return Err(ParseMacError);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| ParseMacError)?;
        }
        match parts.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(ParseMacError),
        }
    }
}

/// An IPv4 address and the length of its network prefix, as in `192.0.2.1/24`.
///
/// The host bits are kept, because an interface's address is written in the same way; [`Ipv4Prefix::network`]
/// clears them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv4Prefix {
    addr: Ipv4Addr,
    len: u8,
}

impl Ipv4Prefix {
    /// `0.0.0.0/0`, which contains every address.
    pub const DEFAULT: Self = Self {
        addr: Ipv4Addr::UNSPECIFIED,
        len: 0,
    };

    /// # Errors
    /// `len` is above 32.
    pub const fn new(addr: Ipv4Addr, len: u8) -> Result<Self, ParsePrefixError> {
        if len > 32 {
            return Err(ParsePrefixError::Length);
        }
        Ok(Self { addr, len })
    }

    /// The prefix that holds one address alone.
    #[must_use]
    pub const fn host(addr: Ipv4Addr) -> Self {
        Self { addr, len: 32 }
    }

    /// The address as written, host bits included.
    #[must_use]
    pub const fn addr(self) -> Ipv4Addr {
        self.addr
    }

    /// The number of network bits, 0 to 32.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "the field's word for the number of network bits"
    )]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// The network bits as a mask, in host order.
    #[must_use]
    pub const fn mask(self) -> u32 {
        match self.len {
            0 => 0,
            len => u32::MAX << (32 - len as u32),
        }
    }

    /// The first address of the network.
    #[must_use]
    pub const fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addr.to_bits() & self.mask())
    }

    /// The last address of the network; its broadcast address where there is one (not in a /31 or /32, RFC 3021).
    #[must_use]
    pub const fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addr.to_bits() | !self.mask())
    }

    /// The same network with its host bits cleared.
    #[must_use]
    pub const fn masked(self) -> Self {
        Self {
            addr: self.network(),
            len: self.len,
        }
    }

    /// Whether `addr` lies in the network.
    #[must_use]
    pub const fn contains(self, addr: Ipv4Addr) -> bool {
        (addr.to_bits() ^ self.addr.to_bits()) & self.mask() == 0
    }

    /// The number of addresses in the network, the first and the last included.
    #[must_use]
    pub const fn size(self) -> u64 {
        1 << (32 - self.len as u32)
    }
}

impl fmt::Display for Ipv4Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl fmt::Debug for Ipv4Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text or a pair is no IPv4 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParsePrefixError {
    /// There is no `/`.
    #[error("a prefix is an address and a length, as in 192.0.2.0/24")]
    Slash,
    /// What stands before the `/` is no IPv4 address.
    #[error("what stands before the / is no IPv4 address")]
    Address,
    /// What stands behind the `/` is no number from 0 to 32.
    #[error("the length of a prefix is a number from 0 to 32")]
    Length,
}

impl FromStr for Ipv4Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, ParsePrefixError> {
        let (addr, len) = text.split_once('/').ok_or(ParsePrefixError::Slash)?;
        let addr = addr.parse().map_err(|_| ParsePrefixError::Address)?;
        if len.is_empty() || !len.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(ParsePrefixError::Length);
        }
        Self::new(addr, len.parse().map_err(|_| ParsePrefixError::Length)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_reads_back_as_written() {
        for text in [
            "00:00:5e:00:01:07",
            "ff:ff:ff:ff:ff:ff",
            "02:a0:0b:1c:d2:3e",
        ] {
            assert_eq!(text.parse::<MacAddr>().unwrap().to_string(), text);
        }
        assert_eq!(
            "2:0:0:0:0:1".parse::<MacAddr>().unwrap(),
            MacAddr([2, 0, 0, 0, 0, 1])
        );
    }

    #[test]
    fn what_is_no_mac_address_is_refused() {
        for text in [
            "",
            "1:2:3:4:5",
            "1:2:3:4:5:6:7",
            "00:00:00:00:00:0g",
            "+1:0:0:0:0:0",
            "000:0:0:0:0:0",
            ":::::",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(ParseMacError), "{text:?}");
        }
    }

    #[test]
    fn a_virtual_mac_tells_its_vrid() {
        assert_eq!(MacAddr::virtual_v4(7).to_string(), "00:00:5e:00:01:07");
        assert_eq!(MacAddr::virtual_v4(255).vrid_v4(), Some(255));
        assert_eq!(MacAddr::virtual_v6(255).vrid_v4(), None);
        assert_eq!(
            MacAddr::multicast_v4(Ipv4Addr::new(224, 0, 0, 18)).to_string(),
            "01:00:5e:00:00:12"
        );
    }

    #[test]
    fn a_prefix_knows_its_network_and_its_last_address() {
        let prefix: Ipv4Prefix = "192.0.2.77/26".parse().unwrap();
        assert_eq!(prefix.to_string(), "192.0.2.77/26");
        assert_eq!(prefix.network(), Ipv4Addr::new(192, 0, 2, 64));
        assert_eq!(prefix.broadcast(), Ipv4Addr::new(192, 0, 2, 127));
        assert_eq!(prefix.size(), 64);
        assert!(prefix.contains(Ipv4Addr::new(192, 0, 2, 65)));
        assert!(!prefix.contains(Ipv4Addr::new(192, 0, 2, 128)));
        assert!(Ipv4Prefix::DEFAULT.contains(Ipv4Addr::BROADCAST));
        assert!(!Ipv4Prefix::host(Ipv4Addr::LOCALHOST).contains(Ipv4Addr::UNSPECIFIED));
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_its_reason() {
        for (text, reason) in [
            ("192.0.2.1", ParsePrefixError::Slash),
            ("192.0.2/24", ParsePrefixError::Address),
            ("192.0.2.1/33", ParsePrefixError::Length),
            ("192.0.2.1/", ParsePrefixError::Length),
            ("192.0.2.1/+4", ParsePrefixError::Length),
            ("192.0.2.1/999", ParsePrefixError::Length),
        ] {
            assert_eq!(text.parse::<Ipv4Prefix>(), Err(reason), "{text:?}");
        }
    }
}
