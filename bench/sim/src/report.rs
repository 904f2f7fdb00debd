//! What came out, as a table in Markdown and a plot of bars.

use std::fmt::Write as _;

/// Characters of the longest bar.
const BAR_MOST: f64 = 60.0;

/// Sums over all worlds of one size.
#[derive(Clone)]
pub struct Figures {
    pub node_count: usize,
    pub is_onion: bool,
    pub letter_count: usize,
    /// Letters whose way is longer than a route may be.
    pub too_far_count: usize,
    /// Packets that came again and were dropped.
    pub copy_count: usize,
    /// Packets that a quota refused, counted in each round.
    pub quota_wait_count: usize,
    /// Packets that stay with or before a node that is gone for good.
    pub dead_count: usize,
    /// Packets that stay because a quota is full for good.
    pub quota_left_count: usize,
    message_count: usize,
    moved_len: u64,
    hop_count: usize,
    payload_len: u64,
    rounds: Vec<usize>,
}

impl Figures {
    pub fn new(node_count: usize, is_onion: bool) -> Figures {
        Figures {
            node_count,
            is_onion,
            letter_count: 0,
            too_far_count: 0,
            copy_count: 0,
            quota_wait_count: 0,
            dead_count: 0,
            quota_left_count: 0,
            message_count: 0,
            moved_len: 0,
            hop_count: 0,
            payload_len: 0,
            rounds: Vec::new(),
        }
    }

    pub fn handed_over(&mut self, envelope_len: usize, bodies_len: u64) {
        self.message_count += 1;
        self.moved_len += envelope_len as u64 + bodies_len;
    }

    pub fn delivered(&mut self, hops: usize, payload_len: u64, rounds: usize) {
        self.hop_count += hops;
        self.payload_len += payload_len;
        self.rounds.push(rounds);
    }

    fn messages(&self) -> f64 {
        self.message_count as f64 / self.rounds.len() as f64
    }

    fn hops(&self) -> f64 {
        self.hop_count as f64 / self.rounds.len() as f64
    }

    /// The rounds within which so many of a hundred deliveries were made.
    fn rounds(&self, percent: usize) -> usize {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        rounds[(rounds.len() * percent).div_ceil(100) - 1]
    }

    fn kind(&self) -> &'static str {
        if self.is_onion { "onion" } else { "plain" }
    }

    fn row(&self) -> String {
        let delivered = self.rounds.len();
        let kib = |len: u64| len as f64 / 1024.0 / delivered as f64;
        format!(
            "| {} | {} | {} | {:.1} % | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {}, {}, {} | {} | {} | {}, {}, {} |",
            self.kind(),
            self.node_count,
            self.letter_count,
            100.0 * delivered as f64 / self.letter_count as f64,
            self.hops(),
            self.messages(),
            kib(self.payload_len),
            kib(self.moved_len),
            self.moved_len as f64 / self.payload_len as f64 / self.hops(),
            self.rounds(50),
            self.rounds(95),
            self.rounds(100),
            self.copy_count,
            self.quota_wait_count,
            self.dead_count,
            self.quota_left_count,
            self.too_far_count,
        )
    }
}

/// All of them.
pub fn text(all: &[Figures]) -> String {
    let head = "| | nodes | letters | delivered | hops | messages a delivery | payload KiB | KiB moved a delivery | moved / \
                payload, a hop | rounds: half, 95 %, last | copies dropped | waits for a quota | left: node gone, quota, \
                too far |";
    let mut text = format!("{head}\n|{}\n", " --- |".repeat(13));
    for figures in all {
        writeln!(text, "{}", figures.row()).expect("a text takes all");
    }
    plot(&mut text, "messages a delivery", all, Figures::messages);
    plot(&mut text, "rounds until 95 of 100 are there", all, |figures| figures.rounds(95) as f64);
    text
}

fn plot(text: &mut String, title: &str, all: &[Figures], value: impl Fn(&Figures) -> f64) {
    let most = all.iter().map(&value).fold(1.0, f64::max);
    writeln!(text, "\n```\n{title}").expect("a text takes all");
    for figures in all {
        let shown = value(figures);
        let bar = "#".repeat((shown / most * BAR_MOST).round() as usize);
        writeln!(text, "{:>6} nodes, {} {bar} {shown:.1}", figures.node_count, figures.kind())
            .expect("a text takes all");
    }
    text.push_str("```\n");
}
