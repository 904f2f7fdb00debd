//! Calls over a bad line: bytes that come one by one, ends in the middle, cuts at hundreds of places, a full disk, two
//! calls at once. Whatever happens, the next call brings the rest, each packet is there once, and nothing half.

mod common;

use common::line::{DOWN, Fate, Inetd, Pieces, Proxy, Random, Running, Summary, UP, Way};
use common::line::{files, is_tidy, listen, set, taken, waiting};
use common::skip::skip;
use common::{Call, Node, Run, World};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Calls until one ends well, which none of the first few need do: another one may still be at it.
const MOST_CALLS: usize = 1000;

/// Two nodes that know each other, and what was sent between them.
struct Pair {
    world: World,
    north: Node,
    south: Node,
    sent: Vec<Sent>,
}

struct Sent {
    from_north: bool,
    name: String,
    packet: String,
    content: Vec<u8>,
}

impl Pair {
    fn new() -> Pair {
        let world = World::in_memory();
        let (north, south) = (world.node("north"), world.node("south"));
        world.introduce(&[&north, &south]);
        Pair { world, north, south, sent: Vec::new() }
    }

    /// Sends files of these lengths, in one run of mb-send.
    fn send(&mut self, from_north: bool, lens: &[usize]) {
        let (from, to) = if from_north { (&self.north, "south") } else { (&self.south, "north") };
        let mut call = from.command(["mb-send", "-t", to]);
        let mut files = Vec::new();
        for len in lens {
            let name = format!("f{}", self.sent.len() + files.len());
            let content = Random(1000 + (self.sent.len() + files.len()) as u64).bytes(*len);
            call = call.arg(self.world.write(format!("out/{name}"), &content));
            files.push((name, content));
        }
        let printed = call.run().ok();
        assert_eq!(printed.lines().count(), lens.len(), "{printed}");
        self.sent.extend(files.into_iter().zip(printed.lines()).map(|((name, content), packet)| Sent {
            from_north,
            name,
            packet: packet.to_owned(),
            content,
        }));
    }

    fn call(&self, address: &str) -> Call {
        self.north.command(["mb-call", "-v", "south", "--addr", address])
    }

    /// Calls until all is said.
    fn call_until_all_is_said(&self, address: &str) -> Run {
        let runs = (0..MOST_CALLS).map(|_| self.call(address).run());
        let mut runs = runs.inspect(|run| assert!(matches!(run.code, 0 | 75), "{run}"));
        runs.find(|run| run.code == 0).expect("it never ends well")
    }

    /// All of it has crossed, none twice, and nothing else lies about. Not tossed yet.
    #[track_caller]
    fn has_crossed(&self) {
        for (from, to, from_north) in [(&self.north, &self.south, true), (&self.south, &self.north, false)] {
            let sent = self.sent.iter().filter(|sent| sent.from_north == from_north);
            let mut sent: Vec<&str> = sent.map(|sent| sent.packet.as_str()).collect();
            sent.sort_unstable();
            let there = taken(to, from).into_iter().filter(|name| !name.contains('.')).collect::<Vec<_>>();
            assert_eq!(there, sent, "at {}", to.name);
            assert_eq!(waiting(from, to), [""; 0], "at {}", from.name);
            is_tidy(to);
        }
    }

    /// All of it is delivered as it was sent, and once.
    #[track_caller]
    fn is_delivered(&self) {
        self.has_crossed();
        for (from, to, from_north) in [(&self.north, &self.south, true), (&self.south, &self.north, false)] {
            to.run(["mb-toss"]).ok();
            let place = to.spool.join("incoming").join(&from.name);
            let sent: Vec<&Sent> = self.sent.iter().filter(|sent| sent.from_north == from_north).collect();
            assert_eq!(files(&place).len(), sent.len(), "at {}", to.name);
            for sent in sent {
                assert!(fs::read(place.join(&sent.name)).ok().as_ref() == Some(&sent.content), "{}", sent.name);
            }
        }
    }

    /// Bytes of the packets that a run says came in.
    fn landed_len(run: &Run) -> u64 {
        let said = run.stderr();
        let len = |line: &str| line.split_once(": in, ")?.1.split(' ').next()?.parse::<u64>().ok();
        said.lines().filter_map(len).sum()
    }

    /// South answers each connection with a program of its own, which has ended when the test goes on.
    fn inetd(&self) -> Inetd {
        let (config, spool) = (self.south.config.clone(), self.south.spool.clone());
        let home = World::in_memory();
        Inetd::start(move || home.command(["mb-listen", "--stdio"]).env("MB_CONFIG", &config).env("MB_SPOOL", &spool))
    }
}

fn pieces(pieces: Pieces) -> [Way; 2] {
    [Way { pieces, ..Way::default() }; 2]
}

fn fate(number: usize, fate: Fate) -> [Way; 2] {
    let mut ways = [Way::default(); 2];
    ways[number].fate = fate;
    ways
}

/// Threat: 19.
#[test]
fn bytes_that_come_one_by_one_make_a_call() {
    let mut pair = Pair::new();
    let (listener, address) = listen(&pair.south, &[]);
    pair.send(true, &[0, 10, 40_000]);
    pair.send(false, &[0, 10, 40_000]);
    let proxy = Proxy::start(address, pieces(Pieces::Bytes));
    pair.call(&proxy.address()).run().ok();
    pair.is_delivered();
    listener.stop().fails_quietly(0);
}

#[test]
fn pieces_of_any_length_make_a_call() {
    let mut pair = Pair::new();
    let (_listener, address) = listen(&pair.south, &[]);
    for seed in 1..=8 {
        pair.send(true, &[0, 1000, 150_000]);
        pair.send(false, &[0, 1000, 150_000]);
        let proxy = Proxy::start(address, pieces(Pieces::Random(seed)));
        pair.call(&proxy.address()).run().ok();
        pair.has_crossed();
    }
    pair.is_delivered();
}

/// The end of what one side says is not the end of a packet. Threat: 19.
#[test]
fn one_direction_that_ends_early_is_a_call_that_was_cut() {
    let mut pair = Pair::new();
    let inetd = pair.inetd();
    for number in [UP, DOWN] {
        for len in [1104, 1105, 1200, 3000, 40_000, 70_000, 150_000] {
            pair.send(true, &[0, 10, 200_000]);
            pair.send(false, &[0, 10, 200_000]);
            let proxy = Proxy::start(inetd.address(), fate(number, Fate::Half(len)));
            let run = pair.call(&proxy.address()).run();
            assert!(matches!(run.code, 69 | 75), "{number} {len}: {run}");
            let ended = inetd.ended();
            assert!(matches!(ended.code, 0 | 69 | 75), "{number} {len}: {ended}");
            pair.call(&format!("tcp://{}", inetd.address())).run().ok();
            inetd.ended().ok();
            pair.has_crossed();
        }
    }
    pair.is_delivered();
}

/// Cuts a session of about 200 KiB each way after so many bytes of one direction, and calls again.
fn cut_and_call_again(number: usize, lens: impl Iterator<Item = u64>) {
    let mut pair = Pair::new();
    let inetd = pair.inetd();
    let mut cut_count = 0;
    for len in lens {
        pair.send(true, &[0, 10, 200_000]);
        pair.send(false, &[0, 10, 200_000]);
        let proxy = Proxy::start(inetd.address(), fate(number, Fate::Cut(len)));
        let first = pair.call(&proxy.address()).run();
        let ended = inetd.ended();
        for run in [&first, &ended] {
            assert!(matches!(run.code, 0 | 69 | 75), "cut after {len}: {run}");
        }
        cut_count += usize::from(first.code != 0);
        let second = pair.call(&format!("tcp://{}", inetd.address())).run();
        let summary = Summary::of(&second).unwrap_or_else(|| panic!("cut after {len}: {second}"));
        let (code, landed_len) = (second.code, Pair::landed_len(&second));
        assert_eq!(code, 0, "cut after {len}: {first}\n{second}");
        inetd.ended().ok();
        pair.has_crossed();
        assert_eq!(summary.in_len + summary.resumed_len, landed_len, "cut after {len}: {second}");
        // What came in whole frames is not sent again: a frame and a chunk may be lost, and a little around.
        let moved = if number == UP { summary.out_len } else { summary.in_len };
        assert!(moved + len <= 210_000 + (64 << 10) + (64 << 10), "cut after {len}: {moved} more\n{second}");
    }
    assert!(cut_count > 0);
    pair.is_delivered();
}

/// Places all over a session, more of them at its beginning.
fn places(seed: u64) -> impl Iterator<Item = u64> {
    let mut random = Random(seed);
    let mut within = move |first: u64, len: u64| first + random.next() % len;
    let early = [0, 1, 15, 16, 17, 1103, 1104, 1105, 1106, 1107];
    let later: Vec<u64> = (0..20)
        .map(|_| (1000, 4000))
        .chain((0..30).map(|at| (at * 7000, 7000)))
        .map(|(first, len)| within(first, len))
        .collect();
    early.into_iter().chain(later)
}

/// At several places at the same time, each in a world of its own.
fn cut_all_over(number: usize, seed: u64) {
    let places: Vec<u64> = places(seed).collect();
    std::thread::scope(|scope| {
        for some in 0..4 {
            let places = places.iter().skip(some).step_by(4).copied();
            scope.spawn(move || cut_and_call_again(number, places));
        }
    });
}

/// Shows: W8. Threat: 5, 19, 20.
#[test]
fn a_call_cut_anywhere_on_the_way_there_loses_nothing() {
    cut_all_over(UP, 1);
}

/// Threat: 5, 19, 20.
#[test]
fn a_call_cut_anywhere_on_the_way_back_loses_nothing() {
    cut_all_over(DOWN, 2);
}

/// Threat: 5, 19, 20.
#[test]
fn other_cuts_on_the_way_there_lose_nothing() {
    cut_all_over(UP, 3);
}

/// Threat: 5, 19, 20.
#[test]
fn other_cuts_on_the_way_back_lose_nothing() {
    cut_all_over(DOWN, 4);
}

/// Each call is cut a little later than the one before; what they bring adds up to little more than the size.
#[test]
fn a_big_file_gets_through_a_line_that_never_lasts() {
    let mut pair = Pair::new();
    let inetd = pair.inetd();
    let size = 5_000_000;
    pair.send(false, &[size]);
    let (mut came, mut calls) = (0, 0);
    loop {
        let proxy = Proxy::start(inetd.address(), fate(DOWN, Fate::Cut(700_000)));
        let run = pair.call(&proxy.address()).run();
        let summary = Summary::of(&run).unwrap_or_else(|| panic!("{run}"));
        inetd.ended().fails_quietly(if run.code == 0 { 0 } else { 75 });
        came += summary.in_len;
        calls += 1;
        if run.code == 0 {
            break;
        }
        assert!(calls < 20 && run.code == 75, "{run}");
    }
    pair.is_delivered();
    let most = size as u64 + calls * (64 << 10);
    assert!(calls >= 7 && came < most, "{came} bytes in {calls} calls for {size}");
}

/// The first call hangs on a dead line. A second one would be taken for its end over there: it is not made.
#[test]
fn a_second_call_leaves_the_first_alone() {
    let mut pair = Pair::new();
    let (listener, address) = listen(&pair.south, &["-v"]);
    pair.send(true, &[10, 3_000_000]);
    pair.send(false, &[10, 3_000_000]);
    let proxy = Proxy::start(address, fate(UP, Fate::Hold(1_000_000)));
    let hanging = Running::start(pair.call(&proxy.address()).arg("--timeout").arg("2"));
    proxy.wait_held(UP);
    pair.call(&format!("tcp://{address}")).run().fails_with(75, "another call to it is going on");
    hanging.ended().fails(75);
    let last = pair.call_until_all_is_said(&format!("tcp://{address}"));
    pair.is_delivered();
    drop((last, listener));
}

/// Over and over, from both sides. Threat: 17.
#[test]
fn two_nodes_that_call_each_other_at_the_same_time_lose_nothing() {
    let mut pair = Pair::new();
    let ((_north, north), (_south, south)) = (listen(&pair.north, &[]), listen(&pair.south, &[]));
    set(&pair.north, "south", &format!("addresses = [\"tcp://{south}\"]"));
    set(&pair.south, "north", &format!("addresses = [\"tcp://{north}\"]"));
    for _ in 0..8 {
        pair.send(true, &[10, 100_000, 300_000]);
        pair.send(false, &[10, 100_000, 300_000]);
        let mut calls = [pair.north.command(["mb-call", "south"]), pair.south.command(["mb-call", "north"])];
        let children =
            calls.each_mut().map(|call| call.raw().stderr(Stdio::piped()).spawn().expect("a program of ours"));
        for child in children {
            let output = child.wait_with_output().expect("a child");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 75)), "{:?}: {said}", output.status);
        }
        pair.call_until_all_is_said(&format!("tcp://{south}")).fails_quietly(0);
        pair.has_crossed();
    }
    pair.is_delivered();
}

/// The call before has not been heard to be over yet when the next one comes. Either that brings what waits, or it says that
/// it does not.
#[test]
fn a_call_right_after_one_that_was_cut_brings_what_waits_or_fails() {
    let mut pair = Pair::new();
    let (_listener, address) = listen(&pair.south, &[]);
    for round in 0..6 {
        pair.send(false, &[10, 700_000]);
        let is_told = round % 2 == 0;
        let ends = if is_told { Fate::Hold(350_000) } else { Fate::Freeze(350_000) };
        let proxy = Proxy::start(address, fate(DOWN, ends));
        let caller = Running::start(pair.call(&proxy.address()));
        proxy.wait_held(DOWN);
        drop(caller);
        if is_told {
            proxy.release();
        }
        let run = pair.call_until_all_is_said(&format!("tcp://{address}"));
        let left = waiting(&pair.south, &pair.north);
        assert!(left.is_empty(), "it ends well, and yet there waits {left:?}\n{run}");
        pair.has_crossed();
    }
    pair.is_delivered();
}

/// Ten calls of one neighbour at once.
#[test]
fn many_calls_of_one_neighbour_at_once_bring_each_packet_once() {
    let mut pair = Pair::new();
    let (_listener, south) = listen(&pair.south, &[]);
    pair.send(true, &[10, 100_000, 300_000]);
    pair.send(false, &[10, 100_000, 300_000]);
    let address = format!("tcp://{south}");
    let mut calls: Vec<Call> = (0..10).map(|_| pair.call(&address)).collect();
    let spawn = |call: &mut Call| call.raw().stderr(Stdio::piped()).spawn().expect("a program of ours");
    let children: Vec<_> = calls.iter_mut().map(spawn).collect();
    for child in children {
        let output = child.wait_with_output().expect("a child");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 75)), "{:?}: {said}", output.status);
    }
    pair.call_until_all_is_said(&address).fails_quietly(0);
    pair.is_delivered();
}

/// SIGTERM finishes the packet in hand, and begins no other.
#[test]
fn a_listener_that_is_asked_to_stop_finishes_the_packet_in_hand() {
    let mut pair = Pair::new();
    let (listener, address) = listen(&pair.south, &[]);
    // The second is too big to be asked for beside the first.
    pair.send(true, &[300_000, 20 << 20]);
    let proxy = Proxy::start(address, fate(UP, Fate::Hold(100_000)));
    let caller = Running::start(pair.call(&proxy.address()));
    proxy.wait_held(UP);
    let before = proxy.passed_len(DOWN);
    listener.terminate();
    // It tells the caller that it takes no more.
    proxy.wait_passed(DOWN, before + 1);
    proxy.release();
    caller.ended().fails_quietly(0);
    let run = listener.ended();
    assert!(matches!(run.code, 0 | 143), "{run}");
    let there = taken(&pair.south, &pair.north);
    assert_eq!(there.iter().filter(|name| !name.contains('.')).collect::<Vec<_>>(), [&pair.sent[0].packet]);
    assert!(waiting(&pair.north, &pair.south).contains(&pair.sent[1].packet));
    let (_listener, address) = listen(&pair.south, &[]);
    pair.call(&format!("tcp://{address}")).run().ok();
    pair.is_delivered();
}

/// The same of what it gives: what waits behind it is not begun.
#[test]
fn a_listener_that_is_asked_to_stop_finishes_the_packet_in_hand_that_it_gives() {
    let mut pair = Pair::new();
    let (listener, address) = listen(&pair.south, &[]);
    // More than what lies on the line at a time.
    pair.send(false, &[16 << 20, 20 << 20]);
    let proxy = Proxy::start(address, fate(DOWN, Fate::Hold(100_000)));
    let caller = Running::start(pair.call(&proxy.address()));
    proxy.wait_held(DOWN);
    listener.terminate();
    proxy.release();
    caller.ended().fails_quietly(0);
    let run = listener.ended();
    assert!(matches!(run.code, 0 | 143), "{run}");
    let there = taken(&pair.north, &pair.south);
    assert_eq!(there.iter().filter(|name| !name.contains('.')).collect::<Vec<_>>(), [&pair.sent[0].packet]);
    let (_listener, address) = listen(&pair.south, &[]);
    pair.call(&format!("tcp://{address}")).run().ok();
    pair.is_delivered();
}

/// The caller's turn to be asked.
#[test]
fn a_caller_that_is_asked_to_stop_finishes_the_packet_in_hand() {
    let mut pair = Pair::new();
    let (_listener, address) = listen(&pair.south, &[]);
    pair.send(false, &[300_000, 20 << 20]);
    let proxy = Proxy::start(address, fate(DOWN, Fate::Hold(100_000)));
    let caller = Running::start(pair.call(&proxy.address()));
    proxy.wait_held(DOWN);
    let before = proxy.passed_len(UP);
    caller.terminate();
    proxy.wait_passed(UP, before + 1);
    proxy.release();
    let run = caller.ended();
    assert!(matches!(run.code, 143), "{run}");
    let there = taken(&pair.north, &pair.south);
    assert_eq!(there.iter().filter(|name| !name.contains('.')).collect::<Vec<_>>(), [&pair.sent[0].packet]);
    pair.call_until_all_is_said(&format!("tcp://{address}")).fails_quietly(0);
    pair.is_delivered();
}

/// A killed program on either side is a line that was cut. Threat: 23, 24.
#[test]
fn a_side_that_is_killed_loses_nothing() {
    let mut pair = Pair::new();
    for (from_north, number) in [(true, UP), (false, DOWN)] {
        for kills_caller in [true, false] {
            pair.send(from_north, &[10, 700_000]);
            let (listener, address) = listen(&pair.south, &[]);
            let proxy = Proxy::start(address, fate(number, Fate::Hold(350_000)));
            let caller = Running::start(pair.call(&proxy.address()));
            proxy.wait_held(number);
            let (_listener, address) = if kills_caller {
                drop(caller);
                proxy.release();
                (listener, address)
            } else {
                drop(listener);
                proxy.release();
                let run = caller.ended();
                assert!(matches!(run.code, 69 | 75), "{run}");
                listen(&pair.south, &[])
            };
            pair.call_until_all_is_said(&format!("tcp://{address}")).fails_quietly(0);
            pair.has_crossed();
        }
    }
    pair.is_delivered();
}

/// A file system; unmounted when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// A small one in memory; `None`: not permitted, which is told.
    fn new(size: &str, at: &Path) -> Option<Mounted> {
        let options = format!("size={size},mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Mounted(at.to_owned()));
        }
        skip("mounting (root)");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Waits until more than so many bytes of a body have come and are written.
fn wait_for_part(node: &Node, len: u64) {
    let part = node.spool.join("part");
    let has_come =
        || files(&part).iter().filter_map(|file| fs::metadata(part.join(file)).ok()).any(|meta| meta.len() > len);
    while !has_come() {
        std::thread::yield_now();
    }
}

/// Threat: 21.
#[test]
fn a_disk_that_fills_up_in_the_middle_costs_a_call_and_no_packet() {
    let mut pair = Pair::new();
    let place = pair.world.make_dir("small");
    let Some(_mount) = Mounted::new("4m", &place) else { return };
    let config = fs::read_to_string(pair.south.config.join("config.toml")).expect("it has one");
    fs::write(pair.south.config.join("config.toml"), format!("reserve = 0\n{config}")).expect("a file of the world");
    let spool = place.join("spool");
    assert!(Command::new("cp").arg("-a").arg(&pair.south.spool).arg(&spool).status().expect("cp").success());
    pair.south.spool = spool;
    let (mut listener, address) = listen(&pair.south, &[]);
    pair.send(true, &[10, 1_500_000]);
    pair.send(false, &[10]);
    let proxy = Proxy::start(address, fate(UP, Fate::Hold(500_000)));
    let caller = Running::start(pair.call(&proxy.address()));
    proxy.wait_held(UP);
    wait_for_part(&pair.south, 250_000);
    let filler = place.join("filler");
    fs::write(&filler, vec![1; 8 << 20]).expect_err("it is full now");
    proxy.release();
    caller.ended().fails(75);
    listener.wait_for("north: ");
    assert!(files(&pair.south.spool.join("tmp")).is_empty(), "the failing call cleans up");
    fs::remove_file(filler).expect("it is there");
    let run = pair.call_until_all_is_said(&format!("tcp://{address}"));
    let summary = Summary::of(&run).unwrap_or_else(|| panic!("{run}"));
    assert!(summary.out_len < 1_500_000 - 200_000, "what had come before it was full counts: {run}");
    pair.is_delivered();
    listener.stop().fails(75);
}

/// From the beginning there is no room: it is told, and nothing breaks. Threat: 21.
#[test]
fn what_does_not_fit_stays_at_home() {
    let mut pair = Pair::new();
    let place = pair.world.make_dir("small");
    let Some(_mount) = Mounted::new("4m", &place) else { return };
    let config = fs::read_to_string(pair.south.config.join("config.toml")).expect("it has one");
    fs::write(pair.south.config.join("config.toml"), format!("reserve = 0\n{config}")).expect("a file of the world");
    let spool = place.join("spool");
    assert!(Command::new("cp").arg("-a").arg(&pair.south.spool).arg(&spool).status().expect("cp").success());
    pair.south.spool = spool;
    let (_listener, address) = listen(&pair.south, &[]);
    pair.send(true, &[10, 9_000_000, 100_000]);
    let run = pair.call(&format!("tcp://{address}")).run();
    assert!(run.stderr().contains("not taken over there: "), "{run}");
    run.fails(75);
    let there = taken(&pair.south, &pair.north);
    assert_eq!(there.iter().filter(|name| !name.contains('.')).count(), 2);
}

/// Two network namespaces, joined by a slow wire; they go when this is dropped.
struct Wire {
    names: [String; 2],
}

impl Wire {
    /// `None`: not permitted here, which is told.
    fn new() -> Option<Wire> {
        let wire = Wire { names: ["n", "s"].map(|end| format!("mb-{end}-{}", std::process::id())) };
        let [north, south] = &wire.names;
        let steps = [
            format!("netns add {north}"),
            format!("netns add {south}"),
            format!("-n {north} link add wire type veth peer name wire netns {south}"),
            format!("-n {north} addr add 10.77.0.1/24 dev wire"),
            format!("-n {south} addr add 10.77.0.2/24 dev wire"),
            format!("-n {north} link set wire up"),
            format!("-n {south} link set wire up"),
        ];
        let slow = "qdisc add dev wire root tbf rate 16mbit burst 32kbit latency 400ms";
        let is_slow = |end: &String| run(&format!("tc -n {end} {slow}"));
        if steps.iter().all(|step| run(&format!("ip {step}"))) && wire.names.iter().all(is_slow) {
            return Some(wire);
        }
        skip("network namespaces with tbf (root, iproute2)");
        None
    }

    /// Whether anything comes through.
    fn set(&self, state: &str) {
        assert!(run(&format!("ip -n {} link set wire {state}", self.names[0])), "link {state}");
    }

    fn at(&self, end: usize, call: Call) -> Call {
        call.under(["ip", "netns", "exec", &self.names[end]])
    }
}

fn run(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a word"));
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in &self.names {
            run(&format!("ip netns del {name}"));
        }
    }
}

/// Nothing tells either side that the wire is cut: no end, no reset. Shows: W8, W12.
#[test]
fn a_wire_that_is_cut_without_a_word_costs_what_was_not_sent() {
    let mut pair = Pair::new();
    let Some(wire) = Wire::new() else { return };
    pair.send(true, &[10, 2_000_000]);
    pair.send(false, &[10, 2_000_000]);
    let listen = pair.south.command(["mb-listen", "--bind", "10.77.0.2:5404", "--timeout", "1"]);
    let mut listener = Running::start(wire.at(1, listen));
    listener.address();
    let call = || wire.at(0, pair.call("tcp://10.77.0.2").args(["--timeout", "1"]));
    let caller = Running::start(call());
    for node in [&pair.south, &pair.north] {
        wait_for_part(node, 600_000);
    }
    wire.set("down");
    let first = caller.ended();
    assert_eq!(first.code, 75, "{first}");
    wire.set("up");
    let mut last = call().run();
    let mut sum = Summary::of(&last).unwrap_or_default();
    for _ in 0..MOST_CALLS {
        if last.code == 0 {
            break;
        }
        assert!(matches!(last.code, 69 | 75), "{last}");
        last = call().run();
        let more = Summary::of(&last).unwrap_or_default();
        sum.out_len += more.out_len;
        sum.in_len += more.in_len;
        sum.resumed_len += more.resumed_len;
    }
    last.ok();
    assert!(sum.out_len < 1_500_000 && sum.in_len < 1_500_000 && sum.resumed_len >= 500_000, "{sum:?}");
    pair.is_delivered();
}
