//! Envelopes: the small file of a packet, sealed to one next node, with the signature of the neighbour that hands it
//! over inside (format.md, section 3). [`wrap`] makes one; [`read_prefix`] is for whoever carries it; [`open`] and then
//! [`Opened::verify_hop`] are for the node that it is for.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::area::{AreaError, AreaMessage};
use crate::body::BodyError;
use crate::card::SUITE;
use crate::cbor::{self, CborError, Signed, Version};
use crate::hash::{Digest, Label, hash, lp};
use crate::id::{KeyTag, NodeId, PacketId, Root};
use crate::key::{ExchangeSecret, NodeSecrets, key_tag};
use crate::letter::{LetterError, SignedLetter};
use crate::prefix::{self, NO_STAMP, PrefixCore};
use crate::report::{REPORTS_MOST, Report, STATEMENT_MOST};
use crate::route::{RouteError, Routed};
use crate::seal::{Agreement, Context, SEALED_LEAST, SealError};
use crate::sign::{self, Signature};
use crate::size::{self, ENVELOPE_MOST};

pub use crate::prefix::{BODIES_MOST, BodyName, PREFIX_MOST, Prefix, list_hash, packet_id, read_prefix};
pub use crate::seal::Address;

/// How many more times a packet may be wrapped, at its author.
pub const HOPS_MOST: u8 = 16;

/// Longest statement for a neighbour, in bytes.
pub const CONTROL_MOST: usize = 240_000;

/// Most packets that one confirmation names.
pub const CONFIRM_MOST: usize = 512;

/// Why an envelope is refused, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The file's length is no size class.
    #[error("no envelope has {0} bytes")]
    Length(usize),
    /// Item 1 is no prefix.
    #[error("envelope's prefix {0}")]
    Prefix(CborError),
    /// Item 2 is no stamp.
    #[error("envelope has a stamp of a kind that is not known")]
    Stamp,
    /// Nothing, or too little, is sealed.
    #[error("envelope has no room for a sealed part")]
    Short,
    /// A suite that this version does not know.
    #[error("envelope is of suite {0}, which is not known")]
    Suite(u8),
    /// `nice` 0.
    #[error("envelope's nice is 0; 1 to 255 are allowed")]
    Nice,
    /// More bodies than allowed.
    #[error("envelope lists {0} bodies, more than the {BODIES_MOST} allowed")]
    BodyCount(usize),
    /// A body of a size that none has.
    #[error("envelope lists a body of impossible size: {0}")]
    BodySize(#[from] BodyError),
    /// A body listed again.
    #[error("envelope lists body {0} twice")]
    Twice(Root),
    /// For another node.
    #[error("envelope is for {0}")]
    To(NodeId),
    /// Sealed to a key that is not there (any more).
    #[error("envelope is sealed to exchange key {0}, which is not here")]
    NoKey(KeyTag),
    /// The seal does not open.
    #[error("envelope {0}")]
    Seal(#[from] SealError),
    /// What is sealed is no such structure.
    #[error("envelope's sealed part {0}")]
    Inner(CborError),
    /// `hops` out of range.
    #[error("envelope has {0} hops left; 1 to {HOPS_MOST} are allowed")]
    Hops(u8),
    /// The key offered is not that of the neighbour.
    #[error("the key to verify the envelope with is not that of {0}")]
    Key(NodeId),
    /// The hop signature is not the neighbour's.
    #[error("signature does not match: the envelope was not handed over by {0}, or was altered")]
    Signature(NodeId),
    /// The letter inside breaks a rule.
    #[error(transparent)]
    Letter(#[from] LetterError),
    /// The route inside breaks a rule.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The area message inside breaks a rule.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// A confirmation of nothing, or of too much, or with bodies.
    #[error("a confirmation names 1 to {CONFIRM_MOST} packets and lists no bodies")]
    Confirm,
    /// Reports of nothing, or too many, or with bodies, or one that is too long.
    #[error("an envelope of reports has 1 to {REPORTS_MOST} of at most {STATEMENT_MOST} bytes, and lists no bodies")]
    Reports,
    /// A statement that is too long, or with bodies.
    #[error("an envelope with a statement for its node has at most {CONTROL_MOST} bytes of it, and lists no bodies")]
    Control,
    /// What should be sealed does not fit into one.
    #[error("envelope would have {0} bytes, more than the {ENVELOPE_MOST} allowed")]
    Long(u64),
}

/// What an envelope carries, verified as far as its hop signature goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// A letter for the node that the envelope is for.
    Letter(SignedLetter),
    /// A message of an area: who may read it, [`AreaMessage::open`] says.
    Area(Box<AreaMessage>),
    /// A packet under way: what it is here, [`Routed::open`] says.
    Routed(Box<Routed>),
    /// These packets, which the node that the envelope is for handed over, are settled where it comes from: 1 to
    /// [`CONFIRM_MOST`].
    Confirm(Vec<PacketId>),
    /// What is said of packets that the node that the envelope is for handed over: 1 to [`REPORTS_MOST`].
    Reports(Vec<Report>),
    /// A statement for the node that the envelope is for: its bytes, not verified yet; at most [`CONTROL_MOST`].
    Statement(#[serde(with = "cbor::bytes")] Vec<u8>),
}

/// The same as it is read.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ContentItem {
    Letter(Signed),
    Area(Box<AreaMessage>),
    Routed(Box<Routed>),
    Confirm(Vec<PacketId>),
    Reports(Vec<Report>),
    Statement(#[serde(with = "cbor::bytes")] Vec<u8>),
}

impl Content {
    fn check_in(&self, prefix: &Prefix) -> Result<(), EnvelopeError> {
        match self {
            Content::Letter(letter) => Ok(letter.check_in(&prefix.into())?),
            Content::Area(message) => Ok(message.check_in(prefix)?),
            Content::Routed(routed) => Ok(routed.check()?),
            Content::Confirm(packets) => check_confirm(packets, prefix),
            Content::Reports(reports) => check_reports(reports, prefix),
            Content::Statement(statement) => check_statement(statement, prefix),
        }
    }
}

impl TryFrom<ContentItem> for Content {
    type Error = EnvelopeError;

    fn try_from(item: ContentItem) -> Result<Content, EnvelopeError> {
        match item {
            ContentItem::Confirm(packets) => Ok(Content::Confirm(packets)),
            ContentItem::Reports(reports) => Ok(Content::Reports(reports)),
            ContentItem::Statement(statement) => Ok(Content::Statement(statement)),
            ContentItem::Area(message) => Ok(Content::Area(message)),
            ContentItem::Letter(signed) => Ok(Content::Letter(SignedLetter::from_signed(signed)?)),
            ContentItem::Routed(routed) => routed.check().map(|()| Content::Routed(routed)).map_err(Into::into),
        }
    }
}

/// What can be said of a confirmation and the envelope around it.
fn check_confirm(packets: &[PacketId], prefix: &Prefix) -> Result<(), EnvelopeError> {
    if (1..=CONFIRM_MOST).contains(&packets.len()) && prefix.bodies.is_empty() {
        Ok(())
    } else {
        Err(EnvelopeError::Confirm)
    }
}

fn check_statement(statement: &[u8], prefix: &Prefix) -> Result<(), EnvelopeError> {
    let is_right = statement.len() <= CONTROL_MOST && prefix.bodies.is_empty();
    if is_right { Ok(()) } else { Err(EnvelopeError::Control) }
}

fn check_reports(reports: &[Report], prefix: &Prefix) -> Result<(), EnvelopeError> {
    let is_long = |report: &Report| report.statement.len() > STATEMENT_MOST;
    let is_right =
        (1..=REPORTS_MOST).contains(&reports.len()) && prefix.bodies.is_empty() && !reports.iter().any(is_long);
    if is_right { Ok(()) } else { Err(EnvelopeError::Reports) }
}

/// The sealed part without length and padding.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner<C> {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ask: bool,
    #[serde(with = "cbor::fixed")]
    sig: Signature,
    from: NodeId,
    hops: u8,
    content: C,
}

/// What [`wrap`] makes an envelope of.
#[derive(Clone, Debug)]
pub struct Wrap<'a> {
    /// The next node, and its exchange key.
    pub to: &'a Address,
    /// Last day on which it is taken: not after the letter's, nor after `gone_after` of the exchange key.
    pub end: u32,
    /// Priority, 1 to 255.
    pub nice: u8,
    /// How many more times it may be wrapped: [`HOPS_MOST`] at the author.
    pub hops: u8,
    /// The ticket: the bodies that the letter lists, or those that leave with what is under way.
    pub bodies: &'a [BodyName],
    /// Whether a confirmation is asked for.
    pub ask: bool,
    /// What is sealed.
    pub content: &'a Content,
}

impl Wrap<'_> {
    fn core(&self) -> PrefixCore<'_> {
        let (to, tag) = (self.to.id, key_tag(&self.to.exchange));
        let Wrap { end, nice, bodies, .. } = *self;
        PrefixCore { v: Version, to, end, tag, nice, suite: SUITE, bodies }
    }

    /// The private half of the share: a secret function of all that is sealed, so that the same gives the same file
    /// and other content never meets the same key.
    fn coins(&self, node: &NodeSecrets, core: &[u8], content: &[u8]) -> Zeroizing<[u8; 32]> {
        let (from, exchange) = (node.id(), &self.to.exchange);
        let parts: [&[u8]; 7] =
            [&lp(core), core, &lp(exchange), exchange, from.as_bytes(), &[terms(self.hops, self.ask)], content];
        node.secret_hash(Label::Coins, &parts)
    }
}

/// Makes the envelope that `node` hands to `wrap.to`: the same input gives the same bytes. Refuses whatever a reader
/// would refuse.
pub fn wrap(node: &NodeSecrets, wrap: &Wrap) -> Result<Vec<u8>, EnvelopeError> {
    let core = wrap.core();
    let content = cbor::encode_secret(wrap.content);
    let coins = wrap.coins(node, &cbor::encode(&core), &content);
    let agreement = Agreement::new(&coins, Context::Envelope, wrap.to.id.as_bytes(), &wrap.to.exchange)?;
    let mut head = cbor::bytes_item(&cbor::encode(&core.with(agreement.share, agreement.commit)));
    head.push(NO_STAMP);
    let prefix = wrap.check(&head)?;
    let (from, hops, ask) = (node.id(), wrap.hops, wrap.ask);
    let sig = node.sign(Label::Hop, &[&hop(&prefix, from, terms(hops, ask), &hash(Label::Hop, &[&content]))]);
    let inner = cbor::encode_secret(&Inner { ask, sig, from, hops, content: wrap.content });
    let len = size::class((head.len() + inner.len() + SEALED_LEAST) as u64);
    if len > ENVELOPE_MOST as u64 { Err(EnvelopeError::Long(len)) } else { Ok(agreement.seal(&head, &inner, 0)) }
}

impl Wrap<'_> {
    /// Reads back what will stand in clear, and checks it, the hops, and the content against it.
    fn check(&self, head: &[u8]) -> Result<Prefix, EnvelopeError> {
        let (content, ..) = cbor::split_bytes(head, PREFIX_MOST).map_err(EnvelopeError::Prefix)?;
        let prefix = prefix::prefix(content, head.len())?;
        check_hops(self.hops)?;
        self.content.check_in(&prefix)?;
        Ok(prefix)
    }
}

/// `hops` and `ask` in one byte.
fn terms(hops: u8, ask: bool) -> u8 {
    hops | if ask { 0x80 } else { 0 }
}

/// What the hop signature covers, behind its label.
fn hop(prefix: &Prefix, from: NodeId, terms: u8, content: &Digest) -> [u8; 129] {
    let mut out = [0; 129];
    out[..32].copy_from_slice(&prefix.digest);
    out[32..64].copy_from_slice(from.as_bytes());
    out[64..96].copy_from_slice(prefix.to.as_bytes());
    out[96] = terms;
    out[97..].copy_from_slice(content);
    out
}

fn check_hops(hops: u8) -> Result<(), EnvelopeError> {
    if (1..=HOPS_MOST).contains(&hops) { Ok(()) } else { Err(EnvelopeError::Hops(hops)) }
}

/// An envelope that opened: whole, and for us. Who handed it over is a claim until [`Opened::verify_hop`].
pub struct Opened {
    /// What stood in clear; authenticated by the seal.
    pub prefix: Prefix,
    /// The neighbour that handed it over, as it claims.
    pub from: NodeId,
    /// How many more times it may be wrapped.
    pub hops: u8,
    /// Whether it asks for a confirmation.
    pub ask: bool,
    sig: Signature,
    content_digest: Digest,
    content: ContentItem,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened from {} to {}", self.from, self.prefix.to)
    }
}

/// Opens the envelope `file` as node `to`. `find_key` gives the exchange key of a tag, or `None` where it is not there.
pub fn open<K: Borrow<ExchangeSecret>>(
    file: &[u8],
    to: NodeId,
    find_key: impl FnOnce(KeyTag) -> Option<K>,
) -> Result<Opened, EnvelopeError> {
    let prefix = read_prefix(file)?;
    if prefix.to != to {
        return Err(EnvelopeError::To(prefix.to));
    }
    let secret = find_key(prefix.tag).ok_or(EnvelopeError::NoKey(prefix.tag))?;
    let agreement = Agreement::find(secret.borrow(), Context::Envelope, to.as_bytes(), prefix.share, &prefix.commit)?;
    let inner = agreement.open(file, prefix.head_len, 0)?;
    let inner: Inner<ContentItem> = cbor::decode(&inner).map_err(EnvelopeError::Inner)?;
    check_hops(inner.hops)?;
    let content_digest = hash(Label::Hop, &[&cbor::encode_secret(&inner.content)]);
    let Inner { ask, sig, from, hops, content } = inner;
    Ok(Opened { prefix, from, hops, ask, sig, content_digest, content })
}

impl Opened {
    /// Verifies that `from`, whose identity key this is, handed the packet over, and gives what it carries.
    pub fn verify_hop(self, identity: &[u8; 32]) -> Result<Content, EnvelopeError> {
        if NodeId::of(identity) != self.from {
            return Err(EnvelopeError::Key(self.from));
        }
        let message = hop(&self.prefix, self.from, terms(self.hops, self.ask), &self.content_digest);
        if !sign::verify(identity, Label::Hop, &[&message], &self.sig) {
            return Err(EnvelopeError::Signature(self.from));
        }
        match &self.content {
            ContentItem::Confirm(packets) => check_confirm(packets, &self.prefix)?,
            ContentItem::Reports(reports) => check_reports(reports, &self.prefix)?,
            ContentItem::Statement(statement) => check_statement(statement, &self.prefix)?,
            ContentItem::Area(message) => message.check_in(&self.prefix)?,
            ContentItem::Letter(_) | ContentItem::Routed(_) => {}
        }
        self.content.try_into()
    }
}
