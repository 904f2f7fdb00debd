//! Routes: each hop opens its slot and sees the next, the recipient reads the letter, and nobody changes anything.

mod world;

use mb_wire::cbor;
use mb_wire::envelope::{Address, BodyName, Content, Prefix, Wrap, list_hash, open, packet_id, read_prefix, wrap};
use mb_wire::hash::Digest;
use mb_wire::id::Root;
use mb_wire::key::{ExchangeSecret, NodeSecrets};
use mb_wire::letter::{Letter, LetterBody, LetterError};
use mb_wire::route::{Here, Onward, ROUTE_MOST, Route, RouteError, Routed, Step, Terms};
use mb_wire::seal::SealError;
use world::{World, listed, node};

/// Nodes in a row: the author, then the hops.
struct Road {
    author: NodeSecrets,
    hops: Vec<(NodeSecrets, ExchangeSecret)>,
}

impl Road {
    fn new(hops: usize) -> Road {
        let hop = |number: u8| (node(number), ExchangeSecret::from_random([number; 32]));
        Road { author: node(1), hops: (0..hops as u8).map(|number| hop(number + 10)).collect() }
    }

    fn addresses(&self) -> Vec<Address> {
        self.hops.iter().map(|(node, key)| Address { id: node.id(), exchange: key.public() }).collect()
    }

    fn route(&self) -> Route<'_> {
        Route::new(&self.author, self.addresses(), [7; 32]).unwrap()
    }

    /// A letter to the last hop.
    fn letter(&self, bodies: Vec<LetterBody>) -> Letter {
        let to = self.hops.last().unwrap().0.id().into();
        let inline = bodies.is_empty().then(|| b"hello".to_vec());
        Letter { to, bodies, inline, ..World::new().letter() }
    }

    fn plain(&self, letter: &Letter) -> Routed {
        let lists = vec![letter.list_hash(); self.hops.len() + 1];
        self.seal(letter, &lists, false)
    }

    fn seal(&self, letter: &Letter, lists: &[Digest], is_onion: bool) -> Routed {
        let terms = Terms { end: 19_990, nice: 96, lists, is_onion, receipt: false, holds: &[] };
        self.route().seal(&letter.sign(&self.author), &terms).unwrap().0
    }

    /// The prefix of an envelope from `from` to hop `number` with these bodies, and the envelope.
    fn envelope(&self, from: &NodeSecrets, number: usize, bodies: &[BodyName], routed: &Routed) -> (Prefix, Vec<u8>) {
        let (to, end) = (&self.addresses()[number], 19_990);
        let content = Content::Routed(Box::new(routed.clone()));
        let file = wrap(from, &Wrap { to, end, nice: 96, hops: 16, bodies, ask: false, content: &content }).unwrap();
        (read_prefix(&file).unwrap(), file)
    }

    fn open(&self, number: usize, routed: Routed, bodies: &[BodyName]) -> Result<Step, RouteError> {
        let (prefix, _) = self.envelope(&self.author, number, bodies, &routed);
        let (node, key) = &self.hops[number];
        routed.open(node.id(), key, &prefix)
    }

    fn onward(&self, number: usize, routed: Routed, bodies: &[BodyName]) -> Onward {
        match self.open(number, routed, bodies).unwrap() {
            Step::Onward(onward) => *onward,
            _ => panic!("hop {number} takes it for its own"),
        }
    }

    fn here(&self, routed: Routed, bodies: &[BodyName]) -> Here {
        match self.open(self.hops.len() - 1, routed, bodies).unwrap() {
            Step::Here(here) => *here,
            _ => panic!("the last hop hands it on or finds no letter in it"),
        }
    }
}

fn names(letter: &Letter) -> Vec<BodyName> {
    letter.bodies.iter().map(|body| BodyName { root: body.root, size: body.size }).collect()
}

type Change = fn(&mut Vec<BodyName>, u64);

/// Some 16 bytes in a row that both have.
fn common_run(a: &[u8], b: &[u8]) -> bool {
    let runs: std::collections::HashSet<&[u8]> = a.windows(16).collect();
    b.windows(16).any(|run| runs.contains(run))
}

#[test]
fn a_letter_goes_by_any_number_of_hops() {
    for count in 1..=ROUTE_MOST {
        let road = Road::new(count);
        let letter = road.letter(vec![listed(1, 70_000), listed(2, 5)]);
        let bodies = names(&letter);
        let mut routed = road.plain(&letter);
        for number in 0..count - 1 {
            let onward = road.onward(number, routed, &bodies);
            assert_eq!(onward.next, road.hops[number + 1].0.id());
            assert_eq!((onward.end, onward.nice, onward.leaving), (19_990, 96, letter.list_hash()));
            assert!(onward.veils.is_none());
            routed = onward.routed;
        }
        let here = road.here(routed, &bodies);
        assert!(here.veils.is_none());
        let (id, read) = here.letter.verify(&road.author.identity_key(), here.frame).unwrap();
        assert_eq!((id, read), (letter.sign(&road.author).id(), letter));
    }
}

/// Threat: 18.
#[test]
fn no_route_has_no_hop_or_nine() {
    for count in [0, ROUTE_MOST + 1] {
        let road = Road::new(count);
        assert_eq!(Route::new(&road.author, road.addresses(), [7; 32]).unwrap_err(), RouteError::Hops(count));
    }
}

/// A relay learns nothing from lengths, and who sees what comes and what leaves finds nothing that both have.
#[test]
fn what_enters_and_what_leaves_have_one_length_and_nothing_in_common() {
    for count in 1..=ROUTE_MOST {
        let road = Road::new(count);
        let letter = road.letter(vec![]);
        let mut routed = road.plain(&letter);
        let mut from = &road.author;
        let mut lens = std::collections::BTreeSet::new();
        for number in 0..count - 1 {
            let (_, envelope) = road.envelope(from, number, &[], &routed);
            let before = cbor::encode(&routed);
            routed = road.onward(number, routed, &[]).routed;
            let after = cbor::encode(&routed);
            from = &road.hops[number].0;
            let (_, envelope_after) = road.envelope(from, number + 1, &[], &routed);
            lens.extend([(before.len(), envelope.len()), (after.len(), envelope_after.len())]);
            assert!(!common_run(&before, &after), "hop {number} of {count}");
            assert!(!common_run(&envelope[envelope.len() / 2..], &envelope_after), "hop {number} of {count}");
        }
        assert!(lens.len() <= 1, "{lens:?}");
    }
}

/// The last hop finds no zeros behind its slot, which would tell it how many hops there were.
#[test]
fn no_hop_finds_its_place_in_what_is_behind_its_slot() {
    for count in 2..=ROUTE_MOST {
        let road = Road::new(count);
        let mut routed = road.plain(&road.letter(vec![]));
        for number in 0..count - 1 {
            routed = road.onward(number, routed, &[]).routed;
            assert!(!cbor::encode(&routed).windows(16).any(|run| run == [0; 16]), "hop {number} of {count}");
        }
    }
}

/// Threat: 8.
#[test]
fn every_flipped_byte_is_refused_at_each_hop() {
    for count in [1, 2, ROUTE_MOST] {
        let road = Road::new(count);
        let mut routed = road.plain(&road.letter(vec![]));
        for number in 0..count {
            let mut bytes = cbor::encode(&routed);
            for at in 0..bytes.len() {
                bytes[at] ^= 0x10;
                if let Ok(altered) = cbor::decode::<Routed>(&bytes) {
                    // Which key it is for is looked up before it is opened.
                    let is_lost = altered.key() != routed.key();
                    assert!(
                        is_lost || road.open(number, altered, &[]).is_err(),
                        "byte {at} at hop {number} of {count}"
                    );
                }
                bytes[at] ^= 0x10;
            }
            if number + 1 < count {
                routed = road.onward(number, routed, &[]).routed;
            }
        }
    }
}

#[test]
fn other_bodies_are_refused_at_each_hop() {
    let road = Road::new(3);
    let letter = road.letter(vec![listed(1, 70_000), listed(2, 5), listed(3, 5)]);
    let bodies = names(&letter);
    let size = mb_wire::body::body_len(6);
    let changes: [(&str, Change); 5] = [
        ("order", |bodies, _| bodies.swap(1, 2)),
        ("one less", |bodies, _| bodies.truncate(2)),
        ("one more", |bodies, size| bodies.push(BodyName { root: Root::from_bytes([9; 32]), size })),
        ("a size", |bodies, size| bodies[1].size = size),
        ("a root", |bodies, _| bodies[1].root = Root::from_bytes([9; 32])),
    ];
    let mut routed = road.plain(&letter);
    for number in 0..3 {
        for (what, change) in changes {
            let mut other = bodies.clone();
            change(&mut other, size);
            let refused = road.open(number, routed.clone(), &other).unwrap_err();
            assert_eq!(refused, RouteError::Bodies, "{what} at hop {number}");
        }
        if number < 2 {
            routed = road.onward(number, routed, &bodies).routed;
        }
    }
}

/// Threat: 15.
#[test]
fn a_slot_is_for_one_node_and_one_key_and_until_its_day() {
    let road = Road::new(3);
    let routed = road.plain(&road.letter(vec![]));
    let refused = road.open(1, routed.clone(), &[]).unwrap_err();
    assert_eq!(refused, RouteError::Seal(SealError::Commitment));
    let (prefix, _) = road.envelope(&road.author, 0, &[], &routed);
    let other = routed.clone().open(road.hops[0].0.id(), &ExchangeSecret::from_random([99; 32]), &prefix);
    assert_eq!(other.unwrap_err(), RouteError::Seal(SealError::Commitment));
    let mut later = prefix;
    later.end += 1;
    let refused = routed.open(road.hops[0].0.id(), &road.hops[0].1, &later).unwrap_err();
    assert_eq!(refused, RouteError::End { slot: 19_990, envelope: 19_991 });
}

/// What was sealed to the recipient for another letter, or by somebody else, does not fit.
#[test]
fn a_letter_that_is_not_what_the_slot_says_is_refused() {
    let road = Road::new(1);
    let listed_letter = road.letter(vec![listed(1, 5)]);
    let verify = |letter: &Letter, list: Digest, bodies: &[BodyName]| {
        let here = road.here(road.seal(letter, &[list; 2], false), bodies);
        here.letter.verify(&road.author.identity_key(), here.frame).map(|_| ())
    };
    let bodies = names(&listed_letter);
    assert_eq!(verify(&listed_letter, listed_letter.list_hash(), &bodies), Ok(()));
    let none = list_hash([]);
    assert_eq!(verify(&listed_letter, none, &[]), Err(LetterError::Bodies));
    let to_other = Letter { to: road.author.id().into(), ..road.letter(vec![]) };
    assert_eq!(verify(&to_other, none, &[]), Err(LetterError::To(road.author.id().into())));
    let early = Letter { end: 19_989, ..road.letter(vec![]) };
    assert_eq!(verify(&early, none, &[]), Err(LetterError::End { letter: 19_989, frame: 19_990 }));
}

/// In an onion a body has another name on each link, and at last the one that the letter says.
#[test]
fn veils_are_taken_off_one_by_one() {
    let road = Road::new(4);
    let route = road.route();
    let own: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let mut bodies = [own.clone(), own.clone()];
    let mut seen = std::collections::HashSet::new();
    for (number, body) in bodies.iter_mut().enumerate() {
        let veils = route.veils(number);
        assert_eq!(veils.len(), 4);
        for veil in veils {
            // Where it is cut makes no difference.
            let (a, b) = body.split_at_mut(77_777);
            veil.apply(77_777, b);
            veil.apply(0, a);
            assert!(seen.insert(body.clone()));
        }
    }
    let lists: Vec<Digest> =
        (0..5).map(|n| list_hash([BodyName { root: Root::from_bytes([n; 32]), size: 17 }])).collect();
    let letter = road.letter(vec![LetterBody { root: Root::from_bytes([4; 32]), ..listed(4, 1) }]);
    let mut routed = road.seal(&letter, &lists, true);
    for number in 0..3 {
        let arriving = [BodyName { root: Root::from_bytes([number as u8; 32]), size: 17 }];
        let onward = road.onward(number, routed, &arriving);
        assert_eq!(onward.leaving, lists[number + 1]);
        let veils = onward.veils.unwrap();
        bodies.iter_mut().enumerate().for_each(|(number, body)| veils.of(number).apply(0, body));
        assert!(!bodies.contains(&own));
        routed = onward.routed;
    }
    let here = road.here(routed, &[BodyName { root: Root::from_bytes([3; 32]), size: 17 }]);
    let veils = here.veils.unwrap();
    bodies.iter_mut().enumerate().for_each(|(number, body)| veils.of(number).apply(0, body));
    assert!(bodies.iter().all(|body| *body == own));
    here.letter.verify(&road.author.identity_key(), here.frame).unwrap();
}

#[test]
fn each_input_of_a_route_changes_all_of_its_shares() {
    let road = Road::new(3);
    let letter = road.letter(vec![]);
    let lists = vec![letter.list_hash(); 4];
    let terms = Terms { end: 19_990, nice: 96, lists: &lists, is_onion: false, receipt: false, holds: &[] };
    let seal =
        |salt| Route::new(&road.author, road.addresses(), salt).unwrap().seal(&letter.sign(&road.author), &terms);
    let [one, again, other] = [[7; 32], [7; 32], [8; 32]].map(|salt| seal(salt).unwrap());
    assert_eq!(one, again);
    // Both begin with the key of the same hop.
    let [one, other] = [one, other].map(|routed| cbor::encode(&routed)[20..].to_vec());
    assert!(!common_run(&one, &other));
}

#[test]
fn an_envelope_holds_a_route_and_its_hop_is_verified() {
    let road = Road::new(2);
    let letter = road.letter(vec![]);
    let routed = road.plain(&letter);
    let (_, file) = road.envelope(&road.author, 0, &[], &routed);
    let (node, key) = &road.hops[0];
    let opened = open(&file, node.id(), |tag| (tag == key.tag()).then_some(key)).unwrap();
    let content = opened.verify_hop(&road.author.identity_key()).unwrap();
    assert_eq!(content, Content::Routed(Box::new(routed)));
    assert_eq!(packet_id(&file).to_string().len(), 52);
}
