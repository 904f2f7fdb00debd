//! Envelopes and letters: what is sealed comes out, and nothing else does.

mod world;

use mb_wire::envelope::{Address, Content, EnvelopeError, Wrap, open, packet_id, read_prefix, wrap};
use mb_wire::key::ExchangeSecret;
use mb_wire::letter::{Codec, Kind, Letter, LetterError, SignedLetter};
use mb_wire::seal::SealError;
use proptest::prelude::*;
use world::{World, listed, node};

type Change = fn(&mut Letter);

/// Points of small order, all of them that the curve and its twist have, in their canonical and other spellings
/// (curve25519's author lists them at cr.yp.to/ecdh.html).
fn low_order_points() -> Vec<[u8; 32]> {
    let hex = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let bytes = |text: &&str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap();
    let mut points: Vec<[u8; 32]> = hex.iter().map(bytes).collect();
    let with_high_bit: Vec<_> = points.iter().map(|p| std::array::from_fn(|i| p[i] | u8::from(i == 31) << 7)).collect();
    points.extend(with_high_bit);
    points
}

#[test]
fn a_letter_comes_out_as_it_went_in() {
    let world = World::new();
    let letter = world.letter();
    let file = world.wrap(&letter).unwrap();
    let (id, read) = world.read(&file).unwrap();
    assert_eq!(read, letter);
    assert_eq!(id, letter.sign(&world.alice).id());
    assert_eq!(file.len(), 1024);
}

#[test]
fn wrapping_twice_gives_the_same_file() {
    let world = World::new();
    assert_eq!(world.wrap(&world.letter()), world.wrap(&world.letter()));
}

#[test]
fn a_rewrapped_letter_keeps_its_id() {
    let world = World::new();
    let letter = world.letter();
    let files = [15, 16].map(|hops| world.wrap_as(&letter, |w| w.hops = hops).unwrap());
    assert_ne!(packet_id(&files[0]), packet_id(&files[1]));
    assert_eq!(world.read(&files[0]).unwrap().0, world.read(&files[1]).unwrap().0);
}

/// Threat: 8.
#[test]
fn every_flipped_bit_is_refused() {
    let world = World::new();
    let mut file = world.wrap(&world.letter()).unwrap();
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(world.open(&file).is_err(), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(world.open(&file).is_ok());
}

/// Threat: 9.
#[test]
fn every_truncation_and_extension_is_refused() {
    let world = World::new();
    let file = world.wrap(&world.letter()).unwrap();
    for len in 0..file.len() {
        assert!(world.open(&file[..len]).is_err(), "cut to {len}");
    }
    for extra in [1, 512, 1024, 3072, 4096] {
        let mut longer = file.clone();
        longer.resize(file.len() + extra, 0);
        assert!(world.open(&longer).is_err(), "{extra} more");
    }
}

/// Whatever of the sealed things differs, the share differs: no key meets two contents.
#[test]
fn each_input_of_the_coins_changes_the_share() {
    let world = World::new();
    let share = |file: &[u8]| read_prefix(file).unwrap().share;
    let mut shares = vec![share(&world.wrap(&world.letter()).unwrap())];
    let letters: [Change; 8] = [
        |l| l.salt[15] ^= 1,
        |l| l.end += 1,
        |l| l.time += 1,
        |l| l.inline = Some(b"hellp".to_vec()),
        |l| (l.inline, l.bodies) = (None, vec![listed(1, 5)]),
        |l| (l.inline, l.bodies) = (None, vec![listed(2, 5)]),
        |l| (l.inline, l.bodies) = (None, vec![listed(2, 6)]),
        |l| {
            file(l).path = b"report.pdg".to_vec();
        },
    ];
    shares.extend(letters.map(|change| {
        let mut letter = world.letter();
        change(&mut letter);
        share(&world.wrap_as(&letter, |w| w.end = 20_000).unwrap())
    }));
    let wraps: [fn(&mut Wrap); 3] = [|w| w.end -= 1, |w| w.nice += 1, |w| w.hops -= 1];
    shares.extend(wraps.map(|change| share(&world.wrap_as(&world.letter(), change).unwrap())));
    shares.push(share_of_another_exchange_key(&world));
    shares.push(share_of_another_sender(&world));
    let count = shares.len();
    shares.sort();
    shares.dedup();
    assert_eq!(shares.len(), count);
}

fn share_of_another_exchange_key(world: &World) -> [u8; 32] {
    let other = Address { id: world.bob.id(), exchange: ExchangeSecret::from_random([9; 32]).public() };
    let content = Content::Letter(world.letter().sign(&world.alice));
    let wrapped = Wrap { to: &other, end: 20_000, nice: 96, hops: 16, bodies: &[], ask: false, content: &content };
    read_prefix(&wrap(&world.alice, &wrapped).unwrap()).unwrap().share
}

fn share_of_another_sender(world: &World) -> [u8; 32] {
    let content = Content::Letter(world.letter().sign(&world.alice));
    let to = world.bob_address();
    let wrapped = Wrap { to: &to, end: 20_000, nice: 96, hops: 16, bodies: &[], ask: false, content: &content };
    read_prefix(&wrap(&node(5), &wrapped).unwrap()).unwrap().share
}

/// Threat: 11.
#[test]
fn nothing_is_sealed_to_a_key_of_low_order() {
    let world = World::new();
    let content = Content::Letter(world.letter().sign(&world.alice));
    for exchange in low_order_points() {
        let to = Address { id: world.bob.id(), exchange };
        let wrapped = Wrap { to: &to, end: 20_000, nice: 96, hops: 16, bodies: &[], ask: false, content: &content };
        assert_eq!(wrap(&world.alice, &wrapped), Err(SealError::LowOrder.into()));
    }
}

/// Threat: 11.
#[test]
fn a_share_of_low_order_is_refused() {
    let world = World::new();
    let file = world.wrap(&world.letter()).unwrap();
    let share = read_prefix(&file).unwrap().share;
    let at = file.windows(32).position(|window| window == share).unwrap();
    for point in low_order_points() {
        let mut file = file.clone();
        file[at..at + 32].copy_from_slice(&point);
        assert_eq!(world.open(&file).err(), Some(SealError::LowOrder.into()));
    }
}

#[test]
fn only_the_reader_with_the_right_key_opens_it() {
    let world = World::new();
    let file = world.wrap(&world.letter()).unwrap();
    let other_key = ExchangeSecret::from_random([8; 32]);
    let opened = open(&file, world.bob.id(), |_| Some(&other_key));
    assert_eq!(opened.err(), Some(SealError::Commitment.into()));
    let opened = open(&file, world.alice.id(), |_| Some(&world.bob_exchange));
    assert_eq!(opened.err(), Some(EnvelopeError::To(world.bob.id())));
    let opened = open(&file, world.bob.id(), |_| None::<ExchangeSecret>);
    assert_eq!(opened.err(), Some(EnvelopeError::NoKey(world.bob_exchange.tag())));
}

/// Threat: 11.
#[test]
fn another_neighbours_key_does_not_verify_the_hop() {
    let world = World::new();
    let file = world.wrap(&world.letter()).unwrap();
    let refused = world.open(&file).unwrap().verify_hop(&world.bob.identity_key());
    assert_eq!(refused, Err(EnvelopeError::Key(world.alice.id())));
}

/// A letter to bob, sealed again by its reader to somebody else (surreptitious forwarding).
///
/// Threat: 11.
#[test]
fn a_letter_for_one_node_is_no_letter_for_another() {
    let world = World::new();
    let carol = ExchangeSecret::from_random([7; 32]);
    let to = Address { id: node(6).id(), exchange: carol.public() };
    let content = Content::Letter(world.letter().sign(&world.alice));
    let wrapped = Wrap { to: &to, end: 20_000, nice: 96, hops: 15, bodies: &[], ask: false, content: &content };
    assert_eq!(wrap(&world.bob, &wrapped), Err(LetterError::To(world.bob.id().into()).into()));
}

/// Threat: 11.
#[test]
fn a_letter_signed_by_another_is_refused() {
    let world = World::new();
    let forged = world.letter().sign(&node(5));
    let file = world.wrap(&world.letter()).unwrap();
    let refused = forged.verify(&world.alice.identity_key(), &read_prefix(&file).unwrap());
    assert_eq!(refused, Err(LetterError::Signature(world.alice.id())));
}

#[test]
fn no_letter_that_breaks_a_limit_is_wrapped() {
    let world = World::new();
    let cases: [(&str, Change); 9] = [
        ("must lie either", |l| l.inline = None),
        ("must lie either", |l| l.bodies = vec![listed(1, 5)]),
        ("32769 bytes of payload", |l| l.inline = Some(vec![0; 32_769])),
        ("time is out of range", |l| l.time = 1 << 53),
        ("body 0 of the letter", |l| (l.inline, l.bodies) = (None, vec![listed(1, 0)])),
        ("body 1 of the letter", |l| (l.inline, l.bodies) = (None, vec![listed(1, 5), too_short()])),
        ("mode is out of range", |l| file(l).mode = 0o1000),
        ("time of change is out of range", |l| file(l).mtime.1 = 1_000_000_000),
        ("\"..\" in it", |l| file(l).path = b"a/../b".to_vec()),
    ];
    for (words, change) in cases {
        let mut letter = world.letter();
        change(&mut letter);
        let error = world.wrap(&letter).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

fn file(letter: &mut Letter) -> &mut mb_wire::letter::FileMeta {
    match &mut letter.kind {
        Kind::File(file) => file,
        other => panic!("{other:?}"),
    }
}

fn too_short() -> mb_wire::letter::LetterBody {
    let mut body = listed(2, 100);
    body.len = 101;
    body
}

#[test]
fn no_wrapping_that_breaks_a_limit_is_made() {
    let world = World::new();
    let body = mb_wire::envelope::BodyName { root: listed(1, 5).root, size: 21 };
    let twice = [body, body];
    let refused = world.wrap_as(&world.letter(), |w| w.nice = 0);
    assert_eq!(refused, Err(EnvelopeError::Nice));
    for hops in [0, 17] {
        assert_eq!(world.wrap_as(&world.letter(), |w| w.hops = hops), Err(EnvelopeError::Hops(hops)));
    }
    let late = LetterError::End { letter: 20_000, frame: 20_001 };
    assert_eq!(world.wrap_as(&world.letter(), |w| w.end += 1), Err(late.into()));
    let mut letter = world.letter();
    (letter.inline, letter.bodies) = (None, vec![listed(1, 5), listed(1, 5)]);
    assert_eq!(world.wrap_as(&letter, |_| {}), Err(EnvelopeError::Twice(twice[0].root)));
    assert_eq!(world.wrap_as(&letter, |w| w.bodies = &[]), Err(LetterError::Bodies.into()));
    letter.bodies = (0..1025).map(|_| listed(1, 5)).collect();
    assert!(world.wrap_as(&letter, |_| {}).is_err());
}

#[test]
fn the_largest_letter_fits() {
    let world = World::new();
    let mut letter = world.letter();
    letter.inline = None;
    file(&mut letter).path = [b"x".repeat(255), b"/".to_vec()].concat().repeat(16)[..4095].to_vec();
    letter.bodies = (0..1024_u32).map(|n| numbered(n, 1 << 30)).collect();
    let wrapped = world.wrap(&letter).unwrap();
    assert_eq!(world.read(&wrapped).unwrap().1.payload_len(), 1 << 40);
}

fn numbered(number: u32, len: u64) -> mb_wire::letter::LetterBody {
    let mut bytes = [0xff; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    let mut body = listed(0, len);
    body.root = mb_wire::id::Root::from_bytes(bytes);
    body
}

#[test]
fn secrets_do_not_print() {
    let world = World::new();
    let mut letter = world.letter();
    (letter.inline, letter.bodies) = (None, vec![listed(0xab, 5)]);
    let signed: SignedLetter = letter.sign(&world.alice);
    let printed = format!(
        "{letter:?} {signed:?} {:?} {:?} {:?} {:?}",
        letter.bodies,
        world.alice,
        world.bob_exchange,
        world.open(&world.wrap(&letter).unwrap()).unwrap()
    );
    assert!(!printed.contains("171, 171") && !printed.to_lowercase().contains("abab"), "{printed}");
    assert!(printed.contains("BodyKey,"));
}

prop_compose! {
    fn any_letter()(
        inline in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3000)),
        names in proptest::collection::hash_set(1_u8.., 1..9),
        lens in proptest::collection::vec((1_u64..=1 << 30, any::<bool>()), 9),
        salt: [u8; 16], time in 0_u64..1 << 53, end in 0_u32.., mode in 0_u32..0o1000,
        path in "[a-zé]{1,20}(/[^/\0.]{1,8}){0,5}", mtime in (any::<i64>(), 0_u32..1_000_000_000),
    ) -> Letter {
        let mut letter = World::new().letter();
        (letter.salt, letter.time, letter.end) = (salt, time, end);
        *file(&mut letter) =
            mb_wire::letter::FileMeta { re: None, form: mb_wire::letter::Form::Folder, mode, path: path.into(), mtime };
        if inline.is_none() {
            letter.bodies = names.into_iter().zip(lens).map(|(name, (len, zstd))| {
                let mut body = listed(name, len);
                if zstd { (body.codec, body.len) = (Codec::Zstd, 1 << 30) }
                body
            }).collect();
        }
        letter.inline = inline;
        letter
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_letter_comes_out_as_it_went_in(letter in any_letter(), nice in 1_u8.., hops in 1_u8..=16, earlier: u32) {
        let world = World::new();
        let end = letter.end.saturating_sub(earlier % 1000);
        let file = world.wrap_as(&letter, |w| (w.nice, w.hops, w.end) = (nice, hops, end)).unwrap();
        let opened = world.open(&file).unwrap();
        prop_assert_eq!((opened.prefix.nice, opened.hops, opened.prefix.end), (nice, hops, end));
        prop_assert_eq!(opened.from, world.alice.id());
        prop_assert_eq!(world.read(&file).unwrap().1, letter);
    }

    /// Threat: 7.
    #[test]
    fn arbitrary_bytes_are_no_envelope(mut file in proptest::collection::vec(any::<u8>(), 0..2000), fill: bool) {
        if fill {
            file.resize(mb_wire::size::class(file.len() as u64) as usize, 0);
        }
        let world = World::new();
        prop_assert!(read_prefix(&file).is_err());
        prop_assert!(world.open(&file).is_err());
        prop_assert!(SignedLetter::parse(&file).is_err());
    }

    /// What begins like an envelope and goes on with anything.
    ///
    /// Threat: 7.
    #[test]
    fn a_damaged_envelope_never_panics(cuts in proptest::collection::vec((0_usize..1024, any::<u8>()), 1..20)) {
        let world = World::new();
        let whole = world.wrap(&world.letter()).unwrap();
        let mut file = whole.clone();
        for (at, byte) in cuts {
            file[at] = byte;
        }
        prop_assert!(file == whole || world.open(&file).is_err());
    }
}
