//! What those who write to an area, and those who read it, keep to themselves (format.md, section 14). Wiped when dropped; prints
//! nothing.

use std::fmt;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{AreaCard, AreaError, AreaKeys};
use crate::cbor;
use crate::hash::Label;
use crate::id::MsgHash;
use crate::key::{ExchangeSecret, SECRET_PREFIX};
use crate::sign::{self, Signature};
use crate::text;

/// The private half of a post key.
pub struct PostSecret(SigningKey);

impl PostSecret {
    /// A post key from 32 bytes of good randomness.
    pub fn from_random(bytes: [u8; 32]) -> PostSecret {
        PostSecret(SigningKey::from_bytes(&bytes))
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, message: &MsgHash) -> Signature {
        sign::sign(&self.0, Label::Post, &[message.as_bytes()])
    }
}

impl fmt::Debug for PostSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostSecret")
    }
}

/// An area's card, and what its holder may do: write, read, or both.
#[derive(Debug)]
pub struct AreaSecret {
    /// The area.
    pub card: AreaCard,
    /// To write.
    pub post: Option<PostSecret>,
    /// To read.
    pub read: Option<ExchangeSecret>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretMap {
    area: AreaMap,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AreaMap {
    #[serde(with = "cbor::bytes")]
    card: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post: Option<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Key>,
}

struct Key(Zeroizing<[u8; 32]>);

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        cbor::fixed::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        cbor::fixed::deserialize(d).map(|bytes| Key(Zeroizing::new(bytes)))
    }
}

impl AreaSecret {
    /// As one line of text, `mbsecret1…`: whoever reads it may do the same.
    pub fn to_text(&self) -> Zeroizing<String> {
        let post = self.post.as_ref().map(|key| Key(Zeroizing::new(key.0.to_bytes())));
        let read = self.read.as_ref().map(|key| Key(key.to_bytes()));
        let map = SecretMap { area: AreaMap { card: self.card.as_bytes().to_vec(), post, read } };
        Zeroizing::new(text::encode(SECRET_PREFIX, &cbor::encode_secret(&map)))
    }

    /// Reads what [`AreaSecret::to_text`] wrote. The card is verified, and the keys belong to it.
    pub fn from_text(text: &str) -> Result<AreaSecret, AreaError> {
        let bytes = Zeroizing::new(text::decode(SECRET_PREFIX, text)?);
        let map: SecretMap = cbor::decode(&bytes).map_err(|_| AreaError::NoSecret)?;
        let AreaMap { card, post, read } = map.area;
        let card = AreaCard::from_bytes(&card)?;
        let post = post.map(|key| PostSecret::from_random(*key.0));
        let read = read.map(|key| ExchangeSecret::from_random(*key.0));
        if post.is_none() && read.is_none() {
            return Err(AreaError::NoKeys);
        }
        let fits = match card.keys {
            Some(AreaKeys { post: signs, read: opens }) => {
                post.as_ref().is_none_or(|key| key.public() == signs)
                    && read.as_ref().is_none_or(|key| key.public() == opens)
            }
            // Who may write its settings say, and what opens its letters lies in them.
            None => read.is_none(),
        };
        if fits { Ok(AreaSecret { card, post, read }) } else { Err(AreaError::Halves) }
    }
}
