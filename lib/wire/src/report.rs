//! Reports: what goes back the way that a packet came, from whoever has something to say of it to its author (format.md,
//! section 11). A receipt says how far it has come, a complaint that it should not have come.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cbor::{self, CborError};
use crate::id::{LetterId, Mark, NodeId, PacketId};
use crate::key::NodeSecrets;
use crate::size::NUMBER_MOST;
use crate::statement::{Statement, StatementError, StatementKind};

/// Most reports of one envelope.
pub const REPORTS_MOST: usize = 64;
/// Longest statement of a report, in bytes.
pub const STATEMENT_MOST: usize = 600;
/// Longest reason of a receipt, in bytes.
pub const WHY_MOST: usize = 200;

/// Why a statement is no report.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReportError {
    /// Longer than any.
    #[error("report has {0} bytes, more than the {STATEMENT_MOST} allowed")]
    Long(usize),
    /// Not a statement, or not signed by its issuer.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A statement of another kind.
    #[error("report holds another statement than it should")]
    Kind,
    /// What the statement holds is none.
    #[error("report {0}")]
    Form(CborError),
    /// A reason that is too long, or that is missing or out of place.
    #[error("receipt's reason is out of place or too long")]
    Why,
}

/// One report, as one neighbour hands it to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ReportItem", into = "ReportItem")]
pub struct Report {
    /// The packet, as the neighbour that is told handed it over.
    pub packet: PacketId,
    /// A receipt, or a complaint.
    pub statement: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct ReportItem(PacketId, #[serde(with = "cbor::bytes")] Vec<u8>);

impl From<ReportItem> for Report {
    fn from(ReportItem(packet, statement): ReportItem) -> Report {
        Report { packet, statement }
    }
}

impl From<Report> for ReportItem {
    fn from(report: Report) -> ReportItem {
        ReportItem(report.packet, report.statement)
    }
}

/// How far a packet has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A relay has it, and it waits there for the next hop.
    Accepted,
    /// Nobody has come to the relay for it in the time that it gives the next hop.
    Stalled,
    /// A relay has handed it to the next hop, or put it on a stick.
    Handed,
    /// It goes no further: its last day is over.
    Expired,
    /// It goes no further, for another reason.
    Refused,
    /// The recipient has delivered it.
    Delivered,
}

impl Stage {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Accepted => "accepted",
            Stage::Stalled => "stalled",
            Stage::Handed => "handed",
            Stage::Expired => "expired",
            Stage::Refused => "refused",
            Stage::Delivered => "delivered",
        }
    }

    /// Whether a relay, or the recipient, can know it.
    fn is_possible(self, is_recipient: bool) -> bool {
        match self {
            Stage::Accepted | Stage::Stalled | Stage::Handed => !is_recipient,
            Stage::Expired | Stage::Refused => true,
            Stage::Delivered => is_recipient,
        }
    }
}

/// What a node says of a packet that it has, or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the node remembers the packet by, which the author knows.
    pub about: Mark,
    /// How far it has come.
    pub stage: Stage,
    /// Why it is refused: at most [`WHY_MOST`] bytes, for people. Empty at other stages.
    pub why: String,
    /// Seconds since 1970: when, as the node claims.
    pub time: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptMap {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    why: String,
    about: Mark,
    stage: Stage,
}

impl ReceiptMap {
    fn check(&self) -> Result<(), ReportError> {
        let is_told = !self.why.is_empty();
        let is_right = is_told == (self.stage == Stage::Refused) && self.why.len() <= WHY_MOST;
        if is_right { Ok(()) } else { Err(ReportError::Why) }
    }
}

impl Receipt {
    /// Signs it as `node`. A reason that is too long is cut.
    pub fn sign(&self, node: &NodeSecrets) -> Vec<u8> {
        let mut why = self.why.clone();
        why.truncate(why.floor_char_boundary(WHY_MOST));
        let map = ReceiptMap { why, about: self.about, stage: self.stage };
        let (issuer, created) = (node.identity_key(), self.time.min(NUMBER_MOST >> 3));
        // Of two the newer counts, and of one second the later stage.
        let version = (created << 3 | self.stage as u64).max(1);
        Statement { kind: StatementKind::Receipt, body: cbor::encode(&map), issuer, created, version }.sign(node)
    }
}

/// Why a packet should not have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Nobody wants it.
    Spam,
    /// It is not what it says, or not from whom it says.
    Forged,
    /// Too much of it.
    Flood,
    /// Something else.
    Other,
}

impl Reason {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Spam => "spam",
            Reason::Forged => "forged",
            Reason::Flood => "flood",
            Reason::Other => "other",
        }
    }
}

/// What a receiver has to say of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complaint {
    /// The letter.
    pub about: LetterId,
    /// Why it should not have come.
    pub reason: Reason,
}

impl Complaint {
    /// Signs it as `node` at `time`, in seconds since 1970.
    pub fn sign(&self, node: &NodeSecrets, time: u64) -> Vec<u8> {
        let (issuer, created) = (node.identity_key(), time.min(NUMBER_MOST));
        let body = cbor::encode(self);
        Statement { kind: StatementKind::Complaint, body, issuer, created, version: 1 }.sign(node)
    }

    /// Reads and verifies a report's statement: who complains, and of what.
    pub fn parse(statement: &[u8]) -> Result<(NodeId, Complaint), ReportError> {
        let Statement { body, issuer, .. } = statement_of(statement, StatementKind::Complaint)?;
        Ok((NodeId::of(&issuer), cbor::decode(&body).map_err(ReportError::Form)?))
    }
}

fn statement_of(statement: &[u8], wanted: StatementKind) -> Result<Statement, ReportError> {
    if statement.len() > STATEMENT_MOST {
        return Err(ReportError::Long(statement.len()));
    }
    let statement = Statement::parse(statement)?;
    if statement.kind == wanted { Ok(statement) } else { Err(ReportError::Kind) }
}

/// A receipt whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who signed it.
    pub by: NodeId,
    /// What it says.
    pub receipt: Receipt,
    /// Of two by one node about one packet the greater counts.
    pub version: u64,
}

impl Signed {
    /// Reads and verifies a report's statement.
    pub fn parse(statement: &[u8]) -> Result<Signed, ReportError> {
        let Statement { body, issuer, created: time, version, .. } = statement_of(statement, StatementKind::Receipt)?;
        let map: ReceiptMap = cbor::decode(&body).map_err(ReportError::Form)?;
        map.check()?;
        let ReceiptMap { why, about, stage } = map;
        Ok(Signed { by: NodeId::of(&issuer), receipt: Receipt { about, stage, why, time }, version })
    }

    /// Whether it counts though `known`, by the same node about the same packet, is there: the greater version does, but what was
    /// delivered is so for good, whatever the clock over there says.
    pub fn counts_after(&self, known: &Signed) -> bool {
        let is_final = |signed: &Signed| signed.receipt.stage == Stage::Delivered;
        !is_final(known) && (is_final(self) || known.version < self.version)
    }

    /// Whether it counts at the author: `by` and `about` are those of a hop of his, and a relay says nothing that only the
    /// recipient can, nor the other way round.
    pub fn is_of(&self, node: &NodeId, mark: &Mark, is_recipient: bool) -> bool {
        self.by == *node && self.receipt.about == *mark && self.receipt.stage.is_possible(is_recipient)
    }
}
