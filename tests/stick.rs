//! mb-xfer: what leaves one node on a stick arrives at another, once and whole, whatever happens to the stick.

mod common;

use common::skip::{have, skip};
use common::{Node, Run, World, noise, program, tree};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Three nodes that know each other, and an empty folder that plays the stick.
struct Yard {
    world: World,
    north: Node,
    south: Node,
    east: Node,
    stick: PathBuf,
}

impl Yard {
    fn new() -> Yard {
        let world = World::new();
        let (north, south, east) = (world.node("north"), world.node("south"), world.node("east"));
        world.introduce(&[&north, &south, &east]);
        let stick = world.make_dir("stick");
        Yard { world, north, south, east, stick }
    }

    /// North sends a file of these bytes to `to`; the packet's id.
    fn send(&self, to: &str, name: &str, content: &[u8]) -> String {
        let file = self.world.write(format!("out/{name}"), content);
        let sent = self.north.command(["mb-send", "-t", to]).arg(file).run().ok();
        sent.trim().to_owned()
    }

    fn xfer(&self, node: &Node, options: &[&str]) -> Run {
        node.command(["mb-xfer"]).args(options).arg(&self.stick).run()
    }

    /// What was delivered at `node` from north, by name.
    fn delivered(&self, node: &Node, name: &str) -> Option<Vec<u8>> {
        fs::read(node.spool.join("incoming/north").join(name)).ok()
    }
}

/// Files below a folder, as paths from there, sorted.
fn files(dir: &Path) -> Vec<String> {
    tree(dir)
        .iter()
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .filter(|p| dir.join(p).is_file())
        .collect()
}

/// Shows: B4, H3, H5, H8, H17.
/// The hosts share nothing but the folder that is carried. One body is on it for two recipients; each takes its own
/// envelope and leaves the other's, and the body as long as that needs it.
#[test]
fn one_stick_brings_a_file_to_two_nodes_and_is_empty_then() {
    let yard = Yard::new();
    let (big, small) = (noise(1, 3_000_000), b"hello\n".to_vec());
    let big_file = yard.world.write("out/Grüße 1.bin", &big);
    let small_file = yard.world.write("out/small.txt", &small);
    yard.north.command(["mb-send", "-t", "south", "-t", "east"]).arg(big_file).arg(small_file).run().ok();
    yard.xfer(&yard.north, &["--all"]).silent();
    assert_eq!(files(&yard.stick.join("mailbag/body")).len(), 1);
    let carried: Vec<Vec<u8>> =
        files(&yard.stick).iter().map(|path| fs::read(yard.stick.join(path)).unwrap()).collect();
    assert!(!carried.iter().any(|file| file.windows(6).any(|window| window == b"hello\n")), "it travels sealed");
    assert_eq!(files(&yard.north.spool.join("body")), [""; 0], "north keeps nothing of it");

    let printed = yard.xfer(&yard.south, &["--toss"]).ok();
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert!(printed.lines().all(|path| Path::new(path).is_file()));
    assert_eq!(files(&yard.stick.join("mailbag/body")).len(), 1, "east needs it");
    yard.xfer(&yard.east, &["--in"]).silent();
    yard.east.run(["mb-toss"]).ok();
    for node in [&yard.south, &yard.east] {
        assert!(yard.delivered(node, "Grüße 1.bin") == Some(big.clone()), "at {}", node.name);
        assert_eq!(yard.delivered(node, "small.txt"), Some(small.clone()));
    }
    assert_eq!(files(&yard.stick), ["mailbag/README.txt"]);
    for node in [&yard.north, &yard.south, &yard.east] {
        assert_eq!(files(&node.spool.join("tmp")), [""; 0]);
    }
}

#[test]
fn with_nothing_to_do_it_says_nothing_unless_work_is_required() {
    let yard = Yard::new();
    yard.xfer(&yard.north, &["--node", "south"]).silent();
    yard.xfer(&yard.north, &[]).silent();
    yard.xfer(&yard.south, &["--toss"]).silent();
    assert_eq!(yard.xfer(&yard.south, &["--require-work"]).fails_quietly(3), "");
    yard.send("south", "a", b"text");
    yard.xfer(&yard.north, &["--require-work"]).silent();
    yard.xfer(&yard.south, &["--require-work", "--in"]).silent();
    assert_eq!(yard.xfer(&yard.north, &["--dry-run", "--require-work"]).fails_quietly(3), "");
}

/// An unmounted mount point above all.
#[test]
fn a_folder_without_a_mailbag_is_refused_and_stays_empty() {
    let yard = Yard::new();
    yard.send("south", "a", b"text");
    for options in [&[][..], &["--out"], &["--in"], &["--dry-run"], &["--toss"]] {
        let said = yard.xfer(&yard.north, options).fails(66);
        let expected = format!("no mailbag folder in {}: is it mounted? first time: --node NAME", yard.stick.display());
        assert_eq!(said.trim_end(), format!("mb-xfer: {expected}"), "{options:?}");
    }
    assert_eq!(tree(&yard.stick), [""; 0]);
    let nowhere = yard.world.path("nowhere");
    yard.north.command(["mb-xfer", "--all"]).arg(&nowhere).run().fails_with(66, "nowhere");
    assert!(!nowhere.exists());
    let file = yard.world.write("file", "");
    yard.north.command(["mb-xfer", "--all"]).arg(&file).run().fails(66);
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let yard = Yard::new();
    for options in [
        &["--out", "--in"][..],
        &["--one-way"],
        &["--in", "--again"],
        &["--node", "north"],
        &["--node", "south", "--all"],
        &["--in", "--verify"],
        &["--in", "--max-bytes", "1000"],
        &["--max-bytes", "many"],
        &["--node", ""],
    ] {
        let run = yard.xfer(&yard.north, options);
        let code = if options == ["--node", ""] { 67 } else { 64 };
        run.fails(code);
        assert!(!yard.stick.join("mailbag/body").exists(), "{options:?}");
    }
    yard.xfer(&yard.north, &["--node", "suoth"]).fails_with(67, "did you mean \"south\"?");
    yard.north.run(["mb-xfer"]).fails(64);
}

#[test]
fn a_stick_takes_only_what_is_for_nodes_that_have_a_folder_on_it() {
    let yard = Yard::new();
    yard.send("south", "a", b"for south");
    let for_east = yard.send("east", "b", b"for east");
    let said = yard.xfer(&yard.north, &["--node", "south", "-v"]);
    assert!(said.stderr().contains("out to south") && !said.stderr().contains(&for_east), "{said}");
    said.ok();
    assert!(!yard.stick.join("mailbag").join(yard.east.id()).exists());
    let said = yard.xfer(&yard.north, &["--node", "south,east", "-v"]);
    assert!(said.stderr().contains(&for_east), "{said}");
    said.ok();
    let said = yard.xfer(&yard.south, &["-v"]);
    assert!(said.stderr().contains(": in, ") && !said.stderr().contains(&for_east), "{said}");
    said.ok();
}

#[test]
fn a_dry_run_tells_what_would_move_and_changes_nothing() {
    let yard = Yard::new();
    let sent = yard.send("south", "a", &noise(1, 100_000));
    let (before, stick) = (tree(&yard.north.spool), tree(&yard.stick));
    let run = yard.xfer(&yard.north, &["--dry-run", "--node", "south"]);
    assert!(run.stderr().contains(&format!("would move {sent}: out to south")), "{run}");
    run.ok();
    assert_eq!((tree(&yard.north.spool), tree(&yard.stick)), (before, stick));
    yard.xfer(&yard.north, &["--node", "south"]).ok();
    let (before, stick) = (tree(&yard.south.spool), tree(&yard.stick));
    let run = yard.xfer(&yard.south, &["--dry-run"]);
    assert!(run.stderr().contains(&format!("would move {sent}: in")), "{run}");
    run.ok();
    assert_eq!((tree(&yard.south.spool), tree(&yard.stick)), (before, stick));
}

#[test]
fn keep_leaves_the_packets_at_both_ends() {
    let yard = Yard::new();
    yard.send("south", "a", &noise(1, 100_000));
    yard.xfer(&yard.north, &["--node", "south", "--keep"]).silent();
    let stick = tree(&yard.stick);
    yard.xfer(&yard.north, &["--keep"]).silent();
    assert_eq!(tree(&yard.stick), stick);
    for _ in 0..2 {
        yard.xfer(&yard.south, &["--in", "--keep", "--toss"]).ok();
        assert_eq!(tree(&yard.stick), stick);
    }
    assert_eq!(fs::read_dir(yard.south.spool.join("incoming/north")).unwrap().count(), 1, "delivered once");
    yard.xfer(&yard.north, &["--out"]).silent();
    assert_eq!(files(&yard.north.spool.join(yard.south.id()).join("tx")), [""; 0]);
}

#[test]
fn one_way_opens_nothing_on_the_stick_for_writing() {
    if !have("strace") {
        return;
    }
    let yard = Yard::new();
    yard.send("south", "a", &noise(1, 100_000));
    yard.send("south", "b", b"small");
    yard.xfer(&yard.north, &["--node", "south"]).ok();
    // What a dead run left would be put in order, if the stick could be written.
    yard.world.make_dir("stick/mailbag/part/aaaaaaaaaaaaaaaaaaaaaaaaaa");
    let (before, log) = (tree(&yard.stick), yard.world.path("log"));
    let mut call = yard.south.command(["mb-xfer", "--in", "--one-way"]).arg(&yard.stick);
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-y",
        "-qq",
        "-s",
        "0",
        "-e",
        "trace=openat,unlinkat,renameat,renameat2,mkdirat,write,pwrite64,fsync",
    ]);
    strace.arg("-o").arg(&log).arg(program("mb-xfer")).args(call.raw().get_args());
    strace.envs(call.raw().get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(strace.status().unwrap().success());
    let log = fs::read_to_string(log).unwrap();
    let on_stick: Vec<&str> = log.lines().filter(|line| line.contains("stick")).collect();
    assert!(on_stick.iter().any(|line| line.contains("openat")), "it did read the stick");
    let writes = |line: &&&str| !line.contains("openat(") || line.contains("O_RDWR") || line.contains("O_WRONLY");
    assert_eq!(on_stick.iter().find(writes), None);
    assert_eq!(tree(&yard.stick), before);
    assert_eq!(yard.south.run(["mb-toss"]).ok().lines().count(), 2);
}

/// A mounted file system; unmounted when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts it as root; else tells that the test is skipped.
    fn new(arguments: &[&str], at: &Path) -> Option<Mounted> {
        let done = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
        if done.is_ok_and(|status| status.success()) {
            return Some(Mounted(at.to_owned()));
        }
        skip("mounting (root)");
        None
    }

    fn again(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(&self.0).status().unwrap();
        assert!(done.success(), "remount with {options}");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A CD, or a stick with its switch on: its packets come again and again, and are delivered once.
#[test]
fn a_write_protected_stick_is_taken_in_silently_and_stays_as_it_is() {
    let yard = Yard::new();
    let Some(mount) = Mounted::new(&["-t", "tmpfs", "none"], &yard.stick) else { return };
    yard.send("south", "a", &noise(1, 100_000));
    yard.send("south", "b", b"small");
    yard.xfer(&yard.north, &["--node", "south"]).ok();
    yard.world.make_dir("stick/mailbag/part/aaaaaaaaaaaaaaaaaaaaaaaaaa");
    mount.again("remount,ro");
    let before = tree(&yard.stick);
    for options in [&["--in"][..], &["--in", "--one-way"], &[]] {
        yard.xfer(&yard.south, options).silent();
        assert_eq!(tree(&yard.stick), before);
    }
    assert_eq!(yard.xfer(&yard.south, &["--in", "--toss"]).ok().lines().count(), 2);
    yard.xfer(&yard.south, &["--in", "--toss"]).silent();
    yard.send("south", "c", b"more");
    yard.xfer(&yard.north, &["--out"]).fails(73);
    mount.again("remount,rw");
    yard.xfer(&yard.north, &["--out"]).silent();
    assert_eq!(yard.xfer(&yard.south, &["--toss"]).ok().lines().count(), 1);
    assert_eq!(files(&yard.stick), ["mailbag/README.txt"]);
}

/// Sizes from hopeless to enough. Threat: 21.
#[test]
fn a_stick_that_is_too_small_holds_a_valid_subset_and_the_rest_stays_for_the_next() {
    for kib in [16, 64, 200, 400, 900, 1000, 1048, 1052, 1056, 1060, 1100, 2000, 4000] {
        let yard = Yard::new();
        let size = format!("size={kib}k");
        let Some(_mount) = Mounted::new(&["-t", "tmpfs", "-o", &size, "none"], &yard.stick) else { return };
        let contents = [noise(1, 1_000_000), noise(2, 300_000), noise(3, 40_000), b"tiny".to_vec()];
        for (number, content) in contents.iter().enumerate() {
            yard.send("south", &number.to_string(), content);
        }
        let mut rounds = 0;
        loop {
            let run = yard.xfer(&yard.north, &["--node", "south"]);
            let done = run.code == 0;
            assert!(done || run.code == 75 && run.stderr().contains("no room for"), "{kib} KiB: {run}");
            assert_eq!(run.stderr().lines().count(), usize::from(!done), "{run}");
            yard.world.command(["mb-check"]).arg(&yard.stick).run().silent();
            let brought = yard.xfer(&yard.south, &["--in", "--toss"]).ok().lines().count();
            rounds += 1;
            if done || brought == 0 {
                break;
            }
        }
        let delivered =
            |number: usize| yard.delivered(&yard.south, &number.to_string()) == Some(contents[number].clone());
        let expected = [kib > 1100, kib >= 400, kib >= 200, kib >= 64];
        for (number, expected) in expected.iter().enumerate() {
            assert!(delivered(number) || !expected, "{kib} KiB: file {number} after {rounds} rounds");
        }
        let waiting = files(&yard.north.spool.join(yard.south.id()).join("tx"));
        let missing = (0..4).filter(|number| !delivered(*number)).count();
        let envelopes = waiting.iter().filter(|name| !name.contains('.')).count();
        assert_eq!(envelopes, missing, "{kib} KiB: what was not delivered waits: {waiting:?}");
    }
}

#[test]
fn max_bytes_leaves_the_rest_for_another_time() {
    let yard = Yard::new();
    yard.send("south", "a", &noise(1, 100_000));
    yard.send("south", "b", &noise(2, 300_000));
    let run = yard.xfer(&yard.north, &["--node", "south", "--max-bytes", "200 KiB"]);
    run.fails_with(75, "no room for 1 packets");
    assert_eq!(yard.xfer(&yard.north, &["--max-bytes", "1000", "-q"]).fails_quietly(75), "", "-q: it is tried again");
    yard.xfer(&yard.north, &[]).silent();
    assert_eq!(yard.xfer(&yard.south, &["--toss"]).ok().lines().count(), 2);
}

/// Shows: B10.
/// Envelopes and bodies come in whatever order a copy brings them, from two sticks that were merged.
#[test]
fn sticks_are_merged_by_cp_rsync_and_tar() {
    for tool in ["cp", "rsync", "tar"] {
        if !have(tool) {
            continue;
        }
        let yard = Yard::new();
        let other = yard.world.make_dir("other");
        yard.send("south", "a", &noise(1, 200_000));
        yard.xfer(&yard.north, &["--node", "south"]).silent();
        yard.send("south", "b", &noise(2, 200_000));
        yard.send("south", "c", b"inline");
        yard.north.command(["mb-xfer", "--node", "south"]).arg(&other).run().silent();
        let script = match tool {
            "cp" => "cp -rn other/. stick/",
            "rsync" => "rsync -a other/ stick/",
            _ => "tar c -C other . | tar x -C stick",
        };
        let merged = Command::new("sh").arg("-c").arg(script).current_dir(yard.world.path("")).status().unwrap();
        assert!(merged.success(), "{script}");
        assert_eq!(yard.xfer(&yard.south, &["--toss"]).ok().lines().count(), 3, "{tool}");
        assert!(yard.delivered(&yard.south, "b") == Some(noise(2, 200_000)));
        // And the stick that was copied comes too.
        yard.south.command(["mb-xfer", "--toss"]).arg(&other).run().silent();
        assert_eq!(files(&other), ["mailbag/README.txt"]);
    }
}

/// Threat: 5.
#[test]
fn an_interrupted_copy_is_continued() {
    let yard = Yard::new();
    let big = noise(1, 150_000_000);
    yard.send("south", "big", &big);
    let mut interrupted = false;
    for _ in 0..20 {
        let mut call = yard.north.command(["mb-xfer", "--node", "south"]).arg(&yard.stick);
        let mut child = call.raw().stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40));
        let pid = child.id().to_string();
        // It may have ended already.
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 130)), "{code:?}");
        interrupted |= code == Some(130);
        let parts = files(&yard.stick).into_iter().filter(|path| path.contains("/part/")).count();
        assert!(parts <= 1, "a body rests under its name");
        if code == Some(0) {
            break;
        }
    }
    yard.xfer(&yard.north, &["--node", "south"]).silent();
    println!("interrupted: {interrupted}");
    assert_eq!(files(&yard.stick.join("mailbag/part")), [""; 0]);
    yard.xfer(&yard.south, &["--toss"]).ok();
    assert!(yard.delivered(&yard.south, "big") == Some(big));
}

/// Threat: 25.
#[test]
fn many_xfers_and_tosses_at_once_deliver_each_file_once() {
    let yard = Yard::new();
    yard.xfer(&yard.north, &["--all"]).silent();
    let shared = yard.world.write("out/shared", noise(7, 100_000));
    for number in 0..30 {
        yard.send("south", &format!("file {number}"), format!("text {number}").repeat(9000).as_bytes());
    }
    yard.north.command(["mb-send", "-t", "south", "-t", "east"]).arg(&shared).run().ok();
    let start = |node: &Node, words: &[&str]| {
        let mut call = node.command(words).arg(&yard.stick);
        call.raw().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for _ in 0..4 {
        let children: Vec<_> = (0..3)
            .flat_map(|_| {
                [
                    start(&yard.north, &["mb-xfer", "--out"]),
                    start(&yard.south, &["mb-xfer", "--in", "--toss"]),
                    start(&yard.south, &["mb-xfer", "--toss"]),
                ]
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 75)), "{:?} {said}", output.status);
        }
    }
    yard.xfer(&yard.north, &["--out"]).silent();
    yard.xfer(&yard.south, &["--in", "--toss"]).ok();
    let incoming = yard.south.spool.join("incoming/north");
    let mut names: Vec<String> =
        fs::read_dir(&incoming).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> = (0..30).map(|number| format!("file {number}")).collect();
    expected.push("shared".into());
    expected.sort();
    assert_eq!(names, expected);
    yard.xfer(&yard.east, &["--toss"]).ok();
    assert!(yard.delivered(&yard.east, "shared") == Some(noise(7, 100_000)));
    assert_eq!(files(&yard.stick), ["mailbag/README.txt"]);
    yard.world.command(["mb-check"]).arg(&yard.stick).run().silent();
    for node in [&yard.north, &yard.south, &yard.east] {
        node.run(["mb-check"]).silent();
    }
}

/// The folder that a user names may be reached through a link; what lies in it may not.
#[test]
fn the_mount_point_itself_may_be_a_link() {
    let yard = Yard::new();
    yard.send("south", "a", b"text");
    let link = yard.world.path("link");
    symlink(&yard.stick, &link).unwrap();
    yard.north.command(["mb-xfer", "--node", "south"]).arg(&link).run().silent();
    assert_eq!(yard.xfer(&yard.south, &["--toss"]).ok().lines().count(), 1);
}

/// Threat: 24.
#[test]
fn closed_outputs_change_nothing_that_is_done() {
    for closed in ["exec >&-", "exec 2>&-", "exec >&- 2>&-", "exec >/dev/full 2>/dev/full"] {
        let yard = Yard::new();
        yard.send("south", "a", b"text");
        let out = yard.north.command(["mb-xfer", "-v", "--node", "south"]).arg(&yard.stick).after(closed).run();
        assert_eq!(out.code, 0, "{closed}: {out}");
        let taken = yard.south.command(["mb-xfer", "-v", "--toss"]).arg(&yard.stick).after(closed).run();
        assert!(matches!(taken.code, 0 | 74), "{closed}: {taken}");
        assert_eq!(yard.delivered(&yard.south, "a"), Some(b"text".to_vec()), "{closed}");
    }
}

/// An exFAT stick: an image file, and the FUSE process that serves it.
struct Exfat<'a> {
    yard: &'a Yard,
    /// The loop device that makes a disk of the image: FUSE mounts such a file system from a device only.
    device: Option<String>,
    server: Option<Child>,
}

impl Exfat<'_> {
    /// Makes one; else tells that the test is skipped.
    fn new(yard: &Yard) -> Option<Exfat<'_>> {
        if !have("mkfs.exfat") || !have("mount.exfat-fuse") {
            return None;
        }
        let image = yard.world.path("image");
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let made = Command::new("mkfs.exfat").arg(&image).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(made.success());
        let mut stick = Exfat { yard, device: None, server: None };
        if stick.plug_in() {
            return Some(stick);
        }
        skip("mounting by FUSE (root)");
        None
    }

    fn is_mounted(&self) -> bool {
        fs::read_to_string("/proc/mounts").unwrap().contains(self.yard.stick.to_str().unwrap())
    }

    fn plug_in(&mut self) -> bool {
        let made = Command::new("losetup").args(["-f", "--show"]).arg(self.yard.world.path("image")).output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else { return false };
        let device = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        let mut server = Command::new("mount.exfat-fuse");
        server.arg("-d").arg(&device).arg(&self.yard.stick);
        self.device = Some(device);
        self.server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
        (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            self.is_mounted()
        })
    }

    /// As a user should: everything is written first.
    fn take_out(&mut self) {
        let _ = Command::new("umount").arg(&self.yard.stick).status();
        let _ = self.server.take().map(|mut server| server.wait());
        self.drop_device();
    }

    /// As a user does.
    fn pull(&mut self) {
        let _ = self.server.take().map(|mut server| server.kill().and_then(|()| server.wait()));
        let _ = Command::new("umount").arg("-l").arg(&self.yard.stick).stderr(Stdio::null()).status();
        self.drop_device();
    }

    fn drop_device(&mut self) {
        let _ = self.device.take().map(|device| Command::new("losetup").args(["-d", &device]).status());
    }

    fn repair(&self) {
        let mut fsck = Command::new("fsck.exfat");
        let _ = fsck.arg("-y").arg(self.yard.world.path("image")).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Drop for Exfat<'_> {
    fn drop(&mut self) {
        self.pull();
    }
}

/// No links, no modes, no case.
#[test]
fn an_exfat_stick_carries_as_any_other() {
    let yard = Yard::new();
    let Some(mut stick) = Exfat::new(&yard) else { return };
    let big = noise(1, 5_000_000);
    yard.send("south", "big", &big);
    yard.send("south", "small", b"text");
    yard.xfer(&yard.north, &["--verify", "--node", "south"]).silent();
    yard.world.command(["mb-check"]).arg(&yard.stick).run().silent();
    stick.take_out();
    yard.xfer(&yard.south, &["--toss"]).fails(66);
    assert!(stick.plug_in());
    assert_eq!(yard.xfer(&yard.south, &["--toss"]).ok().lines().count(), 2);
    assert!(yard.delivered(&yard.south, "big") == Some(big));
    assert_eq!(files(&yard.stick), ["mailbag/README.txt"]);
}

/// Threat: 5.
#[test]
fn a_stick_that_is_pulled_out_in_the_middle_is_finished_the_next_time() {
    let yard = Yard::new();
    let Some(mut stick) = Exfat::new(&yard) else { return };
    yard.xfer(&yard.north, &["--node", "south"]).silent();
    let mut pulled = 0;
    for (round, millis) in [5, 15, 40, 80, 150].into_iter().enumerate() {
        let (big, name) = (noise(round as u64, 20_000_000), format!("big {round}"));
        yard.send("south", &name, &big);
        yard.send("south", &format!("small {round}"), b"text");
        for (node, words) in [(&yard.north, "--out"), (&yard.south, "--in")] {
            let mut call = node.command(["mb-xfer", words]).arg(&yard.stick);
            let child = call.raw().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(millis));
            stick.pull();
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("panicked") && said.lines().count() < 40, "{said}");
            pulled += u32::from(output.status.code() != Some(0));
            stick.repair();
            assert!(stick.plug_in());
            yard.xfer(node, &[words]).silent();
        }
        yard.south.run(["mb-toss"]).ok();
        assert!(yard.delivered(&yard.south, &name) == Some(big), "{name}");
        assert!(yard.delivered(&yard.south, &format!("small {round}")).is_some());
    }
    assert!(pulled > 0, "it was never pulled while it was used");
}

/// Through mcopy, as a stick that another system wrote.
#[test]
fn a_fat_image_brings_packets_there() {
    if !have("mkfs.vfat") || !have("mcopy") {
        return;
    }
    let yard = Yard::new();
    let big = noise(1, 1_000_000);
    yard.send("south", "big", &big);
    yard.send("south", "small", b"text");
    yard.xfer(&yard.north, &["--node", "south"]).silent();
    let image = yard.world.path("image");
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let shell = |script: &str| {
        let done = Command::new("sh").arg("-ec").arg(script).current_dir(yard.world.path("")).output().unwrap();
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    };
    shell(
        "mkfs.vfat image >/dev/null; mcopy -s -i image stick/mailbag ::/; rm -r stick/mailbag; mcopy -s -i image ::/mailbag stick/",
    );
    assert_eq!(yard.xfer(&yard.south, &["--toss"]).ok().lines().count(), 2);
    assert!(yard.delivered(&yard.south, "big") == Some(big));
}
