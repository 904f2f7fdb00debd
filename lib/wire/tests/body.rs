//! Bodies: chunks in their order and number, and the tree that names them.

use mb_wire::body::{
    BodyError, BodyKey, CHUNK_LEN, PIECE_LEN, PLAIN_MOST, body_len, chunk_count, leaves, plain_len, root,
};
use mb_wire::hash::{Digest, Label, hash};
use mb_wire::id::Root;
use mb_wire::size::{class, is_class, padme};
use proptest::prelude::*;

fn key() -> BodyKey {
    BodyKey::from_random([5; 32])
}

/// The chunks of a plaintext.
fn seal(plain: &[u8]) -> Vec<Vec<u8>> {
    let count = chunk_count(body_len(plain.len() as u64)).unwrap();
    let mut pieces: Vec<&[u8]> = plain.chunks(PIECE_LEN).collect();
    pieces.resize(count as usize, &[]);
    let seal = |(index, piece): (usize, &&[u8])| {
        let mut buf = [piece, [0; 16].as_slice()].concat();
        key().seal_chunk(index as u64, index as u64 + 1 == count, &mut buf).unwrap();
        buf
    };
    pieces.iter().enumerate().map(seal).collect()
}

/// As a reader does: size, then root, then each chunk.
fn read(name: Root, size: u64, file: &[u8]) -> Result<Vec<u8>, String> {
    let count = chunk_count(size).map_err(|e| e.to_string())?;
    if file.len() as u64 != size || root(size, &leaves(file)) != name {
        return Err("root".into());
    }
    open(count, file).map_err(|e| e.to_string())
}

fn open(count: u64, file: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut plain = Vec::new();
    for (index, chunk) in (0..).zip(file.chunks(CHUNK_LEN)) {
        plain.extend_from_slice(key().open_chunk(index, index + 1 == count, &mut chunk.to_vec())?);
    }
    Ok(plain)
}

fn name(file: &[u8]) -> (Root, u64) {
    let size = file.len() as u64;
    (root(size, &leaves(file)), size)
}

fn sample(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn a_body_comes_out_as_it_went_in() {
    for len in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let file = seal(&sample(len)).concat();
        assert_eq!(file.len() as u64, body_len(len as u64));
        let (name, size) = name(&file);
        assert_eq!(plain_len(size), Ok(len as u64));
        assert_eq!(read(name, size, &file).unwrap(), sample(len));
    }
}

/// All sequences of one to four of the numbers 0 to 3.
fn picks() -> impl Iterator<Item = Vec<usize>> {
    (1..=4_u32).flat_map(|len| {
        (0..4_usize.pow(len)).map(move |number| (0..len).map(|place| number / 4_usize.pow(place) % 4).collect())
    })
}

/// Every way to take up to four chunks out of four, with the last one short and with it full: only the right one is
/// the body, even for a reader who was given another root.
///
/// Threat: 9.
#[test]
fn no_chunk_is_swapped_dropped_or_doubled() {
    for len in [3 * PIECE_LEN + 10, 4 * PIECE_LEN] {
        let chunks = seal(&sample(len));
        let leaf: Vec<Digest> = chunks.iter().flat_map(|chunk| leaves(chunk)).collect();
        let size = body_len(len as u64);
        let name = root(size, &leaf);
        for picked in picks() {
            let file: Vec<u8> = picked.iter().flat_map(|&n| chunks[n].clone()).collect();
            let leaves: Vec<Digest> = picked.iter().map(|&n| leaf[n]).collect();
            let right = picked == [0, 1, 2, 3];
            assert_eq!(file.len() as u64 == size && root(size, &leaves) == name, right);
            let opened = chunk_count(file.len() as u64).and_then(|count| open(count, &file));
            assert_eq!(opened.is_ok(), right, "{picked:?}");
        }
    }
}

/// Threat: 9.
#[test]
fn no_cut_is_taken_for_the_end() {
    let file = seal(&sample(2 * PIECE_LEN + 40)).concat();
    let (name, size) = name(&file);
    let edges = [0, CHUNK_LEN, 2 * CHUNK_LEN, file.len()];
    for cut in edges.iter().flat_map(|edge| edge.saturating_sub(20)..=edge + 20).filter(|&cut| cut < file.len()) {
        let file = &file[..cut];
        assert!(read(name, size, file).is_err());
        assert!(chunk_count(cut as u64).and_then(|count| open(count, file)).is_err(), "cut at {cut}");
    }
}

/// Threat: 8.
#[test]
fn every_flipped_bit_of_a_chunk_is_refused() {
    let mut file = seal(b"a small payload").concat();
    let (name, size) = name(&file);
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(read(name, size, &file).is_err() && open(1, &file).is_err());
        file[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_chunk_of_another_body_is_refused() {
    let mut chunk = seal(b"payload").concat();
    let refused = BodyKey::from_random([6; 32]).open_chunk(0, true, &mut chunk).map(|_| ());
    assert_eq!(refused, Err(BodyError::Chunk(0)));
}

#[test]
fn sizes_that_no_body_has_are_refused() {
    let chunk = CHUNK_LEN as u64;
    let good = [16, 17, chunk, chunk + 17, 2 * chunk, body_len(PLAIN_MOST)];
    let bad = [0, 1, 15, chunk + 1, chunk + 16, 2 * chunk + 16, body_len(PLAIN_MOST) + 1, 1 << 53, u64::MAX];
    assert!(good.iter().all(|&size| chunk_count(size).is_ok()));
    assert!(bad.iter().all(|&size| chunk_count(size) == Err(BodyError::Size(size))));
    assert_eq!(chunk_count(body_len(PLAIN_MOST)), Ok(16_384));
}

#[test]
fn chunks_of_the_wrong_length_are_not_sealed() {
    let seal = |index, last, len| key().seal_chunk(index, last, &mut vec![0; len]).is_ok();
    assert!(seal(0, true, 16) && seal(0, false, CHUNK_LEN) && seal(16_383, true, 17));
    assert!(!seal(1, true, 16), "an empty chunk behind others");
    assert!(!seal(0, true, 15) && !seal(0, true, CHUNK_LEN + 1));
    assert!(!seal(0, false, CHUNK_LEN - 1) && !seal(16_384, true, 17));
}

/// The definition of format.md, word for word.
fn naive_top(leaves: &[Digest]) -> Digest {
    match leaves.len() {
        1 => leaves[0],
        n => {
            let k = (0..).map(|e| 1 << e).take_while(|&k| k < n).last().unwrap();
            hash(Label::Join, &[&naive_top(&leaves[..k]), &naive_top(&leaves[k..])])
        }
    }
}

#[test]
fn the_tree_is_the_one_defined() {
    let leaves: Vec<Digest> = (0..300_u32).map(|i| hash(Label::Leaf, &[&i.to_be_bytes()])).collect();
    for count in (1..70).chain([127, 128, 129, 255, 256, 257, 300]) {
        let expected = hash(Label::Root, &[&99_u64.to_be_bytes(), &naive_top(&leaves[..count])]);
        assert_eq!(root(99, &leaves[..count]), Root::from_bytes(expected), "{count} leaves");
    }
}

#[test]
fn leaves_hashed_together_are_the_leaves() {
    let data = sample(6 * CHUNK_LEN + 100);
    let one_by_one: Vec<Digest> = data.chunks(CHUNK_LEN).map(|chunk| hash(Label::Leaf, &[chunk])).collect();
    assert_eq!(leaves(&data), one_by_one);
    assert_eq!(leaves(&data[..30]), [hash(Label::Leaf, &[&data[..30]])]);
}

#[test]
fn padme_is_as_published() {
    let known = [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (8, 8),
        (9, 10),
        (15, 16),
        (17, 18),
        (100, 104),
        (1_000, 1_024),
        (4_097, 4_352),
        (5_000, 5_120),
        (65_535, 65_536),
        (65_537, 67_584),
        (1_000_000, 1_015_808),
        (1 << 40, 1 << 40),
    ];
    for (len, padded) in known {
        assert_eq!(padme(len), padded, "{len}");
    }
    for (len, padded) in [(0, 512), (512, 512), (513, 1024), (2049, 4096), (4096, 4096), (4097, 4352)] {
        assert_eq!(class(len), padded);
    }
    assert!(is_class(262_144) && !is_class(262_145) && !is_class(270_336) && !is_class(0) && !is_class(600));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn padme_costs_at_most_an_eighth_and_is_stable(len in 1_u64..1 << 62) {
        let padded = padme(len);
        prop_assert!(padded >= len && padme(padded) == padded && (padded - len) as f64 <= 0.12 * len as f64);
        let (exponent, mask) = (len.ilog2() as f64, padded - 1);
        prop_assert!(mask.trailing_ones() as f64 + 1.0 >= exponent - exponent.log2().floor() - 1.0 || len < 4);
    }

    #[test]
    fn size_and_plaintext_length_belong_together(plain in 0..=PLAIN_MOST) {
        prop_assert_eq!(plain_len(body_len(plain)), Ok(plain));
    }

    #[test]
    fn arbitrary_bytes_are_no_chunk(index: u64, last: bool, mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(key().open_chunk(index, last, &mut bytes).is_err());
        prop_assert!(chunk_count(index).is_ok() == plain_len(index).is_ok());
    }
}
