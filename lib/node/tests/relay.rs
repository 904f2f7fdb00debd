//! Decisions about packets under way, whatever a neighbour with good keys makes of them.

use mb_node::config::KnownArea;
use mb_node::home::AreaSecrets;
use mb_wire::id::AreaId;
use std::collections::BTreeMap;
use std::sync::Arc;

use mb_node::config::KnownNode;
use mb_node::keys::ExchangeKeys;
use mb_node::toss::Nodes;
use mb_node::toss::decide::{Accepted, Decision, Known, Refusal, Task, decide};
use mb_wire::card::{Card, ExchangeKey};
use mb_wire::envelope::{Address, BodyName, Content, HOPS_MOST, Wrap, packet_id, read_prefix, wrap};
use mb_wire::id::{NodeId, Root, SlotTag};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::letter::{FileMeta, Form, Kind, Letter, Wants};
use mb_wire::route::{Route, RouteError, Step, Terms};
use mb_wire::trace::{Trace, TraceError};

const TODAY: u32 = 20_780;
const END: u32 = TODAY + 90;

/// Nodes that all know each other: 0 is the author of everything.
struct Net {
    actors: Vec<Actor>,
    known: BTreeMap<NodeId, KnownNode>,
    area_secrets: AreaSecrets,
}

struct Actor {
    secrets: NodeSecrets,
    keys: ExchangeKeys,
    address: Address,
}

impl Nodes for Net {
    fn node(&self, id: &NodeId) -> Option<&KnownNode> {
        self.known.get(id)
    }

    fn named(&self, name: &str) -> Option<&KnownNode> {
        self.known.values().find(|node| node.name == name)
    }

    fn area(&self, _: &AreaId) -> Option<&KnownArea> {
        None
    }

    fn areas(&self) -> Vec<&KnownArea> {
        Vec::new()
    }
}

impl Net {
    fn new(count: u8) -> Net {
        let mut net = Net { actors: Vec::new(), known: BTreeMap::new(), area_secrets: AreaSecrets::default() };
        for number in 0..count {
            let secrets = NodeSecrets::from_seed(&Seed::from_bytes([number + 1; 32]));
            let exchange = ExchangeSecret::from_random([number + 101; 32]);
            let public = exchange.public();
            let keys = vec![ExchangeKey { suite: 1, public, use_until: 0, gone_after: 0 }];
            let name = format!("n{number}");
            let card = Card::issue(&secrets, keys, &name, 1, 0).expect("a sound card");
            net.known.insert(secrets.id(), KnownNode::new(name, card));
            let address = Address { id: secrets.id(), exchange: public };
            net.actors.push(Actor { secrets, keys: ExchangeKeys::from_iter([exchange]), address });
        }
        net
    }

    fn id(&self, number: usize) -> NodeId {
        self.actors[number].address.id
    }

    /// A packet of node 0 by these hops, as its content.
    fn routed(&self, hops: &[usize], bodies: &[BodyName]) -> Content {
        self.routed_as(hops, bodies, false, 1)
    }

    /// The same, traced or not; `salt` tells letters apart.
    fn routed_as(&self, hops: &[usize], bodies: &[BodyName], trace: bool, salt: u8) -> Content {
        let author = &self.actors[0].secrets;
        let letter = Letter {
            to: self.id(*hops.last().expect("a hop")).into(),
            end: END,
            kind: Kind::File(FileMeta {
                re: None,
                form: Form::Plain,
                mode: 0o644,
                path: b"file".to_vec(),
                mtime: (0, 0),
            }),
            salt: [salt; 16],
            time: 0,
            forwarded: None,
            reply: None,
            wants: Wants { trace, ..Wants::default() },
            author: author.id(),
            bodies: vec![],
            inline: Some(b"hello".to_vec()),
        };
        let addresses = hops.iter().map(|hop| self.actors[*hop].address.clone()).collect();
        let lists = vec![mb_wire::envelope::list_hash(bodies.iter().copied()); hops.len() + 1];
        let terms = Terms { end: END, nice: 100, lists: &lists, is_onion: false, receipt: false, holds: &[] };
        let route = Route::new(author, addresses, [salt; 32]).expect("a route");
        let signed = letter.sign(author);
        let begun = match trace {
            true => Trace::begin(author, signed.id(), self.id(hops[0]), 5),
            false => Trace::default(),
        };
        Content::Routed(Box::new(route.seal(&signed, &terms).expect("it fits").0.with_trace(begun)))
    }

    /// What node `at` makes of it when node `from` hands it over.
    fn hand<'n, 'w>(
        &'n self,
        from: usize,
        at: usize,
        content: &'w Content,
        change: impl Fn(&mut Wrap<'w>),
    ) -> Decision<'n>
    where
        'n: 'w,
    {
        let mut wrapping = Wrap {
            to: &self.actors[at].address,
            end: END,
            nice: 100,
            hops: HOPS_MOST,
            bodies: &[],
            ask: false,
            content,
        };
        change(&mut wrapping);
        self.decide(at, &wrap(&self.actors[from].secrets, &wrapping).expect("it fits"))
    }

    fn hand_bodies(&self, from: usize, at: usize, content: &Content, bodies: &[BodyName]) -> Decision<'_> {
        let to = &self.actors[at].address;
        let wrapping = Wrap { to, end: END, nice: 100, hops: HOPS_MOST, bodies, ask: false, content };
        self.decide(at, &wrap(&self.actors[from].secrets, &wrapping).expect("it fits"))
    }

    /// What node `at` finds for the next hop.
    fn opened(&self, from: usize, at: usize, content: Content, bodies: &[BodyName]) -> Content {
        let to = &self.actors[at].address;
        let wrapping = Wrap { to, end: END, nice: 100, hops: HOPS_MOST, bodies, ask: false, content: &content };
        let file = wrap(&self.actors[from].secrets, &wrapping).expect("it fits");
        let prefix = read_prefix(&file).expect("an envelope");
        let Content::Routed(routed) = content else { panic!("it is under way") };
        let key = self.actors[at].keys.find(routed.key()).expect("its key");
        match routed.open(self.id(at), key, &prefix).expect("it is sound") {
            Step::Onward(onward) => Content::Routed(Box::new(onward.routed)),
            _ => panic!("it goes on"),
        }
    }

    fn decide(&self, at: usize, file: &[u8]) -> Decision<'_> {
        let (own, keys, area_secrets) = (self.id(at), &self.actors[at].keys, &self.area_secrets);
        let rules = Arc::default();
        let known = Known {
            own,
            today: TODAY,
            is_doubted: false,
            floor: 0,
            nodes: self,
            list: None,
            keys,
            area_secrets,
            rules,
            now: 0,
        };
        decide(packet_id(file), file, &known)
    }
}

fn refused(decision: Decision) -> Refusal {
    match decision {
        Decision::Condemn(refusal, _) | Decision::Leave(refusal) => refusal,
        Decision::Take(_) => panic!("it is taken"),
    }
}

fn taken(decision: Decision<'_>) -> Accepted<'_> {
    match decision {
        Decision::Take(accepted) => *accepted,
        Decision::Condemn(refusal, _) | Decision::Leave(refusal) => panic!("{refusal}"),
    }
}

fn tag(accepted: &Accepted) -> SlotTag {
    match &accepted.task {
        Task::Relay(relay) => relay.tag,
        Task::Deliver(_)
        | Task::Post(_)
        | Task::Copy
        | Task::Confirm(_)
        | Task::Report(_)
        | Task::Statement(..)
        | Task::Reply(..) => {
            panic!("it is for this node")
        }
    }
}

/// Threat: 18.
#[test]
fn a_route_that_names_the_node_itself_or_the_one_before_ends_there() {
    let net = Net::new(3);
    let back = |name: &str, decision| assert!(matches!(refused(decision), Refusal::Back(to) if to == name), "{name}");
    back("n1", net.hand(0, 1, &net.routed(&[1, 1, 2], &[]), |_| {}));
    back("n0", net.hand(0, 1, &net.routed(&[1, 0, 2], &[]), |_| {}));
    // The last hop as well: what is for the neighbour need not come by us.
    back("n0", net.hand(0, 1, &net.routed(&[1, 0], &[]), |_| {}));
}

/// Threat: 18.
/// A ring of three relays, as long as a route can be: it goes round and round, one packet at a time, and comes to its end.
#[test]
fn a_packet_in_a_ring_comes_to_an_end() {
    let net = Net::new(4);
    let mut content = net.routed(&[1, 2, 3, 1, 2, 3, 1, 2], &[]);
    let mut file: Option<Vec<u8>> = None;
    let (mut passed, mut tags) = (0, std::collections::BTreeSet::new());
    for (from, at) in [0, 1, 2, 3].into_iter().chain([1, 2, 3].into_iter().cycle()).zip([1, 2, 3].into_iter().cycle()) {
        let decision = match &file {
            None => net.hand(from, at, &content, |_| {}),
            Some(file) => net.decide(at, file),
        };
        let accepted = taken(decision);
        let Task::Relay(relay) = &accepted.task else { break };
        assert!(tags.insert(relay.tag), "each visit has a tag of its own");
        file = Some(relay.wrap(&net.actors[at].secrets, &[], 7).expect("it fits"));
        passed += 1;
        assert!(passed < 100, "it never ends");
    }
    assert_eq!(passed, 7);
    // Whoever routes it anew each time is stopped by `hops`.
    content = net.routed(&[1, 2], &[]);
    assert!(matches!(refused(net.hand(3, 1, &content, |w| w.hops = 1)), Refusal::NoHops));
    let accepted = taken(net.hand(3, 1, &content, |w| w.hops = 2));
    let Task::Relay(relay) = &accepted.task else { panic!("it is for node 2") };
    let last = relay.wrap(&net.actors[1].secrets, &[], 7).expect("it fits");
    assert!(matches!(taken(net.decide(2, &last)).task, Task::Deliver(_)));
}

/// Threat: 8.
#[test]
fn what_a_relay_alters_is_refused_by_the_next_node() {
    let net = Net::new(4);
    let body = |number| BodyName { root: Root::from_bytes([number; 32]), size: 1016 };
    let bodies = [body(1), body(2)];
    let content = net.routed(&[1, 2, 3], &bodies);
    let accepted = taken(net.hand(0, 1, &content, |w| w.bodies = &bodies));
    let Task::Relay(relay) = &accepted.task else { panic!("it is for node 3") };
    let own = relay.wrap(&net.actors[1].secrets, &[body(2), body(1)], 7).expect_err("it knows better itself");
    assert!(matches!(own, Refusal::Route(RouteError::Bodies)));
    // One that does not care.
    let on = net.opened(0, 1, content, &bodies);
    let other = |bodies: &[BodyName]| refused(net.hand_bodies(1, 2, &on, bodies));
    let larger = BodyName { size: 1017, ..body(2) };
    for bodies in [&[body(2), body(1)][..], &[body(1)], &[body(1), body(2), body(3)], &[body(1), larger], &[]] {
        assert!(matches!(other(bodies), Refusal::Route(RouteError::Bodies)), "{bodies:?}");
    }
    assert_eq!(taken(net.hand_bodies(1, 2, &on, &bodies)).bodies, bodies);
}

/// Threat: 15.
/// An old slot in a new envelope: to another node it does not open, with a later date it is refused, and otherwise it has the
/// tag that it had.
#[test]
fn an_old_slot_in_a_new_envelope_is_a_copy_or_nothing() {
    let net = Net::new(5);
    let content = net.routed(&[1, 2], &[]);
    let first = taken(net.hand(0, 1, &content, |_| {}));
    let again = taken(net.hand(3, 1, &content, |w| (w.hops, w.nice, w.end) = (9, 1, END - 1)));
    assert_eq!(tag(&first), tag(&again));
    let later = refused(net.hand(3, 1, &content, |w| w.end = END + 1));
    assert!(matches!(later, Refusal::Route(RouteError::End { .. })), "{later}");
    let elsewhere = refused(net.hand(0, 4, &content, |_| {}));
    assert!(matches!(elsewhere, Refusal::Route(RouteError::NoKey(_))), "{elsewhere}");
}

/// The envelope that a relay makes is the same each time, whoever brought the packet and in whatever envelope of that neighbour.
#[test]
fn the_same_packet_goes_on_as_the_same_packet() {
    let net = Net::new(3);
    let content = net.routed(&[1, 2], &[]);
    let made = |decision| match taken(decision).task {
        Task::Relay(relay) => relay.wrap(&net.actors[1].secrets, &[], 7).expect("it fits"),
        Task::Deliver(_)
        | Task::Post(_)
        | Task::Copy
        | Task::Confirm(_)
        | Task::Report(_)
        | Task::Statement(..)
        | Task::Reply(..) => {
            panic!("it is for node 2")
        }
    };
    let one = made(net.hand(0, 1, &content, |_| {}));
    assert_eq!(one, made(net.hand(0, 1, &content, |w| (w.nice, w.end) = (1, END - 5))));
}

#[test]
fn a_next_hop_without_a_usable_key_makes_it_wait() {
    let mut net = Net::new(3);
    let content = net.routed(&[1, 2], &[]);
    let (secrets, public) = (&net.actors[2].secrets, net.actors[2].address.exchange);
    let keys = vec![ExchangeKey { suite: 1, public, use_until: TODAY - 1, gone_after: 0 }];
    let card = Card::issue(secrets, keys, "n2", 2, 0).expect("a sound card");
    net.known.insert(secrets.id(), KnownNode::new("n2", card));
    let decision = net.hand(0, 1, &content, |_| {});
    assert!(matches!(decision, Decision::Leave(Refusal::Card { .. })));
}

/// Threat: 8, 9. A relay that leaves the trace out, leaves another relay out, or takes steps from another packet.
#[test]
fn a_packet_whose_trace_was_changed_is_refused_where_it_comes_next() {
    let net = Net::new(4);
    let onward = |content: &Content, from: usize, at: usize| {
        let decision = net.hand(from, at, content, |_| {});
        let Task::Relay(relay) = taken(decision).task else { panic!("it goes on") };
        let file = relay.wrap(&net.actors[at].secrets, &[], 7).expect("it fits");
        let key = &net.actors[at + 1].keys;
        let opened = mb_wire::envelope::open(&file, net.id(at + 1), |tag| key.find(tag)).expect("it is sound");
        let Ok(Content::Routed(routed)) = opened.verify_hop(&net.actors[at].secrets.identity_key()) else { panic!() };
        *routed
    };
    let traced = |salt| onward(&net.routed_as(&[1, 2, 3], &[], true, salt), 0, 1);
    let (one, other) = (traced(1), traced(2));
    assert_eq!(one.trace().verify().map(|path| path.steps.len()), Ok(2));
    let last = |trace: Trace| {
        let content = onward(&Content::Routed(Box::new(one.clone())), 1, 2).with_trace(trace);
        net.hand(2, 3, &Content::Routed(Box::new(content)), |_| {})
    };
    let refused_as = |trace: Trace, wanted: TraceError| match refused(last(trace)) {
        Refusal::Route(RouteError::Trace(error)) => assert_eq!(error, wanted),
        other => panic!("{other}"),
    };
    let relay = &net.actors[2].secrets;
    let whole = one.trace().extend(relay, net.id(3), 7).expect("it has it");
    taken(last(whole.clone()));
    refused_as(Trace::default(), TraceError::Missing);
    refused_as(one.trace().clone(), TraceError::Other);
    refused_as(other.trace().extend(relay, net.id(3), 7).expect("it has that, too"), TraceError::Other);
    refused_as(one.trace().extend(relay, net.id(0), 7).expect("it may say so"), TraceError::Other);
    let (author, letter) = (&net.actors[0].secrets, whole.verify().expect("it holds").letter);
    refused_as(Trace::begin(author, letter, net.id(3), 5), TraceError::Other);
    refused_as(Trace::begin(relay, letter, net.id(3), 5), TraceError::Other);
    // And an honest relay adds nothing to a trace that is not its own packet's way.
    let content = Content::Routed(Box::new(one.clone().with_trace(Trace::begin(author, letter, net.id(3), 5))));
    let Task::Relay(relayed) = taken(net.hand(1, 2, &content, |_| {})).task else { panic!("it goes on") };
    assert!(relayed.wrap(relay, &[], 7).is_err());
}
