//! Which packet goes first, in memory that does not grow with the length of a queue.
//!
//! A queue is gone through in passes. Each pass reads all of it, and keeps the first so many of those that come after the
//! last one of the pass before; what came meanwhile is met in a later pass or a later run.

use std::collections::BinaryHeap;

use mb_spool::bodies::sweep_orphan;
use mb_spool::durable::{self, DirRef, FileRef, Kind};
use mb_spool::envelopes::read_whole;
use mb_spool::names::Name;
use mb_spool::run::Run;
use mb_wire::envelope::read_prefix;
use mb_wire::id::PacketId;
use mb_wire::size::ENVELOPE_MOST;

use crate::destination::Destination;
use crate::stick::{none_if_missing, packet_named};

/// How many packets a pass keeps: 5 MB of them.
pub(crate) const MOST_AT_ONCE: usize = 100_000;

/// Keeps the least of what it is shown.
pub(crate) struct Least<T> {
    most: usize,
    heap: BinaryHeap<T>,
}

impl<T: Ord> Least<T> {
    /// Keeps at most `most`.
    pub fn new(most: usize) -> Least<T> {
        Least { most, heap: BinaryHeap::new() }
    }

    /// Shows it one more.
    pub fn offer(&mut self, item: T) {
        if self.heap.len() < self.most {
            self.heap.push(item);
        } else if let Some(mut greatest) = self.heap.peek_mut()
            && item < *greatest
        {
            *greatest = item;
        }
    }

    /// What it kept, in order.
    pub fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

/// A packet that is to go out. Lesser ones go first: the highest priority, then the smaller, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiting {
    /// Its priority.
    pub nice: u8,
    /// Bytes of envelope and bodies.
    pub len: u64,
    /// The packet.
    pub packet: PacketId,
    /// For which destination.
    pub queue: u32,
}

/// The next packets for `destinations` after `after`, at most [`MOST_AT_ONCE`].
pub(crate) fn next_waiting(destinations: &[Destination], after: Option<Waiting>) -> durable::Result<Vec<Waiting>> {
    let mut least = Least::new(MOST_AT_ONCE);
    for (index, Destination { queue, .. }) in destinations.iter().enumerate() {
        for entry in queue.list()? {
            let Name::Envelope(packet) = Name::parse(&entry?.name) else { continue };
            let Some((nice, len)) = weigh(queue, &packet)? else { continue };
            let waiting = Waiting { nice, len, packet, queue: index as u32 };
            if after.is_none_or(|after| after < waiting) {
                least.offer(waiting);
            }
        }
    }
    Ok(least.into_sorted())
}

/// Priority and size of a packet. One that cannot be read or makes no sense comes last, where it is told.
fn weigh(queue: &DirRef, packet: &PacketId) -> durable::Result<Option<(u8, u64)>> {
    let last = Ok(Some((u8::MAX, u64::MAX)));
    let file = match none_if_missing(queue.open(packet.to_string().as_ref())) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) if error.is_temporary() => return Err(error),
        Err(_) => return last,
    };
    let Ok(Some(envelope)) = read_bounded(&file) else { return last };
    match read_prefix(&envelope) {
        Ok(prefix) => {
            let bodies: u64 = prefix.bodies.iter().map(|body| body.size).sum();
            Ok(Some((prefix.nice, envelope.len() as u64 + bodies)))
        }
        Err(_) => last,
    }
}

/// The content of an envelope's file; `None` if it is too long to be one.
pub(crate) fn read_bounded(file: &FileRef) -> durable::Result<Option<Vec<u8>>> {
    match file.stat()?.len {
        len if len <= ENVELOPE_MOST as u64 => Ok(Some(read_whole(file, len as usize)?)),
        _ => Ok(None),
    }
}

/// Removes bodies in a queue whose envelope is not there: the rest of a packet that was being removed.
pub(crate) fn sweep_orphans(queue: &DirRef, run: &Run) -> durable::Result<()> {
    for entry in queue.list()? {
        if let Name::Body(packet, number) = Name::parse(&entry?.name) {
            sweep_orphan(queue, &packet, number, run)?;
        }
    }
    Ok(())
}

/// The next packets in the folder `shard` of a stick after `after`, at most `most`, with what each name stands for.
pub(crate) fn next_packets(
    dir: &DirRef,
    shard: &str,
    after: Option<PacketId>,
    most: usize,
) -> durable::Result<Vec<PacketId>> {
    let mut least = Least::new(most);
    for entry in dir.list()? {
        let packet = packet_named(&entry?.name, shard);
        packet
            .filter(|packet| after.is_none_or(|after| after < *packet))
            .into_iter()
            .for_each(|packet| least.offer(packet));
    }
    Ok(least.into_sorted())
}

/// Names of one kind in a folder, at most `most` of them.
pub(crate) fn some_names<T>(
    dir: &DirRef,
    kind: Kind,
    most: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> durable::Result<Vec<T>> {
    let mut names = Vec::new();
    for entry in dir.list()? {
        let entry = entry?;
        names.extend(entry.name.to_str().filter(|_| entry.kind == kind).and_then(&parse));
        if names.len() >= most {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_kept_in_order() {
        let mut least = Least::new(3);
        [5, 1, 4, 1, 3, 9].into_iter().for_each(|number| least.offer(number));
        assert_eq!(least.into_sorted(), [1, 1, 3]);
        let mut none = Least::new(0);
        none.offer(1);
        assert_eq!(none.into_sorted(), []);
    }
}
