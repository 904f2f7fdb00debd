//! An open area: every node hands its messages on to all its neighbours, some can read them, and everybody may write.

use mb_node::config::{KnownArea, KnownNode};
use mb_node::home::AreaSecrets;
use mb_node::toss::Nodes;
use mb_wire::area::{AreaCard, AreaKeys, AreaMessage, AreaSecret, Mode, PostSecret, PostTerms, post};
use mb_wire::body::body_len;
use mb_wire::envelope::{Content, HOPS_MOST, Wrap, wrap};
use mb_wire::id::{AreaId, NodeId};
use mb_wire::key::ExchangeSecret;

use crate::letter::{END, NICE, letter, named};
use crate::net::{Net, name};
use crate::random::Random;

/// Of a thousand nodes so many can read; the others hand on what they cannot open.
const READ_PER_MILLE: usize = 500;
/// Payload bytes of a message: one body.
const LEN: u64 = 100 << 10;

pub struct Area {
    post: PostSecret,
    read: [u8; 32],
    /// Of those who can read.
    secrets: AreaSecrets,
    /// Of those who cannot.
    no_secrets: AreaSecrets,
    /// The area's file at each node.
    known: Vec<KnownArea>,
    is_reader: Vec<bool>,
}

/// What a node knows: all nodes, and its own file of the area.
pub struct Here<'a> {
    net: &'a Net,
    area: &'a KnownArea,
}

impl Nodes for Here<'_> {
    fn node(&self, id: &NodeId) -> Option<&KnownNode> {
        self.net.node(id)
    }

    fn named(&self, name: &str) -> Option<&KnownNode> {
        self.net.named(name)
    }

    fn area(&self, id: &AreaId) -> Option<&KnownArea> {
        (self.area.id() == *id).then_some(self.area)
    }

    fn areas(&self) -> Vec<&KnownArea> {
        vec![self.area]
    }
}

impl Area {
    /// The first node's, with all neighbours of each node as its subscribers.
    pub fn new(net: &Net, random: &mut Random) -> Area {
        let (post, read) = (PostSecret::from_random(random.bytes()), ExchangeSecret::from_random(random.bytes()));
        let keys = AreaKeys { post: post.public(), read: read.public() };
        let owner = &net.nodes[0].secrets;
        let card = AreaCard::new(owner, "news", Mode::Open, Some(keys), random.bytes(), 0).expect("a sound card");
        let file = |neighbours: &Vec<usize>| {
            let mut known = KnownArea::new("news", card.clone());
            known.subscribers = neighbours.iter().copied().map(name).collect();
            known.accept.folder = Some("/news".into());
            known
        };
        let known = net.nodes.iter().map(|node| file(&node.neighbours)).collect();
        let is_reader = net.nodes.iter().map(|_| random.happens(READ_PER_MILLE)).collect();
        let secrets = [AreaSecret { card, post: None, read: Some(read) }].into_iter().collect();
        Area { post, read: keys.read, secrets, no_secrets: AreaSecrets::default(), known, is_reader }
    }

    pub fn is_reader(&self, node: usize) -> bool {
        self.is_reader[node]
    }

    pub fn here<'a>(&'a self, net: &'a Net, at: usize) -> Here<'a> {
        Here { net, area: &self.known[at] }
    }

    pub fn secrets(&self, at: usize) -> &AreaSecrets {
        if self.is_reader[at] { &self.secrets } else { &self.no_secrets }
    }

    /// A message with a letter of this author.
    pub fn write(&self, net: &Net, author: usize, random: &mut Random) -> AreaMessage {
        let node = &net.nodes[author];
        let bodies = named(&[body_len(LEN)], random);
        // Whom it is for, the terms say.
        let letter = letter(net, author, node.address.id, &bodies, &[LEN], LEN, random);
        let area = self.known[author].id();
        let card = &net.node(&node.address.id).expect("everybody is known").card;
        let (post_key, read, salt) = (&self.post, &self.read, random.bytes());
        let terms = PostTerms { area, post: post_key, read, under: None, card, re: None, salt };
        post(&node.secrets, &letter, &terms).expect("it fits").0
    }
}

/// The envelope in which a message goes to a neighbour, or from its author to himself.
pub fn wrapped(net: &Net, from: usize, to: usize, message: &AreaMessage) -> Vec<u8> {
    let (to, bodies) = (&net.nodes[to].address, &message.head.bodies[..]);
    let content = &Content::Area(Box::new(message.clone()));
    let wrapping = Wrap { to, end: END, nice: NICE, hops: HOPS_MOST, bodies, ask: false, content };
    wrap(&net.nodes[from].secrets, &wrapping).expect("it fits")
}
