//! A seed under a passphrase: Argon2id (RFC 9106), then one box (format.md, section 8). Limits stand before work, so
//! that a doctored file cannot ask for all memory.

use argon2::{Algorithm, Argon2, Params};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::aead;
use crate::cbor::{self, Version};
use crate::key::{KeyError, Seed};
use crate::text;

const SEALED_PREFIX: &str = "mbsealed";

/// Length of the secret map with a seed in it, sealed: {"node": 32 bytes}.
const BOX_LEN: usize = 40 + aead::TAG_LEN;

/// What guessing a passphrase costs: memory in KiB, passes, lanes. Always within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgonCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl ArgonCost {
    /// 64 MiB, three passes, one lane: about 150 ms.
    pub const DEFAULT: ArgonCost = ArgonCost { memory_kib: 64 << 10, passes: 3, lanes: 1 };

    /// Checks the limits: memory 8 KiB to 1 GiB and at least 8 KiB a lane, passes 1 to 16, lanes 1 to 16.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<ArgonCost, KeyError> {
        let within = (1..=16).contains(&lanes) && (1..=16).contains(&passes);
        if within && memory_kib >= 8 * lanes && memory_kib <= 1 << 20 {
            return Ok(ArgonCost { memory_kib, passes, lanes });
        }
        Err(KeyError::Cost(format!("{memory_kib} KiB, {passes} passes, {lanes} lanes")))
    }

    fn key(self, passphrase: &[u8], salt: &[u8; 16]) -> Zeroizing<[u8; 32]> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).expect("within argon2's limits");
        let argon = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        argon.hash_password_into(passphrase, salt, &mut *key).expect("no passphrase is longer than 4 GiB");
        key
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedMap {
    m: u32,
    p: u32,
    t: u32,
    v: Version,
    #[serde(rename = "box", with = "cbor::fixed")]
    sealed: [u8; BOX_LEN],
    #[serde(with = "cbor::fixed")]
    salt: [u8; 16],
}

/// The seed as one line of text, `mbsealed1…`, that only the passphrase opens. `salt` is random, new for each sealing:
/// key and nonce follow from it.
pub fn seal_seed(seed: &Seed, passphrase: &[u8], salt: [u8; 16], cost: ArgonCost) -> String {
    let mut sealed = [0; BOX_LEN];
    sealed[..BOX_LEN - aead::TAG_LEN].copy_from_slice(&seed.to_map());
    aead::seal(&cost.key(passphrase, &salt), &aead::ONCE, &[], &mut sealed);
    let ArgonCost { memory_kib: m, passes: t, lanes: p } = cost;
    text::encode(SEALED_PREFIX, &cbor::encode(&SealedMap { m, p, t, v: Version, sealed, salt }))
}

/// Opens what [`seal_seed`] wrote. Takes as much time and memory as the text asks for, within the limits.
pub fn open_sealed_seed(text: &str, passphrase: &[u8]) -> Result<Seed, KeyError> {
    let mut map: SealedMap = cbor::decode(&text::decode(SEALED_PREFIX, text)?)?;
    let key = ArgonCost::new(map.m, map.t, map.p)?.key(passphrase, &map.salt);
    let opened = aead::open(&key, &aead::ONCE, &[], &mut map.sealed).map_err(|_| KeyError::Passphrase)?;
    let opened = Zeroizing::new(opened.to_vec());
    map.sealed.zeroize();
    Seed::from_map(&opened)
}
