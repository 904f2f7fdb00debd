//! How relays do in the large: many nodes in memory, whose packets are real and are decided upon by `toss::decide`. Nothing
//! is read, written or waited for, and the same seed gives the same table. Run by bench/run; see bench/README.md.

/// Numbers from a seed.
mod random;
/// Nodes, and who calls whom.
mod net;
/// Letters, and their way by relays.
mod letter;
/// Rounds, in which packets move.
mod world;
/// A table and a plot.
mod report;

use std::thread;

use random::Random;
use report::Figures;
use world::World;

const SEED: u64 = 20_261_128;
const NODE_COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
/// Small worlds are many, so that there is enough to count.
const NODES_LEAST: usize = 1_000;

fn main() {
    let [plain, onion] = thread::scope(|scope| {
        [false, true]
            .map(|is_onion| scope.spawn(move || NODE_COUNTS.map(|count| figures(count, is_onion))))
            .map(|kind| kind.join().expect("a thread says why it failed"))
    });
    print!("{}", report::text(&[plain, onion].concat()));
}

/// Of worlds of one size.
fn figures(node_count: usize, is_onion: bool) -> Figures {
    let mut figures = Figures::new(node_count, is_onion);
    for number in 0..(NODES_LEAST / node_count).max(1) {
        let mut random = Random::new(SEED).child(node_count as u64).child(number as u64);
        World::new(node_count, is_onion, &mut random).run(&mut random, &mut figures);
    }
    figures
}
