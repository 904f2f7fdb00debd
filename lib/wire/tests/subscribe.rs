//! Subscriptions: what was signed comes out, and nothing else does.

mod world;

use mb_wire::area::{AreaError, Subscribe};
use mb_wire::id::{AreaId, LetterId};
use mb_wire::report::{Complaint, Reason};
use mb_wire::statement::Statement;
use proptest::prelude::*;
use world::node;

const MADE: u64 = 1_795_392_000_500;

fn wanted(until: u32) -> Subscribe {
    Subscribe { area: AreaId::from_bytes([7; 32]), until }
}

fn signed(until: u32, time: u64) -> Statement {
    Statement::parse(&wanted(until).sign(&node(1), time)).unwrap()
}

#[test]
fn a_subscription_comes_out_as_it_went_in() {
    for until in [0, 1, 20_780, u32::MAX] {
        let statement = signed(until, MADE);
        assert_eq!(Subscribe::read(&statement), Ok((node(1).id(), wanted(until))));
        assert_eq!((statement.created, statement.version), (1_795_392_000, MADE));
        assert_eq!(Subscribe::made_on(statement.version), 20_780);
    }
}

#[test]
fn any_clock_gives_a_version_and_the_later_one_the_greater() {
    let version = |time| signed(9, time).version;
    let versions = [0, MADE, MADE + 1, u64::MAX].map(version);
    assert!(versions[0] == 1 && versions.is_sorted_by(|one, two| one < two), "{versions:?}");
    assert_eq!(Subscribe::made_on(u64::MAX), u32::MAX);
}

#[test]
fn every_altered_byte_is_refused() {
    let statement = wanted(u32::MAX).sign(&node(1), u64::MAX);
    assert!(statement.len() <= 300, "{}", statement.len());
    for position in 0..statement.len() {
        let mut altered = statement.clone();
        altered[position] ^= 1;
        assert!(Statement::parse(&altered).is_err(), "byte {position}");
        assert!(Statement::parse(&statement[..position]).is_err(), "cut at {position}");
    }
    assert!(Statement::parse(&[&statement[..], &[0]].concat()).is_err());
}

/// The statement is whole and signed, and what it holds is no subscription.
#[test]
fn a_signed_body_of_another_form_is_refused() {
    let other = Complaint { about: LetterId::from_bytes([1; 32]), reason: Reason::Spam }.sign(&node(1), 5);
    assert_eq!(Subscribe::read(&Statement::parse(&other).unwrap()), Err(AreaError::Kind("a subscription")));
    let statement = signed(9, MADE);
    // {"area": bytes(32), "until": 9}
    assert_eq!(statement.body[..8], [0xa2, 0x64, b'a', b'r', b'e', b'a', 0x58, 32]);
    assert_eq!(statement.body[40..], [0x65, b'u', b'n', b't', b'i', b'l', 9]);
    let with = |tail: &[u8]| [&statement.body[..40], tail].concat();
    let bodies = [
        ("empty", vec![]),
        ("no until", [&[0xa1], &statement.body[1..40]].concat()),
        ("until is a text", with(b"\x65until\x61\x39")),
        ("until is negative", with(b"\x65until\x20")),
        ("until is longer than it need be", with(b"\x65until\x18\x09")),
        ("until is no day", with(b"\x65until\x1b\x00\x00\x00\x01\x00\x00\x00\x00")),
        ("something behind", with(b"\x65until\x09\x00")),
        ("one key more", [&[0xa3], &statement.body[1..], b"\x66viaall\x09"].concat()),
        ("area is short", [b"\xa2\x64area\x58\x1f", &statement.body[9..]].concat()),
    ];
    for (what, body) in bodies {
        let altered = Statement { body, ..statement.clone() };
        assert!(matches!(Subscribe::read(&altered), Err(AreaError::Asked(_))), "{what}");
    }
}

proptest! {
    #[test]
    fn any_body_is_refused_or_a_subscription(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let statement = Statement { body, ..signed(9, MADE) };
        if let Ok((_, subscribe)) = Subscribe::read(&statement) {
            prop_assert_eq!(Statement::parse(&subscribe.sign(&node(1), MADE)).unwrap().body, statement.body);
        }
    }
}
