//! Check: is every byte in the spool what its name says, and is there nothing that `spool-layout.md` does not name?
//!
//! Reads and locks nothing (a locked folder is looked up in the system's list), so it works on read-only media and beside
//! everything else that runs; what has moved on while it was looked at is no finding. Needs no keys: names are hashes.
//! Memory grows by 70 bytes for each packet of the largest queue and 16 for each body with several names.

mod finding;
mod fix;
mod hashing;
mod held;
mod kept;
mod packets;
mod state;
#[cfg(test)]
mod tests;

pub use finding::{Fault, Finding, Mend, Mended};
pub use fix::Fix;
pub use hashing::{Hashing, Wanted, Work};
pub use held::held_inodes;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use mb_wire::id::{AreaId, NodeId, Root};

use crate::areas::{AREA, is_mark};
use crate::asked::ASKED;
use crate::called;
use crate::complaints::COMPLAINTS;
use crate::durable::{self, DirRef, Entry, Kind};
use crate::layout::{PART, Queue, Spool};
use crate::names::Name;
use crate::partial::PARTIAL;
use crate::paths::PATH;
use crate::relayed::RELAYED;
use crate::replies::REPLY;
use crate::roads::ROAD;
use crate::rules::SETTINGS;
use crate::run::RUN_NAME_LEN;
use crate::subscribed::{SUBSCRIBED, Subscribed};
use crate::tries::EXEC;
use crate::way::{HANDED, WAY};
use fix::{Found, Mender, Repair, StateFile};
use packets::{Packets, Rule};

/// A check of a spool.
pub struct Check<'a> {
    /// What is checked.
    pub spool: &'a Spool,
    /// How.
    pub work: Work<'a>,
    /// Only the queues of these nodes; empty: everything.
    pub nodes: &'a [NodeId],
    /// The inodes that are locked, where that is known: [`held_inodes`].
    pub held: &'a (dyn Fn() -> Option<HashSet<u64>> + Sync),
    /// Waits a moment. What looks like a crash's leavings may be the work of a program that is at it right now, and is
    /// looked at again.
    pub pause: &'a (dyn Fn() + Sync),
    /// Mends what is found.
    pub fix: Option<Fix<'a>>,
}

impl Check<'_> {
    /// Checks, and tells what is found, folder by folder.
    pub fn run(&self, tell: &mut dyn FnMut(Finding)) -> durable::Result<()> {
        let mut walk =
            Walk { check: self, hashing: Hashing::new(self.work), mender: Mender::new(self.spool, self.fix), tell };
        walk.root()?;
        if self.nodes.is_empty() { walk.mender.finish() } else { Ok(()) }
    }
}

/// The way through the tree.
struct Walk<'a> {
    check: &'a Check<'a>,
    hashing: Hashing<'a>,
    mender: Mender<'a>,
    tell: &'a mut dyn FnMut(Finding),
}

impl Walk<'_> {
    fn report(&mut self, found: impl IntoIterator<Item = Found>) {
        found.into_iter().for_each(|one| (self.tell)(self.mender.mend(one)));
    }

    fn fault(&mut self, place: &Path, fault: Fault) {
        self.report([Found::new(place, fault, Repair::Nothing)]);
    }

    fn stopped(&self) -> bool {
        self.check.work.stop.load(Ordering::Relaxed)
    }

    /// The index comes after everything that has links of its own: most of its bodies are known by then.
    fn root(&mut self) -> durable::Result<()> {
        let root = self.check.spool.root().clone();
        let mut entries = root.list()?.collect::<durable::Result<Vec<_>>>()?;
        entries.sort_by_key(|entry| (entry.name == "body", entry.name.clone()));
        for entry in &entries {
            self.top(&root, entry);
        }
        Ok(())
    }

    fn top(&mut self, root: &DirRef, entry: &Entry) {
        let place = Path::new(&entry.name);
        let name = entry.name.to_str().unwrap_or_default();
        let node = name.parse::<NodeId>().ok().filter(|node| node.to_string() == name);
        let whole = self.check.nodes.is_empty();
        if let Some(node) = node {
            if whole || self.check.nodes.contains(&node) {
                self.each(root, place, entry, |walk, dir, place, entry| walk.queue(dir, place, entry, node));
            }
            return;
        }
        match name {
            "self" => self.each(root, place, entry, Walk::own),
            _ if !whole => {}
            "body" => self.index(root, place, entry),
            AREA => self.area_days(root, place, entry, Walk::kept),
            "tmp" => self.runs(root, place, entry),
            PART => self.each(root, place, entry, Walk::part),
            "bad" => self.packets(root, place, entry, Rule::Bad),
            "incoming" => self.each(root, place, entry, |walk, _, place, entry| {
                if entry.kind != Kind::Dir {
                    walk.fault(place, Fault::Unknown);
                }
            }),
            // The top of a file system of its own.
            "lost+found" if entry.kind == Kind::Dir => {}
            _ => self.fault(place, Fault::Unknown),
        }
    }

    /// Opens the folder `entry` of `dir`; what cannot be opened is told.
    fn open(&mut self, dir: &DirRef, place: &Path, entry: &Entry) -> Option<DirRef> {
        let opened = if entry.kind == Kind::Dir { dir.open_dir(&entry.name) } else { Err(wrong_kind(dir, entry)) };
        match opened {
            Ok(dir) => return Some(dir),
            Err(error) if error.is_missing() => {}
            Err(error) if error.is_wrong_kind() => self.fault(place, Fault::NotAFolder),
            Err(error) => self.fault(place, Fault::of_error(&error)),
        }
        None
    }

    /// Does `work` with each name in the folder `entry` of `dir`, without keeping them all.
    fn each(
        &mut self,
        dir: &DirRef,
        place: &Path,
        entry: &Entry,
        mut work: impl FnMut(&mut Self, &DirRef, &Path, &Entry),
    ) {
        let Some(dir) = self.open(dir, place, entry) else { return };
        let listed = dir.list().and_then(|names| {
            for entry in names {
                let entry = entry?;
                if self.stopped() {
                    break;
                }
                work(self, &dir, &place.join(&entry.name), &entry);
            }
            Ok(())
        });
        if let Err(error) = listed {
            self.fault(place, Fault::of_error(&error));
        }
    }

    /// A name in `NODE/`.
    fn queue(&mut self, dir: &DirRef, place: &Path, entry: &Entry, node: NodeId) {
        let own = self.check.spool.own();
        match entry.name.to_str() {
            Some("tx" | "sent") => self.packets(dir, place, entry, Rule::Leaving(node)),
            Some("rx" | "wait") => self.packets(dir, place, entry, Rule::Arrived(own)),
            Some("ahead") => self.packets(dir, place, entry, Rule::Arrived(node)),
            Some(RELAYED) => self.each(dir, place, entry, |walk, _, place, entry| walk.is_named(place, entry, false)),
            Some(COMPLAINTS) => self.each(dir, place, entry, |walk, dir, place, entry| {
                walk.each(dir, place, entry, |walk, _, place, entry| walk.is_named(place, entry, false));
            }),
            Some(ROAD) => self.each(dir, place, entry, |walk, _, place, entry| walk.is_named(place, entry, true)),
            Some(WAY) => self.each(dir, place, entry, |walk, _, place, entry| walk.is_named(place, entry, true)),
            Some(SUBSCRIBED) => self.areas(dir, place, entry, |walk, _, place, entry| {
                let is_right = entry.name.to_str().is_some_and(|name| Subscribed::parse(name).is_some());
                walk.is_file(place, entry, is_right);
            }),
            Some(called::CALL) => self.report(state::call_file(dir, place)),
            _ => self.fault(place, Fault::Unknown),
        }
    }

    /// A file that is called after a packet, or after its body of a number; what it holds may be lost at any time.
    fn is_named(&mut self, place: &Path, entry: &Entry, may_have_number: bool) {
        let is_right = match Name::parse(&entry.name) {
            Name::Envelope(_) => true,
            Name::Body(..) => may_have_number,
            Name::Why(_) | Name::Other => false,
        };
        self.is_file(place, entry, is_right);
    }

    /// Tells what is no file, or has a wrong name.
    fn is_file(&mut self, place: &Path, entry: &Entry, is_right: bool) {
        if !is_right || entry.kind != Kind::File {
            self.fault(place, Fault::Unknown);
        }
    }

    /// A folder of areas: does `work` with each name in the folder of one.
    fn areas(&mut self, dir: &DirRef, place: &Path, entry: &Entry, work: impl Fn(&mut Self, &DirRef, &Path, &Entry)) {
        self.each(dir, place, entry, |walk, dir, place, entry| {
            if entry.name.to_str().is_none_or(|name| name.parse::<AreaId>().is_err()) {
                return walk.fault(place, Fault::Unknown);
            }
            walk.each(dir, place, entry, &work);
        });
    }

    /// A folder of areas, of which each has folders of days.
    fn area_days(&mut self, dir: &DirRef, place: &Path, entry: &Entry, work: fn(&mut Self, &DirRef, &Path, &Entry)) {
        self.areas(dir, place, entry, |walk, dir, place, entry| match entry.name.to_str() {
            Some(name) if name.parse::<u32>().is_ok_and(|day| day.to_string() == name) => {
                work(walk, dir, place, entry);
            }
            _ => walk.fault(place, Fault::Unknown),
        });
    }

    /// A day of marks.
    fn marks(&mut self, dir: &DirRef, place: &Path, entry: &Entry) {
        self.each(dir, place, entry, |walk, _, place, entry| {
            let is_right = entry.name.to_str().is_some_and(is_mark);
            walk.is_file(place, entry, is_right);
        });
    }

    /// A day of kept messages.
    fn kept(&mut self, dir: &DirRef, place: &Path, entry: &Entry) {
        let Some(dir) = self.open(dir, place, entry) else { return };
        let found = kept::check(&dir, place, &self.hashing);
        self.report(found);
    }

    fn packets(&mut self, dir: &DirRef, place: &Path, entry: &Entry, rule: Rule) {
        let wait = dir.open_dir(Queue::Wait.name().as_ref()).ok();
        if let Some(dir) = self.open(dir, place, entry) {
            let found = Packets { dir: &dir, place, rule, wait: wait.as_ref() }.check(&self.hashing, self.check.pause);
            self.report(found);
        }
    }

    /// A name in `self/`.
    fn own(&mut self, dir: &DirRef, place: &Path, entry: &Entry) {
        let own = self.check.spool.own();
        let whole = self.check.nodes.is_empty();
        match entry.name.to_str().unwrap_or_default() {
            "rx" if whole || self.check.nodes.contains(&own) => self.packets(dir, place, entry, Rule::Arrived(own)),
            _ if !whole => {}
            "out" => self.each(dir, place, entry, Walk::batch),
            "seen" => self.each(dir, place, entry, Walk::seen),
            PATH | REPLY | ASKED => self.each(dir, place, entry, |walk, dir, place, entry| {
                walk.each(dir, place, entry, |walk, _, place, entry| walk.is_named(place, entry, false));
            }),
            HANDED | PARTIAL => {
                self.each(dir, place, entry, |walk, _, place, entry| walk.is_named(place, entry, false))
            }
            EXEC => self.each(dir, place, entry, |walk, _, place, entry| walk.is_named(place, entry, false)),
            SETTINGS => self.areas(dir, place, entry, |walk, _, place, entry| {
                let is_version = entry.name.to_str().is_some_and(|name| name.parse::<u64>().is_ok());
                walk.is_file(place, entry, is_version);
            }),
            AREA => self.area_days(dir, place, entry, Walk::marks),
            "once" => self.records(dir, place, entry, state::once_record),
            "keys" => self.records(dir, place, entry, state::key_file),
            "day" => self.number(dir, place, StateFile::Day),
            "doubt" => self.number(dir, place, StateFile::Doubt),
            "due" => self.number(dir, place, StateFile::Due),
            _ => self.fault(place, Fault::Unknown),
        }
    }

    fn number(&mut self, dir: &DirRef, place: &Path, file: StateFile) {
        let found = state::number_file(dir, place, file);
        self.report(found);
    }

    fn records(
        &mut self,
        dir: &DirRef,
        place: &Path,
        entry: &Entry,
        check: impl Fn(&DirRef, &Path, &Entry) -> Option<Found>,
    ) {
        self.each(dir, place, entry, |walk, dir, place, entry| walk.report(check(dir, place, entry)));
    }

    /// A name in `self/seen/`.
    fn seen(&mut self, dir: &DirRef, place: &Path, entry: &Entry) {
        let name = entry.name.to_str().unwrap_or_default();
        match name.parse::<u32>() {
            _ if name == "FLOOR" => self.number(dir, place, StateFile::Floor),
            Ok(day) if day.to_string() == name => self.records(dir, place, entry, state::seen_record),
            _ => self.fault(place, Fault::Unknown),
        }
    }

    /// A committed batch: `self/out/RUN/`.
    fn batch(&mut self, dir: &DirRef, place: &Path, entry: &Entry) {
        if !is_run_name(entry) {
            return self.fault(place, Fault::Unknown);
        }
        self.each(dir, place, entry, |walk, dir, place, entry| {
            let name = entry.name.to_str().unwrap_or_default();
            match name.parse::<NodeId>() {
                Ok(node) => walk.packets(dir, place, entry, Rule::Committed(node)),
                Err(_) if name == "once" => walk.report(match crate::once::read_file(dir, name) {
                    Ok(None) if dir.stat(&entry.name).is_ok() => Some(Found::new(place, Fault::Once, Repair::Nothing)),
                    Ok(_) => None,
                    Err(error) => Some(Found::new(place, Fault::of_error(&error), Repair::Nothing)),
                }),
                Err(_) => walk.fault(place, Fault::Unknown),
            }
        });
    }

    /// `tmp/`. The folders are listed before the locks are: a run that begins later is in neither.
    fn runs(&mut self, root: &DirRef, place: &Path, entry: &Entry) {
        let mut runs = Vec::new();
        let ours = self.check.fix.and_then(|fix| fix.run).map(|run| run.name().to_owned());
        let Some(tmp) = self.open(root, place, entry) else { return };
        self.each(root, place, entry, |walk, _, place, entry| match entry.name.to_str() {
            Some(name) if is_run_name(entry) && entry.kind == Kind::Dir => runs.push(name.to_owned()),
            _ => walk.fault(place, Fault::Unknown),
        });
        runs.retain(|name| Some(name) != ours.as_ref());
        runs.sort_unstable();
        let mut found = self.idle(&tmp, place, runs);
        if !found.is_empty() {
            // A run that begins is not locked for an instant.
            (self.check.pause)();
            found = self.idle(&tmp, place, found.into_iter().map(|(name, _)| name).collect());
        }
        self.report(found.into_iter().map(|(_, found)| found));
    }

    /// Those of the runs that nobody holds, or of which that cannot be told.
    fn idle(&self, tmp: &DirRef, place: &Path, runs: Vec<String>) -> Vec<(String, Found)> {
        let held = (self.check.held)();
        let idle = |name: &String| match (&held, tmp.stat(name.as_ref())) {
            (_, Err(_)) => None,
            (Some(held), Ok(stat)) if held.contains(&stat.inode.1) => None,
            (Some(_), _) => Some(Fault::Stale),
            (None, _) => Some(Fault::Running),
        };
        let found = runs.into_iter().filter_map(|name| idle(&name).map(|fault| (name, fault)));
        found
            .map(|(name, fault)| {
                let repair = Repair::Run(tmp.clone(), name.clone());
                (name.clone(), Found::new(place.join(&name), fault, repair))
            })
            .collect()
    }

    /// A name in `part/`: a neighbour, and the bodies that it has not sent to their end. These are no damage.
    fn part(&mut self, dir: &DirRef, place: &Path, entry: &Entry) {
        if entry.name.to_str().is_none_or(|name| name.parse::<NodeId>().is_err()) {
            return self.fault(place, Fault::Unknown);
        }
        self.each(dir, place, entry, |walk, _, place, entry| {
            let is_ours = entry.name.to_str().is_some_and(|name| name.parse::<Root>().is_ok());
            walk.fault(place, if is_ours && entry.kind == Kind::File { Fault::Part } else { Fault::Unknown });
        });
    }

    /// `body/`: each shard, each body.
    fn index(&mut self, root: &DirRef, place: &Path, entry: &Entry) {
        self.each(root, place, entry, |walk, dir, place, entry| {
            let shard = entry.name.to_str().unwrap_or_default();
            match shard.len() == 2 && shard.bytes().all(|c| c.is_ascii_lowercase() || (b'2'..=b'7').contains(&c)) {
                true => walk.shard(dir, place, entry, shard),
                false => walk.fault(place, Fault::Unknown),
            }
        });
    }

    fn shard(&mut self, dir: &DirRef, place: &Path, entry: &Entry, shard: &str) {
        let Some(dir) = self.open(dir, place, entry) else { return };
        let entries = match dir.list().and_then(|entries| entries.collect::<durable::Result<Vec<_>>>()) {
            Ok(entries) => entries,
            Err(error) => return self.fault(place, Fault::of_error(&error)),
        };
        let mut roots = Vec::new();
        for entry in entries {
            match entry.name.to_str().and_then(|name| name.parse::<Root>().ok()) {
                Some(root) if entry.kind == Kind::File && root.to_string().starts_with(shard) => roots.push(root),
                Some(_) if entry.kind == Kind::File => {
                    self.fault(&place.join(&entry.name), Fault::Shard(entry.name.to_string_lossy()[..2].into()));
                }
                Some(_) => self.fault(&place.join(&entry.name), Fault::NotAFile),
                None => self.fault(&place.join(&entry.name), Fault::Unknown),
            }
        }
        let found = self.index_bodies(&dir, place, &roots);
        self.report(found);
    }

    /// A name that nobody else shares is litter, whatever it holds.
    fn index_bodies(&self, dir: &DirRef, place: &Path, roots: &[Root]) -> Vec<Found> {
        let found = Mutex::new(Vec::new());
        let tell = |one: Found| found.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        let mut names = roots.iter();
        self.hashing.run(
            || names.next().copied(),
            |root: Root, wanted| match dir.stat(root.to_string().as_ref()) {
                Ok(stat) if stat.link_count > 1 => {
                    wanted.push(Wanted { dir: dir.clone(), name: root.to_string(), root, size: None, at: root });
                }
                Ok(_) => tell(Found::new(place.join(root.to_string()), Fault::Spare, Repair::Spare(root))),
                Err(_) => {}
            },
            |root, fault| {
                let Some(fault) = fault else { return };
                let name = root.to_string();
                tell(Found::new(place.join(&name), fault, Repair::Remove(dir.clone(), name.into())));
            },
        );
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by(|a, b| a.place.cmp(&b.place));
        found
    }
}

fn is_run_name(entry: &Entry) -> bool {
    let is_ours = |c: u8| c.is_ascii_lowercase() || (b'2'..=b'7').contains(&c);
    let name = entry.name.as_encoded_bytes();
    name.len() == RUN_NAME_LEN && name.iter().all(|&c| is_ours(c))
}

fn wrong_kind(dir: &DirRef, entry: &Entry) -> durable::Error {
    durable::Error { path: dir.path().join(&entry.name), attempt: "open", cause: durable::WrongKind::NotAFolder.into() }
}
