//! A message of an area by hand (format.md, section 14): every step, and at each of them a place where a vector can do it wrong.

use ciborium::Value;
use curve25519_dalek::Scalar;
use ed25519_dalek::{Signer, SigningKey};
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{AreaId, LetterId, MsgHash};
use mb_wire::key::ExchangeSecret;
use mb_wire::letter::{Letter, Posted, Reader};
use mb_wire::size::class;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha512};

use super::areas::{Area, POST, READ, author_card, post_public};
use super::build::{Map, aead_seal, bytes, cbor, hex, int, list, map, set, text};
use super::draft::{Carried, Draft, Stage, extract, schedule_parts};
use super::settings::Rules;

/// What can be changed of a message, in the order in which it comes up. All that follows is made from the changed one.
pub enum At<'a> {
    Share(&'a mut [u8; 32]),
    /// As [`Stage::Schedule`].
    Schedule(&'a mut [Vec<u8>; 6]),
    Head(&'a mut Map),
    HeadBytes(&'a mut Vec<u8>),
    /// The letter in it.
    Letter(&'a mut Letter),
    /// Its map, and the signature over that.
    Stage(Stage<'a>),
    Plain(&'a mut Vec<u8>),
    Associated(&'a mut Vec<u8>),
    Sealed(&'a mut Vec<u8>),
    Sig(&'a mut [u8; 64]),
    Items(&'a mut Vec<Value>),
}

/// What is posted.
#[derive(Clone)]
pub struct Post {
    pub area: Area,
    /// As [`Draft::letter`], in its envelope.
    pub draft: Draft,
    pub re: Option<MsgHash>,
    pub salt: [u8; 32],
}

/// A message as it lies in an envelope.
#[derive(Clone)]
pub struct Message {
    pub value: Value,
    letter: (LetterId, Letter),
    shown: Json,
    card: String,
    settings: Option<Vec<u8>>,
    salt: [u8; 32],
}

impl Message {
    /// What a reader is given, besides the envelope.
    pub fn input(&self) -> Json {
        let mut input = json!({"area_card": self.card, "area_read": hex(READ)});
        self.settings.iter().for_each(|settings| input["area_settings"] = json!(hex(settings)));
        input
    }

    /// What comes out, and what a writer needs.
    pub fn all(&self, author: u8) -> Json {
        json!({
            "area": self.shown, "letter": super::draft::letter(self.letter.0, &self.letter.1), "area_post": hex(POST),
            "area_salt": hex(self.salt), "author_seed": hex([author; 32]),
        })
    }
}

impl Post {
    pub fn new() -> Post {
        Post { area: Area::new(), draft: Draft::new(), re: None, salt: [0x66; 32] }
    }

    /// Its letter made otherwise.
    pub fn of(draft: Draft) -> Post {
        Post { draft, ..Post::new() }
    }

    pub fn in_area(area: Area) -> Post {
        Post { area, ..Post::new() }
    }

    pub fn make(&self) -> Draft {
        self.make_with(&|_| {})
    }

    /// The envelope that holds it, with one thing done wrong in it.
    pub fn make_with(&self, edit: &dyn Fn(At)) -> Draft {
        let lens = 4_u64.to_be_bytes();
        let coins =
            keyed(&keyed(&[self.draft.author; 32], Label::Coin, &[]), Label::Coins, &[&lens, b"area", &self.salt]);
        let secret = x25519_dalek::StaticSecret::from(coins);
        let mut share = x25519_dalek::PublicKey::from(&secret).to_bytes();
        edit(At::Share(&mut share));
        let read = ExchangeSecret::from_random(READ).public();
        let z = x25519_dalek::StaticSecret::from(READ).diffie_hellman(&share.into()).to_bytes();
        let mut parts = schedule_parts("area", &share, &read, self.area.id().as_bytes(), &z);
        edit(At::Schedule(&mut parts));
        let x = extract(&parts);
        let bodies = &self.draft.letter.bodies;
        let mut head_map = map([
            ("v", int(1)),
            ("end", int(self.draft.letter.end)),
            ("area", bytes(self.area.id().as_bytes())),
            ("post", bytes(post_public(&POST))),
            ("share", bytes(share)),
            ("suite", int(1)),
            ("bodies", list(bodies.iter().map(|b| list([bytes(b.root.as_bytes()), int(b.size)])))),
            ("commit", bytes(keyed(&x, Label::Commit, &[]))),
        ]);
        if self.area.is_moderated() {
            set(&mut head_map, "epoch", int(Rules::EPOCH));
            set(&mut head_map, "version", int(Rules::VERSION));
        }
        edit(At::Head(&mut head_map));
        let mut head = cbor(&Value::Map(head_map.clone()));
        edit(At::HeadBytes(&mut head));
        let mut inside = self.draft.clone();
        let card = author_card(self.draft.author);
        let posted = Posted { area: self.area.id(), re: self.re, card, head: hash(Label::Head, &[&head]) };
        inside.letter.to = Reader::Area(Box::new(posted));
        edit(At::Letter(&mut inside.letter));
        let (letter, letter_id) = inside.signed_letter(&|stage| edit(At::Stage(stage)));
        let letter = cbor(&letter);
        let mut plain = [&(letter.len() as u32).to_be_bytes(), letter.as_slice()].concat();
        plain.resize(class((head.len() + plain.len() + 16) as u64) as usize - head.len() - 16, 0);
        edit(At::Plain(&mut plain));
        let mut associated = head.clone();
        edit(At::Associated(&mut associated));
        let mut sealed = aead_seal(&keyed(&x, Label::Key, &[]), [0; 12], &associated, &plain);
        edit(At::Sealed(&mut sealed));
        let name = name(&head, &sealed);
        let mut sig = sign(&POST, Label::Post, name.as_bytes());
        edit(At::Sig(&mut sig));
        let mut items = vec![bytes(&head), bytes(&sealed), bytes(sig)];
        edit(At::Items(&mut items));
        let shown = json!({"hash": name.to_string(), "head": shown(&head_map)});
        let message = Message {
            value: list(items),
            letter: (letter_id, inside.letter),
            shown,
            card: self.area.card_text(),
            settings: self.area.is_moderated().then(|| Rules::new().make()),
            salt: self.salt,
        };
        Draft { carried: Carried::Area(Box::new(message)), ..self.draft.clone() }
    }
}

pub fn name(head: &[u8], sealed: &[u8]) -> MsgHash {
    MsgHash::from_bytes(hash(Label::Msg, &[&(head.len() as u64).to_be_bytes(), head, sealed]))
}

pub fn sign(key: &[u8; 32], label: Label, signed: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(key).sign(&[&label.padded()[..], signed].concat()).to_bytes()
}

/// A second signature that holds, with another nonce (RFC 8032, 5.1.6, with any r).
pub fn sign_otherwise(key: &[u8; 32], label: Label, signed: &[u8]) -> [u8; 64] {
    let (key, nonce) = (SigningKey::from_bytes(key), SigningKey::from_bytes(&[0x99; 32]));
    let (a, r) = (key.verifying_key().to_bytes(), nonce.verifying_key().to_bytes());
    let digest = [&r[..], &a, &label.padded(), signed].iter().fold(Sha512::new(), Sha512::chain_update);
    let k = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
    let s = nonce.to_scalar() + k * key.to_scalar();
    let mut sig = [0; 64];
    sig[..32].copy_from_slice(&r);
    sig[32..].copy_from_slice(&s.to_bytes());
    sig
}

/// The fields of a head.
fn shown(head: &Map) -> Json {
    let value = |key: &str| head.iter().find(|(other, _)| *other == text(key)).map(|(_, value)| value.clone());
    let part = |key: &str| value(key).and_then(|value| value.into_bytes().ok()).unwrap_or_default();
    let number =
        |value: Option<Value>| value.and_then(|value| value.as_integer()).map(i128::from).unwrap_or_default() as u64;
    let bodies = value("bodies").and_then(|bodies| bodies.into_array().ok()).unwrap_or_default();
    let body = |body: Value| {
        let items = body.into_array().unwrap_or_default();
        let root: Vec<u8> = items[0].as_bytes().cloned().unwrap_or_default();
        let root = mb_wire::id::Root::from_bytes(root.try_into().unwrap_or_default());
        json!({"root": root.to_string(), "size": number(items.get(1).cloned())})
    };
    let mut shown = json!({
        "end": number(value("end")), "area": AreaId::from_bytes(part("area").try_into().unwrap_or_default()).to_string(),
        "post": hex(part("post")), "share": hex(part("share")), "suite": number(value("suite")), "commit": hex(part("commit")),
        "bodies": bodies.into_iter().map(body).collect::<Vec<_>>(),
    });
    for key in ["epoch", "version"] {
        value(key).into_iter().for_each(|known| shown[key] = json!(number(Some(known))));
    }
    shown
}
