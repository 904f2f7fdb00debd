//! Traces: each node on the way signs that it had the packet, and the recipient sees by whom it came.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use std::fs;
use yard::{Yard, envelopes, names};

/// The node takes in what the stick has, and tosses; the packet that it delivered.
fn deliver(yard: &Yard, at: &str) -> String {
    let node = yard.node(at);
    node.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let told: serde_json::Value = serde_json::from_str(&node.run(["mb-toss", "--json"]).ok()).unwrap();
    told["packet"].as_str().unwrap().to_owned()
}

/// Who handed it to whom.
fn path(yard: &Yard, at: &str, packet: &str) -> Vec<String> {
    let told = yard.node(at).run(["mb-cat", "--path", packet]).ok();
    told.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// Shows: W26, W27.
#[test]
fn the_recipient_sees_by_which_nodes_a_traced_packet_came() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    yard.send("north", &["--trace", "--via", "b,c", "-t", "far"], &[("file", b"x")]);
    yard.round(&["north", "b"]);
    // On the way, and before it is tossed.
    let c = yard.node("c");
    c.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let waiting = names(&c.spool.join("self/rx")).remove(0);
    assert_eq!(path(&yard, "c", &waiting), ["north b", "b c"]);
    assert!(c.run(["mb-cat", &waiting]).ok().contains("path         north b "));
    yard.round(&["c"]);
    let packet = deliver(&yard, "far");
    assert_eq!(path(&yard, "far", &packet), ["north b", "b c", "c far"]);
    let far = yard.node("far");
    let json = far.run(["mb-cat", "--path", "--json", &packet]).ok();
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!((&last["node"]["name"], &last["next"]["name"]), (&"c".into(), &"far".into()));
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
    }
    // What ended is forgotten: the folder of its day goes.
    assert_eq!(names(&far.spool.join("self/path")).len(), 1);
}

#[test]
fn a_neighbour_is_a_path_as_well() {
    let yard = Yard::new(&["north", "south"]);
    yard.send("north", &["--trace", "-t", "south"], &[("file", b"x")]);
    yard.round(&["north"]);
    let packet = deliver(&yard, "south");
    assert_eq!(path(&yard, "south", &packet), ["north south"]);
}

#[test]
fn what_is_not_traced_has_no_path() {
    let yard = Yard::new(&["north", "b", "far"]);
    let file = yard.world.write("out/file", "x");
    let send = |options: &[&str]| yard.node("north").command(["mb-send"]).args(options).arg(&file).run();
    send(&["--trace", "--onion", "--via", "b", "-t", "far"]).fails(64);
    send(&["--via", "b", "-t", "far"]).ok();
    yard.round(&["north", "b"]);
    let far = yard.node("far");
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let packet = envelopes(&names(&far.spool.join("self/rx"))).remove(0).clone();
    far.run(["mb-cat", "--path", &packet]).fails_with(1, "not traced");
    far.run(["mb-toss"]).ok();
    far.run(["mb-cat", "--path", &packet]).fails_with(1, "not traced");
}

/// A trace that is damaged on disk says nothing; it never says something else.
#[test]
fn a_damaged_path_is_no_path() {
    let yard = Yard::new(&["north", "south"]);
    yard.send("north", &["--trace", "-t", "south"], &[("file", b"x")]);
    yard.round(&["north"]);
    let packet = deliver(&yard, "south");
    let south = yard.node("south");
    let day = south.spool.join("self/path").join(&names(&south.spool.join("self/path"))[0]);
    let good = fs::read(day.join(&packet)).unwrap();
    // A byte of a signature, one of the letter's id, and the end.
    let in_signature = good.len() - 60;
    for (position, said) in [(in_signature, "signature does not match"), (good.len() - 1, "not that of this packet")] {
        let mut bytes = good.clone();
        bytes[position] ^= 1;
        fs::write(day.join(&packet), bytes).unwrap();
        south.run(["mb-cat", "--path", &packet]).fails_with(65, said);
    }
    fs::write(day.join(&packet), &good[..good.len() - 1]).unwrap();
    south.run(["mb-cat", "--path", &packet]).fails_with(1, "not in the spool");
}
