//! Pack: a payload becomes an inline letter or bodies, in one pass and constant memory.
//!
//! The next range of the payload is read by whoever is free, sealed, hashed and written by all threads. If several
//! copies of the body are to be made (`--private`, more than 64 recipients), each block is sealed for each.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use mb_spool::batch::Batch;
use mb_spool::blocks::{BLOCK_CHUNKS, for_each_block};
use mb_spool::durable::FileRef;
use mb_spool::run::Run;
use mb_wire::body::{BodyKey, CHUNK_LEN, PIECE_LEN, PLAIN_MOST, body_len, leaves, root};
use mb_wire::hash::Digest;
use mb_wire::letter::{Codec, INLINE_MOST, LetterBody};
use mb_wire::size::padme;

use super::source::Source;
use super::{Options, SendError, Sender};

/// How much of a range is compressed to see whether it pays.
const SAMPLE_LEN: usize = 256 * 1024;
/// zstd's level: faster than a disk, and most of the gain.
const LEVEL: i32 = 3;
/// A compressed range is this much shorter than a body may be: what does not compress makes a frame a little longer.
const FRAME_MARGIN: u64 = 8 << 20;

/// Whether to compress bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// When it pays, measured at the beginning of each range.
    Auto,
    /// Never.
    Never,
    /// Whatever comes.
    Always,
}

/// A payload, ready to be listed in a letter.
pub enum Packed {
    /// Small: it rides in the envelope.
    Inline(Vec<u8>),
    /// For each copy, the bodies in order.
    Bodies(Vec<Vec<PackedBody>>),
}

/// A body that lies in the run's folder.
#[derive(Clone)]
pub struct PackedBody {
    /// The name of its file there.
    pub name: String,
    /// What the letter says about it.
    pub entry: LetterBody,
}

/// What packing needs.
pub struct Packer<'a> {
    pub sender: &'a Sender<'a>,
    pub options: &'a Options,
    pub run: &'a Run,
    pub batch: &'a Batch<'a>,
    pub copies: usize,
}

/// A body that is being written: one of the copies.
struct Copy {
    name: String,
    file: FileRef,
    key: BodyKey,
    leaves: Mutex<Vec<(u64, Vec<Digest>)>>,
}

impl Packer<'_> {
    /// Reads the whole payload.
    pub fn pack(&self, source: &mut Source) -> Result<Packed, SendError> {
        let expected = source.len.unwrap_or(0);
        self.sender.check_room(expected.saturating_mul(self.copies as u64), self.options)?;
        let mut head = vec![0; SAMPLE_LEN];
        let len = source.fill(&mut head)?;
        head.truncate(len);
        if len <= INLINE_MOST {
            (self.sender.progress)(len as u64);
            return Ok(Packed::Inline(head));
        }
        let mut copies = vec![Vec::new(); self.copies];
        while !head.is_empty() {
            let (bodies, next) = self.pack_range(source, head)?;
            for (list, body) in copies.iter_mut().zip(bodies) {
                list.push(body);
            }
            head = next;
        }
        Ok(Packed::Bodies(copies))
    }

    /// Packs one range, which begins with `head`, and returns what begins the next one.
    fn pack_range(&self, source: &mut Source, head: Vec<u8>) -> Result<(Vec<PackedBody>, Vec<u8>), SendError> {
        let codec = self.codec(&head);
        let most = if codec == Codec::Zstd { PLAIN_MOST - FRAME_MARGIN } else { PLAIN_MOST };
        let mut range =
            Range { head: io::Cursor::new(head), source, left: most, len: 0, progress: self.sender.progress };
        let copies = (0..self.copies).map(|_| self.new_copy()).collect::<Result<Vec<_>, _>>()?;
        let size = match codec {
            Codec::Plain => self.write(&mut range, &copies)?,
            Codec::Zstd => {
                let frame = zstd::stream::read::Encoder::with_buffer(
                    io::BufReader::with_capacity(SAMPLE_LEN, &mut range),
                    LEVEL,
                );
                let frame = frame.map_err(|cause| failed(cause, "compress"))?;
                self.write(&mut { frame }, &copies)?
            }
        };
        let len = range.len;
        let mut next = vec![0; SAMPLE_LEN];
        let next_len = if range.left == 0 { source.fill(&mut next)? } else { 0 };
        next.truncate(next_len);
        let bodies = copies.into_iter().map(|copy| self.finish(copy, size, len, codec)).collect();
        Ok((bodies, next))
    }

    fn codec(&self, head: &[u8]) -> Codec {
        match self.options.compress {
            Compress::Never => Codec::Plain,
            Compress::Always => Codec::Zstd,
            // Less than a tenth is not worth the time at either end.
            Compress::Auto => match zstd::bulk::compress(head, 1) {
                Ok(packed) if packed.len() < head.len() / 10 * 9 => Codec::Zstd,
                _ => Codec::Plain,
            },
        }
    }

    fn new_copy(&self) -> Result<Copy, SendError> {
        let key = BodyKey::from_random(self.sender.random_bytes()?);
        let (name, file) = self.run.create("body-")?;
        Ok(Copy { name, file, key, leaves: Mutex::new(Vec::new()) })
    }

    /// Seals everything that `plain` gives into each copy. Returns the size of the body.
    fn write(&self, plain: &mut (dyn Read + Send), copies: &[Copy]) -> Result<u64, SendError> {
        let mut pieces = Pieces { plain, ahead: None, count: 0, len: 0, pad: self.options.pad };
        let read = |buffer: &mut Vec<u8>| {
            self.sender.check_stop()?;
            pieces.next_block(buffer)
        };
        let work = |block: Block, buffer: &mut Vec<u8>| {
            let (last, others) = copies.split_last().expect("at least one copy is made");
            for copy in others {
                copy.seal(block, &mut buffer.clone())?;
            }
            last.seal(block, buffer)
        };
        for_each_block(self.options.threads, read, work)?;
        Ok(body_len(pieces.len))
    }

    fn finish(&self, copy: Copy, size: u64, len: u64, codec: Codec) -> PackedBody {
        let mut parts = copy.leaves.into_inner().unwrap_or_else(PoisonError::into_inner);
        parts.sort_unstable_by_key(|(first, _)| *first);
        let all: Vec<Digest> = parts.into_iter().flat_map(|(_, leaves)| leaves).collect();
        let root = root(size, &all);
        self.batch.wrote_body(copy.file, &copy.name);
        PackedBody { name: copy.name, entry: LetterBody { root, size, key: copy.key, len, codec } }
    }
}

fn failed(cause: io::Error, attempt: &'static str) -> SendError {
    match cause.downcast::<SendError>() {
        Ok(inner) => inner,
        Err(cause) => SendError::Input { path: "payload".into(), attempt, cause },
    }
}

impl Copy {
    /// Seals a block in place, hashes it, and writes it where it belongs.
    fn seal(&self, block: Block, buffer: &mut [u8]) -> Result<(), SendError> {
        let count = block.len.div_ceil(CHUNK_LEN) as u64;
        for (number, chunk) in (0..).zip(buffer[..block.len].chunks_mut(CHUNK_LEN)) {
            let is_last = block.is_last && number + 1 == count;
            self.key.seal_chunk(block.first + number, is_last, chunk).expect("pieces are cut to the format's measure");
        }
        let leaves = leaves(&buffer[..block.len]);
        self.file.write_at(&buffer[..block.len], block.first * CHUNK_LEN as u64)?;
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner).push((block.first, leaves));
        Ok(())
    }
}

/// Up to 1 GiB of a payload.
struct Range<'a> {
    head: io::Cursor<Vec<u8>>,
    source: &'a mut Source,
    left: u64,
    len: u64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Read for Range<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..most];
        let mut count = self.head.read(into)?;
        if count == 0 && !into.is_empty() {
            count = self.source.fill(into).map_err(io::Error::other)?;
        }
        self.left -= count as u64;
        self.len += count as u64;
        (self.progress)(count as u64);
        Ok(count)
    }
}

/// Where a block lies in the body.
#[derive(Clone, Copy)]
struct Block {
    /// Number of its first chunk.
    first: u64,
    /// Bytes of its chunks.
    len: usize,
    /// Whether it holds the last chunk.
    is_last: bool,
}

/// Cuts plaintext into pieces, each with room for its tag. Looks one byte ahead, since the last chunk is sealed as such.
struct Pieces<'a> {
    plain: &'a mut (dyn Read + Send),
    ahead: Option<u8>,
    count: u64,
    len: u64,
    pad: bool,
}

impl Pieces<'_> {
    fn next_block(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Block>, SendError> {
        buffer.resize(BLOCK_CHUNKS * CHUNK_LEN, 0);
        let first = self.count;
        let mut len = 0;
        let mut is_last = false;
        for chunk in buffer.chunks_mut(CHUNK_LEN) {
            let piece = self.next_piece(&mut chunk[..PIECE_LEN])?;
            if piece == 0 {
                break;
            }
            self.count += 1;
            len += piece + (CHUNK_LEN - PIECE_LEN);
            is_last = self.ahead.is_none();
            if is_last {
                break;
            }
        }
        Ok((len > 0).then_some(Block { first, len, is_last }))
    }

    /// Fills a piece and looks ahead.
    fn next_piece(&mut self, into: &mut [u8]) -> Result<usize, SendError> {
        let mut len = 0;
        if let Some(byte) = self.ahead.take() {
            into[0] = byte;
            len = 1;
        }
        len += self.fill(&mut into[len..])?;
        if len == into.len() {
            let mut byte = [0];
            if self.fill(&mut byte)? == 1 {
                self.ahead = Some(byte[0]);
            }
        }
        Ok(len)
    }

    /// Reads as much as fits, or up to the end and its padding.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize, SendError> {
        let mut len = 0;
        while len < into.len() {
            match self.plain.read(&mut into[len..]) {
                Ok(0) => {
                    let padding = self.padding(len as u64, &into[len..]);
                    into[len..len + padding].fill(0);
                    len += padding;
                    break;
                }
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(failed(cause, "read")),
            }
        }
        self.len += len as u64;
        Ok(len)
    }

    /// How many zeros of those that are still missing up to a Padmé size fit into `room`. Every length between one and its
    /// Padmé size has the same Padmé size, so it does not matter how many have been given already.
    fn padding(&self, unread: u64, room: &[u8]) -> usize {
        if !self.pad {
            return 0;
        }
        let so_far = self.len + unread;
        usize::try_from(padme(so_far) - so_far).unwrap_or(usize::MAX).min(room.len())
    }
}
