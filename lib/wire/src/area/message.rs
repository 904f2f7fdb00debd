//! Messages of an area: a head that whoever relays it can check, and behind it the author's letter, which only readers can open
//! (format.md, section 14).
//!
//! Name and signature cover all of a message but the signature. So a damaged one has another name, one that is signed again the same,
//! and one that is sealed again holds a letter that names another head.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AreaError, PostSecret};
use crate::card::{Card, SUITE};
use crate::cbor::{self, Version};
use crate::envelope::{BodyName, PREFIX_MOST, Prefix, list_hash};
use crate::hash::{Digest, Label, hash, lp};
use crate::id::{AreaId, LetterId, MsgHash};
use crate::key::{ExchangeSecret, NodeSecrets};
use crate::letter::{Bound, Frame, Letter, Posted, Reader, SignedLetter};
use crate::prefix::check_bodies;
use crate::seal::{Agreement, Context, SEALED_LEAST};
use crate::sign::{self, Signature};
use crate::size::{self, NUMBER_MOST};

/// Most bytes of head and sealed letter together: a size class. With the bodies that the head lists, and whatever else an envelope
/// has, they fit into every one, so that no author decides whom a message can go on to.
pub const MESSAGE_MOST: usize = 196_608;

/// What stands before the sealed letter, for whoever has the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Last day, counted from 1970-01-01, on which it is taken.
    pub end: u32,
    /// The area.
    pub area: AreaId,
    /// The post key that it is signed with (Ed25519).
    pub post: [u8; 32],
    /// In a moderated area: the settings that its author knew.
    pub under: Option<Under>,
    /// Its bodies.
    pub bodies: Vec<BodyName>,
    share: [u8; 32],
    commit: Digest,
}

/// Settings of a moderated area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Under {
    /// Their version, 1 to 2^53 - 1.
    pub version: u64,
    /// Their epoch, which says what letters are sealed to, 1 to 2^53 - 1.
    pub epoch: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadMap {
    v: Version,
    end: u32,
    area: AreaId,
    #[serde(with = "cbor::fixed")]
    post: [u8; 32],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(with = "cbor::fixed")]
    share: [u8; 32],
    suite: u8,
    bodies: Vec<BodyName>,
    #[serde(with = "cbor::fixed")]
    commit: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl Head {
    fn to_bytes(&self) -> Vec<u8> {
        let Head { end, area, post, under, ref bodies, share, commit } = *self;
        let (epoch, version) = (under.map(|under| under.epoch), under.map(|under| under.version));
        let (suite, bodies) = (SUITE, bodies.clone());
        cbor::encode(&HeadMap { v: Version, end, area, post, epoch, share, suite, bodies, commit, version })
    }

    fn parse(bytes: &[u8]) -> Result<Head, AreaError> {
        if bytes.len() > PREFIX_MOST {
            return Err(AreaError::Length(bytes.len()));
        }
        let map: HeadMap = cbor::decode(bytes).map_err(AreaError::Head)?;
        let HeadMap { v: Version, end, area, post, epoch, share, suite, bodies, commit, version } = map;
        let is_fit = |number: u64| (1..=NUMBER_MOST).contains(&number);
        let under = match (version, epoch) {
            (None, None) => None,
            (Some(version), Some(epoch)) if is_fit(version) && is_fit(epoch) => Some(Under { version, epoch }),
            _ => return Err(AreaError::Range("version or epoch")),
        };
        if suite != SUITE {
            return Err(AreaError::Suite(suite));
        }
        check_bodies(&bodies).map_err(|error| AreaError::Bodies(Box::new(error)))?;
        Ok(Head { end, area, post, under, bodies, share, commit })
    }
}

/// A message of an area. Until [`AreaMessage::verify_post`] nobody has vouched for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MessageItem", into = "MessageItem")]
pub struct AreaMessage {
    /// What anybody may know.
    pub head: Head,
    bytes: Vec<u8>,
    sealed: Vec<u8>,
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct MessageItem(
    #[serde(with = "cbor::bytes")] Vec<u8>,
    #[serde(with = "cbor::bytes")] Vec<u8>,
    #[serde(with = "cbor::fixed")] Signature,
);

impl TryFrom<MessageItem> for AreaMessage {
    type Error = AreaError;

    fn try_from(MessageItem(bytes, sealed, signature): MessageItem) -> Result<AreaMessage, AreaError> {
        let len = bytes.len() + sealed.len();
        if sealed.len() < SEALED_LEAST || len > MESSAGE_MOST || !size::is_class(len as u64) {
            return Err(AreaError::Length(len));
        }
        Ok(AreaMessage { head: Head::parse(&bytes)?, bytes, sealed, signature })
    }
}

impl From<AreaMessage> for MessageItem {
    fn from(message: AreaMessage) -> MessageItem {
        MessageItem(message.bytes, message.sealed, message.signature)
    }
}

impl fmt::Debug for AreaMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AreaMessage {} of {}", self.hash(), self.head.area)
    }
}

impl AreaMessage {
    /// Reads the bytes of a message that lies by itself.
    pub fn parse(bytes: &[u8]) -> Result<AreaMessage, AreaError> {
        cbor::decode(bytes).map_err(AreaError::Form)
    }

    /// The bytes of a message that lies by itself.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Its name, the same on each node.
    pub fn hash(&self) -> MsgHash {
        MsgHash::from_bytes(hash(Label::Msg, &[&lp(&self.bytes), &self.bytes, &self.sealed]))
    }

    /// Verifies that whoever sent it holds the post key that it names. Whether that one may write here the caller knows.
    pub fn verify_post(&self) -> Result<MsgHash, AreaError> {
        let message = self.hash();
        match sign::verify(&self.head.post, Label::Post, &[message.as_bytes()], &self.signature) {
            true => Ok(message),
            false => Err(AreaError::Signature),
        }
    }

    /// Opens the letter. Its author is a claim until it is verified in this frame.
    pub fn open(&self, read: &ExchangeSecret) -> Result<(SignedLetter, Frame), AreaError> {
        let Head { area, share, commit, .. } = self.head;
        let agreement = Agreement::find(read, Context::Area, area.as_bytes(), share, &commit)?;
        let whole = [&self.bytes[..], &self.sealed].concat();
        let letter = SignedLetter::parse(&agreement.open(&whole, self.bytes.len(), 0)?)?;
        Ok((letter, self.frame()))
    }

    fn frame(&self) -> Frame {
        let Head { area, end, ref bodies, .. } = self.head;
        let to = Bound::Area(area, hash(Label::Head, &[&self.bytes]));
        Frame { to, end, list: list_hash(bodies.iter().copied()) }
    }

    /// Whether it may lie in the envelope with this prefix.
    pub(crate) fn check_in(&self, prefix: &Prefix) -> Result<(), AreaError> {
        if self.head.bodies != prefix.bodies {
            return Err(AreaError::OtherBodies);
        }
        match prefix.end > self.head.end {
            true => Err(AreaError::End { head: self.head.end, envelope: prefix.end }),
            false => Ok(()),
        }
    }
}

/// What a message is made with.
pub struct PostTerms<'a> {
    /// The area.
    pub area: AreaId,
    /// What it is signed with.
    pub post: &'a PostSecret,
    /// What the letter is sealed to.
    pub read: &'a [u8; 32],
    /// In a moderated area: the settings that these are of.
    pub under: Option<Under>,
    /// The author's card.
    pub card: &'a Card,
    /// The message that it answers.
    pub re: Option<MsgHash>,
    /// Random, and used once.
    pub salt: [u8; 32],
}

/// Makes the message that carries `letter`, of which `node` is the author; whom it is for, `terms` say. Refuses whatever a reader
/// would refuse. Gives the message, and the letter's id.
pub fn post(node: &NodeSecrets, letter: &Letter, terms: &PostTerms) -> Result<(AreaMessage, LetterId), AreaError> {
    let PostTerms { area, post, read, under, card, re, ref salt } = *terms;
    let coins = node.coins("area", salt, &[]);
    let agreement = Agreement::new(&coins, Context::Area, area.as_bytes(), read)?;
    let bodies = letter.bodies.iter().map(|body| BodyName { root: body.root, size: body.size }).collect();
    let (share, commit) = (agreement.share, agreement.commit);
    let head = Head { end: letter.end, area, post: post.public(), under, bodies, share, commit };
    let bytes = head.to_bytes();
    Head::parse(&bytes)?;
    let posted = Posted { area, re, card: card.as_bytes().to_vec(), head: hash(Label::Head, &[&bytes]) };
    let signed = Letter { to: Reader::Area(Box::new(posted)), ..letter.clone() }.sign(node);
    let sealed = agreement.seal(&bytes, &cbor::encode_secret(&signed), 0).split_off(bytes.len());
    let mut message = AreaMessage { head, bytes, sealed, signature: [0; 64] };
    signed.check_in(&message.frame())?;
    message.signature = post.sign(&message.hash());
    Ok((message, signed.id()))
}
