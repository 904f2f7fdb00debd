//! `self/exec/L`: the command that letter L asks for: how often it was begun, and what came of the last try. Written and durable before a try
//! begins, and after it; gone when the letter is settled. Locked by who tries.
//!
//! Whoever dies in between leaves a try that has begun and has no end: nobody knows whether the command ran.

use std::collections::HashMap;

use mb_wire::hash::Label;
use mb_wire::id::{LetterId, PacketId};

use crate::barrier::Barrier;
use crate::bodies::exists;
use crate::durable::{self, DirRef, FileRef, Kind, Lock, LockGuard};
use crate::envelopes::read_whole;
use crate::layout::Spool;
use crate::places::{Place, for_each_place};
use crate::record;
use crate::run::{Run, gone};

/// The name, in `self/`, of the folder of records.
pub const EXEC: &str = "exec";
/// A record longer than this is damaged.
const MOST_LEN: usize = 4096;
/// What says nothing is left alone for so long.
const DAY_SECS: i64 = 86_400;

/// How often a command was begun, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tries {
    /// The packet that brought the letter.
    pub packet: PacketId,
    /// How often, at least 1.
    pub count: u32,
    /// The last time.
    pub last: Last,
}

/// What came of the last try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// It began then, in seconds since 1970, and no end is known.
    Begun(u64),
    /// It failed, and is to be made again from a time on.
    Failed {
        /// That time, in seconds since 1970.
        next: u64,
        /// How it failed: one line.
        why: String,
    },
}

impl Tries {
    /// The record as it lies on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Tries { packet, count, last } = self;
        let last = match last {
            Last::Begun(time) => format!("began {time}\n"),
            Last::Failed { next, why } => format!("next {next}\nwhy {why}\n"),
        };
        record::with_sum(Label::Seen, &format!("packet {packet}\ntries {count}\n{last}"))
    }

    /// Reads a record; `None` if it is damaged, or of a try that never began.
    pub fn from_bytes(bytes: &[u8]) -> Option<Tries> {
        let mut lines = record::lines(Label::Seen, bytes)?.lines();
        let packet = lines.next()?.strip_prefix("packet ")?.parse().ok()?;
        let count = lines.next()?.strip_prefix("tries ")?.parse().ok()?;
        let line = lines.next()?;
        let last = match line.strip_prefix("began ") {
            Some(time) => Last::Begun(time.parse().ok()?),
            None => {
                let next = line.strip_prefix("next ")?.parse().ok()?;
                Last::Failed { next, why: lines.next()?.strip_prefix("why ")?.to_owned() }
            }
        };
        lines.next().is_none().then_some(Tries { packet, count, last })
    }
}

/// The letter's command is ours to run: nobody else begins a try while it lives.
pub struct Claim {
    dir: DirRef,
    name: String,
    /// What is known of earlier tries.
    pub known: Option<Tries>,
    _lock: Option<LockGuard>,
}

/// Claims the tries of a letter. `None`: somebody else is at it.
pub fn claim(spool: &Spool, letter: &LetterId, run: &Run) -> durable::Result<Option<Claim>> {
    let (dir, name) = (spool.make(&["self", EXEC])?, letter.to_string());
    let file = match dir.open(name.as_ref()) {
        Err(error) if error.is_missing() => return first(dir, name, run),
        other => other?,
    };
    let lock = match file.try_lock()? {
        Lock::Busy => return Ok(None),
        Lock::Held(lock) => Some(lock),
        Lock::Unsupported => None,
    };
    match dir.stat(name.as_ref()) {
        // Whoever had it before has written it anew, or removed it.
        Ok(stat) if stat.inode != file.stat()?.inode => Ok(None),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
        Ok(_) => {
            let known = Tries::from_bytes(&read_whole(&file, MOST_LEN)?);
            Ok(Some(Claim { dir, name, known, _lock: lock }))
        }
    }
}

/// What is known of the tries of a letter, whoever is at it.
pub fn known(spool: &Spool, letter: &LetterId) -> durable::Result<Option<Tries>> {
    match spool.find(&["self", EXEC])? {
        Some(dir) => read(&dir, &letter.to_string()),
        None => Ok(None),
    }
}

fn read(dir: &DirRef, name: &str) -> durable::Result<Option<Tries>> {
    Ok(record::read(dir, name, MOST_LEN)?.and_then(|bytes| Tries::from_bytes(&bytes)))
}

/// The first to claim it makes an empty record, which says that nothing was begun.
fn first(dir: DirRef, name: String, run: &Run) -> durable::Result<Option<Claim>> {
    let (made, file) = run.write("try-", &[])?;
    let lock = lock(&file)?;
    let taken = match run.dir().link(made.as_ref(), &*dir, name.as_ref()) {
        Err(error) if error.is_taken() => true,
        Err(error) if error.is_unsupported() => match run.dir().rename_new(made.as_ref(), &*dir, name.as_ref()) {
            Err(error) if error.is_taken() => true,
            other => other.map(|()| false)?,
        },
        other => other.map(|()| false)?,
    };
    gone(run.dir().unlink(made.as_ref()))?;
    Ok((!taken).then_some(Claim { dir, name, known: None, _lock: lock }))
}

fn lock(file: &FileRef) -> durable::Result<Option<LockGuard>> {
    Ok(match file.try_lock()? {
        Lock::Held(lock) => Some(lock),
        // A file that only we know is not busy.
        Lock::Busy | Lock::Unsupported => None,
    })
}

impl Claim {
    /// How often a try has begun.
    pub fn count(&self) -> u32 {
        self.known.as_ref().map_or(0, |tries| tries.count)
    }

    /// Writes down that a try begins. It may when `barrier` is through.
    pub fn begin(&mut self, packet: PacketId, now: u64, run: &Run, barrier: &mut Barrier) -> durable::Result<()> {
        let count = self.count().saturating_add(1);
        self.write(Tries { packet, count, last: Last::Begun(now) }, run, barrier)
    }

    /// Writes down how the try failed, in one line, and when the next one may begin. Durable when `barrier` is.
    pub fn fail(
        &mut self,
        packet: PacketId,
        next: u64,
        why: &str,
        run: &Run,
        barrier: &mut Barrier,
    ) -> durable::Result<()> {
        let (count, why) = (self.count(), one_line(why));
        self.write(Tries { packet, count, last: Last::Failed { next, why } }, run, barrier)
    }

    fn write(&mut self, tries: Tries, run: &Run, barrier: &mut Barrier) -> durable::Result<()> {
        let (made, file) = run.write("try-", &tries.to_bytes())?;
        // Locked before anybody can see it; the one before is let go after.
        let lock = lock(&file)?;
        run.dir().rename(made.as_ref(), &*self.dir, self.name.as_ref())?;
        barrier.file(file, &self.dir, &self.name);
        barrier.dir(&self.dir);
        (self.known, self._lock) = (Some(tries), lock);
        Ok(())
    }

    /// The letter is settled.
    pub fn end(self) -> durable::Result<()> {
        gone(self.dir.unlink(self.name.as_ref()))
    }
}

fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while line.len() > MOST_LEN / 4 {
        line.pop();
    }
    line
}

/// What is known of all tries, by the packets that brought the letters. For people.
pub fn by_packet(spool: &Spool) -> durable::Result<HashMap<PacketId, Tries>> {
    let mut found = HashMap::new();
    let Some(dir) = spool.find(&["self", EXEC])? else { return Ok(found) };
    for entry in dir.list()? {
        let name = entry?.name;
        let Some(name) = name.to_str() else { continue };
        let known = read(&dir, name)?;
        found.extend(known.map(|tries| (tries.packet, tries)));
    }
    Ok(found)
}

/// Forgets the tries of a letter that is settled.
pub fn forget(spool: &Spool, letter: &LetterId) -> durable::Result<()> {
    match spool.find(&["self", EXEC])? {
        Some(dir) => gone(dir.unlink(letter.to_string().as_ref())),
        None => Ok(()),
    }
}

/// Forgets tries of letters that are not here any more: who died may have left them.
pub fn sweep(spool: &Spool, now: u64) -> durable::Result<()> {
    let Some(dir) = spool.find(&["self", EXEC])? else { return Ok(()) };
    for entry in dir.list()?.collect::<durable::Result<Vec<_>>>()? {
        let Some(name) = entry.name.to_str().filter(|_| entry.kind == Kind::File) else { continue };
        let stays = match read(&dir, name)? {
            Some(tries) => is_here(spool, &tries.packet)?,
            // Somebody may be about to begin.
            None => dir.stat(&entry.name)?.modified.0.saturating_add(DAY_SECS) >= now.cast_signed(),
        };
        if !stays {
            gone(dir.unlink(&entry.name))?;
        }
    }
    Ok(())
}

fn is_here(spool: &Spool, packet: &PacketId) -> durable::Result<bool> {
    let name = packet.to_string();
    let mut found = false;
    for_each_place(spool, |place, dir| {
        found |= matches!(place, Place::Rx(_) | Place::Wait(_) | Place::Bad) && exists(&*dir, &name)?;
        Ok::<(), durable::Error>(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_counts_as_none() {
        let packet = PacketId::from_bytes([2; 32]);
        for last in [Last::Begun(7), Last::Failed { next: 9, why: one_line("exit 75: \x1b[2J no\nroom") }] {
            let tries = Tries { packet, count: 3, last };
            let bytes = tries.to_bytes();
            assert_eq!(Tries::from_bytes(&bytes), Some(tries));
            for position in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[position] ^= 1;
                assert_eq!(Tries::from_bytes(&damaged), None, "bit of byte {position}");
                assert_eq!(Tries::from_bytes(&bytes[..position]), None, "cut at {position}");
            }
        }
        assert_eq!(one_line(&"ü".repeat(5000)).len(), 1024);
    }
}
