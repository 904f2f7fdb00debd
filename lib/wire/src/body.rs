//! Bodies: a payload, or a range of it, in chunks that are each sealed and together named by the root of a tree
//! (format.md, section 5). Whoever has no key checks size and root; order, completeness and origin of the plaintext
//! hang on the key's holder checking each chunk's tag and flag, and the root.

use std::fmt;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_LEN};
use crate::cbor;
use crate::hash::{Digest, Label, hash};
use crate::id::Root;

/// Bytes of plaintext in every chunk but the last.
pub const PIECE_LEN: usize = 65_536;
/// Bytes of every chunk but the last.
pub const CHUNK_LEN: usize = PIECE_LEN + TAG_LEN;
/// Most chunks of a body.
pub const CHUNKS_MOST: u64 = 16_384;
/// Most plaintext of a body, 1 GiB.
pub const PLAIN_MOST: u64 = CHUNKS_MOST * PIECE_LEN as u64;

/// Why a body, or a chunk of it, is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// No body has this size.
    #[error("no body has {0} bytes")]
    Size(u64),
    /// The chunk cannot stand there with that length.
    #[error("chunk {index} cannot have {len} bytes")]
    Length {
        /// Place of the chunk, from 0.
        index: u64,
        /// Its length with the tag.
        len: usize,
    },
    /// The tag does not fit.
    #[error("chunk {0} was altered, stands in the wrong place, or belongs to another key")]
    Chunk(u64),
}

/// How many chunks a body of `size` bytes has. Refuses sizes that no body has.
pub fn chunk_count(size: u64) -> Result<u64, BodyError> {
    let count = size.div_ceil(CHUNK_LEN as u64);
    let last = size - count.saturating_sub(1) * CHUNK_LEN as u64;
    let least = if count == 1 { TAG_LEN } else { TAG_LEN + 1 };
    if (1..=CHUNKS_MOST).contains(&count) && last >= least as u64 { Ok(count) } else { Err(BodyError::Size(size)) }
}

/// Size of the body of `plain_len` bytes of plaintext, which is at most [`PLAIN_MOST`].
pub fn body_len(plain_len: u64) -> u64 {
    plain_len + plain_len.div_ceil(PIECE_LEN as u64).max(1) * TAG_LEN as u64
}

/// Bytes of plaintext in a body of `size` bytes. Refuses sizes that no body has.
pub fn plain_len(size: u64) -> Result<u64, BodyError> {
    Ok(size - chunk_count(size)? * TAG_LEN as u64)
}

/// The key of one body: random, used for that body only. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct BodyKey(Zeroizing<[u8; 32]>);

impl BodyKey {
    /// A key from 32 bytes of good randomness.
    pub fn from_random(bytes: [u8; 32]) -> BodyKey {
        BodyKey(Zeroizing::new(bytes))
    }

    /// Its bytes, for who must show or compare them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals the piece at place `index` in `buf`: the piece, then 16 bytes that the tag is written over. A piece may
    /// be sealed at its place once: another piece there under the same key would give both away.
    pub fn seal_chunk(&self, index: u64, last: bool, buf: &mut [u8]) -> Result<(), BodyError> {
        check_chunk(index, last, buf.len())?;
        aead::seal(&self.0, &nonce(index, last), &[], buf);
        Ok(())
    }

    /// Opens the chunk at place `index` in `buf`, and returns the piece in it. On refusal nothing of it is there.
    pub fn open_chunk<'a>(&self, index: u64, last: bool, buf: &'a mut [u8]) -> Result<&'a mut [u8], BodyError> {
        check_chunk(index, last, buf.len())?;
        aead::open(&self.0, &nonce(index, last), &[], buf).map_err(|_| BodyError::Chunk(index))
    }
}

impl fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyKey")
    }
}

impl Serialize for BodyKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        cbor::fixed::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for BodyKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<BodyKey, D::Error> {
        cbor::fixed::deserialize(d).map(BodyKey::from_random)
    }
}

/// Every chunk is full but the last, which is empty only if it is the first too.
fn check_chunk(index: u64, last: bool, len: usize) -> Result<(), BodyError> {
    let least = if index == 0 { TAG_LEN } else { TAG_LEN + 1 };
    let fits = if last { (least..=CHUNK_LEN).contains(&len) } else { len == CHUNK_LEN };
    if fits && index < CHUNKS_MOST { Ok(()) } else { Err(BodyError::Length { index, len }) }
}

/// STREAM: the place as 11 bytes, then whether it is the last.
fn nonce(index: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&index.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

/// The leaves of consecutive chunks, [`CHUNK_LEN`] bytes each, the last one may be shorter. Best with four or more at
/// once; chunks of one body may be hashed in several calls.
pub fn leaves(chunks: &[u8]) -> Vec<Digest> {
    let mut params = Params::new();
    params.hash_length(32).personal(&Label::Leaf.padded());
    let mut jobs: Vec<_> = chunks.chunks(CHUNK_LEN).map(|chunk| HashManyJob::new(&params, chunk)).collect();
    hash_many(&mut jobs);
    jobs.iter().map(|job| job.to_hash().as_bytes().try_into().expect("asked for 32 bytes")).collect()
}

/// The name of a body of `size` bytes with these leaves, of which there is at least one.
pub fn root(size: u64, leaves: &[Digest]) -> Root {
    Root::from_bytes(hash(Label::Root, &[&size.to_be_bytes(), &top(leaves)]))
}

/// Joins neighbours, level by level; who has no neighbour goes up as it is. That makes each left subtree the largest
/// power of two.
fn top(leaves: &[Digest]) -> Digest {
    assert!(!leaves.is_empty(), "a body has at least one chunk");
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).map(join).collect();
    }
    level[0]
}

fn join(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => hash(Label::Join, &[left, right]),
        alone => alone[0],
    }
}
