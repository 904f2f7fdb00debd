//! `settings_…`: who may write and read in a moderated area (format.md, section 14); its card, secret and messages.

use ciborium::Value;
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::KeyTag;
use mb_wire::key::{ExchangeSecret, key_tag};
use serde_json::{Value as Json, json};

use super::areas::{Area, POST, READ, bech, post_public, secret_of, secret_text};
use super::build::{Map, Vector, aead_seal, bad, bytes, cbor, entry, good, hex, int, list, map, remove, set, text};
use super::draft::{ALICE, BOB, CAROL, Draft, extract, id, listed, node, schedule_parts};
use super::post::{At, Post};
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    let settings = [goods(), orders(), entries(), fields(), lists(), statements()];
    settings.into_iter().chain([cards(), secrets(), messages()]).flatten().collect()
}

/// Settings of carol's area, in which alice and bob may read.
#[derive(Clone)]
pub struct Rules {
    area: Area,
    version: u64,
    epoch: u64,
    days: Option<u32>,
    most: Option<u64>,
    nodes: Vec<u8>,
    posts: Vec<[u8; 32]>,
    readers: Vec<u8>,
    salt: [u8; 32],
}

/// What can be changed of a reader's entry.
enum Place<'a> {
    Schedule(&'a mut [Vec<u8>; 6]),
    Associated(&'a mut Vec<u8>),
    Plain(&'a mut Vec<u8>),
    Items(&'a mut Vec<Value>),
}

/// A reader's private exchange key.
fn exchange(reader: u8) -> [u8; 32] {
    [reader ^ 0x0f; 32]
}

impl Rules {
    pub const VERSION: u64 = 3;
    pub const EPOCH: u64 = 2;

    pub fn new() -> Rules {
        Rules {
            area: Area::moderated(),
            version: Rules::VERSION,
            epoch: Rules::EPOCH,
            days: Some(30),
            most: Some(1 << 20),
            nodes: vec![CAROL],
            posts: vec![post_public(&POST), post_public(&[0x77; 32])],
            readers: vec![ALICE, BOB],
            salt: [0x6a; 32],
        }
    }

    fn entry(&self, reader: u8, edit: &dyn Fn(Place)) -> Value {
        let r = ExchangeSecret::from_random(exchange(reader)).public();
        let lens = [5_u64, 32].map(u64::to_be_bytes);
        let coin_secret = keyed(&[self.area.owner; 32], Label::Coin, &[]);
        let own = id(reader);
        let parts: [&[u8]; 6] = [&lens[0], b"epoch", &self.salt, &lens[1], &r, own.as_bytes()];
        let secret = x25519_dalek::StaticSecret::from(keyed(&coin_secret, Label::Coins, &parts));
        let share = x25519_dalek::PublicKey::from(&secret).to_bytes();
        let z = secret.diffie_hellman(&r.into()).to_bytes();
        let mut parts = schedule_parts("epoch", &share, &r, own.as_bytes(), &z);
        edit(Place::Schedule(&mut parts));
        let x = extract(&parts);
        let mut associated = [&self.area.id().as_bytes()[..], &self.epoch.to_be_bytes()].concat();
        edit(Place::Associated(&mut associated));
        let mut plain = READ.to_vec();
        edit(Place::Plain(&mut plain));
        let sealed = aead_seal(&keyed(&x, Label::Key, &[]), [0; 12], &associated, &plain);
        let (tag, commit) = (key_tag(&r), keyed(&x, Label::Commit, &[]));
        let mut items =
            vec![bytes(own.as_bytes()), bytes(tag.as_bytes()), bytes(parts[2].clone()), bytes(commit), bytes(sealed)];
        edit(Place::Items(&mut items));
        list(items)
    }

    fn body(&self, edit: &dyn Fn(Place)) -> Map {
        let mut body = map([
            ("area", bytes(self.area.id().as_bytes())),
            ("read", bytes(ExchangeSecret::from_random(READ).public())),
            ("epoch", int(self.epoch)),
            ("nodes", list(self.nodes.iter().map(|node| bytes(id(*node).as_bytes())))),
            ("posts", list(self.posts.iter().map(bytes))),
            ("readers", list(self.readers.iter().map(|reader| self.entry(*reader, edit)))),
        ]);
        self.days.iter().for_each(|days| set(&mut body, "days", int(*days)));
        self.most.iter().for_each(|most| set(&mut body, "most", int(*most)));
        body
    }

    fn stated(&self, edit: &dyn Fn(Place)) -> Stated {
        let body = self.body(edit);
        Stated { kind: "settings", issuer: self.area.owner, created: 1_700_000_000, version: self.version, body }
    }

    pub fn make(&self) -> Vec<u8> {
        self.stated(&|_| {}).make()
    }

    /// What comes out, of what alice, bob and carol can open with their keys.
    fn all(&self, edit: &dyn Fn(Place)) -> Json {
        let mut stated = self.stated(edit);
        let readers = entry(&mut stated.body, "readers").and_then(|readers| readers.as_array().cloned());
        let reader = |entry: Value| {
            let items = entry.into_array().expect("an entry");
            let part = |number: usize| items[number].as_bytes().expect("bytes").clone();
            let tag = KeyTag::from_bytes(part(1).try_into().expect("a tag"));
            let node = mb_wire::id::NodeId::from_bytes(part(0).try_into().expect("an id"));
            json!({
                "node": node.to_string(), "tag": tag.to_string(), "share": hex(part(2)), "commit": hex(part(3)),
                "sealed": hex(part(4)),
            })
        };
        let mut fields = json!({
            "statement": hex(stated.make()), "issuer": id(self.area.owner).to_string(), "created": stated.created,
            "version": self.version, "epoch": self.epoch, "area": self.area.id().to_string(),
            "read": hex(ExchangeSecret::from_random(READ).public()),
            "nodes": self.nodes.iter().map(|node| id(*node).to_string()).collect::<Vec<_>>(),
            "posts": self.posts.iter().map(hex).collect::<Vec<_>>(),
            "readers": readers.into_iter().flatten().map(reader).collect::<Vec<_>>(),
        });
        self.days.iter().for_each(|days| fields["days"] = json!(days));
        self.most.iter().for_each(|most| fields["most"] = json!(most));
        fields
    }

    /// As [`Rules::all`], and what its owner makes it of.
    fn own(&self) -> Json {
        let mut fields = self.all(&|_| {});
        fields["seed"] = json!(hex([self.area.owner; 32]));
        fields["salt"] = json!(hex(self.salt));
        fields["read_secret"] = json!(hex(READ));
        let public = |reader: &u8| hex(ExchangeSecret::from_random(exchange(*reader)).public());
        fields["exchanges"] = self.readers.iter().map(public).collect();
        fields["opens"] = [ALICE, BOB, CAROL].map(|node| opens(node, node, self.readers.contains(&node))).into();
        fields
    }
}

/// A node, a private exchange key, and whether what is sealed to the node opens with it.
fn opens(node: u8, key: u8, does: bool) -> Json {
    json!({"node": id(node).to_string(), "exchange": hex(exchange(key)), "read": does.then(|| hex(READ))})
}

fn goods() -> Vec<Vector> {
    let own = |name, what, change: &dyn Fn(&mut Rules)| {
        let mut rules = Rules::new();
        change(&mut rules);
        good(name, "settings", what, rules.own())
    };
    vec![
        own("settings_plain", "two may write, and two may read", &|_| {}),
        own("settings_least", "nobody may do anything, without limits", &|r| {
            let (days, most, version, epoch) = (None, None, 1, 1);
            let none = Rules { days, most, version, epoch, nodes: vec![], posts: vec![], readers: vec![], ..r.clone() };
            *r = none;
        }),
        own("settings_greatest", "the greatest numbers", &|r| {
            (r.version, r.epoch, r.days, r.most) = ((1 << 53) - 1, (1 << 53) - 1, Some(u32::MAX), Some((1 << 53) - 1));
        }),
        own("settings_limits_0", "no bodies, and none that lives until tomorrow", &|r| {
            (r.days, r.most) = (Some(0), Some(0))
        }),
        own("settings_twice", "nodes and keys that come twice, in no order", &|r| {
            (r.nodes, r.posts) = (vec![CAROL, ALICE, CAROL], vec![[9; 32], [1; 32], [9; 32]])
        }),
        own("settings_1000_nodes", "as many nodes as may be", &|r| r.nodes = vec![BOB; 1000]),
        own("settings_by_another", "by another than the area's owner, which who has the card sees", &|r| {
            r.area.owner = ALICE;
        }),
    ]
}

/// Which of two count.
fn orders() -> Vec<Vector> {
    let case = |name, what, one: Rules, other: Rules| {
        let order = |rules: &Rules| (rules.version, hash(Label::Stmt, &[&rules.make()]));
        let mut fields = one.own();
        fields["other"] = json!(hex(other.make()));
        fields["counts"] = json!(order(&one) > order(&other));
        good(name, "settings", what, fields)
    };
    let with = |version, days| Rules { version, days: Some(days), ..Rules::new() };
    vec![
        case("settings_newer", "a greater version than that of the others", with(4, 30), with(3, 30)),
        case("settings_older", "a smaller version than that of the others", with(255, 30), with(256, 30)),
        case("settings_same_version", "the same version, and another hash", with(3, 1), with(3, 2)),
        case("settings_same_version_exchanged", "the same two, the other way round", with(3, 2), with(3, 1)),
        case("settings_same", "the same settings, which do not count after themselves", with(3, 1), with(3, 1)),
    ]
}

/// Entries that are read, and do not open.
fn entries() -> Vec<Vector> {
    let case = |name, what, rules: &Rules, edit: &dyn Fn(Place), readings: Vec<Json>| {
        let mut fields = rules.all(edit);
        fields["opens"] = readings.into();
        good(name, "settings", what, fields)
    };
    let none = || vec![opens(ALICE, ALICE, false), opens(BOB, BOB, false)];
    let edited = |name, what, edit: &dyn Fn(Place)| case(name, what, &Rules::new(), edit, none());
    let schedule = |name, what, place: usize, part: Vec<u8>| {
        edited(name, what, &|at| {
            if let Place::Schedule(parts) = at {
                parts[place] = part.clone();
            }
        })
    };
    let associated = |name, what, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, &|at| {
            if let Place::Associated(data) = at {
                change(data);
            }
        })
    };
    let item = |name, what, number: usize| {
        edited(name, what, &|at| {
            if let Place::Items(items) = at {
                let mut part = items[number].as_bytes().expect("bytes").clone();
                part[7] ^= 1;
                items[number] = bytes(part);
            }
        })
    };
    let low = edited("settings_share_zero", "shares of low order, with the secret that they force", &|at| {
        if let Place::Schedule(parts) = at {
            (parts[2], parts[5]) = (vec![0; 32], vec![0; 32]);
        }
    });
    vec![
        schedule("settings_entry_suite", "key schedules with suite 2", 0, vec![2]),
        schedule("settings_entry_context", "sealed as letters to an area", 1, b"area".to_vec()),
        schedule(
            "settings_entry_other_node",
            "sealed to carol with the keys of others",
            4,
            id(CAROL).as_bytes().to_vec(),
        ),
        schedule("settings_entry_secret", "a shared secret that is not that of the share", 5, vec![9; 32]),
        low,
        associated("settings_entry_other_area", "sealed for another area", &|data| data[0] ^= 1),
        associated("settings_entry_other_epoch", "sealed for the epoch after", &|data| data[39] ^= 1),
        associated("settings_entry_unbound", "sealed for any area and epoch", &|data| data.clear()),
        item("settings_entry_node_altered", "ids of others", 0),
        item("settings_entry_tag_altered", "tags of other keys", 1),
        item("settings_entry_share_altered", "shares altered", 2),
        item("settings_entry_commit_altered", "commitments altered", 3),
        item("settings_entry_sealed_altered", "what is sealed altered", 4),
        edited("settings_entry_other_key", "a read key that is not the one that letters are sealed to", &|at| {
            if let Place::Plain(plain) = at {
                plain[31] ^= 1;
            }
        }),
        case(
            "settings_removed",
            "alice may read no longer",
            &Rules { readers: vec![BOB], ..Rules::new() },
            &|_| {},
            vec![opens(ALICE, ALICE, false), opens(BOB, BOB, true), opens(ALICE, BOB, false), opens(BOB, ALICE, false)],
        ),
    ]
}

fn in_body(name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Map)) -> Vector {
    edited(name, what, reason, &|part| {
        if let Part::Body(body) = part {
            change(body);
        }
    })
}

fn edited(name: &str, what: &str, reason: &str, edit: &dyn Fn(Part)) -> Vector {
    let statement = Rules::new().stated(&|_| {}).make_with(edit);
    bad(name, "settings", what, reason, json!({"statement": hex(statement)}))
}

fn fields() -> Vec<Vector> {
    let value = |name, what, reason, key: &str, value: Value| {
        in_body(name, what, reason, &|body| set(body, key, value.clone()))
    };
    let form = "wrong form";
    let mut out = vec![
        value("settings_epoch_0", "epoch 0", "out of range", "epoch", int(0)),
        value("settings_epoch_2_53", "an epoch of 2^53", "out of range", "epoch", int(1_i64 << 53)),
        value("settings_epoch_null", "null in the epoch's place", form, "epoch", Value::Null),
        value("settings_most_2_53", "2^53 bytes", "out of range", "most", int(1_i64 << 53)),
        value("settings_most_null", "null in the place of no limit", "deterministic", "most", Value::Null),
        value("settings_days_2_32", "2^32 days", form, "days", int(1_i64 << 32)),
        value("settings_days_null", "null in the place of no limit of days", "deterministic", "days", Value::Null),
        value("settings_days_negative", "fewer days than none", form, "days", int(-1)),
        value("settings_area_31_bytes", "an area id that is too short", form, "area", bytes([1; 31])),
        value("settings_read_33_bytes", "a read key that is too long", form, "read", bytes([1; 33])),
        value("settings_unknown_key", "a key that is not known", "unknown field", "name", text("x")),
        in_body("settings_keys_out_of_order", "two keys exchanged", "deterministic", &|body| body.swap(0, 1)),
        in_body("settings_key_twice", "a key twice", "duplicate field", &|body| body.push(body[7].clone())),
        edited("settings_body_trailing_byte", "a byte behind the body's map", "deterministic", &|part| {
            if let Part::BodyBytes(body) = part {
                body.push(0);
            }
        }),
    ];
    for key in ["area", "read", "epoch", "nodes", "posts", "readers"] {
        let (name, what) = (format!("settings_missing_{key}"), format!("no {key}"));
        out.push(in_body(&name, &what, "missing field", &|body| remove(body, key)));
    }
    out
}

fn lists() -> Vec<Vector> {
    let value = |name, what, reason, key: &str, value: Value| {
        in_body(name, what, reason, &|body| set(body, key, value.clone()))
    };
    let entry = |name, what, reason, change: &dyn Fn(&mut Vec<Value>)| {
        let stated = Rules::new().stated(&|at| {
            if let Place::Items(items) = at {
                change(items);
            }
        });
        bad(name, "settings", what, reason, json!({"statement": hex(stated.make())}))
    };
    let (form, many) = ("wrong form", "name too many");
    let ids = |count: usize| list(vec![bytes([7; 32]); count]);
    let reader = Rules::new().entry(ALICE, &|_| {});
    vec![
        value("settings_1001_nodes", "a node too many", many, "nodes", ids(1001)),
        value("settings_1001_posts", "a post key too many", many, "posts", ids(1001)),
        value("settings_1001_readers", "a reader too many", many, "readers", list(vec![reader; 1001])),
        value("settings_nodes_null", "null in the place of no nodes", form, "nodes", Value::Null),
        value("settings_node_31_bytes", "a node id that is too short", form, "nodes", list([bytes([1; 31])])),
        value("settings_post_text", "a post key as text", form, "posts", list([text(&hex([1; 32]))])),
        value("settings_reader_id_only", "a reader's id without a list around it", form, "readers", ids(1)),
        entry("settings_entry_four_items", "nothing sealed to a reader", form, &|items| items.truncate(4)),
        entry("settings_entry_six_items", "a sixth item", form, &|items| items.push(int(0))),
        entry("settings_entry_tag_9_bytes", "a tag that is too long", form, &|items| items[1] = bytes([1; 9])),
        entry("settings_entry_share_31_bytes", "a share that is too short", form, &|i| i[2] = bytes([1; 31])),
        entry("settings_entry_commit_33_bytes", "a commitment that is too long", form, &|i| i[3] = bytes([1; 33])),
        entry("settings_entry_sealed_47_bytes", "too little sealed", form, &|items| items[4] = bytes([1; 47])),
        entry("settings_entry_sealed_49_bytes", "too much sealed", form, &|items| items[4] = bytes([1; 49])),
    ]
}

/// What any statement can have wrong, and this kind.
fn statements() -> Vec<Vector> {
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
    let shown = json!({
        "statement": hex(Rules::new().make()), "statement_kind": "settings", "created": 1_700_000_000,
        "issuer": hex(node(CAROL).identity_key()), "version": Rules::VERSION,
        "body": hex(cbor(&Value::Map(Rules::new().body(&|_| {})))),
    });
    vec![
        good("statement_settings", "statement", "a statement that is settings of an area", shown),
        statement("settings_is_area", "the kind of an area's card", "not settings", "kind", text("area")),
        statement("settings_is_want", "the kind of a want", "not settings", "kind", text("want")),
        statement("settings_version_0", "version 0", "out of range", "version", int(0)),
        statement(
            "settings_issuer_other",
            "alice's name on what carol signed",
            "signature does not match",
            "issuer",
            bytes(node(ALICE).identity_key()),
        ),
        edited("settings_sig_bit", "a bit of the signature altered", "signature does not match", &|part| {
            if let Part::Sig(sig) = part {
                sig[9] ^= 1;
            }
        }),
        whole("settings_cut", "the last byte is missing", "ends in the middle", &|whole| {
            whole.truncate(whole.len() - 1);
        }),
        whole("settings_200001_bytes", "more than 200,000 bytes", "longer than allowed", &|whole| {
            whole.resize(200_001, 0);
        }),
    ]
}

fn cards() -> Vec<Vector> {
    let with = |name, what, area: Area, change: &dyn Fn(&mut Map)| {
        let card = area.card(&|part| {
            if let Part::Body(body) = part {
                change(body);
            }
        });
        bad(name, "areacard", what, "keys that its mode has not", json!({"text": bech("mbcard", &card)}))
    };
    let key = || bytes([1; 32]);
    vec![
        good(
            "areacard_moderated",
            "areacard",
            "the card of an area whose settings say who may write and read",
            Area::moderated().json(),
        ),
        with("areacard_moderated_keys", "a moderated area with keys", Area::moderated(), &|body| {
            set(body, "post", key());
            set(body, "read", key());
        }),
        with("areacard_moderated_post", "a moderated area with a post key", Area::moderated(), &|body| {
            set(body, "post", key());
        }),
        with("areacard_moderated_read", "a moderated area with a read key", Area::moderated(), &|body| {
            set(body, "read", key());
        }),
        with("areacard_open_no_keys", "an open area without keys", Area::new(), &|body| {
            remove(body, "post");
            remove(body, "read");
        }),
        with("areacard_open_no_read", "an open area without a read key", Area::new(), &|body| remove(body, "read")),
        with("areacard_log_no_post", "a log without a post key", Area::log(CAROL), &|body| remove(body, "post")),
    ]
}

fn secrets() -> Vec<Vector> {
    let area = Area::moderated();
    let of = |post, read| secret_text(secret_of(&area, post, read));
    let refused =
        |name, what, reason, post, read| bad(name, "areasecret", what, reason, json!({"secret": of(post, read)}));
    let shown = json!({
        "secret": of(Some(POST), None), "card": hex(area.card(&|_| {})), "id": area.id().to_string(), "post": hex(POST),
    });
    vec![
        good("areasecret_moderated", "areasecret", "a post key of somebody in a moderated area", shown),
        refused(
            "areasecret_moderated_both",
            "a read key beside it, which a moderated area has in its settings",
            "does not belong",
            Some(POST),
            Some(READ),
        ),
        refused("areasecret_moderated_read", "a read key of a moderated area", "does not belong", None, Some(READ)),
        refused("areasecret_moderated_none", "no key of a moderated area", "without keys", None, None),
    ]
}

/// Messages, as [`Rules::new`] judges them.
fn messages() -> Vec<Vector> {
    let refused = |name, what, reason, post: Post, change: &dyn Fn(&mut Map)| {
        let made = post.make_with(&|at| {
            if let At::Head(head) = at {
                change(head);
            }
        });
        bad(name, "envelope", what, reason, made.make().input())
    };
    let post = || Post::in_area(Area::moderated());
    let head = |name, what, reason, change: &dyn Fn(&mut Map)| refused(name, what, reason, post(), change);
    let number = |name, what, reason, key: &str, number: i64| head(name, what, reason, &|h| set(h, key, int(number)));
    let with_bodies = |plain_len: u64| Post { draft: Draft::with_bodies(vec![listed(1, plain_len)]), ..post() };
    let range = "version or epoch is out of range";
    let mut other_rules = post().make().make().input();
    let others = Rules { posts: vec![post_public(&[0x77; 32])], ..Rules::new() };
    other_rules["area_settings"] = json!(hex(others.make()));
    let mut next_epoch = post().make().make().input();
    next_epoch["area_settings"] = json!(hex(Rules { version: 4, epoch: 3, ..Rules::new() }.make()));
    let mut next_version = post().make().make().all();
    next_version["area_settings"] = json!(hex(Rules { version: 4, ..Rules::new() }.make()));
    let mut mallorys = post().make().make().input();
    let mut own = Rules::new();
    own.area.owner = ALICE;
    mallorys["area_settings"] = json!(hex(own.with_area_of(&Area::moderated())));
    vec![
        good("area_moderated", "envelope", "a message in a moderated area", post().make().make().all()),
        good(
            "area_moderated_bodies",
            "envelope",
            "a message with a body as large as may be",
            with_bodies((1 << 20) - 16 * 16).make().make().all(),
        ),
        good(
            "area_moderated_earlier",
            "envelope",
            "written under settings that were replaced by others of the same epoch",
            next_version,
        ),
        head("area_head_epoch_only", "an epoch without a version", range, &|h| remove(h, "version")),
        head("area_head_version_only", "a version without an epoch", range, &|h| remove(h, "epoch")),
        number("area_head_epoch_0", "epoch 0", range, "epoch", 0),
        number("area_head_epoch_2_53", "an epoch of 2^53", range, "epoch", 1 << 53),
        number("area_head_settings_0", "settings of version 0", range, "version", 0),
        number("area_head_settings_2_53", "settings of version 2^53", range, "version", 1 << 53),
        head("area_head_epoch_null", "null in the epoch's place", "deterministic", &|h| set(h, "epoch", Value::Null)),
        head("area_moderated_unnamed", "no settings named in a moderated area", "names no settings", &|h| {
            remove(h, "epoch");
            remove(h, "version");
        }),
        refused("area_open_names_settings", "settings named in an open area", "the area has none", Post::new(), &|h| {
            set(h, "epoch", int(2));
            set(h, "version", int(3));
        }),
        number("area_moderated_later", "settings named that have not come", "have not come", "version", 4),
        number("area_moderated_other_epoch", "another epoch than the settings have", "may not write", "epoch", 1),
        bad("area_moderated_next_epoch", "envelope", "of the epoch before", "may not write", next_epoch),
        bad("area_moderated_not_a_writer", "envelope", "a post key that may not write", "may not write", other_rules),
        bad(
            "area_moderated_not_the_owner",
            "envelope",
            "settings that are not the owner's",
            "not its owner's",
            mallorys,
        ),
        bad(
            "area_moderated_too_large",
            "envelope",
            "a body of a byte more than may be",
            "larger than",
            with_bodies((1 << 20) - 16 * 16 + 1).make().make().input(),
        ),
    ]
}

impl Rules {
    /// These settings for another's area, signed by whoever they are of.
    fn with_area_of(&self, area: &Area) -> Vec<u8> {
        let mut stated = self.stated(&|_| {});
        set(&mut stated.body, "area", bytes(area.id().as_bytes()));
        stated.make()
    }
}
