//! What a hostile neighbour, a relay, or the user himself tried on receipts, roads, complaints and kept copies.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::skip::have;
use common::{Node, noise, secrets};
use mb_wire::card::Card;
use mb_wire::envelope::{Address, Content, HOPS_MOST, Wrap, packet_id, wrap};
use mb_wire::id::{LetterId, Mark};
use mb_wire::report::{Complaint, Reason, Receipt, Report, Stage};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use yard::{Yard, envelopes, names};

const DAY: Duration = Duration::from_secs(86_400);

/// As `set`, before everything else in the file.
fn set_first(yard: &Yard, at: &str, of: &str, line: &str) {
    let file = yard.node(at).config.join(format!("nodes/{of}.toml"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{line}\n{text}")).unwrap();
}

/// north's folder of this name for a node.
fn folder(yard: &Yard, of: &str, name: &str) -> PathBuf {
    yard.node("north").spool.join(yard.node(of).id()).join(name)
}

/// Whatever waits at north for `to` is four days old.
fn age(yard: &Yard, to: &str) {
    let tx = folder(yard, to, "tx");
    for name in yard.tx("north", to) {
        fs::File::open(tx.join(name)).unwrap().set_modified(SystemTime::now() - 4 * DAY).unwrap();
    }
}

/// The day before was the last one of work.
fn new_day(node: &Node) {
    let file = node.spool.join("self/day");
    let day: u32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    fs::write(file, format!("{}\n", day - 1)).unwrap();
}

/// `to` tosses what `from` has to say of a packet.
fn hand(to: &Node, from: &Node, packet: &str, statement: Vec<u8>) -> common::Run {
    say(to, from, &Content::Reports(vec![Report { packet: packet.parse().unwrap(), statement }]))
}

/// `to` tosses what `from` has to say.
fn say(to: &Node, from: &Node, content: &Content) -> common::Run {
    let card = Card::parse(to.card().trim()).unwrap();
    let address = Address { id: card.id(), exchange: card.keys[0].public };
    let end = u32::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400).unwrap() + 50;
    let wrapping = Wrap { to: &address, end, nice: 1, hops: HOPS_MOST, bodies: &[], ask: false, content };
    let envelope = wrap(&secrets(from), &wrapping).unwrap();
    let rx = to.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    fs::write(rx.join(packet_id(&envelope).to_string()), envelope).unwrap();
    to.run(["mb-toss"])
}

/// Gives way to others until it is so.
fn wait_for(what: impl Fn() -> bool) {
    let is_so = (0..20_000_000).any(|_| {
        std::thread::yield_now();
        what()
    });
    assert!(is_so, "it does not come to that");
}

/// The same road twice, directly: the packet has the same id by both, is published under that, and removed under that.
#[test]
fn a_packet_whose_next_road_is_the_same_is_not_lost() {
    for roads in [r#"roads = [[], []]"#, r#"roads = [["b"], [], []]"#] {
        let yard = Yard::new(&["north", "b", "far"]);
        set_first(&yard, "north", "far", roads);
        let north = yard.node("north");
        yard.send("north", &["-t", "far"], &[("big", &noise(1, 300_000)), ("small", b"x")]);
        for _ in 0..3 {
            age(&yard, "b");
            age(&yard, "far");
            north.run(["mb-toss"]).ok();
        }
        assert_eq!(envelopes(&yard.tx("north", "far")).len(), 2, "{roads}");
        yard.round(&["north", "far"]);
        assert_eq!(names(&yard.node("far").spool.join("incoming/north")), ["big", "small"], "{roads}");
    }
}

/// 70 roads are written, and count as damaged since they are longer than 2 MiB.
#[test]
fn many_roads_are_taken_or_refused() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let roads = [r#"["b"], ["c"]"#; 35].join(", ");
    set_first(&yard, "north", "far", &format!("roads = [{roads}]"));
    let file = yard.world.write("out/file", noise(1, 30_000));
    let north = yard.node("north");
    if north.command(["mb-send", "-t", "far"]).arg(file).run().code == 0 {
        age(&yard, "b");
        north.run(["mb-toss"]).ok();
        assert_eq!([yard.tx("north", "b").len(), yard.tx("north", "c").len()], [0, 1]);
    }
}

/// A copy was kept here, the other one was delivered, which is known: that stays known, and nothing goes by the next road.
#[test]
fn what_was_delivered_stays_delivered_when_its_deadline_comes() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    set_first(&yard, "north", "far", r#"roads = [["b"], ["c"]]"#);
    let north = yard.node("north");
    let packet = yard.send("north", &["--receipt", "-t", "far"], &[("file", b"x")]).remove(0);
    north.command(["mb-xfer", "--all", "--keep"]).arg(&yard.stick).run().silent();
    yard.round(&["b", "far", "b"]);
    north.command(["mb-xfer", "--in", "--toss"]).arg(&yard.stick).run().ok();
    north.run(["mb-stat", "--confirmed", &packet]).silent();
    age(&yard, "b");
    north.run(["mb-toss"]).ok();
    north.run(["mb-stat", "--confirmed", &packet]).silent();
}

/// A copy was kept here and went by the next road, and the other one is delivered: its receipt, which comes by the first road,
/// is the recipient's word.
#[test]
fn what_is_delivered_by_the_first_road_is_known_although_the_second_was_taken() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    set_first(&yard, "north", "far", r#"roads = [["b"], ["c"]]"#);
    let north = yard.node("north");
    let packet = yard.send("north", &["--receipt", "-t", "far"], &[("file", b"x")]).remove(0);
    north.command(["mb-xfer", "--all", "--keep"]).arg(&yard.stick).run().silent();
    age(&yard, "b");
    north.run(["mb-toss"]).ok();
    yard.round(&["b", "far", "b"]);
    north.command(["mb-xfer", "--in", "--toss"]).arg(&yard.stick).run().ok();
    north.run(["mb-stat", "--confirmed", &packet]).silent();
}

/// The way of a packet leads to the next road before it has gone by that, and stays so if it does not.
#[test]
fn a_packet_that_cannot_go_by_the_next_road_keeps_its_way() {
    let yard = Yard::new(&["north", "b", "c", "far"]);
    set_first(&yard, "north", "far", r#"roads = [["b"], ["c"]]"#);
    let north = yard.node("north");
    let packet = yard.send("north", &["--receipt", "-t", "far"], &[("big", &noise(1, 300_000))]).remove(0);
    // As if mb-xfer had just removed it, or it were damaged.
    fs::remove_file(folder(&yard, "b", "tx").join(format!("{packet}.0"))).unwrap();
    age(&yard, "b");
    north.run(["mb-toss"]).ok();
    assert_eq!(yard.tx("north", "c"), [""; 0]);
    let told = north.run(["mb-stat", &packet]).ok();
    assert!(told.contains(&format!("{packet} way b ")), "{told}");
}

/// b, on the way, hands over a complaint that east once made of something else. Threat: 11.
#[test]
fn an_author_is_not_told_of_complaints_that_are_not_of_his_letter() {
    let yard = Yard::new(&["north", "b", "far", "east"]);
    let (north, b) = (yard.node("north"), yard.node("b"));
    let sent = yard.send("north", &["--receipt", "--via", "b", "-t", "far"], &[("file", b"x")]).remove(0);
    yard.round(&["north"]);
    for by in ["east", "far"] {
        let complaint = Complaint { about: LetterId::from_bytes([1; 32]), reason: Reason::Forged };
        let statement = complaint.sign(&secrets(yard.node(by)), 5);
        let said = hand(north, b, &sent, statement).stderr();
        assert_eq!(said, "", "{by}");
    }
}

/// far refuses, then its clock is set back, then it delivers: the last word is that it was delivered.
#[test]
fn delivered_counts_whatever_the_recipients_clock_said_before() {
    let yard = Yard::new(&["north", "far"]);
    let (north, far) = (yard.node("north"), yard.node("far"));
    let sent = yard.send("north", &["--receipt", "-t", "far"], &[("file", b"x")]).remove(0);
    let record = fs::read_to_string(folder(&yard, "far", "way").join(&sent)).unwrap();
    let about: Mark =
        record.lines().find_map(|line| line.strip_prefix("hop ")?.split_once(' ')?.1.parse().ok()).unwrap();
    for (stage, why, time) in [(Stage::Refused, "no", 2_000_000_000), (Stage::Delivered, "", 1_900_000_000)] {
        let statement = Receipt { about, stage, why: why.into(), time }.sign(&secrets(far));
        hand(north, far, &sent, statement).silent();
    }
    north.run(["mb-stat", "--confirmed", &sent]).silent();
}

/// Nobody keeps the reports of a month ago, and whoever does can hand them over again.
#[test]
fn a_complaint_counts_once_for_each_packet_also_after_a_month() {
    let yard = Yard::new(&["north", "b", "far"]);
    let (north, b, far) = (yard.node("north"), yard.node("b"), yard.node("far"));
    yard.send("north", &["--ttl", "200", "--via", "b", "-t", "far"], &[("file", b"x")]);
    yard.round(&["north", "b"]);
    let onward = names(&b.spool.join(far.id()).join("way")).remove(0);
    let statement = Complaint { about: LetterId::from_bytes([1; 32]), reason: Reason::Spam }.sign(&secrets(far), 5);
    hand(b, far, &onward, statement.clone()).silent();
    let complaints = b.spool.join(north.id()).join("complaints");
    let day: u32 = names(&complaints)[0].parse().unwrap();
    fs::rename(complaints.join(day.to_string()), complaints.join((day - 31).to_string())).unwrap();
    new_day(b);
    b.run(["mb-toss"]).silent();
    assert_eq!(names(&complaints), [""; 0]);
    hand(b, far, &onward, statement).silent();
    assert_eq!(names(&complaints), [""; 0], "it counts anew");
}

/// What was not delivered has no path, and nobody complains of it.
#[test]
fn of_a_packet_in_bad_no_path_is_told() {
    let yard = Yard::new(&["north", "far"]);
    yard.send("north", &["--trace", "-t", "far"], &[("big", &noise(1, 300_000))]);
    yard.round(&["north"]);
    let far = yard.node("far");
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let rx = far.spool.join("self/rx");
    let packet = envelopes(&names(&rx)).remove(0).clone();
    let body = rx.join(format!("{packet}.0"));
    let mut bytes = fs::read(&body).unwrap();
    bytes[1000] ^= 1;
    fs::write(body, bytes).unwrap();
    drop(far.run(["mb-toss"]).fails(65));
    assert_eq!(names(&far.spool.join("bad")).len(), 3);
    assert_eq!(names(&far.spool.join("self/path")), [""; 0]);
}

/// mb-xfer --again --dry-run tells what --again would put on the stick.
#[test]
fn a_dry_run_of_again_tells_what_would_go() {
    let yard = Yard::new(&["north", "b"]);
    yard.set("north", "b", "[send]\nkeep = \"until-confirmed\"");
    let packet = yard.send("north", &["-t", "b"], &[("file", b"x")]).remove(0);
    yard.round(&["north"]);
    fs::remove_dir_all(&yard.stick).unwrap();
    fs::create_dir(&yard.stick).unwrap();
    yard.round(&["north"]);
    let north = yard.node("north");
    let would = north.command(["mb-xfer", "--again", "--dry-run", "-v"]).arg(&yard.stick).run();
    assert!(would.stderr().contains(&packet), "{would}");
}

/// A traced packet of a neighbour's own came by no relay: nobody would hear of the complaint, and mb-node says so.
#[test]
fn of_a_neighbours_own_traced_packet_nobody_else_can_be_told() {
    let yard = Yard::new(&["north", "far"]);
    yard.send("north", &["--trace", "-t", "far"], &[("file", b"x")]);
    yard.round(&["north"]);
    let far = yard.node("far");
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let told: serde_json::Value = serde_json::from_str(&far.run(["mb-toss", "--json"]).ok()).unwrap();
    let packet = told["packet"].as_str().unwrap();
    far.run(["mb-node", "complain", packet, "--reason", "spam"]).fails_with(1, "not by way of a relay in the open");
}

/// Something of a packet's name that is no file is left alone, and everything else is done.
#[test]
fn a_folder_with_a_packets_name_stops_nothing() {
    let yard = Yard::new(&["north", "b"]);
    let (north, b) = (yard.node("north"), yard.node("b"));
    let name = packet_id(b"never sent").to_string();
    for place in [format!("{}/way", b.id()), "self/handed".to_owned()] {
        yard.send("b", &["-t", "north"], &[("file", place.as_bytes())]);
        yard.round(&["b"]);
        let dir = north.spool.join(&place).join(&name);
        fs::create_dir_all(&dir).unwrap();
        north.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
        if north.spool.join("self/day").exists() {
            new_day(north);
        }
        let run = north.run(["mb-toss"]);
        assert_eq!(run.code, 0, "{place}\n{run}");
        let run = north.run(["mb-stat", &name]);
        assert_eq!(run.code, 1, "{place}\n{run}");
        fs::remove_dir(dir).unwrap();
    }
}

/// mb-stat NODE, where there is nothing but complaints: that is something.
#[test]
fn a_node_of_which_only_complaints_are_here_is_not_nothing() {
    let yard = Yard::new(&["north", "b"]);
    let b = yard.node("b");
    let day = b.spool.join(yard.node("north").id()).join("complaints/20000");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join(packet_id(b"x").to_string()), "").unwrap();
    assert_eq!(b.run(["mb-stat", "north"]).ok(), "complaints north 1 within 30 days\n");
}

/// --delay means nothing without --onion, whatever stands beside it that goes with no onion either.
#[test]
fn a_delay_without_an_onion_is_refused_beside_every_option() {
    let yard = Yard::new(&["north", "b", "far"]);
    let file = yard.world.write("out/file", "x");
    for beside in [&["--pad"][..], &["--trace"], &["--receipt"], &["--compress", "never"]] {
        let send = yard.node("north").command(["mb-send", "--delay", "5m", "--via", "b", "-t", "far"]).args(beside);
        let run = send.arg(&file).run();
        assert_eq!(run.code, 64, "{beside:?}\n{run}");
    }
}

/// What the recipient gives as its reason is text from outside.
#[test]
fn the_reason_of_a_receipt_does_nothing_to_a_terminal() {
    let yard = Yard::new(&["north", "far"]);
    let (north, far) = (yard.node("north"), yard.node("far"));
    let sent = yard.send("north", &["--receipt", "-t", "far"], &[("file", b"x")]).remove(0);
    let record = fs::read_to_string(folder(&yard, "far", "way").join(&sent)).unwrap();
    let mark = |line: &str| line.strip_prefix("hop ")?.split_once(' ')?.1.parse().ok();
    let about: Mark = record.lines().find_map(mark).unwrap();
    let why = format!("\u{1b}[31m \u{9b}31m \u{7f} \u{202e}\n{sent} way far delivered 2026-01-01T00:00:00Z");
    let statement = Receipt { about, stage: Stage::Refused, why, time: 2_000_000_000 }.sign(&secrets(far));
    hand(north, far, &sent, statement).silent();
    for options in [&["--packets"][..], &["--json"], &["--json", "--confirmed"]] {
        let run = north.command(["mb-stat"]).args(options).arg(&sent).run();
        let told = String::from_utf8(run.stdout).unwrap();
        assert!(
            told.lines()
                .all(|line| !line.ends_with("00:00Z") || !line.starts_with(&format!("{sent} way far delivered"))),
            "{told}"
        );
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!told.contains(bad), "{options:?}: {told:?}");
    }
}

/// Runs mb-xfer --out slowly, each of these calls late by 0.3 s, and `meanwhile` as soon as `when` is so.
fn beside_slow_out(yard: &Yard, calls: &str, when: impl Fn() -> bool, meanwhile: impl FnOnce()) -> common::Run {
    let north = yard.node("north");
    let trace = ["-f", "-o", "/dev/null"].map(str::to_owned);
    let slow = [format!("--trace={calls}"), format!("--inject={calls}:delay_exit=300000")];
    let strace: Vec<String> = ["strace".to_owned()].into_iter().chain(trace).chain(slow).collect();
    let out = north.command(["mb-xfer", "--out", "--all"]).arg(&yard.stick).under(strace);
    std::thread::scope(|scope| {
        let out = scope.spawn(|| out.run());
        wait_for(when);
        meanwhile();
        out.join().unwrap()
    })
}

/// What is half linked into sent/ is no litter: the once-a-day look, or a confirmation of anything unknown, beside mb-xfer.
fn is_kept_beside(meanwhile: impl FnOnce(&Yard)) {
    if !have("strace") {
        return;
    }
    let yard = Yard::new(&["north", "b"]);
    let north = yard.node("north");
    yard.set("north", "b", "[send]\nkeep = \"until-confirmed\"");
    yard.round(&["north"]);
    let big = noise(1, 300_000);
    let packet = yard.send("north", &["-t", "b"], &[("big", &big)]).remove(0);
    let sent = folder(&yard, "b", "sent");
    let body = sent.join(format!("{packet}.0"));
    beside_slow_out(&yard, "linkat", || body.exists(), || meanwhile(&yard)).ok();
    // The stick is lost.
    fs::remove_dir_all(&yard.stick).unwrap();
    fs::create_dir(&yard.stick).unwrap();
    north.command(["mb-xfer", "--all", "--again"]).arg(&yard.stick).run().ok();
    yard.round(&["b"]);
    assert!(yard.delivered("b", "north", "big") == Some(big), "kept: {:?}", names(&sent));
}

#[test]
fn what_is_kept_until_confirmed_is_kept_with_its_bodies() {
    is_kept_beside(|yard| {
        new_day(yard.node("north"));
        yard.node("north").run(["mb-toss"]).silent();
    });
}

/// Threat: 11.
#[test]
fn a_confirmation_of_something_unknown_takes_nothing_away() {
    is_kept_beside(|yard| {
        let unknown = Content::Confirm(vec![packet_id(b"never sent")]);
        say(yard.node("north"), yard.node("b"), &unknown).silent();
    });
}

/// mb-toss gives another road to what mb-xfer has just put on a stick: mb-xfer goes on with the other packets.
#[test]
fn a_packet_on_its_way_to_the_stick_has_no_other_road() {
    if !have("strace") {
        return;
    }
    let yard = Yard::new(&["north", "b", "c", "far"]);
    let north = yard.node("north");
    set_first(&yard, "north", "far", r#"roads = [["b"], ["c"]]"#);
    yard.set("north", "b", "[send]\nkeep = \"until-confirmed\"");
    yard.round(&["north"]);
    yard.send("north", &["-t", "far"], &[("one", b"1"), ("two", b"2")]);
    age(&yard, "b");
    yard.send("north", &["-t", "b"], &[("three", b"3")]);
    let part = yard.stick.join("mailbag/part");
    let is_written = || {
        let packets = |run: &str| names(&part.join(run)).iter().filter(|name| name.starts_with("packet-")).count();
        Path::new(&part).exists() && names(&part).iter().map(|run| packets(run)).sum::<usize>() == 3
    };
    let calls = "syncfs,fsync,fdatasync";
    let run = beside_slow_out(&yard, calls, is_written, || drop(north.run(["mb-toss"]).ok()));
    assert_eq!(run.code, 0, "{run}");
    assert_eq!((yard.tx("north", "b"), yard.tx("north", "c")), (vec![], vec![]));
}

/// A confirmation that asks to be confirmed, and reports that do, are not: two nodes would go on for ever.
#[test]
fn nothing_that_is_said_of_packets_is_confirmed() {
    let yard = Yard::new(&["north", "b"]);
    let (north, b) = (yard.node("north"), yard.node("b"));
    let card = Card::parse(north.card().trim()).unwrap();
    let to = Address { id: card.id(), exchange: card.keys[0].public };
    let end = u32::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400).unwrap() + 50;
    let rx = north.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    let report = Report { packet: packet_id(b"x"), statement: vec![0] };
    for content in [Content::Confirm(vec![packet_id(b"x")]), Content::Reports(vec![report])] {
        let wrapping = Wrap { to: &to, end, nice: 1, hops: HOPS_MOST, bodies: &[], ask: true, content: &content };
        let envelope = wrap(&secrets(b), &wrapping).unwrap();
        fs::write(rx.join(packet_id(&envelope).to_string()), envelope).unwrap();
        north.run(["mb-toss"]).silent();
        assert_eq!((names(&rx), yard.tx("north", "b")), (vec![], vec![]));
    }
}
