//! mb-stat, mb-rm and mb-cat: what waits, what goes, what a packet says.

mod common;

use common::{Node, World, tree};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

fn world() -> (World, Node, Node, Node) {
    let world = World::new();
    let (north, south, east) = (world.node("north"), world.node("south"), world.node("east"));
    world.introduce(&[&north, &south, &east]);
    world.write("north/small", "hello\n");
    world.write("north/large", vec![5; 200_000]);
    (world, north, south, east)
}

/// Sends one file and gives its packet's id.
fn send(from: &Node, words: &[&str]) -> String {
    from.command(["mb-send", "--compress", "never"]).args(words).run().ok().trim().to_owned()
}

fn tx(from: &Node, to: &Node) -> PathBuf {
    from.spool.join(to.id()).join("tx")
}

/// Copies what waits into the other's `self/rx`, by hand, except names that end with `without`.
fn carry(from: &Node, to: &Node, without: &str) {
    let rx = to.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    for entry in fs::read_dir(tx(from, to)).unwrap() {
        let entry = entry.unwrap();
        if without.is_empty() || !entry.file_name().to_str().unwrap().ends_with(without) {
            fs::copy(entry.path(), rx.join(entry.file_name())).unwrap();
        }
    }
}

fn age(path: &Path, days: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

#[test]
fn nothing_waits_and_nothing_is_said() {
    let (world, north, south, _) = world();
    north.run(["mb-stat"]).silent();
    north.run(["mb-stat", "--packets"]).silent();
    north.run(["mb-stat", "south"]).fails_with(1, "south: nothing here");
    north.run(["mb-stat", "suoth"]).fails_with(67, "did you mean \"south\"?");
    north.run(["mb-stat", "--confirmed", "x"]).fails(64);
    north.command(["mb-stat"]).arg(world.make_dir("empty")).run().fails_with(66, "no mailbag folder");
    drop(south);
}

#[test]
fn what_waits_is_told_by_node_and_queue() {
    let (_world, north, south, east) = world();
    let small = send(&north, &["-t", "south", "small"]);
    send(&north, &["-t", "south", "large"]);
    send(&north, &["-t", "east", "small"]);
    age(&tx(&north, &south).join(&small), 3);
    let said = north.run(["mb-stat"]).ok();
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    assert!(lines[0].starts_with("tx east 1 packets ") && lines[0].contains(" bytes since 2"), "{said}");
    assert!(lines[1].starts_with("tx south 2 packets 20") && lines.len() == 2, "{said}");
    let only = north.run(["mb-stat", "south", "--json"]).ok();
    let object = json(only.trim());
    assert_eq!((&object["queue"], &object["node"], &object["packets"]), (&"tx".into(), &"south".into(), &2.into()));
    assert_eq!(object["id"], south.id());
    let len: u64 =
        fs::read_dir(tx(&north, &south)).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(object["bytes"], len);
    north.run(["mb-stat", &small]).ok();
    carry(&north, &south, "");
    assert!(south.run(["mb-stat"]).ok().starts_with("rx south 2 packets "));
    south.run(["mb-stat", &east.id()]).fails(1);
}

#[test]
fn a_stick_is_shown_without_any_configuration() {
    let (world, north, south, east) = world();
    let stick = world.make_dir("stick");
    let packets = north.run(["mb-send", "--compress", "never", "-t", "south", "-t", "east", "large"]).ok();
    north.command(["mb-xfer", "--out", "--node", "south", "--node", "east"]).arg(&stick).run().ok();
    let said = north.command(["mb-stat"]).arg(&stick).run().ok();
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    assert!(lines[0].starts_with("stick east 1 packets 20") && lines[0].ends_with(" 1 of 1 bodies"), "{said}");
    assert!(lines[1].starts_with("stick south 1 packets 20") && lines.len() == 2, "{said}");
    let said = world.command(["mb-stat", "--json"]).arg(&stick).run().ok();
    let mut nodes: Vec<_> = said.lines().map(|line| json(line)["node"].as_str().unwrap().to_owned()).collect();
    let mut ids = [south.id(), east.id()];
    nodes.sort();
    ids.sort();
    assert_eq!(nodes, ids);
    let first = packets.lines().next().unwrap();
    let line = north.command(["mb-stat"]).arg(&stick).arg(first).run().ok();
    assert!(line.starts_with(&format!("{first} stick south 128 20")) && line.lines().count() == 1, "{line}");
    north.command(["mb-stat"]).arg(&stick).arg("north").run().fails(1);
    world.command(["mb-check"]).arg(&stick).run().silent();
    for node in [&south, &east] {
        fs::remove_dir_all(stick.join("mailbag").join(node.id())).unwrap();
    }
    let said = world.command(["mb-stat"]).arg(&stick).run().ok();
    assert!(said.starts_with("spare - 1 bodies 20") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_packet_without_all_its_bodies_shows_how_many_are_here() {
    let (_world, north, south, _) = world();
    let packet = send(&north, &["-t", "south", "large"]);
    carry(&north, &south, ".0");
    south.run(["mb-toss"]).ok();
    let said = south.run(["mb-stat"]).ok();
    assert!(said.starts_with("wait north 1 packets ") && said.ends_with(" 0 of 1 bodies\n"), "{said}");
    let line = south.run(["mb-stat", "--packets"]).ok();
    let fields: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        (fields[0], fields[1], fields[2], fields[3], fields[6]),
        (packet.as_str(), "wait", "north", "128", "0/1")
    );
    assert_eq!(fields.len(), 8, "{line}");
    let object = json(south.run(["mb-stat", "--packets", "--json"]).ok().trim());
    assert_eq!((&object["bodies_here"], &object["bodies"]), (&0.into(), &1.into()));
    south.run(["mb-check"]).silent();
    let noted = south.run(["mb-check", "-v"]);
    assert!(noted.code == 0 && noted.stderr().contains("waits for its body 0"), "{noted}");
}

#[test]
fn what_went_bad_is_told_with_its_reason() {
    let (_world, north, south, _) = world();
    let packet = send(&north, &["-t", "south", "small"]);
    carry(&north, &south, "");
    let path = south.spool.join("self/rx").join(&packet);
    let mut bytes = fs::read(&path).unwrap();
    bytes[300] ^= 1;
    fs::write(&path, bytes).unwrap();
    let _ = south.run(["mb-toss"]).fails(65);
    let line = south.run(["mb-stat"]).ok();
    assert!(line.starts_with(&format!("{packet} bad - - ")) && line.contains("damaged"), "{line}");
    assert!(json(south.run(["mb-stat", "--json"]).ok().trim())["why"].as_str().unwrap().contains("damaged"));
    south.run(["mb-check"]).silent();
    assert_eq!(south.run(["mb-rm", "--bad"]).ok().trim(), packet);
    south.run(["mb-stat"]).silent();
    assert_eq!(fs::read_dir(south.spool.join("bad")).unwrap().count(), 0);
}

#[test]
fn removing_everything_has_to_be_said() {
    let (_world, north, _, _) = world();
    send(&north, &["-t", "south", "large"]);
    let before = tree(&north.spool);
    for words in [&["mb-rm"][..], &["mb-rm", "--node", "south"], &["mb-rm", "--older", "0s"], &["mb-rm", "--dry-run"]] {
        north.run(words).fails(64);
    }
    for words in [&["mb-rm", "--tx", "--rx"][..], &["mb-rm", "--tx", "--older", "1y"], &["mb-rm", "not-a-packet"]] {
        north.run(words).fails(64);
    }
    north.run(["mb-rm", &"a".repeat(52)]).fails(1);
    assert_eq!(tree(&north.spool), before);
}

#[test]
fn what_calls_have_not_brought_to_their_end_is_told_and_removed_when_that_is_asked_for() {
    let (_world, north, south, east) = world();
    let root = "a".repeat(52);
    for from in [&south, &east] {
        let part = north.spool.join("part").join(from.id());
        fs::create_dir_all(&part).unwrap();
        fs::write(part.join(&root), "begun").unwrap();
    }
    // No damage.
    north.run(["mb-check"]).silent();
    assert_eq!(north.run(["mb-rm", "--part", "--node", "south", "--dry-run"]).ok().trim(), root);
    assert_eq!(north.run(["mb-rm", "--part", "--older", "1d"]).ok(), "");
    assert_eq!(north.run(["mb-rm", "--part", "--node", "south"]).ok().trim(), root);
    assert!(!north.spool.join("part").join(south.id()).join(&root).exists());
    assert_eq!(north.run(["mb-rm", "--part"]).ok().trim(), root);
    assert_eq!(north.run(["mb-rm", "--part"]).ok(), "");
}

#[test]
fn a_packet_is_removed_with_its_bodies_and_no_other() {
    let (_world, north, south, _) = world();
    let packets = north.run(["mb-send", "--compress", "never", "-t", "south", "-t", "east", "large"]).ok();
    let mut packets = packets.lines();
    let (first, second) = (packets.next().unwrap(), packets.next().unwrap());
    let dry = north.run(["mb-rm", "--dry-run", first]).ok();
    assert_eq!(dry.trim(), first);
    assert!(tx(&north, &south).join(first).exists());
    assert_eq!(north.run(["mb-rm", first]).ok().trim(), first);
    assert_eq!(fs::read_dir(tx(&north, &south)).unwrap().count(), 0);
    north.run(["mb-check"]).silent();
    assert!(north.run(["mb-stat"]).ok().starts_with("tx east 1 packets 20"), "the shared body stays");
    north.run(["mb-rm", first]).fails_with(1, "no such packet");
    assert_eq!(north.run(["mb-rm", "--tx", "--node", "east"]).ok().trim(), second);
    let shards = fs::read_dir(north.spool.join("body")).unwrap();
    let left: usize = shards.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum();
    assert_eq!(left, 0, "nobody needs the body any more");
    north.run(["mb-check"]).silent();
}

#[test]
fn only_what_is_older_goes() {
    let (_world, north, south, _) = world();
    let old = send(&north, &["-t", "south", "small"]);
    let new = send(&north, &["-t", "south", "large"]);
    age(&tx(&north, &south).join(&old), 31);
    north.run(["mb-rm", "--rx", "--older", "30d"]).silent();
    assert_eq!(north.run(["mb-rm", "--tx", "--older", "30d"]).ok().trim(), old);
    north.run(["mb-rm", "--tx", "--older", "12h"]).silent();
    assert!(tx(&north, &south).join(new).exists());
}

#[test]
fn a_packet_that_another_program_works_on_stays() {
    let (_world, north, south, _) = world();
    let packet = send(&north, &["-t", "south", "small"]);
    let file = fs::File::open(tx(&north, &south).join(&packet)).unwrap();
    file.lock().unwrap();
    north.run(["mb-rm", &packet]).fails_with(75, "another program works on it");
    drop(file);
    north.run(["mb-rm", &packet]).ok();
}

/// Threat: 10.
#[test]
fn records_go_only_after_the_floor_was_raised() {
    let (_world, north, _, _) = world();
    let seen = north.spool.join("self/seen");
    for day in ["100", "18000", "40000"] {
        fs::create_dir_all(seen.join(day)).unwrap();
    }
    assert_eq!(north.run(["mb-rm", "--seen", "--dry-run"]).ok(), "1970-04-11\n2019-04-14\n");
    assert!(seen.join("100").exists() && !seen.join("FLOOR").exists());
    assert_eq!(north.run(["mb-rm", "--seen", "--older", "9000d"]).ok(), "1970-04-11\n");
    assert_eq!(fs::read_to_string(seen.join("FLOOR")).unwrap(), "100\n");
    north.run(["mb-rm", "--seen"]).ok();
    assert_eq!(fs::read_to_string(seen.join("FLOOR")).unwrap(), "18000\n");
    assert!(seen.join("40000").exists() && !seen.join("18000").exists());
}

/// Threat: 30.
#[test]
fn a_packet_shows_all_that_our_keys_open_and_no_key() {
    let (_world, north, south, east) = world();
    let packet = send(&north, &["-t", "south:reports/may.bin", "--nice", "7", "large"]);
    let outside = json(north.run(["mb-cat", "--json", &packet]).ok().trim());
    assert_eq!(
        (&outside["to"]["name"], &outside["nice"], &outside["opened"]),
        (&"south".into(), &7.into(), &Value::Null)
    );
    assert_eq!(outside["stops"], "it is sealed to another node");
    assert_eq!(outside["bodies"].as_array().unwrap().len(), 1);
    let file = tx(&north, &south).join(&packet);
    assert!(east.command(["mb-cat"]).arg(&file).run().ok().contains("sealed to another node"));
    carry(&north, &south, "");
    let inside = south.run(["mb-cat", "--json", &packet]).ok();
    let view = json(inside.trim());
    let letter = &view["opened"]["letter"];
    assert_eq!((&view["stops"], &view["opened"]["hops"]), (&Value::Null, &16.into()));
    assert_eq!((&letter["author"]["name"], &letter["content"]["path"]), (&"north".into(), &"reports/may.bin".into()));
    assert_eq!((&letter["content"]["bytes"], &letter["content"]["form"]), (&200_000.into(), &"plain".into()));
    assert_eq!(letter["content"]["bodies"][0]["codec"], "none");
    let text = south.run(["mb-cat", &packet]).ok();
    assert!(text.contains("\npath         reports/may.bin\n") && text.contains("\nfrom         north mbn1"), "{text}");
    for said in [inside, text] {
        // Roots, ids and tags have their form; a key would be 64 hex digits, 43 of base64 or in brackets.
        assert!(!said.contains("share") && !said.contains("commit") && !said.contains("\"key\":["), "{said}");
    }
    south.run(["mb-check"]).silent();
}

/// Nothing is released before all of it is verified.
#[test]
fn a_letter_is_printed_when_all_of_it_is_verified() {
    let (world, north, south, _) = world();
    world.write("north/folder/a/b.txt", "b");
    world.write("north/folder/z\n.txt", "z");
    let packets = [
        send(&north, &["-t", "south", "large"]),
        send(&north, &["-t", "south", "small"]),
        send(&north, &["-t", "south", "folder"]),
    ];
    carry(&north, &south, "");
    assert_eq!(south.run(["mb-cat", "--letter", &packets[0]]).stdout, vec![5; 200_000]);
    assert_eq!(south.run(["mb-cat", "--letter", &packets[1]]).ok(), "hello\n");
    let names = south.run(["mb-cat", "--letter", &packets[2]]).ok();
    assert_eq!(names, "/\na/\na/b.txt\nz\\n.txt\n");
    north.run(["mb-cat", "--letter", &packets[0]]).fails(77);
    let body = south.spool.join("self/rx").join(format!("{}.0", packets[0]));
    let mut bytes = fs::read(&body).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&body, bytes).unwrap();
    let refused = south.run(["mb-cat", "--letter", &packets[0]]);
    assert!(refused.code == 65 && refused.stdout.is_empty(), "not a byte\n{refused}");
    fs::remove_file(&body).unwrap();
    south.run(["mb-cat", "--letter", &packets[0]]).fails_with(75, "body 0 is not here");
}

#[test]
fn what_is_no_packet_is_bad_input() {
    let (world, north, south, _) = world();
    world.write("north/text", "no packet\n");
    north.run(["mb-cat", "text"]).fails_with(65, "text: damaged");
    north.run(["mb-cat", "gone"]).fails(66);
    north.run(["mb-cat", &"a".repeat(52)]).fails_with(1, "not in the spool");
    let packet = send(&north, &["-t", "south", "small"]);
    carry(&north, &south, "");
    let path = south.spool.join("self/rx").join(&packet);
    let whole = fs::read(&path).unwrap();
    for at in [0, 50, 200, 400, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        south.run(["mb-cat", &packet]).fails(65);
    }
    // The same bytes under a name of their own: the prefix may still hold, the seal does not.
    let copy = world.write("south/copy", &whole);
    south.command(["mb-cat"]).arg(&copy).run().ok();
    let mut bytes = whole.clone();
    bytes[whole.len() - 1] ^= 1;
    fs::write(&copy, bytes).unwrap();
    south.command(["mb-cat"]).arg(&copy).run().fails_with(65, "altered");
}

#[test]
fn an_unknown_author_is_where_it_stops() {
    let (_world, north, south, _) = world();
    let packet = send(&north, &["-t", "south", "small"]);
    carry(&north, &south, "");
    south.run(["mb-node", "remove", "north"]).ok();
    let view = json(south.run(["mb-cat", "--json", &packet]).ok().trim());
    assert_eq!(view["stops"], "the node that handed it over is not known here");
    assert_eq!((&view["opened"]["from"]["id"], &view["opened"]["from"]["name"]), (&north.id().into(), &Value::Null));
    assert_eq!(view["opened"]["letter"], Value::Null);
}
