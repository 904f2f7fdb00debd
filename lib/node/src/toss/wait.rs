//! `NODE/wait/`: packets that opened and whose bodies have not all come. Looked at when a body came, and when one has waited so long
//! that what is whole of it is delivered.
//!
//! When they are to be looked at is written down as `self/due`; that a body came, before its own packet is removed: whoever dies or
//! fails before the waiting packets were looked at leaves that to the next run.

use std::sync::atomic::{AtomicU64, Ordering};

use mb_spool::bodies::{exists, index, link_or_copy, remove_packet};
use mb_spool::durable::{self, DirRef};
use mb_spool::envelopes;
use mb_spool::layout::{Queue, Spool};
use mb_spool::names::body_name;
use mb_spool::number;
use mb_spool::run::{Run, gone};
use mb_spool::verify::is_body;
use mb_wire::id::{NodeId, PacketId, Root};

/// The name of the file that says when waiting packets are to be looked at.
const DUE: &str = "due";

/// That waiting packets are to be looked at, as somebody wrote it down.
pub struct Due {
    /// Which file: another one was written by somebody else, later.
    inode: (u64, u64),
}

/// The earliest time at which waiting packets are to be looked at again.
pub struct NextLook(AtomicU64);

impl NextLook {
    /// Not because of any.
    pub fn never() -> NextLook {
        NextLook(AtomicU64::new(u64::MAX))
    }

    /// At `time` at the latest, in seconds since 1970.
    pub fn at(&self, time: u64) {
        self.0.fetch_min(time, Ordering::Relaxed);
    }

    fn time(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|time| *time != u64::MAX)
    }
}

/// Writes down that waiting packets are to be looked at from `time` on, in seconds since 1970, if not earlier. Durable on return.
pub fn note_due(spool: &Spool, time: u64, run: &Run) -> durable::Result<()> {
    let dir = spool.make(&["self"])?;
    match number::read(&dir, DUE)? {
        Some(known) if known <= time => Ok(()),
        _ => number::write(&dir, DUE, time, run),
    }
}

/// Whether waiting packets are to be looked at now: a time that is damaged has come.
pub fn due(spool: &Spool, now: u64) -> durable::Result<Option<Due>> {
    let Some(dir) = spool.find(&["self"])? else { return Ok(None) };
    match dir.stat(DUE.as_ref()) {
        Ok(stat) if number::read(&dir, DUE)?.is_none_or(|time| time <= now) => Ok(Some(Due { inode: stat.inode })),
        Ok(_) => Ok(None),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// They were looked at after `due` was written, and are to be so again at `next`. What somebody wrote down since stays; if that happens at
/// this very moment, a packet may wait until the next body or the next day.
pub fn end_due(spool: &Spool, due: Due, next: &NextLook, run: &Run) -> durable::Result<()> {
    let Some(dir) = spool.find(&["self"])? else { return Ok(()) };
    match (dir.stat(DUE.as_ref()), next.time()) {
        (Ok(stat), Some(time)) if stat.inode == due.inode => number::write(&dir, DUE, time, run),
        (Ok(stat), None) if stat.inode == due.inode => gone(dir.unlink(DUE.as_ref())),
        (Err(error), _) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}

/// Moves a packet and the bodies that have come to the neighbour's `wait/`. Durable there before it goes here; a crash in
/// between leaves both, which is one delivery. A body that comes here at this moment is moved too, or stays, without its envelope.
pub fn put(
    spool: &Spool,
    from: &DirRef,
    packet: &PacketId,
    roots: &[Root],
    neighbour: &NodeId,
    run: &Run,
) -> durable::Result<()> {
    let wait = spool.queue(neighbour, Queue::Wait)?;
    let link_bodies = || {
        roots.iter().enumerate().try_for_each(|(number, root)| {
            let name = body_name(packet, number);
            if !exists(&**from, &name)? {
                return Ok(());
            }
            link_or_copy(from, &name, &wait, &name, run)?;
            match index(spool, &wait, &name, root) {
                // Who tidies up has it in hand, as long as no packet is there that it belongs to.
                Err(error) if error.is_missing() => Ok(()),
                other => other,
            }
        })
    };
    link_bodies()?;
    let name = packet.to_string();
    link_or_copy(from, &name, &wait, &name, run)?;
    link_bodies()?;
    let mut durable = Vec::with_capacity(roots.len());
    for number in 0..roots.len() {
        durable.push(exists(&*wait, &body_name(packet, number))?);
    }
    wait.sync()?;
    gone(from.unlink(name.as_ref()))?;
    for ((number, root), is_durable) in roots.iter().enumerate().zip(durable) {
        let name = body_name(packet, number);
        if !exists(&**from, &name)? {
            continue;
        }
        // Whoever brought it counts on it from now on: never away here before it is durable there.
        if !is_durable {
            link_or_copy(from, &name, &wait, &name, run)?;
            index(spool, &wait, &name, root)?;
            wait.sync()?;
        }
        gone(from.unlink(name.as_ref()))?;
    }
    Ok(())
}

/// Removes a waiting packet that was delivered from elsewhere.
pub fn remove(spool: &Spool, neighbour: &NodeId, packet: &PacketId, roots: &[Root], run: &Run) -> durable::Result<()> {
    match spool.find_queue(neighbour, Queue::Wait)? {
        Some(wait) if exists(&*wait, &packet.to_string())? => remove_packet(spool, &wait, packet, roots, run),
        _ => Ok(()),
    }
}

/// Gives body `number` of `packet`, which lies in `from` without its envelope, to the packet if it waits somewhere.
/// `false`: nobody waits for it, or it is not what the packet lists.
pub fn adopt(
    spool: &Spool,
    from: &DirRef,
    packet: &PacketId,
    number: u16,
    threads: usize,
    run: &Run,
) -> durable::Result<bool> {
    let name = body_name(packet, usize::from(number));
    for node in spool.nodes()? {
        let Some(wait) = spool.find_queue(&node, Queue::Wait)? else { continue };
        let Some(prefix) = envelopes::prefix(&wait, packet)? else { continue };
        let Some(body) = prefix.bodies.get(usize::from(number)) else { continue };
        let file = match from.open(name.as_ref()) {
            Err(error) if error.is_missing() => return Ok(false),
            other => other?,
        };
        if !is_body(&file, body, threads)? {
            continue;
        }
        link_or_copy(from, &name, &wait, &name, run)?;
        wait.sync()?;
        index(spool, &wait, &name, &body.root)?;
        gone(from.unlink(name.as_ref()))?;
        return Ok(true);
    }
    Ok(false)
}
