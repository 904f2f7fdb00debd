//! North asks south for a file with a body: whatever happens at south, it is answered once.

use mb_node::config::{Patterns, Share};
use mb_spool::layout::{DIR_MODE, FILE_MODE};
use mb_wire::letter::RequestMeta;

use super::*;

/// Who asks whom, and the request.
struct Asking {
    north: Actor,
    south: Actor,
    files: BTreeMap<String, Vec<u8>>,
}

impl Asking {
    fn new() -> Asking {
        let (mut north, south) = (Actor::new("north", 1), Actor::new("south", 2));
        north.known.shares.push(Share {
            folder: "/1/pub".into(),
            name: None,
            only: Patterns::default(),
            except: Patterns::default(),
            most_bytes: 100_000,
            most_files: 10,
        });
        let request = RequestMeta { list: false, path: b"large".to_vec() };
        let options = Options { errand: Errand::Request(request, None), ..options() };
        let world = world(1, FsOptions::default());
        let nothing = [Input::Bytes(Vec::new(), Vec::new())];
        send(&world, &north, &[to(&south.known)], &nothing, &options, &Stream::new(1)).expect("nothing is in the way");
        let files = queued(&world, &south.id());
        Asking { north, south, files }
    }

    /// South has the file, and the request has come.
    fn begin(&self, seed: u64, fs: FsOptions, locks: LockMode) -> World {
        let world = world(seed, fs);
        world.locks(locks);
        let outside = world.root(OUTSIDE);
        outside.make_dir("pub".as_ref(), DIR_MODE).expect("nothing is in the way");
        let shared = outside.open_dir("pub".as_ref()).expect("it is there");
        let file = shared.create("large".as_ref(), FILE_MODE).expect("nothing is in the way");
        file.write_at(&[7; 40_000], 0).expect("nothing is in the way");
        put(&world, self.south.id(), &self.files);
        world
    }

    fn toss(&self, world: &World, random: &Stream) -> durable::Result<Vec<PathBuf>> {
        toss(world, &self.south, &self.north.known, random)
    }

    /// There is one answer, with the file in it.
    fn assert_answered(&self, world: &World, what: &str) {
        let answers = queued(world, &self.north.id());
        let envelopes: Vec<&String> = answers.keys().filter(|name| !name.contains('.')).collect();
        assert_eq!((envelopes.len(), answers.len()), (1, 2), "{what}\n{}", world.dump());
        let home = super::world(1, FsOptions::default());
        put(&home, self.north.id(), &answers);
        let mut south = self.south.known.clone();
        south.accept.folder = None;
        super::toss(&home, &self.north, &south, &Stream::new(9)).expect("nothing is in the way");
        let got = home.tree().remove(Path::new("/0/incoming/south/large"));
        assert!(matches!(got, Some(Node::File(content)) if content[..] == [7; 40_000]), "{what}\n{}", home.dump());
        assert_clean(world, "/none", what);
    }

    /// North has the answer, and the request comes once more.
    fn assert_not_again(&self, world: &World, random: &Stream, what: &str) {
        let spool = Spool::new(world.root(SPOOL), self.south.id());
        let tx = spool.queue(&self.north.id(), Queue::Tx).expect("nothing is in the way");
        let answers = queued(world, &self.north.id());
        answers.keys().for_each(|name| tx.unlink(name.as_ref()).expect("it is there"));
        put(world, self.south.id(), &self.files);
        self.toss(world, random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", world.dump()));
        assert_eq!(queued(world, &self.north.id()), BTreeMap::new(), "{what}: once more\n{}", world.dump());
    }
}

/// Threat: 23.
#[test]
fn a_power_cut_at_any_step_of_answering_a_request_sends_one_answer() {
    let asking = Asking::new();
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            let steps = at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}");
                let random = Stream::new(seed + 500);
                let before = asking.begin(seed, fs.clone(), locks);
                before.cut_at(step);
                let _ = asking.toss(&before, &random);
                if !before.is_cut() {
                    return false;
                }
                let after = before.after_crash(seed * 7919 + step);
                after.locks(LockMode::Work);
                for _ in 0..2 {
                    asking.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
                }
                asking.assert_answered(&after, &what);
                asking.assert_not_again(&after, &random, &what);
                true
            });
            assert!(steps > 40, "{name}: answering a request takes more than {steps} steps");
        }
    }
}

/// Threat: 23. Threat: 24.
#[test]
fn what_a_killed_answer_did_not_finish_the_next_toss_does() {
    let asking = Asking::new();
    for (name, fs, locks) in variants() {
        at_every_step(|step| {
            let what = format!("{name}, killed at step {step}");
            let random = Stream::new(510);
            let before = asking.begin(step, fs.clone(), locks);
            before.cut_at(step);
            let _ = asking.toss(&before, &random);
            let next = before.after_kill();
            next.locks(LockMode::Work);
            asking.toss(&next, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", next.dump()));
            let after = next.after_crash(step);
            asking.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
            asking.assert_answered(&after, &what);
            before.is_cut()
        });
    }
}

/// Threat: 25.
#[test]
fn two_tossers_answer_a_request_once() {
    let asking = Asking::new();
    for (name, fs, locks) in variants() {
        let random = Stream::new(520);
        let begin = asking.begin(1, fs.clone(), locks);
        let tosser = |world: &World| drop(asking.toss(world, &random));
        for n in 1..=calls_of(&begin, tosser) {
            let what = format!("{name}, the first pauses after {n} calls");
            let shared = begin.after_kill();
            shared.locks(locks);
            shared
                .take_turns(&[(0, n), (1, u64::MAX)], vec![Box::new(|| tosser(&shared)), Box::new(|| tosser(&shared))]);
            let after = shared.after_kill();
            after.locks(LockMode::Work);
            (0..2).for_each(|_| tosser(&after));
            asking.assert_answered(&after, &what);
        }
    }
}
