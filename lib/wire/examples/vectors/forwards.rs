//! `forward_…`: letters of a list, each with the letter that its author wrote to the list.

use std::cell::RefCell;

use ciborium::Value;
use mb_wire::body::BodyKey;
use mb_wire::hash::Label;
use mb_wire::letter::{Codec, Letter, LetterBody};

use super::areas::author_card;
use super::build::{Map, Vector, bad, bytes, good, int, list, map, remove, set, text};
use super::draft::{ALICE, BOB, CAROL, Draft, Stage, id, listed, node, request};

pub fn all() -> Vec<Vector> {
    [goods(), inners(), outers()].into_iter().flatten().collect()
}

/// The letter of this draft as carol wrote it to alice, a list.
fn written(draft: &Draft, change: &dyn Fn(&mut Letter)) -> Draft {
    let mut inner = Draft { author: CAROL, ..draft.clone() };
    (inner.letter.author, inner.letter.to) = (id(CAROL), id(ALICE).into());
    (inner.letter.salt, inner.letter.time) = ([0x77; 16], 1_699_999_999);
    change(&mut inner.letter);
    inner
}

/// What alice's letter has of one by carol.
fn fwd(signed: Value) -> Map {
    map([("card", bytes(author_card(CAROL))), ("letter", signed)])
}

fn plain(inner: &Draft) -> Map {
    fwd(inner.signed_letter(&|_| {}).0)
}

/// `draft` with this put into its letter, and then changed.
fn with(draft: &Draft, fwd: &Map, change: &dyn Fn(&mut Map)) -> Draft {
    let mut fwd = fwd.clone();
    change(&mut fwd);
    let mut draft = draft.clone();
    draft.letter.forwarded = Some(Value::Map(fwd).deserialized().expect("it is of the right form"));
    draft
}

fn goods() -> Vec<Vector> {
    let sent_on = |name, what, draft: &Draft, change: &dyn Fn(&mut Letter)| {
        let draft = with(draft, &plain(&written(draft, change)), &|_| {});
        good(name, "envelope", what, draft.make().all())
    };
    let (small, bodies) = (Draft::new(), Draft::with_bodies(vec![listed(1, 5), listed(2, 70_000)]));
    vec![
        sent_on("forward_inline", "a small file, sent on by a list", &small, &|_| {}),
        sent_on("forward_bodies", "a file in two bodies", &bodies, &|_| {}),
        sent_on("forward_later", "the author's letter ends later", &small, &|letter| letter.end += 300),
        sent_on("forward_wants", "its author wanted a receipt of the list", &small, &|letter| {
            letter.wants = 1.try_into().expect("a receipt");
        }),
    ]
}

/// What is wrong with the author's letter.
fn inners() -> Vec<Vector> {
    let small = Draft::new();
    let written_so = |name, what, reason, change: &dyn Fn(&mut Letter)| {
        let draft = with(&small, &plain(&written(&small, change)), &|_| {});
        bad(name, "envelope", what, reason, draft.make().input())
    };
    let signed_so = |name, what, reason, edit: &dyn Fn(Stage)| {
        let signed = written(&small, &|_| {}).signed_letter(edit).0;
        bad(name, "envelope", what, reason, with(&small, &fwd(signed), &|_| {}).make().input())
    };
    let mapped = |name, what, reason, change: &dyn Fn(&mut Map)| {
        signed_so(name, what, reason, &|stage| {
            if let Stage::LetterMap(letter) = stage {
                change(letter);
            }
        })
    };
    let signed = RefCell::new(Vec::new());
    let in_bodies = Draft::with_bodies(vec![listed(1, 5), listed(2, 70_000)]);
    let listed_so = |name, what, change: &dyn Fn(&mut Vec<LetterBody>)| {
        let inner = written(&in_bodies, &|letter| change(&mut letter.bodies));
        bad(name, "envelope", what, "another payload", with(&in_bodies, &plain(&inner), &|_| {}).make().input())
    };
    let way = super::road::Road::reply(2, b"").way_back();
    let nested = plain(&written(&small, &|_| {}));
    vec![
        written_so("forward_to_other", "written to somebody else than the list", "to somebody else", &|letter| {
            letter.to = id(BOB).into();
        }),
        written_so("forward_kind", "another name than its author gave", "something else", &|letter| {
            let mut other = Draft::new();
            other.file().path = b"other.txt".to_vec();
            letter.kind = other.letter.kind;
        }),
        written_so("forward_request", "a file in the place of a request", "something else", &|letter| {
            (letter.kind, letter.inline) = (request(false, b"x"), Some(Vec::new()));
        }),
        written_so("forward_payload", "another payload than its author's", "another payload", &|letter| {
            letter.inline = Some(b"hello, all\n".to_vec());
        }),
        written_so("forward_payload_in_bodies", "a payload that was in a body", "another payload", &|letter| {
            (letter.inline, letter.bodies) = (None, vec![listed(1, 11)]);
        }),
        listed_so("forward_body_key", "another key for a body", &|bodies| {
            bodies[0].key = BodyKey::from_random([9; 32])
        }),
        listed_so("forward_body_codec", "another codec for a body", &|bodies| bodies[1].codec = Codec::Zstd),
        listed_so("forward_body_order", "the bodies the other way round", &|bodies| bodies.swap(0, 1)),
        listed_so("forward_body_less", "a body less", &|bodies| drop(bodies.pop())),
        written_so("forward_reply", "the author's letter has a way back", "a way back", &|letter| {
            letter.wants = 1.try_into().expect("a receipt");
            letter.reply = Some(Box::new(way.clone()));
        }),
        written_so("forward_ends", "the author's letter ends before the list's", "ends after", &|letter| {
            letter.end -= 1
        }),
        mapped("forward_nested", "the letter of a list in that of another", "another list", &|letter| {
            set(letter, "fwd", Value::Map(nested.clone()));
        }),
        mapped("forward_author", "another author than the card's", "another node", &|letter| {
            set(letter, "author", bytes(id(BOB).as_bytes()));
        }),
        mapped("forward_unknown_key", "a key that is not known", "unknown field", &|letter| set(letter, "zzz", int(1))),
        mapped("forward_missing_salt", "no salt", "missing field", &|letter| remove(letter, "salt")),
        signed_so("forward_sig_bit", "a bit of the author's signature altered", "signature", &|stage| {
            if let Stage::LetterSig(sig) = stage {
                sig[3] ^= 1;
            }
        }),
        signed_so("forward_sig_by_list", "signed by the list", "signature", &|stage| match stage {
            Stage::LetterBytes(letter) => *signed.borrow_mut() = letter.clone(),
            Stage::LetterSig(sig) => *sig = node(ALICE).sign(Label::Letter, &[&signed.borrow()]),
            _ => {}
        }),
        signed_so("forward_trailing_byte", "a byte behind the author's letter", "deterministic", &|stage| {
            if let Stage::LetterBytes(signed) = stage {
                signed.push(0);
            }
        }),
    ]
}

/// What is wrong with what carries it.
fn outers() -> Vec<Vector> {
    let small = Draft::new();
    let right = plain(&written(&small, &|_| {}));
    let carried = |name, what, reason, change: &dyn Fn(&mut Map)| {
        let edit = |stage: Stage| {
            if let Stage::LetterMap(letter) = stage {
                let mut fwd = right.clone();
                change(&mut fwd);
                set(letter, "fwd", Value::Map(fwd));
            }
        };
        bad(name, "envelope", what, reason, small.make_with(&edit).input())
    };
    let value =
        |name, what, reason, key: &str, value: Value| carried(name, what, reason, &|fwd| set(fwd, key, value.clone()));
    let form = "wrong form";
    vec![
        value("forward_card_other", "the card of another", "another node", "card", bytes(author_card(BOB))),
        value("forward_card_empty", "no bytes in the place of a card", "card", "card", bytes([])),
        value("forward_card_text", "a card as text", form, "card", text("mbcard1")),
        value("forward_letter_text", "a letter as text", form, "letter", text("x")),
        value("forward_letter_one", "a letter without a signature", form, "letter", list([bytes([1; 100])])),
        value("forward_key_unknown", "a key that is not known", "unknown field", "list", int(1)),
        carried("forward_missing_card", "no card", "missing field", &|fwd| remove(fwd, "card")),
        carried("forward_missing_letter", "no letter", "missing field", &|fwd| remove(fwd, "letter")),
    ]
}
