//! `part/NODE/ROOT`: bodies of calls that have not all come. They only save work: whoever removes one costs its neighbour the
//! sending of it once more.

use mb_wire::id::{NodeId, Root};

use crate::durable::{self, DirRef, Kind, Lock};
use crate::layout::{PART, Spool};
use crate::run::gone;

/// What became of the unfinished bodies from one node.
#[derive(Debug, PartialEq, Eq)]
pub enum Cleared {
    /// This one went, or would go.
    Gone(Root),
    /// A call takes from the node at this moment: they stay.
    Busy,
}

/// Removes unfinished bodies, of `node` or of all, that were last written before the second `before`; with `is_dry` it is only
/// told which.
pub fn clear(
    spool: &Spool,
    node: Option<NodeId>,
    before: Option<i64>,
    is_dry: bool,
    tell: &mut dyn FnMut(NodeId, Cleared),
) -> durable::Result<()> {
    let Some(part) = spool.find(&[PART])? else { return Ok(()) };
    let entries = part.list()?.collect::<durable::Result<Vec<_>>>()?;
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Dir) {
        let Some(from) = entry.name.to_str().and_then(|name| name.parse::<NodeId>().ok()) else { continue };
        if node.is_none_or(|node| node == from) {
            clear_one(&part.open_dir(&entry.name)?, before, is_dry, &mut |cleared| tell(from, cleared))?;
        }
    }
    Ok(())
}

fn clear_one(dir: &DirRef, before: Option<i64>, is_dry: bool, tell: &mut dyn FnMut(Cleared)) -> durable::Result<()> {
    let lock = if is_dry { Lock::Unsupported } else { dir.try_lock()? };
    if matches!(lock, Lock::Busy) {
        tell(Cleared::Busy);
        return Ok(());
    }
    let entries = dir.list()?.collect::<durable::Result<Vec<_>>>()?;
    for entry in entries {
        let Some(root) = entry.name.to_str().and_then(|name| name.parse::<Root>().ok()) else { continue };
        if before.is_some_and(|before| dir.stat(&entry.name).is_ok_and(|stat| stat.modified.0 >= before)) {
            continue;
        }
        if !is_dry {
            gone(dir.unlink(&entry.name))?;
        }
        tell(Cleared::Gone(root));
    }
    Ok(())
}
