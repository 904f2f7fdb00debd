//! The clear beginning of an envelope (format.md, section 3): what a carrier may know, and the ticket that lists the
//! bodies. Public through `envelope`.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::body;
use crate::card::SUITE;
use crate::cbor::{self, Version};
use crate::envelope::EnvelopeError;
use crate::hash::{Digest, Hasher, Label, hash};
use crate::id::{KeyTag, NodeId, PacketId, Root};
use crate::seal::SEALED_LEAST;
use crate::size;

/// Longest prefix, in bytes.
pub const PREFIX_MOST: usize = 65_536;
/// Most bodies that a packet lists.
pub const BODIES_MOST: usize = 1_024;
/// The stamp that stands for none: CBOR null.
pub(crate) const NO_STAMP: u8 = 0xf6;

/// A body by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(Root, u64)", into = "(Root, u64)")]
pub struct BodyName {
    /// Root of its tree.
    pub root: Root,
    /// Its size, in bytes.
    pub size: u64,
}

impl From<(Root, u64)> for BodyName {
    fn from((root, size): (Root, u64)) -> BodyName {
        BodyName { root, size }
    }
}

impl From<BodyName> for (Root, u64) {
    fn from(body: BodyName) -> (Root, u64) {
        (body.root, body.size)
    }
}

/// The hash of a list of bodies, in their order (format.md, section 10): says which they are without naming one.
pub fn list_hash(bodies: impl IntoIterator<Item = BodyName>) -> Digest {
    let mut hasher = Hasher::new(Label::List);
    for BodyName { root, size } in bodies {
        hasher.update(root.as_bytes());
        hasher.update(&size.to_be_bytes());
    }
    hasher.finish()
}

/// What stands in an envelope for all to see. Comes from [`read_prefix`] only, and keeps every rule then; whether the
/// rest of the envelope belongs to it, only the recipient can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The next node.
    pub to: NodeId,
    /// Last day, counted from 1970-01-01, on which it is taken.
    pub end: u32,
    /// Which exchange key of `to` it is sealed to.
    pub tag: KeyTag,
    /// Priority, 1 (first) to 255 (last).
    pub nice: u8,
    /// Which cryptography.
    pub suite: u8,
    /// KEM share, an X25519 public key.
    pub share: [u8; 32],
    /// Commitment.
    pub commit: Digest,
    /// The ticket: the packet's bodies.
    pub bodies: Vec<BodyName>,
    /// What the hop signature covers.
    pub(crate) digest: Digest,
    /// Length of item 1 and item 2.
    pub(crate) head_len: usize,
}

/// Item 1's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrefixMap {
    pub(crate) v: Version,
    pub(crate) to: NodeId,
    pub(crate) end: u32,
    pub(crate) tag: KeyTag,
    pub(crate) nice: u8,
    #[serde(with = "cbor::fixed")]
    pub(crate) share: [u8; 32],
    pub(crate) suite: u8,
    pub(crate) bodies: Vec<BodyName>,
    #[serde(with = "cbor::fixed")]
    pub(crate) commit: Digest,
}

/// The same without share and commitment: what coins are made of.
#[derive(Serialize)]
pub(crate) struct PrefixCore<'a> {
    pub(crate) v: Version,
    pub(crate) to: NodeId,
    pub(crate) end: u32,
    pub(crate) tag: KeyTag,
    pub(crate) nice: u8,
    pub(crate) suite: u8,
    pub(crate) bodies: &'a [BodyName],
}

impl PrefixCore<'_> {
    /// Completes it.
    pub(crate) fn with(&self, share: [u8; 32], commit: Digest) -> PrefixMap {
        let PrefixCore { v, to, end, tag, nice, suite, bodies } = *self;
        PrefixMap { v, to, end, tag, nice, share, suite, bodies: bodies.to_vec(), commit }
    }
}

/// Reads and checks the clear part of an envelope; `file` is the whole file, whose length must be a size class.
pub fn read_prefix(file: &[u8]) -> Result<Prefix, EnvelopeError> {
    if !size::is_class(file.len() as u64) {
        return Err(EnvelopeError::Length(file.len()));
    }
    let (content, item, rest) = cbor::split_bytes(file, PREFIX_MOST).map_err(EnvelopeError::Prefix)?;
    if rest.first() != Some(&NO_STAMP) {
        return Err(EnvelopeError::Stamp);
    }
    if rest.len() < 1 + SEALED_LEAST {
        return Err(EnvelopeError::Short);
    }
    prefix(content, item.len() + 1)
}

/// The prefix that `content` is, item 1 and item 2 being `head_len` bytes long.
pub(crate) fn prefix(content: &[u8], head_len: usize) -> Result<Prefix, EnvelopeError> {
    let map: PrefixMap = cbor::decode(content).map_err(EnvelopeError::Prefix)?;
    if map.suite != SUITE {
        return Err(EnvelopeError::Suite(map.suite));
    }
    if map.nice == 0 {
        return Err(EnvelopeError::Nice);
    }
    check_bodies(&map.bodies)?;
    let PrefixMap { v: Version, to, end, tag, nice, share, suite, bodies, commit } = map;
    let digest = hash(Label::Prefix, &[content]);
    Ok(Prefix { to, end, tag, nice, suite, share, commit, bodies, digest, head_len })
}

pub(crate) fn check_bodies(bodies: &[BodyName]) -> Result<(), EnvelopeError> {
    if bodies.len() > BODIES_MOST {
        return Err(EnvelopeError::BodyCount(bodies.len()));
    }
    let mut seen = HashSet::with_capacity(bodies.len());
    for body in bodies {
        body::chunk_count(body.size)?;
        if !seen.insert(body.root) {
            return Err(EnvelopeError::Twice(body.root));
        }
    }
    Ok(())
}

/// The packet's id: the hash of its envelope, all of it, whatever it is.
pub fn packet_id(file: &[u8]) -> PacketId {
    PacketId::from_bytes(hash(Label::Packet, &[file]))
}
