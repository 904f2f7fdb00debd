//! `NODE/wait/`: packets that opened and whose bodies have not all come. Looked at when a body came.
//!
//! That one came is written down as `self/due` before its own packet is removed: whoever dies or fails before the waiting
//! packets were looked at leaves that to the next run.

use std::collections::HashMap;

use mb_spool::bodies::{self, exists, index, link_or_copy, remove_packet};
use mb_spool::durable::{self, DirRef};
use mb_spool::envelopes;
use mb_spool::layout::{Queue, Spool};
use mb_spool::names::body_name;
use mb_spool::number;
use mb_spool::run::{Run, gone};
use mb_spool::verify::is_body;
use mb_wire::id::{NodeId, PacketId, Root};

use crate::config::Link;

/// The name of the file that says that waiting packets are to be looked at.
const DUE: &str = "due";

/// That waiting packets are to be looked at, as somebody wrote it down.
pub struct Due {
    /// Which file: another one was written by somebody else, later.
    inode: (u64, u64),
}

/// Writes down that waiting packets are to be looked at. Durable on return.
pub fn note_due(spool: &Spool, now: u64, run: &Run) -> durable::Result<()> {
    number::write(&spool.make(&["self"])?, DUE, now, run)
}

/// Whether waiting packets are to be looked at.
pub fn due(spool: &Spool) -> durable::Result<Option<Due>> {
    let Some(dir) = spool.find(&["self"])? else { return Ok(None) };
    match dir.stat(DUE.as_ref()) {
        Ok(stat) => Ok(Some(Due { inode: stat.inode })),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// They were looked at after `due` was written. What somebody wrote down since stays; if that happens at this very moment,
/// a packet may wait until the next body or the next day.
pub fn end_due(spool: &Spool, due: Due) -> durable::Result<()> {
    let Some(dir) = spool.find(&["self"])? else { return Ok(()) };
    match self::due(spool)? {
        Some(now) if now.inode == due.inode => gone(dir.unlink(DUE.as_ref())),
        _ => Ok(()),
    }
}

/// What a neighbour's waiting packets make us keep. A body counts once for each packet that lists it, here or not.
#[derive(Debug, Default)]
pub struct Charge {
    packet_count: u64,
    len: u64,
    sharing: HashMap<Root, u32>,
}

impl Charge {
    /// Reads the ticket of every packet that waits.
    pub fn read(spool: &Spool, from: &NodeId) -> durable::Result<Charge> {
        let mut charge = Charge::default();
        let Some(dir) = spool.find_queue(from, Queue::Wait)? else { return Ok(charge) };
        for packet in bodies::packets(&dir)?.envelopes {
            if let Some(prefix) = envelopes::prefix(&dir, &packet)? {
                charge.add(prefix.bodies.iter().map(|body| (body.root, body.size)));
            }
        }
        Ok(charge)
    }

    /// One more packet, with these bodies.
    pub fn add(&mut self, bodies: impl Iterator<Item = (Root, u64)>) {
        self.packet_count += 1;
        for (root, size) in bodies {
            self.len = self.len.saturating_add(size);
            *self.sharing.entry(root).or_default() += 1;
        }
    }

    /// Whether one more packet with these bodies may wait.
    pub fn admits(&self, link: &Link, mut bodies: impl Iterator<Item = (Root, u64)> + Clone) -> bool {
        let len = bodies.clone().fold(self.len, |len, (_, size)| len.saturating_add(size));
        let is_shared = |(root, _)| self.sharing.get(&root).is_some_and(|count| *count >= link.most_sharing);
        link.most_packets.is_none_or(|most| self.packet_count < most)
            && link.most_bytes.is_none_or(|most| len <= most)
            && !bodies.any(is_shared)
    }
}

/// Moves a packet and the bodies that have come to the neighbour's `wait/`. Durable there before it goes here; a crash in
/// between leaves both, which is one delivery.
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
            if exists(&**from, &name)? {
                link_or_copy(from, &name, &wait, &name, run)?;
                index(spool, &wait, &name, root)?;
            }
            Ok::<(), durable::Error>(())
        })
    };
    link_bodies()?;
    let name = packet.to_string();
    link_or_copy(from, &name, &wait, &name, run)?;
    link_bodies()?;
    wait.sync()?;
    remove_packet(spool, from, packet, roots, run)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn root(number: u8) -> Root {
        Root::from_bytes([number; 32])
    }

    #[test]
    fn a_neighbour_may_make_us_keep_so_much_and_no_more() {
        let link = Link { from: true, most_bytes: Some(1000), most_packets: Some(3), most_sharing: 2 };
        let mut charge = Charge::default();
        let bodies = |number, size| [(root(number), size)].into_iter();
        assert!(charge.admits(&link, bodies(1, 1000)));
        assert!(!charge.admits(&link, bodies(1, 1001)), "too many bytes at once");
        assert!(!charge.admits(&link, bodies(1, u64::MAX)), "a claim is no number to trust");
        charge.add(bodies(1, 300));
        assert!(!charge.admits(&link, bodies(2, 701)), "too many bytes together");
        charge.add(bodies(1, 300));
        assert!(!charge.admits(&link, bodies(1, 1)), "shared by as many as may");
        assert!(charge.admits(&link, bodies(2, 400)));
        charge.add(bodies(2, 0));
        assert!(!charge.admits(&link, bodies(3, 0)), "too many packets");
    }
}
