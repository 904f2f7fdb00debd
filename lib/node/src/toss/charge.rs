//! Charges: what lies here because of a neighbour, held against what its file allows (`[link]`).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use mb_spool::layout::{Queue, Spool};
use mb_spool::{bodies, complaints, durable, envelopes, relayed};
use mb_wire::envelope::BodyName;
use mb_wire::id::{NodeId, Root};

use crate::config::{KnownNode, Link};

/// What a neighbour's packets make us keep: those that wait for bodies, and those that were relayed and have not gone on. A
/// body counts once for each packet that lists it, here or not.
#[derive(Debug, Default)]
pub struct Charge {
    packet_count: u64,
    len: u64,
    /// Complaints of receivers, once they were asked for.
    complaint_count: Option<u64>,
    sharing: HashMap<Root, u32>,
}

impl Charge {
    /// Reads the ticket of every packet that waits or was relayed.
    pub fn read(spool: &Spool, from: &NodeId) -> durable::Result<Charge> {
        let mut charge = Charge::default();
        for ticket in relayed::tickets(spool, from)? {
            charge.add(ticket.bodies.iter().map(|body| (body.root, body.size)));
        }
        let Some(dir) = spool.find_queue(from, Queue::Wait)? else { return Ok(charge) };
        for packet in bodies::packets(&dir)?.envelopes {
            if let Some(prefix) = envelopes::prefix(&dir, &packet)? {
                charge.add(prefix.bodies.iter().map(|body| (body.root, body.size)));
            }
        }
        Ok(charge)
    }

    /// One more packet, with these bodies.
    pub fn add(&mut self, bodies: impl Iterator<Item = (Root, u64)>) {
        self.packet_count += 1;
        for (root, size) in bodies {
            self.len = self.len.saturating_add(size);
            *self.sharing.entry(root).or_default() += 1;
        }
    }

    /// Whether one more packet with these bodies may wait.
    pub fn admits(&self, link: &Link, mut bodies: impl Iterator<Item = (Root, u64)> + Clone) -> bool {
        let len = bodies.clone().fold(self.len, |len, (_, size)| len.saturating_add(size));
        let is_shared = |(root, _)| self.sharing.get(&root).is_some_and(|count| *count >= link.most_sharing);
        link.most_packets.is_none_or(|most| self.packet_count < most)
            && link.most_bytes.is_none_or(|most| len <= most)
            && !bodies.any(is_shared)
    }
}

/// The charges of all neighbours, each read when it is asked for. Threads may ask at the same time.
#[derive(Default)]
pub struct Charges(Mutex<BTreeMap<NodeId, Charge>>);

impl Charges {
    /// Charges `from` for one more packet with these bodies, if it may have that.
    pub fn admit(&self, spool: &Spool, from: &KnownNode, bodies: &[BodyName]) -> durable::Result<bool> {
        let bodies = bodies.iter().map(|body| (body.root, body.size));
        self.with(spool, &from.id(), |charge| {
            let admits = charge.admits(&from.link, bodies.clone());
            if admits {
                charge.add(bodies);
            }
            admits
        })
    }

    /// How many complaints there are about what `from` hands over.
    pub fn complaints(&self, spool: &Spool, from: &NodeId) -> durable::Result<u64> {
        self.with(spool, from, |charge| match charge.complaint_count {
            Some(count) => Ok(count),
            None => Ok(*charge.complaint_count.insert(complaints::of(spool, from)?)),
        })?
    }

    fn with<T>(&self, spool: &Spool, from: &NodeId, work: impl FnOnce(&mut Charge) -> T) -> durable::Result<T> {
        let mut charges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(match charges.entry(*from) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(Charge::read(spool, from)?),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(number: u8) -> Root {
        Root::from_bytes([number; 32])
    }

    #[test]
    fn a_neighbour_may_make_us_keep_so_much_and_no_more() {
        let link = Link { from: true, most_bytes: Some(1000), most_packets: Some(3), most_sharing: 2 };
        let mut charge = Charge::default();
        let bodies = |number, size| [(root(number), size)].into_iter();
        assert!(charge.admits(&link, bodies(1, 1000)));
        assert!(!charge.admits(&link, bodies(1, 1001)), "too many bytes at once");
        assert!(!charge.admits(&link, bodies(1, u64::MAX)), "a claim is no number to trust");
        charge.add(bodies(1, 300));
        assert!(!charge.admits(&link, bodies(2, 701)), "too many bytes together");
        charge.add(bodies(1, 300));
        assert!(!charge.admits(&link, bodies(1, 1)), "shared by as many as may");
        assert!(charge.admits(&link, bodies(2, 400)));
        charge.add(bodies(2, 0));
        assert!(!charge.admits(&link, bodies(3, 0)), "too many packets");
    }
}
