//! Nodes by name, where a configuration is at hand; a stick can be looked at without one.

use crate::{Class, Complaint, Failed, Program, env};
use mb_node::config::{KnownArea, KnownNode};
use mb_node::home::{Home, HomeError};
use mb_node::toss::Nodes;
use mb_wire::id::{AreaId, NodeId};

/// The nodes that we know, which may be none.
pub struct Known(Option<Home>);

impl Program {
    /// The known nodes, or none where there is no configuration. One that cannot be used is told, and is as good as none.
    pub fn known(&self) -> Known {
        match Home::open(&Home::find(self.common().config.as_deref(), &env)) {
            Ok(home) => Known(Some(home)),
            Err(HomeError::NotHere(_)) => Known(None),
            Err(error) => {
                self.note(format_args!("{error}; nodes are shown by their ids"));
                Known(None)
            }
        }
    }
}

impl From<Home> for Known {
    fn from(home: Home) -> Known {
        Known(Some(home))
    }
}

impl Known {
    /// The configuration.
    pub fn home(&self) -> Option<&Home> {
        self.0.as_ref()
    }

    /// What we call a node; its id if we do not know it.
    pub fn name(&self, id: &NodeId) -> String {
        self.node(id).map_or_else(|| id.to_string(), |node| node.name.clone())
    }

    /// The node that a word names. Any well-formed id names one.
    pub fn find(&self, word: &str) -> Result<NodeId, Failed> {
        match (word.parse(), &self.0) {
            (Ok(id), _) => Ok(id),
            (Err(_), Some(home)) => Ok(home.node(word)?.id()),
            (Err(_), None) => Err(Complaint::new(Class::UnknownName, format!("unknown node \"{word}\"")).into()),
        }
    }
}

impl Nodes for Known {
    fn node(&self, id: &NodeId) -> Option<&KnownNode> {
        self.0.as_ref().and_then(|home| home.node_by_id(id))
    }

    fn named(&self, name: &str) -> Option<&KnownNode> {
        self.0.as_ref().and_then(|home| home.node(name).ok())
    }

    fn area(&self, id: &AreaId) -> Option<&KnownArea> {
        self.0.as_ref().and_then(|home| home.area_by_id(id))
    }

    fn areas(&self) -> Vec<&KnownArea> {
        self.0.iter().flat_map(Home::areas).collect()
    }
}
