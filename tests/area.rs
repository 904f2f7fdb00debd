//! Areas: what one writes comes to all who read, whichever way, once; relays that cannot read carry it.

#[path = "area/graph.rs"]
mod graph;

mod common;

use common::noise;
use graph::{AREA, Graph, envelopes};
use std::fs;

/// The peer manual's own example, step by step.
///
/// Shows: N1, N2, N3, N12, N15, N17, N18, N19, N20, N21, N22, N23, N24, N25, N26, N27.
#[test]
fn the_graph_of_the_manual_step_by_step() {
    let graph = Graph::of_the_manual();
    let content = noise(1, 100_000);
    let file = graph.world.write("a/out/nodelist", &content);
    // The message is kept until its copies are made: sealed, like all that lies in a spool.
    let sent = graph.node("a").command(["mb-send", "--no-toss", "-a", &format!("{AREA}:")]).arg(file).run().ok();
    let own = graph.node("a").spool.join("self/rx");
    assert_eq!(envelopes(own.clone()), [sent.trim()]);
    assert!(graph.tx("a", "b").is_empty() && graph.tx("a", "d").is_empty());
    // A copy for B and one for D; its own is removed, and not delivered to itself.
    graph.node("a").run(["mb-toss"]).silent();
    assert!(envelopes(own).is_empty());
    assert_eq!((graph.tx("a", "b").len(), graph.tx("a", "d").len()), (1, 1));
    assert!(graph.delivered("a").is_empty());
    // B relays what it cannot read to C and D, not to A.
    graph.carry("a", "b");
    assert_eq!((graph.tx("b", "c").len(), graph.tx("b", "d").len(), graph.tx("b", "a").len()), (1, 1, 0));
    assert!(!graph.node("b").spool.join("incoming").exists(), "B cannot read it");
    // C does not relay: its only subscriber is where it came from.
    graph.carry("b", "c");
    assert_eq!(graph.delivered("c"), ["nodelist"]);
    assert!(graph.tx("c", "b").is_empty());
    // D has it first from B, and relays it to A, who has seen it.
    graph.carry("b", "d");
    assert_eq!(graph.delivered("d"), ["nodelist"]);
    assert_eq!(graph.tx("d", "a").len(), 0, "D can read that A wrote it");
    graph.carry("a", "d");
    assert_eq!(graph.delivered("d"), ["nodelist"], "one of the two is ignored");
    for reader in ["c", "d"] {
        let got = fs::read(graph.world.path(format!("{reader}/in/nodelist"))).unwrap();
        assert!(got == content, "at {reader}");
    }
    graph.assert_quiet();
    // C sends; A gets it twice, from B and D, and ignores one.
    graph.post("c", "answer", b"from C");
    graph.carry("c", "b");
    graph.carry("b", "d");
    assert_eq!(graph.tx("d", "a").len(), 1);
    graph.carry("b", "a");
    assert_eq!(graph.delivered("a"), ["answer"]);
    graph.carry("d", "a");
    assert_eq!(graph.delivered("a"), ["answer"]);
    while graph.round(&["a", "b", "c", "d"]) {}
    assert_eq!(graph.delivered("d"), ["answer", "nodelist"]);
    assert_eq!(graph.delivered("c"), ["nodelist"], "C does not get its own");
    graph.assert_quiet();
    assert!(!graph.round(&["d", "c", "b", "a"]), "a second full round moves nothing");
}

/// Whatever the order in which packets are carried, each reader has each message once, and all comes to rest.
///
/// Shows: N24, N25, N27.
#[test]
fn in_any_order_of_carrying_each_reader_has_each_message_once() {
    let names = ["a", "b", "c", "d"];
    for seed in 0..8_u64 {
        let graph = Graph::of_the_manual();
        graph.post("a", "one", &noise(seed, 50_000));
        graph.post("c", "two", b"small");
        graph.post("d", "three", b"");
        let mut state = seed;
        for _ in 0..24 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (from, to) = (names[(state >> 33) as usize % 4], names[(state >> 43) as usize % 4]);
            if from != to && !graph.tx(from, to).is_empty() {
                graph.carry(from, to);
            }
        }
        while graph.round(&names) {}
        assert_eq!(graph.delivered("a"), ["three", "two"], "seed {seed}");
        assert_eq!(graph.delivered("c"), ["one", "three"], "seed {seed}");
        assert_eq!(graph.delivered("d"), ["one", "two"], "seed {seed}");
        assert!(!graph.node("b").spool.join("incoming").exists());
        graph.assert_quiet();
    }
}

/// The message has one name at each node, by which they know it again; what carries it differs on each link, and its body is one file.
///
/// Shows: N10, N11, N16.
#[test]
fn a_message_has_the_same_name_everywhere_and_one_body() {
    use std::os::unix::fs::MetadataExt as _;
    let graph = Graph::of_the_manual();
    graph.post("a", "big", &noise(3, 3_000_000));
    let folder = |at: &str, to: &str| graph.node(at).spool.join(graph.node(to).id()).join("tx");
    let bodies: Vec<_> = ["b", "d"]
        .iter()
        .map(|to| fs::metadata(folder("a", to).join(format!("{}.0", graph.tx("a", to)[0]))).unwrap().ino())
        .collect();
    assert_eq!(bodies[0], bodies[1], "one body, however many subscribers");
    assert_ne!(graph.tx("a", "b"), graph.tx("a", "d"));
    while graph.round(&["a", "b", "c", "d"]) {}
    let marks = |at: &str| {
        let area = graph.node(at).run(["mb-area", "list"]).ok().trim().split('\t').next_back().unwrap().to_owned();
        let days = graph.node(at).spool.join("self/area").join(area);
        let names = graph::listed(days.clone()).into_iter().flat_map(|day| graph::listed(days.join(day)));
        // Those with a node behind them say that it has the message.
        names.filter(|name| !name.contains('.')).collect::<Vec<_>>()
    };
    assert_eq!(marks("a").len(), 1);
    for at in ["b", "c", "d"] {
        assert_eq!(marks(at), marks("a"), "at {at}");
    }
    // Nobody sees the name who cannot open the envelope.
    let name = &marks("a")[0];
    let raw = mb_wire::id::MsgHash::as_bytes(&name.parse().unwrap()).to_owned();
    graph.post("c", "more", b"x");
    let envelope = fs::read(folder("c", "b").join(&graph.tx("c", "b")[0])).unwrap();
    assert!(!envelope.windows(32).any(|window| window == raw) && !envelope.windows(4).any(|it| it == b"area"));
}

/// Shows: N4, N5, N7.
#[test]
fn an_area_is_made_with_its_keys_and_joined_by_its_cards() {
    let world = common::World::new();
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    let id = north.run(["mb-area", "new", "news"]).ok();
    assert!(id.starts_with("mba1"), "{id}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(north.config.join("areas/news.key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    north.run(["mb-area", "new", "news"]).fails_with(73, "it is known already");
    let [card, writer, reader] = [&[][..], &["--writer"], &["--reader"]]
        .map(|more| north.command(["mb-area", "card", "news"]).args(more).run().ok());
    assert!(card.starts_with("mbcard1") && writer.starts_with("mbsecret1") && reader.starts_with("mbsecret1"));
    // The relay card may stand anywhere; a secret is never an argument.
    south.run(["mb-area", "join", "news", reader.trim()]).fails_with(64, "secret card as an argument");
    assert!(south.run(["mb-area", "join", "news", card.trim()]).ok().starts_with("news\tmba1"));
    let list = |node: &common::Node| node.run(["mb-area", "list"]).ok();
    assert_eq!(list(&south), format!("news\topen\trelay\t{id}"));
    south.run(["mb-area", "card", "news", "--reader"]).fails_with(77, "only relays");
    south.run(["mb-send", "-a", "news", "--name", "x", "-"]).fails_with(77, "may not write");
    south.command(["mb-area", "join", "news"]).stdin(&writer).run().silent();
    assert_eq!(list(&south), format!("news\topen\twrite\t{id}"));
    south.run(["mb-area", "read", "news"]).fails_with(77, "cannot read");
    south.command(["mb-area", "join", "news"]).stdin(&reader).run().silent();
    south.command(["mb-area", "join", "news"]).stdin(&reader).run().silent();
    assert_eq!(list(&south), format!("news\topen\tread,write\t{id}"));
    // Another area under this name, and this area under another.
    north.run(["mb-area", "new", "other"]).ok();
    let other = north.run(["mb-area", "card", "other"]).ok();
    south.run(["mb-area", "join", "news", other.trim()]).fails_with(77, "REFUSED");
    south.run(["mb-area", "join", "gazette", card.trim()]).fails_with(77, "known already, as \"news\"");
    south.run(["mb-area", "show", "nwes"]).fails_with(67, "did you mean \"news\"?");
    south.run(["mb-node", "add", "x", card.trim()]).fails(65);
    let damaged = card.trim().replace("mbcard1", "mbcard1q");
    south.run(["mb-area", "join", "third", &damaged]).fails(65);
}

/// A log has one author: whoever reads it cannot write in it, whatever he signs.
///
/// Shows: H10.
#[test]
fn in_a_log_only_its_owner_writes_and_anybody_carries() {
    let graph = Graph::new(
        &[("a", graph::Role::Reader, &["b"]), ("b", graph::Role::Relay, &["c"]), ("c", graph::Role::Reader, &["b"])],
        "log",
    );
    graph.post("a", "entry", b"first");
    while graph.round(&["a", "b", "c"]) {}
    assert_eq!(graph.delivered("c"), ["entry"]);
    let file = graph.world.write("c/out/forged", "forged");
    graph.node("c").command(["mb-send", "-a", AREA]).arg(file).run().fails_with(77, "one writer");
    graph.node("a").run(["mb-area", "card", AREA, "--writer"]).fails_with(77, "one writer");
}

/// Posts are kept where the area has no folder, and read in threads.
///
/// Shows: P7.
#[test]
fn posts_are_read_in_threads_where_there_is_no_folder() {
    let world = common::World::new();
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    north.run(["mb-area", "new", "talk"]).ok();
    let reader = north.run(["mb-area", "card", "talk", "--reader"]).ok();
    south.command(["mb-area", "join", "talk"]).stdin(reader).run().ok();
    north.run(["mb-area", "subscribe", "talk", "south"]).silent();
    south.run(["mb-area", "subscribe", "talk", "north"]).silent();
    let carry = |from: &common::Node, to: &common::Node| {
        let stick = world.make_dir(format!("stick-{}", to.name));
        from.command(["mb-xfer", "--out", "--node", &to.name]).arg(&stick).run().ok();
        assert_eq!(to.command(["mb-xfer", "--in", "--toss"]).arg(&stick).run().ok(), "", "nothing is delivered");
    };
    let say = |node: &common::Node, name: &str, re: &[&str], text: &str| {
        node.command(["mb-send", "-a", "talk", "--name", name]).args(re).arg("-").stdin(text).run().ok();
    };
    let messages = |node: &common::Node| -> Vec<Vec<String>> {
        let lines = node.run(["mb-area", "read", "talk"]).ok();
        lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    };
    say(&north, "question", &[], "how?");
    carry(&north, &south);
    let question = messages(&south)[0][0].clone();
    say(&south, "answer", &["--re", &question], "so");
    say(&south, "other", &[], &"long\n".repeat(20_000));
    carry(&south, &north);
    let (at_north, at_south) = (messages(&north), messages(&south));
    let place = |name: &str| at_north.iter().position(|line| line[4].trim() == name).unwrap();
    assert_eq!(at_north.len(), 3);
    assert_eq!(place("answer"), place("question") + 1, "an answer stands behind its question: {at_north:?}");
    assert_eq!(at_north[place("answer")][4], "  answer");
    let question_at_south = at_south.iter().find(|line| line[4] == "question").unwrap();
    assert_eq!((&*at_north[place("answer")][2], &*question_at_south[2]), ("south", "north"));
    assert_eq!(
        at_north.iter().map(|line| &line[0]).collect::<Vec<_>>(),
        at_south.iter().map(|line| &line[0]).collect::<Vec<_>>()
    );
    let other = &at_north[place("other")][0];
    assert_eq!(north.run(["mb-area", "read", "talk", other]).ok(), "long\n".repeat(20_000));
    let json = north.run(["mb-area", "read", "talk", "--json", &at_north[place("answer")][0]]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["re"], &json["text"], &json["depth"]), (&question.clone().into(), &"so".into(), &1.into()));
    let none = "a".repeat(52);
    north.run(["mb-area", "read", "talk", &none]).fails_with(1, "not kept here");
    north.run(["mb-check"]).silent();
    // A damaged one is told, and the others are read.
    let area = north.spool.join("area");
    let day =
        fs::read_dir(fs::read_dir(area).unwrap().next().unwrap().unwrap().path()).unwrap().next().unwrap().unwrap();
    fs::write(day.path().join(&question), "damaged").unwrap();
    assert!(north.run(["mb-check"]).ok_or_one().contains("message"));
    let read = north.run(["mb-area", "read", "talk"]);
    assert_eq!(read.code, 65, "{read}");
    assert_eq!(String::from_utf8_lossy(&read.stdout).lines().count(), 2);
}

/// What is refused for now or for good is told once, and what others can have they get.
///
/// Shows: N8, N9.
#[test]
fn what_a_reader_does_not_take_goes_on_all_the_same() {
    let graph = Graph::of_the_manual();
    // D does not know C any more.
    graph.node("d").run(["mb-node", "remove", "c"]).silent();
    graph.post("c", "from-c", b"x");
    graph.carry("c", "b");
    graph.node("b").command(["mb-xfer", "--out", "--node", "d"]).arg(graph.world.make_dir("s")).run().ok();
    let said = graph.node("d").command(["mb-xfer", "--in", "--toss"]).arg(graph.world.path("s")).run().fails(67);
    assert!(said.contains("written by a node that is not known here"), "{said}");
    assert!(graph.delivered("d").is_empty());
    assert_eq!(graph.tx("d", "a").len(), 1, "A gets it all the same");
    graph.node("d").run(["mb-toss"]).silent();
    // The card came with it: a stranger is no unsigned one.
    graph.node("d").run(["mb-area", "set", AREA, "allow_unknown=true"]).silent();
    graph.node("d").run(["mb-toss", "--retry"]).ok();
    assert_eq!(graph.delivered("d"), ["from-c"]);
    // An area that is not known.
    let world = &graph.world;
    let e = world.node("e");
    world.introduce(&[graph.node("a"), &e]);
    graph.node("a").run(["mb-area", "subscribe", AREA, "e"]).silent();
    graph.post("a", "late", b"y");
    let stick = world.make_dir("to-e");
    graph.node("a").command(["mb-xfer", "--out", "--node", "e"]).arg(&stick).run().ok();
    e.command(["mb-xfer", "--in", "--toss"]).arg(&stick).run().fails_with(67, "area that is not known here");
    let reader = graph.node("a").run(["mb-area", "card", AREA, "--reader"]).ok();
    e.command(["mb-area", "join", "x"]).stdin(reader).run().ok();
    e.run(["mb-area", "set", "x", &format!("folder={}", world.make_dir("e/in").display())]).silent();
    e.run(["mb-toss", "--retry"]).ok();
    assert_eq!(graph::listed(world.path("e/in")), ["late"]);
}

/// A command that the area's file names runs, for whoever writes; another does not.
///
/// Shows: N8.
#[test]
fn a_command_is_sent_to_an_area_and_runs_where_its_file_says_so() {
    let graph = Graph::of_the_manual();
    let log = graph.world.path("ran");
    let text = format!(
        "\n[exec.note]\ncommand = [\"/bin/sh\", \"-c\", \"cat >>{0}; echo $MB_SENDER_NAME >>{0}\"]\n",
        log.display()
    );
    let file = graph.node("d").config.join(format!("areas/{AREA}.toml"));
    fs::write(&file, fs::read_to_string(&file).unwrap() + &text).unwrap();
    let send = graph.node("a").command(["mb-send", "-a", AREA, "-x", "note"]).stdin("hello ").run();
    send.ok();
    graph.carry("a", "d");
    assert_eq!(fs::read_to_string(&log).unwrap(), "hello a\n");
    graph.carry("a", "b");
    assert_eq!(graph.tx("b", "c").len(), 1);
    let stick = graph.world.path("stick-b-c");
    graph.node("b").command(["mb-xfer", "--out", "--node", "c"]).arg(graph.world.make_dir("stick-b-c")).run().ok();
    let said = graph.node("c").command(["mb-xfer", "--in", "--toss"]).arg(stick).run().fails(77);
    assert!(said.contains("no such handle") && said.contains("allow it in the area's file"), "{said}");
    while graph.round(&["d", "b", "a"]) {}
    assert_eq!(fs::read_to_string(&log).unwrap(), "hello a\n", "once");
}

/// What cannot be marked is neither lost nor delivered twice.
#[test]
fn an_unwritable_folder_of_marks_stops_the_message_and_loses_nothing() {
    let graph = Graph::of_the_manual();
    // What is done once a day is done.
    graph.node("d").run(["mb-toss"]).silent();
    let marks = graph.node("d").spool.join("self/area");
    fs::write(&marks, "in the way").unwrap();
    graph.post("a", "file", b"z");
    let stick = graph.world.make_dir("s");
    graph.node("a").command(["mb-xfer", "--out", "--node", "d"]).arg(&stick).run().ok();
    let failed = graph.node("d").command(["mb-xfer", "--in", "--toss"]).arg(&stick).run();
    assert_ne!(failed.code, 0, "{failed}");
    let again = graph.node("d").run(["mb-toss"]);
    assert_ne!(again.code, 0, "{again}\n{failed}\n{:#?}", common::tree(&graph.node("d").spool));
    fs::remove_file(&marks).unwrap();
    graph.node("d").run(["mb-toss"]).ok();
    assert_eq!(graph.delivered("d"), ["file"]);
    assert_eq!(graph.tx("d", "b").len(), 1);
    graph.node("d").run(["mb-toss"]).silent();
}

/// Subscribers are names in a file that people edit: comments stay, and what cannot be is refused.
#[test]
fn subscribers_and_settings_are_changed_without_harm_to_the_file() {
    let graph = Graph::of_the_manual();
    let d = graph.node("d");
    let file = d.config.join(format!("areas/{AREA}.toml"));
    let edited = fs::read_to_string(&file).unwrap().replace("subscribers", "# who gets it\nsubscribers");
    fs::write(&file, format!("# ours\n{edited}")).unwrap();
    d.run(["mb-area", "subscribe", AREA, "c", "c", "a"]).silent();
    d.run(["mb-area", "unsubscribe", AREA, "b"]).silent();
    d.run(["mb-area", "set", AREA, "mode=0640", "most_bytes=10 GiB"]).silent();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# ours\n") && text.contains("# who gets it\nsubscribers = [\"a\", \"c\"]"), "{text}");
    assert!(text.contains("mode = \"0640\"") && text.contains("most_bytes = \"10 GiB\""), "{text}");
    d.run(["mb-area", "set", AREA, "mode="]).silent();
    assert!(!fs::read_to_string(&file).unwrap().contains("0640"));
    let before = fs::read_to_string(&file).unwrap();
    d.run(["mb-area", "set", AREA, "folder=relative"]).fails_with(64, "not an absolute path");
    d.run(["mb-area", "set", AREA, "fodler=/x"]).fails_with(64, "did you mean \"folder\"?");
    d.run(["mb-area", "set", AREA, "nothing"]).fails_with(64, "not KEY=VALUE");
    d.run(["mb-area", "subscribe", AREA, "d"]).fails_with(64, "this node itself");
    d.run(["mb-area", "subscribe", AREA, "nobody"]).fails_with(67, "unknown node");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    // A subscriber that is not known keeps the message here, and says so.
    fs::write(&file, before.replace("\"a\"", "\"zz\"")).unwrap();
    let post = graph.world.write("d/out/p", "p");
    d.command(["mb-send", "-a", AREA]).arg(post).run().fails_with(75, "subscriber zz is not known");
    assert_eq!(envelopes(d.spool.join("self/rx")).len(), 1);
    d.run(["mb-area", "unsubscribe", AREA, "zz"]).silent();
    d.run(["mb-toss"]).ok();
    assert!(envelopes(d.spool.join("self/rx")).is_empty());
    assert_eq!(graph.tx("d", "c").len(), 1);
}

/// Who comes late, or comes back, asks for what it lacks and gets just that, in one round trip.
#[test]
fn a_late_subscriber_catches_up_with_exactly_what_it_lacks() {
    let graph = Graph::of_the_manual();
    // B keeps what it cannot read.
    graph.node("b").run(["mb-area", "set", AREA, "keep=90d"]).silent();
    for number in 0..30 {
        graph.post("a", &format!("file-{number:02}"), &noise(number, if number % 7 == 0 { 60_000 } else { 50 }));
    }
    while graph.round(&["a", "b", "c", "d"]) {}
    assert_eq!(graph.delivered("c").len(), 30);
    // E comes late, to B.
    let world = &graph.world;
    let (a, b, e) = (graph.node("a"), graph.node("b"), world.node("e"));
    world.introduce(&[a, b, &e]);
    let reader = a.run(["mb-area", "card", AREA, "--reader"]).ok();
    e.command(["mb-area", "join", AREA]).stdin(reader).run().ok();
    e.run(["mb-area", "set", AREA, &format!("folder={}", world.make_dir("e/in").display())]).silent();
    let trip = || {
        let stick = world.make_dir("stick-e");
        e.command(["mb-xfer", "--out", "--node", "b"]).arg(&stick).run().ok();
        let at_b = b.command(["mb-xfer", "--all", "--toss"]).arg(&stick).run();
        let got = envelopes_for(&stick, &e.id());
        e.command(["mb-xfer", "--in", "--toss"]).arg(&stick).run().ok();
        (at_b, got)
    };
    e.run(["mb-area", "catch-up", AREA, "b"]).silent();
    trip().0.fails_with(77, "does not get here");
    b.run(["mb-area", "subscribe", AREA, "e"]).silent();
    e.run(["mb-area", "catch-up", AREA, "b"]).silent();
    let (at_b, got) = trip();
    at_b.ok();
    assert_eq!((got, graph::listed(world.path("e/in")).len()), (30, 30));
    // It has all; then three come that do not reach it.
    e.run(["mb-area", "catch-up", AREA, "b"]).silent();
    assert_eq!(trip().1, 0);
    for number in 30..33 {
        graph.post("a", &format!("file-{number}"), b"late");
    }
    while graph.round(&["a", "b", "c", "d"]) {}
    let lost = b.spool.join(e.id()).join("tx");
    for packet in envelopes(lost.clone()) {
        fs::remove_file(lost.join(packet)).unwrap();
    }
    e.run(["mb-area", "catch-up", AREA, "b"]).silent();
    assert_eq!(trip().1, 3, "exactly what it lacks");
    assert_eq!(graph::listed(world.path("e/in")).len(), 33);
    b.run(["mb-check"]).silent();
    // What is kept has an end, by bytes as well.
    b.run(["mb-area", "set", AREA, "keep=50 KiB"]).silent();
    graph.post("a", "last", b"x");
    graph.carry("a", "b");
    let kept: u64 = common::tree(&b.spool.join("area"))
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(kept <= 50 << 10, "{kept}");
    b.run(["mb-check"]).silent();
}

/// How many envelopes on a stick are for a node.
fn envelopes_for(stick: &std::path::Path, node: &str) -> usize {
    let shards = graph::listed(stick.join("mailbag").join(node));
    shards.iter().map(|shard| envelopes(stick.join("mailbag").join(node).join(shard)).len()).sum()
}
