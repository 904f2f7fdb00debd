//! Packets of which not all has come: announced, delivered in part when nothing more comes, healed by what comes late; and eager calls,
//! in which envelopes do not wait for their bodies.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::line::listen;
use common::{Node, noise};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use yard::{Yard, names};

/// What waits here has waited for so many minutes.
fn minutes_pass(node: &Node, minutes: u64) {
    for wait in names(&node.spool).iter().map(|name| node.spool.join(name).join("wait")) {
        for name in names(&wait) {
            let file = fs::File::options().write(true).open(wait.join(name)).unwrap();
            let before = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(minutes * 60);
            file.set_modified(before).unwrap();
        }
    }
    let due = node.spool.join("self/due");
    if let Ok(text) = fs::read_to_string(&due) {
        fs::write(due, format!("{}\n", text.trim().parse::<u64>().unwrap().saturating_sub(minutes * 60))).unwrap();
    }
}

/// The packets of a queue, each with its files by name.
fn packets(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let mut packets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names(dir) {
        packets.entry(name.split('.').next().unwrap().to_owned()).or_default().push(name);
    }
    packets
}

/// The only name in a folder that has `part` in it.
#[track_caller]
fn only(dir: &Path, part: &str) -> PathBuf {
    let found: Vec<String> = names(dir).into_iter().filter(|name| name.contains(part)).collect();
    assert_eq!(found.len(), 1, "{:?}", names(dir));
    dir.join(&found[0])
}

/// Files of a packet come to a node, as somebody's stick brings them.
fn come(yard: &Yard, (from, to): (&str, &str), names: &[String]) {
    let tx = yard.node(from).spool.join(yard.node(to).id()).join("tx");
    let rx = yard.world.make_dir(format!("{to}/spool/self/rx"));
    names.iter().for_each(|name| assert!(fs::copy(tx.join(name), rx.join(name)).is_ok(), "{name}"));
}

/// Shows: B22, B23.
/// A folder in two bodies of which one is late: announced at once, its whole files delivered after the idle limit and marked partial, and
/// healed by the late body: what the user made of the partial folder stays.
#[test]
fn whole_files_are_delivered_when_nothing_more_comes_and_a_late_body_heals() {
    let yard = Yard::new(&["north", "far"]);
    let contents: Vec<Vec<u8>> = (0..3).map(|number| noise(number, 20_000)).collect();
    for (number, content) in contents.iter().enumerate() {
        yard.world.write(format!("photos/sub/{number}"), content);
    }
    yard.world.write("photos/empty", "");
    yard.world.write("photos/z", "the last");
    // A gigabyte that is a hole: two bodies.
    fs::File::create(yard.world.path("photos/sub/hole")).unwrap().set_len(1 << 30).unwrap();
    let folder = yard.world.path("photos");
    yard.node("north").command(["mb-send", "--compress", "always", "-t", "far"]).arg(folder).run().ok();
    let tx = yard.node("north").spool.join(yard.node("far").id()).join("tx");
    let (packet, files) = packets(&tx).pop_first().unwrap();
    assert_eq!(files.len(), 3, "an envelope and two bodies");
    let far = yard.node("far");
    come(&yard, ("north", "far"), &files[..1]);
    far.run(["mb-toss"]).silent();
    let stat = || far.run(["mb-stat", "--packets"]).ok();
    assert!(stat().contains(" wait north ") && stat().contains(" 0/2 "), "announced: {}", stat());
    come(&yard, ("north", "far"), &files[1..2]);
    far.run(["mb-toss"]).silent();
    assert!(stat().contains(" 1/2 "), "{}", stat());
    minutes_pass(far, 14);
    far.run(["mb-toss"]).silent();
    let incoming = far.spool.join("incoming/north");
    assert_eq!(names(&incoming), [""; 0], "the idle limit is 15 minutes");

    minutes_pass(far, 2);
    let said = far.run(["mb-toss"]);
    let part = only(&incoming, "photos.partial-");
    let note = format!("{packet}: partial, 1 of its bodies is missing: {}", part.display());
    assert!(said.code == 0 && said.stdout.is_empty() && said.stderr().contains(&note), "{note}\n{said}");
    assert_eq!(names(&part), ["empty", "sub"]);
    assert_eq!(names(&part.join("sub")), ["0", "1", "2"], "the next one is cut short");
    (0..3).for_each(|n| assert!(fs::read(part.join(format!("sub/{n}"))).unwrap() == contents[n]));
    assert!(stat().contains(&format!(" partial {}", part.display())), "{}", stat());
    let json: serde_json::Value = serde_json::from_str(far.run(["mb-stat", "--json", &packet]).ok().trim()).unwrap();
    assert_eq!((&json["partial"], &json["bodies_here"]), (&part.to_str().unwrap().into(), &1.into()));
    far.run(["mb-check"]).fails_quietly(0);
    minutes_pass(far, 60);
    far.run(["mb-toss"]).silent();
    assert_eq!(names(&incoming).len(), 1, "once");

    fs::write(part.join("sub/1"), "the user's own").unwrap();
    fs::write(part.join("note"), "the user's own").unwrap();
    come(&yard, ("north", "far"), &files[2..]);
    let whole = incoming.join("photos");
    assert_eq!(far.run(["mb-toss"]).ok(), format!("{}\n", whole.display()));
    (0..3).for_each(|n| assert!(fs::read(whole.join(format!("sub/{n}"))).unwrap() == contents[n]));
    assert_eq!(fs::read(whole.join("z")).unwrap(), b"the last");
    assert_eq!(fs::metadata(whole.join("sub/hole")).unwrap().len(), 1 << 30);
    assert_eq!((names(&part), names(&part.join("sub"))), (vec!["note".into(), "sub".into()], vec!["1".into()]));
    assert_eq!(stat(), "", "closed: all that was announced is here");
    far.run(["mb-check"]).silent();
    assert!(!far.spool.join("self/partial").join(&packet).exists());
}

/// What can not be whole is not delivered: a file, a folder whose first body is missing. The last day is as good as the idle limit.
#[test]
fn near_its_last_day_whole_files_are_delivered_at_once_and_nothing_that_is_not_whole_ever() {
    let yard = Yard::new(&["north", "far"]);
    yard.world.write("tree/a", "first");
    for name in ["tree/hole", "file"] {
        fs::File::create(yard.world.path(name)).unwrap().set_len((1 << 30) + 5).unwrap();
    }
    let send = |ttl: &str, name: &str| {
        let north = yard.node("north");
        let sent = north.command(["mb-send", "--compress", "always", "--ttl", ttl, "-t", "far"]);
        sent.arg(yard.world.path(name)).run().ok().trim().to_owned()
    };
    let far = yard.node("far");
    let incoming = far.spool.join("incoming/north");
    let (tree_id, file_id, first_id) = (send("1", "tree"), send("90", "file"), send("90", "tree"));
    let part = |id: &str, number: usize| format!("{id}.{number}");
    come(&yard, ("north", "far"), &[file_id.clone(), part(&file_id, 0), first_id.clone(), part(&first_id, 1)]);
    far.run(["mb-toss"]).silent();
    minutes_pass(far, 100);
    far.run(["mb-toss"]).silent();
    assert_eq!(names(&incoming), [""; 0]);
    come(&yard, ("north", "far"), &[tree_id.clone(), part(&tree_id, 0)]);
    let said = far.run(["mb-toss"]).stderr();
    assert!(said.contains(&format!("{tree_id}: partial")), "{said}");
    assert_eq!(names(&only(&incoming, "tree.partial-")), ["a"]);
}

/// `node` calls `other`.
fn call(node: &Node, other: &Node, options: &[&str]) {
    let (listener, address) = listen(other, &[]);
    node.command(["mb-call", "-q", "--addr"]).arg(address.to_string()).arg(&other.name).args(options).run().ok();
    listener.stop().ok();
}

/// Shows: B22, B27 (a call).
/// A relay hands an envelope on before its bodies are there: the recipient knows of the message with none of them. Bodies follow as they
/// come, and an envelope of which all has come is closed.
#[test]
fn an_eager_call_brings_envelopes_before_their_bodies() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.world.write("tree/a", "first");
    fs::File::create(yard.world.path("tree/hole")).unwrap().set_len((1 << 30) + 5).unwrap();
    let send = yard.node("north").command(["mb-send", "--compress", "always", "--via", "hub", "-t", "far"]);
    send.arg(yard.world.path("tree")).run().ok();
    let tx = yard.node("north").spool.join(yard.node("hub").id()).join("tx");
    let (_, files) = packets(&tx).pop_first().unwrap();
    assert_eq!(files.len(), 3, "an envelope and two bodies");
    let (hub, far) = (yard.node("hub"), yard.node("far"));
    let stat = || far.run(["mb-stat", "--packets"]).ok();
    let ahead = hub.spool.join(far.id()).join("ahead");

    come(&yard, ("north", "hub"), &files[..1]);
    hub.run(["mb-toss"]).silent();
    assert_eq!((yard.tx("hub", "far"), names(&ahead).len()), (vec![], 1));
    let visit = |options: &[&str]| {
        call(far, hub, options);
        far.run(["mb-check"]).fails_quietly(0);
        far.run(["mb-toss"])
    };
    visit(&[]).silent();
    assert_eq!(stat(), "", "a call that is not eager brings whole packets");
    visit(&["--eager"]).silent();
    assert!(stat().contains(" wait hub ") && stat().contains(" 0/2 "), "announced: {}", stat());
    hub.run(["mb-check"]).fails_quietly(0);

    come(&yard, ("north", "hub"), &files[2..]);
    hub.run(["mb-toss"]).silent();
    assert_eq!((yard.tx("hub", "far"), names(&ahead).len()), (vec![], 2));
    visit(&["--eager"]).silent();
    assert!(stat().contains(" 1/2 "), "the second body goes though the first is not there: {}", stat());
    visit(&["--eager"]).silent();
    assert!(stat().contains(" 1/2 "), "{}", stat());

    come(&yard, ("north", "hub"), &files[1..2]);
    hub.run(["mb-toss"]).silent();
    assert_eq!((yard.tx("hub", "far").len(), names(&ahead)), (3, vec![]), "whole, it goes as others do");
    let delivered = visit(&[]).ok();
    assert!(delivered.ends_with("/incoming/north/tree\n"), "{delivered}");
    assert_eq!((stat().as_str(), yard.tx("hub", "far")), ("", vec![]));
    assert_eq!(fs::read(far.spool.join("incoming/north/tree/a")).unwrap(), b"first");
    for node in [hub, far] {
        node.run(["mb-check"]).silent();
        assert_eq!(names(&node.spool.join("part").join(far.id())), [""; 0]);
    }
}

/// A neighbour that may store one packet here may go on with the one that waits.
#[test]
fn what_waits_for_its_rest_is_not_kept_from_it_by_a_limit() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.set("far", "hub", "[link]\nmost_packets = 1");
    yard.send("north", &["--via", "hub", "-t", "far"], &[("file", &noise(7, 100_000))]);
    let tx = yard.node("north").spool.join(yard.node("hub").id()).join("tx");
    let (_, files) = packets(&tx).pop_first().unwrap();
    let (hub, far) = (yard.node("hub"), yard.node("far"));
    let visit = || {
        call(far, hub, &["--eager", "--toss"]);
    };
    come(&yard, ("north", "hub"), &files[..1]);
    hub.run(["mb-toss"]).silent();
    visit();
    assert!(far.run(["mb-stat", "--packets"]).ok().contains(" 0/1 "));
    come(&yard, ("north", "hub"), &files[1..]);
    hub.run(["mb-toss"]).silent();
    visit();
    assert!(yard.delivered("far", "north", "file").is_some());
}

#[test]
fn what_waited_longer_than_a_day_is_offered_ahead_anew() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.send("north", &["--via", "hub", "-t", "far"], &[("file", &noise(8, 100_000))]);
    let tx = yard.node("north").spool.join(yard.node("hub").id()).join("tx");
    let (_, files) = packets(&tx).pop_first().unwrap();
    let hub = yard.node("hub");
    come(&yard, ("north", "hub"), &files[..1]);
    hub.run(["mb-toss"]).silent();
    let ahead = hub.spool.join(yard.node("far").id()).join("ahead");
    let before = names(&ahead);
    assert_eq!(before.len(), 1);
    fs::write(ahead.join(&before[0]), "damaged").unwrap();
    let day = hub.spool.join("self/day");
    let yesterday = fs::read_to_string(&day).unwrap().trim().parse::<u32>().unwrap() - 1;
    fs::write(day, format!("{yesterday}\n")).unwrap();
    hub.run(["mb-toss"]).silent();
    assert_eq!(names(&ahead), before);
    assert!(fs::metadata(ahead.join(&before[0])).unwrap().len() > 100, "made anew");
}

/// What waits has been charged for: when all of it comes, the neighbour needs no room for a second one.
#[test]
fn what_waits_for_its_rest_is_not_charged_twice() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.set("hub", "north", "[link]\nmost_packets = 1");
    yard.send("north", &["--via", "hub", "-t", "far"], &[("file", &noise(9, 100_000))]);
    let tx = yard.node("north").spool.join(yard.node("hub").id()).join("tx");
    let (_, files) = packets(&tx).pop_first().unwrap();
    let hub = yard.node("hub");
    for _ in 0..2 {
        come(&yard, ("north", "hub"), &files[..1]);
        hub.run(["mb-toss"]).silent();
        assert!(hub.run(["mb-stat", "--packets"]).ok().contains(" wait north "));
    }
    come(&yard, ("north", "hub"), &files);
    hub.run(["mb-toss"]).silent();
    assert_eq!(yard.tx("hub", "far").len(), 2);
    hub.run(["mb-toss"]).silent();
    hub.run(["mb-check"]).silent();
}

/// Of an announcement the next hop may have something to say before the rest is at the relay: the author hears of it.
#[test]
fn what_is_said_of_an_announcement_finds_its_way_back() {
    let yard = Yard::new(&["north", "hub", "far"]);
    yard.set("far", "north", "[accept]\nfiles = false");
    let options = ["--receipt", "--via", "hub", "-t", "far"];
    let sent = yard.send("north", &options, &[("file", &noise(10, 100_000))]).remove(0);
    let [north, hub, far] = ["north", "hub", "far"].map(|name| yard.node(name));
    let tx = north.spool.join(hub.id()).join("tx");
    let (_, files) = packets(&tx).pop_first().unwrap();
    come(&yard, ("north", "hub"), &files[..1]);
    hub.run(["mb-toss"]).silent();
    call(far, hub, &["--eager"]);
    far.run(["mb-toss"]).fails_with(77, "north may not send us files");
    yard.round(&["far", "hub"]);
    north.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    north.run(["mb-toss"]).silent();
    let told = north.run(["mb-stat", &sent]).ok();
    assert!(told.contains(&format!("{sent} way far refused ")), "{told}");
}

/// What was delivered in part goes when the whole comes: it takes no room from it.
#[test]
fn whole_files_of_a_letter_take_no_room_from_the_letter() {
    let yard = Yard::new(&["north", "far"]);
    yard.set("far", "north", &format!("[accept]\nmost_bytes = {}", (1u64 << 30) + 90_000));
    yard.world.write("tree/a", noise(11, 60_000));
    fs::File::create(yard.world.path("tree/hole")).unwrap().set_len(1 << 30).unwrap();
    let send = yard.node("north").command(["mb-send", "--compress", "always", "-t", "far"]);
    let id = send.arg(yard.world.path("tree")).run().ok().trim().to_owned();
    let far = yard.node("far");
    come(&yard, ("north", "far"), &[id.clone(), format!("{id}.0")]);
    far.run(["mb-toss"]).silent();
    minutes_pass(far, 16);
    assert!(far.run(["mb-toss"]).stderr().contains("partial"));
    come(&yard, ("north", "far"), &[format!("{id}.1")]);
    far.run(["mb-toss"]).ok();
    assert_eq!(names(&far.spool.join("incoming/north")), ["tree"]);
}
