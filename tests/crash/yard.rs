//! A yard: a folder with nodes, a stick and files in it, small enough to be copied for every point of a scenario.

use crate::common::{Call, Node, program};
use crate::scenario::Program;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where yards are, and the disks of power cuts: in memory if there is such a place, since a killed program loses nothing that it wrote anywhere.
pub fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("mb-crash-");
        builder
    };
    builder().tempdir_in(memory).or_else(|_| builder().tempdir()).expect("a temporary folder")
}

/// A folder with nodes in it.
pub struct Yard {
    dir: PathBuf,
}

impl Yard {
    /// The yard in a folder, made if it is not there.
    pub fn at(dir: impl Into<PathBuf>) -> Yard {
        let dir = dir.into();
        fs::create_dir_all(&dir).expect("a folder for a yard");
        Yard { dir }
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes a file in it.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the yard")).expect("a folder in the yard");
        fs::write(path, content).expect("a file in the yard");
    }

    /// A node of it, made or not.
    pub fn node(&self, name: &str) -> Node {
        let dir = self.path(name);
        Node { name: name.to_owned(), config: dir.join("config"), spool: dir.join("spool"), dir }
    }

    /// Makes a node.
    pub fn init(&self, name: &str) {
        fs::create_dir_all(self.path(name)).expect("a folder in the yard");
        self.node(name).run(["mb-init", "--name", name]).ok();
    }

    /// Lets `name` know `others`.
    pub fn introduce(&self, name: &str, others: &[&str]) {
        let cards: String = others.iter().map(|other| self.node(other).card() + "\n").collect();
        self.node(name).command(["mb-node", "add"]).stdin(cards).run().ok();
    }

    /// A program at a node of it; words in which `@` is the yard, and `!NAME` another program of ours.
    pub fn command(&self, node: &str, words: &[&str]) -> Call {
        let here = self.dir.to_str().expect("a plain path");
        self.node(node).command(words.iter().map(|word| match word.strip_prefix('!') {
            Some(name) => program(name).to_owned(),
            None => word.replace('@', here),
        }))
    }

    /// A program of a scenario.
    pub fn call(&self, program: &Program) -> Call {
        let call = self.command(program.node, program.words);
        match program.input {
            Some(input) => call.stdin(fs::read(self.path(input)).expect("a file in the yard")),
            None => call,
        }
    }

    /// A copy of all of it in `to`, hard links, modes and times kept. What its nodes are configured with follows.
    pub fn copy(&self, to: impl Into<PathBuf>) -> Yard {
        let copy = Yard::at(to);
        copy_tree(&self.dir, &copy.dir, &mut HashMap::new()).expect("a copy of the yard");
        copy.follow(&self.dir);
        copy
    }

    /// Paths into the yard at `old` become paths into this one.
    pub fn follow(&self, old: &Path) {
        let (old, new) = (old.to_str().expect("a plain path"), self.dir.to_str().expect("a plain path"));
        for path in files_below(&self.dir).into_iter().filter(|path| path.extension().is_some_and(|end| end == "toml"))
        {
            let text = fs::read_to_string(&path).expect("a configuration");
            if text.contains(old) {
                fs::write(&path, text.replace(old, new)).expect("a configuration");
            }
        }
    }

    /// What lies in a folder of it.
    pub fn tree(&self, dir: impl AsRef<Path>) -> Tree {
        let mut tree = Tree::new();
        let dir = self.path(dir);
        if dir.is_dir() {
            note_tree(&dir, &dir, &mut tree);
        }
        tree
    }
}

/// Copies all that is in a folder into another, which may be there; hard links, modes and times are kept.
fn copy_tree(from: &Path, to: &Path, links: &mut HashMap<(u64, u64), PathBuf>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = entry.metadata()?;
        if meta.is_dir() {
            copy_tree(&source, &target, links)?;
        } else if meta.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if let Some(first) = links.get(&(meta.dev(), meta.ino())) {
            fs::hard_link(first, &target)?;
        } else {
            fs::copy(&source, &target)?;
            fs::File::open(&target)?.set_modified(meta.modified()?)?;
            if meta.nlink() > 1 {
                links.insert((meta.dev(), meta.ino()), target);
            }
        }
    }
    let meta = fs::metadata(from)?;
    fs::set_permissions(to, meta.permissions())?;
    fs::File::open(to)?.set_modified(meta.modified()?)
}

/// What lies in a folder, by paths below it.
pub type Tree = BTreeMap<PathBuf, Thing>;

/// One thing in a folder. Two are equal if a user would call them the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A file: mode, time, content.
    File(u32, SystemTime, Vec<u8>),
    /// A folder: mode, time.
    Folder(u32, SystemTime),
    /// A symbolic link: what it says.
    Link(PathBuf),
}

fn note_tree(top: &Path, dir: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(dir).expect("a folder in the yard") {
        let path = entry.expect("an entry").path();
        let meta = path.symlink_metadata().expect("nobody else is here");
        let (mode, time) = (meta.permissions().mode() & 0o7777, meta.modified().expect("it has a time"));
        let thing = if meta.is_dir() {
            note_tree(top, &path, tree);
            Thing::Folder(mode, time)
        } else if meta.is_symlink() {
            Thing::Link(fs::read_link(&path).expect("a link"))
        } else {
            Thing::File(mode, time, fs::read(&path).expect("a file in the yard"))
        };
        tree.insert(path.strip_prefix(top).expect("it is below").to_owned(), thing);
    }
}

/// Every file below a folder.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry.expect("an entry");
            match entry.file_type().expect("a kind").is_dir() {
                true => open.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files.sort();
    files
}
