//! Read in order, work on all cores: the one shape of all bulk work.
//!
//! Sealing a payload, hashing a copy, checking a body: blocks are read one after another by whoever is free, then worked
//! on in parallel. Memory is one buffer for each thread. With one thread everything runs in the caller, in order, so that
//! crash tests can count its system calls.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Chunks of a body that are read and worked on at a time: as many as are hashed side by side, and few enough to stay in
/// a core's own cache from reading to writing.
pub const BLOCK_CHUNKS: usize = 4;

/// Calls `read` until it returns `None`, and `work` with what it returned and the buffer that it filled.
///
/// `read` is never called by two threads at a time, and not again after `None` or an error. `work` runs in parallel and
/// in any order. The first error of either is returned; work under way is finished first.
pub fn for_each_block<M, E, R, W>(threads: usize, read: R, work: W) -> Result<(), E>
where
    M: Send,
    E: Send,
    R: FnMut(&mut Vec<u8>) -> Result<Option<M>, E> + Send,
    W: Fn(M, &mut Vec<u8>) -> Result<(), E> + Sync,
{
    let shared = Shared { read: Mutex::new(Source { read, ended: false }), failed: AtomicBool::new(false) };
    if threads <= 1 {
        return shared.work_through(&work);
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(|| shared.work_through(&work))).collect();
        let mut result = shared.work_through(&work);
        for worker in workers {
            match worker.join() {
                Ok(other) => result = result.and(other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

struct Source<R> {
    read: R,
    ended: bool,
}

struct Shared<R> {
    read: Mutex<Source<R>>,
    failed: AtomicBool,
}

impl<R> Shared<R> {
    fn work_through<M, E, W>(&self, work: &W) -> Result<(), E>
    where
        R: FnMut(&mut Vec<u8>) -> Result<Option<M>, E>,
        W: Fn(M, &mut Vec<u8>) -> Result<(), E>,
    {
        let mut buffer = Vec::new();
        while !self.failed.load(Ordering::Relaxed) {
            let done = match self.next(&mut buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(block)) => work(block, &mut buffer),
                Err(error) => Err(error),
            };
            if done.is_err() {
                self.failed.store(true, Ordering::Relaxed);
                return done;
            }
        }
        Ok(())
    }

    fn next<M, E>(&self, buffer: &mut Vec<u8>) -> Result<Option<M>, E>
    where
        R: FnMut(&mut Vec<u8>) -> Result<Option<M>, E>,
    {
        // A poisoned lock means that `read` panicked in another thread: there is nothing more to read.
        let Ok(mut source) = self.read.lock() else { return Ok(None) };
        if source.ended {
            return Ok(None);
        }
        let next = (source.read)(buffer);
        source.ended = !matches!(next, Ok(Some(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(threads: usize) -> Result<u64, String> {
        let total = Mutex::new(0);
        let mut next = 0u64;
        let read = |buffer: &mut Vec<u8>| {
            next += 1;
            buffer.clear();
            buffer.extend_from_slice(&next.to_be_bytes());
            Ok((next <= 1000).then_some(next))
        };
        for_each_block(threads, read, |block, buffer| {
            assert_eq!(&block.to_be_bytes()[..], &buffer[..]);
            *total.lock().unwrap() += block;
            Ok::<(), String>(())
        })?;
        Ok(total.into_inner().unwrap())
    }

    #[test]
    fn every_block_is_worked_on_once_however_many_threads() {
        for threads in [0, 1, 2, 7] {
            assert_eq!(sum(threads), Ok(500_500));
        }
    }

    #[test]
    fn the_first_error_ends_the_work() {
        for threads in [1, 3] {
            let mut next = 0u32;
            let read = |_: &mut Vec<u8>| {
                next += 1;
                if next == 5 { Err("read failed") } else { Ok(Some(next)) }
            };
            assert_eq!(for_each_block(threads, read, |_, _| Ok(())), Err("read failed"));
            let work = |block: u32, _: &mut Vec<u8>| if block == 3 { Err("work failed") } else { Ok(()) };
            let mut next = 0u32;
            let read = |_: &mut Vec<u8>| {
                next += 1;
                Ok((next < 100).then_some(next))
            };
            assert_eq!(for_each_block(threads, read, work), Err("work failed"));
        }
    }
}
