//! Receipts: whoever has a packet says how far it has come, and each node on the way hands that back to the one before.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise, secrets};
use mb_wire::card::Card;
use mb_wire::envelope::{Address, Content, HOPS_MOST, Wrap, packet_id, wrap};
use mb_wire::id::Mark;
use mb_wire::key::{NodeSecrets, Seed};
use mb_wire::report::{REPORTS_MOST, Receipt, Report, Stage};
use std::fs;
use yard::{Yard, envelopes, names};

/// After any day of these tests' packets' making, before their end.
const LATER: u64 = 4_000_000_000;

/// What mb-stat says of a packet's way: node and stage of each hop, and the rest of the line.
fn way(yard: &Yard, packet: &str) -> Vec<(String, String, String)> {
    let told = yard.node("north").run(["mb-stat", packet]).ok();
    let lines = told.lines().filter_map(|line| line.strip_prefix(&format!("{packet} way ")));
    let words = lines.map(|line| line.splitn(3, ' ').map(str::to_owned).collect::<Vec<_>>());
    words.map(|words| (words[0].clone(), words[1].clone(), words[2].clone())).collect()
}

fn stages(yard: &Yard, packet: &str) -> Vec<String> {
    way(yard, packet).into_iter().map(|(node, stage, _)| format!("{node} {stage}")).collect()
}

fn is_delivered(yard: &Yard, packet: &str) -> bool {
    let run = yard.node("north").run(["mb-stat", "--confirmed", packet]);
    match run.code {
        0 => run.silent(),
        _ => assert!(run.fails(1).contains("not delivered yet")),
    }
    stages(yard, packet).last().unwrap().ends_with(" delivered")
}

/// Shows: W6, W31, W32.
#[test]
fn the_author_hears_from_each_node_how_far_his_packet_has_come() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let packets = yard.send(
        "north",
        &["--receipt", "--via", "b,c", "-t", "far"],
        &[("big", &noise(1, 300_000)), ("small", b"x")],
    );
    let at = |expected: [&str; 3]| packets.iter().for_each(|packet| assert_eq!(stages(&yard, packet), expected));
    at(["b -", "c -", "far -"]);
    assert!(!is_delivered(&yard, &packets[0]));
    yard.round(&["north", "b", "north"]);
    at(["b accepted", "c -", "far -"]);
    yard.round(&["c", "b", "north"]);
    at(["b handed", "c accepted", "far -"]);
    yard.round(&["far", "c", "b", "north"]);
    at(["b handed", "c handed", "far delivered"]);
    for packet in &packets {
        assert!(is_delivered(&yard, packet));
    }
    let north = yard.node("north");
    north.command(["mb-stat", "--confirmed"]).args(&packets).run().silent();
    let json = north.run(["mb-stat", "--json", &packets[0]]).ok();
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!((&last["queue"], &last["node"], &last["stage"]), (&"way".into(), &"far".into(), &"delivered".into()));
    // Nothing is said of what is said: all comes to rest.
    yard.round(&["far", "c", "b", "north", "far", "c", "b", "north"]);
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
        for other in yard.nodes.iter().filter(|other| other.name != node.name) {
            assert_eq!(yard.tx(&node.name, &other.name), [""; 0], "{} for {}", node.name, other.name);
        }
    }
}

/// Without relays, by the recipient's file, and in a call.
#[test]
fn a_neighbour_says_that_it_delivered() {
    let yard = Yard::new(&["north", "south"]);
    let (north, south) = (yard.node("north"), yard.node("south"));
    yard.set("north", "south", "[send]\nreceipt = true");
    let packet = yard.send("north", &["-t", "south"], &[("file", b"x")]).remove(0);
    let unasked = yard.send("south", &["-t", "north"], &[("back", b"y")]).remove(0);
    assert_eq!(stages(&yard, &packet), ["south -"]);
    let listen = [common::program("mb-listen"), "-C", south.config.to_str().unwrap(), "--spool"];
    let call = || {
        let call = north.command(["mb-call", "south", "--stdio", "--toss", "--"]).args(listen);
        call.arg(&south.spool).args(["--toss", "--stdio"]).run()
    };
    call().ok();
    south.run(["mb-toss"]).silent();
    call().ok();
    assert!(is_delivered(&yard, &packet));
    south.run(["mb-stat", "--confirmed", &unasked]).fails_with(1, "not sent from here with --receipt");
    assert!(!south.spool.join(north.id()).join("way").exists(), "nobody asked");
}

/// Shows: W31.
#[test]
fn whoever_refuses_it_says_why_and_later_that_it_was_delivered_after_all() {
    let yard = Yard::new(&["north", "b", "far"]);
    yard.set("far", "north", "[accept]\nfiles = false");
    let packet = yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]).remove(0);
    yard.round(&["north", "b"]);
    yard.visit("far").fails(77);
    yard.round(&["b", "north"]);
    let said = way(&yard, &packet);
    assert!(said[1].1 == "refused" && said[1].2.ends_with("north may not send us files ([accept] files = false)"));
    assert!(!is_delivered(&yard, &packet));
    let far = yard.node("far");
    let file = far.config.join("nodes/north.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("files = false", "files = true")).unwrap();
    far.run(["mb-toss", "--retry"]).ok();
    yard.round(&["far", "b", "north"]);
    assert!(is_delivered(&yard, &packet), "{:?}", way(&yard, &packet));
}

#[test]
fn a_relay_that_does_not_relay_says_so() {
    let yard = Yard::new(&["north", "b", "far"]);
    yard.set("b", "far", "[relay]\nto = false");
    let packet = yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]).remove(0);
    yard.round(&["north"]);
    yard.visit("b").fails(77);
    yard.round(&["north"]);
    assert_eq!(stages(&yard, &packet), ["b refused", "far -"]);
}

/// What is lost on the way back is said again when a copy comes.
#[test]
fn a_lost_receipt_does_no_harm() {
    let yard = Yard::new(&["north", "b", "far"]);
    let packet = yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]).remove(0);
    yard.node("north").command(["mb-xfer", "--all", "--keep"]).arg(&yard.stick).run().silent();
    yard.round(&["b", "far"]);
    // The stick is lost with what far and b have to say.
    fs::remove_dir_all(&yard.stick).unwrap();
    fs::create_dir(&yard.stick).unwrap();
    let (far, b) = (yard.node("far"), yard.node("b"));
    yard.round(&["b"]);
    assert_eq!(names(&b.spool.join("self/handed")), [""; 0], "it was told, and is not told for ever");
    yard.round(&["north"]);
    assert_eq!(stages(&yard, &packet), ["b handed", "far -"]);
    far.run(["mb-check"]).silent();
    yard.round(&["north", "b", "far", "b", "north"]);
    assert_eq!(names(&far.spool.join("incoming/north")), ["file"]);
}

fn receipt(about: Mark, stage: Stage, time: u64) -> Receipt {
    Receipt { about, stage, why: if stage == Stage::Refused { "no".into() } else { String::new() }, time }
}

/// Puts reports by `from` before `to`, which tosses.
fn report(from: &Node, to: &Node, reports: &[(&str, Vec<u8>)]) {
    let card = Card::parse(to.card().trim()).unwrap();
    let address = Address { id: card.id(), exchange: card.keys[0].public };
    let report = |(packet, statement): &(&str, Vec<u8>)| Report {
        packet: packet.parse().unwrap(),
        statement: statement.clone(),
    };
    let rx = to.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    let end = fs::read_to_string(to.spool.join("self/day")).unwrap().trim().parse::<u32>().unwrap() + 50;
    for reports in reports.chunks(REPORTS_MOST) {
        let content = Content::Reports(reports.iter().map(report).collect());
        let wrapping = Wrap { to: &address, end, nice: 1, hops: HOPS_MOST, bodies: &[], ask: false, content: &content };
        let envelope = wrap(&secrets(from), &wrapping).unwrap();
        fs::write(rx.join(packet_id(&envelope).to_string()), envelope).unwrap();
    }
    to.run(["mb-toss"]).silent();
    assert_eq!(names(&rx), [""; 0]);
}

/// The marks that north wrote down for the hops of a packet.
fn marks(yard: &Yard, first: &str, packet: &str) -> Vec<Mark> {
    let record = yard.node("north").spool.join(yard.node(first).id()).join("way").join(packet);
    let text = fs::read_to_string(record).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("hop ")?.split_once(' ')?.1.parse().ok()).collect()
}

/// A stage counts for as much as its signer. Threat: 11.
#[test]
fn only_the_nodes_on_the_way_say_something_and_each_only_what_it_can_know() {
    let yard = Yard::new(&["north", "b", "far", "east"]);
    let (north, b, far, east) = (yard.node("north"), yard.node("b"), yard.node("far"), yard.node("east"));
    let packet = &yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"x")])[0];
    yard.round(&["north"]);
    let marks = marks(&yard, "b", packet);
    let signed = |by: &Node, mark, stage, time| receipt(marks[mark], stage, time).sign(&secrets(by));
    let other = &packet_id(b"never sent").to_string();
    let damaged = {
        let mut statement = signed(far, 1, Stage::Delivered, 9);
        *statement.last_mut().unwrap() ^= 1;
        statement
    };
    // From somebody who was not handed it, of what was not sent, by somebody who is not on the way, of what only another can
    // know, damaged.
    report(east, north, &[(packet, signed(far, 1, Stage::Delivered, 9))]);
    report(b, north, &[(other, signed(far, 1, Stage::Delivered, 9))]);
    for (by, mark, stage) in [(east, 1, Stage::Delivered), (b, 1, Stage::Delivered), (far, 0, Stage::Accepted)] {
        report(b, north, &[(packet, signed(by, mark, stage, 9))]);
    }
    report(b, north, &[(packet, signed(b, 0, Stage::Delivered, 9)), (packet, signed(far, 1, Stage::Handed, 9))]);
    report(b, north, &[(packet, damaged), (packet, vec![0; 600])]);
    assert_eq!(stages(&yard, packet), ["b -", "far -"]);
    // The newest counts, in whatever order they come; but what was delivered stays so.
    report(b, north, &[(packet, signed(b, 0, Stage::Handed, 20)), (packet, signed(b, 0, Stage::Accepted, 10))]);
    assert_eq!(stages(&yard, packet), ["b handed", "far -"]);
    report(b, north, &[(packet, signed(far, 1, Stage::Delivered, 20))]);
    report(b, north, &[(packet, signed(far, 1, Stage::Refused, LATER))]);
    assert_eq!(stages(&yard, packet), ["b handed", "far delivered"]);
    north.run(["mb-check"]).silent();
}

/// Threat: 17.
#[test]
fn a_flood_of_receipts_is_passed_on_by_a_relay_only_in_part() {
    let yard = Yard::new(&["north", "b", "far"]);
    yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]);
    yard.round(&["north", "b", "far"]);
    let (b, far) = (yard.node("b"), yard.node("far"));
    let onward = names(&b.spool.join(far.id()).join("way")).remove(0);
    let strangers = (0..200u8).map(|number| {
        let stranger = NodeSecrets::from_seed(&Seed::from_bytes([number; 32]));
        (&*onward, receipt(Mark::from_bytes([number; 32]), Stage::Accepted, 1).sign(&stranger))
    });
    let flood: Vec<_> = strangers.collect();
    report(far, b, &flood);
    report(far, b, &flood);
    let ways = names(&b.spool.join(far.id()).join("way"));
    assert_eq!(ways.len(), 1 + 32, "the packet's way and what was passed on");
    assert_eq!(envelopes(&yard.tx("b", "north")).len(), 2, "they go together, and b's own");
    yard.round(&["b", "north"]);
    yard.node("north").run(["mb-check"]).silent();
    b.run(["mb-check"]).silent();
}
