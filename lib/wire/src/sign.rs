//! Ed25519 (RFC 8032) over a label and a message, verified strictly (format.md, section 1).

use ed25519_dalek::{Signature as Ed25519, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::hash::Label;

/// A signature as it stands in a file.
pub type Signature = [u8; 64];

/// What is signed: the label, filled up to 16 bytes, then the parts. Wiped, since a letter holds keys.
fn message(label: Label, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let len = 16 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    out.extend_from_slice(&label.padded());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// Signs the parts, one after another.
pub(crate) fn sign(key: &SigningKey, label: Label, parts: &[&[u8]]) -> Signature {
    key.sign(&message(label, parts)).to_bytes()
}

/// Whether `signature` is the one that the holder of `identity` made over the parts. Refuses non-canonical S, R and A
/// and points of small order, so that one message has no second valid signature made by others.
pub fn verify(identity: &[u8; 32], label: Label, parts: &[&[u8]], signature: &Signature) -> bool {
    if !is_canonical(identity) {
        return false;
    }
    let Ok(key) = VerifyingKey::from_bytes(identity) else { return false };
    key.verify_strict(&message(label, parts), &Ed25519::from_bytes(signature)).is_ok()
}

/// Whether the y coordinate is below p = 2^255 - 19. `verify_strict` compares R as bytes, but takes any A that
/// decompresses; two spellings of one key would be two node ids.
fn is_canonical(point: &[u8; 32]) -> bool {
    let high = point[31] & 0x7f == 0x7f && point[1..31].iter().all(|&byte| byte == 0xff);
    !(high && point[0] >= 0xed)
}
