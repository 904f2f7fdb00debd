//! Letters of a list: carol, a list, sends on to bob what alice wrote to it, and both signatures count.

mod world;

use mb_wire::card::{Card, ExchangeKey};
use mb_wire::cbor;
use mb_wire::envelope::{BodyName, Content, Wrap, wrap};
use mb_wire::hash::Digest;
use mb_wire::id::{AreaId, LetterId, Root};
use mb_wire::key::{ExchangeSecret, NodeSecrets};
use mb_wire::letter::{Bound, Frame, Kind, Letter, LetterError, Posted, Reader, SignedLetter, Wants};
use mb_wire::list::Forwarded;
use world::{World, listed, node};

fn carol() -> NodeSecrets {
    node(7)
}

fn card(of: &NodeSecrets) -> Card {
    let public = ExchangeSecret::from_random([6; 32]).public();
    let key = ExchangeKey { suite: 1, public, use_until: 0, gone_after: 0 };
    Card::issue(of, vec![key], "somebody", 1, 0).unwrap()
}

/// What alice wrote to the list.
fn to_list() -> Letter {
    Letter { to: carol().id().into(), ..World::new().letter() }
}

/// The list's letter to bob that carries `letter`, whatever that is.
fn carrying(forwarded: Forwarded, letter: &Letter) -> Letter {
    Letter {
        to: World::new().bob.id().into(),
        author: carol().id(),
        salt: [8; 16],
        end: 19_999,
        wants: Wants::default(),
        reply: None,
        forwarded: Some(Box::new(forwarded)),
        ..letter.clone()
    }
}

fn sent_on(letter: &Letter) -> Letter {
    let alice = World::new().alice;
    carrying(Forwarded::new(&card(&alice), letter.sign(&alice)), letter)
}

fn frame(letter: &Letter) -> Frame {
    Frame { to: letter.to.bound(), end: letter.end, list: letter.list_hash() }
}

/// Bob reads what the list has signed.
fn read(letter: &Letter) -> Result<(LetterId, Letter), LetterError> {
    let bytes = cbor::encode(&letter.sign(&carol()));
    SignedLetter::parse(&bytes)?.verify(&carol().identity_key(), frame(letter))
}

/// The words with which `sent_on` is refused after a change.
fn refused(change: impl Fn(&mut Letter)) -> String {
    let mut letter = sent_on(&to_list());
    change(&mut letter);
    read(&letter).unwrap_err().to_string()
}

#[test]
fn a_letter_of_a_list_shows_its_author_and_who_sent_it_on() {
    let world = World::new();
    let (_, got) = read(&sent_on(&to_list())).unwrap();
    assert_eq!((got.author, got.writer()), (carol().id(), world.alice.id()));
    assert_eq!(got.inline.as_deref(), Some(&b"hello"[..]));
    let plain = world.read(&world.wrap(&world.letter()).unwrap()).unwrap().1;
    assert_eq!((plain.author, plain.writer()), (world.alice.id(), world.alice.id()));
    let with_bodies = Letter { inline: None, bodies: vec![listed(1, 50_000), listed(2, 7)], ..to_list() };
    assert_eq!(read(&sent_on(&with_bodies)).unwrap().1.bodies, with_bodies.bodies);
}

#[test]
fn a_letter_to_a_list_is_not_taken_by_a_subscriber_as_it_is() {
    let (world, letter) = (World::new(), to_list());
    let alone = letter.sign(&world.alice).verify(&world.alice.identity_key(), frame(&sent_on(&letter)));
    assert_eq!(alone, Err(LetterError::To(Bound::Node(carol().id()))));
}

#[test]
fn key_order_and_names_are_those_of_the_format() {
    let letter = sent_on(&to_list());
    let bytes = cbor::encode(&letter);
    let end = [b"\x63end\x19".as_slice(), &19_999_u16.to_be_bytes()].concat();
    let fwd = [&end[..], b"\x63fwd\xa2\x64card"].concat();
    assert!(bytes.windows(fwd.len()).any(|window| window == fwd));
    let inner = cbor::encode(&to_list());
    let head = [b"\x66letter\x82\x58".as_slice(), &[inner.len() as u8]].concat();
    assert!(inner.len() < 256, "its length is one byte");
    assert!(bytes.windows(head.len() + inner.len()).any(|window| window == [&head[..], &inner].concat()));
}

#[test]
fn an_inner_letter_with_one_byte_altered_is_refused() {
    let letter = sent_on(&to_list());
    let good = cbor::encode(letter.forwarded.as_deref().unwrap());
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= bit;
            let Ok(forwarded) = cbor::decode::<Forwarded>(&bytes) else { continue };
            assert!(read(&carrying(forwarded, &to_list())).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_card_of_another_node_and_a_signature_of_another_are_refused() {
    let (alice, mallory, letter) = (World::new().alice, node(9), to_list());
    let of_other = carrying(Forwarded::new(&card(&mallory), letter.sign(&alice)), &letter);
    assert_eq!(
        read(&of_other).unwrap_err().to_string(),
        "letter that a list sends on: letter's card of its author: another node's"
    );
    let forged = carrying(Forwarded::new(&card(&alice), letter.sign(&mallory)), &letter);
    let signature = LetterError::Forwarded(Box::new(LetterError::Signature(alice.id())));
    assert_eq!(read(&forged), Err(signature));
    let claimed = Letter { author: mallory.id(), ..letter.clone() };
    let hers = carrying(Forwarded::new(&card(&alice), claimed.sign(&alice)), &letter);
    assert!(matches!(read(&hers), Err(LetterError::Forwarded(_))));
}

#[test]
fn what_alice_wrote_to_somebody_else_cannot_be_sent_on() {
    let world = World::new();
    let to_bob = sent_on(&world.letter());
    assert_eq!(read(&to_bob), Err(LetterError::List("brings one to somebody else")));
    let (area, head) = (AreaId::from_bytes([1; 32]), Digest::default());
    let posted = Posted { area, re: None, card: card(&world.alice).as_bytes().to_vec(), head };
    let to_area = Letter { to: Reader::Area(Box::new(posted)), ..to_list() };
    assert_eq!(read(&sent_on(&to_area)), Err(LetterError::List("brings one to somebody else")));
}

#[test]
fn a_list_cannot_put_other_words_into_its_authors_mouth() {
    assert_eq!(
        refused(|letter| letter.inline = Some(b"hellp".to_vec())),
        "letter of a list has another payload than its author's"
    );
    let bodies = |letter: &mut Letter| (letter.inline, letter.bodies) = (None, vec![listed(1, 5)]);
    assert_eq!(refused(bodies), "letter of a list has another payload than its author's");
    let path = |letter: &mut Letter| {
        let Kind::File(file) = &mut letter.kind else { panic!("it is a file") };
        file.path = b".profile".to_vec();
    };
    assert_eq!(refused(path), "letter of a list says something else than its author");
    assert_eq!(refused(|letter| letter.end = 20_001), "letter of a list ends after its author's");
    let with_body = Letter { inline: None, bodies: vec![listed(1, 50_000)], ..to_list() };
    let (mut shorter, mut other_key) = (sent_on(&with_body), sent_on(&with_body));
    shorter.bodies[0].len -= 1;
    other_key.bodies[0].key = listed(9, 1).key;
    for other in [shorter, other_key] {
        assert_eq!(read(&other), Err(LetterError::List("has another payload than its author's")));
    }
}

#[test]
fn a_letter_of_a_list_is_not_sent_on_again() {
    // Dave, a list, would send on what carol sent on to it.
    let (dave, inner) = (node(8), Letter { to: node(8).id().into(), ..sent_on(&to_list()) });
    let forwarded = Forwarded::new(&card(&carol()), inner.sign(&carol()));
    let outer = Letter { author: dave.id(), ..carrying(forwarded, &inner) };
    let verified = outer.sign(&dave).verify(&dave.identity_key(), frame(&outer));
    assert_eq!(verified, Err(LetterError::List("brings one of another list")));
}

/// However deep somebody nests, nobody's stack ends.
#[test]
fn letters_in_one_another_are_refused() {
    let (alice, mut letter) = (World::new().alice, to_list());
    for _ in 0..200 {
        let forwarded = Forwarded::new(&card(&alice), letter.sign(&alice));
        letter = Letter { forwarded: Some(Box::new(forwarded)), ..to_list() };
    }
    assert_eq!(read(&sent_on(&letter)), Err(LetterError::List("brings one of another list")));
}

#[test]
fn a_letter_to_an_area_brings_no_other() {
    let posted = |card: Vec<u8>| Posted { area: AreaId::from_bytes([1; 32]), re: None, card, head: [2; 32] };
    let to_area = |letter: &mut Letter| letter.to = Reader::Area(Box::new(posted(card(&carol()).as_bytes().to_vec())));
    assert_eq!(refused(to_area), "letter of a list is to an area");
}

/// Both lists of bodies, and those of the prefix.
#[test]
fn as_many_bodies_as_a_letter_may_list_fit_twice() {
    let world = World::new();
    let body = |number: u32| {
        let mut body = listed(1, 1 << 30);
        let mut root = [2; 32];
        root[..4].copy_from_slice(&number.to_be_bytes());
        body.root = Root::from_bytes(root);
        body
    };
    let letter = sent_on(&Letter { inline: None, bodies: (0..1024).map(body).collect(), ..to_list() });
    let bodies: Vec<_> = letter.bodies.iter().map(|b| BodyName { root: b.root, size: b.size }).collect();
    let (to, content) = (&world.bob_address(), &Content::Letter(letter.sign(&carol())));
    let wrapping = Wrap { to, end: letter.end, nice: 96, hops: 16, bodies: &bodies, ask: false, content };
    assert!(world.open(&wrap(&carol(), &wrapping).unwrap()).is_ok());
}

/// The limits of each hold, and both fit into an envelope.
#[test]
fn the_largest_inline_payload_fits_twice() {
    let letter = Letter { inline: Some(vec![1; 32_768]), ..to_list() };
    assert_eq!(read(&sent_on(&letter)).unwrap().1.inline.unwrap().len(), 32_768);
    assert!(cbor::encode(&sent_on(&letter)).len() < 80 * 1024);
    let much = Letter { inline: Some(vec![1; 32_769]), ..to_list() };
    assert!(matches!(read(&sent_on(&much)), Err(LetterError::Forwarded(_) | LetterError::Inline(_))));
}
