//! The card: a node's signed, versioned public description, as one line of text that survives paste and print
//! (format.md, section 2). Who is believed, and what of several cards counts, is decided elsewhere.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cbor::{self, CborError};
use crate::id::NodeId;
use crate::key::NodeSecrets;
use crate::size::NUMBER_MOST;
use crate::statement::{Statement, StatementError, StatementKind};
use crate::text::{self, TextError};

pub(crate) const CARD_PREFIX: &str = "mbcard";

/// Longest card, in bytes.
pub const CARD_MOST: usize = 600;
/// Most exchange keys in a card.
pub const KEYS_MOST: usize = 8;
/// Longest name of a node, in characters.
pub const NAME_MOST: usize = 32;
/// The one suite known: X25519, BLAKE2b, ChaCha20-Poly1305.
pub const SUITE: u8 = 1;

/// Why a text is not a card, or a card not usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CardError {
    /// Not the text of a card.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Longer than a card may be.
    #[error("card has {0} bytes, more than the {CARD_MOST} allowed")]
    Long(usize),
    /// Not a statement, or a number out of range.
    #[error("card's {0}")]
    Statement(StatementError),
    /// A statement of another kind.
    #[error("not a card but another statement")]
    Kind,
    /// The signature is not the node's own.
    #[error("signature does not match: the card was altered")]
    Signature,
    /// The body has another structure.
    #[error("card's content {0}")]
    Form(CborError),
    /// No exchange key at all, or too many.
    #[error("card has {0} exchange keys; 1 to {KEYS_MOST} are allowed")]
    KeyCount(usize),
    /// A suite that this version does not know.
    #[error("card has a key of suite {0}, which is not known")]
    Suite(u8),
    /// The name a node gives itself breaks the rule.
    #[error("a node's name has 1 to {NAME_MOST} of a-z 0-9 - _ . and begins with a letter or digit")]
    Name,
    /// No exchange key may be used any more: a newer card is needed.
    #[error("no exchange key of the card is valid any more: a newer card of that node is needed")]
    Expired,
}

impl From<StatementError> for CardError {
    fn from(error: StatementError) -> CardError {
        match error {
            StatementError::Signature => CardError::Signature,
            other => CardError::Statement(other),
        }
    }
}

/// One exchange key of a card. Days count from 1970-01-01; 0 stands for no end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "KeyItem", into = "KeyItem")]
pub struct ExchangeKey {
    /// Which cryptography it is for.
    pub suite: u8,
    /// X25519 public key.
    pub public: [u8; 32],
    /// Last day on which a sender may take it.
    pub use_until: u32,
    /// Day after which its private half is destroyed: nothing sealed to it may live longer.
    pub gone_after: u32,
}

#[derive(Serialize, Deserialize)]
struct KeyItem(u8, #[serde(with = "cbor::fixed")] [u8; 32], u32, u32);

impl From<KeyItem> for ExchangeKey {
    fn from(KeyItem(suite, public, use_until, gone_after): KeyItem) -> ExchangeKey {
        ExchangeKey { suite, public, use_until, gone_after }
    }
}

impl From<ExchangeKey> for KeyItem {
    fn from(key: ExchangeKey) -> KeyItem {
        KeyItem(key.suite, key.public, key.use_until, key.gone_after)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardMap {
    #[serde(with = "cbor::fixed")]
    call: [u8; 32],
    keys: Vec<ExchangeKey>,
    name: String,
}

impl CardMap {
    fn check(&self) -> Result<(), CardError> {
        if !(1..=KEYS_MOST).contains(&self.keys.len()) {
            return Err(CardError::KeyCount(self.keys.len()));
        }
        if let Some(key) = self.keys.iter().find(|key| key.suite != SUITE) {
            return Err(CardError::Suite(key.suite));
        }
        if is_name(&self.name) { Ok(()) } else { Err(CardError::Name) }
    }
}

/// Whether a node may call itself, or be called, `name`.
pub fn is_name(name: &str) -> bool {
    let alone = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= NAME_MOST
        && bytes.first().is_some_and(|&c| alone(c))
        && bytes.iter().all(|&c| alone(c) || b"-_.".contains(&c))
}

/// A node's card whose signature was verified, or that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Identity key (Ed25519); the node's id is its hash.
    pub identity: [u8; 32],
    /// X25519 public key for live calls.
    pub call: [u8; 32],
    /// Exchange keys, oldest first.
    pub keys: Vec<ExchangeKey>,
    /// What the node calls itself.
    pub name: String,
    /// Of two cards of one node the greater counts.
    pub version: u64,
    /// Seconds since 1970, as the node claims.
    pub created: u64,
    bytes: Vec<u8>,
}

impl Card {
    /// Makes and signs the card of `node`. Refuses what [`Card::parse`] would refuse.
    pub fn issue(
        node: &NodeSecrets,
        keys: Vec<ExchangeKey>,
        name: &str,
        version: u64,
        created: u64,
    ) -> Result<Card, CardError> {
        let map = CardMap { call: node.call_public(), keys, name: name.to_owned() };
        map.check()?;
        for (number, least, what) in [(version, 1, "version"), (created, 0, "time of creation")] {
            if !(least..=NUMBER_MOST).contains(&number) {
                return Err(StatementError::Range(what).into());
            }
        }
        let (issuer, body) = (node.identity_key(), cbor::encode(&map));
        let statement = Statement { kind: StatementKind::Card, body, issuer, created, version };
        let bytes = statement.sign(node);
        if bytes.len() > CARD_MOST {
            return Err(CardError::Long(bytes.len()));
        }
        Ok(Card::join(statement, map, bytes))
    }

    /// Reads and verifies a card's text: nothing may stand around it.
    pub fn parse(text: &str) -> Result<Card, CardError> {
        Card::from_bytes(&text::decode(CARD_PREFIX, text)?)
    }

    /// Reads and verifies a card's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Card, CardError> {
        if bytes.len() > CARD_MOST {
            return Err(CardError::Long(bytes.len()));
        }
        let statement = Statement::parse(bytes)?;
        if statement.kind != StatementKind::Card {
            return Err(CardError::Kind);
        }
        let map: CardMap = cbor::decode(&statement.body).map_err(CardError::Form)?;
        map.check()?;
        Ok(Card::join(statement, map, bytes.to_vec()))
    }

    fn join(statement: Statement, map: CardMap, bytes: Vec<u8>) -> Card {
        let Statement { issuer: identity, created, version, .. } = statement;
        let CardMap { call, keys, name } = map;
        Card { identity, call, keys, name, version, created, bytes }
    }

    /// The signed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The signed bytes as one line, `mbcard1…`.
    pub fn to_text(&self) -> String {
        text::encode(CARD_PREFIX, &self.bytes)
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        NodeId::of(&self.identity)
    }

    /// The key to seal to on the day `today`: the last one not past its `use_until`, unless it is gone. What is sealed
    /// to it must end no later than its `gone_after`.
    pub fn exchange_key(&self, today: u32) -> Result<&ExchangeKey, CardError> {
        let open = |day: u32| day == 0 || today <= day;
        let newest = self.keys.iter().rev().find(|key| open(key.use_until));
        newest.filter(|key| open(key.gone_after)).ok_or(CardError::Expired)
    }
}
