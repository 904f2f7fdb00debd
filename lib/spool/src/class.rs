//! What kind of failure something was: what a caller does about it, and what a program says with its exit status.
//!
//! Libraries return errors that know their class and, where there is one, a remedy; `bin/cli` alone turns classes into
//! numbers and errors into lines. No exit codes here.

use crate::durable;
use std::io;

/// The classes of failure, in the order of their exit codes. See `cli.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The honest answer is no: damage was found, nothing matches.
    No,
    /// Nothing moved, and the caller had asked for work.
    Nothing,
    /// Wrong usage: an option or operand that cannot be.
    Usage,
    /// Bad input: a damaged or forged packet, an unreadable card.
    Data,
    /// An input file or a stick's folder is missing or unreadable.
    NoInput,
    /// An unknown node, area or user.
    UnknownName,
    /// A node cannot be reached.
    Unreachable,
    /// A mistake of ours.
    Bug,
    /// Output cannot be created.
    CannotCreate,
    /// An input or output error.
    Io,
    /// Trying again later may help: busy, disk full, quota reached, timed out.
    Later,
    /// The other side spoke nonsense, or a version that we do not know.
    Protocol,
    /// Refused by policy, trust or file mode.
    Refused,
    /// A configuration error.
    Config,
}

impl Class {
    /// Whether the next run may do better without anybody's help.
    pub fn is_temporary(self) -> bool {
        matches!(self, Class::Unreachable | Class::Later)
    }

    /// The class of what the system said about an attempt to write (`writes`) or to read.
    pub fn of_io(cause: &io::Error, writes: bool) -> Class {
        use io::ErrorKind as K;
        // EMFILE and ENFILE have no kind of their own; ENOMEM has.
        if matches!(cause.raw_os_error(), Some(23 | 24)) {
            return Class::Later;
        }
        match cause.kind() {
            K::StorageFull | K::QuotaExceeded | K::WouldBlock | K::ResourceBusy | K::OutOfMemory => Class::Later,
            K::ReadOnlyFilesystem | K::FileTooLarge | K::AlreadyExists | K::DirectoryNotEmpty => Class::CannotCreate,
            K::NotFound | K::PermissionDenied | K::NotADirectory | K::IsADirectory if writes => Class::CannotCreate,
            K::NotFound | K::PermissionDenied | K::NotADirectory | K::IsADirectory => Class::NoInput,
            _ => Class::Io,
        }
    }
}

/// An error that knows what a program does about it. It prints as `thing: attempt: cause`, on one line.
pub trait Failure: std::error::Error {
    /// What kind of failure it is.
    fn class(&self) -> Class;

    /// What the user can do about it, where that is known; on one line.
    fn remedy(&self) -> Option<String> {
        None
    }
}

impl<'a, F: Failure + 'a> From<F> for Box<dyn Failure + 'a> {
    fn from(failure: F) -> Self {
        Box::new(failure)
    }
}

impl durable::Error {
    /// What kind of failure it is. A failed sync is always *later*: the data is lost, and is made anew. A link or a
    /// folder where a file should be is *refused*.
    pub fn class(&self) -> Class {
        match self.attempt {
            _ if self.is_wrong_kind() => Class::Refused,
            "sync" | "sync file system" => Class::Later,
            "open" | "read" | "read symbolic link" | "list" | "stat" | "lock" | "ask free space" => {
                Class::of_io(&self.cause, false)
            }
            _ => Class::of_io(&self.cause, true),
        }
    }
}

impl Failure for durable::Error {
    fn class(&self) -> Class {
        self.class()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(attempt: &'static str, errno: i32) -> Class {
        durable::Error { path: "x".into(), attempt, cause: io::Error::from_raw_os_error(errno) }.class()
    }

    #[test]
    fn what_the_system_says_has_one_class_each() {
        let table = [
            ("write", 28, Class::Later),         // ENOSPC
            ("write", 122, Class::Later),        // EDQUOT
            ("open", 24, Class::Later),          // EMFILE
            ("open", 23, Class::Later),          // ENFILE
            ("open", 12, Class::Later),          // ENOMEM
            ("write", 5, Class::Io),             // EIO
            ("read", 5, Class::Io),              // EIO
            ("sync", 5, Class::Later),           // EIO: the data is lost, and is made anew
            ("create", 30, Class::CannotCreate), // EROFS
            ("create", 13, Class::CannotCreate), // EACCES
            ("create", 1, Class::CannotCreate),  // EPERM
            ("create", 17, Class::CannotCreate), // EEXIST
            ("rename", 2, Class::CannotCreate),  // ENOENT
            ("write", 27, Class::CannotCreate),  // EFBIG
            ("open", 13, Class::NoInput),        // EACCES
            ("open", 2, Class::NoInput),         // ENOENT
            ("list", 20, Class::NoInput),        // ENOTDIR
        ];
        for (attempt, errno, expected) in table {
            assert_eq!(class(attempt, errno), expected, "{attempt} {errno}");
        }
    }
}
