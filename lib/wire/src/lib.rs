//! Formats and cryptography of Mailbag: what travels and what a key file holds, as `docs/format.md` writes it down.
//!
//! Pure: no files, no clock, no randomness of its own (time and random bytes are arguments), so the same input gives
//! the same bytes. It knows nothing of spools, routes in use, or policy: who may send what is decided by its callers.
//! Whatever comes in is checked in full before a value of one of these types exists.
//!
//! The modules stand in the order a packet meets them: first what all share, then keys and cards, then what is made
//! (body, letter, envelope), each with the reader beside the writer.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

// BLAKE2b with one label a use.
pub mod hash;
// bech32m: ids, cards and secrets as one checksummed line.
pub mod text;
// Names of nodes, packets, letters, bodies and keys.
pub mod id;
// Deterministic CBOR, decoded strictly.
pub mod cbor;
// ChaCha20-Poly1305 in place.
mod aead;
// Ed25519 with a label.
pub mod sign;
// What a node keeps secret.
pub mod key;
// A seed under a passphrase.
pub mod sealed;
// The one kind of signed object for control.
pub mod statement;
// A node's public description.
pub mod card;
// Chunks and their tree.
pub mod body;
// Where a file is to go, below the receiver's folder.
pub mod path;
// A folder as a stream of entries.
pub mod folder;
// What only the final reader sees.
pub mod letter;
// What a list sends on, in a letter of its own.
pub mod list;
// Lengths of envelopes.
pub mod size;
// To a public key, from anybody.
pub mod seal;
// Hop after hop: slots, payload, veils.
pub mod route;
// How the recipient of an onion answers.
pub mod reply;
// One message for many readers.
pub mod area;
// The clear beginning of an envelope.
mod prefix;
// What goes back the way that a packet came.
pub mod report;
// The path of a packet, told by its nodes.
pub mod trace;
// A packet's small file: made and opened.
pub mod envelope;
// Live calls: the handshake, the frames, the messages.
pub mod call;
