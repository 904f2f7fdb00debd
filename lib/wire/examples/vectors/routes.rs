//! `route_…`, `slot_…`, `onion_…` and `sealed_…`: what a hop opens, up to the letter at the last one.

use ciborium::Value;
use mb_wire::hash::{Label, hash};
use mb_wire::id::Root;
use mb_wire::key::ExchangeSecret;
use mb_wire::letter::Letter;
use serde_json::{Value as Json, json};

use super::build::{Map, Vector, bad, bytes, good, hex, int, map, set};
use super::draft::{ALICE, BOB, CAROL, Stage, id, listed, node};
use super::envelopes::pattern;
use super::road::{Road, Routed, Terms, Turn, hop_exchange};

pub fn all() -> Vec<Vector> {
    let opened = [
        goods(),
        onions(),
        replies(),
        replies_bad(),
        readers(),
        shares(),
        blocks(),
        slots(),
        payloads(),
        bodies(),
        onions_bad(),
    ];
    let sealed = [seals(), fillings(), letters(), lists()];
    opened.into_iter().chain(sealed).flatten().collect()
}

fn goods() -> Vec<Vector> {
    let plain = |hops: usize| {
        let (name, what) = (format!("route_hops_{hops}"), format!("a plain route of {hops} hops"));
        let bodies = (0..hops as u8 % 3).map(|number| listed(number, 70_000)).collect::<Vec<_>>();
        let road = if bodies.is_empty() { Road::new(hops) } else { Road::with_bodies(hops, bodies) };
        good(&name, "route", &what, road.make().all())
    };
    let mut held = Road::new(4);
    [604_800, 0, 1].into_iter().zip(&mut held.terms).for_each(|(hold, terms)| terms.hold = hold);
    let mut long = Road::new(2);
    long.draft.letter.inline = Some(pattern(4_500));
    let cases = [
        ("route_receipts", "a plain route whose author wants receipts", wanting(3, 1)),
        ("route_trace", "a plain route of two hops with the author's step of a trace", traced(wanting(2, 2))),
        (
            "route_receipts_and_trace",
            "a letter to a neighbour, whose author wants receipts and a trace",
            traced(wanting(1, 3)),
        ),
        (
            "route_bodies",
            "a plain route with three bodies",
            Road::with_bodies(2, (1..4).map(|n| listed(n, 9)).collect()),
        ),
        ("route_held", "a route whose first relay holds it for 7 days, the third for a second", held),
        ("route_payload_padme", "a payload of a Padmé size", long),
        ("route_terms", "slots with other days and nice each, and envelopes that end before them", own_terms()),
    ];
    let made = cases.into_iter().map(|(name, what, road)| good(name, "route", what, road.make().all()));
    (1..=8).map(plain).chain(made).chain([high_bit()]).collect()
}

/// A plain road whose letter wants this.
fn wanting(hops: usize, wants: u8) -> Road {
    let mut road = Road::new(hops);
    road.draft.letter.wants = wants.try_into().expect("1 to 3");
    road.receipt = road.draft.letter.wants.receipt;
    road
}

/// The author has made the first step of a trace.
fn traced(mut road: Road) -> Road {
    let (_, letter) = road.draft.signed_letter(&|_| {});
    road.trace = super::traces::path(letter, 1);
    road
}

/// A writer may say something else to each hop, the library's does not.
fn own_terms() -> Road {
    let mut road = Road::new(3);
    let terms = [(0, u32::MAX, 1, 0), (20_090, 20_091, 255, 7), (20_089, 20_089, 2, 0)];
    for (place, (envelope_end, end, nice, hold)) in road.terms.iter_mut().zip(terms) {
        *place = Terms { envelope_end, end, nice, hold };
    }
    road
}

/// As in an envelope, X25519 ignores the highest bit, and the key schedule does not.
fn high_bit() -> Vector {
    let edit = |turn: Turn| match turn {
        Turn::Share(share) | Turn::LetterShare(share) => share[31] |= 0x80,
        _ => {}
    };
    let mut fields = Road::new(1).make_with(0, &edit).all();
    for writer_only in ["coins", "author_seed", "salt"] {
        fields.as_object_mut().expect("an object").remove(writer_only);
    }
    fields["hops"][0].as_object_mut().expect("an object").remove("coins");
    good("route_share_high_bit", "route", "shares with their highest bit set, which X25519 ignores", fields)
}

fn onions() -> Vec<Vector> {
    let contents = [pattern(24), pattern(130)];
    let onion = |hops: usize| {
        let (name, what) = (format!("onion_hops_{hops}"), format!("an onion of {hops} hops"));
        let payloads: Vec<&[u8]> = contents.iter().take(hops % 3).map(|payload| &payload[..]).collect();
        good(&name, "route", &what, Road::onion(hops, &payloads).make().all())
    };
    let mut held = Road::onion(3, &[&pattern(300)]);
    held.terms[1].hold = 86_400;
    let held = good("onion_held", "route", "an onion that its second relay holds for a day", held.make().all());
    let mut answerable = Road::onion(3, &[]);
    answerable.draft.letter.reply = Some(Box::new(Road::reply(3, b"").way_back()));
    answerable.draft.letter.wants = 1.try_into().expect("1 to 3");
    let what = "an onion whose letter holds a way back";
    let answerable = good("onion_with_way_back", "route", what, answerable.make().all());
    let mut long = Road::onion(2, &[]);
    long.draft.letter.inline = Some(pattern(5_000));
    let long = good("onion_payload_padme", "route", "an onion's payload of a Padmé size", long.make().all());
    (2..=8).map(onion).chain([held, answerable, long]).collect()
}

/// Any statement will do: who reads a reply does not look into it.
fn replies() -> Vec<Vector> {
    let by_hops = |hops: usize| {
        let (name, what) = (format!("reply_hops_{hops}"), format!("a reply by a way back of {hops} hops"));
        good(&name, "reply", &what, Road::reply(hops, &pattern(180 + hops)).make().answered(true))
    };
    let mut held = Road::reply(3, &pattern(9));
    [604_800, 5].into_iter().zip(&mut held.terms).for_each(|(hold, terms)| terms.hold = hold);
    let cases = [
        ("reply_longest", "a reply of 600 bytes", Road::reply(2, &pattern(600))),
        ("reply_empty", "a reply of no bytes", Road::reply(2, &[])),
        ("reply_held", "a reply that two relays hold", held),
    ];
    let made = cases.into_iter().map(|(name, what, road)| good(name, "reply", what, road.make().answered(true)));
    (1..=8).map(by_hops).chain(made).collect()
}

/// What no relay can see, and the author refuses.
fn replies_bad() -> Vec<Vector> {
    let reply_of = |len: usize, name, what, reason, edit: &dyn Fn(Turn)| {
        bad(name, "reply", what, reason, Road::reply(3, &pattern(len)).make_with(0, edit).answered(false))
    };
    let reply = |name, what, reason, edit: &dyn Fn(Turn)| reply_of(200, name, what, reason, edit);
    let altered = |name, what, change: &dyn Fn(&mut Vec<u8>)| {
        reply(name, what, "reply does not open", &|turn| {
            if let Turn::Routed(routed) = turn {
                change(&mut routed.payload);
            }
        })
    };
    let plain = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        reply(name, what, reason, &|turn| {
            if let Turn::Plain(plain) = turn {
                change(plain);
            }
        })
    };
    vec![
        altered("reply_salt_bit", "a bit of the salt altered on the way", &|p| p[0] ^= 1),
        altered("reply_first_bit", "a bit of what is sealed altered on the way", &|p| p[32] ^= 1),
        altered("reply_last_bit", "a bit of the cipher's tag altered on the way", &|p| p[4095] ^= 1),
        altered("reply_noise", "something else in the reply's place", &|p| p.fill(7)),
        reply("reply_nonce", "a nonce that is not zero", "reply does not open", &|turn| {
            if let Turn::Nonce(nonce) = turn {
                nonce[0] = 1;
            }
        }),
        reply("reply_other_salt", "a salt that does not come from the statement", "not in its one form", &|turn| {
            if let Turn::LetterCommit(salt) = turn {
                salt[0] ^= 1;
            }
        }),
        plain("reply_padding", "padding that is not zero", "not in its one form", &|p| {
            p.last_mut().into_iter().for_each(|last| *last = 1);
        }),
        plain("reply_length_beyond", "n goes beyond the end", "more than the 600 allowed", &|p| p[0] = 0x80),
        reply_of(601, "reply_601_bytes", "a reply that is too long", "more than the 600 allowed", &|_| {}),
    ]
}

/// A plain route of a relay and a recipient, with one thing done wrong at hop `at`, which reads it.
fn edited(at: usize, name: &str, what: &str, reason: &str, edit: &dyn Fn(Turn)) -> Vector {
    bad(name, "route", what, reason, Road::new(2).make_with(at, edit).input(at))
}

/// What the relay is given, changed.
fn given(name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Json)) -> Vector {
    let mut input = Road::with_bodies(2, vec![listed(1, 5), listed(2, 5)]).make().input(0);
    change(&mut input["hops"][0]);
    bad(name, "route", what, reason, input)
}

fn routed(name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Routed)) -> Vector {
    edited(0, name, what, reason, &|turn| {
        if let Turn::Routed(routed) = turn {
            change(routed);
        }
    })
}

const COMMITMENT: &str = "route commitment does not match";

fn readers() -> Vec<Vector> {
    let schedule = |name, what, place: usize, part: Vec<u8>| {
        edited(0, name, what, COMMITMENT, &|turn| {
            if let Turn::Schedule(parts) = turn {
                parts[place] = part.clone();
            }
        })
    };
    let other_exchange = ExchangeSecret::from_random([0x77; 32]);
    let key = other_exchange.tag();
    vec![
        given("route_for_another", "the reader is another node", COMMITMENT, &|hop| {
            hop["to"] = json!(id(CAROL).to_string());
        }),
        given("route_no_key", "the reader has another exchange key", "which is not here", &|hop| {
            hop["exchange"] = json!(hex([0x77; 32]));
        }),
        routed("route_key_other", "`key` names another exchange key", "which is not here", &|r| r.key = key),
        schedule("route_other_suite", "a key schedule with suite 2", 0, vec![2]),
        schedule("route_other_context", "keys of a hop as those of an envelope", 1, b"envelope".to_vec()),
        schedule("route_other_recipient_key", "made for another key under this tag", 3, other_exchange.public().into()),
        schedule("route_other_recipient", "made for the key as another node's", 4, id(ALICE).as_bytes().to_vec()),
        schedule("route_other_secret", "a shared secret that is not that of the share", 5, vec![9; 32]),
    ]
}

fn shares() -> Vec<Vector> {
    let low_order = |name, what, point: [u8; 32]| {
        edited(0, name, what, "low order", &|turn| match turn {
            Turn::Share(share) => *share = point,
            Turn::Schedule(parts) => parts[5].fill(0),
            _ => {}
        })
    };
    let mut one = [0; 32];
    one[0] = 1;
    vec![
        low_order("route_share_zero", "a share of zeros, with the secret that it forces", [0; 32]),
        low_order("route_share_one", "a share of order 1, with the secret that it forces", one),
        routed("route_share_altered", "a bit of the share altered", COMMITMENT, &|r| r.share[0] ^= 1),
        routed("route_commit_altered", "a bit of the commitment altered", COMMITMENT, &|r| r.commit[31] ^= 1),
    ]
}

fn blocks() -> Vec<Vector> {
    let altered = |name, what, change: &dyn Fn(&mut Routed)| routed(name, what, "tag does not match", change);
    vec![
        altered("route_tag_altered", "a bit of the tag altered", &|r| r.tag[0] ^= 1),
        altered("route_tag_other_label", "the tag as a hash without key", &|r| r.tag = hash(Label::Slot, &[&r.block])),
        altered("route_block_first_bit", "a bit of this hop's slot altered", &|r| r.block[0] ^= 1),
        altered("route_block_last_bit", "a bit of a slot further on altered", &|r| r.block[2047] ^= 0x80),
    ]
}

fn slots() -> Vec<Vector> {
    let slot = |at: usize, name, what, reason, change: &dyn Fn(&mut [u8; 256])| {
        edited(at, name, what, reason, &|turn| {
            if let Turn::Slot(slot) = turn {
                change(slot);
            }
        })
    };
    let (zeros, flags, hold) = ("where zeros should be", "flags that are not known", "a time to be held");
    let behind = "a next hop behind the last one";
    vec![
        slot(0, "slot_zeros_first", "the first of the zeros at the end is not zero", zeros, &|s| s[242] = 1),
        slot(0, "slot_zeros_last", "the last byte is not zero", zeros, &|s| s[255] = 0x80),
        slot(0, "slot_flag_8", "a flag that is not known", flags, &|s| s[237] |= 8),
        slot(1, "slot_flag_128", "a flag that is not known, at the last hop", flags, &|s| s[237] |= 128),
        slot(0, "slot_nice_0", "nice is 0", "a nice of 0", &|s| s[236] = 0),
        slot(1, "slot_nice_0_at_last", "nice is 0 at the last hop", "a nice of 0", &|s| s[236] = 0),
        slot(0, "slot_hold_over", "held a second longer than 7 days", hold, &|s| {
            s[238..242].copy_from_slice(&604_801_u32.to_be_bytes());
        }),
        slot(1, "slot_hold_at_last", "held for a second at the last hop", hold, &|s| s[241] = 1),
        slot(0, "slot_no_next", "no next hop, at a relay", "no next hop", &|s| s[..32].fill(0)),
        slot(1, "slot_not_last", "the last hop's slot without its flag", "no next hop", &|s| s[237] = 0),
        slot(0, "slot_last_with_next", "a relay's slot with the flag of the last hop", behind, &|s| s[237] = 1),
        slot(1, "slot_node_at_last", "a next node at the last hop", behind, &|s| s[0] = 1),
        slot(1, "slot_tag_at_last", "zeros but for the next hop's tag, at the last hop", behind, &|s| s[135] = 1),
        slot(0, "slot_load_other", "the hash of another payload", "payload was altered", &|s| s[136] ^= 1),
        slot(0, "slot_lists_other", "the hashes of other bodies than none", "bodies are not those", &|s| {
            s[168..232].fill(7);
        }),
        slot(
            0,
            "slot_leaving_other",
            "other bodies leave than come, and it is no onion",
            "other bodies leaving",
            &|s| {
                s[200] ^= 1;
            },
        ),
        slot(
            0,
            "slot_arriving_other",
            "other bodies come than leave, and it is no onion",
            "other bodies leaving",
            &|s| {
                s[168] ^= 1;
            },
        ),
        slot(0, "slot_ends_before_envelope", "the envelope ends a day later", "before its envelope", &|s| {
            s[232..236].copy_from_slice(&20_089_u32.to_be_bytes());
        }),
        slot(1, "slot_ends_before_envelope_at_last", "the same at the last hop", "before its envelope", &|s| {
            s[232..236].copy_from_slice(&0_u32.to_be_bytes());
        }),
    ]
}

fn payloads() -> Vec<Vector> {
    let altered = "payload was altered";
    let arriving = |name, what, len: usize| {
        edited(0, name, what, &format!("no payload under way has {len} bytes"), &|turn| {
            if let Turn::Arriving(payload) = turn {
                payload.resize(len, 0);
            }
        })
    };
    vec![
        routed("route_payload_first_bit", "a bit of the payload altered", altered, &|r| r.payload[0] ^= 1),
        routed("route_payload_last_bit", "its last bit altered", altered, &|r| r.payload[511] ^= 1),
        routed("route_payload_longer", "zeros up to the next class", altered, &|r| r.payload.resize(1024, 0)),
        arriving("route_payload_600_bytes", "a payload, as the slot has it, whose length is no class", 600),
        arriving("route_payload_no_bytes", "no payload, as the slot has it", 0),
    ]
}

fn bodies() -> Vec<Vector> {
    let list = |name, what, change: &dyn Fn(&mut Vec<Json>)| {
        given(name, what, "bodies are not those", &|hop| match &mut hop["bodies"] {
            Json::Array(bodies) => change(bodies),
            other => panic!("{other}"),
        })
    };
    let other = Root::from_bytes([9; 32]).to_string();
    vec![
        list("route_bodies_swapped", "two bodies of one size exchanged", &|b| b.swap(0, 1)),
        list("route_bodies_one_less", "the second body is missing", &|b| b.truncate(1)),
        list("route_bodies_one_more", "a body more", &|b| b.push(json!({"root": other, "size": 21}))),
        list("route_bodies_other_root", "another body of the same size", &|b| b[0]["root"] = json!(other)),
        list("route_bodies_other_size", "another size under the same root", &|b| b[0]["size"] = json!(22)),
    ]
}

/// What is sealed for the recipient, its hashes right at each hop.
fn sealed(name: &str, what: &str, reason: &str, edit: &dyn Fn(Turn)) -> Vector {
    edited(1, name, what, reason, edit)
}

fn seals() -> Vec<Vector> {
    let schedule = |name, what, place: usize, part: Vec<u8>| {
        sealed(name, what, COMMITMENT, &|turn| {
            if let Turn::LetterSchedule(parts) = turn {
                parts[place] = part.clone();
            }
        })
    };
    let payload = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        sealed(name, what, reason, &|turn| {
            if let Turn::Payload(payload) = turn {
                change(payload);
            }
        })
    };
    vec![
        schedule("sealed_other_suite", "the letter sealed with suite 2 in the key schedule", 0, vec![2]),
        schedule("sealed_other_context", "the letter sealed as keys of a hop", 1, b"route".to_vec()),
        schedule("sealed_to_relay_key", "the letter sealed to the relay's key", 3, hop_exchange(0).public().into()),
        schedule("sealed_to_relay", "the letter sealed to the key as the relay's", 4, id(BOB).as_bytes().to_vec()),
        sealed(
            "sealed_share_zero",
            "a share of zeros, with the secret that it forces",
            "low order",
            &|turn| match turn {
                Turn::LetterShare(share) => share.fill(0),
                Turn::LetterSchedule(parts) => parts[5].fill(0),
                _ => {}
            },
        ),
        sealed("sealed_commit_altered", "a bit of the letter's commitment altered", COMMITMENT, &|turn| {
            if let Turn::LetterCommit(commit) = turn {
                commit[0] ^= 1;
            }
        }),
        sealed("sealed_nonce", "a nonce that is not zero", "does not open", &|turn| {
            if let Turn::Nonce(nonce) = turn {
                nonce[11] = 1;
            }
        }),
        sealed("sealed_without_associated_data", "share and commitment not bound", "does not open", &|turn| {
            if let Turn::Associated(data) = turn {
                data.clear();
            }
        }),
        payload("sealed_first_bit", "a bit of the ciphertext altered", "does not open", &|p| p[64] ^= 1),
        payload("sealed_tag_bit", "a bit of the cipher's tag altered", "does not open", &|p| p[511] ^= 1),
        payload("sealed_filled_up", "zeros up to the next class", "does not open", &|p| p.resize(1024, 0)),
    ]
}

fn fillings() -> Vec<Vector> {
    let plain = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        sealed(name, what, reason, &|turn| {
            if let Turn::Plain(plain) = turn {
                change(plain);
            }
        })
    };
    let n = |plain: &[u8]| u32::from_be_bytes(plain[..4].try_into().expect("four bytes"));
    let claim = |plain: &mut Vec<u8>, n: u32| plain[..4].copy_from_slice(&n.to_be_bytes());
    let zeros = "something else than zeros";
    vec![
        plain("sealed_length_beyond", "n goes a byte beyond the end", "than fits", &|p| claim(p, p.len() as u32 - 3)),
        plain("sealed_length_2_32", "n is 2^32 - 1", "than fits", &|p| claim(p, u32::MAX)),
        plain("sealed_length_short", "n is a byte too small", zeros, &|p| claim(p, n(p) - 1)),
        plain("sealed_length_with_zeros", "n takes a zero of the padding with it", "deterministic", &|p| {
            claim(p, n(p) + 1);
        }),
        plain("sealed_length_0", "n is 0", zeros, &|p| claim(p, 0)),
        plain("sealed_padding_first", "the first byte of the padding is not zero", zeros, &|p| {
            let at = 4 + n(p) as usize;
            p[at] = 0x80;
        }),
        plain("sealed_padding_last", "the last byte of the padding is not zero", zeros, &|p| {
            p.last_mut().into_iter().for_each(|last| *last = 1);
        }),
        plain("sealed_class_too_large", "filled up to the class after the right one", "instead of 512", &|p| {
            p.resize(p.len() + 512, 0);
        }),
    ]
}

fn letters() -> Vec<Vector> {
    let signed = |name, what, reason, change: &dyn Fn(&mut Value)| {
        sealed(name, what, reason, &|turn| {
            if let Turn::Signed(signed) = turn {
                change(signed);
            }
        })
    };
    let stage = |name, what, reason, edit: &dyn Fn(Stage)| {
        sealed(name, what, reason, &|turn| {
            if let Turn::Letter(stage) = turn {
                edit(stage);
            }
        })
    };
    let mapped = |name, what, reason, change: &dyn Fn(&mut Map)| {
        stage(name, what, reason, &|stage| {
            if let Stage::LetterMap(letter) = stage {
                change(letter);
            }
        })
    };
    let sig = |name, what, change: &dyn Fn(&mut [u8; 64])| {
        stage(name, what, "signature does not match: the letter", &|stage| {
            if let Stage::LetterSig(sig) = stage {
                change(sig);
            }
        })
    };
    let mut other_author = Road::new(2).make().input(1);
    other_author["author"] = json!(hex(node(CAROL).identity_key()));
    let pair = |signed: &mut Value, change: &dyn Fn(&mut Vec<Value>)| match signed {
        Value::Array(pair) => change(pair),
        other => panic!("{other:?}"),
    };
    vec![
        signed("sealed_content", "the letter as in an envelope, in a map", "wrong form", &|s| {
            *s = Value::Map(map([("letter", s.clone())]));
        }),
        signed("sealed_unsigned", "a letter without signature", "wrong form", &|s| pair(s, &|p| p.truncate(1))),
        signed("sealed_three_items", "a letter with a third item", "deterministic", &|s| pair(s, &|p| p.push(int(0)))),
        signed("sealed_nothing", "nothing in the letter's place", "wrong form", &|s| *s = Value::Null),
        mapped("sealed_unknown_key", "a key that is not known in the letter", "unknown field", &|m| {
            set(m, "extra", int(1));
        }),
        mapped("sealed_keys_out_of_order", "two keys of the letter exchanged", "deterministic", &|m| m.swap(1, 2)),
        mapped("sealed_letter_for_relay", "a letter for the relay", "letter is for mbn1", &|m| {
            set(m, "to", bytes(id(BOB).as_bytes()));
        }),
        mapped("sealed_letter_ends_before_slot", "the slot ends a day later", "before what it lies in", &|m| {
            set(m, "end", int(20_089));
        }),
        mapped("sealed_no_payload", "no payload in the letter, and no bodies", "either in it or in bodies", &|m| {
            super::build::remove(m, "inline");
        }),
        sig("sealed_letter_sig_bit", "a bit of the letter's signature altered", &|s| s[0] ^= 1),
        sig("sealed_letter_sig_other_label", "a signature made for a hop", &|s| {
            *s = node(ALICE).sign(Label::Hop, &[b"any"]);
        }),
        bad(
            "sealed_author_key",
            "route",
            "the key at hand is not the author's",
            "not that of its author",
            other_author,
        ),
    ]
}

fn lists() -> Vec<Vector> {
    let listing = |name, what, change: &dyn Fn(&mut Letter)| {
        let road = Road::with_bodies(1, vec![listed(1, 5), listed(2, 5)]);
        let mut letter = road.draft.letter.clone();
        change(&mut letter);
        let bodies = letter.bodies.iter().map(|b| {
            let (root, key) = (bytes(b.root.as_bytes()), bytes(b.key.as_bytes()));
            Value::Array(vec![root, int(b.size), key, int(b.len), int(u8::from(b.codec))])
        });
        let bodies = Value::Array(bodies.collect());
        let made = road.make_with(0, &|turn| {
            if let Turn::Letter(Stage::LetterMap(letter)) = turn {
                set(letter, "bodies", bodies.clone());
            }
        });
        bad(name, "route", what, "other bodies than what it lies in", made.input(0))
    };
    vec![
        listing("sealed_bodies_swapped", "the letter lists two bodies of one size the other way", &|l| {
            l.bodies.swap(0, 1);
        }),
        listing("sealed_bodies_one_less", "the letter lists a body less than came", &|l| l.bodies.truncate(1)),
        listing("sealed_bodies_one_more", "the letter lists a body more than came", &|l| l.bodies.push(listed(3, 5))),
    ]
}

/// Bodies of an onion that are not what the slot or the letter says, behind the veil of the hop.
fn onions_bad() -> Vec<Vector> {
    let payload = pattern(40);
    let onion_for = |at: usize, name, what, reason, change: &dyn Fn(&mut [u8; 256])| {
        let edit = |turn: Turn| {
            if let Turn::Slot(slot) = turn {
                change(slot);
            }
        };
        let made = Road::onion(2, &[&payload, &payload]).make_with(at, &edit);
        bad(name, "route", what, reason, made.input(at))
    };
    let onion = |at, name, what, change: &dyn Fn(&mut [u8; 256])| onion_for(at, name, what, "bodies", change);
    let mut swapped = Road::onion(2, &[&payload, &payload]).make().input(0);
    for list in ["bodies", "files"] {
        swapped["hops"][0][list].as_array_mut().expect("a list").swap(0, 1);
    }
    let tracing = traced(Road::onion(2, &[&payload])).make();
    let mut altered = Road::onion(2, &[&payload]).make().input(0);
    altered["hops"][0]["files"][0] = json!(hex([0; 56]));
    vec![
        onion(0, "onion_leaving_other", "the bodies that leave are not those that the slot says", &|s| s[200] ^= 1),
        onion(0, "onion_arriving_other", "the bodies that come are not those that the slot says", &|s| s[168] ^= 1),
        onion(0, "onion_leaves_as_it_came", "the slot of an onion says that bodies leave as they came", &|s| {
            s.copy_within(168..200, 200);
        }),
        onion(1, "onion_leaving_other_at_last", "what the last slot says is not what the letter lists", &|s| {
            s[200] ^= 1
        }),
        onion_for(
            0,
            "onion_with_receipts",
            "a relay of an onion that is asked for receipts",
            "asked for receipts",
            &|s| {
                s[237] |= 4;
            },
        ),
        onion(1, "onion_without_flag", "the last slot of an onion without its flag", &|s| s[237] = 1),
        bad("onion_with_trace", "route", "an onion with a trace", "not that of this packet", tracing.input(0)),
        bad("onion_bodies_swapped", "route", "two bodies exchanged on the way", "bodies are not those", swapped),
        bad("onion_file_other", "route", "another file than the body that is listed", "bodies are not those", altered),
        results_other(),
        bare(
            "onion_with_load",
            "an onion without bodies whose slot hashes the payload",
            "payload was altered",
            &|turn| {
                if let Turn::Slot(slot) = turn {
                    slot[136..168].fill(7);
                }
            },
        ),
        bare("onion_payload_2048", "an onion's payload that is too short", "no payload under way has 2048", &|turn| {
            if let Turn::Arriving(payload) = turn {
                payload.truncate(2048);
            }
        }),
        onion_for(0, "onion_without_load", "zeros for a payload's hash, and bodies", "payload was altered", &|s| {
            s[136..168].fill(0);
        }),
    ]
}

/// The first hop of an onion without bodies.
fn bare(name: &str, what: &str, reason: &str, edit: &dyn Fn(Turn)) -> Vector {
    bad(name, "route", what, reason, Road::onion(2, &[]).make_with(0, edit).input(0))
}

/// Slot and letter agree on bodies that do not come out.
fn results_other() -> Vector {
    let mut road = Road::onion(1, &[&pattern(40)]);
    let other = listed(7, 40);
    let list = mb_wire::envelope::list_hash([mb_wire::envelope::BodyName { root: other.root, size: other.size }]);
    road.draft.letter.bodies = vec![other];
    let made = road.make_with(0, &|turn| {
        if let Turn::Slot(slot) = turn {
            slot[200..232].copy_from_slice(&list);
        }
    });
    let what = "letter and slot agree on a body that does not come out";
    bad("onion_result_other", "route", what, "bodies are not those", made.input(0))
}
