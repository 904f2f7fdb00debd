//! Every target over its corpus, and over mutations of it: what the fuzzer found once stays found, without the fuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mb_fuzz_targets::{ALL, Target};

/// Mutations of each target's corpus. Cheap targets could take more; the fuzzer does.
const MUTATIONS: u64 = 3_000;
/// Longest input that is made, in bytes.
const LEN_MOST: usize = 4_096;

macro_rules! replay {
    ($($name:ident)+) => {
        $(#[test] fn $name() { replay(stringify!($name), mb_fuzz_targets::$name); })+

        /// A target that nobody replays would be found broken by nobody.
        #[test]
        fn every_target_is_replayed() {
            let all: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(all, [$(stringify!($name)),+]);
            let mut built: Vec<_> = names_in(&fuzz().join("fuzz_targets"));
            built.sort();
            let mut sorted: Vec<_> = all.iter().map(|name| format!("{name}.rs")).collect();
            sorted.sort();
            assert_eq!(built, sorted);
        }
    };
}

replay! {
    text card cbor item prefix envelope inner letter area_card area_message body payload folder unpack key_file sealed exchange_key config
    node_file names seen once state safe_path handshake message exchange
}

fn fuzz() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("targets lies in fuzz")
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn replay(name: &str, target: Target) {
    let dir = fuzz().join("corpus").join(name);
    let mut files = names_in(&dir);
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(dir.join(file)).unwrap()).collect();
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for (file, input) in files.iter().zip(&corpus) {
        try_one(target, input, &format!("fuzz/corpus/{name}/{file}"));
    }
    let mut dice = Dice(1);
    for number in 0..MUTATIONS {
        let input = dice.mutate(&corpus);
        try_one(target, &input, &format!("{name}, mutation {number}"));
    }
}

fn try_one(target: Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!("{what}: {}", input.escape_ascii());
    }
}

/// The same numbers each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of the corpus, changed in one to six places.
    fn mutate(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        input.truncate(LEN_MOST);
        for _ in 0..1 + self.below(6) {
            self.change(&mut input, corpus);
        }
        input.truncate(LEN_MOST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        const TELLING: [u8; 12] = [0, 1, 0x17, 0x18, 0x3b, 0x5b, 0x7f, 0x80, 0x9b, 0xbf, 0xf6, 0xff];
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() - at + 1).min(64);
        match self.below(6) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = TELLING[self.below(TELLING.len())],
            2 => input.insert(at, self.next() as u8),
            3 => drop(input.drain(at..end)),
            4 => {
                let part = input[at..end].to_vec();
                let place = self.below(input.len() + 1);
                input.splice(place..place, part);
            }
            _ => {
                let other = &corpus[self.below(corpus.len())];
                input.truncate(at);
                input.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
        }
    }
}
