//! The spool as a tree of open folders: finding one, making one that is missing.
//!
//! `spool-layout.md` is the law; this module knows how to walk it, the others know what each folder means.

use std::ffi::{OsStr, OsString};

use mb_wire::id::{NodeId, Root};

use crate::barrier::Barrier;
use crate::durable::{self, DirRef, Kind};

/// Permission bits of every folder of a spool.
pub const DIR_MODE: u32 = 0o700;
/// Permission bits of every file of a spool.
pub const FILE_MODE: u32 = 0o600;

/// The folder of bodies that have not all come: `part/NODE/ROOT`.
pub const PART: &str = "part";

/// An open spool.
#[derive(Clone)]
pub struct Spool {
    root: DirRef,
    own: NodeId,
}

/// One of the folders that hold packets of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// To be handed to it.
    Tx,
    /// Handed to it, and not confirmed by it.
    Sent,
    /// Came from it in a call; for `self`, by stick or stream.
    Rx,
    /// Opened, bodies missing.
    Wait,
    /// To be handed to it, bodies missing.
    Ahead,
}

impl Queue {
    /// The folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Queue::Tx => "tx",
            Queue::Sent => "sent",
            Queue::Rx => "rx",
            Queue::Wait => "wait",
            Queue::Ahead => "ahead",
        }
    }
}

impl Spool {
    /// The spool of the node `own` that lies in `root`. Nothing is looked at or made.
    pub fn new(root: DirRef, own: NodeId) -> Spool {
        Spool { root, own }
    }

    /// Whose spool it is.
    pub fn own(&self) -> NodeId {
        self.own
    }

    /// The spool's own folder.
    pub fn root(&self) -> &DirRef {
        &self.root
    }

    /// Opens the folder at `path`, or `None` if a part of it is not there.
    pub fn find(&self, path: &[&str]) -> durable::Result<Option<DirRef>> {
        let mut dir = self.root.clone();
        for name in path {
            match dir.open_dir(name.as_ref()) {
                Ok(next) => dir = next,
                Err(error) if error.is_missing() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(dir))
    }

    /// Opens the folder at `path` and makes what is missing. A folder that was made is durable.
    pub fn make(&self, path: &[&str]) -> durable::Result<DirRef> {
        let mut dir = self.root.clone();
        for name in path {
            dir = sub_dir(&dir, name.as_ref(), DIR_MODE)?;
        }
        Ok(dir)
    }

    /// The same for what may be lost: a folder that was made is durable when `barrier` is.
    pub fn make_lossy(&self, path: &[&str], barrier: &mut Barrier) -> durable::Result<DirRef> {
        let mut made = Vec::new();
        let dir = self.make_missing(path, &mut made);
        made.iter().for_each(|(above, _)| barrier.dir(above));
        dir
    }

    /// Opens the folder at `path` and makes what is missing; nothing that was made is durable. Of each that somebody made just now, we or
    /// another, `made` gets the folder that it lies in, and its name.
    fn make_missing(&self, path: &[&str], made: &mut Vec<(DirRef, OsString)>) -> durable::Result<DirRef> {
        let mut dir = self.root.clone();
        for name in path {
            dir = match dir.open_dir(name.as_ref()) {
                Err(error) if error.is_missing() => {
                    match dir.make_dir(name.as_ref(), DIR_MODE) {
                        Err(error) if !error.is_taken() => return Err(error),
                        _ => made.push((dir.clone(), name.into())),
                    }
                    dir.open_dir(name.as_ref())?
                }
                found => found?,
            };
        }
        Ok(dir)
    }

    /// A queue of `node`, made if missing. What is to be handed to ourselves is what came: `self/rx`.
    pub fn queue(&self, node: &NodeId, queue: Queue) -> durable::Result<DirRef> {
        let path = self.queue_path(node, queue);
        self.make(&[&path[0], &path[1]])
    }

    /// The same of several nodes: what was made becomes durable together. Nobody has put anything there by then, and on an error
    /// nobody finds them.
    pub fn queues(&self, nodes: &[NodeId], queue: Queue) -> durable::Result<Vec<DirRef>> {
        let mut made = Vec::new();
        let found = nodes.iter().map(|node| {
            let path = self.queue_path(node, queue);
            self.make_missing(&[&path[0], &path[1]], &mut made)
        });
        let found = found.collect();
        let mut barrier = Barrier::new();
        made.iter().for_each(|(above, _)| barrier.dir(above));
        let done = barrier.wait().and(found);
        if done.is_err() {
            made.iter().rev().for_each(|(above, name)| drop(above.remove_dir(name)));
        }
        done
    }

    /// A queue of `node`, if it is there.
    pub fn find_queue(&self, node: &NodeId, queue: Queue) -> durable::Result<Option<DirRef>> {
        let path = self.queue_path(node, queue);
        self.find(&[&path[0], &path[1]])
    }

    fn queue_path(&self, node: &NodeId, queue: Queue) -> [String; 2] {
        match queue {
            Queue::Tx | Queue::Rx if *node == self.own => ["self".into(), Queue::Rx.name().into()],
            _ => [node.to_string(), queue.name().into()],
        }
    }

    /// The folders that hold the name of a queue and of what it lies in: a program that was killed may have made them and
    /// not come to their sync.
    pub fn above_queue(&self, node: &NodeId, queue: Queue) -> durable::Result<Vec<DirRef>> {
        let mut dirs = vec![self.root.clone()];
        dirs.extend(self.find(&[&self.queue_path(node, queue)[0]])?);
        Ok(dirs)
    }

    /// The folder of the body index that holds `root`.
    pub fn index_dir(&self, root: &Root) -> durable::Result<DirRef> {
        self.make(&["body", &root.to_string()[..2]])
    }

    /// The nodes that have a folder here, in the order of their ids.
    pub fn nodes(&self) -> durable::Result<Vec<NodeId>> {
        let mut nodes = Vec::new();
        for entry in self.root.list()? {
            let entry = entry?;
            if entry.kind == Kind::Dir
                && let Some(node) = entry.name.to_str().and_then(|name| name.parse().ok())
            {
                nodes.push(node);
            }
        }
        nodes.sort_unstable();
        Ok(nodes)
    }
}

/// The folders in `dir` that are called after a day.
pub fn days(dir: &DirRef) -> durable::Result<Vec<u32>> {
    let mut days = Vec::new();
    for entry in dir.list()? {
        let entry = entry?;
        days.extend(entry.name.to_str().filter(|_| entry.kind == Kind::Dir).and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(days)
}

/// Opens the folder `name` in `dir`, or makes it. If it was made, its name is durable on return; one that is there is
/// relied on, since what a dead run left unsynced is synced when its run is cleared away.
pub fn sub_dir(dir: &DirRef, name: &OsStr, mode: u32) -> durable::Result<DirRef> {
    match dir.open_dir(name) {
        Err(error) if error.is_missing() => {}
        other => return other,
    }
    match dir.make_dir(name, mode) {
        Err(error) if !error.is_taken() => return Err(error),
        _ => {}
    }
    // Also when another program made it: its sync may still be to come.
    if let Err(error) = dir.sync() {
        // A name whose sync failed may be gone tomorrow, whatever is synced later: nobody shall find it.
        let _ = dir.remove_dir(name);
        return Err(error);
    }
    dir.open_dir(name)
}
