//! What is said in a call: messages in the stream of bytes that the frames carry (format.md, section 9). Each has a head of
//! four bytes, its kind and the length of its content, which is bounded by the kind. Whether a message may come now is
//! not checked here.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::body::{CHUNK_LEN, CHUNKS_MOST};
use crate::cbor::{self, CborError, Version};
use crate::id::PacketId;
use crate::size::{ENVELOPE_MOST, NUMBER_MOST};

/// Bytes of a message's head.
pub const HEAD_LEN: usize = 4;
/// Most entries of a message that is a list.
pub const LIST_MOST: usize = 256;
/// Most chunks of one message.
pub const DATA_CHUNKS_MOST: usize = 4;
/// Longest content of a message that is CBOR.
const CBOR_MOST: usize = 16 * 1024;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// A kind that is not known.
    #[error("message of a kind that is not known: {0}")]
    Kind(u8),
    /// Longer than its kind allows.
    #[error("message of kind {kind} claims {len} bytes, more than allowed")]
    Long {
        /// Its kind.
        kind: u8,
        /// What it claims.
        len: usize,
    },
    /// Its content has another form.
    #[error("message of kind {kind} {cause}")]
    Form {
        /// Its kind.
        kind: u8,
        /// What is wrong.
        cause: CborError,
    },
    /// A number in it, or how many entries it has, is out of range.
    #[error("message of kind {kind} has a number out of range")]
    Range {
        /// Its kind.
        kind: u8,
    },
}

/// What each side says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    v: Version,
    /// Only packets of at most this `nice` are wanted, 1 to 255.
    pub nice: u8,
    /// Whether packets are wanted at all.
    pub take: bool,
    /// Whether envelopes are wanted before their bodies are there, and taken note of before these have come.
    pub eager: bool,
    /// Seconds in which something should be said, if only a ping; 1 to 3600.
    pub ping_secs: u16,
}

impl Hello {
    /// Says these things, and is not eager.
    pub fn new(take: bool, nice: u8, ping_secs: u16) -> Hello {
        Hello { v: Version, nice, take, eager: false, ping_secs }
    }

    /// The same, and whether it is eager.
    pub fn eager(self, eager: bool) -> Hello {
        Hello { eager, ..self }
    }

    fn is_sound(&self) -> bool {
        self.nice > 0 && (1..=3600).contains(&self.ping_secs)
    }
}

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OfferItem", into = "OfferItem")]
pub struct Offer {
    /// Which one.
    pub packet: PacketId,
    /// Its priority.
    pub nice: u8,
    /// Bytes of its envelope.
    pub envelope_len: u64,
    /// Bytes of its bodies.
    pub bodies_len: u64,
}

#[derive(Serialize, Deserialize)]
struct OfferItem(PacketId, u8, u64, u64);

impl From<OfferItem> for Offer {
    fn from(OfferItem(packet, nice, envelope_len, bodies_len): OfferItem) -> Offer {
        Offer { packet, nice, envelope_len, bodies_len }
    }
}

impl From<Offer> for OfferItem {
    fn from(offer: Offer) -> OfferItem {
        OfferItem(offer.packet, offer.nice, offer.envelope_len, offer.bodies_len)
    }
}

impl Offer {
    fn is_sound(&self) -> bool {
        self.nice > 0
            && (1..=ENVELOPE_MOST as u64).contains(&self.envelope_len)
            && self.bodies_len <= NUMBER_MOST - ENVELOPE_MOST as u64
    }
}

/// A body that is wanted: the one that `packet` lists as number `number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AskItem", into = "AskItem")]
pub struct Ask {
    /// Through which packet.
    pub packet: PacketId,
    /// Which one, from 0.
    pub number: u16,
    /// What of it.
    pub part: Part,
}

/// What is wanted of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All: its leaves, then its chunks.
    All,
    /// Only its leaves: something of it is there, and is to be compared with them.
    Leaves,
    /// The chunks from this one to the last.
    From(u32),
}

#[derive(Serialize, Deserialize)]
struct AskItem(PacketId, u16, i64);

impl From<AskItem> for Ask {
    fn from(AskItem(packet, number, part): AskItem) -> Ask {
        let part = match u32::try_from(part) {
            Ok(first) => Part::From(first),
            Err(_) if part == -1 => Part::All,
            Err(_) => Part::Leaves,
        };
        Ask { packet, number, part }
    }
}

impl From<Ask> for AskItem {
    fn from(ask: Ask) -> AskItem {
        let part = match ask.part {
            Part::From(first) => i64::from(first),
            Part::All => -1,
            Part::Leaves => -2,
        };
        AskItem(ask.packet, ask.number, part)
    }
}

/// Why a packet is not taken now. It stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is no room for it.
    Room,
    /// More than its neighbour may store here.
    Quota,
    /// Another call takes from the same neighbour.
    Busy,
    /// Its `nice` is too high, or nothing is wanted.
    Unwanted,
    /// The other side was asked to stop.
    Stopping,
    /// Not all of it could be had.
    Incomplete,
}

const REASONS: [Reason; 6] =
    [Reason::Room, Reason::Quota, Reason::Busy, Reason::Unwanted, Reason::Stopping, Reason::Incomplete];

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let number = REASONS.iter().position(|reason| reason == self).unwrap_or_default();
        s.serialize_u8(number as u8 + 1)
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(d)?;
        let known = usize::from(number).checked_sub(1).and_then(|at| REASONS.get(at));
        known.copied().ok_or_else(|| serde::de::Error::custom("unknown reason"))
    }
}

/// What stays that waits for the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// Perhaps something: it was not wanted, not taken, not to be had, or not to be given now.
    Something,
    /// Perhaps all: another call gives to the same neighbour.
    Busy,
}

const RESTS: [Rest; 3] = [Rest::Nothing, Rest::Something, Rest::Busy];

impl Serialize for Rest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(RESTS.iter().position(|rest| rest == self).unwrap_or_default() as u8)
    }
}

impl<'de> Deserialize<'de> for Rest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let known = RESTS.get(usize::from(u8::deserialize(d)?));
        known.copied().ok_or_else(|| serde::de::Error::custom("unknown rest"))
    }
}

/// One thing that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The first message of each side.
    Hello(Hello),
    /// Packets that wait, the most urgent first.
    Offer(Vec<Offer>),
    /// Their envelopes are wanted.
    Want(Vec<PacketId>),
    /// An envelope that was wanted.
    Envelope(&'a [u8]),
    /// A body is wanted.
    Ask(Ask),
    /// The leaves of the body that was asked for first and has had no answer, all of them, 32 bytes each.
    Leaves(&'a [u8]),
    /// The next chunks of that body, whole ones, at most [`DATA_CHUNKS_MOST`].
    Data(&'a [u8]),
    /// These packets are here, whole and durable.
    Landed(Vec<PacketId>),
    /// These are not taken now.
    Refuse(Vec<(PacketId, Reason)>),
    /// These are not offered any more; what was asked of them gets no answer.
    Withdraw(Vec<PacketId>),
    /// Everything that was offered is settled, and nothing more will be.
    Done(Rest),
    /// I am still here.
    Ping,
    /// The body that was asked for first and has had no answer, by the packet and its number there, has not come here yet. That is its answer.
    Lack(PacketId, u16),
}

const DATA: u8 = 7;
const PING: u8 = 12;

/// The ping, whole.
pub const PING_BYTES: [u8; HEAD_LEN] = [PING, 0, 0, 0];

impl Message<'_> {
    fn kind(&self) -> u8 {
        match self {
            Message::Hello(_) => 1,
            Message::Offer(_) => 2,
            Message::Want(_) => 3,
            Message::Envelope(_) => 4,
            Message::Ask(_) => 5,
            Message::Leaves(_) => 6,
            Message::Data(_) => DATA,
            Message::Landed(_) => 8,
            Message::Refuse(_) => 9,
            Message::Withdraw(_) => 10,
            Message::Done(_) => 11,
            Message::Ping => PING,
            Message::Lack(..) => 13,
        }
    }

    /// Adds the message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Message::Hello(hello) => self.put(&cbor::encode(hello), out),
            Message::Offer(offers) => self.put(&cbor::encode(offers), out),
            Message::Want(packets) | Message::Landed(packets) | Message::Withdraw(packets) => {
                self.put(&cbor::encode(packets), out);
            }
            Message::Ask(ask) => self.put(&cbor::encode(ask), out),
            Message::Refuse(refused) => self.put(&cbor::encode(refused), out),
            Message::Envelope(bytes) | Message::Leaves(bytes) | Message::Data(bytes) => self.put(bytes, out),
            Message::Done(rest) => self.put(&cbor::encode(rest), out),
            Message::Ping => self.put(&[], out),
            Message::Lack(packet, number) => self.put(&cbor::encode(&(packet, number)), out),
        }
    }

    fn put(&self, content: &[u8], out: &mut Vec<u8>) {
        let len = (content.len() as u32).to_be_bytes();
        out.extend_from_slice(&[self.kind(), len[1], len[2], len[3]]);
        out.extend_from_slice(content);
    }

    /// Adds a [`Message::Data`] of `len` bytes, which `fill` writes in place.
    pub fn write_data<E>(
        len: usize,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = out.len();
        let head = (len as u32).to_be_bytes();
        out.extend_from_slice(&[DATA, head[1], head[2], head[3]]);
        out.resize(start + HEAD_LEN + len, 0);
        let filled = fill(&mut out[start + HEAD_LEN..]);
        if filled.is_err() {
            out.truncate(start);
        }
        filled
    }

    /// Reads the content of a message of `kind`, which is no longer than allowed.
    fn read(kind: u8, content: &[u8]) -> Result<Message<'_>, MessageError> {
        let range = MessageError::Range { kind };
        match kind {
            1 => checked(kind, content, Hello::is_sound).map(Message::Hello),
            2 => list(kind, content, Offer::is_sound).map(Message::Offer),
            3 => list(kind, content, |_| true).map(Message::Want),
            4 if !content.is_empty() => Ok(Message::Envelope(content)),
            5 => checked(kind, content, |_| true).map(Message::Ask),
            6 if !content.is_empty() && content.len().is_multiple_of(32) => Ok(Message::Leaves(content)),
            DATA if !content.is_empty() => Ok(Message::Data(content)),
            8 => list(kind, content, |_| true).map(Message::Landed),
            9 => list(kind, content, |_| true).map(Message::Refuse),
            10 => list(kind, content, |_| true).map(Message::Withdraw),
            11 => checked(kind, content, |_| true).map(Message::Done),
            PING => Ok(Message::Ping),
            13 => checked(kind, content, |_| true).map(|(packet, number)| Message::Lack(packet, number)),
            _ => Err(range),
        }
    }
}

/// Most bytes that a message of `kind` may hold; `None`: there is no such kind.
fn most(kind: u8) -> Option<usize> {
    match kind {
        1 | 2 | 3 | 5 | 8 | 9 | 10 | 13 => Some(CBOR_MOST),
        4 => Some(ENVELOPE_MOST),
        6 => Some(CHUNKS_MOST as usize * 32),
        DATA => Some(DATA_CHUNKS_MOST * CHUNK_LEN),
        11 => Some(1),
        PING => Some(0),
        _ => None,
    }
}

fn checked<T: DeserializeOwned + Serialize>(
    kind: u8,
    content: &[u8],
    is_sound: impl Fn(&T) -> bool,
) -> Result<T, MessageError> {
    let value = cbor::decode(content).map_err(|cause| MessageError::Form { kind, cause })?;
    if is_sound(&value) { Ok(value) } else { Err(MessageError::Range { kind }) }
}

/// A list that is neither empty nor too long.
fn list<T: DeserializeOwned + Serialize>(
    kind: u8,
    content: &[u8],
    is_sound: impl Fn(&T) -> bool,
) -> Result<Vec<T>, MessageError> {
    checked(kind, content, |items: &Vec<T>| (1..=LIST_MOST).contains(&items.len()) && items.iter().all(&is_sound))
}

/// The length of the message that `bytes` begins with, head and all, once its head is there. Refused before the rest comes
/// if it is too long for its kind.
fn whole_len(bytes: &[u8]) -> Result<Option<usize>, MessageError> {
    let Some(&[kind, a, b, c]) = bytes.first_chunk::<HEAD_LEN>() else { return Ok(None) };
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    match most(kind) {
        None => Err(MessageError::Kind(kind)),
        Some(most) if len > most => Err(MessageError::Long { kind, len }),
        Some(_) => Ok(Some(HEAD_LEN + len)),
    }
}

/// Puts messages together from bytes as they come. Holds no more than came, which its user bounds by reading on.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    used: usize,
}

impl Inbox {
    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.end().extend_from_slice(bytes);
    }

    /// Where more bytes may be added in place.
    pub fn end(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..std::mem::take(&mut self.used));
        &mut self.bytes
    }

    /// Takes out the messages that are whole, to be read elsewhere; `next`, which is empty, is used for what follows. Empty:
    /// there are none.
    pub fn take_whole(&mut self, mut next: Vec<u8>) -> Result<Vec<u8>, MessageError> {
        let mut len = self.used;
        while let Some(more) = whole_len(&self.bytes[len..])?
            && more <= self.bytes.len() - len
        {
            len += more;
        }
        if len == self.used {
            return Ok(next);
        }
        next.extend_from_slice(&self.bytes[len..]);
        let mut whole = std::mem::replace(&mut self.bytes, next);
        whole.truncate(len);
        whole.drain(..std::mem::take(&mut self.used));
        Ok(whole)
    }

    /// The next message that is whole.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, MessageError> {
        let rest = &self.bytes[self.used..];
        match whole_len(rest)? {
            Some(len) if len <= rest.len() => {
                self.used += len;
                Message::read(rest[0], &rest[HEAD_LEN..len]).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The whole chunks of a [`Message::Data`] that was cut short: nothing more will come.
    pub fn cut_data(&self) -> Option<Message<'_>> {
        let rest = &self.bytes[self.used..];
        let content = rest.get(HEAD_LEN..).filter(|_| rest[0] == DATA)?;
        let whole = content.len() / CHUNK_LEN * CHUNK_LEN;
        (whole > 0).then(|| Message::Data(&content[..whole]))
    }

    /// The bytes that it holds.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl From<Vec<u8>> for Inbox {
    fn from(bytes: Vec<u8>) -> Inbox {
        Inbox { bytes, used: 0 }
    }
}
