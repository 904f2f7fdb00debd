//! Stage: where a letter goes, and its payload under a name that nobody looks at yet.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mb_spool::asked;
use mb_spool::barrier::Barrier;
use mb_spool::deliver::{Delivery, OpenFolder, Target, Targets, drop_staged, staged_name};
use mb_spool::durable::{self, DirRef, FileRef, Kind as EntryKind};
use mb_spool::layout::{DIR_MODE, FILE_MODE, Spool, sub_dir};
use mb_spool::partial;
use mb_spool::run::Run;
use mb_spool::seen::{self, Seen};
use mb_wire::letter::{FileMeta, Form, Kind, Letter, Reader};

use super::decide::{Deliver, Inbox, Refusal};
use super::payload::{Bodies, PayloadError};
use super::unpack::{Modes, Unpacker};
use crate::config::Mode;
use crate::name::safe_path;
use crate::send::Place;

/// Permission bits of a folder that is made for a letter's path.
const SUB_DIR_MODE: u32 = 0o755;
/// How deep a folder of delivery is looked into when its size is limited.
const MOST_DEPTH: usize = 128;

/// What staging needs. Threads may stage at the same time.
pub struct Stage<'a> {
    /// The spool.
    pub spool: &'a Spool,
    /// The run that stages.
    pub run: &'a Run,
    /// Opens a folder outside the spool by its absolute path.
    pub open: OpenFolder<'a>,
    /// The absolute path of the spool.
    pub spool_path: &'a Path,
    /// Bytes to leave free.
    pub reserve: u64,
    /// Folders noted so far, and what waits to become durable.
    pub shared: &'a Mutex<Shared>,
}

/// What threads that stage share. Folders are opened once a batch.
#[derive(Default)]
pub struct Shared {
    targets: Targets,
    /// Those of `self/seen/`, by their day.
    days: BTreeMap<u32, DirRef>,
    /// Those of delivery, by their absolute paths.
    folders: BTreeMap<PathBuf, DirRef>,
    /// Everything that was staged.
    pub barrier: Barrier,
}

impl Stage<'_> {
    /// Writes the letter's payload and its list. If only the first of its bodies are given, the files that are whole with them, to be
    /// delivered by themselves. Nothing is visible under a final name; on an error nothing stays.
    pub fn stage(&self, deliver: &Deliver, bodies: Vec<FileRef>, threads: usize) -> Result<Delivery, PayloadError> {
        // Nothing else is staged.
        let Kind::File(meta) = &deliver.letter.kind else {
            return Err(Refusal::NoFiles(deliver.author.name.clone()).into());
        };
        let (target, mut wanted) = self.target(deliver, meta)?;
        let staged = staged_name(self.run);
        let bodies = Bodies { letter: &deliver.letter, files: bodies, veils: deliver.veils.as_ref(), threads };
        let (mut id, part) = (deliver.id, partial::name(&wanted, &deliver.id));
        let goes = (!bodies.is_part()).then_some(&*part);
        self.check_room(&target, deliver.inbox, &deliver.letter, goes)?;
        if bodies.is_part() {
            (wanted, id) = (part, partial::id(&id));
        }
        let mut barrier = Barrier::new();
        let written = self.write(&bodies, meta, deliver.inbox, &target, &staged, &mut barrier);
        let staged_list = written.and_then(|()| {
            let day = self.day(deliver.letter.end)?;
            let list = Delivery::stage(id, day, target.clone(), staged.clone(), wanted, self.run, &mut barrier);
            Ok(list?)
        });
        if staged_list.is_err() {
            // Room is made at once; that nothing stays is for the next run to see to.
            let _ = drop_staged(&target.dir, &staged);
            self.run.leave();
        }
        self.shared().barrier.append(barrier);
        staged_list
    }

    fn write(
        &self,
        bodies: &Bodies,
        meta: &FileMeta,
        inbox: Inbox,
        target: &Target,
        staged: &OsString,
        barrier: &mut Barrier,
    ) -> Result<(), PayloadError> {
        let modes = Modes::new(inbox.accept.mode);
        match meta.form {
            Form::Plain => {
                let file = target.dir.create(staged, FILE_MODE)?;
                bodies.write_plain(&file)?;
                file.set_mode(modes.file(meta.mode))?;
                file.set_modified(meta.mtime)?;
                barrier.file(file, &target.dir, staged);
                Ok(())
            }
            Form::Folder => {
                let mut unpacker = Unpacker::new(&target.dir, staged, modes);
                bodies.read(&mut |mut bytes| unpacker.take(&mut bytes, barrier))?;
                if bodies.is_part() { unpacker.stop(barrier) } else { unpacker.finish(barrier) }
            }
        }
    }

    /// What is known of a letter, or of the slot of a route, that ends on `day`.
    pub fn look_up(&self, day: u32, id: &impl Display) -> durable::Result<Seen> {
        let known = self.shared().days.get(&day).cloned();
        let dir = match known {
            Some(dir) => dir,
            None => match seen::find_day(self.spool, day)? {
                Some(dir) => self.shared().days.entry(day).or_insert(dir).clone(),
                None => return Ok(Seen::New),
            },
        };
        seen::look_up_in(&dir, id)
    }

    /// The folder of a day in `self/seen/`, made if missing.
    pub fn day(&self, day: u32) -> durable::Result<DirRef> {
        let known = self.shared().days.get(&day).cloned();
        match known {
            Some(dir) => Ok(dir),
            None => {
                let dir = seen::day_dir(self.spool, day)?;
                Ok(self.shared().days.entry(day).or_insert(dir).clone())
            }
        }
    }

    /// What all that stage share.
    pub fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder that the letter goes to, noted durably, and the name that it is to get there.
    fn target(&self, deliver: &Deliver, meta: &FileMeta) -> durable::Result<(Target, OsString)> {
        let (folders, name) = safe_path(&self.wanted_path(deliver, meta)?);
        let (mut path, mut dir) = self.folder(deliver.inbox)?;
        for folder in folders {
            dir = match dir.open_dir(&folder) {
                Err(error) if error.is_missing() => {
                    // Noted before: whoever finds this run dead syncs the folder in which it makes one.
                    self.shared().targets.note(&path, dir.clone(), self.run)?;
                    sub_dir(&dir, &folder, SUB_DIR_MODE)?
                }
                found => found?,
            };
            path.push(&folder);
        }
        let target = self.shared().targets.note(&path, dir, self.run)?;
        Ok((target, name))
    }

    /// The path that the letter names; of an answer that we have asked for, the one that we want.
    fn wanted_path(&self, deliver: &Deliver, meta: &FileMeta) -> durable::Result<Vec<u8>> {
        let asked = match (&meta.re, &deliver.letter.to) {
            // Of what a list sends on somebody else says what it answers.
            (Some(re), Reader::Node(_)) if deliver.letter.forwarded.is_none() => asked::find(self.spool, re)?,
            _ => None,
        };
        let place =
            asked.filter(|asked| asked.to == deliver.author.id).and_then(|asked| Place::parse(&asked.name).ok());
        Ok(place.map_or_else(|| meta.path.clone(), |place| place.path_of(&meta.path)))
    }

    fn folder(&self, inbox: Inbox) -> durable::Result<(PathBuf, DirRef)> {
        let own = || self.spool_path.join("incoming").join(inbox.name);
        let path = inbox.accept.folder.clone().unwrap_or_else(own);
        let known = self.shared().folders.get(&path).cloned();
        if let Some(dir) = known {
            return Ok((path, dir));
        }
        let dir = match &inbox.accept.folder {
            Some(path) => (self.open)(path)?,
            None => {
                let incoming = self.spool.make(&["incoming"])?;
                incoming.scatter();
                sub_dir(&incoming, inbox.name.as_ref(), DIR_MODE)?
            }
        };
        let dir = self.shared().folders.entry(path.clone()).or_insert(dir).clone();
        Ok((path, dir))
    }

    /// `goes`: a folder in the target, if it is there, whose files go when the letter comes.
    fn check_room(
        &self,
        target: &Target,
        inbox: Inbox,
        letter: &Letter,
        goes: Option<&OsStr>,
    ) -> Result<(), PayloadError> {
        let len = letter.payload_len();
        let folder = || target.path.display().to_string();
        if let Some(most) = inbox.accept.most_bytes {
            let (_, top) = self.folder(inbox)?;
            let part = goes.and_then(|name| target.dir.open_dir(name).ok());
            let part_len = part.map_or(Ok(0), |part| bytes_in(&part, MOST_DEPTH))?;
            if bytes_in(&top, MOST_DEPTH)?.saturating_sub(part_len).saturating_add(len) > most {
                return Err(Refusal::FolderFull { folder: folder(), most }.into());
            }
        }
        let (free, needed) = (target.dir.free_space()?, len.saturating_add(self.reserve));
        if free < needed {
            return Err(Refusal::NoRoom { folder: folder(), free, needed }.into());
        }
        Ok(())
    }
}

/// The bytes of all files below a folder, as far down as `depth`.
fn bytes_in(dir: &DirRef, depth: usize) -> durable::Result<u64> {
    let mut total = 0u64;
    for entry in dir.list()? {
        let entry = entry?;
        let found = match entry.kind {
            EntryKind::File => dir.stat(&entry.name).map(|stat| stat.len),
            EntryKind::Dir if depth > 0 => dir.open_dir(&entry.name).and_then(|inner| bytes_in(&inner, depth - 1)),
            _ => Ok(0),
        };
        match found {
            Ok(len) => total = total.saturating_add(len),
            // The user took it away meanwhile.
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

impl Modes {
    /// The rule that a node's file gives.
    pub fn new(mode: Mode) -> Modes {
        match mode {
            Mode::Keep => Modes::KEEP,
            Mode::Fixed(bits) => Modes::fixed(bits),
        }
    }
}
