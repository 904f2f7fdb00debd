//! `routed_…`, `confirm_…` and `ask_…`: what an envelope carries but a letter, and what it asks for.

use ciborium::Value;
use mb_wire::hash::{Label, hash};
use mb_wire::id::PacketId;

use super::build::{Map, Vector, bad, bytes, cbor, entry, good, inside, int, list, map, remove, replace, set, text};
use super::draft::{Carried, Draft, Stage, listed};
use super::road::Road;

pub fn all() -> Vec<Vector> {
    [goods(), asks(), confirms(), confirms_bad(), routed_fields(), routed_spellings()].into_iter().flatten().collect()
}

fn asking() -> Draft {
    Draft { ask: true, ..Draft::new() }
}

/// A route by bob, to bob.
fn under_way(road: Road) -> Draft {
    let routed = Box::new(road.make().routed(0));
    Draft { carried: Carried::Routed(routed), ..road.draft }
}

/// A road with as many steps of this length, which are none.
fn traced(steps: usize, len: usize) -> Road {
    let mut road = Road::new(1);
    road.trace = vec![vec![7; len]; steps];
    road
}

fn goods() -> Vec<Vector> {
    let cases = [
        ("envelope_ask", "a letter, and a confirmation asked for", asking()),
        ("envelope_ask_hops_1", "the same, to be wrapped once more", Draft { hops: 1, ..asking() }),
        ("envelope_routed", "a packet under way", under_way(Road::new(2))),
        ("envelope_routed_trace_1", "a packet under way with a step of its trace", under_way(traced(1, 300))),
        ("envelope_routed_trace_8", "a packet under way with the longest trace", under_way(traced(8, 600))),
        (
            "envelope_routed_bodies",
            "a packet under way with two bodies, to be wrapped 15 times more, and a confirmation asked for",
            Draft { hops: 15, ask: true, ..under_way(Road::with_bodies(1, vec![listed(1, 5), listed(2, 70_000)])) },
        ),
    ];
    cases.into_iter().map(|(name, what, draft)| good(name, "envelope", what, draft.make().all())).collect()
}

fn asks() -> Vec<Vector> {
    let edited = |name, what, reason, draft: Draft, edit: &dyn Fn(Stage)| {
        bad(name, "envelope", what, reason, draft.make_with(edit).input())
    };
    let inner = |name, what, reason, draft: Draft, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, draft, &|stage| {
            if let Stage::Inner(inner) = stage {
                change(inner);
            }
        })
    };
    let (form, signature) = ("wrong form", "signature does not match");
    vec![
        inner("ask_false", "ask is false", "deterministic", Draft::new(), &|m| set(m, "ask", Value::Bool(false))),
        inner("ask_null", "ask is null", form, asking(), &|m| set(m, "ask", Value::Null)),
        inner("ask_number", "ask is the number 1", form, asking(), &|m| set(m, "ask", int(1))),
        inner("ask_twice", "ask comes twice", "duplicate field", asking(), &|m| m.insert(0, m[0].clone())),
        inner("ask_out_of_order", "ask behind the signature", "deterministic", asking(), &|m| m.swap(0, 1)),
        inner("ask_added", "ask added to what was signed", signature, Draft::new(), &|m| {
            set(m, "ask", Value::Bool(true));
        }),
        inner("ask_removed", "ask taken out of what was signed", signature, asking(), &|m| remove(m, "ask")),
        inner("ask_in_hops", "ask as a part of hops", "hops left", asking(), &|m| {
            remove(m, "ask");
            set(m, "hops", int(128 + 16));
        }),
    ]
}

fn packets(count: u32) -> Vec<PacketId> {
    (0..count).map(|number| PacketId::from_bytes(hash(Label::Packet, &[&number.to_be_bytes()]))).collect()
}

fn confirming(packets: Vec<PacketId>) -> Draft {
    Draft { carried: Carried::Confirm(packets), ..Draft::new() }
}

fn confirms() -> Vec<Vector> {
    let twice = [packets(2), packets(1)].concat();
    let cases = [
        ("confirm_1", "a confirmation of one packet", confirming(packets(1))),
        ("confirm_512", "as many packets as a confirmation may name", confirming(packets(512))),
        ("confirm_twice", "a packet that comes twice, which no reader minds", confirming(twice)),
    ];
    cases.into_iter().map(|(name, what, draft)| good(name, "envelope", what, draft.make().all())).collect()
}

fn confirms_bad() -> Vec<Vector> {
    let edited = |name, what, reason, edit: &dyn Fn(Stage)| {
        bad(name, "envelope", what, reason, confirming(packets(1)).make_with(edit).input())
    };
    let value = |name, what, reason, value: Value| {
        edited(name, what, reason, &|stage| {
            if let Stage::Content(Value::Map(content)) = stage {
                set(content, "confirm", value.clone());
            }
        })
    };
    let of = |name, what, draft: Draft| bad(name, "envelope", what, "1 to 512 packets", draft.make().input());
    let mut with_bodies = Draft::with_bodies(vec![listed(1, 5)]);
    with_bodies.carried = Carried::Confirm(packets(1));
    let id = || bytes(packets(1)[0].as_bytes());
    let head = [cbor(&text("confirm")), vec![0x81]].concat();
    vec![
        of("confirm_none", "a confirmation of nothing", confirming(vec![])),
        of("confirm_513", "a packet more than a confirmation may name", confirming(packets(513))),
        of("confirm_bodies", "a confirmation with a body in the prefix", with_bodies),
        value("confirm_id_31_bytes", "an id that is too short", "wrong form", list([bytes([1; 31])])),
        value("confirm_id_33_bytes", "an id that is too long", "wrong form", list([bytes([1; 33])])),
        value("confirm_id_text", "an id as text", "wrong form", list([text(&packets(1)[0].to_string())])),
        value("confirm_id_list", "a list around each id", "wrong form", list([list([id()])])),
        value("confirm_bytes", "an id without a list around it", "wrong form", id()),
        value("confirm_map", "a map in the place of the list", "wrong form", Value::Map(map([("id", id())]))),
        value("confirm_null", "null in the place of the list", "wrong form", Value::Null),
        edited("confirm_key_twice", "two confirmations", "wrong form", &|stage| {
            if let Stage::Content(Value::Map(content)) = stage {
                content.push(content[0].clone());
            }
        }),
        edited("confirm_not_shortest", "the list's length takes a byte more than needed", "deterministic", &|stage| {
            if let Stage::InnerBytes(inner) = stage {
                replace(inner, &head, &[&head[..head.len() - 1], &[0x98, 1]].concat());
            }
        }),
        edited("confirm_indefinite", "a list of indefinite length", "deterministic", &|stage| {
            if let Stage::InnerBytes(inner) = stage {
                replace(inner, &head, &[&head[..head.len() - 1], &[0x9f]].concat());
                inner.push(0xff);
            }
        }),
    ]
}

fn routed_edited(name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Map)) -> Vector {
    let edit = |stage: Stage| {
        if let Stage::Content(Value::Map(content)) = stage {
            change(inside(content, "routed"));
        }
    };
    bad(name, "envelope", what, reason, under_way(Road::new(1)).make_with(&edit).input())
}

fn routed_fields() -> Vec<Vector> {
    let sized = |name: &str, what: &str, key: &str, len: usize| {
        routed_edited(name, what, "wrong form", &|m| set(m, key, bytes(vec![1; len])))
    };
    let payload = |name: &str, what: &str, len: usize| {
        let reason = format!("no payload under way has {len} bytes");
        routed_edited(name, what, &reason, &|m| set(m, "payload", bytes(vec![1; len])))
    };
    let trace = |name, what, steps, len| {
        let made = under_way(traced(steps, len)).make();
        bad(name, "envelope", what, "too many steps, or one that is too long", made.input())
    };
    vec![
        trace("routed_trace_9_steps", "a trace of nine steps", 9, 300),
        trace("routed_trace_601_bytes", "a step that is too long", 1, 601),
        sized("routed_key_7_bytes", "a key tag that is too short", "key", 7),
        sized("routed_tag_33_bytes", "a tag that is too long", "tag", 33),
        sized("routed_block_2047_bytes", "a block that is too short", "block", 2047),
        sized("routed_block_2304_bytes", "a block of nine slots", "block", 2304),
        sized("routed_share_31_bytes", "a share that is too short", "share", 31),
        sized("routed_commit_31_bytes", "a commitment that is too short", "commit", 31),
        payload("routed_payload_no_bytes", "no payload", 0),
        payload("routed_payload_513_bytes", "a payload whose length is no class", 513),
    ]
}

fn routed_spellings() -> Vec<Vector> {
    let value = |name, what, value: Value| {
        let edit = |stage: Stage| {
            if let Stage::Content(Value::Map(content)) = stage {
                set(content, "routed", value.clone());
            }
        };
        bad(name, "envelope", what, "wrong form", under_way(Road::new(1)).make_with(&edit).input())
    };
    vec![
        routed_edited("routed_missing_tag", "no tag", "missing field", &|m| remove(m, "tag")),
        routed_edited("routed_unknown_key", "a key that is not known", "unknown field", &|m| set(m, "extra", int(1))),
        routed_edited("routed_keys_out_of_order", "two keys exchanged", "deterministic", &|m| m.swap(0, 1)),
        routed_edited("routed_key_twice", "a key twice", "duplicate field", &|m| m.push(m[5].clone())),
        routed_edited("routed_payload_text", "the payload as text", "wrong form", &|m| set(m, "payload", text("x"))),
        routed_edited("routed_payload_list", "the payload as a list of numbers", "wrong form", &|m| {
            if let Some(payload) = entry(m, "payload") {
                *payload = list((0..512).map(|_| int(1)));
            }
        }),
        routed_edited("routed_trace_empty", "a trace without steps", "deterministic", &|m| set(m, "trace", list([]))),
        routed_edited("routed_trace_null", "null in the trace's place", "wrong form", &|m| {
            set(m, "trace", Value::Null)
        }),
        routed_edited("routed_trace_text", "a step as text", "wrong form", &|m| set(m, "trace", list([text("x")]))),
        routed_edited("routed_trace_bytes", "a step without a list around it", "wrong form", &|m| {
            set(m, "trace", bytes([7; 300]));
        }),
        value("routed_null", "null in the place of the map", Value::Null),
        value("routed_list", "a list in the place of the map", list([bytes([1; 8])])),
    ]
}
