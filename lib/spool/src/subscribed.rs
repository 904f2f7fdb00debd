//! `NODE/subscribed/AREA/VERSION.UNTIL`: NODE asked for AREA's messages until that day, in a statement of that version. Empty: the name
//! says all. The greatest version counts, so that two that are written at once cannot undo each other; the smaller ones go when it is
//! durable.

use std::fmt;

use mb_wire::area::Subscribe;
use mb_wire::id::{AreaId, NodeId};

use crate::areas::for_each_area;
use crate::day::Today;
use crate::durable::{self, DirRef};
use crate::layout::{FILE_MODE, Spool};
use crate::run::gone;

/// The folder's name, in a node's folder.
pub const SUBSCRIBED: &str = "subscribed";
/// Most days for which a node asks: an older statement than that has ended, whatever it said.
pub const MOST_DAYS: u32 = 400;

/// What a node asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subscribed {
    /// The statement's version.
    pub version: u64,
    /// The last day; 0: it does not want it any more.
    pub until: u32,
}

impl Subscribed {
    /// Whether it is to be served. Of a doubted clock nothing ends.
    pub fn is_on(&self, today: &Today) -> bool {
        self.until != 0 && (today.doubt.is_some() || today.day <= self.until)
    }

    /// Whether nothing older that comes could be taken for newer if this was forgotten.
    fn is_past(&self, today: u32) -> bool {
        self.until < today && Subscribe::made_on(self.version).saturating_add(MOST_DAYS) < today
    }

    /// What a file's name says; `None` for any other spelling than that of [`Subscribed::to_string`].
    pub(crate) fn parse(name: &str) -> Option<Subscribed> {
        let (version, until) = name.split_once('.')?;
        let subscribed = Subscribed { version: version.parse().ok()?, until: until.parse().ok()? };
        (subscribed.to_string() == name).then_some(subscribed)
    }
}

impl fmt::Display for Subscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.until)
    }
}

/// Notes what `node` asked for, unless something as new is there: then nothing changes. Durable on return, either way.
pub fn put(spool: &Spool, node: &NodeId, area: &AreaId, asked: Subscribed) -> durable::Result<()> {
    let dir = spool.make(&[&node.to_string(), SUBSCRIBED, &area.to_string()])?;
    if all(&dir)?.last().is_none_or(|known| known.version < asked.version) {
        match dir.create(asked.to_string().as_ref(), FILE_MODE) {
            Err(error) if error.is_taken() => {}
            other => other?.sync()?,
        }
    }
    // Also what somebody else has put there: whoever drops the statement relies on it.
    dir.sync()?;
    sweep(&dir, |_| false)
}

/// What `node` asked for last.
pub fn find(spool: &Spool, node: &NodeId, area: &AreaId) -> durable::Result<Option<Subscribed>> {
    match spool.find(&[&node.to_string(), SUBSCRIBED, &area.to_string()])? {
        Some(dir) => Ok(all(&dir)?.last().copied()),
        None => Ok(None),
    }
}

/// Forgets what ended before `today`, once no older statement can come any more that says something else.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    for node in spool.nodes()? {
        if let Some(dir) = spool.find(&[&node.to_string(), SUBSCRIBED])? {
            for_each_area(&dir, |area| sweep(area, |last| last.is_past(today)))?;
        }
    }
    Ok(())
}

/// What is noted of an area, the newest last.
fn all(dir: &DirRef) -> durable::Result<Vec<Subscribed>> {
    let mut found = Vec::new();
    for entry in dir.list()? {
        found.extend(entry?.name.to_str().and_then(Subscribed::parse));
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes all but the newest, and that too if it is old. What a power cut brings back counts for nothing beside the newest.
fn sweep(dir: &DirRef, is_old: impl Fn(&Subscribed) -> bool) -> durable::Result<()> {
    let mut found = all(dir)?;
    let newest = found.pop().filter(is_old);
    found.iter().chain(&newest).try_for_each(|one| gone(dir.unlink(one.to_string().as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::Doubt;
    use crate::durable::memory::{Options, World};

    /// The first millisecond of day 20,000.
    const MADE: u64 = 20_000 * 86_400_000;

    fn spool() -> (Spool, NodeId, AreaId) {
        let root = World::new(1).file_system(Options::default());
        (Spool::new(root, NodeId::from_bytes([1; 32])), NodeId::from_bytes([2; 32]), AreaId::from_bytes([3; 32]))
    }

    #[test]
    fn the_newest_counts_in_whatever_order_they_come() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let (spool, node, area) = spool();
            assert_eq!(find(&spool, &node, &area).unwrap(), None);
            for version in order {
                put(&spool, &node, &area, Subscribed { version, until: 10 - version as u32 }).unwrap();
            }
            // As new as the last.
            put(&spool, &node, &area, Subscribed { version: 3, until: 99 }).unwrap();
            assert_eq!(find(&spool, &node, &area).unwrap(), Some(Subscribed { version: 3, until: 7 }));
            let dir = spool.find(&[&node.to_string(), SUBSCRIBED, &area.to_string()]).unwrap().unwrap();
            assert_eq!(all(&dir).unwrap().len(), 1, "the others are gone");
        }
    }

    #[test]
    fn what_ended_is_remembered_while_an_older_statement_may_come() {
        for until in [0, 19_000, 20_010, 20_400] {
            let (spool, node, area) = spool();
            let asked = Subscribed { version: MADE, until };
            put(&spool, &node, &area, asked).unwrap();
            forget_before(&spool, 20_400).unwrap();
            assert_eq!(find(&spool, &node, &area).unwrap(), Some(asked));
            forget_before(&spool, 20_401).unwrap();
            assert_eq!(find(&spool, &node, &area).unwrap(), None);
        }
    }

    #[test]
    fn its_last_day_counts_and_0_is_none() {
        let on = |until, day| Subscribed { version: 1, until }.is_on(&Today { day, doubt: None });
        assert!(on(5, 5) && !on(5, 6) && !on(0, 0));
        let doubted = Today { day: 6, doubt: Some(Doubt { clock: 99, is_new: false }) };
        let is_on = |until| Subscribed { version: 1, until }.is_on(&doubted);
        assert!(is_on(5) && !is_on(0));
    }

    #[test]
    fn a_name_is_read_only_as_it_was_written() {
        let most = Subscribed { version: u64::MAX, until: u32::MAX };
        assert_eq!(Subscribed::parse(&most.to_string()), Some(most));
        for name in ["", ".", "1", "1.", ".1", "01.1", "1.01", "+1.1", "1.1.1", "1.4294967296", "x.1"] {
            assert_eq!(Subscribed::parse(name), None, "{name}");
        }
    }
}
