//! A folder as a stream (format.md, section 7): sorted, one entry after another, each file's content behind its header.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mb_wire::folder::{FolderEntry, FolderOrder, encode_entry};
use walkdir::{DirEntry, IntoIter, WalkDir};

use super::SendError;

/// Gives the entries of a folder, the folder itself first, in their order.
pub trait Entries {
    /// The next one, with its path for messages, and its content if it is a file.
    fn next_entry(&mut self) -> Result<Option<(PathBuf, FolderEntry, Option<Content>)>, SendError>;
}

/// Reads a folder as its payload. Memory is that of what gives its entries.
pub struct FolderReader<E> {
    entries: E,
    order: FolderOrder,
    header: io::Cursor<Vec<u8>>,
    content: Option<Content>,
}

/// What a file of a folder holds.
pub struct Content {
    /// For messages.
    pub path: PathBuf,
    /// Where it is read.
    pub file: Box<dyn Read + Send>,
    /// So many bytes.
    pub left: u64,
}

/// The entries of a folder that is found by its path. Memory is one folder's names at each level.
pub struct Walked {
    top: PathBuf,
    entries: IntoIter,
}

impl FolderReader<Walked> {
    /// The folder at `path`. Nothing is read yet.
    pub fn new(path: &Path) -> FolderReader<Walked> {
        FolderReader::of(Walked { top: path.into(), entries: WalkDir::new(path).sort_by_file_name().into_iter() })
    }
}

impl<E: Entries> FolderReader<E> {
    /// The folder that these make.
    pub fn of(entries: E) -> FolderReader<E> {
        FolderReader { entries, order: FolderOrder::new(), header: io::Cursor::default(), content: None }
    }

    /// Begins the next entry. `false`: there is none.
    fn begin_next(&mut self) -> Result<bool, SendError> {
        let Some((path, entry, content)) = self.entries.next_entry()? else { return Ok(false) };
        self.order.accept(&entry).map_err(|_| unfit(&path, "too deep, or its name is too long"))?;
        self.header = io::Cursor::new(encode_entry(&entry));
        self.content = content;
        Ok(true)
    }
}

impl Entries for Walked {
    fn next_entry(&mut self) -> Result<Option<(PathBuf, FolderEntry, Option<Content>)>, SendError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(&self.top).to_owned();
            SendError::Input { path, attempt: "read", cause: error.into() }
        })?;
        let (described, content) = self.describe(&entry)?;
        Ok(Some((entry.into_path(), described, content)))
    }
}

impl Walked {
    fn describe(&self, entry: &DirEntry) -> Result<(FolderEntry, Option<Content>), SendError> {
        let failed = |attempt, cause| SendError::Input { path: entry.path().into(), attempt, cause };
        // The top itself may be a link that the user named; it stands for the folder.
        let is_top = entry.depth() == 0;
        let found = if is_top { self.top.metadata() } else { entry.path().symlink_metadata() };
        let found = found.map_err(|cause| failed("stat", cause))?;
        let path = self.relative(entry.path());
        let mtime = (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap_or(0));
        let mode = found.mode() & 0o777;
        if found.is_dir() {
            return Ok((FolderEntry::Folder { mode, path, mtime }, None));
        }
        if found.is_symlink() {
            let target = entry.path().read_link().map_err(|cause| failed("read link", cause))?;
            return Ok((FolderEntry::Link { path, mtime, target: target.as_os_str().as_bytes().to_vec() }, None));
        }
        if !found.is_file() {
            return Err(unfit(entry.path(), "a FIFO, socket or device cannot be sent"));
        }
        let file = File::open(entry.path()).map_err(|cause| failed("open", cause))?;
        let opened = file.metadata().map_err(|cause| failed("stat", cause))?;
        if (opened.dev(), opened.ino()) != (found.dev(), found.ino()) {
            return Err(unfit(entry.path(), "changed while it was read"));
        }
        let len = opened.len();
        let content = Content { path: entry.path().into(), file: Box::new(file), left: len };
        Ok((FolderEntry::File { len, mode, path, mtime }, Some(content)))
    }

    fn relative(&self, path: &Path) -> Vec<u8> {
        path.strip_prefix(&self.top).map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default()
    }
}

pub(super) fn unfit(path: &Path, what: &'static str) -> SendError {
    SendError::Unfit { path: path.into(), what }
}

impl Content {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let count = self
            .file
            .read(&mut into[..most])
            .map_err(|cause| io::Error::other(SendError::Input { path: self.path.clone(), attempt: "read", cause }))?;
        if count == 0 {
            return Err(io::Error::other(unfit(&self.path, "got shorter while it was read")));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl<E: Entries> Read for FolderReader<E> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.header.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            match &mut self.content {
                Some(content) if content.left > 0 => return content.read(into),
                _ => self.content = None,
            }
            if !self.begin_next().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
    }
}
