//! Areas: who has which message, and messages that are kept.
//!
//! `self/area/AREA/DAY/MSGHASH` is empty and says that we have handed that message on and done with it what is to be done here,
//! `MSGHASH.NODE` that NODE has it. DAY is the message's own last day, so a look-up is one stat and forgetting is one folder. A mark is
//! made after what it speaks of is durable: without it something is sent twice, with it too early something would be lost.
//!
//! `area/AREA/DAY/MSGHASH` is a message that is kept, and `MSGHASH.n` are links to its bodies.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mb_wire::area::AreaMessage;
use mb_wire::id::{AreaId, MsgHash, NodeId};
use mb_wire::size::ENVELOPE_MOST;

use crate::barrier::{Barrier, MANY_DIRS};
use crate::bodies::{exists, link_or_copy};
use crate::durable::{self, DirRef, FileRef, Kind};
use crate::layout::{Spool, days};
use crate::record;
use crate::run::{Run, forget_days, gone};
use crate::seen::DoneMark;

/// The folder of marks in `self/`, and that of kept messages in the spool's.
pub const AREA: &str = "area";

/// Marks are dropped so many days after the day that they are filed under, as letters are forgotten.
const GRACE_DAYS: u32 = 2;

/// A message by which it is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Its area.
    pub area: AreaId,
    /// Its last day.
    pub end: u32,
    /// Its name.
    pub hash: MsgHash,
}

/// The marks of a run; some of their folders stay open. Threads may ask at the same time.
pub struct Marks<'a> {
    spool: &'a Spool,
    dirs: Mutex<BTreeMap<(AreaId, u32), DirRef>>,
}

impl<'a> Marks<'a> {
    /// Those of a spool.
    pub fn new(spool: &'a Spool) -> Marks<'a> {
        Marks { spool, dirs: Mutex::default() }
    }

    /// Whether `node` has the message; ours says that all is done.
    pub fn has(&self, node: &NodeId, message: &Message) -> durable::Result<bool> {
        let dir = match self.open(message) {
            Some(dir) => dir,
            None => {
                let path = path(message);
                let Some(dir) = self.spool.find(&path.each_ref().map(String::as_str))? else { return Ok(false) };
                self.keep(message, dir)
            }
        };
        exists(&*dir, &self.name(node, message))
    }

    /// Notes that `node` has the message. Durable when `barrier` is.
    pub fn put(
        &self,
        mark: &DoneMark,
        node: &NodeId,
        message: &Message,
        run: &Run,
        barrier: &mut Barrier,
    ) -> durable::Result<()> {
        let dir = match self.open(message) {
            Some(dir) => dir,
            // Where a mark is lost a copy more is sent.
            None => self.keep(message, self.spool.make_lossy(&path(message).each_ref().map(String::as_str), barrier)?),
        };
        mark.put(&dir, &self.name(node, message), run)?;
        barrier.dir(&dir);
        Ok(())
    }

    fn name(&self, node: &NodeId, message: &Message) -> String {
        if *node == self.spool.own() { message.hash.to_string() } else { format!("{}.{node}", message.hash) }
    }

    fn open(&self, message: &Message) -> Option<DirRef> {
        let dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        dirs.get(&(message.area, message.end)).cloned()
    }

    fn keep(&self, message: &Message, dir: DirRef) -> DirRef {
        let (mut dirs, key) = (self.dirs.lock().unwrap_or_else(PoisonError::into_inner), (message.area, message.end));
        if dirs.len() >= MANY_DIRS && !dirs.contains_key(&key) {
            dirs.clear();
        }
        dirs.entry(key).or_insert(dir).clone()
    }
}

fn path(message: &Message) -> [String; 4] {
    ["self".into(), AREA.into(), message.area.to_string(), message.end.to_string()]
}

/// Whether a mark may have this name: a message, or a message and a node.
pub(crate) fn is_mark(name: &str) -> bool {
    let (hash, node) = name.split_once('.').unzip();
    hash.unwrap_or(name).parse::<MsgHash>().is_ok() && node.is_none_or(|node| node.parse::<NodeId>().is_ok())
}

/// The messages of an area that we are through with, in no order.
pub fn marked(spool: &Spool, area: &AreaId) -> durable::Result<Vec<MsgHash>> {
    let mut marked = Vec::new();
    let Some(dir) = spool.find(&["self", AREA, &area.to_string()])? else { return Ok(marked) };
    for day in days(&dir)? {
        for entry in dir.open_dir(day.to_string().as_ref())?.list()? {
            marked.extend(entry?.name.to_str().and_then(|name| name.parse::<MsgHash>().ok()));
        }
    }
    Ok(marked)
}

/// Forgets who has what of messages that ended before `today`, and messages that were kept until then.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    let is_old = |day: u32| day.saturating_add(GRACE_DAYS) < today;
    if let Some(dir) = spool.find(&["self", AREA])? {
        for_each_area(&dir, |area| forget_days(area, is_old))?;
    }
    match spool.find(&[AREA])? {
        Some(dir) => for_each_area(&dir, |area| forget_days(area, |day| day < today)),
        None => Ok(()),
    }
}

/// Does `work` with each folder in `dir` that is called after an area.
pub(crate) fn for_each_area(dir: &DirRef, mut work: impl FnMut(&DirRef) -> durable::Result<()>) -> durable::Result<()> {
    for entry in dir.list()? {
        let entry = entry?;
        if entry.kind == Kind::Dir && entry.name.to_str().is_some_and(|name| name.parse::<AreaId>().is_ok()) {
            work(&dir.open_dir(&entry.name)?)?;
        }
    }
    Ok(())
}

/// Keeps a message until `day` is over, with its bodies, which are called `bodies` in `from`. Durable when `barrier` is.
pub fn keep<N: AsRef<str>>(
    spool: &Spool,
    day: u32,
    message: &AreaMessage,
    from: &DirRef,
    bodies: &[N],
    run: &Run,
    barrier: &mut Barrier,
) -> durable::Result<()> {
    let dir = spool.make(&[AREA, &message.head.area.to_string(), &day.to_string()])?;
    let hash = message.hash();
    for (number, body) in bodies.iter().enumerate() {
        link_or_copy(from, body.as_ref(), &dir, &kept_body_name(&hash, number), run)?;
    }
    record::put(&dir, &hash.to_string(), &message.to_bytes(), run, Some(barrier))
}

/// The name of body number `number` of a kept message.
pub(crate) fn kept_body_name(hash: &MsgHash, number: usize) -> String {
    format!("{hash}.{number}")
}

/// Reads the kept message `hash` from the folder of its day; `None` if it has gone or is damaged.
pub(crate) fn read_kept(dir: &DirRef, hash: &MsgHash) -> durable::Result<Option<AreaMessage>> {
    let bytes = record::read(dir, &hash.to_string(), ENVELOPE_MOST)?;
    let message = bytes.and_then(|bytes| AreaMessage::parse(&bytes).ok());
    Ok(message.filter(|message| message.hash() == *hash))
}

/// A message that is kept.
pub struct Kept {
    /// Its name.
    pub hash: MsgHash,
    dir: DirRef,
}

impl Kept {
    /// The folder that its bodies lie in.
    pub fn dir(&self) -> &DirRef {
        &self.dir
    }

    /// The names of its bodies there, as many as its head lists.
    pub fn body_names(&self, count: usize) -> Vec<String> {
        (0..count).map(|number| kept_body_name(&self.hash, number)).collect()
    }

    /// The message; `None` if it has gone or is damaged.
    pub fn read(&self) -> durable::Result<Option<AreaMessage>> {
        read_kept(&self.dir, &self.hash)
    }

    /// Opens its bodies, as many as its head lists; `None` if one is missing.
    pub fn open_bodies(&self, count: usize) -> durable::Result<Option<Vec<FileRef>>> {
        let files = self.body_names(count).into_iter().map(|name| self.dir.open(name.as_ref())).collect();
        match files {
            Err(error) if durable::Error::is_missing(&error) => Ok(None),
            files => files.map(Some),
        }
    }
}

/// Removes kept messages of an area until they have at most `most` bytes, those of the earliest day first, of one day by their names.
pub fn trim(spool: &Spool, area: &AreaId, most: u64) -> durable::Result<()> {
    let Some(dir) = spool.find(&[AREA, &area.to_string()])? else { return Ok(()) };
    let mut all = days(&dir)?;
    all.sort_unstable_by(|a, b| b.cmp(a));
    let mut total = 0_u64;
    for day in all {
        let dir = dir.open_dir(day.to_string().as_ref())?;
        let mut lens = BTreeMap::<String, (u64, Vec<String>)>::new();
        for entry in dir.list()? {
            let entry = entry?;
            let Some(name) = entry.name.to_str() else { continue };
            let (stem, _) = name.split_once('.').unwrap_or((name, ""));
            let of = lens.entry(stem.to_owned()).or_default();
            match dir.stat(&entry.name) {
                Ok(stat) => of.0 = of.0.saturating_add(stat.len),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
            of.1.push(name.to_owned());
        }
        for (_, (len, mut names)) in lens {
            total = total.saturating_add(len);
            if total > most {
                // The message first: without it its bodies are nobody's.
                names.sort_unstable();
                names.iter().try_for_each(|name| gone(dir.unlink(name.as_ref())))?;
            }
        }
    }
    Ok(())
}

/// The messages of an area that are kept, in no order.
pub fn kept(spool: &Spool, area: &AreaId) -> durable::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    let Some(dir) = spool.find(&[AREA, &area.to_string()])? else { return Ok(kept) };
    for day in days(&dir)? {
        let dir = match dir.open_dir(day.to_string().as_ref()) {
            Err(error) if error.is_missing() => continue,
            other => other?,
        };
        for entry in dir.list()? {
            if let Some(hash) = entry?.name.to_str().and_then(|name| name.parse().ok()) {
                kept.push(Kept { hash, dir: dir.clone() });
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_message_or_a_message_and_a_node() {
        let (hash, node) = (MsgHash::from_bytes([7; 32]), NodeId::from_bytes([9; 32]));
        assert!(is_mark(&hash.to_string()) && is_mark(&format!("{hash}.{node}")));
        for other in [format!("{hash}."), format!("{hash}.0"), format!(".{node}"), node.to_string(), "x".into()] {
            assert!(!is_mark(&other), "{other}");
        }
    }
}
