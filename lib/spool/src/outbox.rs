//! Packets that are sent one by one, for what is made again if a crash comes between: what they are made of goes last.
//!
//! Envelopes are made in the run's folder and synced once, whoever many they are for; then each is linked into its
//! `NODE/tx/`, bodies first. A batch that is sent whole or not at all is a [`Batch`](crate::batch::Batch).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mb_wire::envelope::packet_id;
use mb_wire::id::{NodeId, PacketId};

use crate::barrier::{Barrier, MANY_DIRS};
use crate::bodies::{index_of_packet, link_or_copy};
use crate::durable::{self, DirRef};
use crate::layout::{FILE_MODE, Queue, Spool};
use crate::names::body_name;
use crate::run::{Run, gone};
use crate::sent::UNKEPT_MODE;

/// Packets that are being made.
pub struct Outbox<'a> {
    spool: &'a Spool,
    run: &'a Run,
    packets: BTreeMap<(NodeId, PacketId), Made>,
    /// The names in the run's folder of bodies that lie elsewhere, by their names there.
    held: BTreeMap<String, String>,
    barrier: Barrier,
}

/// A packet, by names in the run's folder.
struct Made {
    envelope: String,
    bodies: Vec<String>,
}

/// The packets for one node.
type ForNode<'m> = &'m [((NodeId, PacketId), Made)];

impl<'a> Outbox<'a> {
    /// No packet yet.
    pub fn new(spool: &'a Spool, run: &'a Run) -> Outbox<'a> {
        Outbox { spool, run, packets: BTreeMap::new(), held: BTreeMap::new(), barrier: Barrier::new() }
    }

    /// Adds a packet: its envelope and the bodies that it lists, in that order, by their names in `from`. One name is one body, whatever
    /// it lies in.
    pub fn add<N: AsRef<str>>(
        &mut self,
        to: NodeId,
        envelope: &[u8],
        from: &DirRef,
        bodies: &[N],
    ) -> durable::Result<PacketId> {
        let bodies = bodies.iter().map(|name| self.hold(from, name.as_ref())).collect::<durable::Result<_>>()?;
        self.put(to, envelope, bodies, FILE_MODE)
    }

    /// Adds a packet without bodies that is not kept until it is confirmed, whoever it is for.
    pub fn add_unkept(&mut self, to: NodeId, envelope: &[u8]) -> durable::Result<PacketId> {
        self.put(to, envelope, Vec::new(), UNKEPT_MODE)
    }

    /// A name of the body in the run's folder: it is ours to link from until everything is sent, whoever removes what it came from.
    fn hold(&mut self, from: &DirRef, name: &str) -> durable::Result<String> {
        if Arc::ptr_eq(from, self.run.dir()) {
            return Ok(name.to_owned());
        }
        if let Some(held) = self.held.get(name) {
            return Ok(held.clone());
        }
        let held = self.run.fresh_name("held-");
        link_or_copy(from, name, self.run.dir(), &held, self.run)?;
        self.held.insert(name.to_owned(), held.clone());
        Ok(held)
    }

    fn put(&mut self, to: NodeId, envelope: &[u8], bodies: Vec<String>, mode: u32) -> durable::Result<PacketId> {
        let packet = packet_id(envelope);
        let name = self.run.fresh_name("envelope-");
        let file = self.run.dir().create(name.as_ref(), mode)?;
        file.write_at(envelope, 0)?;
        self.barrier.file(file, self.run.dir(), &name);
        self.packets.insert((to, packet), Made { envelope: name, bodies });
        self.barrier.split_if_many().map_or(Ok(packet), |many| many.wait().map(|()| packet))
    }

    /// Sends all, packet by packet: durable on return. A crash leaves some sent, and names in the run's folder.
    pub fn publish(self) -> durable::Result<()> {
        let Outbox { spool, run, packets, held, barrier } = self;
        barrier.wait()?;
        let packets: Vec<_> = packets.into_iter().collect();
        let nodes: Vec<ForNode> = packets.chunk_by(|a, b| a.0.0 == b.0.0).collect();
        let mut indexed = BTreeSet::new();
        for nodes in nodes.chunks(MANY_DIRS) {
            publish_nodes(spool, nodes, &mut indexed, run)?;
        }
        held.values().try_for_each(|name| gone(run.dir().unlink(name.as_ref())))
    }
}

/// Gives what is for these nodes its names in their `tx/`, and makes these durable together.
fn publish_nodes<'m>(
    spool: &Spool,
    nodes: &[ForNode<'m>],
    indexed: &mut BTreeSet<&'m str>,
    run: &Run,
) -> durable::Result<()> {
    let ids: Vec<NodeId> = nodes.iter().map(|packets| packets[0].0.0).collect();
    let txs = spool.queues(&ids, Queue::Tx)?;
    let mut barrier = Barrier::new();
    for (packets, tx) in nodes.iter().zip(&txs) {
        barrier.dir(tx);
        for ((_, packet), made) in *packets {
            publish_packet(tx, packet, made, run)?;
            let new = made.bodies.iter().filter(|body| indexed.insert(body.as_str()));
            if new.count() > 0 {
                index_of_packet(spool, tx, packet)?;
            }
        }
    }
    barrier.wait().inspect_err(|_| {
        // A name whose sync failed may be gone tomorrow, whatever is synced later.
        for (packets, tx) in nodes.iter().zip(&txs) {
            packets.iter().for_each(|((_, packet), made)| take_back(tx, packet, made.bodies.len()));
        }
    })
}

/// Bodies, then the envelope, then the bodies once more: a sweep may have taken one that had no envelope yet.
fn publish_packet(tx: &DirRef, packet: &PacketId, made: &Made, run: &Run) -> durable::Result<()> {
    let link_all = || {
        made.bodies.iter().enumerate().try_for_each(|(number, name)| {
            let new = body_name(packet, number);
            link_or_copy(run.dir(), name, tx, &new, run)
        })
    };
    link_all()?;
    run.dir().rename(made.envelope.as_ref(), &**tx, packet.to_string().as_ref())?;
    link_all()
}

fn take_back(tx: &DirRef, packet: &PacketId, bodies: usize) {
    let _ = tx.unlink(packet.to_string().as_ref());
    (0..bodies).for_each(|number| drop(tx.unlink(body_name(packet, number).as_ref())));
}
