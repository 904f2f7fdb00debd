//! `mailbag/part/`: half-made work of runs on a stick.
//!
//! Each run has a folder `part/RUN`, locked by it, in which it makes what it puts on the stick and into which it moves
//! what it takes off. A run that ends settles its folder; that of a run that died, or whose stick was pulled, is settled by
//! whoever next gets its lock. Settled, an unfinished body rests as `part/ROOT`, where the next copy goes on from it.
//!
//! In `part/RUN`: `body-ROOT` and `packet-PKT` are on their way onto the stick. `taken-PKT` was taken in and stands for
//! bodies that may have to go; `aside-ROOT` is such a body that is being looked at. Where locks do not work, only
//! the latter are put back, which harms nobody; what is lost then is room on the stick.

use std::collections::BTreeSet;
use std::io::ErrorKind::ResourceBusy;
use std::str::FromStr;

use mb_spool::durable::{self, DirRef, FileRef, Kind, Lock, LockGuard};
use mb_spool::run::{RUN_NAME_LEN, Run, gone};
use mb_wire::envelope::{Prefix, read_prefix};
use mb_wire::id::{NodeId, PacketId, Root};

use crate::order::{read_bounded, some_names};
use crate::stick::{FILE_MODE, PART, Stick, find_dir, make_dir, none_if_missing, packet_shard};
use crate::sweep;

/// How often the run's folder is made when others take it for a dead one's.
const TRIES: usize = 100;
/// How many dead runs are settled at a time; the others wait for another run.
const MOST_DEAD: usize = 64;
/// How many names of a folder are worked on at a time.
const MOST_NAMES: usize = 4096;
/// How many bodies are looked for at a time.
const MOST_ROOTS: usize = 16 * 1024;

/// The folder of this run on a stick.
pub(crate) struct Part {
    part: DirRef,
    dir: DirRef,
    name: String,
    _lock: Option<LockGuard>,
}

/// The name of an unfinished body.
pub(crate) fn body_name(root: &Root) -> String {
    format!("body-{root}")
}

/// The name of an envelope on its way out.
pub(crate) fn packet_name(packet: &PacketId) -> String {
    format!("packet-{packet}")
}

/// The name of an envelope that was taken in.
pub(crate) fn taken_name(packet: &PacketId) -> String {
    format!("taken-{packet}")
}

/// The name of a body that is being looked at.
pub(crate) fn aside_name(root: &Root) -> String {
    format!("aside-{root}")
}

impl Part {
    /// Makes and locks the folder of `run`. Who settles dead runs may come between, and take it for one: then it is made
    /// again.
    pub fn open(stick: &Stick, run: &Run) -> durable::Result<Part> {
        let part = make_dir(stick.root(), PART)?;
        part.scatter();
        for _ in 1..TRIES {
            match Part::try_open(&part, run) {
                Ok(None) => {}
                Ok(Some(opened)) => return Ok(opened),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        let error =
            || durable::Error { path: part.path().join(run.name()), attempt: "lock", cause: ResourceBusy.into() };
        match Part::try_open(&part, run) {
            // Whoever settles it is still at it.
            Err(other) if other.is_missing() => Err(error()),
            other => other?.ok_or_else(error),
        }
    }

    /// `None`: somebody else has it, or had it.
    fn try_open(part: &DirRef, run: &Run) -> durable::Result<Option<Part>> {
        let dir = make_dir(part, run.name())?;
        let lock = match dir.try_lock()? {
            Lock::Held(guard) => Some(guard),
            Lock::Unsupported => None,
            Lock::Busy => return Ok(None),
        };
        let is_there = none_if_missing(part.stat(run.name().as_ref()))?.is_some();
        Ok(is_there.then(|| Part { part: part.clone(), dir, name: run.name().into(), _lock: lock }))
    }

    /// The folder.
    pub fn dir(&self) -> &DirRef {
        &self.dir
    }

    /// The file for a copy of the body `root`: what an earlier run left of it, or a new one. It is this run's alone.
    pub fn body_file(&self, root: &Root) -> durable::Result<FileRef> {
        let (name, resting) = (body_name(root), root.to_string());
        if is_file(&self.part, &resting)? {
            gone(self.part.rename(resting.as_ref(), &*self.dir, name.as_ref()))?;
        }
        if let Ok(file) = self.dir.open_rw(name.as_ref())
            && file.stat()?.link_count == 1
        {
            return Ok(file);
        }
        // Not a file, not ours to write, or one that has a second name: who knows where.
        gone(self.dir.unlink(name.as_ref()))?;
        self.dir.create(name.as_ref(), FILE_MODE)
    }

    /// Writes the envelope of `packet`.
    pub fn write_packet(&self, packet: &PacketId, envelope: &[u8]) -> durable::Result<FileRef> {
        let name = packet_name(packet);
        let file = match self.dir.create(name.as_ref(), FILE_MODE) {
            Err(error) if error.is_taken() => {
                self.dir.unlink(name.as_ref())?;
                self.dir.create(name.as_ref(), FILE_MODE)?
            }
            other => other?,
        };
        file.write_at(envelope, 0)?;
        Ok(file)
    }

    /// Removes a file of this run.
    pub fn remove(&self, name: &str) -> durable::Result<()> {
        gone(self.dir.unlink(name.as_ref()))
    }

    /// Settles and removes the folder.
    pub fn finish(self, stick: &Stick) -> durable::Result<()> {
        settle(stick, &self.part, &self.dir)?;
        remove_if_empty(&self.part, &self.name)
    }
}

/// How many bytes of the body `root` rest on the stick.
pub(crate) fn resting_len(stick: &Stick, root: &Root) -> durable::Result<u64> {
    let Some(part) = find_dir(stick.root(), PART)? else { return Ok(0) };
    let stat = none_if_missing(part.stat(root.to_string().as_ref()))?;
    Ok(stat.filter(|stat| stat.kind == Kind::File).map_or(0, |stat| stat.len))
}

fn is_file(dir: &DirRef, name: &str) -> durable::Result<bool> {
    Ok(none_if_missing(dir.stat(name.as_ref()))?.is_some_and(|stat| stat.kind == Kind::File))
}

/// Removes what rests of a body that is in its place.
pub(crate) fn forget_resting(stick: &Stick, root: &Root) -> durable::Result<()> {
    match find_dir(stick.root(), PART)? {
        Some(part) if is_file(&part, &root.to_string())? => gone(part.unlink(root.to_string().as_ref())),
        _ => Ok(()),
    }
}

/// Removes bodies that rest unfinished, but for those of `keep`: they only save work, and take room. `false` if there
/// were none.
pub(crate) fn clear_resting(stick: &Stick, keep: &[Root]) -> durable::Result<bool> {
    let Some(part) = find_dir(stick.root(), PART)? else { return Ok(false) };
    let roots = some_names(&part, Kind::File, MOST_NAMES, |name| Root::from_str(name).ok())?;
    let mut goes = roots.iter().filter(|root| !keep.contains(root)).peekable();
    let found = goes.peek().is_some();
    goes.try_for_each(|root| gone(part.unlink(root.to_string().as_ref())))?;
    Ok(found)
}

/// Settles what dead runs left.
pub(crate) fn recover(stick: &Stick) -> durable::Result<()> {
    let Some(part) = find_dir(stick.root(), PART)? else { return Ok(()) };
    let is_run = |name: &str| (name.len() == RUN_NAME_LEN).then(|| name.to_owned());
    for name in some_names(&part, Kind::Dir, MOST_DEAD, is_run)? {
        // One that cannot be opened is another user's, or gone.
        let Ok(dir) = part.open_dir(name.as_ref()) else { continue };
        match dir.try_lock()? {
            Lock::Held(_lock) => {
                settle(stick, &part, &dir)?;
                remove_if_empty(&part, &name)?;
            }
            // It may live; then it finds its body put back and leaves it there.
            Lock::Unsupported => put_all_back(stick, &dir)?,
            Lock::Busy => {}
        }
    }
    Ok(())
}

fn put_all_back(stick: &Stick, dir: &DirRef) -> durable::Result<()> {
    named(dir, "aside-")?.iter().try_for_each(|root| sweep::put_back(stick, dir, root))
}

fn remove_if_empty(part: &DirRef, name: &str) -> durable::Result<()> {
    match gone(part.remove_dir(name.as_ref())) {
        // Something that is not ours lies in it.
        Err(error) if error.is_taken() => Ok(()),
        other => other,
    }
}

fn settle(stick: &Stick, part: &DirRef, dir: &DirRef) -> durable::Result<()> {
    put_all_back(stick, dir)?;
    for root in named::<Root>(dir, "body-")? {
        rest(stick, part, dir, &root)?;
    }
    for packet in named::<PacketId>(dir, "packet-")? {
        gone(dir.unlink(packet_name(&packet).as_ref()))?;
    }
    loop {
        let taken = named::<PacketId>(dir, "taken-")?;
        if taken.is_empty() {
            return Ok(());
        }
        settle_taken(stick, dir, &taken)?;
    }
}

/// An unfinished body becomes one that rests. One that is empty, or seems to be in its place as well, goes.
fn rest(stick: &Stick, part: &DirRef, dir: &DirRef, root: &Root) -> durable::Result<()> {
    let name = body_name(root);
    match none_if_missing(dir.stat(name.as_ref()))? {
        Some(stat) if stat.len > 0 && !stick.has_body(root, stat.len)? => {
            dir.rename(name.as_ref(), &**part, root.to_string().as_ref())
        }
        _ => gone(dir.unlink(name.as_ref())),
    }
}

/// Removes the bodies of packets that were taken in, where no envelope on the stick lists them, and then what stands for
/// the packets. Before a body goes it is durable that the envelopes are gone: one that came back would miss it.
fn settle_taken(stick: &Stick, dir: &DirRef, taken: &[PacketId]) -> durable::Result<()> {
    let (mut roots, mut places, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for packet in taken {
        if let Some(prefix) = prefix_of(dir, packet)? {
            places.insert((prefix.to, packet_shard(packet)));
            roots.extend(prefix.bodies.iter().map(|body| body.root));
        }
        count += 1;
        if roots.len() >= MOST_ROOTS {
            break;
        }
    }
    sync_envelopes(stick, dir, &places)?;
    sweep::sweep(stick, dir, roots)?;
    taken[..count].iter().try_for_each(|packet| gone(dir.unlink(taken_name(packet).as_ref())))
}

fn prefix_of(dir: &DirRef, packet: &PacketId) -> durable::Result<Option<Prefix>> {
    let Some(file) = none_if_missing(dir.open(taken_name(packet).as_ref()))? else { return Ok(None) };
    Ok(read_bounded(&file)?.and_then(|envelope| read_prefix(&envelope).ok()))
}

fn sync_envelopes(stick: &Stick, dir: &DirRef, places: &BTreeSet<(NodeId, String)>) -> durable::Result<()> {
    match stick.root().sync_fs() {
        Err(error) if error.is_unsupported() => {}
        other => return other,
    }
    dir.sync()?;
    for (node, shard) in places {
        if let Some(node) = stick.node(node)?
            && let Some(shard) = find_dir(&node, shard)?
        {
            shard.sync()?;
        }
    }
    Ok(())
}

/// The ids of regular files whose names begin with `start`.
fn named<T: FromStr>(dir: &DirRef, start: &str) -> durable::Result<Vec<T>> {
    some_names(dir, Kind::File, MOST_NAMES, |name| name.strip_prefix(start)?.parse().ok())
}
