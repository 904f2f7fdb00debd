//! What is tried: a few programs, one after another, each of which may be killed or fail.

use crate::trace::Lacks;
use crate::yard::{Tree, Yard};
use std::path::Path;

/// A story that ends with files delivered.
pub struct Scenario {
    /// What it is called in messages.
    pub name: &'static str,
    /// What the file system cannot do.
    pub lacks: Lacks,
    /// Makes the yard that it begins in.
    pub prepare: fn(&Yard),
    /// Its steps.
    pub steps: Vec<Step>,
    /// Where files are delivered, and which of the folder `files` these are.
    pub delivered: &'static [(&'static str, &'static [&'static str])],
    /// What else must hold in the end; what is wrong.
    pub end: fn(&Yard) -> Vec<String>,
}

impl Scenario {
    /// Whether it can be played on disks whose power is cut: those lack nothing, and its stick stays where it is.
    pub fn is_for_disks(&self) -> bool {
        self.lacks.is_empty() && self.steps.iter().all(|step| matches!(step, Step::Program(_)))
    }
}

/// One step of a scenario.
#[derive(Clone, Copy)]
pub enum Step {
    /// A program of ours.
    Program(Program),
    /// Something that a user does; doing it again does no harm.
    User(fn(&Yard)),
}

/// A program of ours at a node.
#[derive(Clone, Copy)]
pub struct Program {
    /// At which node.
    pub node: &'static str,
    /// Its words, in which `@` is the yard.
    pub words: &'static [&'static str],
    /// What it exits with when all goes well.
    pub code: i32,
    /// Whether it is the one that is killed.
    pub is_tried: bool,
    /// What is done after it was stopped.
    pub after: After,
}

/// What is done after a program was stopped midway.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is run again, and nothing is there twice.
    Again,
    /// It is not run again: it has done everything or nothing.
    Look,
}

/// A program that is run again after it was stopped.
pub const fn tried(node: &'static str, words: &'static [&'static str]) -> Step {
    Step::Program(Program { node, words, code: 0, is_tried: true, after: After::Again })
}

/// A program that has done everything or nothing when it was stopped.
pub const fn all_or_nothing(node: &'static str, words: &'static [&'static str]) -> Step {
    Step::Program(Program { node, words, code: 0, is_tried: true, after: After::Look })
}

/// A program that only brings the story to its end.
pub const fn then(node: &'static str, words: &'static [&'static str]) -> Step {
    Step::Program(Program { node, words, code: 0, is_tried: false, after: After::Again })
}

/// The same program, where all is well when it exits with `code`.
const fn exits(step: Step, code: i32) -> Step {
    match step {
        Step::Program(program) => Step::Program(Program { code, ..program }),
        user => user,
    }
}

const FILES: &[&str] = &["small.txt", "big.bin", "folder"];
const BOTH: &[(&str, &[&str])] = &[("south/spool/incoming/north", FILES), ("east/in", FILES)];
const TO_SOUTH: &[(&str, &[&str])] = &[("south/spool/incoming/north", FILES)];
const SMALL: &[(&str, &[&str])] = &[("south/spool/incoming/north", &["small.txt"])];

const SEND: &[&str] = &[
    "mb-send", "--threads", "1", "-t", "south", "-t", "east", "@/files/small.txt", "@/files/big.bin", "@/files/folder",
];
const SEND_ONCE: &[&str] = &[
    "mb-send", "--threads", "1", "--once", "key", "-t", "south", "-t", "east", "@/files/small.txt", "@/files/big.bin",
    "@/files/folder",
];
const SEND_SOUTH: &[&str] =
    &["mb-send", "--threads", "1", "-t", "south", "@/files/small.txt", "@/files/big.bin", "@/files/folder"];
const SEND_SMALL: &[&str] = &["mb-send", "--threads", "1", "-t", "south", "@/files/small.txt"];
const SEND_HERE: &[&str] =
    &["mb-send", "--threads", "1", "-t", "north:", "@/files/small.txt", "@/files/big.bin", "@/files/folder"];
const OUT: &[&str] = &["mb-xfer", "--threads", "1", "--out", "--all", "@/stick"];
const IN: &[&str] = &["mb-xfer", "--threads", "1", "--in", "@/stick"];
const VISIT: &[&str] = &["mb-xfer", "--threads", "1", "--toss", "@/stick"];
const TOSS: &[&str] = &["mb-toss", "--threads", "1"];
const RETRY: &[&str] = &["mb-toss", "--threads", "1", "--retry"];

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let story = |name, steps, delivered| Scenario {
        name,
        lacks: &[],
        prepare: three_nodes,
        steps,
        delivered,
        end: |_| Vec::new(),
    };
    vec![
        story(
            "by stick to two nodes",
            vec![
                all_or_nothing("north", SEND),
                tried("north", OUT),
                tried("south", IN),
                tried("east", IN),
                tried("south", TOSS),
                tried("east", TOSS),
            ],
            BOTH,
        ),
        story("sent once", vec![tried("north", SEND_ONCE), then("north", OUT), visit("south"), visit("east")], BOTH),
        story("one small file", vec![all_or_nothing("north", SEND_SMALL), then("north", OUT), visit("south")], SMALL),
        story(
            "one visit, one command",
            vec![then("north", SEND), then("north", OUT), tried("south", VISIT), tried("east", VISIT)],
            BOTH,
        ),
        story(
            "to oneself",
            vec![all_or_nothing("north", SEND_HERE), then("north", TOSS)],
            &[("north/spool/incoming/north", FILES)],
        ),
        Scenario {
            lacks: &[("linkat", "EPERM")],
            ..story(
                "where there are no hard links",
                vec![all_or_nothing("north", SEND_SOUTH), tried("north", OUT), tried("south", IN), tried("south", TOSS)],
                TO_SOUTH,
            )
        },
        Scenario {
            lacks: &[("renameat2", "EINVAL")],
            ..story(
                "where every rename replaces",
                vec![then("north", SEND_SOUTH), then("north", OUT), then("south", IN), tried("south", TOSS)],
                TO_SOUTH,
            )
        },
        Scenario {
            lacks: &[("syncfs", "ENOSYS")],
            ..story(
                "where a file system cannot be synced whole",
                vec![all_or_nothing("north", SEND_SOUTH), tried("north", OUT), tried("south", IN), tried("south", TOSS)],
                TO_SOUTH,
            )
        },
        story(
            "the envelope before the body",
            vec![
                then("north", SEND_SOUTH),
                then("north", OUT),
                then("south", IN),
                Step::User(take_body_away),
                tried("south", TOSS),
                Step::User(bring_body),
                tried("south", TOSS),
            ],
            TO_SOUTH,
        ),
        Scenario {
            prepare: south_knows_nobody,
            ..story(
                "from somebody unknown, then known",
                vec![
                    then("north", SEND_SOUTH),
                    then("north", OUT),
                    then("south", IN),
                    exits(tried("south", TOSS), 67),
                    Step::User(|yard| yard.introduce("south", &["north"])),
                    tried("south", RETRY),
                ],
                TO_SOUTH,
            )
        },
        story(
            "the same stick again",
            vec![
                then("north", SEND_SOUTH),
                then("north", OUT),
                Step::User(keep_stick),
                visit("south"),
                Step::User(stick_again),
                tried("south", VISIT),
            ],
            TO_SOUTH,
        ),
    ]
}

const fn visit(node: &'static str) -> Step {
    then(node, VISIT)
}

/// north knows south and east, they know it; what is to be sent lies in `files`. east delivers outside of its spool.
fn three_nodes(yard: &Yard) {
    nodes_and_files(yard);
    yard.introduce("south", &["north"]);
    yard.introduce("east", &["north"]);
    let file = yard.path("east/config/nodes/north.toml");
    let text = std::fs::read_to_string(&file).expect("the node's file");
    std::fs::create_dir(yard.path("east/in")).expect("a folder of delivery");
    std::fs::write(&file, format!("{text}\n[accept]\nfolder = \"{}\"\n", yard.path("east/in").display()))
        .expect("the node's file");
}

fn south_knows_nobody(yard: &Yard) {
    nodes_and_files(yard);
}

fn nodes_and_files(yard: &Yard) {
    for name in ["north", "south", "east"] {
        yard.init(name);
        let file = yard.path(name).join("config/config.toml");
        let text = std::fs::read_to_string(&file).expect("the node's configuration");
        // The disks of power cuts are small.
        std::fs::write(&file, format!("{text}reserve = \"64 KiB\"\n")).expect("the node's configuration");
    }
    yard.introduce("north", &["south", "east"]);
    std::fs::create_dir(yard.path("stick")).expect("a folder for the stick");
    yard.write("files/small.txt", "a small file\n");
    yard.write("files/big.bin", noise(100 * 1024));
    yard.write("files/folder/a.txt", "a\n");
    yard.write("files/folder/deeper/b.bin", noise(3000));
    std::os::unix::fs::symlink("a.txt", yard.path("files/folder/link")).expect("a link");
    for path in ["files/small.txt", "files/folder/deeper", "files/folder"] {
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::open(yard.path(path)).and_then(|file| file.set_modified(old)).expect("another time");
    }
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// What of `files` is to be delivered to a folder.
pub fn expected(yard: &Yard, names: &[&str]) -> Tree {
    let is_sent = |path: &Path| names.iter().any(|name| path.starts_with(name));
    yard.tree("files").into_iter().filter(|(path, _)| is_sent(path)).collect()
}

/// Bodies that have come lie aside.
fn take_body_away(yard: &Yard) {
    move_bodies(yard, "south/spool/self/rx", "aside");
    let _ = std::fs::remove_dir_all(yard.path("south/spool/body"));
}

fn bring_body(yard: &Yard) {
    move_bodies(yard, "aside", "south/spool/self/rx");
}

fn move_bodies(yard: &Yard, from: &str, to: &str) {
    std::fs::create_dir_all(yard.path(to)).expect("a folder in the yard");
    for entry in std::fs::read_dir(yard.path(from)).expect("a folder in the yard") {
        let name = entry.expect("an entry").file_name();
        if name.to_string_lossy().contains('.') {
            std::fs::rename(yard.path(from).join(&name), yard.path(to).join(&name)).expect("a body is moved");
        }
    }
}

fn keep_stick(yard: &Yard) {
    Yard::at(yard.path("stick")).copy(yard.path("kept"));
}

fn stick_again(yard: &Yard) {
    if yard.path("kept").is_dir() {
        std::fs::remove_dir_all(yard.path("stick")).expect("the stick goes");
        std::fs::rename(yard.path("kept"), yard.path("stick")).expect("the stick comes back");
    }
}
