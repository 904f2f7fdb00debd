//! `folder_…`: payloads of letters of form `folder`.

use ciborium::Value;
use serde_json::{Value as Json, json};

use super::build::{Map, Vector, bad, bytes, cbor, good, hex, int, list, map, remove, set, text};

pub fn all() -> Vec<Vector> {
    [goods(), orders(), fields(), streams()].into_iter().flatten().collect()
}

/// An entry: its name, its map, and the content behind it.
#[derive(Clone)]
struct Entry {
    kind: &'static str,
    map: Map,
    path: Vec<u8>,
    content: Vec<u8>,
}

fn mtime() -> Value {
    list([int(1_700_000_000), int(0)])
}

fn folder(path: &[u8]) -> Entry {
    let map = map([("mode", int(0o755)), ("path", bytes(path)), ("mtime", mtime())]);
    Entry { kind: "folder", map, path: path.to_vec(), content: vec![] }
}

fn file(path: &[u8], content: &[u8]) -> Entry {
    let entries = [("len", int(content.len() as u64)), ("mode", int(0o644)), ("path", bytes(path)), ("mtime", mtime())];
    Entry { kind: "file", map: map(entries), path: path.to_vec(), content: content.to_vec() }
}

fn link(path: &[u8], target: &[u8]) -> Entry {
    let map = map([("path", bytes(path)), ("mtime", mtime()), ("target", bytes(target))]);
    Entry { kind: "link", map, path: path.to_vec(), content: target.to_vec() }
}

impl Entry {
    fn with(mut self, key: &str, value: Value) -> Entry {
        set(&mut self.map, key, value);
        self
    }

    fn header(&self) -> Vec<u8> {
        cbor(&Value::Map(vec![(text(self.kind), Value::Map(self.map.clone()))]))
    }

    fn stream(&self) -> Vec<u8> {
        let content = if self.kind == "file" { self.content.as_slice() } else { &[] };
        [&cbor(&bytes(self.header())), content].concat()
    }

    fn json(&self) -> Json {
        let mut out = json!({"type": self.kind, "path": hex(&self.path), "mtime": [1_700_000_000, 0]});
        let rest = match self.kind {
            "file" => json!({"mode": 0o644, "content": hex(&self.content)}),
            "link" => json!({"target": hex(&self.content)}),
            _ => json!({"mode": 0o755}),
        };
        out.as_object_mut().into_iter().for_each(|out| out.extend(rest.as_object().cloned().into_iter().flatten()));
        out
    }
}

fn stream(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(Entry::stream).collect()
}

fn top() -> Entry {
    folder(b"")
}

fn goods() -> Vec<Vector> {
    let tree = vec![
        top(),
        file(b"a", b"content of a"),
        folder(b"b"),
        folder(b"b/c"),
        file(b"b/c/empty", b""),
        link(b"b/up", b"../../anything at all"),
        file(b"b-", b"sorts behind b/up, component by component"),
        folder(b"empty folder"),
        file(b"\xff", b"not UTF-8"),
    ];
    let deep = (0..=128).map(|levels| folder(&vec![b"d".as_slice(); levels].join(&b'/'))).collect();
    let cases = [
        ("folder_empty", "a folder with nothing in it", vec![top()]),
        ("folder_tree", "files, links, folders, in their order", tree),
        ("folder_deep", "as deep as a folder may go", deep),
        ("folder_large_file", "a file of 1,000 bytes", vec![top(), file(b"f", &super::envelopes::pattern(1000))]),
        ("folder_long_link", "the longest target", vec![top(), link(b"l", &[b't'; 4096])]),
    ];
    let vector = |(name, what, entries): (&str, &str, Vec<Entry>)| {
        let shown: Vec<_> = entries.iter().map(Entry::json).collect();
        good(name, "folder", what, json!({"payload": hex(stream(&entries)), "entries": shown}))
    };
    cases.into_iter().map(vector).collect()
}

fn payload(name: &str, what: &str, reason: &str, payload: &[u8]) -> Vector {
    bad(name, "folder", what, reason, json!({"payload": hex(payload)}))
}

fn orders() -> Vec<Vector> {
    let of = |name, what, reason, entries: &[Entry]| payload(name, what, reason, &stream(entries));
    let deep: Vec<_> = (0..=129).map(|levels| folder(&vec![b"d".as_slice(); levels].join(&b'/'))).collect();
    let up = [top(), folder(b"a"), file(b"b", b""), file(b"a/c", b"")];
    let bytewise = [top(), folder(b"b"), file(b"b-", b""), file(b"b/c", b"")];
    vec![
        of("folder_no_top", "the folder itself is missing", "not the folder itself", &[file(b"a", b"x")]),
        of("folder_top_file", "a file in the place of the folder itself", "not the folder itself", &[file(b"", b"x")]),
        of("folder_top_twice", "the folder itself twice", "ascending order", &[top(), top()]),
        of("folder_file_twice", "a file twice", "ascending order", &[top(), file(b"a", b""), file(b"a", b"")]),
        of(
            "folder_descending",
            "two files in the wrong order",
            "ascending order",
            &[top(), file(b"b", b""), file(b"a", b"")],
        ),
        of("folder_returns", "back into a folder that was left", "ascending order", &up),
        of("folder_bytewise_order", "ordered by bytes, not by components", "ascending order", &bytewise),
        of("folder_no_parent", "a file in a folder that did not come", "did not come", &[top(), file(b"a/b", b"")]),
        of(
            "folder_parent_later",
            "a folder behind what is in it",
            "did not come",
            &[top(), file(b"a/b", b""), folder(b"a")],
        ),
        of("folder_parent_file", "a file in a file", "did not come", &[top(), file(b"a", b""), file(b"a/b", b"")]),
        of(
            "folder_parent_link",
            "a file in a symbolic link",
            "did not come",
            &[top(), link(b"a", b"/etc"), file(b"a/b", b"")],
        ),
        of(
            "folder_parent_similar",
            "a folder whose name only begins like it",
            "did not come",
            &[top(), folder(b"ab"), file(b"abc/d", b"")],
        ),
        of("folder_too_deep", "129 levels", "levels deep", &deep),
        of("folder_path_parent", "a path out of the folder", "\"..\" in it", &[top(), file(b"..", b"")]),
        of("folder_path_absolute", "an absolute path", "empty component", &[top(), file(b"/a", b"")]),
        of(
            "folder_path_double_slash",
            "two slashes in a row",
            "empty component",
            &[top(), folder(b"a"), file(b"a//b", b"")],
        ),
        of("folder_path_nul", "a zero byte in a path", "zero byte", &[top(), file(b"a\0", b"")]),
        of(
            "folder_path_component_256",
            "a component of 256 bytes",
            "component of 256",
            &[top(), file(&[b'x'; 256], b"")],
        ),
    ]
}

fn fields() -> Vec<Vector> {
    let entry = |name, what, reason, entry: Entry| payload(name, what, reason, &stream(&[top(), entry]));
    let without = |mut entry: Entry, key: &str| {
        remove(&mut entry.map, key);
        entry
    };
    let swapped = |mut entry: Entry| {
        entry.map.swap(0, 1);
        entry
    };
    let named = |kind: &'static str| Entry { kind, ..file(b"a", b"") };
    vec![
        entry(
            "folder_mode_setuid",
            "more than permission bits",
            "mode is out of range",
            file(b"a", b"").with("mode", int(0o4755)),
        ),
        entry(
            "folder_nanos",
            "10^9 nanoseconds",
            "time of change",
            file(b"a", b"").with("mtime", list([int(1), int(1_000_000_000)])),
        ),
        entry(
            "folder_len_2_53",
            "a file of 2^53 bytes",
            "length is out of range",
            file(b"a", b"").with("len", int(1_i64 << 53)),
        ),
        entry(
            "folder_len_negative",
            "a file of less than no bytes",
            "wrong form",
            file(b"a", b"").with("len", int(-1)),
        ),
        entry("folder_unknown_key", "a key that is not known", "unknown field", file(b"a", b"").with("owner", int(0))),
        entry(
            "folder_link_with_mode",
            "a symbolic link with a mode",
            "unknown field",
            link(b"a", b"t").with("mode", int(0o777)),
        ),
        entry("folder_missing_mode", "a file without mode", "missing field", without(file(b"a", b""), "mode")),
        entry("folder_missing_len", "a file without length", "missing field", without(file(b"a", b""), "len")),
        entry("folder_kind_unknown", "an entry of a kind that is not known", "unknown variant", named("fifo")),
        entry("folder_target_empty", "a link to nothing", "target has 1 to", link(b"a", b"")),
        entry("folder_target_nul", "a zero byte in a target", "target has 1 to", link(b"a", b"t\0")),
        entry("folder_target_4097", "a target of 4,097 bytes", "target has 1 to", link(b"a", &[b't'; 4097])),
        entry("folder_keys_out_of_order", "two keys exchanged", "deterministic", swapped(file(b"a", b""))),
        entry("folder_path_text", "a path as text", "wrong form", file(b"a", b"").with("path", text("a"))),
    ]
}

fn streams() -> Vec<Vector> {
    let whole = stream(&[top(), file(b"a", b"content")]);
    let top_len = stream(&[top()]).len();
    let behind = |bytes: &[u8]| [&stream(&[top()]), bytes].concat();
    let two = Value::Map([file(b"a", b""), link(b"b", b"t")].map(|e| (text(e.kind), Value::Map(e.map))).into());
    vec![
        payload("folder_nothing", "an empty payload", "ends in the middle", &[]),
        payload(
            "folder_cut_in_content",
            "the content of a file is cut",
            "ends in the middle",
            &whole[..whole.len() - 1],
        ),
        payload("folder_cut_in_header", "an entry is cut", "ends in the middle", &whole[..top_len + 10]),
        payload("folder_cut_in_length", "an entry's length is cut", "ends in the middle", &behind(&[0x58])),
        payload("folder_trailing_zero", "a zero behind the last entry", "not a byte string", &behind(&[0])),
        payload(
            "folder_header_too_long",
            "an entry of 16,385 bytes",
            "claims 16385 bytes",
            &behind(&[0x59, 0x40, 0x01]),
        ),
        payload(
            "folder_header_2_63",
            "an entry of 2^63 bytes",
            "claims 9223372036854775808",
            &behind(&[0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ),
        payload(
            "folder_header_not_shortest",
            "an entry's length in more bytes than needed",
            "deterministic",
            &behind(&[0x59, 0, 30]),
        ),
        payload("folder_header_indefinite", "an entry in pieces", "not a byte string", &behind(&[0x5f])),
        payload(
            "folder_header_map",
            "an entry without a byte string around it",
            "not a byte string",
            &behind(&file(b"a", b"").header()),
        ),
        payload("folder_two_in_one", "two entries in one map", "wrong form", &behind(&cbor(&bytes(cbor(&two))))),
        payload(
            "folder_trailing_in_header",
            "a byte behind an entry's map",
            "deterministic",
            &behind(&cbor(&bytes([file(b"a", b"").header(), vec![0]].concat()))),
        ),
    ]
}
