//! `subscribe_…`: what a neighbour asks to be handed.

use ciborium::Value;
use serde_json::json;

use super::areas::Area;
use super::build::{Map, Vector, bad, bytes, cbor, good, hex, int, list, map, remove, set, text};
use super::draft::{BOB, CAROL, id, node};
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    [goods(), bads()].into_iter().flatten().collect()
}

const MILLIS: u64 = 1_700_000_000_123;
const GREATEST: u64 = (1 << 53) - 1;

/// Of bob, as its writer numbers it.
fn subscribe(millis: u64, until: u32) -> Stated {
    let body = map([("area", bytes(Area::moderated().id().as_bytes())), ("until", int(until))]);
    Stated { kind: "subscribe", issuer: BOB, created: millis / 1000, version: millis, body }
}

fn goods() -> Vec<Vector> {
    let shown = |stated: &Stated, until: u32| {
        json!({
            "statement": hex(stated.make()), "issuer": id(BOB).to_string(), "time": stated.created,
            "version": stated.version, "area": Area::moderated().id().to_string(), "until": until,
        })
    };
    let own = |name: &str, what: &str, millis, until| {
        let mut fields = shown(&subscribe(millis, until), until);
        fields["seed"] = json!(hex([BOB; 32]));
        good(name, "subscribe", what, fields)
    };
    let other = Stated { created: 5, ..subscribe(MILLIS, 20_780) };
    let statement = json!({
        "statement": hex(subscribe(MILLIS, 9).make()), "statement_kind": "subscribe", "created": MILLIS / 1000,
        "version": MILLIS, "issuer": hex(node(BOB).identity_key()), "body": hex(cbor(&Value::Map(subscribe(MILLIS, 9).body))),
    });
    vec![
        own("subscribe_until", "messages are wanted until a day", MILLIS, 20_780),
        own("subscribe_no_more", "no messages are wanted any more", MILLIS, 0),
        own("subscribe_day_23", "the greatest day that is one byte", MILLIS, 23),
        own("subscribe_day_24", "the least day that is two", MILLIS, 24),
        own("subscribe_least", "the first version there is", 1, 1),
        own("subscribe_greatest", "the last version and the last day", GREATEST, u32::MAX),
        good(
            "subscribe_created_other",
            "subscribe",
            "seconds that do not go with the version, which no reader minds",
            shown(&other, 20_780),
        ),
        good("statement_subscribe", "statement", "a statement that is a subscription", statement),
    ]
}

fn bads() -> Vec<Vector> {
    let edited = |name, what, reason, edit: &dyn Fn(Part)| {
        let statement = subscribe(MILLIS, 20_780).make_with(edit);
        bad(name, "subscribe", what, reason, json!({"statement": hex(statement)}))
    };
    let body = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &|part| {
            if let Part::Body(body) = part {
                change(body);
            }
        })
    };
    let value = |name, what, reason, key: &str, value: Value| body(name, what, reason, &|b| set(b, key, value.clone()));
    let statement = |name, what, reason, key: &str, value: Value| {
        edited(name, what, reason, &|part| {
            if let Part::Map(statement) = part {
                set(statement, key, value.clone());
            }
        })
    };
    let form = "wrong form";
    vec![
        value("subscribe_until_2_32", "a day that is too great", form, "until", int(1_i64 << 32)),
        value("subscribe_until_negative", "a day below 0", form, "until", int(-1)),
        value("subscribe_until_null", "null in the place of no more", form, "until", Value::Null),
        value("subscribe_until_text", "a day as text", form, "until", text("0")),
        value("subscribe_area_31_bytes", "an area id that is too short", form, "area", bytes([1; 31])),
        value("subscribe_area_33_bytes", "an area id that is too long", form, "area", bytes([1; 33])),
        value("subscribe_area_list", "an area id as a list", form, "area", list([int(7)])),
        value("subscribe_unknown_key", "a key that is not known", "unknown field", "most", int(1)),
        body("subscribe_missing_area", "no area", "missing field", &|b| remove(b, "area")),
        body("subscribe_missing_until", "no day", "missing field", &|b| remove(b, "until")),
        body("subscribe_keys_out_of_order", "two keys exchanged", "deterministic", &|b| b.swap(0, 1)),
        edited("subscribe_body_trailing_byte", "a byte behind the body's map", "deterministic", &|part| {
            if let Part::BodyBytes(body) = part {
                body.push(0);
            }
        }),
        statement("subscribe_is_want", "the kind of a want", "not a subscription", "kind", text("want")),
        statement("subscribe_version_0", "version 0", "out of range", "version", int(0)),
        statement("subscribe_version_2_53", "version 2^53", "out of range", "version", int(1_i64 << 53)),
        statement(
            "subscribe_issuer_other",
            "carol's name on what bob signed",
            "signature does not match",
            "issuer",
            bytes(node(CAROL).identity_key()),
        ),
        edited("subscribe_sig_bit", "a bit of the signature altered", "signature does not match", &|part| {
            if let Part::Sig(sig) = part {
                sig[40] ^= 1;
            }
        }),
    ]
}
