//! Relays: packets reach nodes that their author never meets, by way of others, and only as these allow. Nothing joins the
//! nodes but one stick that goes round.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, World, noise, tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use yard::{Yard, envelopes, names};

/// Shows: W15, B19.
#[test]
fn a_packet_goes_by_three_relays_to_a_node_that_its_author_never_meets() {
    let yard = Yard::new(&["north", "b", "c", "d", "far"]);
    let big = noise(1, 3_000_000);
    yard.world.write("folder/sub/inside", "inside");
    let folder = yard.world.path("folder");
    yard.send("north", &["--via", "b,c,d", "-t", "far"], &[("big.bin", &big), ("small", b"hello"), ("empty", b"")]);
    yard.node("north").command(["mb-send", "--via", "b,c,d", "-t", "far"]).arg(folder).run().ok();
    assert_eq!(envelopes(&yard.tx("north", "b")).len(), 4);
    yard.round(&["north", "b", "c", "d", "far"]);
    assert!(yard.delivered("far", "north", "big.bin").as_ref() == Some(&big));
    assert_eq!(yard.delivered("far", "north", "small").as_deref(), Some(&b"hello"[..]));
    assert_eq!(yard.delivered("far", "north", "empty").as_deref(), Some(&b""[..]));
    assert_eq!(yard.delivered("far", "north", "folder/sub/inside").as_deref(), Some(&b"inside"[..]));
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
        assert!(!node.spool.join("bad").exists(), "at {}", node.name);
        assert_eq!(names(&node.spool.join("tmp")), [""; 0], "at {}", node.name);
    }
    for relay in ["b", "c", "d"] {
        assert!(!yard.node(relay).spool.join("incoming").exists(), "{relay} has nothing of its own");
    }
}

/// Shows: W15. A node's file says by whom it is reached; what is sent then needs no option.
#[test]
fn the_first_road_of_a_node_is_the_way_to_it() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.set("north", "far", r#"roads = [["hub"], []]"#);
    yard.send("north", &["-t", "far"], &[("file", b"by road")]);
    assert_eq!(yard.tx("north", "hub").len(), 1);
    assert_eq!(yard.tx("north", "far"), [""; 0]);
    yard.round(&["north", "hub", "far"]);
    assert_eq!(yard.delivered("far", "north", "file").as_deref(), Some(&b"by road"[..]));
    // Another way than the file's.
    yard.send("north", &["--via", "far", "-t", "hub"], &[("back", b"by the other")]);
    assert_eq!(yard.tx("north", "far").len(), 1);
}

#[test]
fn a_card_can_be_taken_in_with_the_relay_to_its_node() {
    let world = World::new();
    let (north, hub, far) = (world.node("north"), world.node("hub"), world.node("far"));
    north.command(["mb-node", "add"]).stdin(hub.card()).run().ok();
    let add = |via: &str| north.command(["mb-node", "add", "--via", via]).stdin(far.card()).run();
    add("hbu").fails_with(67, "did you mean \"hub\"?");
    add("hub").ok();
    assert!(north.run(["mb-node", "show", "far"]).ok().contains("hub"));
    add("hub").silent();
    add("north").fails_with(77, "by another way");
    north.run(["mb-check", "--config"]).silent();
    north.run(["mb-node", "remove", "hub"]).silent();
    let checked = north.run(["mb-check", "--config"]);
    assert!(checked.code == 1 && checked.to_string().contains("far.toml: roads: unknown node \"hub\""), "{checked}");
    let file = world.write("north/file", "x");
    north.command(["mb-send", "-t", "far"]).arg(file).run().fails_with(78, "far.toml: roads: unknown node \"hub\"");
}

/// Shows: B5, B6, B7, B30.
/// One command hands a hub one envelope for each recipient, printed in their order, and the body once; each recipient gets its
/// own envelope and nobody else's.
#[test]
fn one_body_goes_to_a_hub_and_fans_out_to_every_recipient() {
    let recipients = ["r1", "r2", "r3", "r4"];
    let yard = Yard::new(&[&["north", "hub"][..], &recipients].concat());
    let body = noise(2, 300_000);
    let to: Vec<&str> = recipients.iter().flat_map(|name| ["-t", name]).collect();
    let sent = yard.send("north", &[&["--via", "hub"][..], &to].concat(), &[("report", &body)]);
    assert_eq!(sent.iter().collect::<BTreeSet<_>>(), envelopes(&yard.tx("north", "hub")).into_iter().collect());
    assert_eq!(sent.len(), 4);
    yard.round(&["north"]);
    let on_stick = |part: &str| tree(&yard.stick.join("mailbag").join(part)).iter().filter(|l| l.len() > 60).count();
    assert_eq!((on_stick("body"), on_stick(&yard.node("hub").id())), (1, 4), "{:?}", tree(&yard.stick));
    yard.round(&["hub"]);
    assert_eq!(on_stick("body"), 1);
    for name in recipients {
        assert_eq!(on_stick(&yard.node(name).id()), 1, "an envelope for {name}");
    }
    for name in recipients {
        yard.round(&[name]);
        assert!(yard.delivered(name, "north", "report").as_ref() == Some(&body), "at {name}");
        let seen = names(&yard.node(name).spool.join("self/seen"));
        let letters: usize =
            seen.iter().map(|day| names(&yard.node(name).spool.join("self/seen").join(day)).len()).sum();
        assert_eq!(letters, 1, "{name} has met one letter");
    }
    assert_eq!((on_stick("body"), on_stick("part")), (0, 0));
    yard.node("hub").run(["mb-check"]).silent();
}

/// Shows: B8, B9.
#[test]
fn more_than_64_recipients_behind_a_hub_get_a_new_body_for_each_64() {
    let yard = Yard::new(&["north", "hub"]);
    let north = yard.node("north");
    let nodes: Vec<Node> = (0..130).map(|number| yard.world.node(&format!("r{number}"))).collect();
    let cards: String = nodes.iter().map(|node| node.card() + "\n").collect();
    north.command(["mb-node", "add", "--via", "hub"]).stdin(cards).run().ok();
    let file = yard.world.write("out/report", noise(3, 100_000));
    let to = nodes.iter().flat_map(|node| ["-t".to_owned(), node.name.clone()]);
    north.command(["mb-send"]).args(to).arg(file).run().ok();
    let waiting = yard.tx("north", "hub");
    assert_eq!((envelopes(&waiting).len(), waiting.len()), (130, 260));
    use std::os::unix::fs::MetadataExt as _;
    let tx = north.spool.join(yard.node("hub").id()).join("tx");
    let bodies = waiting.iter().filter(|name| name.contains('.'));
    let files: BTreeSet<u64> = bodies.map(|name| fs::metadata(tx.join(name)).unwrap().ino()).collect();
    assert_eq!(files.len(), 3, "64, 64 and 2 share one");
}

/// A relay is shown the next hop and nothing below; the recipient all.
#[test]
fn mb_cat_shows_a_relay_its_slot_and_nothing_below() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let sent = yard.send("north", &["--via", "b,c", "-t", "far"], &[("secret-name", b"hello")]);
    yard.round(&["north"]);
    let b = yard.node("b");
    b.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let shown = b.run(["mb-cat", &sent[0]]).ok();
    assert!(shown.contains("next         c ") && shown.contains("stops        the rest is for other nodes"), "{shown}");
    assert!(!shown.contains(" far") && !shown.contains(&yard.node("far").id()) && !shown.contains("letter"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&b.run(["mb-cat", "--json", &sent[0]]).ok()).unwrap();
    assert_eq!(json["opened"]["route"]["next"]["name"], "c");
    assert_eq!(json["opened"]["letter"], serde_json::Value::Null);
    b.run(["mb-cat", "--letter", &sent[0]]).fails_with(77, "the rest is for other nodes");
    b.run(["mb-toss"]).silent();
    yard.round(&["b", "c"]);
    let far = yard.node("far");
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let packet = names(&far.spool.join("self/rx")).remove(0);
    let shown = far.run(["mb-cat", &packet]).ok();
    assert!(
        shown.contains("next         its route ends here") && shown.contains("path         secret-name"),
        "{shown}"
    );
    assert_eq!(far.run(["mb-cat", "--letter", &packet]).ok(), "hello");
}

/// Both neighbours' files have a say, and what is refused can be tried again.
#[test]
fn a_relay_hands_on_only_what_it_may() {
    let yard = Yard::new(&["north", "hub", "far"]);
    let hub = yard.node("hub");
    let refused = |code: i32, what: &str| {
        let packet = yard.send("north", &["--via", "hub", "-t", "far"], &[("file", b"x")]).remove(0);
        yard.round(&["north"]);
        yard.visit("hub").fails_with(code, what);
        assert_eq!(yard.tx("hub", "far"), [""; 0]);
        packet
    };
    let file = |of: &str| hub.config.join(format!("nodes/{of}.toml"));
    let (north_file, far_file) = (fs::read(file("north")).unwrap(), fs::read(file("far")).unwrap());
    yard.set("hub", "north", "[relay]\nfrom = false");
    let first = refused(77, "nothing of north is relayed ([relay] from = false)");
    fs::write(file("north"), &north_file).unwrap();
    yard.set("hub", "far", "[relay]\nto = false");
    let second = refused(77, "nothing is relayed to far ([relay] to = false)");
    hub.run(["mb-node", "remove", "far"]).ok();
    let third = refused(67, "to be relayed to a node that is not known here: mbn1");
    fs::write(file("far"), &far_file).unwrap();
    hub.run(["mb-toss", "--retry", &first, &second, &third]).silent();
    assert_eq!(yard.tx("hub", "far").len(), 3);
    // What it may have for itself is another matter.
    yard.set("hub", "north", "[relay]\nfrom = false");
    yard.send("north", &["-t", "hub"], &[("own", b"x")]);
    yard.round(&["north", "hub"]);
    assert!(yard.delivered("hub", "north", "own").is_some());
}

#[test]
fn to_itself_nothing_goes_by_relays() {
    let yard = Yard::new(&["north", "hub"]);
    yard.send("north", &["--via", "hub", "-t", "north"], &[("file", b"x")]);
    assert!(yard.delivered("north", "north", "file").is_some());
    assert_eq!(yard.tx("north", "hub"), [""; 0]);
}

/// Shows: B20, B21, B29.
/// Bodies and envelopes come to the hub in any order; a body that comes late goes to every envelope that waits for it, and an
/// envelope that comes late gets every body that is there.
#[test]
fn a_hub_gives_bodies_to_envelopes_in_whatever_order_they_come() {
    let yard = Yard::new(&["north", "hub", "r1", "r2"]);
    let body = noise(5, 100_000);
    yard.send("north", &["--via", "hub", "-t", "r1", "-t", "r2"], &[("report", &body)]);
    let from = yard.node("north").spool.join(yard.node("hub").id()).join("tx");
    let rx = yard.world.make_dir("hub/spool/self/rx");
    let come = |name: &str| assert!(fs::copy(from.join(name), rx.join(name)).is_ok());
    let waiting = yard.tx("north", "hub");
    let (first, second) = (&waiting[0], &waiting[2]);
    let hub = yard.node("hub");
    come(first);
    hub.run(["mb-toss"]).silent();
    assert_eq!((yard.tx("hub", "r1"), yard.tx("hub", "r2")), (vec![], vec![]), "it waits for its body");
    come(second);
    come(&format!("{second}.0"));
    hub.run(["mb-toss"]).silent();
    assert_eq!((yard.tx("hub", "r1").len(), yard.tx("hub", "r2").len()), (2, 2), "one body heals both");
    yard.round(&["hub", "r1", "r2"]);
    for name in ["r1", "r2"] {
        assert!(yard.delivered(name, "north", "report").as_ref() == Some(&body), "at {name}");
    }
}

/// A copy of what went on goes nowhere, even when what it became has been handed over long ago.
#[test]
fn what_comes_again_goes_on_once() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.send("north", &["--via", "hub", "-t", "far"], &[("file", &noise(6, 50_000))]);
    let from = yard.node("north").spool.join(yard.node("hub").id()).join("tx");
    let rx = yard.world.make_dir("hub/spool/self/rx");
    let hub = yard.node("hub");
    let come = || {
        for name in yard.tx("north", "hub") {
            fs::copy(from.join(&name), rx.join(&name)).unwrap();
        }
        hub.run(["mb-toss"]).silent();
        assert_eq!(names(&rx), [""; 0]);
        yard.tx("hub", "far")
    };
    let gone_on = come();
    assert_eq!(gone_on.len(), 2, "an envelope and a body");
    assert_eq!(come(), gone_on, "the same comes while it waits");
    yard.round(&["hub"]);
    assert_eq!(come(), [""; 0], "the same comes when it has been handed over");
    let index = tree(&hub.spool.join("body"));
    assert!(!index.iter().any(|line| line.len() > 70), "nothing of it stays: {index:?}");
}

/// A neighbour's limits count what was relayed for it and has not gone on; what is over them stays where it is.
#[test]
fn what_is_over_a_neighbours_limit_waits_until_the_rest_has_gone_on() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.set("hub", "north", "[link]\nmost_packets = 2");
    yard.send("north", &["--via", "hub", "-t", "far"], &[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    yard.round(&["north"]);
    let hub = yard.node("hub");
    hub.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    hub.run(["mb-toss"]).fails_with(75, "north has as much here as it may ([link])");
    assert_eq!((yard.tx("hub", "far").len(), names(&hub.spool.join("self/rx")).len()), (2, 1));
    hub.run(["mb-toss"]).fails(75);
    hub.command(["mb-xfer", "--out", "--all"]).arg(&yard.stick).run().silent();
    hub.run(["mb-toss"]).silent();
    yard.round(&["hub", "far"]);
    for name in ["a", "b", "c"] {
        assert!(yard.delivered("far", "north", name).is_some(), "{name}");
    }
    hub.run(["mb-check"]).silent();
}

#[test]
fn with_no_relay_what_is_for_others_stays() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.send("north", &["--via", "hub", "-t", "far"], &[("on", b"1")]);
    yard.send("north", &["-t", "hub"], &[("own", b"2")]);
    yard.round(&["north"]);
    let hub = yard.node("hub");
    hub.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    hub.run(["mb-toss", "--no-relay"]).ok();
    assert!(yard.delivered("hub", "north", "own").is_some());
    assert_eq!((yard.tx("hub", "far"), names(&hub.spool.join("self/rx")).len()), (vec![], 1));
    assert_eq!(hub.run(["mb-toss", "--no-relay", "--require-work"]).fails_quietly(3), "");
    let said = hub.run(["mb-toss", "-v", "--require-work"]).fails_quietly(0);
    assert!(said.contains("goes on to far as "), "{said}");
}

/// Threat: 8.
/// Whoever holds the stick between two relays changes a byte: the next node says so, and nothing goes on.
#[test]
fn what_was_altered_between_relays_is_found_by_the_next_node() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    yard.send("north", &["--via", "b,c", "-t", "far"], &[("file", &noise(7, 50_000))]);
    yard.round(&["north", "b"]);
    let c = yard.node("c");
    let rx = yard.world.make_dir("c/spool/self/rx");
    let waiting = yard.tx("b", "c");
    assert_eq!(waiting, [""; 0], "it is on the stick");
    c.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let envelope = names(&rx).into_iter().find(|name| !name.contains('.')).unwrap();
    let mut bytes = fs::read(rx.join(&envelope)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(rx.join(&envelope), bytes).unwrap();
    c.run(["mb-toss"]).fails_with(65, "damaged");
    assert_eq!(yard.tx("c", "far"), [""; 0]);
}

/// Everything below a spool but what says when: paths, and what files hold.
fn state(spool: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = tree(spool).into_iter().map(|line| line.split(' ').next().unwrap().to_owned());
    let files = paths.filter(|path| spool.join(path).is_file() && path != "self/due");
    files.map(|path| (path.clone(), fs::read(spool.join(path)).unwrap())).collect()
}

/// A hub that has before it what goes on to two nodes, what is for itself, and something that nobody can use.
fn busy_hub() -> (Yard, BTreeMap<String, Vec<u8>>) {
    let yard = Yard::new(&["north", "hub", "r1", "r2"]);
    let (large, small) = (noise(8, 200_000), noise(9, 50_000));
    let both = ["--via", "hub", "-t", "r1", "-t", "r2"];
    yard.send("north", &both, &[("large", &large), ("small", &small), ("tiny", b"x")]);
    yard.send("north", &["--onion", "--via", "hub", "-t", "r1"], &[("onion", &small)]);
    yard.send("north", &["-t", "hub"], &[("own", &small), ("own tiny", b"y")]);
    let dir = yard.node("north").spool.join(yard.node("hub").id()).join("tx");
    let waiting = yard.tx("north", "hub").into_iter();
    let mut files: BTreeMap<String, Vec<u8>> =
        waiting.map(|name| (name.clone(), fs::read(dir.join(&name)).unwrap())).collect();
    let (name, bytes) = files.iter().find(|(name, _)| !name.contains('.')).unwrap();
    let damaged = format!("{}{}", &name[1..], "a");
    files.insert(damaged, bytes.clone());
    (yard, files)
}

/// A hub in a world of its own, with the same keys and neighbours and nothing before it.
fn same_hub(hub: &Node, world: &World, name: &str) -> Node {
    let dir = world.make_dir(name);
    let copied = std::process::Command::new("cp").arg("-a").arg(format!("{}/.", hub.dir.display())).arg(&dir).status();
    assert!(copied.unwrap().success());
    Node { name: hub.name.clone(), config: dir.join("config"), spool: dir.join("spool"), dir }
}

fn come(hub: &Node, name: &str, bytes: &[u8]) {
    let rx = hub.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    fs::write(rx.join(name), bytes).unwrap();
}

/// Shows: B18, B19.
#[test]
fn any_number_of_workers_ends_in_the_same_state() {
    let (yard, files) = busy_hub();
    let ends = ["1", "2", "7"].map(|workers| {
        let hub = same_hub(yard.node("hub"), &yard.world, &format!("hub-{workers}"));
        files.iter().for_each(|(name, bytes)| come(&hub, name, bytes));
        hub.run(["mb-toss", "-j", workers]).fails(65);
        state(&hub.spool)
    });
    assert!(ends[0].keys().any(|path| path.contains("/tx/")) && ends[0].contains_key("incoming/north/own"));
    assert!(ends[0] == ends[1] && ends[0] == ends[2]);
}

/// Shows: B10, B11, B12, B15, B24, B28.
/// Envelopes and bodies come in 50 orders, with a toss here and there: each is announced with what it lacks, goes on once it
/// is whole, and in the end the hub is the same.
#[test]
fn in_whatever_order_files_come_a_hub_ends_in_the_same_state() {
    let (yard, files) = busy_hub();
    let names: Vec<&String> = files.keys().collect();
    let mut ends = BTreeSet::new();
    let mut dice = 88_172_645_463_325_252_u64;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 33) as usize % sides
    };
    let mut was_partial = false;
    for order in 0..50 {
        let hub = same_hub(yard.node("hub"), &yard.world, &format!("hub-{order}"));
        let mut missing = names.clone();
        while !missing.is_empty() {
            let name = missing.swap_remove(roll(missing.len()));
            // A body without an envelope that nobody waits for is litter; whatever brings packets brings those first.
            let envelope = name.split('.').next().unwrap();
            if missing.iter().any(|other| *other == envelope) && name.contains('.') {
                missing.push(name);
                continue;
            }
            come(&hub, name, &files[name]);
            if roll(3) == 0 {
                let _ = hub.run(["mb-toss", "-q"]);
                let waiting = hub.run(["mb-stat", "--packets"]).ok();
                was_partial |= waiting.lines().any(|line| line.contains(" wait ") && line.contains(" 0/1 "));
            }
        }
        (0..2).for_each(|_| drop(hub.run(["mb-toss", "-q"])));
        let end = state(&hub.spool);
        assert!(!end.keys().any(|path| path.contains("/wait/") || path.contains("self/rx/")), "{:?}", end.keys());
        ends.insert(end);
        fs::remove_dir_all(&hub.dir).unwrap();
    }
    assert!(was_partial, "mb-stat tells of a packet whose body has not come");
    assert_eq!(ends.len(), 1);
}

/// Shows: W2. A word, and a stream of which nobody knows how long it will be.
#[test]
fn the_shortest_and_a_long_stream_go_the_same_way() {
    let yard = Yard::new(&["north", "hub", "far"]);
    let long = noise(9, 80 << 20);
    let send = |name: &str, content: &[u8]| {
        let call = yard.node("north").command(["mb-send", "--via", "hub", "-t", &format!("far:{name}"), "-"]);
        call.stdin(content).run().ok();
    };
    send("word", b"y");
    send("stream", &long);
    yard.round(&["north", "hub", "far"]);
    assert_eq!(yard.delivered("far", "north", "word").as_deref(), Some(&b"y"[..]));
    assert!(yard.delivered("far", "north", "stream").as_ref() == Some(&long));
}

/// Shows: B27. The envelope came, by a stick that lost its bodies; what it announces is known before any of them is there.
#[test]
fn a_packet_is_known_before_its_bodies_come() {
    let yard = Yard::new(&["north", "b", "far"]);
    let content = noise(10, 400_000);
    // The content of an onion lies in several bodies.
    yard.send("north", &["--onion", "--via", "b", "-t", "far"], &[("file", &content)]);
    yard.round(&["north", "b"]);
    let (bodies, aside) = (yard.stick.join("mailbag/body"), yard.world.path("aside"));
    fs::rename(&bodies, &aside).unwrap();
    let far = yard.node("far");
    far.command(["mb-xfer", "--toss"]).arg(&yard.stick).run().silent();
    let told = far.run(["mb-stat", "--packets"]).ok();
    assert!(told.contains(" wait b ") && told.contains(" 0/2 "), "{told}");
    assert!(yard.delivered("far", "north", "file").is_none());
    fs::remove_dir_all(&bodies).ok();
    fs::rename(&aside, &bodies).unwrap();
    let later = far.command(["mb-xfer", "--toss"]).arg(&yard.stick).run();
    assert!(yard.delivered("far", "north", "file").as_ref() == Some(&content), "{later}");
}
