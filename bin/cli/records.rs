//! Results on standard output: one record a line, or ended with NUL.
//!
//! What becomes of the output never changes what was done: after the first failure the rest is dropped, and the program
//! says so at its end. A reader that has gone away (`mb-stat | head`) is no failure at all.

use crate::escape::{shown_json, shown_name};
use serde::Serialize;
use std::ffi::OsStr;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Standard output, buffered.
pub struct Records {
    out: BufWriter<StdoutLock<'static>>,
    end: u8,
    failed: Option<io::Error>,
}

impl Records {
    /// Records that end with a line feed.
    pub(crate) fn new() -> Records {
        Records { out: BufWriter::with_capacity(64 << 10, io::stdout().lock()), end: b'\n', failed: None }
    }

    /// From now on records end with NUL (`-0`) if `nul` says so.
    pub fn end_with_nul(&mut self, nul: bool) {
        self.end = if nul { 0 } else { b'\n' };
    }

    /// Writes one record.
    pub fn line(&mut self, record: impl AsRef<[u8]>) {
        let end = [self.end];
        self.write(record.as_ref());
        self.write(&end);
    }

    /// Writes a path: as it is with `-0`, else with what is not plainly visible escaped.
    pub fn path(&mut self, path: &Path) {
        self.name(path.as_os_str());
    }

    /// Writes a name in the same way.
    pub fn name(&mut self, name: &OsStr) {
        match self.end {
            0 => self.line(name.as_bytes()),
            _ => self.line(shown_name(name)),
        }
    }

    /// Writes content as it is: a file's, not a record.
    pub fn content(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }

    /// Writes one JSON object, what is not plainly visible as escapes.
    pub fn json(&mut self, object: &impl Serialize) {
        match serde_json::to_string(object) {
            Ok(text) => self.line(&*shown_json(&text)),
            Err(e) => self.failed = self.failed.take().or(Some(e.into())),
        }
    }

    /// Hands over what was buffered: for a program that goes on after it reported something.
    pub fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.out.flush().err();
        }
    }

    /// Hands over everything; the error that something was lost for.
    pub(crate) fn finish(&mut self) -> Option<io::Error> {
        self.flush();
        self.failed.take().filter(|e| e.kind() != io::ErrorKind::BrokenPipe)
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(bytes).err();
        }
    }
}
