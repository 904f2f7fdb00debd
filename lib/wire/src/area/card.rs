//! The card of an area: what whoever relays its messages has to know (format.md, section 14).

use serde::{Deserialize, Serialize};

use super::AreaError;
use crate::card::{CARD_MOST, CARD_PREFIX, is_name};
use crate::cbor;
use crate::id::{AreaId, NodeId};
use crate::key::NodeSecrets;
use crate::statement::{Statement, StatementKind};
use crate::text;

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Whoever has the post key.
    Open,
    /// The owner.
    Log,
    /// Those whom the owner's settings name; who may read, these say too.
    Moderated,
}

impl Mode {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Open => "open",
            Mode::Log => "log",
            Mode::Moderated => "moderated",
        }
    }
}

/// The public halves of an area's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaKeys {
    /// What messages are signed with (Ed25519).
    pub post: [u8; 32],
    /// What letters are sealed to (X25519).
    pub read: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardMap {
    mode: Mode,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post: Option<Public>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Public>,
    #[serde(with = "cbor::fixed")]
    salt: [u8; 16],
}

/// A public key.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Public(#[serde(with = "cbor::fixed")] [u8; 32]);

/// The card of an area whose signature was verified, or that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AreaCard {
    /// Identity key of the node that made the area (Ed25519).
    pub owner: [u8; 32],
    /// Who may write.
    pub mode: Mode,
    /// What its owner calls it.
    pub name: String,
    /// The public halves of its keys; of a moderated area its settings name them.
    pub keys: Option<AreaKeys>,
    /// Seconds since 1970: the owner's claim.
    pub created: u64,
    salt: [u8; 16],
    bytes: Vec<u8>,
}

impl AreaCard {
    /// Makes a new area of `node`, with keys unless it is moderated. `salt` is random.
    pub fn new(
        node: &NodeSecrets,
        name: &str,
        mode: Mode,
        keys: Option<AreaKeys>,
        salt: [u8; 16],
        created: u64,
    ) -> Result<AreaCard, AreaError> {
        if !is_name(name) {
            return Err(AreaError::Name);
        }
        if keys.is_some() == (mode == Mode::Moderated) {
            return Err(AreaError::Keys);
        }
        let (post, read) = (keys.map(|keys| Public(keys.post)), keys.map(|keys| Public(keys.read)));
        let body = cbor::encode(&CardMap { mode, name: name.to_owned(), post, read, salt });
        let owner = node.identity_key();
        let statement = Statement { kind: StatementKind::Area, body, issuer: owner, created, version: 1 };
        let bytes = statement.sign(node);
        Ok(AreaCard { owner, mode, name: name.to_owned(), keys, created, salt, bytes })
    }

    /// Reads and verifies the text of a card, `mbcard1…`.
    pub fn parse(text: &str) -> Result<AreaCard, AreaError> {
        AreaCard::from_bytes(&text::decode(CARD_PREFIX, text)?)
    }

    /// Reads and verifies a card's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<AreaCard, AreaError> {
        if bytes.len() > CARD_MOST {
            return Err(AreaError::Long(bytes.len()));
        }
        let Statement { kind, body, issuer: owner, created, version } = Statement::parse(bytes)?;
        if kind != StatementKind::Area {
            return Err(AreaError::Kind("an area's card"));
        }
        let CardMap { mode, name, post, read, salt } = cbor::decode(&body).map_err(AreaError::Card)?;
        if version != 1 {
            return Err(AreaError::Range("version"));
        }
        if !is_name(&name) {
            return Err(AreaError::Name);
        }
        let keys = match (post, read, mode) {
            (Some(Public(post)), Some(Public(read)), Mode::Open | Mode::Log) => Some(AreaKeys { post, read }),
            (None, None, Mode::Moderated) => None,
            _ => return Err(AreaError::Keys),
        };
        Ok(AreaCard { owner, mode, name, keys, created, salt, bytes: bytes.to_vec() })
    }

    /// The signed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The signed bytes as one line, `mbcard1…`.
    pub fn to_text(&self) -> String {
        text::encode(CARD_PREFIX, &self.bytes)
    }

    /// The area's id.
    pub fn id(&self) -> AreaId {
        AreaId::of(&self.owner, &self.salt)
    }

    /// The node that made it.
    pub fn owner_id(&self) -> NodeId {
        NodeId::of(&self.owner)
    }
}
