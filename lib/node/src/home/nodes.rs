//! Known nodes: taken in, called otherwise, removed.
//!
//! A file of a node is written once, when its card is taken in; afterwards it belongs to the people who edit it, and no
//! program rewrites it. Another identity under a known name is refused loudly: that is the only thing that keeps a card
//! on its way from being exchanged.

use super::create::CONFIG_MODE;
use super::read::{NODES, node_file};
use super::write::Writer;
use super::{Home, HomeError};
use crate::config::{Address, KnownNode, check_name};
use mb_spool::durable::DirRef;
use mb_spool::layout::{DIR_MODE, sub_dir};
use mb_wire::card::Card;
use std::path::PathBuf;

/// What came of taking in a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// The node is known from now on, by this name.
    New(String),
    /// It was known, by this name and with this very card.
    Known(String),
    /// It is our own card.
    Ourselves,
}

impl Home {
    /// Takes in a card, under `name` or its own name; the new file also names `addresses` and the relay `via`, if there are
    /// any. The same card once more is fine, and its file stays as it is, whatever these say.
    ///
    /// [`HomeError::OtherIdentity`] where the name is another node's, [`HomeError::KnownAs`] where the node has another name,
    /// [`HomeError::OtherCard`] where an older or newer card of it is held. Durable on return.
    pub fn add_node(
        &mut self,
        name: Option<&str>,
        card: Card,
        addresses: &[Address],
        via: Option<&str>,
    ) -> Result<Added, HomeError> {
        let own_name = card.name.clone();
        let name = name.unwrap_or(&own_name);
        check_name(name).map_err(|why| HomeError::BadName { name: name.to_owned(), why })?;
        if let Some(added) = self.known_already(name, own_name == name, &card)? {
            self.settle_known(&added)?;
            return Ok(added);
        }
        let roads = vec![via.map(str::to_owned).into_iter().collect()];
        let text = file_text(&card, addresses, via);
        let nodes = sub_dir(&self.dir, NODES.as_ref(), DIR_MODE)?;
        match Writer::new(nodes)?.publish_new(&node_file(name), text.as_bytes(), CONFIG_MODE) {
            // Since we looked, another program made it.
            Err(e) if e.is_taken() => return Err(HomeError::Busy(self.node_path(name))),
            other => other?,
        }
        self.names.insert(card.id(), name.to_owned());
        let node = KnownNode { addresses: addresses.to_vec(), roads, ..KnownNode::new(name, card) };
        self.nodes.insert(name.to_owned(), node);
        Ok(Added::New(name.to_owned()))
    }

    /// The run that made the file may have been killed before it could tidy up and sync.
    fn settle_known(&self, added: &Added) -> Result<(), HomeError> {
        let Added::Known(name) = added else { return Ok(()) };
        let nodes = Writer::new(self.nodes_dir()?)?;
        nodes.tidy(&node_file(name))?;
        Ok(nodes.dir().sync()?)
    }

    /// What we know of a card's node, if we do; an error where that does not go together with the card.
    fn known_already(&self, name: &str, own: bool, card: &Card) -> Result<Option<Added>, HomeError> {
        let id = card.id();
        if id == self.itself.id() {
            return Ok(Some(Added::Ourselves));
        }
        if let Some(known) = self.node_by_id(&id) {
            if let Some(what) = difference(&known.card, card) {
                let (path, newer) = (self.node_path(&known.name), card.version > known.card.version);
                return Err(HomeError::OtherCard { name: known.name.clone(), what, path, newer });
            }
            if known.name != name && !own {
                return Err(HomeError::KnownAs { name: name.to_owned(), known: known.name.clone() });
            }
            return Ok(Some(Added::Known(known.name.clone())));
        }
        match self.node(name) {
            Ok(other) => Err(HomeError::OtherIdentity { name: name.to_owned(), known: other.id(), given: id }),
            Err(_) => Ok(None),
        }
    }

    /// Forgets the known node that `word` names; what lies in the spool for it stays. Returns the path of its file,
    /// which is gone for good on return, or would be with `dry_run`.
    pub fn remove_node(&mut self, word: &str, dry_run: bool) -> Result<PathBuf, HomeError> {
        let name = self.known_name(word)?;
        let path = self.node_path(&name);
        if dry_run {
            return Ok(path);
        }
        let nodes = Writer::new(self.nodes_dir()?)?;
        nodes.remove(&node_file(&name))?;
        nodes.dir().sync()?;
        if let Some(node) = self.nodes.remove(&name) {
            self.names.remove(&node.id());
        }
        Ok(path)
    }

    /// Calls the known node that `word` names `new` from now on. Its file stays as it is, by its new name; files that it
    /// sends go to the new name's folder unless `[accept] folder` says otherwise. Durable on return.
    pub fn rename_node(&mut self, word: &str, new: &str) -> Result<(), HomeError> {
        let old = self.known_name(word)?;
        check_name(new).map_err(|why| HomeError::BadName { name: new.to_owned(), why })?;
        if old == new {
            return Ok(());
        }
        if let Ok(other) = self.node(new) {
            let (known, given) = (other.id(), self.nodes[&old].id());
            return Err(HomeError::OtherIdentity { name: new.to_owned(), known, given });
        }
        let nodes = Writer::new(self.nodes_dir()?)?;
        nodes.move_new(&node_file(&old), &node_file(new))?;
        nodes.dir().sync()?;
        if let Some(node) = self.nodes.remove(&old) {
            self.names.insert(node.id(), new.to_owned());
            self.nodes.insert(new.to_owned(), KnownNode { name: new.to_owned(), ..node });
        }
        Ok(())
    }

    /// The name of a node that has a file: not our own.
    fn known_name(&self, word: &str) -> Result<String, HomeError> {
        let node = self.node(word)?;
        if self.nodes.contains_key(&node.name) {
            return Ok(node.name.clone());
        }
        Err(HomeError::Itself(word.to_owned()))
    }

    fn nodes_dir(&self) -> Result<DirRef, HomeError> {
        Ok(self.dir.open_dir(NODES.as_ref())?)
    }
}

/// The text of a new file of a node.
fn file_text(card: &Card, addresses: &[Address], via: Option<&str>) -> String {
    let mut text = format!("card = \"{}\"\n", card.to_text());
    if !addresses.is_empty() {
        let list: toml::value::Array = addresses.iter().map(|address| address.to_string().into()).collect();
        text += &format!("addresses = {}\n", toml::Value::from(list));
    }
    if let Some(via) = via {
        text += &format!("roads = [[\"{via}\"]]\n");
    }
    text
}

/// How `given` differs from the card that is held of the same node, in words.
fn difference(held: &Card, given: &Card) -> Option<String> {
    if held.as_bytes() == given.as_bytes() {
        return None;
    }
    let (old, new) = (held.version, given.version);
    if new < old {
        return Some(format!("this card (version {new}) is older than the one that is held (version {old})"));
    }
    let mut changes = Vec::new();
    if held.name != given.name {
        changes.push(format!("it calls itself {} instead of {}", given.name, held.name));
    }
    if held.keys != given.keys {
        changes.push("other exchange keys".to_owned());
    }
    if held.call != given.call {
        changes.push("another call key".to_owned());
    }
    let changes = if changes.is_empty() { "nothing else".to_owned() } else { changes.join(", ") };
    let word = if new == old { "another card with the same version" } else { "a newer card" };
    Some(format!("{word} (version {new}, held {old}): {changes}"))
}
