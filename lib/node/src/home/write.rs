//! New files in the configuration folder and beside it: there whole, or not there.

use super::HomeError;
use mb_spool::durable::{self, DirRef, Lock, LockGuard};

/// The right to make files in one folder, for one program at a time where locks work. Where they do not, every draft
/// has a name of its own, and what a killed run left stays: clean-up alone rests on the lock.
pub(super) struct Writer {
    dir: DirRef,
    lock: Option<LockGuard>,
}

impl Writer {
    /// [`HomeError::Busy`] while another program changes the folder.
    pub fn new(dir: DirRef) -> Result<Writer, HomeError> {
        let lock = match dir.try_lock()? {
            Lock::Held(guard) => Some(guard),
            Lock::Unsupported => None,
            Lock::Busy => return Err(HomeError::Busy(dir.path().to_owned())),
        };
        Ok(Writer { dir, lock })
    }

    /// The folder.
    pub fn dir(&self) -> &DirRef {
        &self.dir
    }

    /// Whether no other program is at work here.
    pub fn is_alone(&self) -> bool {
        self.lock.is_some()
    }

    /// Makes the file `name` that holds `bytes`, durable on return; taken if the name exists. Leaves no draft.
    pub fn publish_new(&self, name: &str, bytes: &[u8], mode: u32) -> durable::Result<()> {
        let draft = self.draft(name, bytes, mode)?;
        if let Err(error) = self.move_new(&draft, name) {
            let _ = self.remove(&draft);
            return Err(error);
        }
        self.dir.sync()
    }

    /// Makes the file `name` hold `bytes`, whatever it held; durable on return, and never neither the old nor the new. Leaves no draft.
    pub fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> durable::Result<()> {
        let draft = self.draft(name, bytes, mode)?;
        if let Err(error) = self.dir.rename(draft.as_ref(), &*self.dir, name.as_ref()) {
            let _ = self.remove(&draft);
            return Err(error);
        }
        self.dir.sync()
    }

    /// Writes `bytes` to a file that is going to be `name`, and returns the name it has until then. Its content is durable
    /// on return, its name is not. `mode` holds from the first instant.
    pub fn draft(&self, name: &str, bytes: &[u8], mode: u32) -> durable::Result<String> {
        self.tidy(name)?;
        let mut number = 0;
        let (draft, file) = loop {
            let draft = draft_name(name, number);
            match self.dir.create(draft.as_ref(), mode) {
                Err(e) if e.is_taken() && !self.is_alone() => number += 1,
                other => break (draft, other?),
            }
        };
        if let Err(error) = file.write_at(bytes, 0).and_then(|()| file.sync()) {
            let _ = self.remove(&draft);
            return Err(error);
        }
        Ok(draft)
    }

    /// Removes the draft of `name` that a killed run left, if nobody else can be at it.
    pub fn tidy(&self, name: &str) -> durable::Result<()> {
        if self.is_alone() { self.remove(&draft_name(name, 0)) } else { Ok(()) }
    }

    /// Removes a name that need not be there.
    pub fn remove(&self, name: &str) -> durable::Result<()> {
        match self.dir.unlink(name.as_ref()) {
            Err(e) if !e.is_missing() => Err(e),
            _ => Ok(()),
        }
    }

    /// Moves `old` to `new` and replaces nothing, with what the file system has for that.
    pub fn move_new(&self, old: &str, new: &str) -> durable::Result<()> {
        let dir = &self.dir;
        match dir.rename_new(old.as_ref(), &**dir, new.as_ref()) {
            Err(e) if e.is_unsupported() => {}
            done => return done,
        }
        match dir.link(old.as_ref(), &**dir, new.as_ref()) {
            // Unlike a rename's, the two changes reach the disk in any order: both names could be lost.
            Ok(()) => dir.sync().and_then(|()| dir.unlink(old.as_ref())),
            Err(e) if e.is_unsupported() => match dir.stat(new.as_ref()) {
                Err(e) if e.is_missing() => dir.rename(old.as_ref(), &**dir, new.as_ref()),
                // The error of making it again says that it is taken.
                _ => dir.create(new.as_ref(), 0o600).map(|_| ()),
            },
            Err(e) => Err(e),
        }
    }
}

/// The name of a draft. A program that has the folder to itself uses number 0.
pub(super) fn draft_name(name: &str, number: u32) -> String {
    format!(".mb-{name}.{number}")
}
