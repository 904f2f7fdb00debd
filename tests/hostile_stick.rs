//! Sticks that somebody has prepared: at every place where something of ours could be, everything that a file system
//! can hold. Nothing outside of the stick is read or changed, nothing blocks, and what is good goes through.

mod common;

use common::{Node, World, tree};
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest time that one run may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Where something is put, and what goes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Mailbag,
    Node,
    Shard,
    Packet,
    Bodies,
    BodyShard,
    Body,
    Part,
    Resting,
    Run,
    Unfinished,
    Taken,
    Aside,
    Readme,
}

const PLACES: [Place; 14] = [
    Place::Mailbag,
    Place::Node,
    Place::Shard,
    Place::Packet,
    Place::Bodies,
    Place::BodyShard,
    Place::Body,
    Place::Part,
    Place::Resting,
    Place::Run,
    Place::Unfinished,
    Place::Taken,
    Place::Aside,
    Place::Readme,
];

/// What is put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    LinkToFolder,
    LinkToFile,
    LinkToItself,
    LinkToNowhere,
    LinkAbove,
    Fifo,
    Socket,
    Device,
    Folder,
    FullFolder,
    Empty,
    Garbage,
    Huge,
    HardLink,
    Setuid,
}

const THINGS: [Thing; 15] = [
    Thing::LinkToFolder,
    Thing::LinkToFile,
    Thing::LinkToItself,
    Thing::LinkToNowhere,
    Thing::LinkAbove,
    Thing::Fifo,
    Thing::Socket,
    Thing::Device,
    Thing::Folder,
    Thing::FullFolder,
    Thing::Empty,
    Thing::Garbage,
    Thing::Huge,
    Thing::HardLink,
    Thing::Setuid,
];

impl Thing {
    fn is_file(self) -> bool {
        matches!(self, Thing::Empty | Thing::Garbage | Thing::Huge | Thing::HardLink | Thing::Setuid)
    }

    fn is_folder(self) -> bool {
        matches!(self, Thing::Folder | Thing::FullFolder)
    }

    /// Puts it at `path`. `false` if this system cannot.
    fn put(self, path: &Path, precious: &Path) -> bool {
        let done = match self {
            Thing::LinkToFolder => symlink(precious, path),
            Thing::LinkToFile => symlink(precious.join("secret"), path),
            Thing::LinkToItself => symlink(path.file_name().unwrap(), path),
            Thing::LinkToNowhere => symlink("/nonexistent/nowhere", path),
            Thing::LinkAbove => symlink("../..", path),
            Thing::Fifo => shell("mkfifo", path),
            Thing::Socket => UnixListener::bind(path).map(drop).or_else(|_| bind_from_folder(path)),
            Thing::Device => {
                return Command::new("mknod").arg(path).args(["c", "1", "5"]).status().is_ok_and(|s| s.success());
            }
            Thing::Folder => fs::create_dir(path),
            Thing::FullFolder => fs::create_dir(path).and_then(|()| fs::write(path.join("something"), "else")),
            Thing::Empty => fs::write(path, ""),
            Thing::Garbage => fs::write(path, vec![0x5a; 1024]),
            Thing::Huge => File::create(path).and_then(|file| file.set_len(8 << 40)),
            Thing::HardLink => fs::hard_link(precious.join("secret"), path),
            Thing::Setuid => {
                fs::write(path, "#!/bin/sh\n").and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o6755)))
            }
        };
        match (self, done) {
            // Not every file system takes a file of 8 TiB.
            (Thing::Huge, Err(_)) => false,
            (_, done) => done.map(|()| true).unwrap_or_else(|e| panic!("{self:?} at {}: {e}", path.display())),
        }
    }
}

fn shell(tool: &str, path: &Path) -> std::io::Result<()> {
    match Command::new(tool).arg(path).status()?.success() {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("{tool} failed"))),
    }
}

/// The path of a socket may not be longer than about a hundred bytes.
fn bind_from_folder(path: &Path) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let link = folder.path().join("d");
    symlink(path.parent().unwrap(), &link)?;
    let short = link.join("s");
    UnixListener::bind(&short)?;
    fs::rename(short, path)
}

/// A stick with two packets for south on it, which north has kept, and a folder that nobody may touch.
struct Stage {
    world: World,
    south_id: String,
    packet: String,
    root: String,
    good: String,
}

impl Stage {
    fn new() -> Stage {
        let world = World::new();
        let (north, south) = (world.node("north"), world.node("south"));
        world.introduce(&[&north, &south]);
        let body = world.write("out/body", vec![7; 100_000]);
        let packet =
            north.command(["mb-send", "--compress", "never", "-t", "south"]).arg(body).run().ok().trim().to_owned();
        let stick = world.make_dir("stick");
        let mut good = packet.clone();
        // In another folder than the one that is spoilt, and no third one beside it.
        while good[..1] == packet[..1] {
            if good != packet {
                north.command(["mb-rm", &good]).run().ok();
            }
            let file = world.write("out/good", "good");
            good = north.command(["mb-send", "-t", "south"]).arg(file).run().ok().trim().to_owned();
        }
        north.command(["mb-xfer", "--keep", "--node", "south"]).arg(&stick).run().silent();
        let bodies = tree(&stick.join("mailbag/body"));
        let root = bodies.iter().find_map(|line| line.split(' ').next()?.split_once('/')).unwrap().1.to_owned();
        world.write("precious/secret", "a key");
        world.write("precious/folder/file", "a file");
        fs::set_permissions(world.path("precious/secret"), Permissions::from_mode(0o600)).unwrap();
        Stage { south_id: south.id(), world, packet, root, good }
    }

    fn path(&self, place: Place) -> String {
        let run = "part/aaaaaaaaaaaaaaaaaaaaaaaaaa";
        let (south, packet, root) = (&self.south_id, &self.packet, &self.root);
        let below = match place {
            Place::Mailbag => return "mailbag".into(),
            Place::Node => south.clone(),
            Place::Shard => format!("{south}/{}", &packet[..1]),
            Place::Packet => format!("{south}/{}/{packet}", &packet[..1]),
            Place::Bodies => "body".into(),
            Place::BodyShard => format!("body/{}", &root[..2]),
            Place::Body => format!("body/{}/{root}", &root[..2]),
            Place::Part => "part".into(),
            Place::Resting => format!("part/{root}"),
            Place::Run => run.into(),
            Place::Unfinished => format!("{run}/body-{root}"),
            Place::Taken => format!("{run}/taken-{packet}"),
            Place::Aside => format!("{run}/aside-{root}"),
            Place::Readme => "README.txt".into(),
        };
        format!("mailbag/{below}")
    }

    /// Everything once more, in a world of its own. Hard links within it stay what they are.
    fn copy(&self) -> World {
        let copy = World::in_memory();
        let done = Command::new("cp").arg("-a").arg(self.world.path("").join(".")).arg(copy.path("")).status().unwrap();
        assert!(done.success());
        copy
    }
}

fn node(world: &World, name: &str) -> Node {
    world.place(name)
}

/// What a run came to.
struct Outcome {
    code: i32,
    stderr: String,
}

/// Runs mb-xfer with a time limit.
fn xfer(node: &Node, options: &[&str], stick: &Path, case: &str) -> Outcome {
    let mut call = node.command(["mb-xfer"]).args(options).arg(stick);
    let begin = Instant::now();
    let mut child = call.raw().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begin.elapsed() > TIME_LIMIT => {
                let _ = child.kill();
                panic!("{case}: it blocks");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    let code = status.code().unwrap_or_else(|| panic!("{case}: ended by a signal: {stderr}"));
    assert!(code != 70 && code != 101 && !stderr.contains("panicked"), "{case}: {stderr}");
    Outcome { code, stderr }
}

/// Contents and modes of the folder outside.
fn precious(world: &World) -> Vec<String> {
    let dir = world.path("precious");
    let mut found = tree(&dir);
    for file in ["secret", "folder/file"] {
        found.push(fs::read_to_string(dir.join(file)).unwrap());
    }
    found
}

/// What `--in` exits with.
fn expected_in(place: Place, thing: Thing) -> &'static [i32] {
    match place {
        Place::Readme | Place::Resting | Place::Unfinished | Place::Taken | Place::Aside => &[0],
        // A run's folder that is something else is not ours.
        Place::Run => &[0],
        // An empty folder is one that holds nothing; ours has a name that was made for nobody.
        Place::Mailbag if thing.is_folder() => &[0],
        Place::Node | Place::Shard | Place::Bodies | Place::BodyShard | Place::Part if thing.is_folder() => &[0],
        Place::Packet | Place::Body if thing.is_file() => &[65],
        _ => &[77],
    }
}

/// What `--out` exits with: what is in the way of a packet is told, and what is wrong is replaced.
fn expected_out(place: Place, thing: Thing) -> &'static [i32] {
    match place {
        Place::Readme | Place::Resting | Place::Run | Place::Unfinished | Place::Taken | Place::Aside => &[0],
        Place::Packet | Place::Body if thing.is_file() => &[0],
        Place::Mailbag | Place::Node | Place::Shard | Place::Bodies | Place::BodyShard | Place::Part
            if thing.is_folder() =>
        {
            &[0]
        }
        _ => &[77],
    }
}

fn spoil(stage: &Stage, world: &World, place: Place, thing: Thing) -> bool {
    let path = world.path("stick").join(stage.path(place));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(&path).unwrap();
    }
    thing.put(&path, &world.path("precious"))
}

fn is_in_rx(world: &World, packet: &str) -> bool {
    world.path("south/spool/self/rx").join(packet).is_file()
}

fn each_case(stage: &Stage, case: impl Fn(&World, Place, Thing, &str) + Sync) -> usize {
    let cases: Vec<(Place, Thing)> =
        PLACES.iter().flat_map(|place| THINGS.iter().map(move |thing| (*place, *thing))).collect();
    let next = AtomicUsize::new(0);
    let count = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let try_next = || {
        let (place, thing) = *cases.get(next.fetch_add(1, Ordering::Relaxed))?;
        let world = stage.copy();
        if spoil(stage, &world, place, thing) {
            let name = format!("{thing:?} as {place:?}");
            count.fetch_add(1, Ordering::Relaxed);
            if catch_unwind(AssertUnwindSafe(|| case(&world, place, thing, &name))).is_err() {
                failures.lock().unwrap().push(name);
            }
        }
        Some(())
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| while try_next().is_some() {});
        }
    });
    assert_eq!(failures.into_inner().unwrap(), [""; 0]);
    count.into_inner()
}

/// Threat: 3. Threat: 4.
#[test]
fn whatever_lies_on_a_stick_is_taken_in_safely() {
    let stage = Stage::new();
    let count = each_case(&stage, |world, place, thing, case| {
        let (south, stick) = (node(world, "south"), world.path("stick"));
        let before = precious(world);
        for options in [&["--in", "--one-way"][..], &["--in"]] {
            let outcome = xfer(&south, options, &stick, case);
            let mut expected = expected_in(place, thing).to_vec();
            if options.len() == 2 && place == Place::Part {
                // It is not even looked at.
                expected = vec![0];
            }
            assert!(expected.contains(&outcome.code), "{case} {options:?}: {} {}", outcome.code, outcome.stderr);
            assert!(outcome.stderr.lines().count() <= 2, "{case}: {}", outcome.stderr);
            assert_eq!(precious(world), before, "{case}");
            let good = !matches!(place, Place::Mailbag | Place::Node);
            assert_eq!(is_in_rx(world, &stage.good), good, "{case}: the good packet");
        }
        let whole = is_in_rx(world, &stage.packet) && is_in_rx(world, &format!("{}.0", stage.packet));
        let is_whole = !matches!(
            place,
            Place::Mailbag
                | Place::Node
                | Place::Shard
                | Place::Packet
                | Place::Bodies
                | Place::BodyShard
                | Place::Body
        );
        assert_eq!(whole, is_whole, "{case}: the packet itself");
        let rx = world.path("south/spool/self/rx");
        let count = fs::read_dir(&rx).map_or(0, |entries| entries.count());
        assert!(count <= 3, "{case}: only what is right is in {}", rx.display());
    });
    println!("{count} cases");
    assert!(count > 180, "{count}");
}

/// Threat: 3. Threat: 4.
#[test]
fn whatever_lies_on_a_stick_packets_are_put_on_it_safely_or_stay() {
    let stage = Stage::new();
    let count = each_case(&stage, |world, place, thing, case| {
        let (north, stick) = (node(world, "north"), world.path("stick"));
        let before = precious(world);
        let outcome = xfer(&north, &["--out"], &stick, case);
        let node_is_gone = place == Place::Node && thing.is_folder() || place == Place::Mailbag && thing.is_folder();
        assert!(expected_out(place, thing).contains(&outcome.code), "{case}: {} {}", outcome.code, outcome.stderr);
        assert_eq!(precious(world), before, "{case}");
        let tx = world.path("north/spool").join(&stage.south_id).join("tx");
        for packet in [&stage.packet, &stage.good] {
            let on_stick = stick.join("mailbag").join(&stage.south_id).join(&packet[..1]).join(packet);
            let stays = tx.join(packet).is_file();
            let is_real = on_stick.symlink_metadata().is_ok_and(|meta| meta.is_file());
            assert!(stays || is_real, "{case}: {packet} is lost");
            if outcome.code == 0 && !node_is_gone {
                assert!(!stays, "{case}: {packet} was not put on the stick");
            }
        }
        let root = stick.join("mailbag/body").join(&stage.root[..2]).join(&stage.root);
        if !tx.join(&stage.packet).is_file() {
            assert_eq!(fs::metadata(root).unwrap().len(), 100_032, "{case}");
        }
    });
    println!("{count} cases");
    assert!(count > 180, "{count}");
}

/// Threat: 4. Threat: 33.
#[test]
fn a_hundred_thousand_strange_names_cost_no_memory_and_are_left_alone() {
    let stage = Stage::new();
    let world = stage.copy();
    let mailbag = world.path("stick/mailbag");
    let shard = mailbag.join(&stage.south_id).join(&stage.packet[..1]);
    let deep = (0..60).fold(shard.join("deep"), |path: PathBuf, _| path.join("x".repeat(50)));
    fs::create_dir_all(deep).unwrap();
    let mut count = 0;
    for dir in [&mailbag, &mailbag.join(&stage.south_id), &shard, &mailbag.join("body"), &mailbag.join("part")] {
        for number in 0..20_000 {
            let name: OsString = match number % 4 {
                0 => format!("IMG_{number}.JPG").into(),
                1 => format!("{:0>255}", number).into(),
                2 => format!("{}~{number}", stage.packet).into(),
                _ => format!(".{number}\u{202e}\x1b[2J").into(),
            };
            fs::hard_link(world.path("precious/secret"), dir.join(&name))
                .or_else(|_| File::create(dir.join(&name)).map(drop))
                .unwrap();
            count += 1;
        }
    }
    assert_eq!(count, 100_000);
    let before = tree(&mailbag);
    let (north, south) = (node(&world, "north"), node(&world, "south"));
    for (node, options) in [(&north, &["--out"][..]), (&south, &["--in"])] {
        // Address space, with the program itself in it: a list of all these names alone would not fit.
        let call = node.command(["mb-xfer", "--threads", "1"]).args(options).arg(world.path("stick"));
        call.after("ulimit -v 60000").run().silent();
    }
    assert!(is_in_rx(&world, &stage.packet) && is_in_rx(&world, &stage.good));
    let after = tree(&mailbag);
    let gone: Vec<&String> = before.iter().filter(|line| after.binary_search(line).is_err()).collect();
    // Now and then the stage has sent one more, for a name that it needs.
    let envelopes = gone.iter().filter(|line| line.starts_with(&stage.south_id)).count();
    assert!(envelopes >= 2 && gone.len() == envelopes + 1, "the envelopes and a body: {gone:?}");
}
