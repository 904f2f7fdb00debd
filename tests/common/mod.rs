//! The bench of the end-to-end tests: nodes in a temporary folder, with a clean environment, and the real programs.
//!
//! A node has a configuration folder and a spool of its own; programs find them by `MB_CONFIG` and `MB_SPOOL`. Whatever a
//! run printed is part of the message when an expectation fails.
#![allow(dead_code, reason = "each test binary uses its part")]

/// The line of a call, good or bad.
pub mod line;
/// What a test does when a tool is missing.
pub mod skip;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Paths of the programs that are built so far, by name.
macro_rules! programs {
    ($($name:literal),*) => { [$(($name, option_env!(concat!("CARGO_BIN_EXE_", $name)))),*] };
}

/// The path of a program of ours.
pub fn program(name: &str) -> &'static str {
    let all = programs!(
        "mb-init",
        "mb-node",
        "mb-send",
        "mb-toss",
        "mb-call",
        "mb-listen",
        "mb-xfer",
        "mb-bundle",
        "mb-check",
        "mb-stat",
        "mb-rm",
        "mb-cat",
        "mb-area",
        "mb-mail",
        "mb-user"
    );
    let found = all.iter().find(|(known, _)| *known == name).and_then(|(_, path)| *path);
    found.unwrap_or_else(|| panic!("{name} is not one of the programs that are built"))
}

/// A temporary folder in which nodes live; it goes with the value.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    /// An empty world.
    pub fn new() -> World {
        World { dir: tempfile::Builder::new().prefix("mb-").tempdir().expect("a temporary folder") }
    }

    /// An empty world in memory, where the system has a place for that: for tests that make hundreds.
    pub fn in_memory() -> World {
        let mut builder = tempfile::Builder::new();
        match builder.prefix("mb-").tempdir_in("/dev/shm") {
            Ok(dir) => World { dir },
            Err(_) => World::new(),
        }
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a folder in it.
    pub fn make_dir(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("a folder in the world");
        path
    }

    /// Makes a file in it.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it is in the world")).expect("a folder in the world");
        std::fs::write(&path, content).expect("a file in the world");
        path
    }

    /// A place for a node, where none was made yet.
    pub fn place(&self, name: &str) -> Node {
        let dir = self.make_dir(name);
        Node { name: name.to_owned(), config: dir.join("config"), spool: dir.join("spool"), dir }
    }

    /// Makes a node with mb-init.
    pub fn node(&self, name: &str) -> Node {
        let node = self.place(name);
        node.run(["mb-init", "--name", name]).ok();
        node
    }

    /// Lets each node know all the others, by mb-node.
    pub fn introduce(&self, nodes: &[&Node]) {
        let cards: String = nodes.iter().map(|node| node.card() + "\n").collect();
        for node in nodes {
            node.command(["mb-node", "add"]).stdin(&cards).run().ok();
        }
    }

    /// Runs a program of ours that belongs to no node: its configuration would be in the world's own folder.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Call {
        Call::new(words, self.dir.path())
    }
}

/// A node of a world.
pub struct Node {
    /// What it calls itself.
    pub name: String,
    /// Its configuration folder.
    pub config: PathBuf,
    /// Its spool.
    pub spool: PathBuf,
    /// The folder that both are in, and where its programs run.
    pub dir: PathBuf,
}

impl Node {
    /// A call of a program of ours at this node: the program's name, then its arguments.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Call {
        Call::new(words, &self.dir).env("MB_CONFIG", &self.config).env("MB_SPOOL", &self.spool)
    }

    /// Runs a program of ours at this node.
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Run {
        self.command(words).run()
    }

    /// Its card, as mb-node prints it.
    pub fn card(&self) -> String {
        self.run(["mb-node", "card"]).ok().trim().to_owned()
    }

    /// Its id.
    pub fn id(&self) -> String {
        let card = mb_wire::card::Card::parse(&self.card()).expect("mb-node prints a card");
        card.id().to_string()
    }
}

/// A call of a program that is being put together.
pub struct Call {
    words: Vec<OsString>,
    command: Command,
    stdin: Vec<u8>,
}

impl Call {
    fn new<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I, dir: &Path) -> Call {
        let words: Vec<OsString> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let (name, arguments) = words.split_first().expect("a program's name");
        let mut command = Command::new(program(name.to_str().expect("names of programs are plain")));
        command.args(arguments).current_dir(dir).env_clear();
        command.env("HOME", dir).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Call { words, command, stdin: Vec::new() }
    }

    /// One more argument.
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Call {
        self.words.push(word.as_ref().to_owned());
        self.command.arg(word);
        self
    }

    /// More arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, words: I) -> Call {
        words.into_iter().fold(self, |call, word| call.arg(word))
    }

    /// What it reads on standard input; else that is empty.
    pub fn stdin(mut self, content: impl AsRef<[u8]>) -> Call {
        self.stdin = content.as_ref().to_owned();
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Call {
        self.command.env(name, value);
        self
    }

    /// The folder it runs in.
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Call {
        self.command.current_dir(dir);
        self
    }

    /// Runs it from a shell that did `first` before: `umask 0`, `exec >&-`, `ulimit -c unlimited`.
    pub fn after(mut self, first: &str) -> Call {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{first}; exec \"$0\" \"$@\"")).arg(self.command.get_program());
        command.args(self.command.get_args()).env_clear();
        for (name, value) in self.command.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        self.command = command;
        self
    }

    /// Whether it is a call of this program.
    pub fn is_of(&self, name: &str) -> bool {
        self.words.first().is_some_and(|word| word == name)
    }

    /// Whether this is one of its words.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    /// Runs it as the last words of another command, with its environment and folder: `strace -f`, `timeout 60`.
    pub fn under<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, words: I) -> Call {
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().expect("a command"));
        command.args(words).arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        for (name, value) in self.command.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        self.command = command;
        self
    }

    /// The command itself, for what this does not offer: other outputs, another user.
    pub fn raw(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end. It must not panic, whatever else.
    pub fn run(mut self) -> Run {
        let words = self.words.join(OsStr::new(" ")).to_string_lossy().into_owned();
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{words}: {e}"));
        let mut input = child.stdin.take().expect("it is piped");
        let content = std::mem::take(&mut self.stdin);
        // A program need not read what it is given; that it does not is no failure of the test.
        let feeder = std::thread::spawn(move || drop(input.write_all(&content)));
        let output = child.wait_with_output().unwrap_or_else(|e| panic!("{words}: {e}"));
        feeder.join().expect("the feeder does not panic");
        let (code, dumped) = (exit_code(output.status), output.status.core_dumped());
        let run = Run { words, code, stdout: output.stdout, stderr: output.stderr, dumped };
        assert!(!run.stderr().contains("panicked") && run.code != 70 && run.code != 101, "a panic\n{run}");
        run
    }
}

/// What a run of a program came to.
#[must_use = "a run says nothing until its end is looked at: ok() or fails(code)"]
pub struct Run {
    words: String,
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Whether a signal ended it and its memory was written to a core file.
    pub dumped: bool,
}

impl Run {
    /// It must have exited 0; what it wrote to standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "exit code\n{self}");
        String::from_utf8(self.stdout.clone()).unwrap_or_else(|_| panic!("standard output is not UTF-8\n{self}"))
    }

    /// It must have exited 0 or 1; what it wrote to standard output.
    #[track_caller]
    pub fn ok_or_one(self) -> String {
        assert!(self.code <= 1, "exit code\n{self}");
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// It must have exited 0 and have said nothing at all.
    #[track_caller]
    pub fn silent(self) {
        assert!(self.code == 0 && self.stdout.is_empty() && self.stderr.is_empty(), "not silent\n{self}");
    }

    /// It must have exited with `code`; what it wrote to standard error.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "exit code\n{self}");
        assert!(code == 0 || !self.stderr.is_empty(), "it does not say why\n{self}");
        self.stderr()
    }

    /// It must have exited with `code` and said `what` on standard error.
    #[track_caller]
    pub fn fails_with(self, code: i32, what: &str) {
        let said = format!("{self}");
        assert!(self.fails(code).contains(what), "it does not say {what:?}\n{said}");
    }

    /// It must have exited with `code`; what it wrote to standard error, which may be nothing.
    #[track_caller]
    pub fn fails_quietly(self, code: i32) -> String {
        assert_eq!(self.code, code, "exit code\n{self}");
        self.stderr()
    }

    /// What it wrote to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "{}: exit {}\nstdout: {stdout}\nstderr: {}", self.words, self.code, self.stderr())
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// All paths below `dir` with their kinds and permission bits, in order: to compare a tree before and after. What goes
/// away meanwhile, as a listener's own folder does, is not in it.
pub fn tree(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    while let Some(path) = open.pop() {
        let entries = match std::fs::read_dir(&path) {
            Err(error) if path != dir && is_gone(&error) => continue,
            entries => entries.expect("a folder of the test"),
        };
        for entry in entries {
            let entry = entry.expect("a folder of the test");
            let meta = match entry.path().symlink_metadata() {
                Err(error) if is_gone(&error) => continue,
                meta => meta.expect("a file of the test"),
            };
            if meta.is_dir() {
                open.push(entry.path());
            }
            let below = entry.path().strip_prefix(dir).expect("it is below").display().to_string();
            found.push(format!(
                "{below} {:o} {}",
                meta.permissions().mode(),
                if meta.is_dir() { 0 } else { meta.len() }
            ));
        }
    }
    found.sort();
    found
}

/// The secrets in an unsealed node.key.
pub fn secrets(node: &Node) -> mb_wire::key::NodeSecrets {
    use mb_wire::key::{NodeSecrets, Seed};
    let text = std::fs::read_to_string(node.config.join("node.key")).expect("there is a key");
    let (_, rest) = text.split_once("secret = \"").expect("it is not sealed");
    NodeSecrets::from_seed(&Seed::from_text(rest.split('"').next().unwrap()).expect("mb-init wrote it"))
}

/// Bytes that do not compress and differ from seed to seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}
