//! Bodies copied while they are hashed, on all cores.
//!
//! A body is good if its size and the root of its tree are what its name says. A copy is written over what an
//! interrupted one left: what is there already is compared with the source block by block, and only what differs is written.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use mb_spool::blocks::{BLOCK_CHUNKS, for_each_block};
use mb_spool::durable::{self, FileRef};
use mb_wire::body::{CHUNK_LEN, chunk_count, leaves, root};
use mb_wire::envelope::BodyName;
use mb_wire::hash::Digest;

/// Bytes of a block.
const BLOCK_LEN: usize = BLOCK_CHUNKS * CHUNK_LEN;

/// How bulk work is done.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Threads that may work at the same time; each holds a block or two.
    pub threads: usize,
    /// Looked at between blocks: once it is set, work ends with [`CopyError::Stopped`].
    pub stop: &'a AtomicBool,
    /// Told how many more bytes were read.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Work<'_> {
    /// Whether the run was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(durable::Error),
    /// The copy cannot be written.
    #[error(transparent)]
    Target(durable::Error),
    /// The source is not the body that it should be.
    #[error("not what its name says")]
    Damaged,
    /// The run was asked to stop. What was written can be continued.
    #[error("asked to stop")]
    Stopped,
}

/// Whether `file` is the body `name`: read to the end and hashed.
pub fn is_body(file: &FileRef, name: &BodyName, work: Work) -> Result<bool, CopyError> {
    match leaves_of(file, name, work) {
        Ok(_) => Ok(true),
        Err(CopyError::Damaged) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The leaves of the body `name`, which `file` is: read to the end and hashed.
pub(crate) fn leaves_of(file: &FileRef, name: &BodyName, work: Work) -> Result<Vec<Digest>, CopyError> {
    go_through(file, name, work, |_, _| Ok(()))
}

/// Copies the body `name` over whatever is in `target`, which nobody else writes. After `Ok` the copy is whole; not
/// synced. After an error it holds pieces that the next copy keeps if they are right.
pub fn copy_body(source: &FileRef, name: &BodyName, target: &FileRef, work: Work) -> Result<(), CopyError> {
    // From the medium: a sync that failed may have left in memory what is not there.
    target.uncache();
    let there = target.stat().map_err(CopyError::Target)?.len;
    if there > name.size {
        target.set_len(name.size).map_err(CopyError::Target)?;
    }
    go_through(source, name, work, |offset, block| {
        write_block(target, offset, block, there).map_err(CopyError::Target)
    })?;
    Ok(())
}

fn write_block(target: &FileRef, offset: u64, block: &[u8], there: u64) -> durable::Result<()> {
    if there >= offset + block.len() as u64 {
        let mut old = vec![0; block.len()];
        if read_full(target, &mut old, offset)? == block.len() && old == block {
            return Ok(());
        }
    }
    target.write_at(block, offset)
}

/// Reads the whole of a body, hashes it and hands each block with its offset to `use_block`, on several threads. Its leaves.
fn go_through(
    file: &FileRef,
    name: &BodyName,
    work: Work,
    use_block: impl Fn(u64, &[u8]) -> Result<(), CopyError> + Sync,
) -> Result<Vec<Digest>, CopyError> {
    // The size is refused before anything is read: a file can claim any.
    let count = chunk_count(name.size).map_err(|_| CopyError::Damaged)?;
    if file.stat().map_err(CopyError::Source)?.len != name.size {
        return Err(CopyError::Damaged);
    }
    let tree: Mutex<Vec<Digest>> = Mutex::new(vec![[0; 32]; count as usize]);
    let mut next = 0;
    let read = |buffer: &mut Vec<u8>| {
        if work.is_stopped() {
            return Err(CopyError::Stopped);
        }
        let offset = next;
        let len = read_block(file, name.size - offset, offset, buffer)? as u64;
        (work.progress)(len);
        next += len;
        Ok((next > offset).then_some(offset))
    };
    for_each_block(work.threads, read, |offset, block: &mut Vec<u8>| {
        let hashes = leaves(block);
        let first = (offset / CHUNK_LEN as u64) as usize;
        // Poisoned only if another thread panicked, and then this one's work is lost with it.
        if let Ok(mut tree) = tree.lock() {
            tree[first..first + hashes.len()].copy_from_slice(&hashes);
        }
        use_block(offset, block)
    })?;
    let tree = tree.into_inner().unwrap_or_default();
    if !tree.is_empty() && root(name.size, &tree) == name.root { Ok(tree) } else { Err(CopyError::Damaged) }
}

/// Fills `buffer` with the next block; 0 at the end. A file that has become shorter is not what it was.
fn read_block(file: &FileRef, left: u64, offset: u64, buffer: &mut Vec<u8>) -> Result<usize, CopyError> {
    let len = left.min(BLOCK_LEN as u64) as usize;
    buffer.resize(len, 0);
    match read_full(file, buffer, offset).map_err(CopyError::Source)? {
        read if read == len => Ok(len),
        _ => Err(CopyError::Damaged),
    }
}

/// Fills `into`; how many bytes there were, fewer only at the end of the file.
pub(crate) fn read_full(file: &FileRef, into: &mut [u8], offset: u64) -> durable::Result<usize> {
    let mut len = 0;
    while len < into.len() {
        match file.read_at(&mut into[len..], offset + len as u64)? {
            0 => break,
            count => len += count,
        }
    }
    Ok(len)
}
