//! Complaints: a receiver says that a packet should not have come, and each node on its way counts that against the one before.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise, secrets};
use mb_wire::card::Card;
use mb_wire::envelope::{Address, Content, HOPS_MOST, Wrap, packet_id, wrap};
use mb_wire::id::LetterId;
use mb_wire::report::{Complaint, Reason, Report};
use std::fs;
use yard::{Yard, names};

/// far takes in what the stick has, and tosses; the packet that it delivered.
fn deliver(yard: &Yard) -> String {
    let far = yard.node("far");
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let told: serde_json::Value = serde_json::from_str(&far.run(["mb-toss", "--json"]).ok()).unwrap();
    told["packet"].as_str().unwrap().to_owned()
}

fn complain(yard: &Yard, packet: &str) {
    yard.node("far").run(["mb-node", "complain", packet, "--reason", "spam"]).silent();
}

fn counts(node: &Node) -> Vec<String> {
    let told = node.run(["mb-stat"]).ok();
    told.lines().filter(|line| line.starts_with("complaints ")).map(str::to_owned).collect()
}

/// Shows: W28.
#[test]
fn a_complaint_goes_back_the_way_that_the_packet_came_and_counts_once() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    yard.send("north", &["--receipt", "--via", "b,c", "-t", "far"], &[("file", b"buy")]);
    yard.round(&["north", "b", "c"]);
    let packet = deliver(&yard);
    complain(&yard, &packet);
    yard.round(&["far", "c", "b"]);
    assert_eq!(counts(yard.node("c")), ["complaints b 1 within 30 days"]);
    assert_eq!(counts(yard.node("b")), ["complaints north 1 within 30 days"]);
    assert_eq!(counts(yard.node("far")), [""; 0], "it is far that complains");
    let north = yard.node("north");
    let said = north.command(["mb-xfer", "--toss"]).arg(&yard.stick).run();
    said.ok();
    let said = north.run(["mb-stat", "north"]).code;
    assert_eq!(said, 1);
    complain(&yard, &packet);
    yard.round(&["far", "c", "b", "north"]);
    assert_eq!(counts(yard.node("c")), ["complaints b 1 within 30 days"]);
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
    }
}

#[test]
fn an_author_who_wants_to_hear_of_his_packet_hears_that_too() {
    let yard = Yard::new(&["north", "b", "far"]);
    let sent = yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"buy")]).remove(0);
    yard.round(&["north", "b"]);
    complain(&yard, &deliver(&yard));
    yard.round(&["far", "b"]);
    let north = yard.node("north");
    north.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let said = north.run(["mb-toss"]).stderr();
    assert_eq!(said, format!("mb-toss: {sent}: far complains of it: spam\n"));
    // As it would be if the relay told it again.
    let way = north.spool.join(yard.node("b").id()).join("way");
    assert!(way.join(format!("{sent}.32")).exists(), "it is told once");
}

#[test]
fn of_whom_too_many_complain_nothing_is_relayed_until_it_is_forgotten() {
    let yard = Yard::new(&["north", "b", "far"]);
    let b = yard.node("b");
    yard.set("b", "north", "[relay]\nmost_complaints = 2");
    for number in 0..2 {
        yard.send("north", &["--via", "b", "-t", "far"], &[(&format!("file{number}"), b"buy")]);
        yard.round(&["north", "b"]);
        complain(&yard, &deliver(&yard));
        yard.round(&["far", "b"]);
    }
    yard.send("north", &["--via", "b", "-t", "far"], &[("more", b"buy")]);
    yard.round(&["north"]);
    yard.visit("b").fails_with(75, "nothing of north is relayed for now: too many complain of it");
    assert_eq!(yard.tx("b", "far"), [""; 0]);
    // A month later.
    let complaints = b.spool.join(yard.node("north").id()).join("complaints");
    let day: u32 = names(&complaints)[0].parse().unwrap();
    fs::rename(complaints.join(day.to_string()), complaints.join((day - 31).to_string())).unwrap();
    fs::write(b.spool.join("self/day"), format!("{}\n", day - 1)).unwrap();
    b.run(["mb-toss"]).silent();
    assert_eq!(counts(b), [""; 0]);
    assert_eq!(yard.tx("b", "far").len(), 1);
}

/// Nor is it announced to the next hop while its bodies have not come.
#[test]
fn of_whom_too_many_complain_nothing_goes_ahead_either() {
    let yard = Yard::new(&["north", "b", "far"]);
    let b = yard.node("b");
    yard.set("b", "north", "[relay]\nmost_complaints = 1");
    yard.send("north", &["--via", "b", "-t", "far"], &[("file", b"buy")]);
    yard.round(&["north", "b"]);
    complain(&yard, &deliver(&yard));
    yard.round(&["far", "b"]);
    assert_eq!(counts(b), ["complaints north 1 within 30 days"]);
    let packet = yard.send("north", &["--via", "b", "-t", "far"], &[("more", &noise(1, 100_000))]).remove(0);
    let tx = yard.node("north").spool.join(b.id()).join("tx");
    fs::copy(tx.join(&packet), b.spool.join("self/rx").join(&packet)).unwrap();
    b.run(["mb-toss"]).silent();
    assert!(b.run(["mb-stat", "--packets"]).ok().contains(" wait north "));
    assert_eq!(names(&b.spool.join(yard.node("far").id()).join("ahead")), [""; 0]);
}

/// Only whom a packet was handed to can complain of it. Threat: 11.
#[test]
fn a_complaint_about_what_did_not_come_that_way_is_dropped() {
    let yard = Yard::new(&["north", "b", "far", "east"]);
    yard.send("north", &["--via", "b", "-t", "far"], &[("file", b"x")]);
    yard.round(&["north", "b"]);
    let (b, far, east) = (yard.node("b"), yard.node("far"), yard.node("east"));
    let onward = names(&b.spool.join(far.id()).join("way")).remove(0);
    let day = fs::read_to_string(b.spool.join("self/day")).unwrap().trim().parse::<u32>().unwrap();
    let hand = |from: &Node, packet: &str| {
        let card = Card::parse(b.card().trim()).unwrap();
        let to = Address { id: card.id(), exchange: card.keys[0].public };
        let complaint = Complaint { about: LetterId::from_bytes([1; 32]), reason: Reason::Forged };
        let statement = complaint.sign(&secrets(from), 5);
        let content = Content::Reports(vec![Report { packet: packet.parse().unwrap(), statement }]);
        let wrapping =
            Wrap { to: &to, end: day + 5, nice: 1, hops: HOPS_MOST, bodies: &[], ask: false, content: &content };
        let envelope = wrap(&secrets(from), &wrapping).unwrap();
        fs::write(b.spool.join("self/rx").join(packet_id(&envelope).to_string()), envelope).unwrap();
        b.run(["mb-toss"]).silent();
    };
    hand(east, &onward);
    hand(far, &packet_id(b"never sent").to_string());
    assert_eq!((counts(b), yard.tx("b", "north")), (vec![], vec![]));
    hand(far, &onward);
    hand(far, &onward);
    assert_eq!(counts(b), ["complaints north 1 within 30 days"]);
    assert_eq!(yard.tx("b", "north").len(), 1);
}

#[test]
fn of_a_neighbours_own_packet_and_of_an_onion_nobody_else_can_be_told() {
    let yard = Yard::new(&["north", "b", "far"]);
    let complain = |packet: &str| yard.node("far").run(["mb-node", "complain", packet, "--reason", "other"]);
    for options in [&["-t", "far"][..], &["--onion", "--via", "b", "-t", "far"]] {
        yard.send("north", options, &[("file", b"x")]);
        yard.round(&["north", "b"]);
        complain(&deliver(&yard)).fails_with(1, "not by way of a relay in the open");
    }
    complain(&packet_id(b"never came").to_string()).fails(1);
    complain("x").fails(64);
}
