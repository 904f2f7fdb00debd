//! Letters, honestly signed by alice whatever they say.

use mb_wire::cbor;
use mb_wire::envelope::{Address, BodyName, Content, EnvelopeError, Wrap, open, read_prefix, wrap};
use mb_wire::hash::Label;
use mb_wire::letter::{Letter, SignedLetter};

use crate::hand::{ALICE, BOB, EXCHANGE, as_signed, head, seal_plain};

/// A letter that reads well is one that a writer can send, and comes out the same.
pub fn letter(data: &[u8]) {
    let parsed = SignedLetter::parse(&as_signed(Label::Letter, data));
    let decoded = cbor::decode::<Letter>(data);
    assert_eq!(parsed.is_ok(), decoded.is_ok());
    let (Ok(parsed), Ok(decoded)) = (parsed, decoded) else { return };
    assert_eq!(parsed.author(), decoded.author);
    let bodies: Vec<_> = decoded.bodies.iter().map(|body| (*body.root.as_bytes(), body.size)).collect();
    let Ok(prefix) = read_prefix(&seal_plain(&head(decoded.end, &bodies), &[])) else { return };
    if let Ok((_, letter)) = parsed.verify(&ALICE.identity_key(), &prefix) {
        assert!(letter == decoded);
        assert!(letter.payload_len() <= 1 << 40);
        send(&letter);
    }
}

fn send(letter: &Letter) {
    let content = Content::Letter(letter.sign(&ALICE));
    let to = Address { id: BOB.id(), exchange: EXCHANGE.public() };
    let bodies: Vec<_> = letter.bodies.iter().map(|body| BodyName { root: body.root, size: body.size }).collect();
    let file = match wrap(
        &ALICE,
        &Wrap { to: &to, end: letter.end, nice: 1, hops: 16, bodies: &bodies, ask: false, content: &content },
    ) {
        Err(EnvelopeError::Long(_)) => return,
        other => other.expect("what a reader takes can be sent"),
    };
    let opened = open(&file, BOB.id(), |_| Some(&*EXCHANGE)).expect("what is wrapped opens");
    let prefix = opened.prefix.clone();
    let content = opened.verify_hop(&ALICE.identity_key()).expect("signed by alice");
    let Content::Letter(read) = content else { panic!("a letter was wrapped") };
    assert!(read.verify(&ALICE.identity_key(), &prefix).is_ok_and(|(_, read)| read == *letter));
}
