//! Folder payloads that become folders, in the model of a file system.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mb_node::toss::payload::PayloadError;
use mb_node::toss::unpack::{Modes, Unpacker};
use mb_spool::barrier::Barrier;
use mb_spool::durable::DirRef;
use mb_spool::durable::memory::{Node, Options, World};
use mb_wire::folder::FolderEntry;

use crate::folders::{Read, read, slices};
use crate::input::Input;

const STAGED: &str = ".mb-staged";

/// Nothing changes outside the staged name; what is a whole folder comes out as it is said, and nothing else passes.
pub fn unpack(data: &[u8]) {
    let mut input = Input(data);
    let (cut, mode) = (input.byte(), input.byte());
    let modes = if mode < 0x80 { Modes::KEEP } else { Modes::fixed(u32::from(mode) << 2) };
    let world = World::new(1);
    let target = neighbourhood(&world);
    let before = world.tree();
    let unpacked = run(&target, modes, input.0, cut);
    let tree = world.tree();
    let top = target.path().join(STAGED);
    let (inside, outside): (BTreeMap<_, _>, _) = tree.into_iter().partition(|(path, _)| path.starts_with(&top));
    assert_eq!(outside, before, "something changed outside");
    match (unpacked, read([input.0].into_iter())) {
        (Ok(()), Ok(entries)) => assert_eq!(inside, expected(&top, &entries)),
        (Ok(()), Err(error)) => panic!("unpacked what is no folder: {error}"),
        (Err(PayloadError::Refused(_)), Err(_)) => {}
        (Err(error), _) => panic!("not the packet's fault, or not at all: {error}"),
    }
}

/// The folder of delivery, and something beside it and in it that must stay.
fn neighbourhood(world: &World) -> DirRef {
    let root = world.file_system(Options::default());
    let make = |dir: &DirRef, name: &str| {
        dir.make_dir(name.as_ref(), 0o755).and_then(|()| dir.open_dir(name.as_ref())).expect("the name is free")
    };
    let target = make(&root, "in");
    for dir in [&root, &target, &make(&root, "a")] {
        let file = dir.create("b".as_ref(), 0o644).expect("the name is free");
        file.write_at(b"mine", 0).expect("there is room");
        dir.symlink("/0/a".as_ref(), "c".as_ref()).expect("the name is free");
    }
    target
}

fn run(target: &DirRef, modes: Modes, payload: &[u8], cut: u8) -> Result<(), PayloadError> {
    let mut barrier = Barrier::new();
    let mut unpacker = Unpacker::new(target, STAGED.as_ref(), modes);
    for mut slice in slices(payload, cut) {
        unpacker.take(&mut slice, &mut barrier)?;
    }
    unpacker.finish(&mut barrier)?;
    Ok(barrier.wait()?)
}

/// What these entries are on a disk.
fn expected(top: &Path, entries: &[Read]) -> BTreeMap<PathBuf, Node> {
    let place = |path: &[u8]| if path.is_empty() { top.to_owned() } else { top.join(OsStr::from_bytes(path)) };
    let node = |(entry, content): &Read| match entry {
        FolderEntry::File { .. } => Node::File(content.clone().into()),
        FolderEntry::Link { target, .. } => Node::Symlink(OsStr::from_bytes(target).to_owned()),
        FolderEntry::Folder { .. } => Node::Dir,
    };
    entries.iter().map(|read| (place(read.0.path()), node(read))).collect()
}
