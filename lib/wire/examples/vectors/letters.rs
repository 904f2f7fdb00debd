//! `letter_…`: letters that break a rule, in envelopes that break none.

use ciborium::Value;
use mb_wire::hash::Label;
use mb_wire::letter::{Codec, Kind, LetterBody};

use super::build::{Map, Vector, bad, beyond_order, bytes, cbor, entry, inside, int, list, remove, replace, set, text};
use super::draft::{ALICE, CAROL, Draft, Stage, exec, id, listed, node, request};

pub fn all() -> Vec<Vector> {
    [
        fields(),
        ways_back(),
        files(),
        answers(),
        execs(),
        requests(),
        paths(),
        bodies(),
        lists(),
        spellings(),
        signatures(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn edited(name: &str, what: &str, reason: &str, draft: &Draft, edit: &dyn Fn(Stage)) -> Vector {
    bad(name, "envelope", what, reason, draft.make_with(edit).input())
}

fn mapped(name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Map)) -> Vector {
    edited(name, what, reason, &Draft::new(), &|stage| {
        if let Stage::LetterMap(letter) = stage {
            change(letter);
        }
    })
}

fn value(name: &str, what: &str, reason: &str, key: &str, value: Value) -> Vector {
    mapped(name, what, reason, &|m| set(m, key, value.clone()))
}

/// What no reader of a letter takes for a way back.
fn ways_back() -> Vec<Vector> {
    let way = super::road::Road::reply(2, b"").way_back();
    let letter = |name, what, reason, wants: u8, change: &dyn Fn(&mut Map)| {
        mapped(name, what, reason, &|m| {
            if wants > 0 {
                set(m, "wants", int(wants));
            }
            set(m, "reply", Value::serialized(&way).expect("it encodes"));
            change(inside(m, "reply"));
        })
    };
    vec![
        letter("letter_reply_unwanted", "a way back, and no receipt is wanted", "wants no receipt", 0, &|_| {}),
        letter("letter_reply_for_trace", "a way back, and only a trace is wanted", "wants no receipt", 2, &|_| {}),
        letter("letter_reply_nice_0", "a way back with a nice of 0", "out of range", 1, &|m| set(m, "nice", int(0))),
        letter("letter_reply_block_2047", "a way back whose block is too short", "wrong form", 1, &|m| {
            set(m, "block", bytes(vec![1; 2047]));
        }),
        letter("letter_reply_seal_31", "a way back whose key is too short", "wrong form", 1, &|m| {
            set(m, "seal", bytes([1; 31]));
        }),
        letter("letter_reply_no_end", "a way back without its day", "missing field", 1, &|m| remove(m, "end")),
        letter("letter_reply_unknown_key", "a way back with a key that is not known", "unknown field", 1, &|m| {
            set(m, "extra", int(1));
        }),
        value("letter_reply_null", "null in the place of no way back", "deterministic", "reply", Value::Null),
    ]
}

fn fields() -> Vec<Vector> {
    let kind =
        |name, what, reason, change: &dyn Fn(&mut Map)| mapped(name, what, reason, &|m| change(inside(m, "kind")));
    vec![
        value("letter_version_2", "a version that is not known", "unknown version 2", "v", int(2)),
        value(
            "letter_to_another",
            "a letter for another node",
            "letter is for mbn1",
            "to",
            bytes(id(CAROL).as_bytes()),
        ),
        value(
            "letter_ends_before_envelope",
            "the letter ends a day early",
            "before what it lies in",
            "end",
            int(20_089),
        ),
        value("letter_end_2_32", "day 2^32", "wrong form", "end", int(1_i64 << 32)),
        value("letter_salt_15_bytes", "a salt that is too short", "wrong form", "salt", bytes([1; 15])),
        value("letter_time_2_53", "a time of 2^53", "time is out of range", "time", int(1_i64 << 53)),
        value("letter_time_negative", "a time before 1970", "wrong form", "time", int(-1)),
        value("letter_author_31_bytes", "an author's id that is too short", "wrong form", "author", bytes([1; 31])),
        value("letter_wants_0", "nothing wanted, and said", "unknown wants 0", "wants", int(0)),
        value("letter_wants_4", "something wanted that is not known", "unknown wants 4", "wants", int(4)),
        value("letter_wants_null", "null in the place of nothing wanted", "wrong form", "wants", Value::Null),
        value("letter_wants_true", "wants as a truth", "wrong form", "wants", Value::Bool(true)),
        value("letter_unknown_key", "a key that is not known", "unknown field", "extra", int(1)),
        value("letter_bodies_null", "null in the place of no bodies", "wrong form", "bodies", Value::Null),
        value("letter_inline_null", "null in the place of no payload", "wrong form", "inline", Value::Null),
        value("letter_inline_text", "a payload as text", "wrong form", "inline", text("hello")),
        value("letter_inline_32769", "a byte more than allowed", "32769 bytes", "inline", bytes(vec![7; 32_769])),
        mapped("letter_missing_salt", "no salt", "missing field", &|m| remove(m, "salt")),
        mapped("letter_missing_bodies", "no list of bodies", "missing field", &|m| remove(m, "bodies")),
        mapped("letter_no_payload", "neither payload nor bodies", "must lie either", &|m| remove(m, "inline")),
        mapped("letter_key_twice", "a key twice", "duplicate field", &|m| m.push(m[8].clone())),
        kind("letter_kind_unknown", "a kind that is not known", "unknown variant", &|k| k[0].0 = text("post")),
        kind("letter_kind_two", "two kinds", "wrong form", &|k| k.push((text("mail"), int(1)))),
        kind("letter_kind_none", "no kind", "wrong form", &|k| k.clear()),
    ]
}

fn files() -> Vec<Vector> {
    let file = |name, what, reason, key: &str, value: Value| {
        mapped(name, what, reason, &|m| set(inside(inside(m, "kind"), "file"), key, value.clone()))
    };
    let mtime = |name, what, reason, items: &[Value]| file(name, what, reason, "mtime", list(items.to_vec()));
    vec![
        file("letter_form_unknown", "a form that is not known", "unknown variant", "form", text("tar")),
        file("letter_form_upper_case", "a form in upper case", "unknown variant", "form", text("Plain")),
        file("letter_mode_setuid", "more than permission bits", "mode is out of range", "mode", int(0o4755)),
        file("letter_mode_1000", "mode 0o1000", "mode is out of range", "mode", int(0o1000)),
        file("letter_file_unknown_key", "a key of a file that is not known", "unknown field", "owner", int(0)),
        file("letter_path_text", "a path as text", "wrong form", "path", text("hello.txt")),
        mtime("letter_mtime_nanos", "10^9 nanoseconds", "time of change", &[int(1), int(1_000_000_000)]),
        mtime("letter_mtime_negative_nanos", "nanoseconds below zero", "wrong form", &[int(1), int(-1)]),
        mtime("letter_mtime_one_item", "no nanoseconds", "wrong form", &[int(1)]),
        mtime("letter_mtime_three_items", "a third number", "wrong form", &[int(1), int(2), int(3)]),
        mtime("letter_mtime_2_63", "2^63 seconds", "wrong form", &[int(1_i128 << 63), int(0)]),
        mtime("letter_mtime_float", "seconds with a fraction", "wrong form", &[Value::Float(1.5), int(0)]),
        mapped("letter_missing_mode", "no mode", "missing field", &|m| {
            remove(inside(inside(m, "kind"), "file"), "mode");
        }),
    ]
}

/// What no file may say of the letter that it answers.
fn answers() -> Vec<Vector> {
    let file = |name, what, reason, value: Value| {
        mapped(name, what, reason, &|m| set(inside(inside(m, "kind"), "file"), "re", value.clone()))
    };
    vec![
        file("letter_re_31_bytes", "an answer to an id that is too short", "wrong form", bytes([7; 31])),
        file("letter_re_33_bytes", "an answer to an id that is too long", "wrong form", bytes([7; 33])),
        file("letter_re_text", "an answer to an id as text", "wrong form", text("7")),
        file("letter_re_null", "null in the place of no letter that it answers", "deterministic", Value::Null),
    ]
}

fn of_kind(name: &str, what: &str, reason: &str, kind: Kind, payload: &[u8]) -> Vector {
    bad(name, "envelope", what, reason, Draft::of(kind, payload).make().input())
}

fn kind_edited(name: &str, what: &str, reason: &str, kind: &Kind, change: &dyn Fn(&mut Map)) -> Vector {
    edited(name, what, reason, &Draft::of(kind.clone(), b""), &|stage| {
        if let Stage::LetterMap(letter) = stage {
            change(inside(inside(letter, "kind"), kind.word()));
        }
    })
}

fn execs() -> Vec<Vector> {
    let handle = |name, what, handle: &str| of_kind(name, what, "handle is none", exec(handle, &[]), b"in");
    let args = |name, what, args: &[&[u8]]| of_kind(name, what, "arguments", exec("print", args), b"in");
    let edit = |name, what, reason, change: &dyn Fn(&mut Map)| {
        kind_edited(name, what, reason, &exec("print", &[b"-a4"]), change)
    };
    vec![
        handle("exec_handle_empty", "no handle", ""),
        handle("exec_handle_65", "a handle of 65 characters", &"h".repeat(65)),
        handle("exec_handle_hyphen_first", "a handle that looks like an option", "-print"),
        handle("exec_handle_dot_first", "a handle that begins with a full stop", ".print"),
        handle("exec_handle_slash", "a handle that is a path", "bin/print"),
        handle("exec_handle_space", "a handle with a space", "print it"),
        handle("exec_handle_umlaut", "a handle beyond ASCII", "drücken"),
        args("exec_args_257", "an argument more than allowed", &[b"a".as_slice(); 257]),
        args("exec_args_16385", "arguments of a byte more than allowed", &[&[b'a'; 8192], &[b'a'; 8193]]),
        args("exec_arg_nul", "an argument with a zero byte", &[b"a\0b"]),
        edit("exec_handle_bytes", "a handle as bytes", "wrong form", &|m| set(m, "handle", bytes(b"print"))),
        edit("exec_arg_text", "an argument as text", "wrong form", &|m| set(m, "args", list([text("-a4")]))),
        edit("exec_args_bytes", "an argument without a list around it", "wrong form", &|m| set(m, "args", bytes(b"a"))),
        edit("exec_missing_args", "no list of arguments", "missing field", &|m| remove(m, "args")),
        edit("exec_missing_handle", "no key for the handle", "missing field", &|m| remove(m, "handle")),
        edit("exec_unknown_key", "a key of a command that is not known", "unknown field", &|m| {
            set(m, "env", list([]));
        }),
        edit("exec_keys_out_of_order", "two keys exchanged", "deterministic", &|m| m.swap(0, 1)),
    ]
}

fn requests() -> Vec<Vector> {
    let path = |name, what, reason, list, path: &[u8]| of_kind(name, what, reason, request(list, path), b"");
    let edit = |name, what, reason, change: &dyn Fn(&mut Map)| {
        kind_edited(name, what, reason, &request(false, b"docs/may.pdf"), change)
    };
    let mut with_body = Draft::with_bodies(vec![listed(1, 5)]);
    with_body.letter.kind = request(false, b"docs");
    vec![
        path("request_path_empty", "a file without a name asked for", "path is empty", false, b""),
        path("request_path_absolute", "an absolute path", "empty component", false, b"/etc/passwd"),
        path("request_path_root_list", "a list of the root", "empty component", true, b"/"),
        path("request_path_parent", "a path out of the folder", "\"..\" in it", false, b"docs/../../key"),
        path("request_path_parent_list", "a list of the folder above", "\"..\" in it", true, b".."),
        path("request_path_dot", "the folder itself", "\"..\" in it", false, b"."),
        path("request_path_trailing_slash", "a slash at the end", "empty component", true, b"docs/"),
        path("request_path_nul", "a zero byte", "zero byte", false, b"docs\0"),
        of_kind("request_payload", "a request with a payload", "and has a payload", request(false, b"docs"), b"x"),
        bad("request_body", "envelope", "a request with a body", "and has a payload", with_body.make().input()),
        edit("request_list_1", "a number in the place of a truth", "wrong form", &|m| set(m, "list", int(1))),
        edit("request_list_null", "null in the place of a truth", "wrong form", &|m| set(m, "list", Value::Null)),
        edit("request_path_text", "a path as text", "wrong form", &|m| set(m, "path", text("docs"))),
        edit("request_missing_list", "no word whether a list", "missing field", &|m| remove(m, "list")),
        edit("request_missing_path", "no path at all", "missing field", &|m| remove(m, "path")),
        edit("request_unknown_key", "a key of a request that is not known", "unknown field", &|m| {
            set(m, "depth", int(1));
        }),
        edit("request_keys_out_of_order", "two keys exchanged", "deterministic", &|m| m.swap(0, 1)),
    ]
}

fn paths() -> Vec<Vector> {
    let long_component = [b"a/".as_slice(), &[b'x'; 256]].concat();
    let mut long = [[b'x'; 255].as_slice(), b"/"].concat().repeat(16);
    long.push(b'x');
    let cases: [(&str, &str, &str, &[u8]); 13] = [
        ("letter_path_empty", "no path", "path is empty", b""),
        ("letter_path_absolute", "an absolute path", "empty component", b"/etc/passwd"),
        ("letter_path_root", "only a slash", "empty component", b"/"),
        ("letter_path_parent", "a path out of the folder", "\"..\" in it", b"../secret"),
        ("letter_path_parent_inside", "up and down again", "\"..\" in it", b"a/../../b"),
        ("letter_path_parent_end", "a path that ends with ..", "\"..\" in it", b"a/.."),
        ("letter_path_dot", "the folder itself", "\"..\" in it", b"."),
        ("letter_path_dot_inside", "a component that says nothing", "\"..\" in it", b"a/./b"),
        ("letter_path_double_slash", "two slashes in a row", "empty component", b"a//b"),
        ("letter_path_trailing_slash", "a slash at the end", "empty component", b"a/"),
        ("letter_path_nul", "a zero byte", "zero byte", b"a\0.txt"),
        ("letter_path_component_256", "a component of 256 bytes", "component of 256 bytes", &long_component),
        ("letter_path_4097", "a path of 4,097 bytes", "path has 4097 bytes", &long),
    ];
    let vector = |(name, what, reason, path): (&str, &str, &str, &[u8])| {
        let mut draft = Draft::new();
        draft.file().path = path.to_vec();
        bad(name, "envelope", what, reason, draft.make().input())
    };
    cases.into_iter().map(vector).collect()
}

fn bodies() -> Vec<Vector> {
    let body = |name, what, reason, change: &dyn Fn(&mut LetterBody)| {
        let mut body = listed(2, 1000);
        change(&mut body);
        bad(name, "envelope", what, reason, Draft::with_bodies(vec![listed(1, 5), body]).make().input())
    };
    let reason = "body 1 of the letter";
    vec![
        body("letter_body_length_0", "a range of no bytes", reason, &|b| b.len = 0),
        body("letter_body_length_over", "a range of a byte more than 1 GiB", reason, &|b| {
            (b.codec, b.len) = (Codec::Zstd, (1 << 30) + 1);
        }),
        body("letter_body_length_beyond", "a plain range longer than its body", reason, &|b| b.len = 1001),
        body("letter_body_empty_zstd", "a zstd frame in an empty body", reason, &|b| {
            (b.codec, b.size, b.len) = (Codec::Zstd, 16, 5);
        }),
    ]
}

fn lists() -> Vec<Vector> {
    let list_of = |name, what, reason, change: &dyn Fn(&mut Vec<Value>)| {
        let draft = Draft::with_bodies(vec![listed(1, 5), listed(2, 1000)]);
        edited(name, what, reason, &draft, &|stage| {
            if let Stage::LetterMap(letter) = stage
                && let Some(Value::Array(bodies)) = entry(letter, "bodies")
            {
                change(bodies);
            }
        })
    };
    let item = |name, what, reason, place: usize, value: Value| {
        list_of(name, what, reason, &|b| match &mut b[1] {
            Value::Array(items) if place < items.len() => items[place] = value.clone(),
            Value::Array(items) => items.push(value.clone()),
            other => panic!("{other:?}"),
        })
    };
    let both = edited(
        "letter_both_payloads",
        "payload and bodies",
        "must lie either",
        &Draft::with_bodies(vec![listed(1, 5)]),
        &|stage| {
            if let Stage::LetterMap(letter) = stage {
                set(letter, "inline", bytes(b"hello"));
            }
        },
    );
    vec![
        both,
        list_of("letter_bodies_swapped", "the bodies in another order", "other bodies", &|b| b.swap(0, 1)),
        list_of("letter_bodies_one_less", "a body of the envelope is not listed", "other bodies", &|b| b.truncate(1)),
        list_of("letter_bodies_one_more", "a body that the envelope does not list", "other bodies", &|b| {
            b.push(b[0].clone());
        }),
        item("letter_body_other_root", "another root than in the envelope", "other bodies", 0, bytes([9; 32])),
        item("letter_body_other_size", "another size than in the envelope", "other bodies", 1, int(1017)),
        item("letter_body_key_31_bytes", "a key that is too short", "wrong form", 2, bytes([9; 31])),
        item("letter_body_codec_2", "a codec that is not known", "unknown codec 2", 4, int(2)),
        item("letter_body_six_items", "a body with a sixth item", "deterministic", 5, int(0)),
    ]
}

fn spellings() -> Vec<Vector> {
    let encoded = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &Draft::new(), &|stage| {
            if let Stage::LetterBytes(letter) = stage {
                change(letter);
            }
        })
    };
    let mode = cbor(&text("mode"));
    vec![
        encoded("letter_integer_not_shortest", "mode takes bytes more than needed", "deterministic", &|l| {
            replace(l, &[&mode[..], &[0x19, 1, 0xa4]].concat(), &[&mode[..], &[0x1a, 0, 0, 1, 0xa4]].concat());
        }),
        encoded("letter_map_indefinite", "a map of indefinite length", "deterministic", &|l| {
            l[0] = 0xbf;
            l.push(0xff);
        }),
        encoded("letter_trailing_byte", "a byte behind the map", "deterministic", &|l| l.push(0)),
        encoded("letter_cut", "the map ends in the middle", "ends in the middle", &|l| l.truncate(100)),
        encoded("letter_empty", "nothing signed", "ends in the middle", &|l| l.clear()),
        mapped("letter_keys_out_of_order", "two keys exchanged", "deterministic", &|m| m.swap(2, 3)),
        mapped("letter_salt_tagged", "a tag before the salt", "deterministic", &|m| {
            set(m, "salt", Value::Tag(2, Box::new(bytes([1; 16]))));
        }),
        encoded("letter_salt_in_pieces", "a byte string of indefinite length", "wrong form", &|l| {
            let salt = [0x5a; 16];
            replace(l, &[&[0x50], &salt[..]].concat(), &[&[0x5f, 0x50], &salt[..], &[0xff]].concat());
        }),
    ]
}

fn signatures() -> Vec<Vector> {
    let sig = |name, what, change: &dyn Fn(&mut [u8; 64])| {
        edited(name, what, "signature does not match: the letter", &Draft::new(), &|stage| {
            if let Stage::LetterSig(sig) = stage {
                change(sig);
            }
        })
    };
    let mut forged = Draft::new();
    forged.author = CAROL;
    let as_carol = |stage: Stage| match stage {
        Stage::LetterMap(letter) => set(letter, "author", bytes(id(CAROL).as_bytes())),
        Stage::LetterSig(sig) => *sig = node(ALICE).sign(Label::Letter, &[b"anything"]),
        _ => {}
    };
    vec![
        sig("letter_sig_bit_r", "a bit of R altered", &|s| s[0] ^= 1),
        sig("letter_sig_bit_s", "a bit of S altered", &|s| s[40] ^= 0x10),
        sig("letter_sig_s_beyond_order", "S with the order of the group added", &beyond_order),
        sig("letter_sig_other_label", "a signature made for a hop", &|s| *s = node(ALICE).sign(Label::Hop, &[b"any"])),
        edited("letter_author_forged", "alice signs in carol's name", "signature does not match", &forged, &as_carol),
        edited("letter_author_other", "signed by carol, in alice's name", "not that of its author", &forged, &|_| {}),
    ]
}
