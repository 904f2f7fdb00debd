//! Bodies: links of one's own, the index, the sweep.
//!
//! Everything that relies on a body holds a link of its own, so a body lives as long as somebody needs it and no
//! count is kept. The index `body/RO/ROOT` only finds a body again, to share it; it may be deleted whole. A sweep looks
//! at link counts, never at ages: a name is renamed aside, looked at again, and put back or removed.

use std::ffi::OsStr;

use mb_wire::id::{NodeId, PacketId, Root};

use crate::durable::{self, Dir, DirRef, Kind};
use crate::layout::{FILE_MODE, Queue, Spool};
use crate::names::{Name, body_name};
use crate::run::{Run, gone};

/// Bytes copied at a time where a link cannot be made.
const COPY_LEN: usize = 256 * 1024;

/// Gives the file `name` in `from` the name `new` in `to` as well. Taken counts as done: a body's name is its
/// content. Where the file system has no links, or no more for this file, a second copy is made.
///
/// The new name is visible, not durable; of a copy, the content is.
pub fn link_or_copy(from: &DirRef, name: &str, to: &DirRef, new: &str, run: &Run) -> durable::Result<()> {
    match from.link(name.as_ref(), &**to, new.as_ref()) {
        Err(error) if error.is_taken() => Ok(()),
        Err(error) if error.is_unsupported() || error.is_other_fs() => copy(from, name, to, new, run),
        other => other,
    }
}

fn copy(from: &DirRef, name: &str, to: &DirRef, new: &str, run: &Run) -> durable::Result<()> {
    if to.stat(new.as_ref()).is_ok() {
        return Ok(());
    }
    let source = from.open(name.as_ref())?;
    let (copy_name, target) = run.create("copy-")?;
    let mut buffer = vec![0; COPY_LEN];
    let mut offset = 0;
    loop {
        let count = source.read_at(&mut buffer, offset)?;
        if count == 0 {
            break;
        }
        target.write_at(&buffer[..count], offset)?;
        offset += count as u64;
    }
    target.set_mode(FILE_MODE)?;
    target.sync()?;
    match run.dir().rename_new(copy_name.as_ref(), &**to, new.as_ref()) {
        Err(error) if error.is_taken() => run.dir().unlink(copy_name.as_ref()),
        Err(error) if error.is_unsupported() => run.dir().rename(copy_name.as_ref(), &**to, new.as_ref()),
        other => other,
    }
}

/// Enters a body, which lies as `name` in `from`, into the index. Losing the entry costs only sharing.
pub fn index(spool: &Spool, from: &DirRef, name: &str, root: &Root) -> durable::Result<()> {
    let dir = spool.index_dir(root)?;
    match from.link(name.as_ref(), &*dir, root.to_string().as_ref()) {
        Err(error) if error.is_taken() || error.is_unsupported() => Ok(()),
        other => other,
    }
}

/// Enters the bodies of a packet that was published in `tx` into the index, so that they can be shared. The roots are in the envelope.
pub fn index_of_packet(spool: &Spool, tx: &DirRef, packet: &PacketId) -> durable::Result<()> {
    let Some(prefix) = crate::envelopes::prefix(tx, packet)? else { return Ok(()) };
    for (number, body) in prefix.bodies.iter().enumerate() {
        match index(spool, tx, &body_name(packet, number), &body.root) {
            Err(error) if error.is_missing() => {}
            other => other?,
        }
    }
    Ok(())
}

/// Links the body `root` from the index as `new` in `to`. `false`: it is not there. After `true` the name is
/// visible; "have it already" may be said once `to` is synced.
pub fn link_from_index(spool: &Spool, root: &Root, to: &DirRef, new: &str) -> durable::Result<bool> {
    let name = root.to_string();
    let Some(dir) = spool.find(&["body", &name[..2]])? else { return Ok(false) };
    match dir.link(name.as_ref(), &**to, new.as_ref()) {
        Ok(()) => Ok(true),
        Err(error) if error.is_taken() => Ok(true),
        Err(error) if error.is_missing() || error.is_unsupported() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the index entry of `root` if nobody else holds the body.
pub fn sweep_index(spool: &Spool, root: &Root, run: &Run) -> durable::Result<()> {
    let name = root.to_string();
    let Some(dir) = spool.find(&["body", &name[..2]])? else { return Ok(()) };
    sweep_entry(&dir, name.as_ref(), run)
}

/// Sweeps the whole index. Reads every folder of it: for once a day and for `mb-check --fix`.
pub fn sweep_all(spool: &Spool, run: &Run) -> durable::Result<()> {
    let Some(body) = spool.find(&["body"])? else { return Ok(()) };
    for shard in body.list()? {
        let shard = shard?;
        if shard.kind != Kind::Dir {
            continue;
        }
        let dir = body.open_dir(&shard.name)?;
        let names = dir.list()?.collect::<durable::Result<Vec<_>>>()?;
        for entry in names.iter().filter(|entry| entry.kind == Kind::File) {
            sweep_entry(&dir, &entry.name, run)?;
        }
    }
    Ok(())
}

/// Renaming the entry aside first closes the race with whoever links from the index at this moment: either the
/// link was made before, and shows in the count, or it finds no entry.
fn sweep_entry(dir: &DirRef, name: &OsStr, run: &Run) -> durable::Result<()> {
    match dir.stat(name) {
        Ok(stat) if stat.link_count > 1 => return Ok(()),
        Ok(_) => {}
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    }
    let aside = run.fresh_name("sweep-");
    match dir.rename(name, &**run.dir(), aside.as_ref()) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    }
    if run.dir().stat(aside.as_ref())?.link_count > 1 {
        match run.dir().link(aside.as_ref(), &**dir, name) {
            Err(error) if !error.is_taken() => return Err(error),
            _ => {}
        }
    }
    run.dir().unlink(aside.as_ref())
}

/// Removes the body number `index` of `packet` in `dir` if the packet's envelope is not there. The name is renamed
/// aside and the folder looked at again, so a publisher who links the envelope meanwhile finds its body put back.
pub fn sweep_orphan(dir: &DirRef, packet: &PacketId, index: u16, run: &Run) -> durable::Result<()> {
    let name = body_name(packet, usize::from(index));
    let envelope = packet.to_string();
    if exists(&**dir, &envelope)? {
        return Ok(());
    }
    let aside = run.fresh_name("sweep-");
    match dir.rename(name.as_ref(), &**run.dir(), aside.as_ref()) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    }
    if exists(&**dir, &envelope)? {
        return put_back(run, &aside, dir, &name);
    }
    run.dir().unlink(aside.as_ref())
}

fn put_back(run: &Run, aside: &str, dir: &DirRef, name: &str) -> durable::Result<()> {
    link_or_copy(run.dir(), aside, dir, name, run)?;
    dir.sync()?;
    run.dir().unlink(aside.as_ref())
}

/// Removes a packet from a queue: the envelope first, so that nobody sees it without its bodies, then its bodies, then
/// what the index held for it alone. A crash in between leaves bodies without an envelope, which the next look sweeps.
pub fn remove_packet(spool: &Spool, dir: &DirRef, packet: &PacketId, roots: &[Root], run: &Run) -> durable::Result<()> {
    gone(dir.unlink(packet.to_string().as_ref()))?;
    for (index, root) in roots.iter().enumerate() {
        gone(dir.unlink(body_name(packet, index).as_ref()))?;
        sweep_index(spool, root, run)?;
    }
    Ok(())
}

/// Whether the envelope of `packet` lies in this queue of `node`.
pub fn is_in_queue(spool: &Spool, node: &NodeId, queue: Queue, packet: &PacketId) -> durable::Result<bool> {
    match spool.find_queue(node, queue)? {
        Some(dir) => exists(&*dir, &packet.to_string()),
        None => Ok(false),
    }
}

/// Whether `name` is there.
pub fn exists(dir: &dyn Dir, name: &str) -> durable::Result<bool> {
    match dir.stat(name.as_ref()) {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The packets of a queue and, in passing, the sweep of what has no envelope.
///
/// Names are returned in no order. Bodies without an envelope are swept after the listing.
pub fn packets(dir: &DirRef) -> durable::Result<QueueListing> {
    let mut listing = QueueListing::default();
    for entry in dir.list()? {
        let entry = entry?;
        match Name::parse(&entry.name) {
            Name::Envelope(packet) if entry.kind == Kind::File => listing.envelopes.push(packet),
            Name::Body(packet, index) if entry.kind == Kind::File => listing.bodies.push((packet, index)),
            _ => {}
        }
    }
    listing.envelopes.sort_unstable();
    Ok(listing)
}

/// What lies in a queue.
#[derive(Debug, Default)]
pub struct QueueListing {
    /// Packets whose envelope is there, in the order of their ids.
    pub envelopes: Vec<PacketId>,
    /// Names of bodies, with or without an envelope.
    pub bodies: Vec<(PacketId, u16)>,
}

impl QueueListing {
    /// The bodies whose envelope is not there.
    pub fn orphans(&self) -> impl Iterator<Item = (PacketId, u16)> + '_ {
        self.bodies.iter().copied().filter(|(packet, _)| self.envelopes.binary_search(packet).is_err())
    }
}
