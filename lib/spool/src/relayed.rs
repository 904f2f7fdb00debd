//! `NODE/relayed/`: links of the envelopes in our `tx/` and `sent/` folders that became of what NODE handed over, so that its limits
//! count what lies here because of it. Bookkeeping only: nothing is lost with a link, and none is synced.

use mb_wire::envelope::Prefix;
use mb_wire::id::{NodeId, PacketId};

use crate::bodies::{is_in_queue, link_or_copy, packets};
use crate::durable;
use crate::envelopes;
use crate::layout::{Queue, Spool};
use crate::run::{Run, gone};

/// The folder's name.
pub const RELAYED: &str = "relayed";

/// Notes that `packet`, published for `next`, became of what `from` handed over.
pub fn note(spool: &Spool, from: &NodeId, next: &NodeId, packet: &PacketId, run: &Run) -> durable::Result<()> {
    let Some(tx) = spool.find_queue(next, Queue::Tx)? else { return Ok(()) };
    let (dir, name) = (spool.make(&[&from.to_string(), RELAYED])?, packet.to_string());
    // It may have gone on already.
    gone(link_or_copy(&tx, &name, &dir, &name, run))
}

/// The tickets of what became of what `from` handed over and still lies in a `tx/` or `sent/`; what went on is forgotten.
pub fn tickets(spool: &Spool, from: &NodeId) -> durable::Result<Vec<Prefix>> {
    let mut tickets = Vec::new();
    let Some(dir) = spool.find(&[&from.to_string(), RELAYED])? else { return Ok(tickets) };
    for packet in packets(&dir)?.envelopes {
        let ticket = envelopes::prefix(&dir, &packet)?;
        match ticket {
            Some(ticket) if is_here(spool, &ticket.to, &packet)? => tickets.push(ticket),
            _ => gone(dir.unlink(packet.to_string().as_ref()))?,
        }
    }
    Ok(tickets)
}

/// Forgets what went on, of every neighbour.
pub fn sweep_all(spool: &Spool) -> durable::Result<()> {
    spool.nodes()?.iter().try_for_each(|node| tickets(spool, node).map(drop))
}

fn is_here(spool: &Spool, next: &NodeId, packet: &PacketId) -> durable::Result<bool> {
    Ok(is_in_queue(spool, next, Queue::Tx, packet)? || is_in_queue(spool, next, Queue::Sent, packet)?)
}
