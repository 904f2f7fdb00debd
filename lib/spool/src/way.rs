//! `NODE/way/`: of packets that are handed to NODE, where they came from, or that they are ours and we want to hear of them; so
//! that reports find their way back. Of onions only if they are ours: their relays hear nothing (`replies.rs`).
//!
//! `PKT` is a record; `PKT.n`, of a packet of ours, the newest receipt by its hop of number n, and of somebody else's, a report that was
//! passed on, or, of number 33, nothing but that its author was told that it stalls. `self/handed/PKT` says that a relayed packet has left, until its neighbour is told. What is lost of all this is a receipt, never a packet.

use mb_wire::hash::Label;
use mb_wire::id::{Mark, NodeId, PacketId};

use crate::barrier::Barrier;
use crate::bodies::exists;
use crate::durable::{self, DirRef, Kind};
use crate::layout::Spool;
use crate::names::{Name, body_name};
use crate::record;
use crate::run::{Run, gone};

/// The folder's name.
pub const WAY: &str = "way";
/// The name, in `self/`, of the folder of packets that have left.
pub const HANDED: &str = "handed";
/// The number of the empty file that says that the author of a packet was told that it stalls: behind those of reports.
pub const STALLED: usize = 33;
/// A record longer than this is damaged.
const MOST_RECORD_LEN: usize = 2048;
/// A receipt longer than this is damaged.
const MOST_RECEIPT_LEN: usize = 1024;

/// Days for which a way is known after its packet's last day, or after it went on, if no word of it is wanted: reports travel too.
pub const AFTER_DAYS: u32 = 35;

/// What is known of a packet's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The last day on which anything is to be known.
    pub end: u32,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a packet came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A neighbour handed it over.
    Relayed {
        /// The neighbour.
        from: NodeId,
        /// The packet, as it came.
        packet: PacketId,
        /// Where its author wants to hear of it: what we remember it by.
        mark: Option<Mark>,
    },
    /// We wrote it.
    Ours {
        /// Who may say something of it, the recipient last.
        hops: Vec<Hop>,
        /// Who was handed it by another road since, and what it is called there.
        went: Option<(NodeId, PacketId)>,
    },
}

/// A node on the way of a packet of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// The node.
    pub node: NodeId,
    /// What it remembers the packet by.
    pub mark: Mark,
}

impl Record {
    /// The record as it lies on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut lines = format!("end {}\n", self.end);
        match &self.origin {
            Origin::Relayed { from, packet, mark } => {
                lines.push_str(&format!("from {from} {packet}\n"));
                lines.extend(mark.map(|mark| format!("mark {mark}\n")));
            }
            Origin::Ours { hops, went } => {
                lines.extend(hops.iter().map(|Hop { node, mark }| format!("hop {node} {mark}\n")));
                lines.extend(went.map(|(node, packet)| format!("went {node} {packet}\n")));
            }
        }
        record::with_sum(Label::Way, &lines)
    }

    /// Reads a record; `None` if it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let mut lines = record::lines(Label::Way, bytes)?.lines();
        let end = lines.next()?.strip_prefix("end ")?.parse().ok()?;
        let first = lines.next()?;
        let origin = match first.strip_prefix("from ") {
            Some(from) => {
                let (from, packet) = node_and_packet(from)?;
                let mark = match lines.next() {
                    Some(line) => Some(line.strip_prefix("mark ")?.parse().ok()?),
                    None => None,
                };
                Origin::Relayed { from, packet, mark }
            }
            None => {
                let (mut hops, mut went) = (vec![hop(first)?], None);
                for line in lines.by_ref() {
                    match line.strip_prefix("went ") {
                        Some(words) if went.is_none() => went = Some(node_and_packet(words)?),
                        _ if went.is_none() => hops.push(hop(line)?),
                        _ => return None,
                    }
                }
                Origin::Ours { hops, went }
            }
        };
        lines.next().is_none().then_some(Record { end, origin })
    }
}

fn node_and_packet(words: &str) -> Option<(NodeId, PacketId)> {
    let (node, packet) = words.split_once(' ')?;
    Some((node.parse().ok()?, packet.parse().ok()?))
}

fn hop(line: &str) -> Option<Hop> {
    let (node, mark) = line.strip_prefix("hop ")?.split_once(' ')?;
    Some(Hop { node: node.parse().ok()?, mark: mark.parse().ok()? })
}

/// Writes down the way of `packet`, which is to be handed to `next`. Durable when `barrier` is; without one it may be lost.
pub fn note(
    spool: &Spool,
    next: &NodeId,
    packet: &PacketId,
    record: &Record,
    run: &Run,
    barrier: Option<&mut Barrier>,
) -> durable::Result<()> {
    let dir = spool.make(&[&next.to_string(), WAY])?;
    record::put(&dir, &packet.to_string(), &record.to_bytes(), run, barrier)
}

/// Keeps what the hop of that number says of a packet of ours, instead of what it said before.
pub fn keep_receipt(
    way: &DirRef,
    packet: &PacketId,
    hop: usize,
    receipt: &[u8],
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    record::put(way, &body_name(packet, hop), receipt, run, Some(barrier))
}

/// Writes down that the author of a relayed packet was told that it stalls. It may be lost; then he is told again.
pub fn note_stalled(way: &DirRef, packet: &PacketId, run: &Run) -> durable::Result<()> {
    record::put(way, &body_name(packet, STALLED), &[], run, None)
}

/// Whether the author of a relayed packet was told that it stalls.
pub fn is_stalled(way: &DirRef, packet: &PacketId) -> durable::Result<bool> {
    exists(&**way, &body_name(packet, STALLED))
}

/// The ways of what is handed to `next`, if there are any.
pub fn open(spool: &Spool, next: &NodeId) -> durable::Result<Option<DirRef>> {
    spool.find(&[&next.to_string(), WAY])
}

/// The record of `packet`, if it is there and whole.
pub fn read(way: &DirRef, packet: &PacketId) -> durable::Result<Option<Record>> {
    Ok(record::read(way, &packet.to_string(), MOST_RECORD_LEN)?.and_then(|bytes| Record::from_bytes(&bytes)))
}

/// What the hop of that number said last, unverified.
pub fn receipt(way: &DirRef, packet: &PacketId, hop: usize) -> durable::Result<Option<Vec<u8>>> {
    record::read(way, &body_name(packet, hop), MOST_RECEIPT_LEN)
}

/// Notes that `packet` has left for `next`, if a neighbour is to be told.
pub fn handed(spool: &Spool, next: &NodeId, way: &DirRef, packet: &PacketId, run: &Run) -> durable::Result<()> {
    if !matches!(read(way, packet)?, Some(Record { origin: Origin::Relayed { mark: Some(_), .. }, .. })) {
        return Ok(());
    }
    let dir = spool.make(&["self", HANDED])?;
    record::put(&dir, &packet.to_string(), next.to_string().as_bytes(), run, None)
}

/// A packet that has left, of which its neighbour is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The packet.
    pub packet: PacketId,
    /// For whom.
    pub next: NodeId,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// The packets that have left; of many the first `most`. What does not say for whom is removed.
pub fn left(spool: &Spool, most: usize) -> durable::Result<Vec<Left>> {
    let mut found = Vec::new();
    let Some(dir) = spool.find(&["self", HANDED])? else { return Ok(found) };
    for entry in dir.list()? {
        if found.len() >= most {
            break;
        }
        let entry = entry?;
        let (Name::Envelope(packet), Kind::File) = (Name::parse(&entry.name), entry.kind) else { continue };
        let text = record::read(&dir, &packet.to_string(), MOST_RECORD_LEN)?;
        match text.as_deref().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()) {
            Some(next) => {
                let time = u64::try_from(dir.stat(&entry.name)?.modified.0).unwrap_or(0);
                found.push(Left { packet, next, time });
            }
            None => gone(dir.unlink(&entry.name))?,
        }
    }
    found.sort_unstable_by_key(|left| left.packet);
    Ok(found)
}

/// Their neighbours were told.
pub fn end_left(spool: &Spool, packets: impl Iterator<Item = PacketId>) -> durable::Result<()> {
    let Some(dir) = spool.find(&["self", HANDED])? else { return Ok(()) };
    packets.into_iter().try_for_each(|packet| gone(dir.unlink(packet.to_string().as_ref())))
}

/// The nodes that `packet` was handed to, or waits for, with their ways. One, but for what another node named the same.
pub fn find(spool: &Spool, packet: &PacketId) -> durable::Result<Vec<(NodeId, DirRef, Record)>> {
    let mut found = Vec::new();
    for node in spool.nodes()? {
        if let Some(way) = open(spool, &node)?
            && let Some(record) = read(&way, packet)?
        {
            found.push((node, way, record));
        }
    }
    Ok(found)
}

/// Forgets what ended before `today`, what is damaged, and receipts without a record.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    for node in spool.nodes()? {
        let Some(way) = open(spool, &node)? else { continue };
        let names = way.list()?.collect::<durable::Result<Vec<_>>>()?;
        let (mut records, mut receipts) = (Vec::new(), Vec::new());
        for entry in names.iter().filter(|entry| entry.kind == Kind::File) {
            match Name::parse(&entry.name) {
                Name::Envelope(packet) => records.push(packet),
                Name::Body(packet, _) => receipts.push((packet, &entry.name)),
                _ => {}
            }
        }
        for packet in records {
            if read(&way, &packet)?.is_none_or(|record| record.end < today) {
                gone(way.unlink(packet.to_string().as_ref()))?;
            }
        }
        for (packet, name) in receipts {
            if !exists(&*way, &packet.to_string())? {
                gone(way.unlink(name))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_counts_as_none() {
        let (node, packet, mark) =
            (NodeId::from_bytes([1; 32]), PacketId::from_bytes([2; 32]), Mark::from_bytes([3; 32]));
        let origins = [
            Origin::Relayed { from: node, packet, mark: None },
            Origin::Relayed { from: node, packet, mark: Some(mark) },
            Origin::Ours { hops: vec![Hop { node, mark }; 8], went: None },
            Origin::Ours { hops: vec![Hop { node, mark }; 8], went: Some((node, packet)) },
        ];
        for origin in origins {
            let record = Record { end: 20_000, origin };
            let bytes = record.to_bytes();
            assert!(bytes.len() < MOST_RECORD_LEN);
            assert_eq!(Record::from_bytes(&bytes), Some(record));
            for position in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[position] ^= 1;
                assert_eq!(Record::from_bytes(&damaged), None, "bit of byte {position}");
                assert_eq!(Record::from_bytes(&bytes[..position]), None, "cut at {position}");
            }
        }
    }
}
