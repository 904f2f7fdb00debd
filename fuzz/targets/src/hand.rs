//! Envelopes by hand (format.md, sections 3 and 4): sealed, signed and of the right length, whatever is in them.
//!
//! The nodes are those of the test vectors, so that vectors serve as seeds. The share is always the same one, hence key and
//! commitment too: that is what makes it fast, and what no writer may do.

use std::sync::LazyLock;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use ciborium::Value;
use mb_wire::card::{Card, ExchangeKey};
use mb_wire::cbor;
use mb_wire::envelope::BodyName;
use mb_wire::hash::{Digest, Label, hash, keyed};
use mb_wire::id::AreaId;
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::size::class;
use x25519_dalek::{PublicKey, StaticSecret};

const TAG_LEN: usize = 16;
const EXCHANGE_BYTES: [u8; 32] = [0xbe; 32];

/// Who sends.
pub static ALICE: LazyLock<NodeSecrets> = LazyLock::new(|| node(0xa1));
/// Who reads.
pub static BOB: LazyLock<NodeSecrets> = LazyLock::new(|| node(0xb0));
/// The reader's exchange key.
pub static EXCHANGE: LazyLock<ExchangeSecret> = LazyLock::new(|| ExchangeSecret::from_random(EXCHANGE_BYTES));
/// The clear part of an envelope without bodies: item 1 and item 2.
pub static FIXED_HEAD: LazyLock<Vec<u8>> = LazyLock::new(|| head(20_090, &[]));

/// An area of alice's. Its post key is her identity key, its read key the exchange key.
pub static AREA: LazyLock<AreaId> = LazyLock::new(|| AreaId::of(&ALICE.identity_key(), &[9; 16]));
/// Alice's card.
pub static CARD: LazyLock<Card> = LazyLock::new(|| {
    let key = ExchangeKey { suite: 1, public: [1; 32], use_until: 0, gone_after: 0 };
    Card::issue(&ALICE, vec![key], "alice", 1, 1_700_000_000).expect("a card")
});

static SCHEDULE: LazyLock<Schedule> = LazyLock::new(|| Schedule::fixed(b"envelope", BOB.id().as_bytes()));
static AREA_SCHEDULE: LazyLock<Schedule> = LazyLock::new(|| Schedule::fixed(b"area", AREA.as_bytes()));

fn node(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

struct Schedule {
    share: [u8; 32],
    key: Digest,
    commit: Digest,
}

impl Schedule {
    fn fixed(context: &[u8], id: &[u8; 32]) -> Schedule {
        let secret = StaticSecret::from([7; 32]);
        let share = PublicKey::from(&secret).to_bytes();
        Schedule::of(context, id, share, secret.diffie_hellman(&EXCHANGE.public().into()).as_bytes())
    }

    fn of(context: &[u8], id: &[u8; 32], share: [u8; 32], shared: &[u8; 32]) -> Schedule {
        Schedule::to(&EXCHANGE.public(), context, id, share, shared)
    }

    fn to(exchange: &[u8; 32], context: &[u8], id: &[u8; 32], share: [u8; 32], shared: &[u8; 32]) -> Schedule {
        let parts: [&[u8]; 6] = [&[1], context, &share, exchange, id, shared];
        let prefixed: Vec<u8> = parts.iter().flat_map(|part| length_prefixed(part)).collect();
        let x = hash(Label::Seal, &[&prefixed]);
        Schedule { share, key: keyed(&x, Label::Key, &[]), commit: keyed(&x, Label::Commit, &[]) }
    }
}

fn length_prefixed(part: &[u8]) -> Vec<u8> {
    [&(part.len() as u64).to_be_bytes(), part].concat()
}

/// A map with text keys.
pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.map(|(key, value)| (key.into(), value)).into())
}

/// A byte string.
pub fn bytes(content: impl Into<Vec<u8>>) -> Value {
    Value::Bytes(content.into())
}

/// `[signed, signature]`.
pub fn as_signed(label: Label, signed: &[u8]) -> Vec<u8> {
    let signature = ALICE.sign(label, &[signed]);
    [vec![0x82], cbor::bytes_item(signed), cbor::bytes_item(&signature)].concat()
}

/// The clear part of an envelope to bob with these bodies.
pub fn head(end: u32, bodies: &[([u8; 32], u64)]) -> Vec<u8> {
    let bodies = bodies.iter().map(|(root, size)| Value::Array(vec![bytes(*root), (*size).into()]));
    let prefix = map([
        ("v", 1.into()),
        ("to", bytes(*BOB.id().as_bytes())),
        ("end", end.into()),
        ("tag", bytes(*EXCHANGE.tag().as_bytes())),
        ("nice", 96.into()),
        ("share", bytes(SCHEDULE.share)),
        ("suite", 1.into()),
        ("bodies", Value::Array(bodies.collect())),
        ("commit", bytes(SCHEDULE.commit)),
    ]);
    [cbor::bytes_item(&cbor::encode(&prefix)), vec![0xf6]].concat()
}

/// The envelope with this clear part around a plaintext, which is filled up to the file's class if it is shorter.
pub fn seal_plain(head: &[u8], plain: &[u8]) -> Vec<u8> {
    SCHEDULE.seal(head, plain)
}

impl Schedule {
    fn seal(&self, head: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut file = [head, plain].concat();
        file.resize(class((file.len() + TAG_LEN) as u64) as usize - TAG_LEN, 0);
        let cipher = ChaCha20Poly1305::new((&self.key).into());
        let sealed = (&mut file[head.len()..]).into();
        let tag = cipher.encrypt_inout_detached(&[0; 12].into(), head, sealed).expect("short enough");
        file.extend_from_slice(&tag);
        file
    }
}

/// A head of a message with these bodies.
pub fn area_head(end: u32, bodies: &[BodyName]) -> Vec<u8> {
    let bodies = bodies.iter().map(|body| Value::Array(vec![bytes(*body.root.as_bytes()), body.size.into()]));
    cbor::encode(&map([
        ("v", 1.into()),
        ("end", end.into()),
        ("area", bytes(*AREA.as_bytes())),
        ("post", bytes(ALICE.identity_key())),
        ("share", bytes(AREA_SCHEDULE.share)),
        ("suite", 1.into()),
        ("bodies", Value::Array(bodies.collect())),
        ("commit", bytes(AREA_SCHEDULE.commit)),
    ]))
}

/// The message with this head around a plaintext, which is filled up to its class if it is shorter.
pub fn area_message(head: &[u8], plain: &[u8]) -> Vec<u8> {
    let sealed = AREA_SCHEDULE.seal(head, plain).split_off(head.len());
    signed_message(head, &sealed)
}

/// The message of these parts, signed by alice.
pub fn signed_message(head: &[u8], sealed: &[u8]) -> Vec<u8> {
    let name = hash(Label::Msg, &[&length_prefixed(head), sealed]);
    let signature = ALICE.sign(Label::Post, &[&name]);
    [vec![0x83], cbor::bytes_item(head), cbor::bytes_item(sealed), cbor::bytes_item(&signature)].concat()
}

/// A statement's map around what one of this kind holds.
pub fn statement(kind: &str, body: &[u8]) -> Vec<u8> {
    cbor::encode(&map([
        ("v", 1.into()),
        ("body", bytes(body)),
        ("kind", kind.into()),
        ("issuer", bytes(ALICE.identity_key())),
        ("created", 1_700_000_000.into()),
        ("version", 1.into()),
    ]))
}

/// n and the inner part.
pub fn behind_length(inner: &[u8]) -> Vec<u8> {
    [&(inner.len() as u32).to_be_bytes(), inner].concat()
}

/// An inner part from alice with this content (CBOR, as it stands), honestly signed.
pub fn with_hop(head: &[u8], hops: u8, content: &[u8]) -> Vec<u8> {
    let (prefix, ..) = cbor::split_bytes(head, usize::MAX).expect("our own head begins with a byte string");
    let (from, to) = (ALICE.id(), BOB.id());
    let (prefix, digest) = (hash(Label::Prefix, &[prefix]), hash(Label::Hop, &[content]));
    let sig = ALICE.sign(Label::Hop, &[&prefix, from.as_bytes(), to.as_bytes(), &[hops], &digest]);
    let start = map([("sig", bytes(sig)), ("from", bytes(*from.as_bytes())), ("hops", hops.into())]);
    let mut out = cbor::encode(&start);
    // A map of four.
    out[0] += 1;
    out.extend(cbor::encode(&"content"));
    out.extend_from_slice(content);
    out
}

/// What is sealed in an envelope to bob: n, inner and zeros. For making seeds of vectors.
pub fn open_by_hand(file: &[u8]) -> Option<Vec<u8>> {
    let (content, item, _) = cbor::split_bytes(file, file.len()).ok()?;
    let share = bytes_at(content, "share")?;
    let shared = StaticSecret::from(EXCHANGE_BYTES).diffie_hellman(&share.into());
    let key = Schedule::of(b"envelope", BOB.id().as_bytes(), share, shared.as_bytes()).key;
    let (head, sealed) = file.split_at_checked(item.len() + 1)?;
    open_with(&key, head, sealed)
}

/// The same of a message of an area whose private read key is this.
pub fn open_area_by_hand(head: &[u8], sealed: &[u8], read: [u8; 32]) -> Option<Vec<u8>> {
    let (share, area) = (bytes_at(head, "share")?, bytes_at(head, "area")?);
    let read = StaticSecret::from(read);
    let (shared, public) = (read.diffie_hellman(&share.into()), PublicKey::from(&read).to_bytes());
    open_with(&Schedule::to(&public, b"area", &area, share, shared.as_bytes()).key, head, sealed)
}

fn bytes_at(map: &[u8], name: &str) -> Option<[u8; 32]> {
    let map: Value = ciborium::from_reader(map).ok()?;
    let value = map.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name))?.1.as_bytes()?;
    value.as_slice().try_into().ok()
}

fn open_with(key: &Digest, head: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (cipher_text, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
    let mut plain = cipher_text.to_vec();
    let cipher = ChaCha20Poly1305::new(key.into());
    cipher.decrypt_inout_detached(&[0; 12].into(), head, plain.as_mut_slice().into(), &(*tag).into()).ok()?;
    Some(plain)
}
