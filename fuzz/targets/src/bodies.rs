//! Bodies: numbers, single chunks, leaves.

use mb_wire::body::{
    BodyKey, CHUNK_LEN, CHUNKS_MOST, PIECE_LEN, PLAIN_MOST, body_len, chunk_count, leaves, plain_len, root,
};

use crate::input::Input;

const TAG_LEN: usize = CHUNK_LEN - PIECE_LEN;

/// A size, a place, and a chunk, which no key opens; the same bytes as a piece.
pub fn body(data: &[u8]) {
    let mut input = Input(data);
    size(u64::from_le_bytes(input.array()));
    let (flags, repeats) = (input.byte(), input.byte());
    let index = u64::from(u32::from_le_bytes(input.array())) << (flags >> 4);
    // Long enough for more than one chunk.
    let bytes = input.0.repeat(1 + usize::from(repeats) * usize::from(flags & 2));
    let key = BodyKey::from_random([5; 32]);
    assert!(key.open_chunk(index, flags & 1 == 1, &mut bytes.clone()).is_err(), "made up, and opens");
    piece(&key, index, flags & 1 == 1, &bytes);
    tree(&bytes);
}

/// What is the size of a body has a length of plaintext that has this size, and the other way round.
fn size(size: u64) {
    match plain_len(size) {
        Ok(plain) => {
            assert!(plain <= PLAIN_MOST && body_len(plain) == size);
            assert!(chunk_count(size).is_ok_and(|count| (1..=CHUNKS_MOST).contains(&count)));
        }
        Err(_) => assert!(chunk_count(size).is_err()),
    }
    let plain = size % (PLAIN_MOST + 1);
    assert_eq!(plain_len(body_len(plain)), Ok(plain));
}

fn piece(key: &BodyKey, index: u64, last: bool, piece: &[u8]) {
    let mut buf = [piece, &[0; TAG_LEN]].concat();
    if key.seal_chunk(index, last, &mut buf).is_err() {
        assert!(index >= CHUNKS_MOST || piece.len() > PIECE_LEN || !last || (index > 0 && piece.is_empty()));
        return;
    }
    assert!(key.open_chunk(index, !last, &mut buf.clone()).is_err());
    assert!(key.open_chunk(index ^ 1, last, &mut buf.clone()).is_err());
    assert!(key.open_chunk(index, last, &mut buf).is_ok_and(|opened| opened == piece));
}

/// Hashed at once or chunk by chunk, it is the same tree.
fn tree(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let whole = leaves(bytes);
    let single: Vec<_> = bytes.chunks(CHUNK_LEN).flat_map(leaves).collect();
    assert_eq!(whole, single);
    let size = bytes.len() as u64;
    assert_ne!(root(size, &whole), root(size + 1, &whole));
}
