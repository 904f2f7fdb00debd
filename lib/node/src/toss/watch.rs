//! Watch: waits until something comes into a queue. The kernel tells (inotify); where it cannot, as on network file
//! systems, a look every few seconds does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use inotify::{Inotify, WatchMask};
use mb_spool::durable;
use mb_spool::layout::{Queue, Spool};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long one wait lasts at most: for the stop flag, for folders that are new, and for file systems that tell nothing.
const TURN: Duration = Duration::from_millis(500);
/// Turns after which one looks even though nothing was told.
const LOOK_EVERY: u32 = 20;

/// Watches the queues of a spool.
pub struct Watcher<'a> {
    spool: &'a Spool,
    inotify: Option<Inotify>,
}

impl<'a> Watcher<'a> {
    /// Begins to watch. What comes from now on ends the next wait.
    pub fn new(spool: &'a Spool) -> durable::Result<Watcher<'a>> {
        let mut watcher = Watcher { spool, inotify: Inotify::init().ok() };
        watcher.add_queues()?;
        Ok(watcher)
    }

    /// Adds every queue that is there; adding one again is harmless.
    fn add_queues(&mut self) -> durable::Result<()> {
        let Some(inotify) = &self.inotify else { return Ok(()) };
        let mut watches = inotify.watches();
        for node in self.spool.nodes()?.into_iter().chain([self.spool.own()]) {
            if let Some(dir) = self.spool.find_queue(&node, Queue::Rx)? {
                // A queue that cannot be watched is looked at every few turns.
                let _ = watches.add(dir.path(), WatchMask::MOVED_TO | WatchMask::CREATE | WatchMask::CLOSE_WRITE);
            }
        }
        let _ = watches.add(self.spool.root().path(), WatchMask::CREATE);
        Ok(())
    }

    /// Waits until something came, or may have. `false`: the user wants to stop.
    pub fn wait(&mut self, stop: &AtomicBool) -> durable::Result<bool> {
        for _ in 0..LOOK_EVERY {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            if self.has_event() {
                break;
            }
        }
        self.add_queues()?;
        Ok(!stop.load(Ordering::Relaxed))
    }

    /// Waits a turn for the kernel to tell something.
    fn has_event(&mut self) -> bool {
        let Some(inotify) = &mut self.inotify else {
            std::thread::sleep(TURN);
            return false;
        };
        let turn = Timespec { tv_sec: 0, tv_nsec: i64::from(TURN.subsec_nanos()) };
        // That a signal ended the wait is seen at the stop flag.
        let _ = poll(&mut [PollFd::new(inotify, PollFlags::IN)], Some(&turn));
        let mut buffer = [0; 4096];
        match inotify.read_events(&mut buffer) {
            Ok(mut events) => events.next().is_some(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
}
