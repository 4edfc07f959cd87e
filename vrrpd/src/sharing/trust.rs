//! Whom a router believes: proof that a sender is there now, each message once, restarts, which key is used. What the
//! messages say, and how they look, is decided elsewhere; the rules are in `docs/protocol.md`, section 4.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::names::{BootId, RouterId, Version};
use super::refusal::{Refusal, Refusals};
use super::window::Window;
use super::wire::{
    Acquaintance, Body, EmitError, Group, Head, KEY_ID_NONE, Key, Opened, ROUTERS_MAX, Response,
    open, seal,
};
use crate::{Received, Transmit};

/// How many lives of a router that are still to prove themselves are remembered.
const CANDIDATES_MAX: usize = 2;

/// How many lives of a router that were believed once are remembered, the latest.
const FORMER_MAX: usize = 8;

/// Who this router is, and whom it may believe.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The group.
    pub group: Group,
    /// This router's address on the port.
    pub local: IpAddr,
    /// This router.
    pub router: RouterId,
    /// This life of it: random.
    pub boot: BootId,
    /// The keys accepted, oldest first. [`Key::none`] alone stands for `authentication = "none"`.
    pub keys: Vec<Key>,
    /// Addresses of members that know VRRP alone.
    pub plain_members: Vec<IpAddr>,
}

/// What this router knows of the others' authenticity, and what it sends under its own.
#[derive(Clone, Debug)]
pub struct Trust {
    identity: Identity,
    /// The number of the last message sent.
    number: u64,
    /// The last challenge chosen; no two are alike.
    challenge: u32,
    /// How many greetings there were.
    greetings: u64,
    routers: BTreeMap<RouterId, Known>,
    refusals: Refusals,
}

/// A router that was heard.
#[derive(Clone, Debug)]
struct Known {
    /// Which greeting its latest was.
    greeted: u64,
    /// What its next life, or its first, has to echo.
    challenge: u32,
    believed: Option<Believed>,
    /// Lives that were believed before that, the latest at the end. What was recorded of them is not even answered.
    former: VecDeque<BootId>,
    /// Lives that are still to prove themselves, the one heard last at the end.
    candidates: Vec<Candidate>,
}

/// A life that has proved itself.
#[derive(Clone, Debug)]
struct Believed {
    boot: BootId,
    address: IpAddr,
    window: Window,
    /// Its challenge to this router.
    challenge_heard: u32,
    /// The key ids it accepts.
    keys: Vec<u8>,
    /// Whether it is silent, so that its keys do not matter.
    faulty: bool,
}

/// A life that has not.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    boot: BootId,
    /// Its challenge to this router.
    challenge_heard: u32,
    /// The number of the message that said so.
    number: u64,
}

/// A message that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// From a router that is believed.
    Message(Box<Message>),
    /// From one that is still to prove itself: to be answered soon with a type 2, and nothing more.
    Greeting(RouterId),
}

/// A message of a believed router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The address it came from.
    pub src: IpAddr,
    /// Whether it proved its sender.
    pub admission: Option<Admission>,
    /// What stands before the body.
    pub head: Head,
    /// What it says.
    pub body: Body,
}

/// What a proof meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The router was not believed before.
    New,
    /// It was, in another life: whatever it had is gone.
    Restarted,
}

impl Trust {
    /// A router that has heard nobody.
    #[must_use]
    pub fn new(identity: Identity) -> Trust {
        Trust {
            identity,
            number: 0,
            challenge: 0,
            greetings: 0,
            routers: BTreeMap::new(),
            refusals: Refusals::default(),
        }
    }

    /// Who this router is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Begins another life, as after a restart, under `boot`: nobody is believed, and nobody believes. What was counted stays.
    pub fn restart(&mut self, boot: BootId) {
        self.identity.boot = boot;
        self.number = 0;
        self.challenge = 0;
        self.routers.clear();
    }

    /// Takes other addresses of members that know VRRP alone.
    pub fn set_plain_members(&mut self, addresses: Vec<IpAddr>) {
        self.identity.plain_members = addresses;
    }

    /// Takes other keys, oldest first.
    pub fn set_keys(&mut self, keys: Vec<Key>) {
        self.identity.keys = keys;
    }

    /// Checks a received packet of IP protocol 112 and a type other than 1.
    ///
    /// # Errors
    ///
    /// Why it was refused. That is counted, and nothing else happened.
    pub fn receive(&mut self, received: &Received<'_>) -> Result<Incoming, Refusal> {
        let Identity {
            group, local, keys, ..
        } = &self.identity;
        open(group, *local, keys, received)
            .and_then(|opened| self.judge(&opened))
            .inspect_err(|refusal| self.refusals.count(*refusal))
    }

    fn judge(&mut self, opened: &Opened<'_>) -> Result<Incoming, Refusal> {
        let head = opened.head;
        if head.router == self.identity.router {
            return Err(Refusal::OwnRouterId);
        }
        let known = self.routers.get_mut(&head.router);
        if let Some(believed) = known.and_then(|known| known.believed.as_mut())
            && believed.boot == head.boot
        {
            if !believed.window.is_fresh(head.number) {
                return Err(Refusal::Number);
            }
            let body = opened.body()?;
            believed.window.take(head.number);
            believed.address = opened.src;
            if let Body::Response(response) = &body {
                believed.learn(&self.identity, response);
            }
            return Ok(message(opened, None, body));
        }
        self.judge_stranger(opened)
    }

    /// The first and second step of a proof, and the third.
    fn judge_stranger(&mut self, opened: &Opened<'_>) -> Result<Incoming, Refusal> {
        let head = opened.head;
        let known = self.routers.get(&head.router);
        if known.is_some_and(|known| known.former.contains(&head.boot)) {
            return Err(Refusal::Boot);
        }
        let candidate = known.and_then(|known| known.candidate(head.boot));
        let body = opened.body()?;
        let Body::Response(response) = &body else {
            let of_former_life =
                candidate.is_none() && known.is_some_and(|known| known.believed.is_some());
            return Err(match of_former_life {
                true => Refusal::Boot,
                false => Refusal::Stranger,
            });
        };
        if candidate.is_some_and(|candidate| candidate.number >= head.number) {
            return Err(Refusal::Number);
        }
        if known.is_none() && self.routers.len() + 1 >= ROUTERS_MAX && !self.make_room() {
            return Err(Refusal::TooManyRouters);
        }

        let entry = own_entry(&self.identity, response).copied();
        let next_challenge = &mut self.challenge;
        let mut choose = || {
            *next_challenge = next_challenge.saturating_add(1);
            *next_challenge
        };
        self.greetings += 1;
        let known = self.routers.entry(head.router).or_insert_with(|| Known {
            greeted: 0,
            challenge: choose(),
            believed: None,
            former: VecDeque::new(),
            candidates: Vec::new(),
        });
        known.greeted = self.greetings;
        let listed = known.candidate(head.boot).is_some();
        if listed && entry.is_some_and(|entry| entry.echo == known.challenge) {
            let admission = match &known.believed {
                Some(before) => {
                    known.former.push_back(before.boot);
                    Admission::Restarted
                }
                None => Admission::New,
            };
            if known.former.len() > FORMER_MAX {
                known.former.pop_front();
            }
            known.challenge = choose();
            known
                .candidates
                .retain(|candidate| candidate.boot != head.boot);
            let mut believed = Believed {
                boot: head.boot,
                address: opened.src,
                window: Window::above(head.number),
                challenge_heard: 0,
                keys: Vec::new(),
                faulty: false,
            };
            believed.learn(&self.identity, response);
            known.believed = Some(believed);
            return Ok(message(opened, Some(admission), body));
        }
        known
            .candidates
            .retain(|candidate| candidate.boot != head.boot);
        if known.candidates.len() == CANDIDATES_MAX {
            known.candidates.remove(0);
        }
        known.candidates.push(Candidate {
            boot: head.boot,
            challenge_heard: entry.map_or(0, |entry| entry.challenge),
            number: head.number,
        });
        Ok(Incoming::Greeting(head.router))
    }

    /// Forgets the router that has not proved anything and has not even tried to for longest; whether there is one. Otherwise recordings of routers that
    /// are no more could keep others out.
    fn make_room(&mut self) -> bool {
        let strangers = self
            .routers
            .iter()
            .filter(|(_, known)| known.believed.is_none());
        let latest = strangers.min_by_key(|(_, known)| known.greeted);
        let Some(router) = latest.map(|(router, _)| *router) else {
            return false;
        };
        self.routers.remove(&router).is_some()
    }

    /// Whether an advertisement from `src` is heeded.
    ///
    /// # Errors
    ///
    /// [`Refusal::Stranger`]. It is counted.
    pub fn heed_advertisement(&mut self, src: IpAddr) -> Result<(), Refusal> {
        let heeded = !self.is_authenticated()
            || self.identity.plain_members.contains(&src)
            || self.believed().any(|(_, believed)| believed.address == src);
        if heeded {
            return Ok(());
        }
        self.refusals.count(Refusal::Stranger);
        Err(Refusal::Stranger)
    }

    /// Whether messages are authenticated with a key that is not known to everyone.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.identity.keys.iter().any(|key| key.id() != KEY_ID_NONE)
    }

    /// Whether `router` is believed.
    #[must_use]
    pub fn believes(&self, router: RouterId) -> bool {
        self.believed().any(|(believed, _)| believed == router)
    }

    /// The address of a believed router.
    #[must_use]
    pub fn address(&self, router: RouterId) -> Option<IpAddr> {
        Some(self.routers.get(&router)?.believed.as_ref()?.address)
    }

    /// The believed router at `address`.
    #[must_use]
    pub fn router_at(&self, address: IpAddr) -> Option<RouterId> {
        self.believed()
            .find_map(|(router, believed)| (believed.address == address).then_some(router))
    }

    /// Whether `router` is silent, so that the choice of a key does not wait for it.
    pub fn set_faulty(&mut self, router: RouterId, faulty: bool) {
        if let Some(believed) = self
            .routers
            .get_mut(&router)
            .and_then(|known| known.believed.as_mut())
        {
            believed.faulty = faulty;
        }
    }

    /// Forgets a router that is no member any more. It may come back as a new one.
    pub fn forget(&mut self, router: RouterId) {
        self.routers.remove(&router);
    }

    /// Whom this router hears, for its own type 2.
    #[must_use]
    pub fn acquaintances(&self) -> Vec<Acquaintance> {
        let entries = |(router, known): (&RouterId, &Known)| {
            let believed = known.believed.as_ref().map(|believed| Acquaintance {
                router: *router,
                boot: believed.boot,
                challenge: 0,
                echo: believed.challenge_heard,
            });
            let candidates = known.candidates.iter().map(|candidate| Acquaintance {
                router: *router,
                boot: candidate.boot,
                challenge: known.challenge,
                echo: candidate.challenge_heard,
            });
            believed.into_iter().chain(candidates).collect::<Vec<_>>()
        };
        self.routers.iter().flat_map(entries).collect()
    }

    /// The ids of the keys accepted here, for its own type 2.
    #[must_use]
    pub fn key_ids(&self) -> Vec<u8> {
        self.identity.keys.iter().map(Key::id).collect()
    }

    /// The key for sending: the newest one that everyone accepts, or else the oldest.
    #[must_use]
    pub fn sending_key(&self) -> Option<&Key> {
        let accepted_by_all = |key: &&Key| {
            self.believed()
                .all(|(_, believed)| believed.faulty || believed.keys.contains(&key.id()))
        };
        let keys = &self.identity.keys;
        keys.iter().rev().find(accepted_by_all).or(keys.first())
    }

    /// Writes one fragment. Repeated ones are to be written anew: each has a number of its own.
    ///
    /// # Errors
    ///
    /// See [`EmitError`]; none if the body was made by [`Body::split`].
    pub fn seal(
        &mut self,
        priority: u8,
        version: Version,
        (fragment, fragments): (u16, u16),
        body: &Body,
    ) -> Result<Transmit, EmitError> {
        let head = Head {
            priority,
            router: self.identity.router,
            boot: self.identity.boot,
            number: self.number.saturating_add(1),
            version,
            fragment,
            fragments,
        };
        let Identity { group, local, .. } = self.identity;
        let key = self.sending_key().ok_or(EmitError::NoKey)?;
        let payload = seal(&group, local, key, &head, body)?;
        self.number = head.number;
        Ok(Transmit {
            src: local,
            dst: group.destination,
            payload,
        })
    }

    /// How often each reason to refuse was met.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Counts a refusal that was decided elsewhere.
    pub fn count_refusal(&mut self, refusal: Refusal) {
        self.refusals.count(refusal);
    }

    fn believed(&self) -> impl Iterator<Item = (RouterId, &Believed)> {
        self.routers
            .iter()
            .filter_map(|(router, known)| Some((*router, known.believed.as_ref()?)))
    }
}

impl Known {
    fn candidate(&self, boot: BootId) -> Option<Candidate> {
        self.candidates
            .iter()
            .copied()
            .find(|candidate| candidate.boot == boot)
    }
}

impl Believed {
    fn learn(&mut self, identity: &Identity, response: &Response) {
        self.keys.clone_from(&response.keys);
        // Once it believes this router it challenges no more; the last echo still serves.
        if let Some(entry) = own_entry(identity, response)
            && entry.challenge != 0
        {
            self.challenge_heard = entry.challenge;
        }
    }
}

/// What a response says about this life of this router.
fn own_entry<'a>(identity: &Identity, response: &'a Response) -> Option<&'a Acquaintance> {
    response
        .acquaintances
        .iter()
        .find(|entry| entry.router == identity.router && entry.boot == identity.boot)
}

fn message(opened: &Opened<'_>, admission: Option<Admission>, body: Body) -> Incoming {
    Incoming::Message(Box::new(Message {
        src: opened.src,
        admission,
        head: opened.head,
        body,
    }))
}

#[cfg(test)]
mod tests;
