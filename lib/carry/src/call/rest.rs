//! What an earlier call has left here: whole packets in a queue, and bodies that have not all come. Nothing of it is believed
//! before it was looked at.

use mb_spool::durable::{self, DirRef, FileRef};
use mb_spool::envelopes;
use mb_spool::layout::FILE_MODE;
use mb_spool::names::body_name;
use mb_wire::body::{CHUNK_LEN, leaves};
use mb_wire::call::message::DATA_CHUNKS_MOST;
use mb_wire::hash::Digest;
use mb_wire::id::PacketId;

use crate::copy::read_full;

/// Bytes that are compared at a time.
const BLOCK_LEN: usize = DATA_CHUNKS_MOST * CHUNK_LEN;

/// Whether a packet lies in a queue with all that it lists: a power cut can have left its envelope and lost a body's name.
pub(super) fn is_whole(queue: &DirRef, packet: &PacketId) -> durable::Result<bool> {
    let Some(prefix) = envelopes::prefix(queue, packet)? else { return Ok(false) };
    for (number, body) in prefix.bodies.iter().enumerate() {
        match queue.stat(body_name(packet, number).as_ref()) {
            Ok(stat) if stat.len == body.size => {}
            Ok(_) => return Ok(false),
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The file that a body grows in; it is ours alone while we hold the folder's lock.
pub(super) fn open_part_file(part: &DirRef, name: &str) -> durable::Result<FileRef> {
    match part.create(name.as_ref(), FILE_MODE) {
        Err(error) if error.is_taken() => part.open_rw(name.as_ref()),
        other => other,
    }
}

/// How many chunks at the beginning of the file are those of the body, on the medium.
pub(super) fn good_chunks(file: &FileRef, size: u64, expected: &[Digest]) -> durable::Result<u64> {
    // From the medium: a sync that failed may have left in memory what is not there.
    file.uncache();
    let there = file.stat()?.len.min(size);
    let mut good = 0;
    let mut block = vec![0; BLOCK_LEN];
    while let offset = good * CHUNK_LEN as u64
        && offset < there
    {
        let len = (there - offset).min(BLOCK_LEN as u64);
        // What is not a whole chunk, or the last one, counts for nothing.
        let len = if offset + len == size { len } else { len / CHUNK_LEN as u64 * CHUNK_LEN as u64 } as usize;
        if read_full(file, &mut block[..len], offset)? < len {
            break;
        }
        let found = leaves(&block[..len]);
        let right = found.iter().zip(&expected[good as usize..]).take_while(|(a, b)| a == b).count();
        good += right as u64;
        if found.is_empty() || right < found.len() {
            break;
        }
    }
    Ok(good)
}
