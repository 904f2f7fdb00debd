//! `prefix_…`: what anybody can say of an envelope.

use ciborium::Value;
use serde_json::json;

use super::build::{Map, Vector, bad, bytes, cbor, entry, good, hex, int, list, remove, replace, set, text};
use super::draft::{Draft, Stage, listed};

pub fn all() -> Vec<Vector> {
    [goods(), lengths(), items(), fields(), bodies(), spellings()].into_iter().flatten().collect()
}

fn goods() -> Vec<Vector> {
    let mut limits = Draft::with_bodies(vec![listed(1, 0), listed(2, 1 << 30)]);
    (limits.end, limits.nice) = (0, 255);
    let mut latest = Draft::new();
    (latest.end, latest.nice) = (u32::MAX, 1);
    let cases = [
        ("prefix_plain", "an envelope without bodies", Draft::new()),
        ("prefix_three_bodies", "an envelope that lists three bodies", Draft::with_bodies(bodies_of(3))),
        ("prefix_1024_bodies", "as many bodies as an envelope may list", Draft::with_bodies(bodies_of(1024))),
        ("prefix_smallest_and_greatest_body", "first day, last nice, an empty body and one of 1 GiB", limits),
        ("prefix_last_day", "the last day that can be written, and the first nice", latest),
    ];
    let made = |(name, what, draft): (&str, &str, Draft)| {
        let made = draft.make();
        let packet = mb_wire::envelope::packet_id(&made.file).to_string();
        good(name, "prefix", what, json!({"file": hex(&made.file), "packet": packet, "prefix": made.prefix()}))
    };
    cases.into_iter().map(made).collect()
}

fn bodies_of(count: usize) -> Vec<mb_wire::letter::LetterBody> {
    let numbered = |n: usize| {
        let mut body = listed(1, 1000 + n as u64);
        let root = mb_wire::hash::hash(mb_wire::hash::Label::Root, &[&(n as u32).to_be_bytes()]);
        body.root = mb_wire::id::Root::from_bytes(root);
        body
    };
    (0..count).map(numbered).collect()
}

fn file(name: &str, what: &str, reason: &str, file: &[u8]) -> Vector {
    bad(name, "prefix", what, reason, json!({"file": hex(file)}))
}

fn edited(name: &str, what: &str, reason: &str, edit: &dyn Fn(Stage)) -> Vector {
    file(name, what, reason, &Draft::with_bodies(bodies_of(2)).make_with(edit).file)
}

fn lengths() -> Vec<Vector> {
    let whole = Draft::new().make().file;
    let longer = [whole.as_slice(), &[0]].concat();
    vec![
        file("prefix_no_bytes", "an empty file", "no envelope has 0 bytes", &[]),
        file("prefix_all_zeros", "512 zeros", "is not a byte string", &[0; 512]),
        file("prefix_one_byte_more", "a byte behind the envelope", "no envelope has 1025 bytes", &longer),
        file("prefix_one_byte_less", "the last byte is missing", "no envelope has 1023 bytes", &whole[..1023]),
        file("prefix_600_bytes", "a length that is no size class", "no envelope has 600 bytes", &whole[..600]),
        file("prefix_no_room", "no room for a sealed part behind the stamp", "no room", &no_room()),
    ]
}

/// A prefix that fills 512 bytes but for fewer than 20.
fn no_room() -> Vec<u8> {
    let shrink = |stage: Stage| {
        if let Stage::File(file) = stage {
            file.truncate(512);
        }
    };
    let file = Draft::with_bodies(bodies_of(9)).make_with(&shrink).file;
    let head_len = 3 + usize::from(u16::from_be_bytes([file[1], file[2]])) + 1;
    assert!(file[0] == 0x59 && (493..=512).contains(&head_len), "{head_len}");
    file
}

fn items() -> Vec<Vector> {
    let item = |name, what, reason, new: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &|stage| {
            if let Stage::Item1(item) = stage {
                new(item);
            }
        })
    };
    let stamp = |name, what, new: &[u8]| {
        edited(name, what, "stamp of a kind", &|stage| {
            if let Stage::Stamp(stamp) = stage {
                *stamp = new.to_vec();
            }
        })
    };
    vec![
        item("prefix_as_text", "item 1 is a text string", "not a byte string", &|i| i[0] = 0x78),
        item("prefix_as_map", "item 1 is the map itself, without a byte string around it", "not a byte string", &|i| {
            i.drain(..2);
        }),
        item("prefix_in_pieces", "item 1 is a byte string of indefinite length", "not a byte string", &|i| {
            i.insert(0, 0x5f);
            i.push(0xff);
        }),
        item("prefix_length_not_shortest", "item 1's length takes two bytes where one does", "deterministic", &|i| {
            i.splice(0..1, [0x59, 0]);
        }),
        item("prefix_claims_more_than_there_is", "item 1's length goes beyond the file", "ends in the middle", &|i| {
            i.splice(0..2, [0x59, 0xff, 0xff]);
        }),
        item("prefix_claims_more_than_allowed", "item 1's length is 65,537", "claims 65537 bytes", &|i| {
            i.splice(0..2, [0x5a, 0, 1, 0, 1]);
        }),
        item("prefix_claims_2_63", "item 1's length is 2^63", "claims 9223372036854775808 bytes", &|i| {
            i.splice(0..2, [0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        }),
        stamp("prefix_stamp_number", "item 2 is a number", &[0]),
        stamp("prefix_stamp_undefined", "item 2 is CBOR undefined", &[0xf7]),
        stamp("prefix_stamp_null_not_shortest", "item 2 is null in two bytes", &[0xf8, 22]),
    ]
}

fn fields() -> Vec<Vector> {
    let field = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &|stage| {
            if let Stage::Core(core) = stage {
                change(core);
            }
        })
    };
    let value =
        |name, what, reason, key: &str, value: Value| field(name, what, reason, &|m| set(m, key, value.clone()));
    vec![
        value("prefix_version_2", "a version that is not known", "unknown version 2", "v", int(2)),
        value("prefix_version_0", "version 0", "unknown version 0", "v", int(0)),
        value("prefix_suite_2", "a suite that is not known", "suite 2", "suite", int(2)),
        value("prefix_nice_0", "nice 0", "nice is 0", "nice", int(0)),
        value("prefix_nice_256", "nice 256", "wrong form", "nice", int(256)),
        value("prefix_nice_float", "nice as a floating point number", "wrong form", "nice", Value::Float(96.0)),
        value("prefix_nice_bignum", "nice as a bignum with a tag", "deterministic", "nice", bignum(96)),
        value("prefix_end_negative", "a day before 1970", "wrong form", "end", int(-1)),
        value("prefix_end_2_32", "day 2^32", "wrong form", "end", int(1_i64 << 32)),
        value("prefix_end_null", "no day, but null", "wrong form", "end", Value::Null),
        value("prefix_to_31_bytes", "a node id that is too short", "wrong form", "to", bytes([1; 31])),
        value("prefix_to_33_bytes", "a node id that is too long", "wrong form", "to", bytes([1; 33])),
        value("prefix_to_text", "a node id as text", "wrong form", "to", text(&"x".repeat(32))),
        value("prefix_tag_7_bytes", "a key tag that is too short", "wrong form", "tag", bytes([1; 7])),
        value("prefix_unknown_key", "a key that is not known", "unknown field", "extra", int(1)),
        field("prefix_missing_end", "no day", "missing field", &|m| remove(m, "end")),
        field("prefix_missing_bodies", "no list of bodies", "missing field", &|m| remove(m, "bodies")),
        field("prefix_key_twice", "a key twice", "duplicate field", &|m| m.insert(1, m[1].clone())),
        field("prefix_keys_out_of_order", "the first two keys exchanged", "deterministic", &|m| m.swap(0, 1)),
        edited("prefix_commit_31_bytes", "a commitment that is too short", "wrong form", &|stage| {
            if let Stage::Commit(commit) = stage {
                commit.pop();
            }
        }),
    ]
}

fn bignum(number: u8) -> Value {
    Value::Tag(2, Box::new(bytes([number])))
}

fn bodies() -> Vec<Vector> {
    let bodies = |name, what, reason, change: &dyn Fn(&mut Vec<Value>)| {
        edited(name, what, reason, &|stage| {
            if let Stage::Core(core) = stage
                && let Some(Value::Array(bodies)) = entry(core, "bodies")
            {
                change(bodies);
            }
        })
    };
    let first =
        |name, what, reason, size: u64| bodies(name, what, reason, &|b| b[0] = list([bytes([7; 32]), int(size)]));
    let many = || bodies_of(1025).into_iter().map(|b| list([bytes(b.root.as_bytes()), int(b.size)])).collect();
    vec![
        first("prefix_body_size_0", "a body of no bytes", "no body has 0 bytes", 0),
        first("prefix_body_size_15", "a body too short for a tag", "no body has 15 bytes", 15),
        first("prefix_body_size_empty_chunk", "a body whose last chunk would be empty", "no body has 65568", 65_568),
        first("prefix_body_size_over", "a body of a byte more than 1 GiB", "no body has", (1 << 30) + (16 << 14) + 1),
        first("prefix_body_size_2_63", "a body of 2^63 bytes", "no body has", 1 << 63),
        bodies("prefix_body_twice", "a body twice", "twice", &|b| b.push(b[0].clone())),
        bodies("prefix_body_twice_other_size", "a root twice, with another size", "twice", &|b| {
            let Value::Array(first) = &b[0] else { return };
            b[1] = list([first[0].clone(), int(17)]);
        }),
        bodies("prefix_1025_bodies", "a body more than allowed", "lists 1025 bodies", &|b| *b = many()),
        bodies("prefix_body_three_items", "a body with a third item", "wrong form", &|b| {
            b[1] = list([bytes([7; 32]), int(17), int(0)]);
        }),
        bodies("prefix_body_one_item", "a body without size", "wrong form", &|b| b[1] = list([bytes([7; 32])])),
        bodies("prefix_body_root_31_bytes", "a root that is too short", "wrong form", &|b| {
            b[0] = list([bytes([7; 31]), int(17)]);
        }),
        bodies("prefix_body_nested", "lists 20 deep in the place of a body", "wrong form", &|b| {
            b[0] = (0..20).fold(int(1), |inner, _| list([inner]));
        }),
    ]
}

fn spellings() -> Vec<Vector> {
    let prefix = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &|stage| {
            if let Stage::PrefixBytes(prefix) = stage {
                change(prefix);
            }
        })
    };
    let nice = [cbor(&text("nice")), cbor(&int(96))].concat();
    let longer = [&nice[..5], &[0x19, 0, 96]].concat();
    vec![
        prefix("prefix_integer_not_shortest", "nice takes two bytes more than needed", "deterministic", &|p| {
            replace(p, &nice, &longer);
        }),
        prefix("prefix_map_indefinite", "a map of indefinite length", "deterministic", &|p| {
            p[0] = 0xbf;
            p.push(0xff);
        }),
        prefix("prefix_map_length_not_shortest", "the map's length takes a byte more", "deterministic", &|p| {
            p.splice(0..1, [0xb8, 9]);
        }),
        prefix("prefix_tagged", "a tag before the map", "deterministic", &|p| {
            p.splice(0..0, [0xd9, 0xd9, 0xf7]);
        }),
        prefix("prefix_trailing_byte", "a byte behind the map", "deterministic", &|p| p.push(0)),
        prefix("prefix_map_cut", "the map ends in the middle", "ends in the middle", &|p| p.truncate(p.len() - 1)),
        prefix("prefix_list_claims_2_44", "a list of bodies that claims 2^44", "wrong form", &|p| {
            replace(p, &[&cbor(&text("bodies"))[..], &[0x82]].concat(), &claim());
        }),
        prefix("prefix_empty", "nothing in item 1", "ends in the middle", &|p| p.clear()),
        prefix("prefix_list", "a list in the place of the map", "wrong form", &|p| *p = cbor(&list([int(1)]))),
    ]
}

fn claim() -> Vec<u8> {
    [&cbor(&text("bodies"))[..], &[0x9b, 0, 0, 0x10, 0, 0, 0, 0, 0]].concat()
}
