//! `areacard_…` and `areasecret_…`: what is told of an area (format.md, sections 8 and 14), and the ids and labels.

use bech32::{Bech32m, Hrp};
use ciborium::Value;
use ed25519_dalek::SigningKey;
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{AreaId, MsgHash};
use mb_wire::key::ExchangeSecret;
use serde_json::{Value as Json, json};

use super::build::{Map, Vector, bad, bytes, cbor, good, hex, inside, int, list, map, remove, replace, set, text};
use super::draft::{ALICE, CAROL, id, node};
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    [cards(), cards_bad(), ids(), labels(), secrets(), secrets_bad()].into_iter().flatten().collect()
}

/// Private halves of the area's keys.
pub const POST: [u8; 32] = [0x90; 32];
pub const READ: [u8; 32] = [0x91; 32];

/// An area.
#[derive(Clone)]
pub struct Area {
    pub owner: u8,
    pub mode: &'static str,
    pub name: &'static str,
    pub salt: [u8; 16],
    pub created: u64,
}

impl Area {
    /// Of carol's; who has the key may write.
    pub fn new() -> Area {
        Area { owner: CAROL, mode: "open", name: "news", salt: [0x5b; 16], created: 1_700_000_000 }
    }

    /// One in which only its owner may write.
    pub fn log(owner: u8) -> Area {
        Area { owner, mode: "log", ..Area::new() }
    }

    /// One in which those may write whom its settings name.
    pub fn moderated() -> Area {
        Area { mode: "moderated", name: "board", ..Area::new() }
    }

    pub fn is_moderated(&self) -> bool {
        self.mode == "moderated"
    }

    pub fn id(&self) -> AreaId {
        AreaId::of(&node(self.owner).identity_key(), &self.salt)
    }

    pub fn body(&self) -> Map {
        let mut body = map([("mode", text(self.mode)), ("name", text(self.name)), ("salt", bytes(self.salt))]);
        if !self.is_moderated() {
            set(&mut body, "post", bytes(post_public(&POST)));
            set(&mut body, "read", bytes(ExchangeSecret::from_random(READ).public()));
        }
        body
    }

    pub fn card(&self, edit: &dyn Fn(Part)) -> Vec<u8> {
        let (created, body) = (self.created, self.body());
        Stated { kind: "area", issuer: self.owner, created, version: 1, body }.make_with(edit)
    }

    pub fn card_text(&self) -> String {
        bech("mbcard", &self.card(&|_| {}))
    }

    pub fn json(&self) -> Json {
        let mut fields = json!({
            "text": self.card_text(),
            "bytes": hex(self.card(&|_| {})),
            "id": self.id().to_string(),
            "owner": id(self.owner).to_string(),
            "mode": self.mode,
            "name": self.name,
            "salt": hex(self.salt),
            "created": self.created,
            "seed": hex([self.owner; 32]),
        });
        if !self.is_moderated() {
            fields["post"] = json!(hex(post_public(&POST)));
            fields["read"] = json!(hex(ExchangeSecret::from_random(READ).public()));
        }
        fields
    }
}

pub fn bech(prefix: &str, content: &[u8]) -> String {
    bech32::encode::<Bech32m>(Hrp::parse_unchecked(prefix), content).expect("short enough")
}

pub fn post_public(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// The card of a node that writes.
pub fn author_card(author: u8) -> Vec<u8> {
    let key = list([int(1), bytes(ExchangeSecret::from_random([1; 32]).public()), int(0), int(0)]);
    let body = map([("call", bytes(node(author).call_public())), ("keys", list([key])), ("name", text("writer"))]);
    Stated { kind: "card", issuer: author, created: 1_700_000_000, version: 1, body }.make()
}

fn cards() -> Vec<Vector> {
    let least = Area { name: "0", created: 0, ..Area::new() };
    let name = "0123456789.abcdefghijklmnopqr-_.";
    let most = Area { name, created: (1 << 53) - 1, ..Area::log(ALICE) };
    let mut upper = Area::new().json();
    upper["text"] = json!(Area::new().card_text().to_uppercase());
    let statement = json!({
        "statement": hex(Area::new().card(&|_| {})), "statement_kind": "area",
        "issuer": hex(node(CAROL).identity_key()), "created": 1_700_000_000, "version": 1,
        "body": hex(cbor(&Value::Map(Area::new().body()))),
    });
    vec![
        good("areacard_open", "areacard", "the card of an area in which who has the key may write", Area::new().json()),
        good("areacard_log", "areacard", "the card of an area in which its owner writes", Area::log(ALICE).json()),
        good("areacard_least", "areacard", "the shortest name and the earliest time", least.json()),
        good("areacard_greatest", "areacard", "the longest name and the latest time", most.json()),
        good("areacard_upper_case", "areacard", "an area's card in upper case throughout", upper),
        good("statement_area", "statement", "a statement that is an area's card", statement),
    ]
}

fn cards_bad() -> Vec<Vector> {
    let card = |name, what, reason, text: String| bad(name, "areacard", what, reason, json!({"text": text}));
    let edited =
        |name, what, reason, edit: &dyn Fn(Part)| card(name, what, reason, bech("mbcard", &Area::new().card(edit)));
    let body = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &|part| {
            if let Part::Body(body) = part {
                change(body);
            }
        })
    };
    let statement = |name, what, reason, key: &str, value: Value| {
        edited(name, what, reason, &|part| {
            if let Part::Map(map) = part {
                set(map, key, value.clone());
            }
        })
    };
    let whole = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &|part| {
            if let Part::Whole(whole) = part {
                change(whole);
            }
        })
    };
    let area_name = |name, what, own: &str| body(name, what, "an area's name has", &|b| set(b, "name", text(own)));
    let plain = Area::new().card_text();
    vec![
        card("areacard_mistyped", "the last character mistyped", "checksum", mistyped(&plain)),
        card(
            "areacard_secret",
            "a card under the prefix of a secret",
            "does not begin",
            bech("mbsecret", &Area::new().card(&|_| {})),
        ),
        card("areacard_of_a_node", "the card of a node", "not an area's card", bech("mbcard", &author_card(ALICE))),
        bad("card_of_an_area", "card", "the card of an area", "not a card", json!({"text": plain})),
        statement(
            "areacard_as_card",
            "an area's card that calls itself a node's",
            "not an area's card",
            "kind",
            text("card"),
        ),
        statement(
            "areacard_version_2",
            "a second version, which no area has",
            "version is out of range",
            "version",
            int(2),
        ),
        statement(
            "areacard_issuer_other",
            "another owner's name on it",
            "signature does not match",
            "issuer",
            bytes(node(ALICE).identity_key()),
        ),
        body("areacard_mode_unknown", "a mode that is not known", "unknown variant", &|b| set(b, "mode", text("shut"))),
        body("areacard_mode_upper_case", "a mode in upper case", "unknown variant", &|b| set(b, "mode", text("Open"))),
        body("areacard_missing_mode", "no mode", "missing field", &|b| remove(b, "mode")),
        body("areacard_missing_salt", "no salt", "missing field", &|b| remove(b, "salt")),
        body("areacard_post_31_bytes", "a post key that is too short", "wrong form", &|b| {
            set(b, "post", bytes([1; 31]))
        }),
        body("areacard_read_33_bytes", "a read key that is too long", "wrong form", &|b| {
            set(b, "read", bytes([1; 33]))
        }),
        body("areacard_read_null", "null in the place of a read key", "deterministic", &|b| {
            set(b, "read", Value::Null)
        }),
        body("areacard_salt_15_bytes", "a salt that is too short", "wrong form", &|b| set(b, "salt", bytes([1; 15]))),
        body("areacard_unknown_key", "a key that is not known", "unknown field", &|b| set(b, "email", text("a@b"))),
        body("areacard_keys_out_of_order", "two keys exchanged", "deterministic", &|b| b.swap(2, 3)),
        area_name("areacard_name_empty", "no name", ""),
        area_name("areacard_name_33_characters", "a name that is too long", "abcdefghijklmnopqrstuvwxyz0123456"),
        area_name("areacard_name_begins_with_dot", "a name that looks like a hidden file", ".news"),
        area_name("areacard_name_upper_case", "a name with an upper-case letter", "News"),
        edited("areacard_sig_bit", "a bit of the signature altered", "signature does not match", &|part| {
            if let Part::Sig(sig) = part {
                sig[5] ^= 1;
            }
        }),
        whole("areacard_name_altered", "the name altered after it was signed", "signature does not match", &|w| {
            replace(w, b"news", b"newt")
        }),
        whole("areacard_601_bytes", "a card of more than 600 bytes", "more than allowed", &|w| w.resize(601, 0)),
    ]
}

fn mistyped(text: &str) -> String {
    let last = if text.ends_with('q') { 'p' } else { 'q' };
    format!("{}{last}", &text[..text.len() - 1])
}

fn ids() -> Vec<Vector> {
    let fields = |kind: &str, text: &str| json!({"type": kind, "text": text});
    let of = |name, what, kind, text: &str, bytes: &[u8]| {
        let mut shown = fields(kind, text);
        shown["bytes"] = json!(hex(bytes));
        good(name, "id", what, shown)
    };
    let pattern: [u8; 32] = std::array::from_fn(|i| i as u8 * 8 + 7);
    let area = AreaId::from_bytes(pattern).to_string();
    let message = MsgHash::from_bytes(pattern).to_string();
    vec![
        of("id_area", "an area id", "area", &area, &pattern),
        of("id_area_upper_case", "an area id in upper case", "area", &area.to_uppercase(), &pattern),
        of("id_message", "a MsgHash", "message", &message, &pattern),
        bad("id_area_mistyped", "id", "the last character mistyped", "checksum", fields("area", &mistyped(&area))),
        bad("id_area_of_node", "id", "the prefix of a node", "does not begin", fields("area", &id(ALICE).to_string())),
        bad("id_node_of_area", "id", "the prefix of an area", "does not begin", fields("node", &area)),
        bad(
            "id_area_31_bytes",
            "id",
            "too short, with a checksum that fits",
            "31 bytes instead of 32",
            fields("area", &bech("mba", &[1; 31])),
        ),
        bad(
            "id_message_upper_case",
            "id",
            "base32 in upper case",
            "is not base32",
            fields("message", &message.to_uppercase()),
        ),
    ]
}

fn labels() -> Vec<Vector> {
    let key = [0x11; 32];
    let table = [Label::Area, Label::Head, Label::Msg, Label::Post].into_iter().flat_map(|label| {
        let input = b"mailbag";
        [
            json!({"label": label.as_str(), "key": null, "input": hex(input), "digest": hex(hash(label, &[input]))}),
            json!({"label": label.as_str(), "key": hex(key), "input": "", "digest": hex(keyed(&key, label, &[]))}),
        ]
    });
    let hashes = json!({"hashes": table.collect::<Vec<_>>()});
    vec![good("hash_labels_area", "hash", "the labels of areas, with and without a key", hashes)]
}

/// What `mbsecret1…` holds.
fn secret_map(post: Option<[u8; 32]>, read: Option<[u8; 32]>) -> Map {
    secret_of(&Area::new(), post, read)
}

/// The same of any area.
pub fn secret_of(area: &Area, post: Option<[u8; 32]>, read: Option<[u8; 32]>) -> Map {
    let mut area = map([("card", bytes(area.card(&|_| {})))]);
    post.iter().for_each(|key| set(&mut area, "post", bytes(key)));
    read.iter().for_each(|key| set(&mut area, "read", bytes(key)));
    map([("area", Value::Map(area))])
}

pub fn secret_text(map: Map) -> String {
    bech("mbsecret", &cbor(&Value::Map(map)))
}

fn secrets() -> Vec<Vector> {
    let of = |name, what, post: Option<[u8; 32]>, read: Option<[u8; 32]>, upper: bool| {
        let text = secret_text(secret_map(post, read));
        let text = if upper { text.to_uppercase() } else { text };
        let (card, area) = (hex(Area::new().card(&|_| {})), Area::new().id().to_string());
        let mut fields = json!({"secret": text, "card": card, "id": area});
        post.iter().for_each(|key| fields["post"] = json!(hex(key)));
        read.iter().for_each(|key| fields["read"] = json!(hex(key)));
        good(name, "areasecret", what, fields)
    };
    vec![
        of("areasecret_both", "to write and to read", Some(POST), Some(READ), false),
        of("areasecret_post", "to write", Some(POST), None, false),
        of("areasecret_read", "to read", None, Some(READ), false),
        of("areasecret_upper_case", "a secret in upper case throughout", Some(POST), Some(READ), true),
    ]
}

fn secrets_bad() -> Vec<Vector> {
    let text = |name, what, reason, secret: String| bad(name, "areasecret", what, reason, json!({"secret": secret}));
    let of = |name, what, reason, post, read| text(name, what, reason, secret_text(secret_map(post, read)));
    let edited = |name, what, change: &dyn Fn(&mut Map)| {
        let mut map = secret_map(Some(POST), Some(READ));
        change(&mut map);
        text(name, what, "not the secret of an area", secret_text(map))
    };
    let carded = |name, what, reason, card: Vec<u8>| {
        let mut map = secret_map(Some(POST), Some(READ));
        set(inside(&mut map, "area"), "card", bytes(card));
        text(name, what, reason, secret_text(map))
    };
    let halves = "does not belong";
    let mut trailing = cbor(&Value::Map(secret_map(Some(POST), None)));
    trailing.push(0);
    let mut altered = Area::new().card(&|_| {});
    replace(&mut altered, b"news", b"newt");
    vec![
        of("areasecret_no_keys", "neither to write nor to read", "without keys", None, None),
        of("areasecret_other_post", "the post key of another area", halves, Some([1; 32]), Some(READ)),
        of("areasecret_other_read", "the read key of another area", halves, Some(POST), Some([1; 32])),
        of("areasecret_exchanged", "the two keys exchanged", halves, Some(READ), Some(POST)),
        carded("areasecret_card_altered", "the card in it altered", "signature does not match", altered),
        carded("areasecret_card_of_node", "the card of a node in it", "not an area's card", author_card(CAROL)),
        carded("areasecret_card_empty", "no card in it", "ends in the middle", vec![]),
        edited("areasecret_missing_card", "no key for the card", &|m| remove(inside(m, "area"), "card")),
        edited("areasecret_unknown_key", "a key that is not known", &|m| {
            set(inside(m, "area"), "name", bytes(b"news"))
        }),
        edited("areasecret_two", "the seed of a node beside it", &|m| set(m, "node", bytes([1; 32]))),
        edited("areasecret_post_31_bytes", "a post key that is too short", &|m| {
            set(inside(m, "area"), "post", bytes([1; 31]))
        }),
        edited("areasecret_read_null", "null in the place of no read key", &|m| {
            set(inside(m, "area"), "read", Value::Null)
        }),
        edited("areasecret_keys_out_of_order", "two keys exchanged in their order", &|m| inside(m, "area").swap(1, 2)),
        text(
            "areasecret_node",
            "the seed of a node",
            "not the secret of an area",
            secret_text(map([("node", bytes([1; 32]))])),
        ),
        bad(
            "nodekey_area",
            "nodekey",
            "the secret of an area",
            "unknown field",
            json!({"secret": secret_text(secret_map(Some(POST), Some(READ)))}),
        ),
        text(
            "areasecret_trailing_byte",
            "a byte behind the map",
            "not the secret of an area",
            bech("mbsecret", &trailing),
        ),
        text(
            "areasecret_mistyped",
            "the last character mistyped",
            "checksum",
            mistyped(&secret_text(secret_map(Some(POST), None))),
        ),
        text("areasecret_card", "a card alone", "does not begin", Area::new().card_text()),
    ]
}
