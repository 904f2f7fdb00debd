//! What both implementations promise alike, and what only the kernel's can show.

use super::memory::{Options, World};
use super::{Dir, DirRef, Error, Kind, Lock, real};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// Runs a claim on a folder of the kernel's and on one of the model's.
fn on_both(claim: impl Fn(&dyn Dir)) {
    let place = tempfile::tempdir().unwrap();
    claim(&*real::open_root(place.path()).unwrap());
    claim(&*World::new(1).file_system(Options::default()));
}

fn n(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn put(dir: &dyn Dir, name: &str, content: &str) {
    dir.create(n(name), 0o600).unwrap().write_at(content.as_bytes(), 0).unwrap();
}

fn content(dir: &dyn Dir, name: &str) -> String {
    let mut bytes = vec![0; 64];
    let len = dir.open(n(name)).unwrap().read_at(&mut bytes, 0).unwrap();
    bytes.truncate(len);
    String::from_utf8(bytes).unwrap()
}

fn names(dir: &dyn Dir) -> BTreeSet<OsString> {
    dir.list().unwrap().map(|entry| entry.unwrap().name).collect()
}

fn sub(dir: &dyn Dir, name: &str) -> DirRef {
    dir.make_dir(n(name), 0o700).unwrap();
    dir.open_dir(n(name)).unwrap()
}

/// The error of a call that must fail.
fn refused<T>(result: super::Result<T>) -> Error {
    result.err().expect("this call must be refused")
}

#[test]
fn a_name_that_is_taken_is_not_made_again() {
    on_both(|dir| {
        put(dir, "a", "first");
        dir.make_dir(n("d"), 0o700).unwrap();
        dir.symlink(n("nowhere"), n("l")).unwrap();
        for name in ["a", "d", "l"] {
            assert!(refused(dir.create(n(name), 0o600)).is_taken());
            assert!(refused(dir.make_dir(n(name), 0o700)).is_taken());
            assert!(refused(dir.symlink(n("x"), n(name))).is_taken());
            assert!(refused(dir.link(n("a"), dir, n(name))).is_taken());
            assert!(refused(dir.rename_new(n("a"), dir, n(name))).is_taken());
        }
        assert_eq!(content(dir, "a"), "first");
    });
}

#[test]
fn a_link_is_a_second_name_of_one_file() {
    on_both(|dir| {
        let other = sub(dir, "d");
        put(dir, "a", "text");
        dir.link(n("a"), &*other, n("b")).unwrap();
        assert_eq!(dir.stat(n("a")).unwrap().link_count, 2);
        assert_eq!(dir.stat(n("a")).unwrap().inode, other.stat(n("b")).unwrap().inode);
        dir.rename(n("a"), &*other, n("b")).unwrap();
        assert!(dir.stat(n("a")).is_ok(), "renaming one name of a file onto another changes nothing");
        dir.unlink(n("a")).unwrap();
        assert_eq!(content(&*other, "b"), "text");
        assert_eq!(other.stat(n("b")).unwrap().link_count, 1);
        assert!(refused(dir.link(n("d"), dir, n("e"))).is_unsupported(), "folders have one name");
    });
}

#[test]
fn a_rename_replaces_files_by_files_and_empty_folders_by_folders() {
    on_both(|dir| {
        put(dir, "a", "new");
        put(dir, "b", "old");
        dir.rename(n("a"), dir, n("b")).unwrap();
        assert_eq!(content(dir, "b"), "new");
        assert!(refused(dir.stat(n("a"))).is_missing());
        let full = sub(dir, "full");
        put(&*full, "x", "");
        sub(dir, "empty");
        assert!(refused(dir.rename(n("empty"), dir, n("full"))).is_taken());
        assert!(dir.rename(n("b"), dir, n("full")).is_err());
        assert!(dir.rename(n("full"), dir, n("b")).is_err());
        assert!(dir.rename(n("full"), &*full, n("within")).is_err());
        dir.rename(n("full"), dir, n("empty")).unwrap();
        assert_eq!(names(&*dir.open_dir(n("empty")).unwrap()), BTreeSet::from(["x".into()]));
        assert!(refused(dir.rename(n("gone"), dir, n("z"))).is_missing());
    });
}

#[test]
fn rename_new_moves_to_a_free_name() {
    on_both(|dir| {
        let other = sub(dir, "d");
        put(dir, "a", "text");
        dir.rename_new(n("a"), &*other, n("b")).unwrap();
        assert!(refused(dir.stat(n("a"))).is_missing());
        assert_eq!(content(&*other, "b"), "text");
        assert!(refused(dir.rename_new(n("a"), &*other, n("c"))).is_missing());
    });
}

/// Threat: 3.
#[test]
fn symbolic_links_are_never_followed() {
    on_both(|dir| {
        sub(dir, "d");
        put(dir, "a", "text");
        dir.symlink(n("d"), n("to_d")).unwrap();
        dir.symlink(n("a"), n("to_a")).unwrap();
        assert!(refused(dir.open_dir(n("to_d"))).is_wrong_kind());
        assert!(refused(dir.open(n("to_a"))).is_wrong_kind());
        assert!(refused(dir.open_rw(n("to_a"))).is_wrong_kind());
        assert_eq!(dir.stat(n("to_a")).unwrap().kind, Kind::Symlink);
        assert_eq!(dir.read_link(n("to_a")).unwrap(), "a");
        dir.set_modified(n("to_a"), (5, 7)).unwrap();
        assert_eq!(dir.stat(n("to_a")).unwrap().modified, (5, 7));
        assert_ne!(dir.stat(n("a")).unwrap().modified, (5, 7));
        assert!(dir.read_link(n("a")).is_err());
    });
}

#[test]
fn files_and_folders_are_not_taken_for_each_other() {
    on_both(|dir| {
        sub(dir, "d");
        put(dir, "a", "");
        assert!(refused(dir.open(n("d"))).is_wrong_kind());
        assert!(refused(dir.open_rw(n("d"))).is_wrong_kind());
        assert!(refused(dir.open_dir(n("a"))).is_wrong_kind());
        assert!(dir.unlink(n("d")).is_err());
        assert!(dir.remove_dir(n("a")).is_err());
        assert!(refused(dir.open(n("x"))).is_missing());
        assert!(refused(dir.open_dir(n("x"))).is_missing());
    });
}

/// Threat: 1.
#[test]
fn a_name_is_one_component_or_refused() {
    on_both(|dir| {
        let too_long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "/a", "a/", "a\0b", too_long.as_str()] {
            let name = n(name);
            let kinds = [
                dir.create(name, 0o600).map(drop),
                dir.open(name).map(drop),
                dir.open_dir(name).map(drop),
                dir.make_dir(name, 0o700),
                dir.symlink(n("x"), name),
                dir.link(n("a"), dir, name),
                dir.rename(name, dir, n("a")),
                dir.unlink(name),
                dir.stat(name).map(drop),
            ]
            .map(|result| refused(result).cause.kind());
            // A source that is missing may be said first.
            let expected = |kind| matches!(kind, std::io::ErrorKind::InvalidFilename | std::io::ErrorKind::NotFound);
            assert!(kinds.into_iter().all(expected), "{name:?}: {kinds:?}");
        }
        assert!(names(dir).is_empty());
        dir.create(n(&"x".repeat(255)), 0o600).unwrap();
    });
}

#[test]
fn offsets_past_the_end_read_nothing_and_write_a_gap() {
    on_both(|dir| {
        let file = dir.create(n("a"), 0o600).unwrap();
        file.write_at(b"end", 5).unwrap();
        let mut bytes = [1; 10];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 8);
        assert_eq!(&bytes[..8], b"\0\0\0\0\0end");
        assert_eq!(file.read_at(&mut bytes, 8).unwrap(), 0);
        assert_eq!(file.read_at(&mut bytes, 1 << 40).unwrap(), 0);
        file.set_len(6).unwrap();
        assert_eq!(file.read_at(&mut bytes, 4).unwrap(), 2);
        file.set_len(7).unwrap();
        assert_eq!(dir.stat(n("a")).unwrap().len, 7);
        assert_eq!(content(dir, "a"), "\0\0\0\0\0e\0");
        assert!(dir.open(n("a")).unwrap().write_at(b"x", 0).is_err(), "opened for reading");
        assert!(file.write_at(b"x", u64::MAX).is_err());
    });
}

#[test]
fn modes_and_times_are_as_given() {
    on_both(|dir| {
        for mode in [0o600, 0o400, 0o644, 0o666, 0o755] {
            let name = format!("{mode:o}");
            let file = dir.create(n(&name), mode).unwrap();
            file.write_at(b"as it was made for writing", 0).unwrap();
            assert_eq!(file.stat().unwrap().mode, mode);
            let dir_name = format!("d{mode:o}");
            dir.make_dir(n(&dir_name), mode | 0o700).unwrap();
            assert_eq!(dir.stat(n(&dir_name)).unwrap().mode, mode | 0o700);
        }
        let file = dir.open(n("600")).unwrap();
        file.set_mode(0o444).unwrap();
        file.set_modified((1_000_000, 999_999_999)).unwrap();
        let stat = dir.stat(n("600")).unwrap();
        assert_eq!((stat.mode, stat.modified), (0o444, (1_000_000, 999_999_999)));
        assert!(file.set_modified((0, 1_073_741_822)).is_err(), "would mean: leave it");
        dir.set_mode(0o750).unwrap();
        assert_eq!(dir.stat_self().unwrap().mode, 0o750);
        assert_eq!(dir.stat_self().unwrap().owner, rustix::process::geteuid().as_raw());
        dir.set_mode(0o700).unwrap();
    });
}

#[test]
fn two_listings_do_not_disturb_each_other() {
    on_both(|dir| {
        for i in 0..50 {
            put(dir, &format!("f{i}"), "");
        }
        sub(dir, "d");
        dir.symlink(n("x"), n("l")).unwrap();
        let mut slow = dir.list().unwrap();
        slow.next().unwrap().unwrap();
        assert_eq!(names(dir).len(), 52);
        assert_eq!(slow.filter(|entry| entry.is_ok()).count(), 51);
        let kind = |wanted: &str| dir.list().unwrap().map(|e| e.unwrap()).find(|e| e.name == wanted).unwrap().kind;
        assert_eq!((kind("f7"), kind("d"), kind("l")), (Kind::File, Kind::Dir, Kind::Symlink));
    });
}

#[test]
fn a_lock_keeps_out_every_other_handle_until_it_is_dropped() {
    on_both(|dir| {
        put(dir, "a", "");
        let (mine, other) = (dir.open(n("a")).unwrap(), dir.open(n("a")).unwrap());
        let Lock::Held(guard) = mine.try_lock().unwrap() else { panic!("nobody has it") };
        assert!(matches!(other.try_lock().unwrap(), Lock::Busy));
        assert!(matches!(mine.try_lock().unwrap(), Lock::Busy), "not even the same handle twice");
        drop(mine);
        assert!(matches!(other.try_lock().unwrap(), Lock::Busy), "the guard is the lock, not the handle");
        drop(guard);
        assert!(matches!(other.try_lock().unwrap(), Lock::Held(_)));
        sub(dir, "d");
        let (mine, other) = (dir.open_dir(n("d")).unwrap(), dir.open_dir(n("d")).unwrap());
        let _guard = mine.try_lock().unwrap();
        assert!(matches!(other.try_lock().unwrap(), Lock::Busy));
    });
}

#[test]
fn only_empty_folders_are_removed() {
    on_both(|dir| {
        let full = sub(dir, "d");
        put(&*full, "a", "");
        assert!(refused(dir.remove_dir(n("d"))).is_taken());
        full.unlink(n("a")).unwrap();
        dir.remove_dir(n("d")).unwrap();
        assert!(refused(full.create(n("b"), 0o600)).is_missing(), "nothing is made in a folder that is gone");
        assert_eq!(full.list().unwrap().count(), 0);
    });
}

#[test]
fn everything_can_be_synced() {
    on_both(|dir| {
        put(dir, "a", "text");
        dir.open(n("a")).unwrap().sync().unwrap();
        dir.sync().unwrap();
        dir.sync_fs().unwrap();
        assert!(dir.free_space().unwrap() > 0);
    });
}

#[test]
fn scattering_is_a_hint_that_changes_no_name_and_no_mode() {
    on_both(|dir| {
        let inner = sub(dir, "d");
        put(&*inner, "a", "first");
        let before = inner.stat_self().unwrap().mode;
        inner.scatter();
        inner.scatter();
        assert_eq!(inner.stat_self().unwrap().mode, before);
        put(&*sub(&*inner, "e"), "b", "second");
        assert_eq!((content(&*inner, "a"), names(&*inner).len()), ("first".into(), 2));
    });
}

/// Where the file system takes the attribute at all.
#[test]
fn scattered_folders_have_the_attribute_of_top_folders() {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = real::open_root(place.path()).unwrap();
    let handle = |name: &str| std::fs::File::open(place.path().join(name)).unwrap();
    sub(&*root, "ours").scatter();
    sub(&*root, "other");
    let flags = ioctl_getflags(handle("other"));
    if flags.is_ok_and(|flags| ioctl_setflags(handle("other"), flags | IFlags::TOPDIR).is_ok()) {
        assert!(ioctl_getflags(handle("ours")).unwrap().contains(IFlags::TOPDIR));
    }
}

#[test]
fn errors_name_path_attempt_and_cause() {
    on_both(|dir| {
        let text = refused(dir.open(n("missing"))).to_string();
        assert!(text.starts_with(&format!("{}/missing: open: ", dir.path().display())), "{text}");
        put(dir, "a", "");
        put(dir, "b", "");
        let taken = refused(dir.link(n("a"), dir, n("b")));
        assert!(taken.path.ends_with("b"), "the name that is taken, not the one that is linked");
    });
}

#[test]
fn folders_of_different_kinds_are_different_file_systems() {
    let place = tempfile::tempdir().unwrap();
    let real = real::open_root(place.path()).unwrap();
    let world = World::new(1);
    let (first, second) = (world.file_system(Options::default()), world.file_system(Options::default()));
    put(&*real, "a", "");
    put(&*first, "a", "");
    for (from, to) in [(&real, &first), (&first, &real), (&first, &second)] {
        assert!(refused(from.link(n("a"), &**to, n("b"))).is_other_fs());
        assert!(refused(from.rename(n("a"), &**to, n("b"))).is_other_fs());
        assert!(refused(from.rename_new(n("a"), &**to, n("b"))).is_other_fs());
    }
}

/// Threat: 3.
#[test]
fn fifos_sockets_and_devices_are_refused_at_once() {
    let place = tempfile::tempdir().unwrap();
    let dir = real::open_root(place.path()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.path().join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
    for name in ["fifo", "socket"] {
        assert!(refused(dir.open(n(name))).is_wrong_kind());
        assert!(refused(dir.open_rw(n(name))).is_wrong_kind());
        assert!(refused(dir.open_dir(n(name))).is_wrong_kind());
        assert_eq!(dir.stat(n(name)).unwrap().kind, Kind::Other);
    }
    let dev = real::open_root(std::path::Path::new("/dev")).unwrap();
    assert!(refused(dev.open(n("null"))).is_wrong_kind());
    assert!(dir.list().unwrap().all(|entry| entry.unwrap().kind == Kind::Other));
}

#[test]
fn a_root_is_reached_through_links_and_made_where_it_is_missing() {
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(place.path(), place.path().join("link")).unwrap();
    let path = place.path().join("link/a/b");
    assert!(refused(real::open_root(&path)).is_missing());
    let made = real::make_root(&path, 0o750).unwrap();
    assert_eq!(made.stat_self().unwrap().mode, 0o750);
    assert_eq!(real::open_root(&place.path().join("a")).unwrap().stat_self().unwrap().mode, 0o750);
    real::make_root(&path, 0o700).unwrap();
    assert_eq!(made.stat_self().unwrap().mode, 0o750, "what is there is left as it is");
    std::fs::write(place.path().join("file"), "").unwrap();
    assert!(real::make_root(&place.path().join("file"), 0o700).is_err());
    assert!(real::make_root(&place.path().join("file/a"), 0o700).is_err());
    std::os::unix::fs::symlink("nowhere", place.path().join("dangling")).unwrap();
    assert!(refused(real::make_root(&place.path().join("dangling"), 0o700)).is_missing());
}

#[test]
fn what_a_system_cannot_do_is_told_from_what_failed() {
    use std::io::Error as Io;
    let of = |errno: i32| Error { path: "p".into(), attempt: "a", cause: Io::from_raw_os_error(errno) };
    use rustix::io::Errno;
    for errno in [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::PERM, Errno::MLINK] {
        assert!(of(errno.raw_os_error()).is_unsupported(), "{errno}");
    }
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::BUSY] {
        let error = of(errno.raw_os_error());
        assert!(error.is_temporary() && !error.is_unsupported(), "{errno}");
    }
    for errno in [Errno::IO, Errno::ROFS, Errno::NOENT, Errno::LOOP] {
        let error = of(errno.raw_os_error());
        assert!(!error.is_temporary() && !error.is_unsupported(), "{errno}");
    }
}
