//! Envelopes by hand (format.md, sections 3 and 4): sealed, signed and of the right length, whatever is in them.
//!
//! The nodes are those of the test vectors, so that vectors serve as seeds. The share is always the same one, hence key and
//! commitment too: that is what makes it fast, and what no writer may do.

use std::sync::LazyLock;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use ciborium::Value;
use mb_wire::cbor;
use mb_wire::hash::{Digest, Label, hash, keyed};
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

static SCHEDULE: LazyLock<Schedule> = LazyLock::new(|| {
    let secret = StaticSecret::from([7; 32]);
    let share = PublicKey::from(&secret).to_bytes();
    Schedule::of(share, secret.diffie_hellman(&EXCHANGE.public().into()).as_bytes())
});

fn node(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

struct Schedule {
    share: [u8; 32],
    key: Digest,
    commit: Digest,
}

impl Schedule {
    fn of(share: [u8; 32], shared: &[u8; 32]) -> Schedule {
        let (exchange, id) = (EXCHANGE.public(), BOB.id());
        let parts: [&[u8]; 6] = [&[1], b"envelope", &share, &exchange, id.as_bytes(), shared];
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
    let mut file = [head, plain].concat();
    file.resize(class((file.len() + TAG_LEN) as u64) as usize - TAG_LEN, 0);
    let cipher = ChaCha20Poly1305::new((&SCHEDULE.key).into());
    let sealed = (&mut file[head.len()..]).into();
    let tag = cipher.encrypt_inout_detached(&[0; 12].into(), head, sealed).expect("short enough");
    file.extend_from_slice(&tag);
    file
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
    let map: Value = ciborium::from_reader(content).ok()?;
    let share = map.as_map()?.iter().find(|(key, _)| key.as_text() == Some("share"))?.1.as_bytes()?;
    let share: [u8; 32] = share.as_slice().try_into().ok()?;
    let shared = StaticSecret::from(EXCHANGE_BYTES).diffie_hellman(&share.into());
    let key = Schedule::of(share, shared.as_bytes()).key;
    let (head, sealed) = file.split_at_checked(item.len() + 1)?;
    let (cipher_text, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
    let mut plain = cipher_text.to_vec();
    let cipher = ChaCha20Poly1305::new((&key).into());
    cipher.decrypt_inout_detached(&[0; 12].into(), head, plain.as_mut_slice().into(), &(*tag).into()).ok()?;
    Some(plain)
}
