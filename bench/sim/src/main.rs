//! How relays and areas do in the large: many nodes in memory, whose packets are real and are decided upon by `toss::decide`.
//! Nothing is read, written or waited for, and the same seed gives the same tables. Run by bench/run; see bench/README.md.

/// Numbers from a seed.
mod random;
/// Nodes, and who calls whom.
mod net;
/// Letters, and their way by relays.
mod letter;
/// An area, and messages of it.
mod area;
/// Nodes that fail, and words that are not heard.
mod failure;
/// Rounds, in which packets move.
mod world;
/// Rounds, in which an area's messages spread.
mod flood;
/// A table and a plot of letters.
mod report;
/// A table of areas.
mod spread;

use std::process::ExitCode;
use std::{env, thread};

use flood::Flood;
use random::Random;
use report::Figures;
use spread::Spread;
use world::World;

const SEED: u64 = 20_261_128;
const AREA_SEED: u64 = SEED + 1;
const NODE_COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
const AREA_NODE_COUNTS: [usize; 3] = [100, 1_000, 10_000];
/// Small worlds are many, so that there is enough to count.
const NODES_LEAST: usize = 1_000;

/// `letters` or `areas` for one of the two tables; else both.
fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        None => print!("{}\n{}", letters(), areas()),
        Some("letters") => print!("{}", letters()),
        Some("areas") => print!("{}", areas()),
        Some(_) => {
            eprintln!("usage: mb-sim [letters | areas]");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

fn letters() -> String {
    let [plain, onion] = thread::scope(|scope| {
        [false, true]
            .map(|is_onion| scope.spawn(move || NODE_COUNTS.map(|count| figures(count, is_onion))))
            .map(|kind| kind.join().expect("a thread says why it failed"))
    });
    report::text(&[plain, onion].concat())
}

/// Of worlds of one size.
fn figures(node_count: usize, is_onion: bool) -> Figures {
    let mut figures = Figures::new(node_count, is_onion);
    for mut random in worlds(SEED, node_count) {
        World::new(node_count, is_onion, &mut random).run(&mut random, &mut figures);
    }
    figures
}

fn areas() -> String {
    spread::text(&AREA_NODE_COUNTS.map(|node_count| {
        let mut spread = Spread::new(node_count);
        for mut random in worlds(AREA_SEED, node_count) {
            Flood::new(node_count, &mut random).run(&mut random, &mut spread);
        }
        spread
    }))
}

/// What makes each world of one size.
fn worlds(seed: u64, node_count: usize) -> impl Iterator<Item = Random> {
    let seed = Random::new(seed).child(node_count as u64);
    (0..(NODES_LEAST / node_count).max(1)).map(move |number| seed.child(number as u64))
}
