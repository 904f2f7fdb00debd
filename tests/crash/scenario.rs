//! What is tried: a few programs, one after another, each of which may be killed or fail.

use crate::trace::Lacks;
use crate::yard::{Tree, Yard};
use std::collections::BTreeSet;
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
    /// The nodes at which something is run.
    pub fn nodes(&self) -> BTreeSet<&'static str> {
        let node = |step: &Step| match step {
            Step::Program(program) => Some(program.node),
            Step::User(_) => None,
        };
        self.steps.iter().filter_map(node).collect()
    }

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
    /// What it reads on standard input: a file in the yard.
    pub input: Option<&'static str>,
    /// What it exits with when all goes well.
    pub code: i32,
    /// What it exits with when it has been done already.
    pub done_code: i32,
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

impl Program {
    const fn new(node: &'static str, words: &'static [&'static str]) -> Program {
        Program { node, words, input: None, code: 0, done_code: 0, is_tried: true, after: After::Again }
    }
}

/// A program that is run again after it was stopped.
const fn tried(node: &'static str, words: &'static [&'static str]) -> Step {
    Step::Program(Program::new(node, words))
}

/// A program that has done everything or nothing when it was stopped.
const fn all_or_nothing(node: &'static str, words: &'static [&'static str]) -> Step {
    Step::Program(Program { after: After::Look, ..Program::new(node, words) })
}

/// A program that only brings the story to its end.
const fn then(node: &'static str, words: &'static [&'static str]) -> Step {
    Step::Program(Program { is_tried: false, ..Program::new(node, words) })
}

/// A program that exits with `code` when all goes well, and with `done_code` when it has been done already.
const fn exits(node: &'static str, words: &'static [&'static str], code: i32, done_code: i32) -> Step {
    Step::Program(Program { code, done_code, ..Program::new(node, words) })
}

const FILES: &[&str] = &["small.txt", "big.bin", "folder"];
const BOTH: &[(&str, &[&str])] = &[("south/spool/incoming/north", FILES), ("east/in", FILES)];
const TO_SOUTH: &[(&str, &[&str])] = &[("south/spool/incoming/north", FILES)];
const SMALL_AND_BIG: &[(&str, &[&str])] = &[("south/spool/incoming/north", &["small.txt", "big.bin"])];
const FROM_SOUTH: &[(&str, &[&str])] = &[("north/spool/incoming/south", &["big.bin"])];
const SMALL: &[(&str, &[&str])] = &[("south/spool/incoming/north", &["small.txt"])];

const SEND: &[&str] = &[
    "mb-send",
    "--threads",
    "1",
    "-t",
    "south",
    "-t",
    "east",
    "@/files/small.txt",
    "@/files/big.bin",
    "@/files/folder",
];
const SEND_ONCE: &[&str] = &[
    "mb-send",
    "--threads",
    "1",
    "--once",
    "key",
    "-t",
    "south",
    "-t",
    "east",
    "@/files/small.txt",
    "@/files/big.bin",
    "@/files/folder",
];
const SEND_SOUTH: &[&str] =
    &["mb-send", "--threads", "1", "-t", "south", "@/files/small.txt", "@/files/big.bin", "@/files/folder"];
const SEND_BY_EAST: &[&str] = &[
    "mb-send",
    "--threads",
    "1",
    "--via",
    "east",
    "-t",
    "south",
    "@/files/small.txt",
    "@/files/big.bin",
    "@/files/folder",
];
const SEND_ONION: &[&str] =
    &["mb-send", "--threads", "1", "--onion", "--via", "east", "-t", "south", "@/files/small.txt", "@/files/big.bin"];
const SEND_ONION_RECEIPT: &[&str] = &[
    "mb-send",
    "--threads",
    "1",
    "--onion",
    "--receipt",
    "--via",
    "east",
    "-t",
    "south",
    "@/files/small.txt",
    "@/files/big.bin",
];
const SEND_RECEIPT: &[&str] = &[
    "mb-send",
    "--threads",
    "1",
    "--receipt",
    "--trace",
    "--via",
    "east",
    "-t",
    "south",
    "@/files/small.txt",
    "@/files/big.bin",
];
const SEND_BRIEFLY: &[&str] = &[
    "mb-send",
    "--threads",
    "1",
    "--receipt",
    "--ttl",
    "5",
    "--via",
    "east",
    "-t",
    "south",
    "@/files/small.txt",
    "@/files/big.bin",
];
const ASK: &[&str] = &["mb-send", "--threads", "1", "-t", "south", "-r", "big.bin", "-o", "big.bin"];
const POST: &[&str] =
    &["mb-send", "--threads", "1", "--no-toss", "-a", "news", "@/files/small.txt", "@/files/big.bin", "@/files/folder"];
const OUT_TO_READERS: &[&str] = &["mb-xfer", "--threads", "1", "--out", "--node", "south", "--node", "east", "@/stick"];
const SEND_SMALL: &[&str] = &["mb-send", "--threads", "1", "-t", "south", "@/files/small.txt"];
const SEND_HERE: &[&str] =
    &["mb-send", "--threads", "1", "-t", "north:", "@/files/small.txt", "@/files/big.bin", "@/files/folder"];
const OUT: &[&str] = &["mb-xfer", "--threads", "1", "--out", "--all", "@/stick"];
const OUT_AGAIN: &[&str] = &["mb-xfer", "--threads", "1", "--out", "--again", "--all", "@/stick"];
const IN: &[&str] = &["mb-xfer", "--threads", "1", "--in", "@/stick"];
const VISIT: &[&str] = &["mb-xfer", "--threads", "1", "--toss", "@/stick"];
const VISIT_ALL: &[&str] = &["mb-xfer", "--threads", "1", "--toss", "--all", "@/stick"];
const TOSS: &[&str] = &["mb-toss", "--threads", "1"];
/// Only commands: files are delivered by none of them.
const RUN: &[&str] = &["mb-toss", "--threads", "1", "--no-file"];
const RETRY: &[&str] = &["mb-toss", "--threads", "1", "--retry"];
/// A call whose other side is a program of its own; only the caller is stopped, but either side may be giver or taker.
const CALL_SOUTH: &[&str] = &[
    "mb-call",
    "--threads",
    "1",
    "south",
    "--stdio",
    "--",
    "!mb-listen",
    "-C",
    "@/south/config",
    "--spool",
    "@/south/spool",
    "--stdio",
];
const CALL_NORTH: &[&str] = &[
    "mb-call",
    "--threads",
    "1",
    "north",
    "--stdio",
    "--",
    "!mb-listen",
    "-C",
    "@/north/config",
    "--spool",
    "@/north/spool",
    "--stdio",
];
const CALL_EAST_EAGER: &[&str] = &[
    "mb-call",
    "--threads",
    "1",
    "--eager",
    "east",
    "--stdio",
    "--",
    "!mb-listen",
    "-C",
    "@/east/config",
    "--spool",
    "@/east/spool",
    "--stdio",
];

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
        // So few files and folders that each is synced by itself.
        story(
            "one small file",
            vec![all_or_nothing("north", SEND_SMALL), tried("north", OUT), tried("south", IN), tried("south", TOSS)],
            SMALL,
        ),
        story(
            "one visit, one command",
            vec![then("north", SEND), then("north", OUT), tried("south", VISIT), tried("east", VISIT)],
            BOTH,
        ),
        story(
            "called and given to",
            vec![then("north", SEND_SOUTH), tried("north", CALL_SOUTH), then("south", TOSS)],
            TO_SOUTH,
        ),
        story(
            "called and taken from",
            vec![then("north", SEND_SOUTH), tried("south", CALL_NORTH), tried("south", TOSS)],
            TO_SOUTH,
        ),
        story(
            "called once more, behind what an earlier call left",
            vec![then("north", SEND_SOUTH), Step::User(leave_part), tried("south", CALL_NORTH), then("south", TOSS)],
            TO_SOUTH,
        ),
        Scenario {
            prepare: south_shares,
            ..story(
                "asked for and answered",
                vec![
                    all_or_nothing("north", ASK),
                    then("north", OUT),
                    then("south", IN),
                    tried("south", TOSS),
                    then("south", OUT),
                    tried("north", VISIT),
                ],
                FROM_SOUTH,
            )
        },
        Scenario {
            prepare: east_is_a_relay,
            ..story(
                "by a relay",
                vec![
                    all_or_nothing("north", SEND_BY_EAST),
                    then("north", OUT),
                    then("east", IN),
                    tried("east", TOSS),
                    tried("east", OUT),
                    visit("south"),
                ],
                TO_SOUTH,
            )
        },
        Scenario {
            prepare: east_is_a_relay,
            ..story(
                "an onion by a relay",
                vec![
                    all_or_nothing("north", SEND_ONION),
                    then("north", OUT),
                    then("east", IN),
                    tried("east", TOSS),
                    then("east", OUT),
                    tried("south", VISIT),
                ],
                SMALL_AND_BIG,
            )
        },
        Scenario {
            prepare: south_confirms,
            ..story(
                "kept until it is confirmed",
                vec![
                    all_or_nothing("north", SEND_SOUTH),
                    tried("north", OUT),
                    Step::User(lose_stick),
                    tried("north", OUT_AGAIN),
                    tried("south", VISIT),
                    tried("north", VISIT),
                ],
                TO_SOUTH,
            )
        },
        Scenario {
            prepare: five_subscribe,
            end: each_has_it_once,
            ..story(
                "to an area with five subscribers",
                vec![
                    all_or_nothing("north", POST),
                    tried("north", TOSS),
                    Step::User(fetch_for_others),
                    then("north", OUT_TO_READERS),
                    tried("south", VISIT),
                    then("east", IN),
                    tried("east", TOSS),
                ],
                &[("south/in", FILES), ("east/posts", FILES)],
            )
        },
        story(
            "to oneself",
            vec![all_or_nothing("north", SEND_HERE), then("north", TOSS)],
            &[("north/spool/incoming/north", FILES)],
        ),
        Scenario {
            lacks: &[("linkat", "EPERM")],
            ..story(
                "where there are no hard links",
                vec![
                    all_or_nothing("north", SEND_SOUTH),
                    tried("north", OUT),
                    tried("south", IN),
                    tried("south", TOSS),
                ],
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
                vec![
                    all_or_nothing("north", SEND_SOUTH),
                    tried("north", OUT),
                    tried("south", IN),
                    tried("south", TOSS),
                ],
                TO_SOUTH,
            )
        },
        story(
            "the envelope before the body",
            vec![
                then("north", SEND_SOUTH),
                then("north", OUT),
                then("south", IN),
                Step::User(|yard| take_body_away(yard, "south")),
                tried("south", TOSS),
                Step::User(|yard| bring_body(yard, "south")),
                tried("south", TOSS),
            ],
            TO_SOUTH,
        ),
        Scenario {
            prepare: south_runs_commands,
            end: each_command_has_run,
            ..story(
                "commands are run, one of them at the second try",
                vec![
                    send_command(&["mb-send", "--threads", "1", "-t", "south", "-x", "good"]),
                    send_command(&["mb-send", "--threads", "1", "-t", "south", "-x", "busy"]),
                    then("north", OUT),
                    then("south", IN),
                    exits("south", RUN, 75, 0),
                    Step::User(time_passes),
                    tried("south", RUN),
                    // Files may wait too, for all that those know.
                    then("south", TOSS),
                ],
                &[],
            )
        },
        Scenario {
            prepare: east_is_a_relay,
            ..story(
                "announced by a relay before its body comes",
                vec![
                    then("north", SEND_BY_EAST),
                    then("north", OUT),
                    then("east", IN),
                    Step::User(|yard| take_body_away(yard, "east")),
                    tried("east", TOSS),
                    tried("south", CALL_EAST_EAGER),
                    tried("south", TOSS),
                    Step::User(|yard| bring_body(yard, "east")),
                    tried("east", TOSS),
                    then("south", CALL_EAST_EAGER),
                    then("south", TOSS),
                ],
                TO_SOUTH,
            )
        },
        Scenario {
            prepare: nodes_and_files,
            ..story(
                "from somebody unknown, then known",
                vec![
                    then("north", SEND_SOUTH),
                    then("north", OUT),
                    then("south", IN),
                    exits("south", TOSS, 67, 0),
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
        story(
            "given up",
            vec![
                then("north", SEND),
                tried("north", &["mb-rm", "--tx", "--node", "south"]),
                then("north", OUT),
                visit("south"),
                visit("east"),
            ],
            &[("south/spool/incoming/north", &[]), ("east/in", FILES)],
        ),
        story(
            "damaged and mended",
            vec![
                then("north", SEND_SOUTH),
                then("north", OUT),
                then("south", IN),
                Step::User(damage_body),
                exits("south", &["mb-check", "--threads", "1", "--fix"], 1, 0),
                // What could not be read for a moment is in bad/ as well; what is damaged comes back there.
                exits("south", RETRY, 65, 0),
                tried("south", &["mb-rm", "--bad"]),
                then("south", TOSS),
            ],
            &[("south/spool/incoming/north", &["small.txt", "folder"])],
        ),
        Scenario {
            prepare: nodes_and_files,
            end: west_is_a_node,
            ..story("a node is made", vec![exits("west", &["mb-init", "--name", "west"], 0, 73)], &[])
        },
        Scenario {
            prepare: east_is_a_relay,
            end: both_ends_know_how_it_came,
            ..story(
                "receipts come back by a relay, and a trace goes",
                vec![
                    Step::User(use_stick),
                    all_or_nothing("north", SEND_RECEIPT),
                    then("north", OUT),
                    tried("east", VISIT_ALL),
                    tried("south", VISIT_ALL),
                    tried("east", VISIT_ALL),
                    tried("north", VISIT),
                ],
                SMALL_AND_BIG,
            )
        },
        Scenario {
            prepare: long_ago,
            end: north_knows_that_it_has_ended,
            ..story(
                "nobody comes to a relay for it until its last day",
                vec![
                    Step::User(use_stick),
                    then("north", SEND_BRIEFLY),
                    then("north", OUT),
                    then("east", IN),
                    then("east", TOSS),
                    Step::User(days_pass),
                    exits("east", TOSS, 65, 0),
                    // What could not be moved is looked at the next day.
                    Step::User(days_pass),
                    Step::Program(Program { done_code: 65, is_tried: false, ..Program::new("east", TOSS) }),
                    then("east", OUT),
                    then("north", VISIT),
                    then("east", &["mb-rm", "--bad"]),
                ],
                &[("south/spool/incoming/north", &[])],
            )
        },
        Scenario {
            prepare: east_is_a_relay,
            end: north_heard_from_south,
            ..story(
                "an onion's receipt comes back as an onion",
                vec![
                    Step::User(use_stick),
                    all_or_nothing("north", SEND_ONION_RECEIPT),
                    then("north", OUT),
                    then("east", VISIT_ALL),
                    tried("south", VISIT_ALL),
                    tried("east", VISIT_ALL),
                    tried("north", VISIT),
                ],
                SMALL_AND_BIG,
            )
        },
        Scenario {
            prepare: south_by_two_roads,
            ..story(
                "nobody comes for it on the first road",
                vec![
                    all_or_nothing("north", SEND_SOUTH),
                    Step::User(age),
                    tried("north", TOSS),
                    then("north", OUT),
                    // What was published late still goes by the first.
                    then("east", VISIT),
                    tried("south", VISIT),
                ],
                TO_SOUTH,
            )
        },
        Scenario {
            prepare: nodes_and_files,
            end: south_knows_only_the_hub,
            ..story(
                "nodes become known and are forgotten",
                vec![
                    Step::User(write_cards),
                    Step::Program(Program { input: Some("cards"), ..Program::new("south", &["mb-node", "add"]) }),
                    exits("south", &["mb-node", "rename", "north", "hub"], 0, 67),
                    exits("south", &["mb-node", "remove", "east"], 0, 67),
                ],
                &[],
            )
        },
    ]
}

/// A command's input is a small file.
const fn send_command(words: &'static [&'static str]) -> Step {
    Step::Program(Program { input: Some("files/small.txt"), is_tried: false, ..Program::new("north", words) })
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

/// North may ask south for what lies in `files`.
fn south_shares(yard: &Yard) {
    three_nodes(yard);
    let file = yard.path("south/config/nodes/north.toml");
    let text = std::fs::read_to_string(&file).expect("the node's file");
    let folder = yard.path("files");
    std::fs::write(&file, format!("{text}\n[[share]]\nfolder = \"{}\"\n", folder.display())).expect("the node's file");
}

/// North has an area; south and east read it, south hands it on to east, and three more get it.
fn five_subscribe(yard: &Yard) {
    east_is_a_relay(yard);
    for other in OTHERS {
        yard.init(other);
        yard.introduce("north", &[other]);
    }
    let at = |node: &str, words: &[&str]| yard.command(node, words).run().ok();
    at("north", &["mb-area", "new", "news"]);
    at("north", &["mb-area", "subscribe", "news", "south", "east", OTHERS[0], OTHERS[1], OTHERS[2]]);
    let card = at("north", &["mb-area", "card", "news", "--reader"]);
    for (node, folder) in [("south", "south/in"), ("east", "east/posts")] {
        std::fs::create_dir(yard.path(folder)).expect("a folder of delivery");
        yard.command(node, &["mb-area", "join", "news"]).stdin(&card).run().ok();
        at(node, &["mb-area", "set", "news", &format!("folder={}", yard.path(folder).display())]);
    }
    // East gets each message by both.
    at("south", &["mb-area", "subscribe", "news", "east"]);
}

/// Subscribers whose packets somebody fetches.
const OTHERS: [&str; 3] = ["w1", "w2", "w3"];

fn fetch_for_others(yard: &Yard) {
    for other in OTHERS {
        let tx = yard.path("north/spool").join(yard.node(other).id()).join("tx");
        for path in crate::yard::files_below(&tx) {
            let name = path.file_name().expect("a file").to_owned();
            std::fs::create_dir_all(yard.path("fetched").join(other)).expect("a folder in the yard");
            std::fs::rename(&path, yard.path("fetched").join(other).join(name)).expect("it is fetched");
        }
    }
}

/// Three envelopes and a body: what came twice has the same names. Where nothing was sent there is nothing.
fn each_has_it_once(yard: &Yard) -> Vec<String> {
    let count = |other: &&str| crate::yard::files_below(&yard.path("fetched").join(other)).len();
    let wrong = OTHERS.iter().filter(|other| count(other) != 4);
    wrong.map(|other| format!("{other} has {} files instead of 4", count(other))).collect()
}

/// All know each other.
fn east_is_a_relay(yard: &Yard) {
    three_nodes(yard);
    yard.introduce("south", &["east"]);
    yard.introduce("east", &["south"]);
}

/// north keeps what it hands to south until that confirms it.
/// South runs a command for north that works, and one that is busy the first time. Both write down for which letter they have run.
fn south_runs_commands(yard: &Yard) {
    three_nodes(yard);
    std::fs::create_dir(yard.path("ran")).expect("a folder in the yard");
    let ran = yard.path("ran").display().to_string();
    let good = format!("cmp - {}/files/small.txt && echo $MB_LETTER >>{ran}/good", yard.path("").display());
    let busy = format!(
        "[ -e {ran}/first ] || {{ touch {ran}/first; exit 75; }}; cat >/dev/null; echo $MB_LETTER >>{ran}/busy"
    );
    let file = yard.path("south/config/nodes/north.toml");
    let mut text = std::fs::read_to_string(&file).expect("the node's file");
    for (handle, script) in [("good", good), ("busy", busy)] {
        text.push_str(&format!("\n[exec.{handle}]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n"));
    }
    std::fs::write(&file, text).expect("the node's file");
}

/// What is to be tried again at south may be.
fn time_passes(yard: &Yard) {
    use mb_spool::tries::{Last, Tries};
    for path in crate::yard::files_below(&yard.path("south/spool/self/exec")) {
        let known = Tries::from_bytes(&std::fs::read(&path).expect("a record"));
        if let Some(Tries { packet, count, last: Last::Failed { why, .. } }) = known {
            let tries = Tries { packet, count, last: Last::Failed { next: 1, why } };
            std::fs::write(&path, tries.to_bytes()).expect("a record");
            std::fs::write(yard.path("south/spool/self/due"), "1\n").expect("a number");
        }
    }
}

/// Each letter's command has done its work, and none of them waits or is in bad/.
fn each_command_has_run(yard: &Yard) -> Vec<String> {
    let ran = |name: &str| std::fs::read_to_string(yard.path(format!("ran/{name}"))).unwrap_or_default();
    let letters: Vec<BTreeSet<String>> =
        ["good", "busy"].iter().map(|name| ran(name).lines().map(str::to_owned).collect()).collect();
    let waits = yard.command("south", &["mb-stat"]).run().ok();
    let is_well = letters.iter().all(|letters| letters.len() == 1) && waits.is_empty();
    if is_well { Vec::new() } else { vec![format!("run: {letters:?}, waits: {waits}")] }
}

/// North reaches south by east, else directly.
fn south_by_two_roads(yard: &Yard) {
    east_is_a_relay(yard);
    let file = yard.path("north/config/nodes/south.toml");
    let text = std::fs::read_to_string(&file).expect("the node's file");
    std::fs::write(&file, format!("roads = [[\"east\"], []]\n{text}")).expect("the node's file");
}

/// What waits at north for east has waited for days.
fn age(yard: &Yard) {
    let tx = yard.path(format!("north/spool/{}/tx", yard.node("east").id()));
    let days_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(5 * 86_400);
    for path in crate::yard::files_below(&tx) {
        let file = std::fs::File::open(path).expect("a packet");
        file.set_modified(days_ago).expect("it is ours");
    }
}

/// North and east worked forty days ago, and doubt the clock.
fn long_ago(yard: &Yard) {
    east_is_a_relay(yard);
    worked(yard, 40);
}

/// The clock is right, and a day begins.
fn days_pass(yard: &Yard) {
    worked(yard, 1);
}

fn worked(yard: &Yard, days_ago: u64) {
    let today = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_secs() / 86_400;
    for node in ["north", "east"] {
        yard.write(format!("{node}/spool/self/day"), format!("{}\n", today - days_ago));
        let _ = std::fs::remove_file(yard.path(format!("{node}/spool/self/doubt")));
    }
}

/// The stick has a folder for every packet: what a receipt's packet is called depends on the second in which it is made, and with it
/// how many calls a run needs.
fn use_stick(yard: &Yard) {
    for node in ["north", "east", "south"] {
        for first in "abcdefghijklmnopqrstuvwxyz234567".chars() {
            let folder = yard.path(format!("stick/mailbag/{}/{first}", yard.node(node).id()));
            std::fs::create_dir_all(folder).expect("a folder on the stick");
        }
    }
}

fn south_confirms(yard: &Yard) {
    three_nodes(yard);
    let file = yard.path("north/config/nodes/south.toml");
    let text = std::fs::read_to_string(&file).expect("the node's file");
    std::fs::write(&file, format!("{text}\n[send]\nkeep = \"until-confirmed\"\n")).expect("the node's file");
}

/// The stick is lost, and another one takes its place; once.
fn lose_stick(yard: &Yard) {
    if !yard.path("lost").exists() {
        std::fs::rename(yard.path("stick"), yard.path("lost")).expect("the stick goes");
        std::fs::create_dir(yard.path("stick")).expect("another stick");
    }
}

/// north knows south and east; nobody knows it. A fourth node, west, is still to be made.
fn nodes_and_files(yard: &Yard) {
    std::fs::create_dir_all(yard.path("west")).expect("a folder in the yard");
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
fn take_body_away(yard: &Yard, node: &str) {
    move_bodies(yard, &format!("{node}/spool/self/rx"), "aside");
    let _ = std::fs::remove_dir_all(yard.path(format!("{node}/spool/body")));
}

fn bring_body(yard: &Yard, node: &str) {
    move_bodies(yard, "aside", &format!("{node}/spool/self/rx"));
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

/// Half of each body that north has for south, as a call that was cut leaves it; once.
fn leave_part(yard: &Yard) {
    let part = yard.path("south/spool/part");
    if part.exists() {
        return;
    }
    let dir = part.join(yard.node("north").id());
    std::fs::create_dir_all(&dir).expect("a folder in the yard");
    for place in [&dir, &part] {
        std::fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("a folder of ours");
    }
    for body in crate::yard::files_below(&yard.path("north/spool/body")) {
        let content = std::fs::read(&body).expect("a body");
        std::fs::write(dir.join(body.file_name().expect("a root")), &content[..70_000]).expect("a part");
    }
}

/// A bit of a body in `rx/` is flipped.
fn damage_body(yard: &Yard) {
    let rx = yard.path("south/spool/self/rx");
    let names = std::fs::read_dir(rx).expect("a folder in the yard").map(|entry| entry.expect("an entry").path());
    for path in names.filter(|path| path.extension().is_some()) {
        let mut content = std::fs::read(&path).expect("a body");
        content[1000] ^= 1;
        // In place: the index has the same file.
        std::fs::write(&path, content).expect("a body");
    }
}

fn write_cards(yard: &Yard) {
    let cards = ["north", "east"].map(|node| yard.node(node).card() + "\n").concat();
    yard.write("cards", cards);
}

fn west_is_a_node(yard: &Yard) -> Vec<String> {
    let mut wrong: Vec<String> = [&["mb-node", "card"][..], &["mb-check"], &["mb-check", "--config"]]
        .into_iter()
        .map(|words| yard.command("west", words).run())
        .filter(|run| run.code != 0)
        .map(|run| run.to_string())
        .collect();
    let names = |dir: &str| -> Vec<String> {
        let entries = std::fs::read_dir(yard.path(dir)).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()
    };
    let (config, keys) = (names("west/config"), names("west/spool/self/keys"));
    if config != ["config.toml", "node.key", "nodes"] || keys.len() != 1 {
        wrong.push(format!("left over: config has {config:?}, keys has {keys:?}"));
    }
    wrong
}

/// Whoever dies on the way back loses no receipt: only a power cut may. And the path of what was delivered is known.
fn both_ends_know_how_it_came(yard: &Yard) -> Vec<String> {
    let receipts = told(yard, "north", "way", &["mb-stat"]);
    let paths = told(yard, "south", "path", &["mb-cat", "--path"]);
    // What was written down for a packet that was never sent stays until its last day.
    let is_delivered = |told: &&String| told.contains(" handed ") && told.contains(" delivered ");
    let is_path = |told: &&String| told.contains("north east ") && told.contains("east south ");
    let is_well = receipts.iter().filter(is_delivered).count() >= 2 && paths.iter().filter(is_path).count() == 2;
    if is_well { Vec::new() } else { vec![format!("north knows {receipts:?}, south {paths:?}")] }
}

fn north_knows_that_it_has_ended(yard: &Yard) -> Vec<String> {
    let way = yard.path(format!("north/spool/{}/way", yard.node("east").id()));
    let packets: Vec<String> = crate::yard::files_below(&way)
        .iter()
        .filter_map(|path| path.file_name()?.to_str().filter(|name| !name.contains('.')).map(str::to_owned))
        .collect();
    let told = packets.iter().map(|packet| yard.command("north", &["mb-stat", packet]).run().ok());
    let told: Vec<String> = told.collect();
    let is_well = told.len() == 2 && told.iter().all(|told| told.contains(" way east expired "));
    if is_well { Vec::new() } else { vec![format!("north knows {told:?}")] }
}

/// What a program says of each packet that a folder of a node's spool knows.
fn told(yard: &Yard, node: &'static str, folder: &str, words: &[&str]) -> Vec<String> {
    let files = crate::yard::files_below(&yard.path(format!("{node}/spool")));
    let is_there = |path: &&std::path::PathBuf| path.iter().any(|part| part == folder);
    let names = files.iter().filter(is_there).filter_map(|path| path.file_name()?.to_str());
    let packets = names.filter(|name| !name.contains('.'));
    packets.map(|packet| yard.command(node, &[words, &[packet]].concat()).run().to_string()).collect()
}

/// Both packets are known to be delivered, and what opened the replies has gone, but for what was written down for a packet that was
/// never sent.
fn north_heard_from_south(yard: &Yard) -> Vec<String> {
    let receipts = told(yard, "north", "way", &["mb-stat"]);
    let delivered = receipts.iter().filter(|told| told.contains(" delivered ")).count();
    let awaited = crate::yard::files_below(&yard.path("north/spool/self")).into_iter();
    let awaited = awaited.filter(|path| path.iter().any(|part| part == "reply")).count();
    let is_well = delivered == 2 && awaited + delivered <= receipts.len();
    if is_well { Vec::new() } else { vec![format!("north waits for {awaited} and knows {receipts:?}")] }
}

fn south_knows_only_the_hub(yard: &Yard) -> Vec<String> {
    let list = yard.command("south", &["mb-node", "list"]).run().ok();
    let files = crate::yard::files_below(&yard.path("south/config/nodes"));
    let is_well =
        list.starts_with("hub\t") && list.lines().count() == 1 && files == [yard.path("south/config/nodes/hub.toml")];
    if is_well { Vec::new() } else { vec![format!("south knows {list:?}, from {files:?}")] }
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
