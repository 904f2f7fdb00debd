//! What is open already: a file or folder that somebody else has chosen, who has to be sure that nothing else is sent. Everything
//! in a folder is reached from its handle, one name at a time, and never through a link.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mb_spool::durable::{self, DirRef, FileRef, Stat};
use mb_wire::folder::FolderEntry;
use mb_wire::letter::Form;

use super::SendError;
use super::folder::{Content, Entries, FolderReader, unfit};

/// A file or folder that is open.
#[derive(Clone)]
pub struct Opened {
    /// Its name at the other end.
    pub name: Vec<u8>,
    /// For messages.
    pub path: PathBuf,
    /// What is open.
    pub what: What,
}

/// What is open.
#[derive(Clone)]
pub enum What {
    /// A file, of which as much is sent as it has when sending begins.
    File(FileRef),
    /// A folder.
    Folder {
        /// It.
        top: DirRef,
        /// What of it is sent, without itself: sorted, each folder before what is in it.
        entries: Arc<[Chosen]>,
        /// Bytes of all files at the most.
        most_bytes: u64,
    },
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its path below the folder.
    pub path: PathBuf,
    /// Whether it is a folder; else it is a file.
    pub is_folder: bool,
}

/// What a reader is told of it, and the reader.
pub(super) struct Described {
    pub form: Form,
    pub stat: Stat,
    pub len: Option<u64>,
    pub reader: Box<dyn Read + Send>,
}

impl Opened {
    pub(super) fn describe(&self) -> durable::Result<Described> {
        match &self.what {
            What::File(file) => {
                let stat = file.stat()?;
                let reader = Box::new(read_from(file).take(stat.len));
                Ok(Described { form: Form::Plain, stat, len: Some(stat.len), reader })
            }
            What::Folder { top, entries, most_bytes } => {
                let stat = top.stat_self()?;
                let entries = Reached {
                    path: self.path.clone(),
                    entries: entries.clone(),
                    next: None,
                    on_the_way: vec![top.clone()],
                    left: *most_bytes,
                };
                Ok(Described { form: Form::Folder, stat, len: None, reader: Box::new(FolderReader::of(entries)) })
            }
        }
    }
}

#[cfg(test)]
impl Opened {
    /// The payload that is sent of it.
    pub(crate) fn reader(&self) -> durable::Result<Box<dyn Read + Send>> {
        Ok(self.describe()?.reader)
    }

    /// All of that; an error in words.
    pub(crate) fn read_all(&self) -> Result<Vec<u8>, String> {
        let mut payload = Vec::new();
        let mut reader = self.reader().map_err(|error| error.to_string())?;
        reader.read_to_end(&mut payload).map_err(|error| error.to_string())?;
        Ok(payload)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened {}", self.path.display())
    }
}

impl PartialEq for Opened {
    fn eq(&self, other: &Opened) -> bool {
        (&self.path, &self.name) == (&other.path, &other.name)
    }
}

impl Eq for Opened {}

fn read_from(file: &FileRef) -> Reading {
    Reading { file: file.clone(), offset: 0 }
}

struct Reading {
    file: FileRef,
    offset: u64,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.offset).map_err(|error| error.cause)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// The entries of a folder that is open.
struct Reached {
    path: PathBuf,
    entries: Arc<[Chosen]>,
    /// The number of the next entry; None: the folder itself.
    next: Option<usize>,
    /// The folder, and those in it that lead to the last entry.
    on_the_way: Vec<DirRef>,
    /// Bytes that may still come.
    left: u64,
}

impl Entries for Reached {
    fn next_entry(&mut self) -> Result<Option<(PathBuf, FolderEntry, Option<Content>)>, SendError> {
        match self.next {
            None => {
                self.next = Some(0);
                let stat = self.on_the_way[0].stat_self()?;
                Ok(Some((self.path.clone(), folder_entry(Path::new(""), &stat), None)))
            }
            Some(at) => {
                let entries = self.entries.clone();
                let Some(chosen) = entries.get(at) else { return Ok(None) };
                self.next = Some(at + 1);
                let path = self.path.join(&chosen.path);
                let (entry, content) = self.open(chosen, &path)?;
                Ok(Some((path, entry, content)))
            }
        }
    }
}

impl Reached {
    fn open(&mut self, chosen: &Chosen, path: &Path) -> Result<(FolderEntry, Option<Content>), SendError> {
        let changed = |error: durable::Error| match error.is_missing() || error.is_wrong_kind() {
            true => unfit(path, "changed while it was read"),
            false => error.into(),
        };
        let parts: Vec<&OsStr> = chosen.path.iter().collect();
        let (Some(name), Some(parent)) = (parts.last(), self.on_the_way.get(parts.len().saturating_sub(1)).cloned())
        else {
            return Err(unfit(path, "not where it was"));
        };
        self.on_the_way.truncate(parts.len());
        if chosen.is_folder {
            let dir = parent.open_dir(name).map_err(changed)?;
            let stat = dir.stat_self()?;
            self.on_the_way.push(dir);
            return Ok((folder_entry(&chosen.path, &stat), None));
        }
        let file = parent.open(name).map_err(changed)?;
        let stat = file.stat()?;
        self.left = self.left.checked_sub(stat.len).ok_or_else(|| unfit(path, "grew while it was read"))?;
        let (mode, path_bytes) = (stat.mode & 0o777, bytes(&chosen.path));
        let entry = FolderEntry::File { len: stat.len, mode, path: path_bytes, mtime: stat.modified };
        Ok((entry, Some(Content { path: path.into(), file: Box::new(read_from(&file)), left: stat.len })))
    }
}

fn folder_entry(path: &Path, stat: &Stat) -> FolderEntry {
    FolderEntry::Folder { mode: stat.mode & 0o777, path: bytes(path), mtime: stat.modified }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
