//! Messages of areas: handed on to each subscriber and delivered once, wherever the power goes; and in networks of any shape, with
//! hand-overs by chance.

use super::network::Dice;
use super::*;

use std::collections::BTreeSet;

use mb_node::send::Posting;
use mb_wire::area::{AreaCard, AreaKeys, AreaSecret, Mode, PostSecret};

/// An area of north's, as a node knows it that relays it to nobody.
pub fn relayed(north: &Actor) -> Areas {
    areas(&Secrets(9).card(north), false, &[])
}

/// An area's secrets, made anew whenever they are needed.
struct Secrets(u8);

impl Secrets {
    fn post(&self) -> PostSecret {
        PostSecret::from_random([self.0; 32])
    }

    fn read(&self) -> ExchangeSecret {
        ExchangeSecret::from_random([self.0 ^ 0x55; 32])
    }

    fn card(&self, owner: &Actor) -> AreaCard {
        let keys = AreaKeys { post: self.post().public(), read: self.read().public() };
        AreaCard::new(&owner.secrets, "news", Mode::Open, Some(keys), [self.0; 16], 0).expect("a sound card")
    }
}

/// The area as a node knows it: a reader's files go to the other file system.
fn areas(card: &AreaCard, is_reader: bool, subscribers: &[&Actor]) -> Areas {
    let mut known = KnownArea::new("news", card.clone());
    known.subscribers = subscribers.iter().map(|actor| actor.known.name.clone()).collect();
    known.accept.folder = Some("/1".into());
    let secrets = Secrets(9);
    let secret = AreaSecret { card: card.clone(), post: Some(secrets.post()), read: Some(secrets.read()) };
    Areas { known: vec![known], secrets: is_reader.then_some(secret).into_iter().collect() }
}

/// Sends these to the area.
fn post(world: &World, at: &Actor, areas: &Areas, inputs: &[Input], options: &Options, random: &Stream) {
    let post = Secrets(9).post();
    let (area, read) = (&areas.known[0], Secrets(9).read().public());
    let posting = Posting { area, post: &post, read, under: None, days: None, re: None };
    let to = Recipient { area: Some(posting), ..to(&at.known) };
    send(world, at, &[to], inputs, options, random).expect("nothing is in the way");
}

/// The hub reads, and hands on to three.
struct Hub {
    north: Actor,
    hub: Actor,
    subscribers: [Actor; 3],
    areas: Areas,
    /// What north hands to the hub.
    files: BTreeMap<String, Vec<u8>>,
}

impl Hub {
    fn new() -> Hub {
        let (north, hub) = (Actor::new("north", 1), Actor::new("hub", 4));
        let subscribers = [("a", 5), ("b", 6), ("c", 7)].map(|(name, number)| Actor::new(name, number));
        let card = Secrets(9).card(&north);
        let world = world(1, FsOptions::default());
        let own = self::areas(&card, true, &[&hub]);
        post(&world, &north, &own, &Inputs::new().list, &options(), &Stream::new(1));
        toss_running(&world, &north, &[&hub.known], &Stream::new(2), (&System, &own)).expect("nothing is in the way");
        let files = queued(&world, &hub.id());
        assert_eq!(delivered_names(&world, "/1"), [""; 0], "not to oneself");
        // North, too, is subscribed: it never gets it back.
        let all: Vec<&Actor> = subscribers.iter().chain([&north]).collect();
        let areas = self::areas(&card, true, &all);
        Hub { north, hub, subscribers, areas, files }
    }

    fn toss(&self, world: &World, random: &Stream) -> durable::Result<Vec<PathBuf>> {
        let known: Vec<&KnownNode> = self.subscribers.iter().chain([&self.north]).map(|actor| &actor.known).collect();
        toss_running(world, &self.hub, &known, random, (&System, &self.areas))
    }

    /// What each subscriber is to be handed.
    fn queues(&self, world: &World) -> Vec<BTreeMap<String, Vec<u8>>> {
        self.subscribers.iter().map(|actor| queued(world, &actor.id())).collect()
    }

    fn assert_done(&self, world: &World, expected: &[BTreeMap<String, Vec<u8>>], what: &str) {
        assert!(self.queues(world) == expected, "{what}\n{}", world.dump());
        assert!(queued(world, &self.north.id()).is_empty(), "{what}: back\n{}", world.dump());
        assert_eq!(delivered_names(world, "/1"), ["folder", "large", "small"], "{what}\n{}", world.dump());
        assert_whole(world, "/1", what);
        assert_clean(world, "/1", what);
    }
}

/// Threat: 23.
/// Shows: N13, N14.
#[test]
fn a_power_cut_at_any_step_of_handing_on_loses_no_copy_and_delivers_once() {
    let hub = Hub::new();
    let expected = {
        let world = world(1, FsOptions::default());
        put(&world, hub.hub.id(), &hub.files);
        hub.toss(&world, &Stream::new(3)).expect("nothing is in the way");
        hub.queues(&world)
    };
    assert!(expected.iter().all(|queue| queue.len() == 4), "three envelopes and a body for each");
    for (name, fs, locks) in variants() {
        for seed in 0..seeds().div_ceil(3) {
            let steps = at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}");
                let random = Stream::new(seed + 600);
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, hub.hub.id(), &hub.files);
                before.cut_at(step);
                let _ = hub.toss(&before, &random);
                if !before.is_cut() {
                    return false;
                }
                let middle = before.after_crash(seed * 7919 + step);
                middle.locks(locks);
                middle.cut_at(1 + (seed * 31 + step) % 60);
                let _ = hub.toss(&middle, &random);
                let after = if middle.is_cut() { middle.after_crash(seed + step) } else { middle.after_kill() };
                after.locks(LockMode::Work);
                let toss = || {
                    drop(hub.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump())));
                };
                (0..2).for_each(|_| toss());
                hub.assert_done(&after, &expected, &what);
                // All have fetched it; it comes once more, and goes nowhere.
                let spool = Spool::new(after.root(SPOOL), hub.hub.id());
                for (actor, queue) in hub.subscribers.iter().zip(&expected) {
                    let tx = spool.queue(&actor.id(), Queue::Tx).expect("nothing is in the way");
                    queue.keys().for_each(|name| tx.unlink(name.as_ref()).expect("it is there"));
                }
                put(&after, hub.hub.id(), &hub.files);
                toss();
                hub.assert_done(&after, &[const { BTreeMap::new() }; 3], &format!("{what}: once more"));
                true
            });
            assert!(steps > 60, "{name}: handing three messages on to three takes more than {steps} steps");
        }
    }
}

/// Threat: 15. Threat: 23.
/// A copy with a damaged body comes first to a relay that cannot read: it is not handed on, and marks nothing.
#[test]
fn a_damaged_copy_is_not_handed_on_and_does_not_silence_the_good_one() {
    let mut hub = Hub::new();
    hub.areas.secrets = AreaSecrets::default();
    let (packet, body) = body_of(&hub.files);
    let good = only(&hub.files, &[&packet, &body]);
    let mut damaged = good.clone();
    damaged.get_mut(&body).expect("it is there")[1000] ^= 1;
    for (name, fs, locks) in variants() {
        at_every_step(|step| {
            let what = format!("{name}, step {step}");
            let random = Stream::new(step + 700);
            let before = world(step, fs.clone());
            before.locks(locks);
            put(&before, hub.hub.id(), &damaged);
            before.cut_at(step);
            let _ = hub.toss(&before, &random);
            let after = before.after_crash(step);
            after.locks(LockMode::Work);
            let toss = || drop(hub.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump())));
            (0..2).for_each(|_| toss());
            assert!(hub.queues(&after).iter().all(BTreeMap::is_empty), "{what}\n{}", after.dump());
            let marks = after.tree().keys().filter(|path| path.to_string_lossy().contains("/area/")).count();
            assert_eq!(marks, 0, "{what}\n{}", after.dump());
            put(&after, hub.hub.id(), &good);
            (0..2).for_each(|_| toss());
            assert!(hub.queues(&after).iter().all(|queue| queue.len() == 2), "{what}\n{}", after.dump());
            before.is_cut()
        });
    }
}

/// Threat: 25.
/// Two tossers at once, one of which dies: each subscriber is handed each message, and it is delivered once.
#[test]
fn two_tossers_hand_on_and_deliver_once_whoever_dies() {
    let hub = Hub::new();
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() * 20 {
            let what = format!("{name}, seed {seed}");
            let random = Stream::new(seed + 800);
            let shared = world(seed, fs.clone());
            shared.locks(locks);
            put(&shared, hub.hub.id(), &hub.files);
            shared.only_actor_dies_at(0, 1 + seed % 131);
            let tosser = || drop(hub.toss(&shared, &random));
            shared.interleave(seed, vec![Box::new(tosser), Box::new(tosser)]);
            let after = shared.after_kill();
            after.locks(LockMode::Work);
            (0..2).for_each(|_| {
                drop(hub.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump())));
            });
            assert!(hub.queues(&after).iter().all(|queue| queue.len() == 4), "{what}\n{}", after.dump());
            assert_eq!(delivered_names(&after, "/1"), ["folder", "large", "small"], "{what}\n{}", after.dump());
            assert_clean(&after, "/1", &what);
        }
    }
}

/// One message costs each of a thousand subscribers an envelope and a link: the body stays one file.
///
/// Shows: N1.
#[test]
fn a_thousand_subscribers_share_one_body() {
    let (north, hub) = (Actor::new("north", 1), Hub::new());
    let subscribers: Vec<Actor> = (0..1000).map(|n| Actor::of(format!("s{n}"), 1000 + n)).collect();
    let all: Vec<&Actor> = subscribers.iter().collect();
    let mut areas = areas(&hub.areas.known[0].card, false, &all);
    areas.known[0].accept.folder = None;
    let world = world(1, FsOptions::default());
    let (packet, body) = body_of(&hub.files);
    put(&world, hub.hub.id(), &only(&hub.files, &[&packet, &body]));
    let known: Vec<&KnownNode> = subscribers.iter().chain([&north]).map(|actor| &actor.known).collect();
    toss_running(&world, &hub.hub, &known, &Stream::new(4), (&System, &areas)).expect("nothing is in the way");
    let spool = Spool::new(world.root(SPOOL), hub.hub.id());
    let mut inodes = BTreeSet::new();
    for actor in &subscribers {
        let tx = spool.queue(&actor.id(), Queue::Tx).expect("nothing is in the way");
        let listing = mb_spool::bodies::packets(&tx).expect("nothing is in the way");
        let [packet] = listing.envelopes[..] else { panic!("{listing:?}") };
        inodes.insert(tx.stat(format!("{packet}.0").as_ref()).expect("it is there").inode);
    }
    assert_eq!(inodes.len(), 1);
}

/// Nodes that subscribe to each other by chance, of which some cannot read.
struct Net {
    actors: Vec<Actor>,
    worlds: Vec<World>,
    areas: Vec<Areas>,
    is_reader: Vec<bool>,
    /// Who hands on to whom.
    edges: BTreeSet<(usize, usize)>,
    posted: Vec<(usize, String)>,
    random: Stream,
    dice: Dice,
    what: String,
}

impl Net {
    fn new(count: usize, seed: u64) -> Net {
        let mut dice = Dice(seed);
        let actors: Vec<Actor> = (0..count).map(|n| Actor::new(&format!("n{n}"), n as u8 + 1)).collect();
        let mut edges = BTreeSet::new();
        // A ring, so that all hear of all; and as many more as there are nodes, in one direction only.
        for at in 0..count {
            edges.insert((at, (at + 1) % count));
        }
        for _ in 0..count {
            edges.insert((dice.below(count), dice.below(count)));
        }
        let card = Secrets(9).card(&actors[0]);
        let is_reader: Vec<bool> = (0..count).map(|at| at == 0 || !dice.once_in(3)).collect();
        let areas = (0..count).map(|at| {
            let to: Vec<&Actor> = edges.iter().filter(|(from, _)| *from == at).map(|(_, to)| &actors[*to]).collect();
            self::areas(&card, is_reader[at], &to)
        });
        let areas = areas.collect();
        let worlds = (0..count).map(|n| world(seed + n as u64, FsOptions::default())).collect();
        let what = format!("{count} nodes, seed {seed}");
        Net { actors, worlds, areas, is_reader, edges, posted: Vec::new(), random: Stream::new(seed), dice, what }
    }

    fn post(&mut self, inputs: &Inputs) {
        let at = self.dice.below(self.actors.len());
        if !self.is_reader[at] {
            return;
        }
        let name = format!("post-{}", self.posted.len());
        let options = Options { name: Some(name.clone().into()), ..options() };
        let input = &inputs.list[self.dice.below(2)];
        let (world, actor, areas) = (&self.worlds[at], &self.actors[at], &self.areas[at]);
        post(world, actor, areas, std::slice::from_ref(input), &options, &self.random);
        self.posted.push((at, name));
    }

    fn spool(&self, at: usize) -> Spool {
        Spool::new(self.worlds[at].root(SPOOL), self.actors[at].id())
    }

    /// Hands over all that waits, or some of it, and now and then keeps it.
    fn hand_over(&mut self, from: usize, to: usize, is_partial: bool) -> bool {
        let next = self.actors[to].id();
        let mut files = queued(&self.worlds[from], &next);
        if is_partial && self.dice.once_in(2) {
            files.retain(|name, _| !name.contains('.') || !self.dice.once_in(2));
        }
        if files.is_empty() {
            return false;
        }
        let stays = is_partial;
        let tx = self.spool(from).queue(&next, Queue::Tx).unwrap();
        let rx = self.spool(to).queue(&next, Queue::Rx).unwrap();
        for (name, content) in &files {
            if let Ok(file) = rx.create(name.as_ref(), 0o600) {
                file.write_at(content, 0).unwrap();
            }
            if !stays {
                tx.unlink(name.as_ref()).unwrap();
            }
        }
        [from, to].iter().for_each(|at| self.worlds[*at].settle());
        true
    }

    fn toss(&mut self, at: usize, cut: Option<u64>) {
        if let Some(step) = cut {
            self.worlds[at].cut_at(step);
        }
        let known: Vec<&KnownNode> = self.actors.iter().map(|actor| &actor.known).collect();
        let (world, actor, areas) = (&self.worlds[at], &self.actors[at], &self.areas[at]);
        let tossed = toss_running(world, actor, &known, &self.random, (&System, areas));
        match cut {
            Some(step) if self.worlds[at].is_cut() => self.worlds[at] = self.worlds[at].after_crash(step),
            Some(_) => self.worlds[at] = self.worlds[at].after_kill(),
            None => drop(tossed.unwrap_or_else(|error| panic!("{}: at {at}: {error}", self.what))),
        }
    }

    fn play(count: usize, seed: u64, has_cuts: bool) {
        let (mut net, inputs) = (Net::new(count, seed), Inputs::new());
        let edges: Vec<(usize, usize)> = net.edges.iter().copied().filter(|(from, to)| from != to).collect();
        for step in 0..count * 4 {
            if step % 4 == 0 {
                net.post(&inputs);
            }
            let (from, to) = edges[net.dice.below(edges.len())];
            net.hand_over(from, to, true);
            let cut = (has_cuts && net.dice.once_in(2)).then(|| 1 + net.dice.below(80) as u64);
            let at = if net.dice.once_in(2) { to } else { from };
            net.toss(at, cut);
        }
        // No message passes a node more than once, so that is the longest way.
        for round in 0.. {
            assert!(round <= count + 2, "{}: it does not come to rest", net.what);
            let mut is_moving = false;
            for at in 0..count {
                net.toss(at, None);
                for (_, to) in edges.iter().filter(|(from, _)| *from == at) {
                    is_moving |= net.hand_over(at, *to, false);
                }
            }
            if !is_moving {
                break;
            }
        }
        // What a run has left to the next one is gone.
        (0..count).for_each(|at| net.toss(at, None));
        net.assert_each_once();
    }

    /// Each reader has each message once, but for its own.
    fn assert_each_once(&self) {
        for (at, world) in self.worlds.iter().enumerate() {
            let found: Vec<String> = delivered_names(world, "/1");
            let others = self.posted.iter().filter(|(author, _)| *author != at && self.is_reader[at]);
            let mut wanted: Vec<String> = others.map(|(_, name)| name.clone()).collect();
            wanted.sort();
            assert_eq!(found, wanted, "{}: at {at}\n{}", self.what, world.dump());
            assert_clean(world, "/1", &self.what);
        }
    }
}

const SIZES: [usize; 5] = [2, 3, 7, 15, 40];

/// Shows: N3, N6, N25, N27.
#[test]
fn in_graphs_of_any_shape_each_reader_has_each_message_once_and_all_comes_to_rest() {
    for (count, seed) in SIZES.into_iter().flat_map(|count| (1..=seeds()).map(move |seed| (count, seed))) {
        Net::play(count, seed, false);
    }
}

/// Threat: 18. Threat: 23.
#[test]
fn so_they_do_when_tossers_are_cut() {
    for (count, seed) in SIZES.into_iter().flat_map(|count| (1..=seeds()).map(move |seed| (count, seed))) {
        Net::play(count, 100 + seed, true);
    }
}

/// What a test vector has under `key`.
fn of_vector(name: &str, key: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/good").join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let value = text.split_once(&format!("\"{key}\": \"")).and_then(|(_, rest)| rest.split_once('"'));
    value.unwrap_or_else(|| panic!("{name} has {key}")).0.to_owned()
}

/// The envelope of a test vector.
fn vector(name: &str) -> Vec<u8> {
    let hex = of_vector(name, "file");
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("it is hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// An author can sign one letter twice, and put each into a message of its own: both go on, and the letter is delivered once,
/// whether they come together or not. Nobody else can make two of one letter. Threat: 18.
#[test]
fn one_letter_in_two_messages_is_delivered_once() {
    let files = ["area_inline", "area_letter_signed_again"].map(|name| {
        let file = vector(name);
        (mb_wire::envelope::packet_id(&file).to_string(), file)
    });
    // Whom the vectors are for, and from.
    let (alice, mut bob) = (Actor::from([0xa1; 32], "alice"), Actor::from([0xb0; 32], "bob"));
    bob.key = [0xbe; 32];
    let next = Actor::new("next", 7);
    let (post, read) = (PostSecret::from_random([0x90; 32]), ExchangeSecret::from_random([0x91; 32]));
    let card = AreaCard::parse(&of_vector("area_inline", "area_card")).expect("a card");
    let mut known = KnownArea::new("news", card.clone());
    (known.subscribers, known.accept.folder) = (vec!["next".into()], Some("/1".into()));
    let areas = Areas {
        known: vec![known],
        secrets: [AreaSecret { card, post: Some(post), read: Some(read) }].into_iter().collect(),
    };
    for (name, fs, locks) in variants() {
        for together in [false, true] {
            let what = format!("{name}, together: {together}");
            let (world, random) = (world(1, fs.clone()), Stream::new(700));
            world.locks(locks);
            let toss = || {
                let with: (&dyn Runner, &Areas, Option<&List>) = (&System, &areas, None);
                toss_at(20_000 * 86_400, &world, &bob, &[&alice.known, &next.known], &random, with).unwrap()
            };
            let mut delivered = Vec::new();
            for file in &files {
                put(&world, bob.id(), &BTreeMap::from([file.clone()]));
                if !together {
                    delivered.extend(toss());
                }
            }
            delivered.extend(toss());
            assert_eq!(delivered, [Path::new("/1/hello.txt")], "{what}\n{}", world.dump());
            assert_eq!(delivered_names(&world, "/1"), ["hello.txt"], "{what}");
            assert_eq!(queued(&world, &next.id()).len(), 2, "{what}\n{}", world.dump());
        }
    }
}
