//! A world as tests see it: a map to compare with, and a listing for messages.

use super::state::{Content, Id, Inode, Slot, State};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a path stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// A file and its content.
    File(Arc<Vec<u8>>),
    /// A folder.
    Dir,
    /// A symbolic link and what it says.
    Symlink(OsString),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::File(content) if content.len() <= 64 => write!(f, "\"{}\"", content.escape_ascii()),
            Node::File(content) => write!(f, "{} bytes, \"{}…\"", content.len(), content[..32].escape_ascii()),
            Node::Dir => f.write_str("folder"),
            Node::Symlink(target) => write!(f, "-> {target:?}"),
        }
    }
}

pub(super) fn tree(state: &State) -> BTreeMap<PathBuf, Node> {
    let mut tree = BTreeMap::new();
    each_name(state, &mut |path, slot| {
        if let Some(id) = slot.now {
            tree.insert(path.to_owned(), node(state.inode(id)));
        }
    });
    tree
}

pub(super) fn dump(state: &State) -> String {
    let mut text = String::new();
    each_name(state, &mut |path, slot| {
        let _ = writeln!(text, "{}", line(state, path, slot));
    });
    text
}

fn line(state: &State, path: &Path, slot: &Slot) -> String {
    let name_state = match (slot.now, slot.durable) {
        (now, durable) if now == durable => "",
        (Some(_), None) => " (name not durable)",
        (None, _) => " (removed, not durable)",
        _ => " (another on the disk)",
    };
    let inode = state.inode(slot.now.or(slot.durable).unwrap_or_default());
    let content_state = match &inode.content {
        Content::File(bytes) if bytes.dirty_from.is_some() => " (content not durable)",
        _ => "",
    };
    let lost = if inode.is_lost { " (a sync of it failed)" } else { "" };
    let (mode, names) = (inode.meta.mode, inode.name_count);
    format!("{} {mode:04o} names {names} {:?}{name_state}{content_state}{lost}", path.display(), node(inode))
}

fn node(inode: &Inode) -> Node {
    match &inode.content {
        Content::File(bytes) => Node::File(Arc::clone(&bytes.now)),
        Content::Folder(_) => Node::Dir,
        Content::Symlink(target) => Node::Symlink(target.clone()),
    }
}

fn each_name(state: &State, visit: &mut dyn FnMut(&Path, &Slot)) {
    for (index, system) in state.systems.iter().enumerate() {
        each_below(state, system.root, &PathBuf::from(format!("/{index}")), visit);
    }
}

/// Names that are only on the disk any more are visited too, but not what is below them.
fn each_below(state: &State, dir: Id, path: &Path, visit: &mut dyn FnMut(&Path, &Slot)) {
    for slot in state.folder(dir).slots.values() {
        let path = path.join(&*slot.shown);
        visit(&path, slot);
        if let Some(id) = slot.now.filter(|&id| state.inode(id).folder().is_some()) {
            each_below(state, id, &path, visit);
        }
    }
}
