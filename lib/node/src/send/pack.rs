//! Pack: a payload becomes an inline letter or bodies, in one pass and constant memory.
//!
//! The next range of the payload is read by whoever is free, sealed, hashed and written by all threads. If several
//! copies of the body are to be made (`--private`, more than 64 recipients, onions), each block is sealed for each. In an
//! onion the veils of all hops are put on at once, and what the body is called below each is hashed in passing.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use mb_spool::batch::Batch;
use mb_spool::blocks::{BLOCK_CHUNKS, for_each_block};
use mb_spool::durable::FileRef;
use mb_spool::run::Run;
use mb_wire::body::{BodyKey, CHUNK_LEN, PIECE_LEN, PLAIN_MOST, body_len, leaves, root};
use mb_wire::envelope::BodyName;
use mb_wire::hash::Digest;
use mb_wire::letter::{Codec, INLINE_MOST, LetterBody};
use mb_wire::route::{Route, Veil};
use mb_wire::size::padme;

use super::source::Source;
use super::{Options, SendError, Sender};

/// How much of a range is compressed to see whether it pays.
const SAMPLE_LEN: usize = 256 * 1024;
/// zstd's level: faster than a disk, and most of the gain.
const LEVEL: i32 = 3;
/// A compressed range is this much shorter than a body may be: what does not compress makes a frame a little longer.
const FRAME_MARGIN: u64 = 8 << 20;

/// Plaintext of each body of an onion whose length is not known, but of an only one, which may be shorter.
const ONION_LEN: u64 = 64 << 20;
/// The least plaintext of a body of an onion.
const ONION_LEAST: u64 = 256 << 10;
/// How many bodies an onion of known length has at the most, where that does not make them larger than any may be.
const ONION_BODIES: u64 = 16;

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
    /// In an onion: what it is called when it comes to each hop, in their order.
    pub links: Vec<BodyName>,
}

/// What packing needs.
pub struct Packer<'a> {
    pub sender: &'a Sender<'a>,
    pub options: &'a Options,
    pub run: &'a Run,
    pub batch: &'a Batch<'a>,
}

/// A body that is being written: one of the copies.
struct Copy {
    name: String,
    file: FileRef,
    key: BodyKey,
    /// The body as the letter lists it, and then as it is below one veil more at a time, that of the last hop first.
    layers: Vec<Layer>,
}

#[derive(Default)]
struct Layer {
    /// What is put on it.
    veil: Option<Veil>,
    leaves: Mutex<Vec<(u64, Vec<Digest>)>>,
}

impl Layer {
    fn name(self, size: u64) -> BodyName {
        let mut parts = self.leaves.into_inner().unwrap_or_else(PoisonError::into_inner);
        parts.sort_unstable_by_key(|(first, _)| *first);
        let all: Vec<Digest> = parts.into_iter().flat_map(|(_, leaves)| leaves).collect();
        BodyName { root: root(size, &all), size }
    }
}

impl Packer<'_> {
    /// Reads the whole payload. There are as many copies of its bodies as `routes`; those that have a route are veiled for it.
    pub fn pack(&self, source: &mut Source, routes: &[Option<Route>]) -> Result<Packed, SendError> {
        let expected = source.len.unwrap_or(0);
        self.sender.check_room(expected.saturating_mul(routes.len() as u64), self.options)?;
        let mut head = vec![0; SAMPLE_LEN];
        let len = source.fill(&mut head)?;
        head.truncate(len);
        if len <= INLINE_MOST {
            (self.sender.progress)(len as u64);
            return Ok(Packed::Inline(head));
        }
        let mut copies = vec![Vec::new(); routes.len()];
        while !head.is_empty() {
            let number = copies[0].len();
            let files = routes.iter().map(|route| self.new_copy(route.as_ref(), number)).collect::<Result<_, _>>()?;
            let cut = Cut::new(self.options, source.len, number);
            let (bodies, next) = self.pack_range(source, head, cut, files)?;
            for (list, body) in copies.iter_mut().zip(bodies) {
                list.push(body);
            }
            head = next;
        }
        Ok(Packed::Bodies(copies))
    }

    /// Packs one range, which begins with `head`, into copies, and returns what begins the next one.
    fn pack_range(
        &self,
        source: &mut Source,
        head: Vec<u8>,
        cut: Cut,
        copies: Vec<Copy>,
    ) -> Result<(Vec<PackedBody>, Vec<u8>), SendError> {
        let codec = self.codec(&head);
        let most = if codec == Codec::Zstd { cut.most - FRAME_MARGIN } else { cut.most };
        let mut range =
            Range { head: io::Cursor::new(head), source, left: most, len: 0, progress: self.sender.progress };
        let size = match codec {
            Codec::Plain => self.write(&mut range, &copies, cut.pad)?,
            Codec::Zstd => {
                let frame = zstd::stream::read::Encoder::with_buffer(
                    io::BufReader::with_capacity(SAMPLE_LEN, &mut range),
                    LEVEL,
                );
                let frame = frame.map_err(|cause| failed(cause, "compress"))?;
                self.write(&mut { frame }, &copies, cut.pad)?
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
            // How well something compresses tells what it is.
            _ if self.options.onion.is_some() => Codec::Plain,
            Compress::Never => Codec::Plain,
            Compress::Always => Codec::Zstd,
            // Less than a tenth is not worth the time at either end.
            Compress::Auto => match zstd::bulk::compress(head, 1) {
                Ok(packed) if packed.len() < head.len() / 10 * 9 => Codec::Zstd,
                _ => Codec::Plain,
            },
        }
    }

    /// The file of a copy that the letter lists as body `number`.
    fn new_copy(&self, route: Option<&Route>, number: usize) -> Result<Copy, SendError> {
        let key = BodyKey::from_random(self.sender.random_bytes()?);
        let (name, file) = self.run.create("body-")?;
        let veils = route.map(|route| route.veils(number)).unwrap_or_default();
        let veiled = veils.into_iter().rev().map(|veil| Layer { veil: Some(veil), ..Layer::default() });
        let layers = std::iter::once(Layer::default()).chain(veiled).collect();
        Ok(Copy { name, file, key, layers })
    }

    /// Seals everything that `plain` gives into each copy. Returns the size of the body.
    fn write(&self, plain: &mut (dyn Read + Send), copies: &[Copy], pad: Pad) -> Result<u64, SendError> {
        let mut pieces = Pieces { plain, ahead: None, count: 0, len: 0, pad };
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
        self.batch.wrote_body(copy.file, &copy.name);
        let mut names: Vec<BodyName> = copy.layers.into_iter().map(|layer| layer.name(size)).collect();
        let root = names.remove(0).root;
        names.reverse();
        let entry = LetterBody { root, size, key: copy.key, len, codec };
        PackedBody { name: copy.name, entry, links: names }
    }
}

fn failed(cause: io::Error, attempt: &'static str) -> SendError {
    match cause.downcast::<SendError>() {
        Ok(inner) => inner,
        Err(cause) => SendError::Input { path: "payload".into(), attempt, cause },
    }
}

impl Copy {
    /// Seals a block in place, hashes it, layer by layer, and writes it where it belongs.
    fn seal(&self, block: Block, buffer: &mut [u8]) -> Result<(), SendError> {
        let count = block.len.div_ceil(CHUNK_LEN) as u64;
        for (number, chunk) in (0..).zip(buffer[..block.len].chunks_mut(CHUNK_LEN)) {
            let is_last = block.is_last && number + 1 == count;
            self.key.seal_chunk(block.first + number, is_last, chunk).expect("pieces are cut to the format's measure");
        }
        let (bytes, offset) = (&mut buffer[..block.len], block.first * CHUNK_LEN as u64);
        for layer in &self.layers {
            if let Some(veil) = &layer.veil {
                veil.apply(offset, bytes);
            }
            layer.leaves.lock().unwrap_or_else(PoisonError::into_inner).push((block.first, leaves(bytes)));
        }
        Ok(self.file.write_at(bytes, offset)?)
    }
}

/// What of a payload goes into one body.
#[derive(Clone, Copy)]
struct Cut {
    /// So much at the most.
    most: u64,
    pad: Pad,
}

impl Cut {
    /// That of body `number` of a payload of this length, if it is known. All bodies of an onion have one size.
    fn new(options: &Options, len: Option<u64>, number: usize) -> Cut {
        if options.onion.is_none() {
            return Cut { most: PLAIN_MOST, pad: if options.pad { Pad::Padme } else { Pad::No } };
        }
        let most =
            len.map_or(ONION_LEN, |len| len.div_ceil(ONION_BODIES).next_power_of_two().clamp(ONION_LEAST, PLAIN_MOST));
        // One that is alone need not be as large as the first of many.
        let least = if number == 0 { ONION_LEAST } else { most };
        Cut { most, pad: Pad::PowerOfTwo { least } }
    }
}

/// What a body is filled up to.
#[derive(Clone, Copy)]
enum Pad {
    No,
    Padme,
    /// The next power of two, but no less than this one.
    PowerOfTwo {
        least: u64,
    },
}

impl Pad {
    /// What `len` bytes are filled up to. Every length from `len` up to that is filled up to the same.
    fn up(self, len: u64) -> u64 {
        match self {
            Pad::No => len,
            Pad::Padme => padme(len),
            Pad::PowerOfTwo { least } => len.next_power_of_two().max(least),
        }
    }
}

/// A range of a payload.
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
    pad: Pad,
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

    /// How many zeros of those that are still missing fit into `room`.
    fn padding(&self, unread: u64, room: &[u8]) -> usize {
        let so_far = self.len + unread;
        usize::try_from(self.pad.up(so_far) - so_far).unwrap_or(usize::MAX).min(room.len())
    }
}
