//! Areas: a message comes out as it went in, under one name everywhere, and a member can pass off nothing as another's.

mod world;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use ciborium::Value;
use curve25519_dalek::Scalar;
use ed25519_dalek::{Signer, SigningKey};
use mb_wire::area::{
    AreaCard, AreaError, AreaKeys, AreaMessage, AreaSecret, MESSAGE_MOST, Mode, PostSecret, PostTerms, post,
};
use mb_wire::card::{Card, ExchangeKey};
use mb_wire::cbor;
use mb_wire::envelope::{BodyName, Content, EnvelopeError, Prefix, Wrap, wrap};
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{AreaId, LetterId, MsgHash};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::letter::{Bound, ExecMeta, Kind, Letter, LetterError, Posted, Reader, RequestMeta, SignedLetter, Wants};
use mb_wire::reply::ReplyRoute;
use mb_wire::seal::SealError;
use mb_wire::size::class;
use proptest::prelude::*;
use sha2::{Digest, Sha512};
use world::{World, listed, node};
use x25519_dalek::{PublicKey, StaticSecret};

const POST: [u8; 32] = [0x30; 32];
const READ: [u8; 32] = [0x31; 32];
const END: u32 = 20_000;

type Change = fn(&mut Letter);

/// An area of node 20. Alice (node 1) writes, mallory (node 6) can write and read as well.
struct Area {
    world: World,
    mallory: NodeSecrets,
    card: AreaCard,
}

fn own_card(node: &NodeSecrets) -> Card {
    let key = ExchangeKey { suite: 1, public: [7; 32], use_until: 0, gone_after: 0 };
    Card::issue(node, vec![key], "somebody", 1, 1_700_000_000).unwrap()
}

impl Area {
    fn new() -> Area {
        Area::with_salt([9; 16])
    }

    fn with_salt(salt: [u8; 16]) -> Area {
        let keys =
            AreaKeys { post: PostSecret::from_random(POST).public(), read: ExchangeSecret::from_random(READ).public() };
        let card = AreaCard::new(&node(20), "news", Mode::Open, Some(keys), salt, 1_700_000_000).unwrap();
        Area { world: World::new(), mallory: node(6), card }
    }

    fn id(&self) -> AreaId {
        self.card.id()
    }

    fn read_key(&self) -> ExchangeSecret {
        ExchangeSecret::from_random(READ)
    }

    /// A message of alice's with `letter`.
    fn post(&self, letter: &Letter) -> Result<(AreaMessage, LetterId), AreaError> {
        self.post_as(letter, |_| {})
    }

    /// As [`Area::post`], with something of the terms changed.
    fn post_as(&self, letter: &Letter, change: impl Fn(&mut Own)) -> Result<(AreaMessage, LetterId), AreaError> {
        let card = own_card(&self.world.alice);
        let mut own = Own { post: POST, read: self.card.keys.unwrap().read, card, re: None, salt: [5; 32] };
        change(&mut own);
        let Own { post: key, ref read, ref card, re, salt } = own;
        let terms =
            PostTerms { area: self.id(), post: &PostSecret::from_random(key), read, under: None, card, re, salt };
        post(&self.world.alice, letter, &terms)
    }

    fn message(&self) -> AreaMessage {
        self.post(&self.world.letter()).unwrap().0
    }

    /// All that a reader does with a message that lies by itself.
    fn read(&self, message: &AreaMessage) -> Result<(LetterId, Letter), AreaError> {
        message.verify_post()?;
        let (signed, frame) = message.open(&self.read_key())?;
        Ok(signed.verify_posted(frame)?)
    }

    /// The letter in a message of this area, as another message of it has it.
    fn opened(&self, message: &AreaMessage) -> SignedLetter {
        message.open(&self.read_key()).unwrap().0
    }

    /// The head of a message that a member seals anew, with a share of his own.
    fn head(&self, coins: u8, end: u32, bodies: &[BodyName]) -> Vec<u8> {
        let share = PublicKey::from(&StaticSecret::from([coins; 32])).to_bytes();
        let commit = keyed(&self.extract(&share), Label::Commit, &[]);
        let bodies = bodies.iter().map(|body| Value::Array(vec![bytes(body.root.as_bytes()), body.size.into()]));
        let map: Vec<(&str, Value)> = vec![
            ("v", 1.into()),
            ("end", end.into()),
            ("area", bytes(self.id().as_bytes())),
            ("post", bytes(&self.card.keys.unwrap().post)),
            ("share", bytes(&share)),
            ("suite", 1.into()),
            ("bodies", Value::Array(bodies.collect())),
            ("commit", bytes(&commit)),
        ];
        cbor::encode(&Value::Map(map.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }

    /// x of format.md, section 4: each member can derive it for any share.
    fn extract(&self, share: &[u8; 32]) -> [u8; 32] {
        let shared = StaticSecret::from(READ).diffie_hellman(&(*share).into()).to_bytes();
        let area = self.id();
        let parts: [&[u8]; 6] = [&[1], b"area", share, &self.card.keys.unwrap().read, area.as_bytes(), &shared];
        let prefixed: Vec<u8> =
            parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), *part].concat()).collect();
        hash(Label::Seal, &[&prefixed])
    }

    /// The message with this head around `letter`, sealed and signed by a member, whatever is in it.
    fn forge(&self, head: &[u8], letter: &SignedLetter) -> AreaMessage {
        let key = keyed(&self.extract(&share_of(head)), Label::Key, &[]);
        let letter = cbor::encode(letter);
        let mut sealed = [&(letter.len() as u32).to_be_bytes(), letter.as_slice()].concat();
        sealed.resize(class((head.len() + sealed.len() + 16) as u64) as usize - head.len() - 16, 0);
        let cipher = ChaCha20Poly1305::new((&key).into());
        let tag = cipher.encrypt_inout_detached(&[0; 12].into(), head, sealed.as_mut_slice().into()).unwrap();
        sealed.extend_from_slice(&tag);
        Parts { head: head.to_vec(), sealed, signature: vec![] }.signed(POST).message().unwrap()
    }

    /// `letter` of `author` to this area, bound to `head`, with nothing checked.
    fn signed(&self, letter: Letter, author: &NodeSecrets, head: &[u8]) -> SignedLetter {
        let (area, head) = (self.id(), hash(Label::Head, &[head]));
        let posted = Posted { area, re: None, card: own_card(author).as_bytes().to_vec(), head };
        Letter { to: Reader::Area(Box::new(posted)), author: author.id(), ..letter }.sign(author)
    }

    /// An envelope of alice's to bob with `message`, and what bob finds in it.
    fn envelope(
        &self,
        message: &AreaMessage,
        change: impl Fn(&mut Around),
    ) -> Result<(AreaMessage, Prefix), EnvelopeError> {
        let (content, to) = (Content::Area(Box::new(message.clone())), self.world.bob_address());
        let (end, bodies) = (message.head.end, message.head.bodies.clone());
        let mut around = Around { end, nice: 96, hops: 16, ask: false, bodies };
        change(&mut around);
        let Around { end, nice, hops, ask, ref bodies } = around;
        let file = wrap(&self.world.alice, &Wrap { to: &to, end, nice, hops, bodies, ask, content: &content })?;
        let opened = self.world.open(&file)?;
        let prefix = opened.prefix.clone();
        let Content::Area(read) = opened.verify_hop(&self.world.alice.identity_key())? else { panic!("no message") };
        Ok((*read, prefix))
    }
}

/// What alice makes a message with.
struct Own {
    post: [u8; 32],
    read: [u8; 32],
    card: Card,
    re: Option<MsgHash>,
    salt: [u8; 32],
}

/// What alice makes an envelope with.
struct Around {
    end: u32,
    nice: u8,
    hops: u8,
    ask: bool,
    bodies: Vec<BodyName>,
}

fn bytes(content: &[u8]) -> Value {
    Value::Bytes(content.to_vec())
}

fn share_of(head: &[u8]) -> [u8; 32] {
    let map: Value = ciborium::from_reader(head).unwrap();
    let share = map.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some("share")).unwrap();
    share.1.as_bytes().unwrap()[..].try_into().unwrap()
}

/// A message taken apart.
#[derive(Clone)]
struct Parts {
    head: Vec<u8>,
    sealed: Vec<u8>,
    signature: Vec<u8>,
}

impl Parts {
    fn of(message: &AreaMessage) -> Parts {
        let Value::Array(items) = ciborium::from_reader(&message.to_bytes()[..]).unwrap() else { panic!("an array") };
        let [head, sealed, signature] = items.try_into().unwrap();
        let [head, sealed, signature] = [head, sealed, signature].map(|item: Value| item.into_bytes().unwrap());
        Parts { head, sealed, signature }
    }

    fn message(&self) -> Result<AreaMessage, AreaError> {
        let items = [&self.head, &self.sealed, &self.signature].map(|item| bytes(item));
        AreaMessage::parse(&cbor::encode(&Value::Array(items.into())))
    }

    /// Signed with this post key, whichever one the head names.
    fn signed(mut self, post: [u8; 32]) -> Parts {
        let len = (self.head.len() as u64).to_be_bytes();
        let name = hash(Label::Msg, &[&len, &self.head, &self.sealed]);
        let signed = [&Label::Post.padded()[..], &name].concat();
        self.signature = SigningKey::from_bytes(&post).sign(&signed).to_bytes().to_vec();
        self
    }
}

fn with_body(letter: Letter) -> Letter {
    Letter { inline: None, bodies: vec![listed(1, 5)], ..letter }
}

fn names(letter: &Letter) -> Vec<BodyName> {
    letter.bodies.iter().map(|body| BodyName { root: body.root, size: body.size }).collect()
}

#[test]
fn a_message_comes_out_as_it_went_in() {
    let area = Area::new();
    let re = MsgHash::from_bytes([0xee; 32]);
    let letter = with_body(area.world.letter());
    let (message, id) = area.post_as(&letter, |terms| terms.re = Some(re)).unwrap();
    assert_eq!((message.head.area, message.head.end, &message.head.bodies), (area.id(), END, &names(&letter)));
    assert_eq!(message.head.post, area.card.keys.unwrap().post);
    assert_eq!(AreaMessage::parse(&message.to_bytes()), Ok(message.clone()));
    let (read, prefix) = area.envelope(&message, |_| {}).unwrap();
    assert_eq!((&read, &prefix.bodies), (&message, &names(&letter)));
    assert_eq!(read.verify_post(), Ok(message.hash()));
    let (read_id, read) = area.read(&read).unwrap();
    let Reader::Area(posted) = &read.to else { panic!("a letter to an area") };
    let head = hash(Label::Head, &[&Parts::of(&message).head]);
    let card = own_card(&area.world.alice).as_bytes().to_vec();
    assert_eq!(**posted, Posted { area: area.id(), re: Some(re), card, head });
    assert_eq!((read_id, Letter { to: letter.to.clone(), ..read.clone() }), (id, letter));
}

#[test]
fn a_command_and_the_largest_letter_fit() {
    let area = Area::new();
    let exec = Kind::Exec(ExecMeta { args: vec![], handle: "print".into() });
    let letter = Letter { kind: exec, ..area.world.letter() };
    assert_eq!(area.read(&area.post(&letter).unwrap().0).unwrap().1.kind, letter.kind);
    let mut largest = area.world.letter();
    let Kind::File(file) = &mut largest.kind else { panic!("a file") };
    file.path = [b"x".repeat(255), b"/".to_vec()].concat().repeat(16)[..4095].to_vec();
    (largest.inline, largest.bodies) = (None, (0..1024).map(|number| numbered(number, 1 << 30)).collect());
    let message = area.post(&largest).unwrap().0;
    area.envelope(&message, |terms| terms.ask = true).unwrap();
    assert_eq!(area.read(&message).unwrap().1.payload_len(), 1 << 40);
}

fn numbered(number: u32, len: u64) -> mb_wire::letter::LetterBody {
    let root = hash(Label::Root, &[&number.to_be_bytes()]);
    mb_wire::letter::LetterBody { root: mb_wire::id::Root::from_bytes(root), ..listed(0, len) }
}

/// Symptom: a message in the author's envelope could be so long that a relay's own, which may have to ask for a confirmation, did
/// not hold it. Cause: only the envelope had a limit. Remedy: what a message has at most leaves room for everything else.
#[test]
fn a_message_that_is_taken_fits_into_every_envelope() {
    let area = Area::new();
    let bodies: Vec<_> =
        names(&Letter { bodies: (0..1024).map(|n| numbered(n, 1 << 30)).collect(), ..area.world.letter() });
    let head = area.head(1, END, &bodies);
    let of_len = |len: usize| {
        assert_eq!(class(len as u64), len as u64);
        Parts { head: head.clone(), sealed: vec![0; len - head.len()], signature: vec![] }.signed(POST).message()
    };
    let longest = of_len(MESSAGE_MOST).unwrap();
    assert_eq!(longest.verify_post(), Ok(longest.hash()));
    area.envelope(&longest, |terms| (terms.ask, terms.nice) = (true, 255)).unwrap();
    let next = class(MESSAGE_MOST as u64 + 1) as usize;
    assert_eq!(
        of_len(next).err().map(|error| error.to_string()),
        Some(format!("area message has the wrong form: no area message has {next} bytes"))
    );
}

/// Threat: 8.
#[test]
fn every_flipped_bit_is_refused() {
    let area = Area::new();
    let message = area.message();
    let mut whole = message.to_bytes();
    assert!(whole.len() < 1200, "{}", whole.len());
    for bit in 0..whole.len() * 8 {
        whole[bit / 8] ^= 1 << (bit % 8);
        let read = AreaMessage::parse(&whole).and_then(|read| read.verify_post());
        assert!(read.is_err(), "bit {bit}");
        whole[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(AreaMessage::parse(&whole).unwrap().verify_post(), Ok(message.hash()));
}

/// Threat: 8. Threat: 15.
#[test]
fn a_damaged_copy_has_another_name() {
    let area = Area::new();
    let message = area.message();
    let parts = Parts::of(&message);
    let mut names = vec![message.hash()];
    for bit in [0, 77, 8 * parts.sealed.len() - 1] {
        let mut damaged = parts.clone();
        damaged.sealed[bit / 8] ^= 1 << (bit % 8);
        let damaged = damaged.message().unwrap();
        assert_eq!(damaged.verify_post(), Err(AreaError::Signature));
        names.push(damaged.hash());
        // A member who signs it gets nothing but another name for something that nobody can open.
        let signed = Parts::of(&damaged).signed(POST).message().unwrap();
        assert_eq!(signed.verify_post(), Ok(damaged.hash()));
        assert_eq!(area.read(&signed), Err(SealError::Altered.into()));
    }
    let mut moved = parts.clone();
    (moved.head, moved.sealed) = (area.head(1, END + 1, &[]), parts.sealed.clone());
    names.push(moved.message().unwrap().hash());
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Any member can sign an honest message again, with the same key and another nonce: it stays one message.
///
/// Threat: 15.
#[test]
fn signed_again_it_has_the_same_name() {
    let area = Area::new();
    let message = area.message();
    let again = signed_otherwise(&Parts::of(&message)).message().unwrap();
    assert_ne!(again, message);
    assert_eq!(again.verify_post(), Ok(message.hash()));
    assert_eq!(area.read(&again), area.read(&message));
    let by_another_key = Parts::of(&message).signed([0x77; 32]).message().unwrap();
    assert_eq!(by_another_key.hash(), message.hash());
    assert_eq!(by_another_key.verify_post(), Err(AreaError::Signature));
}

/// A second signature by the post key that holds: its nonce is that of another key (RFC 8032, 5.1.6, with any r).
fn signed_otherwise(parts: &Parts) -> Parts {
    let (key, nonce) = (SigningKey::from_bytes(&POST), SigningKey::from_bytes(&[0x99; 32]));
    let (a, r) = (key.verifying_key().to_bytes(), nonce.verifying_key().to_bytes());
    let name = parts.message().unwrap().hash();
    let digest = [&r[..], &a, &Label::Post.padded(), name.as_bytes()].iter().fold(Sha512::new(), Sha512::chain_update);
    let k = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
    let s = nonce.to_scalar() + k * key.to_scalar();
    Parts { signature: [r, s.to_bytes()].concat(), ..parts.clone() }
}

/// A member opens a letter and seals it again: under another name it would be delivered twice.
///
/// Threat: 14.
#[test]
fn a_letter_that_a_member_seals_anew_is_refused() {
    let area = Area::new();
    let letter = area.opened(&area.message());
    let anew = area.forge(&area.head(1, END, &[]), &letter);
    assert_eq!(anew.verify_post(), Ok(anew.hash()));
    assert_eq!(area.read(&anew), Err(LetterError::Head.into()));
    // The same share again, which the member has derived the key of, and a day less.
    let mut head = Parts::of(&area.message()).head;
    let at = head.windows(4).position(|part| part == b"\x63end").unwrap() + 5;
    assert_eq!(head[at..at + 2], (END as u16).to_be_bytes());
    head[at + 1] -= 1;
    assert_eq!(area.read(&area.forge(&head, &letter)), Err(LetterError::Head.into()));
}

/// A member knows the key under an honest head, and seals something else there.
///
/// Threat: 14.
#[test]
fn other_content_behind_an_honest_head_is_not_the_authors() {
    let area = Area::new();
    let message = area.message();
    let head = Parts::of(&message).head;
    // What the author said comes out as the same message.
    assert_eq!(area.forge(&head, &area.opened(&message)), message);
    let alice = area.world.alice.id();
    let other = Letter { inline: Some(b"hellp".to_vec()), ..area.world.letter() };
    // In alice's name, with her card, and mallory's signature.
    let posted = Posted {
        area: area.id(),
        re: None,
        card: own_card(&area.world.alice).as_bytes().to_vec(),
        head: hash(Label::Head, &[&head]),
    };
    let forged = Letter { to: Reader::Area(Box::new(posted)), ..other.clone() }.sign(&area.mallory);
    let forged = area.forge(&head, &forged);
    assert_eq!(forged.verify_post(), Ok(forged.hash()));
    assert_eq!(area.read(&forged), Err(LetterError::Signature(alice).into()));
    // In his own name he may write whatever he wants, and it is his; in a log he is not the owner.
    let own = area.forge(&head, &area.signed(other, &area.mallory, &head));
    assert_ne!(own.hash(), message.hash());
    assert_eq!(area.read(&own).map(|(_, letter)| letter.author), Ok(area.mallory.id()));
    assert_ne!(area.card.owner_id(), area.mallory.id());
}

/// Threat: 11. Threat: 14.
#[test]
fn a_letter_for_a_node_is_none_for_an_area() {
    let area = Area::new();
    let head = area.head(1, END, &[]);
    let message = area.forge(&head, &area.world.letter().sign(&area.world.alice));
    let (letter, frame) = message.open(&area.read_key()).unwrap();
    assert_eq!(letter.card(), Ok(None));
    let refused = letter.clone().verify(&area.world.alice.identity_key(), frame.clone());
    assert_eq!(refused, Err(LetterError::To(Bound::Node(area.world.bob.id()))));
    // A reader has no key to verify it with.
    assert_eq!(letter.verify_posted(frame), Err(LetterError::Key(area.world.alice.id())));
    // Even if the area's id is what the letter names.
    let as_node = mb_wire::id::NodeId::from_bytes(*area.id().as_bytes());
    let to_its_id = Letter { to: as_node.into(), ..area.world.letter() }.sign(&area.world.alice);
    let (letter, frame) = area.forge(&head, &to_its_id).open(&area.read_key()).unwrap();
    let refused = letter.verify(&area.world.alice.identity_key(), frame);
    assert_eq!(refused, Err(LetterError::To(Bound::Node(as_node))));
}

/// Threat: 11.
#[test]
fn a_letter_for_an_area_is_none_for_a_node() {
    let area = Area::new();
    let letter = area.opened(&area.message());
    let head = hash(Label::Head, &[&Parts::of(&area.message()).head]);
    let (content, to) = (Content::Letter(letter.clone()), area.world.bob_address());
    let terms = Wrap { to: &to, end: END, nice: 96, hops: 16, bodies: &[], ask: false, content: &content };
    let refused = LetterError::To(Bound::Area(area.id(), head));
    assert_eq!(wrap(&area.mallory, &terms), Err(refused.clone().into()));
    let honest = area.world.wrap(&area.world.letter()).unwrap();
    let prefix = mb_wire::envelope::read_prefix(&honest).unwrap();
    assert_eq!(letter.verify(&area.world.alice.identity_key(), &prefix), Err(refused));
}

/// Whoever reads two areas seals a letter of the one into the other.
///
/// Threat: 11. Threat: 14.
#[test]
fn a_letter_of_one_area_is_none_of_another() {
    let (area, other) = (Area::new(), Area::with_salt([8; 16]));
    assert_ne!(area.id(), other.id());
    let letter = other.opened(&other.message());
    let head = hash(Label::Head, &[&Parts::of(&other.message()).head]);
    let moved = area.forge(&area.head(1, END, &[]), &letter);
    assert_eq!(area.read(&moved), Err(LetterError::To(Bound::Area(other.id(), head)).into()));
    // A message of the other one under this one's id, signed by a member of both.
    let mut parts = Parts::of(&other.message());
    let at = parts.head.windows(32).position(|part| part == other.id().as_bytes()).unwrap();
    parts.head[at..at + 32].copy_from_slice(area.id().as_bytes());
    let renamed = parts.signed(POST).message().unwrap();
    assert_eq!(renamed.head.area, area.id());
    assert_eq!(area.read(&renamed), Err(SealError::Commitment.into()));
}

#[test]
fn only_readers_open_it() {
    let area = Area::new();
    let refused = area.message().open(&ExchangeSecret::from_random([0x32; 32]));
    assert_eq!(refused.err(), Some(SealError::Commitment.into()));
}

/// The head says with which key a message is signed: whether that is the area's, whoever holds its card sees.
#[test]
fn whoever_lacks_the_post_key_can_only_name_another() {
    let area = Area::new();
    let own = PostSecret::from_random([0x77; 32]);
    let (message, _) = area.post_as(&area.world.letter(), |terms| terms.post = [0x77; 32]).unwrap();
    assert_eq!(message.verify_post(), Ok(message.hash()));
    assert_ne!(message.head.post, area.card.keys.unwrap().post);
    let mut parts = Parts::of(&message);
    let at = parts.head.windows(32).position(|part| part == own.public()).unwrap();
    parts.head[at..at + 32].copy_from_slice(&area.card.keys.unwrap().post);
    assert_eq!(parts.message().unwrap().verify_post(), Err(AreaError::Signature));
    assert_eq!(parts.signed([0x77; 32]).message().unwrap().verify_post(), Err(AreaError::Signature));
}

#[test]
fn a_message_lies_only_in_an_envelope_that_agrees_with_it() {
    let area = Area::new();
    let message = area.post(&with_body(area.world.letter())).unwrap().0;
    let other = names(&Letter { bodies: vec![listed(2, 5)], ..area.world.letter() });
    for bodies in [&[][..], &other, &[message.head.bodies.clone(), other.clone()].concat()] {
        let refused = area.envelope(&message, |terms| terms.bodies = bodies.to_vec());
        assert_eq!(refused.err(), Some(AreaError::OtherBodies.into()));
    }
    let refused = area.envelope(&message, |terms| terms.end += 1);
    assert_eq!(refused.err(), Some(AreaError::End { head: END, envelope: END + 1 }.into()));
    assert_eq!(area.envelope(&message, |terms| (terms.end, terms.hops) = (END - 1, 1)).unwrap().0, message);
}

/// The head is signed by whoever has the post key; the letter is what the author vouches for.
///
/// Threat: 14.
#[test]
fn a_letter_agrees_with_the_head_or_is_refused() {
    let area = Area::new();
    let letter = area.world.letter();
    let by_head = |letter: Letter, end: u32, bodies: &[BodyName]| {
        let head = area.head(1, end, bodies);
        area.read(&area.forge(&head, &area.signed(letter, &area.world.alice, &head)))
    };
    assert!(by_head(letter.clone(), END - 1, &[]).is_ok());
    let late = LetterError::End { letter: END, frame: END + 1 };
    assert_eq!(by_head(letter.clone(), END + 1, &[]), Err(late.into()));
    let one = with_body(letter.clone());
    assert!(by_head(one.clone(), END, &names(&one)).is_ok());
    assert_eq!(by_head(one.clone(), END, &[]), Err(LetterError::Bodies.into()));
    assert_eq!(by_head(letter, END, &names(&one)), Err(LetterError::Bodies.into()));
}

/// Neither a writer makes it nor a reader takes it.
#[test]
fn a_letter_to_an_area_asks_nothing_of_its_readers() {
    let area = Area::new();
    let cases: [(&str, Change); 4] = [
        ("asks for a file", |l| {
            l.kind = Kind::Request(RequestMeta { list: false, path: b"docs".to_vec() });
            l.inline = Some(vec![]);
        }),
        ("wants receipts", |l| l.wants = Wants { receipt: true, trace: false }),
        ("wants receipts or a trace", |l| l.wants = Wants { receipt: false, trace: true }),
        ("has a way back", |l| (l.wants.receipt, l.reply) = (true, Some(Box::new(way_back())))),
    ];
    for (words, change) in cases {
        let mut letter = area.world.letter();
        change(&mut letter);
        let unmade = area.post(&letter).unwrap_err().to_string();
        let head = area.head(1, END, &[]);
        let refused =
            area.read(&area.forge(&head, &area.signed(letter, &area.world.alice, &head))).unwrap_err().to_string();
        for error in [unmade, refused] {
            assert!(error.starts_with("letter to an area") && error.contains(words), "{error}");
        }
    }
}

fn way_back() -> ReplyRoute {
    let hops = [1, 2].map(|number| mb_wire::seal::Address {
        id: node(number).id(),
        exchange: ExchangeSecret::from_random([number; 32]).public(),
    });
    mb_wire::route::Route::new(&node(2), hops.into(), [7; 32]).unwrap().reply(END, 64, &[5]).0
}

/// Threat: 11. Threat: 14.
#[test]
fn the_card_in_a_letter_is_its_authors() {
    let area = Area::new();
    let mallorys = own_card(&area.mallory);
    let refused = area.post_as(&area.world.letter(), |terms| terms.card = mallorys.clone());
    assert_eq!(refused.err(), Some(LetterError::Card("another node's".into()).into()));
    let head = area.head(1, END, &[]);
    let with_card = |card: Vec<u8>, signer: &NodeSecrets| {
        let posted = Posted { area: area.id(), re: None, card, head: hash(Label::Head, &[&head]) };
        let letter = Letter { to: Reader::Area(Box::new(posted)), ..area.world.letter() }.sign(signer);
        let (letter, frame) = area.forge(&head, &letter).open(&area.read_key()).unwrap();
        (letter.card(), letter.verify(&area.world.alice.identity_key(), frame))
    };
    // Mallory signs in alice's name, and gives his own card to verify it with.
    let (card, read) = with_card(mallorys.as_bytes().to_vec(), &area.mallory);
    assert_eq!(card, Err(LetterError::Card("another node's".into())));
    assert_eq!(read, Err(LetterError::Signature(area.world.alice.id())));
    let mut altered = own_card(&area.world.alice).as_bytes().to_vec();
    *altered.last_mut().unwrap() ^= 1;
    for card in [altered, vec![], area.card.as_bytes().to_vec(), mallorys.as_bytes().to_vec()] {
        let (shown, read) = with_card(card, &area.world.alice);
        assert!(matches!(shown, Err(LetterError::Card(_))), "{shown:?}");
        assert_eq!(read.err(), shown.err());
    }
}

#[test]
fn no_message_is_sealed_to_a_key_of_low_order() {
    let area = Area::new();
    let refused = area.post_as(&area.world.letter(), |terms| terms.read = [0; 32]);
    assert_eq!(refused.err(), Some(SealError::LowOrder.into()));
    let mut parts = Parts::of(&area.message());
    let share = share_of(&parts.head);
    let at = parts.head.windows(32).position(|part| part == share).unwrap();
    parts.head[at..at + 32].fill(0);
    let forged = parts.signed(POST).message().unwrap();
    assert_eq!(area.read(&forged), Err(SealError::LowOrder.into()));
}

/// Whatever else is the same: a salt is used once.
#[test]
fn each_message_has_a_share_of_its_own() {
    let area = Area::new();
    let with_salt = |salt: u8| area.post_as(&area.world.letter(), |terms| terms.salt = [salt; 32]).unwrap().0;
    assert_eq!(with_salt(5), area.message());
    let shares = [5, 6].map(|salt| share_of(&Parts::of(&with_salt(salt)).head));
    assert_ne!(shares[0], shares[1]);
}

#[test]
fn a_card_reads_as_it_was_made() {
    for mode in [Mode::Open, Mode::Log] {
        let keys = AreaKeys { post: [1; 32], read: [2; 32] };
        let card = AreaCard::new(&node(20), "a.b_c-9", mode, Some(keys), [3; 16], 7).unwrap();
        assert_eq!(AreaCard::from_bytes(card.as_bytes()), Ok(card.clone()));
        assert_eq!(AreaCard::parse(&card.to_text()), Ok(card.clone()));
        assert_eq!((card.owner_id(), card.mode, card.keys, card.created), (node(20).id(), mode, Some(keys), 7));
        assert_eq!(card.id(), AreaId::of(&node(20).identity_key(), &[3; 16]));
        assert_eq!(card.id().to_string().parse(), Ok(card.id()));
        assert!(card.id().to_string().starts_with("mba1"));
    }
    let keys = AreaKeys { post: [1; 32], read: [2; 32] };
    for name in ["", "A", "-a", "a b", &"a".repeat(33)] {
        assert_eq!(AreaCard::new(&node(20), name, Mode::Log, Some(keys), [3; 16], 7), Err(AreaError::Name), "{name}");
    }
}

/// Threat: 8.
#[test]
fn an_altered_card_is_refused() {
    let card = Area::new().card;
    let mut bytes = card.as_bytes().to_vec();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(AreaCard::from_bytes(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for len in 0..bytes.len() {
        assert!(AreaCard::from_bytes(&bytes[..len]).is_err(), "cut to {len}");
    }
    assert_eq!(AreaCard::from_bytes(&[0; 601]), Err(AreaError::Long(601)));
    assert_eq!(AreaCard::from_bytes(own_card(&node(1)).as_bytes()), Err(AreaError::Kind("an area's card")));
    assert!(Card::from_bytes(card.as_bytes()).is_err());
}

/// The owner's key is in the id: with another owner, or another salt, it is another area.
#[test]
fn nobody_else_makes_a_card_of_the_same_area() {
    let card = Area::new().card;
    let by_another = AreaCard::new(&node(6), "news", Mode::Open, card.keys, [9; 16], 1_700_000_000).unwrap();
    assert_ne!(by_another.id(), card.id());
    assert_ne!(Area::with_salt([8; 16]).id(), card.id());
}

#[test]
fn a_secret_reads_as_it_was_written() {
    let card = Area::new().card;
    for (can_post, can_read) in [(true, true), (true, false), (false, true)] {
        let secret = secret(&card, can_post.then_some(POST), can_read.then_some(READ));
        let read = AreaSecret::from_text(&secret.to_text()).unwrap();
        assert_eq!(read.card, card);
        assert_eq!(read.post.as_ref().map(PostSecret::public), can_post.then_some(card.keys.unwrap().post));
        assert_eq!(read.read.as_ref().map(ExchangeSecret::public), can_read.then_some(card.keys.unwrap().read));
        assert_eq!(read.to_text(), secret.to_text());
    }
}

fn secret(card: &AreaCard, post: Option<[u8; 32]>, read: Option<[u8; 32]>) -> AreaSecret {
    let (post, read) = (post.map(PostSecret::from_random), read.map(ExchangeSecret::from_random));
    AreaSecret { card: card.clone(), post, read }
}

#[test]
fn a_secret_that_does_not_belong_to_its_card_is_refused() {
    let card = Area::new().card;
    let read = |post, read| AreaSecret::from_text(&secret(&card, post, read).to_text()).err();
    assert_eq!(read(None, None), Some(AreaError::NoKeys));
    assert_eq!(read(Some([1; 32]), None), Some(AreaError::Halves));
    assert_eq!(read(None, Some([1; 32])), Some(AreaError::Halves));
    assert_eq!(read(Some(READ), Some(POST)), Some(AreaError::Halves));
    assert_eq!(read(Some(POST), Some([1; 32])), Some(AreaError::Halves));
    assert_eq!(read(Some([1; 32]), Some(READ)), Some(AreaError::Halves));
    let node = Seed::from_bytes([1; 32]).to_text();
    assert_eq!(AreaSecret::from_text(&node).err(), Some(AreaError::NoSecret));
    assert!(Seed::from_text(&secret(&card, Some(POST), None).to_text()).is_err());
    assert!(matches!(AreaSecret::from_text(&card.to_text()), Err(AreaError::Text(_))));
}

#[test]
fn secrets_do_not_print() {
    let area = Area::new();
    let printed = format!("{:?} {:?}", secret(&area.card, Some([0xab; 32]), Some([0xab; 32])), area.message());
    assert!(!printed.contains("171, 171") && !printed.to_lowercase().contains("abab"), "{printed}");
    assert!(printed.contains("PostSecret"), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_payload_comes_out_as_it_went_in(payload in proptest::collection::vec(any::<u8>(), 0..3000), salt: [u8; 32], end: u32) {
        let area = Area::new();
        let letter = Letter { inline: Some(payload), end, ..area.world.letter() };
        let (message, id) = area.post_as(&letter, |terms| terms.salt = salt).unwrap();
        let (read_id, read) = area.read(&AreaMessage::parse(&message.to_bytes()).unwrap()).unwrap();
        prop_assert_eq!((read_id, read.inline, read.end), (id, letter.inline, end));
    }

    /// Threat: 7.
    #[test]
    fn arbitrary_bytes_are_nothing_of_an_area(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        prop_assert!(AreaMessage::parse(&bytes).is_err());
        prop_assert!(AreaCard::from_bytes(&bytes).is_err());
        let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
        prop_assert!(AreaCard::parse(&text).is_err());
        prop_assert!(AreaSecret::from_text(&text).is_err());
    }

    /// Signed by a member, whatever it is: no panic, and no letter but the one that was written.
    ///
    /// Threat: 7. Threat: 14.
    #[test]
    fn a_damaged_message_that_a_member_signs_is_refused(cuts in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20)) {
        let area = Area::new();
        let message = area.message();
        let mut parts = Parts::of(&message);
        let split = parts.head.len();
        let mut whole = [parts.head, parts.sealed].concat();
        for (at, byte) in cuts {
            let at = at.index(whole.len());
            whole[at] = byte;
        }
        parts.sealed = whole.split_off(split);
        parts.head = whole;
        let read = parts.signed(POST).message().and_then(|read| area.read(&read));
        prop_assert!(read == area.read(&message) || read.is_err());
    }
}
