//! `id_…`, `hash_…`, `nodekey_…` and `exchangekey_…`.

use argon2::{Algorithm, Argon2, Params, Version};
use bech32::{Bech32m, Hrp};
use ciborium::Value;
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{KeyTag, LetterId, NodeId, PacketId, Root};
use mb_wire::key::ExchangeSecret;
use serde_json::{Value as Json, json};

use super::build::{Map, Vector, aead_seal, bad, bytes, cbor, good, hex, int, map, remove, set};
use super::draft::{ALICE, BOB, id, node};

pub fn all() -> Vec<Vector> {
    let parts =
        [hashes(), ids(), ids_bad(), secrets(), secrets_bad(), sealed(), sealed_bad(), exchange(), exchange_bad()];
    parts.into_iter().flatten().collect()
}

fn hashes() -> Vec<Vector> {
    use Label::*;
    let labels = [
        Node,
        Packet,
        Letter,
        Prefix,
        Hop,
        Seal,
        Key,
        Commit,
        Coins,
        Tag,
        Leaf,
        Join,
        mb_wire::hash::Label::Root,
        Mac,
        Block,
        Pay,
        Veil,
        Slot,
        Load,
        List,
        Step,
        Stmt,
        Ident,
        Call,
        Coin,
        Store,
        Once,
        Input,
        Seen,
        Way,
    ];
    let key = [0x11; 32];
    let table = labels.into_iter().flat_map(|label| {
        let input = b"mailbag";
        [
            json!({"label": label.as_str(), "key": null, "input": hex(input), "digest": hex(hash(label, &[input]))}),
            json!({"label": label.as_str(), "key": hex(key), "input": "", "digest": hex(keyed(&key, label, &[]))}),
        ]
    });
    let long = super::envelopes::pattern(300);
    let more = [
        json!({"label": "mailbag/1 packet", "key": null, "input": "", "digest": hex(hash(Packet, &[]))}),
        json!({"label": "mailbag/1 packet", "key": null, "input": hex(&long), "digest": hex(hash(Packet, &[&long]))}),
        json!({"label": "mailbag/1 coins", "key": hex(key), "input": hex(&long), "digest": hex(keyed(&key, Coins, &[&long]))}),
    ];
    let table: Vec<Json> = table.chain(more).collect();
    vec![good("hash_labels", "hash", "every label, with and without a key", json!({"hashes": table}))]
}

fn ids() -> Vec<Vector> {
    let of = |name, what, kind: &str, text: String, bytes: &[u8]| {
        good(name, "id", what, json!({"type": kind, "text": text, "bytes": hex(bytes)}))
    };
    let pattern: [u8; 32] = std::array::from_fn(|i| i as u8 * 8 + 7);
    let node = NodeId::from_bytes(pattern).to_string();
    let tag = KeyTag::from_bytes([0xfe; 8]);
    vec![
        of("id_node", "a node id", "node", node.clone(), &pattern),
        of("id_node_upper_case", "a node id in upper case", "node", node.to_uppercase(), &pattern),
        of("id_packet", "a packet id", "packet", PacketId::from_bytes(pattern).to_string(), &pattern),
        of("id_letter", "a letter id", "letter", LetterId::from_bytes([0xff; 32]).to_string(), &[0xff; 32]),
        of("id_root", "a root", "root", Root::from_bytes([0; 32]).to_string(), &[0; 32]),
        of("id_tag", "a key tag", "tag", tag.to_string(), &[0xfe; 8]),
    ]
}

fn ids_bad() -> Vec<Vector> {
    let of =
        |name, what, reason, kind: &str, text: &str| bad(name, "id", what, reason, json!({"type": kind, "text": text}));
    let node = id(ALICE).to_string();
    let packet = PacketId::from_bytes([0x5a; 32]).to_string();
    let short = bech(&[1; 31], "mbn");
    let base32 = "is not base32";
    vec![
        of(
            "id_node_mistyped",
            "a character mistyped",
            "checksum",
            "node",
            &node.replacen('a', "q", 1).replacen('c', "p", 1),
        ),
        of("id_node_mixed_case", "upper and lower case", "mixes", "node", &node.replacen("mbn", "Mbn", 1)),
        of("id_node_31_bytes", "too short, with a checksum that fits", "31 bytes instead of 32", "node", &short),
        of("id_node_of_user", "the prefix of a user", "does not begin", "node", &bech(&[1; 32], "mbu")),
        of("id_node_base32", "a node id in base32", "does not begin", "node", &packet),
        of("id_packet_upper_case", "base32 in upper case", base32, "packet", &packet.to_uppercase()),
        of("id_packet_padded", "base32 with padding", "56 characters", "packet", &format!("{packet}====")),
        of("id_packet_short", "a character is missing", "51 characters", "packet", &packet[1..]),
        of("id_packet_left_over_bits", "bits that belong to no byte", base32, "packet", &format!("{}b", &packet[..51])),
        of("id_packet_digit", "a digit that base32 has not", base32, "packet", &format!("1{}", &packet[1..])),
        of("id_root_space", "a space in it", base32, "root", &format!(" {}", &packet[1..])),
        of("id_tag_left_over_bits", "bits that belong to no byte", base32, "tag", "aaaaaaaaaaaab"),
        of("id_tag_long", "a character too many", "14 characters", "tag", "aaaaaaaaaaaaaa"),
    ]
}

fn bech(bytes: &[u8], prefix: &str) -> String {
    bech32::encode::<Bech32m>(Hrp::parse_unchecked(prefix), bytes).expect("short enough")
}

fn secret_map() -> Map {
    map([("node", bytes([ALICE; 32]))])
}

/// All that follows from alice's seed.
fn derived(input: Json) -> Json {
    let seed = [ALICE; 32];
    let derive = |label| hex(keyed(&seed, label, &[]));
    let mut fields = json!({
        "seed": hex(seed),
        "id": id(ALICE).to_string(),
        "identity": hex(node(ALICE).identity_key()),
        "call_public": hex(node(ALICE).call_public()),
        "identity_seed": derive(Label::Ident),
        "call_secret": derive(Label::Call),
        "coin_secret": derive(Label::Coin),
        "store_secret": derive(Label::Store),
    });
    fields.as_object_mut().into_iter().for_each(|f| f.extend(input.as_object().cloned().into_iter().flatten()));
    fields
}

fn secrets() -> Vec<Vector> {
    let text = bech(&cbor(&Value::Map(secret_map())), "mbsecret");
    vec![
        good("nodekey_secret", "nodekey", "a seed as text", derived(json!({"secret": text}))),
        good(
            "nodekey_upper_case",
            "nodekey",
            "a seed as text in upper case",
            derived(json!({"secret": text.to_uppercase()})),
        ),
    ]
}

fn secrets_bad() -> Vec<Vector> {
    let text = |name, what, reason, secret: String| bad(name, "nodekey", what, reason, json!({"secret": secret}));
    let of = |name, what, reason, map: Map| text(name, what, reason, bech(&cbor(&Value::Map(map)), "mbsecret"));
    let plain = bech(&cbor(&Value::Map(secret_map())), "mbsecret");
    let mut trailing = cbor(&Value::Map(secret_map()));
    trailing.push(0);
    vec![
        text("nodekey_mistyped", "the last character mistyped", "checksum", mistyped(&plain)),
        text("nodekey_cut", "the last character lost", "checksum", plain[..plain.len() - 1].into()),
        text(
            "nodekey_card",
            "a secret under the prefix of a card",
            "does not begin",
            bech(&cbor(&Value::Map(secret_map())), "mbcard"),
        ),
        text("nodekey_trailing_byte", "a byte behind the map", "deterministic", bech(&trailing, "mbsecret")),
        text("nodekey_bare", "the seed without its map", "wrong form", bech(&[ALICE; 32], "mbsecret")),
        of("nodekey_31_bytes", "a seed that is too short", "wrong form", map([("node", bytes([1; 31]))])),
        of("nodekey_user", "a seed of a user", "unknown field", map([("user", bytes([1; 32]))])),
        of("nodekey_two", "a second seed", "unknown field", map([("node", bytes([1; 32])), ("user", bytes([1; 32]))])),
        of("nodekey_empty", "a map without seed", "missing field", vec![]),
    ]
}

fn mistyped(text: &str) -> String {
    let last = if text.ends_with('q') { 'p' } else { 'q' };
    format!("{}{last}", &text[..text.len() - 1])
}

/// Alice's seed under a passphrase.
struct Sealed {
    cost: (u32, u32, u32),
    passphrase: &'static str,
    salt: [u8; 16],
    secret: Map,
}

impl Sealed {
    fn new() -> Sealed {
        Sealed { cost: (64, 2, 1), passphrase: "correct horse", salt: [0x5a; 16], secret: secret_map() }
    }

    fn map(&self) -> Map {
        let (m, t, p) = self.cost;
        // Where the cost is beyond the limits no box is made: it must be refused before that is looked at.
        let within = (8 * p..1 << 16).contains(&m) && (1..=16).contains(&t) && (1..=16).contains(&p);
        let sealed = if within { self.seal() } else { vec![0; 56] };
        map([
            ("m", int(m)),
            ("p", int(p)),
            ("t", int(t)),
            ("v", int(1)),
            ("box", bytes(sealed)),
            ("salt", bytes(self.salt)),
        ])
    }

    fn seal(&self) -> Vec<u8> {
        let (m, t, p) = self.cost;
        let params = Params::new(m, t, p, Some(32)).expect("within argon2's limits");
        let mut key = [0; 32];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(self.passphrase.as_bytes(), &self.salt, &mut key).expect("a short passphrase");
        aead_seal(&key, [0; 12], &[], &cbor(&Value::Map(self.secret.clone())))
    }

    fn json(&self, map: Map) -> Json {
        json!({"sealed": bech(&cbor(&Value::Map(map)), "mbsealed"), "passphrase": self.passphrase})
    }
}

fn sealed() -> Vec<Vector> {
    let of = |name, what, sealed: Sealed| good(name, "nodekey", what, derived(sealed.json(sealed.map())));
    vec![
        of("nodekey_sealed", "a seed under a passphrase", Sealed::new()),
        of("nodekey_sealed_least", "the smallest cost", Sealed { cost: (8, 1, 1), ..Sealed::new() }),
        of("nodekey_sealed_lanes", "four lanes", Sealed { cost: (64, 1, 4), ..Sealed::new() }),
        of(
            "nodekey_sealed_most_passes",
            "as many passes and lanes as allowed",
            Sealed { cost: (128, 16, 16), ..Sealed::new() },
        ),
        of("nodekey_sealed_no_passphrase", "an empty passphrase", Sealed { passphrase: "", ..Sealed::new() }),
        of(
            "nodekey_sealed_accents",
            "a passphrase that is not ASCII",
            Sealed { passphrase: "zoé ☕", ..Sealed::new() },
        ),
    ]
}

fn sealed_bad() -> Vec<Vector> {
    let cost = |name, what, m, t, p| {
        let sealed = Sealed { cost: (m, t, p), ..Sealed::new() };
        bad(name, "nodekey", what, "beyond the limits", sealed.json(sealed.map()))
    };
    let edited = |name, what, reason, change: &dyn Fn(&mut Map)| {
        let (sealed, mut map) = (Sealed::new(), Sealed::new().map());
        change(&mut map);
        bad(name, "nodekey", what, reason, sealed.json(map))
    };
    let mut other = Sealed::new().json(Sealed::new().map());
    other["passphrase"] = json!("correct horsf");
    let user = Sealed { secret: map([("user", bytes([1; 32]))]), ..Sealed::new() };
    let closed = "wrong passphrase";
    vec![
        cost("nodekey_sealed_memory_over", "memory of a KiB more than 1 GiB", (1 << 20) + 1, 1, 1),
        cost("nodekey_sealed_memory_most", "memory of 2^32 - 1 KiB", u32::MAX, 1, 1),
        cost("nodekey_sealed_memory_under", "memory of 7 KiB", 7, 1, 1),
        cost("nodekey_sealed_memory_lanes", "too little memory for its lanes", 15, 1, 2),
        cost("nodekey_sealed_passes_over", "17 passes", 64, 17, 1),
        cost("nodekey_sealed_passes_0", "no pass", 64, 0, 1),
        cost("nodekey_sealed_lanes_over", "17 lanes", 1024, 1, 17),
        cost("nodekey_sealed_lanes_0", "no lane", 64, 1, 0),
        bad("nodekey_sealed_passphrase", "nodekey", "another passphrase", closed, other),
        bad("nodekey_sealed_user", "nodekey", "a seed of a user inside", "unknown field", user.json(user.map())),
        edited("nodekey_sealed_salt", "another salt", closed, &|m| set(m, "salt", bytes([0x5b; 16]))),
        edited("nodekey_sealed_cost_altered", "one pass more than it was sealed with", closed, &|m| {
            set(m, "t", int(3))
        }),
        edited("nodekey_sealed_version", "a version that is not known", "unknown version 2", &|m| set(m, "v", int(2))),
        edited("nodekey_sealed_salt_15_bytes", "a salt that is too short", "wrong form", &|m| {
            set(m, "salt", bytes([1; 15]))
        }),
        edited("nodekey_sealed_box_55_bytes", "a box that is too short", "wrong form", &|m| {
            set(m, "box", bytes([1; 55]))
        }),
        edited("nodekey_sealed_unknown_key", "a key that is not known", "unknown field", &|m| set(m, "hint", int(1))),
        edited("nodekey_sealed_missing_salt", "no salt", "missing field", &|m| remove(m, "salt")),
        edited("nodekey_sealed_keys_out_of_order", "two keys exchanged", "deterministic", &|m| m.swap(0, 1)),
    ]
}

fn exchange_map(owner: u8, private: [u8; 32], public: [u8; 32]) -> Map {
    let store = keyed(&[owner; 32], Label::Store, &[]);
    let key = keyed(&store, Label::Store, &[&public]);
    let sealed = aead_seal(&key, [0; 12], &[], &private);
    map([("v", int(1)), ("box", bytes(sealed)), ("public", bytes(public))])
}

fn exchange() -> Vec<Vector> {
    let of = |name, what, private: [u8; 32]| {
        let secret = ExchangeSecret::from_random(private);
        let file = cbor(&Value::Map(exchange_map(ALICE, private, secret.public())));
        let fields = json!({
            "file": hex(file), "seed": hex([ALICE; 32]), "private": hex(private), "public": hex(secret.public()),
            "tag": secret.tag().to_string(),
        });
        good(name, "exchangekey", what, fields)
    };
    vec![
        of("exchangekey_plain", "an exchange key", [0x40; 32]),
        of("exchangekey_all_bits", "a private key of which X25519 changes bits as it uses it", [0xff; 32]),
    ]
}

fn exchange_bad() -> Vec<Vector> {
    let private = [0x40; 32];
    let public = ExchangeSecret::from_random(private).public();
    let other = ExchangeSecret::from_random([0x41; 32]).public();
    let file = |name, what, reason, file: Vec<u8>| {
        bad(name, "exchangekey", what, reason, json!({"file": hex(file), "seed": hex([ALICE; 32])}))
    };
    let of = |name, what, reason, map: Map| file(name, what, reason, cbor(&Value::Map(map)));
    let with = |key: &str, value: Value| {
        let mut map = exchange_map(ALICE, private, public);
        set(&mut map, key, value);
        map
    };
    let mut sealed = aead_box(&exchange_map(ALICE, private, public));
    sealed[0] ^= 1;
    let whole = cbor(&Value::Map(exchange_map(ALICE, private, public)));
    let mut swapped = exchange_map(ALICE, private, public);
    swapped.swap(1, 2);
    let mut missing = exchange_map(ALICE, private, public);
    remove(&mut missing, "public");
    vec![
        of("exchangekey_of_another", "the key of another node", "another node", exchange_map(BOB, private, public)),
        of("exchangekey_box_bit", "a bit of the box altered", "was altered", with("box", bytes(sealed))),
        of("exchangekey_public_altered", "the public key replaced", "was altered", with("public", bytes(other))),
        of(
            "exchangekey_halves",
            "sealed with a public key that is not its own",
            "does not belong",
            exchange_map(ALICE, private, other),
        ),
        of("exchangekey_version_2", "a version that is not known", "unknown version 2", with("v", int(2))),
        of("exchangekey_box_47_bytes", "a box that is too short", "wrong form", with("box", bytes([1; 47]))),
        of("exchangekey_unknown_key", "a key that is not known", "unknown field", with("note", int(1))),
        of("exchangekey_missing_public", "no public key", "missing field", missing),
        of("exchangekey_keys_out_of_order", "two keys exchanged", "deterministic", swapped),
        file("exchangekey_trailing_byte", "a byte behind the map", "deterministic", [whole.clone(), vec![0]].concat()),
        file("exchangekey_cut", "the last byte is missing", "ends in the middle", whole[..whole.len() - 1].to_vec()),
        file("exchangekey_empty", "an empty file", "ends in the middle", vec![]),
    ]
}

fn aead_box(map: &Map) -> Vec<u8> {
    match &map[1].1 {
        Value::Bytes(sealed) => sealed.clone(),
        other => panic!("{other:?}"),
    }
}
