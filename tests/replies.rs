//! Receipts of onions: the recipient's own comes back as an onion by the way that lay in the letter, and the relays do not know it
//! from any other.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise, secrets};
use mb_wire::card::Card;
use mb_wire::cbor;
use mb_wire::envelope::{Address, Content, HOPS_MOST, Wrap, list_hash, open, packet_id, wrap};
use mb_wire::id::Mark;
use mb_wire::key::ExchangeSecret;
use mb_wire::letter::{FileMeta, Form, Kind, Letter, Wants};
use mb_wire::report::{Complaint, Reason, Receipt, Stage};
use mb_wire::route::{Here, Route, Routed, Step, Terms};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use yard::{Yard, envelopes, names};

/// Sends one file; its packet.
fn send(yard: &Yard, options: &[&str], content: &[u8]) -> String {
    yard.send("north", &[&["--onion", "--via", "b,c"], options].concat(), &[("file", content)]).remove(0)
}

/// What mb-stat says of the packet's way: node, stage, and the rest of the line.
fn way(yard: &Yard, packet: &str) -> Vec<String> {
    let told = yard.node("north").run(["mb-stat", packet]).ok();
    told.lines().filter_map(|line| line.strip_prefix(&format!("{packet} way "))).map(str::to_owned).collect()
}

fn is_delivered(yard: &Yard, packet: &str) -> bool {
    let run = yard.node("north").run(["mb-stat", "--confirmed", packet]);
    if run.code == 0 {
        run.silent()
    } else {
        assert!(run.fails(1).contains("not delivered yet"))
    }
    let way = way(yard, packet);
    assert_eq!(way.len(), 1, "only the recipient has something to say: {way:?}");
    way[0].starts_with("far delivered ")
}

/// What north still waits for.
fn awaited(yard: &Yard) -> Vec<PathBuf> {
    let replies = yard.node("north").spool.join("self/reply");
    let days = names(&replies).into_iter().map(|day| replies.join(day));
    days.flat_map(|day| names(&day).into_iter().map(move |name| day.join(name))).collect()
}

/// The envelopes that wait at `at` for `to`.
fn waiting(yard: &Yard, at: &str, to: &str) -> Vec<Vec<u8>> {
    let tx = yard.node(at).spool.join(yard.node(to).id()).join("tx");
    envelopes(&yard.tx(at, to)).into_iter().map(|name| fs::read(tx.join(name)).unwrap()).collect()
}

fn rx(node: &Node) -> PathBuf {
    node.spool.join("self/rx")
}

/// Puts an envelope before a node.
fn put(node: &Node, envelope: &[u8]) {
    fs::create_dir_all(rx(node)).unwrap();
    fs::write(rx(node).join(packet_id(envelope).to_string()), envelope).unwrap();
}

/// The exchange key of a node.
fn exchange(node: &Node) -> ExchangeSecret {
    let keys = node.spool.join("self/keys");
    let file = fs::read(keys.join(&names(&keys)[0])).unwrap();
    ExchangeSecret::from_file(&file, &secrets(node)).unwrap()
}

/// What of a reply comes to `to` from `from`, who is up to something, by the envelope that `from` was handed by `before`.
fn changed(before: &Node, from: &Node, to: &Node, envelope: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let key = exchange(from);
    let opened = open(envelope, secrets(from).id(), |_| Some(&key)).unwrap();
    let prefix = opened.prefix.clone();
    let Content::Routed(routed) = opened.verify_hop(&secrets(before).identity_key()).unwrap() else {
        panic!("a route")
    };
    let Step::Onward(onward) = routed.open(secrets(from).id(), &key, &prefix).unwrap() else { panic!("it goes on") };
    let mut bytes = cbor::encode(&onward.routed);
    change(&mut bytes);
    let content = Content::Routed(Box::new(cbor::decode::<Routed>(&bytes).unwrap()));
    let card = Card::parse(to.card().trim()).unwrap();
    let address = Address { id: card.id(), exchange: card.keys[0].public };
    let (end, nice) = (onward.end, onward.nice);
    let wrapping = Wrap { to: &address, end, nice, hops: HOPS_MOST, bodies: &[], ask: false, content: &content };
    wrap(&secrets(from), &wrapping).unwrap()
}

/// The envelope from far to b, by the way back of the letter in `letter`, with whatever far likes in it.
fn answered(yard: &Yard, letter: &[u8], said: &[u8]) -> Vec<u8> {
    let [north, b, far] = ["north", "b", "far"].map(|name| yard.node(name));
    let key = exchange(far);
    let opened = open(letter, secrets(far).id(), |_| Some(&key)).unwrap();
    let prefix = opened.prefix.clone();
    let Content::Routed(routed) = opened.verify_hop(&secrets(b).identity_key()).unwrap() else { panic!("a route") };
    let Step::Here(here) = routed.open(secrets(far).id(), &key, &prefix).unwrap() else { panic!("it is for far") };
    let Here { letter, frame, .. } = *here;
    let (_, letter) = letter.verify(&secrets(north).identity_key(), frame).unwrap();
    let way = letter.reply.unwrap();
    let content = Content::Routed(Box::new(way.answer(said).unwrap()));
    let card = Card::parse(b.card().trim()).unwrap();
    let to = &Address { id: card.id(), exchange: card.keys[0].public };
    let (end, nice, hops) = (way.end, way.nice, HOPS_MOST);
    wrap(&secrets(far), &Wrap { to, end, nice, hops, bodies: &[], ask: false, content: &content }).unwrap()
}

/// Takes over a folder of files from one place to another.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Shows: W31, W47, W49.
#[test]
fn the_author_of_an_onion_hears_from_its_recipient_alone() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let packets = [send(&yard, &["--receipt", "-t", "far"], b"x"), {
        yard.send("north", &["--onion", "--via", "b,c", "--receipt", "-t", "far"], &[("big", &noise(1, 300_000))])
            .remove(0)
    }];
    for packet in &packets {
        assert_eq!(way(&yard, packet), [way(&yard, packet)[0].clone()]);
        assert!(way(&yard, packet)[0].starts_with("far - "), "{:?}", way(&yard, packet));
    }
    assert_eq!(awaited(&yard).len(), 2);
    yard.node("north").run(["mb-check"]).silent();
    yard.round(&["north", "b", "c", "far"]);
    assert_eq!(waiting(&yard, "far", "c").len(), 0, "the stick has it");
    assert!(!is_delivered(&yard, &packets[0]));
    yard.round(&["c", "b", "north"]);
    for packet in &packets {
        assert!(is_delivered(&yard, packet), "{:?}", way(&yard, packet));
    }
    assert_eq!(awaited(&yard), Vec::<PathBuf>::new(), "what opens it has gone");
    // Relays know nothing of a way, and all comes to rest.
    yard.round(&["far", "c", "b", "north", "far", "c", "b", "north"]);
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
        assert_eq!(names(&node.spool.join("tmp")), [""; 0], "at {}", node.name);
        for other in yard.nodes.iter().filter(|other| other.name != node.name) {
            assert_eq!(yard.tx(&node.name, &other.name), [""; 0], "{} for {}", node.name, other.name);
            let way = node.spool.join(other.id()).join("way");
            assert!(!way.exists() || node.name == "north", "{} of {}", node.name, other.name);
        }
    }
}

/// Shows: W49.
/// As long as a small letter on each link, with the same priority and day, and a relay that looks into it sees the same.
#[test]
fn a_relay_does_not_know_a_reply_from_a_letter() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    send(&yard, &["--receipt", "-t", "far"], b"x");
    let back = ["--onion", "--via", "c,b", "-t", "north"];
    let mut seen = BTreeSet::new();
    let mut look = |at: &str, to: &str, expected: usize| {
        let tx = yard.node(at).spool.join(yard.node(to).id()).join("tx");
        let packets: Vec<String> = envelopes(&yard.tx(at, to)).into_iter().cloned().collect();
        assert_eq!(packets.len(), expected, "{at} for {to}");
        // As `to` sees it.
        for packet in packets {
            let envelope = fs::read(tx.join(&packet)).unwrap();
            let file = yard.world.write("seen", &envelope);
            let view = yard.node(to).run(["mb-cat", "--json", file.to_str().unwrap()]).ok();
            let view: serde_json::Value = serde_json::from_str(&view).unwrap();
            let route = &view["opened"]["route"];
            let next = route["next"]["name"].as_str().unwrap_or("nobody").to_owned();
            let of_route = ["nice", "hold", "end", "onion"].map(|key| route[key].to_string());
            let of_prefix = ["bytes", "nice", "end", "bodies"].map(|key| view[key].to_string());
            seen.insert((to.to_owned(), next, of_route, of_prefix, view["opened"]["ask"].to_string()));
        }
    };
    look("north", "b", 1);
    yard.round(&["north", "b", "c"]);
    let far = yard.node("far");
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    far.run(["mb-toss"]).ok();
    yard.send("far", &back, &[("answer", b"a letter of far's own")]);
    look("far", "c", 2);
    yard.round(&["far"]);
    let c = yard.node("c");
    c.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    c.run(["mb-toss"]).silent();
    look("c", "b", 2);
    // One by which the letter went, one by which both came on each of two links.
    assert_eq!(seen.len(), 3, "{seen:#?}");
    yard.round(&["c", "b"]);
    assert_eq!(
        yard.visit("north").ok(),
        yard.node("north").spool.join("incoming/far/answer").display().to_string() + "\n"
    );
}

/// Shows: W31.
#[test]
fn whoever_refuses_an_onion_for_good_says_why() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    yard.set("far", "north", "[accept]\nfiles = false");
    let packet = send(&yard, &["--receipt", "-t", "far"], b"x");
    yard.round(&["north", "b", "c"]);
    yard.visit("far").fails(77);
    yard.round(&["c", "b", "north"]);
    let said = way(&yard, &packet).remove(0);
    assert!(said.starts_with("far refused ") && said.contains("north may not send us files"), "{said}");
    assert!(!is_delivered(&yard, &packet));
    // The way back was for one word.
    let far = yard.node("far");
    let file = far.config.join("nodes/north.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("files = false", "files = true")).unwrap();
    far.run(["mb-toss", "--retry"]).ok();
    yard.round(&["far", "c", "b", "north"]);
    assert!(yard.delivered("far", "north", "file").is_some());
    assert!(!is_delivered(&yard, &packet));
}

#[test]
fn what_a_nodes_file_says_of_receipts_is_said_of_onions_too() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    yard.set("north", "far", "[send]\nreceipt = true");
    let packet = send(&yard, &["-t", "far"], b"x");
    yard.round(&["north", "b", "c", "far", "c", "b", "north"]);
    assert!(is_delivered(&yard, &packet));
}

#[test]
fn an_onion_of_which_nobody_wants_word_leaves_no_way_back() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let packet = send(&yard, &["-t", "far"], b"x");
    yard.round(&["north", "b", "c", "far"]);
    assert_eq!(yard.tx("far", "c"), [""; 0]);
    yard.round(&["c", "b", "north"]);
    yard.node("north").run(["mb-stat", "--confirmed", &packet]).fails_with(1, "not sent from here with --receipt");
    for node in &yard.nodes {
        assert!(yard.nodes.iter().all(|other| !node.spool.join(other.id()).join("way").exists()), "{}", node.name);
    }
    assert_eq!(awaited(&yard), Vec::<PathBuf>::new());
    let file = yard.world.write("out/more", "x");
    let traced = yard.node("north").command(["mb-send", "--onion", "--receipt", "--trace", "--via", "b", "-t", "far"]);
    traced.arg(file).run().fails(64);
}

#[test]
fn each_recipient_has_a_way_back_of_its_own() {
    let yard = Yard::new(&["north", "b", "r1", "r2"]);
    let options = ["--onion", "--receipt", "--private", "--via", "b", "-t", "r1", "-t", "r2", "--copy-self"];
    let packets = yard.send("north", &options, &[("one", b"1"), ("two", &noise(4, 300_000))]);
    assert_eq!((packets.len(), awaited(&yard).len()), (6, 4));
    yard.round(&["north", "b", "r1", "b", "north"]);
    let said = |packet: &String| way(&yard, packet).into_iter().map(|line| line.split(" 2").next().unwrap().to_owned());
    assert_eq!(said(&packets[0]).collect::<Vec<_>>(), ["r1 delivered"]);
    assert!(way(&yard, &packets[1])[0].starts_with("r2 - "));
    yard.round(&["r2", "b", "north"]);
    assert_eq!(said(&packets[4]).collect::<Vec<_>>(), ["r2 delivered"]);
    assert_eq!(awaited(&yard), Vec::<PathBuf>::new());
}

/// The way back may be held by its relays too.
#[test]
fn a_delay_is_for_both_ways() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let files: Vec<(String, Vec<u8>)> = (0..8).map(|n| (format!("f{n}"), vec![n])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    yard.send("north", &["--onion", "--receipt", "--delay", "7d", "--via", "b", "-t", "far"], &files);
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7 * 86_400 + 1);
    let b = yard.node("b");
    let pass_on = || {
        for name in names(&rx(b)) {
            fs::File::options().write(true).open(rx(b).join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        b.run(["mb-toss"]).silent();
        yard.round(&["b"]);
    };
    yard.round(&["north", "b"]);
    pass_on();
    yard.round(&["far", "b"]);
    assert!(!names(&rx(b)).is_empty(), "one of eight stays for more than an instant of seven days");
    pass_on();
    yard.round(&["north"]);
    assert_eq!(awaited(&yard), Vec::<PathBuf>::new());
}

#[test]
fn a_reply_is_kept_until_its_relay_confirms_it() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    yard.set("far", "c", "[send]\nkeep = \"until-confirmed\"");
    yard.set("b", "north", "[send]\nkeep = \"until-confirmed\"");
    let packet = send(&yard, &["--receipt", "-t", "far"], b"x");
    yard.round(&["north", "b", "c", "far"]);
    let sent = |at: &str, to: &str| names(&yard.node(at).spool.join(yard.node(to).id()).join("sent"));
    assert_eq!(sent("far", "c").len(), 1);
    yard.round(&["c", "b"]);
    assert_eq!(sent("b", "north").len(), 1);
    yard.round(&["north", "b", "c", "far"]);
    assert!(is_delivered(&yard, &packet));
    assert_eq!((sent("far", "c"), sent("b", "north")), (vec![], vec![]));
}

/// Threat: 10.
#[test]
fn a_reply_counts_once_however_often_it_comes() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let packet = send(&yard, &["--receipt", "-t", "far"], b"x");
    yard.round(&["north", "b", "c", "far", "c", "b"]);
    let kept = yard.world.make_dir("kept");
    copy(&yard.stick, &kept);
    yard.round(&["north"]);
    let said = way(&yard, &packet);
    copy(&kept, &yard.stick);
    yard.visit("north").silent();
    let north = yard.node("north");
    assert_eq!((names(&rx(north)), names(&north.spool.join("bad"))), (vec![], vec![]));
    assert_eq!(way(&yard, &packet), said);
    // Far is brought the letter again, and says again that it has it: that goes no further than its relay.
    let far = yard.node("far");
    let c = yard.node("c");
    send(&yard, &["--receipt", "-t", "far"], b"other");
    yard.round(&["north", "b", "c"]);
    let again = yard.world.make_dir("again");
    copy(&yard.stick, &again);
    yard.round(&["far", "c"]);
    copy(&again, &yard.stick);
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    far.run(["mb-toss"]).silent();
    let repeated = waiting(&yard, "far", "c");
    assert_eq!(repeated.len(), 1);
    put(c, &repeated[0]);
    c.run(["mb-toss"]).silent();
    assert_eq!((names(&rx(c)), yard.tx("c", "b")), (vec![], vec![]));
}

/// Threat: 8. Threat: 15.
/// A relay that changes it makes it worthless, and the good one still counts.
#[test]
fn an_altered_reply_is_refused_and_the_good_one_counts() {
    let yard = Yard::new(&["north", "b", "far"]);
    let packet = yard.send("north", &["--onion", "--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]).remove(0);
    yard.round(&["north", "b"]);
    let [north, b, far] = ["north", "b", "far"].map(|name| yard.node(name));
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    far.run(["mb-toss"]).ok();
    let reply = waiting(&yard, "far", "b").remove(0);
    for at in [1, 2000, 4000] {
        let altered = changed(far, b, north, &reply, |bytes| {
            let at = bytes.len() - at;
            bytes[at] ^= 1;
        });
        put(north, &altered);
        north
            .run(["mb-toss"])
            .fails_with(65, "reply does not open: it was altered, or is not by the node that was written to");
    }
    assert!(!is_delivered(&yard, &packet));
    put(north, &changed(far, b, north, &reply, |_| {}));
    north.run(["mb-toss"]).silent();
    assert!(is_delivered(&yard, &packet));
}

/// A recipient can say of a letter what it likes, but of that letter only, and in its own name.
/// Threat: 11.
#[test]
fn a_reply_holds_the_recipients_receipt_and_nothing_else() {
    let yard = Yard::new(&["north", "b", "far"]);
    let packet = yard.send("north", &["--onion", "--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]).remove(0);
    yard.round(&["north", "b"]);
    let [north, b, far] = ["north", "b", "far"].map(|name| yard.node(name));
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let letter = fs::read(rx(far).join(&names(&rx(far))[0])).unwrap();
    let record = north.spool.join(b.id()).join("way").join(&packet);
    let record = fs::read_to_string(record).unwrap();
    let mark = record.lines().find_map(|line| line.strip_prefix("hop ")?.split_once(' ')).unwrap().1;
    let receipt = |by: &Node, about: Mark, stage| {
        Receipt { about, stage, why: String::new(), time: 1_800_000_000 }.sign(&secrets(by))
    };
    let (own, other) = (mark.parse().unwrap(), Mark::from_bytes([1; 32]));
    let complaint = Complaint { about: mark.parse().unwrap(), reason: Reason::Spam }.sign(&secrets(far), 1);
    let bring = |said: &[u8]| {
        put(north, &changed(far, b, north, &answered(&yard, &letter, said), |_| {}));
        north.run(["mb-toss"])
    };
    for (said, why) in [
        (b"anything".to_vec(), "reply holds no receipt"),
        (complaint, "reply holds no receipt"),
        (receipt(b, own, Stage::Delivered), "not the recipient's of this packet"),
        (receipt(far, other, Stage::Delivered), "not the recipient's of this packet"),
        (receipt(far, own, Stage::Handed), "not the recipient's of this packet"),
    ] {
        bring(&said).fails_with(65, why);
        assert!(way(&yard, &packet)[0].starts_with("far - "), "{why}");
    }
    bring(&receipt(far, own, Stage::Delivered)).silent();
    assert!(is_delivered(&yard, &packet));
    north.run(["mb-check"]).silent();
}

#[test]
fn a_reply_that_nobody_waits_for_any_more_is_told() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let packet = send(&yard, &["--receipt", "-t", "far"], b"x");
    let lost = send(&yard, &["--receipt", "-t", "far"], b"y");
    yard.round(&["north", "b", "c", "far", "c", "b"]);
    // Of one what opens it has gone, of the other that anybody wants to know.
    let north = yard.node("north");
    let way_of = |packet: &str| north.spool.join(yard.node("b").id()).join("way").join(packet);
    let gone = awaited(&yard).into_iter().find(|path| {
        let record = fs::read(path).unwrap();
        record.windows(32).any(|bytes| bytes == packet.parse::<mb_wire::id::PacketId>().unwrap().as_bytes())
    });
    fs::remove_file(gone.unwrap()).unwrap();
    fs::remove_file(way_of(&lost)).unwrap();
    yard.visit("north").fails_with(65, "neither a letter to this node nor a reply that it waits for");
    assert!(way(&yard, &packet)[0].starts_with("far - "));
    assert_eq!(names(&north.spool.join("bad")).len(), 2, "one packet, and why");
}

/// An author who lays a way back into his letter that does not end in the time that anything may: nothing goes by it, which would lie
/// here for years.
#[test]
fn a_way_back_that_ends_later_than_anything_may_is_not_taken() {
    let yard = Yard::new(&["north", "b", "far"]);
    let [north, b, far] = ["north", "b", "far"].map(|name| yard.node(name));
    let author = secrets(north);
    let address = |node: &Node| {
        let card = Card::parse(node.card().trim()).unwrap();
        Address { id: card.id(), exchange: card.keys[0].public }
    };
    yard.send("north", &["-t", "b"], &[("file", b"x")]);
    let tx = north.spool.join(b.id()).join("tx");
    let end = mb_wire::envelope::read_prefix(&fs::read(tx.join(&names(&tx)[0])).unwrap()).unwrap().end;
    let letter = |salt: u8, back: u32| {
        let way = Route::new(&author, vec![address(b), address(north)], [salt; 32]).unwrap();
        let meta =
            FileMeta { re: None, form: Form::Plain, mode: 0o644, path: format!("f{salt}").into_bytes(), mtime: (0, 0) };
        let letter = Letter {
            to: address(far).id.into(),
            end,
            kind: Kind::File(meta),
            salt: [salt; 16],
            time: 0,
            forwarded: None,
            reply: Some(Box::new(way.reply(back, 64, &[0]).0)),
            wants: Wants { receipt: true, trace: false },
            author: author.id(),
            bodies: vec![],
            inline: Some(b"x".to_vec()),
        };
        let route = Route::new(&author, vec![address(b), address(far)], [salt + 1; 32]).unwrap();
        let lists = vec![list_hash([]); 3];
        let terms = Terms { end, nice: 64, lists: &lists, is_onion: true, receipt: false, holds: &[0] };
        let content = Content::Routed(Box::new(route.seal(&letter.sign(&author), &terms).unwrap().0));
        let to = &address(b);
        wrap(&author, &Wrap { to, end, nice: 64, hops: HOPS_MOST, bodies: &[], ask: false, content: &content }).unwrap()
    };
    for (salt, back, answers) in [(1, end, 1), (3, end + 500, 0), (5, u32::MAX, 0)] {
        put(b, &letter(salt, back));
        b.run(["mb-toss"]).silent();
        yard.round(&["b"]);
        far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
        far.run(["mb-toss"]).ok();
        assert!(yard.delivered("far", "north", &format!("f{salt}")).is_some());
        assert_eq!(yard.tx("far", "b").len(), answers, "{back}");
        yard.round(&["far"]);
    }
}
