//! One durability barrier for many files and folders.
//!
//! A batch writes all its files, then waits once. A few items are synced one by one; many by one `syncfs` for each
//! file system, which is where the speed of small packets comes from. On an error nothing of the batch counts as
//! durable and no handle may be synced again: the caller drops the batch.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::durable::{self, DirRef, FileRef};

/// Up to this many syncs are cheaper one by one than a whole file system's.
const FEW: usize = 6;
/// As many files as this are waited for at once, however many are still to come: each takes memory.
const MANY: usize = 8192;
/// The same of folders: each is open.
pub(crate) const MANY_DIRS: usize = 64;

/// What must be durable before work goes on.
#[derive(Default)]
pub struct Barrier {
    files: Vec<Written>,
    dirs: Vec<DirRef>,
}

/// A file that was written. Its handle is kept only as long as files are few.
struct Written {
    file: Option<FileRef>,
    dir: DirRef,
    name: OsString,
}

impl Barrier {
    /// Nothing to wait for yet.
    pub fn new() -> Barrier {
        Barrier::default()
    }

    /// Adds the content of `file`, which is called `name` in `dir`. Few handles are kept, however many are added.
    pub fn file(&mut self, file: FileRef, dir: &DirRef, name: impl AsRef<OsStr>) {
        self.push(Written { file: Some(file), dir: dir.clone(), name: name.as_ref().to_owned() });
    }

    fn push(&mut self, mut written: Written) {
        if self.files.len() >= FEW {
            written.file = None;
        }
        self.files.push(written);
    }

    /// Adds the names in `dir`. The same handle is added once.
    pub fn dir(&mut self, dir: &DirRef) {
        if !self.dirs.iter().any(|known| Arc::ptr_eq(known, dir)) {
            self.dirs.push(dir.clone());
        }
    }

    /// What was added so far, to be waited for at once, if it is many. A folder that gets more names is to be added again.
    pub fn split_if_many(&mut self) -> Option<Barrier> {
        let is_many = self.files.len() >= MANY || self.dirs.len() >= MANY_DIRS;
        is_many.then(|| std::mem::take(self))
    }

    /// Takes over all that another barrier waits for.
    pub fn append(&mut self, other: Barrier) {
        other.files.into_iter().for_each(|written| self.push(written));
        other.dirs.iter().for_each(|dir| self.dir(dir));
    }

    /// Returns when everything that was added is durable: contents first, then names.
    pub fn wait(self) -> durable::Result<()> {
        if self.files.len() + self.dirs.len() > FEW && self.sync_file_systems()? {
            return Ok(());
        }
        for written in self.files {
            match written.file {
                Some(file) => file.sync()?,
                // What was given up meanwhile is gone and needs no sync.
                None => match written.dir.open(&written.name) {
                    Err(error) if error.is_missing() => {}
                    opened => opened?.sync()?,
                },
            }
        }
        self.dirs.iter().try_for_each(|dir| dir.sync())
    }

    /// Syncs each file system once. `false` if one has no such call; then nothing is said about the others.
    fn sync_file_systems(&self) -> durable::Result<bool> {
        let mut synced = Vec::new();
        let mut last: Option<&DirRef> = None;
        for dir in self.dirs.iter().chain(self.files.iter().map(|written| &written.dir)) {
            if last.is_some_and(|last| Arc::ptr_eq(last, dir)) {
                continue;
            }
            last = Some(dir);
            let device = dir.stat_self()?.inode.0;
            if synced.contains(&device) {
                continue;
            }
            match dir.sync_fs() {
                Ok(()) => synced.push(device),
                Err(error) if error.is_unsupported() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
