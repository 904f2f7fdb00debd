//! Another road: what nobody came for by its deadline goes by the next one, and is delivered once, whichever comes first.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise};
use std::fs;
use std::time::{Duration, SystemTime};
use yard::{Yard, envelopes, names};

const DAY: Duration = Duration::from_secs(86_400);

/// north reaches far by b, by c, or directly.
fn yard() -> Yard {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    yard.set_first("north", "far", r#"roads = [["b"], ["c"], []]"#);
    yard
}

impl Yard {
    /// As `set`, before everything else in the file.
    fn set_first(&self, at: &str, of: &str, line: &str) {
        let file = self.node(at).config.join(format!("nodes/{of}.toml"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{line}\n{text}")).unwrap();
    }

    /// Makes the packets that wait at north for `to` so old.
    fn age(&self, to: &str, by: Duration) {
        let tx = self.node("north").spool.join(self.node(to).id()).join("tx");
        for name in self.tx("north", to) {
            let file = fs::File::options().read(true).open(tx.join(name)).unwrap();
            file.set_modified(SystemTime::now() - by).unwrap();
        }
    }

    fn waits(&self) -> [usize; 3] {
        ["b", "c", "far"].map(|to| envelopes(&self.tx("north", to)).len())
    }
}

fn toss(node: &Node) -> String {
    node.run(["mb-toss", "-v"]).stderr()
}

/// Shows: W33.
#[test]
fn what_nobody_came_for_goes_by_the_next_road_until_there_is_none() {
    let yard = yard();
    let north = yard.node("north");
    let big = noise(1, 300_000);
    let packets = yard.send("north", &["--receipt", "-t", "far"], &[("big", &big), ("small", b"x")]);
    yard.age("b", 2 * DAY);
    assert_eq!((toss(north).as_str(), yard.waits()), ("", [2, 0, 0]), "it may wait for three days");
    yard.age("b", 4 * DAY);
    let said = toss(north);
    assert!(said.contains(&format!("{}: waited long enough, goes by c as ", packets[0])), "{said}");
    assert_eq!(yard.waits(), [0, 2, 0]);
    assert_eq!(toss(north), "", "its time begins anew");
    north.run(["mb-check"]).silent();
    yard.age("c", 4 * DAY);
    toss(north);
    assert_eq!(yard.waits(), [0, 0, 2]);
    yard.age("far", 40 * DAY);
    assert_eq!(toss(north), "", "that was the last road");
    yard.round(&["north", "far", "north"]);
    assert!(yard.delivered("far", "north", "big").as_ref() == Some(&big));
    north.command(["mb-stat", "--confirmed"]).args(&packets).run().silent();
    let told = north.run(["mb-stat", &packets[1]]).ok();
    let words = told.lines().map(|line| line.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" "));
    assert_eq!(words.collect::<Vec<_>>(), ["way c rerouted", "way far rerouted", "way far delivered"]);
    let json = north.run(["mb-stat", "--json", &packets[1]]).ok();
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["queue"], &first["node"], &first["stage"]), (&"way".into(), &"c".into(), &"rerouted".into()));
    assert!(said.contains(&format!("goes by c as {}", first["became"].as_str().unwrap())), "{said} {first}");
    assert!(told.contains(&format!(" rerouted {} ", first["time"].as_str().unwrap())), "{told} {first}");
    for node in [north, yard.node("far")] {
        node.run(["mb-check"]).silent();
        assert_eq!(names(&node.spool.join("tmp")), [""; 0]);
    }
    let left = ["b", "c", "far"].map(|to| names(&north.spool.join(yard.node(to).id()).join("road")).len());
    assert_eq!(left, [0; 3]);
}

/// A relay of the first road has it already when the second is taken: the recipient keeps the one that comes first.
#[test]
fn by_two_roads_it_is_delivered_once() {
    let yard = yard();
    let north = yard.node("north");
    let big = noise(2, 300_000);
    yard.send("north", &["-t", "far"], &[("big", &big)]);
    north.command(["mb-xfer", "--out", "--all", "--keep"]).arg(&yard.stick).run().silent();
    yard.age("b", 4 * DAY);
    yard.round(&["north", "c", "b", "far", "b", "c", "far"]);
    assert_eq!(names(&yard.node("far").spool.join("incoming/north")), ["big"]);
    assert!(yard.delivered("far", "north", "big").as_ref() == Some(&big));
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
        assert_eq!(names(&node.spool.join("bad")), [""; 0], "at {}", node.name);
    }
}

#[test]
fn the_deadline_is_the_recipients_and_a_packet_that_has_left_has_no_other_road() {
    let yard = yard();
    let north = yard.node("north");
    yard.set("north", "far", "[send]\ndeadline = 10");
    yard.send("north", &["-t", "far"], &[("file", b"x")]);
    yard.age("b", 9 * DAY);
    toss(north);
    assert_eq!(yard.waits(), [1, 0, 0]);
    yard.round(&["north"]);
    assert_eq!(yard.waits(), [0, 0, 0]);
    toss(north);
    assert_eq!(yard.waits(), [0, 0, 0]);
    // Ways that were named are no roads of the file.
    yard.send("north", &["--via", "c", "-t", "far"], &[("file", b"x")]);
    yard.age("c", 40 * DAY);
    toss(north);
    assert_eq!(yard.waits(), [0, 1, 0]);
    yard.set_first("north", "b", "roads = [[\"nobody\"]]");
    let file = yard.world.write("out/file", "x");
    north.command(["mb-send", "-t", "b"]).arg(file).run().fails_with(78, "roads: unknown node \"nobody\"");
}

/// An onion goes by the first road only: another one would be another onion, of a content that is not here any more.
#[test]
fn an_onion_has_one_road() {
    let yard = yard();
    yard.send("north", &["--onion", "-t", "far"], &[("file", b"x")]);
    yard.age("b", 40 * DAY);
    toss(yard.node("north"));
    assert_eq!(yard.waits(), [1, 0, 0]);
    assert!(!yard.node("north").spool.join(yard.node("b").id()).join("road").exists());
}
