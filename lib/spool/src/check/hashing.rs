//! Bodies read and hashed on all cores, each file once however many names it has.
//!
//! Work comes in two sizes. A *look* is small (an envelope, a name): it runs on any core and may ask for bodies. A body
//! is cut into blocks that are read and hashed on all cores. Bodies that were asked for come before further looks, so
//! what is remembered at a time stays small.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mb_wire::body::{self, CHUNK_LEN};
use mb_wire::hash::Digest;
use mb_wire::id::Root;

use super::finding::Fault;
use crate::blocks::{BLOCK_CHUNKS, for_each_block};
use crate::durable::{DirRef, FileRef, Stat};

/// Bytes that are read and hashed at a time: one buffer for each thread.
const BLOCK_LEN: usize = BLOCK_CHUNKS * CHUNK_LEN;
/// More threads than this only cost memory.
const MOST_THREADS: usize = 8;

/// How a check works.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Cores to work on.
    pub threads: NonZeroUsize,
    /// Ends the check early when it is set.
    pub stop: &'a AtomicBool,
    /// Hears how many more bytes of bodies were read.
    pub read: &'a (dyn Fn(u64) + Sync),
}

/// Hashes bodies and remembers those that have several names.
pub struct Hashing<'a> {
    work: Work<'a>,
    known: Mutex<Known>,
}

/// Files with several names that were hashed: 16 bytes for each good one.
#[derive(Default)]
struct Known {
    good: HashSet<Key>,
    bad: HashMap<Key, Fault>,
}

/// A file, and the body that it should be; shortened to 64 bits each, which chance does not meet twice.
type Key = (u64, u64);

fn key(stat: &Stat, root: &Root) -> Key {
    let (device, inode) = stat.inode;
    let [a, b, c, d, e, f, g, h, ..] = *root.as_bytes();
    (inode ^ device.rotate_left(40), u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// A body that is to be hashed. `at` is whatever tells its place.
pub struct Wanted<P> {
    /// Where its name lies.
    pub dir: DirRef,
    /// Its name there.
    pub name: String,
    /// What it should be.
    pub root: Root,
    /// How many bytes it should have, where that is known.
    pub size: Option<u64>,
    /// Its place, for whoever hears that it is damaged.
    pub at: P,
}

impl<'a> Hashing<'a> {
    /// Nothing known yet. What was not looked at when it was told to stop is not told.
    pub fn new(work: Work<'a>) -> Hashing<'a> {
        Hashing { work, known: Mutex::default() }
    }

    /// Takes looks from `next`, has each done by `look` on any core, and hashes the bodies that it asks for. `tell`
    /// hears of each damaged one, under each of its names.
    ///
    /// A body that is not there is told as [`None`].
    pub fn run<W: Send, P: Send>(
        &self,
        mut next: impl FnMut() -> Option<W> + Send,
        look: impl Fn(W, &mut Vec<Wanted<P>>) + Sync,
        tell: impl Fn(P, Option<Fault>) + Sync,
    ) {
        let threads = self.work.threads.get().min(MOST_THREADS);
        let pass = Pass {
            known: &self.known,
            read: self.work.read,
            queue: Mutex::default(),
            under_way: Mutex::default(),
            look,
            tell,
        };
        let mut cursor = None;
        loop {
            let read = |_: &mut Vec<u8>| Ok::<_, Infallible>(self.next(&pass, &mut cursor, &mut next));
            let work = |job, buffer: &mut Vec<u8>| {
                pass.work(job, buffer);
                Ok(())
            };
            let Ok(()) = for_each_block(threads, read, work);
            // The last looks may have asked for bodies when no more work was to be had.
            if self.work.stop.load(Ordering::Relaxed) || locked(&pass.queue).is_empty() {
                return;
            }
        }
    }

    /// The next job: a block of the body under way, else the next body, else the next look.
    fn next<W, P, L, T: Fn(P, Option<Fault>)>(
        &self,
        pass: &Pass<'_, P, L, T>,
        cursor: &mut Option<(Arc<Body<P>>, u64)>,
        next: &mut impl FnMut() -> Option<W>,
    ) -> Option<Job<W, P>> {
        while !self.work.stop.load(Ordering::Relaxed) {
            if let Some((body, block)) = cursor {
                if *block < body.block_count() {
                    *block += 1;
                    return Some(Job::Block(body.clone(), *block - 1));
                }
                *cursor = None;
            }
            let wanted = locked(&pass.queue).pop_front();
            match wanted {
                Some(wanted) => *cursor = pass.begin(wanted).map(|body| (body, 0)),
                None => return next().map(Job::Look),
            }
        }
        None
    }
}

enum Job<W, P> {
    Look(W),
    Block(Arc<Body<P>>, u64),
}

/// A body under way.
struct Body<P> {
    file: FileRef,
    root: Root,
    size: u64,
    key: Option<Key>,
    leaves: Mutex<Vec<Digest>>,
    /// Blocks that are not done.
    left: AtomicU64,
    fault: OnceLock<Fault>,
    at: Mutex<Option<P>>,
}

impl<P> Body<P> {
    fn block_count(&self) -> u64 {
        self.size.div_ceil(BLOCK_LEN as u64)
    }

    /// Reads and hashes one block; its length.
    fn hash_block(&self, block: u64, buffer: &mut Vec<u8>) -> Result<u64, Fault> {
        let start = block * BLOCK_LEN as u64;
        let len = (self.size - start).min(BLOCK_LEN as u64) as usize;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let bytes = &mut buffer[..len];
        let mut filled = 0;
        while filled < len {
            match self.file.read_at(&mut bytes[filled..], start + filled as u64) {
                // Shorter than a moment ago.
                Ok(0) => return Err(Fault::Content),
                Ok(count) => filled += count,
                Err(error) => return Err(Fault::of_error(&error)),
            }
        }
        let first = block as usize * BLOCK_CHUNKS;
        let hashed = body::leaves(bytes);
        locked(&self.leaves)[first..first + hashed.len()].copy_from_slice(&hashed);
        Ok(len as u64)
    }
}

/// One run over one source of looks.
struct Pass<'a, P, L, T> {
    known: &'a Mutex<Known>,
    read: &'a (dyn Fn(u64) + Sync),
    queue: Mutex<VecDeque<Wanted<P>>>,
    /// Files with several names that are being hashed, with the places of the names that were met meanwhile.
    under_way: Mutex<HashMap<Key, Vec<P>>>,
    look: L,
    tell: T,
}

impl<P, L, T: Fn(P, Option<Fault>)> Pass<'_, P, L, T> {
    /// Opens a body. `None` if nothing of it is left to do.
    fn begin(&self, wanted: Wanted<P>) -> Option<Arc<Body<P>>> {
        let opened = wanted.dir.open(wanted.name.as_ref()).and_then(|file| Ok((file.stat()?, file)));
        let (stat, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                (self.tell)(wanted.at, if error.is_missing() { None } else { Some(Fault::of_error(&error)) });
                return None;
            }
        };
        let fault = match (wanted.size, body::chunk_count(stat.len)) {
            (Some(listed), _) if listed != stat.len => Fault::Size { listed, found: stat.len },
            (_, Err(_)) => Fault::Content,
            (_, Ok(count)) => {
                let key = (stat.link_count > 1).then(|| key(&stat, &wanted.root));
                let at = self.join(key, wanted.at)?;
                return Some(Arc::new(Body {
                    file,
                    root: wanted.root,
                    size: stat.len,
                    key,
                    leaves: Mutex::new(vec![[0; 32]; count as usize]),
                    left: AtomicU64::new(stat.len.div_ceil(BLOCK_LEN as u64)),
                    fault: OnceLock::new(),
                    at: Mutex::new(Some(at)),
                }));
            }
        };
        (self.tell)(wanted.at, Some(fault));
        None
    }

    /// Gives `at` back if the file is to be hashed; else its verdict is known, or will be told when it is.
    fn join(&self, key: Option<Key>, at: P) -> Option<P> {
        let Some(key) = key else { return Some(at) };
        let mut under_way = locked(&self.under_way);
        if let Some(places) = under_way.get_mut(&key) {
            places.push(at);
            return None;
        }
        let known = locked(self.known);
        if known.good.contains(&key) {
            return None;
        }
        if let Some(fault) = known.bad.get(&key) {
            (self.tell)(at, Some(fault.clone()));
            return None;
        }
        under_way.insert(key, Vec::new());
        Some(at)
    }

    fn work<W>(&self, job: Job<W, P>, buffer: &mut Vec<u8>)
    where
        L: Fn(W, &mut Vec<Wanted<P>>),
    {
        match job {
            Job::Look(look) => {
                let mut wanted = Vec::new();
                (self.look)(look, &mut wanted);
                if !wanted.is_empty() {
                    locked(&self.queue).extend(wanted);
                }
            }
            Job::Block(body, block) => {
                if body.fault.get().is_none() {
                    match body.hash_block(block, buffer) {
                        Ok(len) => (self.read)(len),
                        // Another block's fault may have come first: one is enough.
                        Err(fault) => drop(body.fault.set(fault)),
                    }
                }
                if body.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.finish(&body);
                }
            }
        }
    }

    /// All blocks are done: the verdict, for every name met so far and to come.
    fn finish(&self, body: &Body<P>) {
        let fault = body.fault.get().cloned().or_else(|| {
            let root = body::root(body.size, &locked(&body.leaves));
            (root != body.root).then_some(Fault::Content)
        });
        let mut places: Vec<P> = locked(&body.at).take().into_iter().collect();
        if let Some(key) = body.key {
            let mut under_way = locked(&self.under_way);
            places.extend(under_way.remove(&key).into_iter().flatten());
            let mut known = locked(self.known);
            match &fault {
                None => drop(known.good.insert(key)),
                Some(fault) => drop(known.bad.insert(key, fault.clone())),
            }
        }
        if let Some(fault) = fault {
            places.into_iter().for_each(|at| (self.tell)(at, Some(fault.clone())));
        }
    }
}

/// A thread that panicked ends the program; what it left is not believed any more by then.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
