//! What waits: counts and sizes of a folder of packets, in memory that does not grow with it. Reads only.
//!
//! A packet's bytes are those of its envelope and of its bodies that are here. A body that several packets share counts
//! for each of them: that is what each will cost when it travels alone.

use std::path::PathBuf;

use mb_wire::envelope::{Prefix, read_prefix};
use mb_wire::id::{NodeId, PacketId};

use crate::bad;
use crate::durable::{self, DirRef, Stat};
use crate::envelopes::{self, Read};
use crate::layout::{Queue, Spool};
use crate::names::{Name, body_name};
use crate::partial;
use crate::places::{Place, for_each_place};
use crate::tries::{self, Tries};

/// What is asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// Only what is for these nodes or came from them, and what is named by `packets`; if both are empty: everything.
    pub nodes: Vec<NodeId>,
    /// Only these packets, one by one.
    pub packets: Vec<PacketId>,
    /// Every packet by itself, not a sum for each queue.
    pub each: bool,
}

impl Asked {
    /// Whether everything is asked for.
    pub fn is_all(&self) -> bool {
        self.nodes.is_empty() && self.packets.is_empty()
    }

    /// Whether the queues of `node` are asked for; those of nobody in particular only if everything is.
    pub fn takes_node(&self, node: Option<NodeId>) -> bool {
        self.is_all() || node.is_some_and(|node| self.nodes.contains(&node))
    }
}

/// One thing to tell.
#[derive(Debug)]
pub struct Row {
    /// The word for where it lies.
    pub queue: &'static str,
    /// The node that it goes to or comes from.
    pub node: Option<NodeId>,
    /// What it is.
    pub what: What,
}

/// What a row is about.
#[derive(Debug)]
pub enum What {
    /// A queue that is not empty.
    Sum(Tally),
    /// A packet, and what else is known of it.
    Packet(Box<Waiting>, Option<Note>),
}

/// What else is known of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Why it is in `bad/`.
    Why(String),
    /// Where the files of it that are whole were delivered.
    Partial(PathBuf),
    /// How often its command was tried.
    Tried(Tries),
}

/// Tells what waits in a spool, as far as it is asked for. Packets in `bad/` are told one by one, since each has a reason.
pub fn in_spool(spool: &Spool, asked: &Asked, tell: &mut dyn FnMut(Row)) -> durable::Result<()> {
    // Read at once, and only if a packet that waits is told by itself.
    let mut tries = None;
    for_each_place(spool, |place, dir| {
        let (queue, node) = (place.word(), place.node());
        let mut one = |waiting: Waiting| {
            let note = match place {
                Place::Bad => bad::why(&dir, &waiting.packet)?.map(Note::Why),
                Place::Wait(_) => match partial::find(spool, &waiting.packet)? {
                    Some(path) => Some(Note::Partial(path)),
                    None => {
                        if tries.is_none() {
                            tries = Some(tries::by_packet(spool)?);
                        }
                        tries.as_ref().and_then(|tries| tries.get(&waiting.packet)).cloned().map(Note::Tried)
                    }
                },
                _ => None,
            };
            let node = node.or(waiting.prefix.as_ref().map(|prefix| prefix.to));
            tell(Row { queue, node, what: What::Packet(Box::new(waiting), note) });
            Ok::<(), durable::Error>(())
        };
        if !asked.takes_node(node) {
            let named = asked.packets.iter().filter_map(|packet| look(&dir, packet).transpose());
            return named.into_iter().try_for_each(|waiting| one(waiting?));
        }
        if asked.each || place == Place::Bad {
            return for_each_packet(&dir, one);
        }
        let tally = if matches!(place, Place::Wait(_)) { tally_bodies(&dir)? } else { tally(&dir)? };
        if tally.packet_count > 0 {
            tell(Row { queue, node, what: What::Sum(tally) });
        }
        Ok(())
    })
}

/// One packet.
#[derive(Debug)]
pub struct Waiting {
    /// Its id.
    pub packet: PacketId,
    /// When its envelope was written, in seconds since 1970.
    pub since: i64,
    /// Bytes.
    pub len: u64,
    /// What stands in clear; `None` if the envelope is damaged.
    pub prefix: Option<Prefix>,
    /// Bodies that are here.
    pub here_count: u64,
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets.
    pub packet_count: u64,
    /// Bytes.
    pub len: u64,
    /// When the oldest envelope was written.
    pub since: Option<i64>,
    /// Bodies that are here, and bodies that the packets list, where that was counted.
    pub bodies: Option<(u64, u64)>,
}

impl Tally {
    /// Counts one packet, and its bodies.
    pub fn add(&mut self, waiting: &Waiting) {
        self.packet(waiting.since);
        self.len += waiting.len;
        let (here_count, count) = self.bodies.unwrap_or_default();
        let listed = waiting.prefix.as_ref().map_or(0, |prefix| prefix.bodies.len() as u64);
        self.bodies = Some((here_count + waiting.here_count, count + listed));
    }

    fn packet(&mut self, since: i64) {
        self.packet_count += 1;
        self.since = Some(self.since.map_or(since, |oldest| oldest.min(since)));
    }
}

/// Counts a folder by its envelopes, which say how many bodies there should be.
fn tally_bodies(dir: &DirRef) -> durable::Result<Tally> {
    let mut tally = Tally::default();
    for_each_packet(dir, |waiting| {
        tally.add(&waiting);
        Ok::<(), durable::Error>(())
    })?;
    Ok(tally)
}

/// Counts a folder by its names alone: one look at each, no file is opened.
pub fn tally(dir: &DirRef) -> durable::Result<Tally> {
    let mut tally = Tally::default();
    for entry in dir.list()? {
        let name = entry?.name;
        let kind = Name::parse(&name);
        if !matches!(kind, Name::Envelope(_) | Name::Body(..)) {
            continue;
        }
        let Some(stat) = stat(dir, &name)? else { continue };
        tally.len += stat.len;
        if matches!(kind, Name::Envelope(_)) {
            tally.packet(stat.modified.0);
        }
    }
    Ok(tally)
}

/// Whether a packet for `node` is to be handed over, with at most this nice if one is given. Without one, names are enough
/// and no file is opened; with one, a damaged envelope counts for nothing.
pub fn waits(spool: &Spool, node: &NodeId, most_nice: Option<u8>) -> durable::Result<bool> {
    let Some(dir) = spool.find_queue(node, Queue::Tx)? else { return Ok(false) };
    for entry in dir.list()? {
        let Name::Envelope(packet) = Name::parse(&entry?.name) else { continue };
        let Some(most) = most_nice else { return Ok(true) };
        match envelopes::prefix(&dir, &packet) {
            Ok(prefix) if prefix.as_ref().is_some_and(|prefix| prefix.nice <= most) => return Ok(true),
            Err(error) if !error.is_wrong_kind() => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// Calls `visit` with every packet of a folder, in no order.
pub fn for_each_packet<E: From<durable::Error>>(
    dir: &DirRef,
    mut visit: impl FnMut(Waiting) -> Result<(), E>,
) -> Result<(), E> {
    for entry in dir.list()? {
        if let Name::Envelope(packet) = Name::parse(&entry?.name)
            && let Some(waiting) = look(dir, &packet)?
        {
            visit(waiting)?;
        }
    }
    Ok(())
}

/// One packet of a folder; `None` if it has gone.
pub fn look(dir: &DirRef, packet: &PacketId) -> durable::Result<Option<Waiting>> {
    let Some(stat) = stat(dir, packet.to_string().as_ref())? else { return Ok(None) };
    let prefix = match envelopes::read(dir, packet) {
        Ok(Read::Whole(bytes)) => read_prefix(&bytes).ok(),
        Ok(Read::Missing) => return Ok(None),
        Ok(Read::Damaged) => None,
        Err(error) if error.is_wrong_kind() => None,
        Err(error) => return Err(error),
    };
    let mut waiting = Waiting { packet: *packet, since: stat.modified.0, len: stat.len, prefix, here_count: 0 };
    let count = waiting.prefix.as_ref().map_or(0, |prefix| prefix.bodies.len());
    for number in 0..count {
        if let Some(stat) = self::stat(dir, body_name(packet, number).as_ref())? {
            waiting.len += stat.len;
            waiting.here_count += 1;
        }
    }
    Ok(Some(waiting))
}

fn stat(dir: &DirRef, name: &std::ffi::OsStr) -> durable::Result<Option<Stat>> {
    match dir.stat(name) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
