//! Replies: how the recipient of an onion answers its author, whom it could not find (format.md, section 13). The author lays a
//! [`ReplyRoute`] into the letter and keeps what is [`Awaited`]; the recipient puts one statement into it, once; at its end, which
//! is the author, it is [`Returned`].

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_LEN};
use crate::cbor;
use crate::hash::{Digest, Label, keyed};
use crate::id::{KeyTag, SlotTag};
use crate::report::STATEMENT_MOST;
use crate::route::{BLOCK_LEN, Head, ONION_LEAST, Routed, xor_stream};

/// Bytes of a reply's payload: as few as any onion's.
pub const REPLY_LEN: usize = ONION_LEAST;
/// Bytes of the salt before what is sealed.
const SALT_LEN: usize = 32;

/// Why a reply is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// Longer than any statement.
    #[error("reply has {0} bytes, more than the {STATEMENT_MOST} allowed")]
    Long(usize),
    /// Not what the recipient sealed.
    #[error("reply does not open: it was altered, or is not by the node that was written to")]
    Altered,
    /// Opened, but not as it should be filled up or keyed.
    #[error("reply is not in its one form")]
    Form,
}

/// A secret of 32 bytes. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
struct Secret(Zeroizing<[u8; 32]>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        cbor::fixed::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Secret, D::Error> {
        cbor::fixed::deserialize(d).map(|bytes| Secret(Zeroizing::new(bytes)))
    }
}

impl Secret {
    /// The key for one statement. It depends on the statement, through `salt`: whoever answers anew after a crash, with another time
    /// in it, seals with another key.
    fn key(&self, salt: &Digest) -> Zeroizing<Digest> {
        Zeroizing::new(keyed(&self.0, Label::Key, &[salt]))
    }

    fn salt(&self, statement: &[u8]) -> Digest {
        keyed(&self.0, Label::Commit, &[statement])
    }
}

/// The way back that an author lays into the letter of an onion. For one answer: relays drop a second one as a copy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ReplyMap", into = "ReplyMap")]
pub struct ReplyRoute {
    /// Last day, counted from 1970-01-01, on which it is of use.
    pub end: u32,
    /// Priority of what goes by it, 1 to 255: as that of the onion.
    pub nice: u8,
    seal: Secret,
    head: Head,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyMap {
    end: u32,
    key: KeyTag,
    tag: SlotTag,
    nice: u8,
    seal: Secret,
    #[serde(with = "cbor::fixed")]
    block: [u8; BLOCK_LEN],
    #[serde(with = "cbor::fixed")]
    share: [u8; 32],
    #[serde(with = "cbor::fixed")]
    commit: Digest,
}

impl From<ReplyMap> for ReplyRoute {
    fn from(map: ReplyMap) -> ReplyRoute {
        let ReplyMap { end, key, tag, nice, seal, block, share, commit } = map;
        ReplyRoute { end, nice, seal, head: Head { key, tag, block, share, commit } }
    }
}

impl From<ReplyRoute> for ReplyMap {
    fn from(route: ReplyRoute) -> ReplyMap {
        let ReplyRoute { end, nice, seal, head: Head { key, tag, block, share, commit } } = route;
        ReplyMap { end, key, tag, nice, seal, block, share, commit }
    }
}

impl fmt::Debug for ReplyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyRoute {}", self.head.tag)
    }
}

impl ReplyRoute {
    pub(crate) fn new(end: u32, nice: u8, seal: Zeroizing<[u8; 32]>, head: Head) -> ReplyRoute {
        ReplyRoute { end, nice, seal: Secret(seal), head }
    }

    /// What goes to the first hop of the way back, which is the neighbour that handed the onion over, in an envelope without bodies,
    /// with this priority, and with no later day than `end`. The same statement gives the same bytes.
    pub fn answer(&self, statement: &[u8]) -> Result<Routed, ReplyError> {
        if statement.len() > STATEMENT_MOST {
            return Err(ReplyError::Long(statement.len()));
        }
        let salt = self.seal.salt(statement);
        let mut payload = vec![0; REPLY_LEN];
        let (head, sealed) = payload.split_at_mut(SALT_LEN);
        head.copy_from_slice(&salt);
        let (len, rest) = sealed.split_at_mut(4);
        len.copy_from_slice(&(statement.len() as u32).to_be_bytes());
        rest[..statement.len()].copy_from_slice(statement);
        aead::seal(&self.seal.key(&salt), &aead::ONCE, &[], sealed);
        Ok(self.head.clone().with_payload(payload))
    }
}

/// What an author keeps until the reply comes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Awaited {
    seal: Secret,
    /// The keys of all hops for the payload.
    strip: Vec<Secret>,
}

impl fmt::Debug for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Awaited by {} hops", self.strip.len())
    }
}

impl Awaited {
    pub(crate) fn new(seal: Zeroizing<[u8; 32]>, strip: Vec<Zeroizing<Digest>>) -> Awaited {
        Awaited { seal: Secret(seal), strip: strip.into_iter().map(Secret).collect() }
    }

    /// The statement that the recipient put into it. Who signed that, and whether it holds, is not looked at.
    pub fn open(&self, returned: &Returned) -> Result<Vec<u8>, ReplyError> {
        let mut payload = returned.payload.clone();
        self.strip.iter().for_each(|key| xor_stream(&key.0, &mut payload));
        let (salt, sealed) = payload.split_first_chunk_mut::<SALT_LEN>().ok_or(ReplyError::Form)?;
        let opened = aead::open(&self.seal.key(salt), &aead::ONCE, &[], sealed).map_err(|_| ReplyError::Altered)?;
        let (len, rest) = opened.split_first_chunk::<4>().ok_or(ReplyError::Form)?;
        let len = u32::from_be_bytes(*len) as usize;
        if len > STATEMENT_MOST {
            return Err(ReplyError::Long(len));
        }
        let (statement, padding) = rest.split_at_checked(len).ok_or(ReplyError::Form)?;
        let is_right = padding.iter().all(|byte| *byte == 0) && self.seal.salt(statement) == *salt;
        if is_right { Ok(statement.to_vec()) } else { Err(ReplyError::Form) }
    }
}

/// What ends here as an onion and holds no letter: a reply, if its slot is one that somebody here made for one.
#[derive(Clone, Debug)]
pub struct Returned {
    /// The tag of this hop.
    pub tag: SlotTag,
    /// Last day of its slot.
    pub end: u32,
    /// Without the keystream of this hop.
    pub(crate) payload: Vec<u8>,
}

const _: () = assert!(SALT_LEN + 4 + STATEMENT_MOST + TAG_LEN <= REPLY_LEN);
