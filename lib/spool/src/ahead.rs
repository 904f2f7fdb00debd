//! `NODE/ahead/`: envelopes for NODE whose bodies have not all come here, with those that have. What they became of lies in a `wait/`; a
//! call that is eager gives them before the rest is there. Made from what waits, so nothing is lost with them, and none is synced.

use mb_wire::envelope::packet_id;
use mb_wire::id::{NodeId, PacketId, Root};

use crate::bodies::{exists, link_or_copy, remove_packet};
use crate::durable::{self, DirRef, Kind};
use crate::layout::{Queue, Spool};
use crate::names::{Name, body_name};
use crate::record;
use crate::run::{Run, gone};

/// Puts an envelope for `node` there, and of its bodies, which are called after `packet` in `from`, those that are there.
pub fn put(
    spool: &Spool,
    node: &NodeId,
    envelope: &[u8],
    (from, packet, body_count): (&DirRef, &PacketId, usize),
    run: &Run,
) -> durable::Result<()> {
    let (dir, became) = (spool.queue(node, Queue::Ahead)?, packet_id(envelope));
    for number in 0..body_count {
        let name = body_name(packet, number);
        if exists(&**from, &name)? {
            // It may have gone on already.
            gone(link_or_copy(from, &name, &dir, &body_name(&became, number), run))?;
        }
    }
    match exists(&*dir, &became.to_string())? {
        true => Ok(()),
        false => record::put(&dir, &became.to_string(), envelope, run, None),
    }
}

/// All of it has come: it goes as other packets do.
pub fn end(spool: &Spool, node: &NodeId, packet: &PacketId, roots: &[Root], run: &Run) -> durable::Result<()> {
    match spool.find_queue(node, Queue::Ahead)? {
        Some(dir) => remove_packet(spool, &dir, packet, roots, run),
        None => Ok(()),
    }
}

/// Removes all that is there: whatever still waits is put there again when it is looked at.
pub fn clear(spool: &Spool) -> durable::Result<()> {
    for node in spool.nodes()? {
        let Some(dir) = spool.find_queue(&node, Queue::Ahead)? else { continue };
        let names = dir.list()?.collect::<durable::Result<Vec<_>>>()?;
        for entry in names.iter().filter(|entry| entry.kind == Kind::File) {
            if matches!(Name::parse(&entry.name), Name::Envelope(_) | Name::Body(..)) {
                gone(dir.unlink(&entry.name))?;
            }
        }
    }
    Ok(())
}
