//! The calls as the kernel would answer them, each a step or a look at the state. What is checked first is what Linux
//! checks first.

use super::super::{Entry, Kind, Stat};
use super::fate::Refusal;
use super::fate::Step::{TakesNone, TakesSpace};
use super::state::{Bytes, Content, Folder, HeldLock, Id, Name, State};
use super::{LockMode, fate::Step};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

/// Longer files are refused, so that a test that writes far out does not fill the machine's memory.
const MOST_FILE_LEN: u64 = 1 << 30;

/// A failed attempt to lock.
pub(super) enum NoLock {
    Busy,
    Unsupported,
}

impl State {
    pub fn open_dir(&self, dir: Id, name: &OsStr) -> io::Result<Id> {
        let id = self.lookup(dir, name)?;
        match self.inode(id).folder() {
            Some(_) => Ok(id),
            None => Err(super::super::WrongKind::NotAFolder.into()),
        }
    }

    /// `bits`: the owner's permission bits that the opening needs.
    pub fn open(&self, dir: Id, name: &OsStr, bits: u32) -> io::Result<Id> {
        let id = self.lookup(dir, name)?;
        let inode = self.inode(id);
        match inode.content {
            Content::File(_) if inode.meta.mode & bits == bits => Ok(id),
            Content::File(_) => Err(Errno::ACCESS.into()),
            _ => Err(super::super::WrongKind::NotAFile.into()),
        }
    }

    pub fn create(&mut self, dir: Id, name: &OsStr, mode: u32) -> io::Result<Id> {
        self.admit(TakesSpace)?;
        self.make(dir, name, mode, Content::File(Bytes::default()))
    }

    pub fn make_dir(&mut self, dir: Id, name: &OsStr, mode: u32) -> io::Result<Id> {
        self.admit(TakesSpace)?;
        let folder = Folder::new(dir, self.key(dir, name));
        self.make(dir, name, mode, Content::Folder(folder))
    }

    pub fn symlink(&mut self, target: &OsStr, dir: Id, name: &OsStr) -> io::Result<Id> {
        self.admit(TakesSpace)?;
        self.free_key(dir, name)?;
        self.require(self.options_of(dir).symlinks, Errno::PERM)?;
        self.make(dir, name, 0o777, Content::Symlink(target.to_owned()))
    }

    fn make(&mut self, dir: Id, name: &OsStr, mode: u32, content: Content) -> io::Result<Id> {
        let key = self.free_key(dir, name)?;
        let id = self.add_inode(self.inode(dir).system, mode, content);
        self.change(dir, (key, name), Some(id), Vec::new());
        Ok(id)
    }

    pub fn read_link(&self, dir: Id, name: &OsStr) -> io::Result<OsString> {
        match &self.inode(self.lookup(dir, name)?).content {
            Content::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    pub fn link(&mut self, (dir, name): (Id, &OsStr), (to, new): (Id, &OsStr)) -> io::Result<()> {
        self.admit(TakesSpace)?;
        let id = self.lookup(dir, name)?;
        let key = self.free_key(to, new)?;
        self.require(self.inode(dir).system == self.inode(to).system, Errno::XDEV)?;
        self.require(self.options_of(dir).links && self.inode(id).folder().is_none(), Errno::PERM)?;
        self.require(self.inode(id).name_count < self.options_of(dir).most_links, Errno::MLINK)?;
        self.change(to, (key, new), Some(id), Vec::new());
        Ok(())
    }

    pub fn rename(&mut self, (dir, name): (Id, &OsStr), (to, new): (Id, &OsStr)) -> io::Result<()> {
        self.admit(TakesNone)?;
        self.require(self.inode(dir).system == self.inode(to).system, Errno::XDEV)?;
        self.move_name((dir, name), (to, new))
    }

    pub fn rename_new(&mut self, (dir, name): (Id, &OsStr), (to, new): (Id, &OsStr)) -> io::Result<()> {
        self.admit(TakesNone)?;
        self.require(self.inode(dir).system == self.inode(to).system, Errno::XDEV)?;
        self.lookup(dir, name)?;
        self.free_key(to, new)?;
        self.require(self.options_of(dir).noreplace, Errno::INVAL)?;
        self.move_name((dir, name), (to, new))
    }

    fn move_name(&mut self, (dir, name): (Id, &OsStr), (to, new): (Id, &OsStr)) -> io::Result<()> {
        let id = self.lookup(dir, name)?;
        self.require(self.is_alive(to), Errno::NOENT)?;
        let (key, new_key) = (self.key(dir, name), self.key(to, new));
        let target = self.find(to, &new_key);
        self.require(!self.is_within(to, id), Errno::INVAL)?;
        self.require(!target.is_some_and(|target| self.is_within(dir, target)), Errno::NOTEMPTY)?;
        if target == Some(id) {
            self.show_as(to, &new_key, new, dir == to && key == new_key);
            return Ok(());
        }
        let mut addition_needs = self.check_replaceable(id, target)?;
        let is_folder = self.inode(id).folder().is_some();
        let addition = self.next_seq(dir);
        let mut removal_needs = vec![addition];
        if dir != to {
            removal_needs.extend(self.pending_names_of(to));
        }
        if dir == to || is_folder {
            addition_needs.push(addition + 1);
        }
        self.change(to, (Arc::clone(&new_key), new), Some(id), addition_needs);
        self.change(dir, (key, name), None, removal_needs);
        if is_folder {
            let folder = self.folder_mut(id);
            (folder.parent, folder.key) = (to, new_key);
        }
        Ok(())
    }

    /// Two names of one file: a rename of one onto the other changes nothing, as POSIX has it. One name that differs
    /// from the new one in case alone is shown as the new one.
    fn show_as(&mut self, dir: Id, key: &Name, shown: &OsStr, is_same_name: bool) {
        let slots = &mut self.folder_mut(dir).slots;
        if let Some(slot) = slots.get_mut(key).filter(|_| is_same_name) {
            slot.shown = Name::from(shown);
        }
    }

    /// Whether `id` may take the place of `target`; what the disk must know of `target` first.
    fn check_replaceable(&self, id: Id, target: Option<Id>) -> io::Result<Vec<u64>> {
        let Some(target) = target else { return Ok(Vec::new()) };
        match (self.inode(id).folder(), self.inode(target).folder()) {
            (None, None) => Ok(Vec::new()),
            (Some(_), None) => Err(Errno::NOTDIR.into()),
            (None, Some(_)) => Err(Errno::ISDIR.into()),
            (Some(_), Some(_)) => self.check_empty(target),
        }
    }

    /// Whether a folder is empty; the changes that have to reach the disk before it is empty there.
    fn check_empty(&self, id: Id) -> io::Result<Vec<u64>> {
        self.require(self.folder(id).is_empty(), Errno::NOTEMPTY)?;
        let pending = &self.systems[self.inode(id).system].pending;
        Ok(pending.iter().filter(|change| change.dir == id).map(|change| change.seq).collect())
    }

    fn is_within(&self, mut dir: Id, id: Id) -> bool {
        loop {
            let parent = self.folder(dir).parent;
            if dir == id || parent == dir {
                return dir == id;
            }
            dir = parent;
        }
    }

    /// The changes by which a folder and those above it got their names, where they are not durable.
    fn pending_names_of(&self, mut dir: Id) -> Vec<u64> {
        let mut seqs = Vec::new();
        loop {
            let folder = self.folder(dir);
            if folder.parent == dir {
                return seqs;
            }
            let slot = self.folder(folder.parent).slots.get(&folder.key);
            seqs.extend(slot.map(|slot| slot.last_change));
            dir = folder.parent;
        }
    }

    pub fn unlink(&mut self, dir: Id, name: &OsStr) -> io::Result<()> {
        self.admit(TakesNone)?;
        let id = self.lookup(dir, name)?;
        self.require(self.inode(id).folder().is_none(), Errno::ISDIR)?;
        self.change(dir, (self.key(dir, name), name), None, Vec::new());
        Ok(())
    }

    pub fn remove_dir(&mut self, dir: Id, name: &OsStr) -> io::Result<()> {
        self.admit(TakesNone)?;
        let id = self.lookup(dir, name)?;
        self.require(self.inode(id).folder().is_some(), Errno::NOTDIR)?;
        let needs = self.check_empty(id)?;
        self.change(dir, (self.key(dir, name), name), None, needs);
        Ok(())
    }

    pub fn list(&mut self, dir: Id) -> Vec<Entry> {
        let names = self.folder(dir).slots.values().filter_map(|slot| Some((&slot.shown, slot.now?)));
        let mut entries: Vec<Entry> =
            names.map(|(name, id)| Entry { name: name.as_ref().to_owned(), kind: self.kind(id) }).collect();
        self.dice.shuffle(&mut entries);
        entries
    }

    fn kind(&self, id: Id) -> Kind {
        match self.inode(id).content {
            Content::File(_) => Kind::File,
            Content::Folder(_) => Kind::Dir,
            Content::Symlink(_) => Kind::Symlink,
        }
    }

    pub fn stat(&self, id: Id) -> Stat {
        let inode = self.inode(id);
        let len = match &inode.content {
            Content::Symlink(target) => target.len() as u64,
            _ => inode.file_len(),
        };
        Stat {
            kind: self.kind(id),
            len,
            link_count: inode.name_count,
            mode: inode.meta.mode,
            owner: self.owner,
            inode: (inode.system as u64, id as u64 + 1),
            modified: inode.meta.modified,
        }
    }

    pub fn read_at(&self, id: Id, into: &mut [u8], offset: u64) -> usize {
        let now = &self.bytes(id).now;
        let from = usize::try_from(offset).map_or(now.len(), |offset| offset.min(now.len()));
        let count = into.len().min(now.len() - from);
        into[..count].copy_from_slice(&now[from..from + count]);
        count
    }

    pub fn write_at(&mut self, id: Id, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= MOST_FILE_LEN).ok_or(Errno::FBIG);
        match self.admit(TakesSpace) {
            Ok(()) => {}
            Err(Refusal::Fault(fault)) => {
                let written = self.dice.between(0, bytes.len());
                if end.is_ok() {
                    self.write(id, &bytes[..written], offset as usize);
                }
                return Err(Refusal::Fault(fault).into());
            }
            Err(cut) => return Err(cut.into()),
        }
        let room = self.inode(id).file_len().saturating_add(self.free_len(id));
        let fits = end?.min(room).saturating_sub(offset) as usize;
        self.write(id, &bytes[..fits], offset as usize);
        self.require(fits == bytes.len(), Errno::NOSPC)
    }

    fn write(&mut self, id: Id, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        self.change_bytes(id, offset, |now| {
            now.resize(now.len().max(end), 0);
            now[offset..end].copy_from_slice(bytes);
        });
    }

    pub fn set_len(&mut self, id: Id, len: u64) -> io::Result<()> {
        self.admit(TakesSpace)?;
        self.require(len <= MOST_FILE_LEN, Errno::FBIG)?;
        self.require(len <= self.inode(id).file_len().saturating_add(self.free_len(id)), Errno::NOSPC)?;
        self.change_bytes(id, len as usize, |now| now.resize(len as usize, 0));
        Ok(())
    }

    fn change_bytes(&mut self, id: Id, from: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let Content::File(bytes) = &mut self.inode_mut(id).content else {
            unreachable!("a file's handle refers to a file")
        };
        let before = bytes.now.len();
        bytes.dirty_from = Some(from.min(before).min(bytes.dirty_from.unwrap_or(before)));
        change(Arc::make_mut(&mut bytes.now));
        let (after, system) = (bytes.now.len(), self.inode(id).system);
        let system = &mut self.systems[system];
        system.used_len = system.used_len + after as u64 - before as u64;
        self.touch(id);
    }

    fn bytes(&self, id: Id) -> &Bytes {
        match &self.inode(id).content {
            Content::File(bytes) => bytes,
            _ => unreachable!("a file's handle refers to a file"),
        }
    }

    pub fn free_len(&self, id: Id) -> u64 {
        let system = &self.systems[self.inode(id).system];
        system.options.capacity.unwrap_or(1 << 50).saturating_sub(system.used_len)
    }

    pub fn set_mode(&mut self, id: Id, mode: u32) -> io::Result<()> {
        self.admit(TakesNone)?;
        self.mark_dirty(id);
        self.inode_mut(id).meta.mode = mode & 0o7777;
        Ok(())
    }

    pub fn set_modified(&mut self, id: Id, modified: (i64, u32)) -> io::Result<()> {
        self.admit(TakesNone)?;
        self.require(modified.1 < 1_000_000_000, Errno::INVAL)?;
        self.mark_dirty(id);
        self.inode_mut(id).meta.modified = modified;
        Ok(())
    }

    pub fn sync_file(&mut self, id: Id) -> io::Result<()> {
        self.sync_step(|state| state.lose_inode(id))?;
        self.sync_inode(id);
        Ok(())
    }

    pub fn sync_dir(&mut self, id: Id) -> io::Result<()> {
        self.sync_step(|state| {
            state.lose_inode(id);
            state.lose_names(state.inode(id).system, |change| change.dir == id);
        })?;
        self.sync_inode(id);
        self.sync_names(id);
        Ok(())
    }

    pub fn sync_fs(&mut self, id: Id) -> io::Result<()> {
        let system = self.inode(id).system;
        self.require(self.options_of(id).sync_fs, Errno::NOSYS)?;
        self.sync_step(|state| {
            state.dirty_ids(system).into_iter().for_each(|id| state.lose_inode(id));
            state.lose_names(system, |_| true);
        })?;
        self.sync_system(system);
        Ok(())
    }

    fn sync_step(&mut self, lose: impl FnOnce(&mut State)) -> io::Result<()> {
        self.admit(Step::TakesNone).map_err(|refusal| {
            if matches!(refusal, Refusal::Fault(_)) {
                lose(self);
            }
            refusal.into()
        })
    }

    /// The token by which the lock is released.
    pub fn try_lock(&mut self, id: Id) -> Result<u64, NoLock> {
        if self.locks.mode == LockMode::Unsupported {
            return Err(NoLock::Unsupported);
        }
        if self.locks.held.iter().any(|held| held.id == id) {
            return Err(NoLock::Busy);
        }
        self.locks.next_token += 1;
        let token = self.locks.next_token;
        self.locks.held.push(HeldLock { token, id, actor: self.actors.speaker() });
        Ok(token)
    }

    fn options_of(&self, id: Id) -> &super::Options {
        &self.systems[self.inode(id).system].options
    }

    fn free_key(&self, dir: Id, name: &OsStr) -> io::Result<Name> {
        let key = self.key(dir, name);
        self.require(self.find(dir, &key).is_none(), Errno::EXIST)?;
        self.require(self.is_alive(dir), Errno::NOENT)?;
        Ok(key)
    }

    /// Nothing can be made in a folder that was removed.
    fn is_alive(&self, dir: Id) -> bool {
        self.inode(dir).name_count > 0
    }

    fn require(&self, holds: bool, otherwise: Errno) -> io::Result<()> {
        if holds { Ok(()) } else { Err(otherwise.into()) }
    }
}
