//! `card_…` and `statement_…`.

use bech32::{Bech32, Bech32m, Hrp};
use ciborium::Value;
use mb_wire::hash::Label;
use mb_wire::key::{ExchangeSecret, key_tag};
use serde_json::{Value as Json, json};

use super::build::{Map, Vector, bad, beyond_order, bytes, cbor, entry, good, hex, int, list, map, remove, set, text};
use super::draft::{ALICE, CAROL, id, node};
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    let parts = [goods(), texts(), bodies(), names(), statements_good(), statements()];
    parts.into_iter().flatten().collect()
}

/// What a card is made of.
struct Sketch {
    keys: Vec<(u32, u32)>,
    name: &'static str,
    version: u64,
    created: u64,
}

impl Sketch {
    fn new() -> Sketch {
        Sketch { keys: vec![(0, 0)], name: "alice", version: 1, created: 1_700_000_000 }
    }

    fn public(number: usize) -> [u8; 32] {
        ExchangeSecret::from_random([number as u8 + 1; 32]).public()
    }

    fn body(&self) -> Map {
        let key = |(number, (use_until, gone_after)): (usize, &(u32, u32))| {
            list([int(1), bytes(Sketch::public(number)), int(*use_until), int(*gone_after)])
        };
        map([
            ("call", bytes(node(ALICE).call_public())),
            ("keys", list(self.keys.iter().enumerate().map(key))),
            ("name", text(self.name)),
        ])
    }

    fn make(&self, edit: &dyn Fn(Part)) -> Vec<u8> {
        let (created, version, body) = (self.created, self.version, self.body());
        Stated { kind: "card", issuer: ALICE, created, version, body }.make_with(edit)
    }

    fn all(&self, picks: &[(u32, Option<usize>)]) -> Json {
        let whole = self.make(&|_| {});
        let key = |(number, (use_until, gone_after)): (usize, &(u32, u32))| {
            let public = Sketch::public(number);
            json!({
                "suite": 1, "public": hex(public), "tag": key_tag(&public).to_string(), "use_until": use_until,
                "gone_after": gone_after,
            })
        };
        let pick = |&(today, pick): &(u32, Option<usize>)| json!({"today": today, "public": pick.map(|number| hex(Sketch::public(number)))});
        json!({
            "text": as_text(&whole),
            "bytes": hex(&whole),
            "id": id(ALICE).to_string(),
            "identity": hex(node(ALICE).identity_key()),
            "call": hex(node(ALICE).call_public()),
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "keys": self.keys.iter().enumerate().map(key).collect::<Vec<_>>(),
            "picks": picks.iter().map(pick).collect::<Vec<_>>(),
            "seed": hex([ALICE; 32]),
        })
    }
}

fn as_text(bytes: &[u8]) -> String {
    bech32::encode::<Bech32m>(Hrp::parse_unchecked("mbcard"), bytes).expect("short enough")
}

fn goods() -> Vec<Vector> {
    let plain = Sketch::new();
    let always = [(0, Some(0)), (u32::MAX, Some(0))];
    let dated = Sketch { keys: vec![(20_030, 20_120), (20_060, 20_150), (0, 20_180)], version: 3, ..Sketch::new() };
    let newest = [(20_000, Some(2)), (20_180, Some(2)), (20_181, None)];
    let older = Sketch { keys: vec![(20_060, 20_150), (20_030, 20_120)], version: 4, ..Sketch::new() };
    let by_day = [(20_030, Some(1)), (20_031, Some(0)), (20_060, Some(0)), (20_061, None)];
    let eight = Sketch { keys: vec![(20_000, 20_090); 8], name: "node-with_8.keys", ..Sketch::new() };
    let most = Sketch {
        name: "0123456789.abcdefghijklmnopqr-_.",
        version: (1 << 53) - 1,
        created: (1 << 53) - 1,
        ..Sketch::new()
    };
    let least = Sketch { name: "x", created: 0, ..Sketch::new() };
    let mut upper = plain.all(&always);
    upper["text"] = json!(as_text(&plain.make(&|_| {})).to_uppercase());
    vec![
        good("card_plain", "card", "a card with one key without end", plain.all(&always)),
        good("card_upper_case", "card", "a card in upper case throughout", upper),
        good("card_dated_keys", "card", "a card with three keys", dated.all(&newest)),
        good("card_older_key_lasts", "card", "a card whose last key ends before the one before it", older.all(&by_day)),
        good(
            "card_eight_keys",
            "card",
            "as many keys as a card may have",
            eight.all(&[(20_000, Some(7)), (20_001, None)]),
        ),
        good("card_greatest", "card", "the longest name and the greatest numbers", most.all(&always)),
        good("card_least", "card", "the shortest name and the smallest numbers", least.all(&always)),
    ]
}

fn card(name: &str, what: &str, reason: &str, text: String) -> Vector {
    bad(name, "card", what, reason, json!({"text": text}))
}

fn edited(name: &str, what: &str, reason: &str, edit: &dyn Fn(Part)) -> Vector {
    card(name, what, reason, as_text(&Sketch::new().make(edit)))
}

fn texts() -> Vec<Vector> {
    let whole = Sketch::new().make(&|_| {});
    let text = as_text(&whole);
    let typed = |at: usize| {
        let other = if &text[at..=at] == "q" { "p" } else { "q" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let swapped = {
        let at = (20..).find(|&at| text.as_bytes()[at] != text.as_bytes()[at + 1]).expect("two that differ");
        format!("{}{}{}{}", &text[..at], &text[at + 1..at + 2], &text[at..=at], &text[at + 2..])
    };
    let older = bech32::encode::<Bech32>(Hrp::parse_unchecked("mbcard"), &whole).expect("short enough");
    let as_node = bech32::encode::<Bech32m>(Hrp::parse_unchecked("mbn"), &whole).expect("short enough");
    let checksum = "checksum does not match";
    vec![
        card("card_mistyped", "a character mistyped", checksum, typed(50)),
        card("card_mistyped_checksum", "the last character mistyped", checksum, typed(text.len() - 1)),
        card("card_swapped_characters", "two characters exchanged", checksum, swapped),
        card("card_character_lost", "a character lost", checksum, format!("{}{}", &text[..60], &text[61..])),
        card("card_cut", "the end lost", checksum, text[..200].into()),
        card("card_bech32", "the checksum of bech32, not bech32m", checksum, older),
        card("card_mixed_case", "one character in upper case", "mixes", text.replacen('m', "M", 1)),
        card("card_newline", "a newline at the end", "character that cannot be", format!("{text}\n")),
        card("card_space", "a space before it", "does not begin", format!(" {text}")),
        card(
            "card_bad_character",
            "a character that bech32m has not",
            "character that cannot be",
            format!("{}b{}", &text[..60], &text[61..]),
        ),
        card("card_prefix_of_node", "the prefix of a node id", "does not begin", as_node),
        card("card_no_prefix", "the prefix is missing", "does not begin", text[7..].into()),
        card("card_empty", "no text", "does not begin", String::new()),
        card("card_prefix_only", "only the prefix", checksum, "mbcard1".into()),
        card(
            "card_1024_characters",
            "longer than bech32m is good for",
            "longer than 1023",
            format!("mbcard1{}", "q".repeat(1017)),
        ),
        card("card_left_over_bits", "bits that belong to no byte", "belong to nothing", left_over()),
        edited("card_601_bytes", "a card of more than 600 bytes", "more than the 600", &|part| {
            if let Part::Whole(whole) = part {
                whole.resize(601, 0);
            }
        }),
    ]
}

/// A text whose characters hold some bits more than whole bytes, one of these set, under a checksum that fits.
fn left_over() -> String {
    use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
    let mut whole = Sketch::new().make(&|_| {});
    while whole.len() % 5 != 1 {
        whole.push(0);
    }
    let mut symbols: Vec<bech32::Fe32> = whole.iter().copied().bytes_to_fes().collect();
    let last = symbols.pop().expect("symbols").to_u8();
    symbols.push(bech32::Fe32::try_from(last | 1).expect("five bits"));
    let hrp = Hrp::parse_unchecked("mbcard");
    symbols.into_iter().with_checksum::<Bech32m>(&hrp).chars().collect()
}

fn bodies() -> Vec<Vector> {
    let body = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &|part| {
            if let Part::Body(body) = part {
                change(body);
            }
        })
    };
    let key = |name, what, reason, place: usize, value: Value| {
        body(name, what, reason, &|b| match entry(b, "keys") {
            Some(Value::Array(keys)) => match &mut keys[0] {
                Value::Array(key) if place < key.len() => key[place] = value.clone(),
                Value::Array(key) => key.push(value.clone()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
    };
    let count = |count: usize| list((0..count).map(|n| list([int(1), bytes(Sketch::public(n)), int(0), int(0)])));
    vec![
        body("card_no_keys", "no exchange key", "0 exchange keys", &|b| set(b, "keys", list([]))),
        body("card_nine_keys", "a key more than allowed", "9 exchange keys", &|b| set(b, "keys", count(9))),
        key("card_suite_2", "a key of a suite that is not known", "suite 2", 0, int(2)),
        key("card_key_31_bytes", "a key that is too short", "wrong form", 1, bytes([1; 31])),
        key("card_use_until_negative", "a day before 1970", "wrong form", 2, int(-1)),
        key("card_gone_after_2_32", "day 2^32", "wrong form", 3, int(1_i64 << 32)),
        key("card_gone_after_null", "null in the place of no day", "wrong form", 3, Value::Null),
        key("card_key_five_items", "a key with a fifth item", "wrong form", 4, int(0)),
        body("card_call_33_bytes", "a call key that is too long", "wrong form", &|b| set(b, "call", bytes([1; 33]))),
        body("card_missing_call", "no call key", "missing field", &|b| remove(b, "call")),
        body("card_missing_name", "no name", "missing field", &|b| remove(b, "name")),
        body("card_unknown_key", "a key that is not known", "unknown field", &|b| set(b, "email", text("a@b"))),
        body("card_keys_out_of_order", "two keys exchanged", "deterministic", &|b| b.swap(1, 2)),
        edited("card_body_trailing_byte", "a byte behind the body's map", "deterministic", &|part| {
            if let Part::BodyBytes(body) = part {
                body.push(0);
            }
        }),
        edited("card_sig_bit", "a bit of the signature altered", "the card was altered", &|part| {
            if let Part::Sig(sig) = part {
                sig[5] ^= 1;
            }
        }),
        edited("card_name_altered", "the name altered after it was signed", "the card was altered", &|part| {
            if let Part::Whole(whole) = part {
                super::build::replace(whole, b"alice", b"alicf");
            }
        }),
    ]
}

fn names() -> Vec<Vector> {
    let cases = [
        ("card_name_empty", "no name", ""),
        ("card_name_33_characters", "a name that is too long", "abcdefghijklmnopqrstuvwxyz0123456"),
        ("card_name_upper_case", "a name with an upper-case letter", "Alice"),
        ("card_name_begins_with_dash", "a name that looks like an option", "-rf"),
        ("card_name_begins_with_dot", "a name that looks like a hidden file", ".alice"),
        ("card_name_slash", "a name with a slash", "a/b"),
        ("card_name_space", "a name with a space", "a b"),
        ("card_name_accent", "a letter that is not ASCII", "zoé"),
        ("card_name_newline", "a name with a newline", "a\n"),
    ];
    let vector = |(name, what, own): (&str, &str, &'static str)| {
        let sketch = Sketch { name: own, ..Sketch::new() };
        card(name, what, "a node's name has", as_text(&sketch.make(&|_| {})))
    };
    cases.into_iter().map(vector).collect()
}

fn statements_good() -> Vec<Vector> {
    let sketch = Sketch::new();
    let shown = |whole: &[u8], body: &[u8]| {
        json!({
            "statement": hex(whole), "statement_kind": "card", "issuer": hex(node(ALICE).identity_key()),
            "created": sketch.created, "version": sketch.version, "body": hex(body),
        })
    };
    let made = shown(&sketch.make(&|_| {}), &cbor(&Value::Map(sketch.body())));
    let empty = sketch.make(&|part| {
        if let Part::BodyBytes(body) = part {
            body.clear();
        }
    });
    vec![
        good("statement_card", "statement", "a statement that is a card", made),
        good(
            "statement_empty_body",
            "statement",
            "a statement with an empty body, which no card is",
            shown(&empty, &[]),
        ),
    ]
}

fn statements() -> Vec<Vector> {
    let stmt = |name, what, reason, edit: &dyn Fn(Part)| {
        bad(name, "statement", what, reason, json!({"statement": hex(Sketch::new().make(edit))}))
    };
    let value = |name, what, reason, key: &str, value: Value| {
        stmt(name, what, reason, &|part| {
            if let Part::Map(map) = part {
                set(map, key, value.clone());
            }
        })
    };
    let sig = |name, what, change: &dyn Fn(&mut [u8; 64])| {
        stmt(name, what, "signature does not match", &|part| {
            if let Part::Sig(sig) = part {
                change(sig);
            }
        })
    };
    let signed = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        stmt(name, what, reason, &|part| {
            if let Part::Bytes(signed) = part {
                change(signed);
            }
        })
    };
    let whole = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        stmt(name, what, reason, &|part| {
            if let Part::Whole(whole) = part {
                change(whole);
            }
        })
    };
    let pair = |name, what, reason, change: &dyn Fn(&mut Vec<Value>)| {
        stmt(name, what, reason, &|part| {
            if let Part::Pair(pair) = part {
                change(pair);
            }
        })
    };
    vec![
        value("statement_version_format_2", "a format that is not known", "unknown version 2", "v", int(2)),
        value("statement_version_0", "version 0", "version is out of range", "version", int(0)),
        value("statement_version_2_53", "version 2^53", "version is out of range", "version", int(1_i64 << 53)),
        value("statement_created_2_53", "made in 2^53", "creation is out of range", "created", int(1_i64 << 53)),
        value("statement_created_negative", "made before 1970", "wrong form", "created", int(-1)),
        value("statement_kind_unknown", "a kind that is not known", "unknown variant", "kind", text("policy")),
        value(
            "statement_body_map",
            "the body without a byte string around it",
            "wrong form",
            "body",
            Value::Map(vec![]),
        ),
        value("statement_unknown_key", "a key that is not known", "unknown field", "subject", int(1)),
        value("statement_issuer_31_bytes", "an issuer that is too short", "wrong form", "issuer", bytes([1; 31])),
        value(
            "statement_issuer_other",
            "another's name on it",
            "signature does not match",
            "issuer",
            bytes(node(CAROL).identity_key()),
        ),
        value(
            "statement_issuer_no_point",
            "an issuer that is no point of the curve",
            "signature does not match",
            "issuer",
            bytes([2; 32]),
        ),
        sig("statement_sig_bit_r", "a bit of R altered", &|s| s[31] ^= 1),
        sig("statement_sig_bit_s", "a bit of S altered", &|s| s[32] ^= 1),
        sig("statement_sig_s_beyond_order", "S with the order of the group added", &beyond_order),
        sig("statement_sig_other_label", "a signature made for a letter", &|s| {
            *s = node(ALICE).sign(Label::Letter, &[b"any"])
        }),
        signed("statement_trailing_byte", "a signed byte behind the map", "deterministic", &|b| b.push(0)),
        signed("statement_map_indefinite", "a map of indefinite length", "deterministic", &|b| {
            b[0] = 0xbf;
            b.push(0xff);
        }),
        whole("statement_byte_behind", "a byte behind the pair", "deterministic", &|w| w.push(0)),
        whole("statement_cut", "the last byte is missing", "ends in the middle", &|w| {
            w.pop();
        }),
        whole("statement_empty", "nothing", "ends in the middle", &|w| w.clear()),
        pair("statement_unsigned", "no signature", "wrong form", &|p| p.truncate(1)),
        pair("statement_three_items", "a third item", "deterministic", &|p| p.push(int(0))),
        pair("statement_sig_63_bytes", "a signature that is too short", "wrong form", &|p| p[1] = bytes([1; 63])),
        small_order(),
        second_spelling(),
    ]
}

/// An issuer of order 1: R = A and S = 0 fulfil the textbook equation for any message.
fn small_order() -> Vector {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    crafted("statement_issuer_small_order", "an issuer of small order", neutral, neutral)
}

/// The same point with p added to its coordinate.
fn second_spelling() -> Vector {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut spelled = [0xff; 32];
    (spelled[0], spelled[31]) = (0xee, 0x7f);
    crafted("statement_issuer_second_spelling", "an issuer of small order in its second spelling", spelled, neutral)
}

fn crafted(name: &str, what: &str, issuer: [u8; 32], r: [u8; 32]) -> Vector {
    let made = Sketch::new().make(&|part| match part {
        Part::Map(map) => set(map, "issuer", bytes(issuer)),
        Part::Sig(sig) => {
            sig[..32].copy_from_slice(&r);
            sig[32..].fill(0);
        }
        _ => {}
    });
    bad(name, "statement", what, "signature does not match", json!({"statement": hex(made)}))
}
