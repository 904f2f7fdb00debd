//! Is every byte on a stick what its name says, and are all bodies there? Needs no keys and no node.
//!
//! Reads only. Names that are not ours are somebody else's and no finding. A stick holds what is nowhere else any more,
//! so nothing is ever removed from it: a damaged file is renamed to `NAME.bad` beside where it lies, where no program
//! takes it for a packet.
//!
//! Envelopes are read first, so that memory holds the bodies that they list (40 bytes each), then the bodies.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mb_spool::check::{Fault, Finding, Hashing, Mend, Mended, Wanted, Work};
use mb_spool::durable::{self, DirRef};
use mb_spool::envelopes::{self, Read};
use mb_spool::run::RUN_NAME_LEN;
use mb_wire::envelope::{Prefix, read_prefix};
use mb_wire::id::{NodeId, PacketId, Root};

use crate::stick::{
    BODY, MAILBAG, PART, Stick, body_named, body_shard, body_shards, find_dir, packet_named, packet_shard,
    packet_shards,
};

/// A check of a stick.
pub struct Check<'a> {
    /// What is checked.
    pub stick: &'a Stick,
    /// How.
    pub work: Work<'a>,
    /// Only the packets for these nodes and their bodies; empty: everything.
    pub nodes: &'a [NodeId],
    /// What to do about damaged files.
    pub fix: Fix,
}

/// What is done about damaged files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// Nothing.
    No,
    /// It is said what would be done.
    DryRun,
    /// They are renamed.
    Yes,
}

impl Check<'_> {
    /// Checks, and tells what is found; places are below the folder that the user named.
    pub fn run(&self, tell: &mut dyn FnMut(Finding)) -> durable::Result<()> {
        let mut nodes = self.stick.nodes()?;
        nodes.retain(|node| self.nodes.is_empty() || self.nodes.contains(node));
        let hashing = Hashing::new(self.work);
        let mut walk = Walk { check: self, hashing, listed: Vec::new(), tell };
        nodes.iter().for_each(|node| walk.node(node));
        walk.listed.sort_unstable();
        walk.listed.dedup();
        let here = walk.bodies();
        if walk.listed.iter().any(|body| here.binary_search(body).is_err()) {
            nodes.iter().for_each(|node| walk.missing(node, &here));
        }
        if self.nodes.is_empty() {
            walk.parts();
        }
        Ok(())
    }
}

/// A body as an envelope lists it.
type Body = (Root, u64);

struct Walk<'a> {
    check: &'a Check<'a>,
    hashing: Hashing<'a>,
    listed: Vec<Body>,
    tell: &'a mut dyn FnMut(Finding),
}

impl Walk<'_> {
    fn fault(&mut self, place: PathBuf, fault: Fault) {
        let mended = if self.check.fix == Fix::No { Mended::NotAsked } else { Mended::Left };
        (self.tell)(Finding { place, fault, mended });
    }

    /// A folder that cannot be gone through is one finding.
    fn told<T>(&mut self, place: &Path, result: durable::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if error.is_missing() => None,
            Err(error) => {
                let fault = if error.is_wrong_kind() { Fault::NotAFolder } else { Fault::of_error(&error) };
                self.fault(place.into(), fault);
                None
            }
        }
    }

    /// Goes through `shards` of `dir`, each with what is in it, as `named` reads the names.
    fn each_shard<T>(
        &mut self,
        dir: &DirRef,
        place: &Path,
        shards: durable::Result<Vec<String>>,
        named: fn(&std::ffi::OsStr, &str) -> Option<T>,
        mut work: impl FnMut(&mut Self, &DirRef, &Path, Vec<T>),
    ) {
        for shard in self.told(place, shards).unwrap_or_default() {
            let place = place.join(&shard);
            let opened = dir.open_dir(shard.as_ref());
            let Some(dir) = self.told(&place, opened) else { continue };
            let names = dir.list().and_then(|entries| {
                let named = entries.map(|entry| entry.map(|entry| named(&entry.name, &shard)));
                named.filter_map(Result::transpose).collect()
            });
            if let Some(names) = self.told(&place, names) {
                work(self, &dir, &place, names);
            }
        }
    }

    /// Every envelope for `node`.
    fn node(&mut self, node: &NodeId) {
        let place = Path::new(MAILBAG).join(node.to_string());
        let dir = self.check.stick.node(node);
        let Some(dir) = self.told(&place, dir).flatten() else { return };
        self.each_shard(&dir, &place, packet_shards(&dir), packet_named, |walk, dir, place, packets| {
            let found = Mutex::new(Vec::new());
            let listed = Mutex::new(Vec::new());
            let mut names = packets.iter();
            walk.hashing.run::<_, ()>(
                || names.next(),
                |packet, _| match look(dir, packet, node) {
                    Ok(Some(prefix)) => locked(&listed).extend(prefix.bodies.iter().map(|body| (body.root, body.size))),
                    Ok(None) => {}
                    Err(fault) => locked(&found).push((packet.to_string(), fault)),
                },
                |(), _| {},
            );
            walk.listed.extend(std::mem::take(&mut *locked(&listed)));
            walk.damaged(dir, place, std::mem::take(&mut *locked(&found)));
        });
    }

    /// Hashes the bodies; returns which of them are here, in order, damaged or not: a damaged one is told as that.
    fn bodies(&mut self) -> Vec<Body> {
        let place = Path::new(MAILBAG).join(BODY);
        let mut here = Vec::new();
        let dir = self.check.stick.bodies();
        let Some(dir) = self.told(&place, dir).flatten() else { return here };
        self.each_shard(&dir, &place, body_shards(&dir), body_named, |walk, dir, place, roots| {
            walk.shard(dir, place, roots, &mut here);
        });
        here.sort_unstable();
        here
    }

    fn shard(&mut self, dir: &DirRef, place: &Path, mut roots: Vec<Root>, here: &mut Vec<Body>) {
        let is_listed = |root: &Root| {
            let at = self.listed.partition_point(|(listed, _)| listed < root);
            self.listed.get(at).is_some_and(|(listed, _)| listed == root)
        };
        let (needed, spare): (Vec<_>, Vec<_>) = roots.drain(..).partition(is_listed);
        let wanted = if self.check.nodes.is_empty() { [needed, spare.clone()].concat() } else { needed };
        let found = Mutex::new(Vec::new());
        let mut names = wanted.iter();
        self.hashing.run(
            || names.next(),
            |root, wanted| {
                wanted.push(Wanted { dir: dir.clone(), name: root.to_string(), root: *root, size: None, at: *root })
            },
            |root: Root, fault| locked(&found).extend(fault.map(|fault| (root.to_string(), fault))),
        );
        for root in &wanted {
            if let Ok(stat) = dir.stat(root.to_string().as_ref()) {
                here.push((*root, stat.len));
            }
        }
        let found = std::mem::take(&mut *locked(&found));
        if self.check.nodes.is_empty() {
            let damaged = |root: &Root| found.iter().any(|(name, _)| *name == root.to_string());
            for root in spare.iter().filter(|root| !damaged(root)) {
                self.fault(place.join(root.to_string()), Fault::Spare);
            }
        }
        self.damaged(dir, place, found);
    }

    /// A second look at the envelopes, since some body is missing.
    fn missing(&mut self, node: &NodeId, here: &[Body]) {
        let place = Path::new(MAILBAG).join(node.to_string());
        let Ok(Some(dir)) = self.check.stick.node(node) else { return };
        for shard in packet_shards(&dir).unwrap_or_default() {
            let Ok(Some(dir)) = find_dir(&dir, &shard) else { continue };
            let Ok(entries) = dir.list() else { continue };
            for packet in entries.flatten().filter_map(|entry| packet_named(&entry.name, &shard)) {
                let Ok(Some(prefix)) = look(&dir, &packet, node) else { continue };
                let place = place.join(&shard).join(packet.to_string());
                for (number, body) in prefix.bodies.iter().enumerate() {
                    if let Some(fault) = not_here(number, (body.root, body.size), here) {
                        self.fault(place.clone(), fault);
                    }
                }
            }
        }
    }

    /// Unfinished copies: worth a note.
    fn parts(&mut self) {
        let place = Path::new(MAILBAG).join(PART);
        let Some(dir) = self.told(&place, find_dir(self.check.stick.root(), PART)).flatten() else { return };
        let names =
            dir.list().and_then(|entries| entries.map(|entry| Ok(entry?.name)).collect::<durable::Result<Vec<_>>>());
        for name in self.told(&place, names).unwrap_or_default() {
            if is_part(&name) {
                self.fault(place.join(name), Fault::Part);
            }
        }
    }

    /// Tells of damaged files and puts them aside if that is asked for.
    fn damaged(&mut self, dir: &DirRef, place: &Path, mut found: Vec<(String, Fault)>) {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, fault) in found {
            let mended = match (self.check.fix, &fault) {
                (Fix::No, _) => Mended::NotAsked,
                (_, Fault::Unreadable(_) | Fault::NotAFile) => Mended::Left,
                (Fix::DryRun, _) => Mended::Would(Mend::SetAside),
                (Fix::Yes, _) => match set_aside(dir, &name) {
                    Ok(()) => Mended::Done(Mend::SetAside),
                    Err(error) => Mended::Failed(Mend::SetAside, error),
                },
            };
            (self.tell)(Finding { place: place.join(name), fault, mended });
        }
    }
}

/// An envelope by itself; `None` if it has gone.
fn look(dir: &DirRef, packet: &PacketId, node: &NodeId) -> Result<Option<Prefix>, Fault> {
    let bytes = match envelopes::read(dir, packet) {
        Ok(Read::Whole(bytes)) => bytes,
        Ok(Read::Missing) => return Ok(None),
        Ok(Read::Damaged) => return Err(Fault::Content),
        Err(error) => return Err(Fault::of_error(&error)),
    };
    let prefix = read_prefix(&bytes).map_err(Fault::Prefix)?;
    if prefix.to == *node { Ok(Some(prefix)) } else { Err(Fault::To(prefix.to)) }
}

/// A body of another size that has the right name is no body of that name: the size is part of what the name says.
fn not_here(number: usize, (root, listed): Body, here: &[Body]) -> Option<Fault> {
    let at = here.partition_point(|(other, _)| *other < root);
    match here.get(at) {
        Some((other, found)) if *other == root && *found == listed => None,
        Some((other, found)) if *other == root => Some(Fault::Size { listed, found: *found }),
        _ => Some(Fault::Missing { number, root }),
    }
}

/// An unfinished body, or the folder of a run.
fn is_part(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.len() == RUN_NAME_LEN || name.parse::<Root>().is_ok())
}

/// Gives a damaged file a name that is not ours. Durable on return.
fn set_aside(dir: &DirRef, name: &str) -> durable::Result<()> {
    dir.rename(name.as_ref(), &**dir, format!("{name}.bad").as_ref())?;
    dir.sync()
}

/// A thread that panicked ends the program; what it left is not believed any more by then.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The path of a packet on a stick, below the folder that the user named.
pub fn packet_place(node: &NodeId, packet: &PacketId) -> PathBuf {
    [MAILBAG, &node.to_string(), &packet_shard(packet), &packet.to_string()].iter().collect()
}

/// The path of a body on a stick, below the folder that the user named.
pub fn body_place(root: &Root) -> PathBuf {
    [MAILBAG, BODY, &body_shard(root), &root.to_string()].iter().collect()
}
