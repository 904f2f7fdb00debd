//! Kept until it is confirmed: a stick that is lost loses nothing, and one that comes back late brings nothing twice.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise};
use std::fs;
use yard::{Yard, envelopes, names};

const KEEP: &str = "[send]\nkeep = \"until-confirmed\"";

fn sent(yard: &Yard, at: &str, to: &str) -> Vec<String> {
    names(&yard.node(at).spool.join(yard.node(to).id()).join("sent"))
}

fn xfer(yard: &Yard, node: &Node, options: &[&str]) {
    node.command(["mb-xfer"]).args(options).arg(&yard.stick).run().silent();
}

/// The stick is lost; an empty one takes its place.
fn lose_stick(yard: &Yard) {
    fs::rename(&yard.stick, yard.world.path("lost")).unwrap();
    fs::create_dir(&yard.stick).unwrap();
}

/// Shows: H45.
#[test]
fn what_a_lost_stick_held_goes_again_and_is_delivered_once() {
    let yard = Yard::new(&["north", "south"]);
    let (north, south) = (yard.node("north"), yard.node("south"));
    yard.set("north", "south", KEEP);
    let big = noise(1, 100_000);
    let packets = yard.send("north", &["-t", "south"], &[("big", &big), ("small", b"hello")]);
    xfer(&yard, north, &["--all", "--out"]);
    assert_eq!((yard.tx("north", "south").len(), envelopes(&sent(&yard, "north", "south")).len()), (0, 2));
    let told = north.run(["mb-stat"]).ok();
    assert!(told.lines().any(|line| line.starts_with("sent south 2 ")), "{told}");
    north.run(["mb-check"]).silent();
    lose_stick(&yard);
    xfer(&yard, north, &["--all", "--out"]);
    assert!(
        !yard.stick.join("mailbag").join(south.id()).join(&packets[0][..1]).exists(),
        "only --again puts it out anew"
    );
    xfer(&yard, north, &["--out", "--again"]);
    // South need not know that it should make a folder for north.
    let printed = south.command(["mb-xfer", "--toss"]).arg(&yard.stick).run().ok();
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert!(yard.delivered("south", "north", "big").as_ref() == Some(&big));
    assert_eq!(envelopes(&sent(&yard, "north", "south")).len(), 2, "north has not heard of it");
    yard.round(&["north"]);
    assert_eq!(sent(&yard, "north", "south"), [""; 0]);
    assert_eq!(names(&north.spool.join("bad")), [""; 0]);
    // The lost one is found, and brings nothing twice; what was confirmed once is confirmed again.
    fs::remove_dir_all(&yard.stick).unwrap();
    fs::rename(yard.world.path("lost"), &yard.stick).unwrap();
    let printed = yard.visit("south").ok();
    assert_eq!(printed, "");
    assert_eq!(names(&south.spool.join("incoming/north")), ["big", "small"]);
    assert_eq!(envelopes(&yard.tx("south", "north")).len(), 0, "it went with the stick");
    yard.round(&["north", "south"]);
    for node in [north, south] {
        node.run(["mb-check"]).silent();
        assert_eq!((yard.tx("north", "south"), yard.tx("south", "north")), (vec![], vec![]), "at {}", node.name);
    }
}

/// Symptom: a letter for a command stayed with its sender, as not confirmed, until its last day. Cause: only what was delivered as a file, or went
/// on, was confirmed. Remedy: what has run is, too; and what went on in an area.
#[test]
fn a_command_that_has_run_and_a_message_that_went_on_are_confirmed() {
    let yard = Yard::new(&["north", "south"]);
    let (north, south) = (yard.node("north"), yard.node("south"));
    yard.set("north", "south", KEEP);
    yard.set("south", "north", "[exec.note]\ncommand = [\"/bin/true\"]");
    north.run(["mb-area", "new", "news"]).ok();
    north.run(["mb-area", "subscribe", "news", "south"]).silent();
    let card = north.run(["mb-area", "card", "news"]).ok();
    south.command(["mb-area", "join", "news"]).stdin(card).run().ok();
    north.command(["mb-send", "-t", "south", "-x", "note"]).stdin("x").run().ok();
    north.command(["mb-send", "-a", "news", "--name", "file", "-"]).stdin("y").run().ok();
    yard.round(&["north"]);
    assert_eq!(envelopes(&sent(&yard, "north", "south")).len(), 2);
    yard.round(&["south", "north"]);
    assert_eq!(sent(&yard, "north", "south"), [""; 0]);
}

#[test]
fn nobody_confirms_what_nobody_asked_for() {
    let yard = Yard::new(&["north", "south"]);
    yard.send("north", &["-t", "south"], &[("file", b"x")]);
    yard.round(&["north", "south"]);
    assert_eq!((sent(&yard, "north", "south"), yard.tx("south", "north")), (vec![], vec![]));
    assert!(!yard.stick.join("mailbag").join(yard.node("north").id()).join("a").exists());
}

/// A confirmation is a packet of its own, which is not confirmed: two nodes that both keep what they send come to rest.
#[test]
fn confirmations_are_not_confirmed() {
    let yard = Yard::new(&["north", "south"]);
    yard.set("north", "south", KEEP);
    yard.set("south", "north", KEEP);
    yard.send("north", &["-t", "south"], &[("there", b"x")]);
    yard.send("south", &["-t", "north"], &[("back", b"y")]);
    for _ in 0..3 {
        yard.round(&["north", "south"]);
    }
    for (at, to) in [("north", "south"), ("south", "north")] {
        assert_eq!((sent(&yard, at, to), yard.tx(at, to)), (vec![], vec![]), "at {at}");
    }
    assert!(yard.delivered("south", "north", "there").is_some() && yard.delivered("north", "south", "back").is_some());
}

/// One that waits for its body is not settled.
#[test]
fn what_waits_is_confirmed_when_it_is_delivered() {
    let yard = Yard::new(&["north", "south"]);
    yard.set("north", "south", KEEP);
    let packet = yard.send("north", &["-t", "south"], &[("file", &noise(2, 50_000))]).remove(0);
    let from = yard.node("north").spool.join(yard.node("south").id()).join("tx");
    let rx = yard.world.make_dir("south/spool/self/rx");
    let south = yard.node("south");
    fs::copy(from.join(&packet), rx.join(&packet)).unwrap();
    south.run(["mb-toss"]).silent();
    assert_eq!(yard.tx("south", "north"), [""; 0]);
    fs::copy(from.join(format!("{packet}.0")), rx.join(format!("{packet}.0"))).unwrap();
    south.run(["mb-toss"]).ok();
    let confirmation = yard.tx("south", "north").remove(0);
    let north = yard.node("north");
    let north_rx = yard.world.make_dir("north/spool/self/rx");
    fs::copy(south.spool.join(north.id()).join("tx").join(&confirmation), north_rx.join(&confirmation)).unwrap();
    let shown = north.run(["mb-cat", &confirmation]).ok();
    assert!(shown.contains(&format!("confirms     {packet}")), "{shown}");
    north.run(["mb-toss"]).silent();
    assert_eq!(yard.tx("north", "south"), [""; 0], "it need not be carried any more");
}

#[test]
fn a_relay_confirms_and_is_confirmed_to() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.set("north", "hub", KEEP);
    yard.set("hub", "far", KEEP);
    yard.send("north", &["--via", "hub", "-t", "far"], &[("file", &noise(3, 50_000))]);
    yard.round(&["north", "hub"]);
    assert_eq!(envelopes(&sent(&yard, "hub", "far")).len(), 1);
    lose_stick(&yard);
    let hub = yard.node("hub");
    hub.command(["mb-xfer", "--all", "--toss", "--again"]).arg(&yard.stick).run().silent();
    yard.round(&["far", "hub", "north", "hub"]);
    assert!(yard.delivered("far", "north", "file").is_some());
    assert_eq!(sent(&yard, "hub", "far"), [""; 0]);
    // The hub's word to north went with the lost stick; north puts its copy out anew, and the hub confirms what it knows.
    assert_eq!(envelopes(&sent(&yard, "north", "hub")).len(), 1);
    yard.node("north").command(["mb-xfer", "--all", "--again"]).arg(&yard.stick).run().silent();
    yard.round(&["hub", "north"]);
    assert_eq!(sent(&yard, "north", "hub"), [""; 0]);
    assert_eq!(yard.tx("hub", "far"), [""; 0], "it goes on once");
}

/// A call is a confirmation by itself, also of what a stick has not brought.
#[test]
fn a_call_puts_out_anew_what_is_not_confirmed() {
    let yard = Yard::new(&["north", "south"]);
    yard.set("north", "south", KEEP);
    let (north, south) = (yard.node("north"), yard.node("south"));
    yard.send("north", &["-t", "south"], &[("by stick", &noise(4, 50_000))]);
    xfer(&yard, north, &["--all", "--out"]);
    lose_stick(&yard);
    yard.send("north", &["-t", "south"], &[("by call", b"x")]);
    let listen = [common::program("mb-listen"), "-C", south.config.to_str().unwrap(), "--spool"];
    let call = north.command(["mb-call", "south", "--stdio", "--"]).args(listen);
    call.arg(&south.spool).args(["--toss", "--stdio"]).run().ok();
    assert_eq!((sent(&yard, "north", "south"), yard.tx("north", "south")), (vec![], vec![]));
    south.run(["mb-toss"]).ok();
    for name in ["by stick", "by call"] {
        assert!(yard.delivered("south", "north", name).is_some(), "{name}");
    }
}

#[test]
fn what_is_not_confirmed_can_be_given_up() {
    let yard = Yard::new(&["north", "south"]);
    yard.set("north", "south", KEEP);
    yard.send("north", &["-t", "south"], &[("file", &noise(5, 50_000))]);
    yard.round(&["north"]);
    let north = yard.node("north");
    north.run(["mb-rm", "--tx", "--node", "south"]).ok();
    assert_eq!(sent(&yard, "north", "south"), [""; 0]);
    assert!(common::tree(&north.spool.join("body")).iter().all(|line| line.len() < 20), "its body goes with it");
}
