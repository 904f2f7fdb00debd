//! Want: a neighbour is asked for what it has of an area (format.md, section 14).

use serde::{Deserialize, Serialize};

use super::{AreaError, Summary};
use crate::cbor;
use crate::id::{AreaId, NodeId};
use crate::key::NodeSecrets;
use crate::size::NUMBER_MOST;
use crate::statement::{Statement, StatementKind};

/// What a node has of an area, and wants more of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// The area.
    pub area: AreaId,
    /// The messages that it has; none, if it wants settings only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<Summary>,
    /// The version of the settings that it has, to 2^53 - 1; 0: none.
    pub version: u64,
}

impl Want {
    /// Signs it as `node`, at `time` in seconds since 1970.
    pub fn sign(&self, node: &NodeSecrets, time: u64) -> Vec<u8> {
        let (issuer, body) = (node.identity_key(), cbor::encode(self));
        Statement { kind: StatementKind::Want, body, issuer, created: time, version: time.clamp(1, NUMBER_MOST) }
            .sign(node)
    }

    /// What a verified statement of this kind says, and who.
    pub fn read(statement: &Statement) -> Result<(NodeId, Want), AreaError> {
        if statement.kind != StatementKind::Want {
            return Err(AreaError::Kind("a want"));
        }
        let want: Want = cbor::decode(&statement.body).map_err(AreaError::Asked)?;
        match want.version > NUMBER_MOST {
            true => Err(AreaError::Range("version of settings")),
            false => Ok((NodeId::of(&statement.issuer), want)),
        }
    }
}
