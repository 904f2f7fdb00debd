//! The stick: the folder `mailbag` on whatever a user carries, and the names in it.
//!
//! `spool-layout.md` is the law of its names. They are read strictly: what is not spelt exactly as we would spell it is
//! somebody else's, ignored and never removed. Everything is reached one component at a time through
//! [`Dir`](mb_spool::durable::Dir), so a symbolic link, FIFO or device is refused wherever it stands. Below
//! `mailbag` nothing in here syncs: whoever relies on a name puts it into a barrier, with [`Stick::chain`]. Used by out, in, `mb-check` and `mb-stat`.

use std::ffi::OsStr;

use mb_spool::durable::{self, DirRef, FileRef, Kind};
use mb_wire::id::{NodeId, PacketId, Root};

/// The folder that holds all of ours.
pub const MAILBAG: &str = "mailbag";
/// The folder of bodies in it.
pub const BODY: &str = "body";
/// The folder of unfinished work in it.
pub const PART: &str = "part";
/// Permission bits of folders, where the stick keeps any: the host at the other end has other users.
pub const DIR_MODE: u32 = 0o755;
/// Permission bits of files, where the stick keeps any.
pub const FILE_MODE: u32 = 0o644;

const README: &str = "README.txt";
const README_TEXT: &str = "\
This folder carries sealed packets between hosts that run Mailbag.

It may be copied, merged and carried in any way (cp -rn, rsync, tar). Nothing in
it can be read by whoever carries it. At a host:  mb-xfer FOLDER-ABOVE-THIS-ONE

mbn1...   packets for that node     body   what they carry, each once
part      copies that were not finished; may be deleted
";

/// Characters of the folder that holds a packet.
const PACKET_SHARD_LEN: usize = 1;
/// Characters of the folder that holds a body.
const BODY_SHARD_LEN: usize = 2;

/// An open stick.
pub struct Stick {
    dir: DirRef,
    root: DirRef,
}

impl Stick {
    /// The stick in the folder `dir`, or `None` if there is no `mailbag` in it.
    pub fn find(dir: &DirRef) -> durable::Result<Option<Stick>> {
        Ok(find_dir(dir, MAILBAG)?.map(|root| Stick { dir: dir.clone(), root }))
    }

    /// The stick in the folder `dir`, made if it is not there yet; durable then.
    pub fn make(dir: &DirRef) -> durable::Result<Stick> {
        let root = match find_dir(dir, MAILBAG)? {
            Some(root) => root,
            None => make_root(dir)?,
        };
        match root.create(README.as_ref(), FILE_MODE) {
            Ok(file) => file.write_at(README_TEXT.as_bytes(), 0)?,
            Err(error) if error.is_taken() => {}
            Err(error) => return Err(error),
        }
        Ok(Stick { dir: dir.clone(), root })
    }

    /// The folder that the user named.
    pub fn dir(&self) -> &DirRef {
        &self.dir
    }

    /// The folder `mailbag`.
    pub fn root(&self) -> &DirRef {
        &self.root
    }

    /// The folders that must be durable for anything below them to be: with those of a node and `body` they make up
    /// every path.
    pub fn chain(&self) -> [&DirRef; 2] {
        [&self.dir, &self.root]
    }

    /// The folder of packets for `node`, if the stick goes there.
    pub fn node(&self, node: &NodeId) -> durable::Result<Option<DirRef>> {
        find_dir(&self.root, &node.to_string())
    }

    /// The folder of packets for `node`, made if missing: from now on the stick goes there.
    pub fn make_node(&self, node: &NodeId) -> durable::Result<DirRef> {
        make_dir(&self.root, &node.to_string())
    }

    /// Calls `visit` with every node that the stick goes to, in no order and in constant memory.
    pub fn for_each_node<E: From<durable::Error>>(
        &self,
        mut visit: impl FnMut(NodeId) -> Result<(), E>,
    ) -> Result<(), E> {
        for entry in self.root.list()? {
            if let Some(node) = node_named(&entry?.name) {
                visit(node)?;
            }
        }
        Ok(())
    }

    /// The nodes that the stick goes to, in the order of their ids.
    pub fn nodes(&self) -> durable::Result<Vec<NodeId>> {
        let mut nodes = Vec::new();
        self.for_each_node(|node| {
            nodes.push(node);
            Ok::<(), durable::Error>(())
        })?;
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// The folder of bodies, if there is one.
    pub fn bodies(&self) -> durable::Result<Option<DirRef>> {
        find_dir(&self.root, BODY)
    }

    /// Opens the file of a body; `None` if it is not there. Refused if it is anything but a regular file.
    pub fn open_body(&self, root: &Root) -> durable::Result<Option<FileRef>> {
        let Some(bodies) = self.bodies()? else { return Ok(None) };
        let Some(shard) = find_dir(&bodies, &body_shard(root))? else { return Ok(None) };
        none_if_missing(shard.open(root.to_string().as_ref()))
    }

    /// Whether the name of the body `root` is there, with `size` bytes. Says nothing of its content.
    pub fn has_body(&self, root: &Root, size: u64) -> durable::Result<bool> {
        let Some(bodies) = self.bodies()? else { return Ok(false) };
        let Some(shard) = find_dir(&bodies, &body_shard(root))? else { return Ok(false) };
        let stat = none_if_missing(shard.stat(root.to_string().as_ref()))?;
        Ok(stat.is_some_and(|stat| stat.kind == Kind::File && stat.len == size))
    }
}

fn make_root(dir: &DirRef) -> durable::Result<DirRef> {
    let root = make_dir(dir, MAILBAG)?;
    if let Err(error) = dir.sync() {
        // A name whose sync failed may be gone tomorrow: nobody shall find it.
        let _ = dir.remove_dir(MAILBAG.as_ref());
        return Err(error);
    }
    Ok(root)
}

/// The name of the folder that holds `packet` in its node's folder.
pub fn packet_shard(packet: &PacketId) -> String {
    packet.to_string()[..PACKET_SHARD_LEN].to_owned()
}

/// The name of the folder that holds the body `root` in `body`.
pub fn body_shard(root: &Root) -> String {
    root.to_string()[..BODY_SHARD_LEN].to_owned()
}

/// The names in a node's folder that are spelt like folders of packets, in their order. What they stand for shows when
/// they are opened.
pub fn packet_shards(node: &DirRef) -> durable::Result<Vec<String>> {
    shards(node, PACKET_SHARD_LEN)
}

/// The names in the folder of bodies that are spelt like its folders, in their order.
pub fn body_shards(bodies: &DirRef) -> durable::Result<Vec<String>> {
    shards(bodies, BODY_SHARD_LEN)
}

/// At most 32 to the power of `len` names, whatever lies there.
fn shards(dir: &DirRef, len: usize) -> durable::Result<Vec<String>> {
    let is_base32 = |name: &str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    let mut names = Vec::new();
    for entry in dir.list()? {
        let entry = entry?;
        names.extend(entry.name.to_str().filter(|name| name.len() == len && is_base32(name)).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// The node that a name in `mailbag` says.
pub fn node_named(name: &OsStr) -> Option<NodeId> {
    let text = name.to_str()?;
    text.parse().ok().filter(|node: &NodeId| node.to_string() == text)
}

/// The packet that a name in the folder `shard` says; none if it belongs into another one.
pub fn packet_named(name: &OsStr, shard: &str) -> Option<PacketId> {
    name.to_str().filter(|text| text.starts_with(shard))?.parse().ok()
}

/// The body that a name in the folder `shard` says; none if it belongs into another one.
pub fn body_named(name: &OsStr, shard: &str) -> Option<Root> {
    name.to_str().filter(|text| text.starts_with(shard))?.parse().ok()
}

/// Opens a folder, or `None` if there is no such name.
pub fn find_dir(dir: &DirRef, name: &str) -> durable::Result<Option<DirRef>> {
    none_if_missing(dir.open_dir(name.as_ref()))
}

/// Opens a folder and makes it if it is missing. Not durable.
pub fn make_dir(dir: &DirRef, name: &str) -> durable::Result<DirRef> {
    if let Some(found) = find_dir(dir, name)? {
        return Ok(found);
    }
    match dir.make_dir(name.as_ref(), DIR_MODE) {
        Err(error) if !error.is_taken() => return Err(error),
        _ => {}
    }
    dir.open_dir(name.as_ref())
}

/// Takes "there is no such name" for `None`.
pub(crate) fn none_if_missing<T>(result: durable::Result<T>) -> durable::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_as_we_spell_them_are_ours() {
        let node = NodeId::from_bytes([9; 32]);
        let packet = PacketId::from_bytes([7; 32]);
        let (text, name) = (node.to_string(), packet.to_string());
        assert_eq!(node_named(text.as_ref()), Some(node));
        assert_eq!(node_named(text.to_uppercase().as_ref()), None);
        assert_eq!(node_named(".Trash".as_ref()), None);
        let shard = packet_shard(&packet);
        assert_eq!(packet_named(name.as_ref(), &shard), Some(packet));
        assert_eq!(packet_named(name.as_ref(), "7"), None, "it lies in the wrong folder");
        for other in ["", "x", &name[1..], &name.to_uppercase(), &format!("{name}.0"), &format!("{name}~")] {
            assert_eq!(packet_named(other.as_ref(), ""), None, "{other}");
        }
        assert_eq!(body_named(name.as_ref(), &name[..2]).map(|root| root.to_string()), Some(name));
    }
}
