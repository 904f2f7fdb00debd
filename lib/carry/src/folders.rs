//! The folders of a stick that one run puts names into: opened once, made durable together.

use std::collections::{HashMap, HashSet};

use mb_spool::barrier::Barrier;
use mb_spool::durable::{self, DirRef};
use mb_wire::id::{NodeId, PacketId, Root};

use crate::stick::{BODY, Stick, body_shard, make_dir, packet_shard};

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
}

impl Folders {
    /// Opens a folder and makes it if it is missing.
    pub fn get(&mut self, stick: &Stick, place: &Place) -> durable::Result<DirRef> {
        if let Some(dir) = self.open.get(place) {
            return Ok(dir.clone());
        }
        let parent = match place.parent() {
            Some(parent) => self.get(stick, &parent)?,
            None => stick.root().clone(),
        };
        let dir = make_dir(&parent, &place.name())?;
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
        }
        self.open.insert(place.clone(), dir.clone());
        Ok(dir)
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

    /// Returns when all are durable, and with them the way that leads to them.
    pub fn wait(mut self, stick: &Stick) -> durable::Result<()> {
        stick.chain().into_iter().for_each(|dir| self.barrier.dir(dir));
        self.barrier.wait()
    }
}
