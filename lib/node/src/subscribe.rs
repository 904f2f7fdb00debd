//! Subscriptions by statement: a neighbour is asked for an area's messages, and who has asked us. What becomes of a statement that came,
//! the tosser decides.

use mb_spool::day::Today;
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::run::Run;
use mb_spool::subscribed;
use mb_wire::area::Subscribe;
use mb_wire::envelope::Content;
use mb_wire::id::PacketId;
use mb_wire::key::NodeSecrets;

use crate::config::{Askers, KnownArea, KnownNode};
use crate::tell::{TellError, tell};
use crate::toss::Nodes;

/// Asks these nodes, each of which is given once, for what `wanted` says: durable on return. `now` is in milliseconds since 1970: what is
/// asked later counts. The packets that are on their way, in the order of the nodes.
pub fn ask(
    spool: &Spool,
    secrets: &NodeSecrets,
    nodes: &[&KnownNode],
    wanted: Subscribe,
    (now, today): (u64, u32),
    run: &Run,
) -> Result<Vec<PacketId>, TellError> {
    tell(spool, secrets, nodes, today, &Content::Statement(wanted.sign(secrets, now)), run)
}

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
