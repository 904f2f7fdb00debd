//! Complain: of a packet that should not have come, to whoever handed it over, who tells the one before.

use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::paths::{self, Came};
use mb_spool::run::Run;
use mb_wire::envelope::Content;
use mb_wire::id::PacketId;
use mb_wire::key::NodeSecrets;
use mb_wire::report::{Complaint, Reason, Report};

use crate::tell::{TellError, tell};
use crate::toss::Nodes;

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub enum ComplainError {
    /// The spool could not be read or written.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// It is not known how the packet came.
    #[error("{0}: not delivered here, or long ago, or not by way of a relay in the open")]
    Unknown(PacketId),
    /// The neighbour that handed it over is not known any more.
    #[error("{0}: who handed it over is not known here any more")]
    Gone(PacketId),
    /// The neighbour could not be told.
    #[error(transparent)]
    Tell(#[from] TellError),
}

impl Failure for ComplainError {
    fn class(&self) -> Class {
        match self {
            ComplainError::Disk(error) => error.class(),
            ComplainError::Unknown(_) => Class::No,
            ComplainError::Gone(_) => Class::UnknownName,
            ComplainError::Tell(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            ComplainError::Disk(error) => error.remedy(),
            ComplainError::Tell(error) => error.remedy(),
            ComplainError::Unknown(_) | ComplainError::Gone(_) => None,
        }
    }
}

/// Sends the complaint on its way: durable on return.
pub fn complain(
    spool: &Spool,
    secrets: &NodeSecrets,
    nodes: &dyn Nodes,
    (now, today): (u64, u32),
    (packet, reason): (PacketId, Reason),
    run: &Run,
) -> Result<(), ComplainError> {
    let came = paths::find(spool, &packet)?.filter(is_relayed).ok_or(ComplainError::Unknown(packet))?;
    let node = nodes.node(&came.from).ok_or(ComplainError::Gone(packet))?;
    let statement = Complaint { about: came.letter, reason }.sign(secrets, now);
    let content = Content::Reports(vec![Report { packet, statement }]);
    tell(spool, secrets, &[node], today, &content, run)?;
    Ok(())
}

/// A path of one step is that of a neighbour's own packet.
fn is_relayed(came: &Came) -> bool {
    came.path().is_none_or(|path| path.is_ok_and(|path| path.steps.len() > 1))
}
