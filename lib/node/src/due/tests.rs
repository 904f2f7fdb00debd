//! When a node is called, and what a kill, a failure or a wrong clock does to that.

use super::*;
use mb_spool::durable::memory::{Options, World};
use mb_spool::layout::Queue;
use mb_wire::card::{Card, ExchangeKey};
use mb_wire::envelope::{Address, Content, HOPS_MOST, Wrap, packet_id, wrap};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::letter::{FileMeta, Form, Kind, Letter, Wants};
use std::path::Path;

/// 10:00 of a day in 2026, in UTC. The tests' schedules name minutes at most, which are the same in all zones by then.
const TEN: u64 = 20_781 * 86_400 + 36_000;
const MINUTE: u64 = 60;

fn secrets(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

/// A spool in memory, a run, and south with these call rules.
struct Bench {
    spool: Spool,
    run: Run,
    south: KnownNode,
}

impl Bench {
    fn new(rules: &str) -> Bench {
        let spool = Spool::new(World::new(1).file_system(Options::default()), secrets(1).id());
        let run = Run::start(&spool, [1; 16]).unwrap();
        Bench { spool, run, south: south(rules) }
    }

    /// The place of the rule that is due, counted from 0.
    fn due(&self, now: u64) -> Option<usize> {
        let rule = due(&self.spool, &self.south, now).unwrap()?;
        self.south.calls.iter().position(|one| one == rule)
    }

    /// One look without a call: what `mb-call --due` does until it calls.
    fn look(&self, now: u64) -> Option<usize> {
        let due = self.due(now);
        note_looked(&self.spool, &self.south, now, &self.run).unwrap();
        due
    }

    fn ends(&self, now: u64, is_ok: bool) {
        note_outcome(&self.spool, &self.south.id(), now, is_ok, u64::MAX / 2, &self.run).unwrap();
    }

    fn called(&self) -> Option<Called> {
        called::read(&self.spool, &self.south.id()).unwrap()
    }

    fn remember(&self, looked_secs: u64, not_before_secs: u64) {
        let called = Called { looked_secs, failure_count: 5, not_before_secs };
        called::write(&self.spool, &self.south.id(), &called, &self.run).unwrap();
    }

    /// A packet for south, with this nice.
    fn waits(&self, nice: u8) {
        let envelope = envelope(&self.south, nice);
        let tx = self.spool.queue(&self.south.id(), Queue::Tx).unwrap();
        let file = tx.create(packet_id(&envelope).to_string().as_ref(), 0o600).unwrap();
        file.write_at(&envelope, 0).unwrap();
    }
}

fn south(rules: &str) -> KnownNode {
    let public = ExchangeSecret::from_random([9; 32]).public();
    let keys = vec![ExchangeKey { suite: 1, public, use_until: 0, gone_after: 0 }];
    let card = Card::issue(&secrets(2), keys, "south", 1, 0).unwrap().to_text();
    KnownNode::parse(Path::new("south.toml"), "south", &format!("card = \"{card}\"\n{rules}")).unwrap()
}

fn envelope(to: &KnownNode, nice: u8) -> Vec<u8> {
    let author = secrets(1);
    let letter = Letter {
        to: to.id().into(),
        end: 20_860,
        kind: Kind::File(FileMeta {
            re: None,
            form: Form::Plain,
            mode: 0o644,
            path: b"report".to_vec(),
            mtime: (0, 0),
        }),
        salt: [nice; 16],
        time: TEN,
        forwarded: None,
        reply: None,
        wants: Wants::default(),
        author: author.id(),
        bodies: Vec::new(),
        inline: Some(b"small".to_vec()),
    };
    let content = Content::Letter(letter.sign(&author));
    let address = Address { id: to.id(), exchange: to.card.keys[0].public };
    let wrapping =
        Wrap { to: &address, end: 20_860, nice, hops: HOPS_MOST, bodies: &[], ask: false, content: &content };
    wrap(&author, &wrapping).unwrap()
}

const QUARTERS: &str = "[[call]]\ncron = \"*/15 * * * *\"\n";
const WAITING: &str = "[[call]]\nwhen = \"waiting\"\n";

#[test]
fn a_node_without_rules_is_never_due_and_nothing_is_written() {
    let bench = Bench::new("");
    bench.waits(1);
    assert_eq!(bench.look(TEN), None);
    assert_eq!(bench.called(), None);
}

#[test]
fn the_first_look_reaches_back_a_minute() {
    for (now, due) in [(TEN, Some(0)), (TEN + 59, Some(0)), (TEN + 60, None), (TEN - 1, None)] {
        assert_eq!(Bench::new(QUARTERS).due(now), due, "{now}");
    }
}

#[test]
fn each_time_of_a_schedule_makes_one_call_however_often_somebody_looks() {
    let bench = Bench::new(QUARTERS);
    let mut calls = Vec::new();
    for minute in 1..120 {
        let now = TEN + minute * MINUTE;
        if bench.look(now).is_some() {
            bench.ends(now + 1, true);
            calls.push(minute);
        }
    }
    assert_eq!(calls, [15, 30, 45, 60, 75, 90, 105]);
    assert_eq!(bench.look(TEN + 86_400), Some(0), "one call for all times that nobody looked at");
    bench.ends(TEN + 86_400, true);
    assert_eq!(bench.look(TEN + 86_401), None);
}

#[test]
fn a_look_every_ten_minutes_misses_no_time_of_the_schedule() {
    let bench = Bench::new("[[call]]\ncron = \"5 * * * *\"\n");
    let looks = (0..18).map(|number| TEN + number * 10 * MINUTE);
    let due = looks.filter(|now| bench.look(*now).inspect(|_| bench.ends(*now, true)).is_some());
    assert_eq!(due.collect::<Vec<_>>(), [TEN + 10 * MINUTE, TEN + 70 * MINUTE, TEN + 130 * MINUTE]);
}

#[test]
fn a_kill_before_the_outcome_leaves_the_call_due() {
    let bench = Bench::new(QUARTERS);
    assert_eq!(bench.look(TEN), Some(0), "the first look ever");
    assert_eq!(bench.look(TEN + 7 * MINUTE), Some(0), "after the kill");
    bench.ends(TEN + 8 * MINUTE, true);
    assert_eq!(bench.look(TEN + 9 * MINUTE), None);
}

#[test]
fn a_look_at_which_no_time_has_passed_writes_nothing() {
    let bench = Bench::new(QUARTERS);
    bench.look(TEN + MINUTE);
    let first = bench.called();
    assert!(first.is_some());
    bench.look(TEN + 14 * MINUTE);
    assert_eq!(bench.called(), first);
    let bench = Bench::new(WAITING);
    bench.look(TEN);
    assert_eq!(bench.called(), None);
}

#[test]
fn a_rule_without_a_schedule_is_due_as_long_as_something_waits() {
    let bench = Bench::new(WAITING);
    assert_eq!(bench.due(TEN), None);
    bench.spool.queue(&bench.south.id(), Queue::Tx).unwrap().create("x.tmp".as_ref(), 0o600).unwrap();
    assert_eq!(bench.due(TEN), None, "what is no packet does not wait");
    bench.waits(128);
    assert_eq!([bench.due(TEN), bench.due(TEN + 1)], [Some(0), Some(0)]);
}

#[test]
fn only_what_is_urgent_enough_makes_a_call_due() {
    let bench = Bench::new("[[call]]\nwhen = \"waiting\"\nnice = 64\n");
    let tx = bench.spool.queue(&bench.south.id(), Queue::Tx).unwrap();
    let damaged = packet_id(b"other").to_string();
    tx.create(damaged.as_ref(), 0o600).unwrap().write_at(b"damaged", 0).unwrap();
    bench.waits(65);
    assert_eq!(bench.due(TEN), None);
    bench.waits(64);
    assert_eq!(bench.due(TEN), Some(0));
}

/// What comes by day waits for the night: the night's time of yesterday, when nothing waited, does not count again.
#[test]
fn a_time_at_which_nothing_waited_is_over() {
    let bench = Bench::new("[[call]]\ncron = \"*/15 * * * *\"\nwhen = \"waiting\"\n");
    assert_eq!(bench.look(TEN - MINUTE), None);
    assert_eq!(bench.look(TEN), None, "nothing waits");
    bench.waits(128);
    assert_eq!(bench.look(TEN + MINUTE), None, "the time is over");
    assert_eq!(bench.look(TEN + 15 * MINUTE), Some(0));
}

#[test]
fn of_several_due_rules_the_first_one_of_the_file_makes_the_one_call() {
    let urgent = "[[call]]\nwhen = \"waiting\"\nnice = 10\n";
    let bench = Bench::new(&format!("{urgent}{QUARTERS}{WAITING}"));
    assert_eq!(bench.due(TEN), Some(1));
    bench.waits(128);
    assert_eq!([bench.due(TEN), bench.due(TEN + MINUTE)], [Some(1), Some(2)]);
    bench.waits(10);
    assert_eq!(bench.look(TEN), Some(0));
    bench.ends(TEN, true);
    assert_eq!(Bench { south: south(QUARTERS), ..bench }.due(TEN + MINUTE), None, "the other's time is over too");
}

#[test]
fn the_wait_after_failures_doubles_up_to_an_hour() {
    let middle = 1 << 63;
    let waits: Vec<u64> = (1..10).map(|count| back_off_secs(count, middle)).collect();
    assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    for count in [1, 2, 7, 100, u32::MAX] {
        let middle = back_off_secs(count, middle);
        assert_eq!(back_off_secs(count, 0), middle / 2, "{count}");
        assert_eq!(back_off_secs(count, u64::MAX), middle / 2 + middle - 1, "{count}");
        assert!(back_off_secs(count, u64::MAX) < BELIEVED_SECS);
    }
}

#[test]
fn outcomes_are_counted_until_one_is_good() {
    let bench = Bench::new(WAITING);
    bench.ends(TEN, false);
    let wait = bench.called().unwrap();
    assert_eq!((wait.looked_secs, wait.failure_count), (TEN, 1));
    assert!((TEN + 30..TEN + 90).contains(&wait.not_before_secs), "{wait:?}");
    bench.ends(TEN, false);
    assert_eq!(bench.called().unwrap().failure_count, 2);
    bench.ends(TEN + 5, true);
    assert_eq!(bench.called(), Some(Called { looked_secs: TEN + 5, failure_count: 0, not_before_secs: 0 }));
    assert_eq!(outcome(u32::MAX, u64::MAX, false, 7).failure_count, u32::MAX);
}

#[test]
fn after_a_failure_nothing_is_due_until_the_wait_is_over() {
    let bench = Bench::new(&format!("{QUARTERS}{WAITING}"));
    bench.waits(1);
    bench.ends(TEN - 30, false);
    let until = bench.called().unwrap().not_before_secs;
    assert!(until > TEN, "10:00 lies within");
    assert_eq!(bench.look(until - 1), None);
    assert_eq!(bench.look(until), Some(0), "10:00 was put off, not lost");
}

#[test]
fn a_failed_call_by_schedule_is_made_again_at_its_next_time() {
    let bench = Bench::new(QUARTERS);
    assert_eq!(bench.look(TEN), Some(0));
    bench.ends(TEN + 1, false);
    assert_eq!(bench.look(TEN + 10 * MINUTE), None);
    assert_eq!(bench.look(TEN + 15 * MINUTE), Some(0));
}

#[test]
fn a_clock_that_jumped_back_stops_no_calls() {
    let year = 365 * 86_400;
    let bench = Bench::new(QUARTERS);
    bench.remember(TEN + year, TEN + year);
    assert_eq!(bench.due(TEN), Some(0));
    assert_eq!(bench.look(TEN + 2 * MINUTE), None);
    assert_eq!(bench.look(TEN + 16 * MINUTE), Some(0), "the look wrote a time that can be believed");
    bench.remember(TEN - MINUTE, TEN + BELIEVED_SECS + 1);
    assert_eq!(bench.due(TEN), Some(0), "no wait is that long");
    bench.remember(TEN - MINUTE, TEN + BELIEVED_SECS);
    assert_eq!(bench.due(TEN), None);
    bench.remember(u64::MAX, u64::MAX);
    assert_eq!(bench.due(TEN), Some(0));
    assert_eq!([bench.due(15 * MINUTE), bench.due(u64::MAX)], [Some(0), None]);
}

#[test]
fn a_damaged_record_counts_as_not_there() {
    let bench = Bench::new(QUARTERS);
    let dir = bench.spool.make(&[&bench.south.id().to_string()]).unwrap();
    dir.create("call".as_ref(), 0o600).unwrap().write_at(b"looked 99999999999\n", 0).unwrap();
    assert_eq!(bench.look(TEN), Some(0));
    bench.ends(TEN, true);
    assert_eq!(bench.called().map(|called| called.looked_secs), Some(TEN));
}
