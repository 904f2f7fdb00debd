//! `tmp/RUN/`: the half-made work of one program run, locked by it.
//!
//! A run that ends removes its folder; a run that dies leaves it, and whoever gets its lock removes it. This
//! clean-up is the one thing that rests on a lock: where locks do not work nothing is cleaned up here, and
//! `mb-check --fix` does it when nothing else runs.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use data_encoding::Specification;

use crate::durable::{self, DirRef, FileRef, Kind, Lock, LockGuard};
use crate::layout::{DIR_MODE, FILE_MODE, Spool, days};

/// How often a run is begun anew when somebody who cleans up was faster.
const TRIES: usize = 8;
/// Length of a run's name in characters.
pub const RUN_NAME_LEN: usize = 26;

/// The folder of this program run. Removed when it is dropped, unless it is left to the next run.
pub struct Run {
    name: String,
    tmp: DirRef,
    dir: DirRef,
    next: AtomicU32,
    is_left: AtomicBool,
    _lock: Option<LockGuard>,
}

impl Run {
    /// Makes and locks a folder with a name from 16 random bytes. A crash leaves the folder, unlocked.
    ///
    /// Between making and locking it another run may take it for a dead one and remove it: then another name is tried.
    pub fn start(spool: &Spool, mut random: [u8; 16]) -> durable::Result<Run> {
        let tmp = spool.make(&["tmp"])?;
        tmp.scatter();
        for _ in 1..TRIES {
            match Run::try_start(&tmp, &random) {
                Err(error) if error.is_missing() => random[0] = random[0].wrapping_add(1),
                other => return other,
            }
        }
        match Run::try_start(&tmp, &random) {
            // Whoever cleans up was faster each time.
            Err(error) if error.is_missing() => {
                Err(durable::Error { cause: std::io::ErrorKind::ResourceBusy.into(), ..error })
            }
            other => other,
        }
    }

    fn try_start(tmp: &DirRef, random: &[u8; 16]) -> durable::Result<Run> {
        let name = run_name(random);
        tmp.make_dir(name.as_ref(), DIR_MODE)?;
        let dir = tmp.open_dir(name.as_ref())?;
        let lock = match dir.try_lock()? {
            Lock::Held(guard) => Some(guard),
            Lock::Unsupported => None,
            // Whoever cleans up has it, and is about to remove the folder.
            Lock::Busy => {
                let cause = std::io::ErrorKind::NotFound.into();
                return Err(durable::Error { path: dir.path().to_owned(), attempt: "lock", cause });
            }
        };
        tmp.stat(name.as_ref())?;
        let (next, is_left) = (AtomicU32::new(0), AtomicBool::new(false));
        Ok(Run { name, tmp: tmp.clone(), dir, next, is_left, _lock: lock })
    }

    /// The random name, which staged names carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run's folder.
    pub fn dir(&self) -> &DirRef {
        &self.dir
    }

    /// The folder that the run's folder lies in.
    pub fn tmp(&self) -> &DirRef {
        &self.tmp
    }

    /// Something that this run staged may still be there: its folder stays, unlocked, and the next run treats it as that
    /// of a dead one, which looks at every folder it has noted.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// A name that this run has not used yet, beginning with `prefix`.
    pub fn fresh_name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A new empty file in the run's folder, with its name.
    pub fn create(&self, prefix: &str) -> durable::Result<(String, FileRef)> {
        let name = self.fresh_name(prefix);
        let file = self.dir.create(name.as_ref(), FILE_MODE)?;
        Ok((name, file))
    }

    /// Replaces the small file `name` in `dir`; durable on return, and never neither the old nor the new.
    pub fn replace(&self, dir: &DirRef, name: &str, bytes: &[u8]) -> durable::Result<()> {
        let (temporary, file) = self.write("new-", bytes)?;
        file.sync()?;
        self.dir.rename(temporary.as_ref(), &**dir, name.as_ref())?;
        dir.sync()
    }

    /// Writes a small file into the run's folder and returns its name. Not synced.
    pub fn write(&self, prefix: &str, bytes: &[u8]) -> durable::Result<(String, FileRef)> {
        let (name, file) = self.create(prefix)?;
        file.write_at(bytes, 0)?;
        Ok((name, file))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.is_left.load(Ordering::Relaxed) {
            return;
        }
        // What cannot be removed now is removed by whoever finds it unlocked.
        let _ = remove_tree(&self.tmp, self.name.as_ref());
    }
}

fn run_name(random: &[u8; 16]) -> String {
    let mut lower = Specification::new();
    lower.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    let encoding = lower.encoding().expect("32 distinct symbols are a valid encoding");
    encoding.encode(random)
}

/// The runs whose programs are dead, each with the lock that proves it, for as long as the value lives.
pub struct DeadRun {
    /// The run's name.
    pub name: String,
    /// Its folder.
    pub dir: DirRef,
    tmp: DirRef,
    /// None where locks do not work and the caller said that nothing else runs.
    _lock: Option<LockGuard>,
}

impl DeadRun {
    /// Removes what the run left in `tmp/`. What it staged elsewhere must be gone by then.
    pub fn remove(self) -> durable::Result<()> {
        remove_tree(&self.tmp, self.name.as_ref())
    }
}

/// Every run in `tmp/` whose lock nobody holds. Empty where locks do not work.
pub fn dead_runs(spool: &Spool) -> durable::Result<Vec<DeadRun>> {
    let Some(tmp) = spool.find(&["tmp"])? else { return Ok(Vec::new()) };
    let mut dead = Vec::new();
    for entry in tmp.list()? {
        let entry = entry?;
        let Some(name) = entry.name.to_str().filter(|_| entry.kind == Kind::Dir) else { continue };
        dead.extend(dead_run(&tmp, name, false)?);
    }
    Ok(dead)
}

/// The run `name` in `tmp`, if nobody holds its lock. Where locks do not work, `alone` is the caller's word that nothing
/// else runs: then each is dead.
pub fn dead_run(tmp: &DirRef, name: &str, alone: bool) -> durable::Result<Option<DeadRun>> {
    let dir = match tmp.open_dir(name.as_ref()) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let lock = match dir.try_lock()? {
        Lock::Held(lock) => Some(lock),
        Lock::Unsupported if alone => None,
        Lock::Busy | Lock::Unsupported => return Ok(None),
    };
    Ok(Some(DeadRun { name: name.to_owned(), dir, tmp: tmp.clone(), _lock: lock }))
}

/// Removes `name` in `dir` with all that is below it. A name that is gone already is no error.
pub fn remove_tree(dir: &DirRef, name: &OsStr) -> durable::Result<()> {
    let inner = match dir.open_dir(name) {
        Ok(inner) => inner,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    };
    // A delivered folder may have come read-only; where that cannot be changed, removing says so.
    let _ = inner.set_mode(DIR_MODE);
    let entries = inner.list()?.collect::<durable::Result<Vec<_>>>()?;
    for entry in entries {
        match entry.kind {
            Kind::Dir => remove_tree(&inner, &entry.name)?,
            _ => gone(inner.unlink(&entry.name))?,
        }
    }
    gone(dir.remove_dir(name))
}

/// Removes the folders in `dir` that are called after an old day.
pub fn forget_days(dir: &DirRef, is_old: impl Fn(u32) -> bool) -> durable::Result<()> {
    let old = days(dir)?.into_iter().filter(|day| is_old(*day));
    old.into_iter().try_for_each(|day| remove_tree(dir, day.to_string().as_ref()))
}

/// Takes "there is no such name" for success.
pub fn gone(result: durable::Result<()>) -> durable::Result<()> {
    match result {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}
