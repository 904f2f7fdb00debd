//! Letters for commands: the power goes at any step. No letter is never run, and none whose end is durable is run once more; what is to be
//! run at most once never runs twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use mb_node::config::{Handler, KnownNode};
use mb_node::exec::{End, Feed, Order, Outcome, Print, Runner};
use mb_node::send::{Errand, Input};
use mb_node::toss::payload::PayloadError;
use mb_wire::letter::ExecMeta;

use super::{
    Actor, Areas, LockMode, Node, Options, Stream, World, assert_clean, at_every_step, calls_of, folder_of, options,
    put, queued, seeds, send, to, toss_running, variants,
};

/// Runs nothing, and keeps what each letter brought, as often as it did. Each command exits with this.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, Vec<Vec<u8>>>>, i32);

impl Runner for Kept {
    fn run(&self, order: &Order, feed: Feed, _: Print, _: &AtomicBool) -> Result<Outcome, PayloadError> {
        let mut input = Vec::new();
        feed(&mut |bytes| {
            input.extend_from_slice(bytes);
            true
        })?;
        let letter = order.environment.iter().find(|(name, _)| *name == "MB_LETTER").unwrap().1.clone();
        self.0.lock().unwrap().entry(letter).or_default().push(input);
        Ok(Outcome { end: End::Exited(self.1), said: Vec::new() })
    }
}

impl Kept {
    fn counts(&self) -> BTreeMap<String, usize> {
        self.0.lock().unwrap().iter().map(|(letter, inputs)| (letter.clone(), inputs.len())).collect()
    }
}

/// North, which south lets run a command.
fn known(north: &Actor, once: bool) -> KnownNode {
    let handler: Handler = toml::from_str(&format!("command = [\"/bin/true\"]\nonce = {once}")).unwrap();
    let mut known = north.known.clone();
    known.exec.insert("work".into(), handler);
    known
}

const SMALL: &[u8] = b"small";

fn large() -> Vec<u8> {
    vec![7; 40_000]
}

/// The files of two packets for the command, one with a body.
fn packets(north: &Actor, south: &Actor) -> BTreeMap<String, Vec<u8>> {
    let world = super::world(1, super::FsOptions::default());
    let random = Stream::new(1);
    let options = || Options { errand: Errand::Exec(ExecMeta { args: vec![], handle: "work".into() }), ..options() };
    for input in [SMALL.to_vec(), large()] {
        send(&world, north, &[to(&south.known)], &[Input::Bytes(input, vec![])], &options(), &random).unwrap();
    }
    queued(&world, &south.id())
}

/// The letters whose end is written down.
fn ended(world: &World) -> Vec<String> {
    let is_mark = |(path, node): &(std::path::PathBuf, Node)| {
        path.to_string_lossy().contains("/self/seen/") && matches!(node, Node::File(content) if content.is_empty())
    };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    world.tree().into_iter().filter(is_mark).map(|(path, _)| name(&path)).collect()
}

/// Threat: 23, 29.
#[test]
fn a_power_cut_at_any_step_of_a_command_runs_it_at_least_once_or_at_most_once() {
    let (north, south) = (Actor::new("north", 1), Actor::new("south", 2));
    let files = packets(&north, &south);
    assert_eq!(files.len(), 3);
    for once in [false, true] {
        let known = known(&north, once);
        for (name, fs, locks) in variants() {
            for seed in 0..seeds() {
                at_every_step(|step| {
                    let what = format!("{name}, seed {seed}, step {step}, once {once}");
                    let (random, runner) = (Stream::new(seed + 320), Kept::default());
                    let toss =
                        |world: &World| toss_running(world, &south, &[&known], &random, (&runner, &Areas::default()));
                    let before = super::world(seed, fs.clone());
                    before.locks(locks);
                    put(&before, south.id(), &files);
                    before.cut_at(step);
                    let _ = toss(&before);
                    let after = before.after_crash(seed * 31 + step);
                    after.locks(LockMode::Work);
                    let (ran, ended) = (runner.counts(), ended(&after));
                    for _ in 0..2 {
                        toss(&after).unwrap_or_else(|error| panic!("{what}: {error}\n{}", after.dump()));
                    }
                    for (letter, count) in runner.counts() {
                        let before = ran.get(&letter).copied().unwrap_or(0);
                        let is_ended = ended.contains(&letter);
                        assert!(!is_ended || count == before, "{what}: {letter} ran {count} times, {before} before");
                        assert!(count <= if once { 1 } else { 2 }, "{what}: {letter} ran {count} times");
                    }
                    let bad = after.tree().keys().filter(|path| path.extension().is_some_and(|it| it == "why")).count();
                    assert!(runner.counts().len() + bad >= 2, "{what}: {bad} in bad/\n{}", after.dump());
                    assert!(once || bad == 0, "{what}\n{}", after.dump());
                    for input in runner.0.lock().unwrap().values().flatten() {
                        assert!(input == SMALL || *input == large(), "{what}: {} bytes", input.len());
                    }
                    if bad == 0 {
                        assert_clean(&after, &folder_of(&known), &what);
                        // A power cut can keep the tries of a letter and take its packet; the next day they go.
                        let done = self::ended(&after);
                        let is_left = |path: &&std::path::PathBuf| path.to_string_lossy().contains("/exec/");
                        let tree = after.tree();
                        let is_known = |path: &std::path::PathBuf| {
                            done.contains(&path.file_name().unwrap().to_string_lossy().into_owned())
                        };
                        assert!(tree.keys().filter(is_left).all(is_known), "{what}\n{}", after.dump());
                    }
                    before.is_cut()
                });
            }
        }
    }
}

/// One pauses anywhere, after it has looked at the letters and before it runs them above all, for as long as another does all its
/// work. Threat: 22, 29.
#[test]
fn two_tossers_run_a_command_once_whatever_comes_of_it() {
    let (north, south) = (Actor::new("north", 1), Actor::new("south", 2));
    let files = packets(&north, &south);
    let known = known(&north, false);
    for (name, fs, _) in variants().into_iter().filter(|(.., locks)| *locks == LockMode::Work) {
        for code in [0, 1, 75] {
            let (random, begin) = (Stream::new(340), super::world(1, fs.clone()));
            let toss = |world: &World, runner: &Kept| {
                toss_running(world, &south, &[&known], &random, (runner, &Areas::default())).unwrap();
            };
            // What is done once a day is done.
            toss(&begin, &Kept::default());
            put(&begin, south.id(), &files);
            for n in 1..=calls_of(&begin, |world| toss(world, &Kept(Mutex::default(), code))) {
                let what = format!("{name}, exit {code}, the first pauses after {n} calls");
                let (shared, runner) = (begin.after_kill(), Kept(Mutex::default(), code));
                let tosser = || toss(&shared, &runner);
                shared.take_turns(&[(0, n), (1, u64::MAX)], vec![Box::new(tosser), Box::new(tosser)]);
                assert!(runner.counts().into_values().eq([1, 1]), "{what}: {:?}", runner.counts());
                let tree = shared.tree();
                let count = |part: &str| tree.keys().filter(|path| path.to_string_lossy().contains(part)).count();
                let why = tree.keys().filter(|path| path.extension().is_some_and(|it| it == "why")).count();
                assert_eq!(why, if code == 1 { 2 } else { 0 }, "{what}\n{}", shared.dump());
                assert_eq!(count("/exec/"), if code == 75 { 2 } else { 0 }, "{what}\n{}", shared.dump());
                assert_eq!(count("/self/rx/"), 0, "{what}\n{}", shared.dump());
                assert_eq!(count("/wait/"), if code == 75 { 3 } else { 0 }, "{what}\n{}", shared.dump());
            }
        }
    }
}
