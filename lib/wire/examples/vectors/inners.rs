//! `inner_…`: what is sealed, and the hop signature.

use ciborium::Value;
use mb_wire::hash::{Label, hash};
use serde_json::json;

use super::build::{
    Map, Vector, bad, beyond_order, bytes, cbor, entry, hex, int, list, map, remove, replace, set, text,
};
use super::draft::{ALICE, CAROL, Draft, Stage, id, node};

pub fn all() -> Vec<Vector> {
    [layouts(), fields(), contents(), hops(), signatures()].into_iter().flatten().collect()
}

fn edited(name: &str, what: &str, reason: &str, edit: &dyn Fn(Stage)) -> Vector {
    bad(name, "envelope", what, reason, Draft::new().make_with(edit).input())
}

fn layouts() -> Vec<Vector> {
    let plain = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &|stage| {
            if let Stage::Plain(plain) = stage {
                change(plain);
            }
        })
    };
    let add = |plain: &mut Vec<u8>, more: i64| {
        let n = u32::from_be_bytes(plain[..4].try_into().expect("four bytes"));
        plain[..4].copy_from_slice(&((i64::from(n) + more) as u32).to_be_bytes());
    };
    let claim = |plain: &mut Vec<u8>, n: u32| plain[..4].copy_from_slice(&n.to_be_bytes());
    vec![
        plain("inner_length_beyond", "n goes a byte beyond the end", "than fits", &|p| {
            claim(p, p.len() as u32 - 3);
        }),
        plain("inner_length_2_32", "n is 2^32 - 1", "than fits", &|p| claim(p, u32::MAX)),
        plain("inner_length_short", "n is a byte too small", "something else than zeros", &|p| add(p, -1)),
        plain("inner_length_0", "n is 0", "instead of 512", &|p| claim(p, 0)),
        plain("inner_length_with_zeros", "n takes a zero of the padding with it", "deterministic", &|p| add(p, 1)),
        plain("inner_padding_last", "the last byte of the padding is not zero", "something else than zeros", &|p| {
            p.last_mut().into_iter().for_each(|last| *last = 1);
        }),
        plain("inner_padding_first", "the first byte of the padding is not zero", "something else than zeros", &|p| {
            let n = u32::from_be_bytes(p[..4].try_into().expect("four bytes")) as usize;
            p[4 + n] = 0x80;
        }),
        plain("inner_class_too_large", "filled up to the class after the right one", "instead of 1024", &|p| {
            p.resize(p.len() + 1024, 0);
        }),
        plain("inner_class_larger_still", "filled up to a Padmé size", "instead of 1024", &|p| {
            p.resize(p.len() + 4352 - 1024, 0);
        }),
    ]
}

fn fields() -> Vec<Vector> {
    let inner = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &|stage| {
            if let Stage::Inner(inner) = stage {
                change(inner);
            }
        })
    };
    let encoded = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &|stage| {
            if let Stage::InnerBytes(inner) = stage {
                change(inner);
            }
        })
    };
    let hops = cbor(&text("hops"));
    let with = |number: &[u8]| [&hops, number].concat();
    vec![
        inner("inner_unknown_key", "a key that is not known", "unknown field", &|m| set(m, "extra", int(1))),
        inner("inner_missing_hops", "no hops", "missing field", &|m| remove(m, "hops")),
        inner("inner_missing_content", "no content", "missing field", &|m| remove(m, "content")),
        inner("inner_key_twice", "a key twice", "duplicate field", &|m| m.push(m[2].clone())),
        inner("inner_keys_out_of_order", "two keys exchanged", "deterministic", &|m| m.swap(1, 2)),
        inner("inner_hops_text", "hops as text", "wrong form", &|m| set(m, "hops", text("16"))),
        inner("inner_from_31_bytes", "a node id that is too short", "wrong form", &|m| set(m, "from", bytes([1; 31]))),
        inner("inner_sig_63_bytes", "a signature that is too short", "wrong form", &|m| set(m, "sig", bytes([1; 63]))),
        encoded("inner_hops_not_shortest", "hops takes a byte more than needed", "deterministic", &|i| {
            replace(i, &with(&[0x10]), &with(&[0x18, 0x10]));
        }),
        encoded("inner_map_indefinite", "a map of indefinite length", "deterministic", &|i| {
            i[0] = 0xbf;
            i.push(0xff);
        }),
        encoded("inner_trailing_byte", "a byte behind the map, counted by n", "deterministic", &|i| i.push(0xf6)),
    ]
}

fn contents() -> Vec<Vector> {
    let content = |name, what, reason, change: &dyn Fn(&mut Value)| {
        edited(name, what, reason, &|stage| {
            if let Stage::Content(content) = stage {
                change(content);
            }
        })
    };
    let entries = |name, what, reason, change: &dyn Fn(&mut Map)| {
        content(name, what, reason, &|content| match content {
            Value::Map(content) => change(content),
            other => panic!("{other:?}"),
        })
    };
    let pair = |name, what, reason, change: &dyn Fn(&mut Vec<Value>)| {
        entries(name, what, reason, &|m| match entry(m, "letter") {
            Some(Value::Array(pair)) => change(pair),
            other => panic!("{other:?}"),
        })
    };
    vec![
        content("inner_content_null", "null in the place of the content", "wrong form", &|c| *c = Value::Null),
        content("inner_content_text", "a name without content", "ends in the middle", &|c| *c = text("letter")),
        entries("inner_content_empty", "no content in the map", "wrong form", &|m| m.clear()),
        entries("inner_content_unknown", "content of a kind that is not known", "unknown variant", &|m| {
            m[0].0 = text("mail");
        }),
        entries("inner_content_two", "two contents", "wrong form", &|m| {
            let (key, value) = map([("routed", int(1))]).remove(0);
            m.push((key, value));
        }),
        pair("inner_letter_unsigned", "a letter without signature", "wrong form", &|p| p.truncate(1)),
        pair("inner_letter_three_items", "a letter with a third item", "deterministic", &|p| p.push(int(0))),
        pair("inner_letter_sig_65_bytes", "a letter signature that is too long", "wrong form", &|p| {
            p[1] = bytes([1; 65])
        }),
        pair("inner_letter_map", "the letter's map without a byte string around it", "wrong form", &|p| {
            p[0] = Value::Map(map([("v", int(1))]));
        }),
        pair("inner_letter_list", "bytes of the letter as a list of numbers", "wrong form", &|p| {
            let Value::Bytes(signed) = &p[0] else { return };
            p[0] = list(signed.iter().map(|&byte| int(byte)));
        }),
    ]
}

fn hops() -> Vec<Vector> {
    let vector = |(name, what, hops): (&str, &str, u8)| {
        let mut draft = Draft::new();
        draft.hops = hops;
        bad(name, "envelope", what, "hops left", draft.make().input())
    };
    let cases = [
        ("inner_hops_0", "no hop left", 0),
        ("inner_hops_17", "a hop more than allowed", 17),
        ("inner_hops_255", "255 hops", 255),
    ];
    cases.into_iter().map(vector).collect()
}

fn signatures() -> Vec<Vector> {
    let hop = |name, what, place: usize, part: Vec<u8>| {
        edited(name, what, "signature does not match", &|stage| {
            if let Stage::Hop(parts) = stage {
                parts[place] = part.clone();
            }
        })
    };
    let sig = |name, what, change: &dyn Fn(&mut [u8; 64])| {
        edited(name, what, "signature does not match", &|stage| {
            if let Stage::HopSig(sig) = stage {
                change(sig);
            }
        })
    };
    let other = || hash(Label::Hop, &[b"other"]).to_vec();
    vec![
        hop("inner_sig_other_prefix", "the signature is over another prefix", 0, other()),
        hop("inner_sig_other_from", "the signature is over another neighbour", 1, id(CAROL).as_bytes().to_vec()),
        hop("inner_sig_other_to", "the signature is over another reader", 2, id(ALICE).as_bytes().to_vec()),
        hop("inner_sig_other_hops", "the signature is over fewer hops", 3, vec![15]),
        hop("inner_sig_other_content", "the signature is over another content", 4, other()),
        sig("inner_sig_bit_r", "a bit of R altered", &|s| s[0] ^= 1),
        sig("inner_sig_bit_s", "a bit of S altered", &|s| s[32] ^= 1),
        sig("inner_sig_s_beyond_order", "S with the order of the group added", &beyond_order),
        sig("inner_sig_zeros", "a signature of zeros", &|s| s.fill(0)),
        sig("inner_sig_other_label", "a signature made for a statement", &|s| {
            *s = node(ALICE).sign(Label::Stmt, &[b"anything"]);
        }),
        forged(),
        small_order(),
    ]
}

/// Carol's name on what alice signed.
fn forged() -> Vector {
    let mut draft = Draft::new();
    draft.sender_key = Some(node(CAROL).identity_key());
    let edit = |stage: Stage| {
        if let Stage::Inner(inner) = stage {
            set(inner, "from", bytes(id(CAROL).as_bytes()));
        }
    };
    let input = draft.make_with(&edit).input();
    bad("inner_from_forged", "envelope", "alice claims that carol handed it over", "signature does not match", input)
}

/// An identity key of order 1: R = A and S = 0 fulfil the textbook equation for any message.
fn small_order() -> Vector {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let from = mb_wire::id::NodeId::of(&neutral);
    let edit = |stage: Stage| match stage {
        Stage::Hop(parts) => parts[1] = from.as_bytes().to_vec(),
        Stage::HopSig(sig) => {
            sig.fill(0);
            sig[0] = 1;
        }
        Stage::Inner(inner) => set(inner, "from", bytes(from.as_bytes())),
        _ => {}
    };
    let mut input = Draft::new().make_with(&edit).input();
    input["sender"] = json!(hex(neutral));
    bad(
        "inner_sender_small_order",
        "envelope",
        "a neighbour with a key of small order",
        "signature does not match",
        input,
    )
}
