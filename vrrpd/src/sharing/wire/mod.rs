//! The messages of the types 2 to 8 as octets: what all of them share, from the VRRP header to the authentication
//! code. The bodies have a file for each purpose. `docs/protocol.md` gives the layouts as tables, and says what is
//! done with the messages. Whether a sender is believed is decided in [`trust`](super), not here.
//!
//! Every message is one fragment, complete in itself: [`open`] checks it as far as that is possible without knowing
//! any other, and [`Body::split`] makes as many as are needed.

mod allocation;
mod handover;
mod key;
mod octets;
mod response;
mod review;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use thiserror::Error;

pub use allocation::{Allocation, Entry, Kind, RouterRecord};
pub use handover::{Accepted, Answer, AnswerStatus, Confirmation, TcpMark};
pub use key::{KEY_ID_NONE, Key, KeyError, SECRET_LEN_MIN};
pub use response::{Acquaintance, FragmentRange, MoveReport, MoveStatus, Response, Sighting};
pub use review::{ConditionRate, RateRequest, RateResponse, ReviewRequest, Threshold};

use super::names::{BootId, Mode, RouterId, Version};
use super::refusal::Refusal;
use crate::wire::checksum::Sum;
use crate::wire::{HEADER_LEN, Header, TTL, put_checksum};
use crate::{Family, Received, Vrid};
use octets::{Reader, Writer};

/// The version of the extension that is spoken here.
pub const EXTENSION_VERSION: u8 = 1;

/// Octets before the body.
pub const HEAD_LEN: usize = 48;

/// Octets of the authentication code behind the body.
pub const HMAC_LEN: usize = 16;

/// The longest message unless configured otherwise, in octets: it fits an Ethernet frame with room for tunnels.
pub const MESSAGE_LEN_MAX_DEFAULT: usize = 1400;

/// The shortest limit that every message can be split to, in octets: 32 routers' records, over IPv6.
pub const MESSAGE_LEN_MAX_LEAST: usize = 1200;

/// The most routers of a group.
pub const ROUTERS_MAX: usize = 32;

/// The authentication type of a message whose key everyone knows.
const AUTHENTICATION_NONE: u8 = 0;

/// The authentication type of a message with a configured key. 0 to 2 had meanings in RFC 2338.
const AUTHENTICATION_HMAC: u8 = 3;

/// The index that stands for "none" in an allocation.
const INDEX_NONE: u8 = u8::MAX;

/// What identifies a group's messages on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The version of VRRP that the group speaks.
    pub version: u8,
    /// The virtual router.
    pub vrid: Vrid,
    /// The IP destination address: the first virtual address.
    pub destination: IpAddr,
}

impl Group {
    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.destination)
    }
}

/// What stands before the body, beyond what the [`Group`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The sender's VRRP priority.
    pub priority: u8,
    /// The sender.
    pub router: RouterId,
    /// Which life of it.
    pub boot: BootId,
    /// Counts the messages of this life, from 1.
    pub number: u64,
    /// The allocation that the message is about: in a type 2 the one that the sender has installed, in a type 3 this
    /// one, in the types 4 and 5 the one that ordered the move, in the others the one installed.
    pub version: Version,
    /// Which fragment this is, from 0.
    pub fragment: u16,
    /// Of how many.
    pub fragments: u16,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Type 2, advertisement response: a router's own state, to all.
    Response(Response),
    /// Type 3, allocation: who is in charge of what.
    Allocation(Allocation),
    /// Type 4, allocation confirmation: N's fence.
    Confirmation(Confirmation),
    /// Type 5, sequence number information: P's answer to the fence.
    Answer(Answer),
    /// Type 6, review request.
    ReviewRequest(ReviewRequest),
    /// Type 7, flow rate request.
    RateRequest(RateRequest),
    /// Type 8, flow rate response.
    RateResponse(RateResponse),
}

impl Body {
    /// The message's type.
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        match self {
            Body::Response(_) => 2,
            Body::Allocation(_) => 3,
            Body::Confirmation(_) => 4,
            Body::Answer(_) => 5,
            Body::ReviewRequest(_) => 6,
            Body::RateRequest(_) => 7,
            Body::RateResponse(_) => 8,
        }
    }

    /// The fragments that say the same in messages of at most `message_len_max` octets, which is taken to be at least
    /// [`MESSAGE_LEN_MAX_LEAST`]. One if it fits.
    #[must_use]
    pub fn split(self, family: Family, message_len_max: usize) -> Vec<Body> {
        let limit = message_len_max.max(MESSAGE_LEN_MAX_LEAST) - HEAD_LEN - HMAC_LEN;
        match self {
            Body::Response(response) => bodies(response.split(family, limit), Body::Response),
            Body::Allocation(allocation) => {
                bodies(allocation.split(family, limit), Body::Allocation)
            }
            Body::Answer(answer) => bodies(answer.split(family, limit), Body::Answer),
            Body::RateResponse(rates) => bodies(rates.split(family, limit), Body::RateResponse),
            whole @ (Body::Confirmation(_) | Body::ReviewRequest(_) | Body::RateRequest(_)) => {
                vec![whole]
            }
        }
    }

    /// The allocation that a message with this body is about, if the body decides that.
    const fn version(&self) -> Option<Version> {
        match self {
            Body::Confirmation(confirmation) => Some(confirmation.name.version),
            Body::Answer(answer) => Some(answer.name.version),
            _ => None,
        }
    }

    /// Appends the body, and returns the count of the VRRP header.
    fn emit(&self, family: Family, out: &mut Writer) -> Result<u8, EmitError> {
        match self {
            Body::Response(response) => response.emit(family, out),
            Body::Allocation(allocation) => allocation.emit(family, out),
            Body::Confirmation(confirmation) => confirmation.emit(out),
            Body::Answer(answer) => answer.emit(family, out),
            Body::ReviewRequest(request) => Ok(request.emit(out)),
            Body::RateRequest(request) => Ok(request.emit(out)),
            Body::RateResponse(rates) => rates.emit(family, out),
        }
    }
}

/// Why a message cannot be written. None of it happens to a body that [`Body::split`] made, given a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EmitError {
    /// A list is longer than its count can say, or the body longer than its length.
    #[error("too long for one message")]
    TooLong,
    /// An entry names a router that the message has no record of.
    #[error("no record of router {0}")]
    UnlistedRouter(RouterId),
    /// There is nothing to authenticate it with.
    #[error("no key")]
    NoKey,
}

/// The octets of a message, to go behind the IP header of a packet from `src` to the group's address, with a TTL or hop limit
/// of 255, in a frame to the virtual MAC address.
///
/// # Errors
///
/// See [`EmitError`].
pub fn seal(
    group: &Group,
    src: IpAddr,
    key: &Key,
    head: &Head,
    body: &Body,
) -> Result<Vec<u8>, EmitError> {
    let mut content = Writer::default();
    let count = body.emit(group.family(), &mut content)?;
    let content = content.0;
    let body_len = u16::try_from(content.len()).map_err(|_| EmitError::TooLong)?;
    let authentication = match key.id() {
        KEY_ID_NONE => AUTHENTICATION_NONE,
        _ => AUTHENTICATION_HMAC,
    };
    let mut out = Writer(Vec::with_capacity(HEAD_LEN + content.len() + HMAC_LEN));
    out.u8((group.version << 4) | body.message_type())
        .u8(group.vrid.get())
        .u8(head.priority)
        .u8(count)
        .u8(authentication)
        .u8(0)
        .u16(0)
        .u8(EXTENSION_VERSION)
        .u8(key.id())
        .u16(body_len)
        .router(head.router)
        .u64(head.boot.0)
        .u64(head.number)
        .version(body.version().unwrap_or(head.version))
        .u16(head.fragment)
        .u16(head.fragments)
        .octets(&content);
    let code = key.code(src, group.destination, &out.0);
    out.octets(&code);
    let mut message = out.0;
    let checksum = sum(&message, src, group.destination).checksum();
    put_checksum(&mut message, checksum);
    Ok(message)
}

/// The checksum of a message: as RFC 9568 §5.2.8 has it, over IPv6 with the pseudo-header.
fn sum(message: &[u8], src: IpAddr, dst: IpAddr) -> Sum {
    let sum = Sum::default().add(message);
    match Family::of(dst) {
        Family::Ipv4 => sum,
        Family::Ipv6 => sum.add_pseudo_header(src, dst, message.len()),
    }
}

/// A message that is intact and written by someone who has a key of the group. Whether that is someone who is there now is
/// another question.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// The IP source address.
    pub src: IpAddr,
    /// What stands before the body.
    pub head: Head,
    /// The id of the key that confirms it.
    pub key: u8,
    message_type: u8,
    count: u8,
    body: &'a [u8],
}

/// Checks a received packet of IP protocol 112 and a type other than 1, for a router of the group whose own address is
/// `local` and that accepts `keys`.
///
/// # Errors
///
/// The first of these that is wrong: [`Refusal::Ttl`], [`Refusal::Length`], [`Refusal::Version`], [`Refusal::Type`],
/// [`Refusal::Vrid`], [`Refusal::Destination`], [`Refusal::OwnSource`], [`Refusal::Checksum`],
/// [`Refusal::ExtensionVersion`], [`Refusal::Length`] of the body, [`Refusal::Key`], [`Refusal::AuthenticationType`],
/// [`Refusal::Hmac`], [`Refusal::Value`] of router id or number, [`Refusal::Fragment`].
pub fn open<'a>(
    group: &Group,
    local: IpAddr,
    keys: &[Key],
    received: &Received<'a>,
) -> Result<Opened<'a>, Refusal> {
    let Received {
        src,
        dst,
        ttl,
        payload,
    } = *received;
    if ttl != TTL {
        return Err(Refusal::Ttl);
    }
    let (octets, code) = payload
        .split_last_chunk::<HMAC_LEN>()
        .ok_or(Refusal::Length)?;
    let (head, body) = octets
        .split_first_chunk::<HEAD_LEN>()
        .ok_or(Refusal::Length)?;
    let header = Header::parse(head).map_err(|_| Refusal::Length)?;
    if header.version != group.version {
        return Err(Refusal::Version);
    }
    if !(2..=8).contains(&header.message_type) {
        return Err(Refusal::Type);
    }
    if header.vrid != group.vrid.get()
        || Family::of(src) != group.family()
        || Family::of(dst) != group.family()
    {
        return Err(Refusal::Vrid);
    }
    if dst != group.destination {
        return Err(Refusal::Destination);
    }
    if src == local {
        return Err(Refusal::OwnSource);
    }
    if !sum(payload, src, dst).is_intact() {
        return Err(Refusal::Checksum);
    }
    let mut fields = Reader(head.get(HEADER_LEN..).unwrap_or_default());
    if fields.u8()? != EXTENSION_VERSION {
        return Err(Refusal::ExtensionVersion);
    }
    let key_id = fields.u8()?;
    if usize::from(fields.u16()?) != body.len() {
        return Err(Refusal::Length);
    }
    let key = keys
        .iter()
        .find(|key| key.id() == key_id)
        .ok_or(Refusal::Key)?;
    let [_, _, priority, count, authentication, ..] = *head;
    if (authentication == AUTHENTICATION_NONE) != (key_id == KEY_ID_NONE)
        || authentication > AUTHENTICATION_HMAC
    {
        return Err(Refusal::AuthenticationType);
    }
    let mut unsummed = *head;
    put_checksum(&mut unsummed, 0);
    if !key.confirms(src, dst, &[&unsummed, body], code) {
        return Err(Refusal::Hmac);
    }
    let head = Head {
        priority,
        router: fields.router()?,
        boot: BootId(fields.u64()?),
        number: fields.u64()?,
        version: fields.version()?,
        fragment: fields.u16()?,
        fragments: fields.u16()?,
    };
    if head.number == 0 {
        return Err(Refusal::Value);
    }
    if head.fragment >= head.fragments {
        return Err(Refusal::Fragment);
    }
    Ok(Opened {
        src,
        head,
        key: key_id,
        message_type: header.message_type,
        count,
        body,
    })
}

impl Opened<'_> {
    /// What the message says, in a group of `family`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Count`] unless the counts of entries fit the length exactly, [`Refusal::Value`] for a field that
    /// means nothing, [`Refusal::Fragment`] for a fragment of what is never split, [`Refusal::Move`] for a confirmation that is not from
    /// N or an answer that is not from P.
    pub fn body(&self) -> Result<Body, Refusal> {
        let family = Family::of(self.src);
        let mut body = Reader(self.body);
        let count = self.count;
        let version = self.head.version;
        let parsed = match self.message_type {
            2 => Body::Response(Response::parse(family, count, &mut body)?),
            3 => Body::Allocation(Allocation::parse(family, count, &mut body)?),
            4 => Body::Confirmation(Confirmation::parse(version, count, &mut body)?),
            5 => Body::Answer(Answer::parse(family, version, count, &mut body)?),
            6 => Body::ReviewRequest(ReviewRequest::parse(count, &mut body)?),
            7 => Body::RateRequest(RateRequest::parse(count, &mut body)?),
            8 => Body::RateResponse(RateResponse::parse(family, count, &mut body)?),
            _ => return Err(Refusal::Type),
        };
        body.finish()?;
        let sender = self.head.router;
        match &parsed {
            Body::Confirmation(_) | Body::ReviewRequest(_) | Body::RateRequest(_)
                if self.head.fragments != 1 =>
            {
                Err(Refusal::Fragment)
            }
            Body::Confirmation(confirmation) if confirmation.name.to != sender => {
                Err(Refusal::Move)
            }
            Body::Answer(answer) if answer.name.from != sender => Err(Refusal::Move),
            _ => Ok(parsed),
        }
    }
}

/// The octet of a mode.
const fn mode_octet(mode: Mode) -> u8 {
    match mode {
        Mode::Timer => 1,
        Mode::Sequence => 2,
    }
}

/// The mode of an octet.
const fn mode_of(octet: u8) -> Result<Mode, Refusal> {
    match octet {
        1 => Ok(Mode::Timer),
        2 => Ok(Mode::Sequence),
        _ => Err(Refusal::Value),
    }
}

/// `mask` if `set`.
const fn flag(set: bool, mask: u8) -> u8 {
    if set { mask } else { 0 }
}

/// The number of `list`'s elements, as a one-octet count.
fn count_of<T>(list: &[T]) -> Result<u8, EmitError> {
    u8::try_from(list.len()).map_err(|_| EmitError::TooLong)
}

/// The fragments of a body, each as a body.
fn bodies<T>(fragments: Vec<T>, body: impl Fn(T) -> Body) -> Vec<Body> {
    fragments.into_iter().map(body).collect()
}
