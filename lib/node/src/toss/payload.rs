//! Payload: a letter's content, verified and written under a staged name.
//!
//! Nothing of a letter is released before all of it holds: what is written here lies under a name that nobody looks
//! at, and is removed again at the first piece that does not fit.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use mb_spool::blocks::{BLOCK_CHUNKS, for_each_block};
use mb_spool::durable::{self, FileRef};
use mb_wire::body::{CHUNK_LEN, PIECE_LEN, chunk_count, leaves, root};
use mb_wire::hash::Digest;
use mb_wire::letter::{Codec, Letter, LetterBody};
use mb_wire::route::{Veil, Veils};

use super::decide::Refusal;

/// Largest window that a frame may ask for, as a power of two: 8 MiB.
const MOST_WINDOW_LOG: u32 = 23;
/// Bytes that are handed on at a time.
const COPY_LEN: usize = 64 * 1024;

/// Why a payload could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// The packet.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Who takes it wants no more of it.
    #[error("nobody wants the rest")]
    Enough,
}

/// A letter's bodies, open, in their order: all, or the first of them. Empty where the payload is inline.
pub struct Bodies<'a> {
    /// The letter.
    pub letter: &'a Letter,
    /// A file for each of its bodies, from the first on.
    pub files: Vec<FileRef>,
    /// In an onion: what lies on each of them.
    pub veils: Option<&'a Veils>,
    /// Threads to work with.
    pub threads: usize,
}

impl Bodies<'_> {
    /// Writes the payload as the content of `target`. On an error the target holds something of no meaning.
    pub fn write_plain(&self, target: &FileRef) -> Result<(), PayloadError> {
        if let Some(inline) = &self.letter.inline {
            return Ok(target.write_at(inline, 0)?);
        }
        let mut offset = 0;
        for (number, body) in self.letter.bodies.iter().enumerate() {
            match body.codec {
                Codec::Plain => self.write_range(number, body, target, offset)?,
                Codec::Zstd => self.copy_range(number, target, offset)?,
            }
            offset += body.len;
        }
        // The end may be a hole.
        Ok(target.set_len(offset)?)
    }

    /// A body that is its range: chunks are opened and written on all threads.
    fn write_range(&self, number: usize, body: &LetterBody, target: &FileRef, offset: u64) -> Result<(), PayloadError> {
        let count = chunk_count(body.size).map_err(|error| refuse(number, error))?;
        let file = &self.files[number];
        check_size(number, body, file)?;
        let parts = Mutex::new(Vec::new());
        let mut next = 0;
        let read = |buffer: &mut Vec<u8>| {
            let first = next;
            if first == count {
                return Ok(None);
            }
            next = count.min(first + BLOCK_CHUNKS as u64);
            read_chunks(number, body, file, first, next, buffer)?;
            Ok(Some(first))
        };
        let veil = self.veil(number);
        let work = |first: u64, buffer: &mut Vec<u8>| {
            unveil(veil.as_ref(), first, buffer);
            lock(&parts).push((first, leaves(buffer)));
            let mut at = first * PIECE_LEN as u64;
            for (index, chunk) in (first..).zip(buffer.chunks_mut(CHUNK_LEN)) {
                let piece =
                    body.key.open_chunk(index, index + 1 == count, chunk).map_err(|error| refuse(number, error))?;
                let inside = usize::try_from(body.len.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
                let (range, padding) = piece.split_at(inside);
                check_padding(number, padding)?;
                write_or_skip(target, range, offset + at)?;
                at += piece.len() as u64;
            }
            Ok::<(), PayloadError>(())
        };
        for_each_block(self.threads, read, work)?;
        check_root(number, body, parts.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn veil(&self, number: usize) -> Option<Veil> {
        self.veils.map(|veils| veils.of(number))
    }

    /// A compressed body: one piece after another.
    fn copy_range(&self, number: usize, target: &FileRef, offset: u64) -> Result<(), PayloadError> {
        let mut at = offset;
        self.read_range(number, &mut |bytes| {
            write_or_skip(target, bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        })
    }

    /// Whether only some of the letter's bodies are here.
    pub fn is_part(&self) -> bool {
        self.files.len() < self.letter.bodies.len()
    }

    /// Hands the payload on, in order, as far as the bodies go.
    pub fn read(&self, take: &mut dyn FnMut(&[u8]) -> Result<(), PayloadError>) -> Result<(), PayloadError> {
        if let Some(inline) = &self.letter.inline {
            return take(inline);
        }
        (0..self.files.len()).try_for_each(|number| self.read_range(number, take))
    }

    /// Hands the range of one body on. All of it has been checked when this returns `Ok`, not before.
    fn read_range(
        &self,
        number: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), PayloadError>,
    ) -> Result<(), PayloadError> {
        let body = &self.letter.bodies[number];
        let mut plain = PlainReader::new(number, body, &self.files[number], self.veil(number))?;
        match body.codec {
            Codec::Plain => {
                copy_exactly(number, &mut plain, body.len, take)?;
            }
            Codec::Zstd => {
                let mut frame = zstd::stream::read::Decoder::with_buffer(io::BufReader::new(plain))
                    .map_err(|error| refuse(number, error))?
                    .single_frame();
                frame.window_log_max(MOST_WINDOW_LOG).map_err(|error| refuse(number, error))?;
                copy_exactly(number, &mut frame, body.len, take)?;
                if frame.read(&mut [0]).map_err(|error| payload_error(number, error))? != 0 {
                    return Err(refuse(number, "unpacks to more than the letter says").into());
                }
                let mut rest = frame.finish();
                check_rest(number, &mut rest)?;
                plain = rest.into_inner();
                return plain.finish();
            }
        }
        check_rest(number, &mut plain)?;
        plain.finish()
    }
}

/// Takes the veil off chunks from `first` on.
fn unveil(veil: Option<&Veil>, first: u64, chunks: &mut [u8]) {
    if let Some(veil) = veil {
        veil.apply(first * CHUNK_LEN as u64, chunks);
    }
}

/// Hands on exactly `len` bytes.
fn copy_exactly(
    number: usize,
    from: &mut dyn Read,
    len: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), PayloadError>,
) -> Result<(), PayloadError> {
    let mut buffer = vec![0; COPY_LEN];
    let mut left = len;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match from.read(&mut buffer[..most]).map_err(|error| payload_error(number, error))? {
            0 => return Err(refuse(number, "unpacks to less than the letter says").into()),
            count => {
                take(&buffer[..count])?;
                left -= count as u64;
            }
        }
    }
    Ok(())
}

/// Behind the range only zeros may follow.
fn check_rest(number: usize, from: &mut dyn Read) -> Result<(), PayloadError> {
    let mut buffer = vec![0; COPY_LEN];
    loop {
        match from.read(&mut buffer).map_err(|error| payload_error(number, error))? {
            0 => return Ok(()),
            count => check_padding(number, &buffer[..count])?,
        }
    }
}

fn check_padding(number: usize, padding: &[u8]) -> Result<(), PayloadError> {
    if padding.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(refuse(number, "has something behind its range").into())
    }
}

/// Zeros in whole pieces are left as a hole, so a sparse file stays sparse.
fn write_or_skip(target: &FileRef, bytes: &[u8], offset: u64) -> Result<(), PayloadError> {
    if bytes.len() >= 4096 && bytes.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    Ok(target.write_at(bytes, offset)?)
}

fn refuse(number: usize, what: impl ToString) -> Refusal {
    Refusal::Body { number, what: what.to_string() }
}

/// What came out of a reader: our own error if it is one, else zstd's.
fn payload_error(number: usize, error: io::Error) -> PayloadError {
    match error.downcast::<PayloadError>() {
        Ok(inner) => inner,
        Err(error) => refuse(number, error).into(),
    }
}

fn check_size(number: usize, body: &LetterBody, file: &FileRef) -> Result<(), PayloadError> {
    if file.stat()?.len == body.size {
        Ok(())
    } else {
        Err(refuse(number, "has another size than the letter says").into())
    }
}

fn check_root(number: usize, body: &LetterBody, mut parts: Vec<(u64, Vec<Digest>)>) -> Result<(), PayloadError> {
    parts.sort_unstable_by_key(|(first, _)| *first);
    let all: Vec<Digest> = parts.into_iter().flat_map(|(_, leaves)| leaves).collect();
    if root(body.size, &all) == body.root { Ok(()) } else { Err(refuse(number, "is not what its name says").into()) }
}

/// Reads chunks `first` to `end`, not included, into `buffer`.
fn read_chunks(
    number: usize,
    body: &LetterBody,
    file: &FileRef,
    first: u64,
    end: u64,
    buffer: &mut Vec<u8>,
) -> Result<(), PayloadError> {
    let start = first * CHUNK_LEN as u64;
    let len = (end * CHUNK_LEN as u64).min(body.size) - start;
    buffer.resize(len as usize, 0);
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], start + filled as u64)? {
            0 => return Err(refuse(number, "ends too early").into()),
            count => filled += count,
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The plaintext of a body as a stream. Each piece is authentic when it is read; that nothing is missing, and that it is
/// the body of that name, is known after `finish`.
struct PlainReader<'a> {
    number: usize,
    body: &'a LetterBody,
    file: &'a FileRef,
    veil: Option<Veil>,
    count: u64,
    next: u64,
    leaves: Vec<Digest>,
    buffer: Vec<u8>,
    /// Chunks of the buffer that are still to be handed on: where the next piece starts and how far it goes.
    piece: std::ops::Range<usize>,
    opened: u64,
}

impl<'a> PlainReader<'a> {
    fn new(
        number: usize,
        body: &'a LetterBody,
        file: &'a FileRef,
        veil: Option<Veil>,
    ) -> Result<PlainReader<'a>, PayloadError> {
        let count = chunk_count(body.size).map_err(|error| refuse(number, error))?;
        check_size(number, body, file)?;
        Ok(PlainReader {
            number,
            body,
            file,
            veil,
            count,
            next: 0,
            leaves: Vec::new(),
            buffer: Vec::new(),
            piece: 0..0,
            opened: 0,
        })
    }

    /// Reads a block of chunks, hashes it and opens it. `false` at the end.
    fn next_block(&mut self) -> Result<bool, PayloadError> {
        let first = self.next;
        if first == self.count {
            return Ok(false);
        }
        self.next = self.count.min(first + BLOCK_CHUNKS as u64);
        read_chunks(self.number, self.body, self.file, first, self.next, &mut self.buffer)?;
        unveil(self.veil.as_ref(), first, &mut self.buffer);
        self.leaves.extend(leaves(&self.buffer));
        for (index, chunk) in (first..).zip(self.buffer.chunks_mut(CHUNK_LEN)) {
            let is_last = index + 1 == self.count;
            self.body.key.open_chunk(index, is_last, chunk).map_err(|error| refuse(self.number, error))?;
        }
        self.opened = 0;
        Ok(true)
    }

    /// The next piece of the block that is in the buffer.
    fn next_piece(&mut self) -> bool {
        let start = self.opened as usize * CHUNK_LEN;
        if start >= self.buffer.len() {
            return false;
        }
        let end = self.buffer.len().min(start + CHUNK_LEN);
        self.piece = start..end - (CHUNK_LEN - PIECE_LEN);
        self.opened += 1;
        true
    }

    fn finish(self) -> Result<(), PayloadError> {
        check_root(self.number, self.body, vec![(0, self.leaves)])
    }
}

impl Read for PlainReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if !self.next_piece() && !self.next_block().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let count = into.len().min(self.piece.len());
        into[..count].copy_from_slice(&self.buffer[self.piece.start..self.piece.start + count]);
        self.piece.start += count;
        Ok(count)
    }
}
