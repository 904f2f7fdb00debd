//! Letters of which whole files were delivered though bodies are missing. `self/partial/PKT` says where, for people, while the packet
//! waits; that it was done is in `self/seen/`, as of any delivery, under an id of its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use mb_wire::hash::{Label, hash};
use mb_wire::id::{LetterId, PacketId};

use crate::barrier::Barrier;
use crate::bodies::is_in_queue;
use crate::deliver::name_with;
use crate::durable::{self, DirRef, Kind};
use crate::layout::{Queue, Spool};
use crate::names::Name;
use crate::record;
use crate::run::{Run, gone};

/// The name, in `self/`, of the folder of records.
pub const PARTIAL: &str = "partial";
/// A path longer than this is damaged.
const MOST_PATH_LEN: usize = 16 * 1024;
/// Permission bits of a folder from which something is taken.
const EMPTYING_MODE: u32 = 0o700;

/// By what the delivery of a letter's whole files is remembered.
pub fn id(letter: &LetterId) -> LetterId {
    LetterId::from_bytes(hash(Label::Seen, &[letter.as_bytes(), b"partial"]))
}

/// What the folder of a letter's whole files is called, if the letter's own is to be called `wanted`: like nothing else.
pub fn name(wanted: &OsStr, letter: &LetterId) -> OsString {
    name_with(wanted, &format!(".partial-{}", &letter.to_string()[..8]), b"")
}

/// Writes down where the whole files of a letter lie whose packet waits. Durable when `barrier` is; lost, nobody is told.
pub fn note(spool: &Spool, packet: &PacketId, path: &Path, run: &Run, barrier: &mut Barrier) -> durable::Result<()> {
    let dir = spool.make(&["self", PARTIAL])?;
    record::put(&dir, &packet.to_string(), path.as_os_str().as_bytes(), run, Some(barrier))
}

/// Where the whole files of a letter lie whose packet waits, if they were delivered.
pub fn find(spool: &Spool, packet: &PacketId) -> durable::Result<Option<PathBuf>> {
    let Some(dir) = spool.find(&["self", PARTIAL])? else { return Ok(None) };
    let path = record::read(&dir, &packet.to_string(), MOST_PATH_LEN)?;
    Ok(path.map(|path| OsString::from_vec(path).into()))
}

/// Forgets a packet that waits no more.
pub fn forget(spool: &Spool, packet: &PacketId) -> durable::Result<()> {
    match spool.find(&["self", PARTIAL])? {
        Some(dir) => gone(dir.unlink(packet.to_string().as_ref())),
        None => Ok(()),
    }
}

/// Forgets packets that wait no more.
pub fn sweep(spool: &Spool) -> durable::Result<()> {
    let Some(dir) = spool.find(&["self", PARTIAL])? else { return Ok(()) };
    let names = dir.list()?.collect::<durable::Result<Vec<_>>>()?;
    for entry in names.iter().filter(|entry| entry.kind == Kind::File) {
        if let Name::Envelope(packet) = Name::parse(&entry.name)
            && !waits(spool, &packet)?
        {
            gone(dir.unlink(&entry.name))?;
        }
    }
    Ok(())
}

fn waits(spool: &Spool, packet: &PacketId) -> durable::Result<bool> {
    for node in spool.nodes()? {
        if is_in_queue(spool, &node, Queue::Wait, packet)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All of the letter has come, and lies as `whole` in `target`: from the folder `part` beside it goes what lies in `whole` too, and is as
/// it was delivered. What the user changed or added stays, with the folders that it lies in. A crash leaves both.
pub fn heal(target: &DirRef, part: &OsStr, whole: &OsStr) -> durable::Result<()> {
    match (target.open_dir(part), target.open_dir(whole)) {
        (Err(error), _) if error.is_missing() => Ok(()),
        (part_dir, whole_dir) => {
            remove_unchanged(&part_dir?, &whole_dir?)?;
            remove_if_empty(target, part)
        }
    }
}

fn remove_unchanged(part: &DirRef, whole: &DirRef) -> durable::Result<()> {
    // It may have come read-only.
    let mode = part.stat_self()?.mode;
    part.set_mode(mode | EMPTYING_MODE)?;
    for entry in part.list()?.collect::<durable::Result<Vec<_>>>()? {
        if entry.kind == Kind::Dir {
            match whole.open_dir(&entry.name) {
                Ok(inner) => remove_unchanged(&part.open_dir(&entry.name)?, &inner)?,
                Err(error) if error.is_missing() || error.is_wrong_kind() => continue,
                Err(error) => return Err(error),
            }
            remove_if_empty(part, &entry.name)?;
        } else if is_same(part, whole, &entry.name)? {
            gone(part.unlink(&entry.name))?;
        }
    }
    part.set_mode(mode)
}

/// Whether kind, length and time of a file or link are the same: what a user has written to has another time.
fn is_same(part: &DirRef, whole: &DirRef, name: &OsStr) -> durable::Result<bool> {
    let (one, other) = match (part.stat(name), whole.stat(name)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(error), _) | (_, Err(error)) if error.is_missing() => return Ok(false),
        (one, other) => (one?, other?),
    };
    Ok((one.kind, one.len, one.modified) == (other.kind, other.len, other.modified))
}

fn remove_if_empty(parent: &DirRef, name: &OsStr) -> durable::Result<()> {
    if parent.open_dir(name)?.list()?.next().is_some() { Ok(()) } else { gone(parent.remove_dir(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::memory::{Options, World};

    fn write(dir: &DirRef, name: &str, content: &[u8], time: i64) {
        dir.create(name.as_ref(), 0o644).unwrap().write_at(content, 0).unwrap();
        dir.set_modified(name.as_ref(), (time, 0)).unwrap();
    }

    fn folder(dir: &DirRef, name: &str) -> DirRef {
        dir.make_dir(name.as_ref(), 0o500).unwrap();
        dir.open_dir(name.as_ref()).unwrap()
    }

    fn names(dir: &DirRef) -> Vec<OsString> {
        let mut names: Vec<_> = dir.list().unwrap().map(|entry| entry.unwrap().name).collect();
        names.sort();
        names
    }

    /// A folder with a file, a link, and a folder that has one too.
    fn fill(target: &DirRef, name: &str) -> (DirRef, DirRef) {
        let dir = folder(target, name);
        write(&dir, "file", b"content", 7);
        dir.symlink("elsewhere".as_ref(), "link".as_ref()).unwrap();
        dir.set_modified("link".as_ref(), (8, 0)).unwrap();
        let inner = folder(&dir, "inner");
        write(&inner, "file", b"inside", 9);
        (dir, inner)
    }

    #[test]
    fn what_is_as_it_was_delivered_goes_and_what_the_user_touched_stays() {
        let target = World::new(1).file_system(Options::default());
        fill(&target, "whole");
        fill(&target, "part");
        heal(&target, "part".as_ref(), "whole".as_ref()).unwrap();
        assert_eq!(names(&target), ["whole"]);
        heal(&target, "part".as_ref(), "whole".as_ref()).unwrap();

        let touches: [fn(&DirRef, &DirRef); 5] = [
            |part, _| part.set_modified("file".as_ref(), (10, 0)).unwrap(),
            |part, _| write(part, "more", b"", 7),
            |_, inner| write(inner, "more", b"", 7),
            |part, _| drop(folder(part, "more")),
            |_, inner| inner.set_modified("file".as_ref(), (9, 1)).unwrap(),
        ];
        for (number, touch) in touches.iter().enumerate() {
            let name = number.to_string();
            let (part, inner) = fill(&target, &name);
            touch(&part, &inner);
            heal(&target, name.as_ref(), "whole".as_ref()).unwrap();
            let left = [names(&part), names(&target.open_dir(name.as_ref()).unwrap())];
            let is_inner = part.open_dir("inner".as_ref()).is_ok();
            assert_eq!((left[0].len(), is_inner, left[1].len()), (1, matches!(number, 2 | 4), 1), "{number} {left:?}");
        }
    }

    #[test]
    fn a_name_of_its_own_is_never_too_long() {
        let letter = LetterId::from_bytes([7; 32]);
        let long = "x".repeat(255);
        let name = name(long.as_ref(), &letter).into_string().unwrap();
        assert_eq!(name.len(), 255);
        assert!(name.contains("x.partial-") && name.ends_with(&letter.to_string()[..8]), "{name}");
    }
}
