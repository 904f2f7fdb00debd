//! The statement: the one kind of signed object for control (format.md, section 2). Here is the wrapping; what a kind
//! holds is its own module's business (`card.rs`).

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cbor::{self, CborError, Signed, Version};
use crate::hash::Label;
use crate::key::NodeSecrets;
use crate::sign;
use crate::size::NUMBER_MOST;

/// Why bytes are not a statement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// Not its structure.
    #[error("statement {0}")]
    Form(#[from] CborError),
    /// A number outside its range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// The signature is not the issuer's over these bytes.
    #[error("signature does not match: the statement was altered")]
    Signature,
}

/// Which kind a statement is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatementKind {
    /// A node's public description.
    Card,
    /// An area's public description.
    Area,
    /// Who may write, read and carry in a moderated area.
    Settings,
    /// That a neighbour wants what there is of an area.
    Want,
    /// How far a packet has come.
    Receipt,
    /// One step of a packet's path.
    Step,
    /// That a packet should not have come.
    Complaint,
    /// That a node wants an area's messages.
    Subscribe,
}

impl StatementKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            StatementKind::Card => "card",
            StatementKind::Area => "area",
            StatementKind::Settings => "settings",
            StatementKind::Want => "want",
            StatementKind::Receipt => "receipt",
            StatementKind::Step => "step",
            StatementKind::Complaint => "complaint",
            StatementKind::Subscribe => "subscribe",
        }
    }
}

/// A statement whose signature was verified. Of two with the same kind and issuer the greater `version` counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is about.
    pub kind: StatementKind,
    /// The encoding of the kind's own map.
    pub body: Vec<u8>,
    /// The identity key that signed it.
    pub issuer: [u8; 32],
    /// Seconds since 1970: the issuer's claim, for people.
    pub created: u64,
    /// 1 to 2^53 - 1.
    pub version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementMap {
    v: Version,
    #[serde(with = "cbor::bytes")]
    body: Vec<u8>,
    kind: StatementKind,
    #[serde(with = "cbor::fixed")]
    issuer: [u8; 32],
    created: u64,
    version: u64,
}

impl Statement {
    /// Signs this as `node`, which must be its issuer, and returns the bytes to store or send.
    pub(crate) fn sign(&self, node: &NodeSecrets) -> Vec<u8> {
        let map = StatementMap {
            v: Version,
            body: self.body.clone(),
            kind: self.kind,
            issuer: self.issuer,
            created: self.created,
            version: self.version,
        };
        let bytes = cbor::encode_secret(&map);
        let signature = node.sign(Label::Stmt, &[&bytes]);
        cbor::encode(&Signed(bytes, signature))
    }

    /// Reads and verifies. The kind's own limits, length among them, are left to the kind.
    pub fn parse(input: &[u8]) -> Result<Statement, StatementError> {
        let Signed(bytes, signature) = cbor::decode(input)?;
        let map: StatementMap = cbor::decode(&bytes)?;
        if !(1..=NUMBER_MOST).contains(&map.version) {
            return Err(StatementError::Range("version"));
        }
        if map.created > NUMBER_MOST {
            return Err(StatementError::Range("time of creation"));
        }
        if !sign::verify(&map.issuer, Label::Stmt, &[&bytes], &signature) {
            return Err(StatementError::Signature);
        }
        let StatementMap { v: Version, body, kind, issuer, created, version } = map;
        Ok(Statement { kind, body, issuer, created, version })
    }
}
