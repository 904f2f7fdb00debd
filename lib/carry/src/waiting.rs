//! What lies on a stick: for whom, how much, since when. Reads only, and needs no keys.
//!
//! A packet's bytes are those of its envelope and of all bodies that it lists, as a host would have to copy them: a body
//! that several packets share counts for each.

use mb_spool::durable::{self, DirRef};
use mb_spool::envelopes::{self, Read};
use mb_spool::waiting::Waiting;
use mb_wire::envelope::read_prefix;
use mb_wire::id::{NodeId, PacketId, Root};

use crate::stick::{Stick, body_named, body_shards, none_if_missing, packet_named, packet_shards};

/// Bodies on a stick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bodies {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub len: u64,
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

/// The bodies on the stick that are not among `listed`, which is in order: leftovers.
pub fn spare_bodies(stick: &Stick, listed: &[Root]) -> durable::Result<Bodies> {
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
