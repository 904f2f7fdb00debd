//! Routes: a packet's way by up to seven relays to its recipient, of which each hop opens one slot and sees the next
//! (format.md, section 10; after Danezis and Goldberg, Sphinx, 2009). [`Route`] is the author's side, [`Routed::open`] that
//! of a hop.

use std::fmt;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::cbor;
use crate::envelope::{Prefix, list_hash};
use crate::hash::{Digest, Label, hash, keyed, lp};
use crate::id::{KeyTag, NodeId, SlotTag};
use crate::key::{ExchangeSecret, NodeSecrets, key_tag};
use crate::letter::{Frame, LetterError, SignedLetter};
use crate::reply::{Awaited, REPLY_LEN, ReplyRoute, Returned};
use crate::seal::{Address, Agreement, Context, SEALED_LEAST, SealError};
use crate::size;
use crate::trace::{Trace, TraceError};

/// Most hops of a route: seven relays and the recipient.
pub const ROUTE_MOST: usize = 8;

/// Longest time that a slot may ask a relay to hold the packet: 7 days, in seconds.
pub const HOLD_MOST: u32 = 7 * 86_400;

/// Least bytes of an onion's payload, so that a letter with a way back looks like one without, and like what comes back.
pub const ONION_LEAST: usize = 4096;

/// Bytes of a slot.
const SLOT_LEN: usize = 256;
/// Bytes of a route block.
pub(crate) const BLOCK_LEN: usize = SLOT_LEN * ROUTE_MOST;
/// Bytes of a hop's keystream over the block: the one slot of zeros that comes in behind it included.
const STREAM_LEN: usize = BLOCK_LEN + SLOT_LEN;
/// What says whom a slot hands on to: node, key, share, commitment, tag.
const NEXT_LEN: usize = 136;
/// Share and commitment before the sealed letter.
const LETTER_HEAD_LEN: usize = 64;

const LAST: u8 = 1;
const ONION: u8 = 2;
const RECEIPT: u8 = 4;

/// Why a route cannot be made, or a packet under way is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// No hop, or more than [`ROUTE_MOST`].
    #[error("a route has 1 to {ROUTE_MOST} hops, not {0}")]
    Hops(usize),
    /// A key agreement or a seal fails.
    #[error("route {0}")]
    Seal(#[from] SealError),
    /// The route was made for an exchange key that is not there (any more).
    #[error("route is sealed to exchange key {0}, which is not here")]
    NoKey(KeyTag),
    /// The block was altered.
    #[error("route's tag does not match: it was altered")]
    Tag,
    /// The slot breaks a rule.
    #[error("route's slot has {0}")]
    Slot(&'static str),
    /// The payload has no length that one can have.
    #[error("no payload under way has {0} bytes")]
    Length(usize),
    /// The payload was altered.
    #[error("route's payload was altered")]
    Payload,
    /// The bodies are not those that the route was made for.
    #[error("bodies are not those that the route was made for")]
    Bodies,
    /// The envelope outlives the slot.
    #[error("route ends on day {slot}, before its envelope on day {envelope}")]
    End {
        /// Last day of the slot.
        slot: u32,
        /// Last day of the envelope.
        envelope: u32,
    },
    /// The trace does not hold.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The letter inside breaks a rule.
    #[error(transparent)]
    Letter(#[from] LetterError),
}

/// The keystream of one hop over one body. Wiped when dropped.
pub struct Veil(Zeroizing<Digest>);

impl Veil {
    /// Puts it on `bytes`, which stand `offset` bytes behind the body's beginning, or takes it off again.
    pub fn apply(&self, offset: u64, bytes: &mut [u8]) {
        let mut stream = stream(&self.0);
        stream.seek(offset);
        stream.apply_keystream(bytes);
    }
}

/// The veils of one hop.
pub struct Veils(Agreement);

impl Veils {
    /// That of the body listed as `number`.
    pub fn of(&self, number: usize) -> Veil {
        self.0.veil(number)
    }
}

impl fmt::Debug for Veils {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Veils")
    }
}

/// Puts the keystream of `key` on `bytes`, or takes it off again.
pub(crate) fn xor_stream(key: &Digest, bytes: &mut [u8]) {
    stream(key).apply_keystream(bytes);
}

fn stream(key: &Digest) -> ChaCha20 {
    ChaCha20::new(key.into(), &[0; 12].into())
}

/// The keys of a hop.
impl Agreement {
    fn veil(&self, number: usize) -> Veil {
        Veil(self.derive(Label::Veil, &[&(number as u64).to_be_bytes()]))
    }

    fn slot_tag(&self, block: &[u8; BLOCK_LEN]) -> SlotTag {
        SlotTag::from_bytes(keyed(&self.derive(Label::Mac, &[]), Label::Slot, &[block]))
    }

    fn block_stream(&self) -> Zeroizing<[u8; STREAM_LEN]> {
        let mut bytes = Zeroizing::new([0; STREAM_LEN]);
        stream(&self.derive(Label::Block, &[])).apply_keystream(&mut *bytes);
        bytes
    }

    fn pay_key(&self) -> Zeroizing<Digest> {
        self.derive(Label::Pay, &[])
    }

    fn apply_to_payload(&self, payload: &mut [u8]) {
        xor_stream(&self.pay_key(), payload);
    }
}

/// What travels from one hop to the next, the same length at each.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routed {
    key: KeyTag,
    tag: SlotTag,
    #[serde(with = "cbor::fixed")]
    block: [u8; BLOCK_LEN],
    #[serde(with = "cbor::fixed")]
    share: [u8; 32],
    #[serde(default, skip_serializing_if = "Trace::is_empty")]
    trace: Trace,
    #[serde(with = "cbor::fixed")]
    commit: Digest,
    #[serde(with = "cbor::bytes")]
    payload: Vec<u8>,
}

/// The same without payload and trace.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) key: KeyTag,
    pub(crate) tag: SlotTag,
    pub(crate) block: [u8; BLOCK_LEN],
    pub(crate) share: [u8; 32],
    pub(crate) commit: Digest,
}

impl Head {
    pub(crate) fn with_payload(self, payload: Vec<u8>) -> Routed {
        let Head { key, tag, block, share, commit } = self;
        Routed { key, tag, block, share, trace: Trace::default(), commit, payload }
    }
}

impl fmt::Debug for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Routed {}", self.tag)
    }
}

/// What a slot says.
struct Slot {
    /// `None` at the last hop.
    next: Option<Next>,
    load: Digest,
    arriving: Digest,
    leaving: Digest,
    end: u32,
    nice: u8,
    is_onion: bool,
    receipt: bool,
    hold: u32,
}

/// What the next hop needs besides block and payload.
struct Next {
    node: NodeId,
    key: KeyTag,
    share: [u8; 32],
    commit: Digest,
    tag: SlotTag,
}

impl Next {
    fn new(node: NodeId, head: &Head) -> Next {
        let Head { key, tag, share, commit, .. } = *head;
        Next { node, key, share, commit, tag }
    }
}

impl Slot {
    fn to_bytes(&self) -> Zeroizing<[u8; SLOT_LEN]> {
        let mut bytes = Zeroizing::new([0; SLOT_LEN]);
        if let Some(next) = &self.next {
            let parts: [&[u8]; 5] =
                [next.node.as_bytes(), next.key.as_bytes(), &next.share, &next.commit, next.tag.as_bytes()];
            bytes[..NEXT_LEN].copy_from_slice(&parts.concat());
        }
        let flags = [(self.next.is_none(), LAST), (self.is_onion, ONION), (self.receipt, RECEIPT)];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag);
        let (end, hold) = (self.end.to_be_bytes(), self.hold.to_be_bytes());
        let rest = [&self.load[..], &self.arriving, &self.leaving, &end, &[self.nice, flags], &hold].concat();
        bytes[NEXT_LEN..NEXT_LEN + rest.len()].copy_from_slice(&rest);
        bytes
    }

    fn from_bytes(bytes: &[u8; SLOT_LEN]) -> Result<Slot, RouteError> {
        let mut rest = &bytes[..];
        let next = Next {
            node: NodeId::from_bytes(take(&mut rest)),
            key: KeyTag::from_bytes(take(&mut rest)),
            share: take(&mut rest),
            commit: take(&mut rest),
            tag: SlotTag::from_bytes(take(&mut rest)),
        };
        let (load, arriving, leaving) = (take(&mut rest), take(&mut rest), take(&mut rest));
        let end = u32::from_be_bytes(take(&mut rest));
        let [nice, flags] = take(&mut rest);
        let hold = u32::from_be_bytes(take(&mut rest));
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        if !is_zero(rest) {
            return Err(RouteError::Slot("something where zeros should be"));
        }
        if flags & !(LAST | ONION | RECEIPT) != 0 {
            return Err(RouteError::Slot("flags that are not known"));
        }
        if flags & (ONION | RECEIPT) == ONION | RECEIPT {
            return Err(RouteError::Slot("an onion's relay asked for receipts"));
        }
        if nice == 0 {
            return Err(RouteError::Slot("a nice of 0"));
        }
        let (is_last, is_onion, receipt) = (flags & LAST != 0, flags & ONION != 0, flags & RECEIPT != 0);
        if !is_onion && arriving != leaving {
            return Err(RouteError::Slot("other bodies leaving than arriving"));
        }
        if hold > HOLD_MOST || (is_last && hold != 0) {
            return Err(RouteError::Slot("a time to be held that none may have"));
        }
        let next = match is_last {
            true if !is_zero(&bytes[..NEXT_LEN]) => return Err(RouteError::Slot("a next hop behind the last one")),
            true => None,
            false if is_zero(next.node.as_bytes()) => return Err(RouteError::Slot("no next hop")),
            false => Some(next),
        };
        Ok(Slot { next, load, arriving, leaving, end, nice, is_onion, receipt, hold })
    }
}

/// The first bytes of `rest`, which has that many.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (first, others) = rest.split_first_chunk().expect("a slot's fields fit into it");
    *rest = others;
    *first
}

/// What a packet under way means at a hop.
#[derive(Debug)]
pub enum Step {
    /// It goes on.
    Onward(Box<Onward>),
    /// It has come to the end of its route.
    Here(Box<Here>),
    /// So has this one, and it holds no letter for this node: a reply, or nothing, as the error says.
    Returned(Returned, RouteError),
}

/// A packet that goes on.
#[derive(Debug)]
pub struct Onward {
    /// The tag of this hop: what comes with it again is a copy.
    pub tag: SlotTag,
    /// The next hop.
    pub next: NodeId,
    /// Last day, counted from 1970-01-01, on which it goes on.
    pub end: u32,
    /// Priority with which it goes on.
    pub nice: u8,
    /// Whether the author wants to hear how far it has come.
    pub receipt: bool,
    /// How many seconds it is held before, at most [`HOLD_MOST`].
    pub hold: u32,
    /// What is for the next hop.
    pub routed: Routed,
    /// The [`list_hash`] of the bodies that leave.
    pub leaving: Digest,
    /// In an onion: what is put on each body before it leaves.
    pub veils: Option<Veils>,
}

/// A letter at the end of its route.
#[derive(Debug)]
pub struct Here {
    /// The letter.
    pub letter: SignedLetter,
    /// What it must agree with.
    pub frame: Frame,
    /// The trace of its path; empty if none is wanted.
    pub trace: Trace,
    /// In an onion: what is taken off each body before it is opened.
    pub veils: Option<Veils>,
}

impl Routed {
    /// Which exchange key of the hop it was made for.
    pub fn key(&self) -> KeyTag {
        self.key
    }

    /// The trace so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The same with another trace.
    pub fn with_trace(self, trace: Trace) -> Routed {
        Routed { trace, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), RouteError> {
        self.trace.check()?;
        let len = self.payload.len();
        if size::is_class(len as u64) { Ok(()) } else { Err(RouteError::Length(len)) }
    }

    /// Opens the slot of node `own`, whose exchange key `secret` is the one of [`Routed::key`]. `prefix` is that of the
    /// envelope that it came in.
    pub fn open(self, own: NodeId, secret: &ExchangeSecret, prefix: &Prefix) -> Result<Step, RouteError> {
        let Routed { tag, block, share, trace, commit, mut payload, .. } = self;
        let keys = Agreement::find(secret, Context::Route, own.as_bytes(), share, &commit)?;
        if keys.slot_tag(&block) != tag {
            return Err(RouteError::Tag);
        }
        let mut opened = keys.block_stream();
        xor(&mut opened[..BLOCK_LEN], &block);
        let (slot, rest) = opened.split_first_chunk().expect("a block is longer than a slot");
        let slot = Slot::from_bytes(slot)?;
        slot.check(prefix, &payload)?;
        let is_bare = slot.is_onion && prefix.bodies.is_empty();
        if slot.is_onion && !trace.is_empty() {
            return Err(TraceError::Other.into());
        }
        keys.apply_to_payload(&mut payload);
        let Some(next) = slot.next else {
            let frame = Frame { to: own.into(), end: slot.end, list: slot.leaving };
            let least = if slot.is_onion { ONION_LEAST } else { 0 };
            let letter = match open_letter(own, secret, &payload, least) {
                Ok(letter) => letter,
                Err(error) if may_be_reply(&error) && is_bare && payload.len() == REPLY_LEN => {
                    return Ok(Step::Returned(Returned { tag, end: slot.end, payload }, error));
                }
                Err(error) => return Err(error),
            };
            let veils = slot.is_onion.then(|| Veils(keys));
            return Ok(Step::Here(Box::new(Here { letter, frame, trace, veils })));
        };
        let block = rest.try_into().expect("what is left of block and zeros is a block");
        let routed =
            Routed { key: next.key, tag: next.tag, block, share: next.share, trace, commit: next.commit, payload };
        Ok(Step::Onward(Box::new(Onward {
            tag,
            next: next.node,
            end: slot.end,
            nice: slot.nice,
            receipt: slot.receipt,
            hold: slot.hold,
            routed,
            leaving: slot.leaving,
            veils: slot.is_onion.then(|| Veils(keys)),
        })))
    }
}

impl Slot {
    fn check(&self, prefix: &Prefix, payload: &[u8]) -> Result<(), RouteError> {
        if self.is_onion && payload.len() < ONION_LEAST {
            return Err(RouteError::Length(payload.len()));
        }
        if load_of(payload, self.is_onion && prefix.bodies.is_empty()) != self.load {
            return Err(RouteError::Payload);
        }
        if list_hash(prefix.bodies.iter().copied()) != self.arriving {
            return Err(RouteError::Bodies);
        }
        if prefix.end > self.end {
            return Err(RouteError::End { slot: self.end, envelope: prefix.end });
        }
        Ok(())
    }
}

/// What a slot says of the payload as it comes: its hash. In an onion without bodies nothing, since who answers by one is not who
/// made its slots; so that no relay can tell an answer from a letter, it is the same for both.
fn load_of(payload: &[u8], is_bare: bool) -> Digest {
    if is_bare { [0; 32] } else { hash(Label::Load, &[payload]) }
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    bytes.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
}

/// A reply begins with something else than share and commitment.
fn may_be_reply(error: &RouteError) -> bool {
    matches!(error, RouteError::Seal(SealError::Commitment | SealError::LowOrder))
}

fn open_letter(own: NodeId, secret: &ExchangeSecret, payload: &[u8], least: usize) -> Result<SignedLetter, RouteError> {
    let (mut head, rest) = payload.split_at_checked(LETTER_HEAD_LEN).ok_or(RouteError::Length(payload.len()))?;
    if rest.len() < SEALED_LEAST {
        return Err(RouteError::Length(payload.len()));
    }
    let (share, commit) = (take(&mut head), take(&mut head));
    let agreement = Agreement::find(secret, Context::Letter, own.as_bytes(), share, &commit)?;
    Ok(SignedLetter::parse(&agreement.open(payload, LETTER_HEAD_LEN, least)?)?)
}

/// A route that an author has chosen, with the keys of its hops: bodies are veiled before the letter is written.
pub struct Route<'a> {
    node: &'a NodeSecrets,
    salt: Zeroizing<[u8; 32]>,
    hops: Vec<(Address, Agreement)>,
}

/// What an author says to the hops.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    /// Last day, counted from 1970-01-01: not after the letter's.
    pub end: u32,
    /// Priority, 1 to 255.
    pub nice: u8,
    /// The [`list_hash`] of the bodies as they come to each hop, and at last of those that the letter lists; all the same
    /// but in an onion.
    pub lists: &'a [Digest],
    /// Whether it is an onion.
    pub is_onion: bool,
    /// Whether the hops are to say how far it has come; not in an onion.
    pub receipt: bool,
    /// How many seconds each relay holds it, in their order, at most [`HOLD_MOST`]; none: not at all.
    pub holds: &'a [u32],
}

impl Terms<'_> {
    /// Whether it is an onion without bodies.
    fn is_bare(&self) -> bool {
        self.is_onion && self.lists.first() == Some(&list_hash([]))
    }
}

impl fmt::Debug for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route of {} hops", self.hops.len())
    }
}

impl<'a> Route<'a> {
    /// A route of `node` by these hops, of which the last is the recipient. `salt` is random and used once.
    pub fn new(node: &'a NodeSecrets, hops: Vec<Address>, salt: [u8; 32]) -> Result<Route<'a>, RouteError> {
        if !(1..=ROUTE_MOST).contains(&hops.len()) {
            return Err(RouteError::Hops(hops.len()));
        }
        let salt = Zeroizing::new(salt);
        let agree = |(number, address): (u8, Address)| {
            let exchange = &address.exchange;
            let parts: [&[u8]; 4] = [&[number], &lp(exchange), exchange, address.id.as_bytes()];
            let coins = node.coins("route", &salt, &parts);
            let agreement = Agreement::new(&coins, Context::Route, address.id.as_bytes(), exchange)?;
            Ok((address, agreement))
        };
        let hops = (0..).zip(hops).map(agree).collect::<Result<_, SealError>>()?;
        Ok(Route { node, salt, hops })
    }

    /// The veils over the body listed as `number`, in the order of the hops: all of them lie on it when the author hands it
    /// over.
    pub fn veils(&self, number: usize) -> Vec<Veil> {
        self.hops.iter().map(|(_, keys)| keys.veil(number)).collect()
    }

    /// Seals the letter for the recipient, and says to each hop what it must know. Gives what is to be handed to the first hop,
    /// and the tags of all hops, in their order.
    pub fn seal(&self, letter: &SignedLetter, terms: &Terms) -> Result<(Routed, Vec<SlotTag>), RouteError> {
        let mut payload = self.seal_letter(letter, if terms.is_onion { ONION_LEAST } else { 0 })?;
        let mut loads = Vec::with_capacity(self.hops.len());
        for (_, keys) in self.hops.iter().rev() {
            keys.apply_to_payload(&mut payload);
            loads.push(load_of(&payload, terms.is_bare()));
        }
        loads.reverse();
        let (head, tags) = self.head(&loads, terms);
        let routed = head.with_payload(payload);
        routed.check()?;
        Ok((routed, tags))
    }

    /// A way back by these hops, of which the last is the author: what goes into the letter, what the author keeps, and the tag by
    /// which the author knows it again. Of `terms` the bodies are none.
    pub fn reply(&self, end: u32, nice: u8, holds: &[u32]) -> (ReplyRoute, Awaited, SlotTag) {
        let lists = vec![list_hash([]); self.hops.len() + 1];
        let loads = vec![load_of(&[], true); self.hops.len()];
        let terms = Terms { end, nice, lists: &lists, is_onion: true, receipt: false, holds };
        let (head, tags) = self.head(&loads, &terms);
        let seal = self.node.coins("reply", &self.salt, &[]);
        let strip = self.hops.iter().map(|(_, keys)| keys.pay_key()).collect();
        let last = *tags.last().expect("a route has a hop");
        (ReplyRoute::new(end, nice, seal.clone(), head), Awaited::new(seal, strip), last)
    }

    /// What goes before the payload to the first hop, and the tags of all hops, in their order. `loads` is what the slots say of the
    /// payload.
    fn head(&self, loads: &[Digest], terms: &Terms) -> (Head, Vec<SlotTag>) {
        assert_eq!(terms.lists.len(), self.hops.len() + 1, "one list for each hop to come, and the letter's");
        assert!(terms.holds.len() < self.hops.len(), "relays hold a packet, the recipient does not");
        let (mut behind, mut tags) = (None, Vec::with_capacity(self.hops.len()));
        for (number, (address, keys)) in self.hops.iter().enumerate().rev() {
            let (load, arriving, leaving) = (loads[number], terms.lists[number], terms.lists[number + 1]);
            let Terms { end, nice, is_onion, receipt, holds, .. } = *terms;
            let hold = holds.get(number).map_or(0, |secs| (*secs).min(HOLD_MOST));
            let next = behind.as_ref().map(|(node, head): &(NodeId, Head)| Next::new(*node, head));
            let slot = Slot { next, load, arriving, leaving, end, nice, is_onion, receipt, hold }.to_bytes();
            let block = match &behind {
                None => self.last_block(keys, &slot),
                Some((_, head)) => block_before(keys, &slot, &head.block),
            };
            let (key, tag) = (key_tag(&address.exchange), keys.slot_tag(&block));
            tags.push(tag);
            behind = Some((address.id, Head { key, tag, block, share: keys.share, commit: keys.commit }));
        }
        tags.reverse();
        let (_, head) = behind.expect("a route has a hop");
        (head, tags)
    }

    fn seal_letter(&self, letter: &SignedLetter, least: usize) -> Result<Vec<u8>, RouteError> {
        let (to, _) = self.hops.last().expect("a route has a hop");
        let letter = cbor::encode_secret(letter);
        let parts: [&[u8]; 4] = [&lp(&to.exchange), &to.exchange, to.id.as_bytes(), &letter];
        let coins = self.node.coins("letter", &self.salt, &parts);
        let agreement = Agreement::new(&coins, Context::Letter, to.id.as_bytes(), &to.exchange)?;
        let head = [agreement.share, agreement.commit].concat();
        Ok(agreement.seal(&head, &letter, least))
    }

    /// The last hop's block: what is behind its slot looks like anything, so that it cannot tell how many hops there were.
    fn last_block(&self, keys: &Agreement, slot: &[u8; SLOT_LEN]) -> [u8; BLOCK_LEN] {
        let filler = self.filler();
        let own_len = BLOCK_LEN - filler.len();
        let mut block = [0; BLOCK_LEN];
        stream(&self.node.coins("filler", &self.salt, &[])).apply_keystream(&mut block[SLOT_LEN..own_len]);
        block[..SLOT_LEN].copy_from_slice(slot);
        xor(&mut block[..own_len], &keys.block_stream()[..own_len]);
        block[own_len..].copy_from_slice(&filler);
        block
    }

    /// What the zeros that each hop puts behind the block have become when it comes to the last one.
    fn filler(&self) -> Vec<u8> {
        let (_, before) = self.hops.split_last().expect("a route has a hop");
        let mut filler = Vec::new();
        for (_, keys) in before {
            filler.resize(filler.len() + SLOT_LEN, 0);
            let start = STREAM_LEN - filler.len();
            xor(&mut filler, &keys.block_stream()[start..]);
        }
        filler
    }
}

/// The block of a hop, `behind` being that of the hop behind it.
fn block_before(keys: &Agreement, slot: &[u8; SLOT_LEN], behind: &[u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    block[..SLOT_LEN].copy_from_slice(slot);
    block[SLOT_LEN..].copy_from_slice(&behind[..BLOCK_LEN - SLOT_LEN]);
    xor(&mut block, &keys.block_stream()[..]);
    block
}
