//! What `node.key` says, as text: nothing is unsealed and nothing proved yet.

use super::source::{Key, Source};
use super::{ConfigError, Fault, fields};
use mb_wire::card::Card;
use serde::Deserialize;
use std::path::Path;
use zeroize::Zeroizing;

/// The card and the secret of a node.
pub(crate) struct KeyFile {
    /// The node's own card.
    pub card: Card,
    /// Its seed.
    pub seed: SeedText,
}

/// The text form of a seed.
pub(crate) enum SeedText {
    /// In the clear.
    Plain(Zeroizing<String>),
    /// Under a passphrase.
    Sealed(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(deserialize_with = "fields::card")]
    card: Card,
    #[serde(default, deserialize_with = "fields::secret")]
    secret: Option<Zeroizing<String>>,
    sealed: Option<String>,
}

impl KeyFile {
    /// Reads the text of `node.key`; `path` is for messages. Exactly one of `secret` and `sealed` is there.
    pub fn parse(path: &Path, text: &str) -> Result<KeyFile, ConfigError> {
        let source = Source { path, text };
        let raw: Raw = source.read(&[("card", Key::Value), ("secret", Key::Value), ("sealed", Key::Value)])?;
        let seed = match (raw.secret, raw.sealed) {
            (Some(secret), None) => SeedText::Plain(secret),
            (None, Some(sealed)) => SeedText::Sealed(sealed),
            (None, None) => return Err(source.error(0, "secret", Fault::Value("missing".into()))),
            (Some(_), Some(_)) => return Err(source.error(0, "sealed", Fault::Value("there is a secret too".into()))),
        };
        Ok(KeyFile { card: raw.card, seed })
    }

    /// The text of a `node.key` with this card and seed.
    pub fn to_text(card: &Card, seed: &SeedText) -> Zeroizing<Vec<u8>> {
        let (key, value) = match seed {
            SeedText::Plain(text) => ("secret", text.as_str()),
            SeedText::Sealed(text) => ("sealed", text.as_str()),
        };
        let card = card.to_text();
        let text = Zeroizing::new(format!("# Keep this file to yourself.\ncard = \"{card}\"\n{key} = \"{value}\"\n"));
        Zeroizing::new(text.as_bytes().to_vec())
    }
}
