//! Reading envelopes from a folder: whole, bounded, checked against their name.

use mb_wire::envelope::{Prefix, packet_id, read_prefix};
use mb_wire::id::PacketId;
use mb_wire::size::ENVELOPE_MOST;

use crate::bodies::exists;
use crate::durable::{self, DirRef, FileRef, Lock, LockGuard};

/// What lies under an envelope's name.
pub enum Read {
    /// The envelope, whose hash is its name.
    Whole(Vec<u8>),
    /// There is no such file (any more).
    Missing,
    /// Too long, or another hash than the name says.
    Damaged,
}

/// Reads the envelope `packet` from `dir`.
pub fn read(dir: &DirRef, packet: &PacketId) -> durable::Result<Read> {
    match dir.open(packet.to_string().as_ref()) {
        Ok(file) => read_open(&file, packet),
        Err(error) if error.is_missing() => Ok(Read::Missing),
        Err(error) => Err(error),
    }
}

/// Keeps others away from the packet while the guard lives; `false`: somebody is at it, or it is gone.
pub fn lock(dir: &DirRef, packet: &PacketId) -> durable::Result<(bool, Option<LockGuard>)> {
    let name = packet.to_string();
    let file = match dir.open(name.as_ref()) {
        Err(error) if error.is_missing() => return Ok((false, None)),
        other => other?,
    };
    let guard = match file.try_lock()? {
        Lock::Held(guard) => Some(guard),
        Lock::Busy => return Ok((false, None)),
        Lock::Unsupported => None,
    };
    // Whoever had the lock before may have removed it.
    Ok((exists(&**dir, &name)?, guard))
}

/// Reads the envelope `packet` from an open file.
pub fn read_open(file: &FileRef, packet: &PacketId) -> durable::Result<Read> {
    let len = file.stat()?.len;
    if len > ENVELOPE_MOST as u64 {
        return Ok(Read::Damaged);
    }
    let bytes = read_whole(file, len as usize)?;
    if bytes.len() as u64 == len && packet_id(&bytes) == *packet { Ok(Read::Whole(bytes)) } else { Ok(Read::Damaged) }
}

/// Reads at most `most` bytes from the beginning of a file.
pub fn read_whole(file: &FileRef, most: usize) -> durable::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut len = 0;
    while len < most {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => break,
            count => len += count,
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// The prefix of an envelope, or `None` if it is missing or damaged.
pub fn prefix(dir: &DirRef, packet: &PacketId) -> durable::Result<Option<Prefix>> {
    match read(dir, packet)? {
        Read::Whole(bytes) => Ok(read_prefix(&bytes).ok()),
        Read::Missing | Read::Damaged => Ok(None),
    }
}
