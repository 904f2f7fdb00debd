//! Unpack: a folder payload becomes a folder, below one staged name and nowhere else.
//!
//! Every entry is made in the open folder of its parent, never over something and never through a link, so no order of
//! entries leads outside. Folders get their mode and time when everything in them is there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use mb_spool::barrier::Barrier;
use mb_spool::durable::{DirRef, FileRef};
use mb_wire::folder::{FolderDecoder, FolderEntry, FolderError, FolderEvent};

use super::decide::Refusal;
use super::payload::PayloadError;

/// Permission bits of a folder while it is filled.
const FILLING_MODE: u32 = 0o700;

/// What permission bits become of those that a letter names. Never more than 0o777, and the owner may always read.
#[derive(Debug, Clone, Copy)]
pub struct Modes {
    fixed: Option<u32>,
}

impl Modes {
    /// As the letter says.
    pub const KEEP: Modes = Modes { fixed: None };

    /// These for every file; for folders also the right to enter, wherever there is one to read.
    pub fn fixed(bits: u32) -> Modes {
        Modes { fixed: Some(bits) }
    }

    /// For a file.
    pub fn file(self, mode: u32) -> u32 {
        self.fixed.unwrap_or(mode) & 0o777 | 0o400
    }

    /// For a folder.
    pub fn folder(self, mode: u32) -> u32 {
        let bits = self.fixed.map_or(mode, |bits| bits | bits >> 2 & 0o111);
        bits & 0o777 | 0o500
    }
}

/// A folder that is being unpacked.
pub struct Unpacker<'a> {
    target: &'a DirRef,
    name: &'a OsStr,
    modes: Modes,
    decoder: Option<FolderDecoder>,
    /// The open folders from the top to the one of the last entry.
    open: Vec<OpenFolder>,
    file: Option<OpenFile>,
}

struct OpenFolder {
    name: OsString,
    dir: DirRef,
    mode: u32,
    mtime: (i64, u32),
}

struct OpenFile {
    name: OsString,
    file: FileRef,
    offset: u64,
    len: u64,
    mode: u32,
    mtime: (i64, u32),
}

impl<'a> Unpacker<'a> {
    /// A folder that will be called `name` in `target`.
    pub fn new(target: &'a DirRef, name: &'a OsStr, modes: Modes) -> Unpacker<'a> {
        Unpacker { target, name, modes, decoder: Some(FolderDecoder::new()), open: Vec::new(), file: None }
    }

    /// Takes the next bytes of the payload.
    pub fn take(&mut self, bytes: &mut &[u8], barrier: &mut Barrier) -> Result<(), PayloadError> {
        let Some(mut decoder) = self.decoder.take() else { return Ok(()) };
        while let Some(event) = decoder.next(bytes).map_err(refuse)? {
            match event {
                FolderEvent::Entry(entry) => {
                    self.end_file(barrier)?;
                    self.begin(entry, barrier)?;
                }
                FolderEvent::Content(content) => self.write(content)?,
            }
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    /// The payload has ended.
    pub fn finish(mut self, barrier: &mut Barrier) -> Result<(), PayloadError> {
        // First of all: a file that was cut short is not made as long as it claims to be.
        if let Some(decoder) = self.decoder.take() {
            decoder.finish().map_err(refuse)?;
        }
        self.end_file(barrier)?;
        self.close_down_to(0, barrier)
    }

    /// The payload stops here, and may go on some day: what is whole of it stays, a file that was cut short goes.
    pub fn stop(mut self, barrier: &mut Barrier) -> Result<(), PayloadError> {
        if let Some(open) = self.file.take_if(|open| open.offset < open.len)
            && let Some(folder) = self.open.last()
        {
            folder.dir.unlink(&open.name)?;
        }
        self.end_file(barrier)?;
        self.close_down_to(0, barrier)
    }

    fn begin(&mut self, entry: FolderEntry, barrier: &mut Barrier) -> Result<(), PayloadError> {
        let components: Vec<&OsStr> = match entry.path() {
            [] => Vec::new(),
            path => path.split(|byte| *byte == b'/').map(OsStr::from_bytes).collect(),
        };
        let Some((last, parents)) = components.split_last() else {
            let FolderEntry::Folder { mode, mtime, .. } = entry else { return Ok(()) };
            let (target, name) = (self.target.clone(), self.name.to_owned());
            return self.open_folder(&target, name, mode, mtime);
        };
        self.close_down_to(parents.len() + 1, barrier)?;
        let parent = self.open.last().map(|folder| folder.dir.clone()).ok_or_else(|| refuse(FolderError::Parent))?;
        let name = last.to_os_string();
        match entry {
            FolderEntry::Folder { mode, mtime, .. } => self.open_folder(&parent, name, mode, mtime),
            FolderEntry::Link { mtime, target, .. } => {
                parent.symlink(&OsString::from_vec(target), &name)?;
                Ok(parent.set_modified(&name, mtime)?)
            }
            FolderEntry::File { len, mode, mtime, .. } => {
                let file = parent.create(&name, 0o600)?;
                self.file = Some(OpenFile { name, file, offset: 0, len, mode, mtime });
                Ok(())
            }
        }
    }

    fn open_folder(
        &mut self,
        parent: &DirRef,
        name: OsString,
        mode: u32,
        mtime: (i64, u32),
    ) -> Result<(), PayloadError> {
        parent.make_dir(&name, FILLING_MODE)?;
        let dir = parent.open_dir(&name)?;
        self.open.push(OpenFolder { name, dir, mode, mtime });
        Ok(())
    }

    fn write(&mut self, content: &[u8]) -> Result<(), PayloadError> {
        let Some(open) = &mut self.file else { return Ok(()) };
        if content.len() < 4096 || content.iter().any(|byte| *byte != 0) {
            open.file.write_at(content, open.offset)?;
        }
        open.offset += content.len() as u64;
        Ok(())
    }

    fn end_file(&mut self, barrier: &mut Barrier) -> Result<(), PayloadError> {
        let Some(open) = self.file.take() else { return Ok(()) };
        open.file.set_len(open.len)?;
        open.file.set_mode(self.modes.file(open.mode))?;
        open.file.set_modified(open.mtime)?;
        if let Some(folder) = self.open.last() {
            barrier.file(open.file, &folder.dir, &open.name);
        }
        Ok(())
    }

    /// Closes open folders until `count` are left: everything in them is there.
    fn close_down_to(&mut self, count: usize, barrier: &mut Barrier) -> Result<(), PayloadError> {
        while self.open.len() > count {
            let Some(folder) = self.open.pop() else { break };
            folder.dir.set_mode(self.modes.folder(folder.mode))?;
            let parent = self.open.last().map_or(self.target, |parent| &parent.dir);
            parent.set_modified(&folder.name, folder.mtime)?;
            barrier.dir(&folder.dir);
        }
        Ok(())
    }
}

fn refuse(error: FolderError) -> PayloadError {
    Refusal::Folder(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mb_spool::durable::memory::{Options, World};
    use mb_wire::folder::encode_entry;

    /// Symptom: a folder payload that ends within a file of a claimed 2^50 bytes failed with the disk's "file too
    /// large", so the packet stayed in its queue and was tried for ever. Cause: the file got its claimed length before
    /// the end of the stream was judged. Remedy: judge first.
    #[test]
    fn a_payload_that_is_cut_short_is_refused_before_its_last_file_gets_its_length() {
        let target = World::new(1).file_system(Options { capacity: Some(1 << 20), ..Options::default() });
        let top = FolderEntry::Folder { mode: 0o755, path: vec![], mtime: (0, 0) };
        let file = FolderEntry::File { len: 1 << 50, mode: 0o644, path: b"a".to_vec(), mtime: (0, 0) };
        let payload = [encode_entry(&top), encode_entry(&file), b"abc".to_vec()].concat();
        let (mut barrier, mut unpacker) = (Barrier::new(), Unpacker::new(&target, "staged".as_ref(), Modes::KEEP));
        unpacker.take(&mut payload.as_slice(), &mut barrier).unwrap();
        let refused = unpacker.finish(&mut barrier).unwrap_err();
        assert!(matches!(refused, PayloadError::Refused(_)), "{refused}");
    }
}
