//! Networks of 5 to 50 nodes: letters by random roads, handed over in random order, in part, twice, by tossers that are cut. Each
//! recipient has each letter exactly once; where nothing was cut, each author knows it.

use super::*;

use std::collections::BTreeSet;

use mb_node::receipts::told;
use mb_spool::way;
use mb_wire::id::PacketId;

/// The most rounds of handing everything over until nothing moves: a letter passes 4 hops, and so do its receipts.
const ROUNDS_MOST: usize = 40;

/// Numbers by chance, the same in every run of a test.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    pub(super) fn once_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A letter that was sent.
struct Posted {
    author: usize,
    to: usize,
    name: String,
    packet: PacketId,
}

struct Network {
    actors: Vec<Actor>,
    worlds: Vec<World>,
    posted: Vec<Posted>,
    random: Stream,
    dice: Dice,
    cut_count: usize,
    what: String,
}

impl Network {
    fn new(count: usize, seed: u64) -> Network {
        let actors: Vec<Actor> = (0..count).map(|n| Actor::new(&format!("n{n}"), n as u8 + 1)).collect();
        let worlds = (0..count).map(|n| world(seed + n as u64, FsOptions::default())).collect();
        let (random, dice) = (Stream::new(seed), Dice(seed));
        let what = format!("{count} nodes, seed {seed}");
        Network { actors, worlds, posted: Vec::new(), random, dice, cut_count: 0, what }
    }

    fn spool(&self, at: usize) -> Spool {
        Spool::new(self.worlds[at].root(SPOOL), self.actors[at].id())
    }

    /// Sends a letter by up to three relays, small or with a body, traced or not.
    fn post(&mut self, inputs: &Inputs) {
        let mut way: Vec<usize> = Vec::new();
        while way.len() < 2 + self.dice.below(4) {
            let node = self.dice.below(self.actors.len());
            if !way.contains(&node) {
                way.push(node);
            }
        }
        let [author, via @ .., to] = &way[..] else { panic!("it has two ends") };
        let name = format!("letter-{}", self.posted.len());
        let is_traced = self.dice.once_in(3);
        let options = Options { name: Some(name.clone().into()), receipt: true, trace: is_traced, ..options() };
        let relays = via.iter().map(|relay| &self.actors[*relay].known).collect();
        let input = &inputs.list[self.dice.below(2)];
        let to_whom = [by(&self.actors[*to].known, relays)];
        let input = std::slice::from_ref(input);
        let sent = send(&self.worlds[*author], &self.actors[*author], &to_whom, input, &options, &self.random);
        let packet = sent.expect("nothing is in the way")[0];
        self.posted.push(Posted { author: *author, to: *to, name, packet });
    }

    /// Hands over what waits at `from` for `to`, or some of it; now and then it stays there as well.
    fn hand_over(&mut self, from: usize, to: usize, is_partial: bool) -> bool {
        let next = self.actors[to].id();
        let mut files = queued(&self.worlds[from], &next);
        if is_partial && self.dice.once_in(2) {
            // Some packets, and of some only the envelope: bodies come later, by themselves.
            let left: BTreeSet<String> = files.keys().filter(|_| self.dice.once_in(3)).cloned().collect();
            files.retain(|name, _| !left.contains(name) && !left.contains(name.split('.').next().unwrap_or_default()));
        }
        let (stays, spool) = (is_partial && self.dice.once_in(4), self.spool(from));
        if files.is_empty() {
            return false;
        }
        let (tx, way) = (spool.queue(&next, Queue::Tx).unwrap(), way::open(&spool, &next).unwrap());
        let rx = self.spool(to).queue(&next, Queue::Rx).unwrap();
        let run = Run::start(&spool, self.random.name()).unwrap();
        for (name, content) in &files {
            if let Ok(file) = rx.create(name.as_ref(), 0o600) {
                file.write_at(content, 0).unwrap();
            }
            if stays {
                continue;
            }
            if let (Some(way), Ok(packet)) = (&way, name.parse::<PacketId>()) {
                way::handed(&spool, &next, way, &packet, &run).unwrap();
            }
            tx.unlink(name.as_ref()).unwrap();
        }
        drop(run);
        [from, to].iter().for_each(|at| self.worlds[*at].settle());
        true
    }

    /// Tosses, and is cut on the way if `cut`: then the power goes.
    fn toss(&mut self, at: usize, cut: Option<u64>) {
        if let Some(step) = cut {
            self.worlds[at].cut_at(step);
        }
        let known: Vec<&KnownNode> = self.actors.iter().map(|actor| &actor.known).collect();
        let tossed = toss_knowing(&self.worlds[at], &self.actors[at], &known, &self.random);
        match cut {
            Some(step) if self.worlds[at].is_cut() => {
                self.worlds[at] = self.worlds[at].after_crash(step);
                self.cut_count += 1;
            }
            Some(_) => self.worlds[at] = self.worlds[at].after_kill(),
            None => drop(tossed.unwrap_or_else(|error| panic!("{}: at {at}: {error}", self.what))),
        }
    }

    /// Everything goes where it goes, until nothing moves.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MOST {
            let mut is_moving = false;
            for at in 0..self.actors.len() {
                // What a cut left, and what a hand-over left to be told.
                self.toss(at, None);
                for to in 0..self.actors.len() {
                    is_moving |= at != to && self.hand_over(at, to, false);
                }
            }
            if !is_moving {
                return;
            }
        }
        panic!("{}: it does not come to rest", self.what);
    }

    fn assert_each_once(&self) {
        let mut found = BTreeSet::new();
        for (at, world) in self.worlds.iter().enumerate() {
            for (path, node) in world.tree() {
                let text = path.display().to_string();
                assert!(!text.contains("/bad/"), "{}: at {at}: {text} {node:?}", self.what);
                if let (Some(name), Node::File(_)) = (text.strip_prefix("/0/incoming/"), node) {
                    found.insert((at, name.to_owned()));
                }
            }
        }
        let wanted = self.posted.iter().map(|one| (one.to, format!("n{}/{}", one.author, one.name)));
        assert_eq!(found, wanted.collect(), "{}", self.what);
    }

    fn assert_authors_know(&self) {
        for Posted { author, packet, name, .. } in &self.posted {
            let told = told(&self.spool(*author), packet).unwrap().expect("word of it is wanted");
            assert!(told.is_delivered(), "{}: {name}: {told:?}", self.what);
            assert!(told.hops.iter().all(|(_, said)| said.is_some()), "{}: {name}: {told:?}", self.what);
        }
    }

    /// Letters on their way, some moves by chance, and then the rest.
    fn play(count: usize, seed: u64, has_cuts: bool) {
        let (mut net, inputs) = (Network::new(count, seed), Inputs::new());
        for step in 0..count * 6 {
            if step % 3 == 0 {
                net.post(&inputs);
            }
            let (from, to) = (net.dice.below(count), net.dice.below(count));
            if from != to {
                net.hand_over(from, to, true);
            }
            let at = if net.dice.once_in(2) { to } else { net.dice.below(count) };
            let cut = (has_cuts && net.dice.once_in(2)).then(|| 1 + net.dice.below(60) as u64);
            net.toss(at, cut);
        }
        net.settle();
        net.assert_each_once();
        match has_cuts {
            true => assert!(net.cut_count > 0, "{}: nothing was cut", net.what),
            false => net.assert_authors_know(),
        }
    }
}

const SIZES: [usize; 4] = [5, 11, 23, 50];

/// Shows: W15, W32.
#[test]
fn in_a_network_each_recipient_has_each_letter_once_and_each_author_knows_it() {
    for (count, seed) in SIZES.into_iter().flat_map(|count| (1..=seeds()).map(move |seed| (count, seed))) {
        Network::play(count, seed, false);
    }
}

/// Threat: 23.
#[test]
fn in_a_network_whose_tossers_are_cut_each_recipient_has_each_letter_once() {
    for (count, seed) in SIZES.into_iter().flat_map(|count| (1..=seeds()).map(move |seed| (count, seed))) {
        Network::play(count, 100 + seed, true);
    }
}
