//! `want_…`, `summary_…` and `stated_…`: what a neighbour asks of an area, and the envelope with a statement for it.

use ciborium::Value;
use mb_wire::hash::{Label, hash};
use mb_wire::id::MsgHash;
use serde_json::{Value as Json, json};

use super::areas::Area;
use super::build::{Map, Vector, bad, bytes, cbor, good, hex, int, list, map, remove, set, text};
use super::draft::{BOB, CAROL, Carried, Draft, Stage, id, listed, node};
use super::settings::Rules;
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    [wants(), wants_bad(), summaries(), summaries_bad(), envelopes(), envelopes_bad()].into_iter().flatten().collect()
}

const TIME: u64 = 1_700_000_000;

/// Of bob, as its writer numbers it.
fn want(created: u64, version: u64, have: Option<&[u8]>) -> Stated {
    let mut body = map([("area", bytes(Area::moderated().id().as_bytes())), ("version", int(version))]);
    have.iter().for_each(|have| set(&mut body, "have", bytes(have)));
    Stated { kind: "want", issuer: BOB, created, version: created.max(1), body }
}

fn wants() -> Vec<Vector> {
    let shown = |stated: &Stated, version: u64, have: Option<&[u8]>| {
        let mut fields = json!({
            "statement": hex(stated.make()), "issuer": id(BOB).to_string(), "time": stated.created,
            "area": Area::moderated().id().to_string(), "version": version,
        });
        have.iter().for_each(|have| fields["have"] = json!(hex(have)));
        fields
    };
    let own = |name: &str, what: &str, created, version, have: Option<&[u8]>| {
        let mut fields = shown(&want(created, version, have), version, have);
        fields["seed"] = json!(hex([BOB; 32]));
        good(name, "want", what, fields)
    };
    let other = Stated { version: 7, ..want(TIME, 3, None) };
    let statement = json!({
        "statement": hex(want(TIME, 3, None).make()), "statement_kind": "want", "created": TIME, "version": TIME,
        "issuer": hex(node(BOB).identity_key()), "body": hex(cbor(&Value::Map(want(TIME, 3, None).body))),
    });
    vec![
        own("want_settings", "settings are wanted, and nothing else", TIME, 3, None),
        own("want_first", "there is nothing yet", TIME, 0, Some(&[0; 8])),
        own("want_some", "four buckets of messages are there", TIME, 3, Some(&summary(&messages(4)))),
        own("want_time_0", "the first second of 1970, of which version 1 is the least", 0, 0, None),
        own("want_greatest", "the latest time and the last settings", (1 << 53) - 1, (1 << 53) - 1, None),
        good(
            "want_version_other",
            "want",
            "another version of the statement, which no reader minds",
            shown(&other, 3, None),
        ),
        good("statement_want", "statement", "a statement that is a want", statement),
    ]
}

fn wants_bad() -> Vec<Vector> {
    let edited = |name, what, reason, edit: &dyn Fn(Part)| {
        let statement = want(TIME, 3, Some(&[7; 16])).make_with(edit);
        bad(name, "want", what, reason, json!({"statement": hex(statement)}))
    };
    let body = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &|part| {
            if let Part::Body(body) = part {
                change(body);
            }
        })
    };
    let value = |name, what, reason, key: &str, value: Value| body(name, what, reason, &|b| set(b, key, value.clone()));
    let form = "wrong form";
    vec![
        value("want_version_2_53", "settings of version 2^53", "out of range", "version", int(1_i64 << 53)),
        value("want_version_negative", "settings of a version below 0", form, "version", int(-1)),
        value("want_version_null", "null in the place of no settings", form, "version", Value::Null),
        value("want_area_33_bytes", "an area id that is too long", form, "area", bytes([1; 33])),
        value("want_have_null", "null in the place of no summary", "deterministic", "have", Value::Null),
        value("want_have_empty", "a summary without buckets", form, "have", bytes([])),
        value("want_have_24_bytes", "a summary of three buckets", form, "have", bytes([7; 24])),
        value("want_have_list", "a summary as a list", form, "have", list([int(7)])),
        value("want_unknown_key", "a key that is not known", "unknown field", "most", int(1)),
        body("want_missing_area", "no area", "missing field", &|b| remove(b, "area")),
        body("want_missing_version", "no version of settings", "missing field", &|b| remove(b, "version")),
        body("want_keys_out_of_order", "two keys exchanged", "deterministic", &|b| b.swap(0, 1)),
        edited("want_body_trailing_byte", "a byte behind the body's map", "deterministic", &|part| {
            if let Part::BodyBytes(body) = part {
                body.push(0);
            }
        }),
        edited("want_is_settings", "the kind of settings", "not a want", &|part| {
            if let Part::Map(statement) = part {
                set(statement, "kind", text("settings"));
            }
        }),
        edited("want_issuer_other", "carol's name on what bob signed", "signature does not match", &|part| {
            if let Part::Map(statement) = part {
                set(statement, "issuer", bytes(node(CAROL).identity_key()));
            }
        }),
        edited("want_sig_bit", "a bit of the signature altered", "signature does not match", &|part| {
            if let Part::Sig(sig) = part {
                sig[40] ^= 1;
            }
        }),
    ]
}

fn messages(count: u32) -> Vec<MsgHash> {
    (0..count).map(message).collect()
}

fn message(number: u32) -> MsgHash {
    MsgHash::from_bytes(hash(Label::Msg, &[&number.to_be_bytes()]))
}

/// Sums of messages in this many buckets.
fn summary_in(count: usize, messages: &[MsgHash]) -> Vec<u8> {
    let mut buckets = vec![[0; 8]; count];
    for message in messages {
        let [a, b, ..] = *message.as_bytes();
        let number = (usize::from(a) << 8 | usize::from(b)) * count / 65_536;
        let sum = hash(Label::Have, &[message.as_bytes()]);
        buckets[number].iter_mut().zip(sum).for_each(|(byte, other)| *byte ^= other);
    }
    buckets.concat()
}

fn summary(messages: &[MsgHash]) -> Vec<u8> {
    summary_in(messages.len().next_power_of_two().min(8192), messages)
}

/// A node that has `ours`, and is told `theirs`.
fn told(ours: &[MsgHash], theirs: &[u8], lacks: &[MsgHash]) -> Json {
    let shown = |messages: &[MsgHash]| {
        let mut sorted = messages.to_vec();
        sorted.sort();
        sorted.iter().map(|message| json!(message.to_string())).collect::<Vec<_>>()
    };
    let ours_shown: Vec<_> = ours.iter().map(|message| json!(message.to_string())).collect();
    json!({
        "messages": ours_shown, "other": hex(theirs), "summary": hex(summary(ours)), "lacks": shown(lacks),
    })
}

fn summaries() -> Vec<Vector> {
    let case = |name, what, ours: &[MsgHash], theirs: &[u8], lacks: &[MsgHash]| {
        good(name, "summary", what, told(ours, theirs, lacks))
    };
    let all = messages(40);
    let bucket = |message: &MsgHash, count: usize| usize::from(message.as_bytes()[0]) * count / 256;
    // Of 12 and of 13 in one bucket.
    let (twelve, thirteen) = (messages(12), messages(13));
    let unknown = message(1000);
    let with_unknown = summary(&[&all[..], &[unknown]].concat());
    let in_its_bucket: Vec<_> = all.iter().copied().filter(|known| bucket(known, 64) == bucket(&unknown, 64)).collect();
    let label = json!({"hashes": [{
        "label": Label::Have.as_str(), "key": null, "input": hex(b"mailbag"), "digest": hex(hash(Label::Have, &[b"mailbag"])),
    }]});
    vec![
        case("summary_none", "neither has anything", &[], &[0; 8], &[]),
        case("summary_first", "the other one has nothing", &all, &[0; 8], &all),
        case("summary_nothing_here", "the other one has all", &[], &summary(&all), &[]),
        case("summary_same", "both have the same", &all, &summary(&all), &[]),
        case("summary_some", "the other one lacks some", &all, &summary(&all[..35]), &all[35..]),
        case("summary_two", "a bucket for each of two messages", &messages(2), &summary(&messages(2)), &[]),
        case(
            "summary_12",
            "as many in a bucket as are told apart",
            &twelve,
            &summary_in(1, &twelve[3..]),
            &twelve[..3],
        ),
        case(
            "summary_13",
            "a message more, so all of them are sent",
            &thirteen,
            &summary_in(1, &thirteen[3..]),
            &thirteen,
        ),
        case("summary_13_same", "as many, and all are there", &thirteen, &summary_in(1, &thirteen), &[]),
        case("summary_unknown", "a message that is not here spoils its bucket", &all, &with_unknown, &in_its_bucket),
        case("summary_zeros", "more buckets than messages, with nothing in them", &twelve, &[0; 512], &twelve),
        case("summary_8192", "as many buckets as there may be", &twelve, &summary_in(8192, &twelve[1..]), &twelve[..1]),
        good("hash_label_have", "hash", "the label of summaries", label),
    ]
}

fn summaries_bad() -> Vec<Vector> {
    let case = |name, what, other: &[u8]| {
        let fields = json!({"messages": [message(1).to_string()], "other": hex(other)});
        bad(name, "summary", what, "8 bytes for each of 1 to 8192 buckets", fields)
    };
    vec![
        case("summary_empty", "no bucket", &[]),
        case("summary_7_bytes", "a bucket that is too short", &[0; 7]),
        case("summary_9_bytes", "a byte behind the last bucket", &[0; 9]),
        case("summary_24_bytes", "three buckets", &[0; 24]),
        case("summary_16384", "more buckets than there may be", &vec![0; 8 * 16_384]),
    ]
}

fn stating(statement: Vec<u8>) -> Draft {
    Draft { carried: Carried::Statement(statement), ..Draft::new() }
}

fn envelopes() -> Vec<Vector> {
    let asks = Draft { ask: true, hops: 1, ..stating(want(TIME, 3, None).make()) };
    let cases = [
        ("stated_settings", "settings for a neighbour", stating(Rules::new().make())),
        ("stated_want", "a want, with a confirmation asked for", asks),
        ("stated_no_bytes", "nothing in the place of a statement, which is not read here", stating(vec![])),
        ("stated_noise", "what is no statement, which is not read here", stating(vec![7; 601])),
    ];
    cases.into_iter().map(|(name, what, draft)| good(name, "envelope", what, draft.make().all())).collect()
}

fn envelopes_bad() -> Vec<Vector> {
    let limits = "at most 240000 bytes of it, and lists no bodies";
    let of = |name, what, draft: Draft| bad(name, "envelope", what, limits, draft.make().input());
    let content = |name, what, reason, change: &dyn Fn(&mut Map)| {
        let edit = |stage: Stage| {
            if let Stage::Content(Value::Map(content)) = stage {
                change(content);
            }
        };
        bad(name, "envelope", what, reason, stating(want(TIME, 3, None).make()).make_with(&edit).input())
    };
    let mut with_bodies = Draft::with_bodies(vec![listed(1, 5)]);
    with_bodies.carried = Carried::Statement(want(TIME, 3, None).make());
    let form = "wrong form";
    vec![
        of("stated_240001_bytes", "a byte more than a statement may have", stating(vec![0; 240_001])),
        of("stated_bodies", "a statement with a body in the prefix", with_bodies),
        content("stated_null", "null in the place of a statement", form, &|c| c[0].1 = Value::Null),
        content("stated_text", "a statement as text", form, &|c| c[0].1 = text("want")),
        content("stated_unwrapped", "a statement without a byte string around it", form, &|c| {
            c[0].1 = list([bytes([1; 100]), bytes([1; 64])]);
        }),
        content("stated_two", "two statements", form, &|c| c.push(c[0].clone())),
    ]
}
