//! `body_…`, and the tables of sizes and trees.

use mb_wire::body::{CHUNK_LEN, PIECE_LEN, body_len, leaves, root};
use mb_wire::hash::{Label, hash};
use mb_wire::id::Root;
use mb_wire::size::{class, padme};
use serde_json::{Value as Json, json};

use super::build::{Vector, bad, good, hex};
use super::envelopes::pattern;

pub fn all() -> Vec<Vector> {
    [tables(), goods(), small(), large()].into_iter().flatten().collect()
}

const KEY: [u8; 32] = [0x6b; 32];

fn tables() -> Vec<Vector> {
    let lens =
        [0, 1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 33, 100, 511, 512, 513, 1000, 1024, 1025, 2048, 2049, 4095, 4096];
    let more = [4097, 4352, 4353, 5000, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1 << 30, (1 << 30) + 1];
    let both = || lens.into_iter().chain(more);
    let padmes: Vec<_> = both().chain([(1 << 52) + 1, (1 << 53) - 1]).map(|len| [len, padme(len)]).collect();
    let classes: Vec<_> = both().filter(|&len| len <= 262_144).map(|len| [len, class(len)]).collect();
    let leaf = |number: u64| hash(Label::Leaf, &[&number.to_be_bytes()]);
    let trees = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17].map(|count| {
        let leaves: Vec<_> = (0..count).map(leaf).collect();
        let size = count * CHUNK_LEN as u64;
        json!({"size": size, "root": root(size, &leaves).to_string(), "leaves": leaves.iter().map(hex).collect::<Vec<_>>()})
    });
    vec![
        good(
            "size_classes",
            "size",
            "sizes and what they are filled up to",
            json!({"padme": padmes, "class": classes}),
        ),
        good("tree_shapes", "tree", "roots of trees of up to 17 leaves", json!({"trees": trees})),
    ]
}

/// A chunk as a vector describes it.
#[derive(Clone, Copy)]
struct Chunk {
    index: u64,
    last: bool,
    start: usize,
    len: usize,
    flip: Option<usize>,
}

impl Chunk {
    fn json(&self) -> Json {
        let mut out = json!({"index": self.index, "last": self.last, "start": self.start, "len": self.len});
        if let Some(at) = self.flip {
            out["flip"] = json!(at);
        }
        out
    }

    /// By hand: the library seals no chunk that does not fit.
    fn seal(&self) -> Vec<u8> {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.index.to_be_bytes());
        nonce[11] = u8::from(self.last);
        let plain = &pattern(self.start + self.len)[self.start..];
        let mut out = super::build::aead_seal(&KEY, nonce, &[], plain);
        self.flip.iter().for_each(|&at| out[at] ^= 1);
        out
    }
}

/// The chunks that the pattern of `len` bytes has.
fn chunks(len: usize) -> Vec<Chunk> {
    let count = len.div_ceil(PIECE_LEN).max(1);
    let chunk = |index| {
        let start = index * PIECE_LEN;
        Chunk { index: index as u64, last: index + 1 == count, start, len: PIECE_LEN.min(len - start), flip: None }
    };
    (0..count).map(chunk).collect()
}

fn file(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(Chunk::seal).collect()
}

fn name(file: &[u8]) -> Root {
    root(file.len() as u64, &leaves(file))
}

fn input(root: Root, size: u64, body: Json) -> Json {
    let mut fields = json!({"root": root.to_string(), "size": size, "key": hex(KEY)});
    fields
        .as_object_mut()
        .into_iter()
        .for_each(|fields| fields.extend(body.as_object().cloned().into_iter().flatten()));
    fields
}

fn described(chunks: &[Chunk]) -> Json {
    json!({"chunks": chunks.iter().map(Chunk::json).collect::<Vec<_>>()})
}

fn goods() -> Vec<Vector> {
    let shown = |(name_, what, len): (&str, &str, usize)| {
        let file = file(&chunks(len));
        let body = json!({"body": hex(&file), "plain": hex(pattern(len)), "plain_len": len});
        good(name_, "body", what, input(name(&file), file.len() as u64, body))
    };
    let long = |(name_, what, len): (&str, &str, usize)| {
        let chunks = chunks(len);
        let file = file(&chunks);
        let mut body = described(&chunks);
        body["plain_len"] = json!(len);
        good(name_, "body", what, input(name(&file), file.len() as u64, body))
    };
    let small =
        [("body_empty", "an empty body", 0), ("body_one_byte", "one byte", 1), ("body_small", "100 bytes", 100)];
    let large = [
        ("body_one_piece", "one full chunk", PIECE_LEN),
        ("body_one_piece_and_a_byte", "a full chunk and one byte", PIECE_LEN + 1),
        ("body_two_full", "two full chunks", 2 * PIECE_LEN),
        ("body_four", "four chunks, the last one short", 3 * PIECE_LEN + 1000),
        ("body_five", "five chunks: an uneven tree", 4 * PIECE_LEN + 7),
    ];
    small.into_iter().map(shown).chain(large.into_iter().map(long)).collect()
}

fn small() -> Vec<Vector> {
    let whole = file(&chunks(100));
    let (size, root) = (whole.len() as u64, name(&whole));
    let shown = |name_, what, reason, root, size, file: &[u8]| {
        bad(name_, "body", what, reason, input(root, size, json!({"body": hex(file)})))
    };
    let mut flipped = whole.clone();
    flipped[50] ^= 1;
    let mut tag_flipped = whole.clone();
    tag_flipped[115] ^= 0x80;
    let longer = [whole.as_slice(), &[0]].concat();
    let mut other_key = input(root, size, json!({"body": hex(&whole)}));
    other_key["key"] = json!(hex([0x6c; 32]));
    let no_size = mb_wire::body::root(size, &[hash(Label::Leaf, &[&whole[1..]])]);
    let no_label = mb_wire::body::root(size, &[hash(Label::Join, &[&whole])]);
    vec![
        shown("body_root_other", "another root", "root", Root::from_bytes([1; 32]), size, &whole),
        shown(
            "body_root_other_size",
            "the root of another size over the same chunk",
            "root",
            other_size(&whole),
            size,
            &whole,
        ),
        shown("body_root_other_leaf", "the root over a chunk without its first byte", "root", no_size, size, &whole),
        shown("body_root_other_label", "a leaf hashed as if it were a join", "root", no_label, size, &whole),
        shown("body_bit", "a bit altered", "root", root, size, &flipped),
        shown("body_bit_named", "a bit altered, and the root that fits", "altered", name(&flipped), size, &flipped),
        shown(
            "body_tag_bit_named",
            "a bit of the tag altered, and the root that fits",
            "altered",
            name(&tag_flipped),
            size,
            &tag_flipped,
        ),
        shown("body_short", "the last byte is missing", "length", root, size, &whole[..115]),
        shown("body_long", "a byte more", "length", root, size, &longer),
        shown(
            "body_long_named",
            "a byte more, with size and root that fit",
            "altered",
            name(&longer),
            size + 1,
            &longer,
        ),
        shown(
            "body_no_bytes",
            "nothing, with size and root that fit nothing",
            "no body has 0 bytes",
            name(&[0]),
            0,
            &[],
        ),
        shown("body_15_bytes", "too short for a tag", "no body has 15 bytes", name(&whole[..15]), 15, &whole[..15]),
        bad("body_key_other", "body", "another key", "altered", other_key),
    ]
}

fn other_size(whole: &[u8]) -> Root {
    root(whole.len() as u64 + 1, &leaves(whole))
}

fn large() -> Vec<Vector> {
    let len = 2 * PIECE_LEN + 1000;
    let right = chunks(len);
    let (size, root_of_right) = (body_len(len as u64), name(&file(&right)));
    let as_right = |name_, what, reason, picked: &[Chunk]| {
        bad(name_, "body", what, reason, input(root_of_right, size, described(picked)))
    };
    let named = |name_, what, reason, picked: &[Chunk]| {
        let file = file(picked);
        bad(name_, "body", what, reason, input(name(&file), file.len() as u64, described(picked)))
    };
    let [a, b, c] = right[..] else { panic!("three chunks") };
    let with = |chunk: Chunk, change: &dyn Fn(&mut Chunk)| {
        let mut chunk = chunk;
        change(&mut chunk);
        chunk
    };
    let full_last = with(b, &|b| b.last = true);
    let empty_last = Chunk { index: 2, last: true, start: 0, len: 0, flip: None };
    let mut cut = input(root_of_right, size, described(&right));
    cut["cut"] = json!(1);
    let mut cut_chunk = cut.clone();
    cut_chunk["cut"] = json!(1016);
    vec![
        as_right("body_swapped", "the first two chunks exchanged", "root", &[b, a, c]),
        as_right("body_first_lost", "the first chunk is missing", "length", &[b, c]),
        as_right("body_last_lost", "the last chunk is missing", "length", &[a, b]),
        as_right("body_doubled", "the first chunk twice", "length", &[a, a, b, c]),
        as_right("body_other_chunk", "the first chunk in the second's place", "root", &[a, a, c]),
        bad("body_cut", "body", "the last byte is missing", "length", cut),
        bad("body_cut_at_chunk", "body", "cut before the last chunk", "length", cut_chunk),
        named("body_swapped_named", "two chunks exchanged, and the root that fits", "altered", &[b, a, c]),
        named("body_first_lost_named", "the first chunk missing, and size and root that fit", "altered", &[b, c]),
        named("body_middle_lost_named", "the second chunk missing, and size and root that fit", "altered", &[a, c]),
        named("body_last_lost_named", "the last chunk missing, and size and root that fit", "altered", &[a, b]),
        named("body_doubled_named", "the first chunk twice, and size and root that fit", "altered", &[a, a, b, c]),
        named("body_behind_last_named", "a chunk behind the last", "altered", &[a, full_last, c]),
        named(
            "body_bit_in_middle_named",
            "a bit altered in the second chunk",
            "altered",
            &[a, with(b, &|b| b.flip = Some(7)), c],
        ),
        named("body_no_last_flag", "the last chunk without its flag", "altered", &[a, b, with(c, &|c| c.last = false)]),
        named(
            "body_early_last_flag",
            "the flag of the last chunk on the first",
            "altered",
            &[with(a, &|a| a.last = true), b, c],
        ),
        named(
            "body_counted_from_1",
            "chunks counted from 1",
            "altered",
            &[a, b, c].map(|x| with(x, &|x| x.index += 1)),
        ),
        named("body_empty_last", "an empty chunk behind full ones", "no body has", &[a, b, empty_last]),
        named(
            "body_short_middle",
            "a chunk in the middle that is not full",
            "altered",
            &[a, with(b, &|b| b.len -= 1), c],
        ),
        named(
            "body_one_byte_pieces",
            "two chunks of a byte each",
            "altered",
            &[with(a, &|a| a.len = 1), with(b, &|b| (b.len, b.last) = (1, true))],
        ),
    ]
}
