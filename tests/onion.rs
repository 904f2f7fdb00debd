//! Onions: at each relay all of a packet changes but its length, and who holds what two relays saw cannot tell where it comes
//! from and goes to.

mod common;
#[path = "relay/yard.rs"]
mod yard;

use common::{noise, tree};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use yard::{Yard, envelopes, names};

/// All files below a folder, by their names.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &str| Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
    let paths = tree(dir).into_iter().map(|line| line.split(' ').next().unwrap().to_owned());
    let files = paths.filter(|path| dir.join(path).is_file() && !path.ends_with("README.txt"));
    files.map(|path| (name(&path), fs::read(dir.join(&path)).unwrap())).collect()
}

fn lens(files: &BTreeMap<String, Vec<u8>>) -> Vec<usize> {
    let mut lens: Vec<usize> = files.values().map(Vec::len).collect();
    lens.sort_unstable();
    lens
}

/// Every so many bytes in a row.
fn runs(files: &BTreeMap<String, Vec<u8>>, len: usize) -> HashSet<&[u8]> {
    files.values().flat_map(|file| file.windows(len)).collect()
}

/// Shows: W47, W48, W49, W5, H86.
/// The same files on each link: as many, as long, under other names, with nothing in common but what every envelope has.
#[test]
fn between_any_two_links_of_an_onion_only_the_lengths_are_the_same() {
    let yard = Yard::new(&["north", "b", "c", "d", "far"]);
    let big = noise(1, 300_000);
    yard.send("north", &["--onion", "--via", "b,c,d", "-t", "far"], &[("big.bin", &big)]);
    yard.send("north", &["--onion", "--via", "b,c,d", "-t", "far"], &[("small", b"hello")]);
    let mut links = Vec::new();
    for name in ["north", "b", "c", "d"] {
        yard.round(&[name]);
        links.push(content(&yard.stick.join("mailbag")));
    }
    // What stands in every envelope of this shape: keys of a map, and small numbers. A byte beside that may be the same by chance.
    let stranger = Yard::new(&["north", "b", "far"]);
    stranger.send("north", &["--onion", "--via", "b", "-t", "far"], &[("other", &noise(2, 300_000)), ("tiny", b"x")]);
    stranger.round(&["north"]);
    let strange = content(&stranger.stick.join("mailbag"));
    let usual = runs(&strange, 15);
    let is_usual = |run: &[u8]| usual.contains(&run[1..]) || usual.contains(&run[..15]);
    let seen: Vec<HashSet<&[u8]>> = links.iter().map(|link| runs(link, 16)).collect();
    for (number, link) in links.iter().enumerate() {
        assert_eq!(lens(link), lens(&links[0]), "link {number}");
        assert_eq!(link.len(), 2 + 2, "two envelopes, two bodies of 256 KiB");
        for (other_number, other) in links[..number].iter().enumerate() {
            let names: BTreeSet<_> = link.keys().filter(|name| other.contains_key(*name)).collect();
            assert!(names.is_empty(), "{other_number} and {number}: {names:?}");
            let mut common = seen[number].intersection(&seen[other_number]);
            assert_eq!(common.find(|run| !is_usual(run)), None, "{other_number} and {number}");
        }
    }
    yard.round(&["far"]);
    assert!(yard.delivered("far", "north", "big.bin").as_ref() == Some(&big));
    assert_eq!(yard.delivered("far", "north", "small").as_deref(), Some(&b"hello"[..]));
    for node in &yard.nodes {
        node.run(["mb-check"]).silent();
        assert_eq!(names(&node.spool.join("tmp")), [""; 0], "at {}", node.name);
        assert!(content(&node.spool.join("body")).is_empty(), "at {}", node.name);
    }
}

/// Shows: W48, W49, W50.
/// All that b and c hold and can open, put together, names neither the last node nor, but for b, the first; and who signed the
/// envelope that reaches far has only passed it on.
#[test]
fn what_two_relays_hold_together_does_not_name_the_ends() {
    let yard = Yard::new(&["north", "b", "c", "d", "far"]);
    yard.send("north", &["--onion", "--via", "b,c,d", "-t", "far"], &[("file", b"hello")]);
    let mut seen = Vec::new();
    for (before, name) in [("north", "b"), ("b", "c")] {
        yard.round(&[before]);
        let node = yard.node(name);
        node.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
        let packet = names(&node.spool.join("self/rx")).remove(0);
        seen.push(node.run(["mb-cat", "--json", &packet]).ok());
    }
    let shown: Vec<serde_json::Value> = seen.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(shown[0]["opened"]["route"]["next"]["name"], "c");
    assert_eq!(shown[1]["opened"]["route"]["next"]["name"], "d");
    assert_eq!(shown[1]["opened"]["from"]["name"], "b");
    // Nothing says how far it has come.
    for view in &shown {
        assert_eq!((&view["opened"]["hops"], &view["opened"]["route"]["onion"]), (&16.into(), &true.into()));
        assert_eq!(view["opened"]["letter"], serde_json::Value::Null);
    }
    assert_eq!(shown[0]["end"], shown[1]["end"]);
    assert!(!seen.iter().any(|text| text.contains(&yard.node("far").id()) || text.contains("\"far\"")), "{seen:?}");
    assert!(!seen[1].contains(&yard.node("north").id()) && !seen[1].contains("\"north\""), "{}", seen[1]);
    yard.round(&["c", "d"]);
    let far = yard.node("far");
    far.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let packet = names(&far.spool.join("self/rx")).remove(0);
    let view: serde_json::Value = serde_json::from_str(&far.run(["mb-cat", "--json", &packet]).ok()).unwrap();
    assert_eq!(
        (&view["opened"]["from"]["name"], &view["opened"]["letter"]["author"]["name"]),
        (&"d".into(), &"north".into())
    );
}

/// Shows: W49.
/// What the sender chose finely is not seen: priority, last day and sizes come from few values.
#[test]
fn what_is_seen_of_an_onion_is_coarse() {
    let yard = Yard::new(&["north", "b", "far"]);
    let mut seen = BTreeSet::new();
    for (nice, ttl, len) in [("1", "85", 40_000), ("96", "86", 200_000), ("64", "88", 262_144)] {
        let options = ["--onion", "--via", "b", "-t", "far", "--nice", nice, "--ttl", ttl];
        let packet = yard.send("north", &options, &[("file", &noise(7, len))]).remove(0);
        let north = yard.node("north");
        let view: serde_json::Value = serde_json::from_str(&north.run(["mb-cat", "--json", &packet]).ok()).unwrap();
        let sizes: Vec<u64> = view["bodies"].as_array().unwrap().iter().map(|b| b["size"].as_u64().unwrap()).collect();
        seen.insert((view["nice"].as_u64().unwrap(), view["bytes"].as_u64().unwrap(), sizes));
        let (year, rest) = view["end"].as_str().unwrap().split_once('-').unwrap();
        let (month, day) = rest.split_once('-').unwrap();
        let days = days_from_civil(year.parse().unwrap(), month.parse().unwrap(), day.parse().unwrap());
        assert_eq!(days % 8, 0, "{}", view["end"]);
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    let (nice, _, sizes) = seen.pop_first().unwrap();
    assert_eq!((nice, sizes), (64, vec![262_208]));
    // A stream, whose length nobody knows before: one body of a power of two.
    let stream =
        yard.node("north").command(["mb-send", "--onion", "--via", "b", "-t", "far:s", "-"]).stdin(noise(8, 600_000));
    let packet = stream.run().ok();
    let shown = yard.node("north").run(["mb-cat", packet.trim()]).ok();
    assert!(shown.contains(" 1048832 bytes"), "{shown}");
    yard.round(&["north", "b", "far"]);
    assert!(yard.delivered("far", "north", "s") == Some(noise(8, 600_000)));
}

/// Days since 1970-01-01 (Howard Hinnant, chrono-compatible low-level date algorithms).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, shifted) = (year.div_euclid(400), (month + 9) % 12);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[test]
fn seven_relays_are_passed_and_eight_refused() {
    let relays = ["r1", "r2", "r3", "r4", "r5", "r6", "r7"];
    let yard = Yard::new(&[&["north"][..], &relays, &["far"]].concat());
    let via = relays.join(",");
    let file = noise(3, 100_000);
    yard.send("north", &["--onion", "--via", &via, "-t", "far"], &[("file", &file)]);
    yard.round(&["north"]);
    yard.round(&relays);
    yard.round(&["far"]);
    assert!(yard.delivered("far", "north", "file") == Some(file));
    let path = yard.world.write("out/more", "x");
    let run = yard.node("north").command(["mb-send", "--onion", "--via", &format!("r1,{via}"), "-t", "far"]).arg(&path);
    run.run().fails_with(64, "a way by 8 relays; at most 7 are allowed");
}

#[test]
fn an_onion_needs_relays_and_does_not_compress() {
    let yard = Yard::new(&["north", "b", "far"]);
    let file = yard.world.write("out/file", "x");
    let send = |options: &[&str]| yard.node("north").command(["mb-send", "-t", "far"]).args(options).arg(&file).run();
    send(&["--onion"]).fails_with(64, "--onion: far: no relay is on the way to it");
    send(&["--onion", "--via", "b", "--compress", "always"]).fails(64);
    send(&["--delay", "1h", "--via", "b"]).fails(64);
    send(&["--onion", "--via", "b", "--delay", "8d"]).fails_with(64, "at most 7d");
    yard.set("north", "far", r#"roads = [["b"]]"#);
    send(&["--onion"]).ok();
    assert_eq!(envelopes(&yard.tx("north", "b")).len(), 1);
}

/// Each recipient's onion is one of its own: two links have no body in common, even behind one hub.
#[test]
fn onions_to_several_nodes_share_nothing() {
    let yard = Yard::new(&["north", "b", "r1", "r2"]);
    let file = noise(4, 300_000);
    yard.send("north", &["--onion", "--via", "b", "-t", "r1", "-t", "r2", "--copy-self"], &[("file", &file)]);
    let bodies = |at: &str, to: &str| {
        let dir = yard.node(at).spool.join(yard.node(to).id()).join("tx");
        let names = yard.tx(at, to).into_iter().filter(|name| name.contains('.'));
        names.map(|name| fs::read(dir.join(name)).unwrap()).collect::<HashSet<_>>()
    };
    assert_eq!(bodies("north", "b").len(), 4, "two of 256 KiB for each");
    yard.round(&["north"]);
    let b = yard.node("b");
    b.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    b.run(["mb-toss"]).silent();
    assert!(bodies("b", "r1").is_disjoint(&bodies("b", "r2")));
    yard.round(&["b", "r1", "r2"]);
    for name in ["r1", "r2", "north"] {
        assert!(yard.delivered(name, "north", "file").as_ref() == Some(&file), "at {name}");
    }
}

/// Threat: 8.
/// A bit of a body is changed at one relay's door, with the body's name to match: the relay finds that it is not what the author
/// sent, and passes nothing on.
#[test]
fn an_altered_body_stops_at_the_next_honest_relay() {
    let yard = Yard::new(&["north", "b", "far"]);
    yard.send("north", &["--onion", "--via", "b", "-t", "far"], &[("file", &noise(5, 300_000))]);
    yard.round(&["north"]);
    let b = yard.node("b");
    b.command(["mb-xfer", "--in"]).arg(&yard.stick).run().silent();
    let rx = b.spool.join("self/rx");
    let body = names(&rx).into_iter().find(|name| name.contains('.')).unwrap();
    let mut bytes = fs::read(rx.join(&body)).unwrap();
    bytes[100_000] ^= 1;
    fs::remove_file(rx.join(&body)).unwrap();
    fs::write(rx.join(&body), bytes).unwrap();
    b.run(["mb-toss"]).fails_with(65, "bodies are not those that the route was made for");
    assert_eq!(yard.tx("b", "far"), [""; 0]);
    assert_eq!(names(&b.spool.join("tmp")), [""; 0]);
}

/// With --delay a relay's tosser keeps it for a while; how long was left to chance, so some of many are held and some time after
/// all are passed on.
#[test]
fn a_delayed_onion_is_held_by_the_relay_and_then_goes_on() {
    let yard = Yard::new(&["north", "b", "far"]);
    let files: Vec<(String, Vec<u8>)> = (0..8).map(|n| (format!("f{n}"), vec![n])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    yard.send("north", &["--onion", "--delay", "7d", "--via", "b", "-t", "far"], &files);
    yard.round(&["north", "b"]);
    let b = yard.node("b");
    let rx = b.spool.join("self/rx");
    let held = names(&rx);
    assert!(!held.is_empty(), "one of eight stays for more than an instant of seven days");
    let said = b.run(["mb-toss", "-v"]).fails_quietly(0);
    assert!(said.contains("is held until "), "{said}");
    assert_eq!(names(&rx), held);
    // Seven days later: the envelopes came seven days ago.
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7 * 86_400 + 1);
    for name in &held {
        fs::File::options().write(true).open(rx.join(name)).unwrap().set_modified(long_ago).unwrap();
    }
    b.run(["mb-toss"]).silent();
    yard.round(&["b", "far"]);
    for (name, bytes) in files {
        assert_eq!(yard.delivered("far", "north", name).as_deref(), Some(bytes), "{name}");
    }
}
