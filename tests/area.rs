//! Areas: what one writes comes to all who read, whichever way, once; relays that cannot read carry it.

#[path = "area/graph.rs"]
mod graph;

mod common;

use common::noise;
use graph::{AREA, Graph, envelopes};
use std::fs;

/// The peer manual's own example, step by step.
///
/// Shows: N1, N2, N3, N17, N18, N19, N20, N21, N22, N23, N24, N25, N26, N27.
#[test]
fn the_graph_of_the_manual_step_by_step() {
    let graph = Graph::of_the_manual();
    let content = noise(1, 100_000);
    let file = graph.world.write("a/out/nodelist", &content);
    // The message is kept until its copies are made: sealed, like all that lies in a spool.
    let sent = graph.node("a").command(["mb-send", "--no-toss", "-a", &format!("{AREA}:")]).arg(file).run().ok();
    let own = graph.node("a").spool.join("self/rx");
    assert_eq!(envelopes(own.clone()), [sent.trim()]);
    assert!(graph.tx("a", "b").is_empty() && graph.tx("a", "d").is_empty());
    // A copy for B and one for D; its own is removed, and not delivered to itself.
    graph.node("a").run(["mb-toss"]).silent();
    assert!(envelopes(own).is_empty());
    assert_eq!((graph.tx("a", "b").len(), graph.tx("a", "d").len()), (1, 1));
    assert!(graph.delivered("a").is_empty());
    // B relays what it cannot read to C and D, not to A.
    graph.carry("a", "b");
    assert_eq!((graph.tx("b", "c").len(), graph.tx("b", "d").len(), graph.tx("b", "a").len()), (1, 1, 0));
    assert!(!graph.node("b").spool.join("incoming").exists(), "B cannot read it");
    // C does not relay: its only subscriber is where it came from.
    graph.carry("b", "c");
    assert_eq!(graph.delivered("c"), ["nodelist"]);
    assert!(graph.tx("c", "b").is_empty());
    // D has it first from B, and relays it to A, who has seen it.
    graph.carry("b", "d");
    assert_eq!(graph.delivered("d"), ["nodelist"]);
    assert_eq!(graph.tx("d", "a").len(), 0, "D can read that A wrote it");
    graph.carry("a", "d");
    assert_eq!(graph.delivered("d"), ["nodelist"], "one of the two is ignored");
    for reader in ["c", "d"] {
        let got = fs::read(graph.world.path(format!("{reader}/in/nodelist"))).unwrap();
        assert!(got == content, "at {reader}");
    }
    graph.assert_quiet();
    // C sends; A gets it twice, from B and D, and ignores one.
    graph.post("c", "answer", b"from C");
    graph.carry("c", "b");
    graph.carry("b", "d");
    assert_eq!(graph.tx("d", "a").len(), 1);
    graph.carry("b", "a");
    assert_eq!(graph.delivered("a"), ["answer"]);
    graph.carry("d", "a");
    assert_eq!(graph.delivered("a"), ["answer"]);
    while graph.round(&["a", "b", "c", "d"]) {}
    assert_eq!(graph.delivered("d"), ["answer", "nodelist"]);
    assert_eq!(graph.delivered("c"), ["nodelist"], "C does not get its own");
    graph.assert_quiet();
    assert!(!graph.round(&["d", "c", "b", "a"]), "a second full round moves nothing");
}
