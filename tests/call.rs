//! mb-call and mb-listen as users type them: two nodes that can reach each other exchange what waits, both ways at once.

mod common;

use common::line::{Inetd, Proxy, Random, Running, Summary, files, is_tidy, listen, set, taken, waiting};
use common::{Node, Run, World, program, tree};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Three nodes that know each other.
struct Yard {
    world: World,
    north: Node,
    south: Node,
    east: Node,
}

impl Yard {
    fn new() -> Yard {
        let world = World::in_memory();
        let (north, south, east) = (world.node("north"), world.node("south"), world.node("east"));
        world.introduce(&[&north, &south, &east]);
        Yard { world, north, south, east }
    }

    /// The same, and south listens, which north and east know.
    fn listening(options: &[&str]) -> (Yard, Running, SocketAddr) {
        let yard = Yard::new();
        let (listener, address) = listen(&yard.south, options);
        set(&yard.north, "south", &format!("addresses = [\"tcp://{address}\"]"));
        set(&yard.east, "south", &format!("addresses = [\"tcp://{address}\"]"));
        (yard, listener, address)
    }

    /// Sends a file of these bytes; the packet's id.
    fn send(&self, from: &Node, to: &str, name: &str, content: impl AsRef<[u8]>) -> String {
        self.send_nice(from, to, name, content, 128)
    }

    fn send_nice(&self, from: &Node, to: &str, name: &str, content: impl AsRef<[u8]>, nice: u8) -> String {
        let file = self.world.write(format!("out/{name}"), content);
        let call = from.command(["mb-send", "--nice", &nice.to_string(), "-t", to]).arg(file);
        call.run().ok().trim().to_owned()
    }
}

/// What was delivered at `node` from the node `from`, by name.
fn delivered(node: &Node, from: &str, name: &str) -> Option<Vec<u8>> {
    fs::read(node.spool.join("incoming").join(from).join(name)).ok()
}

/// The packets of lines that say `what`, in order.
fn packets<'a>(said: &'a str, what: &str) -> Vec<&'a str> {
    let line = |line: &'a str| line.split_once(": ")?.1.split_once(what).map(|(packet, _)| packet);
    said.lines().filter_map(line).collect()
}

/// How many calls a run with -v made to the end.
fn call_count(run: &Run) -> usize {
    run.stderr().lines().filter(|line| line.contains("packets out (")).count()
}

/// Shows: H35, P29, W8, W12, W43 (the calling half: who is behind NAT calls out, and gets what waits for it over there), W44.
#[test]
fn one_call_brings_what_waits_on_both_sides() {
    let (yard, listener, _) = Yard::listening(&[]);
    let sizes = [0, 1, 100, 32 << 10, 65_536, 300_000, 5 << 20];
    let contents: Vec<Vec<u8>> = sizes.iter().map(|len| Random(*len as u64).bytes(*len)).collect();
    for (number, content) in contents.iter().enumerate() {
        yard.send(&yard.north, "south", &format!("n{number}"), content);
        yard.send(&yard.south, "north", &format!("s{number}"), content);
    }
    yard.north.run(["mb-call", "south"]).silent();
    for (node, other, name) in [(&yard.north, &yard.south, "s"), (&yard.south, &yard.north, "n")] {
        assert_eq!(waiting(node, other), [""; 0]);
        node.run(["mb-toss"]).ok();
        assert_eq!(files(&node.spool.join("incoming")).len(), contents.len());
        for (number, content) in contents.iter().enumerate() {
            let found = delivered(node, &other.name, &format!("{name}{number}"));
            assert!(found.as_ref() == Some(content), "{name}{number} at {}", node.name);
        }
        assert_eq!(files(&node.spool.join("body")), [""; 0]);
    }
    yard.north.run(["mb-call", "south"]).silent();
    assert_eq!(listener.stop().stderr().lines().count(), 1, "it says where it listens, and nothing more");
    [&yard.north, &yard.south].into_iter().for_each(is_tidy);
}

#[test]
fn the_most_urgent_goes_first_and_then_the_smallest() {
    let (yard, _listener, _) = Yard::listening(&[]);
    let mut expected = Vec::new();
    for (rank, nice, len) in
        [(5, 200, 100_000), (2, 10, 300_000), (4, 128, 500_000), (1, 10, 100_000), (3, 128, 200_000)]
    {
        let packet = yard.send_nice(&yard.north, "south", &rank.to_string(), Random(rank).bytes(len), nice);
        expected.push((rank, packet));
    }
    expected.sort_unstable();
    let run = yard.north.run(["mb-call", "-v", "south"]);
    let said = run.stderr();
    run.ok();
    let expected: Vec<&str> = expected.iter().map(|(_, packet)| packet.as_str()).collect();
    assert_eq!(packets(&said, ": out to south"), expected, "{said}");
}

#[test]
fn out_only_gives_and_in_only_takes() {
    let (yard, _listener, _) = Yard::listening(&[]);
    yard.send(&yard.north, "south", "n", "text");
    yard.send(&yard.south, "north", "s", Random(1).bytes(100_000));
    yard.north.run(["mb-call", "--out", "south"]).silent();
    assert_eq!((waiting(&yard.north, &yard.south).len(), taken(&yard.north, &yard.south).len()), (0, 0));
    yard.send(&yard.north, "south", "n2", "text");
    yard.north.run(["mb-call", "--in", "south"]).silent();
    assert_eq!(waiting(&yard.north, &yard.south).len(), 1);
    assert_eq!((waiting(&yard.south, &yard.north).len(), taken(&yard.north, &yard.south).len()), (0, 2));
}

#[test]
fn nice_leaves_what_is_less_urgent_on_both_sides() {
    let (yard, _listener, _) = Yard::listening(&[]);
    let mut kept = Vec::new();
    for nice in [20, 50, 51, 255] {
        for (from, to) in [(&yard.north, "south"), (&yard.south, "north")] {
            let packet = yard.send_nice(from, to, &format!("{nice}"), format!("{nice}"), nice);
            kept.extend((nice > 50).then_some(packet));
        }
    }
    yard.north.run(["mb-call", "--nice", "50", "south"]).silent();
    let mut left = [waiting(&yard.north, &yard.south), waiting(&yard.south, &yard.north)].concat();
    left.sort_unstable();
    kept.sort_unstable();
    assert_eq!(left, kept);
    let (_picky, address) = listen(&yard.south, &["--nice", "51"]);
    yard.north.run(["mb-call", "south", "--addr", &address.to_string()]).silent();
    assert_eq!((waiting(&yard.north, &yard.south).len(), waiting(&yard.south, &yard.north).len()), (1, 1));
}

#[test]
fn all_calls_every_node_that_has_an_address() {
    let (yard, _listener, _) = Yard::listening(&[]);
    let run = yard.north.run(["mb-call", "--all", "-v"]);
    assert_eq!(call_count(&run), 1, "east has no address\n{run}");
    run.ok();
    let (_east, address) = listen(&yard.east, &[]);
    set(&yard.north, "east", &format!("addresses = [\"tcp://{address}\"]"));
    yard.send(&yard.north, "south", "a", "text");
    yard.send(&yard.north, "east", "a", "text");
    yard.north.run(["mb-call", "--all"]).silent();
    assert_eq!((waiting(&yard.north, &yard.south).len(), waiting(&yard.north, &yard.east).len()), (0, 0));
}

/// One that cannot be reached does not keep the others from being called.
#[test]
fn of_several_nodes_each_is_called_and_the_failure_told() {
    let (yard, _listener, _) = Yard::listening(&[]);
    yard.send(&yard.north, "south", "a", "text");
    let run = yard.north.run(["mb-call", "east", "south"]);
    assert!(run.stderr().starts_with("mb-call: east: no address is known\n  add `addresses` to "), "{run}");
    run.fails(69);
    assert_eq!(waiting(&yard.north, &yard.south).len(), 0);
}

#[test]
fn a_rule_with_waiting_is_due_when_something_waits() {
    let (yard, _listener, _) = Yard::listening(&[]);
    set(&yard.north, "south", "call = [{ when = \"waiting\", nice = 50 }]");
    let due = || yard.north.run(["mb-call", "--due", "-v"]);
    assert_eq!(call_count(&due()), 0);
    yard.send_nice(&yard.north, "south", "a", "text", 51);
    assert_eq!(call_count(&due()), 0);
    yard.send_nice(&yard.north, "south", "b", "text", 50);
    assert_eq!(call_count(&due()), 1);
    assert_eq!(waiting(&yard.north, &yard.south).len(), 1, "the rule's nice holds for the call");
    let run = due();
    assert_eq!(call_count(&run), 0);
    run.silent();
}

/// The schedule was last worked off more than a year ago; its time comes once a year.
#[test]
fn a_rule_with_cron_is_due_once_for_each_of_its_times() {
    let (yard, _listener, _) = Yard::listening(&[]);
    set(&yard.north, "south", "call = [{ cron = \"0 0 1 1 *\" }]");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
    let state = format!("looked {}\nfailures 0\nnot-before 0\n", now - 367 * 86_400);
    fs::create_dir_all(yard.north.spool.join(yard.south.id())).expect("a folder of the world");
    fs::write(yard.north.spool.join(yard.south.id()).join("call"), state).expect("a file of the world");
    let run = yard.north.run(["mb-call", "--due", "--dry-run"]);
    assert!(run.stderr().contains("would call south: tcp://127.0.0.1:"), "{run}");
    run.ok();
    let run = yard.north.run(["mb-call", "--due", "-v"]);
    assert_eq!(call_count(&run), 1, "{run}");
    run.ok();
    let run = yard.north.run(["mb-call", "--due", "-v"]);
    assert_eq!(call_count(&run), 0, "{run}");
    run.silent();
}

/// The address, direction and nice of the rule count, not those of the node.
#[test]
fn a_rule_says_where_and_which_way() {
    let (yard, _listener, address) = Yard::listening(&[]);
    yard.send(&yard.north, "south", "n", "text");
    yard.send(&yard.south, "north", "s", "text");
    let rule = format!("call = [{{ when = \"waiting\", direction = \"out\", address = \"tcp://{address}\" }}]");
    set(&yard.north, "south", &rule);
    let text = fs::read_to_string(yard.north.config.join("nodes/south.toml")).expect("it is known");
    let text = text.replace(&format!("addresses = [\"tcp://{address}\"]"), "addresses = [\"tcp://127.0.0.1:1\"]");
    fs::write(yard.north.config.join("nodes/south.toml"), text).expect("a file of the world");
    yard.north.run(["mb-call", "--due"]).silent();
    assert_eq!((waiting(&yard.north, &yard.south).len(), waiting(&yard.south, &yard.north).len()), (0, 1));
}

/// After a failure the node is left alone for a while, and what waits still waits.
#[test]
fn a_due_call_that_fails_is_put_off() {
    let yard = Yard::new();
    set(&yard.north, "south", &format!("addresses = [\"tcp://{}\"]\ncall = [{{ when = \"waiting\" }}]", closed()));
    yard.send(&yard.north, "south", "a", "text");
    yard.north.run(["mb-call", "--due"]).fails_with(69, "refused");
    yard.north.run(["mb-call", "--due"]).silent();
    yard.north.run(["mb-call", "south"]).fails(69);
    assert_eq!(waiting(&yard.north, &yard.south).len(), 1);
}

/// An address where nobody listens.
fn closed() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback");
    socket.local_addr().expect("it is bound")
}

#[test]
fn addresses_are_tried_in_turn_until_one_answers() {
    let yard = Yard::new();
    let (_listener, address) = listen(&yard.south, &[]);
    let dead = closed();
    let list = format!("addresses = [\"tcp://{dead}\", \"pipe:false\", \"tcp://{address}\"]");
    set(&yard.north, "south", &list);
    yard.send(&yard.north, "south", "a", "text");
    yard.north.run(["mb-call", "south"]).silent();
    assert_eq!(waiting(&yard.north, &yard.south).len(), 0);
    let run = yard.north.run(["mb-call", "-v", "south"]);
    assert!(run.stderr().contains(&format!("{dead}")), "what did not answer is told to who asks\n{run}");
    run.ok();
}

#[test]
fn who_cannot_be_called_is_told_with_what_to_do() {
    let yard = Yard::new();
    let run = yard.north.run(["mb-call", "south"]);
    let file = yard.north.config.join("nodes/south.toml");
    let remedy = format!("add `addresses` to {}, or use --addr", file.display());
    assert_eq!(run.stderr(), format!("mb-call: south: no address is known\n  {remedy}\n"));
    run.fails(69);
    yard.north.run(["mb-call", "suoth"]).fails_with(67, "did you mean \"south\"?");
    let dead = closed().to_string();
    yard.north.run(["mb-call", "south", "--addr", &dead]).fails_with(69, &format!("south: tcp://{dead}: "));
    yard.north.run(["mb-call", "south", "--addr", "pipe:/nonexistent/program"]).fails_with(69, "/nonexistent/program");
    yard.north.run(["mb-call", "south", "--addr", "pipe:true"]).fails_with(69, "hung up without a word");
    yard.north.run(["mb-call", "north", "--addr", &dead]).fails(64);
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let yard = Yard::new();
    for options in [
        &[][..],
        &["--addr", "udp://there", "south"],
        &["--addr", "there:0", "south"],
        &["--addr", "pipe:", "south"],
        &["--addr", "127.0.0.1:1"],
        &["--addr", "127.0.0.1:1", "south", "east"],
        &["--all", "south"],
        &["--all", "--due"],
        &["--due", "south"],
        &["--out", "--in", "south"],
        &["--nice", "0", "south"],
        &["--rate", "0", "south"],
        &["--rate", "fast", "south"],
        &["--timeout", "0", "south"],
        &["--max-time", "0", "south"],
        &["--stdio"],
        &["--stdio", "south", "east"],
        &["south", "--", "ssh"],
    ] {
        let run = yard.north.command(["mb-call"]).args(options).run();
        assert_eq!(run.code, 64, "{options:?}: {run}");
    }
    for options in [&["--stdio", "--bind", "127.0.0.1:0"][..], &["--max-conn", "0"], &["--rate", "0"], &["south"]] {
        let run = yard.north.command(["mb-listen"]).args(options).run();
        assert_eq!(run.code, 64, "{options:?}: {run}");
    }
}

/// `mb-listen --stdio` at a node, as words of a command line.
fn answering(node: &Node) -> Vec<String> {
    let config = format!("MB_CONFIG={}", node.config.display());
    let spool = format!("MB_SPOOL={}", node.spool.display());
    vec!["env".into(), config, spool, program("mb-listen").into(), "--stdio".into()]
}

/// As with ssh: the link is the standard input and output of a command.
#[test]
fn a_command_s_pipe_is_a_link_like_any_other() {
    let yard = Yard::new();
    let contents = [Random(1).bytes(3_000_000), Random(2).bytes(2_000_000)];
    for (round, name) in ["a", "b"].into_iter().enumerate() {
        yard.send(&yard.north, "south", name, &contents[0]);
        yard.send(&yard.south, "north", name, &contents[1]);
        let command = answering(&yard.south);
        let call = yard.north.command(["mb-call", "south"]);
        let call = match round {
            0 => call.arg("--stdio").arg("--").args(command),
            _ => call.args(["--addr", &format!("pipe:{}", command.join(" "))]),
        };
        call.run().silent();
        assert_eq!((waiting(&yard.north, &yard.south).len(), waiting(&yard.south, &yard.north).len()), (0, 0));
        yard.north.run(["mb-toss"]).ok();
        yard.south.run(["mb-toss"]).ok();
        assert!(delivered(&yard.south, "north", name).as_ref() == Some(&contents[0]));
        assert!(delivered(&yard.north, "south", name).as_ref() == Some(&contents[1]));
    }
}

/// Both ends are standard input and output: inetd over there, whatever opened the socket here.
#[test]
fn standard_input_and_output_are_a_link_on_both_sides() {
    let yard = Yard::new();
    let (config, spool) = (yard.south.config.clone(), yard.south.spool.clone());
    let dir = yard.world.make_dir("elsewhere");
    let home = World::new();
    let inetd = Inetd::start(move || {
        let call = home.command(["mb-listen", "--stdio", "-v"]).cwd(&dir);
        call.env("MB_CONFIG", &config).env("MB_SPOOL", &spool)
    });
    yard.send(&yard.north, "south", "a", Random(1).bytes(200_000));
    yard.send(&yard.south, "north", "b", Random(2).bytes(200_000));
    let socket: OwnedFd = TcpStream::connect(inetd.address()).expect("it listens").into();
    let mut call = yard.north.command(["mb-call", "--stdio", "south"]);
    let output = socket.try_clone().expect("a descriptor");
    call.raw().stdin(socket).stdout(output);
    let status = call.raw().status().expect("a program of ours");
    drop(call);
    assert!(status.success(), "{status}");
    let run = inetd.ended();
    assert!(run.stderr().contains(": out to north") && run.stderr().contains(": in, "), "{run}");
    run.ok();
    assert_eq!((taken(&yard.north, &yard.south).len(), taken(&yard.south, &yard.north).len()), (2, 2));
}

#[test]
fn toss_delivers_on_both_sides_what_came_and_what_was_there() {
    let (yard, mut listener, _) = Yard::listening(&["--toss"]);
    yard.send(&yard.north, "south", "n", "from north");
    yard.send(&yard.south, "north", "s", "from south");
    let printed = yard.north.run(["mb-call", "--toss", "south"]).ok();
    let path = yard.north.spool.join("incoming/south/s");
    assert_eq!(printed.lines().collect::<Vec<_>>(), [path.to_str().expect("plain")]);
    assert_eq!(fs::read(path).ok().as_deref(), Some(&b"from south"[..]));
    let line = listener.wait_for("incoming/north/n");
    assert_eq!(fs::read(&line).ok().as_deref(), Some(&b"from north"[..]));
    yard.north.run(["mb-call", "--toss", "south"]).silent();
    assert_eq!(listener.stop().ok().lines().collect::<Vec<_>>(), [line]);
}

/// Shows: W44.
#[test]
fn with_nothing_to_do_it_says_nothing_unless_work_is_required() {
    let (yard, _listener, _) = Yard::listening(&[]);
    yard.north.run(["mb-call", "south"]).silent();
    assert_eq!(yard.north.run(["mb-call", "--require-work", "south"]).fails_quietly(3), "");
    yard.send(&yard.north, "south", "a", "text");
    yard.north.run(["mb-call", "--require-work", "south"]).silent();
    yard.send(&yard.south, "north", "b", "text");
    yard.north.run(["mb-call", "--require-work", "south"]).silent();
    assert_eq!(yard.north.run(["mb-call", "--require-work", "--due"]).fails_quietly(3), "");
}

#[test]
fn a_dry_run_tells_whom_it_would_call_and_changes_nothing() {
    let (yard, listener, address) = Yard::listening(&["-v"]);
    yard.send(&yard.north, "south", "a", "text");
    let (north, south) = (tree(&yard.north.dir), tree(&yard.south.dir));
    let run = yard.north.run(["mb-call", "--dry-run", "--all", "--toss"]);
    assert_eq!(run.stderr(), format!("mb-call: would call south: tcp://{address}\n"));
    run.ok();
    yard.north.run(["mb-call", "--dry-run", "-q", "south"]).silent();
    yard.north.run(["mb-call", "--dry-run", "--due"]).silent();
    assert_eq!((tree(&yard.north.dir), tree(&yard.south.dir)), (north, south));
    assert_eq!(listener.stop().stderr().lines().count(), 1, "nobody called");
}

/// Ten packets list one body, and it is sent once.
#[test]
fn a_body_that_several_packets_share_crosses_once() {
    let (yard, listener, _) = Yard::listening(&[]);
    let body = Random(1).bytes(1_000_000);
    let file = yard.world.write("out/shared", &body);
    let mut send = yard.north.command(["mb-send"]).arg(file);
    for number in 0..10 {
        send = send.args(["-t", &format!("south:{number}")]);
    }
    assert_eq!(send.run().ok().lines().count(), 10);
    let run = yard.north.run(["mb-call", "-v", "south"]);
    let summary = Summary::of(&run).unwrap_or_else(|| panic!("{run}"));
    assert!(summary.out_count == 10 && (1_000_000..1_100_000).contains(&summary.out_len), "{summary:?}");
    run.ok();
    yard.south.run(["mb-toss"]).ok();
    for number in 0..10 {
        assert!(delivered(&yard.south, "north", &number.to_string()).as_ref() == Some(&body), "{number}");
    }
    listener.stop().ok();
    is_tidy(&yard.south);
}

/// What the neighbour brought before is here already; what somebody else brought is not told.
#[test]
fn a_body_that_the_neighbour_brought_before_is_not_sent_again() {
    let (yard, _listener, _) = Yard::listening(&[]);
    let body = Random(1).bytes(1_000_000);
    let file = yard.world.write("out/same", &body);
    let two = ["-t", "south:first", "-t", "south:second"];
    let sent = yard.north.command(["mb-send"]).args(two).arg(&file).run().ok();
    let ids: Vec<&str> = sent.lines().collect();
    // The second one is made to wait.
    let tx = yard.north.spool.join(yard.south.id()).join("tx");
    let of_second: Vec<String> = files(&tx).into_iter().filter(|name| name.starts_with(ids[1])).collect();
    let aside = yard.world.make_dir("aside");
    of_second.iter().for_each(|name| fs::rename(tx.join(name), aside.join(name)).expect("a file of the world"));
    yard.north.run(["mb-call", "south"]).silent();
    of_second.iter().for_each(|name| fs::rename(aside.join(name), tx.join(name)).expect("a file of the world"));
    let run = yard.north.run(["mb-call", "-v", "south"]);
    let summary = Summary::of(&run).unwrap_or_else(|| panic!("{run}"));
    assert!(summary.out_count == 1 && summary.out_len < 10_000, "{summary:?}");
    run.ok();
    yard.south.run(["mb-toss"]).ok();
    for name in ["first", "second"] {
        assert!(delivered(&yard.south, "north", name).as_ref() == Some(&body), "{name}");
    }
}

#[test]
fn a_sealed_key_asks_for_its_passphrase_before_it_calls() {
    let yard = Yard::new();
    let sealed = yard.world.place("sealed");
    let init = sealed.command(["mb-init", "--name", "sealed", "--passphrase-fd", "0"]);
    init.stdin("correct horse\n").run().ok();
    yard.south.command(["mb-node", "add"]).stdin(sealed.card()).run().ok();
    sealed.command(["mb-node", "add"]).stdin(yard.south.card()).run().ok();
    let (_listener, address) = listen(&yard.south, &[]);
    let call = || sealed.command(["mb-call", "south", "--passphrase-fd", "0", "--addr", &address.to_string()]);
    call().stdin("correct horse\n").run().silent();
    call().stdin("battery\n").run().fails_with(77, "wrong passphrase");
}

/// Who was asked to take little by `max_time` stops in order, and the next call goes on. A rate makes it long.
#[test]
fn a_call_whose_time_is_up_stops_in_order() {
    let (yard, _listener, _) = Yard::listening(&[]);
    let body = Random(1).bytes(400_000);
    yard.send(&yard.north, "south", "a", &body);
    yard.send_nice(&yard.north, "south", "b", Random(2).bytes(20 << 20), 200);
    let run = yard.north.run(["mb-call", "-v", "--rate", "300000", "--max-time", "1", "--timeout", "3", "south"]);
    let summary = Summary::of(&run).unwrap_or_else(|| panic!("{run}"));
    assert!(summary.out_count == 1 && summary.out_len < 1_000_000, "{run}");
    let left: Vec<u64> = waiting(&yard.north, &yard.south).iter().map(|_| 1).collect();
    assert_eq!(left.len(), 2, "the other one and its body wait");
    is_tidy(&yard.north);
    run.fails_with(75, "the call's time is up");
    yard.north.run(["mb-call", "south"]).silent();
    assert_eq!(waiting(&yard.north, &yard.south).len(), 0);
}

/// A node that was taken off the list is not answered, without a restart. Threat: 13.
#[test]
fn a_node_that_is_not_known_any_more_is_hung_up_on() {
    let (yard, _listener, _) = Yard::listening(&[]);
    yard.send(&yard.north, "south", "a", "text");
    yard.north.run(["mb-call", "south"]).silent();
    yard.south.run(["mb-node", "remove", "north"]).ok();
    // The listener looks again once a second.
    let refused = (0..10_000).map(|_| yard.north.run(["mb-call", "south"])).find(|run| run.code != 0);
    let run = refused.expect("it is never refused");
    assert!(run.stderr().contains("hung up without a word"), "{run}");
    run.fails(69);
    yard.east.run(["mb-call", "south"]).silent();
    yard.south.command(["mb-node", "add"]).stdin(yard.north.card()).run().ok();
    let known = (0..10_000).map(|_| yard.north.run(["mb-call", "south"])).find(|run| run.code == 0);
    known.expect("it is never let in").silent();
}

/// A mistake in a file of the configuration is told once, and what was read before holds.
#[test]
fn a_broken_configuration_is_told_once_and_the_old_one_holds() {
    let (yard, mut listener, _) = Yard::listening(&[]);
    let file = yard.south.config.join("nodes/east.toml");
    let sound = fs::read_to_string(&file).expect("it is known");
    fs::write(&file, format!("adresses = []\n{sound}")).expect("a file of the world");
    let told = |listener: &Running| listener.lines().iter().filter(|line| line.contains("adresses")).count();
    for _ in 0..10_000 {
        yard.north.run(["mb-call", "south"]).silent();
        if told(&listener) > 0 {
            break;
        }
    }
    listener.wait_for("adresses");
    for _ in 0..5 {
        yard.north.run(["mb-call", "south"]).silent();
    }
    assert_eq!(told(&listener), 1, "{:#?}", listener.lines());
}

/// Shows: H19.
#[test]
fn a_stranger_is_told_nothing_and_the_wire_shows_nothing() {
    let (yard, listener, address) = Yard::listening(&[]);
    let proxy = Proxy::clean(address);
    let stranger = yard.world.node("stranger");
    stranger.command(["mb-node", "add"]).stdin(yard.south.card()).run().ok();
    yard.send(&stranger, "south", "a", "let me in");
    let before = tree(&yard.south.spool);
    let run = stranger.run(["mb-call", "south", "--addr", &proxy.address()]);
    assert!(run.stderr().contains("hung up without a word\n  does it know this node?"), "{run}");
    run.fails(69);
    proxy.wait_ended();
    assert_eq!(proxy.passed_len(common::line::DOWN), 0, "not a byte");
    assert_eq!(tree(&yard.south.spool), before);
    yard.send(&yard.north, "south", "a", "a secret that nobody reads");
    let proxy = Proxy::clean(address);
    yard.north.run(["mb-call", "south", "--addr", &proxy.address()]).silent();
    let wire = [proxy.passed(0), proxy.passed(1)].concat();
    let names = ["secret that", "north", "south"].map(str::as_bytes);
    let keys = [&yard.north, &yard.south].map(|node| mb_wire::card::Card::parse(&node.card()).expect("a card"));
    let hidden = names.into_iter().chain(
        keys.iter().flat_map(|card| [&card.call[..], card.id().as_bytes()].map(|key| key.to_vec().leak() as &[u8])),
    );
    for what in hidden {
        assert!(!wire.windows(what.len()).any(|window| window == what), "{what:?} is on the wire");
    }
    assert_eq!(listener.stop().stderr().lines().count(), 1, "strangers are no news without -v");
}

/// Nothing of a call is left but what it was for.
#[test]
fn a_listener_that_is_asked_to_stop_ends_at_once_and_cleanly() {
    let (yard, listener, _) = Yard::listening(&[]);
    yard.north.run(["mb-call", "south"]).silent();
    let run = listener.stop();
    assert!(matches!(run.code, 0 | 143), "{run}");
    is_tidy(&yard.south);
    assert!(Path::new(&yard.south.spool).is_dir());
}
