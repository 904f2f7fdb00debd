//! Areas: cards and secrets, and messages, honestly signed by alice, whose identity key is the post key too.

use mb_wire::area::{AreaCard, AreaError, AreaMessage, AreaSecret, MESSAGE_MOST};
use mb_wire::card::Card;
use mb_wire::cbor;
use mb_wire::envelope::BodyName;
use mb_wire::hash::{Label, hash};
use mb_wire::letter::{Letter, LetterError, Posted, Reader};
use mb_wire::seal::SealError;
use mb_wire::size::class;

use crate::hand::{self, ALICE, AREA, EXCHANGE};
use crate::input::Input;
use crate::texts::bech32m;

/// 0: an area's card; 1: its statement; both signed by alice. 2: what a secret's text holds. Else a card as it comes.
pub fn area_card(data: &[u8]) {
    let mut input = Input(data);
    let card = match input.byte() {
        0 => hand::as_signed(Label::Stmt, &hand::statement("area", input.0)),
        1 => hand::as_signed(Label::Stmt, input.0),
        2 => return bech32m("mbsecret", input.0).iter().for_each(|text| secret(text)),
        _ => data.to_vec(),
    };
    let Ok(card) = AreaCard::from_bytes(&card) else { return };
    assert_eq!(AreaCard::parse(&card.to_text()).as_ref(), Ok(&card));
    assert!(Card::from_bytes(card.as_bytes()).is_err());
    assert!((1..=32).contains(&card.name.len()) && card.created < 1 << 53);
}

/// What reads is written the same again, and can do what it says.
pub fn secret(text: &str) {
    if let Ok(secret) = AreaSecret::from_text(text) {
        assert!(secret.post.is_some() || secret.read.is_some());
        assert!(secret.card.keys.is_none_or(|keys| secret.post.as_ref().is_none_or(|key| key.public() == keys.post)));
        assert!(secret.card.keys.is_none_or(|keys| secret.read.as_ref().is_none_or(|key| key.public() == keys.read)));
        assert_eq!(*secret.to_text(), text.to_ascii_lowercase());
    }
}

/// 0: a letter of alice's, made one to the area; 1: a head; 2: what is sealed. All else is honest. Else a message as it comes.
pub fn area_message(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() {
        0 => letter(input.0),
        1 => head(input.0),
        2 => plain(input.0),
        _ => {
            if let Ok(message) = AreaMessage::parse(data) {
                assert_eq!(message.to_bytes(), data);
                let _ = message.verify_post();
                let _ = message.open(&EXCHANGE);
            }
        }
    }
}

/// A reader takes what a letter may say, and nothing else, and reads what was written.
fn letter(data: &[u8]) {
    let Ok(letter) = cbor::decode::<Letter>(data) else { return };
    let bodies: Vec<_> = letter.bodies.iter().map(|body| BodyName { root: body.root, size: body.size }).collect();
    let head = hand::area_head(letter.end, &bodies);
    let re = match &letter.to {
        Reader::Area(posted) => posted.re,
        Reader::Node(_) => None,
    };
    let card = hand::CARD.as_bytes().to_vec();
    let posted = Posted { area: *AREA, re, card, head: hash(Label::Head, &[&head]) };
    let asks = letter.reply.is_some() || cbor::encode(&letter.wants) != [0] || letter.kind.word() == "request";
    let letter = Letter { to: Reader::Area(Box::new(posted)), author: ALICE.id(), ..letter };
    let inner = cbor::encode(&letter.sign(&ALICE));
    let Ok(message) = AreaMessage::parse(&hand::area_message(&head, &hand::behind_length(&inner))) else { return };
    match read(&message) {
        Ok(read) => assert!(read == letter && !asks),
        Err(AreaError::Letter(error)) => assert!(!matches!(
            error,
            LetterError::To(_)
                | LetterError::Head
                | LetterError::Signature(_)
                | LetterError::Key(_)
                | LetterError::Card(_)
        )),
        Err(error) => panic!("{error}"),
    }
}

fn read(message: &AreaMessage) -> Result<Letter, AreaError> {
    message.verify_post().expect("it is signed with its post key");
    let (signed, frame) = message.open(&EXCHANGE)?;
    Ok(signed.verify_posted(frame)?.1)
}

/// What a relay sees of it: it opens for nobody.
fn head(head: &[u8]) {
    let sealed = vec![0; class(head.len() as u64 + 20) as usize - head.len()];
    let whole = hand::signed_message(head, &sealed);
    let Ok(message) = AreaMessage::parse(&whole) else { return };
    assert!(head.len() + sealed.len() <= MESSAGE_MOST && message.head.bodies.len() <= 1024);
    assert_eq!(message.to_bytes(), whole);
    assert_eq!(message.verify_post().is_ok(), message.head.post == ALICE.identity_key());
    assert!(message.open(&EXCHANGE).is_err());
}

/// What a member seals, whatever it is: the seal opens.
fn plain(plain: &[u8]) {
    let head = hand::area_head(20_090, &[]);
    if plain.len() > MESSAGE_MOST / 2 {
        return;
    }
    let message = AreaMessage::parse(&hand::area_message(&head, plain)).expect("an honest head, and a class");
    match read(&message) {
        Err(AreaError::Seal(error)) => {
            assert!(matches!(error, SealError::InnerLength | SealError::Class { .. } | SealError::Padding), "{error}");
        }
        other => assert!(matches!(other, Ok(_) | Err(AreaError::Letter(_)))),
    }
}
