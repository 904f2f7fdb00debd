//! Late: what has lain in a `tx/` for too long. Once a day: what has seen its last day goes to `bad/`; of what is under way, and has
//! waited longer than the next node's `send.deadline`, its author hears that it stalls. Both tell only authors who want word.
//!
//! Before: `reroute`, so that what can still go by another road does. Whoever dies here leaves the rest to the next day.

use std::collections::BTreeMap;
use std::path::Path;

use mb_spool::bad::{self, Condemned};
use mb_spool::bodies::is_in_queue;
use mb_spool::class::{Class, Failure};
use mb_spool::date::day_text;
use mb_spool::durable::{self, DirRef, Kind, Lock, LockGuard};
use mb_spool::envelopes;
use mb_spool::layout::Queue;
use mb_spool::names::Name;
use mb_spool::roads;
use mb_spool::sent::UNKEPT_MODE;
use mb_spool::way;
use mb_wire::id::{NodeId, PacketId};
use mb_wire::report::{Receipt, Stage};

use super::answer::{Answers, Asked};
use super::decide::Word;
use super::{Event, Failed, Job, Tell};

const DAY_SECS: u64 = 86_400;

/// A `tx/` that is looked through.
struct Waiting<'j, 't, 'a> {
    job: &'j Job<'t, 'a>,
    /// For whom.
    node: NodeId,
    tx: DirRef,
    way: Option<DirRef>,
    /// Packets for it that have other roads, with their days.
    roads: BTreeMap<PacketId, u16>,
    /// What waits since then or before stalls, in seconds since 1970.
    stalled_since: Option<i64>,
}

/// Packets that are late.
#[derive(Default)]
struct Late {
    ended: Vec<Ended>,
    stalled: Vec<PacketId>,
}

/// A packet whose last day is over.
struct Ended {
    packet: PacketId,
    end: u32,
    body_count: usize,
    _lock: Option<LockGuard>,
}

impl Job<'_, '_> {
    /// Looks at all that waits to be handed over, in memory that does not grow with it.
    pub(super) fn look_for_late(&self, tell: Tell) -> durable::Result<()> {
        let spool = self.tosser.spool;
        for node in spool.nodes()?.into_iter().filter(|node| *node != spool.own()) {
            let Some(tx) = spool.find_queue(&node, Queue::Tx)? else { continue };
            // A call is handing it over: tomorrow, then.
            if matches!(tx.try_lock()?, Lock::Busy) {
                continue;
            }
            let deadline = self.tosser.nodes.node(&node).map(|node| u64::from(node.send.deadline) * DAY_SECS);
            let waiting = Waiting {
                way: way::open(spool, &node)?,
                roads: roads::all_of(spool, &node)?,
                stalled_since: deadline.map(|deadline| self.tosser.now.saturating_sub(deadline).cast_signed()),
                job: self,
                node,
                tx,
            };
            waiting.look(tell)?;
        }
        Ok(())
    }
}

impl Waiting<'_, '_, '_> {
    fn look(&self, tell: Tell) -> durable::Result<()> {
        let mut late = Late::default();
        for entry in self.tx.list()? {
            let entry = entry?;
            let (Name::Envelope(packet), Kind::File) = (Name::parse(&entry.name), entry.kind) else { continue };
            self.look_at(packet, &mut late)?;
            if late.ended.len() + late.stalled.len() >= self.job.tosser.batch.max(1) {
                self.end(std::mem::take(&mut late), tell)?;
            }
        }
        self.end(late, tell)
    }

    fn look_at(&self, packet: PacketId, late: &mut Late) -> durable::Result<()> {
        let stat = match self.tx.stat(packet.to_string().as_ref()) {
            Err(error) if error.is_missing() => return Ok(()),
            other => other?,
        };
        // Answers go without a word.
        if stat.mode & 0o777 == UNKEPT_MODE {
            return Ok(());
        }
        let Some(prefix) = envelopes::prefix(&self.tx, &packet)? else { return Ok(()) };
        if self.job.today.day <= prefix.end {
            if self.is_stalled(&packet, stat.modified.0)? {
                late.stalled.push(packet);
            }
            return Ok(());
        }
        if self.has_road(&packet)? {
            return Ok(());
        }
        if let (true, lock) = envelopes::lock(&self.tx, &packet)? {
            late.ended.push(Ended { packet, end: prefix.end, body_count: prefix.bodies.len(), _lock: lock });
        }
        Ok(())
    }

    /// Whether its author is to hear that it stalls: once, and not if it was handed over and is only put out again.
    fn is_stalled(&self, packet: &PacketId, since: i64) -> durable::Result<bool> {
        let Some(way) = self.way.as_ref().filter(|_| self.stalled_since.is_some_and(|last| since <= last)) else {
            return Ok(false);
        };
        if way::is_stalled(way, packet)? || self.asked(packet)?.is_none() {
            return Ok(false);
        }
        Ok(!is_in_queue(self.job.tosser.spool, &self.node, Queue::Sent, packet)?)
    }

    /// Whether another road is still open for it.
    fn has_road(&self, packet: &PacketId) -> durable::Result<bool> {
        match self.roads.get(packet) {
            Some(days) => roads::is_open_on(self.job.tosser.spool, &self.node, (packet, *days), self.job.today.day),
            None => Ok(false),
        }
    }

    /// Who wants to hear of it.
    fn asked(&self, packet: &PacketId) -> durable::Result<Option<Asked<'_>>> {
        self.way.as_ref().map_or(Ok(None), |way| self.job.tosser.asked(way, packet))
    }

    /// Tells the authors, then moves what has ended: the input goes last.
    fn end(&self, late: Late, tell: Tell) -> durable::Result<()> {
        let Job { tosser, today, run, .. } = *self.job;
        let ended = late.ended.iter().map(|ended| (&ended.packet, Stage::Expired));
        let stalled = late.stalled.iter().map(|packet| (packet, Stage::Stalled));
        let mut answers = Answers::default();
        for (packet, stage) in ended.chain(stalled) {
            if let Some(Asked { to, packet, about }) = self.asked(packet)? {
                let receipt = Receipt { about, stage, why: String::new(), time: tosser.now };
                answers.receipt(tosser, &Word { to, mark: about, reply: None }, packet, &receipt);
            }
        }
        answers.publish(tosser, today.day, run)?;
        if let Some(way) = &self.way {
            late.stalled.iter().try_for_each(|packet| way::note_stalled(way, packet, run))?;
        }
        late.ended.iter().for_each(|ended| tell(Event::Failed(&self.put_away(ended))));
        Ok(())
    }

    /// Moves a packet to `bad/`. If that fails, it stays, and is looked at tomorrow.
    fn put_away(&self, ended: &Ended) -> Failed {
        let Ended { packet, end, body_count, .. } = ended;
        let queue = format!("{}/{}", self.node, Queue::Tx.name());
        let why = format!("nobody came for it until its last day, {}", day_text(*end));
        let condemned = Condemned { from: &self.tx, queue: Path::new(&queue), packet, why: &why };
        let moved = bad::condemn_sound(self.job.tosser.spool, &condemned, *body_count, self.job.run);
        let thing = format!("{queue}/{packet}");
        match moved {
            Ok(()) => Failed { thing, from: None, why, class: Class::Data, remedy: None, is_condemned: true },
            Err(error) => Failed {
                thing,
                from: None,
                why: error.to_string(),
                class: error.class(),
                remedy: error.remedy(),
                is_condemned: false,
            },
        }
    }
}
