//! A relay between north and south: whatever happens at it, each packet goes on once, the same packet each time, and a copy
//! that comes later goes nowhere.

use super::*;

/// North sends by way of the hub to south.
struct Road {
    what: &'static str,
    north: Actor,
    hub: Actor,
    south: Actor,
    /// The hub's queue as north filled it.
    files: BTreeMap<String, Vec<u8>>,
}

impl Road {
    /// One of each kind.
    fn all() -> [Road; 2] {
        [Road::new("plain", None), Road::new("onion", Some(Onion { delay: 0 }))]
    }

    fn new(what: &'static str, onion: Option<Onion>) -> Road {
        let (north, hub, south) = (Actor::new("north", 1), Actor::new("hub", 4), Actor::new("south", 2));
        let options = Options { onion, ..options() };
        let files = packets_by(&north, &[by(&south.known, vec![&hub.known])], &options, &Inputs::new());
        Road { what, north, hub, south, files }
    }

    fn toss_at_hub(&self, world: &World, random: &Stream) -> durable::Result<Vec<PathBuf>> {
        toss_knowing(world, &self.hub, &[&self.north.known, &self.south.known], random)
    }

    /// What goes on when nothing is in the way.
    fn expected(&self) -> BTreeMap<String, Vec<u8>> {
        let world = world(1, FsOptions::default());
        put(&world, self.hub.id(), &self.files);
        self.toss_at_hub(&world, &Stream::new(2)).expect("nothing is in the way");
        queued(&world, &self.south.id())
    }

    fn assert_gone_on(&self, world: &World, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
        assert!(queued(world, &self.south.id()) == *expected, "{what}\n{}", world.dump());
        assert_clean(world, "/none", what);
    }

    /// What was handed over to south goes from the hub.
    fn hand_over(&self, world: &World, files: &BTreeMap<String, Vec<u8>>) {
        let spool = Spool::new(world.root(SPOOL), self.hub.id());
        let tx = spool.queue(&self.south.id(), Queue::Tx).expect("nothing is in the way");
        files.keys().for_each(|name| tx.unlink(name.as_ref()).expect("it is there"));
        world.settle();
    }
}

#[test]
fn what_goes_on_is_delivered_where_it_goes() {
    Road::all().iter().for_each(delivered_where_it_goes);
}

fn delivered_where_it_goes(road: &Road) {
    let on = road.expected();
    assert!(on.len() == 4 && on.keys().all(|name| !road.files.contains_key(name)), "three envelopes, one body");
    let world = world(3, FsOptions::default());
    put(&world, road.south.id(), &on);
    let known = [&road.hub.known, &road.north.known];
    toss_knowing(&world, &road.south, &known, &Stream::new(3)).expect("nothing is in the way");
    assert_whole(&world, "/0/incoming/north", "by way of the hub");
    assert_clean(&world, "/0/incoming/north", "by way of the hub");
}

/// Threat: 23.
#[test]
fn a_power_cut_at_any_step_of_relaying_loses_nothing_and_sends_nothing_else() {
    Road::all().iter().for_each(cut_relaying);
}

fn cut_relaying(road: &Road) {
    let expected = road.expected();
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            let steps = at_every_step(|step| {
                let what = format!("{}, {name}, seed {seed}, step {step}", road.what);
                let random = Stream::new(seed + 300);
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, road.hub.id(), &road.files);
                before.cut_at(step);
                let _ = road.toss_at_hub(&before, &random);
                if !before.is_cut() {
                    return false;
                }
                let middle = before.after_crash(seed * 7919 + step);
                middle.locks(locks);
                middle.cut_at(1 + (seed * 31 + step) % 60);
                let _ = road.toss_at_hub(&middle, &random);
                let after = if middle.is_cut() { middle.after_crash(seed + step) } else { middle.after_kill() };
                after.locks(LockMode::Work);
                let toss = || {
                    let tossed = road.toss_at_hub(&after, &random);
                    tossed.unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
                };
                (0..2).for_each(|_| toss());
                road.assert_gone_on(&after, &expected, &what);
                // South has it; the same comes once more.
                road.hand_over(&after, &expected);
                put(&after, road.hub.id(), &road.files);
                toss();
                road.assert_gone_on(&after, &BTreeMap::new(), &format!("{what}: once more"));
                true
            });
            assert!(steps > 40, "{name}: relaying three packets takes more than {steps} steps");
        }
    }
}

/// Threat: 23. Threat: 24.
/// A toss is killed, the next one does all the rest and says so, and then the power goes.
#[test]
fn what_a_killed_relay_did_not_sync_the_next_one_does() {
    Road::all().iter().for_each(kill_and_cut);
}

fn kill_and_cut(road: &Road) {
    let expected = road.expected();
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{}, {name}, seed {seed}, killed at step {step}", road.what);
                let random = Stream::new(seed + 310);
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, road.hub.id(), &road.files);
                before.cut_at(step);
                let _ = road.toss_at_hub(&before, &random);
                let next = before.after_kill();
                next.locks(LockMode::Work);
                road.toss_at_hub(&next, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", next.dump()));
                let after = next.after_crash(if seed < 2 { seed } else { seed * 31 + step });
                road.toss_at_hub(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
                road.assert_gone_on(&after, &expected, &what);
                // The envelopes are gone from where they came: that they have gone on is known for good.
                let tags = after.tree().keys().filter(|path| is_record(path)).count();
                assert_eq!(tags, 3, "{what}\n{}", after.dump());
                before.is_cut()
            });
        }
    }
}

fn is_record(path: &Path) -> bool {
    path.to_string_lossy().contains("/self/seen/") && path.iter().count() == 6
}

/// Threat: 25.
#[test]
fn a_relay_that_pauses_anywhere_beside_another_sends_the_same() {
    Road::all().iter().for_each(pause);
}

fn pause(road: &Road) {
    let expected = road.expected();
    for (name, fs, locks) in variants() {
        let random = Stream::new(320);
        let begin = world(1, fs.clone());
        begin.locks(locks);
        put(&begin, road.hub.id(), &road.files);
        let tosser = |world: &World| drop(road.toss_at_hub(world, &random));
        for n in 1..=calls_of(&begin, tosser) {
            let what = format!("{}, {name}, the first pauses after {n} calls", road.what);
            let shared = begin.after_kill();
            shared.locks(locks);
            shared
                .take_turns(&[(0, n), (1, u64::MAX)], vec![Box::new(|| tosser(&shared)), Box::new(|| tosser(&shared))]);
            let after = shared.after_kill();
            after.locks(LockMode::Work);
            (0..2).for_each(|_| tosser(&after));
            road.assert_gone_on(&after, &expected, &what);
        }
    }
}

/// The envelope comes first, its body later; the power goes in between, or when the body has come.
#[test]
fn a_power_cut_at_any_step_of_waiting_at_a_relay_loses_nothing() {
    Road::all().iter().for_each(cut_waiting);
}

fn cut_waiting(road: &Road) {
    let (packet, body) = body_of(&road.files);
    let mut expected = road.expected();
    let (on, on_body) = body_of(&expected);
    expected.retain(|name, _| *name == on || *name == on_body);
    for (name, fs, locks) in variants() {
        for (seed, late) in (0..seeds()).flat_map(|seed| [(seed, false), (seed, true)]) {
            at_every_step(|step| {
                let what = format!("{}, {name}, seed {seed}, step {step}, the body has come: {late}", road.what);
                let random = Stream::new(seed + 330);
                let toss = |world: &World| {
                    let tossed = road.toss_at_hub(world, &random);
                    tossed.unwrap_or_else(|e| panic!("{what}: {e}\n{}", world.dump()));
                };
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, road.hub.id(), &only(&road.files, &[&packet]));
                if late {
                    toss(&before);
                    put(&before, road.hub.id(), &only(&road.files, &[&body]));
                }
                before.cut_at(step);
                let _ = road.toss_at_hub(&before, &random);
                let after = before.after_crash(seed * 23 + step);
                after.locks(LockMode::Work);
                (0..2).for_each(|_| toss(&after));
                if !late {
                    put(&after, road.hub.id(), &only(&road.files, &[&body]));
                    (0..2).for_each(|_| toss(&after));
                }
                road.assert_gone_on(&after, &expected, &what);
                let waits = after.tree().keys().find(|path| path.to_string_lossy().contains("/wait/")).cloned();
                assert_eq!(waits, None, "{what}\n{}", after.dump());
                before.is_cut()
            });
        }
    }
}
