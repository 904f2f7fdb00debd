//! Is a file the body that a prefix names, and what does it become? Read whole and hashed on all cores; no key needed.

use std::sync::{Mutex, PoisonError};

use mb_wire::body::{CHUNK_LEN, leaves, root};
use mb_wire::envelope::BodyName;
use mb_wire::hash::Digest;
use mb_wire::id::Root;

use crate::blocks::{BLOCK_CHUNKS, for_each_block};
use crate::durable::{self, FileRef};

/// Bytes that are read and hashed at a time.
const BLOCK_LEN: usize = BLOCK_CHUNKS * CHUNK_LEN;

/// Whether the open file has the size and the root of `body`.
pub fn is_body(file: &FileRef, body: &BodyName, threads: usize) -> durable::Result<bool> {
    Ok(body_root(file, body.size, threads, |_, _| Ok(()))? == Some(body.root))
}

/// The root of the body that the open file becomes when `change` has changed it, block by block, each with its offset.
/// `None`: it has not `size` bytes, or no body has. Blocks are changed on all threads.
pub fn body_root(
    file: &FileRef,
    size: u64,
    threads: usize,
    change: impl Fn(u64, &mut [u8]) -> durable::Result<()> + Sync,
) -> durable::Result<Option<Root>> {
    if file.stat()?.len != size {
        return Ok(None);
    }
    let parts: Mutex<Vec<(u64, Vec<Digest>)>> = Mutex::new(Vec::new());
    let mut offset = 0;
    let read = |buffer: &mut Vec<u8>| {
        buffer.resize(BLOCK_LEN, 0);
        let mut len = 0;
        while len < buffer.len() {
            match file.read_at(&mut buffer[len..], offset + len as u64)? {
                0 => break,
                count => len += count,
            }
        }
        buffer.truncate(len);
        let at = offset;
        offset += len as u64;
        Ok::<_, durable::Error>((len > 0).then_some(at))
    };
    let work = |at: u64, buffer: &mut Vec<u8>| {
        change(at, buffer)?;
        parts.lock().unwrap_or_else(PoisonError::into_inner).push((at, leaves(buffer)));
        Ok(())
    };
    for_each_block(threads, read, work)?;
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_unstable_by_key(|(at, _)| *at);
    let all: Vec<Digest> = parts.into_iter().flat_map(|(_, leaves)| leaves).collect();
    Ok(is_count_right(&all, size).then(|| root(size, &all)))
}

/// Whether as many leaves were read as a body of that size has; also keeps an empty file from being asked for its root.
fn is_count_right(leaves: &[Digest], size: u64) -> bool {
    mb_wire::body::chunk_count(size).is_ok_and(|count| count == leaves.len() as u64)
}
