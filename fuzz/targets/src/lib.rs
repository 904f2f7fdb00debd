//! What the fuzzer calls: one function for each decoder of what comes from outside, or from a disk.
//!
//! A target takes any bytes and must neither panic nor run out of memory, and where it can it holds the decoder to
//! what it promises (what reads well is written the same again; nothing appears outside its folder). Seals, checksums
//! and signatures would stop every made-up input, so targets make these themselves around the fuzzer's bytes; `envelope`
//! alone is read as it comes. A first byte often says which of several doors the rest goes through.
//!
//! `fuzz/run` runs them under libFuzzer; `tests/replay.rs` runs each over its corpus and over seeded mutations of that.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod input;
mod hand;
mod texts;
mod keys;
mod structure;
mod envelopes;
mod letters;
mod areas;
mod bodies;
mod payloads;
mod folders;
mod unpacks;
mod configs;
mod records;
mod paths;
mod calls;

// For the seeds.
pub use hand::{FIXED_HEAD, open_area_by_hand, open_by_hand, with_hop};

/// A target: any bytes, no panic.
pub type Target = fn(&[u8]);

macro_rules! targets {
    ($($(#[$doc:meta])+ $name:ident = $path:path;)+) => {
        $($(#[$doc])+ pub fn $name(data: &[u8]) { $path(data) })+

        /// All of them, by name.
        pub const ALL: &[(&str, Target)] = &[$((stringify!($name), $name)),+];
    };
}

targets! {
    /// Ids, cards and secrets as text.
    text = texts::text;
    /// A card's content and a statement's map, honestly signed, and unsigned ones.
    card = texts::card;
    /// Deterministic CBOR as values of every public type.
    cbor = structure::cbor;
    /// Byte strings at the front of a stream.
    item = structure::item;
    /// The clear part of an envelope.
    prefix = envelopes::prefix;
    /// A whole envelope, with nothing made honest.
    envelope = envelopes::envelope;
    /// What is sealed in an envelope.
    inner = envelopes::inner;
    /// What an author signs.
    letter = letters::letter;
    /// An area's card and secrets.
    area_card = areas::area_card;
    /// A message of an area.
    area_message = areas::area_message;
    /// Chunks, leaves and sizes of bodies.
    body = bodies::body;
    /// The plaintext of bodies, compressed or not, as a tosser reads it.
    payload = payloads::payload;
    /// A folder payload, in slices.
    folder = folders::folder;
    /// A folder payload as it becomes a folder.
    unpack = unpacks::unpack;
    /// `node.key`.
    key_file = keys::key_file;
    /// A seed under a passphrase.
    sealed = keys::sealed;
    /// `self/keys/TAG`.
    exchange_key = keys::exchange_key;
    /// `config.toml`, and single values.
    config = configs::config;
    /// `nodes/NAME.toml`.
    node_file = configs::node_file;
    /// Names in a queue and on a stick.
    names = records::names;
    /// Records of letters that are being delivered.
    seen = records::seen;
    /// Records of `--once`.
    once = records::once;
    /// Numbers and reasons that lie in a spool.
    state = records::state;
    /// Paths of letters, made safe.
    safe_path = paths::safe_path;
    /// Handshakes and frames.
    handshake = calls::handshake;
    /// Messages of each kind, and what is remembered of calls.
    message = calls::message;
    /// Messages in any order.
    exchange = calls::exchange;
}
