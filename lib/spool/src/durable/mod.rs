//! The only place that creates, renames, links, unlinks or syncs.
//!
//! A `Dir` is a folder held open; everything below it is reached one name at a time and never through a
//! symbolic link, so nothing that lies on a stick or in a delivered folder can lead outside. The same trait serves
//! every root: spool, stick, incoming folder, configuration. There are two implementations: `real`, the
//! kernel's, and `memory`, a model that keeps what is durable apart from what is pending, so that tests can try
//! every state that a power cut could leave.
//!
//! What this module is not: it knows no names of the spool and decides no order of steps. Its callers are the
//! spool's modules, the stick's (`carry`) and delivery (`node`).
//!
//! Two laws hold for both implementations. A name that is visible is not yet durable: durable is what
//! `Dir::sync` (names), `File::sync` (content and metadata) or `Dir::sync_fs` (all of a file system)
//! returned `Ok` for. And a sync that failed means that the data is lost: the caller writes anew or gives up, and
//! never syncs the same handle again.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod real;
#[cfg(test)]
mod tests;

/// A folder that is held open, shared between threads.
pub type DirRef = Arc<dyn Dir>;
/// A file that is held open, shared between threads.
pub type FileRef = Arc<dyn File>;
/// What calls of this module return.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed, on which path, and why. Prints as `PATH: ATTEMPT: CAUSE`.
#[derive(Debug, thiserror::Error)]
#[error("{}: {attempt}: {cause}", path.display())]
pub struct Error {
    /// The path as far as it is known, for people; never used to open anything.
    pub path: PathBuf,
    /// The call that failed, as a verb: `open`, `sync`, `rename`…
    pub attempt: &'static str,
    /// What the system said.
    #[source]
    pub cause: io::Error,
}

impl Error {
    /// Whether the name was taken already (EEXIST, also ENOTEMPTY).
    pub fn is_taken(&self) -> bool {
        matches!(self.cause.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
    }

    /// Whether there is no such name (ENOENT).
    pub fn is_missing(&self) -> bool {
        self.cause.kind() == io::ErrorKind::NotFound
    }

    /// Whether the name is there and stands for something that was not asked for: a link, a folder, a FIFO where a
    /// file should be, or no folder where one should be.
    pub fn is_wrong_kind(&self) -> bool {
        self.cause.get_ref().is_some_and(|cause| cause.is::<WrongKind>())
    }

    /// Whether the two names lie on different file systems (EXDEV).
    pub fn is_other_fs(&self) -> bool {
        self.cause.kind() == io::ErrorKind::CrossesDevices
    }

    /// Whether the file system cannot do this at all, or no more for this file: no links, no such flag, EMLINK.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.cause.kind(),
            io::ErrorKind::Unsupported
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::TooManyLinks
        )
    }

    /// Whether waiting may help: disk or quota full, too many open files, busy.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.cause.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::ResourceBusy
        ) || matches!(self.cause.raw_os_error(), Some(23 | 24))
    }
}

/// The cause of an open that met something else than what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongKind {
    /// Where a regular file was asked for.
    #[error("not a regular file")]
    NotAFile,
    /// Where a folder was asked for.
    #[error("not a folder, or a symbolic link")]
    NotAFolder,
}

impl From<WrongKind> for io::Error {
    fn from(kind: WrongKind) -> Self {
        Self::other(kind)
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link, never followed.
    Symlink,
    /// A FIFO, socket or device: never opened.
    Other,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without its folder.
    pub name: OsString,
    /// What it stands for.
    pub kind: Kind,
}

/// What is known of a name or an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Bytes, for a file.
    pub len: u64,
    /// Names that point to it.
    pub link_count: u64,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// The owner's user id.
    pub owner: u32,
    /// Device and inode: equal for two names of one file.
    pub inode: (u64, u64),
    /// Modification time: seconds since 1970 and nanoseconds below a second.
    pub modified: (i64, u32),
}

/// What came of an attempt to lock.
pub enum Lock {
    /// Ours until the guard is dropped or the process ends, however it ends.
    Held(LockGuard),
    /// Somebody else has it, or this same handle has it already.
    Busy,
    /// Locks do not work here. Work goes on without; clean-up that rests on a lock does not.
    Unsupported,
}

/// Keeps a lock until it is dropped.
pub struct LockGuard {
    /// Whatever must be dropped to let go.
    pub(crate) _release: Box<dyn std::any::Any + Send + Sync>,
}

/// An open regular file. Reads and writes name their offset, so threads share it freely.
pub trait File: Send + Sync {
    /// Reads at most `into.len()` bytes at `offset`; 0 is the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize>;
    /// Writes all of `bytes` at `offset`; a gap reads as zeros.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;
    /// Makes it `len` bytes long.
    fn set_len(&self, len: u64) -> Result<()>;
    /// Sets the permission bits.
    fn set_mode(&self, mode: u32) -> Result<()>;
    /// Sets the modification time.
    fn set_modified(&self, modified: (i64, u32)) -> Result<()>;
    /// Content and metadata are durable when this returns `Ok`; the name is not.
    fn sync(&self) -> Result<()>;
    /// What is read after this comes from the medium, as far as the system can: what memory holds of the file and has not
    /// to be written is forgotten. So content that a failed sync lost shows as lost, and a stick shows what is on it.
    fn uncache(&self);
    /// What is known of the open file itself.
    fn stat(&self) -> Result<Stat>;
    /// Locks the file against other programs, without waiting.
    fn try_lock(&self) -> Result<Lock>;
}

/// An open folder. Every `name` is one component: not empty, not `.` or `..`, no `/`, no NUL; anything else is
/// refused with `ErrorKind::InvalidFilename` before the system is asked.
pub trait Dir: Send + Sync {
    /// Where it was when it was opened: for messages.
    fn path(&self) -> &Path;
    /// Opens a folder; a symbolic link or anything else is refused.
    fn open_dir(&self, name: &OsStr) -> Result<DirRef>;
    /// Opens a regular file for reading; links are not followed, FIFOs and devices are refused without blocking.
    fn open(&self, name: &OsStr) -> Result<FileRef>;
    /// Opens a regular file that is there for reading and writing, as `open` does.
    fn open_rw(&self, name: &OsStr) -> Result<FileRef>;
    /// Makes a new file for reading and writing; taken if the name exists. `mode` is exact, whatever the umask.
    fn create(&self, name: &OsStr, mode: u32) -> Result<FileRef>;
    /// Makes a folder; taken if the name exists.
    fn make_dir(&self, name: &OsStr, mode: u32) -> Result<()>;
    /// Makes a symbolic link that says `target`; taken if the name exists.
    fn symlink(&self, target: &OsStr, name: &OsStr) -> Result<()>;
    /// What a symbolic link says.
    fn read_link(&self, name: &OsStr) -> Result<OsString>;
    /// Gives a file one more name, in this folder or another; taken if the name exists.
    fn link(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()>;
    /// Moves a name, replacing what is there (a file, or an empty folder by a folder).
    fn rename(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()>;
    /// Moves a name and replaces nothing; unsupported where the file system cannot.
    fn rename_new(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()>;
    /// Removes a name that is not a folder.
    fn unlink(&self, name: &OsStr) -> Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, name: &OsStr) -> Result<()>;
    /// The names in it, in no order, one at a time and in constant memory.
    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Entry>> + '_>>;
    /// What a name stands for, links not followed.
    fn stat(&self, name: &OsStr) -> Result<Stat>;
    /// What is known of the open folder itself.
    fn stat_self(&self) -> Result<Stat>;
    /// Sets a folder's own permission bits.
    fn set_mode(&self, mode: u32) -> Result<()>;
    /// Sets the modification time of a name, links not followed.
    fn set_modified(&self, name: &OsStr, modified: (i64, u32)) -> Result<()>;
    /// The folder's names are durable when this returns `Ok`: those added and those removed.
    fn sync(&self) -> Result<()>;
    /// All of the file system that the folder is on is durable when this returns `Ok`. Unsupported where there is no
    /// such call.
    fn sync_fs(&self) -> Result<()>;
    /// Bytes that are free for us on its file system.
    fn free_space(&self) -> Result<u64>;
    /// A hint: folders that are made here from now on have nothing to do with each other, so the file system may place
    /// them, and what is made in them, far apart. Whether it can is not told.
    fn scatter(&self) {}
    /// Locks the folder against other programs, without waiting.
    fn try_lock(&self) -> Result<Lock>;
    /// For implementations: how one finds its own kind behind the other argument of a rename.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Whether `name` may be handed to a [`Dir`].
pub fn is_one_component(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    !bytes.is_empty() && bytes != b"." && bytes != b".." && !bytes.contains(&b'/') && !bytes.contains(&0)
}
