//! Subscribe: a neighbour is asked to hand an area's messages on until a day (format.md, section 14).

use serde::{Deserialize, Serialize};

use super::AreaError;
use crate::cbor;
use crate::id::{AreaId, NodeId};
use crate::key::NodeSecrets;
use crate::size::NUMBER_MOST;
use crate::statement::{Statement, StatementKind};

/// Milliseconds in a day.
const DAY_MILLIS: u64 = 86_400_000;

/// What the issuer asks of whoever it hands the statement to. Of two about one area the one with the greater version counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The area.
    pub area: AreaId,
    /// The last day on which it wants the area's messages; 0: it does not any more.
    pub until: u32,
}

impl Subscribe {
    /// Signs it as `node` at `time`, in milliseconds since 1970, so that of one node's two statements the later one counts.
    pub fn sign(&self, node: &NodeSecrets, time: u64) -> Vec<u8> {
        let version = time.clamp(1, NUMBER_MOST);
        let (issuer, created) = (node.identity_key(), version / 1000);
        let body = cbor::encode(self);
        Statement { kind: StatementKind::Subscribe, body, issuer, created, version }.sign(node)
    }

    /// What a verified statement of this kind says, and who. As all its parts have one form, none is longer than 300 bytes.
    pub fn read(statement: &Statement) -> Result<(NodeId, Subscribe), AreaError> {
        match statement.kind {
            StatementKind::Subscribe => {
                Ok((NodeId::of(&statement.issuer), cbor::decode(&statement.body).map_err(AreaError::Asked)?))
            }
            _ => Err(AreaError::Kind("a subscription")),
        }
    }

    /// The day on which a statement of this version was made, as its issuer claims.
    pub fn made_on(version: u64) -> u32 {
        u32::try_from(version / DAY_MILLIS).unwrap_or(u32::MAX)
    }
}
