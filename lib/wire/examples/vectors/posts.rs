//! `area_…`: messages of areas, in envelopes.

use std::cell::RefCell;

use ciborium::Value;
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{AreaId, MsgHash};
use mb_wire::letter::{Letter, Posted, Reader};
use serde_json::{Value as Json, json};

use super::areas::{Area, POST, author_card, post_public};
use super::build::{
    Map, Vector, bad, beyond_order, bytes, cbor, entry, good, hex, inside, int, list, map, remove, set, text,
};
use super::draft::{ALICE, BOB, CAROL, Draft, Stage, exec, id, listed, node, request};
use super::post::{At, Post, name, sign, sign_otherwise};

pub fn all() -> Vec<Vector> {
    [goods(), judged(), items(), heads(), seals(), letters(), posts(), around()].into_iter().flatten().collect()
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
            items[2] = bytes(sign_otherwise(&POST, Label::Post, name(parts[0], parts[1]).as_bytes()));
        }
    });
    // Its author can do that, and nobody else: two messages, whose letters have one id.
    let written = RefCell::new(Vec::new());
    let twice = Post::new().make_with(&|at| match at {
        At::Stage(Stage::LetterBytes(letter)) => *written.borrow_mut() = letter.clone(),
        At::Stage(Stage::LetterSig(sig)) => {
            let key = keyed(&[ALICE; 32], Label::Ident, &[]);
            *sig = sign_otherwise(&key, Label::Letter, &written.borrow());
        }
        _ => {}
    });
    let (once, twice) = (Post::new().make().make().all(), as_read(twice.make().all()));
    assert_eq!(once["letter"]["id"], twice["letter"]["id"]);
    assert_ne!(once["area"]["hash"], twice["area"]["hash"]);
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
        good(
            "area_letter_signed_again",
            "envelope",
            "the letter of area_inline, signed once more by its author",
            twice,
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

/// Makes a signature from head and what is sealed.
type Sign<'a> = &'a dyn Fn(&[u8], &[u8]) -> [u8; 64];

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
    let resigned = |name, what, sign: Sign| {
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
        letter("area_letter_for_node", "a letter for a node", "not that of its author", &Post::new(), &|l| {
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
        mapped("area_post_missing", "a letter that names the area, and has no post", "not that of its author", &|m| {
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
