//! Exactly-once delivery of staged files: the staged name's absence is the proof.
//!
//! For a letter L into a folder F (design 5.4), over a whole batch with one barrier a step:
//!
//! - *stage*: `F/.mb-RUN-n` and the list that will be L's record are written and durable;
//! - *claim*: the list becomes `seen/DAY/L` by link; who comes second goes on with the first one's list;
//! - *place*: the staged name is renamed to a free final name, replacing nothing;
//! - *settle*: L's record is emptied; then the input may go.
//!
//! Whoever finds a list goes on from *place*: a staged name that exists is placed, one that is gone was delivered,
//! whatever lies in F now. No step rests on a lock, except the removal of staged names that no list names.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use mb_wire::id::LetterId;

use crate::barrier::Barrier;
use crate::durable::{self, DirRef, Kind};
use crate::envelopes::read_whole;
use crate::layout::Spool;
use crate::run::{DeadRun, Run, gone, remove_tree};
use crate::seen::{self, DoneMark, Seen, StagedList};

/// How a folder outside the spool is opened by its absolute path.
pub type OpenFolder<'a> = &'a (dyn Fn(&Path) -> durable::Result<DirRef> + Sync);

/// The longest name that file systems take, in bytes.
const MOST_NAME_LEN: usize = 255;
/// The longest path of a folder of delivery.
const MOST_PATH_LEN: usize = 16 * 1024;
/// How many taken names are remembered at a time.
const MOST_REMEMBERED: usize = 4096;
/// How deep the folders of a spool lie in each other: `self/area/AREA/DAY`.
const SPOOL_DEPTH: usize = 4;
/// What a reservation begins with.
const RESERVED: &str = "mailbag:";
/// What staged names begin with.
pub const STAGED_PREFIX: &str = ".mb-";

/// A folder of delivery that this run may stage into: the run has noted it, durably.
#[derive(Clone)]
pub struct Target {
    /// Its absolute path.
    pub path: PathBuf,
    /// The open folder.
    pub dir: DirRef,
}

/// Notes the folders that a run stages into, so that what a crash leaves there is found.
#[derive(Default)]
pub struct Targets {
    noted: HashMap<PathBuf, DirRef>,
}

impl Targets {
    /// No folder noted yet.
    pub fn new() -> Targets {
        Targets::default()
    }

    /// Notes `dir`, which is at the absolute `path`. Durable on return; the first staged name may come now.
    pub fn note(&mut self, path: &Path, dir: DirRef, run: &Run) -> durable::Result<Target> {
        if let Some(dir) = self.noted.get(path) {
            return Ok(Target { path: path.into(), dir: dir.clone() });
        }
        let (_, file) = run.write("in-", &[path.as_os_str().as_bytes(), b"\n"].concat())?;
        file.sync()?;
        run.dir().sync()?;
        run.tmp().sync()?;
        self.noted.insert(path.into(), dir.clone());
        Ok(Target { path: path.into(), dir })
    }
}

/// A name for something to stage in a target.
pub fn staged_name(run: &Run) -> OsString {
    run.fresh_name(&format!("{STAGED_PREFIX}{}-", run.name())).into()
}

/// A letter on its way through the steps.
pub struct Delivery {
    letter: LetterId,
    day: DirRef,
    target: Target,
    list: StagedList,
    /// The list's file in the run's folder; none for a delivery that another run began.
    list_name: Option<String>,
}

impl Delivery {
    /// A letter whose payload lies, completely written, as `staged` in `target`. Its list is written, not synced:
    /// `barrier` takes it.
    pub fn stage(
        letter: LetterId,
        day: DirRef,
        target: Target,
        staged: OsString,
        wanted: OsString,
        run: &Run,
        barrier: &mut Barrier,
    ) -> durable::Result<Delivery> {
        let list = StagedList { folder: target.path.clone(), staged, wanted };
        let (list_name, file) = run.write("list-", &list.to_bytes())?;
        barrier.file(file, run.dir(), &list_name);
        barrier.dir(&target.dir);
        Ok(Delivery { letter, day, target, list, list_name: Some(list_name) })
    }

    /// A delivery that another run began and did not settle.
    pub fn resume(letter: LetterId, day: DirRef, list: StagedList, open: OpenFolder) -> durable::Result<Delivery> {
        let dir = open(&list.folder)?;
        Ok(Delivery { letter, day, target: Target { path: list.folder.clone(), dir }, list, list_name: None })
    }

    /// Publishes the list. On an error nobody knows whether it is published: the run is left to the next one. If another run was first, one's own staged name goes and its list counts from here on;
    /// `None` if it has even settled. `barrier` takes the day's folder.
    pub fn claim(mut self, run: &Run, open: OpenFolder, barrier: &mut Barrier) -> durable::Result<Option<Delivery>> {
        barrier.dir(&self.day);
        let Some(list_name) = &self.list_name else { return Ok(Some(self)) };
        let list_name = list_name.clone();
        let claimed = self.claim_as(&list_name, run, open);
        if !matches!(claimed, Ok(Claim::Ours)) {
            run.leave();
        }
        Ok(if claimed? == Claim::Settled { None } else { Some(self) })
    }

    fn claim_as(&mut self, list_name: &str, run: &Run, open: OpenFolder) -> durable::Result<Claim> {
        loop {
            match seen::begin(&self.day, &self.letter, list_name, run)? {
                None => return Ok(Claim::Ours),
                // A damaged record, which counts as none.
                Some(Seen::New) => seen::remove_damaged(&self.day, &self.letter, run)?,
                Some(Seen::Begun(list)) => {
                    self.drop_staged()?;
                    self.target = Target { path: list.folder.clone(), dir: open(&list.folder)? };
                    self.list = list;
                    return Ok(Claim::Anothers);
                }
                Some(Seen::Done) => {
                    self.drop_staged()?;
                    return Ok(Claim::Settled);
                }
            }
        }
    }

    /// Removes what this run staged, before its list was published.
    pub fn drop_staged(&self) -> durable::Result<()> {
        drop_staged(&self.target.dir, &self.list.staged)
    }

    /// The folder that it goes to, and the name that it is to get there.
    pub fn goal(&self) -> (&Target, &OsStr) {
        (&self.target, &self.list.wanted)
    }

    /// Renames the staged name to a free final one. The path, unless somebody else has done it. `barrier` takes the
    /// target folder.
    pub fn place(&self, names: &mut FreeNames, barrier: &mut Barrier) -> durable::Result<Option<PathBuf>> {
        barrier.dir(&self.target.dir);
        let name = place(&self.target, &self.list, &self.letter, names)?;
        Ok(name.map(|name| self.target.path.join(name)))
    }

    /// Marks the letter as delivered. To be called when the target folder is durable. `barrier` takes the day's folder.
    pub fn settle(self, mark: &DoneMark, run: &Run, barrier: &mut Barrier) -> durable::Result<()> {
        mark.settle(&self.day, &self.letter, run)?;
        barrier.dir(&self.day);
        Ok(())
    }
}

/// Whose list counts.
#[derive(PartialEq, Eq)]
enum Claim {
    Ours,
    Anothers,
    Settled,
}

/// Removes a staged file or folder. Not durable until its folder is synced.
pub fn drop_staged(dir: &DirRef, staged: &OsStr) -> durable::Result<()> {
    match dir.stat(staged) {
        Err(error) if error.is_missing() => Ok(()),
        Err(error) => Err(error),
        Ok(stat) if stat.kind == Kind::Dir => remove_tree(dir, staged),
        Ok(_) => gone(dir.unlink(staged)),
    }
}

/// Remembers, for names that were taken, which number was free last: a thousand letters of one name cost a thousand
/// renames, not a million.
#[derive(Default)]
pub struct FreeNames {
    next: HashMap<(PathBuf, OsString), u32>,
}

impl FreeNames {
    /// Nothing was taken yet.
    pub fn new() -> FreeNames {
        FreeNames::default()
    }

    fn first(&self, target: &Target, wanted: &OsStr) -> u32 {
        self.next.get(&(target.path.clone(), wanted.to_owned())).copied().unwrap_or(0)
    }

    fn found(&mut self, target: &Target, wanted: &OsStr, number: u32) {
        if number > 0 {
            if self.next.len() >= MOST_REMEMBERED {
                self.next.clear();
            }
            self.next.insert((target.path.clone(), wanted.to_owned()), number + 1);
        }
    }
}

fn place(
    target: &Target,
    list: &StagedList,
    letter: &LetterId,
    names: &mut FreeNames,
) -> durable::Result<Option<OsString>> {
    let mut number = names.first(target, &list.wanted);
    loop {
        let candidate = numbered(&list.wanted, number);
        let tried = match target.dir.rename_new(&list.staged, &*target.dir, &candidate) {
            // Taken, perhaps by a reservation of ours: systems look at the name before they say that they cannot.
            Err(error) if error.is_taken() && is_reservation(&target.dir, &candidate, letter) => {
                place_reserved(&target.dir, list, letter, &candidate)
            }
            Err(error) if error.is_unsupported() => place_reserved(&target.dir, list, letter, &candidate),
            other => other,
        };
        match tried {
            Ok(()) => {
                names.found(target, &list.wanted, number);
                return Ok(Some(candidate));
            }
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) if error.is_taken() && number < u32::MAX => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Where a rename that replaces nothing is not to be had: reserves the name, then renames over the reservation.
///
/// The reservation of a file says whose it is, so that whoever comes after a crash takes it as his own; that of a folder
/// is an empty folder, which a crash may leave behind.
fn place_reserved(dir: &DirRef, list: &StagedList, letter: &LetterId, name: &OsStr) -> durable::Result<()> {
    let is_dir = dir.stat(&list.staged)?.kind == Kind::Dir;
    if is_dir {
        dir.make_dir(name, 0o700)?;
    } else {
        reserve(dir, name, letter)?;
    }
    match dir.rename(&list.staged, &**dir, name) {
        Err(error) if error.is_missing() => {
            if is_dir {
                let _ = dir.remove_dir(name);
            } else if is_reservation(dir, name, letter) {
                gone(dir.unlink(name))?;
            }
            Err(error)
        }
        other => other,
    }
}

fn reserve(dir: &DirRef, name: &OsStr, letter: &LetterId) -> durable::Result<()> {
    let text = reservation(letter);
    let made = match dir.symlink(text.as_ref(), name) {
        Err(error) if error.is_unsupported() => {
            dir.create(name, 0o600).and_then(|file| file.write_at(text.as_bytes(), 0))
        }
        other => other,
    };
    match made {
        Err(error) if error.is_taken() && is_reservation(dir, name, letter) => Ok(()),
        other => other,
    }
}

/// What a reservation says: whose it is.
fn reservation(letter: &LetterId) -> String {
    format!("{RESERVED}{letter}")
}

fn is_reservation(dir: &DirRef, name: &OsStr, letter: &LetterId) -> bool {
    let text = reservation(letter);
    if let Ok(target) = dir.read_link(name) {
        return target.as_bytes() == text.as_bytes();
    }
    let mut bytes = [0; 128];
    let read = dir.open(name).and_then(|file| file.read_at(&mut bytes, 0));
    read.is_ok_and(|count| is_torn_from(text.as_bytes(), &bytes[..count]))
}

/// Whether a power cut made `found` of a reservation: its beginning, perhaps with zeros in place of the rest. Where so
/// little is left that somebody else could have written it, it stays, and the next number is taken.
fn is_torn_from(written: &[u8], found: &[u8]) -> bool {
    let same = found.iter().zip(written).take_while(|(found, written)| found == written).count();
    let is_ours = if found.len() == written.len() { same > 0 } else { same >= RESERVED.len() };
    is_ours && found.len() <= written.len() && found[same..].iter().all(|byte| *byte == 0)
}

/// `wanted` with a number before its extension: `report.pdf`, `report.1.pdf`, `report.2.pdf`… Number 0 is the name itself.
/// A name that would get too long loses the end of its stem.
fn numbered(wanted: &OsStr, number: u32) -> OsString {
    if number == 0 {
        return wanted.to_owned();
    }
    let bytes = wanted.as_bytes();
    let dot = bytes.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0).unwrap_or(bytes.len());
    let (stem, extension) = bytes.split_at(dot);
    name_with(OsStr::from_bytes(stem), &format!(".{number}"), extension)
}

/// A name made of three parts. If it would get too long, the stem loses its end.
pub fn name_with(stem: &OsStr, middle: &str, extension: &[u8]) -> OsString {
    let stem = stem.as_bytes();
    let room = MOST_NAME_LEN.saturating_sub(middle.len() + extension.len());
    let mut name = stem[..shorten(stem, room)].to_vec();
    name.extend_from_slice(middle.as_bytes());
    name.extend_from_slice(extension);
    OsString::from_vec(name)
}

/// How many bytes of `stem` fit into `room` without cutting a UTF-8 character.
fn shorten(stem: &[u8], room: usize) -> usize {
    let mut len = stem.len().min(room);
    while len > 0 && len < stem.len() && stem[len] & 0xc0 == 0x80 {
        len -= 1;
    }
    len
}

/// Removes what dead runs left: in their folders of delivery each staged name that no list names, then their own
/// folders in `tmp/`. A folder that cannot be opened now keeps its run for another time.
pub fn clear_dead_runs(spool: &Spool, open: OpenFolder) -> durable::Result<()> {
    clear_runs(spool, crate::run::dead_runs(spool)?, open)
}

/// The same for runs that are known to be dead.
///
/// What a dead run did and had not come to sync becomes durable first: others rely on it from now on. Above all on its
/// folders, which are not synced by whoever finds them there.
pub fn clear_runs(spool: &Spool, dead_runs: Vec<DeadRun>, open: OpenFolder) -> durable::Result<()> {
    if !dead_runs.is_empty() {
        sync_whole(spool.root())?;
    }
    for dead in dead_runs {
        if clear_staged(spool, &dead, open)? {
            dead.remove()?;
        }
    }
    Ok(())
}

fn sync_whole(root: &DirRef) -> durable::Result<()> {
    match root.sync_fs() {
        Err(error) if error.is_unsupported() => sync_below(root, SPOOL_DEPTH),
        other => other,
    }
}

fn sync_below(dir: &DirRef, depth: usize) -> durable::Result<()> {
    dir.sync()?;
    if depth == 0 {
        return Ok(());
    }
    let entries = dir.list()?.collect::<durable::Result<Vec<_>>>()?;
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Dir) {
        match dir.open_dir(&entry.name) {
            // Removed meanwhile, or not ours to enter.
            Err(error) if error.is_missing() || error.is_unsupported() => {}
            inner => sync_below(&inner?, depth - 1)?,
        }
    }
    Ok(())
}

fn clear_staged(spool: &Spool, dead: &DeadRun, open: OpenFolder) -> durable::Result<bool> {
    let mut folders = Vec::new();
    for entry in dead.dir.list()? {
        let entry = entry?;
        if entry.kind == Kind::File && entry.name.as_bytes().starts_with(b"in-") {
            let path = read_whole(&dead.dir.open(&entry.name)?, MOST_PATH_LEN)?;
            // A note that is torn was never durable, so nothing was staged by it.
            if let Some(path) = path.strip_suffix(b"\n").filter(|path| !path.contains(&0)) {
                folders.push(PathBuf::from(OsStr::from_bytes(path)));
            }
        }
    }
    if folders.is_empty() {
        return Ok(true);
    }
    let lists = seen::open_lists(spool)?;
    let mut cleared = true;
    for folder in folders {
        match open(&folder) {
            Ok(dir) => clear_folder(&dir, &folder, &dead.name, &lists)?,
            Err(error) if error.is_missing() => {}
            Err(_) => cleared = false,
        }
    }
    Ok(cleared)
}

fn clear_folder(dir: &DirRef, path: &Path, run_name: &str, lists: &[StagedList]) -> durable::Result<()> {
    let prefix = format!("{STAGED_PREFIX}{run_name}-");
    let names = dir.list()?.collect::<durable::Result<Vec<_>>>()?;
    for entry in names.iter().filter(|entry| entry.name.as_bytes().starts_with(prefix.as_bytes())) {
        let listed = lists.iter().any(|list| list.staged == entry.name && list.folder == path);
        if !listed {
            drop_staged(dir, &entry.name)?;
        }
    }
    // Only then may the note go that led here.
    dir.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_reservation_is_ours_and_what_somebody_else_could_have_written_is_not() {
        let written = b"mailbag:abcdefgh";
        let cut = |len: usize| [&written[..len], &[0; 16][len..]].concat();
        for ours in [written.to_vec(), cut(1), cut(12), written[..8].to_vec(), b"mailbag:ab\0\0".to_vec()] {
            assert!(is_torn_from(written, &ours), "{ours:?}");
        }
        for other in [&b""[..], b"m", b"mailbag", &[0; 16], &[0; 4], b"mailbag:abcdefgi", b"mailbag:abcdefgh\0"] {
            assert!(!is_torn_from(written, other), "{other:?}");
        }
    }

    #[test]
    fn numbers_go_before_the_extension_and_names_stay_short_enough() {
        let name = |wanted: &str, number| numbered(wanted.as_ref(), number).into_string().unwrap();
        assert_eq!(name("report.pdf", 0), "report.pdf");
        assert_eq!(name("report.pdf", 1), "report.1.pdf");
        assert_eq!(name("report", 12), "report.12");
        assert_eq!(name(".profile", 1), ".profile.1");
        let long = "ü".repeat(126) + ".txt";
        let short = name(&long, 7);
        assert!(short.len() <= MOST_NAME_LEN && short.ends_with("ü.7.txt"), "{short}");
    }
}
