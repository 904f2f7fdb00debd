//! Claims on random histories: the model answers as the kernel does, and a crash keeps what it must.

use super::super::{Dir, DirRef, Result, real};
use super::dice::Dice;
use super::{Fault, Node, Options, World};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::Arc;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Walks down from the root by names drawn at random, for as long as there are folders.
fn some_dir(root: &DirRef, dice: &mut Dice) -> DirRef {
    let mut dir = Arc::clone(root);
    for _ in 0..dice.below(4) {
        match dir.open_dir(some_name(dice)) {
            Ok(below) => dir = below,
            Err(_) => break,
        }
    }
    dir
}

fn some_name(dice: &mut Dice) -> &'static OsStr {
    OsStr::new(NAMES[dice.between(0, NAMES.len() - 1)])
}

/// One call drawn at random and what came of it.
fn some_call(root: &DirRef, dice: &mut Dice) -> String {
    let (dir, to) = (some_dir(root, dice), some_dir(root, dice));
    let (name, new) = (some_name(dice), some_name(dice));
    let outcome = match dice.below(12) {
        0 | 1 => outcome(dir.make_dir(name, 0o700)),
        2 => outcome(dir.create(name, 0o600).and_then(|file| file.write_at(name.as_encoded_bytes(), 3))),
        3 => outcome(dir.open_rw(name).and_then(|file| file.set_len(2))),
        4 => outcome(dir.symlink(new, name)),
        5 => outcome(dir.link(name, &*to, new)),
        6 | 7 => outcome(dir.rename(name, &*to, new)),
        8 => outcome(dir.rename_new(name, &*to, new)),
        9 => outcome(dir.unlink(name)),
        10 => outcome(dir.remove_dir(name)),
        _ => outcome(dir.stat(name).map(|stat| (stat.kind, stat.mode))),
    };
    format!("{name:?} {new:?} {outcome}")
}

fn outcome<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(e) => format!("{} {:?}", e.attempt, e.cause.kind()),
    }
}

/// Everything below a folder, through the trait.
fn listing(dir: &dyn Dir, under: &str, into: &mut BTreeSet<String>) {
    for entry in dir.list().unwrap() {
        let entry = entry.unwrap();
        let path = format!("{under}/{}", entry.name.display());
        let mut bytes = [0; 16];
        let content = dir.open(&entry.name).map(|file| file.read_at(&mut bytes, 0).unwrap()).unwrap_or_default();
        let names = dir.stat(&entry.name).unwrap();
        let names = if names.kind == super::super::Kind::Dir { 0 } else { names.link_count };
        into.insert(format!("{path} {:?} {:?} {names}", entry.kind, &bytes[..content]));
        if let Ok(below) = dir.open_dir(&entry.name) {
            listing(&*below, &path, into);
        }
    }
}

#[test]
fn the_model_answers_as_the_kernel_does() {
    for seed in 0..60 {
        let place = tempfile::tempdir().unwrap();
        let roots = [real::open_root(place.path()).unwrap(), World::new(seed).file_system(Options::default())];
        let mut dice = [Dice::new(seed), Dice::new(seed)];
        for step in 0..150 {
            let [of_kernel, of_model] = [0, 1].map(|i| some_call(&roots[i], &mut dice[i]));
            assert_eq!(of_kernel, of_model, "seed {seed} step {step}");
        }
        let [of_kernel, of_model] = roots.each_ref().map(|root| {
            let mut set = BTreeSet::new();
            listing(&**root, "", &mut set);
            set
        });
        assert_eq!(of_kernel, of_model, "seed {seed}");
    }
}

/// Moves files and folders about, makes and removes folders, syncs one now and then; never removes a file.
fn move_about(root: &DirRef, dice: &mut Dice) {
    let (dir, to) = (some_dir(root, dice), some_dir(root, dice));
    let (name, new) = (some_name(dice), some_name(dice));
    let _ = match dice.below(10) {
        0 | 1 => dir.make_dir(name, 0o700),
        2..=5 => dir.rename_new(name, &*to, new),
        6 => dir.remove_dir(name),
        7 if to.open_dir(new).is_ok() => dir.open_dir(name).and_then(|_| dir.rename(name, &*to, new)),
        8 => dir.sync(),
        _ => Ok(()),
    };
}

/// The files of a world by content, which is all different.
fn files(world: &World) -> BTreeSet<Vec<u8>> {
    let content = |node: Node| match node {
        Node::File(content) => Some(content.to_vec()),
        _ => None,
    };
    world.tree().into_values().filter_map(content).collect()
}

#[test]
fn no_order_of_moves_and_syncs_loses_a_file_that_nobody_removed() {
    for seed in 0..3000 {
        let (world, mut dice) = (World::new(seed), Dice::new(seed));
        let root = world.file_system(Options::default());
        for name in NAMES {
            let dir = some_dir(&root, &mut dice);
            let _ = dir.make_dir(some_name(&mut dice), 0o700);
            if let Ok(file) = dir.create(OsStr::new(name), 0o600) {
                file.write_at(name.as_bytes(), 0).unwrap();
            }
        }
        root.sync_fs().unwrap();
        let all = files(&world);
        for _ in 0..dice.below(40) {
            if dice.below(20) == 0 {
                world.fail_at(1, Fault::Io, false);
            }
            move_about(&root, &mut dice);
        }
        assert_eq!(files(&world), all);
        for crash in 0..12 {
            let found = world.after_crash(crash);
            assert_eq!(files(&found), all, "seed {seed} crash {crash}\nbefore:\n{world:?}after:\n{found:?}");
        }
    }
}

#[test]
fn after_a_sync_of_all_a_crash_changes_nothing() {
    for seed in 0..500 {
        let (world, mut dice) = (World::new(seed), Dice::new(seed));
        let root = world.file_system(Options::default());
        (0..60).for_each(|_| drop(some_call(&root, &mut dice)));
        let killed = world.after_kill();
        assert_eq!(killed.tree(), world.tree());
        root.sync_fs().unwrap();
        killed.settle();
        for world in [world, killed] {
            assert_eq!(world.after_crash(seed).tree(), world.tree(), "seed {seed}");
        }
    }
}
