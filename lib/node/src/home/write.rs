//! New files in the configuration folder and beside it: there whole, or not there.

use super::HomeError;
use mb_spool::durable::{self, DirRef, Lock, LockGuard};

/// The name under which a file is written before it gets its own. One writer at a time: [`lock`].
pub(super) fn draft_of(name: &str) -> String {
    format!(".mb-{name}")
}

/// Lets one program at a time change `dir`. Where locks do not work, work goes on without: they only keep drafts apart.
pub(super) fn lock(dir: &DirRef) -> Result<Option<LockGuard>, HomeError> {
    match dir.try_lock()? {
        Lock::Held(guard) => Ok(Some(guard)),
        Lock::Unsupported => Ok(None),
        Lock::Busy => Err(HomeError::Busy(dir.path().to_owned())),
    }
}

/// Makes the file `name` that holds `bytes`, durable on return; taken if the name exists. A draft that a killed run left
/// is written anew; one that we could not finish is removed.
pub(super) fn publish_new(dir: &DirRef, name: &str, bytes: &[u8], mode: u32) -> durable::Result<()> {
    let draft = draft_of(name);
    write_draft(dir, &draft, bytes, mode)?;
    let moved = move_new(dir, &draft, name).and_then(|()| dir.sync());
    if moved.is_err() {
        let _ = remove_if_there(dir, &draft);
    }
    moved
}

/// Writes `bytes` to the file `draft`, in the place of what a killed run left there. The content is durable on return,
/// the name is not. `mode` holds from the first instant.
pub(super) fn write_draft(dir: &DirRef, draft: &str, bytes: &[u8], mode: u32) -> durable::Result<()> {
    remove_if_there(dir, draft)?;
    let file = dir.create(draft.as_ref(), mode)?;
    let written = file.write_at(bytes, 0).and_then(|()| file.sync());
    if written.is_err() {
        let _ = remove_if_there(dir, draft);
    }
    written
}

/// Moves `old` to `new` and replaces nothing, with what the file system has for that.
pub(super) fn move_new(dir: &DirRef, old: &str, new: &str) -> durable::Result<()> {
    match dir.rename_new(old.as_ref(), &**dir, new.as_ref()) {
        Err(e) if e.is_unsupported() => {}
        done => return done,
    }
    match dir.link(old.as_ref(), &**dir, new.as_ref()) {
        Ok(()) => dir.unlink(old.as_ref()),
        Err(e) if e.is_unsupported() => match dir.stat(new.as_ref()) {
            Err(e) if e.is_missing() => dir.rename(old.as_ref(), &**dir, new.as_ref()),
            // Taken: the error of making it again says so.
            _ => dir.create(new.as_ref(), 0o600).map(|_| ()),
        },
        Err(e) => Err(e),
    }
}

/// Removes a name that need not be there.
pub(super) fn remove_if_there(dir: &DirRef, name: &str) -> durable::Result<()> {
    match dir.unlink(name.as_ref()) {
        Err(e) if !e.is_missing() => Err(e),
        _ => Ok(()),
    }
}
