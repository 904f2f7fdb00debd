//! `self/asked/DAY/L`: under which name the answer to letter L, a request of ours, is to be put here. DAY is the last day on which an
//! answer is looked for. Written before the request is sent; without it the answer keeps its own name.

use mb_wire::cbor;
use mb_wire::id::{LetterId, NodeId};
use serde::{Deserialize, Serialize};

use crate::barrier::Barrier;
use crate::durable;
use crate::layout::{Spool, days};
use crate::record;
use crate::run::{Run, forget_days};

/// The folder's name, in `self/`.
pub const ASKED: &str = "asked";
/// An answer may come so many days after its request has ended: as long as anything lives.
pub const ANSWER_DAYS: u32 = 400;
/// A record longer than this is damaged.
const MOST_LEN: usize = 8 * 1024;

/// What is known of an answer that may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Who was asked.
    pub to: NodeId,
    /// The name: a path, or a folder where it ends with `/`.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
}

/// Keeps it until `day`. Durable when `barrier` is.
pub fn keep(
    spool: &Spool,
    day: u32,
    letter: &LetterId,
    asked: &Asked,
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    let dir = spool.make(&["self", ASKED, &day.to_string()])?;
    record::put(&dir, &letter.to_string(), &cbor::encode(asked), run, Some(barrier))
}

/// What is known of the answer to `letter`; `None` if there is nothing, or it is damaged.
pub fn find(spool: &Spool, letter: &LetterId) -> durable::Result<Option<Asked>> {
    let Some(asked) = spool.find(&["self", ASKED])? else { return Ok(None) };
    for day in days(&asked)? {
        let dir = asked.open_dir(day.to_string().as_ref())?;
        if let Some(bytes) = record::read(&dir, &letter.to_string(), MOST_LEN)? {
            return Ok(cbor::decode(&bytes).ok());
        }
    }
    Ok(None)
}

/// Forgets what ended before `today`.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    match spool.find(&["self", ASKED])? {
        Some(asked) => forget_days(&asked, |day| day < today),
        None => Ok(()),
    }
}
