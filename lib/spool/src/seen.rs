//! `self/seen/`: which letters were delivered, and which slots of routes were relayed. The single arbiter of exactly-once.
//!
//! A record is filed by the letter's own last day, so a look-up is one open and forgetting is one folder. `FLOOR` is
//! written before a day is forgotten and never lowered; what ends on it or before it is refused whatever the clock
//! says, so that forgetting opens no door for replays.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use mb_wire::cbor;
use mb_wire::hash::{Label, hash};
use mb_wire::id::LetterId;
use serde::{Deserialize, Serialize};

use crate::durable::{self, DirRef, Kind, Stat};
use crate::layout::Spool;
use crate::number;
use crate::run::{Run, remove_tree};

/// Permission bits of the record of a delivered letter.
const DONE_MODE: u32 = 0o400;
/// A list is longer than this only if it is damaged.
const MOST_LIST_LEN: usize = 16 * 1024;

/// What is known of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it was never delivered here. Also what a damaged record counts as.
    New,
    /// Somebody began to deliver it.
    Begun(StagedList),
    /// It was delivered.
    Done,
}

/// Where a letter is being delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedList {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// The staged name in it. That it is gone is the proof of delivery.
    pub staged: OsString,
    /// The name that it is to get.
    pub wanted: OsString,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRecord {
    v: u8,
    #[serde(with = "serde_bytes")]
    folder: Vec<u8>,
    #[serde(with = "serde_bytes")]
    staged: Vec<u8>,
    #[serde(with = "serde_bytes")]
    wanted: Vec<u8>,
}

impl StagedList {
    /// The record as it lies on disk, with its hash at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = ListRecord {
            v: 1,
            folder: self.folder.clone().into_os_string().into_vec(),
            staged: self.staged.clone().into_vec(),
            wanted: self.wanted.clone().into_vec(),
        };
        let mut bytes = cbor::encode(&record);
        let sum = hash(Label::Seen, &[&bytes]);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// Reads a record; `None` if it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<StagedList> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if hash(Label::Seen, &[body]) != sum {
            return None;
        }
        let record: ListRecord = cbor::decode(body).ok()?;
        Some(StagedList {
            folder: OsString::from_vec(record.folder).into(),
            staged: OsString::from_vec(record.staged),
            wanted: OsString::from_vec(record.wanted),
        })
        .filter(|_| record.v == 1)
    }
}

fn day_path(day: u32) -> [String; 3] {
    ["self".into(), "seen".into(), day.to_string()]
}

/// The folder of a day, made if missing.
pub fn day_dir(spool: &Spool, day: u32) -> durable::Result<DirRef> {
    let path = day_path(day);
    spool.make(&[&path[0], &path[1], &path[2]])
}

/// The folder of a day, if it is there.
pub fn find_day(spool: &Spool, day: u32) -> durable::Result<Option<DirRef>> {
    let path = day_path(day);
    spool.find(&[&path[0], &path[1], &path[2]])
}

/// Looks a letter, or the slot of a route, up in the folder of its day.
pub fn look_up_in(dir: &DirRef, letter: &impl Display) -> durable::Result<Seen> {
    let name = letter.to_string();
    match dir.stat(name.as_ref()) {
        Err(error) if error.is_missing() => return Ok(Seen::New),
        Err(error) => return Err(error),
        Ok(stat) if is_done_mark(&stat) => return Ok(Seen::Done),
        Ok(stat) if stat.kind != Kind::File => return Ok(Seen::New),
        Ok(_) => {}
    }
    let file = match dir.open(name.as_ref()) {
        Err(error) if error.is_missing() => return Ok(Seen::New),
        other => other?,
    };
    let mut bytes = vec![0; MOST_LIST_LEN];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => break,
            count => len += count,
        }
    }
    Ok(StagedList::from_bytes(&bytes[..len]).map_or(Seen::New, Seen::Begun))
}

/// Whether this is the record of a delivered letter: empty and not to be written to. An empty one that may be written to is
/// a list that a crash has emptied.
pub fn is_done_mark(stat: &Stat) -> bool {
    stat.kind == Kind::File && stat.len == 0 && stat.mode & 0o200 == 0
}

/// Removes a damaged record, so that the letter can be delivered. The record is looked at again once it is out of
/// the way: another run may have just replaced it by a good one, which is then put back.
pub fn remove_damaged(dir: &DirRef, letter: &LetterId, run: &Run) -> durable::Result<()> {
    let aside = run.fresh_name("damaged-");
    match dir.rename(letter.to_string().as_ref(), &**run.dir(), aside.as_ref()) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    }
    let stat = run.dir().stat(aside.as_ref())?;
    if is_done_mark(&stat) || read_list(run.dir(), &aside)?.is_some() {
        match run.dir().link(aside.as_ref(), &**dir, letter.to_string().as_ref()) {
            Err(error) if !error.is_taken() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn read_list(dir: &DirRef, name: &str) -> durable::Result<Option<StagedList>> {
    let file = dir.open(name.as_ref())?;
    let mut bytes = vec![0; MOST_LIST_LEN];
    let count = file.read_at(&mut bytes, 0)?;
    Ok(StagedList::from_bytes(&bytes[..count]))
}

/// Publishes a list as the letter's record. `Taken` by another: its list is returned instead, and counts.
///
/// Not durable until the day's folder is synced.
pub fn begin(dir: &DirRef, letter: &LetterId, list_name: &str, run: &Run) -> durable::Result<Option<Seen>> {
    match run.dir().link(list_name.as_ref(), &**dir, letter.to_string().as_ref()) {
        Ok(()) => Ok(None),
        Err(error) if error.is_taken() => Ok(Some(look_up_in(dir, letter)?)),
        Err(error) if error.is_unsupported() => {
            match run.dir().rename_new(list_name.as_ref(), &**dir, letter.to_string().as_ref()) {
                Ok(()) => Ok(None),
                Err(error) if error.is_taken() => Ok(Some(look_up_in(dir, letter)?)),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// The empty file of which every record of a delivered letter is one more name: made and synced once a run, so that
/// settling a letter costs no sync of content.
pub struct DoneMark {
    name: String,
}

impl DoneMark {
    /// Makes it in the run's folder; durable on return.
    pub fn make(run: &Run) -> durable::Result<DoneMark> {
        let name = run.fresh_name("mark-");
        run.dir().create(name.as_ref(), DONE_MODE)?.sync()?;
        Ok(DoneMark { name })
    }

    /// Gives the mark the name `id` in `dir`, if that is not there. Not durable until the folder is synced.
    pub fn put(&self, dir: &DirRef, id: &impl Display, run: &Run) -> durable::Result<()> {
        let name = id.to_string();
        let done = match run.dir().link(self.name.as_ref(), &**dir, name.as_ref()) {
            Err(error) if error.is_unsupported() => dir.create(name.as_ref(), DONE_MODE).map(drop),
            other => other,
        };
        match done {
            Err(error) if error.is_taken() => Ok(()),
            other => other,
        }
    }

    /// Marks a letter as delivered, over its list, or a slot as relayed. Not durable until the day's folder is synced; until then the list
    /// stands, and the staged name's absence says the same.
    pub fn settle(&self, dir: &DirRef, letter: &impl Display, run: &Run) -> durable::Result<()> {
        let name = run.fresh_name("done-");
        match run.dir().link(self.name.as_ref(), &**run.dir(), name.as_ref()) {
            Err(error) if error.is_unsupported() => run.dir().create(name.as_ref(), DONE_MODE)?.sync()?,
            other => other?,
        }
        run.dir().rename(name.as_ref(), &**dir, letter.to_string().as_ref())
    }
}

/// The day up to which everything is refused, 0 if nothing was ever forgotten.
pub fn floor(spool: &Spool) -> durable::Result<u32> {
    let Some(dir) = spool.find(&["self", "seen"])? else { return Ok(0) };
    Ok(number::read(&dir, "FLOOR")?.and_then(|day| day.try_into().ok()).unwrap_or(0))
}

/// The days with records that ended two days before `today`, in order.
pub fn days_before(spool: &Spool, today: u32) -> durable::Result<Vec<u32>> {
    let mut old = Vec::new();
    let Some(seen) = spool.find(&["self", "seen"])? else { return Ok(old) };
    for entry in seen.list()? {
        let entry = entry?;
        let day = entry.name.to_str().and_then(|name| name.parse::<u32>().ok());
        old.extend(day.filter(|day| entry.kind == Kind::Dir && day.saturating_add(2) < today));
    }
    old.sort_unstable();
    Ok(old)
}

/// Forgets the days that ended two days before `today`. The floor is durable before anything goes.
pub fn forget_before(spool: &Spool, today: u32, run: &Run) -> durable::Result<()> {
    let Some(seen) = spool.find(&["self", "seen"])? else { return Ok(()) };
    let old = days_before(spool, today)?;
    let Some(newest) = old.last() else { return Ok(()) };
    if *newest > floor(spool)? {
        number::write(&seen, "FLOOR", u64::from(*newest), run)?;
    }
    old.iter().try_for_each(|day| remove_tree(&seen, day.to_string().as_ref()))
}

/// Every list that is not settled, for the clean-up of staged names. Reads each record's size: only after a crash.
pub fn open_lists(spool: &Spool) -> durable::Result<Vec<StagedList>> {
    let mut lists = Vec::new();
    let Some(seen) = spool.find(&["self", "seen"])? else { return Ok(lists) };
    for day in seen.list()? {
        let day = day?;
        if day.kind != Kind::Dir {
            continue;
        }
        let dir = seen.open_dir(&day.name)?;
        for record in dir.list()? {
            let record = record?;
            let Some(letter) = record.name.to_str().and_then(|name| name.parse::<LetterId>().ok()) else { continue };
            if let Seen::Begun(list) = look_up_in(&dir, &letter)? {
                lists.push(list);
            }
        }
    }
    Ok(lists)
}
