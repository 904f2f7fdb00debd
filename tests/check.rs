//! mb-check: what is not as it should be is told in one line each, and --fix leaves nothing to tell.

mod common;

use common::skip::have;
use common::{Node, World, tree};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Two nodes, and three packets on their way: one in the envelope alone, two with bodies.
fn world() -> (World, Node, Node) {
    let world = World::new();
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    world.write("north/small", "hello\n");
    world.write("north/middle", vec![7; 100_000]);
    world.write("north/large", noise(3_000_000));
    north.run(["mb-send", "-t", "south", "--compress", "never", "small", "middle", "large"]).ok();
    (world, north, south)
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The packets in `tx/`, with their bodies: longest names last.
fn waiting(from: &Node, to: &Node) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(from.spool.join(to.id()).join("tx")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn body(from: &Node, to: &Node) -> PathBuf {
    let bodies = waiting(from, to).into_iter().filter(|path| path.extension().is_some_and(|end| end == "0"));
    bodies.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// A stick with everything that waits in `from` for `to`, as mb-xfer would leave it.
fn stick(world: &World, from: &Node, to: &Node) -> PathBuf {
    let root = world.make_dir("stick");
    for path in waiting(from, to) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains('.') {
            continue;
        }
        let folder = root.join("mailbag").join(to.id()).join(&name[..1]);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(&path, folder.join(&name)).unwrap();
        let view: serde_json::Value = serde_json::from_str(&from.run(["mb-cat", "--json", &name]).ok()).unwrap();
        for (number, body) in view["bodies"].as_array().unwrap().iter().enumerate() {
            let name = body["root"].as_str().unwrap();
            let folder = root.join("mailbag/body").join(&name[..2]);
            fs::create_dir_all(&folder).unwrap();
            fs::copy(path.with_extension(number.to_string()), folder.join(name)).unwrap();
        }
    }
    root
}

/// Files below a folder, without folders.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_sound_spool_and_a_sound_stick_are_silent() {
    let (world, north, south) = world();
    north.run(["mb-check"]).silent();
    south.run(["mb-check"]).silent();
    let stick = stick(&world, &north, &south);
    world.command(["mb-check"]).arg(&stick).run().silent();
    north.command(["mb-check", "--node", "south"]).arg(&stick).run().silent();
    north.run(["mb-check", "--fix"]).silent();
    north.run(["mb-check", "--config"]).silent();
}

/// Threat: 8.
#[test]
fn damage_is_told_by_path_mended_and_then_gone() {
    let (_world, north, south) = world();
    let body = body(&north, &south);
    flip(&body, 70_000);
    let said = north.run(["mb-check"]);
    assert_eq!(said.code, 1);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with(&format!("{}: its content is not what its name says\n", body.display())), "{said}");
    assert_eq!(said.lines().count(), 2, "the packet's name and the index\n{said}");
    let before = tree(&north.spool);
    let dry = north.run(["mb-check", "--fix", "--dry-run"]);
    assert!(dry.code == 1 && String::from_utf8_lossy(&dry.stdout).contains("would be moved to bad/"), "{dry}");
    assert_eq!(tree(&north.spool), before, "a dry run changes nothing");
    let fixed = north.run(["mb-check", "--fix", "--json"]);
    assert_eq!(fixed.code, 1, "there was damage");
    let first: serde_json::Value =
        serde_json::from_slice(fixed.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["kind"], "content");
    assert_eq!(first["mended"], "moved to bad/");
    assert_eq!(first["path"], body.to_str().unwrap());
    north.run(["mb-check"]).silent();
    assert!(north.run(["mb-stat"]).ok().contains("mb-check:"), "bad/ has the reason");
    assert_eq!(waiting(&north, &south).len(), 3, "the other packets stay");
}

/// Threat: 8.
#[test]
fn a_damaged_stick_is_found_without_keys_or_configuration() {
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    for path in files(&stick) {
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            flip(&path, at);
            let said = world.command(["mb-check"]).arg(&stick).run();
            assert_eq!(said.code, 1, "{said}");
            let said = String::from_utf8(said.stdout).unwrap();
            assert_eq!(said, format!("{}: its content is not what its name says\n", path.display()));
            fs::write(&path, &whole).unwrap();
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(world.command(["mb-check"]).arg(&stick).run().code, 1, "cut: {}", path.display());
        fs::write(&path, &whole).unwrap();
    }
    world.command(["mb-check"]).arg(&stick).run().silent();
}

#[test]
fn a_stick_that_lacks_a_body_says_which_packet_needs_it() {
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    let gone = files(&stick.join("mailbag/body")).pop().unwrap();
    fs::remove_file(&gone).unwrap();
    let said = world.command(["mb-check"]).arg(&stick).run();
    assert_eq!(said.code, 1);
    let said = String::from_utf8(said.stdout).unwrap();
    let root = gone.file_name().unwrap().to_str().unwrap();
    assert!(said.ends_with(&format!(": its body 0 is missing: {root}\n")) && said.lines().count() == 1, "{said}");
}

#[test]
fn only_the_nodes_asked_for_are_looked_at() {
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    flip(&files(&stick.join("mailbag/body"))[0], 9);
    flip(&body(&north, &south), 9);
    let only = |node: &str| north.command(["mb-check", "--node", node]).arg(&stick).run();
    only("north").silent();
    assert_eq!(only("south").code, 1);
    north.run(["mb-check", "--node", "north"]).silent();
    assert_eq!(north.run(["mb-check", "--node", "south"]).code, 1);
}

/// A body that no envelope lists, an unfinished copy: told to who wants to know.
#[test]
fn leftovers_on_a_stick_are_no_damage() {
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    fs::remove_dir_all(stick.join("mailbag").join(south.id())).unwrap();
    let body = files(&stick.join("mailbag/body")).remove(0);
    fs::create_dir(stick.join("mailbag/part")).unwrap();
    fs::write(stick.join("mailbag/part").join(body.file_name().unwrap()), "half").unwrap();
    world.command(["mb-check"]).arg(&stick).run().silent();
    let said = world.command(["mb-check", "-v"]).arg(&stick).run();
    assert!(said.code == 0 && said.stderr().contains("nobody needs it any more"), "{said}");
    assert!(said.stderr().contains("is an unfinished copy"), "{said}");
    flip(&body, 0);
    assert_eq!(world.command(["mb-check"]).arg(&stick).run().code, 1, "damage is damage");
}

/// What lies on a stick may be the only copy: it is put aside, never removed.
#[test]
fn a_damaged_file_on_a_stick_gets_another_name() {
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    let envelope = files(&stick.join("mailbag").join(south.id())).remove(0);
    flip(&envelope, 3);
    let before = tree(&stick);
    assert_eq!(world.command(["mb-check", "--fix", "--dry-run"]).arg(&stick).run().code, 1);
    assert_eq!(tree(&stick), before);
    let said = world.command(["mb-check", "--fix"]).arg(&stick).run();
    assert!(String::from_utf8_lossy(&said.stdout).ends_with("; renamed to NAME.bad\n"), "{said}");
    assert!(envelope.with_extension("bad").exists() && !envelope.exists());
    world.command(["mb-check"]).arg(&stick).run().silent();
}

/// Threat: 33.
#[test]
fn what_others_put_on_a_stick_is_no_business_of_ours() {
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    for name in ["photo.jpg", "mailbag/.Trash-1000/x", "mailbag/notes.txt", "mailbag/body/zz/readme"] {
        world.write(Path::new("stick").join(name), "x");
    }
    fs::write(stick.join("mailbag").join(south.id()).join("desktop.ini"), "x").unwrap();
    world.command(["mb-check"]).arg(&stick).run().silent();
    world.command(["mb-check", "--fix"]).arg(&stick).run().silent();
}

/// Threat: 3.
#[test]
fn links_and_pipes_on_a_stick_are_never_followed_nor_waited_for() {
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    let envelope = files(&stick.join("mailbag").join(south.id())).remove(0);
    fs::rename(&envelope, world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), &envelope).unwrap();
    let said = world.command(["mb-check", "--fix"]).arg(&stick).run();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        format!("{}: is no regular file; left as it is\n", envelope.display())
    );
    fs::remove_file(&envelope).unwrap();
    assert!(Command::new("mkfifo").arg(&envelope).status().unwrap().success());
    assert_eq!(world.command(["mb-check"]).arg(&stick).run().code, 1);
    fs::rename(stick.join("mailbag/body"), world.path("body")).unwrap();
    symlink(world.path("body"), stick.join("mailbag/body")).unwrap();
    let said = world.command(["mb-check"]).arg(&stick).run();
    assert!(String::from_utf8_lossy(&said.stdout).contains("mailbag/body: is no folder"), "{said}");
}

#[test]
fn a_folder_that_is_no_stick_is_an_error() {
    let (world, north, _south) = world();
    let empty = world.make_dir("empty");
    north.command(["mb-check"]).arg(&empty).run().fails_with(66, "no mailbag folder in");
    north.command(["mb-check"]).arg(empty.join("gone")).run().fails(66);
    north.run(["mb-check", "--node", "suoth"]).fails_with(67, "did you mean \"south\"?");
    north.run(["mb-check", "--dry-run"]).fails(64);
}

/// Nothing that only looks writes or locks: their system calls are looked at, since the tests may run as root.
#[test]
fn what_only_looks_neither_writes_nor_locks() {
    if !have("strace") {
        return;
    }
    let (world, north, south) = world();
    let stick = stick(&world, &north, &south);
    let packet = waiting(&north, &south).remove(0);
    let before = (tree(&north.spool), tree(&stick));
    let calls = "trace=flock,fcntl,openat,open,creat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,\
                 symlink,symlinkat,truncate,ftruncate,chmod,fchmod,fchmodat,utimensat,fsync,fdatasync,syncfs";
    for words in [vec!["mb-check"], vec!["mb-check", "stick"], vec!["mb-stat", "--packets"], vec!["mb-cat", "packet"]] {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", &calls.replace(char::is_whitespace, ""), common::program(words[0])]);
        for word in &words[1..] {
            match *word {
                "stick" => strace.arg(&stick),
                "packet" => strace.arg(&packet),
                word => strace.arg(word),
            };
        }
        strace.env("MB_CONFIG", &north.config).env("MB_SPOOL", &north.spool);
        let said = strace.output().unwrap();
        assert!(said.status.success(), "{words:?}");
        let said = String::from_utf8(said.stderr).unwrap();
        let is_harmless = |line: &&str| {
            let opens =
                line.contains("open") && !["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| line.contains(flag));
            let goes_on = line.contains("resumed>");
            opens || goes_on || line.contains("F_DUPFD_CLOEXEC") || line.contains("F_GETFD") || line.contains("F_GETFL")
        };
        let wrong: Vec<_> = said.lines().filter(|line| line.contains('(') && !is_harmless(line)).collect();
        assert!(wrong.is_empty() && said.contains("open"), "{words:?}: {wrong:#?}");
    }
    assert_eq!((tree(&north.spool), tree(&stick)), before);
}

/// Threat: 25.
#[test]
fn a_check_beside_a_program_at_work_finds_nothing() {
    let (_world, north, south) = world();
    let sender = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for number in 0..20 {
                north.command(["mb-send", "-t", "south", "--name"]).arg(number.to_string()).arg("middle").run().ok();
            }
        });
        while !sender.is_finished() {
            north.run(["mb-check"]).silent();
            std::thread::sleep(Duration::from_millis(5));
        }
        sender.join()
    });
    sender.unwrap();
    assert_eq!(waiting(&north, &south).len(), 5 + 40);
    north.run(["mb-check", "--fix"]).silent();
}

/// Threat: 27.
#[test]
fn the_clock_is_believed_when_somebody_says_so() {
    let (_world, north, _) = world();
    let day = north.spool.join("self/day");
    fs::write(&day, "99999\n").unwrap();
    let said = north.run(["mb-check", "--config"]);
    assert_eq!(said.code, 1);
    assert!(String::from_utf8_lossy(&said.stdout).contains("the last day of work was 99999"), "{said}");
    north.run(["mb-rm", "--bad", "--older", "1d"]).fails_with(75, "mb-check --clock-ok");
    north.run(["mb-check", "--clock-ok"]).silent();
    assert_ne!(fs::read_to_string(&day).unwrap(), "99999\n");
    north.run(["mb-check", "--config"]).silent();
}

/// One line for each thing, all at once, and what to do.
/// Threat: 28.
#[test]
fn everything_unsound_in_a_configuration_is_told_at_once() {
    let (world, north, south) = world();
    let config = |name: &str| north.config.join(name);
    let add = |path: &Path, text: &str| fs::write(path, fs::read_to_string(path).unwrap() + text).unwrap();
    fs::set_permissions(config("node.key"), Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(config("config.toml"), Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&north.spool, Permissions::from_mode(0o755)).unwrap();
    add(&config("nodes/south.toml"), "[accept]\nfolder = \"/nowhere/at all\"\n");
    fs::write(config("nodes/east.toml"), format!("card = \"{}\"\n[send]\nnise = 3\n", south.card())).unwrap();
    let said = north.run(["mb-check", "--config"]);
    assert_eq!(said.code, 1);
    let said = String::from_utf8(said.stdout).unwrap();
    for expected in [
        "node.key: refused: other users can read it; chmod go= ",
        "config.toml: refused: other users can write it; chmod go-w ",
        "nodes/east.toml:3:1: send.nise: unknown key; did you mean \"nice\"?",
        "south.toml: accept.folder: /nowhere/at all: No such file or directory",
        "; mkdir -p '/nowhere/at all'",
        "spool: other users can look into it; chmod go= ",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
    let json = String::from_utf8(north.run(["mb-check", "--config", "--json"]).stdout).unwrap();
    let one: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert!(one["what"].is_string() && one["remedy"].is_string());
    let none = world.command(["mb-check", "--config"]).run();
    assert!(none.code == 1 && String::from_utf8_lossy(&none.stdout).contains("no node is here; mb-init"), "{none}");
}

/// What programs would meet one by one, or only when a message comes.
/// Threat: 28.
#[test]
fn everything_unsound_about_areas_is_told_at_once() {
    let (_world, north, south) = world();
    let areas = north.config.join("areas");
    for area in ["news", "blog", "board"] {
        north.run(["mb-area", "new", area]).ok();
    }
    north.run(["mb-area", "subscribe", "news", "south"]).silent();
    south.run(["mb-area", "join", "press", north.run(["mb-area", "card", "news"]).ok().trim()]).ok();
    for node in [&north, &south] {
        node.run(["mb-check", "--config"]).silent();
    }
    let add = |name: &str, text: &str| {
        let path = areas.join(name);
        fs::write(&path, fs::read_to_string(&path).unwrap() + text).unwrap();
    };
    fs::set_permissions(areas.join("news.key"), Permissions::from_mode(0o640)).unwrap();
    fs::copy(areas.join("news.toml"), areas.join("press.toml")).unwrap();
    add("news.toml", "folder = \"/nowhere/at all\"\n");
    let blog = fs::read_to_string(areas.join("blog.toml")).unwrap();
    fs::write(areas.join("blog.toml"), blog.replace("[]", "[\"north\", \"suoth\"]")).unwrap();
    fs::copy(areas.join("board.key"), areas.join("blog.key")).unwrap();
    add("board.toml", "folde = \"/\"\n");
    let said = north.run(["mb-check", "--config"]);
    assert_eq!(said.code, 1);
    let said = String::from_utf8(said.stdout).unwrap();
    for expected in [
        "areas/news.key: refused: other users can read it; chmod go= ",
        "areas/press.toml: the same area as ",
        "areas/news.toml: folder: /nowhere/at all: No such file or directory",
        "; mkdir -p '/nowhere/at all'",
        "areas/blog.toml: subscribers: unknown node \"suoth\"; did you mean \"south\"?; mb-node add it",
        "areas/blog.key: it holds the secrets of another area",
        "areas/board.toml:3:1: folde: unknown key; did you mean \"folder\"?",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert_eq!(said.lines().count(), 6, "{said}");
    assert!(!said.contains("mbsecret1"), "{said}");
}

#[test]
fn a_configuration_without_its_exchange_key_is_unsound() {
    let (_world, north, _) = world();
    for key in fs::read_dir(north.spool.join("self/keys")).unwrap() {
        fs::remove_file(key.unwrap().path()).unwrap();
    }
    let said = north.run(["mb-check", "--config"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("what is sealed to this node cannot be opened"), "{said}");
}

/// Threat: 24.
#[test]
fn a_closed_or_full_standard_output_changes_nothing() {
    let (_world, north, south) = world();
    flip(&body(&north, &south), 9);
    let before = tree(&north.spool);
    let closed = north.command(["mb-check"]).after("exec >&-").run();
    assert!(closed.code == 1 || closed.code == 74, "{closed}");
    let full = north.command(["mb-check"]).after("exec >/dev/full").run();
    assert_eq!(full.code, 1, "{full}");
    assert_eq!(tree(&north.spool), before);
}
