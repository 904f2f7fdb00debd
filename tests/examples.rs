//! What is ready to use in `examples/`: mail, git, backups and an outbox, between two nodes by a stick; and the area that it shows. Each is
//! run as it is.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::skip::have;
use common::{Call, Node, program};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use yard::{Yard, names};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// A call at a node of a program that finds ours on its PATH.
fn at<S: AsRef<std::ffi::OsStr>>(node: &Node, command: S, words: &[&str]) -> Call {
    let programs = Path::new(program("mb-send")).parent().expect("programs are in a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path)));
    let call = node.command(["mb-send"]).args(words).env("PATH", path.expect("plain folders")).env("COMMAND", command);
    call.after("exec \"$COMMAND\" \"$@\"")
}

/// Writes a script that can be run.
fn script(yard: &Yard, name: &str, text: &str) -> PathBuf {
    let path = yard.world.write(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The stick goes from north to south, and each takes in and tosses.
fn carry(yard: &Yard) -> common::Run {
    yard.visit("north").ok();
    yard.visit("south")
}

/// What waits for its time may be tried again now.
fn hours_pass(node: &Node) {
    let dir = node.spool.join("self/exec");
    for name in names(&dir) {
        let text = fs::read(dir.join(&name)).unwrap();
        let tries = mb_spool::tries::Tries::from_bytes(&text).unwrap();
        let last = match tries.last {
            mb_spool::tries::Last::Failed { why, .. } => mb_spool::tries::Last::Failed { next: 1, why },
            begun => begun,
        };
        fs::write(dir.join(name), mb_spool::tries::Tries { last, ..tries }.to_bytes()).unwrap();
    }
    fs::write(node.spool.join("self/due"), "1\n").unwrap();
}

/// North sends mail to south, whose mailer writes down what it is given.
struct Post(Yard);

/// Its first line is a mailer's words, the rest what it read.
const MAILER: &str = "#!/bin/sh\n{ printf '[%s]' \"$@\"; echo; cat; } >>MAILS/$MB_LETTER\n";

impl Post {
    fn new() -> Post {
        let yard = Yard::new(&["north", "south", "east"]);
        let mails = yard.world.make_dir("mails");
        let mailer = script(&yard, "mailer", &MAILER.replace("MAILS", mails.to_str().unwrap()));
        let text = fs::read_to_string(example("mail/mb-deliver-mail")).unwrap();
        let line = "SENDMAIL=/usr/sbin/sendmail\n";
        assert!(text.contains(line));
        let deliver = script(&yard, "deliver", &text.replace(line, &format!("SENDMAIL={}\n", mailer.display())));
        for (at, domains) in [("south", "example.org Example.NET"), ("east", "*")] {
            let command = format!("command = [\"{}\", \"{domains}\", \"--\"]", deliver.display());
            yard.set(at, "north", &format!("[exec.mail]\n{command}\narguments = true\n"));
        }
        yard.world.write(
            "mail.map",
            "# who takes what\nexample.org south\n.sub.example east # below\nelsewhere.example south",
        );
        Post(yard)
    }

    fn sendmail(&self, words: &[&str], message: impl AsRef<[u8]>) -> common::Run {
        let call = at(self.0.node("north"), example("mail/mb-sendmail"), words);
        call.env("MB_SENDMAIL_MAP", self.0.world.path("mail.map")).stdin(message).run()
    }

    fn waiting(&self, node: &str) -> usize {
        yard::envelopes(&self.0.tx("north", node)).len()
    }

    /// All that the mailers were given since the last time, each in one text.
    fn mails(&self) -> Vec<String> {
        self.0.round(&["north", "south", "east"]);
        let dir = self.0.world.path("mails");
        let mut mails: Vec<String> =
            names(&dir).iter().map(|name| fs::read_to_string(dir.join(name)).unwrap()).collect();
        names(&dir).iter().for_each(|name| fs::remove_file(dir.join(name)).unwrap());
        mails.sort();
        mails
    }
}

#[test]
fn mail_comes_to_the_mailer_with_sender_and_recipients_behind_its_options() {
    let post = Post::new();
    let message = "From: a@north.example\nSubject: Grüße\n\nHello\n.\nfrom here\n";
    post.sendmail(&["-oi", "-f", "a@north.example", "--", "b@example.org", "<c.d+e@EXAMPLE.org>"], message).silent();
    assert_eq!(post.mails(), [format!("[-i][-f][a@north.example][--][b@example.org][c.d+e@EXAMPLE.org]\n{message}")]);
    // A mailer's own message has no sender; options that mean nothing are passed over.
    let words = ["-bm", "-oem", "-odi", "-m", "-N", "never", "-B8BITMIME", "-i", "-f", "<>", "b@example.org"];
    post.sendmail(&words, "Subject: x\n\n").silent();
    assert_eq!(post.mails(), ["[-i][-f][<>][--][b@example.org]\nSubject: x\n\n"]);
    // Without -f, the user and the host; the message says so.
    post.sendmail(&["-F", "A \"B\" C", "b@example.org"], "Subject: x\n\n").silent();
    let mails = post.mails();
    assert!(mails[0].contains("\nFrom: \"A \\\"B\\\" C\" <") && mails[0].ends_with(">\nSubject: x\n\n"), "{mails:?}");
}

#[test]
fn a_lone_dot_ends_a_message_unless_i_is_given() {
    let post = Post::new();
    post.sendmail(&["-f", "a@n.example", "b@example.org"], "From: a\n\none\n..\n.\ntwo\n").silent();
    assert_eq!(post.mails(), ["[-i][-f][a@n.example][--][b@example.org]\nFrom: a\n\none\n..\n"]);
    post.sendmail(&["-if", "a@n.example", "b@example.org"], "From: a\n\none\n.\ntwo").silent();
    assert_eq!(post.mails(), ["[-i][-f][a@n.example][--][b@example.org]\nFrom: a\n\none\n.\ntwo"]);
}

#[test]
fn a_message_without_a_header_and_a_mailboxs_first_line_become_a_message() {
    let post = Post::new();
    post.sendmail(&["-f", "a@n.example", "b@example.org"], "only: \ntext here\n\nmore\n").silent();
    assert_eq!(
        post.mails(),
        ["[-i][-f][a@n.example][--][b@example.org]\nFrom: a@n.example\nonly: \n\ntext here\n\nmore\n"]
    );
    let message = b"From a@n.example Sat Nov 28 2026\nFrom: a\r\nX: y\r\n\r\n\xff\x00\r\n";
    post.sendmail(&["-f", "a@n.example", "b@example.org"], message).silent();
    post.0.round(&["north", "south"]);
    let dir = post.0.world.path("mails");
    let mail = fs::read(dir.join(&names(&dir)[0])).unwrap();
    assert!(mail.ends_with(b"]\nFrom: a\r\nX: y\r\n\r\n\xff\x00\r\n"), "{mail:?}");
}

#[test]
fn t_takes_recipients_from_the_header_and_hides_blind_ones() {
    let post = Post::new();
    let message = "From: a@n.example\n\
        To: \"One, \\\" Two\" <one@example.org>, two@example.org (a (nested, one) here),\n\tthree@example.org\n\
        CC: friends: four@example.org, Five <five@example.org>;, ,\n\
        bcc: six@example.org,\n seven@example.org\n\
        Subject: to: not@example.org\n\nTo: body@example.org\n";
    post.sendmail(&["-t", "-i", "-fa@n.example", "zero@example.org", "two@example.org"], message).silent();
    let mails = post.mails();
    let all = ["zero", "two", "one", "three", "four", "five", "six", "seven"].map(|who| format!("[{who}@example.org]"));
    let (words, text) = mails[0].split_once('\n').unwrap();
    assert_eq!(words, format!("[-i][-f][a@n.example][--]{}", all.concat()));
    assert_eq!(text, message.replace("bcc: six@example.org,\n seven@example.org\n", ""));
    // What was sent on goes to those it was sent on to.
    let message = "From: a\nTo: one@example.org\nResent-To: two@example.org\nResent-Bcc: three@example.org\n\n";
    post.sendmail(&["-t", "-fa@n.example"], message).silent();
    assert!(post.mails()[0].starts_with("[-i][-f][a@n.example][--][two@example.org][three@example.org]\n"));
    for header in [
        "To: \"open <b@example.org>",
        "To: b@example.org (open",
        "To: <b@example.org",
        "To: <>",
        "To: -oQ/tmp@example.org",
    ] {
        post.sendmail(&["-t"], format!("From: a\n{header}\n\n")).fails_with(65, "in the header");
    }
    post.sendmail(&["-t"], "Subject: nobody\n\nTo: b@example.org\n").fails_with(64, "no recipient");
    assert_eq!(post.waiting("south"), 0);
}

/// Threat: 29. Neither end takes an address for anything else.
#[test]
fn hostile_addresses_are_refused_at_both_ends() {
    let post = Post::new();
    let long = format!("{}@example.org", "a".repeat(250));
    let hostile = [
        "-oQ/tmp",
        "-oQ/tmp@example.org",
        "a@b;rm",
        "a@example.org;rm",
        "a b@example.org",
        "a@example.org\nb@example.org",
        "|rm@example.org",
        "/etc/passwd@example.org",
        "`rm`@example.org",
        "$(rm)@example.org",
        "a@b@example.org",
        "@example.org",
        "a@",
        "a@-example.org",
        "a@.example.org",
        "a..b@example.org",
        "a.@example.org",
        "a%b@example.org",
        "b!a@example.org",
        "\"a\"@example.org",
        "a@[127.0.0.1]",
        "a@example.org.",
        "*@example.org",
        "a,b@example.org",
        "ä@example.org",
        &long,
        "<a@example.org",
        "",
        "<>",
    ];
    for address in hostile {
        post.sendmail(&["-f", "a@n.example", "--", "good@example.org", address], "x")
            .fails_with(67, "no address that can be");
        if !["", "<>"].contains(&address) {
            post.sendmail(&["-f", address, "--", "good@example.org"], "x").fails_with(65, "no address that can be");
        }
    }
    for words in [
        &["-oQ/tmp", "a@example.org"][..],
        &["-C/etc/x", "a@example.org"],
        &["-bs"],
        &["-q15m"],
        &["-X", "/tmp/log"],
        &[],
        &["-f"],
    ] {
        post.sendmail(words, "x").fails(64);
    }
    assert_eq!(post.waiting("south"), 0);
    // Whoever writes the letter himself comes no further.
    let north = post.0.node("north");
    let send = |arguments: &[&str]| {
        let call = north.command(["mb-send", "-t", "south", "-x", "mail", "--"]).args(arguments);
        call.stdin("x").run().ok().trim().to_owned()
    };
    let mut sent: Vec<String> =
        hostile.iter().map(|address| send(&["a@n.example", "good@example.org", address])).collect();
    sent.extend(hostile.iter().filter(|address| **address != "<>").map(|address| send(&[address, "good@example.org"])));
    sent.extend([send(&[]), send(&["a@n.example"]), send(&["--", "a@n.example", "good@example.org"])]);
    let other_domain = send(&["a@n.example", "good@example.org", "a@elsewhere.example"]);
    let good = send(&["<>", "good@example.net"]);
    let run = carry(&post.0);
    assert_eq!(run.code, 65, "{run}");
    let why = |packet: &str| fs::read_to_string(post.0.node("south").spool.join(format!("bad/{packet}.why"))).unwrap();
    for packet in &sent {
        assert!(why(packet).contains("exit 65"), "{}", why(packet));
    }
    assert!(why(&other_domain).contains("not a domain that this node may send mail for"), "{}", why(&other_domain));
    let dir = post.0.world.path("mails");
    assert_eq!(names(&dir).len(), 1, "{good} alone");
    assert!(fs::read_to_string(dir.join(&names(&dir)[0])).unwrap().starts_with("[-i][-f][<>][--][good@example.net]\n"));
}

#[test]
fn a_domain_without_a_node_stops_all_of_it_and_a_sick_map_is_for_later() {
    let post = Post::new();
    let to = |who: &[&str]| post.sendmail(&[&["-f", "a@n.example"][..], who].concat(), "x");
    to(&["b@example.org", "b@unknown.example"]).fails_with(68, "b@unknown.example: no node for this domain");
    to(&["b@sub.example"]).fails(68);
    for (map, why) in [
        ("example.org south east\n", "mail.map:1: not a domain"),
        ("\nexample.org -t\n", "mail.map:2: not"),
        ("* suoth", "unknown node"),
    ] {
        post.0.world.write("mail.map", map);
        to(&["b@example.org"]).fails_with(75, why);
    }
    // The first node is there, the second is not: nothing goes to the first either.
    post.0.world.write("mail.map", "example.org south\n* nowhere");
    to(&["b@example.org", "b@unknown.example"]).fails_with(75, "nothing was sent");
    assert_eq!(post.waiting("south"), 0);
    fs::remove_file(post.0.world.path("mail.map")).unwrap();
    to(&["b@example.org"]).fails_with(75, "cannot be read");
    fs::create_dir(post.0.world.path("mail.map")).unwrap();
    to(&["b@example.org"]).fails_with(75, "cannot be read");
}

#[test]
fn a_second_try_sends_what_is_missing_and_nothing_twice() {
    let post = Post::new();
    let words = ["-i", "-f", "a@n.example", "b@example.org", "c@x.sub.example"];
    let message = "From: a\nMessage-ID: <1@n.example>\n\nhello\n";
    for _ in 0..2 {
        post.sendmail(&words, message).silent();
        assert_eq!((post.waiting("south"), post.waiting("east")), (1, 1));
    }
    // Carried away or not.
    let mails = post.mails();
    assert!(mails[0].starts_with("[-i][-f][a@n.example][--][b@example.org]\n"), "{mails:?}");
    assert!(mails[1].starts_with("[-i][-f][a@n.example][--][c@x.sub.example]\n"), "{mails:?}");
    post.sendmail(&words, message).silent();
    assert_eq!((post.waiting("south"), post.waiting("east")), (0, 0));
    // Other people, another message, another queue id: another letter. Without any id, each is one.
    post.sendmail(&["-f", "a@n.example", "d@example.org"], message).silent();
    post.sendmail(&words[..4], message.replace("hello", "hallo")).silent();
    post.sendmail(&[&["-V", "Q1"][..], &words[..4]].concat(), message).silent();
    post.sendmail(&[&["-V", "Q1"][..], &words[..4]].concat(), message).silent();
    post.sendmail(&words[..4], "no id").silent();
    post.sendmail(&words[..4], "no id").silent();
    assert_eq!(post.waiting("south"), 5);
}

#[test]
fn many_recipients_become_several_letters() {
    let post = Post::new();
    let who: Vec<String> = (0..250).map(|n| format!("{}{n}@example.org", "long".repeat(30))).collect();
    let words: Vec<&str> = ["-f", "a@n.example"].into_iter().chain(who.iter().map(String::as_str)).collect();
    let message = "From: a\nMessage-Id: <1@n.example>\n\n";
    post.sendmail(&words, message).silent();
    post.sendmail(&words, message).silent();
    assert_eq!(post.waiting("south"), 3);
    let mails = post.mails().concat();
    assert!(who.iter().all(|who| mails.matches(&format!("[{who}]")).count() == 1), "{mails}");
}

#[test]
fn a_mailer_that_cannot_take_mail_now_gets_it_later() {
    let post = Post::new();
    let mailer = post.0.world.path("mailer");
    let good = fs::read_to_string(&mailer).unwrap();
    script(&post.0, "mailer", "#!/bin/sh\necho 'queue full' >&2\nexit 71\n");
    post.sendmail(&["-f", "a@n.example", "b@example.org"], "From: a\n\n").silent();
    carry(&post.0).fails_with(75, "exit 75: queue full; again from");
    script(&post.0, "mailer", &good);
    hours_pass(post.0.node("south"));
    assert_eq!(post.mails().len(), 1);
}

/// Git, with nothing of the user's own settings.
fn git(dir: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(["-c", "user.name=a", "-c", "user.email=a@n.example"]).args(words);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().expect("git starts");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("git speaks UTF-8").trim().to_owned()
}

/// A repository at north, its bare one at south, both with a space in the name, and a stick for each bundle.
struct Repositories {
    yard: Yard,
    here: PathBuf,
    there: PathBuf,
}

impl Repositories {
    fn new() -> Repositories {
        let yard = Yard::new(&["north", "south"]);
        let (here, there) = (yard.world.make_dir("my work"), yard.world.make_dir("their work.git"));
        git(&here, &["init", "-q", "-b", "main"]);
        git(&there, &["init", "-q", "--bare", "-b", "main"]);
        let script = example("git-bundle.sh");
        let command = format!("command = [\"{}\", \"receive\", \"{}\"]", script.display(), there.display());
        yard.set("south", "north", &format!("[exec.git]\n{command}\n"));
        Repositories { yard, here, there }
    }

    fn commit(&self, name: &str) -> String {
        git(&self.here, &["commit", "-q", "--allow-empty", "-m", name]);
        git(&self.here, &["rev-parse", "HEAD"])
    }

    /// Sends what is new, which goes to a stick of its own; the packet.
    fn send(&self, stick: &str) -> String {
        let words = ["send", "south", "git", self.here.to_str().unwrap()];
        let sent = at(self.yard.node("north"), example("git-bundle.sh"), &words).run().ok();
        let stick = self.yard.world.make_dir(stick);
        self.yard.node("north").command(["mb-xfer", "--out", "--all"]).arg(stick).run().ok();
        sent.trim().to_owned()
    }

    fn arrive(&self, stick: &str) -> common::Run {
        self.yard.node("south").command(["mb-xfer", "--in", "--toss"]).arg(self.yard.world.path(stick)).run()
    }

    fn refs(&self) -> String {
        git(&self.there, &["for-each-ref", "--format=%(objectname) %(refname)"])
    }
}

#[test]
fn bundles_that_come_out_of_order_heal_by_retry() {
    if !have("git") {
        return;
    }
    let work = Repositories::new();
    work.commit("one");
    work.send("first");
    let two = work.commit("two");
    work.send("second");
    git(&work.here, &["tag", "-a", "-m", "ready", "v1"]);
    git(&work.here, &["branch", "side/b"]);
    let three = work.commit("three");
    work.send("third");
    assert_eq!(work.send("nothing"), "", "nothing is new");
    work.arrive("first").silent();
    work.arrive("third").fails_with(75, "what it builds upon has not come yet; again from");
    work.arrive("second").silent();
    assert_eq!(work.refs(), format!("{two} refs/heads/main"));
    hours_pass(work.yard.node("south"));
    work.yard.node("south").run(["mb-toss"]).silent();
    let tag = git(&work.here, &["rev-parse", "v1"]);
    assert_eq!(work.refs(), format!("{three} refs/heads/main\n{tag} refs/tags/v1"));
    git(&work.there, &["fsck", "--strict"]);
    assert!(names(&work.there).iter().all(|name| !name.contains("bundle")), "{:?}", names(&work.there));
}

/// A bundle that comes again after later ones takes nothing back; what was rewritten is left as it was.
#[test]
fn a_branch_only_goes_forward() {
    if !have("git") {
        return;
    }
    let work = Repositories::new();
    work.commit("one");
    work.send("first");
    // The sender died before it remembered: the same once more.
    git(&work.here, &["update-ref", "-d", "refs/mailbag/south/heads/main"]);
    work.send("again");
    let two = work.commit("two");
    work.send("second");
    for stick in ["first", "second", "again"] {
        work.arrive(stick).silent();
    }
    assert_eq!(work.refs(), format!("{two} refs/heads/main"));
    git(&work.here, &["commit", "-q", "--amend", "--allow-empty", "-m", "other"]);
    git(&work.here, &["branch", "good", "HEAD"]);
    let good = git(&work.here, &["rev-parse", "good"]);
    let packet = work.send("rewritten");
    work.arrive("rewritten")
        .fails_with(65, "exit 77: git-bundle: rewritten, and so left as it was here: refs/heads/main");
    assert_eq!(work.refs(), format!("{good} refs/heads/good\n{two} refs/heads/main"));
    assert!(work.yard.node("south").spool.join(format!("bad/{packet}.why")).exists());
    let run = work.yard.node("north").command(["mb-send", "-t", "south", "-x", "git"]).stdin("no bundle").run();
    run.ok();
    work.yard.visit("north").ok();
    work.yard.visit("south").fails_with(65, "no bundle");
    git(&work.there, &["fsck", "--strict"]);
}

/// North's backups come into a folder at south.
fn backups() -> (Yard, PathBuf) {
    let yard = Yard::new(&["north", "south"]);
    let target = yard.world.make_dir("all backups");
    let script = example("backup.sh");
    let command = format!("command = [\"{}\", \"receive\", \"{}\"]", script.display(), target.display());
    yard.set("south", "north", &format!("[exec.backup]\n{command}\narguments = true\n"));
    (yard, target.join("north"))
}

#[test]
fn a_backup_is_restored_and_is_what_it_was() {
    if !have("tar") || !have("diff") {
        return;
    }
    let (yard, folder) = backups();
    let home = yard.world.make_dir("north/a home");
    yard.world.write("north/a home/big file", common::noise(3, 3_000_000));
    yard.world.write("north/a home/ä\nb/-empty", "");
    std::os::unix::fs::symlink("nowhere", home.join("link")).unwrap();
    fs::set_permissions(home.join("big file"), fs::Permissions::from_mode(0o640)).unwrap();
    yard.world.write("north/-x/file", "other");
    let send = |words: &[&str]| at(yard.node("north"), example("backup.sh"), words).run();
    send(&["send", "south", "backup", home.to_str().unwrap(), "-x"]).ok();
    carry(&yard).silent();
    let made = names(&folder);
    assert!(made.len() == 1 && made[0].ends_with(".tar"), "{made:?}");
    let archive = folder.join(&made[0]);
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    let restored = yard.world.make_dir("restored");
    let status = Command::new("tar").arg("-xpf").arg(&archive).arg("-C").arg(&restored).status().unwrap();
    assert!(status.success());
    for source in [home, yard.world.path("north/-x")] {
        let copy = restored.join(source.strip_prefix("/").unwrap());
        let same = Command::new("diff").args(["-r", "--no-dereference", "--"]).args([&source, &copy]).status().unwrap();
        assert!(same.success());
        assert_eq!(common::tree(&source), common::tree(&copy));
    }
    // The same letter once more, as after a crash, does nothing.
    let (date, letter) = made[0].trim_end_matches(".tar").split_once('-').unwrap();
    let target = folder.parent().unwrap().to_str().unwrap();
    let again = at(yard.node("south"), example("backup.sh"), &["receive", target, date]);
    again.env("MB_LETTER", letter).env("MB_SENDER_NAME", "north").stdin("other").run().silent();
    assert_eq!(names(&folder), made);
}

/// Either all of it is sent or nothing; what is no whole archive is not kept.
#[test]
fn half_a_backup_is_none() {
    if !have("tar") {
        return;
    }
    let (yard, folder) = backups();
    let home = yard.world.make_dir("home");
    yard.world.write("home/big", common::noise(4, 1_000_000));
    let home = home.to_str().unwrap();
    let send = |words: &[&str]| at(yard.node("north"), example("backup.sh"), words);
    send(&["send", "south", "backup", home, "missing"]).run().fails_with(66, "missing: no folder");
    send(&["send", "suoth", "backup", home]).run().fails_with(67, "did you mean");
    // A tar that dies in the middle, as the killed do.
    let bin = yard.world.make_dir("bin");
    script(&yard, "bin/tar", "#!/bin/sh\nhead -c 300000 /dev/zero\nkill -9 $$\n");
    let path = std::env::var("PATH").unwrap();
    let programs = Path::new(program("mb-send")).parent().unwrap();
    let path = format!("{}:{}:{path}", bin.display(), programs.display());
    send(&["send", "south", "backup", home]).env("PATH", path).run().fails_with(74, "nothing was sent");
    assert!(yard.tx("north", "south").is_empty());
    // Sent by somebody else: cut, or with a date that is a path.
    let archive = Command::new("tar").args(["-C", home, "-cf", "-", "."]).output().unwrap().stdout;
    for (date, content) in [("20261128T130000Z", &archive[..500_000]), ("../../x", &archive[..]), ("", &archive[..])] {
        let call = yard.node("north").command(["mb-send", "-t", "south", "-x", "backup", "--", date]);
        call.stdin(content).run().ok();
    }
    carry(&yard).fails(65);
    assert_eq!(names(&folder), [""; 0]);
    assert_eq!(names(folder.parent().unwrap()), ["north"]);
}

#[test]
fn an_outbox_sends_each_file_once_whatever_is_lost() {
    if !have("make") {
        return;
    }
    let yard = Yard::new(&["north", "south"]);
    let makefile = example("Makefile");
    let makefile = makefile.to_str().unwrap();
    let make = || at(yard.node("north"), "make", &["-s", "-f", makefile]).run();
    let contents = [("report.pdf", "one"), ("two words & 'more'", "two"), (".hidden", "no")];
    contents.iter().for_each(|(name, content)| drop(yard.world.write(format!("north/outbox/{name}"), content)));
    make().silent();
    let outbox = yard.node("north").dir.join("outbox");
    let sent = |name: &str| fs::read_to_string(outbox.join(format!("{name}.sent"))).unwrap();
    let packets = contents[..2].iter().map(|(name, _)| sent(name)).collect::<Vec<_>>();
    assert_eq!(names(&outbox).len(), 5, "{:?}", names(&outbox));
    make().silent();
    // Killed before it could be written down; one of them after it was carried away.
    for visits in [false, true] {
        if visits {
            yard.round(&["north", "south"]);
        }
        contents[..2].iter().for_each(|(name, _)| fs::remove_file(outbox.join(format!("{name}.sent"))).unwrap());
        make().silent();
        assert_eq!(contents[..2].iter().map(|(name, _)| sent(name)).collect::<Vec<_>>(), packets);
        assert_eq!(yard::envelopes(&yard.tx("north", "south")).len(), if visits { 0 } else { 2 });
    }
    let incoming = yard.node("south").spool.join("incoming/north");
    assert_eq!(names(&incoming), ["report.pdf", "two words & 'more'"]);
    assert_eq!(yard.delivered("south", "north", "two words & 'more'").unwrap(), b"two");
    // What cannot be sent leaves nothing that says it was.
    for name in ["new", "new one"] {
        yard.world.write(format!("north/outbox/{name}"), "x");
        let words = ["-s", "-f", makefile, "NODE=nowhere"];
        at(yard.node("north"), "make", &words).run().fails_with(2, "unknown node");
        assert!(!outbox.join(format!("{name}.sent")).exists());
        fs::remove_file(outbox.join(name)).unwrap();
    }
}

/// Shows: N19 to N27 with real programs. The script itself fails where something is not as it tells.
#[test]
fn area_sh_runs_the_graph_of_the_manual_and_every_byte_arrives() {
    let world = common::World::new();
    let place = world.make_dir("tmp");
    let programs = Path::new(program("mb-send")).parent().expect("programs are in a folder");
    let output = Command::new(example("area.sh")).arg(programs).arg("2").env("TMPDIR", &place).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "{said}{errors}");
    assert_eq!(names(&place), [""; 0], "it leaves something behind");
    for line in ["cannot read them", "nothing for a", "delivered once", "  answer\n", "Every byte is what was written"]
    {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn shellcheck_has_nothing_to_say_about_the_scripts() {
    if !have("shellcheck") {
        return;
    }
    let scripts = ["mail/mb-sendmail", "mail/mb-deliver-mail", "git-bundle.sh", "backup.sh", "area.sh"].map(example);
    let output = Command::new("shellcheck").args(scripts).output().expect("shellcheck starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
