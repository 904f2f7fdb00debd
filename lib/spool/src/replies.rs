//! `self/reply/DAY/S`: that the recipient of an onion of ours may answer, S being the tag of our own slot on the way back, and DAY its
//! last day. Written before the onion is sent; it goes once the answer is kept. What is lost with it is a receipt.

use mb_wire::cbor;
use mb_wire::id::{NodeId, PacketId, SlotTag};
use mb_wire::reply::Awaited;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::barrier::Barrier;
use crate::durable;
use crate::layout::Spool;
use crate::record;
use crate::run::{Run, forget_days, gone};

/// The folder's name, in `self/`.
pub const REPLY: &str = "reply";
/// A record longer than this is damaged.
const MOST_LEN: usize = 2048;

/// An answer that may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// What opens it.
    pub keys: Awaited,
    /// Who was handed the onion.
    pub next: NodeId,
    /// The onion.
    pub packet: PacketId,
}

fn day_path(day: u32) -> [String; 3] {
    ["self".into(), REPLY.into(), day.to_string()]
}

/// Keeps it until `day`. Durable when `barrier` is.
pub fn keep(
    spool: &Spool,
    day: u32,
    tag: &SlotTag,
    expected: &Expected,
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    let [one, two, three] = &day_path(day);
    let dir = spool.make(&[one, two, three])?;
    record::put(&dir, &tag.to_string(), &cbor::encode_secret(expected), run, Some(barrier))
}

/// What is known of the answer with that tag, whose last day is `day`; `None` if there is nothing, or it is damaged.
pub fn find(spool: &Spool, day: u32, tag: &SlotTag) -> durable::Result<Option<Expected>> {
    let [one, two, three] = &day_path(day);
    let Some(dir) = spool.find(&[one, two, three])? else { return Ok(None) };
    let bytes = record::read(&dir, &tag.to_string(), MOST_LEN)?.map(Zeroizing::new);
    Ok(bytes.and_then(|bytes| cbor::decode(&bytes).ok()))
}

/// It has come.
pub fn end(spool: &Spool, day: u32, tag: &SlotTag) -> durable::Result<()> {
    let [one, two, three] = &day_path(day);
    match spool.find(&[one, two, three])? {
        Some(dir) => gone(dir.unlink(tag.to_string().as_ref())),
        None => Ok(()),
    }
}

/// Forgets what ended before `today`.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    match spool.find(&["self", REPLY])? {
        Some(replies) => forget_days(&replies, |day| day < today),
        None => Ok(()),
    }
}
