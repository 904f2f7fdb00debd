//! Bodies with an honest key, name and seal around any plaintext, read as a tosser reads them.

use mb_node::toss::payload::{Bodies, PayloadError};
use mb_spool::durable::memory::{Options, World};
use mb_spool::durable::{DirRef, FileRef};
use mb_wire::body::{BodyKey, CHUNK_LEN, PIECE_LEN, body_len, leaves, root};
use mb_wire::letter::{Codec, FileMeta, Form, Kind, Letter, LetterBody, Wants};

use crate::hand::{ALICE, BOB};
use crate::input::Input;

/// Most that a body here may claim to unpack to: enough for several windows, and quickly done.
const RANGE_MOST: usize = 1 << 20;

/// One to three bodies, each with flags, length of its range, length of its plaintext and zeros behind; then the
/// plaintexts. Read both ways, as a file and as a stream, it comes to the same.
pub fn payload(data: &[u8]) {
    let mut input = Input(data);
    let shape = input.byte();
    let plans: Vec<Plan> = (0..=shape % 3).map(|_| Plan::take(&mut input)).collect();
    let world = World::new(1);
    let dir = world.file_system(Options::default());
    let mut bodies = Vec::new();
    let mut files = Vec::new();
    let mut expected = Some(Vec::new());
    for (number, plan) in plans.iter().enumerate() {
        let Some(made) = plan.make(&mut input, &dir, number) else { return };
        bodies.push(made.body);
        files.push(made.file);
        expected = expected.zip(made.expected).map(|(all, range)| [all, range].concat());
    }
    let letter = letter(bodies);
    let threads = 1 + usize::from(shape >> 7);
    check(&Bodies { letter: &letter, files, veils: None, threads }, &dir, expected, plans.iter().all(Plan::is_plain));
}

fn check(bodies: &Bodies, dir: &DirRef, expected: Option<Vec<u8>>, is_known: bool) {
    let mut stream = Vec::new();
    let read = bodies.read(&mut |bytes| {
        stream.extend_from_slice(bytes);
        Ok(())
    });
    let target = dir.create("target".as_ref(), 0o600).expect("the name is free");
    let written = bodies.write_plain(&target);
    assert_eq!(read.is_ok(), written.is_ok());
    assert!(!matches!(written, Err(PayloadError::Disk(_))));
    assert!(stream.len() as u64 <= bodies.letter.payload_len());
    if is_known {
        assert_eq!(written.is_ok(), expected.is_some());
    }
    if written.is_ok() {
        let content = content(&target);
        assert!(content == stream && content.len() as u64 == bodies.letter.payload_len());
        assert!(!is_known || expected == Some(content));
    }
}

fn content(file: &FileRef) -> Vec<u8> {
    let len = file.stat().expect("it is open").len as usize;
    let mut content = vec![0; len];
    assert_eq!(file.read_at(&mut content, 0).expect("it is open"), len);
    content
}

/// How one body is made.
struct Plan {
    flags: u8,
    range: usize,
    plain: usize,
    zeros: usize,
}

struct Made {
    body: LetterBody,
    file: FileRef,
    /// What must come out; known of a plain one only.
    expected: Option<Vec<u8>>,
}

impl Plan {
    fn take(input: &mut Input) -> Plan {
        let flags = input.byte();
        Plan { flags, range: input.length() % RANGE_MOST, plain: input.short(), zeros: input.length() % (1 << 18) }
    }

    fn is_plain(&self) -> bool {
        self.flags & 1 == 0
    }

    /// The body; none if a letter with it would be refused.
    fn make(&self, input: &mut Input, dir: &DirRef, number: usize) -> Option<Made> {
        let mut plain = input.take(self.plain).to_vec();
        plain.resize(plain.len() + self.zeros, 0);
        let least = if self.is_plain() { self.range } else { 1 };
        if self.range == 0 || plain.len() < least {
            return None;
        }
        let range = plain.get(..self.range).map(<[u8]>::to_vec);
        let is_padded = plain.iter().skip(self.range).all(|byte| *byte == 0);
        let expected = range.filter(|_| is_padded && !self.is_damaged());
        let codec = if self.is_plain() { Codec::Plain } else { Codec::Zstd };
        let key = BodyKey::from_random([number as u8; 32]);
        let (size, mut bytes) = (body_len(plain.len() as u64), seal(&key, &plain));
        let root = root(size, &leaves(&bytes));
        if self.is_damaged() {
            let at = self.zeros % bytes.len();
            bytes[at] ^= self.flags;
        }
        let file = dir.create(number.to_string().as_ref(), 0o600).expect("the name is free");
        file.write_at(&bytes, 0).expect("there is room");
        Some(Made { body: LetterBody { root, size, key, len: self.range as u64, codec }, file, expected })
    }

    fn is_damaged(&self) -> bool {
        self.flags >= 0xf0
    }
}

fn seal(key: &BodyKey, plain: &[u8]) -> Vec<u8> {
    let count = plain.len().div_ceil(PIECE_LEN).max(1);
    let mut out = Vec::new();
    for index in 0..count {
        let piece = &plain[index * PIECE_LEN..plain.len().min((index + 1) * PIECE_LEN)];
        let mut chunk = [piece, &[0; CHUNK_LEN - PIECE_LEN]].concat();
        key.seal_chunk(index as u64, index + 1 == count, &mut chunk).expect("a piece that may stand there");
        out.extend(chunk);
    }
    out
}

fn letter(bodies: Vec<LetterBody>) -> Letter {
    Letter {
        to: BOB.id().into(),
        end: 20_090,
        kind: Kind::File(FileMeta { re: None, form: Form::Plain, mode: 0o644, path: b"file".to_vec(), mtime: (0, 0) }),
        salt: [0; 16],
        time: 0,
        author: ALICE.id(),
        bodies,
        forwarded: None,
        reply: None,
        wants: Wants::default(),
        inline: None,
    }
}
