//! The kernel's files and folders.
//!
//! Each call of the trait is one system call wherever that is enough: we make thousands of small files, and it is
//! their system calls that a user waits for. Paths are kept for messages alone; everything is reached from a
//! folder's descriptor by one component that is never followed when it is a symbolic link. Everything that opens
//! is closed on exec.

use super::{
    Dir, DirRef, Entry, Error, File, FileRef, Kind, Lock, LockGuard, Result, Stat, WrongKind, is_one_component,
};
use fs2::FileExt as _;
use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::fs::File as Handle;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// NONBLOCK, so that a FIFO cannot hold us before fstat has shown what it is (a regular file ignores it); NOCTTY,
/// so that a terminal device cannot become ours.
const FILE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens the folder that a user names: the path itself may lead through symbolic links, and nothing below it may.
pub fn open_root(path: &Path) -> Result<DirRef> {
    let fd = rustix::fs::open(path, DIR_FLAGS, Mode::empty()).map_err(|e| error(path, "open", e))?;
    Ok(RealDir::new_ref(fd.into(), path.to_owned()))
}

/// Opens a folder that a configuration names. The path may lead through links, but its last part is no link: whoever
/// replaced the folder by one does not choose where files go.
pub fn open_folder(path: &Path) -> Result<DirRef> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => open_root(parent)?.open_dir(name),
        _ => open_root(path),
    }
}

/// Opens a folder as [`open_root`] does, after making what is missing of it, each part with `mode`.
///
/// Each part that was made is durable. So is the last part where it was there already, since it may be the work of a
/// run that was killed before it could sync; where its parent cannot be opened, it was not ours to make.
pub fn make_root(path: &Path, mode: u32) -> Result<DirRef> {
    match open_root(path) {
        Ok(dir) => return sync_parent(path).map(|()| dir),
        Err(e) if e.is_missing() => {}
        Err(e) => return Err(e),
    }
    let Some(name) = path.file_name() else { return open_root(path) };
    let parent = make_root(parent_of(path), mode)?;
    match parent.make_dir(name, mode) {
        Err(e) if !e.is_taken() => return Err(e),
        _ => parent.sync()?,
    }
    open_root(path)
}

fn sync_parent(path: &Path) -> Result<()> {
    match open_root(parent_of(path)) {
        Ok(parent) => parent.sync(),
        Err(_) => Ok(()),
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// A folder of the kernel's.
struct RealDir {
    handle: Handle,
    path: PathBuf,
    locked: Arc<AtomicBool>,
}

/// A regular file of the kernel's.
struct RealFile {
    handle: Handle,
    path: PathBuf,
    locked: Arc<AtomicBool>,
}

impl RealDir {
    fn new_ref(handle: Handle, path: PathBuf) -> DirRef {
        Arc::new(RealDir { handle, path, locked: Arc::default() })
    }

    fn error(&self, name: &OsStr, attempt: &'static str, cause: impl Into<io::Error>) -> Error {
        error(&self.path.join(name), attempt, cause)
    }

    /// Runs one system call on one name of this folder.
    fn at<T>(
        &self,
        name: &OsStr,
        attempt: &'static str,
        call: impl FnOnce(&Handle) -> rustix::io::Result<T>,
    ) -> Result<T> {
        self.check_name(name, attempt)?;
        call(&self.handle).map_err(|e| self.error(name, attempt, e))
    }

    /// Runs one system call on a name here and a name in `to`. The error names the one that it is about.
    fn between(
        &self,
        (name, to, new): (&OsStr, &dyn Dir, &OsStr),
        attempt: &'static str,
        call: impl FnOnce(&Handle, &Handle) -> rustix::io::Result<()>,
    ) -> Result<()> {
        self.check_name(name, attempt)?;
        let Some(to) = to.as_any().downcast_ref::<RealDir>() else {
            return Err(self.error(name, attempt, Errno::XDEV));
        };
        to.check_name(new, attempt)?;
        call(&self.handle, &to.handle).map_err(|e| match e {
            Errno::EXIST | Errno::NOTEMPTY => to.error(new, attempt, e),
            _ => self.error(name, attempt, e),
        })
    }

    fn check_name(&self, name: &OsStr, attempt: &'static str) -> Result<()> {
        match is_one_component(name) {
            true => Ok(()),
            false => Err(self.error(name, attempt, io::ErrorKind::InvalidFilename)),
        }
    }

    fn open_file(&self, name: &OsStr, access: OFlags) -> Result<FileRef> {
        let opened = self.at(name, "open", |fd| rustix::fs::openat(fd, name, access | FILE_FLAGS, Mode::empty()));
        let handle = opened.map_err(|e| match e.cause.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => self.error(name, "open", WrongKind::NotAFile),
            _ => e,
        })?;
        let file = RealFile { handle: handle.into(), path: self.path.join(name), locked: Arc::default() };
        match file.stat()?.kind {
            Kind::File => Ok(Arc::new(file)),
            _ => Err(file.error("open", WrongKind::NotAFile)),
        }
    }

    fn list_entry(&self, entry: rustix::io::Result<rustix::fs::DirEntry>) -> Option<Result<Entry>> {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => return Some(Err(error(&self.path, "list", e))),
        };
        let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
        if name == "." || name == ".." {
            return None;
        }
        let kind = match entry.file_type() {
            // Not every file system says the kind in its listing. One that is gone by now is not listed.
            FileType::Unknown => match self.stat(&name) {
                Ok(stat) => stat.kind,
                Err(e) if e.is_missing() => return None,
                Err(e) => return Some(Err(e)),
            },
            known => kind_of(known),
        };
        Some(Ok(Entry { name, kind }))
    }
}

impl Dir for RealDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open_dir(&self, name: &OsStr) -> Result<DirRef> {
        let flags = DIR_FLAGS | OFlags::NOFOLLOW;
        let opened = self.at(name, "open", |fd| rustix::fs::openat(fd, name, flags, Mode::empty()));
        let fd = opened.map_err(|e| match e.cause.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP | Errno::NOTDIR) => self.error(name, "open", WrongKind::NotAFolder),
            _ => e,
        })?;
        Ok(RealDir::new_ref(fd.into(), self.path.join(name)))
    }

    fn open(&self, name: &OsStr) -> Result<FileRef> {
        self.open_file(name, OFlags::RDONLY)
    }

    fn open_rw(&self, name: &OsStr) -> Result<FileRef> {
        self.open_file(name, OFlags::RDWR)
    }

    /// Where the file system keeps no modes (FAT), chmod's refusal is passed over: the file was made this moment by
    /// us, so it is never ours to fail for want of ownership, and the mount decides who may read the stick.
    fn create(&self, name: &OsStr, mode: u32) -> Result<FileRef> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | FILE_FLAGS;
        let fd = self.at(name, "create", |fd| rustix::fs::openat(fd, name, flags, Mode::from_raw_mode(mode)))?;
        if umask_may_take(mode) {
            set_mode_after_make(&fd, mode).map_err(|e| self.error(name, "create", e))?;
        }
        Ok(Arc::new(RealFile { handle: fd.into(), path: self.path.join(name), locked: Arc::default() }))
    }

    fn make_dir(&self, name: &OsStr, mode: u32) -> Result<()> {
        self.at(name, "make folder", |fd| rustix::fs::mkdirat(fd, name, Mode::from_raw_mode(mode)))?;
        if umask_may_take(mode) {
            let flags = DIR_FLAGS | OFlags::NOFOLLOW;
            self.at(name, "make folder", |fd| {
                set_mode_after_make(&rustix::fs::openat(fd, name, flags, Mode::empty())?, mode)
            })?;
        }
        Ok(())
    }

    fn symlink(&self, target: &OsStr, name: &OsStr) -> Result<()> {
        self.at(name, "make symbolic link", |fd| rustix::fs::symlinkat(target, fd, name))
    }

    fn read_link(&self, name: &OsStr) -> Result<OsString> {
        let target = self.at(name, "read symbolic link", |fd| rustix::fs::readlinkat(fd, name, Vec::new()))?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    fn link(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()> {
        self.between((name, to, new), "link", |from, to| rustix::fs::linkat(from, name, to, new, AtFlags::empty()))
    }

    fn rename(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()> {
        self.between((name, to, new), "rename", |from, to| rustix::fs::renameat(from, name, to, new))
    }

    /// EINVAL and ENOSYS, which file systems and kernels without the flag answer, are unsupported.
    fn rename_new(&self, name: &OsStr, to: &dyn Dir, new: &OsStr) -> Result<()> {
        self.between((name, to, new), "rename", |from, to| {
            rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE)
        })
    }

    fn unlink(&self, name: &OsStr) -> Result<()> {
        self.at(name, "remove", |fd| rustix::fs::unlinkat(fd, name, AtFlags::empty()))
    }

    fn remove_dir(&self, name: &OsStr) -> Result<()> {
        self.at(name, "remove folder", |fd| rustix::fs::unlinkat(fd, name, AtFlags::REMOVEDIR))
    }

    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Entry>> + '_>> {
        // Opened anew, since a descriptor has one place in the listing and two readers would share it.
        let fd = rustix::fs::openat(&self.handle, ".", DIR_FLAGS, Mode::empty());
        let stream = fd.and_then(rustix::fs::Dir::new).map_err(|e| error(&self.path, "list", e))?;
        Ok(Box::new(stream.filter_map(|entry| self.list_entry(entry))))
    }

    fn stat(&self, name: &OsStr) -> Result<Stat> {
        let stat = self.at(name, "stat", |fd| rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW))?;
        Ok(stat_of(&stat))
    }

    fn stat_self(&self) -> Result<Stat> {
        let stat = rustix::fs::fstat(&self.handle).map_err(|e| error(&self.path, "stat", e))?;
        Ok(stat_of(&stat))
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        set_mode(&self.handle, &self.path, mode)
    }

    fn set_modified(&self, name: &OsStr, modified: (i64, u32)) -> Result<()> {
        let times = timestamps(modified).map_err(|e| self.error(name, "set times", e))?;
        self.at(name, "set times", |fd| rustix::fs::utimensat(fd, name, &times, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Some file systems (sticks through FUSE, some shares) know no fsync of a folder and say so; there the whole file
    /// system is synced. Any other error, EIO above all, means what it says.
    fn sync(&self) -> Result<()> {
        match rustix::io::retry_on_intr(|| rustix::fs::fsync(&self.handle)) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::syncfs(&self.handle).map_err(|e| error(&self.path, "sync", e))
            }
            other => other.map_err(|e| error(&self.path, "sync", e)),
        }
    }

    /// Unsupported also on kernels before 5.8: there syncfs returns success although writing back failed.
    fn sync_fs(&self) -> Result<()> {
        let synced = match syncfs_tells_errors() {
            true => rustix::io::retry_on_intr(|| rustix::fs::syncfs(&self.handle)),
            false => Err(Errno::NOSYS),
        };
        synced.map_err(|e| error(&self.path, "sync file system", e))
    }

    fn free_space(&self) -> Result<u64> {
        // By way of /proc, so that what is asked is the folder held open, wherever it was moved to.
        fs2::available_space(format!("/proc/self/fd/{}", self.handle.as_raw_fd()))
            .or_else(|_| {
                let stat = rustix::fs::fstatvfs(&self.handle)?;
                Ok(stat.f_frsize.saturating_mul(stat.f_bavail))
            })
            .map_err(|e: io::Error| error(&self.path, "ask free space", e))
    }

    /// The attribute T of ext2 to ext4 (chattr(1)). Without a journal ext4 hands out no inode that was removed of late, and
    /// passes all of these in the folder's block group each time: with our temporary files in one group a batch of
    /// thousands would wait for that search alone.
    fn scatter(&self) {
        if let Ok(flags) = rustix::fs::ioctl_getflags(&self.handle)
            && !flags.contains(IFlags::TOPDIR)
        {
            let _ = rustix::fs::ioctl_setflags(&self.handle, flags | IFlags::TOPDIR);
        }
    }

    fn try_lock(&self) -> Result<Lock> {
        try_lock(&self.handle, &self.locked, &self.path)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RealFile {
    fn error(&self, attempt: &'static str, cause: impl Into<io::Error>) -> Error {
        error(&self.path, attempt, cause)
    }
}

impl File for RealFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        loop {
            match self.handle.read_at(into, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|e| self.error("read", e)),
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        // The standard library goes on after EINTR and short writes.
        self.handle.write_all_at(bytes, offset).map_err(|e| self.error("write", e))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.handle.set_len(len).map_err(|e| self.error("set length", e))
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        set_mode(&self.handle, &self.path, mode)
    }

    fn set_modified(&self, modified: (i64, u32)) -> Result<()> {
        let times = timestamps(modified).map_err(|e| self.error("set times", e))?;
        rustix::fs::futimens(&self.handle, &times).map_err(|e| self.error("set times", e))
    }

    fn sync(&self) -> Result<()> {
        self.handle.sync_all().map_err(|e| self.error("sync", e))
    }

    fn uncache(&self) {
        // Advice: where it is not taken, the file is read as it was before.
        let _ = rustix::fs::fadvise(&self.handle, 0, None, rustix::fs::Advice::DontNeed);
    }

    fn stat(&self) -> Result<Stat> {
        let stat = rustix::fs::fstat(&self.handle).map_err(|e| self.error("stat", e))?;
        Ok(stat_of(&stat))
    }

    fn try_lock(&self) -> Result<Lock> {
        try_lock(&self.handle, &self.locked, &self.path)
    }
}

/// Lets go of a lock. Unlocks by name rather than by closing: the folder or file shares the open description, and so
/// does a child that was forked and has not yet come to its exec.
struct Release {
    handle: Handle,
    locked: Arc<AtomicBool>,
}

impl Drop for Release {
    fn drop(&mut self) {
        let _ = fs2::FileExt::unlock(&self.handle);
        self.locked.store(false, Ordering::Release);
    }
}

/// The kernel would give the lock to the same open description twice, and the first release would end both; so each
/// handle remembers whether it has it.
fn try_lock(handle: &Handle, locked: &Arc<AtomicBool>, path: &Path) -> Result<Lock> {
    let handle = handle.try_clone().map_err(|e| error(path, "lock", e))?;
    if locked.swap(true, Ordering::Acquire) {
        return Ok(Lock::Busy);
    }
    let Err(refusal) = handle.try_lock_exclusive() else {
        let _release = Box::new(Release { handle, locked: Arc::clone(locked) });
        return Ok(Lock::Held(LockGuard { _release }));
    };
    locked.store(false, Ordering::Release);
    match Errno::from_io_error(&refusal) {
        Some(Errno::WOULDBLOCK) => Ok(Lock::Busy),
        // BADF: NFS makes a record lock of it, which wants a handle that may write.
        Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF) => Ok(Lock::Unsupported),
        _ => Err(error(path, "lock", refusal)),
    }
}

fn error(path: &Path, attempt: &'static str, cause: impl Into<io::Error>) -> Error {
    Error { path: path.to_owned(), attempt, cause: cause.into() }
}

fn set_mode(handle: &Handle, path: &Path, mode: u32) -> Result<()> {
    rustix::fs::fchmod(handle, Mode::from_raw_mode(mode)).map_err(|e| error(path, "set mode", e))
}

fn set_mode_after_make(fd: &impl std::os::fd::AsFd, mode: u32) -> rustix::io::Result<()> {
    match rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)) {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        other => other,
    }
}

/// Whether what was made with `mode` may have come out narrower and needs a chmod. The spool's own modes (0600, 0400,
/// 0700) do not, unless the umask is one that takes its owner's bits; that is asked of the kernel once. An unknown
/// umask is taken for one that does.
fn umask_may_take(mode: u32) -> bool {
    static OWNER_BITS: OnceLock<u32> = OnceLock::new();
    let of_umask = || Some(u32::from_str_radix(umask_line()?.trim(), 8).ok()? & 0o700);
    mode & !0o700 != 0 || mode & OWNER_BITS.get_or_init(|| of_umask().unwrap_or(0o700)) != 0
}

/// It stands in the second line of the file, of which the beginning is enough.
fn umask_line() -> Option<String> {
    let mut begin = [0; 256];
    let len = Handle::open("/proc/self/status").ok()?.read_at(&mut begin, 0).ok()?;
    let begin = String::from_utf8_lossy(&begin[..len]);
    begin.lines().find_map(|line| line.strip_prefix("Umask:")).map(str::to_owned)
}

fn syncfs_tells_errors() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| is_5_8_or_later(&rustix::system::uname().release().to_string_lossy()))
}

fn is_5_8_or_later(release: &str) -> bool {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (5, 8)
}

/// Nanoseconds past a second's end are refused here, since two such values mean "now" and "leave it" to the kernel.
fn timestamps((secs, nanos): (i64, u32)) -> io::Result<Timestamps> {
    if nanos >= 1_000_000_000 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let leave = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    Ok(Timestamps { last_access: leave, last_modification: Timespec { tv_sec: secs, tv_nsec: nanos.into() } })
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    }
}

// The widths of these fields differ between processors.
#[allow(clippy::unnecessary_cast)]
fn stat_of(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        link_count: stat.st_nlink as u64,
        mode: stat.st_mode & 0o7777,
        owner: stat.st_uid,
        inode: (stat.st_dev as u64, stat.st_ino as u64),
        modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::is_5_8_or_later;

    #[test]
    fn kernels_that_hide_write_errors_from_syncfs_are_known_by_release() {
        for (release, tells) in [("4.19.0-27-amd64", false), ("5.7.19", false), ("5.8", true), ("6.12.1+deb13", true)] {
            assert_eq!(is_5_8_or_later(release), tells, "{release}");
        }
    }
}
