//! mb-area, and mb-send to areas: options, messages, exit codes.

mod common;

use common::{Node, World};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// North has the area news and the log blog; south reads both, as `press` and `blog`.
fn readers(world: &World) -> (Node, Node) {
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    for (area, mode, at_south) in [("news", "open", "press"), ("blog", "log", "blog")] {
        north.run(["mb-area", "new", area, "--mode", mode]).ok();
        north.run(["mb-area", "subscribe", area, "south"]).silent();
        south.command(["mb-area", "join", at_south]).stdin(card(&north, area, "--reader")).run().ok();
    }
    (north, south)
}

fn card(node: &Node, area: &str, which: &str) -> String {
    node.run(["mb-area", "card", area, which]).ok()
}

/// What `from` has for `to` goes there, and is tossed.
fn carry(world: &World, from: &Node, to: &Node) {
    let stick = world.make_dir("stick");
    from.command(["mb-xfer", "--out", "--node", &to.name]).arg(&stick).run().ok();
    to.command(["mb-xfer", "--in", "--toss"]).arg(&stick).run().ok();
}

/// The paths in a folder.
fn listed(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The first fields of the lines that mb-area read prints.
fn messages(node: &Node, area: &str) -> Vec<String> {
    let listed = node.run(["mb-area", "read", area]).ok();
    listed.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn a_secret_card_comes_on_standard_input_only() {
    let world = World::new();
    let (north, _) = readers(&world);
    let east = world.node("east");
    let secret = card(&north, "news", "--reader");
    for word in [secret.trim().to_owned(), format!(" \n{secret}"), secret.trim().to_uppercase()] {
        let said = east.run(["mb-area", "join", "news", &word]).fails(64);
        assert!(said.contains("hand it over on standard input") && !said.contains(&secret[..40]), "{said}");
    }
    assert!(!east.config.join("areas").exists());
    east.command(["mb-area", "join", "news"]).stdin("").run().fails_with(66, "no card");
    east.command(["mb-area", "join", "news"]).stdin(format!("{secret}{secret}")).run().fails_with(64, "more than one");
    let node_card = north.run(["mb-node", "card"]).ok();
    east.run(["mb-area", "join", "news", node_card.trim()]).fails_with(65, "not an area's card");
    east.command(["mb-area", "join", "news"]).stdin(&secret).run().ok();
    east.command(["mb-area", "join", "more"]).stdin(&secret).run().fails_with(77, "as \"news\"");
    let other = north.run(["mb-area", "card", "blog"]).ok();
    east.run(["mb-area", "join", "news", other.trim()]).fails_with(77, "REFUSED");
}

#[test]
fn a_card_gives_no_more_than_it_is_asked_for() {
    let world = World::new();
    let (north, south) = readers(&world);
    let east = world.node("east");
    let rights = |node: &Node| node.run(["mb-area", "list"]).ok().split('\t').nth(2).unwrap().to_owned();
    for (which, may) in [("", "relay"), ("--writer", "write"), ("--reader", "read,write")] {
        let words: Vec<&str> = ["mb-area", "card", "news", which].into_iter().filter(|word| !word.is_empty()).collect();
        east.command(["mb-area", "join", "news"]).stdin(north.run(words).ok()).run().ok();
        assert_eq!(rights(&east), may, "{which}");
    }
    south.run(["mb-area", "card", "blog", "--writer"]).fails_with(77, "a log has one writer");
    south.run(["mb-area", "card", "press", "--writer"]).ok();
    let hub = world.node("hub");
    hub.run(["mb-area", "join", "news", north.run(["mb-area", "card", "news"]).ok().trim()]).ok();
    hub.run(["mb-area", "card", "news", "--reader"]).fails_with(77, "only relays it");
    hub.run(["mb-area", "read", "news"]).fails_with(77, "cannot read it");
    let file = world.write("x", "x");
    hub.command(["mb-send", "-a", "news"]).arg(file).run().fails_with(77, "may not write in it");
}

/// Others would refuse it at once.
#[test]
fn nobody_but_its_owner_posts_to_a_log() {
    let world = World::new();
    let (north, south) = readers(&world);
    let file = world.write("x", "x");
    south.command(["mb-send", "-a", "blog"]).arg(&file).run().fails_with(77, "a log has one writer");
    // Not with the owner's secrets either.
    let key = north.config.join("areas/blog.key");
    fs::copy(key, south.config.join("areas/blog.key")).unwrap();
    south.command(["mb-send", "-a", "blog"]).arg(&file).run().fails_with(77, "a log has one writer");
    north.command(["mb-send", "-a", "blog"]).arg(&file).run().ok();
    carry(&world, &north, &south);
    assert_eq!(messages(&south, "blog").len(), 1);
}

#[test]
fn what_cannot_be_set_changes_nothing() {
    let world = World::new();
    let (north, south) = readers(&world);
    let path = south.config.join("areas/press.toml");
    fs::write(&path, format!("# our words\n{}", fs::read_to_string(&path).unwrap())).unwrap();
    south.run(["mb-area", "set", "press", "folder=/srv/news", "mode=0640", "allow_unknown=true"]).silent();
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.starts_with("# our words\n"), "{before}");
    let other = format!("card={}", north.run(["mb-area", "card", "blog"]).ok().trim());
    for (words, said) in [
        (vec![other.as_str()], "an area keeps its card"),
        (vec!["card="], "an area keeps its card"),
        (vec!["mode=0600", "folder=here"], "not an absolute path"),
        (vec!["mode=0600", other.as_str()], "an area keeps its card"),
        (vec!["keep=5"], "keep"),
        (vec!["keep=401d"], "from 1d to 400d"),
        (vec!["subscribers=[\"south\"]"], "this node itself"),
        (vec!["fodler=/x"], "unknown key"),
        (vec!["subscribers=north"], "subscribers"),
        (vec!["folder"], "not KEY=VALUE"),
        (vec!["=x"], "not KEY=VALUE"),
    ] {
        south.command(["mb-area", "set", "press"]).args(&words).run().fails_with(64, said);
        assert_eq!(fs::read_to_string(&path).unwrap(), before, "{words:?}");
    }
    south.run(["mb-area", "set", "press", "subscribers=[\"nroth\"]"]).fails_with(67, "did you mean \"north\"");
    south.run(["mb-area", "subscribe", "press", "north", "nroth"]).fails_with(67, "did you mean \"north\"");
    for words in [
        ["mb-area", "subscribe", "press", "south"],
        ["mb-area", "set", "press", "subscribers=[\"south\"]"],
        ["mb-area", "catch-up", "press", "south"],
        ["mb-node", "rename", "south", "east"],
    ] {
        let said = south.run(words).fails(64);
        assert!(said.contains("this node itself") && !said.contains("a name has"), "{said}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    south.run(["mb-area", "set", "press", "folder="]).silent();
    assert!(!fs::read_to_string(&path).unwrap().contains("folder"));
}

#[test]
fn an_answer_stands_behind_what_it_answers() {
    let world = World::new();
    let (north, south) = readers(&world);
    south.run(["mb-area", "subscribe", "press", "north"]).silent();
    let names = ["first", "a\tb\n\u{202e}c", "-dash"];
    let files: Vec<_> = names.iter().map(|name| world.write(*name, name)).collect();
    north.command(["mb-send", "-a", "news:"]).args(&files).run().ok();
    world.write("folder/in/it", "x");
    north.command(["mb-send", "-a", "news:", "-t", "south:"]).arg(world.path("folder")).run().ok();
    carry(&world, &north, &south);
    let listed = south.run(["mb-area", "read", "press"]).ok();
    assert!(listed.lines().count() == 4 && listed.contains("\ta\\tb\\n\\u{202e}c\n"), "{listed}");
    let of =
        |name: &str| messages(&south, "press")[listed.lines().position(|line| line.ends_with(name)).unwrap()].clone();
    let (first, folder) = (of("\tfirst"), of("\tfolder"));
    assert_eq!(south.run(["mb-area", "read", "press", &first]).ok(), "first");
    assert_eq!(south.run(["mb-area", "read", "press", &folder]).ok(), "/\nin/\nin/it\n");
    let none = "a".repeat(52);
    south.run(["mb-area", "read", "press", &none]).fails_with(1, "not kept here");
    south.run(["mb-area", "read", "press", "abc"]).fails_with(64, "52");
    let answer = south.command(["mb-send", "-a", "press:answer", "--re", &first, "-"]).stdin("so it is").run().ok();
    assert_eq!(answer.lines().count(), 1);
    carry(&world, &south, &north);
    let listed = north.run(["mb-area", "read", "news"]).ok();
    let lines: Vec<&str> = listed.lines().collect();
    let place = lines.iter().position(|line| line.starts_with(&first)).unwrap();
    assert!(lines[place + 1].ends_with("\tsouth\t8\t  answer"), "{listed}");
    let json = north.run(["mb-area", "read", "--json", "news", &messages(&north, "news")[place + 1]]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["re"].as_str(), json["text"].as_str()), (Some(&*first), Some("so it is")));
}

/// A name that is listed already may be that of a node that was removed; it does not stop other changes.
#[test]
fn subscribers_that_are_set_are_known_or_were_listed_before() {
    let world = World::new();
    let (north, _) = readers(&world);
    let path = north.config.join("areas/news.toml");
    let text = fs::read_to_string(&path).unwrap().replace("\"south\"", "\"gone\"");
    fs::write(&path, text).unwrap();
    north.run(["mb-area", "set", "news", "allow_unknown=true"]).silent();
    north.run(["mb-area", "set", "news", "subscribers=[\"gone\", \"south\"]"]).silent();
    north.run(["mb-area", "set", "news", "subscribers=[\"gone\", \"west\"]"]).fails_with(67, "unknown node \"west\"");
    assert!(fs::read_to_string(&path).unwrap().contains("[\"gone\", \"south\"]"));
}

/// Symptom: mb-area read said `open: No such file or directory` of a kept message that lacked a body. Cause: the error of the disk
/// came through. Remedy: a body that is missing is damage of the message, and the others are read.
#[test]
fn a_kept_message_that_lacks_a_body_is_called_damaged() {
    let world = World::new();
    let (north, south) = readers(&world);
    let files = [("large", vec![7; 100_000]), ("small", vec![8; 10])].map(|(name, bytes)| world.write(name, bytes));
    let send = north.command(["mb-send", "--compress", "never", "-a", "news:"]).args(&files).run();
    send.ok();
    carry(&world, &north, &south);
    let [area] = &listed(&south.spool.join("area"))[..] else { panic!("one area") };
    let [day] = &listed(area)[..] else { panic!("one day") };
    let bodies: Vec<_> = listed(day).into_iter().filter(|path| path.extension().is_some()).collect();
    let [body] = &bodies[..] else { panic!("one body: {bodies:?}") };
    fs::remove_file(body).unwrap();
    let list = south.run(["mb-area", "read", "press"]).ok();
    assert_eq!(list.lines().count(), 2, "{list}");
    let of =
        |name: &str| list.lines().find(|line| line.ends_with(name)).unwrap().split('\t').next().unwrap().to_owned();
    let (large, small) = (of("\tlarge"), of("\tsmall"));
    let said = south.run(["mb-area", "read", "press", &large]).fails(65);
    assert!(said.contains(&format!("{large}: damaged: a body of it is missing")), "{said}");
    assert!(!said.contains("No such file"), "{said}");
    assert_eq!(south.run(["mb-area", "read", "press", &small]).ok().len(), 10);
}

/// Who reads the objects knows of which area each is.
#[test]
fn a_delivery_of_an_area_is_told_with_its_name() {
    let world = World::new();
    let (north, south) = readers(&world);
    let folder = format!("folder={}", world.make_dir("press").display());
    south.run(["mb-area", "set", "press", &folder]).silent();
    let file = south.config.join("areas/press.toml");
    let handler = "\n[exec.note]\ncommand = [\"/bin/true\"]\n";
    fs::write(&file, fs::read_to_string(&file).unwrap() + handler).unwrap();
    let post = world.write("x", "x");
    north.command(["mb-send", "-a", "news", "-t", "south"]).arg(post).run().ok();
    north.command(["mb-send", "-a", "news", "-x", "note"]).stdin("x").run().ok();
    let stick = world.make_dir("stick");
    north.command(["mb-xfer", "--out", "--node", "south"]).arg(&stick).run().ok();
    south.command(["mb-xfer", "--in"]).arg(&stick).run().ok();
    let told = south.run(["mb-toss", "--json"]).ok();
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for one in &told {
        let is_of_area = one["handle"] == "note" || one["path"].as_str().unwrap().contains("/press/");
        assert_eq!(one.get("area").and_then(serde_json::Value::as_str), is_of_area.then_some("press"), "{one}");
    }
    assert_eq!(told.iter().filter(|one| one.get("area").is_none()).count(), 1);
}

#[test]
fn what_does_not_go_with_an_area_is_wrong_usage() {
    let world = World::new();
    let (north, south) = readers(&world);
    let file = world.write("x", "x");
    let send = |words: &[&str]| north.command(["mb-send"]).args(words).arg(&file).run();
    for option in ["--via=south", "--onion", "--receipt", "--trace"] {
        send(&["-a", "news", option]).fails_with(64, "cannot be used with");
    }
    north.run(["mb-send", "-a", "news", "-r", "x"]).fails_with(64, "cannot be used with");
    let re = format!("--re={}", "a".repeat(52));
    send(&["-a", "news", "-a", "blog", &re]).fails_with(64, "a single -a");
    send(&["-t", "south", &re]).fails_with(64, "--area");
    send(&[]).fails_with(64, "--to <NODE[:PATH]>|--area <AREA[:PATH]>");
    send(&["-a", "nwes"]).fails_with(67, "did you mean \"news\"");
    send(&["-a", "news:../x"]).fails_with(64, "area's folder");
    assert_eq!(send(&["-a", "news", "-t", "south", "-a", "blog"]).ok().lines().count(), 3);
    // What nobody gets is no success to be silent about.
    let run = south.command(["mb-send", "-a", "press"]).arg(&file).run();
    assert!(run.stderr().contains("nobody gets it"), "{run}");
}

/// Threat: 21.
#[test]
fn a_message_goes_to_more_subscribers_than_files_may_be_open() {
    let world = World::new();
    let north = world.node("north");
    north.run(["mb-area", "new", "news"]).ok();
    let nodes: Vec<Node> = (0..300).map(|number| world.node(&format!("n{number}"))).collect();
    let cards: String = nodes.iter().map(|node| node.card() + "\n").collect();
    north.command(["mb-node", "add"]).stdin(cards).run().ok();
    north.command(["mb-area", "subscribe", "news"]).args(nodes.iter().map(|node| &node.name)).run().silent();
    for name in ["first", "second"] {
        let file = world.write(name, common::noise(7, 50_000));
        north.command(["mb-send", "--no-toss", "-a", "news"]).arg(file).run().ok();
    }
    north.command(["mb-toss"]).after("ulimit -n 256").run().silent();
    let inodes = |node: &Node| {
        let tx = north.spool.join(node.id()).join("tx");
        let mut found: Vec<u64> = Vec::new();
        for entry in fs::read_dir(tx).unwrap() {
            let entry = entry.unwrap();
            let is_body = entry.file_name().to_string_lossy().ends_with(".0");
            found.extend(is_body.then(|| entry.metadata().unwrap().ino()));
        }
        found.sort_unstable();
        found
    };
    let first = inodes(&nodes[0]);
    assert_eq!(first.len(), 2);
    for node in &nodes {
        assert_eq!(inodes(node), first, "{} has links to the same two bodies", node.name);
    }
    north.run(["mb-check"]).silent();
}
