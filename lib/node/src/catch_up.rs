//! Catching up: a node asks a neighbour for the messages of an area that it lacks.

use mb_spool::areas;
use mb_spool::batch::Batch;
use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::run::Run;
use mb_wire::area::{Summary, Want};
use mb_wire::envelope::Content;
use mb_wire::id::AreaId;
use mb_wire::key::NodeSecrets;

use crate::config::KnownNode;
use crate::rules::Rules;
use crate::toss::answer::envelope;

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// The neighbour cannot be sealed to.
    #[error("{0}: its card has no valid key")]
    Card(String),
}

impl Failure for CatchUpError {
    fn class(&self) -> Class {
        match self {
            CatchUpError::Disk(error) => error.class(),
            CatchUpError::Card(_) => Class::Data,
        }
    }
}

/// Asks `node` for what we lack of `area`: what we have been through with it is told, in few bytes. Durable on return.
pub fn ask(
    spool: &Spool,
    secrets: &NodeSecrets,
    rules: &Rules,
    node: &KnownNode,
    area: AreaId,
    (now, today): (u64, u32),
    run: &Run,
) -> Result<(), CatchUpError> {
    let have = Some(Summary::of(&areas::marked(spool, &area)?));
    let version = rules.under(&area).map_or(0, |under| under.version);
    let content = Content::Statement(Want { area, have, version }.sign(secrets, now));
    let envelope = envelope(secrets, node, today, &content).ok_or_else(|| CatchUpError::Card(node.name.clone()))?;
    let batch = Batch::new(spool, run)?;
    batch.add_unkept(node.id(), &envelope)?;
    Ok(batch.publish()?)
}
