//! One batch on its way out: made in `part/RUN`, durable as a whole, named, durable once more; then the sources go.

use std::collections::HashSet;
use std::path::PathBuf;

use mb_spool::barrier::Barrier;
use mb_spool::durable::{self, DirRef, FileRef, LockGuard};
use mb_spool::run::gone;
use mb_wire::envelope::{BodyName, packet_id};
use mb_wire::id::{NodeId, PacketId, Root};

use crate::copy::{CopyError, Work, is_body};
use crate::folders::{Folders, Names, Place};
use crate::order::read_bounded;
use crate::part::{Part, body_name, packet_name};
use crate::room::is_full;
use crate::stick::{BODY, Stick, body_shard, find_dir, none_if_missing, packet_shard};

/// Packets of a batch; each keeps a lock, which is an open file, and a process may open 1,024 where nobody says otherwise.
const MOST_PACKETS: usize = 700;
/// Bodies of a batch.
const MOST_BODIES: usize = 4096;
/// Bytes of a batch: a pulled stick costs at most the syncs of so much.
const MOST_LEN: u64 = 64 << 20;

/// A packet whose files are all written, or were on the stick already.
pub(crate) struct Pending {
    /// The packet.
    pub packet: PacketId,
    /// For whom.
    pub to: NodeId,
    /// Which queue it comes from.
    pub queue: u32,
    /// The bodies that it lists.
    pub bodies: Vec<BodyName>,
    /// Whether its envelope is to be moved to its place.
    pub is_written: bool,
    /// Whether anything of it was written.
    pub is_new: bool,
    /// Bytes of envelope and bodies.
    pub len: u64,
    /// Keeps other runs from doing the same.
    pub _lock: Option<LockGuard>,
}

/// Packets that become durable on the stick together.
#[derive(Default)]
pub(crate) struct Batch {
    /// The packets, in the order in which they go.
    pub packets: Vec<Pending>,
    contents: Barrier,
    /// Bodies in `part/RUN` that have no place yet.
    bodies: HashSet<Root>,
    body_count: usize,
    len: u64,
    /// Folders of what was on the stick already.
    found: HashSet<Place>,
}

impl Batch {
    /// Whether it is time to commit.
    pub fn is_full(&self) -> bool {
        self.packets.len() >= MOST_PACKETS || self.body_count >= MOST_BODIES || self.len >= MOST_LEN
    }

    /// Whether the body was written for a packet of this batch.
    pub fn has(&self, root: &Root) -> bool {
        self.bodies.contains(root)
    }

    /// Takes a body that was written.
    pub fn wrote_body(&mut self, file: FileRef, part: &Part, body: &BodyName) {
        self.contents.file(file, part.dir(), body_name(&body.root));
        self.bodies.insert(body.root);
        self.body_count += 1;
        self.len += body.size;
    }

    /// Takes an envelope that was written.
    pub fn wrote_packet(&mut self, file: FileRef, part: &Part, packet: &PacketId) {
        self.contents.file(file, part.dir(), packet_name(packet));
    }

    /// Notes a folder whose names were there and need to be durable with the batch.
    pub fn relies_on(&mut self, place: Place) {
        self.found.insert(place);
    }

    /// Drops a body that was written for a packet that does not go.
    pub fn drop_body(&mut self, part: &Part, root: &Root) -> durable::Result<()> {
        self.bodies.remove(root);
        part.remove(&body_name(root))
    }

    /// Makes everything durable on the stick under its own name.
    ///
    /// If a sync fails, what it was to save is removed, so that no later run takes it for durable. A crash leaves
    /// `part/RUN`, or names that the next run finds whole.
    pub fn commit(&mut self, stick: &Stick, part: &Part, folders: &mut Folders) -> durable::Result<Committed> {
        let Batch { packets, contents, bodies, found, .. } = std::mem::take(self);
        let synced = contents.wait();
        if synced.is_err() {
            let _ = drop_files(part, &packets, &bodies);
            synced?;
        }
        let mut placing = Placing { stick, part, folders, bodies, names: Names::default(), placed: Vec::new() };
        match placing.all(packets, &found) {
            Ok(done) => {
                folders.synced();
                Ok(done)
            }
            Err(error) => {
                let _ = placing.undo();
                folders.unmake(stick);
                Err(error)
            }
        }
    }
}

/// What came of a batch.
#[derive(Default)]
pub(crate) struct Committed {
    /// Durable on the stick.
    pub packets: Vec<Pending>,
    /// There was no room for their names.
    pub left: Vec<Pending>,
}

fn drop_files(part: &Part, packets: &[Pending], bodies: &HashSet<Root>) -> durable::Result<()> {
    bodies.iter().try_for_each(|root| part.remove(&body_name(root)))?;
    packets.iter().try_for_each(|pending| part.remove(&packet_name(&pending.packet)))
}

/// A name that a batch made on the stick.
enum Placed {
    Body(Root),
    Envelope(NodeId, PacketId),
}

/// Moves what a batch wrote to its places.
struct Placing<'a> {
    stick: &'a Stick,
    part: &'a Part,
    folders: &'a mut Folders,
    bodies: HashSet<Root>,
    names: Names,
    placed: Vec<Placed>,
}

impl Placing<'_> {
    fn all(&mut self, packets: Vec<Pending>, found: &HashSet<Place>) -> durable::Result<Committed> {
        found.iter().try_for_each(|place| self.names.add(self.stick, place, self.folders))?;
        let done = self.packets(packets)?;
        std::mem::take(&mut self.names).wait(self.stick, Some(self.part.dir()))?;
        Ok(done)
    }

    fn packets(&mut self, packets: Vec<Pending>) -> durable::Result<Committed> {
        let mut done = Committed::default();
        for pending in packets {
            match self.packet(&pending) {
                Ok(()) => done.packets.push(pending),
                Err(error) if is_full(&error) => {
                    self.part.remove(&packet_name(&pending.packet))?;
                    done.left.push(pending);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Bodies first: an envelope that is visible has them.
    fn packet(&mut self, pending: &Pending) -> durable::Result<()> {
        for body in &pending.bodies {
            if self.bodies.contains(&body.root) {
                self.body(&body.root)?;
                self.bodies.remove(&body.root);
            }
        }
        let place = Place::of_packet(&pending.to, &pending.packet);
        if pending.is_written {
            let shard = self.folders.get(self.stick, &place)?;
            let (from, name) = (packet_name(&pending.packet), pending.packet.to_string());
            self.part.dir().rename(from.as_ref(), &*shard, name.as_ref())?;
            self.placed.push(Placed::Envelope(pending.to, pending.packet));
        }
        self.names.add(self.stick, &place, self.folders)
    }

    fn body(&mut self, root: &Root) -> durable::Result<()> {
        let place = Place::of_body(root);
        let shard = self.folders.get(self.stick, &place)?;
        self.part.dir().rename(body_name(root).as_ref(), &*shard, root.to_string().as_ref())?;
        self.placed.push(Placed::Body(*root));
        self.names.add(self.stick, &place, self.folders)
    }

    /// A name whose sync failed is visible and may be gone tomorrow: nobody shall find it.
    fn undo(&mut self) -> durable::Result<()> {
        for placed in &self.placed {
            let (place, name) = match placed {
                Placed::Body(root) => (Place::of_body(root), root.to_string()),
                Placed::Envelope(to, packet) => (Place::of_packet(to, packet), packet.to_string()),
            };
            gone(self.folders.get(self.stick, &place)?.unlink(name.as_ref()))?;
        }
        Ok(())
    }
}

/// Reads back from the medium what a packet consists of. The paths of what is wrong; `known` holds bodies that were
/// read before, with what came of it.
pub(crate) fn read_back(
    stick: &Stick,
    pending: &Pending,
    known: &mut HashSet<Root>,
    work: Work,
) -> Result<Option<PathBuf>, CopyError> {
    let Some(shard) = envelope_dir(stick, pending).map_err(CopyError::Source)? else {
        return Ok(Some(stick.root().path().join(pending.to.to_string())));
    };
    if !is_envelope(&shard, &pending.packet).map_err(CopyError::Source)? {
        return Ok(Some(shard.path().join(pending.packet.to_string())));
    }
    for body in &pending.bodies {
        let file = stick.open_body(&body.root).map_err(CopyError::Source)?;
        let is_good = match file {
            Some(_) if known.contains(&body.root) => true,
            Some(file) => {
                file.uncache();
                is_body(&file, body, work)?
            }
            None => false,
        };
        if !is_good {
            return Ok(Some(stick.root().path().join(BODY).join(body_shard(&body.root)).join(body.root.to_string())));
        }
        known.insert(body.root);
    }
    Ok(None)
}

fn envelope_dir(stick: &Stick, pending: &Pending) -> durable::Result<Option<DirRef>> {
    match stick.node(&pending.to)? {
        Some(node) => find_dir(&node, &packet_shard(&pending.packet)),
        None => Ok(None),
    }
}

/// Whether the envelope on the medium is `packet`.
pub(crate) fn is_envelope(shard: &DirRef, packet: &PacketId) -> durable::Result<bool> {
    let Some(file) = none_if_missing(shard.open(packet.to_string().as_ref()))? else { return Ok(false) };
    file.uncache();
    Ok(read_bounded(&file)?.is_some_and(|envelope| packet_id(&envelope) == *packet))
}
