//! ICMP messages (RFC 792). When one may be sent, and to whom, is the host's business.

use thiserror::Error;

use super::checksum;

/// The octets before the payload.
pub const HEADER_OCTETS: usize = 8;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub u8);

impl Type {
    /// Echo reply.
    pub const ECHO_REPLY: Self = Self(0);
    /// Destination unreachable; the code says in what way.
    pub const UNREACHABLE: Self = Self(3);
    /// Source quench, which nobody sends any more (RFC 6633).
    pub const SOURCE_QUENCH: Self = Self(4);
    /// Redirect.
    pub const REDIRECT: Self = Self(5);
    /// Echo request.
    pub const ECHO_REQUEST: Self = Self(8);
    /// Time exceeded; the code says where.
    pub const TIME_EXCEEDED: Self = Self(11);
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: Self = Self(12);
    /// Information request (A18).
    pub const INFORMATION_REQUEST: Self = Self(15);
    /// Information reply (A18).
    pub const INFORMATION_REPLY: Self = Self(16);

    /// Whether it reports an error with another packet; about such a message no error may be sent (RFC 1122 3.2.2).
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }
}

/// Why octets are no ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum IcmpError {
    /// Fewer than [`HEADER_OCTETS`].
    #[error("shorter than an ICMP header")]
    Short,
    /// The checksum is wrong.
    #[error("a wrong ICMP checksum")]
    Checksum,
}

/// An ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Type,
    /// Which of its kind.
    pub code: u8,
    /// The second half of the header: identifier and sequence number of an echo, the next hop's MTU, …
    pub rest: [u8; 4],
    /// An echo's data, or the packet that an error is about.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// # Errors
    /// The reason why `octets` are no ICMP message.
    pub fn parse(octets: &'a [u8]) -> Result<Self, IcmpError> {
        let (header, payload) = octets
            .split_first_chunk::<HEADER_OCTETS>()
            .ok_or(IcmpError::Short)?;
        if checksum::of(octets) != 0 {
            return Err(IcmpError::Checksum);
        }
        let [kind, code, _, _, r0, r1, r2, r3] = *header;
        Ok(Self {
            kind: Type(kind),
            code,
            rest: [r0, r1, r2, r3],
            payload,
        })
    }

    /// Appends the message to `out`, with its checksum.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let [r0, r1, r2, r3] = self.rest;
        let mut header = [self.kind.0, self.code, 0, 0, r0, r1, r2, r3];
        let mut sum = checksum::Checksum::default();
        sum.add(&header);
        sum.add(self.payload);
        [header[2], header[3]] = sum.finish().to_be_bytes();
        out.extend_from_slice(&header);
        out.extend_from_slice(self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OCTETS: [u8; 11] = [8, 0, 0x8d, 0xc0, 0x12, 0x34, 0, 7, 0x55, 4, 3];

    const MESSAGE: Message<'static> = Message {
        kind: Type::ECHO_REQUEST,
        code: 0,
        rest: [0x12, 0x34, 0, 7],
        payload: &[0x55, 4, 3],
    };

    #[test]
    fn a_message_is_read() {
        assert_eq!(Message::parse(&OCTETS), Ok(MESSAGE));
    }

    #[test]
    fn a_message_is_written() {
        let mut out = Vec::new();
        MESSAGE.emit(&mut out);
        assert_eq!(out, OCTETS);
    }

    #[test]
    fn every_impossible_length_is_refused() {
        for octets in 0..HEADER_OCTETS {
            assert_eq!(Message::parse(&OCTETS[..octets]), Err(IcmpError::Short));
        }
        for octets in HEADER_OCTETS..OCTETS.len() {
            assert_eq!(Message::parse(&OCTETS[..octets]), Err(IcmpError::Checksum));
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        for at in 0..OCTETS.len() {
            let mut octets = OCTETS;
            octets[at] ^= 0x10;
            assert_eq!(Message::parse(&octets), Err(IcmpError::Checksum));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(mut octets: Vec<u8>, mended: bool) {
            if mended && octets.len() >= HEADER_OCTETS {
                octets[2..4].fill(0);
                let sum = checksum::of(&octets);
                octets[2..4].copy_from_slice(&sum.to_be_bytes());
                prop_assert!(Message::parse(&octets).is_ok());
            }
            if let Ok(message) = Message::parse(&octets) {
                let mut out = Vec::new();
                message.emit(&mut out);
                prop_assert_eq!(out, octets);
            }
        }
    }
}
