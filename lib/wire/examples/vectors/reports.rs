//! `receipt_…`, `complaint_…` and `reports_…`: what is said of a packet, and the envelope that it goes back in.

use ciborium::Value;
use mb_wire::hash::{Label, hash};
use mb_wire::id::{LetterId, PacketId};
use serde_json::{Value as Json, json};

use super::build::{Map, Vector, bad, bytes, cbor, good, hex, int, list, map, remove, replace, set, text};
use super::draft::{ALICE, BOB, CAROL, Carried, Draft, Stage, id, listed, node};
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    let receipts = [receipts(), whys(), receipt_fields(), said_wrong("receipt", &receipt("accepted", None))];
    let complaints = [complaints(), complaint_fields(), said_wrong("complaint", &complaint("spam"))];
    receipts.into_iter().chain(complaints).chain([envelopes(), envelopes_bad()]).flatten().collect()
}

const STAGES: [&str; 6] = ["accepted", "stalled", "handed", "expired", "refused", "delivered"];
const TIME: u64 = 1_700_000_000;
const ABOUT: [u8; 32] = [0xab; 32];

/// Of bob, and as its writer numbers it.
fn receipt(stage: &'static str, why: Option<&str>) -> Stated {
    receipt_at(TIME, stage, why)
}

fn receipt_at(created: u64, stage: &'static str, why: Option<&str>) -> Stated {
    let mut body = map([("about", bytes(ABOUT)), ("stage", text(stage))]);
    why.iter().for_each(|why| set(&mut body, "why", text(why)));
    let rank = STAGES.iter().position(|known| *known == stage).expect("a stage") as u64;
    Stated { kind: "receipt", issuer: BOB, created, version: (8 * created + rank).max(1), body }
}

fn complaint(reason: &'static str) -> Stated {
    let body = map([("about", bytes(ABOUT)), ("reason", text(reason))]);
    Stated { kind: "complaint", issuer: BOB, created: TIME, version: 1, body }
}

/// What is given and comes out of either.
fn shown(said: &Stated) -> Json {
    json!({
        "statement": hex(said.make()), "issuer": id(said.issuer).to_string(), "time": said.created,
        "version": said.version,
    })
}

fn receipts() -> Vec<Vector> {
    let shown = |said: &Stated, stage: &str, why: Option<&str>| {
        let mut fields = shown(said);
        fields["about"] = json!(hex(ABOUT));
        fields["stage"] = json!(stage);
        why.iter().for_each(|why| fields["why"] = json!(why));
        fields
    };
    let own = |name: &str, what: &str, created, stage, why: Option<&str>| {
        let mut fields = shown(&receipt_at(created, stage, why), stage, why);
        fields["seed"] = json!(hex([BOB; 32]));
        good(name, "receipt", what, fields)
    };
    let whys = |len: usize| "w".repeat(len);
    let other = Stated { version: 7, ..receipt("handed", None) };
    vec![
        own("receipt_accepted", "a relay has it", TIME, "accepted", None),
        own("receipt_stalled", "nobody has come to a relay for it in time", TIME, "stalled", None),
        own("receipt_handed", "a relay has handed it on", TIME, "handed", None),
        own("receipt_expired", "its last day is over", TIME, "expired", None),
        own("receipt_refused", "it is refused", TIME, "refused", Some("no such next hop")),
        own("receipt_delivered", "the recipient has delivered it", TIME, "delivered", None),
        own("receipt_time_0", "the first second of 1970, of which version 1 is the least", 0, "accepted", None),
        own("receipt_time_most", "the latest time that leaves room in the version", (1 << 50) - 1, "delivered", None),
        own("receipt_why_1", "the shortest reason", TIME, "refused", Some("?")),
        own("receipt_why_200", "the longest reason", TIME, "refused", Some(&whys(200))),
        own(
            "receipt_why_100_umlauts",
            "the longest reason, of 100 characters",
            TIME,
            "refused",
            Some(&"ü".repeat(100)),
        ),
        own("receipt_why_control", "a reason that no terminal should see", TIME, "refused", Some("\u{1b}[2J\n\0")),
        good(
            "receipt_version_other",
            "receipt",
            "a version that says nothing of its time, which no reader minds",
            shown(&other, "handed", None),
        ),
    ]
}

fn edited(name: &str, what: &str, reason: &str, said: &Stated, edit: &dyn Fn(Part)) -> Vector {
    bad(name, said.kind, what, reason, json!({"statement": hex(said.make_with(edit))}))
}

fn in_body(name: &str, what: &str, reason: &str, said: &Stated, change: &dyn Fn(&mut Map)) -> Vector {
    edited(name, what, reason, said, &|part| {
        if let Part::Body(body) = part {
            change(body);
        }
    })
}

fn whys() -> Vec<Vector> {
    let of = |name, what, said: Stated| edited(name, what, "out of place or too long", &said, &|_| {});
    let value = |name, what, reason, value: Value| {
        in_body(name, what, reason, &receipt("refused", None), &|b| set(b, "why", value.clone()))
    };
    vec![
        of("receipt_why_missing", "refused, and no reason", receipt("refused", None)),
        of("receipt_why_accepted", "a reason at accepted", receipt("accepted", Some("glad to"))),
        of("receipt_why_handed", "a reason at handed", receipt("handed", Some("glad to"))),
        of("receipt_why_stalled", "a reason at stalled", receipt("stalled", Some("far away"))),
        of("receipt_why_expired", "a reason at expired", receipt("expired", Some("too late"))),
        of("receipt_why_delivered", "a reason at delivered", receipt("delivered", Some("glad to"))),
        of("receipt_why_201", "a byte more than a reason may have", receipt("refused", Some(&"w".repeat(201)))),
        of("receipt_why_101_umlauts", "101 characters of 2 bytes", receipt("refused", Some(&"ü".repeat(101)))),
        value("receipt_why_empty", "refused, and an empty reason", "deterministic", text("")),
        value("receipt_why_null", "null in the reason's place", "wrong form", Value::Null),
        value("receipt_why_bytes", "the reason as a byte string", "wrong form", bytes("no")),
        in_body(
            "receipt_why_empty_handed",
            "an empty reason at handed",
            "deterministic",
            &receipt("handed", None),
            &|b| {
                set(b, "why", text(""));
            },
        ),
    ]
}

fn receipt_fields() -> Vec<Vector> {
    let field =
        |name, what, reason, change: &dyn Fn(&mut Map)| in_body(name, what, reason, &receipt("handed", None), change);
    vec![
        field("receipt_stage_unknown", "a stage that is not known", "unknown variant", &|b| {
            set(b, "stage", text("lost"));
        }),
        field("receipt_stage_upper_case", "a stage in upper case", "unknown variant", &|b| {
            set(b, "stage", text("Handed"));
        }),
        field("receipt_stage_number", "a stage as its rank", "wrong form", &|b| set(b, "stage", int(1))),
        field("receipt_missing_stage", "no stage", "missing field", &|b| remove(b, "stage")),
        edited("receipt_is_complaint", "a complaint", "another statement", &receipt("handed", None), &|part| {
            if let Part::Map(statement) = part {
                set(statement, "kind", text("complaint"));
            }
        }),
        edited(
            "receipt_stage_altered",
            "another stage than what was signed",
            SIGNATURE,
            &receipt("handed", None),
            &|part| {
                if let Part::Whole(whole) = part {
                    replace(whole, b"handed", b"handee");
                }
            },
        ),
    ]
}

fn complaints() -> Vec<Vector> {
    let fields = |said: &Stated, reason: &str| {
        let mut fields = shown(said);
        fields["about"] = json!(LetterId::from_bytes(ABOUT).to_string());
        fields["complaint_reason"] = json!(reason);
        fields
    };
    let cases = [
        ("complaint_spam", "nobody wants it", "spam"),
        ("complaint_forged", "it is not what it says", "forged"),
        ("complaint_flood", "too much of it", "flood"),
        ("complaint_other", "something else", "other"),
    ];
    let own = |(name, what, reason): (&str, &str, &'static str)| {
        let mut fields = fields(&complaint(reason), reason);
        fields["seed"] = json!(hex([BOB; 32]));
        good(name, "complaint", what, fields)
    };
    let other = Stated { version: 2, ..complaint("spam") };
    let what = "another version, which no reader minds";
    let other = good("complaint_version_2", "complaint", what, fields(&other, "spam"));
    cases.into_iter().map(own).chain([other]).collect()
}

fn complaint_fields() -> Vec<Vector> {
    let field = |name, what, reason, change: &dyn Fn(&mut Map)| in_body(name, what, reason, &complaint("spam"), change);
    vec![
        field("complaint_reason_unknown", "a reason that is not known", "unknown variant", &|b| {
            set(b, "reason", text("dull"));
        }),
        field("complaint_reason_empty", "an empty reason", "unknown variant", &|b| set(b, "reason", text(""))),
        field("complaint_reason_null", "null in the reason's place", "wrong form", &|b| set(b, "reason", Value::Null)),
        field("complaint_missing_reason", "no reason", "missing field", &|b| remove(b, "reason")),
        field("complaint_why", "a word for people, as receipts have it", "unknown field", &|b| {
            set(b, "why", text("no"));
        }),
        edited("complaint_is_receipt", "a receipt", "another statement", &complaint("spam"), &|part| {
            if let Part::Map(statement) = part {
                set(statement, "kind", text("receipt"));
            }
        }),
        edited(
            "complaint_reason_altered",
            "another reason than what was signed",
            SIGNATURE,
            &complaint("spam"),
            &|part| {
                if let Part::Whole(whole) = part {
                    replace(whole, b"spam", b"span");
                }
            },
        ),
    ]
}

const SIGNATURE: &str = "signature does not match";

/// What can be wrong with either.
fn said_wrong(kind: &str, said: &Stated) -> Vec<Vector> {
    let part = |name: &str, what: &str, reason: &str, edit: &dyn Fn(Part)| {
        edited(&format!("{kind}_{name}"), what, reason, said, edit)
    };
    let body = |name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Map)| {
        in_body(&format!("{kind}_{name}"), what, reason, said, change)
    };
    let map = |name: &str, what: &str, reason: &str, key: &str, value: Value| {
        part(name, what, reason, &|part| {
            if let Part::Map(statement) = part {
                set(statement, key, value.clone());
            }
        })
    };
    let whole = |name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Vec<u8>)| {
        part(name, what, reason, &|part| {
            if let Part::Whole(whole) = part {
                change(whole);
            }
        })
    };
    vec![
        body("about_31_bytes", "an id that is too short", "wrong form", &|b| set(b, "about", bytes([1; 31]))),
        body("about_text", "an id as text", "wrong form", &|b| {
            set(b, "about", text(&LetterId::from_bytes(ABOUT).to_string()));
        }),
        body("missing_about", "nothing that it is about", "missing field", &|b| remove(b, "about")),
        body("unknown_key", "a key that is not known", "unknown field", &|b| set(b, "extra", int(1))),
        body("keys_out_of_order", "two keys exchanged", "deterministic", &|b| b.swap(0, 1)),
        part("body_trailing_byte", "a byte behind the body's map", "deterministic", &|part| {
            if let Part::BodyBytes(body) = part {
                body.push(0);
            }
        }),
        map("is_card", "the kind of a card", "another statement", "kind", text("card")),
        map("is_step", "the kind of a step", "another statement", "kind", text("step")),
        map("issuer_other", "carol's name on what bob signed", SIGNATURE, "issuer", bytes(node(CAROL).identity_key())),
        part("sig_bit", "a bit of the signature altered", SIGNATURE, &|part| {
            if let Part::Sig(sig) = part {
                sig[7] ^= 1;
            }
        }),
        part("sig_other_label", "a signature made for a letter", SIGNATURE, &|part| {
            if let Part::Sig(sig) = part {
                *sig = node(ALICE).sign(Label::Letter, &[b"any"]);
            }
        }),
        whole("cut", "the last byte is missing", "ends in the middle", &|w| w.truncate(w.len() - 1)),
        whole("601_bytes", "more than 600 bytes", "more than the 600", &|w| w.resize(601, 0)),
    ]
}

/// As many packets, of which somebody says something; nobody reads it here.
fn reports(count: usize) -> Vec<(PacketId, Vec<u8>)> {
    let report = |number: usize| {
        let packet = PacketId::from_bytes(hash(Label::Packet, &[&(number as u64).to_be_bytes()]));
        (packet, receipt_at(TIME + number as u64, "handed", None).make())
    };
    (0..count).map(report).collect()
}

fn reporting(reports: Vec<(PacketId, Vec<u8>)>) -> Draft {
    Draft { carried: Carried::Reports(reports), ..Draft::new() }
}

/// One whose statement has this length, and is none.
fn sized(len: usize) -> Draft {
    reporting(vec![(PacketId::from_bytes([1; 32]), vec![7; len])])
}

fn envelopes() -> Vec<Vector> {
    let [one] = &reports(1)[..] else { panic!("one report") };
    let twice = vec![one.clone(), one.clone()];
    let complaint = (one.0, complaint("spam").make());
    let cases = [
        ("reports_1", "a receipt on its way back", reporting(reports(1))),
        ("reports_64", "as many reports as an envelope may hold", reporting(reports(64))),
        ("reports_complaint", "a complaint on its way back", reporting(vec![complaint])),
        ("reports_twice", "a report that comes twice, which no reader minds", reporting(twice)),
        ("reports_600_bytes", "600 bytes in the place of a statement, which are not read here", sized(600)),
        ("reports_no_bytes", "nothing in the place of a statement, which is not read here", sized(0)),
    ];
    cases.into_iter().map(|(name, what, draft)| good(name, "envelope", what, draft.make().all())).collect()
}

fn envelopes_bad() -> Vec<Vector> {
    let limits = "1 to 64 of at most 600";
    let of = |name, what, draft: Draft| bad(name, "envelope", what, limits, draft.make().input());
    let edited = |name, what, reason, edit: &dyn Fn(Stage)| {
        bad(name, "envelope", what, reason, reporting(reports(1)).make_with(edit).input())
    };
    let value = |name, what, value: Value| {
        edited(name, what, "wrong form", &|stage| {
            if let Stage::Content(Value::Map(content)) = stage {
                set(content, "reports", value.clone());
            }
        })
    };
    let mut with_bodies = Draft::with_bodies(vec![listed(1, 5)]);
    with_bodies.carried = Carried::Reports(reports(1));
    let (packet, said) = (|| bytes([1; 32]), || bytes([7; 100]));
    let head = [cbor(&text("reports")), vec![0x81]].concat();
    vec![
        of("reports_none", "no report", reporting(vec![])),
        of("reports_65", "a report more than an envelope may hold", reporting(reports(65))),
        of("reports_bodies", "reports with a body in the prefix", with_bodies),
        of("reports_601_bytes", "a statement of a byte more than any has", sized(601)),
        value("reports_id_31_bytes", "an id that is too short", list([list([bytes([1; 31]), said()])])),
        value("reports_id_only", "an id, and nothing said", list([list([packet()])])),
        value("reports_flat", "a report without a list around it", list([packet(), said()])),
        value("reports_text", "a statement as text", list([list([packet(), text("fine")])])),
        value("reports_null", "null in the place of the list", Value::Null),
        edited("reports_three_items", "a report with a third item", "deterministic", &|stage| {
            if let Stage::Content(Value::Map(content)) = stage {
                set(content, "reports", list([list([packet(), said(), int(0)])]));
            }
        }),
        edited("reports_not_shortest", "the list's length takes a byte more than needed", "deterministic", &|stage| {
            if let Stage::InnerBytes(inner) = stage {
                replace(inner, &head, &[&head[..head.len() - 1], &[0x98, 1]].concat());
            }
        }),
    ]
}
