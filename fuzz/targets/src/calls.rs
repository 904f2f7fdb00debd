//! What comes in a call: handshakes, frames, messages, and messages in any order.

use std::sync::{Arc, LazyLock};

use mb_carry::exchange::{Event, MOST_OPEN, Session};
use mb_spool::called::Called;
use mb_wire::body::{BodyKey, leaves, plain_len, root};
use mb_wire::call::handshake::{self, Callers, FIRST_LEN, Opener, REPLY_LEN};
use mb_wire::call::message::{HEAD_LEN, Hello, Inbox, Message, Offer, Part, Reason, Rest};
use mb_wire::envelope::{Address, BodyName, Content, Wrap, packet_id, wrap};
use mb_wire::id::PacketId;
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::letter::{Codec, FileMeta, Form, Kind, Letter, LetterBody, Wants};

use crate::input::Input;

/// Bytes of the body that the packet lists.
const BODY_LEN: usize = 1000;

fn node(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

/// Nobody but the caller can make a first message, nor anybody but the listener a reply, nor a frame.
pub fn handshake(data: &[u8]) {
    let (north, south) = (node(1), node(2));
    let callers: Arc<Callers> = Arc::new([(north.call_public(), north.id())].into());
    let mut input = Input(data);
    let (calling, mut first) = handshake::call(&north, &south.id(), &south.call_public(), [3; 32]).expect("good keys");
    match input.byte() % 3 {
        0 => {
            let honest = first;
            alter(&mut first, &mut input);
            let answered = handshake::answer(&south, &first, &callers, [4; 32]);
            assert_eq!(answered.is_ok(), first == honest);
        }
        1 => {
            let mut reply: [u8; REPLY_LEN] =
                *handshake::answer(&south, &first, &callers, [4; 32]).expect("an honest call").reply;
            let honest = reply;
            alter(&mut reply, &mut input);
            assert_eq!(calling.finish(&reply).is_ok(), reply == honest);
        }
        _ => {
            let mut answered = handshake::answer(&south, &first, &callers, [4; 32]).expect("an honest call");
            let mut plain = Vec::new();
            if let Ok(len) = Opener::frame_len(input.array()) {
                assert!(answered.opener.open(input.take(len), &mut plain).is_err());
            }
        }
    }
    assert_eq!(first.len(), FIRST_LEN);
}

/// Writes some of the input somewhere into it.
fn alter(message: &mut [u8], input: &mut Input) {
    let at = input.short() % message.len();
    let with = input.take(message.len() - at);
    message[at..at + with.len()].copy_from_slice(with);
}

/// Messages of each kind, whole and in pieces. What reads well is written the same again.
pub fn message(data: &[u8]) {
    let mut input = Input(data);
    let (kind, step) = (input.byte() % 14, input.byte());
    let content = input.0;
    let len = (content.len() as u32).to_be_bytes();
    let whole = [&[kind, len[1], len[2], len[3]], content].concat();
    let mut inbox = Inbox::default();
    for piece in whole.chunks(usize::from(step) + 1) {
        inbox.push(piece);
        match inbox.next_message() {
            Ok(Some(message)) => {
                let mut again = Vec::new();
                message.write(&mut again);
                assert_eq!(again, whole);
            }
            Ok(None) => {}
            Err(error) => {
                let _ = error.to_string();
                return;
            }
        }
    }
    assert!(inbox.cut_data().is_none_or(|message| matches!(message, Message::Data(_))) && whole.len() >= HEAD_LEN);
    if let Some(called) = Called::parse(content) {
        assert_eq!(called.to_text().as_bytes(), content);
    }
}

/// A packet from north to south with one body.
static PACKET: LazyLock<(PacketId, Vec<u8>, BodyName)> = LazyLock::new(|| {
    let (north, south) = (node(1), node(2));
    let body = [7; BODY_LEN];
    let name = BodyName { root: root(BODY_LEN as u64, &leaves(&body)), size: BODY_LEN as u64 };
    let listed = LetterBody {
        root: name.root,
        size: name.size,
        key: BodyKey::from_random([1; 32]),
        len: plain_len(name.size).expect("a size of a body"),
        codec: Codec::Plain,
    };
    let letter = Letter {
        to: south.id().into(),
        end: 20_000,
        kind: Kind::File(FileMeta { re: None, form: Form::Plain, mode: 0o644, path: b"a".to_vec(), mtime: (7, 8) }),
        salt: [1; 16],
        time: 1_700_000_000,
        forwarded: None,
        reply: None,
        wants: Wants::default(),
        author: north.id(),
        bodies: vec![listed],
        inline: None,
    };
    let content = Content::Letter(letter.sign(&north));
    let to = Address { id: south.id(), exchange: ExchangeSecret::from_random([5; 32]).public() };
    let wrapped = Wrap { to: &to, end: 20_000, nice: 128, hops: 16, bodies: &[name], ask: false, content: &content };
    let envelope = wrap(&north, &wrapped).expect("an envelope");
    (packet_id(&envelope), envelope, name)
});

fn offer() -> Offer {
    let (packet, envelope, body) = &*PACKET;
    Offer { packet: *packet, nice: 128, envelope_len: envelope.len() as u64, bodies_len: body.size }
}

/// Messages in any order, honest ones and made-up ones, to a side that gives and takes. Nothing is believed that does not
/// fit, and what is open stays bounded.
pub fn exchange(data: &[u8]) {
    let mut input = Input(data);
    let mut session = Session::new(node(2).id(), Hello::new(true, 255, 20));
    let mut inbox = Inbox::default();
    while !input.0.is_empty() {
        let mut honest = Vec::new();
        let (packet, envelope, _) = &*PACKET;
        let body = [7; BODY_LEN];
        let leaf = leaves(&body);
        match input.byte() % 12 {
            0 => Message::Hello(Hello::new(input.byte().is_multiple_of(2), 255, 20)).write(&mut honest),
            1 => Message::Offer(vec![offer()]).write(&mut honest),
            2 => Message::Envelope(envelope).write(&mut honest),
            3 => Message::Leaves(leaf.as_flattened()).write(&mut honest),
            4 => Message::Data(&body[..input.short().clamp(1, BODY_LEN)]).write(&mut honest),
            5 => Message::Want(vec![*packet]).write(&mut honest),
            6 => Message::Landed(vec![*packet]).write(&mut honest),
            7 => Message::Withdraw(vec![*packet]).write(&mut honest),
            8 => Message::Done(if input.byte().is_multiple_of(2) { Rest::Nothing } else { Rest::Busy })
                .write(&mut honest),
            9 => session.offer(&[offer()].into_iter().filter(|_| session.giving.may_offer(512)).collect::<Vec<_>>()),
            10 => Message::Lack(*packet, 0).write(&mut honest),
            _ => {
                let len = input.short();
                honest.extend_from_slice(input.take(len));
            }
        }
        inbox.push(&honest);
        if !hear(&mut session, &mut inbox, &mut input) {
            return;
        }
    }
    let _ = session.take_output(Vec::new());
}

/// `false`: the call has ended.
fn hear(session: &mut Session, inbox: &mut Inbox, input: &mut Input) -> bool {
    loop {
        let message = match inbox.next_message() {
            Ok(Some(message)) => message,
            Ok(None) => return true,
            Err(_) => return false,
        };
        let Ok(event) = session.receive(message) else { return false };
        match event {
            Event::Offered(offers) => {
                assert!(offers.len() <= MOST_OPEN);
                for offer in offers {
                    match input.byte() % 3 {
                        0 => session.want(&[offer.packet]),
                        1 => session.refuse(offer.packet, Reason::Room),
                        _ => session.landed(&[offer.packet]),
                    }
                }
            }
            Event::Envelope(packet, prefix, bytes) => {
                assert_eq!(packet_id(bytes), packet);
                if !prefix.bodies.is_empty() {
                    let part = if input.byte().is_multiple_of(2) { Part::All } else { Part::Leaves };
                    session.ask(packet, 0, part, Vec::new());
                }
            }
            Event::Leaves(packet, number, found) => session.ask(packet, number, Part::From(0), found),
            Event::Data(chunks) => assert!(chunks.bytes.iter().all(|&byte| byte == 7), "only what the leaves say"),
            Event::Nothing
            | Event::Hello(_)
            | Event::Landed(_)
            | Event::Refused(_)
            | Event::Withdrawn(_)
            | Event::Lacked(..)
            | Event::Done(_) => {}
        }
    }
}
