//! Rounds in which an area's messages spread: as in `world`, some nodes fail, every node calls all its neighbours, and then
//! tosses what came. What `lib/node`'s tosser does after its decisions is done here in memory, in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use mb_node::toss::Nodes;
use mb_node::toss::decide::{Accepted, Decision, Post, Reading, Task, arrive};
use mb_wire::envelope::packet_id;
use mb_wire::id::{LetterId, MsgHash, NodeId};

use crate::area::{Area, wrapped};
use crate::failure::{DOWN_MOST, Failures, IDLE_MOST, is_unheard};
use crate::net::Net;
use crate::random::Random;
use crate::spread::Spread;

/// Messages are written in so many rounds, when as many nodes are down as ever are.
const WRITING_ROUNDS: usize = 5;
const MESSAGES: usize = 5;

pub struct Flood {
    net: Net,
    area: Area,
    places: Vec<Place>,
    failures: Failures,
    messages: BTreeMap<MsgHash, Written>,
    /// Who writes in which round.
    plan: BTreeMap<usize, Vec<usize>>,
}

/// What a node has in its spool. Marks of who else has a message are not here: they are looked at by a tosser whose
/// forerunner was cut midway, and nobody is.
#[derive(Default)]
struct Place {
    rx: Vec<Vec<u8>>,
    tx: Vec<Waiting>,
    /// The messages that are handed on, and done with.
    marks: BTreeSet<MsgHash>,
    letters: BTreeSet<LetterId>,
}

struct Waiting {
    to: usize,
    envelope: Vec<u8>,
    /// It was handed over, and its giver has not heard that it came.
    is_again: bool,
}

/// What is known of a message, wherever it is.
struct Written {
    author: usize,
    round: usize,
    /// To whom it was delivered, in which round.
    delivered: BTreeMap<usize, usize>,
}

/// A message that has come to a node, and all who brought it in this round.
struct Came<'a> {
    accepted: Box<Accepted<'a>>,
    brought: BTreeSet<NodeId>,
}

impl Came<'_> {
    fn post(&self) -> &Post<'_> {
        let Task::Post(post) = &self.accepted.task else { panic!("there is nothing but messages here") };
        post
    }
}

impl Flood {
    pub fn new(node_count: usize, random: &mut Random) -> Flood {
        let net = Net::new(node_count, random);
        let area = Area::new(&net, random);
        let mut plan: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for _ in 0..MESSAGES {
            let round = DOWN_MOST + random.below(WRITING_ROUNDS);
            plan.entry(round).or_default().push(random.below(node_count));
        }
        let places = (0..node_count).map(|_| Place::default()).collect();
        Flood { net, area, places, failures: Failures::new(node_count), messages: BTreeMap::new(), plan }
    }

    /// Until nothing moves any more. Panics if a reader has a message twice, or lacks one that a living neighbour has.
    pub fn run(mut self, random: &mut Random, spread: &mut Spread) {
        spread.add_world(self.net.edge_count());
        let (mut round, mut moved) = (0, DOWN_MOST + WRITING_ROUNDS);
        while round < moved + IDLE_MOST {
            self.failures.fail(round, random);
            self.write(round, random);
            if self.call(round, random, spread) {
                moved = moved.max(round);
            }
            for at in 0..self.places.len() {
                if self.failures.is_up(at, round) {
                    self.toss(at, round, spread);
                }
            }
            round += 1;
        }
        self.messages.iter().for_each(|(hash, written)| self.count(hash, written, spread));
    }

    /// Who is down writes all the same. What is written is tossed first by its author.
    fn write(&mut self, round: usize, random: &mut Random) {
        for author in self.plan.remove(&round).unwrap_or_default() {
            let message = self.area.write(&self.net, author, random);
            self.places[author].rx.push(wrapped(&self.net, author, author, &message));
            self.messages.insert(message.hash(), Written { author, round, delivered: BTreeMap::new() });
        }
    }

    /// Everybody hands over all that waits for neighbours that answer. Whether anything moved.
    fn call(&mut self, round: usize, random: &mut Random, spread: &mut Spread) -> bool {
        let mut moved = false;
        for giver in 0..self.places.len() {
            if !self.failures.is_up(giver, round) {
                continue;
            }
            for waiting in mem::take(&mut self.places[giver].tx) {
                let Waiting { to, envelope, is_again } = waiting;
                if !self.failures.is_up(to, round) {
                    self.places[giver].tx.push(Waiting { to, envelope, is_again });
                    continue;
                }
                moved = true;
                spread.handed_over(is_again);
                if is_unheard(random) {
                    self.places[giver].tx.push(Waiting { to, envelope: envelope.clone(), is_again: true });
                }
                self.places[to].rx.push(envelope);
            }
        }
        moved
    }

    /// A node decides on all that came, and then hands on, delivers and marks.
    fn toss(&mut self, at: usize, round: usize, spread: &mut Spread) {
        let Flood { net, area, places, messages, .. } = self;
        let place = &mut places[at];
        let here = area.here(net, at);
        let known = net.known(at, &here, area.secrets(at));
        let mut all_came: BTreeMap<MsgHash, Came> = BTreeMap::new();
        for envelope in mem::take(&mut place.rx) {
            let Ok(arrived) = arrive(packet_id(&envelope), &envelope, &known) else { panic!("all are honest here") };
            let hash = arrived.message().expect("there is nothing but messages here").hash;
            if place.marks.contains(&hash) {
                spread.dropped();
                continue;
            }
            let Decision::Take(accepted) = arrived.decide(&known) else { panic!("all are honest here") };
            let from = accepted.from.id();
            if let Some(came) = all_came.get_mut(&hash) {
                came.brought.insert(from);
                spread.dropped();
            } else {
                all_came.insert(hash, Came { accepted, brought: BTreeSet::from([from]) });
            }
        }
        for (hash, came) in all_came {
            place.hand_on(&came, net, at);
            if place.deliver(came.post()) {
                let written = messages.get_mut(&hash).expect("it was written");
                assert_eq!(written.delivered.insert(at, round), None, "a message was delivered twice");
            }
            place.marks.insert(hash);
        }
    }

    /// Looks at who has a message in the end.
    fn count(&self, hash: &MsgHash, written: &Written, spread: &mut Spread) {
        let has_it = |node: usize| self.places[node].marks.contains(hash);
        let is_lost = |node: usize| self.failures.is_lost(node);
        let (mut rounds, mut cut_off_count, mut lost_count) = (Vec::new(), 0, 0);
        for at in 0..self.places.len() {
            if has_it(at) && !is_lost(at) {
                let mut neighbours = self.net.nodes[at].neighbours.iter();
                assert!(
                    neighbours.all(|next| has_it(*next) || is_lost(*next)),
                    "a neighbour of a living node lacks it"
                );
            }
            if !self.area.is_reader(at) || at == written.author {
                continue;
            }
            let round = written.delivered.get(&at);
            assert_eq!(round.is_some(), has_it(at), "a reader lacks what it has handed on");
            match round {
                Some(_) if is_lost(at) => {}
                None if is_lost(at) => lost_count += 1,
                Some(round) => rounds.push(round + 1 - written.round),
                None => cut_off_count += 1,
            }
        }
        spread.ended(written.delivered.len(), rounds, cut_off_count, lost_count);
    }
}

impl Place {
    /// To each subscriber, but not to who brought it, nor to its author where we can read who that is.
    fn hand_on(&mut self, came: &Came, net: &Net, at: usize) {
        let post = came.post();
        for name in &post.area.subscribers {
            let subscriber = net.named(name).expect("everybody is known").id();
            if !came.brought.contains(&subscriber) && Some(subscriber) != post.author {
                let to = net.number(&subscriber);
                let envelope = wrapped(net, at, to, &post.message);
                self.tx.push(Waiting { to, envelope, is_again: false });
            }
        }
    }

    /// Whether its letter is delivered here.
    fn deliver(&mut self, post: &Post) -> bool {
        match &post.reading {
            Reading::No => false,
            Reading::Deliver(deliver) => {
                assert!(self.letters.insert(deliver.id), "a letter came twice");
                true
            }
            Reading::Refuse(_) | Reading::Unknown => panic!("everybody may write here"),
        }
    }
}
