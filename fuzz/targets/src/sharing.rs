//! The messages of load sharing, and what they change in a router.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use vrrpd::sharing::moves::{Completion, Config, Moves, Verdict};
use vrrpd::sharing::names::{
    BootId, Condition, Epoch, MemberState, Mode, MoveName, RouterId, Version,
};
use vrrpd::sharing::table::{Change, Table};
use vrrpd::sharing::trust::{Identity, Incoming, Trust};
use vrrpd::sharing::wire::{Body, Group, Key, MESSAGE_LEN_MAX_DEFAULT, Response, open, seal};
use vrrpd::{Family, Received, Time, Vrid};

use crate::sealing::{self, CODE_LEN, HEAD_LEN, VRID, Way};

/// The longest body that a message can say the length of.
const BODY_LEN_MAX: usize = 60_000;

fn vrid() -> Vrid {
    Vrid::new(VRID).expect("a VRID")
}

fn group(way: Way) -> Group {
    Group {
        version: 3,
        vrid: vrid(),
        destination: way.dst,
    }
}

fn key(family: Family) -> Key {
    Key::none(vrid(), family).expect("no key")
}

/// Octets as a message but for its code, over IPv4 and IPv6, with checksum and code made right: it is refused, or says the same when written anew,
/// whole or in fragments.
pub(crate) fn message(octets: &[u8]) {
    let octets = &octets[..octets.len().min(HEAD_LEN + BODY_LEN_MAX)];
    for six in [false, true] {
        let way = Way::new(2, six);
        let family = group(way).family();
        let key = key(family);
        let message = sealing::seal(way, octets);
        let received = |payload| Received {
            src: way.src,
            dst: way.dst,
            ttl: 255,
            payload,
        };
        let local = Way::new(3, six).src;
        let keys = [key.clone()];
        let Ok(opened) = open(&group(way), local, &keys, &received(&message)) else {
            continue;
        };
        let Ok(body) = opened.body() else { continue };
        let again = seal(&group(way), way.src, &key, &opened.head, &body)
            .expect("what was read can be written");
        let reread = open(&group(way), local, &keys, &received(&again))
            .and_then(|opened| Ok((opened.head, opened.body()?)))
            .expect("what was written can be read");
        // Whatever is reserved, or not referred to, is not kept.
        assert_eq!(reread, (opened.head, body.clone()));
        for fragment in body.split(family, MESSAGE_LEN_MAX_DEFAULT) {
            let whole = seal(&group(way), way.src, &key, &opened.head, &fragment)
                .expect("a fragment can be written");
            assert!(whole.len() <= MESSAGE_LEN_MAX_DEFAULT);
        }
        assert!(again.len() >= HEAD_LEN + CODE_LEN);
    }
}

fn router(number: u8) -> RouterId {
    RouterId::new(u32::from(number % 4) + 1).expect("not 0")
}

fn condition(number: u8) -> Condition {
    match number % 6 {
        0 => Condition::Rest,
        last => Condition::Address(Ipv4Addr::new(192, 0, 2, 100 + last).into()),
    }
}

/// The router that hears everything, and three that are believed.
struct Group4 {
    now: Time,
    me: RouterId,
    trust: Trust,
    table: Table,
    moves: Moves,
    /// The number of the last message of each of the others.
    numbers: [u64; 3],
}

fn identity(number: u8) -> Identity {
    let way = Way::new(10 + number, false);
    Identity {
        group: group(way),
        local: way.src,
        router: router(number),
        boot: BootId(100 + u64::from(number)),
        keys: vec![key(Family::Ipv4)],
        plain_members: Vec::new(),
    }
}

fn response(trust: &Trust) -> Response {
    Response {
        state: MemberState::Working,
        master: false,
        authority: false,
        wants_table: false,
        weight: 1,
        mode: Mode::Sequence,
        entries: 0,
        digest: 0,
        heard: Version::default(),
        keys: trust.key_ids(),
        acquaintances: trust.acquaintances(),
        missing: Vec::new(),
        moves: Vec::new(),
        sightings: Vec::new(),
    }
}

impl Group4 {
    fn new() -> Group4 {
        let mut trust = Trust::new(identity(0));
        let mut numbers = [0; 3];
        for (number, last) in (1..).zip(&mut numbers) {
            let mut other = Trust::new(identity(number));
            // Greeting, challenge, echo.
            for _ in 0..2 {
                for (from, to) in [(true, false), (false, true)] {
                    let (from, to) = match (from, to) {
                        (true, _) => (&mut other, &mut trust),
                        _ => (&mut trust, &mut other),
                    };
                    let body = Body::Response(response(from));
                    let sent = from
                        .seal(100, Version::default(), (0, 1), &body)
                        .expect("can be written");
                    let _ = to.receive(&Received {
                        src: sent.src,
                        dst: sent.dst,
                        ttl: 255,
                        payload: &sent.payload,
                    });
                }
            }
            *last = 10;
            assert!(trust.believes(router(number)), "the proof is complete");
        }
        let config = Config {
            active_max: 2,
            moves_max: 16,
            ..Config::default()
        };
        Group4 {
            now: Time::ZERO,
            me: router(0),
            trust,
            table: Table::new(Family::Ipv4, Mode::Sequence),
            moves: Moves::new(router(0), Family::Ipv4, config),
            numbers,
        }
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=9)? {
            0 => self.now = self.now + Duration::from_micros(u64::from(input.arbitrary::<u16>()?)),
            1 => {
                let router = router(input.arbitrary()?);
                self.moves.lost(self.now, router);
            }
            2..=4 => {
                let name = name(input)?;
                let completion = match input.int_in_range(0..=7)? {
                    0 => Completion::Recording,
                    1 => Completion::QueuesEmptied,
                    2 => Completion::VerdictSet(Verdict::Route),
                    3 => Completion::VerdictSet(Verdict::Discard),
                    4 => Completion::VerdictSet(Verdict::Hold),
                    5 => Completion::Drained,
                    6 => Completion::Inspected(Vec::new()),
                    _ => Completion::Released,
                };
                self.moves.completed(self.now, name, completion);
            }
            5 => {
                let mode = match input.arbitrary()? {
                    true => Mode::Sequence,
                    false => Mode::Timer,
                };
                let conditions = vec![condition(input.arbitrary()?)];
                let _ = self.moves.order(self.now, name(input)?, mode, conditions);
            }
            6 => {
                let conditions = vec![condition(input.arbitrary()?)];
                let name = name(input)?;
                self.moves
                    .cancel(self.now, name, conditions, input.arbitrary()?);
            }
            _ => self.hear(input)?,
        }
        self.moves.tick(self.now);
        Ok(())
    }

    /// A message of one of the others: its type, its count, the numbers of its version, its fragment, and its body.
    fn hear(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let from = input.int_in_range(1..=3u8)?;
        let [kind, count, priority] = input.arbitrary::<[u8; 3]>()?;
        let [counter, issuer, generation, fragment, fragments] = input.arbitrary::<[u8; 5]>()?;
        let length = usize::from(input.arbitrary::<u8>()?);
        let body = input.bytes(length.min(input.len()))?;
        let last = &mut self.numbers[usize::from(from) - 1];
        *last += 1;
        let mut octets = vec![2 + kind % 7, VRID, priority, count, 0, 0, 0, 0, 1, 0, 0, 0];
        octets.extend(router(from).get().to_be_bytes());
        octets.extend((100 + u64::from(from)).to_be_bytes());
        octets.extend(last.to_be_bytes());
        for field in [counter % 4, issuer % 5, generation % 4] {
            octets.extend(u32::from(field).to_be_bytes());
        }
        for field in [fragment % 3, fragments % 3 + 1] {
            octets.extend(u16::from(field).to_be_bytes());
        }
        octets.extend(body);
        let way = Way::new(10 + from, false);
        let payload = sealing::seal(way, &octets);
        let received = Received {
            src: way.src,
            dst: way.dst,
            ttl: 255,
            payload: &payload,
        };
        let Ok(Incoming::Message(message)) = self.trust.receive(&received) else {
            return Ok(());
        };
        let sender = message.head.router;
        match &message.body {
            Body::Response(response) => {
                self.table.note_heard(message.head.version);
                for report in &response.moves {
                    self.moves.reported(self.now, sender, report);
                }
            }
            Body::Allocation(allocation) => {
                let known = self.table.installed();
                if let Ok(changes) = self.table.receive(self.now, &message.head, allocation) {
                    self.heed(&changes);
                }
                assert!(
                    self.table.installed() >= known,
                    "an older table is installed"
                );
            }
            Body::Confirmation(confirmation) => {
                let _ = self.moves.confirmed(self.now, confirmation);
            }
            Body::Answer(answer) => {
                let place = (message.head.fragment, message.head.fragments);
                let _ = self.moves.answered(self.now, place, answer);
            }
            Body::ReviewRequest(_) | Body::RateRequest(_) | Body::RateResponse(_) => {}
        }
        Ok(())
    }

    fn heed(&mut self, changes: &[Change]) {
        for change in changes {
            if let Some((_, Some(name))) = change.after
                && (name.from == self.me || name.to == self.me)
            {
                let mode = self.table.mode();
                let _ = self.moves.order(self.now, name, mode, [change.condition]);
            } else if let Some((_, Some(name))) = change.before {
                self.moves.conclude(self.now, name);
            }
        }
    }

    /// What holds whatever was heard.
    fn check(&mut self) {
        let mut outputs = 0;
        while self.moves.poll_output().is_some() {
            outputs += 1;
            assert!(outputs <= 8192, "an entry without end");
        }
        assert!(
            self.moves.reports().len() <= 16,
            "more moves than there may be"
        );
        let digest = self.table.rows().fold(0u64, |sum, (condition, row)| {
            sum.wrapping_add(row_digest(condition, row.router))
        });
        assert_eq!(digest, self.table.digest(), "the digest is of other rows");
        assert!(self.table.installed() <= self.table.heard());
        assert!(
            self.moves.poll_timeout().is_none_or(|at| at >= self.now),
            "asks for an entry in the past"
        );
    }
}

fn name(input: &mut Unstructured<'_>) -> Result<MoveName> {
    let [counter, generation, from, to] = input.arbitrary::<[u8; 4]>()?;
    Ok(MoveName {
        version: Version {
            epoch: Epoch {
                counter: u32::from(counter % 2),
                issuer: Some(router(1)),
            },
            generation: u32::from(generation % 4),
        },
        from: router(from),
        to: router(to),
        batch: 0,
    })
}

/// As `docs/protocol.md` has it.
fn row_digest(condition: Condition, in_charge: RouterId) -> u64 {
    let address = match condition.address(Family::Ipv4) {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for octet in address.into_iter().chain(in_charge.get().to_be_bytes()) {
        h = (h ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3);
    }
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

/// One router's trust, table and moves under any sequence of messages of routers that it believes, of orders and of completions.
pub(crate) fn state(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let mut group = Group4::new();
    while !input.is_empty() && group.step(&mut input).is_ok() {
        group.check();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without which the fuzzer would begin in front of a closed door.
    #[test]
    fn the_corpus_has_a_message_of_every_type_that_is_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/sharing_message");
        let way = Way::new(2, false);
        let mut types = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(path).expect("a corpus") {
            let octets = std::fs::read(entry.expect("an entry").path()).expect("a seed");
            let payload = sealing::seal(way, &octets);
            let received = Received {
                src: way.src,
                dst: way.dst,
                ttl: 255,
                payload: &payload,
            };
            let keys = [key(Family::Ipv4)];
            let opened = open(&group(way), Way::new(3, false).src, &keys, &received);
            if let Ok(body) = opened.and_then(|opened| opened.body()) {
                types.insert(body.message_type());
            }
        }
        assert_eq!(Vec::from_iter(types), [2, 3, 4, 5, 6, 7, 8]);
    }
}
