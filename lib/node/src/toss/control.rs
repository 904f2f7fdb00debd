//! Control: statements that neighbours hand to us about areas.

use mb_wire::statement::Statement;

use super::apply::{Batch, Fate};
use super::decide::{Accepted, Refusal};
use super::payload::PayloadError;

impl<'a> Batch<'_, 'a> {
    /// Does what a statement says, if that may be. What it leaves is durable on return, so that the input may go.
    pub(super) fn take_statement(&self, accepted: &Accepted<'a>, statement: &Statement) -> Result<Fate, PayloadError> {
        let from = accepted.from.name.clone();
        match statement.kind {
            kind => Err(Refusal::Statement { from, kind: kind.word() }.into()),
        }
    }
}
