//! One durability barrier for many files and folders.
//!
//! A batch writes all its files, then waits once. A few items are synced one by one; many by one `syncfs` for each
//! file system, which is where the speed of small packets comes from. On an error nothing of the batch counts as
//! durable and no handle may be synced again: the caller drops the batch.

use std::ffi::OsString;

use crate::durable::{self, DirRef, FileRef};

/// Up to this many syncs are cheaper one by one than a whole file system's.
const FEW: usize = 6;

/// What must be durable before work goes on.
#[derive(Default)]
pub struct Barrier {
    files: Vec<Pending>,
    dirs: Vec<DirRef>,
}

enum Pending {
    Open(FileRef),
    Named(DirRef, OsString),
}

impl Barrier {
    /// Nothing to wait for yet.
    pub fn new() -> Barrier {
        Barrier::default()
    }

    /// Adds the content of `file`, which is called `name` in `dir`. Few handles are kept, however many are added.
    pub fn file(&mut self, file: FileRef, dir: &DirRef, name: &str) {
        if self.files.len() < FEW {
            self.files.push(Pending::Open(file));
        } else {
            self.files.push(Pending::Named(dir.clone(), name.into()));
        }
    }

    /// Adds the names in `dir`. The same handle is added once.
    pub fn dir(&mut self, dir: &DirRef) {
        if !self.dirs.iter().any(|known| std::ptr::addr_eq(DirRef::as_ptr(known), DirRef::as_ptr(dir))) {
            self.dirs.push(dir.clone());
        }
    }

    /// Returns when everything that was added is durable: contents first, then names.
    pub fn wait(self) -> durable::Result<()> {
        if self.files.len() + self.dirs.len() > FEW && self.sync_file_systems()? {
            return Ok(());
        }
        for file in self.files {
            match file {
                Pending::Open(file) => file.sync()?,
                Pending::Named(dir, name) => dir.open(&name)?.sync()?,
            }
        }
        self.dirs.iter().try_for_each(|dir| dir.sync())
    }

    /// Syncs each file system once. `false` if one has no such call; then nothing is said about the others.
    fn sync_file_systems(&self) -> durable::Result<bool> {
        let mut synced = Vec::new();
        let named = self.files.iter().filter_map(|file| match file {
            Pending::Named(dir, _) => Some(dir),
            Pending::Open(_) => None,
        });
        for dir in self.dirs.iter().chain(named) {
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
        // An open file's folder is nearly always among the folders; where it is not, it is synced by itself.
        for file in &self.files {
            if let Pending::Open(file) = file
                && !synced.contains(&file.stat()?.inode.0)
            {
                file.sync()?;
            }
        }
        Ok(true)
    }
}
