//! Lists: what is sent to a node that is a list goes on to its subscribers, with its author's signature.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, Run, noise};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use yard::{Yard, envelopes, names};

/// North writes to the list `club`, whose subscribers are a and b, and north itself.
fn club(more: &str) -> Yard {
    let yard = Yard::new(&["north", "club", "a", "b"]);
    be_list(&yard, "club", &format!("subscribers = [\"b\", \"a\", \"north\"]\n{more}"));
    yard
}

fn be_list(yard: &Yard, at: &str, lines: &str) {
    let file = yard.node(at).config.join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.split("[list]").next().unwrap();
    fs::write(&file, format!("{text}\n[list]\n{lines}\n")).unwrap();
}

/// What is on the stick comes, and what leaves goes onto it, and nothing is tossed.
fn carry(yard: &Yard, at: &str) {
    yard.node(at).command(["mb-xfer", "--all"]).arg(&yard.stick).run().silent();
}

fn toss(node: &Node) -> Run {
    node.run(["mb-toss"])
}

/// What north has sent is at the club, and not tossed yet.
fn sent(yard: &Yard, options: &[&str], files: &[(&str, &[u8])]) {
    yard.send("north", options, files);
    carry(yard, "north");
    carry(yard, "club");
}

fn incoming(yard: &Yard, at: &str, from: &str) -> Vec<String> {
    names(&yard.node(at).spool.join("incoming").join(from))
}

/// Shows: W9, W51.
#[test]
fn what_is_sent_to_a_list_comes_to_its_subscribers_as_its_authors() {
    let yard = club("");
    let large = noise(1, 2 << 20);
    let folder = yard.world.make_dir("out/folder");
    yard.world.write("out/folder/sub/deep.txt", b"deep");
    yard.world.write("out/folder/large.bin", noise(2, 100_000));
    yard.node("north").command(["mb-send", "-t", "club"]).arg(&folder).run().ok();
    sent(&yard, &["-t", "club"], &[("small.txt", b"small"), ("large.bin", &large)]);
    let club = yard.node("club");
    assert_eq!(toss(club).ok(), "", "nothing is delivered at the list");
    let of = |to: &str| yard.tx("club", to);
    assert_eq!((envelopes(&of("a")).len(), envelopes(&of("b")).len()), (3, 3));
    assert_eq!(of("north"), [""; 0], "the author has it");
    // Two bodies, each one file with a name for each subscriber, and in the index.
    let bodies = ["a", "b"].iter().flat_map(|to| {
        let tx = club.spool.join(yard.node(to).id()).join("tx");
        of(to).into_iter().filter(|name| name.contains('.')).map(move |name| fs::metadata(tx.join(name)).unwrap().ino())
    });
    let bodies: Vec<u64> = bodies.collect();
    assert_eq!((bodies.len(), bodies.iter().collect::<BTreeSet<_>>().len()), (4, 2));
    assert_eq!(toss(club).ok(), "");
    assert_eq!(envelopes(&of("a")).len(), 3, "a second toss sends nothing");
    assert_eq!(incoming(&yard, "club", "north"), [""; 0]);

    yard.round(&["club", "a", "b", "north"]);
    for at in ["a", "b"] {
        assert_eq!(incoming(&yard, at, "club"), ["folder", "large.bin", "small.txt"], "{at}");
        let came = |name: &str| yard.delivered(at, "club", name).unwrap();
        assert_eq!(came("small.txt"), b"small");
        assert!(came("large.bin") == large);
        assert_eq!(came("folder/sub/deep.txt"), b"deep");
        assert!(came("folder/large.bin") == noise(2, 100_000));
    }
    assert_eq!(incoming(&yard, "north", "club"), [""; 0]);
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
        assert_eq!(names(&node.spool.join("bad")), [""; 0]);
    }
}

/// Shows: W51.
#[test]
fn a_subscriber_sees_who_wrote_and_that_a_list_sent_it_on() {
    let yard = club("");
    sent(&yard, &["-t", "club"], &[("one", b"1"), ("two", b"2")]);
    toss(yard.node("club")).ok();
    ["club", "a", "b"].iter().for_each(|at| carry(&yard, at));
    let (a, b, north) = (yard.node("a"), yard.node("b"), yard.node("north").id());
    let rx = names(&a.spool.join("self/rx"));
    let about = a.run(["mb-cat", &rx[0]]).ok();
    let by = format!("north {north}, sent on by club {}", yard.node("club").id());
    assert!(about.lines().any(|line| line.starts_with("by") && line.ends_with(&by)), "{about}");
    for line in a.run(["mb-toss", "--json"]).ok().lines() {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&told["from"], &told["author"]), (&"club".into(), &"north".into()), "{told}");
    }
    // Whom a subscriber does not know is shown by its id: its card came with the letter.
    fs::remove_file(b.config.join("nodes/north.toml")).unwrap();
    let said = b.run(["mb-toss", "-v"]);
    assert!(said.stderr().contains(&format!("by {north}, sent on by club")), "{}", said.stderr());
    assert_eq!(incoming(&yard, "b", "club"), ["one", "two"]);
}

#[test]
fn who_may_not_write_to_a_list_is_refused() {
    let yard = club("from = [\"a\"]");
    sent(&yard, &["-t", "club"], &[("file", b"1")]);
    toss(yard.node("club")).fails_with(77, "north may not write to this list ([list] from)");
    assert_eq!((yard.tx("club", "a"), yard.tx("club", "b")), (vec![], vec![]));
    be_list(&yard, "club", "subscribers = [\"a\"]\nfrom = [\"north\"]");
    yard.node("club").run(["mb-toss", "--retry"]).ok();
    assert_eq!(envelopes(&yard.tx("club", "a")).len(), 1);

    let yard = club("");
    yard.set("club", "north", "[accept]\nfiles = false");
    sent(&yard, &["-t", "club"], &[("file", b"1")]);
    toss(yard.node("club")).fails_with(77, "north");
    assert_eq!(yard.tx("club", "a"), [""; 0]);
}

#[test]
fn a_subscriber_that_is_not_known_keeps_the_letter_where_it_is() {
    let yard = club("");
    be_list(&yard, "club", "subscribers = [\"a\", \"nobody\"]");
    sent(&yard, &["-t", "club"], &[("file", b"1")]);
    let club = yard.node("club");
    toss(club).fails_with(75, "its list ([list] in config.toml) names nobody, which is not known here");
    assert_eq!(yard.tx("club", "a"), [""; 0], "to all, or to none");
    be_list(&yard, "club", "subscribers = [\"a\"]");
    toss(club).ok();
    assert_eq!(envelopes(&yard.tx("club", "a")).len(), 1);
}

/// Threat: 10.
#[test]
fn a_letter_that_comes_twice_goes_on_once() {
    let yard = club("");
    yard.send("north", &["-t", "club"], &[("file", b"1")]);
    for _ in 0..2 {
        yard.node("north").command(["mb-xfer", "--all", "--keep"]).arg(&yard.stick).run().silent();
        carry(&yard, "club");
        toss(yard.node("club")).ok();
    }
    yard.round(&["club", "a", "b", "club"]);
    assert_eq!(incoming(&yard, "a", "club"), ["file"]);
}

#[test]
fn lists_that_subscribe_to_each_other_do_not_loop() {
    let yard = club("");
    be_list(&yard, "club", "subscribers = [\"a\", \"b\", \"club\"]");
    be_list(&yard, "b", "subscribers = [\"a\", \"club\"]");
    sent(&yard, &["-t", "club"], &[("file", b"1")]);
    for _ in 0..3 {
        yard.round(&["club", "b", "a", "north"]);
    }
    assert_eq!(incoming(&yard, "a", "club"), ["file"]);
    assert_eq!(incoming(&yard, "a", "b"), [""; 0]);
    assert_eq!(incoming(&yard, "b", "club"), ["file"], "a list takes it for itself");
    assert_eq!(yard.nodes.iter().flat_map(|node| names(&node.spool.join("incoming/b"))).count(), 0);
}

#[test]
fn what_goes_to_a_list_as_an_onion_is_refused() {
    let yard = club("");
    yard.send("north", &["-t", "club", "--via", "b", "--onion"], &[("file", b"1")]);
    yard.round(&["north", "b"]);
    carry(&yard, "club");
    toss(yard.node("club")).fails_with(65, "a list cannot send it on: it came as an onion");
    assert_eq!(yard.tx("club", "a"), [""; 0]);
}

/// By relays there and from there, and with word of it for the author.
#[test]
fn a_list_is_reached_by_relays_and_reaches_its_subscribers_by_them() {
    let yard = club("");
    be_list(&yard, "club", "subscribers = [\"b\"]");
    yard.set("club", "b", "roads = [[\"a\"]]");
    let body = noise(3, 70_000);
    yard.send("north", &["-t", "club", "--via", "a", "--receipt"], &[("file", &body)]);
    yard.round(&["north", "a", "club"]);
    assert_eq!(yard.tx("club", "b"), [""; 0], "it went by a");
    yard.round(&["a", "b", "a", "north"]);
    assert!(yard.delivered("b", "club", "file").unwrap() == body);
}

/// The node behind a list can still ask others for files.
#[test]
fn what_a_list_has_asked_for_is_its_own() {
    let yard = club("");
    let shared = yard.world.make_dir("pub");
    yard.world.write("pub/may.pdf", b"what happened in May");
    yard.set("north", "club", &format!("[[share]]\nfolder = {shared:?}"));
    yard.node("club").run(["mb-send", "-t", "north", "-r", "may.pdf"]).ok();
    yard.round(&["club", "north", "club"]);
    assert_eq!(yard.delivered("club", "north", "may.pdf").unwrap(), b"what happened in May");
    assert_eq!(yard.tx("club", "a"), [""; 0]);
}

#[test]
fn files_that_are_left_where_they_are_do_not_go_on() {
    let yard = club("");
    sent(&yard, &["-t", "club"], &[("file", b"1")]);
    for option in ["--no-file", "--no-relay"] {
        yard.node("club").run(["mb-toss", option]).ok();
        assert_eq!(yard.tx("club", "a"), [""; 0], "{option}");
    }
    toss(yard.node("club")).ok();
    assert_eq!(envelopes(&yard.tx("club", "a")).len(), 1);
}
