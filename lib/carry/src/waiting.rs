//! What lies on a stick: for whom, how much, since when. Reads only, and needs no keys.
//!
//! A packet's bytes are those of its envelope and of all bodies that it lists, as a host would have to copy them: a body
//! that several packets share counts for each.

use mb_spool::durable::{self, DirRef};
use mb_spool::envelopes::{self, Read};
use mb_spool::waiting::{Asked, Row, Tally, Waiting, What};
use mb_wire::envelope::read_prefix;
use mb_wire::id::{NodeId, PacketId, Root};

use crate::stick::{Stick, body_named, body_shards, none_if_missing, packet_named, packet_shards};

/// The word for a stick where others have that of a queue.
const QUEUE: &str = "stick";

/// Bodies on a stick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bodies {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub len: u64,
}

/// Tells what lies on a stick, as far as it is asked for. Returns the bodies that no packet on it needs, if everything
/// was asked for.
pub fn on_stick(stick: &Stick, asked: &Asked, tell: &mut dyn FnMut(Row)) -> durable::Result<Bodies> {
    let mut listed = Vec::new();
    for node in stick.nodes()? {
        let takes_node = asked.takes_node(Some(node));
        if !takes_node && asked.packets.is_empty() {
            continue;
        }
        let mut tally = Tally::default();
        for_each_packet(stick, &node, |waiting| {
            listed.extend(waiting.prefix.iter().flat_map(|prefix| &prefix.bodies).map(|body| body.root));
            tally.add(&waiting);
            if (takes_node && asked.each) || asked.packets.contains(&waiting.packet) {
                tell(Row { queue: QUEUE, node: Some(node), what: What::Packet(Box::new(waiting), None) });
            }
            Ok::<(), durable::Error>(())
        })?;
        if takes_node && !asked.each && tally.packet_count > 0 {
            tell(Row { queue: QUEUE, node: Some(node), what: What::Sum(tally) });
        }
    }
    listed.sort_unstable();
    if asked.is_all() { spare_bodies(stick, &listed) } else { Ok(Bodies::default()) }
}

/// Calls `visit` with every packet for `node`, in the order of their folders.
pub fn for_each_packet<E: From<durable::Error>>(
    stick: &Stick,
    node: &NodeId,
    mut visit: impl FnMut(Waiting) -> Result<(), E>,
) -> Result<(), E> {
    let Some(dir) = stick.node(node)? else { return Ok(()) };
    for shard in packet_shards(&dir)? {
        let dir = match dir.open_dir(shard.as_ref()) {
            Err(error) if error.is_missing() || error.is_wrong_kind() => continue,
            other => other?,
        };
        for entry in dir.list()? {
            if let Some(packet) = packet_named(&entry?.name, &shard)
                && let Some(waiting) = look(stick, &dir, &packet)?
            {
                visit(waiting)?;
            }
        }
    }
    Ok(())
}

fn look(stick: &Stick, dir: &DirRef, packet: &PacketId) -> durable::Result<Option<Waiting>> {
    let Some(stat) = none_if_missing(dir.stat(packet.to_string().as_ref()))? else { return Ok(None) };
    let prefix = match envelopes::read(dir, packet) {
        Ok(Read::Whole(bytes)) => read_prefix(&bytes).ok(),
        Ok(Read::Missing) => return Ok(None),
        Ok(Read::Damaged) => None,
        Err(error) if error.is_wrong_kind() => None,
        Err(error) => return Err(error),
    };
    let mut waiting = Waiting { packet: *packet, since: stat.modified.0, len: stat.len, prefix, here_count: 0 };
    for body in waiting.prefix.iter().flat_map(|prefix| &prefix.bodies) {
        waiting.len += body.size;
        waiting.here_count += u64::from(stick.has_body(&body.root, body.size)?);
    }
    Ok(Some(waiting))
}

/// The bodies on the stick that are not among `listed`, which is in order.
fn spare_bodies(stick: &Stick, listed: &[Root]) -> durable::Result<Bodies> {
    let mut spare = Bodies::default();
    let Some(bodies) = stick.bodies()? else { return Ok(spare) };
    for shard in body_shards(&bodies)? {
        let dir = match bodies.open_dir(shard.as_ref()) {
            Err(error) if error.is_missing() || error.is_wrong_kind() => continue,
            other => other?,
        };
        for entry in dir.list()? {
            let entry = entry?;
            let Some(root) = body_named(&entry.name, &shard) else { continue };
            if listed.binary_search(&root).is_err()
                && let Some(stat) = none_if_missing(dir.stat(&entry.name))?
            {
                spare.count += 1;
                spare.len += stat.len;
            }
        }
    }
    Ok(spare)
}
