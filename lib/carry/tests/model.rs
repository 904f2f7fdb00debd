//! The stick in the model: wherever a run is cut, a stick pulled or a call refused, no packet is lost, and the next runs
//! finish the work.

mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use common::{EAST, Packet, Place, SOUTH, fat, files, id, noise, out_to, packet, start_run, take_options, world};
use mb_carry::out::OutOptions;
use mb_spool::bodies::{sweep_all, sweep_orphan};
use mb_spool::durable::memory::{Fault, LockMode, Options, World};
use mb_spool::layout::Queue;
use mb_spool::sent;
use mb_wire::id::PacketId;

/// A cut at each step is tried with so many crashes; `MB_MODEL_SEEDS` asks for more.
fn crashes() -> std::ops::Range<u64> {
    let asked = std::env::var("MB_MODEL_SEEDS").ok().and_then(|text| text.parse::<u64>().ok());
    0..asked.unwrap_or(0).max(4)
}

/// One without a body, one with one, one with two of which it shares one, and two for east, of which one shares too.
static PACKETS: LazyLock<[Packet; 5]> = LazyLock::new(|| {
    let (x, y) = (noise(1, 40), noise(2, 300));
    [
        packet(SOUTH, 1, 128, &[]),
        packet(SOUTH, 2, 128, std::slice::from_ref(&x)),
        packet(SOUTH, 3, 128, &[x.clone(), y]),
        packet(EAST, 4, 128, std::slice::from_ref(&x)),
        packet(EAST, 5, 128, &[]),
    ]
});

fn for_node(number: u8) -> impl Iterator<Item = &'static Packet> {
    PACKETS.iter().filter(move |packet| packet.to == id(number))
}

/// Where the stick goes.
const NODES: [u8; 2] = [SOUTH, EAST];

/// The ways in which sticks and hosts differ.
fn settings() -> Vec<(Options, LockMode)> {
    vec![
        (Options::default(), LockMode::Work),
        (fat(), LockMode::Work),
        (Options { sync_fs: false, ..fat() }, LockMode::Work),
        (fat(), LockMode::Unsupported),
    ]
}

fn start(setting: &(Options, LockMode)) -> World {
    let world = world(9, setting.0.clone(), &*PACKETS);
    world.locks(setting.1);
    world
}

/// Each packet is whole somewhere: in `tx/`, on the stick, in `rx/`, or it was delivered.
#[track_caller]
fn assert_nothing_lost(world: &World, delivered: &BTreeSet<PacketId>, at: &str) {
    let place = Place::of(world);
    for packet in &*PACKETS {
        let is_there = place.is_in_tx(packet) || place.is_on_stick(packet) || place.is_in_rx(packet);
        assert!(is_there || delivered.contains(&packet.id), "{at}: {} is lost\n{}", packet.id, world.dump());
    }
}

/// What a user does after any accident: everything once more. Afterwards all is where it belongs, and nothing else.
#[track_caller]
fn finish(world: &World, mut delivered: BTreeSet<PacketId>, has_locks: bool, at: &str) {
    let place = Place::of(world);
    let (done, heard) = place.out(out_to(&NODES));
    assert!(done.is_ok() && heard.failed.is_empty(), "{at}: {done:?} {:?}\n{}", heard.failed, world.dump());
    let (done, heard) = place.take(take_options());
    assert!(done.is_ok() && heard.failed.is_empty(), "{at}: {done:?} {:?}\n{}", heard.failed, world.dump());
    for seed in [0, 3] {
        assert_nothing_lost(&world.after_crash(seed), &delivered, &format!("{at}: finished, and the power goes"));
    }
    delivered.extend(place.toss(&*PACKETS).unwrap());
    let expected: BTreeSet<PacketId> = for_node(SOUTH).map(|packet| packet.id).collect();
    assert_eq!(delivered, expected, "{at}\n{}", world.dump());
    assert!(for_node(EAST).all(|packet| place.is_on_stick(packet)), "{at}\n{}", world.dump());
    if has_locks {
        let mut found = files(world, "/0");
        found.extend(files(world, "/2"));
        found.retain(|name| !name.starts_with("body/"));
        assert_eq!(found, [""; 0], "{at}: left over\n{}", world.dump());
        let on_stick = files(world, "/1/mailbag");
        // README, two envelopes for east, the body that one of them lists.
        assert_eq!(on_stick.len(), 4, "{at}: {on_stick:?}");
    }
}

/// Cuts `act` after each of its steps and goes on from every crash.
fn cut_everywhere(
    setting: &(Options, LockMode),
    before: impl Fn(&World),
    act: impl Fn(&Place),
    delivered: BTreeSet<PacketId>,
) {
    let has_locks = setting.1 == LockMode::Work;
    let begin = start(setting);
    before(&begin);
    for n in 1.. {
        let world = begin.after_kill();
        world.cut_at(n);
        act(&Place::of(&world));
        if !world.is_cut() {
            assert!(n > 20, "nothing was cut");
            finish(&world.after_kill(), delivered, has_locks, "uncut");
            return;
        }
        let killed = world.after_kill();
        assert_nothing_lost(&killed, &delivered, &format!("killed at step {n}"));
        finish(&killed, delivered.clone(), has_locks, &format!("killed at step {n}"));
        for seed in crashes() {
            let at = format!("power cut at step {n}, crash {seed}");
            let found = world.after_crash(seed);
            assert_nothing_lost(&found, &delivered, &at);
            cut_again(&found, n + seed, &delivered, &at);
            finish(&found, delivered.clone(), has_locks, &at);
        }
    }
}

/// The run after a cut is cut as well, in a world of its own, by chance.
fn cut_again(found: &World, n: u64, delivered: &BTreeSet<PacketId>, at: &str) {
    let again = found.after_kill();
    again.cut_at(1 + n * 7 % 60);
    let place = Place::of(&again);
    let _ = place.out(out_to(&NODES));
    let _ = place.take(take_options());
    assert_nothing_lost(&again.after_crash(n), delivered, &format!("{at}, and again"));
}

/// Threat: 5, 23.
#[test]
fn a_stick_pulled_midway_on_the_way_out_loses_nothing() {
    for setting in settings() {
        cut_everywhere(&setting, |_| {}, |place| drop(place.out(out_to(&NODES))), BTreeSet::new());
    }
}

/// Every packet is in `tx/` or kept, whatever becomes of the stick; and what is put out anew and confirmed leaves nothing.
#[test]
fn a_stick_that_is_lost_after_a_cut_loses_nothing_that_is_to_be_confirmed() {
    let nodes = [id(SOUTH), id(EAST)];
    let kept = || OutOptions { confirmed_by: &nodes, ..out_to(&NODES) };
    let everything = |world: &World, at: &str| {
        let place = Place::of(world);
        for packet in &*PACKETS {
            assert!(place.is_in_tx(packet) || place.is_kept(packet), "{at}: {} is lost\n{}", packet.id, world.dump());
        }
        let (done, heard) = place.out(OutOptions { again: true, ..kept() });
        assert!(done.is_ok() && heard.failed.is_empty(), "{at}: {done:?} {:?}", heard.failed);
        assert!(PACKETS.iter().all(|packet| place.is_on_stick(packet) && place.is_kept(packet)), "{at}");
        let run = start_run(&place.north).unwrap();
        for node in nodes {
            let ids: Vec<PacketId> = PACKETS.iter().map(|packet| packet.id).collect();
            sent::confirm(&place.north, &node, &ids, &run).unwrap();
        }
        drop(run);
        let mut left = files(world, "/0");
        left.retain(|name| !name.starts_with("body/"));
        assert_eq!(left, [""; 0], "{at}: left over");
    };
    let begin = start(&(fat(), LockMode::Work));
    for n in 1.. {
        let world = begin.after_kill();
        world.cut_at(n);
        let _ = Place::of(&world).out(kept());
        if !world.is_cut() {
            assert!(n > 20, "nothing was cut");
            return;
        }
        for (seed, found) in crashes().map(|seed| (seed, world.after_crash(seed))) {
            everything(&found, &format!("power cut at step {n}, crash {seed}"));
        }
        everything(&world.after_kill(), &format!("killed at step {n}"));
    }
}

/// Threat: 5, 23.
#[test]
fn a_stick_pulled_midway_on_the_way_in_loses_nothing() {
    for setting in settings() {
        let out = |world: &World| {
            let (done, heard) = Place::of(world).out(out_to(&NODES));
            assert!(heard.failed.is_empty() && done.unwrap().packet_count == 5);
        };
        cut_everywhere(&setting, out, |place| drop(place.take(take_options())), BTreeSet::new());
    }
}

/// South tosses and sweeps after it took the packets in; the power goes before the stick knows.
#[test]
fn what_comes_a_second_time_is_taken_off_the_stick_then() {
    let world = start(&(fat(), LockMode::Work));
    let place = Place::of(&world);
    place.out(out_to(&NODES)).0.unwrap();
    place.take(mb_carry::take::TakeOptions { keep: true, ..take_options() }).0.unwrap();
    let delivered = place.toss(&*PACKETS).unwrap();
    assert_eq!(delivered.len(), 3);
    let run = common::start_run(&place.south).unwrap();
    sweep_all(&place.south, &run).unwrap();
    drop(run);
    finish(&world, BTreeSet::new(), true, "second time");
}

/// A body that south has already, from another packet, is not read from the stick.
#[test]
fn a_sweep_between_two_packets_that_share_a_body_takes_nothing_from_them() {
    let world = start(&(Options::default(), LockMode::Work));
    let place = Place::of(&world);
    place.out(out_to(&NODES)).0.unwrap();
    place.take(take_options()).0.unwrap();
    let run = common::start_run(&place.south).unwrap();
    sweep_all(&place.south, &run).unwrap();
    assert!(for_node(SOUTH).all(|packet| place.is_in_rx(packet)));
    assert!(common::is_indexed(&place.south, &PACKETS[1].bodies[0].0.root));
}

/// Fails one step of `act` in every way, then lets the user try again.
fn fail_everywhere(
    setting: &(Options, LockMode),
    faults: &[(Fault, bool)],
    before: impl Fn(&World),
    act: impl Fn(&Place),
) {
    let begin = start(setting);
    before(&begin);
    for &(fault, sticky) in faults {
        for n in 1.. {
            let world = begin.after_kill();
            let steps = world.steps();
            world.fail_at(n, fault, sticky);
            act(&Place::of(&world));
            if world.steps() - steps < n {
                break;
            }
            let at = format!("{fault:?} at step {n}, sticky: {sticky}");
            let has_locks = setting.1 == LockMode::Work;
            for seed in [0, 1, 2, 3] {
                let found = world.after_crash(seed);
                assert_nothing_lost(&found, &BTreeSet::new(), &at);
                if sticky {
                    finish(&found, BTreeSet::new(), has_locks, &at);
                }
            }
            // A medium of which nothing could be written any more is mounted anew before it is used.
            if !sticky || fault == Fault::Full {
                world.heal();
                finish(&world, BTreeSet::new(), has_locks, &at);
            }
        }
    }
}

/// Faults with each setting; the bool: whether it lasts.
fn faults() -> [Vec<(Fault, bool)>; 4] {
    [
        vec![(Fault::Io, false), (Fault::Full, true)],
        vec![(Fault::Io, true), (Fault::Full, false), (Fault::ReadOnly, true)],
        vec![(Fault::Io, false), (Fault::TooManyOpen, false)],
        vec![(Fault::Io, false)],
    ]
}

/// Threat: 21, 22.
#[test]
fn a_failed_call_on_the_way_out_loses_nothing() {
    for (setting, faults) in settings().iter().zip(faults()) {
        fail_everywhere(setting, &faults, |_| {}, |place| drop(place.out(out_to(&NODES))));
    }
}

/// Threat: 21, 22.
#[test]
fn a_failed_call_on_the_way_in_loses_nothing() {
    for (setting, faults) in settings().iter().zip(faults()) {
        let out = |world: &World| drop(Place::of(world).out(out_to(&NODES)));
        fail_everywhere(setting, &faults, out, |place| drop(place.take(take_options())));
    }
}

/// Threat: 21. A call that only looks fails.
#[test]
fn a_failed_look_loses_nothing() {
    let begin = start(&(fat(), LockMode::Work));
    for n in 1.. {
        let world = begin.after_kill();
        let calls = world.calls();
        world.fail_call_at(n, if n % 2 == 0 { Fault::Io } else { Fault::TooManyOpen });
        let place = Place::of(&world);
        let _ = place.out(out_to(&NODES));
        let _ = place.take(take_options());
        if world.calls() - calls < n {
            break;
        }
        assert_nothing_lost(&world.after_crash(n), &BTreeSet::new(), &format!("look {n}"));
        world.heal();
        finish(&world, BTreeSet::new(), true, &format!("look {n}"));
    }
}

/// Threat: 25.
#[test]
fn two_runs_on_one_stick_at_once_lose_nothing() {
    let begins: Vec<World> = settings().iter().map(start).collect();
    for seed in 0..300 {
        let setting = settings().swap_remove(seed as usize % 4);
        let world = begins[seed as usize % 4].after_kill();
        let place = Place::of(&world);
        let out = || drop(place.out(out_to(&NODES)));
        let take = || drop(place.take(take_options()));
        match seed % 3 {
            0 => world.interleave(seed, vec![Box::new(out), Box::new(out)]),
            1 => world.interleave(seed, vec![Box::new(out), Box::new(take)]),
            _ => world.interleave(seed, vec![Box::new(out), Box::new(take), Box::new(take)]),
        }
        let at = format!("seed {seed}");
        assert_nothing_lost(&world, &BTreeSet::new(), &at);
        assert_nothing_lost(&world.after_crash(seed), &BTreeSet::new(), &at);
        let has_locks = setting.1 == LockMode::Work;
        finish(&world, BTreeSet::new(), has_locks, &at);
    }
}

/// Threat: 24, 25. One of several runs dies at any step.
#[test]
fn a_run_that_dies_beside_another_one_loses_nothing() {
    let begins: Vec<World> = settings().iter().map(start).collect();
    for seed in 0..600 {
        let setting = settings().swap_remove(seed as usize % 4);
        let world = begins[seed as usize % 4].after_kill();
        let place = Place::of(&world);
        if seed % 2 == 1 {
            let _ = place.out(out_to(&[SOUTH]));
        }
        world.only_actor_dies_at((seed % 3 % 2) as usize, 1 + seed % 97);
        let out = || drop(place.out(out_to(&NODES)));
        let take = || drop(place.take(take_options()));
        world.interleave(seed, vec![Box::new(out), Box::new(take)]);
        let at = format!("seed {seed}");
        assert_nothing_lost(&world.after_crash(seed), &BTreeSet::new(), &at);
        let found = world.after_kill();
        finish(&found, BTreeSet::new(), setting.1 == LockMode::Work, &at);
    }
}

/// Calls that `act` makes by itself, on a copy of the world.
fn calls_of(world: &World, act: impl Fn(&Place)) -> u64 {
    let world = world.after_kill();
    let before = world.calls();
    act(&Place::of(&world));
    world.calls() - before
}

/// Threat: 25.
/// Bodies are taken off the stick while somebody puts a packet on it that lists one of them: each of the two pauses once,
/// anywhere, for as long as all the other does.
#[test]
fn a_body_that_is_swept_while_a_packet_comes_that_lists_it_stays() {
    for setting in settings() {
        let begin = start(&setting);
        drop(Place::of(&begin).out(out_to(&[SOUTH])));
        let (out, take) =
            (|place: &Place| drop(place.out(out_to(&NODES))), |place: &Place| drop(place.take(take_options())));
        for (paused, calls) in [(0, calls_of(&begin, take)), (1, calls_of(&begin, out))] {
            for n in 1..=calls {
                let world = begin.after_kill();
                let place = Place::of(&world);
                world.take_turns(
                    &[(paused, n), (1 - paused, u64::MAX)],
                    vec![Box::new(|| take(&place)), Box::new(|| out(&place))],
                );
                let at = format!("{} pauses after {n} calls", ["the taker", "the giver"][paused]);
                assert_nothing_lost(&world, &BTreeSet::new(), &at);
                finish(&world, BTreeSet::new(), setting.1 == LockMode::Work, &at);
            }
        }
    }
}

/// Threat: 25.
/// A batch is published while somebody sweeps a body of it that has no envelope yet: both pause once, anywhere.
#[test]
fn a_sweep_takes_nothing_from_a_packet_that_is_being_published() {
    let begin = world(9, Options::default(), &[]);
    let packet = &PACKETS[1];
    let sweep = |place: &Place| {
        let tx = place.north.queue(&packet.to, Queue::Tx).unwrap();
        let run = common::start_run(&place.north).unwrap();
        sweep_orphan(&tx, &packet.id, 0, &run).unwrap();
    };
    let publish = |place: &Place| common::send(&place.north, std::slice::from_ref(packet));
    let (sweep_calls, publish_calls) = (calls_of(&begin, sweep), calls_of(&begin, publish));
    for (m, n) in (1..=publish_calls).flat_map(|m| (1..=sweep_calls).map(move |n| (m, n))) {
        let world = begin.after_kill();
        let place = Place::of(&world);
        let turns = [(1, m), (0, n), (1, u64::MAX), (0, u64::MAX)];
        world.take_turns(&turns, vec![Box::new(|| sweep(&place)), Box::new(|| publish(&place))]);
        assert!(place.is_in_tx(packet), "published for {m} calls, swept for {n}: lost\n{}", world.dump());
    }
}
