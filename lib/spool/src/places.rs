//! Where packets lie in a spool: every folder that holds some, gone through one at a time.

use mb_wire::id::{NodeId, PacketId};

use crate::bodies::exists;
use crate::durable::{self, DirRef, Kind};
use crate::layout::{Queue, Spool};

/// A folder of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To be handed to this node.
    Tx(NodeId),
    /// Handed to this node, and not confirmed by it.
    Sent(NodeId),
    /// Came from this node in a call; from ourselves: by stick, or to ourselves.
    Rx(NodeId),
    /// From this node; bodies are missing.
    Wait(NodeId),
    /// For this node, in a batch of `mb-send` that is committed and not published yet.
    Out(NodeId),
    /// What could not be processed.
    Bad,
}

impl Place {
    /// The word for it: `tx`, `sent`, `rx`, `wait`, `out`, `bad`.
    pub fn word(&self) -> &'static str {
        match self {
            Place::Tx(_) => Queue::Tx.name(),
            Place::Sent(_) => Queue::Sent.name(),
            Place::Rx(_) => Queue::Rx.name(),
            Place::Wait(_) => Queue::Wait.name(),
            Place::Out(_) => "out",
            Place::Bad => "bad",
        }
    }

    /// The node that the packets go to or come from.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Place::Tx(node) | Place::Sent(node) | Place::Rx(node) | Place::Wait(node) | Place::Out(node) => Some(*node),
            Place::Bad => None,
        }
    }
}

/// Calls `visit` with every folder of packets that is there, nodes in the order of their ids. One is open at a time.
pub fn for_each_place<E: From<durable::Error>>(
    spool: &Spool,
    mut visit: impl FnMut(Place, DirRef) -> Result<(), E>,
) -> Result<(), E> {
    let own = spool.own();
    for (node, place) in batches(spool)? {
        if let Some(dir) = spool.find(&["self", "out", &place, &node.to_string()])? {
            visit(Place::Out(node), dir)?;
        }
    }
    for node in spool.nodes()? {
        let name = node.to_string();
        let places = [Place::Tx(node), Place::Sent(node), Place::Rx(node), Place::Wait(node)];
        for (queue, place) in places.map(|place| (place.word(), place)) {
            if let Some(dir) = spool.find(&[&name, queue])? {
                visit(place, dir)?;
            }
        }
    }
    if let Some(dir) = spool.find(&["self", "rx"])? {
        visit(Place::Rx(own), dir)?;
    }
    if let Some(dir) = spool.find(&["bad"])? {
        visit(Place::Bad, dir)?;
    }
    Ok(())
}

/// The nodes in committed batches, each with the batch's name.
fn batches(spool: &Spool) -> durable::Result<Vec<(NodeId, String)>> {
    let mut found = Vec::new();
    let Some(out) = spool.find(&["self", "out"])? else { return Ok(found) };
    for batch in out.list()? {
        let batch = batch?;
        let Some(name) = batch.name.to_str().filter(|_| batch.kind == Kind::Dir) else { continue };
        let Some(dir) = spool.find(&["self", "out", name])? else { continue };
        for node in dir.list()? {
            let node = node?.name.to_str().and_then(|name| name.parse().ok());
            found.extend(node.map(|node| (node, name.to_owned())));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The folders that hold the envelope of `packet`: more than one only after a crash.
pub fn holding(spool: &Spool, packet: &PacketId) -> durable::Result<Vec<(Place, DirRef)>> {
    let mut found = Vec::new();
    let name = packet.to_string();
    for_each_place(spool, |place, dir| {
        if exists(&*dir, &name)? {
            found.push((place, dir));
        }
        Ok::<(), durable::Error>(())
    })?;
    Ok(found)
}
