//! Open folders and files of a world.

use super::super::{Dir, DirRef, Entry, Error, File, FileRef, Lock, LockGuard, Result, Stat, is_one_component};
use super::Shared;
use super::calls::NoLock;
use super::state::{Id, State};
use rustix::io::Errno;
use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MOST_NAME_LEN: usize = 255;

pub(super) fn open_root(shared: &Arc<Shared>, index: usize) -> DirRef {
    let mut state = shared.lock();
    let root = state.systems[index].root;
    let hold = Hold::new(shared, &mut state, root);
    Arc::new(MemoryDir { hold, path: PathBuf::from(format!("/{index}")) })
}

/// Keeps an inode from being forgotten.
struct Hold {
    shared: Arc<Shared>,
    id: Id,
}

impl Hold {
    fn new(shared: &Arc<Shared>, state: &mut State, id: Id) -> Hold {
        state.inode_mut(id).handle_count += 1;
        Hold { shared: Arc::clone(shared), id }
    }

    fn call<T>(&self, call: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        call(&mut *self.shared.enter()?)
    }

    fn try_lock(&self) -> io::Result<Lock> {
        let locked = self.call(|state| Ok(state.try_lock(self.id)))?;
        Ok(match locked {
            Ok(token) => {
                let release = Release { shared: Arc::clone(&self.shared), token };
                Lock::Held(LockGuard { _release: Box::new(release) })
            }
            Err(NoLock::Busy) => Lock::Busy,
            Err(NoLock::Unsupported) => Lock::Unsupported,
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let inode = state.inode_mut(self.id);
        inode.handle_count -= 1;
        if inode.handle_count == 0 {
            state.free_if_gone(self.id);
        }
    }
}

struct Release {
    shared: Arc<Shared>,
    token: u64,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.shared.lock().locks.held.retain(|held| held.token != self.token);
    }
}

struct MemoryDir {
    hold: Hold,
    path: PathBuf,
}

impl MemoryDir {
    /// Makes one call about one name of this folder.
    fn at<T>(
        &self,
        name: &OsStr,
        attempt: &'static str,
        call: impl FnOnce(&mut State, Id) -> io::Result<T>,
    ) -> Result<T> {
        let checked = check_name(name).and_then(|()| self.hold.call(|state| call(state, self.hold.id)));
        checked.map_err(|cause| Error { path: self.path.join(name), attempt, cause })
    }

    fn own<T>(&self, attempt: &'static str, call: impl FnOnce(&mut State, Id) -> io::Result<T>) -> Result<T> {
        let done = self.hold.call(|state| call(state, self.hold.id));
        done.map_err(|cause| Error { path: self.path.clone(), attempt, cause })
    }

    /// Makes one call about a name here and a name in `to`. The error names the one that it is about.
    fn between(
        &self,
        (name, to, new): (&OsStr, &dyn Dir, &OsStr),
        attempt: &'static str,
        call: impl FnOnce(&mut State, (Id, &OsStr), (Id, &OsStr)) -> io::Result<()>,
    ) -> Result<()> {
        let same_world = |to: &&MemoryDir| Arc::ptr_eq(&to.hold.shared, &self.hold.shared);
        let to = to.as_any().downcast_ref::<MemoryDir>().filter(same_world);
        let done = self.at(name, attempt, |state, id| {
            let to = to.ok_or(Errno::XDEV)?;
            check_name(new)?;
            call(state, (id, name), (to.hold.id, new))
        });
        done.map_err(|e| match to {
            Some(to) if e.is_taken() => Error { path: to.path.join(new), ..e },
            _ => e,
        })
    }

    fn file(&self, name: &OsStr, may_write: bool, hold: Hold) -> FileRef {
        Arc::new(MemoryFile { hold, path: self.path.join(name), may_write })
    }
}

fn check_name(name: &OsStr) -> io::Result<()> {
    match is_one_component(name) && name.len() <= MOST_NAME_LEN {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidFilename.into()),
    }
}

impl Dir for MemoryDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open_dir(&self, name: &OsStr) -> Result<DirRef> {
        let hold = self.at(name, "open", |state, id| {
            let id = state.open_dir(id, name)?;
            Ok(Hold::new(&self.hold.shared, state, id))
        })?;
        Ok(Arc::new(MemoryDir { hold, path: self.path.join(name) }))
    }

    fn open(&self, name: &OsStr) -> Result<FileRef> {
        let hold = self.at(name, "open", |state, id| {
            let id = state.open(id, name, 0o400)?;
            Ok(Hold::new(&self.hold.shared, state, id))
        })?;
        Ok(self.file(name, false, hold))
    }

    fn open_rw(&self, name: &OsStr) -> Result<FileRef> {
        let hold = self.at(name, "open", |state, id| {
            let id = state.open(id, name, 0o600)?;
            Ok(Hold::new(&self.hold.shared, state, id))
        })?;
        Ok(self.file(name, true, hold))
    }

    fn create(&self, name: &OsStr, mode: u32) -> Result<FileRef> {
        let hold = self.at(name, "create", |state, id| {
            let id = state.create(id, name, mode)?;
            Ok(Hold::new(&self.hold.shared, state, id))
        })?;
        Ok(self.file(name, true, hold))
    }

    fn make_dir(&self, name: &OsStr, mode: u32) -> Result<()> {
        self.at(name, "make folder", |state, id| state.make_dir(id, name, mode).map(drop))
    }

    fn symlink(&self, target: &OsStr, name: &OsStr) -> Result<()> {
        self.at(name, "make symbolic link", |state, id| state.symlink(target, id, name).map(drop))
    }

    fn read_link(&self, name: &OsStr) -> Result<OsString> {
        self.at(name, "read symbolic link", |state, id| state.read_link(id, name))
    }

    fn link(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()> {
        self.between((name, to, new), "link", State::link)
    }

    fn rename(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()> {
        self.between((name, to, new), "rename", State::rename)
    }

    fn rename_new(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()> {
        self.between((name, to, new), "rename", State::rename_new)
    }

    fn unlink(&self, name: &OsStr) -> Result<()> {
        self.at(name, "remove", |state, id| state.unlink(id, name))
    }

    fn remove_dir(&self, name: &OsStr) -> Result<()> {
        self.at(name, "remove folder", |state, id| state.remove_dir(id, name))
    }

    /// What is there at the moment of the call, in an order that the world's seed decides.
    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Entry>> + '_>> {
        let entries = self.own("list", |state, id| Ok(state.list(id)))?;
        Ok(Box::new(entries.into_iter().map(Ok)))
    }

    fn stat(&self, name: &OsStr) -> Result<Stat> {
        self.at(name, "stat", |state, id| Ok(state.stat(state.lookup(id, name)?)))
    }

    fn stat_self(&self) -> Result<Stat> {
        self.own("stat", |state, id| Ok(state.stat(id)))
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        self.own("set mode", |state, id| state.set_mode(id, mode))
    }

    fn set_modified(&self, name: &OsStr, modified: (i64, u32)) -> Result<()> {
        self.at(name, "set times", |state, id| state.set_modified(state.lookup(id, name)?, modified))
    }

    fn sync(&self) -> Result<()> {
        self.own("sync", State::sync_dir)
    }

    fn sync_fs(&self) -> Result<()> {
        self.own("sync file system", State::sync_fs)
    }

    fn free_space(&self) -> Result<u64> {
        self.own("ask free space", |state, id| Ok(state.free_len(id)))
    }

    fn try_lock(&self) -> Result<Lock> {
        self.hold.try_lock().map_err(|cause| Error { path: self.path.clone(), attempt: "lock", cause })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct MemoryFile {
    hold: Hold,
    path: PathBuf,
    may_write: bool,
}

impl MemoryFile {
    fn call<T>(&self, attempt: &'static str, call: impl FnOnce(&mut State, Id) -> io::Result<T>) -> Result<T> {
        self.hold.call(|state| call(state, self.hold.id)).map_err(|cause| self.error(attempt, cause))
    }

    fn error(&self, attempt: &'static str, cause: impl Into<io::Error>) -> Error {
        Error { path: self.path.clone(), attempt, cause: cause.into() }
    }
}

impl File for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        self.call("read", |state, id| Ok(state.read_at(id, into, offset)))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        match self.may_write {
            true => self.call("write", |state, id| state.write_at(id, bytes, offset)),
            false => Err(self.error("write", Errno::BADF)),
        }
    }

    fn set_len(&self, len: u64) -> Result<()> {
        match self.may_write {
            true => self.call("set length", |state, id| state.set_len(id, len)),
            false => Err(self.error("set length", Errno::INVAL)),
        }
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        self.call("set mode", |state, id| state.set_mode(id, mode))
    }

    fn set_modified(&self, modified: (i64, u32)) -> Result<()> {
        self.call("set times", |state, id| state.set_modified(id, modified))
    }

    fn sync(&self) -> Result<()> {
        self.call("sync", State::sync_file)
    }

    fn uncache(&self) {
        // Not a call: nothing can come of it but what is true already.
        self.hold.shared.lock().uncache(self.hold.id);
    }

    fn stat(&self) -> Result<Stat> {
        self.call("stat", |state, id| Ok(state.stat(id)))
    }

    fn try_lock(&self) -> Result<Lock> {
        self.hold.try_lock().map_err(|cause| self.error("lock", cause))
    }
}
