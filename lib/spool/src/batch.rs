//! Make, commit, publish: a batch of packets that is sent whole or not at all.
//!
//! A batch is made in `tmp/RUN/out/`, synced once, and committed by one rename to `self/out/RUN`: before it nothing is
//! sent, after it all is. Publishing links the names into `NODE/tx/` and shrinks the batch; it can be done by anybody,
//! again and at the same time: whoever runs next finishes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mb_wire::envelope::packet_id;
use mb_wire::id::{NodeId, PacketId};

use crate::barrier::{Barrier, MANY_DIRS};
use crate::bodies::{self, exists, link_or_copy};
use crate::durable::{self, DirRef, Entry, FileRef, Kind};
use crate::layout::{DIR_MODE, FILE_MODE, Queue, Spool};
use crate::names::body_name;
use crate::once::{self, OnceRecord};
use crate::run::{Run, gone, remove_tree};

/// The name of the batch that a run makes, in its folder.
const OUT: &str = "out";
/// Names that are made durable together, and more of one node; each takes memory.
const NAMES_AT_ONCE: usize = 8192;
/// The name of a batch's `--once` record.
const ONCE: &str = "once";

/// A batch that is being made. Threads may add to it at the same time.
pub struct Batch<'a> {
    spool: &'a Spool,
    run: &'a Run,
    out: DirRef,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The nodes that something is for.
    nodes: BTreeSet<NodeId>,
    /// The folders of some of them.
    open: BTreeMap<NodeId, DirRef>,
    barrier: Barrier,
}

impl<'a> Batch<'a> {
    /// An empty batch; the run has no other at that time.
    pub fn new(spool: &'a Spool, run: &'a Run) -> durable::Result<Batch<'a>> {
        run.dir().make_dir(OUT.as_ref(), DIR_MODE)?;
        let out = run.dir().open_dir(OUT.as_ref())?;
        Ok(Batch { spool, run, out, state: Mutex::default() })
    }

    /// Takes the file of a body, called `name` in the run's folder, into the batch's barrier.
    pub fn wrote_body(&self, file: FileRef, name: &str) {
        self.state().barrier.file(file, self.run.dir(), name);
    }

    /// Adds a packet: its envelope and the bodies that it lists, in that order, by their names in `from`.
    pub fn add<N: AsRef<str>>(
        &self,
        to: NodeId,
        envelope: &[u8],
        from: &DirRef,
        bodies: &[N],
    ) -> durable::Result<PacketId> {
        let packet = packet_id(envelope);
        let dir = self.node_dir(&to)?;
        for (number, body) in bodies.iter().enumerate() {
            link_or_copy(from, body.as_ref(), &dir, &body_name(&packet, number), self.run)?;
        }
        self.create(&dir, packet, envelope)
    }

    fn create(&self, dir: &DirRef, packet: PacketId, envelope: &[u8]) -> durable::Result<PacketId> {
        let name = packet.to_string();
        let file = dir.create(name.as_ref(), FILE_MODE)?;
        file.write_at(envelope, 0)?;
        let many = {
            let mut state = self.state();
            state.barrier.file(file, dir, &name);
            state.barrier.dir(dir);
            state.barrier.split_if_many()
        };
        many.map_or(Ok(packet), |many| many.wait().map(|()| packet))
    }

    fn node_dir(&self, to: &NodeId) -> durable::Result<DirRef> {
        let mut state = self.state();
        if let Some(dir) = state.open.get(to) {
            return Ok(dir.clone());
        }
        let name = to.to_string();
        if !state.nodes.contains(to) {
            self.out.make_dir(name.as_ref(), DIR_MODE)?;
            state.nodes.insert(*to);
        }
        let dir = self.out.open_dir(name.as_ref())?;
        if state.open.len() >= MANY_DIRS {
            state.open.clear();
        }
        state.open.insert(*to, dir.clone());
        Ok(dir)
    }

    /// A thread that panicked leaves the state whole: every change of it is one call.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the batch: durable on return. With a record, everything is sent under it, unless another run was first
    /// with the same one; then this batch is dropped and the other's record returned.
    ///
    /// A crash before the commit leaves `tmp/RUN`, after it `self/out/RUN`.
    pub fn commit(self, record: Option<&OnceRecord>) -> durable::Result<Option<OnceRecord>> {
        let mut barrier = std::mem::take(&mut self.state().barrier);
        if let Some(record) = record {
            let file = self.out.create(ONCE.as_ref(), FILE_MODE)?;
            file.write_at(&record.to_bytes(), 0)?;
            barrier.file(file, &self.out, ONCE);
        }
        barrier.dir(&self.out);
        barrier.wait()?;
        let committed = self.spool.make(&["self", "out"])?;
        self.run.dir().rename(OUT.as_ref(), &*committed, self.run.name().as_ref())?;
        committed.sync()?;
        publish(self.spool, self.run.name(), self.run)?;
        match record {
            Some(record) => once::read(self.spool, &record.name),
            None => Ok(None),
        }
    }
}

/// Sends one packet without bodies by itself: two syncs, one rename straight into `tx/`. Durable on return.
pub fn send_lone(spool: &Spool, run: &Run, to: &NodeId, envelope: &[u8]) -> durable::Result<PacketId> {
    let packet = packet_id(envelope);
    let tx = spool.queue(to, Queue::Tx)?;
    let (name, file) = run.write("lone-", envelope)?;
    file.sync()?;
    run.dir().rename(name.as_ref(), &*tx, packet.to_string().as_ref())?;
    tx.sync()?;
    Ok(packet)
}

/// Publishes every committed batch, whoever made it.
pub fn publish_all(spool: &Spool, run: &Run) -> durable::Result<()> {
    let Some(out) = spool.find(&["self", "out"])? else { return Ok(()) };
    let batches = out.list()?.collect::<durable::Result<Vec<_>>>()?;
    for batch in batches.iter().filter(|batch| batch.kind == Kind::Dir) {
        if let Some(name) = batch.name.to_str() {
            publish(spool, name, run)?;
        }
    }
    Ok(())
}

/// Whether a committed batch waits to be published.
pub fn is_publishing_due(spool: &Spool) -> durable::Result<bool> {
    match spool.find(&["self", "out"])? {
        Some(out) => Ok(out.list()?.next().is_some()),
        None => Ok(false),
    }
}

fn publish(spool: &Spool, name: &str, run: &Run) -> durable::Result<()> {
    let Some(batch) = spool.find(&["self", "out", name])? else { return Ok(()) };
    let out = spool.make(&["self", "out"])?;
    // Whoever committed it may have died before the rename was durable.
    out.sync()?;
    match publish_once(spool, &batch, run) {
        // Another run has published the batch meanwhile.
        Err(error) if error.is_missing() => return Ok(()),
        Ok(false) => return remove_tree(&out, name.as_ref()),
        other => other?,
    };
    let nodes = entries(&batch)?.into_iter().filter(|node| node.kind == Kind::Dir);
    let nodes: Vec<NodeId> = nodes.filter_map(|node| node.name.to_str()?.parse().ok()).collect();
    publish_nodes(spool, &batch, &nodes, run)?;
    gone(batch.unlink(ONCE.as_ref()))?;
    match gone(out.remove_dir(name.as_ref())) {
        // Somebody else is at it too and has made nothing worse.
        Err(error) if error.is_taken() => Ok(()),
        other => other,
    }
}

/// Makes the batch's record count. `false` if another batch of the same record was first: this one is not sent.
fn publish_once(spool: &Spool, batch: &DirRef, run: &Run) -> durable::Result<bool> {
    let Some(record) = once::read_file(batch, ONCE)? else { return Ok(true) };
    let dir = spool.make(&["self", "once"])?;
    link_or_copy(batch, ONCE, &dir, &record.name, run)?;
    dir.sync()?;
    let first = once::read_file(&dir, &record.name)?;
    Ok(first.is_none_or(|first| first.packets == record.packets))
}

/// What of a batch is for one node, with its names in `tx/`, which are not durable yet.
struct Linked {
    node_name: String,
    dir: DirRef,
    tx: DirRef,
    names: Vec<(PacketId, Option<u16>)>,
}

/// Publishes what is for these nodes: for many of them with few syncs.
fn publish_nodes(spool: &Spool, batch: &DirRef, nodes: &[NodeId], run: &Run) -> durable::Result<()> {
    for nodes in nodes.chunks(MANY_DIRS) {
        let mut linked: Vec<Linked> = Vec::with_capacity(nodes.len());
        for (node, tx) in nodes.iter().zip(spool.queues(nodes, Queue::Tx)?) {
            linked.extend(link_node(spool, batch, node, tx, run)?);
            if linked.iter().map(|linked| linked.names.len()).sum::<usize>() > NAMES_AT_ONCE {
                settle_nodes(batch, std::mem::take(&mut linked))?;
            }
        }
        settle_nodes(batch, linked)?;
    }
    Ok(())
}

/// Gives what is for one node its names in `tx`.
fn link_node(spool: &Spool, batch: &DirRef, node: &NodeId, tx: DirRef, run: &Run) -> durable::Result<Option<Linked>> {
    let node_name = node.to_string();
    let Some(dir) = missing_is_none(batch.open_dir(node_name.as_ref()))? else { return Ok(None) };
    let listing = missing_is_none(bodies::packets(&dir))?.unwrap_or_default();
    let envelopes = listing.envelopes.iter().map(|packet| (*packet, None));
    let bodies = listing.bodies.iter().map(|(packet, number)| (*packet, Some(*number)));
    let mut names: Vec<(PacketId, Option<u16>)> = envelopes.chain(bodies).collect();
    drop(listing);
    names.sort_unstable();
    for packet in names.chunk_by(|a, b| a.0 == b.0) {
        let numbers: Vec<u16> = packet.iter().filter_map(|(_, number)| *number).collect();
        publish_packet(spool, &dir, &tx, &packet[0].0, &numbers, run)?;
    }
    Ok(Some(Linked { node_name, dir, tx, names }))
}

/// Makes the names durable; then the batch's own go.
fn settle_nodes(batch: &DirRef, linked: Vec<Linked>) -> durable::Result<()> {
    let mut barrier = Barrier::new();
    linked.iter().for_each(|linked| barrier.dir(&linked.tx));
    if let Err(error) = barrier.wait() {
        linked.iter().for_each(|linked| drop(take_back(&linked.dir, &linked.tx, &linked.names)));
        return Err(error);
    }
    for Linked { node_name, dir, names, .. } in linked {
        // Envelopes are still there if a power cut left them under both names: a rename between two names of a file does nothing.
        names.iter().try_for_each(|name| gone(dir.unlink(file_name(name).as_ref())))?;
        match gone(batch.remove_dir(node_name.as_ref())) {
            Err(error) if error.is_taken() => {}
            other => other?,
        }
    }
    Ok(())
}

/// A name whose sync failed may be gone tomorrow, whatever is synced later: the batch has its packets again, and whoever
/// publishes next makes the names anew.
fn take_back(dir: &DirRef, tx: &DirRef, names: &[(PacketId, Option<u16>)]) -> durable::Result<()> {
    names.iter().try_for_each(|of| {
        let name = file_name(of);
        match of.1 {
            None => gone(tx.rename(name.as_ref(), &**dir, name.as_ref())),
            Some(_) => gone(tx.unlink(name.as_ref())),
        }
    })
}

/// The name of an envelope, or of the body of that number.
fn file_name((packet, number): &(PacketId, Option<u16>)) -> String {
    number.map_or_else(|| packet.to_string(), |number| body_name(packet, usize::from(number)))
}

/// Bodies, then the envelope, then the bodies once more: a sweep may have taken one that had no envelope yet. The batch's
/// own links go when `tx/` is durable.
///
/// An envelope that is not in the batch was published by a run before, whose links of bodies a power cut may have taken:
/// they are made again, unless the packet has gone on from `tx/`.
fn publish_packet(
    spool: &Spool,
    dir: &DirRef,
    tx: &DirRef,
    packet: &PacketId,
    numbers: &[u16],
    run: &Run,
) -> durable::Result<()> {
    let link_all = || {
        numbers.iter().try_for_each(|number| {
            let name = body_name(packet, usize::from(*number));
            match link_or_copy(dir, &name, tx, &name, run) {
                // Another run has published the packet and dropped the batch's link.
                Err(error) if error.is_missing() => Ok(()),
                other => other,
            }
        })
    };
    let name = packet.to_string();
    if exists(&**dir, &name)? {
        link_all()?;
        gone(dir.rename(name.as_ref(), &**tx, name.as_ref()))?;
    }
    if exists(&**tx, &name)? {
        link_all()?;
    }
    if numbers.is_empty() { Ok(()) } else { bodies::index_of_packet(spool, tx, packet) }
}

/// What is in a folder of a batch; nothing, if another run has removed it.
fn entries(dir: &DirRef) -> durable::Result<Vec<Entry>> {
    let listed = missing_is_none(dir.list())?;
    let entries = listed.map(|entries| missing_is_none(entries.collect::<durable::Result<Vec<_>>>())).transpose()?;
    Ok(entries.flatten().unwrap_or_default())
}

fn missing_is_none<T>(result: durable::Result<T>) -> durable::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
