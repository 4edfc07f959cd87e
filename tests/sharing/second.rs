//! The messages of load sharing over IPv4 once more, written from `docs/protocol.md` alone: what a second implementation would
//! send and read. None of the program's own code is used.

use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac as _};
use lab::frame::{ETHERNET_OCTETS, Ipv4Frame, Mac, sum};
use sha2::Sha256;

/// IP protocol of VRRP.
const VRRP: u8 = 112;
/// Octets before the body.
const HEAD: usize = 48;
/// Octets of the authentication code.
const CODE: usize = 16;
/// Octets of an IP header without options.
const IP_HEADER: usize = 20;

/// Epoch and generation: which allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Term {
    pub(super) counter: u32,
    pub(super) issuer: Ipv4Addr,
    pub(super) generation: u32,
}

impl Term {
    pub(super) const NONE: Self = Self {
        counter: 0,
        issuer: Ipv4Addr::UNSPECIFIED,
        generation: 0,
    };

    /// As it stands in a head or a body.
    #[must_use]
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = self.counter.to_be_bytes().to_vec();
        octets.extend(self.issuer.octets());
        octets.extend(self.generation.to_be_bytes());
        octets
    }

    fn read(octets: &[u8]) -> Option<Self> {
        Some(Self {
            counter: u32::from_be_bytes(part(octets, 0)?),
            issuer: Ipv4Addr::from(part::<4>(octets, 4)?),
            generation: u32::from_be_bytes(part(octets, 8)?),
        })
    }
}

/// A message with everything around it that can be wrong. Lengths, checksum and code are computed, and right for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) ttl: u8,
    pub(super) version: u8,
    pub(super) kind: u8,
    pub(super) vrid: u8,
    pub(super) priority: u8,
    pub(super) count: u8,
    pub(super) authentication: u8,
    pub(super) extension: u8,
    pub(super) key_id: u8,
    /// The configured secret.
    pub(super) secret: Vec<u8>,
    /// What the length of the body is said to be beyond what it is.
    pub(super) body_excess: u16,
    pub(super) router: Ipv4Addr,
    pub(super) boot: u64,
    pub(super) number: u64,
    pub(super) term: Term,
    pub(super) fragment: u16,
    pub(super) fragments: u16,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// The message, to stand behind an IP header.
    #[must_use]
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = vec![
            self.version << 4 | self.kind,
            self.vrid,
            self.priority,
            self.count,
            self.authentication,
            0,
            0,
            0,
            self.extension,
            self.key_id,
        ];
        let length = self.body.len() as u16 + self.body_excess;
        octets.extend(length.to_be_bytes());
        octets.extend(self.router.octets());
        octets.extend(self.boot.to_be_bytes());
        octets.extend(self.number.to_be_bytes());
        octets.extend(self.term.octets());
        octets.extend(self.fragment.to_be_bytes());
        octets.extend(self.fragments.to_be_bytes());
        octets.extend(&self.body);
        let code = self.code(&octets);
        octets.extend(code);
        let checksum = !sum(&octets);
        octets[6..8].copy_from_slice(&checksum.to_be_bytes());
        octets
    }

    /// The authentication code over a message whose checksum is 0.
    fn code(&self, message: &[u8]) -> [u8; CODE] {
        const IPV4: u8 = 4;
        let mut label = b"VRRP load sharing\x01".to_vec();
        label.extend([self.key_id, self.vrid, IPV4]);
        let key = hmac(&self.secret, &[&label]);
        let (source, destination) = (self.source.octets(), self.destination.octets());
        let whole = hmac(&key, &[&source, &destination, message]);
        *whole.first_chunk().expect("a code is shorter than a hash")
    }

    /// The frame that brings it to the virtual MAC.
    #[must_use]
    pub(super) fn frame(&self, from_mac: Mac) -> Vec<u8> {
        self.frame_of(from_mac, self.octets())
    }

    /// A frame like that with other octets behind its IP header.
    #[must_use]
    pub(super) fn frame_of(&self, from_mac: Mac, payload: Vec<u8>) -> Vec<u8> {
        let frame = Ipv4Frame {
            to_mac: [0, 0, 0x5e, 0, 1, self.vrid],
            from_mac,
            from: self.source,
            to: self.destination,
            ttl: self.ttl,
            protocol: VRRP,
            identification: 0,
            fragment: 0,
            options: Vec::new(),
            payload,
        };
        frame.octets()
    }

    /// Reads one from a frame, without a look at whether it is authentic.
    #[must_use]
    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET_OCTETS..)?;
        if part(frame, 12)? != [8, 0] || *packet.first()? != 0x45 || *packet.get(9)? != VRRP {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(part(packet, 2)?));
        let octets = packet.get(IP_HEADER..length)?;
        let kind = octets.first()? & 0x0f;
        if !(2..=8).contains(&kind) {
            return None;
        }
        let body = octets.get(HEAD..octets.len().checked_sub(CODE)?)?;
        Some(Self {
            source: Ipv4Addr::from(part::<4>(packet, 12)?),
            destination: Ipv4Addr::from(part::<4>(packet, 16)?),
            ttl: *packet.get(8)?,
            version: octets.first()? >> 4,
            kind,
            vrid: *octets.get(1)?,
            priority: *octets.get(2)?,
            count: *octets.get(3)?,
            authentication: *octets.get(4)?,
            extension: *octets.get(8)?,
            key_id: *octets.get(9)?,
            secret: Vec::new(),
            body_excess: u16::from_be_bytes(part(octets, 10)?).wrapping_sub(body.len() as u16),
            router: Ipv4Addr::from(part::<4>(octets, 12)?),
            boot: u64::from_be_bytes(part(octets, 16)?),
            number: u64::from_be_bytes(part(octets, 24)?),
            term: Term::read(octets.get(32..)?)?,
            fragment: u16::from_be_bytes(part(octets, 44)?),
            fragments: u16::from_be_bytes(part(octets, 46)?),
            body: body.to_vec(),
        })
    }
}

/// Whether a frame has an advertisement in it.
#[must_use]
pub(super) fn is_advertisement(frame: &[u8]) -> bool {
    let is_vrrp = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&VRRP);
    let first = frame.get(ETHERNET_OCTETS + IP_HEADER);
    is_vrrp && first.is_some_and(|first| first & 0x0f == 1)
}

/// Whom a router hears, in a type 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acquaintance {
    pub(super) router: Ipv4Addr,
    pub(super) boot: u64,
    pub(super) challenge: u32,
    pub(super) echo: u32,
}

/// The body of a type 2 without missing ranges and moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) state: u8,
    pub(super) flags: u8,
    pub(super) weight: u16,
    pub(super) mode: u8,
    pub(super) conditions: u32,
    pub(super) digest: u64,
    pub(super) newest: Term,
    pub(super) key_ids: Vec<u8>,
    pub(super) acquaintances: Vec<Acquaintance>,
}

impl Response {
    #[must_use]
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = vec![self.state, self.flags];
        octets.extend(self.weight.to_be_bytes());
        octets.extend([self.mode, self.key_ids.len() as u8, 0, 0]);
        octets.extend(self.conditions.to_be_bytes());
        octets.extend(self.digest.to_be_bytes());
        octets.extend(self.newest.octets());
        octets.extend([0, 0]);
        octets.extend(&self.key_ids);
        for entry in &self.acquaintances {
            octets.extend(entry.router.octets());
            octets.extend(entry.boot.to_be_bytes());
            octets.extend(entry.challenge.to_be_bytes());
            octets.extend(entry.echo.to_be_bytes());
        }
        octets
    }

    /// Reads a body with so many acquaintances; missing ranges and moves are passed over.
    #[must_use]
    pub(super) fn read(body: &[u8], count: u8) -> Option<Self> {
        let key_ids = body.get(34..34 + usize::from(*body.get(5)?))?;
        let entries = body.get(34 + key_ids.len()..)?;
        let entry = |octets: &[u8]| {
            Some(Acquaintance {
                router: Ipv4Addr::from(part::<4>(octets, 0)?),
                boot: u64::from_be_bytes(part(octets, 4)?),
                challenge: u32::from_be_bytes(part(octets, 12)?),
                echo: u32::from_be_bytes(part(octets, 16)?),
            })
        };
        Some(Self {
            state: *body.first()?,
            flags: *body.get(1)?,
            weight: u16::from_be_bytes(part(body, 2)?),
            mode: *body.get(4)?,
            conditions: u32::from_be_bytes(part(body, 8)?),
            digest: u64::from_be_bytes(part(body, 12)?),
            newest: Term::read(body.get(20..)?)?,
            key_ids: key_ids.to_vec(),
            acquaintances: entries
                .chunks_exact(20)
                .take(count.into())
                .filter_map(entry)
                .collect(),
        })
    }
}

/// A difference (type 3) to `base` that names no condition.
#[must_use]
pub(super) fn empty_difference(base: Term, conditions: u32, digest: u64) -> Vec<u8> {
    const DIFFERENCE: u8 = 2;
    const SEQUENCE: u8 = 2;
    let mut body = vec![DIFFERENCE, SEQUENCE, 0, 0, 0, 0, 0, 0];
    body.extend(base.octets());
    body.extend(conditions.to_be_bytes());
    body.extend(digest.to_be_bytes());
    body.extend([0; 8]);
    body
}

/// A full table (type 3): the condition at a place is of the router at that place, round and round; the rest is of the first.
#[derive(Clone, Debug)]
pub(super) struct FullTable {
    pub(super) routers: Vec<Ipv4Addr>,
    /// In ascending order, without the rest.
    pub(super) conditions: Vec<Ipv4Addr>,
}

impl FullTable {
    fn entries(&self) -> impl Iterator<Item = (Ipv4Addr, usize)> {
        let routers = self.routers.len();
        let conditions = (0..).zip(self.conditions.iter().copied());
        let named = conditions.map(move |(place, condition)| (condition, place % routers));
        std::iter::once((Ipv4Addr::UNSPECIFIED, 0)).chain(named)
    }

    /// The digest of the table.
    pub(super) fn digest(&self) -> u64 {
        let number = |(condition, index): (Ipv4Addr, usize)| {
            let octets = [condition.octets(), self.routers[index].octets()].concat();
            let mut h = octets.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, octet| {
                (h ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3)
            });
            h = (h ^ h >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            h = (h ^ h >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            h ^ h >> 31
        };
        self.entries().map(number).fold(0, u64::wrapping_add)
    }

    /// The count and the body of each fragment of messages that are at most so long.
    pub(super) fn bodies(&self, octets_max: usize) -> Vec<(u8, Vec<u8>)> {
        const FULL: u8 = 1;
        const SEQUENCE: u8 = 2;
        const WORKING: u8 = 1;
        const NONE: u8 = 255;
        const FIXED: usize = 8 + 12 + 4 + 8 + 2 * 4;
        const ENTRY: usize = 14;
        let entries: Vec<_> = self.entries().collect();
        let digest = self.digest();
        let room = octets_max - HEAD - CODE - FIXED - 8 * self.routers.len();
        let parts: Vec<_> = entries.chunks((room / ENTRY).min(255)).collect();
        let body = |(place, part): (usize, &&[(Ipv4Addr, usize)])| {
            // A fragment's range ends where the next begins.
            let first = if place == 0 { 0 } else { part[0].0.to_bits() };
            let last = match parts.get(place + 1) {
                Some(next) => next[0].0.to_bits() - 1,
                None => u32::MAX,
            };
            let mut body = vec![FULL, SEQUENCE, self.routers.len() as u8, 0, 0, 0, 0, 0];
            body.extend([0; 12]);
            body.extend((entries.len() as u32).to_be_bytes());
            body.extend(digest.to_be_bytes());
            body.extend(first.to_be_bytes());
            body.extend(last.to_be_bytes());
            for router in &self.routers {
                body.extend(router.octets());
                body.extend([WORKING, 0, 0, 100]);
            }
            for (condition, index) in *part {
                body.extend(condition.octets());
                body.extend([*index as u8, NONE, NONE, 0, 0, 0, 0, 0, 0, 0]);
            }
            (part.len() as u8, body)
        };
        parts.iter().enumerate().map(body).collect()
    }
}

/// The names of P and N and a batch, as types 4 and 5 begin, then mode and what stands behind it.
#[must_use]
pub(super) fn hand_over(p: Ipv4Addr, n: Ipv4Addr, batch: u16, mode: u8, last: u8) -> Vec<u8> {
    let mut body = p.octets().to_vec();
    body.extend(n.octets());
    body.extend(batch.to_be_bytes());
    body.extend([mode, last]);
    body
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().to_vec()
}

fn part<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..)?.first_chunk().copied()
}

#[test]
fn the_message_to_check_an_implementation_with_comes_out_as_the_document_has_it() {
    let document = "370764000300460c01050004c00002020123456789abcdef000000000000002a\
                    00000003c0000202000000110000000100000009f26d60ba4c2d85419a43f18a\
                    7fa3c866";
    let router = Ipv4Addr::new(192, 0, 2, 2);
    let message = Message {
        source: router,
        destination: Ipv4Addr::new(192, 0, 2, 1),
        ttl: 255,
        version: 3,
        kind: 7,
        vrid: 7,
        priority: 100,
        count: 0,
        authentication: 3,
        extension: 1,
        key_id: 5,
        secret: b"a secret of sixteen octets".to_vec(),
        body_excess: 0,
        router,
        boot: 0x0123_4567_89ab_cdef,
        number: 42,
        term: Term {
            counter: 3,
            issuer: router,
            generation: 17,
        },
        fragment: 0,
        fragments: 1,
        body: 9_u32.to_be_bytes().to_vec(),
    };
    let hex: String = message
        .octets()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    assert_eq!(hex, document);
    let read = Message::read(&message.frame([2; 6])).expect("a message");
    assert_eq!(
        read,
        Message {
            secret: Vec::new(),
            ..message
        }
    );
}
