//! A message of the extension made valid, as `docs/protocol.md` has it and not as `vrrpd` writes it, so that what is behind checksum and code is
//! reached, and so that document and program are held against each other.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Octets before the body.
pub(crate) const HEAD_LEN: usize = 48;
/// Octets behind it.
pub(crate) const CODE_LEN: usize = 16;
/// The group of all targets.
pub(crate) const VRID: u8 = 7;

/// Where a message comes from and goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
}

impl Way {
    pub(crate) fn new(src: u8, six: bool) -> Way {
        let address = |last: u8| match six {
            true => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)]),
            false => IpAddr::from([192, 0, 2, last]),
        };
        Way {
            src: address(src),
            dst: address(1),
        }
    }

    fn octets(self) -> Vec<u8> {
        let of = |address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        [of(self.src), of(self.dst)].concat()
    }
}

/// Sets what has one right value only: version, VRID, extension, key id 0, length, code and checksum.
pub(crate) fn seal(way: Way, head_and_body: &[u8]) -> Vec<u8> {
    let mut message = head_and_body.to_vec();
    message.resize(message.len().max(HEAD_LEN), 0);
    let body_len = message.len() - HEAD_LEN;
    message[0] = 0x30 | message[0] & 0x0f;
    message[1] = VRID;
    message[4] = 0;
    message[6..8].fill(0);
    message[8] = 1;
    message[9] = 0;
    message[10..12].copy_from_slice(&(body_len as u16).to_be_bytes());
    let mac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("any length is a key's");
    let family = if way.dst.is_ipv4() { 4 } else { 6 };
    let key = mac(&[])
        .chain_update(b"VRRP load sharing")
        .chain_update([1, 0, VRID, family])
        .finalize()
        .into_bytes();
    let code = mac(&key)
        .chain_update(way.octets())
        .chain_update(&message)
        .finalize()
        .into_bytes();
    message.extend(&code[..CODE_LEN]);
    let sum = checksum(way, &message);
    message[6..8].copy_from_slice(&sum.to_be_bytes());
    message
}

/// RFC 1071, over IPv6 with the pseudo-header.
fn checksum(way: Way, message: &[u8]) -> u16 {
    let mut summed = message.to_vec();
    if way.dst.is_ipv6() {
        summed.resize(message.len().next_multiple_of(2), 0);
        summed.extend(way.octets());
        summed.extend((message.len() as u32).to_be_bytes());
        summed.extend([0, 0, 0, 112]);
    }
    let mut sum: u64 = summed
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
