//! Failures: nodes that are down for some rounds or for good, and packets of which their giver does not learn that they came.

use crate::random::Random;

/// Of a thousand nodes so many fail in a round, for up to so many rounds; and of a thousand of these so many for good.
const FAIL_PER_MILLE: usize = 20;
pub const DOWN_MOST: usize = 20;
const LOST_PER_MILLE: usize = 20;
/// Of a thousand packets that were handed over, for so many the giver does not learn it, and gives them once more.
const UNHEARD_PER_MILLE: usize = 10;
/// When nothing has moved for so long, nothing will.
pub const IDLE_MOST: usize = 3 * DOWN_MOST;

/// For each node, before which round it is down; for good: `usize::MAX`.
pub struct Failures(Vec<usize>);

impl Failures {
    pub fn new(node_count: usize) -> Failures {
        Failures(vec![0; node_count])
    }

    pub fn is_up(&self, node: usize, round: usize) -> bool {
        self.0[node] <= round
    }

    pub fn is_lost(&self, node: usize) -> bool {
        self.0[node] == usize::MAX
    }

    /// Some that are up fail.
    pub fn fail(&mut self, round: usize, random: &mut Random) {
        for down_until in &mut self.0 {
            if *down_until <= round && random.happens(FAIL_PER_MILLE) {
                let is_lost = random.happens(LOST_PER_MILLE);
                *down_until = if is_lost { usize::MAX } else { round + 1 + random.below(DOWN_MOST) };
            }
        }
    }
}

/// Whether the giver of a packet does not learn that it came.
pub fn is_unheard(random: &mut Random) -> bool {
    random.happens(UNHEARD_PER_MILLE)
}
