//! Traces: a path holds as its nodes told it, and no other way.

mod world;

use mb_wire::id::{LetterId, NodeId};
use mb_wire::route::ROUTE_MOST;
use mb_wire::trace::{PathStep, Trace, TraceError};
use world::node;

const LETTER: LetterId = LetterId::from_bytes([9; 32]);

fn id(number: usize) -> NodeId {
    node(number as u8).id()
}

/// A packet that goes from node 0 on, one node after another.
fn trace(count: usize) -> Trace {
    (1..count).fold(Trace::begin(&node(0), LETTER, id(1), 100), |trace, number| {
        trace.extend(&node(number as u8), id(number + 1), 100 + number as u64).unwrap()
    })
}

/// Its bytes, of which each step is one.
fn steps(trace: &Trace) -> Vec<Vec<u8>> {
    let value: ciborium::Value = ciborium::from_reader(&*mb_wire::cbor::encode(trace)).unwrap();
    value.into_array().unwrap().into_iter().map(|step| step.into_bytes().unwrap()).collect()
}

fn from_steps(steps: impl IntoIterator<Item = Vec<u8>>) -> Trace {
    let value = ciborium::Value::Array(steps.into_iter().map(ciborium::Value::Bytes).collect());
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).unwrap();
    mb_wire::cbor::decode(&bytes).unwrap()
}

#[test]
fn a_path_comes_out_as_its_nodes_told_it() {
    for count in 1..=ROUTE_MOST {
        let path = trace(count).verify().unwrap();
        assert_eq!(path.letter, LETTER);
        let told = |number| PathStep { node: id(number), next: id(number + 1), time: 100 + number as u64 };
        assert_eq!(path.steps, (0..count).map(told).collect::<Vec<_>>());
        assert!(path.leads(&id(0), &id(count - 1), &id(count)));
        assert!(!path.leads(&id(1), &id(count - 1), &id(count)), "another author");
        assert!(!path.leads(&id(0), &id(count), &id(count)), "from another neighbour");
        assert!(!path.leads(&id(0), &id(count - 1), &id(count + 1)), "to another node");
    }
    assert_eq!(Trace::default().verify(), Err(TraceError::Missing));
    assert_eq!(trace(ROUTE_MOST).extend(&node(8), id(9), 1), Err(TraceError::Long));
}

#[test]
fn only_the_node_that_has_it_adds_a_step() {
    assert_eq!(trace(2).extend(&node(5), id(6), 1), Err(TraceError::Other));
    assert_eq!(Trace::default().extend(&node(5), id(6), 1), Err(TraceError::Missing));
}

/// Threat: 8, 9.
#[test]
fn no_step_can_be_altered_left_out_moved_or_taken_from_elsewhere() {
    let good = steps(&trace(4));
    for (number, step) in good.iter().enumerate() {
        for position in 0..step.len() {
            let mut altered = good.clone();
            altered[number][position] ^= 1;
            assert!(from_steps(altered).verify().is_err(), "byte {position} of step {number}");
        }
        let without = good.iter().enumerate().filter(|(at, _)| *at != number).map(|(_, step)| step.clone());
        let shorter = from_steps(without);
        // What is left without the last step is a path that ends one node before.
        assert_eq!(shorter.verify().is_ok(), number == 3, "without step {number}");
        for other in 0..number {
            let mut moved = good.clone();
            moved.swap(number, other);
            assert!(from_steps(moved).verify().is_err(), "{number} for {other}");
        }
    }
    // The same nodes, another letter; the same letter, on another day.
    let elsewhere = Trace::begin(&node(0), LetterId::from_bytes([8; 32]), id(1), 100);
    let again = Trace::begin(&node(0), LETTER, id(1), 101);
    for first in [elsewhere, again] {
        let spliced = from_steps(steps(&first).into_iter().chain(good[1..].iter().cloned()));
        assert_eq!(spliced.verify(), Err(TraceError::Broken(1)));
    }
}

#[test]
fn long_traces_are_refused_before_anything_is_verified() {
    assert_eq!(from_steps(vec![vec![0]; ROUTE_MOST + 1]).verify(), Err(TraceError::Long));
    assert_eq!(from_steps([vec![0; 601]]).verify(), Err(TraceError::Long));
    assert!(matches!(from_steps([vec![0; 600]]).verify(), Err(TraceError::Statement(0, _))));
}
