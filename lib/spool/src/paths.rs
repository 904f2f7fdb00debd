//! `self/path/DAY/PKT`: how a packet came that was delivered, kept until its letter's last day: who handed it over, and the trace of
//! its path, if it has one. Of packets that came by relays in the open. Written before the input goes.

use mb_wire::cbor;
use mb_wire::id::{LetterId, NodeId, PacketId};
use mb_wire::trace::{Path, Trace, TraceError};
use serde::{Deserialize, Serialize};

use crate::barrier::Barrier;
use crate::durable;
use crate::layout::{Spool, days};
use crate::record;
use crate::run::{Run, forget_days};

/// The folder's name, in `self/`.
pub const PATH: &str = "path";
/// A trace longer than this is damaged.
const MOST_LEN: usize = 8 * 1024;

/// How a packet came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Came {
    /// The neighbour that handed it over.
    pub from: NodeId,
    /// The trace of its path; empty if none was wanted.
    pub trace: Trace,
    /// Its letter.
    pub letter: LetterId,
}

impl Came {
    /// The path that its trace tells; `None` if it has none.
    pub fn path(&self) -> Option<Result<Path, TraceError>> {
        let is_its_own = |path: &Path| path.letter == self.letter;
        let checked = |path: Path| if is_its_own(&path) { Ok(path) } else { Err(TraceError::Other) };
        (!self.trace.is_empty()).then(|| self.trace.verify().and_then(checked))
    }
}

/// Keeps how `packet` came, whose letter ends on `day`. Durable when `barrier` is.
pub fn keep(
    spool: &Spool,
    day: u32,
    packet: &PacketId,
    came: &Came,
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    let dir = spool.make(&["self", PATH, &day.to_string()])?;
    record::put(&dir, &packet.to_string(), &cbor::encode(came), run, Some(barrier))
}

/// How `packet` came, if that is here and whole. Its trace is not verified.
pub fn find(spool: &Spool, packet: &PacketId) -> durable::Result<Option<Came>> {
    let Some(paths) = spool.find(&["self", PATH])? else { return Ok(None) };
    for day in days(&paths)? {
        let dir = paths.open_dir(day.to_string().as_ref())?;
        if let Some(bytes) = record::read(&dir, &packet.to_string(), MOST_LEN)? {
            return Ok(cbor::decode(&bytes).ok());
        }
    }
    Ok(None)
}

/// Forgets what ended before `today`.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    match spool.find(&["self", PATH])? {
        Some(paths) => forget_days(&paths, |day| day < today),
        None => Ok(()),
    }
}
