//! A model of disks that forget what was not synced, for tests.
//!
//! A [`World`] holds one or more file systems behind the same traits as the kernel's. It keeps what is durable apart
//! from what is pending, and [`World::after_crash`] builds a world that a power cut could have left. What it lets go
//! is the most that a real system may: unsynced content comes back whole, torn, zeroed, old or empty; unsynced names
//! of a folder are lost or kept independently of each other, except that
//!
//! - the changes of one name reach the disk in their order;
//! - a rename is never lost on both sides: in one folder, and for a folder anywhere, it is there whole or not at all;
//!   of a file between two folders the old name, the new or both are left;
//! - a folder that is gone was empty first;
//! - bytes that were synced and not written since stay.
//!
//! Every call that changes something is a *step*. A world can be cut at a step, a step can be made to fail, and
//! several actors can be run with their calls interleaved ([`World::interleave`]). All that is left to chance is
//! drawn from the seeds that the test gives: same seeds, same history.
//!
//! What it is not: a judge of permissions (only a file's own owner bits are looked at), nor of speed.

mod actors;
mod calls;
mod crash;
mod dice;
mod fate;
mod handle;
mod pending;
#[cfg(test)]
mod properties;
mod shown;
mod state;
#[cfg(test)]
mod tests;

pub use fate::{Fault, is_cut};
pub use shown::Node;

use super::DirRef;
use state::State;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a file system of a world can do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hard links; without, `link` is refused as FAT does.
    pub links: bool,
    /// Symbolic links.
    pub symlinks: bool,
    /// A rename that replaces nothing.
    pub noreplace: bool,
    /// A sync of the whole file system.
    pub sync_fs: bool,
    /// Names that differ in case alone are the same name.
    pub folds_case: bool,
    /// Bytes of content that it holds; a file that is gone in name and handles takes none.
    pub capacity: Option<u64>,
    /// Names that one file may have.
    pub most_links: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            links: true,
            symlinks: true,
            noreplace: true,
            sync_fs: true,
            folds_case: false,
            capacity: None,
            most_links: 65_000,
        }
    }
}

/// Whether locks do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// They keep others out.
    Work,
    /// Every attempt is answered with `Lock::Unsupported`.
    Unsupported,
}

/// One or more file systems that lose power together. Clones are the same world.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

/// What a world and its handles have in common.
struct Shared {
    state: Mutex<State>,
    turn: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // An actor that panics does so outside of any change of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// A world without file systems. `seed` decides the order of listings and how far a failing write gets.
    pub fn new(seed: u64) -> World {
        World::of(State::new(seed))
    }

    fn of(state: State) -> World {
        World { shared: Arc::new(Shared { state: Mutex::new(state), turn: Condvar::new() }) }
    }

    /// Adds a file system and opens its root. The first is number 0, its path is `/0`, and so on.
    pub fn file_system(&self, options: Options) -> DirRef {
        let index = self.shared.lock().add_system(options);
        self.root(index)
    }

    /// Opens the root of a file system by its number.
    pub fn root(&self, index: usize) -> DirRef {
        handle::open_root(&self.shared, index)
    }

    /// Steps so far, those that failed included.
    pub fn steps(&self) -> u64 {
        self.shared.lock().fate.steps()
    }

    /// Calls so far: steps and calls that only look.
    pub fn calls(&self) -> u64 {
        self.shared.lock().fate.calls()
    }

    /// Cuts the power: the `n`th step from now does not happen (1 is the next), and from then on every call fails
    /// with an error that [`is_cut`] knows. 0 cuts now. All locks are gone with it.
    pub fn cut_at(&self, n: u64) {
        self.shared.lock().cut_at(n);
    }

    /// Whether the power is cut.
    pub fn is_cut(&self) -> bool {
        self.shared.lock().fate.is_cut()
    }

    /// Makes the `n`th step from now fail (1 is the next). It does not happen, but for a write, which may get a part
    /// of the way, and a sync, which loses what it should have saved. With `sticky` the steps after it fail too: all of
    /// them, or, for a full disk, those that take space.
    pub fn fail_at(&self, n: u64, fault: Fault, sticky: bool) {
        self.shared.lock().fate.fail_at(n, fault, sticky);
    }

    /// Makes the `n`th call from now fail, be it one that changes something or one that only looks (EMFILE, EIO).
    pub fn fail_call_at(&self, n: u64, fault: Fault) {
        self.shared.lock().fate.fail_call_at(n, fault);
    }

    /// Takes back all faults that are planned or last: there is space again. What failed syncs lost stays lost.
    pub fn heal(&self) {
        self.shared.lock().fate.heal();
    }

    /// Whether locks work from now on.
    pub fn locks(&self, mode: LockMode) {
        self.shared.lock().locks.mode = mode;
    }

    /// Makes everything durable, as a system does in time by itself. Not a step.
    pub fn settle(&self) {
        let mut state = self.shared.lock();
        (0..state.systems.len()).for_each(|index| state.sync_system(index));
    }

    /// The world that is found when the power comes back after being cut now: the same file systems, opened anew by
    /// [`World::root`], everything that is left being durable. Seed 0 keeps nothing that was pending, seed 1 keeps all
    /// of it (but for what a failed sync lost), any other seed something between. This world stays as it is, so that
    /// many seeds can be tried on one cut.
    pub fn after_crash(&self, seed: u64) -> World {
        World::of(crash::after_crash(&self.shared.lock(), seed))
    }

    /// The world that is found when every program was killed now and the system went on: nothing is lost, what was
    /// pending is still pending.
    pub fn after_kill(&self) -> World {
        World::of(crash::after_kill(&self.shared.lock()))
    }

    /// Everything that the file systems hold now, by paths as [`super::Dir::path`] has them; the roots left out.
    pub fn tree(&self) -> BTreeMap<PathBuf, Node> {
        shown::tree(&self.shared.lock())
    }

    /// A listing for messages: paths, kinds, lengths, modes, and what of it is not durable.
    pub fn dump(&self) -> String {
        shown::dump(&self.shared.lock())
    }

    /// Kills one actor of the next [`World::interleave`]: its `n`th step (1 is its first) does not happen, and it and
    /// every later call of that actor fails with an error that [`is_cut`] knows. Its locks are gone. The others go on
    /// and see all that it did.
    pub fn only_actor_dies_at(&self, actor: usize, n: u64) {
        self.shared.lock().actors.plan_death(actor, n);
    }

    /// Runs closures as actors, of which one runs at a time. Before each call of any of them on this world `seed`
    /// decides who goes on. Returns when all have; a panic of one is passed on then.
    ///
    /// An actor must not wait for another by any means but this world, nor use it from threads of its own making.
    pub fn interleave(&self, seed: u64, actors: Vec<Box<dyn FnOnce() + Send + '_>>) {
        actors::interleave(&self.shared, actors::Order::Seed(seed), actors);
    }

    /// Runs closures as actors as [`World::interleave`] does, in turns that the test gives: who goes on, and for how many
    /// calls. A turn of an actor that is done is left out; what is left after the last turn is done by one after another.
    /// So a race that needs a long pause in the right place is found by trying every place.
    pub fn take_turns(&self, turns: &[(usize, u64)], actors: Vec<Box<dyn FnOnce() + Send + '_>>) {
        actors::interleave(&self.shared, actors::Order::Turns(turns), actors);
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.dump())
    }
}
