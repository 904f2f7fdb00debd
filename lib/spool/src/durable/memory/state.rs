//! What a world holds: inodes, the names in folders, and the changes of names that have not reached the disk.

use super::actors::Actors;
use super::dice::Dice;
use super::fate::Fate;
use super::pending::{Change, add_needed};
use super::{LockMode, Options};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

/// An inode's place in [`State::inodes`]; never used again for another.
pub(super) type Id = usize;
pub(super) type Name = Arc<OsStr>;

#[derive(Clone)]
pub(super) struct State {
    pub inodes: Vec<Option<Inode>>,
    pub systems: Vec<System>,
    pub fate: Fate,
    pub actors: Actors,
    pub locks: Locks,
    pub dice: Dice,
    /// Seconds since 1970, one more for each change.
    pub clock: i64,
    pub owner: u32,
    sweep_at_len: usize,
    live_count: usize,
}

#[derive(Clone)]
pub(super) struct System {
    pub options: Options,
    pub root: Id,
    pub used_len: u64,
    /// In the order in which they were made.
    pub pending: Vec<Change>,
    next_seq: u64,
    /// Every inode whose content or metadata may not be durable.
    dirty: Vec<Id>,
}

#[derive(Clone)]
pub(super) struct Inode {
    pub system: usize,
    pub name_count: u64,
    pub handle_count: u64,
    pub meta: Meta,
    pub durable_meta: Meta,
    /// A sync of it failed: what was pending then never becomes durable.
    pub is_lost: bool,
    is_listed_dirty: bool,
    pub content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub mode: u32,
    pub modified: (i64, u32),
}

#[derive(Clone)]
pub(super) enum Content {
    File(Bytes),
    Folder(Folder),
    Symlink(OsString),
}

#[derive(Clone, Default)]
pub(super) struct Bytes {
    pub now: Arc<Vec<u8>>,
    pub durable: Arc<Vec<u8>>,
    /// Where the first byte may lie that differs from the durable ones.
    pub dirty_from: Option<usize>,
}

#[derive(Clone)]
pub(super) struct Folder {
    pub slots: BTreeMap<Name, Slot>,
    /// The name that this folder has; a root is its own parent.
    pub parent: Id,
    pub key: Name,
    /// Changes of names in it that are not durable.
    pub pending_count: usize,
}

/// A name in a folder, kept for as long as it stands for something on the disk or in memory.
#[derive(Clone)]
pub(super) struct Slot {
    /// The name as it was given, where the key is folded.
    pub shown: Name,
    pub now: Option<Id>,
    pub durable: Option<Id>,
    pub last_change: u64,
}

#[derive(Clone)]
pub(super) struct Locks {
    pub mode: LockMode,
    pub held: Vec<HeldLock>,
    pub next_token: u64,
}

#[derive(Clone)]
pub(super) struct HeldLock {
    pub token: u64,
    pub id: Id,
    pub actor: Option<usize>,
}

impl State {
    pub fn new(seed: u64) -> State {
        State {
            inodes: Vec::new(),
            systems: Vec::new(),
            fate: Fate::default(),
            actors: Actors::none(),
            locks: Locks { mode: LockMode::Work, held: Vec::new(), next_token: 0 },
            dice: Dice::new(seed),
            clock: 1_700_000_000,
            owner: rustix::process::geteuid().as_raw(),
            sweep_at_len: 1024,
            live_count: 0,
        }
    }

    pub fn add_system(&mut self, options: Options) -> usize {
        let (index, root) = (self.systems.len(), self.inodes.len());
        self.systems.push(System { options, root, used_len: 0, pending: Vec::new(), next_seq: 1, dirty: Vec::new() });
        let folder = Folder::new(root, Name::from(OsStr::new("")));
        let id = self.add_inode(index, 0o700, Content::Folder(folder));
        self.inode_mut(id).name_count = 1;
        index
    }

    pub fn add_inode(&mut self, system: usize, mode: u32, content: Content) -> Id {
        if self.live_count >= self.sweep_at_len {
            self.sweep();
        }
        let meta = Meta { mode: mode & 0o7777, modified: self.tick() };
        self.inodes.push(Some(Inode {
            system,
            name_count: 0,
            handle_count: 0,
            meta,
            durable_meta: meta,
            is_lost: false,
            is_listed_dirty: false,
            content,
        }));
        self.live_count += 1;
        self.inodes.len() - 1
    }

    fn tick(&mut self) -> (i64, u32) {
        self.clock += 1;
        (self.clock, 0)
    }

    pub fn inode(&self, id: Id) -> &Inode {
        self.inodes[id].as_ref().expect("what a name or a handle refers to is never swept")
    }

    pub fn inode_mut(&mut self, id: Id) -> &mut Inode {
        self.inodes[id].as_mut().expect("what a name or a handle refers to is never swept")
    }

    pub fn folder(&self, id: Id) -> &Folder {
        self.inode(id).folder().expect("a folder's handle refers to a folder")
    }

    pub fn folder_mut(&mut self, id: Id) -> &mut Folder {
        match &mut self.inode_mut(id).content {
            Content::Folder(folder) => folder,
            _ => unreachable!("a folder's handle refers to a folder"),
        }
    }

    /// What names are compared by.
    pub fn key(&self, dir: Id, name: &OsStr) -> Name {
        let folds_case = self.systems[self.inode(dir).system].options.folds_case;
        match name.to_str() {
            Some(text) if folds_case => Name::from(OsStr::new(&text.to_lowercase())),
            _ => Name::from(name),
        }
    }

    pub fn find(&self, dir: Id, key: &Name) -> Option<Id> {
        self.folder(dir).slots.get(key)?.now
    }

    pub fn lookup(&self, dir: Id, name: &OsStr) -> io::Result<Id> {
        Ok(self.find(dir, &self.key(dir, name)).ok_or(Errno::NOENT)?)
    }

    pub fn next_seq(&self, dir: Id) -> u64 {
        self.systems[self.inode(dir).system].next_seq
    }

    /// Gives a name another meaning, now and, once it is synced, on the disk.
    pub fn change(&mut self, dir: Id, (key, shown): (Name, &OsStr), value: Option<Id>, needs: Vec<u64>) {
        let system = self.inode(dir).system;
        let seq = self.systems[system].next_seq;
        self.systems[system].next_seq += 1;
        let shown = if key.as_ref() == shown { Arc::clone(&key) } else { Name::from(shown) };
        let fresh = Slot { shown: Arc::clone(&shown), now: None, durable: None, last_change: 0 };
        let folder = self.folder_mut(dir);
        folder.pending_count += 1;
        let slot = folder.slots.entry(Arc::clone(&key)).or_insert(fresh);
        let (previous, before) = (slot.last_change, slot.now);
        (slot.last_change, slot.now, slot.shown) = (seq, value, shown);
        let change = Change { seq, dir, key, value, previous, needs, is_lost: false };
        self.systems[system].pending.push(change);
        self.count_names(before, value);
        self.touch(dir);
    }

    /// Sets the time of the last change to now.
    pub fn touch(&mut self, id: Id) {
        self.mark_dirty(id);
        let modified = self.tick();
        self.inode_mut(id).meta.modified = modified;
    }

    fn count_names(&mut self, before: Option<Id>, after: Option<Id>) {
        if let Some(id) = after {
            self.inode_mut(id).name_count += 1;
        }
        if let Some(id) = before {
            self.inode_mut(id).name_count -= 1;
            self.free_if_gone(id);
        }
    }

    /// Gives back the space of a file that has neither name nor handle.
    pub fn free_if_gone(&mut self, id: Id) {
        let inode = self.inode(id);
        if inode.name_count == 0 && inode.handle_count == 0 {
            let (system, len) = (inode.system, inode.file_len());
            self.systems[system].used_len -= len;
        }
    }

    pub fn mark_dirty(&mut self, id: Id) {
        let inode = self.inode_mut(id);
        if !std::mem::replace(&mut inode.is_listed_dirty, true) {
            let system = inode.system;
            self.systems[system].dirty.push(id);
        }
    }

    /// Forgets what no name, on the disk or in memory or in between, and no handle refers to.
    fn sweep(&mut self) {
        let mut live = vec![false; self.inodes.len()];
        let held = (0..self.inodes.len()).filter(|&id| self.inodes[id].as_ref().is_some_and(|i| i.handle_count > 0));
        let pending = self.systems.iter().flat_map(|system| system.pending.iter().filter_map(|change| change.value));
        let mut todo: Vec<Id> = held.chain(pending).chain(self.systems.iter().map(|system| system.root)).collect();
        while let Some(id) = todo.pop() {
            let is_new = !std::mem::replace(&mut live[id], true);
            if let Some(folder) = self.inode(id).folder().filter(|_| is_new) {
                todo.extend(folder.slots.values().flat_map(|slot| [slot.now, slot.durable]).flatten());
            }
        }
        for (inode, live) in self.inodes.iter_mut().zip(&live) {
            inode.take_if(|_| !live);
        }
        for system in &mut self.systems {
            system.pending.retain(|change| live[change.dir]);
            system.dirty.retain(|&id| live[id]);
        }
        self.live_count = live.iter().filter(|live| **live).count();
        self.sweep_at_len = 1024.max(2 * self.live_count);
    }

    /// Content and metadata of a file, or the metadata of a folder, become durable.
    pub fn sync_inode(&mut self, id: Id) {
        let inode = self.inode_mut(id);
        if inode.is_lost {
            return;
        }
        inode.durable_meta = inode.meta;
        if let Content::File(bytes) = &mut inode.content {
            bytes.durable = Arc::clone(&bytes.now);
            bytes.dirty_from = None;
        }
    }

    /// What is pending of the inode never becomes durable, whatever is synced later.
    pub fn lose_inode(&mut self, id: Id) {
        let inode = self.inode_mut(id);
        let is_dirty = matches!(&inode.content, Content::File(bytes) if bytes.dirty_from.is_some());
        inode.is_lost |= is_dirty || inode.meta != inode.durable_meta;
    }

    /// Content of which a sync failed is seen to be lost: what is on the disk is what is there, and can be written anew.
    pub fn uncache(&mut self, id: Id) {
        let inode = self.inode_mut(id);
        let Content::File(bytes) = &mut inode.content else { return };
        if !inode.is_lost {
            return;
        }
        let before = bytes.now.len() as u64;
        bytes.now = Arc::clone(&bytes.durable);
        bytes.dirty_from = None;
        let (after, system) = (bytes.now.len() as u64, inode.system);
        (inode.is_lost, inode.meta) = (false, inode.durable_meta);
        let system = &mut self.systems[system];
        system.used_len = system.used_len + after - before;
    }

    /// A folder's names become durable, with what they need.
    pub fn sync_names(&mut self, dir: Id) {
        if self.folder(dir).pending_count > 0 {
            let system = self.inode(dir).system;
            let marks = self.systems[system].pending.iter().map(|c| c.dir == dir && !c.is_lost).collect();
            self.make_durable(system, marks);
        }
    }

    pub fn lose_names(&mut self, system: usize, of: impl Fn(&Change) -> bool) {
        self.systems[system].pending.iter_mut().filter(|change| of(change)).for_each(|change| change.is_lost = true);
    }

    pub fn dirty_ids(&self, system: usize) -> Vec<Id> {
        self.systems[system].dirty.clone()
    }

    pub fn sync_system(&mut self, system: usize) {
        for id in std::mem::take(&mut self.systems[system].dirty) {
            if let Some(inode) = &mut self.inodes[id] {
                inode.is_listed_dirty = false;
                self.sync_inode(id);
            }
        }
        let marks = self.systems[system].pending.iter().map(|change| !change.is_lost).collect();
        self.make_durable(system, marks);
    }

    fn make_durable(&mut self, system: usize, mut marks: Vec<bool>) {
        add_needed(&self.systems[system].pending, &mut marks);
        let mut marks = marks.into_iter();
        let (done, left) = std::mem::take(&mut self.systems[system].pending)
            .into_iter()
            .partition(|_| marks.next().expect("one mark for each change"));
        self.systems[system].pending = left;
        let done: Vec<Change> = done;
        done.into_iter().for_each(|change| self.apply(change));
    }

    fn apply(&mut self, change: Change) {
        let folder = self.folder_mut(change.dir);
        folder.pending_count -= 1;
        let slot = folder.slots.get_mut(&change.key).expect("a name with a pending change has a slot");
        slot.durable = change.value;
        if slot.last_change == change.seq && slot.now.is_none() && slot.durable.is_none() {
            folder.slots.remove(&change.key);
        }
    }
}

impl Folder {
    pub fn new(parent: Id, key: Name) -> Folder {
        Folder { slots: BTreeMap::new(), parent, key, pending_count: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.slots.values().all(|slot| slot.now.is_none())
    }
}

impl Inode {
    pub fn folder(&self) -> Option<&Folder> {
        match &self.content {
            Content::Folder(folder) => Some(folder),
            _ => None,
        }
    }

    pub fn file_len(&self) -> u64 {
        match &self.content {
            Content::File(bytes) => bytes.now.len() as u64,
            _ => 0,
        }
    }
}
