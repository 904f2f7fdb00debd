//! Man pages, help and programs say the same: options, sections, exit codes.

mod common;

use common::skip::have;
use common::{World, program};
use mb_cli::{Class, code};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The sections of every page, in their order. A page of a program has all but `ENVIRONMENT`.
const SECTIONS: [&str; 9] =
    ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];
/// Lines of a screen that a help has to fit.
const SCREEN: usize = 50;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs that `bin/` holds.
fn programs() -> Vec<String> {
    let names = files_in("bin").into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".rs")?;
        name.starts_with("mb-").then(|| name.to_owned())
    });
    let names: Vec<String> = names.collect();
    assert!(names.len() >= 5, "{names:?}");
    names
}

fn files_in(dir: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(dir)).unwrap_or_else(|e| panic!("{dir}: {e}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder of the project").path()).collect();
    paths.sort();
    paths
}

/// A page by its file name.
fn page(name: &str) -> String {
    let path = root().join("man").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The sections of a page, in order, each with its lines.
fn sections(page: &str) -> Vec<(String, Vec<&str>)> {
    let mut sections: Vec<(String, Vec<&str>)> = Vec::new();
    for line in page.lines() {
        match line.strip_prefix(".Sh ") {
            Some(name) => sections.push((name.to_owned(), Vec::new())),
            None => sections.last_mut().map(|(_, lines)| lines.push(line)).unwrap_or_default(),
        }
    }
    sections
}

fn section<'a>(sections: &'a [(String, Vec<&'a str>)], name: &str) -> &'a [&'a str] {
    sections.iter().find(|(found, _)| found == name).map_or(&[], |(_, lines)| lines)
}

/// The options that a page has an entry for: `-t`, `--to`.
fn documented(page: &str) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(".It ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let flags = words.windows(2).filter(|pair| pair[0] == "Fl").map(|pair| format!("-{}", pair[1]));
        options.extend(flags);
    }
    options
}

fn help(words: &[&str]) -> String {
    World::new().command(words.iter().chain(&["--help"])).run().ok()
}

/// The options that a help shows: those at the beginning of a line, behind white space.
fn shown(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split("  ").next().unwrap_or_default().split([' ', ',']));
    let options = words.filter(|word| word.starts_with('-'));
    options.map(|word| word.trim_end_matches("...").to_owned()).collect()
}

/// The commands that a help lists.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// All options of a program, with those of its commands.
fn all_shown(name: &str) -> BTreeSet<String> {
    let top = help(&[name]);
    let mut options = shown(&top);
    for command in commands(&top) {
        options.extend(shown(&help(&[name, &command])));
    }
    options
}

/// Options in common stand once, in mb(7); a program's own on its page. Together they are what its help shows.
#[test]
fn pages_and_programs_have_the_same_options() {
    let common = documented(&page("mb.7"));
    assert!(common.contains("--config") && common.contains("-C"), "{common:?}");
    for name in programs() {
        let shown = all_shown(&name);
        let mut own: BTreeSet<String> = shown.difference(&common).cloned().collect();
        if name == "mb-check" {
            // There it has a meaning of its own.
            own.insert("--config".into());
        }
        assert_eq!(documented(&page(&format!("{name}.1"))), own, "{name}.1 (left) and {name} --help (right)");
        assert!(common.is_subset(&shown), "{name} lacks an option that mb(7) says all have: {shown:?}");
    }
}

#[test]
fn sections_stand_in_one_order() {
    for path in files_in("man") {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = page(&name);
        let found: Vec<String> = sections(&text).into_iter().map(|(name, _)| name).collect();
        let in_order: Vec<&str> =
            SECTIONS.into_iter().filter(|known| found.iter().any(|found| found == known)).collect();
        assert_eq!(found, in_order, "{name}");
        if name.ends_with(".1") {
            let wanted: Vec<&str> = SECTIONS.into_iter().filter(|section| *section != "ENVIRONMENT").collect();
            assert_eq!(found, wanted, "{name}");
        }
    }
}

/// The exit codes in a page's table.
fn exit_codes(page: &str) -> BTreeSet<u8> {
    let sections = sections(page);
    let items = section(&sections, "EXIT STATUS").iter().filter_map(|line| line.strip_prefix(".It "));
    items.map(|item| item.trim().parse().unwrap_or_else(|_| panic!("EXIT STATUS: {item}"))).collect()
}

#[test]
fn exit_codes_are_those_of_the_one_table() {
    use Class::*;
    let classes = [
        No,
        Nothing,
        Usage,
        Data,
        NoInput,
        UnknownName,
        Unreachable,
        Bug,
        CannotCreate,
        Io,
        Later,
        Protocol,
        Refused,
        Config,
    ];
    let all: BTreeSet<u8> = classes.into_iter().map(code).chain([0]).collect();
    assert_eq!(exit_codes(&page("mb.7")), all, "mb(7)");
    for name in programs() {
        let codes = exit_codes(&page(&format!("{name}.1")));
        assert!(codes.is_subset(&all) && codes.contains(&0) && codes.contains(&64), "{name}.1: {codes:?}");
    }
}

#[test]
fn help_fits_a_screen_and_ends_with_examples() {
    for name in programs() {
        let text = help(&[&name]);
        let count = text.lines().count();
        assert!(count <= SCREEN, "{name}: {count} lines");
        let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
        assert!(last.starts_with("Examples:\n") && last.contains(&name), "{name}: {last}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{name}");
        for command in commands(&text) {
            assert!(help(&[&name, &command]).lines().count() <= SCREEN, "{name} {command}");
        }
    }
}

#[test]
fn each_program_says_its_version() {
    for name in programs() {
        let version = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(World::new().command([&name, "--version"]).run().ok(), version);
    }
}

#[test]
fn completions_for_three_shells_come_from_the_program_itself() {
    let world = World::new();
    for name in programs() {
        for shell in ["bash", "zsh", "fish"] {
            let script = world.command([&name, "--completions", shell]).run().ok();
            let option = if shell == "fish" { "passphrase-fd" } else { "--passphrase-fd" };
            assert!(script.contains(&name) && script.contains(option), "{name} {shell}");
        }
    }
    world.command(["mb-toss", "--completions", "abacus"]).run().fails_with(64, "the name of a shell");
    world.command(["mb-toss", "--completions"]).run().fails_with(64, "the name of a shell");
}

#[test]
fn mandoc_has_nothing_to_say_about_the_pages() {
    if !have("mandoc") {
        return;
    }
    let mut command = Command::new("mandoc");
    let output = command.args(["-Tlint", "-Wwarning"]).args(files_in("man")).output().expect("mandoc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Every page of a program has a program, and the tour names them all.
#[test]
fn pages_are_about_programs_that_are_there() {
    let tour = page("mb.7");
    for path in files_in("man").into_iter().filter(|path| path.extension().is_some_and(|end| end == "1")) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(Path::new(program(&name)).is_file(), "{name}");
        assert!(tour.contains(&format!(".It Xr {name} 1")), "mb(7) does not list {name}");
    }
}
