//! Moderated areas: their owner says who writes and reads, the newest word counts whatever came first, and whoever may not any more
//! cannot.

#[path = "area/graph.rs"]
mod graph;

mod common;

use common::Node;
use graph::{AREA, Graph, envelopes};
use std::fs;

/// A owns the area and reads; B only carries; C reads and writes; D reads.
fn moderated() -> Graph {
    let roles = [
        ("a", graph::Role::Reader, &["b"][..]),
        ("b", graph::Role::Relay, &["a", "c", "d"]),
        ("c", graph::Role::Relay, &["b"]),
        ("d", graph::Role::Relay, &["b"]),
    ];
    let graph = Graph::new(&roles, "moderated");
    for reader in ["c", "d"] {
        let folder = graph.world.make_dir(format!("{reader}/in"));
        graph.node(reader).run(["mb-area", "set", AREA, &format!("folder={}", folder.display())]).silent();
    }
    graph.node("a").run(["mb-area", "set", AREA, "readers+=c,d"]).silent();
    let writer = graph.node("a").run(["mb-area", "card", AREA, "--writer"]).ok();
    graph.node("c").command(["mb-area", "join", AREA]).stdin(writer).run().silent();
    while graph.round(&["a", "b", "c", "d"]) {}
    graph
}

fn rights(node: &Node) -> String {
    node.run(["mb-area", "list"]).ok().split('\t').nth(2).unwrap().to_owned()
}

fn settle(graph: &Graph) {
    while graph.round(&["a", "b", "c", "d"]) {}
    graph.nodes.iter().for_each(|node| drop(node.run(["mb-toss"]).ok()));
    while graph.round(&["a", "b", "c", "d"]) {}
}

/// Shows: H11, H13.
#[test]
fn its_owner_says_who_writes_and_reads_and_takes_it_back() {
    let graph = moderated();
    assert_eq!(["a", "b", "c", "d"].map(|at| rights(graph.node(at))), ["read,write", "relay", "read,write", "read"]);
    graph.post("c", "one", b"from C");
    settle(&graph);
    assert_eq!((graph.delivered("a"), graph.delivered("d")), (vec!["one".to_owned()], vec!["one".to_owned()]));
    assert!(graph.delivered("c").is_empty());
    // D may not write, and B cannot read.
    let file = graph.world.write("d/out/x", "x");
    graph.node("d").command(["mb-send", "-a", AREA]).arg(file).run().fails_with(77, "may not write");
    graph.node("b").run(["mb-area", "read", AREA]).fails_with(77, "cannot read");
    graph.node("d").run(["mb-area", "set", AREA, "readers+=b"]).fails_with(77, "only its owner");
    // D may not read any more: the next epoch's letters do not open there, though they pass by.
    graph.node("a").run(["mb-area", "set", AREA, "readers-=d"]).silent();
    settle(&graph);
    assert_eq!(rights(graph.node("d")), "relay");
    graph.post("a", "two", b"after D");
    settle(&graph);
    assert_eq!(graph.delivered("c"), ["two"]);
    assert_eq!(graph.delivered("d"), ["one"]);
    // C may not write any more: at once at home, and for the others after a time of grace.
    let members = graph.node("a").run(["mb-area", "members", AREA]).ok();
    let writers: Vec<&str> = members.lines().filter_map(|line| line.strip_prefix("writer\t-\t")).collect();
    assert_eq!(writers.len(), 2);
    graph.node("a").run(["mb-area", "set", AREA, &format!("writers-={}", writers[1])]).silent();
    settle(&graph);
    let file = graph.world.write("c/out/x", "x");
    graph.node("c").command(["mb-send", "-a", AREA]).arg(file).run().fails_with(77, "may not write");
    // Until it gets another key.
    let writer = graph.node("a").run(["mb-area", "card", AREA, "--writer"]).ok();
    graph.node("c").command(["mb-area", "join", AREA]).stdin(writer).run().silent();
    settle(&graph);
    graph.post("c", "again", b"z");
    settle(&graph);
    assert!(graph.delivered("a").contains(&"again".to_owned()));
    graph.assert_quiet();
}

/// What comes before the settings that it was written under waits for them, and they are asked for.
///
/// Shows: H12.
#[test]
fn a_message_that_comes_before_its_settings_waits_and_they_are_asked_for() {
    let graph = moderated();
    graph.node("a").run(["mb-area", "set", AREA, "days=90"]).silent();
    // The settings are lost on the way to B.
    let lost = graph.node("a").spool.join(graph.node("b").id()).join("tx");
    for packet in envelopes(lost.clone()) {
        fs::remove_file(lost.join(packet)).unwrap();
    }
    graph.post("a", "early", b"x");
    graph.carry("a", "b");
    let wait = graph.node("b").spool.join(graph.node("a").id()).join("wait");
    assert_eq!(envelopes(wait.clone()).len(), 1, "it waits");
    assert!(graph.tx("b", "c").is_empty() && graph.tx("b", "d").is_empty());
    assert_eq!(graph.tx("b", "a").len(), 1, "B asks A");
    graph.carry("b", "a");
    graph.carry("a", "b");
    graph.node("b").run(["mb-toss"]).silent();
    assert!(envelopes(wait).is_empty());
    settle(&graph);
    assert_eq!((graph.delivered("c"), graph.delivered("d")), (vec!["early".to_owned()], vec!["early".to_owned()]));
    graph.assert_quiet();
}

/// Older settings never undo newer ones: whoever still has them hears of the newer.
///
/// Threat: 16.
/// Shows: H13.
#[test]
fn older_settings_do_not_undo_newer_ones() {
    let graph = moderated();
    let b = graph.node("b");
    let kept = |node: &Node| {
        let area = node.run(["mb-area", "list"]).ok().trim().split('\t').next_back().unwrap().to_owned();
        node.spool.join("self/settings").join(area)
    };
    let version = |node: &Node| graph::listed(kept(node)).into_iter().map(|name| name.parse::<u64>().unwrap()).max();
    let before = version(b);
    // The old ones, as A sent them, stay on a stick.
    graph.node("a").run(["mb-area", "set", AREA, "days=200"]).silent();
    let stick = graph.world.make_dir("old");
    graph.node("a").command(["mb-xfer", "--out", "--keep", "--node", "b"]).arg(&stick).run().ok();
    graph.node("a").run(["mb-area", "set", AREA, "days=100"]).silent();
    settle(&graph);
    assert_eq!(version(b), before.map(|version| version + 2));
    b.command(["mb-xfer", "--in", "--toss"]).arg(&stick).run().ok();
    assert_eq!(version(b), before.map(|version| version + 2));
    settle(&graph);
    // Without another word a message lives as long as it may; one that would live longer is not carried.
    graph.node("a").run(["mb-area", "set", AREA, "days=20"]).silent();
    settle(&graph);
    graph.post("c", "short", b"y");
    settle(&graph);
    assert_eq!(graph.delivered("d"), ["short"]);
    let long = graph.world.write("c/out/long", "x");
    graph.node("c").command(["mb-send", "--ttl", "150", "-a", AREA]).arg(long).run().fails_with(77, "lives longer");
    graph.node("b").run(["mb-check"]).silent();
}

/// Settings name readers: whoever does not get the messages does not get them, though he asks.
///
/// Threat: 16.
#[test]
fn settings_are_for_those_who_get_the_messages() {
    let graph = moderated();
    let (b, e) = (graph.node("b"), graph.world.node("e"));
    graph.world.introduce(&[b, &e]);
    let card = graph.node("a").run(["mb-area", "card", AREA]).ok();
    e.command(["mb-area", "join", AREA]).stdin(card).run().ok();
    let area = e.run(["mb-area", "list"]).ok().trim().split('\t').next_back().unwrap().to_owned();
    let secrets = common::secrets(&e);
    let want = mb_wire::area::Want { area: area.parse().unwrap(), have: None, version: 0 }.sign(&secrets, 1);
    let ask = || {
        let card = mb_wire::card::Card::parse(&b.card()).unwrap();
        let to = mb_wire::envelope::Address { id: card.id(), exchange: card.keys[0].public };
        let today: u32 = fs::read_to_string(b.spool.join("self/day")).unwrap().trim().parse().unwrap();
        let content = &mb_wire::envelope::Content::Statement(want.clone());
        let (end, hops) = (today + 5, mb_wire::envelope::HOPS_MOST);
        let wrap = mb_wire::envelope::Wrap { to: &to, end, nice: 64, hops, bodies: &[], ask: false, content };
        let file = mb_wire::envelope::wrap(&secrets, &wrap).unwrap();
        fs::write(b.spool.join("self/rx").join(mb_wire::envelope::packet_id(&file).to_string()), file).unwrap();
        b.run(["mb-toss"]).silent();
        envelopes(b.spool.join(e.id()).join("tx")).len()
    };
    assert_eq!(ask(), 0);
    b.run(["mb-area", "subscribe", AREA, "e"]).silent();
    assert_eq!(ask(), 1);
}
