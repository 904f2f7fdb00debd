//! Reports: what was signed comes out, and nothing else does.

mod world;

use mb_wire::card::{Card, CardError, ExchangeKey, SUITE};
use mb_wire::envelope::{BodyName, Content, EnvelopeError, Wrap};
use mb_wire::id::{Mark, PacketId};
use mb_wire::report::{REPORTS_MOST, Receipt, Report, ReportError, STATEMENT_MOST, Signed, Stage, WHY_MOST};
use proptest::prelude::*;
use world::{World, listed, node};

const STAGES: [Stage; 6] =
    [Stage::Accepted, Stage::Stalled, Stage::Handed, Stage::Expired, Stage::Refused, Stage::Delivered];

fn receipt(stage: Stage, time: u64) -> Receipt {
    let why = if stage == Stage::Refused { "no".into() } else { String::new() };
    Receipt { about: Mark::from_bytes([7; 32]), stage, why, time }
}

fn read(receipt: &Receipt) -> Signed {
    Signed::parse(&receipt.sign(&node(1))).unwrap()
}

#[test]
fn a_receipt_comes_out_as_it_went_in() {
    for stage in STAGES {
        let receipt = receipt(stage, 1_700_000_000);
        let signed = read(&receipt);
        assert_eq!((signed.by, signed.receipt), (node(1).id(), receipt));
    }
}

#[test]
fn every_altered_byte_is_refused() {
    let statement = receipt(Stage::Delivered, 5).sign(&node(1));
    for position in 0..statement.len() {
        let mut altered = statement.clone();
        altered[position] ^= 1;
        // A bit of the issuer makes another one, whose signature it is not.
        assert!(Signed::parse(&altered).is_err(), "byte {position}");
        assert!(Signed::parse(&statement[..position]).is_err(), "cut at {position}");
    }
}

#[test]
fn of_two_the_newer_counts_and_of_one_second_the_later_stage() {
    let versions: Vec<u64> = [0, 1, 1_700_000_000, u64::MAX]
        .iter()
        .flat_map(|time| STAGES.map(|stage| read(&receipt(stage, *time)).version))
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
    // All but the first two, of which none can be 0.
    assert!(versions[1..].is_sorted_by(|one, two| one < two), "{versions:?}");
}

#[test]
fn a_reason_is_there_when_it_is_refused_and_only_then() {
    for stage in STAGES {
        let mut odd = receipt(stage, 5);
        odd.why = if odd.why.is_empty() { "because".into() } else { String::new() };
        assert_eq!(Signed::parse(&odd.sign(&node(1))), Err(ReportError::Why), "{stage:?}");
    }
    let long = Receipt { why: "ü".repeat(WHY_MOST), ..receipt(Stage::Refused, 5) };
    assert_eq!(read(&long).receipt.why, "ü".repeat(WHY_MOST / 2), "cut where a character ends");
    assert!(long.sign(&node(1)).len() <= STATEMENT_MOST);
}

#[test]
fn a_card_is_no_receipt_and_a_receipt_no_card() {
    let key = ExchangeKey { suite: SUITE, public: [1; 32], use_until: 0, gone_after: 0 };
    let card = Card::issue(&node(1), vec![key], "north", 1, 5).unwrap();
    assert_eq!(Signed::parse(card.as_bytes()), Err(ReportError::Kind));
    let statement = receipt(Stage::Accepted, 5).sign(&node(1));
    assert_eq!(Card::from_bytes(&statement), Err(CardError::Kind));
}

#[test]
fn a_relay_and_the_recipient_each_say_only_what_they_can_know() {
    let can =
        |stage, is_recipient| read(&receipt(stage, 5)).is_of(&node(1).id(), &Mark::from_bytes([7; 32]), is_recipient);
    assert_eq!(STAGES.map(|stage| can(stage, false)), [true, true, true, true, true, false]);
    assert_eq!(STAGES.map(|stage| can(stage, true)), [false, false, false, true, true, true]);
    let signed = read(&receipt(Stage::Delivered, 5));
    assert!(!signed.is_of(&node(2).id(), &Mark::from_bytes([7; 32]), true));
    assert!(!signed.is_of(&node(1).id(), &Mark::from_bytes([8; 32]), true));
}

#[test]
fn an_envelope_holds_some_reports_and_no_bodies() {
    let world = World::new();
    let report = |len| Report { packet: PacketId::from_bytes([1; 32]), statement: vec![1; len] };
    let content = |count, len| Content::Reports(vec![report(len); count]);
    let wrapped = |content: &Content, bodies: &[BodyName]| {
        let to = world.bob_address();
        let wrapping = Wrap { to: &to, end: 20_000, nice: 1, hops: 16, bodies, ask: false, content };
        mb_wire::envelope::wrap(&world.alice, &wrapping)
    };
    let body = listed(1, 100);
    let body = BodyName { root: body.root, size: body.size };
    for (count, len) in [(0, 1), (REPORTS_MOST + 1, 1), (1, STATEMENT_MOST + 1)] {
        assert_eq!(wrapped(&content(count, len), &[]), Err(EnvelopeError::Reports), "{count} of {len}");
    }
    assert_eq!(wrapped(&content(1, 1), &[body]), Err(EnvelopeError::Reports));
    let most = content(REPORTS_MOST, STATEMENT_MOST);
    let opened = world.open(&wrapped(&most, &[]).unwrap()).unwrap();
    assert_eq!(opened.verify_hop(&world.alice.identity_key()), Ok(most));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_a_receipt(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let _ = Signed::parse(&bytes);
    }
}
