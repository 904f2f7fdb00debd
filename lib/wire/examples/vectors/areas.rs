//! `areacard_…`, `areasecret_…` and `area_…`: format.md, section 14, by hand, and in it each place where a vector can do it wrong.

use bech32::{Bech32m, Hrp};
use ciborium::Value;
use curve25519_dalek::Scalar;
use ed25519_dalek::{Signer, SigningKey};
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{AreaId, LetterId, MsgHash};
use mb_wire::key::ExchangeSecret;
use mb_wire::letter::{Letter, Posted, Reader};
use mb_wire::size::class;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha512};

use super::build::{
    Map, Vector, aead_seal, bad, beyond_order, bytes, cbor, entry, good, hex, inside, int, list, map, remove, replace,
    set, text,
};
use super::draft::{
    ALICE, BOB, CAROL, Carried, Draft, Stage, exec, extract, id, listed, node, request, schedule_parts,
};
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    [
        cards(),
        cards_bad(),
        ids(),
        labels(),
        secrets(),
        secrets_bad(),
        goods(),
        judged(),
        items(),
        heads(),
        seals(),
        letters(),
        posts(),
        around(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Private halves of the area's keys.
const POST: [u8; 32] = [0x90; 32];
const READ: [u8; 32] = [0x91; 32];

/// An area.
#[derive(Clone)]
struct Area {
    owner: u8,
    mode: &'static str,
    name: &'static str,
    salt: [u8; 16],
    created: u64,
}

impl Area {
    /// Of carol's; who has the key may write.
    fn new() -> Area {
        Area { owner: CAROL, mode: "open", name: "news", salt: [0x5b; 16], created: 1_700_000_000 }
    }

    /// One in which only its owner may write.
    fn log(owner: u8) -> Area {
        Area { owner, mode: "log", ..Area::new() }
    }

    fn id(&self) -> AreaId {
        AreaId::of(&node(self.owner).identity_key(), &self.salt)
    }

    fn body(&self) -> Map {
        map([
            ("mode", text(self.mode)),
            ("name", text(self.name)),
            ("post", bytes(post_public(&POST))),
            ("read", bytes(ExchangeSecret::from_random(READ).public())),
            ("salt", bytes(self.salt)),
        ])
    }

    fn card(&self, edit: &dyn Fn(Part)) -> Vec<u8> {
        let (created, body) = (self.created, self.body());
        Stated { kind: "area", issuer: self.owner, created, version: 1, body }.make_with(edit)
    }

    fn card_text(&self) -> String {
        bech("mbcard", &self.card(&|_| {}))
    }

    fn json(&self) -> Json {
        json!({
            "text": self.card_text(),
            "bytes": hex(self.card(&|_| {})),
            "id": self.id().to_string(),
            "owner": id(self.owner).to_string(),
            "mode": self.mode,
            "name": self.name,
            "post": hex(post_public(&POST)),
            "read": hex(ExchangeSecret::from_random(READ).public()),
            "salt": hex(self.salt),
            "created": self.created,
            "seed": hex([self.owner; 32]),
        })
    }
}

fn bech(prefix: &str, content: &[u8]) -> String {
    bech32::encode::<Bech32m>(Hrp::parse_unchecked(prefix), content).expect("short enough")
}

fn post_public(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// The card of a node that writes.
fn author_card(author: u8) -> Vec<u8> {
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
        body("areacard_read_null", "null in the place of a read key", "wrong form", &|b| set(b, "read", Value::Null)),
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
    let mut area = map([("card", bytes(Area::new().card(&|_| {})))]);
    post.iter().for_each(|key| set(&mut area, "post", bytes(key)));
    read.iter().for_each(|key| set(&mut area, "read", bytes(key)));
    map([("area", Value::Map(area))])
}

fn secret_text(map: Map) -> String {
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

/// What can be changed of a message, in the order in which it comes up. All that follows is made from the changed one.
enum At<'a> {
    Share(&'a mut [u8; 32]),
    /// As [`Stage::Schedule`].
    Schedule(&'a mut [Vec<u8>; 6]),
    Head(&'a mut Map),
    HeadBytes(&'a mut Vec<u8>),
    /// The letter in it.
    Letter(&'a mut Letter),
    /// Its map, and the signature over that.
    Stage(Stage<'a>),
    Plain(&'a mut Vec<u8>),
    Associated(&'a mut Vec<u8>),
    Sealed(&'a mut Vec<u8>),
    Sig(&'a mut [u8; 64]),
    Items(&'a mut Vec<Value>),
}

/// What is posted.
#[derive(Clone)]
struct Post {
    area: Area,
    /// As [`Draft::letter`], in its envelope.
    draft: Draft,
    re: Option<MsgHash>,
    salt: [u8; 32],
}

/// A message as it lies in an envelope.
#[derive(Clone)]
pub struct Message {
    pub value: Value,
    letter: (LetterId, Letter),
    shown: Json,
    card: String,
    salt: [u8; 32],
}

impl Message {
    /// What a reader is given, besides the envelope.
    pub fn input(&self) -> Json {
        json!({"area_card": self.card, "area_read": hex(READ)})
    }

    /// What comes out, and what a writer needs.
    pub fn all(&self, author: u8) -> Json {
        json!({
            "area": self.shown, "letter": super::draft::letter(self.letter.0, &self.letter.1), "area_post": hex(POST),
            "area_salt": hex(self.salt), "author_seed": hex([author; 32]),
        })
    }
}

impl Post {
    fn new() -> Post {
        Post { area: Area::new(), draft: Draft::new(), re: None, salt: [0x66; 32] }
    }

    /// Its letter made otherwise.
    fn of(draft: Draft) -> Post {
        Post { draft, ..Post::new() }
    }

    fn in_area(area: Area) -> Post {
        Post { area, ..Post::new() }
    }

    fn make(&self) -> Draft {
        self.make_with(&|_| {})
    }

    /// The envelope that holds it, with one thing done wrong in it.
    fn make_with(&self, edit: &dyn Fn(At)) -> Draft {
        let lens = 4_u64.to_be_bytes();
        let coins =
            keyed(&keyed(&[self.draft.author; 32], Label::Coin, &[]), Label::Coins, &[&lens, b"area", &self.salt]);
        let secret = x25519_dalek::StaticSecret::from(coins);
        let mut share = x25519_dalek::PublicKey::from(&secret).to_bytes();
        edit(At::Share(&mut share));
        let read = ExchangeSecret::from_random(READ).public();
        let z = x25519_dalek::StaticSecret::from(READ).diffie_hellman(&share.into()).to_bytes();
        let mut parts = schedule_parts("area", &share, &read, self.area.id().as_bytes(), &z);
        edit(At::Schedule(&mut parts));
        let x = extract(&parts);
        let bodies = &self.draft.letter.bodies;
        let mut head_map = map([
            ("v", int(1)),
            ("end", int(self.draft.letter.end)),
            ("area", bytes(self.area.id().as_bytes())),
            ("post", bytes(post_public(&POST))),
            ("share", bytes(share)),
            ("suite", int(1)),
            ("bodies", list(bodies.iter().map(|b| list([bytes(b.root.as_bytes()), int(b.size)])))),
            ("commit", bytes(keyed(&x, Label::Commit, &[]))),
        ]);
        edit(At::Head(&mut head_map));
        let mut head = cbor(&Value::Map(head_map.clone()));
        edit(At::HeadBytes(&mut head));
        let mut inside = self.draft.clone();
        let card = author_card(self.draft.author);
        let posted = Posted { area: self.area.id(), re: self.re, card, head: hash(Label::Head, &[&head]) };
        inside.letter.to = Reader::Area(Box::new(posted));
        edit(At::Letter(&mut inside.letter));
        let (letter, letter_id) = inside.signed_letter(&|stage| edit(At::Stage(stage)));
        let letter = cbor(&letter);
        let mut plain = [&(letter.len() as u32).to_be_bytes(), letter.as_slice()].concat();
        plain.resize(class((head.len() + plain.len() + 16) as u64) as usize - head.len() - 16, 0);
        edit(At::Plain(&mut plain));
        let mut associated = head.clone();
        edit(At::Associated(&mut associated));
        let mut sealed = aead_seal(&keyed(&x, Label::Key, &[]), [0; 12], &associated, &plain);
        edit(At::Sealed(&mut sealed));
        let name = name(&head, &sealed);
        let mut sig = sign(&POST, Label::Post, name.as_bytes());
        edit(At::Sig(&mut sig));
        let mut items = vec![bytes(&head), bytes(&sealed), bytes(sig)];
        edit(At::Items(&mut items));
        let shown = json!({"hash": name.to_string(), "head": shown(&head_map)});
        let message = Message {
            value: list(items),
            letter: (letter_id, inside.letter),
            shown,
            card: self.area.card_text(),
            salt: self.salt,
        };
        Draft { carried: Carried::Area(Box::new(message)), ..self.draft.clone() }
    }
}

fn name(head: &[u8], sealed: &[u8]) -> MsgHash {
    MsgHash::from_bytes(hash(Label::Msg, &[&(head.len() as u64).to_be_bytes(), head, sealed]))
}

fn sign(key: &[u8; 32], label: Label, signed: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(key).sign(&[&label.padded()[..], signed].concat()).to_bytes()
}

/// A second signature that holds, with another nonce (RFC 8032, 5.1.6, with any r).
fn sign_otherwise(name: &MsgHash) -> [u8; 64] {
    let (key, nonce) = (SigningKey::from_bytes(&POST), SigningKey::from_bytes(&[0x99; 32]));
    let (a, r) = (key.verifying_key().to_bytes(), nonce.verifying_key().to_bytes());
    let digest = [&r[..], &a, &Label::Post.padded(), name.as_bytes()].iter().fold(Sha512::new(), Sha512::chain_update);
    let k = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
    let s = nonce.to_scalar() + k * key.to_scalar();
    let mut sig = [0; 64];
    sig[..32].copy_from_slice(&r);
    sig[32..].copy_from_slice(&s.to_bytes());
    sig
}

/// The fields of a head.
fn shown(head: &Map) -> Json {
    let value = |key: &str| head.iter().find(|(other, _)| *other == text(key)).map(|(_, value)| value.clone());
    let part = |key: &str| value(key).and_then(|value| value.into_bytes().ok()).unwrap_or_default();
    let number =
        |value: Option<Value>| value.and_then(|value| value.as_integer()).map(i128::from).unwrap_or_default() as u64;
    let bodies = value("bodies").and_then(|bodies| bodies.into_array().ok()).unwrap_or_default();
    let body = |body: Value| {
        let items = body.into_array().unwrap_or_default();
        let root: Vec<u8> = items[0].as_bytes().cloned().unwrap_or_default();
        let root = mb_wire::id::Root::from_bytes(root.try_into().unwrap_or_default());
        json!({"root": root.to_string(), "size": number(items.get(1).cloned())})
    };
    json!({
        "end": number(value("end")), "area": AreaId::from_bytes(part("area").try_into().unwrap_or_default()).to_string(),
        "post": hex(part("post")), "share": hex(part("share")), "suite": number(value("suite")), "commit": hex(part("commit")),
        "bodies": bodies.into_iter().map(body).collect::<Vec<_>>(),
    })
}

/// What only a writer needs, taken out: the case is not what a writer makes.
fn as_read(mut fields: Json) -> Json {
    for writer_only in ["coins", "sender_seed", "author_seed", "area_post", "area_salt"] {
        fields.as_object_mut().expect("an object").remove(writer_only);
    }
    fields
}

fn goods() -> Vec<Vector> {
    let with = |change: &dyn Fn(&mut Post)| {
        let mut post = Post::new();
        change(&mut post);
        post
    };
    let cases = [
        ("area_inline", "a small file for an area", Post::new()),
        (
            "area_bodies",
            "a file for an area in two bodies",
            Post::of(Draft::with_bodies(vec![listed(1, 5), listed(2, 100_000)])),
        ),
        ("area_re", "a message that answers another", with(&|p| p.re = Some(MsgHash::from_bytes([0x2e; 32])))),
        (
            "area_exec",
            "something for a command of the area's readers",
            Post::of(Draft::of(exec("print", &[b"-a4"]), b"in")),
        ),
        ("area_log", "a message in an area in which its owner writes", Post::in_area(Area::log(ALICE))),
        (
            "area_padme",
            "a message of a Padmé size",
            with(&|p| p.draft.letter.inline = Some(super::envelopes::pattern(5_000))),
        ),
        ("area_ends_earlier", "the envelope ends before the message", with(&|p| p.draft.end = 20_000)),
        ("area_from_a_relay", "handed over by another than the author", with(&|p| p.draft.sender = CAROL)),
        ("area_hops_1", "a hops that no node writes here, and no reader minds", with(&|p| p.draft.hops = 1)),
    ];
    let made = |(name, what, post): (&str, &str, Post)| good(name, "envelope", what, post.make().make().all());
    let mut out: Vec<_> = cases.into_iter().map(made).collect();
    let signed_again = Post::new().make_with(&|at| {
        if let At::Items(items) = at {
            let parts: Vec<&[u8]> = items.iter().map(|item| &item.as_bytes().expect("bytes")[..]).collect();
            items[2] = bytes(sign_otherwise(&name(parts[0], parts[1])));
        }
    });
    let earlier = with(&|p| p.draft.end = 20_000).make_with(&|at| {
        if let At::Head(head) = at {
            set(head, "end", int(20_050));
        }
    });
    let mut relay = Post::new().make().make().all();
    relay.as_object_mut().expect("an object").remove("letter");
    relay.as_object_mut().expect("an object").remove("area_read");
    // Not for a relay to see: made by somebody who has the post key, and nothing else.
    let unreadable = Post::new().make_with(&|at| {
        if let At::Sealed(sealed) = at {
            sealed.fill(0);
        }
    });
    let mut unreadable = as_read(unreadable.make().all());
    unreadable.as_object_mut().expect("an object").remove("letter");
    unreadable.as_object_mut().expect("an object").remove("area_read");
    out.extend([
        good(
            "area_signed_again",
            "envelope",
            "signed a second time by whoever has the key, with the same hash",
            as_read(signed_again.make().all()),
        ),
        good("area_head_ends_earlier", "envelope", "the head ends before the letter", as_read(earlier.make().all())),
        good("area_for_a_relay", "envelope", "a message for a reader who has only the card", as_read(relay)),
        good(
            "area_unreadable",
            "envelope",
            "zeros where the letter should be, which who has only the card passes on",
            unreadable,
        ),
    ]);
    out
}

fn edited(name: &str, what: &str, reason: &str, post: &Post, edit: &dyn Fn(At)) -> Vector {
    bad(name, "envelope", what, reason, post.make_with(edit).make().input())
}

/// What who has the card alone refuses.
fn judged() -> Vec<Vector> {
    let (match_not, other_key) = ("signed with the post key that it names", "another post key than the card's");
    let sig = |name, what, change: &dyn Fn(&mut [u8; 64])| {
        edited(name, what, match_not, &Post::new(), &|at| {
            if let At::Sig(sig) = at {
                change(sig);
            }
        })
    };
    let resigned = |name, what, sign: &dyn Fn(&[u8], &[u8]) -> [u8; 64]| {
        edited(name, what, match_not, &Post::new(), &|at| {
            if let At::Items(items) = at {
                let parts: Vec<Vec<u8>> = items.iter().map(|item| item.as_bytes().expect("bytes").clone()).collect();
                items[2] = bytes(sign(&parts[0], &parts[1]));
            }
        })
    };
    let sealed = |name, what, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, match_not, &Post::new(), &|at| {
            if let At::Items(items) = at {
                let mut sealed = items[1].as_bytes().expect("bytes").clone();
                change(&mut sealed);
                items[1] = bytes(sealed);
            }
        })
    };
    let mut other_area = Post::new().make().make().input();
    other_area["area_card"] = json!(Area { salt: [0x5c; 16], ..Area::new() }.card_text());
    vec![
        sig("area_sig_bit_r", "a bit of R altered", &|s| s[0] ^= 1),
        sig("area_sig_bit_s", "a bit of S altered", &|s| s[40] ^= 0x10),
        sig("area_sig_s_beyond_order", "S with the order of the group added", &beyond_order),
        resigned("area_sig_other_label", "a signature made for a letter", &|head, sealed| {
            sign(&POST, Label::Letter, name(head, sealed).as_bytes())
        }),
        resigned("area_sig_other_key", "signed with another key than the head names", &|head, sealed| {
            sign(&[0x77; 32], Label::Post, name(head, sealed).as_bytes())
        }),
        resigned("area_sig_over_head", "a signature over the head alone", &|head, _| sign(&POST, Label::Post, head)),
        resigned("area_hash_without_length", "a hash without the length of the head", &|head, sealed| {
            sign(&POST, Label::Post, &hash(Label::Msg, &[head, sealed]))
        }),
        sealed("area_sealed_bit", "a bit of what is sealed altered", &|sealed| sealed[7] ^= 1),
        sealed("area_sealed_last_bit", "the last bit altered", &|sealed| *sealed.last_mut().expect("bytes") ^= 1),
        edited(
            "area_other_post_key",
            "signed with a key that is not the area's, which the head names",
            other_key,
            &Post::new(),
            &|at| match at {
                At::Head(head) => set(head, "post", bytes(post_public(&[0x77; 32]))),
                At::Items(items) => {
                    let parts: Vec<&[u8]> = items.iter().map(|item| &item.as_bytes().expect("bytes")[..]).collect();
                    items[2] = bytes(sign(&[0x77; 32], Label::Post, name(parts[0], parts[1]).as_bytes()));
                }
                _ => {}
            },
        ),
        bad(
            "area_other_area",
            "envelope",
            "a message of an area whose card is not at hand",
            "of another area",
            other_area,
        ),
    ]
}

/// The three items, and how long they are.
fn items() -> Vec<Vector> {
    let items = |name, what, reason, change: &dyn Fn(&mut Vec<Value>)| {
        edited(name, what, reason, &Post::new(), &|at| {
            if let At::Items(items) = at {
                change(items);
            }
        })
    };
    let sealed = |name, what, len: usize| {
        let head_len = std::cell::Cell::new(0);
        edited(name, what, "no area message has", &Post::new(), &|at| match at {
            At::HeadBytes(head) => head_len.set(head.len()),
            At::Sealed(sealed) => sealed.resize(len - head_len.get(), 0),
            _ => {}
        })
    };
    vec![
        items("area_two_items", "no signature", "wrong form", &|i| i.truncate(2)),
        items("area_four_items", "a fourth item", "deterministic", &|i| i.push(int(0))),
        items("area_sig_63_bytes", "a signature that is too short", "wrong form", &|i| i[2] = bytes([1; 63])),
        items("area_head_map", "the head without a byte string around it", "wrong form", &|i| {
            i[0] = Value::Map(vec![])
        }),
        items("area_sealed_text", "what is sealed as text", "wrong form", &|i| i[1] = text("x")),
        items("area_sealed_none", "nothing sealed", "no area message has", &|i| i[1] = bytes([])),
        sealed("area_one_over", "a byte more than a size class", 1025),
        sealed("area_one_less", "a byte less than a size class", 1023),
        sealed("area_too_long", "the size class after the longest", 200_704),
    ]
}

fn heads() -> Vec<Vector> {
    let head = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &Post::new(), &|at| {
            if let At::Head(head) = at {
                change(head);
            }
        })
    };
    let value = |name, what, reason, key: &str, value: Value| head(name, what, reason, &|h| set(h, key, value.clone()));
    let encoded = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &Post::new(), &|at| {
            if let At::HeadBytes(head) = at {
                change(head);
            }
        })
    };
    let listed = |name, what, reason, bodies: &[(u8, u64)]| {
        let bodies = list(bodies.iter().map(|(root, size)| list([bytes([*root; 32]), int(*size)])));
        value(name, what, reason, "bodies", bodies)
    };
    vec![
        value("area_head_version_2", "a version that is not known", "unknown version 2", "v", int(2)),
        value("area_head_suite_2", "a suite that is not known", "suite 2", "suite", int(2)),
        value("area_head_end_2_32", "day 2^32", "wrong form", "end", int(1_i64 << 32)),
        value("area_head_end_null", "null in the place of a day", "wrong form", "end", Value::Null),
        value("area_head_area_31_bytes", "an area id that is too short", "wrong form", "area", bytes([1; 31])),
        value("area_head_post_33_bytes", "a post key that is too long", "wrong form", "post", bytes([1; 33])),
        value("area_head_share_31_bytes", "a share that is too short", "wrong form", "share", bytes([1; 31])),
        value("area_head_unknown_key", "a key that is not known", "unknown field", "extra", int(1)),
        head("area_head_missing_area", "no area", "missing field", &|h| remove(h, "area")),
        head("area_head_missing_bodies", "no list of bodies", "missing field", &|h| remove(h, "bodies")),
        head("area_head_key_twice", "a key twice", "duplicate field", &|h| h.push(h[7].clone())),
        head("area_head_keys_out_of_order", "two keys exchanged", "deterministic", &|h| h.swap(2, 3)),
        listed("area_head_body_twice", "a root twice", "twice", &[(1, 100), (1, 200)]),
        listed("area_head_body_15_bytes", "a body that is too short to be one", "body", &[(1, 15)]),
        encoded("area_head_trailing_byte", "a byte behind the head", "deterministic", &|h| h.push(0)),
        encoded("area_head_cut", "the head ends in the middle", "ends in the middle", &|h| h.truncate(100)),
        encoded("area_head_indefinite", "a map of indefinite length", "deterministic", &|h| {
            h[0] = 0xbf;
            h.push(0xff);
        }),
    ]
}

/// What who has the read key refuses before the letter.
fn seals() -> Vec<Vector> {
    let schedule = |name, what, place: usize, part: Vec<u8>| {
        edited(name, what, "commitment does not match", &Post::new(), &|at| {
            if let At::Schedule(parts) = at {
                parts[place] = part.clone();
            }
        })
    };
    let plain = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &Post::new(), &|at| {
            if let At::Plain(plain) = at {
                change(plain);
            }
        })
    };
    let mut other_reader = Post::new().make().make().input();
    other_reader["area_read"] = json!(hex([0x92; 32]));
    vec![
        schedule("area_seal_suite", "a key schedule with suite 2", 0, vec![2]),
        schedule("area_seal_context", "sealed as a letter that comes by a route", 1, b"letter".to_vec()),
        schedule("area_seal_to_node", "sealed to the key as a node's", 4, id(BOB).as_bytes().to_vec()),
        schedule("area_seal_to_owner", "sealed to the key as the owner's", 4, id(CAROL).as_bytes().to_vec()),
        schedule("area_seal_secret", "a shared secret that is not that of the share", 5, vec![9; 32]),
        bad(
            "area_seal_reader",
            "envelope",
            "another read key than the card's",
            "commitment does not match",
            other_reader,
        ),
        edited(
            "area_seal_share_zero",
            "a share of low order, with the secret that it forces",
            "low order",
            &Post::new(),
            &|at| match at {
                At::Share(share) => share.fill(0),
                At::Schedule(parts) => parts[5].fill(0),
                _ => {}
            },
        ),
        edited("area_seal_without_head", "the head not bound", "does not open", &Post::new(), &|at| {
            if let At::Associated(data) = at {
                data.clear();
            }
        }),
        edited("area_seal_altered", "a bit altered before it was signed", "does not open", &Post::new(), &|at| {
            if let At::Sealed(sealed) = at {
                sealed[0] ^= 1;
            }
        }),
        plain("area_seal_length", "a length beyond what there is", "more is sealed in it than fits", &|p| p[1] = 0xff),
        plain("area_seal_padding", "padding that is not zero", "something else than zeros", &|p| {
            *p.last_mut().expect("bytes") = 1
        }),
        plain("area_seal_class", "filled up to the class after its own", "bytes", &|p| p.resize(p.len() + 1024, 0)),
    ]
}

/// What the author's signature and the letter's own rules guard.
fn letters() -> Vec<Vector> {
    let letter = |name, what, reason, post: &Post, change: &dyn Fn(&mut Letter)| {
        edited(name, what, reason, post, &|at| {
            if let At::Letter(letter) = at {
                change(letter);
            }
        })
    };
    let posted = |name, what, reason, change: &dyn Fn(&mut Posted)| {
        letter(name, what, reason, &Post::new(), &|l| match &mut l.to {
            Reader::Area(posted) => change(posted),
            Reader::Node(_) => panic!("to an area"),
        })
    };
    let with_bodies = Post::of(Draft::with_bodies(vec![listed(1, 5), listed(2, 1000)]));
    let way = super::road::Road::reply(2, b"").way_back();
    let card = "card of its author";
    let mut altered = author_card(ALICE);
    *altered.last_mut().expect("bytes") ^= 1;
    vec![
        edited(
            "area_letter_other_content",
            "a member puts something else behind the author's head",
            "signature does not match: the letter",
            &Post::new(),
            &|at| match at {
                At::Stage(Stage::LetterMap(letter)) => set(letter, "inline", bytes(b"hello, all\n")),
                At::Stage(Stage::LetterSig(sig)) => *sig = node(CAROL).sign(Label::Letter, &[b"anything"]),
                _ => {}
            },
        ),
        posted(
            "area_letter_sealed_anew",
            "a letter that was written for another head",
            "written for another message",
            &|p| p.head[0] ^= 1,
        ),
        posted("area_letter_of_other_area", "a letter for another area", "letter is for mba1", &|p| {
            p.area = AreaId::from_bytes([7; 32])
        }),
        letter("area_letter_for_node", "a letter for a node", "letter is for mbn1", &Post::new(), &|l| {
            l.to = id(BOB).into()
        }),
        letter(
            "area_letter_ends_before_head",
            "the letter ends a day before the head",
            "before what it lies in",
            &Post::new(),
            &|l| l.end -= 1,
        ),
        letter(
            "area_letter_bodies_swapped",
            "the bodies in another order than in the head",
            "other bodies",
            &with_bodies,
            &|l| l.bodies.swap(0, 1),
        ),
        letter("area_letter_bodies_one_less", "a body of the head is not listed", "other bodies", &with_bodies, &|l| {
            l.bodies.truncate(1)
        }),
        letter("area_letter_wants_receipts", "receipts wanted of an area", "wants receipts", &Post::new(), &|l| {
            l.wants.receipt = true
        }),
        letter(
            "area_letter_wants_trace",
            "a trace wanted to an area",
            "wants receipts or a trace",
            &Post::new(),
            &|l| l.wants.trace = true,
        ),
        edited("area_letter_reply", "a way back from an area", "has a way back", &Post::new(), &|at| {
            if let At::Stage(Stage::LetterMap(letter)) = at {
                // Without a receipt wanted: with one it would be refused for that.
                set(letter, "reply", Value::serialized(&way).expect("it encodes"));
            }
        }),
        letter(
            "area_letter_request",
            "a file asked of an area",
            "asks for a file",
            &Post::of(Draft::of(request(false, b"docs"), b"")),
            &|_| {},
        ),
        posted("area_letter_card_of_another", "the card of another node than the author", card, &|p| {
            p.card = author_card(CAROL)
        }),
        posted("area_letter_card_altered", "a card whose signature does not hold", card, &|p| p.card = altered.clone()),
        posted("area_letter_card_of_area", "the card of the area", card, &|p| p.card = Area::new().card(&|_| {})),
        posted("area_letter_card_empty", "no card", card, &|p| p.card.clear()),
        edited(
            "area_letter_sig_bit",
            "a bit of the author's signature altered",
            "signature does not match: the letter",
            &Post::new(),
            &|at| {
                if let At::Stage(Stage::LetterSig(sig)) = at {
                    sig[3] ^= 1;
                }
            },
        ),
        edited(
            "area_letter_author_other",
            "in the name of another node, with the card of who signs",
            card,
            &Post::new(),
            &|at| {
                if let At::Stage(Stage::LetterMap(letter)) = at {
                    set(letter, "author", bytes(id(CAROL).as_bytes()));
                }
            },
        ),
        bad(
            "area_log_not_owner",
            "envelope",
            "in an area in which only its owner writes, by somebody else",
            "only its owner may write",
            Post::in_area(Area::log(CAROL)).make().make().input(),
        ),
    ]
}

/// How `post` may be spelt in a letter.
fn posts() -> Vec<Vector> {
    let mapped = |name, what, reason, change: &dyn Fn(&mut Map)| {
        edited(name, what, reason, &Post::new(), &|at| {
            if let At::Stage(Stage::LetterMap(letter)) = at {
                change(letter);
            }
        })
    };
    let post =
        |name, what, reason, change: &dyn Fn(&mut Map)| mapped(name, what, reason, &|m| change(inside(m, "post")));
    vec![
        post("area_post_re_31_bytes", "an answer to a hash that is too short", "wrong form", &|p| {
            set(p, "re", bytes([1; 31]))
        }),
        post("area_post_re_null", "null in the place of no message that it answers", "deterministic", &|p| {
            set(p, "re", Value::Null)
        }),
        post("area_post_head_33_bytes", "a head's hash that is too long", "wrong form", &|p| {
            set(p, "head", bytes([1; 33]))
        }),
        post("area_post_missing_head", "no head's hash", "missing field", &|p| remove(p, "head")),
        post("area_post_missing_card", "no key for the card", "missing field", &|p| remove(p, "card")),
        post("area_post_card_text", "the card as text", "wrong form", &|p| set(p, "card", text("mbcard1"))),
        post("area_post_unknown_key", "a key that is not known", "unknown field", &|p| set(p, "topic", text("x"))),
        post("area_post_keys_out_of_order", "two keys exchanged", "deterministic", &|p| p.swap(0, 1)),
        mapped("area_post_missing", "a letter that names the area, and has no post", "letter is for mbn1", &|m| {
            remove(m, "post")
        }),
        mapped("area_post_null", "null in its place", "deterministic", &|m| set(m, "post", Value::Null)),
        mapped("area_post_twice", "a post twice", "duplicate field", &|m| {
            let post = entry(m, "post").expect("it is there").clone();
            m.push((text("post"), post));
        }),
    ]
}

/// A message, and the envelope around it.
fn around() -> Vec<Vector> {
    let draft = |name, what, reason, draft: Draft| bad(name, "envelope", what, reason, draft.make().input());
    let other = "lists other bodies than the area message";
    let with_bodies = |bodies| {
        let mut draft = Post::of(Draft::with_bodies(vec![listed(1, 5), listed(2, 1000)])).make();
        draft.letter.bodies = bodies;
        draft
    };
    let content = |name, what, reason, change: &dyn Fn(&mut Map)| {
        let edit = |stage: Stage| {
            if let Stage::Content(Value::Map(content)) = stage {
                change(content);
            }
        };
        bad(name, "envelope", what, reason, Post::new().make().make_with(&edit).input())
    };
    let mut for_area = Draft::new();
    let card = author_card(ALICE);
    for_area.letter.to = Reader::Area(Box::new(Posted { area: Area::new().id(), re: None, card, head: [7; 32] }));
    let as_node = {
        let made = Draft::new().make_with(&|stage| {
            if let Stage::LetterMap(letter) = stage {
                let post = map([("card", bytes(author_card(ALICE))), ("head", bytes([7; 32]))]);
                set(letter, "post", Value::Map(post));
            }
        });
        bad(
            "letter_post_for_node",
            "envelope",
            "a letter for the reader, with what only one to an area has",
            "letter is for mba1",
            made.input(),
        )
    };
    vec![
        draft("area_bodies_none", "an envelope without the message's bodies", other, with_bodies(vec![])),
        draft(
            "area_bodies_swapped",
            "an envelope with the message's bodies in another order",
            other,
            with_bodies(vec![listed(2, 1000), listed(1, 5)]),
        ),
        draft(
            "area_bodies_one_more",
            "an envelope with a body more",
            other,
            with_bodies(vec![listed(1, 5), listed(2, 1000), listed(3, 7)]),
        ),
        draft(
            "area_envelope_ends_later",
            "an envelope that ends a day after the message",
            "before its envelope",
            Draft { end: 20_091, ..Post::new().make() },
        ),
        draft("letter_for_area", "a letter for an area, outside of a message", "letter is for mba1", for_area),
        as_node,
        content("area_null", "null in the message's place", "wrong form", &|c| c[0].1 = Value::Null),
        content("area_bytes", "the message in a byte string", "wrong form", &|c| c[0].1 = bytes(cbor(&c[0].1))),
        content("area_twice", "two messages", "wrong form", &|c| c.push(c[0].clone())),
    ]
}
