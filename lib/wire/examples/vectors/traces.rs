//! `trace_…`: the steps of a packet's path, and what breaks it.

use ciborium::Value;
use mb_wire::hash::{Label, hash};
use mb_wire::id::LetterId;
use serde_json::{Value as Json, json};

use super::build::{Map, Vector, bad, bytes, good, hex, int, map, remove, set, text};
use super::draft::{ALICE, CAROL, id, node};
use super::road::hop_node;
use super::stated::{Part, Stated};

pub fn all() -> Vec<Vector> {
    [goods(), broken(), moved(), statements(), bodies()].into_iter().flatten().collect()
}

const LETTER: LetterId = LetterId::from_bytes([0x1e; 32]);
const TIME: u64 = 1_700_000_000;

/// Who takes part: alice, and the hops of a road.
fn walker(number: usize) -> u8 {
    number.checked_sub(1).map_or(ALICE, hop_node)
}

/// The first steps of a letter, each ten seconds after the one before.
pub fn path(letter: LetterId, count: usize) -> Vec<Vec<u8>> {
    path_with(letter, count, count, &|_| {})
}

/// The same with one thing done wrong in step `at`; what follows covers it.
fn path_with(letter: LetterId, count: usize, at: usize, edit: &dyn Fn(Part)) -> Vec<Vec<u8>> {
    let mut steps: Vec<Vec<u8>> = vec![];
    for number in 0..count {
        let before = steps.last().map_or([0; 32], |step| hash(Label::Step, &[step]));
        let stated = step(number, letter, before);
        steps.push(if number == at { stated.make_with(edit) } else { stated.make() });
    }
    steps
}

fn step(number: usize, letter: LetterId, before: [u8; 32]) -> Stated {
    let body = map([
        ("next", bytes(id(walker(number + 1)).as_bytes())),
        ("before", bytes(before)),
        ("letter", bytes(letter.as_bytes())),
    ]);
    Stated { kind: "step", issuer: walker(number), created: TIME + 10 * number as u64, version: 1, body }
}

fn given(steps: &[Vec<u8>]) -> Json {
    json!({"trace": steps.iter().map(hex).collect::<Vec<_>>()})
}

fn goods() -> Vec<Vector> {
    let shown = |steps: &[Vec<u8>]| {
        let told = |number: usize| {
            let [node, next] = [number, number + 1].map(|number| id(walker(number)).to_string());
            json!({"node": node, "next": next, "time": TIME + 10 * number as u64})
        };
        let mut fields = given(steps);
        fields["letter"] = json!(LETTER.to_string());
        fields["steps"] = (0..steps.len()).map(told).collect();
        fields
    };
    let own = |name, what, count: usize| {
        let mut fields = shown(&path(LETTER, count));
        fields["seeds"] = (0..count).map(|number| json!(hex([walker(number); 32]))).collect();
        good(name, "trace", what, fields)
    };
    let other = path_with(LETTER, 2, 1, &|part| {
        if let Part::Map(statement) = part {
            set(statement, "version", int(9));
        }
    });
    vec![
        own("trace_1", "the author's step alone", 1),
        own("trace_2", "the steps of the author and a relay", 2),
        own("trace_8", "as many steps as a trace may have", 8),
        good("trace_version_9", "trace", "a step of another version, which no reader minds", shown(&other)),
    ]
}

fn refused(name: &str, what: &str, reason: &str, steps: &[Vec<u8>]) -> Vector {
    bad(name, "trace", what, reason, given(steps))
}

const BROKEN: &str = "step 1 of the trace does not belong";
const SIGNATURE: &str = "step 1 of the trace: signature does not match";

/// Three steps of which the second, signed as it is, has another body; the third covers it.
fn in_body(name: &str, what: &str, reason: &str, change: &dyn Fn(&mut Map)) -> Vector {
    let edit = |part: Part| {
        if let Part::Body(body) = part {
            change(body);
        }
    };
    refused(name, what, reason, &path_with(LETTER, 3, 1, &edit))
}

fn broken() -> Vec<Vector> {
    let before_first = path_with(LETTER, 2, 0, &|part| {
        if let Part::Body(body) = part {
            set(body, "before", bytes([1; 32]));
        }
    });
    let next_first = path_with(LETTER, 2, 0, &|part| {
        if let Part::Body(body) = part {
            set(body, "next", bytes(id(CAROL).as_bytes()));
        }
    });
    let first = path(LETTER, 1);
    let no_label = hash(Label::Packet, &[&first[0]]);
    vec![
        refused("trace_none", "no step", "trace is missing", &[]),
        refused("trace_9", "a step more than a trace may have", "too many steps", &path(LETTER, 9)),
        in_body("trace_before_zeros", "zeros for the step before, in the second", BROKEN, &|b| {
            set(b, "before", bytes([0; 32]));
        }),
        in_body("trace_before_other_label", "the step before, hashed as a packet", BROKEN, &|b| {
            set(b, "before", bytes(no_label));
        }),
        refused("trace_before_first", "something before the first step", "step 0 of the trace does not", &before_first),
        in_body("trace_other_letter", "the second step is of another letter", BROKEN, &|b| {
            set(b, "letter", bytes([0x1f; 32]));
        }),
        refused("trace_next_other", "the first step leads to another than who made the second", BROKEN, &next_first),
    ]
}

/// Whole steps, each as it was signed, in another order or company.
fn moved() -> Vec<Vector> {
    let steps = path(LETTER, 4);
    let of = |name, what, reason, places: &[usize]| {
        let steps: Vec<_> = places.iter().map(|place| steps[*place].clone()).collect();
        refused(name, what, reason, &steps)
    };
    let beginning = |letter, edit: &dyn Fn(Part)| {
        let first = path_with(letter, 1, 0, edit);
        first.into_iter().chain(steps[1..].iter().cloned()).collect::<Vec<_>>()
    };
    let of_other_letter = beginning(LetterId::from_bytes([0x1f; 32]), &|_| {});
    let of_other_day = beginning(LETTER, &|part| {
        if let Part::Map(statement) = part {
            set(statement, "created", int(TIME + 1));
        }
    });
    let first = "step 0 of the trace does not belong";
    vec![
        of("trace_first_left_out", "without the author's step", first, &[1, 2, 3]),
        of("trace_middle_left_out", "a step left out", BROKEN, &[0, 2, 3]),
        of("trace_swapped", "two steps exchanged", BROKEN, &[0, 2, 1, 3]),
        of("trace_doubled", "a step twice", "step 2 of the trace does not belong", &[0, 1, 1, 2]),
        refused("trace_begins_otherwise", "the first step of another letter", BROKEN, &of_other_letter),
        refused("trace_begins_another_day", "the first step as it was sent a second later", BROKEN, &of_other_day),
    ]
}

fn statements() -> Vec<Vector> {
    let of = |name, what, reason, edit: &dyn Fn(Part)| refused(name, what, reason, &path_with(LETTER, 3, 1, edit));
    let in_map = |name, what, reason, key: &str, value: Value| {
        of(name, what, reason, &|part| {
            if let Part::Map(statement) = part {
                set(statement, key, value.clone());
            }
        })
    };
    let in_other_name = path_with(LETTER, 3, 0, &|part| {
        if let Part::Map(statement) = part {
            set(statement, "issuer", bytes(node(CAROL).identity_key()));
        }
    });
    vec![
        of("trace_sig_bit", "a bit of a signature altered", SIGNATURE, &|part| {
            if let Part::Sig(sig) = part {
                sig[40] ^= 1;
            }
        }),
        of("trace_time_altered", "another time than what was signed", SIGNATURE, &|part| {
            if let Part::Whole(step) = part {
                let [signed, other] = [TIME + 10, TIME + 11].map(|time| (time as u32).to_be_bytes());
                super::build::replace(step, &signed, &other);
            }
        }),
        refused(
            "trace_issuer_other",
            "the first step in another's name",
            "step 0 of the trace: signature",
            &in_other_name,
        ),
        in_map("trace_is_receipt", "a receipt in the place of a step", BROKEN, "kind", text("receipt")),
        of("trace_step_cut", "the last byte of a step is missing", "ends in the middle", &|part| {
            if let Part::Whole(step) = part {
                step.pop();
            }
        }),
        of("trace_step_empty", "a step of no bytes", "ends in the middle", &|part| {
            if let Part::Whole(step) = part {
                step.clear();
            }
        }),
        of("trace_step_601_bytes", "a step of more than 600 bytes", "one that is too long", &|part| {
            if let Part::Whole(step) = part {
                step.resize(601, 0);
            }
        }),
    ]
}

fn bodies() -> Vec<Vector> {
    vec![
        in_body("trace_unknown_key", "a key of a step that is not known", "unknown field", &|b| {
            set(b, "extra", int(1));
        }),
        in_body("trace_missing_before", "no word of the step before", "missing field", &|b| remove(b, "before")),
        in_body("trace_keys_out_of_order", "two keys of a step exchanged", "deterministic", &|b| b.swap(0, 1)),
        in_body("trace_next_31_bytes", "an id that is too short", "wrong form", &|b| set(b, "next", bytes([1; 31]))),
    ]
}
