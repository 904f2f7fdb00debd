//! `self/path/DAY/PKT`: by which nodes a traced packet came, kept until its letter's last day. Lost with a crash it harms nothing:
//! it is written before the input goes.

use mb_wire::cbor;
use mb_wire::id::PacketId;
use mb_wire::trace::Trace;

use crate::barrier::Barrier;
use crate::durable::{self, DirRef, Kind};
use crate::envelopes::read_whole;
use crate::layout::Spool;
use crate::run::{Run, remove_tree};

/// The folder's name, in `self/`.
pub const PATH: &str = "path";
/// A trace longer than this is damaged.
const MOST_LEN: usize = 8 * 1024;

/// Keeps the trace of `packet`, whose letter ends on `day`. Durable when `barrier` is.
pub fn keep(
    spool: &Spool,
    day: u32,
    packet: &PacketId,
    trace: &Trace,
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    let (dir, name) = (spool.make(&["self", PATH, &day.to_string()])?, packet.to_string());
    let (made, file) = run.write("path-", &cbor::encode(trace))?;
    run.dir().rename(made.as_ref(), &*dir, name.as_ref())?;
    barrier.file(file, &dir, &name);
    barrier.dir(&dir);
    Ok(())
}

/// The trace of `packet`, if it is here and whole. Not verified.
pub fn find(spool: &Spool, packet: &PacketId) -> durable::Result<Option<Trace>> {
    let Some(paths) = spool.find(&["self", PATH])? else { return Ok(None) };
    for day in days(&paths)? {
        match paths.open_dir(day.to_string().as_ref())?.open(packet.to_string().as_ref()) {
            Ok(file) => return Ok(cbor::decode(&read_whole(&file, MOST_LEN)?).ok()),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Forgets what ended before `today`.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    let Some(paths) = spool.find(&["self", PATH])? else { return Ok(()) };
    let old = days(&paths)?.into_iter().filter(|day| *day < today);
    old.into_iter().try_for_each(|day| remove_tree(&paths, day.to_string().as_ref()))
}

fn days(paths: &DirRef) -> durable::Result<Vec<u32>> {
    let mut days = Vec::new();
    for entry in paths.list()? {
        let entry = entry?;
        days.extend(entry.name.to_str().filter(|_| entry.kind == Kind::Dir).and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(days)
}
