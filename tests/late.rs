//! Too late: what nobody comes for stalls, and in the end it has ended; authors who want word of it hear of both.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise};
use std::fs;
use std::time::{Duration, SystemTime};
use yard::{Yard, envelopes, names};

const DAY: Duration = Duration::from_secs(86_400);

fn clock_day() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400
}

/// The last day of work was so many days ago.
fn worked(node: &Node, days_ago: u64) {
    let own = node.spool.join("self");
    fs::create_dir_all(&own).unwrap();
    let _ = fs::remove_file(own.join("doubt"));
    fs::write(own.join("day"), format!("{}\n", clock_day() - days_ago)).unwrap();
}

/// The node works forty days ago: it doubts the clock.
fn long_ago(node: &Node) {
    worked(node, 40);
}

/// A day begins.
fn new_day(node: &Node) {
    worked(node, 1);
}

/// What waits at `from` for `to` comes there.
fn pass(yard: &Yard, from: &str, to: &str) {
    let tx = yard.node(from).spool.join(yard.node(to).id()).join("tx");
    let rx = yard.node(to).spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    for name in names(&tx) {
        fs::rename(tx.join(&name), rx.join(&name)).unwrap();
    }
}

/// Makes the packets that wait at `at` for `to` so old.
fn age(yard: &Yard, at: &str, to: &str, by: Duration) {
    let tx = yard.node(at).spool.join(yard.node(to).id()).join("tx");
    for name in names(&tx) {
        fs::File::open(tx.join(name)).unwrap().set_modified(SystemTime::now() - by).unwrap();
    }
}

/// Node and stage of each hop of a packet of north's.
fn stages(yard: &Yard, packet: &str) -> Vec<String> {
    let told = yard.node("north").run(["mb-stat", packet]).ok();
    let lines = told.lines().filter_map(|line| line.strip_prefix(&format!("{packet} way ")));
    lines.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn waiting(yard: &Yard, at: &str, to: &str) -> usize {
    envelopes(&yard.tx(at, to)).len()
}

fn bad(node: &Node) -> usize {
    envelopes(&names(&node.spool.join("bad"))).iter().filter(|name| !name.ends_with(".why")).count()
}

fn toss(node: &Node) -> common::Run {
    node.run(["mb-toss"])
}

fn check(yard: &Yard) {
    yard.nodes.iter().for_each(|node| node.run(["mb-check"]).silent());
}

/// Shows: W31.
#[test]
fn a_relay_says_once_that_nobody_comes_for_it() {
    let yard = Yard::new(&["north", "b", "far"]);
    yard.set("b", "far", "[send]\ndeadline = 5");
    let (north, b) = (yard.node("north"), yard.node("b"));
    let packet = yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]).remove(0);
    yard.send("north", &["--via", "b", "-t", "far"], &[("unasked", b"y")]);
    pass(&yard, "north", "b");
    toss(b).silent();
    pass(&yard, "b", "north");
    toss(north).silent();
    assert_eq!(stages(&yard, &packet), ["b accepted", "far -"]);
    age(&yard, "b", "far", 4 * DAY);
    new_day(b);
    toss(b).silent();
    assert_eq!(waiting(&yard, "b", "north"), 0, "it may wait for five days");
    age(&yard, "b", "far", 6 * DAY);
    toss(b).silent();
    assert_eq!(waiting(&yard, "b", "north"), 0, "it is looked at once a day");
    long_ago(b);
    toss(b).ok();
    assert_eq!(waiting(&yard, "b", "north"), 0, "a clock that is doubted makes nothing late");
    new_day(b);
    toss(b).silent();
    assert_eq!((waiting(&yard, "b", "north"), waiting(&yard, "b", "far")), (1, 2));
    pass(&yard, "b", "north");
    assert_eq!(north.run(["mb-toss", "-v"]).stderr(), format!("mb-toss: {packet}: stalled by b\n"));
    assert_eq!(stages(&yard, &packet), ["b stalled", "far -"]);
    new_day(b);
    toss(b).silent();
    assert_eq!(waiting(&yard, "b", "north"), 0, "it is said once");
    check(&yard);
    yard.round(&["b", "far", "b", "north"]);
    assert_eq!(stages(&yard, &packet), ["b handed", "far delivered"]);
    check(&yard);
}

/// Shows: W31.
#[test]
fn what_ends_while_a_relay_has_it_goes_bad_there_and_its_author_hears_of_it() {
    let yard = Yard::new(&["north", "b", "far"]);
    let (north, b) = (yard.node("north"), yard.node("b"));
    long_ago(north);
    long_ago(b);
    let options = ["--receipt", "--ttl", "5", "--via", "b", "-t", "far"];
    let packets = yard.send("north", &options, &[("big", &noise(1, 300_000)), ("small", b"x")]);
    yard.send("north", &["--ttl", "5", "--via", "b", "-t", "far"], &[("unasked", b"y")]);
    yard.send("north", &["--receipt", "--ttl", "90", "--via", "b", "-t", "far"], &[("later", b"z")]);
    pass(&yard, "north", "b");
    toss(b).ok();
    toss(b).ok();
    assert_eq!(waiting(&yard, "b", "far"), 4, "a clock that is doubted ends nothing");
    pass(&yard, "b", "north");
    toss(north).ok();
    new_day(b);
    // On a stick at this moment.
    let tx = b.spool.join(yard.node("far").id()).join("tx");
    let held: Vec<fs::File> = names(&tx).iter().map(|name| fs::File::open(tx.join(name)).unwrap()).collect();
    held.iter().for_each(|file| file.lock().unwrap());
    toss(b).silent();
    drop(held);
    // In a call at this moment.
    new_day(b);
    let call = fs::File::open(&tx).unwrap();
    call.lock().unwrap();
    toss(b).silent();
    drop(call);
    assert_eq!((waiting(&yard, "b", "far"), bad(b)), (4, 0));
    new_day(b);
    let said = toss(b).fails(65);
    assert_eq!(said.matches("nobody came for it until its last day, ").count(), 3, "{said}");
    assert_eq!((waiting(&yard, "b", "far"), bad(b)), (1, 3));
    let told = b.run(["mb-stat"]).ok();
    assert_eq!(told.lines().filter(|line| line.contains(" bad far ")).count(), 3, "{told}");
    new_day(b);
    toss(b).silent();
    new_day(north);
    pass(&yard, "b", "north");
    toss(north).ok();
    for packet in &packets {
        assert_eq!(stages(&yard, packet), ["b expired", "far -"]);
        north.run(["mb-stat", "--confirmed", packet]).fails_with(1, "not delivered yet");
    }
    check(&yard);
    // Brought back, it goes again if somebody comes before the day is over.
    b.run(["mb-toss", "--retry"]).silent();
    assert_eq!((waiting(&yard, "b", "far"), bad(b)), (4, 0));
    new_day(b);
    toss(b).fails(65);
    assert_eq!((waiting(&yard, "b", "far"), bad(b)), (1, 3));
    assert_eq!(names(&b.spool.join("tmp")), [""; 0]);
}

#[test]
fn what_comes_too_late_is_expired_and_not_refused() {
    let yard = Yard::new(&["north", "b", "far"]);
    let (north, b, far) = (yard.node("north"), yard.node("b"), yard.node("far"));
    long_ago(north);
    let direct = yard.send("north", &["--receipt", "--ttl", "5", "-t", "far"], &[("direct", b"x")]).remove(0);
    yard.send("north", &["--ttl", "5", "-t", "far"], &[("unasked", b"x")]);
    yard.send("north", &["--ttl", "9", "--onion", "--via", "b", "-t", "far"], &[("onion", b"x")]);
    let by_b = yard.send("north", &["--receipt", "--ttl", "5", "--via", "b", "-t", "far"], &[("by", b"x")]).remove(0);
    pass(&yard, "north", "b");
    pass(&yard, "north", "far");
    for node in [b, far] {
        let said = toss(node).fails(65);
        assert_eq!(said.matches("its last day was ").count(), 2, "{said}");
        assert_eq!(waiting(&yard, &node.name, "north"), 1, "only where word of it is wanted");
        pass(&yard, &node.name, "north");
    }
    new_day(north);
    toss(north).silent();
    assert_eq!(stages(&yard, &direct), ["far expired"]);
    assert_eq!(stages(&yard, &by_b), ["b expired", "far -"]);
    check(&yard);
}

#[test]
fn a_packet_of_ours_that_nobody_came_for_is_in_bad_and_mb_stat_says_why() {
    let yard = Yard::new(&["north", "b", "far"]);
    let north = yard.node("north");
    let file = north.config.join("nodes/far.toml");
    fs::write(&file, format!("roads = [[\"b\"], []]\n{}", fs::read_to_string(&file).unwrap())).unwrap();
    long_ago(north);
    let packet = yard.send("north", &["--receipt", "--ttl", "5", "-t", "far"], &[("file", b"x")]).remove(0);
    new_day(north);
    toss(north).fails_with(65, "nobody came for it until its last day, ");
    let told = north.run(["mb-stat", &packet]).ok();
    assert!(told.starts_with(&format!("{packet} bad b ")) && told.contains("nobody came for it"), "{told}");
    assert_eq!(stages(&yard, &packet), ["b -", "far -"]);
    assert_eq!(waiting(&yard, "north", "b") + waiting(&yard, "north", "far"), 0, "no road is open any more");
    check(&yard);
}

/// It was handed over: nobody can say that nobody came for it.
#[test]
fn what_was_handed_over_and_put_out_again_ends_without_a_word() {
    let yard = Yard::new(&["north", "far"]);
    let north = yard.node("north");
    yard.set("north", "far", "[send]\nkeep = \"until-confirmed\"");
    long_ago(north);
    yard.send("north", &["--ttl", "5", "-t", "far"], &[("big", &noise(1, 300_000))]);
    north.command(["mb-xfer", "--out", "--all"]).arg(&yard.stick).run().ok();
    let folder = |name: &str| north.spool.join(yard.node("far").id()).join(name);
    fs::create_dir_all(folder("tx")).unwrap();
    for name in names(&folder("sent")) {
        fs::hard_link(folder("sent").join(&name), folder("tx").join(&name)).unwrap();
    }
    assert_eq!(waiting(&yard, "north", "far"), 1);
    new_day(north);
    toss(north).silent();
    assert_eq!((yard.tx("north", "far"), names(&folder("sent")), bad(north)), (vec![], vec![], 0));
    check(&yard);
}
