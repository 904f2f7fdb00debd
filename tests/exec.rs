//! Letters for commands: standard input to a command on another host, and an answer to failure that can be lived with.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{Node, noise};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use yard::{Yard, names};

/// A yard in which south runs scripts of these texts for north, each by its name.
struct Scripts(Yard);

impl Scripts {
    fn new(scripts: &[(&str, &str, &str)]) -> Scripts {
        let yard = Yard::new(&["north", "south"]);
        let this = Scripts(yard);
        let lines: String = scripts.iter().map(|(handle, keys, text)| this.handler(handle, keys, text)).collect();
        this.0.set("south", "north", &lines);
        this
    }

    /// The lines for a handler whose script is written down.
    fn handler(&self, handle: &str, keys: &str, text: &str) -> String {
        let script = self
            .0
            .world
            .write(format!("scripts/{handle}"), format!("#!/bin/sh\ncd {}\n{text}\n", self.out("").display()));
        fs::create_dir_all(self.out("")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        format!("[exec.{handle}]\ncommand = [\"{}\", \"fixed\"]\n{keys}\n", script.display())
    }

    /// Where the scripts run.
    fn out(&self, name: &str) -> PathBuf {
        self.0.world.path("ran").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.out(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn south(&self) -> &Node {
        self.0.node("south")
    }

    /// North sends this to a command, and the stick brings it.
    fn send(&self, words: &[&str], input: impl AsRef<[u8]>) -> String {
        let north = self.0.node("north");
        let sent = north.command(["mb-send", "-t", "south"]).args(words).stdin(input).run().ok().trim().to_owned();
        north.command(["mb-xfer", "--all"]).arg(&self.0.stick).run().ok();
        self.south().command(["mb-xfer", "--in"]).arg(&self.0.stick).run().silent();
        sent
    }

    fn toss(&self) -> common::Run {
        self.south().run(["mb-toss"])
    }

    fn why(&self, packet: &str) -> String {
        let bad = self.south().spool.join("bad");
        fs::read_to_string(bad.join(format!("{packet}.why"))).unwrap_or_else(|_| panic!("{:?}", names(&bad)))
    }
}

/// What waits here is to be looked at again, some hours later.
fn hours_pass(node: &Node) {
    let dir = node.spool.join("self/exec");
    for name in names(&dir) {
        let text = fs::read_to_string(dir.join(&name)).unwrap();
        let tries = mb_spool::tries::Tries::from_bytes(text.as_bytes()).unwrap();
        let last = match tries.last {
            mb_spool::tries::Last::Failed { why, .. } => mb_spool::tries::Last::Failed { next: 1, why },
            begun => begun,
        };
        fs::write(dir.join(name), mb_spool::tries::Tries { last, ..tries }.to_bytes()).unwrap();
    }
    fs::write(node.spool.join("self/due"), "1\n").unwrap();
}

/// Threat: 29. The command gets the payload, its own arguments before those of the letter, and an environment that is clean.
#[test]
fn a_command_gets_the_payload_its_arguments_and_a_clean_environment() {
    let keys = "arguments = true\n";
    let yard = Scripts::new(&[(
        "backup",
        keys,
        "cat >input; printf '%s\\n' \"$@\" >arguments; env | sort >environment; pwd >where",
    )]);
    let input = noise(1, 300_000);
    let sent = yard.send(&["-x", "backup", "--nice", "77", "--", "a b", "$(touch hacked)", ";", "-rf", ""], &input);
    assert_eq!(yard.toss().ok(), "", "nothing that has a path");
    assert!(fs::read(yard.out("input")).unwrap() == input);
    assert_eq!(yard.read("arguments"), "fixed\na b\n$(touch hacked)\n;\n-rf\n\n");
    assert!(!yard.out("hacked").exists());
    let environment = yard.read("environment");
    let value = |name: &str| {
        let line = environment.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name}: {environment}")).to_owned()
    };
    assert_eq!(
        (value("MB_HANDLE"), value("MB_SENDER_NAME"), value("MB_NICE")),
        ("backup".into(), "north".into(), "77".into())
    );
    assert_eq!(
        (value("MB_TRY"), value("MB_SENDER"), value("MB_PACKET")),
        ("1".into(), yard.0.node("north").id(), sent)
    );
    assert_eq!(value("MB_LETTER").len(), 52);
    let known = ["MB_", "PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_="];
    assert!(environment.lines().all(|line| known.iter().any(|name| line.starts_with(name))), "{environment}");
    assert_eq!(yard.toss().ok(), "");
    yard.south().run(["mb-check"]).silent();
    assert_eq!(
        (names(&yard.south().spool.join("self/exec")), names(&yard.south().spool.join("self/rx"))),
        (vec![], vec![])
    );
}

/// Nothing else runs than what the receiver has configured for this author.
#[test]
fn what_is_not_configured_does_not_run() {
    let yard = Scripts::new(&[("plain", "", "cat >ran")]);
    let north = yard.0.node("north");
    for handle in ["../../bin/sh", "a/b", "-rf", "", "a\nb", &"x".repeat(65)] {
        let run = north.command(["mb-send", "-t", "south"]).arg(format!("--exec={handle}")).run();
        run.fails_with(64, "no handle");
    }
    north.run(["mb-send", "-t", "south:path", "-x", "plain"]).fails_with(64, "a command has no PATH");
    north.run(["mb-send", "-t", "south", "-x", "plain", "file"]).fails(64);
    let many = vec!["x"; 257];
    north.command(["mb-send", "-t", "south", "-x", "plain", "--"]).args(many).run().fails_with(64, "at most 256 ARGs");
    let unknown = yard.send(&["-x", "other"], "input");
    let with_arguments = yard.send(&["-x", "plain", "--", "--output=/etc/passwd"], "input");
    let said = yard.toss().fails(77);
    assert!(said.contains("no such handle") && said.contains("no arguments may be added"), "{said}");
    assert!(
        yard.why(&unknown).contains("north asks for other")
            && yard.why(&with_arguments).contains("north asks for plain")
    );
    assert!(!yard.out("ran").exists());
    // Allowed later, it runs.
    yard.0.set("south", "north", &yard.handler("other", "", "cat >other"));
    yard.south().run(["mb-toss", "--retry", &unknown]).ok();
    assert_eq!(yard.read("other"), "input");
}

/// Exit 75, a signal and the time limit are tried again, with growing distances; any other code is not. What fails stops nothing else, and is
/// told in the run in which it does.
#[test]
fn what_fails_for_now_is_tried_again_and_what_fails_for_good_goes_to_bad() {
    let yard = Scripts::new(&[
        (
            "busy",
            "",
            "cat >/dev/null; echo \"$MB_TRY\" >>busy; [ \"$MB_TRY\" = 3 ] || { echo 'no room' >&2; exit 75; }",
        ),
        ("killed", "", "echo \"$MB_TRY\" >>killed; [ \"$MB_TRY\" = 2 ] || kill -9 $$"),
        ("slow", "seconds = 1", "echo \"$MB_TRY\" >>slow; [ \"$MB_TRY\" = 2 ] || exec tail -f /dev/null"),
        ("broken", "", "printf 'it is\\n\\033[2Jbroken' >&2; exit 3"),
        ("good", "", "cat >good"),
        ("three", "retry = { first = 10, factor = 1, most = 10, times = 2 }", "echo \"$MB_TRY\" >>three; exit 75"),
    ]);
    let [busy, killed, slow, broken, good, three] =
        ["busy", "killed", "slow", "broken", "good", "three"].map(|handle| yard.send(&["-x", handle], handle));
    let run = yard.toss();
    let said = run.stderr();
    assert_eq!(run.code, 1, "{run}");
    for (packet, what) in [
        (&busy, "busy: exit 75: no room; again from "),
        (&killed, "killed: ended by signal 9; again"),
        (&slow, "slow: took longer than 1 seconds; again"),
        (&three, "three: exit 75; again"),
        (&broken, "broken: exit 3: it is\\n\\u{1b}[2Jbroken; it is in bad/ now"),
    ] {
        assert!(said.lines().any(|line| line.contains(&**packet) && line.contains(what)), "{what}\n{said}");
    }
    assert!(yard.why(&broken).contains("exit 3"), "{}", yard.why(&broken));
    assert_eq!(yard.read("good"), "good");
    assert!(!said.contains(&good));
    yard.toss().silent();
    let stat = yard.south().run(["mb-stat", "--packets"]).ok();
    let line = stat.lines().find(|line| line.starts_with(&busy)).unwrap();
    assert!(
        line.contains(" wait north ")
            && line.contains(" tried 1 times, again from ")
            && line.ends_with("exit 75: no room"),
        "{stat}"
    );
    hours_pass(yard.south());
    let said = yard.toss().stderr();
    assert!(said.contains(&busy) && !said.contains(&killed) && !said.contains(&slow), "{said}");
    assert!(yard.why(&three).contains("exit 75"));
    hours_pass(yard.south());
    yard.toss().silent();
    for (name, tries) in [("busy", "1\n2\n3\n"), ("killed", "1\n2\n"), ("slow", "1\n2\n"), ("three", "1\n2\n")] {
        assert_eq!(yard.read(name), tries, "{name}");
    }
    let waits: Vec<String> = names(&yard.south().spool.join(yard.0.node("north").id()).join("wait"));
    assert_eq!(waits, [""; 0]);
    yard.south().run(["mb-check"]).fails_quietly(0);
}

/// Threat: 29. Whatever a handler does, the tosser goes on.
#[test]
fn hostile_handlers_hurt_nobody() {
    let yard = Scripts::new(&[
        ("deaf", "", "echo deaf >deaf"),
        ("closes", "", "exec 0<&-; echo closes >closes"),
        ("floods", "output = 100000", "exec yes"),
        ("whispers", "output = 100000", "exec yes >&2"),
        ("forks", "", "cat >/dev/null; (trap '' TERM; tail -f /dev/null) & (tail -f /dev/null) & echo forks >forks"),
        ("leaves", "seconds = 1", "trap '' TERM; while :; do tail -f /dev/null; done"),
        ("moves", "", "mkfifo pipe up; setsid sh -c 'echo up >up; read line <pipe' & read line <up; echo moves >moves"),
        ("missing", "", ""),
    ]);
    fs::remove_file(yard.0.world.path("scripts/missing")).unwrap();
    let input = noise(2, 5_000_000);
    let handles = ["deaf", "closes", "floods", "whispers", "forks", "leaves", "moves", "missing"];
    let sent = handles.map(|handle| yard.send(&["-x", handle], &input));
    let run = yard.south().run(["mb-toss", "-j", "4"]);
    let said = run.stderr();
    for (packet, what) in [
        (&sent[2], "floods: printed more than 100000 bytes"),
        (&sent[3], "whispers: printed more than 100000 bytes"),
        (&sent[5], "leaves: took longer than 1 seconds"),
        (&sent[7], "missing: could not be started"),
    ] {
        assert!(said.lines().any(|line| line.contains(&**packet) && line.contains(what)), "{what}\n{run}");
    }
    for name in ["deaf", "closes", "forks", "moves"] {
        assert_eq!(yard.read(name), format!("{name}\n"));
    }
    assert_eq!(said.lines().count(), 4, "{said}");
    // What has left its group goes on, and keeps nobody waiting.
    fs::write(yard.out("pipe"), "end\n").unwrap();
    let why = yard.why(&sent[3]);
    assert!((600..2000).contains(&why.len()), "what it said is cut: {why}");
}

/// `kill -9` of the parent: the tosser dies, what it was at is run again, and what is to be run once is put aside.
#[test]
fn who_dies_of_a_command_runs_it_again_or_puts_it_aside() {
    let yard = Scripts::new(&[
        ("again", "", "cat >/dev/null; echo \"$MB_LETTER\" >>again; [ \"$MB_TRY\" = 2 ] || kill -9 $PPID"),
        ("once", "once = true", "cat >/dev/null; echo \"$MB_LETTER\" >>once; kill -9 $PPID"),
        ("dies", "once = true", "echo \"$MB_LETTER\" >>dies; kill -9 $$"),
        ("busy", "once = true", "[ \"$MB_TRY\" = 2 ] || exit 75; echo \"$MB_LETTER\" >>busy"),
    ]);
    let again = yard.send(&["-x", "again"], "input");
    assert_eq!(yard.toss().code, 137);
    yard.toss().silent();
    let letters = yard.read("again");
    let mut lines = letters.lines();
    assert!(lines.clone().count() == 2 && lines.next() == lines.next(), "the same letter id: {letters}");
    let once = yard.send(&["-x", "once"], "input");
    assert_eq!(yard.toss().code, 137);
    yard.toss().fails_with(65, "began ");
    assert!(yard.why(&once).contains("and has no end: nobody knows whether it has run"), "{}", yard.why(&once));
    assert_eq!(yard.read("once").lines().count(), 1);
    yard.toss().silent();
    // What has been begun and did not say that it has done nothing is not run once more.
    let (dies, _) = (yard.send(&["-x", "dies"], ""), yard.send(&["-x", "busy"], ""));
    yard.toss().fails(1);
    assert!(yard.why(&dies).contains("ended by signal 9"), "{}", yard.why(&dies));
    hours_pass(yard.south());
    yard.toss().silent();
    assert_eq!((yard.read("dies").lines().count(), yard.read("busy").lines().count()), (1, 1));
    assert!(again != once);
    yard.south().run(["mb-check"]).fails_quietly(0);
}

/// Threat: 29.
#[test]
fn what_had_run_before_the_tosser_was_killed_does_not_run_again() {
    let yard = Scripts::new(&[(
        "count",
        "",
        "echo \"$MB_LETTER\" >>ran; [ -e killed ] || [ $(wc -l <ran) -lt 3 ] || { touch killed; kill -9 $PPID; }",
    )]);
    (0..5).for_each(|_| drop(yard.send(&["-x", "count"], "")));
    assert_eq!(yard.south().run(["mb-toss", "-j", "1"]).code, 137);
    yard.toss().silent();
    let ran = yard.read("ran");
    let mut letters: Vec<&str> = ran.lines().collect();
    assert_eq!(letters.len(), 6, "the third alone ran twice: {ran}");
    letters.sort_unstable();
    letters.dedup();
    assert_eq!(letters.len(), 5);
}

/// A letter that comes twice, by whatever way, runs once; and with a receipt its author hears of it.
#[test]
fn a_copy_does_not_run_and_the_author_hears_what_came_of_it() {
    let yard =
        Scripts::new(&[("count", "", "cat >/dev/null; echo run >>count"), ("broken", "", "echo no >&2; exit 1")]);
    let north = yard.0.node("north");
    let send = |handle: &str| {
        let sent = north.command(["mb-send", "-t", "south", "--receipt", "-x", handle]).stdin("input").run().ok();
        sent.trim().to_owned()
    };
    let (good, bad) = (send("count"), send("broken"));
    north.command(["mb-xfer", "--all", "--keep"]).arg(&yard.0.stick).run().ok();
    for _ in 0..2 {
        yard.south().command(["mb-xfer", "--in", "--keep"]).arg(&yard.0.stick).run().silent();
        let _ = yard.toss();
    }
    assert_eq!(yard.read("count"), "run\n");
    // The stick still has what went to bad/, and it is tried once more.
    yard.0.visit("south").fails(65);
    yard.0.visit("north").fails_quietly(0);
    assert!(north.run(["mb-stat", &good]).ok().contains(" south delivered "));
    let told = north.run(["mb-stat", &bad]).ok();
    assert!(told.contains(" south refused ") && told.contains("broken: exit 1: no"), "{told}");
}

/// What a command prints goes back, once, and its author sees what it answers.
#[test]
fn what_a_command_prints_goes_back_as_a_file() {
    let yard = Scripts::new(&[
        ("upper", "reply = true", "tr a-z A-Z; echo 'not this' >&2"),
        ("fails", "reply = true", "echo no; exit 1"),
    ]);
    yard.send(&["-x", "upper"], "hello over there\n");
    yard.send(&["-x", "fails"], "");
    yard.toss().fails(65);
    yard.0.visit("south").ok();
    let north = yard.0.node("north");
    let run = north.command(["mb-xfer", "--in"]).arg(&yard.0.stick).run();
    run.silent();
    let json: serde_json::Value = serde_json::from_str(&north.run(["mb-toss", "--json"]).ok()).unwrap();
    assert_eq!((&json["from"], json["re"].as_str().map(str::len)), (&"south".into(), Some(52)));
    assert_eq!(yard.0.delivered("north", "south", "upper.out").as_deref(), Some(&b"HELLO OVER THERE\n"[..]));
    assert_eq!(names(&north.spool.join("incoming/south")), ["upper.out"]);
    yard.south().run(["mb-check"]).fails_quietly(0);
}

/// Input that does not hold is not seen by the command, however late it fails.
#[test]
fn no_command_sees_a_byte_of_input_that_does_not_hold() {
    let yard = Scripts::new(&[("reads", "", "touch began; cat >input")]);
    let north = yard.0.node("north");
    let sent = north.command(["mb-send", "-t", "south", "--compress", "never", "-x", "reads"]);
    let packet = sent.stdin(noise(3, 1_000_000)).run().ok().trim().to_owned();
    let (tx, rx) = (north.spool.join(yard.south().id()).join("tx"), yard.0.world.make_dir("south/spool/self/rx"));
    let mut body = fs::read(tx.join(format!("{packet}.0"))).unwrap();
    let last = body.len() - 20;
    body[last] ^= 1;
    fs::write(rx.join(format!("{packet}.0")), body).unwrap();
    fs::copy(tx.join(&packet), rx.join(&packet)).unwrap();
    yard.toss().fails_with(65, "body 0");
    assert!(!yard.out("began").exists());
}

/// A working folder, limits of resources, options to leave letters where they are.
#[test]
fn a_command_runs_where_and_with_what_it_is_told_to() {
    let yard = Scripts::new(&[]);
    let folder = yard.0.world.make_dir("where it runs");
    let lines = format!(
        "[exec.where]\ncommand = [\"/bin/sh\", \"-c\", \"pwd >here; for of in n v f t; do ulimit -$of >>here; done\"]\nfolder = \"{}\"\nlimits = {{ open_files = 20, memory = \"1 GiB\", file = \"1 MiB\", cpu = 7 }}",
        folder.display()
    );
    yard.0.set("south", "north", &lines);
    let sent = yard.send(&["-x", "where"], "");
    yard.south().run(["mb-toss", "--no-exec"]).silent();
    assert!(!folder.join("here").exists());
    let json: serde_json::Value = serde_json::from_str(&yard.south().run(["mb-toss", "--json"]).ok()).unwrap();
    assert_eq!((&json["packet"], &json["handle"], &json["tries"]), (&sent.into(), &"where".into(), &1.into()));
    assert_eq!(
        fs::read_to_string(folder.join("here")).unwrap(),
        format!("{}\n20\n1048576\n2048\n7\n", folder.display())
    );
}

/// Only root can run it as somebody else; its groups go too.
#[test]
fn a_command_runs_as_the_user_it_is_told_to() {
    if !rustix::process::geteuid().is_root() {
        return common::skip::skip("root");
    }
    let yard = Scripts::new(&[]);
    let lines =
        "[exec.who]\ncommand = [\"/bin/sh\", \"-c\", \"echo $(id -u) $(id -G) >&2; exit 3\"]\nuid = 65534\ngid = 65534";
    yard.0.set("south", "north", lines);
    let sent = yard.send(&["-x", "who"], "");
    yard.toss().fails(65);
    assert!(yard.why(&sent).contains("exit 3: 65534 65534"), "{}", yard.why(&sent));
}

/// Four bodies that pack well, of up to 1 GiB; the programs may have less memory than that. Threat: 6, 29.
#[test]
fn input_larger_than_memory_is_verified_and_fed_whole() {
    let yard = Scripts::new(&[("count", "seconds = 600", "wc -c >counted")]);
    let (len, zeros) = ((3 << 30) + 1, yard.0.world.path("zeros"));
    fs::File::create(&zeros).unwrap().set_len(len).unwrap();
    let little = "ulimit -v 200000";
    let send = yard.0.node("north").command(["mb-send", "-t", "south", "-x", "count"]);
    send.after(&format!("{little}; exec <{}", zeros.display())).run().ok();
    yard.0.node("north").command(["mb-xfer", "--all"]).arg(&yard.0.stick).run().ok();
    yard.south().command(["mb-xfer", "--in"]).arg(&yard.0.stick).after(little).run().silent();
    yard.south().command(["mb-toss"]).after(little).run().silent();
    assert_eq!(yard.read("counted").trim(), len.to_string());
}
