//! A member of the group that is not the program: it has the key, proves that it is there, and takes no share. What it sends beyond that is
//! up to the test.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::frame::{Mac, read_mac};
use lab::link::End;
use lab::namespace::Namespace;
use lab::packet_socket::PacketSocket;
use lab::topology::sharing::{SECRET, Sharing};

use super::second::{Acquaintance, Message, Response, Term, is_advertisement};

const WORKING: u8 = 1;
const SEQUENCE: u8 = 2;
const KEY_ID: u8 = 1;

/// What it knows of a router.
#[derive(Debug)]
struct Heard {
    boot: u64,
    /// What that router has to echo.
    challenge: u32,
    /// What it wants to be echoed.
    wanted: u32,
}

/// The member.
#[derive(Debug)]
pub(super) struct Insider {
    pub(super) socket: PacketSocket,
    pub(super) mac: Mac,
    pub(super) address: Ipv4Addr,
    /// The flags of its type 2.
    pub(super) flags: u8,
    /// Whom it has to do with; everyone, if nobody is named.
    pub(super) partners: Vec<Ipv4Addr>,
    boot: u64,
    number: u64,
    challenges: u32,
    heard: BTreeMap<Ipv4Addr, Heard>,
    /// The allocation that the others have installed, its number of conditions and its digest.
    pub(super) installed: (Term, u32, u64),
    /// The last message heard of each router.
    pub(super) last: BTreeMap<Ipv4Addr, Message>,
}

impl Insider {
    /// At a machine on the hub; it has heard nobody.
    pub(super) fn new(machine: &Namespace, address: Ipv4Addr, boot: u64) -> Self {
        let end = End::of(machine, "eth0");
        Self {
            socket: PacketSocket::open(end).expect("a socket"),
            mac: read_mac(&end.mac().expect("a MAC")).expect("a MAC"),
            address,
            flags: 0,
            partners: Vec::new(),
            boot,
            number: 0,
            challenges: 0,
            heard: BTreeMap::new(),
            installed: (Term::NONE, 0, 0),
            last: BTreeMap::new(),
        }
    }

    /// A message with the next number, right in everything.
    pub(super) fn message(&mut self, kind: u8, count: u8, body: Vec<u8>) -> Message {
        self.number += 1;
        Message {
            source: self.address,
            destination: Sharing::GATEWAY,
            ttl: 255,
            version: 3,
            kind,
            vrid: Sharing::VRID,
            priority: 50,
            count,
            authentication: 3,
            extension: 1,
            key_id: KEY_ID,
            secret: SECRET.into(),
            body_excess: 0,
            router: self.address,
            boot: self.boot,
            number: self.number,
            term: self.installed.0,
            fragment: 0,
            fragments: 1,
            body,
        }
    }

    /// Its type 2: it works, and wants nothing.
    pub(super) fn response(&mut self) -> Message {
        let acquaintances: Vec<Acquaintance> = self
            .heard
            .iter()
            .map(|(router, heard)| Acquaintance {
                router: *router,
                boot: heard.boot,
                challenge: heard.challenge,
                echo: heard.wanted,
            })
            .collect();
        let (newest, conditions, digest) = self.installed;
        let response = Response {
            state: WORKING,
            flags: self.flags,
            weight: 0,
            mode: SEQUENCE,
            conditions,
            digest,
            newest,
            key_ids: vec![KEY_ID],
            acquaintances,
        };
        let count = response.acquaintances.len() as u8;
        self.message(2, count, response.octets())
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &Message) {
        self.socket.send(&message.frame(self.mac)).expect("sent");
    }

    /// Does a member's duty for a while: answers whoever advertises, and whoever wants proof.
    pub(super) fn attend(&mut self, for_a: Duration) {
        let end = Instant::now() + for_a;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(frame) = self.socket.receive(left).expect("a frame") else {
                return;
            };
            let answer = match Message::read(&frame) {
                Some(message) => self.hear(message),
                None => is_advertisement(&frame),
            };
            if answer {
                let response = self.response();
                self.send(&response);
            }
        }
    }

    /// Whether the message is to be answered.
    fn hear(&mut self, message: Message) -> bool {
        if !self.partners.is_empty() && !self.partners.contains(&message.router) {
            return false;
        }
        let response = match message.kind {
            2 => Response::read(&message.body, message.count),
            _ => None,
        };
        let heard = response.is_some_and(|response| self.hear_response(&message, &response));
        self.last.insert(message.router, message);
        heard
    }

    fn hear_response(&mut self, message: &Message, response: &Response) -> bool {
        let installed = (message.term, response.conditions, response.digest);
        let is_news = installed.0 > self.installed.0;
        if is_news {
            self.installed = installed;
        }
        let known = self.heard.get(&message.router);
        if known.is_none_or(|heard| heard.boot != message.boot) {
            self.challenges += 1;
            let heard = Heard {
                boot: message.boot,
                challenge: self.challenges,
                wanted: 0,
            };
            self.heard.insert(message.router, heard);
        }
        let is_me = |entry: &&Acquaintance| entry.router == self.address && entry.boot == self.boot;
        let entry = response.acquaintances.iter().find(is_me);
        let wanted = entry.map_or(0, |entry| entry.challenge);
        match self.heard.get_mut(&message.router) {
            Some(heard) if wanted != 0 => heard.wanted = wanted,
            _ => {}
        }
        // It does not list this member, or wants proof.
        is_news || entry.is_none_or(|entry| entry.challenge != 0)
    }
}
