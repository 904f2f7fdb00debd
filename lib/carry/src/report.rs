//! What is told while packets move.

use mb_wire::id::{NodeId, PacketId};

use crate::error::CarryError;

/// What happened to one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is on the stick, durable; with `keep`, in the spool as well.
    Out {
        /// The packet.
        packet: PacketId,
        /// For whom.
        to: NodeId,
        /// Bytes of its envelope and all bodies that it lists.
        len: u64,
    },
    /// It is in the spool, durable.
    In {
        /// The packet.
        packet: PacketId,
        /// Bytes of its envelope and its bodies that were on the stick.
        len: u64,
    },
    /// It is in the spool, and some of its bodies are not on this stick: it stays there too.
    Incomplete {
        /// The packet.
        packet: PacketId,
        /// Bodies that are missing.
        missing_count: usize,
    },
}

/// Hears what happens, as it happens.
pub trait Watch {
    /// A packet moved, or would move in a dry run.
    fn moved(&mut self, event: Event);
    /// Something is wrong with one packet or file, or with many in one way; the run goes on.
    fn failed(&mut self, failure: CarryError);
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Packets that moved.
    pub packet_count: u64,
    /// Bytes that were written for them.
    pub written_len: u64,
    /// It was asked to stop before it was through.
    pub is_stopped: bool,
}
