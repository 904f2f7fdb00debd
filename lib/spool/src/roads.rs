//! `NODE/road/PKT.n`: a packet that waits for NODE and could go by other roads: the envelopes for these, should NODE not come for
//! it within n days. Its bodies lie beside it, in `NODE/tx/`, and are the same by every road.

use mb_wire::cbor;
use mb_wire::envelope::{packet_id, read_prefix};
use mb_wire::hash::{Label, hash};
use mb_wire::id::{NodeId, PacketId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::barrier::Barrier;
use crate::durable::{self, DirRef, Kind, LockGuard};
use crate::envelopes;
use crate::layout::{Queue, Spool};
use crate::names::{Name, body_name};
use crate::record;
use crate::run::{Run, gone};
use crate::way::{self, Origin, Record};

/// The folder's name.
pub const ROAD: &str = "road";
/// A file longer than this is damaged.
const MOST_LEN: usize = 2 * 1024 * 1024;
/// What lies here without its packet is left alone for a day: the packet may be about to be sent.
const DAY_SECS: i64 = 86_400;

/// The roads that a packet has not been sent by, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roads {
    /// The roads, at least one.
    pub roads: Vec<Road>,
    /// Days that it waits before it goes by the next one; in the file's name.
    #[serde(skip)]
    pub days: u16,
}

/// One road.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Road {
    /// Who is handed the packet.
    pub to: NodeId,
    /// Who may say something of it then, where word of it is wanted: a record as in `NODE/way/`.
    #[serde(with = "serde_bytes")]
    pub way: Vec<u8>,
    /// In which envelope.
    #[serde(with = "serde_bytes")]
    pub envelope: Vec<u8>,
}

impl Road {
    /// A road, and who may say something of the packet then.
    pub fn new(to: NodeId, envelope: Vec<u8>, way: Option<&Record>) -> Road {
        Road { to, envelope, way: way.map(Record::to_bytes).unwrap_or_default() }
    }

    /// What the packet is called on it.
    pub fn packet(&self) -> PacketId {
        packet_id(&self.envelope)
    }

    /// Whether its packet may still go on that day: the last one is not over.
    pub fn is_open_on(&self, day: u32) -> bool {
        read_prefix(&self.envelope).is_ok_and(|prefix| day <= prefix.end)
    }

    /// Who may say something of it.
    pub fn record(&self) -> Option<Record> {
        Record::from_bytes(&self.way)
    }
}

impl Roads {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = cbor::encode(self);
        let sum = hash(Label::Way, &[&bytes]);
        bytes.extend_from_slice(&sum);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Roads> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if hash(Label::Way, &[body]) != sum {
            return None;
        }
        cbor::decode(body).ok().filter(|roads: &Roads| !roads.roads.is_empty())
    }
}

/// Writes down by which other roads `packet`, which is to be handed to `node`, could go. Durable when `barrier` is.
pub fn note(
    spool: &Spool,
    node: &NodeId,
    packet: &PacketId,
    roads: &Roads,
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    let (dir, name) = (spool.make(&[&node.to_string(), ROAD])?, body_name(packet, roads.days.into()));
    record::put(&dir, &name, &roads.to_bytes(), run, Some(barrier))
}

/// A packet that has waited as long as it may.
pub struct Stalled {
    /// For whom it waits.
    pub node: NodeId,
    /// The packet.
    pub packet: PacketId,
    /// The queue that it waits in.
    pub tx: DirRef,
    /// The roads that are left.
    pub roads: Roads,
}

/// Packets that have waited as long as they may at `now`, in seconds since 1970; of many the first `most`.
pub fn stalled(spool: &Spool, now: u64, most: usize) -> durable::Result<Vec<Stalled>> {
    let mut found = Vec::new();
    for_each(spool, |node, dir, (packet, days), waits| {
        let Some((tx, since)) = waits.filter(|_| found.len() < most) else { return Ok(()) };
        // Read only when it is time: this is looked at in every run.
        if since.saturating_add(i64::from(days) * DAY_SECS) <= now.cast_signed()
            && let Some(roads) = read(dir, &packet, days)?
        {
            found.push(Stalled { node, packet, tx: tx.clone(), roads });
        }
        Ok(())
    })?;
    Ok(found)
}

/// The packets for `node` that could go by other roads, with the days that they wait before.
pub fn all_of(spool: &Spool, node: &NodeId) -> durable::Result<BTreeMap<PacketId, u16>> {
    let mut found = BTreeMap::new();
    let Some(dir) = spool.find(&[&node.to_string(), ROAD])? else { return Ok(found) };
    for entry in dir.list()? {
        if let Name::Body(packet, days) = Name::parse(&entry?.name) {
            found.insert(packet, days);
        }
    }
    Ok(found)
}

/// Whether `packet`, which waits for `node` for that many days, may still go by another road on `day`.
pub fn is_open_on(spool: &Spool, node: &NodeId, packet: (&PacketId, u16), day: u32) -> durable::Result<bool> {
    let Some(dir) = spool.find(&[&node.to_string(), ROAD])? else { return Ok(false) };
    Ok(read(&dir, packet.0, packet.1)?.is_some_and(|roads| roads.roads.iter().any(|road| road.is_open_on(day))))
}

/// Removes what packets left behind that have gone, and what is damaged.
pub fn sweep(spool: &Spool, now: u64) -> durable::Result<()> {
    for_each(spool, |_, dir, (packet, days), waits| {
        let name = body_name(&packet, days.into());
        let is_young = || Ok(dir.stat(name.as_ref())?.modified.0.saturating_add(DAY_SECS) >= now.cast_signed());
        let stays = match waits {
            Some(_) => read(dir, &packet, days)?.is_some(),
            None => is_young()?,
        };
        if stays { Ok(()) } else { gone(dir.unlink(name.as_ref())) }
    })
}

/// Calls `visit` with each packet that could go by other roads: the node, its folder of such packets, the days, and the queue that it waits in
/// with the time since when it does, if it does.
fn for_each(
    spool: &Spool,
    mut visit: impl FnMut(NodeId, &DirRef, (PacketId, u16), Option<(&DirRef, i64)>) -> durable::Result<()>,
) -> durable::Result<()> {
    for node in spool.nodes()? {
        let Some(dir) = spool.find(&[&node.to_string(), ROAD])? else { continue };
        let tx = spool.find_queue(&node, Queue::Tx)?;
        for entry in dir.list()?.collect::<durable::Result<Vec<_>>>()? {
            let (Name::Body(packet, days), Kind::File) = (Name::parse(&entry.name), entry.kind) else { continue };
            let waits = match tx.as_ref().map(|tx| (tx, tx.stat(packet.to_string().as_ref()))) {
                Some((tx, Ok(stat))) => Some((tx, stat.modified.0)),
                Some((_, Err(error))) if !error.is_missing() => return Err(error),
                _ => None,
            };
            visit(node, &dir, (packet, days), waits)?;
        }
    }
    Ok(())
}

fn read(dir: &DirRef, packet: &PacketId, days: u16) -> durable::Result<Option<Roads>> {
    let bytes = record::read(dir, &body_name(packet, days.into()), MOST_LEN)?;
    Ok(bytes.and_then(|bytes| Roads::from_bytes(&bytes)).map(|roads| Roads { days, ..roads }))
}

impl Stalled {
    /// It goes by another road now, which is durable.
    pub fn forget(&self, spool: &Spool) -> durable::Result<()> {
        match spool.find(&[&self.node.to_string(), ROAD])? {
            Some(dir) => gone(dir.unlink(body_name(&self.packet, self.roads.days.into()).as_ref())),
            None => Ok(()),
        }
    }

    /// Leads whoever asks for the packet, where word of it is wanted, to what it became.
    pub fn lead_on(&self, spool: &Spool, road: &Road, run: &Run, barrier: &mut Barrier) -> durable::Result<()> {
        if let Some(record) = road.record() {
            way::note(spool, &road.to, &road.packet(), &record, run, Some(&mut *barrier))?;
        }
        let known = match way::open(spool, &self.node)? {
            Some(dir) => way::read(&dir, &self.packet)?,
            None => None,
        };
        match known {
            Some(Record { end, origin: Origin::Ours { hops, .. } }) => {
                let went = Some((road.to, road.packet()));
                let led = Record { end, origin: Origin::Ours { hops, went } };
                way::note(spool, &self.node, &self.packet, &led, run, Some(barrier))
            }
            _ => Ok(()),
        }
    }

    /// Keeps others away from the packet while the guard lives; `false`: somebody is at it, or it is gone.
    pub fn lock(&self) -> durable::Result<(bool, Option<LockGuard>)> {
        envelopes::lock(&self.tx, &self.packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roads_read_back_and_damaged_ones_count_as_none() {
        let road = Road { to: NodeId::from_bytes([1; 32]), envelope: vec![2; 100], way: vec![3; 10] };
        let roads = Roads { roads: vec![road; 2], days: 0 };
        let bytes = roads.to_bytes();
        assert_eq!(Roads::from_bytes(&bytes), Some(roads));
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            assert_eq!(Roads::from_bytes(&damaged), None, "bit of byte {position}");
            assert_eq!(Roads::from_bytes(&bytes[..position]), None, "cut at {position}");
        }
    }
}
