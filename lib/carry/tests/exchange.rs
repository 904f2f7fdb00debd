//! The session alone: two of them with a small store each, cut at every message, in random order, and hostile.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use common::{EAST, NORTH, Packet, SOUTH, id, noise};
use mb_carry::exchange::{Breach, Event, MOST_OPEN, Request, Session};
use mb_wire::body::{CHUNK_LEN, leaves, root};
use mb_wire::call::message::{Ask, Hello, Inbox, Message, Offer, Part, Reason, Rest};
use mb_wire::envelope::BodyName;
use mb_wire::id::PacketId;

fn packet(to: u8, number: u8, bodies: &[Vec<u8>]) -> Packet {
    common::packet(to, number, 128, bodies)
}

fn offer_of(packet: &Packet) -> Offer {
    let envelope_len = packet.envelope.len() as u64;
    Offer { packet: packet.id, nice: 128, envelope_len, bodies_len: packet.len() - envelope_len }
}

fn names(packet: &Packet) -> Vec<BodyName> {
    packet.bodies.iter().map(|(name, _)| *name).collect()
}

/// A small store at one end, and what it did.
struct End {
    session: Session,
    inbox: Inbox,
    has_begun: bool,
    tx: BTreeMap<PacketId, Packet>,
    rx: BTreeMap<PacketId, (Vec<u8>, Vec<BodyName>)>,
    bodies: BTreeMap<[u8; 32], Vec<u8>>,
    data_len: u64,
    told: BTreeSet<PacketId>,
}

impl End {
    fn new(own: u8, tx: &[Packet]) -> End {
        End {
            session: Session::new(id(own), Hello::new(true, 255, 20)),
            inbox: Inbox::default(),
            has_begun: false,
            tx: tx.iter().map(|packet| (packet.id, packet.clone())).collect(),
            rx: BTreeMap::new(),
            bodies: BTreeMap::new(),
            data_len: 0,
            told: BTreeSet::new(),
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), Breach> {
        self.inbox.push(bytes);
        while let Some(message) = self.inbox.next_message()? {
            let event = self.session.receive(message)?;
            match event {
                Event::Hello(_) => {
                    self.has_begun = true;
                    let offers: Vec<Offer> = self.tx.values().map(offer_of).collect();
                    self.session.offer(&offers);
                }
                Event::Offered(offers) => {
                    let wanted: Vec<PacketId> = offers.iter().map(|offer| offer.packet).collect();
                    self.session.want(&wanted);
                }
                Event::Envelope(packet, prefix, bytes) => {
                    self.rx.insert(packet, (bytes.to_vec(), prefix.bodies.clone()));
                    for (number, body) in prefix.bodies.iter().enumerate() {
                        if !self.bodies.contains_key(body.root.as_bytes()) {
                            self.bodies.insert(*body.root.as_bytes(), Vec::new());
                            self.session.ask(packet, number as u16, Part::All, Vec::new());
                        }
                    }
                }
                Event::Data(chunks) => {
                    self.data_len += chunks.bytes.len() as u64;
                    let body = self.bodies.get_mut(chunks.body.root.as_bytes()).unwrap();
                    assert_eq!(body.len() as u64, chunks.offset);
                    body.extend_from_slice(chunks.bytes);
                }
                Event::Landed(given) => {
                    for given in given {
                        self.tx.remove(&given.offer.packet);
                    }
                }
                Event::Nothing
                | Event::Leaves(..)
                | Event::Refused(_)
                | Event::Withdrawn(_)
                | Event::Lacked(..)
                | Event::Done(_) => {}
            }
        }
        Ok(())
    }

    /// Serves one request, lands what is whole, ends when all is said.
    fn step(&mut self) {
        if let Some(Request::Envelope(id)) = self.session.giving.next_envelope() {
            let packet = &self.tx[&id];
            self.session.give_envelope(id, &packet.envelope, names(packet));
        } else if let Some(Request::Body(ask, _)) = self.session.giving.next_body() {
            let bytes = &self.tx[&ask.packet].bodies[usize::from(ask.number)].1;
            self.session.say(&Message::Leaves(leaves(bytes).as_flattened()));
            bytes.chunks(2 * CHUNK_LEN).for_each(|data| self.session.say(&Message::Data(data)));
        }
        if self.session.taking.is_answered() {
            let landed: Vec<PacketId> = self.rx.keys().filter(|id| !self.told.contains(id)).copied().collect();
            self.session.landed(&landed);
            self.told.extend(landed);
        }
        if self.has_begun && self.session.giving.is_settled() {
            self.session.end_giving(Rest::Nothing);
        }
    }

    fn whole(&self) -> BTreeSet<PacketId> {
        let is_whole =
            |body: &BodyName| self.bodies.get(body.root.as_bytes()).is_some_and(|b| b.len() as u64 == body.size);
        self.rx.iter().filter(|(_, (_, bodies))| bodies.iter().all(is_whole)).map(|(id, _)| *id).collect()
    }
}

static PACKETS: LazyLock<(Vec<Packet>, Vec<Packet>)> = LazyLock::new(|| {
    let shared = noise(9, CHUNK_LEN + 100);
    let to_south = vec![
        packet(SOUTH, 1, &[]),
        packet(SOUTH, 2, std::slice::from_ref(&shared)),
        packet(SOUTH, 3, &[shared, noise(3, 5 * CHUNK_LEN)]),
    ];
    (to_south, vec![packet(NORTH, 4, &[noise(4, 17)])])
});

fn two_ends() -> (End, End) {
    (End::new(NORTH, &PACKETS.0), End::new(SOUTH, &PACKETS.1))
}

/// Lets both talk until nothing is said any more, or until `cut` bytes went each way.
fn talk(north: &mut End, south: &mut End, piece: usize, cut: (usize, usize)) {
    let mut left = [cut.0, cut.1];
    loop {
        let mut silent = true;
        for (way, left) in left.iter_mut().enumerate() {
            let (from, to) = if way == 0 { (&mut *north, &mut *south) } else { (&mut *south, &mut *north) };
            from.step();
            let said = from.session.take_output(Vec::new());
            let len = said.len().min(*left);
            *left -= len;
            silent &= said.is_empty() || *left == 0;
            said[..len].chunks(piece).for_each(|bytes| to.hear(bytes).unwrap());
        }
        if silent {
            return;
        }
    }
}

/// Requirement: W12.
#[test]
fn both_ways_at_once_and_each_body_once() {
    for piece in [1, 7, 100_000] {
        let (mut north, mut south) = two_ends();
        talk(&mut north, &mut south, piece, (usize::MAX, usize::MAX));
        assert!(north.session.is_over() && south.session.is_over());
        assert!(north.tx.is_empty() && south.tx.is_empty());
        assert_eq!(south.whole().len(), PACKETS.0.len());
        assert_eq!(north.whole().len(), PACKETS.1.len());
        let once = (CHUNK_LEN + 100 + 5 * CHUNK_LEN) as u64;
        assert_eq!(south.data_len, once, "the shared body came once");
    }
}

/// Threat: 19.
#[test]
fn cut_at_any_byte_nothing_goes_that_has_not_come() {
    for way in 0..2 {
        // The bytes of bodies are all alike: some cuts there are enough, and every one elsewhere.
        let points = (0..2500).chain((2500..400_000).step_by(8111));
        for cut in points {
            let (mut north, mut south) = two_ends();
            let cuts = if way == 0 { (cut, usize::MAX) } else { (usize::MAX, cut) };
            talk(&mut north, &mut south, usize::MAX, cuts);
            for (all, tx, whole) in [(&PACKETS.0, &north.tx, south.whole()), (&PACKETS.1, &south.tx, north.whole())] {
                for packet in all {
                    assert!(tx.contains_key(&packet.id) || whole.contains(&packet.id), "cut {cut} way {way}");
                }
            }
        }
    }
}

/// What the honest side does with a message that may not come now, from a side that has been honest until here.
fn taker_offered(packet: &Packet) -> Session {
    let mut session = Session::new(id(SOUTH), Hello::new(true, 255, 20));
    session.receive(Message::Hello(Hello::new(true, 255, 20))).unwrap();
    session.receive(Message::Offer(vec![offer_of(packet)])).unwrap();
    session
}

#[track_caller]
fn breach(session: &mut Session, message: Message) -> Breach {
    session.receive(message).expect_err("it breaks the rules")
}

/// Threat: 17, 19, 20.
#[test]
fn a_taker_refuses_what_a_giver_may_not_say() {
    let body = noise(5, 3 * CHUNK_LEN);
    let good = packet(SOUTH, 1, std::slice::from_ref(&body));
    let other = packet(SOUTH, 2, &[]);

    let mut before = Session::new(id(SOUTH), Hello::new(true, 255, 20));
    assert_eq!(breach(&mut before, Message::Offer(vec![offer_of(&good)])), Breach::Order, "before hello");
    let mut none = Session::new(id(SOUTH), Hello::new(false, 255, 20));
    none.receive(Message::Hello(Hello::new(true, 255, 20))).unwrap();
    assert_eq!(breach(&mut none, Message::Offer(vec![offer_of(&good)])), Breach::Order, "nothing is wanted");

    let mut session = taker_offered(&good);
    assert_eq!(breach(&mut session, Message::Hello(Hello::new(true, 255, 20))), Breach::Order, "twice");
    assert_eq!(breach(&mut session, Message::Offer(vec![offer_of(&good)])), Breach::Twice(good.id));
    assert_eq!(breach(&mut taker_offered(&good), Message::Envelope(&good.envelope)), Breach::Unasked(good.id));
    assert_eq!(breach(&mut taker_offered(&good), Message::Done(Rest::Nothing)), Breach::Order, "while one is open");

    let mut session = taker_offered(&good);
    session.want(&[good.id]);
    assert_eq!(breach(&mut session, Message::Envelope(&other.envelope)), Breach::Unasked(other.id));
    let lies: [fn(&mut Offer); 3] =
        [|offer| offer.bodies_len += 1, |offer| offer.nice += 1, |offer| offer.envelope_len += 1];
    for lie in lies {
        let mut session = Session::new(id(SOUTH), Hello::new(true, 255, 20));
        session.receive(Message::Hello(Hello::new(true, 255, 20))).unwrap();
        let mut offer = offer_of(&good);
        lie(&mut offer);
        session.receive(Message::Offer(vec![offer])).unwrap();
        session.want(&[good.id]);
        assert_eq!(breach(&mut session, Message::Envelope(&good.envelope)), Breach::Lied(good.id));
    }
    let elsewhere = packet(EAST, 1, &[]);
    let mut session = taker_offered(&elsewhere);
    session.want(&[elsewhere.id]);
    assert_eq!(breach(&mut session, Message::Envelope(&elsewhere.envelope)), Breach::Lied(elsewhere.id));

    let asked = || {
        let mut session = taker_offered(&good);
        session.want(&[good.id]);
        session.receive(Message::Envelope(&good.envelope)).unwrap();
        session.ask(good.id, 0, Part::All, Vec::new());
        session
    };
    let name = names(&good)[0];
    let all = leaves(&body);
    assert_eq!(breach(&mut asked(), Message::Data(&body[..CHUNK_LEN])), Breach::Order, "no leaves yet");
    assert_eq!(breach(&mut asked(), Message::Leaves(all[..2].as_flattened())), Breach::Leaves(name.root));
    let mut swapped = all.clone();
    swapped[0][0] ^= 1;
    assert_eq!(breach(&mut asked(), Message::Leaves(swapped.as_flattened())), Breach::Leaves(name.root));
    let answered = || {
        let mut session = asked();
        session.receive(Message::Leaves(all.as_flattened())).unwrap();
        session
    };
    assert_eq!(breach(&mut answered(), Message::Leaves(all.as_flattened())), Breach::Order, "leaves twice");
    let mut session = asked();
    assert!(matches!(session.receive(Message::Lack(good.id, 0)), Ok(Event::Lacked(packet, 0)) if packet == good.id));
    assert!(session.taking.is_answered(), "that was the answer");
    assert_eq!(breach(&mut session, Message::Lack(good.id, 0)), Breach::Order, "lacked twice");
    assert_eq!(breach(&mut asked(), Message::Lack(good.id, 1)), Breach::Order, "lacked, not asked for");
    assert_eq!(breach(&mut answered(), Message::Lack(good.id, 0)), Breach::Order, "lacked, with its leaves here");
    let mut wrong = body.clone();
    wrong[CHUNK_LEN + 5] ^= 1;
    for data in [&wrong[..], &body[..CHUNK_LEN - 1], &body[1..=CHUNK_LEN], &[&body[..], &[0]].concat()] {
        assert_eq!(breach(&mut answered(), Message::Data(data)), Breach::Data(name.root));
    }
    let mut session = answered();
    session.receive(Message::Data(&body)).unwrap();
    assert_eq!(breach(&mut session, Message::Data(&body[..CHUNK_LEN])), Breach::Order, "more than all");
}

/// Threat: 17.
#[test]
fn no_more_is_open_at_a_time_than_may_be() {
    let offer = |number: usize, envelope_len| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Offer { packet: PacketId::from_bytes(id), nice: 1, envelope_len, bodies_len: 0 }
    };
    let mut session = Session::new(id(SOUTH), Hello::new(true, 255, 20));
    session.receive(Message::Hello(Hello::new(true, 255, 20))).unwrap();
    for number in 0..MOST_OPEN {
        session.receive(Message::Offer(vec![offer(number, 512)])).unwrap();
    }
    assert_eq!(breach(&mut session, Message::Offer(vec![offer(MOST_OPEN, 512)])), Breach::TooMany);
    let mut session = Session::new(id(SOUTH), Hello::new(true, 255, 20));
    session.receive(Message::Hello(Hello::new(true, 255, 20))).unwrap();
    let large: Vec<Offer> = (0..17).map(|number| offer(number, 262_144)).collect();
    assert_eq!(breach(&mut session, Message::Offer(large)), Breach::TooMany);
}

/// Threat: 19, 20.
#[test]
fn a_giver_refuses_what_a_taker_may_not_say() {
    let good = packet(SOUTH, 1, &[noise(5, 3 * CHUNK_LEN)]);
    let offered = || {
        let mut session = Session::new(id(NORTH), Hello::new(true, 255, 20));
        session.receive(Message::Hello(Hello::new(true, 255, 20))).unwrap();
        session.offer(&[offer_of(&good)]);
        session
    };
    let given = || {
        let mut session = offered();
        session.receive(Message::Want(vec![good.id])).unwrap();
        assert_eq!(session.giving.next_envelope(), Some(Request::Envelope(good.id)));
        session.give_envelope(good.id, &good.envelope, names(&good));
        session
    };
    let ask = |number, part| Message::Ask(Ask { packet: good.id, number, part });
    let never = PacketId::from_bytes([9; 32]);
    assert_eq!(breach(&mut offered(), Message::Want(vec![never])), Breach::NotOpen(never));
    assert_eq!(breach(&mut offered(), Message::Landed(vec![never])), Breach::NotOpen(never));
    assert_eq!(breach(&mut offered(), Message::Refuse(vec![(never, Reason::Room)])), Breach::NotOpen(never));
    assert_eq!(breach(&mut offered(), ask(0, Part::All)), Breach::NoSuchBody(good.id), "before the envelope");
    assert_eq!(breach(&mut given(), Message::Want(vec![good.id])), Breach::Order, "twice");
    assert_eq!(breach(&mut given(), ask(1, Part::All)), Breach::NoSuchBody(good.id));
    assert_eq!(breach(&mut given(), ask(0, Part::From(3))), Breach::NoSuchBody(good.id));
    assert_eq!(breach(&mut given(), ask(0, Part::From(u32::MAX))), Breach::NoSuchBody(good.id));
    let mut session = given();
    session.receive(ask(0, Part::Leaves)).unwrap();
    assert_eq!(breach(&mut session, Message::Landed(vec![good.id])), Breach::Order, "an answer is owed");
    session.receive(ask(0, Part::From(1))).unwrap();
    assert_eq!(breach(&mut session, ask(0, Part::All)), Breach::TooMany, "a third time");
}

#[test]
fn what_was_withdrawn_may_still_be_named_by_who_has_not_heard_of_it() {
    let good = packet(SOUTH, 1, &[noise(5, 100)]);
    let mut giver = Session::new(id(NORTH), Hello::new(true, 255, 20));
    giver.receive(Message::Hello(Hello::new(true, 255, 20))).unwrap();
    giver.offer(&[offer_of(&good)]);
    giver.withdraw(good.id);
    giver.receive(Message::Want(vec![good.id])).unwrap();
    assert_eq!(giver.giving.next_envelope(), None);
    giver.receive(Message::Refuse(vec![(good.id, Reason::Stopping)])).unwrap();

    let mut taker = taker_offered(&good);
    taker.refuse(good.id, Reason::Stopping);
    assert!(matches!(taker.receive(Message::Withdraw(vec![good.id])), Ok(Event::Withdrawn(none)) if none.is_empty()));
    taker.receive(Message::Done(Rest::Nothing)).unwrap();
}

/// Random messages, in any order, of either role: never a panic, and whatever is open stays bounded.
#[test]
fn any_messages_in_any_order_are_taken_or_refused() {
    let known: Vec<Packet> =
        (1..4).map(|number| packet(SOUTH, number, &[noise(number, usize::from(number) * CHUNK_LEN)])).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most
    };
    for _ in 0..4000 {
        let mut session = Session::new(id(SOUTH), Hello::new(true, 255, 20));
        let _ = session.receive(Message::Hello(Hello::new(true, 255, 20)));
        for _ in 0..20 {
            let one = &known[random(3) as usize];
            let body = &one.bodies[0].1;
            let all = leaves(body);
            let part = [Part::All, Part::Leaves, Part::From(random(4) as u32)][random(3) as usize];
            let message = match random(10) {
                0 => Message::Offer(vec![offer_of(one)]),
                1 => Message::Want(vec![one.id]),
                2 => Message::Envelope(&one.envelope),
                3 => Message::Ask(Ask { packet: one.id, number: random(2) as u16, part }),
                4 => Message::Leaves(all.as_flattened()),
                5 => Message::Data(&body[..CHUNK_LEN]),
                6 => Message::Landed(vec![one.id]),
                7 => Message::Refuse(vec![(one.id, Reason::Busy)]),
                8 => Message::Withdraw(vec![one.id]),
                _ => Message::Done(Rest::Nothing),
            };
            match session.receive(message) {
                Ok(Event::Offered(offers)) => match random(3) {
                    0 => session.refuse(offers[0].packet, Reason::Quota),
                    1 => session.landed(&[offers[0].packet]),
                    _ => session.want(&[offers[0].packet]),
                },
                Ok(Event::Envelope(packet, ..)) => {
                    session.ask(packet, 0, if random(2) == 0 { Part::All } else { Part::Leaves }, Vec::new());
                }
                Ok(Event::Leaves(packet, number, found)) => session.ask(packet, number, Part::From(0), found),
                Ok(Event::Data(chunks)) => assert_eq!(root(chunks.body.size, &leaves(body)), chunks.body.root),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}
