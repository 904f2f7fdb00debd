//! A node's configuration folder: finding it, opening it, making it, and the known nodes in it.
//!
//! Opened once at the start of each program. Whatever is unsafe (a key that others can read, a file that others can
//! write) is refused before anything in it is believed. What the files mean is [`crate::config`]'s; this module reads
//! them, and writes new ones through `mb_spool::durable`.

mod areas;
mod create;
mod error;
mod find;
mod guard;
mod nodes;
mod read;
mod sound;
mod write;

pub use areas::{AreaSecrets, Joined};
pub use create::{NewNode, Random};
pub use error::HomeError;
pub use find::Env;
pub use guard::{Danger, check_folder};
pub use nodes::Added;
pub use sound::{Unsound, unsound};

use crate::config::{Config, ConfigError, KnownArea, KnownNode, nearest};
use mb_spool::durable::{DirRef, real};
use mb_wire::card::Card;
use mb_wire::id::{AreaId, NodeId};
use mb_wire::key::NodeSecrets;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Asks for the passphrase of a sealed key. Only called when there is one.
pub type Ask<'a> = &'a mut dyn FnMut() -> io::Result<Zeroizing<String>>;

/// An open configuration folder: our own card, the settings, the known nodes and areas. No secrets.
pub struct Home {
    dir: DirRef,
    uid: u32,
    config: Config,
    itself: KnownNode,
    nodes: BTreeMap<String, KnownNode>,
    names: BTreeMap<NodeId, String>,
    areas: BTreeMap<String, KnownArea>,
}

impl Home {
    /// Opens the folder at `path` and reads all of it but the secret. [`HomeError::Unsafe`] where another user could
    /// read the key or write a file; [`HomeError::Config`] with line and column where a file is wrong.
    pub fn open(path: &Path) -> Result<Home, HomeError> {
        let dir = real::open_root(path).map_err(|e| HomeError::missing(e, path))?;
        Home::open_in(dir, rustix::process::geteuid().as_raw())
    }

    /// Opens `dir` for the user `uid`. Public for the fuzzer only.
    #[doc(hidden)]
    pub fn open_in(dir: DirRef, uid: u32) -> Result<Home, HomeError> {
        guard::check_dir(&dir, uid)?;
        let card = read::key_file(&dir, uid)?.ok_or_else(|| HomeError::NotHere(dir.path().to_owned()))?.card;
        let config = read::config(&dir, uid)?.unwrap_or_default();
        let name = config.name.clone().unwrap_or_else(|| card.name.clone());
        if name != card.name {
            return Err(HomeError::OtherName { dir: dir.path().to_owned(), config: name, card: card.name });
        }
        let nodes = read::nodes(&dir, uid)?;
        let names = read::names_by_id(&dir, &nodes)?;
        let areas = read::areas(&dir, uid)?;
        Ok(Home { dir, uid, config, itself: KnownNode::new(name, card), nodes, names, areas })
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What `config.toml` says.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Our own card, as it was when the node was made.
    pub fn card(&self) -> &Card {
        &self.itself.card
    }

    /// This node as others know it: its own name, defaults for everything else.
    pub fn itself(&self) -> &KnownNode {
        &self.itself
    }

    /// The known nodes, in the order of their names, without this one.
    pub fn nodes(&self) -> impl Iterator<Item = &KnownNode> {
        self.nodes.values()
    }

    /// The node with this id, be it known or ourselves.
    pub fn node_by_id(&self, id: &NodeId) -> Option<&KnownNode> {
        if *id == self.itself.id() { Some(&self.itself) } else { self.nodes.get(self.names.get(id)?) }
    }

    /// The node that `word` names, by its local name or its id; our own name and id are ourselves.
    /// [`HomeError::UnknownNode`] suggests the name that was meant.
    pub fn node(&self, word: &str) -> Result<&KnownNode, HomeError> {
        if word == self.itself.name {
            return Ok(&self.itself);
        }
        if let Some(node) = self.nodes.get(word) {
            return Ok(node);
        }
        match word.parse::<NodeId>() {
            Ok(id) => self.node_by_id(&id).ok_or_else(|| HomeError::UnknownNode { word: word.into(), near: None }),
            Err(cause) if word.starts_with("mbn1") => Err(HomeError::MistypedId { word: word.into(), cause }),
            Err(_) => {
                let near = nearest(word, self.nodes.keys().map(String::as_str)).map(str::to_owned);
                Err(HomeError::UnknownNode { word: word.into(), near })
            }
        }
    }

    /// Where the spool is: `option` (`--spool`), else `MB_SPOOL`, else what `config.toml` says, else the usual place.
    pub fn spool_path(&self, option: Option<&Path>, env: Env) -> Result<PathBuf, HomeError> {
        find::spool_path(option, env, self.config.spool.as_deref(), self.path())
    }

    /// The secrets of the node. `ask` is called for the passphrase of a sealed key.
    pub fn unlock(&self, ask: Ask) -> Result<NodeSecrets, HomeError> {
        let file = read::key_file(&self.dir, self.uid)?.ok_or_else(|| HomeError::NotHere(self.path().to_owned()))?;
        read::secrets(&self.path().join(read::KEY), file, ask)
    }

    /// The path of the file of the known node `name`.
    pub fn node_path(&self, name: &str) -> PathBuf {
        self.path().join(read::NODES).join(read::node_file(name))
    }
}

impl crate::toss::Nodes for Home {
    fn node(&self, id: &NodeId) -> Option<&KnownNode> {
        self.node_by_id(id)
    }

    fn named(&self, name: &str) -> Option<&KnownNode> {
        self.node(name).ok()
    }

    fn area(&self, id: &AreaId) -> Option<&KnownArea> {
        self.area_by_id(id)
    }

    fn areas(&self) -> Vec<&KnownArea> {
        Home::areas(self).collect()
    }
}

impl From<ConfigError> for HomeError {
    fn from(error: ConfigError) -> Self {
        HomeError::Config(error)
    }
}

#[cfg(test)]
mod tests;
