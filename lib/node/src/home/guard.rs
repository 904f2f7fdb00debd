//! Who else could read a key or write a file: the checks that ssh makes before it believes its files.

use super::HomeError;
use mb_spool::durable::{DirRef, Kind, Stat, real};
use std::fmt;
use std::path::Path;

/// Why a file or folder cannot be believed, or a key is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Danger {
    /// Group or others can read a secret.
    Readable,
    /// Group or others can write.
    Writable,
    /// It belongs to this user, who is neither us nor root.
    Owner(u32),
    /// A symbolic link, or no regular file, where one must be.
    NotAFile,
}

/// How far others may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// They may read, and never write.
    Public,
    /// They may do nothing.
    Secret,
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Danger::Readable => f.write_str("other users can read it"),
            Danger::Writable => f.write_str("other users can write it"),
            Danger::Owner(uid) => write!(f, "it belongs to another user (uid {uid})"),
            Danger::NotAFile => f.write_str("not a regular file"),
        }
    }
}

impl Danger {
    /// What is wrong with something that has this `stat`, for the user `uid`; the worst first.
    pub(super) fn of(stat: &Stat, uid: u32, reach: Reach) -> Option<Danger> {
        match stat.mode {
            _ if stat.owner != uid && stat.owner != 0 => Some(Danger::Owner(stat.owner)),
            mode if mode & 0o022 != 0 => Some(Danger::Writable),
            mode if reach == Reach::Secret && mode & 0o077 != 0 => Some(Danger::Readable),
            _ => None,
        }
    }

    /// The command that makes `path` safe.
    pub(super) fn remedy(&self, path: &Path) -> String {
        let path = quoted(path);
        match self {
            Danger::Readable => format!("chmod go= {path}"),
            Danger::Writable => format!("chmod go-w {path}"),
            Danger::Owner(_) => format!("chown \"$(id -u)\" {path}"),
            Danger::NotAFile => format!("put the file itself in the place of {path}"),
        }
    }
}

/// Refuses a folder that others can write or that belongs to somebody else.
pub(super) fn check_dir(dir: &DirRef, uid: u32) -> Result<(), HomeError> {
    check(&dir.stat_self()?, dir.path(), uid, Reach::Public)
}

/// Refuses something that others reach further than they may.
pub(super) fn check(stat: &Stat, path: &Path, uid: u32, reach: Reach) -> Result<(), HomeError> {
    match Danger::of(stat, uid, reach) {
        Some(danger) => Err(HomeError::Unsafe { path: path.to_owned(), danger }),
        None => Ok(()),
    }
}

/// Opens the folder at `path`, such as a spool, and refuses one that other users can write or that belongs to another.
pub fn check_folder(path: &Path) -> Result<DirRef, HomeError> {
    let dir = real::open_root(path)?;
    check_dir(&dir, rustix::process::geteuid().as_raw())?;
    Ok(dir)
}

/// What stands in the place of a file that could not be opened as one.
pub(super) fn not_a_file(dir: &DirRef, name: &str) -> HomeError {
    HomeError::Unsafe { path: dir.path().join(name), danger: Danger::NotAFile }
}

/// Whether `name` is there and is a regular file; links count as something else.
pub(super) fn is_file(dir: &DirRef, name: &str) -> Result<bool, HomeError> {
    match dir.stat(name.as_ref()) {
        Ok(stat) if stat.kind == Kind::File => Ok(true),
        Ok(_) => Err(not_a_file(dir, name)),
        Err(e) if e.is_missing() => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn danger(owner: u32, mode: u32, reach: Reach) -> Option<Danger> {
        let stat = Stat { kind: Kind::File, len: 0, link_count: 1, mode, owner, inode: (0, 0), modified: (0, 0) };
        Danger::of(&stat, 1000, reach)
    }

    /// Every mode, three owners, both reaches.
    /// Threat: 28.
    #[test]
    fn others_may_never_write_nor_read_a_secret() {
        for mode in 0..=0o777 {
            for owner in [1000, 0] {
                let writable = mode & 0o022 != 0;
                assert_eq!(danger(owner, mode, Reach::Public).is_some(), writable, "{mode:o}");
                assert_eq!(danger(owner, mode, Reach::Secret).is_some(), mode & 0o077 != 0, "{mode:o}");
            }
            for reach in [Reach::Public, Reach::Secret] {
                assert_eq!(danger(1001, mode, reach), Some(Danger::Owner(1001)), "{mode:o}");
            }
        }
    }

    #[test]
    fn a_remedy_can_be_pasted() {
        assert_eq!(Danger::Readable.remedy(Path::new("/a/node.key")), "chmod go= /a/node.key");
        assert_eq!(Danger::Writable.remedy(Path::new("/a b/it's")), r"chmod go-w '/a b/it'\''s'");
    }
}
