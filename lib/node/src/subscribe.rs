//! Subscriptions by statement: who has asked for an area's messages, and may. What becomes of a statement that came, the tosser decides.

use mb_spool::day::Today;
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::subscribed;

use crate::config::{Askers, KnownArea, KnownNode};
use crate::toss::Nodes;

/// A neighbour that gets an area's messages from us since it asked.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The neighbour.
    pub node: &'a KnownNode,
    /// Its last day.
    pub until: u32,
}

/// The neighbours that have asked for the area's messages, and may: the area's file is asked anew each time, so what it does not allow any more
/// ends at once.
pub fn askers<'a>(
    spool: &Spool,
    nodes: &'a dyn Nodes,
    area: &KnownArea,
    today: &Today,
) -> durable::Result<Vec<Asker<'a>>> {
    let mut askers = Vec::new();
    if area.requests == Askers::Nobody {
        return Ok(askers);
    }
    for id in spool.nodes()?.into_iter().filter(|id| *id != spool.own()) {
        let Some(node) = nodes.node(&id).filter(|node| node.link.from && area.requests.has(&node.name)) else {
            continue;
        };
        if let Some(asked) = subscribed::find(spool, &id, &area.id())?.filter(|asked| asked.is_on(today)) {
            askers.push(Asker { node, until: asked.until });
        }
    }
    Ok(askers)
}
