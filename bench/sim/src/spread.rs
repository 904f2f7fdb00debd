//! How an area's messages spread, as a row of a table in Markdown.

use std::fmt::Write as _;

/// Sums over all worlds of one size.
pub struct Spread {
    node_count: usize,
    world_count: usize,
    edge_count: usize,
    copy_count: usize,
    /// Copies that were given once more, as nobody had heard that they came.
    again_count: usize,
    dropped_count: usize,
    delivery_count: usize,
    /// Of each message the rounds until it was delivered, in order, and how many readers it is counted against.
    messages: Vec<(Vec<usize>, usize)>,
    /// Readers that never had a message: gone for good before it came, or not joined to any living node that has it.
    lost_count: usize,
    cut_off_count: usize,
}

impl Spread {
    pub fn new(node_count: usize) -> Spread {
        Spread {
            node_count,
            world_count: 0,
            edge_count: 0,
            copy_count: 0,
            again_count: 0,
            dropped_count: 0,
            delivery_count: 0,
            messages: Vec::new(),
            lost_count: 0,
            cut_off_count: 0,
        }
    }

    pub fn add_world(&mut self, edge_count: usize) {
        self.world_count += 1;
        self.edge_count += edge_count;
    }

    pub fn handed_over(&mut self, is_again: bool) {
        self.copy_count += 1;
        self.again_count += usize::from(is_again);
    }

    pub fn dropped(&mut self) {
        self.dropped_count += 1;
    }

    /// A message is where it can come: `rounds` are those of living readers.
    pub fn ended(&mut self, delivery_count: usize, mut rounds: Vec<usize>, cut_off_count: usize, lost_count: usize) {
        rounds.sort_unstable();
        let reader_count = rounds.len() + cut_off_count;
        self.messages.push((rounds, reader_count));
        self.delivery_count += delivery_count;
        self.lost_count += lost_count;
        self.cut_off_count += cut_off_count;
    }

    fn edges(&self) -> f64 {
        self.edge_count as f64 / self.world_count as f64
    }

    fn copies(&self) -> f64 {
        self.copy_count as f64 / self.messages.len() as f64
    }

    fn copies_an_edge(&self) -> f64 {
        self.copies() / self.edges()
    }

    /// The rounds until so many of a hundred living readers had a message: its median over the messages, and the most.
    fn rounds(&self, percent: usize) -> String {
        let until = |(rounds, reader_count): &(Vec<usize>, usize)| {
            let needed = (reader_count * percent).div_ceil(100);
            rounds.get(needed.saturating_sub(1)).copied().unwrap_or(usize::MAX)
        };
        median_and_most(self.messages.iter().map(until).collect())
    }

    /// The rounds until all had a message who ever get it.
    fn last_rounds(&self) -> String {
        median_and_most(self.messages.iter().filter_map(|(rounds, _)| rounds.last().copied()).collect())
    }

    fn row(&self) -> String {
        format!(
            "| {} | {:.0} | {} | {:.0} | {:.2} | {:.1} % | {:.1} % | {} | {} | {} | {} | {}, {} |",
            self.node_count,
            self.edges(),
            self.messages.len(),
            self.copies(),
            self.copies_an_edge(),
            100.0 * self.again_count as f64 / self.copy_count as f64,
            100.0 * self.dropped_count as f64 / self.copy_count as f64,
            self.delivery_count,
            self.rounds(50),
            self.rounds(99),
            self.last_rounds(),
            self.lost_count,
            self.cut_off_count,
        )
    }
}

fn median_and_most(mut rounds: Vec<usize>) -> String {
    rounds.sort_unstable();
    let shown = |rounds: Option<&usize>| match rounds {
        Some(&usize::MAX) | None => "never".to_owned(),
        Some(rounds) => rounds.to_string(),
    };
    format!("{} ({})", shown(rounds.get(rounds.len() / 2)), shown(rounds.last()))
}

/// All of them.
pub fn text(all: &[Spread]) -> String {
    let head = "| nodes | edges | messages | copies a message | copies an edge | of these: given again | dropped as known | \
                deliveries, each once | rounds: half of the readers | 99 % | all that can be reached | readers without: node \
                gone, cut off |";
    let mut text = format!("{head}\n|{}\n", " --- |".repeat(12));
    for spread in all {
        writeln!(text, "{}", spread.row()).expect("a text takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flood::Flood;
    use crate::random::Random;

    /// That each reader has each message exactly once, the run itself asserts.
    #[test]
    fn a_message_crosses_each_edge_once_or_twice() {
        let (mut random, mut spread) = (Random::new(1), Spread::new(100));
        Flood::new(100, &mut random).run(&mut random, &mut spread);
        assert!(spread.messages.iter().all(|(rounds, _)| rounds.len() > 30), "half of a hundred nodes read");
        assert_eq!(spread.cut_off_count, 0);
        let first_copies = spread.copy_count - spread.again_count;
        assert!(first_copies <= 2 * spread.edge_count * spread.messages.len());
        assert!((0.95..2.0).contains(&spread.copies_an_edge()), "{}", spread.copies_an_edge());
    }
}
