//! Letters: what only the final reader sees, signed by the author (format.md, section 6).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::body::{self, BodyKey, PLAIN_MOST};
use crate::card::Card;
use crate::cbor::{self, CborError, Signed, Version};
use crate::envelope::{BODIES_MOST, BodyName, Prefix, list_hash};
use crate::folder::{FileTime, check_mode, check_nanos};
use crate::hash::{Digest, Label, hash};
use crate::id::{AreaId, LetterId, MsgHash, NodeId, Root};
use crate::key::NodeSecrets;
use crate::list::Forwarded;
use crate::path::{self, PathError};
use crate::reply::ReplyRoute;
use crate::sign;
use crate::size::NUMBER_MOST;

/// Longest payload that lies in the letter itself, in bytes.
pub const INLINE_MOST: usize = 32_768;

/// Most arguments of a command.
pub const ARGUMENTS_MOST: usize = 256;
/// Most bytes of all of them.
pub const ARGUMENTS_LEN_MOST: usize = 16 * 1024;

/// Why a letter is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LetterError {
    /// Not a letter's structure.
    #[error("letter {0}")]
    Form(#[from] CborError),
    /// The path breaks the rule.
    #[error("letter's {0}")]
    Path(#[from] PathError),
    /// Not a handle.
    #[error("letter's handle is none: 1 to 64 of a-z A-Z 0-9 - _ . are")]
    Handle,
    /// Too many arguments, or too long, or with a zero byte.
    #[error(
        "letter's arguments: more than {ARGUMENTS_MOST}, or than {ARGUMENTS_LEN_MOST} bytes, or with a zero byte in them"
    )]
    Arguments,
    /// A request that brings something.
    #[error("letter is a request and has a payload")]
    Request,
    /// A number outside its range.
    #[error("letter's {0} is out of range")]
    Range(&'static str),
    /// More bodies than allowed.
    #[error("letter lists {0} bodies, more than the {BODIES_MOST} allowed")]
    BodyCount(usize),
    /// A way back for a receipt that nobody wants.
    #[error("letter has a way back and wants no receipt")]
    Reply,
    /// A payload both inline and in bodies, or neither.
    #[error("letter's payload must lie either in it or in bodies")]
    Payload,
    /// An inline payload over the limit.
    #[error("letter holds {0} bytes of payload, more than the {INLINE_MOST} allowed")]
    Inline(usize),
    /// A body that cannot hold its range.
    #[error("body {0} of the letter cannot hold what it should")]
    Body(usize),
    /// The letter is for somebody else than what it lies in.
    #[error("letter is for {0}, not for whom it was sealed to")]
    To(Bound),
    /// The letter lies behind another head than that which it was written for.
    #[error("letter was written for another message of the area: it was sealed anew")]
    Head,
    /// Something that a letter to an area cannot have.
    #[error("letter to an area {0}")]
    Posted(&'static str),
    /// A list's letter that does not fit what it sends on.
    #[error("letter of a list {0}")]
    List(&'static str),
    /// The letter that a list sends on does not hold.
    #[error("letter that a list sends on: {0}")]
    Forwarded(Box<LetterError>),
    /// The card in it is none, or another node's than its author's.
    #[error("letter's card of its author: {0}")]
    Card(String),
    /// What it lies in outlives the letter.
    #[error("letter ends on day {letter}, before what it lies in on day {frame}")]
    End {
        /// Last day of the letter.
        letter: u32,
        /// Last day of what it lies in.
        frame: u32,
    },
    /// The bodies that came with it are others.
    #[error("letter lists other bodies than what it lies in")]
    Bodies,
    /// The key offered is not the author's.
    #[error("the key to verify the letter with is not that of its author {0}")]
    Key(NodeId),
    /// The signature is not the author's.
    #[error("signature does not match: the letter is not from its author {0}, or was altered")]
    Signature(NodeId),
}

/// Whom a letter is bound to: nobody else can show it as a letter to himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The node that opened it.
    Node(NodeId),
    /// An area, and the one message of it that the letter lies in: the hash of its head.
    Area(AreaId, Digest),
}

impl From<NodeId> for Bound {
    fn from(node: NodeId) -> Bound {
        Bound::Node(node)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Node(node) => node.fmt(f),
            Bound::Area(area, _) => area.fmt(f),
        }
    }
}

/// What a letter lies in, an envelope, the last slot of a route, or an area message: the two must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who opened it.
    pub to: Bound,
    /// Last day, counted from 1970-01-01, on which it is taken.
    pub end: u32,
    /// Which bodies came with it: their [`list_hash`].
    pub list: Digest,
}

impl From<&Prefix> for Frame {
    fn from(prefix: &Prefix) -> Frame {
        Frame { to: prefix.to.into(), end: prefix.end, list: list_hash(prefix.bodies.iter().copied()) }
    }
}

/// How a body's plaintext holds its range of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Codec {
    /// As it is.
    Plain,
    /// As one zstd frame.
    Zstd,
}

impl From<Codec> for u8 {
    fn from(codec: Codec) -> u8 {
        match codec {
            Codec::Plain => 0,
            Codec::Zstd => 1,
        }
    }
}

impl TryFrom<u8> for Codec {
    type Error = String;

    fn try_from(number: u8) -> Result<Codec, String> {
        match number {
            0 => Ok(Codec::Plain),
            1 => Ok(Codec::Zstd),
            other => Err(format!("unknown codec {other}")),
        }
    }
}

/// One body of a letter, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BodyItem", into = "BodyItem")]
pub struct LetterBody {
    /// The body's name.
    pub root: Root,
    /// Its size, in bytes.
    pub size: u64,
    /// What opens it.
    pub key: BodyKey,
    /// Length of its range of the payload, 1 to 2^30.
    pub len: u64,
    /// How the range lies in it.
    pub codec: Codec,
}

#[derive(Serialize, Deserialize)]
struct BodyItem(Root, u64, BodyKey, u64, Codec);

impl From<BodyItem> for LetterBody {
    fn from(BodyItem(root, size, key, len, codec): BodyItem) -> LetterBody {
        LetterBody { root, size, key, len, codec }
    }
}

impl From<LetterBody> for BodyItem {
    fn from(body: LetterBody) -> BodyItem {
        BodyItem(body.root, body.size, body.key, body.len, body.codec)
    }
}

impl LetterBody {
    /// A body can hold its range: a plain one may be padded, but not too short; of a compressed one only the sizes
    /// say little.
    fn is_possible(&self) -> bool {
        let enough = match self.codec {
            Codec::Plain => self.len,
            Codec::Zstd => 1,
        };
        (1..=PLAIN_MOST).contains(&self.len) && body::plain_len(self.size).is_ok_and(|plain| plain >= enough)
    }
}

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A file's content.
    Plain,
    /// A folder (`folder.rs`).
    Folder,
}

/// A file or folder that is to be put somewhere below the receiver's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMeta {
    /// The letter that this answers: a request, or one whose command had something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<LetterId>,
    /// What the payload is.
    pub form: Form,
    /// Permission bits, 0 to 0o777.
    pub mode: u32,
    /// Where it is to go.
    #[serde(with = "cbor::bytes")]
    pub path: Vec<u8>,
    /// Time of last change.
    pub mtime: FileTime,
}

/// A command that is to be run with the payload as its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecMeta {
    /// Arguments behind those that the receiver has configured, at most [`ARGUMENTS_MOST`], with [`ARGUMENTS_LEN_MOST`] bytes in all.
    pub args: Vec<Argument>,
    /// What the receiver knows the command by: see [`check_handle`].
    pub handle: String,
}

/// An argument of a command: any bytes but zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Argument(#[serde(with = "cbor::bytes")] pub Vec<u8>);

/// A file or folder that the receiver is asked for, or the list of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestMeta {
    /// Whether names are asked for, not contents.
    pub list: bool,
    /// Of what; empty only with `list`: of all that is shared.
    #[serde(with = "cbor::bytes")]
    pub path: Vec<u8>,
}

/// What a letter is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file or folder.
    File(FileMeta),
    /// The standard input of a command.
    Exec(ExecMeta),
    /// A request for a file; its payload is empty.
    Request(RequestMeta),
}

impl Kind {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::File(_) => "file",
            Kind::Exec(_) => "exec",
            Kind::Request(_) => "request",
        }
    }

    /// The file or folder, if it is one.
    pub fn as_file(&self) -> Option<&FileMeta> {
        match self {
            Kind::File(file) => Some(file),
            Kind::Exec(_) | Kind::Request(_) => None,
        }
    }

    fn check(&self) -> Result<(), LetterError> {
        match self {
            Kind::File(file) => {
                path::check(&file.path)?;
                check_mode(file.mode).and(check_nanos(file.mtime.1)).map_err(LetterError::Range)
            }
            Kind::Exec(exec) => {
                let len: usize = exec.args.iter().map(|argument| argument.0.len()).sum();
                let has_zero = exec.args.iter().any(|argument| argument.0.contains(&0));
                if !check_handle(&exec.handle) {
                    return Err(LetterError::Handle);
                }
                if exec.args.len() > ARGUMENTS_MOST || len > ARGUMENTS_LEN_MOST || has_zero {
                    return Err(LetterError::Arguments);
                }
                Ok(())
            }
            Kind::Request(RequestMeta { list: true, path }) if path.is_empty() => Ok(()),
            Kind::Request(request) => Ok(path::check(&request.path)?),
        }
    }
}

/// Whether a text may be a handle: 1 to 64 of `a-z A-Z 0-9 - _ .`, beginning with a letter or digit.
pub fn check_handle(handle: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&handle.len()) && handle.as_bytes()[0].is_ascii_alphanumeric() && handle.bytes().all(is_fit)
}

/// What an author asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Wants {
    /// Word of how far it has come, from those who have it.
    pub receipt: bool,
    /// A trace of its path.
    pub trace: bool,
}

const RECEIPT: u8 = 1;
const TRACE: u8 = 2;

impl Wants {
    fn is_none(&self) -> bool {
        *self == Wants::default()
    }
}

impl From<Wants> for u8 {
    fn from(wants: Wants) -> u8 {
        (if wants.receipt { RECEIPT } else { 0 }) | (if wants.trace { TRACE } else { 0 })
    }
}

impl TryFrom<u8> for Wants {
    type Error = String;

    fn try_from(bits: u8) -> Result<Wants, String> {
        // Who wants nothing leaves it out.
        match bits {
            1..=3 => Ok(Wants { receipt: bits & RECEIPT != 0, trace: bits & TRACE != 0 }),
            other => Err(format!("unknown wants {other}")),
        }
    }
}

/// Whom a letter is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A node.
    Node(NodeId),
    /// The readers of an area.
    Area(Box<Posted>),
}

impl From<NodeId> for Reader {
    fn from(node: NodeId) -> Reader {
        Reader::Node(node)
    }
}

impl Reader {
    /// What the letter is bound to.
    pub fn bound(&self) -> Bound {
        match self {
            Reader::Node(node) => Bound::Node(*node),
            Reader::Area(posted) => Bound::Area(posted.area, posted.head),
        }
    }
}

/// What a letter to an area has besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The area.
    pub area: AreaId,
    /// The message that it answers.
    pub re: Option<MsgHash>,
    /// The author's card, so that whoever does not know the author can verify the letter.
    pub card: Vec<u8>,
    /// The hash of the head of the area message that it lies in.
    pub head: Digest,
}

/// The same without the area, which the letter names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedMap {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    re: Option<MsgHash>,
    #[serde(with = "cbor::bytes")]
    card: Vec<u8>,
    #[serde(with = "cbor::fixed")]
    head: Digest,
}

/// A letter's content. As the result of [`SignedLetter::verify`] it keeps every rule.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LetterMap", into = "LetterMap")]
pub struct Letter {
    /// The final reader, or readers.
    pub to: Reader,
    /// Last day, counted from 1970-01-01, on which it may be delivered.
    pub end: u32,
    /// Of what a list sends on: its author's letter to the list.
    pub forwarded: Option<Box<Forwarded>>,
    /// What it is.
    pub kind: Kind,
    /// Random, so that two sendings differ.
    pub salt: [u8; 16],
    /// Seconds since 1970: the author's claim.
    pub time: u64,
    /// In an onion: the way back for the recipient's receipt.
    pub reply: Option<Box<ReplyRoute>>,
    /// What the author asks for.
    pub wants: Wants,
    /// Who signs it.
    pub author: NodeId,
    /// Where the payload lies, in order of its ranges.
    pub bodies: Vec<LetterBody>,
    /// The payload, when there are no bodies.
    pub inline: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LetterMap {
    v: Version,
    #[serde(with = "cbor::fixed")]
    to: [u8; 32],
    end: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fwd: Option<Box<Forwarded>>,
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post: Option<Box<PostedMap>>,
    #[serde(with = "cbor::fixed")]
    salt: [u8; 16],
    time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<Box<ReplyRoute>>,
    #[serde(default, skip_serializing_if = "Wants::is_none")]
    wants: Wants,
    author: NodeId,
    bodies: Vec<LetterBody>,
    #[serde(with = "cbor::optional", default, skip_serializing_if = "Option::is_none")]
    inline: Option<Vec<u8>>,
}

impl From<LetterMap> for Letter {
    fn from(map: LetterMap) -> Letter {
        let LetterMap {
            v: Version,
            to,
            end,
            fwd: forwarded,
            kind,
            post,
            salt,
            time,
            reply,
            wants,
            author,
            bodies,
            inline,
        } = map;
        let to = match post {
            None => Reader::Node(NodeId::from_bytes(to)),
            Some(post) => {
                let PostedMap { re, card, head } = *post;
                Reader::Area(Box::new(Posted { area: AreaId::from_bytes(to), re, card, head }))
            }
        };
        Letter { to, end, forwarded, kind, salt, time, reply, wants, author, bodies, inline }
    }
}

impl From<Letter> for LetterMap {
    fn from(letter: Letter) -> LetterMap {
        let Letter { to, end, forwarded, kind, salt, time, reply, wants, author, bodies, inline } = letter;
        let (to, post) = match to {
            Reader::Node(node) => (*node.as_bytes(), None),
            Reader::Area(posted) => {
                let Posted { area, re, card, head } = *posted;
                (*area.as_bytes(), Some(Box::new(PostedMap { re, card, head })))
            }
        };
        LetterMap { v: Version, to, end, fwd: forwarded, kind, post, salt, time, reply, wants, author, bodies, inline }
    }
}

/// Says what it is, not what is in it.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (author, to, bodies) = (self.author, self.to.bound(), self.bodies.len());
        write!(f, "Letter from {author} to {to}, {:?}, {bodies} bodies", self.kind)
    }
}

impl Letter {
    /// Signs it as `node`, which must be its author. Limits are checked when it is wrapped.
    pub fn sign(&self, node: &NodeSecrets) -> SignedLetter {
        let bytes = cbor::encode_secret(self);
        let signature = node.sign(Label::Letter, &[&bytes]);
        SignedLetter { signed: Signed(bytes, signature), letter: Box::new(self.clone()) }
    }

    /// Length of the payload.
    pub fn payload_len(&self) -> u64 {
        let inline = self.inline.as_ref().map_or(0, |payload| payload.len() as u64);
        inline + self.bodies.iter().map(|body| body.len).sum::<u64>()
    }

    /// Who wrote what is in it: the author, or of what a list sends on who wrote to the list.
    pub fn writer(&self) -> NodeId {
        self.forwarded.as_ref().and_then(|forwarded| forwarded.author().ok()).unwrap_or(self.author)
    }

    /// Everything that can be said of a letter alone.
    pub(crate) fn check(&self) -> Result<(), LetterError> {
        self.kind.check()?;
        if matches!(self.kind, Kind::Request(_)) && self.payload_len() > 0 {
            return Err(LetterError::Request);
        }
        if self.time > NUMBER_MOST {
            return Err(LetterError::Range("time"));
        }
        if let Reader::Area(posted) = &self.to {
            self.check_posted(posted)?;
        }
        if let Some(forwarded) = &self.forwarded {
            forwarded.check(self)?;
        }
        if let Some(reply) = &self.reply {
            if reply.nice == 0 {
                return Err(LetterError::Range("nice of the way back"));
            }
            if !self.wants.receipt {
                return Err(LetterError::Reply);
            }
        }
        if self.bodies.len() > BODIES_MOST {
            return Err(LetterError::BodyCount(self.bodies.len()));
        }
        if let Some(at) = self.bodies.iter().position(|body| !body.is_possible()) {
            return Err(LetterError::Body(at));
        }
        match &self.inline {
            Some(payload) if payload.len() > INLINE_MOST => Err(LetterError::Inline(payload.len())),
            inline if inline.is_some() == self.bodies.is_empty() => Ok(()),
            _ => Err(LetterError::Payload),
        }
    }

    /// An area has no single recipient who could answer.
    fn check_posted(&self, posted: &Posted) -> Result<(), LetterError> {
        match () {
            () if matches!(self.kind, Kind::Request(_)) => Err(LetterError::Posted("asks for a file")),
            () if self.reply.is_some() => Err(LetterError::Posted("has a way back")),
            () if !self.wants.is_none() => Err(LetterError::Posted("wants receipts or a trace")),
            () => self.card(posted).map(|_| ()),
        }
    }

    fn card(&self, posted: &Posted) -> Result<Card, LetterError> {
        let card = Card::from_bytes(&posted.card).map_err(|error| LetterError::Card(error.to_string()))?;
        if card.id() == self.author { Ok(card) } else { Err(LetterError::Card("another node's".into())) }
    }

    /// Everything that can be said of a letter and what it lies in.
    fn check_in(&self, frame: &Frame) -> Result<(), LetterError> {
        self.check()?;
        match (self.to.bound(), frame.to) {
            (bound, to) if bound == to => {}
            (Bound::Area(area, _), Bound::Area(same, _)) if area == same => return Err(LetterError::Head),
            (bound, _) => return Err(LetterError::To(bound)),
        }
        if self.end < frame.end {
            return Err(LetterError::End { letter: self.end, frame: frame.end });
        }
        if self.list_hash() == frame.list { Ok(()) } else { Err(LetterError::Bodies) }
    }

    /// The [`list_hash`] of its bodies.
    pub fn list_hash(&self) -> Digest {
        list_hash(self.bodies.iter().map(|body| BodyName { root: body.root, size: body.size }))
    }
}

/// A letter and its author's signature, the latter not verified yet: until [`SignedLetter::verify`] only the claimed
/// author is to be had.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedLetter {
    signed: Signed,
    letter: Box<Letter>,
}

impl SignedLetter {
    /// Reads `[signed, signature]`.
    pub fn parse(input: &[u8]) -> Result<SignedLetter, LetterError> {
        SignedLetter::from_signed(cbor::decode(input)?)
    }

    pub(crate) fn from_signed(signed: Signed) -> Result<SignedLetter, LetterError> {
        let letter = Box::new(cbor::decode(&signed.0)?);
        Ok(SignedLetter { signed, letter })
    }

    pub(crate) fn into_signed(self) -> Signed {
        self.signed
    }

    pub(crate) fn unverified(&self) -> &Letter {
        &self.letter
    }

    /// Who signed it, as the letter claims: to find the key to verify it with.
    pub fn author(&self) -> NodeId {
        self.letter.author
    }

    /// The author's card that a letter to an area carries; its identity key verifies the letter.
    pub fn card(&self) -> Result<Option<Card>, LetterError> {
        match &self.letter.to {
            Reader::Node(_) => Ok(None),
            Reader::Area(posted) => self.letter.card(posted).map(Some),
        }
    }

    /// The letter's id. Of a letter that was not verified it proves nothing.
    pub fn id(&self) -> LetterId {
        LetterId::from_bytes(hash(Label::Letter, &[&self.signed.0]))
    }

    /// Verifies signature, limits, and that letter and frame belong together; `identity` is the author's key. Only
    /// then is the letter to be had.
    pub fn verify(self, identity: &[u8; 32], frame: impl Into<Frame>) -> Result<(LetterId, Letter), LetterError> {
        let author = self.author();
        if NodeId::of(identity) != author {
            return Err(LetterError::Key(author));
        }
        let Signed(bytes, signature) = &self.signed;
        if !sign::verify(identity, Label::Letter, &[bytes], signature) {
            return Err(LetterError::Signature(author));
        }
        self.check_in(&frame.into())?;
        Ok((self.id(), *self.letter))
    }

    /// As [`SignedLetter::verify`], with the key of the card that a letter to an area carries. Where there is no card, there is no
    /// key of the author's: [`LetterError::Key`].
    pub fn verify_posted(self, frame: impl Into<Frame>) -> Result<(LetterId, Letter), LetterError> {
        let card = self.card()?.ok_or(LetterError::Key(self.author()))?;
        self.verify(&card.identity, frame)
    }

    /// The rules that a writer can check without the author's key.
    pub(crate) fn check_in(&self, frame: &Frame) -> Result<(), LetterError> {
        self.letter.check_in(frame)
    }
}

impl Serialize for SignedLetter {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.signed.serialize(s)
    }
}

impl fmt::Debug for SignedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedLetter {}", self.id())
    }
}
