//! Handshake, frames and messages.

use std::sync::Arc;

use proptest::prelude::*;
use snow::Builder;
use zeroize::Zeroizing;

use super::handshake::{self, Answered, Callers, FIRST_LEN, HandshakeError, Opener, REPLY_LEN, Sealer};
use super::message::{Ask, HEAD_LEN, Hello, Inbox, LIST_MOST, Message, MessageError, Offer, Part, Reason, Rest};
use super::noise::Primitives;
use crate::body::CHUNK_LEN;
use crate::id::PacketId;
use crate::key::{NodeSecrets, Seed};

fn secrets(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The published vectors of the Noise framework for our suite, from cacophony and from snow.
#[test]
fn the_handshake_is_as_the_noise_vectors_have_it() {
    let text = include_str!("../../../../tests/vectors/noise/ik.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in &vectors {
        let field = |name: &str| hex(vector[name].as_str().unwrap());
        let coins = |name: &str| Zeroizing::new(<[u8; 32]>::try_from(field(name)).unwrap());
        let builder = |coins| {
            let suite = vector["protocol_name"].as_str().unwrap().parse().unwrap();
            Builder::with_resolver(suite, Box::new(Primitives { coins, gate: None }))
        };
        let (prologue, init, resp) = (field("init_prologue"), field("init_static"), field("resp_static"));
        let remote = field("init_remote_static");
        let caller = builder(coins("init_ephemeral")).prologue(&prologue).unwrap().local_private_key(&init).unwrap();
        let mut caller = caller.remote_public_key(&remote).unwrap().build_initiator().unwrap();
        let listener = builder(coins("resp_ephemeral")).prologue(&prologue).unwrap().local_private_key(&resp).unwrap();
        let mut listener = listener.build_responder().unwrap();
        let messages = vector["messages"].as_array().unwrap();
        let part = |at: usize, name: &str| hex(messages[at][name].as_str().unwrap());
        let (mut sealed, mut plain) = ([0; 1024], [0; 1024]);
        let len = caller.write_message(&part(0, "payload"), &mut sealed).unwrap();
        assert_eq!(sealed[..len], part(0, "ciphertext"));
        let len = listener.read_message(&sealed[..len], &mut plain).unwrap();
        assert_eq!(plain[..len], part(0, "payload"));
        let len = listener.write_message(&part(1, "payload"), &mut sealed).unwrap();
        assert_eq!(sealed[..len], part(1, "ciphertext"));
        caller.read_message(&sealed[..len], &mut plain).unwrap();
        let mut caller = caller.into_transport_mode().unwrap();
        let mut listener = listener.into_transport_mode().unwrap();
        for at in 2..messages.len() {
            let (from, to) = if at % 2 == 0 { (&mut caller, &mut listener) } else { (&mut listener, &mut caller) };
            let len = from.write_message(&part(at, "payload"), &mut sealed).unwrap();
            assert_eq!(sealed[..len], part(at, "ciphertext"), "message {at}");
            let len = to.read_message(&sealed[..len], &mut plain).unwrap();
            assert_eq!(plain[..len], part(at, "payload"));
        }
    }
}

fn callers(of: &[&NodeSecrets]) -> Arc<Callers> {
    Arc::new(of.iter().map(|secrets| (secrets.call_public(), secrets.id())).collect())
}

/// A call from node 1 to node 2, and what the listener says to it.
fn shaken() -> ((Sealer, Opener), Answered) {
    let (north, south) = (secrets(1), secrets(2));
    let (calling, first) = handshake::call(&north, &south.id(), &south.call_public(), [3; 32]).unwrap();
    let answered = handshake::answer(&south, &first, &callers(&[&north]), [4; 32]).unwrap();
    assert_eq!(answered.caller, north.id());
    (calling.finish(&answered.reply).unwrap(), answered)
}

/// Threat: 11, 19. Requirement: H19, P29.
#[test]
fn both_sides_know_each_other_and_hear_each_other() {
    let ((mut sealer, mut opener), mut answered) = shaken();
    let mut sealed = Vec::new();
    for (from, to) in [(&mut sealer, &mut answered.opener), (&mut answered.sealer, &mut opener)] {
        for len in [1, 100, handshake::FRAME_MOST, handshake::FRAME_MOST + 1] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let sealed_len = from.seal(&bytes, handshake::FRAME_MOST, &mut sealed).unwrap();
            let mut rest = &sealed[..sealed_len];
            let mut heard = Vec::new();
            while let Some((head, tail)) = rest.split_first_chunk::<2>() {
                let (frame, tail) = tail.split_at(Opener::frame_len(*head).unwrap());
                to.open(frame, &mut heard).unwrap();
                rest = tail;
            }
            assert_eq!(heard, bytes);
        }
    }
}

/// Threat: 19.
#[test]
fn a_frame_opens_once_in_its_place_and_unaltered() {
    let ((mut sealer, mut opener), mut answered) = shaken();
    let mut sealed = Vec::new();
    let len = sealer.seal(b"abc", 2, &mut sealed).unwrap();
    let (one, two) = sealed[..len].split_at(2 + 2 + 16);
    let mut plain = Vec::new();
    assert_eq!(answered.opener.open(&two[2..], &mut plain), Err(HandshakeError::Frame), "out of order");
    let mut altered = one[2..].to_vec();
    altered[0] ^= 1;
    assert_eq!(answered.opener.open(&altered, &mut plain), Err(HandshakeError::Frame), "altered");
    assert!(plain.is_empty(), "nothing of it is there");
    answered.opener.open(&one[2..], &mut plain).unwrap();
    assert_eq!(answered.opener.open(&one[2..], &mut plain), Err(HandshakeError::Frame), "repeated");
    assert_eq!(opener.open(&one[2..], &mut plain), Err(HandshakeError::Frame), "reflected");
    assert!((0..=16).all(|len| Opener::frame_len([0, len]) == Err(HandshakeError::Frame)), "empty");
}

/// Threat: 13, 19.
#[test]
fn every_altered_byte_of_a_handshake_is_refused() {
    let (north, south) = (secrets(1), secrets(2));
    let known = callers(&[&north]);
    for at in 0..FIRST_LEN {
        let (_, mut first) = handshake::call(&north, &south.id(), &south.call_public(), [3; 32]).unwrap();
        first[at] ^= 1;
        // The bit that X25519 ignores is covered by the hash all the same.
        assert!(handshake::answer(&south, &first, &known, [4; 32]).is_err(), "byte {at}");
    }
    for at in 0..REPLY_LEN {
        let (calling, first) = handshake::call(&north, &south.id(), &south.call_public(), [3; 32]).unwrap();
        let mut answered = handshake::answer(&south, &first, &known, [4; 32]).unwrap();
        answered.reply[at] ^= 0x80;
        assert_eq!(calling.finish(&answered.reply).err(), Some(HandshakeError::Reply), "byte {at}");
    }
}

#[test]
fn a_stranger_a_wrong_number_and_another_protocol_are_told_apart_in_the_log() {
    let (north, south, east) = (secrets(1), secrets(2), secrets(3));
    let call = |to: &NodeSecrets, key: [u8; 32]| handshake::call(&north, &to.id(), &key, [3; 32]).unwrap().1;
    let answer = |first: &[u8; FIRST_LEN], known: &[&NodeSecrets]| {
        handshake::answer(&south, first, &callers(known), [4; 32]).err()
    };
    let first = call(&south, south.call_public());
    assert_eq!(answer(&first, &[&north]), None);
    assert_eq!(answer(&first, &[&east]), Some(HandshakeError::Unknown));
    assert_eq!(
        answer(&call(&south, east.call_public()), &[&north]),
        Some(HandshakeError::First),
        "right node, wrong key"
    );
    assert_eq!(
        answer(&call(&east, south.call_public()), &[&north]),
        Some(HandshakeError::First),
        "right key, wrong node"
    );
    let mut other = first;
    other[8] = b'2';
    assert_eq!(answer(&other, &[&north]), Some(HandshakeError::Version));
    other[0] = b'G';
    assert_eq!(answer(&other, &[&north]), Some(HandshakeError::Preamble));
    let low_order = handshake::call(&north, &south.id(), &[0; 32], [3; 32]).err();
    assert_eq!(low_order, Some(HandshakeError::Reply));
}

/// Threat: 17.
#[test]
fn a_stranger_costs_one_key_agreement() {
    let (north, south) = (secrets(1), secrets(2));
    let cost = |known: &[&NodeSecrets], first: &[u8; FIRST_LEN]| {
        let before = super::noise::agreement_count();
        let _ = handshake::answer(&south, first, &callers(known), [4; 32]);
        super::noise::agreement_count() - before
    };
    let (_, mut first) = handshake::call(&north, &south.id(), &south.call_public(), [3; 32]).unwrap();
    assert_eq!(cost(&[&north], &first), 4, "a neighbour: es, ss, ee, se");
    assert_eq!(cost(&[&secrets(3)], &first), 1, "one who knows our card");
    first[60] ^= 1;
    assert_eq!(cost(&[&north], &first), 1, "one who does not");
    first[0] ^= 1;
    assert_eq!(cost(&[&north], &first), 0, "one who speaks something else");
}

#[test]
fn the_messages_of_a_handshake_have_one_length_and_new_keys_each_time() {
    let (north, south) = (secrets(1), secrets(2));
    let first = |coins: u8| handshake::call(&north, &south.id(), &south.call_public(), [coins; 32]).unwrap().1;
    assert_ne!(first(1)[16..48], first(2)[16..48]);
    assert!(!first(1).windows(32).any(|window| window == north.call_public()), "who calls is not to be seen");
}

fn packet(number: u8) -> PacketId {
    PacketId::from_bytes([number; 32])
}

fn examples() -> Vec<Message<'static>> {
    let offer = Offer { packet: packet(1), nice: 128, envelope_len: 512, bodies_len: (1 << 53) - 1 - 262_144 };
    let ask = |part| Message::Ask(Ask { packet: packet(1), number: 1023, part });
    vec![
        Message::Hello(Hello::new(true, 255, 20)),
        Message::Offer(vec![offer; LIST_MOST]),
        Message::Want(vec![packet(1); LIST_MOST]),
        Message::Envelope(&[1; 512]),
        ask(Part::All),
        ask(Part::Leaves),
        ask(Part::From(16_383)),
        Message::Leaves(&[2; 64]),
        Message::Data(&[3; CHUNK_LEN]),
        Message::Landed(vec![packet(1), packet(2)]),
        Message::Refuse(vec![(packet(1), Reason::Room), (packet(2), Reason::Stopping)]),
        Message::Withdraw(vec![packet(1)]),
        Message::Done(Rest::Nothing),
        Message::Ping,
        Message::Lack(packet(1), 1023),
    ]
}

#[test]
fn messages_come_out_as_they_went_in_however_they_are_cut() {
    let mut bytes = Vec::new();
    examples().iter().for_each(|message| message.write(&mut bytes));
    for step in [1, 3, 1000, bytes.len()] {
        let mut inbox = Inbox::default();
        let mut expected = examples().into_iter();
        for piece in bytes.chunks(step) {
            inbox.push(piece);
            while let Some(message) = inbox.next_message().unwrap() {
                assert_eq!(Some(message), expected.next());
            }
        }
        assert_eq!(expected.next(), None);
    }
}

#[test]
fn a_message_that_breaks_a_limit_is_refused_before_it_has_come() {
    let refused = |bytes: &[u8]| {
        let mut inbox = Inbox::default();
        inbox.push(bytes);
        inbox.next_message().err()
    };
    assert_eq!(refused(&[0, 0, 0, 0]), Some(MessageError::Kind(0)));
    assert_eq!(refused(&[14, 0, 0, 0]), Some(MessageError::Kind(14)));
    for (kind, most) in [(1, 16_384), (4, 262_144), (6, 524_288), (7, 4 * CHUNK_LEN), (11, 1), (12, 0), (13, 16_384)] {
        let len = (most as u32 + 1).to_be_bytes();
        let long = refused(&[kind, len[1], len[2], len[3]]);
        assert_eq!(long, Some(MessageError::Long { kind, len: most + 1 }), "kind {kind}");
    }
    let list = |count: usize| {
        let mut bytes = Vec::new();
        Message::Want(vec![packet(1); count]).write(&mut bytes);
        refused(&bytes)
    };
    assert_eq!(list(LIST_MOST), None);
    assert!(list(LIST_MOST + 1).is_some() && list(0).is_some());
    let hello = |hello: Hello| {
        let mut bytes = Vec::new();
        Message::Hello(hello).write(&mut bytes);
        refused(&bytes)
    };
    let range = Some(MessageError::Range { kind: 1 });
    assert_eq!((hello(Hello::new(true, 0, 1)), hello(Hello::new(true, 1, 0))), (range.clone(), range));
    assert!(refused(&[6, 0, 0, 33]).is_none(), "not whole yet");
    assert!(refused(&[&[6, 0, 0, 33][..], &[0; 33]].concat()).is_some(), "no whole leaves");
}

#[test]
fn whole_chunks_of_a_message_that_was_cut_are_not_lost() {
    let mut bytes = Vec::new();
    Message::Data(&[7; 3 * CHUNK_LEN]).write(&mut bytes);
    let cut = |len: usize| {
        let mut inbox = Inbox::default();
        inbox.push(&bytes[..len]);
        assert_eq!(inbox.next_message(), Ok(None));
        inbox.cut_data().map(|message| if let Message::Data(data) = message { data.len() } else { 0 })
    };
    assert_eq!(cut(HEAD_LEN + CHUNK_LEN - 1), None);
    assert_eq!(cut(HEAD_LEN + CHUNK_LEN), Some(CHUNK_LEN));
    assert_eq!(cut(bytes.len() - 1), Some(2 * CHUNK_LEN));
    assert_eq!(cut(2), None);
}

proptest! {
    #[test]
    fn any_bytes_are_messages_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000), kind in 0..14u8) {
        let mut inbox = Inbox::default();
        let len = (bytes.len() as u32).to_be_bytes();
        inbox.push(&[kind, len[1], len[2], len[3]]);
        inbox.push(&bytes);
        while let Ok(Some(message)) = inbox.next_message() {
            let mut again = Vec::new();
            message.write(&mut again);
            prop_assert!(again.len() >= HEAD_LEN);
        }
    }

    #[test]
    fn any_handshake_is_refused(bytes in proptest::collection::vec(any::<u8>(), FIRST_LEN - 16)) {
        let (north, south) = (secrets(1), secrets(2));
        let mut first = [0; FIRST_LEN];
        first[..16].copy_from_slice(b"mailbag/1 call\0\0");
        first[16..].copy_from_slice(&bytes);
        prop_assert!(handshake::answer(&south, &first, &callers(&[&north]), [4; 32]).is_err());
    }
}
