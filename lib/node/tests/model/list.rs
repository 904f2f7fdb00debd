//! North writes to south, a list, with east and west as subscribers: whatever happens at south, each is handed each letter once.

use mb_node::config::Askers;

use super::*;

/// Who writes, the list, its subscribers, and what came.
struct Club {
    north: Actor,
    south: Actor,
    subscribers: [Actor; 2],
    list: List,
    files: BTreeMap<String, Vec<u8>>,
    /// How many letters.
    count: usize,
    _inputs: Inputs,
}

impl Club {
    fn new() -> Club {
        let (north, south) = (Actor::new("north", 1), Actor::new("south", 2));
        let subscribers = [Actor::new("east", 3), Actor::new("west", 4)];
        let list = List { subscribers: vec!["east".into(), "west".into()], from: Askers::Anybody };
        let inputs = Inputs::new();
        let files = packets(&north, &south.known, &inputs);
        Club { north, south, subscribers, list, files, count: 3, _inputs: inputs }
    }

    fn begin(&self, seed: u64, fs: FsOptions, locks: LockMode) -> World {
        let world = world(seed, fs);
        world.locks(locks);
        put(&world, self.south.id(), &self.files);
        world
    }

    fn toss(&self, world: &World, random: &Stream) -> durable::Result<Vec<PathBuf>> {
        let known = [&self.north.known, &self.subscribers[0].known, &self.subscribers[1].known];
        toss_as(world, &self.south, &known, random, (&System, &Areas::default(), Some(&self.list)))
    }

    /// Each subscriber is handed each letter once, and it holds there; the list keeps none for itself.
    fn assert_sent_on(&self, world: &World, what: &str) {
        for subscriber in &self.subscribers {
            let queue = queued(world, &subscriber.id());
            let envelopes = queue.keys().filter(|name| !name.contains('.')).count();
            assert_eq!((envelopes, queue.len()), (self.count, self.count + 1), "{what}\n{}", world.dump());
            let home = super::world(1, FsOptions::default());
            put(&home, subscriber.id(), &queue);
            // Its card is in the letter: nobody needs to know the author.
            super::toss(&home, subscriber, &self.south.known, &Stream::new(9)).expect("nothing is in the way");
            let tree = home.tree();
            let file = |name: &str| tree.get(&Path::new("/0/incoming/south").join(name));
            assert!(matches!(file("small"), Some(Node::File(content)) if content[..] == *b"small"), "{what}");
            assert!(matches!(file("large"), Some(Node::File(content)) if content[..] == [7; 40_000]), "{what}");
            assert!(
                matches!(file("folder/sub/file"), Some(Node::File(content)) if content[..] == *b"inside"),
                "{what}"
            );
        }
        assert_clean(world, "/none", what);
    }

    /// The subscribers have it, and all of it comes once more.
    fn assert_not_again(&self, world: &World, random: &Stream, what: &str) {
        let spool = Spool::new(world.root(SPOOL), self.south.id());
        for subscriber in &self.subscribers {
            let tx = spool.queue(&subscriber.id(), Queue::Tx).expect("nothing is in the way");
            let queue = queued(world, &subscriber.id());
            queue.keys().for_each(|name| tx.unlink(name.as_ref()).expect("it is there"));
        }
        put(world, self.south.id(), &self.files);
        self.toss(world, random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", world.dump()));
        for subscriber in &self.subscribers {
            assert_eq!(queued(world, &subscriber.id()), BTreeMap::new(), "{what}: once more\n{}", world.dump());
        }
    }
}

/// Shows: W51. Threat: 23.
#[test]
fn a_power_cut_at_any_step_at_a_list_hands_each_subscriber_each_letter_once() {
    let club = Club::new();
    for (name, fs, locks) in variants() {
        let steps = at_every_step(|step| {
            let what = format!("{name}, step {step}");
            let random = Stream::new(600);
            let before = club.begin(step, fs.clone(), locks);
            before.cut_at(step);
            let _ = club.toss(&before, &random);
            if !before.is_cut() {
                return false;
            }
            let after = before.after_crash(step * 7919);
            after.locks(LockMode::Work);
            for _ in 0..2 {
                club.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
            }
            club.assert_sent_on(&after, &what);
            club.assert_not_again(&after, &random, &what);
            true
        });
        assert!(steps > 40, "{name}: sending on takes more than {steps} steps");
    }
}

/// Threat: 25.
#[test]
fn two_tossers_at_a_list_send_each_letter_on_once() {
    let club = Club::new();
    for (name, fs, locks) in variants() {
        let random = Stream::new(620);
        let begin = club.begin(1, fs.clone(), locks);
        let tosser = |world: &World| drop(club.toss(world, &random));
        for n in (1..=calls_of(&begin, tosser)).step_by(3) {
            let what = format!("{name}, the first pauses after {n} calls");
            let shared = begin.after_kill();
            shared.locks(locks);
            shared
                .take_turns(&[(0, n), (1, u64::MAX)], vec![Box::new(|| tosser(&shared)), Box::new(|| tosser(&shared))]);
            let after = shared.after_kill();
            after.locks(LockMode::Work);
            (0..2).for_each(|_| tosser(&after));
            club.assert_sent_on(&after, &what);
        }
    }
}
