//! Rounds: in each, some nodes fail, every node calls all its neighbours, and then tosses what came. So a packet makes one hop
//! a round at best.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::rc::Rc;

use mb_node::home::AreaSecrets;
use mb_node::toss::decide::{Accepted, Decision, Deliver, Relay, Task, decide};
use mb_wire::envelope::packet_id;
use mb_wire::id::{LetterId, SlotTag};

use crate::failure::{Failures, IDLE_MOST, is_unheard};
use crate::letter::{self, Sent};
use crate::net::Net;
use crate::random::Random;
use crate::report::Figures;

/// Letters of each node, written in the first rounds.
const LETTERS_EACH: usize = 2;
const WRITING_ROUNDS: usize = 5;

pub struct World {
    net: Net,
    places: Vec<Place>,
    failures: Failures,
    letters: Vec<Sent>,
    /// Who writes in which round.
    plan: Vec<Vec<usize>>,
    is_onion: bool,
}

/// What a node has in its spool.
#[derive(Default)]
struct Place {
    rx: Vec<Rc<Packet>>,
    tx: Vec<Waiting>,
    tags: BTreeSet<SlotTag>,
    letters: BTreeSet<LetterId>,
    /// Packets of each neighbour that were relayed and have not gone on.
    charged: BTreeMap<usize, u64>,
}

struct Packet {
    envelope: Vec<u8>,
    letter: usize,
    /// The hop that it is for.
    hop: usize,
}

struct Waiting {
    packet: Rc<Packet>,
    /// Who is charged for it: who handed it to us.
    of: Option<usize>,
}

impl World {
    pub fn new(node_count: usize, is_onion: bool, random: &mut Random) -> World {
        let net = Net::new(node_count, random);
        let mut plan = vec![Vec::new(); WRITING_ROUNDS];
        for author in (0..node_count * LETTERS_EACH).map(|number| number % node_count) {
            plan[random.below(WRITING_ROUNDS)].push(author);
        }
        let places = (0..node_count).map(|_| Place::default()).collect();
        World { net, places, failures: Failures::new(node_count), letters: Vec::new(), plan, is_onion }
    }

    /// Until nothing moves any more.
    pub fn run(mut self, random: &mut Random, figures: &mut Figures) {
        let (mut round, mut moved) = (0, 0);
        while round < WRITING_ROUNDS || round - moved < IDLE_MOST {
            self.failures.fail(round, random);
            self.write(round, random, figures);
            if self.call(round, random, figures) {
                moved = round;
            }
            for at in 0..self.places.len() {
                if self.failures.is_up(at, round) {
                    self.toss(at, round, figures);
                }
            }
            round += 1;
        }
        self.count_left(figures);
    }

    /// Who is down writes all the same: people do.
    fn write(&mut self, round: usize, random: &mut Random, figures: &mut Figures) {
        for author in self.plan.get_mut(round).map(mem::take).unwrap_or_default() {
            let others = self.net.nodes.len() - 1;
            let to = (author + 1 + random.below(others)) % self.net.nodes.len();
            figures.letter_count += 1;
            let Some(way) = self.net.way(author, to, random) else {
                figures.too_far_count += 1;
                continue;
            };
            let (sent, envelope) = letter::write(&self.net, author, way, round, self.is_onion, random);
            let packet = Rc::new(Packet { envelope, letter: self.letters.len(), hop: 0 });
            self.places[author].tx.push(Waiting { packet, of: None });
            self.letters.push(sent);
        }
    }

    /// Everybody hands over all that waits for neighbours that answer. Whether anything moved.
    fn call(&mut self, round: usize, random: &mut Random, figures: &mut Figures) -> bool {
        let mut moved = false;
        for giver in 0..self.places.len() {
            if !self.failures.is_up(giver, round) {
                continue;
            }
            for waiting in mem::take(&mut self.places[giver].tx) {
                let packet = &waiting.packet;
                let to = self.letters[packet.letter].way[packet.hop];
                let mut is_kept = true;
                if self.failures.is_up(to, round) {
                    moved = true;
                    is_kept = is_unheard(random);
                    let bodies = &self.letters[packet.letter].arriving[packet.hop];
                    figures.handed_over(packet.envelope.len(), bodies.iter().map(|body| body.size).sum());
                    self.places[to].rx.push(packet.clone());
                }
                let place = &mut self.places[giver];
                if is_kept {
                    place.tx.push(waiting);
                } else if let Some(count) = waiting.of.and_then(|of| place.charged.get_mut(&of)) {
                    *count -= 1;
                }
            }
        }
        moved
    }

    /// A node decides on all that came. What a quota refuses stays where it came.
    fn toss(&mut self, at: usize, round: usize, figures: &mut Figures) {
        let World { net, places, letters, .. } = self;
        let area_secrets = AreaSecrets::default();
        let known = net.known(at, net, &area_secrets);
        for packet in mem::take(&mut places[at].rx) {
            let sent = &letters[packet.letter];
            let accepted = match decide(packet_id(&packet.envelope), &packet.envelope, &known) {
                Decision::Take(accepted) => accepted,
                Decision::Condemn(refusal, _) | Decision::Leave(refusal) => panic!("all are honest here: {refusal}"),
            };
            let from = net.number(&accepted.from.id());
            let place = &mut places[at];
            match &accepted.task {
                Task::Deliver(deliver) => place.deliver(deliver, sent, round, figures),
                Task::Relay(relay) if place.tags.contains(&relay.tag) => figures.copy_count += 1,
                Task::Relay(_) if place.is_full(from, &accepted) => {
                    figures.quota_wait_count += 1;
                    place.rx.push(packet);
                }
                Task::Relay(relay) => place.relay(relay, from, &packet, sent, net, at),
                Task::Post(_)
                | Task::Copy
                | Task::Confirm(_)
                | Task::Report(_)
                | Task::Statement(..)
                | Task::Reply(..) => {
                    panic!("nobody asked")
                }
            }
        }
    }

    /// What has not arrived, and why: somebody is gone for good, or packets that wait for him fill a quota.
    fn count_left(&self, figures: &mut Figures) {
        for (at, place) in self.places.iter().enumerate() {
            if self.failures.is_lost(at) {
                figures.dead_count += place.rx.len() + place.tx.len();
            } else {
                figures.dead_count += place.tx.len();
                figures.quota_left_count += place.rx.len();
            }
        }
    }
}

impl Place {
    fn deliver(&mut self, deliver: &Deliver, sent: &Sent, round: usize, figures: &mut Figures) {
        if self.letters.insert(deliver.id) {
            figures.delivered(sent.way.len(), sent.len, round + 1 - sent.round);
        } else {
            figures.copy_count += 1;
        }
    }

    /// The rule of `[link] most_packets`.
    fn is_full(&self, from: usize, accepted: &Accepted) -> bool {
        let count = self.charged.get(&from).copied().unwrap_or(0);
        accepted.from.link.most_packets.is_some_and(|most| count >= most)
    }

    fn relay(&mut self, relay: &Relay, from: usize, packet: &Packet, sent: &Sent, net: &Net, at: usize) {
        let hop = packet.hop + 1;
        assert_eq!(net.number(&relay.next.id()), sent.way[hop], "it goes where its author wanted");
        let envelope = relay.wrap(&net.nodes[at].secrets, &sent.arriving[hop], 0).expect("it fits");
        self.tags.insert(relay.tag);
        *self.charged.entry(from).or_default() += 1;
        let packet = Rc::new(Packet { envelope, letter: packet.letter, hop });
        self.tx.push(Waiting { packet, of: Some(from) });
    }
}
