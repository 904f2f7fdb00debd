//! Areas: cards and secrets, settings and wants, and messages, honestly signed by alice, whose identity key is the post key too.

use mb_wire::area::{
    AreaCard, AreaError, AreaMessage, AreaSecret, Draft, MESSAGE_MOST, SETTINGS_MOST, Settings, Summary, Under, Want,
};
use mb_wire::card::Card;
use mb_wire::cbor;
use mb_wire::envelope::{Address, BodyName};
use mb_wire::hash::{Label, hash};
use mb_wire::id::MsgHash;
use mb_wire::letter::{Letter, LetterError, Posted, Reader};
use mb_wire::seal::SealError;
use mb_wire::size::class;
use mb_wire::statement::Statement;

use crate::hand::{self, ALICE, AREA, BOB, EXCHANGE};
use crate::input::Input;
use crate::texts::bech32m;

/// 0: an area's card; 1: a statement of any kind; 3: settings; 4: a want; all signed by alice. 2: what a secret's text holds. 5: settings
/// of alice's; 6: a summary. Else a statement as it comes.
pub fn area_card(data: &[u8]) {
    let mut input = Input(data);
    let card = match input.byte() {
        0 => hand::as_signed(Label::Stmt, &hand::statement("area", input.0)),
        1 => hand::as_signed(Label::Stmt, input.0),
        2 => return bech32m("mbsecret", input.0).iter().for_each(|text| secret(text)),
        3 => hand::as_signed(Label::Stmt, &hand::statement("settings", input.0)),
        4 => hand::as_signed(Label::Stmt, &hand::statement("want", input.0)),
        5 => return issue(input),
        6 => return summary(input),
        _ => data.to_vec(),
    };
    settings(&card);
    want(&card);
    let Ok(card) = AreaCard::from_bytes(&card) else { return };
    assert_eq!(AreaCard::parse(&card.to_text()).as_ref(), Ok(&card));
    assert!(Card::from_bytes(card.as_bytes()).is_err());
    assert!((1..=32).contains(&card.name.len()) && card.created < 1 << 53);
}

/// What reads keeps its limits, and a key that opens is the one that letters are sealed to.
fn settings(statement: &[u8]) {
    let Ok(settings) = Settings::from_bytes(statement) else { return };
    let lens = [settings.posts.len(), settings.nodes.len(), settings.readers().count()];
    assert!(lens.iter().all(|len| *len <= 1_000) && statement.len() <= SETTINGS_MOST);
    assert!((1..1 << 53).contains(&settings.under.epoch) && settings.most.is_none_or(|most| most < 1 << 53));
    assert!(settings.as_bytes() == statement && !settings.counts_after(&settings));
    assert!(AreaCard::from_bytes(statement).is_err());
    for reader in settings.readers().take(3) {
        let read = settings.read_key(reader, |_| Some(&EXCHANGE));
        assert!(read.is_none_or(|read| read.public() == settings.read));
    }
}

/// What reads is what its issuer signs.
fn want(statement: &[u8]) {
    let Ok(statement) = Statement::parse(statement) else { return };
    if let Ok((by, want)) = Want::read(&statement) {
        assert!(want.version < 1 << 53);
        let again = Statement::parse(&want.sign(&ALICE, statement.created)).expect("a statement");
        assert_eq!(Want::read(&again), Ok((ALICE.id(), want)));
        assert!(by == ALICE.id() || statement.issuer != ALICE.identity_key());
    }
}

/// What the owner makes reads, and opens for the reader.
fn issue(mut input: Input) {
    let (version, epoch) = (u64::from_le_bytes(input.array()), u64::from_le_bytes(input.array()));
    let (most, days) = (u64::from_le_bytes(input.array()), u32::from_le_bytes(input.array()));
    let (salt, created) = (input.array(), u64::from(u32::from_le_bytes(input.array())));
    let posts = input.0.chunks_exact(32).map(|post| post.try_into().expect("32 bytes")).collect();
    let readers = vec![Address { id: BOB.id(), exchange: EXCHANGE.public() }];
    let draft = Draft { posts, readers, nodes: vec![ALICE.id()], most: Some(most), days: Some(days) };
    let under = Under { version, epoch };
    match Settings::issue(&ALICE, *AREA, &draft, (under, &EXCHANGE), created, salt) {
        Ok(made) => {
            assert_eq!((made.under, made.most, made.days, &made.posts), (under, Some(most), Some(days), &draft.posts));
            let read = made.read_key(BOB.id(), |tag| (tag == EXCHANGE.tag()).then_some(&*EXCHANGE));
            assert_eq!(read.map(|read| read.public()), Some(made.read));
            settings(made.as_bytes());
        }
        Err(error) => assert!(matches!(error, AreaError::Range(_) | AreaError::Settings | AreaError::Statement(_))),
    }
}

/// Whatever it says, nothing comes of it but messages that are there, each once.
fn summary(mut input: Input) {
    let count = input.short() % 512;
    let ours: Vec<_> =
        (0..count as u32).map(|number| MsgHash::from_bytes(hash(Label::Msg, &[&number.to_be_bytes()]))).collect();
    let Ok(told) = cbor::decode::<Summary>(&cbor::bytes_item(input.0)) else { return };
    assert_eq!(cbor::encode(&told), cbor::bytes_item(input.0));
    let mut lacks = told.lacks(&ours);
    let len = lacks.len();
    lacks.sort();
    lacks.dedup();
    assert!(lacks.len() == len && lacks.iter().all(|message| ours.contains(message)));
    assert!(Summary::of(&ours).lacks(&ours).is_empty());
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
