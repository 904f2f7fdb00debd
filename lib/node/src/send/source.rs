//! Opening what is to be sent: a file, a folder, a stream; always as a stream of bytes with a name.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mb_wire::hash::{Digest, Hasher, Label};
use mb_wire::letter::{Form, INLINE_MOST};

use super::folder::FolderReader;
use super::opened::{Described, Opened};
use super::{Options, SendError};

/// One FILE operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file, folder, or anything that can be read, by its path. A symbolic link is followed.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// These bytes, of this name.
    Bytes(Vec<u8>, Vec<u8>),
    /// What is open already.
    Opened(Opened),
}

impl Input {
    /// An operand as it was typed: `-` is standard input.
    pub fn parse(operand: &OsStr) -> Input {
        if operand == "-" { Input::Stdin } else { Input::Path(operand.into()) }
    }

    /// For messages.
    pub fn path(&self) -> PathBuf {
        match self {
            Input::Path(path) => path.clone(),
            Input::Stdin => "standard input".into(),
            Input::Bytes(_, name) => PathBuf::from(OsStr::from_bytes(name)),
            Input::Opened(opened) => opened.path.clone(),
        }
    }

    /// Whether it is a plain file that, by its size now, fits into an envelope. Reading it twice is harmless.
    pub(super) fn is_surely_small(&self) -> bool {
        match self {
            Input::Path(path) => {
                path.metadata().is_ok_and(|found| found.is_file() && found.len() <= INLINE_MOST as u64)
            }
            Input::Stdin | Input::Opened(_) => false,
            Input::Bytes(bytes, _) => bytes.len() <= INLINE_MOST,
        }
    }
}

/// An input that is open.
pub struct Source {
    /// For messages.
    pub path: PathBuf,
    /// Its name at the other end, if nobody says otherwise.
    pub name: Vec<u8>,
    /// What the payload is.
    pub form: Form,
    /// Permission bits.
    pub mode: u32,
    /// Time of last change.
    pub mtime: (i64, u32),
    /// Its size, where that is known before it was read.
    pub len: Option<u64>,
    reader: Box<dyn Read + Send>,
    digest: Option<Hasher>,
}

/// Opens an input. With `digests`, everything that is read goes into a digest.
pub fn open(input: &Input, options: &Options, digests: bool) -> Result<Source, SendError> {
    let mut source = match input {
        Input::Stdin => stream(input.path(), Box::new(io::stdin())),
        Input::Path(path) => open_path(path)?,
        Input::Opened(opened) => {
            let Described { form, stat, len, reader } = opened.describe()?;
            let (name, mode, mtime) = (opened.name.clone(), stat.mode & 0o777, stat.modified);
            Source { path: input.path(), name, form, mode, mtime, len, reader, digest: None }
        }
        Input::Bytes(bytes, name) => {
            let len = Some(bytes.len() as u64);
            Source { name: name.clone(), len, ..stream(input.path(), Box::new(io::Cursor::new(bytes.clone()))) }
        }
    };
    if let Some(name) = &options.name {
        source.name = name.clone();
    }
    if digests {
        source.start_digest();
    }
    Ok(source)
}

fn stream(path: PathBuf, reader: Box<dyn Read + Send>) -> Source {
    let (form, mode, mtime) = (Form::Plain, 0o644, (0, 0));
    Source { path, name: Vec::new(), form, mode, mtime, len: None, reader, digest: None }
}

fn open_path(path: &Path) -> Result<Source, SendError> {
    let failed = |attempt, cause| SendError::Input { path: path.into(), attempt, cause };
    let found = path.metadata().map_err(|cause| failed("open", cause))?;
    let name = base_name(path).map_err(|cause| failed("name", cause))?;
    if found.is_dir() {
        let reader = Box::new(FolderReader::new(path));
        return Ok(described(path, name, Form::Folder, &found, None, reader));
    }
    if found.file_type().is_socket() || found.file_type().is_block_device() {
        return Err(SendError::Unfit { path: path.into(), what: "a socket or device cannot be sent" });
    }
    let file = File::open(path).map_err(|cause| failed("open", cause))?;
    let found = file.metadata().map_err(|cause| failed("stat", cause))?;
    let len = found.is_file().then_some(found.len());
    Ok(described(path, name, Form::Plain, &found, len, Box::new(file)))
}

fn described(
    path: &Path,
    name: OsString,
    form: Form,
    found: &Metadata,
    len: Option<u64>,
    reader: Box<dyn Read + Send>,
) -> Source {
    let nanos = u32::try_from(found.mtime_nsec()).unwrap_or(0);
    Source {
        path: path.into(),
        name: name.as_bytes().to_vec(),
        form,
        mode: found.mode() & 0o777,
        mtime: (found.mtime(), nanos),
        len,
        reader,
        digest: None,
    }
}

/// The last component; of `.` and the like, the real name of the folder.
fn base_name(path: &Path) -> io::Result<OsString> {
    match path.file_name() {
        Some(name) => Ok(name.to_owned()),
        None => Ok(path.canonicalize()?.file_name().unwrap_or_default().to_owned()),
    }
}

impl Source {
    fn start_digest(&mut self) {
        let mut hasher = Hasher::new(Label::Input);
        hasher.update(&(self.name.len() as u64).to_be_bytes());
        hasher.update(&self.name);
        hasher.update(&[u8::from(self.form == Form::Folder)]);
        self.digest = Some(hasher);
    }

    /// Reads as much as fits into `into`, or up to the end.
    pub fn fill(&mut self, into: &mut [u8]) -> Result<usize, SendError> {
        let mut len = 0;
        while len < into.len() {
            match self.reader.read(&mut into[len..]) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.failed(cause)),
            }
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&into[..len]);
        }
        Ok(len)
    }

    fn failed(&self, cause: io::Error) -> SendError {
        match cause.downcast::<SendError>() {
            Ok(inner) => inner,
            Err(cause) => SendError::Input { path: self.path.clone(), attempt: "read", cause },
        }
    }

    /// The whole payload, if it fits into an envelope. `None`: it does not, and what was read is lost.
    pub fn read_small(&mut self) -> Result<Option<Vec<u8>>, SendError> {
        let mut payload = vec![0; INLINE_MOST + 1];
        let len = self.fill(&mut payload)?;
        payload.truncate(len);
        Ok((len <= INLINE_MOST).then_some(payload))
    }

    /// Reads to the end and keeps nothing but the digest.
    pub fn read_through(&mut self, stop: &AtomicBool) -> Result<(), SendError> {
        let mut buffer = vec![0; 256 * 1024];
        while self.fill(&mut buffer)? > 0 {
            if stop.load(Ordering::Relaxed) {
                return Err(SendError::Stopped);
            }
        }
        Ok(())
    }

    /// The digest of name and payload, once all was read.
    pub fn digest(&mut self) -> Digest {
        self.digest.take().unwrap_or_else(|| Hasher::new(Label::Input)).finish()
    }
}
