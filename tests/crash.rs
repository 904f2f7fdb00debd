//! Killed and failed at every step: whole stories with the real programs, each stopped before a system call, or with one
//! that fails; then everything is simply run again, and in the end each file is there once and whole, and nothing is
//! left over.
//!
//! `cargo test --test crash` tries 300 points, chosen by a seed. `make crash` tries all of them:
//! `MB_CRASH_POINTS=all MB_POWER=1 cargo test --test crash -- --nocapture`, as root.
//!
//! - `MB_CRASH_POINTS`: how many points, or `all`; 300 without it.
//! - `MB_CRASH_SEED`: which ones; 1 without it.
//! - `MB_CRASH_ONLY`: only those whose description contains it, as a failure prints it.
//! - `MB_POWER=1`: also power cuts, as root; `MB_POWER_CUTS`: how many, 400 without it.
//!
//! Needs strace (`make test-deps`); without it this is skipped, and fails with STRICT=1. Power cuts need root, loop
//! devices and mkfs.ext4.

mod common;
#[path = "crash/end.rs"]
mod end;
#[path = "crash/points.rs"]
mod points;
#[path = "crash/power.rs"]
mod power;
#[path = "crash/scenario.rs"]
mod scenario;
#[path = "crash/trace.rs"]
mod trace;
#[path = "crash/yard.rs"]
mod yard;

use points::{Point, Stage, play, table, try_all};
use scenario::Scenario;
use std::path::Path;
use std::sync::Mutex;
use trace::Fault;

/// Failures that are printed whole.
const MOST_TOLD: usize = 20;
/// Power cuts before a call, without MB_POWER_CUTS.
const POWER_CUTS: usize = 400;

/// Threat: 21. Threat: 22. Threat: 24.
/// Shows: N13, N14.
#[test]
fn killed_or_failed_at_any_call_nothing_is_lost_or_doubled_or_left_over() {
    if !common::skip::have("strace") {
        return;
    }
    let dir = yard::place();
    let stages = play_all(scenario::all(), dir.path());
    let all: Vec<Point> = stages.iter().flat_map(Stage::points).collect();
    let chosen = choose(&all);
    let failures = try_all(&chosen, dir.path());
    println!("{} points of {}:\n{}", chosen.len(), all.len(), table(&chosen));
    assert_none(&failures, chosen.len());
}

/// Threat: 23.
#[test]
fn after_a_power_cut_at_any_call_everything_or_nothing_is_there() {
    if asked("MB_POWER").is_none_or(|value| value != "1") {
        eprintln!("skipped: power cuts (MB_POWER=1, as root)");
        return;
    }
    let dir = yard::place();
    if !common::skip::have("strace") {
        return;
    }
    if !power::may_mount(dir.path()) {
        return common::skip::skip("mounting ext4 in a file");
    }
    let scenarios = scenario::all().into_iter().filter(Scenario::is_for_disks).collect();
    let stages = play_all(scenarios, dir.path());
    let mut kills: Vec<Point> =
        stages.iter().flat_map(Stage::points).filter(|point| point.fault == Fault::Kill).collect();
    shuffle(&mut kills, seed());
    kills
        .truncate(asked("MB_POWER_CUTS").map_or(POWER_CUTS, |count| count.parse().expect("MB_POWER_CUTS is a number")));
    let outcome = power::cut_all(&stages, &kills, dir.path());
    println!("{} power cuts; {} calls did not come again", outcome.cut_count, outcome.missed_count);
    assert!(outcome.missed_count * 20 <= outcome.cut_count, "too few of them were cut at all");
    assert_none(&outcome.failures, outcome.cut_count);
}

#[track_caller]
fn assert_none(failures: &[String], tried: usize) {
    let told = failures.iter().take(MOST_TOLD).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {tried} went wrong\n\n{told}", failures.len());
}

/// The scenarios are independent of each other, so they are recorded at the same time.
fn play_all(scenarios: Vec<Scenario>, dir: &Path) -> Vec<Stage> {
    let scenarios: &'static [Scenario] = Vec::leak(scenarios);
    let stages = Mutex::new(Vec::new());
    let play_half = |half: usize| {
        for (number, scenario) in scenarios.iter().enumerate().filter(|(number, _)| number % 2 == half) {
            let played = play(scenario, &dir.join(format!("scenario{number}")));
            stages.lock().expect("no panic").push((number, played));
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|half| drop(scope.spawn(move || play_half(half)))));
    let mut stages = stages.into_inner().expect("no panic");
    stages.sort_by_key(|(number, _)| *number);
    stages.into_iter().flat_map(|(_, stages)| stages).collect()
}

fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn seed() -> u64 {
    asked("MB_CRASH_SEED").map_or(1, |seed| seed.parse().expect("MB_CRASH_SEED is a number"))
}

/// The points that the environment asks for.
fn choose<'a>(all: &[Point<'a>]) -> Vec<Point<'a>> {
    let mut points = all.to_vec();
    if let Some(only) = asked("MB_CRASH_ONLY") {
        points.retain(|point| point.to_string().contains(&only));
        return points;
    }
    let count = match asked("MB_CRASH_POINTS").as_deref() {
        Some("all") => return points,
        Some(count) => count.parse().expect("MB_CRASH_POINTS is a number, or all"),
        None => 300,
    };
    shuffle(&mut points, seed());
    of_each_kind(points, count)
}

/// Half of them kills, a third failed changes, and the rest failed looks: there are many more of the latter than of the
/// former, and they are worth less.
fn of_each_kind(points: Vec<Point>, count: usize) -> Vec<Point> {
    let (kills, others): (Vec<_>, Vec<_>) = points.into_iter().partition(|point| point.fault == Fault::Kill);
    let (changes, looks): (Vec<_>, Vec<_>) = others.into_iter().partition(|point| point.called.changes());
    let mut chosen: Vec<Point> = kills.into_iter().take(count / 2).collect();
    chosen.extend(changes.into_iter().take(count / 3));
    let left = count - chosen.len();
    chosen.extend(looks.into_iter().take(left));
    chosen
}

/// Fisher and Yates, with splitmix64.
fn shuffle(points: &mut [Point], seed: u64) {
    let mut state = seed;
    for end in (1..points.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        points.swap(end, (mixed % (end as u64 + 1)) as usize);
    }
}
