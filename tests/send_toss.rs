//! mb-send and mb-toss: what leaves one node arrives at another, once, whole, and nowhere else. The stick is played by `cp`.

mod common;

use common::{Node, World, noise, tree};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Two nodes that know each other.
fn two(world: &World) -> (Node, Node) {
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    (north, south)
}

fn tx(from: &Node, to: &Node) -> PathBuf {
    from.spool.join(to.id()).join("tx")
}

/// What waits in `from` for `to`: file names, sorted.
fn waiting(from: &Node, to: &Node) -> Vec<String> {
    let Ok(entries) = fs::read_dir(tx(from, to)) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Copies everything that waits for `to` into its `self/rx`, as somebody would by hand. The source stays.
fn carry(from: &Node, to: &Node) {
    let rx = to.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    for name in waiting(from, to) {
        fs::copy(tx(from, to).join(&name), rx.join(&name)).unwrap();
    }
}

fn incoming(at: &Node, from: &Node) -> PathBuf {
    at.spool.join("incoming").join(&from.name)
}

/// Names that lie in a folder, sorted; empty if it is not there.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Shows: H3, H5, H17, W46.
/// Sender and recipient are never at work at the same time, and nothing joins them but files that somebody copies.
#[test]
fn a_file_arrives_with_its_name_mode_and_time() {
    let world = World::new();
    let (north, south) = two(&world);
    let file = world.write("north/Grüße aus dem Norden.txt", "hello\n");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let printed = north.run(["mb-send", "-t", "south", "Grüße aus dem Norden.txt"]).ok();
    assert_eq!(waiting(&north, &south), [printed.trim()]);
    let carried = fs::read(tx(&north, &south).join(printed.trim())).unwrap();
    assert!(!carried.windows(5).any(|window| window == b"hello"), "it travels sealed");
    carry(&north, &south);
    let delivered = south.run(["mb-toss"]).ok();
    let path = incoming(&south, &north).join("Grüße aus dem Norden.txt");
    assert_eq!(Path::new(delivered.trim_end()), path);
    assert_eq!(fs::read(&path).unwrap(), b"hello\n");
    let (sent, got) = (file.metadata().unwrap(), path.metadata().unwrap());
    assert_eq!((got.mode() & 0o7777, got.mtime(), got.mtime_nsec()), (0o640, sent.mtime(), sent.mtime_nsec()));
    assert_eq!(names(&south.spool.join("self/rx")), [""; 0]);
    south.run(["mb-toss"]).silent();
}

/// Shows: H8, H21, H22.
/// A short payload is one small sealed and signed box; a long one is a tree of encrypted blocks, which the box lists, and
/// which anybody who carries it can check by its root.
#[test]
fn a_short_payload_is_a_sealed_box_and_a_long_one_a_tree_of_blocks() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/short", noise(20, 1000));
    world.write("north/long", noise(21, 500_000));
    let printed = north.run(["mb-send", "-t", "south", "short", "long"]).ok();
    let ids: Vec<&str> = printed.lines().collect();
    let queued = |name: &str| fs::read(tx(&north, &south).join(name)).unwrap();
    let prefix = |id: &str| mb_wire::envelope::read_prefix(&queued(id)).expect("a sound envelope");
    assert_eq!(prefix(ids[0]).bodies, [], "it rides in the envelope");
    let listed = prefix(ids[1]).bodies;
    let body = queued(&format!("{}.0", ids[1]));
    let leaves = mb_wire::body::leaves(&body);
    assert_eq!((listed.len(), leaves.len()), (1, 8));
    assert_eq!((listed[0].size, listed[0].root), (body.len() as u64, mb_wire::body::root(body.len() as u64, &leaves)));
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    assert!(fs::read(incoming(&south, &north).join("long")).unwrap() == noise(21, 500_000));
}

/// Sizes around every border: inline, one chunk, one block, several blocks.
#[test]
fn every_size_arrives_as_it_was() {
    let world = World::new();
    let (north, south) = two(&world);
    let sizes =
        [0, 1, 1000, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_072, 1 << 20, (1 << 20) + 1, 3_000_000];
    for size in sizes {
        world.write(format!("north/in/{size}"), noise(size as u64, size));
    }
    let files: Vec<String> = sizes.iter().map(|size| format!("in/{size}")).collect();
    let printed = north.command(["mb-send", "-t", "south"]).args(&files).run().ok();
    assert_eq!(printed.lines().count(), sizes.len(), "one id for each FILE");
    carry(&north, &south);
    assert_eq!(south.run(["mb-toss"]).ok().lines().count(), sizes.len());
    for size in sizes {
        let got = fs::read(incoming(&south, &north).join(size.to_string())).unwrap();
        assert!(got == noise(size as u64, size), "{size} bytes");
    }
    assert_eq!(names(&south.spool.join("tmp")), [""; 0]);
}

#[test]
fn a_packet_comes_twice_and_is_delivered_once() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/report.pdf", noise(1, 100_000));
    north.run(["mb-send", "-t", "south", "report.pdf"]).ok();
    for _ in 0..3 {
        carry(&north, &south);
        let _ = south.run(["mb-toss"]).ok();
    }
    assert_eq!(names(&incoming(&south, &north)), ["report.pdf"]);
    fs::remove_file(incoming(&south, &north).join("report.pdf")).unwrap();
    carry(&north, &south);
    south.run(["mb-toss"]).silent();
    assert_eq!(names(&incoming(&south, &north)), [""; 0], "what the user took away does not come back");
}

/// Threat: 2.
#[test]
fn nothing_is_ever_overwritten() {
    let world = World::new();
    let (north, south) = two(&world);
    for number in 0..4 {
        world.write("north/report.pdf", format!("version {number}"));
        north.run(["mb-send", "-t", "south", "report.pdf"]).ok();
    }
    world.write("south/spool/incoming/north/report.2.pdf", "the user's own");
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    let dir = incoming(&south, &north);
    assert_eq!(names(&dir), ["report.1.pdf", "report.2.pdf", "report.3.pdf", "report.4.pdf", "report.pdf"]);
    assert_eq!(fs::read_to_string(dir.join("report.2.pdf")).unwrap(), "the user's own");
    let mut versions: Vec<String> = ["report.pdf", "report.1.pdf", "report.3.pdf", "report.4.pdf"]
        .iter()
        .map(|name| fs::read_to_string(dir.join(name)).unwrap())
        .collect();
    versions.sort();
    assert_eq!(versions, ["version 0", "version 1", "version 2", "version 3"]);
}

/// Shows: B1, B2, B4.
/// One body, sealed once; an envelope for each recipient, with the body's key in it; who is no recipient opens nothing.
#[test]
fn several_recipients_share_one_body() {
    let world = World::new();
    let (north, south) = two(&world);
    let (east, west) = (world.node("east"), world.node("west"));
    world.introduce(&[&north, &south, &east, &west]);
    world.write("north/film", noise(2, 500_000));
    let printed = north.run(["mb-send", "-t", "south", "-t", "east:films/", "film"]).ok();
    let ids: Vec<&str> = printed.lines().collect();
    assert_eq!(ids.len(), 2);
    let body = |node: &Node, id: &str| tx(&north, node).join(format!("{id}.0")).metadata().unwrap();
    assert_eq!(body(&south, ids[0]).ino(), body(&east, ids[1]).ino(), "the body is there once");
    for node in [&south, &east] {
        carry(&north, node);
        let _ = node.run(["mb-toss"]).ok();
    }
    assert!(fs::read(incoming(&south, &north).join("film")).unwrap() == noise(2, 500_000));
    assert!(fs::read(incoming(&east, &north).join("films/film")).unwrap() == noise(2, 500_000));
    let rx = west.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    for name in waiting(&north, &south) {
        fs::copy(tx(&north, &south).join(&name), rx.join(&name)).unwrap();
    }
    west.run(["mb-toss"]).fails_with(65, "envelope is for mbn1");
    assert_eq!(names(&incoming(&west, &north)), [""; 0]);
}

#[test]
fn private_gives_each_recipient_a_body_of_its_own() {
    let world = World::new();
    let (north, south) = two(&world);
    let east = world.node("east");
    world.introduce(&[&north, &south, &east]);
    world.write("north/film", noise(3, 200_000));
    north.run(["mb-send", "--private", "-t", "south", "-t", "east", "film"]).ok();
    let body = |node: &Node| {
        let name = waiting(&north, node).into_iter().find(|name| name.ends_with(".0")).expect("a body");
        fs::read(tx(&north, node).join(name)).unwrap()
    };
    assert!(body(&south) != body(&east));
    carry(&north, &east);
    let _ = east.run(["mb-toss"]).ok();
    assert!(fs::read(incoming(&east, &north).join("film")).unwrap() == noise(3, 200_000));
}

/// Shows: B3.
#[test]
fn the_sender_cannot_read_back_what_it_sent_unless_it_asked_for_a_copy() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/secret", noise(4, 50_000));
    north.run(["mb-send", "-t", "south", "secret"]).ok();
    let rx = north.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    for name in waiting(&north, &south) {
        fs::copy(tx(&north, &south).join(&name), rx.join(&name)).unwrap();
    }
    north.run(["mb-toss"]).fails(65);
    north.run(["mb-send", "--copy-self", "-t", "south", "secret"]).ok();
    let copy = north.spool.join("incoming/north/secret");
    assert!(fs::read(copy).unwrap() == noise(4, 50_000));
}

#[test]
fn a_folder_arrives_with_names_modes_times_and_links() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/project/readme", "read me");
    world.write("north/project/.hidden/deep/er/file", noise(5, 70_000));
    world.write("north/project/run.sh", "#!/bin/sh\n");
    world.write("north/project/name with\nnewline", "odd");
    world.make_dir("north/project/empty");
    let top = world.path("north/project");
    fs::set_permissions(top.join("run.sh"), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(top.join("empty"), Permissions::from_mode(0o500)).unwrap();
    symlink("../../outside", top.join("link")).unwrap();
    north.run(["mb-send", "-t", "south", "project/"]).ok();
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    let got = incoming(&south, &north).join("project");
    assert_eq!(tree(&got), tree(&top));
    assert_eq!(fs::read_link(got.join("link")).unwrap(), Path::new("../../outside"));
    assert!(fs::read(got.join(".hidden/deep/er/file")).unwrap() == noise(5, 70_000));
    for name in ["readme", "empty", ".hidden/deep", "link", ""] {
        let (a, b) = (top.join(name).symlink_metadata().unwrap(), got.join(name).symlink_metadata().unwrap());
        assert_eq!((a.mtime(), a.mtime_nsec()), (b.mtime(), b.mtime_nsec()), "time of {name:?}");
    }
}

#[test]
fn a_sparse_file_stays_as_it_is_and_sparse() {
    let world = World::new();
    let (north, south) = two(&world);
    let file = world.write("north/disk.img", b"boot");
    let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
    opened.set_len(20 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&opened, b"end", 15 << 20).unwrap();
    north.run(["mb-send", "-t", "south", "disk.img"]).ok();
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    let got = incoming(&south, &north).join("disk.img");
    assert!(fs::read(&got).unwrap() == fs::read(&file).unwrap());
    assert!(got.metadata().unwrap().blocks() * 512 < 1 << 20, "holes stay holes");
}

#[test]
fn standard_input_of_any_length_is_sent_under_a_given_name() {
    let world = World::new();
    let (north, south) = two(&world);
    north.command(["mb-send", "-t", "south:logs/today", "-"]).stdin(noise(6, 2_000_000)).run().ok();
    north.command(["mb-send", "-t", "south", "--name", "note", "-"]).stdin("short").run().ok();
    north.command(["mb-send", "-t", "south", "-"]).stdin("x").run().fails_with(64, "no name");
    north.run(["mb-send", "-t", "south"]).fails(64);
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    assert!(fs::read(incoming(&south, &north).join("logs/today")).unwrap() == noise(6, 2_000_000));
    assert_eq!(fs::read(incoming(&south, &north).join("note")).unwrap(), b"short");
}

#[test]
fn all_files_of_a_call_are_sent_or_none() {
    let world = World::new();
    let (north, south) = two(&world);
    for number in 0..50 {
        world.write(format!("north/in/{number}"), format!("file {number}"));
    }
    let before = tree(&north.spool);
    north.run(["mb-send", "-t", "south", "in/1", "in/2", "in/missing", "in/3"]).fails_with(66, "in/missing");
    assert_eq!(waiting(&north, &south), [""; 0]);
    assert_eq!(names(&north.spool.join("tmp")), [""; 0]);
    assert!(tree(&north.spool).iter().all(|path| before.contains(path) || path.contains("tmp")));
    let list: String = (0..50).map(|number| format!("in/{number}\n")).collect();
    let printed = north.command(["mb-send", "-t", "south", "--files-from", "-"]).stdin(list).run().ok();
    assert_eq!(printed.lines().count(), 50);
    carry(&north, &south);
    let delivered = south.run(["mb-toss", "-0"]).ok();
    assert_eq!(delivered.split_terminator('\0').count(), 50);
}

#[test]
fn once_sends_once_and_refuses_other_input() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/file", noise(7, 40_000));
    let first = north.run(["mb-send", "--once", "monday", "-t", "south", "file"]).ok();
    let again = north.run(["mb-send", "--once", "monday", "-t", "south", "file"]).ok();
    assert_eq!(first, again);
    assert_eq!(waiting(&north, &south).len(), 2, "one envelope, one body");
    world.write("north/file", noise(8, 40_000));
    north.run(["mb-send", "--once", "monday", "-t", "south", "file"]).fails_with(65, "other input");
    let other = north.run(["mb-send", "--once", "tuesday", "-t", "south", "file"]).ok();
    assert_ne!(first, other);
    let elsewhere = north.run(["mb-send", "--once", "monday", "-t", "south:else/", "file"]).ok();
    assert_ne!(first, elsewhere, "other recipients are another record");
}

#[test]
fn compression_and_padding_change_the_body_and_not_what_arrives() {
    let world = World::new();
    let (north, south) = two(&world);
    let text = "all work and no play makes jack a dull boy\n".repeat(50_000);
    world.write("north/text", &text);
    world.write("north/noise", noise(9, 300_000));
    let sizes = |options: &[&str], file: &str| {
        let id = north.command(["mb-send", "-t", "south"]).args(options).arg(file).run().ok();
        tx(&north, &south).join(format!("{}.0", id.trim())).metadata().unwrap().len()
    };
    assert!(sizes(&[], "text") < 100_000, "compressed when it pays");
    assert!(sizes(&["--compress", "never"], "text") > text.len() as u64);
    assert!(sizes(&["--compress", "always"], "noise") > 300_000);
    let (a, b) = (sizes(&["--pad", "--compress", "never", "--name", "a"], "noise"), 300_000);
    assert!(a > b + 80, "padded: {a}");
    assert!(sizes(&["--pad", "--name", "b"], "text") < 100_000);
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    let dir = incoming(&south, &north);
    for name in ["text", "text.1", "b"] {
        assert!(fs::read(dir.join(name)).unwrap() == text.as_bytes(), "{name}");
    }
    for name in ["noise", "a"] {
        assert!(fs::read(dir.join(name)).unwrap() == noise(9, 300_000), "{name}");
    }
}

/// Shows: B10, B13, B14, H85.
/// The envelope's list of bodies says what is missing; when the last one has come, in whatever order, all is delivered.
#[test]
fn a_packet_waits_until_its_last_body_has_come() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/film", noise(10, 300_000));
    let id = north.run(["mb-send", "-t", "south", "film"]).ok().trim().to_owned();
    let rx = south.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    fs::copy(tx(&north, &south).join(&id), rx.join(&id)).unwrap();
    south.run(["mb-toss"]).silent();
    south.run(["mb-toss"]).silent();
    let wait = south.spool.join(north.id()).join("wait");
    assert_eq!(names(&wait), std::slice::from_ref(&id));
    assert_eq!(names(&rx), [""; 0]);
    let body = format!("{id}.0");
    fs::copy(tx(&north, &south).join(&body), rx.join(&body)).unwrap();
    let _ = south.run(["mb-toss"]).ok();
    assert!(fs::read(incoming(&south, &north).join("film")).unwrap() == noise(10, 300_000));
    assert_eq!(names(&wait), [""; 0]);
    assert_eq!(names(&rx), [""; 0]);
}

/// Shows: H52, H84.
/// Threat: 8.
#[test]
fn a_damaged_body_is_refused_and_the_good_copy_still_arrives() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/film", noise(11, 300_000));
    let id = north.run(["mb-send", "-t", "south", "film"]).ok().trim().to_owned();
    let rx = south.spool.join("self/rx");
    let body = rx.join(format!("{id}.0"));
    for position in [0, 65_551, 65_552, 200_000, 300_079] {
        carry(&north, &south);
        let mut bytes = fs::read(&body).unwrap();
        bytes[position] ^= 1;
        fs::write(&body, &bytes).unwrap();
        south.run(["mb-toss"]).fails(65);
        assert_eq!(names(&incoming(&south, &north)), [""; 0], "byte {position}");
        let why = fs::read_to_string(south.spool.join(format!("bad/{id}.why"))).unwrap();
        assert!(why.contains("body 0"), "{why}");
    }
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    assert!(fs::read(incoming(&south, &north).join("film")).unwrap() == noise(11, 300_000));
}

/// Threat: 9. The end of a file is not the end of a body: its size is signed.
#[test]
fn a_body_that_is_cut_or_longer_is_refused() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/film", noise(12, 200_000));
    let id = north.run(["mb-send", "-t", "south", "film"]).ok().trim().to_owned();
    let body = south.spool.join(format!("self/rx/{id}.0"));
    for len in [0, 1, 65_552, 131_104, 200_063, 200_065] {
        carry(&north, &south);
        fs::OpenOptions::new().write(true).open(&body).unwrap().set_len(len).unwrap();
        south.run(["mb-toss"]).fails_with(65, "body 0");
    }
    assert_eq!(names(&incoming(&south, &north)), [""; 0]);
}

/// Shows: W3.
/// Threat: 11.
#[test]
fn what_an_unknown_node_sends_goes_to_bad_until_it_is_known() {
    let world = World::new();
    let (north, south) = (world.node("north"), world.node("south"));
    north.command(["mb-node", "add"]).stdin(south.card()).run().ok();
    world.write("north/file", "from a stranger");
    north.run(["mb-send", "-t", "south", "file"]).ok();
    carry(&north, &south);
    south.run(["mb-toss"]).fails_with(67, "not known here");
    south.run(["mb-toss"]).silent();
    assert_eq!(names(&south.spool.join("bad")).len(), 2, "the packet and why");
    south.command(["mb-node", "add"]).stdin(north.card()).run().ok();
    let _ = south.run(["mb-toss", "--retry"]).ok();
    assert_eq!(fs::read(incoming(&south, &north).join("file")).unwrap(), b"from a stranger");
    assert_eq!(names(&south.spool.join("bad")), [""; 0]);
}

#[test]
fn what_was_taken_out_of_an_outgoing_queue_goes_back_there() {
    let world = World::new();
    let (north, south) = two(&world);
    let content = "mended ".repeat(10_000);
    world.write("north/file", &content);
    north.run(["mb-send", "-t", "south", "file"]).ok();
    let tx = tx(&north, &south);
    let body = names(&tx).into_iter().find(|name| name.ends_with(".0")).unwrap();
    let good = fs::read(tx.join(&body)).unwrap();
    fs::write(tx.join(&body), "damage").unwrap();
    assert_eq!(north.run(["mb-check", "--fix"]).code, 1, "there was damage");
    assert_eq!(names(&tx), [""; 0]);
    fs::write(north.spool.join("bad").join(&body), good).unwrap();
    north.run(["mb-toss", "--retry"]).silent();
    assert_eq!(names(&north.spool.join("bad")), [""; 0]);
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    assert_eq!(fs::read_to_string(incoming(&south, &north).join("file")).unwrap(), content);
}

#[test]
fn a_node_may_be_kept_from_sending_files_or_handing_over_anything() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/file", "x");
    north.run(["mb-send", "-t", "south", "file"]).ok();
    let settings = south.config.join("nodes/north.toml");
    let card = fs::read_to_string(&settings).unwrap();
    for (rule, why) in [("[accept]\nfiles = false\n", "[accept]"), ("[link]\nfrom = false\n", "[link]")] {
        fs::write(&settings, format!("{card}\n{rule}")).unwrap();
        carry(&north, &south);
        south.run(["mb-toss"]).fails_with(77, why);
    }
    fs::write(&settings, &card).unwrap();
    let _ = south.run(["mb-toss", "--retry"]).ok();
    assert_eq!(names(&incoming(&south, &north)), ["file"]);
}

/// Shows: H83.
#[test]
fn a_folder_of_delivery_takes_no_more_than_it_may_hold() {
    let world = World::new();
    let (north, south) = two(&world);
    let folder = world.make_dir("elsewhere/in");
    let settings = south.config.join("nodes/north.toml");
    let card = fs::read_to_string(&settings).unwrap();
    let rules =
        format!("{card}\n[accept]\nfolder = \"{}\"\nmost_bytes = \"100 KiB\"\nmode = \"0640\"\n", folder.display());
    fs::write(&settings, rules).unwrap();
    world.write("north/a", noise(13, 60_000));
    north.run(["mb-send", "-t", "south", "a"]).ok();
    carry(&north, &south);
    let _ = south.run(["mb-toss"]).ok();
    assert_eq!(folder.join("a").metadata().unwrap().mode() & 0o7777, 0o640);
    world.write("north/b", noise(14, 60_000));
    north.run(["mb-send", "-t", "south", "b"]).ok();
    carry(&north, &south);
    south.run(["mb-toss"]).fails_with(75, "most_bytes");
    assert_eq!(south.run(["mb-toss", "-q"]).fails_quietly(75), "");
    fs::remove_file(folder.join("a")).unwrap();
    let _ = south.run(["mb-toss"]).ok();
    assert_eq!(names(&folder), ["b"]);
}

#[test]
fn a_folder_of_delivery_that_became_a_link_is_refused() {
    let world = World::new();
    let (north, south) = two(&world);
    let outside = world.make_dir("outside");
    world.write("north/file", "x");
    north.run(["mb-send", "-t", "south:sub/file", "file"]).ok();
    carry(&north, &south);
    fs::create_dir_all(south.spool.join("incoming")).unwrap();
    symlink(&outside, incoming(&south, &north)).unwrap();
    south.run(["mb-toss"]).fails(77);
    assert_eq!(names(&outside), [""; 0]);
    fs::remove_file(incoming(&south, &north)).unwrap();
    fs::create_dir(incoming(&south, &north)).unwrap();
    symlink(&outside, incoming(&south, &north).join("sub")).unwrap();
    south.run(["mb-toss"]).fails(77);
    assert_eq!(names(&outside), [""; 0]);
    fs::remove_file(incoming(&south, &north).join("sub")).unwrap();
    let _ = south.run(["mb-toss"]).ok();
    assert_eq!(names(&incoming(&south, &north).join("sub")), ["file"]);
}

#[test]
fn wrong_usage_is_refused_before_anything_happens() {
    let world = World::new();
    let (north, _south) = two(&world);
    world.write("north/file", "x");
    let before = tree(&north.spool);
    north.run(["mb-send", "-t", "suoth", "file"]).fails_with(67, "did you mean \"south\"?");
    north.run(["mb-send", "-t", "south:../etc", "file"]).fails(64);
    north.run(["mb-send", "-t", "south:/etc/passwd", "file"]).fails(64);
    north.run(["mb-send", "-t", "south:name", "file", "file"]).fails(64);
    north.run(["mb-send", "-t", "south", "--nice", "0", "file"]).fails(64);
    north.run(["mb-send", "-t", "south", "--ttl", "401", "file"]).fails(64);
    north.run(["mb-send", "-t", "south", "--name", "a", "file", "file"]).fails(64);
    north.run(["mb-send", "-t", "south", "-x", "han/dle"]).fails(64);
    north.run(["mb-send", "-t", "south", "--via", "east", "file"]).fails_with(67, "unknown node \"east\"");
    north.run(["mb-send", "-t", "south", "--via", "south", "file"]).fails_with(64, "that is where the way leads");
    north.run(["mb-send", "-t", "south", "--via", "north", "file"]).fails_with(64, "that is this node itself");
    north.run(["mb-send", "-t", "south", "/dev/null/file"]).fails(66);
    assert_eq!(tree(&north.spool).len(), before.len() + usize::from(north.spool.join("tmp").exists()));
}

/// Threat: 24.
#[test]
fn a_closed_or_full_standard_output_changes_nothing_but_the_exit_code() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/file", "x");
    assert_eq!(north.command(["mb-send", "-t", "south", "file"]).after("exec >/dev/full").run().code, 74);
    assert_eq!(waiting(&north, &south).len(), 1);
    let _ = north.command(["mb-send", "-t", "south", "file"]).after("exec >&- 2>&-").run();
    assert_eq!(waiting(&north, &south).len(), 2);
    carry(&north, &south);
    assert_eq!(south.command(["mb-toss"]).after("exec >/dev/full").run().code, 74);
    assert_eq!(names(&incoming(&south, &north)), ["file", "file.1"]);
}

/// Threat: 25.
#[test]
fn many_tossers_at_once_deliver_everything_once() {
    let world = World::new();
    let (north, south) = two(&world);
    for number in 0..300 {
        world.write(format!("north/in/{number}"), noise(number, if number % 50 == 0 { 50_000 } else { 500 }));
    }
    let list: String = (0..300).map(|number| format!("in/{number}\n")).collect();
    north.command(["mb-send", "-t", "south", "--files-from", "-"]).stdin(list).run().ok();
    carry(&north, &south);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let _ = south.run(["mb-toss"]).ok();
            });
        }
    });
    let _ = south.run(["mb-toss"]).ok();
    assert_eq!(names(&incoming(&south, &north)).len(), 300);
    for number in 0..300 {
        let expected = noise(number, if number % 50 == 0 { 50_000 } else { 500 });
        assert!(fs::read(incoming(&south, &north).join(number.to_string())).unwrap() == expected);
    }
    assert_eq!(names(&south.spool.join("tmp")), [""; 0]);
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let world = World::new();
    let (north, south) = two(&world);
    world.write("north/file", "x");
    let before = tree(&north.spool);
    assert!(north.run(["mb-send", "--dry-run", "-t", "south", "file"]).fails(0).contains("would send file to south"));
    assert_eq!(tree(&north.spool), before);
    north.run(["mb-send", "-t", "south", "file"]).ok();
    carry(&north, &south);
    let before = tree(&south.spool);
    assert!(south.run(["mb-toss", "--dry-run"]).fails(0).contains("would toss"));
    assert_eq!(tree(&south.spool), before);
}

#[test]
fn require_work_tells_a_run_that_delivered_nothing() {
    let world = World::new();
    let (_, south) = two(&world);
    assert_eq!(south.run(["mb-toss", "--require-work"]).code, 3);
}

#[test]
fn words_behind_two_dashes_are_files() {
    let world = World::new();
    let (north, south) = two(&world);
    fs::write(north.dir.join("-x"), "dash").unwrap();
    fs::write(north.dir.join("plain"), "plain").unwrap();
    assert_eq!(north.run(["mb-send", "-t", "south", "plain", "--", "-x"]).ok().lines().count(), 2);
    north.run(["mb-send", "-t", "south", "-r", "x", "--", "-x"]).fails_with(64, "cannot be used with");
    carry(&north, &south);
    south.run(["mb-toss"]).ok();
    assert_eq!(tree(&incoming(&south, &north)).len(), 2);
    assert_eq!(fs::read(incoming(&south, &north).join("_-x")).unwrap(), b"dash");
}

/// Each packet and each folder is open while a batch is delivered. Threat: 21.
#[test]
fn packets_for_as_many_folders_are_tossed_with_few_open_files() {
    let world = World::new();
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    let (file, stick) = (world.write("file", "x"), world.make_dir("stick"));
    let to = (0..650).flat_map(|number| ["-t".to_owned(), format!("south:{number}/")]);
    north.command(["mb-send"]).args(to).arg(file).run().ok();
    north.command(["mb-xfer", "--out", "--node", "south"]).arg(&stick).run().silent();
    south.command(["mb-xfer", "--in"]).arg(&stick).run().silent();
    let paths = south.command(["mb-toss"]).after("ulimit -n 1024").run().ok();
    assert_eq!(paths.lines().count(), 650);
}
