//! The nodes that a stick goes to, and what waits here for them.

use mb_spool::durable::{self, DirRef};
use mb_spool::layout::{Queue, Spool};
use mb_spool::way;
use mb_wire::id::NodeId;

use crate::report::Watch;
use crate::stick::Stick;

/// A node that a stick goes to, and the queue of what is for it.
#[derive(Clone)]
pub(crate) struct Destination {
    /// The node.
    pub node: NodeId,
    /// Its `tx/`.
    pub queue: DirRef,
    /// Where its packets came from, if that is known of any.
    pub way: Option<DirRef>,
}

/// The nodes with a queue here that have a folder on the stick, or are among `more`. A folder that is something else is
/// told.
pub(crate) fn destinations(
    spool: &Spool,
    stick: Option<&Stick>,
    more: &[NodeId],
    watch: &mut dyn Watch,
) -> durable::Result<Vec<Destination>> {
    let mut found = Vec::new();
    for node in spool.nodes()?.into_iter().filter(|node| *node != spool.own()) {
        let is_on_stick = match stick.map(|stick| stick.node(&node)) {
            None | Some(Ok(None)) => false,
            Some(Ok(Some(_))) => true,
            Some(Err(error)) if error.is_wrong_kind() => {
                watch.failed(error.into());
                continue;
            }
            Some(Err(error)) => return Err(error),
        };
        if is_on_stick || more.contains(&node) {
            let Some(queue) = spool.find_queue(&node, Queue::Tx)? else { continue };
            found.push(Destination { node, queue, way: way::open(spool, &node)? });
        }
    }
    Ok(found)
}
