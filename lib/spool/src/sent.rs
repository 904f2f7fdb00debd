//! `NODE/sent/`: what was handed to NODE and is not confirmed by it. Links of envelopes and bodies, so that a stick that is
//! lost can be filled again.

use mb_wire::id::{NodeId, PacketId, Root};

use crate::barrier::Barrier;
use crate::bodies::{self, exists, link_or_copy, remove_packet};
use crate::durable::{self, DirRef};
use crate::envelopes;
use crate::layout::{Queue, Spool};
use crate::names::body_name;
use crate::run::{Run, gone};

/// Permission bits of an envelope that is not kept: of a confirmation, or of reports, which nobody confirms.
pub const UNKEPT_MODE: u32 = 0o400;

/// Keeps a packet that lies in `tx` and is about to leave it. Durable when `barrier` is.
pub fn keep(
    spool: &Spool,
    tx: &DirRef,
    node: &NodeId,
    packet: &PacketId,
    body_count: usize,
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    match tx.stat(packet.to_string().as_ref()) {
        // Somebody else has handed it over, or gave it up.
        Err(error) if error.is_missing() => return Ok(()),
        stat if stat.as_ref().is_ok_and(|stat| stat.mode & 0o200 == 0) => return Ok(()),
        stat => drop(stat?),
    }
    let sent = spool.queue(node, Queue::Sent)?;
    link_packet(tx, &sent, packet, body_count, run)?;
    barrier.dir(&sent);
    Ok(())
}

/// Bodies before their envelope: what stands alone is litter. And once more behind it: a sweep may have taken one that had no
/// envelope yet.
fn link_packet(from: &DirRef, to: &DirRef, packet: &PacketId, body_count: usize, run: &Run) -> durable::Result<()> {
    let link = |name: &str| link_or_copy(from, name, to, name, run);
    let link_bodies = || (0..body_count).try_for_each(|number| link(&body_name(packet, number)));
    link_bodies()?;
    link(&packet.to_string())?;
    link_bodies()
}

/// Puts everything that `node` has not confirmed into its `tx/` again. A packet that has gone meanwhile is left out.
pub fn again(spool: &Spool, node: &NodeId, run: &Run) -> durable::Result<()> {
    let Some(sent) = spool.find_queue(node, Queue::Sent)? else { return Ok(()) };
    let packets = bodies::packets(&sent)?.envelopes;
    if packets.is_empty() {
        return Ok(());
    }
    let tx = spool.queue(node, Queue::Tx)?;
    for packet in packets {
        let Some(prefix) = envelopes::prefix(&sent, &packet)? else { continue };
        gone(link_packet(&sent, &tx, &packet, prefix.bodies.len(), run))?;
    }
    tx.sync()
}

/// `node` has settled these packets: nothing of them is kept for it any more. To be done again if it was not done to its
/// end.
pub fn confirm(spool: &Spool, node: &NodeId, packets: &[PacketId], run: &Run) -> durable::Result<()> {
    for queue in [Queue::Tx, Queue::Sent] {
        let Some(dir) = spool.find_queue(node, queue)? else { continue };
        let mut is_gone = false;
        for packet in packets {
            match exists(&*dir, &packet.to_string())? {
                true => remove(spool, &dir, packet, run)?,
                false => is_gone = true,
            }
        }
        // Whoever began this may have died between an envelope and its bodies.
        if is_gone && queue == Queue::Sent {
            sweep_orphans(spool, &dir, run)?;
        }
    }
    Ok(())
}

fn sweep_orphans(spool: &Spool, sent: &DirRef, run: &Run) -> durable::Result<()> {
    let listing = bodies::packets(sent)?;
    let orphans: Vec<_> = listing.orphans().collect();
    orphans.iter().try_for_each(|(packet, number)| bodies::sweep_orphan(sent, packet, *number, run))?;
    // What their names are in the index, nobody can say.
    if orphans.is_empty() { Ok(()) } else { bodies::sweep_all(spool, run) }
}

/// Forgets what is kept for any node beyond its last day, and what a killed run left half linked; and answers that nobody came
/// for until theirs.
pub fn forget_before(spool: &Spool, today: u32, run: &Run) -> durable::Result<()> {
    for node in spool.nodes()? {
        forget_answers(spool, &node, today, run)?;
        let Some(dir) = spool.find_queue(&node, Queue::Sent)? else { continue };
        sweep_orphans(spool, &dir, run)?;
        let tx = spool.find_queue(&node, Queue::Tx)?;
        for packet in bodies::packets(&dir)?.envelopes {
            if envelopes::prefix(&dir, &packet)?.is_some_and(|prefix| prefix.end < today) {
                // It was handed over, and put out again.
                if let Some(tx) = &tx {
                    remove(spool, tx, &packet, run)?;
                }
                remove(spool, &dir, &packet, run)?;
            }
        }
    }
    Ok(())
}

fn forget_answers(spool: &Spool, node: &NodeId, today: u32, run: &Run) -> durable::Result<()> {
    let Some(tx) = spool.find_queue(node, Queue::Tx)?.filter(|_| *node != spool.own()) else { return Ok(()) };
    for packet in bodies::packets(&tx)?.envelopes {
        let stat = match tx.stat(packet.to_string().as_ref()) {
            Err(error) if error.is_missing() => continue,
            other => other?,
        };
        let is_answer = stat.mode & 0o777 == UNKEPT_MODE;
        if is_answer && envelopes::prefix(&tx, &packet)?.is_some_and(|prefix| prefix.end < today) {
            remove(spool, &tx, &packet, run)?;
        }
    }
    Ok(())
}

/// Removes a packet and its bodies, of which the envelope says how many.
fn remove(spool: &Spool, dir: &DirRef, packet: &PacketId, run: &Run) -> durable::Result<()> {
    let bodies = envelopes::prefix(dir, packet)?.map(|prefix| prefix.bodies).unwrap_or_default();
    let roots: Vec<Root> = bodies.iter().map(|body| body.root).collect();
    remove_packet(spool, dir, packet, &roots, run)
}
