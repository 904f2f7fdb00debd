//! One end of a call that a test speaks itself, message by message: a neighbour with valid keys and bad manners.

use crate::common::Node;
use crate::common::line::Random;
use mb_node::home::Home;
use mb_wire::call::handshake::{self, FIRST_LEN, FRAME_HEAD_LEN, FRAME_MOST, Opener, REPLY_LEN, Sealer};
use mb_wire::call::message::{HEAD_LEN, Hello, Inbox, Message};
use mb_wire::card::Card;
use mb_wire::key::NodeSecrets;
use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// After so long without a byte a test hangs.
const HANGS: Duration = Duration::from_secs(60);

/// The secrets of a node whose key has no passphrase.
pub fn secrets(node: &Node) -> NodeSecrets {
    let home = Home::open(&node.config).expect("a node");
    home.unlock(&mut || panic!("its key has no passphrase")).expect("its key")
}

/// The first bytes of a call from one node to another, and what is needed to go on.
pub fn first_message(from: &Node, to: &Node, seed: u64) -> (handshake::Calling, [u8; FIRST_LEN]) {
    let card = Card::parse(&to.card()).expect("a card");
    let coins = Random(seed).bytes(32).try_into().expect("it is 32 bytes");
    handshake::call(&secrets(from), &card.id(), &card.call, coins).expect("sound keys")
}

/// One end of a call.
pub struct Voice {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
    inbox: Inbox,
}

impl Voice {
    /// Calls `to` as `from`. Nothing is said after the handshake.
    pub fn call(from: &Node, to: &Node, address: impl ToSocketAddrs) -> Voice {
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(HANGS)).expect("not zero");
        let (calling, first) = first_message(from, to, 0x0c0f_fee0);
        stream.write_all(&first).expect("it listens");
        let mut reply = [0; REPLY_LEN];
        stream.read_exact(&mut reply).expect("it answers a neighbour");
        let (sealer, opener) = calling.finish(&reply).expect("it is who was called");
        Voice { stream, sealer, opener, inbox: Inbox::default() }
    }

    /// Answers the next call on `socket` as `node`, from `caller`. Nothing is said after the handshake.
    pub fn answer(node: &Node, caller: &Node, socket: &TcpListener) -> Voice {
        let (mut stream, _) = socket.accept().expect("a caller");
        stream.set_read_timeout(Some(HANGS)).expect("not zero");
        let mut first = [0; FIRST_LEN];
        stream.read_exact(&mut first).expect("a first message");
        let card = Card::parse(&caller.card()).expect("a card");
        let callers = Arc::new(HashMap::from([(card.call, card.id())]));
        let answered = handshake::answer(&secrets(node), &first, &callers, [7; 32]).expect("a call of the neighbour");
        stream.write_all(&*answered.reply).expect("it listens");
        Voice { stream, sealer: answered.sealer, opener: answered.opener, inbox: Inbox::default() }
    }

    /// Says hello, wanting all.
    pub fn hello(&mut self) -> &mut Voice {
        self.say(&Message::Hello(Hello::new(true, 255, 20)))
    }

    /// Says one thing. That nobody hears it any more is no failure.
    pub fn say(&mut self, message: &Message) -> &mut Voice {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        self.say_bytes(&bytes)
    }

    /// Says bytes that need not be messages, in sound frames.
    pub fn say_bytes(&mut self, bytes: &[u8]) -> &mut Voice {
        let mut sealed = Vec::new();
        let len = self.sealer.seal(bytes, FRAME_MOST, &mut sealed).expect("it can be sealed");
        self.write(&sealed[..len])
    }

    /// Writes bytes that need not be frames.
    pub fn write(&mut self, bytes: &[u8]) -> &mut Voice {
        let _ = self.stream.write_all(bytes);
        self
    }

    /// The frames that would say so, not sent.
    pub fn seal(&mut self, message: &Message) -> Vec<u8> {
        let (mut bytes, mut sealed) = (Vec::new(), Vec::new());
        message.write(&mut bytes);
        let len = self.sealer.seal(&bytes, FRAME_MOST, &mut sealed).expect("it can be sealed");
        sealed.truncate(len);
        sealed
    }

    /// Ends what we say.
    pub fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends everything.
    pub fn cut(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// What the other side says next, pings left out; `None`: nothing more.
    pub fn hear(&mut self) -> Option<Message<'static>> {
        loop {
            if let Some(message) = self.inbox.next_message().expect("ours are sound") {
                match owned(message) {
                    Message::Ping => continue,
                    message => return Some(message),
                }
            }
            let plain = self.frame().map_err(|error| {
                let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                assert!(!is_late, "the other side says nothing, and does not hang up");
            });
            self.inbox.push(&plain.ok()?);
        }
    }

    /// Hears until `is_it`; panics if the call ends before.
    #[track_caller]
    pub fn hear_until(&mut self, is_it: impl Fn(&Message) -> bool) -> Message<'static> {
        let mut heard = Vec::new();
        while let Some(message) = self.hear() {
            if is_it(&message) {
                return message;
            }
            heard.push(format!("{message:?}").chars().take(60).collect::<String>());
        }
        panic!("the call ended before that, after {heard:#?}");
    }

    /// Hears until the call ends; everything that was said.
    pub fn hear_all(&mut self) -> Vec<Message<'static>> {
        std::iter::from_fn(|| self.hear()).collect()
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; FRAME_HEAD_LEN];
        self.stream.read_exact(&mut head)?;
        let mut frame = vec![0; Opener::frame_len(head).expect("ours are sound")];
        self.stream.read_exact(&mut frame)?;
        let mut plain = Vec::new();
        self.opener.open(&frame, &mut plain).expect("ours are sound");
        Ok(plain)
    }
}

/// A message as bytes, head and all.
pub fn raw(kind: u8, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).expect("short").to_be_bytes();
    let mut bytes = Vec::with_capacity(HEAD_LEN + content.len());
    bytes.extend_from_slice(&[kind, len[1], len[2], len[3]]);
    bytes.extend_from_slice(content);
    bytes
}

/// A test is short: what was heard may stay.
fn owned(message: Message<'_>) -> Message<'static> {
    let keep = |bytes: &[u8]| -> &'static [u8] { bytes.to_vec().leak() };
    match message {
        Message::Envelope(bytes) => Message::Envelope(keep(bytes)),
        Message::Leaves(bytes) => Message::Leaves(keep(bytes)),
        Message::Data(bytes) => Message::Data(keep(bytes)),
        Message::Hello(hello) => Message::Hello(hello),
        Message::Offer(offers) => Message::Offer(offers),
        Message::Want(packets) => Message::Want(packets),
        Message::Ask(ask) => Message::Ask(ask),
        Message::Landed(packets) => Message::Landed(packets),
        Message::Refuse(refused) => Message::Refuse(refused),
        Message::Withdraw(packets) => Message::Withdraw(packets),
        Message::Done(is_all) => Message::Done(is_all),
        Message::Ping => Message::Ping,
        Message::Lack(packet, number) => Message::Lack(packet, number),
    }
}
