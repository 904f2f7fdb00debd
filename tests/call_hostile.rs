//! Calls from and to those who mean harm: strangers, recordings, and a neighbour with valid keys that breaks every rule of
//! the exchange. In each case the program tells it and lives on, the spool is as it was, and the next honest call works.

mod common;
#[path = "common/voice.rs"]
mod voice;

use common::line::{DOWN, Fate, Proxy, Random, Running, Summary, UP, Way};
use common::line::{files, is_tidy, listen, set, taken, waiting};
use common::{Node, World, tree};
use mb_wire::body::{CHUNK_LEN, leaves};
use mb_wire::call::handshake::{FIRST_LEN, REPLY_LEN};
use mb_wire::call::message::{Ask, DATA_CHUNKS_MOST, Hello, Message, Offer, Part, Reason, Rest};
use mb_wire::envelope::{BodyName, packet_id, read_prefix};
use mb_wire::id::PacketId;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use voice::{Voice, first_message, raw};

/// Bytes of a file that makes a body of seven chunks.
const BIG_LEN: usize = 430_000;

/// North means harm, south is ours, east is honest.
struct Stage {
    world: World,
    north: Node,
    south: Node,
    east: Node,
}

impl Stage {
    fn new() -> Stage {
        let world = World::in_memory();
        let (north, south, east) = (world.node("north"), world.node("south"), world.node("east"));
        world.introduce(&[&north, &south, &east]);
        Stage { world, north, south, east }
    }

    fn send(&self, from: &Node, to: &str, name: &str, content: impl AsRef<[u8]>) -> PacketId {
        let file = self.world.write(format!("out/{name}"), content);
        let sent = from.command(["mb-send", "--compress", "never", "-t", to]).arg(file).run().ok();
        sent.trim().parse().expect("mb-send prints ids")
    }

    /// What lies in south's spool, but for what a call keeps for the next one, and its own folder while it runs.
    fn tree(&self) -> Vec<String> {
        let mut lines = tree(&self.south.spool);
        lines.retain(|line| !line.starts_with("part") && !line.starts_with("tmp"));
        lines
    }

    /// East calls south with a packet, and it gets through.
    #[track_caller]
    fn serves_others(&self, address: SocketAddr) {
        let address = address.to_string();
        self.east.run(["mb-call", "south", "--addr", &address]).silent();
    }
}

/// A packet, as its giver has it.
struct Packet {
    offer: Offer,
    envelope: Vec<u8>,
    bodies: Vec<(BodyName, Vec<u8>)>,
}

impl Packet {
    fn load(node: &Node, to: &Node, packet: PacketId) -> Packet {
        let tx = node.spool.join(to.id()).join("tx");
        let envelope = fs::read(tx.join(packet.to_string())).expect("it waits");
        let prefix = read_prefix(&envelope).expect("it is sound");
        let body = |(number, body): (usize, &BodyName)| {
            (*body, fs::read(tx.join(format!("{packet}.{number}"))).expect("it is there"))
        };
        let bodies: Vec<_> = prefix.bodies.iter().enumerate().map(body).collect();
        let bodies_len = bodies.iter().map(|(body, _)| body.size).sum();
        let offer = Offer { packet, nice: prefix.nice, envelope_len: envelope.len() as u64, bodies_len };
        Packet { offer, envelope, bodies }
    }

    fn id(&self) -> PacketId {
        self.offer.packet
    }

    fn body(&self) -> &[u8] {
        &self.bodies[0].1
    }

    fn leaves(&self) -> Vec<u8> {
        leaves(self.body()).as_flattened().to_vec()
    }
}

/// What the packets are that the cases are about.
struct Goods {
    /// North's for south, without a body.
    small: Packet,
    /// North's for south, with a body of seven chunks.
    big: Packet,
    /// North's for east.
    for_east: Packet,
    /// South's for north, with a body of four chunks.
    own: Packet,
    /// South's for east, which is no business of north's.
    foreign: Packet,
}

impl Goods {
    fn new(stage: &Stage) -> Goods {
        let Stage { north, south, east, .. } = stage;
        let small = stage.send(north, "south", "small", "a few words");
        let big = stage.send(north, "south", "big", Random(1).bytes(BIG_LEN));
        let for_east = stage.send(north, "east", "for-east", "a few words for east");
        let own = stage.send(south, "north", "own", Random(2).bytes(200_000));
        let foreign = stage.send(south, "east", "foreign", Random(3).bytes(200_000));
        Goods {
            small: Packet::load(north, south, small),
            big: Packet::load(north, south, big),
            for_east: Packet::load(north, east, for_east),
            own: Packet::load(south, north, own),
            foreign: Packet::load(south, east, foreign),
        }
    }
}

fn none() -> PacketId {
    PacketId::from_bytes([7; 32])
}

fn offer(packet: &Packet) -> Message<'static> {
    Message::Offer(vec![packet.offer])
}

/// So many offers of packets that nobody has.
fn made_up(count: usize, envelope_len: u64) -> Vec<Message<'static>> {
    let mut random = Random(5);
    let mut one = |_| Offer {
        packet: PacketId::from_bytes(random.bytes(32).try_into().expect("it is 32 bytes")),
        nice: 1,
        envelope_len,
        bodies_len: 0,
    };
    let offers: Vec<Offer> = (0..count).map(&mut one).collect();
    offers.chunks(200).map(|list| Message::Offer(list.to_vec())).collect()
}

/// Offers a packet, and gives its envelope when that is wanted, until its body is asked for.
fn until_asked(voice: &mut Voice, packet: &Packet) {
    voice.hello().say(&offer(packet));
    voice.hear_until(|message| matches!(message, Message::Want(packets) if packets.contains(&packet.id())));
    voice.say(&Message::Envelope(&packet.envelope));
    voice.hear_until(|message| matches!(message, Message::Ask(ask) if ask.packet == packet.id()));
}

/// The same, but with another offer than is true.
fn offered_as(voice: &mut Voice, offer: Offer, envelope: &[u8]) {
    voice.hello().say(&Message::Offer(vec![offer]));
    voice.hear_until(|message| matches!(message, Message::Want(_)));
    voice.say(&Message::Envelope(envelope));
}

/// Takes the envelope of a packet that was offered to us.
fn until_envelope(voice: &mut Voice, packet: &Packet) {
    voice.hello();
    voice.hear_until(|message| matches!(message, Message::Offer(offers) if offers.contains(&packet.offer)));
    voice.say(&Message::Want(vec![packet.id()]));
    voice.hear_until(|message| matches!(message, Message::Envelope(bytes) if *bytes == packet.envelope));
}

fn ask(packet: &Packet, number: u16, part: Part) -> Message<'static> {
    Message::Ask(Ask { packet: packet.id(), number, part })
}

type Play = fn(&mut Voice, &Goods);

/// What a neighbour does, and what is told of it. Each ends the call.
const PLAYS: &[(&str, Play, &str)] = &[
    (
        "a frame of junk",
        |voice, _| {
            voice.hello().write(&[&[0, 100][..], &[9; 100]].concat());
        },
        "a frame that was altered",
    ),
    (
        "an empty frame",
        |voice, _| {
            voice.hello().write(&[0, 0]);
        },
        "a frame that was altered",
    ),
    (
        "a frame of a tag only",
        |voice, _| {
            voice.hello().write(&[&[0, 16][..], &[9; 16]].concat());
        },
        "a frame that was",
    ),
    (
        "the longest frame of junk",
        |voice, _| {
            voice.hello().write(&[0xff; 65_537]);
        },
        "a frame that was altered",
    ),
    (
        "a frame again",
        |voice, _| {
            let ping = voice.hello().seal(&Message::Ping);
            voice.write(&ping).write(&ping);
        },
        "a frame that was altered",
    ),
    (
        "a frame left out",
        |voice, _| {
            voice.hello().seal(&Message::Ping);
            voice.say(&Message::Ping);
        },
        "a frame that was altered",
    ),
    (
        "kind 0",
        |voice, _| {
            voice.hello().say_bytes(&raw(0, b""));
        },
        "kind that is not known: 0",
    ),
    (
        "kind 14",
        |voice, _| {
            voice.hello().say_bytes(&raw(14, b"x"));
        },
        "kind that is not known: 14",
    ),
    (
        "kind 255",
        |voice, _| {
            voice.hello().say_bytes(&[255; 4]);
        },
        "kind that is not known: 255",
    ),
    (
        "an endless offer",
        |voice, _| {
            voice.hello().say_bytes(&[2, 0xff, 0xff, 0xff]);
        },
        "claims 16777215 bytes",
    ),
    (
        "an endless envelope",
        |voice, _| {
            voice.hello().say_bytes(&[4, 4, 0, 1]);
        },
        "claims 262145 bytes",
    ),
    (
        "endless data",
        |voice, _| {
            voice.hello().say_bytes(&[7, 0xff, 0xff, 0xff]);
        },
        "claims 16777215 bytes",
    ),
    (
        "a ping with something in it",
        |voice, _| {
            voice.hello().say_bytes(&raw(12, b"x"));
        },
        "claims 1 bytes",
    ),
    (
        "junk as done",
        |voice, _| {
            voice.hello().say_bytes(&raw(11, b"x"));
        },
        "message of kind 11",
    ),
    (
        "a done with something in it",
        |voice, _| {
            voice.hello().say_bytes(&raw(11, b"xy"));
        },
        "claims 2 bytes",
    ),
    (
        "junk as offers",
        |voice, _| {
            voice.hello().say_bytes(&raw(2, &[0xff; 9]));
        },
        "message of kind 2",
    ),
    (
        "junk as wants",
        |voice, _| {
            voice.hello().say_bytes(&raw(3, b"\x81\x42\0\0"));
        },
        "message of kind 3",
    ),
    (
        "junk as an ask",
        |voice, _| {
            voice.hello().say_bytes(&raw(5, b"\xa0"));
        },
        "message of kind 5",
    ),
    (
        "junk as landed",
        |voice, _| {
            voice.hello().say_bytes(&raw(8, b"\x9f\xff"));
        },
        "message of kind 8",
    ),
    (
        "junk as a refusal",
        |voice, _| {
            voice.hello().say_bytes(&raw(9, b"\x81\x82\x40\x09"));
        },
        "message of kind 9",
    ),
    (
        "junk as withdrawn",
        |voice, _| {
            voice.hello().say_bytes(&raw(10, b""));
        },
        "message of kind 10",
    ),
    (
        "a list of nothing",
        |voice, _| {
            voice.hello().say_bytes(&raw(2, b"\x80"));
        },
        "message of kind 2",
    ),
    (
        "an envelope of nothing",
        |voice, _| {
            voice.hello().say_bytes(&raw(4, b""));
        },
        "message of kind 4",
    ),
    (
        "leaves of odd length",
        |voice, _| {
            voice.hello().say_bytes(&raw(6, &[1; 33]));
        },
        "message of kind 6",
    ),
    (
        "no data",
        |voice, _| {
            voice.hello().say_bytes(&raw(7, b""));
        },
        "message of kind 7",
    ),
    (
        "nested CBOR",
        |voice, _| {
            voice.hello().say_bytes(&raw(2, &[0x81; 16_000]));
        },
        "message of kind 2",
    ),
    (
        "a long list that is not there",
        |voice, _| {
            voice.hello().say_bytes(&raw(2, b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"));
        },
        "message of kind 2",
    ),
    (
        "hello twice",
        |voice, _| {
            voice.hello().hello();
        },
        "may not come now",
    ),
    (
        "a size of 2^60",
        |voice, goods| {
            let offer = Offer { bodies_len: 1 << 60, ..goods.big.offer };
            voice.hello().say(&Message::Offer(vec![offer]));
        },
        "message of kind 2",
    ),
    (
        "an envelope of 2^60 bytes",
        |voice, goods| {
            let offer = Offer { envelope_len: 1 << 60, ..goods.big.offer };
            voice.hello().say(&Message::Offer(vec![offer]));
        },
        "message of kind 2",
    ),
    (
        "offers without end",
        |voice, _| {
            voice.hello();
            made_up(1025, 512).iter().for_each(|message| {
                voice.say(message);
            });
        },
        "more at once than is allowed",
    ),
    (
        "too many bytes of envelopes",
        |voice, _| {
            voice.hello();
            made_up(17, 262_144).iter().for_each(|message| {
                voice.say(message);
            });
        },
        "more at once than is allowed",
    ),
    (
        "an offer twice",
        |voice, goods| {
            voice.hello().say(&offer(&goods.big)).say(&offer(&goods.big));
        },
        "twice",
    ),
    (
        "an offer twice in one",
        |voice, goods| {
            voice.hello().say(&Message::Offer(vec![goods.big.offer, goods.big.offer]));
        },
        "twice",
    ),
    (
        "an envelope that nobody wants",
        |voice, goods| {
            voice.hello().say(&Message::Envelope(&goods.small.envelope));
        },
        "not asked for",
    ),
    (
        "another envelope than was wanted",
        |voice, goods| {
            offered_as(voice, goods.small.offer, &goods.big.envelope);
        },
        "not asked for",
    ),
    (
        "an envelope altered",
        |voice, goods| {
            let mut envelope = goods.small.envelope.clone();
            envelope[300] ^= 1;
            offered_as(voice, goods.small.offer, &envelope);
        },
        "not asked for",
    ),
    (
        "an envelope twice",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Envelope(&goods.big.envelope));
        },
        "not asked for",
    ),
    (
        "a body larger than said",
        |voice, goods| {
            offered_as(voice, Offer { bodies_len: 1, ..goods.big.offer }, &goods.big.envelope);
        },
        "not what it was offered as",
    ),
    (
        "a body smaller than said",
        |voice, goods| {
            offered_as(voice, Offer { bodies_len: 9_000_000, ..goods.big.offer }, &goods.big.envelope);
        },
        "not what it was offered as",
    ),
    (
        "an envelope longer than said",
        |voice, goods| {
            offered_as(voice, Offer { envelope_len: 1, ..goods.small.offer }, &goods.small.envelope);
        },
        "not what it was offered as",
    ),
    (
        "more urgent than said",
        |voice, goods| {
            offered_as(voice, Offer { nice: 1, ..goods.small.offer }, &goods.small.envelope);
        },
        "not what it was offered as",
    ),
    (
        "an envelope for another node",
        |voice, goods| {
            offered_as(voice, goods.for_east.offer, &goods.for_east.envelope);
        },
        "not what it was offered as",
    ),
    (
        "no envelope at all",
        |voice, _| {
            let envelope = [9; 512];
            let packet = packet_id(&envelope);
            offered_as(voice, Offer { packet, nice: 1, envelope_len: 512, bodies_len: 0 }, &envelope);
        },
        "sends packet",
    ),
    (
        "data before leaves",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Data(&goods.big.body()[..CHUNK_LEN]));
        },
        "may not come now",
    ),
    (
        "leaves that nobody asked for",
        |voice, goods| {
            voice.hello().say(&Message::Leaves(&goods.big.leaves()));
        },
        "may not come now",
    ),
    (
        "leaves twice",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&goods.big.leaves())).say(&Message::Leaves(&goods.big.leaves()));
        },
        "may not come now",
    ),
    (
        "leaves of another body",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&goods.own.leaves()));
        },
        "leaves that are not those",
    ),
    (
        "too few leaves",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&goods.big.leaves()[32..]));
        },
        "leaves that are not those",
    ),
    (
        "too many leaves",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&[goods.big.leaves(), vec![0; 32]].concat()));
        },
        "leaves that are not those",
    ),
    (
        "chunks in another order",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&goods.big.leaves()));
            voice.say(&Message::Data(&goods.big.body()[CHUNK_LEN..CHUNK_LEN * 2]));
        },
        "other bytes than those",
    ),
    (
        "half a chunk",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&goods.big.leaves()));
            voice.say(&Message::Data(&goods.big.body()[..CHUNK_LEN / 2]));
        },
        "other bytes than those",
    ),
    (
        "more data than there is",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&goods.big.leaves()));
            let body = goods.big.body();
            for data in body[..CHUNK_LEN * 6].chunks(CHUNK_LEN) {
                voice.say(&Message::Data(data));
            }
            voice.say(&Message::Data(&[&body[CHUNK_LEN * 6..], b"and more"].concat()));
        },
        "other bytes than those",
    ),
    (
        "data after it was withdrawn",
        |voice, goods| {
            until_asked(voice, &goods.big);
            voice.say(&Message::Leaves(&goods.big.leaves()));
            voice.say(&Message::Withdraw(vec![goods.big.id()]));
            voice.say(&Message::Data(&goods.big.body()[..CHUNK_LEN]));
        },
        "may not come now",
    ),
    (
        "want what does not exist",
        |voice, _| {
            voice.hello().say(&Message::Want(vec![none()]));
        },
        "which is not open",
    ),
    (
        "want what is for another node",
        |voice, goods| {
            voice.hello().say(&Message::Want(vec![goods.foreign.id()]));
        },
        "which is not open",
    ),
    (
        "want one twice",
        |voice, goods| {
            until_envelope(voice, &goods.own);
            voice.say(&Message::Want(vec![goods.own.id()]));
        },
        "may not come now",
    ),
    (
        "ask for what is for another node",
        |voice, goods| {
            voice.hello().say(&ask(&goods.foreign, 0, Part::All));
        },
        "which is not open",
    ),
    (
        "ask through a packet of one's own",
        |voice, goods| {
            voice.hello().say(&offer(&goods.big)).say(&ask(&goods.big, 0, Part::All));
        },
        "which is not open",
    ),
    (
        "ask before the envelope",
        |voice, goods| {
            voice.hello();
            voice.hear_until(|message| matches!(message, Message::Offer(_)));
            voice.say(&ask(&goods.own, 0, Part::All));
        },
        "a body that is not there",
    ),
    (
        "ask for a number that is not listed",
        |voice, goods| {
            until_envelope(voice, &goods.own);
            voice.say(&ask(&goods.own, 1, Part::All));
        },
        "a body that is not there",
    ),
    (
        "ask for the last number",
        |voice, goods| {
            until_envelope(voice, &goods.own);
            voice.say(&ask(&goods.own, u16::MAX, Part::Leaves));
        },
        "a body that is not there",
    ),
    (
        "ask from behind the end",
        |voice, goods| {
            until_envelope(voice, &goods.own);
            voice.say(&ask(&goods.own, 0, Part::From(4)));
        },
        "a body that is not there",
    ),
    (
        "ask from far behind the end",
        |voice, goods| {
            until_envelope(voice, &goods.own);
            voice.say(&ask(&goods.own, 0, Part::From(u32::MAX)));
        },
        "a body that is not there",
    ),
    (
        "ask again and again",
        |voice, goods| {
            until_envelope(voice, &goods.own);
            for _ in 0..3 {
                voice.say(&ask(&goods.own, 0, Part::All));
            }
        },
        "more at once than is allowed",
    ),
    (
        "landed what was never offered",
        |voice, _| {
            voice.hello().say(&Message::Landed(vec![none()]));
        },
        "which is not open",
    ),
    (
        "landed what is for another node",
        |voice, goods| {
            voice.hello().say(&Message::Landed(vec![goods.foreign.id()]));
        },
        "which is not open",
    ),
    (
        "refuse what was never offered",
        |voice, _| {
            voice.hello().say(&Message::Refuse(vec![(none(), Reason::Room)]));
        },
        "which is not open",
    ),
    (
        "refuse one twice",
        |voice, goods| {
            voice.hello();
            voice.hear_until(|message| matches!(message, Message::Offer(_)));
            voice.say(&Message::Refuse(vec![(goods.own.id(), Reason::Unwanted), (goods.own.id(), Reason::Unwanted)]));
        },
        "which is not open",
    ),
    (
        "done while something is open",
        |voice, goods| {
            voice.hello().say(&offer(&goods.big)).say(&Message::Done(Rest::Nothing));
        },
        "may not come now",
    ),
    (
        "done twice",
        |voice, _| {
            voice.hello().say(&Message::Done(Rest::Nothing)).say(&Message::Done(Rest::Nothing));
        },
        "may not come now",
    ),
    (
        "an offer after done",
        |voice, goods| {
            voice.hello().say(&Message::Done(Rest::Nothing)).say(&offer(&goods.big));
        },
        "may not come now",
    ),
    (
        "a million wants",
        |voice, _| {
            let mut wants = Vec::new();
            (0..1_000_000 / 200).for_each(|_| Message::Want(vec![none(); 200]).write(&mut wants));
            voice.hello().say_bytes(&wants[..wants.len().min(8 << 20)]);
        },
        "which is not open",
    ),
];

/// In each case: it is told as what it is, nothing has changed, and others are served. Threat: 17, 19, 20.
#[test]
fn a_listener_outlives_a_neighbour_that_breaks_any_rule() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let (mut listener, address) = listen(&stage.south, &[]);
    stage.east.run(["mb-call", "--out", "south", "--addr", &address.to_string()]).silent();
    let before = stage.tree();
    for (name, play, told) in PLAYS {
        let mut voice = Voice::call(&stage.north, &stage.south, address);
        play(&mut voice, &goods);
        voice.end();
        voice.hear_all();
        let line = listener.wait_for("north: ");
        assert!(line.contains("north: the other side ") && line.contains(told), "{name}: {line}");
        assert_eq!(stage.tree(), before, "{name}");
    }
    stage.east.run(["mb-call", "--out", "south", "--addr", &address.to_string()]).silent();
    stage.north.run(["mb-call", "--addr", &address.to_string(), "south"]).silent();
    assert_eq!((waiting(&stage.north, &stage.south).len(), waiting(&stage.south, &stage.north).len()), (0, 0));
    stage.serves_others(address);
    listener.stop().fails(76);
    is_tidy(&stage.south);
}

/// The same from the other side: whoever we call has valid keys and bad manners. Threat: 19, 20.
#[test]
fn a_caller_outlives_a_neighbour_that_breaks_any_rule() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = socket.local_addr().expect("it is bound").to_string();
    let before = stage.tree();
    for (name, play, told) in PLAYS {
        let caller = Running::start(stage.south.command(["mb-call", "north", "--addr", &address]));
        let mut voice = Voice::answer(&stage.north, &stage.south, &socket);
        play(&mut voice, &goods);
        voice.end();
        voice.hear_all();
        let run = caller.ended();
        assert!(
            run.stderr().contains("mb-call: north: the other side ") && run.stderr().contains(told),
            "{name}: {run}"
        );
        assert_eq!(run.code, 76, "{name}: {run}");
        assert_eq!(stage.tree(), before, "{name}");
    }
}

/// Something that could be said, sound in itself.
fn something(random: &mut Random, goods: &Goods) -> Vec<u8> {
    let all = [&goods.small, &goods.big, &goods.for_east, &goods.own, &goods.foreign];
    let packet = all[(random.next() % 5) as usize];
    let chunk = (random.next() % 7) as usize;
    let body = packet.bodies.first().map_or(&[1; 9][..], |(_, bytes)| bytes);
    let leaves = leaves(body).as_flattened().to_vec();
    let data = body.chunks(CHUNK_LEN).nth(chunk).unwrap_or(&[2; 7]);
    let part = [Part::All, Part::Leaves, Part::From(0), Part::From(chunk as u32)][(random.next() % 4) as usize];
    let message = match random.next() % 12 {
        0 => Message::Ping,
        1 | 2 => offer(packet),
        3 | 4 => Message::Want(vec![packet.id()]),
        5 | 6 => Message::Envelope(&packet.envelope),
        7 => ask(packet, 0, part),
        8 => Message::Leaves(&leaves),
        9 => Message::Data(data),
        10 => Message::Refuse(vec![(packet.id(), Reason::Room)]),
        _ => Message::Withdraw(vec![packet.id()]),
    };
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}

/// Sound messages in any order, some of them altered, then the end: what is in the spool is what it says it is. Threat: 17, 19.
#[test]
fn whatever_a_neighbour_says_in_whatever_order_the_spool_stays_sound() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let (listener, address) = listen(&stage.south, &[]);
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut voice = Voice::call(&stage.north, &stage.south, address);
        voice.hello();
        for _ in 0..random.next() % 12 {
            let mut bytes = something(&mut random, &goods);
            if random.next().is_multiple_of(16) {
                let at = random.next() as usize % bytes.len();
                bytes[at] ^= 1 << (random.next() % 8);
            }
            voice.say_bytes(&bytes);
        }
        voice.end();
        voice.hear_all();
    }
    stage.south.run(["mb-check"]).silent();
    assert!(waiting(&stage.south, &stage.east).contains(&goods.foreign.id().to_string()));
    assert!(waiting(&stage.south, &stage.north).contains(&goods.own.id().to_string()), "nobody said that it landed");
    stage.serves_others(address);
    assert!(matches!(listener.stop().code, 1 | 75 | 76));
}

/// Only good chunks are kept, and the next call goes on behind them. Threat: 20.
#[test]
fn a_bad_chunk_ends_the_call_and_what_came_before_it_is_kept() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let (mut listener, address) = listen(&stage.south, &[]);
    let (big, part) = (&goods.big, stage.south.spool.join("part").join(stage.north.id()));
    for (good, bad) in [(2, 0), (0, 0), (3, 2), (6, 0)] {
        let mut voice = Voice::call(&stage.north, &stage.south, address);
        voice.hello().say(&offer(big));
        voice.hear_until(|message| matches!(message, Message::Want(_)));
        voice.say(&Message::Envelope(&big.envelope));
        let asked = voice.hear_until(|message| matches!(message, Message::Ask(_)));
        voice.say(&Message::Leaves(&big.leaves()));
        let first = match asked {
            Message::Ask(Ask { part: Part::Leaves, .. }) => {
                let asked = voice.hear_until(|message| matches!(message, Message::Ask(_)));
                let Message::Ask(Ask { part: Part::From(first), .. }) = asked else { panic!("{asked:?}") };
                first as usize
            }
            _ => 0,
        };
        let kept = files(&part).first().map_or(0, |name| fs::metadata(part.join(name)).expect("it is there").len());
        assert_eq!(kept, (first * CHUNK_LEN) as u64, "it goes on behind what is good");
        // `good` chunks more at the most, then junk behind `bad` good ones in the same message.
        let until = first.max(good);
        let body = big.body();
        if until > first {
            for data in body[first * CHUNK_LEN..until * CHUNK_LEN].chunks(DATA_CHUNKS_MOST * CHUNK_LEN) {
                voice.say(&Message::Data(data));
            }
        }
        let rest = &body[until * CHUNK_LEN..];
        let mut data = rest[..rest.len().min((bad + 1) * CHUNK_LEN)].to_vec();
        *data.last_mut().expect("there is some") ^= 1;
        voice.say(&Message::Data(&data));
        voice.hear_all();
        let line = listener.wait_for("north: ");
        assert!(line.contains("other bytes than those of body"), "{line}");
        assert_eq!(taken(&stage.south, &stage.north), [""; 0]);
        let names = files(&part);
        let found = names.first().map(|name| fs::read(part.join(name)).expect("it is there")).unwrap_or_default();
        assert!(
            body.starts_with(&found) && found.len() == until * CHUNK_LEN,
            "{} bytes of {until} chunks",
            found.len()
        );
    }
    let run = stage.north.run(["mb-call", "-v", "south", "--addr", &address.to_string()]);
    let summary = Summary::of(&run).unwrap_or_else(|| panic!("{run}"));
    assert!(summary.out_len < 40_000, "all but the last chunk was there: {run}");
    run.ok();
    stage.south.run(["mb-toss"]).ok();
    assert_eq!(fs::read(stage.south.spool.join("incoming/north/big")).ok(), Some(Random(1).bytes(BIG_LEN)));
    listener.stop().fails(76);
    is_tidy(&stage.south);
}

/// What rests of a body is compared with its leaves before anything is built on it. Threat: 20.
#[test]
fn junk_in_an_unfinished_body_is_found_and_what_is_good_before_it_is_used() {
    let stage = Stage::new();
    let (_listener, address) = listen(&stage.south, &[]);
    let part = stage.south.spool.join("part").join(stage.north.id());
    fs::create_dir_all(&part).expect("a folder of the world");
    type Spoil = fn(&[u8]) -> Vec<u8>;
    let cases: [(Spoil, usize); 7] = [
        (|_| vec![9; 100_000], 0),
        (|body| [&body[..CHUNK_LEN * 3], &[9][..], &body[CHUNK_LEN * 3 + 1..]].concat(), 3),
        (|body| [body, &[1; 100_000]].concat(), 7),
        (|body| body[..CHUNK_LEN + 7].to_vec(), 1),
        (|_| Vec::new(), 0),
        (|body| body[..body.len() - 1].to_vec(), 6),
        (<[u8]>::to_vec, 7),
    ];
    for (number, (spoil, good)) in cases.into_iter().enumerate() {
        let content = Random(number as u64).bytes(BIG_LEN);
        let id = stage.send(&stage.north, "south", &number.to_string(), &content);
        let packet = Packet::load(&stage.north, &stage.south, id);
        fs::write(part.join(packet.bodies[0].0.root.to_string()), spoil(packet.body())).expect("a file of the world");
        let run = stage.north.run(["mb-call", "-v", "--out", "south", "--addr", &address.to_string()]);
        let summary = Summary::of(&run).unwrap_or_else(|| panic!("{run}"));
        let left = packet.body().len() - packet.body().len().min(good * CHUNK_LEN);
        assert_eq!(summary.out_len, (packet.envelope.len() + left) as u64, "case {number}: {run}");
        run.ok();
        assert_eq!(files(&part), [""; 0], "case {number}");
        stage.south.run(["mb-toss"]).ok();
        assert!(
            fs::read(stage.south.spool.join("incoming/north").join(number.to_string())).ok() == Some(content),
            "{number}"
        );
    }
}

/// As the giver, to the very end, by hand: the call ends after each of the things that are said. Threat: 5, 19.
#[test]
fn a_neighbour_that_hangs_up_after_any_message_leaves_nothing_half() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let (mut listener, address) = listen(&stage.south, &[]);
    let (big, body) = (&goods.big, goods.big.body());
    let before = stage.tree();
    let steps = 2 + 2 + body.len().div_ceil(CHUNK_LEN);
    for last in 0..steps {
        let mut voice = Voice::call(&stage.north, &stage.south, address);
        voice.hello();
        let mut said = 1;
        let mut is_over = |voice: &mut Voice| {
            said += 1;
            let is_over = said > last;
            if is_over {
                voice.end();
            }
            is_over
        };
        let mut play = |voice: &mut Voice| {
            if is_over(voice) {
                return;
            }
            voice.say(&offer(big));
            if is_over(voice) {
                return;
            }
            voice.hear_until(|message| matches!(message, Message::Want(_)));
            voice.say(&Message::Envelope(&big.envelope));
            if is_over(voice) {
                return;
            }
            let asked = voice.hear_until(|message| matches!(message, Message::Ask(_)));
            voice.say(&Message::Leaves(&big.leaves()));
            let first = match asked {
                Message::Ask(Ask { part: Part::Leaves, .. }) => {
                    let asked = voice.hear_until(|message| matches!(message, Message::Ask(_)));
                    let Message::Ask(Ask { part: Part::From(first), .. }) = asked else { panic!("{asked:?}") };
                    first as usize
                }
                _ => 0,
            };
            // One chunk more in each round: the last is never given.
            let chunk = body[first * CHUNK_LEN..].chunks(CHUNK_LEN).next().expect("something is missing");
            if first + 1 < body.len().div_ceil(CHUNK_LEN) {
                voice.say(&Message::Data(chunk));
            }
            voice.end();
        };
        play(&mut voice);
        voice.hear_all();
        let line = listener.wait_for("north: ");
        assert!(line.contains("the call was cut"), "{last}: {line}");
        assert_eq!(stage.tree(), before, "{last}");
        assert_eq!(taken(&stage.south, &stage.north), [""; 0]);
    }
    stage.north.run(["mb-call", "south", "--addr", &address.to_string()]).silent();
    listener.stop().fails(75);
    is_tidy(&stage.south);
}

/// Who wants more than fits is told, and keeps what it has; the call goes on. Threat: 17, 21.
#[test]
fn an_offer_of_what_no_disk_holds_is_refused_and_the_call_goes_on() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let (mut listener, address) = listen(&stage.south, &[]);
    let mut voice = Voice::call(&stage.north, &stage.south, address);
    let huge = Offer { packet: none(), nice: 1, envelope_len: 512, bodies_len: 1 << 52 };
    voice.hello().say(&Message::Offer(vec![huge, goods.small.offer]));
    let refused = voice.hear_until(|message| matches!(message, Message::Refuse(_)));
    assert_eq!(refused, Message::Refuse(vec![(none(), Reason::Room)]));
    voice.hear_until(|message| matches!(message, Message::Want(packets) if *packets == [goods.small.id()]));
    voice.say(&Message::Envelope(&goods.small.envelope));
    voice.hear_until(|message| matches!(message, Message::Landed(packets) if *packets == [goods.small.id()]));
    voice.say(&Message::Done(Rest::Nothing)).end();
    voice.hear_all();
    listener.wait_for("not taken");
    assert_eq!(taken(&stage.south, &stage.north), [goods.small.id().to_string()]);
    stage.serves_others(address);
}

/// Who says that a body has not come there, or that something that it was given whole is not, has its way, and both owners hear of it:
/// without a word the packet would stay for ever. Threat: 17.
#[test]
fn what_is_said_to_be_incomplete_and_should_not_be_is_told() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let (mut listener, address) = listen(&stage.south, &[]);
    let mut voice = Voice::call(&stage.north, &stage.south, address);
    until_asked(&mut voice, &goods.big);
    voice.say(&Message::Lack(goods.big.id(), 0));
    let refused = voice.hear_until(|message| matches!(message, Message::Refuse(_)));
    assert_eq!(refused, Message::Refuse(vec![(goods.big.id(), Reason::Incomplete)]));
    until_refused(&mut voice, &goods.own);
    voice.say(&Message::Done(Rest::Something)).end();
    voice.hear_all();
    listener.wait_for("1 packet not taken over there: not all of it could be had");
    listener.wait_for("1 packet not taken here: not all of it could be had");
    assert_eq!(taken(&stage.south, &stage.north), [""; 0]);
    assert_eq!(waiting(&stage.south, &stage.north).len(), 2);
    stage.serves_others(address);
}

/// Refuses as incomplete what was offered to us.
fn until_refused(voice: &mut Voice, packet: &Packet) {
    voice.say(&Message::Refuse(vec![(packet.id(), Reason::Incomplete)]));
    voice.hear_until(|message| matches!(message, Message::Done(_)));
}

/// A file of limits for one neighbour. Threat: 17.
#[test]
fn a_neighbour_may_not_store_more_than_its_share() {
    let stage = Stage::new();
    set(&stage.south, "north", "link = { most_packets = 3, most_bytes = \"1 MB\" }");
    let (_listener, address) = listen(&stage.south, &[]);
    for number in 0..5 {
        stage.send(&stage.north, "south", &number.to_string(), "text");
    }
    stage.send(&stage.north, "south", "long", Random(1).bytes(2_000_000));
    let call = || stage.north.run(["mb-call", "south", "--addr", &address.to_string()]);
    call().fails_with(75, "not taken over there");
    assert_eq!(taken(&stage.south, &stage.north).len(), 3);
    call().fails(75);
    assert_eq!(taken(&stage.south, &stage.north).len(), 3);
    stage.south.run(["mb-toss"]).ok();
    call().fails(75);
    stage.south.run(["mb-toss"]).ok();
    assert_eq!(files(&stage.south.spool.join("incoming/north")).len(), 5);
    assert_eq!(waiting(&stage.north, &stage.south).len(), 2, "the long one never fits");
}

/// Pings are no progress, and cost nothing. Threat: 17.
#[test]
fn a_million_pings_are_passed_over() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let (_listener, address) = listen(&stage.south, &[]);
    let mut voice = Voice::call(&stage.north, &stage.south, address);
    let pings = raw(12, b"").repeat(1_000_000);
    voice.say_bytes(&pings[..400]).hello().say_bytes(&pings);
    voice.hear_until(|message| matches!(message, Message::Offer(_)));
    voice.say(&Message::Refuse(vec![(goods.own.id(), Reason::Unwanted)])).say(&Message::Done(Rest::Nothing));
    voice.hear_until(|message| matches!(message, Message::Done(_)));
    voice.end();
    voice.hear_all();
    stage.serves_others(address);
}

/// Who says nothing is hung up on, whoever it is. Threat: 17.
#[test]
fn who_says_nothing_is_hung_up_on() {
    let stage = Stage::new();
    let (mut listener, address) = listen(&stage.south, &["-v", "--timeout", "1"]);
    let (_, first) = first_message(&stage.north, &stage.south, 1);
    let lens = [0, 1, 16, 17, FIRST_LEN - 1];
    let streams = lens.map(|len| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(&first[..len]).expect("it listens");
        stream
    });
    for mut stream in streams {
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert_eq!(heard, b"");
        listener.wait_for("a caller: 127.0.0.1");
    }
    let mut voices = [&stage.north, &stage.east].map(|node| Voice::call(node, &stage.south, address));
    voices[0].hello();
    for mut voice in voices {
        voice.hear_all();
        listener.wait_for("nothing came within 1 s");
    }
    // Whom we call: nothing, half a reply.
    for len in [0, 1, REPLY_LEN - 1] {
        let socket = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let place = socket.local_addr().expect("it is bound").to_string();
        let caller = Running::start(stage.south.command(["mb-call", "--timeout", "1", "north", "--addr", &place]));
        let (mut stream, _) = socket.accept().expect("a caller");
        stream.write_all(&vec![9; len]).expect("it listens");
        caller.ended().fails_with(69, "no answer within 1 s");
    }
}

/// Whoever connects and is no node is hung up on, at once and without a word, and others are served meanwhile. Threat: 17, 19.
#[test]
fn garbage_is_not_answered_and_silence_blocks_nobody() {
    let stage = Stage::new();
    let (listener, address) = listen(&stage.south, &["--max-conn", "8", "--max-per-address", "4000"]);
    let before = tree(&stage.south.spool);
    let (_, first) = first_message(&stage.north, &stage.south, 1);
    let silent: Vec<TcpStream> = (0..19)
        .map(|number| {
            let mut stream = TcpStream::connect(address).expect("it listens");
            let _ = stream.write_all(&first[..number * 60]);
            stream
        })
        .collect();
    let mut altered = first;
    altered[500] ^= 1;
    let mut version = first;
    version[8] = b'2';
    let mut low = first;
    low[16..48].fill(0);
    let garbage: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: south\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        &[0; 4000],
        &[0xff; 4000],
        &altered,
        &version,
        &low,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on",
        &Random(1).bytes(100_000),
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let _ = stream.write_all(bytes);
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert_eq!(heard, b"", "{:?}", &bytes[..16]);
    }
    assert_eq!(tree(&stage.south.spool), before);
    stage.serves_others(address);
    drop(silent);
    listener.stop().fails_quietly(0);
}

/// A recording gets no further than the handshake, and changes nothing. Threat: 19.
#[test]
fn a_recorded_call_played_again_changes_nothing() {
    let stage = Stage::new();
    let (listener, address) = listen(&stage.south, &[]);
    stage.send(&stage.north, "south", "first", Random(1).bytes(100_000));
    let proxy = Proxy::clean(address);
    stage.north.run(["mb-call", "south", "--addr", &proxy.address()]).silent();
    proxy.wait_ended();
    let recorded = proxy.passed(UP);
    stage.south.run(["mb-toss"]).ok();
    // Something for north is there to be had.
    stage.send(&stage.south, "north", "for-north", Random(2).bytes(100_000));
    let before = tree(&stage.south.spool);
    for len in [FIRST_LEN, FIRST_LEN + 1, FIRST_LEN + 60, recorded.len()] {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let _ = stream.write_all(&recorded[..len]);
        let _ = stream.shutdown(Shutdown::Write);
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert!(heard.len() < REPLY_LEN + 200, "{len}: {} bytes", heard.len());
        assert_eq!(tree(&stage.south.spool), before, "{len}");
    }
    // And a call of the true one in the middle is not disturbed by it.
    let proxy = Proxy::start(address, [Way::default(), Way { fate: Fate::Hold(20_000), ..Way::default() }]);
    let caller = Running::start(stage.north.command(["mb-call", "south", "--addr", &proxy.address()]));
    proxy.wait_held(DOWN);
    let mut stream = TcpStream::connect(address).expect("it listens");
    let _ = stream.write_all(&recorded);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
    proxy.release();
    caller.ended().silent();
    assert_eq!(waiting(&stage.south, &stage.north), [""; 0]);
    listener.stop().fails_quietly(0);
}

/// Every byte of what the line brings is checked. Threat: 13.
#[test]
fn a_first_message_altered_anywhere_is_not_answered() {
    let stage = Stage::new();
    let (_listener, address) = listen(&stage.south, &["--max-per-address", "4000"]);
    let (_, first) = first_message(&stage.north, &stage.south, 1);
    for at in (0..FIRST_LEN).step_by(13) {
        let mut altered = first;
        altered[at] ^= 1 << (at % 8);
        let mut stream = TcpStream::connect(address).expect("it listens");
        let _ = stream.write_all(&altered);
        // A text that is no longer ours is not waited for to the end.
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert_eq!(heard, b"", "byte {at}");
    }
    stage.serves_others(address);
}

/// Shows: P29. Somebody else at the address that we call does not get a word of ours.
#[test]
fn whoever_is_not_the_node_that_was_called_is_refused() {
    let stage = Stage::new();
    stage.send(&stage.north, "south", "a", "a secret");
    let before = tree(&stage.north.spool);
    // Another node of ours cannot even read whom the call is for.
    let (_east, address) = listen(&stage.east, &[]);
    let run = stage.north.run(["mb-call", "south", "--addr", &address.to_string()]);
    assert!(run.stderr().contains("hung up without a word"), "{run}");
    run.fails(69);
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let place = socket.local_addr().expect("it is bound").to_string();
    let replies: [Vec<u8>; 4] =
        [vec![0; REPLY_LEN], vec![9; REPLY_LEN], Random(1).bytes(5000), b"HTTP/1.1 400 Bad Request\r\n".repeat(60)];
    for reply in replies {
        let caller = Running::start(stage.north.command(["mb-call", "south", "--addr", &place]));
        let (mut stream, _) = socket.accept().expect("a caller");
        let mut first = [0; FIRST_LEN];
        stream.read_exact(&mut first).expect("a first message");
        stream.write_all(&reply).expect("it listens");
        let run = caller.ended();
        assert!(run.stderr().contains("is not the node that was called, or its answer was altered"), "{run}");
        run.fails(77);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    let caller = Running::start(stage.north.command(["mb-call", "south", "--addr", &place]));
    drop(socket.accept().expect("a caller"));
    caller.ended().fails_with(69, "hung up without a word");
    assert_eq!(waiting(&stage.north, &stage.south).len(), 1);
    assert_eq!(tree(&stage.north.spool), before);
}

/// Who only gives is offered nothing.
#[test]
fn who_said_that_it_takes_nothing_is_not_offered_anything() {
    let stage = Stage::new();
    let goods = Goods::new(&stage);
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let place = socket.local_addr().expect("it is bound").to_string();
    let caller = Running::start(stage.south.command(["mb-call", "--out", "north", "--addr", &place]));
    let mut voice = Voice::answer(&stage.north, &stage.south, &socket);
    voice.hello().say(&offer(&goods.small));
    voice.hear_all();
    caller.ended().fails_with(76, "may not come now");
    let (_listener, address) = listen(&stage.south, &[]);
    let mut voice = Voice::call(&stage.north, &stage.south, address);
    voice.say(&Message::Hello(Hello::new(false, 255, 20))).say(&Message::Done(Rest::Nothing));
    let heard = voice.hear_all();
    assert!(!heard.iter().any(|message| matches!(message, Message::Offer(_))), "{heard:?}");
}

/// A neighbour that guesses what others sent learns nothing: it is asked for the body as if it were not here.
#[test]
fn a_body_that_another_neighbour_brought_is_not_called_here_already() {
    let stage = Stage::new();
    let (mut listener, address) = listen(&stage.south, &[]);
    let id = stage.send(&stage.east, "south", "shared", Random(1).bytes(200_000));
    let mut packet = Packet::load(&stage.east, &stage.south, id);
    stage.serves_others(address);
    assert_eq!(taken(&stage.south, &stage.east).len(), 2, "an envelope and its body");
    // Another packet that lists the same body: what is sealed in it is not looked at in a call.
    *packet.envelope.last_mut().expect("it is long") ^= 1;
    packet.offer.packet = packet_id(&packet.envelope);
    for _ in 0..2 {
        let mut voice = Voice::call(&stage.north, &stage.south, address);
        voice.hello().say(&offer(&packet));
        voice.hear_until(|message| matches!(message, Message::Want(_)));
        voice.say(&Message::Envelope(&packet.envelope));
        let asked = voice.hear_until(|message| matches!(message, Message::Ask(_)));
        assert_eq!(asked, ask(&packet, 0, Part::All));
        voice.cut();
        listener.wait_for("north: the call was cut");
    }
    // East itself is not asked again.
    let mut voice = Voice::call(&stage.east, &stage.south, address);
    voice.hello().say(&offer(&packet));
    voice.hear_until(|message| matches!(message, Message::Want(_)));
    voice.say(&Message::Envelope(&packet.envelope));
    voice.hear_until(|message| matches!(message, Message::Landed(packets) if *packets == [packet.id()]));
    voice.say(&Message::Done(Rest::Nothing)).end();
    voice.hear_all();
}
