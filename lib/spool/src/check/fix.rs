//! Mending what a check found.
//!
//! Data is never destroyed for being damaged: a packet goes to `bad/` with its reason. What goes is what counts as not
//! there already (a broken record, an index name that lies) and what a crash has left. What nobody can tell the meaning
//! of stays.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use mb_wire::id::{LetterId, PacketId, Root};

use super::finding::{Fault, Finding, Mend, Mended};
use crate::bad::{self, Condemned};
use crate::bodies::{self, sweep_orphan};
use crate::day;
use crate::deliver::{OpenFolder, clear_runs};
use crate::durable::{self, DirRef};
use crate::layout::Spool;
use crate::number;
use crate::run::{Run, dead_run, gone};
use crate::seen;

/// Days that every forgotten day lies back at the least: what ended before is refused as too old anyway.
const FORGOTTEN_DAYS: u32 = 3;

/// How a check mends what it finds.
#[derive(Clone, Copy)]
pub struct Fix<'a> {
    /// The run that does it; `None` only says what would be done.
    pub run: Option<&'a Run>,
    /// Seconds since 1970.
    pub now: u64,
    /// Opens a folder of delivery, to clear what a dead run staged there.
    pub open: OpenFolder<'a>,
}

/// A finding, and what would mend it.
pub(super) struct Found {
    pub place: PathBuf,
    pub fault: Fault,
    pub repair: Repair,
}

/// What mends a finding.
pub(super) enum Repair {
    Nothing,
    Condemn(DirRef, PacketId),
    Orphan(DirRef, PacketId, u16),
    Remove(DirRef, OsString),
    Seen(DirRef, LetterId),
    Spare(Root),
    Run(DirRef, String),
    Number(DirRef, StateFile),
}

/// A state file that holds a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StateFile {
    Floor,
    Day,
    Doubt,
    Due,
}

impl StateFile {
    pub fn name(self) -> &'static str {
        match self {
            StateFile::Floor => "FLOOR",
            StateFile::Day => "day",
            StateFile::Doubt => "doubt",
            StateFile::Due => "due",
        }
    }
}

impl Found {
    pub fn new(place: impl AsRef<Path>, fault: Fault, repair: Repair) -> Found {
        Found { place: place.as_ref().to_owned(), fault, repair }
    }
}

impl Repair {
    fn mend(&self) -> Option<Mend> {
        match self {
            Repair::Nothing => None,
            Repair::Condemn(..) => Some(Mend::Condemn),
            Repair::Number(_, StateFile::Floor) => Some(Mend::Rewrite),
            _ => Some(Mend::Remove),
        }
    }
}

/// Mends, one finding after another.
pub(super) struct Mender<'a> {
    spool: &'a Spool,
    fix: Option<Fix<'a>>,
    condemned: HashSet<PacketId>,
}

impl<'a> Mender<'a> {
    pub fn new(spool: &'a Spool, fix: Option<Fix<'a>>) -> Mender<'a> {
        Mender { spool, fix, condemned: HashSet::new() }
    }

    /// Mends a finding as far as that was asked for.
    pub fn mend(&mut self, found: Found) -> Finding {
        let mended = match (self.fix, found.repair.mend()) {
            (None, _) => Mended::NotAsked,
            (Some(_), None) => Mended::Left,
            (Some(Fix { run: None, .. }), Some(mend)) => Mended::Would(mend),
            (Some(fix @ Fix { run: Some(run), .. }), Some(mend)) => match self.repair(&found, fix, run) {
                Ok(true) => Mended::Done(mend),
                Ok(false) => Mended::Left,
                Err(error) => Mended::Failed(mend, error),
            },
        };
        Finding { place: found.place, fault: found.fault, mended }
    }

    /// Whether it could be done.
    fn repair(&mut self, found: &Found, fix: Fix, run: &Run) -> durable::Result<bool> {
        match &found.repair {
            Repair::Nothing => return Ok(false),
            Repair::Condemn(dir, packet) => self.condemn(dir, packet, found, run)?,
            Repair::Orphan(dir, packet, number) => sweep_orphan(dir, packet, *number, run)?,
            Repair::Remove(dir, name) => gone(dir.unlink(name))?,
            Repair::Seen(dir, letter) => seen::remove_damaged(dir, letter, run)?,
            Repair::Spare(root) => bodies::sweep_index(self.spool, root, run)?,
            Repair::Run(tmp, name) => return self.remove_run(tmp, name, fix),
            Repair::Number(dir, StateFile::Floor) => {
                // Whatever was forgotten ended by then, and nothing newer is refused.
                let today = day::today(self.spool, fix.now)?.day;
                number::write(dir, StateFile::Floor.name(), today.saturating_sub(FORGOTTEN_DAYS).into(), run)?;
            }
            Repair::Number(dir, file) => gone(dir.unlink(file.name().as_ref()))?,
        }
        Ok(true)
    }

    /// A packet with several faults goes once; its reason is the first.
    fn condemn(&mut self, dir: &DirRef, packet: &PacketId, found: &Found, run: &Run) -> durable::Result<()> {
        if !self.condemned.insert(*packet) {
            return Ok(());
        }
        let name = found.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let why = format!("mb-check: {name}: {}", found.fault);
        let queue = found.place.parent().unwrap_or(Path::new(""));
        bad::condemn(self.spool, &Condemned { from: dir, queue, packet, why: &why }, run)
    }

    /// Only if its lock can be had, or locks do not work here at all.
    fn remove_run(&self, tmp: &DirRef, name: &str, fix: Fix) -> durable::Result<bool> {
        let Some(dead) = dead_run(tmp, name, true)? else { return Ok(false) };
        clear_runs(self.spool, vec![dead], fix.open)?;
        Ok(!bodies::exists(&**tmp, name)?)
    }

    /// After the last finding: packets that went have left names in the index.
    pub fn finish(self) -> durable::Result<()> {
        match self.fix.and_then(|fix| fix.run) {
            Some(run) => bodies::sweep_all(self.spool, run),
            None => Ok(()),
        }
    }
}
