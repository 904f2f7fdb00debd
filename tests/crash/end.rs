//! What must hold when a story has ended: every file is there once and whole, and nothing is left over.

use crate::scenario::{Scenario, expected};
use crate::yard::{Tree, Yard, files_below};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What is wrong in the end; nothing, if all is well.
pub fn problems(scenario: &Scenario, yard: &Yard) -> Vec<String> {
    let mut found = wrong_deliveries(scenario, yard);
    for node in ["north", "south", "east"] {
        found.extend(litter_in_spool(&yard.path(node).join("spool")));
    }
    found.extend(litter_on_stick(&yard.path("stick")));
    if found.is_empty() {
        found.extend((scenario.end)(yard));
        found.extend(checks(scenario, yard));
    }
    found
}

/// Files that are not there, twice, or not what was sent.
pub fn wrong_deliveries(scenario: &Scenario, yard: &Yard) -> Vec<String> {
    let mut found = Vec::new();
    for (place, names) in scenario.delivered {
        let there = without_reserved(scenario, yard.tree(place));
        found.extend(differences(place, &there, &expected(yard, names)));
    }
    found
}

/// How many files and folders were sent, and how many of these were delivered.
pub fn delivered_count(scenario: &Scenario, yard: &Yard) -> (usize, usize) {
    let all = scenario.delivered.iter().flat_map(|(place, names)| names.iter().map(move |name| (place, name)));
    let (mut sent, mut delivered) = (0, 0);
    for (place, name) in all {
        sent += 1;
        delivered += usize::from(yard.path(place).join(name).exists());
    }
    (sent, delivered)
}

/// Something visible in a folder of delivery that is not whole, or that nobody sent. Staged names are not looked at.
pub fn half_delivered(scenario: &Scenario, yard: &Yard) -> Vec<String> {
    let mut found = Vec::new();
    for (place, names) in scenario.delivered {
        let mut there = without_reserved(scenario, yard.tree(place));
        there.retain(|path, _| !is_staged(path));
        if reserves(scenario) {
            // The reservation of a file is a link to nowhere, that of a folder is an empty one.
            there.retain(|path, _| !is_reservation(&yard.path(place).join(path)) || path.iter().nth(1).is_some());
        }
        let mut wanted = expected(yard, names);
        wanted.retain(|path, _| top(path).is_some_and(|top| there.contains_key(top)));
        found.extend(differences(place, &there, &wanted));
    }
    found
}

fn is_staged(path: &Path) -> bool {
    top(path).is_some_and(|top| top.to_string_lossy().starts_with(".mb-"))
}

fn top(path: &Path) -> Option<&Path> {
    path.iter().next().map(Path::new)
}

fn reserves(scenario: &Scenario) -> bool {
    scenario.lacks.iter().any(|(name, _)| *name == "renameat2")
}

fn is_reservation(path: &Path) -> bool {
    !path.exists() || path.is_dir() && entries(path).is_empty()
}

/// Where every rename replaces, the name of a folder is reserved by an empty folder, which a kill may leave behind: then
/// the next number is taken.
fn without_reserved(scenario: &Scenario, tree: Tree) -> Tree {
    let second = |name: &Path| PathBuf::from(format!("{}.1", name.display()));
    let is_reserved = |name: &Path| {
        reserves(scenario)
            && tree.contains_key(&second(name))
            && !tree.keys().any(|path| path != name && path.starts_with(name))
    };
    let reserved: Vec<PathBuf> = tree.keys().filter(|name| is_reserved(name)).cloned().collect();
    let mut kept = Tree::new();
    for (path, thing) in tree {
        match reserved.iter().find_map(|name| Some((name, path.strip_prefix(second(name)).ok()?))) {
            Some((name, below)) if below.as_os_str().is_empty() => drop(kept.insert(name.clone(), thing)),
            Some((name, below)) => drop(kept.insert(name.join(below), thing)),
            None if reserved.contains(&path) => {}
            None => drop(kept.insert(path, thing)),
        }
    }
    kept
}

fn differences(place: &str, there: &Tree, wanted: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, thing) in wanted {
        match there.get(path) {
            None => found.push(format!("{place}: {}: not delivered", path.display())),
            Some(other) if other != thing => found.push(format!("{place}: {}: not what was sent", path.display())),
            Some(_) => {}
        }
    }
    let unwanted = there.keys().filter(|path| !wanted.contains_key(*path));
    found.extend(unwanted.map(|path| format!("{place}: {}: nobody sent that", path.display())));
    found
}

fn litter_in_spool(spool: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in files_below(spool) {
        let below = path.strip_prefix(spool).expect("it is below");
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            ["incoming", .., name] if !name.starts_with(".mb-") => {}
            ["self", "keys" | "once", _] | ["self", "day"] | ["self", "seen", "FLOOR"] => {}
            // Until its day.
            [_, "way", _] | ["self", "path" | "reply" | "asked", _, _] => {}
            // Of a packet that was never sent: until tomorrow.
            [node, "road", name]
                if !spool.join(node).join("tx").join(name.split('.').next().unwrap_or(name)).exists() => {}
            // Which message of an area whom has: until its day.
            ["self", "area", _, _, _] => {}
            // A message that is kept, and what finds its body.
            ["area", _, _, _] => {}
            ["body", _, _] if fs::metadata(&path).is_ok_and(|meta| meta.nlink() > 1) => {}
            // Goes with the next look.
            [_, "relayed", _] => {}
            ["self", "seen", _, _] if is_done_mark(&path) => {}
            _ => found.push(format!("left over: {}", path.display())),
        }
    }
    for dir in ["tmp", "self/out"] {
        found.extend(entries(&spool.join(dir)).into_iter().map(|path| format!("left over: {}", path.display())));
    }
    found
}

fn is_done_mark(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() == 0 && meta.permissions().mode() & 0o777 == 0o400)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
}

fn litter_on_stick(stick: &Path) -> Vec<String> {
    let mut left = files_below(stick);
    left.retain(|path| !path.ends_with("mailbag/README.txt"));
    left.extend(entries(&stick.join("mailbag/part")).into_iter().filter(|path| path.is_dir()));
    left.into_iter().map(|path| format!("left over: {}", path.display())).collect()
}

/// mb-check, silent at every node that took part and on the stick.
fn checks(scenario: &Scenario, yard: &Yard) -> Vec<String> {
    let check = |node: &&str| yard.command(node, &["mb-check", "--threads", "1"]).run();
    let mut runs: Vec<_> = scenario.nodes().iter().map(check).collect();
    if yard.path("stick/mailbag").is_dir() {
        runs.push(yard.command("north", &["mb-check", "--threads", "1", "@/stick"]).run());
    }
    let speaks = runs.iter().filter(|run| run.code != 0 || !run.stdout.is_empty() || !run.stderr.is_empty());
    speaks.map(ToString::to_string).collect()
}
