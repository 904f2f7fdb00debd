//! The folders of a stick that one run puts names into: opened once, made durable together.

use std::collections::{HashMap, HashSet};

use mb_spool::barrier::Barrier;
use mb_spool::durable::{self, DirRef};
use mb_wire::id::{NodeId, PacketId, Root};

use crate::stick::{BODY, Stick, body_shard, find_dir, make_dir, packet_shard};

/// Folders that are kept open.
const MOST_OPEN: usize = 200;

/// A folder below `mailbag`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// `NODE/`
    Node(NodeId),
    /// `NODE/P/`
    Packets(NodeId, String),
    /// `body/`
    Bodies,
    /// `body/RO/`
    Shard(String),
}

impl Place {
    /// Where the envelope of `packet` for `node` lies.
    pub fn of_packet(node: &NodeId, packet: &PacketId) -> Place {
        Place::Packets(*node, packet_shard(packet))
    }

    /// Where the body `root` lies.
    pub fn of_body(root: &Root) -> Place {
        Place::Shard(body_shard(root))
    }

    fn parent(&self) -> Option<Place> {
        match self {
            Place::Node(_) | Place::Bodies => None,
            Place::Packets(node, _) => Some(Place::Node(*node)),
            Place::Shard(_) => Some(Place::Bodies),
        }
    }

    fn name(&self) -> String {
        match self {
            Place::Node(node) => node.to_string(),
            Place::Bodies => BODY.into(),
            Place::Packets(_, shard) | Place::Shard(shard) => shard.clone(),
        }
    }
}

/// Open folders of a stick.
#[derive(Default)]
pub(crate) struct Folders {
    open: HashMap<Place, DirRef>,
    /// Folders that this run made and that are not durable.
    made: Vec<Place>,
}

impl Folders {
    /// Opens a folder and makes it if it is missing.
    pub fn get(&mut self, stick: &Stick, place: &Place) -> durable::Result<DirRef> {
        if let Some(dir) = self.open.get(place) {
            return Ok(dir.clone());
        }
        let (parent, name) = (self.parent(stick, place)?, place.name());
        let dir = match find_dir(&parent, &name)? {
            Some(dir) => dir,
            None => {
                self.made.push(place.clone());
                make_dir(&parent, &name)?
            }
        };
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
        }
        self.open.insert(place.clone(), dir.clone());
        Ok(dir)
    }

    fn parent(&mut self, stick: &Stick, place: &Place) -> durable::Result<DirRef> {
        match place.parent() {
            Some(parent) => self.get(stick, &parent),
            None => Ok(stick.root().clone()),
        }
    }

    /// Notes that everything is durable.
    pub fn synced(&mut self) {
        self.made.clear();
    }

    /// Removes again what was made, after a sync failed: a name that may be gone tomorrow, whatever is synced later,
    /// nobody shall find.
    pub fn unmake(&mut self, stick: &Stick) {
        while let Some(place) = self.made.pop() {
            self.open.remove(&place);
            if let Ok(parent) = self.parent(stick, &place) {
                // One in which there is something is older than it seems.
                let _ = parent.remove_dir(place.name().as_ref());
            }
        }
    }
}

/// Folders whose names are to be durable.
#[derive(Default)]
pub(crate) struct Names {
    barrier: Barrier,
    noted: HashSet<Place>,
}

impl Names {
    /// Adds a folder and those above it in `mailbag`. If it gets too many to be kept open, those before are made durable.
    pub fn add(&mut self, stick: &Stick, place: &Place, folders: &mut Folders) -> durable::Result<()> {
        if self.noted.len() >= MOST_OPEN {
            std::mem::take(self).barrier.wait()?;
        }
        if self.noted.insert(place.clone()) {
            self.barrier.dir(&folders.get(stick, place)?);
            if let Some(parent) = place.parent() {
                self.add(stick, &parent, folders)?;
            }
        }
        Ok(())
    }

    /// Returns when all are durable, and with them the way that leads to them. `source`: the folder that names were moved
    /// from, so that they do not come back there.
    pub fn wait(mut self, stick: &Stick, source: Option<&DirRef>) -> durable::Result<()> {
        stick.chain().into_iter().chain(source).for_each(|dir| self.barrier.dir(dir));
        self.barrier.wait()
    }
}
