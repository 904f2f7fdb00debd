//! Ways: the relays by which a packet goes to a node, found by their names.

use mb_spool::class::{Class, Failure};
use mb_wire::id::NodeId;
use mb_wire::route::ROUTE_MOST;

use crate::config::KnownNode;
use crate::home::HomeError;

/// The last day of an onion is a multiple of so many, so that it tells little.
pub const ONION_DAYS: u32 = 8;

/// Why relays make no way.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// A relay that is not known.
    #[error(transparent)]
    Relay(#[from] HomeError),
    /// Our own node as a relay.
    #[error("{0}: that is this node itself")]
    Itself(String),
    /// The node that the way leads to as a relay.
    #[error("{0}: that is where the way leads")]
    Recipient(String),
    /// A relay that comes twice.
    #[error("{0}: a way by the same relay twice")]
    Twice(String),
    /// Too many relays.
    #[error("a way by {0} relays; at most {most} are allowed", most = ROUTE_MOST - 1)]
    Many(usize),
}

impl Failure for WayError {
    fn class(&self) -> Class {
        match self {
            WayError::Relay(error) => error.class(),
            _ => Class::Usage,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            WayError::Relay(error) => error.remedy(),
            _ => None,
        }
    }
}

/// The relays of each of a node's roads, in their order. To ourselves nothing goes by relays.
pub fn roads<'a>(
    own: NodeId,
    node: &KnownNode,
    find: impl Fn(&str) -> Result<&'a KnownNode, HomeError>,
) -> Result<Vec<Vec<&'a KnownNode>>, WayError> {
    if node.id() == own {
        return Ok(Vec::new());
    }
    node.roads.iter().map(|road| relays(own, node.id(), road, &find)).collect()
}

/// The relays that `words` name, on the way from `own` to `to`, nearest first. `find` knows nodes by their names.
pub fn relays<'a>(
    own: NodeId,
    to: NodeId,
    words: &[String],
    find: impl Fn(&str) -> Result<&'a KnownNode, HomeError>,
) -> Result<Vec<&'a KnownNode>, WayError> {
    if words.len() >= ROUTE_MOST {
        return Err(WayError::Many(words.len()));
    }
    let mut relays: Vec<&KnownNode> = Vec::with_capacity(words.len());
    for word in words {
        let relay = find(word)?;
        let (id, name) = (relay.id(), || relay.name.clone());
        if id == own {
            return Err(WayError::Itself(name()));
        }
        if id == to {
            return Err(WayError::Recipient(name()));
        }
        if relays.iter().any(|known| known.id() == id) {
            return Err(WayError::Twice(name()));
        }
        relays.push(relay);
    }
    Ok(relays)
}
