//! Land: packets that somebody brought become part of the spool.
//!
//! A copy counts only after its bytes were hashed into the run's folder and are durable; then names are made, made
//! durable, and only then may the source go.

use mb_wire::id::{NodeId, PacketId, Root};

use crate::barrier::Barrier;
use crate::bodies::{index, link_or_copy};
use crate::durable::{self, DirRef, FileRef};
use crate::layout::{Queue, Spool};
use crate::names::body_name;
use crate::run::{Run, gone};

/// A batch of packets that arrive together.
pub struct Landing<'a> {
    spool: &'a Spool,
    run: &'a Run,
    queue: DirRef,
    above: Vec<DirRef>,
    contents: Barrier,
    packets: Vec<Arrived>,
}

struct Arrived {
    packet: PacketId,
    /// The envelope's file in the run's folder.
    name: Option<String>,
    bodies: Vec<(u16, Root, String)>,
}

impl<'a> Landing<'a> {
    /// A batch for one queue of `node`, which is made if it is missing.
    pub fn new(spool: &'a Spool, run: &'a Run, node: &NodeId, queue: Queue) -> durable::Result<Landing<'a>> {
        let dir = spool.queue(node, queue)?;
        let above = spool.above_queue(node, queue)?;
        Ok(Landing { spool, run, queue: dir, above, contents: Barrier::new(), packets: Vec::new() })
    }

    /// Takes the file of a body, called `name` in the run's folder and hashed already, into the barrier.
    pub fn wrote_body(&mut self, file: FileRef, name: &str) {
        self.contents.file(file, self.run.dir(), name);
    }

    /// Adds a packet: its envelope, and of the bodies that it lists those that are at hand: number, root, and name in the
    /// run's folder.
    pub fn add(&mut self, packet: PacketId, envelope: &[u8], bodies: Vec<(u16, Root, String)>) -> durable::Result<()> {
        let (name, file) = self.run.write("land-", envelope)?;
        self.contents.file(file, self.run.dir(), &name);
        self.packets.push(Arrived { packet, name: Some(name), bodies });
        Ok(())
    }

    /// Adds bodies of a packet whose envelope has landed: likewise.
    pub fn add_bodies(&mut self, packet: PacketId, bodies: Vec<(u16, Root, String)>) {
        self.packets.push(Arrived { packet, name: None, bodies });
    }

    /// Packets, and bodies of others, added and not landed yet.
    pub fn count(&self) -> usize {
        self.packets.len()
    }

    /// Makes everything durable in the queue. After `Ok` the sources may go.
    ///
    /// A crash leaves bodies without an envelope, which are swept, or whole packets, which come a second time and are
    /// dropped by letter id.
    pub fn land(mut self) -> durable::Result<()> {
        std::mem::take(&mut self.contents).wait()?;
        let mut names = Barrier::new();
        names.dir(&self.queue);
        self.above.iter().for_each(|dir| names.dir(dir));
        for arrived in &self.packets {
            self.link_bodies(arrived)?;
            if let Some(made) = &arrived.name {
                let name = arrived.packet.to_string();
                self.run.dir().rename(made.as_ref(), &*self.queue, name.as_ref())?;
                self.link_bodies(arrived)?;
            }
        }
        if let Err(error) = names.wait() {
            let _ = self.undo();
            return Err(error);
        }
        for (_, _, name) in self.packets.iter().flat_map(|arrived| &arrived.bodies) {
            gone(self.run.dir().unlink(name.as_ref()))?;
        }
        Ok(())
    }

    /// A name whose sync failed may be gone tomorrow, whatever is synced later: nobody shall find it.
    fn undo(&self) -> durable::Result<()> {
        for arrived in &self.packets {
            if arrived.name.is_some() {
                gone(self.queue.unlink(arrived.packet.to_string().as_ref()))?;
            }
            for (number, _, _) in &arrived.bodies {
                gone(self.queue.unlink(body_name(&arrived.packet, usize::from(*number)).as_ref()))?;
            }
        }
        Ok(())
    }

    fn link_bodies(&self, arrived: &Arrived) -> durable::Result<()> {
        for (number, root, name) in &arrived.bodies {
            let body = body_name(&arrived.packet, usize::from(*number));
            link_or_copy(self.run.dir(), name, &self.queue, &body, self.run)?;
            index(self.spool, self.run.dir(), name, root)?;
        }
        Ok(())
    }
}
