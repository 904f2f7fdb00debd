//! Replies: one statement comes back to the author of an onion, and who passes it on cannot tell it from a letter.

mod world;

use mb_wire::cbor;
use mb_wire::envelope::{Address, Content, Prefix, Wrap, list_hash, read_prefix, wrap};
use mb_wire::id::SlotTag;
use mb_wire::key::{ExchangeSecret, NodeSecrets};
use mb_wire::letter::{Letter, LetterError, Wants};
use mb_wire::reply::{Awaited, REPLY_LEN, ReplyError, ReplyRoute, Returned};
use mb_wire::report::STATEMENT_MOST;
use mb_wire::route::{ONION_LEAST, ROUTE_MOST, Route, RouteError, Routed, Step, Terms};
use std::collections::{BTreeSet, HashSet};
use world::{World, node};

const END: u32 = 19_984;

/// The author, and the way back to him: he is its last hop.
struct Back {
    author: NodeSecrets,
    hops: Vec<(NodeSecrets, ExchangeSecret)>,
    /// Of the envelope that comes to each.
    prefixes: Vec<Prefix>,
}

impl Back {
    fn new(hops: usize) -> Back {
        let hop = |number: u8| (node(number + 10), ExchangeSecret::from_random([number + 10; 32]));
        let mut all: Vec<_> = (0..hops as u8 - 1).map(hop).collect();
        all.push((node(1), ExchangeSecret::from_random([1; 32])));
        let mut back = Back { author: node(1), hops: all, prefixes: vec![] };
        let routed = back.make().0.answer(b"").unwrap();
        back.prefixes = (0..hops).map(|number| back.envelope(number, &routed).0).collect();
        back
    }

    fn address(&self, number: usize) -> Address {
        let (node, key) = &self.hops[number];
        Address { id: node.id(), exchange: key.public() }
    }

    fn route(&self) -> Route<'_> {
        Route::new(&self.author, (0..self.hops.len()).map(|number| self.address(number)).collect(), [7; 32]).unwrap()
    }

    fn make(&self) -> (ReplyRoute, Awaited, SlotTag) {
        self.route().reply(END, 64, &vec![5; self.hops.len() - 1])
    }

    fn envelope(&self, number: usize, routed: &Routed) -> (Prefix, Vec<u8>) {
        let content = Content::Routed(Box::new(routed.clone()));
        let to = &self.address(number);
        let file =
            wrap(&node(9), &Wrap { to, end: END, nice: 64, hops: 16, bodies: &[], ask: false, content: &content });
        let file = file.unwrap();
        (read_prefix(&file).unwrap(), file)
    }

    fn open(&self, number: usize, routed: Routed) -> Result<Step, RouteError> {
        let (node, key) = &self.hops[number];
        routed.open(node.id(), key, &self.prefixes[number])
    }

    /// What comes to hop `number`.
    fn at(&self, number: usize, mut routed: Routed) -> Routed {
        for number in 0..number {
            let Step::Onward(onward) = self.open(number, routed).unwrap() else { panic!("hop {number} keeps it") };
            assert_eq!(onward.next, self.hops[number + 1].0.id());
            assert_eq!((onward.end, onward.nice, onward.hold, onward.receipt), (END, 64, 5, false));
            routed = onward.routed;
        }
        routed
    }

    fn returned(&self, routed: Routed) -> Returned {
        match self.open(self.hops.len() - 1, routed).unwrap() {
            Step::Returned(returned, _) => returned,
            _ => panic!("the author takes it for something else"),
        }
    }
}

fn common_run(a: &[u8], b: &[u8]) -> bool {
    let runs: HashSet<&[u8]> = a.windows(16).collect();
    b.windows(16).any(|run| runs.contains(run))
}

#[test]
fn a_statement_comes_back_by_any_number_of_hops() {
    for (count, len) in (1..=ROUTE_MOST).zip([0, 1, 200, 300, 400, 500, STATEMENT_MOST - 1, STATEMENT_MOST]) {
        let back = Back::new(count);
        let (way, awaited, tag) = back.make();
        let statement = vec![len as u8; len];
        let routed = way.answer(&statement).unwrap();
        assert_eq!(routed, way.answer(&statement).unwrap());
        let returned = back.returned(back.at(count - 1, routed));
        assert_eq!((returned.tag, returned.end), (tag, END));
        assert_eq!(awaited.open(&returned).unwrap(), statement);
        let kept = cbor::encode(&awaited);
        assert_eq!(cbor::decode::<Awaited>(&kept).unwrap().open(&returned).unwrap(), statement);
    }
    let (way, ..) = Back::new(2).make();
    assert_eq!(way.answer(&[0; STATEMENT_MOST + 1]).unwrap_err(), ReplyError::Long(STATEMENT_MOST + 1));
}

/// Shows: W49.
/// At each hop it has the length of a small letter in an onion, and nothing in common with what came before.
#[test]
fn a_reply_looks_like_a_letter_at_each_hop() {
    for count in 2..=ROUTE_MOST {
        let back = Back::new(count);
        let (way, ..) = back.make();
        let letter = Letter { to: back.author.id().into(), ..World::new().letter() };
        let lists = vec![list_hash([]); count + 1];
        let terms =
            Terms { end: END, nice: 64, lists: &lists, is_onion: true, receipt: false, holds: &vec![5; count - 1] };
        let forth = Route::new(&back.author, (0..count).map(|number| back.address(number)).collect(), [8; 32]).unwrap();
        let (forth, _) = forth.seal(&letter.sign(&back.author), &terms).unwrap();
        let routed = way.answer(&[1; 200]).unwrap();
        let mut lens = BTreeSet::new();
        let mut before: Option<(Vec<u8>, Vec<u8>)> = None;
        for number in 0..count {
            for routed in [&routed, &forth] {
                let (_, envelope) = back.envelope(number, &back.at(number, routed.clone()));
                lens.insert(envelope.len());
            }
            let routed = back.at(number, routed.clone());
            let (_, envelope) = back.envelope(number, &routed);
            let now = (cbor::encode(&routed), envelope);
            assert!(!now.0.windows(16).any(|run| run == [0; 16]), "hop {number} of {count}");
            if let Some((encoded, envelope)) = &before {
                assert!(!common_run(encoded, &now.0), "hop {number} of {count}");
                // What stands in clear before it begins alike.
                assert!(!common_run(&envelope[envelope.len() / 2..], &now.1), "hop {number} of {count}");
            }
            before = Some(now);
        }
        assert_eq!(lens.len(), 1, "{lens:?}");
    }
    assert_eq!(REPLY_LEN, ONION_LEAST);
}

/// Threat: 8.
/// Whoever changes it is found out at the next hop, or, in the payload, by the author.
#[test]
fn every_flipped_byte_is_refused_at_last() {
    let count = 2;
    let back = Back::new(count);
    let (way, awaited, _) = back.make();
    let routed = way.answer(&[9; 250]).unwrap();
    for number in 0..count {
        let routed = back.at(number, routed.clone());
        let mut bytes = cbor::encode(&routed);
        for at in 0..bytes.len() {
            bytes[at] ^= 0x10;
            if let Ok(altered) = cbor::decode::<Routed>(&bytes)
                && altered.key() == routed.key()
            {
                let mut step = back.open(number, altered);
                for next in number + 1..count {
                    let Ok(Step::Onward(onward)) = step else { break };
                    step = back.open(next, onward.routed);
                }
                let is_refused = match &step {
                    Ok(Step::Returned(returned, _)) => awaited.open(returned) == Err(ReplyError::Altered),
                    Ok(_) => false,
                    Err(_) => true,
                };
                assert!(is_refused, "byte {at} at hop {number} of {count}");
            }
            bytes[at] ^= 0x10;
        }
    }
}

#[test]
fn what_is_awaited_opens_its_own_reply_only() {
    let back = Back::new(3);
    let (way, _, _) = back.make();
    let other = Route::new(&back.author, (0..3).map(|number| back.address(number)).collect(), [8; 32]).unwrap();
    let (_, other, tag) = other.reply(END, 64, &[]);
    let returned = back.returned(back.at(2, way.answer(b"said").unwrap()));
    assert_ne!(returned.tag, tag);
    assert_eq!(other.open(&returned), Err(ReplyError::Altered));
}

/// Who begins anew after a crash may say another time: two statements never meet the same key.
#[test]
fn two_answers_by_one_way_have_nothing_in_common() {
    let (way, ..) = Back::new(2).make();
    let [one, other] = [b"one", b"two"].map(|said| cbor::encode(&way.answer(said).unwrap()));
    let payload = one.len() - REPLY_LEN;
    assert_eq!(one[..payload], other[..payload]);
    let same = one[payload..].iter().zip(&other[payload..]).filter(|(a, b)| a == b).count();
    assert!(same < REPLY_LEN / 64, "{same} bytes are the same");
}

#[test]
fn a_way_back_lies_in_a_letter_that_wants_a_receipt() {
    let world = World::new();
    let (way, ..) = Back::new(2).make();
    let reply = Some(Box::new(way));
    let wants = Wants { receipt: true, trace: false };
    let letter = Letter { reply: reply.clone(), wants, ..world.letter() };
    let file = world.wrap(&letter).unwrap();
    assert_eq!(world.read(&file).unwrap().1, letter);
    let unwanted = Letter { reply, ..world.letter() };
    assert_eq!(world.wrap(&unwanted).unwrap_err(), LetterError::Reply.into());
}
