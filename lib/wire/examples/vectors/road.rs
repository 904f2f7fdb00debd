//! A route by hand: every step of format.md, section 10, from the recipient back to the first hop, and at each of them
//! a place where a vector can do it wrong.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use ciborium::Value;
use mb_wire::body::{BodyKey, body_len, leaves, root};
use mb_wire::envelope::{BodyName, list_hash};
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{KeyTag, LetterId};
use mb_wire::key::{ExchangeSecret, key_tag};
use mb_wire::letter::{Codec, LetterBody};
use mb_wire::reply::{REPLY_LEN, ReplyRoute};
use mb_wire::route::ONION_LEAST;
use mb_wire::size::class;
use serde_json::{Value as Json, json};

use super::build::{Map, aead_seal, bytes, cbor, hex, int, list, map, set};
use super::draft::{ALICE, BOB, BOB_EXCHANGE, Draft, Stage, extract, id, letter, node, schedule_parts};

const SLOT_LEN: usize = 256;
const BLOCK_LEN: usize = 2048;
const STREAM_LEN: usize = BLOCK_LEN + SLOT_LEN;
const SALT: [u8; 32] = [0x5c; 32];
/// The nonce of a body's only chunk.
const LAST_CHUNK: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// What can be changed, in the order in which it comes up: first the letter, then from the last hop to the first.
pub enum Turn<'a> {
    Letter(Stage<'a>),
    /// `[signed, signature]`.
    Signed(&'a mut Value),
    LetterShare(&'a mut [u8; 32]),
    /// As [`Stage::Schedule`].
    LetterSchedule(&'a mut [Vec<u8>; 6]),
    LetterCommit(&'a mut [u8; 32]),
    /// n, letter and zeros, before they are sealed.
    Plain(&'a mut Vec<u8>),
    Nonce(&'a mut [u8; 12]),
    Associated(&'a mut Vec<u8>),
    /// The payload without any keystream.
    Payload(&'a mut Vec<u8>),
    Share(&'a mut [u8; 32]),
    Schedule(&'a mut [Vec<u8>; 6]),
    /// The payload as it comes, before the slot says what it is.
    Arriving(&'a mut Vec<u8>),
    /// All 256 bytes.
    Slot(&'a mut [u8; SLOT_LEN]),
    Routed(&'a mut Routed),
}

/// What is under way, as one hop gets it.
#[derive(Clone)]
pub struct Routed {
    pub key: KeyTag,
    pub tag: [u8; 32],
    pub block: [u8; BLOCK_LEN],
    pub share: [u8; 32],
    /// The steps; none where no trace is wanted.
    pub trace: Vec<Vec<u8>>,
    pub commit: [u8; 32],
    pub payload: Vec<u8>,
}

impl Routed {
    pub fn map(&self) -> Map {
        let mut routed = map([
            ("key", bytes(self.key.as_bytes())),
            ("tag", bytes(self.tag)),
            ("block", bytes(self.block)),
            ("share", bytes(self.share)),
            ("commit", bytes(self.commit)),
            ("payload", bytes(&self.payload)),
        ]);
        if !self.trace.is_empty() {
            set(&mut routed, "trace", list(self.trace.iter().map(bytes)));
        }
        routed
    }

    pub fn json(&self) -> Json {
        let mut routed = json!({
            "key": self.key.to_string(), "tag": hex(self.tag), "block": hex(self.block), "share": hex(self.share),
            "commit": hex(self.commit), "payload": hex(&self.payload),
        });
        if !self.trace.is_empty() {
            routed["trace"] = self.trace.iter().map(hex).collect();
        }
        routed
    }
}

/// What the author says to one hop, and the envelope that it comes in.
#[derive(Clone)]
pub struct Terms {
    /// Of the prefix.
    pub envelope_end: u32,
    pub end: u32,
    pub nice: u8,
    pub hold: u32,
}

/// Who sends what by whom: each hop has its number, from 0.
#[derive(Clone)]
pub struct Road {
    /// Letter and author.
    pub draft: Draft,
    /// One for each hop.
    pub terms: Vec<Terms>,
    pub is_onion: bool,
    /// Whether the author wants to hear how far it has come: flag 4.
    pub receipt: bool,
    /// What travels with it, the same at each hop.
    pub trace: Vec<Vec<u8>>,
    /// In an onion: the bodies that the letter lists.
    files: Vec<Vec<u8>>,
    /// What these hold.
    payloads: Vec<Vec<u8>>,
    /// In a reply: what is answered; there is no letter then.
    statement: Option<Vec<u8>>,
}

/// What came out.
pub struct Made {
    road: Road,
    hops: Vec<Hop>,
    letter_id: LetterId,
    letter_coins: [u8; 32],
}

/// What one hop has to do with.
struct Hop {
    routed: Routed,
    coins: [u8; 32],
    load: [u8; 32],
    arriving: Vec<BodyName>,
    leaving: Vec<BodyName>,
    files: Vec<Vec<u8>>,
}

pub fn hop_exchange(number: usize) -> ExchangeSecret {
    ExchangeSecret::from_random(private(number))
}

/// Bob is the first hop.
pub fn hop_node(number: usize) -> u8 {
    BOB + number as u8
}

fn private(number: usize) -> [u8; 32] {
    [BOB_EXCHANGE + number as u8; 32]
}

fn stream(key: [u8; 32], len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    ChaCha20::new(&key.into(), &[0; 12].into()).apply_keystream(&mut out);
    out
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    bytes.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
}

fn coins(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let len = (purpose.len() as u64).to_be_bytes();
    let all = [&[&len[..], purpose.as_bytes(), &SALT], parts].concat();
    keyed(&keyed(&[ALICE; 32], Label::Coin, &[]), Label::Coins, &all)
}

fn name(file: &[u8]) -> BodyName {
    BodyName { root: root(file.len() as u64, &leaves(file)), size: file.len() as u64 }
}

fn list_json(bodies: &[BodyName]) -> Json {
    bodies.iter().map(|body| json!({"root": body.root.to_string(), "size": body.size})).collect()
}

/// The keys of a hop.
struct Keys {
    coins: [u8; 32],
    share: [u8; 32],
    x: [u8; 32],
}

impl Keys {
    fn new(number: usize, edit: &dyn Fn(Turn)) -> Keys {
        let (r, id) = (hop_exchange(number).public(), id(hop_node(number)));
        let lp = 32_u64.to_be_bytes();
        let coins = coins("route", &[&[number as u8], &lp, &r, id.as_bytes()]);
        let secret = x25519_dalek::StaticSecret::from(coins);
        let mut share = x25519_dalek::PublicKey::from(&secret).to_bytes();
        edit(Turn::Share(&mut share));
        let z = secret.diffie_hellman(&r.into()).to_bytes();
        let mut parts = schedule_parts("route", &share, &r, id.as_bytes(), &z);
        edit(Turn::Schedule(&mut parts));
        Keys { coins, share, x: extract(&parts) }
    }

    fn key(&self, label: Label) -> [u8; 32] {
        keyed(&self.x, label, &[])
    }

    fn block_stream(&self) -> Vec<u8> {
        stream(self.key(Label::Block), STREAM_LEN)
    }

    fn veil(&self, number: usize, file: &mut [u8]) {
        xor(file, &stream(keyed(&self.x, Label::Veil, &[&(number as u64).to_be_bytes()]), file.len()));
    }
}

impl Road {
    /// The plain letter of [`Draft::new`] by this many hops.
    pub fn new(hops: usize) -> Road {
        let mut draft = Draft::new();
        draft.letter.to = id(hop_node(hops - 1)).into();
        let terms = Terms { envelope_end: draft.end, end: draft.end, nice: draft.nice, hold: 0 };
        Road {
            draft,
            terms: vec![terms; hops],
            is_onion: false,
            receipt: false,
            trace: vec![],
            files: vec![],
            payloads: vec![],
            statement: None,
        }
    }

    /// What is answered by a way back of this many hops.
    pub fn reply(hops: usize, statement: &[u8]) -> Road {
        Road { statement: Some(statement.to_vec()), ..Road::onion(hops, &[]) }
    }

    /// The way back as it lies in a letter.
    pub fn way_back(&self) -> ReplyRoute {
        let made = self.make();
        let Routed { key, tag, block, share, commit, .. } = made.routed(0);
        let Terms { end, nice, .. } = self.terms[0];
        let way = map([
            ("end", int(end)),
            ("key", bytes(key.as_bytes())),
            ("tag", bytes(tag)),
            ("nice", int(nice)),
            ("seal", bytes(seal())),
            ("block", bytes(block)),
            ("share", bytes(share)),
            ("commit", bytes(commit)),
        ]);
        mb_wire::cbor::decode(&cbor(&Value::Map(way))).expect("a way back")
    }

    /// The same as an onion, with bodies that hold these payloads.
    pub fn onion(hops: usize, payloads: &[&[u8]]) -> Road {
        let mut road = Road::new(hops);
        road.is_onion = true;
        for (number, payload) in payloads.iter().enumerate() {
            let key = [0x60 + number as u8; 32];
            let file = aead_seal(&key, LAST_CHUNK, &[], payload);
            assert_eq!(file.len() as u64, body_len(payload.len() as u64));
            let BodyName { root, size } = name(&file);
            let (key, len) = (BodyKey::from_random(key), payload.len() as u64);
            road.draft.letter.bodies.push(LetterBody { root, size, key, len, codec: Codec::Plain });
            road.draft.letter.inline = None;
            road.files.push(file);
            road.payloads.push(payload.to_vec());
        }
        road
    }

    /// The same plain road with bodies that nobody looks into.
    pub fn with_bodies(hops: usize, bodies: Vec<LetterBody>) -> Road {
        let mut road = Road::new(hops);
        (road.draft.letter.inline, road.draft.letter.bodies) = (None, bodies);
        road
    }

    /// As it should be.
    pub fn make(&self) -> Made {
        self.make_with(0, &|_| {})
    }

    /// With one thing done wrong: in the letter, or at hop `at`.
    pub fn make_with(&self, at: usize, edit: &dyn Fn(Turn)) -> Made {
        let count = self.terms.len();
        let at_hop = |number: usize, turn: Turn| {
            if number == at {
                edit(turn);
            }
        };
        let all_keys: Vec<Keys> = (0..count).map(|number| Keys::new(number, &|turn| at_hop(number, turn))).collect();
        let files = self.veiled(&all_keys);
        let (letter_coins, letter_id, mut payload) = match &self.statement {
            None => self.payload(edit),
            Some(statement) => ([0; 32], LetterId::from_bytes([0; 32]), sealed_reply(statement, edit)),
        };
        if self.statement.is_some() {
            // So that all keystreams off it is what the first hop gets.
            all_keys.iter().for_each(|keys| xor(&mut payload, &stream(keys.key(Label::Pay), REPLY_LEN)));
        }
        let (mut hops, mut behind): (Vec<Hop>, Option<Routed>) = (vec![], None);
        for (number, keys) in all_keys.iter().enumerate().rev() {
            let mut payload = behind.as_ref().map_or(&payload, |routed| &routed.payload).clone();
            let pay = stream(keys.key(Label::Pay), payload.len());
            xor(&mut payload, &pay);
            at_hop(number, Turn::Arriving(&mut payload));
            let is_bare = self.is_onion && self.files.is_empty();
            let load = if is_bare { [0; 32] } else { hash(Label::Load, &[&payload]) };
            let [arriving, leaving] = [&files[number], &files[number + 1]].map(|files| self.names(files));
            let mut slot = self.slot(number, behind.as_ref(), &load, [&arriving, &leaving]);
            at_hop(number, Turn::Slot(&mut slot));
            let block = match &behind {
                None => last_block(keys, &slot, &filler(&all_keys[..number])),
                Some(routed) => block_before(keys, &slot, &routed.block),
            };
            let tag = keyed(&keys.key(Label::Mac), Label::Slot, &[&block]);
            let (key, commit) = (key_tag(&hop_exchange(number).public()), keys.key(Label::Commit));
            let (share, trace) = (keys.share, self.trace.clone());
            let mut routed = Routed { key, tag, block, share, trace, commit, payload };
            at_hop(number, Turn::Routed(&mut routed));
            let (coins, files) = (keys.coins, files[number].clone());
            hops.push(Hop { routed: routed.clone(), coins, load, arriving, leaving, files });
            behind = Some(routed);
        }
        hops.reverse();
        Made { road: self.clone(), hops, letter_id, letter_coins }
    }

    /// The bodies as they come to each hop, and at last those that the letter lists.
    fn veiled(&self, keys: &[Keys]) -> Vec<Vec<Vec<u8>>> {
        let mut all = vec![self.files.clone()];
        for keys in keys.iter().rev().take(if self.is_onion { keys.len() } else { 0 }) {
            let mut files = all[all.len() - 1].clone();
            files.iter_mut().enumerate().for_each(|(number, file)| keys.veil(number, file));
            all.push(files);
        }
        all.resize(keys.len() + 1, vec![]);
        all.reverse();
        all
    }

    fn names(&self, files: &[Vec<u8>]) -> Vec<BodyName> {
        if self.is_onion {
            files.iter().map(|file| name(file)).collect()
        } else {
            self.draft.letter.bodies.iter().map(|body| BodyName { root: body.root, size: body.size }).collect()
        }
    }

    fn payload(&self, edit: &dyn Fn(Turn)) -> ([u8; 32], LetterId, Vec<u8>) {
        let (mut signed, letter_id) = self.draft.signed_letter(&|stage| edit(Turn::Letter(stage)));
        edit(Turn::Signed(&mut signed));
        let signed = cbor(&signed);
        let last = self.terms.len() - 1;
        let (r, id) = (hop_exchange(last).public(), id(hop_node(last)));
        let coins = coins("letter", &[&32_u64.to_be_bytes(), &r, id.as_bytes(), &signed]);
        let secret = x25519_dalek::StaticSecret::from(coins);
        let mut share = x25519_dalek::PublicKey::from(&secret).to_bytes();
        edit(Turn::LetterShare(&mut share));
        let z = secret.diffie_hellman(&r.into()).to_bytes();
        let mut parts = schedule_parts("letter", &share, &r, id.as_bytes(), &z);
        edit(Turn::LetterSchedule(&mut parts));
        let x = extract(&parts);
        let mut commit = keyed(&x, Label::Commit, &[]);
        edit(Turn::LetterCommit(&mut commit));
        let head = [share, commit].concat();
        let mut plain = [&(signed.len() as u32).to_be_bytes(), signed.as_slice()].concat();
        let least = if self.is_onion { ONION_LEAST } else { 0 };
        let len = class((head.len() + plain.len() + 16).max(least) as u64) as usize;
        plain.resize(len - head.len() - 16, 0);
        edit(Turn::Plain(&mut plain));
        let mut nonce = [0; 12];
        edit(Turn::Nonce(&mut nonce));
        let mut associated = head.clone();
        edit(Turn::Associated(&mut associated));
        let mut payload = [head, aead_seal(&keyed(&x, Label::Key, &[]), nonce, &associated, &plain)].concat();
        edit(Turn::Payload(&mut payload));
        (coins, letter_id, payload)
    }

    fn slot(&self, number: usize, next: Option<&Routed>, load: &[u8], lists: [&[BodyName]; 2]) -> [u8; SLOT_LEN] {
        let Terms { end, nice, hold, .. } = self.terms[number];
        let mut slot = [0; SLOT_LEN];
        if let Some(Routed { key, tag, share, commit, .. }) = next {
            slot[..32].copy_from_slice(id(hop_node(number + 1)).as_bytes());
            slot[32..40].copy_from_slice(key.as_bytes());
            slot[40..72].copy_from_slice(share);
            slot[72..104].copy_from_slice(commit);
            slot[104..136].copy_from_slice(tag);
        }
        let [arriving, leaving] = lists.map(|list| list_hash(list.iter().copied()));
        slot[136..168].copy_from_slice(load);
        slot[168..200].copy_from_slice(&arriving);
        slot[200..232].copy_from_slice(&leaving);
        slot[232..236].copy_from_slice(&end.to_be_bytes());
        slot[236] = nice;
        slot[237] = u8::from(next.is_none()) + 2 * u8::from(self.is_onion) + 4 * u8::from(self.receipt);
        slot[238..242].copy_from_slice(&hold.to_be_bytes());
        slot
    }
}

/// The one-time key of a way back.
fn seal() -> [u8; 32] {
    coins("reply", &[])
}

/// What is answered, as the first hop gets it.
fn sealed_reply(statement: &[u8], edit: &dyn Fn(Turn)) -> Vec<u8> {
    let mut plain = [&(statement.len() as u32).to_be_bytes(), statement].concat();
    plain.resize(REPLY_LEN - 32 - 16, 0);
    edit(Turn::Plain(&mut plain));
    let mut salt = keyed(&seal(), Label::Commit, &[statement]);
    edit(Turn::LetterCommit(&mut salt));
    let mut nonce = [0; 12];
    edit(Turn::Nonce(&mut nonce));
    let mut payload = [&salt[..], &aead_seal(&keyed(&seal(), Label::Key, &[&salt]), nonce, &[], &plain)].concat();
    edit(Turn::Payload(&mut payload));
    payload
}

fn last_block(keys: &Keys, slot: &[u8; SLOT_LEN], filler: &[u8]) -> [u8; BLOCK_LEN] {
    let own_len = BLOCK_LEN - filler.len();
    let random = stream(coins("filler", &[]), own_len - SLOT_LEN);
    let mut block = [&slot[..], &random, filler].concat();
    xor(&mut block[..own_len], &keys.block_stream());
    block.try_into().expect("a block's length")
}

fn block_before(keys: &Keys, slot: &[u8; SLOT_LEN], behind: &[u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    let mut block = [&slot[..], &behind[..BLOCK_LEN - SLOT_LEN]].concat();
    xor(&mut block, &keys.block_stream());
    block.try_into().expect("a block's length")
}

/// f(n − 1) of format.md, these being the hops before the last one.
fn filler(before: &[Keys]) -> Vec<u8> {
    before.iter().fold(vec![], |mut filler, keys| {
        filler.extend([0; SLOT_LEN]);
        let start = STREAM_LEN - filler.len();
        xor(&mut filler, &keys.block_stream()[start..]);
        filler
    })
}

impl Made {
    /// What hop `number` gets.
    pub fn routed(&self, number: usize) -> Routed {
        self.hops[number].routed.clone()
    }

    fn hop_input(&self, number: usize) -> Json {
        let hop = &self.hops[number];
        let mut input = json!({
            "to": id(hop_node(number)).to_string(),
            "exchange": hex(private(number)),
            "end": self.road.terms[number].envelope_end,
            "bodies": list_json(&hop.arriving),
            "routed": hop.routed.json(),
        });
        if self.road.is_onion {
            input["files"] = hop.files.iter().map(hex).collect();
        }
        input
    }

    /// What one hop is given to read.
    pub fn input(&self, number: usize) -> Json {
        json!({
            "author": hex(node(self.road.draft.author).identity_key()),
            "hops": [self.hop_input(number)],
        })
    }

    /// What all hops are given and find, and what the author needs to make it anew.
    pub fn all(&self) -> Json {
        let hop = |number: usize| {
            let mut hop = self.hop_input(number);
            hop["slot"] = self.slot(number);
            hop["coins"] = json!(hex(self.hops[number].coins));
            hop
        };
        let mut all = json!({
            "author": hex(node(self.road.draft.author).identity_key()),
            "hops": (0..self.hops.len()).map(hop).collect::<Vec<_>>(),
            "letter": letter(self.letter_id, &self.road.draft.letter),
            "author_seed": hex([ALICE; 32]),
            "salt": hex(SALT),
            "coins": hex(self.letter_coins),
        });
        if self.road.is_onion {
            all["plain"] = self.road.payloads.iter().map(hex).collect();
        }
        all
    }

    /// What all hops of a way back are given, with its author's secrets, and, where it is right, what they find.
    pub fn answered(&self, is_good: bool) -> Json {
        let hop = |number: usize| {
            let mut hop = self.hop_input(number);
            if is_good {
                hop["slot"] = self.slot(number);
                hop["coins"] = json!(hex(self.hops[number].coins));
            } else if number > 0 {
                ["routed", "files"].iter().for_each(|key| drop(hop.as_object_mut().expect("an object").remove(*key)));
            }
            hop
        };
        let mut all = json!({
            "hops": (0..self.hops.len()).map(hop).collect::<Vec<_>>(),
            "author_seed": hex([ALICE; 32]),
            "salt": hex(SALT),
        });
        if is_good {
            all["statement"] = json!(hex(self.road.statement.as_ref().expect("a reply")));
            all["seal"] = json!(hex(seal()));
        }
        all
    }

    fn slot(&self, number: usize) -> Json {
        let Terms { end, nice, hold, .. } = self.road.terms[number];
        let Hop { load, arriving, leaving, .. } = &self.hops[number];
        let [arriving, leaving] = [arriving, leaving].map(|list| hex(list_hash(list.iter().copied())));
        let mut slot = json!({
            "load": hex(load), "arriving": arriving, "leaving": leaving, "end": end, "nice": nice, "hold": hold,
            "onion": self.road.is_onion, "receipt": self.road.receipt,
        });
        if number + 1 < self.hops.len() {
            slot["next"] = json!(id(hop_node(number + 1)).to_string());
        }
        slot
    }
}
