//! Requests: a node asks for files that another one shares with it, and gets them as letters.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise, tree};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use yard::{Yard, envelopes, names};

/// North asks, south shares its folder `pub`, in which are some files.
fn sharing(more: &str) -> Yard {
    let yard = Yard::new(&["north", "south"]);
    share(&yard, "south", more);
    yard
}

fn share(yard: &Yard, at: &str, more: &str) -> PathBuf {
    let folder = yard.world.make_dir("pub");
    yard.world.write("pub/may.pdf", b"what happened in May");
    yard.world.write("pub/docs/big.bin", noise(1, 200_000));
    yard.world.write("pub/docs/deep/end.txt", b"deep");
    yard.world.write("pub/.mb-half-0", b"half");
    yard.world.write("pub/docs/.mb-half-0", b"half");
    yard.world.write("secret", b"secret");
    yard.set(at, "north", &format!("[[share]]\nfolder = {folder:?}\n{more}"));
    folder
}

fn ask(yard: &Yard, words: &[&str]) -> String {
    yard.node("north").command(["mb-send", "-t", "south"]).args(words).run().ok().trim().to_owned()
}

/// What came to north from south.
fn came(yard: &Yard, name: &str) -> Option<Vec<u8>> {
    yard.delivered("north", "south", name)
}

fn incoming(yard: &Yard) -> Vec<String> {
    names(&yard.node("north").spool.join("incoming/south"))
}

fn are_sound(nodes: &[&Node]) {
    nodes.iter().for_each(|node| node.run(["mb-check"]).silent());
}

/// What south says when north has asked for this; nothing comes.
fn refused(yard: &Yard, path: &str) -> String {
    ask(yard, &["-r", path]);
    yard.round(&["north"]);
    let said = yard.visit("south").fails(77);
    yard.round(&["north"]);
    assert_eq!(incoming(yard), [""; 0], "{path}");
    said
}

#[test]
fn a_file_that_is_shared_comes_when_it_is_asked_for() {
    let yard = sharing("");
    let packet = ask(&yard, &["-r", "may.pdf"]);
    assert_eq!(yard.tx("north", "south"), [packet]);
    yard.round(&["north", "south", "north"]);
    assert_eq!(came(&yard, "may.pdf").unwrap(), b"what happened in May");
    let of = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let north = yard.node("north");
    assert_eq!(of(north.spool.join("incoming/south/may.pdf")), of(yard.world.path("pub/may.pdf")));
    ask(&yard, &["-r", "docs/big.bin"]);
    yard.round(&["north", "south", "north"]);
    assert_eq!(came(&yard, "big.bin").unwrap(), noise(1, 200_000));
    are_sound(&[north, yard.node("south")]);
    assert_eq!(names(&yard.node("south").spool.join("bad")), [""; 0]);
}

/// The answer is a letter like any other, and says which letter it answers.
#[test]
fn the_answer_is_an_ordinary_letter_that_says_what_it_answers() {
    let yard = sharing("");
    let (north, south) = (yard.node("north"), yard.node("south"));
    let packet = ask(&yard, &["-r", "may.pdf"]);
    let about = |node: &Node, packet: &str| -> String { node.run(["mb-cat", packet]).ok() };
    north.command(["mb-xfer", "--all"]).arg(&yard.stick).run().silent();
    south.command(["mb-xfer", "--all"]).arg(&yard.stick).run().silent();
    assert!(about(south, &packet).contains("may.pdf"), "{}", about(south, &packet));
    let letter = field(&about(south, &packet), "letter");
    south.run(["mb-toss", "--require-work"]).silent();
    south.command(["mb-xfer", "--all"]).arg(&yard.stick).run().silent();
    north.command(["mb-xfer", "--all"]).arg(&yard.stick).run().silent();
    let told: serde_json::Value = serde_json::from_str(&north.run(["mb-toss", "--json"]).ok()).unwrap();
    assert_eq!(told["re"], letter.as_str());
    assert_eq!(told["from"], "south");
    assert_eq!(told["path"].as_str().unwrap(), north.spool.join("incoming/south/may.pdf").to_str().unwrap());
}

/// The first id behind a word.
fn field(text: &str, word: &str) -> String {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|found| *found == word).unwrap_or_else(|| panic!("no {word} in {text}"));
    let is_id = |found: &&str| found.len() == 52;
    words.find(is_id).unwrap_or_else(|| panic!("no {word} in {text}")).to_owned()
}

#[test]
fn a_folder_comes_with_what_is_in_it_and_without_what_is_no_file() {
    let yard = sharing("except = [\"*.bak\", \"old\"]");
    yard.world.write("pub/docs/a.bak", b"x");
    yard.world.write("pub/docs/old/a.txt", b"x");
    yard.world.write("pub/docs/run.sh", b"#!/bin/sh");
    fs::set_permissions(yard.world.path("pub/docs/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink(yard.world.path("secret"), yard.world.path("pub/docs/link")).unwrap();
    symlink("..", yard.world.path("pub/docs/up")).unwrap();
    make_fifo(&yard.world.path("pub/docs/fifo"));
    ask(&yard, &["-r", "docs"]);
    yard.round(&["north", "south", "north"]);
    let got = yard.node("north").spool.join("incoming/south/docs");
    let listed: Vec<String> = tree(&got);
    let lines: Vec<&str> = listed.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["big.bin", "deep", "deep/end.txt", "run.sh"], "{listed:?}");
    assert_eq!(fs::read(got.join("big.bin")).unwrap(), noise(1, 200_000));
    assert_eq!(fs::read(got.join("deep/end.txt")).unwrap(), b"deep");
    assert_eq!(fs::metadata(got.join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_slash_at_the_end_asks_for_a_list() {
    let yard = sharing("except = [\"*.bak\"]");
    yard.world.write("pub/docs/a.bak", b"x");
    yard.world.write("pub/docs/tab\tand\\more", b"12345");
    symlink(yard.world.path("secret"), yard.world.path("pub/docs/link")).unwrap();
    make_fifo(&yard.world.path("pub/docs/fifo"));
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for name in ["docs/big.bin", "docs/tab\tand\\more", "docs/deep", "may.pdf", "docs"] {
        fs::File::open(yard.world.path("pub").join(name)).unwrap().set_modified(at).unwrap();
    }
    ask(&yard, &["-r", "docs/"]);
    ask(&yard, &["-r", "/"]);
    yard.round(&["north", "south", "north"]);
    let list = String::from_utf8(came(&yard, "docs.list").unwrap()).unwrap();
    let time = "2023-11-14T22:13:20Z";
    assert_eq!(list, format!("f\t200000\t{time}\tbig.bin\nd\t-\t{time}\tdeep/\nf\t5\t{time}\ttab\\x09and\\\\more\n"));
    let list = String::from_utf8(came(&yard, "shares.list").unwrap()).unwrap();
    assert_eq!(list, format!("d\t-\t{time}\tdocs/\nf\t20\t{time}\tmay.pdf\n"));
}

#[test]
fn shares_have_names_of_which_one_may_be_none() {
    let yard = sharing("");
    let music = yard.world.make_dir("music");
    yard.world.write("music/song", b"la");
    yard.world.write("pub/music/hidden", b"never reached");
    yard.set("south", "north", &format!("[[share]]\nname = \"music\"\nfolder = {music:?}\nmatch = [\"s*\"]"));
    ask(&yard, &["-r", "/"]);
    ask(&yard, &["-r", "music/song"]);
    ask(&yard, &["-r", "music"]);
    yard.round(&["north", "south", "north"]);
    let list = String::from_utf8(came(&yard, "shares.list").unwrap()).unwrap();
    let shown: Vec<&str> = list.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(shown, ["docs/", "may.pdf", "music/"]);
    assert_eq!(came(&yard, "song").unwrap(), b"la");
    assert_eq!(came(&yard, "music/song").unwrap(), b"la");
    ask(&yard, &["-r", "music/hidden"]);
    yard.round(&["north"]);
    yard.visit("south").fails_with(77, "nothing of that name is shared with north");
}

#[test]
fn the_answer_gets_the_name_that_was_wanted() {
    let yard = sharing("");
    ask(&yard, &["-r", "may.pdf", "-o", "reports/2026-05.pdf"]);
    ask(&yard, &["-r", "docs/", "-o", "lists/"]);
    ask(&yard, &["-r", "docs", "-o", "mine"]);
    yard.round(&["north", "south", "north"]);
    assert_eq!(came(&yard, "reports/2026-05.pdf").unwrap(), b"what happened in May");
    assert!(came(&yard, "lists/docs.list").is_some());
    assert_eq!(came(&yard, "mine/deep/end.txt").unwrap(), b"deep");
    assert_eq!(incoming(&yard), ["lists", "mine", "reports"]);
    are_sound(&[yard.node("north")]);
    // A file of ours that is there is not replaced.
    ask(&yard, &["-r", "may.pdf", "-o", "reports/2026-05.pdf"]);
    yard.round(&["north", "south", "north"]);
    assert_eq!(came(&yard, "reports/2026-05.1.pdf").unwrap(), b"what happened in May");
}

/// The answer goes by the roads that the other node has to us.
#[test]
fn requests_and_answers_go_by_relays() {
    let yard = Yard::new(&["north", "hub", "south"]);
    share(&yard, "south", "");
    for (at, of) in [("north", "south"), ("south", "north")] {
        let file = yard.node(at).config.join(format!("nodes/{of}.toml"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("roads = [[\"hub\"]]\n{text}")).unwrap();
    }
    ask(&yard, &["-r", "may.pdf"]);
    ask(&yard, &["--onion", "-r", "docs/big.bin"]);
    ask(&yard, &["--via", "hub", "--receipt", "-r", "docs/"]);
    assert_eq!(yard.tx("north", "south"), [""; 0]);
    yard.round(&["north", "hub", "south"]);
    assert_eq!(yard.tx("south", "north"), [""; 0]);
    yard.round(&["hub", "north"]);
    assert_eq!(incoming(&yard), ["big.bin", "docs.list", "may.pdf"]);
    are_sound(&yard.nodes.iter().collect::<Vec<_>>());
}

/// In the same words. Threat: 1, 3.
#[test]
fn whatever_is_not_shared_is_as_if_it_were_not_there() {
    let yard = sharing("match = [\"*.pdf\", \"*.txt\", \"*.bin\"]\nexcept = [\"old\"]");
    let pub_path = |name: &str| yard.world.path("pub").join(name);
    yard.world.write("pub/note.doc", b"x");
    yard.world.write("pub/old/a.txt", b"x");
    yard.world.write("outside/a.txt", b"secret");
    symlink(yard.world.path("secret"), pub_path("link.txt")).unwrap();
    symlink("may.pdf", pub_path("near.pdf")).unwrap();
    symlink(yard.world.path("outside"), pub_path("way")).unwrap();
    make_fifo(&pub_path("fifo.txt"));
    let listener = std::os::unix::net::UnixListener::bind(pub_path("socket.txt")).unwrap();
    // A device node needs rights that a test may lack; a share that holds them is at hand.
    yard.set("south", "north", "[[share]]\nname = \"dev\"\nfolder = \"/dev\"");
    let long = "x".repeat(255);
    let paths = [
        "none.txt",
        "docs/none.txt",
        "none/none.txt",
        "may.pdf/x",
        "note.doc",
        "old/a.txt",
        "old",
        "old/",
        "may.pdf/",
        "link.txt",
        "near.pdf",
        "way/a.txt",
        "way",
        "way/",
        "fifo.txt",
        "socket.txt",
        ".mb-half-0",
        "docs/.mb-half-0",
        "dev/null",
        "dev/stdin",
        "dev/fd/0",
        &long,
    ];
    for path in paths {
        let said = refused(&yard, path);
        let asked = path.trim_end_matches('/');
        let expected = format!("nothing of that name is shared with north ([[share]]): {asked}; it is in bad/ now");
        assert!(said.contains(&expected), "{path}: {said}");
    }
    drop(listener);
    are_sound(&[yard.node("north"), yard.node("south")]);
}

#[test]
fn nothing_is_shared_with_whoever_is_not_named() {
    let yard = Yard::new(&["north", "south"]);
    let said = refused(&yard, "may.pdf");
    assert!(said.contains("nothing is shared with north ([[share]])"), "{said}");
    // Once it is shared, the same request can be answered.
    share(&yard, "south", "");
    yard.node("south").run(["mb-toss", "--retry"]).silent();
    yard.round(&["south", "north"]);
    assert_eq!(came(&yard, "may.pdf").unwrap(), b"what happened in May");
}

/// A folder that is not there, as one that is not mounted, is the owner's affair: the request waits.
#[test]
fn a_share_that_is_not_there_lets_requests_wait() {
    let yard = sharing("");
    fs::rename(yard.world.path("pub"), yard.world.path("elsewhere")).unwrap();
    ask(&yard, &["-r", "may.pdf"]);
    yard.round(&["north"]);
    yard.visit("south").fails_with(66, "pub: open: No such file");
    let checked = yard.node("south").run(["mb-check", "--config"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    checked.fails_quietly(1);
    assert!(said.contains("share: ") && said.contains("pub: No such file"), "{said}");
    symlink(yard.world.path("elsewhere"), yard.world.path("pub")).unwrap();
    yard.node("south").run(["mb-toss"]).fails_with(77, "not a folder, or a symbolic link");
    fs::remove_file(yard.world.path("pub")).unwrap();
    fs::rename(yard.world.path("elsewhere"), yard.world.path("pub")).unwrap();
    yard.round(&["south", "north"]);
    assert_eq!(came(&yard, "may.pdf").unwrap(), b"what happened in May");
}

#[test]
fn no_more_is_sent_than_the_limits_say() {
    let yard = sharing("most_bytes = 200000\nmost_files = 3");
    ask(&yard, &["-r", "docs/big.bin"]);
    yard.round(&["north", "south", "north"]);
    assert_eq!(came(&yard, "big.bin").unwrap().len(), 200_000);
    fs::remove_dir_all(yard.node("north").spool.join("incoming/south")).unwrap();
    assert!(refused(&yard, "docs").contains("more than 200000 bytes ([[share]] most_bytes): docs, for north"));
    yard.world.write("pub/docs/big.bin", noise(1, 200_001));
    assert!(refused(&yard, "docs/big.bin").contains("more than 200000 bytes"));
    for number in 0..2 {
        yard.world.write(format!("pub/many/{number}"), b"");
        yard.world.write(format!("pub/many/in/{number}"), b"");
    }
    ask(&yard, &["-r", "many/"]);
    yard.round(&["north", "south", "north"]);
    assert_eq!(came(&yard, "many.list").unwrap().split(|byte| *byte == b'\n').count(), 4);
    fs::remove_dir_all(yard.node("north").spool.join("incoming/south")).unwrap();
    assert!(refused(&yard, "many").contains("more than 3 files and folders ([[share]] most_files): many, for north"));
    yard.world.write("pub/many/2", b"");
    assert!(refused(&yard, "many/").contains("more than 3 files and folders"));
}

/// Threat: 4.
#[test]
fn a_folder_of_very_many_files_is_refused_before_they_are_all_read() {
    let yard = sharing("");
    let many = yard.world.make_dir("pub/many");
    (0..10_001).for_each(|number| drop(fs::File::create(many.join(number.to_string())).unwrap()));
    assert!(refused(&yard, "many/").contains("more than 10000 files and folders"));
    assert!(refused(&yard, "many").contains("more than 10000 files and folders"));
}

/// Threat: 10.
#[test]
fn a_request_that_comes_twice_is_answered_once() {
    let yard = sharing("");
    let north = yard.node("north");
    ask(&yard, &["-r", "may.pdf"]);
    north.command(["mb-xfer", "--all", "--keep"]).arg(&yard.stick).run().silent();
    yard.visit("south").ok();
    let answers = yard.tx("south", "north");
    north.command(["mb-xfer", "--all", "--keep"]).arg(&yard.stick).run().silent();
    yard.world.write("pub/may.pdf", b"something else");
    yard.visit("south").ok();
    yard.round(&["south", "north", "south", "north"]);
    assert_eq!(answers, [""; 0], "it went onto the stick");
    assert_eq!(incoming(&yard), ["may.pdf"]);
    assert_eq!(came(&yard, "may.pdf").unwrap(), b"what happened in May");
}

/// Shows: W31.
#[test]
fn with_a_receipt_the_author_hears_what_became_of_his_request() {
    let yard = sharing("most_bytes = 10");
    yard.world.write("pub/small", b"x");
    let north = yard.node("north");
    let stage = |packet: &str| {
        let told = north.run(["mb-stat", packet]).ok();
        let line = told.lines().find(|line| line.starts_with(&format!("{packet} way "))).expect("its way").to_owned();
        line.split(' ').skip(3).collect::<Vec<_>>().join(" ")
    };
    let asked: Vec<String> =
        ["small", "none", ".mb-half-0", "may.pdf"].iter().map(|path| ask(&yard, &["--receipt", "-r", path])).collect();
    yard.round(&["north"]);
    drop(yard.visit("south").fails(77));
    yard.round(&["north"]);
    assert!(stage(&asked[0]).starts_with("delivered"), "{}", stage(&asked[0]));
    for (packet, path) in [(&asked[1], "none"), (&asked[2], ".mb-half-0")] {
        let why = format!("nothing of that name is shared with north ([[share]]): {path}");
        assert!(stage(packet).starts_with("refused") && stage(packet).ends_with(&why), "{}", stage(packet));
    }
    assert!(stage(&asked[3]).contains("more than 10 bytes ([[share]] most_bytes)"), "{}", stage(&asked[3]));
}

#[test]
fn once_asks_once() {
    let yard = sharing("");
    let packet = ask(&yard, &["--once", "k", "-r", "may.pdf", "-o", "a"]);
    assert_eq!(ask(&yard, &["--once", "k", "-r", "may.pdf", "-o", "a"]), packet);
    let other = |words: &[&str]| {
        let run = yard.node("north").command(["mb-send", "-t", "south", "--once", "k", "-r"]).args(words).run();
        run.fails_with(65, "other input was sent under this key");
    };
    other(&["docs"]);
    other(&["may.pdf/", "-o", "a"]);
    other(&["may.pdf", "-o", "b"]);
    assert_eq!(envelopes(&yard.tx("north", "south")), [&packet]);
}

/// Threat: 1.
#[test]
fn a_request_that_cannot_be_is_wrong_usage() {
    let yard = sharing("");
    let north = yard.node("north");
    let file = yard.world.write("file", b"x");
    let before = tree(&north.spool);
    for path in ["", "//", "/etc/passwd", "..", "../", "a/../b", "a//b", "./a", "a/.", &"x".repeat(256)] {
        let said = north.command(["mb-send", "-t", "south", "-r"]).arg(path).run().fails(64);
        assert!(said.contains("-r: ") && said.contains("-r / lists"), "{path}: {said}");
    }
    for name in ["", "/etc/passwd", "../a", "a/../../b"] {
        let said = north.command(["mb-send", "-t", "south", "-r", "a", "-o"]).arg(name).run().fails(64);
        assert!(said.contains("-o: "), "{name}: {said}");
    }
    let usage = |words: &[&str]| north.command(["mb-send", "-t", "south"]).args(words).run().fails(64);
    drop(usage(&["-r", "a", file.to_str().unwrap()]));
    drop(usage(&["-r", "a", "-x", "print"]));
    drop(usage(&["-r", "a", "--name", "b"]));
    drop(usage(&["-o", "b", file.to_str().unwrap()]));
    north.run(["mb-send", "-t", "south:x", "-r", "a"]).fails_with(64, "what is asked for goes with -r");
    north.run(["mb-send", "-t", "south", "-r", "a", "--dry-run"]).fails_with(0, "would ask south for a");
    assert_eq!(tree(&north.spool), before);
}

#[test]
fn a_share_that_makes_no_sense_is_a_configuration_error() {
    for (share, said) in [
        ("[[share]]\nfolder = \"srv\"", "share.folder: not an absolute path"),
        ("[[share]]\nfolder = \"/srv\"\nwrite = true", "share.write: unknown key"),
        ("[[share]]\nfolder = \"/srv\"\nmatch = [\"[\"]", "share.match"),
        ("[[share]]\nfolder = \"/srv\"\n[[share]]\nfolder = \"/usr\"", "two without a name"),
    ] {
        let yard = Yard::new(&["north", "south"]);
        yard.set("south", "north", share);
        yard.node("south").run(["mb-toss"]).fails_with(78, said);
    }
}
