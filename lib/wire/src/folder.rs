//! A folder as a payload: a stream of entries, each with its file's content behind it (format.md, section 7).
//!
//! Encoding and decoding only: nothing is opened or created here. The decoder takes the stream in slices of any length
//! and holds one entry's header and one path, however large the folder.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cbor::{self, CborError};
use crate::path::{self, PathError};
use crate::size::NUMBER_MOST;

/// Longest entry header, in bytes of content.
pub const ENTRY_MOST: usize = 16_384;
/// Most components of a path in a folder.
pub const DEPTH_MOST: usize = 128;
/// Longest target of a symbolic link, in bytes.
pub const TARGET_MOST: usize = 4_096;

/// Seconds since 1970, which may be negative, and nanoseconds below 10^9.
pub type FileTime = (i64, u32);

/// Why a stream is not a folder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FolderError {
    /// An entry's header is no such structure.
    #[error("folder entry {0}")]
    Form(#[from] CborError),
    /// An entry's path breaks the rule.
    #[error("folder entry's {0}")]
    Path(#[from] PathError),
    /// An entry's path goes too deep.
    #[error("folder is more than {DEPTH_MOST} levels deep")]
    Depth,
    /// A number outside its range.
    #[error("folder entry's {0} is out of range")]
    Range(&'static str),
    /// A link's target is empty, too long, or has a zero byte.
    #[error("a link's target has 1 to {TARGET_MOST} bytes, none of them zero")]
    Target,
    /// The stream does not begin with the folder itself.
    #[error("the first entry is not the folder itself")]
    NoTop,
    /// A second entry for the folder itself, an entry twice, or one too late.
    #[error("folder entries are not in ascending order")]
    Order,
    /// An entry in a folder that has not come before.
    #[error("a folder entry's own folder did not come before it")]
    Parent,
    /// The stream ends within an entry, or before the first.
    #[error("folder ends in the middle")]
    Short,
}

/// One entry; its path is relative to the folder that the letter names, and empty for that folder itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum FolderEntry {
    /// A regular file; `len` bytes of content follow.
    File {
        /// Bytes of content.
        len: u64,
        /// Permission bits.
        mode: u32,
        /// Where.
        #[serde(with = "cbor::bytes")]
        path: Vec<u8>,
        /// Time of last change.
        mtime: FileTime,
    },
    /// A symbolic link.
    Link {
        /// Where.
        #[serde(with = "cbor::bytes")]
        path: Vec<u8>,
        /// Time of last change.
        mtime: FileTime,
        /// What it points to: any bytes, never followed by a reader.
        #[serde(with = "cbor::bytes")]
        target: Vec<u8>,
    },
    /// A folder.
    Folder {
        /// Permission bits.
        mode: u32,
        /// Where.
        #[serde(with = "cbor::bytes")]
        path: Vec<u8>,
        /// Time of last change.
        mtime: FileTime,
    },
}

impl FolderEntry {
    /// Where it goes.
    pub fn path(&self) -> &[u8] {
        match self {
            FolderEntry::File { path, .. } | FolderEntry::Link { path, .. } | FolderEntry::Folder { path, .. } => path,
        }
    }

    /// Bytes of content that follow it.
    pub fn content_len(&self) -> u64 {
        match self {
            FolderEntry::File { len, .. } => *len,
            FolderEntry::Link { .. } | FolderEntry::Folder { .. } => 0,
        }
    }

    /// The limits of an entry by itself; the place among others is [`FolderOrder`]'s business.
    fn check(&self) -> Result<(), FolderError> {
        let (mode, (_, nanos)) = match self {
            FolderEntry::File { mode, mtime, .. } | FolderEntry::Folder { mode, mtime, .. } => (*mode, *mtime),
            FolderEntry::Link { mtime, .. } => (0, *mtime),
        };
        check_mode(mode).and(check_nanos(nanos)).map_err(FolderError::Range)?;
        if self.content_len() > NUMBER_MOST {
            return Err(FolderError::Range("length"));
        }
        match self {
            FolderEntry::Link { target, .. } if !is_target(target) => Err(FolderError::Target),
            _ => Ok(()),
        }
    }
}

pub(crate) fn check_mode(mode: u32) -> Result<(), &'static str> {
    if mode <= 0o777 { Ok(()) } else { Err("mode") }
}

pub(crate) fn check_nanos(nanos: u32) -> Result<(), &'static str> {
    if nanos < 1_000_000_000 { Ok(()) } else { Err("time of change") }
}

fn is_target(target: &[u8]) -> bool {
    (1..=TARGET_MOST).contains(&target.len()) && !target.contains(&0)
}

/// An entry's header as it stands in the stream. Limits and order are not checked: a writer asks [`FolderOrder`].
pub fn encode_entry(entry: &FolderEntry) -> Vec<u8> {
    cbor::bytes_item(&cbor::encode(entry))
}

/// Which entry may come next. Readers and writers ask it for every entry, in turn.
///
/// Since entries ascend component by component, a folder that has come and holds the next entry is the entry just
/// before or one of its parents: one path is all there is to remember.
#[derive(Debug, Default)]
pub struct FolderOrder {
    before: Option<Before>,
}

#[derive(Debug)]
struct Before {
    path: Vec<u8>,
    is_folder: bool,
}

impl FolderOrder {
    /// Before the first entry.
    pub fn new() -> FolderOrder {
        FolderOrder::default()
    }

    /// Takes the next entry, or says why it may not stand there.
    pub fn accept(&mut self, entry: &FolderEntry) -> Result<(), FolderError> {
        entry.check()?;
        let (path, is_folder) = (entry.path(), matches!(entry, FolderEntry::Folder { .. }));
        match &self.before {
            None if path.is_empty() && is_folder => {}
            None => return Err(FolderError::NoTop),
            Some(before) => before.check_next(path)?,
        }
        self.before = Some(Before { path: path.to_vec(), is_folder });
        Ok(())
    }
}

impl Before {
    fn check_next(&self, path: &[u8]) -> Result<(), FolderError> {
        if path.is_empty() {
            return Err(FolderError::Order);
        }
        path::check(path)?;
        if path::components(path).count() > DEPTH_MOST {
            return Err(FolderError::Depth);
        }
        if !self.path.is_empty() && path::compare(&self.path, path).is_ge() {
            return Err(FolderError::Order);
        }
        if self.has_folder(path::parent(path)) { Ok(()) } else { Err(FolderError::Parent) }
    }

    /// Whether `folder` is this entry, being a folder, or one of its parents.
    fn has_folder(&self, folder: &[u8]) -> bool {
        match self.path.strip_prefix(folder) {
            Some([]) => self.is_folder,
            Some([next, ..]) => folder.is_empty() || *next == b'/',
            None => false,
        }
    }
}

/// What [`FolderDecoder::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum FolderEvent<'a> {
    /// An entry begins; it keeps every rule, and stands in order.
    Entry(FolderEntry),
    /// The next bytes of the content of the file that began last.
    Content(&'a [u8]),
}

/// Reads a folder from a stream that comes in slices.
#[derive(Debug, Default)]
pub struct FolderDecoder {
    order: FolderOrder,
    /// What has come of the next header.
    header: Vec<u8>,
    /// Bytes of content still to come.
    content_left: u64,
}

impl FolderDecoder {
    /// Before the first byte.
    pub fn new() -> FolderDecoder {
        FolderDecoder::default()
    }

    /// Takes bytes from the front of `input` until something is found, or, with `None`, until it is empty and more is
    /// needed. After an error nothing further can be read.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<FolderEvent<'a>>, FolderError> {
        if self.content_left > 0 && !input.is_empty() {
            return Ok(Some(FolderEvent::Content(self.take_content(input))));
        }
        while !input.is_empty() {
            self.take_header(input)?;
            if let Some(entry) = self.entry()? {
                self.content_left = entry.content_len();
                return Ok(Some(FolderEvent::Entry(entry)));
            }
        }
        Ok(None)
    }

    /// The stream ended: was that the end of the folder?
    pub fn finish(self) -> Result<(), FolderError> {
        let whole = self.header.is_empty() && self.content_left == 0 && self.order.before.is_some();
        if whole { Ok(()) } else { Err(FolderError::Short) }
    }

    fn take_content<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let len = usize::try_from(self.content_left).unwrap_or(usize::MAX).min(input.len());
        let (content, rest) = input.split_at(len);
        self.content_left -= len as u64;
        *input = rest;
        content
    }

    /// Moves what is known to be needed: the next byte of a head, or the rest of the content.
    fn take_header(&mut self, input: &mut &[u8]) -> Result<(), FolderError> {
        let missing = match cbor::bytes_head(&self.header, ENTRY_MOST)? {
            Some((head_len, len)) => head_len + len - self.header.len(),
            None => 1,
        };
        let (part, rest) = input.split_at(missing.min(input.len()));
        self.header.extend_from_slice(part);
        *input = rest;
        Ok(())
    }

    /// The entry, if its header is whole.
    fn entry(&mut self) -> Result<Option<FolderEntry>, FolderError> {
        match cbor::bytes_head(&self.header, ENTRY_MOST)? {
            Some((head_len, len)) if head_len + len == self.header.len() => {
                let entry = cbor::decode(&self.header[head_len..])?;
                self.order.accept(&entry)?;
                self.header.clear();
                Ok(Some(entry))
            }
            _ => Ok(None),
        }
    }
}
